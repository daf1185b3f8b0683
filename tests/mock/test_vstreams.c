// SPDX-License-Identifier: MIT
/*
 * Networks whose tensors are not their streams, from the public API to the chip in software and back:
 * planes in, a mux, an argmax and the chip's own NMS out.
 */
#include <hwlayer/hwlayer.h>
#include <pthread.h>

#include "hef/hef.h"
#include "infer/infer.h"
#include "mock/mock.h"
#include "mock/pattern.h"
#include "support/hefnet.h"
#include "support/noncoherent.h"
#include "support/support.h"

#define FRAME_MS 5000
#define DUAL_DIRECTION 20u /* inputs and outputs may have the same stream index */

struct rig {
	struct hw_dev *dev;
	struct hw_net *net;
	const struct hw_tensor_info *in, *out;
	size_t n_in, n_out;
};

/* All of this also has to work where the chip does not see the CPU's caches. */
static void open_chip(struct rig *rig)
{
	const struct mock_opts o = {.arch = MOCK_HAILO8};
	struct chip_boot_options boot = {0};
	struct hw_error err;
	struct backend *be;

	*rig = (struct rig){0};
	assert_ok(backend_mock_open(&o, &be, &err), &err);
	noncoherent_make(be);
	assert_ok(infer_dev_open(be, &boot, false, &rig->dev, &err), &err);
}

static int load(struct rig *rig, struct hefgen *g, const struct hw_net_options *opt, struct hw_error *err)
{
	size_t len;
	uint8_t *file = hefgen_file(g, &len);
	int r = hw_net_load_mem(rig->dev, file, len, opt, &rig->net, err);

	free(file);
	if (r == 0) {
		rig->in = hw_net_inputs(rig->net, &rig->n_in);
		rig->out = hw_net_outputs(rig->net, &rig->n_out);
	}
	return r;
}

static void close_chip(struct rig *rig)
{
	hw_net_free(rig->net);
	hw_dev_close(rig->dev);
	assert_int_equal(noncoherent_areas(), 0);
	noncoherent_check();
}

/* NV12 in; out an argmax of one stream and the two layers in another */
static void make_mixed(struct hefgen *g)
{
	static const struct hefnet_tensor image = {"m/in", 2, 8, 3, .format = 0};
	static const struct hefnet_tensor plane[] = {{"m/y", 4, 8, 1, .format = 0}, {"m/uv", 2, 4, 2, .format = 0}};
	static const struct hefnet_tensor scores = {"m/scores", 4, 8, 5, .format = 1, .pad = 10};
	static const struct hefnet_tensor whole = {"m/mux", 4, 24, 2, .format = 1};
	static const struct hefnet_tensor leaf[] = {{"m/a", 4, 8, 2, .format = 1}, {"m/b", 4, 16, 2, .format = 1}};
	static const uint32_t ratios[] = {1, 1};
	struct buf argmax = {0};

	hefnet_begin(g, "m", NULL, 0, &scores, 1);
	hefnet_planes(g, &image, 0, plane, 2);
	hefnet_mux_at(g, &whole, 1, leaf, 2, 4, ratios);
	hefnet_op(g, 6, &argmax, 10, 1, "m/argmax");
	hefgen_extension(g, false, DUAL_DIRECTION, NULL);
	hefnet_sorted(g, "m/b");
	hefnet_sorted(g, "m/argmax");
	hefnet_sorted(g, "m/a");
}

static void planes_mux_and_argmax(void **state)
{
	uint8_t image[48] = {1, 2, 3}, b[128], argmax[32], a[64], scores[160], mux[192];
	const void *ins[] = {image};
	void *outs[] = {b, argmax, a};
	struct hw_error err;
	struct hefgen g;
	struct rig rig;

	(void)state;
	open_chip(&rig);
	make_mixed(&g);
	assert_ok(load(&rig, &g, NULL, &err), &err);
	assert_int_equal(rig.n_in, 1);
	assert_string_equal(rig.in[0].name, "m/in");
	assert_int_equal(rig.in[0].frame_bytes, sizeof(image));
	assert_int_equal(rig.n_out, 3);
	assert_string_equal(rig.out[0].name, "m/b");
	assert_string_equal(rig.out[1].name, "m/argmax");
	assert_string_equal(rig.out[2].name, "m/a");
	for (uint32_t frame = 0; frame < 20; frame++) {
		assert_ok(hw_net_run(rig.net, ins, outs, FRAME_MS, &err), &err);
		/* Outputs are on the first channels from 16 on, in the order of the file. */
		pattern_fixed(scores, sizeof(scores), frame, 16);
		pattern_fixed(mux, sizeof(mux), frame, 17);
		for (size_t r = 0; r < 4; r++) {
			for (size_t c = 0; c < 8; c++) {
				size_t best = 0;

				for (size_t k = 1; k < 5; k++) {
					if (scores[r * 40 + k * 8 + c] > scores[r * 40 + best * 8 + c])
						best = k;
				}
				assert_int_equal(argmax[r * 8 + c], best);
			}
			for (size_t f = 0; f < 2; f++) {
				for (size_t c = 0; c < 8; c++)
					assert_int_equal(a[(r * 8 + c) * 2 + f], mux[r * 48 + f * 8 + c]);
				for (size_t c = 0; c < 16; c++)
					assert_int_equal(b[(r * 16 + c) * 2 + f], mux[r * 48 + 16 + f * 16 + c]);
			}
		}
	}
	close_chip(&rig);
}

/* The same file without the host's op */
static void raw_outputs(void **state)
{
	const struct hw_net_options opt = {.raw_outputs = true, .output_type = HW_TYPE_F32};
	uint8_t image[48] = {0}, want[160];
	float b[128], a[64], scores[160];
	const void *ins[] = {image};
	void *outs[] = {b, a, scores};
	struct hw_error err;
	struct hefgen g;
	struct rig rig;

	(void)state;
	open_chip(&rig);
	make_mixed(&g);
	assert_ok(load(&rig, &g, &opt, &err), &err);
	assert_int_equal(rig.n_out, 3);
	assert_string_equal(rig.out[2].name, "m/scores"); /* the file's order does not know it */
	assert_int_equal(rig.out[2].frame_bytes, sizeof(scores));
	assert_ok(hw_net_run(rig.net, ins, outs, FRAME_MS, &err), &err);
	pattern_fixed(want, sizeof(want), 0, 16);
	for (size_t i = 0; i < 160; i++)
		assert_true(scores[i] == (float)want[i / 40 * 40 + i % 5 * 8 + i / 5 % 8]);
	close_chip(&rig);
}

static const struct hefnet_tensor nms_image = {"m/in", 8, 8, 3, .format = 0};

/* Into context metadata @meta; the action that tells the chip of it goes into @operation, if there is one. */
static void put_chip_nms(struct buf *meta, struct buf *operation, uint32_t sys, const struct hefnet_chip_nms *n)
{
	static const struct hefnet_tensor out = {"m/nms1", 1, 1, 8, .format = 6, .data_bytes = 2};
	struct buf nms = hefnet_chip_nms(n, 0), enable = {0}, action = {0};

	hefnet_layer(meta, &out, false, sys, &nms);
	if (!operation)
		return;
	pb_uint(&enable, 3, n->classes);
	pb_uint(&enable, 4, n->burst ? n->burst : 1);
	pb_uint(&enable, 5, n->chunks);
	pb_msg(&action, 13, &enable);
	pb_msg(operation, 2, &action);
}

/* @said: tell the chip of it; else it does not know that it has an NMS */
static void make_chip_nms(struct hefgen *g, uint32_t burst, uint32_t boxes, uint32_t chunks, bool said)
{
	const struct hefnet_chip_nms n = {.classes = 3, .boxes = boxes, .burst = burst, .chunks = chunks};

	hefnet_begin(g, "m", &nms_image, 1, NULL, 0);
	put_chip_nms(&g->at[AT_CONTEXT_META], said ? &g->at[AT_OPERATION] : NULL, 0, &n);
	if (burst)
		hefgen_extension(g, false, 19, NULL);
	hefgen_extension(g, false, DUAL_DIRECTION, NULL);
	hefnet_sorted(g, "m/nms1");
}

/* One end of a stream between contexts; the other one is stream @peer of context @context. */
static void put_joint(struct buf *meta, bool input, uint32_t sys, uint32_t context, uint32_t peer)
{
	static const struct hefnet_tensor joint = {"m/joint", 4, 8, 16, .format = 0};
	struct buf edge = {0}, info = {0}, conn = {0}, other = {0};

	hefnet_info(&info, &joint, sys, NULL);
	pb_uint(&edge, 1, !input);
	pb_msg(&edge, 3, &info);
	pb_uint(&other, 1, context);
	pb_uint(&other, 3, peer);
	pb_uint(&conn, 3, 1);
	pb_msg(&conn, 8, &other);
	pb_msg(&edge, 5, &conn);
	pb_msg(meta, 2, &edge);
}

/* The same NMS in the second of two contexts */
static void make_late_nms(struct hefgen *g, uint32_t burst, uint32_t boxes, uint32_t chunks)
{
	const struct hefnet_chip_nms n = {.classes = 3, .boxes = boxes, .burst = burst, .chunks = chunks};
	struct buf context = {0}, operation = {0}, trigger = {0}, none = {0}, action = {0}, flow = {0}, meta = {0};

	hefnet_begin(g, "m", &nms_image, 1, NULL, 0);
	put_joint(&g->at[AT_CONTEXT_META], false, 1, 1, 2);
	pb_msg(&trigger, 3, &none);
	pb_msg(&operation, 1, &trigger);
	put_joint(&meta, true, 2, 0, 1);
	put_chip_nms(&meta, &operation, 3, &n);
	pb_uint(&flow, 1, 2);
	pb_msg(&action, 10, &flow);
	pb_msg(&operation, 2, &action);
	pb_msg(&context, 2, &operation);
	pb_msg(&context, 3, &meta);
	pb_msg(&g->at[AT_CORE_OP], 3, &context);
	if (burst)
		hefgen_extension(g, false, 19, NULL);
	hefnet_sorted(g, "m/nms1");
}

/* What the chip in software says about frame @frame (mock/pattern.h), as 6.8 has it for the user */
static void check_boxes(const struct hw_tensor_info *t, const float *at, uint32_t frame, uint32_t burst, uint32_t chunks)
{
	for (uint32_t class = 0; class < 3; class++) {
		const float *count = at++;
		uint32_t n = 0;

		for (uint32_t chunk = 0; chunk < chunks; chunk++) {
			uint32_t section = chunk * 3 + class;

			for (uint32_t i = 0; i < pattern_boxes(frame, section, burst); i++, n++, at += 5) {
				uint64_t w = pattern_box(frame, section, i);

				assert_true(at[0] == (float)(w >> 36 & 4095) && at[1] == (float)(w >> 24 & 4095));
				assert_true(at[2] == (float)(w >> 12 & 4095) && at[3] == (float)(w & 4095));
				assert_true(at[4] == (float)(w >> 48));
			}
		}
		assert_true(*count == (float)n);
		assert_true(n <= t->max_per_class);
	}
}

struct counter {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned int done;
	int status[64];
};

static void count_done(int status, const struct hw_error *err, void *user)
{
	struct counter *c = user;

	(void)err;
	pthread_mutex_lock(&c->lock);
	c->status[c->done++] = status;
	pthread_cond_signal(&c->cond);
	pthread_mutex_unlock(&c->lock);
}

static void wait_done(struct counter *c, unsigned int n)
{
	pthread_mutex_lock(&c->lock);
	while (c->done < n)
		pthread_cond_wait(&c->cond, &c->lock);
	pthread_mutex_unlock(&c->lock);
}

/* A transfer for each box, for each burst, or for the whole frame; one after the other and many at a time. */
static void boxes_of_the_chip(void **state)
{
	static const uint32_t bursts[] = {0, 1, 2, 3, 5, 16};

	(void)state;
	for (size_t b = 0; b < ARRAY_SIZE(bursts) * 4; b++) {
		uint32_t burst = bursts[b / 4], chunks = b % 2 ? 2 : 1;
		struct counter c = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, {0}};
		uint8_t image[192] = {0};
		float frames[40][3 * (1 + 5 * 8)];
		const void *ins[] = {image};
		struct hw_net_stats stats;
		struct hw_error err;
		struct hefgen g;
		struct rig rig;

		open_chip(&rig);
		if (b & 2)
			make_late_nms(&g, burst, 4, chunks == 1 ? 0 : 2);
		else
			make_chip_nms(&g, burst, 4, chunks == 1 ? 0 : 2, true);
		assert_ok(load(&rig, &g, NULL, &err), &err);
		assert_int_equal(rig.out[0].max_per_class, 4 * chunks);
		for (uint32_t f = 0; f < 10; f++) {
			void *outs[] = {frames[f]};

			assert_ok(hw_net_run(rig.net, ins, outs, FRAME_MS, &err), &err);
			check_boxes(&rig.out[0], frames[f], f, burst ? burst : 1, chunks);
		}
		for (uint32_t f = 10; f < 40; f++) {
			void *outs[] = {frames[f]};
			const struct hw_submit s = {ins, outs, FRAME_MS, count_done, &c};
			int r;

			if (f >= 14)
				wait_done(&c, f - 13); /* four in flight */
			r = hw_net_submit(rig.net, &s, &err);
			assert_ok(r, &err);
		}
		wait_done(&c, 30);
		for (uint32_t f = 10; f < 40; f++) {
			assert_int_equal(c.status[f - 10], 0);
			check_boxes(&rig.out[0], frames[f], f, burst ? burst : 1, chunks);
		}
		hw_net_get_stats(rig.net, &stats);
		assert_int_equal(stats.completed, 40);
		assert_int_equal(stats.failed, 0);
		close_chip(&rig);
	}
}

/* The answer of a chip without a function, on the channel of the output "m/plain" */
static void check_pattern(const uint8_t bytes[24], uint32_t frame)
{
	uint8_t want[24];

	pattern_fixed(want, sizeof(want), frame, 16);
	assert_memory_equal(bytes, want, sizeof(want));
}

/* Three classes make three words, as many as a frame of the other output has. */
static void boxes_beside_a_frame_as_long(void **state)
{
	static const struct hefnet_tensor plain = {"m/plain", 1, 1, 24, .format = 2};
	const struct hefnet_chip_nms n = {.classes = 3, .boxes = 4};
	uint8_t image[192] = {0}, bytes[24];
	float boxes[3 * (1 + 5 * 4)];
	const void *ins[] = {image};
	void *outs[] = {boxes, bytes};
	struct hw_error err;
	struct hefgen g;
	struct rig rig;

	(void)state;
	open_chip(&rig);
	hefnet_begin(&g, "m", &nms_image, 1, &plain, 1);
	put_chip_nms(&g.at[AT_CONTEXT_META], &g.at[AT_OPERATION], 1, &n);
	hefgen_extension(&g, false, DUAL_DIRECTION, NULL);
	hefnet_sorted(&g, "m/nms1");
	hefnet_sorted(&g, "m/plain");
	assert_ok(load(&rig, &g, NULL, &err), &err);
	for (uint32_t f = 0; f < 5; f++) {
		assert_ok(hw_net_run(rig.net, ins, outs, FRAME_MS, &err), &err);
		check_boxes(&rig.out[0], boxes, f, 1, 1);
		check_pattern(bytes, f);
	}
	close_chip(&rig);
}

/* No weights, and a preliminary context without an action, which is not sent (protocol 4.2) */
static void a_network_without_configuration(void **state)
{
	static const struct hefnet_tensor plain = {"m/plain", 1, 1, 24, .format = 2};
	uint8_t image[192] = {0}, bytes[24];
	const void *ins[] = {image};
	void *outs[] = {bytes};
	struct hw_error err;
	struct hefgen g;
	struct rig rig;

	(void)state;
	open_chip(&rig);
	hefnet_begin(&g, "m", &nms_image, 1, &plain, 1);
	g.omit |= OMIT_CCW;
	hefgen_extension(&g, false, DUAL_DIRECTION, NULL);
	hefnet_sorted(&g, "m/plain");
	assert_ok(load(&rig, &g, NULL, &err), &err);
	for (uint32_t f = 0; f < 3; f++) {
		assert_ok(hw_net_run(rig.net, ins, outs, FRAME_MS, &err), &err);
		check_pattern(bytes, f);
	}
	close_chip(&rig);
}

/* Box after box and no delimiter: nobody knows where a frame ends, so the network is over. */
static void boxes_without_end(void **state)
{
	struct counter c = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, {0}};
	float frame[3 * (1 + 5)];
	uint8_t image[192] = {0};
	const void *ins[] = {image};
	void *outs[] = {frame};
	const struct hw_submit s = {ins, outs, FRAME_MS, count_done, &c};
	struct hw_error err;
	struct hefgen g;
	struct rig rig;

	(void)state;
	open_chip(&rig);
	make_chip_nms(&g, 0, 1, 0, false);
	assert_ok(load(&rig, &g, NULL, &err), &err);
	assert_ok(hw_net_submit(rig.net, &s, &err), &err);
	assert_ok(hw_net_submit(rig.net, &s, &err), &err);
	wait_done(&c, 2);
	assert_int_equal(c.status[0], -EIO);
	assert_int_equal(c.status[1], -EIO);
	assert_int_equal(hw_net_state(rig.net, &err), -EIO);
	assert_non_null(strstr(err.text, "m/nms1"));
	close_chip(&rig);
}

/* The chip in software answers a pattern, in which no class ends: such frames fail, the network lives. */
static void boxes_that_make_no_sense(void **state)
{
	uint8_t image[192] = {0}, frame[3 * (1 + 5 * 4) * 4];
	const void *ins[] = {image};
	void *outs[] = {frame};
	struct hw_net_stats stats;
	struct hw_error err;
	struct hefgen g;
	struct rig rig;

	(void)state;
	open_chip(&rig);
	make_chip_nms(&g, 5, 4, 0, false);
	assert_ok(load(&rig, &g, NULL, &err), &err);
	assert_int_equal(rig.out[0].order, HW_ORDER_HAILO_NMS_BY_CLASS);
	assert_int_equal(rig.out[0].frame_bytes, sizeof(frame));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(hw_net_run(rig.net, ins, outs, FRAME_MS, &err), -EBADMSG);
		assert_non_null(strstr(err.text, "m/nms1"));
		assert_int_equal(hw_net_state(rig.net, NULL), 0);
	}
	hw_net_get_stats(rig.net, &stats);
	assert_int_equal(stats.completed, 0);
	assert_int_equal(stats.failed, 3);
	assert_int_equal(stats.in_flight, 0);
	close_chip(&rig);
}

static void what_is_refused(void **state)
{
	const struct hw_net_options bytes = {.output_type = HW_TYPE_U8}, score = {.nms_order = HW_ORDER_HAILO_NMS_BY_SCORE};
	struct hw_error err = {0};
	struct hefgen g;
	struct rig rig;

	(void)state;
	open_chip(&rig);
	make_chip_nms(&g, 5, 4, 0, true);
	assert_int_equal(load(&rig, &g, &bytes, &err), -ENOTSUP);
	make_chip_nms(&g, 5, 4, 0, true);
	assert_int_equal(load(&rig, &g, &score, &err), -ENOTSUP);
	/* And nothing of that keeps the next one from running. */
	make_mixed(&g);
	assert_ok(load(&rig, &g, NULL, &err), &err);
	close_chip(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(planes_mux_and_argmax),
		cmocka_unit_test(raw_outputs),
		cmocka_unit_test(a_network_without_configuration),
		cmocka_unit_test(boxes_of_the_chip),
		cmocka_unit_test(boxes_beside_a_frame_as_long),
		cmocka_unit_test(boxes_without_end),
		cmocka_unit_test(boxes_that_make_no_sense),
		cmocka_unit_test(what_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
