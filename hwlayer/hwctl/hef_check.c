// SPDX-License-Identifier: MIT
/* hwctl hef check: everything that loading a HEF does short of configuring the chip. */
#include "hwctl/hwctl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hef/listing.h"
#include "hwctl/hef_check.h"
#include "infer/infer.h"

#define CLUSTERS_8L 0x33u /* of the one Hailo-8L whose answer is known (hef-format 3.5) */

struct arguments {
	const char *path, *arch, *name;
	uint32_t clusters;
	bool has_clusters;
	long batch, in_flight;
};

/* What the file is to run on: an open device, or an assumption. */
struct target {
	struct hw_dev *dev;
	char name[64];
	enum hw_arch arch;
	uint32_t clusters;
	bool software_chip;
	uint32_t max_page;
	struct chip_hw_consts consts;
};

/* DMA memory, by what it is for. */
struct memory {
	uint64_t lists, config, internal, frames;
	size_t slots;
};

struct result {
	const struct arguments *arg;
	struct target t;
	struct hef *hef;
	const struct hef_group *group;
	const struct hef_core_op *op;   /* NULL: refused before it was chosen */
	struct network *plan;           /* NULL: refused before it was made */
	struct host_net *host;          /* likewise */
	bool raw_only;                  /* refused for what comes after the chip's own outputs */
	struct memory mem;
	enum hef_status status;
	struct hw_error err;            /* why it does not run */
	bool runs;
};

static int parse(int argc, char **argv, struct arguments *a)
{
	const char *clusters = NULL;
	const struct own_option known[] = {
		{"--arch", .text = &a->arch},
		{"--clusters", .text = &clusters},
		{"--name", .text = &a->name},
		{"--batch", .number = &a->batch, .min = 1, .max = FW_BATCH_MAX},
		{"--in-flight", .number = &a->in_flight, .min = 1, .max = VDMA_TRANSFERS_MAX},
		{0},
	};
	char *end;
	int r;

	r = read_options("hef check", argc, argv, known, &a->path);
	if (r != EXIT_OK)
		return r;
	if (!a->path)
		return usage_error("hef check wants a FILE");
	if (a->arch && strcmp(a->arch, "8") && strcmp(a->arch, "8l"))
		return usage_error("--arch is 8 or 8l, not '%s'", a->arch);
	if (!clusters)
		return EXIT_OK;
	if (!a->arch || strcmp(a->arch, "8l"))
		return usage_error("--clusters goes with --arch 8l");
	errno = 0;
	a->clusters = (uint32_t)strtoul(clusters, &end, 16);
	if (errno || end == clusters || *end || strtoul(clusters, NULL, 16) > UINT32_MAX)
		return usage_error("--clusters wants a hexadecimal bitmap, not '%s'", clusters);
	a->has_clusters = true;
	return EXIT_OK;
}

/* ----------------------------------------------------------------------------------- target */

/* What a Hailo-8L was seen to answer to GET_HW_CONSTS (protocol 1.7). */
static const struct chip_hw_consts usual_consts = {
	.fifo_word_granularity = 8,
	.max_periph_buffers_per_frame = 0xffff,
	.max_periph_bytes_per_buffer = 0xffff,
	.max_acceptable_bytes_per_buffer = 0xa000,
	.outbound_data_stream_size = 0x10000,
	.should_optimize_credits = true,
	.default_initial_credit_size = 0x10000,
};

static void assume(const struct arguments *a, struct target *t)
{
	bool light = strcmp(a->arch, "8l") == 0;

	t->arch = light ? HW_ARCH_HAILO8L : HW_ARCH_HAILO8;
	t->clusters = !light ? 0 : a->has_clusters ? a->clusters : CLUSTERS_8L;
	t->max_page = CHIP_PAGE_MAX;
	t->consts = usual_consts;
	if (light)
		snprintf(t->name, sizeof(t->name), "a Hailo-8L with clusters 0x%" PRIx32, t->clusters);
	else
		snprintf(t->name, sizeof(t->name), "a Hailo-8");
}

static int consts_job(struct hw_dev *dev, void *arg, struct hw_error *err)
{
	struct target *t = arg;
	int r = chip_get_hw_consts(&dev->chip, err);

	t->consts = dev->chip.consts;
	t->max_page = dev->chip.max_desc_page;
	return infer_public_code(r);
}

static int ask(const struct options *opt, struct target *t)
{
	struct hw_dev_info info;
	struct hw_error err = {0};
	int status = EXIT_FAILED, r;

	t->dev = open_device(opt, false, &status);
	if (!t->dev)
		return status;
	r = hw_dev_query_info(t->dev, &info, &err);
	if (r < 0)
		return report(opt, r, &err);
	t->arch = info.arch;
	t->clusters = info.clusters;
	t->software_chip = info.software_chip;
	snprintf(t->name, sizeof(t->name), "%s (%s%s)", info.bdf, info.arch_name,
		 info.software_chip ? " in software" : "");
	r = infer_call(t->dev, consts_job, t, &err);
	return r < 0 ? report(opt, r, &err) : EXIT_OK;
}

/* ------------------------------------------------------------------------------------ check */

static uint64_t list_bytes(uint32_t count)
{
	return align_up((uint64_t)count * CHIP_DESC_SIZE, CHIP_LIST_ALIGN);
}

static void add_stream(struct memory *m, const struct network_stream *s)
{
	m->lists += list_bytes(s->count);
	m->frames += infer_slot_bytes(s) * (hef_nms_in_pieces(s->layer) ? infer_piece_count(s) : m->slots);
}

static void count_memory(const struct network *plan, uint32_t in_flight, struct memory *m)
{
	m->slots = infer_slot_count(plan, in_flight);
	for (size_t i = 0; i < plan->n_inputs; i++)
		add_stream(m, &plan->inputs[i]);
	for (size_t i = 0; i < plan->n_outputs; i++)
		add_stream(m, &plan->outputs[i]);
	for (size_t i = 0; i < plan->n_internal; i++) {
		const struct network_stream *s = &plan->internal[i];

		if (s->input)
			continue; /* shares its output's */
		m->lists += list_bytes(s->count);
		m->internal += (uint64_t)s->count * s->page;
	}
	for (size_t i = 0; i < plan->n_contexts; i++) {
		for (size_t k = 0; k < plan->contexts[i].n_configs; k++) {
			const struct network_config *c = &plan->contexts[i].configs[k];

			m->lists += list_bytes(c->count);
			m->config += (uint64_t)c->count * c->page;
		}
	}
}

/* As loading would, and if it would refuse an op: as with raw outputs */
static int check_host(struct result *res)
{
	const struct host_options usual = {0}, raw = {.raw_outputs = true};
	int r = host_net_new(res->group, res->op, &usual, &res->host, &res->err);

	if (r == 0)
		return infer_check_streams(res->host, res->plan, &res->err);
	if (res->op->n_ops && host_net_new(res->group, res->op, &raw, &res->host, NULL) == 0)
		res->raw_only = infer_check_streams(res->host, res->plan, NULL) == 0;
	return r;
}

static int check_streams(struct result *res)
{
	int r = check_host(res);

	if (r < 0)
		return r;
	count_memory(res->plan, (uint32_t)res->arg->in_flight, &res->mem);
	return res->mem.slots ? 0
			      : hw_fail(&res->err, -ENOTSUP, "a frame does not fit the descriptor lists");
}

/* 0.3: what only planning finds has no number of its own here, and gets that of its kind. */
static enum hef_status status_of(int code)
{
	switch (code) {
	case -ENOTSUP:
		return HEF_NOT_SUPPORTED;
	case -EINVAL:
		return HEF_INVALID_ARGUMENT;
	case -ENOMEM:
		return HEF_OUT_OF_HOST_MEMORY;
	default:
		return HEF_INVALID_HEF;
	}
}

/* The lists of actions do not go anywhere: it does not matter that their addresses are zeros. */
static int check_plan(struct result *res)
{
	struct network_options o = {.batch = (uint32_t)res->arg->batch, .max_page = res->t.max_page};
	int r = network_plan(res->hef, res->group, res->op, &res->t.consts, &o, &res->plan, &res->err);

	if (r == 0)
		r = network_contexts(res->plan, &res->err);
	return r < 0 ? r : check_streams(res);
}

/* 0, or why not: res->err, and the vendor's status */
static int check(struct result *res)
{
	const struct arguments *a = res->arg;
	int r = hef_open(a->path, &res->hef, &res->status, &res->err);

	if (r < 0)
		return r;
	res->group = hef_find_group(res->hef, a->name);
	if (!res->group) {
		res->status = HEF_NOT_FOUND;
		return hw_fail(&res->err, -ENOENT, "the file has no network group %s",
			       a->name ? a->name : "at all");
	}
	r = hef_select(res->hef, res->group, res->t.arch, res->t.clusters, res->t.software_chip, &res->op,
		       &res->status, &res->err);
	if (r < 0)
		return r;
	r = check_plan(res);
	if (r < 0)
		res->status = status_of(r);
	return r;
}

int hef_check_memory(const char *path, uint64_t *bytes, struct hw_error *err)
{
	struct arguments a = {.path = path, .batch = 1};
	struct result res = {.arg = &a};
	struct hef *hef = NULL;
	enum hef_status status;
	int r = hef_open(path, &hef, &status, err);

	if (r < 0)
		return r;
	a.arch = hef->arch == HEF_ARCH_HAILO8L ? "8l" : "8";
	assume(&a, &res.t);
	res.t.software_chip = hef->software_chip;
	hef_free(hef);
	r = check(&res);
	if (r < 0 && err)
		*err = res.err;
	*bytes = res.mem.lists + res.mem.config + res.mem.internal + res.mem.frames;
	network_free(res.plan, NULL);
	hef_free(res.hef);
	return r;
}

/* ----------------------------------------------------------------------------------- answer */

/* What does not keep a file from running, but a user should know. */
static const char *note(const struct result *res, char *buf, size_t size)
{
	if (res->raw_only)
		return "the chip's own outputs can be had: hwctl run --raw, hw_net_options.raw_outputs";
	if (!res->runs)
		return NULL;
	if (res->op->n_ops) {
		snprintf(buf, size, "%s%s is computed on this machine's CPU", hef_op_name(&res->op->ops[0]),
			 res->op->n_ops > 1 ? " and other post-processing" : "");
		return buf;
	}
	if (res->t.arch == HW_ARCH_HAILO8 && res->hef->arch == HEF_ARCH_HAILO8L &&
	    !res->hef->software_chip)
		return "it was compiled for a Hailo-8L: on a Hailo-8 it runs, but slower than it could";
	if (res->t.software_chip && !res->hef->software_chip)
		return "a chip in software cannot execute the vendor's microcode: bytes move, but the "
		       "answers mean nothing";
	return NULL;
}

static const char *context_name(const struct network_context *c, char *buf, size_t size)
{
	if (c->type == FW_CONTEXT_PRELIMINARY)
		return "preliminary";
	snprintf(buf, size, "context %u", c->index);
	return buf;
}

static void print_stream(const struct network_stream *s)
{
	printf("  %-6s channel %2u  %" PRIu32 " bytes a frame, page %" PRIu32 ", list of %" PRIu32 "  %s\n",
	       s->input ? "input" : "output", s->channel, s->transfer, s->page, s->count, s->layer->name);
}

static void print_plan(const struct result *res)
{
	const struct network *plan = res->plan;
	const struct memory *m = &res->mem;
	char name[32];

	for (size_t i = 0; i < plan->n_contexts; i++) {
		for (size_t k = 0; k < plan->contexts[i].n_configs; k++) {
			const struct network_config *c = &plan->contexts[i].configs[k];

			printf("  config channel %u  %s: %zu writes, %" PRIu32 " of %" PRIu32
			       " descriptors, page %" PRIu32 "\n",
			       c->channel, context_name(&plan->contexts[i], name, sizeof(name)), c->n_pieces,
			       c->used, c->count, c->page);
		}
	}
	for (size_t i = 0; i < plan->n_inputs; i++)
		print_stream(&plan->inputs[i]);
	for (size_t i = 0; i < plan->n_outputs; i++)
		print_stream(&plan->outputs[i]);
	if (plan->n_internal)
		printf("  %zu streams between and inside contexts\n", plan->n_internal);
	if (!m->slots)
		return;
	printf("DMA memory: %" PRIu64 " KiB (lists %" PRIu64 ", configuration %" PRIu64 ", between contexts %"
	       PRIu64 ", %zu frames %" PRIu64 ")\n",
	       (m->lists + m->config + m->internal + m->frames) >> 10, m->lists >> 10, m->config >> 10,
	       m->internal >> 10, m->slots, m->frames >> 10);
}

static void print_text(const struct result *res)
{
	char text[160];

	if (res->hef)
		printf("%s: compiled for %s by %s, container version %" PRIu32 "\n", res->arg->path,
		       hef_arch_text(res->hef->arch),
		       res->hef->sdk_version[0] ? res->hef->sdk_version : "an unnamed compiler",
		       res->hef->version);
	if (res->op)
		printf("network group %s: %zu context%s, %u config channel%s", res->group->name,
		       res->op->n_contexts, res->op->n_contexts == 1 ? "" : "s", res->op->cfg_channels,
		       res->op->cfg_channels == 1 ? "" : "s");
	if (res->op && res->op->layout != HEF_LAYOUT_ANY)
		printf(", cluster layout 0x%" PRIx32, res->op->layout);
	if (res->op)
		putchar('\n');
	if (res->plan)
		print_plan(res);
	if (note(res, text, sizeof(text)))
		printf("note: %s\n", note(res, text, sizeof(text)));
	if (res->runs)
		printf("it will run on %s\n", res->t.name);
	else
		printf("it will not run on %s: %s\n", res->t.name, res->err.text);
}

static cJSON *stream_json(const struct network_stream *s)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "name", s->layer->name);
	cJSON_AddStringToObject(o, "direction", s->input ? "input" : "output");
	cJSON_AddNumberToObject(o, "channel", s->channel);
	cJSON_AddNumberToObject(o, "frame_bytes", s->transfer);
	cJSON_AddNumberToObject(o, "page", s->page);
	cJSON_AddNumberToObject(o, "descriptors", s->count);
	return o;
}

static void add_plan(cJSON *o, const struct result *res)
{
	cJSON *configs = cJSON_AddArrayToObject(o, "config"), *streams, *m;
	const struct network *plan = res->plan;
	char name[32];

	for (size_t i = 0; i < plan->n_contexts; i++) {
		for (size_t k = 0; k < plan->contexts[i].n_configs; k++) {
			const struct network_config *c = &plan->contexts[i].configs[k];
			cJSON *one = cJSON_CreateObject();

			cJSON_AddStringToObject(one, "context",
						context_name(&plan->contexts[i], name, sizeof(name)));
			cJSON_AddNumberToObject(one, "channel", c->channel);
			cJSON_AddNumberToObject(one, "writes", (double)c->n_pieces);
			cJSON_AddNumberToObject(one, "page", c->page);
			cJSON_AddNumberToObject(one, "descriptors", c->count);
			cJSON_AddNumberToObject(one, "fetched", c->used);
			cJSON_AddItemToArray(configs, one);
		}
	}
	streams = cJSON_AddArrayToObject(o, "streams");
	for (size_t i = 0; i < plan->n_inputs; i++)
		cJSON_AddItemToArray(streams, stream_json(&plan->inputs[i]));
	for (size_t i = 0; i < plan->n_outputs; i++)
		cJSON_AddItemToArray(streams, stream_json(&plan->outputs[i]));
	cJSON_AddNumberToObject(o, "internal_streams", (double)plan->n_internal);
	m = cJSON_AddObjectToObject(o, "dma_bytes");
	cJSON_AddNumberToObject(m, "lists", (double)res->mem.lists);
	cJSON_AddNumberToObject(m, "config", (double)res->mem.config);
	cJSON_AddNumberToObject(m, "internal", (double)res->mem.internal);
	cJSON_AddNumberToObject(m, "frames", (double)res->mem.frames);
	cJSON_AddNumberToObject(o, "frames_in_flight", (double)res->mem.slots);
}

static void print_answer_json(const struct result *res)
{
	cJSON *o = cJSON_CreateObject();
	char text[160];

	cJSON_AddStringToObject(o, "file", res->arg->path);
	cJSON_AddBoolToObject(o, "runs", res->runs);
	cJSON_AddStringToObject(o, "on", res->t.name);
	if (res->runs)
		cJSON_AddNullToObject(o, "reason");
	else
		cJSON_AddStringToObject(o, "reason", res->err.text);
	cJSON_AddNumberToObject(o, "hef_status", res->runs ? 0 : (int)res->status);
	if (note(res, text, sizeof(text)))
		cJSON_AddStringToObject(o, "note", note(res, text, sizeof(text)));
	if (res->hef) {
		cJSON_AddStringToObject(o, "architecture", hef_arch_text(res->hef->arch));
		cJSON_AddNumberToObject(o, "container_version", res->hef->version);
		cJSON_AddStringToObject(o, "compiler", res->hef->sdk_version);
	}
	if (res->group)
		cJSON_AddStringToObject(o, "group", res->group->name);
	if (res->op) {
		if (res->op->layout == HEF_LAYOUT_ANY)
			cJSON_AddNullToObject(o, "clusters");
		else
			cJSON_AddNumberToObject(o, "clusters", res->op->layout);
		cJSON_AddNumberToObject(o, "n_contexts", (double)res->op->n_contexts);
		cJSON_AddNumberToObject(o, "config_channels", res->op->cfg_channels);
	}
	if (res->plan)
		add_plan(o, res);
	print_json(o);
}

int cmd_hef_check(const struct options *opt, int argc, char **argv)
{
	struct arguments a = {.batch = 1};
	struct result res = {.arg = &a};
	int r = parse(argc, argv, &a);

	if (r != EXIT_OK)
		return r;
	if (a.arch && opt->device)
		return usage_error("--arch means no device; --device asks one");
	if (a.arch) {
		assume(&a, &res.t);
	} else {
		r = ask(opt, &res.t);
		if (r != EXIT_OK)
			goto out;
	}
	r = check(&res);
	res.runs = r == 0;
	if (opt->json)
		print_answer_json(&res);
	else
		print_text(&res);
	/* Out of memory says nothing about the file. */
	r = r == 0 ? EXIT_OK : r == -ENOMEM ? EXIT_FAILED : EXIT_BAD_FILE;
out:
	host_net_free(res.host);
	network_free(res.plan, NULL);
	hef_free(res.hef);
	hw_dev_close(res.t.dev);
	return r;
}
