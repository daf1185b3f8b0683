// SPDX-License-Identifier: MIT
/* The allocator against a slow one that knows each granule by itself. */
#include "support/support.h"

#include "backend/iova.h"

#define GRANULES 512

/* 0: may not be given out, 1: free, 2: given out, 3: gap behind a piece */
struct slow {
	uint8_t state[GRANULES];
	uint64_t granule;
};

static void slow_init(struct slow *s, const struct iova_range *r, size_t n, uint64_t granule,
		      uint64_t last)
{
	memset(s, 0, sizeof(*s));
	s->granule = granule;
	for (uint64_t g = 1; g < GRANULES; g++) {
		bool all = true;

		/* each byte of the granule must be in some range; 16 bytes at a time will do */
		for (uint64_t b = g * granule; b < (g + 1) * granule; b += 16) {
			bool in = false;

			for (size_t i = 0; i < n; i++)
				in |= r[i].start <= b && b + 15 <= r[i].last;
			all &= in && b + 15 <= last;
		}
		s->state[g] = all;
	}
}

static uint64_t slow_left(const struct slow *s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < GRANULES; i++)
		n += s->state[i] == 1 ? s->granule : 0;
	return n;
}

static bool slow_fits(const struct slow *s, uint64_t first, uint64_t n)
{
	if (first + n + 1 > GRANULES)
		return false;
	for (uint64_t i = first; i < first + n + 1; i++)
		if (s->state[i] != 1)
			return false;
	return true;
}

static bool slow_any(const struct slow *s, uint64_t n, uint64_t align)
{
	for (uint64_t i = 0; i < GRANULES; i++)
		if (i * s->granule % align == 0 && slow_fits(s, i, n))
			return true;
	return false;
}

static uint32_t seed;

static uint32_t roll(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

struct piece {
	uint64_t start, size;
};

static void against_the_slow_one(uint64_t granule)
{
	struct piece pieces[GRANULES];
	struct iova_range r[4];
	size_t n = 0, tight = 0, given = 0;
	struct slow slow;
	struct iova io;
	uint64_t end = GRANULES * granule, start;

	for (size_t i = 0; i < 4; i++) {
		r[i].start = (uint64_t)roll((uint32_t)(end / 32)) * 16;
		r[i].last = r[i].start + (uint64_t)(roll((uint32_t)(end / 48)) + 1) * 16 - 1;
	}
	slow_init(&slow, r, 4, granule, end - granule - 1);
	if (!slow_left(&slow)) {
		assert_int_equal(iova_init(&io, r, 4, granule, end - granule - 1, 0), -ENOSPC);
		return;
	}
	assert_int_equal(iova_init(&io, r, 4, granule, end - granule - 1, roll((uint32_t)end)), 0);
	assert_int_equal(iova_left(&io), slow_left(&slow));
	for (int step = 0; step < 3000; step++) {
		if (n && (roll(100) < 45 || n == GRANULES)) {
			size_t i = roll((uint32_t)n);
			uint64_t g = pieces[i].start / granule, len = ceil_div(pieces[i].size, granule);

			iova_free(&io, pieces[i].start, pieces[i].size);
			for (uint64_t k = 0; k <= len; k++) {
				assert_true(slow.state[g + k] >= 2);
				slow.state[g + k] = 1;
			}
			pieces[i] = pieces[--n];
		} else {
			uint64_t size = roll((uint32_t)granule * 12) + 1, len = ceil_div(size, granule);
			uint64_t align = 1ull << roll(20);
			int res = iova_alloc(&io, size, align, &start);

			/* it finds room exactly when there is some */
			assert_int_equal(res, slow_any(&slow, len, align) ? 0 : -ENOSPC);
			if (res < 0) {
				tight++;
				continue;
			}
			given++;
			assert_int_equal(start % granule, 0);
			assert_int_equal(start % align, 0);
			assert_true(start != 0);
			assert_true(slow_fits(&slow, start / granule, len));
			memset(slow.state + start / granule, 2, len);
			slow.state[start / granule + len] = 3;
			pieces[n++] = (struct piece){start, size};
		}
		assert_int_equal(iova_left(&io), slow_left(&slow));
		assert_int_equal(io.used, n);
	}
	assert_true(given > 100);
	assert_true(tight > 10);
	while (n) {
		n--;
		iova_free(&io, pieces[n].start, pieces[n].size);
	}
	slow_init(&slow, r, 4, granule, end - granule - 1);
	assert_int_equal(iova_left(&io), slow_left(&slow));
	/* and everything that touches has grown together again */
	for (size_t i = 1; i < io.count; i++)
		assert_true(io.free[i].start > io.free[i - 1].last + 1);
	iova_destroy(&io);
}

static void same_as_a_slow_one(void **state)
{
	static const uint64_t granules[] = {4096, 16384, 65536};

	(void)state;
	for (uint32_t i = 0; i < 30; i++) {
		seed = i + 1;
		against_the_slow_one(granules[i % 3]);
	}
}

static void pages_of_all_sizes(void **state)
{
	static const uint64_t granules[] = {4096, 16384, 65536};
	const struct iova_range all = {0, UINT64_MAX};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct iova io;
		uint64_t list, frame, next;

		assert_int_equal(iova_init(&io, &all, 1, granules[i], UINT64_MAX, 0x1000000000), 0);
		assert_int_equal(iova_alloc(&io, 1, 64, &frame), 0);
		assert_int_equal(frame, 0x1000000000);
		/* descriptor lists want 64 KiB whatever a page is (pcie 7.4) */
		assert_int_equal(iova_alloc(&io, 65536, 65536, &list), 0);
		assert_int_equal(list % 65536, 0);
		assert_true(list >= frame + 2 * granules[i]);
		assert_int_equal(iova_alloc(&io, 1, 1, &next), 0);
		assert_true(next >= list + 65536 + granules[i]);
		iova_destroy(&io);
	}
}

/* A freed address stays unused until the search has come round. */
static void freed_addresses_come_last(void **state)
{
	const struct iova_range r = {0x10000, 0x8ffff}; /* eight granules: four pieces with their gaps */
	struct iova io;
	uint64_t at[4], again;

	(void)state;
	assert_int_equal(iova_init(&io, &r, 1, 0x10000, UINT64_MAX, 0), 0);
	assert_int_equal(iova_alloc(&io, 1, 1, &at[0]), 0);
	assert_int_equal(iova_alloc(&io, 1, 1, &at[1]), 0);
	iova_free(&io, at[0], 1);
	assert_int_equal(iova_alloc(&io, 1, 1, &at[2]), 0);
	assert_int_equal(iova_alloc(&io, 1, 1, &at[3]), 0);
	assert_true(at[2] != at[0] && at[3] != at[0]);
	assert_int_equal(iova_alloc(&io, 1, 1, &again), 0);
	assert_int_equal(again, at[0]);
	assert_int_equal(iova_alloc(&io, 1, 1, &again), -ENOSPC);
	iova_destroy(&io);
}

static void edges_of_64_bits(void **state)
{
	struct iova_range top = {UINT64_MAX - 0x2ffff, UINT64_MAX}, upside_down = {9, 3};
	const struct iova_range low = {0, 0xffff}, pair[] = {{0x20000, 0x2ffff}, {0x12000, 0x1ffff}};
	struct iova io;
	uint64_t at;

	(void)state;
	assert_int_equal(iova_init(&io, &top, 1, 0x10000, UINT64_MAX, 0), 0);
	assert_int_equal(iova_left(&io), 0x30000);
	assert_int_equal(iova_alloc(&io, UINT64_MAX, 1, &at), -ENOSPC);
	assert_int_equal(iova_alloc(&io, UINT64_MAX - 0x10000, 1, &at), -ENOSPC);
	assert_int_equal(iova_alloc(&io, 1, 1ull << 63, &at), -ENOSPC);
	assert_int_equal(iova_alloc(&io, 0x20001, 1, &at), -ENOSPC);
	assert_int_equal(iova_alloc(&io, 0x20000, 1, &at), 0); /* its gap is the very last granule */
	assert_int_equal(at, UINT64_MAX - 0x2ffff);
	iova_free(&io, at, 0x20000);
	assert_int_equal(iova_left(&io), 0x30000);
	assert_int_equal(iova_alloc(&io, 0, 1, &at), -EINVAL);
	assert_int_equal(iova_alloc(&io, 1, 3, &at), -EINVAL);
	assert_int_equal(iova_alloc(&io, 1, 0, &at), -EINVAL);
	iova_destroy(&io);

	/* the chip's reach */
	assert_int_equal(iova_init(&io, &top, 1, 0x10000, UINT64_MAX - 0x10000, 0), 0);
	assert_int_equal(iova_left(&io), 0x20000);
	iova_destroy(&io);
	assert_int_equal(iova_init(&io, &top, 1, 0x10000, 0xffffffff, 0), -ENOSPC);
	/* address 0 is nobody's */
	assert_int_equal(iova_init(&io, &low, 1, 0x10000, UINT64_MAX, 0), -ENOSPC);
	assert_int_equal(iova_init(&io, &low, 1, 0x1000, UINT64_MAX, 0), 0);
	assert_int_equal(iova_left(&io), 0xf000);
	iova_destroy(&io);
	/* unordered ranges that touch inside of nothing */
	assert_int_equal(iova_init(&io, pair, 2, 0x10000, UINT64_MAX, 0), 0);
	assert_int_equal(iova_left(&io), 0x10000);
	iova_destroy(&io);
	assert_int_equal(iova_init(&io, &upside_down, 1, 4096, UINT64_MAX, 0), -ENOSPC);
	assert_int_equal(iova_init(&io, NULL, 0, 4096, UINT64_MAX, 0), -ENOSPC);
	assert_int_equal(iova_init(&io, &top, 1, 0, UINT64_MAX, 0), -EINVAL);
	assert_int_equal(iova_init(&io, &top, 1, 3000, UINT64_MAX, 0), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_as_a_slow_one),
		cmocka_unit_test(pages_of_all_sizes),
		cmocka_unit_test(freed_addresses_come_last),
		cmocka_unit_test(edges_of_64_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
