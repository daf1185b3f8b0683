// SPDX-License-Identifier: MIT
/* hwctl stress: many threads, every answer checked, and what became of the chip meanwhile. */
#include "hwctl/dma_test.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#define FRAMES_MAX 1000000000000L
#define SECONDS_MAX 31536000L
#define THREADS_MAX 64
#define INPUTS 8u
#define PATTERNS 256u /* a software chip's test pattern repeats after so many frames (docs/mock.md) */
#define RESETS_MAX 100
#define COSINE_MIN 0.95
#define SAMPLE_NS 1000000000u

struct arguments {
	const char *model, *onnx;
	char standard[PATH_MAX];
	long seconds, frames, threads, timeout;
};

struct stress {
	const struct options *opt;
	const struct arguments *arg;
	struct hw_dev *dev;
	struct hw_dev_info info;
	struct dma_reference *reference; /* NULL: none */
	pthread_rwlock_t net_lock;       /* workers read; whoever puts another network in place writes */
	struct hw_net *net;
	unsigned int loads;              /* so far: which one @net comes from */
	uint64_t interrupts_missed;      /* of networks that are gone */
	struct hw_tensor_info in[32], out[32];
	size_t n_in, n_out;
	uint8_t **inputs;                /* INPUTS x n_in */
	uint64_t expected[PATTERNS];     /* hash of the right answer to each input, or of each pattern */
	size_t n_expected;
	bool pattern;
	char function[128];
	double cosine;                   /* worst of the first answers with the CPU's, with --onnx */
	atomic_llong sent;               /* frames given out to threads */
	atomic_ullong done, wrong, lost;
	atomic_bool stop;
	uint64_t start_ns, wall_ns, end_ns;
	unsigned int resets;
	float hottest, coolest;
	pthread_mutex_t lock;            /* the next two */
	struct hw_error first, fatal;    /* why the first frame was lost; why there is no going on */
};

static int parse(int argc, char **argv, struct arguments *a)
{
	const struct own_option known[] = {
		{"--seconds", .number = &a->seconds, .min = 1, .max = SECONDS_MAX},
		{"--frames", .number = &a->frames, .min = 1, .max = FRAMES_MAX},
		{"--threads", .number = &a->threads, .min = 1, .max = THREADS_MAX},
		{"--timeout", .number = &a->timeout, .min = 1, .max = FRAME_TIMEOUT_MAX},
		{"--onnx", .text = &a->onnx},
		{0},
	};
	int r = read_options("stress", argc, argv, known, &a->model);

	if (r != EXIT_OK)
		return r;
	if (!a->model)
		a->model = host_default_model(a->standard);
	if (!a->seconds && !a->frames)
		a->seconds = 10;
	return EXIT_OK;
}

/* ---------------------------------------------------------------------------------- network */

static int load(struct stress *s, struct hw_error *err)
{
	enum hw_type type = s->reference ? HW_TYPE_F32 : HW_TYPE_AUTO;
	struct hw_net_options o = {
		.input_type = type,
		.output_type = type,
		.frames_in_flight = (uint32_t)s->arg->threads,
	};

	s->loads++;
	return load_network(s->opt, s->dev, s->arg->model, &o, &s->net, err);
}

/*
 * With the write lock.  The network died: reset, load, go on with the frames that are left.  @seen is
 * the load that the caller saw die; another thread may have been here before, and the next network may
 * have got the memory of the last one.
 */
static void recover(struct stress *s, unsigned int seen)
{
	struct hw_net_stats stats;
	struct hw_error err = {0};
	int r = 0;

	if (s->loads != seen || !s->net || atomic_load(&s->stop))
		return;
	hw_net_get_stats(s->net, &stats);
	s->interrupts_missed += stats.interrupts_missed;
	hw_net_free(s->net);
	s->net = NULL;
	if (++s->resets > RESETS_MAX)
		r = hw_fail(&err, -EIO, "%d resets did not help", RESETS_MAX);
	if (r == 0)
		r = hw_dev_reset(s->dev, &err);
	if (r == 0)
		r = load(s, &err);
	if (r == 0)
		return;
	pthread_mutex_lock(&s->lock);
	s->fatal = err;
	s->fatal.code = r;
	pthread_mutex_unlock(&s->lock);
	atomic_store(&s->stop, true);
}

/* ----------------------------------------------------------------------------------- frames */

static uint64_t hash(const struct stress *s, uint8_t *const *outputs)
{
	XXH3_state_t *x = XXH3_createState();
	uint64_t h;

	if (!x)
		return 0;
	XXH3_64bits_reset(x);
	for (size_t i = 0; i < s->n_out; i++)
		XXH3_64bits_update(x, outputs[i], s->out[i].frame_bytes);
	h = XXH3_64bits_digest(x);
	XXH3_freeState(x);
	return h;
}

static bool is_right(const struct stress *s, size_t input, uint64_t h)
{
	/* Which pattern a frame gets depends on the order in which threads came: any of them will do. */
	for (size_t i = 0; s->pattern && i < s->n_expected; i++) {
		if (s->expected[i] == h)
			return true;
	}
	return !s->pattern && s->expected[input] == h;
}

static void lost_one(struct stress *s, const struct hw_error *err)
{
	pthread_mutex_lock(&s->lock);
	if (atomic_fetch_add(&s->lost, 1) == 0)
		s->first = *err;
	pthread_mutex_unlock(&s->lock);
}

/* Run frame @n.  The load that its network came from, when that is dead now; else 0. */
static unsigned int run_one(struct stress *s, long long n, uint8_t **outputs)
{
	size_t input = (size_t)n % INPUTS;
	struct hw_error err = {0};
	unsigned int dead = 0;
	int r;

	pthread_rwlock_rdlock(&s->net_lock);
	if (!s->net) {
		pthread_rwlock_unlock(&s->net_lock);
		lost_one(s, &s->fatal);
		return 0;
	}
	r = hw_net_run(s->net, (const void *const *)(s->inputs + input * s->n_in), (void *const *)outputs,
		       (uint32_t)s->arg->timeout, &err);
	if (r < 0 && hw_net_state(s->net, NULL) < 0)
		dead = s->loads;
	pthread_rwlock_unlock(&s->net_lock);
	if (r < 0) {
		lost_one(s, &err);
		return dead;
	}
	if (!is_right(s, input, hash(s, outputs)))
		atomic_fetch_add(&s->wrong, 1);
	atomic_fetch_add(&s->done, 1);
	return 0;
}

static bool over(const struct stress *s)
{
	return atomic_load(&s->stop) || interrupted() || (s->end_ns && util_now_ns() >= s->end_ns);
}

static void *worker(void *arg)
{
	struct stress *s = arg;
	struct hw_error err;
	uint8_t **outputs;
	int r = frames_alloc(1, s->out, s->n_out, &outputs, &err);

	while (r == 0 && !over(s)) {
		long long n = atomic_fetch_add(&s->sent, 1);
		unsigned int dead;

		if (s->arg->frames && n >= s->arg->frames)
			break;
		dead = run_one(s, n, outputs);
		if (dead) {
			pthread_rwlock_wrlock(&s->net_lock);
			recover(s, dead);
			pthread_rwlock_unlock(&s->net_lock);
		}
	}
	if (r < 0)
		lost_one(s, &err);
	frames_free(outputs);
	return NULL;
}

static void sample_temperature(struct stress *s)
{
	float ts[2];

	if (hw_dev_temperature(s->dev, &ts[0], &ts[1], NULL) < 0)
		return;
	s->hottest = fmaxf(s->hottest, fmaxf(ts[0], ts[1]));
	s->coolest = fminf(s->coolest, fminf(ts[0], ts[1]));
}

static void watch(struct stress *s)
{
	size_t total = s->arg->frames ? (size_t)s->arg->frames : (size_t)s->arg->seconds;
	uint64_t next = util_now_ns() + SAMPLE_NS;
	struct progress p;

	progress_start(&p, s->opt);
	while (!over(s) && (!s->arg->frames || atomic_load(&s->sent) < s->arg->frames)) {
		uint64_t now = util_now_ns();

		if (now >= next) {
			sample_temperature(s);
			next = now + SAMPLE_NS;
		}
		if (s->arg->frames)
			progress_show(&p, "frames", (size_t)atomic_load(&s->done), total);
		else
			progress_show(&p, "seconds", (size_t)((now - s->start_ns) / 1000000000u), total);
		nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	}
	progress_end(&p);
}

/* The right answers: those to the same input when nothing else was under way. */
static int learn(struct stress *s, struct hw_error *err)
{
	size_t n = s->pattern ? PATTERNS : INPUTS;
	struct progress p;
	uint8_t **outputs;
	int r = frames_alloc(1, s->out, s->n_out, &outputs, err);

	progress_start(&p, s->opt);
	for (size_t k = 0; r == 0 && k < n && !interrupted(); k++) {
		const void *const *in = (const void *const *)(s->inputs + k % INPUTS * s->n_in);
		double cosine, difference;

		r = hw_net_run(s->net, in, (void *const *)outputs, (uint32_t)s->arg->timeout, err);
		if (r < 0)
			break;
		s->expected[s->n_expected++] = hash(s, outputs);
		progress_show(&p, "first answers", k, n);
		if (!s->reference)
			continue;
		dma_reference_compare(s->reference, k, (float *const *)(void *)outputs, &cosine, &difference);
		if (!(cosine >= s->cosine))
			s->cosine = cosine;
	}
	progress_end(&p);
	frames_free(outputs);
	if (r == 0 && interrupted())
		r = hw_fail(err, -EINTR, "ended by signal %d", interrupted());
	return r;
}

static int prepare(struct stress *s, struct hw_error *err)
{
	const struct hw_tensor_info *in, *out;
	int r;

	in = hw_net_inputs(s->net, &s->n_in);
	out = hw_net_outputs(s->net, &s->n_out);
	if (s->n_in > ARRAY_SIZE(s->in) || s->n_out > ARRAY_SIZE(s->out))
		return hw_fail(err, -ENOTSUP, "more than %zu inputs or outputs", ARRAY_SIZE(s->in));
	memcpy(s->in, in, s->n_in * sizeof(*in));
	memcpy(s->out, out, s->n_out * sizeof(*out));
	snprintf(s->function, sizeof(s->function), "%s", hw_net_function(s->net));
	s->pattern = strcmp(s->function, "pattern") == 0;
	r = frames_alloc(INPUTS, s->in, s->n_in, &s->inputs, err);
	if (r < 0)
		return r;
	if (s->reference)
		return dma_reference_inputs(s->reference, s->arg->model, s->in, s->n_in, s->out, s->n_out,
					    INPUTS, (float *const *)(void *)s->inputs, err);
	frames_fill(s->inputs, s->in, s->n_in);
	return 0;
}

static int run(struct stress *s, struct hw_error *err)
{
	pthread_t threads[THREADS_MAX];
	struct hw_net_stats stats = {0};
	long n = 0;
	int r = load(s, err);

	if (r == 0)
		r = prepare(s, err);
	if (r == 0)
		r = learn(s, err);
	if (r < 0)
		return r;
	sample_temperature(s);
	s->start_ns = util_now_ns();
	s->end_ns = s->arg->seconds ? s->start_ns + (uint64_t)s->arg->seconds * 1000000000u : 0;
	while (r == 0 && n < s->arg->threads) {
		r = -pthread_create(&threads[n], NULL, worker, s);
		if (r == 0)
			n++;
	}
	if (r == 0)
		watch(s);
	else
		atomic_store(&s->stop, true);
	for (long i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	s->wall_ns = util_now_ns() - s->start_ns;
	sample_temperature(s);
	if (s->net)
		hw_net_get_stats(s->net, &stats);
	s->interrupts_missed += stats.interrupts_missed;
	return r < 0 ? hw_fail(err, r, "cannot start thread %ld: %s", n + 1, strerror(-r)) : 0;
}

/* ----------------------------------------------------------------------------------- answer */

static bool is_ok(struct stress *s)
{
	return !atomic_load(&s->wrong) && !atomic_load(&s->lost) && !s->fatal.code && s->cosine >= COSINE_MIN &&
	       atomic_load(&s->done);
}

static double rate(struct stress *s)
{
	return s->wall_ns ? (double)atomic_load(&s->done) * 1e9 / (double)s->wall_ns : 0;
}

static void print_text(struct stress *s)
{
	printf("%s on %s (%s%s): %llu frames in %.1f s by %ld threads, %.1f frames/s, answers by %s\n",
	       s->arg->model, s->info.bdf, s->info.arch_name, s->info.software_chip ? " in software" : "",
	       (unsigned long long)atomic_load(&s->done), (double)s->wall_ns / 1e9, s->arg->threads, rate(s),
	       s->function);
	printf("%s  answers: %llu wrong, %llu lost\n", is_ok(s) ? "ok  " : "FAIL",
	       (unsigned long long)atomic_load(&s->wrong), (unsigned long long)atomic_load(&s->lost));
	if (s->first.text[0])
		printf("      the first that was lost: %s\n", s->first.text);
	if (s->fatal.text[0])
		printf("      ended because: %s\n", s->fatal.text);
	if (s->reference)
		printf("      first answers and the CPU's: cosine similarity at least %.4f (wanted %.2f)\n", s->cosine,
		       COSINE_MIN);
	printf("      resets: %u, interrupts missed: %llu\n", s->resets,
	       (unsigned long long)s->interrupts_missed);
	if (s->hottest >= s->coolest)
		printf("      temperature: %.1f to %.1f degrees Celsius\n", (double)s->coolest, (double)s->hottest);
}

static void print_answer_json(struct stress *s)
{
	cJSON *o = cJSON_CreateObject(), *a;

	cJSON_AddStringToObject(o, "model", s->arg->model);
	cJSON_AddStringToObject(o, "on", s->info.bdf);
	cJSON_AddStringToObject(o, "function", s->function);
	cJSON_AddBoolToObject(o, "ok", is_ok(s));
	cJSON_AddNumberToObject(o, "threads", (double)s->arg->threads);
	cJSON_AddNumberToObject(o, "frames", (double)atomic_load(&s->done));
	cJSON_AddNumberToObject(o, "seconds", (double)s->wall_ns / 1e9);
	cJSON_AddNumberToObject(o, "frames_per_second", rate(s));
	cJSON_AddNumberToObject(o, "wrong", (double)atomic_load(&s->wrong));
	cJSON_AddNumberToObject(o, "lost", (double)atomic_load(&s->lost));
	cJSON_AddStringToObject(o, "first_loss", s->first.text);
	cJSON_AddStringToObject(o, "ended_because", s->fatal.text);
	cJSON_AddNumberToObject(o, "resets", s->resets);
	cJSON_AddNumberToObject(o, "interrupts_missed", (double)s->interrupts_missed);
	a = cJSON_AddArrayToObject(o, "celsius");
	if (s->hottest >= s->coolest) {
		cJSON_AddItemToArray(a, cJSON_CreateNumber(round((double)s->coolest * 100) / 100));
		cJSON_AddItemToArray(a, cJSON_CreateNumber(round((double)s->hottest * 100) / 100));
	}
	if (s->reference)
		cJSON_AddNumberToObject(o, "cosine", s->cosine);
	print_json(o);
}

int cmd_stress(const struct options *opt, int argc, char **argv)
{
	struct arguments a = {.threads = 4, .timeout = 10000};
	struct stress s = {
		.opt = opt,
		.arg = &a,
		.net_lock = PTHREAD_RWLOCK_INITIALIZER,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.cosine = 1,
		.hottest = -INFINITY,
		.coolest = INFINITY,
	};
	int status = EXIT_FAILED, r = parse(argc, argv, &a);
	struct hw_error err = {0};

	if (r != EXIT_OK)
		return r;
	r = a.onnx ? dma_reference_open(a.onnx, &s.reference, &err) : 0;
	if (r == 0) {
		s.dev = open_device(opt, false, &status);
		if (!s.dev)
			goto out;
		hw_dev_get_info(s.dev, &s.info);
		r = run(&s, &err);
	}
	if (r < 0) {
		status = report(opt, r, &err);
	} else {
		if (opt->json)
			print_answer_json(&s);
		else
			print_text(&s);
		status = is_ok(&s) ? EXIT_OK : EXIT_FAILED;
	}
out:
	hw_net_free(s.net);
	hw_dev_close(s.dev);
	frames_free(s.inputs);
	dma_reference_free(s.reference);
	return status;
}
