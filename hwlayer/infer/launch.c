// SPDX-License-Identifier: MIT
/*
 * Frames onto the chip: on every output and then on every input channel (protocol 6.3).
 *
 * A network of one context never has more slots than its shortest descriptor list has room for, so a
 * launch that finds no room means that driver and chip disagree: fatal, like every other launch error.
 * Of several contexts each passes a whole batch on, which may be longer than a list: the chip empties
 * one channel while it has not begun with another, so each channel gets what it has room for, and the
 * rest in the same order as transfers come back.
 */
#include "infer/infer.h"

static int launch_slot(struct hw_net *net, struct infer_stream *s, struct infer_slot *slot)
{
	size_t off = infer_slot_offset(s, slot->index);

	/* What is still cached of an earlier frame must not come back over the next one (pcie 10 no 5). */
	if (s->channel.index >= CHIP_VDMA_FIRST_D2H)
		backend_dma_sync(net->dev->be, &s->mem, off, s->stream->transfer, true);
	return vdma_channel_launch(&s->channel, s->mem.bus + off, s->stream->transfer, slot);
}

/* Its part of the frames on the chip that it has not yet, as far as there is room. */
static int launch_stream(struct hw_net *net, struct infer_stream *s)
{
	int r = s->pieces ? infer_pieces_launch(s) : 0;

	while (r == 0 && s->waiting) {
		r = launch_slot(net, s, infer_on_chip(net, net->order_count - s->waiting));
		if (r == -EAGAIN && net->plan->op->n_contexts > 1)
			return 0;
		if (r == 0)
			s->waiting--;
	}
	if (r < 0)
		infer_channel_failed(net, s, r);
	return r;
}

static void launch_streams(struct hw_net *net)
{
	for (size_t i = 0; i < net->n_outputs; i++) {
		if (launch_stream(net, &net->outputs[i]) < 0)
			return;
	}
	for (size_t i = 0; i < net->n_inputs; i++) {
		if (launch_stream(net, &net->inputs[i]) < 0)
			return;
	}
}

void infer_launch(struct hw_net *net, struct infer_slot *slot)
{
	slot->launch_ns = util_now_ns();
	slot->begun_ns = 0;
	if (!net->order_count)
		net->progress_ns = slot->launch_ns;
	pthread_mutex_lock(&net->dev->lock);
	if (!net->busy_since_ns)
		net->busy_since_ns = slot->launch_ns;
	slot->state = SLOT_ON_CHIP;
	pthread_mutex_unlock(&net->dev->lock);
	slot->pending = (unsigned int)(net->n_inputs + net->n_outputs);
	net->by_order[(net->order_first + net->order_count++) % ARRAY_SIZE(net->by_order)] = slot;
	for (size_t i = 0; i < net->n_outputs; i++)
		net->outputs[i].waiting += !net->outputs[i].pieces;
	for (size_t i = 0; i < net->n_inputs; i++)
		net->inputs[i].waiting++;
	launch_streams(net);
}

void infer_launch_rest(struct hw_net *net)
{
	bool rest = false;

	for (size_t i = 0; i < net->n_outputs; i++)
		rest |= net->outputs[i].waiting;
	for (size_t i = 0; i < net->n_inputs; i++)
		rest |= net->inputs[i].waiting;
	if (rest && !net->dead)
		launch_streams(net);
}
