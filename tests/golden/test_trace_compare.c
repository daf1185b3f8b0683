// SPDX-License-Identifier: MIT
/*
 * The comparison itself, on the golden recordings: it must see every change of what golden/README
 * section 3 wants equal, pass over what its points allow, and do the latter through the normaliser
 * of that very point.
 */
#include "support/support.h"

#include "trace/trace.h"

static cJSON *golden(const char *name)
{
	char path[200];

	snprintf(path, sizeof(path), "golden/%s.jsonl", name);
	return read_jsonl(shared_path(path));
}

/* The @n-th line with that op and, for controls, opcode (-1: any). */
static cJSON *find(cJSON *lines, const char *op, int opcode, int n)
{
	cJSON *line;

	cJSON_ArrayForEach(line, lines) {
		if (trace_is(line, op) && (opcode < 0 || trace_is_control(line, (unsigned int)opcode)) &&
		    n-- == 0)
			return line;
	}
	fail_msg("no %s %d in the recording", op, opcode);
	return NULL;
}

static cJSON *at(cJSON *o, const char *key)
{
	cJSON *v = cJSON_GetObjectItem(o, key);

	if (!v)
		fail_msg("no %s", key);
	return v;
}

static void bump(cJSON *o, const char *key)
{
	cJSON *v = at(o, key);

	cJSON_SetNumberValue(v, v->valuedouble + 1);
}

/* Another hex digit, @n digits from the end (or from the start). */
static void flip(cJSON *o, const char *key, int n)
{
	char *s = at(o, key)->valuestring, *c = n < 0 ? s + strlen(s) + n : s + n;

	*c = *c == '0' ? '1' : '0';
}

static cJSON *action(cJSON *lines, int context, const char *word)
{
	cJSON *a;

	cJSON_ArrayForEach(a, at(find(lines, "context", -1, context), "actions")) {
		if (!strcmp(trace_text(a, "a"), word))
			return a;
	}
	fail_msg("no action %s", word);
	return NULL;
}

/* ------------------------------------------------------------------- what must be equal */

/* One member of one line, or of an item of a list in it, that is not as it was. */
struct change {
	const char *name;
	const char *op;           /* which line, as find() wants it */
	int opcode, nth;
	const char *list;         /* NULL: the line itself */
	int item;
	const char *member;       /* a number, one more, or a text ... */
	int digit;                /* ... with another digit here (0: it is a number) */
	void (*by)(cJSON *lines); /* or, not NULL: not that simple */
};

static void make_change(cJSON *lines, const struct change *c)
{
	cJSON *o;

	if (c->by) {
		c->by(lines);
		return;
	}
	o = find(lines, c->op, c->opcode, c->nth);
	if (c->list)
		o = cJSON_GetArrayItem(at(o, c->list), c->item);
	if (c->digit)
		flip(o, c->member, c->digit);
	else
		bump(o, c->member);
}

static void decoded_field(cJSON *l)
{
	bump(action(l, 3, "resume_vdma_channel"), "dir");
}

static void list_page(cJSON *l)
{
	bump(at(action(l, 0, "open_boundary_input_channel"), "hbi"), "page");
}

static void other_list(cJSON *l)
{
	cJSON_SetNumberValue(at(at(action(l, 0, "open_boundary_input_channel"), "hbi"), "list"), 2);
}

static void config_descriptor(cJSON *l)
{
	cJSON *run = cJSON_GetArrayItem(at(find(l, "list_state", -1, 2), "descs"), 1);

	cJSON_SetNumberValue(cJSON_GetArrayItem(run, 2), 6);
}

static void channel_map(cJSON *l)
{
	cJSON_SetNumberValue(cJSON_GetArrayItem(at(find(l, "enable_channels", -1, 0), "map"), 0), 4);
}

static void transfer_list(cJSON *l)
{
	cJSON_SetNumberValue(at(find(l, "transfer", -1, 4), "list"), 1);
}

static void drop(cJSON *lines, cJSON *line)
{
	cJSON_Delete(cJSON_DetachItemViaPointer(lines, line));
}

/* cJSON's own insertion refuses, in some versions, what is not the first. */
static void insert_before(cJSON *lines, cJSON *before, cJSON *item)
{
	while (lines->child != before)
		cJSON_AddItemToArray(lines, cJSON_DetachItemViaPointer(lines, lines->child));
	/* rotated: what came first is now last */
	cJSON_AddItemToArray(lines, item);
	while (!trace_is(lines->child, "meta"))
		cJSON_AddItemToArray(lines, cJSON_DetachItemViaPointer(lines, lines->child));
}

static void no_clear(cJSON *l)
{
	drop(l, find(l, "control", 71, 0));
}

static void no_reset_at_the_end(cJSON *l)
{
	drop(l, find(l, "control", 37, 3));
}

static void no_query(cJSON *l)
{
	cJSON *i = l->child, *next;

	for (; i; i = next) {
		next = i->next;
		if (trace_is_control(i, 72))
			drop(l, i);
	}
}

static void transfer_missing(cJSON *l)
{
	drop(l, find(l, "transfer", -1, 2));
}

/* Two neighbouring fetches of different channels: point 3 has no normaliser. */
static void fetch_order(cJSON *l)
{
	cJSON *line = find(l, "control", 33, 2);
	/* descriptors_count 1 on channel 0, then 1 on channel 1 */
	char *p = strstr(at(line, "req")->valuestring, "010000010001");

	assert_non_null(p);
	memcpy(p, "010001010000", 12);
}

static void controls_swapped(cJSON *l)
{
	cJSON *a = find(l, "control", 33, 1), *b = find(l, "control", 33, 2);
	char *req = at(a, "req")->valuestring;

	at(a, "req")->valuestring = at(b, "req")->valuestring;
	at(b, "req")->valuestring = req;
}

/* Another total_desc_count for the first list that the action names, decoded and in the request. */
static void put_count(cJSON *l, int context, const char *word, unsigned int count)
{
	cJSON *line, *hbi = at(action(l, context, word), "hbi");
	const char *name = trace_text(find(l, "context", -1, context), "context");
	char old[9], new[9], *p;
	uint8_t bytes[4];

	put_le32(bytes, (uint32_t)trace_number(hbi, "count"));
	snprintf(old, sizeof(old), "%02x%02x%02x%02x", bytes[0], bytes[1], bytes[2], bytes[3]);
	put_le32(bytes, count);
	snprintf(new, sizeof(new), "%02x%02x%02x%02x", bytes[0], bytes[1], bytes[2], bytes[3]);
	cJSON_ArrayForEach(line, l) {
		if (!trace_is_control(line, 33) || strcmp(trace_text(line, "context"), name))
			continue;
		p = strstr(at(line, "req")->valuestring, old);
		assert_non_null(p);
		memcpy(p, new, 8);
	}
	cJSON_SetNumberValue(at(hbi, "count"), count);
}

/* Point 1 allows any power of two, this is none. */
static void ring_of_100(cJSON *l)
{
	put_count(l, 0, "open_boundary_output_channel", 100);
}

/* Point 4 allows fewer, but 19 are fetched. */
static void config_of_18(cJSON *l)
{
	put_count(l, 2, "activate_cfg_channel", 18);
}

static const struct change forbidden[] = {
	{"enabled batch", "control", 37, 1, .member = "req", .digit = 68},
	{"control's CPU", "control", 33, 0, .member = "cpu"},
	{"header byte", "control", 32, 0, .member = "req", .digit = -1},
	{"activation byte", "control", 33, 0, .member = "req", .digit = -1},
	{"context type", "control", 33, 1, .member = "req", .digit = 69},
	{"chunk flag", "control", 33, 1, .member = "req", .digit = 49},
	{"preliminary byte", "control", 33, 2, .member = "req", .digit = 400},
	{"decoded field", .by = decoded_field},
	{"list's page", .by = list_page},
	{"other list", .by = other_list},
	{"list's address", "list_create", -1, 0, .member = "bus", .digit = -3},
	{"piece's bytes", "config_list", -1, 0, .list = "pieces", .item = 1, .member = "bytes"},
	{"piece's descriptors", "config_list", -1, 0, .list = "pieces", .item = 0, .member = "descs"},
	{"piece's digest", "config_list", -1, 1, .list = "pieces", .item = 1, .member = "sha256", .digit = 5},
	{"piece's control", "config_list", -1, 1, .list = "pieces", .item = 0, .member = "last_desc_ctrl"},
	{"config stream", "config_list", -1, 0, .member = "config_stream"},
	{"config descriptor", .by = config_descriptor},
	{"channel map", .by = channel_map},
	{"timestamps", "enable_channels", -1, 0, .member = "timestamps"},
	{"transfer's size", "transfer", -1, 1, .list = "buffers", .item = 0, .member = "size"},
	{"transfer's descriptors", "transfer", -1, 1, .member = "descs"},
	{"transfer's available count", "transfer", -1, 1, .member = "avail"},
	{"transfer's start", "transfer", -1, 2, .member = "start"},
	{"transfer's last control", "transfer", -1, 3, .member = "ctrl_last"},
	{"transfer's first control", "transfer", -1, 0, .member = "ctrl_first"},
	{"transfer's interrupt", "transfer", -1, 3, .member = "last_irq"},
	{"transfer's last size", "transfer", -1, 0, .member = "size_last"},
	{"transfer's channel", "transfer", -1, 4, .member = "ch"},
	{"transfer's list", .by = transfer_list},
	{"input bytes", "transfer", -1, 0, .member = "sha256", .digit = 9},
	{"no CLEAR", .by = no_clear},
	{"no RESET at the end", .by = no_reset_at_the_end},
	{"no query", .by = no_query},
	{"transfer missing", .by = transfer_missing},
	{"order of fetches", .by = fetch_order},
	{"controls swapped", .by = controls_swapped},
	{"a ring of 100", .by = ring_of_100},
	{"18 config descriptors", .by = config_of_18},
	/* point 2 is for the same question */
	{"asked otherwise", "control", 0, 1, .member = "req", .digit = -1},
	{"asked another", "control", 72, 1, .member = "cpu"},
};

static void every_forbidden_change_is_seen(void **state)
{
	cJSON *want = golden("mnist_cnn.hailo8.v0.batch1");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(forbidden); i++) {
		cJSON *changed = cJSON_Duplicate(want, true);
		struct trace_difference d;

		make_change(changed, &forbidden[i]);
		if (trace_compare(changed, want, &d) != 1 || trace_compare(want, changed, &d) != 1)
			fail_msg("%s passes for equal", forbidden[i].name);
		assert_true(d.where[0] && d.a[0] && d.b[0]);
		cJSON_Delete(changed);
	}
	cJSON_Delete(want);
}

/* --------------------------------------------------------------------- what may differ */

/* Point 1: an output ring of 8 instead of 128, in the activation context. */
static void shorter_ring(cJSON *l)
{
	cJSON *run = cJSON_GetArrayItem(at(find(l, "list_state", -1, 1), "descs"), 0);

	put_count(l, 0, "open_boundary_output_channel", 8);
	cJSON_SetNumberValue(cJSON_GetArrayItem(run, 0), 8);
}

static void queued_less(cJSON *l)
{
	bump(find(l, "queued_ahead", -1, 0), "count");
}

static void asked_once(cJSON *l)
{
	drop(l, find(l, "control", 72, 1));
	drop(l, find(l, "control", 51, 1));
	drop(l, find(l, "control", 0, 1));
}

static void asked_again(cJSON *l)
{
	insert_before(l, find(l, "close", -1, 0), cJSON_Duplicate(find(l, "control", 0, 0), true));
}

/* Point 4: 19 descriptors instead of 20, the last of which nobody fetches. */
static void shorter_config(cJSON *l)
{
	cJSON *runs = at(find(l, "list_state", -1, 2), "descs");

	put_count(l, 2, "activate_cfg_channel", 19);
	cJSON_DeleteItemFromArray(runs, cJSON_GetArraySize(runs) - 1);
	cJSON_SetNumberValue(at(find(l, "config_list", -1, 0), "descs_total"), 19);
}

static void other_buffers(cJSON *l)
{
	drop(l, find(l, "buffer_map", -1, 2));
	drop(l, find(l, "buffer_sync", -1, 0));
	bump(cJSON_GetArrayItem(at(find(l, "transfer", -1, 1), "buffers"), 0), "off");
}

static void interleaved(cJSON *l)
{
	insert_before(l, find(l, "transfer", -1, 0),
		      cJSON_DetachItemViaPointer(l, find(l, "transfer", -1, 3)));
}

static void unfinished(cJSON *l)
{
	cJSON *t = cJSON_Duplicate(find(l, "transfer", -1, 5), true);

	cJSON_ReplaceItemInObject(t, "op", cJSON_CreateString("transfer_unfinished"));
	insert_before(l, find(l, "disable_channels", -1, 0), t);
}

static void bound_each_time(cJSON *l)
{
	cJSON *i, *zeros = cJSON_Parse("[[128,0,0,0,0]]");

	cJSON_ArrayForEach(i, l) {
		if (trace_is(i, "transfer"))
			cJSON_ReplaceItemInObject(i, "bind", cJSON_CreateTrue());
	}
	cJSON_ReplaceItemInObject(find(l, "list_state", -1, 0), "descs", zeros);
}

static void other_ids(cJSON *l)
{
	cJSON *i, *a;

	/* golden/README 2: every list, buffer and address by another name */
	cJSON_ArrayForEach(i, l) {
		cJSON *list = cJSON_GetObjectItem(i, "list"), *bus = cJSON_GetObjectItem(i, "bus"),
		      *runs, *run;

		if (list)
			cJSON_SetNumberValue(list, list->valuedouble + 70);
		if (bus)
			bus->valuestring[5] = '7'; /* 0x100... */
		cJSON_ArrayForEach(a, cJSON_GetObjectItem(i, "actions")) {
			list = cJSON_GetObjectItem(cJSON_GetObjectItem(a, "hbi"), "list");
			if (list)
				cJSON_SetNumberValue(list, list->valuedouble + 70);
		}
		runs = trace_is(i, "list_state") ? at(i, "descs") : NULL;
		cJSON_ArrayForEach(run, runs) {
			if (cJSON_GetArrayItem(run, 3)->valuedouble != 0)
				cJSON_SetNumberValue(cJSON_GetArrayItem(run, 3), 99);
		}
	}
}

static void other_answers(cJSON *l)
{
	flip(find(l, "control", 51, 0), "rsp", 90);
	flip(find(l, "transfer", -1, 4), "sha256", 3);
}

struct allowance {
	const char *name;
	void (*change)(cJSON *lines);
	unsigned int point; /* 0: symbolic values, section 2 */
};
#define ALLOWED(f, p) {#f, f, p}

static const struct allowance allowed[] = {
	ALLOWED(shorter_ring, 1),  ALLOWED(queued_less, 1),	   ALLOWED(asked_once, 2),
	ALLOWED(asked_again, 2),   ALLOWED(shorter_config, 4), ALLOWED(other_buffers, 5),
	ALLOWED(interleaved, 6),   ALLOWED(unfinished, 6),	   ALLOWED(bound_each_time, 7),
	ALLOWED(other_answers, 0),
};

static bool equal_without(const cJSON *a, const cJSON *b, unsigned int point)
{
	static void (*const norm[])(cJSON *) = {
	    [1] = trace_norm_queue_depth,  [2] = trace_norm_queries,
	    [4] = trace_norm_config_count, [5] = trace_norm_buffers,
	    [6] = trace_norm_interleaving, [7] = trace_norm_bind,
	};
	cJSON *x = trace_subject(a), *y = trace_subject(b);
	bool same;

	for (unsigned int i = 1; i < ARRAY_SIZE(norm); i++)
		if (norm[i] && i != point) {
			norm[i](x);
			norm[i](y);
		}
	same = cJSON_Compare(x, y, true);
	cJSON_Delete(x);
	cJSON_Delete(y);
	return same;
}

static void every_allowance_has_its_normaliser(void **state)
{
	cJSON *want = golden("mnist_cnn.hailo8.v0.batch1");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++) {
		cJSON *changed = cJSON_Duplicate(want, true);
		struct trace_difference d;

		allowed[i].change(changed);
		if (cJSON_Compare(changed, want, true))
			fail_msg("%s changes nothing", allowed[i].name);
		if (trace_compare(changed, want, &d))
			fail_msg("%s: %s: %s, %s", allowed[i].name, d.where, d.a, d.b);
		if (equal_without(changed, want, allowed[i].point) != (allowed[i].point == 0))
			fail_msg("%s does not depend on point %u", allowed[i].name,
				 allowed[i].point);
		cJSON_Delete(changed);
	}
	cJSON_Delete(want);
}

static void names_do_not_matter(void **state)
{
	cJSON *want = golden("fsq_m13_imu.hailo8.v2.async8"),
	      *changed = cJSON_Duplicate(want, true), *i;
	struct trace_difference d;
	unsigned int n = 0;

	(void)state;
	other_ids(changed);
	/* The messages still have the old addresses, which no list has any more. */
	assert_int_equal(trace_compare(changed, want, &d), 1);
	cJSON_ArrayForEach(i, changed) {
		char *p = trace_is_control(i, 33) ? at(i, "req")->valuestring : NULL, old[17];

		for (unsigned int list = 1; p && list <= 4; list++) {
			char *q = p;

			snprintf(old, sizeof(old), "0000%x00010000000", list);
			for (; (q = strstr(q, old)); n++)
				q[7] = '7';
		}
	}
	assert_int_equal(n, 8); /* two boundary lists in three contexts, two of configuration */
	if (trace_compare(changed, want, &d))
		fail_msg("%s: %s, %s", d.where, d.a, d.b);
	cJSON_Delete(changed);
	cJSON_Delete(want);
}

static void recordings_of_different_runs_differ(void **state)
{
	static const char *const names[] = {
	    "mnist_cnn.hailo8.v0.batch1",
	    "mnist_cnn.hailo8.v0.batch8",
	    "mnist_cnn.hailo8.v0.async1",
	    "mnist_cnn.hailo8.v0.latency",
	    "mnist_cnn.hailo8.v0.page128",
	    "hand_landmark_lite.hailo8.v2.batch1",
	    "hand_landmark_lite.hailo8.v2.hwconsts-a",
	    "hand_landmark_lite.hailo8.v2.hwconsts-b",
	    "fsq_m13_imu.hailo8.v2.batch1",
	    "mnist_cnn.hailo8.v0.on8l",
	    "mnist_cnn.hailo8.v0.page16384",
	};
	cJSON *all[ARRAY_SIZE(names)];
	struct trace_difference d;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		all[i] = golden(names[i]);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		for (size_t k = 0; k < ARRAY_SIZE(names); k++)
			if (trace_compare(all[i], all[k], &d) != (i != k))
				fail_msg("%s, %s", names[i], names[k]);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		cJSON_Delete(all[i]);
}

static void differences_are_told_by_name(void **state)
{
	static const struct {
		const char *a, *b, *where, *is;
	} rows[] = {
	    {"mnist_cnn.hailo8.v0.batch1", "mnist_cnn.hailo8.v0.batch8", "batch_size", "1"},
	    {"mnist_cnn.hailo8.v0.batch1", "mnist_cnn.hailo8.v0.async1", "dynamic_batch", "0"},
	    {"mnist_cnn.hailo8.v0.batch1", "mnist_cnn.hailo8.v0.latency", "timestamps", "0"},
	    {"hand_landmark_lite.hailo8.v2.batch1", "hand_landmark_lite.hailo8.v2.hwconsts-a",
	     "activation context of application 0, action 5 (open_boundary_input_channel), "
	     "periph_bytes",
	     "37632"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cJSON *a = golden(rows[i].a), *b = golden(rows[i].b);
		struct trace_difference d;

		assert_int_equal(trace_compare(a, b, &d), 1);
		assert_non_null(strstr(d.where, rows[i].where));
		assert_string_equal(d.a, rows[i].is);
		cJSON_Delete(a);
		cJSON_Delete(b);
	}
}

/* The golden @line, a SET_CONTEXT_INFO, as two requests: the first @n bytes of actions, the others */
static void split_request(cJSON *lines, cJSON *line, size_t n)
{
	cJSON *rest = cJSON_Duplicate(line, true);
	size_t digits = strlen(trace_text(line, "req"));
	char *first = at(line, "req")->valuestring, *second = at(rest, "req")->valuestring;
	const size_t head = 2 * TRACE_SET_CONTEXT_HEAD, cut = head + 2 * n;

	memcpy(first + 59, "0", 1); /* not the last, not the first */
	memcpy(second + 49, "0", 1);
	memmove(second + head, second + cut, digits - cut + 1);
	first[cut] = 0;
	cJSON_SetNumberValue(at(line, "last"), 0);
	cJSON_SetNumberValue(at(rest, "first"), 0);
	insert_before(lines, line->next, rest);
}

/* Issue 4: an action list is shown as actions.  Only the requests are changed, one digit each. */
static void bytes_of_actions_are_told_as_actions(void **state)
{
	static const struct {
		int control, digit;
		const char *where, *is, *becomes;
	} rows[] = {
	    {0, 203, "activation context of application 0, action 2 (open_boundary_input_channel), "
		     "frame_periph_size", "1024", "16778240"},
	    /* active_sc: more digits than a double has */
	    {2, 0, "preliminary context of application 0, action 7 (trigger_sequencer), active_sc",
	     "2350888763654148593", "2350888763654148592"},
	};
	cJSON *want = golden("mnist_cnn.hailo8.v0.batch1"), *changed, *line;
	struct trace_difference d;
	char sc[17] = "";

	(void)state;
	for (int split = 0; split < 2; split++)
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
			cJSON *base = cJSON_Duplicate(want, true);
			char *c;

			if (split)
				split_request(base, find(base, "control", 33, rows[i].control), 60);
			changed = cJSON_Duplicate(base, true);
			line = find(changed, "control", 33, rows[i].control);
			if (rows[i].digit) {
				if (split)
					line = line->next;
				c = at(line, "req")->valuestring;
				c += split ? rows[i].digit - 120 : rows[i].digit;
			} else {
				for (unsigned int k = 0; k < 8; k++)
					snprintf(sc + 2 * k, 3, "%02x",
						 (uint8_t)(2350888763654148593 >> 8 * k));
				c = strstr(at(line, "req")->valuestring, sc);
				if (!c)
					c = strstr(at(line->next, "req")->valuestring, sc);
				assert_non_null(c);
				c++;
			}
			*c = *c == '0' ? '1' : '0';
			assert_int_equal(trace_compare(base, changed, &d), 1);
			assert_string_equal(d.where, rows[i].where);
			assert_string_equal(d.a, rows[i].is);
			assert_string_equal(d.b, rows[i].becomes);
			cJSON_Delete(changed);
			cJSON_Delete(base);
		}
	cJSON_Delete(want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(bytes_of_actions_are_told_as_actions),
	    cmocka_unit_test(every_forbidden_change_is_seen),
	    cmocka_unit_test(every_allowance_has_its_normaliser),
	    cmocka_unit_test(names_do_not_matter),
	    cmocka_unit_test(recordings_of_different_runs_differ),
	    cmocka_unit_test(differences_are_told_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
