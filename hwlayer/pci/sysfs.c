// SPDX-License-Identifier: MIT
#include "pci/sysfs.h"
#include "pci/card.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void device_path(const char *sysfs, const char *bdf, const char *name, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/bus/pci/devices/%s/%s", sysfs, bdf, name);
}

static int read_line(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	buf[0] = 0;
	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	if (n < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	close(fd);
	buf[n] = 0;
	buf[strcspn(buf, "\n")] = 0;
	return 0;
}

int pci_attribute(const char *sysfs, const char *bdf, const char *name, char *buf, size_t size)
{
	char path[PATH_MAX];

	device_path(sysfs, bdf, name, path);
	return read_line(path, buf, size);
}

/* Last component of where a link leads. */
static int link_name(const char *path, char *name, size_t size)
{
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	const char *slash;

	name[0] = 0;
	if (n < 0)
		return errno == EINVAL ? -ENOENT : -errno;
	target[n] = 0;
	slash = strrchr(target, '/');
	snprintf(name, size, "%s", slash ? slash + 1 : target);
	return 0;
}

int pci_driver(const char *sysfs, const char *bdf, char *name, size_t size)
{
	char path[PATH_MAX];

	device_path(sysfs, bdf, "driver", path);
	return link_name(path, name, size);
}

int pci_iommu_group(const char *sysfs, const char *bdf)
{
	char path[PATH_MAX], name[16];
	char *end;
	long n;
	int r;

	device_path(sysfs, bdf, "iommu_group", path);
	r = link_name(path, name, sizeof(name));
	if (r < 0)
		return r;
	n = strtol(name, &end, 10);
	return end == name || *end || n < 0 || n > INT_MAX ? -ENOENT : (int)n;
}

bool pci_group_is_noiommu(const char *sysfs, int group)
{
	char path[PATH_MAX], name[32];

	snprintf(path, sizeof(path), "%s/kernel/iommu_groups/%d/name", sysfs, group);
	return read_line(path, name, sizeof(name)) == 0 && strcmp(name, "vfio-noiommu") == 0;
}

static int by_address(const void *a, const void *b)
{
	return strcmp(((const struct pci_member *)a)->bdf, ((const struct pci_member *)b)->bdf);
}

static void fill_member(const char *sysfs, const char *bdf, struct pci_member *m)
{
	char text[16];

	*m = (struct pci_member){0};
	snprintf(m->bdf, sizeof(m->bdf), "%s", bdf);
	(void)pci_driver(sysfs, bdf, m->driver, sizeof(m->driver));
	/* Base class 06 are bridges of all kinds; it is the first byte of three. */
	m->bridge = pci_attribute(sysfs, bdf, "class", text, sizeof(text)) == 0 &&
		    strtoul(text, NULL, 16) >> 16 == 0x06;
}

int pci_group_members(const char *sysfs, int group, struct pci_member **out, size_t *count)
{
	struct pci_member *all = NULL, *p;
	char path[PATH_MAX];
	struct dirent *e;
	size_t n = 0;
	DIR *dir;

	*out = NULL;
	*count = 0;
	snprintf(path, sizeof(path), "%s/kernel/iommu_groups/%d/devices", sysfs, group);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		p = realloc(all, (n + 1) * sizeof(*all));
		if (!p) {
			free(all);
			closedir(dir);
			return -ENOMEM;
		}
		all = p;
		fill_member(sysfs, e->d_name, &all[n++]);
	}
	closedir(dir);
	if (n)
		qsort(all, n, sizeof(*all), by_address);
	*out = all;
	*count = n;
	return 0;
}

int pci_upstream(const char *sysfs, const char *bdf, char upstream[16])
{
	char path[PATH_MAX], real[PATH_MAX], *slash;

	upstream[0] = 0;
	device_path(sysfs, bdf, "", path);
	if (!realpath(path, real))
		return -ENOENT;
	/* .../pci0000:00/0000:00:01.0/0000:01:00.0: the folder above is the port, or the host bridge. */
	slash = strrchr(real, '/');
	if (!slash)
		return -ENOENT;
	*slash = 0;
	slash = strrchr(real, '/');
	return slash && pci_parse_bdf(slash + 1, upstream) == 0 ? 0 : -ENOENT;
}

static unsigned int lanes(const char *sysfs, const char *bdf, const char *name)
{
	char text[16];

	if (pci_attribute(sysfs, bdf, name, text, sizeof(text)) < 0)
		return 0;
	return (unsigned int)strtoul(text, NULL, 10);
}

void pci_link_state(const char *sysfs, const char *bdf, struct pci_link *out)
{
	char text[8];

	*out = (struct pci_link){.l0s = -1};
	(void)pci_attribute(sysfs, bdf, "current_link_speed", out->speed, sizeof(out->speed));
	(void)pci_attribute(sysfs, bdf, "max_link_speed", out->max_speed, sizeof(out->max_speed));
	out->width = lanes(sysfs, bdf, "current_link_width");
	out->max_width = lanes(sysfs, bdf, "max_link_width");
	if (pci_attribute(sysfs, bdf, "link/l0s_aspm", text, sizeof(text)) == 0)
		out->l0s = text[0] == '1';
}

int pci_l0s_off(const char *sysfs, const char *bdf)
{
	char path[PATH_MAX];
	int fd, r = 0;

	device_path(sysfs, bdf, "link/l0s_aspm", path);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, "0", 1) != 1)
		r = errno ? -errno : -EIO;
	close(fd);
	return r;
}
