// SPDX-License-Identifier: MIT
#include "codec.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

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
	struct json json;
	float *window;
	bool has_x;
	size_t steps;
	const char *x_from, *x_to;
	bool x_opaque;
	struct finding not_list, not_number, channels, not_finite, range;
	size_t channels_got;
};

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
	f->to = ps->json.p;
	f->opaque = ps->json.literals != literals_before;
}

static double limit_of(size_t channel)
{
	static const double limits[] = {500.0, 35.0, 2000.0}; /* m/s2, rad/s, uT */

	return limits[channel / 3];
}

static bool parse_cell(struct parser *ps, size_t t, size_t c)
{
	struct json *js = &ps->json;
	const char *from = js->p;
	unsigned int literals = js->literals;
	struct finding *f = NULL;
	double v = 0.0;

	if (!json_non_finite(js, &v)) {
		if (json_at(js, '-') || json_at_digit(js)) {
			if (!json_number(js, &v))
				return false;
		} else {
			if (!json_skip(js, true))
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
	struct json *js = &ps->json;
	const char *from = js->p;
	unsigned int literals = js->literals;
	struct finding *f = NULL;
	size_t c = 0;

	if (json_at(js, '[')) {
		if (!json_enter(js))
			return false;
		if (!json_at(js, ']')) {
			do {
				if (!parse_cell(ps, t, c))
					return false;
				c++;
			} while (json_next(js, ']'));
		}
		if (!json_leave(js))
			return false;
		if (c != IMU_CHANNELS)
			f = &ps->channels;
	} else {
		if (!json_skip(js, true))
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
	struct json *js = &ps->json;
	unsigned int literals = js->literals;

	ps->has_x = true;
	ps->x_from = js->p;
	if (json_at(js, '[')) {
		if (!json_enter(js))
			return false;
		if (!json_at(js, ']')) {
			do {
				if (!parse_row(ps, ps->steps))
					return false;
				ps->steps++;
			} while (json_next(js, ']'));
		}
		if (!json_leave(js))
			return false;
	} else {
		if (!json_skip(js, true))
			return false;
		note(&ps->not_list, 0, 0, 0, 0.0);
		note_slice(ps, &ps->not_list, ps->x_from, literals);
	}
	ps->x_to = js->p;
	ps->x_opaque = js->literals != literals;
	return true;
}

/* The whole document; @is_object tells whether it could hold an x at all. */
static bool parse_document(struct parser *ps, bool *is_object)
{
	struct json *js = &ps->json;
	uint32_t only;

	json_space(js);
	*is_object = json_at(js, '{');
	if (*is_object) {
		if (!json_enter(js))
			return false;
		if (!json_at(js, '}')) {
			do {
				if (!json_key(js, 0, &only) ||
				    !(only == 'x' ? parse_x(ps) : json_skip(js, false)))
					return false;
			} while (json_next(js, '}'));
		}
		if (!json_leave(js))
			return false;
	} else if (!json_skip(js, false)) {
		return false;
	}
	json_space(js);
	if (js->p < js->end)
		return json_fail(js, "Extra data");
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
	const struct json *js = &ps->json;
	if (js->p == js->start && js->start == js->end) {
		fputs("{\"detail\":[{\"type\":\"missing\",\"loc\":[\"body\"],"
		      "\"msg\":\"Field required\",\"input\":null}]}",
		      f);
	} else if (js->error) {
		fprintf(f,
			"{\"detail\":[{\"type\":\"json_invalid\",\"loc\":[\"body\",%zu],"
			"\"msg\":\"JSON decode error\",\"input\":{},\"ctx\":{\"error\":\"",
			(size_t)(js->p - js->start));
		for (const char *e = js->error; *e; e++) {
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
		put_input(f, js->start, js->end, false);
		fputs("}]}", f);
	} else if (!ps->has_x) {
		fputs("{\"detail\":[{\"type\":\"missing\",\"loc\":[\"body\",\"x\"],"
		      "\"msg\":\"Field required\",\"input\":",
		      f);
		put_input(f, js->start, js->end, false);
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
	ps.json.start = ps.json.p = body;
	ps.json.end = body + len;
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
