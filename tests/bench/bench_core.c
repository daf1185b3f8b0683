// SPDX-License-Identifier: MIT
/* Milliseconds per TCN window on the software chip's neural core, and for building it. */
#include "support/chipnet.h"

static void bench(void **state)
{
	struct tcn_data d;
	struct build_result b;
	uint64_t t = util_now_ns();
	uint8_t out[TCN_LATENTS];

	(void)state;
	tcn_load(&d);
	tcn_build(&d, &b);
	print_message("core: build the TCN: %.0f ms, %.1f MMAC per window, HEF of %zu bytes\n",
		      (double)(util_now_ns() - t) / 1e6, (double)b.macs / 1e6, b.hef_len);
	for (unsigned int threads = 1; threads <= 2; threads++) {
		struct core *core = core_from_hef(b.hef, b.hef_len, threads);
		const int n = 200;

		core_run_f32(core, &b, d.window[0], TCN_STEPS * TCN_CHANNELS, out);
		t = util_now_ns();
		for (int i = 0; i < n; i++)
			core_run_f32(core, &b, d.window[1], TCN_STEPS * TCN_CHANNELS, out);
		print_message("core: %.2f ms per window, %u thread%s\n",
			      (double)(util_now_ns() - t) / 1e6 / n, threads,
			      threads > 1 ? "s" : "");
		core_free(core);
	}
	build_result_free(&b);
	tcn_free(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(bench)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
