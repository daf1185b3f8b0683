// SPDX-License-Identifier: MIT
/*
 * An output of the chip as the detectors read it: rows of features of columns, dequantised where they
 * look (hef-format 5.14).  Pure.
 */
#ifndef HWLAYER_HOST_GRID_H
#define HWLAYER_HOST_GRID_H

#include "hef/hef.h"

struct host_grid {
	const struct hef_layer *layer;
	size_t stream;         /* which of the frames handed to the detector */
	uint32_t height, width, pitch, features; /* without padding; @pitch: columns with it */
	struct hw_quant quant;
	bool wide;             /* 16 bits */
	float table[256];      /* real values of 8-bit elements */
	/* Scanning for high values: elements from @first_hit on are, or else all must be looked at */
	bool ordered;
	uint32_t first_hit;
	double threshold;
	bool sigmoid;
};

/* Where an output layer is among the frames. */
struct host_streams {
	size_t n;
	const struct hef_layer *const *v;
};

/*
 * -ENOTSUP: it is not @features NHCW features of plain numbers (5.13, 5.14), and @op, for the text, is
 * the op that wants it so.
 */
int host_grid_init(const struct hef_op *op, const struct hef_layer *layer, uint64_t features,
		   const struct host_streams *streams, struct host_grid *out, struct hw_error *err);

static inline float host_grid_at(const struct host_grid *g, const void *frame, size_t r, size_t c,
				 size_t k)
{
	size_t i = (r * g->features + k) * g->pitch + c;

	if (g->wide)
		return ((float)((const uint16_t *)frame)[i] - g->quant.zero_point) * g->quant.scale;
	return g->table[((const uint8_t *)frame)[i]];
}

/* 1 / (1 + e^-x) */
float host_sigmoid(float x);
/* Prepare host_grid_hits(): an element is a hit when it, or its @sigmoid, is at least @threshold. */
void host_grid_look_for(struct host_grid *g, double threshold, bool sigmoid);
/* Columns of feature @k in row @r that are hits, rising, into @columns (room for g->width). */
size_t host_grid_hits(const struct host_grid *g, const void *frame, size_t r, size_t k,
		      uint32_t *columns);

#endif
