// SPDX-License-Identifier: MIT
/*
 * Loading firmware (pcie 3.3, 3.4) and, if some already runs, resetting the chip first (3.6).  The
 * order of accesses is the vendor driver's: hardware was seen to take it (hardware-evidence 2).
 */
#include "chip/internal.h"

#include <errno.h>
#include <unistd.h>

#define READY_TRIES 10

int chip_wait_ready(struct chip *chip, const char *after, struct hw_error *err)
{
	uint32_t status = 0;

	for (int i = 0; i < READY_TRIES; i++) {
		int r = chip_window_read32(chip, CHIP_ADDR_BOOT_STATUS, &status, err);

		if (r < 0)
			return r;
		if (status == CHIP_BOOT_STATUS_READY)
			return 0;
		usleep(1000);
	}
	return hw_fail(err, -ETIMEDOUT, "the boot loader is not ready after %s (boot status 0x%08x)",
		       after, status);
}

static int soft_reset(struct chip *chip, uint32_t timeout, struct hw_error *err)
{
	int r;

	/* Armed before the doorbell: the chip may answer at once (the vendor's order loses that). */
	chip->irq_soft_reset = false;
	backend_write32(chip->be, CHIP_BAR_FW, CHIP_DOORBELL, CHIP_DOORBELL_SOFT_RESET);
	r = chip_wait(chip, &chip->irq_soft_reset, timeout);
	if (r == -ETIMEDOUT)
		return hw_fail(err, r,
			       "the firmware that was running did not answer a soft reset within %u ms",
			       timeout);
	if (r < 0)
		return chip_fail(chip, err, r, "soft reset");
	return chip_wait_ready(chip, "a soft reset", err);
}

/* Firmware that cannot be reset the gentle way is reset with the whole function, where that works. */
static int stop_running(struct chip *chip, uint32_t timeout, struct hw_error *err)
{
	struct hw_error why;
	int r;

	hw_log(HW_LOG_INFO, "firmware is already running: soft reset");
	r = soft_reset(chip, timeout, &why);
	if (r == 0)
		return 0;
	if (chip->gone || !chip->be->ops->reset) {
		if (err)
			*err = why;
		return r;
	}
	hw_log(HW_LOG_WARNING, "%s: %s: resetting the function", chip->be->bdf, why.text);
	r = chip_function_reset(chip, err);
	return r < 0 ? r : chip_irq_start(chip, err);
}

static int boot_timed_out(struct chip *chip, uint32_t ms, uint32_t *status, struct hw_error *err)
{
	int r = chip_window_read32(chip, CHIP_ADDR_BOOT_STATUS, status, err);

	if (r == -ENODEV)
		return r;
	if (r < 0)
		return hw_fail(err, -ETIMEDOUT,
			       "the firmware did not start within %u ms, and the boot status cannot be "
			       "read",
			       ms);
	return hw_fail(err, -ETIMEDOUT, "the firmware did not start within %u ms (boot status 0x%08x)",
		       ms, *status);
}

/* Load and start.  -ETIMEDOUT: @status is the boot status then, 0 when that cannot be read. */
static int load(struct chip *chip, const struct chip_firmware *fw, const struct chip_boot_options *opt,
		uint32_t *status, struct hw_error *err)
{
	static const uint8_t trigger[4] = {1, 0, 0, 0};
	const struct {
		uint32_t addr;
		struct span data;
	} items[] = {
		{CHIP_ADDR_APP_HEADER, fw->app_header},
		{CHIP_ADDR_APP_CODE, fw->app_code},
		{CHIP_ADDR_KEY_CERT, fw->key_cert},
		{CHIP_ADDR_CONTENT_CERT, fw->content_cert},
		{CHIP_ADDR_CORE_CODE, fw->core_code},
		{CHIP_ADDR_CORE_HEADER, fw->core_header},
		{CHIP_ADDR_BOARD_CFG, opt->board_cfg},
		{CHIP_ADDR_FW_CFG, opt->fw_cfg},
		{CHIP_ADDR_BOOT_TRIGGER, {trigger, sizeof(trigger)}},
	};
	int r;

	*status = 0;
	chip->irq_booted = false;
	for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
		r = chip_window_write(chip, items[i].addr, items[i].data, err);
		if (r < 0)
			return hw_fail_context(err, r, "loading the firmware to chip address 0x%x",
					       items[i].addr);
	}
	r = chip_wait(chip, &chip->irq_booted, opt->boot_timeout_ms);
	if (r == -ETIMEDOUT)
		return boot_timed_out(chip, opt->boot_timeout_ms, status, err);
	if (r < 0)
		return chip_fail(chip, err, r, "waiting for the firmware to start");
	return 0;
}

int chip_boot(struct chip *chip, const struct chip_firmware *fw, const struct chip_boot_options *opt,
	      struct hw_error *err)
{
	uint32_t status;
	int r;

	if (chip_firmware_runs(chip)) {
		r = stop_running(chip, opt->boot_timeout_ms, err);
		if (r < 0)
			return r;
	}
	r = load(chip, fw, opt, &status, err);
	if (r != -ETIMEDOUT || status != CHIP_BOOT_STATUS_READY || !chip->be->ops->reset)
		return r;
	/*
	 * The word says that the boot loader waits, but nothing took the trigger: the chip is in some state
	 * that nothing shows (firmware that runs while window 0 was moved away looks like this).
	 */
	hw_log(HW_LOG_WARNING, "%s: the trigger was not taken: resetting the function and loading again",
	       chip->be->bdf);
	r = chip_function_reset(chip, err);
	if (r == 0)
		r = chip_irq_start(chip, err);
	return r < 0 ? r : load(chip, fw, opt, &status, err);
}
