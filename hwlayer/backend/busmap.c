// SPDX-License-Identifier: MIT
#include "backend/busmap.h"
#include "util/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void busmap_init(struct busmap *map)
{
	*map = (struct busmap){.next = BUSMAP_BASE};
	pthread_mutex_init(&map->lock, NULL);
}

void busmap_destroy(struct busmap *map)
{
	free(map->areas);
	pthread_mutex_destroy(&map->lock);
}

/* The one area that holds all of [bus, bus + len), or NULL.  Under the lock. */
static struct busmap_area *find(struct busmap *map, uint64_t bus, size_t len)
{
	size_t lo = 0, hi = map->count;
	struct busmap_area *a;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (map->areas[mid].bus <= bus)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo)
		return NULL;
	a = &map->areas[lo - 1];
	if (bus - a->bus >= a->size || len > a->size - (bus - a->bus))
		return NULL;
	return a;
}

int busmap_add(struct busmap *map, void *virt, size_t size, size_t align, uint64_t *bus)
{
	int r = 0;

	pthread_mutex_lock(&map->lock);
	if (map->count == map->cap) {
		size_t cap = map->cap ? map->cap * 2 : 16;
		struct busmap_area *p = realloc(map->areas, cap * sizeof(*p));

		if (!p) {
			r = -ENOMEM;
			goto out;
		}
		map->areas = p;
		map->cap = cap;
	}
	*bus = align_up(map->next, align > BUSMAP_STEP ? align : BUSMAP_STEP);
	/* Addresses only grow, so the array stays sorted. */
	map->areas[map->count++] = (struct busmap_area){*bus, size, virt};
	map->next = *bus + align_up(size, BUSMAP_STEP) + BUSMAP_STEP;
	map->bytes += size;
out:
	pthread_mutex_unlock(&map->lock);
	return r;
}

int busmap_remove(struct busmap *map, uint64_t bus)
{
	struct busmap_area *a;
	int r = -ENOENT;

	pthread_mutex_lock(&map->lock);
	a = find(map, bus, 1);
	if (a && a->bus == bus) {
		map->bytes -= a->size;
		map->count--;
		memmove(a, a + 1, (size_t)(map->areas + map->count - a) * sizeof(*a));
		r = 0;
	}
	pthread_mutex_unlock(&map->lock);
	return r;
}

int busmap_read(struct busmap *map, uint64_t bus, void *buf, size_t len)
{
	struct busmap_area *a;

	pthread_mutex_lock(&map->lock);
	a = find(map, bus, len);
	if (a)
		memcpy(buf, a->virt + (bus - a->bus), len);
	pthread_mutex_unlock(&map->lock);
	return a ? 0 : -EFAULT;
}

int busmap_write(struct busmap *map, uint64_t bus, const void *buf, size_t len)
{
	struct busmap_area *a;

	pthread_mutex_lock(&map->lock);
	a = find(map, bus, len);
	if (a)
		memcpy(a->virt + (bus - a->bus), buf, len);
	pthread_mutex_unlock(&map->lock);
	return a ? 0 : -EFAULT;
}

size_t busmap_bytes(struct busmap *map, size_t *areas)
{
	size_t n;

	pthread_mutex_lock(&map->lock);
	n = map->bytes;
	if (areas)
		*areas = map->count;
	pthread_mutex_unlock(&map->lock);
	return n;
}
