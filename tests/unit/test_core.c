// SPDX-License-Identifier: MIT
/* The neural core's arithmetic against plain loops. */
#include "support/coreimage.h"

/* ----------------------------------------------------------------------- kernels */

static void gemm_equals_plain_loops(void **state)
{
	static const size_t sizes[][3] = {
	    {1, 1, 16}, {2, 4, 16}, {3, 5, 32}, {7, 9, 48}, {100, 13, 192}};

	(void)state;
	for (size_t t = 0; t < ARRAY_SIZE(sizes); t++) {
		const size_t rows = sizes[t][0], o = sizes[t][1], k = sizes[t][2];
		int16_t *a = malloc(rows * k * 2), *w = malloc(o * k * 2),
			*out = malloc(rows * o * 2);
		int16_t *plain = malloc(rows * o * 2);
		float *mult = malloc(o * 4), *bias = malloc(o * 4);
		int16_t *lo = malloc(o * 2), *hi = malloc(o * 2);
		const struct core_requant rq = {.mult = mult, .bias = bias, .lo = lo, .hi = hi};

		for (size_t i = 0; i < rows * k; i++)
			a[i] = (int16_t)core_between(-255, 255);
		for (size_t i = 0; i < o * k; i++)
			w[i] = (int16_t)core_between(-127, 127);
		for (size_t i = 0; i < o; i++) {
			mult[i] = (float)core_between(1, 1000) / 1e6f;
			bias[i] = (float)core_between(-100, 100) / 7;
			lo[i] = (int16_t)core_between(-200, 0);
			hi[i] = (int16_t)core_between(1, 300);
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
						 core_expect(sum, mult[i], bias[i], lo[i], hi[i]));
			}
		free(a), free(w), free(out), free(plain), free(mult), free(bias), free(lo),
		    free(hi);
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
		int32_t sum = core_between(-8000000, 8000000);
		float mult = (float)core_between(1, 100000) / 1e6f,
		      bias = (float)core_between(-999, 999) / 8;

		assert_int_equal(core_requant_one(sum, mult, bias, -32768, 32767),
				 core_expect(sum, mult, bias, -32768, 32767));
	}
}

/* What the definition in mock/payload.h says, position by position. */
static int16_t conv_at(const struct core_layer *l, const uint8_t *weights, const int16_t *in,
		       uint32_t o, uint32_t oy, uint32_t ox)
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
				int w = c->weight_bytes == 1 ? (int8_t)weights[wi]
							     : (int16_t)get_le16(weights + 2 * wi);

				if (y >= 0 && y < c->h && x >= 0 && x < c->w)
					sum += (int64_t)w *
					       in[((g * cg + ch) * c->h + (uint32_t)y) * c->w +
						  (uint32_t)x];
			}
	return core_expect(sum, l->rq.mult[o], l->rq.bias[o], l->rq.lo[o], l->rq.hi[o]);
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
		const size_t n_in = (size_t)c->c * c->h * c->w,
			     n_out = (size_t)c->o * c->oh * c->ow;
		struct core_tensor tensors[2] = {
		    {.elements = (uint32_t)n_in, .lo = -255, .hi = 255, .written = true},
		    {.elements = (uint32_t)n_out}};
		int16_t *data[2] = {malloc(n_in * 2), malloc(n_out * 2)}, *scratch;
		struct core_layer l;
		struct hw_error err = {0};
		struct buf b = {0};
		const uint8_t *weights;

		core_put_conv(&b, 1, 0, c, c->weight_bytes == 1 ? 0.002f : 0.0002f, -128, 127);
		assert_ok(core_layer_parse(&(struct span){b.ptr, b.len}, tensors, 2, &l, &err),
			  &err);
		assert_int_equal(tensors[1].lo, -128);
		assert_int_equal(tensors[1].hi, 127);
		weights = b.ptr + 16 + sizeof(*c) + c->o * 12;
		scratch = aligned_alloc(64, align_up(core_layer_scratch(&l) * 2, 64));
		for (size_t i = 0; i < n_in; i++)
			data[0][i] = (int16_t)core_between(-255, 255);
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
	core_put_conv(&b, 1, 0, &c, 1, 0, 10);
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
	    cmocka_unit_test(sums_that_could_overflow_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
