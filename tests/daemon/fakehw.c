// SPDX-License-Identifier: MIT
/*
 * The public API of hwlayer without a chip, so that the daemon's HTTP side can be driven into
 * every corner.  One "network": latent[j] = input[(13 j + 5) mod 900], and, when the "HEF" asks for
 * a head, scores[m] = input[9 m] / 100.
 *
 * HEF text:  "FAKE plain", "FAKE head M", anything else is not a HEF.
 * Environment:  FAKE_DELAY_US  time of a frame
 *               FAKE_OPEN_FAILS  how many openings fail with -ENODEV first
 *               FAKE_FUNCTION  what hw_net_function() says, "core" when unset
 *               FAKE_LOAD_FAILS  how many loads fail with -EIO after the first that worked
 * First input value of a window:  401 the frame fails with -EIO and the network is dead
 *                                 402 the frame is never finished; the network dies of its timeout
 *                                 403 the frame takes 400 ms
 *                                 404 the first latent is not a number
 *                                 405 as 401, but the device is gone
 *                                 406 the frame takes 2 s
 */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <hwlayer/hwlayer.h>

#define SLOTS_MAX 32
#define VALUES 900
#define LATENT 64

struct hw_dev {
	int unused;
};

struct frame {
	float input[VALUES];
	void *outputs[2];
	hw_done_fn done;
	void *user;
	uint32_t timeout_ms;
};

struct hw_net {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool stop;
	int dead;
	uint32_t motifs, slots;
	size_t n_outputs;
	struct hw_tensor_info input, outputs[2];
	struct frame ring[SLOTS_MAX];
	uint32_t head, count;
	struct hw_net_stats stats;
};

static int loads_that_worked;

static int from_env(const char *name)
{
	const char *v = getenv(name);

	return v ? atoi(v) : 0;
}

static int complain(struct hw_error *err, int code, const char *text)
{
	err->code = code;
	snprintf(err->text, sizeof(err->text), "%s", text);
	return code;
}

int hw_dev_open(const struct hw_dev_options *opt, struct hw_dev **out, struct hw_error *err)
{
	static int opened;

	if (strcmp(opt->device, "auto") == 0)
		return complain(err, -ENODEV, "no Hailo card found on the PCI bus");
	if (opened++ < from_env("FAKE_OPEN_FAILS"))
		return complain(err, -ENODEV, "the card does not answer \"yet\"");
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : -ENOMEM;
}

void hw_dev_close(struct hw_dev *dev)
{
	free(dev);
}

void hw_dev_get_info(const struct hw_dev *dev, struct hw_dev_info *info)
{
	(void)dev;
	*info = (struct hw_dev_info){.backend = "mock",
				     .bdf = "mock",
				     .software_chip = true,
				     .booted = true,
				     .arch = HW_ARCH_HAILO8,
				     .arch_name = "hailo8",
				     .fw_major = 4};
}

int hw_dev_temperature(struct hw_dev *dev, float *ts0, float *ts1, struct hw_error *err)
{
	(void)dev;
	(void)err;
	*ts0 = 41.5f;
	*ts1 = 42.25f;
	return 0;
}

static void pause_us(long us)
{
	struct timespec t = {us / 1000000, us % 1000000 * 1000};

	nanosleep(&t, NULL);
}

/* Wait as the chip would, but notice the order to stop. */
static bool stopped_within(struct hw_net *net, long ms)
{
	bool stop = false;

	for (long i = 0; i < ms && !stop; i++) {
		pause_us(1000);
		pthread_mutex_lock(&net->lock);
		stop = net->stop;
		pthread_mutex_unlock(&net->lock);
	}
	return stop;
}

static int compute(struct hw_net *net, struct frame *f, int *dead)
{
	float *latent = f->outputs[0], *scores = f->outputs[1];

	for (int j = 0; j < LATENT; j++)
		latent[j] = f->input[(13 * j + 5) % VALUES];
	for (uint32_t m = 0; m < net->motifs; m++)
		scores[m] = f->input[9 * m] / 100.0f;
	switch ((int)f->input[0]) {
	case 401:
		return *dead = -EIO;
	case 402:
		if (stopped_within(net, (long)f->timeout_ms))
			return -ECANCELED;
		return *dead = -ETIMEDOUT;
	case 403:
		stopped_within(net, 400);
		return 0;
	case 406:
		stopped_within(net, 2000);
		return 0;
	case 404:
		latent[0] = NAN;
		return 0;
	case 405:
		return *dead = -ENODEV;
	default:
		pause_us(from_env("FAKE_DELAY_US"));
		return 0;
	}
}

static void *chip(void *arg)
{
	struct hw_net *net = arg;
	struct hw_error err = {-EIO, "the chip reported \"an error\""};

	pthread_mutex_lock(&net->lock);
	while (!net->stop || net->count) {
		struct frame f;
		int status, dead = 0;

		if (!net->count) {
			pthread_cond_wait(&net->cond, &net->lock);
			continue;
		}
		f = net->ring[net->head];
		status = net->dead || net->stop ? -ECANCELED : 0;
		pthread_mutex_unlock(&net->lock);
		if (!status)
			status = compute(net, &f, &dead);
		pthread_mutex_lock(&net->lock);
		if (dead)
			net->dead = dead;
		if (status)
			net->stats.failed++;
		else
			net->stats.completed++;
		pthread_mutex_unlock(&net->lock);
		f.done(status, &err, f.user);
		pthread_mutex_lock(&net->lock);
		/* Given back after the callback, as the library does. */
		net->head = (net->head + 1) % net->slots;
		net->count--;
	}
	pthread_mutex_unlock(&net->lock);
	return NULL;
}

static void tensor(struct hw_tensor_info *t, const char *name, uint32_t elements)
{
	snprintf(t->name, sizeof(t->name), "%s", name);
	t->type = HW_TYPE_F32;
	t->elements = elements;
	t->frame_bytes = elements * sizeof(float);
}

int hw_net_load_mem(struct hw_dev *dev, const void *hef, size_t len,
		    const struct hw_net_options *opt, struct hw_net **out, struct hw_error *err)
{
	char text[32] = "";
	struct hw_net *net;

	(void)dev;
	memcpy(text, hef, len < sizeof(text) ? len : sizeof(text) - 1);
	if (strncmp(text, "FAKE", 4) != 0)
		return complain(err, -EBADMSG, "this is not a HEF: it is a dummy text");
	if (loads_that_worked && loads_that_worked <= from_env("FAKE_LOAD_FAILS")) {
		loads_that_worked++;
		return complain(err, -EIO, "the firmware refused the network");
	}
	if (!loads_that_worked)
		loads_that_worked = 1;
	net = calloc(1, sizeof(*net));
	if (!net)
		return -ENOMEM;
	sscanf(text, "FAKE head %u", &net->motifs);
	net->slots = opt->frames_in_flight;
	net->n_outputs = net->motifs ? 2 : 1;
	tensor(&net->input, "fake/input_layer1", VALUES);
	tensor(&net->outputs[0], "fake/latent_embeddings", LATENT);
	tensor(&net->outputs[1], "fake/motif_scores", net->motifs);
	pthread_mutex_init(&net->lock, NULL);
	pthread_cond_init(&net->cond, NULL);
	if (pthread_create(&net->thread, NULL, chip, net)) {
		free(net);
		return -EAGAIN;
	}
	*out = net;
	return 0;
}

void hw_net_free(struct hw_net *net)
{
	if (!net)
		return;
	pthread_mutex_lock(&net->lock);
	net->stop = true;
	pthread_cond_signal(&net->cond);
	pthread_mutex_unlock(&net->lock);
	pthread_join(net->thread, NULL);
	pthread_cond_destroy(&net->cond);
	pthread_mutex_destroy(&net->lock);
	free(net);
}

const char *hw_net_function(const struct hw_net *net)
{
	const char *v = getenv("FAKE_FUNCTION");

	(void)net;
	return v ? v : "core";
}

const struct hw_tensor_info *hw_net_inputs(const struct hw_net *net, size_t *count)
{
	*count = 1;
	return &net->input;
}

const struct hw_tensor_info *hw_net_outputs(const struct hw_net *net, size_t *count)
{
	*count = net->n_outputs;
	return net->outputs;
}

int hw_net_submit(struct hw_net *net, const struct hw_submit *frame, struct hw_error *err)
{
	struct frame *f;
	int r = 0;

	pthread_mutex_lock(&net->lock);
	if (net->dead) {
		r = complain(err, net->dead, "the network is dead");
	} else if (net->count == net->slots) {
		r = -EAGAIN;
	} else {
		f = &net->ring[(net->head + net->count++) % net->slots];
		memcpy(f->input, frame->inputs[0], sizeof(f->input));
		memcpy(f->outputs, frame->outputs, net->n_outputs * sizeof(void *));
		f->done = frame->done;
		f->user = frame->user;
		f->timeout_ms = frame->timeout_ms;
		net->stats.submitted++;
		pthread_cond_signal(&net->cond);
	}
	pthread_mutex_unlock(&net->lock);
	return r;
}

void hw_net_get_stats(struct hw_net *net, struct hw_net_stats *stats)
{
	pthread_mutex_lock(&net->lock);
	*stats = net->stats;
	stats->in_flight = net->count;
	pthread_mutex_unlock(&net->lock);
}

int hw_net_state(struct hw_net *net, struct hw_error *err)
{
	int r;

	pthread_mutex_lock(&net->lock);
	r = net->dead;
	pthread_mutex_unlock(&net->lock);
	return r ? complain(err, r, "the chip stopped \"answering\"") : 0;
}
