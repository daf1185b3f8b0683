// SPDX-License-Identifier: MIT
/*
 * What of a recording can be compared: the host's doing, in the order in which it happened, with
 * the symbolic values of golden/README section 2 renamed.
 *
 * Left out altogether: answers of the device (rsp, ret, what D2H transfers carried), what the
 * recordings say about themselves (meta, network, t_us), and calls of the vendor's kernel driver
 * that have no counterpart on the chip's side (open, close, claim, query_*, event_stop,
 * list_create, list_program, list_release: lists appear where an action or a transfer names them,
 * with their contents).
 */
#include <stdio.h>
#include <stdlib.h>

#include "trace/trace.h"

#define SYMBOLS 4096

/* Lists by the order in which actions, then transfers, name them. */
struct symbols {
	size_t n;
	unsigned int id[SYMBOLS];
};

static unsigned int symbol(struct symbols *s, unsigned int id)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->id[i] == id)
			return (unsigned int)i + 1;
	if (s->n == SYMBOLS)
		return 0;
	s->id[s->n++] = id;
	return (unsigned int)s->n;
}

struct subject {
	const cJSON *lines, *now; /* now: the line that is read */
	cJSON *out;
	struct symbols lists;
	/* the context whose chunks come in: joined bytes, and where each of them is */
	struct buf actions;
	size_t n_chunks;
	struct {
		cJSON *item;
		size_t from, len;
	} chunks[64];
};

static void copy(cJSON *to, const cJSON *from, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(from, key);

	if (v)
		cJSON_AddItemToObject(to, key, cJSON_Duplicate(v, true));
}

static void copy_all(cJSON *to, const cJSON *from, const char *const *keys)
{
	for (; *keys; keys++)
		copy(to, from, *keys);
}

static cJSON *item(struct subject *s, const cJSON *line)
{
	cJSON *o = cJSON_CreateObject();

	copy(o, line, "op");
	cJSON_AddItemToArray(s->out, o);
	return o;
}

static void copy_list(struct subject *s, cJSON *to, const cJSON *from)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(from, "list");

	if (cJSON_IsNumber(v))
		cJSON_AddNumberToObject(to, "list",
					symbol(&s->lists, trace_to_uint(v->valuedouble)));
}

/* ------------------------------------------------------------------------------ controls */

/* The newest so far: an address may come back. */
static unsigned int list_at(uint64_t bus, const void *user)
{
	const struct subject *s = user;
	const cJSON *line;
	unsigned int id = 0;

	for (line = s->lines->child; line != s->now; line = line->next)
		if (trace_is(line, "list_create") &&
		    strtoull(trace_text(line, "bus"), NULL, 16) == bus)
			id = trace_uint(line, "list");
	return id;
}

static const char *role(unsigned int type)
{
	switch (type) {
	case FW_ACT_OPEN_BOUNDARY_INPUT_CHANNEL:
	case FW_ACT_OPEN_BOUNDARY_OUTPUT_CHANNEL:
	case FW_ACT_ACTIVATE_BOUNDARY_INPUT:
	case FW_ACT_ACTIVATE_BOUNDARY_OUTPUT:
		return "boundary";
	case FW_ACT_ACTIVATE_CFG_CHANNEL:
		return "config";
	default:
		return "internal";
	}
}

/* The address of one host buffer info becomes "<list N>" in its request's hex. */
static int mask_address(const struct trace_action *a, void *user)
{
	struct subject *s = user;
	size_t hbi = trace_hbi_offset(a->layout), at = a->offset + hbi;
	cJSON *list, *where;
	unsigned int id;
	char name[2 * sizeof(uint64_t) + 1], *hex; /* as many digits as an address has */

	for (size_t i = 0; hbi && i < s->n_chunks; i++) {
		if (at < s->chunks[i].from || at >= s->chunks[i].from + s->chunks[i].len)
			continue;
		id = list_at(get_le64(s->actions.ptr + at + TRACE_HBI_ADDRESS), s);
		snprintf(name, sizeof(name), "<%04x...address>",
			 id ? symbol(&s->lists, id) : 0xffff);
		at = TRACE_SET_CONTEXT_HEAD + at - s->chunks[i].from;
		hex = cJSON_GetObjectItem(s->chunks[i].item, "req")->valuestring;
		/* An action's parameters are never cut, so this stays inside the request. */
		if (strlen(hex) < 2 * (at + TRACE_HBI_PATTERN))
			return -EBADMSG;
		memcpy(hex + 2 * (at + TRACE_HBI_ADDRESS), name, sizeof(name) - 1);
		list = cJSON_GetObjectItem(s->chunks[i].item, "hbi");
		where = cJSON_CreateObject();
		cJSON_AddNumberToObject(where, "at", (double)at);
		cJSON_AddStringToObject(where, "of", role(a->type));
		cJSON_AddItemToArray(list, where);
		return 0;
	}
	return 0;
}

/* Most descriptors that a context fetches of a configuration list */
static double fetched(const struct subject *s, unsigned int list)
{
	const cJSON *line;
	double most = 0;

	cJSON_ArrayForEach(line, s->lines)
		if (trace_is(line, "config_list") && trace_uint(line, "list") == list &&
		    trace_number(line, "descs_fetched") > most)
			most = trace_number(line, "descs_fetched");
	return most;
}

/*
 * How long a list is follows from choices (points 1 and 4), but not any length will do: that stays
 * when the number itself is taken out.
 */
static void judge_count(const struct subject *s, const char *word, unsigned int list, cJSON *hbi)
{
	const cJSON *count = cJSON_GetObjectItem(hbi, "count");
	char *text = count ? cJSON_PrintUnformatted(count) : NULL;
	double n = text ? strtod(text, NULL) : 0;
	double needed = strcmp(word, "activate_cfg_channel") ? 0 : fetched(s, list);
	uint32_t whole = trace_to_uint(n);
	char is[64] = "of use";

	if (strstr(word, "_boundary_") && (!whole || whole & (whole - 1)))
		snprintf(is, sizeof(is), "%.0f, no power of two", n);
	else if (n < needed)
		snprintf(is, sizeof(is), "%.0f, of which %.0f are fetched", n, needed);
	cJSON_AddStringToObject(hbi, "count_is", is);
	free(text);
}

static void rename_lists(struct subject *s, cJSON *actions)
{
	cJSON *a;

	cJSON_ArrayForEach(a, actions)
	{
		cJSON *hbi = cJSON_GetObjectItem(a, "hbi"),
		      *list = cJSON_GetObjectItem(hbi, "list"),
		      *bus = cJSON_GetObjectItem(hbi, "bus");

		if (cJSON_IsNumber(list)) {
			unsigned int id = trace_to_uint(list->valuedouble);

			cJSON_SetNumberValue(list, symbol(&s->lists, id));
			judge_count(s, trace_text(a, "a"), id, hbi);
		} else if (bus) {
			cJSON_ReplaceItemInObject(hbi, "bus", cJSON_CreateString("of no list"));
		}
	}
}

static void add_chunk(struct subject *s, cJSON *control, const cJSON *line)
{
	struct span all;
	cJSON *actions;
	struct buf req;

	if (trace_number(line, "first") != 0) {
		buf_free(&s->actions);
		s->n_chunks = 0;
	}
	cJSON_AddArrayToObject(control, "hbi");
	if (trace_bytes(line, "req", &req) == 0 && req.len >= TRACE_SET_CONTEXT_HEAD &&
	    s->n_chunks < ARRAY_SIZE(s->chunks)) {
		size_t n = s->n_chunks++;

		s->chunks[n].item = control;
		s->chunks[n].from = s->actions.len;
		s->chunks[n].len = req.len - TRACE_SET_CONTEXT_HEAD;
		buf_put(&s->actions, req.ptr + TRACE_SET_CONTEXT_HEAD, s->chunks[n].len);
	}
	buf_free(&req);
	if (trace_number(line, "last") == 0 || s->actions.failed)
		return;
	/* What cannot be taken apart is compared as it is, addresses and all. */
	all = (struct span){s->actions.ptr, s->actions.len};
	trace_walk(all, mask_address, s);
	actions = trace_actions(all, list_at, s);
	rename_lists(s, actions);
	if (actions)
		cJSON_AddItemToObject(control, "actions", actions);
}

static void add_control(struct subject *s, const cJSON *line)
{
	static const char *const keys[] = {"opcode", "cpu",	     "context", "first",
					   "last",   "action_bytes", "req",	NULL};
	cJSON *o = item(s, line), *fields = NULL;
	struct buf req;

	/* In front of the bytes: what differs is told by its name. */
	if (trace_bytes(line, "req", &req) == 0)
		fields = trace_request(trace_uint(line, "opcode"),
				       (struct span){req.ptr, req.len});
	buf_free(&req);
	if (fields)
		cJSON_AddItemToObject(o, "says", fields);
	copy_all(o, line, keys);
	if (trace_is_control(line, FW_SET_CONTEXT_INFO) && *trace_text(o, "req"))
		add_chunk(s, o, line);
}

static void add_context(struct subject *s, const cJSON *line)
{
	static const char *const keys[] = {"app",   "context", "index", "chunks",
					   "bytes", "actions", NULL};
	cJSON *o = item(s, line);

	copy_all(o, line, keys);
	rename_lists(s, cJSON_GetObjectItem(o, "actions"));
}

/* -------------------------------------------------------------------------------- memory */

/* What the list is for, as the actions of this recording say; "" if none names it. */
static const char *role_of(const struct subject *s, unsigned int list)
{
	const cJSON *i, *a;

	cJSON_ArrayForEach(i, s->out)
	{
		cJSON_ArrayForEach(a, cJSON_GetObjectItem(i, "actions"))
		{
			const char *word = trace_text(a, "a");

			if (trace_number(cJSON_GetObjectItem(a, "hbi"), "list") != list)
				continue;
			if (strstr(word, "_boundary_"))
				return "boundary";
			return strcmp(word, "activate_cfg_channel") ? "internal" : "config";
		}
	}
	return "";
}

/* Runs [n, size, control, buffer, offset]: which buffer it is stays out. */
static void add_state(struct subject *s, const cJSON *line)
{
	const cJSON *run, *list = cJSON_GetObjectItem(line, "list");
	size_t before = s->lists.n;
	unsigned int id;
	cJSON *o, *runs;

	if (!cJSON_IsNumber(list))
		return;
	id = symbol(&s->lists, trace_to_uint(list->valuedouble));
	if (s->lists.n != before) {
		s->lists.n = before; /* nothing uses it */
		return;
	}
	o = item(s, line);
	cJSON_AddNumberToObject(o, "list", id);
	cJSON_AddStringToObject(o, "of", role_of(s, id));
	runs = cJSON_AddArrayToObject(o, "descs");
	cJSON_ArrayForEach(run, cJSON_GetObjectItem(line, "descs"))
	{
		double v[5] = {0};

		for (int i = 0; i < 5; i++) {
			const cJSON *x = cJSON_GetArrayItem(run, i);

			v[i] = cJSON_IsNumber(x) ? x->valuedouble : -1;
		}
		v[3] = v[3] != 0;
		cJSON_AddItemToArray(runs, cJSON_CreateDoubleArray(v, 5));
	}
}

static void add_config(struct subject *s, const cJSON *line)
{
	static const char *const keys[] = {
	    "app",	     "context",	      "index",	     "ch",
	    "config_stream", "page",	      "descs_total", "bytes_in_pattern",
	    "descs_fetched", "bytes_fetched", "pieces",	     NULL};
	cJSON *o = item(s, line);

	copy_list(s, o, line);
	copy_all(o, line, keys);
}

static void add_transfer(struct subject *s, const cJSON *line)
{
	static const char *const keys[] = {
	    "ch",      "n",	"start", "bind",       "first_irq", "last_irq",	 "debug",
	    "buffers", "descs", "avail", "ctrl_first", "ctrl_last", "size_last", NULL};
	const cJSON *b;
	cJSON *o = item(s, line);
	double bytes = 0;

	copy_list(s, o, line);
	copy_all(o, line, keys);
	cJSON_ArrayForEach(b, cJSON_GetObjectItem(line, "buffers")) bytes +=
	    trace_number(b, "size");
	cJSON_AddNumberToObject(o, "bytes", bytes);
	/* What the chip was given; what it gave is its own. */
	if (trace_number(line, "ch") < CHIP_VDMA_FIRST_D2H)
		copy(o, line, "sha256");
}

static void add_as_is(struct subject *s, const cJSON *line)
{
	static const char *const keys[] = {"map",    "timestamps", "ch",  "count",
					   "size",   "to",	   "off", "addr_mod_4096",
					   "status", "channels",   "msg", NULL};

	copy_all(item(s, line), line, keys);
}

cJSON *trace_subject(const cJSON *lines)
{
	static const struct {
		const char *op;
		void (*add)(struct subject *s, const cJSON *line);
	} kinds[] = {
	    {"control", add_control},	    {"context", add_context},
	    {"list_state", add_state},	    {"config_list", add_config},
	    {"transfer", add_transfer},	    {"transfer_unfinished", add_transfer},
	    {"enable_channels", add_as_is}, {"disable_channels", add_as_is},
	    {"queued_ahead", add_as_is},    {"buffer_map", add_as_is},
	    {"buffer_sync", add_as_is},	    {"interrupt", add_as_is},
	    {"event", add_as_is},
	};
	struct subject *s = calloc(1, sizeof(*s));
	const cJSON *line;
	cJSON *out;

	if (!s)
		return NULL;
	s->lines = lines;
	s->out = cJSON_CreateArray();
	cJSON_ArrayForEach(line, lines)
	{
		s->now = line;
		for (size_t i = 0; s->out && i < ARRAY_SIZE(kinds); i++)
			if (trace_is(line, kinds[i].op))
				kinds[i].add(s, line);
	}
	out = s->out;
	buf_free(&s->actions);
	free(s);
	return out;
}
