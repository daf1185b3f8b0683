// SPDX-License-Identifier: MIT
/*
 * Faults to order: the software chip misbehaves in a named way at a chosen moment.  Part of sim.h.
 *
 * An order is NAME[=ARG[:ARG]][@MOMENT=N] (docs/mock.md).  It waits for its moment; then either
 * something that happens anyway goes wrong (an interrupt, an answer, a transfer: that place asks
 * sim_fault_due()), or the chip does something of its own accord (sim_fault_poll()).
 */
#ifndef HWLAYER_MOCK_FAULT_H
#define HWLAYER_MOCK_FAULT_H

#include <stdbool.h>
#include <stdint.h>

struct mock_chip;

enum sim_fault_id {
	SIM_FAULT_BOOT_DEAD,
	SIM_FAULT_BOOT_SLOW,
	SIM_FAULT_IRQ_LATE,
	SIM_FAULT_IRQ_LOST,
	SIM_FAULT_IRQ_DOUBLED,
	SIM_FAULT_MD5_BAD,
	SIM_FAULT_CONTROL_SILENT,
	SIM_FAULT_CONTROL_ERROR,
	SIM_FAULT_DESC_ERROR,
	SIM_FAULT_CHANNEL_STUCK,
	SIM_FAULT_COMPLETION_WRONG,
	SIM_FAULT_CTX_ERROR,
	SIM_FAULT_REMOVED,
	SIM_FAULT_OVERHEAT,
	SIM_FAULT_FW_CRASH,
	SIM_FAULT_FW_REBOOT,
	SIM_FAULT_EVENT_STORM,
	SIM_FAULT_ECC,
	SIM_FAULT_ECC_FATAL,
	SIM_FAULT_CREDITS_WRONG,
	SIM_FAULT_CFG_CORRUPT,
	SIM_FAULT_IDS,
};

enum sim_moment { SIM_AT_ONCE, SIM_AT_FRAME, SIM_AT_CONTROL, SIM_AT_MMIO, SIM_AT_MS };

/* completion-wrong: what the counter shows */
enum sim_count_lie { SIM_COUNT_AHEAD, SIM_COUNT_BACK, SIM_COUNT_FEW };

#define SIM_ORDERS_MAX 16u

struct sim_order {
	enum sim_fault_id id;
	enum sim_moment moment;
	uint64_t at;    /* that many frames, controls, accesses, milliseconds from the order on; then
			 * the counter's value, or the time in ns, that it waits for */
	uint32_t arg[2];
	bool given[2];  /* else @arg is the fault's default */
	uint32_t left;  /* strikes to come, 0: no limit */
	uint32_t seen;  /* irq-lost: interrupts since its moment */
	bool over;
};

/* What the chip keeps about its faults. */
struct sim_faults {
	struct sim_order order[SIM_ORDERS_MAX];
	unsigned int n;
	uint64_t frames, controls, mmio; /* since power-on; moments are counted in them */
	uint64_t struck[SIM_FAULT_IDS];
	bool removed; /* nobody answers on the bus, until the order is taken back */

	/* These end with a function reset. */
	bool crashed;         /* neither doorbells nor action lists nor DMA */
	uint64_t reboot_ns;   /* the watchdog ends the crash then, 0: never */
	uint64_t late_ns;     /* held interrupts go out then */
	unsigned int late;    /* how many */
	uint32_t storm;       /* events still to be sent */
	unsigned int heat;    /* step of overheating, 0: cool */
	uint64_t heat_ns;     /* its next step */
	uint32_t heat_step_ms, heat_cool_ms;
	bool too_hot;         /* streams may not be opened */
};

/* Take @specs (comma-separated) on; 0 or -EINVAL with a sentence.  Nothing is taken on then. */
int sim_fault_order(struct mock_chip *chip, const char *specs, char *why, size_t size);
/* The order of @id that is due now, NULL if none.  The caller has to say sim_fault_strike(). */
struct sim_order *sim_fault_due(struct mock_chip *chip, enum sim_fault_id id);
/* Likewise, but one that was given an argument must have been given @value. */
struct sim_order *sim_fault_due_for(struct mock_chip *chip, enum sim_fault_id id, uint32_t value);
void sim_fault_strike(struct mock_chip *chip, struct sim_order *order);

/* Crashed or removed: nothing goes on inside. */
bool sim_fault_dead(const struct mock_chip *chip);

/* Something that moments are counted in happens now. */
void sim_fault_frame(struct mock_chip *chip);
void sim_fault_control(struct mock_chip *chip);
void sim_fault_mmio(struct mock_chip *chip);

/* Let what the chip does of its own accord happen, if its moment has come. */
void sim_fault_poll(struct mock_chip *chip);
/* The same and timed steps, firmware thread; when to look again, 0: no timer.  May drop the lock. */
uint64_t sim_fault_step(struct mock_chip *chip, uint64_t now_ns);
/* How many MSIs to send for an interrupt that rises now. */
unsigned int sim_fault_msi(struct mock_chip *chip);
/* Function reset and power-on: what a fault has done to the chip is over, orders stay. */
void sim_fault_reset(struct mock_chip *chip);
/* Two floats of GET_CHIP_TEMPERATURE, little-endian; false: as ever. */
bool sim_fault_temperature(const struct mock_chip *chip, uint8_t out[8]);

#endif
