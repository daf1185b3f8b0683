// SPDX-License-Identifier: MIT
/* Where the elements of a frame go (hef-format 6.3 to 6.5). */
#include "host/layout_internal.h"

static void linear(const struct host_layout *l, struct host_pass *out)
{
	*out = (struct host_pass){
	    .n = {1, 1, l->user.elements},
	    .d = {0, 0, 1},
	    .feature_dim = -1,
	};
}

/* Rows of luma and chroma: @index 0 is Y, then UV (NV12, NV21) or U and V (I420) */
static bool yuv_pass(const struct host_layout *l, unsigned int index, struct host_pass *out)
{
	size_t w = l->user.width, q = l->hw_width;
	size_t all = (size_t)l->user.height * l->user.features;
	size_t luma = all / 3 * 2;
	bool i420 = l->user.order == HW_ORDER_I420;
	ptrdiff_t group = (ptrdiff_t)(3 * q); /* two rows of luma and their chroma */

	*out = (struct host_pass){.feature_dim = -1};
	if (index == 0) {
		memcpy(out->n, (size_t[]){luma / 2, 2, w}, sizeof(out->n));
		memcpy(out->u, (size_t[]){2 * w, w}, sizeof(out->u));
		memcpy(out->d, (ptrdiff_t[]){group, (ptrdiff_t)q, 1}, sizeof(out->d));
		return true;
	}
	if (index > (i420 ? 2 : 1))
		return false;
	w = i420 ? w / 2 : w;
	out->user = (size_t)l->user.width * luma + (index - 1) * (luma / 2) * w;
	out->hw = 2 * q + (index - 1) * (q / 2);
	memcpy(out->n, (size_t[]){luma / 2, 1, w}, sizeof(out->n));
	memcpy(out->u, (size_t[]){w, w}, sizeof(out->u));
	memcpy(out->d, (ptrdiff_t[]){group, 0, 1}, sizeof(out->d));
	return true;
}

/* Hardware strides of rows, columns and features */
struct strides {
	ptrdiff_t row, column, feature;
	size_t first;
};

static struct strides hw_strides(const struct host_layout *l)
{
	ptrdiff_t q = l->hw_width, r = l->hw_features;

	if (!l->reorder) /* the user's own order in the hardware's orientation */
		return (struct strides){(ptrdiff_t)host_turned_width(l) * l->user.features,
					l->user.features, 1, 0};
	switch (l->hw_order) {
	case HW_ORDER_NHCW:
		return (struct strides){q * r, 1, q, 0};
	case HW_ORDER_F8CR:
		return (struct strides){q * r, 8, 1, 0};
	case HW_ORDER_RGB888: /* channels reversed */
		return (struct strides){q * r, 4, -1, 2};
	case HW_ORDER_NHW:
		return (struct strides){q, 1, 0, 0};
	case HW_ORDER_NHWC:
	case HW_ORDER_BAYER_RGB:
	case HW_ORDER_12_BIT_BAYER_RGB:
		/* The reference copies a row of user pixels as it is on the way in. */
		return (struct strides){q * r, l->input ? (ptrdiff_t)l->user.features : r, 1, 0};
	default:
		return (struct strides){q * r, r, 1, 0};
	}
}

bool host_layout_pass(const struct host_layout *l, unsigned int index, struct host_pass *out)
{
	size_t h = l->user.height, w = l->user.width, c = l->user.features;
	size_t skip = 0, row_elements = w * c;
	ptrdiff_t row, column;
	struct strides s;

	/* Rows of nothing need not be counted, there may be 2^64; nor have they strides that fit. */
	if (!l->user.elements || !l->hw_bytes)
		return false;
	s = hw_strides(l);
	row = l->transpose ? s.column : s.row;
	column = l->transpose ? s.row : s.column;
	if (l->user.order == HW_ORDER_NV12 || l->user.order == HW_ORDER_NV21 ||
	    l->user.order == HW_ORDER_I420) {
		if (l->reorder)
			return yuv_pass(l, index, out);
	}
	if (l->reorder && l->hw_order == HW_ORDER_F8CR) {
		/* Groups of eight features; the last may be short. */
		skip = (size_t)index * 8;
		if (skip >= c)
			return false;
		c = c - skip < 8 ? c - skip : 8;
	} else if (index) {
		return false;
	}
	/* Uniform quantisation makes features matter only where elements change places. */
	if (l->reorder ? l->hw_order == HW_ORDER_YUY2
		       : !l->transpose && !l->n_feature_quant && l->user.order != HW_ORDER_RGB4) {
		linear(l, out);
		return true;
	}
	*out = (struct host_pass){
	    .user = skip,
	    .hw = s.first + skip * l->hw_width,
	    .feature = skip,
	};
	switch (l->user.order) {
	case HW_ORDER_NC:
		memcpy(out->n, (size_t[]){1, 1, l->reorder ? c : l->user.elements}, sizeof(out->n));
		out->d[2] = 1;
		out->feature_dim = 2;
		break;
	case HW_ORDER_NHCW:
		if (!l->reorder)
			s = (struct strides){(ptrdiff_t)(w * c), 1, (ptrdiff_t)w, 0};
		memcpy(out->n, (size_t[]){h, c, w}, sizeof(out->n));
		memcpy(out->u, (size_t[]){c * w, w}, sizeof(out->u));
		memcpy(out->d, (ptrdiff_t[]){s.row, s.feature, s.column}, sizeof(out->d));
		out->feature_dim = 1;
		break;
	case HW_ORDER_NCHW:
		memcpy(out->n, (size_t[]){c, h, w}, sizeof(out->n));
		memcpy(out->u, (size_t[]){h * w, w}, sizeof(out->u));
		memcpy(out->d, (ptrdiff_t[]){s.feature, s.row, s.column}, sizeof(out->d));
		out->feature_dim = 0;
		break;
	default: /* whole pixels, row by row */
		if (l->user.order == HW_ORDER_RGB4)
			row_elements = align_up(row_elements, 4);
		memcpy(out->n, (size_t[]){h, w, c}, sizeof(out->n));
		memcpy(out->u, (size_t[]){row_elements, l->user.features}, sizeof(out->u));
		memcpy(out->d, (ptrdiff_t[]){row, column, s.feature}, sizeof(out->d));
		out->feature_dim = 2;
		break;
	}
	return true;
}
