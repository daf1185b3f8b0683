// SPDX-License-Identifier: MIT
#include "support/support.h"

#include "vdma/vdma.h"

static void assert_desc(const struct vdma_desc *d, uint32_t w0, uint32_t w1, uint32_t w2)
{
	const uint8_t *p = (const uint8_t *)d;

	assert_int_equal(get_le32(p), w0);
	assert_int_equal(get_le32(p + 4), w1);
	assert_int_equal(get_le32(p + 8), w2);
	assert_int_equal(get_le32(p + 12), 0);
}

/* protocol 8.1, "Descriptors" */
static void worked_example(void **state)
{
	struct vdma_desc d[256];

	(void)state;
	memset(d, 0xff, sizeof(d));
	assert_int_equal(vdma_desc_program(d, 3, false, 512, 0, 0x120000000, 768, 0x1e), 2);
	assert_desc(&d[0], 0x00020002, 0x20000000, 1);
	assert_desc(&d[1], 0x0001001e, 0x20000200, 1);
	assert_int_equal(d[2].ctrl, 0xffffffff);

	assert_int_equal(vdma_desc_program(d, 3, false, 512, 0, 0x120000000, 1024, 0x1e), 2);
	assert_desc(&d[0], 0x00020002, 0x20000000, 1);
	assert_desc(&d[1], 0x0002001e, 0x20000200, 1);

	assert_int_equal(vdma_desc_program(d, 256, true, 512, 0, 0x200000000, 8192, 0x2e), 16);
	for (uint32_t i = 0; i < 15; i++)
		assert_desc(&d[i], 0x00020002, 0x200 * i, 2);
	assert_desc(&d[15], 0x0002002e, 0x1e00, 2);

	assert_int_equal(vdma_desc_program(d, 32, true, 64, 0, 0x200100000, 16, 0x2e), 1);
	assert_desc(&d[0], 0x0000102e, 0x00100000, 2);
}

/* hardware-evidence 7: a 784-byte frame with pages of 512, and a 16-byte one with 64 */
static void captured_control_words(void **state)
{
	struct vdma_desc d[32] = {0};

	(void)state;
	assert_int_equal(vdma_desc_program(d, 32, true, 512, 0, 0x103a000000, 784, 0x2e), 2);
	assert_desc(&d[0], 0x00020002, 0x3a000000, 0x10);
	assert_desc(&d[1], 0x0001102e, 0x3a000200, 0x10);
}

static void wraps_only_when_circular(void **state)
{
	struct vdma_desc d[8] = {0};

	(void)state;
	assert_int_equal(vdma_desc_program(d, 8, true, 64, 6, 0x1000, 64 * 3 + 1, 0x2e), 4);
	assert_desc(&d[6], 0x4002, 0x1000, 0);
	assert_desc(&d[7], 0x4002, 0x1040, 0);
	assert_desc(&d[0], 0x4002, 0x1080, 0);
	assert_desc(&d[1], 0x012e, 0x10c0, 0);
	assert_int_equal(vdma_desc_program(d, 8, false, 64, 6, 0x1000, 64 * 3, 0x2e), -ERANGE);
	assert_int_equal(vdma_desc_program(d, 8, false, 64, 6, 0x1000, 64 * 2, 0x2e), 2);
	assert_int_equal(vdma_desc_program(d, 8, true, 64, 3, 0x1000, 64 * 8, 0x2e), 8);
	assert_int_equal(vdma_desc_program(d, 8, true, 64, 3, 0x1000, 64 * 8 + 1, 0x2e), -ERANGE);
}

static void crosses_4_gib(void **state)
{
	struct vdma_desc d[4] = {0};

	(void)state;
	assert_int_equal(vdma_desc_program(d, 4, true, 4096, 0, 0xfffff000, 8192, 0x2e), 2);
	assert_desc(&d[0], 4096 << 8 | 2, 0xfffff000, 0);
	assert_desc(&d[1], 4096 << 8 | 0x2e, 0, 1);
}

static void refuses(void **state)
{
	struct vdma_desc d[8] = {0};

	(void)state;
	assert_int_equal(vdma_desc_program(d, 8, true, 64, 0, 0x1020, 64, 2), -EINVAL); /* 64 aligned */
	assert_int_equal(vdma_desc_program(d, 8, true, 64, 0, 0x1000, 0, 2), -EINVAL);
	assert_int_equal(vdma_desc_program(d, 8, true, 32, 0, 0x1000, 32, 2), -EINVAL);
	assert_int_equal(vdma_desc_program(d, 8, true, 8192, 0, 0x1000, 32, 2), -EINVAL);
	assert_int_equal(vdma_desc_program(d, 8, true, 96, 0, 0x1000, 32, 2), -EINVAL);
	assert_int_equal(vdma_desc_program(d, 8, true, 64, 8, 0x1000, 32, 2), -EINVAL);
	assert_int_equal(vdma_desc_program(d, 6, true, 64, 0, 0x1000, 32, 2), -EINVAL);
	assert_int_equal(vdma_desc_program(d, 8, true, 64, 0, 0xffffffffffffffc0, 128, 2), -EINVAL);
	assert_int_equal(vdma_desc_program(d, 8, true, 64, 0, 0x1000, UINT64_MAX - 0x1000, 2), -ERANGE);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(d[i].ctrl, 0);
}

/* protocol 5.6: every row seen on hardware (scale 8) and in the golden recordings (scale 32) */
static void geometry_of_every_captured_list(void **state)
{
	static const struct {
		uint32_t bytes, scale, batch, max_page, page, count;
	} rows[] = {
		{16, 8, 1, 4096, 64, 32},
		{480, 8, 1, 4096, 512, 32},
		{784, 8, 1, 4096, 512, 32},
		{1008, 8, 1, 4096, 512, 32},
		{1600, 8, 1, 4096, 512, 64},
		{1920, 8, 1, 4096, 512, 64},
		{6400, 8, 1, 4096, 512, 128},
		{25600, 8, 1, 4096, 512, 512},
		{38400, 8, 1, 4096, 512, 1024},
		{128000, 8, 1, 4096, 512, 2048},
		{150528, 8, 1, 4096, 512, 4096},
		{512000, 8, 1, 4096, 512, 8192},
		{1228800, 8, 1, 4096, 512, 32768},
		{8192, 8, 1, 4096, 512, 256}, /* worked example 8.1 */
		{8, 32, 1, 4096, 64, 128},
		{64, 32, 1, 4096, 64, 128},
		{256, 32, 1, 4096, 256, 128},
		{1024, 32, 1, 4096, 512, 128},
		{1800, 32, 1, 4096, 512, 256},
		{150528, 32, 1, 4096, 512, 16384},
		{1228800, 32, 1, 4096, 512, 65536},
		{8, 32, 8, 4096, 64, 128},
		{64, 32, 8, 4096, 64, 128},
		{256, 32, 8, 4096, 256, 128},
		{1024, 32, 8, 4096, 512, 128},
		{1800, 32, 8, 4096, 512, 256},
		{150528, 32, 8, 4096, 512, 16384},
		{1228800, 32, 8, 4096, 512, 65536},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint32_t page, count, queue;

		assert_int_equal(vdma_boundary_geometry(rows[i].bytes, 1, rows[i].batch, rows[i].scale,
							65536, rows[i].max_page, &page, &count, &queue),
				 0);
		if (page != rows[i].page || count != rows[i].count)
			fail_msg("row %zu, %u bytes: page %u count %u, want %u and %u", i, rows[i].bytes,
				 page, count, rows[i].page, rows[i].count);
	}
}

/* protocol 6.5: transfers that fit at once, of 1,228,800 bytes with pages of 512, 256 and 128 */
static void queue_of_large_frames(void **state)
{
	static const struct {
		uint32_t max_page, in_flight;
	} rows[] = {{4096, 27}, {256, 13}, {128, 6}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint32_t page, count, queue, n, fit;

		assert_int_equal(vdma_boundary_geometry(1228800, 1, 1, 32, 65536, rows[i].max_page, &page,
							&count, &queue),
				 0);
		assert_int_equal(count, 65536);
		n = 1228800 / page;
		fit = (count - 1) / n;
		assert_int_equal(queue < fit ? queue : fit, rows[i].in_flight);
	}
}

static void geometry_at_its_edges(void **state)
{
	uint32_t page, count, queue;

	(void)state;
	/* a page as large as the FIFO is halved */
	assert_int_equal(vdma_boundary_geometry(784, 1, 1, 8, 512, 4096, &page, &count, &queue), 0);
	assert_int_equal(page, 256);
	/* ... and if the half cannot hold the transfer, the vendor would loop for ever */
	assert_int_equal(vdma_boundary_geometry(256 * 65536, 1, 1, 8, 512, 4096, &page, &count, &queue),
			 -EINVAL);
	/* larger pages only where the count demands them */
	assert_int_equal(vdma_boundary_geometry(512 * 40000, 1, 1, 8, 65536, 4096, &page, &count, &queue),
			 0);
	assert_int_equal(page, 512);
	assert_int_equal(vdma_boundary_geometry(512 * 70000, 1, 1, 8, 65536, 4096, &page, &count, &queue),
			 0);
	assert_int_equal(page, 1024);
	assert_int_equal(count, 65536);
	assert_int_equal(queue, 2);
	assert_int_equal(vdma_boundary_geometry(512 * 70000, 1, 1, 8, 65536, 512, &page, &count, &queue),
			 -EINVAL);
	assert_int_equal(vdma_boundary_geometry(UINT32_MAX, 1, 1, 8, 65536, 4096, &page, &count, &queue),
			 -EINVAL);
	/* many small transfers per frame */
	assert_int_equal(vdma_boundary_geometry(64, 100, 2, 8, 65536, 4096, &page, &count, &queue), 0);
	assert_int_equal(queue, 800);
	assert_int_equal(count, 2048);
	assert_int_equal(vdma_boundary_geometry(0, 1, 1, 8, 65536, 4096, &page, &count, &queue), -EINVAL);
	assert_int_equal(vdma_boundary_geometry(64, 0, 1, 8, 65536, 4096, &page, &count, &queue), -EINVAL);
	assert_int_equal(vdma_boundary_geometry(64, 1, 0, 8, 65536, 4096, &page, &count, &queue), -EINVAL);
	assert_int_equal(vdma_boundary_geometry(64, 1, 1, 0, 65536, 4096, &page, &count, &queue), -EINVAL);
	assert_int_equal(vdma_boundary_geometry(64, 1, 1, 8, 65536, 8192, &page, &count, &queue), -EINVAL);
	assert_int_equal(vdma_boundary_geometry(64, 1, 1, 8, 64, 64, &page, &count, &queue), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(worked_example),
		cmocka_unit_test(captured_control_words),
		cmocka_unit_test(wraps_only_when_circular),
		cmocka_unit_test(crosses_4_gib),
		cmocka_unit_test(refuses),
		cmocka_unit_test(geometry_of_every_captured_list),
		cmocka_unit_test(queue_of_large_frames),
		cmocka_unit_test(geometry_at_its_edges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
