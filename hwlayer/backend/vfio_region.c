// SPDX-License-Identifier: MIT
/* BARs and configuration space of a VFIO device. */
#include "backend/config_space.h"
#include "backend/vfio.h"
#include "chip/regs.h"
#include "pci/sysfs.h"

#include <endian.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <linux/pci_regs.h>
#include <linux/vfio.h>

#define CAPS_MAX 4096u

/* How much of each is used; cards were seen to have 16, 4 and 16 KiB (pcie 1.2, 11.1). */
static const struct {
	unsigned int bar;
	uint32_t min;
} wanted[] = {
	{CHIP_BAR_CONFIG, 0x780},
	{CHIP_BAR_VDMA, 0x400},
	{CHIP_BAR_FW, 0x4000},
};

static int region_info(struct vfio *v, uint32_t index, struct vfio_region_info *info,
		       struct hw_error *err)
{
	int r;

	*info = (struct vfio_region_info){.argsz = sizeof(*info), .index = index};
	r = v->k->ioctl(v->device, VFIO_DEVICE_GET_REGION_INFO, info);
	if (r < 0)
		return hw_fail(err, r, "%s: VFIO tells nothing about region %u: %s", v->be.bdf, index,
			       strerror(-r));
	return 0;
}

/* Of some BARs only parts may be mapped (around an MSI-X table); those are not worth the trouble. */
static bool in_parts(struct vfio *v, const struct vfio_region_info *info)
{
	struct vfio_region_info *all;
	uint32_t off, size = info->argsz;
	bool sparse = true;

	if (!(info->flags & VFIO_REGION_INFO_FLAG_CAPS))
		return false;
	if (size < sizeof(*info) || size > CAPS_MAX)
		return true;
	all = calloc(1, size);
	if (!all)
		return true;
	*all = (struct vfio_region_info){.argsz = size, .index = info->index};
	if (v->k->ioctl(v->device, VFIO_DEVICE_GET_REGION_INFO, all) < 0)
		goto out;
	sparse = false;
	for (off = all->cap_offset; off >= sizeof(*all) &&
				    off <= size - sizeof(struct vfio_info_cap_header);) {
		const struct vfio_info_cap_header *cap = (const void *)((const uint8_t *)all + off);

		sparse |= cap->id == VFIO_REGION_INFO_CAP_SPARSE_MMAP;
		if (cap->next <= off)
			break;
		off = cap->next;
	}
out:
	free(all);
	return sparse;
}

static int open_bar(struct vfio *v, unsigned int bar, uint32_t min, struct hw_error *err)
{
	const uint32_t access = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	struct vfio_region_info info;
	int r = region_info(v, bar, &info, err);
	void *p = NULL;
	size_t size;

	if (r < 0)
		return r;
	if (info.size < min || info.size > UINT32_MAX || (info.flags & access) != access)
		return hw_fail(err, -ENODEV,
			       "%s: BAR %u has %llu bytes, at least %u are needed: the card got no "
			       "addresses from the firmware, or it is another chip",
			       v->be.bdf, bar, (unsigned long long)info.size, min);
	v->be.bar_len[bar] = (uint32_t)info.size;
	v->bar_off[bar] = info.offset;
	if (!(info.flags & VFIO_REGION_INFO_FLAG_MMAP) || in_parts(v, &info))
		goto slow;
	/* A BAR smaller than a page is mapped with the rest of its page. */
	size = align_up(info.size, kernel_page(v->k));
	r = v->k->mmap(&p, size, PROT_READ | PROT_WRITE, MAP_SHARED, v->device, (off_t)info.offset);
	if (r < 0)
		goto slow;
	v->be.bar[bar] = p;
	v->bar_mapped[bar] = size;
	return 0;
slow:
	hw_log(HW_LOG_WARNING, "%s: BAR %u cannot be mapped%s%s: each access to it is a system call",
	       v->be.bdf, bar, r < 0 ? ": " : "", r < 0 ? strerror(-r) : "");
	return 0;
}

/* L0s goes off by whoever may: Link Control is read-only through VFIO (pcie 1.3, 13.2). */
static void check_link(struct vfio *v)
{
	struct pci_link link;
	char mend[PATH_MAX + 80];
	int r;

	pci_link_state(v->k->sysfs, v->be.bdf, &link);
	if (link.width)
		hw_log(HW_LOG_INFO, "%s: link %s x%u, able to do %s x%u", v->be.bdf, link.speed, link.width,
		       link.max_speed, link.max_width);
	if (!v->be.l0s)
		return;
	r = pci_l0s_off(v->k->sysfs, v->be.bdf);
	if (r == 0) {
		hw_log(HW_LOG_INFO, "%s: the link's power saving state L0s was on: turned off",
		       v->be.bdf);
		return;
	}
	/* Where the firmware keeps ASPM to itself, the kernel has no switch for it. */
	if (r == -ENOENT)
		snprintf(mend, sizeof(mend), "setpci -s %s CAP_EXP+10.w=0:1, and the same for the port above it",
			 v->be.bdf);
	else
		snprintf(mend, sizeof(mend),
			 "echo 0 > %s/bus/pci/devices/%s/link/l0s_aspm, or boot with pcie_aspm=off",
			 v->k->sysfs, v->be.bdf);
	hw_log(HW_LOG_WARNING,
	       "%s: the link's power saving state L0s is on (%s); the vendor's driver turns it off, some "
	       "cards do not work with it.  As root: %s",
	       v->be.bdf, strerror(-r), mend);
}

static int open_config(struct vfio *v, struct hw_error *err)
{
	uint8_t cfg[CONFIG_SPACE_SIZE];
	struct vfio_region_info info;
	uint16_t command;
	int r = region_info(v, VFIO_PCI_CONFIG_REGION_INDEX, &info, err);

	if (r < 0)
		return r;
	v->config = info.offset;
	r = vfio_config_read(v, 0, cfg, sizeof(cfg));
	if (r < 0)
		return hw_fail(err, r, "%s: cannot read its configuration space: %s", v->be.bdf,
			       strerror(-r));
	config_space_facts(cfg, &v->be);
	if (v->be.vendor == 0xffff)
		return hw_fail(err, -ENODEV,
			       "%s: the card does not answer: its configuration space reads all ones",
			       v->be.bdf);
	if (v->be.vendor != CHIP_PCI_VENDOR || v->be.device != CHIP_PCI_DEVICE)
		return hw_fail(err, -ENODEV, "%s is no Hailo-8 but %04x:%04x", v->be.bdf, v->be.vendor,
			       v->be.device);
	command = (uint16_t)(cfg[PCI_COMMAND] | cfg[PCI_COMMAND + 1] << 8);
	if (command & PCI_COMMAND_MEMORY)
		return 0;
	command = htole16(command | PCI_COMMAND_MEMORY);
	r = v->k->pwrite(v->device, &command, 2, (off_t)(v->config + PCI_COMMAND));
	return r < 0 ? hw_fail(err, r, "%s: cannot enable its BARs: %s", v->be.bdf, strerror(-r)) : 0;
}

int vfio_regions_open(struct vfio *v, struct hw_error *err)
{
	int r = open_config(v, err);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(wanted); i++)
		r = open_bar(v, wanted[i].bar, wanted[i].min, err);
	if (r < 0)
		vfio_regions_close(v);
	else
		check_link(v);
	return r;
}

void vfio_regions_close(struct vfio *v)
{
	for (size_t i = 0; i < ARRAY_SIZE(v->bar_mapped); i++) {
		if (v->bar_mapped[i])
			v->k->munmap((void *)(uintptr_t)v->be.bar[i], v->bar_mapped[i]);
		v->be.bar[i] = NULL;
		v->bar_mapped[i] = 0;
	}
}

uint32_t vfio_read32(struct backend *be, unsigned int bar, uint32_t off)
{
	struct vfio *v = to_vfio(be);
	uint32_t value;

	/* What cannot be read any more reads as a card that is gone. */
	if (v->k->pread(v->device, &value, sizeof(value), (off_t)(v->bar_off[bar] + off)) < 0)
		return UINT32_MAX;
	return le32toh(value);
}

void vfio_write32(struct backend *be, unsigned int bar, uint32_t off, uint32_t value)
{
	struct vfio *v = to_vfio(be);

	value = htole32(value);
	/* The next read notices a card that is gone, as with a mapped BAR. */
	(void)v->k->pwrite(v->device, &value, sizeof(value), (off_t)(v->bar_off[bar] + off));
}

void vfio_write16(struct backend *be, unsigned int bar, uint32_t off, uint16_t value)
{
	struct vfio *v = to_vfio(be);

	value = htole16(value);
	(void)v->k->pwrite(v->device, &value, sizeof(value), (off_t)(v->bar_off[bar] + off));
}

int vfio_config_read(struct vfio *v, uint32_t off, void *buf, size_t size)
{
	return v->k->pread(v->device, buf, size, (off_t)(v->config + off));
}

/* Under the lock. */
static int put_bus_master(struct vfio *v, bool on)
{
	uint16_t command;
	int r = vfio_config_read(v, PCI_COMMAND, &command, sizeof(command));

	if (r < 0)
		return r;
	command = le16toh(command);
	if (command == UINT16_MAX)
		return -ENODEV;
	command = (uint16_t)(on ? command | PCI_COMMAND_MASTER : command & ~PCI_COMMAND_MASTER);
	command = htole16(command);
	return v->k->pwrite(v->device, &command, sizeof(command), (off_t)(v->config + PCI_COMMAND));
}

void vfio_set_bus_master(struct backend *be, bool on)
{
	struct vfio *v = to_vfio(be);
	int r = 0;

	pthread_mutex_lock(&v->command);
	if (!on || !backend_lost(be))
		r = put_bus_master(v, on);
	pthread_mutex_unlock(&v->command);
	if (r < 0 && r != -ENODEV) /* a card that is gone has none */
		hw_log(HW_LOG_WARNING, "%s: bus mastering cannot be turned %s: %s", be->bdf,
		       on ? "on" : "off", strerror(-r));
}

void vfio_lose(struct vfio *v)
{
	pthread_mutex_lock(&v->command);
	__atomic_store_n(&v->be.lost, true, __ATOMIC_RELEASE);
	/* Its owner will free memory without asking the chip, which it takes for gone. */
	(void)put_bus_master(v, false);
	pthread_mutex_unlock(&v->command);
}
