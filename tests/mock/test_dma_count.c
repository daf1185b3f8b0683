// SPDX-License-Identifier: MIT
/* What hwctl dma-test counts below the driver: it must be right, and it must notice. */
#include "support/support.h"

#include <hwlayer/hwlayer.h>

#include "support/tinynet.h"

/* The tool's own source: it is linked into no library. */
#include "hwctl/dma_count.c"

#define FRAMES 20

struct fixture {
	struct hw_dev *dev;
	struct hw_net *net;
	struct dma_count count;
};

static void load(struct fixture *f)
{
	struct hw_dev_options dev = {.device = "mock"};
	struct hw_net_options net = {.frames_in_flight = 4};
	struct hw_error err = {0};
	size_t len;
	uint8_t *hef = tiny_hef("tiny", 1.0f, 3, &len);

	assert_ok(hw_dev_open(&dev, &f->dev, &err), &err);
	assert_ok(dma_count_prepare(&f->count, f->dev, &err), &err);
	assert_ok(hw_net_load_mem(f->dev, hef, len, &net, &f->net, &err), &err);
	assert_ok(dma_count_begin(&f->count, f->net, &err), &err);
	free(hef);
}

static void unload(struct fixture *f)
{
	struct hw_error err = {0};

	assert_ok(dma_count_end(&f->count, &err), &err);
	hw_net_free(f->net);
	hw_dev_close(f->dev);
}

static void run(struct fixture *f, unsigned int frames)
{
	for (unsigned int i = 0; i < frames; i++) {
		uint8_t in[TINY_IN] = {(uint8_t)i, 1, 2, 3}, out[TINY_OUT];
		const void *inputs[] = {in};
		void *outputs[] = {out};
		struct hw_error err = {0};

		assert_ok(hw_net_run(f->net, inputs, outputs, 0, &err), &err);
	}
}

static const struct infer_stream *output(const struct fixture *f)
{
	return &f->net->outputs[0];
}

/* 8 bytes are one descriptor each way. */
static void counts_what_moves(void **state)
{
	struct fixture f;

	(void)state;
	load(&f);
	run(&f, FRAMES);
	for (int i = 0; i < 2; i++) {
		const struct infer_stream *s = i ? &f.net->outputs[0] : &f.net->inputs[0];
		const struct dma_channel *c = &f.count.ch[s->stream->channel];

		assert_int_equal(c->launched, FRAMES);
		assert_int_equal(c->finished, FRAMES);
		assert_int_equal(c->told_descs, FRAMES);
		assert_int_equal(c->done_descs, FRAMES);
		assert_int_equal(c->told_bytes, FRAMES * 8);
		assert_int_equal(c->done_bytes, FRAMES * 8);
		assert_int_equal(c->bad_descs, 0);
	}
	unload(&f);
	assert_true(f.count.has_chip);
	assert_int_equal(f.count.chip_written, FRAMES * 8);
	assert_int_equal(f.count.chip_frames, FRAMES);
	assert_int_equal(f.count.chip_faults, 0);
	/* A page before each of the 4 frames and one behind the last; the rest of each frame's page */
	assert_int_equal(f.count.guard_bytes, 2 * (5 * GUARD + 4 * (4096 - 8)));
	assert_int_equal(f.count.guard_damaged, 0);
}

/* One byte too early, one too late, one in another page: each is found; frames are not guards. */
static void notices_stray_bytes(void **state)
{
	static const long offsets[] = {-1, 8, 4095, GUARD + 4096 - 1};
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		uint8_t *frame;

		load(&f);
		run(&f, 1);
		frame = (uint8_t *)output(&f)->mem.virt + infer_slot_offset(output(&f), 1);
		frame[offsets[i]] ^= 1;
		frame[0] ^= 0xff;
		frame[7] ^= 0xff;
		unload(&f);
		assert_int_equal(f.count.guard_damaged, 1);
	}
}

/* The same launch once more with one field of a descriptor changed */
static void notices_bad_descriptors(void **state)
{
	struct fixture f;
	struct vdma_desc *d, good;
	struct observed_launch l;
	struct dma_channel *c;

	(void)state;
	load(&f);
	run(&f, 1);
	c = &f.count.ch[output(&f)->stream->channel];
	d = &vdma_list_descs(&output(&f)->stream->list)[0];
	good = *d;
	l = (struct observed_launch){
		.channel = output(&f)->stream->channel,
		.list = output(&f)->stream->list.mem.bus,
		.descs = 1,
		.avail = 1,
		.bus = (uint64_t)get_le32(&d->addr_hi) << 32 | get_le32(&d->addr_lo),
		.bytes = 8,
	};
	on_launch(&f.count, &l);
	assert_int_equal(c->bad_descs, 0);
	put_le32(&d->ctrl, (16u << 8) | CHIP_DESC_LAST_HOST);
	on_launch(&f.count, &l);
	assert_int_equal(c->bad_descs, 1);
	assert_int_equal(c->told_bytes, 8 + 8 + 16);
	*d = good;
	put_le32(&d->ctrl, (8u << 8) | CHIP_DESC_BASE);
	on_launch(&f.count, &l);
	assert_int_equal(c->bad_descs, 2);
	*d = good;
	put_le32(&d->addr_lo, get_le32(&good.addr_lo) + 64);
	on_launch(&f.count, &l);
	assert_int_equal(c->bad_descs, 3);
	*d = good;
	unload(&f);
}

/* A counter that passes the end of the ring, and one that stands at N where others would show 0 */
static void follows_the_counter_around(void **state)
{
	struct fixture f;
	struct dma_channel *c;
	uint32_t ring, off;

	(void)state;
	load(&f);
	c = &f.count.ch[output(&f)->stream->channel];
	ring = output(&f)->stream->list.count;
	off = CHIP_VDMA_HOST(output(&f)->stream->channel) + CHIP_VDMA_PROC;
	on_mmio(&f.count, CHIP_BAR_VDMA, off, 32, false, ring - 1);
	assert_int_equal(c->done_descs, ring - 1);
	on_mmio(&f.count, CHIP_BAR_VDMA, off, 32, false, ring);
	assert_int_equal(c->done_descs, ring);
	on_mmio(&f.count, CHIP_BAR_VDMA, off, 32, false, 0);
	assert_int_equal(c->done_descs, ring);
	on_mmio(&f.count, CHIP_BAR_VDMA, off, 32, false, 3);
	assert_int_equal(c->done_descs, ring + 3);
	/* Other registers, other BARs, writes and a dead link say nothing. */
	on_mmio(&f.count, CHIP_BAR_VDMA, off + 4, 32, false, 5);
	on_mmio(&f.count, CHIP_BAR_CONFIG, off, 32, false, 5);
	on_mmio(&f.count, CHIP_BAR_VDMA, off, 32, true, 5);
	on_mmio(&f.count, CHIP_BAR_VDMA, off, 32, false, UINT32_MAX);
	assert_int_equal(c->done_descs, ring + 3);
	unload(&f);
}

/* The guard does not stay on a device: the next network is laid out as always. */
static void leaves_no_trace(void **state)
{
	struct fixture f;
	struct hw_error err = {0};
	size_t len;
	uint8_t *hef;

	(void)state;
	load(&f);
	assert_ok(dma_count_end(&f.count, &err), &err);
	hw_net_free(f.net);
	hef = tiny_hef("tiny", 1.0f, 3, &len);
	assert_ok(hw_net_load_mem(f.dev, hef, len, NULL, &f.net, &err), &err);
	assert_int_equal(infer_slot_offset(output(&f), 0), 0);
	assert_int_equal(infer_slot_offset(output(&f), 1), 4096);
	assert_null(f.dev->be->observer);
	run(&f, 2);
	hw_net_free(f.net);
	hw_dev_close(f.dev);
	free(hef);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_what_moves),
		cmocka_unit_test(notices_stray_bytes),
		cmocka_unit_test(notices_bad_descriptors),
		cmocka_unit_test(follows_the_counter_around),
		cmocka_unit_test(leaves_no_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
