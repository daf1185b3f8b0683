// SPDX-License-Identifier: MIT
/* Events in sentences: each field of protocol 2 shows at its place. */
#include "support/support.h"

#include "chip/chip.h"

/* Header and payload as the firmware sends them, decoded, in words. */
static void says(uint32_t id, uint32_t params, const char *payload_hex, const char *want)
{
	uint8_t msg[48] = {0}, *payload;
	struct chip_event ev;
	char text[320];
	size_t len;

	payload = unhex(payload_hex, &len);
	assert_true(len <= 20);
	put_le32(msg + 16, id);
	put_le32(msg + 20, params);
	put_le32(msg + 24, (uint32_t)len);
	memcpy(msg + 28, payload, len);
	free(payload);
	assert_int_equal(chip_event_decode((struct span){msg, 28 + len}, &ev), 0);
	chip_event_text(&ev, text, sizeof(text));
	assert_string_equal(text, want);
}

static void every_event(void **state)
{
	(void)state;
	says(0, 3, "010000000200000003000000", "Ethernet receive error 1 on queue 2, 3 so far");
	says(1, 5, "0100000001000000010000000000000000000000",
	     "the host connection is now in state 1 (vDMA)");
	/* zone 2, sensor 1, 120.5 and 119.25 degrees */
	says(2, 4, "02000000010000000000f1420080ee42",
	     "the chip's temperature entered the red zone: sensors at 120.5 and 119.2 degrees");
	says(2, 4, "01000000010000000000c8420000c842",
	     "the chip's temperature entered the orange zone: sensors at 100.0 and 100.0 degrees");
	says(2, 4, "00000000010000000000c8410000c841",
	     "the chip's temperature entered the green zone: sensors at 25.0 and 25.0 degrees");
	says(3, 2, "0000fa420000f842",
	     "the chip closed all streams because it is too hot: sensors at 125.0 and 124.0 degrees; "
	     "let it cool down");
	says(4, 4, "010000000000fa4401",
	     "the chip's current is in the red zone (threshold 2000 mA, last violation)");
	says(4, 4, "000000000000fa4400", "the chip's current is in the green zone (threshold 2000 mA)");
	says(5, 1, "0300", "a memory error in the neural core that the chip corrected (clusters 0x0003)");
	says(6, 1, "0080",
	     "a memory error in the neural core that the chip cannot correct (clusters 0x8000)");
	says(7, 1, "00100000", "a memory error of the chip's processors (memories 0x00001000)");
	says(8, 1, "01000000",
	     "a memory error of the chip's processors that cannot be corrected (memories 0x00000001)");
	says(9, 4, "02030004000500",
	     "application 2 stands at a breakpoint: batch 3, context 4, action 5");
	says(10, 2, "0084d71700c2eb0b", "the neural core's clock changed from 400 to 200 MHz");
	says(11, 1, "39300000", "hardware inference took 12345 cycles");
	says(12, 5, "3500134001020003000400",
	     "application 1 stopped in context 3 at action 4: the number of descriptors is not "
	     "the expected one (0x40130035)");
	says(13, 1, "0500000000000080",
	     "the firmware begins to update cache offsets (caches 0x8000000000000005)");
}

static void a_short_buffer_is_enough(void **state)
{
	struct chip_event ev = {.id = FW_EVENT_STREAMS_CLOSED};
	char text[10];

	(void)state;
	chip_event_text(&ev, text, sizeof(text));
	assert_string_equal(text, "the chip ");
	ev.id = 99;
	chip_event_text(&ev, text, sizeof(text));
	assert_string_equal(text, "event 99");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_event),
		cmocka_unit_test(a_short_buffer_is_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
