// SPDX-License-Identifier: MIT
/* DMA memory behind an IOMMU: ordinary memory, pinned by the kernel, at addresses of our choice. */
#include "backend/vfio.h"
#include "chip/regs.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

/*
 * Where addresses begin if the IOMMU has them: where a Hailo was seen to work (hardware-evidence
 * 1), and such that an address that lost its upper half leads nowhere.
 */
#define PREFERRED 0x1000000000ull

int vfio_dma_open(struct vfio *v, const struct iova_range *ranges, size_t count, uint64_t granule,
		  struct hw_error *err)
{
	uint64_t page = kernel_page(v->k);
	int r;

	if (granule < page)
		granule = page;
	r = iova_init(&v->iova, ranges, count, granule, CHIP_DMA_LAST, PREFERRED);
	if (r < 0)
		return hw_fail(err, r, "%s: the IOMMU leaves no addresses for DMA: %s", v->be.bdf,
			       strerror(-r));
	return 0;
}

/* Memory whose address is a multiple of the granule, as VFIO wants it. */
static int get_memory(struct vfio *v, size_t size, void **virt)
{
	size_t granule = v->iova.granule, spare = granule - kernel_page(v->k), lead;
	uint8_t *p = NULL, *at;
	int r = v->k->mmap((void **)&p, size + spare, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (r < 0)
		return r;
	at = (uint8_t *)(uintptr_t)align_up((uintptr_t)p, granule);
	lead = (size_t)(at - p);
	if (lead)
		v->k->munmap(p, lead);
	if (spare > lead)
		v->k->munmap(at + size, spare - lead);
	/* A child has no use for it, and copying on write could part us from what the chip sees. */
	if (madvise(at, size, MADV_DONTFORK) < 0)
		hw_log(HW_LOG_DEBUG, "%s: DMA memory: MADV_DONTFORK: %s", v->be.bdf, strerror(errno));
	*virt = at;
	return 0;
}

/* The kernel says ENOMEM for both; only the limit is something that people can raise. */
static void say_why(struct vfio *v, int code, size_t size)
{
	size_t need = v->dma_bytes + size;
	struct rlimit limit;

	if (code != -ENOMEM) {
		snprintf(v->be.dma_why, sizeof(v->be.dma_why), "the IOMMU does not take it: %s",
			 strerror(-code));
		return;
	}
	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY) {
		snprintf(v->be.dma_why, sizeof(v->be.dma_why),
			 "no memory is left that can be locked (%zu bytes in all)", need);
		return;
	}
	snprintf(v->be.dma_why, sizeof(v->be.dma_why),
		 "%zu KiB of locked memory are needed so far, RLIMIT_MEMLOCK allows %llu; raise it: "
		 "LimitMEMLOCK=infinity in the systemd unit, or \"@hailo - memlock unlimited\" in a file in "
		 "/etc/security/limits.d and log in again (hwctl doctor --model FILE: how much in all)",
		 ceil_div(need, 1024), (unsigned long long)limit.rlim_cur / 1024);
}

int vfio_dma_alloc(struct backend *be, size_t size, size_t align, struct backend_dma *out)
{
	struct vfio *v = to_vfio(be);
	uint64_t bus;
	void *virt;
	int r;

	if (size > SIZE_MAX / 2)
		return -ENOMEM;
	size = align_up(size, v->iova.granule);
	r = iova_alloc(&v->iova, size, align, &bus);
	if (r < 0) {
		snprintf(be->dma_why, sizeof(be->dma_why), "no bus addresses are left for it");
		return r == -ENOSPC ? -ENOMEM : r;
	}
	r = get_memory(v, size, &virt);
	if (r < 0)
		goto err_bus;
	r = v->way->map(v, virt, bus, size);
	if (r < 0) {
		say_why(v, r, size);
		goto err_memory;
	}
	v->dma_bytes += size;
	v->dma_areas++;
	*out = (struct backend_dma){.virt = virt, .bus = bus, .size = size};
	return 0;
err_memory:
	v->k->munmap(virt, size);
err_bus:
	iova_free(&v->iova, bus, size);
	return r;
}

void vfio_dma_free(struct backend *be, struct backend_dma *mem)
{
	struct vfio *v = to_vfio(be);
	int r = v->way->unmap(v, mem->bus, mem->size);

	v->dma_bytes -= mem->size;
	v->dma_areas--;
	if (r < 0) {
		/* The chip may still reach it: neither the memory nor its address is used again. */
		hw_log(HW_LOG_ERROR, "%s: %zu bytes of DMA memory at 0x%llx cannot be unmapped and stay: %s",
		       be->bdf, mem->size, (unsigned long long)mem->bus, strerror(-r));
		return;
	}
	v->k->munmap(mem->virt, mem->size);
	iova_free(&v->iova, mem->bus, mem->size);
}
