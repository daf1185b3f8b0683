// SPDX-License-Identifier: MIT
/*
 * What an earlier user left behind (pcie 3.6, 10.6, 13.1 step 5): a process that was killed could
 * neither send driver-down nor finish a boot.
 *
 * All of it happens with bus mastering off, so that what the chip still has in flight for somebody
 * who is gone reaches no memory.  There is no MSI then; status bits latch without it (pcie 13.3).
 */
#include "chip/internal.h"

#include <errno.h>
#include <unistd.h>

#define DRIVER_DOWN_MS 100
#define POLL_US 200

int chip_function_reset(struct chip *chip, struct hw_error *err)
{
	struct backend *be = chip->be;
	int r;

	if (!be->ops->reset)
		return hw_fail(err, -ETIMEDOUT, "the card at %s hangs, and its function cannot be reset: "
						"switch the machine off and on",
			       be->bdf);
	r = be->ops->reset(be);
	if (r < 0)
		return hw_fail(err, r, "resetting the card at %s: %s", be->bdf, strerror(-r));
	if (chip_check_alive(chip) < 0)
		return chip_fail(chip, err, -ENODEV, "function reset");
	/* What a function reset does to firmware that runs is not known (pcie 12 no 2). */
	if (chip_firmware_runs(chip))
		return hw_fail(err, -ETIMEDOUT,
			       "the firmware on the card at %s takes no reset: switch the machine off and on",
			       be->bdf);
	return chip_wait_ready(chip, "a function reset", err);
}

/* Firmware may take window 0 over while we look through it, and then we have put it elsewhere. */
static bool firmware_came_up(struct chip *chip)
{
	uint32_t status;

	if (chip_firmware_runs(chip))
		return true;
	status = backend_read32(chip->be, CHIP_BAR_CONFIG, CHIP_ISTATUS_HOST);
	if (status == UINT32_MAX) {
		(void)chip_check_alive(chip);
		return false;
	}
	return (status & CHIP_IRQ_FW_BOOTED) && chip_window_point(chip, CHIP_ADDR_MAILBOX, NULL) == 0;
}

static bool wait_for_firmware(struct chip *chip, uint32_t timeout_ms)
{
	uint64_t deadline = util_now_ms() + timeout_ms;

	for (bool late = false; !late && !chip->gone; usleep(POLL_US)) {
		late = util_now_ms() >= deadline; /* before the look: a last-moment success counts */
		if (firmware_came_up(chip))
			return true;
	}
	return false;
}

/*
 * No firmware shows.  Usually the boot loader waits.  But whoever died may have got as far as the
 * trigger: then interrupts are still unmasked, as an orderly end would not leave them, and the
 * trigger word is still there or the boot status is not "waiting" any more.
 */
static int not_running(struct chip *chip, uint32_t timeout_ms, struct hw_error *err)
{
	bool interrupted = backend_read32(chip->be, CHIP_BAR_CONFIG, CHIP_IMASK_HOST) != 0;
	uint32_t status = 0, trigger = 0;
	int r;

	r = chip_window_read32(chip, CHIP_ADDR_BOOT_STATUS, &status, err);
	if (r == 0 && interrupted)
		r = chip_window_read32(chip, CHIP_ADDR_BOOT_TRIGGER, &trigger, err);
	/*
	 * Firmware that takes the window over at this moment makes reading fail, or it gets the window and
	 * we, putting it back, take it away again.
	 */
	if (r == -ENODEV || (r < 0 && !interrupted))
		return r;
	if (chip_firmware_runs(chip))
		return 0;
	if (r == 0 && status == CHIP_BOOT_STATUS_READY && trigger != 1)
		return 0;
	if (interrupted) {
		hw_log(HW_LOG_INFO, "%s: an earlier start of the firmware was interrupted: waiting for it",
		       chip->be->bdf);
		if (wait_for_firmware(chip, timeout_ms))
			return 0;
		if (chip->gone)
			return chip_fail(chip, err, -ENODEV, "waiting for an interrupted boot");
	}
	hw_log(HW_LOG_WARNING, "%s: the chip hangs in an earlier boot (boot status 0x%08x): resetting the "
			       "function",
	       chip->be->bdf, status);
	return chip_function_reset(chip, err);
}

/* Driver-down for whoever could not send it.  -ETIMEDOUT, -ENODEV. */
static int stop_leftovers(struct chip *chip)
{
	uint64_t deadline = util_now_ms() + DRIVER_DOWN_MS;
	int r;

	chip_irq_unmask(chip); /* hardware keeps its status at 0 while all is masked (evidence 3) */
	chip->irq_driver_down = false;
	backend_write32(chip->be, CHIP_BAR_FW, CHIP_DOORBELL, CHIP_DOORBELL_DRIVER_DOWN);
	for (bool late = false; !late; usleep(POLL_US)) {
		late = util_now_ms() >= deadline;
		r = chip_irq_service(chip);
		if (r < 0)
			return r;
		/* The second: a soft reset was under way, and the boot loader is back. */
		if (chip->irq_driver_down || !chip_firmware_runs(chip))
			return chip->gone ? -ENODEV : 0;
	}
	return -ETIMEDOUT;
}

int chip_takeover(struct chip *chip, uint32_t timeout_ms, struct hw_error *err)
{
	int r;

	if (!chip_firmware_runs(chip)) {
		r = not_running(chip, timeout_ms, err);
		if (r < 0)
			return r;
	}
	if (!chip_firmware_runs(chip))
		return chip->gone ? chip_fail(chip, err, -ENODEV, "takeover") : 0;
	r = stop_leftovers(chip);
	if (r == -ENODEV)
		return chip_fail(chip, err, r, "stopping what an earlier user left");
	if (r == -ETIMEDOUT && chip->be->ops->reset) {
		hw_log(HW_LOG_WARNING, "%s: the firmware that runs does not answer: resetting the function",
		       chip->be->bdf);
		return chip_function_reset(chip, err);
	}
	/* Where there is no reset but the soft one, that is what comes next. */
	return 0;
}
