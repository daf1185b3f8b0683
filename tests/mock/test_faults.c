// SPDX-License-Identifier: MIT
/*
 * Faults to order (docs/mock.md): each is noticed, named in words, recovered from where that is
 * possible, and costs no frame: every frame that was taken is answered once, with its own result or
 * with an error that says what happened.
 */
#include "mock/fault_rig.h"

/* ------------------------------------------------------------------------------ ordering */

static void orders_are_checked(void **state)
{
	static const char *const good[] = {
		"boot-dead", "boot-dead=2", "boot-slow=100", "irq-late=5@frame=3", "irq-lost", "irq-lost=7",
		"irq-doubled@ms=1", "md5-bad=3@control=4", "control-silent", "control-silent=46",
		"control-silent=0x2e:3", "control-error=3", "control-error=3:0x40130037", "desc-error=16",
		"channel-stuck=2@frame=1", "completion-wrong=few", "ctx-error=0x4013007c", "removed@mmio=100",
		"overheat=5:50", "fw-crash,fw-reboot=10", "event-storm=9", "ecc,ecc-fatal=0x10", "",
	};
	static const struct {
		const char *spec, *words;
	} wrong[] = {
		{"boot-ded", "no fault 'boot-ded'"},
		{"boot-slow", "boot-slow=MS: the argument is missing"},
		{"boot-slow=", "not a number from 1"},
		{"boot-slow=-3", "not a number"},
		{"irq-late=5ms", "not a number"},
		{"irq-doubled=2", "takes no argument"},
		{"md5-bad=1:2", "fewer arguments"},
		{"channel-stuck=32", "from 0 to 31"},
		{"completion-wrong=more", "[=ahead|back|few]"},
		{"control-error=2@frame=1", "says when by itself"},
		{"removed@noon=1", "@frame=N, @control=N, @mmio=N or @ms=T"},
		{"removed@frame", "@frame=N"},
		{"removed@frame=0", "@frame=N"},
		{"removed,fw-crush", "'fw-crush'"},
		{"ecc,ecc,ecc,ecc,ecc,ecc,ecc,ecc,ecc,ecc,ecc,ecc,ecc,ecc,ecc,ecc,ecc", "at most 16"},
	};
	struct mock_fault_help help;
	struct hw_dev *dev = NULL;
	struct hw_error err = {0};
	char why[160];
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		why[0] = 0;
		if (mock_fault_check(good[i], why, sizeof(why)))
			fail_msg("%s: %s", good[i], why);
	}
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_int_equal(mock_fault_check(wrong[i].spec, why, sizeof(why)), -EINVAL);
		assert_words(why, wrong[i].words);
	}
	while (mock_fault_help(n, &help)) {
		assert_true(strlen(help.help) > 20 && !strchr(help.help, '\n'));
		n++;
	}
	assert_int_equal(n, 21);
	/* only of a chip that lives in this process */
	assert_int_equal(hw_dev_open(&(struct hw_dev_options){.device = "auto", .mock_faults = "removed"},
				     &dev, &err),
			 -EINVAL);
	assert_words(err.text, "chip in this process only");
	assert_int_equal(hw_dev_open(&(struct hw_dev_options){.device = "mock", .mock_faults = "ruined"},
				     &dev, &err),
			 -EINVAL);
	assert_words(err.text, "no fault 'ruined'");
	assert_int_equal(hw_dev_open(&(struct hw_dev_options){.device = "mock:8l", .mock_faults = "removed"},
				     &dev, &err),
			 -ENODEV);
	assert_null(dev);
}

/* ---------------------------------------------------------------------------------- boot */

/* Open, patiently where the chip may need another attempt; the first one fails with @code. */
static void boots_at_a_later_attempt(const char *fault, int code, const char *words)
{
	struct chip_boot_options opt = {.boot_timeout_ms = 250};
	struct backend *be = power_on(fault);
	uint64_t until = util_now_ms() + PATIENT_MS;
	struct hw_error err = {0};
	struct chip chip = {0};

	assert_int_equal(chip_init(&chip, be, &opt, &err), code);
	assert_words(err.text, words);
	mock_chip_clear_fault(backend_mock_chip(be), NULL);
	while (chip_init(&chip, be, &opt, &err) < 0)
		assert_true(util_now_ms() < until);
	assert_int_equal(chip_ping(&chip, 1000), 0);
	assert_int_equal(chip_shutdown(&chip), 0);
	backend_close(be);
}

static void boot_dead(void **state)
{
	(void)state;
	boots_at_a_later_attempt("boot-dead", -ETIMEDOUT, "did not start within 250 ms");
}

static void boot_slow(void **state)
{
	struct rig rig = open_loaded("boot-slow=600"); /* well within the 5 s that it gets */

	(void)state;
	assert_int_equal(struck(&rig, "boot-slow"), 1);
	all_good(&rig, 5);
	close_rig(&rig);
	boots_at_a_later_attempt("boot-slow=700", -ETIMEDOUT, "did not start within 250 ms");
}

/* ---------------------------------------------------------------------------- interrupts */

static void irq_late(void **state)
{
	struct rig rig = open_loaded("irq-late=70");

	(void)state;
	all_good(&rig, 12);
	assert_true(struck(&rig, "irq-late") > 12);
	assert_true(stats_of(&rig).interrupts_missed > 0);
	assert_true(logged("an interrupt was lost or is late") > 0);
	close_rig(&rig);
}

static void irq_lost(void **state)
{
	struct rig rig = open_loaded(NULL);

	(void)state;
	order(&rig, "irq-lost=3");
	all_good(&rig, 60);
	assert_true(struck(&rig, "irq-lost") > 0);
	/* and when not a single one arrives any more, in idle moments and in controls */
	order(&rig, "irq-lost=1");
	for (unsigned int i = 0; i < 6; i++)
		all_good(&rig, 1);
	assert_true(stats_of(&rig).interrupts_missed > 0);
	assert_true(logged("an interrupt was lost or is late") > 0);
	drop_net(&rig);
	must_load(&rig);
	all_good(&rig, 4);
	close_rig(&rig);
}

/* Nothing but the registers tells that the chip has booted. */
static void irq_lost_at_boot(void **state)
{
	struct rig rig = open_loaded("irq-lost");

	(void)state;
	assert_int_equal(struck(&rig, "irq-lost"), 1);
	assert_true(logged("an interrupt was lost or is late") > 0);
	all_good(&rig, 4);
	close_rig(&rig);
}

static void irq_doubled(void **state)
{
	struct rig rig = open_loaded("irq-doubled");
	uint64_t until = util_now_ms() + PATIENT_MS;
	struct hw_net_stats s;

	(void)state;
	all_good(&rig, 200);
	assert_int_equal(stats_of(&rig).completed, 200);
	assert_true(struck(&rig, "irq-doubled") > 0);
	do
		s = stats_of(&rig); /* the second one of the last frame is on its way */
	while (!s.interrupts_spurious && util_now_ms() < until);
	assert_true(s.interrupts_spurious > 0);
	assert_true(logged("an interrupt came twice or without a cause") > 0);
	close_rig(&rig);
}

/* ------------------------------------------------------------------------------ controls */

static int temperature(struct rig *rig, struct hw_error *err)
{
	float ts0, ts1;

	return hw_dev_temperature(rig->dev, &ts0, &ts1, err);
}

static void control_fails_once(struct rig *rig, const char *fault, int code, const char *words)
{
	struct hw_error err = {0};

	order(rig, fault);
	assert_int_equal(temperature(rig, &err), code);
	assert_words(err.text, words);
	assert_ok(temperature(rig, &err), &err);
}

/* A network that was refused leaves nothing behind, and loads the next time. */
static void load_fails_once(struct rig *rig, const char *fault, int code, const char *words)
{
	struct hw_error err = {0};

	order(rig, fault);
	assert_int_equal(load(rig, 4, &err), code);
	assert_words(err.text, words);
	assert_int_equal(backend_mock_dma_bytes(rig->be), 0);
	must_load(rig);
	all_good(rig, 5);
}

/*
 * The RESET that stops a network goes wrong while frames are on the chip: memory may be given back
 * only after the chip stopped in some other way.
 */
static void stop_fails_once(struct rig *rig, const char *fault)
{
	struct mock_stats s;
	unsigned int taken = 0;

	crowd_empty(&crowd);
	order(rig, fault);
	for (unsigned int i = 0; i < 4; i++)
		taken += frame_submit_patiently(crowd_add_tiny(&crowd, i), rig->net, PATIENT_MS, NULL) == 0;
	drop_net(rig);
	assert_int_equal(crowd.answered, taken);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(crowd.f[i].calls, 1);
	mock_chip_stats(rig->chip, &s);
	assert_int_equal(s.dma_faults, 0);
	for (unsigned int ch = 0; ch < CHIP_VDMA_CHANNELS; ch++)
		assert_int_equal(mock_chip_read(rig->chip, CHIP_BAR_VDMA, CHIP_VDMA_HOST(ch), 4) &
				 CHIP_VDMA_CTRL_START, 0);
	must_load(rig);
	all_good(rig, 5);
}

static void md5_bad(void **state)
{
	struct rig rig = open_rig(NULL);
	struct chip_boot_options boot = {0};
	struct hw_dev *dev = NULL;
	struct hw_error err = {0};

	(void)state;
	control_fails_once(&rig, "md5-bad", -EIO, "the MD5 of the answer to GET_CHIP_TEMPERATURE");
	/* -EIO, not -EBADMSG, which would speak of the HEF */
	load_fails_once(&rig, "md5-bad@control=2", -EIO, "the MD5 of the answer to");
	stop_fails_once(&rig, "md5-bad");
	close_rig(&rig);
	assert_int_equal(infer_dev_open(power_on("md5-bad"), &boot, false, &dev, &err), -EIO);
	assert_words(err.text, "IDENTIFY");
}

static void control_silent(void **state)
{
	struct rig rig = open_rig(NULL);

	(void)state;
	control_fails_once(&rig, "control-silent=46", -ETIMEDOUT,
			   "did not answer GET_CHIP_TEMPERATURE");
	load_fails_once(&rig, "control-silent=33", -ETIMEDOUT,
			"did not answer CONTEXT_SWITCH_SET_CONTEXT_INFO");
	stop_fails_once(&rig, "control-silent=37");
	assert_true(logged("did not answer CHANGE_CONTEXT_SWITCH_STATUS") > 0);
	close_rig(&rig);
}

/* Whichever control of a load it is that the firmware refuses. */
static void every_control_of_a_load_is_refused_once(struct rig *rig)
{
	unsigned int n = 0;
	int r;

	do {
		struct hw_error err = {0};
		char spec[48];

		snprintf(spec, sizeof(spec), "control-error=%u:0x40130037", ++n);
		order(rig, spec);
		r = load(rig, 4, &err);
		if (r < 0) {
			assert_int_equal(r, -EIO);
			assert_words(err.text, "refused");
			assert_words(err.text, "no such application (status 0x40130037");
			assert_int_equal(backend_mock_dma_bytes(rig->be), 0);
		}
	} while (r < 0);
	mock_chip_clear_fault(rig->chip, NULL); /* there are not that many */
	assert_true(n > 4);
	all_good(rig, 5);
}

static void control_error(void **state)
{
	struct rig rig = open_rig(NULL);

	(void)state;
	control_fails_once(&rig, "control-error=1", -EIO, "the core CPU reported a failure");
	every_control_of_a_load_is_refused_once(&rig);
	stop_fails_once(&rig, "control-error=1");
	close_rig(&rig);
}

/* ------------------------------------------------------------------------------ channels */

static void desc_error(void **state)
{
	struct rig rig = open_loaded(NULL);

	(void)state;
	order(&rig, "desc-error=2@frame=3");
	dies(&rig, 2, 30, -EIO, "the chip reports a DMA error on its channel");
	assert_true(logged("input tiny/") && logged("ch 2:"));
	works_again(&rig);
	order(&rig, "desc-error=16@frame=3");
	dies(&rig, 2, 30, -EIO, "the chip reports a DMA error on its channel");
	assert_true(logged("output tiny/") && logged("ch 16:"));
	works_again(&rig);
	close_rig(&rig);
}

static void channel_stuck(void **state)
{
	struct rig rig = open_loaded(NULL);

	(void)state;
	order(&rig, "channel-stuck=2@frame=3");
	dies(&rig, 2, 10, -ETIMEDOUT, "the firmware answers, but input tiny/");
	works_again(&rig);
	order(&rig, "channel-stuck=16@frame=3");
	dies(&rig, 2, 10, -ETIMEDOUT, "the firmware answers, but output tiny/");
	drop_net(&rig);
	/* A config channel: the network never becomes ready, and the text says which one it is. */
	order(&rig, "channel-stuck=1");
	must_load(&rig);
	dies(&rig, 0, 2, -ETIMEDOUT, "config channel 1 (vDMA channel 1) stopped at descriptor");
	works_again(&rig);
	close_rig(&rig);
}

static void completion_wrong(void **state)
{
	static const char words[] = "counts transfers that were not queued";
	struct rig rig = open_loaded(NULL);

	(void)state;
	order(&rig, "completion-wrong=ahead@frame=3");
	dies(&rig, 2, 20, -EIO, words);
	works_again(&rig);
	order(&rig, "completion-wrong=back@frame=3");
	dies(&rig, 2, 20, -EIO, words);
	works_again(&rig);
	/* One frame is never reported as done. */
	order(&rig, "completion-wrong=few@frame=3");
	dies(&rig, 2, 6, -ETIMEDOUT, "output tiny/");
	works_again(&rig);
	close_rig(&rig);
}

static void ctx_error(void **state)
{
	struct rig rig = open_loaded("ctx-error@frame=5");

	(void)state;
	dies(&rig, 4, 30, -EIO, "the firmware stopped the network at");
	assert_true(logged("a sequencer did not finish in time (0x4013007c)") > 0);
	works_again(&rig);
	close_rig(&rig);
}

/* ------------------------------------------------------------------------------- the card */

/* The chip cannot reach memory any more, and says so to nobody. */
static void expect_cut_off(struct rig *rig)
{
	struct mock_stats before, after;

	assert_int_equal(mock_chip_config_read(rig->chip, 4, 2) & 4, 0); /* bus master */
	mock_chip_stats(rig->chip, &before);
	usleep(20000);
	mock_chip_stats(rig->chip, &after);
	assert_int_equal(after.dma_read_bytes, before.dma_read_bytes);
	assert_int_equal(after.dma_write_bytes, before.dma_write_bytes);
	assert_int_equal(after.dma_faults, 0);
}

static void comes_back_by_reset(struct rig *rig)
{
	struct hw_error err = {0};

	assert_int_equal(load(rig, 4, &err), -EIO);
	assert_words(err.text, "reset the device");
	assert_ok(hw_dev_reset(rig->dev, &err), &err);
	must_load(rig);
	all_good(rig, 20);
}

static void removed(void **state)
{
	struct rig rig = open_loaded("removed@frame=5");
	struct hw_error err = {0};

	(void)state;
	dies(&rig, 4, 30, -ENODEV, "fell off the bus or was removed");
	assert_int_equal(temperature(&rig, &err), -ENODEV);
	assert_words(err.text, "does not answer any more");
	drop_net(&rig);
	assert_true(hw_dev_reset(rig.dev, &err) == -ENODEV);
	/* put in again */
	mock_chip_clear_fault(rig.chip, "removed");
	assert_ok(hw_dev_reset(rig.dev, &err), &err);
	must_load(&rig);
	all_good(&rig, 20);
	close_rig(&rig);
}

/* It may vanish at any access: every opening ends, and none of them well. */
static void removed_while_opening(void **state)
{
	struct chip_boot_options boot = {.boot_timeout_ms = 1000};
	struct mock_stats s;
	struct rig rig = open_rig(NULL);
	uint64_t total;

	(void)state;
	mock_chip_stats(rig.chip, &s);
	total = s.mmio_reads + s.mmio_writes;
	close_rig(&rig);
	for (unsigned int i = 0; i < 40; i++) {
		struct hw_dev *dev = NULL;
		struct hw_error err = {0};
		char spec[40];

		snprintf(spec, sizeof(spec), "removed@mmio=%u", (unsigned int)(1 + i * (total - 50) / 40));
		assert_int_equal(infer_dev_open(power_on(spec), &boot, false, &dev, &err), -ENODEV);
		assert_words(err.text, "not answer");
	}
}

static void overheat(void **state)
{
	struct rig rig = open_loaded("overheat=30:400@frame=5");
	uint64_t until = util_now_ms() + PATIENT_MS;
	struct hw_error err = {0};
	struct outcome o = {0};
	int r;

	(void)state;
	while (!o.code && util_now_ms() < until)
		o = run(&rig, 50, PATIENT_MS);
	assert_int_equal(o.code, -EIO);
	assert_words(o.text, "closed all streams because it is too hot");
	assert_words(o.text, "112.5");
	assert_int_equal(hw_net_state(rig.net, &err), -EIO);
	assert_int_equal(logged("orange zone"), 1);
	assert_int_equal(logged("red zone"), 1);
	drop_net(&rig);
	for (r = load(&rig, 4, &err); r < 0 && util_now_ms() < until; r = load(&rig, 4, &err)) {
		assert_int_equal(r, -EIO);
		assert_words(err.text, "too hot to open streams");
		usleep(20000);
	}
	assert_int_equal(r, 0);
	all_good(&rig, 20);
	close_rig(&rig);
}

/* ------------------------------------------------------------------------------- firmware */

static void fw_crash(void **state)
{
	struct rig rig = open_loaded("fw-crash@frame=5");

	(void)state;
	dies(&rig, 4, 30, -ETIMEDOUT, "the firmware does not answer either, it has crashed");
	drop_net(&rig);
	expect_cut_off(&rig);
	comes_back_by_reset(&rig);
	close_rig(&rig);
}

static void fw_crash_while_idle(void **state)
{
	struct rig rig = open_loaded(NULL);
	struct hw_error err = {0};

	(void)state;
	all_good(&rig, 3);
	order(&rig, "fw-crash");
	assert_int_equal(temperature(&rig, &err), -ETIMEDOUT);
	assert_words(err.text, "it has crashed: reset the device");
	/* The gentle way fails, the reset of the whole function does not. */
	assert_ok(hw_dev_reset(rig.dev, &err), &err);
	drop_net(&rig);
	must_load(&rig);
	all_good(&rig, 5);
	close_rig(&rig);
}

static void fw_reboot(void **state)
{
	struct rig rig = open_loaded("fw-reboot=20@frame=5");

	(void)state;
	dies(&rig, 4, 30, -EIO, "the firmware crashed or restarted");
	drop_net(&rig);
	expect_cut_off(&rig);
	comes_back_by_reset(&rig);
	close_rig(&rig);
}

/* --------------------------------------------------------------------------------- events */

static void event_storm(void **state)
{
	struct rig rig = open_loaded("event-storm=2000@frame=5");
	struct mock_stats s;

	(void)state;
	all_good(&rig, 200);
	do
		mock_chip_stats(rig.chip, &s);
	while (s.events < 2000 && usleep(1000) == 0);
	assert_true(logged("an event storm") >= 1);
	assert_in_range(logged("clock changed"), 20, 200);
	all_good(&rig, 20);
	close_rig(&rig);
}

static void ecc(void **state)
{
	struct rig rig = open_loaded("ecc");

	(void)state;
	/* seen on healthy cards right after boot: told, and that is all */
	assert_int_equal(logged("CPU memory error, corrected"), 1);
	assert_true(logged("0x00001000") >= 1);
	all_good(&rig, 20);
	order(&rig, "ecc-fatal=0x20@frame=4");
	dies(&rig, 3, 30, -EIO, "cannot be corrected");
	assert_true(logged("0x00000020") >= 1);
	works_again(&rig);
	close_rig(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(orders_are_checked, fresh_journal),
		cmocka_unit_test_setup(boot_dead, fresh_journal),
		cmocka_unit_test_setup(boot_slow, fresh_journal),
		cmocka_unit_test_setup(irq_late, fresh_journal),
		cmocka_unit_test_setup(irq_lost, fresh_journal),
		cmocka_unit_test_setup(irq_lost_at_boot, fresh_journal),
		cmocka_unit_test_setup(irq_doubled, fresh_journal),
		cmocka_unit_test_setup(md5_bad, fresh_journal),
		cmocka_unit_test_setup(control_silent, fresh_journal),
		cmocka_unit_test_setup(control_error, fresh_journal),
		cmocka_unit_test_setup(desc_error, fresh_journal),
		cmocka_unit_test_setup(channel_stuck, fresh_journal),
		cmocka_unit_test_setup(completion_wrong, fresh_journal),
		cmocka_unit_test_setup(ctx_error, fresh_journal),
		cmocka_unit_test_setup(removed, fresh_journal),
		cmocka_unit_test_setup(removed_while_opening, fresh_journal),
		cmocka_unit_test_setup(overheat, fresh_journal),
		cmocka_unit_test_setup(fw_crash, fresh_journal),
		cmocka_unit_test_setup(fw_crash_while_idle, fresh_journal),
		cmocka_unit_test_setup(fw_reboot, fresh_journal),
		cmocka_unit_test_setup(event_storm, fresh_journal),
		cmocka_unit_test_setup(ecc, fresh_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
