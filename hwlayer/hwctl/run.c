// SPDX-License-Identifier: MIT
/* hwctl run: frames through a network, on a chip or on this CPU, with figures. */
#include "hwctl/hwctl.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "onnx/onnx.h"

#define MAX_TENSORS 32
#define FRAMES_MAX 100000000L

struct arguments {
	const char *model, *input, *manifest;
	long frames, in_flight, timeout;
	long batch, queue_depth, max_page;
	const char *hw_consts, *layout;
	bool cpu, measure_latency;
};

/* What is run, however it is run: tensors of floats or bytes, and the inputs to take turns. */
struct job {
	const struct options *opt;
	const struct arguments *arg;
	struct hw_manifest *manifest;        /* NULL: values go in as they are */
	size_t n_in, n_out;
	struct hw_tensor_info in[MAX_TENSORS], out[MAX_TENSORS];
	size_t n_inputs;                     /* distinct input frames */
	uint8_t **inputs;                    /* n_inputs x n_in, user frames */
	uint8_t **outputs;                   /* n_inputs x n_out, the last answer to each input */
	uint64_t *latency_ns;
	size_t frames, done, failed;
	uint64_t wall_ns, chip_ns;
	struct hw_error err;                 /* of the first failed frame */
	char function[256];                  /* hw_net_function(), or "cpu" */
};

static int parse(int argc, char **argv, struct arguments *a)
{
	for (int i = 1; i < argc; i++) {
		const char *name = argv[i], **text = NULL;
		long *number = NULL, min = 1, max = FRAMES_MAX;

		if (strcmp(name, "--input") == 0)
			text = &a->input;
		else if (strcmp(name, "--manifest") == 0)
			text = &a->manifest;
		else if (strcmp(name, "--frames") == 0)
			number = &a->frames;
		else if (strcmp(name, "--in-flight") == 0)
			number = &a->in_flight, max = 127;
		else if (strcmp(name, "--timeout") == 0)
			number = &a->timeout, max = 3600000;
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
		} else if (name[0] != '-' && !a->model) {
			a->model = name;
		} else {
			return usage_error("run does not know '%s'", name);
		}
	}
	if (!a->model)
		return usage_error("run wants a MODEL");
	return EXIT_OK;
}

static bool has_suffix(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && strcmp(s + n - m, suffix) == 0;
}

/* ---------------------------------------------------------------------------------- input */

static int alloc_inputs(struct job *j, size_t n, struct hw_error *err)
{
	j->inputs = calloc(n * j->n_in, sizeof(*j->inputs));
	j->outputs = calloc(n * j->n_out, sizeof(*j->outputs));
	if (!j->inputs || !j->outputs)
		return hw_fail(err, -ENOMEM, "no memory for %zu inputs", n);
	j->n_inputs = n;
	for (size_t k = 0; k < n; k++) {
		for (size_t i = 0; i < j->n_in; i++) {
			j->inputs[k * j->n_in + i] = calloc(1, j->in[i].frame_bytes);
			if (!j->inputs[k * j->n_in + i])
				return hw_fail(err, -ENOMEM, "no memory for inputs");
		}
		for (size_t i = 0; i < j->n_out; i++) {
			j->outputs[k * j->n_out + i] = calloc(1, j->out[i].frame_bytes);
			if (!j->outputs[k * j->n_out + i])
				return hw_fail(err, -ENOMEM, "no memory for outputs");
		}
	}
	return 0;
}

static void free_job(struct job *j)
{
	for (size_t k = 0; j->inputs && k < j->n_inputs * j->n_in; k++)
		free(j->inputs[k]);
	for (size_t k = 0; j->outputs && k < j->n_inputs * j->n_out; k++)
		free(j->outputs[k]);
	free(j->inputs);
	free(j->outputs);
	free(j->latency_ns);
	hw_manifest_free(j->manifest);
}

static int json_inputs(struct job *j, struct hw_error *err)
{
	struct windows w = {0};
	size_t elements = j->in[0].elements;
	int r;

	if (j->n_in != 1)
		return hw_fail(err, -EINVAL, "a JSON window feeds one input, this model has %zu",
			       j->n_in);
	if (j->manifest && (size_t)j->manifest->timesteps * j->manifest->channels != elements)
		return hw_fail(err, -EBADMSG, "the manifest's windows have %zu numbers, the model wants %zu",
			       (size_t)j->manifest->timesteps * j->manifest->channels, elements);
	r = windows_read(j->arg->input, elements, &w, err);
	if (r == 0 && !w.n)
		r = hw_fail(err, -EBADMSG, "%s has no window", j->arg->input);
	if (r == 0)
		r = alloc_inputs(j, w.n, err);
	for (size_t k = 0; r == 0 && k < w.n; k++) {
		float *to = (float *)(void *)j->inputs[k];

		memcpy(to, w.values + k * elements, elements * sizeof(float));
		if (j->manifest)
			hw_manifest_input(j->manifest, to, to);
	}
	windows_free(&w);
	return r;
}

static int raw_inputs(struct job *j, struct hw_error *err)
{
	size_t frame = 0, len, at = 0;
	uint8_t *data;
	int r;

	for (size_t i = 0; i < j->n_in; i++)
		frame += j->in[i].frame_bytes;
	r = util_read_file(j->arg->input, 1u << 30, &data, &len, err);
	if (r < 0)
		return r;
	if (!len || len % frame)
		r = hw_fail(err, -EBADMSG, "%s has %zu bytes, which is no multiple of a frame's %zu",
			    j->arg->input, len, frame);
	else
		r = alloc_inputs(j, len / frame, err);
	for (size_t k = 0; r == 0 && k < j->n_inputs * j->n_in; k++) {
		size_t n = j->in[k % j->n_in].frame_bytes;

		memcpy(j->inputs[k], data + at, n);
		at += n;
	}
	free(data);
	return r;
}

/* Something that moves: bytes 0..255, or floats in steps of 1/64 around zero. */
static int pattern_inputs(struct job *j, struct hw_error *err)
{
	int r = alloc_inputs(j, 1, err);

	for (size_t i = 0; r == 0 && i < j->n_in; i++) {
		float *f = (float *)(void *)j->inputs[i];

		if (j->in[i].type != HW_TYPE_F32) {
			for (size_t k = 0; k < j->in[i].frame_bytes; k++)
				j->inputs[i][k] = (uint8_t)(k * 167 + (k >> 8) * 59 + 7);
			continue;
		}
		for (size_t k = 0; k < j->in[i].elements; k++)
			f[k] = (float)((int)(k * 167 % 256) - 128) / 64.0f;
	}
	return r;
}

static int make_inputs(struct job *j, struct hw_error *err)
{
	int r;

	if (!j->arg->input)
		r = pattern_inputs(j, err);
	else if (has_suffix(j->arg->input, ".json"))
		r = json_inputs(j, err);
	else
		r = raw_inputs(j, err);
	if (r < 0)
		return r;
	j->frames = j->arg->frames ? (size_t)j->arg->frames : j->n_inputs;
	j->latency_ns = calloc(j->frames, sizeof(*j->latency_ns));
	return j->latency_ns ? 0 : hw_fail(err, -ENOMEM, "no memory for %zu frames", j->frames);
}

static int find_manifest(struct job *j, struct hw_error *err)
{
	char path[PATH_MAX];

	if (j->arg->manifest)
		return hw_manifest_read(j->arg->manifest, &j->manifest, err);
	if (hw_manifest_path(j->arg->model, path, sizeof(path)) < 0 || access(path, F_OK) < 0)
		return 0;
	return hw_manifest_read(path, &j->manifest, err);
}

/* ---------------------------------------------------------------------------------- on a CPU */

static int run_cpu(struct job *j, struct hw_error *err)
{
	struct onnx_graph *g = NULL;
	struct onnx_session *s = NULL;
	struct progress p;
	uint64_t start;
	int r;

	snprintf(j->function, sizeof(j->function), "cpu");
	r = onnx_open(j->arg->model, &g, err);
	if (r < 0)
		return r;
	j->n_in = g->n_inputs;
	j->n_out = g->n_outputs;
	if (j->n_in > MAX_TENSORS || j->n_out > MAX_TENSORS) {
		r = hw_fail(err, -ENOTSUP, "more than %d inputs or outputs", MAX_TENSORS);
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
		r = make_inputs(j, err);
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

/* --------------------------------------------------------------------------------- on a chip */

struct flight {
	struct job *job;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	size_t outstanding;
};

struct ticket {
	struct flight *flight;
	uint64_t start_ns;
	bool busy;
	void *scratch[MAX_TENSORS]; /* outputs of this slot; copied when done */
	size_t input;
};

static void frame_done(int status, const struct hw_error *err, void *user)
{
	struct ticket *t = user;
	struct job *j = t->flight->job;

	pthread_mutex_lock(&t->flight->lock);
	if (status == 0) {
		j->latency_ns[j->done++] = util_now_ns() - t->start_ns;
		for (size_t i = 0; i < j->n_out; i++)
			memcpy(j->outputs[t->input * j->n_out + i], t->scratch[i],
			       j->out[i].frame_bytes);
	} else if (!j->failed++) {
		j->err = *err;
	}
	t->busy = false;
	t->flight->outstanding--;
	pthread_cond_signal(&t->flight->cond);
	pthread_mutex_unlock(&t->flight->lock);
}

static int pump(struct job *j, struct hw_net *net, struct ticket *tickets, size_t n_tickets,
		struct hw_error *err)
{
	struct flight *f = tickets[0].flight;
	struct progress p;
	size_t sent = 0;
	int r = 0;

	progress_start(&p, j->opt);
	pthread_mutex_lock(&f->lock);
	while (r == 0 && sent < j->frames && !j->failed && !interrupted()) {
		struct ticket *t = NULL;
		struct hw_submit s = {.timeout_ms = (uint32_t)j->arg->timeout, .done = frame_done};

		for (size_t i = 0; i < n_tickets && !t; i++)
			t = tickets[i].busy ? NULL : &tickets[i];
		if (!t) {
			pthread_cond_wait(&f->cond, &f->lock);
			continue;
		}
		t->busy = true;
		t->input = sent % j->n_inputs;
		f->outstanding++;
		pthread_mutex_unlock(&f->lock);
		s.inputs = (const void *const *)(j->inputs + t->input * j->n_in);
		s.outputs = t->scratch;
		s.user = t;
		t->start_ns = util_now_ns();
		r = hw_net_submit(net, &s, err);
		progress_show(&p, "frames", j->done, j->frames);
		pthread_mutex_lock(&f->lock);
		if (r < 0) {
			t->busy = false;
			f->outstanding--;
		} else {
			sent++;
		}
	}
	while (f->outstanding)
		pthread_cond_wait(&f->cond, &f->lock);
	pthread_mutex_unlock(&f->lock);
	progress_end(&p);
	if (j->failed) {
		/* What a frame was told is closer to the cause than what the next submit says. */
		*err = j->err;
		r = j->err.code;
	}
	if (r == 0 && interrupted())
		r = hw_fail(err, -EINTR, "ended by signal %d after %zu frames", interrupted(), j->done);
	return r;
}

static int run_frames(struct job *j, struct hw_net *net, struct hw_error *err)
{
	struct flight f = {.job = j, .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
	size_t n = (size_t)j->arg->in_flight;
	struct ticket *tickets = calloc(n, sizeof(*tickets));
	uint64_t start;
	int r = 0;

	if (!tickets)
		return hw_fail(err, -ENOMEM, "no memory");
	for (size_t k = 0; k < n; k++) {
		tickets[k].flight = &f;
		for (size_t i = 0; i < j->n_out; i++) {
			tickets[k].scratch[i] = malloc(j->out[i].frame_bytes);
			if (!tickets[k].scratch[i])
				r = hw_fail(err, -ENOMEM, "no memory");
		}
	}
	start = util_now_ns();
	if (r == 0)
		r = pump(j, net, tickets, n, err);
	j->wall_ns = util_now_ns() - start;
	for (size_t k = 0; k < n; k++) {
		for (size_t i = 0; i < j->n_out; i++)
			free(tickets[k].scratch[i]);
	}
	free(tickets);
	return r;
}

static int run_chip(struct job *j, struct hw_dev *dev, struct hw_error *err)
{
	bool floats = j->arg->input && has_suffix(j->arg->input, ".json");
	struct hw_net_options o = {
		.input_type = floats ? HW_TYPE_F32 : HW_TYPE_AUTO,
		.output_type = HW_TYPE_F32,
		.frames_in_flight = (uint32_t)j->arg->in_flight,
		.batch = (uint32_t)j->arg->batch,
		.queue_depth = (uint32_t)j->arg->queue_depth,
		.measure_latency = j->arg->measure_latency,
	};
	const struct hw_tensor_info *in, *out;
	struct hw_net_stats stats;
	struct hw_net *net;
	int r = hw_net_load(dev, j->arg->model, &o, &net, err);

	if (r < 0)
		return r;
	snprintf(j->function, sizeof(j->function), "%s", hw_net_function(net));
	in = hw_net_inputs(net, &j->n_in);
	out = hw_net_outputs(net, &j->n_out);
	if (j->n_in > MAX_TENSORS || j->n_out > MAX_TENSORS) {
		r = hw_fail(err, -ENOTSUP, "more than %d inputs or outputs", MAX_TENSORS);
	} else {
		memcpy(j->in, in, j->n_in * sizeof(*in));
		memcpy(j->out, out, j->n_out * sizeof(*out));
		r = make_inputs(j, err);
	}
	if (r == 0)
		r = run_frames(j, net, err);
	hw_net_get_stats(net, &stats);
	j->chip_ns = stats.chip_ns;
	hw_net_free(net);
	return r;
}

/* ---------------------------------------------------------------------------------- answer */

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double percentile_ms(const struct job *j, double p)
{
	size_t i = (size_t)(p / 100.0 * (double)j->done);

	if (!j->done)
		return 0;
	return (double)j->latency_ns[i < j->done ? i : j->done - 1] / 1e6;
}

static double chip_ms(const struct job *j)
{
	return j->done ? (double)j->chip_ns / 1e6 / (double)j->done : 0;
}

static void print_values(const struct job *j)
{
	size_t show = j->n_inputs < 4 ? j->n_inputs : 4;

	for (size_t k = 0; k < show && k < j->done; k++) {
		for (size_t i = 0; i < j->n_out; i++) {
			const float *v = (const float *)(const void *)j->outputs[k * j->n_out + i];
			size_t n = j->out[i].elements < 6 ? j->out[i].elements : 6;

			printf("input %zu, %s:", k, j->out[i].name);
			for (size_t e = 0; e < n; e++)
				printf(" %.4f", (double)v[e]);
			puts(n < j->out[i].elements ? " ..." : "");
		}
	}
}

static cJSON *outputs_json(const struct job *j)
{
	cJSON *all = cJSON_CreateArray();

	for (size_t k = 0; k < j->n_inputs && k < j->done; k++) {
		cJSON *frame = cJSON_CreateObject();

		for (size_t i = 0; i < j->n_out; i++)
			cJSON_AddItemToObject(
				frame, j->out[i].name,
				cJSON_CreateFloatArray((const float *)(const void *)j->outputs[k * j->n_out + i],
						       (int)j->out[i].elements));
		cJSON_AddItemToArray(all, frame);
	}
	return all;
}

static void print_answer(struct job *j, const char *where)
{
	double seconds = (double)j->wall_ns / 1e9;
	double fps = seconds > 0 ? (double)j->done / seconds : 0;

	qsort(j->latency_ns, j->done, sizeof(*j->latency_ns), by_value);
	if (j->opt->json) {
		cJSON *o = cJSON_CreateObject(), *l;

		cJSON_AddStringToObject(o, "model", j->arg->model);
		cJSON_AddStringToObject(o, "on", where);
		cJSON_AddStringToObject(o, "function", j->function);
		cJSON_AddNumberToObject(o, "frames", (double)j->done);
		cJSON_AddNumberToObject(o, "seconds", seconds);
		cJSON_AddNumberToObject(o, "frames_per_second", fps);
		l = cJSON_AddObjectToObject(o, "latency_ms");
		cJSON_AddNumberToObject(l, "p50", percentile_ms(j, 50));
		cJSON_AddNumberToObject(l, "p90", percentile_ms(j, 90));
		cJSON_AddNumberToObject(l, "p99", percentile_ms(j, 99));
		cJSON_AddNumberToObject(l, "max", percentile_ms(j, 100));
		if (j->arg->measure_latency)
			cJSON_AddNumberToObject(l, "chip", chip_ms(j));
		cJSON_AddItemToObject(o, "outputs", outputs_json(j));
		print_json(o);
		return;
	}
	printf("%s on %s: %zu frames in %.3f s, %.1f frames/s\n", j->arg->model, where, j->done,
	       seconds, fps);
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

/* The device options that only this command has. */
static int device_options(const struct arguments *a, struct options *to)
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

int cmd_run(const struct options *opt, int argc, char **argv)
{
	struct options device = *opt;
	struct arguments a = {.in_flight = 8, .timeout = 10000};
	struct job j = {.opt = opt, .arg = &a};
	struct hw_error err = {0};
	char where[64] = "the CPU";
	struct hw_dev *dev = NULL;
	int status = EXIT_FAILED;
	int r = parse(argc, argv, &a);

	if (r == EXIT_OK)
		r = device_options(&a, &device);
	if (r != EXIT_OK)
		return r;
	if (!a.cpu && has_suffix(a.model, ".onnx"))
		return usage_error("%s is an ONNX model: run it with --cpu, or make a HEF of it with "
				   "hwctl hef build",
				   a.model);
	if (a.cpu && has_suffix(a.model, ".hef"))
		return usage_error("--cpu runs ONNX models; %s is a HEF", a.model);
	r = find_manifest(&j, &err);
	if (r == 0 && a.cpu) {
		r = run_cpu(&j, &err);
	} else if (r == 0) {
		struct hw_dev_info info;

		dev = open_device(&device, false, &status);
		if (!dev) {
			free_job(&j);
			return status;
		}
		hw_dev_get_info(dev, &info);
		snprintf(where, sizeof(where), "%s (%s%s)", info.bdf, info.arch_name,
			 info.software_chip ? " in software" : "");
		r = run_chip(&j, dev, &err);
	}
	status = r < 0 ? report(opt, r, &err) : EXIT_OK;
	if (r == 0)
		print_answer(&j, where);
	hw_dev_close(dev);
	free_job(&j);
	return status;
}
