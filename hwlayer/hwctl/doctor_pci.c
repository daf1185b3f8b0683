// SPDX-License-Identifier: MIT
/* hwctl doctor: the rungs that the PCI bus answers. */
#include "hwctl/doctor.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chip/regs.h"
#include "pci/card.h"
#include "pci/sysfs.h"
#include "util/bytes.h"

#define RESCAN "echo 1 | sudo tee /sys/bus/pci/rescan"

static unsigned long hex_attribute(const char *bdf, const char *name)
{
	char text[16];

	return pci_attribute(host_sysfs(), bdf, name, text, sizeof(text)) < 0 ? ULONG_MAX : strtoul(text, NULL, 16);
}

/* Functions of this vendor that are another chip; "" when there are none. */
static void other_chips(char *text, size_t size)
{
	char dir[PATH_MAX];
	struct dirent *e;
	size_t n = 0;
	DIR *d = opendir(host_path(dir, "/sys/bus/pci/devices"));

	text[0] = 0;
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.' || hex_attribute(e->d_name, "vendor") != CHIP_PCI_VENDOR)
			continue;
		n += (size_t)snprintf(text + n, size - n, "%s%s (1e60:%04lx)", n ? ", " : "", e->d_name,
				      hex_attribute(e->d_name, "device") & 0xffff);
		if (n >= size)
			break;
	}
	if (d)
		closedir(d);
}

static void no_card(struct doctor *d, struct rung *r)
{
	char others[128];

	other_chips(others, sizeof(others));
	if (others[0]) {
		rung_fail(r, "no Hailo-8 (1e60:2864); of the same vendor there is %s, a chip that this driver "
			     "does not know",
			  others);
		rung_mend(r, "lspci -nn -d 1e60:");
		return;
	}
	rung_fail(r, "no PCI function 1e60:2864: the card has no power, is not seated, its slot is off, or "
		     "its link does not train");
	if (d->pi5)
		rung_mend(r, "grep -q '^dtparam=pciex1' /boot/firmware/config.txt || echo dtparam=pciex1 | "
			     "sudo tee -a /boot/firmware/config.txt; sudo reboot");
	rung_mend(r, "sudo poweroff   # then seat the card%s, and start again",
		  d->pi5 ? " and its ribbon cable" : "");
	rung_mend(r, RESCAN);
	rung_mend(r, "lspci -nn -d 1e60: ; sudo dmesg | grep -i pcie");
}

static bool take_named(struct doctor *d, const char *wanted, struct rung *r)
{
	unsigned long vendor, device;

	(void)pci_parse_bdf(wanted, d->bdf);
	vendor = hex_attribute(d->bdf, "vendor");
	device = hex_attribute(d->bdf, "device");
	if (vendor == ULONG_MAX) {
		rung_fail(r, "there is no PCI function %s", d->bdf);
		rung_mend(r, "hwctl list");
		rung_mend(r, RESCAN);
		return false;
	}
	if (vendor == CHIP_PCI_VENDOR && device == CHIP_PCI_DEVICE)
		return true;
	rung_fail(r, "%s is %04lx:%04lx, no Hailo-8 (1e60:2864)", d->bdf, vendor, device & 0xffff);
	rung_mend(r, "hwctl list");
	return false;
}

/* The vendor attribute is the kernel's memory; config is read from the card. */
static bool answers(const struct doctor *d)
{
	char name[64], path[PATH_MAX];
	uint8_t *bytes = NULL;
	bool alive = true;
	size_t len;

	snprintf(name, sizeof(name), "/sys/bus/pci/devices/%s/config", d->bdf);
	if (util_read_file(host_path(path, name), 4096, &bytes, &len, NULL) == 0)
		alive = len >= 4 && get_le32(bytes) != UINT32_MAX;
	free(bytes);
	return alive;
}

void doctor_card(struct doctor *d, const char *wanted, struct rung *r)
{
	struct hw_error err = {0};
	struct hw_card *cards = NULL;
	size_t n = 0;

	if (wanted) {
		if (!take_named(d, wanted, r))
			return;
	} else if (host_cards(&cards, &n, &err) < 0) {
		rung_fail(r, "%s", err.text);
		rung_mend(r, "ls -l /sys/bus/pci/devices");
		return;
	} else if (!n) {
		no_card(d, r);
		return;
	} else {
		memcpy(d->bdf, cards[0].bdf, sizeof(d->bdf));
	}
	free(cards);
	(void)pci_driver(host_sysfs(), d->bdf, d->driver, sizeof(d->driver));
	d->group = pci_iommu_group(host_sysfs(), d->bdf);
	d->software = hex_attribute(d->bdf, "subsystem_vendor") == CHIP_SOFT_SUBSYS_VENDOR &&
		      hex_attribute(d->bdf, "subsystem_device") == CHIP_SOFT_SUBSYS_DEVICE;
	d->noiommu = d->group >= 0 && pci_group_is_noiommu(host_sysfs(), d->group);
	if (!answers(d)) {
		rung_found(r, "%s", d->bdf);
		rung_fail(r, "the kernel knows the card, but reads of it return all ones: its link is down");
		rung_mend(r, "echo 1 | sudo tee /sys/bus/pci/devices/%s/remove; " RESCAN, d->bdf);
		rung_mend(r, "sudo poweroff   # and start again: the card needs to lose its power");
		return;
	}
	rung_pass(r, "%s, Hailo-8 family (1e60:2864)%s", d->bdf,
		  n > 1 ? "; there are more: name the one that is meant" : "");
}

/* ------------------------------------------------------------------------------------- BARs */

void doctor_bars(struct doctor *d, struct rung *r)
{
	/* what the driver reaches (pcie 1.2) */
	static const struct {
		unsigned int bar;
		uint64_t least;
	} wanted[] = {{0, 0x780}, {2, 0x400}, {4, 0x4000}};
	uint64_t len[6] = {0};
	char name[64], path[PATH_MAX], sizes[96];
	FILE *f;

	snprintf(name, sizeof(name), "/sys/bus/pci/devices/%s/resource", d->bdf);
	f = fopen(host_path(path, name), "re");
	for (unsigned int i = 0; f && i < 6; i++) {
		uint64_t start, end;

		if (fscanf(f, "%" SCNx64 " %" SCNx64 " %*s", &start, &end) != 2)
			break;
		len[i] = start && end > start ? end - start + 1 : 0;
	}
	if (f)
		fclose(f);
	snprintf(sizes, sizeof(sizes), "BAR0 %" PRIu64 ", BAR2 %" PRIu64 ", BAR4 %" PRIu64 " bytes", len[0],
		 len[2], len[4]);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		if (len[wanted[i].bar] >= wanted[i].least)
			continue;
		rung_found(r, "%s", sizes);
		rung_fail(r, "BAR%u has %s: the kernel found no room for it", wanted[i].bar,
			  len[wanted[i].bar] ? "too little address space" : "no address");
		rung_mend(r, "echo 1 | sudo tee /sys/bus/pci/devices/%s/remove; " RESCAN, d->bdf);
		rung_mend(r, "sudo dmesg | grep -e 'BAR [0-9]' -e %s   # why; kernel option: pci=realloc", d->bdf);
		return;
	}
	rung_pass(r, "%s", sizes);
}

/* ------------------------------------------------------------------------------------- link */

/* "8.0 GT/s PCIe" in tenths; 0: not known */
static unsigned int tenths(const char *speed)
{
	double v = strtod(speed, NULL);

	return v > 0 && v < 1000 ? (unsigned int)(v * 10 + 0.5) : 0;
}

static unsigned int lower(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

void doctor_link(struct doctor *d, struct rung *r)
{
	struct pci_link card, slot = {0};
	unsigned int speed, width, best_speed, best_width, card_speed;
	char upstream[16];

	pci_link_state(host_sysfs(), d->bdf, &card);
	speed = tenths(card.speed);
	width = card.width;
	card_speed = tenths(card.max_speed);
	if (pci_upstream(host_sysfs(), d->bdf, upstream) == 0)
		pci_link_state(host_sysfs(), upstream, &slot);
	if (!speed || !width || !card_speed || !card.max_width) {
		rung_skip(r, "the kernel does not say how fast the link is");
		return;
	}
	if (!tenths(slot.max_speed) || !slot.max_width) {
		rung_skip(r, "%u.%u GT/s x%u; the card sits in no slot that says what it can", speed / 10,
			  speed % 10, width);
		return;
	}
	best_speed = lower(card_speed, tenths(slot.max_speed));
	best_width = lower(card.max_width, slot.max_width);
	if (speed >= best_speed && width >= best_width) {
		rung_pass(r, "%u.%u GT/s x%u, all that the slot gives%s%s", speed / 10, speed % 10, width,
			  best_speed < card_speed ? "; the card could go faster" : "",
			  best_speed < card_speed && d->pi5
				  ? ": dtparam=pciex1_gen=3 in /boot/firmware/config.txt"
				  : "");
		return;
	}
	rung_found(r, "%u.%u GT/s x%u, card and slot can %u.%u GT/s x%u", speed / 10, speed % 10, width,
		   best_speed / 10, best_speed % 10, best_width);
	rung_fail(r, "the link trained below what both sides can: bad contact, cable, adapter or power");
	rung_mend(r, "sudo poweroff   # then seat the card%s again", d->pi5 ? " and its ribbon cable" : "");
	rung_mend(r, "sudo lspci -vv -s %s | grep -e LnkSta -e LnkCap", d->bdf);
	if (d->pi5)
		rung_mend(r, "sudo sed -i 's/^dtparam=pciex1_gen=3/#&/' /boot/firmware/config.txt; sudo reboot   # "
			     "a link that is slower by choice");
}

/* -------------------------------------------------------------------------------------- MSI */

#define PCI_CAP_POINTER 0x34
#define PCI_CAP_MSI 0x05
#define HEADER_BYTES 64 /* all that anybody but root gets to read */

/* 1: it is there, 0: it is not, -1: this user cannot see it */
static int has_msi(const uint8_t *config, size_t len)
{
	size_t at = len >= HEADER_BYTES ? config[PCI_CAP_POINTER] & ~3u : 0;

	if (len < HEADER_BYTES)
		return -1;
	for (unsigned int i = 0; at >= HEADER_BYTES && i < 48; i++) {
		if (at + 2 > len)
			return -1;
		if (config[at] == PCI_CAP_MSI)
			return 1;
		at = config[at + 1] & ~3u;
	}
	return 0;
}

static bool kernel_option(const char *wanted)
{
	char path[PATH_MAX], line[4096] = "";
	FILE *f = fopen(host_path(path, "/proc/cmdline"), "re");
	char *save = NULL;

	if (f && !fgets(line, sizeof(line), f))
		line[0] = 0;
	if (f)
		fclose(f);
	for (char *word = strtok_r(line, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
		/* pci=a,b,c */
		if (strncmp(word, "pci=", 4) == 0 && strstr(word, wanted))
			return true;
	}
	return false;
}

void doctor_msi(struct doctor *d, struct rung *r)
{
	char name[64], path[PATH_MAX], text[8], upstream[16];
	uint8_t *config = NULL;
	size_t len = 0;
	int msi;

	if (kernel_option("nomsi")) {
		rung_fail(r, "the kernel was started with pci=nomsi; the chip reports everything by MSI");
		rung_mend(r, "sudo sed -i 's/pci=nomsi//' /etc/default/grub && sudo update-grub && sudo reboot");
		return;
	}
	/* 0 at the card: the kernel has switched MSI off for it; 0 at the port: for all below it. */
	if ((pci_attribute(host_sysfs(), d->bdf, "msi_bus", text, sizeof(text)) == 0 && text[0] == '0') ||
	    (pci_upstream(host_sysfs(), d->bdf, upstream) == 0 &&
	     pci_attribute(host_sysfs(), upstream, "msi_bus", text, sizeof(text)) == 0 && text[0] == '0')) {
		rung_fail(r, "the kernel does not allow MSI on this bus (msi_bus is 0)");
		rung_mend(r, "for f in $(realpath /sys/bus/pci/devices/%s)/../msi_bus "
			     "/sys/bus/pci/devices/%s/msi_bus; do echo 1 | sudo tee $f; done",
			  d->bdf, d->bdf);
		rung_mend(r, "sudo dmesg | grep -i msi   # why");
		return;
	}
	snprintf(name, sizeof(name), "/sys/bus/pci/devices/%s/config", d->bdf);
	(void)util_read_file(host_path(path, name), 4096, &config, &len, NULL);
	msi = has_msi(config, len);
	free(config);
	if (msi > 0) {
		rung_pass(r, "the card has it, the kernel allows it; whether interrupts arrive shows below");
	} else if (msi < 0) {
		rung_skip(r, "only root can see whether the card has it; whether interrupts arrive shows below");
	} else {
		rung_fail(r, "the card lists no MSI capability: it is not itself after a failed reset");
		rung_mend(r, "sudo poweroff   # and start again: the card needs to lose its power");
	}
}
