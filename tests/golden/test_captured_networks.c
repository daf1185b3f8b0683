// SPDX-License-Identifier: MIT
/*
 * The networks captured on a real Hailo-8L, as far as they are known: their HEFs are not public, but
 * what a HEF says can be read from the capture (operations, stream indices, core registers), and the
 * shapes are those of the models.  From these our planner must find every channel, list, page, count,
 * periph value and padding, every context's actions and every message, byte for byte, with the queue
 * depth of the released packages.  Only bus addresses are taken over.
 */
#include "unit/network_fake.h"

#include "network/actions.h"

#define ACTIONS_MAX 400
#define PAGES_MAX 8192
#define CONFIG_PAGE 512

struct shape {
	uint32_t h, w, f;
};

static uint8_t page_of_zeros[PAGES_MAX * CONFIG_PAGE];

struct captured {
	cJSON *actions, *controls;
	struct hef_action pre[ACTIONS_MAX], dyn[ACTIONS_MAX];
	struct span spans[ACTIONS_MAX];
	size_t n_spans;
	uint32_t bursts[FW_CFG_CHANNELS_MAX][PAGES_MAX];
	struct hef_layer layers[2];
	struct hef_context context;
	struct hef_core_op op;
	struct hef_group group;
	struct hef hef;
};

static uint64_t field(const cJSON *fields, const char *key)
{
	const cJSON *v = cJSON_GetObjectItem(fields, key);

	if (cJSON_IsString(v))
		return strtoull(v->valuestring, NULL, 16);
	if (!cJSON_IsNumber(v))
		fail_msg("no %s in the capture", key);
	return (uint64_t)v->valuedouble;
}

static bool in_context(const cJSON *line, const char *name)
{
	return !strcmp(cJSON_GetStringValue(cJSON_GetObjectItem(line, "context")), name);
}

static const cJSON *find(const struct captured *c, const char *context, unsigned int type, uint32_t ch)
{
	const cJSON *line, *f;

	cJSON_ArrayForEach(line, c->actions)
	{
		f = cJSON_GetObjectItem(line, "fields");
		if (in_context(line, context) && field(line, "type") == type &&
		    field(f, "packed_vdma_channel_id") == ch)
			return f;
	}
	return NULL;
}

/* ------------------------------------------------------- from actions back to operations */

static struct hef_action to_operation(struct captured *c, unsigned int type, const cJSON *f)
{
	struct hef_action a = {.kind = HEF_ACT_NONE};

	switch (type) {
	case FW_ACT_FETCH_CFG_CHANNEL_DESCRIPTORS:
		a.kind = HEF_ACT_WRITE_CCW;
		a.ccw.channel = (uint8_t)field(f, "packed_vdma_channel_id");
		a.ccw.bytes = field(f, "descriptors_count") * CONFIG_PAGE;
		a.ccw.n_pieces = 1;
		a.ccw.pieces = &c->spans[c->n_spans++];
		assert_true(a.ccw.bytes <= sizeof(page_of_zeros));
		*a.ccw.pieces = (struct span){page_of_zeros, a.ccw.bytes};
		break;
	case FW_ACT_TRIGGER_SEQUENCER:
		a.kind = HEF_ACT_ENABLE_SEQUENCER;
		a.sequencer.cluster = (uint8_t)field(f, "cluster_index");
		a.sequencer.l3_cut = (uint8_t)field(f, "initial_l3_cut");
		a.sequencer.l3_offset = (uint16_t)field(f, "initial_l3_offset");
		a.sequencer.apu = (uint32_t)field(f, "active_apu");
		a.sequencer.ia = (uint32_t)field(f, "active_ia");
		a.sequencer.sc = field(f, "active_sc");
		a.sequencer.l2 = field(f, "active_l2");
		a.sequencer.l2_offset_0 = field(f, "l2_offset_0");
		a.sequencer.l2_offset_1 = field(f, "l2_offset_1");
		break;
	case FW_ACT_SEQUENCER_DONE_INTERRUPT:
		a.kind = HEF_ACT_WAIT_FOR_SEQUENCER;
		a.sequencer.cluster = (uint8_t)field(f, "sequencer_index");
		break;
	case FW_ACT_MODULE_CONFIG_DONE_INTERRUPT:
		a.kind = HEF_ACT_WAIT_FOR_MODULE_CONFIG_DONE;
		a.module.index = (uint8_t)field(f, "module_index");
		break;
	case FW_ACT_FETCH_DATA_FROM_VDMA_CHANNEL:
		a.kind = HEF_ACT_ALLOW_INPUT_DATAFLOW;
		a.flow.stream = (uint8_t)field(f, "stream_index");
		break;
	case FW_ACT_ENABLE_LCU_DEFAULT:
	case FW_ACT_ENABLE_LCU_NON_DEFAULT:
	case FW_ACT_DISABLE_LCU:
		a.kind = type == FW_ACT_DISABLE_LCU	     ? HEF_ACT_DISABLE_LCU
			 : type == FW_ACT_ENABLE_LCU_DEFAULT ? HEF_ACT_ENABLE_LCU_DEFAULT
							     : HEF_ACT_ENABLE_LCU_NON_DEFAULT;
		a.lcu.lcu = field(f, "packed_lcu_id") & 0xf;
		a.lcu.cluster = (uint8_t)(field(f, "packed_lcu_id") >> 4);
		if (type == FW_ACT_ENABLE_LCU_NON_DEFAULT) {
			a.lcu.done_address = (uint16_t)field(f, "kernel_done_address");
			a.lcu.done_count = (uint32_t)field(f, "kernel_done_count");
		}
		break;
	default: /* what the host adds by itself */
		break;
	}
	return a;
}

static void add(struct hef_context *to, struct hef_action a)
{
	assert_true(to->n_actions < ACTIONS_MAX);
	if (a.kind != HEF_ACT_NONE)
		to->actions[to->n_actions++] = a;
}

static void take_operations(struct captured *c, const char *name, struct hef_context *to)
{
	const cJSON *line, *sub;

	cJSON_ArrayForEach(line, c->actions)
	{
		unsigned int type = (unsigned int)field(line, "type");

		if (!in_context(line, name))
			continue;
		if (type != FW_ACT_REPEATED_ACTION) {
			add(to, to_operation(c, type, cJSON_GetObjectItem(line, "fields")));
			continue;
		}
		cJSON_ArrayForEach(sub, cJSON_GetObjectItem(line, "subs"))
			add(to, to_operation(c, (unsigned int)field(line, "sub_type"), sub));
	}
}

/* How many pointers a channel's data was in shows in the length of its list alone: one page each. */
static void take_bursts(struct captured *c)
{
	for (uint8_t ch = 0; ch < c->op.cfg_channels; ch++) {
		const cJSON *f = find(c, "PRELIMINARY", FW_ACT_ACTIVATE_CFG_CHANNEL, ch);
		size_t n = field(f, "total_desc_count") - 1;

		assert_true(n < PAGES_MAX);
		for (size_t i = 0; i < n; i++)
			c->bursts[ch][i] = CONFIG_PAGE;
		c->op.preliminary.bursts[ch].n = n;
		c->op.preliminary.bursts[ch].sizes = c->bursts[ch];
	}
}

static struct hef_layer take_layer(const struct captured *c, bool input, struct shape s)
{
	const cJSON *f = find(c, "DYNAMIC",
			      input ? FW_ACT_ACTIVATE_BOUNDARY_INPUT : FW_ACT_ACTIVATE_BOUNDARY_OUTPUT,
			      input ? 2 : 16);

	return (struct hef_layer){
		.kind = HEF_EDGE_BOUNDARY,
		.input = input,
		.order = input ? HW_ORDER_NHWC : HW_ORDER_NC,
		.data_bytes = 1,
		.hw_height = s.h,
		.hw_width = s.w,
		.hw_features = s.f,
		.stream = (uint8_t)field(f, "stream_index"),
		.core_bytes_per_buffer = (uint16_t)field(f, "core_bytes_per_buffer"),
		.core_buffers_per_frame = (uint16_t)field(f, "core_buffers_per_frame"),
		.max_shmifo_size = input ? (uint32_t)field(f, "initial_credit_size") : 0x10000,
	};
}

/* ------------------------------------------------------------------------- comparing */

static void take_addresses(const struct captured *c, struct network *net)
{
	struct network_context *pre = &net->contexts[NETWORK_PRELIMINARY];

	net->inputs[0].list.mem.bus = field(
		find(c, "ACTIVATION", FW_ACT_OPEN_BOUNDARY_INPUT_CHANNEL, net->inputs[0].channel),
		"dma_address");
	net->outputs[0].list.mem.bus = field(
		find(c, "ACTIVATION", FW_ACT_OPEN_BOUNDARY_OUTPUT_CHANNEL, net->outputs[0].channel),
		"dma_address");
	for (uint8_t i = 0; i < pre->n_configs; i++)
		pre->configs[i].list.mem.bus = field(
			find(c, "PRELIMINARY", FW_ACT_ACTIVATE_CFG_CHANNEL, i), "dma_address");
}

static void compare_messages(const struct captured *c, const struct fake *f)
{
	const cJSON *line;
	size_t n = 0;

	cJSON_ArrayForEach(line, c->controls)
	{
		unsigned int opcode = (unsigned int)field(line, "opcode");
		size_t len;
		uint8_t *want;
		char what[32];

		if (opcode != FW_SET_NETWORK_GROUP_HEADER && opcode != FW_SET_CONTEXT_INFO)
			continue;
		assert_true(n < f->n_messages);
		want = unhex(cJSON_GetStringValue(cJSON_GetObjectItem(line, "request")), &len);
		snprintf(what, sizeof(what), "control %u", (unsigned int)field(line, "seq"));
		assert_bytes_equal(f->messages[n].bytes, f->messages[n].len, want, len, what);
		assert_int_equal(f->messages[n].doorbell, field(line, "cpu") + 1);
		free(want);
		n++;
	}
	assert_int_equal(n, 5); /* header, activation, batch switching, preliminary, dynamic */
	assert_int_equal(n, f->n_messages);
}

static void same_as_captured(const char *name, struct shape in, struct shape out)
{
	const struct network_options opt = {.batch = 1, .max_page = 4096, .queue_scale = 8};
	static struct captured captured;
	struct captured *c = &captured;
	struct chip_hw_consts consts = fake_consts();
	struct hw_error err = {0};
	struct network *net;
	struct chip chip;
	struct fake *f;
	char path[80];

	memset(c, 0, sizeof(*c));
	snprintf(path, sizeof(path), "traces/%s-actions.jsonl", name);
	c->actions = read_jsonl(shared_path(path));
	snprintf(path, sizeof(path), "traces/%s-controls.jsonl", name);
	c->controls = read_jsonl(shared_path(path));
	c->op = (struct hef_core_op){.layout = HEF_LAYOUT_ANY, .cfg_channels = 2, .n_contexts = 1,
				     .contexts = &c->context, .n_networks = 1,
				     .can_fast_batch_switch = true};
	c->op.preliminary.actions = c->pre;
	c->context.actions = c->dyn;
	take_operations(c, "PRELIMINARY", &c->op.preliminary);
	take_operations(c, "DYNAMIC", &c->context);
	take_bursts(c);
	c->layers[0] = take_layer(c, true, in);
	c->layers[1] = take_layer(c, false, out);
	c->context.layers = c->layers;
	c->context.n_layers = 2;
	c->group.core_ops = &c->op;
	c->group.n_core_ops = 1;
	c->hef.groups = &c->group;
	c->hef.n_groups = 1;
	/* of every compiler of that time (hef-format 3.1) */
	c->hef.features.run_asap = true;
	c->hef.features.hw_padding = true;
	c->hef.features.multi_network = true;

	f = fake_new();
	assert_ok(network_plan(&c->hef, &c->group, &c->op, &consts, &opt, &net, &err), &err);
	assert_ok(network_alloc(net, &f->be, &err), &err);
	take_addresses(c, net);
	assert_ok(network_contexts(net, &err), &err);
	fake_chip(f, &chip);
	assert_ok(network_configure(net, &chip, &err), &err);
	compare_messages(c, f);
	network_free(net, &f->be);
	fake_free(f);
	cJSON_Delete(c->actions);
	cJSON_Delete(c->controls);
}

static void mnist(void **state)
{
	(void)state;
	same_as_captured("mnist", (struct shape){28, 28, 1}, (struct shape){1, 1, 10});
}

static void mobilenet(void **state)
{
	(void)state;
	same_as_captured("mobilenet", (struct shape){224, 224, 3}, (struct shape){1, 1, 1001});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mnist),
		cmocka_unit_test(mobilenet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
