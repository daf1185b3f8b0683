// SPDX-License-Identifier: MIT
/*
 * What no real HEF at hand exercises: rows buffered in host memory, several contexts with
 * preliminary_run_asap, planes, page doubling, long contexts.
 */
#include "unit/network_nets.h"

/* ------------------------------------------------------ rows buffered in host memory */

static void rows_in_host_memory(void **state)
{
	struct example e;
	struct network *net;
	const struct network_context *ctx;
	const struct network_stream *out, *in;
	const uint8_t *p;

	(void)state;
	example_1(&e);
	add_rows(&e);
	net = planned(&e);
	out = &net->internal[0];
	in = &net->internal[1];
	assert_int_equal(out->channel, 17);
	assert_int_equal(in->channel, 2);
	assert_int_equal(out->page, 512);
	assert_int_equal(out->count, 16); /* 2 x 5 + 1, rounded up */
	ctx = &net->contexts[NETWORK_DYNAMIC];
	EXPECT_TYPES(ctx, 22, 0, 20, 11, 7, 10, 6, 14, 15, 39, 2, 29, 23, 21);
	p = params(ctx, 3); /* ACTIVATE_DDR_BUFFER_OUTPUT */
	assert_int_equal(p[0], 17);
	assert_int_equal(p[1], 2);
	assert_int_equal(get_le16(p + 19 + 9), 512);
	assert_int_equal(get_le32(p + 19 + 11), 16);
	assert_int_equal(get_le32(p + 19 + 15), 1024);
	assert_int_equal(get_le32(p + 38), 5);
	p = params(ctx, 5); /* ACTIVATE_DDR_BUFFER_INPUT */
	assert_int_equal(p[0], 2);
	assert_int_equal(get_le32(p + 38), 0x4000);
	assert_int_equal(p[42], 17);
	p = params(ctx, 7); /* ADD_DDR_PAIR_INFO */
	assert_int_equal(p[0], 2);
	assert_int_equal(p[1], 17);
	assert_int_equal(get_le32(p + 3), 20); /* 2 descriptors x 10 rows */
	assert_int_equal(get_le16(p + 7), 16);
	ctx = &net->contexts[NETWORK_BATCH_SWITCHING];
	EXPECT_TYPES(ctx, 36, 36, 12, 12, 31, 11, 10, 14, 15, 37, 29);
	p = params(ctx, 2);
	assert_memory_equal(p, "\x11\x02\x00\x00", 4);
	network_free(net, NULL);
}

static void rows_share_one_list(void **state)
{
	struct fake *f = fake_new();
	struct hw_error err = {0};
	struct example e;
	struct network *net;
	const struct network_stream *out;

	(void)state;
	example_1(&e);
	add_rows(&e);
	assert_ok(try_plan(&e, 1, 4096, &net, &err), &err);
	assert_ok(network_alloc(net, &f->be, &err), &err);
	assert_ok(network_contexts(net, &err), &err);
	out = &net->internal[0];
	assert_true(out->list.circular);
	for (unsigned int i = 0; i < 16; i++) {
		const uint8_t *d = (const uint8_t *)out->list.mem.virt + 16 * i;

		assert_int_equal(get_le32(d), 0x00020002);
		assert_int_equal(get_le64(d + 4), out->buffer.bus + 512 * i);
	}
	/* both ends carry the same address */
	assert_int_equal(get_le64(params(&net->contexts[NETWORK_DYNAMIC], 3) + 20),
			 out->list.mem.bus);
	assert_int_equal(get_le64(params(&net->contexts[NETWORK_DYNAMIC], 5) + 20),
			 out->list.mem.bus);
	network_free(net, &f->be);
	assert_int_equal(f->live, 0);
	fake_free(f);
}

/* --------------------------------------------------------------- several contexts */

/* With preliminary_run_asap the preliminary context starts context 0's streams as well. */
static void run_asap_with_two_contexts(void **state)
{
	struct example e;
	struct network *net;

	(void)state;
	example_2(&e);
	e.pre[2] = flow(HEF_ACT_ALLOW_INPUT_DATAFLOW, 0);
	e.op.preliminary.n_actions = 3;
	e.hef.features.run_asap = true;
	net = planned(&e);
	EXPECT_TYPES(&net->contexts[NETWORK_PRELIMINARY], 22, 0, 9, 6, 13, 13, 39, 2, 29, 23);
	EXPECT_TYPES(&net->contexts[NETWORK_DYNAMIC], 22, 0, 9, 6, 13, 13, 39, 2, 29, 19, 23, 12, 38);
	/* the same channel in both, although it was given back in between (5.4) */
	assert_int_equal(params(&net->contexts[NETWORK_PRELIMINARY], 2)[0], 17);
	assert_int_equal(params(&net->contexts[NETWORK_DYNAMIC], 2)[0], 17);
	assert_int_equal(net->header[2], 1);
	network_free(net, NULL);
}

static void internal_channels_are_reused(void **state)
{
	struct example e;
	struct network *net;

	(void)state;
	example_2(&e);
	/* context 0 gets a second stream for context 1; context 1 gets both on 2 and 3 */
	e.layers[0][2] = e.layers[0][1];
	e.layers[0][2].stream = 4;
	e.contexts[0].n_layers = 3;
	e.layers[1][2] = e.layers[1][0];
	e.layers[1][2].stream = 5;
	e.layers[1][2].peer_stream = 4;
	e.contexts[1].n_layers = 3;
	net = planned(&e);
	assert_int_equal(net->internal[0].channel, 17);
	assert_int_equal(net->internal[1].channel, 18);
	assert_int_equal(net->internal[2].channel, 2);
	assert_int_equal(net->internal[3].channel, 3);
	network_free(net, NULL);
}

static void batch_makes_inter_context_pages_grow(void **state)
{
	struct hw_error err = {0};
	struct example e;
	struct network *net;

	(void)state;
	example_2(&e);
	e.layers[0][1].hw_height = e.layers[1][0].hw_height = 400; /* 1,200,000 bytes */
	assert_ok(try_plan(&e, 63, 4096, &net, &err), &err);
	/* (2344 + 1) x 63 > 65535 at 512; (1172 + 1) x 63 > 65535 at 1024; 587 x 63 fits at 2048 */
	assert_int_equal(net->internal[0].page, 2048);
	assert_int_equal(net->internal[0].count, 586 * 63 + 1);
	network_free(net, NULL);
	assert_int_equal(try_plan(&e, 63, 1024, &net, &err), -ENOTSUP);
}

/* ----------------------------------------------------------------------- the rest */

static void planes_are_streams(void **state)
{
	struct hef_layer planes[2];
	struct example e;
	struct network *net;

	(void)state;
	example_1(&e);
	planes[0] = planes[1] = e.layers[0][0];
	planes[1].stream = 7;
	e.layers[0][0].shape = HEF_SHAPE_PLANES;
	e.layers[0][0].n_sub = 2;
	e.layers[0][0].sub = planes;
	e.ctx[0][4] = flow(HEF_ACT_ALLOW_INPUT_DATAFLOW, 7);
	e.contexts[0].n_actions = 5;
	net = planned(&e);
	assert_int_equal(net->n_inputs, 2);
	assert_int_equal(net->inputs[1].channel, 2);
	assert_int_equal(net->boundary_channels, 0x10006);
	EXPECT_TYPES(&net->contexts[NETWORK_ACTIVATION], 30, 33, 32, 32);
	EXPECT_TYPES(&net->contexts[NETWORK_DYNAMIC], 22, 0, 20, 7, 6, 6, 39, 39, 2, 2, 29, 23, 21);
	network_free(net, NULL);
}

static void config_pages_grow(void **state)
{
	static const uint32_t bytes = 40u << 20;
	struct hw_error err = {0};
	struct example e;
	struct network *net;

	(void)state;
	example_1(&e);
	e.bursts[1] = bytes;
	e.ctx[0][1].ccw.bytes = bytes;
	assert_ok(try_plan(&e, 1, 4096, &net, &err), &err);
	assert_int_equal(net->contexts[NETWORK_DYNAMIC].configs[0].page, 1024);
	assert_int_equal(net->contexts[NETWORK_DYNAMIC].configs[0].count, bytes / 1024 + 1);
	assert_int_equal(net->contexts[NETWORK_PRELIMINARY].configs[0].page, 512);
	network_free(net, NULL);
	assert_int_equal(try_plan(&e, 1, 512, &net, &err), -ENOTSUP);
}

/* Bytes of the pieces and their announced sum disagree: never reaches a buffer. */
static void pieces_must_add_up(void **state)
{
	struct fake *f = fake_new();
	struct hw_error err = {0};
	struct example e;
	struct network *net;

	(void)state;
	example_1(&e);
	e.ctx[0][1].ccw.bytes = 512; /* its one piece has 768 */
	assert_ok(try_plan(&e, 1, 4096, &net, &err), &err);
	assert_int_equal(network_alloc(net, &f->be, &err), -EBADMSG);
	assert_int_equal(f->live, 0);
	network_free(net, &f->be);
	fake_free(f);
}

static void other_header_fields(void **state)
{
	struct example e;
	struct network *net;

	(void)state;
	example_1(&e);
	e.hef.features.batch_register = true;
	e.hef.features.multi_network = true;
	e.op.n_networks = 3;
	e.op.can_fast_batch_switch = false;
	e.op.cfg_channels = 4;
	net = planned(&e);
	assert_memory_equal(net->header, "\1\0\0\1\0\0\3\0\2\1\0", 11);
	assert_memory_equal(net->header + 27, "\4\0\1\2\3", 5);
	assert_int_equal(net->inputs[0].channel, 4);
	network_free(net, NULL);
	example_1(&e);
	e.op.cfg_channels = 0; /* absent means one */
	net = planned(&e);
	assert_int_equal(net->header[27], 1);
	network_free(net, NULL);
}

/* Every HEF operation that examples and recordings lack. */
static void operations(void **state)
{
	static const uint8_t want[] = {
		4,  0xff, 0xff, 0xff, 0xff, 0x25, 2,  0x34, 0x12, 9,	0,  0,	0,		  /* LCU */
		36, 0xff, 0xff, 0xff, 0xff, 0x25, 2,  0,    0,	  0,	0,			  /* batch */
		34, 0xff, 0xff, 0xff, 0xff, 1,	  2,  80,   0,	  3,	0,  1,			  /* NMS */
		35, 0xff, 0xff, 0xff, 0xff, 4,	  3,  2,    1,	  1,	8,  7,	6, 5, 9, 0, 0, 0xff, 0, 2,
		43, 0xff, 0xff, 0xff, 0xff, 0xe8, 3,  0,    0,					  /* sleep */
		44, 0xff, 0xff, 0xff, 0xff,							  /* halt */
		16, 0xff, 0xff, 0xff, 0xff, 0x25,						  /* LCU wait */
		26, 0xff, 0xff, 0xff, 0xff, 1,	  2,  3,    4,	  5,	6,			  /* NMS wait */
	};
	struct hef_action acts[] = {
		{.kind = HEF_ACT_NONE},
		{.kind = HEF_ACT_ENABLE_LCU_NON_DEFAULT,
		 .lcu = {.cluster = 2, .lcu = 5, .network = 2, .done_address = 0x1234, .done_count = 9}},
		{.kind = HEF_ACT_SWITCH_LCU_BATCH, .lcu = {.cluster = 2, .lcu = 5, .network = 2}},
		{.kind = HEF_ACT_ENABLE_NMS,
		 .nms = {.unit = 1, .network = 2, .classes = 80, .burst_size = 3}},
		{.kind = HEF_ACT_WRITE_DATA_BY_TYPE,
		 .write = {.address = 0x01020304, .type = 1, .data = 0x05060708, .shift = 9,
			   .mask = 0x00ff0000, .network = 2}},
		{.kind = HEF_ACT_SLEEP, .sleep_us = 1000},
		{.kind = HEF_ACT_HALT},
		{.kind = HEF_ACT_WAIT_LCU, .lcu = {.cluster = 2, .lcu = 5}},
		{.kind = HEF_ACT_WAIT_NMS, .nms_wait = {1, 2, 3, 4, 5, 6}},
	};
	struct example e;
	struct network *net;

	(void)state;
	example_1(&e);
	e.op.preliminary.actions = acts;
	e.op.preliminary.n_actions = ARRAY_SIZE(acts);
	net = planned(&e);
	assert_bytes_equal(net->contexts[NETWORK_PRELIMINARY].actions.ptr,
			   net->contexts[NETWORK_PRELIMINARY].actions.len, want, sizeof(want), "all");
	/* batch switching: counts 9 and 0, one repeated action */
	assert_memory_equal(net->contexts[NETWORK_BATCH_SWITCHING].actions.ptr,
			    "\x18\xff\xff\xff\xff\x02\x00\x24\x25\x02\x09\0\0\0\x25\x02\0\0\0\0", 20);
	network_free(net, NULL);
}

static void dma_idle(void **state)
{
	struct example e;
	struct network *net;

	(void)state;
	example_2(&e);
	e.ctx[0][3].kind = HEF_ACT_WAIT_DMA_IDLE;
	net = planned(&e);
	assert_int_equal(net->contexts[NETWORK_DYNAMIC].names[9].type, FW_ACT_WAIT_FOR_DMA_IDLE);
	assert_memory_equal(params(&net->contexts[NETWORK_DYNAMIC], 9), "\x11\x02\x01\x00", 4);
	network_free(net, NULL);
}

/* -------------------------------------------------------------- chunks on the wire */

static void long_contexts_are_sent_in_chunks(void **state)
{
	static struct hef_action many[800];
	struct fake *f = fake_new();
	struct hw_error err = {0};
	struct chip chip;
	struct example e;
	struct network *net;
	const struct buf *list;
	size_t at = 0;

	(void)state;
	example_1(&e);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = (struct hef_action){.kind = HEF_ACT_WAIT_FOR_MODULE_CONFIG_DONE,
					      .module = {(uint8_t)i}};
	e.op.preliminary.actions = many;
	e.op.preliminary.n_actions = ARRAY_SIZE(many);
	net = planned(&e);
	fake_chip(f, &chip);
	assert_ok(network_configure(net, &chip, &err), &err);
	list = &net->contexts[NETWORK_PRELIMINARY].actions;
	assert_int_equal(list->len, 4800);
	assert_int_equal(f->n_messages, 3 + 4 + 1); /* 243 + 243 + 243 + 71 actions */
	for (size_t i = 0; i < 4; i++) {
		const struct fake_message *m = &f->messages[3 + i];

		assert_int_equal(m->bytes[20 + 4], i == 0);
		assert_int_equal(m->bytes[20 + 9], i == 3);
		assert_int_equal(m->bytes[20 + 14], FW_CONTEXT_PRELIMINARY);
		assert_int_equal(m->len - 39, i < 3 ? 1458 : 426);
		assert_memory_equal(m->bytes + 39, list->ptr + at, m->len - 39);
		at += m->len - 39;
	}
	assert_int_equal(at, list->len);
	network_free(net, NULL);
	fake_free(f);
}

static void an_empty_preliminary_context_is_not_sent(void **state)
{
	struct fake *f = fake_new();
	struct hw_error err = {0};
	struct chip chip;
	struct example e;
	struct network *net;

	(void)state;
	example_1(&e);
	e.op.preliminary.n_actions = 1; /* a trigger without anything */
	net = planned(&e);
	fake_chip(f, &chip);
	assert_ok(network_configure(net, &chip, &err), &err);
	assert_int_equal(f->n_messages, 4);
	assert_int_equal(f->messages[3].bytes[20 + 14], FW_CONTEXT_DYNAMIC);
	network_free(net, NULL);
	fake_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_in_host_memory),
		cmocka_unit_test(rows_share_one_list),
		cmocka_unit_test(run_asap_with_two_contexts),
		cmocka_unit_test(internal_channels_are_reused),
		cmocka_unit_test(batch_makes_inter_context_pages_grow),
		cmocka_unit_test(planes_are_streams),
		cmocka_unit_test(config_pages_grow),
		cmocka_unit_test(pieces_must_add_up),
		cmocka_unit_test(other_header_fields),
		cmocka_unit_test(operations),
		cmocka_unit_test(dma_idle),
		cmocka_unit_test(long_contexts_are_sent_in_chunks),
		cmocka_unit_test(an_empty_preliminary_context_is_not_sent),
	};

	return cmocka_run_group_tests(tests, fill_data, NULL);
}
