// SPDX-License-Identifier: MIT
/* Conv: im2col and sgemm. */
#include "onnx/internal.h"

/* im2col columns of one sgemm: as many as keep the matrix near 1 MiB, so that it stays in cache. */
#define TILE_FLOATS (256 * 1024)
#define TILE_MIN 64

int onnx_conv_shape(struct onnx_ctx *c)
{
	const struct onnx_tensor *x = c->in[0], *w = c->in[1], *b = onnx_in(c, 2);
	int64_t group = onnx_attr_i(c, "group", 1), dim[ONNX_RANK_MAX], positions = 1, k_size;
	const int64_t *kernel = NULL;
	int r = onnx_spatial_input(c);

	for (size_t i = 1; i < 3 && !r; i++)
		r = onnx_need_type(c, i, ONNX_F32);
	if (!r && w->rank != x->rank)
		r = hw_fail(c->err, -EBADMSG, "the weights have %u dimensions, the input %u",
			    w->rank, x->rank);
	if (!r)
		r = onnx_kernel_shape(c, x->rank - 2, &kernel);
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
	if (!c->p.conv.direct && c->out[0]->elements)
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
		onnx_sgemm(&(struct onnx_product){
			.m = rows, .n = to - from, .k = k, .alpha = 1, .beta = 1,
			.a = weights, .lda = k, .b = col, .ldb = ld, .c = out, .ldc = positions,
		});
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
