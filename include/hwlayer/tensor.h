/* SPDX-License-Identifier: MIT */
/**
 * DOC: tensors
 *
 * What the user of a network hands in and gets back.  Knows no device.
 */
#ifndef HWLAYER_TENSOR_H
#define HWLAYER_TENSOR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HW_NAME_MAX 128 /* bytes of a stream or vstream name, with its NUL */

/* Element types, numbered as in HEF files and the vendor's API. */
enum hw_type {
	HW_TYPE_AUTO = 0, /* the element type of the hardware stream */
	HW_TYPE_U8 = 1,
	HW_TYPE_U16 = 2,
	HW_TYPE_F32 = 3,
};

/* Element orders, numbered as in the vendor's API (spec hef-format 5.3). */
enum hw_order {
	HW_ORDER_AUTO = 0, /* the default user order of the hardware order */
	HW_ORDER_NHWC = 1,
	HW_ORDER_NHCW = 2,
	HW_ORDER_FCR = 3,
	HW_ORDER_F8CR = 4,
	HW_ORDER_NHW = 5,
	HW_ORDER_NC = 6,
	HW_ORDER_BAYER_RGB = 7,
	HW_ORDER_12_BIT_BAYER_RGB = 8,
	HW_ORDER_HAILO_NMS = 9,
	HW_ORDER_RGB888 = 10,
	HW_ORDER_NCHW = 11,
	HW_ORDER_YUY2 = 12,
	HW_ORDER_NV12 = 13,
	HW_ORDER_NV21 = 14,
	HW_ORDER_HAILO_YYUV = 15,
	HW_ORDER_HAILO_YYVU = 16,
	HW_ORDER_RGB4 = 17,
	HW_ORDER_I420 = 18,
	HW_ORDER_HAILO_YYYYUV = 19,
	HW_ORDER_HAILO_NMS_WITH_BYTE_MASK = 20,
	HW_ORDER_HAILO_NMS_ON_CHIP = 21,
	HW_ORDER_HAILO_NMS_BY_CLASS = 22,
	HW_ORDER_HAILO_NMS_BY_SCORE = 23,
};

/**
 * struct hw_quant - affine quantisation of one tensor
 * @zero_point: stored value that means 0.0
 * @scale: real step between two stored values
 * @lim_min: real values below are clipped to it before quantising
 * @lim_max: real values above are clipped to it before quantising
 *
 * real = (stored - zero_point) * scale.  With scale 1 and zero point 0 (identity) nothing is
 * clipped to the limits; conversion to the stored type always saturates.
 */
struct hw_quant {
	float zero_point;
	float scale;
	float lim_min;
	float lim_max;
};

/**
 * struct hw_tensor_info - one input or output of a network, as the user sees it
 * @name: vstream name
 * @height: rows of the user shape
 * @width: columns of the user shape
 * @features: channels of the user shape
 * @type: element type the user hands in or gets
 * @order: element order the user hands in or gets
 * @quant: the stream's quantisation; applied by the library when @type is HW_TYPE_F32 and the
 *         hardware's is not
 * @elements: height * width * features
 * @frame_bytes: bytes of one user frame
 */
struct hw_tensor_info {
	char name[HW_NAME_MAX];
	uint32_t height, width, features;
	enum hw_type type;
	enum hw_order order;
	struct hw_quant quant;
	size_t elements;
	size_t frame_bytes;
};

#ifdef __cplusplus
}
#endif
#endif
