// SPDX-License-Identifier: MIT
/*
 * A network of the software chip's own, cut into contexts and really computed: it must give the same
 * bits as in one piece.
 */
#include <hwlayer/hwlayer.h>
#include <unistd.h>

#include "build/build.h"
#include "infer/infer.h"
#include "mock/mock.h"
#include "support/support.h"

#define FRAMES 16u
#define OUTPUTS_MAX 4u
#define OUT_MAX 1024u /* bytes */

struct model {
	struct onnx_graph *g;
	size_t elements;
	float *sample[3];
};

static float noise(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (float)(*seed >> 8) / (1u << 22) - 2;
}

static void open_model(struct model *m, const char *path)
{
	struct hw_error err = {0};
	uint32_t seed = 7;

	assert_ok(onnx_open(path, &m->g, &err), &err);
	assert_int_equal(m->g->n_inputs, 1);
	assert_true(m->g->n_outputs <= OUTPUTS_MAX);
	m->elements = m->g->values[m->g->inputs[0]].elements;
	for (size_t s = 0; s < ARRAY_SIZE(m->sample); s++) {
		m->sample[s] = malloc(m->elements * sizeof(float));
		assert_non_null(m->sample[s]);
		for (size_t i = 0; i < m->elements; i++)
			m->sample[s][i] = noise(&seed);
	}
}

static void close_model(struct model *m)
{
	for (size_t s = 0; s < ARRAY_SIZE(m->sample); s++)
		free(m->sample[s]);
	onnx_free(m->g);
}

static int build(const struct model *m, size_t contexts, struct build_result *r, struct hw_error *err)
{
	const struct build_options opt = {
		.name = "cut", .n_samples = ARRAY_SIZE(m->sample), .contexts = contexts,
		.samples = (const float *const *)m->sample};

	return build_hef(m->g, &opt, r, err);
}

struct frame {
	uint8_t *in;
	uint8_t out[OUTPUTS_MAX][OUT_MAX];
};

static unsigned int done;

static void frame_done(int status, const struct hw_error *err, void *user)
{
	(void)user;
	if (status)
		print_error("%s\n", err->text);
	__atomic_add_fetch(&done, status == 0, __ATOMIC_SEQ_CST);
}

static void run_frames(const struct model *m, size_t contexts, uint32_t batch, struct frame *f)
{
	struct hw_net_options o = {.batch = batch, .frames_in_flight = FRAMES};
	struct chip_boot_options boot = {0};
	struct mock_context_stats stats;
	struct build_result r;
	struct mock_opts opts = {0};
	struct hw_error err = {0};
	struct backend *be;
	struct hw_dev *dev;
	struct hw_net *net;
	uint64_t until = util_now_ms() + 30000;
	size_t n;
	int q;

	assert_ok(build(m, contexts, &r, &err), &err);
	assert_ok(backend_mock_open(&opts, &be, &err), &err);
	assert_ok(infer_dev_open(be, &boot, false, &dev, &err), &err);
	assert_ok(hw_net_load_mem(dev, r.hef, r.hef_len, &o, &net, &err), &err);
	assert_string_equal(hw_net_function(net), "core");
	assert_true(hw_net_outputs(net, &n)[0].frame_bytes <= OUT_MAX);
	done = 0;
	for (unsigned int i = 0; i < FRAMES; i++) {
		const void *ins[] = {f[i].in};
		void *outs[OUTPUTS_MAX] = {f[i].out[0], f[i].out[1], f[i].out[2], f[i].out[3]};
		struct hw_submit s = {.inputs = ins, .outputs = outs, .timeout_ms = 20000,
				      .done = frame_done};

		memset(f[i].out, 0x55, sizeof(f[i].out));
		while ((q = hw_net_submit(net, &s, &err)) == -EAGAIN && util_now_ms() < until)
			usleep(200);
		assert_ok(q, &err);
	}
	while (__atomic_load_n(&done, __ATOMIC_SEQ_CST) < FRAMES && util_now_ms() < until)
		usleep(500);
	assert_int_equal(done, FRAMES);
	for (unsigned int k = 0; k < contexts; k++) {
		assert_true(mock_chip_context_stats(backend_mock_chip(be), 0, k, &stats));
		assert_int_equal(stats.frames, FRAMES);
		assert_true((k > 0) == (stats.inner_read > 0));
		assert_true((k + 1 < contexts) == (stats.inner_written > 0));
	}
	hw_net_free(net);
	hw_dev_close(dev);
	build_result_free(&r);
}

static void same_bits(const char *path)
{
	static const size_t contexts[] = {2, 3, 5};
	static const uint32_t batches[] = {1, 2, 16};
	static struct frame whole[FRAMES], cut[FRAMES];
	struct model m = {0};
	uint32_t seed = 99;

	open_model(&m, path);
	for (unsigned int i = 0; i < FRAMES; i++) {
		whole[i].in = cut[i].in = malloc(m.elements);
		assert_non_null(cut[i].in);
		for (size_t k = 0; k < m.elements; k++)
			cut[i].in[k] = (uint8_t)(128 + 60 * noise(&seed));
	}
	run_frames(&m, 1, 1, whole);
	assert_memory_not_equal(whole[0].out, whole[1].out, sizeof(whole[0].out));
	for (size_t c = 0; c < ARRAY_SIZE(contexts); c++) {
		run_frames(&m, contexts[c], batches[c], cut);
		for (unsigned int i = 0; i < FRAMES; i++)
			assert_memory_equal(cut[i].out, whole[i].out, sizeof(whole[i].out));
	}
	for (unsigned int i = 0; i < FRAMES; i++)
		free(cut[i].in);
	close_model(&m);
}

static void own_model(void **state)
{
	(void)state;
	same_bits(top_path("deploy/models/imu-motion.onnx"));
}

static void tcn_encoder(void **state)
{
	(void)state;
	same_bits(shared_path("data/tcn_encoder_for_edgeinfer.onnx"));
}

/* Each context's image is checked before it computes: no pass is needed to compare with. */
static void a_damaged_context(void **state)
{
	static const struct {
		const char *fault, *words;
	} damaged[] = {
		{"cfg-corrupt=0", "in dynamic context 0"},
		{"cfg-corrupt=1", "in dynamic context 1"},
		{"cfg-corrupt=2", "in dynamic context 2"},
	};
	struct chip_boot_options boot = {0};
	struct hw_error err = {0};
	struct build_result r;
	struct model m = {0};
	uint8_t *in;

	(void)state;
	open_model(&m, top_path("deploy/models/imu-motion.onnx"));
	assert_ok(build(&m, 3, &r, &err), &err);
	in = calloc(1, m.elements);
	assert_non_null(in);
	for (size_t i = 0; i < ARRAY_SIZE(damaged); i++) {
		struct mock_opts opts = {.faults = damaged[i].fault};
		uint8_t out[OUTPUTS_MAX][OUT_MAX];
		const void *ins[] = {in};
		void *outs[OUTPUTS_MAX] = {out[0], out[1], out[2], out[3]};
		struct backend *be;
		struct hw_dev *dev;
		struct hw_net *net;

		assert_ok(backend_mock_open(&opts, &be, &err), &err);
		assert_ok(infer_dev_open(be, &boot, false, &dev, &err), &err);
		assert_ok(hw_net_load_mem(dev, r.hef, r.hef_len, NULL, &net, &err), &err);
		assert_int_equal(hw_net_run(net, ins, outs, 20000, &err), -EIO);
		if (!strstr(err.text, damaged[i].words) || !strstr(err.text, "0x4013007d"))
			fail_msg("%s: %s", damaged[i].fault, err.text);
		hw_net_free(net);
		assert_ok(hw_net_load_mem(dev, r.hef, r.hef_len, NULL, &net, &err), &err);
		assert_ok(hw_net_run(net, ins, outs, 20000, &err), &err);
		hw_net_free(net);
		hw_dev_close(dev);
	}
	free(in);
	build_result_free(&r);
	close_model(&m);
}

static void too_many_contexts(void **state)
{
	struct build_result r;
	struct hw_error err = {0};
	struct model m = {0};

	(void)state;
	open_model(&m, top_path("deploy/models/imu-motion.onnx"));
	assert_int_equal(build(&m, 64, &r, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "contexts at most"));
	assert_int_equal(build(&m, 65, &r, &err), -EINVAL);
	close_model(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_model),
		cmocka_unit_test(tcn_encoder),
		cmocka_unit_test(a_damaged_context),
		cmocka_unit_test(too_many_contexts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
