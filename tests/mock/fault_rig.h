// SPDX-License-Identifier: MIT
/*
 * A device on a chip in software that has faults, crowds of frames of which each is checked, and the
 * log as an operator sees it.
 */
#ifndef TESTS_MOCK_FAULT_RIG_H
#define TESTS_MOCK_FAULT_RIG_H

#include <hwlayer/hwlayer.h>
#include <unistd.h>

#include "infer/infer.h"
#include "support/journal.h"
#include "support/rig.h"
#include "support/support.h"

#define SHIFT 3u

/* ------------------------------------------------------------------- a device with a fault */

struct rig {
	struct backend *be;
	struct mock_chip *chip;
	struct hw_dev *dev;
	struct hw_net *net;
	struct hw_quant quant; /* of the output */
};

static inline struct backend *power_on(const char *faults)
{
	struct mock_opts opts = {.faults = faults};
	struct backend *be = NULL;
	struct hw_error err = {0};

	assert_ok(backend_mock_open(&opts, &be, &err), &err);
	return be;
}

static inline void order(struct rig *rig, const char *spec)
{
	order_fault(rig->chip, spec);
}

static inline int load(struct rig *rig, uint32_t in_flight, struct hw_error *err)
{
	struct hw_net_options o = {.frames_in_flight = in_flight};
	size_t len;
	uint8_t *hef = tiny_hef("tiny", 1.0f, SHIFT, &len);
	int r = hw_net_load_mem(rig->dev, hef, len, &o, &rig->net, err);

	free(hef);
	if (r == 0)
		rig->quant = hw_net_outputs(rig->net, &len)->quant;
	return r;
}

static inline void must_load(struct rig *rig)
{
	struct hw_error err = {0};

	assert_ok(load(rig, 4, &err), &err);
}

static inline struct rig open_rig(const char *faults)
{
	struct chip_boot_options boot = {0};
	struct rig rig = {.be = power_on(faults)};
	struct hw_error err = {0};

	rig.chip = backend_mock_chip(rig.be);
	assert_ok(infer_dev_open(rig.be, &boot, false, &rig.dev, &err), &err);
	return rig;
}

/* With a network that works. */
static inline struct rig open_loaded(const char *faults)
{
	struct rig rig = open_rig(faults);

	must_load(&rig);
	return rig;
}

/* However it died: nothing of it stays behind. */
static inline void drop_net(struct rig *rig)
{
	hw_net_free(rig->net);
	rig->net = NULL;
	assert_int_equal(backend_mock_dma_bytes(rig->be), 0);
}

static inline void close_rig(struct rig *rig)
{
	if (rig->net)
		drop_net(rig);
	hw_dev_close(rig->dev);
}

/* ------------------------------------------------------------------------------- frames */

static struct crowd crowd = CROWD_INITIALIZER;

/* What became of a crowd of frames. */
struct outcome {
	unsigned int good, bad, refused;
	int code;       /* of the first one that was not good */
	char text[480];
};

static inline void note(struct outcome *o, int code, const char *text)
{
	if (o->code)
		return;
	o->code = code;
	snprintf(o->text, sizeof(o->text), "%s", text);
}

/* Send @n frames, each different, as fast as slots become free, and wait for all of them. */
static inline struct outcome run(struct rig *rig, unsigned int n, uint32_t timeout_ms)
{
	struct outcome o = {0};
	unsigned int taken = 0;

	crowd_empty(&crowd);
	for (unsigned int i = 0; i < n; i++) {
		struct frame *f = crowd_add_tiny(&crowd, i);
		struct hw_error err = {0};
		int r = frame_submit_patiently(f, rig->net, timeout_ms, &err);

		f->taken = r == 0;
		taken += f->taken;
		if (r < 0) {
			o.refused++;
			note(&o, r, err.text);
		}
	}
	crowd_wait(&crowd, taken);
	for (unsigned int i = 0; i < n; i++) {
		const struct frame *f = &crowd.f[i];

		assert_int_equal(f->calls, f->taken);
		if (!f->taken)
			continue;
		if (f->status == 0 && !tiny_right(f->in[0], f->out[0], SHIFT, &rig->quant))
			fail_msg("frame %u came back with a wrong result", i);
		if (f->status == 0)
			o.good++;
		else
			o.bad++;
		if (f->status)
			note(&o, f->status, f->text);
	}
	assert_int_equal(o.good + o.bad + o.refused, n);
	return o;
}

static inline void all_good(struct rig *rig, unsigned int n)
{
	struct outcome o = run(rig, n, PATIENT_MS);

	if (o.good != n)
		fail_msg("%u of %u frames: %s", o.good, n, o.text);
	assert_int_equal(hw_net_state(rig->net, NULL), 0);
}

/*
 * @before frames one by one, which the fault does not concern; then @n at once, after which the
 * network is dead of @code.  @words are in the reason that it gives.
 */
static inline void dies(struct rig *rig, unsigned int before, unsigned int n, int code, const char *words)
{
	uint64_t until = util_now_ms() + PATIENT_MS;
	struct hw_error err = {0};
	struct outcome o;

	while (before--)
		all_good(rig, 1);
	o = run(rig, n, IMPATIENT_MS);
	assert_true(o.good < n);
	/* A frame's own deadline may be over a moment before the network is given up. */
	while (!hw_net_state(rig->net, &err) && util_now_ms() < until)
		usleep(1000);
	assert_int_equal(err.code, code);
	assert_words(err.text, words);
	assert_true(logged(words) >= 1); /* an operator who reads only the log knows, too */
	o = run(rig, 2, IMPATIENT_MS);
	assert_int_equal(o.refused, 2);
	assert_int_equal(o.code, code);
	assert_words(o.text, words);
}

static inline void works_again(struct rig *rig)
{
	drop_net(rig);
	must_load(rig);
	all_good(rig, 20);
}

static inline struct hw_net_stats stats_of(struct rig *rig)
{
	struct hw_net_stats s;

	hw_net_get_stats(rig->net, &s);
	return s;
}

static inline uint64_t struck(struct rig *rig, const char *name)
{
	return mock_chip_fault_count(rig->chip, name);
}

#endif
