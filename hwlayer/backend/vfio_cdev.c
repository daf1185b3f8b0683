// SPDX-License-Identifier: MIT
/* VFIO by character device, with iommufd: Linux 6.6 and later, where they were built. */
#include "backend/vfio.h"
#include "backend/vfio_abi.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RANGES_MAX 1024u

int vfio_cdev_node(const struct vfio *v, char *node, size_t size)
{
	char path[PATH_MAX];
	struct dirent *e;
	int r = -ENOENT;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/vfio-dev", v->k->sysfs, v->be.bdf);
	dir = opendir(path);
	if (!dir)
		return -ENOENT;
	while (r < 0 && (e = readdir(dir)))
		if (strncmp(e->d_name, "vfio", 4) == 0)
			r = snprintf(node, size, "%s/vfio/devices/%s", v->k->dev, e->d_name) < (int)size
				    ? 0
				    : -ENOENT;
	closedir(dir);
	return r;
}

static int bind(struct vfio *v, const char *node, struct hw_error *err)
{
	struct abi_bind_iommufd b = {.argsz = sizeof(b), .iommufd = v->iommufd};
	struct abi_ioas_alloc a = {.size = sizeof(a)};
	struct abi_attach_pt at = {.argsz = sizeof(at)};
	int r = v->k->ioctl(v->device, ABI_VFIO_BIND_IOMMUFD, &b);

	/* The kernel answers "invalid" to a second binding of the same device. */
	if (r == -EBUSY || r == -EINVAL)
		return vfio_node_failed(v, -EBUSY, node, err);
	if (r < 0)
		return hw_fail(err, r, "%s: VFIO does not hand the card out: %s%s", v->be.bdf, strerror(-r),
			       r == -ENODEV ? " (it is being unbound or was removed)"
			       : r == -EPERM ? " (no interrupt remapping? see the kernel's log)"
					     : "");
	r = v->k->ioctl(v->iommufd, ABI_IOAS_ALLOC, &a);
	if (r < 0)
		return hw_fail(err, r, "%s: iommufd gives no address space: %s", v->be.bdf, strerror(-r));
	v->ioas = a.out_ioas;
	at.pt_id = v->ioas;
	r = v->k->ioctl(v->device, ABI_VFIO_ATTACH_PT, &at);
	if (r < 0)
		return hw_fail(err, r, "%s: the card does not take its address space: %s", v->be.bdf,
			       strerror(-r));
	return 0;
}

static int take_ranges(struct vfio *v, struct hw_error *err)
{
	struct abi_range *abi = calloc(RANGES_MAX, sizeof(*abi));
	struct iova_range *ranges = calloc(RANGES_MAX, sizeof(*ranges));
	struct abi_ioas_ranges q = {
		.size = sizeof(q), .ioas = v->ioas, .count = RANGES_MAX, .ranges = (uintptr_t)abi};
	int r = -ENOMEM;

	if (!abi || !ranges) {
		hw_fail(err, r, "no memory for a device");
		goto out;
	}
	r = v->k->ioctl(v->iommufd, ABI_IOAS_RANGES, &q);
	if (r < 0 || q.count > RANGES_MAX) {
		r = hw_fail(err, r < 0 ? r : -EPROTO, "%s: iommufd tells no address ranges: %s", v->be.bdf,
			    strerror(r < 0 ? -r : EPROTO));
		goto out;
	}
	for (uint32_t i = 0; i < q.count; i++)
		ranges[i] = (struct iova_range){abi[i].start, abi[i].last};
	r = vfio_dma_open(v, ranges, q.count, q.out_alignment, err);
out:
	free(ranges);
	free(abi);
	return r;
}

static void cdev_close(struct vfio *v)
{
	/* The address space goes with its descriptor. */
	vfio_close_fd(v, &v->iommufd);
}

static int cdev_open(struct vfio *v, struct hw_error *err)
{
	char node[PATH_MAX], iommu[64];
	int r = vfio_cdev_node(v, node, sizeof(node));

	if (r < 0)
		return hw_fail(err, r, "%s: the kernel has no VFIO character device for it", v->be.bdf);
	snprintf(iommu, sizeof(iommu), "%s/iommu", v->k->dev);
	v->iommufd = v->k->open(iommu, O_RDWR);
	if (v->iommufd < 0)
		return vfio_node_failed(v, v->iommufd, iommu, err);
	v->device = v->k->open(node, O_RDWR);
	if (v->device < 0) {
		r = vfio_node_failed(v, v->device, node, err);
		goto err;
	}
	r = bind(v, node, err);
	if (r == 0)
		r = take_ranges(v, err);
	if (r < 0)
		goto err;
	snprintf(v->be.iommu, sizeof(v->be.iommu), "iommufd");
	return 0;
err:
	vfio_close_fd(v, &v->device);
	cdev_close(v);
	return r;
}

static int cdev_map(struct vfio *v, void *virt, uint64_t iova, uint64_t size)
{
	struct abi_ioas_map map = {
		.size = sizeof(map),
		.flags = ABI_MAP_FIXED | ABI_MAP_READ | ABI_MAP_WRITE,
		.ioas = v->ioas,
		.user_va = (uintptr_t)virt,
		.length = size,
		.iova = iova,
	};

	return v->k->ioctl(v->iommufd, ABI_IOAS_MAP, &map);
}

static int cdev_unmap(struct vfio *v, uint64_t iova, uint64_t size)
{
	struct abi_ioas_unmap unmap = {
		.size = sizeof(unmap), .ioas = v->ioas, .iova = iova, .length = size};
	int r = v->k->ioctl(v->iommufd, ABI_IOAS_UNMAP, &unmap);

	return r < 0 ? r : unmap.length == size ? 0 : -EIO;
}

const struct vfio_way vfio_cdev_way = {
	.open = cdev_open,
	.close = cdev_close,
	.dma_alloc = vfio_dma_alloc,
	.dma_free = vfio_dma_free,
	.map = cdev_map,
	.unmap = cdev_unmap,
};
