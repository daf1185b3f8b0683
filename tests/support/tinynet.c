// SPDX-License-Identifier: MIT
#include "support/tinynet.h"

#include <math.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "build/build.h"
#include "support/support.h"

enum { V_X, V_W, V_B, V_Y, VALUES };

static void set_value(struct onnx_tensor *t, const char *name, unsigned int rank, int64_t d0, int64_t d1,
		      float *data)
{
	*t = (struct onnx_tensor){
		.name = strdup(name), .type = ONNX_F32, .rank = rank, .dim = {d0, d1},
		.elements = (size_t)(d0 * (rank > 1 ? d1 : 1)), .constant = data != NULL, .data = data,
	};
}

static struct onnx_graph *tiny_graph(float sign, unsigned int shift)
{
	struct onnx_graph *g = calloc(1, sizeof(*g));
	float *w = calloc(TINY_IN * TINY_OUT, sizeof(*w)), *b = calloc(TINY_OUT, sizeof(*b));

	assert_non_null(g);
	assert_non_null(w);
	assert_non_null(b);
	for (unsigned int o = 0; o < TINY_OUT; o++)
		w[o * TINY_IN + (o + shift) % TINY_IN] = sign;
	g->name = strdup("tiny");
	g->opset = 11;
	g->n_values = VALUES;
	g->values = calloc(VALUES, sizeof(*g->values));
	set_value(&g->values[V_X], "x", 2, 1, TINY_IN, NULL);
	set_value(&g->values[V_W], "w", 2, TINY_OUT, TINY_IN, w);
	set_value(&g->values[V_B], "b", 1, TINY_OUT, 0, b);
	set_value(&g->values[V_Y], "y", 2, 1, TINY_OUT, NULL);
	g->n_nodes = 1;
	g->nodes = calloc(1, sizeof(*g->nodes));
	g->nodes[0] = (struct onnx_node){
		.name = strdup("gemm"), .op = strdup("Gemm"), .n_in = 3, .n_out = 1,
		.in = calloc(3, sizeof(int)), .out = calloc(1, sizeof(int)), .n_attr = 1,
		.attr = calloc(1, sizeof(struct onnx_attr)),
	};
	g->nodes[0].in[0] = V_X;
	g->nodes[0].in[1] = V_W;
	g->nodes[0].in[2] = V_B;
	g->nodes[0].out[0] = V_Y;
	g->nodes[0].attr[0] = (struct onnx_attr){.name = strdup("transB"), .kind = 2, .i = 1};
	g->n_inputs = g->n_outputs = 1;
	g->inputs = calloc(1, sizeof(int));
	g->outputs = calloc(1, sizeof(int));
	g->inputs[0] = V_X;
	g->outputs[0] = V_Y;
	return g;
}

/* The same for every tiny network: all are calibrated with the same two samples. */
static float in_scale[TINY_IN], in_zero[TINY_IN];

uint8_t *tiny_hef(const char *name, float sign, unsigned int shift, size_t *len)
{
	struct onnx_graph *g = tiny_graph(sign, shift);
	float sample[2][TINY_IN];
	const float *samples[2] = {sample[0], sample[1]};
	struct build_options opt = {.name = name, .n_samples = 2, .samples = samples};
	struct build_result r = {0};
	struct hw_error err = {0};
	uint8_t *hef;

	for (unsigned int i = 0; i < TINY_IN; i++) {
		sample[0][i] = -1.0f;
		sample[1][i] = 1.0f;
	}
	assert_ok(build_hef(g, &opt, &r, &err), &err);
	assert_int_equal(r.channels, TINY_IN);
	memcpy(in_scale, r.in_scale, sizeof(in_scale));
	memcpy(in_zero, r.in_zero, sizeof(in_zero));
	hef = r.hef;
	*len = r.hef_len;
	r.hef = NULL;
	build_result_free(&r);
	onnx_free(g);
	return hef;
}

int tiny_want(const uint8_t in[TINY_IN], unsigned int o, unsigned int shift, const struct hw_quant *out)
{
	unsigned int i = (o + shift) % TINY_IN;
	float real = ((float)in[i] - in_zero[i]) * in_scale[i];
	int q = (int)lrintf(real / out->scale + out->zero_point);

	return q < 0 ? 0 : q > 255 ? 255 : q;
}

bool tiny_right(const uint8_t in[TINY_IN], const uint8_t out[TINY_OUT], unsigned int shift,
		const struct hw_quant *quant)
{
	for (unsigned int o = 0; o < TINY_OUT; o++) {
		if (abs(out[o] - tiny_want(in, o, shift, quant)) > 1)
			return false;
	}
	return true;
}

void tiny_fill(uint8_t in[TINY_IN], unsigned int seed)
{
	for (unsigned int i = 0; i < TINY_IN; i++)
		in[i] = (uint8_t)(seed * 37 + i * 29 + 5);
}

/* hef-format 1.2: version 2 has 44 bytes of header, proto_size at 8, digest at 12, ccws at 20. */
void hef_ccws(const uint8_t *hef, size_t len, size_t *off, size_t *size)
{
	assert_int_equal(get_be32(hef + 4), 2);
	*off = 44 + get_be32(hef + 8);
	*size = (size_t)get_be64(hef + 20);
	assert_int_equal(*off + *size, len);
}

void hef_fix_digest(uint8_t *hef, size_t len)
{
	put_be64(hef + 12, XXH3_64bits(hef + 44, len - 44));
}
