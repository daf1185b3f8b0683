// SPDX-License-Identifier: MIT
/* Outputs of the chip as detectors read them, and the scan that finds the few high values. */
#include "host/grid.h"

#include <math.h>

#include "hef/listing.h"
#include "host/layout.h"

static int refuse(const struct hef_op *op, const struct hef_layer *l, struct hw_error *err,
		  const char *why)
{
	return hw_fail(err, -ENOTSUP, "%s \"%.60s\" cannot be computed: its input \"%.100s\" %s",
		       hef_op_name(op), op->name, l->name, why);
}

static bool plain_quant(const struct hef_layer *l, struct hw_quant *out)
{
	/* 5.5: one record for each feature makes the layer's own invalid. */
	*out = l->quant;
	return !l->n_feature_quant && !host_no_quant(&l->quant);
}

int host_grid_init(const struct hef_op *op, const struct hef_layer *l, uint64_t features,
		   const struct host_streams *streams, struct host_grid *out, struct hw_error *err)
{
	uint64_t bytes = (uint64_t)l->hw_height * l->hw_width * l->hw_features * l->data_bytes;
	size_t stream = 0;

	while (stream < streams->n && streams->v[stream] != l)
		stream++;
	if (stream == streams->n || l->shape != HEF_SHAPE_INFO)
		return refuse(op, l, err, "is no plain output of the chip");
	if (l->order != HW_ORDER_NHCW)
		return refuse(op, l, err, "is not laid out row by row and feature by feature (NHCW)");
	if (l->transposed)
		return refuse(op, l, err, "is transposed");
	if (l->hw_features != features)
		return hw_fail(err, -ENOTSUP,
			       "%s \"%.60s\" cannot be computed: its input \"%.100s\" has %u features "
			       "instead of %llu",
			       hef_op_name(op), op->name, l->name, l->hw_features,
			       (unsigned long long)features);
	if (bytes % 8 || !bytes)
		return refuse(op, l, err, "has frames that are no multiple of 8 bytes");
	if (l->height > l->hw_height || l->width > l->hw_width)
		return refuse(op, l, err, "is smaller on the wire than its shape says");
	*out = (struct host_grid){
		.layer = l,
		.stream = stream,
		.height = l->height,
		.width = l->width,
		.pitch = l->hw_width,
		.features = l->hw_features,
		.wide = l->data_bytes == 2,
	};
	if (!plain_quant(l, &out->quant))
		return refuse(op, l, err, "is not quantised as a whole");
	for (unsigned int q = 0; q < ARRAY_SIZE(out->table); q++)
		out->table[q] = ((float)q - out->quant.zero_point) * out->quant.scale;
	return 0;
}

float host_sigmoid(float x)
{
	return 1.0f / (1.0f + expf(-x));
}

static bool is_hit(const struct host_grid *g, uint32_t q)
{
	float x = ((float)q - g->quant.zero_point) * g->quant.scale;

	return (double)(g->sigmoid ? host_sigmoid(x) : x) >= g->threshold;
}

/* Every stored value is tried once, so that comparing stored values is right to the last bit. */
void host_grid_look_for(struct host_grid *g, double threshold, bool sigmoid)
{
	uint32_t values = g->wide ? 1u << 16 : 1u << 8;

	g->threshold = threshold;
	g->sigmoid = sigmoid;
	g->first_hit = 0;
	while (g->first_hit < values && !is_hit(g, g->first_hit))
		g->first_hit++;
	g->ordered = true;
	for (uint32_t q = g->first_hit; q < values && g->ordered; q++)
		g->ordered = is_hit(g, q);
}

/* Most rows have no hit: the largest element is found in vector code, and that ends it. */
#define DEFINE_HITS(type, suffix)                                                                  \
	static size_t hits_##suffix(const struct host_grid *g, const type *row, uint32_t *columns) \
	{                                                                                          \
		type most = 0;                                                                     \
		size_t n = 0;                                                                      \
                                                                                                   \
		if (g->ordered) {                                                                  \
			for (uint32_t c = 0; c < g->width; c++)                                    \
				most = row[c] > most ? row[c] : most;                              \
			if (most < g->first_hit)                                                   \
				return 0;                                                          \
		}                                                                                  \
		for (uint32_t c = 0; c < g->width; c++) {                                          \
			if (g->ordered ? row[c] >= g->first_hit : is_hit(g, row[c]))               \
				columns[n++] = c;                                                  \
		}                                                                                  \
		return n;                                                                          \
	}

DEFINE_HITS(uint8_t, u8)
DEFINE_HITS(uint16_t, u16)

size_t host_grid_hits(const struct host_grid *g, const void *frame, size_t r, size_t k,
		      uint32_t *columns)
{
	size_t at = (r * g->features + k) * g->pitch;

	return g->wide ? hits_u16(g, (const uint16_t *)frame + at, columns)
		       : hits_u8(g, (const uint8_t *)frame + at, columns);
}
