// SPDX-License-Identifier: MIT
#include "fuzz/pbmutate.h"

#include "util/util.h"

#define MESSAGES_MAX 4096u /* places to choose from */
#define FIELDS_MAX 512u    /* of the message that is changed */
#define DEPTH_MAX 110u     /* a little more than the readers take */
#define GROWTH 64u         /* of a string or of packed numbers, in bytes */

struct place {
	const ProtobufCMessageDescriptor *desc;
	struct span body;
};

struct field {
	const ProtobufCFieldDescriptor *desc; /* NULL: not in the schema */
	struct span all, body;                /* with tag and length, without */
	uint32_t number;
	uint8_t wire;
};

static uint32_t rnd(uint32_t *state, uint32_t below)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return below ? *state % below : 0;
}

static int take_varint(struct span *in, uint64_t *v)
{
	struct span byte;

	*v = 0;
	for (unsigned int shift = 0; shift < 64; shift += 7) {
		if (span_take(in, 1, &byte))
			return -EBADMSG;
		*v |= (uint64_t)(*byte.ptr & 0x7f) << shift;
		if (!(*byte.ptr & 0x80))
			return 0;
	}
	return -EBADMSG;
}

static void put_varint(struct buf *out, uint64_t v)
{
	for (; v > 0x7f; v >>= 7)
		buf_u8(out, (uint8_t)(v | 0x80));
	buf_u8(out, (uint8_t)v);
}

static void put_tag(struct buf *out, uint32_t number, uint8_t wire)
{
	put_varint(out, (uint64_t)number << 3 | wire);
}

static void put_block(struct buf *out, uint32_t number, struct span body)
{
	put_tag(out, number, 2);
	put_varint(out, body.len);
	buf_put(out, body.ptr, body.len);
}

static int take_field(const ProtobufCMessageDescriptor *desc, struct span *in, struct field *f)
{
	const struct span start = *in;
	uint64_t tag, n = 0;

	if (take_varint(in, &tag) || tag >> 3 == 0 || tag > UINT32_MAX)
		return -EBADMSG;
	f->number = (uint32_t)(tag >> 3);
	f->wire = tag & 7;
	f->desc = protobuf_c_message_descriptor_get_field(desc, f->number);
	f->body.ptr = in->ptr;
	switch (f->wire) {
	case 0:
		if (take_varint(in, &n))
			return -EBADMSG;
		f->body.len = (size_t)(in->ptr - f->body.ptr);
		break;
	case 1:
	case 5:
		if (span_take(in, f->wire == 1 ? 8 : 4, &f->body))
			return -EBADMSG;
		break;
	case 2:
		if (take_varint(in, &n) || span_take(in, n, &f->body))
			return -EBADMSG;
		break;
	default:
		return -EBADMSG;
	}
	f->all = (struct span){start.ptr, start.len - in->len};
	return 0;
}

static bool is_message(const struct field *f)
{
	return f->wire == 2 && f->desc && f->desc->type == PROTOBUF_C_TYPE_MESSAGE;
}

/* All messages inside of @body, itself first. */
static void collect(const ProtobufCMessageDescriptor *desc, struct span body, struct place *places,
		    size_t *n, unsigned int depth)
{
	struct field f;

	if (*n == MESSAGES_MAX || depth > DEPTH_MAX)
		return;
	places[(*n)++] = (struct place){desc, body};
	while (body.len && !take_field(desc, &body, &f))
		if (is_message(&f))
			collect(f.desc->descriptor, f.body, places, n, depth + 1);
}

static uint64_t some_number(uint32_t *state, uint64_t old)
{
	static const uint64_t edges[] = {
		0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256, 511, 512, 4095, 4096,
		32767, 32768, 65535, 65536, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000,
		0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff,
	};

	switch (rnd(state, 6)) {
	case 0:
		return old + 1;
	case 1:
		return old - 1;
	case 2:
		return old ^ (uint64_t)1 << rnd(state, 64);
	case 3:
		return rnd(state, 40);
	case 4:
		return old * 2;
	default:
		return edges[rnd(state, ARRAY_SIZE(edges))];
	}
}

static uint64_t some_real(uint32_t *state, bool wide)
{
	static const double values[] = {0, -0.0, 1, -1, 0.5, 255, 1e-30, 1e30, 1e300, -1e300, 640};
	uint64_t bits = (uint64_t)rnd(state, 0) << 32;
	uint32_t single;
	float f;

	bits |= rnd(state, UINT32_MAX);
	switch (rnd(state, 4)) {
	case 0:
		return bits;
	case 1: /* not a number, infinity */
		return wide ? (uint64_t)(0x7ff0 | rnd(state, 16)) << 48 : 0x7f800000u | rnd(state, 2) << 22;
	default:
		bits = rnd(state, ARRAY_SIZE(values));
		if (wide) {
			memcpy(&bits, &values[bits], sizeof(bits));
			return bits;
		}
		f = (float)values[bits];
		memcpy(&single, &f, sizeof(single));
		return single;
	}
}

static void put_number(struct buf *out, uint32_t number, uint8_t wire, uint64_t v)
{
	put_tag(out, number, wire);
	if (wire == 0)
		put_varint(out, v);
	else if (wire == 1)
		buf_le64(out, v);
	else
		buf_le32(out, (uint32_t)v);
}

/* Strings, bytes and packed numbers, by libFuzzer's own means */
static void put_changed_block(struct buf *out, const struct field *f)
{
	uint8_t *copy = calloc(1, f->body.len + GROWTH);

	if (!copy)
		return;
	if (f->body.len)
		memcpy(copy, f->body.ptr, f->body.len);
	put_block(out, f->number,
		  (struct span){copy, LLVMFuzzerMutate(copy, f->body.len, f->body.len + GROWTH)});
	free(copy);
}

static void put_changed(struct buf *out, const struct field *f, uint32_t *state)
{
	struct span body = f->body;
	uint64_t v = 0;

	if (f->wire == 0) {
		take_varint(&body, &v);
		put_number(out, f->number, 0, some_number(state, v));
	} else if (f->wire != 2) {
		put_number(out, f->number, f->wire, some_real(state, f->wire == 1));
	} else if (is_message(f)) {
		put_block(out, f->number, (struct span){body.ptr, 0});
	} else {
		put_changed_block(out, f);
	}
}

static uint8_t wire_of(const ProtobufCFieldDescriptor *f)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
		return 5;
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 1;
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_BYTES:
	case PROTOBUF_C_TYPE_MESSAGE:
		return 2;
	default:
		return 0;
	}
}

/* A field of the schema that may not be there yet; a message is taken from elsewhere if there is one. */
static void put_new(struct buf *out, const ProtobufCMessageDescriptor *desc, const struct place *donors,
		    size_t n, uint32_t *state)
{
	const ProtobufCFieldDescriptor *d;
	struct field f = {0};

	if (!desc->n_fields)
		return;
	d = &desc->fields[rnd(state, desc->n_fields)];
	f = (struct field){.desc = d, .number = d->id, .wire = wire_of(d)};
	if (f.wire == 0) {
		put_number(out, f.number, 0, some_number(state, 0));
	} else if (f.wire != 2) {
		put_number(out, f.number, f.wire, some_real(state, f.wire == 1));
	} else if (d->type != PROTOBUF_C_TYPE_MESSAGE) {
		put_changed_block(out, &f);
	} else {
		uint32_t at = rnd(state, (uint32_t)n);

		for (size_t i = 0; i < n; i++, at = (at + 1) % (uint32_t)n) {
			if (donors[at].desc != d->descriptor)
				continue;
			put_block(out, f.number, donors[at].body);
			return;
		}
		put_block(out, f.number, (struct span){(const uint8_t *)"", 0});
	}
}

/* The message that is chosen, without tag and length */
static void change(const struct place *target, const struct place *donors, size_t n, uint32_t *state,
		   struct buf *out)
{
	struct field f[FIELDS_MAX];
	struct span in = target->body;
	size_t count = 0, at, other;
	uint32_t what;

	while (count < FIELDS_MAX && in.len && !take_field(target->desc, &in, &f[count]))
		count++;
	at = rnd(state, (uint32_t)count);
	other = rnd(state, (uint32_t)count);
	what = count ? rnd(state, 10) : 9;
	for (size_t i = 0; i < count; i++) {
		if (what == 0 && i == at)
			continue; /* left out */
		if (what == 1 && i == at) { /* twice */
			buf_put(out, f[i].all.ptr, f[i].all.len);
			buf_put(out, f[i].all.ptr, f[i].all.len);
		} else if (what == 2 && (i == at || i == other)) { /* exchanged */
			const struct field *from = &f[i == at ? other : at];

			buf_put(out, from->all.ptr, from->all.len);
		} else if (what >= 3 && what < 8 && i == at) {
			put_changed(out, &f[i], state);
		} else {
			buf_put(out, f[i].all.ptr, f[i].all.len);
		}
	}
	if (what >= 8)
		put_new(out, target->desc, donors, n, state);
	buf_put(out, in.ptr, in.len);
}

/* @body with the message at @target changed and all lengths around it made right */
static void rebuild(const ProtobufCMessageDescriptor *desc, struct span body, const struct place *target,
		    const struct place *donors, size_t n, uint32_t *state, struct buf *out,
		    unsigned int depth)
{
	struct field f;

	if (body.ptr == target->body.ptr && body.len == target->body.len && desc == target->desc) {
		change(target, donors, n, state, out);
		return;
	}
	if (depth > DEPTH_MAX) {
		buf_put(out, body.ptr, body.len);
		return;
	}
	while (body.len) {
		const struct span rest = body;
		struct buf sub = {0};

		if (take_field(desc, &body, &f)) {
			buf_put(out, rest.ptr, rest.len);
			return;
		}
		if (!is_message(&f) || target->body.ptr < f.body.ptr ||
		    target->body.ptr + target->body.len > f.body.ptr + f.body.len) {
			buf_put(out, f.all.ptr, f.all.len);
			continue;
		}
		rebuild(f.desc->descriptor, f.body, target, donors, n, state, &sub, depth + 1);
		put_block(out, f.number, (struct span){sub.ptr, sub.len});
		buf_free(&sub);
	}
}

void pbmutate(const ProtobufCMessageDescriptor *desc, struct span msg, struct span donor,
	      unsigned int seed, struct buf *out)
{
	static struct place places[MESSAGES_MAX], donors[MESSAGES_MAX];
	uint32_t state = seed * 2654435761u | 1;
	size_t n = 0, n_donors = 0;

	collect(desc, msg, places, &n, 0);
	collect(desc, donor, donors, &n_donors, 0);
	rebuild(desc, msg, &places[rnd(&state, (uint32_t)n)], donors, n_donors, &state, out, 0);
}
