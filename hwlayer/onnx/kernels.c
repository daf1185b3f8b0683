// SPDX-License-Identifier: MIT
/* Inner loops on f32; built with -O3. */
#include "onnx/internal.h"

/* The three stride pairs get loops of their own, so that the compiler can vectorise them. */
#define BINARY_LOOPS(expr)                                  \
	do {                                                \
		if (sa && sb) {                             \
			for (int64_t i = 0; i < n; i++) {   \
				const float x = a[i], y = b[i]; \
				o[i] = (expr);              \
			}                                   \
		} else if (sa) {                            \
			const float y = b[0];               \
			for (int64_t i = 0; i < n; i++) {   \
				const float x = a[i];       \
				o[i] = (expr);              \
			}                                   \
		} else {                                    \
			const float x = a[0];               \
			for (int64_t i = 0; i < n; i++) {   \
				const float y = b[i * sb];  \
				o[i] = (expr);              \
			}                                   \
		}                                           \
	} while (0)

void onnx_k_binary(enum onnx_binary op, float *o, const float *a, int64_t sa, const float *b,
		   int64_t sb, int64_t n)
{
	switch (op) {
	case ONNX_ADD:
		BINARY_LOOPS(x + y);
		break;
	case ONNX_SUB:
		BINARY_LOOPS(x - y);
		break;
	case ONNX_MUL:
		BINARY_LOOPS(x * y);
		break;
	case ONNX_DIV:
		BINARY_LOOPS(x / y);
		break;
	case ONNX_POW:
		BINARY_LOOPS(powf(x, y));
		break;
	}
}

static inline int32_t float_bits(float f)
{
	int32_t i;

	memcpy(&i, &f, sizeof(i));
	return i;
}

static inline float bits_float(int32_t i)
{
	float f;

	memcpy(&f, &i, sizeof(f));
	return f;
}

/*
 * e^x within 2 units of the last place, without a branch or a call, so that it vectorises: x is
 * split into n * ln 2 + r, e^r is a polynomial, 2^n goes into the exponent.  In two factors, since
 * one alone would reach neither the largest nor the smallest numbers.
 */
static inline float exp_of(float x)
{
	const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
	int32_t bits = float_bits(x), size = bits & 0x7fffffff, sign = bits ^ size, e;
	int32_t nan = size > 0x7f800000 ? 0x7fc00000 : 0;
	float shifted, n, r, y;

	/* No further than 110, where the result is infinite or 0; the comparison is of integers,
	 * as one of floats might trap and so would not be vectorised. */
	size = size < 0x42dc0000 ? size : 0x42dc0000;
	r = bits_float(sign | size);
	shifted = r * 1.44269504f + magic;
	n = shifted - magic;
	r = r - n * 0.693359375f;
	r = r + n * 2.12194440e-4f;
	y = 1.98756915e-4f;
	y = y * r + 1.39819995e-3f;
	y = y * r + 8.33345191e-3f;
	y = y * r + 4.16657959e-2f;
	y = y * r + 1.66666655e-1f;
	y = y * r + 5.00000012e-1f;
	y = y * (r * r) + r + 1.0f;
	e = float_bits(shifted) - float_bits(magic);
	y = y * bits_float(((e >> 1) + 127) << 23);
	y = y * bits_float((e - (e >> 1) + 127) << 23);
	return bits_float(float_bits(y) | nan);
}

void onnx_k_unary(enum onnx_unary op, float *o, const float *x, float p, float q, int64_t n)
{
	switch (op) {
	case ONNX_RELU:
		for (int64_t i = 0; i < n; i++)
			o[i] = x[i] < 0.0f ? 0.0f : x[i];
		break;
	case ONNX_LEAKY:
		for (int64_t i = 0; i < n; i++)
			o[i] = x[i] < 0.0f ? p * x[i] : x[i];
		break;
	case ONNX_ELU:
		for (int64_t i = 0; i < n; i++)
			o[i] = x[i] < 0.0f ? p * expm1f(x[i]) : x[i];
		break;
	case ONNX_TANH:
		for (int64_t i = 0; i < n; i++)
			o[i] = tanhf(x[i]);
		break;
	case ONNX_SIGMOID:
		for (int64_t i = 0; i < n; i++)
			o[i] = 1.0f / (1.0f + exp_of(-x[i]));
		break;
	case ONNX_ERF:
		for (int64_t i = 0; i < n; i++)
			o[i] = erff(x[i]);
		break;
	case ONNX_EXP:
		for (int64_t i = 0; i < n; i++)
			o[i] = exp_of(x[i]);
		break;
	case ONNX_SQRT:
		for (int64_t i = 0; i < n; i++)
			o[i] = sqrtf(x[i]);
		break;
	case ONNX_CLIP:
		for (int64_t i = 0; i < n; i++) {
			const float v = x[i] < p ? p : x[i];

			o[i] = v > q ? q : v;
		}
		break;
	}
}

void onnx_k_fill(float *o, float v, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		o[i] = v;
}

double onnx_k_sum(const float *x, int64_t n)
{
	double s[4] = {0};
	int64_t i = 0;

	for (; i + 4 <= n; i += 4)
		for (int k = 0; k < 4; k++)
			s[k] += (double)x[i + k];
	for (; i < n; i++)
		s[0] += (double)x[i];
	return (s[0] + s[1]) + (s[2] + s[3]);
}

void onnx_k_affine(float *o, const float *x, float scale, float shift, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		o[i] = x[i] * scale + shift;
}

void onnx_k_softmax(float *o, const float *x, int64_t n, int64_t stride)
{
	float top = x[0];
	double sum = 0;

	for (int64_t i = 1; i < n; i++)
		top = x[i * stride] > top ? x[i * stride] : top;
	for (int64_t i = 0; i < n; i++) {
		o[i * stride] = exp_of(x[i * stride] - top);
		sum += (double)o[i * stride];
	}
	for (int64_t i = 0; i < n; i++)
		o[i * stride] = (float)((double)o[i * stride] / sum);
}

/* ----------------------------------------------------------- sliding windows */

/*
 * Of @n neighbouring outputs, of which output j reads input @first + j * @stride of a row of @len,
 * those in [*@from, *@to) read inside of it.
 */
static void inside(int64_t len, int64_t first, int64_t stride, int64_t n, int64_t *from,
		   int64_t *to)
{
	*from = first < 0 ? -first : 0;
	*to = first < len ? len - first : 0;
	if (stride > 1) {
		*from = (*from + stride - 1) / stride;
		*to = (*to + stride - 1) / stride;
	}
	*from = *from < n ? *from : n;
	*to = *to < n ? *to : n;
	*to = *to > *from ? *to : *from;
}

/* @n outputs, zero outside the row. */
static void copy_row(float *o, const float *row, int64_t len, int64_t first, int64_t stride,
		     int64_t n)
{
	int64_t from, to;

	inside(len, first, stride, n, &from, &to);
	memset(o, 0, (size_t)from * sizeof(*o));
	if (stride == 1)
		memcpy(o + from, row + (to > from ? first + from : 0),
		       (size_t)(to - from) * sizeof(*o));
	else
		for (int64_t j = from; j < to; j++)
			o[j] = row[first + j * stride];
	memset(o + to, 0, (size_t)(n - to) * sizeof(*o));
}

/* One row of the matrix: the input that kernel element (@kz, @ky, @kx) sees at each position. */
static void im2col_row(const struct onnx_window *w, const float *plane, int64_t kz, int64_t ky,
		       int64_t kx, int64_t from, int64_t to, float *o)
{
	while (from < to) {
		int64_t ox = from % w->out[2], oy = from / w->out[2] % w->out[1];
		int64_t oz = from / w->out[2] / w->out[1];
		int64_t n = w->out[2] - ox < to - from ? w->out[2] - ox : to - from;
		int64_t z = oz * w->stride[0] + kz * w->dilation[0] - w->lo[0];
		int64_t y = oy * w->stride[1] + ky * w->dilation[1] - w->lo[1];
		int64_t x = ox * w->stride[2] + kx * w->dilation[2] - w->lo[2];

		if (z < 0 || z >= w->in[0] || y < 0 || y >= w->in[1])
			memset(o, 0, (size_t)n * sizeof(*o));
		else
			copy_row(o, plane + (z * w->in[1] + y) * w->in[2], w->in[2], x,
				 w->stride[2], n);
		o += n;
		from += n;
	}
}

void onnx_k_im2col(const struct onnx_window *w, const float *x, int64_t channels, int64_t from,
		   int64_t to, float *col)
{
	for (int64_t c = 0; c < channels; c++) {
		for (int64_t kz = 0; kz < w->kernel[0]; kz++)
			for (int64_t ky = 0; ky < w->kernel[1]; ky++)
				for (int64_t kx = 0; kx < w->kernel[2]; kx++) {
					im2col_row(w, x, kz, ky, kx, from, to, col);
					col += to - from;
				}
		x += w->in[0] * w->in[1] * w->in[2];
	}
}

static void max_row(float *o, const float *row, int64_t stride, int64_t n)
{
	if (stride == 1)
		for (int64_t j = 0; j < n; j++)
			o[j] = row[j] > o[j] ? row[j] : o[j];
	else
		for (int64_t j = 0; j < n; j++)
			o[j] = row[j * stride] > o[j] ? row[j * stride] : o[j];
}

/* One output row and one row of the kernel, which sees the input row @row. */
static void max_rows(const struct onnx_window *w, const float *row, float *o)
{
	for (int64_t kx = 0; kx < w->kernel[2]; kx++) {
		int64_t first = kx * w->dilation[2] - w->lo[2], from, to;

		inside(w->in[2], first, w->stride[2], w->out[2], &from, &to);
		if (from < to)
			max_row(o + from, row + first + from * w->stride[2], w->stride[2],
				to - from);
	}
}

void onnx_k_max(const struct onnx_window *w, const float *x, float *o)
{
	int64_t rows = w->out[0] * w->out[1], taps = w->kernel[0] * w->kernel[1];

	onnx_k_fill(o, -INFINITY, rows * w->out[2]);
	for (int64_t row = 0; row < rows; row++, o += w->out[2]) {
		int64_t z0 = row / w->out[1] * w->stride[0] - w->lo[0];
		int64_t y0 = row % w->out[1] * w->stride[1] - w->lo[1];

		for (int64_t t = 0; t < taps; t++) {
			int64_t z = z0 + t / w->kernel[1] * w->dilation[0];
			int64_t y = y0 + t % w->kernel[1] * w->dilation[1];

			if (z >= 0 && z < w->in[0] && y >= 0 && y < w->in[1])
				max_rows(w, x + (z * w->in[1] + y) * w->in[2], o);
		}
	}
}
