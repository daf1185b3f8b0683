// SPDX-License-Identifier: MIT
/* The same elements in another order or shape: Transpose, Slice, Squeeze, Reshape, Shape, ... */
#include "onnx/internal.h"

/* -------------------------------------------------------- strided walks */

int onnx_transpose_shape(struct onnx_ctx *c)
{
	const struct onnx_tensor *x = c->in[0];
	int64_t dim[ONNX_RANK_MAX], stride[ONNX_RANK_MAX];
	bool seen[ONNX_RANK_MAX] = {false};
	size_t n;
	const int64_t *perm = onnx_attr_ints(c, "perm", &n);

	if (perm && n != x->rank)
		return hw_fail(c->err, -EBADMSG, "perm has %zu entries for %u dimensions", n,
			       x->rank);
	onnx_strides(x, stride);
	for (unsigned int i = 0; i < x->rank; i++) {
		int64_t from = perm ? perm[i] : (int64_t)(x->rank - 1 - i);

		if (from < 0 || from >= x->rank || seen[from])
			return hw_fail(c->err, -EBADMSG, "perm is not a permutation");
		seen[from] = true;
		dim[i] = x->dim[from];
		c->p.view.step[i] = stride[from];
	}
	c->p.view.origin = 0;
	return onnx_out_shape(c, 0, x->type, x->rank, dim);
}

struct text {
	char s[ONNX_TEXT_SIZE];
};

#define COPY_STRIDED(type)                                                         \
	do {                                                                       \
		type *o_ = (type *)o;                                              \
		const type *x_ = (const type *)x;                                  \
		for (int64_t i_ = 0; i_ < n; i_++)                                 \
			o_[i_] = x_[i_ * step];                                    \
	} while (0)

static void copy_strided(void *o, const void *x, int64_t step, int64_t n, size_t size)
{
	if (step == 1)
		memcpy(o, x, (size_t)n * size);
	else if (size == 1)
		COPY_STRIDED(uint8_t);
	else if (size == 2)
		COPY_STRIDED(uint16_t);
	else if (size == 4)
		COPY_STRIDED(uint32_t);
	else if (size == 8)
		COPY_STRIDED(uint64_t);
	else
		COPY_STRIDED(struct text);
}

/* Output element (i, j, ...) is input element origin + i * step[0] + j * step[1] + ... */
static int walk(struct onnx_ctx *c)
{
	struct onnx_tensor *o = c->out[0];
	size_t size = onnx_type_size(o->type);
	const int64_t *step = c->p.view.step;
	int64_t pos[ONNX_RANK_MAX] = {0}, from = c->p.view.origin;
	unsigned int outer = o->rank ? o->rank - 1 : 0;
	int64_t n = o->rank ? o->dim[outer] : 1, inner = o->rank ? step[outer] : 1;

	if (!o->elements)
		return 0;
	/* Rows that follow each other in the input are one row. */
	while (outer > 0 && step[outer - 1] == inner * n) {
		outer--;
		n *= o->dim[outer];
	}
	for (uint8_t *at = o->data;; at += (size_t)n * size) {
		unsigned int d = outer;

		copy_strided(at, (const uint8_t *)c->in[0]->data + from * (int64_t)size, inner, n,
			     size);
		while (d-- > 0) {
			from += step[d];
			if (++pos[d] < o->dim[d])
				break;
			from -= step[d] * o->dim[d];
			pos[d] = 0;
		}
		if (d == UINT32_MAX)
			return 0;
	}
}

int onnx_transpose_run(struct onnx_ctx *c)
{
	return walk(c);
}

static int64_t clamp(int64_t v, int64_t lo, int64_t hi)
{
	return v < lo ? lo : v > hi ? hi : v;
}

/* starts, ends, axes, steps: attributes before opset 10, inputs 1 to 4 since. */
static int slice_list(const struct onnx_ctx *c, size_t input, const char *name, int64_t *v,
		      size_t *n)
{
	const int64_t *a;

	if (c->opset >= 10)
		return onnx_const_ints(c, input, v, ONNX_RANK_MAX, n);
	a = onnx_attr_ints(c, name, n);
	if (*n > ONNX_RANK_MAX)
		return hw_fail(c->err, -EBADMSG, "%s has %zu entries", name, *n);
	if (*n)
		memcpy(v, a, *n * sizeof(*v));
	return 0;
}

int onnx_slice_shape(struct onnx_ctx *c)
{
	const struct onnx_tensor *x = c->in[0];
	int64_t start[ONNX_RANK_MAX], end[ONNX_RANK_MAX], axis[ONNX_RANK_MAX], step[ONNX_RANK_MAX];
	int64_t dim[ONNX_RANK_MAX];
	size_t n, n_end, n_axis, n_step = 0;
	bool seen[ONNX_RANK_MAX] = {false};
	int r = slice_list(c, 1, "starts", start, &n);

	if (!r)
		r = slice_list(c, 2, "ends", end, &n_end);
	if (!r)
		r = slice_list(c, 3, "axes", axis, &n_axis);
	if (!r && c->opset >= 10)
		r = slice_list(c, 4, "steps", step, &n_step);
	if (r < 0)
		return r;
	if (n_end != n || (n_axis && n_axis != n) || (n_step && n_step != n) || n > x->rank)
		return hw_fail(c->err, -EBADMSG, "starts, ends, axes and steps differ in length");
	onnx_strides(x, c->p.view.step);
	c->p.view.origin = 0;
	memcpy(dim, x->dim, sizeof(dim));
	for (size_t i = 0; i < n; i++) {
		int64_t s = start[i], e = end[i], by = n_step ? step[i] : 1, len, count;
		unsigned int a;

		r = onnx_norm_axis(c, n_axis ? axis[i] : (int64_t)i, x->rank, &a);
		if (r < 0)
			return r;
		if (seen[a] || !by || by == INT64_MIN)
			return hw_fail(c->err, -EBADMSG, "axis %u: named twice, or a step of %lld",
				       a, (long long)by);
		seen[a] = true;
		len = x->dim[a];
		s = s < 0 && s >= -len ? s + len : s;
		e = e < 0 && e >= -len ? e + len : e;
		s = clamp(s, 0, by > 0 ? len : len - 1);
		/* -1 is "before the first", which only a negative step can reach */
		e = clamp(e, by > 0 ? 0 : -1, len);
		count = by > 0 ? e - s : s - e;
		by = clamp(by, -ONNX_MAX_ELEMENTS, ONNX_MAX_ELEMENTS);
		dim[a] = len && count > 0 ? (count - 1) / llabs(by) + 1 : 0;
		if (dim[a])
			c->p.view.origin += s * c->p.view.step[a];
		c->p.view.step[a] *= by;
	}
	return onnx_out_shape(c, 0, x->type, x->rank, dim);
}

int onnx_slice_run(struct onnx_ctx *c)
{
	return walk(c);
}

/* ------------------------------------------- other shape, same order */

static int copy(struct onnx_ctx *c)
{
	if (c->out[0]->elements)
		memcpy(c->out[0]->data, c->in[0]->data, onnx_tensor_bytes(c->out[0]));
	return 0;
}

int onnx_squeeze_shape(struct onnx_ctx *c)
{
	const struct onnx_tensor *x = c->in[0];
	int64_t dim[ONNX_RANK_MAX];
	bool axes[ONNX_RANK_MAX], given;
	unsigned int rank = 0;
	int r = onnx_axes(c, "axes", c->opset >= 13 ? 1 : SIZE_MAX, x->rank, axes, &given);

	if (r < 0)
		return r;
	for (unsigned int i = 0; i < x->rank; i++) {
		if (given && axes[i] && x->dim[i] != 1)
			return hw_fail(c->err, -EBADMSG, "axis %u is %lld long, not 1", i,
				       (long long)x->dim[i]);
		if (given ? !axes[i] : x->dim[i] != 1)
			dim[rank++] = x->dim[i];
	}
	return onnx_out_shape(c, 0, x->type, rank, dim);
}

int onnx_squeeze_run(struct onnx_ctx *c)
{
	return copy(c);
}

int onnx_unsqueeze_shape(struct onnx_ctx *c)
{
	const struct onnx_tensor *x = c->in[0];
	int64_t v[ONNX_RANK_MAX], dim[ONNX_RANK_MAX];
	bool axes[ONNX_RANK_MAX], given;
	unsigned int rank, from = 0;
	size_t n;
	int r = 0;

	if (c->opset >= 13)
		r = onnx_const_ints(c, 1, v, ARRAY_SIZE(v), &n);
	else
		onnx_attr_ints(c, "axes", &n);
	if (r < 0)
		return r;
	if (n + x->rank > ONNX_RANK_MAX)
		return hw_fail(c->err, -ENOTSUP, "%zu dimensions", n + x->rank);
	rank = x->rank + (unsigned int)n;
	r = onnx_axes(c, "axes", c->opset >= 13 ? 1 : SIZE_MAX, rank, axes, &given);
	if (r < 0)
		return r;
	if (!given)
		return hw_fail(c->err, -EBADMSG, "axes are missing");
	for (unsigned int i = 0; i < rank; i++)
		dim[i] = axes[i] ? 1 : x->dim[from++];
	return onnx_out_shape(c, 0, x->type, rank, dim);
}

int onnx_unsqueeze_run(struct onnx_ctx *c)
{
	return copy(c);
}

int onnx_reshape_shape(struct onnx_ctx *c)
{
	const struct onnx_tensor *x = c->in[0];
	bool allow_zero = onnx_attr_i(c, "allowzero", 0) != 0;
	int64_t dim[ONNX_RANK_MAX], known = 1;
	int hole = -1, r;
	size_t n;

	r = onnx_const_ints(c, 1, dim, ARRAY_SIZE(dim), &n);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		if (dim[i] == 0 && !allow_zero) {
			if (i >= x->rank)
				return hw_fail(c->err, -EBADMSG,
					       "dimension %zu is to be copied, the input has %u",
					       i, x->rank);
			dim[i] = x->dim[i];
		}
		if (dim[i] == -1 && hole < 0) {
			hole = (int)i;
			continue;
		}
		if (dim[i] < 0 || (known && dim[i] > ONNX_MAX_ELEMENTS / known))
			return hw_fail(c->err, -EBADMSG, "dimension %zu is %lld", i,
				       (long long)dim[i]);
		known *= dim[i];
	}
	if (hole >= 0) {
		if (!known || (int64_t)x->elements % known)
			return hw_fail(c->err, -EBADMSG, "%zu elements do not divide by %lld",
				       x->elements, (long long)known);
		dim[hole] = (int64_t)x->elements / known;
	}
	r = onnx_out_shape(c, 0, x->type, (unsigned int)n, dim);
	if (!r && c->out[0]->elements != x->elements)
		r = hw_fail(c->err, -EBADMSG, "%zu elements cannot become %zu", x->elements,
			    c->out[0]->elements);
	return r;
}

int onnx_reshape_run(struct onnx_ctx *c)
{
	return copy(c);
}

int onnx_flatten_shape(struct onnx_ctx *c)
{
	const struct onnx_tensor *x = c->in[0];
	int64_t axis = onnx_attr_i(c, "axis", 1), dim[2] = {1, 1};

	axis = axis < 0 ? axis + x->rank : axis;
	if (axis < 0 || axis > x->rank)
		return hw_fail(c->err, -EBADMSG, "axis %lld of %u dimensions", (long long)axis,
			       x->rank);
	for (unsigned int i = 0; i < x->rank; i++)
		dim[i >= axis] *= x->dim[i];
	return onnx_out_shape(c, 0, x->type, 2, dim);
}

int onnx_flatten_run(struct onnx_ctx *c)
{
	return copy(c);
}

int onnx_identity_shape(struct onnx_ctx *c)
{
	if (onnx_is_list(c->in[0]))
		return onnx_set_list(c->out[0], c->in[0]->type, c->in[0]->item, c->err);
	return onnx_same_shape(c);
}

int onnx_identity_run(struct onnx_ctx *c)
{
	return copy(c);
}

/* -------------------------------------------------------------------- Shape */

static void shape_range(const struct onnx_ctx *c, int64_t *from, int64_t *to)
{
	int64_t rank = c->in[0]->rank, s = onnx_attr_i(c, "start", 0);
	int64_t e = onnx_attr_i(c, "end", rank);

	*from = clamp(s < 0 && s >= -rank ? s + rank : s, 0, rank);
	*to = clamp(e < 0 && e >= -rank ? e + rank : e, 0, rank);
	if (*to < *from)
		*to = *from;
}

int onnx_shape_shape(struct onnx_ctx *c)
{
	int64_t from, to, n;

	shape_range(c, &from, &to);
	n = to - from;
	return onnx_out_shape(c, 0, ONNX_I64, 1, &n);
}

int onnx_shape_run(struct onnx_ctx *c)
{
	int64_t from, to;

	shape_range(c, &from, &to);
	for (int64_t i = from; i < to; i++)
		((int64_t *)c->out[0]->data)[i - from] = c->in[0]->dim[i];
	return 0;
}
