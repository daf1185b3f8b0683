// SPDX-License-Identifier: MIT
/*
 * Which bus addresses are given to which DMA memory, where they can be chosen: behind an IOMMU.
 * Pure; one thread at a time.
 *
 * Next fit: the search goes on where the last one ended and comes round, so that an address that
 * was freed faults for as long as possible before it means something else.  Behind each piece lies
 * a gap of one granule that is never given out: a descriptor that runs over its buffer faults.
 */
#ifndef HWLAYER_BACKEND_IOVA_H
#define HWLAYER_BACKEND_IOVA_H

#include <stddef.h>
#include <stdint.h>

struct iova_range {
	uint64_t start, last; /* both belong to it */
};

struct iova {
	struct iova_range *free; /* sorted; no two touch */
	size_t count, cap;
	size_t used;             /* pieces given out */
	uint64_t granule;
	uint64_t next;           /* where the search begins */
};

/*
 * @ranges: what may be given out, in any order, overlaps and touching allowed
 * @granule: of addresses and sizes, a power of two: what the IOMMU maps at a time
 * @last: the highest address that the device can send
 * @prefer: where to begin
 * The first granule (address 0) is never given out.  0, -EINVAL, -ENOMEM, -ENOSPC (nothing is left).
 */
int iova_init(struct iova *io, const struct iova_range *ranges, size_t count, uint64_t granule,
	      uint64_t last, uint64_t prefer);
void iova_destroy(struct iova *io); /* fine for a zeroed one */

/*
 * @size is rounded up to granules; @align: a power of two.
 * 0, -EINVAL, -ENOSPC (no gap is large enough), -ENOMEM.
 */
int iova_alloc(struct iova *io, uint64_t size, uint64_t align, uint64_t *out);
/* Give back what iova_alloc() gave for @size; cannot fail. */
void iova_free(struct iova *io, uint64_t start, uint64_t size);

/* More that may be given out: whole granules that were not known before.  0, -ENOMEM. */
int iova_add(struct iova *io, uint64_t start, uint64_t size);

/* Addresses that are free now. */
uint64_t iova_left(const struct iova *io);

#endif
