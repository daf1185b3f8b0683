// SPDX-License-Identifier: MIT
/* Resize, mode nearest: every way to find the position, every way to round it. */
#include <math.h>

#include "onnx_build.h"

static const char *const roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};
static const int64_t lengths[] = {8, 10, 3, 2, 1};

/*
 * 1 2 3 4 5 resized to each length, rounded in each way, by the functions in ONNX 1.12's Python
 * package (onnx.backend.test.case.node.resize) that its conformance data comes from; the last
 * one, which they lack, was worked out by hand.  9: outside of the input.
 */
static const struct {
	const char *mode;
	float roi[2];
	const char *want[ARRAY_SIZE(lengths)][ARRAY_SIZE(roundings)];
} rows[] = {
	{"half_pixel", {0},
	 {{"11233455", "11233455", "11223345", "12334455"},
	  {"1122334455", "1122334455", "1112233445", "1223344555"},
	  {"135", "135", "134", "235"}, {"24", "24", "14", "25"}, {"3", "3", "3", "3"}}},
	{"pytorch_half_pixel", {0},
	 {{"11233455", "11233455", "11223345", "12334455"},
	  {"1122334455", "1122334455", "1112233445", "1223344555"},
	  {"135", "135", "134", "235"}, {"24", "24", "14", "25"}, {"1", "1", "1", "1"}}},
	{"align_corners", {0},
	 {{"12233445", "12233445", "11223345", "12334455"},
	  {"1122334455", "1122334455", "1112233445", "1223344555"},
	  {"135", "135", "135", "135"}, {"15", "15", "15", "15"}, {"1", "1", "1", "1"}}},
	{"asymmetric", {0},
	 {{"12233455", "12234455", "11223445", "12334555"},
	  {"1122334455", "1223344555", "1122334455", "1223344555"},
	  {"134", "134", "124", "135"}, {"13", "14", "13", "14"}, {"1", "1", "1", "1"}}},
	{"tf_crop_and_resize", {0.25f, 0.75f},
	 {{"22333344", "22333344", "22223334", "23334444"},
	  {"2223333444", "2223333444", "2222233334", "2333344444"},
	  {"234", "234", "234", "234"}, {"24", "24", "24", "24"}, {"3", "3", "3", "3"}}},
	{"tf_crop_and_resize", {-0.25f, 1.125f},
	 {{"99223459", "99223459", "99123349", "99234459"},
	  {"9912234459", "9912234459", "9911233449", "9922344559"},
	  {"939", "939", "929", "939"}, {"99", "99", "99", "99"}, {"3", "3", "2", "3"}}},
	{"tf_crop_and_resize", {1, 0},
	 {{"54433221", "54433221", "54332211", "55443321"},
	  {"5544332211", "5544332211", "5443322111", "5554433221"},
	  {"531", "531", "531", "531"}, {"51", "51", "51", "51"}, {"3", "3", "3", "3"}}},
	{"tf_half_pixel_for_nn", {0},
	 {{NULL}, {"1223344555", "1223344555", "1122334455", "2233445555"}}},
};

static void one_row(const char *mode, const float roi[2], const char *rounding, int64_t len,
		    const char *want)
{
	static const float x[] = {1, 2, 3, 4, 5};
	struct mb *b = mb_new(13);
	struct onnx_graph *g;
	Onnx__NodeProto *n;
	char text[16] = "";
	float y[16];

	mb_input(b, "x", MB_DIMS(5));
	mb_f32(b, "roi", MB_DIMS(2), roi);
	mb_i64(b, "sizes", 1, &len);
	n = mb_node(b, "Resize", "x roi - sizes", "y");
	mb_attr_s(b, n, "mode", "nearest");
	mb_attr_s(b, n, "coordinate_transformation_mode", mode);
	mb_attr_s(b, n, "nearest_mode", rounding);
	mb_attr_f(b, n, "extrapolation_value", 9);
	mb_output(b, "y");
	g = mb_run(b, 1, x, y);
	assert_int_equal(g->values[g->outputs[0]].elements, len);
	for (int64_t i = 0; i < len; i++)
		text[i] = (char)('0' + (int)y[i]);
	if (strcmp(text, want))
		fail_msg("%s, roi %g to %g, %s, 5 to %lld: %s, not %s", mode, (double)roi[0],
			 (double)roi[1], rounding, (long long)len, text, want);
	onnx_free(g);
	mb_free(b);
}

static void positions_are_those_of_the_specification(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (size_t k = 0; k < ARRAY_SIZE(lengths); k++)
			for (size_t m = 0; m < ARRAY_SIZE(roundings) && rows[i].want[k][0]; m++)
				one_row(rows[i].mode, rows[i].roi, roundings[m], lengths[k],
					rows[i].want[k][m]);
}

/* 2 x 3 x 40 x 50 to 2 x 3 x 80 x 150, of elements of any size, on one thread and on several */
static void axes_and_types_and_threads(void **state)
{
	static const struct {
		int type;
		size_t size;
	} types[] = {{ONNX_U8, 1}, {ONNX_F16, 2}, {ONNX_F32, 4}, {ONNX_I64, 8}, {ONNX_TEXT, 32}};
	static uint8_t x[2 * 3 * 40 * 50 * ONNX_TEXT_SIZE], y[2 * 3 * 80 * 150 * ONNX_TEXT_SIZE];
	const float scales[] = {1, 1, 2, 3};

	(void)state;
	for (size_t i = 0; i < sizeof(x); i++)
		x[i] = (uint8_t)((i * 2654435761u) >> 13);
	for (size_t t = 0; t < ARRAY_SIZE(types) * 2; t++) {
		size_t size = types[t / 2].size;
		struct mb *b = mb_new(11);
		struct onnx_graph *g;
		Onnx__NodeProto *n;

		b->in[b->graph.n_input++] =
			mb_value(b, "x", types[t / 2].type, MB_DIMS(2, 3, 40, 50));
		mb_f32(b, "scales", MB_DIMS(4), scales);
		n = mb_node(b, "Resize", "x - scales", "y");
		mb_attr_s(b, n, "coordinate_transformation_mode", "asymmetric");
		mb_attr_s(b, n, "nearest_mode", "floor");
		b->out[b->graph.n_output++] =
			mb_value(b, "y", types[t / 2].type, MB_DIMS(2, 3, 80, 150));
		memset(y, 0, sizeof(y));
		g = mb_run(b, t % 2 ? 3 : 1, (const float *)(const void *)x,
			   (float *)(void *)y);
		for (size_t p = 0; p < 6; p++)
			for (size_t r = 0; r < 80; r++)
				for (size_t c = 0; c < 150; c++)
					assert_memory_equal(
						y + ((p * 80 + r) * 150 + c) * size,
						x + ((p * 40 + r / 2) * 50 + c / 3) * size, size);
		onnx_free(g);
		mb_free(b);
	}
}

static void outside_of_the_subset_is_refused(void **state)
{
	static const struct {
		const char *mode, *in, *needle;
		float scale, roi[2];
		int code;
	} bad[] = {
		{"half_pixel", "x - s", "scale 0 is -1", -1, {0}, -EBADMSG},
		{"half_pixel", "x - s", "scale 0 is nan", NAN, {0}, -EBADMSG},
		{"half_pixel", "x - s", "scale 0 is", 1e30f, {0}, -EBADMSG},
		{"half_pixel", "x - -", "one of them", 1, {0}, -EBADMSG},
		{"tf_crop_and_resize", "x - s", "roi", 1, {0}, -ENOTSUP},
		{"tf_crop_and_resize", "x s s", "roi has 1", 1, {0}, -EBADMSG},
		{"tf_crop_and_resize", "x roi s", "not finite", 1, {0, INFINITY}, -EBADMSG},
		{"tf_crop_and_resize", "x roi s", "scale 0", 1, {1, -1e30f}, -EBADMSG},
		{"sideways", "x - s", "sideways", 1, {0}, -ENOTSUP},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct mb *b = mb_new(13);
		struct hw_error err = {0};
		struct onnx_graph *g;
		int r;

		mb_input(b, "x", MB_DIMS(5));
		mb_f32(b, "s", MB_DIMS(1), &bad[i].scale);
		mb_f32(b, "roi", MB_DIMS(2), bad[i].roi);
		mb_attr_s(b, mb_node(b, "Resize", bad[i].in, "y"),
			  "coordinate_transformation_mode", bad[i].mode);
		mb_output(b, "y");
		r = mb_parse(b, &g, &err);
		if (r != bad[i].code || !strstr(err.text, bad[i].needle))
			fail_msg("case %zu: %d, \"%s\"", i, r, err.text);
		assert_null(g);
		mb_free(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(positions_are_those_of_the_specification),
		cmocka_unit_test(axes_and_types_and_threads),
		cmocka_unit_test(outside_of_the_subset_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
