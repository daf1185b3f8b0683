// SPDX-License-Identifier: MIT
/* Elementwise operators: binary with broadcasting, unary, Clip, Cast. */
#include "onnx/internal.h"

static enum onnx_binary binary_op(const char *op)
{
	static const char *const names[] = {
		[ONNX_ADD] = "Add", [ONNX_SUB] = "Sub", [ONNX_MUL] = "Mul",
		[ONNX_DIV] = "Div", [ONNX_POW] = "Pow",
	};
	size_t i = 0;

	while (i + 1 < ARRAY_SIZE(names) && strcmp(names[i], op))
		i++;
	return (enum onnx_binary)i;
}

/*
 * Input 1 as it is broadcast.  Before opset 7 an attribute said with which dimension of input 0
 * its first one lines up; dimensions of 1 behind it say the same in today's terms.
 */
static int second(const struct onnx_ctx *c, struct onnx_tensor *b)
{
	const struct onnx_attr *axis = onnx_attr(c->node, "axis");
	unsigned int at, rank = c->in[0]->rank;
	int r;

	*b = *c->in[1];
	if (!axis || c->opset >= 7)
		return 0;
	r = onnx_norm_axis(c, axis->i, rank, &at);
	if (r < 0)
		return r;
	if (at + b->rank > rank)
		return hw_fail(c->err, -EBADMSG, "input 1 reaches over the end of input 0");
	while (at + b->rank < rank)
		b->dim[b->rank++] = 1;
	return 0;
}

int onnx_binary_shape(struct onnx_ctx *c)
{
	const struct onnx_tensor *a = c->in[0];
	struct onnx_tensor second_in, *b = &second_in;
	int64_t dim[ONNX_RANK_MAX];
	unsigned int rank;
	int r = second(c, b);

	if (r < 0)
		return r;
	if (a->type != b->type && binary_op(c->node->op) != ONNX_POW)
		return hw_fail(c->err, -EBADMSG, "inputs of type %s and %s",
			       onnx_type_name(a->type), onnx_type_name(b->type));
	if (!onnx_is_number(a) || !onnx_is_number(b))
		return hw_fail(c->err, -ENOTSUP, "inputs of type %s and %s",
			       onnx_type_name(a->type), onnx_type_name(b->type));
	r = onnx_broadcast(c, a, b, &rank, dim);
	return r < 0 ? r : onnx_out_shape(c, 0, a->type, rank, dim);
}

static uint64_t int_pow(uint64_t base, uint64_t e)
{
	uint64_t v = 1;

	for (; e; e >>= 1, base *= base)
		if (e & 1)
			v *= base;
	return v;
}

/*
 * Integers wrap, as they do in every other implementation; division by zero gives 0.  @long_a,
 * @long_b: the type is uint64, whose upper half looks negative here.
 */
static int64_t int_binary(enum onnx_binary op, int64_t a, bool long_a, int64_t b, bool long_b)
{
	switch (op) {
	case ONNX_ADD:
		return (int64_t)((uint64_t)a + (uint64_t)b);
	case ONNX_SUB:
		return (int64_t)((uint64_t)a - (uint64_t)b);
	case ONNX_MUL:
		return (int64_t)((uint64_t)a * (uint64_t)b);
	case ONNX_DIV:
		if (long_a)
			return b ? (int64_t)((uint64_t)a / (uint64_t)b) : 0;
		return b == 0 ? 0 : b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
	case ONNX_POW:
		if (b >= 0 || long_b)
			return (int64_t)int_pow((uint64_t)a, (uint64_t)b);
		/* 1 / a^n, cut to an integer */
		return a == 1 ? 1 : a == -1 && !long_a ? (b & 1 ? -1 : 1) : 0;
	}
	return 0;
}

static double real_binary(enum onnx_binary op, double a, double b)
{
	switch (op) {
	case ONNX_ADD:
		return a + b;
	case ONNX_SUB:
		return a - b;
	case ONNX_MUL:
		return a * b;
	case ONNX_DIV:
		return a / b;
	case ONNX_POW:
		return pow(a, b);
	}
	return 0;
}

static void row(struct onnx_ctx *c, enum onnx_binary op, int64_t at, int64_t a, int64_t sa,
		int64_t b, int64_t sb, int64_t n)
{
	const struct onnx_tensor *x = c->in[0], *y = c->in[1];
	struct onnx_tensor *o = c->out[0];

	if (x->type == ONNX_F32 && y->type == ONNX_F32) {
		onnx_k_binary(op, (float *)o->data + at, (const float *)x->data + a, sa,
			      (const float *)y->data + b, sb, n);
		return;
	}
	for (int64_t i = 0; i < n; i++) {
		size_t ia = (size_t)(a + i * sa), ib = (size_t)(b + i * sb), io = (size_t)(at + i);

		if (onnx_is_float(x) || onnx_is_float(y))
			onnx_store_d(o, io,
				     real_binary(op, onnx_load_d(x, ia), onnx_load_d(y, ib)));
		else
			onnx_store_i(o, io, int_binary(op, onnx_load_i(x, ia), x->type == ONNX_U64,
						       onnx_load_i(y, ib), y->type == ONNX_U64));
	}
}

/* Part of the only row there is. */
static void binary_part(struct onnx_ctx *c, size_t from, size_t to)
{
	int64_t at = (int64_t)from, sa = c->p.binary.step_a, sb = c->p.binary.step_b;

	row(c, binary_op(c->node->op), at, at * sa, sa, at * sb, sb, (int64_t)(to - from));
}

int onnx_binary_run(struct onnx_ctx *c)
{
	const struct onnx_tensor *o = c->out[0];
	enum onnx_binary op = binary_op(c->node->op);
	int64_t sa[ONNX_RANK_MAX], sb[ONNX_RANK_MAX], pos[ONNX_RANK_MAX] = {0};
	int64_t inner = 1, ia = 0, ib = 0, step_a = 0, step_b = 0;
	unsigned int rank = o->rank, outer = rank;
	struct onnx_tensor b;

	if (!o->elements)
		return 0;
	second(c, &b);
	onnx_broadcast_strides(c->in[0], rank, sa);
	onnx_broadcast_strides(&b, rank, sb);
	/* Trailing dimensions in which each input either runs on or stands still are one row. */
	while (outer > 0) {
		unsigned int d = outer - 1;
		int64_t na = sa[d], nb = sb[d];

		if (o->dim[d] != 1) {
			if (inner == 1) {
				step_a = na;
				step_b = nb;
			} else if (na != step_a * inner || nb != step_b * inner) {
				break;
			}
			inner *= o->dim[d];
		}
		outer--;
	}
	if (!outer) {
		c->p.binary.step_a = step_a;
		c->p.binary.step_b = step_b;
		onnx_ranges(c, o->elements, o->elements, binary_part);
		return 0;
	}
	for (int64_t at = 0;; at += inner) {
		unsigned int d = outer;

		row(c, op, at, ia, step_a, ib, step_b, inner);
		while (d-- > 0) {
			ia += sa[d];
			ib += sb[d];
			if (++pos[d] < o->dim[d])
				break;
			ia -= sa[d] * o->dim[d];
			ib -= sb[d] * o->dim[d];
			pos[d] = 0;
		}
		if (d == UINT32_MAX)
			return 0;
	}
}

/* -------------------------------------------------------------------- unary */

static const struct {
	const char *name;
	enum onnx_unary op;
	float alpha;
} unary[] = {
	{"Relu", ONNX_RELU, 0},       {"LeakyRelu", ONNX_LEAKY, 0.01f}, {"Elu", ONNX_ELU, 1},
	{"Tanh", ONNX_TANH, 0},       {"Sigmoid", ONNX_SIGMOID, 0},     {"Erf", ONNX_ERF, 0},
	{"Exp", ONNX_EXP, 0},         {"Sqrt", ONNX_SQRT, 0},
};

int onnx_unary_shape(struct onnx_ctx *c)
{
	size_t i = 0;
	int r = onnx_need_type(c, 0, ONNX_F32);

	if (r < 0)
		return r;
	while (i + 1 < ARRAY_SIZE(unary) && strcmp(unary[i].name, c->node->op))
		i++;
	c->p.act.op = unary[i].op;
	c->p.act.a = onnx_attr_f(c, "alpha", unary[i].alpha);
	return onnx_same_shape(c);
}

static void unary_part(struct onnx_ctx *c, size_t from, size_t to)
{
	onnx_k_unary(c->p.act.op, (float *)c->out[0]->data + from,
		     (const float *)c->in[0]->data + from, c->p.act.a, c->p.act.b,
		     (int64_t)(to - from));
}

int onnx_unary_run(struct onnx_ctx *c)
{
	onnx_ranges(c, c->out[0]->elements, c->out[0]->elements, unary_part);
	return 0;
}

int onnx_clip_shape(struct onnx_ctx *c)
{
	if (!onnx_is_number(c->in[0]))
		return hw_fail(c->err, -ENOTSUP, "input 0 is of type %s",
			       onnx_type_name(c->in[0]->type));
	if (c->opset < 11 && c->in[0]->type != ONNX_F32) /* the limits are float attributes */
		return onnx_need_type(c, 0, ONNX_F32);
	for (size_t i = 1; i < 3; i++) {
		const struct onnx_tensor *t = onnx_in(c, i);

		if (t && (t->elements != 1 || t->type != c->in[0]->type))
			return hw_fail(c->err, -EBADMSG, "input %zu is not one number of type %s",
				       i, onnx_type_name(c->in[0]->type));
	}
	return onnx_same_shape(c);
}

static bool below(const struct onnx_tensor *a, size_t ia, const struct onnx_tensor *b, size_t ib)
{
	if (onnx_is_float(a))
		return onnx_load_d(a, ia) < onnx_load_d(b, ib);
	if (a->type == ONNX_U64)
		return (uint64_t)onnx_load_i(a, ia) < (uint64_t)onnx_load_i(b, ib);
	return onnx_load_i(a, ia) < onnx_load_i(b, ib);
}

int onnx_clip_run(struct onnx_ctx *c)
{
	const struct onnx_tensor *x = c->in[0], *lo = onnx_in(c, 1), *hi = onnx_in(c, 2);
	size_t size = onnx_type_size(x->type);

	if (x->type == ONNX_F32) {
		c->p.act.op = ONNX_CLIP;
		c->p.act.a = lo ? *(const float *)lo->data : onnx_attr_f(c, "min", -INFINITY);
		c->p.act.b = hi ? *(const float *)hi->data : onnx_attr_f(c, "max", INFINITY);
		return onnx_unary_run(c);
	}
	for (size_t i = 0; i < x->elements; i++) {
		const struct onnx_tensor *from = x;
		size_t at = i;

		if (lo && below(x, i, lo, 0)) {
			from = lo;
			at = 0;
		}
		if (hi && below(hi, 0, from, at)) {
			from = hi;
			at = 0;
		}
		memcpy((uint8_t *)c->out[0]->data + i * size,
		       (const uint8_t *)from->data + at * size, size);
	}
	return 0;
}

int onnx_cast_shape(struct onnx_ctx *c)
{
	int64_t to = onnx_attr_i(c, "to", 0);

	return onnx_out_shape(c, 0, to > 0 && to < 64 ? (int)to : 0, c->in[0]->rank, c->in[0]->dim);
}

int onnx_cast_run(struct onnx_ctx *c)
{
	for (size_t i = 0; i < c->out[0]->elements; i++)
		if (onnx_convert(c->out[0], i, c->in[0], i) < 0)
			return hw_fail(c->err, -EINVAL, "\"%.*s\" is not a number of type %s",
				       ONNX_TEXT_SIZE,
				       (const char *)c->in[0]->data + i * ONNX_TEXT_SIZE,
				       onnx_type_name(c->out[0]->type));
	return 0;
}
