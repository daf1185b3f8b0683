// SPDX-License-Identifier: MIT
/* hwctl dma-test --onnx: the model that the HEF was made from, on this CPU. */
#include "hwctl/dma_test.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "onnx/onnx.h"

struct dma_reference {
	struct onnx_graph *graph;
	struct onnx_session *session;
	size_t n_out;
	int *match;      /* network output i is output match[i] of the graph */
	float **answers; /* n x n_out, in the graph's order */
	size_t n;
};

static const struct onnx_tensor *value(const struct onnx_graph *g, const int *list, size_t i)
{
	return &g->values[list[i]];
}

int dma_reference_open(const char *onnx, struct dma_reference **out, struct hw_error *err)
{
	struct dma_reference *ref = calloc(1, sizeof(*ref));
	int r;

	if (!ref)
		return hw_fail(err, -ENOMEM, "no memory for %s", onnx);
	r = onnx_open(onnx, &ref->graph, err);
	for (size_t i = 0; r == 0 && i < ref->graph->n_inputs + ref->graph->n_outputs; i++) {
		const struct onnx_graph *g = ref->graph;
		const struct onnx_tensor *t = i < g->n_inputs
						      ? value(g, g->inputs, i)
						      : value(g, g->outputs, i - g->n_inputs);

		if (t->type != ONNX_F32)
			r = hw_fail(err, -ENOTSUP, "%s: %s is not float32", onnx, t->name);
	}
	if (r == 0)
		r = onnx_session_new(ref->graph, 1, &ref->session, err);
	if (r < 0) {
		dma_reference_free(ref);
		return r;
	}
	*out = ref;
	return 0;
}

void dma_reference_free(struct dma_reference *ref)
{
	if (!ref)
		return;
	for (size_t i = 0; ref->answers && i < ref->n * ref->n_out; i++)
		free(ref->answers[i]);
	free(ref->answers);
	free(ref->match);
	onnx_session_free(ref->session);
	onnx_free(ref->graph);
	free(ref);
}

/* "imu_motion/latent_embeddings" of a HEF is "latent_embeddings" of the model. */
static bool same_name(const char *hef, const char *onnx)
{
	const char *slash = strrchr(hef, '/');

	return !strcmp(hef, onnx) || (slash && !strcmp(slash + 1, onnx));
}

static int match_outputs(struct dma_reference *ref, const struct hw_tensor_info *out, size_t n_out,
			 struct hw_error *err)
{
	const struct onnx_graph *g = ref->graph;

	if (g->n_outputs != n_out)
		return hw_fail(err, -EBADMSG, "the ONNX model has %zu outputs, the network %zu",
			       g->n_outputs, n_out);
	ref->match = calloc(n_out, sizeof(*ref->match));
	if (!ref->match)
		return hw_fail(err, -ENOMEM, "no memory");
	ref->n_out = n_out;
	for (size_t i = 0; i < n_out; i++) {
		ref->match[i] = (int)i;
		for (size_t k = 0; k < n_out; k++) {
			if (same_name(out[i].name, value(g, g->outputs, k)->name))
				ref->match[i] = (int)k;
		}
		if (value(g, g->outputs, (size_t)ref->match[i])->elements != out[i].elements)
			return hw_fail(err, -EBADMSG, "output %s has %zu numbers, the ONNX model's %s %zu",
				       out[i].name, out[i].elements,
				       value(g, g->outputs, (size_t)ref->match[i])->name,
				       value(g, g->outputs, (size_t)ref->match[i])->elements);
	}
	return 0;
}

/* -1 to 1, slow and different for each column and input. */
static float wave(size_t k, size_t row, size_t column)
{
	return (float)sin(0.07 * (double)(row + 1) * (double)(k + 1) + 1.3 * (double)column);
}

/* Raw sensor values, and what normalisation makes of them for the network and for the model. */
static void window(struct hw_manifest *m, size_t k, float *net, float *model)
{
	float *scale = m->in_scale;

	for (size_t i = 0; i < (size_t)m->timesteps * m->channels; i++) {
		size_t c = i % m->channels;

		model[i] = m->mean[c] + m->std[c] * wave(k, i / m->channels, c);
	}
	hw_manifest_input(m, model, net);
	/* The input quantisation that the HEF's manifest folds in is no business of the float model. */
	m->in_scale = NULL;
	hw_manifest_input(m, model, model);
	m->in_scale = scale;
}

/* Without a manifest: numbers from the range that the input's quantisation covers. */
static void numbers(const struct hw_tensor_info *in, size_t k, float *net, float *model)
{
	float low = in->quant.lim_min, high = in->quant.lim_max;

	for (size_t i = 0; i < in->elements; i++) {
		net[i] = low + (high - low) * (0.5f + 0.5f * wave(k, i / 16, i % 16));
		model[i] = net[i];
	}
}

static int read_manifest(const char *model, const struct hw_tensor_info *in, size_t n_in,
			 struct hw_manifest **out, struct hw_error *err)
{
	char path[PATH_MAX];
	int r;

	*out = NULL;
	if (hw_manifest_path(model, path, sizeof(path)) < 0 || access(path, F_OK) < 0)
		return 0;
	r = hw_manifest_read(path, out, err);
	if (r < 0)
		return r;
	if (n_in != 1 || (size_t)(*out)->timesteps * (*out)->channels != in[0].elements) {
		hw_manifest_free(*out);
		*out = NULL;
		return hw_fail(err, -EBADMSG, "%s does not describe the input of this network", path);
	}
	return 0;
}

static int answer(struct dma_reference *ref, size_t k, float *const *in, struct hw_error *err)
{
	for (size_t i = 0; i < ref->n_out; i++) {
		size_t n = value(ref->graph, ref->graph->outputs, i)->elements;

		ref->answers[k * ref->n_out + i] = calloc(n, sizeof(float));
		if (!ref->answers[k * ref->n_out + i])
			return hw_fail(err, -ENOMEM, "no memory");
	}
	return onnx_run(ref->session, (const void *const *)in,
			(void *const *)(ref->answers + k * ref->n_out), err);
}

static int fill_inputs(struct dma_reference *ref, struct hw_manifest *m, const struct hw_tensor_info *in,
		       size_t n_in, size_t n, float *const *input, struct hw_error *err)
{
	float **model = calloc(n_in, sizeof(*model));
	int r = model ? 0 : hw_fail(err, -ENOMEM, "no memory");

	for (size_t i = 0; r == 0 && i < n_in; i++) {
		model[i] = calloc(in[i].elements, sizeof(float));
		if (!model[i])
			r = hw_fail(err, -ENOMEM, "no memory");
	}
	for (size_t k = 0; r == 0 && k < n; k++) {
		for (size_t i = 0; i < n_in; i++) {
			if (m)
				window(m, k, input[k * n_in + i], model[i]);
			else
				numbers(&in[i], k, input[k * n_in + i], model[i]);
		}
		r = answer(ref, k, model, err);
	}
	for (size_t i = 0; model && i < n_in; i++)
		free(model[i]);
	free(model);
	return r;
}

int dma_reference_inputs(struct dma_reference *ref, const char *model, const struct hw_tensor_info *in,
			 size_t n_in, const struct hw_tensor_info *out, size_t n_out, size_t n,
			 float *const *input, struct hw_error *err)
{
	const struct onnx_graph *g = ref->graph;
	struct hw_manifest *m;
	int r;

	if (g->n_inputs != n_in)
		return hw_fail(err, -EBADMSG, "the ONNX model has %zu inputs, the network %zu",
			       g->n_inputs, n_in);
	for (size_t i = 0; i < n_in; i++) {
		if (value(g, g->inputs, i)->elements != in[i].elements)
			return hw_fail(err, -EBADMSG, "input %s has %zu numbers, the ONNX model's %zu",
				       in[i].name, in[i].elements, value(g, g->inputs, i)->elements);
	}
	r = match_outputs(ref, out, n_out, err);
	if (r < 0)
		return r;
	ref->answers = calloc(n * n_out, sizeof(*ref->answers));
	if (!ref->answers)
		return hw_fail(err, -ENOMEM, "no memory");
	ref->n = n;
	r = read_manifest(model, in, n_in, &m, err);
	if (r < 0)
		return r;
	r = fill_inputs(ref, m, in, n_in, n, input, err);
	hw_manifest_free(m);
	return r;
}

void dma_reference_compare(const struct dma_reference *ref, size_t k, float *const *output,
			   double *cosine, double *difference)
{
	double ab = 0, aa = 0, bb = 0, worst = 0;

	for (size_t i = 0; i < ref->n_out; i++) {
		size_t at = (size_t)ref->match[i];
		const float *want = ref->answers[k * ref->n_out + at];

		for (size_t e = 0; e < value(ref->graph, ref->graph->outputs, at)->elements; e++) {
			double a = (double)want[e], b = (double)output[i][e];

			ab += a * b;
			aa += a * a;
			bb += b * b;
			if (!(fabs(a - b) <= worst)) /* NaN is the worst of all */
				worst = fabs(a - b);
		}
	}
	*cosine = aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : aa == bb ? 1 : 0;
	*difference = worst;
}
