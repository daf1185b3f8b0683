// SPDX-License-Identifier: MIT
#include "engine.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine_internal.h"
#include "log.h"

#define NS_PER_MS 1000000ull
#define STARVED_NS (2 * NS_PER_MS)
/* A frame that a healthy chip has had this long is lost, however short a client's patience is: a
 * tight BACKEND_TIMEOUT_MS must not reset the chip. */
#define FRAME_TIMEOUT_MIN_MS 1000

uint64_t engine_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

/* -------------------------------------------------------------------- jobs */

static void list_append(struct job_list *l, struct job *job)
{
	job->next = NULL;
	job->prev = l->tail;
	if (l->tail)
		l->tail->next = job;
	else
		l->head = job;
	l->tail = job;
	l->count++;
}

static void list_prepend(struct job_list *l, struct job *job)
{
	job->prev = NULL;
	job->next = l->head;
	if (l->head)
		l->head->prev = job;
	else
		l->tail = job;
	l->head = job;
	l->count++;
}

static void list_remove(struct job_list *l, struct job *job)
{
	if (job->prev)
		job->prev->next = job->next;
	else
		l->head = job->next;
	if (job->next)
		job->next->prev = job->prev;
	else
		l->tail = job->prev;
	job->next = job->prev = NULL;
	l->count--;
}

struct job *job_new(struct engine *e)
{
	size_t motifs = e->model->source == MOTIFS_HEAD ? e->model->motifs : 0;
	struct job *job = calloc(1, sizeof(*job) + motifs * sizeof(float));

	if (!job)
		return NULL;
	job->engine = e;
	job->head = motifs ? (float *)(job + 1) : NULL;
	job->refs = 1;
	return job;
}

void job_put(struct job *job)
{
	if (__atomic_sub_fetch(&job->refs, 1, __ATOMIC_ACQ_REL))
		return;
	free(job->scratch);
	free(job);
}

static void job_get(struct job *job)
{
	__atomic_add_fetch(&job->refs, 1, __ATOMIC_RELAXED);
}

void engine_answer(struct wakes *w, struct job *job, int status, const char *fmt, ...)
{
	va_list ap;

	if (job->answered)
		return;
	job->answered = true;
	job->status = status;
	va_start(ap, fmt);
	vsnprintf(job->detail, sizeof(job->detail), fmt, ap);
	va_end(ap);
	job_get(job);
	job->next_wake = w->head;
	w->head = job;
}

void engine_wake(struct wakes *w)
{
	while (w->head) {
		struct job *job = w->head;

		w->head = job->next_wake;
		job->wake(job->arg);
		job_put(job);
	}
}

void engine_flush(struct engine *e, struct wakes *w, int status, const char *why)
{
	struct job *job;

	while ((job = e->queue.head)) {
		list_remove(&e->queue, job);
		engine_answer(w, job, status, "%s", why);
		job_put(job);
	}
}

/* -------------------------------------------------------------- submission */

static void suspect(struct engine *e)
{
	e->suspect = true;
	pthread_cond_signal(&e->keeper_cv);
}

/* On the device's thread. */
static void frame_done(int status, const struct hw_error *err, void *user)
{
	struct job *job = user;
	struct engine *e = job->engine;
	struct wakes w = {0};
	const char *why = err && err->text[0] ? err->text : strerror(-status);

	pthread_mutex_lock(&e->lock);
	list_remove(&e->flight, job);
	e->starved = false;
	if (status == 0)
		engine_answer(&w, job, 0, " ");
	else if (status == -ETIMEDOUT || (status == -ECANCELED && e->death == -ETIMEDOUT))
		engine_answer(&w, job, -ETIMEDOUT, "The accelerator did not answer in time: %s",
			      status == -ECANCELED ? e->detail : why);
	else if (status == -ECANCELED)
		engine_answer(&w, job, -EIO, "%s", e->detail[0] ? e->detail : why);
	else
		engine_answer(&w, job, -EIO, "The accelerator failed: %s", why);
	if (status && status != -ECANCELED)
		suspect(e);
	pthread_mutex_unlock(&e->lock);
	job_put(job);
	engine_pump(e);
	engine_wake(&w);
}

static int start_frame(struct engine *e, struct job *job, struct hw_error *err)
{
	const void *inputs[1] = {job->input};
	void *outputs[ENGINE_OUTPUTS];
	struct hw_submit frame = {
	    .inputs = inputs,
	    .outputs = outputs,
	    .done = frame_done,
	    .user = job,
	};
	char *scratch;

	if (e->scratch_bytes && !job->scratch) {
		job->scratch = malloc(e->scratch_bytes);
		if (!job->scratch)
			return -ENOMEM;
	}
	scratch = job->scratch;
	for (size_t i = 0; i < e->n_outputs; i++) {
		if ((int)i == e->outputs.latent) {
			outputs[i] = job->latent;
		} else if ((int)i == e->outputs.scores) {
			outputs[i] = job->head;
		} else {
			outputs[i] = scratch;
			scratch += e->output_bytes[i];
		}
	}
	frame.timeout_ms =
	    e->cfg->timeout_ms > FRAME_TIMEOUT_MIN_MS ? e->cfg->timeout_ms : FRAME_TIMEOUT_MIN_MS;
	return hw_net_submit(e->net, &frame, err);
}

/* Under the lock: hw_net_submit() refused @job. */
static void frame_refused(struct engine *e, struct job *job, int r, const struct hw_error *err,
			  struct wakes *w)
{
	list_remove(&e->flight, job);
	if (r == -EAGAIN && !job->answered) {
		/* Our count of free slots ran ahead of the library's. */
		list_prepend(&e->queue, job);
		e->starved = true;
		pthread_cond_signal(&e->clock_cv);
		return;
	}
	if (r == -EIO || r == -ENODEV || r == -ETIMEDOUT)
		suspect(e);
	engine_answer(w, job, r == -ENOMEM ? -ENOMEM : -EIO, "The accelerator failed: %s",
		      err->text[0] ? err->text : strerror(-r));
	job_put(job);
}

/*
 * Move jobs from the queue to the chip while it has slots.  The lock is not held inside
 * hw_net_submit(), so that its locks and ours never nest; e->submitting keeps the network alive.
 */
void engine_pump(struct engine *e)
{
	struct wakes w = {0};

	pthread_mutex_lock(&e->lock);
	while (e->state == ENGINE_READY && !e->suspect && !e->starved && e->queue.head &&
	       e->flight.count < ENGINE_SLOTS) {
		struct job *job = e->queue.head;
		struct hw_error err = {0};
		int r;

		list_remove(&e->queue, job);
		list_append(&e->flight, job);
		e->submitting++;
		pthread_mutex_unlock(&e->lock);
		r = start_frame(e, job, &err);
		/* With r == 0 the job may be finished and gone already. */
		pthread_mutex_lock(&e->lock);
		if (r)
			frame_refused(e, job, r, &err, &w);
		if (--e->submitting == 0)
			pthread_cond_broadcast(&e->calm_cv);
	}
	pthread_mutex_unlock(&e->lock);
	engine_wake(&w);
}

void engine_submit(struct engine *e, struct job *job)
{
	struct wakes w = {0};

	job->deadline_ns = engine_now_ns() + e->cfg->timeout_ms * NS_PER_MS;
	pthread_mutex_lock(&e->lock);
	if (e->state != ENGINE_READY) {
		engine_answer(&w, job, -ENODEV, "%s", e->detail);
	} else if (e->queue.count >= e->cfg->queue_size) {
		engine_answer(&w, job, -EBUSY, "Queue full: %u requests are waiting",
			      e->queue.count);
	} else {
		job_get(job);
		list_append(&e->queue, job);
		if (e->clock_idle)
			pthread_cond_signal(&e->clock_cv);
	}
	pthread_mutex_unlock(&e->lock);
	engine_pump(e);
	engine_wake(&w);
}

/* ------------------------------------------------------------------- clock */

/* Under the lock: settle what is too late; the earliest deadline of the rest, 0 if none. */
static uint64_t end_late(struct engine *e, uint64_t now, struct wakes *w)
{
	uint64_t next = 0;
	struct job *job;

	while ((job = e->queue.head) && job->deadline_ns <= now) {
		list_remove(&e->queue, job);
		engine_answer(w, job, -ETIMEDOUT, "Deadline of %u ms passed in the queue",
			      e->cfg->timeout_ms);
		job_put(job);
	}
	if (job)
		next = job->deadline_ns;
	for (job = e->flight.head; job; job = job->next) {
		if (job->answered)
			continue;
		if (job->deadline_ns <= now)
			engine_answer(w, job, -ETIMEDOUT, "Deadline of %u ms passed",
				      e->cfg->timeout_ms);
		else if (!next || job->deadline_ns < next)
			next = job->deadline_ns;
	}
	return next;
}

/* All jobs get the same time, so a new one is never due before those that the clock knows. */
static void *clock_thread(void *arg)
{
	struct engine *e = arg;

	pthread_mutex_lock(&e->lock);
	while (!e->clock_stop) {
		uint64_t now = engine_now_ns(), next;
		struct wakes w = {0};
		struct timespec at;
		bool starved;

		next = end_late(e, now, &w);
		if (w.head) {
			pthread_mutex_unlock(&e->lock);
			engine_wake(&w);
			pthread_mutex_lock(&e->lock);
			continue;
		}
		starved = e->starved;
		if (starved && (!next || next > now + STARVED_NS))
			next = now + STARVED_NS;
		if (next) {
			at.tv_sec = (time_t)(next / 1000000000u);
			at.tv_nsec = (long)(next % 1000000000u);
			pthread_cond_timedwait(&e->clock_cv, &e->lock, &at);
		} else {
			e->clock_idle = true;
			pthread_cond_wait(&e->clock_cv, &e->lock);
			e->clock_idle = false;
		}
		if (starved) {
			e->starved = false;
			pthread_mutex_unlock(&e->lock);
			engine_pump(e);
			pthread_mutex_lock(&e->lock);
		}
	}
	pthread_mutex_unlock(&e->lock);
	return NULL;
}

/* -------------------------------------------------------------- start, stop */

int engine_start(const struct config *cfg, const struct model *model,
		 void (*unfit)(const char *why, void *arg), void *arg, struct engine **out)
{
	struct engine *e = calloc(1, sizeof(*e));
	pthread_condattr_t monotonic;
	int r;

	if (!e)
		return -ENOMEM;
	e->cfg = cfg;
	e->model = model;
	e->unfit = unfit;
	e->unfit_arg = arg;
	e->state = ENGINE_STARTING;
	e->backend = "none";
	snprintf(e->detail, sizeof(e->detail), "Starting: the accelerator is being opened");
	pthread_mutex_init(&e->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&e->keeper_cv, &monotonic);
	pthread_cond_init(&e->clock_cv, &monotonic);
	pthread_cond_init(&e->calm_cv, &monotonic);
	pthread_condattr_destroy(&monotonic);
	r = pthread_create(&e->clock, NULL, clock_thread, e);
	if (r)
		goto err_free;
	r = pthread_create(&e->keeper, NULL, engine_keeper, e);
	if (r)
		goto err_clock;
	*out = e;
	return 0;

err_clock:
	pthread_mutex_lock(&e->lock);
	e->clock_stop = true;
	pthread_cond_signal(&e->clock_cv);
	pthread_mutex_unlock(&e->lock);
	pthread_join(e->clock, NULL);
err_free:
	engine_free(e);
	return -r;
}

void engine_stop(struct engine *e)
{
	pthread_mutex_lock(&e->lock);
	e->stop = true;
	pthread_cond_signal(&e->keeper_cv);
	pthread_mutex_unlock(&e->lock);
	pthread_join(e->keeper, NULL); /* it ends all jobs */
	pthread_mutex_lock(&e->lock);
	e->clock_stop = true;
	pthread_cond_signal(&e->clock_cv);
	pthread_mutex_unlock(&e->lock);
	pthread_join(e->clock, NULL);
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	pthread_cond_destroy(&e->calm_cv);
	pthread_cond_destroy(&e->clock_cv);
	pthread_cond_destroy(&e->keeper_cv);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

void engine_get_status(struct engine *e, struct engine_status *st)
{
	memset(st, 0, sizeof(*st));
	pthread_mutex_lock(&e->lock);
	st->state = e->state;
	memcpy(st->detail, e->detail, sizeof(st->detail));
	st->info = e->info;
	st->opened = e->opened;
	snprintf(st->function, sizeof(st->function), "%s", e->net ? e->function : "none");
	st->not_inference = strcmp(st->function, "pattern") == 0;
	st->queued = e->queue.count;
	st->in_flight = e->flight.count;
	st->recoveries = e->recoveries;
	st->utilization = e->utilization;
	st->has_temperature = e->has_temperature;
	st->temperature = e->temperature;
	pthread_mutex_unlock(&e->lock);
}

const char *engine_backend(struct engine *e)
{
	return __atomic_load_n(&e->backend, __ATOMIC_RELAXED);
}
