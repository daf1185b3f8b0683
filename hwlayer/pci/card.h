// SPDX-License-Identifier: MIT
/* Finding cards on the PCI bus.  (Not pci.h: that would hide libpci's <pci/pci.h>.) */
#ifndef HWLAYER_PCI_CARD_H
#define HWLAYER_PCI_CARD_H

#include "util/util.h"

/* "01:00.0" or "0000:01:00.0" (hex) to "0000:01:00.0"; -EINVAL if it is no PCI address. */
int pci_parse_bdf(const char *text, char bdf[16]);

/* hw_card_list() on a bus directory other than /sys/bus/pci; for tests. */
int pci_card_list_at(const char *bus, struct hw_card **cards, size_t *count, struct hw_error *err);

#endif
