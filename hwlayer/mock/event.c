// SPDX-License-Identifier: MIT
/* Device-to-host events: one slot, and a queue while the host has not emptied it (pcie 5). */
#include "mock/sim.h"

#define EVENT_HEADER 28u
#define MODULE_CONTEXT_SWITCH 0x13u
#define MODULE_STORM 0x1fu /* power state */

static void queue(struct mock_chip *chip, enum fw_event event, uint32_t module, bool critical,
		  uint32_t params, const void *payload, uint16_t len)
{
	struct sim_event *e;
	uint8_t *p;

	if (chip->nevents == SIM_EVENTS_QUEUED)
		return;
	e = &chip->events[chip->nevents++];
	p = e->bytes;
	put_le32(p, 0); /* version: unknown, nobody checks it */
	put_le32(p + 4, chip->event_seq++);
	put_le32(p + 8, critical);
	put_le32(p + 12, module);
	put_le32(p + 16, event);
	put_le32(p + 20, params);
	put_le32(p + 24, len);
	memcpy(p + EVENT_HEADER, payload, len);
	e->len = (uint16_t)(EVENT_HEADER + len);
}

/* An ordered storm: the clock seems to change all the time. */
static void queue_storm(struct mock_chip *chip)
{
	uint8_t p[8];

	put_le32(p, chip->faults.storm & 1 ? 400000000 : 200000000);
	put_le32(p + 4, chip->faults.storm & 1 ? 200000000 : 400000000);
	chip->faults.storm--;
	queue(chip, FW_EVENT_CLOCK_CHANGED, MODULE_STORM, false, 2, p, sizeof(p));
}

/* MODEL: what the firmware does with events while the slot is full is unknown; here they wait. */
static void fill_slot(struct mock_chip *chip)
{
	uint8_t *slot = sim_mem(chip, CHIP_ADDR_MAILBOX + CHIP_MBOX_EVENT, 4 + CHIP_MBOX_EVENT_MAX);
	const struct sim_event *e = chip->events;

	if (chip->faults.crashed)
		return;
	if (!chip->nevents && chip->faults.storm)
		queue_storm(chip);
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

void sim_event_storm(struct mock_chip *chip)
{
	fill_slot(chip);
}

void sim_event_reset(struct mock_chip *chip)
{
	chip->nevents = 0;
	chip->event_seq = 0;
}

void sim_event_post(struct mock_chip *chip, enum fw_event event, uint32_t module, bool critical,
		    uint32_t params, const void *payload, uint16_t len)
{
	queue(chip, event, module, critical, params, payload, len);
	fill_slot(chip);
}

void sim_event_run_time_error(struct mock_chip *chip, uint32_t status, uint8_t app, uint16_t batch,
			      uint16_t context, uint16_t action)
{
	uint8_t p[11];

	put_le32(p, status);
	p[4] = app;
	put_le16(p + 5, batch);
	put_le16(p + 7, context);
	put_le16(p + 9, action);
	sim_event_post(chip, FW_EVENT_RUN_TIME_ERROR, MODULE_CONTEXT_SWITCH, true, 5, p, sizeof(p));
}
