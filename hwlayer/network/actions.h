// SPDX-License-Identifier: MIT
/*
 * Context-switch actions as bytes.  Pure.  Source: spec firmware-protocol 4.2 to 4.5.
 *
 * One table describes every action's parameters; encoding, merging, cutting into chunks and error
 * texts all work from it.
 */
#ifndef HWLAYER_NETWORK_ACTIONS_H
#define HWLAYER_NETWORK_ACTIONS_H

#include "network/network.h"

#define ACTION_HEADER_SIZE 5u
#define ACTION_REPEAT_HEADER_SIZE 8u /* action header, count, last_executed, sub-action type */
#define ACTION_REPEAT_MAX 255u
#define ACTION_PARAMS_MAX 44u
#define ACTION_TIME_STAMP 0xffffffffu /* the firmware writes execution times there */

/* 4.3 directions and credit types */
#define ACTION_H2D 1u
#define ACTION_D2H 2u
#define ACTION_CREDIT_BYTES 1u
#define ACTION_CREDIT_DESCRIPTORS 2u
#define ACTION_BUFFER_DESCRIPTOR_LIST 0u /* the only buffer type of PCIe hosts */

/* A parameter: little-endian, @size bytes, back to back in the order of the table. */
struct action_field {
	const char *name;
	uint8_t size;
};

struct action_layout {
	const char *name;
	bool repeatable;
	uint8_t n_fields;
	const struct action_field *fields;
};

/* NULL for a type that does not exist, and for REPEATED_ACTION, whose parameters vary. */
const struct action_layout *action_layout(unsigned int type);
/* "FETCH_CFG_CHANNEL_DESCRIPTORS", "REPEATED_ACTION", "action 77"; @buf holds the latter. */
const char *action_name(unsigned int type, char *buf, size_t size);
/* Bytes of the parameters. */
size_t action_params_size(const struct action_layout *layout);

struct action {
	int type;    /* enum fw_action, or ACTION_NONE */
	int channel; /* vDMA channel it is about, -1 if none */
	uint8_t params[ACTION_PARAMS_MAX];
};
/* The host's placeholder: produces no bytes but keeps its neighbours from being merged (4.5). */
#define ACTION_NONE (-1)

/* A list under construction.  The first failure is remembered, later appends do nothing. */
struct action_list {
	struct action *v;
	size_t n, cap;
	int error;          /* -ENOMEM, -ERANGE: see @field */
	int error_type;     /* enum fw_action */
	const char *field;  /* whose value does not fit its width */
};

/* One value for each field of the action's layout, in its order. */
void action_append(struct action_list *list, enum fw_action type, const uint64_t *values, size_t n);
void action_append_none(struct action_list *list);
void action_list_free(struct action_list *list);

#define ACTION(list, type, ...)                                                                    \
	action_append(list, type, (const uint64_t[]){__VA_ARGS__},                                 \
		      sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))
#define ACTION0(list, type) action_append(list, type, NULL, 0)

/*
 * Fill ctx->actions, ctx->cuts and ctx->names; with @merge by the rules of 4.5.
 * 0; -ENOMEM; -ERANGE: a value did not fit; -EMSGSIZE: more bytes than 32-bit offsets can name.
 */
int action_encode(const struct action_list *list, bool merge, struct network_context *ctx,
		  struct hw_error *err);

#endif
