// SPDX-License-Identifier: MIT
/*
 * Between user tensors and DMA bytes (hef-format 6.1 to 6.6): which combinations there are, and what
 * each needs.  Where elements go is layout_pass.c, moving them layout_move.c.
 */
#include <inttypes.h>
#include <stdio.h>

#include "hef/listing.h"
#include "host/layout_internal.h"

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

/* 6.1 */
static bool needs_reorder(const struct host_layout *l)
{
	enum hw_order user = l->user.order, hw = l->hw_order;
	bool same_shape = host_turned_height(l) == l->hw_height && host_turned_width(l) == l->hw_width &&
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
static bool reorder_allowed(const struct host_layout *l)
{
	uint32_t p = l->hw_height, q = l->hw_width, r = l->hw_features;
	uint32_t h = host_turned_height(l), w = host_turned_width(l), c = l->user.features;
	bool inside = h <= p && w <= q && c <= r;
	size_t bytes = host_type_bytes(l->hw_type);

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
		case PAIR(HW_ORDER_12_BIT_BAYER_RGB, HW_ORDER_12_BIT_BAYER_RGB):
			return inside;
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

/* No pass may leave the hardware frame; the tables' conditions should see to that already. */
static bool inside_frame(const struct host_layout *l)
{
	uint64_t elements = (uint64_t)l->hw_height * l->hw_width * l->hw_features;
	struct host_pass p;

	if (!elements)
		return !l->user.elements;
	for (unsigned int i = 0; host_layout_pass(l, i, &p); i++) {
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

static int init_quant(const struct hef_layer *layer, struct host_layout *l, struct hw_error *err)
{
	l->quant = layer->quant;
	if (layer->n_feature_quant && (l->input || same_quant(layer))) {
		l->quant = layer->feature_quant[0];
	} else if (layer->n_feature_quant) {
		l->n_feature_quant = layer->n_feature_quant;
		l->feature_quant = layer->feature_quant;
		return 0;
	}
	if (l->user.type == HW_TYPE_F32 && host_no_quant(&l->quant))
		return hw_fail(err, -ENOTSUP,
			       "layer \"%.100s\" has no quantisation data, so it cannot be "
			       "converted from or to float32; use its own element type",
			       layer->name);
	return 0;
}

static int init_types(const struct hef_layer *layer, enum hw_type type, struct host_layout *l,
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

int host_layout_init(const struct hef_layer *layer, enum hw_type type, enum hw_order order,
		    struct host_layout *out, struct hw_error *err)
{
	struct host_layout l = {.input = layer->input};
	int r;

	if (layer->shape != HEF_SHAPE_INFO)
		return hw_fail(err, -ENOTSUP,
			       "layer \"%.100s\" is made of several streams; each has a layout of "
			       "its own",
			       layer->name);
	if (layer->has_nms)
		return hw_fail(err, -ENOTSUP,
			       "layer \"%.100s\" delivers boxes of an NMS on the chip, which are no "
			       "tensor",
			       layer->name);
	r = init_types(layer, type, &l, err);
	if (r < 0)
		return r;
	l.hw_order = layer->order;
	l.hw_height = layer->hw_height;
	l.hw_width = layer->hw_width;
	l.hw_features = layer->hw_features;
	l.hw_bytes =
	    align_up((uint64_t)l.hw_height * l.hw_width * l.hw_features * host_type_bytes(l.hw_type), 8);
	memcpy(l.user.name, layer->name, sizeof(l.user.name));
	l.user.height = layer->height;
	l.user.width = layer->width;
	l.user.features = layer->features;
	l.user.order = order == HW_ORDER_AUTO ? hef_default_order(layer->order) : order;
	l.user.quant = layer->quant;
	l.user.elements = (size_t)layer->height * layer->width * layer->features;
	l.user.frame_bytes = l.user.elements * host_type_bytes(l.user.type);
	if (l.user.order == HW_ORDER_RGB4)
		l.user.frame_bytes = (size_t)layer->height *
				     align_up((uint64_t)layer->width * layer->features, 4) *
				     host_type_bytes(l.user.type);
	r = init_quant(layer, &l, err);
	if (r < 0)
		return r;
	l.transpose = layer->transposed;
	if (l.transpose && !can_transpose(l.user.order))
		return hw_fail(err, -ENOTSUP,
			       "layer \"%.100s\" is transposed on the chip, and %s frames are not "
			       "transposed by the host",
			       layer->name, hef_order_text(l.user.order));
	l.reorder = needs_reorder(&l);
	if ((l.reorder && !reorder_allowed(&l)) || !inside_frame(&l))
		return hw_fail(err, -ENOTSUP,
			       "layer \"%.100s\": no conversion %s %s %" PRIu32 "x%" PRIu32
			       "x%" PRIu32 " %s the chip's %s %" PRIu32 "x%" PRIu32 "x%" PRIu32,
			       layer->name, l.input ? "from" : "to", hef_order_text(l.user.order),
			       layer->height, layer->width, layer->features,
			       l.input ? "to" : "from", hef_order_text(l.hw_order), l.hw_height,
			       l.hw_width, l.hw_features);
	*out = l;
	return 0;
}
