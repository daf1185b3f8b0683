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
			o[i] = 1.0f / (1.0f + expf(-x[i]));
		break;
	case ONNX_ERF:
		for (int64_t i = 0; i < n; i++)
			o[i] = erff(x[i]);
		break;
	case ONNX_EXP:
		for (int64_t i = 0; i < n; i++)
			o[i] = expf(x[i]);
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
		o[i * stride] = expf(x[i * stride] - top);
		sum += (double)o[i * stride];
	}
	for (int64_t i = 0; i < n; i++)
		o[i * stride] = (float)((double)o[i * stride] / sum);
}

/*
 * One run of @n neighbouring outputs of a row: output j reads input @first + j * @stride of a row
 * of @len elements, zero outside.
 */
static void copy_row(float *o, const float *row, int64_t len, int64_t first, int64_t stride,
		     int64_t n)
{
	int64_t from = first < 0 ? (-first + stride - 1) / stride : 0;
	int64_t to = first < len ? (len - 1 - first) / stride + 1 : 0;

	from = from < n ? from : n;
	to = to < n ? to : n;
	to = to > from ? to : from;
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
