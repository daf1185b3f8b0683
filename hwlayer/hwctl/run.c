// SPDX-License-Identifier: MIT
/* hwctl run: frames through a network, on a chip or on this CPU, with figures. */
#include "hwctl/run.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "onnx/onnx.h"

#define FRAMES_MAX 100000000L

/* The command line: models, each with what was said about it. */
struct command_line {
	struct run_arguments arg;
	struct run_job *jobs;
	size_t n;
};

static struct run_job *add_model(struct command_line *c)
{
	struct run_job *more = realloc(c->jobs, (c->n + 1) * sizeof(*more));

	if (!more)
		return NULL;
	c->jobs = more;
	more[c->n] = (struct run_job){.arg = &c->arg};
	return &more[c->n++];
}

/* An option of one model: of the one before it, or of the first. */
static const char **model_option(struct run_job *j, const char *name)
{
	if (strcmp(name, "--input") == 0)
		return &j->input;
	if (strcmp(name, "--manifest") == 0)
		return &j->manifest_path;
	if (strcmp(name, "--name") == 0)
		return &j->name;
	return NULL;
}

static int add_argument(struct command_line *c, const char *text)
{
	struct run_job *j = &c->jobs[c->n - 1];

	if (text[0] == '-')
		return usage_error("run does not know '%s'", text);
	if (c->n == RUN_MODELS_MAX)
		return usage_error("a chip holds %d models at most", RUN_MODELS_MAX);
	if (j->model)
		j = add_model(c);
	if (!j)
		return usage_error("no memory");
	j->model = text;
	return EXIT_OK;
}

static int parse(int argc, char **argv, struct command_line *c)
{
	struct run_arguments *a = &c->arg;

	if (!add_model(c))
		return usage_error("no memory");
	for (int i = 1; i < argc; i++) {
		const char *name = argv[i], **text = model_option(&c->jobs[c->n - 1], name);
		long *number = NULL, min = 1, max = FRAMES_MAX;

		if (strcmp(name, "--frames") == 0)
			number = &a->frames;
		else if (strcmp(name, "--in-flight") == 0)
			number = &a->in_flight, max = 127;
		else if (strcmp(name, "--timeout") == 0)
			number = &a->timeout, max = FRAME_TIMEOUT_MAX;
		else if (strcmp(name, "--batch") == 0)
			number = &a->batch, max = UINT16_MAX;
		else if (strcmp(name, "--queue-depth") == 0)
			number = &a->queue_depth, max = 127;
		else if (strcmp(name, "--max-page") == 0)
			number = &a->max_page, max = 4096;
		else if (strcmp(name, "--mock-hw-consts") == 0)
			text = &a->hw_consts;
		else if (strcmp(name, "--mock-layout") == 0)
			text = &a->layout;
		else if (strcmp(name, "--detections") == 0)
			text = &a->detections;
		if (text || number) {
			if (i + 1 == argc)
				return usage_error("%s wants a value", name);
			i++;
			if (text)
				*text = argv[i];
			else if ((*number = number_option(name, argv[i], min, max)) < 0)
				return EXIT_USAGE;
		} else if (strcmp(name, "--cpu") == 0) {
			a->cpu = true;
		} else if (strcmp(name, "--measure-latency") == 0) {
			a->measure_latency = true;
		} else if (strcmp(name, "--raw") == 0) {
			a->raw = true;
		} else {
			int r = add_argument(c, name);

			if (r != EXIT_OK)
				return r;
		}
	}
	if (!c->jobs[0].model)
		return usage_error("run wants a MODEL");
	if (a->cpu && c->n > 1)
		return usage_error("--cpu runs one model");
	if (a->detections && strcmp(a->detections, "by-class") && strcmp(a->detections, "by-score"))
		return usage_error("--detections is by-class or by-score, not '%s'", a->detections);
	return EXIT_OK;
}

static void free_jobs(struct command_line *c)
{
	for (size_t m = 0; m < c->n; m++) {
		struct run_job *j = &c->jobs[m];

		frames_free(j->inputs);
		frames_free(j->outputs);
		free(j->latency_ns);
		hw_manifest_free(j->manifest);
	}
	free(c->jobs);
}

bool run_has_suffix(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && strcmp(s + n - m, suffix) == 0;
}

static int find_manifest(struct run_job *j, struct hw_error *err)
{
	char path[PATH_MAX];

	if (j->manifest_path)
		return hw_manifest_read(j->manifest_path, &j->manifest, err);
	if (hw_manifest_path(j->model, path, sizeof(path)) < 0 || access(path, F_OK) < 0)
		return 0;
	return hw_manifest_read(path, &j->manifest, err);
}

/* ---------------------------------------------------------------------------------- on a CPU */

static int run_cpu(struct run_job *j, struct hw_error *err)
{
	struct onnx_graph *g = NULL;
	struct onnx_session *s = NULL;
	struct ticker *tick;
	struct progress p;
	uint64_t start;
	int r;

	snprintf(j->function, sizeof(j->function), "cpu");
	tick = ticker_start(j->opt, "loading");
	r = onnx_open(j->model, &g, err);
	ticker_stop(tick);
	if (r < 0)
		return r;
	j->n_in = g->n_inputs;
	j->n_out = g->n_outputs;
	if (j->n_in > RUN_TENSORS_MAX || j->n_out > RUN_TENSORS_MAX) {
		r = hw_fail(err, -ENOTSUP, "more than %d inputs or outputs", RUN_TENSORS_MAX);
		goto out;
	}
	for (size_t i = 0; i < j->n_in + j->n_out; i++) {
		struct hw_tensor_info *t = i < j->n_in ? &j->in[i] : &j->out[i - j->n_in];
		const struct onnx_tensor *v =
			&g->values[i < j->n_in ? g->inputs[i] : g->outputs[i - j->n_in]];

		snprintf(t->name, sizeof(t->name), "%s", v->name);
		t->type = HW_TYPE_F32;
		t->elements = v->elements;
		t->frame_bytes = v->elements * sizeof(float);
		if (v->type != ONNX_F32) {
			r = hw_fail(err, -ENOTSUP, "%s is not float32", v->name);
			goto out;
		}
	}
	r = onnx_session_new(g, 1, &s, err);
	if (r == 0)
		r = run_make_inputs(j, err);
	progress_start(&p, j->opt);
	start = util_now_ns();
	for (size_t k = 0; r == 0 && k < j->frames; k++) {
		size_t input = k % j->n_inputs;
		uint64_t t0 = util_now_ns();

		r = onnx_run(s, (const void *const *)(j->inputs + input * j->n_in),
			     (void *const *)(j->outputs + input * j->n_out), err);
		j->latency_ns[j->done++] = util_now_ns() - t0;
		progress_show(&p, "frames", j->done, j->frames);
	}
	j->wall_ns = util_now_ns() - start;
	progress_end(&p);
out:
	onnx_session_free(s);
	onnx_free(g);
	return r;
}

/* ---------------------------------------------------------------------------------- answer */

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double percentile_ms(const struct run_job *j, double p)
{
	size_t i = (size_t)(p / 100.0 * (double)j->done);

	if (!j->done)
		return 0;
	return (double)j->latency_ns[i < j->done ? i : j->done - 1] / 1e6;
}

static double chip_ms(const struct run_job *j)
{
	return j->done ? (double)j->chip_ns / 1e6 / (double)j->done : 0;
}

static void print_values(const struct run_job *j)
{
	size_t show = j->n_inputs < 4 ? j->n_inputs : 4;

	for (size_t k = 0; k < show && k < j->done; k++) {
		for (size_t i = 0; i < j->n_out; i++) {
			printf("input %zu, %s:", k, j->out[i].name);
			output_print(&j->out[i], j->outputs[k * j->n_out + i]);
		}
	}
}

static cJSON *outputs_json(const struct run_job *j)
{
	cJSON *all = cJSON_CreateArray();

	for (size_t k = 0; k < j->n_inputs && k < j->done; k++) {
		cJSON *frame = cJSON_CreateObject();

		for (size_t i = 0; i < j->n_out; i++)
			cJSON_AddItemToObject(frame, j->out[i].name,
					      output_json(&j->out[i], j->outputs[k * j->n_out + i]));
		cJSON_AddItemToArray(all, frame);
	}
	return all;
}

static double frames_per_second(const struct run_job *j)
{
	return j->wall_ns ? (double)j->done * 1e9 / (double)j->wall_ns : 0;
}

static cJSON *answer_json(const struct run_job *j, const char *where)
{
	cJSON *o = cJSON_CreateObject(), *l;

	cJSON_AddStringToObject(o, "model", j->model);
	cJSON_AddStringToObject(o, "on", where);
	cJSON_AddStringToObject(o, "function", j->function);
	cJSON_AddNumberToObject(o, "frames", (double)j->done);
	cJSON_AddNumberToObject(o, "seconds", (double)j->wall_ns / 1e9);
	cJSON_AddNumberToObject(o, "frames_per_second", frames_per_second(j));
	l = cJSON_AddObjectToObject(o, "latency_ms");
	cJSON_AddNumberToObject(l, "p50", percentile_ms(j, 50));
	cJSON_AddNumberToObject(l, "p90", percentile_ms(j, 90));
	cJSON_AddNumberToObject(l, "p99", percentile_ms(j, 99));
	cJSON_AddNumberToObject(l, "max", percentile_ms(j, 100));
	if (j->arg->measure_latency)
		cJSON_AddNumberToObject(l, "chip", chip_ms(j));
	cJSON_AddItemToObject(o, "outputs", outputs_json(j));
	return o;
}

static void print_words(const struct run_job *j, const char *where)
{
	printf("%s on %s: %zu frames in %.3f s, %.1f frames/s\n", j->model, where, j->done,
	       (double)j->wall_ns / 1e9, frames_per_second(j));
	printf("latency ms: p50 %.2f, p90 %.2f, p99 %.2f, max %.2f\n", percentile_ms(j, 50),
	       percentile_ms(j, 90), percentile_ms(j, 99), percentile_ms(j, 100));
	if (j->arg->measure_latency)
		printf("from the chip taking a frame to its last output: %.3f ms\n", chip_ms(j));
	if (strcmp(j->function, "pattern") == 0)
		puts("function: pattern: the answers are a test pattern, not inference (a chip in "
		     "software cannot execute microcode)");
	else
		printf("function: %s\n", j->function);
	print_values(j);
}

static void print_answers(const struct options *opt, struct command_line *c, const char *where)
{
	cJSON *o, *models;

	for (size_t i = 0; i < c->n; i++)
		qsort(c->jobs[i].latency_ns, c->jobs[i].done, sizeof(*c->jobs[i].latency_ns), by_value);
	if (!opt->json) {
		for (size_t i = 0; i < c->n; i++)
			print_words(&c->jobs[i], where);
		return;
	}
	if (c->n == 1) {
		print_json(answer_json(&c->jobs[0], where));
		return;
	}
	o = cJSON_CreateObject();
	models = cJSON_AddArrayToObject(o, "models");
	for (size_t i = 0; i < c->n; i++)
		cJSON_AddItemToArray(models, answer_json(&c->jobs[i], where));
	print_json(o);
}

/* The device options that only this command has. */
static int device_options(const struct run_arguments *a, struct options *to)
{
	char *end = NULL;

	to->mock_hw_consts = a->hw_consts;
	to->mock_max_page = (uint32_t)a->max_page;
	if (!a->layout)
		return EXIT_OK;
	to->mock_layout = (uint32_t)strtoul(a->layout, &end, 16);
	if (!to->mock_layout || *end)
		return usage_error("--mock-layout wants a bitmap in hexadecimal, not '%s'", a->layout);
	return EXIT_OK;
}

/* HEFs run on a chip, ONNX models on this CPU. */
static int check_kinds(const struct command_line *c)
{
	for (size_t i = 0; i < c->n; i++) {
		const char *model = c->jobs[i].model;

		if (!c->arg.cpu && run_has_suffix(model, ".onnx"))
			return usage_error("%s is an ONNX model: run it with --cpu, or make a HEF of it with "
					   "hwctl hef build",
					   model);
		if (c->arg.cpu && run_has_suffix(model, ".hef"))
			return usage_error("--cpu runs ONNX models; %s is a HEF", model);
	}
	return EXIT_OK;
}

static int run_all(const struct options *opt, struct command_line *c)
{
	struct options device = *opt;
	struct hw_error err = {0};
	char where[64] = "the CPU";
	struct hw_dev *dev = NULL;
	int status, r;

	r = device_options(&c->arg, &device);
	if (r == EXIT_OK)
		r = check_kinds(c);
	if (r != EXIT_OK)
		return r;
	for (size_t i = 0; r == 0 && i < c->n; i++) {
		c->jobs[i].opt = opt;
		r = find_manifest(&c->jobs[i], &err);
	}
	if (r == 0 && c->arg.cpu) {
		r = run_cpu(&c->jobs[0], &err);
	} else if (r == 0) {
		struct hw_dev_info info;

		dev = open_device(&device, false, &status);
		if (!dev)
			return status;
		hw_dev_get_info(dev, &info);
		snprintf(where, sizeof(where), "%s (%s%s)", info.bdf, info.arch_name,
			 info.software_chip ? " in software" : "");
		r = run_on_chip(c->jobs, c->n, dev, &err);
	}
	status = r < 0 ? report(opt, r, &err) : EXIT_OK;
	if (r == 0)
		print_answers(opt, c, where);
	hw_dev_close(dev);
	return status;
}

int cmd_run(const struct options *opt, int argc, char **argv)
{
	struct command_line c = {.arg = {.timeout = 10000, .batch = 1}};
	int r = parse(argc, argv, &c);

	if (r == EXIT_OK)
		r = run_all(opt, &c);
	free_jobs(&c);
	return r;
}
