// SPDX-License-Identifier: MIT
/*
 * Quantisation of contiguous runs (hef-format 6.2, 6.6): the inner loops of every f32 tensor.
 *
 * They go in blocks of constant length so that compilers make vector code of them at -O2 already.
 * Comparing and selecting floats is written with vector types, because GCC leaves such loops
 * scalar as long as comparisons may trap.  There is one path for blocks and for what remains, and
 * so one result.
 */
#include "host/layout.h"

#define BLOCK 16

typedef float v4f __attribute__((vector_size(16)));
typedef int32_t v4i __attribute__((vector_size(16)));

static inline v4f splat(float x)
{
	return (v4f){x, x, x, x};
}

static inline v4f select4(v4i mask, v4f yes, v4f no)
{
	return (v4f)((mask & (v4i)yes) | (~mask & (v4i)no));
}

/* 6.2: with identity quantisation nothing is clipped to the limits */
static bool is_identity(const struct hw_quant *q)
{
	return q->scale == 1.0f && q->zero_point == 0.0f;
}

/*
 * One block of real values to stored ones: clipped, scaled, rounded to the nearest with ties to
 * even, saturated to 0..max.  NaN, for which each comparison is false, becomes 0.
 *
 * Adding 2^23 leaves no room for fraction bits, so the addition itself rounds, in the FPU's
 * default mode.
 */
static inline void quantize_block(const float *in, int32_t out[BLOCK], const struct hw_quant *q,
				  float max)
{
	const v4f lo = splat(q->lim_min), hi = splat(q->lim_max), top = splat(max);
	const v4f scale = splat(q->scale), zp = splat(q->zero_point), zero = splat(0.0f);
	const v4f magic = splat(0x1p23f);
	const bool identity = is_identity(q);

	for (size_t k = 0; k < BLOCK; k += 4) {
		v4f x;
		v4i n;

		memcpy(&x, in + k, sizeof(x));
		if (!identity) {
			/* The upper limit is looked at first (6.2), so it wins over the lower. */
			x = select4(x >= hi, hi, select4(x <= lo, lo, x)) / scale + zp;
		}
		x = select4(x > zero, x, zero);
		x = select4(x < top, x, top);
		n = __builtin_convertvector((x + magic) - magic, v4i);
		memcpy(out + k, &n, sizeof(n));
	}
}

#define QUANTIZE(in, out, n, q, max)                                                               \
	do {                                                                                       \
		int32_t stored[BLOCK];                                                             \
		size_t at = 0;                                                                     \
                                                                                                   \
		for (; (n)-at >= BLOCK; at += BLOCK) {                                             \
			quantize_block((in) + at, stored, q, max);                                 \
			for (size_t k = 0; k < BLOCK; k++)                                         \
				(out)[at + k] = (__typeof__(*(out)))stored[k];                     \
		}                                                                                  \
		if (at < (n)) {                                                                    \
			float rest[BLOCK] = {0};                                                   \
                                                                                                   \
			memcpy(rest, (in) + at, ((n)-at) * sizeof(*(in)));                         \
			quantize_block(rest, stored, q, max);                                      \
			for (size_t k = 0; at + k < (n); k++)                                      \
				(out)[at + k] = (__typeof__(*(out)))stored[k];                     \
		}                                                                                  \
	} while (0)

void host_quantize_u8(const float *restrict in, uint8_t *restrict out, size_t n,
		     const struct hw_quant *q)
{
	QUANTIZE(in, out, n, q, UINT8_MAX);
}

void host_quantize_u16(const float *restrict in, uint16_t *restrict out, size_t n,
		      const struct hw_quant *q)
{
	QUANTIZE(in, out, n, q, UINT16_MAX);
}

/* With the identity (x - 0) * 1 is x exactly: it needs no loop of its own. */
#define DEQUANTIZE(in, out, n, q)                                                                  \
	do {                                                                                       \
		const float scale = (q)->scale, zp = (q)->zero_point;                              \
		size_t at = 0;                                                                     \
                                                                                                   \
		for (; (n)-at >= BLOCK; at += BLOCK) {                                             \
			for (size_t k = 0; k < BLOCK; k++)                                         \
				(out)[at + k] = ((float)(in)[at + k] - zp) * scale;                \
		}                                                                                  \
		for (; at < (n); at++)                                                             \
			(out)[at] = ((float)(in)[at] - zp) * scale;                                \
	} while (0)

void host_dequantize_u8(const uint8_t *restrict in, float *restrict out, size_t n,
		       const struct hw_quant *q)
{
	DEQUANTIZE(in, out, n, q);
}

void host_dequantize_u16(const uint16_t *restrict in, float *restrict out, size_t n,
			const struct hw_quant *q)
{
	DEQUANTIZE(in, out, n, q);
}
