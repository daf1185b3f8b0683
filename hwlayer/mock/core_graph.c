// SPDX-License-Identifier: MIT
/*
 * From the bytes of an image (mock/payload.h) to layers that can be run.  The bytes come from
 * outside: every index, size and product is checked here once, so that execution need not.
 */
#include <math.h>

#include "mock/core.h"

/* More than any network for such a chip needs; keeps a hostile image from running for hours. */
#define MACS_MAX (1ull << 40)
#define SCRATCH_MAX (256u << 20)
#define FACTOR_MAX 1e9f /* of mult and bias: no sum of products reaches infinity */

#define BAD(...) hw_fail(err, -EBADMSG, __VA_ARGS__)

static int take_u32(struct span *in, uint32_t *v)
{
	struct span s;
	int r = span_take(in, 4, &s);

	if (!r)
		*v = get_le32(s.ptr);
	return r;
}

static int take_floats(struct span *in, size_t n, float **out, struct hw_error *err)
{
	struct span s;

	if (span_take(in, n * 4, &s))
		return BAD("a list of factors runs over its layer");
	*out = malloc(n * sizeof(**out));
	if (!*out)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		uint32_t u = get_le32(s.ptr + 4 * i);

		memcpy(*out + i, &u, 4);
		if (!(fabsf((*out)[i]) <= FACTOR_MAX))
			return BAD("a factor is not a usable number");
	}
	return 0;
}

static int take_i16(struct span *in, size_t n, int16_t **out, struct hw_error *err)
{
	struct span s;

	if (span_take(in, n * 2, &s))
		return BAD("a list of codes runs over its layer");
	*out = malloc(n * sizeof(**out));
	if (!*out)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		(*out)[i] = (int16_t)get_le16(s.ptr + 2 * i);
	return 0;
}

/* What is left of a layer or table must be less than four zero bytes. */
static int take_padding(struct span *in, struct hw_error *err)
{
	if (in->len > 3)
		return BAD("%zu bytes too many in a layer", in->len);
	for (size_t i = 0; i < in->len; i++)
		if (in->ptr[i])
			return BAD("padding is not zero");
	return 0;
}

static int take_requant(struct span *in, size_t n, bool two, struct core_requant *rq,
			struct hw_error *err)
{
	int r;

	r = take_floats(in, n, &rq->mult, err);
	if (!r && two)
		r = take_floats(in, n, &rq->mult2, err);
	if (!r)
		r = take_floats(in, n, &rq->bias, err);
	if (!r)
		r = take_i16(in, n, &rq->lo, err);
	if (!r)
		r = take_i16(in, n, &rq->hi, err);
	for (size_t i = 0; !r && i < n; i++)
		if (rq->lo[i] > rq->hi[i])
			return BAD("limits the wrong way round");
	return r;
}

/* The output's codes lie within the limits of all channels. */
static void requant_bounds(const struct core_requant *rq, struct core_tensor *out)
{
	out->lo = INT16_MAX;
	out->hi = INT16_MIN;
	for (size_t i = 0; i < rq->n; i++) {
		if (rq->lo[i] < out->lo)
			out->lo = rq->lo[i];
		if (rq->hi[i] > out->hi)
			out->hi = rq->hi[i];
	}
}

static int64_t largest(const struct core_tensor *t)
{
	return -(int64_t)t->lo > t->hi ? -(int64_t)t->lo : t->hi;
}

/* a * b * c * ... of u32 values that must stay in 1 .. max; 0 on failure */
static uint64_t product(const uint32_t *v, size_t n, uint64_t max)
{
	uint64_t p = 1;

	for (size_t i = 0; i < n; i++) {
		if (!v[i] || v[i] > max / p)
			return 0;
		p *= v[i];
	}
	return p;
}

static int parse_conv(struct span *in, const struct core_tensor *src, struct core_tensor *dst,
		      struct core_layer *l, struct hw_error *err)
{
	struct payload_conv *c = &l->conv;
	uint32_t *words[] = {&c->groups,
			     &c->c,
			     &c->h,
			     &c->w,
			     &c->o,
			     &c->kh,
			     &c->kw,
			     &c->sh,
			     &c->sw,
			     &c->dh,
			     &c->dw,
			     (uint32_t *)&c->pt,
			     (uint32_t *)&c->pl,
			     &c->oh,
			     &c->ow,
			     &c->weight_bytes};
	struct span w;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (take_u32(in, words[i]))
			return BAD("convolution cut short");
	if (product((uint32_t[]){c->c, c->h, c->w}, 3, PAYLOAD_ELEMENTS_MAX) != src->elements ||
	    product((uint32_t[]){c->o, c->oh, c->ow}, 3, PAYLOAD_ELEMENTS_MAX) != dst->elements)
		return BAD("convolution does not fit its tensors");
	if (!c->groups || c->c % c->groups || c->o % c->groups)
		return BAD("convolution with bad groups");
	if (c->weight_bytes != 1 && c->weight_bytes != 2)
		return BAD("weights of %u bytes", c->weight_bytes);
	l->k = product((uint32_t[]){c->c / c->groups, c->kh, c->kw}, 3, PAYLOAD_ELEMENTS_MAX);
	if (!l->k || product((uint32_t[]){(uint32_t)l->k, c->o, c->oh, c->ow}, 4, MACS_MAX) == 0)
		return BAD("convolution kernel too large");
	/* keeps every position computed from these within int64 by far */
	if (!c->sh || !c->sw || !c->dh || !c->dw || c->sh > INT16_MAX || c->sw > INT16_MAX ||
	    c->dh > INT16_MAX || c->dw > INT16_MAX || abs(c->pt / 2) > INT32_MAX / 4 ||
	    abs(c->pl / 2) > INT32_MAX / 4)
		return BAD("convolution with bad steps");
	l->rq.n = c->o;
	l->rq.inner = c->oh * c->ow;
	r = take_requant(in, c->o, false, &l->rq, err);
	if (r)
		return r;
	if ((uint64_t)l->k * c->o > in->len || span_take(in, l->k * c->o * c->weight_bytes, &w))
		return BAD("convolution without its weights");
	l->k_padded = align_up(l->k, CORE_K_ALIGN);
	if (core_layer_scratch(l) > SCRATCH_MAX)
		return BAD("convolution needs too much memory");
	l->weights = aligned_alloc(64, align_up(c->o * l->k_padded * 2, 64));
	if (!l->weights)
		return -ENOMEM;
	for (size_t o = 0; o < c->o; o++) {
		int16_t *row = l->weights + o * l->k_padded;
		int64_t sum = 0;

		for (size_t i = 0; i < l->k; i++) {
			row[i] = c->weight_bytes == 1
				     ? (int8_t)w.ptr[o * l->k + i]
				     : (int16_t)get_le16(w.ptr + 2 * (o * l->k + i));
			sum += abs(row[i]);
		}
		memset(row + l->k, 0, (l->k_padded - l->k) * 2);
		if (sum * largest(src) > INT32_MAX)
			return BAD("a sum of products may not fit 32 bits");
	}
	return 0;
}

static int parse_channels(struct span *in, struct core_requant *rq, struct hw_error *err)
{
	if (take_u32(in, &rq->n) || take_u32(in, &rq->inner))
		return BAD("layer cut short");
	if (!product((uint32_t[]){rq->n, rq->inner}, 2, PAYLOAD_ELEMENTS_MAX))
		return BAD("bad number of channels");
	return 0;
}

static int parse_elementwise(struct span *in, const struct core_tensor *src,
			     const struct core_tensor *src2, const struct core_tensor *dst,
			     struct core_layer *l, struct hw_error *err)
{
	int r = parse_channels(in, &l->rq, err);

	if (r)
		return r;
	if (src->elements != dst->elements || (src2 && src2->elements != dst->elements) ||
	    dst->elements % (l->rq.n * l->rq.inner))
		return BAD("layer does not fit its tensors");
	return take_requant(in, l->rq.n, src2 != NULL, &l->rq, err);
}

static int parse_pool(struct span *in, const struct core_tensor *src, const struct core_tensor *dst,
		      struct core_layer *l, struct hw_error *err)
{
	int r = parse_channels(in, &l->rq, err);

	if (r)
		return r;
	if (src->elements != l->rq.n * l->rq.inner || dst->elements != l->rq.n)
		return BAD("pool does not fit its tensors");
	if (largest(src) * l->rq.inner > INT32_MAX)
		return BAD("a pool's sum may not fit 32 bits");
	return take_requant(in, l->rq.n, false, &l->rq, err);
}

static int parse_table(struct span *in, const struct core_tensor *src, struct core_tensor *dst,
		       struct core_layer *l, struct hw_error *err)
{
	uint32_t first;
	int r;

	if (take_u32(in, &first) || take_u32(in, &l->count))
		return BAD("table cut short");
	l->first = (int32_t)first;
	if (src->elements != dst->elements || !l->count || l->count > 65536 ||
	    l->first < INT16_MIN || l->first > src->lo || (int64_t)l->first + l->count <= src->hi)
		return BAD("table does not fit its tensors");
	r = take_i16(in, l->count, &l->table, err);
	if (r)
		return r;
	dst->lo = INT16_MAX;
	dst->hi = INT16_MIN;
	for (size_t i = 0; i < l->count; i++) {
		dst->lo = l->table[i] < dst->lo ? l->table[i] : dst->lo;
		dst->hi = l->table[i] > dst->hi ? l->table[i] : dst->hi;
	}
	return 0;
}

static int parse_move(struct span *in, const struct core_tensor *src, struct core_tensor *dst,
		      struct core_layer *l, struct hw_error *err)
{
	int64_t low, high;
	uint64_t n = 1;

	if (take_u32(in, &l->rank) || take_u32(in, &l->offset) || !l->rank ||
	    l->rank > PAYLOAD_RANK_MAX)
		return BAD("move with a bad rank");
	low = high = l->offset;
	for (uint32_t i = 0; i < l->rank; i++) {
		struct core_axis *a = &l->axis[i];
		uint32_t stride;
		int64_t reach;

		if (take_u32(in, &a->dim) || take_u32(in, &stride))
			return BAD("move cut short");
		a->stride = (int32_t)stride;
		if (!a->dim || a->dim > PAYLOAD_ELEMENTS_MAX / n)
			return BAD("move too large");
		n *= a->dim;
		reach = (int64_t)(a->dim - 1) * a->stride;
		low += reach < 0 ? reach : 0;
		high += reach > 0 ? reach : 0;
	}
	if (n != dst->elements || low < 0 || high >= src->elements)
		return BAD("move reaches outside its tensors");
	dst->lo = src->lo;
	dst->hi = src->hi;
	return 0;
}

size_t core_layer_scratch(const struct core_layer *l)
{
	return l->op == PAYLOAD_CONV ? (size_t)l->conv.oh * l->conv.ow * l->k_padded : 0;
}

void core_layer_clear(struct core_layer *l)
{
	free(l->rq.mult);
	free(l->rq.mult2);
	free(l->rq.bias);
	free(l->rq.lo);
	free(l->rq.hi);
	free(l->weights);
	free(l->table);
	*l = (struct core_layer){0};
}

static int operand(const struct core_tensor *t, size_t n, uint32_t i, struct hw_error *err)
{
	if (i >= n || !t[i].written)
		return BAD("a layer reads tensor %u before it is there", i);
	return 0;
}

int core_layer_parse(struct span *graph, struct core_tensor *tensors, size_t n_tensors,
		     struct core_layer *l, struct hw_error *err)
{
	struct core_tensor *dst;
	const struct core_tensor *src;
	uint32_t op, bytes;
	struct span in;
	int r;

	*l = (struct core_layer){0};
	if (take_u32(graph, &op) || take_u32(graph, &bytes) || take_u32(graph, &l->out) ||
	    take_u32(graph, &l->in) || bytes < sizeof(struct payload_layer) || bytes % 4 ||
	    span_take(graph, bytes - sizeof(struct payload_layer), &in))
		return BAD("a layer is cut short");
	l->op = (enum payload_op)op;
	r = operand(tensors, n_tensors, l->in, err);
	if (r)
		return r;
	if (l->out >= n_tensors || tensors[l->out].written)
		return BAD("tensor %u is written twice or does not exist", l->out);
	src = &tensors[l->in];
	dst = &tensors[l->out];
	switch (l->op) {
	case PAYLOAD_CONV:
		r = parse_conv(&in, src, dst, l, err);
		break;
	case PAYLOAD_ADD:
		if (take_u32(&in, &l->in2))
			return BAD("a layer is cut short");
		r = operand(tensors, n_tensors, l->in2, err);
		if (!r)
			r = parse_elementwise(&in, src, &tensors[l->in2], dst, l, err);
		break;
	case PAYLOAD_SCALE:
		r = parse_elementwise(&in, src, NULL, dst, l, err);
		break;
	case PAYLOAD_POOL:
		r = parse_pool(&in, src, dst, l, err);
		break;
	case PAYLOAD_TABLE:
		r = parse_table(&in, src, dst, l, err);
		break;
	case PAYLOAD_MOVE:
		r = parse_move(&in, src, dst, l, err);
		break;
	default:
		r = BAD("layer kind %u is unknown", op);
	}
	if (!r)
		r = take_padding(&in, err);
	if (r)
		return r;
	if (l->rq.n)
		requant_bounds(&l->rq, dst);
	dst->written = true;
	return 0;
}

static int parse_port(struct span *in, struct core_graph *g, struct core_io *port,
		      struct hw_error *err)
{
	struct span head, list, pad;
	struct core_tensor *t;

	if (span_take(in, sizeof(struct payload_port), &head))
		return BAD("quantisation table cut short");
	port->tensor = get_le32(head.ptr);
	port->stream_index = head.ptr[4];
	port->output = head.ptr[5] == 1;
	port->n = get_le32(head.ptr + 8);
	port->inner = get_le32(head.ptr + 12);
	if (port->tensor >= g->n_tensors || head.ptr[5] > 1 || get_le16(head.ptr + 6))
		return BAD("bad port");
	t = &g->tensors[port->tensor];
	if (!product((uint32_t[]){port->n, port->inner}, 2, PAYLOAD_ELEMENTS_MAX) ||
	    t->elements % (port->n * port->inner))
		return BAD("port does not fit its tensor");
	if (span_take(in, (size_t)port->n * 4, &list))
		return BAD("quantisation table cut short");
	for (size_t i = 0; i < port->n; i++) {
		uint32_t u = get_le32(list.ptr + 4 * i);
		float scale;

		memcpy(&scale, &u, 4);
		if (!(scale > 0) || !isfinite(scale))
			return BAD("a port's scale is not a positive number");
	}
	if (span_take(in, port->n, &list) || span_take(in, -port->n & 3, &pad))
		return BAD("quantisation table cut short");
	for (size_t i = 0; i < pad.len; i++)
		if (pad.ptr[i])
			return BAD("padding is not zero");
	port->zero = malloc(port->n);
	if (!port->zero)
		return -ENOMEM;
	memcpy(port->zero, list.ptr, port->n);
	if (!port->output) {
		if (t->written)
			return BAD("two inputs write tensor %u", port->tensor);
		t->lo = 0;
		t->hi = 0;
		for (size_t i = 0; i < port->n; i++) {
			t->lo = -port->zero[i] < t->lo ? -port->zero[i] : t->lo;
			t->hi = 255 - port->zero[i] > t->hi ? 255 - port->zero[i] : t->hi;
		}
		t->written = true;
	}
	return 0;
}

static int parse_quant(struct span in, struct core_graph *g, struct hw_error *err)
{
	uint64_t total = 0;
	int r;

	for (size_t i = 0; i < g->n_tensors; i++) {
		struct core_tensor *t = &g->tensors[i];

		if (take_u32(&in, &t->elements))
			return BAD("quantisation table cut short");
		if (!t->elements || t->elements > PAYLOAD_ELEMENTS_MAX)
			return BAD("tensor %zu has %u elements", i, t->elements);
		total += t->elements;
	}
	if (total > 4ull * PAYLOAD_ELEMENTS_MAX)
		return BAD("too many activations");
	for (size_t i = 0; i < g->n_ports; i++) {
		r = parse_port(&in, g, &g->ports[i], err);
		if (r)
			return r;
	}
	return in.len ? BAD("quantisation table too long") : 0;
}

static int parse_graph(struct span in, struct core_graph *g, struct hw_error *err)
{
	for (size_t i = 0; i < g->n_layers; i++) {
		int r = core_layer_parse(&in, g->tensors, g->n_tensors, &g->layers[i], err);

		if (r)
			return r == -ENOMEM ? r : hw_fail_context(err, r, "layer %zu: ", i);
		if (core_layer_scratch(&g->layers[i]) > g->scratch)
			g->scratch = core_layer_scratch(&g->layers[i]);
	}
	if (in.len)
		return BAD("%zu bytes behind the last layer", in.len);
	for (size_t i = 0; i < g->n_tensors; i++)
		if (!g->tensors[i].written)
			return BAD("nothing writes tensor %zu", i);
	return 0;
}

int core_graph_parse(struct span image, struct core_graph **out, struct hw_error *err)
{
	struct span head, quant;
	struct core_graph *g;
	int r;

	if (span_take(&image, sizeof(struct payload_image), &head))
		return BAD("image of %zu bytes", image.len);
	if (get_le32(head.ptr) != PAYLOAD_IMAGE_MAGIC ||
	    get_le32(head.ptr + 4) != PAYLOAD_VERSION || get_le32(head.ptr + 28))
		return BAD("image header unknown");
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	g->n_tensors = get_le32(head.ptr + 8);
	g->n_ports = get_le32(head.ptr + 12);
	g->n_layers = get_le32(head.ptr + 16);
	r = -EBADMSG;
	if (!g->n_tensors || g->n_tensors > PAYLOAD_TENSORS_MAX || !g->n_ports ||
	    g->n_ports > PAYLOAD_PORTS_MAX || g->n_layers > PAYLOAD_LAYERS_MAX ||
	    get_le32(head.ptr + 20) % 4 || span_take(&image, get_le32(head.ptr + 20), &quant) ||
	    image.len != get_le32(head.ptr + 24)) {
		g->n_ports = g->n_layers = 0;
		hw_fail(err, r, "image header inconsistent");
		goto err_free;
	}
	r = -ENOMEM;
	g->tensors = calloc(g->n_tensors, sizeof(*g->tensors));
	g->ports = calloc(g->n_ports, sizeof(*g->ports));
	g->layers = calloc(g->n_layers + 1, sizeof(*g->layers));
	if (!g->tensors || !g->ports || !g->layers) {
		hw_fail(err, r, "out of memory");
		goto err_free;
	}
	r = parse_quant(quant, g, err);
	if (!r)
		r = parse_graph(image, g, err);
	if (r)
		goto err_free;
	*out = g;
	return 0;
err_free:
	core_graph_free(g);
	return r;
}

void core_graph_free(struct core_graph *g)
{
	if (!g)
		return;
	for (size_t i = 0; g->ports && i < g->n_ports; i++)
		free(g->ports[i].zero);
	for (size_t i = 0; g->layers && i < g->n_layers; i++)
		core_layer_clear(&g->layers[i]);
	free(g->tensors);
	free(g->ports);
	free(g->layers);
	free(g);
}
