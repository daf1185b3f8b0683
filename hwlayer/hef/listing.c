// SPDX-License-Identifier: MIT
/* The listing that the vendor's parse-hef prints, line for line (hef-format 8). */
#include "hef/listing.h"

#include <inttypes.h>
#include <stdio.h>

#define NAME_SHOWN_MAX 127 /* 4.3: a longer group name cannot be listed */

__attribute__((format(printf, 3, 4))) static void line(struct buf *out, unsigned int indent,
						      const char *fmt, ...)
{
	va_list ap;
	uint8_t *at;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	for (unsigned int i = 0; i < indent; i++)
		buf_put(out, "    ", 4);
	/* The room for the NUL is the room for the newline. */
	at = n < 0 ? NULL : buf_grow(out, (size_t)n + 1);
	if (!at)
		return;
	va_start(ap, fmt);
	vsnprintf((char *)at, (size_t)n + 1, fmt, ap);
	va_end(ap);
	at[n] = '\n';
}

/* 3.3 */
const char *hef_arch_text(uint32_t arch)
{
	switch (arch) {
	case 0: /* HAILO8 */
	case 1: /* HAILO8P */
	case 2: /* HAILO8R */
	case 101: /* SAGE_B0 */
	case 102: /* PAPRIKA_B0 */
		return "HAILO8";
	case 3:
		return "HAILO8L";
	case 4:
		return "HAILO15M";
	case 5:
		return "HAILO10H";
	case 6:
	case 106: /* PLUTO */
		return "HAILO15L";
	case 100: /* SAGE_A0 */
		return "HAILO8_A0";
	case 103: /* HAILO15H */
	case 104: /* GINGER */
	case 105: /* LAVENDER */
		return "HAILO15H";
	case 108:
		return "MARS";
	default:
		return "UNKNOWN ARCHITECTURE";
	}
}

/* 8.3 */
const char *hef_order_text(enum hw_order order)
{
	static const char *const names[] = {
	    [HW_ORDER_NHWC] = "NHWC",
	    [HW_ORDER_NHCW] = "NHCW",
	    [HW_ORDER_FCR] = "FCR",
	    [HW_ORDER_F8CR] = "F8CR",
	    [HW_ORDER_NHW] = "NHW",
	    [HW_ORDER_NC] = "NC",
	    [HW_ORDER_BAYER_RGB] = "BAYER RGB",
	    [HW_ORDER_12_BIT_BAYER_RGB] = "12 BIT BAYER RGB",
	    [HW_ORDER_RGB888] = "RGB 888",
	    [HW_ORDER_NCHW] = "NCHW",
	    [HW_ORDER_YUY2] = "YUY2",
	    [HW_ORDER_NV12] = "NV12",
	    [HW_ORDER_HAILO_YYUV] = "YYUV",
	    [HW_ORDER_NV21] = "NV21",
	    [HW_ORDER_HAILO_YYVU] = "YYVU",
	    [HW_ORDER_RGB4] = "RGB4",
	    [HW_ORDER_I420] = "I420",
	    [HW_ORDER_HAILO_YYYYUV] = "YYYYUV",
	    [HW_ORDER_HAILO_NMS_WITH_BYTE_MASK] = "HAILO NMS WITH BYTE MASK",
	    [HW_ORDER_HAILO_NMS_ON_CHIP] = "HAILO NMS ON CHIP",
	    [HW_ORDER_HAILO_NMS_BY_CLASS] = "HAILO NMS BY CLASS",
	    [HW_ORDER_HAILO_NMS_BY_SCORE] = "HAILO NMS BY SCORE",
	};

	return order < ARRAY_SIZE(names) && names[order] ? names[order] : "Nan";
}

const char *hef_type_text(enum hw_type type)
{
	static const char *const names[] = {
	    [HW_TYPE_U8] = "UINT8", [HW_TYPE_U16] = "UINT16", [HW_TYPE_F32] = "FLOAT32"};

	return type < ARRAY_SIZE(names) && names[type] ? names[type] : "Nan";
}

void hef_tensor_text(const struct hef_tensor *t, char *buf, size_t size)
{
	const char *type = hef_type_text(t->type), *order = hef_order_text(t->order);

	switch (t->order) {
	case HW_ORDER_HAILO_NMS_ON_CHIP:
		snprintf(buf, size, "%s, %s(maximum frame size: %" PRIu64 ")", type, order,
			 t->max_frame);
		break;
	case HW_ORDER_HAILO_NMS_BY_CLASS:
		snprintf(buf, size,
			 "%s, %s(number of classes: %" PRIu32
			 ", maximum bounding boxes per class: %" PRIu32
			 ", maximum frame size: %" PRIu64 ")",
			 type, order, t->classes, t->max_per_class, t->max_frame);
		break;
	case HW_ORDER_HAILO_NMS_BY_SCORE:
	case HW_ORDER_HAILO_NMS_WITH_BYTE_MASK:
		snprintf(buf, size,
			 "%s, %s(number of classes: %" PRIu32
			 ", maximum bounding boxes total: %" PRIu32
			 ", maximum frame size: %" PRIu64 ")",
			 type, order, t->classes, t->max_total, t->max_frame);
		break;
	case HW_ORDER_NC:
		snprintf(buf, size, "%s, %s(%" PRIu32 ")", type, order, t->features);
		break;
	case HW_ORDER_NHW:
		snprintf(buf, size, "%s, %s(%" PRIu32 "x%" PRIu32 ")", type, order, t->height,
			 t->width);
		break;
	default:
		snprintf(buf, size, "%s, %s(%" PRIu32 "x%" PRIu32 "x%" PRIu32 ")", type, order,
			 t->height, t->width, t->features);
	}
}

/* --------------------------------------------------------------- ops (8.4) */

/* What the rows have in common; boxes-only ops of a kind have another name. */
static const struct {
	const char *op, *name, *boxes_only;
	bool image;
} kinds[] = {
    [HEF_OP_YOLOV5] = {"Op YOLOV5", "YOLOv5-Post-Process", "YOLOv5Bbox-Only-Post-Process", true},
    [HEF_OP_YOLOX] = {"Op YOLOX", "YOLOX-Post-Process", "", true},
    [HEF_OP_SSD] = {"Op SSD", "SSD-Post-Process", "", true},
    [HEF_OP_IOU] = {"Op IOU", "IoU-Post-Process", "", false},
    [HEF_OP_YOLOV5_SEG] = {"Op YOLOV5SEG", "YOLOv5Seg-Post-Process", "", true},
    [HEF_OP_YOLOV8] = {"Op YOLOV8", "YOLOV8-Post-Process", "YOLOv8Bbox-Only-Post-Process", true},
    [HEF_OP_ARGMAX] = {"ARGMAX Op", "Argmax-Post-Process", "", false},
    [HEF_OP_SOFTMAX] = {"SOFTMAX Op", "Softmax-Post-Process", "", false},
};

const char *hef_op_name(const struct hef_op *op)
{
	return op->boxes_only ? kinds[op->kind].boxes_only : kinds[op->kind].name;
}

uint32_t hef_pixels(double v)
{
	/* NaN compares false with everything. */
	return !(v > 0) ? 0 : v >= (double)UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

static void op_lines(const struct hef_op *op, struct buf *out, unsigned int indent)
{
	bool logits = op->kind == HEF_OP_ARGMAX || op->kind == HEF_OP_SOFTMAX;
	bool thresholds = !logits && !op->boxes_only;
	uint64_t total = (uint64_t)op->max_per_class * op->classes;

	line(out, indent, "%s", kinds[op->kind].op);
	line(out, indent, "Name: %s", hef_op_name(op));
	if (thresholds) {
		line(out, indent, "Score threshold: %.3f", op->score_threshold);
		line(out, indent, "IoU threshold: %.2f", op->iou_threshold);
	}
	if (!logits)
		line(out, indent, "Classes: %" PRIu32, op->classes);
	if (thresholds && op->kind == HEF_OP_YOLOV5_SEG)
		line(out, indent, "Max bboxes total: %" PRIu64,
		     total > UINT32_MAX ? UINT32_MAX : total);
	else if (thresholds)
		line(out, indent, "Max bboxes per class: %" PRIu32, op->max_per_class);
	if (thresholds && op->background_removal)
		line(out, indent, "Background removal index: %" PRIu32, op->background_index);
	if (kinds[op->kind].image) {
		line(out, indent, "Image height: %" PRIu32, hef_pixels(op->image_height));
		line(out, indent, "Image width: %" PRIu32, hef_pixels(op->image_width));
	}
	if (op->kind == HEF_OP_SSD) {
		line(out, indent, "Centers scales factor: %" PRIu32, op->centers_scale);
		line(out, indent, "Bbox dimension scale factor: %" PRIu32, op->boxes_scale);
		line(out, indent, "Normalize boxes: false");
	}
	if (op->kind == HEF_OP_YOLOV5_SEG)
		line(out, indent, "Mask threshold: %.2f", op->mask_threshold);
}

void hef_op_text(const struct hef_op *op, struct buf *out)
{
	op_lines(op, out, 0);
}

/* ----------------------------------------------------------- listing (8.2) */

static void tensor_lines(const struct hef_tensors *t, const char *title, struct buf *out)
{
	char text[256];

	line(out, 2, "%s", title);
	for (size_t i = 0; i < t->n; i++) {
		hef_tensor_text(&t->v[i], text, sizeof(text));
		line(out, 3, "%s %s %s", t->v[i].input ? "Input " : "Output", t->v[i].name, text);
	}
}

static int list_network(const struct hef_group *g, const char *network, bool streams, bool vstreams,
			struct buf *out, enum hef_status *status, struct hw_error *err)
{
	const struct hef_core_op *op = &g->core_ops[0];
	struct hef_tensors t;
	int r;

	line(out, 1, "Network name: %s", network);
	if (streams) {
		r = hef_streams(g, network, &t, status, err);
		if (r < 0)
			return r;
		tensor_lines(&t, "Stream infos:", out);
		hef_tensors_free(&t);
	}
	if (!vstreams)
		return 0;
	r = hef_vstreams(g, network, &t, status, err);
	if (r < 0)
		return r;
	tensor_lines(&t, "VStream infos:", out);
	hef_tensors_free(&t);
	if (op->n_ops) {
		line(out, 3, "Operation:");
		/* Of several ops only the last one is described, as in the reference. */
		op_lines(&op->ops[op->n_ops - 1], out, 4);
	}
	return 0;
}

static int list_group(const struct hef_group *g, bool streams, bool vstreams, struct buf *out,
		      enum hef_status *status, struct hw_error *err)
{
	size_t n = g->core_ops[0].n_contexts;
	int r = 0;

	if (strlen(g->name) > NAME_SHOWN_MAX) {
		*status = HEF_INTERNAL_FAILURE;
		return hw_fail(err, -EBADMSG,
			       "network group \"%.60s...\": its name has more than %d bytes", g->name,
			       NAME_SHOWN_MAX);
	}
	if (n > 1)
		line(out, 0, "Network group name: %s, Multi Context - Number of contexts: %zu",
		     g->name, n);
	else
		line(out, 0, "Network group name: %s, Single Context", g->name);
	for (size_t i = 0; !r && i < g->n_networks; i++)
		r = list_network(g, g->networks[i], streams, vstreams, out, status, err);
	return r;
}

static int by_name(const void *a, const void *b)
{
	const struct hef_group *x = *(const struct hef_group *const *)a;
	const struct hef_group *y = *(const struct hef_group *const *)b;

	return strcmp(x->name, y->name);
}

int hef_listing(const struct hef *hef, bool streams, bool vstreams, struct buf *out,
		enum hef_status *status, struct hw_error *err)
{
	const struct hef_group **sorted;
	enum hef_status dummy;
	int r = 0;

	if (!status)
		status = &dummy;
	*status = HEF_OK;
	line(out, 0, "Architecture HEF was compiled for: %s", hef_arch_text(hef->arch));
	sorted = calloc(hef->n_groups ? hef->n_groups : 1, sizeof(*sorted));
	if (sorted) {
		for (size_t i = 0; i < hef->n_groups; i++)
			sorted[i] = &hef->groups[i];
		qsort(sorted, hef->n_groups, sizeof(*sorted), by_name);
		for (size_t i = 0; !r && i < hef->n_groups; i++)
			r = list_group(sorted[i], streams, vstreams, out, status, err);
	}
	if (!sorted || (!r && out->failed)) {
		*status = HEF_OUT_OF_HOST_MEMORY;
		r = hw_fail(err, -ENOMEM, "no memory for the listing");
	}
	free(sorted);
	return r;
}
