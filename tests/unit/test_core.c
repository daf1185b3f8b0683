// SPDX-License-Identifier: MIT
/* The neural core: its arithmetic against plain loops, and its distrust of what it is fed. */
#include "support/support.h"

#include <math.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "mock/core.h"
#include "mock/mock.h"

static uint32_t seed = 1;

static uint32_t rnd(void)
{
	seed = seed * 1664525u + 1013904223u;
	return seed >> 8;
}

static int32_t between(int32_t lo, int32_t hi)
{
	return lo + (int32_t)(rnd() % (uint32_t)(hi - lo + 1));
}

/* The documented result of a layer, from libm's rounding instead of the kernel's trick. */
static int16_t requant(int64_t sum, float mult, float bias, int16_t lo, int16_t hi)
{
	float p = (float)(int32_t)sum * mult, v = p + bias;
	double r = rint((double)v);

	assert_in_range(sum + INT32_MAX, 0, 2ll * INT32_MAX);
	return (int16_t)(r < lo ? lo : r > hi ? hi : r);
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
		put_f32(b, mult * (1 + (float)between(-500, 500) / 1000));
	for (uint32_t i = 0; i < n; i++)
		put_f32(b, (float)between(-3000, 3000) / 100);
	for (uint32_t i = 0; i < n; i++)
		buf_le16(b, (uint16_t)(lo + (int16_t)(i % 3)));
	for (uint32_t i = 0; i < n; i++)
		buf_le16(b, (uint16_t)(hi - (int16_t)(i % 5)));
}

static void put_conv(struct buf *b, uint32_t out, uint32_t in, const struct payload_conv *c, float mult,
		     int16_t lo, int16_t hi)
{
	const uint32_t w[] = {c->groups, c->c,	c->h,  c->w,		 c->o,		  c->kh, c->kw,
			      c->sh,	 c->sw, c->dh, c->dw, (uint32_t)c->pt, (uint32_t)c->pl,
			      c->oh,	 c->ow, c->weight_bytes};
	size_t at = begin_layer(b, PAYLOAD_CONV, out, in);

	for (size_t i = 0; i < ARRAY_SIZE(w); i++)
		buf_le32(b, w[i]);
	put_requant(b, c->o, mult, false, lo, hi);
	for (size_t i = 0; i < (size_t)c->o * (c->c / c->groups) * c->kh * c->kw; i++) {
		if (c->weight_bytes == 1)
			buf_u8(b, (uint8_t)between(-127, 127));
		else
			buf_le16(b, (uint16_t)between(-2047, 2047));
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

#define NET_C 3u
#define NET_T 10u
#define NET_O 5u

/*
 * One input of NET_T x NET_C bytes, turned, convolved, run through a table and added to itself,
 * pooled, and multiplied: every kind of layer once.
 */
static void make_network(struct buf *image)
{
	struct buf quant = {0}, graph = {0};
	const uint32_t elements[] = {NET_T * NET_C, NET_T * NET_C, NET_T * NET_O, NET_T * NET_O,
				     NET_T * NET_O, NET_O, 7, 7};
	size_t at;

	seed = 7;
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
	put_conv(&graph, 2, 1, &(struct payload_conv){1, NET_C, 1, NET_T, NET_O, 1, 3, 1, 1, 1, 2, 0, 4,
						      1, NET_T, 1}, 0.004f, -100, 100);
	at = begin_layer(&graph, PAYLOAD_TABLE, 3, 2);
	buf_le32(&graph, (uint32_t)-100);
	buf_le32(&graph, 203);
	for (int i = 0; i < 203; i++)
		buf_le16(&graph, (uint16_t)between(-120, 120));
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
	put_conv(&graph, 6, 5, &(struct payload_conv){1, NET_O, 1, 1, 7, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1},
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

/* Records of @step words for words [first, last) of the image, with the leading record. */
static void make_stream(struct buf *s, const struct buf *image, uint32_t stream, uint32_t streams,
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

struct streams {
	struct buf s[2];
};

static void setup_streams(struct streams *x)
{
	struct buf image = {0};

	*x = (struct streams){0};
	make_network(&image);
	make_stream(&x->s[0], &image, 0, 2, 0, image.len / 8, 9);
	make_stream(&x->s[1], &image, 1, 2, image.len / 8, image.len / 4, 16);
	buf_free(&image);
}

static void free_streams(struct streams *x)
{
	buf_free(&x->s[0]);
	buf_free(&x->s[1]);
}

static char why[256];

/* 0 when a core takes it all; otherwise it must have said why. */
static int load(const struct streams *x)
{
	struct core *core = core_new(1);
	int r = 0;

	for (unsigned int i = 0; !r && i < 2; i++)
		r = core_feed(core, i, x->s[i].ptr, x->s[i].len);
	if (!r)
		r = core_ready(core);
	if (r) {
		assert_int_equal(r, -EBADMSG);
		assert_true(*core_error(core) != 0);
		assert_int_equal(core_ready(core), -EBADMSG);
	}
	snprintf(why, sizeof(why), "%s", core_error(core));
	core_free(core);
	return r;
}

/* ----------------------------------------------------------------------- kernels */

static void gemm_equals_plain_loops(void **state)
{
	static const size_t sizes[][3] = {{1, 1, 16}, {2, 4, 16}, {3, 5, 32}, {7, 9, 48}, {100, 13, 192}};

	(void)state;
	for (size_t t = 0; t < ARRAY_SIZE(sizes); t++) {
		const size_t rows = sizes[t][0], o = sizes[t][1], k = sizes[t][2];
		int16_t *a = malloc(rows * k * 2), *w = malloc(o * k * 2), *out = malloc(rows * o * 2);
		int16_t *plain = malloc(rows * o * 2);
		float *mult = malloc(o * 4), *bias = malloc(o * 4);
		int16_t *lo = malloc(o * 2), *hi = malloc(o * 2);
		const struct core_requant rq = {.mult = mult, .bias = bias, .lo = lo, .hi = hi};

		for (size_t i = 0; i < rows * k; i++)
			a[i] = (int16_t)between(-255, 255);
		for (size_t i = 0; i < o * k; i++)
			w[i] = (int16_t)between(-127, 127);
		for (size_t i = 0; i < o; i++) {
			mult[i] = (float)between(1, 1000) / 1e6f;
			bias[i] = (float)between(-100, 100) / 7;
			lo[i] = (int16_t)between(-200, 0);
			hi[i] = (int16_t)between(1, 300);
		}
		core_gemm(a, rows, w, 0, o, k, &rq, out, rows);
		core_gemm_plain(a, rows, w, 0, o, k, &rq, plain, rows);
		assert_memory_equal(out, plain, rows * o * 2);
		for (size_t i = 0; i < o; i++)
			for (size_t p = 0; p < rows; p++) {
				int64_t sum = 0;

				for (size_t j = 0; j < k; j++)
					sum += a[p * k + j] * w[i * k + j];
				assert_int_equal(out[i * rows + p],
						 requant(sum, mult[i], bias[i], lo[i], hi[i]));
			}
		free(a), free(w), free(out), free(plain), free(mult), free(bias), free(lo), free(hi);
	}
}

static void rounding_is_half_to_even_and_saturates(void **state)
{
	(void)state;
	assert_int_equal(core_requant_one(1, 0.5f, 0, -10, 10), 0);
	assert_int_equal(core_requant_one(3, 0.5f, 0, -10, 10), 2);
	assert_int_equal(core_requant_one(5, 0.5f, 0, -10, 10), 2);
	assert_int_equal(core_requant_one(-3, 0.5f, 0, -10, 10), -2);
	assert_int_equal(core_requant_one(-5, 0.5f, 0.25f, -10, 10), -2);
	assert_int_equal(core_requant_one(INT32_MAX, 1, 0, -32768, 32767), 32767);
	assert_int_equal(core_requant_one(-INT32_MAX, 1e9f, 0, -32768, 32767), -32768);
	for (int i = 0; i < 20000; i++) {
		int32_t sum = between(-8000000, 8000000);
		float mult = (float)between(1, 100000) / 1e6f, bias = (float)between(-999, 999) / 8;

		assert_int_equal(core_requant_one(sum, mult, bias, -32768, 32767),
				 requant(sum, mult, bias, -32768, 32767));
	}
}

/* What the definition in mock/payload.h says, position by position. */
static int16_t conv_at(const struct core_layer *l, const uint8_t *weights, const int16_t *in, uint32_t o,
		       uint32_t oy, uint32_t ox)
{
	const struct payload_conv *c = &l->conv;
	const uint32_t cg = c->c / c->groups, g = o / (c->o / c->groups);
	int64_t sum = 0;

	for (uint32_t ch = 0; ch < cg; ch++)
		for (uint32_t ky = 0; ky < c->kh; ky++)
			for (uint32_t kx = 0; kx < c->kw; kx++) {
				int64_t y = (int64_t)oy * c->sh + ky * c->dh - c->pt;
				int64_t x = (int64_t)ox * c->sw + kx * c->dw - c->pl;
				size_t wi = ((o * cg + ch) * c->kh + ky) * c->kw + kx;
				int w = c->weight_bytes == 1 ? (int8_t)weights[wi] :
							       (int16_t)get_le16(weights + 2 * wi);

				if (y >= 0 && y < c->h && x >= 0 && x < c->w)
					sum += (int64_t)w *
					       in[((g * cg + ch) * c->h + (uint32_t)y) * c->w + (uint32_t)x];
			}
	return requant(sum, l->rq.mult[o], l->rq.bias[o], l->rq.lo[o], l->rq.hi[o]);
}

static void convolutions_equal_their_definition(void **state)
{
	static const struct payload_conv convs[] = {
		{1, 9, 1, 100, 64, 1, 3, 1, 1, 1, 1, 0, 2, 1, 100, 1},
		{1, 5, 1, 20, 7, 1, 3, 1, 1, 1, 4, 0, 8, 1, 20, 2},
		{1, 4, 9, 7, 6, 3, 3, 2, 2, 1, 1, 1, 1, 5, 4, 1},
		{2, 4, 6, 5, 8, 2, 3, 1, 2, 2, 1, 0, 1, 4, 3, 1},
		{6, 6, 3, 4, 6, 3, 3, 1, 1, 1, 1, 1, 1, 3, 4, 1},
		{1, 3, 1, 12, 5, 1, 2, 1, 1, 1, 1, 0, -3, 1, 6, 2},
		{1, 33, 1, 1, 10, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1},
	};

	(void)state;
	for (size_t t = 0; t < ARRAY_SIZE(convs); t++) {
		const struct payload_conv *c = &convs[t];
		const size_t n_in = (size_t)c->c * c->h * c->w, n_out = (size_t)c->o * c->oh * c->ow;
		struct core_tensor tensors[2] = {{.elements = (uint32_t)n_in, .lo = -255, .hi = 255, .written = true},
						 {.elements = (uint32_t)n_out}};
		int16_t *data[2] = {malloc(n_in * 2), malloc(n_out * 2)}, *scratch;
		struct core_layer l;
		struct hw_error err = {0};
		struct buf b = {0};
		const uint8_t *weights;

		put_conv(&b, 1, 0, c, c->weight_bytes == 1 ? 0.002f : 0.0002f, -128, 127);
		assert_ok(core_layer_parse(&(struct span){b.ptr, b.len}, tensors, 2, &l, &err), &err);
		assert_int_equal(tensors[1].lo, -128);
		assert_int_equal(tensors[1].hi, 127);
		weights = b.ptr + 16 + sizeof(*c) + c->o * 12;
		scratch = aligned_alloc(64, align_up(core_layer_scratch(&l) * 2, 64));
		for (size_t i = 0; i < n_in; i++)
			data[0][i] = (int16_t)between(-255, 255);
		core_layer_run(NULL, &l, tensors, data, scratch);
		for (uint32_t o = 0; o < c->o; o++)
			for (uint32_t y = 0; y < c->oh; y++)
				for (uint32_t x = 0; x < c->ow; x++)
					assert_int_equal(data[1][(o * c->oh + y) * c->ow + x],
							 conv_at(&l, weights, data[0], o, y, x));
		core_layer_clear(&l);
		buf_free(&b);
		free(data[0]), free(data[1]), free(scratch);
	}
}

/* ------------------------------------------------------------------ whole networks */

/* make_network() again, in plain loops over the bytes of its image. */
static void reference_run(const struct buf *image, const uint8_t *in, uint8_t *out)
{
	struct core_graph *g;
	struct hw_error err = {0};
	int16_t v[8][64] = {{0}};

	assert_ok(core_graph_parse((struct span){image->ptr, image->len}, &g, &err), &err);
	for (size_t i = 0; i < NET_T * NET_C; i++)
		v[1][i % NET_C * NET_T + i / NET_C] = (int16_t)(in[i] - 100 - (int)(i % NET_C));
	for (size_t i = 0; i < g->n_layers; i++) {
		const struct core_layer *l = &g->layers[i];
		const struct core_requant *rq = &l->rq;

		for (uint32_t e = 0; e < g->tensors[l->out].elements; e++) {
			const uint32_t c = l->op == PAYLOAD_POOL ? e : rq->n ? e / rq->inner % rq->n : 0;
			int64_t sum = 0;

			switch (l->op) {
			case PAYLOAD_CONV:
				for (size_t k = 0; k < l->k; k++) {
					int64_t x = (int64_t)(e % l->conv.ow) +
						    (int64_t)(k % l->conv.kw * l->conv.dw) - l->conv.pl;

					if (x >= 0 && x < l->conv.w)
						sum += l->weights[c * l->k_padded + k] *
						       v[l->in][k / l->conv.kw * l->conv.w + (size_t)x];
				}
				break;
			case PAYLOAD_POOL:
				for (uint32_t k = 0; k < rq->inner; k++)
					sum += v[l->in][e * rq->inner + k];
				break;
			case PAYLOAD_TABLE:
				v[l->out][e] = l->table[v[l->in][e] + 100];
				continue;
			case PAYLOAD_MOVE:
				continue;
			case PAYLOAD_ADD: {
				float a = (float)v[l->in][e] * rq->mult[c];
				float b = (float)v[l->in2][e] * rq->mult2[c];
				float y = a + b;
				double r = rint((double)(y + rq->bias[c]));

				v[l->out][e] = (int16_t)(r < rq->lo[c] ? rq->lo[c] : r > rq->hi[c] ? rq->hi[c] : r);
				continue;
			}
			default:
				sum = v[l->in][e];
			}
			v[l->out][e] = requant(sum, rq->mult[c], rq->bias[c], rq->lo[c], rq->hi[c]);
		}
	}
	for (size_t i = 0; i < 7; i++)
		out[i] = (uint8_t)v[7][i];
	core_graph_free(g);
}

static void same_bits_with_any_number_of_threads(void **state)
{
	struct streams x;
	struct buf image = {0};
	bool varied = false;

	(void)state;
	setup_streams(&x);
	make_network(&image);
	for (unsigned int threads = 1; threads <= 4; threads *= 2) {
		struct core *core = core_new(threads);
		size_t n;
		const struct core_port *ports;

		/* bytes of both channels interleaved, in uneven bits */
		for (size_t at[2] = {0, 0}; at[0] < x.s[0].len || at[1] < x.s[1].len;)
			for (unsigned int i = 0; i < 2; i++) {
				size_t len = 1 + rnd() % 13, left = x.s[i].len - at[i];

				len = len < left ? len : left;
				assert_int_equal(core_feed(core, i, x.s[i].ptr + at[i], len), 0);
				at[i] += len;
				assert_int_equal(core_stream_done(core, i), at[i] == x.s[i].len);
			}
		if (core_ready(core))
			fail_msg("%s", core_error(core));
		assert_int_equal(core_ready(core), 0);
		ports = core_ports(core, &n);
		assert_int_equal(n, 2);
		assert_int_equal(ports[0].bytes, NET_T * NET_C);
		assert_int_equal(ports[1].bytes, 7);
		assert_int_equal(ports[1].stream_index, 1);
		assert_true(!ports[0].output && ports[1].output);
		seed = 99;
		for (int run = 0; run < 50; run++) {
			uint8_t in[NET_T * NET_C], got[7], want[7], first[7];

			for (size_t i = 0; i < sizeof(in); i++)
				in[i] = (uint8_t)rnd();
			assert_int_equal(core_run(core, (const uint8_t *const[]){in}, (uint8_t *const[]){got}), 0);
			reference_run(&image, in, want);
			assert_memory_equal(got, want, 7);
			if (!run)
				memcpy(first, got, 7);
			varied |= memcmp(first, got, 7) != 0;
		}
		core_free(core);
	}
	assert_true(varied); /* a network that always says the same would prove nothing */
	buf_free(&image);
	free_streams(&x);
}

static void every_flipped_byte_is_noticed(void **state)
{
	static const uint8_t flips[] = {0x01, 0x80, 0xff};
	struct streams x;

	(void)state;
	setup_streams(&x);
	assert_int_equal(load(&x), 0);
	for (unsigned int i = 0; i < 2; i++)
		for (size_t at = 0; at < x.s[i].len; at++)
			for (size_t f = 0; f < ARRAY_SIZE(flips); f++) {
				x.s[i].ptr[at] ^= flips[f];
				if (!load(&x))
					fail_msg("byte %zu of channel %u does not matter", at, i);
				x.s[i].ptr[at] ^= flips[f];
			}
	assert_int_equal(load(&x), 0);
	free_streams(&x);
}

static void missing_and_extra_bytes_are_noticed(void **state)
{
	struct streams x;

	(void)state;
	setup_streams(&x);
	for (unsigned int i = 0; i < 2; i++) {
		const size_t len = x.s[i].len;

		for (x.s[i].len = 0; x.s[i].len < len; x.s[i].len++)
			assert_int_equal(load(&x), -EBADMSG);
		for (size_t gap = 0; gap + 8 < len; gap += 8) { /* words left out in the middle */
			struct streams y = x;

			y.s[i] = (struct buf){0};
			if (gap)
				buf_put(&y.s[i], x.s[i].ptr, gap);
			buf_put(&y.s[i], x.s[i].ptr + gap + 8, len - gap - 8);
			assert_int_equal(load(&y), -EBADMSG);
			buf_free(&y.s[i]);
		}
		buf_zero(&x.s[i], 8); /* a no-op record, which these chips' files do not have */
		assert_int_equal(load(&x), -EBADMSG);
		x.s[i].len = len;
	}
	assert_int_equal(load(&x), 0);
	free_streams(&x);
}

/* Right checksums do not help a stream that lies about where it goes. */
static void coverage_is_exact(void **state)
{
	struct buf image = {0};
	struct streams x = {0};
	size_t words, half;

	(void)state;
	make_network(&image);
	words = image.len / 4;
	half = words / 2;
	const struct {
		size_t end0, start1, end1;
		uint32_t id1, streams;
		const char *why;
	} cases[] = {
		{half, half, words, 1, 2, ""},
		{half - 1, half, words, 1, 2, "never written"},
		{half + 1, half, words, 1, 2, "second time"},
		{half, half, words - 1, 1, 2, "never written"},
		{half, half, words, 0, 2, "bytes of channel 0"},
		{half, half, words, 1, 3, "channel 2 is not complete"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		make_stream(&x.s[0], &image, 0, cases[i].streams, 0, cases[i].end0, 9);
		make_stream(&x.s[1], &image, cases[i].id1, cases[i].streams, cases[i].start1,
			    cases[i].end1, 16);
		assert_int_equal(load(&x), i ? -EBADMSG : 0);
		if (!strstr(why, cases[i].why))
			fail_msg("case %zu: %s", i, why);
		free_streams(&x);
	}
	/* the channel's own digest: wrong, but vouched for by the first record */
	make_stream(&x.s[0], &image, 0, 2, 0, half, 9);
	make_stream(&x.s[1], &image, 1, 2, half, words, 16);
	x.s[1].ptr[8 + offsetof(struct payload_stream, xxh3)] ^= 1;
	put_le64(x.s[1].ptr + 8 + offsetof(struct payload_stream, self_xxh3),
		 XXH3_64bits(x.s[1].ptr + 8, offsetof(struct payload_stream, self_xxh3)));
	assert_int_equal(load(&x), -EBADMSG);
	assert_non_null(strstr(why, "channel 1: checksum"));
	free_streams(&x);
	buf_free(&image);
}

static void channels_of_two_networks_do_not_mix(void **state)
{
	struct buf image = {0};
	struct streams a, b, mixed;

	(void)state;
	setup_streams(&a);
	make_network(&image);
	image.ptr[image.len - 1] ^= 1; /* hi limit of the last layer */
	b = (struct streams){0};
	make_stream(&b.s[0], &image, 0, 2, 0, image.len / 8, 9);
	make_stream(&b.s[1], &image, 1, 2, image.len / 8, image.len / 4, 16);
	assert_int_equal(load(&b), 0);
	mixed = (struct streams){{a.s[0], b.s[1]}};
	assert_int_equal(load(&mixed), -EBADMSG);
	mixed = (struct streams){{a.s[1], a.s[0]}};
	assert_int_equal(load(&mixed), -EBADMSG);
	free_streams(&a);
	free_streams(&b);
	buf_free(&image);
}

/* Images whose checksums are right but whose contents are not: refused, or harmless to run. */
static void damaged_images_are_harmless(void **state)
{
	struct buf good = {0};
	uint8_t *bad;
	size_t refused = 0, accepted = 0;

	(void)state;
	make_network(&good);
	bad = malloc(good.len);
	seed = 5;
	for (size_t t = 0; t < good.len * 6 + 3000; t++) {
		struct core_graph *g = NULL;
		struct hw_error err = {0};
		size_t len = good.len, total = 0;
		int r;

		memcpy(bad, good.ptr, len);
		if (t < good.len * 6) {
			static const uint8_t how[] = {1, 4, 0x10, 0x40, 0x80, 0xff};

			bad[t / 6] ^= how[t % 6];
		} else if (t % 4 == 0) {
			len = rnd() % good.len;
		} else {
			for (uint32_t n = 1 + rnd() % 6; n; n--)
				put_le32(bad + rnd() % (len / 4) * 4, rnd() % 3 ? rnd() % 300 : rnd() << 8);
		}
		r = core_graph_parse((struct span){bad, len}, &g, &err);
		if (r) {
			assert_int_equal(r, -EBADMSG);
			assert_true(*err.text != 0);
			refused++;
			continue;
		}
		accepted++;
		for (size_t i = 0; i < g->n_tensors; i++)
			total += g->tensors[i].elements;
		if (total < 100000 && g->scratch < 100000) {
			int16_t **v = calloc(g->n_tensors, sizeof(*v));
			int16_t *scratch = malloc(g->scratch * 2 + 2);

			for (size_t i = 0; i < g->n_tensors; i++)
				v[i] = calloc(g->tensors[i].elements, 2);
			for (size_t i = 0; i < g->n_ports; i++)
				for (size_t e = 0; !g->ports[i].output && e < g->tensors[g->ports[i].tensor].elements; e++)
					v[g->ports[i].tensor][e] =
						(int16_t)between(0, 255) -
						g->ports[i].zero[e / g->ports[i].inner % g->ports[i].n];
			for (size_t i = 0; i < g->n_layers; i++)
				core_layer_run(NULL, &g->layers[i], g->tensors, v, scratch);
			for (size_t i = 0; i < g->n_tensors; i++) {
				for (size_t e = 0; e < g->tensors[i].elements; e++)
					assert_true(v[i][e] >= g->tensors[i].lo && v[i][e] <= g->tensors[i].hi);
				free(v[i]);
			}
			free(v);
			free(scratch);
		}
		core_graph_free(g);
	}
	assert_true(refused > 1000 && accepted > 1000);
	free(bad);
	buf_free(&good);
}

static void noise_is_refused(void **state)
{
	(void)state;
	seed = 11;
	for (int t = 0; t < 300; t++) {
		struct core *core = core_new(1);
		int r = 0;

		for (int n = 0; !r && n < 20; n++) {
			uint8_t data[64];

			for (size_t i = 0; i < sizeof(data); i++)
				data[i] = (uint8_t)rnd();
			r = core_feed(core, rnd() % 5, data, rnd() % sizeof(data));
		}
		assert_true(r || core_ready(core));
		assert_true(*core_error(core) != 0);
		assert_int_equal(core_run(core, NULL, NULL), -EBADMSG);
		core_free(core);
	}
}

/* The limits that a network of legal form but hostile numbers runs into. */
static void sums_that_could_overflow_are_refused(void **state)
{
	struct core_tensor t[2] = {{.elements = 70000, .lo = -255, .hi = 255, .written = true},
				   {.elements = 1}};
	struct payload_conv c = {1, 70000, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1};
	struct hw_error err = {0};
	struct core_layer l;
	struct buf b = {0};

	(void)state;
	put_conv(&b, 1, 0, &c, 1, 0, 10);
	memset(b.ptr + b.len - 70000, 127, 70000);
	assert_int_equal(core_layer_parse(&(struct span){b.ptr, b.len}, t, 2, &l, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "32 bits"));
	core_layer_clear(&l);
	memset(b.ptr + b.len - 70000, 100, 70000);
	t[1] = (struct core_tensor){.elements = 1};
	assert_ok(core_layer_parse(&(struct span){b.ptr, b.len}, t, 2, &l, &err), &err);
	core_layer_clear(&l);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gemm_equals_plain_loops),
		cmocka_unit_test(rounding_is_half_to_even_and_saturates),
		cmocka_unit_test(convolutions_equal_their_definition),
		cmocka_unit_test(same_bits_with_any_number_of_threads),
		cmocka_unit_test(every_flipped_byte_is_noticed),
		cmocka_unit_test(missing_and_extra_bytes_are_noticed),
		cmocka_unit_test(coverage_is_exact),
		cmocka_unit_test(channels_of_two_networks_do_not_mix),
		cmocka_unit_test(damaged_images_are_harmless),
		cmocka_unit_test(noise_is_refused),
		cmocka_unit_test(sums_that_could_overflow_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
