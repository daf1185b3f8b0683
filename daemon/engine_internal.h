// SPDX-License-Identifier: MIT
/* What engine.c (jobs, queue, clock) and keeper.c (device, network) share; nobody else looks in. */
#ifndef DAEMON_ENGINE_INTERNAL_H
#define DAEMON_ENGINE_INTERNAL_H

#include <pthread.h>

#include "engine.h"

#define ENGINE_SLOTS 8	  /* frames on the chip at a time */
#define ENGINE_OUTPUTS 16 /* outputs of a network */
#define UTIL_SECONDS 10

struct job_list {
	struct job *head, *tail;
	uint32_t count;
};

struct engine {
	const struct config *cfg;
	const struct model *model;
	void (*unfit)(const char *why, void *arg);
	void *unfit_arg;

	pthread_t keeper, clock;
	pthread_mutex_t lock;
	pthread_cond_t keeper_cv; /* suspect or stop */
	pthread_cond_t clock_cv;  /* an earlier thing to do than it sleeps for */
	pthread_cond_t calm_cv;	  /* submitting became 0 */

	/* under lock */
	enum engine_state state;
	char detail[480];
	bool stop, clock_stop;
	bool suspect;	 /* a frame failed: ask the network whether it still lives */
	bool starved;	 /* a slot was not free when it should have been: try again soon */
	bool clock_idle; /* the clock sleeps without a deadline */
	int death;	 /* why the network is being taken down, 0 while it lives */
	struct job_list queue, flight;
	uint32_t submitting; /* threads inside hw_net_submit() */
	uint64_t recoveries;
	struct hw_dev_info info;
	bool opened;
	char function[256]; /* of the network that is loaded */
	bool has_temperature;
	float temperature;
	float utilization;

	/* Written by the keeper while state is not ENGINE_READY and submitting is 0; read by
	 * submitters while state is ENGINE_READY. */
	struct hw_net *net;
	struct model_outputs outputs;
	size_t n_outputs;
	size_t output_bytes[ENGINE_OUTPUTS];
	size_t scratch_bytes;

	struct hw_dev *dev;  /* the keeper's alone */
	unsigned int attempts; /* likewise: to open it */
	const char *backend; /* atomic; static strings */
	struct {
		uint64_t time_ns, busy_ns;
	} busy[UTIL_SECONDS + 1]; /* the keeper's alone: one sample each second, newest first */
	unsigned int n_busy;
};

/* Jobs to wake once the lock is released. */
struct wakes {
	struct job *head;
};

/* Under the lock: settle a job once; later answers to the same job are dropped. */
void engine_answer(struct wakes *w, struct job *job, int status, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Without the lock. */
void engine_wake(struct wakes *w);
void engine_pump(struct engine *e);
/* Under the lock: end everything that waits. */
void engine_flush(struct engine *e, struct wakes *w, int status, const char *why);

void *engine_keeper(void *arg);

#endif
