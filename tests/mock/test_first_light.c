// SPDX-License-Identifier: MIT
/*
 * No side channel: the chip in software computes from the bytes its config channels fetched, and
 * from nothing else.  Everything here goes through the public API, BARs, mailbox and DMA.
 */
#include <hwlayer/hwlayer.h>
#include <unistd.h>

#include "infer/infer.h"
#include "support/support.h"
#include "support/tamper.h"
#include "support/tinynet.h"

#define FRAME_MS 2000

static struct hw_dev *open_mock(const char *name)
{
	struct hw_dev_options o = {.device = name};
	struct hw_dev *dev = NULL;
	struct hw_error err = {0};

	assert_ok(hw_dev_open(&o, &dev, &err), &err);
	return dev;
}

static struct hw_dev *open_tampered(struct tamper **t, const struct mock_opts *opts)
{
	struct chip_boot_options boot = {0};
	struct hw_dev *dev = NULL;
	struct hw_error err = {0};

	*t = tamper_new(opts);
	assert_ok(infer_dev_open(&(*t)->be, &boot, false, &dev, &err), &err);
	return dev;
}

static int load(struct hw_dev *dev, const uint8_t *hef, size_t len, struct hw_net **net,
		struct hw_error *err)
{
	return hw_net_load_mem(dev, hef, len, NULL, net, err);
}

static int run_bytes(struct hw_net *net, const uint8_t in[TINY_IN], uint8_t out[TINY_OUT],
		     struct hw_error *err)
{
	const void *ins[] = {in};
	void *outs[] = {out};

	return hw_net_run(net, ins, outs, FRAME_MS, err);
}

static void expect_works(struct hw_dev *dev, const uint8_t *hef, size_t len)
{
	static const uint8_t in[TINY_IN] = {0, 36, 72, 108, 144, 180, 216, 252};
	uint8_t out[TINY_OUT];
	struct hw_error err = {0};
	struct hw_net *net;
	size_t n;

	assert_ok(load(dev, hef, len, &net, &err), &err);
	assert_ok(run_bytes(net, in, out, &err), &err);
	assert_true(tiny_right(in, out, 3, &hw_net_outputs(net, &n)->quant));
	hw_net_free(net);
}

/* The network must not run, and the driver must say which config channel it is. */
static void expect_dead(struct hw_dev *dev, const uint8_t *hef, size_t len, const char *what, size_t at)
{
	uint8_t in[TINY_IN] = {0}, out[TINY_OUT];
	struct hw_error err = {0};
	struct hw_net *net;
	int r = load(dev, hef, len, &net, &err);

	if (r == 0) {
		r = run_bytes(net, in, out, &err);
		hw_net_free(net);
	}
	if (r == 0)
		fail_msg("%s at %zu: the network ran", what, at);
	if (!strstr(err.text, "config channel"))
		fail_msg("%s at %zu: no channel is named in: %s", what, at, err.text);
}

static void a_window_comes_back(void **state)
{
	struct hw_dev *dev = open_mock("mock");
	size_t len;
	uint8_t *hef = tiny_hef("tiny", 1.0f, 3, &len);

	(void)state;
	expect_works(dev, hef, len);
	expect_works(dev, hef, len);
	hw_dev_close(dev);
	free(hef);
}

static void the_8l_runs_the_same_file(void **state)
{
	struct hw_dev *dev = open_mock("mock:8l");
	struct hw_dev_info info;
	struct hw_error err = {0};
	size_t len;
	uint8_t *hef = tiny_hef("tiny", 1.0f, 3, &len);

	(void)state;
	assert_ok(hw_dev_query_info(dev, &info, &err), &err);
	assert_int_equal(info.arch, HW_ARCH_HAILO8L);
	assert_int_equal(info.clusters, 0x33);
	assert_true(info.software_chip);
	expect_works(dev, hef, len);
	hw_dev_close(dev);
	free(hef);
}

static void files_are_not_needed_after_loading(void **state)
{
	struct hw_dev *dev = open_mock("mock");
	struct hw_error err = {0};
	struct hw_net *net;
	char path[128];
	uint8_t in[TINY_IN] = {9, 8, 7, 6, 5, 4, 3, 200}, before[TINY_OUT], after[TINY_OUT];
	size_t len;
	uint8_t *hef = tiny_hef("tiny", 1.0f, 3, &len);

	(void)state;
	snprintf(path, sizeof(path), "%s/tiny.hef", tmp_dir());
	spit(path, hef, len);
	assert_ok(hw_net_load(dev, path, NULL, &net, &err), &err);
	assert_ok(run_bytes(net, in, before, &err), &err);
	memset(hef, 0xa5, len);
	spit(path, hef, len);
	assert_int_equal(unlink(path), 0);
	memset(after, 0, sizeof(after));
	assert_ok(run_bytes(net, in, after, &err), &err);
	assert_memory_equal(before, after, sizeof(before));
	hw_net_free(net);
	hw_dev_close(dev);
	free(hef);
}

static void swapped_payloads_swap_results(void **state)
{
	struct hw_dev *dev = open_mock("mock");
	struct hw_error err = {0};
	uint8_t in[TINY_IN] = {10, 20, 60, 90, 120, 170, 200, 250}, want[2][TINY_OUT], got[2][TINY_OUT];
	uint8_t *hef[2];
	size_t len[2], off[2], size[2];

	(void)state;
	hef[0] = tiny_hef("one", 1.0f, 3, &len[0]);
	hef[1] = tiny_hef("two", 1.0f, 5, &len[1]);
	for (int i = 0; i < 2; i++) {
		struct hw_net *net;

		assert_ok(load(dev, hef[i], len[i], &net, &err), &err);
		assert_ok(run_bytes(net, in, want[i], &err), &err);
		hw_net_free(net);
		hef_ccws(hef[i], len[i], &off[i], &size[i]);
	}
	assert_memory_not_equal(want[0], want[1], TINY_OUT);
	assert_int_equal(size[0], size[1]);
	for (size_t k = 0; k < size[0]; k++) {
		uint8_t b = hef[0][off[0] + k];

		hef[0][off[0] + k] = hef[1][off[1] + k];
		hef[1][off[1] + k] = b;
	}
	for (int i = 0; i < 2; i++) {
		struct hw_net *net;

		hef_fix_digest(hef[i], len[i]);
		assert_ok(load(dev, hef[i], len[i], &net, &err), &err);
		assert_ok(run_bytes(net, in, got[i], &err), &err);
		hw_net_free(net);
	}
	assert_memory_equal(got[0], want[1], TINY_OUT);
	assert_memory_equal(got[1], want[0], TINY_OUT);
	hw_dev_close(dev);
	free(hef[0]);
	free(hef[1]);
}

static void every_flipped_config_byte_stops_a_tiny_network(void **state)
{
	struct hw_dev *dev = open_mock("mock");
	size_t len, off, size;
	uint8_t *hef = tiny_hef("tiny", 1.0f, 3, &len);

	(void)state;
	hef_ccws(hef, len, &off, &size);
	for (size_t i = 0; i < size; i++) {
		hef[off + i] ^= (uint8_t)(1u << (i % 8));
		hef_fix_digest(hef, len);
		expect_dead(dev, hef, len, "flipped byte", i);
		hef[off + i] ^= (uint8_t)(1u << (i % 8));
		if (i % 64 == 0) {
			hef_fix_digest(hef, len);
			expect_works(dev, hef, len);
		}
	}
	hef_fix_digest(hef, len);
	expect_works(dev, hef, len);
	hw_dev_close(dev);
	free(hef);
}

static void run_default(struct hw_dev *dev, const uint8_t *hef, size_t len, bool must_work, size_t at)
{
	struct hw_error err = {0};
	struct hw_net *net;
	void *in[8] = {0}, *out[8] = {0};
	size_t n_in = 0, n_out = 0;
	int r = load(dev, hef, len, &net, &err);

	if (r == 0) {
		const struct hw_tensor_info *ii = hw_net_inputs(net, &n_in), *oi = hw_net_outputs(net, &n_out);

		for (size_t i = 0; i < n_in; i++)
			in[i] = calloc(1, ii[i].frame_bytes);
		for (size_t i = 0; i < n_out; i++)
			out[i] = calloc(1, oi[i].frame_bytes);
		r = hw_net_run(net, (const void *const *)in, out, FRAME_MS, &err);
		hw_net_free(net);
		for (size_t i = 0; i < n_in; i++)
			free(in[i]);
		for (size_t i = 0; i < n_out; i++)
			free(out[i]);
	}
	if (must_work && r < 0)
		fail_msg("the default model does not run: %s", err.text);
	if (!must_work && r == 0)
		fail_msg("byte %zu flipped: the network ran", at);
	if (!must_work && !strstr(err.text, "config channel"))
		fail_msg("byte %zu flipped: no channel is named in: %s", at, err.text);
}

static void a_thousand_flipped_bytes_of_the_default_model(void **state)
{
	struct hw_dev *dev = open_mock("mock");
	size_t len, off, size;
	uint8_t *hef = slurp(out_path("models/imu-motion.hef"), &len);
	uint32_t seed = 20261121;

	(void)state;
	hef_ccws(hef, len, &off, &size);
	for (int n = 0; n < 1000; n++) {
		size_t at;
		uint8_t bit;

		seed = seed * 1664525u + 1013904223u;
		at = off + (seed >> 4) % size;
		bit = (uint8_t)(1u << (seed >> 29));
		hef[at] ^= bit;
		hef_fix_digest(hef, len);
		run_default(dev, hef, len, false, at - off);
		hef[at] ^= bit;
		if (n % 100 == 99) {
			hef_fix_digest(hef, len);
			run_default(dev, hef, len, true, 0);
		}
	}
	hw_dev_close(dev);
	free(hef);
}

/* -------------------------------------------------------------- descriptors that go missing */

struct drop {
	unsigned int wanted; /* which config descriptor, over all lists */
	unsigned int seen;
	bool shift;          /* the rest moves up instead of a hole being left */
	bool hit;
};

/*
 * At ENABLED (opcode 37, state 1) the lists are complete.  A config list is recognised by its
 * last descriptors of a piece, which carry 0x1e; boundary lists are empty at this time.
 */
static void drop_descriptor(struct tamper *t, const uint8_t *req, size_t len, void *user)
{
	struct drop *d = user;

	if (tamper_opcode(req) != 37 || len < 25 || req[24] != 1)
		return;
	for (size_t a = 0; a < t->n_areas; a++) {
		uint32_t *w = t->areas[a].virt;
		size_t n = t->areas[a].size / 16, used = 0;

		for (size_t i = 0; i < n; i++) {
			if ((w[4 * i] & 0xff) == 0x1e)
				used = i + 1;
		}
		/* Payload bytes could look like that; a list's first word is a page or less, with control. */
		if (!used || ((w[0] & 0xff) != 0x02 && (w[0] & 0xff) != 0x1e) || (w[0] >> 8) > 4096)
			continue;
		for (size_t i = 0; i < used; i++) {
			if (d->seen++ != d->wanted)
				continue;
			d->hit = true;
			if (d->shift) {
				memmove(w + 4 * i, w + 4 * (i + 1), 16 * (used - 1 - i));
				memset(w + 4 * (used - 1), 0, 16);
			} else {
				memset(w + 4 * i, 0, 16);
			}
		}
	}
}

static void a_missing_descriptor(bool shift)
{
	struct drop d = {.shift = shift};
	struct tamper *t;
	struct hw_dev *dev = open_tampered(&t, NULL);
	size_t len;
	uint8_t *hef = tiny_hef("tiny", 1.0f, 3, &len);
	unsigned int dropped = 0;

	for (;;) {
		uint8_t in[TINY_IN] = {0}, out[TINY_OUT];
		const void *ins[] = {in};
		void *outs[] = {out};
		struct hw_error err = {0}, why = {0};
		struct hw_net *net;
		int r;

		d.seen = 0;
		d.hit = false;
		t->on_control = drop_descriptor;
		t->user = &d;
		r = load(dev, hef, len, &net, &err);
		if (r == 0) {
			r = d.hit ? hw_net_run(net, ins, outs, 150, &err) : 0;
			hw_net_state(net, &why);
			hw_net_free(net);
		}
		t->on_control = NULL;
		if (!d.hit)
			break;
		dropped++;
		if (r == 0)
			fail_msg("descriptor %u dropped: the network ran", d.wanted);
		if (!strstr(err.text, "config channel"))
			fail_msg("descriptor %u dropped: no channel is named in: %s", d.wanted, err.text);
		expect_works(dev, hef, len);
		d.wanted++;
	}
	assert_true(dropped >= 2);
	hw_dev_close(dev);
	free(hef);
}

static void a_hole_in_a_config_list(void **state)
{
	(void)state;
	a_missing_descriptor(false);
}

static void a_config_list_one_short(void **state)
{
	(void)state;
	a_missing_descriptor(true);
}

/* ---------------------------------------------------- what was captured on a real Hailo-8L */

static cJSON *captured(cJSON *all, unsigned int opcode, const char *request)
{
	cJSON *c;

	cJSON_ArrayForEach(c, all) {
		const char *req = cJSON_GetObjectItem(c, "request")->valuestring;

		if (cJSON_GetObjectItem(c, "opcode")->valuedouble == opcode &&
		    (!request || strcmp(req, request) == 0))
			return c;
	}
	fail_msg("the capture has no opcode %u", opcode);
	return NULL;
}

static void compare_message(struct tamper *t, unsigned int opcode, cJSON *want)
{
	const char *texts[] = {cJSON_GetObjectItem(want, "request")->valuestring,
			       cJSON_GetObjectItem(want, "response")->valuestring};
	size_t req_len, rsp_len;
	uint8_t *req = unhex(texts[0], &req_len), *rsp = unhex(texts[1], &rsp_len);
	bool found = false;

	for (size_t i = 0; i < t->n_controls && !found; i++) {
		struct tamper_control *c = &t->controls[i];

		if (tamper_opcode(c->req) != opcode || c->req_len != req_len ||
		    memcmp(c->req, req, req_len))
			continue;
		found = true;
		assert_int_equal(c->cpu, 1u << (int)cJSON_GetObjectItem(want, "cpu")->valuedouble);
		assert_bytes_equal(c->rsp, c->rsp_len, rsp, rsp_len,
				   cJSON_GetObjectItem(want, "name")->valuestring);
	}
	if (!found)
		fail_msg("we never sent the captured %s", cJSON_GetObjectItem(want, "name")->valuestring);
	free(req);
	free(rsp);
}

static void messages_equal_the_capture(void **state)
{
	cJSON *all = read_jsonl(shared_path("traces/mnist-controls.jsonl"));
	struct mock_opts opts = {.arch = MOCK_HAILO8L};
	struct hw_error err = {0};
	struct hw_dev *dev;
	struct hw_net *net;
	struct tamper *t;
	size_t len, n;
	uint8_t *hef = slurp(out_path("models/imu-motion.hef"), &len), *info;
	cJSON *c;

	(void)state;
	/*
	 * The chip's answer to GET_DEVICE_INFORMATION holds one card's identity and temperatures; the
	 * software chip has none of its own and is given the captured ones to be compared whole.
	 */
	info = unhex(cJSON_GetObjectItem(captured(all, 51, NULL), "response")->valuestring, &n);
	assert_int_equal(n, 28 + sizeof(opts.device_info));
	memcpy(opts.device_info, info + 28, sizeof(opts.device_info));
	opts.has_device_info = true;
	free(info);
	dev = open_tampered(&t, &opts);
	assert_ok(load(dev, hef, len, &net, &err), &err);
	hw_net_free(net);
	compare_message(t, 0, captured(all, 0, NULL));
	compare_message(t, 51, captured(all, 51, NULL));
	compare_message(t, 37, captured(all, 37, NULL)); /* RESET comes first in the capture */
	compare_message(t, 71, captured(all, 71, NULL));
	compare_message(t, 72, captured(all, 72, NULL));
	compare_message(t, 32, captured(all, 32, NULL));
	/* ENABLED of application 0 as well */
	cJSON_ArrayForEach(c, all) {
		if (cJSON_GetObjectItem(c, "opcode")->valuedouble == 37)
			compare_message(t, 37, c);
	}
	hw_dev_close(dev);
	cJSON_Delete(all);
	free(hef);
}

/* Without the captured identity: all that is not one card's own is equal still. */
static void device_information_without_an_identity(void **state)
{
	cJSON *all = read_jsonl(shared_path("traces/mnist-controls.jsonl"));
	struct mock_opts opts = {.arch = MOCK_HAILO8L};
	struct tamper *t;
	struct hw_dev *dev = open_tampered(&t, &opts);
	size_t n;
	uint8_t *want = unhex(cJSON_GetObjectItem(captured(all, 51, NULL), "response")->valuestring, &n);
	struct tamper_control *got = NULL;
	struct hw_error err = {0};
	struct hw_dev_info info;

	(void)state;
	assert_ok(hw_dev_query_info(dev, &info, &err), &err);
	for (size_t i = 0; i < t->n_controls; i++) {
		if (tamper_opcode(t->controls[i].req) == 51)
			got = &t->controls[i];
	}
	assert_non_null(got);
	/* protocol 1.7: SoC id at 37, fuse info at 83, process-monitor values at 99, of the area at 28 */
	memset(want + 28 + 37, 0, 32);
	memset(want + 28 + 83, 0, 12);
	memset(want + 28 + 99, 0, 24);
	assert_bytes_equal(got->rsp, got->rsp_len, want, n, "GET_DEVICE_INFORMATION");
	hw_dev_close(dev);
	cJSON_Delete(all);
	free(want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_window_comes_back),
		cmocka_unit_test(the_8l_runs_the_same_file),
		cmocka_unit_test(files_are_not_needed_after_loading),
		cmocka_unit_test(swapped_payloads_swap_results),
		cmocka_unit_test(every_flipped_config_byte_stops_a_tiny_network),
		cmocka_unit_test(a_thousand_flipped_bytes_of_the_default_model),
		cmocka_unit_test(a_hole_in_a_config_list),
		cmocka_unit_test(a_config_list_one_short),
		cmocka_unit_test(messages_equal_the_capture),
		cmocka_unit_test(device_information_without_an_identity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
