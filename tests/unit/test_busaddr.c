// SPDX-License-Identifier: MIT
/* Machines on which bus addresses are physical addresses, and others. */
#include "support/support.h"
#include "support/sysfs.h"

#include <unistd.h>

#include "backend/busaddr.h"

#define BDF "0000:01:00.0"
#define TREE "firmware/devicetree/base"

static char sys[200];

static void put_cells(const char *node, const char *name, size_t n, const uint32_t *value)
{
	char path[300];
	uint8_t bytes[64];

	snprintf(path, sizeof(path), TREE "%s/%s", node, name);
	sysfs_put(sys, path, "");
	for (size_t i = 0; i < n; i++) {
		bytes[4 * i] = (uint8_t)(value[i] >> 24);
		bytes[4 * i + 1] = (uint8_t)(value[i] >> 16);
		bytes[4 * i + 2] = (uint8_t)(value[i] >> 8);
		bytes[4 * i + 3] = (uint8_t)value[i];
	}
	snprintf(path, sizeof(path), "%s/" TREE "%s/%s", sys, node, name);
	spit(path, bytes, 4 * n);
}

static void put_sizes(const char *node, uint32_t address, uint32_t size)
{
	put_cells(node, "#address-cells", 1, &address);
	put_cells(node, "#size-cells", 1, &size);
}

/* A card below a host bridge that the device tree has as /soc/pcie. */
static void tree_machine(const char *name, bool coherent)
{
	char at[300], target[300];

	sysfs_new(sys, name);
	sysfs_device(sys, "platform/soc/pcie/pci0000:00/0000:00:00.0", BDF, "0x0b4000", NULL, -1);
	put_sizes("", 2, 2);
	put_sizes("/soc", 2, 2);
	put_sizes("/soc/pcie", 3, 2);
	if (coherent)
		sysfs_put(sys, TREE "/soc/pcie/dma-coherent", "");
	snprintf(at, sizeof(at), "%s/devices/platform/soc/pcie/of_node", sys);
	snprintf(target, sizeof(target), "%s/" TREE "/soc/pcie", sys);
	assert_int_equal(symlink(target, at), 0);
}

static void refused(bool pc, int code, const char *words)
{
	struct hw_error err = {0};
	int r = busaddr_check(sys, BDF, pc, &err);

	if (r != code || !strstr(err.text, words))
		fail_msg("%d instead of %d, '%s' in '%s'", r, code, words, err.text);
}

static void without_a_device_tree(void **state)
{
	struct hw_error err;

	(void)state;
	sysfs_new(sys, "pc");
	sysfs_device(sys, "pci0000:00/0000:00:01.0", BDF, "0x0b4000", NULL, -1);
	assert_ok(busaddr_check(sys, BDF, true, &err), &err);
	refused(false, -ENOTSUP, "no device tree");
	sysfs_put(sys, "hypervisor/type", "xen\n");
	refused(true, -ENOTSUP, "Xen");
	sysfs_put(sys, "hypervisor/type", "kvm\n");
	assert_ok(busaddr_check(sys, BDF, true, &err), &err);
	sysfs_new(sys, "empty");
	refused(true, -EIO, BDF);
}

static void equal_addresses(void **state)
{
	/* one to one: from 0, 4 GiB long */
	const uint32_t pci[] = {0x43000000, 0, 0, 0, 0, 1, 0}, soc[] = {0, 0, 0, 0, 1, 0};
	struct hw_error err;

	(void)state;
	tree_machine("silent", true); /* no dma-ranges: nothing is translated */
	assert_ok(busaddr_check(sys, BDF, false, &err), &err);
	tree_machine("empty-ranges", true);
	put_cells("/soc/pcie", "dma-ranges", 0, NULL);
	assert_ok(busaddr_check(sys, BDF, false, &err), &err);
	tree_machine("one-to-one", true);
	put_cells("/soc/pcie", "dma-ranges", 7, pci);
	put_cells("/soc", "dma-ranges", 6, soc);
	assert_ok(busaddr_check(sys, BDF, false, &err), &err);
	/* coherent by a bus above */
	tree_machine("above", false);
	refused(false, -ENOTSUP, "caches");
	refused(true, -ENOTSUP, "caches"); /* the tree counts, not the architecture */
	sysfs_put(sys, TREE "/soc/dma-coherent", "");
	assert_ok(busaddr_check(sys, BDF, false, &err), &err);
}

static void other_addresses(void **state)
{
	/* Raspberry Pi 5 (pcie 13.4): physical 0 is bus address 0x10_0000_0000 */
	const uint32_t pi5[] = {0x43000000, 0x10, 0, 0, 0, 0x10, 0};
	/* a second entry, and a bus above */
	const uint32_t second[] = {0x43000000, 0, 0, 0, 0, 0, 0x1000, 0x43000000, 0, 0x2000, 0, 0x3000, 0, 0x1000};
	const uint32_t soc[] = {0, 0, 0, 0x40000000, 0, 0x40000000};

	(void)state;
	tree_machine("pi5", false);
	put_cells("/soc/pcie", "dma-ranges", 7, pi5);
	refused(false, -ENOTSUP, "0x0 is 0x1000000000 there");
	tree_machine("second", true);
	put_cells("/soc/pcie", "dma-ranges", 14, second);
	refused(false, -ENOTSUP, "0x3000 is 0x2000 there");
	tree_machine("soc", true);
	put_cells("/soc", "dma-ranges", 6, soc);
	refused(false, -ENOTSUP, "0x40000000 is 0x0 there");
	tree_machine("odd", true);
	put_cells("/soc/pcie", "dma-ranges", 6, pi5);
	refused(false, -EIO, "makes no sense");
	tree_machine("cells", true);
	put_sizes("/soc", 9, 2);
	put_cells("/soc/pcie", "dma-ranges", 7, pi5);
	refused(false, -EIO, "makes no sense");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_device_tree),
		cmocka_unit_test(equal_addresses),
		cmocka_unit_test(other_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
