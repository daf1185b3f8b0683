// SPDX-License-Identifier: MIT
/* A chip's life from "something answers" to "stopped": pcie 13.1. */
#include "chip/internal.h"

#include <errno.h>

/* The firmware acknowledges within 5 ms (pcie 3.9); how long we wait before giving up on it. */
#define DRIVER_DOWN_LIMIT_MS 5
#define DRIVER_DOWN_TIMEOUT_MS 100

int chip_check_alive(struct chip *chip)
{
	uint32_t id = backend_read32(chip->be, CHIP_BAR_CONFIG, CHIP_PCI_ID);

	if ((id & 0xffff) == CHIP_PCI_VENDOR)
		return 0;
	chip->gone = true;
	return -ENODEV;
}

bool chip_firmware_runs(struct chip *chip)
{
	uint32_t v = backend_read32(chip->be, CHIP_BAR_CONFIG, CHIP_ATR(0) + CHIP_ATR_TRSL_LO);

	if (v == UINT32_MAX)
		(void)chip_check_alive(chip);
	return v == CHIP_ADDR_MAILBOX;
}

int chip_fail(const struct chip *chip, struct hw_error *err, int code, const char *what)
{
	if (chip->gone)
		return hw_fail(err, code, "%s: the card does not answer any more; it fell off the bus",
			       what);
	if (code == -ENODEV)
		return hw_fail(err, code, "%s: no firmware runs on the card", what);
	return hw_fail(err, code, "%s: %s", what, strerror(-code));
}

/* pcie 7.6: below 512 a descriptor must not be larger than a read request; 4096 is the limit. */
static uint32_t max_page(uint32_t max_read_request)
{
	return max_read_request < 512 ? max_read_request : CHIP_PAGE_MAX;
}

int chip_probe(struct chip *chip, struct backend *be, struct hw_error *err)
{
	*chip = (struct chip){
		.be = be,
		.max_desc_page = max_page(be->max_read_request),
		.on_event = chip->on_event,
		.on_event_user = chip->on_event_user,
		.irq_count = chip->irq_count,
		.irq_missed = chip->irq_missed,
		.irq_spurious = chip->irq_spurious,
	};
	if (chip_check_alive(chip) < 0)
		return hw_fail(err, -ENODEV, "the card at %s does not answer", be->bdf);
	return 0;
}

int chip_irq_start(struct chip *chip, struct hw_error *err)
{
	int r;

	chip->be->ops->set_bus_master(chip->be, true);
	r = chip->be->ops->irq_enable(chip->be);
	if (r < 0)
		return hw_fail(err, r, "cannot enable the card's interrupt: %s", strerror(-r));
	chip_irq_unmask(chip);
	return 0;
}

static int start(struct chip *chip, const struct chip_firmware *fw,
		 const struct chip_boot_options *opt, struct hw_error *err)
{
	int r;

	r = chip_takeover(chip, opt->boot_timeout_ms, err);
	if (r < 0)
		return r;
	chip->booting = true;
	r = chip_irq_start(chip, err);
	if (r == 0)
		r = chip_boot(chip, fw, opt, err);
	/*
	 * Masked between boot and run, as the vendor's driver does: what bit 25 means changes here,
	 * and unmasking throws away the bit 26 that comes with the boot interrupt.
	 */
	chip->booting = false;
	if (r < 0)
		return r;
	chip->firmware_loaded = true;
	chip_irq_mask(chip);
	if (!chip_firmware_runs(chip))
		return chip->gone ? chip_fail(chip, err, -ENODEV, "boot")
				  : hw_fail(err, -EIO,
					    "the firmware reported that it started, but its mailbox does "
					    "not show in window 0");
	chip_irq_unmask(chip);
	/* An event that came before has lost its interrupt (pcie 2.4, 5.2). */
	chip_event_service(chip);
	return chip_identify(chip, err);
}

int chip_init(struct chip *chip, struct backend *be, const struct chip_boot_options *options,
	      struct hw_error *err)
{
	struct chip_boot_options opt = options ? *options : (struct chip_boot_options){0};
	struct span image = opt.firmware;
	struct chip_firmware fw;
	uint8_t *synthetic = NULL;
	int r;

	if (!opt.boot_timeout_ms)
		opt.boot_timeout_ms = CHIP_BOOT_TIMEOUT_MS;
	r = chip_probe(chip, be, err);
	if (r < 0)
		return r;
	if (!image.len) {
		if (!backend_is_software(be))
			return hw_fail(err, -ENOENT, "no firmware image given for the card at %s", be->bdf);
		r = chip_firmware_synthetic(&synthetic, &image.len);
		if (r < 0)
			return hw_fail(err, r, "no memory for a firmware image");
		image.ptr = synthetic;
	}
	r = chip_firmware_parse(image, &fw, err);
	if (r < 0)
		goto out;
	if (fw.major != FW_SUPPORTED_MAJOR || fw.minor != FW_SUPPORTED_MINOR) {
		r = hw_fail(err, -ENOTSUP, "the firmware image is version %u.%u.%u; this driver needs %u.%u",
			    fw.major, fw.minor, fw.revision & FW_REVISION_NUMBER, FW_SUPPORTED_MAJOR,
			    FW_SUPPORTED_MINOR);
		goto out;
	}
	if (opt.board_cfg.len > CHIP_FW_CFG_MAX || opt.fw_cfg.len > CHIP_FW_CFG_MAX) {
		r = hw_fail(err, -EINVAL, "a configuration file is %zu bytes long; at most %u fit",
			    opt.board_cfg.len > opt.fw_cfg.len ? opt.board_cfg.len : opt.fw_cfg.len,
			    CHIP_FW_CFG_MAX);
		goto out;
	}
	/* Whoever used it before: until what they left has been ended, it reaches nobody's memory. */
	be->ops->set_bus_master(be, false);
	r = start(chip, &fw, &opt, err);
	if (r < 0)
		chip_shutdown(chip);
out:
	free(synthetic);
	return r;
}

int chip_driver_down(struct chip *chip)
{
	uint64_t began = util_now_ms(), took;
	int r;

	if (chip->gone)
		return -ENODEV;
	chip->irq_driver_down = false;
	backend_write32(chip->be, CHIP_BAR_FW, CHIP_DOORBELL, CHIP_DOORBELL_DRIVER_DOWN);
	r = chip_wait(chip, &chip->irq_driver_down, DRIVER_DOWN_TIMEOUT_MS);
	took = util_now_ms() - began;
	if (r == 0 && took > DRIVER_DOWN_LIMIT_MS)
		hw_log(HW_LOG_INFO, "driver-down took %llu ms", (unsigned long long)took);
	return r;
}

int chip_shutdown(struct chip *chip)
{
	struct backend *be = chip->be;
	int r = 0;

	if (chip->firmware_loaded)
		r = chip_driver_down(chip);
	if (!chip->gone)
		chip_irq_mask(chip);
	be->ops->irq_disable(be);
	/* From here on the chip cannot reach host memory, whether it stopped or not. */
	be->ops->set_bus_master(be, false);
	if (r == -ETIMEDOUT) {
		hw_log(HW_LOG_WARNING, "the chip did not acknowledge driver-down within %d ms%s",
		       DRIVER_DOWN_TIMEOUT_MS, be->ops->reset ? ": resetting it" : "");
		if (be->ops->reset)
			(void)be->ops->reset(be);
	}
	chip->firmware_loaded = false;
	chip->identified = false;
	return r;
}
