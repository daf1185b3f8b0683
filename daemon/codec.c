// SPDX-License-Identifier: MIT
#include "codec.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 10  /* operators declare JSON depth 10: contracts.md section 1 */
#define MAX_KEYS 256  /* keys of all objects open at one time */
#define MAX_ECHO 1024 /* a longer offending value is not echoed */

/* A complaint about one place in the document; the place is a slice of the body. */
struct finding {
	bool set;
	bool opaque; /* the slice holds NaN or Infinity and cannot be echoed as JSON */
	int levels;  /* how many of t, c belong to its location */
	size_t t, c;
	double value;
	const char *from, *to;
};

struct parser {
	const char *start, *p, *end;
	const char *error; /* not NULL: not JSON, for this reason, at p */
	unsigned int depth;
	unsigned int literals;	 /* NaN and Infinity tokens met */
	uint64_t keys[MAX_KEYS]; /* hashes of the keys of all open objects */
	unsigned int n_keys;

	float *window;
	bool has_x;
	size_t steps;
	const char *x_from, *x_to;
	bool x_opaque;
	struct finding not_list, not_number, channels, not_finite, range;
	size_t channels_got;
};

static bool fail(struct parser *ps, const char *error)
{
	if (!ps->error)
		ps->error = ps->p >= ps->end ? "Unexpected end of data" : error;
	return false;
}

static void skip_space(struct parser *ps)
{
	while (ps->p < ps->end &&
	       (*ps->p == ' ' || *ps->p == '\n' || *ps->p == '\r' || *ps->p == '\t'))
		ps->p++;
}

static bool at(const struct parser *ps, char c)
{
	return ps->p < ps->end && *ps->p == c;
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

static bool parse_hex4(struct parser *ps, uint32_t *code)
{
	*code = 0;
	for (int i = 0; i < 4; i++, ps->p++) {
		char c = ps->p < ps->end ? *ps->p : 0;
		uint32_t digit;

		if (c >= '0' && c <= '9')
			digit = (uint32_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			digit = (uint32_t)(c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			digit = (uint32_t)(c - 'A' + 10);
		else
			return fail(ps, "Invalid \\u escape");
		*code = *code << 4 | digit;
	}
	return true;
}

static bool parse_escape(struct parser *ps, uint32_t *code)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *hit;
	uint32_t low;

	if (at(ps, 'u')) {
		ps->p++;
		if (!parse_hex4(ps, code))
			return false;
		/* A surrogate pair is one code point; a lone surrogate is taken as it is. */
		if (*code >> 10 == 0xd800 >> 10 && ps->end - ps->p >= 6 && ps->p[0] == '\\' &&
		    ps->p[1] == 'u') {
			const char *back = ps->p;

			ps->p += 2;
			if (!parse_hex4(ps, &low))
				return false;
			if (low >> 10 == 0xdc00 >> 10)
				*code = 0x10000 + ((*code & 0x3ff) << 10 | (low & 0x3ff));
			else
				ps->p = back;
		}
		return true;
	}
	hit = ps->p < ps->end && *ps->p ? strchr(from, *ps->p) : NULL;
	if (!hit)
		return fail(ps, "Invalid \\escape");
	*code = (uint32_t)to[hit - from];
	ps->p++;
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
static bool parse_string(struct parser *ps, uint64_t *hash, uint32_t *first, size_t *count)
{
	*hash = 0xcbf29ce484222325u;
	*count = 0;
	*first = 0;
	ps->p++;
	while (!at(ps, '"')) {
		uint32_t code;

		if (ps->p >= ps->end)
			return fail(ps, "Unterminated string");
		if ((unsigned char)*ps->p < 0x20)
			return fail(ps, "Invalid control character");
		if (*ps->p == '\\') {
			ps->p++;
			if (!parse_escape(ps, &code))
				return false;
		} else if ((unsigned char)*ps->p < 0x80) {
			code = (unsigned char)*ps->p++;
		} else {
			const unsigned char *u = (const unsigned char *)ps->p;
			size_t n = utf8_length(u, (size_t)(ps->end - ps->p));

			if (!n)
				return fail(ps, "Invalid UTF-8");
			code = utf8_code(u, n);
			ps->p += n;
		}
		if (!(*count)++)
			*first = code;
		*hash = hash_code(*hash, code);
	}
	ps->p++;
	return true;
}

/* ---------------------------------------------------------------- numbers */

static bool is_digit(const struct parser *ps)
{
	return ps->p < ps->end && *ps->p >= '0' && *ps->p <= '9';
}

/*
 * Up to 2^53 and 10^22 both operands are exact doubles, so one multiplication or division rounds
 * correctly (Clinger's fast path).  Everything else goes through strtod(), which may read up to
 * the NUL behind the body.
 */
static bool parse_number(struct parser *ps, double *out)
{
	static const double pow10[] = {1e0,  1e1,  1e2,	 1e3,  1e4,  1e5,  1e6,	 1e7,
				       1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
				       1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
	const char *from = ps->p;
	bool negative = at(ps, '-');
	uint64_t mantissa = 0;
	unsigned int digits = 0;
	int exp10 = 0, sign = 1, e = 0;

	if (negative)
		ps->p++;
	if (!is_digit(ps))
		return fail(ps, "Expecting value");
	if (at(ps, '0')) {
		ps->p++;
	} else {
		for (; is_digit(ps); ps->p++, digits++)
			if (digits < 18)
				mantissa = mantissa * 10 + (uint64_t)(*ps->p - '0');
	}
	if (is_digit(ps))
		return fail(ps, "Number with a leading zero");
	if (at(ps, '.')) {
		ps->p++;
		if (!is_digit(ps))
			return fail(ps, "Expecting a digit");
		for (; is_digit(ps); ps->p++, digits++) {
			if (digits < 18) {
				mantissa = mantissa * 10 + (uint64_t)(*ps->p - '0');
				exp10--;
			}
		}
	}
	if (at(ps, 'e') || at(ps, 'E')) {
		ps->p++;
		if (at(ps, '+') || at(ps, '-'))
			sign = *ps->p++ == '-' ? -1 : 1;
		if (!is_digit(ps))
			return fail(ps, "Expecting a digit");
		for (; is_digit(ps); ps->p++)
			if (e < 10000)
				e = e * 10 + (*ps->p - '0');
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

static bool take_word(struct parser *ps, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(ps->end - ps->p) < n || memcmp(ps->p, word, n) != 0)
		return false;
	ps->p += n;
	return true;
}

/* The three tokens that are not JSON, but that Python's json writes for such floats. */
static bool take_non_finite(struct parser *ps, double *out)
{
	if (take_word(ps, "NaN"))
		*out = (double)NAN;
	else if (take_word(ps, "Infinity"))
		*out = (double)INFINITY;
	else if (take_word(ps, "-Infinity"))
		*out = -(double)INFINITY;
	else
		return false;
	ps->literals++;
	return true;
}

/* ----------------------------------------------------------------- values */

static bool enter(struct parser *ps)
{
	if (ps->depth == MAX_DEPTH)
		return fail(ps, "Nested too deeply");
	ps->depth++;
	ps->p++;
	skip_space(ps);
	return true;
}

static bool leave(struct parser *ps)
{
	ps->depth--;
	ps->p++;
	return true;
}

/* Behind a member: true at the next one, false at the closing bracket or on an error. */
static bool next_member(struct parser *ps, char close)
{
	skip_space(ps);
	if (at(ps, close))
		return false;
	if (!at(ps, ','))
		return fail(ps, "Expecting ',' delimiter");
	ps->p++;
	skip_space(ps);
	if (at(ps, close))
		return fail(ps, "Illegal trailing comma");
	return true;
}

/* At a key of an object whose own keys start at keys[@base]. */
static bool parse_key(struct parser *ps, unsigned int base, bool *is_x)
{
	const char *from = ps->p;
	uint64_t hash;
	uint32_t first;
	size_t count;

	if (!at(ps, '"'))
		return fail(ps, "Expecting property name enclosed in double quotes");
	if (!parse_string(ps, &hash, &first, &count))
		return false;
	for (unsigned int i = base; i < ps->n_keys; i++) {
		if (ps->keys[i] == hash) {
			ps->p = from;
			return fail(ps, "Duplicate key");
		}
	}
	if (ps->n_keys == MAX_KEYS)
		return fail(ps, "Too many keys");
	ps->keys[ps->n_keys++] = hash;
	*is_x = count == 1 && first == 'x';
	skip_space(ps);
	if (!at(ps, ':'))
		return fail(ps, "Expecting ':' delimiter");
	ps->p++;
	skip_space(ps);
	return true;
}

static bool skip_value(struct parser *ps, bool non_finite_allowed);

static bool skip_object(struct parser *ps, bool non_finite_allowed)
{
	unsigned int base = ps->n_keys;
	bool is_x;

	if (!enter(ps))
		return false;
	if (!at(ps, '}')) {
		do {
			if (!parse_key(ps, base, &is_x) || !skip_value(ps, non_finite_allowed))
				return false;
		} while (next_member(ps, '}'));
	}
	ps->n_keys = base;
	return !ps->error && leave(ps);
}

static bool skip_array(struct parser *ps, bool non_finite_allowed)
{
	if (!enter(ps))
		return false;
	if (!at(ps, ']')) {
		do {
			if (!skip_value(ps, non_finite_allowed))
				return false;
		} while (next_member(ps, ']'));
	}
	return !ps->error && leave(ps);
}

/* Any value that nobody wants; recursion ends at MAX_DEPTH. */
static bool skip_value(struct parser *ps, bool non_finite_allowed)
{
	uint64_t hash;
	uint32_t first;
	size_t count;
	double v;

	if (at(ps, '{'))
		return skip_object(ps, non_finite_allowed);
	if (at(ps, '['))
		return skip_array(ps, non_finite_allowed);
	if (at(ps, '"'))
		return parse_string(ps, &hash, &first, &count);
	if (take_word(ps, "true") || take_word(ps, "false") || take_word(ps, "null"))
		return true;
	if (non_finite_allowed && take_non_finite(ps, &v))
		return true;
	return parse_number(ps, &v);
}

/* ------------------------------------------------------------------ window */

static void note(struct finding *f, int levels, size_t t, size_t c, double value)
{
	if (!f->set)
		*f =
		    (struct finding){.set = true, .levels = levels, .t = t, .c = c, .value = value};
}

/* Remember the slice of the value that was just read, if the finding is about this place. */
static void note_slice(const struct parser *ps, struct finding *f, const char *from,
		       unsigned int literals_before)
{
	f->from = from;
	f->to = ps->p;
	f->opaque = ps->literals != literals_before;
}

static double limit_of(size_t channel)
{
	static const double limits[] = {500.0, 35.0, 2000.0}; /* m/s2, rad/s, uT */

	return limits[channel / 3];
}

static bool parse_cell(struct parser *ps, size_t t, size_t c)
{
	const char *from = ps->p;
	unsigned int literals = ps->literals;
	struct finding *f = NULL;
	double v = 0.0;

	if (!take_non_finite(ps, &v)) {
		if (at(ps, '-') || is_digit(ps)) {
			if (!parse_number(ps, &v))
				return false;
		} else {
			if (!skip_value(ps, true))
				return false;
			f = &ps->not_number;
		}
	}
	if (!f && !isfinite(v))
		f = &ps->not_finite;
	if (!f && c < IMU_CHANNELS && fabs(v) > limit_of(c))
		f = &ps->range;
	if (f && !f->set) {
		note(f, 2, t, c, v);
		note_slice(ps, f, from, literals);
	}
	if (t < IMU_STEPS && c < IMU_CHANNELS)
		ps->window[t * IMU_CHANNELS + c] = (float)v;
	return true;
}

static bool parse_row(struct parser *ps, size_t t)
{
	const char *from = ps->p;
	unsigned int literals = ps->literals;
	struct finding *f = NULL;
	size_t c = 0;

	if (at(ps, '[')) {
		if (!enter(ps))
			return false;
		if (!at(ps, ']')) {
			do {
				if (!parse_cell(ps, t, c))
					return false;
				c++;
			} while (next_member(ps, ']'));
		}
		if (ps->error)
			return false;
		leave(ps);
		if (c != IMU_CHANNELS)
			f = &ps->channels;
	} else {
		if (!skip_value(ps, true))
			return false;
		f = &ps->not_list;
	}
	if (f && !f->set) {
		note(f, 1, t, 0, (double)c);
		note_slice(ps, f, from, literals);
		ps->channels_got = f == &ps->channels ? c : ps->channels_got;
	}
	return true;
}

static bool parse_x(struct parser *ps)
{
	unsigned int literals = ps->literals;

	ps->has_x = true;
	ps->x_from = ps->p;
	if (at(ps, '[')) {
		if (!enter(ps))
			return false;
		if (!at(ps, ']')) {
			do {
				if (!parse_row(ps, ps->steps))
					return false;
				ps->steps++;
			} while (next_member(ps, ']'));
		}
		if (ps->error)
			return false;
		leave(ps);
	} else {
		if (!skip_value(ps, true))
			return false;
		note(&ps->not_list, 0, 0, 0, 0.0);
		note_slice(ps, &ps->not_list, ps->x_from, literals);
	}
	ps->x_to = ps->p;
	ps->x_opaque = ps->literals != literals;
	return true;
}

/* The whole document; @is_object tells whether it could hold an x at all. */
static bool parse_document(struct parser *ps, bool *is_object)
{
	bool is_x;

	skip_space(ps);
	*is_object = at(ps, '{');
	if (*is_object) {
		if (!enter(ps))
			return false;
		if (!at(ps, '}')) {
			do {
				if (!parse_key(ps, 0, &is_x) ||
				    !(is_x ? parse_x(ps) : skip_value(ps, false)))
					return false;
			} while (next_member(ps, '}'));
		}
		if (ps->error)
			return false;
		leave(ps);
	} else if (!skip_value(ps, false)) {
		return false;
	}
	skip_space(ps);
	if (ps->p < ps->end)
		return fail(ps, "Extra data");
	return true;
}

/* ----------------------------------------------------------------- replies */

/* A double as Python writes it: shortest that reads back, never without point or exponent. */
static const char *python_float(double v, char out[40])
{
	if (isnan(v))
		return "nan";
	if (isinf(v))
		return v < 0 ? "-inf" : "inf";
	for (int precision = 15; precision <= 17; precision++) {
		snprintf(out, 40, "%.*g", precision, v);
		if (strtod(out, NULL) == v)
			break;
	}
	if (strchr(out, 'e') && fabs(v) >= 1.0 && fabs(v) < 1e16)
		snprintf(out, 40, "%.1f", v);
	if (!strpbrk(out, ".e"))
		strcat(out, ".0");
	return out;
}

static void put_input(FILE *f, const char *from, const char *to, bool opaque)
{
	size_t n = (size_t)(to - from);

	if (opaque || n > MAX_ECHO)
		fputs("null", f);
	else
		fwrite(from, 1, n, f);
}

static void put_head(FILE *f, const char *type, const struct finding *where)
{
	fprintf(f, "{\"detail\":[{\"type\":\"%s\",\"loc\":[\"body\",\"x\"", type);
	if (where && where->levels > 0)
		fprintf(f, ",%zu", where->t);
	if (where && where->levels > 1)
		fprintf(f, ",%zu", where->c);
	fputs("],\"msg\":\"", f);
}

static void put_finding(const struct parser *ps, FILE *f)
{
	static const char *const sensors[] = {"Accelerometer", "Gyroscope", "Magnetometer"};
	const struct finding *w;
	char number[40];

	if (ps->not_list.set) {
		w = &ps->not_list;
		put_head(f, "list_type", w);
		fputs("Input should be a valid list\",\"input\":", f);
		put_input(f, w->from, w->to, w->opaque);
	} else if (ps->not_number.set) {
		w = &ps->not_number;
		put_head(f, "float_type", w);
		fputs("Input should be a valid number\",\"input\":", f);
		put_input(f, w->from, w->to, w->opaque);
	} else if (ps->steps != IMU_STEPS) {
		put_head(f, "value_error", NULL);
		fprintf(f, "Expected %d timesteps, got %zu\",\"input\":", IMU_STEPS, ps->steps);
		put_input(f, ps->x_from, ps->x_to, ps->x_opaque);
	} else if (ps->channels.set) {
		w = &ps->channels;
		put_head(f, "value_error", w);
		fprintf(f, "Timestep %zu has %zu channels, expected %d\",\"input\":", w->t,
			ps->channels_got, IMU_CHANNELS);
		put_input(f, w->from, w->to, w->opaque);
	} else if (ps->not_finite.set) {
		w = &ps->not_finite;
		put_head(f, "value_error", w);
		/* As text: the token may not be JSON, and 1e999 would not survive the client. */
		fprintf(f, "Non-finite value at timestep %zu, channel %zu: %s\",\"input\":\"%.*s\"",
			w->t, w->c, python_float(w->value, number),
			w->to - w->from < 64 ? (int)(w->to - w->from) : 64, w->from);
	} else {
		w = &ps->range;
		put_head(f, "value_error", w);
		fprintf(f, "%s value out of range: %s\",\"input\":", sensors[w->c / 3],
			python_float(w->value, number));
		put_input(f, w->from, w->to, w->opaque);
	}
	fputs("}]}", f);
}

static void put_refusal(const struct parser *ps, bool is_object, FILE *f)
{
	if (ps->p == ps->start && ps->start == ps->end) {
		fputs("{\"detail\":[{\"type\":\"missing\",\"loc\":[\"body\"],"
		      "\"msg\":\"Field required\",\"input\":null}]}",
		      f);
	} else if (ps->error) {
		fprintf(f,
			"{\"detail\":[{\"type\":\"json_invalid\",\"loc\":[\"body\",%zu],"
			"\"msg\":\"JSON decode error\",\"input\":{},\"ctx\":{\"error\":\"",
			(size_t)(ps->p - ps->start));
		for (const char *e = ps->error; *e; e++) {
			if (*e == '\\' || *e == '"')
				fputc('\\', f);
			fputc(*e, f);
		}
		fputs("\"}}]}", f);
	} else if (!is_object) {
		fputs("{\"detail\":[{\"type\":\"model_attributes_type\",\"loc\":[\"body\"],"
		      "\"msg\":\"Input should be a valid dictionary or object to extract fields "
		      "from\",\"input\":",
		      f);
		put_input(f, ps->start, ps->end, false);
		fputs("}]}", f);
	} else if (!ps->has_x) {
		fputs("{\"detail\":[{\"type\":\"missing\",\"loc\":[\"body\",\"x\"],"
		      "\"msg\":\"Field required\",\"input\":",
		      f);
		put_input(f, ps->start, ps->end, false);
		fputs("}]}", f);
	} else {
		put_finding(ps, f);
	}
}

static bool acceptable(const struct parser *ps)
{
	return ps->has_x && ps->steps == IMU_STEPS && !ps->not_list.set && !ps->not_number.set &&
	       !ps->channels.set && !ps->not_finite.set && !ps->range.set;
}

int codec_imu_parse(const char *body, size_t len, float window[IMU_VALUES], char **reply,
		    size_t *reply_len)
{
	struct parser ps;
	bool is_object = false;
	FILE *f;

	memset(&ps, 0, sizeof(ps));
	ps.start = ps.p = body;
	ps.end = body + len;
	ps.window = window;
	if (parse_document(&ps, &is_object) && acceptable(&ps))
		return 0;
	f = open_memstream(reply, reply_len);
	if (!f)
		return -ENOMEM;
	put_refusal(&ps, is_object, f);
	if (fclose(f))
		return -ENOMEM;
	return -EINVAL;
}

int codec_imu_answer(const float *latent, const float *scores, size_t motifs, const char *source,
		     const char *model, char **out, size_t *len)
{
	FILE *f = open_memstream(out, len);

	if (!f)
		return -ENOMEM;
	/* Nine significant digits tell all floats apart. */
	fputs("{\"latent\":[", f);
	for (size_t i = 0; i < IMU_LATENT; i++)
		fprintf(f, i ? ",%.9g" : "%.9g", (double)latent[i]);
	fputs("],\"motif_scores\":[", f);
	for (size_t i = 0; i < motifs; i++)
		fprintf(f, i ? ",%.9g" : "%.9g", (double)scores[i]);
	fprintf(f, "],\"motif_source\":\"%s\",\"model\":%s}", source, model);
	return fclose(f) ? -ENOMEM : 0;
}
