// SPDX-License-Identifier: MIT
/* Frames of detections, read back (hef-format 6.9). */
#include "host/boxes.h"

#define BOX_BYTES 20u
#define RECORD_BYTES 38u

struct list {
	struct hw_detection *v;
	size_t n, max;
};

static void take_box(const uint8_t *at, struct hw_detection *d)
{
	float v[5];

	memcpy(v, at, sizeof(v));
	*d = (struct hw_detection){v[0], v[1], v[2], v[3], v[4], 0, NULL, 0, 0};
}

static void put(struct list *l, const struct hw_detection *d)
{
	if (l->n < l->max)
		l->v[l->n] = *d;
	l->n++;
}

static void read_by_class(const struct hw_tensor_info *info, struct span in, struct list *out)
{
	struct span piece;

	for (uint32_t class = 0; class < info->classes; class++) {
		float count;

		if (span_take(&in, sizeof(count), &piece) < 0)
			return;
		memcpy(&count, piece.ptr, sizeof(count));
		for (uint32_t i = 0; (float)i < count; i++) { /* NaN is no count */
			struct hw_detection d;

			if (span_take(&in, BOX_BYTES, &piece) < 0)
				return;
			take_box(piece.ptr, &d);
			d.class_id = class;
			put(out, &d);
		}
	}
}

/* The size counts, and the sides only if they agree with it. */
static bool take_mask(const struct hw_tensor_info *info, size_t bytes, struct span *in,
		      struct hw_detection *d)
{
	struct span mask;

	if (span_take(in, bytes, &mask) < 0)
		return false;
	d->mask_height = host_mask_extent(d->y_min, d->y_max, info->image_height);
	d->mask_width = host_mask_extent(d->x_min, d->x_max, info->image_width);
	if ((uint64_t)d->mask_height * d->mask_width != bytes)
		d->mask_height = d->mask_width = 0;
	else
		d->mask = mask.ptr;
	return true;
}

static void read_records(const struct hw_tensor_info *info, struct span in, struct list *out)
{
	bool masks = info->order == HW_ORDER_HAILO_NMS_WITH_BYTE_MASK;
	struct span piece;
	uint16_t count, class;
	size_t bytes;

	if (span_take(&in, sizeof(count), &piece) < 0)
		return;
	memcpy(&count, piece.ptr, sizeof(count));
	for (uint16_t i = 0; i < count; i++) {
		struct hw_detection d;

		if (span_take(&in, masks ? RECORD_BYTES : BOX_BYTES + sizeof(class), &piece) < 0)
			return;
		take_box(piece.ptr, &d);
		memcpy(&class, piece.ptr + BOX_BYTES, sizeof(class));
		d.class_id = class;
		if (masks) {
			memcpy(&bytes, piece.ptr + BOX_BYTES + sizeof(class), sizeof(bytes));
			if (!take_mask(info, bytes, &in, &d))
				return;
		}
		put(out, &d);
	}
}

size_t hw_detections_read(const struct hw_tensor_info *info, const void *frame,
			  struct hw_detection *out, size_t max)
{
	const struct span in = {frame, info->frame_bytes};
	struct list list = {out, 0, max};

	switch (info->order) {
	case HW_ORDER_HAILO_NMS_BY_CLASS:
		read_by_class(info, in, &list);
		break;
	case HW_ORDER_HAILO_NMS_BY_SCORE:
	case HW_ORDER_HAILO_NMS_WITH_BYTE_MASK:
		read_records(info, in, &list);
		break;
	default:
		break;
	}
	return list.n;
}
