// SPDX-License-Identifier: MIT
/*
 * A look at the raw protobuf before protobuf-c unpacks it.  That library recurses without a limit
 * (a graph in an attribute of a node of a graph ...), so a small file could use up the stack; and
 * it allocates some hundred bytes for an empty message of two, so a file could ask for a hundred
 * times its size.  Both are bounded here, along the schema's own descriptors.
 */
#include "onnx.pb-c.h"
#include "onnx/internal.h"

#define MAX_DEPTH 24 /* model, graph, node, attribute, tensor, segment are 6 */
#define MAX_MESSAGES (4u << 20)

static int varint(struct span *in, uint64_t *v)
{
	struct span byte;

	*v = 0;
	for (unsigned int shift = 0; shift < 64; shift += 7) {
		if (span_take(in, 1, &byte) < 0)
			return -EBADMSG;
		*v |= (uint64_t)(*byte.ptr & 0x7f) << shift;
		if (!(*byte.ptr & 0x80))
			return 0;
	}
	return -EBADMSG;
}

static int scan(struct span in, const ProtobufCMessageDescriptor *d, unsigned int depth,
		size_t *messages)
{
	uint64_t key, len;
	struct span body;
	int r = 0;

	if (depth > MAX_DEPTH || ++*messages > MAX_MESSAGES)
		return -E2BIG;
	while (in.len && !r) {
		const ProtobufCFieldDescriptor *f;

		if (varint(&in, &key) < 0 || key >> 3 == 0 || key >> 32)
			return -EBADMSG;
		switch (key & 7) {
		case 0:
			r = varint(&in, &len);
			break;
		case 1:
			r = span_take(&in, 8, &body);
			break;
		case 5:
			r = span_take(&in, 4, &body);
			break;
		case 2:
			r = varint(&in, &len);
			if (!r)
				r = len > SIZE_MAX ? -EBADMSG : span_take(&in, (size_t)len, &body);
			f = protobuf_c_message_descriptor_get_field(d, (unsigned int)(key >> 3));
			if (!r && f && f->type == PROTOBUF_C_TYPE_MESSAGE)
				r = scan(body, f->descriptor, depth + 1, messages);
			break;
		default:
			return -EBADMSG;
		}
	}
	return r;
}

int onnx_scan(struct span model, struct hw_error *err)
{
	size_t messages = 0;
	int r = scan(model, &onnx__model_proto__descriptor, 0, &messages);

	if (r == -E2BIG)
		return hw_fail(err, -EBADMSG, "nested too deeply, or made of too many pieces");
	if (r < 0)
		return hw_fail(err, r, "not an ONNX model, or cut short");
	return 0;
}
