// SPDX-License-Identifier: MIT
/*
 * A network in several contexts: where to cut it, and what has to pass from one context to a later
 * one.  Codes travel as bytes with a zero point that holds all of them, so nothing is rounded: the
 * network computes the same bits as in one piece.
 */
#include "build/internal.h"

#define NOT_READ SIZE_MAX

/* One layer of the core, in the order of execution. */
struct layer {
	size_t at, len; /* in plan.layers */
	uint32_t out, in[2];
	size_t n_in;
	uint64_t work;
};

struct tensor {
	int value;	       /* of the graph */
	size_t written;	       /* layer, or that of an input's first reader */
	size_t last_read;      /* layer, NOT_READ: none */
	bool graph_input;
};

struct splitter {
	struct plan *p;
	size_t n_layers;
	struct layer *layers;
	struct tensor *tensors;
	size_t *cut; /* [parts + 1]: first layer of each */
};

static void read_layers(struct splitter *s)
{
	const struct buf *b = &s->p->layers;
	size_t step = 0, at = 0;

	for (size_t i = 0; i < s->n_layers; i++) {
		struct layer *l = &s->layers[i];

		while (s->p->steps[step].kind == STEP_ALIAS)
			step++;
		*l = (struct layer){
		    .at = at,
		    .len = get_le32(b->ptr + at + 4),
		    .out = get_le32(b->ptr + at + 8),
		    .in = {get_le32(b->ptr + at + 12)},
		    .n_in = 1,
		};
		if (get_le32(b->ptr + at) == PAYLOAD_ADD)
			l->in[l->n_in++] = get_le32(b->ptr + at + sizeof(struct payload_layer));
		l->work = 1 + s->p->tensors[l->out].elements;
		if (s->p->steps[step].kind == STEP_CONV)
			l->work *= s->p->steps[step].k;
		at += l->len;
		step++;
	}
}

static void trace(struct splitter *s)
{
	const struct plan *p = s->p;

	for (size_t t = 0; t < p->n_tensors; t++)
		s->tensors[t] = (struct tensor){.value = -1, .last_read = NOT_READ};
	for (size_t v = 0; v < p->g->n_values; v++) {
		int t = p->values[v].tensor;

		if (p->values[v].root >= 0 && t >= 0 && s->tensors[t].value < 0)
			s->tensors[t].value = (int)v;
	}
	for (size_t i = 0; i < p->g->n_inputs; i++) {
		struct tensor *t = &s->tensors[p->values[p->g->inputs[i]].tensor];

		t->graph_input = true;
		t->written = NOT_READ;
	}
	for (size_t i = 0; i < s->n_layers; i++) {
		const struct layer *l = &s->layers[i];

		s->tensors[l->out].written = i;
		for (size_t k = 0; k < l->n_in; k++) {
			struct tensor *t = &s->tensors[l->in[k]];

			t->last_read = i;
			if (t->written == NOT_READ)
				t->written = i;
		}
	}
	for (size_t t = 0; t < p->n_tensors; t++) {
		if (s->tensors[t].written == NOT_READ)
			s->tensors[t].written = 0;
	}
}

/* ------------------------------------------------------------------------------ ports */

/* All codes of one zero point, or of one for each element, as bytes? */
static bool fits_bytes(const struct plan *p, const struct tensor *t, size_t tensor)
{
	const struct core_tensor *c = &p->tensors[tensor];
	const struct root *root = &p->roots[p->values[t->value].root];

	return t->graph_input || c->hi - (c->lo < 0 ? c->lo : 0) <= 255 || root->span == 255;
}

/* A stream between contexts: how its bytes are made. */
static void inner_port(const struct plan *p, const struct tensor *t, struct split_port *port)
{
	const struct core_tensor *c = &p->tensors[port->tensor];

	port->value = t->value;
	port->inner = true;
	port->zero = c->lo < 0 ? -c->lo : 0;
	/* Channels whose codes lie apart have a zero point each. */
	port->by_element = c->hi + port->zero > 255;
}

static size_t part_of(const struct splitter *s, size_t parts, size_t layer)
{
	size_t k = 0;

	while (k + 1 < parts && layer >= s->cut[k + 1])
		k++;
	return k;
}

static int add_port(struct split_part *part, struct split_port port, struct hw_error *err)
{
	if (part->n_ports == PAYLOAD_PORTS_MAX)
		return hw_fail(err, -ENOTSUP, "a context would have more than %u streams",
			       PAYLOAD_PORTS_MAX);
	part->ports[part->n_ports++] = port;
	return 0;
}

static bool reads(const struct splitter *s, size_t part, uint32_t tensor)
{
	for (size_t i = s->cut[part]; i < s->cut[part + 1]; i++) {
		for (size_t k = 0; k < s->layers[i].n_in; k++) {
			if (s->layers[i].in[k] == tensor)
				return true;
		}
	}
	return false;
}

static int graph_ports(const struct splitter *s, struct split *out, bool output)
{
	const struct plan *p = s->p;
	size_t n = output ? p->g->n_outputs : p->g->n_inputs;
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		int value = output ? p->g->outputs[i] : p->g->inputs[i];
		int t = p->values[value].tensor;

		r = add_port(&out->part[part_of(s, out->n, s->tensors[t].written)],
			     (struct split_port){
				 .tensor = (uint32_t)t,
				 .value = value,
				 .output = output,
				 .stream = plan_stream_index(p, output, i),
			     },
			     p->err);
	}
	return r;
}

/* Each tensor that a later part reads leaves the part that has it once and enters all of those. */
static int inner_ports(const struct splitter *s, struct split *out)
{
	const struct plan *p = s->p;
	uint32_t stream = (uint32_t)(p->g->n_inputs + p->g->n_outputs);
	int r = 0;

	for (size_t t = 0; r == 0 && t < p->n_tensors; t++) {
		size_t home = part_of(s, out->n, s->tensors[t].written);
		struct split_port port = {.tensor = (uint32_t)t, .from = (uint16_t)home};
		bool any = false;

		inner_port(p, &s->tensors[t], &port);
		if (stream > UINT8_MAX)
			return hw_fail(p->err, -ENOTSUP, "too many streams between contexts");
		port.stream = (uint8_t)stream;
		for (size_t k = home + 1; r == 0 && k < out->n; k++) {
			if (!reads(s, k, (uint32_t)t))
				continue;
			if (!any)
				port.to = (uint16_t)k;
			any = true;
			r = add_port(&out->part[k], port, p->err);
		}
		port.output = true;
		if (r == 0 && any)
			r = add_port(&out->part[home], port, p->err);
		stream += any;
	}
	return r;
}

/* ------------------------------------------------------------------------------- cuts */

/* May a new part begin with layer @at? */
static bool may_cut(const struct splitter *s, size_t at)
{
	bool any = false;

	for (size_t t = 0; t < s->p->n_tensors; t++) {
		const struct tensor *x = &s->tensors[t];

		if (x->written >= at || x->last_read == NOT_READ || x->last_read < at)
			continue;
		if (!fits_bytes(s->p, x, t))
			return false;
		any = true;
	}
	return any;
}

/* Cuts nearest to equal shares of the work. */
static int choose_cuts(struct splitter *s, size_t parts)
{
	uint64_t total = 0, before = 0;
	size_t at = 0, places = 0, k = 1;

	for (size_t i = 0; i < s->n_layers; i++) {
		total += s->layers[i].work;
		places += i && may_cut(s, i);
	}
	if (places + 1 < parts)
		return hw_fail(s->p->err, -ENOTSUP,
			       "the network can be cut into %zu contexts at most: only 8-bit "
			       "activations can pass from one to the next",
			       places + 1);
	s->cut[0] = 0;
	for (at = 1; at < s->n_layers && k < parts; at++) {
		uint64_t next;

		before += s->layers[at - 1].work;
		if (!may_cut(s, at))
			continue;
		/* Here, if it is enough by half of the next layer, or no place may be wasted. */
		next = before + s->layers[at].work / 2;
		if (places-- == parts - k || next * parts >= total * k)
			s->cut[k++] = at;
	}
	s->cut[parts] = s->n_layers;
	return 0;
}

/* ------------------------------------------------------------------------------- parts */

/* A tensor's number inside of the part, in the order of the whole network's. */
static uint32_t *number_tensors(const struct splitter *s, struct split_part *part, size_t k)
{
	uint32_t *number = calloc(s->p->n_tensors, sizeof(*number));

	if (!number)
		return NULL;
	for (size_t i = 0; i < part->n_ports; i++)
		number[part->ports[i].tensor] = 1;
	for (size_t i = s->cut[k]; i < s->cut[k + 1]; i++) {
		number[s->layers[i].out] = 1;
		for (size_t n = 0; n < s->layers[i].n_in; n++)
			number[s->layers[i].in[n]] = 1;
	}
	part->n_tensors = 0;
	for (size_t t = 0; t < s->p->n_tensors; t++)
		number[t] = number[t] ? part->n_tensors++ : SPLIT_ABSENT;
	return number;
}

static int write_part(const struct splitter *s, struct split_part *part, size_t k)
{
	uint32_t *number = number_tensors(s, part, k);
	struct buf image = {0}, graph = {0};
	int r;

	if (!number)
		return -ENOMEM;
	for (size_t i = s->cut[k]; i < s->cut[k + 1]; i++) {
		const struct layer *l = &s->layers[i];
		size_t at = graph.len;

		buf_put(&graph, s->p->layers.ptr + l->at, l->len);
		if (graph.failed)
			break;
		put_le32(graph.ptr + at + 8, number[l->out]);
		put_le32(graph.ptr + at + 12, number[l->in[0]]);
		if (l->n_in > 1)
			put_le32(graph.ptr + at + sizeof(struct payload_layer), number[l->in[1]]);
	}
	part->n_layers = (uint32_t)(s->cut[k + 1] - s->cut[k]);
	r = graph.failed ? -ENOMEM : image_write(s->p, part, number, &graph, &image);
	if (!r)
		r = image_split(&image, &part->ccw);
	buf_free(&graph);
	buf_free(&image);
	free(number);
	return r;
}

int split_make(struct plan *p, size_t parts, struct split *out)
{
	struct splitter s = {.p = p, .n_layers = p->n_layers};
	int r = -ENOMEM;

	*out = (struct split){.n = parts};
	out->part = calloc(parts, sizeof(*out->part));
	s.layers = calloc(s.n_layers + 1, sizeof(*s.layers));
	s.tensors = calloc(p->n_tensors + 1, sizeof(*s.tensors));
	s.cut = calloc(parts + 1, sizeof(*s.cut));
	if (!out->part || !s.layers || !s.tensors || !s.cut)
		goto out;
	read_layers(&s);
	trace(&s);
	r = choose_cuts(&s, parts);
	if (!r)
		r = graph_ports(&s, out, false);
	if (!r)
		r = graph_ports(&s, out, true);
	if (!r)
		r = inner_ports(&s, out);
	for (size_t k = 0; !r && k < parts; k++)
		r = write_part(&s, &out->part[k], k);
out:
	free(s.layers);
	free(s.tensors);
	free(s.cut);
	return r;
}

void split_free(struct split *s)
{
	for (size_t k = 0; s->part && k < s->n; k++) {
		buf_free(&s->part[k].ccw.block);
		free(s->part[k].ccw.pieces);
	}
	free(s->part);
	*s = (struct split){0};
}
