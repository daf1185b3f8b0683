// SPDX-License-Identifier: MIT
/*
 * The software chip behind the seam.  This file is the host: it owns the bus-address map, through
 * which alone the chip reaches memory, and turns its MSI into an eventfd.
 */
#include "backend/backend.h"
#include "backend/busmap.h"
#include "backend/config_space.h"
#include "chip/regs.h"
#include "mock/mock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct mock_backend {
	struct backend be;
	struct mock_chip *chip;
	struct mock_host host;
	struct busmap map;
};

static struct mock_backend *to_mock(struct backend *be)
{
	return container_of(be, struct mock_backend, be);
}

static int host_dma_read(void *host, uint64_t bus, void *buf, size_t len)
{
	struct mock_backend *m = host;

	return busmap_read(&m->map, bus, buf, len);
}

static int host_dma_write(void *host, uint64_t bus, const void *buf, size_t len)
{
	struct mock_backend *m = host;

	return busmap_write(&m->map, bus, buf, len);
}

static void host_irq(void *host)
{
	struct mock_backend *m = host;

	/* It fails only when the counter is at its maximum, and then the fd is readable anyway. */
	(void)eventfd_write(m->be.irq_fd, 1);
}

static uint32_t mock_read32(struct backend *be, unsigned int bar, uint32_t off)
{
	return mock_chip_read(to_mock(be)->chip, bar, off, 4);
}

static void mock_write32(struct backend *be, unsigned int bar, uint32_t off, uint32_t value)
{
	mock_chip_write(to_mock(be)->chip, bar, off, value, 4);
}

static void mock_write16(struct backend *be, unsigned int bar, uint32_t off, uint16_t value)
{
	mock_chip_write(to_mock(be)->chip, bar, off, value, 2);
}

static int mock_irq_enable(struct backend *be)
{
	mock_chip_set_msi(to_mock(be)->chip, true);
	return 0;
}

static void mock_irq_disable(struct backend *be)
{
	mock_chip_set_msi(to_mock(be)->chip, false);
}

static int mock_dma_alloc(struct backend *be, size_t size, size_t align, struct backend_dma *out)
{
	struct mock_backend *m = to_mock(be);
	void *virt;
	int r;

	if (posix_memalign(&virt, 4096, size))
		return -ENOMEM;
	memset(virt, 0, size);
	*out = (struct backend_dma){.virt = virt, .size = size};
	r = busmap_add(&m->map, virt, size, align, &out->bus);
	if (r < 0)
		free(virt);
	return r;
}

static void mock_dma_free(struct backend *be, struct backend_dma *mem)
{
	/* The map entry goes first: from here on the chip gets a fault, not freed memory. */
	if (busmap_remove(&to_mock(be)->map, mem->bus) < 0) {
		hw_log(HW_LOG_ERROR, "internal error: no DMA memory at 0x%llx to free",
		       (unsigned long long)mem->bus);
		return;
	}
	free(mem->virt);
}

static int mock_reset(struct backend *be)
{
	mock_chip_reset(to_mock(be)->chip);
	return 0;
}

static void mock_set_bus_master(struct backend *be, bool on)
{
	mock_chip_set_bus_master(to_mock(be)->chip, on);
}

static void mock_close(struct backend *be)
{
	struct mock_backend *m = to_mock(be);
	size_t areas, bytes = busmap_bytes(&m->map, &areas);

	mock_chip_free(m->chip); /* no callback comes after this */
	/* The memory itself is left: its owner may still use it, and this is the owner's bug. */
	if (areas)
		hw_log(HW_LOG_ERROR, "internal error: %zu bytes of DMA memory in %zu areas not freed",
		       bytes, areas);
	busmap_destroy(&m->map);
	close(be->irq_fd);
	free(m);
}

static const struct backend_ops mock_ops = {
	.close = mock_close,
	.read32 = mock_read32,
	.write32 = mock_write32,
	.write16 = mock_write16,
	.irq_enable = mock_irq_enable,
	.irq_disable = mock_irq_disable,
	.dma_alloc = mock_dma_alloc,
	.dma_free = mock_dma_free,
	.reset = mock_reset,
	.set_bus_master = mock_set_bus_master,
};

int backend_mock_open(const struct mock_opts *opts, struct backend **out, struct hw_error *err)
{
	struct mock_backend *m = calloc(1, sizeof(*m));
	uint8_t cfg[CONFIG_SPACE_SIZE];
	int r;

	if (!m)
		return hw_fail(err, -ENOMEM, "no memory for the chip in software");
	m->host = (struct mock_host){
		.dma_read = host_dma_read,
		.dma_write = host_dma_write,
		.irq = host_irq,
		.host = m,
	};
	m->be = (struct backend){.ops = &mock_ops, .name = "mock", .bdf = "mock"};
	m->be.bar_len[CHIP_BAR_CONFIG] = CHIP_BAR_CONFIG_SIZE;
	m->be.bar_len[CHIP_BAR_VDMA] = CHIP_BAR_VDMA_SIZE;
	m->be.bar_len[CHIP_BAR_FW] = CHIP_BAR_FW_SIZE;
	busmap_init(&m->map);
	m->be.irq_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (m->be.irq_fd < 0) {
		r = hw_fail(err, -errno, "cannot make an eventfd: %s", strerror(errno));
		goto err_free;
	}
	m->chip = mock_chip_new(opts, &m->host);
	if (!m->chip) {
		r = hw_fail(err, -ENOMEM, "cannot start the chip in software");
		goto err_fd;
	}
	for (uint32_t i = 0; i < sizeof(cfg); i++)
		cfg[i] = (uint8_t)mock_chip_config_read(m->chip, i, 1);
	config_space_facts(cfg, &m->be);
	if (m->be.vendor == 0xffff) {
		r = hw_fail(err, -ENODEV, "the card does not answer: its configuration space reads all ones");
		goto err_chip;
	}
	*out = &m->be;
	return 0;
err_chip:
	mock_chip_free(m->chip);
err_fd:
	close(m->be.irq_fd);
err_free:
	busmap_destroy(&m->map);
	free(m);
	return r;
}

struct mock_chip *backend_mock_chip(struct backend *be)
{
	return be->ops == &mock_ops ? to_mock(be)->chip : NULL;
}

size_t backend_mock_dma_bytes(struct backend *be)
{
	return be->ops == &mock_ops ? busmap_bytes(&to_mock(be)->map, NULL) : 0;
}
