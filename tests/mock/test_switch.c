// SPDX-License-Identifier: MIT
/*
 * Several networks on one chip: each frame has its own network's answer whatever the order, nobody
 * starves, and the firmware is asked what protocol 5.9 says.
 */
#include "mock/switch_rig.h"

static void each_network_answers_for_itself(void **state)
{
	struct rig rig;

	(void)state;
	open_rig(&rig);
	for (unsigned int i = 0; i < NETS; i++)
		load(&rig, i, NULL);
	for (unsigned int i = 0; i < 12; i++)
		works(&rig, i * 2 % NETS);
	for (unsigned int i = 0; i < NETS; i++) {
		struct hw_net_stats s;

		hw_net_get_stats(rig.net[i], &s);
		assert_int_equal(s.completed, 12);
		assert_int_equal(s.failed, 0);
		assert_true(s.interrupts >= 12);
	}
	close_rig(&rig);
}

/* ----------------------------------------------------------------------------- protocol */

static void the_firmware_is_asked_in_the_order_of_the_protocol(void **state)
{
	struct rig rig;
	struct hw_error err = {0};

	(void)state;
	open_rig(&rig);
	/* Once for the device, not for each network; nothing is enabled before a frame comes. */
	load(&rig, 0, &in_turns);
	assert_story("reset clear header");
	load(&rig, 1, &in_turns);
	assert_story("header");
	/* No RESET in between; the scheduler's dynamic batch is 1. */
	assert_ok(once(&rig, 0, PATIENT_MS, &err), &err);
	assert_ok(once(&rig, 0, PATIENT_MS, &err), &err);
	assert_ok(once(&rig, 1, PATIENT_MS, &err), &err);
	assert_ok(once(&rig, 0, PATIENT_MS, &err), &err);
	assert_story("enable 0/1 enable 1/1 enable 0/1");
	/* Nothing is configured while an application is active. */
	load(&rig, 2, &in_turns);
	assert_story("reset header");
	assert_ok(once(&rig, 2, PATIENT_MS, &err), &err);
	assert_ok(once(&rig, 1, PATIENT_MS, &err), &err);
	assert_story("enable 2/1 enable 1/1");
	/* Only the one that has the chip needs to be stopped. */
	drop(&rig, 2);
	assert_story("");
	drop(&rig, 1);
	assert_story("reset");
	works(&rig, 0);
	assert_story("enable 0/1");
	close_rig(&rig);
	assert_story("reset reset clear");
}

static void a_network_that_starts_at_once_takes_the_chip(void **state)
{
	struct hw_net_options o = {.batch = 4, .dynamic_batch = 2};
	struct rig rig;

	(void)state;
	open_rig(&rig);
	load(&rig, 0, NULL);
	assert_story("reset clear header enable 0/0");
	load(&rig, 1, &o);
	assert_story("reset header enable 1/2");
	works(&rig, 1);
	assert_story("");
	works(&rig, 0);
	works(&rig, 1);
	assert_story("enable 0/0 enable 1/2");
	close_rig(&rig);
}

static void loading_waits_for_the_frames_on_the_chip(void **state)
{
	struct rig rig;

	(void)state;
	for (unsigned int round = 0; round < 10; round++) {
		crowd_empty(&crowd);
		open_rig(&rig);
		load(&rig, 0, NULL);
		for (unsigned int i = 0; i < 8; i++)
			submit(&rig, 0, PATIENT_MS);
		load(&rig, 1, NULL);
		crowd_wait(&crowd, 8);
		for (unsigned int i = 0; i < 8; i++) {
			assert_int_equal(crowd.f[i].status, 0);
			assert_true(came_right(&rig, &crowd.f[i]));
		}
		works(&rig, 0);
		works(&rig, 1);
		close_rig(&rig);
	}
}

/* -------------------------------------------------------------------------------- turns */

/* The networks of all answered frames, in the order of their answers: "0112". */
static void assert_order(const char *want)
{
	char got[FRAMES_MAX + 1] = "";

	for (unsigned int i = 0; i < crowd.n; i++) {
		assert_int_equal(crowd.f[i].status, 0);
		assert_int_equal(crowd.f[i].calls, 1);
		got[crowd.f[i].place] = (char)('0' + crowd.f[i].which);
	}
	assert_string_equal(got, want);
}

static void turns_are_a_batch_long_and_go_round(void **state)
{
	struct hw_net_options o = {.batch = 2, .frames_in_flight = 8, .take_turns = true};
	static const unsigned int waiting[] = {0, 0, 0, 0, 0, 2, 2, 2, 1, 1, 1};
	struct rig rig;

	(void)state;
	crowd_empty(&crowd);
	open_rig(&rig);
	for (unsigned int i = 0; i < NETS; i++)
		load(&rig, i, &o);
	forget_story();
	hold(&rig, 0); /* the first frame of its turn */
	for (size_t i = 0; i < ARRAY_SIZE(waiting); i++)
		submit(&rig, waiting[i], PATIENT_MS);
	owner_let_go();
	crowd_wait(&crowd, 1 + ARRAY_SIZE(waiting));
	/* Two of 0, then those who never had a turn, then whose turn is longest ago. */
	assert_order("00"
		     "11"
		     "22"
		     "00"
		     "1"
		     "2"
		     "00");
	assert_story("enable 0/1 enable 1/1 enable 2/1 enable 0/1 enable 1/1 enable 2/1 enable 0/1");
	/* Alone it keeps the chip for as long as it likes. */
	for (unsigned int i = 0; i < 8; i++)
		submit(&rig, 0, PATIENT_MS);
	crowd_wait(&crowd, 20);
	assert_story("");
	close_rig(&rig);
}

/* Its callback submits the next frame at once, so it always has some waiting. */
static struct rig *greedy_rig;
static bool greedy_enough;
static unsigned int greedy_frames, greedy_bad;

static void greedy_done(int status, const struct hw_error *err, void *user);

static int greedy_submit(void)
{
	static uint8_t in[TINY_IN], out[TINY_OUT];
	const void *ins[] = {in};
	void *outs[] = {out};
	struct hw_submit s = {.inputs = ins, .outputs = outs, .timeout_ms = PATIENT_MS,
			      .done = greedy_done};

	return hw_net_submit(greedy_rig->net[0], &s, NULL);
}

static void greedy_done(int status, const struct hw_error *err, void *user)
{
	bool enough;

	(void)err;
	(void)user;
	pthread_mutex_lock(&crowd.lock);
	greedy_bad += status != 0;
	enough = greedy_enough;
	greedy_frames += !enough;
	crowd.answered += enough;
	pthread_mutex_unlock(&crowd.lock);
	if (!enough)
		greedy_bad += greedy_submit() != 0;
}

/* It goes on until the other one has what it wants, so that one must not have to wait for its end. */
static void a_greedy_network_starves_nobody(void **state)
{
	struct rig rig;
	struct hw_error err = {0};

	(void)state;
	crowd_empty(&crowd);
	open_rig(&rig);
	load(&rig, 0, NULL);
	load(&rig, 1, NULL);
	greedy_rig = &rig;
	greedy_enough = false;
	greedy_frames = greedy_bad = 0;
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(greedy_submit(), 0);
	for (unsigned int i = 0; i < 20; i++)
		assert_ok(once(&rig, 1, PATIENT_MS, &err), &err);
	pthread_mutex_lock(&crowd.lock);
	greedy_enough = true;
	pthread_mutex_unlock(&crowd.lock);
	crowd_wait(&crowd, 4);
	assert_true(greedy_frames >= 19); /* nor did the other one starve it: one between any two */
	assert_int_equal(greedy_bad, 0);
	close_rig(&rig);
}

/* ------------------------------------------------------------------------------ threads */

struct worker {
	pthread_t thread;
	struct rig *rig;
	unsigned int which, id, frames;
	unsigned int bad;
};

static void *work(void *arg)
{
	struct worker *w = arg;

	for (unsigned int n = 0; n < w->frames; n++) {
		uint8_t in[TINY_IN], out[TINY_OUT] = {0};
		const void *ins[] = {in};
		void *outs[] = {out};

		tiny_fill(in, w->id * 1000 + n);
		w->bad += hw_net_run(w->rig->net[w->which], ins, outs, PATIENT_MS, NULL) < 0 ||
			  !right(w->rig, w->which, in, out);
	}
	return NULL;
}

static void many_threads_on_many_networks(void **state)
{
	struct worker w[3 * NETS];
	struct rig rig;

	(void)state;
	open_rig(&rig);
	for (unsigned int i = 0; i < NETS; i++) {
		struct hw_net_options o = {.batch = 1 + 3 * i, .frames_in_flight = 2 + i};

		load(&rig, i, &o);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(w); i++) {
		w[i] = (struct worker){.rig = &rig, .which = i % NETS, .id = i, .frames = 40};
		assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(w); i++) {
		pthread_join(w[i].thread, NULL);
		assert_int_equal(w[i].bad, 0);
	}
	close_rig(&rig);
}

/* One comes and goes while another works. */
static void loading_and_freeing_beside_a_network_at_work(void **state)
{
	struct rig rig;
	struct worker w = {.rig = &rig, .which = 0, .frames = 150};

	(void)state;
	open_rig(&rig);
	load(&rig, 0, NULL);
	assert_int_equal(pthread_create(&w.thread, NULL, work, &w), 0);
	/* More than the firmware has numbers for: everything is configured afresh on the way. */
	for (unsigned int i = 0; i < FW_APPS_MAX + 8; i++) {
		load(&rig, 1, i % 2 ? &in_turns : NULL);
		if (i % 3 == 0)
			assert_int_equal(once(&rig, 1, PATIENT_MS, NULL), 0);
		drop(&rig, 1);
	}
	pthread_join(w.thread, NULL);
	assert_int_equal(w.bad, 0);
	works(&rig, 0);
	close_rig(&rig);
}

/* ------------------------------------------------------------------------ coming and going */

static void networks_are_freed_in_any_order(void **state)
{
	static const unsigned int orders[][NETS] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
						    {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
	struct rig rig;

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(orders); k++) {
		crowd_empty(&crowd);
		open_rig(&rig);
		for (unsigned int i = 0; i < NETS; i++)
			load(&rig, i, k % 2 ? &in_turns : NULL);
		for (unsigned int i = 0; i < NETS; i++) {
			unsigned int gone = orders[k][i];

			for (unsigned int left = i; left < NETS; left++)
				works(&rig, orders[k][left]);
			submit(&rig, gone, PATIENT_MS); /* on its way, or waiting */
			drop(&rig, gone);
			crowd_wait(&crowd, i + 1);
			assert_true(!crowd.f[i].status || crowd.f[i].status == -ECANCELED);
		}
		close_rig(&rig);
	}
}

static void closing_the_device_frees_all(void **state)
{
	struct rig rig;

	(void)state;
	crowd_empty(&crowd);
	open_rig(&rig);
	for (unsigned int i = 0; i < NETS; i++) {
		load(&rig, i, NULL);
		submit(&rig, i, PATIENT_MS);
	}
	hw_dev_close(rig.dev);
	assert_int_equal(crowd.answered, NETS);
	for (unsigned int i = 0; i < NETS; i++)
		assert_int_equal(crowd.f[i].calls, 1);
}

static void as_many_as_the_firmware_has_numbers_for(void **state)
{
	struct hw_net_options o = {.take_turns = true, .frames_in_flight = 1};
	struct hw_dev_options d = {.device = "mock"};
	struct hw_net *net[FW_APPS_MAX], *more = NULL;
	struct hw_error err = {0};
	struct hw_dev *dev;
	struct rig rig = {0};
	size_t len;
	uint8_t *hef;

	(void)state;
	assert_ok(hw_dev_open(&d, &dev, &err), &err);
	for (unsigned int i = 0; i < FW_APPS_MAX; i++) {
		hef = tiny_hef("one of many", 1.0f, 1 + i % NETS, &len);
		assert_ok(hw_net_load_mem(dev, hef, len, &o, &net[i], &err), &err);
		free(hef);
		rig.quant[i % NETS] = hw_net_outputs(net[i], &len)->quant;
	}
	hef = tiny_hef("one too many", 1.0f, 1, &len);
	assert_int_equal(hw_net_load_mem(dev, hef, len, &o, &more, &err), -EBUSY);
	assert_non_null(strstr(err.text, "32 networks"));
	assert_null(more);
	for (unsigned int i = 0; i < FW_APPS_MAX; i++) {
		rig.net[0] = rig.net[1] = rig.net[2] = net[i * 7 % FW_APPS_MAX];
		assert_ok(once(&rig, i * 7 % FW_APPS_MAX % NETS, PATIENT_MS, &err), &err);
	}
	hw_net_free(net[5]);
	assert_ok(hw_net_load_mem(dev, hef, len, &o, &net[5], &err), &err);
	rig.net[0] = net[5];
	works(&rig, 0);
	rig.net[1] = net[4];
	works(&rig, 1);
	free(hef);
	for (unsigned int i = 0; i < FW_APPS_MAX; i++)
		hw_net_free(net[i]);
	hw_dev_close(dev);
}

static void suspend_and_reset_end_all_of_them(void **state)
{
	struct hw_error err = {0};
	struct rig rig;

	(void)state;
	open_rig(&rig);
	for (int round = 0; round < 2; round++) {
		for (unsigned int i = 0; i < NETS; i++)
			load(&rig, i, NULL);
		works(&rig, 0);
		if (round)
			assert_ok(hw_dev_suspend(rig.dev, &err), &err);
		else
			assert_ok(hw_dev_reset(rig.dev, &err), &err);
		for (unsigned int i = 0; i < NETS; i++)
			is_dead(&rig, i, -ECANCELED, round ? "suspended" : "reset");
		forget_story();
		for (unsigned int i = 0; i < NETS; i++)
			drop(&rig, i);
		assert_story("");
		assert_int_equal(backend_mock_dma_bytes(rig.t->below), 0);
		assert_ok(hw_dev_resume(rig.dev, &err), &err);
	}
	for (unsigned int i = 0; i < NETS; i++)
		load(&rig, i, NULL);
	for (unsigned int i = 0; i < NETS; i++)
		works(&rig, i);
	close_rig(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_network_answers_for_itself),
		cmocka_unit_test(the_firmware_is_asked_in_the_order_of_the_protocol),
		cmocka_unit_test(a_network_that_starts_at_once_takes_the_chip),
		cmocka_unit_test(loading_waits_for_the_frames_on_the_chip),
		cmocka_unit_test(turns_are_a_batch_long_and_go_round),
		cmocka_unit_test(a_greedy_network_starves_nobody),
		cmocka_unit_test(many_threads_on_many_networks),
		cmocka_unit_test(loading_and_freeing_beside_a_network_at_work),
		cmocka_unit_test(networks_are_freed_in_any_order),
		cmocka_unit_test(closing_the_device_frees_all),
		cmocka_unit_test(as_many_as_the_firmware_has_numbers_for),
		cmocka_unit_test(suspend_and_reset_end_all_of_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
