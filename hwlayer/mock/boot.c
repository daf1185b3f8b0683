// SPDX-License-Identifier: MIT
/* Life cycle: boot ROM, firmware start, soft reset (pcie 3, 11.3; evidence 2). */
#include "mock/sim.h"

#define MS 1000000ull
#define RESTORE_GRACE_MS 1000 /* a host that never restores ATR 0 is not kept waiting for ever */
#define SOFT_RESET_MS 10      /* MODEL; at least 1, less than 500 (pcie 11.3) */

static const uint32_t firmware_atr[4] = {CHIP_ADDR_MAILBOX, CHIP_ADDR_PCIE_BLOCK, SIM_LOG_APP,
					 SIM_LOG_CORE};

static void forget_network(struct mock_chip *chip)
{
	sim_apps_restart(chip);
	sim_event_reset(chip);
	memset(chip->chan, 0, sizeof(chip->chan));
	chip->doorbell = 0;
	chip->epoch++;
}

/* The boot ROM clears its memory: what an earlier load left cannot be started again (MODEL). */
static void enter_bootloader(struct mock_chip *chip)
{
	memset(chip->ram, 0, SIM_RAM_SIZE);
	put_le32(sim_mem(chip, CHIP_ADDR_BOOT_STATUS, 4), CHIP_BOOT_STATUS_READY);
	chip->atr[0][2] = 0; /* "loaded" is not shown any more */
	chip->due_ns = 0;
	chip->state = SIM_BOOTLOADER;
}

static void enter_running(struct mock_chip *chip)
{
	for (unsigned int k = 0; k < 4; k++) {
		memset(chip->atr[k], 0, sizeof(chip->atr[k]));
		chip->atr[k][0] = CHIP_ATR_PARAM_VALUE(k);
		chip->atr[k][2] = firmware_atr[k];
		chip->atr[k][4] = CHIP_ATR_TRSL_PARAM_VALUE;
	}
	memset(sim_mem(chip, CHIP_ADDR_MAILBOX + CHIP_MBOX_EVENT, 4), 0, 4);
	memset(sim_mem(chip, SIM_LOG_APP, 8), 0, 8);
	memset(sim_mem(chip, SIM_LOG_CORE, 8), 0, 8);
	chip->due_ns = 0;
	chip->state = SIM_RUNNING;
	sim_log(chip, false, "app CPU: firmware %u.%u.0 started", FW_SUPPORTED_MAJOR, FW_SUPPORTED_MINOR);
	sim_log(chip, true, "core CPU: firmware %u.%u.0 started", FW_SUPPORTED_MAJOR, FW_SUPPORTED_MINOR);
	sim_fault_poll(chip); /* some firmware has an event ready before the host listens */
}

void sim_power_on(struct mock_chip *chip, bool running)
{
	forget_network(chip);
	chip->imask = chip->istatus = chip->src_irq = chip->dst_irq = 0;
	chip->msi_owed = 0;
	sim_fault_reset(chip);
	/*
	 * MODEL: all zero.  The one capture of an unbooted chip shows 17, 0, 0, 0, 6, but after the
	 * driver had written that itself.
	 */
	memset(chip->atr, 0, sizeof(chip->atr));
	memset(chip->sram, 0, SIM_SRAM_SIZE);
	enter_bootloader(chip);
	if (running)
		enter_running(chip);
}

static bool header_ok(const uint8_t *h, uint32_t max)
{
	uint32_t code = get_le32(h + 20);

	return get_le32(h) == CHIP_FW_MAGIC && get_le32(h + 4) == 0 && code >= CHIP_FW_CODE_MIN &&
	       code <= max;
}

void sim_boot_trigger(struct mock_chip *chip)
{
	const uint8_t *app = sim_mem(chip, CHIP_ADDR_APP_HEADER, CHIP_FW_HEADER_SIZE);
	const uint8_t *core = sim_mem(chip, CHIP_ADDR_CORE_HEADER, CHIP_FW_HEADER_SIZE);
	uint32_t delay = chip->opts.boot_delay_ms ? chip->opts.boot_delay_ms : 20;
	struct sim_order *o;

	/* Without a core part the boot ROM waits on: its status stays 1 (evidence 2). */
	if (get_le32(core) == 0) {
		sim_fault(chip, "boot: triggered without a core firmware");
		return;
	}
	if (!header_ok(app, CHIP_FW_APP_MAX) || !header_ok(core, CHIP_FW_CORE_MAX)) {
		put_le32(sim_mem(chip, CHIP_ADDR_BOOT_STATUS, 4), SIM_BOOT_STATUS_FAILED);
		chip->state = SIM_FAILED;
		sim_fault(chip, "boot: the %s firmware header is not valid",
			  header_ok(app, CHIP_FW_APP_MAX) ? "core" : "app");
		return;
	}
	o = sim_fault_due(chip, SIM_FAULT_BOOT_DEAD);
	if (o) {
		sim_fault_strike(chip, o);
		put_le32(sim_mem(chip, CHIP_ADDR_BOOT_STATUS, 4), SIM_BOOT_STATUS_FAILED);
		chip->state = SIM_FAILED;
		sim_fault(chip, "boot: the firmware does not start, as ordered");
		return;
	}
	o = sim_fault_due(chip, SIM_FAULT_BOOT_SLOW);
	if (o) {
		sim_fault_strike(chip, o);
		delay = o->arg[0];
	}
	chip->state = SIM_BOOTING;
	chip->atr_restored = false;
	chip->due_ns = util_now_ns() + delay * MS;
	pthread_cond_signal(&chip->fw_cond);
}

void sim_soft_reset(struct mock_chip *chip)
{
	unsigned int epoch = chip->epoch;

	sim_quiesce(chip);
	if (chip->epoch != epoch)
		return; /* a function reset came first */
	forget_network(chip);
	chip->state = SIM_RESETTING;
	chip->due_ns = util_now_ns() + SOFT_RESET_MS * MS;
}

void sim_watchdog_reboot(struct mock_chip *chip)
{
	unsigned int epoch = chip->epoch;

	sim_quiesce(chip);
	if (chip->epoch != epoch)
		return; /* a function reset came first */
	forget_network(chip);
	enter_bootloader(chip);
	sim_fault_reset(chip);
}

/*
 * The host reads the trigger back and then restores ATR 0; a firmware that took the window over
 * before that would lose it again (pcie 11.3, first timing trap).
 */
static uint64_t booting(struct mock_chip *chip, uint64_t now)
{
	uint64_t due = chip->due_ns;

	if (now >= due && !chip->atr_restored)
		due += RESTORE_GRACE_MS * MS;
	if (now < due)
		return due;
	enter_running(chip);
	sim_irq_firmware(chip, CHIP_IRQ_FW_BOOTED | CHIP_IRQ_CONTROL); /* 0x06800000, as seen */
	return 0;
}

uint64_t sim_life_step(struct mock_chip *chip, uint64_t now)
{
	if (chip->state == SIM_BOOTING)
		return booting(chip, now);
	if (chip->state == SIM_RESETTING) {
		if (now < chip->due_ns)
			return chip->due_ns;
		enter_bootloader(chip);
		sim_irq_firmware(chip, CHIP_IRQ_SOFT_RESET);
	}
	return 0;
}
