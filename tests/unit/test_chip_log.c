// SPDX-License-Identifier: MIT
/* The firmware logs (pcie 5.4; 11.9 check 7): offsets, the wrap at exactly 4088, nonsense. */
#include "support/fakechip.h"
#include "support/support.h"

#include "chip/chip.h"

#define RING 4088u

struct rig {
	struct fake_chip f;
	struct chip chip;
	struct hw_error err;
};

static int setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	fake_init(&r->f);
	r->chip.be = &r->f.be;
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	fake_done(&r->f);
	free(r);
	return 0;
}

/* Byte @i of the ring of one CPU; no two neighbours and no two CPUs alike. */
static uint8_t pattern(bool core, uint32_t i)
{
	return (uint8_t)(i * 37 + (i >> 8) * 11 + core * 101);
}

static void fill(struct rig *r, bool core, uint32_t host, uint32_t end)
{
	uint8_t *log = r->f.logs + (core ? 0x1000 : 0);

	put_le32(log, host);
	put_le32(log + 4, end);
	for (uint32_t i = 0; i < RING; i++)
		log[8 + i] = pattern(core, i);
}

static uint32_t host_offset(const struct rig *r, bool core)
{
	return get_le32(r->f.logs + (core ? 0x1000 : 0));
}

/* Read with room for @size and compare with the ring from @host on. */
static void expect(struct rig *r, bool core, uint32_t host, size_t size, uint32_t want)
{
	uint8_t *buf = malloc(size ? size : 1); /* exactly as large: ASan sees the byte too many */
	int n = chip_read_log(&r->chip, core, buf, size, &r->err);

	assert_int_equal(n, want);
	for (uint32_t i = 0; i < want; i++)
		if (buf[i] != pattern(core, (host + i) % RING))
			fail_msg("byte %u of %u from %u is 0x%02x", i, want, host, buf[i]);
	assert_int_equal(host_offset(r, core), (host + want) % RING);
	free(buf);
}

static void every_start_and_length(void **state)
{
	static const uint32_t starts[] = {0, 1, 2, 3, 4, 500, 4083, 4084, 4085, 4086, 4087};
	struct rig *r = *state;

	for (size_t s = 0; s < ARRAY_SIZE(starts); s++)
		for (uint32_t len = 1; len <= 12; len++)
			for (int core = 0; core < 2; core++) {
				fill(r, core, starts[s], (starts[s] + len) % RING);
				expect(r, core, starts[s], 64, len);
				expect(r, core, (starts[s] + len) % RING, 64, 0);
			}
}

static void nothing_new_writes_nothing(void **state)
{
	struct rig *r = *state;

	fill(r, false, 77, 77);
	expect(r, false, 77, 64, 0);
	for (size_t i = 0; i < r->f.n_log; i++)
		assert_false(r->f.log[i].write);
	fill(r, true, 10, 20);
	expect(r, true, 10, 0, 0);
}

/* Up to the last byte: the new offset is 0, not 4088. */
static void wraps_at_exactly_4088(void **state)
{
	struct rig *r = *state;

	fill(r, true, 4000, 0);
	expect(r, true, 4000, 4088, 88);
	assert_int_equal(host_offset(r, true), 0);
	fill(r, true, 4000, 4087);
	expect(r, true, 4000, 4088, 87);
	assert_int_equal(host_offset(r, true), 4087);
}

static void a_full_log_in_pieces(void **state)
{
	struct rig *r = *state;
	uint32_t at = 2001, left = RING - 1;

	fill(r, false, at, at - 1);
	while (left) {
		uint32_t n = left < 511 ? left : 511;

		expect(r, false, at, 511, n);
		at = (at + n) % RING;
		left -= n;
	}
	fill(r, false, 1, 0);
	expect(r, false, 1, 8192, RING - 1);
}

/* One 32-bit write of the offset is all that is stored, and only aligned words are used. */
static void stores_its_offset_and_nothing_else(void **state)
{
	struct rig *r = *state;
	unsigned int writes = 0;

	fill(r, true, 4081, 13);
	expect(r, true, 4081, 64, 20);
	for (size_t i = 0; i < r->f.n_log; i++) {
		assert_int_equal(r->f.log[i].width, 4);
		assert_int_equal(r->f.log[i].off % 4, 0);
		if (!r->f.log[i].write)
			continue;
		writes++;
		assert_int_equal(r->f.log[i].bar, 4);
		assert_int_equal(r->f.log[i].off, 0x3000);
		assert_int_equal(r->f.log[i].value, 13);
	}
	assert_int_equal(writes, 1);
}

static void offsets_that_make_no_sense(void **state)
{
	static const uint32_t bad[][2] = {{4088, 0}, {0, 4088}, {0xffffffff, 0}, {5, 0x80000000}};
	struct rig *r = *state;
	uint8_t buf[16];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		fill(r, false, bad[i][0], bad[i][1]);
		assert_int_equal(chip_read_log(&r->chip, false, buf, sizeof(buf), &r->err), -EBADMSG);
		assert_non_null(strstr(r->err.text, "app CPU"));
		assert_int_equal(host_offset(r, false), bad[i][0]); /* left as it is */
	}
}

static void a_card_that_goes_at_any_access(void **state)
{
	struct rig *r = *state;
	uint8_t buf[16];
	size_t total;

	fill(r, false, 4080, 8);
	assert_int_equal(chip_read_log(&r->chip, false, buf, sizeof(buf), &r->err), 16);
	total = r->f.n_log;
	/* the last access is the write of the offset, which nobody can check */
	for (size_t at = 1; at < total; at++) {
		fill(r, false, 4080, 8);
		r->f.n_log = 0;
		r->f.gone_at = at;
		r->chip.gone = false;
		assert_int_equal(chip_read_log(&r->chip, false, buf, sizeof(buf), &r->err), -ENODEV);
		assert_true(r->chip.gone);
		assert_int_equal(host_offset(r, false), 4080); /* nothing was taken */
	}
	assert_int_equal(chip_read_log(&r->chip, false, buf, sizeof(buf), &r->err), -ENODEV);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(every_start_and_length),
		T(nothing_new_writes_nothing),
		T(wraps_at_exactly_4088),
		T(a_full_log_in_pieces),
		T(stores_its_offset_and_nothing_else),
		T(offsets_that_make_no_sense),
		T(a_card_that_goes_at_any_access),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
