// SPDX-License-Identifier: MIT
/* The software chip's configuration space, BARs and boot ROM (pcie 1, 2, 3, 11). */
#include "unit/mock_host.h"

static void config_space_identifies_the_chip(void **state)
{
	struct test_host h;

	(void)state;
	host_open(&h, NULL);
	assert_int_equal(mock_chip_config_read(h.chip, 0x00, 4), 0x28641e60);
	assert_int_equal(mock_chip_config_read(h.chip, 0x08, 4), 0x0b400001);
	assert_int_equal(mock_chip_config_read(h.chip, 0x2c, 2), 0x1af4);
	assert_int_equal(mock_chip_config_read(h.chip, 0x2e, 2), 0x1100);
	assert_int_equal(mock_chip_config_read(h.chip, 0x0e, 1), 0);
	mock_chip_config_write(h.chip, 0x00, 0, 4);
	assert_int_equal(mock_chip_config_read(h.chip, 0x00, 4), 0x28641e60);
	host_close(&h);
}

static void bars_size_as_on_a_card(void **state)
{
	static const uint32_t size[6] = {0x4000, 0, 0x1000, 0, 0x4000, 0};
	struct test_host h;

	(void)state;
	host_open(&h, NULL);
	for (uint32_t i = 0; i < 6; i += 2) {
		mock_chip_config_write(h.chip, 0x10 + 4 * i, 0xffffffff, 4);
		mock_chip_config_write(h.chip, 0x14 + 4 * i, 0xffffffff, 4);
		assert_int_equal(mock_chip_config_read(h.chip, 0x10 + 4 * i, 4),
				 (0xffffffff & ~(size[i] - 1)) | 0xc);
		assert_int_equal(mock_chip_config_read(h.chip, 0x14 + 4 * i, 4), 0xffffffff);
	}
	host_close(&h);
}

/* Walk the capability list; returns the offset of @id. */
static uint32_t capability(struct test_host *h, uint8_t id)
{
	uint32_t at = mock_chip_config_read(h->chip, 0x34, 1);

	for (int i = 0; at && i < 8; i++) {
		if (mock_chip_config_read(h->chip, at, 1) == id)
			return at;
		at = mock_chip_config_read(h->chip, at + 1, 1);
	}
	fail_msg("no capability 0x%02x", id);
	return 0;
}

static void capabilities_are_there(void **state)
{
	static const struct {
		uint32_t bytes, code;
	} want[] = {{0, 2}, {128, 0}, {256, 1}, {512, 2}, {4096, 5}};
	struct test_host h;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		struct mock_opts opts = {.max_read_request = want[i].bytes};
		uint32_t pm;

		host_open(&h, &opts);
		assert_int_equal(mock_chip_config_read(h.chip, capability(&h, 0x10) + 8, 2) >> 12 &
				     7,
				 want[i].code);
		/* MSI at 0xe0, 64-bit, one vector, on: 0x0081 as reported from a card. */
		assert_int_equal(capability(&h, 0x05), 0xe0);
		assert_int_equal(mock_chip_config_read(h.chip, 0xe2, 2), 0x0081);
		pm = capability(&h, 0x01);
		assert_int_equal(mock_chip_config_read(h.chip, pm + 4, 2) & 8, 8);
		host_close(&h);
	}
}

static void d3hot_keeps_everything_and_answers_nothing(void **state)
{
	struct test_host h;
	uint32_t pm;

	(void)state;
	host_open_running(&h, (struct mock_opts){0});
	pm = capability(&h, 0x01);
	mock_chip_config_write(h.chip, pm + 4, 3, 2);
	assert_int_equal(rd(&h, 0, CHIP_PCI_ID), 0xffffffff);
	wr(&h, 0, CHIP_IMASK_HOST, 0);
	mock_chip_config_write(h.chip, pm + 4, 0, 2);
	assert_int_equal(rd(&h, 0, CHIP_PCI_ID), 0x28641e60);
	assert_int_equal(rd(&h, 0, CHIP_IMASK_HOST), CHIP_IMASK_ENABLE);
	assert_int_equal(rd(&h, 0, 0x708), CHIP_ADDR_MAILBOX);
	host_close(&h);
}

static void registers_read_back_at_every_width(void **state)
{
	struct test_host h;

	(void)state;
	host_open(&h, NULL);
	wr(&h, 0, CHIP_PCI_ID, 0);
	assert_int_equal(rd(&h, 0, CHIP_PCI_ID), 0x28641e60);
	assert_int_equal(mock_chip_read(h.chip, 0, CHIP_PCI_ID, 2), 0x1e60);
	assert_int_equal(mock_chip_read(h.chip, 0, CHIP_PCI_ID + 3, 1), 0x28);
	wr(&h, 0, CHIP_IMASK_HOST, 0x12345678);
	mock_chip_write(h.chip, 0, CHIP_IMASK_HOST + 1, 0xab, 1);
	mock_chip_write(h.chip, 0, CHIP_IMASK_HOST + 2, 0xcdef, 2);
	assert_int_equal(rd(&h, 0, CHIP_IMASK_HOST), 0xcdefab78);
	for (uint32_t k = 0; k < 4; k++) {
		for (uint32_t i = 0; i < 5; i++) {
			wr(&h, 0, CHIP_ATR(k) + 4 * i, 0xdeadbe00 + 16 * k + i);
			assert_int_equal(rd(&h, 0, CHIP_ATR(k) + 4 * i), 0xdeadbe00 + 16 * k + i);
		}
	}
	assert_int_equal(rd(&h, 0, 0x3000), 0);
	assert_int_equal(mock_chip_read(h.chip, 0, 0x4000, 4), 0xffffffff);
	assert_int_equal(mock_chip_read(h.chip, 1, 0, 4), 0xffffffff);
	assert_int_equal(mock_chip_read(h.chip, 0, CHIP_PCI_ID + 2, 4),
			 0xffffffff); /* not aligned */
	host_close(&h);
}

static void windows_reach_chip_memory(void **state)
{
	static const uint32_t addr[] = {0x60000, 0x9fffc, 0xa0000, 0xc0000,    0xdfffc,
					0xe0048, 0xe0390, 0xe097c, 0x60001000, 0x60001500};
	struct test_host h;

	(void)state;
	host_open(&h, NULL);
	assert_int_equal(rd(&h, 4, 0), 0xffffffff); /* no window yet */
	for (uint32_t i = 0; i < ARRAY_SIZE(addr); i++) {
		window(&h, addr[i] & ~0xfffu);
		wr(&h, 4, addr[i] & 0xfff, 0xa5a50000 + i);
	}
	for (uint32_t i = 0; i < ARRAY_SIZE(addr); i++) {
		window(&h, addr[i] & ~0xfffu);
		assert_int_equal(rd(&h, 4, addr[i] & 0xfff), 0xa5a50000 + i);
		assert_int_equal(mock_chip_peek(h.chip, addr[i]), 0xa5a50000 + i);
	}
	mock_chip_write(h.chip, 4, (addr[9] & 0xfff) + 1, 0x77, 1);
	assert_int_equal(mock_chip_peek(h.chip, addr[9]), 0xa5a57709);
	window(&h, 0x00500000); /* nothing there */
	wr(&h, 4, 0x10, 1);
	assert_int_equal(rd(&h, 4, 0x10), 0);
	wr(&h, 0, CHIP_ATR(0), 0x16); /* not enabled */
	assert_int_equal(rd(&h, 4, 0x10), 0xffffffff);
	wr(&h, 0, CHIP_ATR(0), 0x1017); /* moved to the second 4 KiB of the BAR */
	window(&h, 0x60001000);
	wr(&h, 0, CHIP_ATR(0), 0x1017);
	assert_int_equal(rd(&h, 4, 0x1500), 0xa5a57709);
	host_close(&h);
}

static void channel_registers_keep_and_refuse(void **state)
{
	struct test_host h;

	(void)state;
	host_open(&h, NULL);
	wr(&h, 2, 0x40, 0x00072c00); /* aborted: depth and data id stay, num_available does not */
	assert_int_equal(rd(&h, 2, 0x40), 0x00002c00);
	wr(&h, 2, 0x48, 0x12345678);
	assert_int_equal(rd(&h, 2, 0x48), 0x12345600); /* error is read-only */
	wr(&h, 2, 0x4c, 0x00000010);
	assert_int_equal(rd(&h, 2, 0x4c), 0x10);
	wr(&h, 2, 0x44, 0xffffffff);
	assert_int_equal(rd(&h, 2, 0x44), 0);
	wr(&h, 2, 0x400, 0xffffffff);
	assert_int_equal(rd(&h, 2, 0x400), 0);
	host_close(&h);
}

/* ----------------------------------------------------------------------------- boot */

static void put_header(struct test_host *h, uint32_t addr, uint32_t magic, uint32_t code)
{
	uint8_t head[24];

	put_le32(head, magic);
	put_le32(head + 4, 0);
	put_le32(head + 8, 4);
	put_le32(head + 12, 23);
	put_le32(head + 16, addr == CHIP_ADDR_CORE_HEADER ? 0x28000000 : 0x20000000);
	put_le32(head + 20, code);
	chip_put(h, addr, head, sizeof(head));
}

static void trigger(struct test_host *h)
{
	uint8_t one[4] = {1};

	chip_put(h, CHIP_ADDR_BOOT_TRIGGER, one, 4);
}

static uint32_t boot_status(struct test_host *h)
{
	return mock_chip_peek(h->chip, CHIP_ADDR_BOOT_STATUS);
}

static void put_image(struct test_host *h)
{
	put_header(h, CHIP_ADDR_APP_HEADER, CHIP_FW_MAGIC, 4096);
	put_header(h, CHIP_ADDR_CORE_HEADER, CHIP_FW_MAGIC, 4096);
}

static void boots_a_good_image(void **state)
{
	struct mock_opts opts = {.boot_delay_ms = 3};
	struct test_host h;

	(void)state;
	host_open(&h, &opts);
	assert_int_equal(boot_status(&h), 1);
	assert_int_not_equal(rd(&h, 0, 0x708), CHIP_ADDR_MAILBOX);
	put_image(&h);
	trigger(&h); /* reads back and restores the window: both must see plain memory */
	assert_int_equal(wait_istatus(&h, CHIP_IRQ_FW_BOOTED), 0x06800000);
	wr(&h, 0, CHIP_ISTATUS_HOST, 0x06800000);
	assert_int_equal(rd(&h, 0, CHIP_ISTATUS_HOST), 0);
	for (uint32_t k = 0; k < 4; k++) {
		assert_int_equal(rd(&h, 0, CHIP_ATR(k)), 0x17 | k << 12);
		assert_int_equal(rd(&h, 0, CHIP_ATR(k) + 4), 0);
		assert_int_equal(rd(&h, 0, CHIP_ATR(k) + 12), 0);
		assert_int_equal(rd(&h, 0, CHIP_ATR(k) + 16), 6);
	}
	assert_int_equal(rd(&h, 0, 0x708), 0x60000000);
	assert_int_equal(rd(&h, 0, 0x728), 0x00200000);
	assert_int_equal(rd(&h, 4, CHIP_MBOX_EVENT), 0);
	assert_int_equal(rd(&h, 4, CHIP_LOG_APP), 0);
	assert_int_equal(rd(&h, 4, CHIP_DOORBELL), 0);
	assert_int_equal(host_count(&h, &h.irqs), 1);
	host_close(&h);
}

/*
 * pcie 11.3: the trigger is read back and the window restored before the firmware takes it over,
 * however long the host needs for that (here: ten times the boot delay).
 */
static void boot_waits_for_the_window_to_be_restored(void **state)
{
	struct mock_opts opts = {.boot_delay_ms = 1};
	struct test_host h;

	(void)state;
	host_open(&h, &opts);
	put_image(&h);
	window(&h, 0xe0000);
	wr(&h, 4, 0x980, 1);
	usleep(10000);
	assert_int_equal(rd(&h, 4, 0x980), 1);
	assert_int_equal(rd(&h, 0, 0x708), 0xe0000);
	window(&h, 0);
	wait_istatus(&h, CHIP_IRQ_FW_BOOTED);
	assert_int_equal(rd(&h, 0, 0x708), CHIP_ADDR_MAILBOX);
	host_close(&h);
}

/* Evidence 2: with the app part alone the status stays 1 and nothing ever comes. */
static void app_part_alone_keeps_waiting(void **state)
{
	struct mock_opts opts = {.boot_delay_ms = 1};
	struct test_host h;

	(void)state;
	host_open(&h, &opts);
	put_header(&h, CHIP_ADDR_APP_HEADER, CHIP_FW_MAGIC, 4096);
	trigger(&h);
	wait_fault(&h, "without a core firmware");
	usleep(20000);
	assert_int_equal(boot_status(&h), 1);
	assert_int_equal(rd(&h, 0, CHIP_ISTATUS_HOST), 0);
	assert_int_not_equal(rd(&h, 0, 0x708), CHIP_ADDR_MAILBOX);
	put_header(&h, CHIP_ADDR_CORE_HEADER, CHIP_FW_MAGIC, 4096); /* the rest, then again */
	trigger(&h);
	wait_istatus(&h, CHIP_IRQ_FW_BOOTED);
	host_close(&h);
}

static void bad_images_fail(void **state)
{
	static const struct {
		uint32_t app_magic, app_code, core_magic, core_code;
		const char *text;
	} bad[] = {
	    {CHIP_FW_MAGIC + 1, 4096, CHIP_FW_MAGIC, 4096, "app"},
	    {CHIP_FW_MAGIC, 79, CHIP_FW_MAGIC, 4096, "app"},
	    {CHIP_FW_MAGIC, 0x40001, CHIP_FW_MAGIC, 4096, "app"},
	    {CHIP_FW_MAGIC, 4096, 0xe905daab, 4096, "core"},
	    {CHIP_FW_MAGIC, 4096, CHIP_FW_MAGIC, 0x20001, "core"},
	};
	struct mock_opts opts = {.boot_delay_ms = 1};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct test_host h;

		host_open(&h, &opts);
		put_header(&h, CHIP_ADDR_APP_HEADER, bad[i].app_magic, bad[i].app_code);
		put_header(&h, CHIP_ADDR_CORE_HEADER, bad[i].core_magic, bad[i].core_code);
		trigger(&h);
		wait_fault(&h, bad[i].text);
		assert_int_not_equal(boot_status(&h), 1);
		usleep(3000);
		assert_int_equal(rd(&h, 0, CHIP_ISTATUS_HOST), 0);
		assert_int_not_equal(rd(&h, 0, 0x708), CHIP_ADDR_MAILBOX);
		mock_chip_reset(h.chip); /* a function reset brings the boot ROM back */
		assert_int_equal(boot_status(&h), 1);
		host_close(&h);
	}
}

static void soft_reset_returns_to_the_boot_rom(void **state)
{
	struct mock_opts opts = {.boot_delay_ms = 1};
	struct test_host h;

	(void)state;
	host_open_running(&h, opts);
	wr(&h, 4, CHIP_DOORBELL, CHIP_DOORBELL_SOFT_RESET);
	assert_int_equal(wait_istatus(&h, CHIP_IRQ_SOFT_RESET), 0x01800000);
	wr(&h, 0, CHIP_ISTATUS_HOST, 0x01800000);
	assert_int_equal(boot_status(&h), 1);
	assert_int_not_equal(rd(&h, 0, 0x708), CHIP_ADDR_MAILBOX);
	assert_int_equal(rd(&h, 0, CHIP_IMASK_HOST), CHIP_IMASK_ENABLE);
	put_image(&h);
	trigger(&h);
	wait_istatus(&h, CHIP_IRQ_FW_BOOTED);
	assert_int_equal(rd(&h, 0, 0x708), 0x60000000);
	host_close(&h);
}

/* Evidence 3: with IMASK 0 controls are processed, yet ISTATUS stays 0 and no interrupt comes. */
static void masked_events_leave_no_trace(void **state)
{
	struct test_host h;
	size_t len;
	uint8_t *msg = unhex("0000000200000000000000000000000000000000", &len);

	(void)state;
	host_open_running(&h, (struct mock_opts){0});
	wr(&h, 0, CHIP_IMASK_HOST, 0);
	control_send(&h, 1, msg, len);
	wait_reg(&h, 4, CHIP_MBOX_RESPONSE + 16, 0xffffffff, 190);
	assert_int_equal(rd(&h, 0, CHIP_ISTATUS_HOST) & ~0x00800000u, 0);
	assert_int_equal(host_count(&h, &h.irqs), 0);
	free(msg);
	host_close(&h);
}

static void no_interrupt_without_bus_master_or_msi(void **state)
{
	struct test_host h;

	(void)state;
	for (int i = 0; i < 2; i++) {
		host_open_running(&h, (struct mock_opts){0});
		if (i)
			mock_chip_set_msi(h.chip, false);
		else
			mock_chip_set_bus_master(h.chip, false);
		wr(&h, 4, CHIP_DOORBELL, CHIP_DOORBELL_DRIVER_DOWN);
		assert_int_equal(wait_istatus(&h, CHIP_IRQ_DRIVER_DOWN), 0x08800000);
		mock_chip_free(h.chip);
		assert_int_equal(h.irqs, 0);
		h.chip = NULL;
		host_close(&h);
	}
}

static void one_interrupt_per_edge(void **state)
{
	struct test_host h;

	(void)state;
	host_open_running(&h, (struct mock_opts){0});
	wr(&h, 4, CHIP_DOORBELL, CHIP_DOORBELL_DRIVER_DOWN);
	wait_istatus(&h, CHIP_IRQ_DRIVER_DOWN);
	wr(&h, 4, CHIP_DOORBELL, CHIP_DOORBELL_DRIVER_DOWN); /* the bit is set still: no edge */
	assert_int_equal(control_hex(&h, 1, HEX_HEAD "0000000000"), 0);
	mock_chip_free(h.chip);
	assert_int_equal(h.irqs, 2); /* driver down once, the control's answer */
	h.chip = NULL;
	host_close(&h);
}

/* traces/boot-mmio.tsv: every write of a real boot, with the reads that followed it. */
static void replays_a_captured_boot(void **state)
{
	struct mock_opts opts = {.boot_delay_ms = 1};
	struct test_host h;
	char *text = (char *)slurp(shared_path("traces/boot-mmio.tsv"), NULL), *save = NULL;
	unsigned int writes = 0, reads = 0, booted = 0;

	(void)state;
	host_open(&h, &opts);
	put_image(&h);
	window(&h,
	       0xcd000); /* the capture begins inside a page: its first read was written before */
	wr(&h, 4, 0xe10, 0xd10e2801);
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned int bar, off, width, value;
		char rw;

		if (sscanf(line, "%*f %u %x %u %c %x", &bar, &off, &width, &rw, &value) != 5)
			continue;
		if (bar == 0 && off == CHIP_ISTATUS_HOST && !booted++)
			wait_istatus(&h, CHIP_IRQ_FW_BOOTED);
		if (rw == 'W') {
			mock_chip_write(h.chip, bar, off, value, width / 8);
			writes++;
			continue;
		}
		if (mock_chip_read(h.chip, bar, off, width / 8) != value)
			fail_msg("%s: the chip says 0x%08x", line,
				 mock_chip_read(h.chip, bar, off, width / 8));
		reads++;
	}
	assert_in_range(writes, 40, 100);
	assert_in_range(reads, 40, 100);
	assert_int_equal(rd(&h, 0, 0x708), 0x60000000);
	free(text);
	host_close(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(config_space_identifies_the_chip),
	    cmocka_unit_test(bars_size_as_on_a_card),
	    cmocka_unit_test(capabilities_are_there),
	    cmocka_unit_test(d3hot_keeps_everything_and_answers_nothing),
	    cmocka_unit_test(registers_read_back_at_every_width),
	    cmocka_unit_test(windows_reach_chip_memory),
	    cmocka_unit_test(channel_registers_keep_and_refuse),
	    cmocka_unit_test(boots_a_good_image),
	    cmocka_unit_test(boot_waits_for_the_window_to_be_restored),
	    cmocka_unit_test(app_part_alone_keeps_waiting),
	    cmocka_unit_test(bad_images_fail),
	    cmocka_unit_test(soft_reset_returns_to_the_boot_rom),
	    cmocka_unit_test(masked_events_leave_no_trace),
	    cmocka_unit_test(no_interrupt_without_bus_master_or_msi),
	    cmocka_unit_test(one_interrupt_per_edge),
	    cmocka_unit_test(replays_a_captured_boot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
