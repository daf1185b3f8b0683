// SPDX-License-Identifier: MIT
/* What the subcommands of hwctl share: one file for each of them. */
#ifndef HWLAYER_HWCTL_HWCTL_H
#define HWLAYER_HWCTL_HWCTL_H

#include <cjson/cJSON.h>

#include <hwlayer/manifest.h>

#include "util/util.h"

/* Exit statuses, documented in --help. */
enum {
	EXIT_OK = 0,
	EXIT_FAILED = 1,    /* it was tried and failed */
	EXIT_USAGE = 2,     /* the command line makes no sense */
	EXIT_NO_DEVICE = 3, /* no card, no firmware, or somebody else has it */
	EXIT_BAD_FILE = 4,  /* a model, image or data file cannot be used */
};

/* Options every command takes. */
struct options {
	const char *device;
	const char *firmware;
	bool json;
	bool quiet; /* no progress */
};

struct command {
	const char *group; /* "hef" of "hef build", or NULL */
	const char *name;
	int (*run)(const struct options *opt, int argc, char **argv);
	const char *args;
	const char *summary;
	const char *help;
};

int cmd_list(const struct options *opt, int argc, char **argv);
int cmd_info(const struct options *opt, int argc, char **argv);
int cmd_boot(const struct options *opt, int argc, char **argv);
int cmd_fw_info(const struct options *opt, int argc, char **argv);
int cmd_hef_build(const struct options *opt, int argc, char **argv);
int cmd_run(const struct options *opt, int argc, char **argv);

/* "hwctl: TEXT" on stderr (or {"error":...} with --json); returns the exit status for @code. */
int report(const struct options *opt, int code, const struct hw_error *err);
int usage_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Print a JSON value and free it. */
void print_json(cJSON *json);
/* Open the device that the options name; on failure *status is set and NULL returned. */
struct hw_dev *open_device(const struct options *opt, bool no_boot, int *status);
cJSON *device_json(const struct hw_dev_info *info);
/* An option's number, or usage_error() and -1. */
long number_option(const char *name, const char *text, long min, long max);

/* One line on stderr, rewritten in place on a terminal; quiet when --quiet or not worth it. */
struct progress {
	bool on;
	uint64_t start_ns, last_ns;
	bool shown;
};
void progress_start(struct progress *p, const struct options *opt);
void progress_show(struct progress *p, const char *what, size_t done, size_t total);
void progress_end(struct progress *p);

/* input.c: windows from {"x": rows}, {"windows": [rows...]}, rows: numbers, nested as you like */
struct windows {
	size_t n, elements;
	float *values; /* n x elements */
};
int windows_read(const char *path, size_t elements, struct windows *w, struct hw_error *err);
void windows_free(struct windows *w);

#endif
