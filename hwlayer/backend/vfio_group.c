// SPDX-License-Identifier: MIT
/* VFIO by group and container, with the type1 IOMMU interface: every kernel that has VFIO. */
#include "backend/vfio.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/vfio.h>

#define INFO_MAX 65536u

static int check_group(struct vfio *v, const char *node, struct hw_error *err)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};
	int r = v->k->ioctl(v->group, VFIO_GROUP_GET_STATUS, &status);

	if (r < 0)
		return hw_fail(err, r, "%s: VFIO tells no status of the group: %s", node, strerror(-r));
	/* Who else is in it was looked at before: something got a driver in this moment. */
	if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		return hw_fail(err, -EBUSY,
			       "%s: a device of the IOMMU group is in use by another driver; look with "
			       "hwctl doctor",
			       node);
	return 0;
}

/* Version 2 of type1 unmaps exactly what was mapped; version 1 is what very old kernels have. */
static int set_iommu(struct vfio *v, unsigned long type, struct hw_error *err)
{
	int r;

	if (!type)
		type = v->k->ioctl(v->container, VFIO_CHECK_EXTENSION, (void *)VFIO_TYPE1v2_IOMMU) > 0
			       ? VFIO_TYPE1v2_IOMMU
			       : VFIO_TYPE1_IOMMU;
	if (v->k->ioctl(v->container, VFIO_CHECK_EXTENSION, (void *)type) <= 0)
		return hw_fail(err, -ENOTSUP,
			       "%s: the kernel's VFIO cannot drive this machine's IOMMU: is the module "
			       "%s loaded?",
			       v->be.bdf,
			       type == VFIO_NOIOMMU_IOMMU ? "vfio with its no-IOMMU mode"
							  : "vfio_iommu_type1");
	r = v->k->ioctl(v->container, VFIO_SET_IOMMU, (void *)type);
	if (r == -EPERM && type != VFIO_NOIOMMU_IOMMU)
		return hw_fail(err, r,
			       "%s: this machine's IOMMU does not keep interrupts apart (no interrupt "
			       "remapping), so the kernel refuses to hand the card out; turn it on in the "
			       "firmware setup (VT-d, x2APIC), or, where no guest is hostile, load "
			       "vfio_iommu_type1 with allow_unsafe_interrupts=1",
			       v->be.bdf);
	if (r < 0)
		return hw_fail(err, r, "%s: the IOMMU cannot be set up: %s", v->be.bdf, strerror(-r));
	snprintf(v->be.iommu, sizeof(v->be.iommu), "%s",
		 type == VFIO_TYPE1v2_IOMMU ? "type1v2" : type == VFIO_TYPE1_IOMMU ? "type1" : "none");
	return 0;
}

static int get_device(struct vfio *v, const char *node, struct hw_error *err)
{
	int fd = v->k->ioctl(v->group, VFIO_GROUP_GET_DEVICE_FD, v->be.bdf);

	if (fd == -EBUSY)
		return vfio_node_failed(v, fd, node, err);
	if (fd < 0)
		return hw_fail(err, fd, "%s: VFIO does not hand the card out: %s%s", v->be.bdf,
			       strerror(-fd),
			       fd == -ENODEV ? " (it is being unbound or was removed)" : "");
	v->device = fd;
	return 0;
}

int vfio_group_open(struct vfio *v, const char *prefix, unsigned long type, struct hw_error *err)
{
	char node[64];
	int r;

	snprintf(node, sizeof(node), "%s/vfio/vfio", v->k->dev);
	v->container = v->k->open(node, O_RDWR);
	if (v->container < 0)
		return vfio_node_failed(v, v->container, node, err);
	r = v->k->ioctl(v->container, VFIO_GET_API_VERSION, NULL);
	if (r != VFIO_API_VERSION) {
		r = hw_fail(err, -ENOTSUP, "%s: VFIO has version %d of its interface, not %d", node, r,
			    VFIO_API_VERSION);
		goto err;
	}
	snprintf(node, sizeof(node), "%s/vfio/%s%d", v->k->dev, prefix, v->group_number);
	v->group = v->k->open(node, O_RDWR);
	if (v->group < 0) {
		r = vfio_node_failed(v, v->group, node, err);
		goto err;
	}
	r = check_group(v, node, err);
	if (r < 0)
		goto err;
	r = v->k->ioctl(v->group, VFIO_GROUP_SET_CONTAINER, &v->container);
	if (r < 0) {
		hw_fail(err, r, "%s: the group does not take a container: %s", node, strerror(-r));
		goto err;
	}
	r = set_iommu(v, type, err);
	if (r == 0)
		r = get_device(v, node, err);
	if (r < 0)
		goto err;
	return 0;
err:
	vfio_group_close(v);
	return r;
}

void vfio_group_close(struct vfio *v)
{
	vfio_close_fd(v, &v->group);
	vfio_close_fd(v, &v->container);
}

/* The chain of capabilities in what VFIO_IOMMU_GET_INFO answered. */
static const struct vfio_iommu_type1_info_cap_iova_range *
find_ranges(const struct vfio_iommu_type1_info *info)
{
	const struct vfio_iommu_type1_info_cap_iova_range *cap;
	uint32_t off = info->flags & VFIO_IOMMU_INFO_CAPS ? info->cap_offset : 0;

	while (off >= sizeof(*info) && off <= info->argsz - sizeof(cap->header)) {
		cap = (const void *)((const uint8_t *)info + off);
		if (cap->header.id == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE) {
			size_t room = info->argsz - off;

			return room >= sizeof(*cap) &&
					       cap->nr_iovas <= (room - sizeof(*cap)) /
									sizeof(cap->iova_ranges[0])
				       ? cap
				       : NULL;
		}
		if (cap->header.next <= off)
			break;
		off = cap->header.next;
	}
	return NULL;
}

static int take_ranges(struct vfio *v, const struct vfio_iommu_type1_info *info, struct hw_error *err)
{
	/* What every IOMMU takes, clear of the addresses that mean interrupts on x86 and arm64. */
	static const struct iova_range usual = {1ull << 32, (1ull << 39) - 1};
	const struct vfio_iommu_type1_info_cap_iova_range *cap = find_ranges(info);
	uint64_t granule = info->flags & VFIO_IOMMU_INFO_PGSIZES && info->iova_pgsizes
				   ? info->iova_pgsizes & -info->iova_pgsizes
				   : 4096;
	struct iova_range *ranges;
	int r;

	if (!cap)
		return vfio_dma_open(v, &usual, 1, granule, err);
	ranges = calloc(cap->nr_iovas + 1u, sizeof(*ranges));
	if (!ranges)
		return hw_fail(err, -ENOMEM, "no memory for a device");
	for (uint32_t i = 0; i < cap->nr_iovas; i++)
		ranges[i] = (struct iova_range){cap->iova_ranges[i].start, cap->iova_ranges[i].end};
	r = vfio_dma_open(v, ranges, cap->nr_iovas, granule, err);
	free(ranges);
	return r;
}

static int group_way_open(struct vfio *v, struct hw_error *err)
{
	struct vfio_iommu_type1_info head = {.argsz = sizeof(head)}, *info;
	int r = vfio_group_open(v, "", 0, err);

	if (r < 0)
		return r;
	r = v->k->ioctl(v->container, VFIO_IOMMU_GET_INFO, &head);
	if (r < 0 || head.argsz > INFO_MAX) {
		r = hw_fail(err, r < 0 ? r : -EPROTO, "%s: VFIO tells nothing about the IOMMU: %s",
			    v->be.bdf, strerror(r < 0 ? -r : EPROTO));
		goto err;
	}
	/* The first call only said how large the answer is. */
	if (head.argsz < sizeof(head))
		head.argsz = sizeof(head);
	info = calloc(1, head.argsz);
	if (!info) {
		r = hw_fail(err, -ENOMEM, "no memory for a device");
		goto err;
	}
	info->argsz = head.argsz;
	r = v->k->ioctl(v->container, VFIO_IOMMU_GET_INFO, info);
	info->argsz = head.argsz; /* what is there, whatever the kernel would have liked */
	if (r < 0)
		hw_fail(err, r, "%s: VFIO tells nothing about the IOMMU: %s", v->be.bdf, strerror(-r));
	else
		r = take_ranges(v, info, err);
	free(info);
	if (r == 0)
		return 0;
err:
	vfio_close_fd(v, &v->device);
	vfio_group_close(v);
	return r;
}

static int group_map(struct vfio *v, void *virt, uint64_t iova, uint64_t size)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)virt,
		.iova = iova,
		.size = size,
	};

	return v->k->ioctl(v->container, VFIO_IOMMU_MAP_DMA, &map);
}

static int group_unmap(struct vfio *v, uint64_t iova, uint64_t size)
{
	struct vfio_iommu_type1_dma_unmap unmap = {.argsz = sizeof(unmap), .iova = iova, .size = size};
	int r = v->k->ioctl(v->container, VFIO_IOMMU_UNMAP_DMA, &unmap);

	/* The kernel says how much it found. */
	return r < 0 ? r : unmap.size == size ? 0 : -EIO;
}

const struct vfio_way vfio_group_way = {
	.open = group_way_open,
	.close = vfio_group_close,
	.dma_alloc = vfio_dma_alloc,
	.dma_free = vfio_dma_free,
	.map = group_map,
	.unmap = group_unmap,
};
