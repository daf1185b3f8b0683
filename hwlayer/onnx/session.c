// SPDX-License-Identifier: MIT
/*
 * Running a graph.  Everything is laid out when the session is made: each activation gets a place
 * in one arena, given back after its last use; a run only computes.
 */
#include "onnx/internal.h"

#define ALIGN 64u
#define ARENA_MAX ((size_t)8 << 30)

struct step {
	const struct onnx_op *op;
	struct onnx_ctx ctx;
};

struct onnx_session {
	const struct onnx_graph *g;
	struct onnx_tensor *values; /* copies of the graph's, with this session's data pointers */
	struct step *steps;
	size_t n_steps;
	size_t *offset;             /* in the arena, by value */
	uint8_t *arena, *scratch;
	size_t bytes;               /* of both */
	float **hook_out;
	struct onnx_pool *pool;
	onnx_hook hook;
	void *hook_user;
};

/* ----------------------------------------------------------------- planning */

struct hole {
	size_t at, len;
};

struct plan {
	struct hole *holes; /* by address, none touches the next; the last one has no end */
	size_t n, top;
};

static size_t value_bytes(const struct onnx_tensor *t)
{
	size_t n = onnx_tensor_bytes(t);

	return align_up(n ? n : 1, ALIGN);
}

static size_t plan_take(struct plan *p, size_t len)
{
	size_t i = 0, at;

	while (p->holes[i].len < len)
		i++;
	at = p->holes[i].at;
	p->holes[i].at += len;
	p->holes[i].len -= len;
	if (!p->holes[i].len)
		memmove(&p->holes[i], &p->holes[i + 1], (--p->n - i) * sizeof(*p->holes));
	if (at + len > p->top)
		p->top = at + len;
	return at;
}

static void plan_give(struct plan *p, size_t at, size_t len)
{
	size_t i = 0;

	while (p->holes[i].at < at)
		i++;
	if (at + len == p->holes[i].at) {
		p->holes[i].at = at;
		p->holes[i].len += len;
	} else {
		memmove(&p->holes[i + 1], &p->holes[i], (p->n++ - i) * sizeof(*p->holes));
		p->holes[i] = (struct hole){at, len};
	}
	if (i && p->holes[i - 1].at + p->holes[i - 1].len == p->holes[i].at) {
		p->holes[i - 1].len += p->holes[i].len;
		memmove(&p->holes[i], &p->holes[i + 1], (--p->n - i) * sizeof(*p->holes));
	}
}

/* Index of the node after which each value is not needed any more; SIZE_MAX: never. */
static void last_uses(const struct onnx_graph *g, size_t *last)
{
	for (size_t i = 0; i < g->n_nodes; i++) {
		for (size_t k = 0; k < g->nodes[i].n_out; k++)
			last[g->nodes[i].out[k]] = i;
		for (size_t k = 0; k < g->nodes[i].n_in; k++)
			if (g->nodes[i].in[k] >= 0)
				last[g->nodes[i].in[k]] = i;
	}
	for (size_t i = 0; i < g->n_outputs; i++)
		last[g->outputs[i]] = SIZE_MAX;
	for (size_t i = 0; i < g->n_inputs; i++)
		last[g->inputs[i]] = SIZE_MAX; /* the caller's memory, not the arena's */
	for (size_t i = 0; i < g->n_values; i++)
		if (g->values[i].constant)
			last[i] = SIZE_MAX;
}

static void release(struct onnx_session *s, struct plan *p, size_t *last, int value, size_t node)
{
	if (value < 0 || last[value] != node)
		return;
	plan_give(p, s->offset[value], value_bytes(&s->values[value]));
	last[value] = SIZE_MAX; /* an input may be named twice */
}

static int plan_arena(struct onnx_session *s, struct hw_error *err)
{
	const struct onnx_graph *g = s->g;
	size_t *last = calloc(g->n_values + 1, sizeof(*last));
	struct plan p = {.n = 1};
	int r = 0;

	/* No more holes than values that were given back, and the one without end. */
	p.holes = calloc(g->n_values + 2, sizeof(*p.holes));
	if (!last || !p.holes) {
		r = hw_fail(err, -ENOMEM, "no memory");
		goto out;
	}
	p.holes[0] = (struct hole){0, SIZE_MAX / 2};
	last_uses(g, last);
	for (size_t i = 0; i < g->n_nodes; i++) {
		const struct onnx_node *n = &g->nodes[i];

		for (size_t k = 0; k < n->n_out; k++)
			s->offset[n->out[k]] = plan_take(&p, value_bytes(&s->values[n->out[k]]));
		for (size_t k = 0; k < n->n_in; k++)
			release(s, &p, last, n->in[k], i);
		for (size_t k = 0; k < n->n_out; k++)
			release(s, &p, last, n->out[k], i);
		if (p.top > ARENA_MAX)
			break;
	}
	if (p.top <= ARENA_MAX)
		s->arena = aligned_alloc(ALIGN, p.top ? p.top : ALIGN);
	s->bytes += p.top;
	if (!s->arena) {
		r = hw_fail(err, -ENOMEM, "no memory for %zu bytes of activations", p.top);
		goto out;
	}
	for (size_t i = 0; i < g->n_nodes; i++)
		for (size_t k = 0; k < g->nodes[i].n_out; k++)
			s->values[g->nodes[i].out[k]].data =
				s->arena + s->offset[g->nodes[i].out[k]];
out:
	free(p.holes);
	free(last);
	return r;
}

static int make_steps(struct onnx_session *s, unsigned int threads, struct hw_error *err)
{
	const struct onnx_graph *g = s->g;
	size_t scratch = 0, most_out = 1;
	int r;

	for (size_t i = 0; i < g->n_nodes; i++) {
		struct step *step = &s->steps[i];

		step->op = onnx_find_op(&g->nodes[i], g->opset, err);
		if (!step->op)
			return -ENOTSUP;
		r = onnx_ctx_init(&step->ctx, &g->nodes[i], s->values, g->opset, err);
		if (r < 0)
			return r;
		s->n_steps++;
		step->ctx.workers = threads;
		step->ctx.pool = s->pool;
		r = onnx_infer(step->op, &step->ctx);
		if (r < 0)
			return r;
		if (step->ctx.scratch_len > scratch)
			scratch = step->ctx.scratch_len;
		if (g->nodes[i].n_out > most_out)
			most_out = g->nodes[i].n_out;
	}
	s->hook_out = calloc(most_out, sizeof(*s->hook_out));
	if (scratch <= ARENA_MAX)
		s->scratch = aligned_alloc(ALIGN, align_up(scratch + 1, ALIGN));
	s->bytes += scratch;
	if (!s->hook_out || !s->scratch)
		return hw_fail(err, -ENOMEM, "no memory for %zu bytes of work space", scratch);
	for (size_t i = 0; i < g->n_nodes; i++)
		s->steps[i].ctx.scratch = s->scratch;
	return 0;
}

int onnx_session_new(const struct onnx_graph *g, unsigned int threads, struct onnx_session **out,
		     struct hw_error *err)
{
	struct onnx_session *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return hw_fail(err, -ENOMEM, "no memory");
	s->g = g;
	s->values = calloc(g->n_values + 1, sizeof(*s->values));
	s->offset = calloc(g->n_values + 1, sizeof(*s->offset));
	s->steps = calloc(g->n_nodes + 1, sizeof(*s->steps));
	if (threads > 1)
		s->pool = onnx_pool_new(threads);
	if (!s->values || !s->offset || !s->steps || (threads > 1 && !s->pool)) {
		r = hw_fail(err, -ENOMEM, "no memory, or no threads");
		goto err_free;
	}
	if (g->n_values)
		memcpy(s->values, g->values, g->n_values * sizeof(*s->values));
	r = make_steps(s, threads ? threads : 1, err);
	if (!r)
		r = plan_arena(s, err);
	if (r < 0)
		goto err_free;
	*out = s;
	return 0;
err_free:
	onnx_session_free(s);
	return r;
}

void onnx_session_free(struct onnx_session *s)
{
	if (!s)
		return;
	onnx_pool_free(s->pool);
	for (size_t i = 0; i < s->n_steps; i++)
		onnx_ctx_free(&s->steps[i].ctx);
	free(s->steps);
	free(s->values);
	free(s->offset);
	free(s->arena);
	free(s->scratch);
	free(s->hook_out);
	free(s);
}

size_t onnx_session_bytes(const struct onnx_session *s)
{
	return s->bytes;
}

void onnx_session_set_hook(struct onnx_session *s, onnx_hook hook, void *user)
{
	s->hook = hook;
	s->hook_user = user;
}

/* ------------------------------------------------------------------ running */

int onnx_run(struct onnx_session *s, const void *const *in, void *const *out, struct hw_error *err)
{
	const struct onnx_graph *g = s->g;

	/* Inputs are read where they are; no operator writes to its input. */
	for (size_t i = 0; i < g->n_inputs; i++)
		s->values[g->inputs[i]].data = (void *)(uintptr_t)in[i];
	for (size_t i = 0; i < s->n_steps; i++) {
		struct onnx_ctx *c = &s->steps[i].ctx;
		int r;

		c->err = err;
		r = onnx_op_run(s->steps[i].op, c);
		c->err = NULL;
		if (r < 0)
			return hw_fail_context(err, r, "node \"%.100s\" (%s)", c->node->name,
					       c->node->op);
		if (!s->hook)
			continue;
		for (size_t k = 0; k < c->n_out; k++)
			s->hook_out[k] = c->out[k]->data;
		s->hook(g, i, s->hook_out, s->hook_user);
	}
	for (size_t i = 0; i < g->n_outputs; i++) {
		const struct onnx_tensor *t = &s->values[g->outputs[i]];

		if (t->elements)
			memcpy(out[i], t->data, onnx_tensor_bytes(t));
	}
	return 0;
}
