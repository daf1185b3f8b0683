// SPDX-License-Identifier: MIT
/*
 * Several small networks on one chip in software: each answers in its own way, so that a frame that
 * went to another network shows.  Every control that concerns applications is noted in words.
 */
#ifndef TESTS_MOCK_SWITCH_RIG_H
#define TESTS_MOCK_SWITCH_RIG_H

#include <hwlayer/hwlayer.h>
#include <pthread.h>
#include <unistd.h>

#include "infer/infer.h"
#include "mock/mock.h"
#include "support/support.h"
#include "support/tamper.h"
#include "support/tinynet.h"

#define NETS 3
#define PATIENT_MS 20000u   /* for what has to happen; nothing is measured */
#define IMPATIENT_MS 1000u  /* for what cannot: as soon as the driver gives up at all */
#define FRAMES_MAX 512

struct rig {
	struct tamper *t;
	struct mock_chip *chip;
	struct hw_dev *dev;
	struct hw_net *net[NETS];
	struct hw_quant quant[NETS];
};

/* ----------------------------------------------------------------------------- controls */

/*
 * "reset", "clear", "header", "enable 1/4" (application 1, dynamic batch 4): in order, separated by
 * blanks; contexts and questions are left out.
 */
static struct {
	pthread_mutex_t lock;
	char text[8192];
	size_t len;
} story = {.lock = PTHREAD_MUTEX_INITIALIZER};

static inline void note_control(struct tamper *t, const uint8_t *req, size_t len, void *user)
{
	size_t room;

	(void)t;
	(void)user;
	pthread_mutex_lock(&story.lock);
	room = sizeof(story.text) - story.len;
	switch (tamper_opcode(req)) {
	case FW_CHANGE_CONTEXT_SWITCH_STATUS:
		assert_int_equal(len, 42);
		if (req[24] == FW_SWITCH_RESET)
			story.len += (size_t)snprintf(story.text + story.len, room, "reset ");
		else
			story.len += (size_t)snprintf(story.text + story.len, room, "enable %u/%u ",
						      req[29], get_le16(req + 34));
		break;
	case FW_CLEAR_CONFIGURED_APPS:
		story.len += (size_t)snprintf(story.text + story.len, room, "clear ");
		break;
	case FW_SET_NETWORK_GROUP_HEADER:
		story.len += (size_t)snprintf(story.text + story.len, room, "header ");
		break;
	default:
		break;
	}
	assert_true(story.len < sizeof(story.text));
	pthread_mutex_unlock(&story.lock);
}

/* What was asked of the firmware since the last time. */
static inline void assert_story(const char *want)
{
	pthread_mutex_lock(&story.lock);
	if (story.len && story.text[story.len - 1] == ' ')
		story.text[--story.len] = 0;
	assert_string_equal(story.text, want);
	story.len = 0;
	story.text[0] = 0;
	pthread_mutex_unlock(&story.lock);
}

static inline void forget_story(void)
{
	pthread_mutex_lock(&story.lock);
	story.len = 0;
	story.text[0] = 0;
	pthread_mutex_unlock(&story.lock);
}

/* --------------------------------------------------------------------- device and networks */

static inline void open_rig(struct rig *rig)
{
	struct chip_boot_options boot = {0};
	struct hw_error err = {0};

	*rig = (struct rig){.t = tamper_new(NULL)};
	rig->chip = tamper_chip(rig->t);
	forget_story();
	rig->t->on_control = note_control;
	assert_ok(infer_dev_open(&rig->t->be, &boot, false, &rig->dev, &err), &err);
}

static inline int try_load(struct rig *rig, unsigned int which, const struct hw_net_options *o,
			   struct hw_error *err)
{
	char name[16];
	size_t len;
	uint8_t *hef;
	int r;

	snprintf(name, sizeof(name), "net%u", which);
	hef = tiny_hef(name, 1.0f, which + 1, &len);
	r = hw_net_load_mem(rig->dev, hef, len, o, &rig->net[which], err);
	free(hef);
	if (r == 0)
		rig->quant[which] = hw_net_outputs(rig->net[which], &len)->quant;
	return r;
}

static inline void load(struct rig *rig, unsigned int which, const struct hw_net_options *o)
{
	struct hw_error err = {0};

	assert_ok(try_load(rig, which, o, &err), &err);
}

static const struct hw_net_options in_turns = {.take_turns = true};

static inline void drop(struct rig *rig, unsigned int which)
{
	hw_net_free(rig->net[which]);
	rig->net[which] = NULL;
}

/* Frees what is left, and looks that nothing stays behind. */
static inline void close_rig(struct rig *rig)
{
	for (unsigned int i = 0; i < NETS; i++)
		drop(rig, i);
	assert_int_equal(backend_mock_dma_bytes(rig->t->below), 0);
	hw_dev_close(rig->dev);
}

static inline void order(struct rig *rig, const char *spec)
{
	char why[160] = "";

	if (mock_chip_set_fault(rig->chip, spec, why, sizeof(why)) < 0)
		fail_msg("%s: %s", spec, why);
}

/* ------------------------------------------------------------------------------- frames */

struct frame {
	unsigned int which;
	uint8_t in[TINY_IN], out[TINY_OUT];
	unsigned int calls, place; /* among all that were answered */
	int status;
	char text[480];
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned int taken, answered;
	struct frame f[FRAMES_MAX];
} crowd = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};

static inline void empty_crowd(void)
{
	memset(crowd.f, 0, sizeof(crowd.f));
	crowd.taken = crowd.answered = 0;
}

static inline void frame_done(int status, const struct hw_error *err, void *user)
{
	struct frame *f = user;

	pthread_mutex_lock(&crowd.lock);
	f->status = status;
	f->calls++;
	f->place = crowd.answered++;
	if (err)
		memcpy(f->text, err->text, sizeof(f->text));
	pthread_cond_broadcast(&crowd.cond);
	pthread_mutex_unlock(&crowd.lock);
}

static inline void fill(uint8_t in[TINY_IN], unsigned int seed)
{
	for (unsigned int k = 0; k < TINY_IN; k++)
		in[k] = (uint8_t)(seed * 37 + k * 29 + 5);
}

static inline bool right(const struct rig *rig, unsigned int which, const uint8_t in[TINY_IN],
			 const uint8_t out[TINY_OUT])
{
	for (unsigned int i = 0; i < TINY_OUT; i++) {
		if (abs(out[i] - tiny_want(in, i, which + 1, &rig->quant[which])) > 1)
			return false;
	}
	return true;
}

static inline int submit_as(struct rig *rig, unsigned int which, uint32_t timeout_ms, hw_done_fn done)
{
	struct frame *f = &crowd.f[crowd.taken++];
	const void *ins[] = {f->in};
	void *outs[] = {f->out};
	struct hw_submit s = {.inputs = ins, .outputs = outs, .timeout_ms = timeout_ms,
			      .done = done, .user = f};

	assert_true(crowd.taken <= FRAMES_MAX);
	f->which = which;
	fill(f->in, crowd.taken);
	return hw_net_submit(rig->net[which], &s, NULL);
}

static inline void submit(struct rig *rig, unsigned int which, uint32_t timeout_ms)
{
	assert_int_equal(submit_as(rig, which, timeout_ms, frame_done), 0);
}

static inline void wait_answers(unsigned int n)
{
	pthread_mutex_lock(&crowd.lock);
	while (crowd.answered < n)
		pthread_cond_wait(&crowd.cond, &crowd.lock);
	pthread_mutex_unlock(&crowd.lock);
}

/* One frame, waiting for it; its own answer, or what went wrong. */
static inline int once(struct rig *rig, unsigned int which, uint32_t timeout_ms, struct hw_error *err)
{
	static unsigned int seed;
	uint8_t in[TINY_IN], out[TINY_OUT] = {0};
	const void *ins[] = {in};
	void *outs[] = {out};
	int r;

	fill(in, ++seed);
	r = hw_net_run(rig->net[which], ins, outs, timeout_ms, err);
	if (r == 0 && !right(rig, which, in, out))
		fail_msg("network %u gave a wrong answer", which);
	return r;
}

static inline void works(struct rig *rig, unsigned int which)
{
	struct hw_error err = {0};

	for (unsigned int i = 0; i < 3; i++)
		assert_ok(once(rig, which, PATIENT_MS, &err), &err);
	assert_int_equal(hw_net_state(rig->net[which], NULL), 0);
}

static inline void is_dead(struct rig *rig, unsigned int which, int code, const char *words)
{
	uint64_t until = util_now_ms() + PATIENT_MS;
	struct hw_error err = {0};

	/* Its frames' own deadlines may be over a moment before it is given up. */
	while (!hw_net_state(rig->net[which], &err) && util_now_ms() < until)
		usleep(1000);
	assert_int_equal(err.code, code);
	if (!strstr(err.text, words))
		fail_msg("'%s' is not said in: %s", words, err.text);
	assert_int_equal(once(rig, which, PATIENT_MS, NULL), code);
}

/* --------------------------------------------------------------------------------- gate */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool reached, open;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};

/* A callback that keeps the device's thread busy until it is told to go on. */
static inline void hold_owner(int status, const struct hw_error *err, void *user)
{
	frame_done(status, err, user);
	pthread_mutex_lock(&gate.lock);
	gate.reached = true;
	pthread_cond_broadcast(&gate.cond);
	while (!gate.open)
		pthread_cond_wait(&gate.cond, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
}

static inline void hold(struct rig *rig, unsigned int which)
{
	gate.reached = gate.open = false;
	assert_int_equal(submit_as(rig, which, PATIENT_MS, hold_owner), 0);
	pthread_mutex_lock(&gate.lock);
	while (!gate.reached)
		pthread_cond_wait(&gate.cond, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
}

static inline void let_go(void)
{
	pthread_mutex_lock(&gate.lock);
	gate.open = true;
	pthread_cond_broadcast(&gate.cond);
	pthread_mutex_unlock(&gate.lock);
}

#endif
