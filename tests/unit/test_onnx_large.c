// SPDX-License-Identifier: MIT
/* A network of the size of YOLOv8-pose, on one thread and on two; many sessions at once. */
#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <unistd.h>

#include "onnx_build.h"
#include "support/yolonet.h"

#define MAX_OUT 9
#define MIB (1u << 20)

/* The generated network as a file has it. */
static struct onnx_graph *yolo(unsigned int size)
{
	struct onnx_graph *made = yolo_graph(size), *g;
	struct hw_error err = {0};
	uint8_t *bytes;
	size_t len;

	assert_int_equal(onnx_serialize(made, &bytes, &len), 0);
	assert_ok(onnx_parse((struct span){bytes, len}, &g, &err), &err);
	assert_int_equal(g->n_nodes, made->n_nodes);
	free(bytes);
	onnx_free(made);
	return g;
}

static float *image(const struct onnx_graph *g)
{
	const struct onnx_tensor *t = &g->values[g->inputs[0]];
	float *x = malloc(t->elements * sizeof(*x));
	uint32_t seed = 640;

	assert_non_null(x);
	for (size_t i = 0; i < t->elements; i++)
		x[i] = 0.5f + 0.5f * mb_noise(&seed);
	return x;
}

struct outputs {
	void *v[MAX_OUT];
};

static void outputs_free(struct outputs *o)
{
	for (size_t i = 0; i < MAX_OUT; i++)
		free(o->v[i]);
}

static struct outputs run(const struct onnx_graph *g, unsigned int threads, int times,
			  size_t *bytes)
{
	struct outputs o = {{NULL}};
	struct onnx_session *s;
	struct hw_error err = {0};
	float *x = image(g);
	const void *in[] = {x};

	assert_int_equal(g->n_outputs, MAX_OUT);
	for (size_t i = 0; i < MAX_OUT; i++) {
		o.v[i] = malloc(g->values[g->outputs[i]].elements * sizeof(float));
		assert_non_null(o.v[i]);
	}
	assert_ok(onnx_session_new(g, threads, &s, &err), &err);
	for (int i = 0; i < times; i++)
		assert_ok(onnx_run(s, in, o.v, &err), &err);
	*bytes = onnx_session_bytes(s);
	onnx_session_free(s);
	free(x);
	return o;
}

/* Agreement to @part of the output's largest number; and it is not just zeros. */
static void assert_close(const struct onnx_graph *g, const struct outputs *a,
			 const struct outputs *b, double part)
{
	for (size_t i = 0; i < MAX_OUT; i++) {
		const float *u = a->v[i], *v = b->v[i];
		size_t n = g->values[g->outputs[i]].elements;
		double top = 0;

		for (size_t k = 0; k < n; k++)
			top = fabs((double)v[k]) > top ? fabs((double)v[k]) : top;
		assert_true(top > 1e-3 && top < 1e3);
		for (size_t k = 0; k < n; k++)
			if (!(fabs((double)u[k] - (double)v[k]) <= part * top))
				fail_msg("output %zu, element %zu: %.9g and %.9g", i, k,
					 (double)u[k], (double)v[k]);
	}
}

static size_t activation_bytes(const struct onnx_graph *g)
{
	size_t sum = 0;

	for (size_t i = 0; i < g->n_values; i++)
		if (!g->values[i].constant)
			sum += g->values[i].elements * sizeof(float);
	return sum;
}

static void one_and_two_threads(unsigned int size, int times)
{
	struct onnx_graph *g = yolo(size);
	size_t bytes[2];
	struct outputs one = run(g, 1, times, &bytes[0]), two = run(g, 2, times, &bytes[1]);

	assert_close(g, &two, &one, 1e-5);
	print_message("# %u x %u: %.2f GFLOP, %.1f MiB of arena and work space (all activations: "
		      "%.1f MiB), two threads %.1f MiB\n", size, size, yolo_flop(g) / 1e9,
		      (double)bytes[0] / MIB, (double)activation_bytes(g) / MIB,
		      (double)bytes[1] / MIB);
	/* Memory is used again as soon as nothing needs what is in it. */
	assert_true(bytes[0] < activation_bytes(g) / 4 + 4 * MIB);
	assert_true(bytes[1] < activation_bytes(g) / 4 + 8 * MIB);
	outputs_free(&one);
	outputs_free(&two);
	onnx_free(g);
}

static void small_frames_agree_between_threads(void **state)
{
	(void)state;
	/* Twice, so that what the first run leaves behind in the arena meets the second one. */
	one_and_two_threads(160, 2);
}

static void full_frames_agree_between_threads(void **state)
{
	struct onnx_graph *g = yolo_graph(640);
	const char *san = getenv("SAN");

	(void)state;
	/* The real one has 9.2 GFLOP. */
	assert_true(yolo_flop(g) > 9.0e9 && yolo_flop(g) < 9.4e9);
	onnx_free(g);
	/* Under TSan a full one takes half a minute. */
	one_and_two_threads(san && !strcmp(san, "thread") ? 320 : 640, 1);
}

/* ------------------------------------------------------- by the definition alone */

struct slow {
	const struct onnx_graph *g;
	float **v; /* by value */
};

static const struct onnx_tensor *tensor(const struct slow *s, int value)
{
	return &s->g->values[value];
}

static int64_t int_attr(const struct onnx_node *n, const char *name)
{
	return onnx_attr(n, name)->ints[0];
}

static void slow_conv(struct slow *s, const struct onnx_node *n)
{
	const struct onnx_tensor *x = tensor(s, n->in[0]), *w = tensor(s, n->in[1]);
	const struct onnx_tensor *y = tensor(s, n->out[0]);
	int64_t stride = int_attr(n, "strides"), pad = int_attr(n, "pads"), k = w->dim[2];
	const float *in = s->v[n->in[0]], *weight = w->data, *bias = tensor(s, n->in[2])->data;
	float *out = s->v[n->out[0]];

	for (int64_t i = 0; i < (int64_t)y->elements; i++) {
		int64_t ox = i % y->dim[3], oy = i / y->dim[3] % y->dim[2];
		int64_t m = i / y->dim[3] / y->dim[2];
		double sum = (double)bias[m];

		for (int64_t t = 0; t < w->dim[1] * k * k; t++) {
			int64_t ix = ox * stride + t % k - pad, iy = oy * stride + t / k % k - pad;

			if (ix >= 0 && ix < x->dim[3] && iy >= 0 && iy < x->dim[2])
				sum += (double)weight[m * w->dim[1] * k * k + t] *
				       (double)in[(t / k / k * x->dim[2] + iy) * x->dim[3] + ix];
		}
		out[i] = (float)sum;
	}
}

static void slow_pool(struct slow *s, const struct onnx_node *n)
{
	const struct onnx_tensor *x = tensor(s, n->in[0]);
	int64_t pad = int_attr(n, "pads"), w = x->dim[3], h = x->dim[2];

	for (int64_t i = 0; i < (int64_t)x->elements; i++) {
		float top = -INFINITY;

		for (int64_t dy = -pad; dy <= pad; dy++)
			for (int64_t dx = -pad; dx <= pad; dx++) {
				int64_t ix = i % w + dx, iy = i / w % h + dy;

				if (ix >= 0 && ix < w && iy >= 0 && iy < h)
					top = fmaxf(top, s->v[n->in[0]][i + dy * w + dx]);
			}
		s->v[n->out[0]][i] = top;
	}
}

static void slow_twice(struct slow *s, const struct onnx_node *n)
{
	const struct onnx_tensor *y = tensor(s, n->out[0]);
	int64_t w = y->dim[3], h = y->dim[2];

	for (int64_t i = 0; i < (int64_t)y->elements; i++) {
		int64_t row = i / w / h * (h / 2) + i / w % h / 2;

		s->v[n->out[0]][i] = s->v[n->in[0]][row * (w / 2) + i % w / 2];
	}
}

static void slow_node(struct slow *s, const struct onnx_node *n)
{
	const struct onnx_tensor *y = tensor(s, n->out[0]);
	float *out = s->v[n->out[0]];
	size_t at = 0;

	if (!strcmp(n->op, "Conv")) {
		slow_conv(s, n);
	} else if (!strcmp(n->op, "MaxPool")) {
		slow_pool(s, n);
	} else if (!strcmp(n->op, "Resize")) {
		slow_twice(s, n);
	} else if (!strcmp(n->op, "Concat")) {
		for (size_t i = 0; i < n->n_in; i++) {
			memcpy(out + at, s->v[n->in[i]],
			       tensor(s, n->in[i])->elements * sizeof(*out));
			at += tensor(s, n->in[i])->elements;
		}
	} else if (!strcmp(n->op, "Split")) {
		memcpy(out, s->v[n->in[0]], y->elements * sizeof(*out));
		memcpy(s->v[n->out[1]], s->v[n->in[0]] + y->elements, y->elements * sizeof(*out));
	} else {
		const float *a = s->v[n->in[0]], *b = n->n_in > 1 ? s->v[n->in[1]] : NULL;
		char op = n->op[0]; /* Add, Mul, Sigmoid */

		for (size_t i = 0; i < y->elements; i++)
			out[i] = op == 'A' ? a[i] + b[i] : op == 'M' ? a[i] * b[i] :
				 (float)(1 / (1 + exp(-(double)a[i])));
	}
}

static void network_is_the_definition(void **state)
{
	struct onnx_graph *g = yolo(64);
	struct slow s = {g, calloc(g->n_values, sizeof(*s.v))};
	struct outputs want = {{NULL}}, got;
	size_t bytes;

	(void)state;
	assert_non_null(s.v);
	for (size_t i = 0; i < g->n_values; i++) {
		s.v[i] = malloc(g->values[i].elements * sizeof(float));
		assert_non_null(s.v[i]);
	}
	free(s.v[g->inputs[0]]);
	s.v[g->inputs[0]] = image(g);
	for (size_t i = 0; i < g->n_nodes; i++)
		slow_node(&s, &g->nodes[i]);
	for (size_t i = 0; i < MAX_OUT; i++)
		want.v[i] = s.v[g->outputs[i]];
	for (unsigned int threads = 1; threads <= 3; threads++) {
		got = run(g, threads, 2, &bytes);
		assert_close(g, &got, &want, 1e-4);
		outputs_free(&got);
	}
	for (size_t i = 0; i < g->n_values; i++)
		free(s.v[i]);
	free(s.v);
	onnx_free(g);
}

/* ------------------------------------------------------------- many at once */

#define CALLERS 96
#define SIDE 512

struct caller {
	const struct onnx_graph *g;
	const float *x;
	pthread_barrier_t *start;
	int result;
	float first;
};

static void *one_caller(void *arg)
{
	struct caller *c = arg;
	float *y = malloc((size_t)SIDE * SIDE * sizeof(*y));
	struct onnx_session *s = NULL;
	struct hw_error err;

	c->result = y ? onnx_session_new(c->g, 1, &s, &err) : -ENOMEM;
	pthread_barrier_wait(c->start);
	if (!c->result)
		c->result = onnx_run(s, (const void *[]){c->x}, (void *[]){y}, &err);
	c->first = y ? y[SIDE + 1] : 0;
	onnx_session_free(s);
	free(y);
	return NULL;
}

/* Address space in MiB. */
static double mapped(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu", &pages), 1);
	fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE) / MIB;
}

/*
 * More callers than OpenBLAS has room for on most machines.  It would map a buffer of tens of MiB
 * for each that is inside of it, keep all of them, and end the process when its table is full.
 */
static void many_sessions_at_once_do_not_flood_openblas(void **state)
{
	const int64_t side = SIDE;
	struct mb *b = mb_new(13);
	struct caller callers[CALLERS];
	pthread_t threads[CALLERS];
	pthread_barrier_t start;
	pthread_attr_t attr;
	struct onnx_graph *g;
	struct hw_error err = {0};
	float *x = calloc((size_t)SIDE * SIDE, sizeof(*x));
	double before, room = (double)sysconf(_SC_NPROCESSORS_ONLN) * 128 + 2048;

	(void)state;
	assert_non_null(x);
	for (int i = 0; i < SIDE; i++)
		x[i * SIDE + i] = 2;
	mb_input(b, "x", MB_DIMS(side, side));
	mb_node(b, "MatMul", "x x", "y");
	mb_output(b, "y");
	assert_ok(mb_parse(b, &g, &err), &err);
	mallopt(M_ARENA_MAX, 1); /* not glibc's pools, nor the stacks, are to be measured */
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 << 10);
	pthread_barrier_init(&start, NULL, CALLERS);
	before = mapped();
	for (int i = 0; i < CALLERS; i++) {
		callers[i] = (struct caller){.g = g, .x = x, .start = &start};
		assert_int_equal(pthread_create(&threads[i], &attr, one_caller, &callers[i]), 0);
	}
	for (int i = 0; i < CALLERS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(callers[i].result, 0);
		assert_true(callers[i].first == 4);
	}
	print_message("# %d callers: %.0f MiB more of address space\n", CALLERS, mapped() - before);
	assert_true(mapped() - before < room);
	pthread_barrier_destroy(&start);
	pthread_attr_destroy(&attr);
	onnx_free(g);
	mb_free(b);
	free(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_sessions_at_once_do_not_flood_openblas),
		cmocka_unit_test(network_is_the_definition),
		cmocka_unit_test(small_frames_agree_between_threads),
		cmocka_unit_test(full_frames_agree_between_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
