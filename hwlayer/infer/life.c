// SPDX-License-Identifier: MIT
/* Between open and close: reset, suspend, resume, and what the firmware has to say. */
#include "infer/infer.h"

#define EVENT_LINES_MAX 20u

int infer_chip_usable(const struct hw_dev *dev, struct hw_error *err)
{
	if (dev->chip_ready)
		return 0;
	if (dev->no_boot)
		return hw_fail(err, -EINVAL, "the device was opened without booting the chip");
	if (dev->suspended)
		return hw_fail(err, -EIO, "the device is suspended; resume it first");
	return hw_fail(err, -EIO, "the chip was stopped after an error; reset the device or open it again");
}

int infer_query_info(struct hw_dev *dev, struct hw_error *err)
{
	int r = chip_get_device_info(&dev->chip, err);

	if (r < 0)
		return infer_public_code(r);
	pthread_mutex_lock(&dev->lock);
	dev->info.clock_hz = dev->chip.info.clock_hz;
	dev->info.clusters = dev->info.arch == HW_ARCH_HAILO8L ? dev->chip.info.clusters : 0;
	pthread_mutex_unlock(&dev->lock);
	return 0;
}

static int query_job(struct hw_dev *dev, void *arg, struct hw_error *err)
{
	int r = infer_chip_usable(dev, err);

	(void)arg;
	return r < 0 ? r : infer_query_info(dev, err);
}

int hw_dev_query_info(struct hw_dev *dev, struct hw_dev_info *info, struct hw_error *err)
{
	int r = infer_call(dev, query_job, NULL, err);

	if (r == 0)
		hw_dev_get_info(dev, info);
	return r;
}

/* The chip's DMA ends; memory stays, since it belongs to networks that their users free. */
static void stop(struct hw_dev *dev, const char *why)
{
	infer_switch_kill_all(dev, -ECANCELED, why);
	infer_switch_stopped(dev);
	if (dev->chip_ready && chip_shutdown(&dev->chip) < 0 && !dev->chip.gone)
		hw_log(HW_LOG_WARNING, "%s: the chip did not acknowledge that it stopped",
		       dev->info.bdf);
	dev->chip_ready = false;
}

static int start(struct hw_dev *dev, struct hw_error *err)
{
	int r = chip_init(&dev->chip, dev->be, &dev->boot, err);

	if (r < 0)
		return infer_public_code(r);
	dev->chip_ready = true;
	dev->suspended = false;
	infer_apps_booted(dev);
	return 0;
}

static int reset_job(struct hw_dev *dev, void *arg, struct hw_error *err)
{
	(void)arg;
	if (dev->no_boot)
		return infer_chip_usable(dev, err);
	stop(dev, "the device was reset");
	return start(dev, err);
}

int hw_dev_reset(struct hw_dev *dev, struct hw_error *err)
{
	return infer_call(dev, reset_job, NULL, err);
}

static int suspend_job(struct hw_dev *dev, void *arg, struct hw_error *err)
{
	(void)arg;
	if (dev->no_boot)
		return infer_chip_usable(dev, err);
	stop(dev, "the device was suspended");
	dev->suspended = true;
	if (dev->chip.gone)
		return hw_fail(err, -ENODEV, "%s: the card does not answer any more", dev->info.bdf);
	return 0;
}

int hw_dev_suspend(struct hw_dev *dev, struct hw_error *err)
{
	return infer_call(dev, suspend_job, NULL, err);
}

static int resume_job(struct hw_dev *dev, void *arg, struct hw_error *err)
{
	(void)arg;
	return dev->suspended ? start(dev, err) : infer_chip_usable(dev, err);
}

int hw_dev_resume(struct hw_dev *dev, struct hw_error *err)
{
	return infer_call(dev, resume_job, NULL, err);
}

/* ----------------------------------------------------------------------------- firmware */

struct log_request {
	enum hw_cpu cpu;
	void *buf;
	size_t size;
};

static int log_job(struct hw_dev *dev, void *arg, struct hw_error *err)
{
	const struct log_request *q = arg;
	int r = infer_chip_usable(dev, err);

	if (r < 0)
		return r;
	return chip_read_log(&dev->chip, q->cpu == HW_CPU_CORE, q->buf, q->size, err);
}

int hw_dev_read_log(struct hw_dev *dev, enum hw_cpu cpu, void *buf, size_t size,
		    struct hw_error *err)
{
	struct log_request q = {cpu, buf, size};

	return infer_call(dev, log_job, &q, err);
}

/* Firmware that does not stop talking must not fill the operator's log. */
static bool worth_a_line(struct hw_dev *dev)
{
	uint64_t second = util_now_ms() / 1000;

	if (second != dev->event_second) {
		dev->event_second = second;
		dev->event_lines = 0;
	}
	if (++dev->event_lines == EVENT_LINES_MAX + 1)
		hw_log(HW_LOG_WARNING,
		       "%s: an event storm: more than %u events within a second, the rest of it is not "
		       "logged",
		       dev->info.bdf, EVENT_LINES_MAX);
	return dev->event_lines <= EVENT_LINES_MAX;
}

/* Whom it concerns: a run-time error names its application, overheating closes all streams. */
static void tell_networks(struct hw_dev *dev, const struct chip_event *ev)
{
	struct hw_net *net = dev->nets;

	if (ev->id == FW_EVENT_STREAMS_CLOSED || ev->id == FW_EVENT_CPU_ECC_FATAL) {
		for (; net; net = net->next)
			infer_net_event(net, ev);
		return;
	}
	while (net && (ev->id != FW_EVENT_RUN_TIME_ERROR || net->dead || net->plan->app != ev->app))
		net = net->next;
	if (!net)
		net = dev->active;
	if (net)
		infer_net_event(net, ev);
}

void infer_event(const struct chip_event *ev, void *user)
{
	struct hw_dev *dev = user;
	char text[320];

	chip_event_text(ev, text, sizeof(text));
	if (worth_a_line(dev))
		hw_log(ev->priority ? HW_LOG_WARNING : HW_LOG_INFO, "%s: event %u (%s): %s",
		       dev->info.bdf, ev->id, chip_event_name(ev->id), text);
	if (dev->event_fn) {
		struct hw_event e = {
			.id = ev->id,
			.critical = ev->priority != 0,
			.name = chip_event_name(ev->id),
			.text = text,
		};

		dev->event_fn(&e, dev->event_user);
	}
	tell_networks(dev, ev);
}

struct listener {
	hw_event_fn fn;
	void *user;
};

static int listen_job(struct hw_dev *dev, void *arg, struct hw_error *err)
{
	const struct listener *l = arg;

	(void)err;
	dev->event_fn = l->fn;
	dev->event_user = l->user;
	return 0;
}

void hw_dev_set_event_callback(struct hw_dev *dev, hw_event_fn fn, void *user)
{
	struct listener l = {fn, user};

	infer_call(dev, listen_job, &l, NULL);
}
