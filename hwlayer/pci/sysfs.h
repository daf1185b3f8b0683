// SPDX-License-Identifier: MIT
/*
 * What sysfs says about a PCI function.  Reads only, opens no device.  @sysfs is "/sys"
 * (PCI_SYSFS), in tests another folder; @bdf as pci_parse_bdf() writes it.
 */
#ifndef HWLAYER_PCI_SYSFS_H
#define HWLAYER_PCI_SYSFS_H

#include "util/util.h"

#define PCI_SYSFS "/sys"

/* One attribute without its newline.  0, -ENOENT, -EACCES, ...; @buf is "" on error. */
int pci_attribute(const char *sysfs, const char *bdf, const char *name, char *buf, size_t size);

/* 0 and the driver's name, or -ENOENT: none is bound (@name is "" then). */
int pci_driver(const char *sysfs, const char *bdf, char *name, size_t size);

/* Number of the function's IOMMU group, or -ENOENT: it has none. */
int pci_iommu_group(const char *sysfs, const char *bdf);

/*
 * Groups exist without an IOMMU, too, since VFIO makes one for a function in its no-IOMMU mode.
 * True: nothing keeps the function's DMA in bounds.
 */
bool pci_group_is_noiommu(const char *sysfs, int group);

struct pci_member {
	char bdf[16];
	char driver[32]; /* "": none */
	bool bridge;     /* a port or bridge on the way: makes no DMA of its own */
};

/*
 * All of a group's functions, sorted by address, which the caller free()s.
 * 0, -ENOENT (no such group), -ENOMEM.
 */
int pci_group_members(const char *sysfs, int group, struct pci_member **out, size_t *count);

/* The port that the function hangs on: 0, or -ENOENT when it sits on the root bus. */
int pci_upstream(const char *sysfs, const char *bdf, char upstream[16]);

struct pci_link {
	char speed[24], max_speed[24]; /* as the kernel words it, "8.0 GT/s PCIe"; "": not known */
	unsigned int width, max_width; /* lanes, 0: not known */
	int l0s;                       /* ASPM L0s: 1 on, 0 off, -1: the kernel does not say */
};
void pci_link_state(const char *sysfs, const char *bdf, struct pci_link *out);

/*
 * The vendor's driver turns ASPM L0s off (pcie 1.3); this does so by sysfs.  0, -EACCES (not root),
 * -ENOENT (the kernel has no such switch).
 */
int pci_l0s_off(const char *sysfs, const char *bdf);

#endif
