// SPDX-License-Identifier: MIT
#include "support/fakechip.h"
#include "support/support.h"

#include <poll.h>
#include <sys/eventfd.h>

#include "chip/chip.h"
#include "chip/internal.h"

static bool readable(const struct fake_chip *f)
{
	struct pollfd p = {.fd = f->be.irq_fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

/* "R 98, W 18c=4000000": the whole log in words. */
static void assert_log(const struct fake_chip *f, const char *want)
{
	char got[1024] = "";
	size_t n = 0;

	for (size_t i = 0; i < f->n_log && n < sizeof(got) - 32; i++) {
		const struct fake_access *a = &f->log[i];

		n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%c %x", i ? ", " : "",
				      a->write ? 'W' : 'R', a->off);
		if (a->write)
			n += (size_t)snprintf(got + n, sizeof(got) - n, "=%x", a->value);
	}
	assert_string_equal(got, want);
}

static void unmasks_and_masks_in_order(void **state)
{
	struct fake_chip f;
	struct chip chip;

	(void)state;
	fake_start(&f, &chip);
	f.imask = 0x00110000;
	chip_irq_unmask(&chip);
	chip_irq_mask(&chip);
	/* pcie 2.4 */
	assert_log(&f, "R 188, W 188=ff11ffff, W 18c=ffffffff, W 500=ffffffff, W 400=ffffffff, W 188=0");
	fake_done(&f);
}

static void clears_in_the_order_of_the_spec(void **state)
{
	struct fake_chip f;
	struct chip chip;

	(void)state;
	fake_start(&f, &chip);
	f.src = 0x4;
	f.dst = 0x10000;
	fake_raise(&f, 0x04801001);
	assert_int_equal(chip_irq_service(&chip), 0);
	/* pcie 8.2: ID, status, clear, source channels, destination channels, until zero */
	assert_log(&f, "R 98, R 18c, W 18c=4801001, R 400, W 400=4, R 500, W 500=10000, R 98, R 18c");
	assert_true(chip.irq_control);
	assert_false(chip.irq_driver_down);
	assert_int_equal(chip.irq_channels, 0x10004);
	assert_int_equal(chip.irq_count, 1);
	assert_false(readable(&f));
	fake_done(&f);
}

static void bit_25_has_two_meanings(void **state)
{
	struct fake_chip f;
	struct chip chip;

	(void)state;
	fake_start(&f, &chip);
	chip.booting = true;
	fake_raise(&f, 0x07800000);
	assert_int_equal(chip_irq_service(&chip), 0);
	assert_true(chip.irq_booted);
	assert_true(chip.irq_soft_reset);
	/* bit 26 comes with the boot interrupt and is no answer to anything */
	assert_false(chip.irq_control);
	assert_int_equal(get_le16(f.mailbox + 0xc80), 0);

	chip = (struct chip){.be = &f.be};
	fake_raise(&f, 0x0b000000);
	assert_int_equal(chip_irq_service(&chip), 0);
	assert_false(chip.irq_booted);
	assert_false(chip.irq_soft_reset);
	assert_true(chip.irq_driver_down);
	fake_done(&f);
}

static void a_status_without_meaning_is_cleared(void **state)
{
	struct fake_chip f;
	struct chip chip;

	(void)state;
	fake_start(&f, &chip);
	f.istatus = 0x00800000;
	assert_int_equal(chip_irq_service(&chip), 0);
	assert_int_equal(f.istatus, 0);
	assert_int_equal(chip.irq_channels, 0);
	assert_false(chip.irq_control);
	fake_done(&f);
}

static void a_group_without_channels_is_harmless(void **state)
{
	struct fake_chip f;
	struct chip chip;

	(void)state;
	fake_start(&f, &chip);
	f.istatus = 0x00001001;
	assert_int_equal(chip_irq_service(&chip), 0);
	assert_log(&f, "R 98, R 18c, W 18c=1001, R 400, R 500, R 98, R 18c");
	fake_done(&f);
}

static void a_storm_ends(void **state)
{
	struct fake_chip f;
	struct chip chip;
	bool never = false;

	(void)state;
	fake_start(&f, &chip);
	f.storm = true;
	assert_int_equal(chip_irq_service(&chip), 0);
	assert_true(f.n_log < 1000);
	/* what is still latched would raise no second MSI: the fd stays readable */
	assert_true(readable(&f));
	assert_int_equal(chip_wait(&chip, &never, 5), -ETIMEDOUT);
	fake_done(&f);
}

static void notices_that_the_card_is_gone(void **state)
{
	struct fake_chip f;
	struct chip chip;
	bool never = false;
	size_t n;

	(void)state;
	fake_start(&f, &chip);
	f.gone_at = 1;
	assert_int_equal(chip_irq_service(&chip), -ENODEV);
	assert_true(chip.gone);
	n = f.n_log;
	/* no more accesses from then on */
	assert_int_equal(chip_irq_service(&chip), -ENODEV);
	assert_int_equal(chip_wait(&chip, &never, 1000), -ENODEV);
	assert_int_equal(chip_driver_down(&chip), -ENODEV);
	assert_int_equal(f.n_log, n);
	fake_done(&f);

	/* between the ID and the status */
	fake_start(&f, &chip);
	f.gone_at = 2;
	assert_int_equal(chip_irq_service(&chip), -ENODEV);
	assert_true(chip.gone);
	assert_int_equal(f.n_log, 2);
	fake_done(&f);
}

/* A card that vanishes sends no interrupt: the waiter looks by itself, long before its deadline. */
static void a_waiter_notices_it_too(void **state)
{
	struct fake_chip f;
	struct chip chip;
	bool never = false;

	(void)state;
	fake_start(&f, &chip);
	f.gone_at = 1;
	assert_int_equal(chip_wait(&chip, &never, 3600 * 1000), -ENODEV);
	fake_done(&f);
}

static void waiting(void **state)
{
	struct fake_chip f;
	struct chip chip;
	bool flag = true;

	(void)state;
	fake_start(&f, &chip);
	assert_int_equal(chip_wait(&chip, &flag, 0), 0); /* set already: no access at all */
	assert_int_equal(f.n_log, 0);
	assert_int_equal(chip_wait(&chip, &chip.irq_control, 1), -ETIMEDOUT);
	/* interrupts for others are kept while we wait for ours */
	f.src = 0x6;
	fake_raise(&f, 0x00000001);
	fake_raise(&f, 0x04000000);
	assert_int_equal(chip_wait(&chip, &chip.irq_control, 1000), 0);
	assert_int_equal(chip.irq_channels, 0x6);
	fake_done(&f);
}

static void a_lost_interrupt_is_found_at_the_deadline(void **state)
{
	struct fake_chip f;
	struct chip chip;

	(void)state;
	fake_start(&f, &chip);
	f.lose_irq = true;
	fake_raise(&f, 0x04000000);
	assert_false(readable(&f));
	assert_int_equal(chip_wait(&chip, &chip.irq_control, 2), 0);
	fake_done(&f);
}

static void a_doubled_interrupt_does_nothing(void **state)
{
	struct fake_chip f;
	struct chip chip;

	(void)state;
	fake_start(&f, &chip);
	fake_raise(&f, 0x04000000);
	assert_int_equal(chip_irq_service(&chip), 0);
	chip.irq_control = false;
	assert_int_equal(eventfd_write(f.be.irq_fd, 3), 0);
	assert_int_equal(chip_irq_service(&chip), 0);
	assert_false(chip.irq_control);
	assert_int_equal(chip.irq_count, 1);
	fake_done(&f);
}

static void driver_down_is_acknowledged(void **state)
{
	struct fake_chip f;
	struct chip chip;

	(void)state;
	fake_start(&f, &chip);
	/* a stale flag must not count as the acknowledge */
	chip.irq_driver_down = true;
	f.deaf_driver_down = true;
	assert_int_equal(chip_driver_down(&chip), -ETIMEDOUT);
	f.deaf_driver_down = false;
	assert_int_equal(chip_driver_down(&chip), 0);
	assert_int_equal(f.doorbells[0], 4);
	fake_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unmasks_and_masks_in_order),
		cmocka_unit_test(clears_in_the_order_of_the_spec),
		cmocka_unit_test(bit_25_has_two_meanings),
		cmocka_unit_test(a_status_without_meaning_is_cleared),
		cmocka_unit_test(a_group_without_channels_is_harmless),
		cmocka_unit_test(a_storm_ends),
		cmocka_unit_test(notices_that_the_card_is_gone),
		cmocka_unit_test(a_waiter_notices_it_too),
		cmocka_unit_test(waiting),
		cmocka_unit_test(a_lost_interrupt_is_found_at_the_deadline),
		cmocka_unit_test(a_doubled_interrupt_does_nothing),
		cmocka_unit_test(driver_down_is_acknowledged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
