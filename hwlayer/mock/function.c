// SPDX-License-Identifier: MIT
/*
 * What computes the frames of a run.  A network in the software chip's own format goes to the core.
 * The microcode of a compiler's network nobody outside can execute: everything around it happens as
 * ever, and a stand-in makes the outputs, a fixed pattern or an ONNX model (standin.c).
 *
 * A network of several dynamic contexts has one part for each, with a core of its own that is
 * configured anew on every pass, and one for its preliminary context.  A single context and its
 * preliminary one are one part, configured once.
 *
 * The first bytes of each config channel decide (payload_is_ours()); until a channel has brought
 * them it is undecided, and all channels of a run must say the same.
 */
#include <stdio.h>

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "mock/pattern.h"
#include "mock/payload.h"
#include "mock/sim.h"
#include "mock/standin.h"

enum kind { UNDECIDED, PAYLOAD, MICROCODE };

struct part {
	struct {
		enum kind kind;
		uint8_t head[PAYLOAD_HEAD];
		size_t have;
		XXH3_state_t *digest;
		uint64_t first; /* digest of the first pass */
	} stream[FW_CFG_CHANNELS_MAX];
	enum kind kind;
	bool passed; /* configured completely before */
	uint32_t frame; /* since ENABLED */
	struct core *core;
};

struct sim_function {
	size_t nparts;
	struct part *part, *now;
	enum kind kind; /* of all parts that were decided */
	unsigned int threads;
	bool fetches; /* some context fetches configuration */
	struct standin *onnx; /* NULL: the pattern */
	struct {
		uint8_t *bytes; /* a batch of what arrived on it, for the model */
		bool here;	/* in this pass */
	} kept[CHIP_VDMA_CHANNELS];
	struct core_port ports[CHIP_VDMA_CHANNELS];
	char why[96];
};

static int part_reset(struct sim_function *fn, struct part *p)
{
	if (p->core)
		core_free(p->core);
	p->core = core_new(fn->threads);
	p->kind = UNDECIDED;
	for (unsigned int s = 0; s < FW_CFG_CHANNELS_MAX; s++) {
		p->stream[s].kind = UNDECIDED;
		p->stream[s].have = 0;
		if (!p->stream[s].digest)
			p->stream[s].digest = XXH3_createState();
		if (!p->stream[s].digest)
			return -ENOMEM;
		XXH3_64bits_reset(p->stream[s].digest);
	}
	return p->core ? 0 : -ENOMEM;
}

static bool has_fetch(const struct sim_app *app)
{
	for (size_t k = 0; k < app->nctx; k++)
		for (size_t i = 0; i < app->ctx[k].nacts; i++)
			if (app->ctx[k].acts[i].type == FW_ACT_FETCH_CFG_CHANNEL_DESCRIPTORS)
				return true;
	return false;
}

struct sim_function *sim_function_new(struct mock_chip *chip, const struct sim_app *app)
{
	struct sim_function *fn = calloc(1, sizeof(*fn));

	if (!fn)
		return NULL;
	fn->threads = chip->opts.core_threads ? chip->opts.core_threads : 1;
	fn->nparts = app->dynamic_contexts > 1 ? 1u + app->dynamic_contexts : 1;
	fn->part = calloc(fn->nparts, sizeof(*fn->part));
	fn->now = fn->part;
	if (!fn->part || part_reset(fn, fn->now)) {
		sim_function_free(fn);
		return NULL;
	}
	fn->fetches = has_fetch(app);
	fn->onnx = standin_get(chip->apps[chip->run->app]->standin);
	return fn;
}

void sim_function_free(struct sim_function *fn)
{
	if (!fn)
		return;
	for (size_t i = 0; fn->part && i < fn->nparts; i++) {
		if (fn->part[i].core)
			core_free(fn->part[i].core);
		for (unsigned int s = 0; s < FW_CFG_CHANNELS_MAX; s++)
			XXH3_freeState(fn->part[i].stream[s].digest);
	}
	free(fn->part);
	for (unsigned int ch = 0; ch < CHIP_VDMA_CHANNELS; ch++)
		free(fn->kept[ch].bytes);
	standin_put(fn->onnx);
	free(fn);
}

int sim_function_begin(struct sim_function *fn, size_t dynamic)
{
	if (fn->nparts == 1)
		return 0;
	for (unsigned int ch = 0; !dynamic && ch < CHIP_VDMA_CHANNELS; ch++)
		fn->kept[ch].here = false;
	fn->now = &fn->part[1 + dynamic];
	return part_reset(fn, fn->now);
}

const char *sim_function_error(const struct sim_function *fn)
{
	return fn->why[0] ? fn->why : core_error(fn->now->core);
}

bool sim_function_is_standin(const struct sim_function *fn)
{
	return fn->kind == MICROCODE;
}

/* ----------------------------------------------------------------------- configuration */

static bool in_preliminary(const struct sim_function *fn)
{
	return fn->nparts > 1 && fn->now == fn->part;
}

/* Enough of @stream is known, or no more will come: what is it?  The core gets what was held back.
 */
static int decide(struct sim_function *fn, unsigned int stream)
{
	struct part *p = fn->now;
	const uint8_t *head = p->stream[stream].head;
	size_t have = p->stream[stream].have;
	enum kind kind = payload_is_ours(head, have) ? PAYLOAD : MICROCODE;

	p->stream[stream].kind = kind;
	if (kind == PAYLOAD && in_preliminary(fn)) {
		snprintf(fn->why, sizeof(fn->why),
			 "channel %u carries a part of a network before its context", stream);
		return -EBADMSG;
	}
	if (fn->kind != UNDECIDED && fn->kind != kind) {
		snprintf(fn->why, sizeof(fn->why), "channel %u carries %s, another one does not",
			 stream, kind == PAYLOAD ? "a software chip's network" : "microcode");
		return -EBADMSG;
	}
	fn->kind = p->kind = kind;
	return kind == PAYLOAD ? core_feed(p->core, stream, head, have) : 0;
}

int sim_function_feed(struct sim_function *fn, unsigned int stream, const uint8_t *data, size_t len)
{
	struct part *p = fn->now;
	size_t n;
	int r = 0;

	if (fn->why[0])
		return -EBADMSG;
	XXH3_64bits_update(p->stream[stream].digest, data, len);
	if (p->stream[stream].kind == UNDECIDED) {
		n = PAYLOAD_HEAD - p->stream[stream].have;
		n = n < len ? n : len;
		memcpy(p->stream[stream].head + p->stream[stream].have, data, n);
		p->stream[stream].have += n;
		data += n;
		len -= n;
		if (p->stream[stream].have == PAYLOAD_HEAD)
			r = decide(fn, stream);
	}
	if (r == 0 && len && p->stream[stream].kind == PAYLOAD)
		r = core_feed(p->core, stream, data, len);
	return r;
}

bool sim_function_stream_done(const struct sim_function *fn, unsigned int stream)
{
	const struct part *p = fn->now;

	if (p->stream[stream].kind == PAYLOAD ||
	    payload_is_ours(p->stream[stream].head, p->stream[stream].have))
		return core_stream_done(p->core, stream);
	return p->stream[stream].have; /* nobody knows how much microcode there should be */
}

/* The same bytes come on every pass: the host must leave them alone (protocol 5.5). */
static int compare_pass(struct sim_function *fn)
{
	struct part *p = fn->now;

	for (unsigned int s = 0; s < FW_CFG_CHANNELS_MAX; s++) {
		uint64_t digest = XXH3_64bits_digest(p->stream[s].digest);

		if (p->passed && p->stream[s].first != digest) {
			snprintf(fn->why, sizeof(fn->why),
				 "channel %u does not carry what it did on the pass before", s);
			return -EBADMSG;
		}
		p->stream[s].first = digest;
	}
	p->passed = true;
	return 0;
}

int sim_function_ready(struct sim_function *fn)
{
	struct part *p = fn->now;

	if (fn->why[0])
		return -EBADMSG;
	for (unsigned int i = 0; i < FW_CFG_CHANNELS_MAX; i++) {
		int r = 0;

		if (p->stream[i].kind == UNDECIDED && p->stream[i].have)
			r = decide(fn, i);
		if (r)
			return r;
	}
	/* One of several contexts may need no configuration of its own, or the network none at all. */
	if ((fn->nparts > 1 || !fn->fetches) && p->kind == UNDECIDED && fn->kind != PAYLOAD)
		fn->kind = p->kind = MICROCODE;
	return p->kind == MICROCODE ? compare_pass(fn) : core_ready(p->core);
}

const struct core_port *sim_function_ports(struct sim_function *fn, const struct sim_run *run,
					   size_t *count)
{
	const struct sim_set *sets[] = {&run->from, &run->rows_in, &run->to, &run->rows_out};
	size_t n = 0;

	if (fn->now->kind != MICROCODE)
		return core_ports(fn->now->core, count);
	if (fn->onnx && fn->nparts == 1)
		return standin_ports(fn->onnx, count);
	/* The pattern fits whatever was connected. */
	for (size_t k = 0; k < ARRAY_SIZE(sets); k++) {
		for (unsigned int i = 0; i < sets[k]->n; i++) {
			const struct sim_stream *s = sets[k]->s[i];

			if (s->connected)
				fn->ports[n++] = (struct core_port){
				    s->stream_index, !sim_is_input(s->ch), (uint32_t)s->bytes};
		}
	}
	*count = n;
	return fn->ports;
}

/* ----------------------------------------------------------------------------- running */

static size_t gather_inputs(const struct sim_set *set, struct pattern_input *in, size_t n)
{
	for (unsigned int i = 0; i < set->n; i++)
		in[n++] = (struct pattern_input){set->s[i]->stream_index, set->s[i]->frame,
						 set->s[i]->bytes};
	return n;
}

static void answer(const struct sim_set *set, uint64_t digest)
{
	for (unsigned int i = 0; i < set->n; i++)
		pattern_chained(set->s[i]->frame, set->s[i]->bytes, digest,
				set->s[i]->stream_index);
}

static uint64_t digest(const struct sim_function *fn, const struct sim_run *run, bool rows)
{
	struct pattern_input in[CHIP_VDMA_CHANNELS];
	struct pattern_config config;
	size_t n = gather_inputs(&run->from, in, 0);

	for (unsigned int s = 0; s < FW_CFG_CHANNELS_MAX; s++) {
		config.preliminary[s] = XXH3_64bits(NULL, 0);
		if (fn->nparts > 1)
			config.preliminary[s] = XXH3_64bits_digest(fn->part[0].stream[s].digest);
		config.context[s] = XXH3_64bits_digest(fn->now->stream[s].digest);
	}
	if (rows)
		n = gather_inputs(&run->rows_in, in, n);
	return pattern_digest(&config, in, n);
}

static int keep_inputs(struct sim_function *fn, const struct sim_run *run)
{
	for (unsigned int i = 0; i < run->from.n; i++) {
		const struct sim_stream *s = run->from.s[i];

		if (s->kind != SIM_BOUNDARY)
			continue;
		/* For the largest batch that an ENABLED can ask for later. */
		if (!fn->kept[s->ch].bytes)
			fn->kept[s->ch].bytes = malloc(s->bytes * FW_BATCH_MAX);
		if (!fn->kept[s->ch].bytes)
			return -ENOMEM;
		memcpy(fn->kept[s->ch].bytes + s->bytes * run->done, s->frame, s->bytes);
		fn->kept[s->ch].here = true;
	}
	return 0;
}

static struct sim_stream *boundary_of(struct sim_run *run, const struct core_port *port)
{
	struct sim_stream *v = port->output ? run->out : run->in;
	unsigned int n = port->output ? run->nout : run->nin;

	for (unsigned int i = 0; i < n; i++) {
		if (v[i].stream_known && v[i].stream_index == port->stream_index)
			return &v[i];
	}
	return NULL;
}

/* The model wants all inputs at once; contexts bring them one after the other. */
static int run_model(struct sim_function *fn, struct sim_run *run)
{
	const uint8_t *in[CHIP_VDMA_CHANNELS];
	uint8_t *out[CHIP_VDMA_CHANNELS];
	unsigned int nin = 0, nout = 0;
	size_t n;
	const struct core_port *port = standin_ports(fn->onnx, &n);

	for (size_t i = 0; i < n; i++) {
		struct sim_stream *s = boundary_of(run, &port[i]);

		if (!s || s->bytes < port[i].bytes)
			return -EPROTO;
		if (!port[i].output && !fn->kept[s->ch].here)
			return -EPROTO; /* an output before the last input */
		/* An output of another context is computed beside: its frame is not in use now. */
		if (port[i].output)
			out[nout++] = s->frame;
		else
			in[nin++] = fn->kept[s->ch].bytes + s->bytes * run->done;
	}
	return standin_run(fn->onnx, in, out);
}

/* A pattern everywhere, and boxes where an NMS leaves the network. */
static int run_pattern(struct sim_function *fn, struct sim_run *run, bool chained)
{
	uint32_t frame = fn->now->frame;

	if (chained)
		answer(&run->to, digest(fn, run, true));
	for (unsigned int i = 0; i < run->to.n; i++) {
		struct sim_stream *s = run->to.s[i];
		int r = s->kind == SIM_BOUNDARY ? sim_nms_answer(run, s, frame) : 0;

		if (r)
			return r;
		if (!chained && !s->total)
			pattern_fixed(s->frame, s->bytes, frame, s->ch);
	}
	return 0;
}

static int run_microcode(struct sim_function *fn, struct sim_run *run)
{
	bool chained = fn->nparts > 1 || run->rows_in.n, boundary_out = false;
	int r;

	if (!fn->onnx)
		return run_pattern(fn, run, chained);
	if (!chained)
		return standin_run(fn->onnx, run->core_in, run->core_out);
	for (unsigned int i = 0; i < run->to.n; i++)
		boundary_out |= run->to.s[i]->kind == SIM_BOUNDARY;
	answer(&run->to, digest(fn, run, true));
	r = keep_inputs(fn, run);
	if (r == 0 && boundary_out)
		r = run_model(fn, run);
	return r;
}

int sim_function_rows(struct sim_run *run)
{
	struct sim_function *fn = run->fn;
	int r = 0;

	if (fn->now->kind == MICROCODE) {
		answer(&run->rows_out, digest(fn, run, false));
		return 0;
	}
	/* Rows may depend on those of another pair: after one run for each pair all are right. */
	for (unsigned int i = 0; r == 0 && i < run->rows_out.n; i++) {
		r = core_run(fn->now->core, run->core_in, run->core_out);
		for (unsigned int k = 0; k < run->rows_out.n; k++)
			memcpy(run->rows_in.s[k]->frame, run->rows_out.s[k]->frame,
			       run->rows_in.s[k]->bytes);
	}
	return r;
}

int sim_function_run(struct mock_chip *chip, struct sim_run *run)
{
	struct sim_function *fn = run->fn;
	int r;

	for (unsigned int i = 0; chip->opts.on_input && i < run->from.n; i++)
		if (run->from.s[i]->kind == SIM_BOUNDARY)
			chip->opts.on_input(chip->opts.on_input_user, run->from.s[i]->ch,
					    run->from.s[i]->frame, run->from.s[i]->pattern);
	r = fn->now->kind == MICROCODE ? run_microcode(fn, run)
				       : core_run(fn->now->core, run->core_in, run->core_out);
	fn->now->frame++;
	return r;
}
