// SPDX-License-Identifier: MIT
/* A device on a chip in software with a network of several contexts, and frames each of which is checked. */
#ifndef TESTS_MOCK_MULTI_RIG_H
#define TESTS_MOCK_MULTI_RIG_H

#include <hwlayer/hwlayer.h>
#include <unistd.h>

#include "infer/infer.h"
#include "support/multinet.h"
#include "support/noncoherent.h"
#include "support/rig.h"
#include "support/support.h"

struct rig {
	const struct multinet *m;
	struct backend *be;
	struct mock_chip *chip;
	struct hw_dev *dev;
	struct hw_net *net;
	size_t n_in, n_out;
};

/* How a test wants it; 0 is the usual. */
struct want {
	uint32_t batch, dynamic_batch, page, in_flight;
	const char *faults;
	bool noncoherent;
};

static inline void rig_power_on(struct rig *rig, const struct want *w)
{
	struct mock_opts opts = {.max_read_request = w->page, .faults = w->faults};
	struct chip_boot_options boot = {0};
	struct hw_error err = {0};

	assert_ok(backend_mock_open(&opts, &rig->be, &err), &err);
	rig->chip = backend_mock_chip(rig->be);
	if (w->noncoherent)
		noncoherent_make(rig->be);
	assert_ok(infer_dev_open(rig->be, &boot, false, &rig->dev, &err), &err);
}

static inline void rig_load(struct rig *rig, const struct multinet *m, const struct want *w)
{
	struct hw_net_options o = {.batch = w->batch, .dynamic_batch = w->dynamic_batch,
				   .frames_in_flight = w->in_flight};
	struct hw_error err = {0};
	size_t len;
	uint8_t *hef = multinet_hef(m, &len);

	rig->m = m;
	assert_ok(hw_net_load_mem(rig->dev, hef, len, &o, &rig->net, &err), &err);
	free(hef);
	hw_net_inputs(rig->net, &rig->n_in);
	hw_net_outputs(rig->net, &rig->n_out);
	assert_true(rig->n_in <= STREAMS_MAX && rig->n_out <= STREAMS_MAX);
}

static inline struct rig rig_open(const struct multinet *m, const struct want *w)
{
	struct rig rig = {0};

	rig_power_on(&rig, w);
	rig_load(&rig, m, w);
	return rig;
}

static inline void rig_drop(struct rig *rig)
{
	hw_net_free(rig->net);
	rig->net = NULL;
	assert_int_equal(backend_mock_dma_bytes(rig->be) + noncoherent_areas(), 0);
}

static inline void rig_close(struct rig *rig)
{
	if (rig->net)
		rig_drop(rig);
	hw_dev_close(rig->dev);
}

/* ------------------------------------------------------------------------------- frames */

static struct crowd crowd = CROWD_INITIALIZER;

/* Send @n different frames and wait for their answers; the crowd then knows them. */
static inline void send_frames(struct rig *rig, unsigned int n, uint32_t timeout_ms)
{
	unsigned int taken = 0;

	crowd_empty(&crowd);
	for (unsigned int i = 0; i < n; i++) {
		struct frame *f = crowd_add(&crowd);
		struct hw_error err = {0};
		int r;

		for (unsigned int s = 0; s < rig->n_in; s++)
			f->in[s] = frame_bytes(multinet_bytes(multinet_boundary(rig->m, true, s)), i * 7 + s);
		for (unsigned int s = 0; s < rig->n_out; s++)
			f->out[s] = frame_bytes(multinet_bytes(multinet_boundary(rig->m, false, s)), 99);
		/* Once it is taken, what becomes of it is told by another thread. */
		r = frame_submit_patiently(f, rig->net, timeout_ms, &err);
		f->taken = r == 0;
		taken += f->taken;
		if (r < 0) {
			f->status = r;
			memcpy(f->text, err.text, sizeof(f->text));
		}
	}
	crowd_wait(&crowd, taken);
}

static inline bool right(const struct rig *rig, const struct frame *f)
{
	uint8_t *want[STREAMS_MAX];
	bool same = true;

	for (unsigned int s = 0; s < rig->n_out; s++)
		want[s] = frame_bytes(multinet_bytes(multinet_boundary(rig->m, false, s)), 5);
	multinet_answer(rig->m, (const uint8_t *const *)f->in, want);
	for (unsigned int s = 0; s < rig->n_out; s++) {
		same &= !memcmp(want[s], f->out[s],
				multinet_bytes(multinet_boundary(rig->m, false, s)));
		free(want[s]);
	}
	return same;
}

/* @n frames, each of which comes back with its own answer. */
static inline void all_right(struct rig *rig, unsigned int n)
{
	char fault[256];

	send_frames(rig, n, PATIENT_MS);
	for (unsigned int i = 0; i < n; i++) {
		const struct frame *f = &crowd.f[i];

		if (f->status) {
			mock_chip_last_fault(rig->chip, fault, sizeof(fault));
			fail_msg("frame %u of %u: %s (%s)", i, n, f->text, fault);
		}
		assert_int_equal(f->calls, 1);
		if (!right(rig, f))
			fail_msg("frame %u of %u came back with wrong bytes", i, n);
	}
	crowd_empty(&crowd);
}

/* @n frames of which none comes back with wrong bytes, and which kill the network. */
static inline void dies(struct rig *rig, unsigned int n, int code, const char *words)
{
	uint64_t until = util_now_ms() + PATIENT_MS;
	struct hw_error err = {0};

	send_frames(rig, n, IMPATIENT_MS);
	for (unsigned int i = 0; i < n; i++)
		if (crowd.f[i].status == 0 && !right(rig, &crowd.f[i]))
			fail_msg("frame %u came back with wrong bytes (%s)", i, words);
	while (!hw_net_state(rig->net, &err) && util_now_ms() < until)
		usleep(1000);
	assert_int_equal(err.code, code);
	assert_words(err.text, words);
	crowd_empty(&crowd);
}

#endif
