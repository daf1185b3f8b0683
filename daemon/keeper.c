// SPDX-License-Identifier: MIT
/*
 * The engine's keeper: the one thread that opens the device, loads the network, watches over both
 * and brings them back after a fault.  Blocking calls of the library happen here only.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine_internal.h"
#include "log.h"

#define NS_PER_S 1000000000ull
#define WATCH_NS NS_PER_S /* between two looks at a healthy network */
#define TEMPERATURE_NS (10 * NS_PER_S)
#define RETRY_MIN_NS (NS_PER_S / 2) /* doubled after each failed attempt, up to the next */
#define RETRY_MAX_NS (5 * NS_PER_S)

static void set_state(struct engine *e, enum engine_state state, const char *detail)
{
	pthread_mutex_lock(&e->lock);
	e->state = state;
	snprintf(e->detail, sizeof(e->detail), "%s", detail);
	pthread_mutex_unlock(&e->lock);
}

/* Sleep until @ns from now, a suspicion or the order to stop; true for the last. */
static bool keeper_sleep(struct engine *e, uint64_t ns, bool wake_on_suspect)
{
	uint64_t until = engine_now_ns() + ns;
	struct timespec at = {(time_t)(until / NS_PER_S), (long)(until % NS_PER_S)};
	bool stop;

	pthread_mutex_lock(&e->lock);
	while (!e->stop && !(wake_on_suspect && e->suspect))
		if (pthread_cond_timedwait(&e->keeper_cv, &e->lock, &at) == ETIMEDOUT)
			break;
	stop = e->stop;
	pthread_mutex_unlock(&e->lock);
	return stop;
}

/*
 * A name that outlives the device: answers carry it from any thread.  @function: see
 * hw_net_function(); NULL while no network is loaded.
 */
static const char *backend_name(const char *name, const char *function)
{
	static const char *const known[] = {"mock", "vfio", "uio"};

	if (function && strcmp(function, "pattern") == 0)
		return "mock; pattern";
	if (function && strncmp(function, "onnx:", 5) == 0)
		return "mock; onnx";
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i], name) == 0)
			return known[i];
	return "unknown";
}

static void close_device(struct engine *e)
{
	struct hw_dev *dev = e->dev;

	e->dev = NULL;
	pthread_mutex_lock(&e->lock);
	e->opened = false;
	e->has_temperature = false;
	pthread_mutex_unlock(&e->lock);
	__atomic_store_n(&e->backend, "none", __ATOMIC_RELAXED);
	hw_dev_close(dev);
}

static int open_device(struct engine *e, struct hw_error *err)
{
	struct hw_dev_options opt = {
	    .device = e->cfg->device,
	    .mock_onnx = e->cfg->mock_onnx[0] ? e->cfg->mock_onnx : NULL,
	    .unsafe_no_iommu = e->cfg->unsafe_no_iommu,
	    .cached_dma = e->cfg->cached_dma,
	    /* The chip that comes after the faulty one is healthy. */
	    .mock_faults = e->cfg->mock_faults[0] && !e->attempts ? e->cfg->mock_faults : NULL,
	};
	struct hw_dev_info info;
	int r;

	if (opt.mock_faults)
		log_warning("faults ordered of the chip in software: %s", opt.mock_faults);
	e->attempts++;
	r = hw_dev_open(&opt, &e->dev, err);
	if (r)
		return r;
	hw_dev_get_info(e->dev, &info);
	pthread_mutex_lock(&e->lock);
	e->info = info;
	e->opened = true;
	pthread_mutex_unlock(&e->lock);
	__atomic_store_n(&e->backend, backend_name(info.backend, NULL), __ATOMIC_RELAXED);
	if (info.software_chip)
		log_warning("%s is a chip in software, not an accelerator", info.bdf);
	log_info("opened %s: %s, firmware %u.%u.%u, backend %s%s%s", info.bdf, info.arch_name,
		 info.fw_major, info.fw_minor, info.fw_revision, info.backend,
		 info.iommu[0] ? ", IOMMU " : "", info.iommu);
	return 0;
}

static int take_outputs(struct engine *e, struct hw_net *net, struct hw_error *err)
{
	const struct hw_tensor_info *o = hw_net_outputs(net, &e->n_outputs);
	int r;

	if (e->n_outputs > ENGINE_OUTPUTS) {
		snprintf(err->text, sizeof(err->text),
			 "the network has %zu outputs, at most %d can "
			 "be served",
			 e->n_outputs, ENGINE_OUTPUTS);
		return -EINVAL;
	}
	r = model_match(e->model, net, &e->outputs, err);
	if (r)
		return r;
	e->scratch_bytes = 0;
	for (size_t i = 0; i < e->n_outputs; i++) {
		e->output_bytes[i] = o[i].frame_bytes;
		if ((int)i != e->outputs.latent && (int)i != e->outputs.scores)
			e->scratch_bytes += o[i].frame_bytes;
	}
	return 0;
}

static int load_network(struct engine *e, struct hw_error *err)
{
	struct hw_net_options opt = {
	    .input_type = HW_TYPE_F32,
	    .output_type = HW_TYPE_F32,
	    /* One to spare: a slot is given back only after frame_done() returned. */
	    .frames_in_flight = ENGINE_SLOTS + 1,
	};
	struct hw_net *net;
	int r = hw_net_load_mem(e->dev, e->model->hef, e->model->hef_len, &opt, &net, err);

	if (r)
		return r;
	r = take_outputs(e, net, err);
	if (r) {
		hw_net_free(net);
		return r;
	}
	log_info("loaded %s (%s, sha256 %.16s)", e->model->manifest->name, e->model->hef_path,
		 e->model->sha256);
	__atomic_store_n(&e->backend, backend_name(e->info.backend, hw_net_function(net)),
			 __ATOMIC_RELAXED);
	pthread_mutex_lock(&e->lock);
	e->net = net;
	snprintf(e->function, sizeof(e->function), "%s", hw_net_function(net));
	e->death = 0;
	e->suspect = false;
	e->starved = false;
	e->utilization = 0.0f;
	e->n_busy = 0;
	e->state = ENGINE_READY;
	e->detail[0] = 0;
	pthread_mutex_unlock(&e->lock);
	return 0;
}

/* Take the network away from the submitters and from the chip. */
static void unload_network(struct engine *e, int death, enum engine_state state, const char *why)
{
	struct wakes w = {0};
	struct hw_net *net;

	pthread_mutex_lock(&e->lock);
	e->state = state;
	e->death = death;
	snprintf(e->detail, sizeof(e->detail), "%s", why);
	while (e->submitting)
		pthread_cond_wait(&e->calm_cv, &e->lock);
	engine_flush(e, &w, -ENODEV, why);
	net = e->net;
	e->net = NULL;
	pthread_mutex_unlock(&e->lock);
	engine_wake(&w);
	hw_net_free(net); /* frames on the chip come back through frame_done() */
}

/* One attempt: device, then network.  *@hopeless: the device works, the model will never. */
static int bring_up(struct engine *e, bool *hopeless, struct hw_error *err)
{
	int r;

	*hopeless = false;
	if (e->dev) {
		r = load_network(e, err);
		if (!r)
			return 0;
		log_info("the chip does not take the network, it is booted anew: %s", err->text);
		close_device(e);
	}
	r = open_device(e, err);
	if (r)
		return r;
	r = load_network(e, err);
	if (r) {
		*hopeless = r == -EBADMSG || r == -ENOTSUP || r == -EINVAL;
		close_device(e);
	}
	return r;
}

/* Until the network runs; true when stopped before that.  @cause: what died, NULL at the start. */
static bool bring_up_patiently(struct engine *e, const char *cause)
{
	uint64_t pause = RETRY_MIN_NS;
	char last[480] = "";

	for (;;) {
		struct hw_error err = {0};
		char why[480];
		bool hopeless;
		int r = bring_up(e, &hopeless, &err);

		if (!r)
			return false;
		snprintf(why, sizeof(why), "%s%.200s%s%.240s%s", cause ? "Recovering: " : "",
			 cause ? cause : "", cause ? " (and then: " : "",
			 err.text[0] ? err.text : strerror(-r), cause ? ")" : "");
		set_state(e, cause ? ENGINE_RECOVERING : ENGINE_NO_DEVICE, why);
		if (!cause && hopeless) /* main() says so and stops */
			e->unfit(why, e->unfit_arg);
		else if (strcmp(last, why) != 0)
			log_error("not serving: %s", why);
		memcpy(last, why, sizeof(last));
		if (keeper_sleep(e, pause, false))
			return true;
		pause = 2 * pause < RETRY_MAX_NS ? 2 * pause : RETRY_MAX_NS;
	}
}

static void sample_utilization(struct engine *e, uint64_t now)
{
	struct hw_net_stats stats;
	uint64_t span, busy;
	float percent;

	hw_net_get_stats(e->net, &stats);
	memmove(&e->busy[1], &e->busy[0], sizeof(e->busy) - sizeof(e->busy[0]));
	e->busy[0].time_ns = now;
	e->busy[0].busy_ns = stats.busy_ns;
	if (e->n_busy < UTIL_SECONDS + 1)
		e->n_busy++;
	span = now - e->busy[e->n_busy - 1].time_ns;
	busy = stats.busy_ns - e->busy[e->n_busy - 1].busy_ns;
	percent = span ? 100.0f * (float)busy / (float)span : 0.0f;
	pthread_mutex_lock(&e->lock);
	e->utilization = percent < 100.0f ? percent : 100.0f;
	pthread_mutex_unlock(&e->lock);
}

/* 0, or what hw_dev_temperature() says. */
static int sample_temperature(struct engine *e, struct hw_error *err)
{
	float ts0, ts1;
	int r = hw_dev_temperature(e->dev, &ts0, &ts1, err);

	if (r)
		log_info("no temperature: %s", err->text);
	pthread_mutex_lock(&e->lock);
	e->has_temperature = r == 0;
	if (!r)
		e->temperature = ts0 > ts1 ? ts0 : ts1;
	pthread_mutex_unlock(&e->lock);
	return r;
}

/* Asking for the temperature is also how a chip is found dead that has nothing to do. */
static int look_after(struct engine *e, struct hw_error *err)
{
	int r = sample_temperature(e, err);

	/* A control that is not answered may be an accident, two are not. */
	if (r == -ETIMEDOUT)
		r = sample_temperature(e, err);
	return r == -ETIMEDOUT || r == -ENODEV ? r : 0;
}

/* Watch a running network; true when stopped, false when it died (*@death says of what). */
static bool watch(struct engine *e, int *death, struct hw_error *err)
{
	uint64_t next_sample = 0, next_temperature = 0;

	for (;;) {
		uint64_t now = engine_now_ns();
		bool cleared;

		*death = hw_net_state(e->net, err);
		if (!*death && now >= next_temperature) {
			*death = look_after(e, err);
			next_temperature = now + TEMPERATURE_NS;
		}
		if (*death)
			return false;
		pthread_mutex_lock(&e->lock);
		cleared = e->suspect;
		e->suspect = false;
		pthread_mutex_unlock(&e->lock);
		if (cleared)
			engine_pump(e);
		if (now >= next_sample) {
			sample_utilization(e, now);
			next_sample = now + WATCH_NS;
		}
		if (keeper_sleep(e, WATCH_NS, true))
			return true;
	}
}

void *engine_keeper(void *arg)
{
	struct engine *e = arg;
	bool stop = bring_up_patiently(e, NULL);

	while (!stop) {
		struct hw_error err = {0};
		char why[480];
		int death;

		stop = watch(e, &death, &err);
		if (stop)
			break;
		snprintf(why, sizeof(why), "Recovering: %.400s",
			 err.text[0] ? err.text : strerror(-death));
		log_error("the network died: %s", why + strlen("Recovering: "));
		unload_network(e, death, ENGINE_RECOVERING, why);
		pthread_mutex_lock(&e->lock);
		e->recoveries++;
		pthread_mutex_unlock(&e->lock);
		if (death == -ENODEV)
			close_device(e);
		stop = bring_up_patiently(e, why + strlen("Recovering: "));
	}
	unload_network(e, -ECANCELED, ENGINE_STOPPED, "Shutting down");
	close_device(e);
	return NULL;
}
