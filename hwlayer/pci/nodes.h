// SPDX-License-Identifier: MIT
/* The device nodes by which user space reaches a card, whatever driver made them, and who has them open. */
#ifndef HWLAYER_PCI_NODES_H
#define HWLAYER_PCI_NODES_H

#include <sys/types.h>

#include "util/util.h"

struct pci_node {
	char path[64]; /* "/dev/vfio/7" */
	dev_t number;
};

#define PCI_NODES_MAX 8

/*
 * The nodes of the function at @bdf: those of its own class devices (uio0, vfio-dev/vfio0, the
 * vendor's), and the VFIO group's when vfio-pci has it.  Returns how many.
 */
size_t pci_nodes(const char *sysfs, const char *bdf, struct pci_node nodes[PCI_NODES_MAX]);

/*
 * -EBUSY and a sentence with PID and name when a process has one of @nodes open; 0 when none is
 * seen.  Only root sees the files of everybody.
 */
int pci_nodes_in_use(const struct pci_node *nodes, size_t n, const char *bdf, struct hw_error *err);

#endif
