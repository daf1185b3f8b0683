// SPDX-License-Identifier: MIT
/* Recordings as files, and small things about their lines. */
#include <stdio.h>
#include <stdlib.h>

#include "trace/trace.h"

#define DIGITS_EXACT 1e15 /* cJSON prints no more than 15 digits for sure */

/* Where the next number in a JSON text starts: strings are passed over.  NULL: there is none. */
static const char *next_number(const char *at)
{
	for (; *at; at++) {
		if (*at == '-' || (*at >= '0' && *at <= '9'))
			return at;
		if (*at != '"')
			continue;
		for (at++; *at && *at != '"'; at++)
			at += *at == '\\' && at[1];
		if (!*at)
			break;
	}
	return NULL;
}

/*
 * Bitmaps and offsets of 64 bits, which cJSON rounds: as raw items, they keep their digits
 * when they are compared and printed.  @at: the text of @v and what is behind it.
 */
static bool keep_digits(cJSON *v, const char **at)
{
	const char *text;
	size_t len;
	cJSON *i;

	for (i = v->child; i; i = i->next)
		if (!keep_digits(i, at))
			return false;
	if (!cJSON_IsNumber(v))
		return true;
	text = next_number(*at);
	if (!text)
		return false;
	len = strspn(text, "0123456789");
	*at = text + strspn(text, "+-.0123456789eE");
	if (v->valuedouble < DIGITS_EXACT || text + len != *at)
		return true;
	v->valuestring = strndup(text, len);
	if (!v->valuestring)
		return false;
	v->type = (v->type & ~0xff) | cJSON_Raw;
	return true;
}

static int read_lines(const char *path, cJSON **lines, struct hw_error *err)
{
	uint8_t *data;
	size_t len, n = 1;
	const char *text;
	char *at, *end;
	cJSON *all;
	int r = util_read_file(path, TRACE_FILE_MAX, &data, &len, err);

	if (r < 0)
		return r;
	at = realloc(data, len + 1);
	all = cJSON_CreateArray();
	if (!at || !all) {
		free(at ? (void *)at : data);
		cJSON_Delete(all);
		return hw_fail(err, -ENOMEM, "no memory for %s", path);
	}
	data = (uint8_t *)at;
	at[len] = 0;
	for (; *at && r == 0; at = end, n++) {
		cJSON *line;

		end = at + strcspn(at, "\n");
		if (*end)
			*end++ = 0;
		if (!*at)
			continue;
		line = cJSON_Parse(at);
		text = at;
		if (line && keep_digits(line, &text) && cJSON_IsObject(line) &&
		    cJSON_IsString(cJSON_GetObjectItem(line, "op")))
			cJSON_AddItemToArray(all, line);
		else {
			cJSON_Delete(line);
			r = hw_fail(err, -EBADMSG, "%s: line %zu is no line of a recording", path,
				    n);
		}
	}
	if (r == 0 && !all->child)
		r = hw_fail(err, -EBADMSG, "%s is empty", path);
	free(data);
	if (r == 0)
		*lines = all;
	else
		cJSON_Delete(all);
	return r;
}

/*
 * golden/README: of a run that is equal to another there is only the meta line, which names it.  The
 * file of "NAME.batch1" lies beside that of "NAME.default".
 */
static int read_same(const char *path, const char *run, const char *same, cJSON **lines,
		     struct hw_error *err)
{
	size_t len = strlen(path), tail = strlen(run) + strlen(".jsonl");
	char *other = NULL;
	int r = -ENOENT;

	if (*run && len >= tail && !strncmp(path + len - tail, run, strlen(run)) &&
	    !strcmp(path + len - strlen(".jsonl"), ".jsonl") && !strchr(same, '/')) {
		if (asprintf(&other, "%.*s%s.jsonl", (int)(len - tail), path, same) < 0)
			return hw_fail(err, -ENOMEM, "no memory for a name");
		r = read_lines(other, lines, err);
		free(other);
	}
	return r < 0 ? hw_fail(err, r, "%s only says that it is equal to the run \"%s\", whose recording "
			       "is not beside it", path, same)
		     : 0;
}

int trace_read(const char *path, cJSON **lines, struct hw_error *err)
{
	cJSON *meta, *own;
	int r = read_lines(path, lines, err);

	if (r < 0)
		return r;
	own = *lines;
	meta = own->child;
	if (meta->next || !*trace_text(meta, "same_as"))
		return 0;
	*lines = NULL;
	r = read_same(path, trace_text(meta, "run"), trace_text(meta, "same_as"), lines, err);
	cJSON_Delete(own);
	return r;
}

const char *trace_text(const cJSON *line, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(line, key);

	return cJSON_IsString(v) ? v->valuestring : "";
}

double trace_number(const cJSON *line, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(line, key);

	return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

uint32_t trace_to_uint(double v)
{
	return v >= 0 && v <= UINT32_MAX ? (uint32_t)v : 0;
}

uint32_t trace_uint(const cJSON *line, const char *key)
{
	return trace_to_uint(trace_number(line, key));
}

bool trace_is(const cJSON *line, const char *op)
{
	return strcmp(trace_text(line, "op"), op) == 0;
}

bool trace_is_control(const cJSON *line, unsigned int opcode)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(line, "opcode");

	return trace_is(line, "control") && cJSON_IsNumber(v) && v->valuedouble == opcode;
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int trace_bytes(const cJSON *line, const char *key, struct buf *out)
{
	const char *hex = trace_text(line, key);

	*out = (struct buf){0};
	for (; hex[0]; hex += 2) {
		int hi = nibble(hex[0]), lo = hi < 0 ? -1 : nibble(hex[1]);

		if (lo < 0)
			return -EBADMSG;
		buf_u8(out, (uint8_t)(hi << 4 | lo));
	}
	return out->failed ? -ENOMEM : 0;
}

char *trace_hex(const uint8_t *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	char *hex = malloc(2 * len + 1);

	if (!hex)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		hex[2 * i] = digits[data[i] >> 4];
		hex[2 * i + 1] = digits[data[i] & 15];
	}
	hex[2 * len] = 0;
	return hex;
}
