// SPDX-License-Identifier: MIT
/*
 * Writer of small synthetic HEFs for tests: its own protobuf wire encoder, its own container, made
 * from the tables of hef-format and not from the reader's code.
 *
 * The default network is the smallest legal file of hef-format A.1.  A test changes it by
 * appending fields to one of its messages (of a scalar that occurs twice the last one counts), by
 * leaving parts out, or by replacing the lists of actions.
 */
#ifndef TESTS_SUPPORT_HEFGEN_H
#define TESTS_SUPPORT_HEFGEN_H

#include "util/bytes.h"

/* ------------------------------------------------------------- wire encoder */

void pb_uint(struct buf *m, unsigned int field, uint64_t v);
void pb_float(struct buf *m, unsigned int field, float v);
void pb_bytes(struct buf *m, unsigned int field, const void *data, size_t n);
void pb_str(struct buf *m, unsigned int field, const char *s);
/* Append @sub as a length-delimited field and free it. */
void pb_msg(struct buf *m, unsigned int field, struct buf *sub);
void pb_packed_uint(struct buf *m, unsigned int field, const uint32_t *v, size_t n);
void pb_packed_double(struct buf *m, unsigned int field, const double *v, size_t n);

/* ------------------------------------------------------------------ network */

/* Messages that take appended fields. */
enum hefgen_at {
	AT_HEF,
	AT_HEADER,
	AT_GROUP,
	AT_GROUP_META,
	AT_CORE_OP,
	AT_CORE_META,
	AT_CONTEXT,
	AT_CONTEXT_META,  /* further edge layers: field 2 */
	AT_OPERATION,     /* of the context; further actions: field 2 */
	AT_PRELIMINARY,   /* PreliminaryConfig: further operations: field 1 */
	AT_PRE_OPERATION, /* the preliminary operation; further actions: field 2 */
	AT_IN_EDGE,
	AT_IN_INFO,
	AT_IN_BASE,
	AT_IN_NUMERIC,
	AT_IN_SWITCH,
	AT_OUT_EDGE,
	AT_OUT_INFO,
	AT_OUT_BASE,
	AT_OUT_NUMERIC,
	AT_OUT_SWITCH,
	HEFGEN_PLACES,
};

/* Parts that can be left out. */
enum hefgen_omit {
	OMIT_HEADER_VERSION = 1 << 0,
	OMIT_NET_FLOW = 1 << 1, /* extension 13 only; see also hefgen.legacy */
	OMIT_PERIPH = 1 << 2,   /* extension 26 */
	OMIT_GROUP = 1 << 3,
	OMIT_CORE_OP = 1 << 4,
	OMIT_CONTEXT = 1 << 5,
	OMIT_SORTED = 1 << 6,
	OMIT_TRIGGER = 1 << 7,  /* of the context's operation */
	OMIT_BUFFER_INDICES = 1 << 8,
	OMIT_DATA_BYTES = 1 << 9,
	OMIT_INPUT = 1 << 10,
	OMIT_OUTPUT = 1 << 11,
	OMIT_CCW = 1 << 12,     /* the configuration word of the preliminary operation */
	OMIT_FLOW = 1 << 13,    /* allow_input_dataflow of the context */
	OMIT_HEADER = 1 << 14,
	OMIT_PRELIMINARY = 1 << 15,
	OMIT_NUMERIC = 1 << 16, /* of both layers */
};

struct hefgen {
	uint32_t container;
	uint32_t arch;
	bool legacy;            /* 4.2: without extension 13 and ops */
	unsigned int omit;
	const char *group;
	const char *core_name;  /* NULL: the group's */
	struct buf at[HEFGEN_PLACES];
	/* Container */
	const uint8_t *ccws;
	size_t ccws_len;
	uint32_t padding, additional; /* version 3 */
};

/* The network of A.1; everything may be changed before hefgen_file(). */
void hefgen_init(struct hefgen *g);
/* A mandatory or optional extension with a name. */
void hefgen_extension(struct hefgen *g, bool optional, uint32_t number, const char *name);
/* The message alone; appended fields are used up. */
void hefgen_message(struct hefgen *g, struct buf *out);
/* The whole file, malloc()ed; @g is used up. */
uint8_t *hefgen_file(struct hefgen *g, size_t *len);
/* A container around any message. */
uint8_t *hefgen_wrap(const struct hefgen *g, const void *msg, size_t msg_len, size_t *len);
/* Put the right digest into the header of a whole file (versions 0 to 3). */
void hefgen_fix_digest(uint8_t *file, size_t len);

#endif
