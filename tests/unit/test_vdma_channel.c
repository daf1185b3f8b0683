// SPDX-License-Identifier: MIT
/* Lists and channels against registers that the test moves by hand. */
#include "support/fakechip.h"
#include "support/support.h"

#include <endian.h>

#include "vdma/vdma.h"

/* Index into fake_chip.bar2 of a channel's host side (pcie 6.1). */
#define HOST(ch) (((ch)*0x20 + ((ch) >= 16 ? 0x10 : 0)) / 4)

static void open_channel(struct fake_chip *f, struct vdma_channel *ch, struct vdma_list *list,
			 uint8_t index, uint32_t count, uint32_t page)
{
	struct hw_error err;

	fake_init(f);
	assert_ok(vdma_list_create(&f->be, count, page, true, list, &err), &err);
	f->bar2[HOST(index)] = ((uint32_t)__builtin_ctz(count) & 15) << 11 | 1;
	vdma_channel_init(ch, &f->be, index, list);
	assert_ok(vdma_channel_wait_started(ch, 0, &err), &err);
	f->n_log = 0;
}

static void close_channel(struct fake_chip *f, struct vdma_list *list)
{
	vdma_list_destroy(&f->be, list);
	assert_int_equal(f->dma_bytes, 0);
	fake_done(f);
}

static void set_processed(struct fake_chip *f, uint32_t index, uint32_t processed)
{
	f->bar2[HOST(index) + 1] = processed << 16 | processed;
}

static void lists(void **state)
{
	static const struct {
		uint32_t count, page;
		bool circular;
		size_t size; /* 0: refused */
	} cases[] = {
		{2, 64, true, 0x10000},	      {4096, 512, true, 0x10000},
		{8192, 512, true, 0x20000},   {65536, 4096, true, 0x100000},
		{3, 512, false, 0x10000},     {4097, 512, false, 0x20000},
		{3, 512, true, 0},	      {1, 512, true, 0},
		{0, 512, false, 0},	      {65537, 512, false, 0},
		{131072, 512, true, 0},	      {32, 32, true, 0},
		{32, 8192, true, 0},	      {32, 96, true, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fake_chip f;
		struct vdma_list list = {0};
		struct hw_error err = {0};
		int r;

		fake_init(&f);
		f.next_bus += 4096;
		r = vdma_list_create(&f.be, cases[i].count, cases[i].page, cases[i].circular, &list, &err);
		assert_int_equal(r, cases[i].size ? 0 : -EINVAL);
		assert_int_equal(f.dma_bytes, cases[i].size);
		if (r == 0)
			assert_int_equal(list.mem.bus % 65536, 0);
		else
			assert_true(err.text[0]);
		vdma_list_destroy(&f.be, &list);
		vdma_list_destroy(&f.be, &list);
		assert_int_equal(f.dma_bytes, 0);
		fake_done(&f);
	}
}

static void lists_without_memory(void **state)
{
	struct fake_chip f;
	struct vdma_list list = {0};
	struct hw_error err;

	(void)state;
	fake_init(&f);
	f.fail_alloc = 1;
	assert_int_equal(vdma_list_create(&f.be, 32, 512, true, &list, &err), -ENOMEM);
	/* a backend that breaks its word about alignment: the ring would start elsewhere */
	f.misalign = true;
	assert_int_equal(vdma_list_create(&f.be, 32, 512, true, &list, &err), -EIO);
	assert_non_null(strstr(err.text, "aligned"));
	assert_int_equal(f.dma_bytes, 0);
	assert_null(list.mem.virt);
	fake_done(&f);
}

static void waits_for_start(void **state)
{
	static const struct {
		uint32_t ctrl;
		int result;
	} cases[] = {
		{0x00002801, 0},
		{0x00002800, -ETIMEDOUT}, /* not started */
		{0x00002802, -ETIMEDOUT},
		{0x00012801, -ETIMEDOUT}, /* something published already */
		{0x00003001, -ETIMEDOUT}, /* another ring depth */
		{0xffffffff, -ENODEV},
	};
	struct fake_chip f;
	struct vdma_list list;
	struct vdma_channel ch;
	struct hw_error err;

	(void)state;
	open_channel(&f, &ch, &list, 17, 32, 512);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		f.bar2[HOST(17)] = cases[i].ctrl;
		assert_int_equal(vdma_channel_wait_started(&ch, 1, &err), cases[i].result);
	}
	f.bar2[HOST(17)] = 0x00052802;
	f.bar2[HOST(17) + 1] = 0x00040003;
	f.bar2[HOST(17) + 2] = 0x3a620007;
	assert_int_equal(vdma_channel_wait_started(&ch, 1, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.text, "ch 17: ctrl 0x02 avail 5 processed 3 of 32, error 7"));
	close_channel(&f, &list);
}

static void launch_writes_descriptors_then_the_doorbell(void **state)
{
	struct fake_chip f;
	struct vdma_list list;
	struct vdma_channel ch;
	const struct vdma_desc *d;

	(void)state;
	open_channel(&f, &ch, &list, 2, 32, 512);
	d = vdma_list_descs(&list);
	assert_int_equal(vdma_channel_launch(&ch, 0x103a000000, 784, &ch), 0);
	/* one read, one 16-bit store into the upper half: the control byte is never written */
	assert_int_equal(f.n_log, 2);
	assert_false(f.log[0].write);
	assert_int_equal(f.log[0].off, 0x40);
	assert_true(f.log[1].write);
	assert_int_equal(f.log[1].width, 2);
	assert_int_equal(f.log[1].off, 0x42);
	assert_int_equal(f.log[1].value, 2);
	assert_int_equal(f.bar2[HOST(2)], 0x00022801);
	assert_int_equal(le32toh(d[0].ctrl), 0x00020002);
	assert_int_equal(le32toh(d[1].ctrl), 0x0001102e);
	assert_int_equal(f.syncs, 1);
	assert_int_equal(f.sync_off[0], 0);
	assert_int_equal(f.sync_len[0], 32);
	close_channel(&f, &list);

	/* an output's registers are the destination half */
	open_channel(&f, &ch, &list, 19, 1024, 512);
	assert_int_equal(vdma_channel_launch(&ch, 0x103a000000, 38400, &ch), 0);
	assert_int_equal(f.log[1].off, 0x272);
	assert_int_equal(f.log[1].value, 75);
	close_channel(&f, &list);
}

static void launch_wraps(void **state)
{
	struct fake_chip f;
	struct vdma_list list;
	struct vdma_channel ch;
	void *got[8];

	(void)state;
	open_channel(&f, &ch, &list, 18, 8, 64);
	assert_int_equal(vdma_channel_launch(&ch, 0x1000, 6 * 64, &got[0]), 0);
	set_processed(&f, 18, 6);
	assert_int_equal(vdma_channel_reap(&ch, got, 8), 1);
	f.syncs = 0;
	assert_int_equal(vdma_channel_launch(&ch, 0x2000, 5 * 64, &got[1]), 0);
	assert_int_equal(f.bar2[HOST(18)] >> 16, 3);
	assert_int_equal(f.syncs, 2);
	assert_int_equal(f.sync_off[0], 6 * 16);
	assert_int_equal(f.sync_len[0], 2 * 16);
	assert_int_equal(f.sync_off[1], 0);
	assert_int_equal(f.sync_len[1], 3 * 16);
	/* not at its end, then past it */
	for (uint32_t p = 0; p < 3; p++) {
		set_processed(&f, 18, p ? p : 8); /* N instead of 0 (pcie 6.4) */
		assert_int_equal(vdma_channel_reap(&ch, got, 8), 0);
	}
	set_processed(&f, 18, 3);
	assert_int_equal(vdma_channel_reap(&ch, got, 8), 1);
	assert_ptr_equal(got[0], &got[1]);
	close_channel(&f, &list);
}

static void launch_refuses(void **state)
{
	struct fake_chip f;
	struct vdma_list list;
	struct vdma_channel ch;

	(void)state;
	open_channel(&f, &ch, &list, 2, 8, 64);
	assert_int_equal(vdma_channel_launch(&ch, 0x1000, 0, NULL), -EINVAL);
	assert_int_equal(vdma_channel_launch(&ch, 0x1000, 8 * 64, NULL), -EINVAL); /* never fits */
	assert_int_equal(vdma_channel_launch(&ch, 0x1001, 64, NULL), -EINVAL);
	assert_int_equal(ch.fifo_count, 0);
	f.bar2[HOST(2)] = 0x00001802;
	assert_int_equal(vdma_channel_launch(&ch, 0x1000, 64, NULL), -ECONNRESET);
	f.bar2[HOST(2)] = 0x00031801;
	assert_int_equal(vdma_channel_launch(&ch, 0x1000, 64, NULL), -EFAULT);
	f.bar2[HOST(2)] = 0xffffffff;
	assert_int_equal(vdma_channel_launch(&ch, 0x1000, 64, NULL), -ENODEV);
	f.bar2[HOST(2)] = 0x00001801;
	assert_int_equal(vdma_channel_launch(&ch, 0x1000, 5 * 64, NULL), 0);
	/* 7 may be used at once: 8 would look empty */
	assert_int_equal(vdma_channel_launch(&ch, 0x1000, 3 * 64, NULL), -EAGAIN);
	assert_int_equal(vdma_channel_launch(&ch, 0x1000, 2 * 64, NULL), 0);
	assert_int_equal(vdma_channel_launch(&ch, 0x1000, 1, NULL), -EAGAIN);
	for (size_t i = 0; i < f.n_log; i++)
		assert_true(!f.log[i].write || f.log[i].value == 5 || f.log[i].value == 7);
	close_channel(&f, &list);
}

static void at_most_127_in_flight(void **state)
{
	struct fake_chip f;
	struct vdma_list list;
	struct vdma_channel ch;
	void *got[200];
	char tokens[300];

	(void)state;
	open_channel(&f, &ch, &list, 16, 256, 64);
	for (int i = 0; i < 127; i++)
		assert_int_equal(vdma_channel_launch(&ch, 0x1000, 8, &tokens[i]), 0);
	assert_int_equal(vdma_channel_launch(&ch, 0x1000, 8, &tokens[127]), -EAGAIN);
	set_processed(&f, 16, 100);
	assert_int_equal(vdma_channel_reap(&ch, got, 200), 100);
	for (int i = 0; i < 100; i++)
		assert_ptr_equal(got[i], &tokens[i]);
	for (int i = 127; i < 227; i++)
		assert_int_equal(vdma_channel_launch(&ch, 0x1000, 8, &tokens[i]), 0);
	set_processed(&f, 16, 227);
	/* no more than there is room for; the rest next time */
	assert_int_equal(vdma_channel_reap(&ch, got, 3), 3);
	assert_ptr_equal(got[0], &tokens[100]);
	assert_int_equal(vdma_channel_reap(&ch, got, 200), 124);
	assert_ptr_equal(got[123], &tokens[226]);
	assert_int_equal(vdma_channel_reap(&ch, got, 200), 0);
	close_channel(&f, &list);
}

/* A ring of 65,536: depth is written as 0, and the counter wraps by itself. */
static void the_largest_ring(void **state)
{
	struct fake_chip f;
	struct vdma_list list;
	struct vdma_channel ch;
	void *got[4];

	(void)state;
	open_channel(&f, &ch, &list, 2, 65536, 512);
	assert_int_equal(f.bar2[HOST(2)], 1);
	assert_int_equal(vdma_channel_launch(&ch, 0x1000, 512 * 65535, &got[1]), 0);
	assert_int_equal(f.bar2[HOST(2)], 0xffff0001);
	set_processed(&f, 2, 65534);
	assert_int_equal(vdma_channel_reap(&ch, got, 4), 0);
	set_processed(&f, 2, 65535);
	assert_int_equal(vdma_channel_reap(&ch, got, 4), 1);
	assert_int_equal(vdma_channel_launch(&ch, 0x1000, 512 * 2, &got[2]), 0);
	assert_int_equal(f.bar2[HOST(2)], 0x00010001);
	set_processed(&f, 2, 0);
	assert_int_equal(vdma_channel_reap(&ch, got, 4), 0);
	set_processed(&f, 2, 1);
	assert_int_equal(vdma_channel_reap(&ch, got, 4), 1);
	assert_ptr_equal(got[0], &got[2]);
	close_channel(&f, &list);
}

static void partial_progress_completes_whole_transfers_only(void **state)
{
	struct fake_chip f;
	struct vdma_list list;
	struct vdma_channel ch;
	void *got[4];
	int a, b, c;

	(void)state;
	open_channel(&f, &ch, &list, 2, 32, 64);
	assert_int_equal(vdma_channel_launch(&ch, 0x1000, 4 * 64, &a), 0);
	assert_int_equal(vdma_channel_launch(&ch, 0x1000, 4 * 64, &b), 0);
	assert_int_equal(vdma_channel_launch(&ch, 0x1000, 4 * 64, &c), 0);
	for (uint32_t p = 0; p <= 12; p++) {
		int n;

		set_processed(&f, 2, p);
		n = vdma_channel_reap(&ch, got, 4);
		assert_int_equal(n, p && p % 4 == 0 ? 1 : 0);
		if (n)
			assert_ptr_equal(got[0], p == 4 ? &a : p == 8 ? &b : &c);
	}
	close_channel(&f, &list);
}

static void stopped_channels_complete_nothing(void **state)
{
	struct fake_chip f;
	struct vdma_list list;
	struct vdma_channel ch;
	void *got[4];
	int a;

	(void)state;
	open_channel(&f, &ch, &list, 2, 8, 64);
	assert_int_equal(vdma_channel_launch(&ch, 0x1000, 6 * 64, &a), 0);
	set_processed(&f, 2, 6);
	assert_int_equal(vdma_channel_reap(&ch, got, 4), 1);
	assert_int_equal(vdma_channel_launch(&ch, 0x1000, 2 * 64, &a), 0);
	/* Aborted: all counters 0, which is also where this transfer would have ended. */
	f.bar2[HOST(2)] = 0x00001800;
	set_processed(&f, 2, 0);
	assert_int_equal(vdma_channel_reap(&ch, got, 4), -ECONNRESET);
	/* opened again by the firmware, without us */
	ch.head = 3;
	f.bar2[HOST(2)] = 0x00001801;
	assert_int_equal(vdma_channel_reap(&ch, got, 4), -ECONNRESET);
	f.bar2[HOST(2)] = 0x00001800;
	f.bar2[HOST(2) + 2] = 0x3a620001;
	assert_int_equal(vdma_channel_reap(&ch, got, 4), -EIO);
	f.bar2[HOST(2)] = 0xffffffff;
	assert_int_equal(vdma_channel_reap(&ch, got, 4), -ENODEV);
	close_channel(&f, &list);
}

static void errors_show_when_nothing_moves(void **state)
{
	struct fake_chip f;
	struct vdma_list list;
	struct vdma_channel ch;
	void *got[4];
	char text[120];
	int a;

	(void)state;
	open_channel(&f, &ch, &list, 2, 32, 64);
	assert_int_equal(vdma_channel_reap(&ch, got, 4), 0);
	assert_int_equal(vdma_channel_launch(&ch, 0x1000, 2 * 64, &a), 0);
	f.bar2[HOST(2) + 2] = 0x3a620000; /* the upper half is the list's address */
	assert_int_equal(vdma_channel_reap(&ch, got, 4), 0);
	f.bar2[HOST(2) + 2] = 0x3a620003;
	assert_int_equal(vdma_channel_reap(&ch, got, 4), -EIO);
	vdma_channel_describe(&f.be, 2, text, sizeof(text));
	assert_string_equal(text, "ch 2: ctrl 0x01 avail 2 processed 0 of 32, error 3");
	/* with progress, what was finished is handed out first, at the price of two reads */
	set_processed(&f, 2, 2);
	f.n_log = 0;
	assert_int_equal(vdma_channel_reap(&ch, got, 4), 1);
	assert_int_equal(f.n_log, 2);
	/* the counter before the control word: an abort between them must show */
	assert_int_equal(f.log[0].off, 0x44);
	assert_int_equal(f.log[1].off, 0x40);
	close_channel(&f, &list);
}

/* Neither what was never queued nor what was finished before can be what is finished now. */
static void counters_outside_what_is_in_flight(void **state)
{
	static const struct {
		uint32_t shown;
		int want;
	} cases[] = {
		/* 8 of 16 were reaped, 6 are in flight */
		{8, 0}, {7, -EPROTO}, {0, -EPROTO}, {15, -EPROTO}, {9, 0}, {8, -EPROTO}, {10, 1},
		{16, -EPROTO}, {10, 0}, {14, 2}, {10, -EPROTO}, {14, 0},
	};
	struct fake_chip f;
	struct vdma_list list;
	struct vdma_channel ch;
	void *got[4];
	int a;

	(void)state;
	open_channel(&f, &ch, &list, 2, 16, 64);
	assert_int_equal(vdma_channel_launch(&ch, 0x1000, 8 * 64, &a), 0);
	set_processed(&f, 2, 8);
	assert_int_equal(vdma_channel_reap(&ch, got, 4), 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(vdma_channel_launch(&ch, 0x1000, 2 * 64, &a), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		set_processed(&f, 2, cases[i].shown);
		assert_int_equal(vdma_channel_reap(&ch, got, 4), cases[i].want);
	}
	/* a launch finds out, too, why a channel does not run */
	f.bar2[HOST(2)] &= ~1u;
	assert_int_equal(vdma_channel_launch(&ch, 0x1000, 64, &a), -ECONNRESET);
	f.bar2[HOST(2) + 2] = 0x3a620004;
	assert_int_equal(vdma_channel_launch(&ch, 0x1000, 64, &a), -EIO);
	close_channel(&f, &list);
}

/* Random launches and progress on small rings against a plain model of the ring. */
static void random_traffic(void **state)
{
	uint32_t seed = 12345;

	(void)state;
	for (int round = 0; round < 30; round++) {
		struct fake_chip f;
		struct vdma_list list;
		struct vdma_channel ch;
		uint32_t count = 2u << (round % 6), pending[1000] = {0};
		uint64_t published = 0, done = 0, reaped = 0;
		size_t n_launched = 0, n_reaped = 0;
		static char tokens[1000];

		open_channel(&f, &ch, &list, 20, count, 64);
		while (n_launched < ARRAY_SIZE(pending)) {
			uint32_t n;
			void *got[7];
			int r;

			seed = seed * 1664525 + 1013904223;
			n = (seed >> 16) % (count - 1) + 1;
			r = vdma_channel_launch(&ch, 0x1000, n * 64 - (seed >> 30), &tokens[n_launched]);
			if (published - reaped + n <= count - 1 && n_launched - n_reaped < 127) {
				assert_int_equal(r, 0);
				pending[n_launched++] = n;
				published += n;
				assert_int_equal(f.bar2[HOST(20)] >> 16, published % count);
			} else {
				assert_int_equal(r, -EAGAIN);
			}
			seed = seed * 1664525 + 1013904223;
			done += (seed >> 16) % (published - done + 1);
			/* the engine shows N where a list ends (pcie 6.4) */
			set_processed(&f, 20, !done ? 0 : (uint32_t)((done - 1) % count) + 1);
			r = vdma_channel_reap(&ch, got, 7);
			assert_true(r >= 0);
			for (int i = 0; i < r; i++) {
				assert_ptr_equal(got[i], &tokens[n_reaped]);
				reaped += pending[n_reaped++];
				assert_true(reaped <= done);
			}
			if (r < 7 && n_reaped < n_launched)
				assert_true(reaped + pending[n_reaped] > done);
			f.n_log = 0;
		}
		close_channel(&f, &list);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists),
		cmocka_unit_test(lists_without_memory),
		cmocka_unit_test(waits_for_start),
		cmocka_unit_test(launch_writes_descriptors_then_the_doorbell),
		cmocka_unit_test(launch_wraps),
		cmocka_unit_test(launch_refuses),
		cmocka_unit_test(at_most_127_in_flight),
		cmocka_unit_test(the_largest_ring),
		cmocka_unit_test(partial_progress_completes_whole_transfers_only),
		cmocka_unit_test(stopped_channels_complete_nothing),
		cmocka_unit_test(errors_show_when_nothing_moves),
		cmocka_unit_test(counters_outside_what_is_in_flight),
		cmocka_unit_test(random_traffic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
