// SPDX-License-Identifier: MIT
/*
 * A Hailo-8 in software: PCI function, BARs with their side effects, boot loader, firmware,
 * vDMA engine and a neural core.  It is written from the device side of the spec (pcie 11,
 * protocol 9) and contains no host code; of the driver it shares chip/regs.h, chip/protocol.h,
 * mock/payload.h and onnx/.  It does not know who its host is: DMA and interrupts are callbacks,
 * so the same model serves this process and a virtual machine.
 */
#ifndef HWLAYER_MOCK_MOCK_H
#define HWLAYER_MOCK_MOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the chip can do to its host.  Called from the chip's own threads, without its lock held. */
struct mock_host {
	/* 0, or -EFAULT when [bus, bus+len) is not mapped as a whole */
	int (*dma_read)(void *host, uint64_t bus, void *buf, size_t len);
	int (*dma_write)(void *host, uint64_t bus, const void *buf, size_t len);
	void (*irq)(void *host); /* one MSI */
	void *host;
};

enum mock_arch { MOCK_HAILO8 = 1, MOCK_HAILO8L = 2 };

/* Zero-initialise: every 0 below means "as a real chip would". */
struct mock_opts {
	enum mock_arch arch;        /* 0: MOCK_HAILO8 */
	uint32_t clusters;          /* partial cluster bitmap, 0: 0x33 on an 8L, 0 on an 8 */
	uint32_t boot_delay_ms;     /* 0: 20 ms ("slow", like hardware, is 116) */
	bool already_running;       /* firmware runs at power-on, as after an earlier user */
	uint8_t hw_consts[19];      /* used when has_hw_consts */
	bool has_hw_consts;
	uint8_t device_info[131];   /* parameter area of GET_DEVICE_INFORMATION, when has_device_info */
	bool has_device_info;
	uint32_t max_read_request;  /* 0: 512 */
	uint32_t control_delay_us;  /* extra time before each response */
	uint32_t core_threads;      /* 0: 1 */
	/*
	 * Faults to order at power-on, comma-separated, NULL: none; it must pass mock_fault_check().
	 * Read by mock_chip_new() only.
	 */
	const char *faults;
	/*
	 * For tests: each whole frame of a boundary input as it arrived, before its inference.  On a thread of the
	 * chip's, without its lock.
	 */
	void (*on_input)(void *user, unsigned int ch, const uint8_t *frame, size_t len);
	void *on_input_user;
};

struct mock_chip;

/* Power it on.  @opts may be NULL.  NULL on lack of memory. */
struct mock_chip *mock_chip_new(const struct mock_opts *opts, const struct mock_host *host);
/* Pull the plug: its thread is gone and no callback comes any more when this returns. */
void mock_chip_free(struct mock_chip *chip);

/* BAR accesses of 1, 2 or 4 bytes, naturally aligned. */
uint32_t mock_chip_read(struct mock_chip *chip, unsigned int bar, uint32_t off, unsigned int width);
void mock_chip_write(struct mock_chip *chip, unsigned int bar, uint32_t off, uint32_t value,
		     unsigned int width);

/* The 256 bytes of standard configuration space plus PCIe capability; bus master and MSI enable. */
uint32_t mock_chip_config_read(struct mock_chip *chip, uint32_t off, unsigned int width);
void mock_chip_config_write(struct mock_chip *chip, uint32_t off, uint32_t value,
			    unsigned int width);
/*
 * Short ways to the two enable bits, which are off at power-on and after a function reset.  With
 * bus master off no DMA is under way when the call returns, so do not hold a lock that the DMA
 * callbacks take; the same goes for mock_chip_reset().
 */
void mock_chip_set_msi(struct mock_chip *chip, bool on);
void mock_chip_set_bus_master(struct mock_chip *chip, bool on);
/* Function level reset: as after power-on. */
void mock_chip_reset(struct mock_chip *chip);

/* What happened so far; for tests and for the chip's own log. */
struct mock_stats {
	uint64_t mmio_reads, mmio_writes;
	uint64_t controls;
	uint64_t controls_refused;
	uint64_t irqs;
	uint64_t dma_read_bytes, dma_write_bytes;
	uint64_t dma_faults;      /* accesses that the host refused */
	uint64_t frames;          /* inferences of the neural core */
	uint64_t standin_frames;  /* those of them that a stand-in answered, see below */
	uint64_t events;
	uint32_t cfg_fetched[32]; /* descriptors fetched per config channel since ENABLED */
	uint64_t cfg_bytes[32];   /* bytes fetched per config channel since ENABLED */
};
void mock_chip_stats(struct mock_chip *chip, struct mock_stats *out);
/* What a dynamic context of application @app did since ENABLED; false if there is none. */
struct mock_context_stats {
	uint64_t passes;     /* times that its list ran to the end */
	uint64_t frames;
	uint64_t fetches;    /* FETCH_CFG actions, all passes together; likewise the next two */
	uint64_t cfg_descs, cfg_bytes;
	uint64_t inner_written, inner_read; /* bytes of streams between contexts and buffered rows */
};
bool mock_chip_context_stats(struct mock_chip *chip, unsigned int app, unsigned int context,
			     struct mock_context_stats *out);
/* The last reason why the chip stopped a network, "" if none: what a real chip would not tell. */
void mock_chip_last_fault(struct mock_chip *chip, char *buf, size_t size);
/* A word of chip memory, for tests; 0 where there is none. */
uint32_t mock_chip_peek(struct mock_chip *chip, uint32_t chip_addr);

/* ------------------------------------------------------------ faults to order (docs/mock.md)
 *
 * NAME[=ARG[:ARG]][@MOMENT=N], several with commas.  Moments count from the order on: @frame=N the
 * Nth inference is about to be computed, @control=N the Nth control arrives, @mmio=N the Nth
 * register access, @ms=T milliseconds.  Without one it strikes at the first occasion.
 */
struct mock_fault_help {
	const char *name, *args, *help; /* "irq-late", "=MS", one line */
};
/* The table, entry by entry; false past its end. */
bool mock_fault_help(size_t i, struct mock_fault_help *out);
/* 0, or -EINVAL with a sentence in @why. */
int mock_fault_check(const char *specs, char *why, size_t size);
/* Order further faults of a running chip.  As above; on error none of @specs is taken. */
int mock_chip_set_fault(struct mock_chip *chip, const char *specs, char *why, size_t size);
/*
 * Take orders back: those called @name, NULL: all.  What a fault did to the chip already lasts
 * until a function reset, except that a removed card is put in again, as after power-on.
 */
void mock_chip_clear_fault(struct mock_chip *chip, const char *name);
/* How often it has struck. */
uint64_t mock_chip_fault_count(struct mock_chip *chip, const char *name);

/* ------------------------------------------------------------ stand-ins (docs/mock.md)
 *
 * A network whose config channels carry no payload of the software chip's own is microcode that
 * nobody outside can execute.  Its outputs are a fixed pattern, or come from an ONNX model that was
 * ordered here.  A network with a payload is computed by the core, whatever was ordered.
 */
struct hw_error;

/* How a stream lies on the wire and what its elements mean; strides count elements. */
struct mock_stream_format {
	const char *name;
	uint8_t stream_index; /* as in the actions */
	bool output;
	uint8_t element_bytes; /* 1 or 2 */
	uint32_t height, width, features;
	uint32_t row, column, feature; /* strides */
	size_t n_quant;		       /* 1, or one entry for each feature */
	const float *scale, *zero_point; /* real = (stored - zero_point) * scale */
};
/*
 * For the applications configured from now on.  @onnx NULL: the pattern.  Everything is copied.
 * -ENOENT ..., -EBADMSG, -ENOTSUP: the file, -EINVAL: its tensors do not fit the streams, -ENOMEM.
 */
int mock_chip_set_function(struct mock_chip *chip, const char *onnx,
			   const struct mock_stream_format *formats, size_t n, struct hw_error *err);
/* Could it be used at all?  Errors as above. */
int mock_onnx_check(const char *path, struct hw_error *err);

/* ------------------------------------------------------------ neural core (mock/core.c)
 *
 * The core is told nothing but the bytes that its config channels fetched.  One core exists per
 * configured application.  Its network may have several inputs and outputs ("ports"), numbered
 * in the order of the payload; the payload names the stream index of each.
 */
struct core;

struct core *core_new(unsigned int threads);
void core_free(struct core *core);
/*
 * Take the next bytes of config channel @stream (0..3); called in fetch order.
 * 0; -EBADMSG: the bytes are not what a core can take (bad record, bad address, bad checksum).
 */
int core_feed(struct core *core, unsigned int stream, const uint8_t *data, size_t len);
/* All channels delivered everything?  0, or -EBADMSG with a reason (core_error()). */
int core_ready(struct core *core);
/* The bytes of config channel @stream are complete and verified: its "config done" interrupt. */
bool core_stream_done(const struct core *core, unsigned int stream);
const char *core_error(const struct core *core);

struct core_port {
	uint8_t stream_index; /* as in the actions */
	bool output;
	uint32_t bytes;       /* meaningful bytes of one frame; transfers may be padded beyond */
};
/* Valid after core_ready() said 0. */
const struct core_port *core_ports(const struct core *core, size_t *count);
/*
 * One inference.  @in: for each input port, in port order, its frame.  @out: likewise, filled.
 * 0 or -ENOMEM.  Bit for bit the same on every machine and with any number of threads.
 */
int core_run(struct core *core, const uint8_t *const *in, uint8_t *const *out);

#endif
