// SPDX-License-Identifier: MIT
/*
 * Networks of several contexts are only ever given as many frames as their last ENABLED announced,
 * alone and beside other networks.
 */
#include "mock/switch_rig.h"
#include "support/multinet.h"

/* Network 1 of a rig has several contexts; 0 and 2 are small ones. */
#define MULTI 1
#define BATCH 4u

static struct multinet multi;

/* What @multi says. */
static void load_this(struct rig *rig, const struct hw_net_options *o)
{
	struct hw_error err = {0};
	size_t len;
	uint8_t *hef = multinet_hef(&multi, &len);

	assert_ok(hw_net_load_mem(rig->dev, hef, len, o, &rig->net[MULTI], &err), &err);
	free(hef);
}

static void load_multi(struct rig *rig, const struct hw_net_options *o)
{
	multinet_chain(&multi, 3);
	load_this(rig, o);
}

/* Frames of network MULTI; each is answered by the contexts' chained pattern. */
static struct crowd multi_crowd = CROWD_INITIALIZER;

static size_t in_bytes(void)
{
	return multinet_bytes(multinet_boundary(&multi, true, 0));
}

static size_t out_bytes(void)
{
	return multinet_bytes(multinet_boundary(&multi, false, 0));
}

static void submit_multi(struct rig *rig, unsigned int n, uint32_t timeout_ms)
{
	while (n--) {
		struct frame *f = crowd_add(&multi_crowd);

		f->in[0] = frame_bytes(in_bytes(), multi_crowd.n);
		f->out[0] = frame_bytes(out_bytes(), 99);
		assert_int_equal(frame_submit(f, rig->net[MULTI], timeout_ms, NULL), 0);
	}
}

static void wait_multi(unsigned int n)
{
	crowd_wait(&multi_crowd, n);
}

/* Frames @from to @from + @n - 1 came back with their own answers. */
static void assert_multi(unsigned int from, unsigned int n)
{
	uint8_t *want = malloc(out_bytes());

	for (unsigned int i = from; i < from + n; i++) {
		const struct frame *f = &multi_crowd.f[i];

		if (f->status)
			fail_msg("frame %u: %s", i, f->text);
		assert_int_equal(f->calls, 1);
		multinet_answer(&multi, (const uint8_t *const *)f->in, &want);
		assert_memory_equal(f->out[0], want, out_bytes());
	}
	free(want);
}

static void close_multi(struct rig *rig)
{
	close_rig(rig);
	crowd_empty(&multi_crowd);
}

static void begin(struct rig *rig)
{
	crowd_empty(&crowd);
	open_rig(rig);
	load(rig, 0, &in_turns);
}

/* ------------------------------------------------------------------------ as many as wait */

static void the_chip_is_told_how_many_frames_come(void **state)
{
	struct hw_net_options o = {.batch = BATCH};
	struct rig rig;

	(void)state;
	begin(&rig);
	load_multi(&rig, &o);
	assert_story("reset clear header header enable 1/0");
	/* One alone, then seven that were submitted while the device's thread was held. */
	submit_multi(&rig, 1, PATIENT_MS);
	wait_multi(1);
	assert_story("enable 1/1");
	hold(&rig, 0);
	forget_story();
	submit_multi(&rig, 7, PATIENT_MS);
	owner_let_go();
	wait_multi(8);
	assert_multi(0, 8);
	/* Channels go on: the frames of a smaller batch follow those of a larger one. */
	assert_story("enable 1/4 enable 1/3");
	close_multi(&rig);
}

/* As if the file had a BATCH_SIZE action (protocol 4.1): the chip hears of it with the next CLEAR. */
static int forbid_fast_batches(struct hw_dev *dev, void *arg, struct hw_error *err)
{
	struct hw_net *net = arg;

	(void)err;
	net->plan->header[NETWORK_HEADER_FAST_BATCH] = 0;
	infer_apps_unknown(dev);
	return 0;
}

static void a_network_that_cannot_change_its_batch_begins_anew(void **state)
{
	struct hw_net_options o = {.batch = BATCH};
	const struct infer_stream *s;
	struct rig rig;

	(void)state;
	begin(&rig);
	load_multi(&rig, &o);
	infer_call(rig.dev, forbid_fast_batches, rig.net[MULTI], NULL);
	forget_story();
	hold(&rig, 0);
	submit_multi(&rig, 6, PATIENT_MS);
	owner_let_go();
	wait_multi(6);
	assert_multi(0, 6);
	assert_story("reset clear header header enable 0/1 enable 1/4 enable 1/2");
	/* Its channels began at 0 each time: the last batch has two frames. */
	s = &rig.net[MULTI]->inputs[0];
	assert_int_equal(s->channel.head, 2 * ceil_div(s->stream->transfer, s->stream->page));
	close_multi(&rig);
}

static void turns_of_batches(void **state)
{
	struct hw_net_options o = {.batch = BATCH, .take_turns = true};
	struct rig rig;

	(void)state;
	begin(&rig);
	load_multi(&rig, &o);
	forget_story();
	hold(&rig, 0); /* its turn is over: a batch of 1 */
	submit_multi(&rig, 6, PATIENT_MS);
	for (unsigned int i = 0; i < 3; i++)
		submit(&rig, 0, PATIENT_MS);
	owner_let_go();
	wait_multi(6);
	crowd_wait(&crowd, 4);
	assert_multi(0, 6);
	assert_story("enable 0/1 enable 1/4 enable 0/1 enable 1/2 enable 0/1");
	close_multi(&rig);
}

/* ------------------------------------------------------------------------------ a fixed number */

static void frames_wait_until_a_batch_is_complete(void **state)
{
	struct hw_net_options o = {.batch = BATCH, .dynamic_batch = 3};
	struct rig rig;

	(void)state;
	begin(&rig);
	load_multi(&rig, &o);
	forget_story();
	submit_multi(&rig, 2, 100);
	/* Two do not make three; others need not wait for the third. */
	works(&rig, 0);
	wait_multi(2);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(multi_crowd.f[i].status, -ETIMEDOUT);
		assert_int_equal(multi_crowd.f[i].calls, 1);
		assert_non_null(strstr(multi_crowd.f[i].text, "a batch of 3 frames"));
	}
	assert_int_equal(hw_net_state(rig.net[MULTI], NULL), 0);
	assert_story("enable 0/1");
	submit_multi(&rig, 6, PATIENT_MS);
	wait_multi(8);
	assert_multi(2, 6);
	assert_story("enable 1/3");
	submit_multi(&rig, 1, 50);
	wait_multi(9);
	assert_int_equal(multi_crowd.f[8].status, -ETIMEDOUT);
	assert_non_null(strstr(multi_crowd.f[8].text, "a batch of 3 frames"));
	close_multi(&rig);
}

/* The vendor's traffic of explicit activation: one ENABLED without a number, whoever is how fast. */
static void whole_batches_need_no_other_number(void **state)
{
	struct hw_net_options o = {.batch = BATCH, .whole_batches = true};
	struct rig rig;

	(void)state;
	begin(&rig);
	load_multi(&rig, &o);
	assert_story("reset clear header header enable 1/0");
	submit_multi(&rig, BATCH - 1, PATIENT_MS);
	works(&rig, 0); /* has its turn, since they cannot start yet */
	assert_int_equal(multi_crowd.f[0].calls, 0);
	submit_multi(&rig, 1 + BATCH, PATIENT_MS);
	wait_multi(2 * BATCH);
	assert_multi(0, 2 * BATCH);
	assert_story("enable 0/1 enable 1/4");
	close_multi(&rig);
}

/* Whose input, or output, has room for two frames of them: the rest follows, and nobody is told. */
static void a_batch_longer_than_a_list(void **state)
{
	struct hw_net_options whole = {.batch = BATCH, .whole_batches = true};
	struct hw_net_options fixed = {.batch = BATCH, .dynamic_batch = 3};
	struct rig rig;

	(void)state;
	for (unsigned int k = 0; k < 4; k++) {
		const struct hw_net_options *o = k < 2 ? &whole : &fixed;
		unsigned int batch = k < 2 ? BATCH : 3;

		begin(&rig);
		rig.dev->chip.max_desc_page = 128;
		multinet_chain(&multi, 3);
		multi.ctx[k % 2 ? 2 : 0].layer[k % 2].rows = 3000;
		multi.ctx[k % 2 ? 2 : 0].layer[k % 2].row_bytes = 1024;
		load_this(&rig, o);
		submit_multi(&rig, batch, PATIENT_MS);
		wait_multi(batch);
		submit_multi(&rig, batch, PATIENT_MS);
		wait_multi(2 * batch);
		assert_multi(0, 2 * batch);
		assert_story(k < 2 ? "reset clear header header enable 1/0"
				   : "reset clear header header enable 1/3");
		close_multi(&rig);
	}
}

static void more_than_the_batch_is_refused(void **state)
{
	struct hw_net_options o = {.batch = 2, .dynamic_batch = 3};
	struct hw_error err = {0};
	struct rig rig;

	(void)state;
	open_rig(&rig);
	assert_int_equal(try_load(&rig, 0, &o, &err), -EINVAL);
	assert_non_null(strstr(err.text, "dynamic batch of 3 in a batch of 2"));
	o.batch = 64;
	assert_int_equal(try_load(&rig, 0, &o, &err), -EINVAL);
	assert_non_null(strstr(err.text, "at most 63"));
	close_rig(&rig);
}

/* ------------------------------------------------------------------------------------- faults */

static void a_refused_change_of_batch(void **state)
{
	struct hw_net_options o = {.batch = BATCH};
	struct hw_error err = {0};
	struct rig rig;

	(void)state;
	begin(&rig);
	load_multi(&rig, &o);
	works(&rig, 0);
	submit_multi(&rig, 1, PATIENT_MS);
	wait_multi(1);
	assert_multi(0, 1);
	forget_story();
	hold(&rig, 0);
	/* ENABLED(1, 4), and then ENABLED(1, 2) for the rest. */
	order(&rig, "control-error=2:0x4013003f");
	submit_multi(&rig, 6, PATIENT_MS);
	owner_let_go();
	wait_multi(7);
	assert_multi(1, 4);
	for (unsigned int i = 5; i < 7; i++)
		assert_int_equal(multi_crowd.f[i].status, -EIO);
	assert_int_equal(hw_net_state(rig.net[MULTI], &err), -EIO);
	assert_non_null(strstr(err.text, "0x4013003f"));
	assert_story("enable 0/1 enable 1/4 enable 1/2 reset");
	works(&rig, 0);
	close_multi(&rig);
}

/* ------------------------------------------------------------------------------------ groups */

/* A frame, and the answer that its own network's contexts give. */
static void runs(struct hw_net *net, const struct multinet *m, unsigned int seed)
{
	size_t n_in = multinet_bytes(multinet_boundary(m, true, 0));
	size_t n_out = multinet_bytes(multinet_boundary(m, false, 0));
	uint8_t *in = malloc(n_in), *out = calloc(1, n_out), *want = calloc(1, n_out);
	struct hw_error err = {0};

	for (size_t i = 0; i < n_in; i++)
		in[i] = (uint8_t)((i * 2654435761u + seed * 40503u) >> 9);
	assert_ok(hw_net_run(net, (const void *const *)&in, (void *const *)&out, PATIENT_MS, &err), &err);
	multinet_answer(m, (const uint8_t *const *)&in, &want);
	assert_memory_equal(out, want, n_out);
	free(in);
	free(out);
	free(want);
}

static void groups_of_one_file(void **state)
{
	struct hw_net_options first = {.name = "first", .batch = 2}, nobody = {.name = "nobody"};
	struct hw_error err = {0};
	struct multinet a, b;
	struct rig rig;
	size_t len;
	uint8_t *hef;

	(void)state;
	multinet_chain(&a, 2);
	multinet_chain(&b, 5);
	a.group = "first";
	b.group = "second";
	hef = multinet_hef_of_two(&a, &b, &len);
	open_rig(&rig);
	assert_int_equal(hw_net_load_mem(rig.dev, hef, len, &nobody, &rig.net[0], &err), -ENOENT);
	assert_non_null(strstr(err.text, "no network group nobody, only second, first"));
	assert_ok(hw_net_load_mem(rig.dev, hef, len, NULL, &rig.net[0], &err), &err);
	assert_ok(hw_net_load_mem(rig.dev, hef, len, &first, &rig.net[1], &err), &err);
	assert_string_equal(hw_net_name(rig.net[0]), "second");
	assert_string_equal(hw_net_name(rig.net[1]), "first");
	free(hef);
	for (unsigned int i = 0; i < 4; i++) {
		runs(rig.net[0], &b, i);
		runs(rig.net[1], &a, i);
	}
	close_rig(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_chip_is_told_how_many_frames_come),
		cmocka_unit_test(a_network_that_cannot_change_its_batch_begins_anew),
		cmocka_unit_test(turns_of_batches),
		cmocka_unit_test(frames_wait_until_a_batch_is_complete),
		cmocka_unit_test(whole_batches_need_no_other_number),
		cmocka_unit_test(a_batch_longer_than_a_list),
		cmocka_unit_test(more_than_the_batch_is_refused),
		cmocka_unit_test(a_refused_change_of_batch),
		cmocka_unit_test(groups_of_one_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
