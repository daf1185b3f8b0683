// SPDX-License-Identifier: MIT
/* Interrupts: masks, the handler, waiting (pcie 2.4, 8.2; hardware-evidence 3). */
#include "chip/internal.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Real hardware was seen to want 15 passes once; more than this is a storm. */
#define SERVICE_PASSES 64
/* How often a waiter looks without an interrupt: it may be lost, and so may the card. */
#define LOOK_MS 100

void chip_irq_unmask(struct chip *chip)
{
	uint32_t mask = backend_read32(chip->be, CHIP_BAR_CONFIG, CHIP_IMASK_HOST);

	backend_write32(chip->be, CHIP_BAR_CONFIG, CHIP_IMASK_HOST, mask | CHIP_IMASK_ENABLE);
	backend_write32(chip->be, CHIP_BAR_CONFIG, CHIP_ISTATUS_HOST, UINT32_MAX);
	backend_write32(chip->be, CHIP_BAR_CONFIG, CHIP_DST_IRQ, UINT32_MAX);
	backend_write32(chip->be, CHIP_BAR_CONFIG, CHIP_SRC_IRQ, UINT32_MAX);
}

void chip_irq_mask(struct chip *chip)
{
	backend_write32(chip->be, CHIP_BAR_CONFIG, CHIP_IMASK_HOST, 0);
}

static uint32_t take_channels(struct chip *chip, uint32_t reg)
{
	uint32_t v = backend_read32(chip->be, CHIP_BAR_CONFIG, reg);

	if (v)
		backend_write32(chip->be, CHIP_BAR_CONFIG, reg, v);
	return v;
}

/*
 * Bit 23 comes along with most others and alone, and a channel's bit may be seen a pass before
 * its group's: the status only says where to look, never which channel (hardware-evidence 3).
 */
static void handle(struct chip *chip, uint32_t status)
{
	uint32_t channels = 0;

	if (status & CHIP_IRQ_SRC_GROUPS)
		channels |= take_channels(chip, CHIP_SRC_IRQ);
	if (status & CHIP_IRQ_DST_GROUPS)
		channels |= take_channels(chip, CHIP_DST_IRQ);
	observe(chip->be, interrupt, status, channels);
	if (chip->booting) {
		if (status & CHIP_IRQ_SOFT_RESET)
			chip->irq_soft_reset = true;
		if (status & CHIP_IRQ_FW_BOOTED)
			chip->irq_booted = true;
		return;
	}
	if (status & CHIP_IRQ_CONTROL)
		chip->irq_control = true;
	if (status & CHIP_IRQ_DRIVER_DOWN)
		chip->irq_driver_down = true;
	if (status & CHIP_IRQ_NOTIFICATION)
		chip_event_service(chip);
	chip->irq_channels |= channels;
}

static void without_cause(struct chip *chip)
{
	uint64_t n = ++chip->irq_spurious;

	if ((n & (n - 1)) == 0) /* the 1st, 2nd, 4th... */
		hw_log(HW_LOG_INFO, "%s: an interrupt came twice or without a cause (%llu so far); harmless",
		       chip->be->bdf, (unsigned long long)n);
}

int chip_irq_service(struct chip *chip)
{
	bool rang;
	eventfd_t n;
	int r;

	if (chip->gone)
		return -ENODEV;
	/* Emptied before the registers are read: what comes meanwhile leaves it readable. */
	while ((r = eventfd_read(chip->be->irq_fd, &n)) < 0 && errno == EINTR)
		;
	rang = r == 0;
	for (int pass = 0; pass < SERVICE_PASSES; pass++) {
		uint32_t status;

		if (chip_check_alive(chip) < 0)
			return -ENODEV;
		status = backend_read32(chip->be, CHIP_BAR_CONFIG, CHIP_ISTATUS_HOST);
		if (!status) {
			if (!pass && rang)
				without_cause(chip);
			return 0;
		}
		if (status == UINT32_MAX) {
			chip->gone = true;
			return -ENODEV;
		}
		if (!pass)
			chip->irq_count++;
		backend_write32(chip->be, CHIP_BAR_CONFIG, CHIP_ISTATUS_HOST, status);
		handle(chip, status);
	}
	/* The chip sends no second MSI for what is still set, so remind ourselves. */
	(void)eventfd_write(chip->be->irq_fd, 1);
	return 0;
}

/* Read the registers although no interrupt came: 0 also when that did not help. */
static int look(struct chip *chip, const bool *flag)
{
	int r = chip_irq_service(chip);

	if (r == 0 && *flag) {
		chip->irq_missed++;
		hw_log(HW_LOG_WARNING, "%s: an interrupt was lost or is late: the chip had answered",
		       chip->be->bdf);
	}
	return r;
}

int chip_wait(struct chip *chip, const bool *flag, uint32_t timeout_ms)
{
	uint64_t deadline = util_now_ms() + timeout_ms;
	int r;

	while (!*flag) {
		struct pollfd fd = {.fd = chip->be->irq_fd, .events = POLLIN};
		uint64_t now = util_now_ms();
		int n;

		if (chip->gone)
			return -ENODEV;
		if (now >= deadline) {
			r = look(chip, flag);
			return r < 0 ? r : *flag ? 0 : -ETIMEDOUT;
		}
		n = poll(&fd, 1, deadline - now < LOOK_MS ? (int)(deadline - now) : LOOK_MS);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0 && (fd.revents & POLLIN) == 0)
			return -EIO;
		r = n > 0 ? chip_irq_service(chip) : n == 0 ? look(chip, flag) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}
