// SPDX-License-Identifier: MIT
#include "support/rig.h"

#include <unistd.h>

#include "support/support.h"

void order_fault(struct mock_chip *chip, const char *spec)
{
	char why[160] = "";

	if (mock_chip_set_fault(chip, spec, why, sizeof(why)) < 0)
		fail_msg("%s: %s", spec, why);
}

/* ------------------------------------------------------------------------------- frames */

void crowd_empty(struct crowd *c)
{
	for (unsigned int i = 0; i < c->n; i++) {
		for (unsigned int s = 0; s < STREAMS_MAX; s++) {
			free(c->f[i].in[s]);
			free(c->f[i].out[s]);
		}
	}
	memset(c->f, 0, sizeof(c->f));
	c->n = c->answered = 0;
}

struct frame *crowd_add(struct crowd *c)
{
	assert_true(c->n < FRAMES_MAX);
	c->f[c->n].crowd = c;
	return &c->f[c->n++];
}

struct frame *crowd_add_tiny(struct crowd *c, unsigned int seed)
{
	struct frame *f = crowd_add(c);

	f->in[0] = malloc(TINY_IN);
	f->out[0] = calloc(1, TINY_OUT);
	assert_true(f->in[0] && f->out[0]);
	tiny_fill(f->in[0], seed);
	return f;
}

unsigned int crowd_answered(struct crowd *c)
{
	unsigned int n;

	pthread_mutex_lock(&c->lock);
	n = c->answered;
	pthread_mutex_unlock(&c->lock);
	return n;
}

void crowd_wait(struct crowd *c, unsigned int n)
{
	uint64_t until = util_now_ms() + GIVE_UP_MS;

	while (crowd_answered(c) < n && util_now_ms() < until)
		usleep(200);
	if (crowd_answered(c) < n)
		fail_msg("%u of %u frames were never answered", n - crowd_answered(c), n);
}

uint8_t *frame_bytes(size_t n, uint32_t seed)
{
	uint8_t *b = malloc(n);

	assert_non_null(b);
	for (size_t i = 0; i < n; i++)
		b[i] = (uint8_t)((i * 2654435761u + seed * 40503u) >> 13);
	return b;
}

void frame_done(int status, const struct hw_error *err, void *frame)
{
	struct frame *f = frame;
	struct crowd *c = f->crowd;

	pthread_mutex_lock(&c->lock);
	f->status = status;
	f->calls++;
	f->place = c->answered++;
	if (err)
		memcpy(f->text, err->text, sizeof(f->text));
	pthread_mutex_unlock(&c->lock);
}

static int submit(struct frame *f, struct hw_net *net, uint32_t timeout_ms, hw_done_fn done,
		  struct hw_error *err)
{
	struct hw_submit s = {.inputs = (const void *const *)f->in, .outputs = (void *const *)f->out,
			      .timeout_ms = timeout_ms, .done = done, .user = f};

	return hw_net_submit(net, &s, err);
}

int frame_submit(struct frame *f, struct hw_net *net, uint32_t timeout_ms, struct hw_error *err)
{
	return submit(f, net, timeout_ms, frame_done, err);
}

int frame_submit_patiently(struct frame *f, struct hw_net *net, uint32_t timeout_ms,
			   struct hw_error *err)
{
	uint64_t until = util_now_ms() + GIVE_UP_MS;
	int r;

	while ((r = frame_submit(f, net, timeout_ms, err)) == -EAGAIN && util_now_ms() < until)
		usleep(200);
	if (r == -EAGAIN)
		fail_msg("no slot came free, and the network did not die either");
	return r;
}

/* --------------------------------------------------------------------------------- gate */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool reached, open;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};

static void held_done(int status, const struct hw_error *err, void *frame)
{
	frame_done(status, err, frame);
	pthread_mutex_lock(&gate.lock);
	gate.reached = true;
	pthread_cond_broadcast(&gate.cond);
	while (!gate.open)
		pthread_cond_wait(&gate.cond, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
}

void owner_hold(struct frame *f, struct hw_net *net)
{
	gate.reached = gate.open = false;
	assert_int_equal(submit(f, net, PATIENT_MS, held_done, NULL), 0);
	pthread_mutex_lock(&gate.lock);
	while (!gate.reached)
		pthread_cond_wait(&gate.cond, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
}

void owner_let_go(void)
{
	pthread_mutex_lock(&gate.lock);
	gate.open = true;
	pthread_cond_broadcast(&gate.cond);
	pthread_mutex_unlock(&gate.lock);
}
