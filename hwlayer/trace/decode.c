// SPDX-License-Identifier: MIT
/* Requests and action lists in words.  Pure.  Source: spec firmware-protocol 1.7, 4.1, 4.3, 4.4. */
#include <ctype.h>
#include <stdio.h>

#include "trace/trace.h"

#define HBI_FIRST "buffer_type"
#define HBI_FIELDS 5u
#define HBI_SIZE 19u
#define REG_FIRST "core_bytes_per_buffer"
#define REG_FIELDS 8u

static int one_action(struct span *in, struct span all, size_t index,
		      int (*fn)(const struct trace_action *, void *), void *user)
{
	struct trace_action a = {.index = index};
	struct span head, params;
	unsigned int count = 1;
	size_t size;
	int r = 0;

	if (span_take(in, ACTION_HEADER_SIZE, &head) < 0)
		return -EBADMSG;
	a.type = head.ptr[0];
	if (a.type == FW_ACT_REPEATED_ACTION) {
		if (span_take(in, ACTION_REPEAT_HEADER_SIZE - ACTION_HEADER_SIZE, &head) < 0)
			return -EBADMSG;
		count = a.members = head.ptr[0];
		a.type = head.ptr[2];
	}
	a.layout = action_layout(a.type);
	if (!a.layout || !count)
		return -EBADMSG;
	size = action_params_size(a.layout);
	for (unsigned int i = 0; !r && i < count; i++) {
		if (span_take(in, size, &params) < 0)
			return -EBADMSG;
		a.member = i;
		a.offset = (size_t)(params.ptr - all.ptr);
		r = fn(&a, user);
	}
	return r;
}

int trace_walk(struct span actions, int (*fn)(const struct trace_action *a, void *user), void *user)
{
	struct span in = actions;
	int r = 0;

	for (size_t i = 0; !r && in.len; i++)
		r = one_action(&in, actions, i, fn, user);
	return r < 0 ? r : 0;
}

size_t trace_hbi_offset(const struct action_layout *layout)
{
	size_t at = 0;

	for (unsigned int i = 0; i < layout->n_fields; i++) {
		if (!strcmp(layout->fields[i].name, HBI_FIRST))
			return at;
		at += layout->fields[i].size;
	}
	return 0;
}

const char *trace_context_name(unsigned int type)
{
	static const char *const names[] = {
	    [FW_CONTEXT_PRELIMINARY] = "preliminary",
	    [FW_CONTEXT_DYNAMIC] = "dynamic",
	    [FW_CONTEXT_BATCH_SWITCHING] = "batch_switching",
	    [FW_CONTEXT_ACTIVATION] = "activation",
	};

	return type < ARRAY_SIZE(names) ? names[type] : "unknown";
}

/* ------------------------------------------------------------------------------ requests */

#define REQUEST_PARAMS 20u /* where the first parameter's length word is */

static const struct action_field switch_fields[] = {
	{NULL, 4}, {"state", 1},	     {NULL, 4}, {"application", 1},
	{NULL, 4}, {"dynamic_batch", 2}, {NULL, 4}, {"batch_count", 2},
};
static const struct action_field header_fields[] = {
	{NULL, 4},
	{"dynamic_contexts_count", 2},
	{"preliminary_run_asap", 1},
	{"batch_register_config", 1},
	{"can_fast_batch_switch", 1},
	{"is_abbale_supported", 1},
	{"networks_count", 1},
	{"csm_buffer_size", 2},
	{"batch_size", 2},
	{"external_action_list_address", 4},
	{"boundary_channels_bitmap_0", 4},
	{"boundary_channels_bitmap_1", 4},
	{"boundary_channels_bitmap_2", 4},
	{"config_channels_count", 1},
	{"config_channel_0", 1},
	{"config_channel_1", 1},
	{"config_channel_2", 1},
	{"config_channel_3", 1},
};

static uint64_t value(const uint8_t *p, unsigned int size)
{
	uint64_t v = 0;

	for (unsigned int i = 0; i < size; i++)
		v |= (uint64_t)p[i] << 8 * i;
	return v;
}

cJSON *trace_request(unsigned int opcode, struct span req)
{
	const struct action_field *f = header_fields;
	size_t n = ARRAY_SIZE(header_fields);
	struct span field;
	cJSON *o;

	if (opcode == FW_CHANGE_CONTEXT_SWITCH_STATUS) {
		f = switch_fields;
		n = ARRAY_SIZE(switch_fields);
	} else if (opcode != FW_SET_NETWORK_GROUP_HEADER) {
		return NULL;
	}
	if (span_take(&req, REQUEST_PARAMS, &field) < 0)
		return NULL;
	o = cJSON_CreateObject();
	for (size_t i = 0; i < n && span_take(&req, f[i].size, &field) == 0; i++)
		if (f[i].name)
			cJSON_AddNumberToObject(o, f[i].name, (double)value(field.ptr, f[i].size));
	return o;
}

/* ------------------------------------------------------------------------------- to JSON */

/* The recordings' names where they are not the specification's. */
static const char *short_name(const char *name)
{
	static const struct {
		const char *name, *is;
	} names[] = {
	    {"buffer_type", "type"},
	    {"cluster_index", "cluster"},
	    {"config_stream_index", "config_stream"},
	    {"core_buffers_per_frame", "core_buffers"},
	    {"core_bytes_per_buffer", "core_bytes"},
	    {"desc_page_size", "page"},
	    {"descriptors_count", "descs"},
	    {"edge_layer_direction", "dir"},
	    {"feature_padding_payload", "feature_padding"},
	    {"host_buffer_type", "buffer_type"},
	    {"initial_credit_size", "initial_credit"},
	    {"initial_l3_cut", "l3_cut"},
	    {"initial_l3_offset", "l3_offset"},
	    {"is_core_hw_padding_config_in_dfc", "hw_padding_in_dfc"},
	    {"module_index", "module"},
	    {"network_index", "network"},
	    {"packed_lcu_id", "lcu"},
	    {"packed_vdma_channel_id", "ch"},
	    {"periph_buffers_per_frame", "periph_buffers"},
	    {"periph_bytes_per_buffer", "periph_bytes"},
	    {"sequencer_index", "cluster"},
	    {"stream_index", "stream"},
	    {"total_desc_count", "count"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(names[i].name, name))
			return names[i].is;
	return name;
}

/* Raw, because cJSON's numbers have 53 bits. */
static void add_number(cJSON *to, const char *name, uint64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	cJSON_AddRawToObject(to, name, text);
}

struct builder {
	struct span actions;
	cJSON *array, *items; /* items: of the repeated action under way */
	trace_list_fn list;
	const void *user;
};

static void add_list(const struct builder *b, cJSON *to, uint64_t bus)
{
	unsigned int id = b->list(bus, b->user);
	char text[24];

	if (id) {
		cJSON_AddNumberToObject(to, "list", id);
		return;
	}
	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)bus);
	cJSON_AddStringToObject(to, "bus", text);
}

static void add_fields(const struct builder *b, cJSON *to, const struct trace_action *a)
{
	const uint8_t *p = b->actions.ptr + a->offset;
	unsigned int left = 0; /* of the fields of a building block */
	uint64_t bus = 0;
	bool hbi = false;
	cJSON *in = to;

	for (unsigned int i = 0; i < a->layout->n_fields; i++) {
		const struct action_field *f = &a->layout->fields[i];

		if (!strcmp(f->name, HBI_FIRST)) {
			in = cJSON_AddObjectToObject(to, "hbi");
			left = HBI_FIELDS;
			hbi = true;
		} else if (!strcmp(f->name, REG_FIRST)) {
			in = cJSON_AddObjectToObject(to, "reg");
			left = REG_FIELDS;
		}
		if (f->size == 8 && hbi && left == HBI_FIELDS - 1)
			bus = value(p, 8);
		else
			add_number(in, short_name(f->name), value(p, f->size));
		p += f->size;
		if (left && !--left) {
			if (hbi)
				add_list(b, in, bus);
			hbi = false;
			in = to;
		}
	}
}

/* Lower case; one of them is called shorter in the recordings. */
static void action_word(const struct action_layout *l, char *buf, size_t size)
{
	size_t n = 0;

	for (; l->name[n] && n + 1 < size; n++)
		buf[n] = (char)tolower((unsigned char)l->name[n]);
	buf[n] = 0;
	if (!strcmp(buf, "fetch_data_from_vdma_channel"))
		snprintf(buf, size, "fetch_data_from_vdma");
}

static int add_action(const struct trace_action *a, void *user)
{
	struct builder *b = user;
	cJSON *o = cJSON_CreateObject();
	char word[48];

	action_word(a->layout, word, sizeof(word));
	if (!a->members) {
		cJSON_AddStringToObject(o, "a", word);
		add_fields(b, o, a);
		cJSON_AddItemToArray(b->array, o);
		return 0;
	}
	if (a->member == 0) {
		cJSON *r = cJSON_CreateObject();

		cJSON_AddStringToObject(r, "a", "repeated");
		cJSON_AddStringToObject(r, "of", word);
		b->items = cJSON_AddArrayToObject(r, "items");
		cJSON_AddItemToArray(b->array, r);
	}
	add_fields(b, o, a);
	cJSON_AddItemToArray(b->items, o);
	return 0;
}

cJSON *trace_actions(struct span actions, trace_list_fn list, const void *user)
{
	struct builder b = {actions, cJSON_CreateArray(), NULL, list, user};

	if (trace_walk(actions, add_action, &b) < 0) {
		cJSON_Delete(b.array);
		return NULL;
	}
	return b.array;
}
