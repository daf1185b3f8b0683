// SPDX-License-Identifier: MIT
/*
 * What this build computes, as one line for each thing: NAME DIGEST.  tests/arch/compare.sh compares
 * the lines of two architectures.  Inputs are the same on all of them: integers, and floats made of
 * integers.
 *
 *   digest MODEL.hef     conversions, the software chip with that model, ONNX operators
 *
 * Operators that end in BLAS add in the order that suits the CPU (of one architecture, too), and
 * libm's transcendental functions may be off by a bit; these print their values.
 */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include <hwlayer/hwlayer.h>

#include "host/layout.h"
#include "onnx/onnx.h"

#define DATA "/usr/share/libonnx-testdata/data/node"
#define VALUES 4096

static uint32_t state;

static uint32_t next(void)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

/* In [-2, 2), with many different mantissas */
static float next_float(void)
{
	return (float)(int32_t)next() / 1073741824.0f;
}

static void fill(float *p, size_t n, uint32_t seed)
{
	state = seed;
	for (size_t i = 0; i < n; i++)
		p[i] = next_float();
}

static void print(const char *name, const void *data, size_t len)
{
	printf("%s %016llx\n", name, (unsigned long long)XXH3_64bits(data, len));
}

static int die(const char *what, const struct hw_error *err)
{
	fprintf(stderr, "%s: %s\n", what, err->text);
	return 1;
}

static void conversions(void)
{
	static float in[VALUES], back[VALUES];
	static uint8_t u8[VALUES];
	static uint16_t u16[VALUES];
	char name[64];

	for (unsigned int k = 0; k < 8; k++) {
		struct hw_quant q = {.lim_min = -1.7f, .lim_max = 1.6f};

		fill(in, VALUES, 1 + k);
		q.scale = 0.001f + 0.0123f * (float)k;
		q.zero_point = (float)(k * 17) + (k & 1 ? 0.25f : 0);
		host_quantize_u8(in, u8, VALUES, &q);
		host_quantize_u16(in, u16, VALUES, &q);
		snprintf(name, sizeof(name), "quantize_u8/%u", k);
		print(name, u8, sizeof(u8));
		snprintf(name, sizeof(name), "quantize_u16/%u", k);
		print(name, u16, sizeof(u16));
		host_dequantize_u8(u8, back, VALUES, &q);
		snprintf(name, sizeof(name), "dequantize_u8/%u", k);
		print(name, back, sizeof(back));
		host_dequantize_u16(u16, back, VALUES, &q);
		snprintf(name, sizeof(name), "dequantize_u16/%u", k);
		print(name, back, sizeof(back));
	}
}

static int chip(const char *model)
{
	struct hw_error err = {0};
	struct hw_dev *dev = NULL;
	struct hw_net *net = NULL;
	const struct hw_tensor_info *in, *out;
	size_t n_in, n_out;
	void *input, *output[8] = {0};
	int r;

	r = hw_dev_open(&(struct hw_dev_options){.device = "mock"}, &dev, &err);
	if (r == 0)
		r = hw_net_load(dev, model,
				&(struct hw_net_options){.input_type = HW_TYPE_F32, .output_type = HW_TYPE_F32},
				&net, &err);
	if (r < 0)
		return die(model, &err);
	in = hw_net_inputs(net, &n_in);
	out = hw_net_outputs(net, &n_out);
	if (n_in != 1 || n_out > ARRAY_SIZE(output))
		return die(model, &(struct hw_error){.text = "wants one input, and few outputs"});
	input = calloc(1, in->frame_bytes);
	for (size_t i = 0; i < n_out; i++)
		output[i] = calloc(1, out[i].frame_bytes);
	for (uint32_t k = 0; k < 16 && r == 0; k++) {
		char name[64];

		fill(input, in->elements, 100 + k);
		r = hw_net_run(net, (const void *[]){input}, output, 10000, &err);
		for (size_t i = 0; i < n_out; i++) {
			snprintf(name, sizeof(name), "core/%u/%zu", k, i);
			print(name, output[i], out[i].frame_bytes);
		}
	}
	free(input);
	for (size_t i = 0; i < n_out; i++)
		free(output[i]);
	hw_net_free(net);
	hw_dev_close(dev);
	return r < 0 ? die(model, &err) : 0;
}

/* Is what it computes the same to the last bit everywhere? */
static bool exact(const struct onnx_graph *g)
{
	static const char *const not[] = {"Conv", "Gemm", "MatMul", "Exp", "Sigmoid", "Tanh", "Softmax",
					  "Erf", "Elu", "Pow"};

	for (size_t i = 0; i < g->n_nodes; i++)
		for (size_t k = 0; k < ARRAY_SIZE(not); k++)
			if (!strcmp(g->nodes[i].op, not[k]))
				return false;
	return true;
}

static void run_case(const char *name)
{
	struct onnx_session *s = NULL;
	struct hw_error err = {0};
	struct onnx_graph *g;
	void *in[8] = {0}, *out[8] = {0};
	char path[512], line[160];

	snprintf(path, sizeof(path), DATA "/%s/model.onnx", name);
	if (onnx_open(path, &g, &err) < 0)
		return; /* not of our subset */
	for (size_t i = 0; i < g->n_inputs + g->n_outputs; i++)
		if (g->values[i < g->n_inputs ? g->inputs[i] : g->outputs[i - g->n_inputs]].type != ONNX_F32)
			goto out;
	if (!g->n_inputs || g->n_inputs > 8 || g->n_outputs > 8 ||
	    onnx_session_new(g, 1, &s, &err) < 0)
		goto out;
	for (size_t i = 0; i < g->n_inputs; i++) {
		const struct onnx_tensor *t = &g->values[g->inputs[i]];

		in[i] = calloc(t->elements + 1, 4);
		fill(in[i], t->elements, 7 + (uint32_t)i);
	}
	for (size_t i = 0; i < g->n_outputs; i++)
		out[i] = calloc(g->values[g->outputs[i]].elements + 1, 4);
	if (onnx_run(s, (const void *const *)in, out, &err) < 0)
		goto out;
	for (size_t i = 0; i < g->n_outputs; i++) {
		size_t n = g->values[g->outputs[i]].elements;
		float *p = out[i];

		snprintf(line, sizeof(line), "onnx/%s/%zu", name, i);
		for (size_t k = 0; k < n; k++)
			if (isnan(p[k]))
				p[k] = NAN; /* of either sign */
		if (exact(g)) {
			print(line, p, n * 4);
			continue;
		}
		printf("%s about", line);
		for (size_t k = 0; k < n; k++)
			printf(" %.7g", (double)p[k]);
		puts("");
	}
out:
	for (size_t i = 0; i < 8; i++) {
		free(in[i]);
		free(out[i]);
	}
	onnx_session_free(s);
	onnx_free(g);
}

static int operators(void)
{
	struct dirent **list;
	int n = scandir(DATA, &list, NULL, alphasort);

	if (n < 0)
		return die(DATA, &(struct hw_error){.text = "not there (libonnx-testdata)"});
	for (int i = 0; i < n; i++) {
		if (list[i]->d_name[0] != '.')
			run_case(list[i]->d_name);
		free(list[i]);
	}
	free(list);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	conversions();
	return chip(argv[1]) || operators();
}
