// SPDX-License-Identifier: MIT
#include "support/support.h"

#include "backend/config_space.h"

/* A function with one capability before PCI Express, which lies at @at. */
static struct backend facts(uint8_t cfg[CONFIG_SPACE_SIZE], uint8_t at, uint16_t control, uint16_t link)
{
	struct backend be = {0};

	memset(cfg, 0, CONFIG_SPACE_SIZE);
	put_le16(cfg, 0x1e60);
	put_le16(cfg + 2, 0x2864);
	put_le16(cfg + 0x2c, 0x1e60);
	put_le16(cfg + 0x2e, 0x2864);
	cfg[0x34] = 0x40; /* power management first */
	cfg[0x40] = 0x01;
	cfg[0x41] = at;
	if (at <= CONFIG_SPACE_SIZE - 20) {
		cfg[at] = 0x10;
		put_le16(cfg + at + 0x08, control);
		put_le16(cfg + at + 0x10, link);
	}
	config_space_facts(cfg, &be);
	return be;
}

static void what_the_driver_wants_to_know(void **state)
{
	uint8_t cfg[CONFIG_SPACE_SIZE];
	struct backend be;

	(void)state;
	be = facts(cfg, 0x80, 0x2810, 0x0142);
	assert_int_equal(be.vendor, 0x1e60);
	assert_int_equal(be.device, 0x2864);
	assert_int_equal(be.subsys_vendor, 0x1e60);
	assert_int_equal(be.subsys_device, 0x2864);
	assert_int_equal(be.max_read_request, 512);
	assert_false(be.l0s); /* L1 is on: that is left alone (pcie 1.3) */
	for (uint16_t n = 0; n < 6; n++) {
		be = facts(cfg, 0xec, (uint16_t)(n << 12 | 0x0fff), 0x0143);
		assert_int_equal(be.max_read_request, 128u << n);
		assert_true(be.l0s);
	}
	assert_true(facts(cfg, 0x80, 0, 1).l0s);
	assert_false(facts(cfg, 0x80, 0, 2).l0s);
}

static void lists_that_lead_nowhere(void **state)
{
	uint8_t cfg[CONFIG_SPACE_SIZE];
	struct backend be = {0};

	(void)state;
	/* none, a loop, one that points into the header, one whose end would be outside */
	facts(cfg, 0, 0xffff, 0xffff);
	assert_int_equal(facts(cfg, 0, 0xffff, 0xffff).max_read_request, 128);
	assert_int_equal(facts(cfg, 0x10, 0xffff, 0xffff).max_read_request, 128);
	facts(cfg, 0x80, 0x5000, 1);
	cfg[0x80] = 0x09;
	cfg[0x81] = 0x40;
	config_space_facts(cfg, &be);
	assert_int_equal(be.max_read_request, 128);
	assert_false(be.l0s);
	facts(cfg, 0xf0, 0, 0);
	cfg[0xf0] = 0x10;
	put_le16(cfg + 0xf8, 0x5000);
	config_space_facts(cfg, &be);
	assert_int_equal(be.max_read_request, 128);
	/* a card that is gone */
	memset(cfg, 0xff, sizeof(cfg));
	config_space_facts(cfg, &be);
	assert_int_equal(be.vendor, 0xffff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_driver_wants_to_know),
		cmocka_unit_test(lists_that_lead_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
