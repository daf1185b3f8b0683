// SPDX-License-Identifier: MIT
/*
 * What the conformance data does not reach: convolutions against the definition (all paddings,
 * groups, tiles, threads), attribute forms of older opsets, reuse of buffers, no allocation at run.
 */
#include <math.h>

#include "onnx_build.h"

/* ------------------------------------------------------- allocations, counted */

/* Of the thread that runs the test: a sanitizer allocates when a pool's thread starts up. */
static _Thread_local unsigned long allocations;

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#endif

#ifdef SANITIZED
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
					      void (*on_free)(const volatile void *));

static void on_malloc(const volatile void *p, size_t n)
{
	(void)p;
	(void)n;
	allocations++;
}

static void on_free(const volatile void *p)
{
	(void)p;
}

static void count_allocations(void)
{
	assert_true(__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free) > 0);
}
#else
/* glibc lets a program bring its own malloc; these are its own under their other names. */
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);

void *malloc(size_t n)
{
	allocations++;
	return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	allocations++;
	return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	allocations++;
	return __libc_realloc(p, n);
}

void *aligned_alloc(size_t align, size_t n)
{
	allocations++;
	return __libc_memalign(align, n);
}

static void count_allocations(void)
{
}
#endif

/* --------------------------------------------------------------- convolutions */

struct conv {
	const char *name, *auto_pad;
	int nd;
	int64_t batch, group, c, m; /* channels of a group, in and out */
	/* in 1-D the second of each is used */
	int64_t in[2], k[2], stride[2], dil[2], lo[2], hi[2];
	bool bias;
};

static const struct conv convs[] = {
	{"1-D causal", NULL, 1, 1, 1, 9, 16,
	 {1, 100}, {1, 3}, {1, 1}, {1, 4}, {0, 8}, {0, 0}, true},
	{"1-D dilated", NULL, 1, 2, 1, 5, 7,
	 {1, 40}, {1, 3}, {1, 1}, {1, 8}, {0, 16}, {0, 16}, true},
	{"1-D strided", NULL, 1, 1, 1, 3, 4,
	 {1, 31}, {1, 5}, {1, 3}, {1, 2}, {0, 1}, {0, 6}, false},
	{"1-D one tap", NULL, 1, 3, 1, 6, 5,
	 {1, 17}, {1, 1}, {1, 1}, {1, 1}, {0, 0}, {0, 0}, true},
	{"1-D one tap, strided", NULL, 1, 1, 2, 2, 3,
	 {1, 17}, {1, 1}, {1, 2}, {1, 1}, {0, 0}, {0, 0}, true},
	{"1-D all padding", NULL, 1, 1, 1, 2, 2,
	 {1, 2}, {1, 2}, {1, 1}, {1, 5}, {0, 9}, {0, 9}, true},
	{"2-D", NULL, 2, 2, 1, 3, 8,
	 {13, 11}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, true},
	{"2-D uneven", NULL, 2, 1, 1, 4, 3,
	 {9, 14}, {2, 5}, {2, 3}, {3, 1}, {0, 2}, {3, 1}, true},
	{"2-D groups", NULL, 2, 2, 3, 2, 4,
	 {7, 8}, {3, 2}, {1, 2}, {1, 1}, {1, 0}, {1, 1}, true},
	{"2-D depthwise", NULL, 2, 1, 8, 1, 1,
	 {10, 10}, {3, 3}, {2, 2}, {1, 1}, {1, 1}, {1, 1}, false},
	{"2-D depthwise, uneven", NULL, 2, 2, 5, 1, 2,
	 {9, 14}, {3, 5}, {1, 1}, {2, 3}, {0, 7}, {5, 1}, true},
	{"2-D depthwise, wide", NULL, 2, 2, 3, 1, 6,
	 {8, 9}, {3, 3}, {1, 2}, {1, 1}, {1, 1}, {1, 1}, true},
	{"1-D depthwise, mostly padding", NULL, 1, 3, 4, 1, 1,
	 {1, 3}, {1, 4}, {1, 3}, {1, 4}, {0, 20}, {0, 11}, true},
	{"2-D tiles", NULL, 2, 1, 1, 64, 6,
	 {40, 37}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, true},
	{"2-D one tap, tiles", NULL, 2, 2, 1, 3, 2,
	 {97, 101}, {1, 1}, {1, 1}, {1, 1}, {0, 0}, {0, 0}, true},
	{"SAME_UPPER", "SAME_UPPER", 2, 1, 1, 2, 3,
	 {6, 7}, {2, 4}, {1, 2}, {1, 1}, {0, 1}, {1, 2}, true},
	{"SAME_LOWER", "SAME_LOWER", 2, 1, 1, 2, 3,
	 {6, 7}, {2, 4}, {1, 2}, {1, 1}, {1, 2}, {0, 1}, true},
	{"VALID", "VALID", 1, 1, 1, 2, 3,
	 {1, 12}, {1, 4}, {1, 2}, {1, 2}, {0, 0}, {0, 0}, true},
};

static int64_t out_len(const struct conv *v, int a)
{
	return (v->in[a] + v->lo[a] + v->hi[a] - v->dil[a] * (v->k[a] - 1) - 1) / v->stride[a] + 1;
}

/* The definition, in double. */
static double at(const struct conv *v, const float *x, const float *w, const float *bias, int64_t n,
		 int64_t oc, int64_t oy, int64_t ox)
{
	int64_t g = oc / v->m, plane;
	double sum = v->bias ? (double)bias[oc] : 0;

	for (int64_t c = 0; c < v->c; c++)
		for (int64_t ky = 0; ky < v->k[0]; ky++)
			for (int64_t kx = 0; kx < v->k[1]; kx++) {
				int64_t y = oy * v->stride[0] - v->lo[0] + ky * v->dil[0];
				int64_t z = ox * v->stride[1] - v->lo[1] + kx * v->dil[1];

				if (y < 0 || y >= v->in[0] || z < 0 || z >= v->in[1])
					continue;
				plane = (n * v->group + g) * v->c + c;
				sum += (double)x[(plane * v->in[0] + y) * v->in[1] + z] *
				       (double)w[((oc * v->c + c) * v->k[0] + ky) * v->k[1] + kx];
			}
	return sum;
}

static float *noise(size_t n, uint32_t seed)
{
	float *v = malloc((n + 1) * sizeof(*v));

	assert_non_null(v);
	for (size_t i = 0; i < n; i++)
		v[i] = mb_noise(&seed);
	return v;
}

static void one_conv(const struct conv *v, unsigned int threads)
{
	int skip = 2 - v->nd;
	int64_t outs = v->group * v->m, oh = out_len(v, 0), ow = out_len(v, 1);
	int64_t xd[4] = {v->batch, v->group * v->c}, wd[4] = {outs, v->c}, pads[4];
	size_t nx = (size_t)(v->batch * xd[1] * v->in[0] * v->in[1]), at_out = 0;
	float *x = noise(nx, 1), *w = noise((size_t)(outs * v->c * v->k[0] * v->k[1]), 2);
	float *bias = noise((size_t)outs, 3), *y = noise((size_t)(v->batch * outs * oh * ow), 4);
	struct mb *b = mb_new(11);
	struct onnx_graph *g;
	Onnx__NodeProto *n;

	for (int i = 0; i < v->nd; i++) {
		xd[2 + i] = v->in[skip + i];
		wd[2 + i] = v->k[skip + i];
		pads[i] = v->lo[skip + i];
		pads[v->nd + i] = v->hi[skip + i];
	}
	mb_input(b, "x", 2 + v->nd, xd);
	mb_f32(b, "w", 2 + v->nd, wd, w);
	mb_f32(b, "b", 1, &outs, bias);
	n = mb_node(b, "Conv", v->bias ? "x w b" : "x w", "y");
	mb_attr_ints(b, n, "strides", v->nd, v->stride + skip);
	mb_attr_ints(b, n, "dilations", v->nd, v->dil + skip);
	if (v->auto_pad)
		mb_attr_s(b, n, "auto_pad", v->auto_pad);
	else
		mb_attr_ints(b, n, "pads", 2 * v->nd, pads);
	mb_attr_i(b, n, "group", v->group);
	mb_output(b, "y");
	g = mb_run(b, threads, x, y);
	assert_int_equal(g->values[g->outputs[0]].elements, v->batch * outs * oh * ow);
	for (int64_t i = 0; i < v->batch; i++)
		for (int64_t c = 0; c < outs; c++)
			for (int64_t r = 0; r < oh; r++)
				for (int64_t s = 0; s < ow; s++, at_out++) {
					double want = at(v, x, w, bias, i, c, r, s);

					if (!(fabs((double)y[at_out] - want) < 1e-4))
						fail_msg("%s (%u threads): %zu is %g, not %g",
							 v->name, threads, at_out,
							 (double)y[at_out], want);
				}
	onnx_free(g);
	mb_free(b);
	free(x);
	free(w);
	free(bias);
	free(y);
}

static void conv_is_the_definition(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(convs); i++)
		for (unsigned int threads = 1; threads <= 3; threads++)
			one_conv(&convs[i], threads);
}

/* -------------------------------------------------------------------- pooling */

/*
 * Kernels that are nearly all padding, which cost a file nothing, must not cost a run anything
 * either.  Placed so that output (i, j) sees what is above and to the left of it, and itself.
 */
static void pooling_kernels_of_mostly_padding(void **state)
{
	const int64_t sizes[] = {2, 3, 32, 33, 1 << 24};
	const float x[] = {1, 5, -3, 9}, want_max[] = {1, 5, 1, 9};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(sizes); i++) {
		int64_t k = sizes[i / 2], k3[] = {k, k, k}, pads[] = {k - 1, k - 1, k - 1, 0, 0, 0};
		struct mb *b = mb_new(11);
		Onnx__NodeProto *n;
		float y[4];

		mb_input(b, "x", MB_DIMS(1, 1, 1, 2, 2));
		n = mb_node(b, i % 2 ? "AveragePool" : "MaxPool", "x", "y");
		mb_attr_ints(b, n, "kernel_shape", 3, k3);
		mb_attr_ints(b, n, "pads", 6, pads);
		if (i % 2)
			mb_attr_i(b, n, "count_include_pad", 1);
		mb_output(b, "y");
		onnx_free(mb_run(b, 1, x, y));
		if (i % 2) {
			double all = (double)k * (double)k * (double)k;

			assert_true(y[0] == (float)(1 / all) && y[1] == (float)(6 / all) &&
				    y[2] == (float)(-2 / all) && y[3] == (float)(12 / all));
		} else {
			assert_memory_equal(y, want_max, sizeof(y));
		}
		mb_free(b);
	}
}

/* An output without elements needs no work space, whatever a file says of its other dimensions. */
static void nothing_needs_no_work_space(void **state)
{
	const float scales[] = {1, 1, 2};
	const int64_t three = 3;

	(void)state;
	for (int conv = 0; conv < 2; conv++) {
		struct mb *b = mb_new(11);
		struct hw_error err = {0};
		struct onnx_session *s;
		struct onnx_graph *g;

		if (conv) {
			mb_input(b, "x", MB_DIMS(1, 4, 600, 600));
			mb_input(b, "w", MB_DIMS(0, 4, 512, 512));
			mb_node(b, "Conv", "x w", "y");
		} else {
			mb_input(b, "x", MB_DIMS(0, 1, 1 << 26));
			mb_f32(b, "scales", 1, &three, scales);
			mb_attr_s(b, mb_node(b, "Resize", "x - scales", "y"), "mode", "nearest");
		}
		mb_output(b, "y");
		assert_ok(mb_parse(b, &g, &err), &err);
		assert_ok(onnx_session_new(g, 1, &s, &err), &err);
		assert_true(onnx_session_bytes(s) < 1 << 16);
		onnx_session_free(s);
		onnx_free(g);
		mb_free(b);
	}
}

/* ------------------------------------------------------------ attribute forms */

static void slice_by_attributes(void **state)
{
	const float x[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, want[] = {6, 7, 10, 11};
	struct mb *b = mb_new(9);
	Onnx__NodeProto *n;
	struct onnx_graph *g;
	float y[12];

	(void)state;
	mb_input(b, "x", MB_DIMS(3, 4));
	n = mb_node(b, "Slice", "x", "y");
	mb_attr_ints(b, n, "starts", MB_DIMS(2, -2));
	mb_attr_ints(b, n, "ends", MB_DIMS(INT64_MAX, 3));
	mb_attr_ints(b, n, "axes", MB_DIMS(1, 0));
	mb_output(b, "y");
	/* rows -2.. to 3, columns 2.. to the end */
	g = mb_run(b, 1, x, y);
	assert_int_equal(g->values[g->outputs[0]].dim[0], 2);
	assert_int_equal(g->values[g->outputs[0]].dim[1], 2);
	assert_memory_equal(y, want, sizeof(want));
	onnx_free(g);
	mb_free(b);
}

static void unsqueeze_and_softmax_of_opset_11(void **state)
{
	/* Softmax before opset 13 normalises over everything from its axis on. */
	const float x[] = {0, 0, 0, 0};
	struct mb *b = mb_new(11);
	Onnx__NodeProto *n;
	struct onnx_graph *g;
	float y[4];

	(void)state;
	mb_input(b, "x", MB_DIMS(2, 2));
	n = mb_node(b, "Unsqueeze", "x", "u");
	mb_attr_ints(b, n, "axes", MB_DIMS(-3));
	mb_node(b, "Softmax", "u", "y");
	mb_output(b, "y");
	g = mb_run(b, 1, x, y);
	assert_int_equal(g->values[g->outputs[0]].rank, 3);
	assert_int_equal(g->values[g->outputs[0]].dim[0], 1);
	for (size_t i = 0; i < 4; i++)
		assert_true(fabsf(y[i] - 0.25f) < 1e-6f);
	onnx_free(g);
	mb_free(b);
}

static void leading_dynamic_dimension_is_one(void **state)
{
	const float x[] = {-1, 2, -3};
	struct mb *b = mb_new(13);
	struct onnx_graph *g;
	float y[3];

	(void)state;
	mb_input(b, "x", MB_DIMS(-1, 3));
	mb_node(b, "Relu", "x", "y");
	b->out[b->graph.n_output++] = mb_value(b, "y", ONNX_F32, MB_DIMS(-1, 3));
	g = mb_run(b, 1, x, y);
	assert_int_equal(g->values[g->inputs[0]].dim[0], 1);
	assert_true(y[0] == 0 && y[1] == 2 && y[2] == 0);
	onnx_free(g);
	mb_free(b);
}

/* Shape -> Gather -> Concat -> Reshape, as exporters write "flatten all but the batch". */
static void shape_arithmetic_folds(void **state)
{
	const float x[] = {1, 2, 3, 4, 5, 6};
	const int64_t zero = 0, minus_one = -1;
	struct mb *b = mb_new(13);
	struct onnx_graph *g;
	Onnx__NodeProto *n;
	float y[6];

	(void)state;
	mb_input(b, "x", MB_DIMS(1, 2, 3));
	mb_i64(b, "zero", 1, &zero);
	mb_i64(b, "minus_one", 1, &minus_one);
	mb_node(b, "Shape", "x", "s");
	n = mb_node(b, "Gather", "s zero", "batch");
	mb_attr_i(b, n, "axis", 0);
	n = mb_node(b, "Concat", "batch minus_one", "target");
	mb_attr_i(b, n, "axis", 0);
	mb_node(b, "Reshape", "x target", "y");
	mb_output(b, "y");
	g = mb_run(b, 1, x, y);
	assert_int_equal(g->n_nodes, 1);
	assert_string_equal(g->nodes[0].op, "Reshape");
	assert_int_equal(g->n_values, 3); /* x, target, y: what led to them is gone */
	assert_int_equal(g->values[g->outputs[0]].dim[1], 6);
	assert_memory_equal(x, y, sizeof(x));
	onnx_free(g);
	mb_free(b);
}

/* ------------------------------------------------------------ buffers at run */

static void output_may_be_an_input_or_a_constant(void **state)
{
	const float x[] = {1, 2}, k[] = {3, 4};
	const int64_t two = 2;
	struct mb *b = mb_new(13);
	struct onnx_graph *g;
	struct onnx_session *s;
	struct hw_error err = {0};
	float y[3][2];
	const void *in[] = {x};
	void *out[] = {y[0], y[1], y[2]};

	(void)state;
	mb_input(b, "x", 1, &two);
	mb_f32(b, "k", 1, &two, k);
	mb_node(b, "Add", "x k", "sum");
	mb_output(b, "x");
	mb_output(b, "k");
	mb_output(b, "sum");
	assert_ok(mb_parse(b, &g, &err), &err);
	assert_ok(onnx_session_new(g, 1, &s, &err), &err);
	assert_ok(onnx_run(s, in, out, &err), &err);
	assert_memory_equal(y[0], x, sizeof(x));
	assert_memory_equal(y[1], k, sizeof(k));
	assert_true(y[2][0] == 4 && y[2][1] == 6);
	onnx_session_free(s);
	onnx_free(g);
	mb_free(b);
}

#define DAG_NODES 60
#define DAG_LEN 33

/* Random elementwise graphs: any overlap of two living buffers shows as a wrong number. */
static void one_dag(uint32_t seed)
{
	static const char *const ops[] = {"Add", "Sub", "Mul", "Relu"};
	static float v[DAG_NODES + 1][DAG_LEN];
	const int64_t len = DAG_LEN;
	struct mb *b = mb_new(13);
	struct onnx_graph *g;
	float y[DAG_LEN];
	char a[16], o[16];

	for (size_t i = 0; i < DAG_LEN; i++)
		v[0][i] = mb_noise(&seed);
	mb_input(b, "v0", 1, &len);
	for (unsigned int i = 1; i <= DAG_NODES; i++) {
		unsigned int op, p, q, reach = i < 8 ? i : 8;
		char in[40];

		seed = seed * 1664525u + 1013904223u;
		op = seed >> 30;
		p = i - 1 - (seed >> 8) % reach;
		q = i - 1 - (seed >> 16) % reach;
		snprintf(in, sizeof(in), op == 3 ? "v%u" : "v%u v%u", p, q);
		snprintf(o, sizeof(o), "v%u", i);
		mb_node(b, ops[op], in, o);
		for (size_t k = 0; k < DAG_LEN; k++) {
			float l = v[p][k], r = v[q][k];

			v[i][k] = op == 0 ? l + r : op == 1 ? l - r : op == 2 ? l * r :
				  l < 0 ? 0 : l;
		}
	}
	snprintf(a, sizeof(a), "v%u", DAG_NODES);
	mb_output(b, a);
	g = mb_run(b, 1, v[0], y);
	for (size_t k = 0; k < DAG_LEN; k++)
		if (y[k] != v[DAG_NODES][k] && !(isnan(y[k]) && isnan(v[DAG_NODES][k])))
			fail_msg("element %zu is %g, not %g", k, (double)y[k],
				 (double)v[DAG_NODES][k]);
	onnx_free(g);
	mb_free(b);
}

static void living_buffers_never_overlap(void **state)
{
	(void)state;
	for (uint32_t seed = 0; seed < 50; seed++)
		one_dag(seed * 7919 + 1);
}

static void running_allocates_nothing(void **state)
{
	const int64_t wd[] = {6, 4, 3}, fc[] = {6, 5};
	float *x = noise(4 * 50, 1), *w = noise(6 * 4 * 3, 2), *f = noise(30, 3), y[5];
	struct mb *b = mb_new(11);
	struct onnx_graph *g;
	struct onnx_session *s;
	struct hw_error err = {0};
	const void *in[] = {x};
	void *out[] = {y};
	Onnx__NodeProto *n;
	unsigned long before;

	(void)state;
	mb_input(b, "x", MB_DIMS(1, 4, 50));
	mb_f32(b, "w", 3, wd, w);
	mb_f32(b, "f", 2, fc, f);
	mb_node(b, "Conv", "x w", "c");
	mb_node(b, "Sigmoid", "c", "r");
	mb_node(b, "GlobalAveragePool", "r", "p");
	n = mb_node(b, "Squeeze", "p", "q");
	mb_attr_ints(b, n, "axes", MB_DIMS(2));
	mb_node(b, "Gemm", "q f", "y");
	mb_output(b, "y");
	assert_ok(mb_parse(b, &g, &err), &err);
	assert_ok(onnx_session_new(g, 2, &s, &err), &err);
	/* Counting works, and the first run is over (OpenBLAS sets itself up in it). */
	count_allocations();
	before = allocations;
	free(noise(1, 1));
	assert_true(allocations > before);
	assert_ok(onnx_run(s, in, out, &err), &err);
	before = allocations;
	for (int i = 0; i < 10; i++)
		assert_ok(onnx_run(s, in, out, &err), &err);
	assert_int_equal(allocations, before);
	onnx_session_free(s);
	onnx_free(g);
	mb_free(b);
	free(x);
	free(w);
	free(f);
}

static void index_out_of_range_is_an_error_of_the_run(void **state)
{
	const float x[] = {1, 2, 3};
	const int64_t three = 3, one = 1, good = -3, bad = 3;
	struct mb *b = mb_new(13);
	struct onnx_graph *g;
	struct onnx_session *s;
	struct hw_error err = {0};
	float y = 0;
	const void *in[] = {x, &good};
	void *out[] = {&y};

	(void)state;
	mb_input(b, "x", 1, &three);
	b->in[b->graph.n_input++] = mb_value(b, "i", ONNX_I64, 1, &one);
	mb_node(b, "Gather", "x i", "y");
	mb_output(b, "y");
	assert_ok(mb_parse(b, &g, &err), &err);
	assert_ok(onnx_session_new(g, 1, &s, &err), &err);
	assert_ok(onnx_run(s, in, out, &err), &err);
	assert_true(y == 1);
	in[1] = &bad;
	assert_int_equal(onnx_run(s, in, out, &err), -EINVAL);
	assert_non_null(strstr(err.text, "Gather"));
	onnx_session_free(s);
	onnx_free(g);
	mb_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conv_is_the_definition),
		cmocka_unit_test(pooling_kernels_of_mostly_padding),
		cmocka_unit_test(nothing_needs_no_work_space),
		cmocka_unit_test(slice_by_attributes),
		cmocka_unit_test(unsqueeze_and_softmax_of_opset_11),
		cmocka_unit_test(leading_dynamic_dimension_is_one),
		cmocka_unit_test(shape_arithmetic_folds),
		cmocka_unit_test(output_may_be_an_input_or_a_constant),
		cmocka_unit_test(living_buffers_never_overlap),
		cmocka_unit_test(running_allocates_nothing),
		cmocka_unit_test(index_out_of_range_is_an_error_of_the_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
