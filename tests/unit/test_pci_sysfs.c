// SPDX-License-Identifier: MIT
/* sysfs as the kernel lays it out: devices/ has the tree, bus/pci/devices/ links into it. */
#include "support/sysfs.h"
#include "support/support.h"

#include "pci/sysfs.h"

static void drivers_and_groups(void **state)
{
	struct pci_member *m;
	char sys[200], name[32], up[16];
	size_t n;

	(void)state;
	sysfs_new(sys, "groups");
	sysfs_device(sys, "pci0000:00", "0000:00:01.0", "0x060400", "pcieport", 7);
	sysfs_device(sys, "pci0000:00/0000:00:01.0", "0000:01:00.1", "0x040300", NULL, 7);
	sysfs_device(sys, "pci0000:00/0000:00:01.0", "0000:01:00.0", "0x0b4000", "vfio-pci", 7);
	sysfs_device(sys, "pci0000:00", "0000:00:02.0", "0x0b4000", NULL, -1);

	assert_int_equal(pci_driver(sys, "0000:01:00.0", name, sizeof(name)), 0);
	assert_string_equal(name, "vfio-pci");
	assert_int_equal(pci_driver(sys, "0000:01:00.1", name, sizeof(name)), -ENOENT);
	assert_string_equal(name, "");
	assert_int_equal(pci_iommu_group(sys, "0000:01:00.0"), 7);
	assert_int_equal(pci_iommu_group(sys, "0000:00:02.0"), -ENOENT);
	assert_int_equal(pci_iommu_group(sys, "0000:09:00.0"), -ENOENT);

	assert_int_equal(pci_group_members(sys, 7, &m, &n), 0);
	assert_int_equal(n, 3);
	assert_string_equal(m[0].bdf, "0000:00:01.0");
	assert_string_equal(m[0].driver, "pcieport");
	assert_true(m[0].bridge);
	assert_string_equal(m[1].bdf, "0000:01:00.0");
	assert_string_equal(m[1].driver, "vfio-pci");
	assert_false(m[1].bridge);
	assert_string_equal(m[2].bdf, "0000:01:00.1");
	assert_string_equal(m[2].driver, "");
	assert_false(m[2].bridge);
	free(m);
	assert_int_equal(pci_group_members(sys, 8, &m, &n), -ENOENT);
	assert_null(m);

	assert_int_equal(pci_upstream(sys, "0000:01:00.0", up), 0);
	assert_string_equal(up, "0000:00:01.0");
	assert_int_equal(pci_upstream(sys, "0000:00:02.0", up), -ENOENT);
	assert_int_equal(pci_upstream(sys, "0000:09:00.0", up), -ENOENT);
}

static void groups_without_an_iommu(void **state)
{
	char sys[200];

	(void)state;
	sysfs_new(sys, "noiommu");
	sysfs_device(sys, "pci0000:00", "0000:00:02.0", "0x0b4000", "vfio-pci", 0);
	assert_false(pci_group_is_noiommu(sys, 0));
	sysfs_put(sys, "kernel/iommu_groups/0/name", "vfio-noiommu\n");
	assert_true(pci_group_is_noiommu(sys, 0));
	sysfs_put(sys, "kernel/iommu_groups/0/name", "vfio\n");
	assert_false(pci_group_is_noiommu(sys, 0));
	assert_false(pci_group_is_noiommu(sys, 1));
}

static void links(void **state)
{
	struct pci_link link;
	char sys[200], text[8];

	(void)state;
	sysfs_new(sys, "links");
	sysfs_device(sys, "pci0000:00", "0000:00:02.0", "0x0b4000", NULL, -1);
	pci_link_state(sys, "0000:00:02.0", &link);
	assert_string_equal(link.speed, "");
	assert_int_equal(link.width, 0);
	assert_int_equal(link.l0s, -1);
	assert_int_equal(pci_l0s_off(sys, "0000:00:02.0"), -ENOENT);

	sysfs_put(sys, "devices/pci0000:00/0000:00:02.0/current_link_speed", "5.0 GT/s PCIe\n");
	sysfs_put(sys, "devices/pci0000:00/0000:00:02.0/max_link_speed", "8.0 GT/s PCIe\n");
	sysfs_put(sys, "devices/pci0000:00/0000:00:02.0/current_link_width", "1\n");
	sysfs_put(sys, "devices/pci0000:00/0000:00:02.0/max_link_width", "4\n");
	sysfs_put(sys, "devices/pci0000:00/0000:00:02.0/link/l0s_aspm", "1\n");
	pci_link_state(sys, "0000:00:02.0", &link);
	assert_string_equal(link.speed, "5.0 GT/s PCIe");
	assert_string_equal(link.max_speed, "8.0 GT/s PCIe");
	assert_int_equal(link.width, 1);
	assert_int_equal(link.max_width, 4);
	assert_int_equal(link.l0s, 1);
	assert_int_equal(pci_l0s_off(sys, "0000:00:02.0"), 0);
	assert_int_equal(pci_attribute(sys, "0000:00:02.0", "link/l0s_aspm", text, sizeof(text)), 0);
	assert_string_equal(text, "0");
	pci_link_state(sys, "0000:00:02.0", &link);
	assert_int_equal(link.l0s, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(drivers_and_groups),
		cmocka_unit_test(groups_without_an_iommu),
		cmocka_unit_test(links),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
