// SPDX-License-Identifier: MIT
#include "support/hefgen.h"

#include <openssl/evp.h>
#include <xxhash.h>
#include <zlib.h>

#include "support/support.h"

/* ------------------------------------------------------------- wire encoder */

static void varint(struct buf *m, uint64_t v)
{
	while (v >= 0x80) {
		buf_u8(m, (uint8_t)(v | 0x80));
		v >>= 7;
	}
	buf_u8(m, (uint8_t)v);
}

static void tag(struct buf *m, unsigned int field, unsigned int wire)
{
	varint(m, (uint64_t)field << 3 | wire);
}

void pb_uint(struct buf *m, unsigned int field, uint64_t v)
{
	tag(m, field, 0);
	varint(m, v);
}

void pb_float(struct buf *m, unsigned int field, float v)
{
	uint32_t bits;

	memcpy(&bits, &v, sizeof(bits));
	tag(m, field, 5);
	buf_le32(m, bits);
}

void pb_bytes(struct buf *m, unsigned int field, const void *data, size_t n)
{
	tag(m, field, 2);
	varint(m, n);
	buf_put(m, data, n);
}

void pb_str(struct buf *m, unsigned int field, const char *s)
{
	pb_bytes(m, field, s, strlen(s));
}

void pb_msg(struct buf *m, unsigned int field, struct buf *sub)
{
	assert_false(sub->failed);
	pb_bytes(m, field, sub->ptr, sub->len);
	buf_free(sub);
}

void pb_packed_uint(struct buf *m, unsigned int field, const uint32_t *v, size_t n)
{
	struct buf list = {0};

	for (size_t i = 0; i < n; i++)
		varint(&list, v[i]);
	pb_msg(m, field, &list);
}

void pb_packed_double(struct buf *m, unsigned int field, const double *v, size_t n)
{
	struct buf list = {0};

	for (size_t i = 0; i < n; i++) {
		uint64_t bits;

		memcpy(&bits, &v[i], sizeof(bits));
		buf_le64(&list, bits);
	}
	pb_msg(m, field, &list);
}

/* ------------------------------------------------------------------ network */

static const uint8_t nop[8];

void hefgen_init(struct hefgen *g)
{
	*g = (struct hefgen){
	    .container = 2,
	    .arch = 1,
	    .group = "n",
	    .ccws = nop,
	    .ccws_len = sizeof(nop),
	};
}

void hefgen_extension(struct hefgen *g, bool optional, uint32_t number, const char *name)
{
	struct buf e = {0};

	pb_uint(&e, 1, number);
	if (name)
		pb_str(&e, 2, name);
	pb_msg(&g->at[AT_HEF], optional ? 6 : 5, &e);
}

/* Move what the test appended for @at behind the fields of @m. */
static void append(struct hefgen *g, enum hefgen_at at, struct buf *m)
{
	assert_false(g->at[at].failed);
	buf_put(m, g->at[at].ptr, g->at[at].len);
	buf_free(&g->at[at]);
}

static void trigger_none(struct buf *operation)
{
	struct buf t = {0}, none = {0};

	pb_msg(&t, 3, &none);
	pb_msg(operation, 1, &t);
}

static void put_edge(struct hefgen *g, struct buf *meta, bool input)
{
	static const struct {
		unsigned int field;
		uint32_t in, out;
	} base_fields[] = {
	    {1, 8, 1}, {2, 8, 1}, {3, 8, 1},   {4, 8, 1},  {5, 4, 16}, {6, 4, 16},
	    {7, 0, 2}, {8, 0, 1}, {9, 32, 16}, {10, 8, 1}, {12, 1, 1},
	};
	struct buf edge = {0}, info = {0}, base = {0}, numeric = {0}, conn = {0}, empty = {0};
	char name[64];

	for (size_t i = 0; i < ARRAY_SIZE(base_fields); i++) {
		uint32_t v = input ? base_fields[i].in : base_fields[i].out;

		if (base_fields[i].field == 12 && g->omit & OMIT_DATA_BYTES)
			continue;
		if (v)
			pb_uint(&base, base_fields[i].field, v);
	}
	if (!(g->omit & OMIT_BUFFER_INDICES))
		pb_msg(&base, 13, &empty);
	pb_uint(&base, 15, 0x4000);
	append(g, input ? AT_IN_BASE : AT_OUT_BASE, &base);

	pb_float(&numeric, 2, 1.0f);
	pb_float(&numeric, 4, 255.0f);
	append(g, input ? AT_IN_NUMERIC : AT_OUT_NUMERIC, &numeric);

	snprintf(name, sizeof(name), "n/%s", input ? "in" : "out");
	pb_str(&info, 1, name);
	pb_msg(&info, 2, &base);
	if (!(g->omit & OMIT_NUMERIC))
		pb_msg(&info, 3, &numeric);
	buf_free(&numeric);
	append(g, input ? AT_IN_INFO : AT_OUT_INFO, &info);

	if (!input)
		pb_uint(&edge, 1, 1);
	pb_msg(&edge, 3, &info);
	append(g, input ? AT_IN_SWITCH : AT_OUT_SWITCH, &conn);
	pb_msg(&edge, 5, &conn);
	append(g, input ? AT_IN_EDGE : AT_OUT_EDGE, &edge);
	pb_msg(meta, 2, &edge);
}

static void put_context(struct hefgen *g, struct buf *core)
{
	struct buf context = {0}, operation = {0}, action = {0}, flow = {0}, meta = {0};

	if (!(g->omit & OMIT_TRIGGER))
		trigger_none(&operation);
	if (!(g->omit & OMIT_FLOW)) {
		pb_msg(&action, 10, &flow);
		pb_msg(&operation, 2, &action);
	}
	append(g, AT_OPERATION, &operation);
	pb_msg(&context, 2, &operation);
	if (!(g->omit & OMIT_INPUT))
		put_edge(g, &meta, true);
	if (!(g->omit & OMIT_OUTPUT))
		put_edge(g, &meta, false);
	append(g, AT_CONTEXT_META, &meta);
	pb_msg(&context, 3, &meta);
	append(g, AT_CONTEXT, &context);
	pb_msg(core, 3, &context);
}

/* The fields of a core op: in a message of their own, or in the group itself. */
static void put_core(struct hefgen *g, struct buf *core)
{
	struct buf pre = {0}, operation = {0}, action = {0}, ccw = {0};

	trigger_none(&operation);
	if (!(g->omit & OMIT_CCW)) {
		if (g->container == 0)
			pb_bytes(&ccw, 1, g->ccws, g->ccws_len);
		else
			pb_uint(&ccw, 2, 8);
		pb_msg(&action, g->container == 0 ? 3 : 16, &ccw);
		pb_msg(&operation, 2, &action);
	}
	append(g, AT_PRE_OPERATION, &operation);
	pb_msg(&pre, 1, &operation);
	append(g, AT_PRELIMINARY, &pre);
	if (!(g->omit & OMIT_PRELIMINARY))
		pb_msg(core, 2, &pre);
	buf_free(&pre);
	if (!(g->omit & OMIT_CONTEXT))
		put_context(g, core);
	append(g, AT_CORE_OP, core);
}

static void put_group(struct hefgen *g, struct buf *hef)
{
	struct buf group = {0}, meta = {0}, core = {0}, op = {0};

	pb_str(&meta, 1, g->group);
	append(g, AT_GROUP_META, &meta);
	pb_msg(&group, 1, &meta);
	if (g->legacy)
		put_core(g, &group);
	if (!(g->omit & OMIT_SORTED))
		pb_str(&group, 4, "n/out");
	if (!g->legacy && !(g->omit & OMIT_CORE_OP)) {
		pb_str(&meta, 1, g->core_name ? g->core_name : g->group);
		append(g, AT_CORE_META, &meta);
		pb_msg(&core, 1, &meta);
		put_core(g, &core);
		pb_msg(&op, 4, &core);
		pb_msg(&group, 8, &op);
	}
	append(g, AT_GROUP, &group);
	pb_msg(hef, 2, &group);
}

void hefgen_message(struct hefgen *g, struct buf *hef)
{
	struct buf header = {0}, extension = {0};

	pb_uint(&header, 1, g->arch);
	if (!(g->omit & OMIT_HEADER_VERSION))
		pb_uint(&header, 4, 1);
	append(g, AT_HEADER, &header);
	if (!(g->omit & OMIT_HEADER))
		pb_msg(hef, 1, &header);
	buf_free(&header);
	if (!(g->omit & OMIT_GROUP))
		put_group(g, hef);
	if (!g->legacy && !(g->omit & OMIT_NET_FLOW)) {
		pb_uint(&extension, 1, 13);
		pb_msg(hef, 5, &extension);
	}
	if (!(g->omit & OMIT_PERIPH)) {
		pb_uint(&extension, 1, 26);
		pb_msg(hef, 5, &extension);
	}
	append(g, AT_HEF, hef);
	for (int i = 0; i < HEFGEN_PLACES; i++)
		buf_free(&g->at[i]);
}

/* ---------------------------------------------------------------- container */

static size_t header_size(uint32_t version)
{
	return version == 0 ? 32 : version == 1 ? 28 : version == 2 ? 44 : 56;
}

void hefgen_fix_digest(uint8_t *file, size_t len)
{
	uint32_t version = get_be32(file + 4);
	size_t head = header_size(version);
	unsigned int n;

	if (version == 0)
		assert_true(EVP_Digest(file + head, len - head, file + 16, &n, EVP_md5(), NULL));
	else if (version == 1)
		put_be32(file + 12, (uint32_t)crc32_z(0, file + head, len - head));
	else
		put_be64(file + 12, XXH3_64bits(file + head, len - head));
}

uint8_t *hefgen_wrap(const struct hefgen *g, const void *msg, size_t msg_len, size_t *len)
{
	size_t ccws = g->container == 0 ? 0 : g->ccws_len;
	struct buf f = {0};

	buf_zero(&f, header_size(g->container));
	buf_put(&f, msg, msg_len);
	if (g->container == 3)
		buf_zero(&f, g->padding);
	if (g->container != 0)
		buf_put(&f, g->ccws, ccws);
	if (g->container == 3)
		buf_zero(&f, g->additional);
	assert_false(f.failed);
	put_be32(f.ptr, 0x01484546);
	put_be32(f.ptr + 4, g->container);
	put_be32(f.ptr + 8, (uint32_t)msg_len);
	if (g->container == 1)
		put_be64(f.ptr + 16, ccws);
	if (g->container == 2)
		put_be64(f.ptr + 20, ccws);
	if (g->container == 3) {
		put_be64(f.ptr + 20, ccws + g->padding);
		put_be32(f.ptr + 28, g->padding);
		put_be64(f.ptr + 32, g->additional);
	}
	hefgen_fix_digest(f.ptr, f.len);
	*len = f.len;
	return f.ptr;
}

uint8_t *hefgen_file(struct hefgen *g, size_t *len)
{
	struct buf m = {0};
	uint8_t *file;

	hefgen_message(g, &m);
	assert_false(m.failed);
	file = hefgen_wrap(g, m.ptr, m.len, len);
	buf_free(&m);
	return file;
}
