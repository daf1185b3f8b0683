// SPDX-License-Identifier: MIT
/* hwctl dma-test: frames through a network, and what became of every byte. */
#include "hwctl/dma_test.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAMES_MAX 100000000L
#define INPUTS 4u          /* different ones, taking turns */
#define USER_GUARD 64u     /* bytes on either side of a user's output */
#define COSINE_MIN 0.95    /* of 8-bit answers with those of the float model */

struct arguments {
	const char *model, *onnx;
	long frames, in_flight, timeout;
};

struct ticket {
	struct test *test;
	bool busy;
	size_t input, frame;
	uint8_t **outputs; /* with USER_GUARD bytes around each */
	void **frames;     /* the same without */
};

struct test {
	const struct options *opt;
	const struct arguments *arg;
	struct hw_dev_info info;
	struct hw_net *net;
	struct dma_count count;
	struct dma_memory memory;
	struct dma_reference *reference; /* NULL: none */
	const struct hw_tensor_info *in, *out;
	size_t n_in, n_out;
	uint8_t **inputs;                /* INPUTS x n_in */
	uint8_t **answers;               /* INPUTS x n_out: the first answer to each input */
	uint8_t **expected;              /* n_out: for answers that are the pattern */
	uint8_t **raw;                   /* a frame for each stream, in the file's order */
	bool answered[INPUTS];
	struct ticket *tickets;
	pthread_mutex_t lock;            /* what follows, and the tickets */
	pthread_cond_t cond;
	size_t outstanding, done, failed;
	size_t compared, different, user_guards_damaged;
	struct hw_error first;           /* of the frames that failed */
	uint64_t wall_ns;
	char function[128];
	bool pattern;                    /* answers depend on the frame's number alone (docs/mock.md) */
};

/* The verdict, check by check. */
struct verdict {
	bool frames, counters, bytes, descriptors, guards, statistics, integrity, onnx;
	bool ok;
	bool checks_data;                /* a chip in software: answers can be compared */
	size_t distinct;
	double cosine, difference;       /* the worst of all inputs */
};

static int parse(int argc, char **argv, struct arguments *a)
{
	const struct own_option known[] = {
		{"--frames", .number = &a->frames, .min = 1, .max = FRAMES_MAX},
		{"--in-flight", .number = &a->in_flight, .min = 1, .max = VDMA_TRANSFERS_MAX},
		{"--timeout", .number = &a->timeout, .min = 1, .max = FRAME_TIMEOUT_MAX},
		{"--onnx", .text = &a->onnx},
		{0},
	};
	int r = read_options("dma-test", argc, argv, known, &a->model);

	if (r != EXIT_OK)
		return r;
	return a->model ? EXIT_OK : usage_error("dma-test wants a MODEL.hef");
}

/* ---------------------------------------------------------------------------------- memory */

static uint8_t user_guard(size_t i)
{
	return (uint8_t)(0x3c ^ (i * 151));
}

static void set_guards(uint8_t *p, size_t bytes)
{
	for (size_t i = 0; i < USER_GUARD; i++) {
		p[i] = user_guard(i);
		p[USER_GUARD + bytes + i] = user_guard(i + USER_GUARD);
	}
}

static size_t damaged_guards(const uint8_t *p, size_t bytes)
{
	size_t n = 0;

	for (size_t i = 0; i < USER_GUARD; i++) {
		n += p[i] != user_guard(i);
		n += p[USER_GUARD + bytes + i] != user_guard(i + USER_GUARD);
	}
	return n;
}

static int alloc_ticket(struct test *t, struct ticket *k, struct hw_error *err)
{
	k->test = t;
	k->outputs = calloc(t->n_out + 1, sizeof(*k->outputs));
	k->frames = calloc(t->n_out, sizeof(*k->frames));
	if (!k->outputs || !k->frames)
		return hw_fail(err, -ENOMEM, "no memory for outputs");
	for (size_t i = 0; i < t->n_out; i++) {
		k->outputs[i] = malloc(t->out[i].frame_bytes + 2 * USER_GUARD);
		if (!k->outputs[i])
			return hw_fail(err, -ENOMEM, "no memory for outputs");
		set_guards(k->outputs[i], t->out[i].frame_bytes);
		k->frames[i] = k->outputs[i] + USER_GUARD;
	}
	return 0;
}

static void free_test(struct test *t)
{
	for (long i = 0; t->tickets && i < t->arg->in_flight; i++) {
		frames_free(t->tickets[i].outputs);
		free(t->tickets[i].frames);
	}
	free(t->tickets);
	frames_free(t->inputs);
	frames_free(t->answers);
	frames_free(t->expected);
	frames_free(t->raw);
	dma_reference_free(t->reference);
}

/* The bytes of one transfer on each output's channel. */
static int alloc_raw(struct test *t, struct hw_error *err)
{
	t->raw = calloc(t->net->n_outputs + 1, sizeof(*t->raw));
	for (size_t i = 0; t->raw && i < t->net->n_outputs; i++) {
		t->raw[i] = malloc(t->net->plan->outputs[i].transfer);
		if (!t->raw[i])
			return hw_fail(err, -ENOMEM, "no memory for frames");
	}
	return t->raw ? 0 : hw_fail(err, -ENOMEM, "no memory for frames");
}

static int prepare(struct test *t, struct hw_error *err)
{
	int r;

	/* Its counting is by frames. */
	for (size_t i = 0; i < t->net->n_outputs; i++) {
		if (t->net->outputs[i].pieces)
			return hw_fail(err, -ENOTSUP,
				       "dma-test counts transfers by frames, and \"%s\" sends as many for a "
				       "frame as it has boxes; use stress",
				       t->net->outputs[i].stream->layer->name);
	}
	t->in = hw_net_inputs(t->net, &t->n_in);
	t->out = hw_net_outputs(t->net, &t->n_out);
	snprintf(t->function, sizeof(t->function), "%s", hw_net_function(t->net));
	t->pattern = strcmp(t->function, "pattern") == 0;
	r = frames_alloc(INPUTS, t->in, t->n_in, &t->inputs, err);
	if (r == 0)
		r = frames_alloc(INPUTS, t->out, t->n_out, &t->answers, err);
	if (r == 0)
		r = frames_alloc(1, t->out, t->n_out, &t->expected, err);
	if (r == 0)
		r = alloc_raw(t, err);
	t->tickets = calloc((size_t)t->arg->in_flight, sizeof(*t->tickets));
	if (r == 0 && !t->tickets)
		r = hw_fail(err, -ENOMEM, "no memory");
	for (long i = 0; r == 0 && i < t->arg->in_flight; i++)
		r = alloc_ticket(t, &t->tickets[i], err);
	if (r < 0)
		return r;
	if (!t->reference) {
		frames_fill(t->inputs, t->in, t->n_in);
		return 0;
	}
	return dma_reference_inputs(t->reference, t->arg->model, t->in, t->n_in, t->out, t->n_out, INPUTS,
				    (float *const *)(void *)t->inputs, err);
}

/* ---------------------------------------------------------------------------------- frames */

/* What a chip in software answers for a network that it cannot execute (docs/mock.md). */
static void make_pattern(struct test *t, size_t frame)
{
	for (size_t i = 0; i < t->net->n_outputs; i++) {
		const struct infer_stream *s = &t->net->outputs[i];

		for (size_t b = 0; b < s->stream->transfer; b++)
			t->raw[s->index][b] = (uint8_t)(b * 167 + (b >> 8) * 59 + frame * 31 +
							s->stream->channel * 17u + 5);
	}
	/* On the device's thread, as all that touches the network's host_net after it was loaded. */
	host_net_collect(t->net->host, (const void *const *)t->raw, (void *const *)t->expected, NULL);
}

/* With the lock: compare with the pattern, or with the first answer to the same input, or be that. */
static void take_answer(struct test *t, const struct ticket *k)
{
	bool known = t->pattern || t->answered[k->input], same = true;

	if (t->pattern)
		make_pattern(t, k->frame);
	for (size_t i = 0; i < t->n_out; i++) {
		uint8_t *first = t->answers[k->input * t->n_out + i];

		if (known)
			same = same && !memcmp(t->pattern ? t->expected[i] : first, k->frames[i],
					       t->out[i].frame_bytes);
		if (!t->answered[k->input])
			memcpy(first, k->frames[i], t->out[i].frame_bytes);
		t->user_guards_damaged += damaged_guards(k->outputs[i], t->out[i].frame_bytes);
	}
	t->compared += known;
	t->different += !same;
	t->answered[k->input] = true;
}

static void frame_done(int status, const struct hw_error *err, void *user)
{
	struct ticket *k = user;
	struct test *t = k->test;

	pthread_mutex_lock(&t->lock);
	if (status == 0) {
		t->done++;
		take_answer(t, k);
	} else if (!t->failed++) {
		t->first = *err;
	}
	k->busy = false;
	t->outstanding--;
	pthread_cond_signal(&t->cond);
	pthread_mutex_unlock(&t->lock);
}

static struct ticket *free_ticket(struct test *t)
{
	for (long i = 0; i < t->arg->in_flight; i++) {
		if (!t->tickets[i].busy)
			return &t->tickets[i];
	}
	return NULL;
}

static int run_frames(struct test *t, struct hw_net *net, struct hw_error *err)
{
	uint64_t start = util_now_ns();
	struct progress p;
	long sent = 0;
	int r = 0;

	progress_start(&p, t->opt);
	pthread_mutex_lock(&t->lock);
	while (r == 0 && sent < t->arg->frames && !t->failed && !interrupted()) {
		struct ticket *k = free_ticket(t);
		struct hw_submit s = {.timeout_ms = (uint32_t)t->arg->timeout, .done = frame_done, .user = k};

		if (!k) {
			pthread_cond_wait(&t->cond, &t->lock);
			continue;
		}
		k->busy = true;
		k->frame = (size_t)sent;
		k->input = k->frame % INPUTS;
		t->outstanding++;
		progress_show(&p, "frames", t->done, (size_t)t->arg->frames);
		pthread_mutex_unlock(&t->lock);
		s.inputs = (const void *const *)(t->inputs + k->input * t->n_in);
		s.outputs = k->frames;
		r = hw_net_submit(net, &s, err);
		pthread_mutex_lock(&t->lock);
		if (r == 0) {
			sent++;
			continue;
		}
		k->busy = false;
		t->outstanding--;
		/* The network may have less room than was asked for: then wait for a frame. */
		if (r == -EAGAIN && t->outstanding) {
			pthread_cond_wait(&t->cond, &t->lock);
			r = 0;
		}
	}
	while (t->outstanding)
		pthread_cond_wait(&t->cond, &t->lock);
	pthread_mutex_unlock(&t->lock);
	progress_end(&p);
	t->wall_ns = util_now_ns() - start;
	if (t->failed) {
		*err = t->first;
		return err->code;
	}
	if (r == 0 && interrupted())
		r = hw_fail(err, -EINTR, "ended by signal %d after %zu frames", interrupted(), t->done);
	return r;
}

static int run(struct test *t, struct hw_dev *dev, struct hw_error *err)
{
	enum hw_type type = t->reference ? HW_TYPE_F32 : HW_TYPE_AUTO;
	struct hw_net_options o = {
		.input_type = type,
		.output_type = type,
		.frames_in_flight = (uint32_t)t->arg->in_flight,
	};
	struct hw_error ignored = {0};
	int r = dma_count_prepare(&t->count, dev, err), r2;

	if (r < 0)
		return r;
	r = load_network(t->opt, dev, t->arg->model, &o, &t->net, err);
	if (r == 0)
		r = prepare(t, err);
	if (r == 0)
		r = dma_count_begin(&t->count, t->net, err);
	if (r < 0)
		return r;
	r = run_frames(t, t->net, err);
	/* The first thing that went wrong is the one to tell. */
	r2 = dma_count_end(&t->count, r < 0 ? &ignored : err);
	if (r == 0 && r2 == 0 && dma_memory_measure(t->net, &t->memory) < 0)
		r = hw_fail(err, -ENOMEM, "no memory to read outputs into");
	return r < 0 ? r : r2;
}

/* --------------------------------------------------------------------------------- verdict */

static const struct infer_stream *stream_of(const struct test *t, size_t i)
{
	return i < t->net->n_inputs ? &t->net->inputs[i] : &t->net->outputs[i - t->net->n_inputs];
}

static const struct dma_channel *channel_of(const struct test *t, size_t i)
{
	return &t->count.ch[stream_of(t, i)->stream->channel];
}

static size_t n_streams(const struct test *t)
{
	return t->net->n_inputs + t->net->n_outputs;
}

static uint64_t sum_bytes(const struct test *t, bool input)
{
	uint64_t n = 0;

	for (size_t i = 0; i < n_streams(t); i++)
		n += stream_of(t, i)->stream->input == input ? channel_of(t, i)->done_bytes : 0;
	return n;
}

static uint64_t sum_descs(const struct test *t)
{
	uint64_t n = 0;

	for (size_t i = 0; i < n_streams(t); i++)
		n += channel_of(t, i)->done_descs;
	return n;
}

static void judge_channel(const struct test *t, size_t i, struct verdict *v)
{
	const struct infer_stream *s = stream_of(t, i);
	const struct dma_channel *c = channel_of(t, i);
	uint64_t frames = (uint64_t)t->arg->frames;

	v->counters = v->counters && c->launched == frames && c->finished == frames &&
		      c->done_descs == c->told_descs &&
		      c->told_descs == frames * ceil_div(s->stream->transfer, s->stream->page);
	v->bytes = v->bytes && c->told_bytes == frames * s->stream->transfer &&
		   c->done_bytes == c->told_bytes;
	v->descriptors = v->descriptors && !c->bad_descs;
}

static size_t distinct_answers(const struct test *t)
{
	size_t n = 0;

	for (size_t k = 0; k < INPUTS; k++) {
		bool seen = !t->answered[k];

		for (size_t j = 0; j < k && !seen; j++) {
			seen = t->answered[j];
			for (size_t i = 0; i < t->n_out && seen; i++)
				seen = !memcmp(t->answers[k * t->n_out + i], t->answers[j * t->n_out + i],
					       t->out[i].frame_bytes);
		}
		n += !seen;
	}
	return n;
}

static void judge(const struct test *t, struct verdict *v)
{
	const struct dma_count *c = &t->count;

	*v = (struct verdict){.counters = true, .bytes = true, .descriptors = true, .cosine = 1};
	v->frames = t->done == (size_t)t->arg->frames;
	for (size_t i = 0; i < n_streams(t); i++)
		judge_channel(t, i, v);
	v->guards = !c->guard_damaged && !t->user_guards_damaged;
	/* Descriptors are fetched in bursts, so a chip may read some twice. */
	v->statistics = !c->has_chip ||
			(c->chip_written == sum_bytes(t, false) && !c->chip_faults &&
			 c->chip_read >= sum_bytes(t, true) + sum_descs(t) * CHIP_DESC_SIZE);
	v->checks_data = t->info.software_chip;
	v->integrity = !v->checks_data || !t->different;
	v->distinct = distinct_answers(t);
	for (size_t k = 0; t->reference && k < INPUTS; k++) {
		double cosine, difference;

		if (!t->answered[k])
			continue;
		dma_reference_compare(t->reference, k,
				      (float *const *)(void *)(t->answers + k * t->n_out), &cosine,
				      &difference);
		if (!(cosine >= v->cosine))
			v->cosine = cosine;
		if (!(difference <= v->difference))
			v->difference = difference;
	}
	v->onnx = v->cosine >= COSINE_MIN;
	v->ok = v->frames && v->counters && v->bytes && v->descriptors && v->guards && v->statistics &&
		v->integrity && v->onnx;
}

/* ---------------------------------------------------------------------------------- answer */

#define ONLY_COUNTED "only counted: what a card should have answered is not known here"

static double megabytes_per_second(const struct test *t, bool input)
{
	return t->wall_ns ? (double)sum_bytes(t, input) * 1e3 / (double)t->wall_ns : 0;
}

static const char *word(bool ok)
{
	return ok ? "ok  " : "FAIL";
}

static void print_channels(const struct test *t)
{
	for (size_t i = 0; i < n_streams(t); i++) {
		const struct network_stream *s = stream_of(t, i)->stream;
		const struct dma_channel *c = channel_of(t, i);

		printf("  channel %2u %-14s %" PRIu64 " transfers, %" PRIu64 " of %" PRIu64
		       " descriptors, %" PRIu64 " of %" PRIu64 " bytes  %s\n",
		       s->channel, s->input ? "host to device" : "device to host", c->finished,
		       c->done_descs, c->told_descs, c->done_bytes, c->told_bytes, s->layer->name);
	}
}

static void print_text(const struct test *t, const struct verdict *v)
{
	const struct dma_count *c = &t->count;

	printf("%s on %s (%s%s): %zu frames in %.3f s\n", t->arg->model, t->info.bdf, t->info.arch_name,
	       t->info.software_chip ? " in software" : "", t->done, (double)t->wall_ns / 1e9);
	print_channels(t);
	printf("%s  counters: every transfer finished once, every descriptor was counted\n",
	       word(v->frames && v->counters));
	printf("%s  bytes: descriptors said %" PRIu64 " to and %" PRIu64 " from the device, as the frames "
	       "have\n",
	       word(v->bytes), sum_bytes(t, true), sum_bytes(t, false));
	printf("%s  descriptors: sizes, addresses and control bytes\n", word(v->descriptors));
	printf("%s  guards: %" PRIu64 " bytes around DMA buffers, %" PRIu64 " damaged; around user buffers "
	       "%zu damaged\n",
	       word(v->guards), c->guard_bytes, c->guard_damaged, t->user_guards_damaged);
	if (c->has_chip)
		printf("%s  the chip's own count: %" PRIu64 " bytes read, %" PRIu64 " written, %" PRIu64
		       " faults\n",
		       word(v->statistics), c->chip_read, c->chip_written, c->chip_faults);
	if (v->checks_data)
		printf("%s  data: %zu answers compared with %s, %zu differ; %zu distinct answers to %u "
		       "inputs\n",
		       word(v->integrity), t->compared,
		       t->pattern ? "the software chip's test pattern"
				  : "earlier ones to the same input",
		       t->different, v->distinct, INPUTS);
	else
		puts("      data: " ONLY_COUNTED);
	if (t->reference)
		printf("%s  ONNX: cosine similarity at least %.4f (wanted %.2f), largest difference %.4f\n",
		       word(v->onnx), v->cosine, COSINE_MIN, v->difference);
	printf("reading outputs: %.2f us a frame out of DMA memory, %.2f us out of ordinary memory\n",
	       t->memory.dma_us, t->memory.ordinary_us);
	printf("throughput: %.2f MB/s to the device, %.2f MB/s from it, %.1f frames/s\n",
	       megabytes_per_second(t, true), megabytes_per_second(t, false),
	       t->wall_ns ? (double)t->done * 1e9 / (double)t->wall_ns : 0);
}

static cJSON *channels_json(const struct test *t)
{
	cJSON *a = cJSON_CreateArray();

	for (size_t i = 0; i < n_streams(t); i++) {
		const struct network_stream *s = stream_of(t, i)->stream;
		const struct dma_channel *c = channel_of(t, i);
		cJSON *o = cJSON_CreateObject();

		cJSON_AddNumberToObject(o, "channel", s->channel);
		cJSON_AddStringToObject(o, "direction", s->input ? "host_to_device" : "device_to_host");
		cJSON_AddStringToObject(o, "name", s->layer->name);
		cJSON_AddNumberToObject(o, "transfers", (double)c->launched);
		cJSON_AddNumberToObject(o, "finished", (double)c->finished);
		cJSON_AddNumberToObject(o, "descriptors", (double)c->told_descs);
		cJSON_AddNumberToObject(o, "descriptors_counted", (double)c->done_descs);
		cJSON_AddNumberToObject(o, "descriptors_bad", (double)c->bad_descs);
		cJSON_AddNumberToObject(o, "bytes", (double)c->told_bytes);
		cJSON_AddNumberToObject(o, "bytes_counted", (double)c->done_bytes);
		cJSON_AddItemToArray(a, o);
	}
	return a;
}

static void print_answer_json(const struct test *t, const struct verdict *v)
{
	const struct dma_count *c = &t->count;
	cJSON *o = cJSON_CreateObject(), *x;

	cJSON_AddStringToObject(o, "model", t->arg->model);
	cJSON_AddStringToObject(o, "on", t->info.bdf);
	cJSON_AddStringToObject(o, "function", t->function);
	cJSON_AddBoolToObject(o, "ok", v->ok);
	cJSON_AddNumberToObject(o, "frames", (double)t->done);
	cJSON_AddNumberToObject(o, "seconds", (double)t->wall_ns / 1e9);
	cJSON_AddItemToObject(o, "channels", channels_json(t));
	x = cJSON_AddObjectToObject(o, "checks");
	cJSON_AddBoolToObject(x, "counters", v->frames && v->counters);
	cJSON_AddBoolToObject(x, "bytes", v->bytes);
	cJSON_AddBoolToObject(x, "descriptors", v->descriptors);
	cJSON_AddBoolToObject(x, "guards", v->guards);
	x = cJSON_AddObjectToObject(o, "guards");
	cJSON_AddNumberToObject(x, "dma_bytes", (double)c->guard_bytes);
	cJSON_AddNumberToObject(x, "dma_damaged", (double)c->guard_damaged);
	cJSON_AddNumberToObject(x, "user_damaged", (double)t->user_guards_damaged);
	x = cJSON_AddObjectToObject(o, "megabytes_per_second");
	cJSON_AddNumberToObject(x, "host_to_device", megabytes_per_second(t, true));
	cJSON_AddNumberToObject(x, "device_to_host", megabytes_per_second(t, false));
	x = cJSON_AddObjectToObject(o, "reading_outputs_us");
	cJSON_AddNumberToObject(x, "dma_memory", t->memory.dma_us);
	cJSON_AddNumberToObject(x, "ordinary_memory", t->memory.ordinary_us);
	x = cJSON_AddObjectToObject(o, "chip_statistics");
	cJSON_AddBoolToObject(x, "checked", c->has_chip);
	if (c->has_chip) {
		cJSON_AddBoolToObject(x, "ok", v->statistics);
		cJSON_AddNumberToObject(x, "bytes_read", (double)c->chip_read);
		cJSON_AddNumberToObject(x, "bytes_written", (double)c->chip_written);
		cJSON_AddNumberToObject(x, "faults", (double)c->chip_faults);
	}
	x = cJSON_AddObjectToObject(o, "data");
	cJSON_AddBoolToObject(x, "checked", v->checks_data);
	if (v->checks_data) {
		cJSON_AddBoolToObject(x, "ok", v->integrity);
		cJSON_AddNumberToObject(x, "compared", (double)t->compared);
		cJSON_AddNumberToObject(x, "different", (double)t->different);
		cJSON_AddNumberToObject(x, "inputs", INPUTS);
		cJSON_AddNumberToObject(x, "distinct_answers", (double)v->distinct);
	} else {
		cJSON_AddStringToObject(x, "why", ONLY_COUNTED);
	}
	if (t->reference) {
		x = cJSON_AddObjectToObject(o, "onnx");
		cJSON_AddBoolToObject(x, "ok", v->onnx);
		cJSON_AddNumberToObject(x, "cosine", v->cosine);
		cJSON_AddNumberToObject(x, "largest_difference", v->difference);
	}
	print_json(o);
}

int dma_test_on(const struct options *opt, struct hw_dev *dev, const char *model, long frames,
		struct dma_outcome *out, struct hw_error *err)
{
	struct arguments a = {.model = model, .frames = frames, .in_flight = 8, .timeout = 10000};
	struct test t = {
		.opt = opt,
		.arg = &a,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.cond = PTHREAD_COND_INITIALIZER,
	};
	struct hw_net_stats stats = {0};
	struct verdict v;
	int r;

	hw_dev_get_info(dev, &t.info);
	r = run(&t, dev, err);
	if (r == 0) {
		judge(&t, &v);
		hw_net_get_stats(t.net, &stats);
		*out = (struct dma_outcome){
			.frames = t.done,
			.compared = t.compared,
			.different = t.different,
			.bytes_in = sum_bytes(&t, true),
			.bytes_out = sum_bytes(&t, false),
			.interrupts = stats.interrupts,
			.interrupts_missed = stats.interrupts_missed,
			.frames_per_second = t.wall_ns ? (double)t.done * 1e9 / (double)t.wall_ns : 0,
			.dma_ok = v.frames && v.counters && v.bytes && v.descriptors && v.guards && v.statistics,
		};
		memcpy(out->function, t.function, sizeof(out->function));
	}
	hw_net_free(t.net);
	free_test(&t);
	return r;
}

int cmd_dma_test(const struct options *opt, int argc, char **argv)
{
	struct arguments a = {.frames = 200, .in_flight = 8, .timeout = 10000};
	struct test t = {
		.opt = opt,
		.arg = &a,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.cond = PTHREAD_COND_INITIALIZER,
	};
	int status = EXIT_FAILED, r = parse(argc, argv, &a);
	struct hw_dev *dev = NULL;
	struct hw_error err = {0};

	if (r != EXIT_OK)
		return r;
	r = a.onnx ? dma_reference_open(a.onnx, &t.reference, &err) : 0;
	if (r == 0) {
		dev = open_device(opt, false, &status);
		if (!dev)
			goto out;
		hw_dev_get_info(dev, &t.info);
		r = run(&t, dev, &err);
	}
	if (r < 0) {
		status = report(opt, r, &err);
	} else {
		struct verdict v;

		judge(&t, &v);
		if (opt->json)
			print_answer_json(&t, &v);
		else
			print_text(&t, &v);
		status = v.ok ? EXIT_OK : EXIT_FAILED;
	}
out:
	hw_net_free(t.net);
	hw_dev_close(dev);
	free_test(&t);
	return status;
}
