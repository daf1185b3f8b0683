// SPDX-License-Identifier: MIT
/*
 * Address window 0: chip memory through the first 4 KiB of BAR4 (pcie 2.5, 2.6).  For boot only:
 * once firmware runs, the window shows its mailbox and must stay where it is.
 */
#include "chip/internal.h"

#include <errno.h>

static int put_verified(struct chip *chip, unsigned int bar, uint32_t off, uint32_t value,
			struct hw_error *err)
{
	uint32_t back;

	backend_write32(chip->be, bar, off, value);
	back = backend_read32(chip->be, bar, off);
	if (back == value)
		return 0;
	if (chip_check_alive(chip) < 0)
		return chip_fail(chip, err, -ENODEV, "writing to the chip");
	return hw_fail(err, -EIO, "BAR%u offset 0x%x reads back 0x%08x after 0x%08x was written", bar,
		       off, back, value);
}

int chip_write_verified(struct chip *chip, uint32_t off, struct span data, struct hw_error *err)
{
	int r;

	while (data.len >= 4) {
		r = put_verified(chip, CHIP_BAR_FW, off, get_le32(data.ptr), err);
		if (r < 0)
			return r;
		data.ptr += 4;
		data.len -= 4;
		off += 4;
	}
	if (data.len) {
		/* The bytes behind the last one keep their value. */
		uint32_t mask = (1u << 8 * data.len) - 1, v = 0;

		for (size_t i = 0; i < data.len; i++)
			v |= (uint32_t)data.ptr[i] << 8 * i;
		v |= backend_read32(chip->be, CHIP_BAR_FW, off) & ~mask;
		return put_verified(chip, CHIP_BAR_FW, off, v, err);
	}
	return 0;
}

struct window {
	uint32_t lo, hi;
};

/* All five words are read, though only the address is put back (2.6 steps 1 and 4). */
static struct window window_save(struct chip *chip)
{
	struct window w;

	backend_read32(chip->be, CHIP_BAR_CONFIG, CHIP_ATR(0) + CHIP_ATR_PARAM);
	backend_read32(chip->be, CHIP_BAR_CONFIG, CHIP_ATR(0) + CHIP_ATR_SRC_HI);
	w.lo = backend_read32(chip->be, CHIP_BAR_CONFIG, CHIP_ATR(0) + CHIP_ATR_TRSL_LO);
	w.hi = backend_read32(chip->be, CHIP_BAR_CONFIG, CHIP_ATR(0) + CHIP_ATR_TRSL_HI);
	backend_read32(chip->be, CHIP_BAR_CONFIG, CHIP_ATR(0) + CHIP_ATR_TRSL_PARAM);
	return w;
}

static int window_set(struct chip *chip, struct window w, struct hw_error *err)
{
	const struct {
		uint32_t off, value;
	} words[] = {
		{CHIP_ATR_PARAM, CHIP_ATR_PARAM_VALUE(0)},
		{CHIP_ATR_SRC_HI, 0},
		{CHIP_ATR_TRSL_LO, w.lo},
		{CHIP_ATR_TRSL_HI, w.hi},
		{CHIP_ATR_TRSL_PARAM, CHIP_ATR_TRSL_PARAM_VALUE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		int r = put_verified(chip, CHIP_BAR_CONFIG, CHIP_ATR(0) + words[i].off,
				     words[i].value, err);

		if (r < 0)
			return r;
	}
	return 0;
}

/* Put the window back also after an error, whose text then stays; controls need it (evidence 9.14). */
static int window_restore(struct chip *chip, struct window w, int r, struct hw_error *err)
{
	int back;

	if (chip->gone)
		return r;
	back = window_set(chip, w, r < 0 ? NULL : err);
	return r < 0 ? r : back;
}

int chip_window_write(struct chip *chip, uint32_t addr, struct span data, struct hw_error *err)
{
	struct window saved;
	int r = 0;

	if (addr % 4)
		return hw_fail(err, -EINVAL, "chip address 0x%x is not a multiple of 4", addr);
	if (!data.len)
		return 0;
	saved = window_save(chip);
	while (data.len) {
		uint32_t off = addr % CHIP_WINDOW_SIZE;
		size_t n = CHIP_WINDOW_SIZE - off;
		struct span piece;

		if (n > data.len)
			n = data.len;
		r = window_set(chip, (struct window){addr - off, 0}, err);
		if (r < 0)
			break;
		span_take(&data, n, &piece);
		r = chip_write_verified(chip, off, piece, err);
		if (r < 0)
			break;
		addr += (uint32_t)n;
	}
	return window_restore(chip, saved, r, err);
}

int chip_window_read32(struct chip *chip, uint32_t addr, uint32_t *out, struct hw_error *err)
{
	struct window saved = window_save(chip);
	uint32_t off = addr % CHIP_WINDOW_SIZE;
	int r;

	r = window_set(chip, (struct window){addr - off, 0}, err);
	if (r == 0) {
		*out = backend_read32(chip->be, CHIP_BAR_FW, off);
		if (*out == UINT32_MAX && chip_check_alive(chip) < 0)
			r = chip_fail(chip, err, -ENODEV, "reading chip memory");
		/* What was read means something only if the window is still where we put it. */
		else if (chip_firmware_runs(chip))
			return hw_fail(err, -EAGAIN, "the firmware started while chip memory was read");
	}
	return window_restore(chip, saved, r, err);
}

int chip_window_point(struct chip *chip, uint32_t addr, struct hw_error *err)
{
	return window_set(chip, (struct window){addr, 0}, err);
}
