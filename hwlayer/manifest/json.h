// SPDX-License-Identifier: MIT
/*
 * Checked reading of a JSON text whose author nobody knows: each value is asked for by its place
 * and kind, and every refusal (-EBADMSG) names the place, what belongs there and what was found.
 * Pure: no I/O, no globals.
 */
#ifndef HWLAYER_MANIFEST_JSON_H
#define HWLAYER_MANIFEST_JSON_H

#include <cjson/cJSON.h>

#include "util/bytes.h"
#include "util/util.h"

/* Where complaints go; @label is what they call the text, usually its path. */
struct json_reader {
	const char *label;
	struct hw_error *err;
};

#define JSON_PATH_MAX 96

/* A JSON value and where it stands ("outputs[1].shape"); @json is NULL when the field is absent. */
struct json_node {
	const cJSON *json;
	char path[JSON_PATH_MAX];
};

/* UTF-8, one value and nothing behind it; free with cJSON_Delete(). */
int json_parse(const struct json_reader *r, const char *text, size_t len, cJSON **out);

/* "LABEL: PATH: expected ..., found ...", -EBADMSG */
int json_expected(const struct json_reader *r, const struct json_node *n, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int json_no_memory(const struct json_reader *r);

/* The member @key of @obj, which must be an object and must not have it twice. */
int json_member(const struct json_reader *r, const struct json_node *obj, const char *key,
		struct json_node *out);
/* @json is element number @index of @list. */
void json_element(const struct json_node *list, const cJSON *json, size_t index,
		  struct json_node *out);
/* 0 when @list is no list. */
size_t json_list_size(const cJSON *list);

bool json_printable(const char *s);
bool json_is(const struct json_node *n, const char *text);
bool json_whole_number(const cJSON *j, uint32_t max, uint32_t *out);
int json_text(const struct json_reader *r, const struct json_node *n, char *out, size_t size);
/* Absent or "": @out stays as it is. */
int json_optional_text(const struct json_reader *r, const struct json_node *obj, const char *key,
		       char *out, size_t size);
int json_optional_sha256(const struct json_reader *r, const struct json_node *obj, const char *key,
			 char out[65]);
/* @divisor: not below the smallest normal float, so that 1/x is finite too. */
int json_float(const struct json_reader *r, const struct json_node *n, bool divisor, float *out);
int json_fill_floats(const struct json_reader *r, const struct json_node *list, size_t count,
		     bool divisor, float *out);
/* Member @key of @obj into a new array, *@out: the caller free()s it, on error as well. */
int json_floats(const struct json_reader *r, const struct json_node *obj, const char *key,
		size_t count, bool divisor, float **out);

#endif
