// SPDX-License-Identifier: MIT
/*
 * Inside the VFIO backend.  Who does what:
 *   vfio.c          from a bound card to an opened backend, and back
 *   vfio_group.c    the way in by group and container (type1)
 *   vfio_cdev.c     the way in by character device and iommufd
 *   vfio_noiommu.c  the way in without an IOMMU, with hugepages.c
 *   vfio_region.c   BARs and configuration space
 *   vfio_irq.c      MSI, and what the kernel wants to tell us
 *   vfio_dma.c      memory behind an IOMMU
 */
#ifndef HWLAYER_BACKEND_VFIO_H
#define HWLAYER_BACKEND_VFIO_H

#include <pthread.h>

#include "backend/backend.h"
#include "backend/iova.h"
#include "backend/kernel.h"
#include "backend/lock.h"

struct vfio;

/* A way in.  All functions return 0 or -errno. */
struct vfio_way {
	/* Sets v->device, be.iommu and what the way needs; on failure nothing of it is left. */
	int (*open)(struct vfio *v, struct hw_error *err);
	/* v->device is closed already: the chip has no way to memory any more. */
	void (*close)(struct vfio *v);
	int (*dma_alloc)(struct backend *be, size_t size, size_t align, struct backend_dma *out);
	void (*dma_free)(struct backend *be, struct backend_dma *mem);
	/* For vfio_dma.c */
	int (*map)(struct vfio *v, void *virt, uint64_t iova, uint64_t size);
	int (*unmap)(struct vfio *v, uint64_t iova, uint64_t size);
};

extern const struct vfio_way vfio_group_way, vfio_cdev_way, vfio_noiommu_way;

struct hugepages;

struct vfio {
	struct backend be;
	struct backend_ops ops;     /* without what this device cannot do */
	const struct kernel *k;
	const struct vfio_way *way;
	const struct hw_dev_options *opt; /* while opening */
	struct lock lock;
	int group_number;
	int container, group, iommufd, device; /* -1: not open */
	uint32_t ioas;
	struct iova iova;           /* granule: what the IOMMU maps at a time */
	struct hugepages *huge;
	size_t dma_bytes, dma_areas;

	uint64_t config;            /* offset of configuration space in @device */
	uint64_t bar_off[6];
	size_t bar_mapped[6];       /* bytes; 0: accesses go by pread() and pwrite() */
	bool hot_reset;             /* no function reset, but the bus is the card's alone */

	pthread_mutex_t command;    /* the COMMAND register is read, changed and written */
	bool msi;
	int request_fd, error_fd, stop_fd; /* -1 */
	pthread_t watcher;
	bool watching;
};

static inline struct vfio *to_vfio(struct backend *be)
{
	return container_of(be, struct vfio, be);
}

/* vfio.c: "-EACCES opening NODE" in words that help.  Returns @code. */
int vfio_node_failed(struct vfio *v, int code, const char *node, struct hw_error *err);
void vfio_close_fd(struct vfio *v, int *fd);

/* vfio_cdev.c: "/dev/vfio/devices/vfio3"; -ENOENT: this kernel has none for the card */
int vfio_cdev_node(const struct vfio *v, char *node, size_t size);

/* vfio_group.c, shared with vfio_noiommu.c: @type of VFIO_SET_IOMMU, 0: the best of type1 */
int vfio_group_open(struct vfio *v, const char *prefix, unsigned long type, struct hw_error *err);
void vfio_group_close(struct vfio *v);

/* vfio_region.c */
int vfio_regions_open(struct vfio *v, struct hw_error *err);
void vfio_regions_close(struct vfio *v);
uint32_t vfio_read32(struct backend *be, unsigned int bar, uint32_t off);
void vfio_write32(struct backend *be, unsigned int bar, uint32_t off, uint32_t value);
void vfio_write16(struct backend *be, unsigned int bar, uint32_t off, uint16_t value);
int vfio_config_read(struct vfio *v, uint32_t off, void *buf, size_t size);
void vfio_set_bus_master(struct backend *be, bool on);
/* The card is not ours any more: no DMA, and all ones from now on.  From any thread. */
void vfio_lose(struct vfio *v);

/* vfio_irq.c */
int vfio_irq_open(struct vfio *v, struct hw_error *err);
void vfio_irq_close(struct vfio *v);
int vfio_irq_enable(struct backend *be);
void vfio_irq_disable(struct backend *be);

/* vfio_dma.c; @ranges as the kernel gave them */
int vfio_dma_open(struct vfio *v, const struct iova_range *ranges, size_t count, uint64_t granule,
		  struct hw_error *err);
int vfio_dma_alloc(struct backend *be, size_t size, size_t align, struct backend_dma *out);
void vfio_dma_free(struct backend *be, struct backend_dma *mem);

/* vfio.c, with another kernel; for tests */
int vfio_open_with(const struct kernel *k, const struct hw_card *card,
		   const struct hw_dev_options *opt, struct backend **out, struct hw_error *err);

#endif
