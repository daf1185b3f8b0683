// SPDX-License-Identifier: MIT
/* Accessors of the seam: mapped BARs directly, all else through the backend's operations. */
#include "backend/backend.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

/*
 * Offsets are constants of this driver, so a miss is a bug of ours; it must not become a wild
 * access to whatever lies behind the mapping.
 */
static bool access_ok(const struct backend *be, unsigned int bar, uint32_t off, uint32_t width)
{
	if (bar < ARRAY_SIZE(be->bar) && off % width == 0 && be->bar_len[bar] >= width &&
	    off <= be->bar_len[bar] - width)
		return true;
	hw_log(HW_LOG_ERROR, "internal error: access to BAR%u offset 0x%x, width %u", bar, off, width);
	return false;
}

uint32_t backend_read32(struct backend *be, unsigned int bar, uint32_t off)
{
	uint32_t value;

	if (!access_ok(be, bar, off, 4))
		return UINT32_MAX;
	if (backend_lost(be))
		value = UINT32_MAX;
	else if (be->bar[bar])
		value = le32toh(*(volatile uint32_t *)(volatile void *)(be->bar[bar] + off));
	else
		value = be->ops->read32(be, bar, off);
	observe(be, mmio, bar, off, 32, false, value);
	return value;
}

void backend_write32(struct backend *be, unsigned int bar, uint32_t off, uint32_t value)
{
	if (!access_ok(be, bar, off, 4) || backend_lost(be))
		return;
	observe(be, mmio, bar, off, 32, true, value);
	if (be->bar[bar])
		*(volatile uint32_t *)(volatile void *)(be->bar[bar] + off) = htole32(value);
	else
		be->ops->write32(be, bar, off, value);
}

void backend_write16(struct backend *be, unsigned int bar, uint32_t off, uint16_t value)
{
	if (!access_ok(be, bar, off, 2) || backend_lost(be))
		return;
	observe(be, mmio, bar, off, 16, true, value);
	if (be->bar[bar])
		*(volatile uint16_t *)(volatile void *)(be->bar[bar] + off) = htole16(value);
	else
		be->ops->write16(be, bar, off, value);
}

int backend_dma_alloc(struct backend *be, size_t size, size_t align, struct backend_dma *out)
{
	struct backend_dma mem = {0};
	int r;

	if (!size || !align || (align & (align - 1)))
		return -EINVAL;
	be->dma_why[0] = 0;
	r = be->ops->dma_alloc(be, size, align, &mem);
	if (r < 0)
		return r;
	*out = mem;
	observe(be, dma, out, true);
	return 0;
}

const char *backend_dma_why(const struct backend *be, int code)
{
	return be->dma_why[0] ? be->dma_why : strerror(-code);
}

void backend_dma_free(struct backend *be, struct backend_dma *mem)
{
	if (mem->virt) {
		observe(be, dma, mem, false);
		be->ops->dma_free(be, mem);
	}
	*mem = (struct backend_dma){0};
}

void backend_dma_sync(struct backend *be, const struct backend_dma *mem, size_t off, size_t len,
		      bool to_device)
{
	if (be->ops->dma_sync)
		be->ops->dma_sync(be, mem, off, len, to_device);
}

void backend_close(struct backend *be)
{
	if (!be)
		return;
	observe(be, close);
	be->ops->close(be);
}
