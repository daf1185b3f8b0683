// SPDX-License-Identifier: GPL-2.0
/*
 * Hailo-8 cards for a driver in user space, on boards whose PCIe has no IOMMU: registers,
 * interrupts and DMA memory, and nothing else (docs/kernel-module.md).
 *
 * Without an IOMMU the card reaches all memory, so the one thing this module sees to is that
 * what the card was told to use outlives its user: DMA memory belongs to the module, and before
 * it is freed the firmware was told to stop and bus mastering is off.  Ringing that doorbell is all
 * it knows of the card.  It leaves the interrupt mask alone: the next user sees from it that a boot
 * was interrupted (docs/safety.md).
 */
#include <linux/dma-mapping.h>
#include <linux/idr.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

#include "internal.h"

#define HAILO_VENDOR 0x1e60
#define HAILO_DEVICE 0x2864

/* How much of BAR0 and BAR4 chip.c wants */
#define HAILO_CONFIG_MIN 0x70c
#define HAILO_FW_MIN 0x1688

static unsigned int dma_limit = 256;
module_param(dma_limit, uint, 0644);
MODULE_PARM_DESC(dma_limit, "MiB of DMA memory that the user of a card may allocate (default 256)");

static bool msi = true;
module_param(msi, bool, 0644);
MODULE_PARM_DESC(msi, "use MSI where it is to be had (default), else INTx only");

static DEFINE_IDA(hailo_numbers);

bool hailo_want_msi(void)
{
	return READ_ONCE(msi);
}

u64 hailo_dma_limit(void)
{
	return (u64)READ_ONCE(dma_limit) * SZ_1M;
}

static void hailo_card_free(struct kref *ref)
{
	struct hailo_card *card = container_of(ref, struct hailo_card, ref);

	mutex_destroy(&card->lock);
	kfree(card);
}

void hailo_card_put(struct hailo_card *card)
{
	kref_put(&card->ref, hailo_card_free);
}

/* -------------------------------------------------------------- attributes */

static struct hailo_card *hailo_of(struct device *dev)
{
	return container_of(dev_get_drvdata(dev), struct hailo_card, misc);
}

/* The process that has the card open, as the reader's PID namespace calls it; 0: nobody. */
static ssize_t owner_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct hailo_card *card = hailo_of(dev);
	pid_t pid;

	mutex_lock(&card->lock);
	pid = card->session ? pid_vnr(card->session->owner) : 0;
	mutex_unlock(&card->lock);
	return sysfs_emit(buf, "%d\n", pid);
}
static DEVICE_ATTR_RO(owner);

static ssize_t dma_bytes_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct hailo_card *card = hailo_of(dev);
	size_t bytes;

	mutex_lock(&card->lock);
	bytes = card->session ? card->session->dma_bytes : 0;
	mutex_unlock(&card->lock);
	return sysfs_emit(buf, "%zu\n", bytes);
}
static DEVICE_ATTR_RO(dma_bytes);

static struct attribute *hailo_attrs[] = {
	&dev_attr_owner.attr,
	&dev_attr_dma_bytes.attr,
	NULL,
};
ATTRIBUTE_GROUPS(hailo);

/* ------------------------------------------------------------ bind, unbind */

static void hailo_rest_release(struct hailo_card *card)
{
	unsigned int bar;

	for (bar = 0; bar < ARRAY_SIZE(card->rest); bar++)
		if (card->rest[bar].parent)
			release_resource(&card->rest[bar]);
}

/*
 * What is mapped is whole pages.  Where a BAR is smaller, what lies behind it in its page has to be
 * nobody else's, and to stay so.
 */
static int hailo_rest_claim(struct hailo_card *card, unsigned int bar)
{
	struct resource *res = &card->pdev->resource[bar], *rest = &card->rest[bar];

	if (!PAGE_ALIGNED(res->start)) {
		pci_err(card->pdev,
			"BAR%u does not start with a page; boot with pci=resource_alignment=%u@%s\n",
			bar, PAGE_SHIFT, pci_name(card->pdev));
		return -EBUSY;
	}
	if (PAGE_ALIGNED(resource_size(res)))
		return 0;
	rest->name = card->name;
	rest->flags = res->flags & IORESOURCE_TYPE_BITS;
	rest->start = res->end + 1;
	rest->end = PAGE_ALIGN(res->end) - 1;
	if (!request_resource(res->parent, rest))
		return 0;
	pci_err(card->pdev,
		"BAR%u shares its page with something else; boot with pci=resource_alignment=%u@%s\n",
		bar, PAGE_SHIFT, pci_name(card->pdev));
	return -EBUSY;
}

static int hailo_map_registers(struct hailo_card *card)
{
	struct pci_dev *pdev = card->pdev;
	unsigned int bar;
	int r;

	for (bar = 0; bar < 6; bar += 2) {
		if (!(pci_resource_flags(pdev, bar) & IORESOURCE_MEM) ||
		    !pci_resource_len(pdev, bar)) {
			pci_err(pdev, "BAR%u is missing\n", bar);
			return -ENODEV;
		}
		r = hailo_rest_claim(card, bar);
		if (r)
			goto err_rest;
	}
	r = -ENODEV;
	if (pci_resource_len(pdev, 0) < HAILO_CONFIG_MIN ||
	    pci_resource_len(pdev, 4) < HAILO_FW_MIN) {
		pci_err(pdev, "the BARs are too small\n");
		goto err_rest;
	}
	r = -ENOMEM;
	card->config = pci_iomap(pdev, 0, 0);
	if (!card->config)
		goto err_rest;
	card->fw = pci_iomap(pdev, 4, 0);
	if (!card->fw)
		goto err_config;
	return 0;

err_config:
	pci_iounmap(pdev, card->config);
err_rest:
	hailo_rest_release(card);
	return r;
}

static void hailo_unmap_registers(struct hailo_card *card)
{
	pci_iounmap(card->pdev, card->fw);
	pci_iounmap(card->pdev, card->config);
	hailo_rest_release(card);
}

static struct hailo_card *hailo_card_new(struct pci_dev *pdev)
{
	struct hailo_card *card = kzalloc(sizeof(*card), GFP_KERNEL);

	if (!card)
		return NULL;
	card->number = ida_alloc(&hailo_numbers, GFP_KERNEL);
	if (card->number < 0) {
		kfree(card);
		return NULL;
	}
	kref_init(&card->ref);
	mutex_init(&card->lock);
	card->pdev = pdev;
	snprintf(card->name, sizeof(card->name), "hailo_uio%d", card->number);
	card->misc = (struct miscdevice){
		.minor = MISC_DYNAMIC_MINOR,
		.name = card->name,
		.fops = &hailo_fops,
		.parent = &pdev->dev,
		.groups = hailo_groups,
	};
	return card;
}

/*
 * The link state that the vendor's driver switches off as well; L1 stays.  Where the firmware keeps
 * ASPM to itself the kernel leaves it on.
 */
static void hailo_l0s_off(struct pci_dev *pdev)
{
	struct pci_dev *port = pci_upstream_bridge(pdev);
	u16 link = 0;

	pci_disable_link_state(pdev, PCIE_LINK_STATE_L0S);
	pcie_capability_read_word(pdev, PCI_EXP_LNKCTL, &link);
	if (link == U16_MAX || !(link & PCI_EXP_LNKCTL_ASPM_L0S))
		return;
	pcie_capability_clear_word(pdev, PCI_EXP_LNKCTL, PCI_EXP_LNKCTL_ASPM_L0S);
	if (port)
		pcie_capability_clear_word(port, PCI_EXP_LNKCTL, PCI_EXP_LNKCTL_ASPM_L0S);
}

static int hailo_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct hailo_card *card = hailo_card_new(pdev);
	int r;

	if (!card)
		return -ENOMEM;
	r = pci_enable_device_mem(pdev);
	if (r)
		goto err_card;
	r = pci_request_regions(pdev, card->name);
	if (r)
		goto err_disable;
	r = hailo_map_registers(card);
	if (r)
		goto err_regions;
	r = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (r)
		r = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(32));
	if (r)
		goto err_registers;
	hailo_l0s_off(pdev);
	/* Whatever had it before: nothing of that may still run. */
	hailo_stop(card);
	pci_set_drvdata(pdev, card);
	r = misc_register(&card->misc);
	if (r)
		goto err_registers;
	pci_info(pdev, "/dev/%s\n", card->name);
	return 0;

err_registers:
	hailo_unmap_registers(card);
err_regions:
	pci_release_regions(pdev);
err_disable:
	pci_disable_device(pdev);
err_card:
	ida_free(&hailo_numbers, card->number);
	hailo_card_put(card);
	return r;
}

static void hailo_remove(struct pci_dev *pdev)
{
	struct hailo_card *card = pci_get_drvdata(pdev);

	misc_deregister(&card->misc);
	ida_free(&hailo_numbers, card->number);
	mutex_lock(&card->lock);
	card->gone = true;
	mutex_unlock(&card->lock);
	hailo_revoke(card);
	hailo_unmap_registers(card);
	pci_release_regions(pdev);
	pci_disable_device(pdev);
	hailo_card_put(card);
}

/* Before a reboot or kexec: the next kernel has other things where the DMA memory was. */
static void hailo_shutdown(struct pci_dev *pdev)
{
	hailo_revoke(pci_get_drvdata(pdev));
}

static int hailo_suspend(struct device *dev)
{
	hailo_revoke(dev_get_drvdata(dev));
	return 0;
}

/* The PCI core has restored configuration space; who opens the card next starts from nothing. */
static int hailo_resume(struct device *dev)
{
	return 0;
}

/*
 * The core saves configuration space next and puts it back when the reset is over, perhaps after
 * the user has gone: what it saves has bus mastering off.  Without the card's lock, since our own
 * ioctl for it has that.
 */
static void hailo_reset_prepare(struct pci_dev *pdev)
{
	pci_clear_master(pdev);
}

static const struct pci_error_handlers hailo_errors = {
	.reset_prepare = hailo_reset_prepare,
};

static DEFINE_SIMPLE_DEV_PM_OPS(hailo_pm, hailo_suspend, hailo_resume);

static const struct pci_device_id hailo_ids[] = {
	{ PCI_DEVICE(HAILO_VENDOR, HAILO_DEVICE) },
	{}
};
MODULE_DEVICE_TABLE(pci, hailo_ids);

static struct pci_driver hailo_driver = {
	.name = KBUILD_MODNAME,
	.id_table = hailo_ids,
	.probe = hailo_probe,
	.remove = hailo_remove,
	.shutdown = hailo_shutdown,
	.err_handler = &hailo_errors,
	.driver.pm = pm_sleep_ptr(&hailo_pm),
};
module_pci_driver(hailo_driver);

MODULE_DESCRIPTION("Hailo-8 registers, interrupts and DMA memory for a driver in user space");
MODULE_AUTHOR("hailo-inference");
MODULE_LICENSE("GPL");
