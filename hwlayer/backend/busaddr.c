// SPDX-License-Identifier: MIT
#include "backend/busaddr.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROPERTY_MAX 4096

/* Cells of a device tree are big-endian. */
static uint64_t cells(const uint8_t *p, uint32_t n)
{
	uint64_t v = 0;

	for (uint32_t i = 0; i < 4 * n; i++)
		v = v << 8 | p[i];
	return v;
}

static bool has_property(const char *node, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", node, name);
	return access(path, F_OK) == 0;
}

static uint32_t one_cell(const char *node, const char *name, uint32_t otherwise)
{
	char path[PATH_MAX];
	uint8_t *data;
	size_t len;
	uint32_t v = otherwise;

	snprintf(path, sizeof(path), "%s/%s", node, name);
	if (util_read_file(path, PROPERTY_MAX, &data, &len, NULL) < 0)
		return v;
	if (len == 4)
		v = (uint32_t)cells(data, 1);
	free(data);
	return v;
}

/*
 * dma-ranges: (address below, address above, size)..., each in as many cells as the bus and the one
 * above it say.  Of PCI's three cells the first tells what kind of space it is.
 */
static int check_ranges(const char *node, const char *parent, const char *bdf, struct hw_error *err)
{
	uint32_t below = one_cell(node, "#address-cells", 2), above = one_cell(parent, "#address-cells", 2);
	uint32_t size = one_cell(node, "#size-cells", 1);
	char path[PATH_MAX];
	uint8_t *data;
	size_t len, entry = 4u * ((size_t)below + above + size);
	int r;

	snprintf(path, sizeof(path), "%s/dma-ranges", node);
	r = util_read_file(path, PROPERTY_MAX, &data, &len, err);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	if (below < 1 || below > 3 || above < 1 || above > 2 || size < 1 || size > 2 || len % entry) {
		r = hw_fail(err, -EIO, "%s: %s makes no sense", bdf, path);
		goto out;
	}
	for (size_t off = 0; r == 0 && off < len; off += entry) {
		const uint8_t *p = data + off;
		uint64_t bus = below == 3 ? cells(p + 4, 2) : cells(p, below);
		uint64_t cpu = cells(p + 4 * below, above);

		if (bus != cpu)
			r = hw_fail(err, -ENOTSUP,
				    "%s: this machine's PCIe sees memory at other addresses than the CPU "
				    "(0x%llx is 0x%llx there, %s), which VFIO without an IOMMU cannot "
				    "find out for each page; use the driver hailo_uio",
				    bdf, (unsigned long long)cpu, (unsigned long long)bus, path);
	}
out:
	free(data);
	return r;
}

/* The device that has the root bus "pci0000:00" in it; false: there is none in @path. */
static bool cut_at_host_bridge(char *path)
{
	unsigned int domain, bus;
	int end;

	for (char *p = strstr(path, "/pci"); p; p = strstr(p + 1, "/pci")) {
		end = 0;
		if (sscanf(p, "/pci%4x:%2x%n", &domain, &bus, &end) == 2 && p[end] == '/') {
			*p = 0;
			return true;
		}
	}
	return false;
}

static int check_tree(char *node, const char *bdf, struct hw_error *err)
{
	bool coherent = false;
	char *slash;

	/* Up to the root, which is the first without #address-cells above it. */
	for (;;) {
		char parent[PATH_MAX];
		int r;

		coherent |= has_property(node, "dma-coherent");
		snprintf(parent, sizeof(parent), "%s", node);
		slash = strrchr(parent, '/');
		if (!slash || slash == parent)
			break;
		*slash = 0;
		if (!has_property(parent, "#address-cells"))
			break;
		r = check_ranges(node, parent, bdf, err);
		if (r < 0)
			return r;
		memcpy(node, parent, sizeof(parent));
	}
	if (!coherent)
		return hw_fail(err, -ENOTSUP,
			       "%s: PCIe does not see the CPU's caches on this machine, which VFIO without an "
			       "IOMMU can do nothing about; use the driver hailo_uio",
			       bdf);
	return 0;
}

int busaddr_check(const char *sysfs, const char *bdf, bool pc, struct hw_error *err)
{
	char path[PATH_MAX], device[PATH_MAX], node[PATH_MAX];
	uint8_t *type;
	size_t len;

	snprintf(path, sizeof(path), "%s/hypervisor/type", sysfs);
	if (util_read_file(path, PROPERTY_MAX, &type, &len, NULL) == 0) {
		bool xen = strncmp((const char *)type, "xen", 3) == 0;

		free(type);
		if (xen)
			return hw_fail(err, -ENOTSUP,
				       "%s: under Xen the physical addresses that Linux tells are not the "
				       "machine's",
				       bdf);
	}
	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s", sysfs, bdf);
	if (!realpath(path, device))
		return hw_fail(err, -EIO, "cannot follow %s: %s", path, strerror(errno));
	if (cut_at_host_bridge(device)) {
		snprintf(path, sizeof(path), "%s/of_node", device);
		if (realpath(path, node))
			return check_tree(node, bdf, err);
	}
	if (pc)
		return 0;
	return hw_fail(err, -ENOTSUP,
		       "%s: this machine tells neither where PCIe sees memory nor whether through the CPU's "
		       "caches (it has no device tree), so VFIO without an IOMMU is not used",
		       bdf);
}
