// SPDX-License-Identifier: MIT
/* Between open and close, through the public API: reset, suspend, resume, events, firmware logs. */
#include <hwlayer/hwlayer.h>

#include "infer/infer.h"
#include "support/rig.h"
#include "support/support.h"


static struct hw_dev *open_mock(const struct mock_opts *opts, struct mock_chip **chip)
{
	static const struct chip_boot_options boot;
	struct hw_dev *dev = NULL;
	struct hw_error err = {0};
	struct backend *be;

	assert_ok(backend_mock_open(opts, &be, &err), &err);
	*chip = backend_mock_chip(be);
	assert_ok(infer_dev_open(be, &boot, false, &dev, &err), &err);
	return dev;
}

static struct hw_net *load_tiny(struct hw_dev *dev)
{
	struct hw_error err = {0};
	struct hw_net *net = NULL;
	size_t len;
	uint8_t *hef = tiny_hef("tiny", 1.0f, 3, &len);

	assert_ok(hw_net_load_mem(dev, hef, len, NULL, &net, &err), &err);
	free(hef);
	return net;
}

static void runs(struct hw_net *net)
{
	uint8_t in[TINY_IN] = {10, 20, 30, 40, 50, 60, 70, 80}, out[TINY_OUT] = {0};
	const void *ins[] = {in};
	void *outs[] = {out};
	struct hw_error err = {0};
	size_t n;

	assert_ok(hw_net_run(net, ins, outs, PATIENT_MS, &err), &err);
	assert_true(tiny_right(in, out, 3, &hw_net_outputs(net, &n)->quant));
}

static void loads_and_runs(struct hw_dev *dev)
{
	struct hw_net *net = load_tiny(dev);

	runs(net);
	hw_net_free(net);
}

/* ------------------------------------------------------------------ networks that lose their chip */

static struct crowd crowd = CROWD_INITIALIZER;

/* @n frames that the chip cannot finish, since its output channel is stuck. */
static void submit_stuck(struct hw_net *net, struct mock_chip *chip, unsigned int n)
{
	struct hw_error err;
	char order[32];

	snprintf(order, sizeof(order), "channel-stuck=%u", net->outputs[0].channel.index);
	order_fault(chip, order);
	crowd_empty(&crowd);
	for (unsigned int i = 0; i < n; i++)
		assert_ok(frame_submit(crowd_add_tiny(&crowd, i), net, PATIENT_MS, &err), &err);
}

/* The network is dead, and its frames were told so; @word is in the reason. */
static void assert_dead(struct hw_net *net, const char *word)
{
	static const uint8_t in[TINY_IN];
	uint8_t out[TINY_OUT];
	const void *ins[] = {in};
	void *outs[] = {out};
	struct hw_error err;

	for (unsigned int i = 0; i < crowd.n; i++) {
		assert_int_equal(crowd.f[i].calls, 1);
		assert_int_equal(crowd.f[i].status, -ECANCELED);
		assert_words(crowd.f[i].text, word);
	}
	assert_int_equal(hw_net_state(net, &err), -ECANCELED);
	assert_words(err.text, word);
	assert_int_equal(hw_net_run(net, ins, outs, PATIENT_MS, &err), -ECANCELED);
	assert_words(err.text, word);
}

static void reset_is_a_way_back(void **state)
{
	struct mock_chip *chip;
	struct hw_dev *dev = open_mock(NULL, &chip);
	struct hw_net *net = load_tiny(dev);
	struct hw_net_stats stats;
	struct hw_error err;

	(void)state;
	runs(net);
	submit_stuck(net, chip, 3);
	assert_ok(hw_dev_reset(dev, &err), &err);
	mock_chip_clear_fault(chip, NULL); /* it may not have struck yet */
	assert_dead(net, "reset");
	hw_net_get_stats(net, &stats);
	assert_int_equal(stats.submitted, 4);
	assert_int_equal(stats.failed, 3);
	assert_true(stats.interrupts < 1000);
	/* the old network's place is taken until it is freed */
	hw_net_free(net);
	loads_and_runs(dev);
	assert_ok(hw_dev_reset(dev, &err), &err);
	loads_and_runs(dev);
	hw_dev_close(dev);
}

static void a_reset_cures_a_crashed_firmware(void **state)
{
	struct mock_chip *chip;
	struct hw_dev *dev = open_mock(NULL, &chip);
	struct hw_error err;
	float a, b;

	(void)state;
	order_fault(chip, "fw-crash");
	assert_int_equal(hw_dev_temperature(dev, &a, &b, &err), -ETIMEDOUT);
	assert_ok(hw_dev_reset(dev, &err), &err);
	assert_ok(hw_dev_temperature(dev, &a, &b, &err), &err);
	loads_and_runs(dev);
	hw_dev_close(dev);
}

static void suspend_and_resume(void **state)
{
	struct mock_chip *chip;
	struct hw_dev *dev = open_mock(NULL, &chip);
	struct hw_net *net = load_tiny(dev), *other = NULL;
	struct hw_error err;
	float a, b;
	uint8_t *hef;
	size_t len;
	char buf[16];

	(void)state;
	submit_stuck(net, chip, 2);
	assert_ok(hw_dev_suspend(dev, &err), &err);
	mock_chip_clear_fault(chip, NULL); /* it may not have struck yet */
	assert_dead(net, "suspended");
	/* no DMA, no interrupt: bus mastering and MSI off, the chip's mask clear */
	assert_int_equal(mock_chip_config_read(chip, 0x04, 2) & 4, 0);
	assert_int_equal(mock_chip_config_read(chip, 0xe2, 2) & 1, 0);
	assert_int_equal(mock_chip_read(chip, 0, 0x188, 4), 0);
	assert_int_equal(hw_dev_temperature(dev, &a, &b, &err), -EIO);
	assert_non_null(strstr(err.text, "suspended"));
	assert_int_equal(hw_dev_read_log(dev, HW_CPU_APP, buf, sizeof(buf), &err), -EIO);
	assert_ok(hw_dev_suspend(dev, &err), &err);
	/* the machine's memory may be taken back and given out in between */
	hw_net_free(net);
	/* which found the chip stopped and had no need to reset it */
	assert_int_equal(mock_chip_read(chip, 0, 0x708, 4), 0x60000000);
	hef = tiny_hef("tiny", 1.0f, 3, &len);
	assert_int_equal(hw_net_load_mem(dev, hef, len, NULL, &other, &err), -EIO);
	assert_non_null(strstr(err.text, "suspended"));
	free(hef);
	assert_ok(hw_dev_resume(dev, &err), &err);
	assert_ok(hw_dev_resume(dev, &err), &err);
	loads_and_runs(dev);
	/* freed only after the resume: what is on the chip now must not suffer */
	net = load_tiny(dev);
	assert_ok(hw_dev_suspend(dev, &err), &err);
	assert_ok(hw_dev_resume(dev, &err), &err);
	hw_net_free(net);
	loads_and_runs(dev);
	/* closing while suspended */
	assert_ok(hw_dev_suspend(dev, &err), &err);
	hw_dev_close(dev);
}

static void a_resume_that_fails_may_be_tried_again(void **state)
{
	struct mock_chip *chip;
	struct hw_dev *dev = open_mock(NULL, &chip);
	struct hw_error err;
	float a, b;

	(void)state;
	assert_ok(hw_dev_suspend(dev, &err), &err);
	order_fault(chip, "removed");
	assert_int_equal(hw_dev_resume(dev, &err), -ENODEV);
	assert_int_equal(hw_dev_temperature(dev, &a, &b, &err), -EIO);
	mock_chip_clear_fault(chip, "removed");
	assert_ok(hw_dev_resume(dev, &err), &err);
	loads_and_runs(dev);
	order_fault(chip, "removed");
	assert_int_equal(hw_dev_suspend(dev, &err), -ENODEV);
	hw_dev_close(dev);
}

static void a_device_that_was_not_booted(void **state)
{
	struct hw_dev_options o = {.device = "mock", .no_boot = true};
	struct hw_dev *dev = NULL;
	struct hw_error err;
	char buf[8];

	(void)state;
	assert_ok(hw_dev_open(&o, &dev, &err), &err);
	assert_int_equal(hw_dev_reset(dev, &err), -EINVAL);
	assert_int_equal(hw_dev_suspend(dev, &err), -EINVAL);
	assert_int_equal(hw_dev_resume(dev, &err), -EINVAL);
	assert_int_equal(hw_dev_read_log(dev, HW_CPU_CORE, buf, sizeof(buf), &err), -EINVAL);
	hw_dev_close(dev);
}

/* The image that the device was opened with is booted again, though its owner has freed it. */
static void the_firmware_is_kept(void **state)
{
	struct mock_chip *chip;
	struct chip_boot_options boot = {0};
	struct hw_dev *dev = NULL;
	struct hw_error err;
	struct backend *be;
	uint8_t *image;
	size_t len;

	(void)state;
	assert_int_equal(chip_firmware_synthetic(&image, &len), 0);
	put_le32(image + 16, 0x20000077); /* a revision that tells it from the built-in one */
	boot.firmware = (struct span){image, len};
	assert_ok(backend_mock_open(NULL, &be, &err), &err);
	chip = backend_mock_chip(be);
	assert_ok(infer_dev_open(be, &boot, false, &dev, &err), &err);
	memset(image, 0xee, len);
	free(image);
	assert_ok(hw_dev_reset(dev, &err), &err);
	assert_int_equal(mock_chip_peek(chip, 0xe0030 + 16), 0x20000077);
	hw_dev_close(dev);
}

/* ------------------------------------------------------------------------------------ firmware */

struct heard {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	size_t n;
	uint32_t id[16];
	bool critical[16];
	char name[16][48], text[16][200];
};

static void on_event(const struct hw_event *ev, void *user)
{
	struct heard *h = user;

	pthread_mutex_lock(&h->lock);
	if (h->n < 16) {
		h->id[h->n] = ev->id;
		h->critical[h->n] = ev->critical;
		snprintf(h->name[h->n], sizeof(h->name[0]), "%s", ev->name);
		snprintf(h->text[h->n], sizeof(h->text[0]), "%s", ev->text);
		h->n++;
	}
	pthread_cond_signal(&h->cond);
	pthread_mutex_unlock(&h->lock);
}

static void events_arrive_in_words(void **state)
{
	struct heard h = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
	struct mock_chip *chip;
	struct hw_dev *dev = open_mock(NULL, &chip);
	struct hw_error err;
	struct hw_net *net;
	size_t n;

	(void)state;
	hw_dev_set_event_callback(dev, on_event, &h);
	net = load_tiny(dev);
	order_fault(chip, "overheat=5:10");
	pthread_mutex_lock(&h.lock);
	while (h.n < 3)
		pthread_cond_wait(&h.cond, &h.lock);
	assert_int_equal(h.id[0], 2);
	assert_non_null(strstr(h.text[0], "entered the orange zone"));
	assert_int_equal(h.id[1], 2);
	assert_non_null(strstr(h.text[1], "entered the red zone"));
	assert_int_equal(h.id[2], 3);
	assert_true(h.critical[2]);
	assert_non_null(strstr(h.text[2], "closed all streams because it is too hot"));
	assert_true(h.name[2][0]);
	pthread_mutex_unlock(&h.lock);
	/* a later call on the owner thread: the event's consequence has happened before it */
	hw_dev_set_event_callback(dev, NULL, NULL);
	assert_int_equal(hw_net_state(net, &err), -EIO);
	n = h.n;
	order_fault(chip, "ecc");
	hw_net_free(net);
	assert_ok(hw_dev_reset(dev, &err), &err);
	assert_int_equal(h.n, n);
	hw_dev_close(dev);
}

static void both_logs_can_be_read(void **state)
{
	struct mock_chip *chip;
	struct hw_dev *dev = open_mock(NULL, &chip);
	char app[4096], core[4096], piece[8];
	struct hw_error err;
	size_t at = 0;
	int n;

	(void)state;
	n = hw_dev_read_log(dev, HW_CPU_APP, app, sizeof(app) - 1, &err);
	assert_true(n > 0);
	app[n] = 0;
	assert_non_null(strstr(app, "app CPU: firmware 4.23.0 started\n"));
	loads_and_runs(dev);
	while ((n = hw_dev_read_log(dev, HW_CPU_CORE, piece, sizeof(piece), &err)) > 0) {
		assert_true(at + (size_t)n < sizeof(core));
		memcpy(core + at, piece, (size_t)n);
		at += (size_t)n;
	}
	assert_int_equal(n, 0);
	core[at] = 0;
	assert_non_null(strstr(core, "core CPU: firmware 4.23.0 started\n"));
	assert_non_null(strstr(core, "application 0 enabled"));
	assert_null(strstr(core, "app CPU"));
	/* a new firmware begins a new log */
	assert_ok(hw_dev_reset(dev, &err), &err);
	n = hw_dev_read_log(dev, HW_CPU_CORE, core, sizeof(core) - 1, &err);
	assert_true(n > 0);
	core[n] = 0;
	assert_string_equal(core, "core CPU: firmware 4.23.0 started\n");
	hw_dev_close(dev);
}

/* More lines than fit, read now and then: the ring wraps many times and each line stays whole. */
static void a_log_that_wraps_stays_whole(void **state)
{
	struct chip_request bad = {.opcode = FW_RESET};
	struct backend *be;
	struct chip chip = {0};
	struct hw_error err;
	size_t lines = 0;
	char buf[4096];

	(void)state;
	assert_ok(backend_mock_open(NULL, &be, &err), &err);
	assert_ok(chip_init(&chip, be, NULL, &err), &err);
	assert_true(chip_read_log(&chip, false, buf, sizeof(buf), &err) > 0);
	for (int round = 0; round < 3; round++) {
		int n;

		/* 30 bytes a line: 136 of them fit, the rest is dropped whole */
		for (int i = 0; i < 150; i++)
			assert_int_equal(chip_control(&chip, &bad, NULL, &err), -EREMOTEIO);
		n = chip_read_log(&chip, false, buf, sizeof(buf), &err);
		assert_in_range(n, 4000, 4087);
		for (int at = 0; at < n;) {
			static const char want[] = "control 7 refused: 0x40030012\n";

			assert_true(at + (int)strlen(want) <= n);
			assert_memory_equal(buf + at, want, strlen(want));
			at += (int)strlen(want);
			lines++;
		}
	}
	assert_true(lines >= 3 * 134);
	assert_int_equal(chip_shutdown(&chip), 0);
	backend_close(be);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reset_is_a_way_back),
		cmocka_unit_test(a_reset_cures_a_crashed_firmware),
		cmocka_unit_test(suspend_and_resume),
		cmocka_unit_test(a_resume_that_fails_may_be_tried_again),
		cmocka_unit_test(a_device_that_was_not_booted),
		cmocka_unit_test(the_firmware_is_kept),
		cmocka_unit_test(events_arrive_in_words),
		cmocka_unit_test(both_logs_can_be_read),
		cmocka_unit_test(a_log_that_wraps_stays_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
