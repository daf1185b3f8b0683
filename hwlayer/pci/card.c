// SPDX-License-Identifier: MIT
/* The Hailo-8 family cards of this machine, through libpci. */
#include "pci/card.h"
#include "chip/regs.h"

#include <dirent.h>
#include <errno.h>
#include <pci/pci.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int pci_parse_bdf(const char *text, char bdf[16])
{
	unsigned int domain = 0, bus, dev, fn;
	int end = 0;

	if (sscanf(text, "%4x:%2x:%2x.%1x%n", &domain, &bus, &dev, &fn, &end) != 4 || text[end]) {
		domain = 0;
		if (sscanf(text, "%2x:%2x.%1x%n", &bus, &dev, &fn, &end) != 3 || text[end])
			return -EINVAL;
	}
	/* sscanf also takes signs and spaces, which no address has. */
	if (strspn(text, "0123456789abcdefABCDEF:.") != strlen(text) || dev > 31 || fn > 7 ||
	    domain > 0xffff || bus > 0xff)
		return -EINVAL;
	snprintf(bdf, 16, "%04x:%02x:%02x.%x", domain & 0xffff, bus & 0xff, dev, fn);
	return 0;
}

/*
 * libpci ends the process on an error unless its hook does not return; a library must not do
 * that to its caller.
 */
static __thread jmp_buf pci_failed;
static __thread char pci_message[160];

__attribute__((noreturn, format(printf, 1, 2))) static void on_error(char *msg, ...)
{
	va_list ap;

	va_start(ap, msg);
	vsnprintf(pci_message, sizeof(pci_message), msg, ap);
	va_end(ap);
	longjmp(pci_failed, 1);
}

__attribute__((format(printf, 1, 2))) static void on_warning(char *msg, ...)
{
	char text[160];
	va_list ap;

	va_start(ap, msg);
	vsnprintf(text, sizeof(text), msg, ap);
	va_end(ap);
	hw_log(HW_LOG_DEBUG, "libpci: %s", text);
}

static void fill_card(struct pci_dev *dev, struct hw_card *card)
{
	const char *driver, *group;

	snprintf(card->bdf, sizeof(card->bdf), "%04x:%02x:%02x.%x", (unsigned int)dev->domain & 0xffff,
		 (unsigned int)dev->bus, (unsigned int)dev->dev & 31, (unsigned int)dev->func & 7);
	card->vendor = dev->vendor_id;
	card->device = dev->device_id;
	card->subsys_vendor = pci_read_word(dev, PCI_SUBSYSTEM_VENDOR_ID);
	card->subsys_device = pci_read_word(dev, PCI_SUBSYSTEM_ID);
	driver = pci_get_string_property(dev, PCI_FILL_DRIVER);
	if (driver)
		snprintf(card->driver, sizeof(card->driver), "%s", driver);
	group = pci_get_string_property(dev, PCI_FILL_IOMMU_GROUP);
	card->iommu_group = group ? atoi(group) : -1;
}

/* Everything that may longjmp() away lives in this struct, so nothing is lost on the way out. */
struct card_scan {
	struct pci_access *access;
	struct hw_card *cards;
	size_t count;
	int result;
};

static void scan_bus(struct card_scan *s)
{
	pci_init(s->access);
	pci_scan_bus(s->access);
	for (struct pci_dev *dev = s->access->devices; dev; dev = dev->next) {
		struct hw_card *p;

		pci_fill_info(dev, PCI_FILL_IDENT | PCI_FILL_DRIVER | PCI_FILL_IOMMU_GROUP);
		if (dev->vendor_id != CHIP_PCI_VENDOR || dev->device_id != CHIP_PCI_DEVICE)
			continue;
		p = realloc(s->cards, (s->count + 1) * sizeof(*p));
		if (!p) {
			s->result = -ENOMEM;
			return;
		}
		s->cards = p;
		p[s->count] = (struct hw_card){0};
		fill_card(dev, &p[s->count]);
		s->count++;
	}
}

static int by_address(const void *a, const void *b)
{
	return strcmp(((const struct hw_card *)a)->bdf, ((const struct hw_card *)b)->bdf);
}

int pci_card_list_at(const char *bus, struct hw_card **cards, size_t *count, struct hw_error *err)
{
	struct card_scan *s = NULL;
	char path[512];
	DIR *dir;
	int r;

	*cards = NULL;
	*count = 0;
	snprintf(path, sizeof(path), "%s/devices", bus);
	dir = opendir(path);
	if (!dir && errno == ENOENT)
		return 0; /* a machine without PCI has no card */
	if (!dir)
		return hw_fail(err, -EIO, "cannot read the PCI bus at %s: %s", path, strerror(errno));
	closedir(dir);

	s = calloc(1, sizeof(*s));
	if (!s)
		return hw_fail(err, -ENOMEM, "no memory to list PCI devices");
	s->access = pci_alloc();
	s->access->method = PCI_ACCESS_SYS_BUS_PCI;
	s->access->error = on_error;
	s->access->warning = on_warning;
	pci_set_param(s->access, (char *)(uintptr_t)"sysfs.path", (char *)(uintptr_t)bus);
	if (setjmp(pci_failed) == 0) {
		scan_bus(s);
		r = s->result;
		if (r < 0)
			hw_fail(err, r, "no memory to list PCI devices");
	} else {
		r = hw_fail(err, -EIO, "cannot read the PCI bus at %s: %s", path, pci_message);
	}
	pci_cleanup(s->access);
	if (r < 0 || !s->count) {
		free(s->cards);
	} else {
		qsort(s->cards, s->count, sizeof(*s->cards), by_address);
		*cards = s->cards;
		*count = s->count;
	}
	free(s);
	return r;
}

int hw_card_list(struct hw_card **cards, size_t *count, struct hw_error *err)
{
	return pci_card_list_at("/sys/bus/pci", cards, count, err);
}
