// SPDX-License-Identifier: MIT
/*
 * Detectors whose last layers the host computes: YOLOv5 (also with masks), YOLOv8, YOLOX, SSD
 * (hef-format 5.13, 5.14).  Pure.
 */
#ifndef HWLAYER_HOST_DETECT_H
#define HWLAYER_HOST_DETECT_H

#include "host/boxes.h"
#include "host/grid.h"

/* One scale: what a box decoder of the file reads. */
struct host_scale {
	const struct hef_decoder *decoder;
	struct host_grid boxes, classes, objectness; /* as many as the kind has */
	uint32_t first_origin; /* segmentation */
	uint64_t first_order;  /* what its boxes begin to count with: host_box.order */
};

struct host_detector {
	const struct hef_op *op;
	uint32_t classes;     /* that a user gets: without the background (5.14) */
	size_t n_scales;
	struct host_scale *scales;
	uint32_t *columns;    /* hits of a row */
	uint32_t bins;        /* YOLOv8: per side of a box, at most of all scales */
	float *bin;           /* as many */
	size_t rows;          /* boxes only: lines of the table */
	struct host_grid prototypes;
	struct host_masks *masks; /* segmentation */
};

/* -ENOTSUP: out of reach, by name.  -ENOMEM.  Free with host_detector_free(), also after an error. */
int host_detector_init(const struct hef_op *op, const struct host_streams *streams,
		       struct host_detector *out, struct hw_error *err);
void host_detector_free(struct host_detector *d);

/* All detections above the threshold, in no order.  @frames: one for each stream. */
void host_detector_run(const struct host_detector *d, const void *const *frames,
		       struct host_boxes *out);
/* Boxes only: d->rows rows of 5 (YOLOv8: 4) + classes floats. */
void host_detector_table(const struct host_detector *d, const void *const *frames, float *out);

/*
 * segment.c.  A frame of detections with their masks, as many as there is room for (6.9); what remains
 * is zeroed.  @b: after the suppression.
 */
int host_masks_init(struct host_detector *d, const struct host_streams *streams,
		    struct hw_error *err);
void host_masks_free(struct host_masks *m);
void host_masks_write(const struct host_detector *d, const void *const *frames,
		      const struct host_boxes *b, size_t max_total, void *frame, size_t size);

/* e^x over its sum, in place: the maximum is subtracted only where e^x would leave float's range. */
void host_softmax(float *v, size_t n);

#endif
