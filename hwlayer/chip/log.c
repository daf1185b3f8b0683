// SPDX-License-Identifier: MIT
/*
 * The two firmware logs (pcie 5.4): a ring of bytes for each CPU, read by polling.  How entries are
 * encoded is not known, so they are handed on as they are.
 */
#include "chip/internal.h"

#include <errno.h>

#define HOST_OFFSET 0u /* next byte the host reads; ours to write */
#define CHIP_OFFSET 4u /* next byte the firmware writes */
#define DATA 8u
#define RING 4088u

/* Registers take aligned 32-bit accesses only, so the first and last word may be cut. */
static void copy_out(struct chip *chip, uint32_t base, uint32_t at, uint8_t *buf, uint32_t len)
{
	uint32_t word = 0, off = base + DATA + at;

	for (uint32_t i = 0; i < len; i++, off++) {
		if (!i || off % 4 == 0)
			word = backend_read32(chip->be, CHIP_BAR_FW, off & ~3u);
		buf[i] = (uint8_t)(word >> 8 * (off % 4));
	}
}

int chip_read_log(struct chip *chip, bool core, void *buf, size_t size, struct hw_error *err)
{
	uint32_t base = core ? CHIP_LOG_CORE : CHIP_LOG_APP, host, end, n, first;

	if (chip->gone)
		return chip_fail(chip, err, -ENODEV, "reading the firmware log");
	host = backend_read32(chip->be, CHIP_BAR_FW, base + HOST_OFFSET);
	end = backend_read32(chip->be, CHIP_BAR_FW, base + CHIP_OFFSET);
	if (host >= RING || end >= RING) {
		if (chip_check_alive(chip) < 0)
			return chip_fail(chip, err, -ENODEV, "reading the firmware log");
		return hw_fail(err, -EBADMSG,
			       "the log of the %s CPU has offsets %u and %u; they must be below %u",
			       core ? "core" : "app", host, end, RING);
	}
	n = end >= host ? end - host : RING - (host - end);
	if (n > size)
		n = (uint32_t)size;
	if (!n)
		return 0;
	first = n < RING - host ? n : RING - host;
	copy_out(chip, base, host, buf, first);
	copy_out(chip, base, 0, (uint8_t *)buf + first, n - first);
	/* A card that vanished meanwhile has given all ones, and they are no log. */
	if (chip_check_alive(chip) < 0)
		return chip_fail(chip, err, -ENODEV, "reading the firmware log");
	backend_write32(chip->be, CHIP_BAR_FW, base + HOST_OFFSET, (host + n) % RING);
	return (int)n;
}
