// SPDX-License-Identifier: MIT
/* How frames come in, on any thread: a slot, the user's bytes into it, and into the queue. */
#include "infer/infer.h"

#define DEFAULT_TIMEOUT_MS 10000

static int check_alive(struct hw_net *net, struct hw_error *err)
{
	if (net->closing)
		return hw_fail(err, -ECANCELED, "the network is being freed");
	if (net->dead) {
		if (err)
			*err = net->dead_err;
		return net->dead;
	}
	return 0;
}

/* Until leave() hw_net_free() waits, so @net and its slots stay. */
static int enter(struct hw_net *net, struct hw_error *err)
{
	int r;

	pthread_mutex_lock(&net->dev->lock);
	r = check_alive(net, err);
	if (r == 0)
		net->callers++;
	pthread_mutex_unlock(&net->dev->lock);
	return r;
}

static void leave(struct hw_net *net)
{
	struct hw_dev *dev = net->dev;

	pthread_mutex_lock(&dev->lock);
	net->callers--;
	if (net->closing)
		pthread_cond_broadcast(&dev->cond);
	pthread_mutex_unlock(&dev->lock);
}

/* The user's frames into the slot's DMA memory */
static void fill_slot(struct hw_net *net, const struct infer_slot *slot, const void *const *inputs)
{
	void *frames[CHIP_VDMA_CHANNELS];

	for (size_t i = 0; i < net->n_inputs; i++) {
		const struct infer_stream *s = &net->inputs[i];

		frames[s->index] = (uint8_t *)s->mem.virt + infer_slot_offset(s, slot->index);
	}
	host_net_fill(net->host, inputs, frames);
	for (size_t i = 0; i < net->n_inputs; i++) {
		const struct infer_stream *s = &net->inputs[i];

		backend_dma_sync(net->dev->be, &s->mem, infer_slot_offset(s, slot->index),
				 s->stream->transfer, true);
	}
}

static int submit(struct hw_net *net, const struct hw_submit *frame, struct hw_error *err)
{
	struct hw_dev *dev = net->dev;
	struct infer_slot *slot = NULL;
	uint32_t timeout = frame->timeout_ms ? frame->timeout_ms : DEFAULT_TIMEOUT_MS;
	int r;

	if (!frame->inputs || !frame->outputs || !frame->done)
		return hw_fail(err, -EINVAL, "a frame needs inputs, outputs and a completion");
	pthread_mutex_lock(&dev->lock);
	r = check_alive(net, err);
	for (size_t i = 0; r == 0 && i < net->n_slots && !slot; i++) {
		if (net->slots[i].state == SLOT_FREE)
			slot = &net->slots[i];
	}
	if (slot)
		slot->state = SLOT_FILLING;
	pthread_mutex_unlock(&dev->lock);
	if (r < 0)
		return r;
	if (!slot)
		return hw_fail(err, -EAGAIN, "all %zu frame slots are in use", net->n_slots);

	slot->submit_ns = util_now_ns();
	slot->deadline_ns = slot->submit_ns + (uint64_t)timeout * 1000000u;
	slot->answered = false;
	slot->done = frame->done;
	slot->user = frame->user;
	memcpy(slot->outputs, frame->outputs, net->host->n_outputs * sizeof(*slot->outputs));
	fill_slot(net, slot, frame->inputs);

	pthread_mutex_lock(&dev->lock);
	r = check_alive(net, err);
	if (r == 0) {
		slot->state = SLOT_QUEUED;
		slot->next = NULL;
		*net->queue_tail = slot;
		net->queue_tail = &slot->next;
		net->queued++;
		net->stats.submitted++;
	} else {
		slot->state = SLOT_FREE;
	}
	pthread_mutex_unlock(&dev->lock);
	if (r == 0)
		infer_wake(dev);
	return r;
}

int hw_net_submit(struct hw_net *net, const struct hw_submit *frame, struct hw_error *err)
{
	int r = enter(net, err);

	if (r < 0)
		return r;
	r = submit(net, frame, err);
	leave(net);
	return r;
}

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
	int status;
	struct hw_error *err;
};

static void waiter_done(int status, const struct hw_error *err, void *user)
{
	struct waiter *w = user;

	pthread_mutex_lock(&w->lock);
	w->status = status;
	if (status < 0 && w->err && err)
		*w->err = *err;
	w->done = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

int hw_net_run(struct hw_net *net, const void *const *inputs, void *const *outputs,
	       uint32_t timeout_ms, struct hw_error *err)
{
	struct waiter w = {.err = err};
	struct hw_submit frame = {
		.inputs = inputs, .outputs = outputs, .timeout_ms = timeout_ms, .done = waiter_done,
		.user = &w,
	};
	struct hw_dev *dev = net->dev;
	int r = enter(net, err);

	if (r < 0)
		return r;
	/* Before the frame is submitted: its answer may come before submit() returns. */
	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.cond, NULL);
	while ((r = submit(net, &frame, err)) == -EAGAIN) {
		bool full = true;

		/* The owner broadcasts whenever a slot becomes free or the network dies. */
		pthread_mutex_lock(&dev->lock);
		for (size_t i = 0; i < net->n_slots; i++)
			full = full && net->slots[i].state != SLOT_FREE;
		if (full && !net->dead && !net->closing)
			pthread_cond_wait(&dev->cond, &dev->lock);
		pthread_mutex_unlock(&dev->lock);
	}
	leave(net);
	pthread_mutex_lock(&w.lock);
	while (r == 0 && !w.done)
		pthread_cond_wait(&w.cond, &w.lock);
	pthread_mutex_unlock(&w.lock);
	pthread_cond_destroy(&w.cond);
	pthread_mutex_destroy(&w.lock);
	return r < 0 ? r : w.status;
}
