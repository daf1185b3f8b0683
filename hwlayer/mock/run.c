// SPDX-License-Identifier: MIT
/*
 * The run loop: preliminary list, then the dynamic contexts, executed action by action on the
 * engine thread (protocol 9.2, 9.3).  A single one ends in APPLICATION_CHANGE, where the network
 * streams.  Several are repeated for ever, a batch of frames in each: at the first wait behind
 * FETCH_DATA the context's frames pass, and the list goes on when all have.
 *
 * MODEL: an event 12 numbers contexts in the order they were sent (activation 0, batch switching 1,
 * preliminary 2 if there is one, then the dynamic ones), and actions from 0 with each member of a
 * repeated action counting for itself.
 */
#include <stdarg.h>
#include <stdio.h>

#include "mock/sim.h"

#define CREDIT_BYTES 1

enum outcome { DONE, AGAIN, BLOCKED, STREAM };

void sim_run_fail(struct mock_chip *chip, struct sim_run *run, uint32_t status, const char *fmt,
		  ...)
{
	char why[160];
	va_list ap;

	if (run->failed || run->stop)
		return;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	run->failed = true;
	sim_fault(chip, "application %u stopped, context %zu action %zu, status 0x%08x: %s",
		  run->app, run->ctx, run->act, status, why);
	sim_log(chip, true, "application %u stopped: 0x%08x", run->app, status);
	sim_event_run_time_error(chip, status, (uint8_t)run->app, 0, (uint16_t)run->ctx,
				 (uint16_t)run->act);
}

static enum outcome fail(struct mock_chip *chip, struct sim_run *run, uint32_t status,
			 const char *what)
{
	sim_run_fail(chip, run, status, "%s", what);
	return BLOCKED;
}

struct mock_context_stats *sim_run_stats(struct mock_chip *chip, const struct sim_run *run)
{
	const struct sim_app *app = chip->apps[run->app];

	return &app->ctx[run->ctx < app->nctx ? run->ctx : app->nctx - 1].stats;
}

/* One of several dynamic contexts: it has a batch, and ends. */
static bool in_one_of_several(const struct sim_run *run)
{
	return run->multi && run->ctx >= run->first_dynamic;
}

/*
 * Does an action of @type with parameter byte @at equal to @value (at < 0: any) lie ahead?  Each of
 * several contexts is configured for itself.
 */
static bool ahead(const struct mock_chip *chip, const struct sim_run *run, uint8_t type, int at,
		  uint8_t value)
{
	const struct sim_app *app = chip->apps[run->app];

	for (size_t k = run->ctx; k < (run->multi ? run->ctx + 1 : app->nctx); k++) {
		const struct sim_context *c = &app->ctx[k];

		for (size_t i = k == run->ctx ? run->act + 1 : 0; i < c->nacts; i++) {
			if (c->acts[i].type == type && (at < 0 || c->acts[i].p[at] == value))
				return true;
		}
	}
	return false;
}

/* The core must be ready once no configuration is left to come. */
static bool config_complete(struct mock_chip *chip, struct sim_run *run)
{
	return ahead(chip, run, FW_ACT_FETCH_CFG_CHANNEL_DESCRIPTORS, -1, 0) ||
	       sim_core_check(chip, run);
}

/* --------------------------------------------------------------------- config channels */

static enum outcome activate_cfg(struct mock_chip *chip, struct sim_run *run, const uint8_t *p)
{
	const struct sim_app *app = chip->apps[run->app];
	struct sim_host_buffer hbi;
	uint32_t status;

	if (p[1] >= app->cfg_count)
		return fail(chip, run, SIM_STATUS_CFG_STREAM, "config stream not in the header");
	if (p[0] != app->cfg_channel[p[1]])
		return fail(chip, run, FW_STATUS_CFG_CHANNEL, "config channel not in the header");
	if (run->cfg_stream[p[0]] >= 0 || sim_run_stream(run, p[0]))
		return fail(chip, run, SIM_STATUS_TWO_STREAMS, "config channel in use");
	sim_host_buffer(p + 2, &hbi);
	status = sim_host_buffer_check(&hbi, false);
	if (status)
		return fail(chip, run, status, "host buffer info of a config channel");
	run->cfg_stream[p[0]] = (int8_t)p[1];
	run->cfg_pattern[p[0]] = hbi.pattern;
	sim_chan_open(chip, p[0], &hbi, false);
	return DONE;
}

static enum outcome feed(struct mock_chip *chip, struct sim_run *run, unsigned int stream,
			 size_t bytes)
{
	int r;

	pthread_mutex_unlock(&chip->lock);
	r = sim_function_feed(run->fn, stream, run->stage, bytes);
	pthread_mutex_lock(&chip->lock);
	if (run->stop)
		return BLOCKED;
	if (r) {
		sim_run_fail(chip, run, FW_STATUS_CONFIG_DONE_TIMEOUT, "config stream %u: %s",
			     stream, sim_function_error(run->fn));
		return BLOCKED;
	}
	return DONE;
}

/* An ordered fault of a dynamic context's configuration. */
static void damage(struct mock_chip *chip, struct sim_run *run, size_t bytes)
{
	struct sim_order *o = sim_fault_due(chip, SIM_FAULT_CFG_CORRUPT);
	bool dynamic = run->ctx >= run->first_dynamic;

	if (!o || (o->given[0] && (!dynamic || o->arg[0] != sim_run_dynamic(run))))
		return;
	sim_fault_strike(chip, o);
	run->stage[bytes / 2] ^= 0x10;
}

/*
 * A FETCH that asks for more than the list has, or meets a descriptor that nobody programmed,
 * never ends and nobody is told: the channel shows how far it came (evidence 9, pitfall 1).
 */
static enum outcome fetch_cfg(struct mock_chip *chip, struct sim_run *run, const uint8_t *p)
{
	unsigned int count = get_le16(p), ch = p[2];
	struct sim_chan *c = &chip->chan[ch % CHIP_VDMA_CHANNELS];
	size_t bytes;
	int n;

	if (ch >= CHIP_VDMA_CHANNELS || run->cfg_stream[ch] < 0)
		return fail(chip, run, FW_STATUS_CFG_CHANNEL,
			    "fetch on a channel that is not active");
	if (!count)
		return fail(chip, run, FW_STATUS_DESC_COUNT, "fetch of 0 descriptors");
	if (!run->in_action) {
		run->in_action = true;
		run->fetch_left = count;
		sim_run_stats(chip, run)->fetches++;
		c->asked += count;
		c->host.avail = (uint16_t)c->asked;
	}
	n = sim_chan_move(chip, ch, run->stage, (size_t)SIM_BURST * CHIP_PAGE_MAX, run->fetch_left,
			  &bytes);
	if (n == -EIO) {
		char why[160];

		snprintf(why, sizeof(why), "%.159s", chip->fault);
		return fail(chip, run, SIM_STATUS_DMA_STUCK, why);
	}
	if (n <= 0) {
		if (n == 0 && (c->starved || c->pos >= c->count))
			sim_fault(chip, "config channel %u starves: %u of %u descriptors processed",
				  ch, c->pos, c->asked);
		return BLOCKED;
	}
	run->fetch_left -= (uint32_t)n;
	chip->stats.cfg_fetched[ch] += (uint32_t)n;
	chip->stats.cfg_bytes[ch] += bytes;
	sim_run_stats(chip, run)->cfg_descs += (uint32_t)n;
	sim_run_stats(chip, run)->cfg_bytes += bytes;
	damage(chip, run, bytes);
	if (feed(chip, run, (unsigned int)run->cfg_stream[ch], bytes) != DONE)
		return BLOCKED;
	if (run->fetch_left)
		return AGAIN;
	/* The firmware is woken by the device interrupt of the last descriptor (protocol 5.5). */
	if ((c->last_ctrl & (CHIP_DESC_IRQ_PROCESSED | CHIP_DESC_IRQ_DEVICE)) !=
	    (CHIP_DESC_IRQ_PROCESSED | CHIP_DESC_IRQ_DEVICE))
		return fail(chip, run, SIM_STATUS_WAIT_TIMEOUT,
			    "the last descriptor of a fetch has no device interrupt");
	return DONE;
}

static enum outcome deactivate_cfg(struct mock_chip *chip, struct sim_run *run, const uint8_t *p)
{
	unsigned int ch = p[0];
	const struct sim_chan *c = &chip->chan[ch % CHIP_VDMA_CHANNELS];

	if (ch >= CHIP_VDMA_CHANNELS || run->cfg_stream[ch] != p[1])
		return fail(chip, run, FW_STATUS_CFG_CHANNEL, "config channel was not active");
	/* A stream that a later context activates again has more to deliver there. */
	if (!ahead(chip, run, FW_ACT_ACTIVATE_CFG_CHANNEL, 1, p[1]) &&
	    !sim_function_stream_done(run->fn, p[1])) {
		sim_run_fail(chip, run, FW_STATUS_CONFIG_UNFINISHED,
			     "config stream %u ends after %u descriptors, the core wants more",
			     p[1], c->pos);
		return BLOCKED;
	}
	if ((uint64_t)c->pos * c->page != run->cfg_pattern[ch])
		return fail(chip, run, FW_STATUS_DESC_COUNT,
			    "bytes_in_pattern is not page times fetched descriptors");
	run->cfg_stream[ch] = -1;
	sim_chan_abort(chip, ch);
	return DONE;
}

/* ------------------------------------------------------------------- boundary channels */

/*
 * With KO_RUN_ASAP the preliminary list has done all this before while the host already queues
 * frames, so connecting again changes nothing (protocol 9.3).
 */
static enum outcome activate_boundary(struct mock_chip *chip, struct sim_run *run, const uint8_t *p,
				      bool out)
{
	struct sim_stream *s = sim_run_stream(run, p[0]);
	struct sim_host_buffer hbi;
	uint32_t status;

	if (!s)
		return fail(chip, run, FW_STATUS_BAD_CHANNEL, "boundary channel was not opened");
	if ((p[0] >= CHIP_VDMA_FIRST_D2H) != out)
		return fail(chip, run, FW_STATUS_BAD_DIRECTION, "direction of a boundary channel");
	sim_host_buffer(p + (out ? 20 : 19), &hbi);
	status = sim_host_buffer_check(&hbi, true);
	if (status)
		return fail(chip, run, status, "host buffer info of a boundary channel");
	if (s->stream_known && s->stream_index != p[1])
		return fail(chip, run, SIM_STATUS_TWO_STREAMS, "two streams on one channel");
	s->stream_index = p[1];
	s->stream_known = s->connected = true;
	s->list = hbi.list;
	s->page = hbi.page;
	s->count = hbi.count;
	return DONE;
}

static enum outcome resume(struct mock_chip *chip, struct sim_run *run, const uint8_t *p, bool on)
{
	struct sim_stream *s = sim_run_stream(run, p[0]);

	if (!s)
		return fail(chip, run, FW_STATUS_BAD_CHANNEL,
			    "resume or pause of an unknown channel");
	if (p[1] != (p[0] < CHIP_VDMA_FIRST_D2H ? 1 : 2))
		return fail(chip, run, SIM_STATUS_ACTION_DIRECTION,
			    "direction of a resume or pause");
	s->resumed = on;
	return DONE;
}

/*
 * Every boundary channel is mapped in each of several contexts: to its own stream where it is
 * active, elsewhere to one of the opposite direction as a dummy, which closes it (protocol 4.6.4).
 */
static enum outcome map(struct mock_chip *chip, struct sim_run *run, const uint8_t *p)
{
	struct sim_stream *s = sim_run_stream(run, p[0]);
	bool found = false;

	if (!s)
		return fail(chip, run, FW_STATUS_BAD_CHANNEL, "mapping of an unknown channel");
	if (!run->multi)
		return DONE;
	if (!p[2]) {
		if (!s->connected || s->stream_index != p[1])
			return fail(chip, run, SIM_STATUS_TWO_LAYERS,
				    "mapping to a stream that is not active on the channel");
		s->mapped = true;
		s->dummy = false;
		return DONE;
	}
	for (unsigned int ch = 0; ch < CHIP_VDMA_CHANNELS; ch++) {
		const struct sim_stream *o = sim_run_stream(run, ch);

		if (!o)
			o = &run->inner[ch];
		found |= o->connected && sim_is_input(ch) != sim_is_input(s->ch) &&
			 o->stream_index == p[1];
	}
	if (!found || s->connected)
		return fail(chip, run, SIM_STATUS_TWO_LAYERS,
			    s->connected
				? "dummy mapping of a channel that is active"
				: "dummy mapping to a stream that the context does not have");
	s->mapped = s->dummy = true;
	return DONE;
}

static bool all_mapped(const struct sim_run *run)
{
	for (unsigned int i = 0; i < run->nin; i++) {
		if (!run->in[i].mapped)
			return false;
	}
	for (unsigned int i = 0; i < run->nout; i++) {
		if (!run->out[i].mapped)
			return false;
	}
	return true;
}

static uint32_t fetch_boundary(struct sim_run *run, struct sim_stream *s, const uint8_t *p)
{
	if (!sim_is_input(s->ch) || !s->connected || s->stream_index != p[1])
		return FW_STATUS_BAD_CHANNEL;
	if (p[7] != CREDIT_BYTES)
		return SIM_STATUS_CREDIT_TYPE;
	if (p[8])
		return SIM_STATUS_BUFFER_TYPE;
	if (get_le32(p + 3) != s->frame_periph)
		return SIM_STATUS_CREDIT_SIZE;
	if (run->multi)
		s->credits = run->batch;
	else
		s->credits++;
	return 0;
}

static enum outcome fetch_data(struct mock_chip *chip, struct sim_run *run, const uint8_t *p)
{
	struct sim_stream *s = sim_run_stream(run, p[0]);
	uint32_t status;

	if (in_one_of_several(run) && !all_mapped(run))
		return fail(chip, run, SIM_STATUS_TWO_STREAMS,
			    "data flows before every boundary channel was mapped");
	status = s ? fetch_boundary(run, s, p) : sim_inner_fetch(chip, run, p);
	if (status)
		return fail(chip, run, status, "fetch data from a channel");
	/* With KO_RUN_ASAP the first of several contexts comes only after this one. */
	if ((!run->multi || in_one_of_several(run)) && !config_complete(chip, run))
		return BLOCKED;
	run->flowing = in_one_of_several(run);
	return DONE;
}

/* ------------------------------------------------------------------------------- waits */

static const struct sim_stream *stream_on(struct sim_run *run, unsigned int ch)
{
	const struct sim_stream *s = sim_run_stream(run, ch);

	return s || ch >= CHIP_VDMA_CHANNELS ? s : &run->inner[ch];
}

/* The frames of the batch have yet to pass. */
static bool batch_left(const struct sim_run *run)
{
	return in_one_of_several(run) && run->flowing && run->done < run->batch;
}

/* The last descriptor of a batch wakes the firmware (protocol 5.8); a smaller batch ends before it.
 */
static bool woken(const struct mock_chip *chip, const struct sim_run *run,
		  const struct sim_stream *s)
{
	const uint8_t want = CHIP_DESC_IRQ_PROCESSED | CHIP_DESC_IRQ_DEVICE;

	return s->kind != SIM_INTER_CONTEXT || sim_is_input(s->ch) ||
	       run->batch != chip->apps[run->app]->batch ||
	       (chip->chan[s->ch].last_ctrl & want) == want;
}

/* 18, 19 and 25 name a channel and its stream; @flag is where they say that it is inner. */
static enum outcome wait_stream(struct mock_chip *chip, struct sim_run *run, const uint8_t *p,
				unsigned int flag)
{
	const struct sim_stream *s;

	if (!in_one_of_several(run))
		return DONE;
	s = stream_on(run, p[0]);
	if (!s || !s->connected || s->stream_index != p[1])
		return fail(chip, run, FW_STATUS_BAD_CHANNEL,
			    "wait for a channel that is not active");
	if (p[flag] != (s->kind == SIM_INTER_CONTEXT) || p[flag + 1])
		return fail(chip, run, SIM_STATUS_BUFFER_TYPE, "wait for another kind of channel");
	if (batch_left(run))
		return STREAM;
	if (run->flowing && !woken(chip, run, s))
		return fail(chip, run, SIM_STATUS_WAIT_TIMEOUT,
			    "the last descriptor of a batch has no device interrupt");
	return DONE;
}

/* 0: done, else a status. */
static enum outcome checked(struct mock_chip *chip, struct sim_run *run, uint32_t status,
			    const char *what)
{
	return status ? fail(chip, run, status, what) : DONE;
}

/* --------------------------------------------------------------------------- execution */

static enum outcome sleep_action(struct sim_run *run, const uint8_t *p)
{
	if (!run->in_action) {
		run->in_action = true;
		run->wake_ns = util_now_ns() + get_le32(p) * 1000ull;
	}
	if (util_now_ns() < run->wake_ns)
		return BLOCKED;
	run->wake_ns = 0;
	return DONE;
}

static enum outcome execute(struct mock_chip *chip, struct sim_run *run, const struct sim_act *act)
{
	switch (act->type) {
	case FW_ACT_ACTIVATE_CFG_CHANNEL:
		return activate_cfg(chip, run, act->p);
	case FW_ACT_FETCH_CFG_CHANNEL_DESCRIPTORS:
		return fetch_cfg(chip, run, act->p);
	case FW_ACT_DEACTIVATE_CFG_CHANNEL:
		return deactivate_cfg(chip, run, act->p);
	case FW_ACT_ACTIVATE_BOUNDARY_INPUT:
	case FW_ACT_ACTIVATE_BOUNDARY_OUTPUT:
		return activate_boundary(chip, run, act->p,
					 act->type == FW_ACT_ACTIVATE_BOUNDARY_OUTPUT);
	case FW_ACT_ACTIVATE_INTER_CONTEXT_INPUT:
	case FW_ACT_ACTIVATE_INTER_CONTEXT_OUTPUT:
	case FW_ACT_ACTIVATE_DDR_BUFFER_INPUT:
	case FW_ACT_ACTIVATE_DDR_BUFFER_OUTPUT:
		return checked(chip, run, sim_inner_activate(chip, run, act),
			       "activation of an internal channel");
	case FW_ACT_DEACTIVATE_VDMA_CHANNEL:
	case FW_ACT_VALIDATE_VDMA_CHANNEL:
		if (batch_left(run)) /* nothing in the list waited for it */
			return STREAM;
		return checked(chip, run,
			       sim_inner_deactivate(chip, run, act->p,
						    act->type == FW_ACT_VALIDATE_VDMA_CHANNEL),
			       "end of an internal channel");
	case FW_ACT_CHANGE_VDMA_TO_STREAM_MAPPING:
		return map(chip, run, act->p);
	case FW_ACT_ADD_DDR_PAIR_INFO:
		return checked(chip, run, sim_ddr_pair(run, act->p), "pair of buffered rows");
	case FW_ACT_DDR_BUFFERING_START:
		sim_ddr_start(chip, run);
		return DONE;
	case FW_ACT_DDR_BUFFERING_RESET:
		return checked(chip, run, sim_ddr_reset(run), "reset of buffered rows");
	case FW_ACT_INPUT_CHANNEL_TRANSFER_DONE:
	case FW_ACT_OUTPUT_CHANNEL_TRANSFER_DONE:
		return wait_stream(chip, run, act->p, 3);
	case FW_ACT_WAIT_FOR_DMA_IDLE:
		return wait_stream(chip, run, act->p, 2);
	case FW_ACT_ENABLE_NMS:
		run->nms.classes = get_le16(act->p + 2);
		run->nms.burst = get_le16(act->p + 4);
		run->nms.chunks = act->p[6];
		return DONE;
	case FW_ACT_LCU_INTERRUPT:
	case FW_ACT_WAIT_FOR_NMS:
		return batch_left(run) ? STREAM : DONE;
	case FW_ACT_RESUME_VDMA_CHANNEL:
	case FW_ACT_PAUSE_VDMA_CHANNEL:
		if (act->type == FW_ACT_PAUSE_VDMA_CHANNEL && batch_left(run))
			return STREAM;
		return resume(chip, run, act->p, act->type == FW_ACT_RESUME_VDMA_CHANNEL);
	case FW_ACT_FETCH_DATA_FROM_VDMA_CHANNEL:
		return fetch_data(chip, run, act->p);
	case FW_ACT_BURST_CREDITS_TASK_START:
		run->burst = true;
		return DONE;
	case FW_ACT_SLEEP:
		return sleep_action(run, act->p);
	case FW_ACT_HALT:
	case FW_ACT_APPLICATION_CHANGE_INTERRUPT:
		return STREAM;
	case FW_ACT_REPEATED_ACTION: /* unrolled long ago */
	case FW_ACT_FETCH_CCW_BURSTS:
	case FW_ACT_OPEN_BOUNDARY_INPUT_CHANNEL:
	case FW_ACT_OPEN_BOUNDARY_OUTPUT_CHANNEL:
	case FW_ACT_ACTIVATE_CACHE_INPUT:
	case FW_ACT_ACTIVATE_CACHE_OUTPUT:
	case FW_ACT_WAIT_FOR_CACHE_UPDATED:
		return fail(chip, run, FW_STATUS_BAD_ACTION, "action that does not belong here");
	default: /* recorded only, or a wait that is satisfied at once */
		return DONE;
	}
}

/* ---------------------------------------------------------------------------- contexts */

/* Which stream each output carries is known only from the contexts that activate it. */
static void name_outputs(const struct mock_chip *chip, struct sim_run *run)
{
	const struct sim_app *app = chip->apps[run->app];

	for (size_t k = run->first_dynamic; k < app->nctx; k++) {
		for (size_t i = 0; i < app->ctx[k].nacts; i++) {
			const struct sim_act *act = &app->ctx[k].acts[i];
			struct sim_stream *s = act->type == FW_ACT_ACTIVATE_BOUNDARY_OUTPUT
						   ? sim_run_stream(run, act->p[0])
						   : NULL;

			if (s && !s->stream_known) {
				s->stream_index = act->p[1];
				s->stream_known = true;
			}
		}
	}
}

static bool begin_run(struct mock_chip *chip, struct sim_run *run)
{
	const struct sim_app *app = chip->apps[run->app];

	run->fn = sim_function_new(chip, app);
	if (!run->fn) {
		sim_run_fail(chip, run, SIM_STATUS_CONTEXT_MEMORY, "no memory for a core");
		return false;
	}
	run->multi = app->dynamic_contexts > 1;
	run->first_dynamic = app->nctx - app->dynamic_contexts;
	for (size_t k = 0; k < app->nctx; k++)
		app->ctx[k].stats = (struct mock_context_stats){0};
	name_outputs(chip, run);
	return true;
}

static bool begin_context(struct mock_chip *chip, struct sim_run *run)
{
	int r;

	run->entered = true;
	run->rows_in.n = run->rows_out.n = 0;
	run->ddr_started = false;
	if (!run->multi)
		return true;
	pthread_mutex_unlock(&chip->lock);
	r = sim_function_begin(run->fn, run->ctx - run->first_dynamic);
	pthread_mutex_lock(&chip->lock);
	if (run->stop)
		return false;
	if (r) {
		sim_run_fail(chip, run, SIM_STATUS_CONTEXT_MEMORY, "no memory for a core");
		return false;
	}
	run->ready = run->streaming = run->flowing = run->burst = false;
	run->done = 0;
	for (unsigned int i = 0; i < run->nin + run->nout; i++) {
		struct sim_stream *s = i < run->nin ? &run->in[i] : &run->out[i - run->nin];

		s->connected = s->mapped = s->dummy = false;
		s->credits = s->taken = 0;
	}
	return true;
}

/* The end of one of several contexts; false: the network stopped. */
static bool end_context(struct mock_chip *chip, struct sim_run *run)
{
	if (!run->flowing) {
		sim_run_fail(chip, run, FW_STATUS_BAD_ACTION, "no data flows in the context");
		return false;
	}
	for (unsigned int ch = 0; ch < CHIP_VDMA_CHANNELS; ch++) {
		if (run->inner[ch].connected || run->cfg_stream[ch] >= 0) {
			sim_run_fail(chip, run, SIM_STATUS_CHANNEL_BUSY,
				     "channel %u is still active at the end of the context", ch);
			return false;
		}
	}
	sim_run_stats(chip, run)->passes++;
	return true;
}

static bool next_context(struct mock_chip *chip, struct sim_run *run)
{
	const struct sim_app *app = chip->apps[run->app];

	if (in_one_of_several(run)) {
		if (batch_left(run))
			return sim_stream_step(chip, run);
		if (!end_context(chip, run))
			return false;
	} else if (app->ctx[run->ctx].type == FW_CONTEXT_PRELIMINARY && !run->multi &&
		   !config_complete(chip, run)) {
		return false;
	}
	run->ctx++;
	if (run->multi && run->ctx == app->nctx)
		run->ctx = run->first_dynamic;
	run->act = 0;
	run->entered = false;
	return true;
}

/* One action or one round of streaming; false: nothing to do until something happens. */
static bool step(struct mock_chip *chip, struct sim_run *run)
{
	const struct sim_app *app = chip->apps[run->app];
	const struct sim_context *c;

	if (run->failed)
		return false;
	if (!run->fn)
		return begin_run(chip, run);
	if (run->new_batch && sim_stream_idle(run)) {
		sim_batch_switch(chip, run);
		return true;
	}
	if (run->ctx == app->nctx)
		return sim_stream_step(chip, run);
	c = &app->ctx[run->ctx];
	if (c->type == FW_CONTEXT_DYNAMIC && !run->entered)
		return begin_context(chip, run);
	if (run->act == c->nacts)
		return next_context(chip, run);
	switch (execute(chip, run, &c->acts[run->act])) {
	case DONE:
		if (run->stop)
			return false;
		run->act++;
		run->in_action = false;
		return true;
	case AGAIN:
		return true;
	case STREAM:
		return sim_stream_step(chip, run);
	default:
		return false;
	}
}

void *sim_engine_main(void *arg)
{
	struct mock_chip *chip = arg;

	pthread_mutex_lock(&chip->lock);
	while (!chip->quit) {
		struct sim_run *run = chip->run;
		unsigned int kicks = chip->eng_kicks;
		bool busy = false;

		if (run && run->stop) {
			chip->run = NULL;
			pthread_mutex_unlock(&chip->lock);
			sim_run_free(run);
			pthread_mutex_lock(&chip->lock);
			continue;
		}
		if (!run && chip->next_run) {
			run = chip->run = chip->next_run;
			chip->next_run = NULL;
		}
		if (run && !sim_fault_dead(chip))
			busy = step(chip, run);
		if (chip->msi_owed)
			sim_irq_flush(chip);
		/* A step drops the lock at times; what was queued then may be all that will come.
		 */
		else if (!busy && kicks == chip->eng_kicks && !(run && run->stop) && !chip->quit)
			sim_wait(chip, &chip->eng_cond, run && !run->failed ? run->wake_ns : 0);
	}
	pthread_mutex_unlock(&chip->lock);
	return NULL;
}
