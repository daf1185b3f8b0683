// SPDX-License-Identifier: MIT
/*
 * What computes the frames of a run.  A network in the software chip's own format goes to the core.
 * The microcode of a compiler's network nobody outside can execute: everything around it happens as
 * ever, and a stand-in makes the outputs, a fixed pattern or an ONNX model (standin.c).
 *
 * The first bytes of each config channel decide (payload_is_ours()); until a channel has brought
 * them it is undecided, and all channels of a run must say the same.
 */
#include <stdio.h>

#include "mock/payload.h"
#include "mock/sim.h"
#include "mock/standin.h"

enum kind { UNDECIDED, PAYLOAD, MICROCODE };

struct sim_function {
	enum kind kind;
	struct {
		enum kind kind;
		uint8_t head[PAYLOAD_HEAD];
		size_t have;
	} stream[FW_CFG_CHANNELS_MAX];
	struct core *core;
	struct standin *onnx; /* NULL: the pattern */
	struct core_port ports[32];
	uint32_t frame; /* since ENABLED */
	char why[96];
};

struct sim_function *sim_function_new(struct mock_chip *chip)
{
	struct sim_function *fn = calloc(1, sizeof(*fn));

	if (!fn)
		return NULL;
	fn->core = core_new(chip->opts.core_threads ? chip->opts.core_threads : 1);
	if (!fn->core) {
		free(fn);
		return NULL;
	}
	fn->onnx = standin_get(chip->apps[chip->run->app]->standin);
	return fn;
}

void sim_function_free(struct sim_function *fn)
{
	if (!fn)
		return;
	core_free(fn->core);
	standin_put(fn->onnx);
	free(fn);
}

const char *sim_function_error(const struct sim_function *fn)
{
	return fn->why[0] ? fn->why : core_error(fn->core);
}

bool sim_function_is_standin(const struct sim_function *fn)
{
	return fn->kind == MICROCODE;
}

/* Enough of @stream is known, or no more will come: what is it?  The core gets what was held back. */
static int decide(struct sim_function *fn, unsigned int stream)
{
	const uint8_t *head = fn->stream[stream].head;
	size_t have = fn->stream[stream].have;
	enum kind kind = payload_is_ours(head, have) ? PAYLOAD : MICROCODE;

	fn->stream[stream].kind = kind;
	if (fn->kind != UNDECIDED && fn->kind != kind) {
		snprintf(fn->why, sizeof(fn->why),
			 "channel %u carries %s, another one does not", stream,
			 kind == PAYLOAD ? "a software chip's network" : "microcode");
		return -EBADMSG;
	}
	fn->kind = kind;
	return kind == PAYLOAD ? core_feed(fn->core, stream, head, have) : 0;
}

int sim_function_feed(struct sim_function *fn, unsigned int stream, const uint8_t *data, size_t len)
{
	size_t n;
	int r = 0;

	if (fn->why[0])
		return -EBADMSG;
	if (fn->stream[stream].kind == UNDECIDED) {
		n = PAYLOAD_HEAD - fn->stream[stream].have;
		n = n < len ? n : len;
		memcpy(fn->stream[stream].head + fn->stream[stream].have, data, n);
		fn->stream[stream].have += n;
		data += n;
		len -= n;
		if (fn->stream[stream].have == PAYLOAD_HEAD)
			r = decide(fn, stream);
	}
	if (r == 0 && len && fn->stream[stream].kind == PAYLOAD)
		r = core_feed(fn->core, stream, data, len);
	return r;
}

bool sim_function_stream_done(const struct sim_function *fn, unsigned int stream)
{
	if (fn->stream[stream].kind == PAYLOAD ||
	    payload_is_ours(fn->stream[stream].head, fn->stream[stream].have))
		return core_stream_done(fn->core, stream);
	return fn->stream[stream].have; /* nobody knows how much microcode there should be */
}

int sim_function_ready(struct sim_function *fn)
{
	if (fn->why[0])
		return -EBADMSG;
	for (unsigned int i = 0; i < FW_CFG_CHANNELS_MAX; i++) {
		int r = 0;

		if (fn->stream[i].kind == UNDECIDED && fn->stream[i].have)
			r = decide(fn, i);
		if (r)
			return r;
	}
	return fn->kind == MICROCODE ? 0 : core_ready(fn->core);
}

const struct core_port *sim_function_ports(struct sim_function *fn, const struct sim_run *run,
					   size_t *count)
{
	size_t n = 0;

	if (fn->kind != MICROCODE)
		return core_ports(fn->core, count);
	if (fn->onnx)
		return standin_ports(fn->onnx, count);
	/* The pattern fits whatever was connected. */
	for (unsigned int i = 0; i < run->nin + run->nout; i++) {
		bool out = i >= run->nin;
		const struct sim_stream *s = out ? &run->out[i - run->nin] : &run->in[i];

		if (s->connected)
			fn->ports[n++] = (struct core_port){s->stream_index, out, s->pattern};
	}
	*count = n;
	return fn->ports;
}

/*
 * Byte i of frame k on channel c (the generator of the golden recordings): (167 i + 59 (i >> 8) +
 * 31 k + 17 c + 5) mod 256.
 */
static void pattern(uint8_t *out, size_t bytes, uint32_t frame, unsigned int ch)
{
	uint32_t first = frame * 31 + ch * 17 + 5, at = 0;

	/* In 256s, of which each byte is its neighbour's plus a constant: large frames want it fast. */
	for (; bytes - at >= 256; at += 256, first += 59) {
		for (uint32_t i = 0; i < 256; i++)
			out[at + i] = (uint8_t)(i * 167 + first);
	}
	for (uint32_t i = 0; at + i < bytes; i++)
		out[at + i] = (uint8_t)(i * 167 + first);
}

int sim_function_run(struct mock_chip *chip, struct sim_run *run)
{
	struct sim_function *fn = run->fn;
	uint32_t frame = fn->frame++;

	for (unsigned int i = 0; chip->opts.on_input && i < run->nin; i++)
		chip->opts.on_input(chip->opts.on_input_user, run->in[i].ch, run->in[i].frame,
				    run->in[i].pattern);
	if (fn->kind != MICROCODE)
		return core_run(fn->core, run->core_in, run->core_out);
	if (fn->onnx)
		return standin_run(fn->onnx, run->core_in, run->core_out);
	for (unsigned int i = 0; i < run->nout; i++)
		pattern(run->out[i].frame, run->out[i].pattern, frame, run->out[i].ch);
	return 0;
}
