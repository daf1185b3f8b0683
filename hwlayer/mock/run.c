// SPDX-License-Identifier: MIT
/*
 * The run loop: preliminary list, then dynamic context 0, executed action by action on the engine
 * thread (protocol 9.2, 9.3), until APPLICATION_CHANGE, where the network streams.
 *
 * MODEL: an event 12 numbers contexts in the order they were sent (activation 0, batch switching 1,
 * preliminary 2 if there is one, then the dynamic ones), and actions from 0 with each member of a
 * repeated action counting for itself.
 */
#include <stdarg.h>
#include <stdio.h>

#include "mock/sim.h"

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

/* Does an action of @type with parameter byte @at equal to @value (at < 0: any) lie ahead? */
static bool ahead(const struct mock_chip *chip, const struct sim_run *run, uint8_t type, int at,
		  uint8_t value)
{
	const struct sim_app *app = chip->apps[run->app];

	for (size_t k = run->ctx; k < app->nctx; k++) {
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

static enum outcome fetch_data(struct mock_chip *chip, struct sim_run *run, const uint8_t *p)
{
	struct sim_stream *s = p[0] < CHIP_VDMA_FIRST_D2H ? sim_run_stream(run, p[0]) : NULL;

	if (!s || !s->connected || s->stream_index != p[1])
		return fail(chip, run, FW_STATUS_BAD_CHANNEL,
			    "fetch data from an inactive channel");
	if (!config_complete(chip, run))
		return BLOCKED;
	s->credits++;
	return DONE;
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
	case FW_ACT_RESUME_VDMA_CHANNEL:
	case FW_ACT_PAUSE_VDMA_CHANNEL:
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

/* One action or one round of streaming; false: nothing to do until something happens. */
static bool step(struct mock_chip *chip, struct sim_run *run)
{
	const struct sim_app *app = chip->apps[run->app];
	const struct sim_context *c;

	if (run->failed)
		return false;
	if (!run->fn) {
		run->fn = sim_function_new(chip);
		if (!run->fn)
			sim_run_fail(chip, run, SIM_STATUS_CONTEXT_MEMORY, "no memory for a core");
		return run->fn;
	}
	if (run->ctx == app->nctx)
		return sim_stream_step(chip, run);
	c = &app->ctx[run->ctx];
	if (run->act == c->nacts) {
		if (c->type == FW_CONTEXT_PRELIMINARY && !config_complete(chip, run))
			return false;
		run->ctx++;
		run->act = 0;
		return true;
	}
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
		/* A step drops the lock at times; what was queued then may be all that will come. */
		else if (!busy && kicks == chip->eng_kicks && !(run && run->stop) && !chip->quit)
			sim_wait(chip, &chip->eng_cond, run && !run->failed ? run->wake_ns : 0);
	}
	pthread_mutex_unlock(&chip->lock);
	return NULL;
}
