// SPDX-License-Identifier: MIT
/* Notifications: the one slot behind the mailbox (pcie 5.1, 5.2) and their bytes (protocol 2). */
#include "chip/internal.h"

#include <errno.h>

#define EVENT_HEADER 28u
#define EVENT_MAX 48u /* header and the largest payload */

/* Parameter count and payload size by event number; fixed: the length word is checked too. */
static const struct {
	uint8_t params, size;
	bool fixed;
} shapes[FW_EVENTS] = {
	[FW_EVENT_ETHERNET_RX_ERROR] = {3, 12, true},
	[FW_EVENT_HOST_INFO] = {5, 20, true},
	[FW_EVENT_TEMPERATURE_ALARM] = {4, 16, false},
	[FW_EVENT_STREAMS_CLOSED] = {2, 8, true},
	[FW_EVENT_OVERCURRENT] = {4, 9, true}, /* three fields, yet it says four */
	[FW_EVENT_LCU_ECC_CORRECTABLE] = {1, 2, true},
	[FW_EVENT_LCU_ECC_UNCORRECTABLE] = {1, 2, true},
	[FW_EVENT_CPU_ECC_ERROR] = {1, 4, true},
	[FW_EVENT_CPU_ECC_FATAL] = {1, 4, true},
	[FW_EVENT_BREAKPOINT] = {4, 7, true},
	[FW_EVENT_CLOCK_CHANGED] = {2, 8, false},
	[FW_EVENT_HW_INFER_DONE] = {1, 4, false},
	[FW_EVENT_RUN_TIME_ERROR] = {5, 11, true},
	[FW_EVENT_CACHE_OFFSET] = {1, 8, true},
};

int chip_event_decode(struct span msg, struct chip_event *out)
{
	struct chip_event ev = {0};
	struct span header, payload;

	if (msg.len > EVENT_MAX || span_take(&msg, EVENT_HEADER, &header) < 0)
		return -EBADMSG;
	ev.sequence = get_le32(header.ptr + 4);
	ev.priority = get_le32(header.ptr + 8);
	ev.module = get_le32(header.ptr + 12);
	ev.id = get_le32(header.ptr + 16);
	if (ev.id >= FW_EVENTS || get_le32(header.ptr + 20) != shapes[ev.id].params)
		return -EBADMSG;
	ev.payload_len = shapes[ev.id].size;
	if (shapes[ev.id].fixed && get_le32(header.ptr + 24) != ev.payload_len)
		return -EBADMSG;
	if (span_take(&msg, ev.payload_len, &payload) < 0)
		return -EBADMSG;
	memcpy(ev.payload, payload.ptr, payload.len);
	if (ev.id == FW_EVENT_TEMPERATURE_ALARM && get_le32(payload.ptr) > 2)
		return -EBADMSG; /* zones are green, orange, red */
	if (ev.id == FW_EVENT_RUN_TIME_ERROR) {
		ev.status = get_le32(payload.ptr);
		ev.app = payload.ptr[4];
		ev.batch = get_le16(payload.ptr + 5);
		ev.context = get_le16(payload.ptr + 7);
		ev.action = get_le16(payload.ptr + 9);
	}
	*out = ev;
	return 0;
}

void chip_event_service(struct chip *chip)
{
	uint32_t header = backend_read32(chip->be, CHIP_BAR_FW, CHIP_MBOX_EVENT);
	uint32_t len = header >> 16;
	uint8_t msg[CHIP_MBOX_EVENT_MAX + 3];
	struct chip_event ev;

	if (!(header & 0xffff) || header == UINT32_MAX)
		return; /* an interrupt without an event, or nobody there: the handler's next pass sees it */
	/* A slot that stays in use would block the firmware, so even nonsense is taken out of it. */
	if (len <= CHIP_MBOX_EVENT_MAX)
		for (uint32_t i = 0; i < len; i += 4)
			put_le32(msg + i, backend_read32(chip->be, CHIP_BAR_FW,
							 CHIP_MBOX_EVENT + 4 + i));
	header = backend_read32(chip->be, CHIP_BAR_FW, CHIP_MBOX_EVENT);
	backend_write32(chip->be, CHIP_BAR_FW, CHIP_MBOX_EVENT, header & 0xffff0000);
	if (len <= CHIP_MBOX_EVENT_MAX)
		observe(chip->be, event, msg, len);
	if (len > CHIP_MBOX_EVENT_MAX || chip_event_decode((struct span){msg, len}, &ev) < 0) {
		hw_log(HW_LOG_WARNING, "the firmware sent an event of %u bytes that makes no sense", len);
		return;
	}
	hw_log(HW_LOG_DEBUG, "event: %s (%u), priority %u", chip_event_name(ev.id), ev.id, ev.priority);
	if (chip->on_event)
		chip->on_event(&ev, chip->on_event_user);
}
