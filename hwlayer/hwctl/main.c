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
	{NULL, "doctor", cmd_doctor, "[BDF|auto|mock] [--model MODEL.hef]", "from \"is there a card\" to \"an inference ran\"",
	 "Walks from the PCI bus to an inference, step by step, and says for each step that fails why,\n"
	 "and the command that mends it.  Exit status 0 only when nothing failed.\n\n"
	 "  --model MODEL.hef  what to run (default: the model that comes with this package, which is for\n"
	 "                     chips in software only)\n"
	 "  --frames N         frames to run (default 50)\n"},
	{NULL, "bind", cmd_bind, "[BDF] [--driver D] [--force] [--dry-run]", "give a card to the driver that we need",
	 "Gives the card to vfio-pci behind an IOMMU, to hailo_uio where there is none, and takes it from\n"
	 "the driver that has it.  Refuses devices that are no Hailo-8, and cards that are in use.  Needs root.\n\n"
	 "  --driver D    vfio-pci, hailo_uio or hailo (the vendor's)\n"
	 "  --force       although a process has the card open\n"
	 "  --dry-run     only print what would be done\n"},
	{NULL, "unbind", cmd_unbind, "[BDF] [--to-vendor] [--force] [--dry-run]", "take a card from its driver",
	 "Takes the card from its driver.  Needs root.\n\n"
	 "  --to-vendor   and give it to the vendor's driver\n"
	 "  --force       although a process has the card open\n"
	 "  --dry-run     only print what would be done\n"},
	{NULL, "info", cmd_info, "[--no-boot]", "open a device and say what it is",
	 "Opens the device, boots its firmware and prints what IDENTIFY and the extended device\n"
	 "information answer.\n\n"
	 "  --no-boot   only check that the card answers\n"},
	{NULL, "boot", cmd_boot, "", "load the firmware and time it",
	 "Resets a running chip, loads the firmware, waits for its interrupt and identifies it.\n"},
	{NULL, "reset", cmd_reset, "", "soft reset, boot, check that it answers",
	 "Opens the device, resets the chip by its own doorbell, loads the firmware again and asks the\n"
	 "chip who it is.\n"},
	{NULL, "temp", cmd_temp, "[--watch] [--seconds N]", "temperature of the chip",
	 "Prints what the chip's two sensors say, in degrees Celsius.\n\n"
	 "  --watch        every second until interrupted; with --json one object a line\n"
	 "  --seconds N    with --watch: stop after N seconds\n"},
	{NULL, "events", cmd_events, "[--seconds N]", "what the firmware reports, as it comes",
	 "Prints the firmware's events (temperature, health, run-time errors) until interrupted; with\n"
	 "--json one object a line.\n\n"
	 "  --seconds N    stop after N seconds\n"},
	{NULL, "log", cmd_log, "[--core] [-o FILE]", "the firmware's log",
	 "Takes what the firmware of one CPU has logged.  Of a card these are bytes that only the vendor\n"
	 "can decode (shown as hex unless a file is named), of a chip in software lines of text.\n\n"
	 "  --core         the log of the CPU that runs the networks (default: the control CPU)\n"
	 "  -o FILE        write the bytes as they are\n"},
	{NULL, "regs", cmd_regs, "[--watch-channels] [--seconds N]", "host side registers, decoded",
	 "Opens the device without booting it and prints identity, interrupt and address window registers\n"
	 "and the host side of every DMA channel.  Only reads; no register whose reading has an effect.\n\n"
	 "  --watch-channels   then print each channel whose registers change, until interrupted\n"
	 "  --seconds N        with --watch-channels: stop after N seconds\n"},
	{NULL, "dma-test", cmd_dma_test, "MODEL.hef [--frames N] [--onnx FILE]",
	 "move frames and check every byte's way",
	 "Runs frames through the network and checks what descriptors said against what the channels'\n"
	 "counters and, on a chip in software, its own statistics say was moved; guard bytes around all DMA\n"
	 "memory; throughput in both directions.  On a chip in software equal inputs must give equal\n"
	 "answers, with --onnx those of the model on this CPU.  On a card it can only count.\n\n"
	 "  --frames N         how many frames (default 200)\n"
	 "  --in-flight N      frames on the chip at a time (default 8)\n"
	 "  --timeout MS       deadline of a frame (default 10000)\n"
	 "  --onnx FILE        the model that MODEL.hef was made from: compare the answers\n"},
	{NULL, "stress", cmd_stress, "[MODEL.hef] [--seconds N] [--frames N] [--threads N]",
	 "many threads, every answer checked",
	 "Runs a model from several threads and compares every answer with the first one to the same\n"
	 "input.  When the network dies it resets the chip, loads again and goes on.  Ends with status 1\n"
	 "when one answer was wrong or one frame was lost.  Default: the model of this package, 10 seconds.\n\n"
	 "  --seconds N        how long\n"
	 "  --frames N         how many frames; with --seconds whichever ends first\n"
	 "  --threads N        how many threads (default 4)\n"
	 "  --timeout MS       deadline of a frame (default 10000)\n"
	 "  --onnx FILE        the model that MODEL.hef was made from: compare the first answers with it\n"},
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
	 "  --name NAME        network group name (default: the manifest's model name)\n"
	 "  --contexts N       cut the network into N parts that the chip runs one after the other;\n"
	 "                     the answers stay the same (default 1)\n"},
	{"hef", "parse", cmd_hef_parse, "FILE|DIR [--streams] [--no-vstreams] [--verbose]",
	 "list what a HEF holds",
	 "Prints what the vendor's parse-hef prints: architecture, network groups, inputs and outputs.\n"
	 "Of a directory every file whose name ends in .hef.\n\n"
	 "  --streams       also what crosses PCIe\n"
	 "  --no-vstreams   not what the user sees\n"
	 "  --verbose       then contexts, configuration channels, layers, buffers and actions\n"},
	{"hef", "check", cmd_hef_check, "FILE [--arch 8|8l [--clusters HEX]]",
	 "will a HEF run on this device, and why not",
	 "Goes through everything that loading FILE does short of configuring the chip, and says what it\n"
	 "found.  Exit status 0: it will run; 4: it will not.  Asks the device, or with --arch none.\n\n"
	 "  --arch 8|8l          a Hailo-8 or Hailo-8L that is not here\n"
	 "  --clusters HEX       its cluster bitmap (default 33 for a Hailo-8L)\n"
	 "  --name NAME          network group (default: the file's default)\n"
	 "  --batch N            frames per pass (default 1)\n"
	 "  --in-flight N        frames on the chip at a time (default 8)\n"},
	{NULL, "run", cmd_run, "MODEL... [--input F] [--frames N] [--cpu]", "run models and time them",
	 "Runs frames through MODEL.hef on the device, or with --cpu through MODEL.onnx on this CPU,\n"
	 "and prints throughput and latency; with --json also the outputs of every input.  Several\n"
	 "HEFs share the chip and take turns, a batch of frames each.  --input, --manifest and --name\n"
	 "are about the model before them.\n\n"
	 "  --input FILE       {\"x\": rows} or {\"windows\": [...]}: float input, normalised by the\n"
	 "                     manifest when there is one; any other file: raw input frames\n"
	 "                     (default: a fixed pattern)\n"
	 "  --manifest FILE    default: MODEL.json beside the model, if it is there\n"
	 "  --name NAME        network group (default: the file's default)\n"
	 "  --frames N         how many frames of each model (default: each input once)\n"
	 "  --in-flight N      frames on the chip at a time (default 8, or two batches)\n"
	 "  --timeout MS       deadline of a frame (default 10000)\n"
	 "  --batch N          frames per pass through a context, and per turn (default 1)\n"
	 "  --queue-depth N    transfers of one frame that a descriptor list has room for (default 8)\n"
	 "  --measure-latency  also the mean time from the chip taking a frame to its last output\n"
	 "  --detections ORDER by-class (default) or by-score, where the host finds objects\n"
	 "  --raw              the chip's own outputs, without NMS, argmax and softmax of the host\n"
	 "  --max-page N       chips in software: largest descriptor page, 128, 256 or 4096\n"
	 "  --mock-hw-consts H  chips in software: answer to GET_HW_CONSTS, 38 hexadecimal digits\n"
	 "  --mock-layout H    chips in software: cluster bitmap, hexadecimal\n"
	 "  --cpu              run the ONNX model on the CPU instead\n"},
	{"trace", "show", cmd_trace_show, "FILE", "a recording in words",
	 "Prints a recording (--record) line by line, action lists as actions.\n"},
	{"trace", "diff", cmd_trace_diff, "A B", "are two recordings the same?",
	 "Compares what the host did in two recordings and prints the first difference, decoded.  What\n"
	 "two correct hosts may do differently is passed over (docs/trace.md).  Exit status 0: equal.\n"},
	{"trace", "replay", cmd_trace_replay, "FILE", "play a recording to a chip in software",
	 "Sends the recorded messages and transfers, with buffers full of zeros, to a chip in software of\n"
	 "the recorded kind, and says where it answers otherwise than the recorded one.\n"},
	{"mock", "serve", cmd_mock_serve, "--socket PATH [--arch 8|8l] [--log FILE] [--uio]",
	 "run a chip in software for other processes",
	 "Powers a chip in software on and lets one process at a time drive it as --device mock:PATH,\n"
	 "until SIGTERM.  It outlives its users as a card does: whoever is killed leaves its firmware\n"
	 "running, without bus mastering and without memory (docs/safety.md).\n\n"
	 "  --socket PATH   where to listen; PATH must have a '/' in it\n"
	 "  --arch 8|8l     Hailo-8 (default) or Hailo-8L\n"
	 "  --log FILE      what happens to the chip, one JSON object on each line\n"
	 "  --uio           ring driver-down for users who are gone, as our UIO kernel module does\n"},
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
		fprintf(f, "  %-12s  %s\n", name, commands[i].summary);
	}
	fputs("\noptions of every command:\n"
	      "  --device D     auto (the first card, default), a PCI address, mock, mock:8, mock:8l,\n"
	      "                 mock:PATH (a socket of hwctl mock serve)\n"
	      "  --firmware F   image to boot (default $HAILO_FIRMWARE, then\n"
	      "                 /lib/firmware/hailo/hailo8_fw.bin; software chips need none)\n"
	      "  --mock-onnx F  chips in software: this model answers in the place of the vendor's\n"
	      "                 networks, which they cannot execute (default: a fixed pattern)\n"
	      "  --fault SPEC   chips in software in this process: a fault to order, may be repeated;\n"
	      "                 --fault help lists them\n"
	      "  --record F     write the traffic with the chip to F (docs/trace.md)\n"
	      "  --record-mmio F  likewise, every register access\n"
	      "  --unsafe-no-iommu  a card in VFIO's no-IOMMU mode, too: then nothing keeps the chip, or a\n"
	      "                 mistake, from overwriting any of the machine's memory\n"
	      "  --cached-dma   with hailo_uio: data in cached memory, kept in step by the driver; faster to\n"
	      "                 read on boards such as a Raspberry Pi 5 (dma-test shows by how much)\n"
	      "  --json         machine-readable answer on stdout\n"
	      "  --quiet        no progress on stderr\n"
	      "  --verbose      the library's log on stderr\n"
	      "  --help, --version\n\n"
	      "exit status: 0 done, 1 failed, 2 wrong usage, 3 no device or firmware, 4 bad file,\n"
	      "             128 + N ended by signal N\n",
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

/* Of what comes after open_device(), where no access is one to a file. */
static int exit_status(int code)
{
	switch (code) {
	case -ENODEV:
	case -EBUSY:
		return EXIT_NO_DEVICE;
	case -EACCES:
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

void print_json_line(cJSON *json)
{
	char *text = cJSON_PrintUnformatted(json);

	if (text)
		puts(text);
	fflush(stdout);
	free(text);
	cJSON_Delete(json);
}

int open_device_quietly(const struct options *opt, bool no_boot, struct hw_dev **dev, struct hw_error *err)
{
	struct hw_dev_options o = {
		.device = opt->device, .firmware = opt->firmware, .no_boot = no_boot,
		.mock_onnx = opt->mock_onnx, .mock_hw_consts = opt->mock_hw_consts,
		.mock_layout = opt->mock_layout, .mock_max_page = opt->mock_max_page,
		.mock_faults = opt->faults, .record = opt->record, .record_mmio = opt->record_mmio,
		.unsafe_no_iommu = opt->unsafe_no_iommu, .cached_dma = opt->cached_dma};
	struct ticker *t;
	int r;

	interrupt_catch();
	t = ticker_start(opt, no_boot ? "opening" : "booting");
	r = hw_dev_open(&o, dev, err);
	ticker_stop(t);
	return r;
}

struct hw_dev *open_device(const struct options *opt, bool no_boot, int *status)
{
	struct hw_dev *dev = NULL;
	struct hw_error err = {0};
	int r = open_device_quietly(opt, no_boot, &dev, &err);

	if (r < 0) {
		report(opt, r, &err);
		/* Whatever is wrong with it, it is the device or its firmware. */
		*status = r == -ETIMEDOUT || r == -EIO || r == -ENOMEM ? EXIT_FAILED : EXIT_NO_DEVICE;
	}
	return dev;
}

int load_network(const struct options *opt, struct hw_dev *dev, const char *path,
		 const struct hw_net_options *o, struct hw_net **net, struct hw_error *err)
{
	struct ticker *t = ticker_start(opt, "loading");
	int r = hw_net_load(dev, path, o, net, err);

	ticker_stop(t);
	return r;
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
		const char **value = strcmp(a, "--device") == 0	     ? &opt->device
				     : strcmp(a, "--firmware") == 0  ? &opt->firmware
				     : strcmp(a, "--mock-onnx") == 0 ? &opt->mock_onnx
				     : strcmp(a, "--record") == 0    ? &opt->record
				     : strcmp(a, "--record-mmio") == 0 ? &opt->record_mmio
								     : NULL;

		if (value) {
			if (i + 1 == *argc)
				return usage_error("%s wants a value", a);
			*value = argv[++i];
		} else if (strncmp(a, "--device=", 9) == 0) {
			opt->device = a + 9;
		} else if (strncmp(a, "--firmware=", 11) == 0) {
			opt->firmware = a + 11;
		} else if (strncmp(a, "--mock-onnx=", 12) == 0) {
			opt->mock_onnx = a + 12;
		} else if (strncmp(a, "--record=", 9) == 0) {
			opt->record = a + 9;
		} else if (strncmp(a, "--record-mmio=", 14) == 0) {
			opt->record_mmio = a + 14;
		} else if (strcmp(a, "--fault") == 0 || strncmp(a, "--fault=", 8) == 0) {
			const char *spec = a[7] ? a + 8 : i + 1 < *argc ? argv[++i] : NULL;
			int r = spec ? fault_option(opt, spec) : usage_error("%s wants a value", a);

			if (r != EXIT_OK)
				return r;
		} else if (strcmp(a, "--json") == 0) {
			opt->json = true;
		} else if (strcmp(a, "--unsafe-no-iommu") == 0) {
			opt->unsafe_no_iommu = true;
		} else if (strcmp(a, "--cached-dma") == 0) {
			opt->cached_dma = true;
		} else if (strcmp(a, "--quiet") == 0) {
			opt->quiet = true;
		} else if (strcmp(a, "--verbose") == 0) {
			opt->verbose = true;
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
	return fault_device(opt);
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
		return interrupted() ? 128 + interrupted() : r;
	}
	return usage_error("there is no command '%s%s%s'", argv[1], argc > 2 ? " " : "",
			   argc > 2 ? argv[2] : "");
}
