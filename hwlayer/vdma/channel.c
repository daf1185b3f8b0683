// SPDX-License-Identifier: MIT
/*
 * The host side of a boundary channel (pcie 6.6 to 6.8, protocol 6).  The firmware starts and
 * stops channels; the host only publishes descriptors and looks how far the engine came.
 */
#include "vdma/vdma.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define START_POLL_US 50

static uint32_t host_read(const struct vdma_channel *ch, uint32_t reg)
{
	return backend_read32(ch->be, CHIP_BAR_VDMA, CHIP_VDMA_HOST(ch->index) + reg);
}

void vdma_channel_init(struct vdma_channel *ch, struct backend *be, uint8_t index,
		       struct vdma_list *list)
{
	*ch = (struct vdma_channel){.be = be, .index = index, .list = list};
}

void vdma_channel_describe(struct backend *be, unsigned int index, char *buf, size_t size)
{
	uint32_t base = CHIP_VDMA_HOST(index);
	uint32_t ctrl = backend_read32(be, CHIP_BAR_VDMA, base + CHIP_VDMA_CTRL);
	uint32_t proc = backend_read32(be, CHIP_BAR_VDMA, base + CHIP_VDMA_PROC);
	uint32_t error = backend_read32(be, CHIP_BAR_VDMA, base + CHIP_VDMA_ERR);
	uint32_t depth = FIELD_GET(CHIP_VDMA_CTRL_DEPTH, ctrl);

	snprintf(buf, size, "ch %u: ctrl 0x%02x avail %u processed %u of %u, error %u", index,
		 ctrl & 0xff, FIELD_GET(CHIP_VDMA_CTRL_AVAIL, ctrl),
		 FIELD_GET(CHIP_VDMA_PROC_PROCESSED, proc), 1u << (depth ? depth : 16),
		 FIELD_GET(CHIP_VDMA_ERR_CODE, error));
}

/* Running on a ring as deep as ours, with nothing published. */
static bool is_fresh(const struct vdma_channel *ch, uint32_t ctrl)
{
	uint32_t depth = (uint32_t)__builtin_ctz(ch->list->count) & 0xf; /* 16 is written as 0 */

	return (ctrl & CHIP_VDMA_CTRL_START) && FIELD_GET(CHIP_VDMA_CTRL_AVAIL, ctrl) == 0 &&
	       FIELD_GET(CHIP_VDMA_CTRL_DEPTH, ctrl) == depth;
}

int vdma_channel_wait_started(struct vdma_channel *ch, uint32_t timeout_ms, struct hw_error *err)
{
	uint64_t deadline = util_now_ms() + timeout_ms;

	for (;;) {
		bool late = util_now_ms() >= deadline; /* before the read: a last-moment success counts */
		uint32_t ctrl = host_read(ch, CHIP_VDMA_CTRL);
		char text[120];

		if (ctrl == UINT32_MAX)
			return hw_fail(err, -ENODEV, "channel %u reads all ones: the card is gone",
				       ch->index);
		if (is_fresh(ch, ctrl))
			return 0;
		if (late) {
			vdma_channel_describe(ch->be, ch->index, text, sizeof(text));
			return hw_fail(err, -ETIMEDOUT,
				       "the firmware did not start a channel with %u descriptors within "
				       "%u ms (%s)",
				       ch->list->count, timeout_ms, text);
		}
		usleep(START_POLL_US);
	}
}

/* The list may be cached memory: only what was written has to reach the chip. */
static void sync_descs(struct vdma_channel *ch, uint32_t start, uint32_t n)
{
	const struct vdma_list *list = ch->list;
	uint32_t head = n < list->count - start ? n : list->count - start;

	backend_dma_sync(ch->be, &list->mem, (size_t)start * CHIP_DESC_SIZE,
			 (size_t)head * CHIP_DESC_SIZE, true);
	if (n > head)
		backend_dma_sync(ch->be, &list->mem, 0, (size_t)(n - head) * CHIP_DESC_SIZE, true);
}

/* Why a channel is not what we left it as: by an error, or by the firmware. */
static int lost(const struct vdma_channel *ch)
{
	return FIELD_GET(CHIP_VDMA_ERR_CODE, host_read(ch, CHIP_VDMA_ERR)) ? -EIO : -ECONNRESET;
}

int vdma_channel_launch(struct vdma_channel *ch, uint64_t bus, uint32_t bytes, void *token)
{
	struct vdma_list *list = ch->list;
	uint32_t mask = list->count - 1;
	uint64_t want = ceil_div(bytes, list->page);
	struct observed_launch launched;
	uint32_t ctrl, next;
	int n;

	if (!bytes || want > mask)
		return -EINVAL;
	/* One descriptor stays free: a full ring would look empty (pcie 6.4). */
	if (want > mask - ((ch->head - ch->tail) & mask) || ch->fifo_count >= VDMA_TRANSFERS_MAX)
		return -EAGAIN;
	ctrl = host_read(ch, CHIP_VDMA_CTRL);
	if (ctrl == UINT32_MAX)
		return -ENODEV;
	if (!(ctrl & CHIP_VDMA_CTRL_START))
		return lost(ch);
	if (FIELD_GET(CHIP_VDMA_CTRL_AVAIL, ctrl) != ch->head)
		return -EFAULT;
	n = vdma_desc_program(vdma_list_descs(list), list->count, true, list->page, ch->head, bus, bytes,
			      CHIP_DESC_LAST_HOST);
	if (n < 0)
		return n;
	if (ch->first_irq) {
		struct vdma_desc *first = &vdma_list_descs(list)[ch->head];

		first->ctrl |= htole32(CHIP_DESC_LAST_HOST);
	}
	sync_descs(ch, ch->head, (uint32_t)n);
	next = (ch->head + (uint32_t)n) & mask;
	launched = (struct observed_launch){
		.channel = ch->index,
		.list = list->mem.bus,
		.start = ch->head,
		.descs = (uint32_t)n,
		.avail = next,
		.bus = bus,
		.bytes = bytes,
		.first_irq = ch->first_irq,
	};
	ch->fifo[(ch->fifo_first + ch->fifo_count) % ARRAY_SIZE(ch->fifo)] = (struct vdma_transfer){
		.first = ch->head,
		.last = (next - 1) & mask,
		.token = token,
	};
	ch->fifo_count++;
	ch->head = next;
	backend_barrier_to_device(); /* descriptors and data before the doorbell */
	/*
	 * 16 bits wide: writing the whole word would put back a control byte that the firmware may
	 * have changed since it was read (pcie 6.6).
	 */
	backend_write16(ch->be, CHIP_BAR_VDMA, CHIP_VDMA_HOST(ch->index) + CHIP_VDMA_CTRL + 2,
			(uint16_t)next);
	observe(ch->be, launch, &launched);
	return 0;
}

/* Is @i in the cyclic half-open interval [from, to)? */
static bool in_cycle(uint32_t from, uint32_t to, uint32_t i)
{
	if (from <= to)
		return i >= from && i < to;
	return i >= from || i < to;
}

int vdma_channel_reap(struct vdma_channel *ch, void **tokens, unsigned int max)
{
	uint32_t mask = ch->list->count - 1, ctrl, done;
	unsigned int n = 0;

	/*
	 * The count first: if the channel is aborted in between, the counters go to 0 and would pass
	 * for progress, but the control word read after them tells.
	 */
	done = FIELD_GET(CHIP_VDMA_PROC_PROCESSED, host_read(ch, CHIP_VDMA_PROC)) & mask;
	ctrl = host_read(ch, CHIP_VDMA_CTRL);
	backend_barrier_from_device();
	if (ctrl == UINT32_MAX)
		return -ENODEV;
	if (!(ctrl & CHIP_VDMA_CTRL_START) || FIELD_GET(CHIP_VDMA_CTRL_AVAIL, ctrl) != ch->head)
		return lost(ch);
	/* A counter that leaves what is in flight says nothing about any frame. */
	if (((done - ch->done) & mask) > ((ch->head - ch->done) & mask))
		return -EPROTO;
	ch->done = done;
	while (n < max && ch->fifo_count) {
		const struct vdma_transfer *t = &ch->fifo[ch->fifo_first];

		if (done != ch->head && !in_cycle(ch->tail, done, t->last))
			break;
		tokens[n++] = t->token;
		observe(ch->be, finish, ch->index);
		ch->tail = (t->last + 1) & mask;
		ch->fifo_first = (ch->fifo_first + 1) % ARRAY_SIZE(ch->fifo);
		ch->fifo_count--;
	}
	for (ch->begun = 0; ch->begun < ch->fifo_count; ch->begun++) {
		unsigned int i = (ch->fifo_first + ch->begun) % ARRAY_SIZE(ch->fifo);

		if (!in_cycle(ch->tail, done, ch->fifo[i].first))
			break;
	}
	/* An interrupt without progress may be an error's; in the ordinary case one read is saved. */
	if (!n && ch->fifo_count && max &&
	    FIELD_GET(CHIP_VDMA_ERR_CODE, host_read(ch, CHIP_VDMA_ERR)))
		return -EIO;
	return (int)n;
}
