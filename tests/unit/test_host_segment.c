// SPDX-License-Identifier: MIT
/* Masks of YOLOv5 segmentation against 5.14 in double precision, and the frame of 6.9. */
#include "support/support.h"

#include <math.h>

#include "host/net.h"
#include "support/detref.h"

#define CLASSES 2u
#define IMAGE_H 72u
#define IMAGE_W 64u
#define PROTO_H 18u
#define PROTO_W 16u

struct model {
	struct hef_op op;
	struct hef_decoder dec[2];
	struct hef_layer layer[3]; /* two scales, prototypes */
	const struct hef_layer *list[3];
	void *frame[3];
};

static float anchors_h[3] = {10, 24, 40}, anchors_w[3] = {12, 20, 90};

static void make(struct model *m, uint8_t bytes)
{
	const struct hw_quant q = bytes == 2 ? (struct hw_quant){32768, 12.0f / 65536, -6, 6}
					     : (struct hw_quant){128, 12.0f / 256, -6, 6};
	const struct hw_quant proto = {128, 1.0f / 64, -2, 2};

	*m = (struct model){0};
	m->layer[0] = detref_layer("net/a", 8, 8, 3 * (5 + CLASSES + 32), 8, bytes, q);
	m->layer[1] = detref_layer("net/b", 4, 4, 3 * (5 + CLASSES + 32), 8, bytes, q);
	m->layer[2] = detref_layer("net/proto", PROTO_H, PROTO_W, 32, PROTO_W, 1, proto);
	for (size_t i = 0; i < 3; i++) {
		m->list[i] = &m->layer[i];
		m->frame[i] = detref_frame(&m->layer[i], (uint32_t)i + 5, i == 2 || bytes == 1 ? 256 : 65536);
	}
	for (size_t i = 0; i < 2; i++)
		m->dec[i] = (struct hef_decoder){.boxes = &m->layer[i], .n_anchors = 3,
						 .anchor_heights = anchors_h, .anchor_widths = anchors_w};
	m->op = (struct hef_op){
		.kind = HEF_OP_YOLOV5_SEG,
		.name = (char *)(uintptr_t)"op",
		.n_inputs = 3,
		.inputs = m->list,
		.score_threshold = (double)0.8f,
		.iou_threshold = (double)0.6f,
		.max_per_class = 50,
		.classes = CLASSES,
		.image_height = IMAGE_H,
		.image_width = IMAGE_W,
		.mask_threshold = 0.5,
		.prototypes = &m->layer[2],
		.n_decoders = 2,
		.decoders = m->dec,
	};
}

static void free_model(struct model *m)
{
	for (size_t i = 0; i < 3; i++)
		free(m->frame[i]);
}

/* A triangle filter of radius 1, its weights summed over all samples, edges clamped */
static double filtered(const double *line, size_t step, long n, double at)
{
	double sum = 0, weights = 0;

	for (long i = -2; i < n + 2; i++) {
		double w = 1 - fabs((double)i - at);
		long k = i < 0 ? 0 : i >= n ? n - 1 : i;

		if (w <= 0)
			continue;
		sum += w * line[(size_t)k * step];
		weights += w;
	}
	return sum / weights;
}

static double mask_value(const double grid[PROTO_H][PROTO_W], size_t row, size_t column)
{
	double y = ((double)row + 0.5) * PROTO_H / IMAGE_H - 0.5, x = ((double)column + 0.5) * PROTO_W / IMAGE_W - 0.5;
	double lines[PROTO_H];

	for (size_t r = 0; r < PROTO_H; r++)
		lines[r] = filtered(grid[r], 1, PROTO_W, x);
	return filtered(lines, 1, PROTO_H, y);
}

static size_t check_mask(const struct model *m, const struct detref_box *want, const struct hw_detection *got)
{
	static double grid[PROTO_H][PROTO_W];
	long top = (long)ceil(want->y_min * IMAGE_H), left = (long)ceil(want->x_min * IMAGE_W);
	long bottom = (long)ceil(want->y_max * IMAGE_H), right = (long)ceil(want->x_max * IMAGE_W);
	size_t set = 0;

	for (size_t r = 0; r < PROTO_H; r++)
		for (size_t c = 0; c < PROTO_W; c++) {
			double sum = 0;

			for (size_t k = 0; k < 32; k++)
				sum += want->mask[k] * detref_at(&m->layer[2], m->frame[2], r, c, k);
			grid[r][c] = 1 / (1 + exp(-sum));
		}
	assert_int_equal(got->mask_height, (size_t)ceil((want->y_max - want->y_min) * IMAGE_H));
	assert_int_equal(got->mask_width, (size_t)ceil((want->x_max - want->x_min) * IMAGE_W));
	for (uint32_t r = 0; r < got->mask_height; r++)
		for (uint32_t c = 0; c < got->mask_width; c++) {
			long row = top + (long)r, column = left + (long)c;
			uint8_t is = got->mask[(size_t)r * got->mask_width + c];
			double v;

			if (row < 0 || row >= (long)IMAGE_H || column < 0 || column >= (long)IMAGE_W || row > bottom ||
			    column > right) {
				assert_int_equal(is, 0);
				continue;
			}
			v = mask_value(grid, (size_t)row, (size_t)column);
			if (fabs(v - m->op.mask_threshold) > 1e-5)
				assert_int_equal(is, v > m->op.mask_threshold);
			set += is;
		}
	return set;
}

/* As host_net does it */
static size_t run(const struct model *m, size_t max_total, size_t size, uint8_t *frame, struct hw_detection *out,
		  size_t max)
{
	const struct host_streams streams = {3, m->list};
	const struct host_limits limits = {SIZE_MAX, max_total};
	const struct hw_tensor_info info = {
		.order = HW_ORDER_HAILO_NMS_WITH_BYTE_MASK, .frame_bytes = size, .classes = CLASSES,
		.image_height = IMAGE_H, .image_width = IMAGE_W,
	};
	struct host_boxes boxes = {0};
	struct host_detector d;
	struct hw_error err;

	assert_ok(host_detector_init(&m->op, &streams, &d, &err), &err);
	host_detector_run(&d, (const void *const *)m->frame, &boxes);
	assert_int_equal(host_boxes_suppress(&boxes, d.classes, m->op.iou_threshold, &limits), 0);
	host_masks_write(&d, (const void *const *)m->frame, &boxes, max_total, frame, size);
	host_boxes_free(&boxes);
	host_detector_free(&d);
	return hw_detections_read(&info, frame, out, max);
}

static bool near(float a, double b)
{
	return fabs((double)a - b) < 1e-5;
}

static void masks(void **state)
{
	(void)state;
	{
		enum { ROOM = 64 };
		static struct hw_detection got[ROOM];
		size_t size = 2 + ROOM * 38 + ROOM * 4 * IMAGE_H * IMAGE_W, n, set = 0, all = 0;
		uint8_t *frame = malloc(size);
		struct detref want;
		struct model m;

		assert_non_null(frame);
		make(&m, 2);
		n = run(&m, ROOM, size, frame, got, ROOM);
		want = detref_run(&m.op, m.list, (const void *const *)m.frame, 3);
		detref_suppress(&want, m.op.iou_threshold);
		assert_int_equal(n, want.n);
		assert_true(n > 5 && n < ROOM);
		for (size_t i = 0; i < n; i++) {
			assert_int_equal(got[i].class_id, want.v[i].class_id);
			assert_true(near(got[i].score, want.v[i].score));
			assert_true(near(got[i].y_min, want.v[i].y_min) && near(got[i].x_max, want.v[i].x_max));
			assert_non_null(got[i].mask);
			set += check_mask(&m, &want.v[i], &got[i]);
			all += (size_t)got[i].mask_height * got[i].mask_width;
		}
		/* Neither empty nor full */
		assert_true(set > all / 50 && set < all - all / 50);
		free(want.v);
		free(frame);
		free_model(&m);
	}
}

/* 6.9: records without gaps; the number is that of what is stored (Appendix C), in any room. */
static void records(void **state)
{
	size_t before = 0;
	struct model m;

	(void)state;
	make(&m, 1);
	for (size_t size = 2; size < 40000; size += size / 9 + 1) {
		uint8_t *frame = malloc(size); /* ASan watches its end */
		struct hw_detection d[200];
		size_t n, at = 2;
		uint16_t count;

		assert_non_null(frame);
		memset(frame, 0xa5, size);
		n = run(&m, 12, size, frame, d, 200);
		memcpy(&count, frame, 2);
		assert_int_equal(count, n);
		assert_true(n <= 12);
		assert_true(n >= before);
		before = n;
		for (size_t i = 0; i < n; i++) {
			size_t bytes;
			uint8_t *mask;

			memcpy(&bytes, frame + at + 22, sizeof(bytes));
			memcpy(&mask, frame + at + 30, sizeof(mask));
			assert_ptr_equal(mask, frame + at + 38);
			assert_int_equal(bytes, (size_t)d[i].mask_height * d[i].mask_width);
			at += 38 + bytes;
			assert_true(at < size);
		}
		for (; at < size; at++)
			assert_int_equal(frame[at], 0);
		free(frame);
	}
	assert_true(before > 3);
	{
		uint8_t *frame = malloc(40000);
		struct hw_detection d[8];

		assert_non_null(frame);
		assert_int_equal(run(&m, 2, 40000, frame, d, 8), 2);
		free(frame);
	}
	free_model(&m);
}

/* Boxes of any size, or none at all */
static void frames_from_hell(void **state)
{
	static const float scales[] = {1e30f, NAN, -1e30f, 0.0f, 3e38f};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(scales) * 2; i++) {
		static struct hw_detection d[8];
		size_t size = 20000;
		uint8_t *frame = malloc(size);
		struct model m;

		assert_non_null(frame);
		make(&m, 1);
		m.layer[0].quant.scale = m.layer[1].quant.scale = scales[i / 2];
		m.op.score_threshold = i % 2 ? 0 : -1;
		anchors_w[0] = i % 2 ? 1e30f : -1e9f;
		assert_true(run(&m, 8, size, frame, d, 8) <= 8);
		anchors_w[0] = 12;
		free(frame);
		free_model(&m);
	}
}

static void what_is_refused(void **state)
{
	static const char *const words[] = {"smaller", "padded", "features", "box decoder"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		struct host_detector d;
		struct hw_error err = {0};
		struct model m;

		make(&m, 1);
		if (i == 0)
			m.op.image_width = PROTO_W - 1;
		else if (i == 1)
			m.layer[2].width--;
		else if (i == 2)
			m.layer[2].hw_features = 31;
		else
			m.op.n_decoders = 1;
		assert_int_equal(host_detector_init(&m.op, &(struct host_streams){3, m.list}, &d, &err), -ENOTSUP);
		if (!strstr(err.text, words[i]) || !strstr(err.text, "YOLOv5Seg-Post-Process"))
			fail_msg("row %zu: %s", i, err.text);
		host_detector_free(&d);
		free_model(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(masks),
		cmocka_unit_test(records),
		cmocka_unit_test(frames_from_hell),
		cmocka_unit_test(what_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
