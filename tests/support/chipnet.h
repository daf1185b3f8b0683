// SPDX-License-Identifier: MIT
/* Software-chip networks in tests: TCN data from ../shared, and config streams out of a HEF. */
#ifndef TESTS_SUPPORT_CHIPNET_H
#define TESTS_SUPPORT_CHIPNET_H

#include "build/build.h"
#include "mock/mock.h"
#include "support/support.h"

#define TCN_STEPS 100
#define TCN_CHANNELS 9
#define TCN_LATENTS 64

struct tcn_data {
	float mean[TCN_CHANNELS], std[TCN_CHANNELS];
	size_t n_calib;
	float *calib[8]; /* normalised */
	size_t n_cases;
	float *window[8], latent[8][TCN_LATENTS]; /* normalised, and what the float model says */
	char name[8][32];
};

/* All of it from ../shared (skips the test when that is absent). */
void tcn_load(struct tcn_data *d);
void tcn_free(struct tcn_data *d);
/* Build ../shared's TCN on its calibration windows. */
void tcn_build(const struct tcn_data *d, struct build_result *out);

/* The bytes that each config channel of @hef carries, by a parser of its own; free() both. */
void chipnet_streams(const uint8_t *hef, size_t len, uint8_t *stream[2], size_t size[2]);
/* A core that has taken them; the test fails if it refuses. */
struct core *core_from_hef(const uint8_t *hef, size_t len, unsigned int threads);
/* One input and one output: normalised floats in, codes out. */
void core_run_f32(struct core *core, const struct build_result *b, const float *in, size_t n,
		  uint8_t *out);
double cosine(const float *a, const float *b, size_t n);

#endif
