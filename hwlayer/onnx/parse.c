// SPDX-License-Identifier: MIT
/*
 * From ModelProto to a checked graph.  One pass over the nodes, which the format wants in
 * execution order: inputs are looked up among the values known so far, shapes inferred, and what
 * depends on constants alone is computed on the spot and leaves the graph.
 */
#include <xxhash.h>

#include "onnx.pb-c.h"
#include "onnx/internal.h"

#define MAX_FILE ((size_t)1 << 30)
/*
 * A few numbers can broadcast to gigabytes, or be multiplied for hours: beyond these, what is
 * constant is left to the run.  Larger files have more to fold.
 */
#define FOLD_BYTES(file) (((size_t)16 << 20) + 2 * (file))
#define FOLD_STEPS 2e8

struct reader {
	const Onnx__GraphProto *p;
	struct onnx_graph *g;
	int *table;        /* open addressing by name: value index + 1, 0 is free */
	size_t table_mask;
	size_t fold_left;
	double steps_left;
	struct hw_error *err;
};

static const char *text(const char *s)
{
	return s ? s : "";
}

/* Index of the value called @name, or -1; *@slot is its place in the table either way. */
static int find(const struct reader *r, const char *name, size_t *slot)
{
	size_t at = (size_t)XXH3_64bits(name, strlen(name)) & r->table_mask;

	while (r->table[at] && strcmp(r->g->values[r->table[at] - 1].name, name))
		at = (at + 1) & r->table_mask;
	*slot = at;
	return r->table[at] - 1;
}

/* A new value; @t's name, if it has one, is replaced.  On failure @t is the caller's. */
static int add_value(struct reader *r, const char *name, struct onnx_tensor *t)
{
	struct onnx_graph *g = r->g;
	size_t slot;
	char *copy;

	if (!*name)
		return hw_fail(r->err, -EBADMSG, "a value without a name");
	if (find(r, name, &slot) >= 0)
		return hw_fail(r->err, -EBADMSG, "two values are called \"%.100s\"", name);
	copy = strdup(name);
	if (!copy)
		return hw_fail(r->err, -ENOMEM, "no memory");
	free(t->name);
	t->name = copy;
	g->values[g->n_values++] = *t;
	r->table[slot] = (int)g->n_values;
	return (int)g->n_values - 1;
}

/* Room for every value that the model can define, so that pointers to values stay good. */
static int reserve(struct reader *r)
{
	const Onnx__GraphProto *p = r->p;
	size_t n = p->n_initializer + p->n_input, table;

	for (size_t i = 0; i < p->n_node; i++)
		n += p->node[i]->n_output;
	if (n > INT32_MAX / 4)
		return hw_fail(r->err, -EBADMSG, "%zu values", n);
	table = pow2_ceil(2 * n + 2);
	r->table_mask = table - 1;
	r->table = calloc(table, sizeof(*r->table));
	r->g->name = strdup(text(p->name));
	r->g->values = calloc(n + 1, sizeof(*r->g->values));
	r->g->nodes = calloc(p->n_node + 1, sizeof(*r->g->nodes));
	r->g->inputs = calloc(p->n_input + 1, sizeof(*r->g->inputs));
	r->g->outputs = calloc(p->n_output + 1, sizeof(*r->g->outputs));
	if (!r->table || !r->g->name || !r->g->values || !r->g->nodes || !r->g->inputs ||
	    !r->g->outputs)
		return hw_fail(r->err, -ENOMEM, "no memory");
	return 0;
}

/* ---------------------------------------------- initializers, inputs, outputs */

static int read_initializers(struct reader *r)
{
	if (r->p->n_sparse_initializer)
		return hw_fail(r->err, -ENOTSUP, "sparse initializers are not supported");
	for (size_t i = 0; i < r->p->n_initializer; i++) {
		struct onnx_tensor t;
		int ret = onnx_decode_tensor(r->p->initializer[i], &t, r->err);

		if (ret < 0)
			return ret;
		ret = add_value(r, text(r->p->initializer[i]->name), &t);
		if (ret < 0) {
			onnx_tensor_clear(&t);
			return ret;
		}
	}
	return 0;
}

/* What a graph input or output is declared to be. */
struct declaration {
	int kind;                   /* of a list; 0: a tensor */
	int type;                   /* of the elements, 0 where it is left open */
	int rank;                   /* -1: no shape is given */
	int64_t dim[ONNX_RANK_MAX]; /* -1: left open */
};

/* The tensor type inside of @v's type, and what is wrapped around it; NULL: anything else. */
static const Onnx__TypeProto__Tensor *unwrap(const Onnx__ValueInfoProto *v, int *kind)
{
	const Onnx__TypeProto *t = v->type;
	bool optional = t->value_case == ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE;
	bool sequence;

	if (optional)
		t = t->optional_type->elem_type;
	sequence = t && t->value_case == ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE;
	if (sequence)
		t = t->sequence_type->elem_type;
	*kind = optional ? (sequence ? ONNX_OPTIONAL_SEQUENCE : ONNX_OPTIONAL)
			 : sequence ? ONNX_SEQUENCE : 0;
	return t && t->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE ? t->tensor_type : NULL;
}

static int declared(struct reader *r, const Onnx__ValueInfoProto *v, struct declaration *out)
{
	const Onnx__TypeProto__Tensor *t;

	if (!v->type || v->type->value_case == ONNX__TYPE_PROTO__VALUE__NOT_SET)
		return hw_fail(r->err, -EBADMSG, "\"%.100s\" has no type", text(v->name));
	t = unwrap(v, &out->kind);
	if (!t)
		return hw_fail(r->err, -ENOTSUP, "\"%.100s\" is neither a tensor nor a sequence "
			       "of them", text(v->name));
	out->type = t->elem_type;
	out->rank = -1;
	if (!t->shape || out->kind)
		return 0;
	if (t->shape->n_dim > ONNX_RANK_MAX)
		return hw_fail(r->err, -ENOTSUP,
			       "\"%.100s\" has %zu dimensions, at most %d are supported",
			       text(v->name), t->shape->n_dim, ONNX_RANK_MAX);
	out->rank = (int)t->shape->n_dim;
	for (int i = 0; i < out->rank; i++) {
		const Onnx__TensorShapeProto__Dimension *d = t->shape->dim[i];

		out->dim[i] = -1;
		if (d->value_case != ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE)
			continue;
		if (d->dim_value < 0)
			return hw_fail(r->err, -EBADMSG, "\"%.100s\": dimension %d is %lld",
				       text(v->name), i, (long long)d->dim_value);
		out->dim[i] = d->dim_value;
	}
	return 0;
}

/* @t becomes the value that @d declares. */
static int declared_value(struct reader *r, struct declaration *d, const char *name,
			  struct onnx_tensor *t)
{
	if (d->kind)
		return onnx_set_list(t, d->kind, d->type, r->err);
	if (d->rank < 0)
		return hw_fail(r->err, -ENOTSUP, "input \"%.100s\" has no fixed shape", name);
	for (int k = 0; k < d->rank; k++) {
		if (d->dim[k] < 0 && k)
			return hw_fail(r->err, -ENOTSUP,
				       "input \"%.100s\": dimension %d is not fixed", name, k);
		if (d->dim[k] < 0)
			d->dim[k] = 1; /* the batch */
	}
	return onnx_set_shape(t, d->type, (unsigned int)d->rank, d->dim, r->err);
}

static int read_inputs(struct reader *r)
{
	for (size_t i = 0; i < r->p->n_input; i++) {
		const Onnx__ValueInfoProto *v = r->p->input[i];
		const char *name = text(v->name);
		struct onnx_tensor t = {0};
		struct declaration d;
		size_t slot;
		int ret, at = find(r, name, &slot);

		if (at >= 0 && r->g->values[at].constant)
			continue; /* an initializer's default, as IR versions before 4 list them */
		ret = declared(r, v, &d);
		if (ret < 0)
			return ret;
		ret = declared_value(r, &d, name, &t);
		if (ret < 0)
			return hw_fail_context(r->err, ret, "input \"%.100s\"", name);
		at = add_value(r, name, &t);
		if (at < 0)
			return at;
		r->g->inputs[r->g->n_inputs++] = at;
	}
	return 0;
}

static int read_outputs(struct reader *r)
{
	if (!r->p->n_output)
		return hw_fail(r->err, -EBADMSG, "the graph has no output");
	for (size_t i = 0; i < r->p->n_output; i++) {
		const Onnx__ValueInfoProto *v = r->p->output[i];
		const char *name = text(v->name);
		const struct onnx_tensor *t;
		struct declaration d;
		size_t slot;
		int ret, at = find(r, name, &slot);

		if (at < 0)
			return hw_fail(r->err, -EBADMSG, "nothing computes the output \"%.100s\"",
				       name);
		t = &r->g->values[at];
		ret = declared(r, v, &d);
		if (ret < 0)
			return ret;
		if (d.kind != (onnx_is_list(t) ? (int)t->type : 0) ||
		    (d.type && d.type != (int)(d.kind ? t->item : t->type)) ||
		    (d.rank >= 0 && (unsigned int)d.rank != t->rank))
			return hw_fail(r->err, -EBADMSG,
				       "output \"%.100s\" is declared with another type or rank",
				       name);
		for (int k = 0; k < d.rank; k++)
			if (d.dim[k] >= 0 && d.dim[k] != t->dim[k])
				return hw_fail(
					r->err, -EBADMSG,
					"output \"%.100s\": dimension %d is declared as %lld, "
					"but comes out as %lld",
					name, k, (long long)d.dim[k], (long long)t->dim[k]);
		r->g->outputs[r->g->n_outputs++] = at;
	}
	return 0;
}

/* ---------------------------------------------------------------------- nodes */

/* The tensor that a Constant node stands for. */
static int constant_value(const struct onnx_node *n, struct onnx_tensor *t, struct hw_error *err)
{
	struct onnx_attr *a = n->n_attr == 1 ? &n->attr[0] : NULL;
	bool list = a && (a->kind == 6 || a->kind == 7), real = a && (a->kind == 1 || a->kind == 6);
	int64_t count;
	int r;

	*t = (struct onnx_tensor){.constant = true};
	if (a && a->kind == 4 && !strcmp(a->name, "value")) {
		*t = *a->t;
		*a->t = (struct onnx_tensor){0};
		return 0;
	}
	if (!a || (strcmp(a->name, "value_float") && strcmp(a->name, "value_floats") &&
		   strcmp(a->name, "value_int") && strcmp(a->name, "value_ints")) ||
	    !(list || real || a->kind == 2))
		return hw_fail(err, a ? -ENOTSUP : -EBADMSG,
			       "node \"%.100s\" (Constant): this kind of value is not supported",
			       n->name);
	count = list ? (int64_t)a->n : 1;
	r = onnx_set_shape(t, real ? ONNX_F32 : ONNX_I64, list ? 1 : 0, &count, err);
	if (!r)
		r = onnx_tensor_alloc(t);
	if (r < 0)
		return hw_fail(err, r, "no memory");
	for (size_t i = 0; i < t->elements; i++) {
		if (real)
			onnx_store_d(t, i, (double)(list ? a->floats[i] : a->f));
		else
			onnx_store_i(t, i, list ? a->ints[i] : a->i);
	}
	return 0;
}

static int read_constant(struct reader *r, const Onnx__NodeProto *p, const struct onnx_node *n)
{
	struct onnx_tensor t;
	int ret;

	if (p->n_output != 1 || p->n_input)
		return hw_fail(r->err, -EBADMSG,
			       "node \"%.100s\" (Constant) with %zu inputs and %zu outputs",
			       n->name, p->n_input, p->n_output);
	ret = constant_value(n, &t, r->err);
	if (ret < 0)
		return ret;
	ret = add_value(r, text(p->output[0]), &t);
	if (ret < 0)
		onnx_tensor_clear(&t);
	return ret < 0 ? ret : 0;
}

/* An input that nothing before the node defines: say which of the reasons it is. */
static int undefined(struct reader *r, const struct onnx_node *n, const char *name)
{
	for (size_t i = 0; i < r->p->n_node; i++)
		for (size_t k = 0; k < r->p->node[i]->n_output; k++)
			if (!strcmp(text(r->p->node[i]->output[k]), name))
				return hw_fail(
					r->err, -EBADMSG,
					"node \"%.100s\" (%.100s): input \"%.100s\" is computed "
					"later: a cycle, or nodes out of order",
					n->name, n->op, name);
	return hw_fail(r->err, -EBADMSG, "node \"%.100s\" (%.100s): nothing computes the input "
		       "\"%.100s\"", n->name, n->op, name);
}

/* Look up the inputs and define the outputs of @n. */
static int connect(struct reader *r, const Onnx__NodeProto *p, struct onnx_node *n)
{
	size_t n_in = p->n_input, n_out = p->n_output, slot;

	/* Optional ones at the end may be given as "". */
	while (n_in && !*text(p->input[n_in - 1]))
		n_in--;
	while (n_out && !*text(p->output[n_out - 1]))
		n_out--;
	n->in = calloc(n_in + 1, sizeof(*n->in));
	n->out = calloc(n_out + 1, sizeof(*n->out));
	if (!n->in || !n->out)
		return hw_fail(r->err, -ENOMEM, "no memory");
	for (; n->n_in < n_in; n->n_in++) {
		const char *name = text(p->input[n->n_in]);

		n->in[n->n_in] = *name ? find(r, name, &slot) : -1;
		if (*name && n->in[n->n_in] < 0)
			return undefined(r, n, name);
	}
	for (; n->n_out < n_out; n->n_out++) {
		struct onnx_tensor t = {0};
		int at = add_value(r, text(p->output[n->n_out]), &t);

		if (at < 0)
			return hw_fail_context(r->err, at, "node \"%.100s\" (%.100s)", n->name,
					       n->op);
		n->out[n->n_out] = at;
	}
	return 0;
}

/* Steps for one element of the output, at most: where it is not a handful. */
static double steps_each(const struct onnx_op *op, const struct onnx_ctx *c)
{
	const struct onnx_tensor *a = c->in[0];
	const struct onnx_window *w = &c->p.pool.w;
	double steps = 1;

	if (op->run == onnx_conv_run)
		return (double)c->in[1]->elements / (double)(c->in[1]->dim[0] ? c->in[1]->dim[0] : 1);
	if (op->run == onnx_matmul_run)
		return (double)a->dim[a->rank - 1];
	if (op->run == onnx_gemm_run)
		return (double)(a->dim[0] > a->dim[1] ? a->dim[0] : a->dim[1]);
	for (int i = 0; op->run == onnx_window_pool_run && i < ONNX_SPATIAL_MAX; i++)
		steps *= (double)(w->kernel[i] < w->in[i] ? w->kernel[i] : w->in[i]);
	return steps;
}

static bool foldable(struct reader *r, const struct onnx_op *op, const struct onnx_ctx *c)
{
	size_t bytes = 0;
	double steps = 0;

	for (size_t i = 0; i < c->n_in; i++)
		if (c->in[i] && !c->in[i]->constant && !op->shape_only)
			return false;
	for (size_t i = 0; i < c->n_in && !op->shape_only; i++)
		steps += c->in[i] ? (double)c->in[i]->elements : 0;
	for (size_t i = 0; i < c->n_out; i++) {
		bytes += onnx_tensor_bytes(c->out[i]);
		steps += (double)c->out[i]->elements * steps_each(op, c);
	}
	if (bytes > r->fold_left || c->scratch_len > r->fold_left || steps > r->steps_left)
		return false;
	r->fold_left -= bytes;
	r->steps_left -= steps;
	return true;
}

static int fold(struct reader *r, const struct onnx_op *op, struct onnx_ctx *c)
{
	int ret = 0;

	for (size_t i = 0; i < c->n_out && !ret; i++)
		ret = onnx_tensor_alloc(c->out[i]);
	c->scratch = ret ? NULL : malloc(c->scratch_len + 1);
	if (!c->scratch)
		return hw_fail(r->err, -ENOMEM, "no memory");
	ret = onnx_op_run(op, c);
	free(c->scratch);
	if (ret < 0)
		return hw_fail_context(r->err, -EBADMSG, "node \"%.100s\" (%s)", c->node->name,
				       op->name);
	for (size_t i = 0; i < c->n_out; i++)
		c->out[i]->constant = true;
	return 1;
}

/* 1: the node is gone, its outputs are constants. */
static int infer_and_fold(struct reader *r, const struct onnx_node *n)
{
	const struct onnx_op *op = onnx_find_op(n, r->g->opset, r->err);
	struct onnx_ctx c;
	int ret;

	if (!op)
		return hw_fail_context(r->err, r->err->code, "node \"%.100s\"", n->name);
	ret = onnx_ctx_init(&c, n, r->g->values, r->g->opset, r->err);
	if (ret < 0)
		return ret;
	ret = onnx_infer(op, &c);
	if (!ret && foldable(r, op, &c))
		ret = fold(r, op, &c);
	onnx_ctx_free(&c);
	return ret;
}

static int read_nodes(struct reader *r)
{
	for (size_t i = 0; i < r->p->n_node; i++) {
		const Onnx__NodeProto *p = r->p->node[i];
		struct onnx_node n;
		int ret = onnx_decode_node(p, &n, r->err);

		if (ret < 0)
			return ret;
		if (!strcmp(n.op, "Constant")) {
			ret = read_constant(r, p, &n);
			if (!ret)
				ret = 1;
		} else {
			ret = connect(r, p, &n);
			if (!ret)
				ret = infer_and_fold(r, &n);
		}
		if (!ret)
			r->g->nodes[r->g->n_nodes++] = n;
		else
			onnx_node_clear(&n);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* Forget the values that nothing refers to any more, and renumber the rest. */
static int compact(struct reader *r)
{
	struct onnx_graph *g = r->g;
	int *map = calloc(g->n_values + 1, sizeof(*map)), kept = 0;

	if (!map)
		return hw_fail(r->err, -ENOMEM, "no memory");
	for (size_t i = 0; i < g->n_nodes; i++) {
		for (size_t k = 0; k < g->nodes[i].n_in; k++)
			if (g->nodes[i].in[k] >= 0)
				map[g->nodes[i].in[k]] = 1;
		for (size_t k = 0; k < g->nodes[i].n_out; k++)
			map[g->nodes[i].out[k]] = 1;
	}
	for (size_t i = 0; i < g->n_inputs; i++)
		map[g->inputs[i]] = 1;
	for (size_t i = 0; i < g->n_outputs; i++)
		map[g->outputs[i]] = 1;
	for (size_t i = 0; i < g->n_values; i++) {
		if (!map[i]) {
			onnx_tensor_clear(&g->values[i]);
			continue;
		}
		map[i] = kept;
		g->values[kept++] = g->values[i];
	}
	g->n_values = (size_t)kept;
	for (size_t i = 0; i < g->n_nodes; i++) {
		for (size_t k = 0; k < g->nodes[i].n_in; k++)
			if (g->nodes[i].in[k] >= 0)
				g->nodes[i].in[k] = map[g->nodes[i].in[k]];
		for (size_t k = 0; k < g->nodes[i].n_out; k++)
			g->nodes[i].out[k] = map[g->nodes[i].out[k]];
	}
	for (size_t i = 0; i < g->n_inputs; i++)
		g->inputs[i] = map[g->inputs[i]];
	for (size_t i = 0; i < g->n_outputs; i++)
		g->outputs[i] = map[g->outputs[i]];
	free(map);
	return 0;
}

/* ---------------------------------------------------------------------- model */

static int read_opset(struct reader *r, const Onnx__ModelProto *m)
{
	int64_t opset = 0;

	for (size_t i = 0; i < m->n_opset_import; i++) {
		const char *domain = text(m->opset_import[i]->domain);

		if (!*domain || !strcmp(domain, "ai.onnx"))
			opset = m->opset_import[i]->version;
	}
	if (opset < 1)
		return hw_fail(r->err, -EBADMSG, "not an ONNX model: it names no operator set");
	if (opset > ONNX_MAX_OPSET)
		return hw_fail(r->err, -ENOTSUP, "opset %lld is not supported, at most %d is",
			       (long long)opset, ONNX_MAX_OPSET);
	r->g->opset = opset;
	return 0;
}

static int read_graph(struct reader *r)
{
	int ret = reserve(r);

	if (!ret)
		ret = read_initializers(r);
	if (!ret)
		ret = read_inputs(r);
	if (!ret)
		ret = read_nodes(r);
	if (!ret)
		ret = read_outputs(r);
	if (!ret)
		ret = compact(r);
	return ret;
}

int onnx_parse(struct span model, struct onnx_graph **out, struct hw_error *err)
{
	struct hw_error local = {0};
	struct reader r = {.fold_left = FOLD_BYTES(model.len), .steps_left = FOLD_STEPS,
			   .err = err ? err : &local};
	Onnx__ModelProto *m;
	int ret = onnx_scan(model, r.err);

	if (ret < 0)
		return ret;
	m = onnx__model_proto__unpack(NULL, model.len, model.ptr);
	if (!m)
		return hw_fail(r.err, -EBADMSG, "not an ONNX model, or cut short");
	r.p = m->graph;
	r.g = calloc(1, sizeof(*r.g));
	if (!r.g)
		ret = hw_fail(r.err, -ENOMEM, "no memory");
	else if (!m->graph)
		ret = hw_fail(r.err, -EBADMSG, "not an ONNX model: it has no graph");
	else
		ret = read_opset(&r, m);
	if (!ret)
		ret = read_graph(&r);
	free(r.table);
	onnx__model_proto__free_unpacked(m, NULL);
	if (ret < 0)
		onnx_free(r.g);
	else
		*out = r.g;
	return ret;
}

int onnx_open(const char *path, struct onnx_graph **out, struct hw_error *err)
{
	uint8_t *file;
	size_t len;
	int r = util_read_file(path, MAX_FILE, &file, &len, err);

	if (r < 0)
		return r;
	r = onnx_parse((struct span){file, len}, out, err);
	free(file);
	return r < 0 ? hw_fail_context(err, r, "%s", path) : 0;
}

void onnx_free(struct onnx_graph *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->n_nodes; i++)
		onnx_node_clear(&g->nodes[i]);
	for (size_t i = 0; i < g->n_values; i++)
		onnx_tensor_clear(&g->values[i]);
	free(g->nodes);
	free(g->values);
	free(g->inputs);
	free(g->outputs);
	free(g->name);
	free(g);
}
