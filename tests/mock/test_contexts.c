// SPDX-License-Identifier: MIT
/* Networks of several contexts, from the file to the frames, on the chip in software. */
#include "mock/multi_rig.h"

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
	const struct want w = {.batch = 4};
	struct mock_stats chip;
	struct multinet m;
	struct rig rig;

	(void)state;
	multinet_chain(&m, 3);
	rig = rig_open(&m, &w);
	all_right(&rig, 12);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chains),
		cmocka_unit_test(page_limits),
		cmocka_unit_test(accounting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
