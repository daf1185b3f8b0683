// SPDX-License-Identifier: MIT
/* The default model through the 8-bit HEF on the software chip, scored on held-out windows. */
#include <hwlayer/manifest.h>

#include "support/imu_windows.h"
#include "support/support.h"

#define MOTIFS 12
#define WANTED 0.90

static void *xcalloc(size_t n, size_t size)
{
	void *p = calloc(n, size);

	assert_non_null(p);
	return p;
}

static const char *base_name(const char *vstream)
{
	const char *slash = strrchr(vstream, '/');

	return slash ? slash + 1 : vstream;
}

static void the_right_motif_is_on_top(void **state)
{
	struct hw_dev_options o = {.device = "mock"};
	struct hw_net_options no = {.input_type = HW_TYPE_F32, .output_type = HW_TYPE_F32};
	struct hw_error err = {0};
	struct hw_manifest *m = NULL;
	struct imu_windows w = {0};
	struct hw_dev *dev = NULL;
	struct hw_net *net = NULL;
	const struct hw_tensor_info *out;
	size_t n_out, scores = SIZE_MAX, right = 0, per_class[MOTIFS] = {0}, right_class[MOTIFS] = {0};
	void *outs[8] = {0};
	float *in;

	(void)state;
	assert_ok(hw_manifest_read(out_path("models/imu-motion.json"), &m, &err), &err);
	assert_int_equal(m->motifs, MOTIFS);
	assert_non_null(m->in_scale);
	imu_windows_load(top_path("tests/data/imu-heldout.bin"), &w);
	assert_ok(hw_dev_open(&o, &dev, &err), &err);
	assert_ok(hw_net_load(dev, out_path("models/imu-motion.hef"), &no, &net, &err), &err);
	out = hw_net_outputs(net, &n_out);
	assert_in_range(n_out, 2, 8);
	for (size_t i = 0; i < n_out; i++) {
		outs[i] = xcalloc(out[i].elements, sizeof(float));
		if (strcmp(base_name(out[i].name), m->scores_name) == 0)
			scores = i;
	}
	assert_true(scores < n_out);
	assert_int_equal(out[scores].elements, MOTIFS);
	in = xcalloc((size_t)m->timesteps * m->channels, sizeof(float));
	for (size_t k = 0; k < w.count; k++) {
		const void *ins[] = {in};
		const float *s = outs[scores];
		unsigned int best = 0, label = w.label[k];

		hw_manifest_input(m, imu_window(&w, k), in);
		assert_ok(hw_net_run(net, ins, outs, 0, &err), &err);
		for (unsigned int i = 1; i < MOTIFS; i++)
			best = s[i] > s[best] ? i : best;
		per_class[label]++;
		right_class[label] += best == label;
		right += best == label;
	}
	for (unsigned int i = 0; i < MOTIFS; i++) {
		assert_int_equal(per_class[i], 20);
		print_message("# %-6s %zu of %zu\n", m->motif_names[i], right_class[i], per_class[i]);
	}
	print_message("# right motif on top: %zu of %zu\n", right, (size_t)w.count);
	assert_true((double)right >= WANTED * (double)w.count);
	for (size_t i = 0; i < n_out; i++)
		free(outs[i]);
	free(in);
	hw_net_free(net);
	hw_dev_close(dev);
	imu_windows_free(&w);
	hw_manifest_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_right_motif_is_on_top),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
