// SPDX-License-Identifier: MIT
/* hwctl doctor: the rungs that the chip answers. */
#include "hwctl/doctor.h"

#include <stdio.h>
#include <string.h>

#include "chip/protocol.h"
#include "hwctl/dma_test.h"

/* What the sensors can say and still be believed; what is too hot the firmware says (FW_EVENT_TEMPERATURE_ALARM). */
#define CELSIUS_MIN (-40.0f)
#define CELSIUS_MAX 150.0f
#define ALARM_MAX 320

static const char *device_of(const struct doctor *d)
{
	return d->mock ? d->opt->device : d->bdf;
}

/* A chip that is stuck: its own reset, then the power. */
static void mend_chip(struct doctor *d, struct rung *r)
{
	rung_mend(r, "hwctl reset --device %s", device_of(d));
	if (!d->mock)
		rung_mend(r, "sudo poweroff   # and start again: the card needs to lose its power");
}

static void mend_boot(struct doctor *d, struct rung *r, int code)
{
	switch (code) {
	case -EBUSY:
		rung_mend(r, "sudo systemctl stop hailo-inferenced   # or end the process that is named");
		break;
	case -EACCES:
	case -EPERM:
		rung_mend(r, "id -nG; ls -lR /dev/vfio /dev/hailo_uio*   # this user needs read and write access");
		break;
	case -ENOENT:
		rung_mend(r, "sudo install -D -m 0644 hailo8_fw.4.23.0.bin /lib/firmware/hailo/hailo8_fw.bin");
		break;
	case -ENOMEM:
		rung_mend(r, "ulimit -l   # locked memory in KiB; see the rung memlock");
		break;
	case -ENODEV:
		if (!d->mock)
			rung_mend(r, "echo 1 | sudo tee /sys/bus/pci/devices/%s/remove; echo 1 | sudo tee "
				     "/sys/bus/pci/rescan",
				  d->bdf);
		break;
	default:
		mend_chip(d, r);
		break;
	}
}

/* ------------------------------------------------------------------- boot, identity, sensors */

static void note_event(const struct hw_event *ev, void *user)
{
	char *alarm = user;

	/* Only this thread writes it, and it is read once the callback is taken away. */
	if (ev->id == FW_EVENT_TEMPERATURE_ALARM)
		snprintf(alarm, ALARM_MAX, "%s", strstr(ev->text, "green") ? "" : ev->text);
}

static void identify(struct doctor *d, struct hw_dev *dev, struct rung *r)
{
	struct hw_dev_info info;
	struct hw_error err = {0};

	if (hw_dev_query_info(dev, &info, &err) < 0) {
		rung_fail(r, "%s", err.text);
		mend_chip(d, r);
		return;
	}
	rung_found(r, "%s%s, firmware %u.%u.%u, board %s%s%s", info.arch_name,
		   info.software_chip ? " in software" : "", info.fw_major, info.fw_minor, info.fw_revision,
		   info.board_name[0] ? info.board_name : "without a name", info.serial[0] ? ", serial " : "",
		   info.serial);
	if (info.arch == HW_ARCH_UNKNOWN) {
		rung_fail(r, "the chip calls itself something that this driver does not know");
		rung_mend(r, "hwctl info --device %s --json   # for a bug report", device_of(d));
		return;
	}
	r->state = RUNG_PASS;
}

static void temperature(struct doctor *d, struct hw_dev *dev, const char *alarm, struct rung *r)
{
	struct hw_error err = {0};
	float ts[2];

	if (hw_dev_temperature(dev, &ts[0], &ts[1], &err) < 0) {
		rung_fail(r, "%s", err.text);
		mend_chip(d, r);
		return;
	}
	rung_found(r, "%.1f and %.1f degrees Celsius", (double)ts[0], (double)ts[1]);
	/* The other way round NaN would pass. */
	if (!(ts[0] > CELSIUS_MIN && ts[0] < CELSIUS_MAX && ts[1] > CELSIUS_MIN && ts[1] < CELSIUS_MAX)) {
		rung_fail(r, "no chip has such a temperature: the sensors or the firmware are not well");
		mend_chip(d, r);
	} else if (alarm[0]) {
		rung_fail(r, "%s", alarm);
		rung_mend(r, "hwctl temp --watch --device %s   # while better cooling is tried", device_of(d));
	} else {
		r->state = RUNG_PASS;
	}
}

/* ------------------------------------------------------------------------ DMA and inference */

static void judge_dma(struct doctor *d, const struct dma_outcome *o, struct rung *r)
{
	rung_found(r, "%zu frames, %llu bytes to and %llu from the chip, %llu interrupts, %llu missed", o->frames,
		   (unsigned long long)o->bytes_in, (unsigned long long)o->bytes_out,
		   (unsigned long long)o->interrupts, (unsigned long long)o->interrupts_missed);
	if (!o->dma_ok) {
		rung_fail(r, "counters, descriptors or guard bytes are not as they should be");
		rung_mend(r, "hwctl dma-test %s --device %s", d->model, device_of(d));
	} else if (o->interrupts_missed && o->interrupts_missed * 4 >= o->interrupts) {
		/* Of those that count as serviced some were seen in passing, not because they came. */
		rung_fail(r, "interrupts do not arrive: the work was found by looking, which is slow");
		rung_mend(r, "grep -e vfio -e hailo /proc/interrupts; sudo dmesg | grep -i msi");
	} else {
		r->state = RUNG_PASS;
	}
}

static void judge_inference(struct doctor *d, const struct dma_outcome *o, struct rung *r)
{
	bool pattern = strcmp(o->function, "pattern") == 0;

	rung_found(r, "%s: %zu frames, %.1f frames/s, answers by %s", d->model, o->frames, o->frames_per_second,
		   o->function);
	if (o->different) {
		rung_fail(r, "%zu of %zu answers were not those given before to the same input", o->different,
			  o->compared);
		rung_mend(r, "hwctl dma-test %s --device %s", d->model, device_of(d));
	} else if (pattern) {
		rung_fail(r, "a chip in software answers this model with a test pattern: no inference");
		rung_mend(r, "hwctl doctor %s   # the default model, which it can compute", device_of(d));
	} else {
		r->state = RUNG_PASS;
	}
}

static void run_model(struct doctor *d, struct hw_dev *dev)
{
	struct rung *dma = &d->rungs[RUNG_DMA], *inference = &d->rungs[RUNG_INFERENCE];
	struct hw_error err = {0};
	struct dma_outcome o;
	bool soft;
	int code = dma_test_on(d->opt, dev, d->model, d->frames, &o, &err);
	struct hw_dev_info info;

	if (code == 0) {
		judge_dma(d, &o, dma);
		judge_inference(d, &o, inference);
		return;
	}
	hw_dev_get_info(dev, &info);
	soft = info.software_chip;
	rung_fail(dma, "%s", err.text);
	rung_skip(inference, "no frame went through");
	if (code == -ENOTSUP && !soft)
		rung_mend(dma, "hwctl doctor %s --model MODEL.hef   # one that the vendor's compiler made for this "
			       "chip; the default model is for chips in software",
			  device_of(d));
	else if (code == -ENOENT || code == -EBADMSG || code == -ENOTSUP)
		rung_mend(dma, "hwctl hef check %s --device %s", d->model, device_of(d));
	else
		mend_boot(d, dma, code);
}

void doctor_chip(struct doctor *d)
{
	/* Written by the device's thread, so it outlives the callback. */
	char alarm[ALARM_MAX] = "";
	struct rung *boot = &d->rungs[RUNG_BOOT];
	struct options opt = *d->opt;
	uint64_t start = util_now_ns();
	struct hw_dev *dev = NULL;
	struct hw_error err = {0};
	int code;

	opt.device = device_of(d);
	code = open_device_quietly(&opt, false, &dev, &err);
	if (code < 0) {
		rung_fail(boot, "%s", err.text);
		mend_boot(d, boot, code);
		for (int i = RUNG_BOOT + 1; i < RUNGS; i++)
			rung_skip(&d->rungs[i], "the chip did not boot");
		return;
	}
	rung_pass(boot, "%.0f ms", (double)(util_now_ns() - start) / 1e6);
	hw_dev_set_event_callback(dev, note_event, alarm);
	identify(d, dev, &d->rungs[RUNG_IDENTIFY]);
	run_model(d, dev);
	hw_dev_set_event_callback(dev, NULL, NULL);
	/* Last, so that an alarm while the model ran is known. */
	temperature(d, dev, alarm, &d->rungs[RUNG_TEMPERATURE]);
	hw_dev_close(dev);
}
