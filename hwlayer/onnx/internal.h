// SPDX-License-Identifier: MIT
/*
 * Inside onnx/: one operator is one entry of a table {name, opsets, attributes, shape, run}.  The
 * shape function checks a node, sets the shapes of its outputs and leaves what it worked out in
 * onnx_ctx.p; the run function computes from that alone and cannot fail, except where data of the
 * run itself can be wrong (an index out of range).
 */
#ifndef HWLAYER_ONNX_INTERNAL_H
#define HWLAYER_ONNX_INTERNAL_H

#include <math.h>

#include "onnx/onnx.h"

/* One tensor: 1 GiB of f32.  Keeps every product of two dimensions far from overflow. */
#define ONNX_MAX_ELEMENTS ((int64_t)1 << 28)
#define ONNX_MAX_OPSET 17
#define ONNX_SPATIAL_MAX 3
#define ONNX_MAX_OUT 1024 /* of a Split */

struct onnx_pool;

enum onnx_binary { ONNX_ADD, ONNX_SUB, ONNX_MUL, ONNX_DIV, ONNX_POW };
enum onnx_unary {
	ONNX_RELU, ONNX_LEAKY, ONNX_ELU, ONNX_TANH, ONNX_SIGMOID, ONNX_ERF, ONNX_EXP, ONNX_SQRT,
	ONNX_CLIP,
};

/* A sliding window (Conv, pooling): always three spatial axes, missing ones are leading 1s. */
struct onnx_window {
	int64_t in[ONNX_SPATIAL_MAX], out[ONNX_SPATIAL_MAX], kernel[ONNX_SPATIAL_MAX];
	int64_t stride[ONNX_SPATIAL_MAX], dilation[ONNX_SPATIAL_MAX];
	int64_t lo[ONNX_SPATIAL_MAX], hi[ONNX_SPATIAL_MAX]; /* padding before and behind */
};

union onnx_params {
	struct {
		struct onnx_window w;
		int64_t group, tile, in_size, out_size, k_size;
		bool direct; /* 1x1, stride 1, no padding: the input is the matrix already */
	} conv;
	struct {
		struct onnx_window w;
		bool max, by_rows, include_pad, column_major;
	} pool;
	struct {
		int64_t step_a, step_b;
	} binary;
	struct {
		bool trans_a, trans_b;
		float alpha, beta;
		int64_t m, n, k;
	} gemm;
	struct {
		int64_t step[ONNX_RANK_MAX]; /* in elements of the input */
		int64_t origin;
	} view; /* Transpose, Slice: a strided walk over the input */
	struct {
		int64_t outer, axis, inner;
	} axis;
	struct {
		bool reduced[ONNX_RANK_MAX];
		int64_t count;
	} reduce;
	struct {
		int64_t lo[ONNX_RANK_MAX];
		int mode;
	} pad;
	struct {
		float scale[ONNX_RANK_MAX], roi[2 * ONNX_RANK_MAX];
		int coord, nearest;
	} resize;
	struct {
		enum onnx_unary op;
		float a, b;
	} act;
	struct {
		bool training;
		float epsilon, momentum;
	} norm;
};

struct onnx_ctx {
	const struct onnx_node *node;
	int64_t opset;
	size_t n_in, n_out;
	struct onnx_tensor **in;  /* NULL: absent */
	struct onnx_tensor **out;
	union onnx_params p;
	unsigned int workers;     /* >= 1; a shape function sizes its scratch memory by it */
	struct onnx_pool *pool;   /* NULL: the caller's thread alone */
	size_t scratch_len;
	void *scratch;
	struct hw_error *err;
};

struct onnx_op {
	const char *name;
	int min_opset, max_opset;  /* of the model, inclusive */
	unsigned int min_in, max_in, max_out; /* max_in 0: any number */
	/* "name:k" separated by blanks; k: f i s t, F and I for lists, as in AttributeProto */
	const char *attrs;
	bool shape_only;           /* its value follows from the input's shape */
	int (*shape)(struct onnx_ctx *c);
	int (*run)(struct onnx_ctx *c);
};

/* ops.c */
const struct onnx_op *onnx_find_op(const struct onnx_node *node, int64_t opset,
				   struct hw_error *err);
int onnx_ctx_init(struct onnx_ctx *c, const struct onnx_node *node, struct onnx_tensor *values,
		  int64_t opset, struct hw_error *err);
void onnx_ctx_free(struct onnx_ctx *c);
/* op->run(), unless there is nothing to compute. */
int onnx_op_run(const struct onnx_op *op, struct onnx_ctx *c);
/* Run the shape function; the error names the node. */
int onnx_infer(const struct onnx_op *op, struct onnx_ctx *c);

/* scan.c: is this a model that protobuf-c can unpack without harm? */
int onnx_scan(struct span model, struct hw_error *err);

/* decode.c: from the unpacked message to plain structs, one at a time */
struct Onnx__TensorProto;
struct Onnx__NodeProto;
int onnx_decode_tensor(const struct Onnx__TensorProto *p, struct onnx_tensor *t,
		       struct hw_error *err);
/* Name, operator and attributes; inputs and outputs are left to the caller. */
int onnx_decode_node(const struct Onnx__NodeProto *p, struct onnx_node *n, struct hw_error *err);
void onnx_node_clear(struct onnx_node *n);
void onnx_attr_clear(struct onnx_attr *a);

/* tensor.c */
size_t onnx_type_size(int type); /* 0: not supported */
const char *onnx_type_name(int type);
int onnx_set_shape(struct onnx_tensor *t, int type, unsigned int rank, const int64_t *dim,
		   struct hw_error *err);
int onnx_set_list(struct onnx_tensor *t, int kind, int item, struct hw_error *err);
int onnx_tensor_alloc(struct onnx_tensor *t);
void onnx_tensor_clear(struct onnx_tensor *t);
size_t onnx_tensor_bytes(const struct onnx_tensor *t);
static inline bool onnx_is_list(const struct onnx_tensor *t)
{
	return t->type >= ONNX_SEQUENCE;
}
static inline bool onnx_is_float(const struct onnx_tensor *t)
{
	return t->type == ONNX_F32 || t->type == ONNX_F64 || t->type == ONNX_F16 ||
	       t->type == ONNX_BF16;
}
static inline bool onnx_is_number(const struct onnx_tensor *t)
{
	return t->type != ONNX_BOOL && t->type != ONNX_TEXT && !onnx_is_list(t);
}

/*
 * element.c: one number, whatever the type.  Storing an integer wraps; storing a double rounds,
 * and saturates at 64 bits; nothing traps.  A uint64 passes through int64_t bit by bit.
 */
int64_t onnx_load_i(const struct onnx_tensor *t, size_t at);
double onnx_load_d(const struct onnx_tensor *t, size_t at);
void onnx_store_i(struct onnx_tensor *t, size_t at, int64_t v);
void onnx_store_d(struct onnx_tensor *t, size_t at, double v);
/* Likewise, or the empty text: what stands where there is no input. */
void onnx_store_default(struct onnx_tensor *t, size_t at, double v);
/* Element @from of @x as element @at of @o, as Cast means it.  -EINVAL: a text is no number. */
int onnx_convert(struct onnx_tensor *o, size_t at, const struct onnx_tensor *x, size_t from);

/* shape.c: what shape functions share */
int64_t onnx_attr_i(const struct onnx_ctx *c, const char *name, int64_t otherwise);
float onnx_attr_f(const struct onnx_ctx *c, const char *name, float otherwise);
const char *onnx_attr_s(const struct onnx_ctx *c, const char *name, const char *otherwise);
const int64_t *onnx_attr_ints(const struct onnx_ctx *c, const char *name, size_t *n);
struct onnx_tensor *onnx_in(const struct onnx_ctx *c, size_t i); /* NULL when absent */
/* Integers of a constant input; @n 0 and no error when it is absent. */
int onnx_const_ints(const struct onnx_ctx *c, size_t i, int64_t *v, size_t max, size_t *n);
int onnx_out_shape(struct onnx_ctx *c, size_t i, int type, unsigned int rank, const int64_t *dim);
int onnx_same_shape(struct onnx_ctx *c); /* output 0 like input 0 */
int onnx_need_type(const struct onnx_ctx *c, size_t i, int type);
int onnx_norm_axis(const struct onnx_ctx *c, int64_t axis, unsigned int rank, unsigned int *out);
/* A set of axes, from attribute @name or input @i (SIZE_MAX: none); *@given: there was one. */
int onnx_axes(const struct onnx_ctx *c, const char *name, size_t i, unsigned int rank,
	      bool set[ONNX_RANK_MAX], bool *given);
int onnx_broadcast(struct onnx_ctx *c, const struct onnx_tensor *a, const struct onnx_tensor *b,
		   unsigned int *rank, int64_t *dim);
void onnx_strides(const struct onnx_tensor *t, int64_t *stride);
/* Element strides of @t seen as @rank dimensions (0 where it is repeated). */
void onnx_broadcast_strides(const struct onnx_tensor *t, unsigned int rank, int64_t *stride);
/* Input 0 is N, C and one to three more, of type float. */
int onnx_spatial_input(const struct onnx_ctx *c);
int onnx_kernel_shape(const struct onnx_ctx *c, size_t nd, const int64_t **kernel);
int onnx_window_shape(const struct onnx_ctx *c, const int64_t *kernel, bool ceil_mode,
		      struct onnx_window *w, int64_t *out_dim);

/* pool.c */
struct onnx_pool *onnx_pool_new(unsigned int threads); /* NULL: no memory or no threads */
void onnx_pool_free(struct onnx_pool *p);
/* Call @fn(@arg, item, worker) for each item; @p may be NULL. */
void onnx_pool_run(struct onnx_pool *p, void (*fn)(void *arg, size_t item, unsigned int worker),
		   void *arg, size_t items);

/*
 * Call @fn(@c, from, to) for parts of [0, @n) that together are all of it, on as many threads as
 * the @work, in elements, is worth.
 */
void onnx_ranges(struct onnx_ctx *c, size_t n, size_t work,
		 void (*fn)(struct onnx_ctx *c, size_t from, size_t to));

/* blas.c: c = alpha * a * b + beta * c, row by row; no dimension is 0 */
struct onnx_product {
	bool trans_a, trans_b;
	int64_t m, n, k, lda, ldb, ldc;
	float alpha, beta;
	const float *a, *b;
	float *c;
};
void onnx_sgemm(const struct onnx_product *p);

/* kernels.c: inner loops on f32 */
/* @sa, @sb: 0 or 1 */
void onnx_k_binary(enum onnx_binary op, float *o, const float *a, int64_t sa, const float *b,
		   int64_t sb, int64_t n);
void onnx_k_unary(enum onnx_unary op, float *o, const float *x, float p, float q, int64_t n);
void onnx_k_fill(float *o, float v, int64_t n);
double onnx_k_sum(const float *x, int64_t n);
void onnx_k_affine(float *o, const float *x, float scale, float shift, int64_t n);
void onnx_k_softmax(float *o, const float *x, int64_t n, int64_t stride);
/* Rows of the im2col matrix for output positions [@from, @to) of @channels planes. */
void onnx_k_im2col(const struct onnx_window *w, const float *x, int64_t channels, int64_t from,
		   int64_t to, float *col);

/* The largest input of each window of a plane; -INFINITY where it sees none. */
void onnx_k_max(const struct onnx_window *w, const float *x, float *o);

/* Shape and run functions, by file. */
#define ONNX_OP_FN(name)                          \
	int onnx_##name##_shape(struct onnx_ctx *c); \
	int onnx_##name##_run(struct onnx_ctx *c)

/* ops_math.c */
ONNX_OP_FN(binary);
ONNX_OP_FN(unary);
ONNX_OP_FN(clip);
ONNX_OP_FN(cast);
/* ops_conv.c */
ONNX_OP_FN(conv);
/* ops_pool.c */
ONNX_OP_FN(window_pool);
ONNX_OP_FN(global_pool);
/* ops_gemm.c */
ONNX_OP_FN(gemm);
ONNX_OP_FN(matmul);
/* ops_view.c */
ONNX_OP_FN(transpose);
ONNX_OP_FN(slice);
ONNX_OP_FN(squeeze);
ONNX_OP_FN(unsqueeze);
ONNX_OP_FN(reshape);
ONNX_OP_FN(flatten);
ONNX_OP_FN(identity);
ONNX_OP_FN(shape);
/* ops_move.c */
ONNX_OP_FN(concat);
ONNX_OP_FN(split);
ONNX_OP_FN(gather);
ONNX_OP_FN(pad);
/* ops_resize.c */
ONNX_OP_FN(resize);
/* ops_norm.c */
ONNX_OP_FN(reduce_mean);
ONNX_OP_FN(softmax);
ONNX_OP_FN(batch_norm);

#endif
