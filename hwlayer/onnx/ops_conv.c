// SPDX-License-Identifier: MIT
/* Sliding windows: Conv (im2col and sgemm), AveragePool, MaxPool, GlobalAveragePool. */
#include <cblas.h>

#include "onnx/internal.h"

/* im2col columns of one sgemm: as many as keep the matrix near 1 MiB, so that it stays in cache. */
#define TILE_FLOATS (256 * 1024)
#define TILE_MIN 64

static int spatial_input(const struct onnx_ctx *c)
{
	const struct onnx_tensor *x = c->in[0];

	if (x->rank < 3)
		return hw_fail(c->err, -EBADMSG, "the input has %u dimensions, not N, C and more",
			       x->rank);
	if (x->rank > 2 + ONNX_SPATIAL_MAX)
		return hw_fail(c->err, -ENOTSUP, "%u spatial dimensions", x->rank - 2);
	return onnx_need_type(c, 0, ONNX_F32);
}

static int kernel_shape(const struct onnx_ctx *c, size_t nd, const int64_t **kernel)
{
	size_t n;

	*kernel = onnx_attr_ints(c, "kernel_shape", &n);
	if (*kernel && n != nd)
		return hw_fail(c->err, -EBADMSG, "kernel_shape has %zu entries, not %zu", n, nd);
	return 0;
}

int onnx_conv_shape(struct onnx_ctx *c)
{
	const struct onnx_tensor *x = c->in[0], *w = c->in[1], *b = onnx_in(c, 2);
	int64_t group = onnx_attr_i(c, "group", 1), dim[ONNX_RANK_MAX], positions = 1, k_size;
	const int64_t *kernel = NULL;
	int r = spatial_input(c);

	for (size_t i = 1; i < 3 && !r; i++)
		r = onnx_need_type(c, i, ONNX_F32);
	if (!r && w->rank != x->rank)
		r = hw_fail(c->err, -EBADMSG, "the weights have %u dimensions, the input %u",
			    w->rank, x->rank);
	if (!r)
		r = kernel_shape(c, x->rank - 2, &kernel);
	if (r < 0)
		return r;
	for (unsigned int i = 2; i < x->rank; i++)
		if (kernel && kernel[i - 2] != w->dim[i])
			return hw_fail(c->err, -EBADMSG, "kernel_shape does not fit the weights");
	if (group < 1 || group > x->dim[1] || x->dim[1] % group || w->dim[0] % group ||
	    w->dim[1] != x->dim[1] / group)
		return hw_fail(c->err, -EBADMSG,
			       "%lld groups, %lld input channels, weights for %lld x %lld",
			       (long long)group, (long long)x->dim[1], (long long)w->dim[0],
			       (long long)w->dim[1]);
	if (b && (b->rank != 1 || b->dim[0] != w->dim[0]))
		return hw_fail(c->err, -EBADMSG, "the bias is not a list of %lld",
			       (long long)w->dim[0]);
	dim[0] = x->dim[0];
	dim[1] = w->dim[0];
	r = onnx_window_shape(c, w->dim + 2, false, &c->p.conv.w, dim + 2);
	if (!r)
		r = onnx_out_shape(c, 0, ONNX_F32, x->rank, dim);
	if (r < 0)
		return r;
	k_size = w->dim[1];
	for (unsigned int i = 2; i < x->rank; i++) {
		positions *= dim[i];
		k_size *= w->dim[i];
	}
	if (positions > ONNX_MAX_ELEMENTS || k_size > ONNX_MAX_ELEMENTS / TILE_MIN)
		return hw_fail(c->err, -EBADMSG, "a kernel or an output of more than %lld elements",
			       (long long)ONNX_MAX_ELEMENTS / TILE_MIN);
	c->p.conv.group = group;
	c->p.conv.in_size = c->p.conv.w.in[0] * c->p.conv.w.in[1] * c->p.conv.w.in[2];
	c->p.conv.out_size = positions;
	c->p.conv.k_size = k_size;
	c->p.conv.direct = true;
	for (unsigned int i = 0; i < ONNX_SPATIAL_MAX; i++)
		if (c->p.conv.w.kernel[i] != 1 || c->p.conv.w.stride[i] != 1 ||
		    c->p.conv.w.lo[i] || c->p.conv.w.hi[i])
			c->p.conv.direct = false;
	c->p.conv.tile = TILE_FLOATS / (k_size ? k_size : 1);
	if (c->workers > 1 && c->p.conv.tile > positions / c->workers)
		c->p.conv.tile = (int64_t)ceil_div((uint64_t)positions, c->workers);
	if (c->p.conv.tile < TILE_MIN)
		c->p.conv.tile = TILE_MIN;
	if (c->p.conv.tile > positions)
		c->p.conv.tile = positions;
	if (!c->p.conv.direct)
		c->scratch_len = (size_t)(k_size * c->p.conv.tile) * sizeof(float) * c->workers;
	return 0;
}

/* One tile of columns of one group of one batch element. */
static void conv_item(void *arg, size_t item, unsigned int worker)
{
	struct onnx_ctx *c = arg;
	const struct onnx_tensor *x = c->in[0], *w = c->in[1], *b = onnx_in(c, 2);
	int64_t group = c->p.conv.group, tile = c->p.conv.tile, k = c->p.conv.k_size;
	int64_t positions = c->p.conv.out_size, in_size = c->p.conv.in_size;
	int64_t tiles = (int64_t)ceil_div((uint64_t)positions, (uint64_t)tile);
	int64_t from = (int64_t)item % tiles * tile, g = (int64_t)item / tiles % group;
	int64_t batch = (int64_t)item / tiles / group;
	int64_t to = from + tile < positions ? from + tile : positions;
	int64_t channels = w->dim[1], rows = w->dim[0] / group, ld = to - from;
	const float *in = (const float *)x->data + (batch * x->dim[1] + g * channels) * in_size;
	const float *weights = (const float *)w->data + g * rows * k, *col = in + from;
	float *out = (float *)c->out[0]->data + (batch * w->dim[0] + g * rows) * positions + from;

	if (c->p.conv.direct) {
		ld = positions;
	} else {
		float *mine = (float *)c->scratch + (int64_t)worker * k * tile;

		onnx_k_im2col(&c->p.conv.w, in, channels, from, to, mine);
		col = mine;
	}
	for (int64_t r = 0; r < rows; r++)
		onnx_k_fill(out + r * positions,
			    b ? ((const float *)b->data)[g * rows + r] : 0.0f, to - from);
	if (rows && k)
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)rows, (int)(to - from),
			    (int)k, 1.0f, weights, (int)k, col, (int)ld, 1.0f, out, (int)positions);
}

int onnx_conv_run(struct onnx_ctx *c)
{
	uint64_t tiles;

	if (!c->out[0]->elements)
		return 0;
	tiles = ceil_div((uint64_t)c->p.conv.out_size, (uint64_t)c->p.conv.tile);
	onnx_pool_run(c->pool, conv_item, c,
		      (size_t)(tiles * (uint64_t)c->p.conv.group * (uint64_t)c->in[0]->dim[0]));
	return 0;
}

/* ------------------------------------------------------------------ pooling */

int onnx_window_pool_shape(struct onnx_ctx *c)
{
	const struct onnx_tensor *x = c->in[0];
	int64_t dim[ONNX_RANK_MAX];
	const int64_t *kernel = NULL;
	bool ceil_mode = onnx_attr_i(c, "ceil_mode", 0) != 0;
	int r;

	if (x->type == ONNX_U8 || x->type == ONNX_I8) /* MaxPool of bytes, opset 12 */
		r = x->rank < 3 || x->rank > 2 + ONNX_SPATIAL_MAX || strcmp(c->node->op, "MaxPool")
			    ? hw_fail(c->err, -ENOTSUP, "bytes of this shape")
			    : 0;
	else
		r = spatial_input(c);
	if (!r)
		r = kernel_shape(c, x->rank - 2, &kernel);
	if (!r && !kernel)
		r = hw_fail(c->err, -EBADMSG, "kernel_shape is missing");
	if (r < 0)
		return r;
	dim[0] = x->dim[0];
	dim[1] = x->dim[1];
	r = onnx_window_shape(c, kernel, ceil_mode, &c->p.pool.w, dim + 2);
	if (r < 0)
		return r;
	c->p.pool.include_pad = onnx_attr_i(c, "count_include_pad", 0) != 0;
	c->p.pool.column_major = onnx_attr_i(c, "storage_order", 0) != 0;
	r = onnx_out_shape(c, 0, x->type, x->rank, dim);
	return r < 0 ? r : onnx_out_shape(c, 1, ONNX_I64, x->rank, dim);
}

struct range {
	int64_t first, step, from, to; /* kernel elements [from, to) are inside the input */
	int64_t counted;               /* and these many inside the padded input */
};

static struct range window_range(const struct onnx_window *w, int axis, int64_t o)
{
	struct range r = {.first = o * w->stride[axis] - w->lo[axis], .step = w->dilation[axis]};
	int64_t room = w->in[axis] - r.first, padded = room + w->hi[axis];

	r.from = r.first < 0 ? (-r.first + r.step - 1) / r.step : 0;
	r.to = room > 0 ? (room - 1) / r.step + 1 : 0;
	r.to = r.to < w->kernel[axis] ? r.to : w->kernel[axis];
	r.from = r.from < r.to ? r.from : r.to;
	r.counted = padded > 0 ? (padded - 1) / r.step + 1 : 0;
	r.counted = r.counted < w->kernel[axis] ? r.counted : w->kernel[axis];
	return r;
}

static void average(struct onnx_ctx *c, size_t base, const struct range r[3], size_t at)
{
	const struct onnx_window *w = &c->p.pool.w;
	const float *x = (const float *)c->in[0]->data + base;
	int64_t n = (r[0].to - r[0].from) * (r[1].to - r[1].from) * (r[2].to - r[2].from);
	double sum = 0;

	for (int64_t z = r[0].from; z < r[0].to; z++)
		for (int64_t y = r[1].from; y < r[1].to; y++)
			for (int64_t k = r[2].from; k < r[2].to; k++)
				sum += (double)x[((r[0].first + z * r[0].step) * w->in[1] +
						  r[1].first + y * r[1].step) * w->in[2] +
						 r[2].first + k * r[2].step];
	if (c->p.pool.include_pad)
		n = r[0].counted * r[1].counted * r[2].counted;
	((float *)c->out[0]->data)[at] = n ? (float)(sum / (double)n) : 0.0f;
}

static void maximum(struct onnx_ctx *c, size_t base, const struct range r[3], size_t at)
{
	const struct onnx_window *w = &c->p.pool.w;
	const struct onnx_tensor *x = c->in[0];
	double top = x->type == ONNX_F32 ? -INFINITY : x->type == ONNX_I8 ? -128 : 0;
	int64_t where = -1, found = 0;

	for (int64_t z = r[0].from; z < r[0].to; z++)
		for (int64_t y = r[1].from; y < r[1].to; y++)
			for (int64_t k = r[2].from; k < r[2].to; k++) {
				int64_t pz = r[0].first + z * r[0].step;
				int64_t py = r[1].first + y * r[1].step;
				int64_t px = r[2].first + k * r[2].step;
				int64_t p = (pz * w->in[1] + py) * w->in[2] + px;
				double v = onnx_load_d(x, base + (size_t)p);

				if (where >= 0 && !(v > top))
					continue;
				top = v;
				where = p;
				found = c->p.pool.column_major ?
						(px * w->in[1] + py) * w->in[0] + pz : p;
			}
	onnx_store_d(c->out[0], at, top);
	if (c->n_out > 1)
		onnx_store_i(c->out[1], at, (int64_t)base + found);
}

int onnx_window_pool_run(struct onnx_ctx *c)
{
	const struct onnx_window *w = &c->p.pool.w;
	size_t in_size = (size_t)(w->in[0] * w->in[1] * w->in[2]);
	size_t planes = (size_t)(c->in[0]->dim[0] * c->in[0]->dim[1]), at = 0;
	bool max = !strcmp(c->node->op, "MaxPool");
	struct range r[3];

	for (size_t plane = 0; plane < planes; plane++)
		for (int64_t z = 0; z < w->out[0]; z++) {
			r[0] = window_range(w, 0, z);
			for (int64_t y = 0; y < w->out[1]; y++) {
				r[1] = window_range(w, 1, y);
				for (int64_t x = 0; x < w->out[2]; x++, at++) {
					r[2] = window_range(w, 2, x);
					if (max)
						maximum(c, plane * in_size, r, at);
					else
						average(c, plane * in_size, r, at);
				}
			}
		}
	return 0;
}

int onnx_global_pool_shape(struct onnx_ctx *c)
{
	const struct onnx_tensor *x = c->in[0];
	int64_t dim[ONNX_RANK_MAX];
	int r;

	if (x->rank < 2)
		return hw_fail(c->err, -EBADMSG, "the input has %u dimensions, not N, C and more",
			       x->rank);
	r = onnx_need_type(c, 0, ONNX_F32);
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < x->rank; i++)
		dim[i] = i < 2 ? x->dim[i] : 1;
	return onnx_out_shape(c, 0, ONNX_F32, x->rank, dim);
}

int onnx_global_pool_run(struct onnx_ctx *c)
{
	size_t planes = c->out[0]->elements;
	size_t size = planes ? c->in[0]->elements / planes : 0;
	const float *x = c->in[0]->data;
	float *o = c->out[0]->data;

	for (size_t i = 0; i < planes; i++)
		o[i] = size ? (float)(onnx_k_sum(x + i * size, (int64_t)size) / (double)size) : 0;
	return 0;
}
