// SPDX-License-Identifier: MIT
/* Stopping and switching networks on the software chip, at the worst moments (pcie 11.3, 11.8). */
#include "mock/fake_net.h"

static void refused_while_active(void **state)
{
	struct net n;

	(void)state;
	net_open(&n, NULL);
	enable(&n);
	assert_int_equal(control_hex(&n.h, 2, HEX_CLEAR), FW_STATUS_CLEAR_WHILE_ACTIVE);
	assert_int_equal(set_header(&n.h, 1, 1, 1, 1, 0, 0), FW_STATUS_CONFIG_WHILE_ACTIVE);
	assert_int_equal(set_context(&n.h, 1, 1, 3, "\x1e\xff\xff\xff\xff", 5),
			 FW_STATUS_CONFIG_WHILE_ACTIVE);
	assert_int_equal(set_status(&n.h, 1, 0, 5), FW_STATUS_BAD_BATCH);
	one_frame(&n);
	net_close(&n);
}

/* No DMA may follow the acknowledgement, whatever stops a chip that is in the middle of a frame. */
static void stop_in_the_middle(void (*stop)(struct net *n))
{
	unsigned int reads, writes;
	struct mock_stats stats;
	struct net n;

	net_open(&n, NULL);
	enable(&n);
	one_frame(&n);
	gate(true);
	queue_output(&n, 1);
	queue_input(&n, 1);
	wait_in_core();
	stop(&n);
	assert_int_equal(rd(&n.h, 2, 0x40) & 0xffff0003, 0);
	assert_int_equal(rd(&n.h, 2, 0x44), 0);
	reads = host_count(&n.h, &n.h.reads);
	writes = host_count(&n.h, &n.h.writes);
	gate(false);
	usleep(3000);
	assert_int_equal(host_count(&n.h, &n.h.reads), reads);
	assert_int_equal(host_count(&n.h, &n.h.writes), writes);
	mock_chip_stats(n.h.chip, &stats);
	assert_int_equal(stats.frames, 1); /* the second one does not count */
	if (rd(&n.h, 0, 0x708) == CHIP_ADDR_MAILBOX) {
		put_config(&n);
		enable(&n);
		one_frame(&n);
	}
	net_close(&n);
}

static void by_reset_state(struct net *n)
{
	assert_int_equal(set_status(&n->h, 0, 255, 0), 0);
}

static void by_driver_down(struct net *n)
{
	wr(&n->h, 4, CHIP_DOORBELL, CHIP_DOORBELL_DRIVER_DOWN);
	wait_istatus(&n->h, CHIP_IRQ_DRIVER_DOWN);
}

static void by_soft_reset(struct net *n)
{
	wr(&n->h, 4, CHIP_DOORBELL, CHIP_DOORBELL_SOFT_RESET);
	wait_istatus(&n->h, CHIP_IRQ_SOFT_RESET);
}

static void by_function_reset(struct net *n)
{
	mock_chip_reset(n->h.chip);
}

static void stops_during_an_inference(void **state)
{
	(void)state;
	stop_in_the_middle(by_reset_state);
	stop_in_the_middle(by_driver_down);
	stop_in_the_middle(by_soft_reset);
	stop_in_the_middle(by_function_reset);
}

/* An acknowledgement waits for the DMA access that is under way. */
static bool dma_shut;
static unsigned int dma_waiting;

static int gated_dma_write(void *host, uint64_t bus, const void *buf, size_t len)
{
	pthread_mutex_lock(&gate_lock);
	dma_waiting++;
	while (dma_shut)
		pthread_cond_wait(&gate_cond, &gate_lock);
	pthread_mutex_unlock(&gate_lock);
	return bus_dma_write(host, bus, buf, len);
}

static void acknowledgement_comes_after_dma(void **state)
{
	const struct mock_opts opts = {.already_running = true};
	unsigned int inside = 0;
	struct net n;

	(void)state;
	net_open(&n, NULL);
	mock_chip_free(n.h.chip); /* the same host with a slow bus */
	n.h.chip =
	    mock_chip_new(&opts, &(struct mock_host){bus_dma_read, gated_dma_write, bus_irq, &n.h});
	mock_chip_set_bus_master(n.h.chip, true);
	wr(&n.h, 0, CHIP_IMASK_HOST, CHIP_IMASK_ENABLE);
	assert_int_equal(control_hex(&n.h, 2, HEX_CLEAR), 0);
	add_app(&n, &(struct twist){0}, 1);
	enable(&n);
	dma_shut = true;
	queue_output(&n, 1);
	queue_input(&n, 1);
	while (!inside) {
		usleep(200);
		pthread_mutex_lock(&gate_lock);
		inside = dma_waiting;
		pthread_mutex_unlock(&gate_lock);
	}
	wr(&n.h, 4, CHIP_DOORBELL, CHIP_DOORBELL_DRIVER_DOWN);
	usleep(3000);
	assert_int_equal(rd(&n.h, 0, CHIP_ISTATUS_HOST) & CHIP_IRQ_DRIVER_DOWN, 0);
	pthread_mutex_lock(&gate_lock);
	dma_shut = false;
	pthread_cond_broadcast(&gate_cond);
	pthread_mutex_unlock(&gate_lock);
	wait_istatus(&n.h, CHIP_IRQ_DRIVER_DOWN);
	assert_int_equal(rd(&n.h, 2, CHIP_VDMA_HOST(16) + 4), 0);
	net_close(&n);
}

static void *free_later(void *arg)
{
	(void)arg;
	usleep(5000);
	gate(false);
	return NULL;
}

static void freed_during_an_inference(void **state)
{
	pthread_t opener;
	struct net n;

	(void)state;
	net_open(&n, NULL);
	enable(&n);
	gate(true);
	queue_output(&n, 1);
	queue_input(&n, 1);
	wait_in_core();
	assert_int_equal(pthread_create(&opener, NULL, free_later, NULL), 0);
	net_close(&n);
	pthread_join(opener, NULL);
}

static void bus_master_off_stops_the_flow(void **state)
{
	unsigned int reads;
	struct net n;

	(void)state;
	net_open(&n, NULL);
	enable(&n);
	one_frame(&n);
	mock_chip_set_bus_master(n.h.chip, false);
	reads = host_count(&n.h, &n.h.reads);
	mock_chip_write(n.h.chip, 2, 0x42, 4, 2);
	usleep(3000);
	assert_int_equal(host_count(&n.h, &n.h.reads), reads);
	mock_chip_write(n.h.chip, 2, 0x42, 2, 2);
	mock_chip_set_bus_master(n.h.chip, true);
	queue_output(&n, 3);
	queue_input(&n, 3);
	wait_output(&n, 2);
	expect_output(&n, 3);
	net_close(&n);
}

/* pcie 11.8: the same application with fast batch switch keeps its counters, otherwise they go. */
static void enabled_again_and_switched(void **state)
{
	struct net n;

	(void)state;
	net_open(&n, NULL);
	add_app(&n, &(struct twist){0}, 0);
	enable(&n);
	one_frame(&n);
	assert_int_equal(set_status(&n.h, 1, 0, 2), 0);
	assert_int_equal(rd(&n.h, 2, 0x44), 0x00020002);
	queue_output(&n, 2);
	queue_input(&n, 2);
	wait_output(&n, 2);
	expect_output(&n, 2);
	for (int i = 0; i < 2; i++) { /* another application; then itself without fast switch */
		assert_int_equal(set_status(&n.h, 1, 1, 0), 0);
		assert_int_equal(rd(&n.h, 2, 0x40), 0x00002801);
		assert_int_equal(rd(&n.h, 2, 0x44), 0);
		n.in_head = n.out_head = 0;
		one_frame(&n);
	}
	net_close(&n);
}

/* The second event waits until the host has taken the first out of the slot. */
static void events_wait_for_the_slot(void **state)
{
	struct mock_stats stats;
	struct net n;

	(void)state;
	net_open(&n, NULL);
	spoil_byte(&n);
	for (int i = 0; i < 3; i++) {
		enable(&n);
		while (set_status(&n.h, 1, 0, 1) != 0x4013003e) /* until it has failed */
			usleep(200);
		assert_int_equal(set_status(&n.h, 0, 255, 0), 0);
	}
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(rd(&n.h, 4, CHIP_MBOX_EVENT + 4 + 4), i); /* sequence */
		expect_event(&n, FW_STATUS_CONFIG_DONE_TIMEOUT, 2, 6);
	}
	mock_chip_stats(n.h.chip, &stats);
	assert_int_equal(stats.events, 3);
	net_close(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(refused_while_active),
	    cmocka_unit_test(stops_during_an_inference),
	    cmocka_unit_test(acknowledgement_comes_after_dma),
	    cmocka_unit_test(freed_during_an_inference),
	    cmocka_unit_test(bus_master_off_stops_the_flow),
	    cmocka_unit_test(enabled_again_and_switched),
	    cmocka_unit_test(events_wait_for_the_slot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
