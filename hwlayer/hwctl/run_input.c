// SPDX-License-Identifier: MIT
/* What "hwctl run" feeds a model with: windows out of a JSON file, raw frames, or a pattern. */
#include <stdlib.h>
#include <string.h>

#include "hwctl/run.h"

static int alloc_inputs(struct run_job *j, size_t n, struct hw_error *err)
{
	int r = frames_alloc(n, j->in, j->n_in, &j->inputs, err);

	if (r == 0)
		r = frames_alloc(n, j->out, j->n_out, &j->outputs, err);
	if (r == 0)
		j->n_inputs = n;
	return r;
}

static int json_inputs(struct run_job *j, struct hw_error *err)
{
	struct windows w = {0};
	size_t elements = j->in[0].elements;
	int r;

	if (j->n_in != 1)
		return hw_fail(err, -EINVAL, "a JSON window feeds one input, this model has %zu",
			       j->n_in);
	if (j->manifest && (size_t)j->manifest->timesteps * j->manifest->channels != elements)
		return hw_fail(err, -EBADMSG, "the manifest's windows have %zu numbers, the model wants %zu",
			       (size_t)j->manifest->timesteps * j->manifest->channels, elements);
	r = windows_read(j->input, elements, &w, err);
	if (r == 0 && !w.n)
		r = hw_fail(err, -EBADMSG, "%s has no window", j->input);
	if (r == 0)
		r = alloc_inputs(j, w.n, err);
	for (size_t k = 0; r == 0 && k < w.n; k++) {
		float *to = (float *)(void *)j->inputs[k];

		memcpy(to, w.values + k * elements, elements * sizeof(float));
		if (j->manifest)
			hw_manifest_input(j->manifest, to, to);
	}
	windows_free(&w);
	return r;
}

static int raw_inputs(struct run_job *j, struct hw_error *err)
{
	size_t frame = 0, len, at = 0;
	uint8_t *data;
	int r;

	for (size_t i = 0; i < j->n_in; i++)
		frame += j->in[i].frame_bytes;
	r = util_read_file(j->input, 1u << 30, &data, &len, err);
	if (r < 0)
		return r;
	if (!len || len % frame)
		r = hw_fail(err, -EBADMSG, "%s has %zu bytes, which is no multiple of a frame's %zu",
			    j->input, len, frame);
	else
		r = alloc_inputs(j, len / frame, err);
	for (size_t k = 0; r == 0 && k < j->n_inputs * j->n_in; k++) {
		size_t n = j->in[k % j->n_in].frame_bytes;

		memcpy(j->inputs[k], data + at, n);
		at += n;
	}
	free(data);
	return r;
}

/* Something that moves: bytes 0..255, or floats in steps of 1/64 around zero. */
static int pattern_inputs(struct run_job *j, struct hw_error *err)
{
	int r = alloc_inputs(j, 1, err);

	for (size_t i = 0; r == 0 && i < j->n_in; i++) {
		float *f = (float *)(void *)j->inputs[i];

		if (j->in[i].type != HW_TYPE_F32) {
			for (size_t k = 0; k < j->in[i].frame_bytes; k++)
				j->inputs[i][k] = (uint8_t)(k * 167 + (k >> 8) * 59 + 7);
			continue;
		}
		for (size_t k = 0; k < j->in[i].elements; k++)
			f[k] = (float)((int)(k * 167 % 256) - 128) / 64.0f;
	}
	return r;
}

int run_make_inputs(struct run_job *j, struct hw_error *err)
{
	int r;

	if (!j->input)
		r = pattern_inputs(j, err);
	else if (run_has_suffix(j->input, ".json"))
		r = json_inputs(j, err);
	else
		r = raw_inputs(j, err);
	if (r < 0)
		return r;
	j->frames = j->arg->frames ? (size_t)j->arg->frames : j->n_inputs;
	j->latency_ns = calloc(j->frames, sizeof(*j->latency_ns));
	return j->latency_ns ? 0 : hw_fail(err, -ENOMEM, "no memory for %zu frames", j->frames);
}
