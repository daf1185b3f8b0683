// SPDX-License-Identifier: MIT
/*
 * Detectors and their formats written down once more, slowly and in double precision, from hef-format
 * 5.14 and 6.9: what tests compare hwlayer/host with.
 */
#ifndef TESTS_SUPPORT_DETREF_H
#define TESTS_SUPPORT_DETREF_H

#include "hef/hef.h"

#define DETREF_MAX 20000

struct detref_box {
	double y_min, x_min, y_max, x_max, score;
	uint32_t class_id;
	/* segmentation: 32 coefficients, times the objectness */
	double mask[32];
};

struct detref {
	size_t n;
	struct detref_box *v; /* DETREF_MAX */
};

/* v(r, c, k) of 5.14 */
double detref_at(const struct hef_layer *l, const void *frame, size_t r, size_t c, size_t k);
/* All detections of @op; @frames[i] belongs to @layers[i].  Free v. */
struct detref detref_run(const struct hef_op *op, const struct hef_layer *const *layers,
			 const void *const *frames, size_t n);
/* Sort, suppress; the test fails if two scores are the same, since their order is nobody's. */
void detref_suppress(struct detref *d, double iou);

/* ------------------------------------------------------------- layers for tests */

/* An NHCW output of @h x @w x @f, @pw columns on the wire, of 1 or 2 bytes an element. */
struct hef_layer detref_layer(const char *name, uint32_t h, uint32_t w, uint32_t f, uint32_t pw,
			      uint8_t bytes, struct hw_quant q);
/* A frame of it, each element 0 .. @below - 1, the same for the same @seed; free() it. */
void *detref_frame(const struct hef_layer *l, uint32_t seed, uint32_t below);
/* Element (r, c, k) of a frame becomes the stored value @v. */
void detref_set(const struct hef_layer *l, void *frame, size_t r, size_t c, size_t k, uint32_t v);
/* A cheap sequence of numbers. */
uint32_t detref_random(uint32_t *state);

#endif
