// SPDX-License-Identifier: MIT
/* Shape inference: attributes, axes, broadcasting, sliding windows. */
#include "onnx/internal.h"

int64_t onnx_attr_i(const struct onnx_ctx *c, const char *name, int64_t otherwise)
{
	const struct onnx_attr *a = onnx_attr(c->node, name);

	return a ? a->i : otherwise;
}

float onnx_attr_f(const struct onnx_ctx *c, const char *name, float otherwise)
{
	const struct onnx_attr *a = onnx_attr(c->node, name);

	return a ? a->f : otherwise;
}

const char *onnx_attr_s(const struct onnx_ctx *c, const char *name, const char *otherwise)
{
	const struct onnx_attr *a = onnx_attr(c->node, name);

	return a ? a->s : otherwise;
}

const int64_t *onnx_attr_ints(const struct onnx_ctx *c, const char *name, size_t *n)
{
	const struct onnx_attr *a = onnx_attr(c->node, name);

	*n = a ? a->n : 0;
	return a ? a->ints : NULL;
}

struct onnx_tensor *onnx_in(const struct onnx_ctx *c, size_t i)
{
	return i < c->n_in ? c->in[i] : NULL;
}

int onnx_const_ints(const struct onnx_ctx *c, size_t i, int64_t *v, size_t max, size_t *n)
{
	const struct onnx_tensor *t = onnx_in(c, i);

	*n = 0;
	if (!t)
		return 0;
	if (!t->constant)
		return hw_fail(c->err, -ENOTSUP, "input %zu must be a constant", i);
	if (t->type != ONNX_I64 && t->type != ONNX_I32)
		return hw_fail(c->err, -EBADMSG, "input %zu is of type %s, not int64", i,
			       onnx_type_name(t->type));
	if (t->rank > 1 || t->elements > max)
		return hw_fail(c->err, -EBADMSG, "input %zu is not a list of at most %zu numbers",
			       i, max);
	for (size_t k = 0; k < t->elements; k++)
		v[k] = onnx_load_i(t, k);
	*n = t->elements;
	return 0;
}

int onnx_out_shape(struct onnx_ctx *c, size_t i, int type, unsigned int rank, const int64_t *dim)
{
	return i < c->n_out ? onnx_set_shape(c->out[i], type, rank, dim, c->err) : 0;
}

int onnx_same_shape(struct onnx_ctx *c)
{
	return onnx_out_shape(c, 0, c->in[0]->type, c->in[0]->rank, c->in[0]->dim);
}

int onnx_need_type(const struct onnx_ctx *c, size_t i, int type)
{
	const struct onnx_tensor *t = onnx_in(c, i);

	if (!t || (int)t->type == type)
		return 0;
	return hw_fail(c->err, -ENOTSUP, "input %zu is of type %s, only %s is supported", i,
		       onnx_type_name(t->type), onnx_type_name(type));
}

int onnx_norm_axis(const struct onnx_ctx *c, int64_t axis, unsigned int rank, unsigned int *out)
{
	int64_t a = axis < 0 && axis >= -(int64_t)rank ? axis + rank : axis;

	if (a < 0 || a >= rank)
		return hw_fail(c->err, -EBADMSG, "axis %lld of a tensor with %u dimensions",
			       (long long)axis, rank);
	*out = (unsigned int)a;
	return 0;
}

int onnx_axes(const struct onnx_ctx *c, const char *name, size_t i, unsigned int rank,
	      bool set[ONNX_RANK_MAX], bool *given)
{
	int64_t v[ONNX_RANK_MAX];
	const int64_t *axes = v;
	size_t n;
	int r;

	memset(set, 0, ONNX_RANK_MAX * sizeof(*set));
	if (onnx_in(c, i)) {
		r = onnx_const_ints(c, i, v, ARRAY_SIZE(v), &n);
		if (r < 0)
			return r;
		*given = true;
	} else {
		axes = onnx_attr_ints(c, name, &n);
		*given = axes != NULL;
	}
	for (size_t k = 0; k < n; k++) {
		unsigned int a = 0;

		r = onnx_norm_axis(c, axes[k], rank, &a);
		if (r < 0)
			return r;
		if (set[a])
			return hw_fail(c->err, -EBADMSG, "axis %u is named twice", a);
		set[a] = true;
	}
	return 0;
}

int onnx_broadcast(struct onnx_ctx *c, const struct onnx_tensor *a, const struct onnx_tensor *b,
		   unsigned int *rank, int64_t *dim)
{
	*rank = a->rank > b->rank ? a->rank : b->rank;
	for (unsigned int i = 0; i < *rank; i++) {
		unsigned int pad_a = *rank - a->rank, pad_b = *rank - b->rank;
		int64_t da = i < pad_a ? 1 : a->dim[i - pad_a];
		int64_t db = i < pad_b ? 1 : b->dim[i - pad_b];

		if (da != db && da != 1 && db != 1)
			return hw_fail(c->err, -EBADMSG,
				       "shapes do not broadcast: %lld against %lld in dimension %u",
				       (long long)da, (long long)db, i);
		dim[i] = da == 1 ? db : da;
	}
	return 0;
}

void onnx_strides(const struct onnx_tensor *t, int64_t *stride)
{
	int64_t s = 1;

	for (unsigned int i = t->rank; i-- > 0;) {
		stride[i] = s;
		s *= t->dim[i];
	}
}

void onnx_broadcast_strides(const struct onnx_tensor *t, unsigned int rank, int64_t *stride)
{
	int64_t s = 1;

	for (unsigned int i = rank; i-- > 0;) {
		unsigned int pad = rank - t->rank;

		stride[i] = 0;
		if (i < pad)
			continue;
		if (t->dim[i - pad] != 1)
			stride[i] = s;
		s *= t->dim[i - pad];
	}
}

int onnx_spatial_input(const struct onnx_ctx *c)
{
	const struct onnx_tensor *x = c->in[0];

	if (x->rank < 3)
		return hw_fail(c->err, -EBADMSG, "the input has %u dimensions, not N, C and more",
			       x->rank);
	if (x->rank > 2 + ONNX_SPATIAL_MAX)
		return hw_fail(c->err, -ENOTSUP, "%u spatial dimensions", x->rank - 2);
	return onnx_need_type(c, 0, ONNX_F32);
}

int onnx_kernel_shape(const struct onnx_ctx *c, size_t nd, const int64_t **kernel)
{
	size_t n;

	*kernel = onnx_attr_ints(c, "kernel_shape", &n);
	if (*kernel && n != nd)
		return hw_fail(c->err, -EBADMSG, "kernel_shape has %zu entries, not %zu", n, nd);
	return 0;
}

/* List attribute of @nd entries between @min and the element limit; 1 or 0 where it is absent. */
static int window_attr(const struct onnx_ctx *c, const char *name, size_t nd, int64_t min,
		       int64_t *v)
{
	size_t n;
	const int64_t *a = onnx_attr_ints(c, name, &n);

	for (size_t i = 0; i < nd; i++)
		v[i] = min;
	if (!a || !n)
		return 0;
	if (n != nd)
		return hw_fail(c->err, -EBADMSG, "%s has %zu entries, not %zu", name, n, nd);
	for (size_t i = 0; i < nd; i++) {
		if (a[i] < min || a[i] > ONNX_MAX_ELEMENTS)
			return hw_fail(c->err, -EBADMSG, "%s: %lld", name, (long long)a[i]);
		v[i] = a[i];
	}
	return 0;
}

/*
 * Fill @w from strides, dilations, pads and auto_pad for input 0 (N, C, spatial...), and put the
 * spatial output dimensions into @out_dim.
 */
int onnx_window_shape(const struct onnx_ctx *c, const int64_t *kernel, bool ceil_mode,
		      struct onnx_window *w, int64_t *out_dim)
{
	const struct onnx_tensor *x = c->in[0];
	unsigned int nd = x->rank - 2, skip = ONNX_SPATIAL_MAX - nd;
	const char *mode = onnx_attr_s(c, "auto_pad", "NOTSET");
	bool upper = !strcmp(mode, "SAME_UPPER"), lower = !strcmp(mode, "SAME_LOWER");
	bool valid = !strcmp(mode, "VALID");
	int64_t stride[ONNX_SPATIAL_MAX], dilation[ONNX_SPATIAL_MAX], pads[2 * ONNX_SPATIAL_MAX];
	int r;

	if (!upper && !lower && !valid && strcmp(mode, "NOTSET"))
		return hw_fail(c->err, -ENOTSUP, "auto_pad %s", mode);
	r = window_attr(c, "strides", nd, 1, stride);
	if (!r)
		r = window_attr(c, "dilations", nd, 1, dilation);
	if (!r)
		r = window_attr(c, "pads", 2 * nd, 0, pads);
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < ONNX_SPATIAL_MAX; i++)
		w->in[i] = w->out[i] = w->kernel[i] = w->stride[i] = w->dilation[i] = 1;
	memset(w->lo, 0, sizeof(w->lo));
	memset(w->hi, 0, sizeof(w->hi));
	for (unsigned int i = 0; i < nd; i++) {
		int64_t in = x->dim[i + 2], reach, out, lo, hi, free_len;

		if (kernel[i] < 1 || kernel[i] > ONNX_MAX_ELEMENTS || !in)
			return hw_fail(c->err, -EBADMSG, "a kernel of %lld over %lld elements",
				       (long long)kernel[i], (long long)in);
		reach = dilation[i] * (kernel[i] - 1) + 1;
		lo = upper || lower || valid ? 0 : pads[i];
		hi = upper || lower || valid ? 0 : pads[nd + i];
		if (upper || lower) {
			int64_t total;

			out = (int64_t)ceil_div((uint64_t)in, (uint64_t)stride[i]);
			total = (out - 1) * stride[i] + reach - in;
			total = total > 0 ? total : 0;
			if (total > 2 * ONNX_MAX_ELEMENTS)
				return hw_fail(c->err, -EBADMSG, "kernel reaches too far");
			lo = upper ? total / 2 : total - total / 2;
			hi = total - lo;
		} else {
			free_len = in + lo + hi - reach;
			if (free_len < 0)
				return hw_fail(c->err, -EBADMSG,
					       "the kernel reaches over %lld elements, the padded "
					       "input has %lld", (long long)reach,
					       (long long)(in + lo + hi));
			out = free_len / stride[i] + 1;
			/* A window that would start in the padding behind the input is left out. */
			if (ceil_mode && free_len % stride[i] && out * stride[i] < in + lo)
				out++;
		}
		w->in[skip + i] = in;
		w->out[skip + i] = out_dim[i] = out;
		w->kernel[skip + i] = kernel[i];
		w->stride[skip + i] = stride[i];
		w->dilation[skip + i] = dilation[i];
		w->lo[skip + i] = lo;
		w->hi[skip + i] = hi;
	}
	return 0;
}
