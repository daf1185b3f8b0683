// SPDX-License-Identifier: MIT
/* hwctl temp, events, log: what the firmware says about itself. */
#include "hwctl/hwctl.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS_MAX 86400L
#define LOG_MAX 4096u /* more than a log can hold */
#define WATCH_MS 1000u

/* JSON with as many digits as mean something. */
static cJSON *rounded(double v, double unit)
{
	return cJSON_CreateNumber(round(v * unit) / unit);
}

/* ------------------------------------------------------------------------------------- temp */

static int show_temperature(const struct options *opt, struct hw_dev *dev, double seconds, bool watch)
{
	struct hw_error err = {0};
	float ts0, ts1;
	int r = hw_dev_temperature(dev, &ts0, &ts1, &err);

	if (r < 0)
		return report(opt, r, &err);
	if (opt->json) {
		cJSON *o = cJSON_CreateObject(), *a = cJSON_AddArrayToObject(o, "celsius");

		cJSON_AddItemToArray(a, rounded((double)ts0, 100));
		cJSON_AddItemToArray(a, rounded((double)ts1, 100));
		if (watch) {
			cJSON_AddItemToObject(o, "seconds", rounded(seconds, 1000));
			print_json_line(o);
		} else {
			print_json(o);
		}
	} else if (watch) {
		printf("%8.1f s  %.2f  %.2f degrees Celsius\n", seconds, (double)ts0, (double)ts1);
		fflush(stdout);
	} else {
		printf("%.2f  %.2f degrees Celsius\n", (double)ts0, (double)ts1);
	}
	return EXIT_OK;
}

int cmd_temp(const struct options *opt, int argc, char **argv)
{
	int status = EXIT_FAILED;
	bool watch = false;
	long seconds = 0;
	const struct own_option known[] = {
		{"--watch", .flag = &watch},
		{"--seconds", .number = &seconds, .min = 1, .max = SECONDS_MAX},
		{0},
	};
	struct hw_dev *dev;
	uint64_t start, end;
	int r;

	r = read_options("temp", argc, argv, known, NULL);
	if (r != EXIT_OK)
		return r;
	if (seconds && !watch)
		return usage_error("--seconds goes with --watch");
	dev = open_device(opt, false, &status);
	if (!dev)
		return status;
	start = util_now_ns();
	end = watch_end(seconds);
	do {
		status = show_temperature(opt, dev, (double)(util_now_ns() - start) / 1e9, watch);
	} while (watch && status == EXIT_OK && watch_wait(end, WATCH_MS));
	hw_dev_close(dev);
	return status;
}

/* ----------------------------------------------------------------------------------- events */

struct listener {
	const struct options *opt;
	uint64_t start_ns;
};

/* On the device's thread; a line is small, and whoever reads slowly slows only this tool. */
static void print_event(const struct hw_event *ev, void *user)
{
	const struct listener *l = user;
	double seconds = (double)(util_now_ns() - l->start_ns) / 1e9;

	if (l->opt->json) {
		cJSON *o = cJSON_CreateObject();

		cJSON_AddItemToObject(o, "seconds", rounded(seconds, 1000));
		cJSON_AddNumberToObject(o, "id", ev->id);
		cJSON_AddBoolToObject(o, "critical", ev->critical);
		cJSON_AddStringToObject(o, "name", ev->name);
		cJSON_AddStringToObject(o, "text", ev->text);
		print_json_line(o);
	} else {
		printf("%8.3f s  %s %u (%s): %s\n", seconds, ev->critical ? "critical event" : "event",
		       ev->id, ev->name, ev->text);
		fflush(stdout);
	}
}

int cmd_events(const struct options *opt, int argc, char **argv)
{
	struct listener l = {.opt = opt};
	int status = EXIT_FAILED;
	struct hw_error err = {0};
	long seconds = 0;
	const struct own_option known[] = {
		{"--seconds", .number = &seconds, .min = 1, .max = SECONDS_MAX},
		{0},
	};
	struct hw_dev *dev;
	uint64_t end;
	float ts[2];
	int r;

	r = read_options("events", argc, argv, known, NULL);
	if (r != EXIT_OK)
		return r;
	dev = open_device(opt, false, &status);
	if (!dev)
		return status;
	l.start_ns = util_now_ns();
	hw_dev_set_event_callback(dev, print_event, &l);
	end = watch_end(seconds);
	/* A card that is gone would be silent for ever: asking now and then tells. */
	do {
		r = hw_dev_temperature(dev, &ts[0], &ts[1], &err);
	} while (r == 0 && watch_wait(end, WATCH_MS));
	hw_dev_set_event_callback(dev, NULL, NULL);
	status = r < 0 ? report(opt, r, &err) : EXIT_OK;
	hw_dev_close(dev);
	return status;
}

/* -------------------------------------------------------------------------------------- log */

static bool is_text(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!isprint(p[i]) && !isspace(p[i]))
			return false;
	}
	return true;
}

static void print_hex(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i += 16) {
		printf("%04zx ", i);
		for (size_t k = i; k < n && k < i + 16; k++)
			printf(" %02x", p[k]);
		putchar('\n');
	}
}

static void print_log(const struct options *opt, bool core, const uint8_t *p, size_t n)
{
	bool readable = is_text(p, n);

	if (opt->json) {
		cJSON *o = cJSON_CreateObject();
		char *shown = malloc(2 * n + 1);

		cJSON_AddStringToObject(o, "cpu", core ? "core" : "app");
		cJSON_AddNumberToObject(o, "bytes", (double)n);
		if (shown && readable) {
			memcpy(shown, p, n);
			shown[n] = 0;
			cJSON_AddStringToObject(o, "text", shown);
		} else if (shown) {
			for (size_t i = 0; i < n; i++)
				snprintf(shown + 2 * i, 3, "%02x", p[i]);
			cJSON_AddStringToObject(o, "hex", shown);
		}
		free(shown);
		print_json(o);
	} else if (!n) {
		printf("the %s CPU has logged nothing\n", core ? "core" : "app");
	} else if (readable) {
		fwrite(p, 1, n, stdout);
		if (p[n - 1] != '\n')
			putchar('\n');
	} else {
		print_hex(p, n);
	}
}

int cmd_log(const struct options *opt, int argc, char **argv)
{
	const char *out = NULL;
	int status = EXIT_FAILED;
	struct hw_error err = {0};
	uint8_t bytes[LOG_MAX];
	bool core = false;
	const struct own_option known[] = {
		{"-o", .text = &out},
		{"--core", .flag = &core},
		{0},
	};
	struct hw_dev *dev;
	int r;

	r = read_options("log", argc, argv, known, NULL);
	if (r != EXIT_OK)
		return r;
	dev = open_device(opt, false, &status);
	if (!dev)
		return status;
	r = hw_dev_read_log(dev, core ? HW_CPU_CORE : HW_CPU_APP, bytes, sizeof(bytes), &err);
	if (r >= 0 && out) {
		int w = util_write_file(out, bytes, (size_t)r, &err);

		r = w < 0 ? w : r;
	}
	hw_dev_close(dev);
	if (r < 0)
		return report(opt, r, &err);
	if (!out || opt->json)
		print_log(opt, core, bytes, (size_t)r);
	else
		printf("%s: %d bytes of the %s CPU's log\n", out, r, core ? "core" : "app");
	return EXIT_OK;
}
