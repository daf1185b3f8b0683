// SPDX-License-Identifier: MIT
/*
 * The TCN encoder on the CPU: time per window beside the bare sgemm calls that its convolutions
 * and its last layer come down to.  A network of the size of YOLOv8n-pose: time per frame.
 */
#include <cblas.h>
#include <stdio.h>
#include <unistd.h>

#include "onnx/onnx.h"
#include "support/yolonet.h"

#define WARM_UP 20
#define RUNS 300
#define FRAMES 10
#define MAX_OUT 16

struct product {
	int m, n, k;
};

/* The matrix product of a Conv (batch 1, one group) or Gemm node; false for other nodes. */
static bool product_of(const struct onnx_graph *g, const struct onnx_node *n, struct product *p)
{
	const struct onnx_tensor *in = &g->values[n->in[0]], *out = &g->values[n->out[0]];
	const struct onnx_tensor *w;

	if (strcmp(n->op, "Conv") && strcmp(n->op, "Gemm"))
		return false;
	w = &g->values[n->in[1]];
	if (!strcmp(n->op, "Gemm")) {
		*p = (struct product){(int)out->dim[0], (int)out->dim[1],
				      (int)(in->elements / (size_t)out->dim[0])};
		return true;
	}
	*p = (struct product){(int)w->dim[0], (int)(out->elements / (size_t)w->dim[0]),
			      (int)(w->elements / (size_t)w->dim[0])};
	return true;
}

/* Microseconds per window of nothing but the products. */
static double bare_sgemm(const struct onnx_graph *g, double *macs)
{
	float *a = calloc(1 << 20, sizeof(*a)), *b = calloc(1 << 20, sizeof(*b));
	float *c = calloc(1 << 20, sizeof(*c));
	struct product p;
	uint64_t start = 0;

	if (!a || !b || !c)
		exit(1);
	for (size_t i = 0; i < 1 << 20; i++)
		a[i] = b[i] = (float)(i % 17) - 8;
	for (int run = -WARM_UP; run < RUNS; run++) {
		if (run == 0)
			start = util_now_ns();
		*macs = 0;
		for (size_t i = 0; i < g->n_nodes; i++) {
			if (!product_of(g, &g->nodes[i], &p))
				continue;
			cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, p.m, p.n, p.k, 1, a,
				    p.k, b, p.n, 0, c, p.n);
			*macs += (double)p.m * p.n * p.k;
		}
	}
	start = util_now_ns() - start;
	free(a);
	free(b);
	free(c);
	return (double)start / RUNS / 1000;
}

/* Microseconds per run; @bytes: what the session takes up. */
static double session(const struct onnx_graph *g, unsigned int threads, int runs, size_t *bytes)
{
	float *x = calloc(g->values[g->inputs[0]].elements, sizeof(*x));
	const void *in[] = {x};
	void *out[MAX_OUT] = {NULL};
	struct onnx_session *s;
	struct hw_error err;
	uint64_t start = 0;

	if (!x || g->n_outputs > MAX_OUT || onnx_session_new(g, threads, &s, &err))
		exit(1);
	for (size_t i = 0; i < g->n_outputs; i++)
		out[i] = calloc(g->values[g->outputs[i]].elements, sizeof(float));
	for (size_t i = 0; i < g->values[g->inputs[0]].elements; i++)
		x[i] = (float)(i % 13) / 6 - 1;
	for (int run = -runs / 15 - 1; run < runs; run++) {
		if (run == 0)
			start = util_now_ns();
		if (onnx_run(s, in, out, &err))
			exit(1);
	}
	start = util_now_ns() - start;
	*bytes = onnx_session_bytes(s);
	onnx_session_free(s);
	free(x);
	for (size_t i = 0; i < g->n_outputs; i++)
		free(out[i]);
	return (double)start / runs / 1000;
}

static void yolo(void)
{
	struct onnx_graph *g = yolo_graph(640);
	size_t bytes;
	double one = session(g, 1, FRAMES, &bytes) / 1000, flop = yolo_flop(g);
	double two = session(g, 2, FRAMES, &bytes) / 1000;

	printf("onnx: YOLOv8n-pose shape, 640 x 640, %.1f GFLOP: %.0f ms per frame (%.0f GFLOP/s), "
	       "two threads %.0f ms; %.1f MiB of arena and work space\n", flop / 1e9, one,
	       flop / one / 1e6, two, (double)bytes / (1 << 20));
	onnx_free(g);
}

static int tcn(void)
{
	const char *shared = getenv("HAILO_SHARED");
	struct onnx_graph *g;
	struct hw_error err;
	char path[4096];
	double ours, bare, two, macs;
	size_t bytes;

	snprintf(path, sizeof(path), "%s/data/tcn_encoder_for_edgeinfer.onnx",
		 shared && *shared ? shared : "../shared");
	if (access(path, R_OK)) {
		printf("onnx: skipped, %s is not here (set HAILO_SHARED)\n", path);
		return 0;
	}
	if (onnx_open(path, &g, &err)) {
		fprintf(stderr, "onnx: %s\n", err.text);
		return 1;
	}
	ours = session(g, 1, RUNS, &bytes); /* first: it also sets OpenBLAS to one thread */
	bare = bare_sgemm(g, &macs);
	two = session(g, 2, RUNS, &bytes);
	printf("onnx: TCN window %8.1f us, bare sgemm of the same shapes %8.1f us, ratio %.2f "
	       "(aim: 3); %.1f M MACs, %.1f GFLOP/s; two threads %.1f us\n",
	       ours, bare, ours / bare, macs / 1e6, 2 * macs / ours / 1000, two);
	onnx_free(g);
	return 0;
}

int main(void)
{
	yolo();
	return tcn();
}
