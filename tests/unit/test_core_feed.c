// SPDX-License-Identifier: MIT
/* Whole networks over config channels: what the core computes then, and its distrust of the bytes.
 */
#include <math.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "mock/mock.h"
#include "support/coreimage.h"

struct streams {
	struct buf s[2];
};

static void setup_streams(struct streams *x)
{
	struct buf image = {0};

	*x = (struct streams){0};
	core_make_network(&image);
	core_make_stream(&x->s[0], &image, 0, 2, 0, image.len / 8, 9);
	core_make_stream(&x->s[1], &image, 1, 2, image.len / 8, image.len / 4, 16);
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

/* ------------------------------------------------------------------ whole networks */

/* core_make_network() again, in plain loops over the bytes of its image. */
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
			const uint32_t c = l->op == PAYLOAD_POOL ? e
					   : rq->n		 ? e / rq->inner % rq->n
								 : 0;
			int64_t sum = 0;

			switch (l->op) {
			case PAYLOAD_CONV:
				for (size_t k = 0; k < l->k; k++) {
					int64_t x = (int64_t)(e % l->conv.ow) +
						    (int64_t)(k % l->conv.kw * l->conv.dw) -
						    l->conv.pl;

					if (x >= 0 && x < l->conv.w)
						sum += l->weights[c * l->k_padded + k] *
						       v[l->in]
							[k / l->conv.kw * l->conv.w + (size_t)x];
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

				v[l->out][e] = (int16_t)(r < rq->lo[c]	 ? rq->lo[c]
							 : r > rq->hi[c] ? rq->hi[c]
									 : r);
				continue;
			}
			default:
				sum = v[l->in][e];
			}
			v[l->out][e] =
			    core_expect(sum, rq->mult[c], rq->bias[c], rq->lo[c], rq->hi[c]);
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
	core_make_network(&image);
	for (unsigned int threads = 1; threads <= 4; threads *= 2) {
		struct core *core = core_new(threads);
		size_t n;
		const struct core_port *ports;

		/* bytes of both channels interleaved, in uneven bits */
		for (size_t at[2] = {0, 0}; at[0] < x.s[0].len || at[1] < x.s[1].len;)
			for (unsigned int i = 0; i < 2; i++) {
				size_t len = 1 + core_rnd() % 13, left = x.s[i].len - at[i];

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
		core_seed = 99;
		for (int run = 0; run < 50; run++) {
			uint8_t in[NET_T * NET_C], got[7], want[7], first[7];

			for (size_t i = 0; i < sizeof(in); i++)
				in[i] = (uint8_t)core_rnd();
			assert_int_equal(
			    core_run(core, (const uint8_t *const[]){in}, (uint8_t *const[]){got}),
			    0);
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
	core_make_network(&image);
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
	    {half, half, words, 0, 2, "its own first record"},
	    {half, half, words, 1, 3, "channel 2 is not complete"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		core_make_stream(&x.s[0], &image, 0, cases[i].streams, 0, cases[i].end0, 9);
		core_make_stream(&x.s[1], &image, cases[i].id1, cases[i].streams, cases[i].start1,
				 cases[i].end1, 16);
		assert_int_equal(load(&x), i ? -EBADMSG : 0);
		if (!strstr(why, cases[i].why))
			fail_msg("case %zu: %s", i, why);
		free_streams(&x);
	}
	/* the channel's own digest: wrong, but vouched for by the first record */
	core_make_stream(&x.s[0], &image, 0, 2, 0, half, 9);
	core_make_stream(&x.s[1], &image, 1, 2, half, words, 16);
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
	core_make_network(&image);
	image.ptr[image.len - 1] ^= 1; /* hi limit of the last layer */
	b = (struct streams){0};
	core_make_stream(&b.s[0], &image, 0, 2, 0, image.len / 8, 9);
	core_make_stream(&b.s[1], &image, 1, 2, image.len / 8, image.len / 4, 16);
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
	core_make_network(&good);
	bad = malloc(good.len);
	core_seed = 5;
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
			len = core_rnd() % good.len;
		} else {
			for (uint32_t n = 1 + core_rnd() % 6; n; n--)
				put_le32(bad + core_rnd() % (len / 4) * 4,
					 core_rnd() % 3 ? core_rnd() % 300 : core_rnd() << 8);
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
				for (size_t e = 0; !g->ports[i].output &&
						   e < g->tensors[g->ports[i].tensor].elements;
				     e++)
					v[g->ports[i].tensor][e] =
					    (int16_t)core_between(0, 255) -
					    g->ports[i].zero[e / g->ports[i].inner % g->ports[i].n];
			for (size_t i = 0; i < g->n_layers; i++)
				core_layer_run(NULL, &g->layers[i], g->tensors, v, scratch);
			for (size_t i = 0; i < g->n_tensors; i++) {
				for (size_t e = 0; e < g->tensors[i].elements; e++)
					assert_true(v[i][e] >= g->tensors[i].lo &&
						    v[i][e] <= g->tensors[i].hi);
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
	core_seed = 11;
	for (int t = 0; t < 300; t++) {
		struct core *core = core_new(1);
		int r = 0;

		for (int n = 0; !r && n < 20; n++) {
			uint8_t data[64];

			for (size_t i = 0; i < sizeof(data); i++)
				data[i] = (uint8_t)core_rnd();
			r = core_feed(core, core_rnd() % 5, data, core_rnd() % sizeof(data));
		}
		assert_true(r || core_ready(core));
		assert_true(*core_error(core) != 0);
		assert_int_equal(core_run(core, NULL, NULL), -EBADMSG);
		core_free(core);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(same_bits_with_any_number_of_threads),
	    cmocka_unit_test(every_flipped_byte_is_noticed),
	    cmocka_unit_test(missing_and_extra_bytes_are_noticed),
	    cmocka_unit_test(coverage_is_exact),
	    cmocka_unit_test(channels_of_two_networks_do_not_mix),
	    cmocka_unit_test(damaged_images_are_harmless),
	    cmocka_unit_test(noise_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
