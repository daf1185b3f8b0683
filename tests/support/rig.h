// SPDX-License-Identifier: MIT
/*
 * What tests with a device on a chip in software share: patience, faults to order, crowds of frames
 * and what became of each, and a way to keep the device's thread busy.
 */
#ifndef TESTS_SUPPORT_RIG_H
#define TESTS_SUPPORT_RIG_H

#include <hwlayer/hwlayer.h>
#include <pthread.h>

#include "mock/mock.h"
#include "support/tinynet.h"

#define PATIENT_MS 20000u  /* for what has to happen; nothing is measured */
#define GIVE_UP_MS 60000u  /* twice and more of what the driver itself would wait */
#define IMPATIENT_MS 1000u /* for what cannot: as soon as the driver gives up at all */

#define FRAMES_MAX 512u
#define STREAMS_MAX 4u

void order_fault(struct mock_chip *chip, const char *spec);

struct frame {
	struct crowd *crowd;
	unsigned int which;                          /* network, where a test has several */
	uint8_t *in[STREAMS_MAX], *out[STREAMS_MAX]; /* the crowd's */
	bool taken;                                  /* by the network */
	unsigned int calls, place;                   /* answers, and when among all of the crowd */
	int status;
	char text[480];
};

struct crowd {
	pthread_mutex_t lock; /* what is told of a frame, and how many were told */
	unsigned int n, answered;
	struct frame f[FRAMES_MAX];
};

#define CROWD_INITIALIZER {.lock = PTHREAD_MUTEX_INITIALIZER}

/* With none of its frames on their way. */
void crowd_empty(struct crowd *c);
struct frame *crowd_add(struct crowd *c);
/* Of a tiny network; different for each @seed. */
struct frame *crowd_add_tiny(struct crowd *c, unsigned int seed);
unsigned int crowd_answered(struct crowd *c);
/* Until @n of them were answered, but not for ever. */
void crowd_wait(struct crowd *c, unsigned int n);

/* @n bytes that are different for each @seed; free() them. */
uint8_t *frame_bytes(size_t n, uint32_t seed);
void frame_done(int status, const struct hw_error *err, void *frame);
int frame_submit(struct frame *f, struct hw_net *net, uint32_t timeout_ms, struct hw_error *err);
/* As soon as a slot is free. */
int frame_submit_patiently(struct frame *f, struct hw_net *net, uint32_t timeout_ms,
			   struct hw_error *err);

/* Submit @f, whose callback keeps the device's thread busy until owner_let_go(). */
void owner_hold(struct frame *f, struct hw_net *net);
void owner_let_go(void);

#endif
