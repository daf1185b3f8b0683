// SPDX-License-Identifier: MIT
/* The public API on the chip in software: order, limits, cancellation, devices that go away. */
#include <hwlayer/hwlayer.h>
#include <unistd.h>

#include "infer/infer.h"
#include "support/rig.h"
#include "support/support.h"
#include "support/tamper.h"

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

static struct crowd crowd = CROWD_INITIALIZER;

static bool own_answer(const struct frame *f)
{
	return tiny_right(f->in[0], f->out[0], 3, &out_quant);
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
	crowd_empty(&crowd);
	for (unsigned int n = 0; n < FRAMES; n++) {
		struct frame *f = crowd_add_tiny(&crowd, n);
		int r = frame_submit(f, net, PATIENT_MS, &err);

		if (r == -EAGAIN) {
			was_full = true;
			r = frame_submit_patiently(f, net, PATIENT_MS, &err);
		}
		assert_ok(r, &err);
	}
	crowd_wait(&crowd, FRAMES);
	for (unsigned int n = 0; n < FRAMES; n++) {
		assert_int_equal(crowd.f[n].status, 0);
		assert_int_equal(crowd.f[n].place, n);
		assert_int_equal(crowd.f[n].calls, 1);
		assert_true(own_answer(&crowd.f[n]));
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
		uint8_t in[TINY_IN], out[TINY_OUT] = {0};

		tiny_fill(in, w->id * 1000 + n);
		w->bad += hw_net_run(w->net, (const void *[]){in}, (void *[]){out}, PATIENT_MS, NULL) < 0 ||
			  !tiny_right(in, out, 3, &out_quant);
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

		crowd_empty(&crowd);
		for (unsigned int n = 0; n < 16; n++)
			sent += frame_submit(crowd_add_tiny(&crowd, n), net, PATIENT_MS, NULL) == 0;
		hw_net_free(net);
		assert_int_equal(crowd.answered, sent);
		for (unsigned int n = 0; n < sent; n++) {
			assert_int_equal(crowd.f[n].calls, 1);
			if (crowd.f[n].status == 0)
				assert_true(own_answer(&crowd.f[n]));
			else
				assert_int_equal(crowd.f[n].status, -ECANCELED);
		}
		assert_int_equal(backend_mock_dma_bytes(t->below), 0);
	}
	hw_dev_close(dev);
}

static void *run_once(void *arg)
{
	uint8_t in[TINY_IN] = {0}, out[TINY_OUT];
	struct worker *w = arg;

	w->bad = hw_net_run(w->net, (const void *[]){in}, (void *[]){out}, PATIENT_MS, NULL);
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
	struct tamper *t;
	struct hw_dev *dev = open_tampered(&t);
	struct hw_net *net = load_tiny(dev, 1);
	struct worker w[THREADS];
	pthread_t freer;
	unsigned int callers = 0;
	bool settled = false;

	(void)state;
	crowd_empty(&crowd);
	owner_hold(crowd_add_tiny(&crowd, 99), net);
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
	owner_let_go();
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
	crowd_empty(&crowd);
	assert_int_equal(frame_submit(crowd_add_tiny(&crowd, 1), net, PATIENT_MS, NULL), 0);
	hw_dev_close(dev);
	assert_int_equal(crowd.f[0].calls, 1);
}

static void a_card_that_goes_away_is_noticed(void **state)
{
	struct tamper *t;
	struct hw_dev *dev = open_tampered(&t);
	struct hw_net *net = load_tiny(dev, 4);
	struct hw_error err = {0};
	uint8_t in[TINY_IN] = {0}, out[TINY_OUT];
	const void *ins[] = {in};
	void *outs[] = {out};
	int r;

	(void)state;
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
