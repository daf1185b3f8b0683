// SPDX-License-Identifier: MIT
#include "support/yolonet.h"

#include <math.h>

#include "support/support.h"

#define MAX_VALUES 1024
#define MAX_NODES 512
#define REG 64        /* 4 sides, distributions of 16 bins */
#define KEY_POINTS 51 /* 17, x, y and score of each */

struct net {
	struct onnx_graph *g;
	uint32_t seed;
};

/* Activations are 1 x c x h x w; a value is its index. */
static int value(struct net *n, unsigned int rank, const int64_t *dim, void *data)
{
	struct onnx_tensor *t = &n->g->values[n->g->n_values];
	char name[24];

	assert_true(n->g->n_values < MAX_VALUES);
	snprintf(name, sizeof(name), "v%zu", n->g->n_values);
	*t = (struct onnx_tensor){.name = strdup(name), .type = ONNX_F32, .rank = rank,
				  .elements = 1, .constant = data != NULL, .data = data};
	for (unsigned int i = 0; i < rank; i++) {
		t->dim[i] = dim[i];
		t->elements *= (size_t)dim[i];
	}
	return (int)n->g->n_values++;
}

static int map(struct net *n, int64_t c, int64_t h, int64_t w)
{
	return value(n, 4, (int64_t[]){1, c, h, w}, NULL);
}

static struct onnx_node *node(struct net *n, const char *op, size_t n_in, const int *in,
			      size_t n_out, const int *out)
{
	struct onnx_node *x = &n->g->nodes[n->g->n_nodes];
	char name[24];

	assert_true(n->g->n_nodes < MAX_NODES);
	snprintf(name, sizeof(name), "n%zu", n->g->n_nodes++);
	*x = (struct onnx_node){
		.name = strdup(name), .op = strdup(op), .n_in = n_in, .n_out = n_out,
		.in = calloc(n_in, sizeof(int)), .out = calloc(n_out, sizeof(int)),
		.attr = calloc(4, sizeof(struct onnx_attr)),
	};
	memcpy(x->in, in, n_in * sizeof(int));
	memcpy(x->out, out, n_out * sizeof(int));
	return x;
}

static void ints(struct onnx_node *x, const char *name, size_t count, int64_t v)
{
	struct onnx_attr *a = &x->attr[x->n_attr++];

	*a = (struct onnx_attr){.name = strdup(name), .kind = 7, .n = count,
				.ints = calloc(count, sizeof(int64_t))};
	for (size_t i = 0; i < count; i++)
		a->ints[i] = v;
}

static void integer(struct onnx_node *x, const char *name, int64_t v)
{
	x->attr[x->n_attr++] = (struct onnx_attr){.name = strdup(name), .kind = 2, .i = v};
}

static void word(struct onnx_node *x, const char *name, const char *v)
{
	x->attr[x->n_attr++] = (struct onnx_attr){.name = strdup(name), .kind = 3, .s = strdup(v)};
}

/* Even in [-@scale, @scale) */
static float *noise(struct net *n, size_t count, double scale)
{
	float *v = malloc(count * sizeof(*v));

	assert_non_null(v);
	for (size_t i = 0; i < count; i++) {
		n->seed = n->seed * 1664525u + 1013904223u;
		v[i] = (float)(((double)(n->seed >> 8) / (1 << 23) - 1) * scale);
	}
	return v;
}

static const struct onnx_tensor *at(const struct net *n, int v)
{
	return &n->g->values[v];
}

/* Weights of a size that keeps the activations' size about the same from layer to layer. */
static int conv(struct net *n, int x, int64_t out, int64_t k, int64_t stride)
{
	int64_t c = at(n, x)->dim[1], h = at(n, x)->dim[2], fan = c * k * k;
	int w = value(n, 4, (int64_t[]){out, c, k, k},
		      noise(n, (size_t)(out * fan), 2.2 / sqrt((double)fan)));
	int b = value(n, 1, &out, noise(n, (size_t)out, 0.1));
	int64_t size = (h - 1) / stride + 1;
	int y = map(n, out, size, size);
	struct onnx_node *nd = node(n, "Conv", 3, (int[]){x, w, b}, 1, &y);

	ints(nd, "strides", 2, stride);
	ints(nd, "pads", 4, k / 2);
	return y;
}

/* Convolution and SiLU, the network's usual layer */
static int layer(struct net *n, int x, int64_t out, int64_t k, int64_t stride)
{
	int c = conv(n, x, out, k, stride);
	int64_t size = at(n, c)->dim[2];
	int s = map(n, out, size, size), y = map(n, out, size, size);

	node(n, "Sigmoid", 1, &c, 1, &s);
	node(n, "Mul", 2, (int[]){c, s}, 1, &y);
	return y;
}

static int concat(struct net *n, size_t count, const int *x)
{
	int64_t c = 0, size = at(n, x[0])->dim[2];
	int y;

	for (size_t i = 0; i < count; i++)
		c += at(n, x[i])->dim[1];
	y = map(n, c, size, size);
	integer(node(n, "Concat", count, x, 1, &y), "axis", 1);
	return y;
}

/* Halves, the second one through @depth bottlenecks, everything joined */
static int c2f(struct net *n, int x, int64_t out, unsigned int depth, bool shortcut)
{
	int64_t c = out / 2, size = at(n, x)->dim[2];
	int y = layer(n, x, out, 1, 1);
	int parts[8] = {map(n, c, size, size), map(n, c, size, size)};

	integer(node(n, "Split", 1, &y, 2, parts), "axis", 1);
	for (unsigned int i = 0; i < depth; i++) {
		int from = parts[1 + i], to = layer(n, layer(n, from, c, 3, 1), c, 3, 1);

		if (shortcut) {
			int sum = map(n, c, size, size);

			node(n, "Add", 2, (int[]){from, to}, 1, &sum);
			to = sum;
		}
		parts[2 + i] = to;
	}
	return layer(n, concat(n, 2 + depth, parts), out, 1, 1);
}

static int sppf(struct net *n, int x, int64_t out)
{
	int64_t size = at(n, x)->dim[2];
	int parts[4] = {layer(n, x, out / 2, 1, 1)};

	for (int i = 1; i < 4; i++) {
		struct onnx_node *nd;

		parts[i] = map(n, out / 2, size, size);
		nd = node(n, "MaxPool", 1, &parts[i - 1], 1, &parts[i]);
		ints(nd, "kernel_shape", 2, 5);
		ints(nd, "strides", 2, 1);
		ints(nd, "pads", 4, 2);
	}
	return layer(n, concat(n, 4, parts), out, 1, 1);
}

static int twice(struct net *n, int x)
{
	int64_t four = 4, size = 2 * at(n, x)->dim[2];
	float *scales = noise(n, 4, 0);
	int s, y = map(n, at(n, x)->dim[1], size, size);
	struct onnx_node *nd;

	scales[0] = scales[1] = 1;
	scales[2] = scales[3] = 2;
	s = value(n, 1, &four, scales);
	nd = node(n, "Resize", 3, (int[]){x, -1, s}, 1, &y);
	word(nd, "mode", "nearest");
	word(nd, "coordinate_transformation_mode", "asymmetric");
	word(nd, "nearest_mode", "floor");
	return y;
}

static void head(struct net *n, int x)
{
	static const int64_t width[3] = {64, 64, KEY_POINTS}, out[3] = {REG, 1, KEY_POINTS};

	for (int i = 0; i < 3; i++) {
		int y = layer(n, layer(n, x, width[i], 3, 1), width[i], 3, 1);

		n->g->outputs[n->g->n_outputs++] = conv(n, y, out[i], 1, 1);
	}
}

struct onnx_graph *yolo_graph(unsigned int size)
{
	struct net net = {.g = calloc(1, sizeof(*net.g)), .seed = 8}, *n = &net;
	int x, p3, p4, p5, up4;

	assert_non_null(n->g);
	n->g->name = strdup("yolo");
	n->g->opset = 13;
	n->g->values = calloc(MAX_VALUES, sizeof(*n->g->values));
	n->g->nodes = calloc(MAX_NODES, sizeof(*n->g->nodes));
	n->g->inputs = calloc(1, sizeof(int));
	n->g->outputs = calloc(9, sizeof(int));
	x = n->g->inputs[n->g->n_inputs++] = map(n, 3, size, size);
	x = layer(n, layer(n, x, 16, 3, 2), 32, 3, 2);
	x = layer(n, c2f(n, x, 32, 1, true), 64, 3, 2);
	p3 = c2f(n, x, 64, 2, true);
	p4 = c2f(n, layer(n, p3, 128, 3, 2), 128, 2, true);
	p5 = sppf(n, c2f(n, layer(n, p4, 256, 3, 2), 256, 1, true), 256);
	up4 = c2f(n, concat(n, 2, (int[]){twice(n, p5), p4}), 128, 1, false);
	p3 = c2f(n, concat(n, 2, (int[]){twice(n, up4), p3}), 64, 1, false);
	p4 = c2f(n, concat(n, 2, (int[]){layer(n, p3, 64, 3, 2), up4}), 128, 1, false);
	p5 = c2f(n, concat(n, 2, (int[]){layer(n, p4, 128, 3, 2), p5}), 256, 1, false);
	head(n, p3);
	head(n, p4);
	head(n, p5);
	return n->g;
}

double yolo_flop(const struct onnx_graph *g)
{
	double sum = 0;

	for (size_t i = 0; i < g->n_nodes; i++) {
		const struct onnx_node *n = &g->nodes[i];
		const struct onnx_tensor *w, *y = &g->values[n->out[0]];

		if (strcmp(n->op, "Conv"))
			continue;
		w = &g->values[n->in[1]];
		sum += 2 * (double)w->elements * (double)(y->dim[2] * y->dim[3]);
	}
	return sum;
}
