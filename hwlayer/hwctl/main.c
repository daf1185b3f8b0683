// SPDX-License-Identifier: MIT
/* hwctl: the diagnostic tool.  Finds the subcommand, takes the common options, calls it. */
#include "hwctl/hwctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct command commands[] = {
	{NULL, "list", cmd_list, "", "cards of this machine and software chips",
	 "Lists every Hailo-8 family card on PCI with its driver and IOMMU group, and the chips in\n"
	 "software that --device accepts.  Needs no privileges and touches no card.\n"},
	{NULL, "info", cmd_info, "[--no-boot]", "open a device and say what it is",
	 "Opens the device, boots its firmware and prints what IDENTIFY and the extended device\n"
	 "information answer.\n\n"
	 "  --no-boot   only check that the card answers\n"},
	{NULL, "boot", cmd_boot, "", "load the firmware and time it",
	 "Resets a running chip, loads the firmware, waits for its interrupt and identifies it.\n"},
	{"fw", "info", cmd_fw_info, "FILE", "take a firmware image apart",
	 "Checks the image by the rules a card is booted with and prints versions and sizes.\n"},
	{"hef", "build", cmd_hef_build, "MODEL.onnx -o MODEL.hef --manifest M.json --calibrate F...",
	 "8-bit HEF for software chips from an ONNX model",
	 "Quantises the model to 8 bits with the calibration windows and writes MODEL.hef and, beside\n"
	 "it, MODEL.json, the manifest with the input quantisation folded in.  Such a file runs on\n"
	 "software chips only: real chips need the vendor's compiler.\n\n"
	 "  -o FILE            the HEF to write\n"
	 "  --manifest FILE    normalisation, names, motifs (docs/models.md)\n"
	 "  --calibrate F...   windows in raw units: {\"x\": rows} or {\"windows\": [rows, ...]}\n"
	 "  --name NAME        network group name (default: the manifest's model name)\n"},
	{NULL, "run", cmd_run, "MODEL [--input F] [--frames N] [--cpu]", "run a model and time it",
	 "Runs frames through MODEL.hef on the device, or with --cpu through MODEL.onnx on this CPU,\n"
	 "and prints throughput and latency; with --json also the outputs of every input.\n\n"
	 "  --input FILE       {\"x\": rows} or {\"windows\": [...]}: float input, normalised by the\n"
	 "                     manifest when there is one; any other file: raw input frames\n"
	 "                     (default: a fixed pattern)\n"
	 "  --manifest FILE    default: MODEL.json beside the model, if it is there\n"
	 "  --frames N         how many frames (default: each input once)\n"
	 "  --in-flight N      frames on the chip at a time (default 8)\n"
	 "  --timeout MS       deadline of a frame (default 10000)\n"
	 "  --cpu              run the ONNX model on the CPU instead\n"},
};

static void print_usage(FILE *f)
{
	fprintf(f, "hwctl %s: Hailo-8 cards, and chips in software, from the command line\n\n"
		   "usage: hwctl COMMAND [ARGUMENTS] [OPTIONS]\n\n",
		hw_version());
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		char name[32];

		snprintf(name, sizeof(name), "%s%s%s", commands[i].group ? commands[i].group : "",
			 commands[i].group ? " " : "", commands[i].name);
		fprintf(f, "  %-10s %s\n", name, commands[i].summary);
	}
	fputs("\noptions of every command:\n"
	      "  --device D     auto (the first card, default), a PCI address, mock, mock:8, mock:8l\n"
	      "  --firmware F   image to boot (default $HAILO_FIRMWARE, then\n"
	      "                 /lib/firmware/hailo/hailo8_fw.bin; software chips need none)\n"
	      "  --json         machine-readable answer on stdout\n"
	      "  --quiet        no progress on stderr\n"
	      "  --verbose      the library's log on stderr\n"
	      "  --help, --version\n\n"
	      "exit status: 0 done, 1 failed, 2 wrong usage, 3 no device or firmware, 4 bad file\n",
	      f);
}

static void print_command_help(const struct command *c)
{
	printf("usage: hwctl %s%s%s %s [OPTIONS]\n\n%s\nCommon options: hwctl --help\n",
	       c->group ? c->group : "", c->group ? " " : "", c->name, c->args, c->help);
}

int usage_error(const char *fmt, ...)
{
	va_list ap;

	fputs("hwctl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs("\nTry: hwctl --help\n", stderr);
	return EXIT_USAGE;
}

static int exit_status(int code)
{
	switch (code) {
	case -ENODEV:
	case -EBUSY:
	case -EACCES:
		return EXIT_NO_DEVICE;
	case -ENOENT:
	case -EBADMSG:
	case -ENOTSUP:
	case -EINVAL:
	case -EFBIG:
	case -EISDIR:
		return EXIT_BAD_FILE;
	default:
		return EXIT_FAILED;
	}
}

int report(const struct options *opt, int code, const struct hw_error *err)
{
	if (opt->json) {
		cJSON *o = cJSON_CreateObject();

		cJSON_AddStringToObject(o, "error", err->text);
		cJSON_AddNumberToObject(o, "errno", -code);
		print_json(o);
	}
	fprintf(stderr, "hwctl: %s\n", err->text);
	return exit_status(code);
}

void print_json(cJSON *json)
{
	char *text = cJSON_Print(json);

	if (text)
		puts(text);
	free(text);
	cJSON_Delete(json);
}

struct hw_dev *open_device(const struct options *opt, bool no_boot, int *status)
{
	struct hw_dev_options o = {
		.device = opt->device, .firmware = opt->firmware, .no_boot = no_boot};
	struct hw_dev *dev = NULL;
	struct hw_error err = {0};
	int r = hw_dev_open(&o, &dev, &err);

	if (r < 0) {
		report(opt, r, &err);
		/* Whatever is wrong with it, it is the device or its firmware. */
		*status = r == -ETIMEDOUT || r == -EIO || r == -ENOMEM ? EXIT_FAILED : EXIT_NO_DEVICE;
	}
	return dev;
}

long number_option(const char *name, const char *text, long min, long max)
{
	char *end;
	long v;

	errno = 0;
	v = strtol(text, &end, 10);
	if (errno || end == text || *end || v < min || v > max) {
		usage_error("%s wants a number from %ld to %ld, not '%s'", name, min, max, text);
		return -1;
	}
	return v;
}

void progress_start(struct progress *p, const struct options *opt)
{
	*p = (struct progress){.on = !opt->quiet && isatty(STDERR_FILENO),
			       .start_ns = util_now_ns()};
	p->last_ns = p->start_ns;
}

void progress_show(struct progress *p, const char *what, size_t done, size_t total)
{
	uint64_t now;

	if (!p->on)
		return;
	now = util_now_ns();
	if (now - p->start_ns < 1000000000u || now - p->last_ns < 200000000u)
		return;
	p->last_ns = now;
	p->shown = true;
	fprintf(stderr, "\r%s: %zu of %zu (%.0f %%)  ", what, done, total,
		total ? 100.0 * (double)done / (double)total : 100.0);
}

void progress_end(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
}

static void log_line(enum hw_log_level level, const char *line, void *user)
{
	static const char *const names[] = {"error", "warning", "info", "debug"};

	(void)user;
	fprintf(stderr, "%s: %s\n", names[level], line);
}

/* Take the common options out of the command line, wherever they stand. */
static int common_options(int *argc, char **argv, struct options *opt, bool *help)
{
	int n = 1;

	for (int i = 1; i < *argc; i++) {
		const char *a = argv[i];
		const char **value = strcmp(a, "--device") == 0	    ? &opt->device
				     : strcmp(a, "--firmware") == 0 ? &opt->firmware
								    : NULL;

		if (value) {
			if (i + 1 == *argc)
				return usage_error("%s wants a value", a);
			*value = argv[++i];
		} else if (strncmp(a, "--device=", 9) == 0) {
			opt->device = a + 9;
		} else if (strncmp(a, "--firmware=", 11) == 0) {
			opt->firmware = a + 11;
		} else if (strcmp(a, "--json") == 0) {
			opt->json = true;
		} else if (strcmp(a, "--quiet") == 0) {
			opt->quiet = true;
		} else if (strcmp(a, "--verbose") == 0) {
			hw_log_set(log_line, HW_LOG_DEBUG, NULL);
		} else if (strcmp(a, "--help") == 0 || strcmp(a, "-h") == 0) {
			*help = true;
		} else if (strcmp(a, "--version") == 0) {
			printf("hwctl %s\n", hw_version());
			exit(EXIT_OK);
		} else {
			argv[n++] = argv[i];
		}
	}
	*argc = n;
	argv[n] = NULL;
	return EXIT_OK;
}

int main(int argc, char **argv)
{
	struct options opt = {0};
	bool help = false;
	int r = common_options(&argc, argv, &opt, &help);

	if (r != EXIT_OK)
		return r;
	if (argc < 2) {
		print_usage(help ? stdout : stderr);
		return help ? EXIT_OK : EXIT_USAGE;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		const struct command *c = &commands[i];
		int words = c->group ? 2 : 1;

		if (c->group && (strcmp(argv[1], c->group) || argc < 3 || strcmp(argv[2], c->name)))
			continue;
		if (!c->group && strcmp(argv[1], c->name))
			continue;
		if (help) {
			print_command_help(c);
			return EXIT_OK;
		}
		r = c->run(&opt, argc - words, argv + words);
		if (fflush(stdout) || ferror(stdout)) {
			fprintf(stderr, "hwctl: cannot write the answer: %s\n", strerror(errno));
			return EXIT_FAILED;
		}
		return r;
	}
	return usage_error("there is no command '%s%s%s'", argv[1], argc > 2 ? " " : "",
			   argc > 2 ? argv[2] : "");
}
