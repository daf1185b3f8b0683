// SPDX-License-Identifier: MIT
/* Along axes: ReduceMean, Softmax, BatchNormalization. */
#include "onnx/internal.h"

int onnx_reduce_mean_shape(struct onnx_ctx *c)
{
	const struct onnx_tensor *x = c->in[0];
	bool keep = onnx_attr_i(c, "keepdims", 1) != 0, given, *reduced = c->p.reduce.reduced;
	int64_t dim[ONNX_RANK_MAX];
	unsigned int rank = 0;
	size_t n;
	int r = onnx_need_type(c, 0, ONNX_F32);

	if (!r)
		r = onnx_axes(c, "axes", SIZE_MAX, x->rank, reduced, &given);
	if (r < 0)
		return r;
	onnx_attr_ints(c, "axes", &n);
	c->p.reduce.count = 1;
	for (unsigned int i = 0; i < x->rank; i++) {
		reduced[i] |= !n;
		if (reduced[i])
			c->p.reduce.count *= x->dim[i];
		if (!reduced[i] || keep)
			dim[rank++] = reduced[i] ? 1 : x->dim[i];
	}
	return onnx_out_shape(c, 0, ONNX_F32, rank, dim);
}

/*
 * The input's axes in two groups: one walk over those that stay, inside it one over those that
 * are summed up.
 */
int onnx_reduce_mean_run(struct onnx_ctx *c)
{
	const struct onnx_tensor *x = c->in[0];
	int64_t stride[ONNX_RANK_MAX], count = c->p.reduce.count;
	float *o = c->out[0]->data;

	onnx_strides(x, stride);
	for (size_t i = 0; i < c->out[0]->elements; i++) {
		int64_t base = 0, rest = (int64_t)i;
		double sum = 0;

		for (unsigned int d = x->rank; d-- > 0;) {
			if (c->p.reduce.reduced[d])
				continue;
			base += rest % x->dim[d] * stride[d];
			rest /= x->dim[d];
		}
		for (int64_t k = 0; k < count; k++) {
			int64_t at = base;

			rest = k;
			for (unsigned int d = x->rank; d-- > 0;) {
				if (!c->p.reduce.reduced[d])
					continue;
				at += rest % x->dim[d] * stride[d];
				rest /= x->dim[d];
			}
			sum += (double)((const float *)x->data)[at];
		}
		o[i] = count ? (float)(sum / (double)count) : 0.0f;
	}
	return 0;
}

int onnx_softmax_shape(struct onnx_ctx *c)
{
	const struct onnx_tensor *x = c->in[0];
	/* Before opset 13 the input was seen as a matrix, everything from the axis on a row. */
	bool matrix = c->opset < 13;
	int64_t dim[3] = {1, 1, 1};
	unsigned int axis;
	int r = onnx_need_type(c, 0, ONNX_F32);

	if (!r)
		r = onnx_norm_axis(c, onnx_attr_i(c, "axis", matrix ? 1 : -1), x->rank, &axis);
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < x->rank; i++)
		dim[i < axis ? 0 : i == axis || matrix ? 1 : 2] *= x->dim[i];
	c->p.axis.outer = dim[0];
	c->p.axis.axis = dim[1];
	c->p.axis.inner = dim[2];
	return onnx_same_shape(c);
}

int onnx_softmax_run(struct onnx_ctx *c)
{
	int64_t n = c->p.axis.axis, inner = c->p.axis.inner;

	if (!c->out[0]->elements)
		return 0;
	for (int64_t i = 0; i < c->p.axis.outer; i++)
		for (int64_t k = 0; k < inner; k++)
			onnx_k_softmax((float *)c->out[0]->data + i * n * inner + k,
				       (const float *)c->in[0]->data + i * n * inner + k, n, inner);
	return 0;
}

int onnx_batch_norm_shape(struct onnx_ctx *c)
{
	const struct onnx_tensor *x = c->in[0];

	if (c->n_out > 1 || onnx_attr_i(c, "training_mode", 0) ||
	    (c->opset < 7 && !onnx_attr_i(c, "is_test", 0)))
		return hw_fail(c->err, -ENOTSUP, "training mode");
	if (!onnx_attr_i(c, "spatial", 1))
		return hw_fail(c->err, -ENOTSUP, "attribute spatial = 0");
	if (x->rank < 2)
		return hw_fail(c->err, -EBADMSG, "the input has %u dimensions, not N, C and more",
			       x->rank);
	for (size_t i = 0; i < 5; i++) {
		int r = onnx_need_type(c, i, ONNX_F32);

		if (r < 0)
			return r;
		if (i && (c->in[i]->rank != 1 || c->in[i]->dim[0] != x->dim[1]))
			return hw_fail(c->err, -EBADMSG, "input %zu is not a list of %lld", i,
				       (long long)x->dim[1]);
	}
	c->p.act.a = onnx_attr_f(c, "epsilon", 1e-5f);
	return onnx_same_shape(c);
}

int onnx_batch_norm_run(struct onnx_ctx *c)
{
	const struct onnx_tensor *x = c->in[0];
	const float *scale = c->in[1]->data, *bias = c->in[2]->data;
	const float *mean = c->in[3]->data, *var = c->in[4]->data;
	size_t planes = x->elements ? (size_t)(x->dim[0] * x->dim[1]) : 0;
	size_t size = planes ? x->elements / planes : 0;

	for (size_t i = 0; i < planes; i++) {
		size_t ch = i % (size_t)x->dim[1];
		float k = scale[ch] / sqrtf(var[ch] + c->p.act.a);

		onnx_k_affine((float *)c->out[0]->data + i * size,
			      (const float *)x->data + i * size, k, bias[ch] - mean[ch] * k,
			      (int64_t)size);
	}
	return 0;
}
