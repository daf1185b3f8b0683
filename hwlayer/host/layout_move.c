// SPDX-License-Identifier: MIT
/*
 * Moving the elements of a frame.  They travel in chunks: contiguous user elements are converted with
 * the loops of quant.c, then scattered, or gathered first on the way back.
 */
#include "host/layout_internal.h"

#define CHUNK 1024 /* elements converted at a time; lives on the stack */

/*
 * A block of @rows times @cols elements: contiguous on one side, with strides on the other.  The
 * loop that walks neighbouring hardware elements goes inside.
 */
#define DEFINE_BLOCKS(type, suffix)                                                                \
	static void scatter_##suffix(const type *restrict from, type *restrict hw, size_t rows,    \
				     size_t cols, ptrdiff_t drow, ptrdiff_t dcol)                  \
	{                                                                                          \
		if (drow == 1) {                                                                   \
			for (size_t k = 0; k < cols; k++)                                          \
				for (size_t j = 0; j < rows; j++)                                  \
					hw[(ptrdiff_t)k * dcol + (ptrdiff_t)j] =                   \
					    from[j * cols + k];                                    \
			return;                                                                    \
		}                                                                                  \
		for (size_t j = 0; j < rows; j++)                                                  \
			for (size_t k = 0; k < cols; k++)                                          \
				hw[(ptrdiff_t)j * drow + (ptrdiff_t)k * dcol] =                    \
				    from[j * cols + k];                                            \
	}                                                                                          \
	static void gather_##suffix(const type *restrict hw, type *restrict to, size_t rows,       \
				    size_t cols, ptrdiff_t drow, ptrdiff_t dcol)                   \
	{                                                                                          \
		if (drow == 1) {                                                                   \
			for (size_t k = 0; k < cols; k++)                                          \
				for (size_t j = 0; j < rows; j++)                                  \
					to[j * cols + k] = hw[(ptrdiff_t)k * dcol + (ptrdiff_t)j]; \
			return;                                                                    \
		}                                                                                  \
		for (size_t j = 0; j < rows; j++)                                                  \
			for (size_t k = 0; k < cols; k++)                                          \
				to[j * cols + k] = hw[(ptrdiff_t)j * drow + (ptrdiff_t)k * dcol];  \
	}

DEFINE_BLOCKS(uint8_t, u8)
DEFINE_BLOCKS(uint16_t, u16)

/* One block of a pass, as its mover gets it. */
struct block {
	size_t user;  /* first element on the user's side, contiguous from there */
	ptrdiff_t hw; /* first element on the hardware's side */
	size_t rows, cols;
	ptrdiff_t drow, dcol;
	int feature_dim; /* 1: rows are features; 2: columns are; else one feature or none */
	size_t feature;	 /* of the block's first element */
};

static bool is_contiguous(const struct block *b)
{
	return (b->cols == 1 || b->dcol == 1) && (b->rows == 1 || b->drow == (ptrdiff_t)b->cols);
}

/* Contiguous user elements to hardware elements */
static void convert_in(const struct host_layout *l, const void *user, size_t first, void *to,
		       size_t n)
{
	const uint8_t *bytes = (const uint8_t *)user + first * host_type_bytes(l->user.type);

	if (l->user.type == l->hw_type) {
		memcpy(to, bytes, n * host_type_bytes(l->hw_type));
	} else if (l->user.type == HW_TYPE_U8) {
		for (size_t i = 0; i < n; i++)
			((uint16_t *)to)[i] = bytes[i];
	} else if (l->hw_type == HW_TYPE_U8) {
		host_quantize_u8((const float *)(const void *)bytes, to, n, &l->quant);
	} else {
		host_quantize_u16((const float *)(const void *)bytes, to, n, &l->quant);
	}
}

static void block_in(const struct host_layout *l, const void *user, void *hw, const struct block *b)
{
	size_t n = b->rows * b->cols, size = host_type_bytes(l->hw_type);
	uint8_t *at = (uint8_t *)hw + b->hw * (ptrdiff_t)size;
	_Alignas(16) uint8_t tmp[CHUNK * sizeof(uint16_t)];
	const void *from = tmp;

	if (is_contiguous(b)) {
		convert_in(l, user, b->user, at, n);
		return;
	}
	if (l->user.type == l->hw_type)
		from = (const uint8_t *)user + b->user * size;
	else
		convert_in(l, user, b->user, tmp, n);
	if (size == 1)
		scatter_u8(from, at, b->rows, b->cols, b->drow, b->dcol);
	else
		scatter_u16(from, (uint16_t *)(void *)at, b->rows, b->cols, b->drow, b->dcol);
}

static void dequantize(const struct host_layout *l, const void *from, float *to, size_t n,
		       const struct hw_quant *q)
{
	if (l->hw_type == HW_TYPE_U8)
		host_dequantize_u8(from, to, n, q);
	else
		host_dequantize_u16(from, to, n, q);
}

/* 6.6 */
static void convert_out_f32(const struct host_layout *l, const void *from, float *to,
			    const struct block *b)
{
	static const struct hw_quant plain = {.scale = 1.0f};
	size_t size = host_type_bytes(l->hw_type);
	const uint8_t *at = from;

	if (l->user.order == HW_ORDER_NHW || !l->n_feature_quant) {
		/* NHW holds indexes of an argmax, not real values */
		dequantize(l, from, to, b->rows * b->cols,
			   l->user.order == HW_ORDER_NHW ? &plain : &l->quant);
		return;
	}
	for (size_t j = 0; j < b->rows; j++) {
		size_t f = b->feature + (b->feature_dim == 1 ? j : 0);

		if (b->feature_dim != 2) {
			dequantize(l, at, to, b->cols, &l->feature_quant[f % l->n_feature_quant]);
			at += b->cols * size;
			to += b->cols;
			continue;
		}
		for (size_t k = 0; k < b->cols; k++, at += size, to++)
			dequantize(l, at, to, 1, &l->feature_quant[(f + k) % l->n_feature_quant]);
	}
}

static void convert_out(const struct host_layout *l, const void *from, void *user,
			const struct block *b)
{
	uint8_t *to = (uint8_t *)user + b->user * host_type_bytes(l->user.type);
	size_t n = b->rows * b->cols;

	if (l->user.type == l->hw_type) {
		memcpy(to, from, n * host_type_bytes(l->hw_type));
	} else if (l->user.type == HW_TYPE_U16) {
		for (size_t i = 0; i < n; i++)
			((uint16_t *)(void *)to)[i] = ((const uint8_t *)from)[i];
	} else {
		convert_out_f32(l, from, (float *)(void *)to, b);
	}
}

static void block_out(const struct host_layout *l, const void *hw, void *user, const struct block *b)
{
	size_t size = host_type_bytes(l->hw_type);
	const uint8_t *at = (const uint8_t *)hw + b->hw * (ptrdiff_t)size;
	_Alignas(16) uint8_t tmp[CHUNK * sizeof(uint16_t)];
	bool direct = l->user.type == l->hw_type;
	void *to = direct ? (void *)((uint8_t *)user + b->user * size) : (void *)tmp;

	if (is_contiguous(b)) {
		convert_out(l, at, user, b);
		return;
	}
	if (size == 1)
		gather_u8(at, to, b->rows, b->cols, b->drow, b->dcol);
	else
		gather_u16((const uint16_t *)(const void *)at, to, b->rows, b->cols, b->drow,
			   b->dcol);
	if (!direct)
		convert_out(l, tmp, user, b);
}

/* A pass in blocks of whole inner runs, as many as fit, or of pieces of one run. */
static void run_pass(const struct host_layout *l, const struct host_pass *p, const void *from, void *to)
{
	bool joined = p->u[1] == p->n[2]; /* the middle rows follow each other without a gap */
	size_t at_once = joined && p->n[2] && p->n[2] <= CHUNK ? CHUNK / p->n[2] : 1;

	for (size_t i = 0; i < p->n[0]; i++) {
		for (size_t j = 0, step; j < p->n[1]; j += step) {
			step = p->n[1] - j < at_once ? p->n[1] - j : at_once;
			for (size_t k = 0, run; k < p->n[2]; k += run) {
				struct block b = {
				    .user = p->user + i * p->u[0] + j * p->u[1] + k,
				    .hw = (ptrdiff_t)p->hw + (ptrdiff_t)i * p->d[0] +
					  (ptrdiff_t)j * p->d[1] + (ptrdiff_t)k * p->d[2],
				    .rows = step,
				    .drow = p->d[1],
				    .dcol = p->d[2],
				    .feature_dim = p->feature_dim,
				    .feature = p->feature + (p->feature_dim == 0 ? i : 0) +
					       (p->feature_dim == 1 ? j : 0) +
					       (p->feature_dim == 2 ? k : 0),
				};

				run = p->n[2] - k < CHUNK ? p->n[2] - k : CHUNK;
				b.cols = run;
				if (l->input)
					block_in(l, from, to, &b);
				else
					block_out(l, from, to, &b);
			}
		}
	}
}

void host_layout_to_hw(const struct host_layout *l, const void *user, void *hw)
{
	size_t size = host_type_bytes(l->hw_type), written = 0;
	bool from_start = true;
	struct host_pass p;

	for (unsigned int i = 0; host_layout_pass(l, i, &p); i++) {
		written += p.n[0] * p.n[1] * p.n[2];
		from_start = p.n[0] == 1 && p.n[1] == 1 && p.d[2] == 1 && p.hw == 0;
	}
	/* Everything that no element covers is zero; often that is nothing, or only the tail. */
	if (written * size != l->hw_bytes) {
		size_t clean = from_start ? written * size : 0;

		memset((uint8_t *)hw + clean, 0, l->hw_bytes - clean);
	}
	for (unsigned int i = 0; host_layout_pass(l, i, &p); i++)
		run_pass(l, &p, user, hw);
}

void host_layout_from_hw(const struct host_layout *l, const void *hw, void *user)
{
	struct host_pass p;

	for (unsigned int i = 0; host_layout_pass(l, i, &p); i++)
		run_pass(l, &p, hw, user);
}
