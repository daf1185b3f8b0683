// SPDX-License-Identifier: MIT
/*
 * Networks on the software chip, register by register and without any of our driver: configuration
 * over DMA, frames, starvation, run-time errors (protocol 9.2, 9.3; evidence 9).
 */
#include "mock/fake_net.h"

static void frames_flow(void **state)
{
	struct mock_stats stats;
	struct net n;

	(void)state;
	net_open(&n, NULL);
	enable(&n);
	/* Right after the answer (evidence 7): control 1, depth, num_available 0. */
	assert_int_equal(rd(&n.h, 2, 0x40), 0x00002801);
	assert_int_equal(rd(&n.h, 2, CHIP_VDMA_HOST(16)), 0x00002801);
	for (unsigned int f = 0; f < 8; f++)
		queue_output(&n, f);
	for (unsigned int f = 0; f < 8; f++)
		queue_input(&n, f);
	wait_output(&n, 8);
	for (unsigned int f = 0; f < 8; f++)
		expect_output(&n, f);
	assert_int_equal(rd(&n.h, 2, 0x44), 0x00100010);
	assert_int_equal(rd(&n.h, 0, CHIP_SRC_IRQ), 0x4);
	assert_int_equal(rd(&n.h, 0, CHIP_DST_IRQ), 0x10000);
	assert_int_equal(rd(&n.h, 0, CHIP_ISTATUS_HOST) & 0xffff, 0x1001);
	for (unsigned int f = 8; f < 200; f++) { /* around both rings, several times */
		queue_output(&n, f);
		queue_input(&n, f);
		wait_output(&n, f % 32 + 1);
		expect_output(&n, f);
	}
	mock_chip_stats(n.h.chip, &stats);
	assert_int_equal(stats.frames, 200);
	assert_int_equal(stats.events, 0);
	assert_int_equal(stats.cfg_fetched[0], 2);
	assert_int_equal(stats.cfg_fetched[1], 1);
	assert_int_equal(stats.cfg_bytes[0], 600);
	assert_int_equal(stats.cfg_bytes[1], 100);
	assert_true(stats.irqs > 0);
	net_close(&n);
}

/* A frame that began to wait for its output delays nobody: the next input is taken meanwhile. */
static void outputs_may_come_late(void **state)
{
	struct net n;

	(void)state;
	net_open(&n, NULL);
	enable(&n);
	queue_input(&n, 1);
	queue_input(&n, 2);
	wait_reg(&n.h, 2, 0x44, 0xffff, 4); /* both inputs were taken */
	assert_int_equal(rd(&n.h, 2, CHIP_VDMA_HOST(16) + 4), 0);
	queue_output(&n, 1);
	wait_output(&n, 1);
	expect_output(&n, 1);
	queue_output(&n, 2);
	wait_output(&n, 2);
	expect_output(&n, 2);
	net_close(&n);
}

/* Lists cut into pieces of any size, also inside a repeated action (protocol 4.2). */
static void chunks_are_joined(void **state)
{
	(void)state;
	for (size_t chunk = 7; chunk < 60; chunk += 13) {
		struct twist t = {.chunk = chunk};
		struct net n;

		net_open(&n, &t);
		enable(&n);
		one_frame(&n);
		net_close(&n);
	}
}

static void activate_cfg(struct buf *b, uint8_t stream, uint64_t list, uint32_t pattern)
{
	act(b, FW_ACT_ACTIVATE_CFG_CHANNEL);
	buf_u8(b, stream);
	buf_u8(b, stream);
	hbi(b, list, 512, 3, pattern);
}

static void deactivate_cfg(struct buf *b, uint8_t stream)
{
	act(b, FW_ACT_DEACTIVATE_CFG_CHANNEL);
	buf_u8(b, stream);
	buf_u8(b, stream);
}

/* Without KO_RUN_ASAP one stream's bytes come in both contexts, as in protocol 8.1. */
static void configuration_over_two_contexts(void **state)
{
	const struct twist none = {0};
	struct buf pre = {0}, dyn = {0};
	struct net n;

	(void)state;
	net_open(&n, NULL);
	assert_int_equal(control_hex(&n.h, 2, HEX_CLEAR), 0);
	desc_put(&n.h, CFG_LIST(2), 0, 88, 0x1e, CFG_DATA(0) + 512);
	activate_cfg(&pre, 0, CFG_LIST(0), 512);
	fetch(&pre, 1, 0);
	deactivate_cfg(&pre, 0);
	activate_cfg(&dyn, 0, CFG_LIST(2), 512);
	activate_cfg(&dyn, 1, CFG_LIST(1), 512);
	fetch(&dyn, 1, 0);
	fetch(&dyn, 1, 1);
	dataflow(&dyn, &none);
	deactivate_cfg(&dyn, 0);
	deactivate_cfg(&dyn, 1);
	act(&dyn, FW_ACT_APPLICATION_CHANGE_INTERRUPT);
	assert_int_equal(set_header(&n.h, 1, 1, 1, 2, 0, 1), 0);
	send(&n, FW_CONTEXT_ACTIVATION, activation(&none), 0);
	send(&n, FW_CONTEXT_BATCH_SWITCHING, batch_switching(), 0);
	send(&n, FW_CONTEXT_PRELIMINARY, pre, 0);
	send(&n, FW_CONTEXT_DYNAMIC, dyn, 0);
	enable(&n);
	one_frame(&n);
	net_close(&n);
}

static void streams_only_once_the_list_says_so(void **state)
{
	struct twist late = {.wait_in_dynamic = true, .slow = true}, never = {.no_resume = true};
	struct net n;

	(void)state;
	net_open(&n, &late);
	enable(&n);
	one_frame(&n);
	net_close(&n);

	net_open(&n, &never);
	enable(&n);
	queue_output(&n, 1);
	queue_input(&n, 1);
	usleep(5000);
	assert_int_equal(rd(&n.h, 2, 0x44), 0);
	net_close(&n);
}

/*
 * Evidence 9 no 1: the list is one short of what the fetches ask for, or a descriptor was never
 * programmed.  No event; the registers say which channel and how far; the next load works.
 */
static void config_channel_starves(void **state)
{
	static const struct {
		struct twist t;
		uint32_t clear, avail, done;
	} cases[] = {
	    {{.cfg0_count = 2, .cfg0_fetch = 2, .pattern0 = 1536}, 9, 3, 2},
	    {{0}, 1, 2, 1},
	    {{0}, 0, 1, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mock_stats stats;
		struct net n;

		net_open(&n, &cases[i].t);
		if (cases[i].clear < 3)
			desc_put(&n.h, CFG_LIST(0), cases[i].clear, 0, 0, 0);
		enable(&n);
		queue_output(&n, 1);
		queue_input(&n, 1);
		wait_fault(&n.h, "config channel 0 starves");
		assert_int_equal(rd(&n.h, 2, 0x0) >> 16, cases[i].avail);
		assert_int_equal(rd(&n.h, 2, 0x4) & 0xffff, cases[i].done);
		assert_int_equal(rd(&n.h, 2, 0x24), 0);
		assert_int_equal(rd(&n.h, 2, 0x44), 0);
		assert_int_equal(rd(&n.h, 4, CHIP_MBOX_EVENT), 0);
		mock_chip_stats(n.h.chip, &stats);
		assert_int_equal(stats.cfg_fetched[0], cases[i].done);
		assert_int_equal(stats.frames, 0);
		assert_int_equal(set_status(&n.h, 0, 255, 0), 0);
		assert_int_equal(control_hex(&n.h, 2, HEX_CLEAR), 0);
		put_config(&n);
		add_app(&n, &(struct twist){0}, 1);
		enable(&n);
		one_frame(&n);
		net_close(&n);
	}
}

static void stopped_with(const struct twist *t, void (*spoil)(struct net *n), uint32_t status,
			 uint16_t context, uint16_t action)
{
	char fault[256];
	struct net n;

	net_open(&n, t);
	if (spoil)
		spoil(&n);
	enable(&n);
	expect_event(&n, status, context, action);
	mock_chip_last_fault(n.h.chip, fault, sizeof(fault));
	assert_non_null(strstr(fault, "stopped"));
	/* It stays dead until RESET, also for a new batch. */
	queue_output(&n, 1);
	queue_input(&n, 1);
	assert_int_equal(set_status(&n.h, 1, 0, 1), 0x4013003e);
	assert_int_equal(rd(&n.h, 2, CHIP_VDMA_HOST(16) + 4), 0);
	assert_int_equal(set_status(&n.h, 0, 255, 0), 0);
	assert_int_equal(rd(&n.h, 2, 0x40) & 3, 0);
	net_close(&n);
}

static void spoil_short(struct net *n)
{
	desc_put(&n->h, CFG_LIST(1), 0, 99, 0x1e, CFG_DATA(1));
}

static void spoil_device_irq(struct net *n)
{
	desc_put(&n->h, CFG_LIST(0), 1, 88, 0x02, CFG_DATA(0) + 512);
}

static void spoil_address(struct net *n)
{
	desc_put(&n->h, CFG_LIST(0), 1, 88, 0x1e, 0x1234000);
}

static void spoil_page(struct net *n)
{
	desc_put(&n->h, CFG_LIST(0), 0, 513, 0x1e, CFG_DATA(0));
}

static void spoil_ready(struct net *n)
{
	(void)n;
	fake_never_ready = true;
}

static void spoil_port(struct net *n)
{
	(void)n;
	fake_in_stream = 9;
}

/* Contexts: activation 0, batch switching 1, preliminary 2, dynamic 3; actions are unrolled. */
static void faults_stop_the_network_with_event_12(void **state)
{
	const struct twist none = {0}, pattern = {.pattern0 = 1536}, stream = {.cfg0_channel = 1},
			   missing = {.no_fetch1 = true, .wait_in_dynamic = true};

	(void)state;
	stopped_with(&none, spoil_byte, FW_STATUS_CONFIG_DONE_TIMEOUT, 2, 6);
	stopped_with(&none, spoil_short, FW_STATUS_CONFIG_DONE_TIMEOUT, 2, 12); /* at FETCH_DATA */
	stopped_with(&none, spoil_device_irq, 0x40130020, 2, 6);
	stopped_with(&none, spoil_address, 0x402d000f, 2, 6);
	stopped_with(&none, spoil_page, 0x402d000f, 2, 5);
	stopped_with(&none, spoil_ready, FW_STATUS_CONFIG_DONE_TIMEOUT, 2, 12);
	stopped_with(&none, spoil_port, FW_STATUS_CONFIG_DONE_TIMEOUT, 3, 5);
	stopped_with(&pattern, NULL, FW_STATUS_DESC_COUNT, 2, 14);
	stopped_with(&stream, NULL, FW_STATUS_CFG_CHANNEL, 2, 0);
	stopped_with(&missing, NULL, FW_STATUS_CONFIG_UNFINISHED, 2, 9);
}

static void bad_activation_is_refused(void **state)
{
	const struct {
		struct twist t;
		uint32_t status;
	} bad[] = {
	    {{.in_pattern = 512 * 32}, 0x402d001a},
	    {{.open_in = 17}, FW_STATUS_BAD_DIRECTION},
	    {{.open_in = 0x22}, FW_STATUS_BAD_CHANNEL}, /* engine 1 */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct net n;

		net_open(&n, &bad[i].t);
		assert_int_equal(set_status(&n.h, 1, 0, 0), bad[i].status);
		assert_int_equal(rd(&n.h, 2, CHIP_VDMA_HOST(16)) & 3, 0);
		assert_int_equal(control_hex(&n.h, 2, HEX_CLEAR), 0); /* nothing is active */
		net_close(&n);
	}
}

static void boundary_fault_stops_channel_and_network(void **state)
{
	struct net n;

	(void)state;
	net_open(&n, NULL);
	enable(&n);
	one_frame(&n);
	queue_output(&n, 1);
	desc_put(&n.h, IN_LIST, 2, 512, 0x02, 0x99000000);
	wr(&n.h, 2, 0x40, 0x00042801);
	expect_event(&n, 0x402d000f, 3, 5);
	wait_fault(&n.h, "refused 0x99000000");
	assert_int_equal(rd(&n.h, 2, 0x48) & 0xff, 2);
	assert_int_equal(rd(&n.h, 2, 0x40) & 3, 0);
	assert_int_equal(rd(&n.h, 2, 0x44), 0x00020002);
	net_close(&n);
}

static void output_descriptors_must_add_up(void **state)
{
	struct net n;

	(void)state;
	net_open(&n, NULL);
	enable(&n);
	desc_put(&n.h, OUT_LIST, 0, 64, 0x2e, OUT_DATA);
	wr(&n.h, 2, CHIP_VDMA_HOST(16), 0x00012801);
	queue_input(&n, 1);
	expect_event(&n, 0x402d000f, 3, 5);
	wait_fault(&n.h, "beyond the frame");
	net_close(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(frames_flow),
	    cmocka_unit_test(outputs_may_come_late),
	    cmocka_unit_test(chunks_are_joined),
	    cmocka_unit_test(configuration_over_two_contexts),
	    cmocka_unit_test(streams_only_once_the_list_says_so),
	    cmocka_unit_test(config_channel_starves),
	    cmocka_unit_test(faults_stop_the_network_with_event_12),
	    cmocka_unit_test(bad_activation_is_refused),
	    cmocka_unit_test(boundary_fault_stops_channel_and_network),
	    cmocka_unit_test(output_descriptors_must_add_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
