// SPDX-License-Identifier: MIT
/* The image that the core's memory will hold, and the CCW records that carry it there. */
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "build/internal.h"

#define STREAMS 2u	   /* like the real files (hef-format A.3) */
#define RECORD_WORDS 2047u /* odd: such a record ends with a padding word */
#define RECORDS_MAX 20000u /* pieces of one run must fit u16 (hef-format 4.9), two runs */

static void put_f32(struct buf *b, float f)
{
	uint32_t u;

	memcpy(&u, &f, 4);
	buf_le32(b, u);
}

/* Entry @i of a port: the channel of the root that says what its codes mean. */
static uint32_t port_channel(const struct plan *p, const struct split_port *port, uint32_t i)
{
	if (!port->inner)
		return i;
	return port->by_element ? p->values[port->value].label[i] : 0;
}

static void put_port(const struct plan *p, struct buf *b, const struct split_port *port,
		     uint32_t tensor)
{
	const struct root *root = &p->roots[p->values[port->value].root];
	const uint32_t n = port->inner ? port->by_element ? p->tensors[port->tensor].elements : 1
			   : port->output ? 1
					  : root->n;

	buf_le32(b, tensor);
	buf_u8(b, port->stream);
	buf_u8(b, port->output);
	buf_le16(b, 0);
	buf_le32(b, n);
	buf_le32(b, 1);
	for (uint32_t i = 0; i < n; i++)
		put_f32(b, root->scale[port_channel(p, port, i)]);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t c = port_channel(p, port, i);

		buf_u8(b, (uint8_t)(!port->inner	    ? root->zero[c]
				    : port->by_element ? -root->lo[c]
						       : port->zero));
	}
	buf_zero(b, -b->len & 3);
}

int image_write(const struct plan *p, const struct split_part *part, const uint32_t *number,
		const struct buf *graph, struct buf *image)
{
	const size_t head = sizeof(struct payload_image);
	uint8_t *h;

	buf_zero(image, head);
	for (size_t t = 0; t < p->n_tensors; t++) {
		if (number[t] != SPLIT_ABSENT)
			buf_le32(image, p->tensors[t].elements);
	}
	for (size_t i = 0; i < part->n_ports; i++)
		put_port(p, image, &part->ports[i], number[part->ports[i].tensor]);
	if (image->failed)
		return -ENOMEM;
	h = image->ptr;
	put_le32(h, PAYLOAD_IMAGE_MAGIC);
	put_le32(h + 4, PAYLOAD_VERSION);
	put_le32(h + 8, part->n_tensors);
	put_le32(h + 12, (uint32_t)part->n_ports);
	put_le32(h + 16, part->n_layers);
	put_le32(h + 20, (uint32_t)(image->len - head));
	put_le32(h + 24, (uint32_t)graph->len);
	buf_put(image, graph->ptr, graph->len);
	if (image->failed)
		return -ENOMEM;
	if (image->len > PAYLOAD_IMAGE_MAX)
		return hw_fail(p->err, -ENOTSUP, "the network is larger than the core's memory");
	return 0;
}

/* One record; its place among the pieces. */
static int put_record(struct ccw *out, uint32_t channel, uint32_t address, const uint8_t *data,
		      size_t words)
{
	const size_t at = out->block.len;

	buf_le32(&out->block, (uint32_t)words - 1);
	buf_le32(&out->block, address);
	buf_put(&out->block, data, words * 4);
	buf_zero(&out->block, words % 2 * 4);
	if (out->block.failed)
		return -ENOMEM;
	out->pieces[out->n++] = (struct ccw_piece){
	    .channel = channel,
	    .offset = at,
	    .size = (uint32_t)(out->block.len - at),
	};
	out->per_channel[channel]++;
	return 0;
}

static int put_stream(struct ccw *out, uint32_t channel, const struct buf *image, size_t first,
		      size_t last, size_t step)
{
	uint8_t info[sizeof(struct payload_stream)];
	size_t info_at = out->block.len + 8, from;
	int r;

	memset(info, 0, sizeof(info));
	r = put_record(out, channel, PAYLOAD_STREAM_BASE(channel), info, sizeof(info) / 4);
	from = out->block.len;
	for (size_t w = first; !r && w < last; w += step)
		r = put_record(out, channel, (uint32_t)(w * 4), image->ptr + w * 4,
			       last - w < step ? last - w : step);
	if (r)
		return r;
	put_le32(info, PAYLOAD_MAGIC);
	put_le32(info + 4, PAYLOAD_VERSION);
	put_le32(info + 8, channel);
	put_le32(info + 12, STREAMS);
	put_le64(info + 16, out->block.len - from);
	put_le64(info + 24, XXH3_64bits(out->block.ptr + from, out->block.len - from));
	put_le64(info + 32, image->len);
	put_le64(info + 40, XXH3_64bits(image->ptr, image->len));
	put_le64(info + 48, XXH3_64bits(info, offsetof(struct payload_stream, self_xxh3)));
	memcpy(out->block.ptr + info_at, info, sizeof(info));
	return 0;
}

int image_split(const struct buf *image, struct ccw *out)
{
	const size_t words = image->len / 4, half = words / 2;
	size_t step = half / 4 | 1;
	int r;

	if (step > RECORD_WORDS)
		step = RECORD_WORDS;
	if (words / step > RECORDS_MAX)
		step = (words / RECORDS_MAX + 1) | 1;
	*out = (struct ccw){0};
	out->pieces = calloc(words / step + 8, sizeof(*out->pieces));
	if (!out->pieces)
		return -ENOMEM;
	r = put_stream(out, 0, image, 0, half, step);
	if (!r)
		r = put_stream(out, 1, image, half, words, step);
	return r;
}
