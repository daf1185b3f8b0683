// SPDX-License-Identifier: MIT
#include "pci/bind.h"
#include "chip/regs.h"
#include "pci/nodes.h"
#include "pci/sysfs.h"

#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROBE_MS 2000 /* a driver may be probed in the background */

int pci_bind_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC), r = 0;
	size_t len = strlen(text);

	if (fd < 0)
		return -errno;
	errno = 0;
	if (write(fd, text, len) != (ssize_t)len)
		r = errno ? -errno : -EIO;
	close(fd);
	return r;
}

int pci_bind_modprobe(const char *program, const char *module, struct hw_error *err)
{
	/* posix_spawn() wants them writable and leaves them alone */
	char *argv[] = {(char *)(uintptr_t)"modprobe", (char *)(uintptr_t)module, NULL};
	char *env[] = {(char *)(uintptr_t)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
	int status = 0, r;
	pid_t pid;

	r = posix_spawn(&pid, program, NULL, NULL, argv, env);
	if (r)
		return hw_fail(err, -r, "cannot run %s: %s (apt install kmod)", program, strerror(r));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return hw_fail(err, -errno, "modprobe %s: %s", module, strerror(errno));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return hw_fail(err, -ENOENT, "modprobe %s failed: this kernel has no such module, or it does not load",
		       module);
}

const char *pci_bind_module(const char *driver)
{
	return strcmp(driver, PCI_DRIVER_VENDOR) == 0 ? "hailo_pci" : driver;
}

/*
 * On a board with a device tree the kernel may give a function its group only when a driver takes it
 * (seen with Linux 6.1 and an SMMU); the port above has a driver, and by then a group.
 */
const char *pci_bind_choice(const char *sysfs, const char *bdf)
{
	int group = pci_iommu_group(sysfs, bdf);
	char port[16];

	if (group < 0 && pci_upstream(sysfs, bdf, port) == 0)
		group = pci_iommu_group(sysfs, port);
	return group >= 0 && !pci_group_is_noiommu(sysfs, group) ? PCI_DRIVER_VFIO : PCI_DRIVER_UIO;
}

static int check_ids(const struct pci_bind *b, struct hw_error *err)
{
	char vendor[16], device[16];

	if (pci_attribute(b->sysfs, b->bdf, "vendor", vendor, sizeof(vendor)) < 0 ||
	    pci_attribute(b->sysfs, b->bdf, "device", device, sizeof(device)) < 0)
		return hw_fail(err, -ENODEV, "there is no PCI function %s", b->bdf);
	if (strtoul(vendor, NULL, 16) == CHIP_PCI_VENDOR && strtoul(device, NULL, 16) == CHIP_PCI_DEVICE)
		return 0;
	return hw_fail(err, -ENOTSUP,
		       "%s is %s:%s, no Hailo-8 (%04x:%04x): this tool changes the driver of no other device",
		       b->bdf, strncmp(vendor, "0x", 2) ? vendor : vendor + 2,
		       strncmp(device, "0x", 2) ? device : device + 2, CHIP_PCI_VENDOR, CHIP_PCI_DEVICE);
}

/* "driver/unbind" of the function, "drivers_probe" of the bus, ... */
static int put(const struct pci_bind *b, const char *text, struct hw_error *err, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
static int put(const struct pci_bind *b, const char *text, struct hw_error *err, const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list ap;
	int n, r;

	n = snprintf(path, sizeof(path), "%s/bus/pci/", b->sysfs);
	va_start(ap, fmt);
	vsnprintf(path + n, sizeof(path) - (size_t)n, fmt, ap);
	va_end(ap);
	r = b->write(b->user, path, text);
	if (r == -EACCES || r == -EPERM)
		return hw_fail(err, -EACCES, "cannot write %s: %s (this needs root: sudo)", path,
			       strerror(-r));
	return r < 0 ? hw_fail(err, r, "cannot write %s: %s", path, strerror(-r)) : 0;
}

static bool driver_is_there(const struct pci_bind *b, const char *driver)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/bus/pci/drivers/%s", b->sysfs, driver);
	return access(path, F_OK) == 0;
}

static int need_driver(const struct pci_bind *b, const char *driver, struct hw_error *err)
{
	int r;

	if (driver_is_there(b, driver))
		return 0;
	r = b->modprobe(b->user, pci_bind_module(driver), err);
	if (r == 0 && !b->dry && !driver_is_there(b, driver))
		r = hw_fail(err, -ENOENT, "module %s was loaded, but brought no PCI driver %s",
			    pci_bind_module(driver), driver);
	return r;
}

static int not_in_use(const struct pci_bind *b, struct hw_error *err)
{
	struct pci_node nodes[PCI_NODES_MAX];

	/* Taking a function from vfio-pci blocks in the kernel until its user lets go. */
	return b->force ? 0 : pci_nodes_in_use(nodes, pci_nodes(b->sysfs, b->bdf, nodes), b->bdf, err);
}

static bool has_driver(const struct pci_bind *b, const char *driver)
{
	char now[32];

	(void)pci_driver(b->sysfs, b->bdf, now, sizeof(now));
	return strcmp(now, driver) == 0;
}

static bool wait_for_driver(const struct pci_bind *b, const char *driver)
{
	uint64_t end = util_now_ms() + PROBE_MS;
	bool late = false;

	while (!late) {
		late = util_now_ms() >= end;
		if (has_driver(b, driver))
			return true;
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
	return false;
}

static int override(const struct pci_bind *b, const char *driver, struct hw_error *err)
{
	/* A newline alone clears it. */
	return put(b, driver[0] ? driver : "\n", err, "devices/%s/driver_override", b->bdf);
}

static int let_go(const struct pci_bind *b, struct hw_error *err)
{
	return put(b, b->bdf, err, "devices/%s/driver/unbind", b->bdf);
}

static int probe(const struct pci_bind *b, struct hw_error *err)
{
	return put(b, b->bdf, err, "drivers_probe");
}

int pci_bind(const struct pci_bind *b, const char *driver, char was[32], struct hw_error *err)
{
	char before[32];
	int r = check_ids(b, err);

	was[0] = 0;
	if (r < 0)
		return r;
	(void)pci_driver(b->sysfs, b->bdf, was, 32);
	if (pci_attribute(b->sysfs, b->bdf, "driver_override", before, sizeof(before)) < 0 ||
	    strcmp(before, "(null)") == 0)
		before[0] = 0;
	/* Also when it is bound: a driver that comes later shall not have it. */
	if (strcmp(was, driver) == 0)
		return strcmp(before, driver) == 0 ? 0 : override(b, driver, err);
	r = not_in_use(b, err);
	if (r == 0)
		r = need_driver(b, driver, err);
	/* hailo_uio and the vendor's driver know the ID, and take a free card when they are loaded. */
	if (r == 0)
		r = override(b, driver, err);
	if (r < 0)
		return r;
	if (!b->dry && has_driver(b, driver))
		return 0;
	if (was[0])
		r = let_go(b, err);
	if (r == 0)
		r = probe(b, err);
	if (r == 0 && !b->dry && !wait_for_driver(b, driver))
		r = hw_fail(err, -EIO, "driver %s did not take %s; the kernel's reason: dmesg | grep %s", driver,
			    b->bdf, b->bdf);
	if (r < 0) {
		struct hw_error ignored;

		(void)override(b, before, &ignored);
		if (was[0])
			(void)probe(b, &ignored);
	}
	return r;
}

int pci_unbind(const struct pci_bind *b, char was[32], struct hw_error *err)
{
	int r = check_ids(b, err);

	was[0] = 0;
	if (r < 0)
		return r;
	(void)pci_driver(b->sysfs, b->bdf, was, 32);
	if (was[0])
		r = not_in_use(b, err);
	if (r == 0)
		r = override(b, "", err);
	if (r == 0 && was[0])
		r = let_go(b, err);
	return r;
}
