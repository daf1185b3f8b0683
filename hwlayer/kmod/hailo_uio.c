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
#include <linux/bits.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/interrupt.h>
#include <linux/iopoll.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/poll.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/sysfs.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include "hailo_uio.h"

#define HAILO_VENDOR 0x1e60
#define HAILO_DEVICE 0x2864

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

/* Regions of the file: BARs have their number, areas of DMA memory come behind them. */
#define HAILO_REGION_SHIFT 32
#define HAILO_AREAS XA_LIMIT(8, 4095)
#define HAILO_LIST_ALIGN SZ_64K

static unsigned int dma_limit = 256;
module_param(dma_limit, uint, 0644);
MODULE_PARM_DESC(dma_limit, "MiB of DMA memory that the user of a card may allocate (default 256)");

static bool msi = true;
module_param(msi, bool, 0644);
MODULE_PARM_DESC(msi, "use MSI where it is to be had (default), else INTx only");

static DEFINE_IDA(hailo_numbers);

struct hailo_session;

struct hailo_card {
	struct kref ref;
	struct pci_dev *pdev;
	struct miscdevice misc;
	char name[24];
	int number;
	void __iomem *config; /* BAR0 */
	void __iomem *fw;     /* BAR4 */
	struct resource rest[6]; /* of the pages that BARs smaller than a page lie in */
	/* Guards all below, and that @pdev is bound for as long as there is a session. */
	struct mutex lock;
	bool gone;
	struct hailo_session *session;
};

/* The session has one reference to it, each mapping one; its memory goes with the session's. */
struct hailo_area {
	struct kref ref;
	bool cached;
	size_t size;
	dma_addr_t bus;
	void *virt;
	struct page *page; /* when @cached */
};

/* One open file, until it is closed or its card is taken away. */
struct hailo_session {
	struct kref ref;
	struct hailo_card *card;
	bool live; /* written under the card's lock */
	struct pid *owner;
	struct mm_struct *mm; /* who may map: revoking waits for its mmap() calls */
	struct inode *inode;
	struct address_space *mapping;
	struct xarray areas;
	size_t dma_bytes;
	wait_queue_head_t wait;
	atomic64_t interrupts;
	bool irq_on, irq_msi;
	bool intx_masked;
	/* What revoked mappings show: a page for each BAR, one for all DMA memory. */
	struct page *dead[4];
};

#define HAILO_DEAD_DMA 3

static void hailo_card_free(struct kref *ref)
{
	struct hailo_card *card = container_of(ref, struct hailo_card, ref);

	mutex_destroy(&card->lock);
	kfree(card);
}

static void hailo_session_free(struct kref *ref)
{
	struct hailo_session *s = container_of(ref, struct hailo_session, ref);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(s->dead); i++)
		if (s->dead[i])
			__free_page(s->dead[i]);
	xa_destroy(&s->areas);
	iput(s->inode);
	mmdrop(s->mm);
	put_pid(s->owner);
	kref_put(&s->card->ref, hailo_card_free);
	kfree(s);
}

/* ---------------------------------------------------------------- the card */

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

static void hailo_set_master(struct hailo_card *card, bool on)
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

/* No DMA any more when this returns.  Whoever stopped in order has switched bus mastering off. */
static void hailo_stop(struct hailo_card *card)
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

/* The user waits for the next one, so it has served the last one. */
static void hailo_intx_unmask(struct hailo_session *s)
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

static void hailo_irq_off(struct hailo_session *s)
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

static int hailo_irq_on(struct hailo_session *s)
{
	struct pci_dev *pdev = s->card->pdev;
	unsigned int types = PCI_IRQ_ALL_TYPES & ~PCI_IRQ_MSIX;
	int r;

	if (s->irq_on)
		return 0;
	if (!msi)
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

/* -------------------------------------------------------------- DMA memory */

static void hailo_area_release(struct kref *ref)
{
	kfree(container_of(ref, struct hailo_area, ref));
}

static void hailo_area_put(struct hailo_area *a)
{
	kref_put(&a->ref, hailo_area_release);
}

static void hailo_area_free(struct hailo_session *s, struct hailo_area *a)
{
	struct device *dev = &s->card->pdev->dev;

	if (a->cached)
		dma_free_pages(dev, a->size, a->page, a->bus, DMA_BIDIRECTIONAL);
	else
		dma_free_attrs(dev, a->size, a->virt, a->bus, DMA_ATTR_FORCE_CONTIGUOUS);
	s->dma_bytes -= a->size;
	hailo_area_put(a);
}

/* The card was stopped, and nothing is mapped. */
static void hailo_areas_free(struct hailo_session *s)
{
	struct hailo_area *a;
	unsigned long id;

	xa_for_each(&s->areas, id, a) {
		xa_erase(&s->areas, id);
		hailo_area_free(s, a);
	}
}

static int hailo_area_memory(struct device *dev, struct hailo_area *a)
{
	gfp_t gfp = GFP_KERNEL | __GFP_NOWARN;

	if (a->cached) {
		a->page = dma_alloc_pages(dev, a->size, &a->bus, DMA_BIDIRECTIONAL, gfp);
		if (!a->page)
			return -ENOMEM;
		memset(page_address(a->page), 0, a->size);
		dma_sync_single_for_device(dev, a->bus, a->size, DMA_BIDIRECTIONAL);
		return 0;
	}
	/* Zeroed by the API.  Contiguous: with an IOMMU too it is mapped as one range of frames. */
	a->virt = dma_alloc_attrs(dev, a->size, &a->bus, gfp, DMA_ATTR_FORCE_CONTIGUOUS);
	return a->virt ? 0 : -ENOMEM;
}

static u64 hailo_dma_limit(void)
{
	return (u64)READ_ONCE(dma_limit) * SZ_1M;
}

static int hailo_dma_alloc(struct hailo_session *s, struct hailo_uio_dma *q)
{
	struct device *dev = &s->card->pdev->dev;
	u64 room = hailo_dma_limit(), align;
	struct hailo_area *a;
	u32 id;
	int r;

	if (!q->size || (q->flags & ~HAILO_UIO_CACHED))
		return -EINVAL;
	room -= min_t(u64, room, s->dma_bytes); /* the limit may have been lowered meanwhile */
	if (q->size > room || PAGE_ALIGN(q->size) > room)
		return -EDQUOT;
	a = kzalloc(sizeof(*a), GFP_KERNEL);
	if (!a)
		return -ENOMEM;
	kref_init(&a->ref);
	a->cached = q->flags & HAILO_UIO_CACHED;
	a->size = PAGE_ALIGN(q->size);
	r = hailo_area_memory(dev, a);
	if (r)
		goto err_free;
	s->dma_bytes += a->size;
	align = a->size < HAILO_LIST_ALIGN ? roundup_pow_of_two(a->size) : HAILO_LIST_ALIGN;
	r = -EIO;
	if (a->bus & (align - 1)) {
		pci_err(s->card->pdev, "DMA memory at %pad is not aligned to %llu bytes\n", &a->bus,
			align);
		goto err_memory;
	}
	r = xa_alloc(&s->areas, &id, a, HAILO_AREAS, GFP_KERNEL);
	if (r) {
		r = r == -EBUSY ? -EDQUOT : r;
		goto err_memory;
	}
	q->size = a->size;
	if (dma_need_sync(dev, a->bus))
		q->flags |= a->cached ? HAILO_UIO_NEEDS_SYNC : HAILO_UIO_UNCACHED;
	q->id = id;
	q->bus = a->bus;
	q->offset = HAILO_UIO_REGION(id);
	return 0;

err_memory:
	hailo_area_free(s, a);
	return r;
err_free:
	hailo_area_put(a);
	return r;
}

static int hailo_dma_free(struct hailo_session *s, u32 id)
{
	struct hailo_area *a = xa_load(&s->areas, id);

	if (!a)
		return -ENOENT;
	/* Only mmap(), which takes the lock, makes the first mapping. */
	if (kref_read(&a->ref) > 1)
		return -EBUSY;
	xa_erase(&s->areas, id);
	hailo_area_free(s, a);
	return 0;
}

static int hailo_dma_sync(struct hailo_session *s, const struct hailo_uio_sync *q)
{
	struct device *dev = &s->card->pdev->dev;
	struct hailo_area *a = xa_load(&s->areas, q->id);

	if (!a)
		return -ENOENT;
	if (q->offset > a->size || q->size > a->size - q->offset)
		return -EINVAL;
	if (q->direction != HAILO_UIO_FOR_DEVICE && q->direction != HAILO_UIO_FOR_CPU)
		return -EINVAL;
	if (!a->cached || !q->size)
		return 0;
	if (q->direction == HAILO_UIO_FOR_DEVICE)
		dma_sync_single_for_device(dev, a->bus + q->offset, q->size, DMA_BIDIRECTIONAL);
	else
		dma_sync_single_for_cpu(dev, a->bus + q->offset, q->size, DMA_BIDIRECTIONAL);
	return 0;
}

/* ---------------------------------------------------------------- mappings */

static unsigned long hailo_region(const struct vm_area_struct *vma)
{
	return vma->vm_pgoff >> (HAILO_REGION_SHIFT - PAGE_SHIFT);
}

static void hailo_vma_open(struct vm_area_struct *vma)
{
	struct hailo_area *a = vma->vm_private_data;

	if (a)
		kref_get(&a->ref);
}

static void hailo_vma_close(struct vm_area_struct *vma)
{
	struct hailo_area *a = vma->vm_private_data;

	if (a)
		hailo_area_put(a);
}

/* Everything is mapped at once, so a fault means that it was taken away. */
static vm_fault_t hailo_vma_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct hailo_session *s = vma->vm_file->private_data;
	struct page *page = s->dead[vma->vm_private_data ? HAILO_DEAD_DMA : hailo_region(vma) / 2];

	if (READ_ONCE(s->live))
		return VM_FAULT_SIGBUS;
	return vmf_insert_pfn_prot(vma, vmf->address, page_to_pfn(page),
				   vm_get_page_prot(vma->vm_flags));
}

static const struct vm_operations_struct hailo_vm_ops = {
	.open = hailo_vma_open,
	.close = hailo_vma_close,
	.fault = hailo_vma_fault,
};

static bool hailo_bar_exists(unsigned long bar)
{
	return bar == 0 || bar == 2 || bar == 4;
}

static int hailo_map_bar(struct hailo_session *s, struct vm_area_struct *vma, unsigned long bar)
{
	struct pci_dev *pdev = s->card->pdev;

	vma->vm_page_prot = pgprot_noncached(vma->vm_page_prot);
	return vm_iomap_memory(vma, pci_resource_start(pdev, bar), pci_resource_len(pdev, bar));
}

static int hailo_map_area(struct hailo_session *s, struct vm_area_struct *vma, unsigned long id)
{
	struct device *dev = &s->card->pdev->dev;
	struct hailo_area *a = xa_load(&s->areas, id);
	int r;

	if (!a)
		return -ENXIO;
	if (a->cached)
		r = dma_mmap_pages(dev, vma, a->size, a->page);
	else
		r = dma_mmap_attrs(dev, vma, a->virt, a->bus, a->size, DMA_ATTR_FORCE_CONTIGUOUS);
	if (r)
		return r;
	kref_get(&a->ref);
	vma->vm_private_data = a;
	return 0;
}

static int hailo_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct hailo_session *s = file->private_data;
	unsigned long region = hailo_region(vma), pgoff = vma->vm_pgoff;
	int r = -ENODEV;

	if (vma->vm_mm != s->mm)
		return -EACCES;
	/* From its start: the functions below take for an offset what is a region's number here. */
	if (!(vma->vm_flags & VM_SHARED) || pgoff != region << (HAILO_REGION_SHIFT - PAGE_SHIFT))
		return -EINVAL;
	vma->vm_pgoff = 0;
	vma->vm_ops = &hailo_vm_ops;
	mutex_lock(&s->card->lock);
	if (s->live)
		r = hailo_bar_exists(region) ? hailo_map_bar(s, vma, region)
					     : hailo_map_area(s, vma, region);
	mutex_unlock(&s->card->lock);
	vma->vm_pgoff = pgoff;
	return r;
}

/* ------------------------------------------------------- the user's session */

/*
 * Take the card away from its user: it goes, or it is about to lose power.  The card is bound.
 * When this returns the user's mappings lead to pages of no meaning, and its DMA memory is freed.
 */
static void hailo_revoke(struct hailo_card *card)
{
	struct hailo_session *s;

	mutex_lock(&card->lock);
	s = card->session;
	if (!s) {
		hailo_stop(card);
		mutex_unlock(&card->lock);
		return;
	}
	kref_get(&s->ref);
	WRITE_ONCE(s->live, false);
	mutex_unlock(&card->lock);

	/*
	 * First the registers: a user that goes on serving interrupts would take the firmware's
	 * acknowledge for its own.  An mmap() that still found the session alive has its mapping in
	 * the tree when it drops this lock.
	 */
	mmap_read_lock(s->mm);
	mmap_read_unlock(s->mm);
	unmap_mapping_range(s->mapping, 0, 0, 1);

	mutex_lock(&card->lock);
	hailo_stop(card);
	hailo_irq_off(s);
	hailo_areas_free(s);
	card->session = NULL;
	mutex_unlock(&card->lock);
	wake_up_interruptible(&s->wait);
	kref_put(&s->ref, hailo_session_free);
}

static struct hailo_session *hailo_session_new(struct hailo_card *card, struct file *file)
{
	struct hailo_session *s = kzalloc(sizeof(*s), GFP_KERNEL);
	unsigned int i;

	if (!s)
		return NULL;
	kref_init(&s->ref);
	kref_get(&card->ref);
	s->card = card;
	s->owner = get_pid(task_tgid(current));
	s->mm = current->mm;
	mmgrab(s->mm);
	s->inode = file_inode(file);
	ihold(s->inode);
	s->mapping = file->f_mapping;
	xa_init_flags(&s->areas, XA_FLAGS_ALLOC);
	init_waitqueue_head(&s->wait);
	for (i = 0; i < ARRAY_SIZE(s->dead); i++) {
		s->dead[i] = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!s->dead[i]) {
			kref_put(&s->ref, hailo_session_free);
			return NULL;
		}
		if (i != HAILO_DEAD_DMA)
			memset(page_address(s->dead[i]), 0xff, PAGE_SIZE);
	}
	return s;
}

static int hailo_open(struct inode *inode, struct file *file)
{
	struct hailo_card *card = container_of(file->private_data, struct hailo_card, misc);
	struct hailo_session *s;
	int r = 0;

	if (!current->mm)
		return -EINVAL;
	s = hailo_session_new(card, file);
	if (!s)
		return -ENOMEM;
	mutex_lock(&card->lock);
	if (card->gone) {
		r = -ENODEV;
	} else if (card->session) {
		r = -EBUSY;
	} else {
		hailo_set_master(card, false);
		s->live = true;
		card->session = s;
		file->private_data = s;
	}
	mutex_unlock(&card->lock);
	if (r) {
		kref_put(&s->ref, hailo_session_free);
		return r;
	}
	return stream_open(inode, file);
}

/* The last descriptor and the last mapping are gone: the end of a process comes here too. */
static int hailo_release(struct inode *inode, struct file *file)
{
	struct hailo_session *s = file->private_data;
	struct hailo_card *card = s->card;

	mutex_lock(&card->lock);
	if (s->live) {
		s->live = false;
		hailo_stop(card);
		hailo_irq_off(s);
		hailo_areas_free(s);
		card->session = NULL;
	}
	mutex_unlock(&card->lock);
	kref_put(&s->ref, hailo_session_free);
	return 0;
}

static ssize_t hailo_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	struct hailo_session *s = file->private_data;
	u64 n;
	int r;

	if (len < sizeof(n))
		return -EINVAL;
	while (READ_ONCE(s->live)) {
		n = atomic64_xchg(&s->interrupts, 0);
		if (n)
			return copy_to_user(buf, &n, sizeof(n)) ? -EFAULT : sizeof(n);
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		hailo_intx_unmask(s);
		r = wait_event_interruptible(s->wait,
					     atomic64_read(&s->interrupts) || !READ_ONCE(s->live));
		if (r)
			return r;
	}
	return -ENODEV;
}

static ssize_t hailo_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	struct hailo_session *s = file->private_data;
	u64 n;

	if (len < sizeof(n))
		return -EINVAL;
	if (copy_from_user(&n, buf, sizeof(n)))
		return -EFAULT;
	if (n > U32_MAX)
		return -EINVAL;
	if (!READ_ONCE(s->live))
		return -ENODEV;
	atomic64_add(n, &s->interrupts);
	wake_up_interruptible(&s->wait);
	return sizeof(n);
}

static __poll_t hailo_poll(struct file *file, poll_table *wait)
{
	struct hailo_session *s = file->private_data;

	poll_wait(file, &s->wait, wait);
	if (!atomic64_read(&s->interrupts))
		hailo_intx_unmask(s);
	if (!READ_ONCE(s->live))
		return EPOLLIN | EPOLLRDNORM | EPOLLERR | EPOLLHUP;
	return EPOLLOUT | EPOLLWRNORM |
	       (atomic64_read(&s->interrupts) ? EPOLLIN | EPOLLRDNORM : 0);
}

static void hailo_info(struct hailo_session *s, struct hailo_uio_info *q)
{
	struct pci_dev *pdev = s->card->pdev;
	unsigned int bar;

	*q = (struct hailo_uio_info){
		.version = HAILO_UIO_VERSION,
		.dma_limit = hailo_dma_limit(),
		.dma_bytes = s->dma_bytes,
	};
	if (s->irq_on)
		q->flags |= s->irq_msi ? HAILO_UIO_MSI : HAILO_UIO_INTX;
	if (pdev->reset_methods[0])
		q->flags |= HAILO_UIO_RESETTABLE;
	for (bar = 0; bar < ARRAY_SIZE(q->bar_size); bar++)
		if (hailo_bar_exists(bar))
			q->bar_size[bar] = pci_resource_len(pdev, bar);
}

static void hailo_config(struct hailo_session *s, struct hailo_uio_config *q)
{
	unsigned int i;

	for (i = 0; i < sizeof(q->bytes); i++)
		pci_read_config_byte(s->card->pdev, i, &q->bytes[i]);
}

/* Whatever an ioctl takes or gives. */
union hailo_argument {
	struct hailo_uio_info info;
	struct hailo_uio_config config;
	struct hailo_uio_dma dma;
	struct hailo_uio_sync sync;
	__u32 word;
};

static int hailo_command(struct hailo_session *s, unsigned int cmd, union hailo_argument *arg)
{
	switch (cmd) {
	case HAILO_UIO_INFO:
		hailo_info(s, &arg->info);
		return 0;
	case HAILO_UIO_CONFIG:
		hailo_config(s, &arg->config);
		return 0;
	case HAILO_UIO_DMA_ALLOC:
		return hailo_dma_alloc(s, &arg->dma);
	case HAILO_UIO_DMA_FREE:
		return hailo_dma_free(s, arg->word);
	case HAILO_UIO_DMA_SYNC:
		return hailo_dma_sync(s, &arg->sync);
	case HAILO_UIO_IRQ:
		if (arg->word > 1)
			return -EINVAL;
		if (arg->word)
			return hailo_irq_on(s);
		hailo_irq_off(s);
		return 0;
	case HAILO_UIO_BUS_MASTER:
		if (arg->word > 1)
			return -EINVAL;
		hailo_set_master(s->card, arg->word);
		return 0;
	case HAILO_UIO_RESET:
		/* Not the waiting kind: who unbinds the card holds its lock and waits for ours. */
		return pci_try_reset_function(s->card->pdev);
	default:
		return -ENOTTY;
	}
}

static long hailo_ioctl(struct file *file, unsigned int cmd, unsigned long user)
{
	struct hailo_session *s = file->private_data;
	unsigned int size = _IOC_SIZE(cmd);
	union hailo_argument arg = {};
	int r = -ENODEV;

	if (size > sizeof(arg))
		return -ENOTTY;
	if ((_IOC_DIR(cmd) & _IOC_WRITE) && copy_from_user(&arg, (void __user *)user, size))
		return -EFAULT;
	mutex_lock(&s->card->lock);
	if (s->live)
		r = hailo_command(s, cmd, &arg);
	mutex_unlock(&s->card->lock);
	if (r == 0 && (_IOC_DIR(cmd) & _IOC_READ) && copy_to_user((void __user *)user, &arg, size))
		return -EFAULT;
	return r;
}

static const struct file_operations hailo_fops = {
	.owner = THIS_MODULE,
	.open = hailo_open,
	.release = hailo_release,
	.read = hailo_read,
	.write = hailo_write,
	.poll = hailo_poll,
	.unlocked_ioctl = hailo_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = hailo_mmap,
	.llseek = noop_llseek,
};

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
	if (pci_resource_len(pdev, 0) < HAILO_WINDOW0 + 4 ||
	    pci_resource_len(pdev, 4) < HAILO_DOORBELL + 4) {
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
	/* The link state that the vendor's driver switches off as well; L1 stays. */
	pci_disable_link_state(pdev, PCIE_LINK_STATE_L0S);
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
	kref_put(&card->ref, hailo_card_free);
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
	kref_put(&card->ref, hailo_card_free);
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
	.driver.pm = pm_sleep_ptr(&hailo_pm),
};
module_pci_driver(hailo_driver);

MODULE_DESCRIPTION("Hailo-8 registers, interrupts and DMA memory for a driver in user space");
MODULE_AUTHOR("hailo-inference");
MODULE_LICENSE("GPL");
