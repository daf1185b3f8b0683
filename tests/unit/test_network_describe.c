// SPDX-License-Identifier: MIT
/* Run-time errors and stalls in words (hardware-evidence 9.1 and check 15). */
#include "unit/network_nets.h"

static const char *describe(const struct network *net, uint16_t context, uint16_t action)
{
	static char buf[200];

	network_describe_action(net, context, action, buf, sizeof(buf));
	return buf;
}

static void actions_have_words(void **state)
{
	struct example e;
	struct network *net;

	(void)state;
	example_1(&e);
	net = planned(&e);
	assert_string_equal(describe(net, 2, 1), "FETCH_CFG_CHANNEL_DESCRIPTORS on config channel 0 "
						 "(vDMA channel 0) in the preliminary context");
	assert_string_equal(describe(net, 2, 3), "ENABLE_LCU_DEFAULT in the preliminary context");
	assert_string_equal(describe(net, 2, 4), "DEACTIVATE_CFG_CHANNEL on config channel 0 (vDMA "
						 "channel 0) in the preliminary context");
	assert_string_equal(describe(net, 3, 4), "ACTIVATE_BOUNDARY_INPUT on input in (vDMA channel 1) "
						 "in dynamic context 0");
	assert_string_equal(describe(net, 0, 1), "OPEN_BOUNDARY_OUTPUT_CHANNEL on output out (vDMA "
						 "channel 16) in the activation context");
	assert_string_equal(describe(net, 1, 2), "DDR_BUFFERING_RESET in the batch-switching context");
	assert_string_equal(describe(net, 2, 5), "action 5 of context 2");
	assert_string_equal(describe(net, 4, 0), "action 0 of context 4");
	network_free(net, NULL);
	example_2(&e);
	net = planned(&e);
	assert_string_equal(describe(net, 3, 2), "ACTIVATE_INTER_CONTEXT_OUTPUT on stream between "
						 "contexts inter (vDMA channel 17) in dynamic "
						 "context 0");
	assert_string_equal(describe(net, 1, 0), "DEACTIVATE_VDMA_CHANNEL on stream between contexts "
						 "inter (vDMA channel 17) in the batch-switching context");
	assert_string_equal(describe(net, 4, 3), "ACTIVATE_INTER_CONTEXT_INPUT on stream between "
						 "contexts inter (vDMA channel 2) in dynamic context 1");
	network_free(net, NULL);
}

/* Two config channels, with as many descriptors as the captured MNIST network had. */
static void two_channels(struct example *e)
{
	static uint32_t burst[2] = {56320, 1024};

	example_1(e);
	e->op.cfg_channels = 2;
	e->pre[1].ccw.bytes = 56320;
	e->pre[1].ccw.channel = 0;
	e->op.preliminary.bursts[0].sizes = &burst[0];
	e->pre[2] = ccw(&e->pieces[2], 1);
	e->pre[2].ccw.bytes = 1024;
	e->pre[2].ccw.channel = 1;
	e->op.preliminary.bursts[1].n = 1;
	e->op.preliminary.bursts[1].sizes = &burst[1];
	e->ctx[0][1].kind = HEF_ACT_NONE; /* the dynamic context configures nothing */
}

static void set_channel(struct fake *f, unsigned int ch, uint32_t avail, uint32_t processed)
{
	f->vdma[CHIP_VDMA_HOST(ch) / 4] = avail << 16 | 1;
	f->vdma[CHIP_VDMA_HOST(ch) / 4 + 1] = processed << 16 | processed;
}

static void a_starving_channel_is_named(void **state)
{
	static const struct {
		uint32_t avail[2], processed[2];
		const char *want, *not_want;
	} cases[] = {
		{{110, 2}, {108, 2}, "config channel 0 (vDMA channel 0) stopped at descriptor 108 of 110",
		 "config channel 1"},
		{{110, 2}, {110, 1}, "config channel 1 (vDMA channel 1) stopped at descriptor 1 of 2",
		 "config channel 0"},
		{{109, 2}, {109, 2}, "config channel 0 (vDMA channel 0) stopped at descriptor 109 of 110",
		 "config channel 1"},
		{{111, 2}, {110, 2}, "config channel 0 (vDMA channel 0) stopped at descriptor 110 of 110, "
				     "111 made available", "config channel 1"},
		{{110, 2}, {110, 2}, "ch 2", "config channel"},
	};
	struct fake *f = fake_new();
	char buf[400];
	struct example e;
	struct network *net;

	(void)state;
	two_channels(&e);
	net = planned(&e);
	assert_int_equal(net->contexts[NETWORK_PRELIMINARY].configs[0].used, 110);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (unsigned int ch = 0; ch < 2; ch++)
			set_channel(f, ch, cases[i].avail[ch], cases[i].processed[ch]);
		network_describe_stall(net, &f->be, buf, sizeof(buf));
		if (!strstr(buf, cases[i].want) || strstr(buf, cases[i].not_want))
			fail_msg("case %zu: %s", i, buf);
		assert_non_null(strstr(buf, "ch 16")); /* boundary channels are always shown */
	}
	/* a channel that the firmware has closed when its stream ended starves of nothing */
	f->vdma[CHIP_VDMA_HOST(0) / 4] = f->vdma[CHIP_VDMA_HOST(0) / 4 + 1] = 0;
	network_describe_stall(net, &f->be, buf, sizeof(buf));
	assert_null(strstr(buf, "config channel"));
	/* a small buffer is filled, not overrun */
	memset(buf, 'x', sizeof(buf));
	network_describe_stall(net, &f->be, buf, 10);
	assert_int_equal(strlen(buf), 9);
	assert_int_equal(buf[10], 'x');
	f->gone = true;
	network_describe_stall(net, &f->be, buf, sizeof(buf));
	assert_string_equal(buf, "the chip does not answer any more");
	network_free(net, NULL);
	fake_free(f);
}

/* Either context's end is a place to rest; in between, the context that is under way is meant. */
static void a_channel_used_by_two_contexts(void **state)
{
	struct fake *f = fake_new();
	char buf[400];
	struct example e;
	struct network *net;

	(void)state;
	two_channels(&e);
	e.ctx[0][1].kind = HEF_ACT_WRITE_CCW; /* two descriptors on channel 0 */
	net = planned(&e);
	set_channel(f, 1, 2, 2);
	for (uint32_t rest = 2; rest <= 110; rest += 108) {
		set_channel(f, 0, rest, rest);
		network_describe_stall(net, &f->be, buf, sizeof(buf));
		assert_null(strstr(buf, "config channel"));
	}
	set_channel(f, 0, 2, 1);
	network_describe_stall(net, &f->be, buf, sizeof(buf));
	assert_non_null(strstr(buf, "stopped at descriptor 1 of 2"));
	network_free(net, NULL);
	fake_free(f);
}

/* The list's address says whose the channel is: bits 63:32, and 31:16 beside the error byte. */
static void a_channel_between_contexts(void **state)
{
	struct fake *f = fake_new();
	struct hw_error err = {0};
	char buf[400];
	struct example e;
	struct network *net;
	uint64_t bus;

	(void)state;
	example_2(&e);
	net = plan(&e, 2);
	assert_ok(network_alloc(net, &f->be, &err), &err);
	bus = net->internal[0].list.mem.bus;
	for (unsigned int ch = 2; ch <= 17; ch += 15) {
		f->vdma[CHIP_VDMA_HOST(ch) / 4 + 2] = (uint32_t)bus & 0xffff0000;
		f->vdma[CHIP_VDMA_HOST(ch) / 4 + 3] = (uint32_t)(bus >> 32);
	}
	set_channel(f, 17, 12, 6);
	network_describe_stall(net, &f->be, buf, sizeof(buf));
	assert_non_null(strstr(buf, "stream between contexts inter of context 0 (vDMA channel 17): 6 of 12 "
				    "descriptors written, 6 to a frame"));
	assert_null(strstr(buf, "of context 1"));
	/* closed at the end of context 0; context 1 reads the same list */
	f->vdma[CHIP_VDMA_HOST(17) / 4] &= ~1u;
	set_channel(f, 2, 11, 11);
	network_describe_stall(net, &f->be, buf, sizeof(buf));
	assert_non_null(strstr(buf, "stream between contexts inter of context 1 (vDMA channel 2): 11 of 11 "
				    "descriptors read, 6 to a frame"));
	assert_null(strstr(buf, "of context 0"));
	/* the channel belongs to something else now */
	f->vdma[CHIP_VDMA_HOST(2) / 4 + 2] += 0x10000;
	network_describe_stall(net, &f->be, buf, sizeof(buf));
	assert_null(strstr(buf, "between contexts"));
	network_free(net, &f->be);
	fake_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(actions_have_words),
		cmocka_unit_test(a_starving_channel_is_named),
		cmocka_unit_test(a_channel_used_by_two_contexts),
		cmocka_unit_test(a_channel_between_contexts),
	};

	return cmocka_run_group_tests(tests, fill_data, NULL);
}
