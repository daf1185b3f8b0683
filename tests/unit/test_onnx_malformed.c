// SPDX-License-Identifier: MIT
/* Models from strangers: whatever is wrong with them is an error with a sentence, never a crash. */
#include "onnx_build.h"

#define assert_refused(b, code, needle) assert_refused_at(b, code, needle, __LINE__)

/* Parse fails with @code, says @needle, leaves no graph; then forget the model. */
static void assert_refused_at(struct mb *b, int code, const char *needle, int line)
{
	struct onnx_graph *g;
	struct hw_error err = {0};
	int r = mb_parse(b, &g, &err);

	if (r != code)
		fail_msg("line %d: %d, not %d (%s)", line, r, code, err.text);
	if (!strstr(err.text, needle))
		fail_msg("line %d: \"%s\" does not say \"%s\"", line, err.text, needle);
	assert_null(g);
	mb_free(b);
}

/* x[1,3,10] -> Conv w[4,3,3] -> y, with room for something wrong. */
static struct mb *conv_model(Onnx__NodeProto **conv)
{
	static const float w[36] = {1};
	struct mb *b = mb_new(13);
	Onnx__NodeProto *n;

	mb_input(b, "x", MB_DIMS(1, 3, 10));
	mb_f32(b, "w", MB_DIMS(4, 3, 3), w);
	n = mb_node(b, "Conv", "x w", "y");
	mb_output(b, "y");
	if (conv)
		*conv = n;
	return b;
}

static struct mb *relu_model(void)
{
	struct mb *b = mb_new(13);

	mb_input(b, "x", MB_DIMS(2, 3));
	mb_node(b, "Relu", "x", "y");
	mb_output(b, "y");
	return b;
}

static void not_a_model(void **state)
{
	static const char text[] = "version https://git-lfs.github.com/spec/v1\n";
	const struct span lfs = {(const uint8_t *)text, sizeof(text) - 1};
	struct onnx_graph *g = NULL;
	struct hw_error err = {0};
	struct mb *b;

	(void)state;
	assert_int_equal(onnx_parse((struct span){NULL, 0}, &g, &err), -EBADMSG);
	assert_int_equal(onnx_parse(lfs, &g, &err), -EBADMSG);
	assert_int_equal(onnx_parse(lfs, &g, NULL), -EBADMSG);
	assert_null(g);
	b = relu_model();
	b->model.graph = NULL;
	assert_refused(b, -EBADMSG, "no graph");
	b = relu_model();
	b->model.n_opset_import = 0;
	assert_refused(b, -EBADMSG, "operator set");
	b = relu_model();
	b->graph.n_output = 0;
	assert_refused(b, -EBADMSG, "no output");
}

static void outside_the_subset_is_named(void **state)
{
	Onnx__NodeProto *n;
	struct mb *b;

	(void)state;
	b = relu_model();
	b->opset.version = 18;
	assert_refused(b, -ENOTSUP, "opset 18");
	b = relu_model();
	b->node[0]->op_type = mb_text(b, "LSTM");
	assert_refused(b, -ENOTSUP, "LSTM");
	b = relu_model();
	b->node[0]->domain = mb_text(b, "com.example");
	assert_refused(b, -ENOTSUP, "com.example");
	b = conv_model(&n);
	mb_attr_i(b, n, "sparkle", 1);
	assert_refused(b, -ENOTSUP, "sparkle");
	b = conv_model(&n);
	mb_attr_i(b, n, "pad", 1); /* part of a known name */
	assert_refused(b, -ENOTSUP, "attribute pad ");
	b = conv_model(&n);
	mb_attr_s(b, n, "auto_pad", "SAME_SIDEWAYS");
	assert_refused(b, -ENOTSUP, "SAME_SIDEWAYS");
	b = conv_model(&n);
	mb_attr(b, n, "body", 5); /* a graph */
	assert_refused(b, -ENOTSUP, "body");
	b = relu_model();
	b->in[0]->type->tensor_type->elem_type = 14;
	assert_refused(b, -ENOTSUP, "complex64");
	b = relu_model();
	b->in[0]->type->tensor_type->shape->dim[1]->value_case =
		ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE__NOT_SET;
	assert_refused(b, -ENOTSUP, "not fixed");
	b = relu_model();
	b->in[0]->type->tensor_type->shape = NULL;
	assert_refused(b, -ENOTSUP, "no fixed shape");
	b = conv_model(NULL);
	b->init[0]->has_data_location = 1;
	b->init[0]->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
	assert_refused(b, -ENOTSUP, "another file");
	/* A shape that depends on the data. */
	b = relu_model();
	b->in[b->graph.n_input++] = mb_value(b, "shape", ONNX_I64, MB_DIMS(2));
	b->node[0] = NULL;
	b->graph.n_node = 0;
	mb_node(b, "Reshape", "x shape", "y");
	assert_refused(b, -ENOTSUP, "constant");
}

static void graph_that_does_not_hang_together(void **state)
{
	struct mb *b;

	(void)state;
	b = relu_model();
	b->node[0]->input[0] = mb_text(b, "nowhere");
	assert_refused(b, -EBADMSG, "nothing computes the input \"nowhere\"");
	b = relu_model();
	b->node[0]->input[0] = mb_text(b, "y"); /* itself */
	assert_refused(b, -EBADMSG, "cycle");
	b = mb_new(13);
	mb_input(b, "x", MB_DIMS(4));
	mb_node(b, "Add", "x c", "a");
	mb_node(b, "Relu", "a", "c");
	mb_output(b, "a");
	assert_refused(b, -EBADMSG, "cycle");
	b = relu_model();
	b->out[0]->name = mb_text(b, "z");
	assert_refused(b, -EBADMSG, "nothing computes the output \"z\"");
	b = relu_model();
	mb_node(b, "Sigmoid", "x", "y");
	assert_refused(b, -EBADMSG, "two values are called \"y\"");
	b = relu_model();
	b->node[0]->output[0] = mb_text(b, "x");
	assert_refused(b, -EBADMSG, "two values are called \"x\"");
	b = relu_model();
	mb_input(b, "x", MB_DIMS(2, 3));
	assert_refused(b, -EBADMSG, "two values are called \"x\"");
	b = relu_model();
	b->node[0]->n_input = 0;
	assert_refused(b, -EBADMSG, "0 inputs");
	b = relu_model();
	b->node[0]->n_output = 0;
	assert_refused(b, -EBADMSG, "0 outputs");
	b = mb_new(13);
	mb_input(b, "x", MB_DIMS(4));
	mb_node(b, "Add", "- x", "y");
	mb_output(b, "y");
	assert_refused(b, -EBADMSG, "without its input 0");
	b = relu_model();
	b->out[0] = mb_value(b, "y", ONNX_F32, MB_DIMS(2, 4));
	assert_refused(b, -EBADMSG, "declared as 4");
	b = relu_model();
	b->out[0] = mb_value(b, "y", ONNX_I64, MB_DIMS(2, 3));
	assert_refused(b, -EBADMSG, "another type");
}

static void tensor_whose_size_is_a_lie(void **state)
{
	Onnx__TensorProto *t;
	struct mb *b;

	(void)state;
	b = conv_model(NULL);
	b->init[0]->raw_data.len--;
	assert_refused(b, -EBADMSG, "143 bytes of data, 144 expected");
	b = conv_model(NULL);
	b->init[0]->raw_data.len = 0;
	assert_refused(b, -EBADMSG, "less data");
	b = conv_model(NULL);
	b->init[0]->dims[1] = -3;
	assert_refused(b, -EBADMSG, "negative");
	b = conv_model(NULL);
	b->init[0]->dims[2] = INT64_MAX;
	assert_refused(b, -EBADMSG, "elements");
	/* 2^32 * 2^32 * 4 is 0 in 64 bits. */
	b = conv_model(NULL);
	b->init[0]->dims[0] = b->init[0]->dims[1] = (int64_t)1 << 32;
	b->init[0]->dims[2] = 4;
	assert_refused(b, -EBADMSG, "elements");
	/* A zero must not hide the rest. */
	b = conv_model(NULL);
	b->init[0]->dims[0] = 0;
	b->init[0]->dims[1] = b->init[0]->dims[2] = (int64_t)1 << 27;
	b->init[0]->raw_data.len = 0;
	assert_refused(b, -EBADMSG, "elements");
	/* 256 MiB of floats in a file of a few bytes: refused before they are allocated. */
	b = conv_model(NULL);
	b->init[0]->dims[0] = (int64_t)1 << 26;
	b->init[0]->dims[1] = b->init[0]->dims[2] = 1;
	assert_refused(b, -EBADMSG, "less data");
	b = conv_model(NULL);
	t = b->init[0];
	t->n_dims = 9;
	t->dims = mb_mem(b, 9 * 8);
	assert_refused(b, -ENOTSUP, "dimensions");
	b = relu_model();
	b->in[0] = mb_value(b, "x", ONNX_F32, MB_DIMS(1 << 20, 1 << 20));
	assert_refused(b, -EBADMSG, "elements");
	b = relu_model();
	b->in[0] = mb_value(b, "x", ONNX_F32, MB_DIMS(2, -5));
	assert_refused(b, -EBADMSG, "-5");
}

/* One bad list attribute of a Conv over [1,3,10] with 4 kernels of 3. */
static void bad_conv(const char *name, int n, const int64_t *v, const char *needle)
{
	Onnx__NodeProto *node;
	struct mb *b = conv_model(&node);

	mb_attr_ints(b, node, name, n, v);
	assert_refused(b, -EBADMSG, needle);
}

static void operator_that_makes_no_sense(void **state)
{
	static const float one[8] = {1};
	Onnx__NodeProto *n;
	struct mb *b;

	(void)state;
	bad_conv("kernel_shape", MB_DIMS(5), "kernel_shape");
	bad_conv("kernel_shape", MB_DIMS(3, 3), "kernel_shape");
	bad_conv("strides", MB_DIMS(0), "strides");
	bad_conv("strides", MB_DIMS(1, 1), "strides");
	bad_conv("strides", MB_DIMS(INT64_MAX), "strides");
	bad_conv("dilations", MB_DIMS(-1), "dilations");
	bad_conv("dilations", MB_DIMS(1 << 27), "reaches");
	bad_conv("dilations", MB_DIMS(INT64_MIN), "dilations");
	bad_conv("pads", MB_DIMS(1), "pads");
	bad_conv("pads", MB_DIMS(-1, 1), "pads");
	bad_conv("pads", MB_DIMS(INT64_MAX, INT64_MAX), "pads");
	bad_conv("pads", MB_DIMS(1 << 27, 1 << 27), "elements");
	for (int64_t group = -1; group <= 4; group++) {
		if (group == 1)
			continue;
		b = conv_model(&n);
		mb_attr_i(b, n, "group", group);
		assert_refused(b, -EBADMSG, "groups");
	}
	b = conv_model(&n);
	mb_attr_f(b, n, "group", 1);
	assert_refused(b, -EBADMSG, "attribute group is of the wrong type");
	b = conv_model(&n);
	mb_attr_i(b, n, "group", 1);
	mb_attr_i(b, n, "group", 3);
	assert_refused(b, -EBADMSG, "given twice");
	b = conv_model(NULL);
	b->in[0] = mb_value(b, "x", ONNX_F32, MB_DIMS(1, 3, 2));
	assert_refused(b, -EBADMSG, "the kernel reaches over 3");
	b = conv_model(NULL);
	b->in[0] = mb_value(b, "x", ONNX_F32, MB_DIMS(1, 3, 0));
	assert_refused(b, -EBADMSG, "over 0 elements");
	b = conv_model(NULL);
	b->in[0] = mb_value(b, "x", ONNX_F32, MB_DIMS(3, 10));
	assert_refused(b, -EBADMSG, "dimensions");
	b = relu_model();
	mb_f32(b, "k", MB_DIMS(4), one);
	b->graph.n_node = 0;
	mb_node(b, "Add", "x k", "y");
	assert_refused(b, -EBADMSG, "broadcast");
	b = relu_model();
	mb_f32(b, "k", MB_DIMS(2, 4), one);
	b->graph.n_node = 0;
	mb_node(b, "Gemm", "x k", "y");
	assert_refused(b, -EBADMSG, "inner dimensions 3 and 2");
	b = relu_model();
	b->graph.n_node = 0;
	n = mb_node(b, "Transpose", "x", "y");
	mb_attr_ints(b, n, "perm", MB_DIMS(1, 1));
	assert_refused(b, -EBADMSG, "permutation");
	b = relu_model();
	b->graph.n_node = 0;
	b->opset.version = 11;
	n = mb_node(b, "Squeeze", "x", "y");
	mb_attr_ints(b, n, "axes", MB_DIMS(1));
	assert_refused(b, -EBADMSG, "3 long, not 1");
	b = relu_model();
	b->graph.n_node = 0;
	b->opset.version = 11;
	n = mb_node(b, "Squeeze", "x", "y");
	mb_attr_ints(b, n, "axes", MB_DIMS(INT64_MIN));
	assert_refused(b, -EBADMSG, "axis");
	b = relu_model();
	b->graph.n_node = 0;
	b->opset.version = 9;
	n = mb_node(b, "Slice", "x", "y");
	mb_attr_ints(b, n, "starts", MB_DIMS(0, 0));
	mb_attr_ints(b, n, "ends", MB_DIMS(1));
	assert_refused(b, -EBADMSG, "differ in length");
	/* Folding meets an index out of range. */
	b = relu_model();
	mb_f32(b, "k", MB_DIMS(4), one);
	mb_i64(b, "i", MB_DIMS(4));
	b->graph.n_node = 0;
	mb_node(b, "Gather", "k i", "y");
	assert_refused(b, -EBADMSG, "index 4 of 4");
}

/* --------------------------------------------------------------- small file, big appetite */

static void nesting_is_bounded(void **state)
{
	/* node { attribute { g { node { ... from the inside out */
	static const uint8_t tags[] = {1 << 3 | 2, 5 << 3 | 2, 6 << 3 | 2};
	uint8_t *msg = malloc(1 << 20);
	size_t at = 1 << 20, len = 0;
	struct onnx_graph *g = NULL;
	struct hw_error err = {0};

	(void)state;
	assert_non_null(msg);
	for (unsigned int depth = 0; depth < 30000; depth++) {
		uint8_t head[8];
		size_t n = 0, v = len;

		head[n++] = tags[2 - depth % 3];
		do {
			head[n++] = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
			v >>= 7;
		} while (v);
		at -= n;
		len += n;
		memcpy(msg + at, head, n);
	}
	{
		uint8_t head[8] = {7 << 3 | 2};
		size_t n = 1, v = len;

		do {
			head[n++] = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
			v >>= 7;
		} while (v);
		at -= n;
		len += n;
		memcpy(msg + at, head, n);
	}
	assert_int_equal(onnx_parse((struct span){msg + at, len}, &g, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "too deeply"));
	assert_null(g);
	free(msg);
}

static void number_of_pieces_is_bounded(void **state)
{
	/* graph { node {} node {} ... }: two bytes each, but a struct in memory */
	size_t n = 12u << 20, at = 0, v = n;
	uint8_t *msg = malloc(n + 8);
	struct onnx_graph *g = NULL;
	struct hw_error err = {0};

	(void)state;
	assert_non_null(msg);
	msg[at++] = 7 << 3 | 2;
	for (; v > 0x7f; v >>= 7)
		msg[at++] = (uint8_t)(v | 0x80);
	msg[at++] = (uint8_t)v;
	for (size_t i = 0; i < n; i += 2) {
		msg[at + i] = 1 << 3 | 2;
		msg[at + i + 1] = 0;
	}
	assert_int_equal(onnx_parse((struct span){msg, at + n}, &g, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "too many pieces"));
	free(msg);
}

static void constants_that_would_explode_stay_nodes(void **state)
{
	static float v[1 << 14];
	struct mb *b = mb_new(13);
	struct onnx_graph *g;
	struct hw_error err = {0};

	(void)state;
	mb_f32(b, "column", MB_DIMS(1 << 14, 1), v);
	mb_f32(b, "row", MB_DIMS(1 << 14), v);
	mb_node(b, "Add", "column row", "y");
	mb_output(b, "y");
	assert_ok(mb_parse(b, &g, &err), &err);
	assert_int_equal(g->n_nodes, 1); /* 1 GiB that nobody asked for yet */
	assert_null(g->values[g->outputs[0]].data);
	onnx_free(g);
	mb_free(b);
}

/* ------------------------------------------------------------- cut and flipped bytes */

/* A bit of everything, in a few hundred bytes. */
static struct mb *small_model(void)
{
	static const float w[24] = {0.5f, -1, 2}, f[8] = {1, -1};
	struct mb *b = mb_new(11);
	Onnx__NodeProto *n;

	mb_input(b, "x", MB_DIMS(1, 6, 3));
	mb_f32(b, "w", MB_DIMS(4, 3, 2), w);
	mb_f32(b, "f", MB_DIMS(4, 2), f);
	mb_i64(b, "s", MB_DIMS(0));
	mb_i64(b, "e", MB_DIMS(-1));
	mb_i64(b, "a", MB_DIMS(2));
	n = mb_node(b, "Transpose", "x", "t");
	mb_attr_ints(b, n, "perm", MB_DIMS(0, 2, 1));
	n = mb_node(b, "Conv", "t w", "c");
	mb_attr_ints(b, n, "pads", MB_DIMS(1, 1));
	mb_node(b, "Slice", "c s e a", "l");
	mb_node(b, "Relu", "l", "r");
	mb_node(b, "Add", "r r", "d");
	mb_node(b, "GlobalAveragePool", "d", "p");
	n = mb_node(b, "Squeeze", "p", "q");
	mb_attr_ints(b, n, "axes", MB_DIMS(2));
	n = mb_node(b, "Gemm", "q f", "g");
	mb_attr_f(b, n, "alpha", 0.5f);
	mb_node(b, "Sigmoid", "g", "y");
	mb_output(b, "y");
	return b;
}

static void every_prefix_is_refused(void **state)
{
	struct mb *b = small_model();
	struct onnx_graph *g = NULL;
	struct hw_error err = {0};
	uint8_t *whole;
	size_t len;

	(void)state;
	whole = mb_pack(b, &len);
	for (size_t n = 0; n < len; n++) {
		/* A copy of its own, so that a read beyond the end is seen. */
		uint8_t *cut = malloc(n ? n : 1);

		assert_non_null(cut);
		memcpy(cut, whole, n);
		err.text[0] = 0;
		assert_int_equal(onnx_parse((struct span){cut, n}, &g, &err), -EBADMSG);
		assert_null(g);
		assert_true(strlen(err.text) > 0);
		free(cut);
	}
	assert_ok(onnx_parse((struct span){whole, len}, &g, &err), &err);
	onnx_free(g);
	free(whole);
	mb_free(b);
}

/* Run what is small enough to run; whatever comes out, it must come out. */
static void try_to_run(const struct onnx_graph *g)
{
	struct onnx_session *s = NULL;
	struct hw_error err = {0};
	void *in[4] = {NULL}, *out[4] = {NULL};
	size_t total = 0;

	for (size_t i = 0; i < g->n_values; i++)
		total += g->values[i].elements;
	if (total > 100000 || g->n_inputs > 4 || g->n_outputs > 4)
		return;
	if (onnx_session_new(g, 1, &s, &err) == 0) {
		for (size_t i = 0; i < g->n_inputs; i++)
			in[i] = calloc(g->values[g->inputs[i]].elements + 1, ONNX_TEXT_SIZE);
		for (size_t i = 0; i < g->n_outputs; i++)
			out[i] = calloc(g->values[g->outputs[i]].elements + 1, ONNX_TEXT_SIZE);
		onnx_run(s, (const void *const *)in, out, &err);
	}
	onnx_session_free(s);
	for (size_t i = 0; i < 4; i++) {
		free(in[i]);
		free(out[i]);
	}
}

static void flipped_bytes_do_no_harm(void **state)
{
	static const uint8_t flips[] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff, 0x7f};
	struct mb *b = small_model();
	size_t len, taken = 0, refused = 0;
	uint8_t *bytes;

	(void)state;
	bytes = mb_pack(b, &len);
	for (size_t i = 0; i < len; i++)
		for (size_t k = 0; k < ARRAY_SIZE(flips); k++) {
			struct onnx_graph *g = NULL;
			struct hw_error err = {0};
			int r;

			bytes[i] ^= flips[k];
			r = onnx_parse((struct span){bytes, len}, &g, &err);
			if (r == 0) {
				taken++;
				try_to_run(g);
				onnx_free(g);
			} else {
				refused++;
				assert_true(r == -EBADMSG || r == -ENOTSUP);
				assert_true(strlen(err.text) > 0);
			}
			bytes[i] ^= flips[k];
		}
	/* Both happen: weights and names may change, lengths and tags may not. */
	assert_true(taken > len);
	assert_true(refused > len);
	free(bytes);
	mb_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(not_a_model),
		cmocka_unit_test(outside_the_subset_is_named),
		cmocka_unit_test(graph_that_does_not_hang_together),
		cmocka_unit_test(tensor_whose_size_is_a_lie),
		cmocka_unit_test(operator_that_makes_no_sense),
		cmocka_unit_test(nesting_is_bounded),
		cmocka_unit_test(number_of_pieces_is_bounded),
		cmocka_unit_test(constants_that_would_explode_stay_nodes),
		cmocka_unit_test(every_prefix_is_refused),
		cmocka_unit_test(flipped_bytes_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
