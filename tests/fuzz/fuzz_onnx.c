// SPDX-License-Identifier: MIT
/* The ONNX reader: parse, shape inference and folding; small graphs are run and written again. */
#include "fuzz/pbmutate.h"
#include "onnx.pb-c.h"
#include "onnx/internal.h"

#define RUN_BYTES ((size_t)1 << 20) /* of a session, and of inputs and outputs */
#define RUN_STEPS ((uint64_t)1 << 24)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len,
				 uint8_t *out, size_t max, unsigned int seed);

static bool are_small(const struct onnx_graph *g, const int *values, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (g->values[values[i]].elements > RUN_BYTES)
			return false;
	return true;
}

/*
 * At most what a node computes: each element from all elements of the inputs.  Inputs and outputs may
 * be large without any node that would say so.
 */
static bool is_small(const struct onnx_graph *g)
{
	uint64_t steps = 0;

	if (!are_small(g, g->inputs, g->n_inputs) || !are_small(g, g->outputs, g->n_outputs))
		return false;
	for (size_t i = 0; i < g->n_nodes; i++) {
		uint64_t in = 1, out = 1;

		for (size_t k = 0; k < g->nodes[i].n_in; k++)
			if (g->nodes[i].in[k] >= 0)
				in += g->values[g->nodes[i].in[k]].elements;
		for (size_t k = 0; k < g->nodes[i].n_out; k++)
			out += g->values[g->nodes[i].out[k]].elements;
		if (in > RUN_BYTES || out > RUN_BYTES)
			return false;
		steps += in * out;
	}
	return steps <= RUN_STEPS;
}

/* Tensors with numbers in them, of exactly the right size, so that no byte beyond goes unnoticed. */
static void **buffers(const struct onnx_graph *g, const int *values, size_t n)
{
	void **v = calloc(n + 1, sizeof(*v));

	for (size_t i = 0; v && i < n; i++) {
		const struct onnx_tensor *t = &g->values[values[i]];
		size_t bytes = onnx_is_list(t) ? sizeof(struct onnx_list) : onnx_tensor_bytes(t);

		v[i] = calloc(1, bytes ? bytes : 1);
		if (v[i] && !onnx_is_list(t) && t->type != ONNX_TEXT)
			memset(v[i], 1, bytes);
	}
	return v;
}

static void release(void **v, size_t n)
{
	for (size_t i = 0; v && i < n; i++)
		free(v[i]);
	free(v);
}

static void run(const struct onnx_graph *g)
{
	struct onnx_session *s = NULL;
	struct hw_error err = {0};
	void **in, **out;

	if (!is_small(g) || onnx_session_new(g, 1, &s, &err) < 0)
		return;
	in = buffers(g, g->inputs, g->n_inputs);
	out = buffers(g, g->outputs, g->n_outputs);
	if (in && out && onnx_session_bytes(s) <= RUN_BYTES)
		onnx_run(s, (const void *const *)in, out, &err);
	release(in, g->n_inputs);
	release(out, g->n_outputs);
	onnx_session_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct onnx_graph *g = NULL;
	struct hw_error err = {0};
	uint8_t *bytes = NULL;
	size_t len;
	int r = onnx_parse((struct span){data, size}, &g, &err);

	if (r < 0) {
		/* A refusal says why, and leaves nothing. */
		if (!err.text[0] || g)
			abort();
		return 0;
	}
	run(g);
	if (onnx_serialize(g, &bytes, &len) == 0)
		free(bytes);
	onnx_free(g);
	return 0;
}

static size_t mutate(struct span msg, struct span donor, uint8_t *out, size_t max, unsigned int seed)
{
	struct buf b = {0};
	size_t n = 0;

	pbmutate(&onnx__model_proto__descriptor, msg, donor, seed, &b);
	if (!b.failed && b.len <= max) {
		n = b.len;
		if (n)
			memcpy(out, b.ptr, n);
	}
	buf_free(&b);
	return n;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	size_t n = seed % 10 ? mutate((struct span){data, size}, (struct span){data, size}, data, max, seed)
			     : 0;

	return n ? n : LLVMFuzzerMutate(data, size, max);
}

size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len,
				 uint8_t *out, size_t max, unsigned int seed)
{
	return mutate((struct span){a, a_len}, (struct span){b, b_len}, out, max, seed);
}
