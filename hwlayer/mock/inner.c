// SPDX-License-Identifier: MIT
/*
 * Streams that never leave the network: between contexts, and rows buffered in host memory
 * ("DDR").  The firmware alone drives their channels; lists and buffers are the host's (protocol
 * 4.4, 5.8, 9.3).
 */
#include "mock/sim.h"

#define FRAME_MAX (1u << 30)
#define CREDIT_DESCRIPTORS 2

static uint32_t per_transfer(const struct sim_stream *s)
{
	return (uint32_t)ceil_div(s->pattern, s->page);
}

static struct sim_stream *inner(struct sim_run *run, unsigned int ch)
{
	return ch < CHIP_VDMA_CHANNELS && run->inner[ch].connected ? &run->inner[ch] : NULL;
}

/* A pair without one of its ends is none. */
static void drop_pair(struct sim_run *run, const struct sim_stream *s)
{
	struct sim_set *in = &run->rows_in, *out = &run->rows_out;

	for (unsigned int i = 0; i < in->n; i++) {
		if (in->s[i] != s && out->s[i] != s)
			continue;
		in->s[i] = in->s[--in->n];
		out->s[i--] = out->s[--out->n];
	}
}

/* ------------------------------------------------------------------------- activation */

/* Where the parts of actions 8 to 11 are. */
static const struct inner_layout {
	enum sim_kind kind;
	bool input;
	uint8_t reg, hbi;
} layouts[] = {
    [FW_ACT_ACTIVATE_INTER_CONTEXT_INPUT] = {SIM_INTER_CONTEXT, true, 3, 20},
    [FW_ACT_ACTIVATE_INTER_CONTEXT_OUTPUT] = {SIM_INTER_CONTEXT, false, 3, 20},
    [FW_ACT_ACTIVATE_DDR_BUFFER_INPUT] = {SIM_DDR, true, 2, 19},
    [FW_ACT_ACTIVATE_DDR_BUFFER_OUTPUT] = {SIM_DDR, false, 2, 19},
};

static uint32_t check_lists(const struct sim_run *run, const struct sim_stream *s)
{
	uint32_t row;

	if (s->kind == SIM_INTER_CONTEXT)
		return (uint64_t)per_transfer(s) * run->batch > s->count ? SIM_STATUS_FEW_DESCS : 0;
	if (s->pattern % s->page || !s->rows)
		return SIM_STATUS_BUFFER_BYTES;
	row = s->pattern / s->page;
	if (!sim_is_input(s->ch) && (!s->buffered || (uint64_t)s->buffered * row > s->count - 1))
		return SIM_STATUS_TOO_MANY_DESCS;
	return 0;
}

static bool same_list(const struct sim_stream *a, const struct sim_stream *b)
{
	return a->list == b->list && a->page == b->page && a->count == b->count &&
	       a->pattern == b->pattern;
}

/* What already uses the channel or the stream index; 0: nothing. */
static uint32_t conflict(struct mock_chip *chip, struct sim_run *run, const struct sim_stream *s)
{
	const struct sim_app *app = chip->apps[run->app];

	if (sim_run_stream(run, s->ch))
		return SIM_STATUS_TWO_STREAMS;
	for (unsigned int i = 0; i < app->cfg_count; i++) {
		if (app->cfg_channel[i] == s->ch)
			return SIM_STATUS_TWO_STREAMS;
	}
	for (unsigned int ch = 0; ch < CHIP_VDMA_CHANNELS; ch++) {
		const struct sim_stream *o = inner(run, ch);

		if (!o || sim_is_input(ch) != sim_is_input(s->ch))
			continue;
		/* With KO_RUN_ASAP the preliminary list has done all this before. */
		if (ch == s->ch && (o->stream_index != s->stream_index || !same_list(o, s)))
			return SIM_STATUS_TWO_STREAMS;
		if (ch != s->ch && o->stream_index == s->stream_index)
			return SIM_STATUS_TWO_LAYERS;
	}
	return 0;
}

uint32_t sim_inner_activate(struct mock_chip *chip, struct sim_run *run, const struct sim_act *act)
{
	const struct inner_layout *l = &layouts[act->type];
	const uint8_t *p = act->p;
	struct sim_stream s = {.kind = l->kind, .ch = p[0], .stream_index = p[1], .port = -1};
	struct sim_host_buffer hbi;
	uint64_t bytes;
	uint32_t status;

	if (s.ch >= CHIP_VDMA_CHANNELS)
		return FW_STATUS_BAD_CHANNEL;
	if (sim_is_input(s.ch) != l->input)
		return FW_STATUS_BAD_DIRECTION;
	sim_host_buffer(p + l->hbi, &hbi);
	status = sim_host_buffer_check(&hbi, l->kind == SIM_DDR);
	if (status)
		return status;
	s.list = hbi.list;
	s.page = hbi.page;
	s.count = hbi.count;
	s.pattern = hbi.pattern;
	bytes = s.pattern;
	if (l->kind == SIM_DDR) {
		if (get_le16(p + l->reg) != s.pattern)
			return SIM_STATUS_BUFFER_BYTES;
		s.rows = get_le16(p + l->reg + 2);
		s.buffered = l->input ? 0 : get_le32(p + 38);
		s.peer = l->input ? p[42] : 0;
		bytes *= s.rows;
	}
	status = check_lists(run, &s);
	if (!status)
		status = conflict(chip, run, &s);
	if (!status && bytes > FRAME_MAX)
		status = SIM_STATUS_PATTERN_TOO_LARGE;
	if (status)
		return status;
	s.bytes = (size_t)bytes;
	s.frame = realloc(run->inner[s.ch].frame, s.bytes);
	if (!s.frame)
		return SIM_STATUS_CONTEXT_MEMORY;
	memset(s.frame, 0, s.bytes);
	s.connected = s.stream_known = true;
	drop_pair(run, &run->inner[s.ch]);
	run->inner[s.ch] = s;
	sim_chan_open(chip, s.ch, &hbi, l->kind == SIM_DDR);
	if (l->kind == SIM_INTER_CONTEXT && !l->input)
		sim_chan_grant(chip, s.ch, per_transfer(&s) * run->batch);
	return 0;
}

uint32_t sim_inner_deactivate(struct mock_chip *chip, struct sim_run *run, const uint8_t *p,
			      bool only_check)
{
	struct sim_stream *s = inner(run, p[0]);
	const struct sim_chan *c = &chip->chan[p[0] % CHIP_VDMA_CHANNELS];

	if (!s)
		return FW_STATUS_BAD_CHANNEL;
	if (p[1] != (sim_is_input(s->ch) ? 1 : 2))
		return SIM_STATUS_ACTION_DIRECTION;
	if (p[3])
		return SIM_STATUS_BUFFER_TYPE;
	if (p[2] && (s->kind == SIM_DDR || c->asked != c->pos))
		return SIM_STATUS_CREDITS_LEFT;
	if (only_check)
		return 0;
	drop_pair(run, s);
	s->connected = false;
	sim_chan_abort(chip, s->ch);
	return 0;
}

uint32_t sim_inner_fetch(struct mock_chip *chip, struct sim_run *run, const uint8_t *p)
{
	struct sim_stream *s = inner(run, p[0]);

	/* Rows of a DDR pair flow by themselves (protocol 4.4). */
	if (!s || s->kind != SIM_INTER_CONTEXT || !sim_is_input(s->ch) || s->stream_index != p[1])
		return FW_STATUS_BAD_CHANNEL;
	if (p[7] != CREDIT_DESCRIPTORS)
		return SIM_STATUS_CREDIT_TYPE;
	if (p[8])
		return SIM_STATUS_BUFFER_TYPE;
	if (get_le32(p + 3) != per_transfer(s))
		return SIM_STATUS_CREDIT_SIZE;
	sim_chan_grant(chip, s->ch, per_transfer(s) * run->batch);
	return 0;
}

/* -------------------------------------------------------------------------------- rows */

uint32_t sim_ddr_pair(struct sim_run *run, const uint8_t *p)
{
	struct sim_stream *in = inner(run, p[0]), *out = inner(run, p[1]);

	if (run->ddr_started)
		return SIM_STATUS_DDR_BUSY;
	if (!in || !out || in->kind != SIM_DDR || out->kind != SIM_DDR || !sim_is_input(in->ch) ||
	    sim_is_input(out->ch) || in->peer != out->ch)
		return FW_STATUS_BAD_CHANNEL;
	if (!same_list(in, out) || in->rows != out->rows)
		return FW_STATUS_DESC_COUNT;
	if (get_le32(p + 3) != out->pattern / out->page * out->rows ||
	    get_le16(p + 7) != out->count)
		return FW_STATUS_DESC_COUNT;
	for (unsigned int i = 0; i < run->rows_in.n; i++) {
		if (run->rows_in.s[i] == in || run->rows_out.s[i] == out)
			return SIM_STATUS_TWO_STREAMS;
	}
	run->rows_in.s[run->rows_in.n++] = in;
	run->rows_out.s[run->rows_out.n++] = out;
	return 0;
}

void sim_ddr_start(struct mock_chip *chip, struct sim_run *run)
{
	for (unsigned int i = 0; !run->ddr_started && i < run->rows_out.n; i++) {
		const struct sim_stream *s = run->rows_out.s[i];

		sim_chan_grant(chip, s->ch, s->buffered * (s->pattern / s->page));
	}
	run->ddr_started = true;
}

uint32_t sim_ddr_reset(struct sim_run *run)
{
	if (run->rows_phase)
		return SIM_STATUS_DDR_BUSY;
	run->rows_in.n = run->rows_out.n = 0;
	run->ddr_started = false;
	return 0;
}

/* What arrives on one side of a pair makes as many descriptors available on the other. */
static bool pass(struct mock_chip *chip, struct sim_run *run, struct sim_stream *s,
		 const struct sim_stream *other)
{
	size_t moved;
	int n;

	if (s->have == s->bytes)
		return false;
	n = sim_chan_move(chip, s->ch, s->frame + s->have, s->bytes - s->have, UINT32_MAX, &moved);
	if (n == -EIO)
		sim_channel_failed(chip, run);
	if (n <= 0)
		return false;
	s->have += moved;
	sim_chan_grant(chip, other->ch, (uint32_t)n);
	sim_inner_count(chip, run, s, moved);
	return true;
}

bool sim_rows_step(struct mock_chip *chip, struct sim_run *run, bool *finished)
{
	bool moved = false;

	*finished = true;
	for (unsigned int i = 0; i < run->rows_in.n && !run->stop && !run->failed; i++) {
		struct sim_stream *in = run->rows_in.s[i], *out = run->rows_out.s[i];

		moved |= pass(chip, run, out, in);
		if (!run->stop && !run->failed)
			moved |= pass(chip, run, in, out);
		*finished &= in->have == in->bytes && out->have == out->bytes;
	}
	*finished &= !run->stop && !run->failed;
	return moved;
}

void sim_inner_count(struct mock_chip *chip, const struct sim_run *run, const struct sim_stream *s,
		     size_t bytes)
{
	struct mock_context_stats *stats = sim_run_stats(chip, run);

	if (s->kind == SIM_BOUNDARY)
		return;
	if (sim_is_input(s->ch))
		stats->inner_read += bytes;
	else
		stats->inner_written += bytes;
}

/* ----------------------------------------------------------------------- batch switch */

static uint32_t switch_action(struct mock_chip *chip, struct sim_run *run,
			      const struct sim_act *act)
{
	struct sim_stream *s;

	switch (act->type) {
	case FW_ACT_SWITCH_LCU_BATCH:
		return 0;
	case FW_ACT_DEACTIVATE_VDMA_CHANNEL:
		return sim_inner_deactivate(chip, run, act->p, false);
	case FW_ACT_DDR_BUFFERING_RESET:
		return sim_ddr_reset(run);
	case FW_ACT_ACTIVATE_DDR_BUFFER_INPUT:
	case FW_ACT_ACTIVATE_DDR_BUFFER_OUTPUT:
	case FW_ACT_ACTIVATE_INTER_CONTEXT_OUTPUT:
		return sim_inner_activate(chip, run, act);
	case FW_ACT_ADD_DDR_PAIR_INFO:
		return sim_ddr_pair(run, act->p);
	case FW_ACT_DDR_BUFFERING_START:
		sim_ddr_start(chip, run);
		return 0;
	case FW_ACT_CHANGE_BOUNDARY_INPUT_BATCH:
		s = sim_run_stream(run, act->p[0]);
		if (!s || !sim_is_input(s->ch))
			return FW_STATUS_BAD_CHANNEL;
		if (run->multi && s->connected)
			s->credits = run->batch;
		return 0;
	case FW_ACT_BURST_CREDITS_TASK_START:
		run->burst = true;
		return 0;
	default: /* nothing else belongs here (protocol 4.6.2) */
		return FW_STATUS_BAD_ACTION;
	}
}

void sim_batch_switch(struct mock_chip *chip, struct sim_run *run)
{
	const struct sim_context *c = &chip->apps[run->app]->ctx[1];
	size_t ctx = run->ctx, act = run->act;
	uint32_t status = 0;

	run->batch = run->new_batch;
	run->new_batch = 0;
	run->ctx = 1;
	for (run->act = 0; run->act < c->nacts && !status; run->act++)
		status = switch_action(chip, run, &c->acts[run->act]);
	if (status) {
		run->act--;
		sim_run_fail(chip, run, status, "the batch cannot be switched");
	}
	run->ctx = ctx;
	run->act = act;
	run->streaming = false; /* its streams may have changed */
	run->switch_status = status;
	pthread_cond_broadcast(&chip->idle_cond);
}

bool sim_batch_switch_waits(const struct mock_chip *chip, const struct sim_run *run)
{
	const struct sim_app *app = chip->apps[run->app];
	const struct sim_context *c = &app->ctx[1];

	for (size_t i = 0; i < c->nacts; i++) {
		if (c->acts[i].type == FW_ACT_DEACTIVATE_VDMA_CHANNEL)
			return true;
	}
	return app->dynamic_contexts > 1;
}
