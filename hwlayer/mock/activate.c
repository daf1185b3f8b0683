// SPDX-License-Identifier: MIT
/*
 * CHANGE_CONTEXT_SWITCH_STATUS (protocol 5.9, 9.2; pcie 11.8): starting, switching and stopping
 * applications.  The activation list runs here, before the answer; the rest is the engine's.
 */
#include "mock/sim.h"

#define SWITCH_TIMEOUT_NS 500000000ull /* MODEL: a batch switch waits so long for an idle network  \
					*/

/* ------------------------------------------------------------------------------- runs */

struct sim_run *sim_active(struct mock_chip *chip)
{
	if (chip->next_run)
		return chip->next_run;
	return chip->run && !chip->run->stop ? chip->run : NULL;
}

struct sim_stream *sim_run_stream(struct sim_run *run, unsigned int ch)
{
	bool out = ch >= CHIP_VDMA_FIRST_D2H;
	struct sim_stream *s = out ? run->out : run->in;
	unsigned int n = out ? run->nout : run->nin;

	for (unsigned int i = 0; i < n; i++) {
		if (s[i].ch == ch)
			return &s[i];
	}
	return NULL;
}

void sim_run_free(struct sim_run *run)
{
	if (!run)
		return;
	for (unsigned int i = 0; i < run->nin; i++)
		free(run->in[i].frame);
	for (unsigned int i = 0; i < run->nout; i++)
		free(run->out[i].frame);
	for (unsigned int i = 0; i < CHIP_VDMA_CHANNELS; i++)
		free(run->inner[i].frame);
	sim_function_free(run->fn);
	free(run->stage);
	free(run);
}

static struct sim_run *run_new(unsigned int app, uint16_t batch)
{
	struct sim_run *run = calloc(1, sizeof(*run));

	if (!run)
		return NULL;
	run->app = app;
	run->batch = batch;
	run->ctx = 2; /* behind activation and batch switching, which every application has */
	memset(run->cfg_stream, -1, sizeof(run->cfg_stream));
	run->stage = malloc((size_t)SIM_BURST * CHIP_PAGE_MAX);
	if (!run->stage) {
		free(run);
		return NULL;
	}
	return run;
}

void sim_quiesce(struct mock_chip *chip)
{
	sim_run_free(chip->next_run); /* it never started, so it has no core */
	chip->next_run = NULL;
	if (chip->run)
		chip->run->stop = true;
	for (unsigned int ch = 0; ch < CHIP_VDMA_CHANNELS; ch++)
		sim_chan_abort(chip, ch);
	sim_engine_kick(chip);
	while (chip->dma_busy && !chip->quit)
		sim_wait(chip, &chip->idle_cond, 0);
}

/* -------------------------------------------------------------------- activation list */

/* 32 OPEN_BOUNDARY_INPUT and 33 OPEN_BOUNDARY_OUTPUT. */
static uint32_t open_boundary(struct mock_chip *chip, struct sim_run *run,
			      const struct sim_act *act)
{
	bool out = act->type == FW_ACT_OPEN_BOUNDARY_OUTPUT_CHANNEL;
	struct sim_stream *s = out ? &run->out[run->nout] : &run->in[run->nin];
	unsigned int ch = act->p[0];
	struct sim_host_buffer hbi;
	uint32_t status;

	if (ch >= CHIP_VDMA_CHANNELS)
		return FW_STATUS_BAD_CHANNEL;
	if ((ch >= CHIP_VDMA_FIRST_D2H) != out)
		return FW_STATUS_BAD_DIRECTION;
	if (sim_run_stream(run, ch)) /* also keeps the tables from overflowing */
		return SIM_STATUS_TWO_STREAMS;
	sim_host_buffer(act->p + 1, &hbi);
	status = sim_host_buffer_check(&hbi, true);
	if (status)
		return status;
	*s = (struct sim_stream){
	    .ch = (uint8_t)ch, .pattern = hbi.pattern, .bytes = hbi.pattern, .port = -1};
	if (!out) {
		s->stream_index = act->p[20];
		s->stream_known = true;
		s->frame_periph = get_le32(act->p + 24);
	}
	s->frame = calloc(1, hbi.pattern);
	if (!s->frame)
		return SIM_STATUS_CONTEXT_MEMORY;
	if (out)
		run->nout++;
	else
		run->nin++;
	sim_chan_open(chip, ch, &hbi, true);
	return 0;
}

static uint32_t run_activation(struct mock_chip *chip, struct sim_run *run)
{
	const struct sim_context *c = &chip->apps[run->app]->ctx[0];
	uint32_t status = 0;

	for (size_t i = 0; i < c->nacts && !status; i++) {
		switch (c->acts[i].type) {
		case FW_ACT_OPEN_BOUNDARY_INPUT_CHANNEL:
		case FW_ACT_OPEN_BOUNDARY_OUTPUT_CHANNEL:
			status = open_boundary(chip, run, &c->acts[i]);
			break;
		case FW_ACT_BURST_CREDITS_TASK_RESET:
		case FW_ACT_DDR_BUFFERING_RESET:
			break;
		default: /* nothing else belongs here (protocol 4.6.1) */
			status = FW_STATUS_BAD_ACTION;
		}
		if (status)
			sim_fault(chip, "activation action %zu (type %u): status 0x%08x", i,
				  c->acts[i].type, status);
	}
	return status;
}

/* ---------------------------------------------------------------------------- control */

/* What lives inside contexts is opened anew for another batch, so no frame may be inside. */
static uint32_t switch_when_idle(struct mock_chip *chip, struct sim_run *run, uint16_t batch)
{
	uint64_t give_up = util_now_ns() + SWITCH_TIMEOUT_NS;
	unsigned int epoch = chip->epoch;

	run->new_batch = batch;
	sim_engine_kick(chip);
	while (chip->epoch == epoch && !chip->quit && (chip->run == run || chip->next_run == run)) {
		if (run->stop || run->failed)
			return SIM_STATUS_CHANGE_NOT_ALLOWED;
		if (!run->new_batch)
			return run->switch_status;
		if (util_now_ns() >= give_up) {
			run->new_batch = 0;
			return SIM_STATUS_NOT_IDLE;
		}
		sim_wait(chip, &chip->idle_cond, give_up);
	}
	return 0; /* reset meanwhile: nobody will see this answer */
}

/* The same application again with fast batch switch: channels and their counters stay. */
static uint32_t switch_batch(struct mock_chip *chip, struct sim_run *run, uint16_t batch)
{
	const struct sim_context *c = &chip->apps[run->app]->ctx[1];

	if (run->failed)
		return SIM_STATUS_CHANGE_NOT_ALLOWED;
	for (size_t i = 0; i < c->nacts; i++) {
		if (c->acts[i].type == FW_ACT_CHANGE_BOUNDARY_INPUT_BATCH &&
		    !sim_run_stream(run, c->acts[i].p[0]))
			return FW_STATUS_BAD_CHANNEL;
	}
	if (!sim_batch_switch_waits(chip, run)) {
		run->batch = batch;
		return 0;
	}
	return switch_when_idle(chip, run, batch);
}

static uint32_t start(struct mock_chip *chip, unsigned int index, uint16_t batch)
{
	unsigned int epoch = chip->epoch;
	struct sim_run *run;
	uint32_t status;

	sim_quiesce(chip);
	if (chip->epoch != epoch)
		return 0; /* reset meanwhile: nobody will see this answer */
	run = run_new(index, batch);
	if (!run)
		return SIM_STATUS_CONTEXT_MEMORY;
	memset(chip->stats.cfg_fetched, 0, sizeof(chip->stats.cfg_fetched));
	memset(chip->stats.cfg_bytes, 0, sizeof(chip->stats.cfg_bytes));
	status = run_activation(chip, run);
	if (status) {
		sim_run_free(run);
		for (unsigned int ch = 0; ch < CHIP_VDMA_CHANNELS; ch++)
			sim_chan_abort(chip, ch);
		return status;
	}
	sim_log(chip, true, "application %u enabled, batch %u", index, batch);
	chip->next_run = run;
	sim_engine_kick(chip);
	return 0;
}

static uint32_t enable(struct mock_chip *chip, unsigned int index, uint16_t batch)
{
	const struct sim_app *app = index < chip->napps ? chip->apps[index] : NULL;
	struct sim_run *active = sim_active(chip);

	if (!app)
		return FW_STATUS_BAD_APP;
	if (!app->complete)
		return FW_STATUS_CONFIG_UNFINISHED;
	if (chip->faults.too_hot)
		return SIM_STATUS_TOO_HOT;
	if (batch > app->batch)
		return FW_STATUS_BAD_BATCH;
	if (!batch)
		batch = app->batch;
	if (active && active->app == index && app->fast_batch_switch)
		return switch_batch(chip, active, batch);
	return start(chip, index, batch);
}

static uint32_t lengths(const struct sim_request *req)
{
	static const struct {
		size_t len;
		uint32_t status;
	} want[4] = {
	    {1, FW_STATUS_BAD_STATE_LENGTH},
	    {1, FW_STATUS_BAD_APP_LENGTH},
	    {2, FW_STATUS_BAD_BATCH_LENGTH},
	    {2, FW_STATUS_BAD_BATCH_COUNT_LENGTH},
	};

	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		if (req->param[i].len != want[i].len)
			return want[i].status;
	}
	return 0;
}

uint32_t sim_switch_status(struct mock_chip *chip, const struct sim_request *req)
{
	uint32_t status = lengths(req);

	if (status)
		return status;
	switch (*req->param[0].ptr) {
	case FW_SWITCH_RESET:
		sim_quiesce(chip);
		return 0;
	case FW_SWITCH_ENABLED:
		return enable(chip, *req->param[1].ptr, get_le16(req->param[2].ptr));
	default: /* PAUSED was never seen; what it does is unknown (protocol 9.5 no 12) */
		return FW_STATUS_BAD_STATE;
	}
}
