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
#include "support/rig.h"
#include "support/support.h"
#include "support/tamper.h"

#define NETS 3

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
	order_fault(rig->chip, spec);
}

/* ------------------------------------------------------------------------------- frames */

static struct crowd crowd = CROWD_INITIALIZER;

static inline bool right(const struct rig *rig, unsigned int which, const uint8_t in[TINY_IN],
			 const uint8_t out[TINY_OUT])
{
	return tiny_right(in, out, which + 1, &rig->quant[which]);
}

static inline bool came_right(const struct rig *rig, const struct frame *f)
{
	return right(rig, f->which, f->in[0], f->out[0]);
}

static inline struct frame *add_frame(unsigned int which)
{
	struct frame *f = crowd_add_tiny(&crowd, crowd.n);

	f->which = which;
	return f;
}

static inline int try_submit(struct rig *rig, unsigned int which, uint32_t timeout_ms)
{
	return frame_submit(add_frame(which), rig->net[which], timeout_ms, NULL);
}

static inline void submit(struct rig *rig, unsigned int which, uint32_t timeout_ms)
{
	assert_int_equal(try_submit(rig, which, timeout_ms), 0);
}

/* The device's thread stays with a frame of @which until owner_let_go(). */
static inline void hold(struct rig *rig, unsigned int which)
{
	owner_hold(add_frame(which), rig->net[which]);
}

/* One frame, waiting for it; its own answer, or what went wrong. */
static inline int once(struct rig *rig, unsigned int which, uint32_t timeout_ms, struct hw_error *err)
{
	static unsigned int seed;
	uint8_t in[TINY_IN], out[TINY_OUT] = {0};
	const void *ins[] = {in};
	void *outs[] = {out};
	int r;

	tiny_fill(in, ++seed);
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
	assert_words(err.text, words);
	assert_int_equal(once(rig, which, PATIENT_MS, NULL), code);
}

#endif
