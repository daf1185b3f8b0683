// SPDX-License-Identifier: MIT
/* Blocks of elements put elsewhere: Concat, Split, Gather, Pad. */
#include "onnx/internal.h"

/* dim[from] * ... * dim[to - 1] */
static int64_t product(const struct onnx_tensor *t, unsigned int from, unsigned int to)
{
	int64_t n = 1;

	for (unsigned int i = from; i < to; i++)
		n *= t->dim[i];
	return n;
}

static int find_axis(struct onnx_ctx *c, int64_t otherwise, unsigned int *axis)
{
	const struct onnx_tensor *x = c->in[0];
	int r = onnx_norm_axis(c, onnx_attr_i(c, "axis", otherwise), x->rank, axis);

	if (r < 0)
		return r;
	c->p.axis.outer = product(x, 0, *axis);
	c->p.axis.axis = *axis;
	c->p.axis.inner = product(x, *axis + 1, x->rank);
	return 0;
}

int onnx_concat_shape(struct onnx_ctx *c)
{
	const struct onnx_tensor *x = c->in[0];
	int64_t dim[ONNX_RANK_MAX];
	unsigned int axis;
	int r;

	if (!onnx_attr(c->node, "axis"))
		return hw_fail(c->err, -EBADMSG, "attribute axis is missing");
	r = find_axis(c, 0, &axis);
	if (r < 0)
		return r;
	memcpy(dim, x->dim, sizeof(dim));
	for (size_t i = 1; i < c->n_in; i++) {
		const struct onnx_tensor *y = c->in[i];
		bool fits = y->rank == x->rank && y->type == x->type;

		for (unsigned int k = 0; fits && k < x->rank; k++)
			fits = k == axis || y->dim[k] == x->dim[k];
		if (!fits)
			return hw_fail(c->err, -EBADMSG, "input %zu does not fit input 0", i);
		dim[axis] += y->dim[axis];
		if (dim[axis] > ONNX_MAX_ELEMENTS)
			return hw_fail(c->err, -EBADMSG, "the output is too large");
	}
	return onnx_out_shape(c, 0, x->type, x->rank, dim);
}

int onnx_concat_run(struct onnx_ctx *c)
{
	size_t piece = (size_t)c->p.axis.inner * onnx_type_size(c->out[0]->type);
	uint8_t *at = c->out[0]->data;

	for (int64_t i = 0; i < c->p.axis.outer; i++)
		for (size_t k = 0; k < c->n_in; k++) {
			size_t n = (size_t)c->in[k]->dim[c->p.axis.axis] * piece;

			if (n)
				memcpy(at, (const uint8_t *)c->in[k]->data + (size_t)i * n, n);
			at += n;
		}
	return 0;
}

int onnx_split_shape(struct onnx_ctx *c)
{
	const struct onnx_tensor *x = c->in[0];
	int64_t dim[ONNX_RANK_MAX], given[ONNX_MAX_OUT], left;
	const int64_t *sizes = given;
	unsigned int axis;
	size_t n;
	int r = find_axis(c, 0, &axis);

	if (!r && c->opset >= 13)
		r = onnx_const_ints(c, 1, given, ARRAY_SIZE(given), &n);
	else if (!r)
		sizes = onnx_attr_ints(c, "split", &n);
	if (r < 0)
		return r;
	if (n && n != c->n_out)
		return hw_fail(c->err, -EBADMSG, "%zu sizes for %zu outputs", n, c->n_out);
	if (!n && x->dim[axis] % (int64_t)c->n_out)
		return hw_fail(c->err, -EBADMSG, "%lld do not split into %zu equal parts",
			       (long long)x->dim[axis], c->n_out);
	memcpy(dim, x->dim, sizeof(dim));
	left = x->dim[axis];
	for (size_t i = 0; i < c->n_out; i++) {
		dim[axis] = n ? sizes[i] : x->dim[axis] / (int64_t)c->n_out;
		if (dim[axis] < 0 || dim[axis] > left)
			return hw_fail(c->err, -EBADMSG, "part %zu is %lld long, %lld are left", i,
				       (long long)dim[axis], (long long)left);
		left -= dim[axis];
		r = onnx_out_shape(c, i, x->type, x->rank, dim);
		if (r < 0)
			return r;
	}
	return left ? hw_fail(c->err, -EBADMSG, "%lld are left over", (long long)left) : 0;
}

int onnx_split_run(struct onnx_ctx *c)
{
	size_t piece = (size_t)c->p.axis.inner * onnx_type_size(c->in[0]->type);
	const uint8_t *at = c->in[0]->data;

	for (int64_t i = 0; i < c->p.axis.outer; i++)
		for (size_t k = 0; k < c->n_out; k++) {
			size_t n = (size_t)c->out[k]->dim[c->p.axis.axis] * piece;

			if (n)
				memcpy((uint8_t *)c->out[k]->data + (size_t)i * n, at, n);
			at += n;
		}
	return 0;
}

int onnx_gather_shape(struct onnx_ctx *c)
{
	const struct onnx_tensor *x = c->in[0], *index = c->in[1];
	int64_t dim[2 * ONNX_RANK_MAX];
	unsigned int axis, rank = 0;
	int r;

	if (index->type != ONNX_I64 && index->type != ONNX_I32)
		return hw_fail(c->err, -EBADMSG, "indices of type %s", onnx_type_name(index->type));
	r = find_axis(c, 0, &axis);
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < axis; i++)
		dim[rank++] = x->dim[i];
	for (unsigned int i = 0; i < index->rank; i++)
		dim[rank++] = index->dim[i];
	for (unsigned int i = axis + 1; i < x->rank; i++)
		dim[rank++] = x->dim[i];
	return onnx_out_shape(c, 0, x->type, rank, dim);
}

int onnx_gather_run(struct onnx_ctx *c)
{
	const struct onnx_tensor *x = c->in[0], *index = c->in[1];
	size_t piece = (size_t)c->p.axis.inner * onnx_type_size(x->type);
	int64_t len = x->dim[c->p.axis.axis];
	uint8_t *at = c->out[0]->data;

	for (int64_t i = 0; i < c->p.axis.outer; i++)
		for (size_t k = 0; k < index->elements; k++, at += piece) {
			int64_t v = onnx_load_i(index, k);

			v = v < 0 && v >= -len ? v + len : v;
			if (v < 0 || v >= len)
				return hw_fail(c->err, -EINVAL, "index %lld of %lld", (long long)v,
					       (long long)len);
			if (piece)
				memcpy(at, (const uint8_t *)x->data + (size_t)(i * len + v) * piece,
				       piece);
		}
	return 0;
}

/* ---------------------------------------------------------------------- Pad */

enum { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE };

int onnx_pad_shape(struct onnx_ctx *c)
{
	const struct onnx_tensor *x = c->in[0], *value = onnx_in(c, 2);
	const char *mode = onnx_attr_s(c, "mode", "constant");
	int64_t given[2 * ONNX_RANK_MAX], dim[ONNX_RANK_MAX];
	const int64_t *pads = given;
	size_t n;
	int r = 0;

	if (c->opset >= 11)
		r = onnx_const_ints(c, 1, given, ARRAY_SIZE(given), &n);
	else
		pads = onnx_attr_ints(c, "pads", &n);
	if (r < 0)
		return r;
	if (n != 2 * x->rank)
		return hw_fail(c->err, -EBADMSG, "%zu pads for %u dimensions", n, x->rank);
	if (value && (value->elements != 1 || value->type != x->type))
		return hw_fail(c->err, -EBADMSG, "the value is not one number of type %s",
			       onnx_type_name(x->type));
	c->p.pad.mode = !strcmp(mode, "constant") ? PAD_CONSTANT :
			!strcmp(mode, "reflect") ? PAD_REFLECT :
			!strcmp(mode, "edge") ? PAD_EDGE : -1;
	if (c->p.pad.mode < 0)
		return hw_fail(c->err, -ENOTSUP, "mode %s", mode);
	for (unsigned int i = 0; i < x->rank; i++) {
		int64_t lo = pads[i], hi = pads[x->rank + i], most = ONNX_MAX_ELEMENTS;

		if (c->p.pad.mode == PAD_REFLECT)
			most = x->dim[i] - 1; /* there is no more to be reflected */
		else if (c->p.pad.mode == PAD_EDGE && !x->dim[i])
			most = 0;
		if (lo < -x->dim[i] || hi < -x->dim[i] || lo > most || hi > most ||
		    x->dim[i] + lo + hi < 0)
			return hw_fail(c->err, -EBADMSG,
				       "dimension %u: %lld padded by %lld and %lld", i,
				       (long long)x->dim[i], (long long)lo, (long long)hi);
		c->p.pad.lo[i] = lo;
		dim[i] = x->dim[i] + lo + hi;
	}
	return onnx_out_shape(c, 0, x->type, x->rank, dim);
}

/* The input position that output position @o shows, -1: none. */
static int64_t pad_source(int mode, int64_t o, int64_t len)
{
	if (o >= 0 && o < len)
		return o;
	switch (mode) {
	case PAD_REFLECT:
		return o < 0 ? -o : 2 * (len - 1) - o;
	case PAD_EDGE:
		return o < 0 ? 0 : len - 1;
	default:
		return -1;
	}
}

int onnx_pad_run(struct onnx_ctx *c)
{
	const struct onnx_tensor *x = c->in[0], *value = onnx_in(c, 2);
	struct onnx_tensor *o = c->out[0];
	size_t size = onnx_type_size(x->type);
	int64_t stride[ONNX_RANK_MAX];

	onnx_strides(x, stride);
	for (size_t i = 0; i < o->elements; i++) {
		int64_t rest = (int64_t)i, from = 0;

		for (unsigned int d = x->rank; d-- > 0 && from >= 0;) {
			int64_t p = pad_source(c->p.pad.mode, rest % o->dim[d] - c->p.pad.lo[d],
					       x->dim[d]);

			from = p < 0 ? -1 : from + p * stride[d];
			rest /= o->dim[d];
		}
		if (from >= 0)
			memcpy((uint8_t *)o->data + i * size,
			       (const uint8_t *)x->data + (size_t)from * size, size);
		else if (value)
			memcpy((uint8_t *)o->data + i * size, value->data, size);
		else
			onnx_store_default(o, i, (double)onnx_attr_f(c, "value", 0));
	}
	return 0;
}
