// SPDX-License-Identifier: MIT
/*
 * Device, network and the queue in front of them.  Requests come in as jobs from the HTTP threads
 * and leave through a callback; nobody waits for the chip.  One thread (the keeper) opens, loads,
 * looks after and closes; another (the clock) ends jobs whose time is up.
 */
#ifndef DAEMON_ENGINE_H
#define DAEMON_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include <hwlayer/hwlayer.h>

#include "codec.h"
#include "config.h"
#include "model.h"

struct engine;

/* The monotonic clock. */
uint64_t engine_now_ns(void);

/*
 * struct job - one window on its way through the chip.  The engine and the submitter hold it
 * together: each drops its half with job_put().  After @wake was called the submitter may read
 * @status and, if that is 0, the rest; before, nobody but the engine looks at it.
 */
struct job {
	float input[IMU_VALUES]; /* as hw_manifest_input() made it */
	float latent[IMU_LATENT];
	float *head; /* the head's scores, NULL when the network has none */
	int status;  /* 0, -ETIMEDOUT (deadline), -EBUSY (queue full), -ENODEV (no device or model),
		      * -EIO (the accelerator failed) */
	char detail[480]; /* a sentence behind another status than 0 */

	void (*wake)(void *arg); /* called exactly once, from any thread, without locks held */
	void *arg;
	uint64_t start_ns; /* the submitter's own: when the request was complete */

	/* the engine's own */
	struct engine *engine;
	struct job *next, *prev; /* in the queue or among the frames on the chip */
	struct job *next_wake;
	uint64_t deadline_ns;
	uint32_t refs; /* atomic */
	bool answered;
	void *scratch; /* outputs that nobody asked for */
};

enum engine_state {
	ENGINE_STARTING, /* the device is being opened for the first time */
	ENGINE_READY,
	ENGINE_NO_DEVICE,  /* could not be opened; tried again every few seconds */
	ENGINE_RECOVERING, /* device or network died; being brought back */
	ENGINE_STOPPED,
};

struct engine_status {
	enum engine_state state;
	char detail[480];	 /* why it is not ready */
	struct hw_dev_info info; /* valid when @opened */
	bool opened;
	char function[256]; /* what computes the answers, see hw_net_function(); "none" without a
			     * network */
	bool not_inference; /* they are a test pattern */
	uint32_t queued, in_flight;
	uint64_t recoveries;
	float utilization; /* percent of the last 10 s with a frame on the chip */
	bool has_temperature;
	float temperature;
};

/**
 * engine_start - start the threads; the device is opened in the background
 * @unfit: called from the keeper when the device works but cannot run this model: waiting will
 *         not help
 *
 * Return: 0, -ENOMEM, -EAGAIN.
 */
int engine_start(const struct config *cfg, const struct model *model,
		 void (*unfit)(const char *why, void *arg), void *arg, struct engine **out);

/* engine_stop - end all jobs, let go of the device; jobs that come later get -ENODEV */
void engine_stop(struct engine *e);

/* engine_free - after engine_stop(), when all jobs are back; NULL is fine */
void engine_free(struct engine *e);

/* job_new - a job with one reference for the submitter; NULL without memory */
struct job *job_new(struct engine *e);
void job_put(struct job *job);

/* engine_submit - hand a job over; @wake will be called, perhaps before this returns */
void engine_submit(struct engine *e, struct job *job);

void engine_get_status(struct engine *e, struct engine_status *st);

/*
 * engine_backend - "vfio", "uio", "mock", or "none" while no device is open; static storage.  "mock;
 * pattern" and "mock; onnx" while a chip in software does not compute the network's own answers.
 */
const char *engine_backend(struct engine *e);

#endif
