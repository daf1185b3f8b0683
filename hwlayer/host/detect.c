// SPDX-License-Identifier: MIT
/*
 * Arithmetic of the detectors, in single precision and in the order of the spec (hef-format 5.14).
 * What no row of scores reaches the threshold for costs one look at the row.
 */
#include "host/detect.h"

#include <math.h>


#define EXP_SAFE 80.0f /* e^80 and sums of it are floats still, and e^-80 is not 0 */

void host_softmax(float *v, size_t n)
{
	float high = -INFINITY, low = INFINITY, sum = 0.0f, shift = 0.0f;

	for (size_t i = 0; i < n; i++) {
		high = v[i] > high ? v[i] : high;
		low = v[i] < low ? v[i] : low;
	}
	if (high > EXP_SAFE || high < -EXP_SAFE)
		shift = high;
	for (size_t i = 0; i < n; i++) {
		v[i] = expf(v[i] - shift);
		sum += v[i];
	}
	for (size_t i = 0; i < n; i++)
		v[i] /= sum;
}

/* -------------------------------------------------------------------- boxes */

/* @t: the four numbers of the chip, past the sigmoid */
static void yolov5_box(const struct host_detector *d, const struct host_scale *s, size_t r, size_t c,
		       size_t anchor, const float t[4], struct host_box *out)
{
	float tw = 2.0f * t[2], th = 2.0f * t[3];
	float w = tw * tw * s->decoder->anchor_widths[anchor] / (float)d->op->image_width;
	float h = th * th * s->decoder->anchor_heights[anchor] / (float)d->op->image_height;
	float x = (2.0f * t[0] - 0.5f + (float)c) / (float)s->boxes.width;
	float y = (2.0f * t[1] - 0.5f + (float)r) / (float)s->boxes.height;

	out->y_min = y - h / 2.0f;
	out->x_min = x - w / 2.0f;
	out->y_max = out->y_min + h;
	out->x_max = out->x_min + w;
}

static void yolov8_box(const struct host_detector *d, const struct host_scale *s, const void *frame,
		       size_t r, size_t c, struct host_box *out)
{
	size_t bins = s->boxes.features / 4;
	float stride = (float)s->decoder->stride;
	float width = (float)d->op->image_width, height = (float)d->op->image_height;
	float x = ((float)c + 0.5f) * stride / width, y = ((float)r + 0.5f) * stride / height;
	float side[4];

	for (size_t g = 0; g < 4; g++) {
		for (size_t i = 0; i < bins; i++)
			d->bin[i] = host_grid_at(&s->boxes, frame, r, c, g * bins + i);
		host_softmax(d->bin, bins);
		side[g] = 0.0f;
		for (size_t i = 0; i < bins; i++)
			side[g] += (float)i * d->bin[i];
	}
	out->y_min = y - side[1] * stride / height;
	out->x_min = x - side[0] * stride / width;
	out->y_max = y + side[3] * stride / height;
	out->x_max = x + side[2] * stride / width;
}

static void yolox_box(const struct host_scale *s, const void *frame, size_t r, size_t c,
		      struct host_box *out)
{
	float w = expf(host_grid_at(&s->boxes, frame, r, c, 2)) / (float)s->boxes.width;
	float h = expf(host_grid_at(&s->boxes, frame, r, c, 3)) / (float)s->boxes.height;
	float x = (host_grid_at(&s->boxes, frame, r, c, 0) + (float)c) / (float)s->boxes.width;
	float y = (host_grid_at(&s->boxes, frame, r, c, 1) + (float)r) / (float)s->boxes.height;

	out->y_min = y - h / 2.0f;
	out->x_min = x - w / 2.0f;
	out->y_max = out->y_min + h;
	out->x_max = out->x_min + w;
}

static void ssd_box(const struct host_detector *d, const struct host_scale *s, const void *frame,
		    size_t r, size_t c, size_t anchor, struct host_box *out)
{
	const struct hef_op *op = d->op;
	float wa = s->decoder->anchor_widths[anchor], ha = s->decoder->anchor_heights[anchor];
	float centers = (float)op->centers_scale, sizes = (float)op->boxes_scale;
	size_t k = anchor * 4;
	float tx = host_grid_at(&s->boxes, frame, r, c, k + op->tx) / centers;
	float ty = host_grid_at(&s->boxes, frame, r, c, k + op->ty) / centers;
	float tw = host_grid_at(&s->boxes, frame, r, c, k + op->tw) / sizes;
	float th = host_grid_at(&s->boxes, frame, r, c, k + op->th) / sizes;
	float w = expf(tw) * wa, h = expf(th) * ha;
	float x = tx * wa + ((float)c + 0.5f) / (float)s->boxes.width;
	float y = ty * ha + ((float)r + 0.5f) / (float)s->boxes.height;

	out->y_min = y - h / 2.0f;
	out->x_min = x - w / 2.0f;
	out->y_max = y + h / 2.0f;
	out->x_max = x + w / 2.0f;
}

/* ----------------------------------------------------------------- detections */

/* One of many scores: which one, and of how many in each cell */
struct found {
	size_t r, c, k, of;
};

/*
 * Scores are looked at in the order that is fast.  Which of equal ones is the better box is settled by
 * the order in which 5.14 has them: scale, row, column, then anchor and class.
 */
static void keep(const struct host_detector *d, const struct host_scale *s, const struct found *f,
		 struct host_box *box, uint32_t class, float score, struct host_boxes *out)
{
	if (class >= d->classes || !((double)score >= d->op->score_threshold))
		return;
	box->class_id = class;
	box->score = score;
	box->order = s->first_order + (f->r * s->boxes.width + f->c) * f->of + f->k;
	host_boxes_put(out, box);
}

static void run_yolov5(const struct host_detector *d, const struct host_scale *s, const void *frame,
		       struct host_boxes *out)
{
	bool masks = d->op->kind == HEF_OP_YOLOV5_SEG;
	uint32_t classes = d->op->classes;
	size_t anchors = s->decoder->n_anchors, entry = s->boxes.features / anchors;

	for (size_t r = 0; r < s->boxes.height; r++) {
		for (size_t a = 0; a < anchors; a++) {
			size_t k = a * entry;
			size_t n = host_grid_hits(&s->boxes, frame, r, k + 4, d->columns);

			for (size_t i = 0; i < n; i++) {
				uint32_t c = d->columns[i];
				struct host_box box = {
					.origin = s->first_origin +
						  (uint32_t)((r * s->boxes.width + c) * anchors + a),
				};
				float t[5];

				for (size_t j = 0; j < 5; j++) {
					t[j] = host_grid_at(&s->boxes, frame, r, c, k + j);
					t[j] = masks ? host_sigmoid(t[j]) : t[j];
				}
				yolov5_box(d, s, r, c, a, t, &box);
				for (uint32_t j = 0; j < classes; j++) {
					const struct found f = {r, c, a * classes + j, anchors * classes};
					float p = host_grid_at(&s->boxes, frame, r, c, k + 5 + j);

					keep(d, s, &f, &box, j, (masks ? host_sigmoid(p) : p) * t[4], out);
				}
			}
		}
	}
}

static void run_yolov8(const struct host_detector *d, const struct host_scale *s,
		       const void *const *frames, struct host_boxes *out)
{
	const void *scores = frames[s->classes.stream], *boxes = frames[s->boxes.stream];

	for (size_t r = 0; r < s->classes.height; r++) {
		for (uint32_t j = 0; j < d->classes; j++) {
			size_t n = host_grid_hits(&s->classes, scores, r, j, d->columns);

			for (size_t i = 0; i < n; i++) {
				const struct found f = {r, d->columns[i], j, d->classes};
				struct host_box box = {0};

				yolov8_box(d, s, boxes, r, f.c, &box);
				keep(d, s, &f, &box, j, host_grid_at(&s->classes, scores, r, f.c, j),
				     out);
			}
		}
	}
}

static void run_yolox(const struct host_detector *d, const struct host_scale *s,
		      const void *const *frames, struct host_boxes *out)
{
	const void *scores = frames[s->classes.stream], *objects = frames[s->objectness.stream];

	for (size_t r = 0; r < s->boxes.height; r++) {
		size_t n = host_grid_hits(&s->objectness, objects, r, 0, d->columns);

		for (size_t i = 0; i < n; i++) {
			uint32_t c = d->columns[i];
			float object = host_grid_at(&s->objectness, objects, r, c, 0);
			struct host_box box = {0};

			yolox_box(s, frames[s->boxes.stream], r, c, &box);
			for (uint32_t j = 0; j < d->classes; j++) {
				const struct found f = {r, c, j, d->classes};

				keep(d, s, &f, &box, j,
				     host_grid_at(&s->classes, scores, r, c, j) * object, out);
			}
		}
	}
}

static void run_ssd(const struct host_detector *d, const struct host_scale *s,
		    const void *const *frames, struct host_boxes *out)
{
	const struct hef_op *op = d->op;
	const void *scores = frames[s->classes.stream], *boxes = frames[s->boxes.stream];
	uint32_t first = op->background_removal && !op->background_index; /* renumbered (5.14) */
	size_t all = s->decoder->n_anchors * (size_t)op->classes;

	for (size_t r = 0; r < s->classes.height; r++) {
		for (size_t k = 0; k < all; k++) {
			size_t anchor = k / op->classes;
			uint32_t class = (uint32_t)(k % op->classes);
			size_t n;

			if (op->background_removal && class == op->background_index)
				continue;
			n = host_grid_hits(&s->classes, scores, r, k, d->columns);
			for (size_t i = 0; i < n; i++) {
				const struct found f = {r, d->columns[i], k, all};
				struct host_box box = {0};

				ssd_box(d, s, boxes, r, f.c, anchor, &box);
				keep(d, s, &f, &box, class - first,
				     host_grid_at(&s->classes, scores, r, f.c, k), out);
			}
		}
	}
}

void host_detector_run(const struct host_detector *d, const void *const *frames,
		       struct host_boxes *out)
{
	for (size_t i = 0; i < d->n_scales; i++) {
		const struct host_scale *s = &d->scales[i];

		switch (d->op->kind) {
		case HEF_OP_YOLOV8:
			run_yolov8(d, s, frames, out);
			break;
		case HEF_OP_YOLOX:
			run_yolox(d, s, frames, out);
			break;
		case HEF_OP_SSD:
			run_ssd(d, s, frames, out);
			break;
		default:
			run_yolov5(d, s, frames[s->boxes.stream], out);
			break;
		}
	}
}

/* ----------------------------------------------------------------- boxes only */

static float *put_row(const struct host_box *box, float *at)
{
	*at++ = box->y_min;
	*at++ = box->x_min;
	*at++ = box->y_max;
	*at++ = box->x_max;
	return at;
}

static float *table_yolov5(const struct host_detector *d, const struct host_scale *s,
			   const void *frame, float *at)
{
	size_t anchors = s->decoder->n_anchors, entry = s->boxes.features / anchors;

	for (size_t i = 0; i < (size_t)s->boxes.height * s->boxes.width * anchors; i++) {
		size_t a = i % anchors, c = i / anchors % s->boxes.width;
		size_t r = i / anchors / s->boxes.width;
		struct host_box box;
		float t[4];

		for (size_t j = 0; j < 4; j++)
			t[j] = host_grid_at(&s->boxes, frame, r, c, a * entry + j);
		yolov5_box(d, s, r, c, a, t, &box);
		at = put_row(&box, at);
		for (size_t j = 4; j < entry; j++)
			*at++ = host_grid_at(&s->boxes, frame, r, c, a * entry + j);
	}
	return at;
}

static float *table_yolov8(const struct host_detector *d, const struct host_scale *s,
			   const void *const *frames, float *at)
{
	for (size_t i = 0; i < (size_t)s->boxes.height * s->boxes.width; i++) {
		size_t r = i / s->boxes.width, c = i % s->boxes.width;
		struct host_box box;

		yolov8_box(d, s, frames[s->boxes.stream], r, c, &box);
		at = put_row(&box, at);
		for (uint32_t j = 0; j < d->op->classes; j++)
			*at++ = host_grid_at(&s->classes, frames[s->classes.stream], r, c, j);
	}
	return at;
}

void host_detector_table(const struct host_detector *d, const void *const *frames, float *out)
{
	for (size_t i = 0; i < d->n_scales; i++) {
		const struct host_scale *s = &d->scales[i];

		out = d->op->kind == HEF_OP_YOLOV8
			      ? table_yolov8(d, s, frames, out)
			      : table_yolov5(d, s, frames[s->boxes.stream], out);
	}
}
