// SPDX-License-Identifier: MIT
/* AveragePool, MaxPool, GlobalAveragePool. */
#include "onnx/internal.h"

/*
 * Up to this size a kernel is gone through whole, for a row of outputs at a time.  A larger one
 * costs nothing in a file, and may be mostly padding.
 */
#define SMALL_KERNEL 32

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
		r = onnx_spatial_input(c);
	if (!r)
		r = onnx_kernel_shape(c, x->rank - 2, &kernel);
	if (!r && !kernel)
		r = hw_fail(c->err, -EBADMSG, "kernel_shape is missing");
	if (r < 0)
		return r;
	dim[0] = x->dim[0];
	dim[1] = x->dim[1];
	r = onnx_window_shape(c, kernel, ceil_mode, &c->p.pool.w, dim + 2);
	if (r < 0)
		return r;
	c->p.pool.max = !strcmp(c->node->op, "MaxPool");
	c->p.pool.by_rows = c->p.pool.max && c->n_out == 1 && x->type == ONNX_F32;
	for (unsigned int i = 0; i < ONNX_SPATIAL_MAX; i++)
		if (c->p.pool.w.kernel[i] > SMALL_KERNEL)
			c->p.pool.by_rows = false;
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
	double n = (double)((r[0].to - r[0].from) * (r[1].to - r[1].from) * (r[2].to - r[2].from));
	double sum = 0;

	for (int64_t z = r[0].from; z < r[0].to; z++)
		for (int64_t y = r[1].from; y < r[1].to; y++)
			for (int64_t k = r[2].from; k < r[2].to; k++)
				sum += (double)x[((r[0].first + z * r[0].step) * w->in[1] +
						  r[1].first + y * r[1].step) * w->in[2] +
						 r[2].first + k * r[2].step];
	if (c->p.pool.include_pad) /* can be more than 64 bits hold */
		n = (double)r[0].counted * (double)r[1].counted * (double)r[2].counted;
	((float *)c->out[0]->data)[at] = n > 0 ? (float)(sum / n) : 0.0f;
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

/* One plane. */
static void pool_plane(void *arg, size_t plane, unsigned int worker)
{
	struct onnx_ctx *c = arg;
	const struct onnx_window *w = &c->p.pool.w;
	size_t base = plane * (size_t)(w->in[0] * w->in[1] * w->in[2]);
	size_t at = plane * (size_t)(w->out[0] * w->out[1] * w->out[2]);
	struct range r[3];

	(void)worker;
	if (c->p.pool.by_rows) {
		onnx_k_max(w, (const float *)c->in[0]->data + base, (float *)c->out[0]->data + at);
		return;
	}
	for (int64_t z = 0; z < w->out[0]; z++) {
		r[0] = window_range(w, 0, z);
		for (int64_t y = 0; y < w->out[1]; y++) {
			r[1] = window_range(w, 1, y);
			for (int64_t x = 0; x < w->out[2]; x++, at++) {
				r[2] = window_range(w, 2, x);
				if (c->p.pool.max)
					maximum(c, base, r, at);
				else
					average(c, base, r, at);
			}
		}
	}
}

int onnx_window_pool_run(struct onnx_ctx *c)
{
	onnx_pool_run(c->pool, pool_plane, c, (size_t)(c->in[0]->dim[0] * c->in[0]->dim[1]));
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

static void mean_planes(struct onnx_ctx *c, size_t from, size_t to)
{
	size_t size = c->in[0]->elements / c->out[0]->elements;
	const float *x = c->in[0]->data;
	float *o = c->out[0]->data;

	for (size_t i = from; i < to; i++)
		o[i] = size ? (float)(onnx_k_sum(x + i * size, (int64_t)size) / (double)size) : 0;
}

int onnx_global_pool_run(struct onnx_ctx *c)
{
	onnx_ranges(c, c->out[0]->elements, c->in[0]->elements, mean_planes);
	return 0;
}
