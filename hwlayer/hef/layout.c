// SPDX-License-Identifier: MIT
/*
 * Between user tensors and DMA bytes (hef-format 6.1 to 6.6).
 *
 * Every listed combination is one to three boxes ("passes") of elements: three nested counts with
 * strides on both sides, the innermost one contiguous on the user's side.  Transposition exchanges
 * two strides and costs nothing more.  Elements travel in chunks: contiguous user elements are
 * converted with the loops of quant.c, then scattered, or gathered first on the way back.
 */
#include <inttypes.h>
#include <stdio.h>

#include "hef/layout.h"

#define CHUNK 1024 /* elements converted at a time; lives on the stack */

struct pass {
	size_t user, hw; /* first element on either side */
	size_t n[3];
	size_t u[2];	 /* user strides of the outer two */
	ptrdiff_t d[3];	 /* hardware strides */
	int feature_dim; /* which of the three runs over features */
	size_t feature;	 /* the one it starts with */
};

static size_t type_bytes(enum hw_type type)
{
	switch (type) {
	case HW_TYPE_U16:
		return 2;
	case HW_TYPE_F32:
		return 4;
	default:
		return 1;
	}
}

static const char *order_name(enum hw_order order)
{
	static const char *const names[] = {
	    [HW_ORDER_AUTO] = "AUTO",
	    [HW_ORDER_NHWC] = "NHWC",
	    [HW_ORDER_NHCW] = "NHCW",
	    [HW_ORDER_FCR] = "FCR",
	    [HW_ORDER_F8CR] = "F8CR",
	    [HW_ORDER_NHW] = "NHW",
	    [HW_ORDER_NC] = "NC",
	    [HW_ORDER_BAYER_RGB] = "BAYER_RGB",
	    [HW_ORDER_12_BIT_BAYER_RGB] = "12_BIT_BAYER_RGB",
	    [HW_ORDER_RGB888] = "RGB888",
	    [HW_ORDER_NCHW] = "NCHW",
	    [HW_ORDER_YUY2] = "YUY2",
	    [HW_ORDER_NV12] = "NV12",
	    [HW_ORDER_NV21] = "NV21",
	    [HW_ORDER_HAILO_YYUV] = "YYUV",
	    [HW_ORDER_HAILO_YYVU] = "YYVU",
	    [HW_ORDER_RGB4] = "RGB4",
	    [HW_ORDER_I420] = "I420",
	    [HW_ORDER_HAILO_YYYYUV] = "YYYYUV",
	    [HW_ORDER_HAILO_NMS_ON_CHIP] = "NMS_ON_CHIP",
	    [HW_ORDER_HAILO_NMS_BY_CLASS] = "NMS_BY_CLASS",
	};

	return order < ARRAY_SIZE(names) && names[order] ? names[order] : "unknown";
}

/* 5.3, last column */
enum hw_order hef_default_order(enum hw_order hw)
{
	switch (hw) {
	case HW_ORDER_NHCW:
	case HW_ORDER_RGB888:
		return HW_ORDER_NHWC;
	case HW_ORDER_HAILO_NMS_ON_CHIP:
		return HW_ORDER_HAILO_NMS_BY_CLASS;
	case HW_ORDER_HAILO_YYUV:
		return HW_ORDER_NV12;
	case HW_ORDER_HAILO_YYVU:
		return HW_ORDER_NV21;
	case HW_ORDER_HAILO_YYYYUV:
		return HW_ORDER_I420;
	default:
		return hw;
	}
}

/* ------------------------------------------------------------------- rules */

/* 6.3 */
static bool can_transpose(enum hw_order user)
{
	switch (user) {
	case HW_ORDER_NHWC:
	case HW_ORDER_RGB4:
	case HW_ORDER_NHW:
	case HW_ORDER_BAYER_RGB:
	case HW_ORDER_12_BIT_BAYER_RGB:
	case HW_ORDER_FCR:
	case HW_ORDER_F8CR:
		return true;
	default:
		return false;
	}
}

/* The user's shape in the hardware's orientation */
static uint32_t turned_height(const struct hef_layout *l)
{
	return l->transpose ? l->user.width : l->user.height;
}

static uint32_t turned_width(const struct hef_layout *l)
{
	return l->transpose ? l->user.height : l->user.width;
}

/* 6.1 */
static bool needs_reorder(const struct hef_layout *l)
{
	enum hw_order user = l->user.order, hw = l->hw_order;
	bool same_shape = turned_height(l) == l->hw_height && turned_width(l) == l->hw_width &&
			  l->user.features == l->hw_features;

	if (l->user.features == 1 && same_shape &&
	    ((user == HW_ORDER_NHCW && (hw == HW_ORDER_NHWC || hw == HW_ORDER_FCR)) ||
	     (hw == HW_ORDER_NHCW && (user == HW_ORDER_NHWC || user == HW_ORDER_FCR))))
		return false;
	if (!same_shape || user != hw)
		return true;
	/* Equal orders: whichever side is the source */
	return user == HW_ORDER_F8CR && l->user.features > 8;
}

#define PAIR(user, hw) ((user) << 8 | (hw))

/* The conditions of the tables 6.4 and 6.5; what they leave undefined is refused, too. */
static bool reorder_allowed(const struct hef_layout *l)
{
	uint32_t p = l->hw_height, q = l->hw_width, r = l->hw_features;
	uint32_t h = turned_height(l), w = turned_width(l), c = l->user.features;
	bool inside = h <= p && w <= q && c <= r;
	size_t bytes = type_bytes(l->hw_type);

	if (l->input) {
		switch (PAIR(l->user.order, l->hw_order)) {
		case PAIR(HW_ORDER_NHWC, HW_ORDER_NHCW):
		case PAIR(HW_ORDER_NHCW, HW_ORDER_NHCW):
		case PAIR(HW_ORDER_NHWC, HW_ORDER_NHWC):
		case PAIR(HW_ORDER_NHWC, HW_ORDER_FCR):
		case PAIR(HW_ORDER_FCR, HW_ORDER_FCR):
		case PAIR(HW_ORDER_RGB4, HW_ORDER_NHWC):
		case PAIR(HW_ORDER_RGB4, HW_ORDER_NHCW):
			return inside;
		case PAIR(HW_ORDER_NC, HW_ORDER_NC):
			return inside && h == 1 && w == 1;
		case PAIR(HW_ORDER_NCHW, HW_ORDER_NHCW):
			return c == r && h == p && w <= q && q * bytes % 8 == 0;
		case PAIR(HW_ORDER_BAYER_RGB, HW_ORDER_BAYER_RGB):
			return inside && c == 1;
		case PAIR(HW_ORDER_NHWC, HW_ORDER_F8CR):
		case PAIR(HW_ORDER_F8CR, HW_ORDER_F8CR):
			return inside && r % 8 == 0;
		case PAIR(HW_ORDER_NHWC, HW_ORDER_RGB888):
			return inside && c == 3 && r == 4;
		case PAIR(HW_ORDER_YUY2, HW_ORDER_YUY2):
			return (uint64_t)h * w * c <= (uint64_t)p * q * r &&
			       (uint64_t)h * w * c * bytes % 8 == 0;
		case PAIR(HW_ORDER_NV12, HW_ORDER_HAILO_YYUV):
		case PAIR(HW_ORDER_NV21, HW_ORDER_HAILO_YYVU):
		case PAIR(HW_ORDER_I420, HW_ORDER_HAILO_YYYYUV):
			return (uint64_t)h * c % 3 == 0 && w % 2 == 0 && w <= q && q % 2 == 0 &&
			       (uint64_t)h * c <= (uint64_t)p * r;
		default:
			return false;
		}
	}
	switch (PAIR(l->user.order, l->hw_order)) {
	case PAIR(HW_ORDER_NHWC, HW_ORDER_NHCW):
	case PAIR(HW_ORDER_NHWC, HW_ORDER_NHWC):
	case PAIR(HW_ORDER_FCR, HW_ORDER_FCR):
	case PAIR(HW_ORDER_NHWC, HW_ORDER_FCR):
		return inside;
	case PAIR(HW_ORDER_NC, HW_ORDER_NC):
		return inside && h == 1 && w == 1;
	case PAIR(HW_ORDER_F8CR, HW_ORDER_F8CR):
	case PAIR(HW_ORDER_NHWC, HW_ORDER_F8CR):
		return inside && r % 8 == 0;
	case PAIR(HW_ORDER_NCHW, HW_ORDER_NHCW):
		return c == r && h == p && w <= q && q * bytes % 8 == 0;
	case PAIR(HW_ORDER_NHW, HW_ORDER_NHW):
		return inside && c == 1;
	case PAIR(HW_ORDER_BAYER_RGB, HW_ORDER_BAYER_RGB):
	case PAIR(HW_ORDER_NCHW, HW_ORDER_NHW):
		return inside && c == 1 && r == 1;
	default:
		return false;
	}
}

/* ------------------------------------------------------------------ passes */

static void linear(const struct hef_layout *l, struct pass *out)
{
	*out = (struct pass){
	    .n = {1, 1, l->user.elements},
	    .d = {0, 0, 1},
	    .feature_dim = -1,
	};
}

/* Rows of luma and chroma: @index 0 is Y, then UV (NV12, NV21) or U and V (I420) */
static bool yuv_pass(const struct hef_layout *l, unsigned int index, struct pass *out)
{
	size_t w = l->user.width, q = l->hw_width;
	size_t all = (size_t)l->user.height * l->user.features;
	size_t luma = all / 3 * 2;
	bool i420 = l->user.order == HW_ORDER_I420;
	ptrdiff_t group = (ptrdiff_t)(3 * q); /* two rows of luma and their chroma */

	*out = (struct pass){.feature_dim = -1};
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

static struct strides hw_strides(const struct hef_layout *l)
{
	ptrdiff_t q = l->hw_width, r = l->hw_features;

	if (!l->reorder) /* the user's own order in the hardware's orientation */
		return (struct strides){(ptrdiff_t)turned_width(l) * l->user.features,
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
		/* The reference copies a row of user pixels as it is on the way in. */
		return (struct strides){q * r, l->input ? (ptrdiff_t)l->user.features : r, 1, 0};
	default:
		return (struct strides){q * r, r, 1, 0};
	}
}

/* The @index-th box of elements to move; false when there are no more. */
static bool get_pass(const struct hef_layout *l, unsigned int index, struct pass *out)
{
	size_t h = l->user.height, w = l->user.width, c = l->user.features;
	struct strides s = hw_strides(l);
	ptrdiff_t row = l->transpose ? s.column : s.row;
	ptrdiff_t column = l->transpose ? s.row : s.column;
	size_t skip = 0, row_elements = w * c;

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
	if (l->hw_order == HW_ORDER_YUY2 || (!l->reorder && !l->transpose && !l->n_feature_quant &&
					     l->user.order != HW_ORDER_RGB4)) {
		linear(l, out);
		return true;
	}
	*out = (struct pass){
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

/* No pass may leave the hardware frame; the tables' conditions should see to that already. */
static bool inside_frame(const struct hef_layout *l)
{
	uint64_t elements = (uint64_t)l->hw_height * l->hw_width * l->hw_features;
	struct pass p;

	for (unsigned int i = 0; get_pass(l, i, &p); i++) {
		int64_t low = (int64_t)p.hw, high = (int64_t)p.hw;

		if (!p.n[0] || !p.n[1] || !p.n[2])
			continue;
		for (int k = 0; k < 3; k++) {
			int64_t reach = (int64_t)(p.n[k] - 1) * p.d[k];

			low += reach < 0 ? reach : 0;
			high += reach > 0 ? reach : 0;
		}
		if (low < 0 || (uint64_t)high >= elements)
			return false;
	}
	return true;
}

/* -------------------------------------------------------------------- init */

static bool same_quant(const struct hef_layer *layer)
{
	for (size_t i = 1; i < layer->n_feature_quant; i++) {
		if (memcmp(&layer->feature_quant[i], &layer->feature_quant[0],
			   sizeof(layer->feature_quant[i])))
			return false;
	}
	return true;
}

static int init_quant(const struct hef_layer *layer, struct hef_layout *l, struct hw_error *err)
{
	static const struct hw_quant invalid;

	l->quant = layer->quant;
	if (layer->n_feature_quant && (l->input || same_quant(layer))) {
		l->quant = layer->feature_quant[0];
	} else if (layer->n_feature_quant) {
		l->n_feature_quant = layer->n_feature_quant;
		l->feature_quant = layer->feature_quant;
		return 0;
	}
	if (l->user.type == HW_TYPE_F32 && !memcmp(&l->quant, &invalid, sizeof(invalid)))
		return hw_fail(err, -ENOTSUP,
			       "layer \"%.100s\" has no quantisation data, so it cannot be "
			       "converted from or to float32; use its own element type",
			       layer->name);
	return 0;
}

static int init_types(const struct hef_layer *layer, enum hw_type type, struct hef_layout *l,
		      struct hw_error *err)
{
	l->hw_type = layer->data_bytes == 2 ? HW_TYPE_U16 : HW_TYPE_U8;
	l->user.type = type == HW_TYPE_AUTO ? l->hw_type : type;
	if (l->user.type != HW_TYPE_U8 && l->user.type != HW_TYPE_U16 &&
	    l->user.type != HW_TYPE_F32)
		return hw_fail(err, -ENOTSUP, "element type %d is not known", (int)type);
	if (l->input ? l->user.type == HW_TYPE_U16 && l->hw_type == HW_TYPE_U8
		     : l->user.type == HW_TYPE_U8 && l->hw_type == HW_TYPE_U16)
		return hw_fail(err, -ENOTSUP,
			       "layer \"%.100s\": 16-bit elements are not narrowed to 8 bits",
			       layer->name);
	return 0;
}

int hef_layout_init(const struct hef_layer *layer, enum hw_type type, enum hw_order order,
		    struct hef_layout *out, struct hw_error *err)
{
	struct hef_layout l = {.input = layer->input};
	int r;

	if (layer->shape != HEF_SHAPE_INFO)
		return hw_fail(err, -ENOTSUP,
			       "layer \"%.100s\" is made of several streams; each has a layout of "
			       "its own",
			       layer->name);
	if (layer->has_nms)
		return hw_fail(
		    err, -ENOTSUP,
		    "layer \"%.100s\" delivers boxes of an NMS on the chip, which are not "
		    "converted yet",
		    layer->name);
	r = init_types(layer, type, &l, err);
	if (r < 0)
		return r;
	l.hw_order = layer->order;
	l.hw_height = layer->hw_height;
	l.hw_width = layer->hw_width;
	l.hw_features = layer->hw_features;
	l.hw_bytes =
	    align_up((uint64_t)l.hw_height * l.hw_width * l.hw_features * type_bytes(l.hw_type), 8);
	memcpy(l.user.name, layer->name, sizeof(l.user.name));
	l.user.height = layer->height;
	l.user.width = layer->width;
	l.user.features = layer->features;
	l.user.order = order == HW_ORDER_AUTO ? hef_default_order(layer->order) : order;
	l.user.quant = layer->quant;
	l.user.elements = (size_t)layer->height * layer->width * layer->features;
	l.user.frame_bytes = l.user.elements * type_bytes(l.user.type);
	if (l.user.order == HW_ORDER_RGB4)
		l.user.frame_bytes = (size_t)layer->height *
				     align_up((uint64_t)layer->width * layer->features, 4) *
				     type_bytes(l.user.type);
	r = init_quant(layer, &l, err);
	if (r < 0)
		return r;
	l.transpose = layer->transposed;
	if (l.transpose && !can_transpose(l.user.order))
		return hw_fail(err, -ENOTSUP,
			       "layer \"%.100s\" is transposed on the chip, and %s frames are not "
			       "transposed by the host",
			       layer->name, order_name(l.user.order));
	l.reorder = needs_reorder(&l);
	if ((l.reorder && !reorder_allowed(&l)) || !inside_frame(&l))
		return hw_fail(err, -ENOTSUP,
			       "layer \"%.100s\": no conversion %s %s %" PRIu32 "x%" PRIu32
			       "x%" PRIu32 " %s the chip's %s %" PRIu32 "x%" PRIu32 "x%" PRIu32,
			       layer->name, l.input ? "from" : "to", order_name(l.user.order),
			       layer->height, layer->width, layer->features,
			       l.input ? "to" : "from", order_name(l.hw_order), l.hw_height,
			       l.hw_width, l.hw_features);
	*out = l;
	return 0;
}

/* ---------------------------------------------------------------- elements */

/*
 * A block of @rows times @cols elements: contiguous on one side, with strides on the other.  The
 * loop that walks neighbouring hardware elements goes inside.
 */
#define DEFINE_BLOCKS(type, suffix)                                                                \
	static void scatter_##suffix(const type *restrict from, type *restrict hw, size_t rows,    \
				     size_t cols, ptrdiff_t drow, ptrdiff_t dcol)                  \
	{                                                                                          \
		if (drow == 1) {                                                                   \
			for (size_t k = 0; k < cols; k++)                                          \
				for (size_t j = 0; j < rows; j++)                                  \
					hw[(ptrdiff_t)k * dcol + (ptrdiff_t)j] =                   \
					    from[j * cols + k];                                    \
			return;                                                                    \
		}                                                                                  \
		for (size_t j = 0; j < rows; j++)                                                  \
			for (size_t k = 0; k < cols; k++)                                          \
				hw[(ptrdiff_t)j * drow + (ptrdiff_t)k * dcol] =                    \
				    from[j * cols + k];                                            \
	}                                                                                          \
	static void gather_##suffix(const type *restrict hw, type *restrict to, size_t rows,       \
				    size_t cols, ptrdiff_t drow, ptrdiff_t dcol)                   \
	{                                                                                          \
		if (drow == 1) {                                                                   \
			for (size_t k = 0; k < cols; k++)                                          \
				for (size_t j = 0; j < rows; j++)                                  \
					to[j * cols + k] = hw[(ptrdiff_t)k * dcol + (ptrdiff_t)j]; \
			return;                                                                    \
		}                                                                                  \
		for (size_t j = 0; j < rows; j++)                                                  \
			for (size_t k = 0; k < cols; k++)                                          \
				to[j * cols + k] = hw[(ptrdiff_t)j * drow + (ptrdiff_t)k * dcol];  \
	}

DEFINE_BLOCKS(uint8_t, u8)
DEFINE_BLOCKS(uint16_t, u16)

/* One block of a pass, as its mover gets it. */
struct block {
	size_t user;  /* first element on the user's side, contiguous from there */
	ptrdiff_t hw; /* first element on the hardware's side */
	size_t rows, cols;
	ptrdiff_t drow, dcol;
	int feature_dim; /* 1: rows are features; 2: columns are; else one feature or none */
	size_t feature;	 /* of the block's first element */
};

static bool is_contiguous(const struct block *b)
{
	return (b->cols == 1 || b->dcol == 1) && (b->rows == 1 || b->drow == (ptrdiff_t)b->cols);
}

/* Contiguous user elements to hardware elements */
static void convert_in(const struct hef_layout *l, const void *user, size_t first, void *to,
		       size_t n)
{
	const uint8_t *bytes = (const uint8_t *)user + first * type_bytes(l->user.type);

	if (l->user.type == l->hw_type) {
		memcpy(to, bytes, n * type_bytes(l->hw_type));
	} else if (l->user.type == HW_TYPE_U8) {
		for (size_t i = 0; i < n; i++)
			((uint16_t *)to)[i] = bytes[i];
	} else if (l->hw_type == HW_TYPE_U8) {
		hef_quantize_u8((const float *)(const void *)bytes, to, n, &l->quant);
	} else {
		hef_quantize_u16((const float *)(const void *)bytes, to, n, &l->quant);
	}
}

static void block_in(const struct hef_layout *l, const void *user, void *hw, const struct block *b)
{
	size_t n = b->rows * b->cols, size = type_bytes(l->hw_type);
	uint8_t *at = (uint8_t *)hw + b->hw * (ptrdiff_t)size;
	_Alignas(16) uint8_t tmp[CHUNK * sizeof(uint16_t)];
	const void *from = tmp;

	if (is_contiguous(b)) {
		convert_in(l, user, b->user, at, n);
		return;
	}
	if (l->user.type == l->hw_type)
		from = (const uint8_t *)user + b->user * size;
	else
		convert_in(l, user, b->user, tmp, n);
	if (size == 1)
		scatter_u8(from, at, b->rows, b->cols, b->drow, b->dcol);
	else
		scatter_u16(from, (uint16_t *)(void *)at, b->rows, b->cols, b->drow, b->dcol);
}

static void dequantize(const struct hef_layout *l, const void *from, float *to, size_t n,
		       const struct hw_quant *q)
{
	if (l->hw_type == HW_TYPE_U8)
		hef_dequantize_u8(from, to, n, q);
	else
		hef_dequantize_u16(from, to, n, q);
}

/* 6.6 */
static void convert_out_f32(const struct hef_layout *l, const void *from, float *to,
			    const struct block *b)
{
	static const struct hw_quant plain = {.scale = 1.0f};
	size_t size = type_bytes(l->hw_type);
	const uint8_t *at = from;

	if (l->user.order == HW_ORDER_NHW || !l->n_feature_quant) {
		/* NHW holds indexes of an argmax, not real values */
		dequantize(l, from, to, b->rows * b->cols,
			   l->user.order == HW_ORDER_NHW ? &plain : &l->quant);
		return;
	}
	for (size_t j = 0; j < b->rows; j++) {
		size_t f = b->feature + (b->feature_dim == 1 ? j : 0);

		if (b->feature_dim != 2) {
			dequantize(l, at, to, b->cols, &l->feature_quant[f % l->n_feature_quant]);
			at += b->cols * size;
			to += b->cols;
			continue;
		}
		for (size_t k = 0; k < b->cols; k++, at += size, to++)
			dequantize(l, at, to, 1, &l->feature_quant[(f + k) % l->n_feature_quant]);
	}
}

static void convert_out(const struct hef_layout *l, const void *from, void *user,
			const struct block *b)
{
	uint8_t *to = (uint8_t *)user + b->user * type_bytes(l->user.type);
	size_t n = b->rows * b->cols;

	if (l->user.type == l->hw_type) {
		memcpy(to, from, n * type_bytes(l->hw_type));
	} else if (l->user.type == HW_TYPE_U16) {
		for (size_t i = 0; i < n; i++)
			((uint16_t *)(void *)to)[i] = ((const uint8_t *)from)[i];
	} else {
		convert_out_f32(l, from, (float *)(void *)to, b);
	}
}

static void block_out(const struct hef_layout *l, const void *hw, void *user, const struct block *b)
{
	size_t size = type_bytes(l->hw_type);
	const uint8_t *at = (const uint8_t *)hw + b->hw * (ptrdiff_t)size;
	_Alignas(16) uint8_t tmp[CHUNK * sizeof(uint16_t)];
	bool direct = l->user.type == l->hw_type;
	void *to = direct ? (void *)((uint8_t *)user + b->user * size) : (void *)tmp;

	if (is_contiguous(b)) {
		convert_out(l, at, user, b);
		return;
	}
	if (size == 1)
		gather_u8(at, to, b->rows, b->cols, b->drow, b->dcol);
	else
		gather_u16((const uint16_t *)(const void *)at, to, b->rows, b->cols, b->drow,
			   b->dcol);
	if (!direct)
		convert_out(l, tmp, user, b);
}

/* A pass in blocks of whole inner runs, as many as fit, or of pieces of one run. */
static void run_pass(const struct hef_layout *l, const struct pass *p, const void *from, void *to)
{
	bool joined = p->u[1] == p->n[2]; /* the middle rows follow each other without a gap */
	size_t at_once = joined && p->n[2] && p->n[2] <= CHUNK ? CHUNK / p->n[2] : 1;

	for (size_t i = 0; i < p->n[0]; i++) {
		for (size_t j = 0, step; j < p->n[1]; j += step) {
			step = p->n[1] - j < at_once ? p->n[1] - j : at_once;
			for (size_t k = 0, run; k < p->n[2]; k += run) {
				struct block b = {
				    .user = p->user + i * p->u[0] + j * p->u[1] + k,
				    .hw = (ptrdiff_t)p->hw + (ptrdiff_t)i * p->d[0] +
					  (ptrdiff_t)j * p->d[1] + (ptrdiff_t)k * p->d[2],
				    .rows = step,
				    .drow = p->d[1],
				    .dcol = p->d[2],
				    .feature_dim = p->feature_dim,
				    .feature = p->feature + (p->feature_dim == 0 ? i : 0) +
					       (p->feature_dim == 1 ? j : 0) +
					       (p->feature_dim == 2 ? k : 0),
				};

				run = p->n[2] - k < CHUNK ? p->n[2] - k : CHUNK;
				b.cols = run;
				if (l->input)
					block_in(l, from, to, &b);
				else
					block_out(l, from, to, &b);
			}
		}
	}
}

void hef_layout_to_hw(const struct hef_layout *l, const void *user, void *hw)
{
	size_t size = type_bytes(l->hw_type), written = 0;
	bool from_start = true;
	struct pass p;

	for (unsigned int i = 0; get_pass(l, i, &p); i++) {
		written += p.n[0] * p.n[1] * p.n[2];
		from_start = p.n[0] == 1 && p.n[1] == 1 && p.d[2] == 1 && p.hw == 0;
	}
	/* Everything that no element covers is zero; often that is nothing, or only the tail. */
	if (written * size != l->hw_bytes) {
		size_t clean = from_start ? written * size : 0;

		memset((uint8_t *)hw + clean, 0, l->hw_bytes - clean);
	}
	for (unsigned int i = 0; get_pass(l, i, &p); i++)
		run_pass(l, &p, user, hw);
}

void hef_layout_from_hw(const struct hef_layout *l, const void *hw, void *user)
{
	struct pass p;

	for (unsigned int i = 0; get_pass(l, i, &p); i++)
		run_pass(l, &p, hw, user);
}
