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

static void softmax_part(struct onnx_ctx *c, size_t from, size_t to)
{
	int64_t n = c->p.axis.axis, inner = c->p.axis.inner;

	for (int64_t i = (int64_t)from; i < (int64_t)to; i++)
		for (int64_t k = 0; k < inner; k++)
			onnx_k_softmax((float *)c->out[0]->data + i * n * inner + k,
				       (const float *)c->in[0]->data + i * n * inner + k, n, inner);
}

int onnx_softmax_run(struct onnx_ctx *c)
{
	if (c->out[0]->elements)
		onnx_ranges(c, (size_t)c->p.axis.outer, c->out[0]->elements, softmax_part);
	return 0;
}

/* -------------------------------------------------------- BatchNormalization */

int onnx_batch_norm_shape(struct onnx_ctx *c)
{
	const struct onnx_tensor *x = c->in[0];
	bool training = c->opset >= 14 && onnx_attr_i(c, "training_mode", 0) != 0;
	int r = 0;

	/* Before opset 14 training left values behind that only its backward pass defines. */
	if (c->opset < 14 && (c->n_out > 1 || (c->opset < 7 && !onnx_attr_i(c, "is_test", 0))))
		return hw_fail(c->err, -ENOTSUP, "training mode of opset %lld",
			       (long long)c->opset);
	if (c->n_out > (training ? 3 : 1))
		return hw_fail(c->err, -EBADMSG, "%zu outputs", c->n_out);
	if (!onnx_attr_i(c, "spatial", 1))
		return hw_fail(c->err, -ENOTSUP, "attribute spatial = 0");
	if (x->rank < 2)
		return hw_fail(c->err, -EBADMSG, "the input has %u dimensions, not N, C and more",
			       x->rank);
	for (size_t i = 0; i < 5; i++) {
		r = onnx_need_type(c, i, ONNX_F32);
		if (r < 0)
			return r;
		if (i && (c->in[i]->rank != 1 || c->in[i]->dim[0] != x->dim[1]))
			return hw_fail(c->err, -EBADMSG, "input %zu is not a list of %lld", i,
				       (long long)x->dim[1]);
	}
	c->p.norm.training = training;
	c->p.norm.epsilon = onnx_attr_f(c, "epsilon", 1e-5f);
	c->p.norm.momentum = onnx_attr_f(c, "momentum", 0.9f);
	for (size_t i = 1; i < 3 && !r; i++)
		r = onnx_out_shape(c, i, ONNX_F32, 1, &x->dim[1]);
	return r < 0 ? r : onnx_same_shape(c);
}

/* One channel: planes @from, @from + @step, ... of @size elements each, @n in all. */
struct channel {
	const float *x;
	size_t n, step, size;
};

/* Mean and variance (of the whole, not of a sample) of what is in the batch. */
static void statistics(const struct channel *ch, double *mean, double *var)
{
	double count = (double)(ch->n * ch->size);

	*mean = *var = 0;
	for (size_t i = 0; i < ch->n; i++)
		*mean += onnx_k_sum(ch->x + i * ch->step, (int64_t)ch->size) / count;
	for (size_t i = 0; i < ch->n; i++)
		for (size_t k = 0; k < ch->size; k++) {
			double d = (double)ch->x[i * ch->step + k] - *mean;

			*var += d * d / count;
		}
}

/* The running value that output @i continues from input @i + 2. */
static void follow(struct onnx_ctx *c, size_t i, size_t ch, double now)
{
	double m = (double)c->p.norm.momentum;

	if (i < c->n_out)
		((float *)c->out[i]->data)[ch] =
			(float)((double)((const float *)c->in[i + 2]->data)[ch] * m +
				now * (1 - m));
}

static void norm_channels(struct onnx_ctx *c, size_t from, size_t to)
{
	const struct onnx_tensor *x = c->in[0];
	const float *scale = c->in[1]->data, *bias = c->in[2]->data;
	size_t channels = (size_t)x->dim[1], batch = (size_t)x->dim[0];
	size_t size = x->elements ? x->elements / (channels * batch) : 0;

	for (size_t ch = from; ch < to; ch++) {
		struct channel in = {(const float *)x->data + ch * size, batch, channels * size,
				     size};
		double mean = (double)((const float *)c->in[3]->data)[ch];
		double var = (double)((const float *)c->in[4]->data)[ch];
		float k;

		if (c->p.norm.training) {
			if (x->elements)
				statistics(&in, &mean, &var);
			follow(c, 1, ch, mean);
			follow(c, 2, ch, var);
		}
		k = scale[ch] / sqrtf((float)var + c->p.norm.epsilon);
		for (size_t i = 0; i < batch && size; i++)
			onnx_k_affine((float *)c->out[0]->data + (in.x - (const float *)x->data) +
					      i * in.step,
				      in.x + i * in.step, k, bias[ch] - (float)mean * k,
				      (int64_t)size);
	}
}

int onnx_batch_norm_run(struct onnx_ctx *c)
{
	onnx_ranges(c, (size_t)c->in[0]->dim[1], c->in[0]->elements, norm_channels);
	return 0;
}
