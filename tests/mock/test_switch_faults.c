// SPDX-License-Identifier: MIT
/*
 * Several networks on one chip, and something goes wrong with one of them: it dies of it with a
 * sentence, the others work on with right answers, and it can be loaded again.
 */
#include "mock/switch_rig.h"
#include "support/journal.h"

static void open_pair(struct rig *rig)
{
	crowd_empty(&crowd);
	open_rig(rig);
	load(rig, 0, NULL);
	load(rig, 1, NULL);
	works(rig, 1);
	works(rig, 0);
	forget_story();
}

static void loads_again(struct rig *rig, unsigned int which)
{
	drop(rig, which);
	load(rig, which, NULL);
	works(rig, which);
	works(rig, !which);
	close_rig(rig);
}

/* A frame of network 0 that is on the chip, or was, before another one is submitted. */
static void launch(struct rig *rig, uint32_t timeout_ms)
{
	unsigned int at = crowd.n;
	struct hw_net_stats s = {0};
	bool answered = false;

	submit(rig, 0, timeout_ms);
	while (!s.in_flight && !answered) {
		usleep(200);
		hw_net_get_stats(rig->net[0], &s);
		pthread_mutex_lock(&crowd.lock);
		answered = crowd.f[at].calls;
		pthread_mutex_unlock(&crowd.lock);
	}
}

/* Those of network 1 that wait while 0 has the chip. */
static void wait_behind(struct rig *rig, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		submit(rig, 1, PATIENT_MS);
}

static void assert_came(struct rig *rig, unsigned int from, unsigned int n)
{
	for (unsigned int i = from; i < from + n; i++) {
		assert_int_equal(crowd.f[i].calls, 1);
		assert_int_equal(crowd.f[i].status, 0);
		assert_true(came_right(rig, &crowd.f[i]));
	}
}

static void a_stuck_network_is_given_up_and_the_next_one_runs(void **state)
{
	struct rig rig;

	(void)state;
	open_pair(&rig);
	order(&rig, "channel-stuck=16");
	launch(&rig, IMPATIENT_MS);
	wait_behind(&rig, 4);
	crowd_wait(&crowd, 5);
	assert_int_equal(crowd.f[0].status, -ETIMEDOUT);
	assert_came(&rig, 1, 4);
	is_dead(&rig, 0, -ETIMEDOUT, "stuck");
	/* Stopped, and since it died, configured afresh without it. */
	assert_story("reset reset clear header enable 0/0");
	works(&rig, 1);
	loads_again(&rig, 0);
}

static void a_run_time_error_concerns_its_own_network(void **state)
{
	struct rig rig;

	(void)state;
	open_pair(&rig);
	order(&rig, "ctx-error");
	launch(&rig, PATIENT_MS);
	wait_behind(&rig, 4);
	crowd_wait(&crowd, 5);
	assert_int_equal(crowd.f[0].status, -EIO);
	assert_came(&rig, 1, 4);
	is_dead(&rig, 0, -EIO, "the firmware stopped the network at");
	loads_again(&rig, 0);
}

static int event_job(struct hw_dev *dev, void *ev, struct hw_error *err)
{
	(void)err;
	infer_event(ev, dev);
	return 0;
}

/* Event 12 names an application: the network that has the chip may be another one. */
static void a_late_event_finds_whom_it_names(void **state)
{
	struct chip_event ev = {.id = FW_EVENT_RUN_TIME_ERROR, .status = 0x4013007c};
	struct rig rig;

	(void)state;
	open_pair(&rig);
	works(&rig, 1);
	ev.app = rig.net[0]->plan->app;
	infer_call(rig.dev, event_job, &ev, NULL);
	is_dead(&rig, 0, -EIO, "the firmware stopped the network at");
	works(&rig, 1);
	ev.app = 77; /* nobody's: it must be of the one that has the chip */
	infer_call(rig.dev, event_job, &ev, NULL);
	is_dead(&rig, 1, -EIO, "the firmware stopped the network at");
	close_rig(&rig);
}

static void die_of_enabled(struct tamper *t, const uint8_t *req, size_t len, void *dev)
{
	struct chip_event ev = {.id = FW_EVENT_RUN_TIME_ERROR, .status = 0x4013007c, .app = 77};

	note_control(t, req, len, NULL);
	if (tamper_opcode(req) == FW_CHANGE_CONTEXT_SWITCH_STATUS && req[24] != FW_SWITCH_RESET)
		infer_event(&ev, dev);
}

/* The log does not call a network running that is dead before it is loaded. */
static void one_that_dies_as_it_is_started(void **state)
{
	struct rig rig;

	(void)state;
	journal_begin(HW_LOG_INFO);
	open_rig(&rig);
	load(&rig, 0, NULL);
	assert_int_equal(logged("network net0 is running"), 1);
	rig.t->on_control = die_of_enabled;
	rig.t->user = rig.dev;
	load(&rig, 1, NULL);
	rig.t->on_control = note_control;
	assert_int_equal(logged("network net1 is dead: the firmware stopped the network at"), 1);
	assert_int_equal(logged("network net1 is running"), 0);
	is_dead(&rig, 1, -EIO, "the firmware stopped the network at");
	close_rig(&rig);
	journal_end();
}

static void dma_errors_and_lying_counters(void **state)
{
	static const char *const faults[] = {"desc-error=16", "completion-wrong=ahead"};
	struct rig rig;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		open_pair(&rig);
		order(&rig, faults[i]);
		launch(&rig, PATIENT_MS);
		wait_behind(&rig, 2);
		crowd_wait(&crowd, 3);
		assert_int_equal(crowd.f[0].status, -EIO);
		assert_came(&rig, 1, 2);
		is_dead(&rig, 0, -EIO, "output");
		loads_again(&rig, 0);
	}
}

/* ------------------------------------------------------------------- the switch itself fails */

static void a_refused_switch(void **state)
{
	struct rig rig;
	struct hw_error err = {0};

	(void)state;
	open_pair(&rig);
	order(&rig, "control-error=1:0x40130037");
	assert_int_equal(once(&rig, 1, PATIENT_MS, &err), -EIO);
	assert_non_null(strstr(err.text, "giving it the chip"));
	assert_non_null(strstr(err.text, "0x40130037"));
	is_dead(&rig, 1, -EIO, "giving it the chip");
	/* Who had the chip before is unhurt: stopped to be safe, configured afresh. */
	assert_story("enable 1/0 reset");
	works(&rig, 0);
	assert_story("reset clear header enable 0/0");
	loads_again(&rig, 1);
}

static void a_switch_that_is_not_answered(void **state)
{
	struct rig rig;
	struct hw_error err = {0};

	(void)state;
	open_pair(&rig);
	order(&rig, "control-silent=37");
	assert_int_equal(once(&rig, 1, PATIENT_MS, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.text, "did not answer"));
	is_dead(&rig, 1, -ETIMEDOUT, "giving it the chip");
	works(&rig, 0);
	loads_again(&rig, 1);
}

static void a_network_that_cannot_be_configured_again(void **state)
{
	struct rig rig;

	(void)state;
	open_pair(&rig);
	load(&rig, 2, NULL);
	works(&rig, 0);
	order(&rig, "ctx-error");
	launch(&rig, PATIENT_MS);
	crowd_wait(&crowd, 1);
	is_dead(&rig, 0, -EIO, "the firmware stopped the network at");
	/* RESET, RESET, CLEAR, then the first header, which would be network 1's. */
	order(&rig, "control-error=4:0x4013007a");
	works(&rig, 2);
	is_dead(&rig, 1, -EIO, "configuring it again");
	works(&rig, 2);
	drop(&rig, 0);
	drop(&rig, 1);
	load(&rig, 1, NULL);
	works(&rig, 1);
	works(&rig, 2);
	close_rig(&rig);
}

/* ------------------------------------------------------------------------ loading one more */

static void a_refused_load_leaves_the_others_alone(void **state)
{
	struct rig rig;
	struct hw_error err = {0};
	int r;

	(void)state;
	open_pair(&rig);
	/* 51 and 72 ask; RESET; the header is taken, the first context is not. */
	order(&rig, "control-error=5:0x4013007a");
	r = try_load(&rig, 2, NULL, &err);
	assert_int_equal(r, -EIO);
	assert_non_null(strstr(err.text, "0x4013007a"));
	assert_null(rig.net[2]);
	assert_story("reset header");
	/* There is half an application, so nothing is relied on. */
	works(&rig, 1);
	assert_story("reset clear header header enable 1/0");
	works(&rig, 0);
	load(&rig, 2, NULL);
	works(&rig, 2);
	close_rig(&rig);
}

static void room_is_made_of_networks_that_are_gone(void **state)
{
	struct rig rig;

	(void)state;
	open_pair(&rig);
	drop(&rig, 1);
	forget_story();
	works(&rig, 0);
	order(&rig, "control-error=4:0x4013007a");
	load(&rig, 2, NULL);
	assert_story("reset header reset clear header header enable 1/0");
	works(&rig, 0);
	works(&rig, 2);
	close_rig(&rig);
}

/* ------------------------------------------------------------------------- the whole chip */

static void all_die_when(const char *fault, int code, const char *words, int first, const char *words0)
{
	struct rig rig;
	struct hw_error err = {0};
	uint64_t until;
	int refused;

	open_pair(&rig);
	order(&rig, fault);
	launch(&rig, IMPATIENT_MS);
	/* It may have died already, or go through before the firmware speaks. */
	refused = try_submit(&rig, 1, PATIENT_MS);
	crowd_wait(&crowd, refused ? 1 : 2);
	assert_true(refused == 0 || refused == code);
	is_dead(&rig, 1, code, words);
	is_dead(&rig, 0, first, words0);
	drop(&rig, 0);
	drop(&rig, 1);
	assert_int_equal(backend_mock_dma_bytes(rig.t->below), 0);
	mock_chip_clear_fault(rig.chip, NULL);
	until = util_now_ms() + PATIENT_MS;
	assert_ok(hw_dev_reset(rig.dev, &err), &err);
	while (try_load(&rig, 0, NULL, &err) < 0 && strstr(err.text, "too hot") && util_now_ms() < until)
		usleep(1000); /* it cools down */
	assert_non_null(rig.net[0]);
	load(&rig, 1, NULL);
	works(&rig, 0);
	works(&rig, 1);
	close_rig(&rig);
}

static void faults_of_the_whole_chip_end_all(void **state)
{
	(void)state;
	all_die_when("removed@frame=1", -ENODEV, "does not answer", -ENODEV, "does not answer");
	all_die_when("overheat=1:100@frame=1", -EIO, "too hot", -EIO, "too hot");
	all_die_when("ecc-fatal@frame=1", -EIO, "memory", -EIO, "memory");
	all_die_when("fw-crash@frame=1", -EIO, "cut off", -ETIMEDOUT, "crashed");
}

/* ---------------------------------------------------------------------------- deadlines */

static void a_frame_may_miss_its_deadline_before_its_turn(void **state)
{
	struct rig rig;

	(void)state;
	open_pair(&rig);
	order(&rig, "channel-stuck=16");
	launch(&rig, PATIENT_MS);
	submit(&rig, 1, 50);
	crowd_wait(&crowd, 1);
	assert_int_equal(crowd.f[1].status, -ETIMEDOUT);
	assert_non_null(strstr(crowd.f[1].text, "waited for the chip, which network net0 had"));
	assert_int_equal(hw_net_state(rig.net[1], NULL), 0);
	/* Its slot is free again, and a later frame gets its turn when the stuck one is gone. */
	submit(&rig, 1, PATIENT_MS);
	drop(&rig, 0);
	crowd_wait(&crowd, 3);
	assert_int_equal(crowd.f[0].status, -ECANCELED);
	assert_came(&rig, 2, 1);
	works(&rig, 1);
	close_rig(&rig);
}

static void a_network_is_freed_while_it_waits_for_its_turn(void **state)
{
	struct rig rig;

	(void)state;
	open_pair(&rig);
	order(&rig, "channel-stuck=16");
	launch(&rig, PATIENT_MS);
	wait_behind(&rig, 3);
	drop(&rig, 1);
	crowd_wait(&crowd, 3);
	for (unsigned int i = 1; i < 4; i++)
		assert_int_equal(crowd.f[i].status, -ECANCELED);
	drop(&rig, 0);
	load(&rig, 0, NULL);
	works(&rig, 0);
	close_rig(&rig);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stuck_network_is_given_up_and_the_next_one_runs),
		cmocka_unit_test(a_run_time_error_concerns_its_own_network),
		cmocka_unit_test(a_late_event_finds_whom_it_names),
		cmocka_unit_test(one_that_dies_as_it_is_started),
		cmocka_unit_test(dma_errors_and_lying_counters),
		cmocka_unit_test(a_refused_switch),
		cmocka_unit_test(a_switch_that_is_not_answered),
		cmocka_unit_test(a_network_that_cannot_be_configured_again),
		cmocka_unit_test(a_refused_load_leaves_the_others_alone),
		cmocka_unit_test(room_is_made_of_networks_that_are_gone),
		cmocka_unit_test(faults_of_the_whole_chip_end_all),
		cmocka_unit_test(a_frame_may_miss_its_deadline_before_its_turn),
		cmocka_unit_test(a_network_is_freed_while_it_waits_for_its_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
