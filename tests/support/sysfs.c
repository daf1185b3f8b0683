// SPDX-License-Identifier: MIT
#include "support/sysfs.h"
#include "support/support.h"

#include <sys/stat.h>
#include <unistd.h>

/* All folders that lead to @path; the last component is a file's name. */
static void make_way(const char *path)
{
	char dir[512];

	for (const char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		snprintf(dir, sizeof(dir), "%.*s", (int)(p - path), path);
		if (mkdir(dir, 0755) < 0)
			assert_int_equal(errno, EEXIST);
	}
}

void sysfs_new(char path[200], const char *name)
{
	snprintf(path, 200, "%s/%s", tmp_dir(), name);
	assert_int_equal(mkdir(path, 0755), 0);
}

void sysfs_put(const char *sys, const char *path, const char *text)
{
	char full[512];

	snprintf(full, sizeof(full), "%s/%s", sys, path);
	make_way(full);
	spit(full, text, strlen(text));
}

static void put_link(const char *target, const char *at)
{
	make_way(at);
	assert_int_equal(symlink(target, at), 0);
}

void sysfs_device(const char *sys, const char *parent, const char *bdf, const char *class,
		  const char *driver, int group)
{
	char dir[400], at[512], target[512];

	snprintf(at, sizeof(at), "devices/%s/%s/class", parent, bdf);
	snprintf(target, sizeof(target), "%s\n", class);
	sysfs_put(sys, at, target);
	snprintf(dir, sizeof(dir), "%s/devices/%s/%s", sys, parent, bdf);
	snprintf(at, sizeof(at), "%s/bus/pci/devices/%s", sys, bdf);
	put_link(dir, at);
	if (driver) {
		snprintf(target, sizeof(target), "%s/bus/pci/drivers/%s", sys, driver);
		snprintf(at, sizeof(at), "%s/driver", dir);
		put_link(target, at);
	}
	if (group >= 0) {
		snprintf(target, sizeof(target), "%s/kernel/iommu_groups/%d", sys, group);
		snprintf(at, sizeof(at), "%s/iommu_group", dir);
		put_link(target, at);
		snprintf(at, sizeof(at), "%s/kernel/iommu_groups/%d/devices/%s", sys, group, bdf);
		put_link(dir, at);
	}
}
