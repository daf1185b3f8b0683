// SPDX-License-Identifier: MIT
/*
 * The virtual machine's card through VFIO, without any code of the driver's: regions, identity, MSI,
 * and that a function reset gives a chip as after power-on.  probe BDF GROUP
 */
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define REG_ID 0x98
#define REG_IMASK 0x188

static void check(int ok, const char *what)
{
	printf("%s: %s\n", what, ok ? "yes" : "NO");
	if (!ok)
		exit(1);
}

static uint64_t config_offset;

static uint32_t config(int dev, unsigned int off, unsigned int width)
{
	uint32_t v = 0;

	check(pread(dev, &v, width, (off_t)(config_offset + off)) == (ssize_t)width, "read config");
	return v;
}

int main(int argc, char **argv)
{
	static const uint32_t sizes[] = {0x4000, 0, 0x1000, 0, 0x4000, 0};
	struct vfio_device_info info = {.argsz = sizeof(info)};
	struct vfio_irq_info msi = {.argsz = sizeof(msi), .index = VFIO_PCI_MSI_IRQ_INDEX};
	struct vfio_region_info region = {.argsz = sizeof(region)};
	volatile uint32_t *bar[6] = {NULL};
	int container, group, dev;
	uint16_t command;
	char path[64];

	check(argc == 3, "usage");
	container = open("/dev/vfio/vfio", O_RDWR);
	snprintf(path, sizeof(path), "/dev/vfio/%s", argv[2]);
	group = open(path, O_RDWR);
	check(container >= 0 && group >= 0, "container and group open");
	check(!ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "group joins");
	check(!ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "type1 IOMMU");
	dev = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, argv[1]);
	check(dev >= 0, "device");
	check(!ioctl(dev, VFIO_DEVICE_GET_INFO, &info) && (info.flags & VFIO_DEVICE_FLAGS_RESET),
	      "it can be reset");
	for (unsigned int i = 0; i < 6; i++) {
		region.index = i;
		check(!ioctl(dev, VFIO_DEVICE_GET_REGION_INFO, &region) && region.size == sizes[i],
		      "region size");
		if (!region.size)
			continue;
		bar[i] = mmap(NULL, region.size, PROT_READ | PROT_WRITE, MAP_SHARED, dev,
			      (off_t)region.offset);
		check(bar[i] != MAP_FAILED, "region can be mapped");
	}
	region.index = VFIO_PCI_CONFIG_REGION_INDEX;
	check(!ioctl(dev, VFIO_DEVICE_GET_REGION_INFO, &region), "configuration space");
	config_offset = region.offset;
	check(!ioctl(dev, VFIO_DEVICE_GET_IRQ_INFO, &msi) && msi.count == 1, "one MSI");
	command = (uint16_t)(config(dev, 4, 2) | 6);
	check(pwrite(dev, &command, 2, (off_t)(config_offset + 4)) == 2, "bus mastering on");
	check(config(dev, 0, 4) == 0x28641e60, "IDs in configuration space");
	check(config(dev, 0x2c, 4) == 0x11001af4, "subsystem IDs");
	check(bar[0][REG_ID / 4] == 0x28641e60, "IDs in BAR0");
	check(bar[4][0] == 0xffffffff, "no window is enabled");
	bar[0][REG_IMASK / 4] = 0x04000000;
	check(bar[0][REG_IMASK / 4] == 0x04000000, "a register keeps what it is told");
	check(!ioctl(dev, VFIO_DEVICE_RESET), "function reset");
	command = (uint16_t)(config(dev, 4, 2) | 2);
	check(pwrite(dev, &command, 2, (off_t)(config_offset + 4)) == 2, "memory decoding on");
	check(bar[0][REG_IMASK / 4] == 0, "and is as after power-on");
	return 0;
}
