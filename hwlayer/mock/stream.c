// SPDX-License-Identifier: MIT
/*
 * Frames through a configured network (protocol 9.3, "Frame rule"): inputs are gathered until
 * every one has bytes_in_pattern, the core computes, outputs are written once every output channel
 * has descriptors for a whole frame.  While a result waits the next inputs are gathered.
 *
 * One context of several does this with what it has connected, for a batch of frames, be it at the
 * boundary or in the host's inter-context buffers.
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

static void add(struct sim_set *set, struct sim_stream *s)
{
	s->port = -1;
	set->s[set->n++] = s;
}

/* What a frame of this context comes from and goes to, rows buffered by the host aside. */
static void connect(struct sim_run *run)
{
	run->from.n = run->to.n = 0;
	for (unsigned int i = 0; i < run->nin; i++) {
		if (!run->multi || (run->in[i].connected && !run->in[i].dummy))
			add(&run->from, &run->in[i]);
	}
	for (unsigned int i = 0; i < run->nout; i++) {
		if (!run->multi || (run->out[i].connected && !run->out[i].dummy))
			add(&run->to, &run->out[i]);
	}
	for (unsigned int ch = 0; ch < CHIP_VDMA_CHANNELS; ch++) {
		struct sim_stream *s = &run->inner[ch];

		s->port = -1;
		if (s->connected && s->kind == SIM_INTER_CONTEXT)
			add(sim_is_input(ch) ? &run->from : &run->to, s);
	}
}

static struct sim_stream *stream_of(const struct sim_set *set, uint8_t index)
{
	for (unsigned int i = 0; i < set->n; i++) {
		if (set->s[i]->connected && set->s[i]->stream_index == index)
			return set->s[i];
	}
	return NULL;
}

static const char *bind_port(struct sim_run *run, const struct core_port *port, unsigned int *nin,
			     unsigned int *nout)
{
	struct sim_stream *s = stream_of(port->output ? &run->to : &run->from, port->stream_index);

	if (!s)
		s = stream_of(port->output ? &run->rows_out : &run->rows_in, port->stream_index);
	if (!s)
		return "no active channel for stream";
	if (s->port >= 0)
		return "two ports on stream";
	if (s->bytes < port->bytes)
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
	unsigned int nin = 0, nout = 0, in, out;
	const struct core_port *port;
	size_t n;

	connect(run);
	in = run->from.n + run->rows_in.n;
	out = run->to.n + run->rows_out.n;
	port = sim_function_ports(run->fn, run, &n);
	for (size_t i = 0; i < n; i++) {
		const char *why = bind_port(run, &port[i], &nin, &nout);

		if (why) {
			sim_run_fail(chip, run, FW_STATUS_CONFIG_DONE_TIMEOUT, "%s %u", why,
				     port[i].stream_index);
			return false;
		}
	}
	if (nin != in || nout != out) {
		sim_run_fail(chip, run, FW_STATUS_CONFIG_DONE_TIMEOUT,
			     "%u input and %u output channels, the network has %u and %u", in, out,
			     nin, nout);
		return false;
	}
	return true;
}

/* ----------------------------------------------------------------------------- movement */

void sim_channel_failed(struct mock_chip *chip, struct sim_run *run)
{
	char why[160];

	snprintf(why, sizeof(why), "%.159s", chip->fault);
	sim_run_fail(chip, run, SIM_STATUS_DMA_STUCK, "%s", why);
}

static bool may_gather(const struct sim_run *run, const struct sim_stream *s)
{
	if (s->have == s->pattern)
		return false;
	if (!s->have && run->multi && s->taken == run->batch)
		return false; /* the rest belongs to the next batch */
	return s->kind != SIM_BOUNDARY || (s->resumed && (s->have || run->burst || s->credits));
}

static bool gather(struct mock_chip *chip, struct sim_run *run, struct sim_stream *s)
{
	size_t moved;
	int n;

	if (!may_gather(run, s))
		return false;
	n = sim_chan_move(chip, s->ch, s->frame + s->have, s->pattern - s->have, UINT32_MAX,
			  &moved);
	if (n == -EIO)
		sim_channel_failed(chip, run);
	if (n <= 0)
		return false;
	s->taken += !s->have;
	s->have += moved;
	sim_inner_count(chip, run, s, moved);
	if (s->have == s->pattern && s->kind == SIM_BOUNDARY && !run->burst)
		s->credits--;
	return true;
}

static bool inputs_complete(const struct sim_run *run)
{
	for (unsigned int i = 0; i < run->from.n; i++) {
		if (run->from.s[i]->have != run->from.s[i]->pattern)
			return false;
	}
	return run->from.n;
}

/* A frame is about to be computed in this context; false: it is not. */
static bool frame_begins(struct mock_chip *chip, struct sim_run *run)
{
	struct sim_order *o;

	if (sim_run_dynamic(run) == 0)
		sim_fault_frame(chip);
	if (run->failed || sim_fault_dead(chip))
		return false;
	o = sim_fault_due(chip, SIM_FAULT_CTX_ERROR);
	if (o && (!o->given[1] || o->arg[1] == sim_run_dynamic(run))) {
		sim_fault_strike(chip, o);
		sim_run_fail(chip, run, o->arg[0], "a run-time error, as ordered");
		return false;
	}
	return true;
}

/* What @r of the core or its stand-in means; false: the run is over, or failed now. */
static bool computed(struct mock_chip *chip, struct sim_run *run, int r)
{
	if (run->stop)
		return false; /* reset meanwhile: nobody wants the result */
	if (r == -EPROTO)
		sim_run_fail(
		    chip, run, FW_STATUS_CONFIG_DONE_TIMEOUT,
		    "the ONNX stand-in cannot answer this context: an input of the network "
		    "comes later, or does not fit");
	else if (r)
		sim_run_fail(chip, run, SIM_STATUS_CONTEXT_MEMORY, "the core failed: %d", r);
	return r == 0;
}

static void send_rows(struct mock_chip *chip, struct sim_run *run)
{
	int r;

	pthread_mutex_unlock(&chip->lock);
	r = sim_function_rows(run);
	pthread_mutex_lock(&chip->lock);
	if (!computed(chip, run, r))
		return;
	for (unsigned int i = 0; i < run->rows_in.n; i++)
		run->rows_in.s[i]->have = run->rows_out.s[i]->have = 0;
	run->rows_phase = true;
}

static void infer(struct mock_chip *chip, struct sim_run *run)
{
	int r;

	pthread_mutex_unlock(&chip->lock);
	r = sim_function_run(chip, run);
	pthread_mutex_lock(&chip->lock);
	if (!computed(chip, run, r))
		return;
	/* A frame of the network is one that its last context has computed. */
	if (!run->multi || run->ctx + 1 == chip->apps[run->app]->nctx) {
		chip->stats.frames++;
		chip->stats.standin_frames += sim_function_is_standin(run->fn);
	}
	sim_run_stats(chip, run)->frames++;
	for (unsigned int i = 0; i < run->from.n; i++)
		run->from.s[i]->have = 0;
	for (unsigned int i = 0; i < run->to.n; i++)
		run->to.s[i]->have = 0;
	run->result = true;
}

static bool room_everywhere(struct mock_chip *chip, struct sim_run *run)
{
	for (unsigned int i = 0; i < run->to.n; i++) {
		const struct sim_stream *s = run->to.s[i];
		int r = s->have ? 1 : sim_chan_room(chip, s->ch, s->pattern);

		if (r == -EIO)
			sim_channel_failed(chip, run);
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
	for (unsigned int i = 0; i < run->to.n; i++) {
		struct sim_stream *s = run->to.s[i];

		size_t total = s->total ? s->total : s->pattern;

		while (s->have < total) {
			size_t bytes;
			int n = sim_chan_move(chip, s->ch, s->frame + s->have, total - s->have,
					      UINT32_MAX, &bytes);

			if (n == -EIO)
				sim_channel_failed(chip, run);
			if (n <= 0 || run->stop)
				return moved; /* paused or bus master off: go on from here */
			s->have += bytes;
			sim_inner_count(chip, run, s, bytes);
			moved = true;
		}
	}
	run->result = false;
	if (run->multi)
		run->done++;
	return true;
}

/* Between two steps of a frame something else may have ended the run. */
static bool alive(const struct sim_run *run)
{
	return !run->stop && !run->failed;
}

static bool compute(struct mock_chip *chip, struct sim_run *run)
{
	bool finished = true, moved = true;

	if (run->rows_phase) {
		moved = sim_rows_step(chip, run, &finished);
		if (!finished)
			return moved;
		run->rows_phase = false;
		infer(chip, run);
		return true;
	}
	if (!frame_begins(chip, run))
		return true;
	if (run->rows_in.n)
		send_rows(chip, run);
	else
		infer(chip, run);
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
	for (unsigned int i = 0; i < run->from.n && alive(run); i++)
		moved |= gather(chip, run, run->from.s[i]);
	sim_irq_flush(chip); /* the host refills its inputs while the core computes */
	if (alive(run) && !run->result && inputs_complete(run))
		moved |= compute(chip, run);
	if (alive(run) && run->result)
		moved |= deliver(chip, run);
	return moved && alive(run);
}

bool sim_stream_idle(const struct sim_run *run)
{
	if (run->rows_phase)
		return false;
	if (!run->multi)
		return run->streaming;
	if (!run->flowing || run->ctx != run->first_dynamic || run->done || run->result)
		return false;
	for (unsigned int i = 0; i < run->nin; i++) {
		if (run->in[i].have)
			return false;
	}
	return true;
}
