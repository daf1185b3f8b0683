// SPDX-License-Identifier: MIT
/* Are two recordings the same?  If not, the first difference in words. */
#include <stdio.h>
#include <stdlib.h>

#include "trace/trace.h"

static void put(char *buf, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void put(char *buf, size_t size, const char *fmt, ...)
{
	size_t n = strlen(buf);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf + n, size - n, fmt, ap);
	va_end(ap);
}

static void show_value(const cJSON *v, char *buf, size_t size)
{
	char *text = v ? cJSON_PrintUnformatted(v) : NULL;

	buf[0] = 0;
	if (!v)
		put(buf, size, "nothing");
	else if (cJSON_IsString(v))
		put(buf, size, "%s", v->valuestring);
	else
		put(buf, size, "%s", text ? text : "?");
	if (strlen(buf) == size - 1)
		memcpy(buf + size - 4, "...", 3);
	free(text);
}

static void show_both(const cJSON *a, const cJSON *b, struct trace_difference *d)
{
	show_value(a, d->a, sizeof(d->a));
	show_value(b, d->b, sizeof(d->b));
}

/* Long strings are requests: where they part, and what is there. */
static void show_hex(const char *a, const char *b, struct trace_difference *d)
{
	size_t at = 0;

	while (a[at] && a[at] == b[at])
		at++;
	at &= ~(size_t)1;
	put(d->where, sizeof(d->where), ", from byte %zu on", at / 2);
	snprintf(d->a, sizeof(d->a), "%.32s (%zu bytes in all)", a + at, strlen(a) / 2);
	snprintf(d->b, sizeof(d->b), "%.32s (%zu bytes in all)", b + at, strlen(b) / 2);
}

/* An element of an array, as people call it. */
static void name_element(const char *array, int i, const cJSON *v, char *buf, size_t size)
{
	const char *word = trace_text(v, "a");

	if (!strcmp(array, "actions"))
		put(buf, size, ", action %d (%s%s%s)", i, word, *trace_text(v, "of") ? " " : "",
		    trace_text(v, "of"));
	else if (!strcmp(array, "items"))
		put(buf, size, ", item %d", i);
	else if (!strcmp(array, "pieces"))
		put(buf, size, ", piece %d", i);
	else
		put(buf, size, "[%d]", i);
}

static bool differ(const cJSON *a, const cJSON *b, struct trace_difference *d);

static bool arrays_differ(const cJSON *a, const cJSON *b, struct trace_difference *d)
{
	const cJSON *x = a->child, *y = b->child;
	size_t before = strlen(d->where);
	int i;

	for (i = 0; x && y; i++, x = x->next, y = y->next) {
		const char *of_x = trace_text(x, "a"), *of_y = trace_text(y, "a");

		d->where[before] = 0;
		if (*of_x && strcmp(of_x, of_y)) {
			put(d->where, sizeof(d->where), ", action %d", i);
			show_both(cJSON_GetObjectItem(x, "a"), cJSON_GetObjectItem(y, "a"), d);
			return true;
		}
		name_element(a->string ? a->string : "", i, x, d->where, sizeof(d->where));
		if (differ(x, y, d))
			return true;
	}
	d->where[before] = 0;
	if (!x && !y)
		return false;
	name_element(a->string ? a->string : "", i, x ? x : y, d->where, sizeof(d->where));
	show_both(x, y, d);
	return true;
}

static bool objects_differ(const cJSON *a, const cJSON *b, struct trace_difference *d)
{
	size_t before = strlen(d->where);
	const cJSON *x, *y;

	cJSON_ArrayForEach(x, a)
	{
		y = cJSON_GetObjectItemCaseSensitive(b, x->string);
		d->where[before] = 0;
		if ((!cJSON_IsArray(x) && strcmp(x->string, "says")) || !y)
			put(d->where, sizeof(d->where), ", %s", x->string);
		if (!y) {
			show_both(x, NULL, d);
			return true;
		}
		if (differ(x, y, d))
			return true;
	}
	d->where[before] = 0;
	cJSON_ArrayForEach(y, b)
	{
		if (cJSON_GetObjectItemCaseSensitive(a, y->string))
			continue;
		put(d->where, sizeof(d->where), ", %s", y->string);
		show_both(NULL, y, d);
		return true;
	}
	return false;
}

static bool differ(const cJSON *a, const cJSON *b, struct trace_difference *d)
{
	if (cJSON_IsObject(a) && cJSON_IsObject(b))
		return objects_differ(a, b, d);
	if (cJSON_IsArray(a) && cJSON_IsArray(b))
		return arrays_differ(a, b, d);
	if (cJSON_Compare(a, b, true))
		return false;
	if (cJSON_IsString(a) && cJSON_IsString(b) && strlen(a->valuestring) > 100)
		show_hex(a->valuestring, b->valuestring, d);
	else
		show_both(a, b, d);
	return true;
}

/* "control 7 (SET_CONTEXT_INFO preliminary)", "transfer 2 on channel 16" ... */
static void name_item(const cJSON *i, unsigned int nth, char *buf, size_t size)
{
	const char *op = trace_text(i, "op"), *context = trace_text(i, "context");
	const cJSON *index = cJSON_GetObjectItem(i, "index");
	char which[32] = "";

	if (cJSON_IsNumber(index))
		snprintf(which, sizeof(which), " %.0f", index->valuedouble);
	if (trace_is(i, "control"))
		snprintf(buf, size, "control %u (%s%s%s)", nth,
			 chip_opcode_name(trace_uint(i, "opcode")), *context ? " " : "",
			 context);
	else if (trace_is(i, "context"))
		snprintf(buf, size, "%s context%s of application %.0f", context, which,
			 trace_number(i, "app"));
	else if (trace_is(i, "config_list"))
		snprintf(buf, size,
			 "configuration channel %.0f in the %s context%s of application %.0f",
			 trace_number(i, "ch"), context, which, trace_number(i, "app"));
	else if (trace_is(i, "transfer"))
		snprintf(buf, size, "transfer %.0f on channel %.0f", trace_number(i, "n"),
			 trace_number(i, "ch"));
	else if (trace_is(i, "list_state"))
		snprintf(buf, size, "contents of the %s list %.0f", trace_text(i, "of"),
			 trace_number(i, "list"));
	else
		snprintf(buf, size, "%s", op);
}

/* The same thing at the same place? */
static bool same_kind(const cJSON *a, const cJSON *b)
{
	return !strcmp(trace_text(a, "op"), trace_text(b, "op")) &&
	       trace_number(a, "opcode") == trace_number(b, "opcode") &&
	       !strcmp(trace_text(a, "context"), trace_text(b, "context")) &&
	       trace_number(a, "ch") == trace_number(b, "ch");
}

static const cJSON *next_context(const cJSON *i)
{
	while (i && !trace_is(i, "context"))
		i = trace_is_control(i, FW_SET_CONTEXT_INFO) ? i->next : NULL;
	return i;
}

/* The request with which a context's bytes are complete, and what they say. */
static const cJSON *last_chunk(const cJSON *i)
{
	while (i && !cJSON_GetObjectItem(i, "actions"))
		i = trace_is_control(i, FW_SET_CONTEXT_INFO) ? i->next : NULL;
	return i;
}

/* Of a context's bytes the decoded actions say more. */
static bool decoded_differ(const cJSON *a, const cJSON *b, unsigned int nth,
			   struct trace_difference *d)
{
	const cJSON *x = last_chunk(a), *y = last_chunk(b), *context = next_context(a);

	if (!trace_is_control(a, FW_SET_CONTEXT_INFO) || !x || !y || !same_kind(x, y))
		return false;
	name_item(context ? context : a, nth, d->where, sizeof(d->where));
	return differ(cJSON_GetObjectItem(x, "actions"), cJSON_GetObjectItem(y, "actions"), d);
}

static int compare_subjects(const cJSON *a, const cJSON *b, struct trace_difference *d)
{
	const cJSON *x = a->child, *y = b->child;
	char xs[100], ys[100];
	unsigned int controls = 0;

	for (; x && y; x = x->next, y = y->next) {
		name_item(x, controls, d->where, sizeof(d->where));
		if (!same_kind(x, y))
			break;
		if (differ(x, y, d)) {
			struct trace_difference better = {0};

			if (decoded_differ(x, y, controls, &better))
				*d = better;
			return 1;
		}
		controls += trace_is(x, "control");
	}
	if (!x && !y)
		return 0;
	snprintf(d->where, sizeof(d->where), "what comes after %u controls", controls);
	snprintf(xs, sizeof(xs), "the end");
	snprintf(ys, sizeof(ys), "the end");
	if (x)
		name_item(x, controls, xs, sizeof(xs));
	if (y)
		name_item(y, controls, ys, sizeof(ys));
	snprintf(d->a, sizeof(d->a), "%s", xs);
	snprintf(d->b, sizeof(d->b), "%s", ys);
	return 1;
}

int trace_compare(const cJSON *a, const cJSON *b, struct trace_difference *d)
{
	cJSON *x = trace_subject(a), *y = trace_subject(b);
	int r = -ENOMEM;

	*d = (struct trace_difference){0};
	if (x && y) {
		trace_normalise(x);
		trace_normalise(y);
		r = compare_subjects(x, y, d);
	}
	cJSON_Delete(x);
	cJSON_Delete(y);
	return r;
}
