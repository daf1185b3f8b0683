// SPDX-License-Identifier: MIT
/* What the subcommands of hwctl share: one file for each of them. */
#ifndef HWLAYER_HWCTL_HWCTL_H
#define HWLAYER_HWCTL_HWCTL_H

#include <limits.h>

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

#define FRAME_TIMEOUT_MAX 3600000 /* ms */

/* Options every command takes. */
struct options {
	const char *device;
	const char *firmware;
	const char *mock_onnx;
	const char *record, *record_mmio;
	char faults[512]; /* comma-separated, "": none */
	/* only "run" sets these */
	const char *mock_hw_consts;
	uint32_t mock_layout, mock_max_page;
	bool json;
	bool quiet; /* no progress */
	bool verbose;
	bool unsafe_no_iommu;
	bool cached_dma;
};

struct command {
	const char *group; /* "hef" of "hef build", or NULL */
	const char *name;
	int (*run)(const struct options *opt, int argc, char **argv);
	const char *args;
	const char *summary;
	const char *help;
};

int cmd_doctor(const struct options *opt, int argc, char **argv);
int cmd_bind(const struct options *opt, int argc, char **argv);
int cmd_unbind(const struct options *opt, int argc, char **argv);
int cmd_stress(const struct options *opt, int argc, char **argv);
int cmd_list(const struct options *opt, int argc, char **argv);
int cmd_info(const struct options *opt, int argc, char **argv);
int cmd_boot(const struct options *opt, int argc, char **argv);
int cmd_reset(const struct options *opt, int argc, char **argv);
int cmd_temp(const struct options *opt, int argc, char **argv);
int cmd_events(const struct options *opt, int argc, char **argv);
int cmd_log(const struct options *opt, int argc, char **argv);
int cmd_regs(const struct options *opt, int argc, char **argv);
int cmd_dma_test(const struct options *opt, int argc, char **argv);
int cmd_hef_parse(const struct options *opt, int argc, char **argv);
int cmd_hef_check(const struct options *opt, int argc, char **argv);
int cmd_fw_info(const struct options *opt, int argc, char **argv);
int cmd_hef_build(const struct options *opt, int argc, char **argv);
int cmd_run(const struct options *opt, int argc, char **argv);
int cmd_trace_show(const struct options *opt, int argc, char **argv);
int cmd_trace_diff(const struct options *opt, int argc, char **argv);
int cmd_trace_replay(const struct options *opt, int argc, char **argv);
int cmd_mock_serve(const struct options *opt, int argc, char **argv);

/* "hwctl: TEXT" on stderr (or {"error":...} with --json); returns the exit status for @code. */
int report(const struct options *opt, int code, const struct hw_error *err);
int usage_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Print a JSON value and free it. */
void print_json(cJSON *json);
/* The same on one line, written out at once: for commands that go on. */
void print_json_line(cJSON *json);
/* Open the device that the options name; on failure *status is set and NULL returned. */
struct hw_dev *open_device(const struct options *opt, bool no_boot, int *status);
/* Likewise, and leave saying why not to the caller. */
int open_device_quietly(const struct options *opt, bool no_boot, struct hw_dev **dev, struct hw_error *err);
/* hw_net_load(), with a word when it takes long. */
int load_network(const struct options *opt, struct hw_dev *dev, const char *path,
		 const struct hw_net_options *o, struct hw_net **net, struct hw_error *err);
cJSON *device_json(const struct hw_dev_info *info);

/* options.c: an option of one command, and where its value goes (one of these); a list ends without a name */
struct own_option {
	const char *name;
	const char **text;
	long *number, min, max;
	bool *flag;
	char ***words; /* all up to the next option */
	int *n_words;
};
/*
 * Read a command's line.  @operand gets the word that is no option, NULL: it takes none.  EXIT_OK, or
 * usage_error() was said.
 */
int read_options(const char *command, int argc, char **argv, const struct own_option *known,
		 const char **operand);
/* An option's number, or usage_error() and -1. */
long number_option(const char *name, const char *text, long min, long max);

/* frames.c: @n user frames of each of these tensors, one after another and NULL at the end; zeros */
int frames_alloc(size_t n, const struct hw_tensor_info *info, size_t n_info, uint8_t ***out,
		 struct hw_error *err);
/* Bytes that differ from frame to frame. */
void frames_fill(uint8_t *const *frames, const struct hw_tensor_info *info, size_t n_info);
void frames_free(uint8_t **frames); /* NULL is fine */

/* One line on stderr, rewritten in place on a terminal; quiet when --quiet or not worth it. */
struct progress {
	bool on;
	uint64_t start_ns, last_ns;
	bool shown;
};
void progress_start(struct progress *p, const struct options *opt);
void progress_show(struct progress *p, const char *what, size_t done, size_t total);
void progress_end(struct progress *p);
/* For one long call: "booting: 2 s" once it takes more than a second.  NULL when nobody would see it. */
struct ticker;
struct ticker *ticker_start(const struct options *opt, const char *what);
void ticker_stop(struct ticker *t); /* NULL is fine */

/* watch.c: when @seconds (0: never) will be over, and sleeping until then or until interrupted() */
uint64_t watch_end(long seconds);
/* Sleep @ms; false: it is over. */
bool watch_wait(uint64_t end_ns, unsigned int ms);

/* fault.c: one --fault ("help": prints the list and ends); is the device one that can have faults? */
int fault_option(struct options *opt, const char *spec);
int fault_device(const struct options *opt);

/* host.c: files of this machine, or of the one that a test made under $HW_ROOT */
const char *host_path(char path[PATH_MAX], const char *name);
const char *host_sysfs(void);
int host_cards(struct hw_card **cards, size_t *count, struct hw_error *err);
/* A PCI address, or the only card there is for NULL and "auto".  -EINVAL: the name makes no sense. */
int host_choose(const char *name, char bdf[16], struct hw_error *err);

/* The model that comes with this package: that of the build tree when the program lies in one. */
const char *host_default_model(char path[PATH_MAX]);

/* hef_json.c */
struct hef;
/* A file's description, with every action if @actions; NULL and @err when it cannot be listed. */
cJSON *hef_json(const struct hef *hef, bool actions, int *hef_status, struct hw_error *err);

/*
 * interrupt.c: from open_device() on, SIGINT and SIGTERM are noted instead of ending the process.
 * Loops ask interrupted() (the signal's number, or 0) and then stop in order; main() makes the exit
 * status 128 + that number.
 */
void interrupt_catch(void);
int interrupted(void);

/* input.c: windows from {"x": rows}, {"windows": [rows...]}, rows: numbers, nested as you like */
struct windows {
	size_t n, elements;
	float *values; /* n x elements */
};
int windows_read(const char *path, size_t elements, struct windows *w, struct hw_error *err);

/* ---------------------------------------------------------------- output.c */

/* A float32 output of a frame behind what is on the line already: its first numbers, or detections */
void output_print(const struct hw_tensor_info *t, const void *frame);
cJSON *output_json(const struct hw_tensor_info *t, const void *frame);
void windows_free(struct windows *w);

#endif
