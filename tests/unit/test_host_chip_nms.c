// SPDX-License-Identifier: MIT
/* host/chip_nms.h: words of an NMS on the chip (6.8, protocol 7), whole frames and in pieces, split and fused. */
#include "support/support.h"

#include "host/chip_nms.h"
#include "support/detref.h"

#define DELIMITER UINT64_MAX

/* What a chip has to say: for each section (chunk by chunk, class by class) its boxes. */
struct said {
	size_t n_sections;
	uint32_t count[64];
	uint64_t box[64][16];
};

static struct hef_layer nms_layer(uint32_t classes, uint32_t chunks, uint32_t max_boxes, uint32_t burst)
{
	struct hef_layer l = {
		.name = "net/nms",
		.order = HW_ORDER_HAILO_NMS_ON_CHIP,
		.data_bytes = 2,
		.has_nms = true,
		.quant = {.zero_point = 16, .scale = 1.0f / 1024},
		.nms = {.classes = classes, .bbox_size = 8, .max_boxes = max_boxes, .division_factor = chunks,
			.burst = burst, .burst_size = burst ? burst : 1},
	};

	return l;
}

static void say(struct said *s, size_t sections, uint32_t max, uint32_t seed)
{
	*s = (struct said){.n_sections = sections};
	for (size_t i = 0; i < sections; i++) {
		s->count[i] = i == 1 ? max : i == 2 ? 0 : detref_random(&seed) % (max + 1);
		for (uint32_t k = 0; k < s->count[i]; k++)
			s->box[i][k] = (uint64_t)detref_random(&seed) << 40 ^ (uint64_t)detref_random(&seed) << 20 ^
				       detref_random(&seed);
	}
}

/* The words in which it says so; free() them. */
static void speak(const struct said *s, uint32_t burst, struct buf *out)
{
	*out = (struct buf){0};
	for (size_t i = 0; i < s->n_sections; i++) {
		for (uint32_t k = 0; k < s->count[i]; k++)
			buf_le64(out, s->box[i][k]);
		buf_le64(out, DELIMITER);
		while (burst && out->len / 8 % burst)
			buf_le64(out, DELIMITER);
	}
	assert_false(out->failed);
}

/* The formulas of 6.8, box by box in the order of the wire */
static void check_boxes(const struct said *s, uint32_t classes, const struct hw_quant *q,
			const struct host_boxes *got)
{
	size_t at = 0;

	for (uint32_t class = 0; class < classes; class++) {
		for (size_t i = class; i < s->n_sections; i += classes) {
			for (uint32_t k = 0; k < s->count[i]; k++, at++) {
				uint64_t w = s->box[i][k];
				const float want[5] = {
					((float)(w >> 36 & 4095) - q->zero_point) * q->scale,
					((float)(w >> 24 & 4095) - q->zero_point) * q->scale,
					((float)(w >> 12 & 4095) - q->zero_point) * q->scale,
					((float)(w & 4095) - q->zero_point) * q->scale,
					((float)(w >> 48) - q->zero_point) * q->scale,
				};

				assert_true(at < got->n);
				assert_memory_equal(&got->v[at], want, sizeof(want));
				assert_int_equal(got->v[at].class_id, class);
			}
		}
	}
	assert_int_equal(at, got->n);
}

/* Without bursts, with bursts that hold a class, and with such that do not; in pieces of any size. */
static void frames_are_put_together(void **state)
{
	static const uint32_t bursts[] = {0, 1, 3, 4, 10, 11, 30};

	(void)state;
	for (size_t b = 0; b < ARRAY_SIZE(bursts); b++) {
		for (uint32_t chunks = 0; chunks < 4; chunks += 3) {
			struct hef_layer l = nms_layer(5, chunks, 10, bursts[b]);
			struct host_chip_nms nms;
			const struct host_chip_nms *const part = &nms;
			struct hw_error err;

			assert_ok(host_chip_nms_init(&l, &nms, &err), &err);
			for (uint32_t frame = 0; frame < 3; frame++) {
				size_t piece = bursts[b] ? bursts[b] * 8u : 8u * (1 + frame);
				struct host_boxes boxes = {0};
				struct said s;
				struct buf words;
				int r = 0;

				say(&s, 5u * (chunks ? chunks : 1), 10, frame + (uint32_t)b * 10);
				speak(&s, bursts[b], &words);
				if (bursts[b] > 10 && frame == 1)
					piece = words.len; /* the whole frame at once */
				host_chip_nms_begin(&nms);
				for (size_t at = 0; at < words.len; at += piece) {
					size_t n = words.len - at < piece ? words.len - at : piece;
					uint8_t *copy = malloc(n); /* ASan watches its end */

					assert_non_null(copy);
					assert_int_equal(r, 0);
					memcpy(copy, words.ptr + at, n);
					r = host_chip_nms_feed(&nms, copy, n);
					free(copy);
				}
				assert_int_equal(r, 1);
				host_chip_nms_boxes(&part, 1, 5, &l.quant, &boxes);
				check_boxes(&s, 5, &l.quant, &boxes);
				host_boxes_free(&boxes);
				buf_free(&words);
			}
			host_chip_nms_free(&nms);
		}
	}
}

/* 6.8: these words are no boxes and end nothing. */
static void other_special_words(void **state)
{
	const uint64_t words[] = {UINT64_MAX - 1, 0x0123456789abcdef, UINT64_MAX - 2, DELIMITER, DELIMITER};
	struct hef_layer l = nms_layer(2, 0, 4, 0);
	const struct host_chip_nms *part;
	struct host_boxes boxes = {0};
	struct host_chip_nms nms;
	struct hw_error err;
	uint8_t bytes[sizeof(words)];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		put_le64(bytes + 8 * i, words[i]);
	assert_ok(host_chip_nms_init(&l, &nms, &err), &err);
	host_chip_nms_begin(&nms);
	assert_int_equal(host_chip_nms_feed(&nms, bytes, sizeof(bytes)), 1);
	part = &nms;
	host_chip_nms_boxes(&part, 1, 2, &l.quant, &boxes);
	assert_int_equal(boxes.n, 1);
	/* score 0x0123, y_min 0x456, x_min 0x789, y_max 0xabc, x_max 0xdef */
	assert_true(boxes.v[0].score == (0x123 - 16) / 1024.0f);
	assert_true(boxes.v[0].y_min == (0x456 - 16) / 1024.0f);
	assert_true(boxes.v[0].x_min == (0x789 - 16) / 1024.0f);
	assert_true(boxes.v[0].y_max == (0xabc - 16) / 1024.0f);
	assert_true(boxes.v[0].x_max == (0xdef - 16) / 1024.0f);
	host_boxes_free(&boxes);
	host_chip_nms_free(&nms);
}

static void too_many_boxes(void **state)
{
	struct hef_layer l = nms_layer(3, 0, 4, 0);
	struct host_chip_nms nms;
	struct hw_error err;
	uint8_t zeros[5 * 8] = {0}, ones[64];

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	assert_ok(host_chip_nms_init(&l, &nms, &err), &err);
	host_chip_nms_begin(&nms);
	assert_int_equal(host_chip_nms_feed(&nms, zeros, 4 * 8), 0);
	assert_int_equal(host_chip_nms_feed(&nms, zeros, 8), -EBADMSG);
	host_chip_nms_begin(&nms);
	assert_int_equal(host_chip_nms_feed(&nms, zeros, sizeof(zeros)), -EBADMSG);
	/* And all ones are three empty classes. */
	host_chip_nms_begin(&nms);
	assert_int_equal(host_chip_nms_feed(&nms, ones, 16), 0);
	assert_int_equal(host_chip_nms_feed(&nms, ones, 48), 1);
	host_chip_nms_free(&nms);
}

/* 6.8, last paragraph: class k of the whole is from part k mod n. */
static void split_and_fused(void **state)
{
	enum { N = 3 };
	static const uint32_t classes[N] = {3, 3, 2}; /* of 8 */
	const struct host_chip_nms *parts[N];
	struct host_chip_nms nms[N];
	struct host_boxes boxes = {0};
	struct said whole, part[N] = {0};
	struct hef_layer l = nms_layer(8, 0, 10, 11);
	struct hw_error err;

	(void)state;
	say(&whole, 8, 10, 77);
	for (size_t k = 0; k < 8; k++) {
		struct said *p = &part[k % N];

		p->count[p->n_sections] = whole.count[k];
		memcpy(p->box[p->n_sections++], whole.box[k], sizeof(whole.box[k]));
	}
	for (size_t i = 0; i < N; i++) {
		struct hef_layer one = nms_layer(classes[i], 0, 10, 11);
		struct buf words;

		assert_int_equal(part[i].n_sections, classes[i]);
		assert_ok(host_chip_nms_init(&one, &nms[i], &err), &err);
		speak(&part[i], 11, &words);
		host_chip_nms_begin(&nms[i]);
		assert_int_equal(host_chip_nms_feed(&nms[i], words.ptr, words.len), 1);
		buf_free(&words);
		parts[i] = &nms[i];
	}
	host_chip_nms_boxes(parts, N, 8, &l.quant, &boxes);
	check_boxes(&whole, 8, &l.quant, &boxes);
	host_boxes_free(&boxes);
	for (size_t i = 0; i < N; i++)
		host_chip_nms_free(&nms[i]);
}

static void what_is_refused(void **state)
{
	(void)state;
	for (int row = 0; row < 7; row++) {
		struct hef_layer l = nms_layer(3, 0, 4, 0);
		struct host_chip_nms nms;
		struct hw_error err = {0};

		switch (row) {
		case 0:
			l.nms.bbox_size = 10;
			break;
		case 1:
			l.data_bytes = 1;
			break;
		case 2:
			l.transposed = true;
			break;
		case 3:
			l.nms.classes = 0;
			break;
		case 4:
			l.nms.max_boxes = 65536;
			break;
		case 5:
			l.nms.burst = true;
			l.nms.burst_size = 0;
			break;
		default:
			l.nms.classes = l.nms.division_factor = UINT32_MAX;
			break;
		}
		assert_int_equal(host_chip_nms_init(&l, &nms, &err), -ENOTSUP);
		assert_non_null(strstr(err.text, "net/nms"));
		host_chip_nms_free(&nms);
	}
}

/* Any words: no more boxes than there is room for, and an end. */
static void noise(void **state)
{
	struct hef_layer l = nms_layer(4, 2, 3, 4);
	const struct host_chip_nms *part;
	struct host_chip_nms nms;
	struct hw_error err;
	uint32_t seed = 9;
	size_t complete = 0;

	(void)state;
	assert_ok(host_chip_nms_init(&l, &nms, &err), &err);
	part = &nms;
	for (size_t round = 0; round < 2000; round++) {
		struct host_boxes boxes = {0};
		uint8_t words[8 * 4 * 8];
		int r;

		for (size_t i = 0; i < sizeof(words) / 8; i++)
			put_le64(words + 8 * i, detref_random(&seed) % 3 ? DELIMITER
						: detref_random(&seed) % 2 ? DELIMITER - detref_random(&seed) % 4
									   : detref_random(&seed));
		host_chip_nms_begin(&nms);
		r = host_chip_nms_feed(&nms, words, sizeof(words));
		complete += r == 1;
		assert_true(r == 0 || r == 1 || r == -EBADMSG);
		if (r != 1)
			continue;
		host_chip_nms_boxes(&part, 1, 4, &l.quant, &boxes);
		assert_true(boxes.n <= 4 * 2 * 3);
		host_boxes_free(&boxes);
	}
	assert_true(complete > 20);
	assert_true(complete < 2000);
	host_chip_nms_free(&nms);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_are_put_together),
		cmocka_unit_test(other_special_words),
		cmocka_unit_test(too_many_boxes),
		cmocka_unit_test(split_and_fused),
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
