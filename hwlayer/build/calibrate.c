// SPDX-License-Identifier: MIT
/* The network in f32 on the calibration data: ranges of every root, sums of every convolution. */
#include <math.h>

#include "build/internal.h"

struct watch {
	struct plan *p;
	size_t sample;
	int *step_of; /* value -> STEP_CONV that writes it, or -1 */
	bool bad;     /* something was not finite */
	bool *fresh;  /* root -> nothing seen yet */
};

static void look(struct watch *w, int value, const float *data)
{
	const struct value *v = &w->p->values[value];
	const size_t n = w->p->g->values[value].elements;
	struct root *root = &w->p->roots[v->root];

	if (w->fresh[v->root]) {
		w->fresh[v->root] = false;
		for (size_t c = 0; c < root->n; c++) {
			root->min[c] = INFINITY;
			root->max[c] = -INFINITY;
		}
	}
	for (size_t i = 0; i < n; i++) {
		float x = data[i];
		uint32_t c = v->label[i];

		if (!isfinite(x)) {
			w->bad = true;
			return;
		}
		if (x < root->min[c])
			root->min[c] = x;
		if (x > root->max[c])
			root->max[c] = x;
	}
}

static void hook(const struct onnx_graph *g, size_t node, float *const *out, void *user)
{
	struct watch *w = user;

	for (size_t i = 0; i < g->nodes[node].n_out; i++) {
		int value = g->nodes[node].out[i];

		if (value < 0 || w->p->values[value].root < 0)
			continue;
		if (w->p->values[value].observed)
			look(w, value, out[i]);
		if (w->step_of[value] >= 0) {
			struct step *s = &w->p->steps[w->step_of[value]];
			const size_t inner = (size_t)s->conv.oh * s->conv.ow;

			for (size_t o = 0; o < s->conv.o; o++) {
				double sum = 0;

				for (size_t j = 0; j < inner; j++)
					sum += out[i][o * inner + j];
				s->sums[w->sample * s->conv.o + o] = sum;
			}
		}
	}
}

/* Windows with small answers count as much as those with large ones: 1 / norm of the outputs. */
static double weigh(const struct plan *p, void *const *out)
{
	double square = 0;

	for (size_t i = 0; i < p->g->n_outputs; i++)
		for (size_t j = 0; j < p->g->values[p->g->outputs[i]].elements; j++) {
			double x = ((const float *)out[i])[j];

			square += x * x;
		}
	return square > 1e-12 ? 1 / sqrt(square) : 1;
}

static int run_samples(struct plan *p, struct watch *w, struct onnx_session *session, void **out)
{
	for (size_t s = 0; s < p->opt->n_samples; s++) {
		const float *const *in = p->opt->samples + s * p->g->n_inputs;
		int r;

		w->sample = s;
		for (size_t i = 0; i < p->g->n_inputs; i++)
			look(w, p->g->inputs[i], in[i]);
		if (w->bad)
			return hw_fail(p->err, -EINVAL,
				       "calibration sample %zu holds values that are not finite",
				       s);
		r = onnx_run(session, (const void *const *)in, out, p->err);
		if (r)
			return hw_fail_context(p->err, r, "calibration sample %zu: ", s);
		if (w->bad)
			return hw_fail(p->err, -EINVAL,
				       "calibration sample %zu overflows inside the network", s);
		p->weight[s] = weigh(p, out);
		r = plan_progress(p);
		if (r)
			return r;
	}
	return 0;
}

int plan_calibrate(struct plan *p)
{
	const struct onnx_graph *g = p->g;
	struct watch w = {.p = p};
	struct onnx_session *session = NULL;
	void **out = calloc(g->n_outputs + 1, sizeof(*out));
	int r = -ENOMEM;

	w.step_of = malloc((g->n_values + 1) * sizeof(*w.step_of));
	w.fresh = malloc((p->n_roots + 1) * sizeof(*w.fresh));
	if (!out || !w.step_of || !w.fresh)
		goto out;
	for (size_t i = 0; i < g->n_values; i++)
		w.step_of[i] = -1;
	for (size_t i = 0; i < p->n_steps; i++)
		if (p->steps[i].kind == STEP_CONV)
			w.step_of[p->steps[i].out] = (int)i;
	for (size_t i = 0; i < p->n_roots; i++)
		w.fresh[i] = true;
	for (size_t i = 0; i < g->n_outputs; i++) {
		out[i] = malloc(g->values[g->outputs[i]].elements * sizeof(float));
		if (!out[i])
			goto out;
	}
	r = onnx_session_new(g, 1, &session, p->err);
	if (r)
		goto out;
	onnx_session_set_hook(session, hook, &w);
	r = run_samples(p, &w, session, out);
out:
	onnx_session_free(session);
	for (size_t i = 0; out && i < g->n_outputs; i++)
		free(out[i]);
	free(out);
	free(w.step_of);
	free(w.fresh);
	return r;
}
