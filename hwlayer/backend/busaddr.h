// SPDX-License-Identifier: MIT
/* Does a function on PCI see memory where the CPU sees it?  Reads sysfs, asks nobody else. */
#ifndef HWLAYER_BACKEND_BUSADDR_H
#define HWLAYER_BACKEND_BUSADDR_H

#include "util/util.h"

/* A PC: PCI sees memory at its physical addresses, and through the CPU's caches. */
#if defined(__x86_64__) || defined(__i386__)
#define BUSADDR_PC true
#else
#define BUSADDR_PC false
#endif

/*
 * 0: bus addresses are physical addresses, and DMA is coherent with the CPU's caches.
 * -ENOTSUP: they are not, or nobody can tell; the text says which.  -EIO: sysfs makes no sense.
 *
 * What is looked at: a hypervisor that renumbers memory (Xen); on machines described by a device
 * tree, dma-ranges of the PCI host bridge and of all buses above it, and dma-coherent.  On other
 * machines only a PC is known to be fine.
 *
 * @pc: BUSADDR_PC, or otherwise in tests
 */
int busaddr_check(const char *sysfs, const char *bdf, bool pc, struct hw_error *err);

#endif
