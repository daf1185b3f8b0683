// SPDX-License-Identifier: MIT
/*
 * From an ONNX model to a HEF for software chips: calibration, 8-bit quantisation, the payload of
 * mock/payload.h, and a HEF that is valid by every rule of the format.  No real chip can run it,
 * and the mandatory extension number says so.
 */
#ifndef HWLAYER_BUILD_BUILD_H
#define HWLAYER_BUILD_BUILD_H

#include <hwlayer/manifest.h>

#include "onnx/onnx.h"

#define BUILD_CONTEXTS_MAX 64u

struct build_options {
	const char *name; /* network group name, NULL: from the graph */
	size_t n_samples;
	const float *const *samples; /* calibration inputs, already normalised, graph input order:
				      * sample s, input i at samples[s * n_inputs + i] */
	size_t contexts; /* that the chip runs one after the other, 0 means 1 */
	/* after each sample and then each layer; false: stop (-ECANCELED); may be NULL */
	bool (*progress)(size_t done, size_t total, void *user);
	void *user;
};

struct build_result {
	uint8_t *hef; /* free() */
	size_t hef_len;
	/* per-channel quantisation of the first input's last axis, to be folded into the
	 * normalisation: stored = normalised / scale + zero_point; free() both */
	uint32_t channels;
	float *in_scale, *in_zero;
	uint64_t macs; /* multiply-accumulates of one inference */
};

/* Quantise and write.  -ENOTSUP: an operator that the 8-bit core does not do; -EINVAL; -ENOMEM. */
int build_hef(const struct onnx_graph *graph, const struct build_options *opt,
	      struct build_result *out, struct hw_error *err);
void build_result_free(struct build_result *r);

#endif
