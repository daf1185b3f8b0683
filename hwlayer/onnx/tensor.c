// SPDX-License-Identifier: MIT
/* Tensors: element types, checked shapes, single elements of any type. */
#include "onnx/internal.h"

static const struct {
	const char *name;
	size_t size;
} types[] = {
	[ONNX_F32] = {"float", 4},  [ONNX_U8] = {"uint8", 1},   [ONNX_I8] = {"int8", 1},
	[4] = {"uint16", 0},        [5] = {"int16", 0},         [ONNX_I32] = {"int32", 4},
	[ONNX_I64] = {"int64", 8},  [8] = {"string", 0},        [ONNX_BOOL] = {"bool", 1},
	[10] = {"float16", 0},      [ONNX_F64] = {"double", 8}, [12] = {"uint32", 0},
	[13] = {"uint64", 0},       [14] = {"complex64", 0},    [15] = {"complex128", 0},
	[16] = {"bfloat16", 0},
};

size_t onnx_type_size(int type)
{
	return type > 0 && (size_t)type < ARRAY_SIZE(types) ? types[type].size : 0;
}

const char *onnx_type_name(int type)
{
	return type > 0 && (size_t)type < ARRAY_SIZE(types) ? types[type].name : "undefined";
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

size_t onnx_tensor_bytes(const struct onnx_tensor *t)
{
	return t->elements * onnx_type_size(t->type);
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

/* Conversion of an out-of-range double to an integer is undefined in C: saturate instead. */
static int64_t to_i64(double v)
{
	if (isnan(v))
		return 0;
	if (v >= 9223372036854775808.0)
		return INT64_MAX;
	if (v < -9223372036854775808.0)
		return INT64_MIN;
	return (int64_t)v;
}

int64_t onnx_load_i(const struct onnx_tensor *t, size_t at)
{
	switch (t->type) {
	case ONNX_F32:
		return to_i64(((const float *)t->data)[at]);
	case ONNX_F64:
		return to_i64(((const double *)t->data)[at]);
	case ONNX_I32:
		return ((const int32_t *)t->data)[at];
	case ONNX_I64:
		return ((const int64_t *)t->data)[at];
	case ONNX_I8:
		return ((const int8_t *)t->data)[at];
	case ONNX_U8:
	case ONNX_BOOL:
		return ((const uint8_t *)t->data)[at];
	}
	return 0;
}

double onnx_load_d(const struct onnx_tensor *t, size_t at)
{
	if (t->type == ONNX_F32)
		return ((const float *)t->data)[at];
	if (t->type == ONNX_F64)
		return ((const double *)t->data)[at];
	return (double)onnx_load_i(t, at);
}

void onnx_store_i(struct onnx_tensor *t, size_t at, int64_t v)
{
	switch (t->type) {
	case ONNX_F32:
		((float *)t->data)[at] = (float)v;
		break;
	case ONNX_F64:
		((double *)t->data)[at] = (double)v;
		break;
	case ONNX_I32:
		((uint32_t *)t->data)[at] = (uint32_t)v;
		break;
	case ONNX_I64:
		((int64_t *)t->data)[at] = v;
		break;
	case ONNX_I8:
	case ONNX_U8:
		((uint8_t *)t->data)[at] = (uint8_t)v;
		break;
	case ONNX_BOOL:
		((uint8_t *)t->data)[at] = v != 0;
		break;
	}
}

void onnx_store_d(struct onnx_tensor *t, size_t at, double v)
{
	if (t->type == ONNX_F32)
		((float *)t->data)[at] = (float)v;
	else if (t->type == ONNX_F64)
		((double *)t->data)[at] = v;
	else if (t->type == ONNX_BOOL)
		((uint8_t *)t->data)[at] = v != 0;
	else
		onnx_store_i(t, at, to_i64(v));
}
