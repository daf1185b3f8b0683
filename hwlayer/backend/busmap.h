// SPDX-License-Identifier: MIT
/*
 * Which bus addresses lead to which memory: what an IOMMU is to a card, for a chip in software.
 * All functions may be called from any thread.
 */
#ifndef HWLAYER_BACKEND_BUSMAP_H
#define HWLAYER_BACKEND_BUSMAP_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

/* Above 32 bits, as on a Raspberry Pi 5 (hardware-evidence 1): a lost upper half does not go unseen. */
#define BUSMAP_BASE 0x1000000000ull
#define BUSMAP_STEP 0x10000ull

struct busmap_area {
	uint64_t bus;
	size_t size;
	uint8_t *virt;
};

struct busmap {
	pthread_mutex_t lock; /* held while bytes move, so an area cannot vanish under a copy */
	struct busmap_area *areas; /* sorted by bus address */
	size_t count, cap;
	uint64_t next;
	size_t bytes;
};

void busmap_init(struct busmap *map);
/* Forgets all areas; their memory is the caller's. */
void busmap_destroy(struct busmap *map);
/*
 * Give @virt a bus address that is a multiple of @align and of 64 KiB.  Addresses are never given
 * out twice and areas never touch: whoever runs over the end of one, or still uses a removed one,
 * faults instead of hitting its neighbour or its successor.  0 or -ENOMEM.
 */
int busmap_add(struct busmap *map, void *virt, size_t size, size_t align, uint64_t *bus);
/* The area that starts at @bus is gone for the chip when this returns.  -ENOENT if there is none. */
int busmap_remove(struct busmap *map, uint64_t bus);
/* 0, or -EFAULT unless one area holds all of [bus, bus + len). */
int busmap_read(struct busmap *map, uint64_t bus, void *buf, size_t len);
int busmap_write(struct busmap *map, uint64_t bus, const void *buf, size_t len);
/* Bytes and number of areas that are mapped now. */
size_t busmap_bytes(struct busmap *map, size_t *areas);

#endif
