// SPDX-License-Identifier: MIT
/* Tensors: element types, checked shapes, memory. */
#include "onnx/internal.h"

static const struct {
	const char *name;
	size_t size;
} types[] = {
	[ONNX_F32] = {"float", 4},   [ONNX_U8] = {"uint8", 1},    [ONNX_I8] = {"int8", 1},
	[ONNX_U16] = {"uint16", 2},  [ONNX_I16] = {"int16", 2},   [ONNX_I32] = {"int32", 4},
	[ONNX_I64] = {"int64", 8},   [ONNX_BOOL] = {"bool", 1},   [ONNX_F16] = {"float16", 2},
	[ONNX_F64] = {"double", 8},  [ONNX_U32] = {"uint32", 4},  [ONNX_U64] = {"uint64", 8},
	[ONNX_BF16] = {"bfloat16", 2}, [ONNX_TEXT] = {"string", ONNX_TEXT_SIZE},
	[14] = {"complex64", 0},     [15] = {"complex128", 0},
	[ONNX_SEQUENCE] = {"sequence", 0}, [ONNX_OPTIONAL] = {"optional", 0},
	[ONNX_OPTIONAL_SEQUENCE] = {"optional sequence", 0},
};

size_t onnx_type_size(int type)
{
	return type > 0 && (size_t)type < ARRAY_SIZE(types) ? types[type].size : 0;
}

const char *onnx_type_name(int type)
{
	return type > 0 && (size_t)type < ARRAY_SIZE(types) && types[type].name ? types[type].name
										: "undefined";
}

int onnx_set_shape(struct onnx_tensor *t, int type, unsigned int rank, const int64_t *dim,
		   struct hw_error *err)
{
	int64_t n = 1; /* without zeros, so that none hides a product that overflows elsewhere */
	bool empty = false;

	if (!onnx_type_size(type))
		return hw_fail(err, -ENOTSUP, "element type %d (%s) is not supported", type,
			       onnx_type_name(type));
	if (rank > ONNX_RANK_MAX)
		return hw_fail(err, -ENOTSUP, "%u dimensions, at most %d are supported", rank,
			       ONNX_RANK_MAX);
	for (unsigned int i = 0; i < rank; i++) {
		if (dim[i] < 0)
			return hw_fail(err, -EBADMSG, "dimension %u is negative (%lld)", i,
				       (long long)dim[i]);
		if (dim[i] > ONNX_MAX_ELEMENTS / n)
			return hw_fail(err, -EBADMSG, "more than %lld elements",
				       (long long)ONNX_MAX_ELEMENTS);
		n *= dim[i] ? dim[i] : 1;
		empty |= dim[i] == 0;
	}
	t->type = (enum onnx_type)type;
	t->rank = rank;
	memset(t->dim, 0, sizeof(t->dim));
	if (rank)
		memmove(t->dim, dim, rank * sizeof(*dim));
	t->elements = empty ? 0 : (size_t)n;
	return 0;
}

int onnx_set_list(struct onnx_tensor *t, int kind, int item, struct hw_error *err)
{
	if (!onnx_type_size(item))
		return hw_fail(err, -ENOTSUP, "element type %d (%s) is not supported", item,
			       onnx_type_name(item));
	t->type = (enum onnx_type)kind;
	t->item = (enum onnx_type)item;
	t->rank = 0;
	t->elements = 1;
	return 0;
}

size_t onnx_tensor_bytes(const struct onnx_tensor *t)
{
	return t->elements * (onnx_is_list(t) ? sizeof(struct onnx_list) : onnx_type_size(t->type));
}

int onnx_tensor_alloc(struct onnx_tensor *t)
{
	size_t n = onnx_tensor_bytes(t);

	t->data = calloc(1, n ? n : 1);
	return t->data ? 0 : -ENOMEM;
}

void onnx_tensor_clear(struct onnx_tensor *t)
{
	free(t->name);
	free(t->data);
	*t = (struct onnx_tensor){0};
}
