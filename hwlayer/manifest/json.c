// SPDX-License-Identifier: MIT
#include "manifest/json.h"

#include <ctype.h>
#include <float.h>
#include <math.h>
#include <stdio.h>

bool json_printable(const char *s)
{
	for (; *s; s++)
		if (iscntrl((unsigned char)*s))
			return false;
	return true;
}

bool json_is(const struct json_node *n, const char *text)
{
	return cJSON_IsString(n->json) && strcmp(n->json->valuestring, text) == 0;
}

/* ----------------------------------------------------------------- complaints */

static void found(const struct json_node *n, char *out, size_t size)
{
	const cJSON *j = n->json;

	if (!j)
		snprintf(out, size, "nothing");
	else if (cJSON_IsNumber(j))
		snprintf(out, size, "%.9g", j->valuedouble);
	else if (cJSON_IsString(j) &&
		 (strlen(j->valuestring) > 40 || !json_printable(j->valuestring)))
		snprintf(out, size, "a text of %zu bytes", strlen(j->valuestring));
	else if (cJSON_IsString(j))
		snprintf(out, size, "\"%s\"", j->valuestring);
	else if (cJSON_IsArray(j))
		snprintf(out, size, "a list of %zu", json_list_size(j));
	else if (cJSON_IsBool(j))
		snprintf(out, size, cJSON_IsTrue(j) ? "true" : "false");
	else
		snprintf(out, size, cJSON_IsObject(j) ? "an object" : "null");
}

int json_expected(const struct json_reader *r, const struct json_node *n, const char *fmt, ...)
{
	char what[160], instead[64];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	found(n, instead, sizeof(instead));
	return hw_fail(r->err, -EBADMSG, "%.120s: %s: expected %s, found %s", r->label,
		       n->path[0] ? n->path : "the whole file", what, instead);
}

int json_no_memory(const struct json_reader *r)
{
	return hw_fail(r->err, -ENOMEM, "%.120s: no memory for the manifest", r->label);
}

/* ----------------------------------------------------------------- navigation */

/* Paths come from the keys that are asked for, never from the text, so they fit; if not, cut. */
static void join(char out[JSON_PATH_MAX], const char *place, const char *dot, const char *key)
{
	const char *const parts[] = {place, dot, key};
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		size_t n = strnlen(parts[i], JSON_PATH_MAX - 1 - len);

		memcpy(out + len, parts[i], n);
		len += n;
	}
	out[len] = 0;
}

int json_member(const struct json_reader *r, const struct json_node *obj, const char *key,
		struct json_node *out)
{
	if (!cJSON_IsObject(obj->json))
		return json_expected(r, obj, "an object");
	join(out->path, obj->path, obj->path[0] ? "." : "", key);
	out->json = NULL;
	for (const cJSON *j = obj->json->child; j; j = j->next) {
		if (strcmp(j->string, key) != 0)
			continue;
		if (out->json) /* which of the two would count? */
			return hw_fail(r->err, -EBADMSG, "%.120s: %s: is there twice", r->label,
				       out->path);
		out->json = j;
	}
	return 0;
}

void json_element(const struct json_node *list, const cJSON *json, size_t index,
		  struct json_node *out)
{
	char suffix[24];

	snprintf(suffix, sizeof(suffix), "[%zu]", index);
	join(out->path, list->path, "", suffix);
	out->json = json;
}

size_t json_list_size(const cJSON *list)
{
	size_t n = 0;

	for (const cJSON *j = cJSON_IsArray(list) ? list->child : NULL; j; j = j->next)
		n++;
	return n;
}

/* --------------------------------------------------------------------- values */

int json_text(const struct json_reader *r, const struct json_node *n, char *out, size_t size)
{
	const char *s = cJSON_GetStringValue(n->json);

	if (!s || !s[0] || strlen(s) >= size || !json_printable(s))
		return json_expected(r, n, "a text of 1 to %zu printable bytes", size - 1);
	memcpy(out, s, strlen(s) + 1);
	return 0;
}

int json_optional_text(const struct json_reader *r, const struct json_node *obj, const char *key,
		       char *out, size_t size)
{
	struct json_node n;
	int ret = json_member(r, obj, key, &n);

	/* "" is how our own writer, and people, say "none". */
	if (ret < 0 || !n.json || (cJSON_IsString(n.json) && !n.json->valuestring[0]))
		return ret;
	return json_text(r, &n, out, size);
}

int json_optional_sha256(const struct json_reader *r, const struct json_node *obj, const char *key,
			 char out[65])
{
	char hex[65] = "";
	struct json_node n;
	int ret = json_member(r, obj, key, &n);

	if (ret < 0 || !n.json || (cJSON_IsString(n.json) && !n.json->valuestring[0]))
		return ret;
	if (!cJSON_IsString(n.json) || strlen(n.json->valuestring) != 64 ||
	    strspn(n.json->valuestring, "0123456789abcdefABCDEF") != 64)
		return json_expected(r, &n, "64 hex digits");
	for (size_t i = 0; i < 64; i++)
		hex[i] = (char)tolower((unsigned char)n.json->valuestring[i]);
	memcpy(out, hex, sizeof(hex));
	return 0;
}

int json_float(const struct json_reader *r, const struct json_node *n, bool divisor, float *out)
{
	/* Judged as the float that will be computed with: 1e-60 is 0 there and 1e60 infinite. */
	float v = cJSON_IsNumber(n->json) ? (float)n->json->valuedouble : NAN;

	if (!isfinite(v) || (divisor && v < FLT_MIN))
		return json_expected(r, n, divisor ? "a finite number above 0" : "a finite number");
	*out = v;
	return 0;
}

int json_fill_floats(const struct json_reader *r, const struct json_node *list, size_t count,
		     bool divisor, float *out)
{
	struct json_node e;
	size_t i = 0;
	int ret;

	if (json_list_size(list->json) != count)
		return json_expected(r, list, "a list of %zu numbers", count);
	for (const cJSON *j = list->json->child; j; j = j->next, i++) {
		json_element(list, j, i, &e);
		ret = json_float(r, &e, divisor, &out[i]);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int json_floats(const struct json_reader *r, const struct json_node *obj, const char *key,
		size_t count, bool divisor, float **out)
{
	struct json_node list;
	int ret = json_member(r, obj, key, &list);

	if (ret < 0)
		return ret;
	*out = calloc(count, sizeof(**out));
	if (!*out)
		return json_no_memory(r);
	return json_fill_floats(r, &list, count, divisor, *out);
}

bool json_whole_number(const cJSON *j, uint32_t max, uint32_t *out)
{
	if (!cJSON_IsNumber(j) || !(j->valuedouble >= 1 && j->valuedouble <= max) ||
	    j->valuedouble != floor(j->valuedouble))
		return false;
	*out = (uint32_t)j->valuedouble;
	return true;
}

/* ------------------------------------------------------------------------ the text */

/* Bytes of the UTF-8 character at the front of @s, 0 when it is none (or NUL). */
static size_t utf8_char(struct span s)
{
	static const uint32_t least[] = {0, 1, 0x80, 0x800, 0x10000};
	uint8_t first = s.ptr[0];
	size_t ones = (size_t)__builtin_clz(~((uint32_t)first << 24));
	size_t n = ones ? ones : 1;
	uint32_t c = first & (0xffu >> ones);

	if (ones == 1 || n > 4 || n > s.len)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if (s.ptr[i] >> 6 != 2)
			return 0;
		c = c << 6 | (s.ptr[i] & 0x3f);
	}
	return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : n;
}

static int not_json(const struct json_reader *r, const char *text, const char *at, const char *what)
{
	size_t line = 1, column = 1;

	for (; text < at; text++) {
		column = *text == '\n' ? 1 : column + 1;
		line += *text == '\n';
	}
	return hw_fail(r->err, -EBADMSG, "%.120s: not JSON: %s at line %zu, column %zu", r->label,
		       what, line, column);
}

int json_parse(const struct json_reader *r, const char *text, size_t len, cJSON **out)
{
	struct span rest = {(const uint8_t *)text, len}, c;
	const char *end = text;

	if (!len)
		return hw_fail(r->err, -EBADMSG, "%.120s: not JSON: it is empty", r->label);
	while (rest.len) {
		size_t n = utf8_char(rest);

		if (!n)
			return not_json(r, text, (const char *)rest.ptr,
					"bytes that are not UTF-8");
		span_take(&rest, n, &c);
	}
	*out = cJSON_ParseWithLengthOpts(text, len, &end, false);
	if (!*out)
		return not_json(r, text, end, "syntax error");
	while (end < text + len && strchr(" \t\r\n", *end))
		end++;
	if (end < text + len) {
		cJSON_Delete(*out);
		return not_json(r, text, end, "something behind the end");
	}
	return 0;
}
