// SPDX-License-Identifier: MIT
/*
 * PCI configuration space (pcie 1, 11.1; evidence 1).  The MSI capability sits at 0xe0 as on a
 * card; the places of the other two are a MODEL choice, they are not known.
 */
#include "mock/sim.h"

#define CFG_COMMAND 0x04
#define CFG_BAR0 0x10
#define CFG_PCIE 0x80
#define CFG_PCIE_DEVCTL (CFG_PCIE + 0x08)
#define CFG_MSI 0xe0
#define CFG_PM 0xf8
#define COMMAND_MASTER 0x4

static void put(struct mock_chip *chip, unsigned int off, uint32_t value, uint32_t writable)
{
	put_le32(chip->cfg + off, value);
	put_le32(chip->cfg_mask + off, writable);
}

static void put_bar(struct mock_chip *chip, unsigned int index, uint32_t size)
{
	put(chip, CFG_BAR0 + 4 * index, 0xc, ~(size - 1)); /* memory, 64-bit, prefetchable */
	put(chip, CFG_BAR0 + 4 * index + 4, 0, 0xffffffff);
}

static uint32_t max_read_request(const struct mock_chip *chip)
{
	return chip->opts.max_read_request ? chip->opts.max_read_request : 512;
}

void sim_config_reset(struct mock_chip *chip)
{
	uint32_t mrrs = (uint32_t)__builtin_ctz(max_read_request(chip)) - 7;

	memset(chip->cfg, 0, sizeof(chip->cfg));
	memset(chip->cfg_mask, 0, sizeof(chip->cfg_mask));
	put(chip, 0x00, CHIP_PCI_DEVICE << 16 | CHIP_PCI_VENDOR, 0);
	put(chip, CFG_COMMAND, 0x00100000, 0x0547); /* status: there is a capability list */
	put(chip, 0x08, 0x0b400001, 0);
	put(chip, 0x0c, 0, 0xff); /* cache line size: any value, no effect */
	put_bar(chip, 0, CHIP_BAR_CONFIG_SIZE);
	put_bar(chip, 2, CHIP_BAR_VDMA_SIZE);
	put_bar(chip, 4, CHIP_BAR_FW_SIZE);
	put(chip, 0x2c, CHIP_SOFT_SUBSYS_DEVICE << 16 | CHIP_SOFT_SUBSYS_VENDOR, 0);
	put(chip, 0x34, CFG_PCIE, 0);
	put(chip, 0x3c, 0, 0xff); /* no INTx pin */

	put(chip, CFG_PCIE, 0x00020010u | CFG_MSI << 8, 0); /* endpoint, version 2 */
	put(chip, CFG_PCIE + 0x04, 0x10008001, 0);	    /* FLR, payload up to 256 */
	put(chip, CFG_PCIE_DEVCTL, 0x0810 | mrrs << 12, 0xffff);
	put(chip, CFG_PCIE + 0x0c, 0x00000c43, 0);	/* 8 GT/s x4, L0s and L1 */
	put(chip, CFG_PCIE + 0x10, 0x00430000, 0x01fb); /* runs at that */
	put(chip, CFG_PCIE + 0x2c, 0x0000000e, 0);	/* 2.5, 5 and 8 GT/s */
	put(chip, CFG_PCIE + 0x30, 0x00000003, 0x000f);

	put(chip, CFG_MSI, 0x00800005u | CFG_PM << 8, 0x00010000); /* 64-bit, one vector */
	put(chip, CFG_MSI + 0x04, 0, 0xfffffffc);
	put(chip, CFG_MSI + 0x08, 0, 0xffffffff);
	put(chip, CFG_MSI + 0x0c, 0, 0x0000ffff);

	put(chip, CFG_PM, 0x40030001, 0); /* version 3, PME from D3hot */
	put(chip, CFG_PM + 0x04, 0x8,
	    0x0103); /* No_Soft_Reset: D3hot keeps everything (pcie 1.4) */
}

bool sim_bus_master(const struct mock_chip *chip)
{
	return (chip->cfg[CFG_COMMAND] & COMMAND_MASTER) && !sim_in_d3(chip) &&
	       !chip->faults.removed;
}

bool sim_in_d3(const struct mock_chip *chip)
{
	return (chip->cfg[CFG_PM + 4] & 3) == 3;
}

static bool valid(uint32_t off, unsigned int width)
{
	return (width == 1 || width == 2 || width == 4) && off % width == 0 && off < 256;
}

uint32_t mock_chip_config_read(struct mock_chip *chip, uint32_t off, unsigned int width)
{
	uint32_t v = 0;

	if (!valid(off, width))
		return 0;
	pthread_mutex_lock(&chip->lock);
	for (unsigned int i = 0; i < width; i++)
		v |= (uint32_t)(chip->faults.removed ? 0xff : chip->cfg[off + i]) << 8 * i;
	pthread_mutex_unlock(&chip->lock);
	return v;
}

/* After DMA was switched off nothing is on its way any more when the write returns. */
static void settle(struct mock_chip *chip)
{
	sim_engine_kick(chip);
	while (!sim_bus_master(chip) && chip->dma_busy)
		sim_wait(chip, &chip->idle_cond, 0);
}

void mock_chip_config_write(struct mock_chip *chip, uint32_t off, uint32_t value,
			    unsigned int width)
{
	bool flr;

	if (!valid(off, width))
		return;
	pthread_mutex_lock(&chip->lock);
	if (chip->faults.removed)
		width = 0;
	for (unsigned int i = 0; i < width; i++) {
		uint8_t m = chip->cfg_mask[off + i], b = (uint8_t)(value >> 8 * i);

		chip->cfg[off + i] = (uint8_t)((chip->cfg[off + i] & ~m) | (b & m));
	}
	flr = chip->cfg[CFG_PCIE_DEVCTL + 1] & 0x80;
	chip->cfg[CFG_PCIE_DEVCTL + 1] &= 0x7f; /* "initiate FLR" always reads 0 */
	settle(chip);
	pthread_mutex_unlock(&chip->lock);
	if (flr)
		mock_chip_reset(chip);
}

void mock_chip_set_msi(struct mock_chip *chip, bool on)
{
	uint32_t v = mock_chip_config_read(chip, CFG_MSI + 2, 2);

	mock_chip_config_write(chip, CFG_MSI + 2, on ? v | 1 : v & ~1u, 2);
}

void mock_chip_set_bus_master(struct mock_chip *chip, bool on)
{
	uint32_t v = mock_chip_config_read(chip, CFG_COMMAND, 2);

	v = on ? v | COMMAND_MASTER : v & ~(uint32_t)COMMAND_MASTER;
	mock_chip_config_write(chip, CFG_COMMAND, v, 2);
}
