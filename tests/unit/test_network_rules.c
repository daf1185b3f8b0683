// SPDX-License-Identifier: MIT
/*
 * Rules that the files at hand do not exercise, with values worked out by hand from the spec: frames
 * of odd sizes and other constants (5.7), small pages (5.5), several inputs, rows beside streams
 * between contexts (4.6, 5.4), padding by the chip (4.3).
 */
#include "unit/network_nets.h"

#include "support/hefgen.h"

/* ------------------------------------------------------------------------ periph values */

struct consts {
	bool optimise;
	uint16_t acceptable, buffers_max, bytes_max;
};

static const struct consts as_seen = {true, 0xa000, 0xffff, 0xffff};
static const struct consts plain = {false, 0xa000, 0xffff, 0xffff};
static const struct consts quarter_kib = {true, 0x100, 0xffff, 0xffff};
static const struct consts page_sized = {true, 0x1000, 0xffff, 0xffff};
static const struct consts few = {true, 0x100, 40, 0xffff};
static const struct consts narrow = {true, 0xa000, 0xffff, 0x200};

static void periph_values(void **state)
{
	static const struct {
		uint32_t h, w, f;
		uint8_t data_bytes;
		bool hw_padding;
		uint32_t shmifo, page;
		const struct consts *consts;
		uint16_t bytes, buffers, padding;
		uint32_t payload;
	} rows[] = {
		/* 980 bytes, 16-bit, rows of 140: 984 = 41 x 24, and 41 is prime */
		{7, 7, 10, 2, true, 0x10000, 512, &plain, 24, 41, 4, 980},
		{7, 7, 10, 2, true, 0x10000, 512, &as_seen, 984, 1, 4, 980},
		/* at least ceil(984 / 256) = 4 buffers: of 123 words only 41 are a divisor from there on */
		{7, 7, 10, 2, true, 0x10000, 512, &quarter_kib, 24, 41, 4, 980},
		/* 41 is not below the limit of 40, and 984 buffers neither: as it was */
		{7, 7, 10, 2, true, 0x10000, 512, &few, 24, 41, 4, 980},
		/* 984 > 512 per buffer; 123 = 3 x 41: three of 328 */
		{7, 7, 10, 2, true, 0x10000, 512, &narrow, 328, 3, 4, 980},
		/* rows of 18 do not fill words, the frame of 72 does: 3 x 24 without any padding */
		{4, 6, 3, 1, false, 0x10000, 128, &plain, 24, 3, 0, 0},
		/* rows of 225 of 16 bits = 450, up to 456: 450 x 4 = 1800, 360 is the largest of its divisors */
		{4, 15, 15, 2, false, 0x10000, 512, &plain, 360, 5, 0, 0},
		/* 8000 in one row: below 0x1000 - 512 = 3584 the largest divisor in words is 2000 */
		{1, 8000, 1, 1, false, 0x1000, 512, &plain, 2000, 4, 0, 0},
		/* exactly 3584 must not be: "below" */
		{2, 3584, 1, 1, false, 0x1000, 512, &plain, 1792, 4, 0, 0},
		/* the same with pages of 256: there is room again */
		{2, 3584, 1, 1, false, 0x1000, 256, &plain, 3584, 2, 0, 0},
		/* 131072 in four; the step does not look at the FIFO */
		{64, 64, 32, 1, true, 0x1000, 512, &as_seen, 32768, 4, 0, 0},
		/* ... in 32, since 131072 / 4096 = 32 */
		{64, 64, 32, 1, true, 0x1000, 512, &page_sized, 4096, 32, 0, 0},
		/* 70000 rows of a word are capped; 8 x 65535 is then what is divided: 15 x 34952 */
		{70000, 1, 8, 1, true, 0x10000, 512, &plain, 8, 65535, 0, 0},
		{70000, 1, 8, 1, true, 0x10000, 512, &as_seen, 34952, 15, 0, 0},
		/* one byte; seven are the chip's */
		{1, 1, 1, 1, true, 0x10000, 64, &as_seen, 8, 1, 7, 1},
		{1, 1, 3, 2, true, 0x10000, 64, &as_seen, 8, 1, 2, 6},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct hef_layer l = {
			.kind = HEF_EDGE_BOUNDARY, .input = true, .name = "l", .order = HW_ORDER_NHWC,
			.data_bytes = rows[i].data_bytes, .hw_height = rows[i].h, .hw_width = rows[i].w,
			.hw_features = rows[i].f, .max_shmifo_size = rows[i].shmifo,
		};
		struct network_stream s = {.layer = &l, .page = rows[i].page,
					   .transfer = hef_transfer_bytes(&l)};
		struct chip_hw_consts c = fake_consts();
		struct hw_error err = {0};

		c.should_optimize_credits = rows[i].consts->optimise;
		c.max_acceptable_bytes_per_buffer = rows[i].consts->acceptable;
		c.max_periph_buffers_per_frame = rows[i].consts->buffers_max;
		c.max_periph_bytes_per_buffer = rows[i].consts->bytes_max;
		assert_ok(network_periph(&l, &c, rows[i].hw_padding, &s, &err), &err);
		if (s.periph_bytes != rows[i].bytes || s.periph_buffers != rows[i].buffers ||
		    s.buffer_padding != rows[i].padding ||
		    s.buffer_padding_payload != rows[i].payload)
			fail_msg("row %zu: %u x %u, padding %u of %u", i, s.periph_bytes,
				 s.periph_buffers, s.buffer_padding, s.buffer_padding_payload);
	}
}

/* ---------------------------------------------------------------- configuration channels */

/*
 * Container versions 1 to 3: one burst for each pointer, one piece for each group.  Two groups of
 * two and one pointers; the list has room for every pointer on a page of its own, and one more.
 */
static void pieces_in_small_pages(void **state)
{
	static const struct {
		uint32_t max_page, page, count, used;
		uint32_t descs[2], last[2];
	} rows[] = {
		/* ceil(600/P) + ceil(424/P) + ceil(768/P) + 1; ceil(1024/P) + ceil(768/P) */
		{128, 128, 5 + 4 + 6 + 1, 8 + 6, {8, 6}, {128, 128}},
		{256, 256, 3 + 2 + 3 + 1, 4 + 3, {4, 3}, {256, 256}},
		{512, 512, 2 + 1 + 2 + 1, 2 + 2, {2, 2}, {512, 256}},
		{4096, 512, 2 + 1 + 2 + 1, 2 + 2, {2, 2}, {512, 256}},
	};
	static uint32_t bursts[] = {600, 424, 768};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fake *f = fake_new();
		struct hw_error err = {0};
		const struct network_config *c;
		struct example e;
		struct network *net;

		example_1(&e);
		e.pre[2] = (struct hef_action){.kind = HEF_ACT_NONE};
		e.pre[3] = ccw(&e.pieces[2], 1);
		e.op.preliminary.bursts[0].sizes = bursts;
		e.op.preliminary.bursts[0].n = ARRAY_SIZE(bursts);
		assert_ok(try_plan(&e, 1, rows[i].max_page, &net, &err), &err);
		assert_ok(network_alloc(net, &f->be, &err), &err);
		assert_ok(network_contexts(net, &err), &err);
		c = &net->contexts[NETWORK_PRELIMINARY].configs[0];
		assert_int_equal(c->page, rows[i].page);
		assert_int_equal(c->count, rows[i].count);
		assert_int_equal(c->used, rows[i].used);
		assert_int_equal(c->n_pieces, 2);
		for (unsigned int k = 0, at = 0; k < 2; k++) {
			const uint8_t *desc = c->list.mem.virt;

			at += rows[i].descs[k];
			assert_int_equal(c->pieces[k].descs, rows[i].descs[k]);
			assert_int_equal(get_le32(desc + 16 * (at - 1)), rows[i].last[k] << 8 | 0x1e);
			assert_int_equal(get_le32(desc + 16 * (at - 2)), rows[i].page << 8 | 0x02);
		}
		/* the second piece starts on a page of its own */
		assert_memory_equal((const uint8_t *)c->buffer.virt + rows[i].descs[0] * rows[i].page,
				    net_data + 1024, 768);
		/* csm_buffer_size, and ACTIVATE_CFG_CHANNEL: page, count, pattern */
		assert_int_equal(get_le16(net->header + 7), rows[i].page);
		assert_int_equal(get_le16(params(&net->contexts[NETWORK_PRELIMINARY], 0) + 11), rows[i].page);
		assert_int_equal(get_le32(params(&net->contexts[NETWORK_PRELIMINARY], 0) + 13),
				 rows[i].count);
		assert_int_equal(get_le32(params(&net->contexts[NETWORK_PRELIMINARY], 0) + 17),
				 rows[i].used * rows[i].page);
		network_free(net, &f->be);
		fake_free(f);
	}
}

/* ------------------------------------------------------------------------------- streams */

/* Two inputs of two networks and two outputs of one context; the file lists them mixed. */
static void two_inputs_two_outputs(void **state)
{
	struct example e;
	struct network *net;
	const struct network_context *ctx;
	const uint8_t *p;

	(void)state;
	example_1(&e);
	e.layers[0][2] = input_layer;
	e.layers[0][2].stream = 5;
	e.layers[0][2].network = 1;
	e.layers[0][2].hw_height = 7; /* 7 x 32 x 8 */
	e.layers[0][3] = output_layer;
	e.layers[0][3].stream = 6;
	e.layers[0][3].network = 1;
	e.contexts[0].n_layers = 4;
	e.ctx[0][3] = flow(HEF_ACT_ALLOW_INPUT_DATAFLOW, 5);
	e.ctx[0][4] = flow(HEF_ACT_ALLOW_INPUT_DATAFLOW, 0);
	e.contexts[0].n_actions = 5;
	e.hef.features.multi_network = true;
	e.op.n_networks = 2;
	net = planned(&e);
	assert_int_equal(net->header[6], 2);
	ctx = &net->contexts[NETWORK_ACTIVATION];
	EXPECT_TYPES(ctx, 30, 33, 33, 32, 32);
	p = params(ctx, 4); /* OPEN_BOUNDARY_INPUT_CHANNEL of the second one */
	assert_int_equal(p[0], 2);
	assert_memory_equal(p + 20, "\5\1", 2);
	assert_int_equal(get_le32(p + 24), 7 * 32 * 8);
	ctx = &net->contexts[NETWORK_BATCH_SWITCHING];
	EXPECT_TYPES(ctx, 36, 36, 31, 37, 37, 29);
	assert_int_equal(params(ctx, 3)[0], 1);
	assert_int_equal(params(ctx, 4)[0], 2);
	ctx = &net->contexts[NETWORK_DYNAMIC];
	EXPECT_TYPES(ctx, 22, 0, 20, 7, 7, 6, 6, 39, 39, 2, 2, 29, 23, 21);
	assert_memory_equal(params(ctx, 3), "\x10\1\0", 3);
	assert_memory_equal(params(ctx, 4), "\x11\6\1", 3);
	/* the flows stay in the file's order: stream 5 first, both in one repeated action */
	p = ctx->actions.ptr + ctx->names[9].offset;
	assert_memory_equal(p - 8, "\x18\xff\xff\xff\xff\2\0\2", 8);
	assert_memory_equal(p, "\2\5\1\0\7\0\0\1\0", 9);
	assert_memory_equal(p + 9, "\1\0\0\0\x20\0\0\1\0", 9);
	network_free(net, NULL);
}

/* Rows in host memory get their channels first and are listed first, wherever the file has them. */
static void rows_beside_streams_between_contexts(void **state)
{
	struct example e;
	struct network *net;
	const struct network_context *ctx;

	(void)state;
	example_2(&e);
	add_rows(&e);
	/* behind input and inter-context output; stream indices apart from those */
	e.layers[0][2].stream = 8;
	e.layers[0][2].peer_stream = 9;
	e.layers[0][3].stream = 9;
	e.layers[0][3].peer_stream = 8;
	net = planned(&e);
	assert_int_equal(net->internal[0].channel, 18); /* the stream to context 1 */
	assert_int_equal(net->internal[1].channel, 17); /* rows out */
	assert_int_equal(net->internal[2].channel, 2);	/* rows in */
	assert_int_equal(net->internal[3].channel, 2);	/* context 1's input: free again */
	ctx = &net->contexts[NETWORK_BATCH_SWITCHING];
	EXPECT_TYPES(ctx, 12, 12, 12, 31, 11, 9, 10, 14, 15, 37, 29);
	assert_memory_equal(params(ctx, 0), "\x11\2\0\0", 4); /* nobody looks at emptiness here */
	assert_memory_equal(params(ctx, 1), "\x12\2\0\0", 4);
	assert_memory_equal(params(ctx, 2), "\2\1\0\0", 4);
	ctx = &net->contexts[NETWORK_DYNAMIC];
	EXPECT_TYPES(ctx, 22, 0, 11, 9, 10, 6, 13, 13, 14, 15, 39, 2, 29, 19, 23, 12, 12, 12, 38);
	assert_memory_equal(params(ctx, 15), "\x11\2\0\0", 4); /* rows: no */
	assert_memory_equal(params(ctx, 16), "\x12\2\1\0", 4); /* between contexts: yes */
	assert_memory_equal(params(ctx, 17), "\2\1\0\0", 4);
	/* context 1 has no input of its own: its burst credits are not started */
	EXPECT_TYPES(&net->contexts[NETWORK_DYNAMIC + 1], 22, 0, 7, 8, 13, 13, 2, 19, 23, 12);
	/* its data comes by descriptors, ceil(3000 / 512), and the first input is replaced by the output */
	assert_memory_equal(params(&net->contexts[NETWORK_DYNAMIC + 1], 6), "\2\3\0\6\0\0\0\2\0", 9);
	network_free(net, NULL);
}

/* 4.3: where the chip pads features the register info says how; where it pads the frame, too. */
static void padding_in_actions(void **state)
{
	struct example e;
	struct network *net;
	const uint8_t *reg;

	(void)state;
	example_1(&e);
	e.layers[0][0].feature_padding_payload = 0x1234;
	e.layers[0][1].hw_features = 10;
	e.hef.features.hw_padding = true;
	net = planned(&e);
	reg = params(&net->contexts[NETWORK_DYNAMIC], 3) + 3; /* ACTIVATE_BOUNDARY_OUTPUT */
	assert_int_equal(get_le16(reg + 4), 16);
	assert_int_equal(get_le16(reg + 8), 0);
	assert_int_equal(get_le32(reg + 10), 10);
	assert_int_equal(get_le16(reg + 14), 6);
	assert_int_equal(reg[16], 1);
	reg = params(&net->contexts[NETWORK_DYNAMIC], 4) + 2; /* ACTIVATE_BOUNDARY_INPUT */
	assert_int_equal(get_le16(reg + 8), 0x1234);
	assert_int_equal(get_le32(reg + 10), 0);
	assert_int_equal(get_le16(reg + 14), 0);
	network_free(net, NULL);
}

/* --------------------------------------------------------------------- kinds of files */

/* One network in every container version and both layouts (hef-format 1.2, 4.2): what is sent is equal. */
static void every_kind_of_file_says_the_same(void **state)
{
	static const uint8_t word[] = {0, 0, 0, 0, 4, 0, 0, 0x10};
	const struct network_options opt = {.batch = 1, .max_page = 4096};
	struct buf first = {0};

	(void)state;
	for (unsigned int i = 0; i < 10; i++) {
		struct chip_hw_consts consts = fake_consts();
		const struct hef_core_op *op;
		struct fake *f = fake_new();
		struct hw_error err = {0};
		const struct network_config *c;
		struct buf sent = {0};
		struct network *net;
		struct hefgen g;
		struct hef *hef;
		uint8_t *file;
		size_t len;

		hefgen_init(&g);
		g.container = i < 8 ? i / 2 : 3;
		g.legacy = i % 2;
		g.ccws = word;
		g.ccws_len = sizeof(word);
		if (i >= 8) { /* version 3 may hold more than data behind its message */
			g.padding = 24;
			g.additional = 16;
		}
		file = hefgen_file(&g, &len);
		assert_ok(hef_parse(file, len, &hef, NULL, &err), &err);
		assert_int_equal(hef->version, i < 8 ? i / 2 : 3);
		assert_int_equal(hef->features.net_flow, i % 2 == 0);
		assert_ok(hef_select(hef, hef->groups, HW_ARCH_HAILO8, 0, false, &op, NULL, &err), &err);
		assert_ok(network_plan(hef, hef->groups, op, &consts, &opt, &net, &err), &err);
		assert_ok(network_alloc(net, &f->be, &err), &err);
		c = &net->contexts[NETWORK_PRELIMINARY].configs[0];
		assert_int_equal(net->contexts[NETWORK_PRELIMINARY].n_configs, 1);
		assert_int_equal(c->pieces[0].bytes, sizeof(word));
		assert_memory_equal(c->buffer.virt, word, sizeof(word));
		net->inputs[0].list.mem.bus = 0x100000;
		net->outputs[0].list.mem.bus = 0x200000;
		net->contexts[NETWORK_PRELIMINARY].configs[0].list.mem.bus = 0x300000;
		assert_ok(network_contexts(net, &err), &err);
		buf_put(&sent, net->header, sizeof(net->header));
		for (size_t k = 0; k < net->n_contexts; k++)
			buf_put(&sent, net->contexts[k].actions.ptr, net->contexts[k].actions.len);
		if (!i)
			buf_put(&first, sent.ptr, sent.len);
		assert_bytes_equal(sent.ptr, sent.len, first.ptr, first.len, "header and contexts");
		buf_free(&sent);
		network_free(net, &f->be);
		fake_free(f);
		hef_free(hef);
	}
	assert_true(first.len > sizeof(((struct network *)0)->header));
	buf_free(&first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(periph_values),
		cmocka_unit_test(pieces_in_small_pages),
		cmocka_unit_test(two_inputs_two_outputs),
		cmocka_unit_test(rows_beside_streams_between_contexts),
		cmocka_unit_test(padding_in_actions),
		cmocka_unit_test(every_kind_of_file_says_the_same),
	};

	return cmocka_run_group_tests(tests, fill_data, NULL);
}
