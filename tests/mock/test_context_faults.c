// SPDX-License-Identifier: MIT
/* What goes wrong inside a network of several contexts: noticed, told in words, mended by loading again. */
#include "mock/multi_rig.h"

#include "network/internal.h"

/* ------------------------------------------------------------------------ faults to order */

struct broken {
	const char *fault;
	int code;
	const char *words;
	unsigned int frames; /* that come back right before */
};

/* In a chain of three: config channels 0 and 1, input 2, output 16, between contexts 3 and 17. */
static void faults_inside(void **state)
{
	static const struct broken broken[] = {
		{"channel-stuck=17", -ETIMEDOUT,
		 "stream between contexts multi/j0 of context 0 (vDMA channel 17): 0 of 6 descriptors "
		 "written, 3 to a frame", 0},
		{"channel-stuck=3", -ETIMEDOUT,
		 "stream between contexts multi/j0 of context 1 (vDMA channel 3): 0 of 6 descriptors read", 0},
		{"credits-wrong=17", -ETIMEDOUT,
		 "multi/j0 of context 0 (vDMA channel 17): 3 of 5 descriptors written, 3 to a frame", 0},
		{"credits-wrong=3:2", -ETIMEDOUT,
		 "multi/j0 of context 1 (vDMA channel 3): 4 of 4 descriptors read", 0},
		{"cfg-corrupt=1@frame=3", -EIO, "in dynamic context 1", 2},
		{"cfg-corrupt=2@frame=3", -EIO, "in dynamic context 2", 2},
		{"ctx-error=0x4013007b:1", -EIO, "in dynamic context 1", 0},
		{"ctx-error=0x4013007b:2@frame=5", -EIO, "in dynamic context 2", 4},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
		const struct want w = {.batch = 2, .dynamic_batch = 2};
		struct multinet m;
		struct rig rig = {0};

		multinet_chain(&m, 3);
		rig_power_on(&rig, &w);
		order_fault(rig.chip, broken[i].fault);
		rig_load(&rig, &m, &w);
		all_right(&rig, broken[i].frames);
		dies(&rig, 8, broken[i].code, broken[i].words);
		mock_chip_clear_fault(rig.chip, NULL);
		rig_drop(&rig);
		rig_load(&rig, &m, &w);
		all_right(&rig, 8);
		rig_close(&rig);
	}
}

/* The first pass is all that the chip knows of microcode; what it computes with damage is wrong. */
static void damage_on_the_first_pass(void **state)
{
	const struct want w = {.batch = 2, .dynamic_batch = 2, .faults = "cfg-corrupt=1"};
	struct multinet m;
	struct rig rig;

	(void)state;
	multinet_chain(&m, 3);
	rig = rig_open(&m, &w);
	send_frames(&rig, 2, PATIENT_MS);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(crowd.f[i].status, 0);
		assert_false(right(&rig, &crowd.f[i]));
	}
	crowd_empty(&crowd);
	rig_close(&rig);
}

/* More rows than are kept. */
static void add_rows(struct multinet_context *c)
{
	c->layer[c->n++] = (struct multinet_layer){
		.name = "multi/rows", .kind = MN_DDR, .stream = 20, .rows = 9, .row_bytes = 1024,
		.peer_stream = 21, .buffered = 4};
	c->layer[c->n++] = (struct multinet_layer){
		.name = "multi/rows", .kind = MN_DDR, .input = true, .stream = 21, .rows = 9,
		.row_bytes = 1024, .peer_stream = 20};
}

static void a_pair_that_stands_still(void **state)
{
	const struct want w = {.batch = 2, .dynamic_batch = 2};
	struct multinet m;
	struct rig rig = {0};

	(void)state;
	multinet_chain(&m, 2);
	add_rows(&m.ctx[1]);
	rig_power_on(&rig, &w);
	/* All that the chip may write ahead: four rows of two descriptors. */
	order_fault(rig.chip, "credits-wrong=17:8");
	rig_load(&rig, &m, &w);
	dies(&rig, 4, -ETIMEDOUT, "stream between contexts multi/j0 of context 0");
	rig_drop(&rig);
	order_fault(rig.chip, "channel-stuck=3");
	rig_load(&rig, &m, &w);
	dies(&rig, 4, -ETIMEDOUT, "rows in host memory multi/rows of context 1 (vDMA channel 3): 0 of 8 "
				  "descriptors read, 2 to a row");
	rig_close(&rig);
}

/* ----------------------------------------------------------------------- wrong action lists */

/* One action of a context, changed; and what the chip must say. */
struct twist {
	unsigned int context; /* place in network.contexts */
	enum fw_action type;
	unsigned int nth;
	int at;               /* byte of its parameters; -5: the type itself */
	unsigned int width;
	uint32_t value;
	uint32_t status;
};

struct job {
	const struct multinet *m;
	const struct twist *t;
	void (*more)(struct network *net); /* change lists in host memory */
	struct mock_chip *chip;
	char fault[256];
};

static void twist_action(struct network *net, const struct twist *t)
{
	struct network_context *ctx = &net->contexts[t->context];
	unsigned int nth = t->nth;

	for (size_t i = 0; i < ctx->n_names; i++) {
		uint8_t *at = ctx->actions.ptr + ctx->names[i].offset;
		bool single = at[0] == t->type && get_le32(at + 1) == UINT32_MAX;

		if (ctx->names[i].type != t->type || nth--)
			continue;
		for (unsigned int b = 0; b < t->width; b++)
			at[(single ? 5 : 0) + t->at + (int)b] = (uint8_t)(t->value >> 8 * b);
		return;
	}
	fail_msg("context %u has no action %d", t->context, t->type);
}

static void launch(struct backend *be, struct network_stream *s, struct backend_dma *mem)
{
	struct vdma_channel ch;
	struct hw_error err;

	assert_int_equal(backend_dma_alloc(be, 2 * 8192, 4096, mem), 0);
	vdma_channel_init(&ch, be, s->channel, &s->list);
	assert_ok(vdma_channel_wait_started(&ch, 1000, &err), &err);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(vdma_channel_launch(&ch, mem->bus + 8192 * i, s->transfer, mem), 0);
}

static int run_twisted(struct hw_dev *dev, void *arg, struct hw_error *err)
{
	const struct network_options opt = {.batch = 2, .max_page = 4096};
	uint64_t until = util_now_ms() + PATIENT_MS;
	struct backend_dma mem[2] = {0};
	struct job *j = arg;
	const struct hef_group *group;
	struct network *net = NULL;
	struct hef *hef;
	size_t len;
	uint8_t *file = multinet_hef(j->m, &len);

	assert_ok(hef_parse(file, len, &hef, NULL, err), err);
	group = hef_find_group(hef, NULL);
	assert_ok(chip_get_hw_consts(&dev->chip, err), err);
	assert_ok(network_plan(hef, group, &group->core_ops[0], &dev->chip.consts, &opt, &net, err), err);
	assert_ok(network_alloc(net, dev->be, err), err);
	assert_ok(network_contexts(net, err), err);
	if (j->t)
		twist_action(net, j->t);
	if (j->more)
		j->more(net);
	assert_ok(chip_reset_apps(&dev->chip, err), err);
	assert_ok(chip_clear_apps(&dev->chip, err), err);
	assert_ok(network_configure(net, &dev->chip, err), err);
	assert_ok(chip_enable_app(&dev->chip, 0, 0, err), err);
	launch(dev->be, &net->outputs[0], &mem[0]);
	launch(dev->be, &net->inputs[0], &mem[1]);
	do
		mock_chip_last_fault(j->chip, j->fault, sizeof(j->fault));
	while (!j->fault[0] && util_now_ms() < until);
	assert_ok(chip_reset_apps(&dev->chip, err), err);
	for (unsigned int i = 0; i < 2; i++)
		backend_dma_free(dev->be, &mem[i]);
	network_free(net, dev->be);
	hef_free(hef);
	return 0;
}

/* On a fresh chip; each list is refused where it is wrong, and not before. */
static void refused(const struct multinet *m, const struct twist *t, void (*more)(struct network *),
		    uint32_t status)
{
	const struct want w = {0};
	struct job j = {.m = m, .t = t, .more = more};
	struct rig rig = {0};
	struct hw_error err = {0};
	char words[32];

	rig_power_on(&rig, &w);
	j.chip = rig.chip;
	assert_ok(infer_call(rig.dev, run_twisted, &j, &err), &err);
	snprintf(words, sizeof(words), "status 0x%08x", status);
	if (!strstr(j.fault, words))
		fail_msg("action %d of context %u, byte %d: %s instead of %s", t ? (int)t->type : -1,
			 t ? t->context : 0, t ? t->at : 0, j.fault, words);
	rig_close(&rig);
}

static void wrong_lists_of_streams(void **state)
{
	enum { D0 = NETWORK_DYNAMIC, D1 };
	static const struct twist twists[] = {
		{D0, FW_ACT_ACTIVATE_INTER_CONTEXT_OUTPUT, 0, 0, 1, 40, 0x4013001e},
		{D0, FW_ACT_ACTIVATE_INTER_CONTEXT_OUTPUT, 0, 0, 1, 4, 0x4013003c},
		{D0, FW_ACT_ACTIVATE_INTER_CONTEXT_OUTPUT, 0, 0, 1, 16, 0x40130032},
		{D0, FW_ACT_ACTIVATE_INTER_CONTEXT_OUTPUT, 0, 20, 1, 1, 0x40130066},
		{D0, FW_ACT_ACTIVATE_INTER_CONTEXT_OUTPUT, 0, 21, 1, 1, 0x40130038},
		{D0, FW_ACT_ACTIVATE_INTER_CONTEXT_OUTPUT, 0, 29, 2, 500, 0x40130054},
		{D0, FW_ACT_ACTIVATE_INTER_CONTEXT_OUTPUT, 0, 31, 4, 1, 0x40130055},
		{D0, FW_ACT_ACTIVATE_INTER_CONTEXT_OUTPUT, 0, 31, 4, 5, 0x402d001f},
		{D0, FW_ACT_ACTIVATE_INTER_CONTEXT_OUTPUT, 0, 35, 4, 0, 0x402d001b},
		{D0, FW_ACT_ACTIVATE_INTER_CONTEXT_OUTPUT, 0, -5, 1, FW_ACT_ACTIVATE_BOUNDARY_OUTPUT,
		 0x4013001e},
		{D1, FW_ACT_ACTIVATE_INTER_CONTEXT_INPUT, 0, 0, 1, 0, 0x40130032},
		{D1, FW_ACT_ACTIVATE_INTER_CONTEXT_INPUT, 0, -5, 1, FW_ACT_ACTIVATE_CACHE_INPUT, 0x4013000a},
		{D0, FW_ACT_CHANGE_VDMA_TO_STREAM_MAPPING, 0, 0, 1, 9, 0x4013001e},
		{D0, FW_ACT_CHANGE_VDMA_TO_STREAM_MAPPING, 0, 1, 1, 7, 0x40130031},
		{D0, FW_ACT_CHANGE_VDMA_TO_STREAM_MAPPING, 0, 2, 1, 1, 0x40130031},
		{D0, FW_ACT_CHANGE_VDMA_TO_STREAM_MAPPING, 1, 1, 1, 7, 0x40130031},
		{D0, FW_ACT_CHANGE_VDMA_TO_STREAM_MAPPING, 1, 2, 1, 0, 0x40130031},
		{D0, FW_ACT_CHANGE_VDMA_TO_STREAM_MAPPING, 1, 0, 3, 2, 0x40130032},
		{D0, FW_ACT_FETCH_DATA_FROM_VDMA_CHANNEL, 0, 1, 1, 7, 0x4013001e},
		{D0, FW_ACT_FETCH_DATA_FROM_VDMA_CHANNEL, 0, 3, 4, 799, 0x40130027},
		{D0, FW_ACT_FETCH_DATA_FROM_VDMA_CHANNEL, 0, 7, 1, 2, 0x4013003a},
		{D0, FW_ACT_FETCH_DATA_FROM_VDMA_CHANNEL, 0, 8, 1, 1, 0x40130066},
		{D1, FW_ACT_FETCH_DATA_FROM_VDMA_CHANNEL, 0, 0, 1, 17, 0x4013001e},
		{D1, FW_ACT_FETCH_DATA_FROM_VDMA_CHANNEL, 0, 3, 4, 2, 0x40130027},
		{D1, FW_ACT_FETCH_DATA_FROM_VDMA_CHANNEL, 0, 7, 1, 1, 0x4013003a},
		{D1, FW_ACT_FETCH_DATA_FROM_VDMA_CHANNEL, 0, 8, 1, 1, 0x40130066},
		{D0, FW_ACT_OUTPUT_CHANNEL_TRANSFER_DONE, 0, 0, 1, 16, 0x4013001e},
		{D0, FW_ACT_OUTPUT_CHANNEL_TRANSFER_DONE, 0, 1, 1, 7, 0x4013001e},
		{D0, FW_ACT_OUTPUT_CHANNEL_TRANSFER_DONE, 0, 3, 1, 0, 0x40130066},
		{D1, FW_ACT_OUTPUT_CHANNEL_TRANSFER_DONE, 0, 3, 1, 1, 0x40130066},
		{D0, FW_ACT_DEACTIVATE_VDMA_CHANNEL, 0, 0, 1, 18, 0x4013001e},
		{D0, FW_ACT_DEACTIVATE_VDMA_CHANNEL, 0, 1, 1, 1, 0x40130039},
		{D0, FW_ACT_DEACTIVATE_VDMA_CHANNEL, 0, 3, 1, 1, 0x40130066},
		{D0, FW_ACT_DEACTIVATE_VDMA_CHANNEL, 0, -5, 1, FW_ACT_VALIDATE_VDMA_CHANNEL, 0x402d000a},
		{D1, FW_ACT_DEACTIVATE_VDMA_CHANNEL, 0, 1, 1, 2, 0x40130039},
		{D0, FW_ACT_PAUSE_VDMA_CHANNEL, 0, 1, 1, 2, 0x40130039},
		{D1, FW_ACT_ACTIVATE_CFG_CHANNEL, 0, 17, 4, 512, 0x40130035},
		{D1, FW_ACT_FETCH_CFG_CHANNEL_DESCRIPTORS, 0, 0, 2, 2, 0x40130020},
		{D1, FW_ACT_DEACTIVATE_CFG_CHANNEL, 1, 1, 1, 0, 0x402c0002},
	};
	struct multinet m;

	(void)state;
	multinet_chain(&m, 2);
	for (size_t i = 0; i < ARRAY_SIZE(twists); i++)
		refused(&m, &twists[i], NULL, twists[i].status);
}

static void wrong_lists_of_rows(void **state)
{
	enum { D0 = NETWORK_DYNAMIC };
	static const struct twist twists[] = {
		{D0, FW_ACT_ACTIVATE_DDR_BUFFER_OUTPUT, 0, 2, 2, 512, 0x40130026},
		{D0, FW_ACT_ACTIVATE_DDR_BUFFER_OUTPUT, 0, 4, 2, 0, 0x40130026},
		{D0, FW_ACT_ACTIVATE_DDR_BUFFER_OUTPUT, 0, 30, 4, 15, 0x402d0011},
		{D0, FW_ACT_ACTIVATE_DDR_BUFFER_OUTPUT, 0, 38, 4, 0, 0x40130034},
		{D0, FW_ACT_ACTIVATE_DDR_BUFFER_OUTPUT, 0, 38, 4, 8, 0x40130034},
		{D0, FW_ACT_ACTIVATE_DDR_BUFFER_INPUT, 0, 42, 1, 18, 0x4013001e},
		{D0, FW_ACT_ACTIVATE_DDR_BUFFER_INPUT, 0, 30, 4, 32, 0x40130035},
		{D0, FW_ACT_ADD_DDR_PAIR_INFO, 0, 0, 1, 2, 0x4013001e},
		{D0, FW_ACT_ADD_DDR_PAIR_INFO, 0, 1, 1, 18, 0x4013001e},
		{D0, FW_ACT_ADD_DDR_PAIR_INFO, 0, 3, 4, 17, 0x40130035},
		{D0, FW_ACT_ADD_DDR_PAIR_INFO, 0, 7, 2, 9, 0x40130035},
		{D0, FW_ACT_DEACTIVATE_VDMA_CHANNEL, 0, 2, 1, 1, 0x4013004e},
	};
	struct multinet m;

	(void)state;
	multinet_chain(&m, 2);
	add_rows(&m.ctx[0]);
	for (size_t i = 0; i < ARRAY_SIZE(twists); i++)
		refused(&m, &twists[i], NULL, twists[i].status);
}

/* ------------------------------------------------------------------- wrong descriptor lists */

static uint8_t *inner_desc(struct network *net, unsigned int index)
{
	assert_false(net->internal[0].input);
	return (uint8_t *)net->internal[0].list.mem.virt + 16 * index;
}

/* Two frames of three descriptors; the last one wakes the firmware. */
static void no_interrupt(struct network *net)
{
	inner_desc(net, 5)[0] = 0x02;
}

static void short_frame(struct network *net)
{
	put_le32(inner_desc(net, 2), 40 << 8 | 0x02);
}

static void long_frame(struct network *net)
{
	put_le32(inner_desc(net, 2), 64 << 8 | 0x02);
}

static void unmapped(struct network *net)
{
	put_le32(inner_desc(net, 4) + 8, 0x7fffffff);
}

static void wrong_descriptor_lists(void **state)
{
	struct multinet m;

	(void)state;
	multinet_chain(&m, 2);
	refused(&m, NULL, no_interrupt, 0x40130020);
	refused(&m, NULL, long_frame, 0x402d000f);
	refused(&m, NULL, short_frame, 0x402d000f); /* the next frame's bytes do not fit the rest */
	refused(&m, NULL, unmapped, 0x402d000f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(faults_inside),
		cmocka_unit_test(damage_on_the_first_pass),
		cmocka_unit_test(a_pair_that_stands_still),
		cmocka_unit_test(wrong_lists_of_streams),
		cmocka_unit_test(wrong_lists_of_rows),
		cmocka_unit_test(wrong_descriptor_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
