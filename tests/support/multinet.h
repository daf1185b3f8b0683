// SPDX-License-Identifier: MIT
/*
 * Networks of several contexts whose configuration is microcode to the software chip, and what they
 * must answer: the chained pattern of docs/mock.md, computed here from its description alone.
 */
#ifndef TESTS_SUPPORT_MULTINET_H
#define TESTS_SUPPORT_MULTINET_H

#include "support/hefgen.h"

#define MULTINET_CONTEXTS 6u
#define MULTINET_LAYERS 8u
#define MULTINET_CHANNELS 2u

enum multinet_kind { MN_BOUNDARY, MN_INTER, MN_DDR };

struct multinet_layer {
	const char *name;
	enum multinet_kind kind;
	bool input;
	uint8_t stream;
	uint32_t rows, row_bytes;       /* multiples of 8 */
	uint8_t peer_context, peer_stream;
	uint16_t buffered;              /* MN_DDR: rows in host memory */
};

struct multinet_context {
	uint32_t ccw[MULTINET_CHANNELS]; /* bytes of configuration, multiples of 8 */
	size_t n;
	struct multinet_layer layer[MULTINET_LAYERS];
};

struct multinet {
	const char *group; /* NULL: "multi" */
	uint32_t pre_ccw[MULTINET_CHANNELS];
	size_t n;
	struct multinet_context ctx[MULTINET_CONTEXTS];
	bool run_asap;
	bool no_wait;      /* no trigger waits for the contexts' outputs */
};

/* One input, one output, and @n contexts in a row, joined by streams of different sizes. */
void multinet_chain(struct multinet *m, size_t n);
/*
 * Three contexts, two inputs (the second one comes in context 1) and three outputs (in contexts 0 and
 * 2); context 0's stream is read by both later ones, from one list.
 */
void multinet_branched(struct multinet *m);
/* A whole file; free() it. */
uint8_t *multinet_hef(const struct multinet *m, size_t *len);
/* The same of two networks with groups of their own; @b is the file's default. */
uint8_t *multinet_hef_of_two(const struct multinet *a, const struct multinet *b, size_t *len);
/* Configuration bytes of channel @channel in context @context, -1: the preliminary one. */
const uint8_t *multinet_ccw(const struct multinet *m, int context, unsigned int channel);
/*
 * One frame: @in and @out hold the boundary layers' frames in the order of the contexts.
 */
void multinet_answer(const struct multinet *m, const uint8_t *const *in, uint8_t *const *out);
size_t multinet_bytes(const struct multinet_layer *l);
/* The nth boundary layer of a direction, NULL past the last. */
const struct multinet_layer *multinet_boundary(const struct multinet *m, bool input, size_t nth);

#endif
