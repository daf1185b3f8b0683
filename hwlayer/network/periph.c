// SPDX-License-Identifier: MIT
/* The numbers that the chip's PCIe side (its "peripheral") gets per stream.  Pure.  Source: 5.7. */
#include "network/internal.h"

#define PERIPH_BYTES_MAX 0x10000u /* also what a missing max_shmifo_size allows */
#define PERIPH_ALIGN 8u
#define PERIPH_FIELD_MAX 65535u

static int fail(const struct hef_layer *l, struct hw_error *err, const char *why)
{
	return hw_fail(err, -EBADMSG, "layer %s: %s", l->name, why);
}

/* Step 3: the largest multiple of the granule, at most one row, that divides the frame. */
static uint64_t search(const struct hef_layer *l, uint64_t row, uint64_t frame, uint64_t shmifo,
		       uint32_t page)
{
	bool ddr = l->kind == HEF_EDGE_DDR;
	uint64_t step = ddr ? NETWORK_DDR_ROW : PERIPH_ALIGN;
	uint64_t most = shmifo < PERIPH_BYTES_MAX ? shmifo : PERIPH_BYTES_MAX;
	uint64_t bytes = align_up(row, step);

	/* Larger ones are refused one by one; starting at the limit gives the same answer. */
	if (bytes > most)
		bytes = most / step * step;
	for (; bytes; bytes -= step) {
		if (ddr ? bytes < shmifo && l->core_bytes_per_buffer % bytes == 0
			: bytes < shmifo - page && frame % bytes == 0)
			return bytes;
	}
	return 0;
}

/* Step 6: fewer, larger buffers, so that fewer credits travel. */
static void optimise(const struct chip_hw_consts *c, uint64_t *bytes, uint64_t *buffers)
{
	uint64_t frame = *bytes * *buffers;
	uint64_t m = c->max_acceptable_bytes_per_buffer > *bytes
			     ? c->max_acceptable_bytes_per_buffer
			     : *bytes;
	uint64_t end = frame < c->max_periph_buffers_per_frame ? frame
							       : c->max_periph_buffers_per_frame;
	uint64_t words = frame / c->fifo_word_granularity;
	uint64_t i = ceil_div(frame, m);

	while (i < end && (words % i != 0 || frame / i > c->max_periph_bytes_per_buffer))
		i++;
	if (i < end)
		*buffers = i;
	else if (c->max_periph_buffers_per_frame >= frame)
		*buffers = frame;
	*bytes = frame / *buffers;
}

int network_periph(const struct hef_layer *l, const struct chip_hw_consts *c, bool hw_padding,
		   struct network_stream *s, struct hw_error *err)
{
	uint64_t shmifo = l->max_shmifo_size ? l->max_shmifo_size : c->default_initial_credit_size;
	uint64_t bytes, buffers;
	bool ddr = l->kind == HEF_EDGE_DDR;

	if (!c->fifo_word_granularity)
		return hw_fail(err, -EINVAL, "the chip's constants have a zero word granularity");
	s->feature_padding_payload = l->feature_padding_payload;
	s->buffer_padding_payload = 0;
	s->buffer_padding = 0;
	s->initial_credit = (uint32_t)shmifo;
	if (l->order == HW_ORDER_HAILO_NMS_ON_CHIP) {
		bytes = (uint64_t)l->nms.bbox_size * (l->nms.burst ? l->nms.burst_size : 1);
		if (!bytes)
			return fail(l, err, "NMS with empty boxes");
		buffers = s->transfer / bytes;
	} else {
		uint64_t row = (uint64_t)l->hw_width * l->hw_features * l->data_bytes;
		uint64_t frame = l->hw_height * row;

		/* Sizes that no transfer can have; also keeps the arithmetic below from wrapping. */
		if (!frame || row > UINT32_MAX || frame > UINT32_MAX)
			return fail(l, err, "empty, or larger than a transfer can be");
		if (s->page >= shmifo)
			return fail(l, err, "its descriptor page does not fit the chip's stream FIFO");
		if (hw_padding && frame % PERIPH_ALIGN) {
			uint64_t padded = align_up(frame, PERIPH_ALIGN);

			if (frame >= 0xffff)
				return fail(l, err, "unaligned frame too large for the chip to pad");
			s->buffer_padding_payload = (uint32_t)frame;
			s->buffer_padding = (uint16_t)(padded - frame);
			frame = padded;
		}
		bytes = search(l, row, frame, shmifo, s->page);
		if (!bytes)
			return fail(l, err, "no buffer size divides its frame");
		buffers = ddr ? (uint64_t)l->core_bytes_per_buffer * l->core_buffers_per_frame / bytes
			      : frame / bytes;
		if (buffers > PERIPH_FIELD_MAX)
			buffers = PERIPH_FIELD_MAX;
	}
	if (!buffers)
		return fail(l, err, "a transfer smaller than one buffer");
	if (bytes % c->fifo_word_granularity)
		return fail(l, err, "its buffers are no multiple of the chip's FIFO word");
	if (c->should_optimize_credits && !ddr)
		optimise(c, &bytes, &buffers);
	if (!l->input && bytes + 8 + s->page > c->outbound_data_stream_size)
		return fail(l, err, "its buffers do not fit the chip's outbound stream");
	if (bytes > PERIPH_FIELD_MAX || buffers > PERIPH_FIELD_MAX)
		return fail(l, err, "its buffers do not fit the 16-bit registers");
	s->periph_bytes = (uint16_t)bytes;
	s->periph_buffers = (uint16_t)buffers;
	return 0;
}
