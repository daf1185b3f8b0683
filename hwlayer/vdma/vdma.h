// SPDX-License-Identifier: MIT
/*
 * Descriptor lists and boundary channels.  Sources: spec hailo8-pcie 6 and 7, firmware-protocol 6.
 */
#ifndef HWLAYER_VDMA_VDMA_H
#define HWLAYER_VDMA_VDMA_H

#include "backend/backend.h"
#include "chip/regs.h"

/* ---------------------------------------------------------------- desc.c (pure) */

/* A descriptor as the engine reads it. */
struct vdma_desc {
	uint32_t ctrl; /* size << 8 | control */
	uint32_t addr_lo;
	uint32_t addr_hi;
	uint32_t status;
};
_Static_assert(sizeof(struct vdma_desc) == CHIP_DESC_SIZE, "the engine steps by 16 bytes");

/*
 * Write the descriptors of @bytes at bus address @bus, page size @page, from index @start of a
 * list of @count (a power of two if @circular, else no wrap).  The last one gets @last_ctrl.
 * Returns the number written (ceil(bytes/page)), or -EINVAL (alignment, zero), -ERANGE (does not
 * fit).  Values are stored little-endian.
 */
int vdma_desc_program(struct vdma_desc *descs, uint32_t count, bool circular, uint32_t page,
		      uint32_t start, uint64_t bus, uint64_t bytes, uint8_t last_ctrl);
/* protocol 5.6: page and count of a boundary list; -EINVAL where the rules have no answer. */
int vdma_boundary_geometry(uint32_t transfer, uint32_t transfers_per_frame, uint32_t batch,
			   uint32_t queue_scale, uint32_t max_shmifo, uint32_t max_page,
			   uint32_t *page, uint32_t *count, uint32_t *queue);

/* ------------------------------------------------------------------------ list.c */

struct vdma_list {
	struct backend_dma mem;
	uint32_t count, page;
	bool circular;
};
int vdma_list_create(struct backend *be, uint32_t count, uint32_t page, bool circular,
		     struct vdma_list *out, struct hw_error *err);
void vdma_list_destroy(struct backend *be, struct vdma_list *list); /* fine on a zeroed one */
static inline struct vdma_desc *vdma_list_descs(const struct vdma_list *list)
{
	return list->mem.virt;
}

/* --------------------------------------------------------------------- channel.c */

#define VDMA_TRANSFERS_MAX 127 /* in flight on one channel (protocol 6.3) */
#define VDMA_TRANSFERS_LATENCY 63 /* likewise, when each interrupts twice */

struct vdma_transfer {
	uint32_t first, last; /* descriptor indices */
	void *token;
};

/* The host side of one boundary channel (protocol 6.2). */
struct vdma_channel {
	struct backend *be;
	uint8_t index;
	struct vdma_list *list;
	bool first_irq; /* the first descriptor of a transfer interrupts too: to measure latency */
	unsigned int begun; /* transfers in flight whose first descriptor is processed */
	uint32_t head, tail;
	uint32_t done; /* the processed counter when it was last looked at, modulo the ring */
	unsigned int fifo_first, fifo_count;
	struct vdma_transfer fifo[VDMA_TRANSFERS_MAX + 1];
};

/* After ENABLED was answered: counters zero, nothing in flight. */
void vdma_channel_init(struct vdma_channel *ch, struct backend *be, uint8_t index,
		       struct vdma_list *list);
/*
 * Is it started with num_available 0, as it must be right after ENABLED?  Polls up to @timeout_ms.
 * -ETIMEDOUT with the register values in the text, -ENODEV.
 */
int vdma_channel_wait_started(struct vdma_channel *ch, uint32_t timeout_ms, struct hw_error *err);
/*
 * Publish one transfer of @bytes at @bus.  0; -EAGAIN (ring or FIFO full); -ECONNRESET (the
 * channel is not running), -EIO (because of an error); -EFAULT (num_available is not what we wrote last); -ENODEV; -EINVAL.
 */
int vdma_channel_launch(struct vdma_channel *ch, uint64_t bus, uint32_t bytes, void *token);
/*
 * Take the tokens of finished transfers, oldest first.  Returns how many were stored in
 * @tokens (at most @max); -ECONNRESET if the channel stopped and nothing more will finish, -EIO if
 * its error byte is set, -EPROTO if it counts what was never queued, or backwards, -ENODEV.
 */
int vdma_channel_reap(struct vdma_channel *ch, void **tokens, unsigned int max);
/* The two registers for an error text: "ch 2: ctrl 0x.. avail 16 processed 3 of 32, error 0". */
void vdma_channel_describe(struct backend *be, unsigned int index, char *buf, size_t size);

#endif
