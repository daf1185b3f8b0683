// SPDX-License-Identifier: MIT
/* A card that is bound to vfio-pci: from its address to an opened backend, and back. */
#include "backend/vfio.h"
#include "pci/sysfs.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <linux/vfio.h>

void vfio_close_fd(struct vfio *v, int *fd)
{
	if (*fd >= 0)
		v->k->close(*fd);
	*fd = -1;
}

/* They may have come by the other way than we. */
static pid_t find_holder(const struct vfio *v, const char *node, char name[16])
{
	char other[PATH_MAX];
	pid_t pid = lock_find_holder(v->k->proc, node, name);

	if (!pid && vfio_cdev_node(v, other, sizeof(other)) == 0)
		pid = lock_find_holder(v->k->proc, other, name);
	if (!pid) {
		snprintf(other, sizeof(other), "%s/vfio/%d", v->k->dev, v->group_number);
		pid = lock_find_holder(v->k->proc, other, name);
	}
	return pid;
}

int vfio_node_failed(struct vfio *v, int code, const char *node, struct hw_error *err)
{
	char name[16];
	pid_t pid;

	switch (code) {
	case -EACCES:
		return hw_fail(err, code,
			       "no permission to open %s: it should belong to the group hailo (the udev "
			       "rule sees to that) and you to that group: sudo usermod -aG hailo $USER, "
			       "then log in again",
			       node);
	case -EPERM:
		return hw_fail(err, code, "no permission to open %s: without an IOMMU only root "
					  "(CAP_SYS_RAWIO) may",
			       node);
	case -ENOENT:
	case -ENODEV:
		return hw_fail(err, -ENODEV,
			       "%s does not exist: is the module vfio-pci loaded (sudo modprobe vfio-pci), and, "
			       "in a container, was %s/vfio passed to it?",
			       node, v->k->dev);
	case -EBUSY:
		pid = find_holder(v, node, name);
		if (pid)
			return hw_fail(err, code, "the card at %s is in use by PID %ld (%s)", v->be.bdf,
				       (long)pid, name[0] ? name : "gone");
		return hw_fail(err, code,
			       "the card at %s is in use by another process (root sees by which: sudo fuser "
			       "-v %s)",
			       v->be.bdf, node);
	default:
		return hw_fail(err, code, "cannot open %s: %s", node, strerror(-code));
	}
}

/* The IOMMU tells the members of a group apart from the rest, not from each other. */
static int alone_in_group(struct vfio *v, struct hw_error *err)
{
	struct pci_member *m;
	char names[200] = "";
	size_t n, at = 0, others = 0;
	int r = pci_group_members(v->k->sysfs, v->group_number, &m, &n);

	if (r < 0)
		return hw_fail(err, r, "%s: cannot see who shares its IOMMU group %d: %s", v->be.bdf,
			       v->group_number, strerror(-r));
	for (size_t i = 0; i < n; i++) {
		if (m[i].bridge || strcmp(m[i].bdf, v->be.bdf) == 0)
			continue;
		others++;
		if (at < sizeof(names))
			at += (size_t)snprintf(names + at, sizeof(names) - at, "%s%s (%s)", at ? ", " : "",
					       m[i].bdf, m[i].driver[0] ? m[i].driver : "no driver");
	}
	free(m);
	if (!others)
		return 0;
	return hw_fail(err, -ENOTSUP,
		       "the card at %s shares IOMMU group %d with %s: the IOMMU cannot keep them apart, so "
		       "it is not used; put it into another slot, or look for ACS in the firmware setup",
		       v->be.bdf, v->group_number, names);
}

#define NO_IOMMU_WORDS                                                                             \
	"without an IOMMU the chip, its firmware and a mistake of this driver can read and "         \
	"overwrite all of the machine's memory"

static int choose_group(struct vfio *v, const struct hw_dev_options *opt, bool *noiommu,
			struct hw_error *err)
{
	*noiommu = false;
	v->group_number = pci_iommu_group(v->k->sysfs, v->be.bdf);
	if (v->group_number < 0)
		return hw_fail(err, -ENOTSUP,
			       "no IOMMU stands between the card at %s and memory: turn it on in the "
			       "firmware setup (VT-d, AMD-Vi, SMMU) and with intel_iommu=on on the kernel's "
			       "command line, or use the driver hailo_uio (hwctl bind %s)",
			       v->be.bdf, v->be.bdf);
	if (!pci_group_is_noiommu(v->k->sysfs, v->group_number))
		return alone_in_group(v, err);
	*noiommu = true;
	if (!opt->unsafe_no_iommu)
		return hw_fail(err, -EPERM,
			       "the card at %s is in VFIO's no-IOMMU mode: " NO_IOMMU_WORDS
			       "; turn the IOMMU on, or use hailo_uio, or insist with --unsafe-no-iommu",
			       v->be.bdf);
	hw_log(HW_LOG_WARNING, "%s: --unsafe-no-iommu: " NO_IOMMU_WORDS, v->be.bdf);
	return 0;
}

/* Character device and iommufd where the kernel has them and they may be opened, else the group. */
static int open_way(struct vfio *v, bool noiommu, struct hw_error *err)
{
	struct hw_error first = {0};
	bool forbidden;
	int r;

	if (noiommu) {
		v->way = &vfio_noiommu_way;
		return v->way->open(v, err);
	}
	v->way = &vfio_cdev_way;
	r = v->way->open(v, &first);
	if (r == 0)
		return 0;
	if (r != -ENOENT && r != -ENODEV && r != -EACCES) {
		if (err)
			*err = first;
		return r;
	}
	hw_log(HW_LOG_DEBUG, "%s: not by iommufd: %s", v->be.bdf, first.text);
	forbidden = r == -EACCES;
	v->way = &vfio_group_way;
	r = v->way->open(v, err);
	/* Kernels with iommufd may have nothing else: then its permission is what has to be mended. */
	if ((r == -ENODEV || r == -ENOTSUP) && forbidden) {
		r = first.code;
		if (err)
			*err = first;
	}
	return r;
}

static int function_reset(struct backend *be)
{
	struct vfio *v = to_vfio(be);

	return kernel_reset(v->k, v->device, VFIO_DEVICE_RESET);
}

/* All that hangs on the bus is reset, so nothing but the card may. */
static bool bus_is_ours(struct vfio *v)
{
	union {
		struct vfio_pci_hot_reset_info info;
		uint8_t bytes[sizeof(struct vfio_pci_hot_reset_info) +
			      sizeof(struct vfio_pci_dependent_device)];
	} q = {.info = {.argsz = sizeof(q)}};

	/* -ENOSPC: there are more of them. */
	return v->k->ioctl(v->device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &q) == 0 && q.info.count == 1;
}

static int bus_reset(struct backend *be)
{
	struct vfio *v = to_vfio(be);
	union {
		struct vfio_pci_hot_reset reset;
		uint8_t bytes[sizeof(struct vfio_pci_hot_reset) + sizeof(int32_t)];
	} q = {.reset = {.argsz = sizeof(q), .count = v->group >= 0}};
	int32_t group = v->group;

	/* With iommufd there is no group, and the kernel knows by itself what is ours. */
	memcpy(q.reset.group_fds, &group, sizeof(group));
	return v->k->ioctl(v->device, VFIO_DEVICE_PCI_HOT_RESET, &q);
}

static int look_at_device(struct vfio *v, struct hw_error *err)
{
	struct vfio_device_info info = {.argsz = sizeof(info)};
	int r = v->k->ioctl(v->device, VFIO_DEVICE_GET_INFO, &info);

	if (r < 0)
		return hw_fail(err, r, "%s: VFIO tells nothing about the card: %s", v->be.bdf,
			       strerror(-r));
	if (!(info.flags & VFIO_DEVICE_FLAGS_PCI) || info.num_regions <= VFIO_PCI_CONFIG_REGION_INDEX ||
	    info.num_irqs <= VFIO_PCI_MSI_IRQ_INDEX)
		return hw_fail(err, -EPROTO, "%s: VFIO does not show it as a PCI function", v->be.bdf);
	/* The kernel resets it itself when it is opened first and closed last, where it can. */
	if (info.flags & VFIO_DEVICE_FLAGS_RESET)
		return 0;
	if (bus_is_ours(v)) {
		v->ops.reset = bus_reset;
		return 0;
	}
	v->ops.reset = NULL;
	hw_log(HW_LOG_WARNING,
	       "%s: neither the function nor its bus can be reset: a chip that hangs needs the machine to be "
	       "switched off",
	       v->be.bdf);
	return 0;
}

static void vfio_close(struct backend *be)
{
	struct vfio *v = to_vfio(be);

	/* Whoever closes has stopped the chip; from here on it could not reach memory if not. */
	vfio_set_bus_master(be, false);
	vfio_irq_close(v);
	vfio_regions_close(v);
	vfio_close_fd(v, &v->device);
	v->way->close(v);
	/* Memory itself is left: its owner may still use it, and this is the owner's bug. */
	if (v->dma_areas)
		hw_log(HW_LOG_ERROR, "internal error: %zu bytes of DMA memory in %zu areas not freed",
		       v->dma_bytes, v->dma_areas);
	iova_destroy(&v->iova);
	close(be->irq_fd);
	lock_release(&v->lock);
	pthread_mutex_destroy(&v->command);
	free(v);
}

static const struct backend_ops vfio_ops = {
	.close = vfio_close,
	.read32 = vfio_read32,
	.write32 = vfio_write32,
	.write16 = vfio_write16,
	.irq_enable = vfio_irq_enable,
	.irq_disable = vfio_irq_disable,
	.reset = function_reset,
	.set_bus_master = vfio_set_bus_master,
};

int vfio_open_with(const struct kernel *k, const struct hw_card *card,
		   const struct hw_dev_options *opt, struct backend **out, struct hw_error *err)
{
	struct vfio *v = calloc(1, sizeof(*v));
	bool noiommu;
	int r;

	if (!v)
		return hw_fail(err, -ENOMEM, "no memory for a device");
	v->k = k;
	v->ops = vfio_ops;
	v->container = v->group = v->iommufd = v->device = -1;
	v->request_fd = v->error_fd = v->stop_fd = -1;
	v->be = (struct backend){.ops = &v->ops, .name = "vfio", .irq_fd = -1};
	memcpy(v->be.bdf, card->bdf, sizeof(v->be.bdf));
	pthread_mutex_init(&v->command, NULL);
	r = lock_take_card_in(k->locks, v->be.bdf, &v->lock, err);
	if (r < 0)
		goto err_free;
	v->be.irq_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (v->be.irq_fd < 0) {
		r = hw_fail(err, -errno, "cannot make an eventfd: %s", strerror(errno));
		goto err_lock;
	}
	r = choose_group(v, opt, &noiommu, err);
	if (r == 0)
		r = open_way(v, noiommu, err);
	if (r < 0)
		goto err_fd;
	v->ops.dma_alloc = v->way->dma_alloc;
	v->ops.dma_free = v->way->dma_free;
	r = look_at_device(v, err);
	if (r < 0)
		goto err_device;
	r = vfio_regions_open(v, err);
	if (r < 0)
		goto err_device;
	r = vfio_irq_open(v, err);
	if (r < 0)
		goto err_regions;
	hw_log(HW_LOG_INFO, "%s: opened through VFIO, IOMMU group %d, %s", v->be.bdf, v->group_number,
	       v->be.iommu);
	*out = &v->be;
	return 0;
err_regions:
	vfio_regions_close(v);
err_device:
	vfio_close_fd(v, &v->device);
	v->way->close(v);
	iova_destroy(&v->iova);
err_fd:
	close(v->be.irq_fd);
err_lock:
	lock_release(&v->lock);
err_free:
	pthread_mutex_destroy(&v->command);
	free(v);
	return r;
}

int backend_vfio_open(const struct hw_card *card, const struct hw_dev_options *opt,
		      struct backend **out, struct hw_error *err)
{
	return vfio_open_with(&kernel_linux, card, opt, out, err);
}
