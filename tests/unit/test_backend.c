// SPDX-License-Identifier: MIT
#include "support/fakechip.h"
#include "support/journal.h"
#include "support/support.h"

#include <endian.h>
#include <poll.h>
#include <pthread.h>

#include "backend/busmap.h"
#include "mock/mock.h"

/* ------------------------------------------------------------ bus addresses */

static void whole_ranges_only(void **state)
{
	struct busmap map;
	uint8_t a[100], b[0x10000], buf[0x10000] = {0};
	uint64_t at_a, at_b;

	(void)state;
	memset(a, 0xaa, sizeof(a));
	memset(b, 0xbb, sizeof(b));
	busmap_init(&map);
	assert_int_equal(busmap_read(&map, 0x1000000000, buf, 1), -EFAULT);
	assert_int_equal(busmap_add(&map, a, sizeof(a), 64, &at_a), 0);
	assert_int_equal(busmap_add(&map, b, sizeof(b), 64, &at_b), 0);
	assert_true(at_a >= 0x1000000000);
	assert_int_equal(at_a % 0x10000, 0);
	assert_int_equal(at_b % 0x10000, 0);
	assert_true(at_b - at_a > 0x10000);

	assert_int_equal(busmap_read(&map, at_a, buf, 100), 0);
	assert_memory_equal(buf, a, 100);
	assert_int_equal(busmap_read(&map, at_a, buf, 101), -EFAULT);
	assert_int_equal(busmap_read(&map, at_a + 99, buf, 1), 0);
	assert_int_equal(busmap_read(&map, at_a + 99, buf, 2), -EFAULT);
	assert_int_equal(busmap_read(&map, at_a + 100, buf, 1), -EFAULT);
	assert_int_equal(busmap_read(&map, at_a - 1, buf, 2), -EFAULT);
	assert_int_equal(busmap_read(&map, at_a, buf, SIZE_MAX), -EFAULT);
	assert_int_equal(busmap_read(&map, UINT64_MAX, buf, 1), -EFAULT);
	/* an address that lost its upper half */
	assert_int_equal(busmap_read(&map, (uint32_t)at_a, buf, 1), -EFAULT);
	/* one byte over the end of an area that fills its 64 KiB meets a gap, not the next area */
	assert_int_equal(busmap_read(&map, at_b, buf, 0x10000), 0);
	assert_int_equal(busmap_write(&map, at_b + 1, buf, 0x10000), -EFAULT);
	assert_int_equal(busmap_write(&map, at_b + 0x10000, buf, 1), -EFAULT);
	assert_int_equal(b[1], 0xbb);
	buf[0] = 0x5a;
	assert_int_equal(busmap_write(&map, at_b + 0xffff, buf, 1), 0);
	assert_int_equal(b[0xffff], 0x5a);
	busmap_destroy(&map);
}

static void removed_areas_fault_for_ever(void **state)
{
	struct busmap map;
	uint8_t mem[16] = {0}, buf[16];
	uint64_t at[50], again;
	size_t areas;

	(void)state;
	busmap_init(&map);
	for (int i = 0; i < 50; i++)
		assert_int_equal(busmap_add(&map, mem, sizeof(mem), 1u << (i % 22), &at[i]), 0);
	for (int i = 0; i < 50; i++)
		assert_int_equal(at[i] % (1u << (i % 22)), 0);
	for (int i = 1; i < 50; i += 2)
		assert_int_equal(busmap_remove(&map, at[i]), 0);
	assert_int_equal(busmap_bytes(&map, &areas), 25 * 16);
	assert_int_equal(areas, 25);
	assert_int_equal(busmap_remove(&map, at[1]), -ENOENT);
	assert_int_equal(busmap_remove(&map, at[0] + 1), -ENOENT); /* not where it starts */
	assert_int_equal(busmap_add(&map, mem, sizeof(mem), 1, &again), 0);
	for (int i = 0; i < 50; i++) {
		assert_int_equal(busmap_read(&map, at[i], buf, 16), i % 2 ? -EFAULT : 0);
		assert_true(again != at[i]);
	}
	busmap_destroy(&map);
}

struct race {
	struct busmap map;
	uint64_t at;
	bool stop;
};

static void *hammer(void *arg)
{
	struct race *r = arg;
	uint8_t buf[4096];

	while (!__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE)) {
		memset(buf, 0x77, sizeof(buf));
		(void)busmap_write(&r->map, __atomic_load_n(&r->at, __ATOMIC_ACQUIRE), buf, sizeof(buf));
	}
	return NULL;
}

/* A chip that writes while its memory is taken away never touches memory that is free. */
static void removal_while_the_chip_writes(void **state)
{
	struct race r = {0};
	pthread_t chip;

	(void)state;
	busmap_init(&r.map);
	assert_int_equal(pthread_create(&chip, NULL, hammer, &r), 0);
	for (int i = 0; i < 2000; i++) {
		uint8_t *mem = calloc(1, 4096);
		uint64_t at;

		assert_int_equal(busmap_add(&r.map, mem, 4096, 1, &at), 0);
		__atomic_store_n(&r.at, at, __ATOMIC_RELEASE);
		assert_int_equal(busmap_remove(&r.map, at), 0);
		memset(mem, 0, 4096);
		for (int k = 0; k < 4096; k += 512)
			assert_int_equal(mem[k], 0);
		free(mem);
	}
	__atomic_store_n(&r.stop, true, __ATOMIC_RELEASE);
	pthread_join(chip, NULL);
	busmap_destroy(&r.map);
}

/* ---------------------------------------------------------------- accessors */

static void mapped_bars_are_little_endian(void **state)
{
	uint32_t words[4] = {0};
	struct fake_chip f;

	(void)state;
	fake_init(&f);
	f.be.bar[2] = (volatile uint8_t *)words;
	f.be.bar_len[2] = sizeof(words);
	backend_write32(&f.be, 2, 4, 0x11223344);
	assert_int_equal(le32toh(words[1]), 0x11223344);
	assert_int_equal(backend_read32(&f.be, 2, 4), 0x11223344);
	backend_write16(&f.be, 2, 6, 0xabcd);
	assert_int_equal(backend_read32(&f.be, 2, 4), 0xabcd3344);
	assert_int_equal(f.n_log, 0); /* none of it went through the operations */
	fake_done(&f);
}

static void wild_accesses_go_nowhere(void **state)
{
	uint32_t words[6] = {0, 0, 0, 0, 0x55555555, 0x55555555};
	struct fake_chip f;

	(void)state;
	fake_init(&f);
	f.be.bar[2] = (volatile uint8_t *)words;
	f.be.bar_len[2] = 16;
	assert_int_equal(backend_read32(&f.be, 2, 16), UINT32_MAX);
	assert_int_equal(backend_read32(&f.be, 2, 2), UINT32_MAX);
	assert_int_equal(backend_read32(&f.be, 2, 0xfffffffc), UINT32_MAX);
	assert_int_equal(backend_read32(&f.be, 6, 0), UINT32_MAX);
	assert_int_equal(backend_read32(&f.be, 1, 0), UINT32_MAX); /* a BAR that does not exist */
	backend_write32(&f.be, 2, 16, 1);
	backend_write32(&f.be, 2, 3, 1);
	backend_write16(&f.be, 2, 16, 1);
	backend_write16(&f.be, 2, 1, 1);
	for (int i = 0; i < 6; i++)
		assert_int_equal(words[i], i < 4 ? 0 : 0x55555555);
	assert_int_equal(f.n_log, 0);
	fake_done(&f);
}

static void dma_memory(void **state)
{
	struct fake_chip f;
	struct backend_dma mem = {0};

	(void)state;
	fake_init(&f);
	assert_int_equal(backend_dma_alloc(&f.be, 0, 64, &mem), -EINVAL);
	assert_int_equal(backend_dma_alloc(&f.be, 64, 0, &mem), -EINVAL);
	assert_int_equal(backend_dma_alloc(&f.be, 64, 48, &mem), -EINVAL);
	f.fail_alloc = 1;
	assert_int_equal(backend_dma_alloc(&f.be, 64, 64, &mem), -ENOMEM);
	assert_null(mem.virt);
	assert_int_equal(backend_dma_alloc(&f.be, 64, 64, &mem), 0);
	assert_int_equal(f.dma_bytes, 64);
	backend_dma_free(&f.be, &mem);
	assert_null(mem.virt);
	backend_dma_free(&f.be, &mem);
	assert_int_equal(f.dma_bytes, 0);
	backend_close(NULL);
	backend_close(&f.be);
	assert_int_equal(f.closes, 1);
	fake_done(&f);
}

/* -------------------------------------------------------------------- names */

static int open_named(const char *device, struct backend **be, struct hw_error *err)
{
	return backend_open(&(struct hw_dev_options){.device = device}, be, err);
}

static void names(void **state)
{
	static const struct {
		const char *name;
		int result;
		const char *words;
	} refused[] = {
		{"mock:15h", -EINVAL, "mock:15h"}, {"MOCK", -EINVAL, "mock"},
		{"/dev/hailo0", -EINVAL, "PCI address"}, {"1", -EINVAL, "auto"},
		{"ffff:ff:1f.7", -ENODEV, "ffff:ff:1f.7"},
	};
	static const char *const mocks[] = {"mock", "mock:8", "mock:8l"};
	static const char *const firsts[] = {NULL, "", "auto", "0"};
	struct backend *be;
	struct hw_error err;
	struct hw_card *cards;
	size_t count;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		be = NULL;
		assert_int_equal(open_named(refused[i].name, &be, &err), refused[i].result);
		assert_int_equal(err.code, refused[i].result);
		assert_non_null(strstr(err.text, refused[i].words));
		assert_null(be);
	}
	assert_ok(hw_card_list(&cards, &count, &err), &err);
	free(cards);
	for (size_t i = 0; i < ARRAY_SIZE(firsts); i++) {
		be = NULL;
		/* never the mock, whatever is or is not there */
		assert_int_equal(open_named(firsts[i], &be, &err), count ? -ENOTSUP : -ENODEV);
		assert_non_null(strstr(err.text, "device \"mock\""));
		assert_null(be);
	}
	for (size_t i = 0; i < ARRAY_SIZE(mocks); i++) {
		assert_ok(open_named(mocks[i], &be, &err), &err);
		assert_string_equal(be->name, "mock");
		backend_close(be);
	}
}

/* ------------------------------------------------------------- the mock's seam */

static void the_mock_is_a_marked_hailo_8(void **state)
{
	struct mock_opts opts = {.max_read_request = 256};
	struct backend *be;
	struct hw_error err;

	(void)state;
	assert_ok(backend_mock_open(NULL, &be, &err), &err);
	assert_int_equal(be->vendor, 0x1e60);
	assert_int_equal(be->device, 0x2864);
	assert_true(backend_is_software(be));
	assert_int_equal(be->max_read_request, 512);
	assert_int_equal(backend_read32(be, 0, 0x98), 0x28641e60);
	assert_non_null(backend_mock_chip(be));
	backend_close(be);
	assert_ok(backend_mock_open(&opts, &be, &err), &err);
	assert_int_equal(be->max_read_request, 256);
	backend_close(be);
}

static void mock_dma_memory(void **state)
{
	struct backend_dma mem[3] = {0};
	struct backend *be;
	struct hw_error err;
	struct fake_chip f;

	(void)state;
	assert_ok(backend_mock_open(NULL, &be, &err), &err);
	assert_int_equal(backend_dma_alloc(be, 100, 64, &mem[0]), 0);
	assert_int_equal(backend_dma_alloc(be, 0x20000, 0x10000, &mem[1]), 0);
	assert_int_equal(backend_dma_alloc(be, 64, 1 << 20, &mem[2]), 0);
	assert_int_equal(backend_mock_dma_bytes(be), mem[0].size + mem[1].size + mem[2].size);
	assert_int_equal(mem[2].bus % (1 << 20), 0);
	for (int i = 0; i < 3; i++) {
		assert_true(mem[i].bus >= 0x1000000000);
		assert_int_equal(((uint8_t *)mem[i].virt)[0], 0);
		assert_int_equal(((uint8_t *)mem[i].virt)[mem[i].size - 1], 0);
	}
	assert_true(mem[1].bus > mem[0].bus + mem[0].size);
	assert_true(mem[2].bus > mem[1].bus + mem[1].size);
	for (int i = 0; i < 3; i++)
		backend_dma_free(be, &mem[i]);
	assert_int_equal(backend_mock_dma_bytes(be), 0);
	backend_close(be);

	/* other backends have neither */
	fake_init(&f);
	assert_null(backend_mock_chip(&f.be));
	assert_int_equal(backend_mock_dma_bytes(&f.be), 0);
	fake_done(&f);
}

static void leaks_are_reported(void **state)
{
	struct backend_dma mem;
	struct backend *be;
	struct hw_error err;

	(void)state;
	journal_begin(HW_LOG_ERROR);
	assert_ok(backend_mock_open(NULL, &be, &err), &err);
	assert_int_equal(backend_dma_alloc(be, 4096, 64, &mem), 0);
	backend_close(be);
	assert_int_equal(logged("4096 bytes"), 1);
	free(mem.virt);
	journal_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_ranges_only),
		cmocka_unit_test(removed_areas_fault_for_ever),
		cmocka_unit_test(removal_while_the_chip_writes),
		cmocka_unit_test(mapped_bars_are_little_endian),
		cmocka_unit_test(wild_accesses_go_nowhere),
		cmocka_unit_test(dma_memory),
		cmocka_unit_test(names),
		cmocka_unit_test(the_mock_is_a_marked_hailo_8),
		cmocka_unit_test(mock_dma_memory),
		cmocka_unit_test(leaks_are_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
