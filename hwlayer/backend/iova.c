// SPDX-License-Identifier: MIT
#include "backend/iova.h"
#include "util/util.h"

#include <stdlib.h>
#include <string.h>

static int grow(struct iova *io, size_t want)
{
	size_t cap = io->cap ? io->cap : 16;
	struct iova_range *p;

	if (want <= io->cap)
		return 0;
	while (cap < want)
		cap *= 2;
	p = realloc(io->free, cap * sizeof(*p));
	if (!p)
		return -ENOMEM;
	io->free = p;
	io->cap = cap;
	return 0;
}

static int by_start(const void *a, const void *b)
{
	const struct iova_range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* Whole granules of @r below @last and above address 0; false: nothing of it is left. */
static bool trim(struct iova_range *r, uint64_t granule, uint64_t last)
{
	if (r->last > last)
		r->last = last;
	if (r->start < granule)
		r->start = granule;
	if (r->start > UINT64_MAX - (granule - 1))
		return false;
	r->start = (r->start + granule - 1) & ~(granule - 1);
	/* The end as "one past" would wrap at the top of 64 bits. */
	if (r->last < granule - 1)
		return false;
	r->last = ((r->last - (granule - 1)) & ~(granule - 1)) + (granule - 1);
	return r->start <= r->last;
}

int iova_init(struct iova *io, const struct iova_range *ranges, size_t count, uint64_t granule,
	      uint64_t last, uint64_t prefer)
{
	size_t n = 0;

	*io = (struct iova){.granule = granule, .next = prefer};
	if (!granule || (granule & (granule - 1)))
		return -EINVAL;
	if (grow(io, count + 1) < 0)
		return -ENOMEM;
	if (count) {
		memcpy(io->free, ranges, count * sizeof(*ranges));
		qsort(io->free, count, sizeof(*io->free), by_start);
	}
	/* Merged before they are trimmed: two that touch inside a granule make a whole one. */
	for (size_t i = 0; i < count; i++) {
		struct iova_range r = io->free[i];

		if (r.start > r.last)
			continue;
		if (n && (io->free[n - 1].last == UINT64_MAX || r.start <= io->free[n - 1].last + 1)) {
			if (r.last > io->free[n - 1].last)
				io->free[n - 1].last = r.last;
		} else {
			io->free[n++] = r;
		}
	}
	count = n;
	n = 0;
	for (size_t i = 0; i < count; i++) {
		struct iova_range r = io->free[i];

		if (trim(&r, granule, last))
			io->free[n++] = r;
	}
	io->count = n;
	if (!n) {
		iova_destroy(io);
		return -ENOSPC;
	}
	return 0;
}

void iova_destroy(struct iova *io)
{
	free(io->free);
	*io = (struct iova){0};
}

/* A piece of @len with @align in @r, not before @from. */
static bool fits(const struct iova_range *r, uint64_t from, uint64_t len, uint64_t align,
		 uint64_t *start)
{
	uint64_t s = r->start > from ? r->start : from;

	if (s > UINT64_MAX - (align - 1))
		return false;
	s = (s + align - 1) & ~(align - 1);
	*start = s;
	return s <= r->last && r->last - s >= len - 1;
}

/* Take [start, start + len) out of free range @i. */
static void cut(struct iova *io, size_t i, uint64_t start, uint64_t len)
{
	struct iova_range old = io->free[i], *r = &io->free[i];
	uint64_t last = start + (len - 1);

	if (old.start < start && last < old.last) {
		memmove(r + 1, r, (io->count - i) * sizeof(*r));
		io->count++;
		r[0].last = start - 1;
		r[1].start = last + 1;
	} else if (old.start < start) {
		r->last = start - 1;
	} else if (last < old.last) {
		r->start = last + 1;
	} else {
		memmove(r, r + 1, (io->count - i - 1) * sizeof(*r));
		io->count--;
	}
}

/* With its gap, or 0 when that is more than there are addresses. */
static uint64_t whole(const struct iova *io, uint64_t size)
{
	uint64_t g = io->granule;

	if (!size || size > UINT64_MAX - 2 * g)
		return 0;
	return ((size + g - 1) & ~(g - 1)) + g;
}

int iova_alloc(struct iova *io, uint64_t size, uint64_t align, uint64_t *out)
{
	uint64_t len = whole(io, size), start;
	int r;

	if (!size || !align || (align & (align - 1)))
		return -EINVAL;
	if (!len)
		return -ENOSPC;
	if (align < io->granule)
		align = io->granule;
	/* Room for all that freeing everything can split, so that freeing needs no memory. */
	r = grow(io, io->count + io->used + 2);
	if (r < 0)
		return r;
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < io->count; i++) {
			if (!fits(&io->free[i], round ? 0 : io->next, len, align, &start))
				continue;
			cut(io, i, start, len);
			io->used++;
			io->next = start + (len - 1); /* its gap's last byte: cannot wrap */
			*out = start;
			return 0;
		}
	}
	return -ENOSPC;
}

/* [start, last] belongs to nobody; there is room for one more range. */
static void insert(struct iova *io, uint64_t start, uint64_t last)
{
	size_t i = 0;
	bool before, after;

	while (i < io->count && io->free[i].start < start)
		i++;
	before = i > 0 && io->free[i - 1].last + 1 == start;
	after = i < io->count && last != UINT64_MAX && io->free[i].start == last + 1;
	if (before && after) {
		io->free[i - 1].last = io->free[i].last;
		memmove(&io->free[i], &io->free[i + 1], (io->count - i - 1) * sizeof(*io->free));
		io->count--;
	} else if (before) {
		io->free[i - 1].last = last;
	} else if (after) {
		io->free[i].start = start;
	} else {
		memmove(&io->free[i + 1], &io->free[i], (io->count - i) * sizeof(*io->free));
		io->free[i] = (struct iova_range){start, last};
		io->count++;
	}
}

void iova_free(struct iova *io, uint64_t start, uint64_t size)
{
	insert(io, start, start + (whole(io, size) - 1));
	io->used--;
}

int iova_add(struct iova *io, uint64_t start, uint64_t size)
{
	int r = grow(io, io->count + io->used + 2);

	if (r == 0)
		insert(io, start, start + (size - 1));
	return r;
}

uint64_t iova_left(const struct iova *io)
{
	uint64_t n = 0;

	for (size_t i = 0; i < io->count; i++)
		n += io->free[i].last - io->free[i].start + 1;
	return n;
}
