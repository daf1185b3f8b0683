// SPDX-License-Identifier: MIT
/* A sysfs of our own making, in a temporary folder. */
#ifndef TESTS_SUPPORT_SYSFS_H
#define TESTS_SUPPORT_SYSFS_H

/* An empty sysfs; its path. */
void sysfs_new(char path[200], const char *name);
/* Write a file; folders on the way are made. */
void sysfs_put(const char *sys, const char *path, const char *text);
/*
 * A function at devices/PARENT/BDF, found by bus/pci/devices/BDF as well, with a class.
 * @driver: NULL: none; @group: IOMMU group, -1: none
 */
void sysfs_device(const char *sys, const char *parent, const char *bdf, const char *class,
		  const char *driver, int group);

#endif
