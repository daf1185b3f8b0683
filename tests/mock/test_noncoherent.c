// SPDX-License-Identifier: MIT
/*
 * Where PCIe does not see the CPU's caches: every sync that the driver owes is there, names enough, and
 * comes on time.  (test_vstreams.c does the same for frames in pieces and tensors in parts.)
 */
#include "mock/multi_rig.h"

#include "chip/chip.h"
#include "support/tinynet.h"
#include "trace/trace.h"

/* The tool's own source: it is linked into no library. */
#include "hwctl/dma_count.c"

static void run_board(const struct multinet *m, uint32_t batch, uint32_t page)
{
	const struct want w = {.batch = batch, .page = page, .in_flight = 2 * batch, .noncoherent = true};
	struct rig rig = rig_open(m, &w);

	/* More than there are slots, and more than once around the lists. */
	all_right(&rig, 8 * batch);
	all_right(&rig, 1);
	rig_close(&rig);
	noncoherent_check();
}

static void frames_come_back_right(void **state)
{
	static const uint32_t batches[] = {1, 3, 8};
	static const uint32_t pages[] = {0, 128};
	struct multinet m;

	(void)state;
	for (size_t n = 2; n <= 4; n++) {
		multinet_chain(&m, n);
		for (size_t b = 0; b < ARRAY_SIZE(batches); b++)
			for (size_t p = 0; p < ARRAY_SIZE(pages); p++)
				run_board(&m, batches[b], pages[p]);
	}
	multinet_branched(&m);
	run_board(&m, 4, 0);
}

/* The whole list is used again and again: each time the chip has to see what is in it now. */
static void lists_go_round(void **state)
{
	const struct want w = {.in_flight = 3, .noncoherent = true};
	struct multinet m;
	struct rig rig;

	(void)state;
	multinet_chain(&m, 2);
	rig = rig_open(&m, &w);
	for (unsigned int i = 0; i < 3; i++)
		all_right(&rig, 200);
	rig_close(&rig);
	noncoherent_check();
}

static void two_networks_take_turns(void **state)
{
	const struct want w = {.in_flight = 2, .noncoherent = true};
	struct multinet m[2];
	struct rig rig = {0}, other;

	(void)state;
	multinet_chain(&m[0], 2);
	multinet_branched(&m[1]);
	rig_power_on(&rig, &w);
	other = rig;
	rig_load(&rig, &m[0], &w);
	rig_load(&other, &m[1], &w);
	for (unsigned int i = 0; i < 4; i++) {
		all_right(&rig, 5);
		all_right(&other, 5);
	}
	hw_net_free(other.net);
	rig_close(&rig);
	noncoherent_check();
}

/* hwctl dma-test looks around the frames, and reads lists, on such boards too. */
static void the_tool_sees_what_the_chip_did(void **state)
{
	struct mock_opts opts = {0};
	struct hw_net_options o = {.frames_in_flight = 4};
	struct chip_boot_options boot = {0};
	struct hw_error err = {0};

	(void)state;
	for (unsigned int stray = 0; stray < 2; stray++) {
		struct dma_count count;
		struct backend *be;
		struct hw_dev *dev;
		struct hw_net *net;
		uint8_t *hef;
		size_t len;

		assert_ok(backend_mock_open(&opts, &be, &err), &err);
		noncoherent_make(be);
		assert_ok(infer_dev_open(be, &boot, false, &dev, &err), &err);
		assert_ok(dma_count_prepare(&count, dev, &err), &err);
		hef = tiny_hef("tiny", 1.0f, 3, &len);
		assert_ok(hw_net_load_mem(dev, hef, len, &o, &net, &err), &err);
		free(hef);
		assert_ok(dma_count_begin(&count, net, &err), &err);
		for (unsigned int i = 0; i < 20; i++) {
			const uint8_t in[TINY_IN] = {(uint8_t)i, 1, 2, 3};
			uint8_t out[TINY_OUT];

			assert_ok(hw_net_run(net, (const void *[]){in}, (void *[]){out}, PATIENT_MS, &err), &err);
		}
		if (stray) {
			const struct infer_stream *s = &net->outputs[0];

			noncoherent_chips(&s->mem)[infer_slot_offset(s, 1) + TINY_OUT] ^= 1;
		}
		assert_ok(dma_count_end(&count, &err), &err);
		assert_int_equal(count.guard_damaged, stray);
		assert_int_equal(count.ch[net->outputs[0].stream->channel].bad_descs, 0);
		hw_net_free(net);
		hw_dev_close(dev);
		assert_int_equal(noncoherent_areas(), 0);
		noncoherent_check();
	}
}

static bool tiny_works(struct hw_dev *dev)
{
	static const uint8_t in[TINY_IN] = {0, 36, 72, 108, 144, 180, 216, 252};
	uint8_t out[TINY_OUT], *hef;
	struct hw_error err = {0};
	struct hw_net *net;
	size_t len, n;
	bool good;
	int r;

	hef = tiny_hef("tiny", 1.0f, 3, &len);
	r = hw_net_load_mem(dev, hef, len, NULL, &net, &err);
	free(hef);
	if (r < 0)
		return false;
	r = hw_net_run(net, (const void *[]){in}, (void *[]){out}, PATIENT_MS, &err);
	good = r == 0 && tiny_right(in, out, 3, &hw_net_outputs(net, &n)->quant);
	hw_net_free(net);
	return good;
}

/* The digests of all transfers of a run, one a line; free() it. */
static char *recorded_digests(bool noncoherent)
{
	struct mock_opts opts = {0};
	struct chip_boot_options boot = {0};
	struct hw_error err = {0};
	char path[300], *text = NULL;
	struct backend *be;
	struct hw_dev *dev;
	cJSON *lines, *line;
	size_t size = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/r.jsonl", tmp_dir());
	assert_ok(backend_mock_open(&opts, &be, &err), &err);
	if (noncoherent)
		noncoherent_make(be);
	assert_ok(trace_record(be, path, NULL, &err), &err);
	assert_ok(infer_dev_open(be, &boot, false, &dev, &err), &err);
	assert_true(tiny_works(dev));
	hw_dev_close(dev);
	assert_ok(trace_read(path, &lines, &err), &err);
	f = open_memstream(&text, &size);
	assert_non_null(f);
	cJSON_ArrayForEach(line, lines) if (trace_is(line, "transfer"))
		fprintf(f, "%s\n", trace_text(line, "sha256"));
	fclose(f);
	cJSON_Delete(lines);
	return text;
}

static void recordings_hold_what_was_sent(void **state)
{
	char *want = recorded_digests(false), *got = recorded_digests(true);

	(void)state;
	assert_int_equal(strlen(want), 2 * 65); /* one in, one out */
	assert_string_equal(got, want);
	noncoherent_check();
	free(got);
	free(want);
}

/* hwctl trace replay fills its lists itself. */
static void recordings_replay(void **state)
{
	struct trace_replayed done;
	struct mock_opts opts = {0};
	struct hw_error err = {0};
	struct chip chip = {0};
	struct backend *be;
	cJSON *lines;

	(void)state;
	lines = read_jsonl(shared_path("golden/mnist_cnn.hailo8.v0.batch8.jsonl"));
	assert_ok(backend_mock_open(&opts, &be, &err), &err);
	noncoherent_make(be);
	assert_ok(chip_init(&chip, be, NULL, &err), &err);
	assert_ok(trace_replay(lines, &chip, &done, &err), &err);
	assert_string_equal(done.difference, "");
	assert_int_equal(done.transfers, 16);
	chip_shutdown(&chip);
	backend_close(be);
	cJSON_Delete(lines);
	assert_int_equal(noncoherent_areas(), 0);
	noncoherent_check();
}

/* ------------------------------------------------------------ a missing sync would be seen */

static void without(enum noncoherent_lame lame, unsigned int good, unsigned int wrong)
{
	const struct want w = {.in_flight = 1, .noncoherent = true};
	unsigned int n_good = 0, n_wrong = 0;
	struct multinet m;
	struct rig rig;

	multinet_chain(&m, 2);
	rig = rig_open(&m, &w);
	all_right(&rig, 1);
	noncoherent_lame(lame);
	/* The first is the same as the one before: its bytes may be there still. */
	send_frames(&rig, 2, lame == NONCOHERENT_NO_LISTS ? IMPATIENT_MS : PATIENT_MS);
	for (unsigned int i = 0; i < 2; i++) {
		n_good += crowd.f[i].status == 0 && right(&rig, &crowd.f[i]);
		n_wrong += crowd.f[i].status == 0 && !right(&rig, &crowd.f[i]);
	}
	crowd_empty(&crowd);
	noncoherent_lame(NONCOHERENT_HEALTHY);
	rig_close(&rig);
	assert_int_equal(n_good, good);
	assert_int_equal(n_wrong, wrong);
}

static void forgotten_syncs_show(void **state)
{
	(void)state;
	without(NONCOHERENT_HEALTHY, 2, 0);
	without(NONCOHERENT_NO_TO_DEVICE, 1, 1);
	without(NONCOHERENT_NO_FROM_DEVICE, 1, 1);
	without(NONCOHERENT_NO_LISTS, 0, 0); /* the chip finds no descriptors */
}

/* The chip computes what its configuration says, which stays in the CPU's caches here. */
static void forgotten_configuration_shows(void **state)
{
	const struct want w = {.noncoherent = true};
	struct rig rig = {0};

	(void)state;
	rig_power_on(&rig, &w);
	noncoherent_lame(NONCOHERENT_NO_TO_DEVICE);
	assert_false(tiny_works(rig.dev));
	noncoherent_lame(NONCOHERENT_HEALTHY);
	assert_true(tiny_works(rig.dev));
	hw_dev_close(rig.dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_come_back_right),
		cmocka_unit_test(lists_go_round),
		cmocka_unit_test(two_networks_take_turns),
		cmocka_unit_test(the_tool_sees_what_the_chip_did),
		cmocka_unit_test(recordings_hold_what_was_sent),
		cmocka_unit_test(recordings_replay),
		cmocka_unit_test(forgotten_syncs_show),
		cmocka_unit_test(forgotten_configuration_shows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
