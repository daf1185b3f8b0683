// SPDX-License-Identifier: GPL-2.0
/* DMA memory, and what a user has mapped of the card. */
#include <linux/dma-mapping.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "internal.h"

/* Regions of the file: BARs have their number, areas of DMA memory come behind them. */
#define HAILO_REGION_SHIFT 32
#define HAILO_AREAS XA_LIMIT(8, 4095)
#define HAILO_LIST_ALIGN SZ_64K

/* The session has one reference to it, each mapping one; its memory goes with the session's. */
struct hailo_area {
	struct kref ref;
	bool cached;
	size_t size;
	dma_addr_t bus;
	void *virt;
	struct page *page; /* when @cached */
};

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

void hailo_areas_free(struct hailo_session *s)
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

int hailo_dma_alloc(struct hailo_session *s, struct hailo_uio_dma *q)
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

int hailo_dma_free(struct hailo_session *s, u32 id)
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

int hailo_dma_sync(struct hailo_session *s, const struct hailo_uio_sync *q)
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

bool hailo_bar_exists(unsigned long bar)
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

int hailo_mmap(struct file *file, struct vm_area_struct *vma)
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
