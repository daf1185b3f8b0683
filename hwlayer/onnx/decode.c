// SPDX-License-Identifier: MIT
/* TensorProto and NodeProto to plain structs, fully checked. */
#include "onnx.pb-c.h"
#include "onnx/internal.h"

static const char *text(const char *s)
{
	return s ? s : "";
}

static char *copy_text(const char *s)
{
	return strdup(text(s));
}

/* One of the typed lists of a TensorProto; @n its length. */
#define FROM_LIST(member, store)                              \
	do {                                                  \
		n = p->n_##member;                            \
		for (size_t i = 0; n == t->elements && i < n; i++) \
			store(t, i, p->member[i]);            \
	} while (0)

static void store_u(struct onnx_tensor *t, size_t at, uint64_t v)
{
	onnx_store_i(t, at, (int64_t)v);
}

/* Narrow floats come as their bits. */
static void store_bits(struct onnx_tensor *t, size_t at, int32_t v)
{
	((uint16_t *)t->data)[at] = (uint16_t)v;
}

static int decode_text(const Onnx__TensorProto *p, struct onnx_tensor *t, struct hw_error *err)
{
	if (p->n_string_data != t->elements)
		return hw_fail(err, -EBADMSG, "%zu elements of data, %zu expected",
			       p->n_string_data, t->elements);
	for (size_t i = 0; i < t->elements; i++) {
		const ProtobufCBinaryData *s = &p->string_data[i];

		if (s->len >= ONNX_TEXT_SIZE)
			return hw_fail(err, -ENOTSUP, "a string of %zu bytes, at most %d are "
				       "supported", s->len, ONNX_TEXT_SIZE - 1);
		if (s->len)
			memcpy((char *)t->data + i * ONNX_TEXT_SIZE, s->data, s->len);
	}
	return 0;
}

static int decode_data(const Onnx__TensorProto *p, struct onnx_tensor *t, struct hw_error *err)
{
	size_t n = 0, bytes = onnx_tensor_bytes(t);

	if (p->has_raw_data && (p->raw_data.len || !t->elements) && t->type != ONNX_TEXT) {
		if (p->raw_data.len != bytes)
			return hw_fail(err, -EBADMSG, "%zu bytes of data, %zu expected",
				       p->raw_data.len, bytes);
		/* Little-endian by definition, as is every machine this is built for. */
		static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "raw_data is copied");
		if (bytes)
			memcpy(t->data, p->raw_data.data, bytes);
		for (size_t i = 0; t->type == ONNX_BOOL && i < bytes; i++)
			((uint8_t *)t->data)[i] = ((uint8_t *)t->data)[i] != 0;
		return 0;
	}
	switch (t->type) {
	case ONNX_F32:
		n = p->n_float_data;
		if (n == t->elements && n)
			memcpy(t->data, p->float_data, bytes);
		break;
	case ONNX_F64:
		FROM_LIST(double_data, onnx_store_d);
		break;
	case ONNX_I64:
		FROM_LIST(int64_data, onnx_store_i);
		break;
	case ONNX_U32:
	case ONNX_U64:
		FROM_LIST(uint64_data, store_u);
		break;
	case ONNX_F16:
	case ONNX_BF16:
		FROM_LIST(int32_data, store_bits);
		break;
	case ONNX_TEXT:
		return decode_text(p, t, err);
	default:
		FROM_LIST(int32_data, onnx_store_i);
		break;
	}
	if (n != t->elements)
		return hw_fail(err, -EBADMSG, "%zu elements of data, %zu expected", n, t->elements);
	return 0;
}

int onnx_decode_tensor(const Onnx__TensorProto *p, struct onnx_tensor *t, struct hw_error *err)
{
	int r;

	*t = (struct onnx_tensor){.constant = true};
	if (p->n_external_data || (p->has_data_location && p->data_location !=
				   ONNX__TENSOR_PROTO__DATA_LOCATION__DEFAULT))
		r = hw_fail(err, -ENOTSUP, "data in another file");
	else if (p->segment)
		r = hw_fail(err, -ENOTSUP, "data in segments");
	else
		r = onnx_set_shape(t, p->data_type, (unsigned int)(p->n_dims < 99 ? p->n_dims : 99),
				   p->dims, err);
	if (!r) {
		/* Before memory is asked for: the file must be able to hold the data. */
		size_t have = p->raw_data.len + p->n_float_data + p->n_int32_data +
			      p->n_int64_data + p->n_double_data + p->n_uint64_data +
			      p->n_string_data;

		if (have < t->elements)
			r = hw_fail(err, -EBADMSG, "%zu elements, but less data", t->elements);
	}
	if (!r) {
		t->name = copy_text(p->name);
		r = t->name ? onnx_tensor_alloc(t) : -ENOMEM;
		if (r < 0)
			hw_fail(err, r, "no memory");
	}
	if (!r)
		r = decode_data(p, t, err);
	if (r < 0) {
		onnx_tensor_clear(t);
		hw_fail_context(err, r, "tensor \"%.100s\"", text(p->name));
	}
	return r;
}

/* An empty list is a list too: its pointer is never NULL. */
static void *copy_list(const void *from, size_t n, size_t size)
{
	void *to = calloc(n + 1, size);

	if (to && n)
		memcpy(to, from, n * size);
	return to;
}

static int decode_attr(const Onnx__AttributeProto *p, struct onnx_attr *a, struct hw_error *err)
{
	int r = 0;

	a->kind = p->has_type ? (int)p->type : 0;
	a->name = copy_text(p->name);
	if (!a->name)
		return hw_fail(err, -ENOMEM, "no memory");
	if (p->ref_attr_name && p->ref_attr_name[0])
		return hw_fail(err, -ENOTSUP, "attribute \"%.100s\" refers to a function's",
			       a->name);
	switch (a->kind) {
	case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT:
		a->f = p->f;
		break;
	case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT:
		a->i = p->i;
		break;
	case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING:
		a->s = p->s.len ? strndup((const char *)p->s.data, p->s.len) : strdup("");
		break;
	case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR:
		if (!p->t)
			return hw_fail(err, -EBADMSG, "attribute \"%.100s\" has no value", a->name);
		a->t = calloc(1, sizeof(*a->t));
		r = a->t ? onnx_decode_tensor(p->t, a->t, err) : 0;
		break;
	case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS:
		a->n = p->n_floats;
		a->floats = copy_list(p->floats, a->n, sizeof(*a->floats));
		break;
	case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS:
		a->n = p->n_ints;
		a->ints = copy_list(p->ints, a->n, sizeof(*a->ints));
		break;
	default:
		return hw_fail(err, -ENOTSUP, "attribute \"%.100s\" of type %d is not supported",
			       a->name, a->kind);
	}
	if (!r && ((a->kind == 3 && !a->s) || (a->kind == 4 && !a->t) ||
		   (a->kind == 6 && !a->floats) || (a->kind == 7 && !a->ints)))
		r = hw_fail(err, -ENOMEM, "no memory");
	return r;
}

int onnx_decode_node(const Onnx__NodeProto *p, struct onnx_node *n, struct hw_error *err)
{
	const char *domain = text(p->domain);
	int r;

	*n = (struct onnx_node){.name = copy_text(p->name), .op = copy_text(p->op_type)};
	n->attr = calloc(p->n_attribute + 1, sizeof(*n->attr));
	if (!n->name || !n->op || !n->attr) {
		onnx_node_clear(n);
		return hw_fail(err, -ENOMEM, "no memory");
	}
	r = 0;
	if (*domain && strcmp(domain, "ai.onnx"))
		r = hw_fail(err, -ENOTSUP, "operator %.100s of domain %.100s is not supported",
			    n->op, domain);
	for (size_t i = 0; i < p->n_attribute && !r; i++) {
		const char *name = text(p->attribute[i]->name);

		if (!*name || onnx_attr(n, name))
			r = hw_fail(err, -EBADMSG, "attribute \"%.100s\": no name, or given twice",
				    name);
		else
			r = decode_attr(p->attribute[i], &n->attr[n->n_attr++], err);
	}
	if (r < 0) {
		hw_fail_context(err, r, "node \"%.100s\" (%.100s)", n->name, n->op);
		onnx_node_clear(n);
	}
	return r;
}

void onnx_attr_clear(struct onnx_attr *a)
{
	if (a->t)
		onnx_tensor_clear(a->t);
	free(a->t);
	free(a->name);
	free(a->s);
	free(a->floats);
	free(a->ints);
	*a = (struct onnx_attr){0};
}

void onnx_node_clear(struct onnx_node *n)
{
	for (size_t i = 0; i < n->n_attr; i++)
		onnx_attr_clear(&n->attr[i]);
	free(n->attr);
	free(n->name);
	free(n->op);
	free(n->in);
	free(n->out);
	*n = (struct onnx_node){0};
}
