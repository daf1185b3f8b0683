// SPDX-License-Identifier: MIT
/* Inside of "hwctl run": what its files share. */
#ifndef HWLAYER_HWCTL_RUN_H
#define HWLAYER_HWCTL_RUN_H

#include "hwctl/hwctl.h"

#define RUN_TENSORS_MAX 32
#define RUN_MODELS_MAX 32 /* as many as a chip holds */

struct run_arguments {
	long frames, in_flight, timeout;
	long batch, queue_depth, max_page;
	const char *hw_consts, *layout;
	const char *detections;
	bool cpu, measure_latency, raw;
};

/* One model and its frames, however they are run: tensors of floats or bytes, inputs that take turns. */
struct run_job {
	const struct options *opt;
	const struct run_arguments *arg;
	const char *model, *name;            /* the file, and a network group of it or NULL */
	const char *input, *manifest_path;   /* as given, NULL: not */
	struct hw_manifest *manifest;        /* NULL: values go in as they are */
	size_t n_in, n_out;
	struct hw_tensor_info in[RUN_TENSORS_MAX], out[RUN_TENSORS_MAX];
	size_t n_inputs;                     /* distinct input frames */
	uint8_t **inputs;                    /* n_inputs x n_in, user frames */
	uint8_t **outputs;                   /* n_inputs x n_out, the last answer to each input */
	uint64_t *latency_ns;
	size_t frames, done, failed;
	uint64_t wall_ns, chip_ns;
	struct hw_error err;                 /* of the first failed frame */
	char function[256];                  /* hw_net_function(), or "cpu" */
};

bool run_has_suffix(const char *s, const char *suffix);
/* run_input.c: inputs, outputs and how many frames, once the tensors are known */
int run_make_inputs(struct run_job *j, struct hw_error *err);
/* run_chip.c: all of them on one chip, in turns of a batch */
int run_on_chip(struct run_job *jobs, size_t n, struct hw_dev *dev, struct hw_error *err);

#endif
