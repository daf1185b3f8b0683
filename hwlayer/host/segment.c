// SPDX-License-Identifier: MIT
/*
 * Masks of YOLOv5 segmentation (hef-format 5.14, 6.9): a detection's 32 coefficients times the
 * prototypes, resized to the image, cut out where its box is.
 */
#include "host/detect.h"

#include <math.h>

#include "hef/listing.h"

#define COEFFICIENTS 32u
#define RECORD_BYTES 38u /* five floats, class, size and address of the mask; without gaps */

/* One output row or column as a weighted sum of two prototype rows or columns. */
struct tap {
	uint32_t first, second;
	float weight; /* of the second */
};

struct host_masks {
	uint32_t height, width; /* of the image */
	struct tap *rows, *columns;
	float *grid;            /* a mask before it is resized */
};

/*
 * A triangle filter on a finer grid is linear interpolation between the centres of neighbours; beyond
 * the edges their values go on.
 */
static void make_taps(struct tap *taps, uint32_t n, uint32_t from)
{
	for (uint32_t i = 0; i < n; i++) {
		double at = ((double)i + 0.5) * (double)from / (double)n - 0.5;
		double low = floor(at);

		taps[i].weight = (float)(at - low);
		taps[i].first = low < 0 ? 0 : (uint32_t)low;
		taps[i].second = low < 0 ? 0 : low + 1 >= (double)from ? from - 1 : (uint32_t)low + 1;
	}
}

void host_masks_free(struct host_masks *m)
{
	if (!m)
		return;
	free(m->rows);
	free(m->columns);
	free(m->grid);
	free(m);
}

int host_masks_init(struct host_detector *d, const struct host_streams *streams,
		    struct hw_error *err)
{
	const struct hef_layer *l = d->op->prototypes;
	struct host_masks *m;
	int r = host_grid_init(d->op, l, COEFFICIENTS, streams, &d->prototypes, err);

	if (r < 0)
		return r;
	/* 5.14: they are read as if they were not padded. */
	if (l->hw_height != l->height || l->hw_width != l->width || l->features != COEFFICIENTS)
		return hw_fail(err, -ENOTSUP, "%s \"%.60s\" cannot be computed: its prototypes are padded",
			       hef_op_name(d->op), d->op->name);
	m = calloc(1, sizeof(*m));
	d->masks = m;
	if (!m)
		return hw_fail(err, -ENOMEM, "no memory for masks");
	m->height = hef_pixels(d->op->image_height);
	m->width = hef_pixels(d->op->image_width);
	if (m->height < l->height || m->width < l->width)
		return hw_fail(err, -ENOTSUP,
			       "%s \"%.60s\" cannot be computed: its image is smaller than its prototypes",
			       hef_op_name(d->op), d->op->name);
	m->rows = calloc(m->height, sizeof(*m->rows));
	m->columns = calloc(m->width, sizeof(*m->columns));
	m->grid = calloc((size_t)l->height * l->width, sizeof(*m->grid));
	if (!m->rows || !m->columns || !m->grid)
		return hw_fail(err, -ENOMEM, "no memory for masks");
	make_taps(m->rows, m->height, l->height);
	make_taps(m->columns, m->width, l->width);
	return 0;
}

/* The detection's coefficients times its objectness; the scale it came from is known by its origin. */
static void coefficients(const struct host_detector *d, const void *const *frames, uint32_t origin,
			 float out[COEFFICIENTS])
{
	const struct host_scale *s = &d->scales[0];
	size_t anchors, entry, r, c, k;
	const void *frame;
	float object;

	for (size_t i = 1; i < d->n_scales && origin >= d->scales[i].first_origin; i++)
		s = &d->scales[i];
	origin -= s->first_origin;
	anchors = s->decoder->n_anchors;
	entry = s->boxes.features / anchors;
	k = origin % anchors * entry;
	c = origin / anchors % s->boxes.width;
	r = origin / anchors / s->boxes.width;
	frame = frames[s->boxes.stream];
	object = host_sigmoid(host_grid_at(&s->boxes, frame, r, c, k + 4));
	for (size_t i = 0; i < COEFFICIENTS; i++)
		out[i] = host_grid_at(&s->boxes, frame, r, c, k + entry - COEFFICIENTS + i) * object;
}

/* Where a mask is in the image: its own rows and columns, and those of them that are inside. */
struct crop {
	int64_t top, left;
	uint64_t height, width; /* of the mask */
	uint32_t first_row, end_row, first_column, end_column; /* of the image */
};

static int64_t edge(float at, uint32_t pixels)
{
	float n = ceilf(at * (float)pixels);

	return n > -0x1p31f ? (n < 0x1p31f ? (int64_t)n : INT64_C(1) << 31) : -(INT64_C(1) << 31);
}

static uint32_t limit(int64_t v, uint32_t pixels)
{
	return v < 0 ? 0 : v > (int64_t)pixels ? pixels : (uint32_t)v;
}

static void find_crop(const struct host_masks *m, const struct host_box *b, struct crop *out)
{
	out->top = edge(b->y_min, m->height);
	out->left = edge(b->x_min, m->width);
	out->height = host_mask_extent(b->y_min, b->y_max, m->height);
	out->width = host_mask_extent(b->x_min, b->x_max, m->width);
	out->first_row = limit(out->top, m->height);
	out->first_column = limit(out->left, m->width);
	/* Both ends count, but no further than the mask has room. */
	out->end_row = limit(edge(b->y_max, m->height) + 1, m->height);
	out->end_column = limit(edge(b->x_max, m->width) + 1, m->width);
	if ((int64_t)out->end_row > out->top + (int64_t)out->height)
		out->end_row = limit(out->top + (int64_t)out->height, m->height);
	if ((int64_t)out->end_column > out->left + (int64_t)out->width)
		out->end_column = limit(out->left + (int64_t)out->width, m->width);
}

/* The part of the prototype grid that the crop's pixels look at */
static void fill_grid(const struct host_detector *d, const void *proto, const float *coef,
		      const struct crop *c)
{
	const struct host_masks *m = d->masks;
	const struct host_grid *g = &d->prototypes;
	uint32_t left = m->columns[c->first_column].first;
	uint32_t right = m->columns[c->end_column - 1].second;

	for (uint32_t r = m->rows[c->first_row].first; r <= m->rows[c->end_row - 1].second; r++) {
		float *row = m->grid + (size_t)r * g->width;

		memset(row + left, 0, (right - left + 1) * sizeof(*row));
		for (uint32_t k = 0; k < COEFFICIENTS; k++) {
			for (uint32_t x = left; x <= right; x++)
				row[x] += coef[k] * host_grid_at(g, proto, r, x, k);
		}
		for (uint32_t x = left; x <= right; x++)
			row[x] = host_sigmoid(row[x]);
	}
}

static void draw(const struct host_detector *d, const void *const *frames, const struct host_box *b,
		 const struct crop *c, uint8_t *mask)
{
	const struct host_masks *m = d->masks;
	float coef[COEFFICIENTS];

	memset(mask, 0, (size_t)(c->height * c->width));
	if (c->first_row >= c->end_row || c->first_column >= c->end_column)
		return;
	coefficients(d, frames, b->origin, coef);
	fill_grid(d, frames[d->prototypes.stream], coef, c);
	for (uint32_t r = c->first_row; r < c->end_row; r++) {
		const struct tap *t = &m->rows[r];
		const float *above = m->grid + (size_t)t->first * d->prototypes.width;
		const float *below = m->grid + (size_t)t->second * d->prototypes.width;
		uint8_t *to = mask + (uint64_t)(r - c->top) * c->width;

		for (uint32_t x = c->first_column; x < c->end_column; x++) {
			const struct tap *u = &m->columns[x];
			float up = above[u->first] + (above[u->second] - above[u->first]) * u->weight;
			float low = below[u->first] + (below[u->second] - below[u->first]) * u->weight;
			float v = up + (low - up) * t->weight;

			to[x - c->left] = (double)v > d->op->mask_threshold;
		}
	}
}

static void put_record(uint8_t *at, const struct host_box *b, size_t mask_size)
{
	const float v[5] = {b->y_min, b->x_min, b->y_max, b->x_max, b->score};
	const uint8_t *mask = at + RECORD_BYTES;
	uint16_t class = (uint16_t)b->class_id;

	memcpy(at, v, sizeof(v));
	memcpy(at + 20, &class, sizeof(class));
	memcpy(at + 22, &mask_size, sizeof(mask_size));
	memcpy(at + 30, &mask, sizeof(mask));
}

void host_masks_write(const struct host_detector *d, const void *const *frames,
		      const struct host_boxes *b, size_t max_total, void *frame, size_t size)
{
	uint8_t *start = frame;
	size_t at = sizeof(uint16_t);
	uint16_t count = 0;

	while (count < b->n && count < max_total && count < UINT16_MAX) {
		const struct host_box *box = &b->v[count];
		struct crop c;

		find_crop(d->masks, box, &c);
		/* The first that does not fit ends the list (6.9). */
		if (at + RECORD_BYTES >= size || c.height * c.width >= size - at - RECORD_BYTES)
			break;
		put_record(start + at, box, (size_t)(c.height * c.width));
		at += RECORD_BYTES;
		draw(d, frames, box, &c, start + at);
		at += (size_t)(c.height * c.width);
		count++;
	}
	memcpy(start, &count, sizeof(count));
	memset(start + at, 0, size - at);
}
