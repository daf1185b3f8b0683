// SPDX-License-Identifier: MIT
#include "pci/nodes.h"
#include "backend/lock.h"
#include "pci/sysfs.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* DIR/dev has "MAJOR:MINOR", DIR/uevent "DEVNAME=uio0". */
static bool read_node(const char *dir, struct pci_node *node)
{
	char path[PATH_MAX], line[128];
	unsigned int major_number, minor_number;
	FILE *f;
	int n;

	snprintf(path, sizeof(path), "%s/dev", dir);
	f = fopen(path, "re");
	if (!f)
		return false;
	n = fscanf(f, "%u:%u", &major_number, &minor_number);
	fclose(f);
	if (n != 2)
		return false;
	*node = (struct pci_node){.number = makedev(major_number, minor_number)};
	snprintf(path, sizeof(path), "%s/uevent", dir);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		if (strncmp(line, "DEVNAME=", 8) == 0)
			snprintf(node->path, sizeof(node->path), "/dev/%s", line + 8);
	}
	if (f)
		fclose(f);
	return node->path[0];
}

/* Each folder of @dir that has a node becomes one of @nodes. */
static size_t nodes_below(const char *dir, struct pci_node *nodes, size_t n)
{
	char path[PATH_MAX];
	struct dirent *e;
	DIR *d = opendir(dir);

	while (d && n < PCI_NODES_MAX && (e = readdir(d))) {
		if (e->d_name[0] == '.' || e->d_type != DT_DIR)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		n += read_node(path, &nodes[n]);
	}
	if (d)
		closedir(d);
	return n;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct pci_node *)a)->path, ((const struct pci_node *)b)->path);
}

size_t pci_nodes(const char *sysfs, const char *bdf, struct pci_node nodes[PCI_NODES_MAX])
{
	char dir[PATH_MAX], path[PATH_MAX], driver[32];
	struct dirent *e;
	size_t n = 0;
	DIR *d;

	/* A driver's class devices are two levels below the function: BDF/uio/uio0. */
	snprintf(dir, sizeof(dir), "%s/bus/pci/devices/%s", sysfs, bdf);
	d = opendir(dir);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.' || e->d_type != DT_DIR)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		n = nodes_below(path, nodes, n);
	}
	if (d)
		closedir(d);
	/* VFIO's group node belongs to no function. */
	if (n < PCI_NODES_MAX && pci_driver(sysfs, bdf, driver, sizeof(driver)) == 0 &&
	    strcmp(driver, "vfio-pci") == 0) {
		int group = pci_iommu_group(sysfs, bdf);

		snprintf(dir, sizeof(dir), "%s/class/vfio/%d", sysfs, group);
		if (group >= 0 && !read_node(dir, &nodes[n])) {
			snprintf(dir, sizeof(dir), "%s/class/vfio/noiommu-%d", sysfs, group);
			n += read_node(dir, &nodes[n]);
		} else {
			n += group >= 0;
		}
	}
	qsort(nodes, n, sizeof(*nodes), by_path);
	return n;
}

static const struct pci_node *opened(const char *fds, const struct pci_node *nodes, size_t n)
{
	const struct pci_node *found = NULL;
	char path[PATH_MAX];
	struct dirent *e;
	struct stat st;
	DIR *d = opendir(fds);

	while (d && !found && (e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", fds, e->d_name);
		if (stat(path, &st) < 0 || !S_ISCHR(st.st_mode))
			continue;
		for (size_t i = 0; i < n && !found; i++)
			found = st.st_rdev == nodes[i].number ? &nodes[i] : NULL;
	}
	if (d)
		closedir(d);
	return found;
}

int pci_nodes_in_use(const struct pci_node *nodes, size_t n, const char *bdf, struct hw_error *err)
{
	DIR *proc = n ? opendir("/proc") : NULL;
	struct dirent *e;
	int r = 0;

	while (proc && r == 0 && (e = readdir(proc))) {
		const struct pci_node *node;
		char fds[64], name[16], *end;
		long pid = strtol(e->d_name, &end, 10);

		if (*end || pid <= 0)
			continue;
		snprintf(fds, sizeof(fds), "/proc/%ld/fd", pid);
		node = opened(fds, nodes, n);
		if (!node)
			continue;
		lock_process_name((pid_t)pid, name);
		r = hw_fail(err, -EBUSY, "the card at %s is in use by PID %ld (%s), which has %s open", bdf,
			    pid, name[0] ? name : "gone", node->path);
	}
	if (proc)
		closedir(proc);
	return r;
}
