// SPDX-License-Identifier: MIT
#include "support/coreimage.h"

#include <math.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

uint32_t core_seed = 1;

uint32_t core_rnd(void)
{
	core_seed = core_seed * 1664525u + 1013904223u;
	return core_seed >> 8;
}

int32_t core_between(int32_t lo, int32_t hi)
{
	return lo + (int32_t)(core_rnd() % (uint32_t)(hi - lo + 1));
}

/* ---------------------------------------------------------------- images by hand */

static void put_f32(struct buf *b, float f)
{
	uint32_t u;

	memcpy(&u, &f, 4);
	buf_le32(b, u);
}

static size_t begin_layer(struct buf *b, uint32_t op, uint32_t out, uint32_t in)
{
	size_t at = b->len;

	buf_le32(b, op);
	buf_le32(b, 0);
	buf_le32(b, out);
	buf_le32(b, in);
	return at;
}

static void end_layer(struct buf *b, size_t at)
{
	buf_zero(b, -b->len & 3);
	put_le32(b->ptr + at + 4, (uint32_t)(b->len - at));
}

/* Random factors around @mult for n channels, and limits. */
static void put_requant(struct buf *b, uint32_t n, float mult, bool two, int16_t lo, int16_t hi)
{
	for (uint32_t i = 0; i < n * (two ? 2 : 1); i++)
		put_f32(b, mult * (1 + (float)core_between(-500, 500) / 1000));
	for (uint32_t i = 0; i < n; i++)
		put_f32(b, (float)core_between(-3000, 3000) / 100);
	for (uint32_t i = 0; i < n; i++)
		buf_le16(b, (uint16_t)(lo + (int16_t)(i % 3)));
	for (uint32_t i = 0; i < n; i++)
		buf_le16(b, (uint16_t)(hi - (int16_t)(i % 5)));
}

void core_put_conv(struct buf *b, uint32_t out, uint32_t in, const struct payload_conv *c,
		   float mult, int16_t lo, int16_t hi)
{
	const uint32_t w[] = {c->groups,       c->c,  c->h,  c->w,	     c->o,  c->kh,
			      c->kw,	       c->sh, c->sw, c->dh,	     c->dw, (uint32_t)c->pt,
			      (uint32_t)c->pl, c->oh, c->ow, c->weight_bytes};
	size_t at = begin_layer(b, PAYLOAD_CONV, out, in);

	for (size_t i = 0; i < ARRAY_SIZE(w); i++)
		buf_le32(b, w[i]);
	put_requant(b, c->o, mult, false, lo, hi);
	for (size_t i = 0; i < (size_t)c->o * (c->c / c->groups) * c->kh * c->kw; i++) {
		if (c->weight_bytes == 1)
			buf_u8(b, (uint8_t)core_between(-127, 127));
		else
			buf_le16(b, (uint16_t)core_between(-2047, 2047));
	}
	end_layer(b, at);
}

static void put_port(struct buf *b, uint32_t tensor, uint8_t stream, bool output, uint32_t n)
{
	buf_le32(b, tensor);
	buf_u8(b, stream);
	buf_u8(b, output);
	buf_le16(b, 0);
	buf_le32(b, n);
	buf_le32(b, 1);
	for (uint32_t i = 0; i < n; i++)
		put_f32(b, 0.5f);
	for (uint32_t i = 0; i < n; i++)
		buf_u8(b, (uint8_t)(output ? 0 : 100 + i));
	buf_zero(b, -b->len & 3);
}

static void make_image(struct buf *image, uint32_t tensors, uint32_t ports, uint32_t layers,
		       const struct buf *quant, const struct buf *graph)
{
	buf_le32(image, PAYLOAD_IMAGE_MAGIC);
	buf_le32(image, PAYLOAD_VERSION);
	buf_le32(image, tensors);
	buf_le32(image, ports);
	buf_le32(image, layers);
	buf_le32(image, (uint32_t)quant->len);
	buf_le32(image, (uint32_t)graph->len);
	buf_le32(image, 0);
	buf_put(image, quant->ptr, quant->len);
	buf_put(image, graph->ptr, graph->len);
}

void core_make_network(struct buf *image)
{
	struct buf quant = {0}, graph = {0};
	const uint32_t elements[] = {
	    NET_T * NET_C, NET_T * NET_C, NET_T * NET_O, NET_T * NET_O, NET_T * NET_O, NET_O, 7, 7};
	size_t at;

	core_seed = 7;
	for (size_t i = 0; i < ARRAY_SIZE(elements); i++)
		buf_le32(&quant, elements[i]);
	put_port(&quant, 0, 0, false, NET_C);
	put_port(&quant, 7, 1, true, 1);

	at = begin_layer(&graph, PAYLOAD_MOVE, 1, 0);
	buf_le32(&graph, 2);
	buf_le32(&graph, 0);
	buf_le32(&graph, NET_C);
	buf_le32(&graph, 1);
	buf_le32(&graph, NET_T);
	buf_le32(&graph, NET_C);
	end_layer(&graph, at);
	core_put_conv(
	    &graph, 2, 1,
	    &(struct payload_conv){1, NET_C, 1, NET_T, NET_O, 1, 3, 1, 1, 1, 2, 0, 4, 1, NET_T, 1},
	    0.004f, -100, 100);
	at = begin_layer(&graph, PAYLOAD_TABLE, 3, 2);
	buf_le32(&graph, (uint32_t)-100);
	buf_le32(&graph, 203);
	for (int i = 0; i < 203; i++)
		buf_le16(&graph, (uint16_t)core_between(-120, 120));
	end_layer(&graph, at);
	at = begin_layer(&graph, PAYLOAD_ADD, 4, 3);
	buf_le32(&graph, 2);
	buf_le32(&graph, NET_O);
	buf_le32(&graph, NET_T);
	put_requant(&graph, NET_O, 0.6f, true, 0, 127);
	end_layer(&graph, at);
	at = begin_layer(&graph, PAYLOAD_POOL, 5, 4);
	buf_le32(&graph, NET_O);
	buf_le32(&graph, NET_T);
	put_requant(&graph, NET_O, 3.0f, false, 0, 32000);
	end_layer(&graph, at);
	core_put_conv(&graph, 6, 5,
		      &(struct payload_conv){1, NET_O, 1, 1, 7, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1},
		      0.0001f, -2000, 2000);
	at = begin_layer(&graph, PAYLOAD_SCALE, 7, 6);
	buf_le32(&graph, 7);
	buf_le32(&graph, 1);
	put_requant(&graph, 7, 0.3f, false, 0, 255);
	end_layer(&graph, at);
	make_image(image, ARRAY_SIZE(elements), 2, 7, &quant, &graph);
	assert_false(image->failed);
	buf_free(&quant);
	buf_free(&graph);
}

void core_make_stream(struct buf *s, const struct buf *image, uint32_t stream, uint32_t streams,
		      size_t first, size_t last, size_t step)
{
	struct buf body = {0}, info = {0};

	for (size_t w = first; w < last; w += step) {
		size_t n = last - w < step ? last - w : step;

		buf_le32(&body, (uint32_t)n - 1);
		buf_le32(&body, (uint32_t)w * 4);
		buf_put(&body, image->ptr + w * 4, n * 4);
		buf_zero(&body, n % 2 * 4);
	}
	buf_le32(&info, PAYLOAD_MAGIC);
	buf_le32(&info, PAYLOAD_VERSION);
	buf_le32(&info, stream);
	buf_le32(&info, streams);
	buf_le64(&info, body.len);
	buf_le64(&info, XXH3_64bits(body.ptr, body.len));
	buf_le64(&info, image->len);
	buf_le64(&info, XXH3_64bits(image->ptr, image->len));
	buf_le64(&info, XXH3_64bits(info.ptr, info.len));
	buf_le32(s, (uint32_t)info.len / 4 - 1);
	buf_le32(s, PAYLOAD_STREAM_BASE(stream));
	buf_put(s, info.ptr, info.len);
	buf_put(s, body.ptr, body.len);
	buf_free(&body);
	buf_free(&info);
}

int16_t core_expect(int64_t sum, float mult, float bias, int16_t lo, int16_t hi)
{
	float p = (float)(int32_t)sum * mult, v = p + bias;
	double r = rint((double)v);

	assert_in_range(sum + INT32_MAX, 0, 2ll * INT32_MAX);
	return (int16_t)(r < lo ? lo : r > hi ? hi : r);
}
