// SPDX-License-Identifier: MIT
/* hwctl trace: recordings in words, two of them compared, one played to a chip in software. */
#include "hwctl/hwctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chip/chip.h"
#include "trace/trace.h"

/* ---------------------------------------------------------------------------------- show */

/* "ch=16 stream=0 hbi{page=256 count=32 list=2}" */
static void print_members(const cJSON *object, const char *const *without)
{
	const cJSON *m;

	cJSON_ArrayForEach(m, object)
	{
		const char *const *w = without;
		char *text;

		if (!m->string) /* an array where an object should be */
			continue;
		while (w && *w && strcmp(*w, m->string))
			w++;
		if (w && *w)
			continue;
		if (cJSON_IsObject(m)) {
			printf(" %s{", m->string);
			print_members(m, NULL);
			fputs(" }", stdout);
			continue;
		}
		text = cJSON_PrintUnformatted(m);
		printf(" %s=%s", m->string, cJSON_IsString(m) ? m->valuestring : text ? text : "?");
		free(text);
	}
}

static void print_actions(const cJSON *line)
{
	static const char *const shown[] = {"a", "of", "items", NULL};
	const cJSON *a, *item;
	unsigned int n = 0;

	cJSON_ArrayForEach(a, cJSON_GetObjectItem(line, "actions"))
	{
		const cJSON *items = cJSON_GetObjectItem(a, "items");

		printf("    %3u  ", n++);
		if (!items) {
			fputs(trace_text(a, "a"), stdout);
			print_members(a, shown);
		} else {
			printf("%d x %s", cJSON_GetArraySize(items), trace_text(a, "of"));
		}
		putchar('\n');
		cJSON_ArrayForEach(item, items)
		{
			fputs("          ", stdout);
			print_members(item, NULL);
			putchar('\n');
		}
	}
}

/* What the request says beyond its name, for those that say anything. */
static void print_request(const cJSON *line)
{
	struct buf req;
	cJSON *says;

	if (trace_bytes(line, "req", &req) < 0) {
		fputs(" (not hex)", stdout);
	} else if (trace_is_control(line, FW_SET_CONTEXT_INFO)) {
		printf(" %s, %.0f bytes of actions%s%s", trace_text(line, "context"),
		       trace_number(line, "action_bytes"),
		       trace_number(line, "first") != 0 ? "" : ", continued",
		       trace_number(line, "last") != 0 ? "" : ", more to come");
	} else {
		says = trace_request(trace_uint(line, "opcode"),
				     (struct span){req.ptr, req.len});
		if (trace_is_control(line, FW_CHANGE_CONTEXT_SWITCH_STATUS))
			printf(" %s", trace_number(says, "state") == FW_SWITCH_RESET ? "RESET"
				      : trace_number(says, "state") == FW_SWITCH_ENABLED
					  ? "ENABLED"
					  : "PAUSED");
		if (says)
			print_members(says, NULL);
		else if (req.len > 20)
			printf(" %s", trace_text(line, "req") + 40);
		cJSON_Delete(says);
	}
	buf_free(&req);
}

static void print_answer(const cJSON *line)
{
	struct buf rsp;

	if (trace_bytes(line, "rsp", &rsp) < 0)
		fputs(": (not hex)", stdout);
	else if (rsp.len >= 24 && get_be32(rsp.ptr + 16))
		printf(": refused, status 0x%08x (%s)", get_be32(rsp.ptr + 16),
		       chip_status_text(get_be32(rsp.ptr + 16)));
	buf_free(&rsp);
}

static void print_control(const cJSON *line)
{
	printf("control  %-4s %s", trace_number(line, "cpu") != 0 ? "core" : "app",
	       trace_text(line, "name"));
	print_request(line);
	if (trace_number(line, "ret") != 0)
		printf(": %s", strerror((int)trace_to_uint(-trace_number(line, "ret"))));
	else
		print_answer(line);
	putchar('\n');
}

static void print_config(const cJSON *line)
{
	static const char *const shown[] = {"op", "pieces", "t_us", NULL};
	const cJSON *p;

	fputs("config_list", stdout);
	print_members(line, shown);
	putchar('\n');
	cJSON_ArrayForEach(p, cJSON_GetObjectItem(line, "pieces"))
	{
		fputs("         piece", stdout);
		print_members(p, NULL);
		putchar('\n');
	}
}

static void print_line(const cJSON *line)
{
	static const char *const shown[] = {"op", "t_us", "actions", NULL};
	const cJSON *t = cJSON_GetObjectItem(line, "t_us");

	if (cJSON_IsNumber(t))
		printf("%12.3f ms  ", t->valuedouble / 1000);
	if (trace_is(line, "control")) {
		print_control(line);
		return;
	}
	if (trace_is(line, "config_list")) {
		print_config(line);
		return;
	}
	fputs(trace_text(line, "op"), stdout);
	print_members(line, shown);
	putchar('\n');
	print_actions(line);
}

int cmd_trace_show(const struct options *opt, int argc, char **argv)
{
	struct hw_error err = {0};
	const cJSON *line;
	cJSON *lines;
	int r;

	if (argc > 1 && argv[1][0] == '-')
		return usage_error("trace show does not know '%s'", argv[1]);
	if (argc != 2)
		return usage_error("trace show wants one FILE");
	r = trace_read(argv[1], &lines, &err);
	if (r < 0)
		return report(opt, r, &err);
	if (opt->json) {
		print_json(lines);
		return EXIT_OK;
	}
	cJSON_ArrayForEach(line, lines) print_line(line);
	cJSON_Delete(lines);
	return EXIT_OK;
}

/* ---------------------------------------------------------------------------------- diff */

static void print_difference(const struct options *opt, int r, const struct trace_difference *d,
			     char **name)
{
	if (opt->json) {
		cJSON *o = cJSON_CreateObject();

		cJSON_AddBoolToObject(o, "equal", r == 0);
		if (r) {
			cJSON_AddStringToObject(o, "where", d->where);
			cJSON_AddStringToObject(o, "first", d->a);
			cJSON_AddStringToObject(o, "second", d->b);
		}
		print_json(o);
	} else if (!r) {
		puts("equal");
	} else {
		printf("%s:\n  %s\n    in %s\n  %s\n    in %s\n", d->where, d->a, name[1], d->b,
		       name[2]);
	}
}

int cmd_trace_diff(const struct options *opt, int argc, char **argv)
{
	struct trace_difference d;
	struct hw_error err = {0};
	cJSON *a = NULL, *b = NULL;
	int r;

	for (int i = 1; i < argc; i++) {
		if (argv[i][0] == '-')
			return usage_error("trace diff does not know '%s'", argv[i]);
	}
	if (argc != 3)
		return usage_error("trace diff wants two files");
	r = trace_read(argv[1], &a, &err);
	if (r == 0)
		r = trace_read(argv[2], &b, &err);
	if (r == 0) {
		r = trace_compare(a, b, &d);
		if (r < 0)
			hw_fail(&err, r, "no memory to compare them");
	}
	cJSON_Delete(a);
	cJSON_Delete(b);
	if (r < 0)
		return report(opt, r, &err);
	print_difference(opt, r, &d, argv);
	return r ? EXIT_FAILED : EXIT_OK;
}

/* -------------------------------------------------------------------------------- replay */

/* The recorded chip's own answers: parameter bytes [@from, @from + @len) of the first @opcode. */
static bool answered(const cJSON *lines, unsigned int opcode, size_t from, size_t len, uint8_t *out)
{
	const cJSON *line;
	struct buf rsp;
	bool found = false;

	cJSON_ArrayForEach(line, lines)
	{
		if (found || !trace_is_control(line, opcode))
			continue;
		if (trace_bytes(line, "rsp", &rsp) == 0 && rsp.len >= from + len) {
			memcpy(out, rsp.ptr + from, len);
			found = true;
		}
		buf_free(&rsp);
	}
	return found;
}

#define REPLY_PARAMS 28u /* of a response: where the first parameter's length is */
/* Offsets of protocol 1.7 behind it, with the length words in between. */
#define IDENTIFY_ARCH (REPLY_PARAMS + 4 + 4 + 4 + 12 + 4 + 4 + 4 + 32 + 4)
#define CONSTS_VALUE (REPLY_PARAMS + 4)
#define LAYOUT_END 131u

static int open_chip(const struct options *opt, const cJSON *lines, struct backend **be,
		     struct hw_error *err)
{
	uint8_t arch[4] = {0}, consts[19], layout[4] = {0};
	struct hw_dev_options o = {.device = opt->device};
	char *hex = NULL;
	int r;

	answered(lines, FW_IDENTIFY, IDENTIFY_ARCH, sizeof(arch), arch);
	if (!o.device || !strcmp(o.device, "mock")) {
		o.device = get_be32(arch) == HW_ARCH_HAILO8L ? "mock:8l" : "mock:8";
		if (answered(lines, FW_GET_HW_CONSTS, CONSTS_VALUE, sizeof(consts), consts))
			o.mock_hw_consts = hex = trace_hex(consts, sizeof(consts));
		if (answered(lines, FW_GET_DEVICE_INFORMATION, REPLY_PARAMS + LAYOUT_END - 4,
			     sizeof(layout), layout))
			o.mock_layout = get_be32(layout);
	}
	r = backend_open(&o, be, err);
	free(hex);
	if (r == 0 && !backend_is_software(*be)) {
		backend_close(*be);
		return hw_fail(err, -ENOTSUP,
			       "a recording is played to chips in software only: its "
			       "buffers are empty");
	}
	return r;
}

int cmd_trace_replay(const struct options *opt, int argc, char **argv)
{
	struct trace_replayed done = {0};
	struct hw_error err = {0};
	struct chip chip = {0};
	struct backend *be;
	cJSON *lines;
	int r;

	if (argc > 1 && argv[1][0] == '-')
		return usage_error("trace replay does not know '%s'", argv[1]);
	if (argc != 2)
		return usage_error("trace replay wants one FILE");
	r = trace_read(argv[1], &lines, &err);
	if (r < 0)
		return report(opt, r, &err);
	r = open_chip(opt, lines, &be, &err);
	if (r == 0) {
		r = chip_init(&chip, be, NULL, &err);
		if (r == 0)
			r = trace_replay(lines, &chip, &done, &err);
		chip_shutdown(&chip);
		backend_close(be);
	}
	cJSON_Delete(lines);
	if (r < 0)
		return report(opt, r, &err);
	if (opt->json) {
		cJSON *o = cJSON_CreateObject();

		cJSON_AddNumberToObject(o, "controls", done.controls);
		cJSON_AddNumberToObject(o, "transfers", done.transfers);
		if (*done.difference)
			cJSON_AddStringToObject(o, "difference", done.difference);
		print_json(o);
	} else {
		printf("%u controls and %u transfers%s%s\n", done.controls, done.transfers,
		       *done.difference ? ", then: " : ", taken as recorded", done.difference);
	}
	return *done.difference ? EXIT_FAILED : EXIT_OK;
}
