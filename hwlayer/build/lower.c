// SPDX-License-Identifier: MIT
/* From ONNX nodes to layers of the core, one at a time. */
#include "build/internal.h"

static const struct onnx_tensor *value_of(const struct plan *p, const struct onnx_node *n, size_t i)
{
	return i < n->n_in && n->in[i] >= 0 ? &p->g->values[n->in[i]] : NULL;
}

static int unsupported(const struct plan *p, const struct onnx_node *n, const char *what)
{
	return hw_fail(p->err, -ENOTSUP, "the 8-bit core cannot do %s%s%s%s%s", n->op,
		       n->name && *n->name ? " '" : "", n->name && *n->name ? n->name : "",
		       n->name && *n->name ? "'" : "", what);
}

int plan_only_reader(const struct onnx_graph *g, int value)
{
	int reader = -1;

	for (size_t i = 0; i < g->n_outputs; i++)
		if (g->outputs[i] == value)
			return -1;
	for (size_t i = 0; i < g->n_nodes; i++)
		for (size_t j = 0; j < g->nodes[i].n_in; j++) {
			if (g->nodes[i].in[j] != value)
				continue;
			if (reader >= 0 && reader != (int)i)
				return -1;
			reader = (int)i;
		}
	return reader;
}

static int64_t attr_i(const struct onnx_node *n, const char *name, int64_t otherwise)
{
	const struct onnx_attr *a = onnx_attr(n, name);

	return a ? a->i : otherwise;
}

static float attr_f(const struct onnx_node *n, const char *name, float otherwise)
{
	const struct onnx_attr *a = onnx_attr(n, name);

	return a ? a->f : otherwise;
}

/* A small list of integers: attribute @name, or constant input @i where opsets moved it there. */
static int int_list(const struct onnx_node *n, const char *name, const struct onnx_tensor *t,
		    int64_t *out, size_t *count)
{
	const struct onnx_attr *a = onnx_attr(n, name);

	*count = 0;
	if (a) {
		if (a->n > ONNX_RANK_MAX)
			return -EINVAL;
		*count = a->n;
		memcpy(out, a->ints, a->n * sizeof(*out));
		return 0;
	}
	if (!t)
		return 0;
	if (!t->constant || t->elements > ONNX_RANK_MAX)
		return -EINVAL;
	*count = t->elements;
	for (size_t i = 0; i < t->elements; i++) {
		if (t->type == ONNX_I64)
			out[i] = ((const int64_t *)t->data)[i];
		else if (t->type == ONNX_I32)
			out[i] = ((const int32_t *)t->data)[i];
		else
			return -EINVAL;
	}
	return 0;
}

struct slice {
	int64_t start[ONNX_RANK_MAX], count[ONNX_RANK_MAX], step[ONNX_RANK_MAX];
};

static int slice_of(const struct plan *p, const struct onnx_node *n, struct slice *s)
{
	const struct onnx_tensor *in = value_of(p, n, 0), *out = &p->g->values[n->out[0]];
	int64_t starts[ONNX_RANK_MAX], axes[ONNX_RANK_MAX], steps[ONNX_RANK_MAX];
	size_t n_starts, n_axes, n_steps;

	if (int_list(n, "starts", value_of(p, n, 1), starts, &n_starts) ||
	    int_list(n, "axes", value_of(p, n, 3), axes, &n_axes) ||
	    int_list(n, "steps", value_of(p, n, 4), steps, &n_steps))
		return unsupported(p, n, " with limits that are not constant");
	for (unsigned int d = 0; d < in->rank; d++) {
		s->start[d] = 0;
		s->step[d] = 1;
		s->count[d] = out->dim[d]; /* shape inference has worked out the ends */
	}
	for (size_t i = 0; i < n_starts; i++) {
		int64_t axis = n_axes ? axes[i] : (int64_t)i;
		int64_t step = n_steps ? steps[i] : 1, start = starts[i], dim;

		if (axis < 0)
			axis += in->rank;
		if (axis < 0 || axis >= in->rank)
			return unsupported(p, n, " on an axis that does not exist");
		dim = in->dim[axis];
		if (start < 0)
			start += dim;
		if (start < 0)
			start = 0;
		if (start > dim - (step < 0))
			start = dim - (step < 0);
		s->start[axis] = start;
		s->step[axis] = step;
	}
	return 0;
}

static void strides_of(const struct onnx_tensor *t, int64_t *stride)
{
	int64_t n = 1;

	for (unsigned int d = t->rank; d-- > 0;) {
		stride[d] = n;
		n *= t->dim[d];
	}
}

static int lower_transpose(const struct plan *p, const struct onnx_node *n, struct step *s)
{
	const struct onnx_tensor *in = value_of(p, n, 0);
	const struct onnx_attr *perm = onnx_attr(n, "perm");
	int64_t stride[ONNX_RANK_MAX];

	strides_of(in, stride);
	s->kind = STEP_MOVE;
	s->rank = in->rank;
	for (unsigned int d = 0; d < in->rank; d++) {
		int64_t from = perm ? perm->ints[d] : in->rank - 1 - d;

		s->axis[d] = (struct core_axis){(uint32_t)in->dim[from], (int32_t)stride[from]};
	}
	return 0;
}

static int lower_slice(const struct plan *p, const struct onnx_node *n, struct step *s)
{
	const struct onnx_tensor *in = value_of(p, n, 0);
	int64_t stride[ONNX_RANK_MAX], offset = 0;
	struct slice sl;
	int r = slice_of(p, n, &sl);

	if (r)
		return r;
	strides_of(in, stride);
	s->kind = STEP_MOVE;
	s->rank = in->rank;
	for (unsigned int d = 0; d < in->rank; d++) {
		s->axis[d] =
		    (struct core_axis){(uint32_t)sl.count[d], (int32_t)(stride[d] * sl.step[d])};
		offset += sl.start[d] * stride[d];
	}
	s->offset = (uint32_t)offset;
	return 0;
}

/*
 * A convolution of which only a window is kept (causal TCNs pad on both sides and cut off the
 * end): compute just the window.
 */
static int fuse_slice(const struct plan *p, struct step *s)
{
	int reader = plan_only_reader(p->g, s->out);
	const struct onnx_tensor *t = &p->g->values[s->out];
	const struct onnx_node *n;
	struct slice sl;
	unsigned int x = t->rank - 1, y = t->rank - 2;

	if (reader < 0)
		return 0;
	n = &p->g->nodes[reader];
	if (strcmp(n->op, "Slice") || n->in[0] != s->out || slice_of(p, n, &sl))
		return 0;
	for (unsigned int d = 0; d < t->rank; d++)
		if (sl.step[d] != 1 || (d < 2 && sl.count[d] != t->dim[d]))
			return 0;
	s->conv.pl -= (int32_t)(sl.start[x] * s->conv.sw);
	s->conv.ow = (uint32_t)sl.count[x];
	if (t->rank == 4) {
		s->conv.pt -= (int32_t)(sl.start[y] * s->conv.sh);
		s->conv.oh = (uint32_t)sl.count[y];
	}
	s->out = n->out[0];
	return 0;
}

static int copy_floats(const struct plan *p, const struct onnx_node *n, const struct onnx_tensor *t,
		       float **out)
{
	if (!t->constant || t->type != ONNX_F32)
		return unsupported(p, n, " whose weights are not constant");
	*out = malloc(t->elements * sizeof(**out));
	if (!*out)
		return -ENOMEM;
	memcpy(*out, t->data, t->elements * sizeof(**out));
	for (size_t i = 0; i < t->elements; i++)
		if (!__builtin_isfinite((*out)[i]))
			return hw_fail(p->err, -EINVAL, "weights of %s '%s' are not finite", n->op,
				       n->name);
	return 0;
}

static int lower_conv(const struct plan *p, const struct onnx_node *n, struct step *s)
{
	const struct onnx_tensor *x = value_of(p, n, 0), *w = value_of(p, n, 1),
				 *b = value_of(p, n, 2);
	const struct onnx_tensor *y = &p->g->values[n->out[0]];
	const struct onnx_attr *pads = onnx_attr(n, "pads"), *strides = onnx_attr(n, "strides");
	const struct onnx_attr *dil = onnx_attr(n, "dilations"), *pad = onnx_attr(n, "auto_pad");
	struct payload_conv *c = &s->conv;
	const bool two = x->rank == 4;
	int r;

	if (x->rank != 3 && x->rank != 4)
		return unsupported(p, n, " other than 1-D and 2-D");
	if (pad && pad->s && strcmp(pad->s, "NOTSET") && strcmp(pad->s, "VALID"))
		return unsupported(p, n, " with automatic padding");
	s->kind = STEP_CONV;
	*c = (struct payload_conv){
	    .groups = (uint32_t)attr_i(n, "group", 1),
	    .c = (uint32_t)x->dim[1],
	    .h = two ? (uint32_t)x->dim[2] : 1,
	    .w = (uint32_t)x->dim[x->rank - 1],
	    .o = (uint32_t)w->dim[0],
	    .kh = two ? (uint32_t)w->dim[2] : 1,
	    .kw = (uint32_t)w->dim[w->rank - 1],
	    .sh = two && strides ? (uint32_t)strides->ints[0] : 1,
	    .sw = strides ? (uint32_t)strides->ints[two] : 1,
	    .dh = two && dil ? (uint32_t)dil->ints[0] : 1,
	    .dw = dil ? (uint32_t)dil->ints[two] : 1,
	    .pt = two && pads ? (int32_t)pads->ints[0] : 0,
	    .pl = pads ? (int32_t)pads->ints[two] : 0,
	    .oh = two ? (uint32_t)y->dim[2] : 1,
	    .ow = (uint32_t)y->dim[y->rank - 1],
	};
	if (b && b->elements != c->o)
		return unsupported(p, n, " with such a bias");
	s->k = w->elements / c->o;
	r = copy_floats(p, n, w, &s->weights);
	if (!r && b)
		r = copy_floats(p, n, b, &s->bias);
	return r ? r : fuse_slice(p, s);
}

static int lower_gemm(const struct plan *p, const struct onnx_node *n, struct step *s)
{
	const struct onnx_tensor *a = value_of(p, n, 0), *b = value_of(p, n, 1),
				 *c = value_of(p, n, 2);
	const float alpha = attr_f(n, "alpha", 1), beta = attr_f(n, "beta", 1);
	const bool transposed = attr_i(n, "transB", 0);
	size_t outs, k;
	float *bias = NULL;
	int r;

	if (a->rank != 2 || a->dim[0] != 1 || b->rank != 2 || attr_i(n, "transA", 0))
		return unsupported(p, n, " of more than one row");
	outs = (size_t)b->dim[!transposed];
	k = (size_t)b->dim[transposed];
	s->kind = STEP_CONV;
	s->k = k;
	s->conv = (struct payload_conv){
	    .groups = 1,
	    .c = (uint32_t)k,
	    .h = 1,
	    .w = 1,
	    .o = (uint32_t)outs,
	    .kh = 1,
	    .kw = 1,
	    .sh = 1,
	    .sw = 1,
	    .dh = 1,
	    .dw = 1,
	    .oh = 1,
	    .ow = 1,
	};
	r = copy_floats(p, n, b, &s->weights);
	if (r)
		return r;
	for (size_t o = 0; o < outs; o++)
		for (size_t i = 0; i < k; i++)
			s->weights[o * k + i] =
			    alpha * ((const float *)b->data)[transposed ? o * k + i : i * outs + o];
	if (!c)
		return 0;
	if (c->elements != 1 && c->elements != outs)
		return unsupported(p, n, " with such a bias");
	r = copy_floats(p, n, c, &bias);
	if (!r) {
		s->bias = malloc(outs * sizeof(*s->bias));
		if (!s->bias)
			r = -ENOMEM;
	}
	for (size_t o = 0; !r && o < outs; o++)
		s->bias[o] = beta * bias[c->elements == 1 ? 0 : o];
	free(bias);
	return r;
}

static int lower_add(const struct plan *p, const struct onnx_node *n, struct step *s)
{
	const struct onnx_tensor *a = value_of(p, n, 0), *b = value_of(p, n, 1);

	if (a->constant || b->constant || a->elements != b->elements ||
	    a->elements != p->g->values[n->out[0]].elements)
		return unsupported(p, n, " other than of two activations of one shape");
	s->kind = STEP_ADD;
	s->in2 = n->in[1];
	return 0;
}

static int lower_pool(const struct plan *p, const struct onnx_node *n, struct step *s)
{
	(void)p;
	(void)n;
	s->kind = STEP_POOL;
	return 0;
}

static int lower_relu(const struct plan *p, const struct onnx_node *n, struct step *s)
{
	(void)p;
	(void)n;
	s->kind = STEP_RELU;
	return 0;
}

static int lower_sigmoid(const struct plan *p, const struct onnx_node *n, struct step *s)
{
	(void)p;
	(void)n;
	s->kind = STEP_SIGMOID;
	return 0;
}

static int lower_alias(const struct plan *p, const struct onnx_node *n, struct step *s)
{
	(void)p;
	(void)n;
	s->kind = STEP_ALIAS;
	return 0;
}

static const struct {
	const char *op;
	int (*lower)(const struct plan *p, const struct onnx_node *n, struct step *s);
} ops[] = {
    {"Conv", lower_conv},
    {"Gemm", lower_gemm},
    {"Add", lower_add},
    {"GlobalAveragePool", lower_pool},
    {"Relu", lower_relu},
    {"Sigmoid", lower_sigmoid},
    {"Transpose", lower_transpose},
    {"Slice", lower_slice},
    {"Squeeze", lower_alias},
    {"Unsqueeze", lower_alias},
    {"Reshape", lower_alias},
    {"Flatten", lower_alias},
    {"Identity", lower_alias},
};

int plan_lower(const struct plan *p, size_t node, struct step *s, bool *skip)
{
	const struct onnx_node *n = &p->g->nodes[node];

	*skip = false;
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		if (strcmp(n->op, ops[i].op))
			continue;
		/* the part of a convolution that does not exist in the core */
		if (p->values[n->out[0]].root >= 0) {
			*skip = true;
			return 0;
		}
		*s = (struct step){.node = node, .in = n->in[0], .in2 = -1, .out = n->out[0]};
		if (p->values[n->in[0]].root < 0)
			return unsupported(p, n, " of a constant");
		return ops[i].lower(p, n, s);
	}
	return unsupported(p, n, "");
}
