// SPDX-License-Identifier: MIT
/* host/logits.h against 5.14 and 5.15, one element at a time. */
#include "support/support.h"

#include <math.h>

#include "host/detect.h"
#include "host/logits.h"
#include "support/detref.h"

static const struct hef_layer *input;

static struct hef_op op_of(enum hef_op_kind kind, const struct hef_layer *l)
{
	struct hef_op op = {.kind = kind, .name = (char *)(uintptr_t)"op", .n_inputs = 1, .inputs = &input};

	input = l;
	strcpy(op.output, "net/out");
	return op;
}

static size_t index_of(const struct hef_layer *l, size_t r, size_t c, size_t k)
{
	size_t q = l->hw_width, n = l->hw_features;

	switch (l->order) {
	case HW_ORDER_NHCW:
		return r * q * n + k * q + c;
	case HW_ORDER_F8CR:
		return r * q * n + k / 8 * 8 * q + c * 8 + k % 8;
	default:
		return (r * q + c) * n + k;
	}
}

static uint32_t stored(const struct hef_layer *l, const void *frame, size_t i)
{
	return l->data_bytes == 2 ? ((const uint16_t *)frame)[i] : ((const uint8_t *)frame)[i];
}

/* All channels also of F8CR, the lowest of equals (5.14, Appendix C). */
static void argmax(void **state)
{
	static const struct {
		enum hw_order order;
		uint32_t h, w, f, q, n;
		uint8_t bytes;
	} rows[] = {
		{HW_ORDER_NHCW, 5, 13, 21, 16, 21, 1}, {HW_ORDER_NHCW, 3, 40, 7, 40, 9, 2},
		{HW_ORDER_NHWC, 4, 9, 19, 12, 19, 1},  {HW_ORDER_NHWC, 2, 9, 300, 9, 304, 2},
		{HW_ORDER_F8CR, 3, 10, 16, 12, 16, 1}, {HW_ORDER_F8CR, 3, 10, 21, 10, 24, 2},
		{HW_ORDER_NC, 1, 1, 1000, 1, 1000, 2}, {HW_ORDER_NC, 1, 1, 255, 1, 256, 1},
		{HW_ORDER_NHCW, 1, 1, 1, 8, 1, 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct hef_layer l = detref_layer("net/in", rows[i].h, rows[i].w, rows[i].f, rows[i].q,
						  rows[i].bytes, (struct hw_quant){0});
		struct hef_op op;
		void *frame;

		l.order = rows[i].order;
		l.hw_features = rows[i].n;
		op = op_of(HEF_OP_ARGMAX, &l);
		/* Few values, so that many are equal */
		frame = detref_frame(&l, (uint32_t)i, l.data_bytes == 2 ? 300 : 20);
		for (int type = HW_TYPE_AUTO; type <= HW_TYPE_F32; type++) {
			struct host_argmax a;
			struct hw_error err = {0};
			uint8_t *out;

			if (l.features > 255 && type == HW_TYPE_U8) {
				assert_int_equal(host_argmax_init(&op, (enum hw_type)type, HW_ORDER_AUTO, &a, &err), -ENOTSUP);
				assert_non_null(strstr(err.text, "Argmax-Post-Process"));
				host_argmax_free(&a);
				continue;
			}
			assert_ok(host_argmax_init(&op, (enum hw_type)type, HW_ORDER_AUTO, &a, &err), &err);
			assert_int_equal(a.user.type, type ? (enum hw_type)type : l.data_bytes == 2 ? HW_TYPE_U16 : HW_TYPE_U8);
			assert_int_equal(a.user.order, l.order == HW_ORDER_NC ? HW_ORDER_NC : HW_ORDER_NHW);
			assert_string_equal(a.user.name, "net/out");
			out = malloc(a.user.frame_bytes);
			assert_non_null(out);
			host_argmax_run(&a, frame, out);
			for (size_t e = 0; e < (size_t)l.height * l.width; e++) {
				size_t r = e / l.width, c = e % l.width, best = 0;
				double got = a.user.type == HW_TYPE_U8	  ? out[e]
					     : a.user.type == HW_TYPE_U16 ? ((uint16_t *)(void *)out)[e]
									  : (double)((float *)(void *)out)[e];

				for (size_t k = 1; k < l.features; k++) {
					if (stored(&l, frame, index_of(&l, r, c, k)) > stored(&l, frame, index_of(&l, r, c, best)))
						best = k;
				}
				if (got != (double)best)
					fail_msg("row %zu, type %d, %zu/%zu: %g, not %zu", i, type, r, c, got, best);
			}
			free(out);
			host_argmax_free(&a);
		}
		free(frame);
	}
}

static void softmax(void **state)
{
	static const enum hw_order orders[] = {HW_ORDER_NHCW, HW_ORDER_NHWC, HW_ORDER_NC, HW_ORDER_FCR, HW_ORDER_F8CR};

	(void)state;
	for (size_t i = 0; i < 10; i++) {
		bool nc = orders[i % 5] == HW_ORDER_NC;
		uint8_t bytes = i < 5 ? 1 : 2;
		struct hef_layer l = detref_layer("net/in", nc ? 1 : 3, nc ? 1 : 5, 10, nc ? 1 : 8, bytes,
						  (struct hw_quant){100, bytes == 1 ? 0.05f : 0.0002f, -9, 9});
		struct host_layout layout;
		struct hef_op op;
		struct hw_error err;
		float *out;
		void *frame;

		l.order = orders[i % 5];
		l.hw_features = l.order == HW_ORDER_NHCW || l.order == HW_ORDER_NHWC ? 10 : 16;
		if (l.order == HW_ORDER_NHWC)
			l.hw_width = 5;
		op = op_of(HEF_OP_SOFTMAX, &l);
		if (i % 5 > 2) /* by default they would come in orders of their own */
			op.out_order = HW_ORDER_NHWC;
		frame = detref_frame(&l, (uint32_t)i, bytes == 1 ? 256 : 65536);
		assert_ok(host_softmax_init(&op, HW_TYPE_AUTO, HW_ORDER_AUTO, &layout, &err), &err);
		assert_int_equal(layout.user.type, HW_TYPE_F32);
		assert_string_equal(layout.user.name, "net/out");
		out = malloc(layout.user.frame_bytes);
		assert_non_null(out);
		host_layout_from_hw(&layout, frame, out);
		host_softmax_run(&layout, out);
		for (size_t e = 0; e < (size_t)l.height * l.width; e++) {
			double sum = 0, x[10];

			for (size_t k = 0; k < 10; k++) {
				uint32_t q = stored(&l, frame, index_of(&l, e / l.width, e % l.width, k));

				x[k] = exp(((double)q - 100) * (double)l.quant.scale);
				sum += x[k];
			}
			for (size_t k = 0; k < 10; k++)
				assert_true(fabs((double)out[e * 10 + k] - x[k] / sum) < 1e-6);
		}
		free(out);
		free(frame);
	}
}

static void softmax_is_safe(void **state)
{
	float usual[4] = {0, 1, 2, 3}, high[3] = {1000, 999, -1000}, low[2] = {-500, -501}, one[1] = {7};
	double e = exp(0) + exp(1) + exp(2) + exp(3);

	(void)state;
	host_softmax(usual, 4);
	for (size_t i = 0; i < 4; i++)
		assert_true(fabs((double)usual[i] - exp((double)i) / e) < 1e-6);
	host_softmax(high, 3);
	assert_true(fabs((double)high[0] - 1 / (1 + exp(-1))) < 1e-6);
	assert_true(high[2] == 0.0f);
	host_softmax(low, 2);
	assert_true(fabs((double)low[0] - 1 / (1 + exp(-1))) < 1e-6);
	host_softmax(one, 1);
	assert_true(one[0] == 1.0f);
}

static void what_is_refused(void **state)
{
	struct hef_layer l = detref_layer("net/in", 3, 5, 10, 8, 1, (struct hw_quant){0, 1, 0, 255});
	struct host_argmax a;
	struct host_layout s;
	struct hw_error err;
	struct hef_op op;

	(void)state;
	op = op_of(HEF_OP_ARGMAX, &l);
	op.out_order = HW_ORDER_NCHW;
	assert_int_equal(host_argmax_init(&op, HW_TYPE_AUTO, HW_ORDER_AUTO, &a, &err), -ENOTSUP);
	op.out_order = 0;
	op.out_type = 77;
	assert_int_equal(host_argmax_init(&op, HW_TYPE_AUTO, HW_ORDER_AUTO, &a, &err), -ENOTSUP);
	op.out_type = 0;
	for (int row = 0; row < 6; row++) {
		struct hef_layer bad = l;

		op = op_of(HEF_OP_ARGMAX, &bad);
		if (row == 0)
			bad.order = HW_ORDER_FCR;
		else if (row == 1)
			bad.transposed = true;
		else if (row == 2)
			bad.shape = HEF_SHAPE_MUX;
		else if (row == 3)
			bad.hw_features = 9;
		else if (row == 4)
			bad.features = bad.hw_features = 0;
		else
			bad.has_nms = true;
		assert_int_equal(host_argmax_init(&op, HW_TYPE_AUTO, HW_ORDER_AUTO, &a, &err), -ENOTSUP);
		assert_non_null(strstr(err.text, "Argmax-Post-Process \"op\""));
	}
	op = op_of(HEF_OP_SOFTMAX, &l);
	assert_int_equal(host_softmax_init(&op, HW_TYPE_U8, HW_ORDER_AUTO, &s, &err), -ENOTSUP);
	assert_int_equal(host_softmax_init(&op, HW_TYPE_F32, HW_ORDER_NCHW, &s, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "Softmax-Post-Process \"op\""));
	assert_int_equal(host_softmax_init(&op, HW_TYPE_F32, HW_ORDER_NHCW, &s, &err), -ENOTSUP);
	l.order = HW_ORDER_FCR;
	assert_int_equal(host_softmax_init(&op, HW_TYPE_AUTO, HW_ORDER_AUTO, &s, &err), -ENOTSUP);
	l.order = HW_ORDER_NHW;
	assert_int_equal(host_softmax_init(&op, HW_TYPE_AUTO, HW_ORDER_AUTO, &s, &err), -ENOTSUP);
	l.order = HW_ORDER_NHCW;
	l.quant = (struct hw_quant){0};
	assert_int_equal(host_softmax_init(&op, HW_TYPE_AUTO, HW_ORDER_AUTO, &s, &err), -ENOTSUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(argmax),
		cmocka_unit_test(softmax),
		cmocka_unit_test(softmax_is_safe),
		cmocka_unit_test(what_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
