// SPDX-License-Identifier: MIT
/* Device-to-host events: one slot, and a queue while the host has not emptied it (pcie 5). */
#include "mock/sim.h"

#define EVENT_HEADER 28u
#define MODULE_CONTEXT_SWITCH 0x13u
#define PRIORITY_CRITICAL 1u

/* MODEL: what the firmware does with events while the slot is full is unknown; here they wait. */
static void fill_slot(struct mock_chip *chip)
{
	uint8_t *slot = sim_mem(chip, CHIP_ADDR_MAILBOX + CHIP_MBOX_EVENT, 4 + CHIP_MBOX_EVENT_MAX);
	const struct sim_event *e = chip->events;

	if (!chip->nevents || get_le16(slot))
		return;
	memcpy(slot + 4, e->bytes, e->len);
	put_le16(slot, 1);
	put_le16(slot + 2, e->len);
	chip->nevents--;
	memmove(chip->events, chip->events + 1, chip->nevents * sizeof(chip->events[0]));
	chip->stats.events++;
	sim_irq_firmware(chip, CHIP_IRQ_NOTIFICATION);
}

void sim_event_slot_written(struct mock_chip *chip)
{
	fill_slot(chip);
}

void sim_event_reset(struct mock_chip *chip)
{
	chip->nevents = 0;
	chip->event_seq = 0;
}

void sim_event_run_time_error(struct mock_chip *chip, uint32_t status, uint8_t app, uint16_t batch,
			      uint16_t context, uint16_t action)
{
	struct sim_event *e;
	uint8_t *p;

	if (chip->nevents == SIM_EVENTS_QUEUED)
		return;
	e = &chip->events[chip->nevents++];
	p = e->bytes;
	put_le32(p, 0); /* version: unknown, nobody checks it */
	put_le32(p + 4, chip->event_seq++);
	put_le32(p + 8, PRIORITY_CRITICAL);
	put_le32(p + 12, MODULE_CONTEXT_SWITCH);
	put_le32(p + 16, FW_EVENT_RUN_TIME_ERROR);
	put_le32(p + 20, 5);
	put_le32(p + 24, 11);
	p += EVENT_HEADER;
	put_le32(p, status);
	p[4] = app;
	put_le16(p + 5, batch);
	put_le16(p + 7, context);
	put_le16(p + 9, action);
	e->len = EVENT_HEADER + 11;
	fill_slot(chip);
}
