// SPDX-License-Identifier: MIT
/*
 * The seam between the driver and whatever carries it to a chip: VFIO, UIO, or the software chip
 * in this process.  Above this line nobody knows which it is; every MMIO access and every byte
 * of DMA memory goes through here, so it is also where tests interpose and recordings are made.
 */
#ifndef HWLAYER_BACKEND_BACKEND_H
#define HWLAYER_BACKEND_BACKEND_H

#include "backend/observer.h"
#include "util/util.h"

/**
 * struct backend_dma - memory that both sides see
 * @virt: where the CPU sees it
 * @bus: where the chip sees it (bus address or IOVA)
 * @size: bytes, rounded up by the backend
 * @handle: the backend's own
 */
struct backend_dma {
	void *virt;
	uint64_t bus;
	size_t size;
	uintptr_t handle;
};

struct backend;

struct backend_ops {
	/* Release everything; DMA memory still allocated is a bug of the caller and is reported. */
	void (*close)(struct backend *be);
	/* Used for BARs whose map pointer is NULL. */
	uint32_t (*read32)(struct backend *be, unsigned int bar, uint32_t off);
	void (*write32)(struct backend *be, unsigned int bar, uint32_t off, uint32_t value);
	void (*write16)(struct backend *be, unsigned int bar, uint32_t off, uint16_t value);
	/* MSI on: from now on each interrupt makes irq_fd (an eventfd) readable. */
	int (*irq_enable)(struct backend *be);
	void (*irq_disable)(struct backend *be);
	/* @align: of the bus address, a power of two.  Zeroed, contiguous in bus addresses. */
	int (*dma_alloc)(struct backend *be, size_t size, size_t align, struct backend_dma *out);
	void (*dma_free)(struct backend *be, struct backend_dma *mem);
	/* Cache maintenance; NULL where DMA is coherent. */
	void (*dma_sync)(struct backend *be, const struct backend_dma *mem, size_t off, size_t len,
			 bool to_device);
	/* Function reset: the chip is as after power-on.  NULL where there is none. */
	int (*reset)(struct backend *be);
	void (*set_bus_master)(struct backend *be, bool on);
};

/**
 * struct backend - an opened PCI function
 * @ops: see above
 * @bar: mapped BARs, NULL where accesses go through @ops
 * @bar_len: BAR sizes, filled in both cases
 * @irq_fd: eventfd, valid from open on
 * @name: "mock", "vfio", "uio"
 * @iommu: what stands between the chip and memory: "type1v2", "type1", "iommufd", "none"; "" for software
 * @max_read_request: Max_Read_Request_Size in bytes; limits the descriptor page (pcie 7.6)
 * @l0s: the link may save power by ASPM L0s, which this chip had better not (pcie 1.3)
 * @lost: the card was taken from us: all reads give ones, writes go nowhere.  Set by any thread.
 * @dma_why: sentence that a failed dma_alloc() may leave; see backend_dma_why()
 * @observer: who looks on (trace/), NULL: nobody; told with observe()
 */
struct backend {
	const struct backend_ops *ops;
	volatile uint8_t *bar[6];
	uint32_t bar_len[6];
	int irq_fd;
	char name[16];
	char bdf[16];
	char iommu[16];
	uint16_t vendor, device, subsys_vendor, subsys_device;
	uint32_t max_read_request;
	bool l0s;
	bool lost;
	char dma_why[320];
	const struct observer *observer;
	void *observer_user;
};

struct mock_opts;

/**
 * backend_open - claim a PCI function by the name a user gave
 * @opt: its device, and what concerns software chips
 *
 * Return: 0, -ENODEV, -EINVAL (a name or a fault that means nothing), -ENOTSUP (a card is there but no
 * backend in this build can take it), ...
 */
int backend_open(const struct hw_dev_options *opt, struct backend **out, struct hw_error *err);

/* The software chip with the given options (NULL: defaults); what tests and hwctl use. */
int backend_mock_open(const struct mock_opts *opts, struct backend **out, struct hw_error *err);
/* The software chip that a server has at a socket (mock/serve.h).  -EBUSY names its user's PID. */
int backend_remote_open(const char *path, struct backend **out, struct hw_error *err);
/* A card that is bound to vfio-pci. */
int backend_vfio_open(const struct hw_card *card, const struct hw_dev_options *opt,
		      struct backend **out, struct hw_error *err);
/* A card that is bound to our kernel module hailo_uio. */
int backend_uio_open(const struct hw_card *card, const struct hw_dev_options *opt,
		     struct backend **out, struct hw_error *err);
/* The chip behind a mock backend, for tests; NULL for other backends. */
struct mock_chip;
struct mock_chip *backend_mock_chip(struct backend *be);
/* Bytes of DMA memory that are allocated now. */
size_t backend_mock_dma_bytes(struct backend *be);

void backend_close(struct backend *be);

uint32_t backend_read32(struct backend *be, unsigned int bar, uint32_t off);
void backend_write32(struct backend *be, unsigned int bar, uint32_t off, uint32_t value);
/* A real 16-bit store: the doorbell of a channel must not write its control byte back (pcie 6.6). */
void backend_write16(struct backend *be, unsigned int bar, uint32_t off, uint16_t value);

int backend_dma_alloc(struct backend *be, size_t size, size_t align, struct backend_dma *out);
/* Why the last backend_dma_alloc() failed, for people; @code: what it returned. */
const char *backend_dma_why(const struct backend *be, int code);
void backend_dma_free(struct backend *be, struct backend_dma *mem); /* zeroes @mem; fine twice */
void backend_dma_sync(struct backend *be, const struct backend_dma *mem, size_t off, size_t len,
		      bool to_device);

static inline bool backend_lost(const struct backend *be)
{
	return __atomic_load_n(&be->lost, __ATOMIC_ACQUIRE);
}

static inline bool backend_is_software(const struct backend *be)
{
	return be->subsys_vendor == 0x1af4 && be->subsys_device == 0x1100;
}

/* Stores to DMA memory are visible to the chip before any later MMIO store. */
static inline void backend_barrier_to_device(void)
{
	__sync_synchronize();
}

/* An MMIO load that says "done" is ordered before loads of what the chip wrote. */
static inline void backend_barrier_from_device(void)
{
	__sync_synchronize();
}

#endif
