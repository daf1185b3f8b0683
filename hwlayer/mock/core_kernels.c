// SPDX-License-Identifier: MIT
/*
 * The inner loops of the neural core, in plain C that compilers turn into pmaddwd or smlal.
 * Integers until the last step, one f32 multiply and add there (no fused multiply-add:
 * -ffp-contract=off), so the result is the same bits on every machine.
 *
 * The innermost loops are exempt from the sanitizers: their bounds are checked when a network is
 * parsed (core_graph.c), and instrumented they would be ten times slower.
 */
#include "mock/core.h"

#define KERNEL __attribute__((no_sanitize("address", "undefined")))
#if defined(__x86_64__)
#define KERNEL_AVX2 __attribute__((target("avx2"), no_sanitize("address", "undefined")))
#endif

#define TILE_O 4
#define TILE_P 2

KERNEL static inline __attribute__((always_inline)) int16_t requant(float v, float lo, float hi)
{
	/* Adding and taking off 1.5 * 2^23 rounds to nearest even, in every compiler's vectors. */
	const float magic = 12582912.0f;

	v = v < lo ? lo : v;
	v = v > hi ? hi : v;
	return (int16_t)(int32_t)((v + magic) - magic);
}

KERNEL int16_t core_requant_one(int32_t sum, float mult, float bias, int16_t lo, int16_t hi)
{
	return requant((float)sum * mult + bias, lo, hi);
}

/* 4 rows of weights times 2 of input: 8 sums, each value loaded once for several products. */
KERNEL static inline __attribute__((always_inline)) void
tile_4x2(const int16_t *restrict a, const int16_t *restrict w, size_t k, int32_t *restrict sum)
{
	const int16_t *a0 = a, *a1 = a + k;
	const int16_t *w0 = w, *w1 = w + k, *w2 = w + 2 * k, *w3 = w + 3 * k;
	int32_t s00 = 0, s10 = 0, s20 = 0, s30 = 0, s01 = 0, s11 = 0, s21 = 0, s31 = 0;

	k -= k % CORE_K_ALIGN; /* tells the compiler that there is no tail */
	for (size_t i = 0; i < k; i++) {
		s00 += a0[i] * w0[i];
		s10 += a0[i] * w1[i];
		s20 += a0[i] * w2[i];
		s30 += a0[i] * w3[i];
		s01 += a1[i] * w0[i];
		s11 += a1[i] * w1[i];
		s21 += a1[i] * w2[i];
		s31 += a1[i] * w3[i];
	}
	sum[0] = s00, sum[1] = s10, sum[2] = s20, sum[3] = s30;
	sum[4] = s01, sum[5] = s11, sum[6] = s21, sum[7] = s31;
}

KERNEL static inline __attribute__((always_inline)) int32_t dot(const int16_t *restrict a,
								const int16_t *restrict w, size_t k)
{
	int32_t s = 0;

	k -= k % CORE_K_ALIGN;
	for (size_t i = 0; i < k; i++)
		s += a[i] * w[i];
	return s;
}

KERNEL static inline __attribute__((always_inline)) void
gemm(const int16_t *a, size_t rows, const int16_t *w, size_t o0, size_t o1, size_t k,
     const struct core_requant *rq, int16_t *out, size_t out_stride)
{
	size_t o = o0;

	for (; o + TILE_O <= o1; o += TILE_O) {
		size_t p = 0;

		for (; p + TILE_P <= rows; p += TILE_P) {
			int32_t sum[TILE_O * TILE_P];

			tile_4x2(a + p * k, w + o * k, k, sum);
			for (size_t j = 0; j < TILE_O * TILE_P; j++) {
				size_t oo = o + j % TILE_O;

				out[oo * out_stride + p + j / TILE_O] =
				    requant((float)sum[j] * rq->mult[oo] + rq->bias[oo], rq->lo[oo],
					    rq->hi[oo]);
			}
		}
		for (; p < rows; p++)
			for (size_t oo = o; oo < o + TILE_O; oo++)
				out[oo * out_stride + p] =
				    requant((float)dot(a + p * k, w + oo * k, k) * rq->mult[oo] +
						rq->bias[oo],
					    rq->lo[oo], rq->hi[oo]);
	}
	for (; o < o1; o++)
		for (size_t p = 0; p < rows; p++)
			out[o * out_stride + p] =
			    requant((float)dot(a + p * k, w + o * k, k) * rq->mult[o] + rq->bias[o],
				    rq->lo[o], rq->hi[o]);
}

KERNEL void core_gemm_plain(const int16_t *a, size_t rows, const int16_t *w, size_t o0, size_t o1,
			    size_t k, const struct core_requant *rq, int16_t *out,
			    size_t out_stride)
{
	gemm(a, rows, w, o0, o1, k, rq, out, out_stride);
}

#if defined(__x86_64__)
KERNEL_AVX2 static void gemm_avx2(const int16_t *a, size_t rows, const int16_t *w, size_t o0,
				  size_t o1, size_t k, const struct core_requant *rq, int16_t *out,
				  size_t out_stride)
{
	gemm(a, rows, w, o0, o1, k, rq, out, out_stride);
}
#endif

void core_gemm(const int16_t *a, size_t rows, const int16_t *w, size_t o0, size_t o1, size_t k,
	       const struct core_requant *rq, int16_t *out, size_t out_stride)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2")) {
		gemm_avx2(a, rows, w, o0, o1, k, rq, out, out_stride);
		return;
	}
#endif
	core_gemm_plain(a, rows, w, o0, o1, k, rq, out, out_stride);
}

KERNEL void core_scale(const int16_t *a, size_t n, float mult, float bias, int16_t lo, int16_t hi,
		       int16_t *out)
{
	for (size_t i = 0; i < n; i++)
		out[i] = requant((float)a[i] * mult + bias, lo, hi);
}

KERNEL void core_add(const int16_t *a, const int16_t *b, size_t n, float mult, float mult2,
		     float bias, int16_t lo, int16_t hi, int16_t *out)
{
	for (size_t i = 0; i < n; i++)
		out[i] = requant((float)a[i] * mult + (float)b[i] * mult2 + bias, lo, hi);
}
