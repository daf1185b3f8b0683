// SPDX-License-Identifier: GPL-2.0
/* The one doorbell, bus mastering, interrupts. */
#include <linux/bits.h>
#include <linux/delay.h>
#include <linux/interrupt.h>
#include <linux/iopoll.h>
#include <linux/pci.h>

#include "internal.h"

#define HAILO_VENDOR 0x1e60

/* What the doorbell takes: BAR0, except the last */
#define HAILO_ID 0x098
#define HAILO_IMASK 0x188
#define HAILO_ISTATUS 0x18c /* write one to clear; reads as zero while all is masked */
#define HAILO_DRIVER_DOWN_DONE BIT(27)
#define HAILO_WINDOW0 0x708
#define HAILO_WINDOW0_FIRMWARE 0x60000000 /* the firmware runs */
#define HAILO_DOORBELL 0x1684		  /* BAR4 */
#define HAILO_DOORBELL_DRIVER_DOWN 0x4

#define HAILO_DRIVER_DOWN_US (100 * USEC_PER_MSEC)

static bool hailo_is_master(struct hailo_card *card)
{
	u16 command = 0;

	pci_read_config_word(card->pdev, PCI_COMMAND, &command);
	return command != U16_MAX && (command & PCI_COMMAND_MASTER);
}

/* Tell the firmware to stop all DMA, and wait until it did. */
static void hailo_driver_down(struct hailo_card *card)
{
	u32 status;

	if ((readl(card->config + HAILO_ID) & U16_MAX) != HAILO_VENDOR)
		return; /* unplugged */
	if (readl(card->config + HAILO_WINDOW0) != HAILO_WINDOW0_FIRMWARE)
		return; /* a boot loader does no DMA, and has other things behind BAR4 */
	writel(HAILO_DRIVER_DOWN_DONE, card->config + HAILO_ISTATUS);
	writel(HAILO_DOORBELL_DRIVER_DOWN, card->fw + HAILO_DOORBELL);
	if (!readl(card->config + HAILO_IMASK)) {
		usleep_range(5000, 6000); /* the answer would not show */
		return;
	}
	if (readl_poll_timeout(card->config + HAILO_ISTATUS, status,
			       status & HAILO_DRIVER_DOWN_DONE, 100, HAILO_DRIVER_DOWN_US))
		pci_warn(card->pdev, "the firmware did not acknowledge driver-down\n");
}

void hailo_set_master(struct hailo_card *card, bool on)
{
	u16 command;

	if (on) {
		pci_set_master(card->pdev);
		return;
	}
	pci_clear_master(card->pdev);
	/* The answer to a read comes behind all writes that the card had under way. */
	pci_read_config_word(card->pdev, PCI_COMMAND, &command);
	if (command != U16_MAX && !pci_wait_for_pending_transaction(card->pdev))
		pci_warn(card->pdev, "reads of the card are still pending\n");
}

void hailo_stop(struct hailo_card *card)
{
	if (hailo_is_master(card))
		hailo_driver_down(card);
	hailo_set_master(card, false);
}

/* -------------------------------------------------------------- interrupts */

static void hailo_count_interrupt(struct hailo_session *s)
{
	atomic64_inc(&s->interrupts);
	wake_up_interruptible(&s->wait);
}

static irqreturn_t hailo_interrupt(int irq, void *data)
{
	struct hailo_session *s = data;

	if (!s->irq_msi) {
		/* The wire stays asserted until the user has served the card. */
		if (READ_ONCE(s->intx_masked) || !pci_check_and_mask_intx(s->card->pdev))
			return IRQ_NONE;
		WRITE_ONCE(s->intx_masked, true);
	}
	hailo_count_interrupt(s);
	return IRQ_HANDLED;
}

void hailo_intx_unmask(struct hailo_session *s)
{
	mutex_lock(&s->card->lock);
	if (s->live && s->irq_on && READ_ONCE(s->intx_masked)) {
		WRITE_ONCE(s->intx_masked, false);
		if (!pci_check_and_unmask_intx(s->card->pdev)) {
			WRITE_ONCE(s->intx_masked, true);
			hailo_count_interrupt(s);
		}
	}
	mutex_unlock(&s->card->lock);
}

void hailo_irq_off(struct hailo_session *s)
{
	struct pci_dev *pdev = s->card->pdev;

	if (!s->irq_on)
		return;
	if (!s->irq_msi)
		pci_intx(pdev, 0);
	free_irq(pci_irq_vector(pdev, 0), s);
	pci_free_irq_vectors(pdev);
	s->irq_on = false;
}

int hailo_irq_on(struct hailo_session *s)
{
	struct pci_dev *pdev = s->card->pdev;
	unsigned int types = PCI_IRQ_ALL_TYPES & ~PCI_IRQ_MSIX;
	int r;

	if (s->irq_on)
		return 0;
	if (!hailo_want_msi())
		types &= ~PCI_IRQ_MSI;
	r = pci_alloc_irq_vectors(pdev, 1, 1, types);
	if (r < 0)
		return r;
	s->irq_msi = pdev->msi_enabled;
	s->intx_masked = false;
	if (!s->irq_msi && !pci_intx_mask_supported(pdev)) {
		r = -EOPNOTSUPP;
		goto err_vectors;
	}
	r = request_irq(pci_irq_vector(pdev, 0), hailo_interrupt, s->irq_msi ? 0 : IRQF_SHARED,
			s->card->name, s);
	if (r)
		goto err_vectors;
	s->irq_on = true;
	return 0;

err_vectors:
	pci_free_irq_vectors(pdev);
	return r;
}
