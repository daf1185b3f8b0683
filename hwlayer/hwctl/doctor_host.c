// SPDX-License-Identifier: MIT
/* hwctl doctor: the rungs of driver, IOMMU, permissions, limits and files. */
#include "hwctl/doctor.h"

#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chip/chip.h"
#include "hwctl/hef_check.h"
#include "pci/bind.h"
#include "pci/nodes.h"
#include "pci/sysfs.h"

#define FIRMWARE_FILE "/lib/firmware/hailo/hailo8_fw.bin"
#define GROUP "hailo"

static bool has_iommu(const struct doctor *d)
{
	return d->group >= 0 && !d->noiommu;
}

/* VFIO without an IOMMU, which the user asked for in so many words */
static bool unsafe_vfio(const struct doctor *d)
{
	return d->noiommu && d->opt->unsafe_no_iommu && strcmp(d->driver, PCI_DRIVER_VFIO) == 0;
}

/* ----------------------------------------------------------------------------------- driver */

void doctor_driver(struct doctor *d, struct rung *r)
{
	const char *wanted = pci_bind_choice(host_sysfs(), d->bdf);

	if (d->driver[0])
		rung_found(r, "%s", d->driver);
	if (!d->driver[0]) {
		rung_fail(r, "no driver has the card");
		rung_mend(r, "sudo hwctl bind %s", d->bdf);
	} else if (strcmp(d->driver, PCI_DRIVER_VENDOR) == 0) {
		rung_fail(r, "the vendor's driver has the card; only one driver can");
		rung_mend(r, "sudo hwctl bind %s   # back again: sudo hwctl unbind %s --to-vendor", d->bdf, d->bdf);
	} else if (unsafe_vfio(d)) {
		rung_pass(r, "vfio-pci in its no-IOMMU mode, as asked for");
	} else if (strcmp(d->driver, PCI_DRIVER_VFIO) == 0 && !has_iommu(d)) {
		rung_fail(r, "vfio-pci has the card, but there is no IOMMU: that needs --unsafe-no-iommu, and "
			     "root, and nothing then keeps the chip's DMA in bounds");
		rung_mend(r, "sudo hwctl bind %s --driver " PCI_DRIVER_UIO, d->bdf);
	} else if (strcmp(d->driver, PCI_DRIVER_VFIO) == 0) {
		rung_pass(r, "vfio-pci, with an IOMMU");
	} else if (strcmp(d->driver, PCI_DRIVER_UIO) == 0) {
		rung_pass(r, "hailo_uio%s", has_iommu(d) ? "; there is an IOMMU, with which vfio-pci would keep "
							   "the chip's DMA in bounds (hwctl bind)"
							 : "");
	} else {
		rung_fail(r, "%s has the card, a driver that this library does not use", d->driver);
		rung_mend(r, "sudo hwctl bind %s", d->bdf);
	}
	if (r->state == RUNG_FAIL && strcmp(wanted, PCI_DRIVER_UIO) == 0)
		rung_mend(r, "modinfo -n hailo_uio   # no such module: docs/raspberry-pi-5.md, \"The kernel module\"");
}

/* ------------------------------------------------------------------------------------ IOMMU */

static bool file_has(const char *name, const char *word)
{
	char path[PATH_MAX], line[512];
	FILE *f = fopen(host_path(path, name), "re");
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, word) != NULL;
	if (f)
		fclose(f);
	return found;
}

static void how_to_get_an_iommu(struct doctor *d, struct rung *r)
{
	if (file_has("/proc/cpuinfo", "GenuineIntel")) {
		rung_mend(r, "sudo sed -i 's/^GRUB_CMDLINE_LINUX=\"/&intel_iommu=on /' /etc/default/grub && sudo "
			     "update-grub && sudo reboot   # and VT-d on in the firmware's set-up");
	} else if (file_has("/proc/cpuinfo", "AuthenticAMD")) {
		rung_mend(r, "sudo systemctl reboot --firmware-setup   # switch IOMMU (AMD-Vi) on there");
	}
	rung_mend(r, "sudo hwctl bind %s --driver " PCI_DRIVER_UIO "   # without one", d->bdf);
}

static void check_members(struct doctor *d, struct rung *r)
{
	struct pci_member *m = NULL;
	char others[256] = "";
	size_t n = 0, at = 0, alone = 0;

	if (pci_group_members(host_sysfs(), d->group, &m, &n) < 0) {
		rung_fail(r, "IOMMU group %d cannot be read", d->group);
		rung_mend(r, "ls -l /sys/kernel/iommu_groups/%d/devices", d->group);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (m[i].bridge || strcmp(m[i].bdf, d->bdf) == 0) {
			alone++;
			continue;
		}
		if (at < sizeof(others))
			at += (size_t)snprintf(others + at, sizeof(others) - at, "%s%s (driver %s)",
					       at ? ", " : "", m[i].bdf, m[i].driver[0] ? m[i].driver : "none");
	}
	free(m);
	if (alone == n) {
		rung_pass(r, "group %d, the card alone", d->group);
		return;
	}
	rung_found(r, "group %d, %zu functions", d->group, n);
	rung_fail(r, "other devices share the card's IOMMU group and could reach its memory: %s", others);
	rung_mend(r, "sudo poweroff   # then put the card into another slot");
	rung_mend(r, "sudo hwctl bind %s --driver " PCI_DRIVER_UIO "   # goes without the IOMMU", d->bdf);
}

void doctor_iommu(struct doctor *d, struct rung *r)
{
	if (has_iommu(d)) {
		check_members(d, r);
	} else if (unsafe_vfio(d)) {
		rung_skip(r, "none: nothing keeps the chip's DMA in bounds (docs/safety.md)");
	} else if (strcmp(d->driver, PCI_DRIVER_VFIO) == 0) {
		rung_fail(r, "vfio-pci needs an IOMMU, and the kernel runs none for this slot");
		how_to_get_an_iommu(d, r);
	} else {
		rung_skip(r, "none; hailo_uio needs none, but nothing keeps the chip's DMA in bounds "
			     "(docs/safety.md)");
	}
}

/* -------------------------------------------------------------------------------------- node */

static bool may_use(const char *node)
{
	char path[PATH_MAX];

	return faccessat(AT_FDCWD, host_path(path, node), R_OK | W_OK, AT_EACCESS) == 0;
}

static void show_owner(const char *node, char *text, size_t size)
{
	char path[PATH_MAX];
	struct stat st;
	struct group *g;

	if (stat(host_path(path, node), &st) < 0) {
		snprintf(text, size, "%s is not there", node);
		return;
	}
	g = getgrgid(st.st_gid);
	snprintf(text, size, "%s has mode %04o, group %s", node, st.st_mode & 07777u, g ? g->gr_name : "?");
}

static void node_denied(const char *node, struct rung *r)
{
	const struct group *g = getgrnam(GROUP);
	char path[PATH_MAX], text[160];
	struct stat st;

	show_owner(node, text, sizeof(text));
	rung_found(r, "%s", text);
	if (stat(host_path(path, node), &st) < 0) {
		rung_fail(r, "the device node is missing");
		rung_mend(r, "sudo udevadm trigger --action=add --settle; ls -l %s", node);
	} else if (!g) {
		rung_fail(r, "there is no group " GROUP);
		rung_mend(r, "sudo systemd-sysusers hailo-inference.conf || sudo groupadd --system " GROUP);
		rung_mend(r, "sudo udevadm control --reload && sudo udevadm trigger --action=add --settle");
	} else if (st.st_gid == g->gr_gid && (st.st_mode & 0060) == 0060) {
		rung_fail(r, "this user is not in the group " GROUP ", or was not when this session began");
		rung_mend(r, "sudo usermod -aG " GROUP " \"$(id -un)\"   # then log out and in, or: newgrp " GROUP);
	} else {
		rung_fail(r, "the udev rules of this package did not see the node");
		rung_mend(r, "ls /usr/lib/udev/rules.d/70-hailo-inference.rules   # else: sudo make install");
		rung_mend(r, "sudo udevadm control --reload && sudo udevadm trigger --action=add --settle");
	}
}

void doctor_node(struct doctor *d, struct rung *r)
{
	struct pci_node nodes[PCI_NODES_MAX];
	bool vfio = strcmp(d->driver, PCI_DRIVER_VFIO) == 0;
	size_t n = pci_nodes(host_sysfs(), d->bdf, nodes);
	const char *denied = NULL;

	if (!n) {
		rung_fail(r, "driver %s made no device node for the card", d->driver);
		rung_mend(r, "sudo hwctl unbind %s && sudo hwctl bind %s", d->bdf, d->bdf);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		bool cdev = strncmp(nodes[i].path, "/dev/vfio/devices/", 18) == 0;
		const char *with = cdev ? "/dev/iommu" : "/dev/vfio/vfio";

		if (!may_use(nodes[i].path)) {
			denied = denied ? denied : nodes[i].path;
			continue;
		}
		if (vfio && !may_use(with)) {
			denied = denied ? denied : with;
			continue;
		}
		/* Either of VFIO's two ways will do; of UIO all nodes are needed. */
		if (vfio || (i + 1 == n && !denied)) {
			rung_pass(r, "%s%s%s", nodes[i].path, vfio ? " and " : "", vfio ? with : "");
			return;
		}
	}
	node_denied(denied, r);
}

/* ----------------------------------------------------------------------------------- memlock */

/* What dma-test keeps around the frames, and what the chip needs without a network. */
#define MEMLOCK_MARGIN (4u << 20)

void doctor_memlock(struct doctor *d, struct rung *r)
{
	struct hw_error err = {0};
	struct rlimit limit;
	uint64_t need = 0;

	if (strcmp(d->driver, PCI_DRIVER_VFIO)) {
		rung_skip(r, "not asked for: the kernel module's memory is not this process's");
		return;
	}
	if (d->noiommu) {
		rung_skip(r, "not asked for: without an IOMMU DMA memory is huge pages");
		return;
	}
	if (hef_check_memory(d->model, &need, &err) < 0) {
		rung_skip(r, "what is needed is not known: %s", err.text);
		return;
	}
	need += MEMLOCK_MARGIN;
	if (geteuid() == 0) {
		rung_pass(r, "root is not limited; %s needs %llu KiB", d->model, (unsigned long long)need >> 10);
		return;
	}
	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0) {
		rung_skip(r, "the limit cannot be read: %s", strerror(errno));
		return;
	}
	if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= need) {
		rung_pass(r, "%s needs %llu KiB, %s", d->model, (unsigned long long)need >> 10,
			  limit.rlim_cur == RLIM_INFINITY ? "no limit" : "the limit is higher");
		return;
	}
	rung_found(r, "limit %llu KiB", (unsigned long long)limit.rlim_cur >> 10);
	rung_fail(r, "%s needs %llu KiB of locked memory for DMA", d->model, (unsigned long long)need >> 10);
	rung_mend(r, "echo '@" GROUP " - memlock %llu' | sudo tee /etc/security/limits.d/hailo-inference.conf   # "
		     "then log out and in",
		  (unsigned long long)(need > (256u << 20) ? need : 256u << 20) >> 10);
	rung_mend(r, "sudo systemctl edit hailo-inferenced   # for the service: [Service] LimitMEMLOCK=%lluM",
		  (unsigned long long)(need > (256u << 20) ? need : 256u << 20) >> 20);
}

/* ---------------------------------------------------------------------------------- firmware */

void doctor_firmware(struct doctor *d, struct rung *r)
{
	const char *env = getenv("HAILO_FIRMWARE"), *path = d->opt->firmware;
	char standard[PATH_MAX];
	struct chip_firmware fw;
	struct hw_error err = {0};
	uint8_t *image = NULL;
	size_t len;
	int code;

	if (!path && env && *env)
		path = env;
	if (!path)
		path = host_path(standard, FIRMWARE_FILE);
	code = util_read_file(path, CHIP_FW_FILE_MAX, &image, &len, &err);
	if (code == -ENOENT && d->software && path == standard) {
		rung_skip(r, "none; a chip in software boots an image that is made for it");
		return;
	}
	if (code == 0)
		code = chip_firmware_parse((struct span){image, len}, &fw, &err);
	if (code == 0 && (fw.major != FW_SUPPORTED_MAJOR || fw.minor != FW_SUPPORTED_MINOR)) {
		rung_found(r, "%s, version %u.%u.%u", path, fw.major, fw.minor, fw.revision & FW_REVISION_NUMBER);
		code = hw_fail(&err, -ENOTSUP, "this driver speaks the protocol of %u.%u", FW_SUPPORTED_MAJOR,
			       FW_SUPPORTED_MINOR);
	}
	if (code == 0)
		rung_pass(r, "%s, version %u.%u.%u", path, fw.major, fw.minor, fw.revision & FW_REVISION_NUMBER);
	else
		rung_fail(r, "%s", err.text);
	if (code == -EACCES)
		rung_mend(r, "sudo chmod a+r %s", path);
	else if (code < 0)
		rung_mend(r, "sudo install -D -m 0644 hailo8_fw.4.23.0.bin " FIRMWARE_FILE
			     "   # the vendor's file, from its PCIe driver package %u.%u",
			  FW_SUPPORTED_MAJOR, FW_SUPPORTED_MINOR);
	free(image);
}
