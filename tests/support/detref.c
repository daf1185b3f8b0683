// SPDX-License-Identifier: MIT
#include "support/detref.h"

#include <math.h>

#include "support/support.h"

static size_t index_of(const struct hef_layer *l, size_t r, size_t c, size_t k)
{
	return r * l->hw_width * l->hw_features + k * l->hw_width + c;
}

double detref_at(const struct hef_layer *l, const void *frame, size_t r, size_t c, size_t k)
{
	size_t i = index_of(l, r, c, k);
	double q = l->data_bytes == 2 ? ((const uint16_t *)frame)[i] : ((const uint8_t *)frame)[i];

	return (q - (double)l->quant.zero_point) * (double)l->quant.scale;
}

static const void *frame_of(const struct hef_layer *l, const struct hef_layer *const *layers,
			    const void *const *frames, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (layers[i] == l)
			return frames[i];
	}
	fail_msg("no frame for %s", l->name);
	return NULL;
}

static double sigmoid(double x)
{
	return 1 / (1 + exp(-x));
}

static void add(struct detref *d, const struct hef_op *op, struct detref_box box, uint32_t class,
		double score)
{
	uint32_t classes = op->classes - (op->background_removal ? 1 : 0);

	/* The score of a detector is a float. */
	if ((double)(float)score < op->score_threshold || class >= classes)
		return;
	assert_true(d->n < DETREF_MAX);
	box.class_id = class;
	box.score = score;
	d->v[d->n++] = box;
}

static struct detref_box around(double x, double y, double w, double h)
{
	return (struct detref_box){.y_min = y - h / 2, .x_min = x - w / 2, .y_max = y + h / 2, .x_max = x + w / 2};
}

static void yolov5(const struct hef_op *op, const struct hef_decoder *dec, const void *f,
		   struct detref *out)
{
	const struct hef_layer *l = dec->boxes;
	bool seg = op->kind == HEF_OP_YOLOV5_SEG;
	size_t entry = 5 + op->classes + (seg ? 32 : 0);

	for (size_t r = 0; r < l->height; r++)
		for (size_t c = 0; c < l->width; c++)
			for (size_t a = 0; a < dec->n_anchors; a++) {
				double t[5], w, h;
				struct detref_box box;

				for (size_t i = 0; i < 5; i++) {
					t[i] = detref_at(l, f, r, c, a * entry + i);
					t[i] = seg ? sigmoid(t[i]) : t[i];
				}
				if ((double)(float)t[4] < op->score_threshold)
					continue;
				w = pow(2 * t[2], 2) * (double)dec->anchor_widths[a] / op->image_width;
				h = pow(2 * t[3], 2) * (double)dec->anchor_heights[a] / op->image_height;
				box = around((2 * t[0] - 0.5 + (double)c) / l->width,
					     (2 * t[1] - 0.5 + (double)r) / l->height, w, h);
				for (size_t i = 0; seg && i < 32; i++)
					box.mask[i] = detref_at(l, f, r, c, a * entry + 5 + op->classes + i) * t[4];
				for (uint32_t j = 0; j < op->classes; j++) {
					double p = detref_at(l, f, r, c, a * entry + 5 + j);

					add(out, op, box, j, (seg ? sigmoid(p) : p) * t[4]);
				}
			}
}

static void yolov8(const struct hef_op *op, const struct hef_decoder *dec, const void *reg,
		   const void *cls, struct detref *out)
{
	const struct hef_layer *l = dec->boxes;
	size_t bins = l->features / 4;

	for (size_t r = 0; r < l->height; r++)
		for (size_t c = 0; c < l->width; c++) {
			double x = ((double)c + 0.5) * dec->stride / op->image_width;
			double y = ((double)r + 0.5) * dec->stride / op->image_height;
			struct detref_box box;
			double d[4];

			for (size_t g = 0; g < 4; g++) {
				double sum = 0, weighted = 0;

				for (size_t i = 0; i < bins; i++) {
					double e = exp(detref_at(l, reg, r, c, g * bins + i));

					sum += e;
					weighted += (double)i * e;
				}
				d[g] = weighted / sum;
			}
			box = (struct detref_box){
				.y_min = y - d[1] * dec->stride / op->image_height,
				.x_min = x - d[0] * dec->stride / op->image_width,
				.y_max = y + d[3] * dec->stride / op->image_height,
				.x_max = x + d[2] * dec->stride / op->image_width,
			};
			for (uint32_t j = 0; j < op->classes; j++)
				add(out, op, box, j, detref_at(dec->classes, cls, r, c, j));
		}
}

static void yolox(const struct hef_op *op, const struct hef_decoder *dec, const void *reg,
		  const void *cls, const void *obj, struct detref *out)
{
	const struct hef_layer *l = dec->boxes;

	for (size_t r = 0; r < l->height; r++)
		for (size_t c = 0; c < l->width; c++) {
			double o = detref_at(dec->objectness, obj, r, c, 0);
			struct detref_box box = around((detref_at(l, reg, r, c, 0) + (double)c) / l->width,
						       (detref_at(l, reg, r, c, 1) + (double)r) / l->height,
						       exp(detref_at(l, reg, r, c, 2)) / l->width,
						       exp(detref_at(l, reg, r, c, 3)) / l->height);

			if ((double)(float)o < op->score_threshold)
				continue;
			for (uint32_t j = 0; j < op->classes; j++)
				add(out, op, box, j, detref_at(dec->classes, cls, r, c, j) * o);
		}
}

static void ssd(const struct hef_op *op, const struct hef_decoder *dec, const void *reg,
		const void *cls, struct detref *out)
{
	const struct hef_layer *l = dec->boxes;

	for (size_t r = 0; r < l->height; r++)
		for (size_t c = 0; c < l->width; c++)
			for (size_t a = 0; a < dec->n_anchors; a++) {
				double wa = (double)dec->anchor_widths[a], ha = (double)dec->anchor_heights[a];
				double tx = detref_at(l, reg, r, c, 4 * a + op->tx) / op->centers_scale;
				double ty = detref_at(l, reg, r, c, 4 * a + op->ty) / op->centers_scale;
				double tw = detref_at(l, reg, r, c, 4 * a + op->tw) / op->boxes_scale;
				double th = detref_at(l, reg, r, c, 4 * a + op->th) / op->boxes_scale;
				struct detref_box box = around(tx * wa + ((double)c + 0.5) / l->width,
							       ty * ha + ((double)r + 0.5) / l->height,
							       exp(tw) * wa, exp(th) * ha);

				for (uint32_t j = 0; j < op->classes; j++) {
					double p = detref_at(dec->classes, cls, r, c, a * op->classes + j);
					uint32_t class = j;

					if (op->background_removal && j == op->background_index)
						continue;
					if (op->background_removal && op->background_index == 0)
						class--;
					add(out, op, box, class, p);
				}
			}
}

struct detref detref_run(const struct hef_op *op, const struct hef_layer *const *layers,
			 const void *const *frames, size_t n)
{
	struct detref out = {0, malloc(DETREF_MAX * sizeof(*out.v))};

	assert_non_null(out.v);
	for (size_t i = 0; i < op->n_decoders; i++) {
		const struct hef_decoder *d = &op->decoders[i];
		const void *reg = frame_of(d->boxes, layers, frames, n);
		const void *cls = d->classes ? frame_of(d->classes, layers, frames, n) : NULL;

		if (op->kind == HEF_OP_YOLOV8)
			yolov8(op, d, reg, cls, &out);
		else if (op->kind == HEF_OP_YOLOX)
			yolox(op, d, reg, cls, frame_of(d->objectness, layers, frames, n), &out);
		else if (op->kind == HEF_OP_SSD)
			ssd(op, d, reg, cls, &out);
		else
			yolov5(op, d, reg, &out);
	}
	return out;
}

static int falling(const void *a, const void *b)
{
	double x = ((const struct detref_box *)a)->score, y = ((const struct detref_box *)b)->score;

	return x > y ? -1 : x < y;
}

static double overlap(const struct detref_box *a, const struct detref_box *b)
{
	double h = fmin(a->y_max, b->y_max) - fmax(a->y_min, b->y_min);
	double w = fmin(a->x_max, b->x_max) - fmax(a->x_min, b->x_min);

	if (h <= 0 || w <= 0)
		return 0;
	return h * w / ((a->y_max - a->y_min) * (a->x_max - a->x_min) +
			(b->y_max - b->y_min) * (b->x_max - b->x_min) - h * w);
}

void detref_suppress(struct detref *d, double iou)
{
	size_t kept = 0;

	qsort(d->v, d->n, sizeof(*d->v), falling);
	for (size_t i = 1; i < d->n; i++) {
		if ((float)d->v[i].score == (float)d->v[i - 1].score)
			fail_msg("two detections score %g: choose other numbers", d->v[i].score);
	}
	for (size_t i = 0; i < d->n; i++) {
		for (size_t j = i + 1; d->v[i].score != 0 && j < d->n; j++) {
			if (d->v[i].class_id == d->v[j].class_id && overlap(&d->v[i], &d->v[j]) >= iou)
				d->v[j].score = 0;
		}
	}
	for (size_t i = 0; i < d->n; i++) {
		if (d->v[i].score != 0)
			d->v[kept++] = d->v[i];
	}
	d->n = kept;
}

/* ------------------------------------------------------------- layers for tests */

struct hef_layer detref_layer(const char *name, uint32_t h, uint32_t w, uint32_t f, uint32_t pw,
			      uint8_t bytes, struct hw_quant q)
{
	struct hef_layer l = {
		.order = HW_ORDER_NHCW,
		.data_bytes = bytes,
		.height = h,
		.width = w,
		.features = f,
		.raw_height = h,
		.raw_width = w,
		.hw_height = h,
		.hw_width = pw,
		.hw_features = f,
		.quant = q,
	};

	snprintf(l.name, sizeof(l.name), "%s", name);
	return l;
}

uint32_t detref_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

void *detref_frame(const struct hef_layer *l, uint32_t seed, uint32_t below)
{
	size_t n = (size_t)l->hw_height * l->hw_width * l->hw_features;
	uint8_t *frame = malloc(n * l->data_bytes);

	assert_non_null(frame);
	for (size_t i = 0; i < n; i++) {
		uint32_t v = detref_random(&seed) % below;

		if (l->data_bytes == 2)
			((uint16_t *)(void *)frame)[i] = (uint16_t)v;
		else
			frame[i] = (uint8_t)v;
	}
	return frame;
}

void detref_set(const struct hef_layer *l, void *frame, size_t r, size_t c, size_t k, uint32_t v)
{
	size_t i = index_of(l, r, c, k);

	if (l->data_bytes == 2)
		((uint16_t *)frame)[i] = (uint16_t)v;
	else
		((uint8_t *)frame)[i] = (uint8_t)v;
}
