// SPDX-License-Identifier: MIT
/* Resize, mode nearest. */
#include "onnx/internal.h"

enum { HALF_PIXEL, PYTORCH_HALF_PIXEL, ALIGN_CORNERS, ASYMMETRIC, TF_HALF_PIXEL, CROP };
enum { ROUND_PREFER_FLOOR, ROUND_PREFER_CEIL, FLOOR, CEIL };

static int one_of(const struct onnx_ctx *c, const char *attr, const char *const *names, size_t n,
		  int *out)
{
	const char *s = onnx_attr_s(c, attr, names[0]);

	for (size_t i = 0; i < n; i++)
		if (!strcmp(names[i], s)) {
			*out = (int)i;
			return 0;
		}
	return hw_fail(c->err, -ENOTSUP, "%s %s", attr, s);
}

/* Starts of all axes, then their ends, as parts of the input. */
static int read_roi(struct onnx_ctx *c)
{
	const struct onnx_tensor *roi = onnx_in(c, 1);
	unsigned int n = 2 * c->in[0]->rank;

	if (!roi || !roi->constant || roi->type != ONNX_F32)
		return hw_fail(c->err, -ENOTSUP, "roi must be constant floats");
	if (roi->elements != n)
		return hw_fail(c->err, -EBADMSG, "roi has %zu entries, not %u", roi->elements, n);
	for (unsigned int i = 0; i < n; i++) {
		c->p.resize.roi[i] = ((const float *)roi->data)[i];
		if (!isfinite(c->p.resize.roi[i]))
			return hw_fail(c->err, -EBADMSG, "roi entry %u is not finite", i);
	}
	return 0;
}

int onnx_resize_shape(struct onnx_ctx *c)
{
	static const char *const modes[] = {"nearest"};
	static const char *const coords[] = {"half_pixel", "pytorch_half_pixel", "align_corners",
					     "asymmetric", "tf_half_pixel_for_nn",
					     "tf_crop_and_resize"};
	static const char *const rounds[] = {"round_prefer_floor", "round_prefer_ceil", "floor",
					     "ceil"};
	const struct onnx_tensor *x = c->in[0], *scales = onnx_in(c, c->opset < 11 ? 1 : 2);
	int64_t dim[ONNX_RANK_MAX];
	size_t n;
	int mode, r = one_of(c, "mode", modes, ARRAY_SIZE(modes), &mode);

	if (!r)
		r = one_of(c, "coordinate_transformation_mode", coords, ARRAY_SIZE(coords),
			   &c->p.resize.coord);
	if (!r)
		r = one_of(c, "nearest_mode", rounds, ARRAY_SIZE(rounds), &c->p.resize.nearest);
	if (!r)
		r = onnx_const_ints(c, 3, dim, ARRAY_SIZE(dim), &n);
	if (r < 0)
		return r;
	if (c->opset < 11) { /* defined by its result: the position, rounded down */
		c->p.resize.coord = ASYMMETRIC;
		c->p.resize.nearest = FLOOR;
	}
	if (scales && !scales->elements)
		scales = NULL;
	if (scales && (!scales->constant || scales->type != ONNX_F32))
		return hw_fail(c->err, -ENOTSUP, "scales must be constant floats");
	if (!scales == !n || (scales ? scales->elements : n) != x->rank)
		return hw_fail(c->err, -EBADMSG, "scales or sizes, one of them, for %u dimensions",
			       x->rank);
	r = c->p.resize.coord == CROP ? read_roi(c) : 0;
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < x->rank; i++) {
		float scale, part = 1;

		if (scales) {
			scale = ((const float *)scales->data)[i];
			if (c->p.resize.coord == CROP)
				part = c->p.resize.roi[x->rank + i] - c->p.resize.roi[i];
			if (!(scale > 0) || !(scale * part * (float)x->dim[i] >= 0) ||
			    scale * part * (float)x->dim[i] > (float)ONNX_MAX_ELEMENTS)
				return hw_fail(c->err, -EBADMSG, "scale %u is %g", i,
					       (double)scale);
			dim[i] = (int64_t)floorf((float)x->dim[i] * part * scale);
		} else {
			scale = x->dim[i] ? (float)dim[i] / (float)x->dim[i] : 1;
		}
		if (!x->dim[i] && dim[i])
			return hw_fail(c->err, -EBADMSG, "nothing cannot grow to %lld",
				       (long long)dim[i]);
		c->p.resize.scale[i] = scale;
	}
	r = onnx_out_shape(c, 0, x->type, x->rank, dim);
	for (unsigned int i = 0; i < x->rank && !r && c->out[0]->elements; i++)
		c->scratch_len += (size_t)dim[i] * sizeof(int64_t);
	return r;
}

/*
 * The input position that output position @o of axis @d shows; -1: it is outside, as only
 * tf_crop_and_resize has it.
 */
static int64_t source(const struct onnx_ctx *c, unsigned int d, int64_t o)
{
	int64_t in = c->in[0]->dim[d], out = c->out[0]->dim[d], at;
	float scale = c->p.resize.scale[d], p = 0, top = (float)(in - 1);
	float start = c->p.resize.roi[d], end = c->p.resize.roi[c->in[0]->rank + d];

	switch (c->p.resize.coord) {
	case HALF_PIXEL:
		p = ((float)o + 0.5f) / scale - 0.5f;
		break;
	case PYTORCH_HALF_PIXEL:
		p = out > 1 ? ((float)o + 0.5f) / scale - 0.5f : 0;
		break;
	case ALIGN_CORNERS:
		p = out > 1 ? (float)o * top / (float)(out - 1) : 0;
		break;
	case ASYMMETRIC:
		p = (float)o / scale;
		break;
	case TF_HALF_PIXEL:
		p = ((float)o + 0.5f) / scale;
		break;
	case CROP:
		p = out > 1 ? start * top + (float)o * (end - start) * top / (float)(out - 1)
			    : 0.5f * (start + end) * top;
		if (!(p >= 0 && p <= top))
			return -1;
		break;
	}
	switch (c->p.resize.nearest) {
	case ROUND_PREFER_FLOOR:
		p = ceilf(p - 0.5f);
		break;
	case ROUND_PREFER_CEIL:
		p = floorf(p + 0.5f);
		break;
	case FLOOR:
		p = floorf(p);
		break;
	case CEIL:
		p = ceilf(p);
		break;
	}
	at = p < 0 ? 0 : p > (float)in ? in : (int64_t)p;
	return at >= in ? in - 1 : at;
}

/* One row of the output; @row NULL: there is none in the input. */
static void resize_row(struct onnx_ctx *c, size_t at, const uint8_t *row, const int64_t *table,
		       int64_t n)
{
	struct onnx_tensor *o = c->out[0];
	size_t size = onnx_type_size(o->type);
	uint8_t *to = (uint8_t *)o->data + at * size;

	for (int64_t i = 0; i < n; i++) {
		if (!row || table[i] < 0)
			onnx_store_default(o, at + (size_t)i,
					   (double)onnx_attr_f(c, "extrapolation_value", 0));
		else if (size == sizeof(uint32_t))
			((uint32_t *)to)[i] = ((const uint32_t *)row)[table[i]];
		else
			memcpy(to + (size_t)i * size, row + (size_t)table[i] * size, size);
	}
}

static void resize_rows(struct onnx_ctx *c, size_t from, size_t to)
{
	const struct onnx_tensor *x = c->in[0], *o = c->out[0];
	size_t size = onnx_type_size(x->type);
	unsigned int last = o->rank - 1;
	int64_t stride[ONNX_RANK_MAX];
	const int64_t *end = (const int64_t *)c->scratch;

	onnx_strides(x, stride);
	for (unsigned int d = 0; d < last; d++)
		end += o->dim[d];
	for (size_t i = from; i < to; i++) {
		const int64_t *table = end;
		int64_t at = 0, rest = (int64_t)i;

		for (unsigned int d = last; d-- > 0 && at >= 0;) {
			table -= o->dim[d];
			at = table[rest % o->dim[d]] < 0 ? -1
							 : at + stride[d] * table[rest % o->dim[d]];
			rest /= o->dim[d];
		}
		resize_row(c, i * (size_t)o->dim[last],
			   at < 0 ? NULL : (const uint8_t *)x->data + (size_t)at * size, end,
			   o->dim[last]);
	}
}

int onnx_resize_run(struct onnx_ctx *c)
{
	const struct onnx_tensor *x = c->in[0], *o = c->out[0];
	int64_t *table = c->scratch;

	if (!o->elements)
		return 0;
	if (!o->rank) {
		memcpy(o->data, x->data, onnx_tensor_bytes(o));
		return 0;
	}
	/* What each position of each axis shows, axis after axis. */
	for (unsigned int d = 0; d < o->rank; d++)
		for (int64_t i = 0; i < o->dim[d]; i++)
			*table++ = source(c, d, i);
	onnx_ranges(c, o->elements / (size_t)o->dim[o->rank - 1], o->elements, resize_rows);
	return 0;
}
