// SPDX-License-Identifier: MIT
/*
 * What hwctl dma-test counts, without asking those it tests: descriptors in the lists' memory when
 * they are published, the channels' own counters when the driver reads them, guard bytes.
 */
#include "hwctl/dma_test.h"

#include <string.h>

#include "mock/mock.h"

#define GUARD 4096u

/* ---------------------------------------------------------------------------- at the seam */

static uint32_t desc_bytes(const struct vdma_list *list, uint32_t index)
{
	return get_le32(&vdma_list_descs(list)[index].ctrl) >> 8;
}

/* pcie 7: size, address and control byte of descriptor @i of a transfer of @n */
static bool desc_ok(const struct vdma_list *list, const struct observed_launch *l, uint32_t i)
{
	const struct vdma_desc *d = &vdma_list_descs(list)[(l->start + i) % list->count];
	uint32_t left = l->bytes - i * list->page, ctrl = get_le32(&d->ctrl);
	uint64_t bus = (uint64_t)get_le32(&d->addr_hi) << 32 | get_le32(&d->addr_lo);

	return ctrl >> 8 == (left < list->page ? left : list->page) &&
	       bus == l->bus + (uint64_t)i * list->page &&
	       (ctrl & CHIP_DESC_CTRL) == (i + 1 == l->descs ? CHIP_DESC_LAST_HOST : CHIP_DESC_BASE);
}

static void on_launch(void *user, const struct observed_launch *l)
{
	struct dma_count *c = user;
	struct dma_channel *ch = &c->ch[l->channel % CHIP_VDMA_CHANNELS];
	const struct vdma_list *list;

	if (!ch->stream)
		return;
	list = &ch->stream->stream->list;
	ch->launched++;
	ch->told_descs += l->descs;
	for (uint32_t i = 0; i < l->descs; i++) {
		ch->told_bytes += desc_bytes(list, (l->start + i) % list->count);
		ch->bad_descs += !desc_ok(list, l, i);
	}
}

static void on_finish(void *user, uint8_t channel)
{
	struct dma_count *c = user;

	c->ch[channel % CHIP_VDMA_CHANNELS].finished++;
}

/* The driver read a processed counter: how far did it come since, and over which descriptors? */
static void on_mmio(void *user, unsigned int bar, uint32_t off, unsigned int width, bool write,
		    uint32_t value)
{
	struct dma_count *c = user;

	(void)width;
	if (bar != CHIP_BAR_VDMA || write || value == UINT32_MAX)
		return;
	for (uint32_t i = 0; i < CHIP_VDMA_CHANNELS; i++) {
		struct dma_channel *ch = &c->ch[i];
		const struct vdma_list *list;
		uint32_t to;

		if (!ch->stream || off != CHIP_VDMA_HOST(i) + CHIP_VDMA_PROC)
			continue;
		list = &ch->stream->stream->list;
		/* After the last descriptor of a ring the counter shows N, not 0 (pcie 6.4). */
		to = FIELD_GET(CHIP_VDMA_PROC_PROCESSED, value) % list->count;
		for (; ch->position != to; ch->position = (ch->position + 1) % list->count) {
			ch->done_descs++;
			ch->done_bytes += desc_bytes(list, ch->position);
		}
	}
}

static const struct observer observer = {
	.mmio = on_mmio,
	.launch = on_launch,
	.finish = on_finish,
};

static int prepare_job(struct hw_dev *dev, void *arg, struct hw_error *err)
{
	if (dev->be->observer)
		return hw_fail(err, -EBUSY, "dma-test looks at the traffic itself; record another command");
	dev->frame_guard = GUARD;
	dev->be->observer_user = arg;
	dev->be->observer = &observer;
	return 0;
}

int dma_count_prepare(struct dma_count *c, struct hw_dev *dev, struct hw_error *err)
{
	*c = (struct dma_count){.dev = dev};
	return infer_call(dev, prepare_job, c, err);
}

/* --------------------------------------------------------------------------------- guards */

static struct infer_stream *stream_at(struct hw_net *net, size_t i)
{
	return i < net->n_inputs ? &net->inputs[i] : &net->outputs[i - net->n_inputs];
}

/* No two neighbours alike, so that a shifted copy of the guard itself is noticed as well. */
static uint8_t guard_byte(size_t stream, size_t off)
{
	return (uint8_t)(0xa5 ^ (off * 167 + (off >> 8) * 59 + stream * 31));
}

/* Call @fn for every byte of a stream's memory that is in no frame. */
static void for_guards(struct dma_count *c, void (*fn)(struct dma_count *, uint8_t *, uint8_t))
{
	struct hw_net *net = c->net;

	for (size_t i = 0; i < net->n_inputs + net->n_outputs; i++) {
		const struct infer_stream *s = stream_at(net, i);
		uint8_t *mem = s->mem.virt;
		size_t off = 0;

		for (unsigned int slot = 0; slot <= infer_stream_slots(net, s); slot++) {
			size_t end = infer_slot_offset(s, slot);

			for (; off < end; off++)
				fn(c, &mem[off], guard_byte(i, off));
			off += s->stream->transfer;
		}
	}
}

static void fill(struct dma_count *c, uint8_t *at, uint8_t want)
{
	c->guard_bytes++;
	*at = want;
}

static void look(struct dma_count *c, uint8_t *at, uint8_t want)
{
	c->guard_damaged += *at != want;
}

static void sync_all(const struct dma_count *c, bool to_device)
{
	for (size_t i = 0; i < c->net->n_inputs + c->net->n_outputs; i++) {
		const struct infer_stream *s = stream_at(c->net, i);

		backend_dma_sync(c->dev->be, &s->mem, 0,
				 infer_slot_offset(s, infer_stream_slots(c->net, s)), to_device);
	}
}

/* ------------------------------------------------------------------------------ begin, end */

static void take_statistics(struct dma_count *c, bool end)
{
	struct mock_chip *chip = backend_mock_chip(c->dev->be);
	struct mock_stats s;

	if (!chip)
		return;
	mock_chip_stats(chip, &s);
	c->has_chip = true;
	c->chip_read = s.dma_read_bytes - (end ? c->chip_read : 0);
	c->chip_written = s.dma_write_bytes - (end ? c->chip_written : 0);
	c->chip_faults = s.dma_faults - (end ? c->chip_faults : 0);
	c->chip_frames = s.frames - (end ? c->chip_frames : 0);
}

static int begin_job(struct hw_dev *dev, void *arg, struct hw_error *err)
{
	struct dma_count *c = arg;

	(void)dev;
	(void)err;
	for_guards(c, fill);
	sync_all(c, true);
	for (size_t i = 0; i < c->net->n_inputs + c->net->n_outputs; i++) {
		const struct infer_stream *s = stream_at(c->net, i);
		struct dma_channel *ch = &c->ch[s->stream->channel % CHIP_VDMA_CHANNELS];

		*ch = (struct dma_channel){.stream = s, .position = s->channel.tail};
	}
	take_statistics(c, false);
	return 0;
}

int dma_count_begin(struct dma_count *c, struct hw_net *net, struct hw_error *err)
{
	c->net = net;
	return infer_call(c->dev, begin_job, c, err);
}

static int end_job(struct hw_dev *dev, void *arg, struct hw_error *err)
{
	struct dma_count *c = arg;

	(void)err;
	dev->be->observer = NULL;
	dev->be->observer_user = NULL;
	dev->frame_guard = 0;
	take_statistics(c, true);
	sync_all(c, false);
	for_guards(c, look);
	return 0;
}

int dma_count_end(struct dma_count *c, struct hw_error *err)
{
	return infer_call(c->dev, end_job, c, err);
}
