// SPDX-License-Identifier: MIT
/* What the files of chip/ share among themselves. */
#ifndef HWLAYER_CHIP_INTERNAL_H
#define HWLAYER_CHIP_INTERNAL_H

#include "chip/chip.h"

/* chip.c */

/* Read 0x98: 0, or -ENODEV with chip->gone set (pcie 2.2: a dead link reads all ones). */
int chip_check_alive(struct chip *chip);
/* The permanent "firmware is up" sign (pcie 2.8); false also when the chip is gone. */
bool chip_firmware_runs(struct chip *chip);
/* Bus mastering (an MSI is a bus write), MSI and the chip's own interrupts on. */
int chip_irq_start(struct chip *chip, struct hw_error *err);
/* The sentence behind a negative return of the functions below. */
int chip_fail(const struct chip *chip, struct hw_error *err, int code, const char *what);

/* window.c */

/*
 * Store @data at BAR4 + @off (a multiple of 4), each dword read back (pcie 2.1 rule 4).
 * -EIO when one differs, -ENODEV.
 */
int chip_write_verified(struct chip *chip, uint32_t off, struct span data, struct hw_error *err);
/* Store @data at a 4-byte aligned chip address through window 0 and put the window back (2.6). */
int chip_window_write(struct chip *chip, uint32_t addr, struct span data, struct hw_error *err);
/*
 * One dword of chip memory, likewise.  -EAGAIN: firmware started and took the window over meanwhile;
 * it is left there, and what was read means nothing.
 */
int chip_window_read32(struct chip *chip, uint32_t addr, uint32_t *out, struct hw_error *err);
/* Set window 0 to @addr, a multiple of its size, and leave it there. */
int chip_window_point(struct chip *chip, uint32_t addr, struct hw_error *err);

/* boot.c */

/*
 * From any state to firmware that just started; interrupts are on and chip->booting is set.  The
 * timeout in @opt is taken as it is: chip_init() put the default there.
 */
int chip_boot(struct chip *chip, const struct chip_firmware *fw, const struct chip_boot_options *opt,
	      struct hw_error *err);

/*
 * Wait until the boot loader takes firmware (pcie 3.6 step 4); @after: for the sentence, "after ...".
 */
int chip_wait_ready(struct chip *chip, const char *after, struct hw_error *err);

/* takeover.c */

/*
 * End what an earlier user left: a boot that is under way is waited for, firmware that runs is told
 * to stop its DMA, a chip that hangs is reset.  Bus mastering must be off; it stays off.
 */
int chip_takeover(struct chip *chip, uint32_t timeout_ms, struct hw_error *err);
/*
 * Function reset where the backend has one (-ETIMEDOUT where not): afterwards the boot loader waits,
 * and bus mastering, MSI and interrupts are off.
 */
int chip_function_reset(struct chip *chip, struct hw_error *err);

/* irq.c */

void chip_irq_unmask(struct chip *chip); /* pcie 2.4 */
void chip_irq_mask(struct chip *chip);

/* event.c */

/* Take the event out of the slot, if there is one, and hand it to chip->on_event. */
void chip_event_service(struct chip *chip);

/* status.c */

bool chip_opcode_critical(uint32_t opcode);

#endif
