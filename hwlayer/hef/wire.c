// SPDX-License-Identifier: MIT
/*
 * A walk over the encoded message before protobuf-c sees it.  protobuf-c recurses without a limit,
 * makes structures of some hundred bytes from empty messages of two, takes any bytes for a string
 * and, when a singular sub-message occurs twice, forgets the scalars of the first.  All of that is
 * settled here (hef-format 2.1).
 */
#include "hef/parse.h"

#define WIRE_DEPTH_MAX 100 /* the reference's protobuf library stops there too (2.1) */
/* Real files have some hundred for a megabyte. */
#define WIRE_MESSAGES_MAX (4u << 20)

enum wire_type { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

static int take_varint(struct span *in, uint64_t *out)
{
	uint64_t v = 0;

	for (unsigned int shift = 0; shift < 70; shift += 7) {
		struct span byte;

		if (span_take(in, 1, &byte))
			return -EBADMSG;
		if (shift < 64)
			v |= (uint64_t)(byte.ptr[0] & 0x7f) << shift;
		if (!(byte.ptr[0] & 0x80)) {
			*out = v;
			return 0;
		}
	}
	return -EBADMSG;
}

/* Well-formed UTF-8 without NUL: protobuf-c's strings end at the first one. */
static bool is_text(struct span s)
{
	size_t i = 0;

	while (i < s.len) {
		uint8_t b = s.ptr[i++];
		unsigned int more;
		uint32_t c, least;

		if (b && b < 0x80)
			continue;
		if (b >= 0xc2 && b < 0xe0) {
			more = 1, c = b & 0x1f, least = 0x80;
		} else if (b >= 0xe0 && b < 0xf0) {
			more = 2, c = b & 0x0f, least = 0x800;
		} else if (b >= 0xf0 && b < 0xf5) {
			more = 3, c = b & 0x07, least = 0x10000;
		} else {
			return false;
		}
		if (more > s.len - i)
			return false;
		while (more--) {
			if ((s.ptr[i] & 0xc0) != 0x80)
				return false;
			c = c << 6 | (s.ptr[i++] & 0x3f);
		}
		if (c < least || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
			return false;
	}
	return true;
}

/* One field: its key, and the bytes behind its length if it has one. */
struct wire_field {
	const ProtobufCFieldDescriptor *desc; /* NULL: not in the schema */
	bool block;
	struct span all, body;
};

static int take_field(const ProtobufCMessageDescriptor *desc, struct span *in, struct wire_field *out)
{
	const struct span start = *in;
	uint64_t tag, n = 0;
	struct span skip;

	if (take_varint(in, &tag) || tag > UINT32_MAX || tag >> 3 == 0)
		return -EBADMSG;
	*out = (struct wire_field){
		.desc = protobuf_c_message_descriptor_get_field(desc, (unsigned int)(tag >> 3)),
		.block = (tag & 7) == WIRE_BYTES,
	};
	switch (tag & 7) {
	case WIRE_VARINT:
		if (take_varint(in, &n))
			return -EBADMSG;
		break;
	case WIRE_64:
	case WIRE_32:
		if (span_take(in, (tag & 7) == WIRE_64 ? 8 : 4, &skip))
			return -EBADMSG;
		break;
	case WIRE_BYTES:
		if (take_varint(in, &n) || n > in->len || span_take(in, n, &out->body))
			return -EBADMSG;
		break;
	default:
		return -EBADMSG;
	}
	out->all = (struct span){start.ptr, start.len - in->len};
	return 0;
}

static bool is_message(const struct wire_field *f)
{
	return f->block && f->desc && f->desc->type == PROTOBUF_C_TYPE_MESSAGE;
}

static bool is_single_message(const struct wire_field *f)
{
	return is_message(f) && f->desc->label != PROTOBUF_C_LABEL_REPEATED;
}

static int check_message(const ProtobufCMessageDescriptor *desc, struct span in, unsigned int depth,
			 struct wire *w)
{
	uint64_t seen = 0;

	if (depth > WIRE_DEPTH_MAX) {
		w->why = "messages are nested deeper than 100";
		return -EBADMSG;
	}
	if (++w->messages > WIRE_MESSAGES_MAX) {
		w->why = "it consists of more than four million parts";
		return -EBADMSG;
	}
	w->why = "the encoding is broken";
	while (in.len) {
		struct wire_field f;
		int r;

		if (take_field(desc, &in, &f))
			return -EBADMSG;
		if (f.block && f.desc && f.desc->type == PROTOBUF_C_TYPE_STRING && !is_text(f.body)) {
			w->why = "a name is not valid UTF-8 text";
			return -EBADMSG;
		}
		if (!is_message(&f))
			continue;
		if (is_single_message(&f)) {
			uint64_t bit = UINT64_C(1) << (f.desc - desc->fields);

			w->split |= (seen & bit) != 0;
			seen |= bit;
		}
		r = check_message(f.desc->descriptor, f.body, depth + 1, w);
		if (r < 0)
			return r;
	}
	return 0;
}

int wire_check(const ProtobufCMessageDescriptor *desc, struct span in, struct wire *w)
{
	*w = (struct wire){0};
	return check_message(desc, in, 0, w);
}

/* --------------------------------------------------------------------------------- joining */

static void put_varint(struct buf *out, uint64_t v)
{
	for (; v > 0x7f; v >>= 7)
		buf_u8(out, (uint8_t)(v | 0x80));
	buf_u8(out, (uint8_t)v);
}

static void put_joined(const ProtobufCFieldDescriptor *f, struct span body, struct buf *out)
{
	struct buf sub = {0};

	wire_join(f->descriptor, body, &sub);
	put_varint(out, (uint64_t)f->id << 3 | WIRE_BYTES);
	put_varint(out, sub.len);
	buf_put(out, sub.ptr, sub.len);
	out->failed |= sub.failed;
	buf_free(&sub);
}

/* What @parts held of the other members of @f's oneof is forgotten: the last member wins. */
static void drop_others(const ProtobufCMessageDescriptor *desc, const ProtobufCFieldDescriptor *f,
			struct buf *parts, bool *present)
{
	if (!(f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
		return;
	for (unsigned int i = 0; i < desc->n_fields; i++)
		if (&desc->fields[i] != f && (desc->fields[i].flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
		    desc->fields[i].quantifier_offset == f->quantifier_offset) {
			buf_free(&parts[i]);
			present[i] = false;
		}
}

/*
 * One message after the other, undivided, is their merge: that is how the encoding is made.  So the
 * parts of each singular sub-message go one behind the other; among the other fields the order stays.
 */
void wire_join(const ProtobufCMessageDescriptor *desc, struct span in, struct buf *out)
{
	struct buf *parts = calloc(desc->n_fields + 1, sizeof(*parts));
	bool *present = calloc(desc->n_fields + 1, sizeof(*present));
	struct wire_field f;

	if (!parts || !present)
		out->failed = true;
	while (!out->failed && in.len && !take_field(desc, &in, &f)) {
		size_t i = f.desc ? (size_t)(f.desc - desc->fields) : 0;

		if (f.desc)
			drop_others(desc, f.desc, parts, present);
		if (is_single_message(&f)) {
			buf_put(&parts[i], f.body.ptr, f.body.len);
			present[i] = true;
		} else if (is_message(&f)) {
			put_joined(f.desc, f.body, out);
		} else {
			buf_put(out, f.all.ptr, f.all.len);
		}
	}
	for (unsigned int i = 0; !out->failed && i < desc->n_fields; i++)
		if (present[i]) {
			out->failed |= parts[i].failed;
			put_joined(&desc->fields[i], (struct span){parts[i].ptr, parts[i].len}, out);
		}
	for (unsigned int i = 0; parts && i < desc->n_fields; i++)
		buf_free(&parts[i]);
	free(parts);
	free(present);
}
