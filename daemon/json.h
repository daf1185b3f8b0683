// SPDX-License-Identifier: MIT
/*
 * A strict walk along a JSON text, value by value and without a tree (RFC 8259).  Pure, as codec.h.
 *
 * What returns bool has failed with false, and then @error says why; the position stays where it went
 * wrong.
 */
#ifndef DAEMON_JSON_H
#define DAEMON_JSON_H

#include <stdbool.h>
#include <stdint.h>

#define JSON_KEYS_MAX 256 /* keys of all objects open at one time */

struct json {
	const char *start, *p, *end; /* a NUL follows */
	const char *error;           /* not NULL: not JSON, for this reason, at p */
	unsigned int depth;
	unsigned int literals;       /* NaN and Infinity tokens met */
	uint64_t keys[JSON_KEYS_MAX]; /* hashes of the keys of all open objects */
	unsigned int n_keys;
};

static inline void json_space(struct json *js)
{
	while (js->p < js->end &&
	       (*js->p == ' ' || *js->p == '\n' || *js->p == '\r' || *js->p == '\t'))
		js->p++;
}

static inline bool json_at(const struct json *js, char c)
{
	return js->p < js->end && *js->p == c;
}

static inline bool json_at_digit(const struct json *js)
{
	return js->p < js->end && *js->p >= '0' && *js->p <= '9';
}

/* The first complaint stays.  false */
bool json_fail(struct json *js, const char *error);
/* At the opening bracket, to the first member or the closing bracket. */
bool json_enter(struct json *js);
/* Behind a member: true at the next one, false at @close or on an error. */
bool json_next(struct json *js, char close);
/* Where json_next() ended, or json_enter() already: past the closing bracket, or false after an error. */
bool json_leave(struct json *js);
/*
 * At a key of an object whose own keys start at keys[@base], to its value.  @only: the key's only code
 * point, 0 when it has none or more.
 */
bool json_key(struct json *js, unsigned int base, uint32_t *only);
bool json_number(struct json *js, double *out);
/* The three tokens that are not JSON, but that Python's json writes for such floats; false: none here. */
bool json_non_finite(struct json *js, double *out);
/* Any value that nobody wants; recursion ends at a depth of 10. */
bool json_skip(struct json *js, bool non_finite_allowed);

#endif
