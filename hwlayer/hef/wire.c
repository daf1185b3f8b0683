// SPDX-License-Identifier: MIT
/*
 * A walk over the encoded message before protobuf-c sees it.  protobuf-c recurses without a limit,
 * takes any bytes for a string and, when a singular sub-message occurs twice, forgets the scalars
 * of the first.  All three are settled here (hef-format 2.1).
 */
#include "hef/parse.h"

#define WIRE_DEPTH_MAX 100 /* the reference's protobuf library stops there too (2.1) */

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

static int check_message(const ProtobufCMessageDescriptor *desc, struct span in, unsigned int depth,
			 const char **why)
{
	uint64_t seen = 0;

	if (depth > WIRE_DEPTH_MAX) {
		*why = "messages are nested deeper than 100";
		return -EBADMSG;
	}
	*why = "the encoding is broken";
	while (in.len) {
		const ProtobufCFieldDescriptor *field;
		uint64_t tag, n = 0;
		struct span body;
		int r;

		if (take_varint(&in, &tag) || tag > UINT32_MAX || tag >> 3 == 0)
			return -EBADMSG;
		switch (tag & 7) {
		case WIRE_VARINT:
			if (take_varint(&in, &n))
				return -EBADMSG;
			continue;
		case WIRE_64:
			if (span_take(&in, 8, &body))
				return -EBADMSG;
			continue;
		case WIRE_32:
			if (span_take(&in, 4, &body))
				return -EBADMSG;
			continue;
		case WIRE_BYTES:
			if (take_varint(&in, &n) || n > in.len || span_take(&in, n, &body))
				return -EBADMSG;
			break;
		default:
			return -EBADMSG;
		}
		field = protobuf_c_message_descriptor_get_field(desc, (unsigned int)(tag >> 3));
		if (!field)
			continue;
		if (field->type == PROTOBUF_C_TYPE_STRING && !is_text(body)) {
			*why = "a name is not valid UTF-8 text";
			return -EBADMSG;
		}
		if (field->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		if (field->label != PROTOBUF_C_LABEL_REPEATED) {
			uint64_t bit = UINT64_C(1) << (field - desc->fields);

			if (seen & bit) {
				*why = "a message that should occur once occurs twice, and this "
				       "reader does not merge the two";
				return -ENOTSUP;
			}
			seen |= bit;
		}
		r = check_message(field->descriptor, body, depth + 1, why);
		if (r < 0)
			return r;
	}
	return 0;
}

int wire_check(const ProtobufCMessageDescriptor *desc, struct span in, const char **why)
{
	return check_message(desc, in, 0, why);
}
