// SPDX-License-Identifier: MIT
/* A device on a chip in software with a network of several contexts, and frames each of which is checked. */
#ifndef TESTS_MOCK_MULTI_RIG_H
#define TESTS_MOCK_MULTI_RIG_H

#include <hwlayer/hwlayer.h>
#include <pthread.h>
#include <unistd.h>

#include "infer/infer.h"
#include "mock/mock.h"
#include "support/multinet.h"
#include "support/noncoherent.h"
#include "support/support.h"

#define FRAMES_MAX 256u
#define STREAMS_MAX 4u
#define PATIENT_MS 20000u  /* for what has to happen; nothing is measured */
#define IMPATIENT_MS 1000u /* for what cannot: as soon as the driver gives up at all */

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

struct frame {
	uint8_t *in[STREAMS_MAX], *out[STREAMS_MAX];
	bool taken;
	unsigned int calls;
	int status;
	char text[480];
};

static struct {
	pthread_mutex_t lock;
	struct frame f[FRAMES_MAX];
	unsigned int n, done;
} crowd = {.lock = PTHREAD_MUTEX_INITIALIZER};

static inline void frame_done(int status, const struct hw_error *err, void *user)
{
	struct frame *f = user;

	pthread_mutex_lock(&crowd.lock);
	f->status = status;
	f->calls++;
	if (err)
		memcpy(f->text, err->text, sizeof(f->text));
	crowd.done++;
	pthread_mutex_unlock(&crowd.lock);
}

static inline unsigned int answered(void)
{
	unsigned int n;

	pthread_mutex_lock(&crowd.lock);
	n = crowd.done;
	pthread_mutex_unlock(&crowd.lock);
	return n;
}

static inline void crowd_free(void)
{
	for (unsigned int i = 0; i < crowd.n; i++) {
		for (unsigned int s = 0; s < STREAMS_MAX; s++) {
			free(crowd.f[i].in[s]);
			free(crowd.f[i].out[s]);
		}
	}
	memset(crowd.f, 0, sizeof(crowd.f));
	crowd.n = crowd.done = 0;
}

static inline uint8_t *buffer(size_t n, uint32_t seed)
{
	uint8_t *b = malloc(n);

	assert_non_null(b);
	for (size_t i = 0; i < n; i++)
		b[i] = (uint8_t)((i * 2654435761u + seed * 40503u) >> 13);
	return b;
}

static inline int submit(struct rig *rig, struct frame *f, uint32_t timeout_ms, struct hw_error *err)
{
	struct hw_submit s = {.inputs = (const void *const *)f->in, .outputs = (void *const *)f->out,
			      .timeout_ms = timeout_ms, .done = frame_done, .user = f};
	uint64_t until = util_now_ms() + PATIENT_MS;
	int r;

	while ((r = hw_net_submit(rig->net, &s, err)) == -EAGAIN && util_now_ms() < until)
		usleep(200);
	if (r == -EAGAIN)
		fail_msg("no slot came free, and the network did not die either");
	return r;
}

/* Send @n different frames and wait for their answers; the crowd then knows them. */
static inline void send_frames(struct rig *rig, unsigned int n, uint32_t timeout_ms)
{
	uint64_t until = util_now_ms() + 3 * PATIENT_MS;
	unsigned int taken = 0;

	assert_true(n <= FRAMES_MAX);
	crowd_free();
	crowd.n = n;
	for (unsigned int i = 0; i < n; i++) {
		struct frame *f = &crowd.f[i];
		struct hw_error err = {0};
		int r;

		for (unsigned int s = 0; s < rig->n_in; s++)
			f->in[s] = buffer(multinet_bytes(multinet_boundary(rig->m, true, s)), i * 7 + s);
		for (unsigned int s = 0; s < rig->n_out; s++)
			f->out[s] = buffer(multinet_bytes(multinet_boundary(rig->m, false, s)), 99);
		/* Once it is taken, what becomes of it is told by another thread. */
		r = submit(rig, f, timeout_ms, &err);
		f->taken = r == 0;
		taken += f->taken;
		if (r < 0) {
			f->status = r;
			memcpy(f->text, err.text, sizeof(f->text));
		}
	}
	while (answered() < taken && util_now_ms() < until)
		usleep(200);
	assert_int_equal(answered(), taken);
}

static inline bool right(const struct rig *rig, const struct frame *f)
{
	uint8_t *want[STREAMS_MAX];
	bool same = true;

	for (unsigned int s = 0; s < rig->n_out; s++)
		want[s] = buffer(multinet_bytes(multinet_boundary(rig->m, false, s)), 5);
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
	crowd_free();
}

static inline void assert_words(const char *text, const char *words)
{
	if (!strstr(text, words))
		fail_msg("'%s' is not said in: %s", words, text);
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
	crowd_free();
}

#endif
