// SPDX-License-Identifier: MIT
/* Element types: what Cast makes of them, and the operators that compute with the rarer ones. */
#include <math.h>

#include "onnx_build.h"

/* @n elements of @x through a Cast; 0 or the run's error. */
static int cast(int from, int to, int64_t n, const void *x, void *y)
{
	struct mb *b = mb_new(13);
	struct onnx_graph *g;
	struct onnx_session *s;
	struct hw_error err = {0};
	const void *in[] = {x};
	void *out[] = {y};
	int r;

	b->in[b->graph.n_input++] = mb_value(b, "x", from, 1, &n);
	mb_attr_i(b, mb_node(b, "Cast", "x", "y"), "to", to);
	b->out[b->graph.n_output++] = mb_value(b, "y", to, 1, &n);
	assert_ok(mb_parse(b, &g, &err), &err);
	assert_ok(onnx_session_new(g, 1, &s, &err), &err);
	r = onnx_run(s, in, out, &err);
	onnx_session_free(s);
	onnx_free(g);
	mb_free(b);
	return r;
}

#define CAST(from, to, x, y) assert_int_equal(cast(from, to, ARRAY_SIZE(x), x, y), 0)

/* ---------------------------------------------------------------- narrow floats */

#define HALVES 0x7c00 /* numbers from 0 up, then infinity */

static void every_half_is_what_its_bits_say(void **state)
{
	static uint16_t bits[1 << 16], back[1 << 16];
	static double v[1 << 16];
	static float single[1 << 16];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bits); i++)
		bits[i] = (uint16_t)i;
	CAST(ONNX_F16, ONNX_F64, bits, v);
	CAST(ONNX_F16, ONNX_F32, bits, single);
	/* IEEE 754: steps of 2^-24 up to 2^-14, and then twice as large with each power of 2. */
	assert_true(v[0] == 0 && v[0x0001] == 0x1p-24 && v[0x03ff] == 0x3ffp-24);
	assert_true(v[0x0400] == 0x1p-14 && v[0x3c00] == 1 && v[0x3c01] == 1 + 0x1p-10);
	assert_true(v[0x3555] == 0x1.554p-2 && v[0x7bff] == 65504 && isinf(v[0x7c00]));
	for (size_t i = 1; i < HALVES; i++) {
		double step = ldexp(1, (int)((i - 1) >> 10 ? (i - 1) >> 10 : 1) - 25);

		assert_true(v[i] - v[i - 1] == step);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
		assert_true(isnan(v[i]) == ((i & 0x7fff) > 0x7c00));
		if (i & 0x8000)
			assert_true(isnan(v[i]) || v[i] == -v[i & 0x7fff]);
		assert_true(isnan(v[i]) || (double)single[i] == v[i]);
		assert_true(!signbit(v[i]) == !(i & 0x8000));
	}
	CAST(ONNX_F64, ONNX_F16, v, back);
	for (size_t i = 0; i < ARRAY_SIZE(bits); i++)
		assert_true(back[i] == bits[i] || (isnan(v[i]) && (back[i] & 0x7fff) > 0x7c00));
}

static void between_halves_the_nearest_then_the_even_one(void **state)
{
	static uint16_t bits[HALVES], got[3 * HALVES];
	static double v[HALVES], x[3 * HALVES];
	static float single[3 * HALVES];

	(void)state;
	for (size_t i = 0; i < HALVES; i++)
		bits[i] = (uint16_t)i;
	CAST(ONNX_F16, ONNX_F64, bits, v);
	for (size_t i = 0; i < HALVES; i++) {
		/* What would follow 65504 is infinite, and half way there it begins. */
		double next = i + 1 < HALVES ? v[i + 1] : 65536, mid = (v[i] + next) / 2;

		x[3 * i] = nextafter(mid, 0);
		x[3 * i + 1] = mid;
		x[3 * i + 2] = nextafter(mid, 1e9);
	}
	CAST(ONNX_F64, ONNX_F16, x, got);
	for (size_t i = 0; i < HALVES; i++) {
		assert_int_equal(got[3 * i], i);
		assert_int_equal(got[3 * i + 1], i % 2 ? i + 1 : i);
		assert_int_equal(got[3 * i + 2], i + 1);
	}
	for (size_t i = 0; i < ARRAY_SIZE(x); i++)
		single[i] = i % 3 == 1 ? (float)-x[i] : nextafterf((float)x[i], i % 3 ? 1e9f : 0);
	CAST(ONNX_F32, ONNX_F16, single, got);
	for (size_t i = 0; i < HALVES; i++) {
		assert_int_equal(got[3 * i], i);
		assert_int_equal(got[3 * i + 1], 0x8000 | (i % 2 ? i + 1 : i));
		assert_int_equal(got[3 * i + 2], i + 1);
	}
}

/* Cut off, as the conformance data has it: the upper half of the float's bits. */
static void bfloat16_is_the_upper_half(void **state)
{
	static uint32_t bits[1 << 16];
	static uint16_t got[1 << 16];
	static float back[1 << 16];

	(void)state;
	for (uint32_t i = 0; i < ARRAY_SIZE(bits); i++)
		bits[i] = i << 16 | (i * 40503u & 0xffff);
	CAST(ONNX_F32, ONNX_BF16, bits, got);
	CAST(ONNX_BF16, ONNX_F32, got, back);
	for (uint32_t i = 0; i < ARRAY_SIZE(bits); i++) {
		uint32_t b;

		memcpy(&b, &back[i], sizeof(b));
		if ((bits[i] & 0x7fffffff) > 0x7f800000)
			assert_true(isnan(back[i]));
		else if ((b >> 16) != i || (b & 0xffff) || got[i] != i)
			fail_msg("%08x became %04x, and %08x again", bits[i], got[i], b);
	}
}

/* --------------------------------------------------------------------- integers */

static void integers_wrap_and_floats_saturate(void **state)
{
	const int64_t wide[] = {-1, 0x123456789a, INT64_MIN, 40000};
	const double d[] = {1e30, -1e30, NAN, 1.8446744073709550e19, 3.99, -3.99, 9.3e18};
	const uint64_t big[] = {UINT64_MAX, (1ull << 63) + 1025,
				(1ull << 63) + (1ull << 39) + 1, 5};
	uint64_t u64[7];
	uint32_t u32[4];
	int64_t i64[7];
	int16_t i16[4];
	uint8_t u8[4], yes[7];
	double f64[4];
	float f32[4];

	(void)state;
	CAST(ONNX_I64, ONNX_U32, wide, u32);
	assert_true(u32[0] == UINT32_MAX && u32[1] == 0x3456789a && u32[2] == 0 && u32[3] == 40000);
	CAST(ONNX_I64, ONNX_I16, wide, i16);
	assert_true(i16[0] == -1 && i16[1] == 0x789a && i16[2] == 0 && i16[3] == 40000 - 65536);
	CAST(ONNX_I64, ONNX_U8, wide, u8);
	assert_true(u8[0] == 255 && u8[1] == 0x9a && u8[3] == 0x40);
	CAST(ONNX_U32, ONNX_I64, u32, i64);
	assert_true(i64[0] == UINT32_MAX && i64[3] == 40000);
	CAST(ONNX_F64, ONNX_I64, d, i64);
	assert_true(i64[0] == INT64_MAX && i64[1] == INT64_MIN && i64[2] == 0 &&
		    i64[3] == INT64_MAX && i64[4] == 3 && i64[5] == -3 && i64[6] == INT64_MAX);
	CAST(ONNX_F64, ONNX_U64, d, u64);
	assert_true(u64[0] == UINT64_MAX && u64[3] == 0xfffffffffffff800 && u64[4] == 3 &&
		    u64[6] == 9300000000000000000ull);
	CAST(ONNX_F64, ONNX_BOOL, d, yes);
	assert_true(yes[0] == 1 && yes[2] == 1 && yes[4] == 1);
	CAST(ONNX_U64, ONNX_F64, big, f64);
	assert_true(f64[0] == 0x1p64 && f64[1] == 0x1p63 + 2048 && f64[3] == 5);
	/* Rounded once: by way of a double the third would be a tie, and end lower. */
	CAST(ONNX_U64, ONNX_F32, big, f32);
	assert_true(f32[0] == 0x1p64f && f32[1] == 0x1p63f && f32[2] == 0x1.000002p63f &&
		    f32[3] == 5);
}

/* ------------------------------------------------------------------------- text */

typedef char text[ONNX_TEXT_SIZE];

static void numbers_as_text(void **state)
{
	const float f[] = {0.1f, 1e20f, -2.5f, 16777216, NAN, INFINITY, -INFINITY};
	const double d[] = {0.1, 1.0 / 3, -0.0, 5e-324};
	const uint64_t u[] = {UINT64_MAX, 0};
	const int8_t i[] = {-128, 7};
	text t[8];

	(void)state;
	CAST(ONNX_F32, ONNX_TEXT, f, t);
	assert_string_equal(t[0], "0.1");
	assert_string_equal(t[1], "1e+20");
	assert_string_equal(t[2], "-2.5");
	assert_string_equal(t[3], "16777216");
	assert_string_equal(t[4], "NaN");
	assert_string_equal(t[5], "INF");
	assert_string_equal(t[6], "-INF");
	CAST(ONNX_F64, ONNX_TEXT, d, t);
	assert_string_equal(t[0], "0.1");
	assert_string_equal(t[1], "0.3333333333333333");
	assert_string_equal(t[2], "-0");
	assert_string_equal(t[3], "5e-324");
	CAST(ONNX_U64, ONNX_TEXT, u, t);
	assert_string_equal(t[0], "18446744073709551615");
	CAST(ONNX_I8, ONNX_TEXT, i, t);
	assert_string_equal(t[0], "-128");
	assert_string_equal(t[1], "7");
}

static void text_as_numbers(void **state)
{
	static const text good[] = {"3", "-7", "+INF", "nan", "1e400", "0.1"};
	static const text whole[] = {"-9223372036854775808", "12"};
	static const text top[] = {"18446744073709551615"};
	static const text bad[] = {"", "three", "1.5x", "0x10", "1 2", "--1"};
	static const text not_whole[] = {"1.5", "9223372036854775808", "INF"};
	double d[6];
	float f[6];
	int64_t i[2];
	uint64_t u[1];
	text same[6];

	(void)state;
	CAST(ONNX_TEXT, ONNX_F64, good, d);
	assert_true(d[0] == 3 && d[1] == -7 && isinf(d[2]) && isnan(d[3]) && isinf(d[4]) &&
		    d[5] == 0.1);
	CAST(ONNX_TEXT, ONNX_F32, good, f);
	assert_true(f[0] == 3 && isinf(f[4]) && f[5] == 0.1f);
	CAST(ONNX_TEXT, ONNX_I64, whole, i);
	assert_true(i[0] == INT64_MIN && i[1] == 12);
	CAST(ONNX_TEXT, ONNX_U64, top, u);
	assert_true(u[0] == UINT64_MAX);
	CAST(ONNX_TEXT, ONNX_TEXT, good, same);
	assert_memory_equal(same, good, sizeof(good));
	for (size_t k = 0; k < ARRAY_SIZE(bad); k++)
		assert_int_equal(cast(ONNX_TEXT, ONNX_F32, 1, bad[k], f), -EINVAL);
	for (size_t k = 0; k < ARRAY_SIZE(not_whole); k++)
		assert_int_equal(cast(ONNX_TEXT, ONNX_I32, 1, not_whole[k], i), -EINVAL);
}

/* Texts as an initializer: read, written by onnx_serialize(), read again; too long: refused. */
static void text_constants(void **state)
{
	static char words[2][40] = {"thirty-one bytes, no more of them", ""};
	const int64_t two = 2;
	struct mb *b = mb_new(13);
	Onnx__TensorProto *t = mb_tensor(b, "words", ONNX_TEXT, 1, &two, NULL, 0);
	struct hw_error err = {0};
	struct onnx_graph *g, *again;
	uint8_t *bytes;
	size_t len;

	(void)state;
	t->has_raw_data = 0;
	t->n_string_data = 2;
	t->string_data = mb_mem(b, 2 * sizeof(*t->string_data));
	for (int i = 0; i < 2; i++)
		t->string_data[i] = (ProtobufCBinaryData){strlen(words[i]), (uint8_t *)words[i]};
	b->init[b->graph.n_initializer++] = t;
	b->out[b->graph.n_output++] = mb_value(b, "words", ONNX_TEXT, 1, &two);
	assert_int_equal(mb_parse(b, &g, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "string of 33 bytes"));
	t->string_data[0].len = 31;
	assert_ok(mb_parse(b, &g, &err), &err);
	assert_int_equal(onnx_serialize(g, &bytes, &len), 0);
	assert_ok(onnx_parse((struct span){bytes, len}, &again, &err), &err);
	assert_string_equal((char *)again->values[0].data, "thirty-one bytes, no more of th");
	assert_string_equal((char *)again->values[0].data + ONNX_TEXT_SIZE, "");
	free(bytes);
	onnx_free(g);
	onnx_free(again);
	t->n_string_data = 1;
	assert_int_equal(mb_parse(b, &g, &err), -EBADMSG);
	mb_free(b);
}

/* ------------------------------------------------------------------- operators */

/* One node with two inputs of @n elements. */
static void pair(const char *op, int type, int64_t n, const void *a, const void *c, void *y)
{
	struct mb *b = mb_new(13);
	struct onnx_graph *g;
	struct onnx_session *s;
	struct hw_error err = {0};
	const void *in[] = {a, c};
	void *out[] = {y};

	b->in[b->graph.n_input++] = mb_value(b, "a", type, 1, &n);
	b->in[b->graph.n_input++] = mb_value(b, "c", type, strcmp(op, "Clip") ? 1 : 0, &n);
	mb_node(b, op, strcmp(op, "Clip") ? "a c" : "a - c", "y");
	b->out[b->graph.n_output++] = mb_value(b, "y", type, 1, &n);
	assert_ok(mb_parse(b, &g, &err), &err);
	assert_ok(onnx_session_new(g, 1, &s, &err), &err);
	assert_ok(onnx_run(s, in, out, &err), &err);
	onnx_session_free(s);
	onnx_free(g);
	mb_free(b);
}

static void arithmetic_of_the_rarer_types(void **state)
{
	const uint64_t big[] = {UINT64_MAX, 1ull << 63, 3}, by[] = {2, 1ull << 63, 0};
	const uint16_t half[] = {0x3c00, 0x7bff, 0x3c00}, add[] = {0x3c00, 0x7bff, 0x1000};
	const int16_t small[] = {-32768, 300, -7}, other[] = {-1, 300, 2};
	const uint64_t limit = 1ull << 63;
	uint64_t u[3];
	uint16_t h[3];
	int16_t i[3];

	(void)state;
	pair("Div", ONNX_U64, 3, big, by, u);
	assert_true(u[0] == UINT64_MAX / 2 && u[1] == 1 && u[2] == 0);
	pair("Pow", ONNX_U64, 3, (uint64_t[]){3, 2, UINT64_MAX}, (uint64_t[]){40, 63, 2}, u);
	assert_true(u[0] == 12157665459056928801ull && u[1] == 1ull << 63 && u[2] == 1);
	pair("Clip", ONNX_U64, 3, big, &limit, u);
	assert_true(u[0] == limit && u[1] == limit && u[2] == 3);
	pair("Add", ONNX_F16, 3, half, add, h);
	assert_true(h[0] == 0x4000 && h[1] == 0x7c00 && h[2] == 0x3c00); /* 2, inf, 1 */
	pair("Div", ONNX_I16, 3, small, other, i);
	assert_true(i[0] == -32768 && i[1] == 1 && i[2] == -3);
	pair("Mul", ONNX_I16, 3, small, other, i);
	assert_true(i[0] == -32768 && i[1] == 90000 - 65536 && i[2] == -14);
}

/* Sigmoid and Exp are this project's own: against libm in double, everywhere. */
static void exp_and_sigmoid_over_the_whole_range(void **state)
{
	enum { N = 200000 };
	const int64_t n = N + 6;
	static const float special[] = {0, -0.0f, INFINITY, -INFINITY, NAN, 1e-40f};
	static float x[N + 6], y[N + 6];

	(void)state;
	for (int i = 0; i < N; i++)
		x[i] = (float)(i - N / 2) * (120.0f / (N / 2));
	memcpy(x + N, special, sizeof(special));
	for (int k = 0; k < 2; k++) {
		struct mb *b = mb_new(13);

		mb_input(b, "x", 1, &n);
		mb_node(b, k ? "Exp" : "Sigmoid", "x", "y");
		mb_output(b, "y");
		onnx_free(mb_run(b, 2, x, y));
		mb_free(b);
		for (int i = 0; i < n; i++) {
			double v = (double)x[i], want = k ? exp(v) : 1 / (1 + exp(-v));

			if (isnan(v) ? !isnan(y[i]) :
			    !((float)want == y[i] ||
			      /* below the normal numbers, sigmoid may be 0 */
			      fabs((double)y[i] - want) <= 3e-7 * want + (k ? 3e-45 : 1.2e-38)))
				fail_msg("%s %.9g: %.9g, not %.9g", k ? "exp" : "sigmoid", v,
					 (double)y[i], want);
		}
	}
}

/* One node with @op from a value of @kind to another one, written out and read again. */
static int list_node(int kind, char *op, struct onnx_graph **g, struct hw_error *err)
{
	static char name_g[] = "g", name_n[] = "n", name_x[] = "x", name_y[] = "y";
	struct onnx_tensor values[] = {
		{.name = name_x, .type = kind, .item = ONNX_F32, .elements = 1},
		{.name = name_y, .type = kind, .item = ONNX_F32, .elements = 1},
	};
	int x = 0, y = 1, r;
	struct onnx_node node = {.name = name_n, .op = op, .n_in = 1, .n_out = 1, .in = &x,
				 .out = &y};
	struct onnx_graph model = {.name = name_g, .opset = 16, .n_values = 2, .values = values,
				   .n_nodes = 1, .nodes = &node, .n_inputs = 1, .n_outputs = 1,
				   .inputs = &x, .outputs = &y};
	uint8_t *bytes;
	size_t len;

	assert_int_equal(onnx_serialize(&model, &bytes, &len), 0);
	r = onnx_parse((struct span){bytes, len}, g, err);
	free(bytes);
	return r;
}

/* What is no tensor is passed on by Identity and by nothing else. */
static void sequences_go_through_identity_only(void **state)
{
	static char identity[] = "Identity";
	static char others[][12] = {"Shape", "Relu", "Flatten", "Transpose"};
	struct onnx_tensor item = {.type = ONNX_F32, .rank = 1, .dim = {1}, .elements = 1};
	const struct onnx_list list = {&item, 1};

	(void)state;
	for (int kind = ONNX_SEQUENCE; kind <= ONNX_OPTIONAL_SEQUENCE; kind++) {
		struct onnx_graph *g = NULL;
		struct onnx_session *s;
		struct hw_error err = {0};
		struct onnx_list got = {0};

		for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
			assert_int_equal(list_node(kind, others[i], &g, &err), -ENOTSUP);
			assert_non_null(strstr(err.text, "input 0 is of type"));
		}
		assert_ok(list_node(kind, identity, &g, &err), &err);
		assert_int_equal(g->values[g->outputs[0]].type, kind);
		assert_int_equal(g->values[g->outputs[0]].item, ONNX_F32);
		assert_ok(onnx_session_new(g, 1, &s, &err), &err);
		assert_ok(onnx_run(s, (const void *[]){&list}, (void *[]){&got}, &err), &err);
		assert_ptr_equal(got.items, &item);
		assert_int_equal(got.n, 1);
		onnx_session_free(s);
		onnx_free(g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_half_is_what_its_bits_say),
		cmocka_unit_test(between_halves_the_nearest_then_the_even_one),
		cmocka_unit_test(bfloat16_is_the_upper_half),
		cmocka_unit_test(integers_wrap_and_floats_saturate),
		cmocka_unit_test(numbers_as_text),
		cmocka_unit_test(text_as_numbers),
		cmocka_unit_test(text_constants),
		cmocka_unit_test(arithmetic_of_the_rarer_types),
		cmocka_unit_test(exp_and_sigmoid_over_the_whole_range),
		cmocka_unit_test(sequences_go_through_identity_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
