// SPDX-License-Identifier: MIT
/* "hwctl run" on a chip: one model, or several that take turns, a batch each. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hwctl/run.h"

#define IN_FLIGHT_DEFAULT 8

struct flight {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	size_t outstanding;
	bool failed;
};

struct ticket {
	struct flight *flight;
	struct run_job *job;
	uint64_t start_ns;
	bool busy;
	void *scratch[RUN_TENSORS_MAX]; /* outputs of this slot; copied when done */
	size_t input;
};

/* A model on the chip. */
struct lane {
	struct run_job *job;
	struct hw_net *net;
	size_t n_tickets, sent;
	struct ticket *tickets;
};

static void frame_done(int status, const struct hw_error *err, void *user)
{
	struct ticket *t = user;
	struct run_job *j = t->job;

	pthread_mutex_lock(&t->flight->lock);
	if (status == 0) {
		j->latency_ns[j->done++] = util_now_ns() - t->start_ns;
		for (size_t i = 0; i < j->n_out; i++)
			memcpy(j->outputs[t->input * j->n_out + i], t->scratch[i],
			       j->out[i].frame_bytes);
	} else if (!j->failed++) {
		j->err = *err;
	}
	t->flight->failed = t->flight->failed || status;
	t->busy = false;
	t->flight->outstanding--;
	pthread_cond_signal(&t->flight->cond);
	pthread_mutex_unlock(&t->flight->lock);
}

/* The next frame of @l, once there is room for it. */
static int send_one(struct flight *f, struct lane *l, struct hw_error *err)
{
	struct run_job *j = l->job;
	struct hw_submit s = {.timeout_ms = (uint32_t)j->arg->timeout, .done = frame_done};
	struct ticket *t = NULL;
	int r = -EAGAIN;

	pthread_mutex_lock(&f->lock);
	while (r == -EAGAIN && !f->failed) {
		t = NULL;
		for (size_t i = 0; i < l->n_tickets && !t; i++)
			t = l->tickets[i].busy ? NULL : &l->tickets[i];
		if (!t) {
			pthread_cond_wait(&f->cond, &f->lock);
			continue;
		}
		t->busy = true;
		t->input = l->sent % j->n_inputs;
		f->outstanding++;
		pthread_mutex_unlock(&f->lock);
		s.inputs = (const void *const *)(j->inputs + t->input * j->n_in);
		s.outputs = t->scratch;
		s.user = t;
		t->start_ns = util_now_ns();
		r = hw_net_submit(l->net, &s, err);
		pthread_mutex_lock(&f->lock);
		if (r == 0) {
			l->sent++;
			break;
		}
		t->busy = false;
		f->outstanding--;
		/* The network has fewer slots than we have tickets: it is full. */
		if (r == -EAGAIN && f->outstanding)
			pthread_cond_wait(&f->cond, &f->lock);
	}
	pthread_mutex_unlock(&f->lock);
	return r == -EAGAIN ? 0 : r; /* of a failure or a signal the caller takes care */
}

struct tally {
	size_t done, frames;
	bool failed;
};

static struct tally count(struct flight *f, const struct lane *lanes, size_t n)
{
	struct tally t = {0};

	pthread_mutex_lock(&f->lock);
	t.failed = f->failed;
	for (size_t i = 0; i < n; i++) {
		t.done += lanes[i].job->done;
		t.frames += lanes[i].job->frames;
	}
	pthread_mutex_unlock(&f->lock);
	return t;
}

static bool all_sent(const struct lane *lanes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (lanes[i].sent < lanes[i].job->frames)
			return false;
	}
	return true;
}

static int pump(struct flight *f, struct lane *lanes, size_t n, struct hw_error *err)
{
	struct progress p;
	struct tally t = {0};
	int r = 0;

	progress_start(&p, lanes[0].job->opt);
	while (r == 0 && !all_sent(lanes, n) && !t.failed && !interrupted()) {
		for (size_t i = 0; r == 0 && i < n; i++) {
			size_t left = lanes[i].job->frames - lanes[i].sent;
			size_t batch = (size_t)lanes[i].job->arg->batch;

			for (left = left < batch ? left : batch; r == 0 && left; left--)
				r = send_one(f, &lanes[i], err);
		}
		t = count(f, lanes, n);
		progress_show(&p, "frames", t.done, t.frames);
	}
	pthread_mutex_lock(&f->lock);
	while (f->outstanding)
		pthread_cond_wait(&f->cond, &f->lock);
	pthread_mutex_unlock(&f->lock);
	progress_end(&p);
	for (size_t i = 0; i < n; i++) {
		/* What a frame was told is closer to the cause than what the next submit says. */
		if (lanes[i].job->failed) {
			*err = lanes[i].job->err;
			return err->code;
		}
	}
	if (r == 0 && interrupted())
		r = hw_fail(err, -EINTR, "ended by signal %d after %zu frames", interrupted(),
			    count(f, lanes, n).done);
	return r;
}

/* -------------------------------------------------------------------------------- loading */

static int make_tickets(struct lane *l, struct flight *f, struct hw_error *err)
{
	const struct run_arguments *a = l->job->arg;
	size_t n = (size_t)a->in_flight;

	if (!n)
		n = IN_FLIGHT_DEFAULT > 2 * (size_t)a->batch ? IN_FLIGHT_DEFAULT : 2 * (size_t)a->batch;
	l->tickets = calloc(n, sizeof(*l->tickets));
	if (!l->tickets)
		return hw_fail(err, -ENOMEM, "no memory");
	l->n_tickets = n;
	for (size_t k = 0; k < n; k++) {
		l->tickets[k].flight = f;
		l->tickets[k].job = l->job;
		for (size_t i = 0; i < l->job->n_out; i++) {
			l->tickets[k].scratch[i] = malloc(l->job->out[i].frame_bytes);
			if (!l->tickets[k].scratch[i])
				return hw_fail(err, -ENOMEM, "no memory");
		}
	}
	return 0;
}

static void drop_lane(struct lane *l)
{
	hw_net_free(l->net);
	for (size_t k = 0; k < l->n_tickets; k++) {
		for (size_t i = 0; i < l->job->n_out; i++)
			free(l->tickets[k].scratch[i]);
	}
	free(l->tickets);
}

/* --detections, checked already */
static enum hw_order nms_order(const char *name)
{
	if (!name)
		return HW_ORDER_AUTO;
	return strcmp(name, "by-score") == 0 ? HW_ORDER_HAILO_NMS_BY_SCORE : HW_ORDER_HAILO_NMS_BY_CLASS;
}

/* No batch stays incomplete, whatever the order of events: the traffic is the same every time. */
static bool whole_batches(const struct run_arguments *a)
{
	return a->frames && a->frames % a->batch == 0 && (!a->in_flight || a->in_flight >= a->batch);
}

static int load(struct lane *l, struct hw_dev *dev, bool alone, struct hw_error *err)
{
	struct run_job *j = l->job;
	bool floats = j->input && run_has_suffix(j->input, ".json");
	struct hw_net_options o = {
		.name = j->name,
		.input_type = floats ? HW_TYPE_F32 : HW_TYPE_AUTO,
		.output_type = HW_TYPE_F32,
		.frames_in_flight = (uint32_t)j->arg->in_flight,
		.batch = (uint32_t)j->arg->batch,
		.queue_depth = (uint32_t)j->arg->queue_depth,
		.whole_batches = whole_batches(j->arg),
		.measure_latency = j->arg->measure_latency,
		.take_turns = !alone,
		.raw_outputs = j->arg->raw,
		.nms_order = nms_order(j->arg->detections),
	};
	const struct hw_tensor_info *in, *out;
	int r = load_network(j->opt, dev, j->model, &o, &l->net, err);

	if (r < 0)
		return r;
	snprintf(j->function, sizeof(j->function), "%s", hw_net_function(l->net));
	in = hw_net_inputs(l->net, &j->n_in);
	out = hw_net_outputs(l->net, &j->n_out);
	if (j->n_in > RUN_TENSORS_MAX || j->n_out > RUN_TENSORS_MAX) {
		j->n_in = j->n_out = 0;
		return hw_fail(err, -ENOTSUP, "more than %d inputs or outputs", RUN_TENSORS_MAX);
	}
	memcpy(j->in, in, j->n_in * sizeof(*in));
	memcpy(j->out, out, j->n_out * sizeof(*out));
	return run_make_inputs(j, err);
}

int run_on_chip(struct run_job *jobs, size_t n, struct hw_dev *dev, struct hw_error *err)
{
	struct flight f = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
	struct lane lanes[RUN_MODELS_MAX] = {0};
	struct hw_net_stats stats;
	uint64_t start;
	int r = 0;

	for (size_t i = 0; i < n; i++)
		lanes[i].job = &jobs[i];
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = load(&lanes[i], dev, n == 1, err);
		if (r == 0)
			r = make_tickets(&lanes[i], &f, err);
		if (r < 0 && n > 1)
			hw_fail_context(err, r, "%s", jobs[i].model);
	}
	start = util_now_ns();
	if (r == 0)
		r = pump(&f, lanes, n, err);
	for (size_t i = 0; i < n; i++) {
		jobs[i].wall_ns = util_now_ns() - start;
		if (lanes[i].net) {
			hw_net_get_stats(lanes[i].net, &stats);
			jobs[i].chip_ns = stats.chip_ns;
		}
		drop_lane(&lanes[i]);
	}
	return r;
}
