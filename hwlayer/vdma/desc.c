// SPDX-License-Identifier: MIT
/* Descriptors and the size of their rings (pcie 7, protocol 5.6).  Pure: no device, no clock. */
#include "vdma/vdma.h"

#include <endian.h>
#include <errno.h>

static bool is_pow2(uint64_t x)
{
	return x && !(x & (x - 1));
}

int vdma_desc_program(struct vdma_desc *descs, uint32_t count, bool circular, uint32_t page,
		      uint32_t start, uint64_t bus, uint64_t bytes, uint8_t last_ctrl)
{
	uint64_t n;

	/* The address word has no room for the low six bits (pcie 7.1). */
	if (!bytes || bus % 64 || bytes > UINT64_MAX - bus)
		return -EINVAL;
	if (!is_pow2(page) || page < CHIP_PAGE_MIN || page > CHIP_PAGE_MAX)
		return -EINVAL;
	if (count > CHIP_LIST_MAX || start >= count || (circular && !is_pow2(count)))
		return -EINVAL;
	n = ceil_div(bytes, page);
	if (n > (circular ? count : count - start))
		return -ERANGE;
	for (uint64_t i = 0; i < n; i++) {
		struct vdma_desc *d = &descs[circular ? (start + i) & (count - 1) : start + i];
		bool last = i == n - 1;
		uint64_t size = last ? bytes - i * page : page;
		uint64_t addr = bus + i * page;

		d->ctrl = htole32((uint32_t)size << 8 | (last ? last_ctrl : CHIP_DESC_BASE));
		d->addr_lo = htole32((uint32_t)addr); /* data id 0 in the low bits: host memory */
		d->addr_hi = htole32((uint32_t)(addr >> 32));
		d->status = 0;
	}
	return (int)n;
}

/* How many transfers may be in flight (step 1). */
static uint64_t queue_size(uint64_t transfer, uint64_t per_frame, uint64_t batch, uint64_t scale)
{
	uint64_t lo = 2 * per_frame * batch, hi = scale * per_frame;
	uint64_t q = (32u << 20) / (per_frame * transfer);

	if (hi < lo)
		hi = lo;
	return q < lo ? lo : q > hi ? hi : q;
}

/* Steps 3.1 to 3.4 for one largest page @max; 0: the transfer does not fit with it. */
static uint32_t fitting_page(uint64_t transfer, uint32_t max)
{
	uint64_t page = max > transfer ? pow2_ceil(transfer) : max;
	uint64_t n;

	if (page < CHIP_PAGE_MIN)
		page = CHIP_PAGE_MIN;
	if (ceil_div(transfer, max) + 1 > CHIP_LIST_MAX)
		return 0;
	for (n = ceil_div(transfer, page) + 1; 2 * n > CHIP_LIST_MAX - 1;
	     n = ceil_div(transfer, page) + 1) {
		if (page * 2 > max) {
			page = max;
			break;
		}
		page *= 2;
	}
	return pow2_ceil(n) > CHIP_LIST_MAX ? 0 : (uint32_t)page;
}

int vdma_boundary_geometry(uint32_t transfer, uint32_t transfers_per_frame, uint32_t batch,
			   uint32_t queue_scale, uint32_t max_shmifo, uint32_t max_page,
			   uint32_t *page, uint32_t *count, uint32_t *queue)
{
	uint32_t max = max_page < 512 ? max_page : 512, p = 0;
	uint64_t q, n;

	if (!transfer || !transfers_per_frame || !batch || !queue_scale || !is_pow2(max_page) ||
	    max_page < CHIP_PAGE_MIN || max_page > CHIP_PAGE_MAX)
		return -EINVAL;
	q = queue_size(transfer, transfers_per_frame, batch, queue_scale);
	/*
	 * A page as large as the stream's FIFO is halved.  If the half is then too small, the
	 * vendor's loop alternates between the two for ever: no answer.
	 */
	for (bool halved = false; !p;) {
		if (max > max_page)
			return -EINVAL;
		if (max == max_shmifo) {
			if (halved)
				return -EINVAL;
			halved = true;
			max /= 2;
		}
		if (max < CHIP_PAGE_MIN)
			return -EINVAL;
		p = fitting_page(transfer, max);
		max *= 2;
	}
	/* One descriptor more for a transfer that starts in an unaligned buffer. */
	n = (ceil_div(transfer, p) + 1) * q + 1;
	n = n > CHIP_LIST_MAX ? CHIP_LIST_MAX : n < 2 ? 2 : n;
	*page = p;
	*count = (uint32_t)pow2_ceil(n);
	*queue = (uint32_t)q;
	return 0;
}
