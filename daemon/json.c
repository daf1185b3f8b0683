// SPDX-License-Identifier: MIT
#include "json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 10 /* operators declare JSON depth 10: contracts.md section 1 */

bool json_fail(struct json *js, const char *error)
{
	if (!js->error)
		js->error = js->p >= js->end ? "Unexpected end of data" : error;
	return false;
}

/* ---------------------------------------------------------------- strings */

/* Length of the UTF-8 sequence at @p, 0 when it is not one (RFC 3629: no overlong forms, no
 * surrogates, nothing above U+10FFFF). */
static size_t utf8_length(const unsigned char *p, size_t left)
{
	static const struct {
		unsigned char lead_min, lead_max, second_min, second_max, length;
	} forms[] = {
	    {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
	    {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
	    {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (p[0] < forms[i].lead_min || p[0] > forms[i].lead_max)
			continue;
		if (forms[i].length > left || p[1] < forms[i].second_min ||
		    p[1] > forms[i].second_max)
			return 0;
		for (size_t k = 2; k < forms[i].length; k++)
			if ((p[k] & 0xc0) != 0x80)
				return 0;
		return forms[i].length;
	}
	return 0;
}

/* FNV-1a, over code points, so that "x" and "\u0078" are the same key. */
static uint64_t hash_code(uint64_t h, uint32_t code)
{
	for (int i = 0; i < 4; i++) {
		h ^= code >> (8 * i) & 0xff;
		h *= 0x100000001b3u;
	}
	return h;
}

static bool parse_hex4(struct json *js, uint32_t *code)
{
	*code = 0;
	for (int i = 0; i < 4; i++, js->p++) {
		char c = js->p < js->end ? *js->p : 0;
		uint32_t digit;

		if (c >= '0' && c <= '9')
			digit = (uint32_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			digit = (uint32_t)(c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			digit = (uint32_t)(c - 'A' + 10);
		else
			return json_fail(js, "Invalid \\u escape");
		*code = *code << 4 | digit;
	}
	return true;
}

static bool parse_escape(struct json *js, uint32_t *code)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *hit;
	uint32_t low;

	if (json_at(js, 'u')) {
		js->p++;
		if (!parse_hex4(js, code))
			return false;
		/* A surrogate pair is one code point; a lone surrogate is taken as it is. */
		if (*code >> 10 == 0xd800 >> 10 && js->end - js->p >= 6 && js->p[0] == '\\' &&
		    js->p[1] == 'u') {
			const char *back = js->p;

			js->p += 2;
			if (!parse_hex4(js, &low))
				return false;
			if (low >> 10 == 0xdc00 >> 10)
				*code = 0x10000 + ((*code & 0x3ff) << 10 | (low & 0x3ff));
			else
				js->p = back;
		}
		return true;
	}
	hit = js->p < js->end && *js->p ? strchr(from, *js->p) : NULL;
	if (!hit)
		return json_fail(js, "Invalid \\escape");
	*code = (uint32_t)to[hit - from];
	js->p++;
	return true;
}

static uint32_t utf8_code(const unsigned char *p, size_t n)
{
	uint32_t code = n == 2 ? p[0] & 0x1f : n == 3 ? p[0] & 0x0f : p[0] & 0x07;

	for (size_t i = 1; i < n; i++)
		code = code << 6 | (p[i] & 0x3f);
	return code;
}

/* At the opening quote; @hash gets the hash of the text, @first its first code point and @count
 * how many it has. */
static bool parse_string(struct json *js, uint64_t *hash, uint32_t *first, size_t *count)
{
	*hash = 0xcbf29ce484222325u;
	*count = 0;
	*first = 0;
	js->p++;
	while (!json_at(js, '"')) {
		uint32_t code;

		if (js->p >= js->end)
			return json_fail(js, "Unterminated string");
		if ((unsigned char)*js->p < 0x20)
			return json_fail(js, "Invalid control character");
		if (*js->p == '\\') {
			js->p++;
			if (!parse_escape(js, &code))
				return false;
		} else if ((unsigned char)*js->p < 0x80) {
			code = (unsigned char)*js->p++;
		} else {
			const unsigned char *u = (const unsigned char *)js->p;
			size_t n = utf8_length(u, (size_t)(js->end - js->p));

			if (!n)
				return json_fail(js, "Invalid UTF-8");
			code = utf8_code(u, n);
			js->p += n;
		}
		if (!(*count)++)
			*first = code;
		*hash = hash_code(*hash, code);
	}
	js->p++;
	return true;
}

/* ---------------------------------------------------------------- numbers */

/*
 * Up to 2^53 and 10^22 both operands are exact doubles, so one multiplication or division rounds
 * correctly (Clinger's fast path).  Everything else goes through strtod(), which may read up to
 * the NUL behind the body.
 */
bool json_number(struct json *js, double *out)
{
	static const double pow10[] = {1e0,  1e1,  1e2,	 1e3,  1e4,  1e5,  1e6,	 1e7,
				       1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
				       1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
	const char *from = js->p;
	bool negative = json_at(js, '-');
	uint64_t mantissa = 0;
	unsigned int digits = 0;
	int exp10 = 0, sign = 1, e = 0;

	if (negative)
		js->p++;
	if (!json_at_digit(js))
		return json_fail(js, "Expecting value");
	if (json_at(js, '0')) {
		js->p++;
	} else {
		for (; json_at_digit(js); js->p++, digits++)
			if (digits < 18)
				mantissa = mantissa * 10 + (uint64_t)(*js->p - '0');
	}
	if (json_at_digit(js))
		return json_fail(js, "Number with a leading zero");
	if (json_at(js, '.')) {
		js->p++;
		if (!json_at_digit(js))
			return json_fail(js, "Expecting a digit");
		for (; json_at_digit(js); js->p++, digits++) {
			if (digits < 18) {
				mantissa = mantissa * 10 + (uint64_t)(*js->p - '0');
				exp10--;
			}
		}
	}
	if (json_at(js, 'e') || json_at(js, 'E')) {
		js->p++;
		if (json_at(js, '+') || json_at(js, '-'))
			sign = *js->p++ == '-' ? -1 : 1;
		if (!json_at_digit(js))
			return json_fail(js, "Expecting a digit");
		for (; json_at_digit(js); js->p++)
			if (e < 10000)
				e = e * 10 + (*js->p - '0');
		exp10 += sign * e;
	}
	if (digits <= 18 && mantissa <= 1ull << 53 && exp10 >= -22 && exp10 <= 22) {
		double v = (double)mantissa;

		v = exp10 < 0 ? v / pow10[-exp10] : v * pow10[exp10];
		*out = negative ? -v : v;
	} else {
		*out = strtod(from, NULL);
	}
	return true;
}

static bool take_word(struct json *js, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(js->end - js->p) < n || memcmp(js->p, word, n) != 0)
		return false;
	js->p += n;
	return true;
}

bool json_non_finite(struct json *js, double *out)
{
	if (take_word(js, "NaN"))
		*out = (double)NAN;
	else if (take_word(js, "Infinity"))
		*out = (double)INFINITY;
	else if (take_word(js, "-Infinity"))
		*out = -(double)INFINITY;
	else
		return false;
	js->literals++;
	return true;
}

/* ----------------------------------------------------------------- values */

bool json_enter(struct json *js)
{
	if (js->depth == MAX_DEPTH)
		return json_fail(js, "Nested too deeply");
	js->depth++;
	js->p++;
	json_space(js);
	return true;
}

bool json_leave(struct json *js)
{
	if (js->error)
		return false;
	js->depth--;
	js->p++;
	return true;
}

bool json_next(struct json *js, char close)
{
	json_space(js);
	if (json_at(js, close))
		return false;
	if (!json_at(js, ','))
		return json_fail(js, "Expecting ',' delimiter");
	js->p++;
	json_space(js);
	if (json_at(js, close))
		return json_fail(js, "Illegal trailing comma");
	return true;
}

bool json_key(struct json *js, unsigned int base, uint32_t *only)
{
	const char *from = js->p;
	uint64_t hash;
	uint32_t first;
	size_t count;

	if (!json_at(js, '"'))
		return json_fail(js, "Expecting property name enclosed in double quotes");
	if (!parse_string(js, &hash, &first, &count))
		return false;
	for (unsigned int i = base; i < js->n_keys; i++) {
		if (js->keys[i] == hash) {
			js->p = from;
			return json_fail(js, "Duplicate key");
		}
	}
	if (js->n_keys == JSON_KEYS_MAX)
		return json_fail(js, "Too many keys");
	js->keys[js->n_keys++] = hash;
	*only = count == 1 ? first : 0;
	json_space(js);
	if (!json_at(js, ':'))
		return json_fail(js, "Expecting ':' delimiter");
	js->p++;
	json_space(js);
	return true;
}

static bool skip_object(struct json *js, bool non_finite_allowed)
{
	unsigned int base = js->n_keys;
	uint32_t only;

	if (!json_enter(js))
		return false;
	if (!json_at(js, '}')) {
		do {
			if (!json_key(js, base, &only) || !json_skip(js, non_finite_allowed))
				return false;
		} while (json_next(js, '}'));
	}
	js->n_keys = base;
	return json_leave(js);
}

static bool skip_array(struct json *js, bool non_finite_allowed)
{
	if (!json_enter(js))
		return false;
	if (!json_at(js, ']')) {
		do {
			if (!json_skip(js, non_finite_allowed))
				return false;
		} while (json_next(js, ']'));
	}
	return json_leave(js);
}

bool json_skip(struct json *js, bool non_finite_allowed)
{
	uint64_t hash;
	uint32_t first;
	size_t count;
	double v;

	if (json_at(js, '{'))
		return skip_object(js, non_finite_allowed);
	if (json_at(js, '['))
		return skip_array(js, non_finite_allowed);
	if (json_at(js, '"'))
		return parse_string(js, &hash, &first, &count);
	if (take_word(js, "true") || take_word(js, "false") || take_word(js, "null"))
		return true;
	if (non_finite_allowed && json_non_finite(js, &v))
		return true;
	return json_number(js, &v);
}
