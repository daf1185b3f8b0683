// SPDX-License-Identifier: MIT
/*
 * VFIO's no-IOMMU mode: the card as through a group, but descriptors hold physical addresses, and
 * nothing keeps the chip away from other memory.  Only on the user's explicit word (vfio.c).
 */
#include "backend/busaddr.h"
#include "backend/hugepages.h"
#include "backend/vfio.h"

#include <linux/vfio.h>

static void noiommu_close(struct vfio *v)
{
	vfio_group_close(v);
	/* Last: the kernel has ended the chip's bus mastering with the device's descriptor. */
	hugepages_close(v->huge);
	v->huge = NULL;
}

static int noiommu_open(struct vfio *v, struct hw_error *err)
{
	int r = busaddr_check(v->k->sysfs, v->be.bdf, BUSADDR_PC, err);

	if (r < 0)
		return r;
	r = hugepages_open(v->k, &v->huge, err);
	if (r < 0)
		return r;
	r = vfio_group_open(v, "noiommu-", VFIO_NOIOMMU_IOMMU, err);
	if (r < 0)
		noiommu_close(v);
	return r;
}

static int noiommu_dma_alloc(struct backend *be, size_t size, size_t align, struct backend_dma *out)
{
	struct vfio *v = to_vfio(be);
	int r = hugepages_alloc(v->huge, size, align, out, be->dma_why, sizeof(be->dma_why));

	if (r < 0)
		return r;
	v->dma_bytes += out->size;
	v->dma_areas++;
	return 0;
}

static void noiommu_dma_free(struct backend *be, struct backend_dma *mem)
{
	struct vfio *v = to_vfio(be);

	v->dma_bytes -= mem->size;
	v->dma_areas--;
	hugepages_free(v->huge, mem);
}

const struct vfio_way vfio_noiommu_way = {
	.open = noiommu_open,
	.close = noiommu_close,
	.dma_alloc = noiommu_dma_alloc,
	.dma_free = noiommu_dma_free,
};
