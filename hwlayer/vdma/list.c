// SPDX-License-Identifier: MIT
/* Descriptor lists in DMA memory (pcie 7.4). */
#include "vdma/vdma.h"

#include <errno.h>

int vdma_list_create(struct backend *be, uint32_t count, uint32_t page, bool circular,
		     struct vdma_list *out, struct hw_error *err)
{
	struct vdma_list list = {.count = count, .page = page, .circular = circular};
	int r;

	if (count < 2 || count > CHIP_LIST_MAX || (circular && (count & (count - 1))))
		return hw_fail(err, -EINVAL, "a descriptor list cannot have %u entries", count);
	if (page < CHIP_PAGE_MIN || page > CHIP_PAGE_MAX || (page & (page - 1)))
		return hw_fail(err, -EINVAL, "a descriptor page cannot have %u bytes", page);
	r = backend_dma_alloc(be, align_up((uint64_t)count * CHIP_DESC_SIZE, CHIP_LIST_ALIGN),
			      CHIP_LIST_ALIGN, &list.mem);
	if (r < 0)
		return hw_fail(err, r, "no DMA memory for a list of %u descriptors: %s", count,
			       backend_dma_why(be, r));
	/* The channel's register has no bits 15:0: a ring off that boundary would be rounded down. */
	if (list.mem.bus % CHIP_LIST_ALIGN) {
		r = hw_fail(err, -EIO, "the descriptor list at bus address 0x%llx is not 64 KiB aligned",
			    (unsigned long long)list.mem.bus);
		backend_dma_free(be, &list.mem);
		return r;
	}
	*out = list;
	observe(be, list, list.mem.bus, count, page, circular);
	return 0;
}

void vdma_list_destroy(struct backend *be, struct vdma_list *list)
{
	if (list->mem.virt)
		observe(be, list_release, list->mem.bus);
	backend_dma_free(be, &list->mem);
	*list = (struct vdma_list){0};
}
