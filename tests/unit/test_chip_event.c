// SPDX-License-Identifier: MIT
#include "support/fakechip.h"
#include "support/support.h"

#include "chip/chip.h"
#include "chip/internal.h"

static struct span make(uint8_t *buf, uint32_t id, uint32_t params, uint32_t payload_len, size_t total)
{
	memset(buf, 0, 64);
	put_le32(buf, 1);
	put_le32(buf + 4, 77);
	put_le32(buf + 8, 1);
	put_le32(buf + 12, 0x13);
	put_le32(buf + 16, id);
	put_le32(buf + 20, params);
	put_le32(buf + 24, payload_len);
	return (struct span){buf, total};
}

/* The table of protocol section 2, written down again. */
static const struct {
	uint32_t params, size;
	bool length_checked;
} table[14] = {
	{3, 12, true}, {5, 20, true}, {4, 16, false}, {2, 8, true}, {4, 9, true},
	{1, 2, true},  {1, 2, true},  {1, 4, true},   {1, 4, true}, {4, 7, true},
	{2, 8, false}, {1, 4, false}, {5, 11, true},  {1, 8, true},
};

static void takes_each_event_of_the_table(void **state)
{
	uint8_t buf[64];

	(void)state;
	for (uint32_t id = 0; id < 14; id++) {
		struct chip_event ev = {0};
		size_t total = 28 + table[id].size;

		assert_int_equal(chip_event_decode(make(buf, id, table[id].params, table[id].size, total),
						   &ev),
				 0);
		assert_int_equal(ev.id, id);
		assert_int_equal(ev.priority, 1);
		assert_int_equal(ev.module, 0x13);
		assert_int_equal(ev.sequence, 77);
		assert_int_equal(ev.payload_len, table[id].size);
		/* another parameter count, a cut payload, another length word */
		assert_int_equal(chip_event_decode(make(buf, id, table[id].params + 1, table[id].size,
							total),
						   &ev),
				 -EBADMSG);
		assert_int_equal(chip_event_decode(make(buf, id, table[id].params, table[id].size,
							total - 1),
						   &ev),
				 -EBADMSG);
		assert_int_equal(chip_event_decode(make(buf, id, table[id].params, 3, total), &ev),
				 table[id].length_checked ? -EBADMSG : 0);
	}
}

static void decodes_a_run_time_error(void **state)
{
	static const uint8_t payload[11] = {0x7d, 0x00, 0x13, 0x40, 2, 0x34, 0x12, 5, 0, 9, 1};
	struct chip_event ev;
	uint8_t buf[64];
	struct span msg = make(buf, 12, 5, 11, 39);

	(void)state;
	memcpy(buf + 28, payload, 11);
	assert_int_equal(chip_event_decode(msg, &ev), 0);
	assert_int_equal(ev.status, 0x4013007d);
	assert_int_equal(ev.app, 2);
	assert_int_equal(ev.batch, 0x1234);
	assert_int_equal(ev.context, 5);
	assert_int_equal(ev.action, 0x109);
	assert_memory_equal(ev.payload, payload, 11);
}

static void refuses_nonsense(void **state)
{
	struct chip_event ev;
	uint8_t buf[64];

	(void)state;
	for (size_t n = 0; n < 28; n++) {
		uint8_t *cut = malloc(n ? n : 1);

		make(buf, 7, 1, 4, n);
		memcpy(cut, buf, n);
		assert_int_equal(chip_event_decode((struct span){cut, n}, &ev), -EBADMSG);
		free(cut);
	}
	assert_int_equal(chip_event_decode(make(buf, 14, 1, 4, 32), &ev), -EBADMSG);
	assert_int_equal(chip_event_decode(make(buf, UINT32_MAX, 1, 4, 32), &ev), -EBADMSG);
	/* longer than any event */
	assert_int_equal(chip_event_decode(make(buf, 1, 5, 20, 49), &ev), -EBADMSG);
	/* a temperature zone that does not exist */
	make(buf, 2, 4, 16, 44);
	put_le32(buf + 28, 2);
	assert_int_equal(chip_event_decode((struct span){buf, 44}, &ev), 0);
	put_le32(buf + 28, 3);
	assert_int_equal(chip_event_decode((struct span){buf, 44}, &ev), -EBADMSG);
}

static struct chip_event last;
static unsigned int events;

static void on_event(const struct chip_event *ev, void *user)
{
	assert_ptr_equal(user, &last);
	last = *ev;
	events++;
}

static void the_slot_is_read_and_freed(void **state)
{
	struct fake_chip f;
	struct chip chip = {.be = &f.be, .on_event = on_event, .on_event_user = &last};
	uint8_t buf[64];

	(void)state;
	fake_init(&f);
	f.state = FAKE_RUNNING;
	f.atr[2] = 0x60000000;
	events = 0;

	/* an interrupt without an event */
	fake_raise(&f, 0x02000000);
	assert_int_equal(chip_irq_service(&chip), 0);
	assert_int_equal(events, 0);
	for (size_t i = 0; i < f.n_log; i++)
		assert_false(f.log[i].write && f.log[i].bar == 4);

	make(buf, 5, 1, 2, 30);
	put_le16(buf + 28, 0x21);
	fake_post_event(&f, buf, 30); /* not a multiple of 4 */
	assert_int_equal(chip_irq_service(&chip), 0);
	assert_int_equal(events, 1);
	assert_int_equal(last.id, 5);
	assert_int_equal(get_le16(last.payload), 0x21);
	/* in_use is cleared, the length stays (pcie 5.2 step 3) */
	assert_int_equal(get_le32(f.mailbox + 0xc80), 30u << 16);

	/* nonsense is taken out as well, or the firmware could never report anything again */
	fake_post_event(&f, buf, 31 - 4);
	assert_int_equal(chip_irq_service(&chip), 0);
	assert_int_equal(events, 1);
	assert_int_equal(get_le16(f.mailbox + 0xc80), 0);
	put_le32(f.mailbox + 0xc80, 0x05dc0001); /* 1500 bytes would reach over the window */
	fake_raise(&f, 0x02000000);
	assert_int_equal(chip_irq_service(&chip), 0);
	assert_int_equal(events, 1);
	assert_int_equal(get_le16(f.mailbox + 0xc80), 0);
	/* the largest length that the slot has */
	fake_post_event(&f, f.mailbox, 0x370);
	assert_int_equal(chip_irq_service(&chip), 0);
	assert_int_equal(events, 1);
	fake_done(&f);
}

static void names(void **state)
{
	(void)state;
	for (uint32_t id = 0; id < 14; id++)
		assert_null(strstr(chip_event_name(id), "unknown"));
	assert_string_equal(chip_event_name(14), "an unknown event");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_each_event_of_the_table),
		cmocka_unit_test(decodes_a_run_time_error),
		cmocka_unit_test(refuses_nonsense),
		cmocka_unit_test(the_slot_is_read_and_freed),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
