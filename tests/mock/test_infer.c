// SPDX-License-Identifier: MIT
/* The public API on the chip in software: order, limits, cancellation, devices that go away. */
#include <hwlayer/hwlayer.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "infer/infer.h"
#include "support/support.h"
#include "support/tamper.h"
#include "support/tinynet.h"

#define FRAMES 400

static struct hw_dev *open_tampered(struct tamper **t)
{
	struct chip_boot_options boot = {0};
	struct hw_dev *dev = NULL;
	struct hw_error err = {0};

	*t = tamper_new(NULL);
	assert_ok(infer_dev_open(&(*t)->be, &boot, false, &dev, &err), &err);
	return dev;
}

/* Of the network load_tiny() loaded last; they are all the same. */
static struct hw_quant out_quant;

static struct hw_net *load_tiny(struct hw_dev *dev, uint32_t in_flight)
{
	struct hw_net_options o = {.frames_in_flight = in_flight};
	struct hw_error err = {0};
	struct hw_net *net = NULL;
	size_t len;
	uint8_t *hef = tiny_hef("tiny", 1.0f, 3, &len);

	assert_ok(hw_net_load_mem(dev, hef, len, &o, &net, &err), &err);
	free(hef);
	out_quant = hw_net_outputs(net, &len)->quant;
	return net;
}

struct frame {
	uint8_t in[TINY_IN], out[TINY_OUT];
	atomic_int calls;
	int status;
	unsigned int order;
};

struct crowd {
	struct frame f[FRAMES];
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned int done;
};

static struct crowd crowd;

static void frame_done(int status, const struct hw_error *err, void *user)
{
	struct frame *f = user;

	(void)err;
	pthread_mutex_lock(&crowd.lock);
	f->status = status;
	f->order = crowd.done++;
	atomic_fetch_add(&f->calls, 1);
	pthread_cond_signal(&crowd.cond);
	pthread_mutex_unlock(&crowd.lock);
}

static void fill(struct frame *f, unsigned int n)
{
	memset(f, 0, sizeof(*f));
	for (unsigned int i = 0; i < TINY_IN; i++)
		f->in[i] = (uint8_t)(n * 37 + i * 29);
}

static bool own_answer(const struct frame *f)
{
	for (unsigned int i = 0; i < TINY_OUT; i++) {
		if (abs(f->out[i] - tiny_want(f->in, i, 3, &out_quant)) > 1)
			return false;
	}
	return true;
}

static void check_own_answer(const struct frame *f)
{
	assert_true(own_answer(f));
}

static int submit(struct hw_net *net, struct frame *f, struct hw_error *err)
{
	const void *ins[] = {f->in};
	void *outs[] = {f->out};
	struct hw_submit s = {
		.inputs = ins, .outputs = outs, .timeout_ms = 5000, .done = frame_done, .user = f};

	return hw_net_submit(net, &s, err);
}

static void crowd_init(void)
{
	memset(&crowd, 0, sizeof(crowd));
	pthread_mutex_init(&crowd.lock, NULL);
	pthread_cond_init(&crowd.cond, NULL);
}

static void frames_come_back_in_order_each_with_its_own_answer(void **state)
{
	struct tamper *t;
	struct hw_dev *dev = open_tampered(&t);
	struct hw_net *net = load_tiny(dev, 5);
	struct hw_net_stats stats = {0};
	struct hw_error err = {0};
	bool was_full = false;

	(void)state;
	crowd_init();
	for (unsigned int n = 0; n < FRAMES; n++) {
		int r;

		fill(&crowd.f[n], n);
		while ((r = submit(net, &crowd.f[n], &err)) == -EAGAIN) {
			was_full = true;
			pthread_mutex_lock(&crowd.lock);
			if (crowd.done + 5 == n)
				pthread_cond_wait(&crowd.cond, &crowd.lock);
			pthread_mutex_unlock(&crowd.lock);
		}
		assert_ok(r, &err);
	}
	pthread_mutex_lock(&crowd.lock);
	while (crowd.done < FRAMES)
		pthread_cond_wait(&crowd.cond, &crowd.lock);
	pthread_mutex_unlock(&crowd.lock);
	for (unsigned int n = 0; n < FRAMES; n++) {
		assert_int_equal(crowd.f[n].status, 0);
		assert_int_equal(crowd.f[n].order, n);
		assert_int_equal(crowd.f[n].calls, 1);
		check_own_answer(&crowd.f[n]);
	}
	assert_true(was_full);
	hw_net_get_stats(net, &stats);
	assert_int_equal(stats.submitted, FRAMES);
	assert_int_equal(stats.completed, FRAMES);
	assert_int_equal(stats.failed, 0);
	assert_true(stats.interrupts > 0);
	assert_true(stats.busy_ns > 0);
	hw_net_free(net);
	assert_int_equal(backend_mock_dma_bytes(t->below), 0);
	hw_dev_close(dev);
}

struct worker {
	pthread_t thread;
	struct hw_net *net;
	unsigned int id;
	int bad;
};

static void *work(void *arg)
{
	struct worker *w = arg;

	for (unsigned int n = 0; n < 100; n++) {
		struct frame f;
		const void *ins[] = {f.in};
		void *outs[] = {f.out};
		struct hw_error err = {0};

		fill(&f, w->id * 1000 + n);
		if (hw_net_run(w->net, ins, outs, 5000, &err) < 0) {
			w->bad++;
			continue;
		}
		w->bad += !own_answer(&f);
	}
	return NULL;
}

static void many_threads_share_few_slots(void **state)
{
	struct tamper *t;
	struct hw_dev *dev = open_tampered(&t);
	struct hw_net *net = load_tiny(dev, 3);
	struct worker w[12];

	(void)state;
	for (unsigned int i = 0; i < 12; i++) {
		w[i] = (struct worker){.net = net, .id = i};
		assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
	}
	for (unsigned int i = 0; i < 12; i++) {
		pthread_join(w[i].thread, NULL);
		assert_int_equal(w[i].bad, 0);
	}
	hw_net_free(net);
	hw_dev_close(dev);
}

static void freeing_answers_every_frame_once(void **state)
{
	struct tamper *t;
	struct hw_dev *dev = open_tampered(&t);

	(void)state;
	for (unsigned int round = 0; round < 20; round++) {
		struct hw_net *net = load_tiny(dev, 16);
		unsigned int sent = 0;

		crowd_init();
		for (unsigned int n = 0; n < 16; n++) {
			fill(&crowd.f[n], n);
			sent += submit(net, &crowd.f[n], NULL) == 0;
		}
		hw_net_free(net);
		assert_int_equal(crowd.done, sent);
		for (unsigned int n = 0; n < sent; n++) {
			assert_int_equal(crowd.f[n].calls, 1);
			if (crowd.f[n].status == 0)
				check_own_answer(&crowd.f[n]);
			else
				assert_int_equal(crowd.f[n].status, -ECANCELED);
		}
		assert_int_equal(backend_mock_dma_bytes(t->below), 0);
	}
	hw_dev_close(dev);
}

/* A callback that keeps the device's thread busy until it is told to go on. */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool reached, open;
};

static void hold_owner(int status, const struct hw_error *err, void *user)
{
	struct gate *g = user;

	(void)status;
	(void)err;
	pthread_mutex_lock(&g->lock);
	g->reached = true;
	pthread_cond_broadcast(&g->cond);
	while (!g->open)
		pthread_cond_wait(&g->cond, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

static void *run_once(void *arg)
{
	struct worker *w = arg;
	struct frame f;
	const void *ins[] = {f.in};
	void *outs[] = {f.out};

	fill(&f, w->id);
	w->bad = hw_net_run(w->net, ins, outs, 5000, NULL);
	return NULL;
}

static void *free_it(void *net)
{
	hw_net_free(net);
	return NULL;
}

static void freeing_sends_waiting_threads_home(void **state)
{
	enum { THREADS = 6 };
	struct gate gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
	struct tamper *t;
	struct hw_dev *dev = open_tampered(&t);
	struct hw_net *net = load_tiny(dev, 1);
	struct frame f;
	const void *ins[] = {f.in};
	void *outs[] = {f.out};
	struct hw_submit s = {.inputs = ins, .outputs = outs, .done = hold_owner, .user = &gate};
	struct worker w[THREADS];
	pthread_t freer;
	unsigned int callers = 0;
	bool settled = false;

	(void)state;
	fill(&f, 99);
	assert_int_equal(hw_net_submit(net, &s, NULL), 0);
	pthread_mutex_lock(&gate.lock);
	while (!gate.reached)
		pthread_cond_wait(&gate.cond, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
	/* One of them gets the slot, the others wait for it. */
	for (unsigned int i = 0; i < THREADS; i++) {
		w[i] = (struct worker){.net = net, .id = i};
		assert_int_equal(pthread_create(&w[i].thread, NULL, run_once, &w[i]), 0);
	}
	while (!settled) {
		usleep(1000);
		pthread_mutex_lock(&dev->lock);
		settled = net->stats.submitted == 2 && net->callers == THREADS - 1;
		pthread_mutex_unlock(&dev->lock);
	}
	assert_int_equal(pthread_create(&freer, NULL, free_it, net), 0);
	/* Those without a frame on its way come home while the device's thread is still held. */
	for (callers = THREADS; callers;) {
		usleep(1000);
		pthread_mutex_lock(&dev->lock);
		callers = net->callers;
		pthread_mutex_unlock(&dev->lock);
	}
	pthread_mutex_lock(&gate.lock);
	gate.open = true;
	pthread_cond_broadcast(&gate.cond);
	pthread_mutex_unlock(&gate.lock);
	for (unsigned int i = 0; i < THREADS; i++) {
		pthread_join(w[i].thread, NULL);
		assert_int_equal(w[i].bad, -ECANCELED);
	}
	pthread_join(freer, NULL);
	assert_int_equal(backend_mock_dma_bytes(t->below), 0);
	hw_dev_close(dev);
}

static void closing_a_device_frees_its_network(void **state)
{
	struct tamper *t;
	struct hw_dev *dev = open_tampered(&t);
	struct hw_net *net = load_tiny(dev, 4);

	(void)state;
	crowd_init();
	fill(&crowd.f[0], 1);
	assert_int_equal(submit(net, &crowd.f[0], NULL), 0);
	hw_dev_close(dev);
	assert_int_equal(crowd.f[0].calls, 1);
}

static void a_card_that_goes_away_is_noticed(void **state)
{
	struct tamper *t;
	struct hw_dev *dev = open_tampered(&t);
	struct hw_net *net = load_tiny(dev, 4);
	struct hw_error err = {0};
	struct frame f;
	const void *ins[] = {f.in};
	void *outs[] = {f.out};
	int r;

	(void)state;
	fill(&f, 3);
	t->gone = true;
	r = hw_net_run(net, ins, outs, 2000, &err);
	assert_int_equal(r, -ENODEV);
	assert_non_null(strstr(err.text, "does not answer"));
	assert_int_equal(hw_net_state(net, &err), -ENODEV);
	assert_int_equal(hw_net_run(net, ins, outs, 2000, &err), -ENODEV);
	hw_net_free(net);
	assert_int_equal(backend_mock_dma_bytes(t->below), 0);
	hw_dev_close(dev);
}

static void running_out_of_dma_memory_gives_everything_back(void **state)
{
	struct tamper *t;
	struct hw_dev *dev = open_tampered(&t);
	size_t len;
	uint8_t *hef = tiny_hef("tiny", 1.0f, 3, &len);
	struct hw_net *net = NULL;
	long n;

	(void)state;
	for (n = 0; n < 100; n++) {
		struct hw_error err = {0};
		int r;

		t->allocs = 0;
		t->alloc_fails_after = n;
		r = hw_net_load_mem(dev, hef, len, NULL, &net, &err);
		if (r == 0)
			break;
		assert_int_equal(r, -ENOMEM);
		assert_int_equal(backend_mock_dma_bytes(t->below), 0);
		assert_true(strlen(err.text) > 10);
	}
	/* config lists and buffers of two channels, two boundary lists, two streams' slots */
	assert_true(n >= 6 && n < 100);
	hw_net_free(net);
	hw_dev_close(dev);
	free(hef);
}

static void names_and_files_that_lead_nowhere(void **state)
{
	struct hw_dev_options o = {.device = "mock:9"};
	struct hw_dev *dev = NULL;
	struct hw_error err = {0};

	(void)state;
	assert_int_equal(hw_dev_open(&o, &dev, &err), -EINVAL);
	o = (struct hw_dev_options){.device = "mock", .firmware = "/nonexistent/fw.bin"};
	assert_int_equal(hw_dev_open(&o, &dev, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/fw.bin"));
	o = (struct hw_dev_options){.device = "0000:ff:1f.7"};
	assert_int_equal(hw_dev_open(&o, &dev, &err), -ENODEV);
	assert_null(dev);
}

static void looking_without_booting(void **state)
{
	struct hw_dev_options o = {.device = "mock", .no_boot = true};
	struct hw_dev *dev = NULL;
	struct hw_dev_info info;
	struct hw_error err = {0};
	struct hw_net *net = NULL;
	size_t len;
	uint8_t *hef = tiny_hef("tiny", 1.0f, 3, &len);
	float a, b;

	(void)state;
	assert_ok(hw_dev_open(&o, &dev, &err), &err);
	hw_dev_get_info(dev, &info);
	assert_false(info.booted);
	assert_true(info.software_chip);
	assert_int_equal(hw_net_load_mem(dev, hef, len, NULL, &net, &err), -EINVAL);
	assert_int_equal(hw_dev_temperature(dev, &a, &b, &err), -EINVAL);
	hw_dev_close(dev);
	free(hef);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_come_back_in_order_each_with_its_own_answer),
		cmocka_unit_test(many_threads_share_few_slots),
		cmocka_unit_test(freeing_answers_every_frame_once),
		cmocka_unit_test(freeing_sends_waiting_threads_home),
		cmocka_unit_test(closing_a_device_frees_its_network),
		cmocka_unit_test(a_card_that_goes_away_is_noticed),
		cmocka_unit_test(running_out_of_dma_memory_gives_everything_back),
		cmocka_unit_test(names_and_files_that_lead_nowhere),
		cmocka_unit_test(looking_without_booting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
