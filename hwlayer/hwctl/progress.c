// SPDX-License-Identifier: MIT
/* Progress on stderr: of counted work, and of a single call that takes long. */
#include "hwctl/hwctl.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define QUIET_NS 1000000000u /* nothing is said about what takes less */
#define STEP_NS 200000000u

void progress_start(struct progress *p, const struct options *opt)
{
	*p = (struct progress){.on = !opt->quiet && isatty(STDERR_FILENO),
			       .start_ns = util_now_ns()};
	p->last_ns = p->start_ns;
}

void progress_show(struct progress *p, const char *what, size_t done, size_t total)
{
	uint64_t now;

	if (!p->on)
		return;
	now = util_now_ns();
	if (now - p->start_ns < QUIET_NS || now - p->last_ns < STEP_NS)
		return;
	p->last_ns = now;
	p->shown = true;
	fprintf(stderr, "\r%s: %zu of %zu (%.0f %%)  ", what, done, total,
		total ? 100.0 * (double)done / (double)total : 100.0);
}

void progress_end(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
}

/* ---------------------------------------------------------------------------------- ticker */

struct ticker {
	const char *what;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool stop;
};

static void *tick(void *arg)
{
	struct ticker *t = arg;
	uint64_t start = util_now_ns();
	bool shown = false;

	pthread_mutex_lock(&t->lock);
	while (!t->stop) {
		struct timespec until;

		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec++;
		pthread_cond_timedwait(&t->cond, &t->lock, &until);
		if (t->stop || util_now_ns() - start < QUIET_NS)
			continue;
		fprintf(stderr, "\r%s: %llu s  ", t->what,
			(unsigned long long)((util_now_ns() - start) / 1000000000u));
		shown = true;
	}
	pthread_mutex_unlock(&t->lock);
	if (shown)
		fputs("\r\033[K", stderr);
	return NULL;
}

struct ticker *ticker_start(const struct options *opt, const char *what)
{
	struct ticker *t;
	pthread_condattr_t attr;

	if (opt->quiet || !isatty(STDERR_FILENO))
		return NULL;
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->what = what;
	pthread_mutex_init(&t->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->cond, &attr);
	pthread_condattr_destroy(&attr);
	if (pthread_create(&t->thread, NULL, tick, t)) {
		pthread_cond_destroy(&t->cond);
		pthread_mutex_destroy(&t->lock);
		free(t);
		return NULL;
	}
	return t;
}

void ticker_stop(struct ticker *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_cond_signal(&t->cond);
	pthread_mutex_unlock(&t->lock);
	pthread_join(t->thread, NULL);
	pthread_cond_destroy(&t->cond);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
