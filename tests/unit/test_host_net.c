// SPDX-License-Identifier: MIT
/* host/net.h on synthetic files: what users see of each kind of layer and op, and frames there and back. */
#include "support/support.h"

#include <math.h>

#include "hef/listing.h"
#include "host/net.h"
#include "support/detref.h"
#include "support/hefnet.h"

struct rig {
	struct hef *hef;
	const struct hef_core_op *op;
	struct host_net *net;
};

static int open_with(struct rig *rig, struct hefgen *g, const struct host_options *opt, struct hw_error *err)
{
	size_t len;
	uint8_t *file = hefgen_file(g, &len);
	int r;

	*rig = (struct rig){0};
	assert_ok(hef_parse(file, len, &rig->hef, NULL, err), err);
	rig->op = &rig->hef->groups[0].core_ops[0];
	r = host_net_new(&rig->hef->groups[0], rig->op, opt, &rig->net, err);
	return r;
}

static void open_rig(struct rig *rig, struct hefgen *g)
{
	const struct host_options none = {0};
	struct hw_error err;

	assert_ok(open_with(rig, g, &none, &err), &err);
}

static void close_rig(struct rig *rig)
{
	host_net_free(rig->net);
	hef_free(rig->hef);
}

static void refused(struct hefgen *g, const struct host_options *opt, const char *word)
{
	struct hw_error err = {0};
	struct rig rig;

	assert_int_equal(open_with(&rig, g, opt, &err), -ENOTSUP);
	if (!strstr(err.text, word))
		fail_msg("\"%s\" does not speak of \"%s\"", err.text, word);
	close_rig(&rig);
}

/* Frames of all output streams, any bytes; free() them and the array. */
static uint8_t **stream_frames(const struct rig *rig, uint32_t seed)
{
	uint8_t **v = calloc(rig->net->n_out_streams + 1, sizeof(*v));

	assert_non_null(v);
	for (size_t i = 0; i < rig->net->n_out_streams; i++) {
		size_t n = hef_transfer_bytes(rig->net->out_streams[i]);

		v[i] = malloc(n);
		assert_non_null(v[i]);
		for (size_t k = 0; k < n; k++)
			v[i][k] = (uint8_t)detref_random(&seed);
	}
	return v;
}

static void free_frames(uint8_t **v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i]);
	free(v);
}

static uint8_t **user_frames(const struct rig *rig)
{
	uint8_t **v = calloc(rig->net->n_outputs + 1, sizeof(*v));

	assert_non_null(v);
	for (size_t i = 0; i < rig->net->n_outputs; i++) {
		v[i] = malloc(rig->net->outputs[i].info.frame_bytes + 1);
		assert_non_null(v[i]);
	}
	return v;
}

static int collect(struct rig *rig, uint8_t **streams, uint8_t **user, struct hw_error *err)
{
	return host_net_collect(rig->net, (const void *const *)streams, (void *const *)user, err);
}

static const struct hefnet_tensor image = {"m/in", 8, 8, 3, .format = 0};

/* ------------------------------------------------------------------- planes */

static void planes_input(struct hefgen *g, uint32_t format, uint32_t h, const struct hefnet_tensor *plane, size_t n)
{
	static const struct hefnet_tensor out = {"m/fc", 1, 1, 8, .format = 2};
	const struct hefnet_tensor whole = {"m/in", h, 8, 3, .format = 0};

	hefnet_begin(g, "m", NULL, 0, &out, 1);
	hefnet_planes(g, &whole, format, plane, n);
	hefnet_sorted(g, "m/fc");
}

/* 6.11: parts of the user's frame, each padded to its stream's shape */
static void planes(void **state)
{
	static const struct hefnet_tensor nv12[] = {
		{"m/y", 4, 8, 1, .pw = 16, .format = 0},
		{"m/uv", 2, 4, 2, .ph = 3, .pw = 8, .format = 0},
	};
	static const struct hefnet_tensor i420[] = {
		{"m/y", 4, 8, 1, .format = 0}, {"m/u", 2, 4, 1, .format = 0}, {"m/v", 2, 4, 1, .format = 0}};

	(void)state;
	for (int format = 0; format < 3; format++) {
		const struct hefnet_tensor *p = format == 2 ? i420 : nv12;
		size_t n = format == 2 ? 3 : 2, at = 0;
		uint8_t user[48], *streams[3];
		const void *users[1] = {user};
		struct hefgen g;
		struct rig rig;

		planes_input(&g, (uint32_t)format, 2, p, n);
		open_rig(&rig, &g);
		assert_int_equal(rig.net->n_inputs, 1);
		assert_int_equal(rig.net->n_in_streams, n);
		assert_string_equal(rig.net->inputs[0].info.name, "m/in");
		assert_int_equal(rig.net->inputs[0].info.frame_bytes, 48);
		assert_int_equal(rig.net->inputs[0].info.order,
				 format == 0   ? HW_ORDER_NV12
				 : format == 1 ? HW_ORDER_NV21
					       : HW_ORDER_I420);
		for (size_t i = 0; i < sizeof(user); i++)
			user[i] = (uint8_t)(i + 1);
		for (size_t i = 0; i < n; i++) {
			assert_ptr_equal(rig.net->in_streams[i], &rig.op->contexts[0].layers[1].sub[i]);
			streams[i] = malloc(hef_transfer_bytes(rig.net->in_streams[i])); /* ASan watches its end */
			assert_non_null(streams[i]);
			memset(streams[i], 0xa5, hef_transfer_bytes(rig.net->in_streams[i]));
		}
		host_net_fill(rig.net, users, (void *const *)streams);
		for (size_t i = 0; i < n; i++) {
			const struct hef_layer *l = rig.net->in_streams[i];

			for (size_t r = 0; r < l->hw_height; r++)
				for (size_t e = 0; e < (size_t)l->hw_width * l->hw_features; e++) {
					bool inside = r < l->height && e < (size_t)l->width * l->features;
					uint8_t want = inside ? user[at + r * l->width * l->features + e] : 0;

					assert_int_equal(streams[i][r * l->hw_width * l->hw_features + e], want);
				}
			at += (size_t)l->height * l->width * l->features;
			free(streams[i]);
		}
		assert_int_equal(at, sizeof(user));
		close_rig(&rig);
	}
}

static void planes_that_are_no_image(void **state)
{
	static const struct hefnet_tensor two[] = {{"m/y", 4, 8, 1, .format = 0}, {"m/uv", 2, 4, 2, .format = 0}};
	static const struct hefnet_tensor odd[] = {{"m/y", 4, 8, 1, .format = 0}, {"m/uv", 2, 4, 1, .format = 0}};
	const struct host_options none = {0}, nhwc = {.input_order = HW_ORDER_NHWC};
	struct hefgen g;

	(void)state;
	planes_input(&g, 2, 2, two, 2); /* I420 has three */
	refused(&g, &none, "m/in");
	planes_input(&g, 0, 2, odd, 2);
	refused(&g, &none, "share");
	planes_input(&g, 0, 3, two, 2);
	refused(&g, &none, "share");
	planes_input(&g, 0, 2, two, 2);
	refused(&g, &nhwc, "NV12");
}

/* ---------------------------------------------------------------------- mux */

static void mux(void **state)
{
	static const struct hefnet_tensor whole = {"m/mux1", 4, 24, 2, .format = 1};
	static const struct hefnet_tensor leaf[] = {{"m/a", 4, 6, 2, .pw = 8, .format = 1}, {"m/b", 4, 16, 2, .format = 1}};
	static const uint32_t ratios[] = {1, 1};
	uint8_t **streams, **user;
	struct hw_error err;
	struct hefgen g;
	struct rig rig;

	(void)state;
	hefnet_begin(&g, "m", &image, 1, NULL, 0);
	hefnet_mux(&g, &whole, leaf, 2, 4, ratios);
	/* The file's order is not the order of the leaves. */
	hefnet_sorted(&g, "m/b");
	hefnet_sorted(&g, "m/a");
	open_rig(&rig, &g);
	assert_int_equal(rig.net->n_out_streams, 1);
	assert_int_equal(rig.net->n_outputs, 2);
	assert_string_equal(rig.net->outputs[0].info.name, "m/b");
	assert_string_equal(rig.net->outputs[1].info.name, "m/a");
	assert_int_equal(rig.net->outputs[1].info.frame_bytes, 4 * 6 * 2);
	streams = stream_frames(&rig, 1);
	user = user_frames(&rig);
	for (int frame = 0; frame < 2; frame++) {
		assert_ok(collect(&rig, streams, user, &err), &err);
		/* A row of the mux is a row of a, 8 columns wide, then one of b; each feature by feature. */
		for (size_t r = 0; r < 4; r++)
			for (size_t f = 0; f < 2; f++) {
				for (size_t c = 0; c < 6; c++)
					assert_int_equal(user[1][(r * 6 + c) * 2 + f], streams[0][r * 48 + f * 8 + c]);
				for (size_t c = 0; c < 16; c++)
					assert_int_equal(user[0][(r * 16 + c) * 2 + f], streams[0][r * 48 + 16 + f * 16 + c]);
			}
		streams[0][7]++;
	}
	free_frames(streams, 1);
	free_frames(user, 2);
	close_rig(&rig);
}

/* ---------------------------------------------------------------- detectors */

static void fill_yolov8(const struct rig *rig, uint8_t **streams)
{
	for (size_t i = 1; i < rig->net->n_out_streams; i += 2) {
		const struct hef_layer *l = rig->net->out_streams[i];

		/* Nearly all scores low; those few that are not have distinct ones. */
		memset(streams[i], 0, hef_transfer_bytes(l));
		for (uint32_t k = 0; k < 30; k++)
			detref_set(l, streams[i], k % l->height, (k * 7 + 3) % l->width, k * 5 % 80, 30 + k * 6 + (uint32_t)i);
	}
}

static const float *expect_by_class(const struct hw_tensor_info *info, const struct detref *want, const float *at)
{
	for (uint32_t class = 0; class < info->classes; class++) {
		float count = *at++, n = 0;

		for (size_t i = 0; i < want->n; i++) {
			const struct detref_box *b = &want->v[i];

			if (b->class_id != class || n >= (float)info->max_per_class)
				continue;
			assert_true(fabs((double)at[0] - b->y_min) < 1e-4 && fabs((double)at[1] - b->x_min) < 1e-4);
			assert_true(fabs((double)at[2] - b->y_max) < 1e-4 && fabs((double)at[3] - b->x_max) < 1e-4);
			assert_true(fabs((double)at[4] - b->score) < 1e-4);
			at += 5;
			n++;
		}
		assert_true(count == n);
	}
	return at;
}

/* The file of 8.5, from its bytes to the user's frame; then by score, and as the chip's own outputs. */
static void yolov8(void **state)
{
	const struct host_options by_score = {.nms_order = HW_ORDER_HAILO_NMS_BY_SCORE}, raw = {.raw_outputs = true};
	struct hw_detection *d = calloc(8000, sizeof(*d));
	uint8_t **streams, **user;
	struct detref want;
	struct hw_error err;
	struct hefgen g;
	struct rig rig;
	size_t n;

	(void)state;
	assert_non_null(d);
	hefnet_yolov8(&g);
	open_rig(&rig, &g);
	assert_int_equal(rig.net->n_out_streams, 6);
	assert_int_equal(rig.net->n_outputs, 1);
	assert_string_equal(rig.net->outputs[0].info.name, "yolov8n/yolov8_nms_postprocess");
	assert_int_equal(rig.net->outputs[0].info.order, HW_ORDER_HAILO_NMS_BY_CLASS);
	assert_int_equal(rig.net->outputs[0].info.frame_bytes, 160320); /* 8.5 */
	assert_int_equal(rig.net->outputs[0].info.elements * 4, 160320);
	streams = stream_frames(&rig, 8);
	fill_yolov8(&rig, streams);
	user = user_frames(&rig);
	assert_ok(collect(&rig, streams, user, &err), &err);
	want = detref_run(&rig.op->ops[0], rig.net->out_streams, (const void *const *)streams, 6);
	detref_suppress(&want, rig.op->ops[0].iou_threshold);
	assert_true(want.n > 20);
	expect_by_class(&rig.net->outputs[0].info, &want, (const float *)(const void *)user[0]);
	assert_int_equal(hw_detections_read(&rig.net->outputs[0].info, user[0], d, 8000), want.n);
	free_frames(user, 1);
	close_rig(&rig);

	hefnet_yolov8(&g);
	assert_ok(open_with(&rig, &g, &by_score, &err), &err);
	assert_int_equal(rig.net->outputs[0].info.frame_bytes, 2 + 8000 * 22);
	user = user_frames(&rig);
	assert_ok(collect(&rig, streams, user, &err), &err);
	n = hw_detections_read(&rig.net->outputs[0].info, user[0], d, 8000);
	assert_int_equal(n, want.n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(d[i].class_id, want.v[i].class_id);
		assert_true(fabs((double)d[i].score - want.v[i].score) < 1e-4);
	}
	free_frames(user, 1);
	close_rig(&rig);

	hefnet_yolov8(&g);
	assert_ok(open_with(&rig, &g, &raw, &err), &err);
	assert_int_equal(rig.net->n_outputs, 6);
	assert_int_equal(rig.net->outputs[5].info.order, HW_ORDER_NHWC);
	user = user_frames(&rig);
	assert_ok(collect(&rig, streams, user, &err), &err);
	assert_int_equal(user[5][(3 * 20 + 4) * 80 + 17], streams[5][3 * 20 * 80 + 17 * 20 + 4]);
	free_frames(user, 6);
	free_frames(streams, 6);
	close_rig(&rig);
	free(want.v);
	free(d);
}

static void what_detections_do_not_come_as(void **state)
{
	const struct host_options bytes = {.output_type = HW_TYPE_U8}, nhwc = {.nms_order = HW_ORDER_NHWC};
	struct hefgen g;

	(void)state;
	hefnet_yolov8(&g);
	refused(&g, &bytes, "float32");
	hefnet_yolov8(&g);
	refused(&g, &nhwc, "by class or by score");
}

/* ------------------------------------------------------------ NMS of the chip */

static void chip_nms_file(struct hefgen *g, const struct hefnet_chip_nms *n)
{
	static const struct hefnet_tensor out = {"m/nms1", 1, 1, 8, .format = 6, .data_bytes = 2, .pad = 10};
	struct buf nms = hefnet_chip_nms(n, 0);

	hefnet_begin(g, "m", &image, 1, NULL, 0);
	hefnet_layer(&g->at[AT_CONTEXT_META], &out, false, 0, &nms);
	if (n->burst)
		hefgen_extension(g, false, 19, NULL);
}

/* Class @class says @n boxes, each a pixel further right and one less in score */
static void say(uint8_t *frame, uint32_t burst, uint32_t class, uint32_t n)
{
	uint8_t *at = frame + (size_t)class * burst * 8;

	for (uint32_t i = 0; i < n; i++, at += 8)
		put_le64(at, (uint64_t)(1000 - i) << 48 | (uint64_t)(10 + class) << 36 | (uint64_t)(20 + i) << 24 |
				     (uint64_t)(50 + class) << 12 | (60 + i));
}

static void boxes_of_the_chip(void **state)
{
	const struct hefnet_chip_nms n = {.classes = 3, .boxes = 4, .burst = 5};
	uint8_t **streams, **user;
	struct hw_error err = {0};
	struct hefgen g;
	struct rig rig;
	const float *at;

	(void)state;
	chip_nms_file(&g, &n);
	hefnet_sorted(&g, "m/nms1");
	open_rig(&rig, &g);
	assert_int_equal(hef_transfer_bytes(rig.net->out_streams[0]), 3 * 5 * 8);
	assert_int_equal(rig.net->outputs[0].info.frame_bytes, 3 * (1 + 5 * 4) * 4);
	streams = stream_frames(&rig, 1);
	user = user_frames(&rig);
	memset(streams[0], 0xff, 3 * 5 * 8);
	say(streams[0], 5, 0, 2);
	say(streams[0], 5, 2, 4);
	assert_ok(collect(&rig, streams, user, &err), &err);
	at = (const float *)(const void *)user[0];
	assert_true(at[0] == 2 && at[1] == 10 && at[2] == 20 && at[3] == 50 && at[4] == 60 && at[5] == 1000);
	assert_true(at[6] == 10 && at[7] == 21 && at[10] == 999);
	assert_true(at[11] == 0 && at[12] == 4 && at[13] == 12 && at[16] == 60 && at[32] == 997);
	for (size_t i = 33; i < rig.net->outputs[0].info.elements; i++)
		assert_true(at[i] == 0);
	/* Five boxes in a class, and one that never ends: that frame is refused, the next one is fine. */
	say(streams[0], 5, 1, 5);
	assert_int_equal(collect(&rig, streams, user, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "m/nms1"));
	memset(streams[0], 0xff, 3 * 5 * 8);
	assert_ok(collect(&rig, streams, user, &err), &err);
	at = (const float *)(const void *)user[0];
	assert_true(at[0] == 0 && at[1] == 0 && at[2] == 0);
	free_frames(streams, 1);
	free_frames(user, 1);
	close_rig(&rig);
	chip_nms_file(&g, &n);
	hefnet_sorted(&g, "m/nms1");
	refused(&g, &(struct host_options){.nms_order = HW_ORDER_HAILO_NMS_BY_SCORE}, "m/nms1");
}

/* One stream, a transfer for each box: fed one after the other, and frames follow each other. */
static void boxes_one_by_one(void **state)
{
	const struct hefnet_chip_nms n = {.classes = 2, .boxes = 4};
	uint8_t *streams[1] = {NULL}, **user, word[8];
	struct hw_error err;
	struct hefgen g;
	struct rig rig;

	(void)state;
	chip_nms_file(&g, &n);
	hefnet_sorted(&g, "m/nms1");
	open_rig(&rig, &g);
	assert_true(hef_nms_in_pieces(rig.net->out_streams[0]));
	assert_int_equal(hef_transfer_bytes(rig.net->out_streams[0]), 8);
	user = user_frames(&rig);
	for (uint32_t frame = 0; frame < 3; frame++) {
		const float *at = (const float *)(const void *)user[0];

		for (uint32_t i = 0; i < frame; i++) {
			put_le64(word, 7 + i);
			assert_int_equal(host_net_feed(rig.net, 0, word, 8), 0);
		}
		put_le64(word, UINT64_MAX);
		assert_int_equal(host_net_feed(rig.net, 0, word, 8), 0);
		assert_int_equal(host_net_feed(rig.net, 0, word, 8), 1);
		assert_ok(collect(&rig, streams, user, &err), &err);
		assert_true(at[0] == (float)frame);
		if (frame)
			assert_true(at[4] == 7);
	}
	free_frames(user, 1);
	close_rig(&rig);
}

/* 5.9: two streams, one output; even classes from the first, odd ones from the second */
static void parts_of_one(void **state)
{
	static const struct hefnet_tensor part[] = {{"m/part0", 1, 1, 8, .format = 6, .data_bytes = 2},
						    {"m/part1", 1, 1, 8, .format = 6, .data_bytes = 2}};
	const struct hefnet_chip_nms half = {.classes = 2, .boxes = 4, .burst = 5}, whole = {.classes = 4, .boxes = 4, .burst = 5};
	const struct hefnet_chip_nms wrong = {.classes = 5, .boxes = 4, .burst = 5};

	(void)state;
	for (int fits = 0; fits < 2; fits++) {
		struct hefgen g;
		struct rig rig;
		struct hw_error err;
		uint8_t **streams, **user;
		struct hw_detection d[16];

		hefnet_begin(&g, "m", &image, 1, NULL, 0);
		for (uint32_t i = 0; i < 2; i++) {
			struct buf one = hefnet_chip_nms(&half, 2 - i); /* the later part comes first */

			hefnet_layer(&g.at[AT_CONTEXT_META], &part[i], false, i, &one);
		}
		hefnet_fused(&g, fits ? &whole : &wrong);
		hefgen_extension(&g, false, 19, NULL);
		if (!fits) {
			refused(&g, &(struct host_options){0}, "m/whole");
			continue;
		}
		open_rig(&rig, &g);
		assert_int_equal(rig.net->n_outputs, 1);
		assert_string_equal(rig.net->outputs[0].info.name, "m/whole");
		assert_int_equal(rig.net->outputs[0].info.classes, 4);
		streams = stream_frames(&rig, 1);
		user = user_frames(&rig);
		memset(streams[0], 0xff, 2 * 5 * 8);
		memset(streams[1], 0xff, 2 * 5 * 8);
		say(streams[0], 5, 1, 3); /* part 1, its second class: 3 of the whole */
		say(streams[1], 5, 1, 1); /* part 0, its second class: 2 of the whole */
		say(streams[1], 5, 0, 2);
		assert_ok(collect(&rig, streams, user, &err), &err);
		assert_int_equal(hw_detections_read(&rig.net->outputs[0].info, user[0], d, 16), 6);
		for (size_t i = 0; i < 6; i++)
			assert_int_equal(d[i].class_id, i < 2 ? 0 : i < 3 ? 2 : 3);
		free_frames(streams, 2);
		free_frames(user, 1);
		close_rig(&rig);
	}
}

/* 5.14, last paragraph: boxes of the chip, suppressed by the host, by class or by score */
static void overlapping_boxes_of_the_chip(void **state)
{
	const struct hefnet_chip_nms n = {.classes = 3, .boxes = 4, .burst = 5};

	(void)state;
	for (int by_score = 0; by_score < 2; by_score++) {
		const struct host_options opt = {.nms_order = by_score ? HW_ORDER_HAILO_NMS_BY_SCORE : HW_ORDER_AUTO};
		struct buf nms = {0}, iou = {0};
		uint8_t **streams, **user;
		struct hw_detection d[16];
		struct hw_error err;
		struct hefgen g;
		struct rig rig;

		chip_nms_file(&g, &n);
		hefnet_nms(&nms, 0.9, 0.5, 3, 3);
		pb_msg(&nms, 10, &iou);
		hefnet_op(&g, 5, &nms, 10, 1, "m/iou");
		hefnet_sorted(&g, "m/iou");
		assert_ok(open_with(&rig, &g, &opt, &err), &err);
		assert_int_equal(rig.net->n_outputs, 1);
		assert_string_equal(rig.net->outputs[0].info.name, "m/iou");
		streams = stream_frames(&rig, 1);
		user = user_frames(&rig);
		memset(streams[0], 0xff, 3 * 5 * 8);
		/* Each a pixel from the one before it: only the best of 40 x 40 remains. */
		say(streams[0], 5, 1, 4);
		say(streams[0], 5, 2, 1);
		put_le64(streams[0] + 2 * 5 * 8, (uint64_t)2000 << 48 | 5 << 12 | 5);
		/* Two apart: x from 20 and from 200 */
		say(streams[0], 5, 0, 1);
		put_le64(streams[0] + 8, (uint64_t)1500 << 48 | (uint64_t)10 << 36 | (uint64_t)200 << 24 | 50 << 12 | 240);
		assert_ok(collect(&rig, streams, user, &err), &err);
		assert_int_equal(hw_detections_read(&rig.net->outputs[0].info, user[0], d, 16), 4);
		if (by_score) {
			assert_true(d[0].score == 2000 && d[1].score == 1500 && d[2].score == 1000 && d[3].score == 1000);
			assert_int_equal(d[0].class_id, 2);
		} else {
			assert_true(d[0].score == 1500 && d[1].score == 1000 && d[2].score == 1000 && d[3].score == 2000);
			assert_int_equal(d[2].class_id, 1);
		}
		free_frames(streams, 1);
		free_frames(user, 1);
		close_rig(&rig);
	}
}

/* 5.5, 6.6: all zeros are no quantisation */
static void boxes_without_quantisation(void **state)
{
	const struct hefnet_chip_nms n = {.classes = 3, .boxes = 4, .burst = 5};
	const struct host_options none = {0};

	(void)state;
	for (int op = 0; op < 2; op++) {
		struct buf nms = {0}, iou = {0};
		struct host_net *net = NULL;
		struct hw_error err = {0};
		struct hefgen g;
		struct rig rig;

		chip_nms_file(&g, &n);
		if (op) {
			hefnet_nms(&nms, 0.9, 0.5, 3, 3);
			pb_msg(&nms, 10, &iou);
			hefnet_op(&g, 5, &nms, 10, 1, "m/nms1");
		}
		hefnet_sorted(&g, "m/nms1");
		open_rig(&rig, &g);
		((struct hef_layer *)(uintptr_t)rig.net->out_streams[0])->quant = (struct hw_quant){0};
		assert_int_equal(host_net_new(&rig.hef->groups[0], rig.op, &none, &net, &err), -ENOTSUP);
		assert_null(net);
		assert_string_equal(err.text, "output \"m/nms1\" has no quantisation data to make boxes with");
		close_rig(&rig);
	}
}

/* --------------------------------------------------------------------- logits */

static void logits(void **state)
{
	static const struct hefnet_tensor out[] = {
		{"m/a", 4, 8, 5, .format = 1, .pad = 10},
		{"m/b", 1, 1, 10, .pf = 16, .format = 2, .pad = 11},
		{"m/c", 2, 4, 2, .format = 1},
	};
	struct buf arg = {0}, soft = {0};
	uint8_t **streams, **user;
	struct hw_error err;
	struct hefgen g;
	struct rig rig;
	double sum = 0;

	(void)state;
	hefnet_begin(&g, "m", &image, 1, out, 3);
	pb_uint(&soft, 1, 1);
	hefnet_op(&g, 6, &arg, 10, 1, "m/argmax");
	hefnet_op(&g, 6, &soft, 11, 1, "m/softmax");
	hefnet_sorted(&g, "m/softmax");
	hefnet_sorted(&g, "m/argmax");
	hefnet_sorted(&g, "m/c");
	open_rig(&rig, &g);
	assert_int_equal(rig.net->n_outputs, 3);
	assert_string_equal(rig.net->outputs[0].info.name, "m/softmax");
	assert_int_equal(rig.net->outputs[0].info.type, HW_TYPE_F32);
	assert_string_equal(rig.net->outputs[1].info.name, "m/argmax");
	assert_int_equal(rig.net->outputs[1].info.order, HW_ORDER_NHW);
	assert_int_equal(rig.net->outputs[1].info.frame_bytes, 32);
	assert_string_equal(rig.net->outputs[2].info.name, "m/c");
	assert_int_equal(rig.net->outputs[2].info.type, HW_TYPE_U8);
	streams = stream_frames(&rig, 4);
	user = user_frames(&rig);
	assert_ok(collect(&rig, streams, user, &err), &err);
	for (size_t r = 0; r < 4; r++)
		for (size_t c = 0; c < 8; c++) {
			size_t best = 0;

			for (size_t k = 1; k < 5; k++) {
				if (streams[0][r * 40 + k * 8 + c] > streams[0][r * 40 + best * 8 + c])
					best = k;
			}
			assert_int_equal(user[1][r * 8 + c], best);
		}
	for (size_t k = 0; k < 10; k++)
		sum += (double)((const float *)(const void *)user[0])[k];
	assert_true(fabs(sum - 1) < 1e-5);
	assert_int_equal(user[2][(1 * 4 + 3) * 2 + 1], streams[2][1 * 8 + 1 * 4 + 3]);
	free_frames(streams, 3);
	free_frames(user, 3);
	close_rig(&rig);
}

/* --------------------------------------------------------------- broken files */

/* Whatever a file says that was let in: made or refused, and frames stay in their memory. */
static void flipped_bits_do_no_harm(void **state)
{
	unsigned int made = 0, no = 0;
	struct hefgen g;
	uint8_t *file;
	size_t len;

	(void)state;
	hefnet_yolov8(&g);
	file = hefgen_file(&g, &len);
	for (size_t i = 44 * 8; i < len * 8; i += 29) {
		const struct host_options none = {0};
		uint8_t *copy = malloc(len), **streams, **user;
		struct hw_error err = {0};
		struct rig rig = {0};
		size_t bytes = 0;

		assert_non_null(copy);
		memcpy(copy, file, len);
		copy[i / 8] ^= (uint8_t)(1u << i % 8);
		hefgen_fix_digest(copy, len);
		if (hef_parse(copy, len, &rig.hef, NULL, &err) < 0)
			continue;
		if (!rig.hef->n_groups ||
		    host_net_new(&rig.hef->groups[0], &rig.hef->groups[0].core_ops[0], &none, &rig.net, &err) < 0) {
			assert_true(err.text[0] || !rig.hef->n_groups);
			no++;
			hef_free(rig.hef);
			continue;
		}
		made++;
		for (size_t k = 0; k < rig.net->n_out_streams; k++)
			bytes += hef_transfer_bytes(rig.net->out_streams[k]);
		for (size_t k = 0; k < rig.net->n_outputs; k++)
			bytes += rig.net->outputs[k].info.frame_bytes;
		if (bytes < 8000000 && made % 32 == 0) {
			streams = stream_frames(&rig, (uint32_t)i);
			for (size_t k = 0; k < rig.net->n_out_streams; k++)
				memset(streams[k], k % 2 ? 3 : 90, hef_transfer_bytes(rig.net->out_streams[k]));
			user = user_frames(&rig);
			collect(&rig, streams, user, &err);
			free_frames(streams, rig.net->n_out_streams);
			free_frames(user, rig.net->n_outputs);
		}
		close_rig(&rig);
	}
	free(file);
	assert_true(made > 30);
	assert_true(no > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(planes),
		cmocka_unit_test(planes_that_are_no_image),
		cmocka_unit_test(mux),
		cmocka_unit_test(yolov8),
		cmocka_unit_test(what_detections_do_not_come_as),
		cmocka_unit_test(boxes_of_the_chip),
		cmocka_unit_test(boxes_one_by_one),
		cmocka_unit_test(parts_of_one),
		cmocka_unit_test(overlapping_boxes_of_the_chip),
		cmocka_unit_test(boxes_without_quantisation),
		cmocka_unit_test(logits),
		cmocka_unit_test(flipped_bits_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
