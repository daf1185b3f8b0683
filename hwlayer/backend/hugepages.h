// SPDX-License-Identifier: MIT
/*
 * DMA memory where there is no IOMMU: huge pages, since each is contiguous in physical memory and
 * stays where it is, with their physical addresses from /proc/self/pagemap.
 */
#ifndef HWLAYER_BACKEND_HUGEPAGES_H
#define HWLAYER_BACKEND_HUGEPAGES_H

#include "backend/backend.h"
#include "backend/kernel.h"

struct hugepages;

/* 0; -ENOTSUP, -EPERM, -ENOMEM with what to do.  Takes the first page, to see that it works. */
int hugepages_open(const struct kernel *k, struct hugepages **out, struct hw_error *err);
/* Frees all of it, whatever is still in use.  NULL is fine. */
void hugepages_close(struct hugepages *h);

/* As backend_ops.dma_alloc; on failure a sentence is in @why. */
int hugepages_alloc(struct hugepages *h, size_t size, size_t align, struct backend_dma *out, char *why,
		    size_t why_size);
void hugepages_free(struct hugepages *h, struct backend_dma *mem);

#endif
