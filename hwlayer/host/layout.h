// SPDX-License-Identifier: MIT
/*
 * Host tensors to DMA bytes and back (hef-format 6): quantisation, transposition, reordering,
 * padding.  Pure functions on memory.
 */
#ifndef HWLAYER_HOST_LAYOUT_H
#define HWLAYER_HOST_LAYOUT_H

#include "hef/hef.h"

static inline size_t host_type_bytes(enum hw_type type)
{
	return type == HW_TYPE_F32 ? 4 : type == HW_TYPE_U16 ? 2 : 1;
}

/* 5.5, 6.6: a record of nothing but zeros says that there is none to convert with */
static inline bool host_no_quant(const struct hw_quant *q)
{
	static const struct hw_quant none;

	return !memcmp(q, &none, sizeof(none));
}

/* One direction of one stream, prepared once, applied to every frame. */
struct host_layout {
	struct hw_tensor_info user;
	enum hw_order hw_order;
	enum hw_type hw_type;
	uint32_t hw_height, hw_width, hw_features;
	size_t hw_bytes;    /* ceil8 of the hardware frame */
	bool input;         /* H2D */
	bool transpose;     /* exchange rows and columns (6.3) */
	bool reorder;       /* anything but a contiguous copy (6.1) */
	struct hw_quant quant; /* what f32 values are converted with, when it is one record */
	size_t n_feature_quant; /* 0, or features that are quantised differently */
	const struct hw_quant *feature_quant; /* the layer's; it must outlive the layout */
};

/**
 * host_layout_init - what has to be done between @type/@order and the layer's hardware format
 * @layer: a boundary INFO layer (or a mux leaf); must outlive @out
 *
 * HW_TYPE_AUTO and HW_ORDER_AUTO take the defaults of 5.3 and 6.1.
 * Return: 0, -ENOTSUP (6.1, 6.4: a combination that the rules refuse).
 */
int host_layout_init(const struct hef_layer *layer, enum hw_type type, enum hw_order order,
		    struct host_layout *out, struct hw_error *err);

/* One user frame into one hardware frame of hw_bytes; padding is written as zeros. */
void host_layout_to_hw(const struct host_layout *l, const void *user, void *hw);
/* One hardware frame into one user frame. */
void host_layout_from_hw(const struct host_layout *l, const void *hw, void *user);

/* 6.2, saturating; NaN becomes 0 */
void host_quantize_u8(const float *in, uint8_t *out, size_t n, const struct hw_quant *q);
void host_quantize_u16(const float *in, uint16_t *out, size_t n, const struct hw_quant *q);
/* 6.6 */
void host_dequantize_u8(const uint8_t *in, float *out, size_t n, const struct hw_quant *q);
void host_dequantize_u16(const uint16_t *in, float *out, size_t n, const struct hw_quant *q);

#endif
