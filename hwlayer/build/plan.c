// SPDX-License-Identifier: MIT
/*
 * Which tensors share a quantisation, and what each of them must look like.
 *
 * A layer that computes introduces a root; everything that only moves its codes carries labels
 * that say, per element, which channel of the root it is.  So a consumer can see whether the
 * root's scale per channel is one it can absorb, however often the tensor was turned in between.
 */
#include "build/internal.h"

static const struct onnx_tensor *tensor(const struct plan *p, int value)
{
	return &p->g->values[value];
}

static int new_labels(struct plan *p, int value)
{
	p->values[value].label = malloc(tensor(p, value)->elements * sizeof(uint32_t));
	return p->values[value].label ? 0 : -ENOMEM;
}

/* A root of n channels; element i of @value is channel (i / inner) % n. */
static int new_root(struct plan *p, int value, enum step_kind by, uint32_t n, uint32_t inner)
{
	struct root *root = &p->roots[p->n_roots];

	if (new_labels(p, value))
		return -ENOMEM;
	*root = (struct root){.value = value, .by = by, .n = n, .span = INT16_MAX};
	p->values[value].root = (int)p->n_roots++;
	for (size_t i = 0; i < tensor(p, value)->elements; i++)
		p->values[value].label[i] = (uint32_t)(i / inner % n);
	root->min = calloc(n, sizeof(float));
	root->max = calloc(n, sizeof(float));
	root->scale = calloc(n, sizeof(float));
	root->zero = calloc(n, sizeof(int16_t));
	root->lo = calloc(n, sizeof(int16_t));
	root->hi = calloc(n, sizeof(int16_t));
	if (!root->min || !root->max || !root->scale || !root->zero || !root->lo || !root->hi)
		return -ENOMEM;
	return 0;
}

/* Channels of an activation: axis 1 of N, C, ...; all elements of a vector. */
static int new_activation(struct plan *p, int value, enum step_kind by)
{
	const struct onnx_tensor *t = tensor(p, value);
	size_t inner = 1;

	for (unsigned int d = 2; d < t->rank; d++)
		inner *= (size_t)t->dim[d];
	return new_root(p, value, by, (uint32_t)(t->rank > 1 ? t->dim[1] : t->dim[0]),
			(uint32_t)inner);
}

static bool moves_only(const struct onnx_node *n)
{
	static const char *const ops[] = {"Transpose", "Slice",	  "Squeeze", "Unsqueeze",
					  "Reshape",   "Flatten", "Identity"};

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		if (!strcmp(n->op, ops[i]))
			return true;
	return false;
}

/* Does everybody who reads @value, at most in another order, apply Relu to it? */
static bool only_relu(const struct onnx_graph *g, int value)
{
	bool any = false;

	for (size_t i = 0; i < g->n_outputs; i++)
		if (g->outputs[i] == value)
			return false;
	for (size_t i = 0; i < g->n_nodes; i++) {
		const struct onnx_node *n = &g->nodes[i];

		for (size_t j = 0; j < n->n_in; j++) {
			if (n->in[j] != value)
				continue;
			if (strcmp(n->op, "Relu") && !(moves_only(n) && only_relu(g, n->out[0])))
				return false;
			any = true;
		}
	}
	return any;
}

static int copy_labels(struct plan *p, const struct step *s)
{
	const uint32_t *from = p->values[s->in].label;
	const size_t n = tensor(p, s->out)->elements;
	uint32_t at[PAYLOAD_RANK_MAX] = {0};
	uint32_t *to;

	if (new_labels(p, s->out))
		return -ENOMEM;
	p->values[s->out].root = p->values[s->in].root;
	to = p->values[s->out].label;
	if (s->kind == STEP_ALIAS) {
		memcpy(to, from, n * sizeof(*to));
		return 0;
	}
	for (size_t i = 0; i < n; i++) {
		int64_t src = s->offset;

		for (uint32_t d = 0; d < s->rank; d++)
			src += (int64_t)at[d] * s->axis[d].stride;
		to[i] = from[src];
		for (uint32_t d = s->rank; d-- > 0;) {
			if (++at[d] < s->axis[d].dim)
				break;
			at[d] = 0;
		}
	}
	return 0;
}

/* One scale per channel plane of @value?  Otherwise its root gets one for all. */
static void need_planes(struct plan *p, int value, size_t channels)
{
	const uint32_t *label = p->values[value].label;
	const size_t n = tensor(p, value)->elements, inner = n / channels;

	for (size_t i = 0; i < n; i++)
		if (label[i] != label[i / inner * inner])
			p->roots[p->values[value].root].per_tensor = true;
}

static void need_byte(struct plan *p, int value, bool per_tensor)
{
	struct root *root = &p->roots[p->values[value].root];

	root->span = 255;
	root->per_tensor |= per_tensor;
}

static void need_products(struct plan *p, int value, size_t k)
{
	struct root *root = &p->roots[p->values[value].root];
	const int64_t most = INT32_MAX / (127 * (int64_t)k); /* sums stay within int32 */

	/* means of bytes are worth more than a byte, and cost nothing: there are few of them */
	if (root->by == STEP_POOL && most >= 255)
		root->span = root->span < most ? root->span : (int32_t)most;
	else
		root->span = 255;
}

/*
 * Weights take 8 bits, except where they read an input with a scale per channel: sensors differ
 * so much in range that folding their scales in leaves the finer ones' weights two or three bits
 * of eight.  Those few weights take up to 12, as far as sums stay within int32.
 */
static int16_t weight_limit(const struct plan *p, const struct step *s)
{
	const struct root *root = &p->roots[p->values[s->in].root];
	const int64_t most = INT32_MAX / (255 * (int64_t)s->k);

	if (!root->input || root->per_tensor || most < INT8_MAX)
		return INT8_MAX;
	return (int16_t)(most < 2047 ? most : 2047);
}

static int add_step(struct plan *p, struct step *s)
{
	int r = 0;

	switch (s->kind) {
	case STEP_CONV:
		r = new_activation(p, s->out, s->kind);
		if (r)
			return r;
		need_planes(p, s->in, s->conv.c);
		need_products(p, s->in, s->k);
		p->macs += (uint64_t)s->k * s->conv.o * s->conv.oh * s->conv.ow;
		s->sums = calloc(p->opt->n_samples * s->conv.o, sizeof(*s->sums));
		return s->sums ? 0 : -ENOMEM;
	case STEP_POOL:
		need_planes(p, s->in, (size_t)tensor(p, s->in)->dim[1]);
		return new_activation(p, s->out, s->kind);
	case STEP_RELU:
		if (only_relu(p->g, p->roots[p->values[s->in].root].value) &&
		    !p->roots[p->values[s->in].root].input) {
			/* its root cannot be negative: the limits of its codes do the work */
			s->kind = STEP_ALIAS;
			return copy_labels(p, s);
		}
		return new_activation(p, s->out, s->kind);
	case STEP_ADD:
		return new_activation(p, s->out, s->kind);
	case STEP_SIGMOID:
		need_byte(p, s->in, true);
		r = new_activation(p, s->out, s->kind);
		if (!r)
			need_byte(p, s->out, true);
		return r;
	case STEP_MOVE:
	case STEP_ALIAS:
		return copy_labels(p, s);
	}
	return -EINVAL;
}

static int add_inputs(struct plan *p)
{
	for (size_t i = 0; i < p->g->n_inputs; i++) {
		const struct onnx_tensor *t = tensor(p, p->g->inputs[i]);
		int r;

		if (t->type != ONNX_F32 || !t->rank || t->rank > PAYLOAD_RANK_MAX || !t->elements)
			return hw_fail(p->err, -ENOTSUP, "input '%s' is not a float tensor",
				       t->name);
		/* the host folds one scale per channel into the normalisation of the first input */
		r = new_root(p, p->g->inputs[i], STEP_MOVE, i ? 1 : (uint32_t)t->dim[t->rank - 1],
			     1);
		if (r)
			return r;
		p->roots[p->n_roots - 1].input = true;
		need_byte(p, p->g->inputs[i], i > 0);
	}
	return 0;
}

/* Which values' ranges count: those that a computing layer or the host reads. */
static void mark_observed(struct plan *p)
{
	for (size_t i = 0; i < p->n_steps; i++) {
		const struct step *s = &p->steps[i];

		if (s->kind == STEP_MOVE || s->kind == STEP_ALIAS)
			continue;
		p->values[s->in].observed = true;
		if (s->in2 >= 0)
			p->values[s->in2].observed = true;
	}
	for (size_t i = 0; i < p->g->n_outputs; i++)
		p->values[p->g->outputs[i]].observed = true;
}

int plan_make(struct plan *p)
{
	const struct onnx_graph *g = p->g;
	int r;

	p->values = calloc(g->n_values + 1, sizeof(*p->values));
	p->steps = calloc(g->n_nodes + 1, sizeof(*p->steps));
	p->roots = calloc(g->n_nodes + g->n_inputs + 1, sizeof(*p->roots));
	p->weight = calloc(p->opt->n_samples, sizeof(*p->weight));
	if (!p->values || !p->steps || !p->roots || !p->weight)
		return -ENOMEM;
	for (size_t i = 0; i < g->n_values; i++)
		p->values[i].root = p->values[i].tensor = -1;
	r = add_inputs(p);
	for (size_t i = 0; !r && i < g->n_nodes; i++) {
		struct step *s = &p->steps[p->n_steps];
		bool skip;

		r = plan_lower(p, i, s, &skip);
		if (skip)
			continue;
		p->n_steps++; /* also on error: the step may own memory */
		if (!r && s->in2 >= 0 && p->values[s->in2].root < 0)
			r = hw_fail(p->err, -ENOTSUP, "the 8-bit core cannot add a constant");
		if (!r)
			r = add_step(p, s);
	}
	for (size_t i = 0; !r && i < g->n_outputs; i++) {
		const struct onnx_tensor *t = tensor(p, g->outputs[i]);

		if (p->values[g->outputs[i]].root < 0)
			r = hw_fail(p->err, -ENOTSUP, "output '%s' does not depend on an input",
				    t->name);
		else
			need_byte(p, g->outputs[i], true);
	}
	for (size_t i = 0; !r && i < p->n_steps; i++) /* when per_tensor is known for all */
		if (p->steps[i].kind == STEP_CONV)
			p->steps[i].limit = weight_limit(p, &p->steps[i]);
	if (!r)
		mark_observed(p);
	return r;
}

void plan_free(struct plan *p)
{
	for (size_t i = 0; p->values && i < p->g->n_values; i++)
		free(p->values[i].label);
	for (size_t i = 0; i < p->n_steps; i++) {
		free(p->steps[i].weights);
		free(p->steps[i].bias);
		free(p->steps[i].sums);
	}
	for (size_t i = 0; i < p->n_roots; i++) {
		free(p->roots[i].min);
		free(p->roots[i].max);
		free(p->roots[i].scale);
		free(p->roots[i].zero);
		free(p->roots[i].lo);
		free(p->roots[i].hi);
	}
	free(p->values);
	free(p->steps);
	free(p->roots);
	free(p->weight);
	free(p->tensors);
	buf_free(&p->layers);
}

int plan_progress(struct plan *p)
{
	p->progress++;
	if (p->opt->progress && !p->opt->progress(p->progress, p->progress_total, p->opt->user))
		return hw_fail(p->err, -ECANCELED, "stopped");
	return 0;
}
