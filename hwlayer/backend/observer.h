// SPDX-License-Identifier: MIT
/*
 * Somebody who looks on: told of everything that crosses the seam between the driver and a chip.
 * A backend has at most one (backend.observer), NULL in ordinary use.  All calls come on the thread
 * that owns the device at that moment.  An observer must not touch the chip and cannot fail.
 */
#ifndef HWLAYER_BACKEND_OBSERVER_H
#define HWLAYER_BACKEND_OBSERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct backend_dma;

/* One exchange on the mailbox: the messages without MD5 and length. */
struct observed_control {
	uint32_t opcode;
	bool core;
	uint32_t timeout_ms;
	const uint8_t *req, *rsp;
	size_t req_len, rsp_len; /* rsp_len 0: no answer came */
	int result;              /* as chip_control() */
};

/* One transfer that was published, with its descriptors in the list's memory. */
struct observed_launch {
	uint8_t channel;
	uint64_t list;           /* bus address */
	uint32_t start, descs, avail;
	uint64_t bus;
	uint32_t bytes;
	bool first_irq;          /* its first descriptor interrupts too */
};

/* The network whose configuration follows. */
struct observed_network {
	const char *name;
	const uint8_t *image;    /* the HEF file */
	size_t image_len;
	uint32_t batch;
};

struct observer {
	/* BAR accesses; @width in bits.  NULL: not interested. */
	void (*mmio)(void *user, unsigned int bar, uint32_t off, unsigned int width, bool write,
		     uint32_t value);
	void (*dma)(void *user, const struct backend_dma *mem, bool mapped);
	/* Its memory was mapped before and is unmapped afterwards. */
	void (*list)(void *user, uint64_t bus, uint32_t count, uint32_t page, bool circular);
	void (*list_release)(void *user, uint64_t bus);
	void (*network)(void *user, const struct observed_network *net);
	void (*control)(void *user, const struct observed_control *c);
	/* The driver begins, or ends, looking after these boundary channels. */
	void (*channels)(void *user, uint32_t map, bool timestamps, bool on);
	void (*launch)(void *user, const struct observed_launch *l);
	void (*finish)(void *user, uint8_t channel); /* the oldest transfer in flight */
	void (*interrupt)(void *user, uint32_t status, uint32_t channels);
	void (*event)(void *user, const uint8_t *msg, size_t len);
	/* The backend is about to be closed; no call comes any more. */
	void (*close)(void *user);
};

#define observe(be, what, ...)                                                                     \
	do {                                                                                       \
		if ((be)->observer && (be)->observer->what)                                        \
			(be)->observer->what((be)->observer_user, ##__VA_ARGS__);                  \
	} while (0)

#endif
