/* SPDX-License-Identifier: MIT */
/**
 * DOC: libhwlayer
 *
 * Drives a Hailo-8 or Hailo-8L over PCIe from user space: find a card, open and boot it, load a
 * network, submit frames, close.  The same calls drive the chip in software ("mock").
 *
 * Every function that can fail returns 0 or a negative errno and, when an &struct hw_error is
 * given, puts one sentence for people into it.  Handles are opaque.  Functions on one device may
 * be called from several threads; the device itself is owned by one internal thread.
 */
#ifndef HWLAYER_H
#define HWLAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hwlayer/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct hw_error - why a call failed
 * @code: the -errno that the call returned
 * @text: one sentence for people, without a newline; cut where this array ends
 *
 * Means something only after a call that failed.
 */
struct hw_error {
	int code;
	char text[480];
};

/** struct hw_dev - an open device, normally booted; hw_dev_close() ends it */
struct hw_dev;
/** struct hw_net - a network that is configured on a device; hw_net_free() ends it */
struct hw_net;

/**
 * hw_version - version of the library
 *
 * Return: "MAJOR.MINOR.PATCH", in static storage.
 */
const char *hw_version(void);

/* ------------------------------------------------------------------ cards */

/**
 * struct hw_card - a PCI function that looks like a Hailo-8 family card
 * @bdf: PCI address, "0000:01:00.0"
 * @vendor: PCI vendor, 0x1e60
 * @device: PCI device, 0x2864 for Hailo-8, 8L and 8R alike
 * @subsys_vendor: 0x1af4 together with @subsys_device 0x1100 marks a software chip
 * @subsys_device: see @subsys_vendor
 * @driver: kernel driver bound to it, "" if none
 * @iommu_group: number, or -1 where there is no IOMMU
 */
struct hw_card {
	char bdf[16];
	uint16_t vendor, device;
	uint16_t subsys_vendor, subsys_device;
	char driver[32];
	int iommu_group;
};

/**
 * hw_card_list - find the cards of this machine
 * @cards: array sorted by address, which the caller free()s; NULL when there is none, and on error
 * @count: its length
 * @err: why it failed; may be NULL
 *
 * Opens nothing, touches no card; chips in software that live in this process are not in the list.
 * Return: 0 also when no card is found; -ENOMEM, -EIO (PCI bus not readable).
 */
int hw_card_list(struct hw_card **cards, size_t *count, struct hw_error *err);

/* ---------------------------------------------------------------- devices */

/**
 * struct hw_dev_options - how to open a device; zero-initialise, then set what matters
 * @device: "auto" or NULL (the first card; never the mock), a PCI address, "mock" or "mock:8"
 *          (a Hailo-8 in software), "mock:8l" (a Hailo-8L in software), "mock:PATH" with a '/' in
 *          PATH (the chip in software that "hwctl mock serve --socket PATH" runs)
 * @firmware: image to boot; NULL: $HAILO_FIRMWARE, then /lib/firmware/hailo/hailo8_fw.bin.  A
 *            software chip without any of these boots a synthetic image.
 * @no_boot: stop after the BARs are mapped and the card answered: for looking at it
 * @mock_faults: faults that the chip in software shall have, comma-separated, for tests ("hwctl
 *               --fault help" lists them); NULL: none.  Only with "mock", "mock:8" and "mock:8l",
 *               -EINVAL with any other device
 * @mock_onnx: model that answers in the place of networks that a chip in software cannot execute,
 *             those of the vendor's compiler; its tensors must have the shapes of the network's
 *             streams.  hw_net_function() says so.  NULL: such networks answer a fixed pattern.
 *             Other networks are computed as ever.  Only with "mock", "mock:8" and "mock:8l",
 *             -EINVAL with any other device
 * @mock_hw_consts: what the chip in software answers to GET_HW_CONSTS, 38 hexadecimal digits; NULL:
 *                  what a real chip was seen to answer.  Only with a chip in this process, as the next
 *                  two
 * @mock_layout: its bitmap of usable clusters, 0: 0x33 on a Hailo-8L
 * @mock_max_page: the largest descriptor page that its link allows: 128, 256 or 4096, which 0 means
 * @record: file to write the traffic with the chip to (docs/trace.md), NULL: none.  Made anew; ends
 *          when the device is closed
 * @record_mmio: likewise, every register access, as tab-separated values
 * @unsafe_no_iommu: take a card even in VFIO's no-IOMMU mode, where nothing keeps the chip, or a
 *                   mistake of its driver, from reading and overwriting all memory of the machine
 *                   (docs/safety.md).  Where there is an IOMMU it is used all the same.
 * @cached_dma: through the kernel module hailo_uio, inputs and outputs lie in cached memory, which is
 *              synced for each frame, instead of memory that some boards cannot cache
 *              (docs/kernel-module.md)
 */
struct hw_dev_options {
	const char *device;
	const char *firmware;
	bool no_boot;
	const char *mock_faults;
	const char *mock_onnx;
	const char *mock_hw_consts;
	uint32_t mock_layout;
	uint32_t mock_max_page;
	const char *record;
	const char *record_mmio;
	bool unsafe_no_iommu;
	bool cached_dma;
};

/**
 * enum hw_arch - what the chip answered when it was identified
 * @HW_ARCH_HAILO8_A0: the first silicon of Hailo-8
 * @HW_ARCH_HAILO8: Hailo-8
 * @HW_ARCH_HAILO8L: Hailo-8L
 * @HW_ARCH_UNKNOWN: some other number, or the chip was not booted and therefore not asked
 */
enum hw_arch {
	HW_ARCH_HAILO8_A0 = 0,
	HW_ARCH_HAILO8 = 1,
	HW_ARCH_HAILO8L = 2,
	HW_ARCH_UNKNOWN = 255,
};

/**
 * struct hw_dev_info - facts about an open device
 * @backend: "mock", "vfio", "uio"
 * @iommu: what keeps the chip's DMA in bounds: "type1v2", "type1" or "iommufd" for VFIO's ways to an
 *         IOMMU, "none" for a card without one, "" for software chips
 * @bdf: PCI address; "mock" for the in-process software chip
 * @software_chip: the subsystem IDs mark a chip in software, local or in a virtual machine
 * @booted: firmware runs (false only with hw_dev_options.no_boot)
 * @arch: see &enum hw_arch
 * @arch_name: "hailo8-a0", "hailo8", "hailo8l", "unknown"
 * @fw_major: firmware version, first number
 * @fw_minor: second number
 * @fw_revision: third number, without the flag bits that the firmware adds to it
 * @board_name: as the chip calls its board; may be "", as the next three
 * @serial: serial number
 * @part_number: part number
 * @product_name: product name
 * @clock_hz: neural core clock
 * @clusters: partial cluster bitmap (Hailo-8L), 0 otherwise
 * @max_desc_page: largest descriptor page in bytes that this link allows (64..4096)
 *
 * All that the chip itself tells is 0 or "" while @booted is false.  @clock_hz and @clusters are 0
 * also until the chip was asked for them: by hw_dev_query_info() or by loading a network.
 */
struct hw_dev_info {
	char backend[16];
	char iommu[16];
	char bdf[16];
	bool software_chip;
	bool booted;
	enum hw_arch arch;
	char arch_name[16];
	uint32_t fw_major, fw_minor, fw_revision;
	char board_name[33], serial[17], part_number[17], product_name[43];
	uint32_t clock_hz;
	uint32_t clusters;
	uint32_t max_desc_page;
};

/**
 * hw_dev_open - claim a device, boot its firmware, identify it
 * @opt: read during the call only; NULL means all defaults
 * @out: the device, released with hw_dev_close(); untouched on error
 * @err: why it failed; may be NULL
 *
 * Boots in the caller's thread, which takes a second or so on a card, then starts the device's own.
 * Return: 0, or -ENODEV (no such card, or it fell off the bus), -EBUSY (claimed by another
 * process), -EACCES or -EPERM (no permission to open it; or no IOMMU, see
 * hw_dev_options.unsafe_no_iommu), -ENOENT (no firmware; or what else opening that file gives, such as -EACCES), -EINVAL
 * (bad firmware image or device name), -ENOTSUP (a card or a firmware version that this library
 * cannot drive), -ETIMEDOUT (the chip did not boot or answer), -EIO (it answered nonsense or did
 * not take its firmware), -ENOMEM, or why a thread or file descriptor could not be had (-EAGAIN,
 * -EMFILE, -ENFILE).
 */
int hw_dev_open(const struct hw_dev_options *opt, struct hw_dev **out, struct hw_error *err);

/**
 * hw_dev_close - stop the chip and let go of it
 * @dev: the device; NULL is fine.  It is gone afterwards, whatever the chip did.
 *
 * Networks still loaded are freed first: frames in flight complete with -ECANCELED, and their handles
 * must not be used any more.  DMA memory is released only after the chip acknowledged that it
 * stopped (or was reset).  No other thread may be in a call on @dev, nor may a callback of it call
 * this.
 */
void hw_dev_close(struct hw_dev *dev);

/**
 * hw_dev_get_info - copy the facts found while opening
 * @dev: the device
 * @info: filled
 *
 * Never touches the chip; may be called from any thread at any time, from callbacks too.
 */
void hw_dev_get_info(const struct hw_dev *dev, struct hw_dev_info *info);

/**
 * hw_dev_query_info - the facts found while opening, and those that the chip has to be asked for
 * @dev: a booted device
 * @info: filled; untouched on error
 * @err: why it failed; may be NULL
 *
 * Waits for the firmware's answer, 1 s at most; frames in flight go on meanwhile.
 * Return: 0, or -EINVAL (opened with hw_dev_options.no_boot), -ETIMEDOUT, -EIO (the firmware
 * refused or answered nonsense), -ENODEV (the card is gone).
 */
int hw_dev_query_info(struct hw_dev *dev, struct hw_dev_info *info, struct hw_error *err);

/**
 * hw_dev_temperature - ask the chip's two sensors
 * @dev: the device
 * @ts0: degrees Celsius at the first sensor; untouched on error
 * @ts1: degrees Celsius at the second sensor; untouched on error
 * @err: why it failed; may be NULL
 *
 * Waits for the firmware's answer, 1 s at most; frames in flight go on meanwhile.
 * Return: 0, or -EINVAL (opened with hw_dev_options.no_boot), -ETIMEDOUT, -EIO (the firmware
 * refused or answered nonsense), -ENODEV (the card is gone).
 */
int hw_dev_temperature(struct hw_dev *dev, float *ts0, float *ts1, struct hw_error *err);

/**
 * hw_dev_reset - soft reset, load the firmware again
 * @dev: the device
 * @err: why it failed; may be NULL
 *
 * The way out when a network died and loading again fails: the same device, booted anew.  Networks
 * that are loaded die with -ECANCELED first, as do their frames in flight; free and load them again.
 * Waits for the boot.  Ends a suspend, too.
 *
 * Return: 0, or as hw_dev_open(); -EINVAL when the device was opened with hw_dev_options.no_boot.
 * After an error the chip is stopped; another reset may be tried.
 */
int hw_dev_reset(struct hw_dev *dev, struct hw_error *err);

/**
 * hw_dev_suspend - stop the chip, for the time being
 * @dev: the device
 * @err: why it failed; may be NULL
 *
 * For the machine's sleep: networks that are loaded die with -ECANCELED ("suspended"), the firmware
 * stops all DMA, interrupts and bus mastering go off.  Until hw_dev_resume() or hw_dev_reset() calls
 * that need the chip are refused with -EIO.  Suspending twice is no error.
 *
 * Return: 0, -EINVAL (opened with hw_dev_options.no_boot), -ENODEV (the card is gone).
 */
int hw_dev_suspend(struct hw_dev *dev, struct hw_error *err);

/**
 * hw_dev_resume - boot the chip again after hw_dev_suspend()
 * @dev: the device
 * @err: why it failed; may be NULL
 *
 * Networks are not brought back: free them and load them again.
 *
 * Return: 0 (also when it was not suspended), or as hw_dev_reset(), after which it stays suspended.
 */
int hw_dev_resume(struct hw_dev *dev, struct hw_error *err);

/**
 * enum hw_cpu - which of the chip's processors
 * @HW_CPU_APP: runs the control protocol
 * @HW_CPU_CORE: runs the networks
 */
enum hw_cpu {
	HW_CPU_APP = 0,
	HW_CPU_CORE = 1,
};

/**
 * hw_dev_read_log - take what one processor's firmware has logged
 * @dev: a booted device
 * @cpu: whose log
 * @buf: filled with bytes that only the vendor can decode; on software chips lines of text
 * @size: of @buf; 4087 bytes is the most that a log can hold
 * @err: why it failed; may be NULL
 *
 * What was read is gone from the chip's buffer.
 *
 * Return: number of bytes, 0 when there is nothing new; -EINVAL (opened with
 * hw_dev_options.no_boot), -EBADMSG (the log's own offsets make no sense), -EIO (suspended),
 * -ENODEV.
 */
int hw_dev_read_log(struct hw_dev *dev, enum hw_cpu cpu, void *buf, size_t size,
		    struct hw_error *err);

/**
 * struct hw_event - something that the firmware reported of its own accord
 * @id: number of the event (docs/hardware.md)
 * @critical: the firmware calls it critical
 * @name: what it is, in a few words
 * @text: one sentence with its figures
 */
struct hw_event {
	uint32_t id;
	bool critical;
	const char *name;
	const char *text;
};

/**
 * typedef hw_event_fn - the firmware reported something
 * @ev: valid during the call
 * @user: as given to hw_dev_set_event_callback()
 *
 * Called on the device's thread: the rules of hw_done_fn hold.  Events that end a network (run-time
 * errors, overheating, memory errors) do so by themselves, after this call.
 */
typedef void (*hw_event_fn)(const struct hw_event *ev, void *user);

/**
 * hw_dev_set_event_callback - hear of the firmware's events
 * @dev: the device
 * @fn: called for each event from now on; NULL: nobody
 * @user: handed to @fn
 *
 * When this returns the callback set before is not running and will not be called any more.  Not to
 * be called from a callback.
 */
void hw_dev_set_event_callback(struct hw_dev *dev, hw_event_fn fn, void *user);

/* --------------------------------------------------------------- networks */

/**
 * struct hw_net_options - how to load a network; zero-initialise
 * @name: network group to take from the file, NULL for its default
 * @batch: frames per context pass, 0 means 1, 63 at most; also how many frames of this network the chip
 *         takes before another network's turn comes, when one waits
 * @input_type: element type the user hands in; HW_TYPE_AUTO is the hardware's (usually u8)
 * @output_type: element type the user gets; HW_TYPE_AUTO is the hardware's.  Detections are
 *               HW_TYPE_F32, a network that has them takes this or HW_TYPE_AUTO
 * @input_order: element order the user hands in; HW_ORDER_AUTO is each input's own (docs/tensors.md)
 * @output_order: element order the user gets, of tensors; HW_ORDER_AUTO is each output's own
 * @nms_order: how detections come: HW_ORDER_HAILO_NMS_BY_CLASS, which HW_ORDER_AUTO means, or
 *             HW_ORDER_HAILO_NMS_BY_SCORE where the host computes them
 * @raw_outputs: the outputs are the chip's own; what the file leaves to the host after them (NMS,
 *               argmax, softmax) is the user's business
 * @frames_in_flight: frame slots (DMA memory) to set up; 0 chooses 8, a network whose descriptor
 *                    lists have less room gets fewer, and one of several contexts at least @batch
 * @queue_depth: transfers of one frame that a descriptor list has room for, 1 to 127; 0 means 8
 * @dynamic_batch: how many frames of @batch the chip shall take at a time.  0 means all of them; of a
 *                 network of several contexts as many as wait, up to @batch.  Given a number, such a
 *                 network has its frames wait until that many are there
 * @whole_batches: the frames of a network of several contexts wait until @batch of them are there: for
 *                 users who know that they send that many
 * @measure_latency: let the chip interrupt when it takes the first bytes of an input, too, and add up
 *                   hw_net_stats.chip_ns; costs an interrupt a frame
 * @take_turns: do not start the network before its first frame comes, for one of several that are loaded
 *              together: starting one stops the one before it.  What starting finds wrong is told by
 *              that frame then, and not by hw_net_load()
 */
struct hw_net_options {
	const char *name;
	uint32_t batch;
	enum hw_type input_type;
	enum hw_type output_type;
	enum hw_order input_order;
	enum hw_order output_order;
	enum hw_order nms_order;
	bool raw_outputs;
	uint32_t frames_in_flight;
	uint32_t queue_depth;
	uint32_t dynamic_batch;
	bool whole_batches;
	bool measure_latency;
	bool take_turns;
};

/**
 * hw_net_load - read a HEF, configure the chip with it and start it
 * @dev: a booted device
 * @path: HEF file; it is not needed any more once this returned
 * @opt: read during the call only; NULL means all defaults
 * @out: the network, released with hw_net_free(); untouched on error
 * @err: why it failed; may be NULL
 *
 * Up to 32 networks can be loaded on one device (-EBUSY).  The chip runs one at a time and goes to the
 * next one by itself when frames of that one wait: when the frames that it has are out, after at most
 * hw_net_options.batch of them, and to the one that waits longest.  Loading waits until the frames on
 * the chip are out.  A network that dies takes no other one with it, unless the whole chip is in trouble
 * (too hot, memory errors of its CPU, not answering).
 *
 * Return: 0, or -ENOENT (no such file, or no network group of that name in it; or what else opening
 * a file gives, such as -EACCES), -EBADMSG (not a HEF, corrupted, cut short), -ENOTSUP (a HEF that
 * this library or this chip cannot run), -EINVAL (likewise; or opened with hw_dev_options.no_boot),
 * -EBUSY, -EIO (the firmware refused, the text has its status; or the device is suspended, or needs
 * hw_dev_reset()), -ETIMEDOUT, -ENODEV, -ENOMEM, or another negative errno with its text.
 */
int hw_net_load(struct hw_dev *dev, const char *path, const struct hw_net_options *opt,
		struct hw_net **out, struct hw_error *err);

/**
 * hw_net_load_mem - as hw_net_load(), from bytes in memory
 * @dev: a booted device
 * @hef: contents of a HEF file, copied: the caller may free them afterwards
 * @len: their number
 * @opt: read during the call only; NULL means all defaults
 * @out: the network, released with hw_net_free(); untouched on error
 * @err: why it failed; may be NULL
 *
 * Return: as hw_net_load(), but nothing that comes from opening a file.
 */
int hw_net_load_mem(struct hw_dev *dev, const void *hef, size_t len,
		    const struct hw_net_options *opt, struct hw_net **out, struct hw_error *err);

/**
 * hw_net_free - stop the network and forget it
 * @net: the network; NULL is fine
 *
 * Other networks on the device stay and go on.  Frames in flight complete with -ECANCELED before this
 * returns, also those of threads that wait in hw_net_run().  After that nothing of the chip's touches the network's memory, and no callback of
 * it comes any more.  No call on @net may begin once this was called, except hw_net_submit() from
 * its callbacks, which is refused (-ECANCELED).  Not to be called from a callback.
 */
void hw_net_free(struct hw_net *net);

/**
 * hw_net_name - name of the network group
 * @net: the network
 *
 * Return: the name; lives as long as @net.
 */
const char *hw_net_name(const struct hw_net *net);

/**
 * hw_net_function - what computes its answers
 * @net: the network
 *
 * Chips in software execute networks made for them ("hwctl hef build") and no others: those of the
 * vendor's compiler run with everything around the computing, but their answers are not inference.
 * The log says so too, when the network is loaded.
 *
 * Return: "chip" on a card; on a chip in software "core" when it computes the network that it was
 * sent, "pattern" when answers are a fixed test pattern (docs/mock.md), "onnx:FILE" when they come
 * from hw_dev_options.mock_onnx.  Lives as long as @net.
 */
const char *hw_net_function(const struct hw_net *net);

/**
 * hw_net_inputs - what the inputs look like
 * @net: the network
 * @count: how many there are
 *
 * Return: array in the order that hw_net_submit() wants them; lives as long as @net.
 */
const struct hw_tensor_info *hw_net_inputs(const struct hw_net *net, size_t *count);

/**
 * hw_net_outputs - what the outputs look like
 * @net: the network
 * @count: how many there are
 *
 * Return: array in the order that hw_net_submit() wants them; lives as long as @net.
 */
const struct hw_tensor_info *hw_net_outputs(const struct hw_net *net, size_t *count);

/**
 * typedef hw_done_fn - a frame is finished
 * @status: 0: outputs are filled.  -ETIMEDOUT: its deadline passed, on the chip or before its turn.  -ECANCELED: the network was
 *          freed, or the device was suspended or reset.  -EIO: the chip reported an error, -ENODEV:
 *          it is gone; the network is dead and takes no more frames.  A network on which nothing
 *          moves any more dies with -ETIMEDOUT: hw_net_state() tells that from a late frame.
 *          -EBADMSG: the detections that the chip delivered for this frame make no sense; -ENOMEM: no
 *          memory to make its outputs.  The next frame may do better.
 * @err: sentence behind a @status other than 0, valid during the call; NULL when @status is 0
 * @user: hw_submit.user
 *
 * Called exactly once for each submitted frame, on the device's thread: return quickly and do
 * not call blocking functions of this library from it (hw_net_submit(), hw_net_get_stats(),
 * hw_net_state() and the functions that only return facts are fine).  Outputs are not written any
 * more once it was called, whatever @status is.
 */
typedef void (*hw_done_fn)(int status, const struct hw_error *err, void *user);

/**
 * struct hw_submit - one frame
 * @inputs: for each input of the network a user frame (hw_tensor_info.frame_bytes); read before
 *          hw_net_submit() returns
 * @outputs: for each output a user frame to fill; must stay valid until @done was called
 * @timeout_ms: deadline in milliseconds counted from submission, 0 means 10 s
 * @done: completion
 * @user: handed to @done
 *
 * The struct itself and both arrays of pointers are read before hw_net_submit() returns.
 */
struct hw_submit {
	const void *const *inputs;
	void *const *outputs;
	uint32_t timeout_ms;
	hw_done_fn done;
	void *user;
};

/**
 * hw_net_submit - start one frame and return at once
 * @net: the network
 * @frame: what to do; read during the call only
 * @err: why it failed; may be NULL
 *
 * May be called from several threads and from callbacks.  Frames of a network complete in submission
 * order, except those that miss their deadline.
 *
 * Return: 0, or -EAGAIN (all frame slots are busy: wait for a completion), -EINVAL (something of
 * @frame is NULL), -ECANCELED (the network is being freed, or the device was suspended or reset),
 * -EIO, -ENODEV or -ETIMEDOUT (network or device is dead: free the network, see hw_net_state()).  On
 * error hw_submit.done is not called.
 */
int hw_net_submit(struct hw_net *net, const struct hw_submit *frame, struct hw_error *err);

/**
 * hw_net_run - one frame, waiting for it
 * @net: the network
 * @inputs: as hw_submit.inputs
 * @outputs: as hw_submit.outputs; filled when 0 is returned
 * @timeout_ms: as hw_submit.timeout_ms; counts from when a frame slot was free
 * @err: why it failed; may be NULL
 *
 * Waits for a free slot too.  Several threads may do so at once.  Not to be called from a callback.
 * Return: 0, or what hw_done_fn or hw_net_submit() (but not -EAGAIN) would say.
 */
int hw_net_run(struct hw_net *net, const void *const *inputs, void *const *outputs,
	       uint32_t timeout_ms, struct hw_error *err);

/**
 * struct hw_net_stats - counters since the network was loaded
 * @submitted: frames taken
 * @completed: frames whose callback got status 0
 * @failed: frames whose callback got another status
 * @interrupts: chip interrupts serviced while this network had the chip
 * @interrupts_missed: interrupts that were lost or late; the driver found the work by looking
 * @interrupts_spurious: interrupts without a cause; a few are normal
 * @busy_ns: nanoseconds during which at least one frame was on the chip, up to now
 * @chip_ns: nanoseconds from the chip taking the first bytes of a frame to its last output, summed
 *           over the @completed ones; 0 without hw_net_options.measure_latency
 * @in_flight: frames on the chip now, also those that were answered because they are late
 */
struct hw_net_stats {
	uint64_t submitted, completed, failed;
	uint64_t interrupts, interrupts_missed, interrupts_spurious;
	uint64_t busy_ns;
	uint64_t chip_ns;
	uint32_t in_flight;
};

/**
 * hw_net_get_stats - a consistent copy of the counters
 * @net: the network
 * @stats: filled
 */
void hw_net_get_stats(struct hw_net *net, struct hw_net_stats *stats);

/**
 * hw_net_state - is it still alive?
 * @net: the network
 * @err: filled with the reason when it is not; may be NULL
 *
 * Return: 0 alive; -EIO, -ENODEV, -ETIMEDOUT, or -ECANCELED (the device was suspended or reset) dead:
 * free it, and (after -ENODEV, or if loading again fails) reset the device, or close and open it.
 */
int hw_net_state(struct hw_net *net, struct hw_error *err);

#ifdef __cplusplus
}
#endif
#endif
