// SPDX-License-Identifier: MIT
/* Opening a chip that an earlier user left in some state, against a scripted chip. */
#include "chip_rig.h"

/* A first process boots the chip and is killed: nothing of it is cleaned up. */
static void boot_and_die(struct rig *r)
{
	assert_ok(chip_init(&r->chip, &r->f.be, &r->opt, &r->err), &r->err);
	r->chip = (struct chip){0};
	r->f.n_doorbells = 0;
	r->f.n_log = 0;
}

/* The @nth doorbell since the death, from 0. */
static uint32_t bell(const struct rig *r, unsigned int nth)
{
	assert_true(nth < r->f.n_doorbells && r->f.n_doorbells <= ARRAY_SIZE(r->f.doorbells));
	return r->f.doorbells[r->f.n_doorbells - 1 - nth];
}

static void ends_well(struct rig *r)
{
	assert_ok(chip_init(&r->chip, &r->f.be, &r->opt, &r->err), &r->err);
	assert_true(r->chip.identified);
	assert_int_equal(r->f.state, FAKE_RUNNING);
	assert_true(r->f.msi && r->f.bus_master);
	assert_int_equal(r->f.imask, 0xff00ffff);
	assert_int_equal(chip_shutdown(&r->chip), 0);
}

static bool master_at_doorbell[16];
static unsigned int n_seen;

static void watch_write32(struct backend *be, unsigned int bar, uint32_t off, uint32_t value)
{
	struct fake_chip *f = container_of(be, struct fake_chip, be);

	if (bar == 4 && off == 0x1684 && n_seen < ARRAY_SIZE(master_at_doorbell))
		master_at_doorbell[n_seen++] = f->bus_master;
	((const struct backend_ops *)f->user)->write32(be, bar, off, value);
}

static void leftovers_are_stopped_before_bus_mastering(void **state)
{
	struct rig *r = *state;
	struct backend_ops plain = r->ops;

	boot_and_die(r);
	r->f.bar2[0x10] = 0x00012801; /* a channel that runs */
	r->f.user = &plain;
	n_seen = 0;
	r->ops.write32 = watch_write32;
	ends_well(r);
	/* driver-down and soft reset; controls; driver-down at the end */
	assert_int_equal(n_seen, r->f.n_doorbells);
	assert_int_equal(bell(r, 0), 4);
	assert_false(master_at_doorbell[0]);
	assert_int_equal(bell(r, 1), 8);
	assert_true(master_at_doorbell[1]);
	assert_int_equal(r->f.doorbells[0], 4);
	assert_int_equal(r->f.bar2[0x10], 0);
	assert_int_equal(r->f.resets, 0);
}

static void a_download_cut_short_is_done_again(void **state)
{
	struct rig *r = *state;

	/* killed while the core code was written: the window is where it was then, no trigger */
	r->f.imask = 0xff00ffff;
	r->f.atr[2] = 0xc0000;
	memset(r->f.ram, 0x5a, 200);
	ends_well(r);
	assert_int_equal(r->f.resets, 0);
}

static unsigned int looks;

/* The firmware starts between two looks at window 0, long after the window was moved for the last time. */
static uint32_t start_later(struct backend *be, unsigned int bar, uint32_t off)
{
	struct fake_chip *f = container_of(be, struct fake_chip, be);

	if (bar == 0 && off == 0x708 && ++looks == 40) {
		f->atr[2] = 0x60000000;
		f->state = FAKE_RUNNING;
	}
	return ((const struct backend_ops *)f->user)->read32(be, bar, off);
}

static void a_boot_under_way_is_waited_for(void **state)
{
	struct rig *r = *state;
	struct backend_ops plain = r->ops;

	/*
	 * Killed between the trigger's read-back and the window's restore.  dead_boot: the fake does not
	 * start by itself; status 0x1234 is what a chip that is busy with it may say.
	 */
	r->f.imask = 0xff00ffff;
	r->f.dead_boot = true;
	r->f.boot_status = 0x1234;
	r->f.atr[2] = 0xe0000;
	r->f.ram[0xe0980 - 0x60000] = 1;
	r->chip.be = &r->f.be;
	r->f.user = &plain;
	r->ops.read32 = start_later;
	looks = 0;
	assert_ok(chip_takeover(&r->chip, 20000, &r->err), &r->err);
	assert_true(looks >= 40);
	r->ops.read32 = plain.read32;
	assert_int_equal(r->f.state, FAKE_RUNNING);
	assert_int_equal(r->f.resets, 0);
	assert_int_equal(r->f.doorbells[0], 4);
	r->f.dead_boot = false;
	r->f.ram[0xe0980 - 0x60000] = 0;
	ends_well(r);
	assert_int_equal(r->f.resets, 0);
}

/* Firmware came up at the very moment we moved the window: only the interrupt bit tells. */
static void a_window_lost_to_the_race_is_put_right(void **state)
{
	struct rig *r = *state;

	r->f.imask = 0xff00ffff;
	r->f.dead_boot = true; /* it has started already; the word must not start it again */
	r->f.boot_status = 0x77;
	r->f.state = FAKE_RUNNING;
	r->f.atr[2] = 0xe0000;
	r->f.istatus = 0x06800000;
	r->chip.be = &r->f.be;
	assert_ok(chip_takeover(&r->chip, TIMEOUT_MS, &r->err), &r->err);
	assert_int_equal(r->f.atr[2], 0x60000000);
	assert_int_equal(r->f.doorbells[0], 4);
	assert_int_equal(r->f.resets, 0);
	r->f.dead_boot = false;
	ends_well(r);
}

static unsigned int accesses, start_at;
static const struct backend_ops *fake_ops;

static void maybe_start(struct fake_chip *f)
{
	static const uint32_t mailbox[5] = {0x17, 0, 0x60000000, 0, 6};

	if (f->state == FAKE_BOOTLOADER)
		f->boot_status = 1; /* as while the boot loader waits; the fake, told not to boot, says otherwise */
	if (++accesses != start_at)
		return;
	memcpy(f->atr, mailbox, sizeof(mailbox));
	f->state = FAKE_RUNNING;
	fake_raise(f, 0x06800000);
}

static uint32_t race_read32(struct backend *be, unsigned int bar, uint32_t off)
{
	maybe_start(container_of(be, struct fake_chip, be));
	return fake_ops->read32(be, bar, off);
}

static void race_write32(struct backend *be, unsigned int bar, uint32_t off, uint32_t value)
{
	maybe_start(container_of(be, struct fake_chip, be));
	fake_ops->write32(be, bar, off, value);
}

/*
 * The trigger was written, its writer is dead, and the firmware starts before the 1st, 2nd, ... access
 * of who comes next: never may it be taken for a boot loader that waits, or its window be lost.
 */
static void firmware_may_start_at_any_access(void **state)
{
	static const uint32_t windows[] = {0xe0000, 0};

	for (unsigned int i = 0; i < 2 * 150; i++) {
		struct rig *r = *state;
		struct backend_ops plain = r->ops;

		r->f.imask = 0xff00ffff;
		r->f.dead_boot = true;
		r->f.atr[2] = windows[i % 2];
		r->f.ram[0xe0980 - 0x60000] = 1;
		r->chip.be = &r->f.be;
		fake_ops = &plain;
		r->ops.read32 = race_read32;
		r->ops.write32 = race_write32;
		accesses = 0;
		start_at = i / 2 + 1;
		assert_ok(chip_takeover(&r->chip, 20000, &r->err), &r->err);
		if (accesses < start_at || r->f.state != FAKE_RUNNING || r->f.resets ||
		    r->f.doorbells[0] != 4 || r->f.atr[2] != 0x60000000)
			fail_msg("start before access %u, window at 0x%x: state %d, %u accesses, window 0x%x",
				 start_at, windows[i % 2], r->f.state, accesses, r->f.atr[2]);
		r->ops.read32 = plain.read32;
		r->ops.write32 = plain.write32;
		r->f.dead_boot = false;
		r->f.ram[0xe0980 - 0x60000] = 0;
		ends_well(r);
		rig_teardown(state);
		rig_setup(state);
	}
}

/* Firmware that runs while the window shows something else, and nothing tells: as after a lost race. */
static void a_trigger_that_nobody_takes_is_followed_by_a_reset(void **state)
{
	struct rig *r = *state;

	r->f.state = FAKE_RUNNING;
	r->f.atr[2] = 0;
	ends_well(r);
	assert_int_equal(r->f.resets, 1);
}

static void without_a_reset_a_trigger_that_nobody_takes_is_an_error(void **state)
{
	struct rig *r = *state;

	r->f.state = FAKE_RUNNING;
	r->f.atr[2] = 0;
	r->ops.reset = NULL;
	assert_int_equal(chip_init(&r->chip, &r->f.be, &r->opt, &r->err), -ETIMEDOUT);
	assert_non_null(strstr(r->err.text, "did not start within 30 ms (boot status 0x00000001)"));
}

static void a_boot_that_hangs_is_reset(void **state)
{
	struct rig *r = *state;

	r->f.imask = 0xff00ffff;
	r->f.ram[0xe0980 - 0x60000] = 1;
	r->f.boot_status = 0x1234;
	r->f.atr[2] = 0xe0000;
	ends_well(r);
	assert_int_equal(r->f.resets, 1);
}

/* An orderly end masks; a chip that is not ready then has nothing under way that could be waited for. */
static void a_failed_boot_of_an_earlier_user_is_reset_at_once(void **state)
{
	struct rig *r = *state;
	uint64_t start = util_now_ms();

	r->f.boot_status = 0x1234;
	r->opt.boot_timeout_ms = 60000;
	ends_well(r);
	assert_int_equal(r->f.resets, 1);
	assert_true(util_now_ms() - start < 30000);
}

static void without_a_reset_it_says_so(void **state)
{
	struct rig *r = *state;

	r->ops.reset = NULL;
	r->f.boot_status = 0x1234;
	assert_int_equal(chip_init(&r->chip, &r->f.be, &r->opt, &r->err), -ETIMEDOUT);
	assert_non_null(strstr(r->err.text, "switch the machine off and on"));
	assert_false(r->f.msi || r->f.bus_master);
}

static void a_reset_that_fails_is_reported(void **state)
{
	struct rig *r = *state;

	r->f.reset_result = -EPERM;
	r->f.boot_status = 0x1234;
	assert_int_equal(chip_init(&r->chip, &r->f.be, &r->opt, &r->err), -EPERM);
	assert_non_null(strstr(r->err.text, "resetting the card"));
}

static void a_reset_that_does_not_help_is_reported(void **state)
{
	struct rig *r = *state;

	r->f.never_ready = true;
	r->f.boot_status = 0x1234;
	assert_int_equal(chip_init(&r->chip, &r->f.be, &r->opt, &r->err), -ETIMEDOUT);
	assert_non_null(strstr(r->err.text, "after a function reset (boot status 0x00000002)"));
}

static void deaf_firmware_is_reset(void **state)
{
	struct rig *r = *state;

	boot_and_die(r);
	r->f.deaf_driver_down = true;
	assert_ok(chip_init(&r->chip, &r->f.be, &r->opt, &r->err), &r->err);
	assert_int_equal(r->f.resets, 1);
	assert_int_equal(bell(r, 0), 4);
	assert_int_equal(bell(r, 1), 1); /* a control already: no soft reset was needed */
	assert_true(r->f.msi && r->f.bus_master);
}

static void firmware_deaf_to_the_soft_reset_is_reset(void **state)
{
	struct rig *r = *state;

	boot_and_die(r);
	r->f.deaf_soft_reset = true;
	ends_well(r);
	assert_int_equal(r->f.resets, 1);
}

static void deaf_firmware_without_a_function_reset_gets_the_soft_one(void **state)
{
	struct rig *r = *state;

	boot_and_die(r);
	r->ops.reset = NULL;
	r->f.deaf_driver_down = true;
	assert_ok(chip_init(&r->chip, &r->f.be, &r->opt, &r->err), &r->err);
	assert_int_equal(bell(r, 0), 4);
	assert_int_equal(bell(r, 1), 8);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(leftovers_are_stopped_before_bus_mastering),
		T(a_download_cut_short_is_done_again),
		T(a_boot_under_way_is_waited_for),
		T(a_window_lost_to_the_race_is_put_right),
		T(firmware_may_start_at_any_access),
		T(a_trigger_that_nobody_takes_is_followed_by_a_reset),
		T(without_a_reset_a_trigger_that_nobody_takes_is_an_error),
		T(a_boot_that_hangs_is_reset),
		T(a_failed_boot_of_an_earlier_user_is_reset_at_once),
		T(without_a_reset_it_says_so),
		T(a_reset_that_fails_is_reported),
		T(a_reset_that_does_not_help_is_reported),
		T(deaf_firmware_is_reset),
		T(firmware_deaf_to_the_soft_reset_is_reset),
		T(deaf_firmware_without_a_function_reset_gets_the_soft_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
