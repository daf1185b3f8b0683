// SPDX-License-Identifier: MIT
/*
 * Frames in flight, all on the owner thread.  A frame that submit.c put into a slot of DMA memory is
 * launched (launch.c), and is finished when all its transfers came back.
 */
#include "infer/infer.h"

#include <stdio.h>

#define STALL_MIN_MS 1000     /* no transfer finished for this long, with frames waiting: dead */
#define PING_MS 500           /* for firmware that may be dead; a healthy one needs less than 1 ms */

static struct infer_slot *oldest(const struct hw_net *net)
{
	return net->order_count ? net->by_order[net->order_first] : NULL;
}

/* Tell the user of @slot once; the slot may be on the chip still. */
static void answer(struct hw_net *net, struct infer_slot *slot, int status,
		   const struct hw_error *err)
{
	if (slot->answered)
		return;
	slot->answered = true;
	pthread_mutex_lock(&net->dev->lock);
	if (status == 0)
		net->stats.completed++;
	else
		net->stats.failed++;
	pthread_mutex_unlock(&net->dev->lock);
	slot->done(status, err, slot->user);
}

static void release(struct hw_net *net, struct infer_slot *slot)
{
	pthread_mutex_lock(&net->dev->lock);
	slot->state = SLOT_FREE;
	pthread_cond_broadcast(&net->dev->cond);
	pthread_mutex_unlock(&net->dev->lock);
}

/* Under the lock. */
static void end_busy(struct hw_net *net)
{
	if (net->busy_since_ns)
		net->stats.busy_ns += util_now_ns() - net->busy_since_ns;
	net->busy_since_ns = 0;
}

/*
 * Take the first frame that waits to be launched, or, with @late, the first of these whose deadline is
 * over.  NULL: there is none.
 */
static struct infer_slot *take_queued(struct hw_net *net, uint64_t late)
{
	struct infer_slot **at, *slot;

	pthread_mutex_lock(&net->dev->lock);
	for (at = &net->queue; late && *at && (*at)->deadline_ns > late; at = &(*at)->next)
		;
	slot = *at;
	if (slot) {
		*at = slot->next;
		if (!*at)
			net->queue_tail = at;
		net->queued--;
	}
	pthread_mutex_unlock(&net->dev->lock);
	return slot;
}

void infer_net_cancel(struct hw_net *net, int code, const struct hw_error *err)
{
	struct infer_slot *slot;

	for (unsigned int i = 0; i < net->order_count; i++)
		answer(net, infer_on_chip(net, i), code, err);
	while ((slot = take_queued(net, 0))) {
		answer(net, slot, code, err);
		release(net, slot);
	}
}

void infer_net_kill(struct hw_net *net, int code, const char *text)
{
	struct hw_error err;
	bool first;

	hw_fail(&err, code, "%s", text);
	pthread_mutex_lock(&net->dev->lock);
	first = !net->dead;
	if (first) {
		net->dead = code;
		net->dead_err = err;
		end_busy(net);
	}
	pthread_cond_broadcast(&net->dev->cond);
	pthread_mutex_unlock(&net->dev->lock);
	if (!first)
		return;
	hw_log(HW_LOG_ERROR, "%s: network %s is dead: %s", net->dev->info.bdf, net->name, text);
	infer_net_cancel(net, code, &err);
}

void infer_net_event(struct hw_net *net, const struct chip_event *ev)
{
	char where[256], text[480];

	switch (ev->id) {
	case FW_EVENT_RUN_TIME_ERROR:
		network_describe_action(net->plan, ev->context, ev->action, where, sizeof(where));
		snprintf(text, sizeof(text), "the firmware stopped the network at %s: %s (0x%08x)", where,
			 chip_status_text(ev->status), ev->status);
		break;
	case FW_EVENT_STREAMS_CLOSED:
	case FW_EVENT_LCU_ECC_UNCORRECTABLE:
	case FW_EVENT_CPU_ECC_FATAL:
		chip_event_text(ev, text, sizeof(text));
		break;
	default:
		return;
	}
	infer_net_kill(net, -EIO, text);
}

static const char *direction(const struct infer_stream *s)
{
	return s->channel.index < CHIP_VDMA_FIRST_D2H ? "input" : "output";
}

/* What it means that a channel's function answered @r, and what helps. */
static const char *channel_trouble(struct hw_net *net, int r)
{
	switch (r) {
	case -ECONNRESET:
		if (chip_ping(&net->dev->chip, PING_MS) < 0)
			return "its channel was stopped and no firmware answers: the firmware crashed or "
			       "restarted; reset the device";
		return "the chip stopped its channel; load the network again";
	case -EIO:
		return "the chip reports a DMA error on its channel; load the network again";
	case -EPROTO:
		return "its channel counts transfers that were not queued, so no result can be trusted; load "
		       "the network again";
	case -EFAULT:
		return "its channel is out of step with the driver; load the network again";
	default:
		return strerror(-r);
	}
}

void infer_channel_failed(struct hw_net *net, const struct infer_stream *s, int r)
{
	char regs[160], text[480];

	if (r == -ENODEV) {
		infer_net_kill(net, r, INFER_GONE);
		return;
	}
	if (r == -EBADMSG) {
		snprintf(text, sizeof(text),
			 "the chip's NMS %s delivers more boxes of a class than there can be, so nobody "
			 "knows where a frame ends; load the network again",
			 s->stream->layer->name);
		infer_net_kill(net, -EIO, text);
		return;
	}
	vdma_channel_describe(net->dev->be, s->channel.index, regs, sizeof(regs));
	snprintf(text, sizeof(text), "%s %s: %s (%s)", direction(s), s->stream->layer->name,
		 channel_trouble(net, r), regs);
	infer_net_kill(net, -EIO, text);
}

/* What the chip wrote into the user's frames */
static int collect(struct hw_net *net, const struct infer_slot *slot, struct hw_error *err)
{
	const void *frames[CHIP_VDMA_CHANNELS];

	for (size_t i = 0; i < net->n_outputs; i++) {
		const struct infer_stream *s = &net->outputs[i];
		size_t off = infer_slot_offset(s, slot->index);

		frames[s->index] = NULL;
		if (s->pieces)
			continue; /* host_net has them already */
		backend_dma_sync(net->dev->be, &s->mem, off, s->stream->transfer, false);
		frames[s->index] = (uint8_t *)s->mem.virt + off;
	}
	return host_net_collect(net->host, frames, slot->outputs, err);
}

static void finish(struct hw_net *net, struct infer_slot *slot)
{
	struct hw_error err;
	int r = 0;

	if (slot->answered)
		host_net_forget(net->host);
	else
		r = collect(net, slot, &err);
	for (size_t i = 0; i < net->n_outputs; i++)
		net->outputs[i].whole = false;
	net->order_first = (net->order_first + 1) % ARRAY_SIZE(net->by_order);
	net->order_count--;
	if (!net->order_count) {
		pthread_mutex_lock(&net->dev->lock);
		end_busy(net);
		pthread_mutex_unlock(&net->dev->lock);
	}
	/* The slot is free before its user hears of it, so that a callback may submit again. */
	if (slot->answered) {
		release(net, slot);
	} else {
		hw_done_fn done = slot->done;
		void *user = slot->user;

		pthread_mutex_lock(&net->dev->lock);
		if (r < 0)
			net->stats.failed++;
		else
			net->stats.completed++;
		if (net->measure_latency && r == 0)
			net->stats.chip_ns += util_now_ns() - slot->begun_ns;
		slot->state = SLOT_FREE;
		pthread_cond_broadcast(&net->dev->cond);
		pthread_mutex_unlock(&net->dev->lock);
		done(r, r < 0 ? &err : NULL, user);
	}
}

/* The chip has taken the first bytes of its input; exact where those interrupt. */
static void begun(struct infer_slot *slot)
{
	if (!slot->begun_ns)
		slot->begun_ns = util_now_ns();
}

static int reap_stream(struct hw_net *net, struct infer_stream *s)
{
	void *tokens[VDMA_TRANSFERS_MAX];
	int n;

	if (!s->channel.fifo_count)
		return 0;
	if (s->pieces) {
		bool whole = s->whole;

		n = infer_pieces_reap(net, s);
		if (s->whole && !whole)
			oldest(net)->pending--;
		if (n > 0)
			net->progress_ns = util_now_ns();
		return n;
	}
	n = vdma_channel_reap(&s->channel, tokens, ARRAY_SIZE(tokens));
	for (int i = 0; i < n; i++) {
		begun(tokens[i]);
		((struct infer_slot *)tokens[i])->pending--;
	}
	for (unsigned int i = 0; n >= 0 && i < s->channel.begun; i++)
		begun(s->channel.fifo[(s->channel.fifo_first + i) % ARRAY_SIZE(s->channel.fifo)].token);
	if (n > 0)
		net->progress_ns = util_now_ns();
	return n;
}

/* true: frames were finished, and pieces of the next one may have come already */
static bool reap_once(struct hw_net *net, uint32_t channels, bool pieces_only)
{
	const struct infer_stream *failed = NULL;
	struct infer_slot *slot;
	bool pieces = false;
	int r = 0;

	for (size_t i = 0; i < net->n_inputs + net->n_outputs; i++) {
		struct infer_stream *s =
			i < net->n_inputs ? &net->inputs[i] : &net->outputs[i - net->n_inputs];
		bool skip = pieces_only ? !s->pieces : !(channels & BIT(s->channel.index));
		int n = skip ? 0 : reap_stream(net, s);

		pieces |= s->pieces != 0;
		if (n < 0 && !failed) {
			failed = s;
			r = n;
		}
	}
	/* What was finished before a channel failed is not lost. */
	for (slot = oldest(net); slot && !slot->pending; slot = oldest(net)) {
		finish(net, slot);
		if (pieces && !failed)
			return true;
	}
	if (failed)
		infer_channel_failed(net, failed, r);
	return false;
}

static void reap(struct hw_net *net, uint32_t channels)
{
	bool again = reap_once(net, channels, false);

	while (again && !net->dead)
		again = reap_once(net, 0, true);
}

/* The first stream that frame @slot waits for; inputs come first, since outputs wait for them. */
static const struct infer_stream *waits_for(const struct hw_net *net, const struct infer_slot *slot)
{
	for (size_t i = 0; i < net->n_inputs + net->n_outputs; i++) {
		const struct infer_stream *s =
			i < net->n_inputs ? &net->inputs[i] : &net->outputs[i - net->n_inputs];

		if (s->pieces ? !s->whole
			      : s->channel.fifo_count &&
					s->channel.fifo[s->channel.fifo_first].token == slot)
			return s;
	}
	return NULL;
}

static void stalled(struct hw_net *net, const struct infer_slot *slot, uint64_t stall_ns)
{
	const struct infer_stream *s = waits_for(net, slot);
	int r = chip_ping(&net->dev->chip, PING_MS);
	char why[300], text[480];

	if (net->dead)
		return; /* it was told why by an event that came with the answer */
	if (net->dev->chip.gone) {
		infer_net_kill(net, -ENODEV, INFER_GONE);
		return;
	}
	network_describe_stall(net->plan, net->dev->be, why, sizeof(why));
	snprintf(text, sizeof(text), "nothing moved on the chip for %llu ms: %s%s%s%s%s (%s)",
		 (unsigned long long)(stall_ns / 1000000u),
		 r < 0 ? "the firmware does not answer either, it has crashed: reset the device"
		       : "the firmware answers, but ",
		 r < 0 || !s ? "" : direction(s), r < 0 || !s ? "" : " ",
		 r < 0 ? "" : s ? s->stream->layer->name : "the network",
		 r < 0 ? "" : " is stuck; load the network again", why);
	infer_net_kill(net, -ETIMEDOUT, text);
}

static void check_deadlines(struct hw_net *net)
{
	uint64_t now = util_now_ns(), stall;
	struct infer_slot *slot = oldest(net);
	char why[300] = "";
	struct hw_error err;

	if (!slot)
		return;
	for (unsigned int i = 0; i < net->order_count; i++) {
		struct infer_slot *s = infer_on_chip(net, i);

		if (s->answered || now < s->deadline_ns)
			continue;
		if (i && net->progress_ns > s->launch_ns)
			snprintf(why, sizeof(why), "the chip is at work on %u frames before it", i);
		else if (!why[0])
			network_describe_stall(net->plan, net->dev->be, why, sizeof(why));
		hw_fail(&err, -ETIMEDOUT, "the frame was not finished within %llu ms: %s",
			(unsigned long long)((s->deadline_ns - s->submit_ns) / 1000000u), why);
		answer(net, s, -ETIMEDOUT, &err);
	}
	stall = slot->deadline_ns - slot->submit_ns;
	if (stall < STALL_MIN_MS * 1000000ull)
		stall = STALL_MIN_MS * 1000000ull;
	if (now - net->progress_ns >= stall)
		stalled(net, slot, stall);
}

void infer_net_attach(struct hw_net *net)
{
	struct chip *chip = &net->dev->chip;

	chip->irq_channels = 0; /* those of whoever had it before */
	net->irq_base = chip->irq_count;
	net->missed_base = chip->irq_missed;
	net->spurious_base = chip->irq_spurious;
}

static void count_interrupts(struct hw_net *net)
{
	const struct chip *chip = &net->dev->chip;

	net->stats.interrupts += chip->irq_count - net->irq_base;
	net->stats.interrupts_missed += chip->irq_missed - net->missed_base;
	net->stats.interrupts_spurious += chip->irq_spurious - net->spurious_base;
	net->irq_base = chip->irq_count;
	net->missed_base = chip->irq_missed;
	net->spurious_base = chip->irq_spurious;
}

void infer_net_service(struct hw_net *net)
{
	struct chip *chip = &net->dev->chip;
	uint64_t now = util_now_ns();
	uint32_t channels = chip->irq_channels;
	bool idle;

	chip->irq_channels = 0;
	pthread_mutex_lock(&net->dev->lock);
	idle = net->dead || net->closing;
	count_interrupts(net);
	pthread_mutex_unlock(&net->dev->lock);
	if (idle)
		return;
	if (now - net->looked_ns >= INFER_LOOK_MS * 1000000ull) {
		channels = ~0u;
		net->looked_ns = now;
	}
	if (channels) {
		reap(net, channels);
		infer_launch_rest(net);
	}
	if (!net->dead)
		check_deadlines(net);
}

void infer_net_launch(struct hw_net *net, unsigned int n)
{
	struct infer_slot *slot;

	while (n-- && !net->dead && (slot = take_queued(net, 0)))
		infer_launch(net, slot);
}

/* Why a frame was not launched yet. */
static void describe_wait(const struct hw_net *net, char *why, size_t size)
{
	const struct hw_net *active = net->dev->active;
	unsigned int queued;

	pthread_mutex_lock(&net->dev->lock);
	queued = net->queued + 1; /* with the one that is told */
	pthread_mutex_unlock(&net->dev->lock);
	if (queued < net->gather)
		snprintf(why, size, "it waited for a batch of %u frames to be complete",
			 net->gather);
	else if (active && active != net)
		snprintf(why, size, "it waited for the chip, which network %s had", active->name);
	else
		snprintf(why, size, "it waited for the frames before it");
}

void infer_net_expire(struct hw_net *net)
{
	struct infer_slot *slot;
	struct hw_error err;
	char why[200];

	while ((slot = take_queued(net, util_now_ns()))) {
		describe_wait(net, why, sizeof(why));
		hw_fail(&err, -ETIMEDOUT, "the frame was not finished within %llu ms: %s",
			(unsigned long long)((slot->deadline_ns - slot->submit_ns) / 1000000u), why);
		answer(net, slot, -ETIMEDOUT, &err);
		release(net, slot);
	}
}

uint64_t infer_net_deadline_ns(struct hw_net *net)
{
	uint64_t first = UINT64_MAX;

	for (unsigned int i = 0; !net->dead && i < net->order_count; i++) {
		const struct infer_slot *s = infer_on_chip(net, i);

		if (!s->answered && s->deadline_ns < first)
			first = s->deadline_ns;
	}
	pthread_mutex_lock(&net->dev->lock);
	for (const struct infer_slot *s = net->queue; s; s = s->next)
		first = s->deadline_ns < first ? s->deadline_ns : first;
	pthread_mutex_unlock(&net->dev->lock);
	return first;
}
