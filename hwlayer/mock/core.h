// SPDX-License-Identifier: MIT
/*
 * Inside of the neural core: the parsed network and its arithmetic.  The builder (build/) runs
 * single layers through the same code while it quantises, so what it measures is what the chip
 * computes.
 */
#ifndef HWLAYER_MOCK_CORE_H
#define HWLAYER_MOCK_CORE_H

#include "mock/payload.h"
#include "util/bytes.h"
#include "util/util.h"

/* mult, bias and limits of one layer, one entry per channel. */
struct core_requant {
	uint32_t n, inner;
	float *mult, *mult2, *bias; /* mult2: ADD only */
	int16_t *lo, *hi;
};

struct core_axis {
	uint32_t dim;
	int32_t stride;
};

struct core_layer {
	enum payload_op op;
	uint32_t out, in, in2;
	struct core_requant rq;
	/* CONV */
	struct payload_conv conv;
	size_t k;	  /* c / groups * kh * kw */
	size_t k_padded;  /* row length of @weights and of the gathered input */
	int16_t *weights; /* o rows */
	/* TABLE */
	int32_t first;
	uint32_t count;
	int16_t *table;
	/* MOVE */
	uint32_t rank, offset;
	struct core_axis axis[PAYLOAD_RANK_MAX];
};

struct core_tensor {
	uint32_t elements;
	int32_t lo, hi; /* bounds of its codes, from its writer */
	bool written;
};

struct core_io {
	uint32_t tensor;
	uint8_t stream_index;
	bool output;
	uint32_t n, inner;
	uint8_t *zero;
};

struct core_graph {
	size_t n_tensors, n_ports, n_layers;
	struct core_tensor *tensors;
	struct core_io *ports;
	struct core_layer *layers;
	size_t scratch; /* int16 elements that the largest layer needs */
};

/* Parse an image (core_graph.c).  -EBADMSG with the reason in @err, -ENOMEM. */
int core_graph_parse(struct span image, struct core_graph **out, struct hw_error *err);
void core_graph_free(struct core_graph *g);
/*
 * Parse the layer at the front of @graph.  @tensors: what its operands are; its output's bounds
 * are filled in.  Release with core_layer_clear(), also after an error.
 */
int core_layer_parse(struct span *graph, struct core_tensor *tensors, size_t n_tensors,
		     struct core_layer *out, struct hw_error *err);
void core_layer_clear(struct core_layer *l);
/* int16 elements of scratch that core_layer_run() needs for it. */
size_t core_layer_scratch(const struct core_layer *l);

/* ---------------------------------------------------------------- execution (core_exec.c) */

struct core_pool;

struct core_pool *core_pool_new(unsigned int threads);
void core_pool_free(struct core_pool *pool);
unsigned int core_pool_threads(const struct core_pool *pool);
/* Call fn(arg, i) for every i < n; returns when all are done. */
void core_pool_run(struct core_pool *pool, void (*fn)(void *arg, size_t i), void *arg, size_t n);

/*
 * Gather the input of one group of a convolution into rows of k_padded codes, one per output
 * position, in the order of the weights: channel, kernel row, kernel column; 0 outside the input.
 */
void core_gather(const struct core_layer *l, const int16_t *in, uint32_t group, int16_t *rows);
/* @tensors: codes by tensor number.  @pool may be NULL. */
void core_layer_run(struct core_pool *pool, const struct core_layer *l, const struct core_tensor *t,
		    int16_t *const *tensors, int16_t *scratch);

/* ------------------------------------------------------------- kernels (core_kernels.c) */

#define CORE_K_ALIGN 16u /* rows of weights and gathered input are zero-padded to this */

/*
 * out[o * out_stride + p] = requant(sum over k of a[p][k] * w[o][k]) for p < rows, o0 <= o < o1.
 * @k: multiple of CORE_K_ALIGN, the row length of both.
 */
void core_gemm(const int16_t *a, size_t rows, const int16_t *w, size_t o0, size_t o1, size_t k,
	       const struct core_requant *rq, int16_t *out, size_t out_stride);
/* The same without instructions that not every machine has; for comparison. */
void core_gemm_plain(const int16_t *a, size_t rows, const int16_t *w, size_t o0, size_t o1,
		     size_t k, const struct core_requant *rq, int16_t *out, size_t out_stride);
/* n codes of one channel. */
void core_scale(const int16_t *a, size_t n, float mult, float bias, int16_t lo, int16_t hi,
		int16_t *out);
void core_add(const int16_t *a, const int16_t *b, size_t n, float mult, float mult2, float bias,
	      int16_t lo, int16_t hi, int16_t *out);
/* One sum to one code. */
int16_t core_requant_one(int32_t sum, float mult, float bias, int16_t lo, int16_t hi);

#endif
