// SPDX-License-Identifier: MIT
/* Streams inside a network as protocol 5.8 and 4.6.4 determine them, worked out by hand. */
#include "support/multinet.h"
#include "unit/network_nets.h"

/* ------------------------------------------------------------------- between contexts */

static const struct {
	uint32_t height, width, batch, max_page; /* rows of @width x 8 bytes */
	uint32_t page, count;                    /* 0: no list can hold them */
} lists[] = {
	/* example 8.2, and the same with other batches and hosts */
	{1, 375, 2, 4096, 512, 13},
	{1, 375, 1, 4096, 512, 7},
	{1, 375, 16, 4096, 512, 97},
	{1, 375, 2, 256, 256, 25},
	{1, 375, 2, 128, 128, 49},
	{1, 375, 16, 128, 128, 385},
	/* smaller than a page: a power of two, at least 64 */
	{1, 1, 4, 4096, 64, 5},
	{1, 8, 4, 4096, 64, 5},
	{1, 9, 4, 4096, 128, 5},
	{1, 32, 4, 128, 128, 9},
	{1, 64, 1, 4096, 512, 2},
	/* 1228800 bytes: (2400 + 1) x 16 descriptors are fine, x 28 are not */
	{480, 320, 16, 4096, 512, 38401},
	{480, 320, 27, 4096, 512, 64801},
	{480, 320, 28, 4096, 1024, 33601},
	{480, 320, 63, 4096, 2048, 37801},
	{480, 320, 16, 256, 0, 0},
	{480, 320, 6, 128, 128, 57601},
	{480, 320, 7, 128, 0, 0},
};

static void set_size(struct hef_layer *l, uint32_t height, uint32_t width)
{
	l->hw_height = height;
	l->hw_width = width;
	l->core_bytes_per_buffer = (uint16_t)(8 * width);
	l->core_buffers_per_frame = (uint16_t)height;
}

/* Frame b lies at b n pages; its last descriptor is short, and the very last one wakes the chip. */
static void check_descriptors(const struct network_stream *s, uint32_t batch)
{
	const uint8_t *d = s->list.mem.virt;
	uint32_t n = (s->transfer + s->page - 1) / s->page;

	for (uint32_t i = 0; i < s->count; i++, d += 16) {
		bool inside = i < n * batch, last = inside && i % n == n - 1;
		uint32_t size = last ? s->transfer - (n - 1) * s->page : s->page;
		uint32_t control = last && i / n == batch - 1 ? 0x1e : 0x02;

		assert_int_equal(get_le32(d), size << 8 | control);
		assert_int_equal(get_le32(d + 4), (uint32_t)(s->buffer.bus + (uint64_t)i * s->page));
		assert_int_equal(get_le32(d + 8), (s->buffer.bus + (uint64_t)i * s->page) >> 32);
	}
}

static void lists_between_contexts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		struct fake *f = fake_new();
		struct hw_error err = {0};
		struct network *net;
		struct example e;
		int r;

		example_2(&e);
		set_size(&e.layers[0][1], lists[i].height, lists[i].width);
		set_size(&e.layers[1][0], lists[i].height, lists[i].width);
		r = try_plan(&e, lists[i].batch, lists[i].max_page, &net, &err);
		assert_int_equal(r, lists[i].page ? 0 : -ENOTSUP);
		if (r == 0) {
			assert_int_equal(net->internal[0].page, lists[i].page);
			assert_int_equal(net->internal[0].count, lists[i].count);
			assert_ok(network_alloc(net, &f->be, &err), &err);
			check_descriptors(&net->internal[0], lists[i].batch);
			network_free(net, &f->be);
		}
		fake_free(f);
	}
}

/* ------------------------------------------------------------------- rows in host memory */

static const struct {
	uint32_t row, total;
	uint16_t kept;
	uint32_t max_page, page, count, per_frame; /* page 0: no list can hold them */
} rows[] = {
	{1024, 10, 5, 4096, 512, 16, 20},
	{1024, 10, 5, 256, 256, 32, 40},
	{1024, 10, 5, 128, 128, 64, 80},
	{1536, 10, 3, 4096, 512, 16, 30},
	{512, 100, 63, 4096, 512, 64, 100},
	{512, 100, 64, 4096, 512, 128, 100}, /* 64 + 1 */
	{512, 65535, 32767, 4096, 512, 32768, 65535},
	{512, 65535, 32768, 4096, 0, 0, 0}, /* 65536 do not fit the 16 bits of the pair's action */
};

static void lists_of_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct hw_error err = {0};
		const struct network_context *ctx;
		struct network *net;
		struct example e;
		bool found = false;
		int r;

		example_1(&e);
		add_rows(&e);
		for (unsigned int k = 2; k < 4; k++) {
			struct hef_layer *l = &e.layers[0][k];

			l->core_bytes_per_buffer = (uint16_t)rows[i].row;
			l->core_buffers_per_frame = (uint16_t)rows[i].total;
			l->hw_height = rows[i].total;
			l->hw_width = rows[i].row / 32;
			l->ddr_rows = rows[i].kept;
		}
		r = try_plan(&e, 4, rows[i].max_page, &net, &err);
		assert_int_equal(r, rows[i].page ? 0 : -ENOTSUP);
		if (r)
			continue;
		assert_int_equal(net->internal[0].page, rows[i].page);
		assert_int_equal(net->internal[0].count, rows[i].count);
		assert_ok(network_contexts(net, &err), &err);
		ctx = &net->contexts[NETWORK_DYNAMIC];
		for (size_t k = 0; k < ctx->n_names; k++) {
			const uint8_t *p = ctx->actions.ptr + ctx->names[k].offset + 5;

			if (ctx->names[k].type != FW_ACT_ADD_DDR_PAIR_INFO)
				continue;
			found = true;
			assert_memory_equal(p, "\2\x11\0", 3); /* H2D 2, D2H 17, network 0 */
			assert_int_equal(get_le32(p + 3), rows[i].per_frame);
			assert_int_equal(get_le16(p + 7), rows[i].count);
		}
		assert_true(found);
		network_free(net, NULL);
	}
}

/* -------------------------------------------------------------- boundary channels per context */

/* Channels: config 0, 1; inputs 2, 3; outputs 16 to 18; inside 4, 5 and 19. */
static void every_context_maps_every_boundary_channel(void **state)
{
	static const uint8_t head[] = {24, 0xff, 0xff, 0xff, 0xff, 5, 0, 13};
	static const uint8_t want[3][15] = {
		/* first output of the context: early, stream 1; first input: a, stream 0 */
		{2, 0, 0, 3, 1, 1, 16, 1, 0, 17, 0, 1, 18, 0, 1},
		/* its only output is the stream to context 2, 4; boundary inputs come before others: b, 6 */
		{2, 4, 1, 3, 6, 0, 16, 6, 1, 17, 6, 1, 18, 6, 1},
		/* late, stream 1; of the two streams from other contexts the file's first, 4 */
		{2, 1, 1, 3, 1, 1, 16, 4, 1, 17, 1, 0, 18, 2, 0},
	};
	const struct network_options opt = {.batch = 4, .max_page = 4096};
	struct chip_hw_consts consts = fake_consts();
	struct hw_error err = {0};
	struct network *net;
	struct multinet m;
	struct hef *hef;
	size_t len;
	uint8_t *file;

	(void)state;
	multinet_branched(&m);
	file = multinet_hef(&m, &len);
	assert_ok(hef_parse(file, len, &hef, NULL, &err), &err);
	assert_ok(network_plan(hef, hef->groups, hef->groups->core_ops, &consts, &opt, &net, &err), &err);
	assert_ok(network_contexts(net, &err), &err);
	for (unsigned int k = 0; k < 3; k++) {
		const struct network_context *ctx = &net->contexts[NETWORK_DYNAMIC + k];
		size_t i = 0;

		while (ctx->names[i].type != FW_ACT_CHANGE_VDMA_TO_STREAM_MAPPING)
			i++;
		assert_memory_equal(ctx->actions.ptr + ctx->names[i].offset - 8, head, 8);
		assert_memory_equal(ctx->actions.ptr + ctx->names[i].offset, want[k], 15);
	}
	/* Both readers of context 0's stream have its list: address, page, count, bytes are the same. */
	assert_ptr_equal(network_internal_source(net, &net->internal[1]), &net->internal[0]);
	assert_int_equal(net->internal[0].channel, 19);
	assert_int_equal(net->internal[1].channel, 4);
	network_free(net, NULL);
	hef_free(hef);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_between_contexts),
		cmocka_unit_test(lists_of_rows),
		cmocka_unit_test(every_context_maps_every_boundary_channel),
	};

	return cmocka_run_group_tests(tests, fill_data, NULL);
}
