// SPDX-License-Identifier: MIT
/* host/detect.h: detectors against the slow reference of support/detref.h, and what is refused. */
#include "support/support.h"

#include <math.h>

#include "host/net.h"
#include "support/detref.h"

#define LAYERS 8

/* An op with its layers and one frame for each. */
struct model {
	struct hef_op op;
	struct hef_decoder dec[3];
	struct hef_layer layer[LAYERS];
	const struct hef_layer *list[LAYERS];
	void *frame[LAYERS];
	size_t n;
};

static float anchors_h[3][3] = {{13, 30, 23}, {61, 45, 119}, {90, 198, 326}};
static float anchors_w[3][3] = {{10, 16, 33}, {30, 62, 59}, {116, 156, 373}};

static struct hef_layer *add_layer(struct model *m, const char *name, uint32_t h, uint32_t w, uint32_t f,
				   uint8_t bytes, struct hw_quant q)
{
	struct hef_layer *l = &m->layer[m->n];

	*l = detref_layer(name, h, w, f, (w + 7) / 8 * 8, bytes, q);
	m->list[m->n++] = l;
	return l;
}

static void finish_op(struct model *m, enum hef_op_kind kind, uint32_t classes)
{
	m->op.kind = kind;
	m->op.name = (char *)(uintptr_t)"op";
	strcpy(m->op.output, "net/detections");
	m->op.inputs = m->list;
	m->op.n_inputs = m->n;
	m->op.decoders = m->dec;
	m->op.classes = classes;
	m->op.score_threshold = (double)0.25f;
	m->op.iou_threshold = (double)0.45f;
	m->op.max_per_class = 20;
	m->op.image_height = 96;
	m->op.image_width = 128;
}

static void free_model(struct model *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->frame[i]);
}

/* Values from 0 to 1 */
static struct hw_quant unit(uint8_t bytes)
{
	return (struct hw_quant){0, bytes == 2 ? 1.0f / 65535 : 1.0f / 255, 0, 1};
}

/* Values from -4 to 4 */
static struct hw_quant logits(uint8_t bytes)
{
	return (struct hw_quant){bytes == 2 ? 32768 : 128, bytes == 2 ? 8.0f / 65536 : 8.0f / 256, -4, 4};
}

static uint32_t most(uint8_t bytes)
{
	return bytes == 2 ? 65536 : 256;
}

static void random_frames(struct model *m, uint32_t seed)
{
	for (size_t i = 0; i < m->n; i++)
		m->frame[i] = detref_frame(&m->layer[i], seed + (uint32_t)i, most(m->layer[i].data_bytes));
}

/* Every stored score of a layer is a different one, most of them low. */
static void distinct_scores(struct model *m, const struct hef_layer *l, size_t features)
{
	size_t at = (size_t)(l - m->layer), n = (size_t)l->height * l->width * features;
	uint32_t span = most(l->data_bytes);

	for (size_t i = 0; i < n; i++) {
		uint32_t v = (uint32_t)((i * 2654435761u) % n); /* a permutation where n is odd or so */
		size_t k = i % features, c = i / features % l->width, r = i / features / l->width;

		detref_set(l, m->frame[at], r, c, k, n <= span ? span - 1 - v : v < span ? v : 0);
	}
}

static struct hef_layer *scale_layer(struct model *m, size_t i, const char *what, uint32_t f, uint8_t bytes,
				     struct hw_quant q)
{
	char name[32];

	/* Names fall, so that ordering by name changes something. */
	snprintf(name, sizeof(name), "net/%c_%s", (char)('z' - (char)i), what);
	return add_layer(m, name, 12u >> i, 16u >> i, f, bytes, q);
}

static void make_yolov5(struct model *m, uint8_t bytes, uint32_t classes)
{
	*m = (struct model){0};
	for (size_t i = 0; i < 2; i++) {
		m->dec[i].n_anchors = 3;
		m->dec[i].anchor_heights = anchors_h[i];
		m->dec[i].anchor_widths = anchors_w[i];
		m->dec[i].boxes = scale_layer(m, i, "conv", 3 * (5 + classes), bytes, unit(bytes));
	}
	m->op.n_decoders = 2;
	finish_op(m, HEF_OP_YOLOV5, classes);
	random_frames(m, 11);
}

static void make_yolov8(struct model *m, uint8_t bytes, uint32_t classes)
{
	*m = (struct model){0};
	for (size_t i = 0; i < 2; i++) {
		m->dec[i].stride = 8u << i;
		m->dec[i].boxes = scale_layer(m, i, "reg", 64, bytes, logits(bytes));
		m->dec[i].classes = scale_layer(m, i, "cls", classes, bytes, unit(bytes));
	}
	m->op.n_decoders = 2;
	finish_op(m, HEF_OP_YOLOV8, classes);
	random_frames(m, 22);
}

static void make_yolox(struct model *m, uint8_t bytes, uint32_t classes)
{
	*m = (struct model){0};
	for (size_t i = 0; i < 2; i++) {
		m->dec[i].boxes = scale_layer(m, i, "reg", 4, bytes, logits(bytes));
		m->dec[i].classes = scale_layer(m, i, "cls", classes, bytes, unit(bytes));
		m->dec[i].objectness = scale_layer(m, i, "obj", 1, bytes, unit(bytes));
	}
	m->op.n_decoders = 2;
	finish_op(m, HEF_OP_YOLOX, classes);
	random_frames(m, 33);
}

static void make_ssd(struct model *m, uint8_t bytes, uint32_t classes)
{
	static float h[3] = {0.2f, 0.35f, 0.6f}, w[3] = {0.25f, 0.3f, 0.5f};

	*m = (struct model){0};
	for (size_t i = 0; i < 2; i++) {
		m->dec[i].n_anchors = 3;
		m->dec[i].anchor_heights = h;
		m->dec[i].anchor_widths = w;
		m->dec[i].boxes = scale_layer(m, i, "reg", 12, bytes, logits(bytes));
		m->dec[i].classes = scale_layer(m, i, "cls", 3 * classes, bytes, unit(bytes));
	}
	m->op.n_decoders = 2;
	finish_op(m, HEF_OP_SSD, classes);
	m->op.centers_scale = 10;
	m->op.boxes_scale = 5;
	m->op.ty = 0;
	m->op.tx = 1;
	m->op.th = 2;
	m->op.tw = 3;
	random_frames(m, 44);
}

static int init(struct model *m, struct host_detector *d, struct hw_error *err)
{
	const struct host_streams streams = {m->n, m->list};

	return host_detector_init(&m->op, &streams, d, err);
}

static bool near(double a, double b)
{
	return fabs(a - b) <= 2e-6 * (1 + fabs(b));
}

static void check_box(const struct host_box *got, const struct detref_box *want, size_t i)
{
	if (got->class_id != want->class_id || !near((double)got->score, want->score) ||
	    !near((double)got->y_min, want->y_min) || !near((double)got->x_min, want->x_min) ||
	    !near((double)got->y_max, want->y_max) || !near((double)got->x_max, want->x_max))
		fail_msg("box %zu: %g %g %g %g, %g of class %u instead of %g %g %g %g, %g of %u", i,
			 (double)got->y_min, (double)got->x_min, (double)got->y_max, (double)got->x_max,
			 (double)got->score, got->class_id, want->y_min, want->x_min, want->y_max, want->x_max,
			 want->score, want->class_id);
}

/* Detector and suppression against the reference; how many boxes there were and remained. */
static void compare(struct model *m, size_t *found, size_t *kept)
{
	const struct host_limits all = {SIZE_MAX, SIZE_MAX};
	struct host_boxes boxes = {0};
	struct host_detector d;
	struct hw_error err;
	struct detref want;

	assert_ok(init(m, &d, &err), &err);
	host_detector_run(&d, (const void *const *)m->frame, &boxes);
	want = detref_run(&m->op, m->list, (const void *const *)m->frame, m->n);
	assert_int_equal(boxes.n, want.n);
	*found = want.n;
	detref_suppress(&want, m->op.iou_threshold);
	assert_int_equal(host_boxes_suppress(&boxes, d.classes, m->op.iou_threshold, &all), 0);
	assert_int_equal(boxes.n, want.n);
	for (size_t i = 0; i < want.n; i++)
		check_box(&boxes.v[i], &want.v[i], i);
	*kept = want.n;
	free(want.v);
	host_boxes_free(&boxes);
	host_detector_free(&d);
}

static void check(struct model *m)
{
	size_t found, kept;

	compare(m, &found, &kept);
	/* Enough to see something, and some of it suppressed. */
	assert_true(found > 15);
	assert_true(kept < found);
	assert_true(kept > 3);
	free_model(m);
}

static void yolov5(void **state)
{
	struct model m;

	(void)state;
	make_yolov5(&m, 2, 3);
	m.op.score_threshold = (double)0.5f;
	check(&m);
}

static void yolov8(void **state)
{
	struct model m;

	(void)state;
	make_yolov8(&m, 2, 5);
	/* 12 x 16 x 5 = 960 and 240 scores, all different */
	for (size_t i = 1; i < m.n; i += 2)
		for (size_t e = 0; e < (size_t)m.layer[i].height * m.layer[i].width * 5; e++)
			detref_set(&m.layer[i], m.frame[i], e / 5 / m.layer[i].width, e / 5 % m.layer[i].width,
				   e % 5, (uint32_t)((e * 53 % 1200) * 50 + i * 7));
	check(&m);
	/* 8 bits: few scores, so few cells */
	make_yolov8(&m, 1, 1);
	for (size_t i = 1; i < m.n; i += 2)
		for (size_t e = 0; e < (size_t)m.layer[i].height * m.layer[i].width; e++)
			detref_set(&m.layer[i], m.frame[i], e / m.layer[i].width, e % m.layer[i].width, 0,
				   i == 1 && e < 64 ? 70 + (uint32_t)(e * 37 % 64) : i == 3 && e < 40 ? 140 + (uint32_t)e : 10);
	check(&m);
}

static void yolox(void **state)
{
	struct model m;

	(void)state;
	make_yolox(&m, 2, 4);
	m.op.score_threshold = (double)0.4f;
	check(&m);
}

static void ssd(void **state)
{
	struct model m;

	(void)state;
	for (uint32_t background = 0; background < 3; background++) {
		make_ssd(&m, 2, 3);
		m.op.background_removal = background < 2;
		m.op.background_index = background == 1 ? 2 : 0;
		/* Another order of the four numbers, too */
		if (background == 2) {
			m.op.tx = 2;
			m.op.ty = 3;
			m.op.tw = 0;
			m.op.th = 1;
		}
		m.op.score_threshold = (double)0.8f;
		for (size_t i = 1; i < m.n; i += 2)
			distinct_scores(&m, &m.layer[i], 9);
		/* One scale must not repeat the other's scores. */
		for (size_t i = 0; i < (size_t)m.layer[3].height * m.layer[3].width * 9; i++)
			detref_set(&m.layer[3], m.frame[3], i / 9 / m.layer[3].width, i / 9 % m.layer[3].width, i % 9,
				   60000 - (uint32_t)i * 3);
		check(&m);
	}
}

/* Of equal scores the first in the text's order is the better: scale, row, column, anchor, class. */
static void equal_scores(void **state)
{
	static void (*const make[])(struct model *, uint8_t, uint32_t) = {make_yolov5, make_yolov8, make_yolox, make_ssd};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(make); i++) {
		const struct host_limits all = {SIZE_MAX, SIZE_MAX};
		struct host_boxes boxes = {0};
		struct host_detector d;
		struct hef_decoder first;
		struct hw_error err;
		struct detref want;
		struct model m;

		make[i](&m, 1, 2);
		for (size_t k = 0; k < m.n; k++) { /* few values, and so few scores */
			size_t n = (size_t)m.layer[k].hw_height * m.layer[k].hw_width * m.layer[k].features;
			uint8_t *v = m.frame[k];

			for (size_t e = 0; e < n; e++)
				v[e] = (uint8_t)(v[e] / 64 * 80);
		}
		first = m.dec[0];
		if (i == 0) { /* inputs of YOLOv5 are visited by name */
			m.dec[0] = m.dec[1];
			m.dec[1] = first;
		}
		assert_ok(init(&m, &d, &err), &err);
		host_detector_run(&d, (const void *const *)m.frame, &boxes);
		want = detref_run(&m.op, m.list, (const void *const *)m.frame, m.n);
		assert_true(want.n > 100);
		assert_int_equal(host_boxes_suppress(&boxes, d.classes, 2, &all), 0); /* all remain */
		assert_int_equal(boxes.n, want.n);
		for (size_t k = 1; k < want.n; k++) { /* without changing places among equals */
			struct detref_box t = want.v[k];
			size_t at = k;

			for (; at > 0 && (float)want.v[at - 1].score < (float)t.score; at--)
				want.v[at] = want.v[at - 1];
			want.v[at] = t;
		}
		for (size_t k = 0; k < want.n; k++)
			check_box(&boxes.v[k], &want.v[k], k);
		free(want.v);
		host_boxes_free(&boxes);
		host_detector_free(&d);
		free_model(&m);
	}
}

/* 5.13: of decoders that name the same layer the first one's anchors count. */
static void decoders_of_one_layer(void **state)
{
	(void)state;
	for (int ssd = 0; ssd < 2; ssd++) {
		struct host_boxes boxes[2] = {{0}};
		struct model m;

		for (size_t again = 0; again < 2; again++) {
			struct host_detector d;
			struct hw_error err;

			(ssd ? make_ssd : make_yolov5)(&m, 1, 2);
			if (again) {
				m.dec[2] = m.dec[0];
				m.dec[2].anchor_heights = m.dec[2].anchor_widths = anchors_h[2];
				m.op.n_decoders = 3;
			}
			assert_ok(init(&m, &d, &err), &err);
			host_detector_run(&d, (const void *const *)m.frame, &boxes[again]);
			host_detector_free(&d);
			free_model(&m);
		}
		assert_true(boxes[0].n > 20);
		assert_true(ssd ? boxes[1].n > boxes[0].n : boxes[1].n == boxes[0].n);
		for (size_t i = 0; i < boxes[1].n; i++) /* SSD reads the layer twice */
			assert_memory_equal(&boxes[1].v[i], &boxes[0].v[i < boxes[0].n ? i : i - boxes[0].n],
					    offsetof(struct host_box, origin));
		host_boxes_free(&boxes[0]);
		host_boxes_free(&boxes[1]);
	}
}

/* 5.14, worked by hand: one cell, one anchor */
static void yolov5_by_hand(void **state)
{
	/* t_x 0.5, t_y 0.25, t_w 1, t_h 0.5, objectness 0.5, class 0.75: multiples of 1/4 */
	static const uint32_t stored[6] = {2, 1, 4, 2, 2, 3};
	struct host_boxes boxes = {0};
	struct host_detector d;
	struct hw_error err;
	struct model m;

	(void)state;
	make_yolov5(&m, 1, 1);
	m.layer[0].quant = m.layer[1].quant = (struct hw_quant){0, 0.25f, 0, 60};
	memset(m.frame[0], 0, 12 * 16 * 18);
	memset(m.frame[1], 0, 6 * 8 * 18);
	for (size_t k = 0; k < 6; k++)
		detref_set(&m.layer[0], m.frame[0], 2, 5, 6 + k, stored[k]); /* the second anchor */
	assert_ok(init(&m, &d, &err), &err);
	host_detector_run(&d, (const void *const *)m.frame, &boxes);
	assert_int_equal(boxes.n, 1);
	/* w = 4 * 16 / 128 = 0.5, h = 1 * 30 / 96 = 0.3125, x = 5.5 / 16, y = 2 / 12 */
	assert_true(near((double)boxes.v[0].x_min, 5.5 / 16 - 0.25));
	assert_true(near((double)boxes.v[0].x_max, 5.5 / 16 + 0.25));
	assert_true(near((double)boxes.v[0].y_min, 2.0 / 12 - 0.15625));
	assert_true(near((double)boxes.v[0].y_max, 2.0 / 12 + 0.15625));
	assert_true(near((double)boxes.v[0].score, 0.375));
	host_boxes_free(&boxes);
	host_detector_free(&d);
	free_model(&m);
}

/* 5.14, boxes only: the order of rows, and no thresholds */
static void tables_of_boxes(void **state)
{
	struct host_detector d;
	struct hw_error err;
	struct model m;
	float *table, *at;

	(void)state;
	make_yolov5(&m, 1, 2);
	m.op.boxes_only = true;
	assert_ok(init(&m, &d, &err), &err);
	assert_int_equal(d.rows, 3 * (12 * 16 + 6 * 8));
	table = malloc(d.rows * 7 * sizeof(*table));
	assert_non_null(table);
	host_detector_table(&d, (const void *const *)m.frame, table);
	at = table;
	for (size_t i = 2; i-- > 0;) { /* rising names: the second scale comes first */
		const struct hef_layer *l = &m.layer[i];

		for (size_t r = 0; r < l->height; r++)
			for (size_t c = 0; c < l->width; c++)
				for (size_t a = 0; a < 3; a++, at += 7) {
					double x = (2 * detref_at(l, m.frame[i], r, c, 7 * a) - 0.5 + (double)c) / l->width;
					double w = pow(2 * detref_at(l, m.frame[i], r, c, 7 * a + 2), 2) *
						   (double)anchors_w[i][a] / 128;

					assert_true(near((double)at[1], x - w / 2));
					assert_true(near((double)at[3], x + w / 2));
					for (size_t k = 4; k < 7; k++)
						assert_true(near((double)at[k], detref_at(l, m.frame[i], r, c, 7 * a + k)));
				}
	}
	free(table);
	host_detector_free(&d);
	free_model(&m);

	make_yolov8(&m, 2, 3);
	m.op.boxes_only = true;
	m.op.score_threshold = -1; /* the reference then lists every class of every cell */
	assert_ok(init(&m, &d, &err), &err);
	assert_int_equal(d.rows, 12 * 16 + 6 * 8);
	table = malloc(d.rows * 7 * sizeof(*table));
	assert_non_null(table);
	host_detector_table(&d, (const void *const *)m.frame, table);
	{
		struct detref want = detref_run(&m.op, m.list, (const void *const *)m.frame, m.n);

		assert_int_equal(want.n, d.rows * 3);
		for (size_t i = 0; i < want.n; i++) {
			const float *row = table + i / 3 * 7;
			const struct host_box box = {row[0], row[1], row[2], row[3], row[4 + i % 3],
						     (uint32_t)(i % 3), 0, 0};

			check_box(&box, &want.v[i], i);
		}
		free(want.v);
	}
	free(table);
	host_detector_free(&d);
	free_model(&m);
}

/* Scanning for hits is right for every stored value and any threshold, also where the scale is not positive. */
static void scans_equal_the_comparison(void **state)
{
	static const struct hw_quant quants[] = {
		{0, 1.0f / 255, 0, 1}, {3.5f, 0.01f, 0, 1}, {128, -0.01f, 0, 1}, {0, 1e-30f, 0, 1}, {200, 0.5f, 0, 1},
	};
	static const double thresholds[] = {0, 0.25, 0.5, (double)0.3f, 1, -5, 1e30, -1e30};
	size_t hits = 0, misses = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(quants) * ARRAY_SIZE(thresholds) * 4; i++) {
		const struct hw_quant *q = &quants[i % ARRAY_SIZE(quants)];
		double th = thresholds[i / ARRAY_SIZE(quants) % ARRAY_SIZE(thresholds)];
		bool sigmoid = i / 40 % 2, wide = i / 80;
		struct hef_layer l = detref_layer("l", 2, 37, 3, 40, wide ? 2 : 1, *q);
		const struct hef_layer *const list[] = {&l};
		const struct host_streams streams = {1, list};
		const struct hef_op op = {.kind = HEF_OP_YOLOV5, .name = (char *)(uintptr_t)"op"};
		uint32_t columns[37];
		struct host_grid g;
		struct hw_error err;
		void *frame = detref_frame(&l, (uint32_t)i, most(l.data_bytes));

		assert_ok(host_grid_init(&op, &l, 3, &streams, &g, &err), &err);
		host_grid_look_for(&g, th, sigmoid);
		for (size_t r = 0; r < 2; r++)
			for (size_t k = 0; k < 3; k++) {
				size_t n = host_grid_hits(&g, frame, r, k, columns), seen = 0;

				for (uint32_t c = 0; c < 37; c++) {
					float x = (float)detref_at(&l, frame, r, c, k);
					/* The product in single precision, as the chip's values are defined */
					float v = host_grid_at(&g, frame, r, c, k);

					assert_true(near((double)v, (double)x) || fabs((double)x) < 1e-20);
					if ((double)(sigmoid ? 1.0f / (1.0f + expf(-v)) : v) >= th) {
						assert_true(seen < n);
						assert_int_equal(columns[seen++], c);
						hits++;
					} else {
						misses++;
					}
				}
				assert_int_equal(seen, n);
			}
		free(frame);
	}
	assert_true(hits > 1000);
	assert_true(misses > 1000);
}

/* All ones, and scales that make infinities: it ends, and nothing is read or written outside (ASan). */
static void frames_from_hell(void **state)
{
	void (*const make[])(struct model *m, uint8_t bytes, uint32_t classes) = {make_yolov5, make_yolov8,
										  make_yolox, make_ssd};

	(void)state;
	for (size_t i = 0; i < 4 * 4; i++) {
		static const struct hw_quant quants[] = {{0, 1, 0, 1}, {0, 3e38f, 0, 1}, {0, NAN, 0, 1}, {NAN, -1, 0, 1}};
		const struct host_limits limits = {.per_class = 20, .total = SIZE_MAX};
		size_t size = 2 * (1 + 5 * 20) * sizeof(float);
		uint8_t *frame = malloc(size);
		struct host_boxes boxes = {0};
		struct host_detector d;
		struct hw_error err;
		struct model m;
		float count;

		assert_non_null(frame);
		make[i % 4](&m, 1, 2);
		for (size_t k = 0; k < m.n; k++) {
			m.layer[k].quant = quants[i / 4];
			memset(m.frame[k], 0xff, (size_t)m.layer[k].hw_height * m.layer[k].hw_width *
							 m.layer[k].hw_features);
		}
		assert_ok(init(&m, &d, &err), &err);
		host_detector_run(&d, (const void *const *)m.frame, &boxes);
		assert_int_equal(host_boxes_suppress(&boxes, 2, 0.5, &limits), 0);
		assert_true(boxes.n <= 2 * 20);
		assert_int_equal(host_write_by_class(&boxes, 2, 20, frame, size), 0);
		memcpy(&count, frame, sizeof(count));
		assert_true(count >= 0 && count <= 20);
		free(frame);
		host_boxes_free(&boxes);
		host_detector_free(&d);
		free_model(&m);
	}
}

/* ------------------------------------------------------------------ refusals */

static void no_anchors(struct model *m)
{
	m->dec[1].n_anchors = 0;
}

static void one_decoder(struct model *m)
{
	m->op.n_decoders = 1;
}

static void same_decoder(struct model *m)
{
	m->dec[1].boxes = m->dec[0].boxes;
}

static void padded_features(struct model *m)
{
	m->layer[0].hw_features++;
}

static void nhwc(struct model *m)
{
	m->layer[1].order = HW_ORDER_NHWC;
}

static void transposed(struct model *m)
{
	m->layer[0].transposed = true;
}

static void mixed(struct model *m)
{
	m->layer[1].data_bytes = 2;
}

static void by_feature(struct model *m)
{
	static struct hw_quant q[64];

	m->layer[0].n_feature_quant = 64;
	m->layer[0].feature_quant = q;
}

static void no_quant(struct model *m)
{
	m->layer[0].quant = (struct hw_quant){0};
}

static void no_image(struct model *m)
{
	m->op.image_width = NAN;
}

static void odd_frame(struct model *m)
{
	m->layer[2].hw_width = 17;
}

static void no_classes(struct model *m)
{
	m->op.classes = 0;
}

static void outside_box(struct model *m)
{
	m->op.tw = 4;
}

static void divide_by_zero(struct model *m)
{
	m->op.boxes_scale = 0;
}

static void middle_background(struct model *m)
{
	m->op.background_removal = true;
	m->op.background_index = 1;
}

static void wrong_grid(struct model *m)
{
	m->layer[0].height = 13;
}

static void what_is_out_of_reach(void **state)
{
	static const struct {
		void (*make)(struct model *m, uint8_t bytes, uint32_t classes);
		void (*spoil)(struct model *m);
		const char *word;
	} rows[] = {
		{make_yolov5, no_anchors, "anchors"},      {make_yolov5, one_decoder, "one box decoder"},
		{make_yolov5, same_decoder, "one box decoder"}, {make_yolov5, padded_features, "features"},
		{make_yolov8, nhwc, "NHCW"},		   {make_yolox, transposed, "transposed"},
		{make_yolov8, mixed, "16"},		   {make_yolov8, by_feature, "quantised"},
		{make_ssd, no_quant, "quantised"},	   {make_yolov5, no_image, "image"},
		{make_yolov8, no_image, "image"},	   {make_yolox, odd_frame, "multiple of 8"},
		{make_yolov8, no_classes, "classes"},	   {make_ssd, outside_box, "four"},
		{make_ssd, divide_by_zero, "divides"},	   {make_ssd, middle_background, "background"},
		{make_yolov8, wrong_grid, "smaller"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct host_detector d;
		struct hw_error err = {0};
		struct model m;

		rows[i].make(&m, 1, 3);
		rows[i].spoil(&m);
		if (init(&m, &d, &err) != -ENOTSUP)
			fail_msg("row %zu (%s) is not refused", i, rows[i].word);
		/* By name: which kind of op, and which one */
		if (!strstr(err.text, "-Post-Process \"op\"") || !strstr(err.text, rows[i].word))
			fail_msg("row %zu: %s", i, err.text);
		host_detector_free(&d);
		free_model(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(yolov5),
		cmocka_unit_test(yolov8),
		cmocka_unit_test(yolox),
		cmocka_unit_test(ssd),
		cmocka_unit_test(equal_scores),
		cmocka_unit_test(decoders_of_one_layer),
		cmocka_unit_test(yolov5_by_hand),
		cmocka_unit_test(tables_of_boxes),
		cmocka_unit_test(scans_equal_the_comparison),
		cmocka_unit_test(frames_from_hell),
		cmocka_unit_test(what_is_out_of_reach),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
