// SPDX-License-Identifier: MIT
#include "support/multinet.h"

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "support/support.h"

#define SHMIFO 0x10000u
#define RUN_ASAP 12u
#define PADDED_DDR 3u
#define DUAL_DIRECTION 20u

size_t multinet_bytes(const struct multinet_layer *l)
{
	return (size_t)l->rows * l->row_bytes;
}

const struct multinet_layer *multinet_boundary(const struct multinet *m, bool input, size_t nth)
{
	for (size_t k = 0; k < m->n; k++) {
		for (size_t i = 0; i < m->ctx[k].n; i++) {
			const struct multinet_layer *l = &m->ctx[k].layer[i];

			if (l->kind == MN_BOUNDARY && l->input == input && !nth--)
				return l;
		}
	}
	return NULL;
}

/* ----------------------------------------------------------------------------- configuration */

static uint32_t ccw_size(const struct multinet *m, int context, unsigned int channel)
{
	return context < 0 ? m->pre_ccw[channel] : m->ctx[context].ccw[channel];
}

static size_t ccw_offset(const struct multinet *m, int context, unsigned int channel)
{
	size_t at = 0;

	for (int k = -1; k < (int)m->n; k++) {
		for (unsigned int c = 0; c < MULTINET_CHANNELS; c++) {
			if (k == context && c == channel)
				return at;
			at += ccw_size(m, k, c);
		}
	}
	return at;
}

static uint8_t ccw_bytes[1 << 16];

const uint8_t *multinet_ccw(const struct multinet *m, int context, unsigned int channel)
{
	for (size_t i = 0; !ccw_bytes[1] && i < sizeof(ccw_bytes); i++)
		ccw_bytes[i] = (uint8_t)(i * 7 + (i >> 8) * 13 + 1);
	assert_true(ccw_offset(m, (int)m->n, 0) <= sizeof(ccw_bytes));
	return ccw_bytes + ccw_offset(m, context, channel);
}

/* --------------------------------------------------------------------------------- the file */

static void put_action(struct buf *operation, unsigned int kind, struct buf *body)
{
	struct buf action = {0};

	pb_msg(&action, kind, body);
	pb_msg(operation, 2, &action);
}

static void put_trigger(struct buf *operation, unsigned int kind, unsigned int stream)
{
	struct buf trigger = {0}, body = {0};

	if (stream)
		pb_uint(&body, 1, stream);
	pb_msg(&trigger, kind, &body);
	pb_msg(operation, 1, &trigger);
}

static void put_ccws(const struct multinet *m, int context, struct buf *operation)
{
	for (unsigned int c = 0; c < MULTINET_CHANNELS; c++) {
		size_t at = ccw_offset(m, context, c), left = ccw_size(m, context, c);

		/* In two pieces, so that bursts and fetches differ in number. */
		for (size_t n; left; at += n, left -= n) {
			struct buf ptr = {0};

			n = left > 600 ? 600 : left;
			if (at)
				pb_uint(&ptr, 1, at);
			pb_uint(&ptr, 2, n);
			if (c)
				pb_uint(&ptr, 3, c);
			put_action(operation, 16, &ptr);
		}
	}
}

static void put_layer(const struct multinet_layer *l, unsigned int context, struct buf *meta)
{
	struct buf edge = {0}, info = {0}, base = {0}, numeric = {0}, conn = {0}, other = {0},
		   empty = {0};
	uint32_t shape[3] = {l->rows, 1, l->row_bytes};

	for (unsigned int i = 0; i < 3; i++) {
		pb_uint(&base, 2 * i + 1, shape[i]);
		pb_uint(&base, 2 * i + 2, shape[i]);
	}
	if (l->stream)
		pb_uint(&base, 8, l->stream);
	pb_uint(&base, 9, l->row_bytes);
	pb_uint(&base, 10, l->rows);
	pb_uint(&base, 12, 1);
	pb_msg(&base, 13, &empty);
	pb_uint(&base, 15, SHMIFO);
	pb_float(&numeric, 2, 1.0f);
	pb_float(&numeric, 4, 255.0f);
	pb_str(&info, 1, l->name);
	pb_msg(&info, 2, &base);
	pb_msg(&info, 3, &numeric);
	if (!l->input)
		pb_uint(&edge, 1, 1);
	pb_msg(&edge, 3, &info);
	if (l->kind != MN_BOUNDARY) {
		unsigned int peer = l->kind == MN_DDR ? context : l->peer_context;

		if (peer)
			pb_uint(&other, 1, peer);
		if (l->peer_stream)
			pb_uint(&other, 3, l->peer_stream);
		pb_uint(&conn, 3, l->kind);
		if (l->kind == MN_DDR)
			pb_uint(&conn, 6, l->buffered);
		pb_msg(&conn, 8, &other);
	}
	pb_msg(&edge, 5, &conn);
	pb_msg(meta, 2, &edge);
}

static void put_flow(const struct multinet_context *c, struct buf *operation)
{
	for (size_t i = 0; i < c->n; i++) {
		struct buf flow = {0};

		if (!c->layer[i].input || c->layer[i].kind == MN_DDR)
			continue;
		if (c->layer[i].stream)
			pb_uint(&flow, 1, c->layer[i].stream);
		put_action(operation, 10, &flow);
	}
}

static void put_context(const struct multinet *m, unsigned int k, struct buf *core)
{
	const struct multinet_context *c = &m->ctx[k];
	struct buf context = {0}, operation = {0}, meta = {0};

	put_trigger(&operation, 3, 0);
	put_ccws(m, (int)k, &operation);
	put_flow(c, &operation);
	pb_msg(&context, 2, &operation);
	for (size_t i = 0; i < c->n; i++) {
		struct buf wait = {0}, none = {0};

		put_layer(&c->layer[i], k, &meta);
		if (m->no_wait || c->layer[i].input || c->layer[i].kind == MN_DDR)
			continue;
		put_trigger(&wait, 4, c->layer[i].stream);
		put_action(&wait, 9, &none);
		pb_msg(&context, 2, &wait);
	}
	pb_msg(&context, 3, &meta);
	pb_msg(core, 3, &context);
}

static void describe(const struct multinet *m, struct hefgen *g)
{
	const struct multinet_layer *l;

	hefgen_init(g);
	g->group = m->group ? m->group : "multi";
	g->omit = OMIT_CONTEXT | OMIT_SORTED | OMIT_CCW;
	g->ccws = multinet_ccw(m, -1, 0);
	g->ccws_len = ccw_offset(m, (int)m->n, 0);
	put_ccws(m, -1, &g->at[AT_PRE_OPERATION]);
	if (m->run_asap) {
		put_flow(&m->ctx[0], &g->at[AT_PRE_OPERATION]);
		hefgen_extension(g, false, RUN_ASAP, NULL);
	}
	for (unsigned int k = 0; k < m->n; k++)
		put_context(m, k, &g->at[AT_CORE_OP]);
	pb_uint(&g->at[AT_CORE_META], 5, MULTINET_CHANNELS);
	for (size_t i = 0; (l = multinet_boundary(m, false, i)); i++)
		pb_str(&g->at[AT_GROUP], 4, l->name);
	hefgen_extension(g, false, PADDED_DDR, NULL);
	hefgen_extension(g, false, DUAL_DIRECTION, NULL);
}

uint8_t *multinet_hef(const struct multinet *m, size_t *len)
{
	struct hefgen g;

	describe(m, &g);
	return hefgen_file(&g, len);
}

/*
 * Protobuf messages one behind the other are one: the groups of both.  They share the words, and of
 * the headers, which come first and are short, one is enough.
 */
uint8_t *multinet_hef_of_two(const struct multinet *a, const struct multinet *b, size_t *len)
{
	struct hefgen one, two;
	struct buf message = {0}, more = {0};
	uint8_t *file;

	describe(a, &one);
	describe(b, &two);
	hefgen_message(&one, &message);
	hefgen_message(&two, &more);
	buf_put(&message, more.ptr + 2 + more.ptr[1], more.len - 2 - more.ptr[1]);
	buf_free(&more);
	if (two.ccws_len < one.ccws_len)
		two.ccws_len = one.ccws_len;
	file = hefgen_wrap(&two, message.ptr, message.len, len);
	buf_free(&message);
	return file;
}

/* -------------------------------------------------------------------------------- the answer */

static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

struct number_list {
	uint8_t bytes[1024];
	size_t n;
};

static void push(struct number_list *l, uint64_t v)
{
	put_le64(l->bytes + 8 * l->n++, v);
}

static uint64_t digest_of(const struct number_list *l)
{
	return XXH3_64bits(l->bytes, 8 * l->n);
}

/* Frames by context and layer. */
struct frames {
	uint8_t *f[MULTINET_CONTEXTS][MULTINET_LAYERS];
};

static uint64_t context_digest(const struct multinet *m, size_t k, const struct frames *f, bool rows)
{
	const struct multinet_context *c = &m->ctx[k];
	struct number_list config = {.n = 0}, all = {.n = 0};

	for (unsigned int ch = 0; ch < 4; ch++) {
		bool there = ch < MULTINET_CHANNELS;

		/* A network of one context keeps what its preliminary one brought. */
		push(&config, XXH3_64bits(there ? multinet_ccw(m, -1, ch) : NULL,
					  there ? m->pre_ccw[ch] : 0));
		push(&config, XXH3_64bits(there ? multinet_ccw(m, (int)k, ch) : NULL,
					  there ? c->ccw[ch] : 0));
	}
	push(&all, digest_of(&config));
	for (unsigned int stream = 0; stream < 256; stream++) {
		for (size_t i = 0; i < c->n; i++) {
			const struct multinet_layer *l = &c->layer[i];

			if (!l->input || l->stream != stream || (l->kind == MN_DDR && !rows))
				continue;
			push(&all, stream);
			push(&all, XXH3_64bits(f->f[k][i], multinet_bytes(l)));
		}
	}
	return digest_of(&all);
}

static void fill(uint8_t *out, size_t n, uint64_t digest, uint8_t stream)
{
	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)(mix(digest + 256 * (uint64_t)(i / 8) + stream) >> (8 * (i % 8)));
}

/* The frame that the other end of an internal input has produced. */
static const uint8_t *peer_frame(const struct multinet *m, const struct frames *f, size_t k,
				 const struct multinet_layer *in)
{
	size_t from = in->kind == MN_DDR ? k : in->peer_context;

	for (size_t i = 0; i < m->ctx[from].n; i++) {
		const struct multinet_layer *l = &m->ctx[from].layer[i];

		if (!l->input && l->stream == in->peer_stream)
			return f->f[from][i];
	}
	fail_msg("stream %u of context %zu has no source", in->stream, k);
	return NULL;
}

static void outputs(const struct multinet *m, struct frames *f, size_t k, bool rows)
{
	uint64_t digest = context_digest(m, k, f, !rows);

	for (size_t i = 0; i < m->ctx[k].n; i++) {
		const struct multinet_layer *l = &m->ctx[k].layer[i];

		if (!l->input && (l->kind == MN_DDR) == rows)
			fill(f->f[k][i], multinet_bytes(l), digest, l->stream);
	}
}

static void inputs(const struct multinet *m, struct frames *f, size_t k, bool rows,
		   const uint8_t *const **in)
{
	for (size_t i = 0; i < m->ctx[k].n; i++) {
		const struct multinet_layer *l = &m->ctx[k].layer[i];

		if (l->input && (l->kind == MN_DDR) == rows)
			memcpy(f->f[k][i],
			       l->kind == MN_BOUNDARY ? *(*in)++ : peer_frame(m, f, k, l),
			       multinet_bytes(l));
	}
}

void multinet_answer(const struct multinet *m, const uint8_t *const *in, uint8_t *const *out)
{
	struct frames f = {0};

	for (size_t k = 0; k < m->n; k++) {
		for (size_t i = 0; i < m->ctx[k].n; i++) {
			f.f[k][i] = malloc(multinet_bytes(&m->ctx[k].layer[i]));
			assert_non_null(f.f[k][i]);
		}
	}
	for (size_t k = 0; k < m->n; k++) {
		inputs(m, &f, k, false, &in);
		outputs(m, &f, k, true);
		inputs(m, &f, k, true, &in);
		outputs(m, &f, k, false);
	}
	for (size_t k = 0; k < m->n; k++) {
		for (size_t i = 0; i < m->ctx[k].n; i++) {
			const struct multinet_layer *l = &m->ctx[k].layer[i];

			if (l->kind == MN_BOUNDARY && !l->input)
				memcpy(*out++, f.f[k][i], multinet_bytes(l));
			free(f.f[k][i]);
		}
	}
}

/* ------------------------------------------------------------------------------------ chains */

void multinet_chain(struct multinet *m, size_t n)
{
	static const char *const names[] = {"multi/j0", "multi/j1", "multi/j2", "multi/j3", "multi/j4"};

	*m = (struct multinet){.pre_ccw = {40, 0}, .n = n};
	for (size_t k = 0; k < n; k++) {
		struct multinet_context *c = &m->ctx[k];
		struct multinet_layer in = {.name = "multi/in", .input = true, .rows = 4, .row_bytes = 200};
		struct multinet_layer out = {.name = "multi/out", .stream = 1, .rows = 1, .row_bytes = 16};

		if (k) {
			in = (struct multinet_layer){
				.name = names[k - 1], .kind = MN_INTER, .input = true, .stream = 3,
				.rows = (uint32_t)(2 + k), .row_bytes = 360, .peer_context = (uint8_t)(k - 1),
				.peer_stream = 2,
			};
		}
		if (k + 1 < n)
			out = (struct multinet_layer){
				.name = names[k], .kind = MN_INTER, .stream = 2,
				.rows = (uint32_t)(3 + k), .row_bytes = 360, .peer_context = (uint8_t)(k + 1),
				.peer_stream = 3,
			};
		c->ccw[0] = (uint32_t)(520 + 8 * k);
		c->ccw[1] = k % 2 ? 1304 : 0;
		c->layer[c->n++] = in;
		c->layer[c->n++] = out;
	}
}

void multinet_branched(struct multinet *m)
{
	const struct multinet_layer in0 = {.name = "multi/a", .input = true, .rows = 5, .row_bytes = 104};
	const struct multinet_layer in1 = {.name = "multi/b", .input = true, .stream = 6, .rows = 1,
					   .row_bytes = 1000};
	const struct multinet_layer early = {.name = "multi/early", .stream = 1, .rows = 2, .row_bytes = 40};
	const struct multinet_layer late = {.name = "multi/late", .stream = 1, .rows = 1, .row_bytes = 8};
	const struct multinet_layer later = {.name = "multi/later", .stream = 2, .rows = 9,
					     .row_bytes = 128};
	struct multinet_layer j0 = {.name = "multi/j0", .kind = MN_INTER, .stream = 2, .rows = 7,
				    .row_bytes = 168, .peer_context = 1, .peer_stream = 3};
	struct multinet_layer j1 = {.name = "multi/j1", .kind = MN_INTER, .stream = 4, .rows = 1,
				    .row_bytes = 64, .peer_context = 2, .peer_stream = 4};
	struct multinet_layer r0 = j0, r1 = j1;

	r0.input = r1.input = true;
	r0.stream = 3;
	r0.peer_context = 0;
	r0.peer_stream = 2;
	r1.peer_context = 1;
	*m = (struct multinet){
		.pre_ccw = {24, 16},
		.n = 3,
		.ctx = {{.ccw = {64, 0}, .n = 3, .layer = {early, in0, j0}},
			{.ccw = {2000, 8}, .n = 3, .layer = {r0, j1, in1}},
			{.ccw = {8, 0}, .n = 4, .layer = {r1, r0, late, later}}},
	};
}
