// SPDX-License-Identifier: MIT
/*
 * BAR0, BAR2 and BAR4 (pcie 2, 6.2, 11.2).  Accesses of 1, 2 and 4 bytes: the bridge honours byte
 * enables (pcie 2.1 no 2), so a write is a word with a mask of the lanes that are driven.
 */
#include "mock/sim.h"

static uint32_t merge(uint32_t old, uint32_t value, uint32_t lanes)
{
	return (old & ~lanes) | (value & lanes);
}

/* ------------------------------------------------------------------------ chip memory */

uint8_t *sim_mem(struct mock_chip *chip, uint64_t addr, size_t len)
{
	if (addr >= SIM_RAM_BASE && addr + len <= SIM_RAM_BASE + SIM_RAM_SIZE)
		return chip->ram + (addr - SIM_RAM_BASE);
	if (addr >= SIM_SRAM_BASE && addr + len <= SIM_SRAM_BASE + SIM_SRAM_SIZE)
		return chip->sram + (addr - SIM_SRAM_BASE);
	return NULL;
}

static void chip_write(struct mock_chip *chip, uint64_t addr, uint32_t value, uint32_t lanes)
{
	uint8_t *p = sim_mem(chip, addr, 4);

	if (addr == SIM_DOORBELL) {
		/* Write one to set; without firmware nobody listens (pcie 11.3). */
		if (chip->state == SIM_RUNNING) {
			chip->doorbell |= value & lanes & 0xf;
			pthread_cond_signal(&chip->fw_cond);
		}
		return;
	}
	if (!p)
		return;
	put_le32(p, merge(get_le32(p), value, lanes));
	if (addr == CHIP_ADDR_BOOT_TRIGGER && chip->state == SIM_BOOTLOADER && get_le32(p) == 1)
		sim_boot_trigger(chip);
	if (addr == CHIP_ADDR_MAILBOX + CHIP_MBOX_EVENT && chip->state == SIM_RUNNING)
		sim_event_slot_written(chip);
}

/* --------------------------------------------------------------------------- windows */

/* The chip address behind BAR4 offset @off; false: no enabled window covers it. */
static bool translate(const struct mock_chip *chip, uint32_t off, uint64_t *addr)
{
	for (unsigned int k = 0; k < ARRAY_SIZE(chip->atr); k++) {
		const uint32_t *a = chip->atr[k];
		uint64_t size = 2ull << (a[0] >> 1 & 0x3f), src = a[0] & 0xfffff000u;

		if (!(a[0] & 1) || (a[0] >> 1 & 0x3f) > 31 || a[1] ||
		    a[4] != CHIP_ATR_TRSL_PARAM_VALUE)
			continue;
		if (off < src || off - src >= size)
			continue;
		*addr = (a[2] | (uint64_t)a[3] << 32) + (off - src);
		return true;
	}
	return false;
}

static uint32_t bar4_read(struct mock_chip *chip, uint32_t off)
{
	uint64_t addr;
	const uint8_t *p;

	if (!translate(chip, off, &addr))
		return 0xffffffff; /* MODEL */
	p = sim_mem(chip, addr, 4);
	return p ? get_le32(p) : 0;
}

static void bar4_write(struct mock_chip *chip, uint32_t off, uint32_t value, uint32_t lanes)
{
	uint64_t addr;

	if (translate(chip, off, &addr))
		chip_write(chip, addr, value, lanes);
}

/* ------------------------------------------------------------------------------ BAR0 */

static uint32_t bar0_read(const struct mock_chip *chip, uint32_t off)
{
	switch (off) {
	case CHIP_PCI_ID:
		return CHIP_PCI_DEVICE << 16 | CHIP_PCI_VENDOR;
	case CHIP_IMASK_HOST:
		return chip->imask;
	case CHIP_ISTATUS_HOST:
		return chip->istatus;
	case CHIP_SRC_IRQ:
		return chip->src_irq;
	case CHIP_DST_IRQ:
		return chip->dst_irq;
	}
	if (off >= CHIP_ATR(0) && off < CHIP_ATR(4))
		return chip->atr[(off - CHIP_ATR(0)) / 0x20][off % 0x20 / 4];
	return 0;
}

static void bar0_write(struct mock_chip *chip, uint32_t off, uint32_t value, uint32_t lanes)
{
	uint32_t *w;

	switch (off) {
	case CHIP_IMASK_HOST:
		chip->imask = merge(chip->imask, value, lanes);
		return;
	case CHIP_ISTATUS_HOST:
		chip->istatus &= ~(value & lanes);
		return;
	case CHIP_SRC_IRQ:
		chip->src_irq &= ~(value & lanes);
		return;
	case CHIP_DST_IRQ:
		chip->dst_irq &= ~(value & lanes);
		return;
	}
	if (off < CHIP_ATR(0) || off >= CHIP_ATR(4))
		return;
	w = &chip->atr[(off - CHIP_ATR(0)) / 0x20][off % 0x20 / 4];
	*w = merge(*w, value, lanes);
	if (off == CHIP_ATR(0) + CHIP_ATR_TRSL_PARAM) {
		chip->atr_restored = true;
		pthread_cond_signal(&chip->fw_cond);
	}
}

/* ------------------------------------------------------------------------------ BAR2 */

static struct sim_side *side_at(struct mock_chip *chip, uint32_t off, unsigned int *ch, bool *host)
{
	bool second = off & 0x10;

	*ch = off / 0x20;
	if (*ch >= CHIP_VDMA_CHANNELS)
		return NULL;
	*host = second == (*ch >= CHIP_VDMA_FIRST_D2H);
	return *host ? &chip->chan[*ch].host : &chip->chan[*ch].dev;
}

static uint32_t base_word(const struct sim_side *s)
{
	return s->ctrl | (uint32_t)s->data_id << 8 | (uint32_t)s->depth << 11 |
	       (uint32_t)s->avail << 16;
}

static uint32_t bar2_read(struct mock_chip *chip, uint32_t off)
{
	unsigned int ch;
	bool host;
	const struct sim_side *s = side_at(chip, off, &ch, &host);

	if (!s)
		return 0;
	switch (off & 0xc) {
	case CHIP_VDMA_CTRL:
		return base_word(s);
	case CHIP_VDMA_PROC:
		return s->proc | (uint32_t)s->ongoing << 16;
	case CHIP_VDMA_ERR:
		return s->err | (uint32_t)s->spare << 8 | (s->list & CHIP_VDMA_ERR_ADDR_LO);
	default:
		return (uint32_t)(s->list >> 32);
	}
}

/*
 * The base word is written with what was just read, for the doorbell's sake (pcie 6.6), so an
 * unchanged control byte means nothing.  A changed one is what it says: 0 aborts; 1 on an aborted
 * channel sets it running on whatever list it has, as the hazard of pcie 6.6 would, but no bytes
 * move before the firmware opens it.
 */
static void base_write(struct mock_chip *chip, struct sim_side *s, unsigned int ch, bool host,
		       uint32_t v)
{
	uint8_t was = s->ctrl;

	s->ctrl = (uint8_t)v;
	s->data_id = FIELD_GET(CHIP_VDMA_CTRL_DATA_ID, v);
	s->depth = FIELD_GET(CHIP_VDMA_CTRL_DEPTH, v);
	s->avail = (uint16_t)(v >> 16);
	if (!(s->ctrl & CHIP_VDMA_CTRL_START))
		s->avail = 0; /* MODEL (pcie 11.7) */
	if ((was & CHIP_VDMA_CTRL_START) && !(s->ctrl & CHIP_VDMA_CTRL_START)) {
		s->proc = s->ongoing = 0;
		if (host) {
			chip->chan[ch].gen++;
			chip->chan[ch].pos = 0;
		}
	}
	sim_engine_kick(chip);
}

static void bar2_write(struct mock_chip *chip, uint32_t off, uint32_t value, uint32_t lanes)
{
	unsigned int ch;
	bool host;
	struct sim_side *s = side_at(chip, off, &ch, &host);
	uint32_t v;

	if (!s)
		return;
	v = merge(bar2_read(chip, off), value, lanes);
	switch (off & 0xc) {
	case CHIP_VDMA_CTRL:
		base_write(chip, s, ch, host, v);
		break;
	case CHIP_VDMA_ERR:
		s->spare = (uint8_t)(v >> 8);
		s->list = (s->list & ~(uint64_t)0xffffffff) | (v & CHIP_VDMA_ERR_ADDR_LO);
		break;
	case CHIP_VDMA_ADDR_HI:
		s->list = (s->list & 0xffffffff) | (uint64_t)v << 32;
		break;
	default: /* counters are read-only */
		break;
	}
}

/* --------------------------------------------------------------------------- accesses */

static bool valid(unsigned int bar, uint32_t off, unsigned int width)
{
	static const uint32_t size[] = {CHIP_BAR_CONFIG_SIZE, 0, CHIP_BAR_VDMA_SIZE, 0,
					CHIP_BAR_FW_SIZE};

	return (width == 1 || width == 2 || width == 4) && off % width == 0 &&
	       bar < ARRAY_SIZE(size) && off < size[bar];
}

static uint32_t width_mask(unsigned int width)
{
	return width == 4 ? 0xffffffffu : BIT(8 * width) - 1;
}

/* A function in D3hot does not decode memory, and one that was pulled out nothing at all. */
static bool decodes(const struct mock_chip *chip)
{
	return !sim_in_d3(chip) && !chip->faults.removed;
}

uint32_t mock_chip_read(struct mock_chip *chip, unsigned int bar, uint32_t off, unsigned int width)
{
	uint32_t v = 0xffffffff, word = off & ~3u;

	if (!valid(bar, off, width))
		return v;
	pthread_mutex_lock(&chip->lock);
	chip->stats.mmio_reads++;
	sim_fault_mmio(chip);
	if (decodes(chip)) {
		v = bar == CHIP_BAR_CONFIG ? bar0_read(chip, word)
		    : bar == CHIP_BAR_VDMA ? bar2_read(chip, word)
					   : bar4_read(chip, word);
	}
	pthread_mutex_unlock(&chip->lock);
	return v >> 8 * (off & 3) & width_mask(width);
}

void mock_chip_write(struct mock_chip *chip, unsigned int bar, uint32_t off, uint32_t value,
		     unsigned int width)
{
	uint32_t lanes, word = off & ~3u;

	if (!valid(bar, off, width))
		return;
	lanes = width_mask(width) << 8 * (off & 3);
	value <<= 8 * (off & 3);
	pthread_mutex_lock(&chip->lock);
	chip->stats.mmio_writes++;
	sim_fault_mmio(chip);
	if (decodes(chip)) {
		if (bar == CHIP_BAR_CONFIG)
			bar0_write(chip, word, value, lanes);
		else if (bar == CHIP_BAR_VDMA)
			bar2_write(chip, word, value, lanes);
		else
			bar4_write(chip, word, value, lanes);
	}
	if (chip->msi_owed)
		pthread_cond_signal(&chip->fw_cond);
	pthread_mutex_unlock(&chip->lock);
}

uint32_t mock_chip_peek(struct mock_chip *chip, uint32_t chip_addr)
{
	uint32_t v = 0;
	const uint8_t *p;

	pthread_mutex_lock(&chip->lock);
	p = sim_mem(chip, chip_addr & ~3u, 4);
	if (p)
		v = get_le32(p);
	pthread_mutex_unlock(&chip->lock);
	return v;
}
