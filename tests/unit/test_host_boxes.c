// SPDX-License-Identifier: MIT
/* host/boxes.h and hw_detections_read(): suppression word by word from 5.14, formats byte by byte from 6.9. */
#include "support/support.h"

#include <math.h>

#include "host/boxes.h"
#include "support/detref.h"

static struct host_box random_box(uint32_t *state, uint32_t classes)
{
	float y = (float)(detref_random(state) % 64) / 64, x = (float)(detref_random(state) % 64) / 64;

	return (struct host_box){
		.y_min = y,
		.x_min = x,
		.y_max = y + (float)(detref_random(state) % 32) / 64,
		.x_max = x + (float)(detref_random(state) % 32) / 64,
		.score = (float)(detref_random(state) % 50) / 50, /* many are equal, some 0 */
		.class_id = detref_random(state) % (classes + 1), /* one too many, too */
	};
}

/* As the text says it: sort, then each that survives removes what overlaps with it behind it. */
static size_t suppressed(struct host_box *v, size_t n, uint32_t classes, double iou)
{
	size_t kept = 0;

	for (size_t i = 1; i < n; i++) {
		struct host_box t = v[i];
		size_t k = i;

		for (; k > 0 && v[k - 1].score < t.score; k--)
			v[k] = v[k - 1];
		v[k] = t;
	}
	for (size_t i = 0; i < n; i++) {
		if (v[i].score == 0 || v[i].class_id >= classes)
			continue;
		for (size_t j = i + 1; j < n; j++) {
			float h = fminf(v[i].y_max, v[j].y_max) - fmaxf(v[i].y_min, v[j].y_min);
			float w = fminf(v[i].x_max, v[j].x_max) - fmaxf(v[i].x_min, v[j].x_min);
			float a = (v[i].y_max - v[i].y_min) * (v[i].x_max - v[i].x_min);
			float b = (v[j].y_max - v[j].y_min) * (v[j].x_max - v[j].x_min);
			float overlap = h > 0 && w > 0 ? h * w / (a + b - h * w) : 0;

			if (v[j].class_id == v[i].class_id && (double)overlap >= iou)
				v[j].score = 0;
		}
		v[kept++] = v[i];
	}
	return kept;
}

static void suppression(void **state)
{
	static const double ious[] = {0, 0.3, 0.5, 1, 2};
	size_t removed = 0;

	(void)state;
	for (uint32_t round = 0; round < 60; round++) {
		uint32_t seed = round, classes = 1 + round % 4;
		size_t n = round * 5, kept;
		const struct host_limits all = {SIZE_MAX, SIZE_MAX};
		struct host_box *want = calloc(n + 1, sizeof(*want));
		struct host_boxes b = {0};

		assert_non_null(want);
		for (size_t i = 0; i < n; i++) {
			want[i] = random_box(&seed, classes);
			want[i].order = i;
		}
		for (size_t i = n; i-- > 0;) /* not in that order */
			host_boxes_put(&b, &want[i]);
		kept = suppressed(want, n, classes, ious[round % 5]);
		assert_int_equal(host_boxes_suppress(&b, classes, ious[round % 5], &all), 0);
		assert_int_equal(b.n, kept);
		for (size_t i = 0; i < kept; i++)
			assert_memory_equal(&b.v[i], &want[i], offsetof(struct host_box, origin));
		removed += n - kept;
		host_boxes_free(&b);
		free(want);
	}
	assert_true(removed > 1000);
}

/* Limits change nothing of what is delivered within them. */
static void limits_cut_the_end(void **state)
{
	(void)state;
	for (size_t limit = 0; limit < 12; limit++) {
		const struct host_limits all = {SIZE_MAX, SIZE_MAX}, per_class = {limit, SIZE_MAX}, total = {SIZE_MAX, limit};
		struct host_boxes a = {0}, b = {0}, c = {0};
		uint32_t seed = 5, seen[3] = {0};
		size_t at = 0;

		for (size_t i = 0; i < 200; i++) {
			struct host_box box = random_box(&seed, 3);

			box.order = i;
			host_boxes_put(&a, &box);
			host_boxes_put(&b, &box);
			host_boxes_put(&c, &box);
		}
		host_boxes_suppress(&a, 3, 0.4, &all);
		host_boxes_suppress(&b, 3, 0.4, &per_class);
		host_boxes_suppress(&c, 3, 0.4, &total);
		assert_int_equal(c.n, limit);
		for (size_t i = 0; i < c.n; i++)
			assert_memory_equal(&c.v[i], &a.v[i], offsetof(struct host_box, origin));
		for (size_t i = 0; i < a.n; i++) {
			if (seen[a.v[i].class_id]++ < limit)
				assert_memory_equal(&b.v[at++], &a.v[i],
						    offsetof(struct host_box, origin));
		}
		assert_int_equal(b.n, at);
		host_boxes_free(&a);
		host_boxes_free(&b);
		host_boxes_free(&c);
	}
}

static void no_number_overlaps_with_nothing(void **state)
{
	const struct host_box sane = {.y_max = 1, .x_max = 1, .score = 0.5f};
	const struct host_box other = {.y_min = 0.5f, .y_max = 1, .x_max = 1, .score = 0.4f};
	const struct host_limits all = {SIZE_MAX, SIZE_MAX};

	(void)state;
	assert_true(host_boxes_iou(&sane, &other) == 0.5f);
	for (float score = 0.1f; score < 1; score += 0.8f) { /* the worst, then the best */
		const struct host_box nan = {.y_min = NAN, .y_max = 1, .x_max = 1, .score = score};
		struct host_boxes b = {0};

		host_boxes_put(&b, &sane);
		host_boxes_put(&b, &nan);
		assert_int_equal(host_boxes_suppress(&b, 1, 0.1, &all), 0);
		assert_int_equal(b.n, 2);
		host_boxes_free(&b);
	}
}

/* ------------------------------------------------------------------- formats */

static void put(struct host_boxes *b, float score, uint32_t class)
{
	const struct host_box box = {score + 1, score + 2, score + 3, score + 4, score, class, 0, 0};

	host_boxes_put(b, &box);
}

static void le_float(struct buf *b, float v)
{
	uint32_t bits;

	memcpy(&bits, &v, sizeof(bits));
	buf_le32(b, bits);
}

static void le_box(struct buf *b, float score)
{
	for (int i = 1; i <= 4; i++)
		le_float(b, score + (float)i);
	le_float(b, score);
}

static void by_class(void **state)
{
	struct host_boxes b = {0};
	struct buf want = {0};
	uint8_t frame[3 * (4 + 2 * 20) + 8];
	size_t size = sizeof(frame) - 8;

	(void)state;
	memset(frame, 0xa5, sizeof(frame));
	put(&b, 9, 2);
	put(&b, 8, 0);
	put(&b, 7, 2);
	put(&b, 6, 2); /* one too many */
	put(&b, 5, 3); /* no such class */
	assert_int_equal(host_write_by_class(&b, 3, 2, frame, size), 0);
	le_float(&want, 1);
	le_box(&want, 8);
	le_float(&want, 0);
	le_float(&want, 2);
	le_box(&want, 9);
	le_box(&want, 7);
	buf_zero(&want, size - want.len);
	assert_bytes_equal(frame, size, want.ptr, want.len, "by class");
	for (size_t i = size; i < sizeof(frame); i++)
		assert_int_equal(frame[i], 0xa5);
	buf_free(&want);
	host_boxes_free(&b);
}

/* Appendix C: not one box too many */
static void by_score(void **state)
{
	struct host_boxes b = {0};
	struct buf want = {0};
	uint8_t frame[2 + 3 * 22 + 8];
	size_t size = sizeof(frame) - 8;

	(void)state;
	put(&b, 9, 2);
	put(&b, 8, 0x1234);
	put(&b, 7, 1);
	put(&b, 6, 0);
	for (size_t max = 0; max < 6; max++) {
		size_t n = max < 3 ? max : 3; /* what the frame has room for */

		memset(frame, 0xa5, sizeof(frame));
		host_write_by_score(&b, max, frame, size);
		want.len = 0;
		buf_le16(&want, (uint16_t)n);
		for (size_t i = 0; i < n; i++) {
			le_box(&want, b.v[i].score);
			buf_le16(&want, (uint16_t)b.v[i].class_id);
		}
		buf_zero(&want, size - want.len);
		assert_bytes_equal(frame, size, want.ptr, want.len, "by score");
		for (size_t i = size; i < sizeof(frame); i++)
			assert_int_equal(frame[i], 0xa5);
	}
	buf_free(&want);
	host_boxes_free(&b);
}

/* What is written can be read, and nothing is written outside of any size. */
static void frames_of_any_size(void **state)
{
	struct host_boxes b = {0};
	uint32_t seed = 3;

	(void)state;
	for (size_t i = 0; i < 40; i++) {
		struct host_box box = random_box(&seed, 3);

		host_boxes_put(&b, &box);
	}
	for (size_t size = 2; size < 300; size++) {
		struct hw_tensor_info info = {.order = HW_ORDER_HAILO_NMS_BY_CLASS, .frame_bytes = size, .classes = 3};
		uint8_t *frame = malloc(size); /* ASan watches its end */
		struct hw_detection d[40];
		size_t n;

		assert_non_null(frame);
		assert_int_equal(host_write_by_class(&b, 3, 100, frame, size), 0);
		n = hw_detections_read(&info, frame, d, 40);
		assert_true(n <= size / 20);
		assert_true(n >= (size < 12 ? 0 : (size - 12) / 20 > 30 ? 30 : size / 40));
		host_write_by_score(&b, SIZE_MAX, frame, size);
		info.order = HW_ORDER_HAILO_NMS_BY_SCORE;
		n = hw_detections_read(&info, frame, d, 40);
		assert_int_equal(n, (size - 2) / 22 < 40 ? (size - 2) / 22 : 40);
		for (size_t i = 0; i < n; i++) {
			assert_memory_equal(&d[i], &b.v[i], 5 * sizeof(float));
			assert_int_equal(d[i].class_id, b.v[i].class_id);
		}
		free(frame);
	}
	host_boxes_free(&b);
}

static void reading_what_nobody_wrote(void **state)
{
	static const enum hw_order orders[] = {HW_ORDER_HAILO_NMS_BY_CLASS, HW_ORDER_HAILO_NMS_BY_SCORE,
					       HW_ORDER_HAILO_NMS_WITH_BYTE_MASK, HW_ORDER_NHWC};
	uint32_t seed = 1;

	(void)state;
	for (size_t round = 0; round < 4000; round++) {
		size_t size = detref_random(&seed) % 200;
		const struct hw_tensor_info info = {
			.order = orders[round % 4],
			.frame_bytes = size,
			.classes = 1 + detref_random(&seed) % 90,
			.image_height = detref_random(&seed) % 700,
			.image_width = 64,
		};
		uint8_t *frame = malloc(size + !size);
		struct hw_detection d[4];
		size_t n;

		assert_non_null(frame);
		for (size_t i = 0; i < size; i++)
			frame[i] = round < 8 ? 0xff : (uint8_t)detref_random(&seed);
		n = hw_detections_read(&info, frame, d, 4);
		assert_true(n <= size / 20);
		if (info.order == HW_ORDER_NHWC)
			assert_int_equal(n, 0);
		for (size_t i = 0; i < n && i < 4; i++) {
			if (d[i].mask)
				assert_true(d[i].mask >= frame &&
					    (uint64_t)d[i].mask_height * d[i].mask_width <=
						    (uint64_t)(frame + size - d[i].mask));
		}
		free(frame);
	}
	assert_int_equal(hw_detections_read(&(struct hw_tensor_info){.order = HW_ORDER_HAILO_NMS_BY_SCORE}, "", NULL, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(suppression),
		cmocka_unit_test(limits_cut_the_end),
		cmocka_unit_test(no_number_overlaps_with_nothing),
		cmocka_unit_test(by_class),
		cmocka_unit_test(by_score),
		cmocka_unit_test(frames_of_any_size),
		cmocka_unit_test(reading_what_nobody_wrote),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
