// SPDX-License-Identifier: MIT
/*
 * Several networks, one chip: which of them has it (protocol 5.9).
 *
 * The firmware runs one application at a time.  A network keeps the chip until its frames are out
 * and another one has frames waiting; then ENABLED with the other's number takes it over, with no
 * RESET in between.  Of those that wait the one goes first whose last turn is longest ago, and a
 * turn is no longer than a batch while somebody waits: nobody starves.
 *
 * A network of several contexts runs a batch through each of them, and what happens to an
 * incomplete one is unknown (protocol 9.5 no 13): it is only ever given as many frames as it was
 * told to expect, by the dynamic batch of its last ENABLED.
 */
#include "infer/infer.h"

#include <stdio.h>

#define STARTED_TIMEOUT_MS 100
#define PING_MS 500

/* ------------------------------------------------------------------------------- stopping */

static void kill_others(struct hw_dev *dev, const struct hw_net *but, int code, const char *text)
{
	for (struct hw_net *net = dev->nets; net; net = net->next) {
		if (net != but)
			infer_net_kill(net, code, text);
	}
}

void infer_switch_kill_all(struct hw_dev *dev, int code, const char *text)
{
	kill_others(dev, NULL, code, text);
}

/*
 * Nothing of the chip's DMA may be under way when memory is given back.  Each step is tried only
 * when the gentler one before it failed; the last one cannot.
 */
static void stop_dma(struct hw_dev *dev, const struct hw_net *of)
{
	struct hw_error err;

	if (dev->chip_ready && !dev->chip.gone) {
		if (chip_reset_apps(&dev->chip, &err) == 0)
			return;
		infer_apps_unknown(dev);
		hw_log(HW_LOG_WARNING, "%s: stopping the network: %s", dev->info.bdf, err.text);
		if (!dev->chip.gone && chip_driver_down(&dev->chip) == 0)
			return;
	}
	dev->chip_ready = false;
	dev->be->ops->set_bus_master(dev->be, false);
	if (!dev->chip.gone && dev->be->ops->reset)
		dev->be->ops->reset(dev->be);
	hw_log(HW_LOG_ERROR, "%s: the chip had to be cut off from memory; reset the device or open it again",
	       dev->info.bdf);
	kill_others(dev, of, dev->chip.gone ? -ENODEV : -EIO,
		    dev->chip.gone ? INFER_GONE
				   : "another network could not be stopped and the chip had to be cut off "
				     "from memory; reset the device");
}

/* The driver does not look after its channels any more; frames still there will not come back. */
static void leave(struct hw_dev *dev)
{
	const struct hw_net *net = dev->active;

	dev->active = NULL;
	observe(dev->be, channels, net->plan->boundary_channels, false, false);
}

void infer_switch_stopped(struct hw_dev *dev)
{
	if (dev->active)
		leave(dev);
}

void infer_switch_stop(struct hw_dev *dev)
{
	const struct hw_net *net = dev->active;

	if (!net)
		return;
	leave(dev);
	if (net->dead)
		infer_apps_unknown(dev); /* what the firmware still knows is not to be relied on */
	stop_dma(dev, net);
}

/* ------------------------------------------------------------------------------- starting */

static bool batches(const struct hw_net *net)
{
	return net->plan->op->n_contexts > 1 && net->plan->opt.batch > 1;
}

static int wait_started(struct hw_net *net, struct hw_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < net->n_inputs + net->n_outputs; i++) {
		struct infer_stream *s =
			i < net->n_inputs ? &net->inputs[i] : &net->outputs[i - net->n_inputs];

		vdma_channel_init(&s->channel, net->dev->be, s->stream->channel, &s->stream->list);
		s->first_piece = 0;
		s->whole = false;
		s->waiting = 0;
		s->channel.first_irq = net->measure_latency && s->stream->input;
		r = vdma_channel_wait_started(&s->channel, STARTED_TIMEOUT_MS, err);
	}
	return r;
}

static int enable(struct hw_net *net, uint32_t batch, struct hw_error *err)
{
	struct chip *chip = &net->dev->chip;
	int r = chip_enable_app(chip, net->plan->app, (uint16_t)batch, err);

	net->batch = batch ? batch : net->plan->opt.batch;
	/* A late answer to this must not pass for that to a RESET, which has the same opcode. */
	if (r == -ETIMEDOUT && !chip->gone)
		chip_ping(chip, PING_MS);
	return infer_public_code(r);
}

/*
 * The chip is this network's.  Whoever had it has no frames there, or will not get them back; in the
 * first case there is no RESET in between (5.9).  After an error nobody has the chip.
 */
static int give(struct hw_net *net, uint32_t batch, struct hw_error *err)
{
	struct hw_dev *dev = net->dev;
	bool again = dev->active == net;
	int r;

	if (dev->active && dev->active->dead)
		infer_switch_stop(dev);
	else if (dev->active)
		leave(dev);
	r = infer_chip_usable(dev, err);
	if (r < 0)
		return r;
	r = infer_apps_ready(dev, err);
	if (r == 0 && net->dead) { /* of being configured again */
		*err = net->dead_err;
		return net->dead;
	}
	if (r < 0)
		goto err_chip;
	/* From here on the chip may raise events about it. */
	dev->active = net;
	if (!again) {
		net->last_turn = ++dev->turns;
		net->turn_frames = 0;
	}
	infer_net_attach(net);
	r = enable(net, batch, err);
	if (r == 0)
		r = wait_started(net, err);
	if (r < 0)
		goto err_chip;
	observe(dev->be, channels, net->plan->boundary_channels, net->measure_latency, true);
	return 0;
err_chip:
	dev->active = NULL;
	infer_apps_unknown(dev);
	stop_dma(dev, net);
	return r;
}

int infer_switch_start(struct hw_net *net, struct hw_error *err)
{
	return give(net, net->dynamic_batch, err);
}

/* -------------------------------------------------------------------------------- turns */

bool infer_switch_busy(const struct hw_dev *dev)
{
	return dev->active && !dev->active->dead && dev->active->order_count;
}

/* As many frames as its next ENABLED shall announce, of @queued that wait. */
static uint32_t wanted_batch(const struct hw_net *net, unsigned int queued)
{
	if (net->dynamic_batch)
		return net->dynamic_batch;
	if (batches(net))
		return queued < net->plan->opt.batch ? queued : net->plan->opt.batch;
	return net->take_turns ? 1 : 0;
}

/* Frames of @net that could be launched now; those that do not fill its batch could not. */
static unsigned int ready(const struct hw_net *net)
{
	if (net->dead || net->closing)
		return 0;
	return net->queued < net->gather ? 0 : net->queued;
}

struct demand {
	unsigned int own;      /* frames that the active network could launch */
	struct hw_net *next;   /* who gets the chip next, NULL: nobody else waits */
	unsigned int frames;   /* of that one */
};

/* A job that waits for the chip to be idle goes before all frames. */
static bool held(const struct hw_dev *dev)
{
	const struct infer_job *job = dev->jobs;

	while (job && !job->idle)
		job = job->next;
	return job;
}

/* At one moment: who submitted first is not told to wait for who came later. */
static struct demand look(struct hw_dev *dev)
{
	struct demand d = {0};

	pthread_mutex_lock(&dev->lock);
	for (struct hw_net *net = held(dev) ? NULL : dev->nets; net; net = net->next) {
		unsigned int n = ready(net);

		if (net == dev->active) {
			d.own = n;
		} else if (n && (!d.next || net->last_turn < d.next->last_turn)) {
			d.next = net;
			d.frames = n;
		}
	}
	pthread_mutex_unlock(&dev->lock);
	return d;
}

static void failed(struct hw_net *net, int r, struct hw_error *err)
{
	hw_fail_context(err, r, "giving it the chip");
	infer_net_kill(net, r, err->text);
}

/* Same network, another dynamic batch; nothing of it is on the chip. */
static int change_batch(struct hw_net *net, uint32_t batch, struct hw_error *err)
{
	int r;

	if (!net->plan->header[NETWORK_HEADER_FAST_BATCH])
		return give(net, batch, err);
	r = enable(net, batch, err); /* channels and their indices stay */
	if (r < 0) {
		infer_apps_unknown(net->dev);
		infer_switch_stop(net->dev);
	}
	return r;
}

/* More frames of the one that has the chip; false: not now. */
static bool go_on(struct hw_net *net, unsigned int n)
{
	struct hw_error err;
	uint32_t batch;
	int r;

	if (batches(net)) {
		batch = wanted_batch(net, n);
		if (batch != net->batch) {
			if (infer_switch_busy(net->dev))
				return false;
			r = change_batch(net, batch, &err);
			if (r < 0) {
				failed(net, r, &err);
				return true;
			}
		}
		n = batch;
	}
	net->turn_frames += n;
	infer_net_launch(net, n);
	return true;
}

/* One decision; false: nothing to do until something happens. */
static bool turn(struct hw_dev *dev)
{
	struct hw_net *net = dev->active;
	struct demand d = look(dev);
	struct hw_error err;
	unsigned int left;
	int r;

	if (d.own && !d.next)
		return go_on(net, d.own);
	left = d.own && net->turn_frames < net->plan->opt.batch
		       ? net->plan->opt.batch - net->turn_frames
		       : 0;
	if (left)
		return go_on(net, d.own < left ? d.own : left);
	if (!d.next || infer_switch_busy(dev))
		return false;
	r = give(d.next, wanted_batch(d.next, d.frames), &err);
	if (r < 0)
		failed(d.next, r, &err);
	return true;
}

void infer_switch_service(struct hw_dev *dev)
{
	if (dev->active)
		infer_net_service(dev->active);
	for (struct hw_net *net = dev->nets; net; net = net->next)
		infer_net_expire(net);
	while (turn(dev))
		;
}

int infer_switch_timeout_ms(struct hw_dev *dev)
{
	uint64_t now = util_now_ns(), first = UINT64_MAX;
	bool jobs;

	pthread_mutex_lock(&dev->lock);
	jobs = dev->jobs;
	pthread_mutex_unlock(&dev->lock);
	if (infer_switch_busy(dev))
		first = now + INFER_LOOK_MS * 1000000ull;
	else if (jobs)
		return 0; /* what they waited for has just happened */
	for (struct hw_net *net = dev->nets; net; net = net->next) {
		uint64_t deadline = infer_net_deadline_ns(net);

		first = deadline < first ? deadline : first;
	}
	if (first == UINT64_MAX)
		return -1;
	first = first > now ? (first - now) / 1000000u + 1 : 0;
	return first < INT32_MAX ? (int)first : INT32_MAX;
}
