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

/** struct hw_error - why a call failed: @code is the returned -errno, @text one sentence */
struct hw_error {
	int code;
	char text[480];
};

struct hw_dev; /* an opened, booted card */
struct hw_net; /* a network configured on it */

/** hw_version - the library's version, "MAJOR.MINOR.PATCH"; static storage */
const char *hw_version(void);

/* ------------------------------------------------------------------ cards */

/**
 * struct hw_card - a PCI function that looks like a Hailo-8 family card
 * @bdf: PCI address, "0000:01:00.0"
 * @vendor: 0x1e60
 * @device: 0x2864 for Hailo-8, 8L and 8R alike
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
 * @cards: array, which the caller free()s; NULL when there is none
 * @count: its length
 *
 * Return: 0 also when no card is found; -ENOMEM, -EIO (PCI bus not readable).
 */
int hw_card_list(struct hw_card **cards, size_t *count, struct hw_error *err);

/* ---------------------------------------------------------------- devices */

/**
 * struct hw_dev_options - how to open a device; zero-initialise, then set what matters
 * @device: "auto" or NULL (the first card; never the mock), a PCI address, "mock" or "mock:8"
 *          (a Hailo-8 in software), "mock:8l" (a Hailo-8L in software)
 * @firmware: image to boot; NULL: $HAILO_FIRMWARE, then /lib/firmware/hailo/hailo8_fw.bin.  A
 *            software chip without any of these boots a synthetic image.
 * @no_boot: stop after the BARs are mapped and the card answered: for looking at it
 */
struct hw_dev_options {
	const char *device;
	const char *firmware;
	bool no_boot;
};

/** enum hw_arch - what IDENTIFY answered */
enum hw_arch {
	HW_ARCH_HAILO8_A0 = 0,
	HW_ARCH_HAILO8 = 1,
	HW_ARCH_HAILO8L = 2,
	HW_ARCH_UNKNOWN = 255,
};

/**
 * struct hw_dev_info - facts about an open device
 * @backend: "mock", "vfio", "uio"
 * @bdf: PCI address; "mock" for the in-process software chip
 * @software_chip: the subsystem IDs mark a chip in software, local or in a virtual machine
 * @booted: firmware runs (false only with hw_dev_options.no_boot)
 * @arch: see &enum hw_arch
 * @arch_name: "hailo8", "hailo8l", "unknown"
 * @fw_major: firmware version; @fw_revision without its flag bits
 * @board_name: text of IDENTIFY; likewise @serial, @part_number, @product_name; may be ""
 * @clock_hz: neural core clock
 * @clusters: partial cluster bitmap (Hailo-8L), 0 otherwise
 * @max_desc_page: largest descriptor page in bytes that this link allows (64..4096)
 */
struct hw_dev_info {
	char backend[16];
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
 * @opt: NULL means all defaults
 * @out: the device, released with hw_dev_close(); untouched on error
 *
 * Return: 0, or -ENODEV (no such card, or it fell off the bus), -EBUSY (claimed by another
 * process), -ENOENT (no firmware), -EINVAL (bad firmware image or device name), -ETIMEDOUT (the
 * chip did not boot or answer), -EACCES, -ENOMEM, -ENOTSUP.
 */
int hw_dev_open(const struct hw_dev_options *opt, struct hw_dev **out, struct hw_error *err);

/**
 * hw_dev_close - stop the chip and let go of it; NULL is fine
 *
 * Networks still loaded are freed first: frames in flight complete with -ECANCELED.  DMA memory
 * is released only after the chip acknowledged that it stopped (or was reset).
 */
void hw_dev_close(struct hw_dev *dev);

/** hw_dev_get_info - copy the facts found while opening */
void hw_dev_get_info(const struct hw_dev *dev, struct hw_dev_info *info);

/**
 * hw_dev_temperature - the chip's two sensors, in degrees Celsius
 *
 * Return: 0, or -ETIMEDOUT, -EIO, -ENODEV.
 */
int hw_dev_temperature(struct hw_dev *dev, float *ts0, float *ts1, struct hw_error *err);

/* --------------------------------------------------------------- networks */

/**
 * struct hw_net_options - how to load a network; zero-initialise
 * @name: network group to take from the file, NULL for its default
 * @batch: frames per context pass, 0 means 1
 * @input_type: element type the user hands in; HW_TYPE_AUTO is the hardware's (usually u8)
 * @output_type: element type the user gets; HW_TYPE_AUTO is the hardware's
 * @frames_in_flight: frame slots (DMA memory) to set up; 0 chooses 8
 */
struct hw_net_options {
	const char *name;
	uint32_t batch;
	enum hw_type input_type;
	enum hw_type output_type;
	uint32_t frames_in_flight;
};

/**
 * hw_net_load - read a HEF, configure the chip with it and start it
 * @path: HEF file; it is not needed any more once this returned
 * @out: the network, released with hw_net_free(); untouched on error
 *
 * A network that was loaded before on the same device must be freed first (-EBUSY).
 *
 * Return: 0, or -ENOENT, -EBADMSG (not a HEF, corrupted, cut short), -ENOTSUP (a HEF that this
 * library or this chip cannot run), -EIO (the firmware refused; text has its status), -ETIMEDOUT,
 * -ENODEV, -ENOMEM.
 */
int hw_net_load(struct hw_dev *dev, const char *path, const struct hw_net_options *opt,
		struct hw_net **out, struct hw_error *err);

/** hw_net_load_mem - as hw_net_load(), from bytes that the caller may free afterwards */
int hw_net_load_mem(struct hw_dev *dev, const void *hef, size_t len,
		    const struct hw_net_options *opt, struct hw_net **out, struct hw_error *err);

/** hw_net_free - stop the network, cancel what is in flight (-ECANCELED), forget it; NULL is fine */
void hw_net_free(struct hw_net *net);

/** hw_net_name - name of the network group; lives as long as @net */
const char *hw_net_name(const struct hw_net *net);

/** hw_net_inputs - the inputs, in the order hw_net_submit() wants them; lives as long as @net */
const struct hw_tensor_info *hw_net_inputs(const struct hw_net *net, size_t *count);

/** hw_net_outputs - the outputs, in the order hw_net_submit() wants them; lives as long as @net */
const struct hw_tensor_info *hw_net_outputs(const struct hw_net *net, size_t *count);

/**
 * typedef hw_done_fn - a frame is finished
 * @status: 0: outputs are filled.  -ETIMEDOUT: its deadline passed.  -ECANCELED: the network was
 *          freed.  -EIO: the chip reported an error, -ENODEV: it is gone; the network is dead and
 *          takes no more frames.
 * @err: sentence behind a @status other than 0, valid during the call
 * @user: hw_submit.user
 *
 * Called exactly once for each submitted frame, on the device's thread: return quickly and do
 * not call blocking functions of this library from it (hw_net_submit() is fine).
 */
typedef void (*hw_done_fn)(int status, const struct hw_error *err, void *user);

/**
 * struct hw_submit - one frame
 * @inputs: for each input of the network a user frame (hw_tensor_info.frame_bytes); read before
 *          hw_net_submit() returns
 * @outputs: for each output a user frame to fill; must stay valid until @done was called
 * @timeout_ms: deadline counted from submission, 0 means 10 s
 * @done: completion
 * @user: handed to @done
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
 *
 * Frames complete in submission order.
 *
 * Return: 0, or -EAGAIN (all frame slots are busy: wait for a completion), -EINVAL, -EIO/-ENODEV
 * (network or device is dead: free the network, see hw_net_state()).  On error @done is not called.
 */
int hw_net_submit(struct hw_net *net, const struct hw_submit *frame, struct hw_error *err);

/**
 * hw_net_run - one frame, waiting for it
 *
 * Waits for a free slot too.  Return: 0, or what hw_done_fn or hw_net_submit() would say.
 */
int hw_net_run(struct hw_net *net, const void *const *inputs, void *const *outputs,
	       uint32_t timeout_ms, struct hw_error *err);

/**
 * struct hw_net_stats - counters since the network was loaded
 * @submitted: frames taken; @completed: with status 0; @failed: with any other
 * @interrupts: chip interrupts serviced
 * @busy_ns: time during which at least one frame was on the chip
 * @in_flight: frames on the chip now
 */
struct hw_net_stats {
	uint64_t submitted, completed, failed;
	uint64_t interrupts;
	uint64_t busy_ns;
	uint32_t in_flight;
};

/** hw_net_get_stats - a consistent copy of the counters */
void hw_net_get_stats(struct hw_net *net, struct hw_net_stats *stats);

/**
 * hw_net_state - is it still alive?
 * @err: filled with the reason when it is not
 *
 * Return: 0 alive; -EIO or -ENODEV or -ETIMEDOUT dead: free it, and (after -ENODEV, or if loading
 * again fails) close and open the device.
 */
int hw_net_state(struct hw_net *net, struct hw_error *err);

#ifdef __cplusplus
}
#endif
#endif
