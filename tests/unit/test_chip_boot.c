// SPDX-License-Identifier: MIT
/* chip_init() and chip_shutdown() against a scripted chip, every step of it failing in turn. */
#include "chip_rig.h"

/* Masked, no MSI, no bus mastering, nothing allocated: what a failed or ended chip must look like. */
static void assert_stopped(const struct fake_chip *f)
{
	assert_false(f->msi);
	assert_false(f->bus_master);
	assert_int_equal(f->dma_bytes, 0);
	if (!f->gone_at)
		assert_int_equal(f->imask, 0);
}

static void boots_a_cold_chip(void **state)
{
	static const uint8_t board[5] = {1, 2, 3, 4, 5}, fwcfg[4] = {9, 8, 7, 6};
	struct rig *r = *state;
	struct chip_firmware fw;

	r->opt.board_cfg = (struct span){board, 5};
	r->opt.fw_cfg = (struct span){fwcfg, 4};
	memset(r->f.ram + 0x80000 + 0x48, 0xee, 16);
	assert_ok(chip_init(&r->chip, &r->f.be, &r->opt, &r->err), &r->err);
	assert_ok(chip_firmware_parse(r->opt.firmware, &fw, &r->err), &r->err);

	/* everything lies where pcie 3.3 wants it */
	assert_memory_equal(r->f.ram + 0xe0030 - 0x60000, fw.app_header.ptr, 24);
	assert_memory_equal(r->f.ram, fw.app_code.ptr, 84);
	assert_memory_equal(r->f.ram + 0xe0048 - 0x60000, fw.key_cert.ptr, 8);
	assert_memory_equal(r->f.ram + 0xe0390 - 0x60000, fw.content_cert.ptr, 6);
	assert_memory_equal(r->f.ram + 0xc0000 - 0x60000, fw.core_code.ptr, 88);
	assert_memory_equal(r->f.ram + 0xa0000 - 0x60000, fw.core_header.ptr, 24);
	assert_memory_equal(r->f.mailbox + 0x1000, board, 5);
	assert_memory_equal(r->f.mailbox + 0x1500, fwcfg, 4);

	assert_true(r->chip.firmware_loaded);
	assert_true(r->chip.identified);
	assert_false(r->chip.booting);
	assert_int_equal(r->chip.id.arch, 1);
	assert_int_equal(r->chip.id.fw_minor, 23);
	assert_string_equal(r->chip.id.board_name, "Hailo-8");
	assert_int_equal(r->chip.max_desc_page, 4096);
	assert_int_equal(r->f.controls, 1); /* IDENTIFY, and nothing else (protocol 5.9) */
	assert_ok(chip_get_device_info(&r->chip, &r->err), &r->err);
	assert_int_equal(r->chip.info.clock_hz, 400000000);
	assert_int_equal(r->f.imask, 0xff00ffff);
	assert_true(r->f.msi && r->f.bus_master);

	assert_int_equal(chip_shutdown(&r->chip), 0);
	assert_int_equal(r->f.doorbells[0], 4);
	assert_stopped(&r->f);
	/* driver-down before the mask, or its acknowledge could not arrive */
	assert_int_equal(r->f.log[r->f.n_log - 1].off, 0x188);
	assert_false(r->chip.firmware_loaded);
}

static void keeps_bytes_behind_an_odd_end(void **state)
{
	struct rig *r = *state;

	memset(r->f.ram + 0xe0390 - 0x60000, 0xee, 12);
	assert_ok(chip_init(&r->chip, &r->f.be, &r->opt, &r->err), &r->err);
	/* the content certificate has 6 bytes */
	assert_int_equal(r->f.ram[0xe0395 - 0x60000], 0xc0 + 13);
	assert_int_equal(r->f.ram[0xe0396 - 0x60000], 0xee);
	assert_int_equal(r->f.ram[0xe0398 - 0x60000], 0xee);
	chip_shutdown(&r->chip);
}

static void boots_the_synthetic_image_on_software_only(void **state)
{
	struct fake_chip f;
	struct chip chip = {0};
	struct hw_error err;

	(void)state;
	fake_init(&f);
	assert_ok(chip_init(&chip, &f.be, NULL, &err), &err);
	assert_int_equal(chip_shutdown(&chip), 0);
	f.be.subsys_vendor = 0;
	f.n_log = 0;
	assert_int_equal(chip_init(&chip, &f.be, NULL, &err), -ENOENT);
	assert_non_null(strstr(err.text, "0000:01:00.0"));
	assert_stopped(&f);
	fake_done(&f);
}

static void resets_running_firmware_first(void **state)
{
	struct rig *r = *state;

	assert_ok(chip_init(&r->chip, &r->f.be, &r->opt, &r->err), &r->err);
	r->f.bar2[0x10] = 0x00012801; /* a channel that the last process left running */
	r->f.n_doorbells = 0;
	/* a new process: it knows nothing of the old one */
	r->chip = (struct chip){0};
	assert_ok(chip_init(&r->chip, &r->f.be, &r->opt, &r->err), &r->err);
	assert_true(r->f.n_doorbells > 2);
	assert_int_equal(r->f.doorbells[r->f.n_doorbells - 1], 4); /* for the process that could not */
	assert_int_equal(r->f.doorbells[r->f.n_doorbells - 2], 8);
	assert_int_equal(r->f.bar2[0x10], 0);
	chip_shutdown(&r->chip);
}

static void fails_if_the_boot_loader_is_not_ready_after_reset(void **state)
{
	struct rig *r = *state;

	assert_ok(chip_init(&r->chip, &r->f.be, &r->opt, &r->err), &r->err);
	r->f.never_ready = true;
	r->chip = (struct chip){0};
	assert_int_equal(chip_init(&r->chip, &r->f.be, &r->opt, &r->err), -ETIMEDOUT);
	assert_non_null(strstr(r->err.text, "boot status 0x00000002"));
	assert_stopped(&r->f);
}

static void fails_if_the_soft_reset_is_not_answered(void **state)
{
	struct rig *r = *state;
	struct chip_firmware fw;

	assert_ok(chip_init(&r->chip, &r->f.be, &r->opt, &r->err), &r->err);
	assert_ok(chip_firmware_parse(r->opt.firmware, &fw, &r->err), &r->err);
	r->f.deaf_soft_reset = true;
	r->ops.reset = NULL;
	/* an old flag is no answer: the wait is armed anew */
	r->chip.booting = true;
	r->chip.irq_soft_reset = true;
	assert_int_equal(chip_boot(&r->chip, &fw, &r->opt, &r->err), -ETIMEDOUT);
	assert_non_null(strstr(r->err.text, "soft reset"));
	r->chip = (struct chip){0};
	assert_int_equal(chip_init(&r->chip, &r->f.be, &r->opt, &r->err), -ETIMEDOUT);
	assert_non_null(strstr(r->err.text, "did not answer a soft reset within 30 ms"));
	assert_stopped(&r->f);
}

static void gives_up_on_a_dead_boot(void **state)
{
	struct rig *r = *state;

	r->f.dead_boot = true;
	assert_int_equal(chip_init(&r->chip, &r->f.be, &r->opt, &r->err), -ETIMEDOUT);
	assert_non_null(strstr(r->err.text, "30 ms"));
	assert_non_null(strstr(r->err.text, "boot status 0x00001234"));
	assert_stopped(&r->f);
	assert_int_equal(r->f.n_doorbells, 0); /* no driver-down: nobody is there to hear it */
	assert_int_equal(r->f.atr[2], 0);      /* window 0 is back where it was */
}

static void survives_a_lost_boot_interrupt(void **state)
{
	struct rig *r = *state;
	struct chip_firmware fw;

	r->chip = (struct chip){.be = &r->f.be, .booting = true};
	r->f.lose_irq = true;
	assert_ok(chip_firmware_parse(r->opt.firmware, &fw, &r->err), &r->err);
	assert_ok(chip_boot(&r->chip, &fw, &r->opt, &r->err), &r->err);
	assert_true(r->chip.irq_booted);
}

static void wants_to_see_the_mailbox_after_boot(void **state)
{
	struct rig *r = *state;

	r->f.boot_without_mailbox = true;
	assert_int_equal(chip_init(&r->chip, &r->f.be, &r->opt, &r->err), -EIO);
	assert_non_null(strstr(r->err.text, "window 0"));
	assert_stopped(&r->f);
}

static void takes_an_event_that_lost_its_interrupt(void **state)
{
	uint8_t msg[32] = {0};
	struct fake_chip f;
	struct chip chip = {.be = &f.be};

	(void)state;
	/* Right after boot real chips may report a CPU memory error (evidence 9.12). */
	put_le32(msg + 16, 7);
	put_le32(msg + 20, 1);
	put_le32(msg + 24, 4);
	put_le32(msg + 28, 0x1000);
	fake_init(&f);
	f.state = FAKE_RUNNING;
	f.atr[2] = 0x60000000;
	fake_post_event(&f, msg, sizeof(msg));
	chip_irq_unmask(&chip); /* throws the interrupt away */
	assert_int_equal(f.istatus, 0);
	chip_event_service(&chip);
	assert_int_equal(get_le16(f.mailbox + 0xc80), 0);
	assert_int_equal(get_le16(f.mailbox + 0xc82), 32);
	fake_done(&f);
}

static void refuses_other_versions(void **state)
{
	struct rig *r = *state;

	put_le32(r->image + 12, 20);
	assert_int_equal(chip_init(&r->chip, &r->f.be, &r->opt, &r->err), -ENOTSUP);
	assert_non_null(strstr(r->err.text, "4.20.0"));
	assert_non_null(strstr(r->err.text, "4.23"));
	assert_int_equal(r->f.n_log, 1); /* the chip was not touched, only looked at */
}

static void refuses_oversized_configuration(void **state)
{
	static const uint8_t big[0x501];
	struct rig *r = *state;

	r->opt.fw_cfg = (struct span){big, sizeof(big)};
	assert_int_equal(chip_init(&r->chip, &r->f.be, &r->opt, &r->err), -EINVAL);
	assert_int_equal(r->f.n_log, 1);
}

static void reports_a_backend_without_interrupts(void **state)
{
	struct rig *r = *state;

	r->f.irq_enable_result = -ENOSPC;
	assert_int_equal(chip_init(&r->chip, &r->f.be, &r->opt, &r->err), -ENOSPC);
	assert_stopped(&r->f);
}

static void shutdown_outlives_a_deaf_chip(void **state)
{
	struct rig *r = *state;

	assert_ok(chip_init(&r->chip, &r->f.be, &r->opt, &r->err), &r->err);
	r->f.deaf_driver_down = true;
	assert_int_equal(chip_shutdown(&r->chip), -ETIMEDOUT);
	assert_stopped(&r->f);
	assert_int_equal(r->f.resets, 1);
}

static void page_limit_follows_the_read_request(void **state)
{
	static const uint32_t cases[][2] = {{128, 128}, {256, 256}, {512, 4096}, {4096, 4096}};
	struct hw_error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fake_chip f;
		struct chip chip = {0};

		fake_init(&f);
		f.be.max_read_request = cases[i][0];
		assert_ok(chip_probe(&chip, &f.be, &err), &err);
		assert_int_equal(chip.max_desc_page, cases[i][1]);
		fake_done(&f);
	}
}

/* The card is pulled at each single access of a whole life. */
static void removal_at_every_access(void **state)
{
	struct rig *r = *state;
	size_t total, init;

	assert_ok(chip_init(&r->chip, &r->f.be, &r->opt, &r->err), &r->err);
	init = r->f.n_log;
	assert_int_equal(chip_shutdown(&r->chip), 0);
	total = r->f.n_log;
	assert_true(init > 200);

	for (size_t at = 1; at <= total; at++) {
		int code;

		rig_again(r);
		r->f.gone_at = at;
		code = chip_init(&r->chip, &r->f.be, &r->opt, &r->err);
		if (at <= init) {
			/* the last accesses of init are reads of a reply whose MD5 tells */
			if (code != -ENODEV || !r->chip.gone || !r->err.text[0])
				fail_msg("gone at access %zu of %zu: %d, %s", at, init, code, r->err.text);
		} else {
			assert_int_equal(code, 0);
			code = chip_shutdown(&r->chip);
			/* the very last write is the mask, which nobody checks */
			assert_int_equal(code, at == total ? 0 : -ENODEV);
		}
		assert_stopped(&r->f);
	}
}

/* Each value that is read back after a write comes back wrong, one at a time. */
static void mismatch_at_every_read_back(void **state)
{
	struct rig *r = *state;
	bool *checked;
	size_t total, n = 0;

	assert_ok(chip_init(&r->chip, &r->f.be, &r->opt, &r->err), &r->err);
	total = r->f.n_log;
	checked = calloc(total, sizeof(*checked));
	for (size_t i = 1; i < total; i++) {
		const struct fake_access *w = &r->f.log[i - 1], *back = &r->f.log[i];

		checked[i] = w->write && !back->write && w->bar == back->bar && w->off == back->off &&
			     (back->bar == 4 || back->off >= 0x700) && w->value == back->value;
		n += checked[i];
	}
	chip_shutdown(&r->chip);
	/* boot status and 7 items x 2 windows x 5 words, 60 words of image, 1 request of 40 bytes */
	assert_int_equal(n, 150);

	for (size_t i = 1; i < total; i++) {
		int code;

		if (!checked[i])
			continue;
		rig_again(r);
		r->f.flip_at = i + 1;
		code = chip_init(&r->chip, &r->f.be, &r->opt, &r->err);
		if (code != -EIO || !strstr(r->err.text, "reads back"))
			fail_msg("access %zu: %d, %s", i + 1, code, r->err.text);
		assert_stopped(&r->f);
	}
	free(checked);
}

static void window_comes_back_after_an_error(void **state)
{
	static const uint8_t data[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	struct fake_chip f;
	struct chip chip = {.be = &f.be};
	struct hw_error err;

	(void)state;
	fake_init(&f);
	f.atr[2] = 0xabcd1000;
	f.atr[3] = 2;
	f.flip_at = 17; /* 5 reads, 5 writes with read-back, the first data word's read-back */
	assert_int_equal(chip_window_write(&chip, 0xa0000, (struct span){data, 8}, &err), -EIO);
	assert_non_null(strstr(err.text, "BAR4 offset 0x0"));
	assert_int_equal(f.atr[2], 0xabcd1000);
	assert_int_equal(f.atr[3], 2);
	assert_int_equal(chip_window_write(&chip, 0xa0002, (struct span){data, 8}, &err), -EINVAL);
	fake_done(&f);
}

static void window_walks_over_pages(void **state)
{
	struct fake_chip f;
	struct chip chip = {.be = &f.be};
	struct hw_error err;
	uint8_t data[0x2100];
	unsigned int moves = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 31 + (i >> 8));
	fake_init(&f);
	/* 0x700 bytes in the first page, a whole one, 0xa00 in the third */
	assert_ok(chip_window_write(&chip, 0x70900, (struct span){data, sizeof(data)}, &err), &err);
	assert_memory_equal(f.ram + 0x10900, data, sizeof(data));
	assert_int_equal(f.ram[0x10900 + sizeof(data)], 0);
	for (size_t i = 0; i < f.n_log; i++)
		moves += f.log[i].write && f.log[i].bar == 0 && f.log[i].off == 0x708;
	assert_int_equal(moves, 4); /* three pages and the way back */
	fake_done(&f);
}

#define with_rig(test) cmocka_unit_test_setup_teardown(test, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_rig(boots_a_cold_chip),
		with_rig(keeps_bytes_behind_an_odd_end),
		cmocka_unit_test(boots_the_synthetic_image_on_software_only),
		with_rig(resets_running_firmware_first),
		with_rig(fails_if_the_boot_loader_is_not_ready_after_reset),
		with_rig(fails_if_the_soft_reset_is_not_answered),
		with_rig(gives_up_on_a_dead_boot),
		with_rig(survives_a_lost_boot_interrupt),
		with_rig(wants_to_see_the_mailbox_after_boot),
		cmocka_unit_test(takes_an_event_that_lost_its_interrupt),
		with_rig(refuses_other_versions),
		with_rig(refuses_oversized_configuration),
		with_rig(reports_a_backend_without_interrupts),
		with_rig(shutdown_outlives_a_deaf_chip),
		cmocka_unit_test(page_limit_follows_the_read_request),
		with_rig(removal_at_every_access),
		with_rig(mismatch_at_every_read_back),
		cmocka_unit_test(window_comes_back_after_an_error),
		cmocka_unit_test(window_walks_over_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
