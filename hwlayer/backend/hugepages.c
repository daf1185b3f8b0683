// SPDX-License-Identifier: MIT
#include "backend/hugepages.h"
#include "backend/iova.h"
#include "chip/regs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define GRANULE 4096u
#define PAGES_MAX 512 /* 1 GiB of the usual ones: somebody else may want some */

#define PAGEMAP_PRESENT (1ull << 63)
#define PAGEMAP_FRAME ((1ull << 55) - 1)

/* One huge page: a file of its own, so that it can be mapped wherever its neighbours are. */
struct page {
	uint64_t phys;
	int fd;
};

struct hugepages {
	const struct kernel *k;
	size_t size; /* of one */
	struct iova space; /* of physical addresses */
	struct page *pages;
	size_t count;
};

/* "Hugepagesize:    2048 kB" */
static size_t page_size(const struct kernel *k)
{
	char path[64], line[128];
	unsigned long kib = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/meminfo", k->proc);
	f = fopen(path, "re");
	while (f && !kib && fgets(line, sizeof(line), f))
		if (sscanf(line, "Hugepagesize: %lu kB", &kib) != 1)
			kib = 0;
	if (f)
		fclose(f);
	return kib * 1024;
}

/* Where a page in memory lies; -EPERM: Linux tells that to root (CAP_SYS_ADMIN) only. */
static int find_phys(const struct kernel *k, const void *virt, uint64_t *phys)
{
	uint64_t page = kernel_page(k), entry;
	char path[64];
	int fd, r;

	snprintf(path, sizeof(path), "%s/self/pagemap", k->proc);
	fd = k->open(path, O_RDONLY);
	if (fd < 0)
		return fd;
	r = k->pread(fd, &entry, sizeof(entry), (off_t)((uintptr_t)virt / page * sizeof(entry)));
	k->close(fd);
	if (r < 0)
		return r;
	if (!(entry & PAGEMAP_PRESENT))
		return -ENOMEM;
	*phys = (entry & PAGEMAP_FRAME) * page;
	return *phys ? 0 : -EPERM;
}

/* One more huge page; -ENOMEM: there is none free. */
static int add_page(struct hugepages *h)
{
	struct page page = {.fd = -1};
	void *virt = NULL;
	int r;

	if (h->count == PAGES_MAX)
		return -ENOMEM;
	page.fd = h->k->memfd("hailo-dma", MFD_HUGETLB, h->size);
	if (page.fd < 0)
		return page.fd;
	r = h->k->mmap(&virt, h->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, page.fd, 0);
	if (r < 0)
		goto err_fd;
	r = find_phys(h->k, virt, &page.phys);
	h->k->munmap(virt, h->size);
	if (r < 0)
		goto err_fd;
	if (page.phys % h->size) {
		r = -EIO;
		goto err_fd;
	}
	r = iova_add(&h->space, page.phys, h->size);
	if (r < 0)
		goto err_fd;
	h->pages[h->count++] = page;
	return 0;
err_fd:
	h->k->close(page.fd);
	return r;
}

int hugepages_open(const struct kernel *k, struct hugepages **out, struct hw_error *err)
{
	struct hugepages *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return hw_fail(err, -ENOMEM, "no memory for a device");
	h->k = k;
	h->size = page_size(k);
	h->pages = calloc(PAGES_MAX, sizeof(*h->pages));
	h->space.granule = GRANULE;
	if (!h->pages)
		r = hw_fail(err, -ENOMEM, "no memory for a device");
	else if (!h->size)
		r = hw_fail(err, -ENOTSUP, "this kernel has no huge pages, which DMA memory without an IOMMU "
					   "needs");
	else
		r = add_page(h);
	if (r == 0) {
		*out = h;
		return 0;
	}
	if (r == -EPERM || r == -EACCES)
		hw_fail(err, r, "physical addresses, which DMA without an IOMMU needs, are told to root "
				"(CAP_SYS_ADMIN) only");
	else if (h->pages && h->size)
		hw_fail(err, r,
			"no huge page for DMA memory (%s): reserve some of %zu MiB each, as root: echo 32 > "
			"/proc/sys/vm/nr_hugepages",
			strerror(-r), h->size >> 20);
	hugepages_close(h);
	return r;
}

void hugepages_close(struct hugepages *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < h->count; i++)
		h->k->close(h->pages[i].fd);
	iova_destroy(&h->space);
	free(h->pages);
	free(h);
}

static int find_page(const struct hugepages *h, uint64_t phys)
{
	for (size_t i = 0; i < h->count; i++)
		if (h->pages[i].phys == phys)
			return h->pages[i].fd;
	return -1;
}

/* Addresses that touch [bus, bus + size): whole huge pages. */
static void extent(const struct hugepages *h, uint64_t bus, size_t size, uint64_t *first, size_t *len)
{
	*first = bus & ~((uint64_t)h->size - 1);
	*len = (size_t)(align_up(bus + size, h->size) - *first);
}

/* All huge pages of a piece beside each other, in the order of their physical addresses. */
static int map(struct hugepages *h, uint64_t bus, size_t size, void **virt)
{
	uint64_t first;
	size_t len, spare = h->size, lead;
	uint8_t *p = NULL, *at;
	int r;

	extent(h, bus, size, &first, &len);
	r = h->k->mmap((void **)&p, len + spare, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (r < 0)
		return r;
	at = (uint8_t *)(uintptr_t)align_up((uintptr_t)p, h->size);
	lead = (size_t)(at - p);
	if (lead)
		h->k->munmap(p, lead);
	if (spare > lead)
		h->k->munmap(at + len, spare - lead);
	for (size_t off = 0; off < len; off += h->size) {
		void *where = at + off;

		r = h->k->mmap(&where, h->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			       find_page(h, first + off), 0);
		if (r < 0) {
			h->k->munmap(at, len);
			return r;
		}
	}
	*virt = at + (bus - first);
	return 0;
}

int hugepages_alloc(struct hugepages *h, size_t size, size_t align, struct backend_dma *out, char *why,
		    size_t why_size)
{
	uint64_t bus;
	int r;

	if (size > SIZE_MAX / 2)
		return -ENOMEM;
	/* Pages that lie beside each other come together by themselves, if there are any. */
	while ((r = iova_alloc(&h->space, size, align, &bus)) == -ENOSPC) {
		r = add_page(h);
		if (r < 0)
			break;
	}
	if (r < 0) {
		snprintf(why, why_size,
			 "no %zu KiB of contiguous huge pages (%s; %zu MiB are in use): reserve more, best at "
			 "boot with hugepages=64 on the kernel's command line",
			 size >> 10, strerror(-r), h->count * h->size >> 20);
		return r == -ENOSPC ? -ENOMEM : r;
	}
	size = align_up(size, GRANULE);
	*out = (struct backend_dma){.bus = bus, .size = size};
	r = map(h, bus, size, &out->virt);
	if (r < 0) {
		iova_free(&h->space, bus, size);
		snprintf(why, why_size, "cannot map huge pages: %s", strerror(-r));
		return r;
	}
	memset(out->virt, 0, size);
	return 0;
}

void hugepages_free(struct hugepages *h, struct backend_dma *mem)
{
	uint64_t first;
	size_t len;

	extent(h, mem->bus, mem->size, &first, &len);
	h->k->munmap((uint8_t *)mem->virt - (mem->bus - first), len);
	iova_free(&h->space, mem->bus, mem->size);
}
