// SPDX-License-Identifier: MIT
/* Interrupt latches and the one MSI (pcie 2.3, 11.5; evidence 3). */
#include "mock/sim.h"

static bool msi_enabled(const struct mock_chip *chip)
{
	return (chip->cfg[0xe2] & 1) && sim_bus_master(chip);
}

/*
 * Hardware was seen to keep ISTATUS at 0 while IMASK is 0, with controls being processed
 * (evidence 3, "Enable"), so a masked event leaves no trace here.  Bits 23:16 are the bridge's
 * own: they latch without being in the mask.
 */
void sim_irq_raise(struct mock_chip *chip, uint32_t bits)
{
	uint32_t fresh;

	bits &= chip->imask | 0x00ff0000u;
	fresh = bits & ~chip->istatus & chip->imask;
	chip->istatus |= bits;
	if (fresh && msi_enabled(chip))
		chip->msi_owed += sim_fault_msi(chip);
}

void sim_irq_firmware(struct mock_chip *chip, uint32_t bits)
{
	sim_irq_raise(chip, bits | SIM_IRQ_BRIDGE);
}

void sim_irq_channel(struct mock_chip *chip, unsigned int ch)
{
	if (ch < CHIP_VDMA_FIRST_D2H) {
		chip->src_irq |= BIT(ch);
		sim_irq_raise(chip, BIT(ch / 4));
	} else {
		chip->dst_irq |= BIT(ch);
		sim_irq_raise(chip, BIT(8 + ch / 4));
	}
}

void sim_irq_flush(struct mock_chip *chip)
{
	while (chip->msi_owed && !chip->quit) {
		bool send = msi_enabled(chip) && !sim_in_d3(chip);

		chip->msi_owed--;
		if (!send)
			continue;
		chip->stats.irqs++;
		pthread_mutex_unlock(&chip->lock);
		chip->host.irq(chip->host.host);
		pthread_mutex_lock(&chip->lock);
	}
}
