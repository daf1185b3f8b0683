// SPDX-License-Identifier: MIT
/* Networks built by hand: those of the protocol's worked examples, for tests to vary. */
#ifndef TESTS_UNIT_NETWORK_NETS_H
#define TESTS_UNIT_NETWORK_NETS_H

#include "unit/network_fake.h"

#include "network/actions.h"

static uint8_t net_data[2048];

static const struct hef_layer input_layer = {
	.kind = HEF_EDGE_BOUNDARY, .input = true, .name = "in", .stream = 0,
	.order = HW_ORDER_NHWC, .data_bytes = 1, .hw_height = 32, .hw_width = 32, .hw_features = 8,
	.core_bytes_per_buffer = 256, .core_buffers_per_frame = 32, .max_shmifo_size = 0x4000,
};
static const struct hef_layer output_layer = {
	.kind = HEF_EDGE_BOUNDARY, .name = "out", .stream = 1, .order = HW_ORDER_NC,
	.data_bytes = 1, .hw_height = 1, .hw_width = 1, .hw_features = 16,
	.core_bytes_per_buffer = 16, .core_buffers_per_frame = 1, .max_shmifo_size = 0x1000,
};
static const struct hef_layer inter_layer = {
	.kind = HEF_EDGE_INTER_CONTEXT, .name = "inter", .order = HW_ORDER_NHWC, .data_bytes = 1,
	.hw_height = 1, .hw_width = 375, .hw_features = 8, .core_bytes_per_buffer = 3000,
	.core_buffers_per_frame = 1, .max_shmifo_size = 0x4000,
};

struct example {
	struct span pieces[4];
	uint32_t bursts[3];
	struct hef_action pre[8], ctx[2][8];
	struct hef_layer layers[2][6];
	struct hef_context contexts[2];
	struct hef_core_op op;
	struct hef_group group;
	struct hef hef;
};

static inline struct hef_action lcu(uint8_t index)
{
	return (struct hef_action){.kind = HEF_ACT_ENABLE_LCU_DEFAULT,
				   .lcu = {.lcu = index, .done_address = 1, .done_count = 2}};
}

static inline struct hef_action ccw(struct span *pieces, size_t n)
{
	struct hef_action a = {.kind = HEF_ACT_WRITE_CCW,
			       .ccw = {.n_pieces = n, .pieces = pieces}};

	for (size_t i = 0; i < n; i++)
		a.ccw.bytes += pieces[i].len;
	return a;
}

static inline struct hef_action flow(enum hef_action_kind kind, uint8_t stream)
{
	return (struct hef_action){.kind = kind, .flow = {.stream = stream}};
}

static inline void finish(struct example *e, size_t n_contexts)
{
	e->op = (struct hef_core_op){
		.layout = HEF_LAYOUT_ANY,
		.cfg_channels = 1,
		.preliminary = e->op.preliminary,
		.n_contexts = n_contexts,
		.contexts = e->contexts,
		.can_fast_batch_switch = true,
	};
	e->group.core_ops = &e->op;
	e->group.n_core_ops = 1;
	e->hef.groups = &e->group;
	e->hef.n_groups = 1;
}

static inline void one_burst(struct hef_context *hc, uint32_t *burst, uint32_t bytes)
{
	*burst = bytes;
	hc->bursts[0].n = 1;
	hc->bursts[0].sizes = burst;
}

/* Version 0: the writes of a group are one burst. */
static inline void example_1(struct example *e)
{
	*e = (struct example){0};
	e->pieces[0] = (struct span){net_data, 600};
	e->pieces[1] = (struct span){net_data + 600, 424};
	e->pieces[2] = (struct span){net_data + 1024, 768};
	e->pre[1] = ccw(&e->pieces[0], 2); /* [0], the trigger, is none */
	e->pre[2] = lcu(1);
	e->pre[3] = lcu(2);
	e->op.preliminary.actions = e->pre;
	e->op.preliminary.n_actions = 4;
	one_burst(&e->op.preliminary, &e->bursts[0], 1024);
	e->ctx[0][1] = ccw(&e->pieces[2], 1);
	e->ctx[0][2] = (struct hef_action){.kind = HEF_ACT_WAIT_FOR_MODULE_CONFIG_DONE};
	e->ctx[0][3] = flow(HEF_ACT_ALLOW_INPUT_DATAFLOW, 0);
	e->layers[0][0] = input_layer;
	e->layers[0][1] = output_layer;
	e->contexts[0].actions = e->ctx[0];
	e->contexts[0].n_actions = 4;
	e->contexts[0].layers = e->layers[0];
	e->contexts[0].n_layers = 2;
	one_burst(&e->contexts[0], &e->bursts[1], 768);
	finish(e, 1);
}

static inline void example_2(struct example *e)
{
	*e = (struct example){0};
	e->pieces[0] = (struct span){net_data, 1024};
	e->pieces[1] = (struct span){net_data + 1024, 768};
	e->pre[1] = ccw(&e->pieces[0], 1);
	e->op.preliminary.actions = e->pre;
	e->op.preliminary.n_actions = 2;
	one_burst(&e->op.preliminary, &e->bursts[0], 1024);
	e->layers[0][0] = input_layer;
	e->layers[0][1] = inter_layer;
	e->layers[0][1].stream = 2;
	e->layers[0][1].peer_context = 1;
	e->layers[0][1].peer_stream = 3;
	e->layers[1][0] = inter_layer;
	e->layers[1][0].input = true;
	e->layers[1][0].stream = 3;
	e->layers[1][0].peer_stream = 2;
	e->layers[1][1] = output_layer;
	for (unsigned int k = 0; k < 2; k++) {
		e->ctx[k][1] = ccw(&e->pieces[1], 1);
		e->ctx[k][2] = flow(HEF_ACT_ALLOW_INPUT_DATAFLOW, k ? 3 : 0);
		e->ctx[k][3] = flow(HEF_ACT_WAIT_OUTPUT_DONE, k ? 1 : 2);
		e->contexts[k].actions = e->ctx[k];
		e->contexts[k].n_actions = 5; /* the last one is none */
		e->contexts[k].layers = e->layers[k];
		e->contexts[k].n_layers = 2;
		one_burst(&e->contexts[k], &e->bursts[1 + k], 768);
	}
	finish(e, 2);
}

static inline struct network *plan(const struct example *e, uint32_t batch)
{
	struct chip_hw_consts consts = fake_consts();
	struct network_options opt = {.batch = batch, .max_page = 4096};
	struct hw_error err = {0};
	struct network *net = NULL;

	assert_ok(network_plan(&e->hef, &e->group, &e->op, &consts, &opt, &net, &err), &err);
	return net;
}

static inline int try_plan(const struct example *e, uint32_t batch, uint32_t page, struct network **out,
		    struct hw_error *err)
{
	struct chip_hw_consts consts = fake_consts();
	struct network_options opt = {.batch = batch, .max_page = page};

	*out = NULL;
	return network_plan(&e->hef, &e->group, &e->op, &consts, &opt, out, err);
}

/* Planned, but bus addresses are all zero: fine for looking at action lists. */
static inline struct network *planned(const struct example *e)
{
	struct hw_error err = {0};
	struct network *net;

	assert_ok(try_plan(e, 1, 4096, &net, &err), &err);
	assert_ok(network_contexts(net, &err), &err);
	return net;
}

/* Rows buffered in host memory, beside what example 1 has. */
static inline void add_rows(struct example *e)
{
	struct hef_layer row = {
		.kind = HEF_EDGE_DDR, .name = "rows", .stream = 2, .order = HW_ORDER_NHCW,
		.data_bytes = 1, .hw_height = 10, .hw_width = 32, .hw_features = 32,
		.core_bytes_per_buffer = 1024, .core_buffers_per_frame = 10,
		.max_shmifo_size = 0x4000, .peer_stream = 3, .ddr_rows = 5,
	};

	e->layers[0][2] = row;
	row.input = true;
	row.stream = 3;
	row.peer_stream = 2;
	e->layers[0][3] = row;
	e->contexts[0].n_layers = 4;
	e->hef.features.padded_ddr = true;
}

/* The kinds of its actions, members of repeated ones counted singly. */
static inline void expect_types(const struct network_context *ctx, const uint8_t *want, size_t n)
{
	for (size_t i = 0; i < n || i < ctx->n_names; i++) {
		char a[32];

		if (i >= ctx->n_names || i >= n || ctx->names[i].type != want[i])
			fail_msg("action %zu: %s, want %d", i,
				 i < ctx->n_names ? action_name(ctx->names[i].type, a, sizeof(a)) :
						    "nothing",
				 i < n ? want[i] : -1);
	}
}
#define EXPECT_TYPES(ctx, ...)                                                                     \
	expect_types(ctx, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* Parameters of the i-th action, which stands alone. */
static inline const uint8_t *params(const struct network_context *ctx, size_t i)
{
	return ctx->actions.ptr + ctx->names[i].offset + ACTION_HEADER_SIZE;
}

/* cmocka group setup */
static inline int fill_data(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(net_data); i++)
		net_data[i] = (uint8_t)(i * 167 + (i >> 8) * 59 + 7);
	return 0;
}

#endif
