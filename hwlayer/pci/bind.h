// SPDX-License-Identifier: MIT
/*
 * Which kernel driver has a card: driver_override, unbind, probe.  Needs root.  Refuses every
 * function that is not of this chip family.
 */
#ifndef HWLAYER_PCI_BIND_H
#define HWLAYER_PCI_BIND_H

#include "util/util.h"

#define PCI_DRIVER_VFIO "vfio-pci"
#define PCI_DRIVER_UIO "hailo_uio"
#define PCI_DRIVER_VENDOR "hailo" /* of the vendor's module hailo_pci */

/**
 * struct pci_bind - what to do, and by which means
 * @sysfs: PCI_SYSFS; in tests another folder
 * @bdf: the function, as pci_parse_bdf() writes it
 * @force: although a process has its nodes open
 * @dry: nothing happens, so nothing is waited for
 * @write: put @text into the file at @path; 0 or a negative errno
 * @modprobe: load a module; 0, or a negative errno with its text in @err
 * @user: handed to both
 */
struct pci_bind {
	const char *sysfs;
	const char *bdf;
	bool force;
	bool dry;
	int (*write)(void *user, const char *path, const char *text);
	int (*modprobe)(void *user, const char *module, struct hw_error *err);
	void *user;
};

/* The real means (@program is /sbin/modprobe), and the module of a driver. */
int pci_bind_write(const char *path, const char *text);
int pci_bind_modprobe(const char *program, const char *module, struct hw_error *err);
const char *pci_bind_module(const char *driver);

/* vfio-pci behind an IOMMU, hailo_uio where there is none. */
const char *pci_bind_choice(const char *sysfs, const char *bdf);

/*
 * Give the function to @driver: load its module, set driver_override, take the function from the
 * driver that has it, probe.  When @driver does not take it, everything is as before.
 * @was: the driver that had it, "" if none; *@was is @driver when there was nothing to do.
 * 0; -ENODEV (no such function); -ENOTSUP (not of this chip family); -EBUSY (somebody has it open);
 * -EACCES (not root); -ENOENT (there is no such driver); -EIO (the driver refused it).
 */
int pci_bind(const struct pci_bind *b, const char *driver, char was[32], struct hw_error *err);

/* Take it from its driver and clear driver_override; errors as above. */
int pci_unbind(const struct pci_bind *b, char was[32], struct hw_error *err);

#endif
