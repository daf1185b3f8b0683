// SPDX-License-Identifier: MIT
/*
 * Inside of the builder.  plan.c turns ONNX nodes into the layers of the core and decides which
 * tensors share a quantisation ("root"); calibrate.c measures their ranges; scale.c chooses the
 * scales; emit.c quantises layer by layer, running each on the calibration data; round.c rounds
 * weights; split.c cuts the result into contexts; image.c and file.c write what comes out.
 */
#ifndef HWLAYER_BUILD_INTERNAL_H
#define HWLAYER_BUILD_INTERNAL_H

#include "build/build.h"
#include "mock/core.h"

enum step_kind {
	STEP_CONV, /* also Gemm: a 1x1 convolution of one position */
	STEP_POOL,
	STEP_ADD,
	STEP_RELU,
	STEP_SIGMOID,
	STEP_MOVE,  /* the same codes in another order */
	STEP_ALIAS, /* the same codes in the same order under another name */
};

/* One layer to be; values are indices into the graph's. */
struct step {
	enum step_kind kind;
	size_t node;
	int in, in2, out;
	/* STEP_CONV: weights [o][k] and bias [o] in f32 */
	struct payload_conv conv;
	size_t k;
	float *weights, *bias;
	int16_t limit; /* of the quantised weights */
	/* STEP_MOVE */
	uint32_t rank, offset;
	struct core_axis axis[PAYLOAD_RANK_MAX];
	/* calibration: sums of the float result over positions, [sample][o] */
	double *sums;
};

/* Values that carry the codes of one quantisation, at most reordered. */
struct root {
	int value; /* the one that introduces it */
	enum step_kind by;
	bool input;
	uint32_t n;	  /* channels */
	bool per_tensor;  /* somebody needs one scale for all channels */
	int32_t span;	  /* codes that its readers can take: 255, or more */
	float *min, *max; /* [n], over the calibration data */
	float *scale;	  /* [n] */
	int16_t *zero;	  /* [n]: byte = code + zero, for 8-bit roots */
	int16_t *lo, *hi; /* [n]: limits of codes */
};

struct value {
	int root;	 /* -1: a constant, or not a tensor of the core */
	uint32_t *label; /* [elements]: channel of the root */
	bool observed;	 /* its range counts */
	int tensor;	 /* number in the core, -1 */
};

struct plan {
	const struct onnx_graph *g;
	const struct build_options *opt;
	size_t n_steps, n_roots;
	struct step *steps;
	struct root *roots;
	struct value *values;
	double *weight; /* [sample]: of its errors, 1 / size of its outputs */
	uint64_t macs;
	/* the core's side */
	size_t n_tensors;
	struct core_tensor *tensors;
	struct buf layers; /* graph bytes */
	size_t n_layers;
	size_t progress; /* steps reported so far, of progress_total */
	size_t progress_total;
	struct hw_error *err;
};

/* plan.c: -ENOTSUP naming the operator, -EINVAL, -ENOMEM */
int plan_make(struct plan *p);
void plan_free(struct plan *p);
/* lower.c: one node to one step; checks attributes.  *skip: nothing to do (already fused). */
int plan_lower(const struct plan *p, size_t node, struct step *s, bool *skip);
/* The node that alone reads @value, or -1 (several readers, or a graph output). */
int plan_only_reader(const struct onnx_graph *g, int value);

int plan_calibrate(struct plan *p);
int plan_scale(struct plan *p);
int plan_emit(struct plan *p);
/* Tell the caller how far it is; -ECANCELED when it wants to stop. */
int plan_progress(struct plan *p);

/*
 * Round o x k weights to -limit..limit so that the error of the whole sum, not of each weight, is
 * small: @gram is the k x k matrix of products of the inputs (upper triangle), NULL
 * to round each by itself.  scale[o] is chosen here.
 */
int round_weights(const float *w, size_t o, size_t k, const double *gram, int16_t limit,
		  int16_t *out, float *scale);
#define ROUND_K_MAX 2048u /* above: plain rounding; the work grows with k^3 */

/* image.c: the image of a finished plan, and its two config streams of CCW records. */
struct ccw_piece {
	uint32_t channel;
	uint64_t offset; /* into the CCW block */
	uint32_t size;
};

struct ccw {
	struct buf block; /* channel 0's records, then channel 1's */
	size_t n;
	struct ccw_piece *pieces;
	size_t per_channel[2];
};

/* split.c: one part for each context; a network in one context is one part. */
struct split_port {
	uint32_t tensor; /* of the whole network */
	int value;	 /* the graph's */
	bool output;
	uint8_t stream;
	/* a stream between contexts */
	bool inner;
	uint16_t from, to; /* the context that has it, the first one that reads it */
	int zero;	   /* byte = code + zero */
	bool by_element;   /* each element has its own zero point, that of its channel */
};

struct split_part {
	size_t n_ports;
	struct split_port ports[PAYLOAD_PORTS_MAX];
	uint32_t n_tensors, n_layers;
	struct ccw ccw;
};

struct split {
	size_t n;
	struct split_part *part;
};

/* -ENOTSUP: it cannot be cut so often; -ENOMEM.  Release with split_free(), also after an error. */
int split_make(struct plan *p, size_t parts, struct split *out);
void split_free(struct split *s);

/* @number: of each tensor inside of the part, SPLIT_ABSENT: not there; @graph: its layers. */
#define SPLIT_ABSENT UINT32_MAX
int image_write(const struct plan *p, const struct split_part *part, const uint32_t *number,
		const struct buf *graph, struct buf *image);
int image_split(const struct buf *image, struct ccw *out);

/* file.c: message and container */
int file_write(const struct plan *p, const struct split *split, uint8_t **out, size_t *len,
	       struct hw_error *err);

static inline uint8_t plan_stream_index(const struct plan *p, bool output, size_t i)
{
	/* without extension 20 an index serves one direction (hef-format 4.12) */
	return (uint8_t)(output ? p->g->n_inputs + i : i);
}

#endif
