// SPDX-License-Identifier: MIT
/*
 * The software chip's vDMA engine by itself (pcie 6, 7, 11.7): channels are opened from inside, the
 * host's registers and memory are looked at from outside.
 */
#include "unit/mock_host.h"

#include "mock/sim.h"

#define LIST 0x1200010000ull /* above 4 GiB */
#define DATA 0x1200200000ull

struct rig {
	struct test_host h;
	uint8_t *list, *data;
};

static void rig_open(struct rig *r, uint32_t mrrs)
{
	host_open_running(&r->h, (struct mock_opts){.max_read_request = mrrs});
	r->list = host_map(&r->h, LIST, 1 << 20);
	r->data = host_map(&r->h, DATA, 1 << 20);
}

static void rig_close(struct rig *r)
{
	host_close(&r->h);
}

static void open_chan(struct rig *r, unsigned int ch, uint32_t page, uint32_t count, bool ring)
{
	struct sim_host_buffer b = {0, LIST, page, count, page};

	pthread_mutex_lock(&r->h.chip->lock);
	sim_chan_open(r->h.chip, ch, &b, ring);
	pthread_mutex_unlock(&r->h.chip->lock);
}

static int move(struct rig *r, unsigned int ch, void *data, size_t room, size_t *moved)
{
	int n;

	pthread_mutex_lock(&r->h.chip->lock);
	n = sim_chan_move(r->h.chip, ch, data, room, UINT32_MAX, moved);
	pthread_mutex_unlock(&r->h.chip->lock);
	return n;
}

/* Move until nothing moves any more; returns bytes. */
static size_t drain(struct rig *r, unsigned int ch, uint8_t *data, size_t room)
{
	size_t sum = 0, moved;

	while (sum < room && move(r, ch, data + sum, room - sum, &moved) > 0)
		sum += moved;
	return sum;
}

static void doorbell(struct rig *r, unsigned int ch, uint16_t avail)
{
	uint32_t at = CHIP_VDMA_HOST(ch);
	uint32_t v = rd(&r->h, 2, at);

	wr(&r->h, 2, at, (v & 0xffff) | (uint32_t)avail << 16);
}

static uint32_t proc(struct rig *r, unsigned int ch)
{
	return rd(&r->h, 2, CHIP_VDMA_HOST(ch) + CHIP_VDMA_PROC);
}

/* Depth, data ids and places of the blocks: 0x00002801 and 0x00002c01 were seen (evidence 7,
 * pcie 6.2). */
static void registers_after_opening(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 0);
	open_chan(&r, 2, 512, 32, true);
	open_chan(&r, 19, 512, 32768, true);
	open_chan(&r, 20, 512, 65536, true);
	assert_int_equal(rd(&r.h, 2, 0x40), 0x00002801);
	assert_int_equal(rd(&r.h, 2, 0x50), 0x00002c01);
	assert_int_equal(rd(&r.h, 2, 0x48), LIST & 0xffff0000);
	assert_int_equal(rd(&r.h, 2, 0x4c), LIST >> 32);
	assert_int_equal(rd(&r.h, 2, 0x270), 0x00007801);
	assert_int_equal(rd(&r.h, 2, 0x260), 0x00007c01);
	assert_int_equal(rd(&r.h, 2, 0x290), 0x00000001); /* 65536 is written as depth 0 */
	rig_close(&r);
}

/* Evidence 10 no 9: one 32-bit write of 0x00022801 at BAR2 0x40 publishes two descriptors. */
static void moves_a_frame_to_the_chip(void **state)
{
	uint8_t got[784] = {0};
	struct rig r;
	size_t moved;

	(void)state;
	rig_open(&r, 0);
	for (int i = 0; i < 784; i++)
		r.data[i] = (uint8_t)(i * 7);
	desc_put(&r.h, LIST, 0, 512, 0x02, DATA);
	desc_put(&r.h, LIST, 1, 272, 0x2e, DATA + 512);
	open_chan(&r, 2, 512, 32, true);
	wr(&r.h, 0, CHIP_ISTATUS_HOST, 0xffffffff);
	wr(&r.h, 2, 0x40, 0x00022801);
	assert_int_equal(move(&r, 2, got, sizeof(got), &moved), 2);
	assert_int_equal(moved, 784);
	assert_memory_equal(got, r.data, 784);
	assert_int_equal(proc(&r, 2), 0x00020002);
	assert_int_equal(rd(&r.h, 2, 0x40), 0x00022801);
	assert_int_equal(rd(&r.h, 0, CHIP_SRC_IRQ), 0x4);
	assert_int_equal(rd(&r.h, 0, CHIP_DST_IRQ), 0);
	assert_int_equal(rd(&r.h, 0, CHIP_ISTATUS_HOST), 0x1);
	assert_int_equal(move(&r, 2, got, sizeof(got), &moved), 0);
	rig_close(&r);
}

/* The interrupt bits of every channel (evidence 3, pcie 2.3), and clearing one latch only. */
static void channel_interrupt_bits(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 0);
	for (unsigned int ch = 0; ch < 32; ch++) {
		uint8_t buf[64];
		size_t moved;
		uint32_t group = ch < 16 ? 1u << ch / 4 : 1u << (8 + ch / 4);

		wr(&r.h, 0, CHIP_SRC_IRQ, 0xffffffff);
		wr(&r.h, 0, CHIP_DST_IRQ, 0xffffffff);
		wr(&r.h, 0, CHIP_ISTATUS_HOST, 0xffffffff);
		desc_put(&r.h, LIST, 0, 64, 0x2e, DATA);
		open_chan(&r, ch, 64, 2, true);
		doorbell(&r, ch, 1);
		assert_int_equal(move(&r, ch, buf, 64, &moved), 1);
		assert_int_equal(rd(&r.h, 0, CHIP_ISTATUS_HOST), group);
		assert_int_equal(rd(&r.h, 0, CHIP_SRC_IRQ), ch < 16 ? 1u << ch : 0);
		assert_int_equal(rd(&r.h, 0, CHIP_DST_IRQ), ch < 16 ? 0 : 1u << ch);
		wr(&r.h, 0, CHIP_ISTATUS_HOST, group);
		assert_int_equal(rd(&r.h, 0, CHIP_ISTATUS_HOST), 0);
		assert_int_equal(rd(&r.h, 0, ch < 16 ? CHIP_SRC_IRQ : CHIP_DST_IRQ), 1u << ch);
	}
	rig_close(&r);
}

static void control_bits_choose_interrupt_and_status(void **state)
{
	static const struct {
		uint8_t ctrl;
		bool irq, status;
	} want[] = {{0x02, false, false}, {0x2e, true, false}, {0x1e, false, false},
		    {0x3e, true, false},  {0x2f, true, true},  {0x2a, false, false},
		    {0x03, false, true}};
	struct rig r;

	(void)state;
	rig_open(&r, 0);
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		uint8_t buf[64], d[16];
		size_t moved;

		wr(&r.h, 0, CHIP_SRC_IRQ, 0xffffffff);
		desc_put(&r.h, LIST, 0, 64, want[i].ctrl, DATA);
		open_chan(&r, 0, 64, 2, true);
		doorbell(&r, 0, 1);
		assert_int_equal(move(&r, 0, buf, 64, &moved), 1);
		assert_int_equal(rd(&r.h, 0, CHIP_SRC_IRQ), want[i].irq);
		host_peek(&r.h, LIST, d, 16);
		assert_int_equal(get_le32(d + 12), want[i].status ? 1 : 0);
	}
	rig_close(&r);
}

/* After index N-1 the count shows N; taken modulo N it is 0 (pcie 6.4). */
static void ring_wraps_and_shows_n(void **state)
{
	uint8_t got[64 * 8];
	struct rig r;

	(void)state;
	rig_open(&r, 0);
	for (uint32_t i = 0; i < 8; i++) {
		desc_put(&r.h, LIST, i, 64, 0x02, DATA + 64 * i);
		memset(r.data + 64 * i, 'a' + (int)i, 64);
	}
	open_chan(&r, 1, 64, 8, true);
	doorbell(&r, 1, 7); /* at most N-1 */
	assert_int_equal(drain(&r, 1, got, sizeof(got)), 7 * 64);
	assert_int_equal(proc(&r, 1), 0x00070007);
	doorbell(&r, 1, 0); /* one more: index 7 */
	assert_int_equal(drain(&r, 1, got, sizeof(got)), 64);
	assert_int_equal(got[0], 'h');
	assert_int_equal(proc(&r, 1), 0x00080008);
	doorbell(&r, 1, 0); /* 8 mod 8: empty */
	assert_int_equal(drain(&r, 1, got, sizeof(got)), 0);
	doorbell(&r, 1, 6);
	assert_int_equal(drain(&r, 1, got, sizeof(got)), 6 * 64);
	assert_int_equal(got[0], 'a');
	doorbell(&r, 1, 3); /* across the end: 6, 7, 0, 1, 2 */
	assert_int_equal(drain(&r, 1, got, sizeof(got)), 5 * 64);
	assert_int_equal(got[0], 'g');
	assert_int_equal(got[4 * 64], 'c');
	assert_int_equal(proc(&r, 1), 0x00030003);
	rig_close(&r);
}

static void largest_ring_wraps_in_16_bits(void **state)
{
	uint8_t *got = malloc(65536 * 64);
	struct rig r;

	(void)state;
	assert_non_null(got);
	rig_open(&r, 0);
	for (uint32_t i = 0; i < 65536; i++) {
		put_le32(r.list + 16 * i, 64 << 8 | 2);
		put_le64(r.list + 16 * i + 4, DATA + 64 * (i % 16384));
		r.data[64 * (i % 16384)] = (uint8_t)(i % 251);
	}
	open_chan(&r, 0, 64, 65536, true);
	doorbell(&r, 0, 65535);
	assert_int_equal(drain(&r, 0, got, 65536 * 64), 65535 * 64);
	assert_int_equal(proc(&r, 0), 0xffffffff);
	doorbell(&r, 0, 1);
	assert_int_equal(drain(&r, 0, got, 65536 * 64), 128);
	assert_int_equal(proc(&r, 0), 0x00010001);
	free(got);
	rig_close(&r);
}

static void moves_outputs_and_knows_their_room(void **state)
{
	uint8_t frame[300];
	struct rig r;
	size_t moved;
	int room;

	(void)state;
	rig_open(&r, 0);
	for (int i = 0; i < 300; i++)
		frame[i] = (uint8_t)(i ^ 0x5a);
	open_chan(&r, 16, 128, 4, true);
	for (uint32_t i = 0; i < 3; i++)
		desc_put(&r.h, LIST, i, i == 2 ? 44 : 128, i == 2 ? 0x2e : 2, DATA + 4096 * i);
	for (uint16_t avail = 0; avail < 4; avail++) {
		doorbell(&r, 16, avail);
		pthread_mutex_lock(&r.h.chip->lock);
		room = sim_chan_room(r.h.chip, 16, 300);
		pthread_mutex_unlock(&r.h.chip->lock);
		assert_int_equal(room, avail == 3);
	}
	assert_int_equal(move(&r, 16, frame, 300, &moved), 3);
	assert_memory_equal(r.data, frame, 128);
	assert_memory_equal(r.data + 4096, frame + 128, 128);
	assert_memory_equal(r.data + 8192, frame + 256, 44);
	assert_int_equal(r.data[8192 + 44], 0);
	assert_int_equal(rd(&r.h, 0, CHIP_DST_IRQ), 0x10000);
	rig_close(&r);
}

/* One bad descriptor behind a good one: error byte, status write-back, channel stopped. */
static void bad_descriptors_stop_the_channel(void **state)
{
	static const struct {
		uint32_t size;
		uint64_t addr;
		const char *why;
		uint8_t err;
	} bad[] = {
	    {0, DATA, "size 0", SIM_DMA_ERR_DESC},
	    {513, DATA, "above the page", SIM_DMA_ERR_DESC},
	    {512, DATA + 1, "data id", SIM_DMA_ERR_DESC},
	    {512, DATA + 32, "unaligned", SIM_DMA_ERR_DESC},
	    {512, 0x40000, "the bus refused", SIM_DMA_ERR_DATA},
	    {512, DATA + (1 << 20) - 64, "the bus refused", SIM_DMA_ERR_DATA},
	    {400, DATA, "beyond the frame", SIM_DMA_ERR_DESC},
	};

	(void)state;
	for (unsigned int dir = 0; dir < 2; dir++) {
		for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
			unsigned int ch = dir ? 17 : 3;
			bool small = bad[i].size == 400;
			uint8_t buf[1024] = {0}, d[16];
			struct rig r;
			size_t moved;

			rig_open(&r, 0);
			desc_put(&r.h, LIST, 0, 512, 0x02, DATA + 4096);
			desc_put(&r.h, LIST, 1, bad[i].size, 0x2e, bad[i].addr);
			open_chan(&r, ch, 512, 8, true);
			doorbell(&r, ch, 2);
			assert_int_equal(move(&r, ch, buf, small ? 900 : 1024, &moved), -EIO);
			wait_fault(&r.h, bad[i].why);
			assert_int_equal(proc(&r, ch), 0x00010001);
			assert_int_equal(rd(&r.h, 2, CHIP_VDMA_HOST(ch)) & 3, 0);
			assert_int_equal(rd(&r.h, 2, CHIP_VDMA_HOST(ch) + CHIP_VDMA_ERR) & 0xff,
					 bad[i].err);
			host_peek(&r.h, LIST + 16, d, 16);
			assert_int_equal(get_le32(d + 12), CHIP_DESC_STATUS_ERROR);
			assert_int_equal(rd(&r.h, 0, dir ? CHIP_DST_IRQ : CHIP_SRC_IRQ), 1u << ch);
			assert_int_equal(move(&r, ch, buf, 1024, &moved), 0);
			rig_close(&r);
		}
	}
}

static void unmapped_list_stops_the_channel(void **state)
{
	struct sim_host_buffer b = {0, 0x7f0000, 512, 32, 512};
	struct mock_stats stats;
	uint8_t buf[512];
	struct rig r;
	size_t moved;

	(void)state;
	rig_open(&r, 0);
	pthread_mutex_lock(&r.h.chip->lock);
	sim_chan_open(r.h.chip, 0, &b, true);
	pthread_mutex_unlock(&r.h.chip->lock);
	doorbell(&r, 0, 1);
	assert_int_equal(move(&r, 0, buf, 512, &moved), -EIO);
	assert_int_equal(rd(&r.h, 2, 0x8) & 0xff, SIM_DMA_ERR_FETCH);
	mock_chip_stats(r.h.chip, &stats);
	assert_int_equal(stats.dma_faults, 1);
	rig_close(&r);
}

/* pcie 7.6: a card with Max_Read_Request below 512 cannot do larger descriptors. */
static void small_read_requests_limit_the_page(void **state)
{
	uint8_t buf[512];
	struct rig r;
	size_t moved;

	(void)state;
	rig_open(&r, 256);
	desc_put(&r.h, LIST, 0, 256, 2, DATA);
	desc_put(&r.h, LIST, 1, 512, 2, DATA);
	open_chan(&r, 0, 512, 8, true);
	doorbell(&r, 0, 1);
	assert_int_equal(move(&r, 0, buf, 512, &moved), 1);
	doorbell(&r, 0, 2);
	assert_int_equal(move(&r, 0, buf, 512, &moved), -EIO);
	rig_close(&r);
}

static void pause_and_abort(void **state)
{
	uint8_t buf[256];
	struct rig r;
	size_t moved;

	(void)state;
	rig_open(&r, 0);
	for (uint32_t i = 0; i < 8; i++)
		desc_put(&r.h, LIST, i, 64, 2, DATA + 64 * i);
	open_chan(&r, 0, 64, 8, true);
	doorbell(&r, 0, 1);
	assert_int_equal(move(&r, 0, buf, 64, &moved), 1);
	mock_chip_write(r.h.chip, 2, 0, 0x03, 1); /* pause */
	mock_chip_write(r.h.chip, 2, 2, 4, 2);	  /* the 16-bit doorbell is kept */
	assert_int_equal(move(&r, 0, buf, 256, &moved), 0);
	assert_int_equal(rd(&r.h, 2, 0) >> 16, 4);
	mock_chip_write(r.h.chip, 2, 0, 0x01, 1); /* resume: no new start */
	assert_int_equal(proc(&r, 0), 0x00010001);
	assert_int_equal(move(&r, 0, buf, 256, &moved), 3);
	mock_chip_write(r.h.chip, 2, 0, 0x00, 1); /* abort */
	assert_int_equal(proc(&r, 0), 0);
	assert_int_equal(rd(&r.h, 2, 0), 0x00001800);
	doorbell(&r, 0, 5);
	assert_int_equal(rd(&r.h, 2, 0), 0x00001800);
	assert_int_equal(move(&r, 0, buf, 256, &moved), 0);
	rig_close(&r);
}

/* The bus callback aborts the channel while its transfer is under way: nothing is counted. */
static struct rig *aborting;

static int abort_in_the_middle(void *host, uint64_t bus, void *buf, size_t len)
{
	int r = bus_access(host, bus, buf, len, false);

	if (bus >= DATA + 128)
		mock_chip_write(aborting->h.chip, 2, 0, 0, 1);
	return r;
}

static void abort_during_a_transfer(void **state)
{
	uint8_t buf[512];
	struct rig r;
	size_t moved;

	(void)state;
	rig_open(&r, 0);
	aborting = &r;
	pthread_mutex_lock(&r.h.chip->lock);
	r.h.chip->host.dma_read = abort_in_the_middle;
	pthread_mutex_unlock(&r.h.chip->lock);
	for (uint32_t i = 0; i < 8; i++)
		desc_put(&r.h, LIST, i, 64, 0x2e, DATA + 64 * i);
	open_chan(&r, 0, 64, 8, true);
	doorbell(&r, 0, 7);
	assert_int_equal(move(&r, 0, buf, 512, &moved), -ECANCELED);
	assert_int_equal(proc(&r, 0), 0);
	assert_int_equal(rd(&r.h, 0, CHIP_SRC_IRQ), 0);
	rig_close(&r);
}

static void nothing_moves_without_bus_master(void **state)
{
	uint8_t buf[64];
	struct rig r;
	size_t moved;

	(void)state;
	rig_open(&r, 0);
	desc_put(&r.h, LIST, 0, 64, 2, DATA);
	open_chan(&r, 0, 64, 2, true);
	doorbell(&r, 0, 1);
	mock_chip_set_bus_master(r.h.chip, false);
	r.h.reads = 0;
	assert_int_equal(move(&r, 0, buf, 64, &moved), 0);
	assert_int_equal(r.h.reads, 0);
	mock_chip_set_bus_master(r.h.chip, true);
	assert_int_equal(move(&r, 0, buf, 64, &moved), 1);
	rig_close(&r);
}

static void host_buffer_info_is_checked(void **state)
{
	static const struct {
		struct sim_host_buffer b;
		bool ring;
		uint32_t status;
	} t[] = {
	    {{0, LIST, 512, 32, 784}, true, 0},
	    {{0, LIST, 512, 126, 56320}, false, 0}, /* as captured: not a power of two */
	    {{1, LIST, 512, 32, 784}, true, 0x40130066},
	    {{0, LIST + 0x1000, 512, 32, 784}, true, FW_STATUS_LIST_ALIGN},
	    {{0, LIST, 32, 32, 784}, true, FW_STATUS_BAD_PAGE},
	    {{0, LIST, 8192, 32, 784}, true, FW_STATUS_BAD_PAGE},
	    {{0, LIST, 500, 32, 784}, true, FW_STATUS_BAD_PAGE},
	    {{0, LIST, 512, 1, 784}, false, FW_STATUS_BAD_DEPTH},
	    {{0, LIST, 512, 65537, 784}, false, FW_STATUS_BAD_DEPTH},
	    {{0, LIST, 512, 32, 0}, true, 0x402d001b},
	    {{0, LIST, 512, 31, 784}, true, 0x402d0011},
	    {{0, LIST, 64, 4, 193}, true, 0x402d001a},
	    {{0, LIST, 64, 4, 192}, true, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		assert_int_equal(sim_host_buffer_check(&t[i].b, t[i].ring), t[i].status);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(registers_after_opening),
	    cmocka_unit_test(moves_a_frame_to_the_chip),
	    cmocka_unit_test(channel_interrupt_bits),
	    cmocka_unit_test(control_bits_choose_interrupt_and_status),
	    cmocka_unit_test(ring_wraps_and_shows_n),
	    cmocka_unit_test(largest_ring_wraps_in_16_bits),
	    cmocka_unit_test(moves_outputs_and_knows_their_room),
	    cmocka_unit_test(bad_descriptors_stop_the_channel),
	    cmocka_unit_test(unmapped_list_stops_the_channel),
	    cmocka_unit_test(small_read_requests_limit_the_page),
	    cmocka_unit_test(pause_and_abort),
	    cmocka_unit_test(abort_during_a_transfer),
	    cmocka_unit_test(nothing_moves_without_bus_master),
	    cmocka_unit_test(host_buffer_info_is_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
