// SPDX-License-Identifier: MIT
/* The driver's lower half against the software chip: two independent readings of one spec. */
#include "support/support.h"

#include "chip/chip.h"
#include "chip/internal.h"
#include "mock/mock.h"

static void open_chip(const struct mock_opts *opts, struct backend **be, struct chip *chip)
{
	struct hw_error err;

	*chip = (struct chip){0};
	assert_ok(backend_mock_open(opts, be, &err), &err);
	assert_ok(chip_init(chip, *be, NULL, &err), &err);
}

static void close_chip(struct backend *be, struct chip *chip)
{
	assert_int_equal(chip_shutdown(chip), 0);
	assert_int_equal(backend_mock_dma_bytes(be), 0);
	backend_close(be);
}

/* The captured answer to the first control with @opcode, from byte 0. */
static uint8_t *captured(uint32_t opcode, size_t *len)
{
	cJSON *all = read_jsonl(shared_path("traces/mnist-controls.jsonl")), *item;
	uint8_t *bytes = NULL;

	cJSON_ArrayForEach(item, all)
		if (!bytes && cJSON_GetNumberValue(cJSON_GetObjectItem(item, "opcode")) == opcode)
			bytes = unhex(cJSON_GetStringValue(cJSON_GetObjectItem(item, "response")), len);
	cJSON_Delete(all);
	assert_non_null(bytes);
	return bytes;
}

static void boots_both_kinds(void **state)
{
	static const struct {
		enum mock_arch arch;
		uint32_t want_arch, want_clusters;
	} cases[] = {{0, 1, 0}, {MOCK_HAILO8, 1, 0}, {MOCK_HAILO8L, 2, 0x33}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mock_opts opts = {.arch = cases[i].arch};
		struct chip_identity core;
		struct backend *be;
		struct chip chip;
		struct hw_error err;

		open_chip(&opts, &be, &chip);
		assert_int_equal(chip.id.arch, cases[i].want_arch);
		assert_int_equal(chip.id.fw_major, 4);
		assert_int_equal(chip.id.fw_minor, 23);
		assert_ok(chip_get_device_info(&chip, &err), &err);
		assert_int_equal(chip.info.clusters, cases[i].want_clusters);
		assert_int_equal(chip.info.clock_hz, 400000000);
		assert_int_equal(chip.max_desc_page, 4096);
		assert_ok(chip_get_hw_consts(&chip, &err), &err);
		assert_int_equal(chip.consts.fifo_word_granularity, 8);
		assert_int_equal(chip.consts.default_initial_credit_size, 0x10000);
		assert_ok(chip_core_identify(&chip, &core, &err), &err);
		assert_int_equal(core.fw_major, 4);
		assert_ok(chip_reset_apps(&chip, &err), &err);
		assert_ok(chip_clear_apps(&chip, &err), &err);
		close_chip(be, &chip);
	}
}

/* An 8L in software answers as the captured one did. */
static void answers_equal_the_captured_ones(void **state)
{
	static const struct {
		uint32_t opcode;
		bool core;
	} rows[] = {{0, false}, {72, true}, {71, true}};
	struct mock_opts opts = {.arch = MOCK_HAILO8L};
	struct backend *be;
	struct chip chip;
	struct hw_error err;

	(void)state;
	open_chip(&opts, &be, &chip);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct chip_request req = {.opcode = rows[i].opcode, .core = rows[i].core};
		struct chip_reply reply;
		uint8_t *want;
		size_t len;

		want = captured(rows[i].opcode, &len);
		assert_ok(chip_control(&chip, &req, &reply, &err), &err);
		assert_bytes_equal(reply.bytes, reply.len, want, len, chip_opcode_name(rows[i].opcode));
		free(want);
	}
	close_chip(be, &chip);
}

static void a_thousand_controls(void **state)
{
	struct mock_stats before, after;
	struct backend *be;
	struct chip chip;
	struct hw_error err;

	(void)state;
	open_chip(NULL, &be, &chip);
	mock_chip_stats(backend_mock_chip(be), &before);
	for (int i = 0; i < 1000; i++) {
		switch (i % 3) {
		case 0:
			assert_ok(chip_identify(&chip, &err), &err);
			break;
		case 1:
			assert_ok(chip_get_hw_consts(&chip, &err), &err);
			break;
		default:
			assert_ok(chip_reset_apps(&chip, &err), &err);
		}
	}
	mock_chip_stats(backend_mock_chip(be), &after);
	assert_int_equal(after.controls - before.controls, 1000);
	assert_int_equal(after.controls_refused, before.controls_refused);
	assert_false(chip.reply_late);
	close_chip(be, &chip);
}

static void refusals_have_words(void **state)
{
	static const uint8_t short_header[31];
	struct chip_request req = {
		.opcode = 32, .core = true, .n_params = 1, .params = {{short_header, 31}}};
	struct backend *be;
	struct chip chip;
	struct chip_reply reply;
	struct hw_error err;

	(void)state;
	open_chip(NULL, &be, &chip);
	/* evidence 8: a header of another length */
	assert_int_equal(chip_control(&chip, &req, &reply, &err), -EREMOTEIO);
	assert_int_equal(reply.major, 0x40030060);
	assert_non_null(strstr(err.text, "header has the wrong length"));
	req = (struct chip_request){.opcode = 3};
	assert_int_equal(chip_control(&chip, &req, &reply, &err), -EREMOTEIO);
	/* and the mailbox goes on */
	assert_ok(chip_identify(&chip, &err), &err);
	close_chip(be, &chip);
}

static void firmware_that_runs_already(void **state)
{
	struct mock_opts opts = {.already_running = true};
	struct backend *be;
	struct chip chip;
	struct hw_error err;

	(void)state;
	open_chip(&opts, &be, &chip);
	/* the process dies here without a word; the next one finds firmware running again */
	chip = (struct chip){0};
	assert_ok(chip_init(&chip, be, NULL, &err), &err);
	assert_ok(chip_clear_apps(&chip, &err), &err);
	close_chip(be, &chip);
}

static void over_and_over(void **state)
{
	struct backend *be;
	struct chip chip;
	struct hw_error err;

	(void)state;
	open_chip(NULL, &be, &chip);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(chip_shutdown(&chip), 0);
		assert_ok(chip_init(&chip, be, NULL, &err), &err);
	}
	close_chip(be, &chip);
}

static void after_a_function_reset(void **state)
{
	struct backend *be;
	struct chip chip;
	struct hw_error err;

	(void)state;
	open_chip(NULL, &be, &chip);
	assert_int_equal(be->ops->reset(be), 0);
	assert_int_equal(chip_identify(&chip, &err), -ENODEV);
	assert_non_null(strstr(err.text, "no firmware"));
	chip_shutdown(&chip);
	assert_ok(chip_init(&chip, be, NULL, &err), &err);
	close_chip(be, &chip);
}

static void refuses_a_broken_image(void **state)
{
	struct chip_boot_options opt = {.boot_timeout_ms = 200};
	struct backend *be;
	struct chip chip = {0};
	struct hw_error err;
	uint8_t *image;
	size_t len;

	(void)state;
	assert_int_equal(chip_firmware_synthetic(&image, &len), 0);
	opt.firmware = (struct span){image, len - 1};
	assert_ok(backend_mock_open(NULL, &be, &err), &err);
	assert_int_equal(chip_init(&chip, be, &opt, &err), -EINVAL);
	opt.firmware.len = len;
	assert_ok(chip_init(&chip, be, &opt, &err), &err);
	close_chip(be, &chip);
	free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(boots_both_kinds),
		cmocka_unit_test(answers_equal_the_captured_ones),
		cmocka_unit_test(a_thousand_controls),
		cmocka_unit_test(refusals_have_words),
		cmocka_unit_test(firmware_that_runs_already),
		cmocka_unit_test(over_and_over),
		cmocka_unit_test(after_a_function_reset),
		cmocka_unit_test(refuses_a_broken_image),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
