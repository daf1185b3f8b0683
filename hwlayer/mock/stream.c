// SPDX-License-Identifier: MIT
/*
 * Frames through a configured network (protocol 9.3, "Frame rule"): inputs are gathered until
 * every one has bytes_in_pattern, the core computes, outputs are written once every output channel
 * has descriptors for a whole frame.  While a result waits the next inputs are gathered.
 */
#include <stdio.h>

#include "mock/sim.h"

bool sim_core_check(struct mock_chip *chip, struct sim_run *run)
{
	int r;

	if (run->ready)
		return true;
	pthread_mutex_unlock(&chip->lock);
	r = sim_function_ready(run->fn);
	pthread_mutex_lock(&chip->lock);
	if (run->stop)
		return false;
	if (r) {
		sim_run_fail(chip, run, FW_STATUS_CONFIG_DONE_TIMEOUT,
			     "the core is not configured: %s", sim_function_error(run->fn));
		return false;
	}
	run->ready = true;
	return true;
}

/* --------------------------------------------------------------------- ports and streams */

static struct sim_stream *stream_of(struct sim_stream *s, unsigned int n, uint8_t index)
{
	for (unsigned int i = 0; i < n; i++) {
		if (s[i].connected && s[i].stream_index == index)
			return &s[i];
	}
	return NULL;
}

static const char *bind_port(struct sim_run *run, const struct core_port *port, unsigned int *nin,
			     unsigned int *nout)
{
	struct sim_stream *s = port->output ? stream_of(run->out, run->nout, port->stream_index)
					    : stream_of(run->in, run->nin, port->stream_index);

	if (!s)
		return "no active channel for stream";
	if (s->port >= 0)
		return "two ports on stream";
	if (s->pattern < port->bytes)
		return "transfer too short for stream";
	if (port->output) {
		s->port = (int)*nout;
		run->core_out[(*nout)++] = s->frame;
	} else {
		s->port = (int)*nin;
		run->core_in[(*nin)++] = s->frame;
	}
	return NULL;
}

/* Every port of the network has its channel, and the other way round. */
static bool bind_ports(struct mock_chip *chip, struct sim_run *run)
{
	unsigned int nin = 0, nout = 0;
	const struct core_port *port;
	size_t n;

	port = sim_function_ports(run->fn, run, &n);
	for (size_t i = 0; i < n; i++) {
		const char *why = bind_port(run, &port[i], &nin, &nout);

		if (why) {
			sim_run_fail(chip, run, FW_STATUS_CONFIG_DONE_TIMEOUT, "%s %u", why,
				     port[i].stream_index);
			return false;
		}
	}
	if (nin != run->nin || nout != run->nout) {
		sim_run_fail(chip, run, FW_STATUS_CONFIG_DONE_TIMEOUT,
			     "%u input and %u output channels, the network has %u and %u", run->nin,
			     run->nout, nin, nout);
		return false;
	}
	return true;
}

/* ----------------------------------------------------------------------------- movement */

static void channel_failed(struct mock_chip *chip, struct sim_run *run)
{
	char why[160];

	snprintf(why, sizeof(why), "%.159s", chip->fault);
	sim_run_fail(chip, run, SIM_STATUS_DMA_STUCK, "%s", why);
}

static bool gather(struct mock_chip *chip, struct sim_run *run, struct sim_stream *s)
{
	size_t moved;
	int n;

	if (s->have == s->pattern || !s->resumed || (!s->have && !run->burst && !s->credits))
		return false;
	n = sim_chan_move(chip, s->ch, s->frame + s->have, s->pattern - s->have, UINT32_MAX,
			  &moved);
	if (n == -EIO)
		channel_failed(chip, run);
	if (n <= 0)
		return false;
	s->have += moved;
	if (s->have == s->pattern && !run->burst)
		s->credits--;
	return true;
}

static bool inputs_complete(const struct sim_run *run)
{
	for (unsigned int i = 0; i < run->nin; i++) {
		if (run->in[i].have != run->in[i].pattern)
			return false;
	}
	return run->nin;
}

static void infer(struct mock_chip *chip, struct sim_run *run)
{
	struct sim_order *o;
	int r;

	sim_fault_frame(chip);
	if (run->failed || sim_fault_dead(chip))
		return;
	o = sim_fault_due(chip, SIM_FAULT_CTX_ERROR);
	if (o) {
		sim_fault_strike(chip, o);
		sim_run_fail(chip, run, o->arg[0], "a run-time error, as ordered");
		return;
	}
	pthread_mutex_unlock(&chip->lock);
	r = sim_function_run(chip, run);
	pthread_mutex_lock(&chip->lock);
	if (run->stop)
		return; /* reset meanwhile: nobody wants the result */
	if (r) {
		sim_run_fail(chip, run, SIM_STATUS_CONTEXT_MEMORY, "the core failed: %d", r);
		return;
	}
	chip->stats.frames++;
	chip->stats.standin_frames += sim_function_is_standin(run->fn);
	for (unsigned int i = 0; i < run->nin; i++)
		run->in[i].have = 0;
	for (unsigned int i = 0; i < run->nout; i++)
		run->out[i].have = 0;
	run->result = true;
}

static bool room_everywhere(struct mock_chip *chip, struct sim_run *run)
{
	for (unsigned int i = 0; i < run->nout; i++) {
		const struct sim_stream *s = &run->out[i];
		int r = s->have ? 1 : sim_chan_room(chip, s->ch, s->pattern);

		if (r == -EIO)
			channel_failed(chip, run);
		if (r != 1 || run->stop)
			return false;
	}
	return true;
}

static bool deliver(struct mock_chip *chip, struct sim_run *run)
{
	bool moved = false;

	if (!room_everywhere(chip, run))
		return false;
	for (unsigned int i = 0; i < run->nout; i++) {
		struct sim_stream *s = &run->out[i];

		while (s->have < s->pattern) {
			size_t bytes;
			int n = sim_chan_move(chip, s->ch, s->frame + s->have, s->pattern - s->have,
					      UINT32_MAX, &bytes);

			if (n == -EIO)
				channel_failed(chip, run);
			if (n <= 0 || run->stop)
				return moved; /* paused or bus master off: go on from here */
			s->have += bytes;
			moved = true;
		}
	}
	run->result = false;
	return true;
}

bool sim_stream_step(struct mock_chip *chip, struct sim_run *run)
{
	bool moved = false;

	if (!run->streaming) {
		if (!sim_core_check(chip, run) || !bind_ports(chip, run))
			return false;
		run->streaming = true;
	}
	for (unsigned int i = 0; i < run->nin && !run->stop && !run->failed; i++)
		moved |= gather(chip, run, &run->in[i]);
	sim_irq_flush(chip); /* the host refills its inputs while the core computes */
	if (!run->stop && !run->failed && !run->result && inputs_complete(run)) {
		infer(chip, run);
		moved = true;
	}
	if (!run->stop && !run->failed && run->result)
		moved |= deliver(chip, run);
	return moved && !run->stop && !run->failed;
}
