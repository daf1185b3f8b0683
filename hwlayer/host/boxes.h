// SPDX-License-Identifier: MIT
/*
 * Detections: a list of them, suppression of those that overlap, and the formats in which users get
 * them (hef-format 5.14, 6.9).  Pure.
 */
#ifndef HWLAYER_HOST_BOXES_H
#define HWLAYER_HOST_BOXES_H

#include "util/bytes.h"
#include "util/util.h"

struct host_box {
	float y_min, x_min, y_max, x_max, score;
	uint32_t class_id;
	uint32_t origin; /* segmentation: where its mask's coefficients are */
	uint64_t order;  /* of boxes that score the same, the lowest comes first */
};

/* Grows and is used again for the next frame; the first failed allocation is remembered. */
struct host_boxes {
	struct host_box *v;
	size_t n, cap;
	uint32_t *chains; /* the suppression's: see there */
	size_t n_chains;
	bool failed;
};

void host_boxes_free(struct host_boxes *b);
void host_boxes_put(struct host_boxes *b, const struct host_box *box);

/* How many boxes at most; SIZE_MAX: as many as there are. */
struct host_limits {
	size_t per_class, total;
};

/*
 * Sort by falling score, then by rising order, and leave out each box whose overlap with a
 * better one of its class reaches @iou; classes from @classes on are dropped, too.  What is beyond
 * the limits could not be delivered, so it is not looked at.  0, -ENOMEM.
 */
int host_boxes_suppress(struct host_boxes *b, uint32_t classes, double iou,
			const struct host_limits *limits);
float host_boxes_iou(const struct host_box *a, const struct host_box *b);

/* Rows or columns of the mask of a box between two fractions of @pixels (5.14); 0 for no number. */
uint32_t host_mask_extent(float low, float high, uint32_t pixels);

/*
 * Write boxes in the order they have, as many as the format, @max and @size have room for; what
 * remains of the frame is zeroed.  -ENOMEM.
 */
int host_write_by_class(struct host_boxes *b, uint32_t classes, size_t max_per_class, void *frame,
			size_t size);
void host_write_by_score(const struct host_boxes *b, size_t max_total, void *frame, size_t size);

#endif
