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

/**
 * enum hw_type - element types, numbered as in HEF files and the vendor's API
 * @HW_TYPE_AUTO: the element type of the hardware stream; never in &struct hw_tensor_info
 * @HW_TYPE_U8: unsigned 8-bit integer
 * @HW_TYPE_U16: unsigned 16-bit integer, host byte order
 * @HW_TYPE_F32: 32-bit float, host byte order; real values, the library quantises
 */
enum hw_type {
	HW_TYPE_AUTO = 0,
	HW_TYPE_U8 = 1,
	HW_TYPE_U16 = 2,
	HW_TYPE_F32 = 3,
};

/**
 * enum hw_order - element orders, numbered as in the vendor's API (spec hef-format 5.3)
 * @HW_ORDER_AUTO: the default user order of the hardware order; never in &struct hw_tensor_info
 * @HW_ORDER_NHWC: row by row, pixel by pixel, the features of a pixel side by side
 * @HW_ORDER_NHCW: row by row, within a row feature by feature
 * @HW_ORDER_FCR: as NHWC; on the chip the features are padded
 * @HW_ORDER_F8CR: as NHWC; on the chip features come in groups of eight
 * @HW_ORDER_NHW: one feature, row by row
 * @HW_ORDER_NC: features only, no rows or columns
 * @HW_ORDER_BAYER_RGB: raw sensor image, one feature
 * @HW_ORDER_12_BIT_BAYER_RGB: raw sensor image of 12 bits for a pixel
 * @HW_ORDER_HAILO_NMS: deprecated by the vendor
 * @HW_ORDER_RGB888: four bytes for a pixel on the chip, the colours reversed
 * @HW_ORDER_NCHW: feature by feature, each row by row
 * @HW_ORDER_YUY2: packed YUV 4:2:2
 * @HW_ORDER_NV12: a plane of Y, then one of interleaved U and V
 * @HW_ORDER_NV21: a plane of Y, then one of interleaved V and U
 * @HW_ORDER_HAILO_YYUV: NV12 on the chip: two rows of Y, then their row of U and V
 * @HW_ORDER_HAILO_YYVU: NV21 on the chip, likewise
 * @HW_ORDER_RGB4: as NHWC, rows padded to a multiple of four bytes
 * @HW_ORDER_I420: a plane of Y, one of U, one of V
 * @HW_ORDER_HAILO_YYYYUV: I420 on the chip: two rows of Y, one of U, one of V
 * @HW_ORDER_HAILO_NMS_WITH_BYTE_MASK: detections, each followed by its mask
 * @HW_ORDER_HAILO_NMS_ON_CHIP: detections as the chip's own NMS delivers them
 * @HW_ORDER_HAILO_NMS_BY_CLASS: for each class a count and its detections
 * @HW_ORDER_HAILO_NMS_BY_SCORE: a count and all detections, best score first
 */
enum hw_order {
	HW_ORDER_AUTO = 0,
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
 * @elements: how many numbers of @type a frame is: height * width * features, or with detections by
 *            class classes * (1 + 5 * max_per_class); 0 where a frame is no array of one type
 * @frame_bytes: bytes of one user frame
 * @classes: of detections, how many classes there are; 0 for any other tensor, as the next four
 * @max_per_class: most detections of one class, by class
 * @max_total: most detections in all, by score and with masks
 * @image_height: rows of the image that masks are cut from, 0 without masks
 * @image_width: its columns
 *
 * Detections have one of the orders HW_ORDER_HAILO_NMS_BY_CLASS, HW_ORDER_HAILO_NMS_BY_SCORE and
 * HW_ORDER_HAILO_NMS_WITH_BYTE_MASK and no shape; hw_detections_read() takes their frames apart.
 */
struct hw_tensor_info {
	char name[HW_NAME_MAX];
	uint32_t height, width, features;
	enum hw_type type;
	enum hw_order order;
	struct hw_quant quant;
	size_t elements;
	size_t frame_bytes;
	uint32_t classes, max_per_class, max_total;
	uint32_t image_height, image_width;
};

/**
 * struct hw_detection - an object that a detector found
 * @y_min: top edge of its box, as all edges a fraction of the image's size
 * @x_min: left edge
 * @y_max: bottom edge
 * @x_max: right edge
 * @score: how sure the network is
 * @class_id: what it is
 * @mask: one byte for each pixel of the box, 1 where the object is; inside the frame that was read;
 *        NULL without masks
 * @mask_height: rows of the mask; its first is that of the image on which @y_min lies, or the next
 * @mask_width: bytes of a row
 */
struct hw_detection {
	float y_min, x_min, y_max, x_max, score;
	uint32_t class_id;
	const uint8_t *mask;
	uint32_t mask_height, mask_width;
};

/**
 * hw_detections_read - take a frame of detections apart
 * @info: the output that @frame is of
 * @frame: hw_tensor_info.frame_bytes bytes, as hw_net_run() filled them
 * @out: filled with as many as there is room for; may be NULL when @max is 0
 * @max: room in @out
 *
 * Detections keep the order they have in the frame: class by class and best first in each, or best
 * first.  Never reads beyond the frame, whatever it holds.
 *
 * Return: how many the frame has; 0 too when @info is no output of detections.
 */
size_t hw_detections_read(const struct hw_tensor_info *info, const void *frame,
			  struct hw_detection *out, size_t max);

#ifdef __cplusplus
}
#endif
#endif
