// SPDX-License-Identifier: MIT
#include "build/internal.h"

static int check(const struct onnx_graph *g, const struct build_options *opt, struct hw_error *err)
{
	if (!opt->n_samples || !opt->samples)
		return hw_fail(err, -EINVAL,
			       "no calibration data: 8-bit scales are measured, not guessed");
	if (!g->n_inputs || !g->n_outputs)
		return hw_fail(err, -EINVAL, "the network has no %s",
			       g->n_inputs ? "output" : "input");
	if (g->n_inputs > PAYLOAD_PORTS_MAX / 2 || g->n_outputs > PAYLOAD_PORTS_MAX / 2)
		return hw_fail(err, -ENOTSUP, "more than %u inputs or outputs",
			       PAYLOAD_PORTS_MAX / 2);
	if (opt->contexts > BUILD_CONTEXTS_MAX)
		return hw_fail(err, -EINVAL, "%zu contexts; at most %u make sense", opt->contexts,
			       BUILD_CONTEXTS_MAX);
	return 0;
}

/* The first input's scales, by index on its last axis. */
static int take_input_scales(const struct plan *p, struct build_result *out)
{
	const struct root *root = &p->roots[0];

	out->channels = root->n;
	out->in_scale = malloc(root->n * sizeof(float));
	out->in_zero = malloc(root->n * sizeof(float));
	if (!out->in_scale || !out->in_zero)
		return -ENOMEM;
	for (size_t i = 0; i < root->n; i++) {
		out->in_scale[i] = root->scale[i];
		out->in_zero[i] = root->zero[i];
	}
	return 0;
}

int build_hef(const struct onnx_graph *graph, const struct build_options *opt,
	      struct build_result *out, struct hw_error *err)
{
	struct plan p = {.g = graph, .opt = opt, .err = err};
	struct split split = {0};
	int r;

	*out = (struct build_result){0};
	r = check(graph, opt, err);
	if (r)
		return r;
	r = plan_make(&p);
	if (r)
		goto out;
	p.progress_total = opt->n_samples + p.n_steps;
	r = plan_calibrate(&p);
	if (!r)
		r = plan_scale(&p);
	if (!r)
		r = plan_emit(&p);
	if (!r)
		r = split_make(&p, opt->contexts ? opt->contexts : 1, &split);
	if (!r)
		r = take_input_scales(&p, out);
	if (!r)
		r = file_write(&p, &split, &out->hef, &out->hef_len, err);
	out->macs = p.macs;
out:
	if (r == -ENOMEM)
		hw_fail(err, r, "out of memory");
	split_free(&split);
	plan_free(&p);
	if (r)
		build_result_free(out);
	return r;
}

void build_result_free(struct build_result *r)
{
	free(r->hef);
	free(r->in_scale);
	free(r->in_zero);
	*r = (struct build_result){0};
}
