// SPDX-License-Identifier: MIT
/* Networks of several contexts, from the file to the frames, on the chip in software. */
#include "mock/multi_rig.h"
#include "unit/onnx_build.h"

static struct mock_context_stats stats_of(const struct rig *rig, unsigned int context)
{
	struct mock_context_stats s = {0};

	assert_true(mock_chip_context_stats(rig->chip, 0, context, &s));
	return s;
}

static void run_chain(size_t contexts, uint32_t batch, uint32_t page, bool run_asap)
{
	const struct want w = {.batch = batch, .page = page, .in_flight = 2 * batch};
	struct multinet m;
	struct rig rig;

	multinet_chain(&m, contexts);
	m.run_asap = run_asap;
	rig = rig_open(&m, &w);
	all_right(&rig, 3 * batch);
	rig_close(&rig);
}

static void chains(void **state)
{
	static const uint32_t batches[] = {1, 2, 8, 16};
	static const size_t contexts[] = {2, 3, 5};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(contexts); i++)
		for (size_t k = 0; k < ARRAY_SIZE(batches); k++)
			run_chain(contexts[i], batches[k], 0, k % 2);
}

static void page_limits(void **state)
{
	static const uint32_t pages[] = {128, 256, 4096};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		run_chain(3, 4, pages[i], false);
		run_chain(2, 16, pages[i], true);
	}
}

static void accounting(void **state)
{
	const struct want w = {.batch = 4, .dynamic_batch = 4};
	struct mock_stats chip;
	struct multinet m;
	struct rig rig;

	(void)state;
	multinet_chain(&m, 3);
	rig = rig_open(&m, &w);
	all_right(&rig, 12);
	/* The chip goes on until it waits for a fourth batch in context 0. */
	while (stats_of(&rig, 0).fetches < 4)
		usleep(200);
	for (unsigned int k = 0; k < 3; k++) {
		struct mock_context_stats s = stats_of(&rig, k);
		size_t in = k ? multinet_bytes(&m.ctx[k].layer[0]) : 0;
		size_t out = k < 2 ? multinet_bytes(&m.ctx[k].layer[1]) : 0;
		bool first = k == 0; /* it is waiting for the next batch, configured already */

		assert_int_equal(s.frames, 12);
		assert_int_equal(s.passes, 3);
		assert_int_equal(s.cfg_bytes, (3 + first) * (m.ctx[k].ccw[0] + m.ctx[k].ccw[1]));
		assert_int_equal(s.fetches, (3 + first) * (m.ctx[k].ccw[1] ? 2 : 1));
		assert_int_equal(s.inner_read, 12 * in);
		assert_int_equal(s.inner_written, 12 * out);
	}
	mock_chip_stats(rig.chip, &chip);
	assert_int_equal(chip.frames, 12);
	assert_int_equal(chip.standin_frames, 12);
	rig_close(&rig);
}

static void branches(void **state)
{
	static const uint32_t pages[] = {128, 256, 4096};

	(void)state;
	for (uint32_t batch = 1; batch <= 16; batch = batch * 3 + 1)
		for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
			const struct want w = {.batch = batch, .page = pages[i], .in_flight = batch + 3};
			struct multinet m;
			struct rig rig;

			multinet_branched(&m);
			m.no_wait = i == 1;
			rig = rig_open(&m, &w);
			all_right(&rig, 4 * batch);
			rig_close(&rig);
		}
}

/* Two pairs of buffered rows in context @k, more rows than are kept, of different sizes. */
static void add_rows(struct multinet *m, size_t k)
{
	struct multinet_context *c = &m->ctx[k];
	struct multinet_layer a = {.name = "multi/rows", .kind = MN_DDR, .stream = 20, .rows = 9,
				   .row_bytes = 1024, .peer_stream = 21, .buffered = 4};
	struct multinet_layer b = {.name = "multi/more", .kind = MN_DDR, .stream = 22, .rows = 30,
				   .row_bytes = 512, .peer_stream = 20, .buffered = 1};
	struct multinet_layer x = a, y = b;

	x.input = y.input = true;
	x.stream = 21;
	x.peer_stream = 20;
	y.stream = 20; /* an index may serve both directions (extension 20) */
	y.peer_stream = 22;
	c->layer[c->n++] = y;
	c->layer[c->n++] = b;
	c->layer[c->n++] = a;
	c->layer[c->n++] = x;
}

static void rows_in_host_memory(void **state)
{
	static const uint32_t pages[] = {128, 256, 4096};

	(void)state;
	for (size_t k = 0; k < 3; k++) {
		const struct want w = {.batch = 1u << k, .page = pages[k], .in_flight = 8};
		struct mock_context_stats s;
		struct multinet m;
		struct rig rig;

		multinet_chain(&m, 3);
		add_rows(&m, k);
		m.run_asap = k == 0;
		rig = rig_open(&m, &w);
		all_right(&rig, 12);
		s = stats_of(&rig, (unsigned int)k);
		assert_int_equal(s.inner_written - 12 * (9 * 1024 + 30 * 512),
				 k < 2 ? 12 * multinet_bytes(&m.ctx[k].layer[1]) : 0);
		rig_close(&rig);
	}
}

/* One context with rows streams for ever; ring positions pass the end of the list many times. */
static void rows_of_a_single_context(void **state)
{
	const struct want w = {.batch = 2};
	struct mock_context_stats s;
	struct multinet m;
	struct rig rig;

	(void)state;
	multinet_chain(&m, 1);
	m.pre_ccw[0] = 0;
	add_rows(&m, 0);
	rig = rig_open(&m, &w);
	all_right(&rig, 40);
	s = stats_of(&rig, 0);
	assert_int_equal(s.inner_written, 40 * (9 * 1024 + 30 * 512));
	assert_int_equal(s.inner_read, s.inner_written);
	rig_close(&rig);
}

/* The whole batch, parts of it, and more slots than anybody asked for: the driver sees to that. */
static void dynamic_batches(void **state)
{
	static const struct want wants[] = {
		{.batch = 16, .dynamic_batch = 16},
		{.batch = 16, .dynamic_batch = 3, .in_flight = 4},
		{.batch = 8, .dynamic_batch = 1},
		{.batch = 2, .dynamic_batch = 2, .in_flight = 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wants); i++) {
		struct mock_context_stats s;
		struct multinet m;
		struct rig rig;

		multinet_chain(&m, 2);
		rig = rig_open(&m, &wants[i]);
		all_right(&rig, 6 * wants[i].dynamic_batch);
		do
			s = stats_of(&rig, 0);
		while (s.fetches < 7);
		assert_int_equal(s.passes, 6);
		rig_close(&rig);
	}
}

/*
 * Frames one by one, in twos and all together: the batch is switched while the network is
 * running, and the streams of context 0 are opened anew.
 */
static void batches_change(void **state)
{
	static const unsigned int crowds[] = {1, 5, 2, 16, 1, 1, 7, 16, 3};

	(void)state;
	for (unsigned int rows = 0; rows < 2; rows++) {
		const struct want w = {.batch = 16, .in_flight = 16};
		struct multinet m;
		struct rig rig;

		multinet_chain(&m, 3);
		if (rows)
			add_rows(&m, 0);
		rig = rig_open(&m, &w);
		for (size_t i = 0; i < ARRAY_SIZE(crowds); i++)
			all_right(&rig, crowds[i]);
		rig_close(&rig);
	}
}

/* ----------------------------------------------------------------------- an ONNX model by order */

#define N 16u

/*
 * y = a + b; a comes in context 0 of three, b in context @b, y leaves context 2.  With @early an
 * output that needs a alone leaves context 1.
 */
static void make_sum(struct multinet *m, unsigned int b, bool early)
{
	multinet_chain(m, 3);
	m->ctx[0].layer[0] = (struct multinet_layer){.name = "multi/a", .input = true, .rows = 1, .row_bytes = N};
	m->ctx[b].layer[m->ctx[b].n++] = (struct multinet_layer){
		.name = "multi/b", .input = true, .stream = 7, .rows = 1, .row_bytes = N};
	m->ctx[2].layer[1] = (struct multinet_layer){.name = "multi/y", .stream = 8, .rows = 1, .row_bytes = N};
	if (early)
		m->ctx[1].layer[m->ctx[1].n++] = (struct multinet_layer){
			.name = "multi/e", .stream = 9, .rows = 1, .row_bytes = N};
}

static struct rig open_sum(const struct multinet *m, bool early, const struct want *w)
{
	struct mb *model = mb_new(13);
	struct rig rig = {0};

	mb_input(model, "a", MB_DIMS(1, N));
	mb_input(model, "b", MB_DIMS(1, N));
	mb_node(model, "Add", "a b", "y");
	mb_output(model, "y");
	if (early) {
		mb_node(model, "Relu", "a", "e");
		mb_output(model, "e");
	}
	rig_power_on(&rig, w);
	rig.dev->mock_onnx = strdup(mb_save(model, "sum"));
	rig_load(&rig, m, w);
	return rig;
}

static void a_model_answers_for_several_contexts(void **state)
{
	(void)state;
	for (unsigned int b = 0; b < 3; b++) {
		const struct want w = {.batch = 4};
		struct multinet m;
		struct rig rig;

		make_sum(&m, b, false);
		rig = open_sum(&m, false, &w);
		assert_true(!strncmp(hw_net_function(rig.net), "onnx:", 5));
		send_frames(&rig, 12, PATIENT_MS);
		for (unsigned int i = 0; i < 12; i++) {
			const struct frame *f = &crowd.f[i];

			assert_int_equal(f->status, 0);
			for (unsigned int k = 0; k < N; k++) {
				unsigned int sum = f->in[0][k] + f->in[1][k];

				assert_int_equal(f->out[0][k], sum > 255 ? 255 : sum);
			}
		}
		crowd_empty(&crowd);
		rig_close(&rig);
	}
}

static void a_model_cannot_answer_before_its_inputs(void **state)
{
	const struct want w = {.batch = 2, .dynamic_batch = 2};
	char fault[256];
	struct multinet m;
	struct rig rig;

	(void)state;
	make_sum(&m, 2, true);
	rig = open_sum(&m, true, &w);
	send_frames(&rig, 2, IMPATIENT_MS);
	assert_true(crowd.f[0].status < 0);
	assert_words(crowd.f[0].text, "in dynamic context 1");
	mock_chip_last_fault(rig.chip, fault, sizeof(fault));
	assert_words(fault, "an input of the network comes later");
	crowd_empty(&crowd);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dynamic_batches),
		cmocka_unit_test(batches_change),
		cmocka_unit_test(branches),
		cmocka_unit_test(rows_in_host_memory),
		cmocka_unit_test(rows_of_a_single_context),
		cmocka_unit_test(chains),
		cmocka_unit_test(page_limits),
		cmocka_unit_test(accounting),
		cmocka_unit_test(a_model_answers_for_several_contexts),
		cmocka_unit_test(a_model_cannot_answer_before_its_inputs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
