// SPDX-License-Identifier: MIT
/*
 * Recordings of the traffic between driver and chip, in the format of docs/trace.md: made from
 * what crosses the backend, read, compared, and played to a software chip.
 */
#ifndef HWLAYER_TRACE_TRACE_H
#define HWLAYER_TRACE_TRACE_H

#include <cjson/cJSON.h>

#include "backend/backend.h"
#include "network/actions.h"
#include "util/bytes.h"

#define TRACE_FILE_MAX (256u << 20)
#define TRACE_SET_CONTEXT_HEAD 39u /* bytes of a SET_CONTEXT_INFO request before its actions */

/* ----------------------------------------------------------------------- record.c */

/*
 * Write everything that crosses @be from now on to @path, and its register accesses to
 * @mmio_path; either may be NULL.  The recording ends when @be is closed.  A write error ends it
 * earlier, with a warning; the device does not notice.
 */
int trace_record(struct backend *be, const char *path, const char *mmio_path, struct hw_error *err);

/* ----------------------------------------------------------------- decode.c (pure) */

/* One action, or one member of a repeated one. */
struct trace_action {
	unsigned int type;
	const struct action_layout *layout;
	size_t index;		      /* among the top-level actions */
	unsigned int member, members; /* members 0: not in a repeated action */
	size_t offset;		      /* of its parameters, in the action list */
};
/* Call @fn for each; -EBADMSG where the bytes do not make actions, or what @fn returned < 0. */
int trace_walk(struct span actions, int (*fn)(const struct trace_action *a, void *user),
	       void *user);

/* Where the host buffer info is in an action's parameters, 0 if it has none. */
size_t trace_hbi_offset(const struct action_layout *layout);
#define TRACE_HBI_ADDRESS 1u /* in a host buffer info */
#define TRACE_HBI_COUNT 11u
#define TRACE_HBI_PATTERN 15u

/* The number of the descriptor list at a bus address, 0: none that is known. */
typedef unsigned int (*trace_list_fn)(uint64_t bus, const void *user);
/* The actions as golden recordings show them; NULL if the bytes do not make actions. */
cJSON *trace_actions(struct span actions, trace_list_fn list, const void *user);
/* What a request says, by the names of protocol 1.7 and 4.1; NULL for those with nothing to say. */
cJSON *trace_request(unsigned int opcode, struct span req);
const char *trace_context_name(unsigned int type); /* "preliminary" ..., "unknown" */

/* ------------------------------------------------------------------------- file.c */

/*
 * One JSON object a line; cJSON_Delete() it.  -EBADMSG names the line that is none.  Whole numbers of
 * more than 15 digits are raw items: nothing rounds them.  Of a file that only says "same_as", the
 * lines are those of the recording it names.
 */
int trace_read(const char *path, cJSON **lines, struct hw_error *err);
/* Members of a line; "" and 0 when absent. */
const char *trace_text(const cJSON *line, const char *key);
double trace_number(const cJSON *line, const char *key);
/* As whole numbers; what is none of 32 bits is 0. */
uint32_t trace_uint(const cJSON *line, const char *key);
uint32_t trace_to_uint(double v);
bool trace_is(const cJSON *line, const char *op);
bool trace_is_control(const cJSON *line, unsigned int opcode);
/* Bytes of a hex member; -EBADMSG.  buf_free() it, whatever is returned. */
int trace_bytes(const cJSON *line, const char *key, struct buf *out);
int trace_sha256(struct span data, uint8_t digest[32]);
/* Lower-case hex, with a NUL; free() it. */
char *trace_hex(const uint8_t *data, size_t len);

/* ---------------------------------------------------------------------- subject.c */

/*
 * What of a recording is the host's doing and can be compared: the lines that golden/README
 * section 3 speaks of, without what section 2 calls symbolic.  NULL: no memory.
 */
cJSON *trace_subject(const cJSON *lines);

/* -------------------------------------------------------------------- normalise.c */

/* Each takes out of a subject what one point of golden/README section 3 allows to differ. */
void trace_norm_queue_depth(cJSON *subject);  /* point 1 */
void trace_norm_queries(cJSON *subject);      /* point 2 */
void trace_norm_config_count(cJSON *subject); /* point 4 */
void trace_norm_buffers(cJSON *subject);      /* point 5 */
void trace_norm_interleaving(cJSON *subject); /* point 6 */
void trace_norm_bind(cJSON *subject);	      /* point 7 */
/* All of them; point 3 has none: the order of fetches must be equal. */
void trace_normalise(cJSON *subject);

/* ---------------------------------------------------------------------- compare.c */

struct trace_difference {
	char where[160]; /* "context dynamic 0 of application 0, action 3 (resume_vdma_channel),
			    dir" */
	char a[120], b[120];
};
/* 0: equal, 1: the first difference is in @d, -ENOMEM. */
int trace_compare(const cJSON *a, const cJSON *b, struct trace_difference *d);

/* ----------------------------------------------------------------------- replay.c */

struct trace_replayed {
	unsigned int controls, transfers;
	char difference[240]; /* "" : the chip took everything as the recorded one did */
};
/* Play the host's half of @lines to the chip behind @be.  0, or why that was impossible. */
struct chip;
int trace_replay(const cJSON *lines, struct chip *chip, struct trace_replayed *out,
		 struct hw_error *err);

#endif
