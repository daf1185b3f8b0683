// SPDX-License-Identifier: MIT
/* A graph as a ModelProto; what onnx_parse() makes of it is the same graph. */
#include <stdio.h>

#include "onnx.pb-c.h"
#include "onnx/internal.h"

#define IR_VERSION 8

/*
 * Everything that the messages point to and that is not the graph's own: one list, freed as a
 * whole.  A failed allocation is remembered, and everything after it does nothing.
 */
struct pieces {
	void **ptr;
	size_t n, cap;
	bool failed;
};

static void *piece(struct pieces *p, size_t n, size_t size)
{
	void *m;

	if (p->failed)
		return NULL;
	if (p->n == p->cap) {
		size_t cap = p->cap ? 2 * p->cap : 256;
		void **grown = realloc(p->ptr, cap * sizeof(*grown));

		p->failed = !grown;
		if (!grown)
			return NULL;
		p->ptr = grown;
		p->cap = cap;
	}
	m = calloc(n + 1, size);
	if (!m) {
		p->failed = true;
		return NULL;
	}
	p->ptr[p->n++] = m;
	return m;
}

static void pieces_free(struct pieces *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->ptr[i]);
	free(p->ptr);
}

/* A new message of @type, initialised; NULL when memory ran out. */
#define MESSAGE(type, init) ((type *)message(p, sizeof(type), &(type)init))

static void *message(struct pieces *p, size_t size, const void *init)
{
	void *m = piece(p, 1, size);

	if (m)
		memcpy(m, init, size);
	return m;
}

static ProtobufCBinaryData *texts(struct pieces *p, const struct onnx_tensor *t)
{
	ProtobufCBinaryData *d = piece(p, t->elements, sizeof(*d));

	for (size_t i = 0; d && i < t->elements; i++) {
		d[i].data = (uint8_t *)t->data + i * ONNX_TEXT_SIZE;
		d[i].len = strnlen((const char *)d[i].data, ONNX_TEXT_SIZE);
	}
	return d;
}

static Onnx__TensorProto *tensor_proto(struct pieces *p, const struct onnx_tensor *t, char *name)
{
	Onnx__TensorProto *m = MESSAGE(Onnx__TensorProto, ONNX__TENSOR_PROTO__INIT);

	if (!m)
		return NULL;
	m->name = name;
	m->has_data_type = 1;
	m->data_type = t->type;
	m->n_dims = t->rank;
	m->dims = (int64_t *)(uintptr_t)t->dim;
	if (t->type == ONNX_TEXT) {
		m->n_string_data = t->elements;
		m->string_data = texts(p, t);
		return m;
	}
	m->has_raw_data = 1;
	m->raw_data.len = onnx_tensor_bytes(t);
	m->raw_data.data = t->data;
	return m;
}

static Onnx__AttributeProto *attr_proto(struct pieces *p, const struct onnx_attr *a)
{
	Onnx__AttributeProto *m = MESSAGE(Onnx__AttributeProto, ONNX__ATTRIBUTE_PROTO__INIT);

	if (!m)
		return NULL;
	m->name = a->name;
	m->has_type = 1;
	m->type = (Onnx__AttributeProto__AttributeType)a->kind;
	m->has_f = a->kind == ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
	m->f = a->f;
	m->has_i = a->kind == ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
	m->i = a->i;
	if (a->s) {
		m->has_s = 1;
		m->s.data = (uint8_t *)a->s;
		m->s.len = strlen(a->s);
	}
	if (a->t)
		m->t = tensor_proto(p, a->t, a->t->name);
	m->n_floats = a->floats ? a->n : 0;
	m->floats = a->floats;
	m->n_ints = a->ints ? a->n : 0;
	m->ints = a->ints;
	return m;
}

static Onnx__NodeProto *node_proto(struct pieces *p, const struct onnx_node *n, char **names)
{
	static char none[] = "";
	Onnx__NodeProto *m = MESSAGE(Onnx__NodeProto, ONNX__NODE_PROTO__INIT);
	char **in = piece(p, n->n_in, sizeof(*in)), **out = piece(p, n->n_out, sizeof(*out));
	Onnx__AttributeProto **attr = piece(p, n->n_attr, sizeof(*attr));

	if (!m || !in || !out || !attr)
		return NULL;
	for (size_t i = 0; i < n->n_in; i++)
		in[i] = n->in[i] < 0 ? none : names[n->in[i]];
	for (size_t i = 0; i < n->n_out; i++)
		out[i] = names[n->out[i]];
	for (size_t i = 0; i < n->n_attr; i++)
		attr[i] = attr_proto(p, &n->attr[i]);
	m->name = n->name;
	m->op_type = n->op;
	m->n_input = n->n_in;
	m->input = in;
	m->n_output = n->n_out;
	m->output = out;
	m->n_attribute = n->n_attr;
	m->attribute = attr;
	return m;
}

/* The type of a tensor of @t's rank and dimensions. */
static Onnx__TypeProto *tensor_type(struct pieces *p, const struct onnx_tensor *t)
{
	Onnx__TypeProto *type = MESSAGE(Onnx__TypeProto, ONNX__TYPE_PROTO__INIT);
	Onnx__TypeProto__Tensor *tensor = MESSAGE(Onnx__TypeProto__Tensor,
						  ONNX__TYPE_PROTO__TENSOR__INIT);
	Onnx__TensorShapeProto *shape = MESSAGE(Onnx__TensorShapeProto,
						ONNX__TENSOR_SHAPE_PROTO__INIT);
	Onnx__TensorShapeProto__Dimension **dim = piece(p, t->rank, sizeof(*dim));

	if (!type || !tensor || !shape || !dim)
		return NULL;
	for (unsigned int i = 0; i < t->rank; i++) {
		dim[i] = MESSAGE(Onnx__TensorShapeProto__Dimension,
				 ONNX__TENSOR_SHAPE_PROTO__DIMENSION__INIT);
		if (!dim[i])
			return NULL;
		dim[i]->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
		dim[i]->dim_value = t->dim[i];
	}
	shape->n_dim = t->rank;
	shape->dim = dim;
	tensor->has_elem_type = 1;
	tensor->elem_type = onnx_is_list(t) ? t->item : t->type;
	tensor->shape = onnx_is_list(t) ? NULL : shape;
	type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
	type->tensor_type = tensor;
	return type;
}

static Onnx__TypeProto *value_type(struct pieces *p, const struct onnx_tensor *t)
{
	Onnx__TypeProto *type = tensor_type(p, t), *outer;

	if (type && (t->type == ONNX_SEQUENCE || t->type == ONNX_OPTIONAL_SEQUENCE)) {
		outer = MESSAGE(Onnx__TypeProto, ONNX__TYPE_PROTO__INIT);
		if (!outer)
			return NULL;
		outer->value_case = ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE;
		outer->sequence_type = MESSAGE(Onnx__TypeProto__Sequence,
					       ONNX__TYPE_PROTO__SEQUENCE__INIT);
		if (!outer->sequence_type)
			return NULL;
		outer->sequence_type->elem_type = type;
		type = outer;
	}
	if (type && (t->type == ONNX_OPTIONAL || t->type == ONNX_OPTIONAL_SEQUENCE)) {
		outer = MESSAGE(Onnx__TypeProto, ONNX__TYPE_PROTO__INIT);
		if (!outer)
			return NULL;
		outer->value_case = ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE;
		outer->optional_type = MESSAGE(Onnx__TypeProto__Optional,
					       ONNX__TYPE_PROTO__OPTIONAL__INIT);
		if (!outer->optional_type)
			return NULL;
		outer->optional_type->elem_type = type;
		type = outer;
	}
	return type;
}

static Onnx__ValueInfoProto *value_info(struct pieces *p, const struct onnx_tensor *t, char *name)
{
	Onnx__ValueInfoProto *m = MESSAGE(Onnx__ValueInfoProto, ONNX__VALUE_INFO_PROTO__INIT);

	if (!m)
		return NULL;
	m->name = name;
	m->type = value_type(p, t);
	return m;
}

static bool name_taken(const struct onnx_graph *g, const char *name)
{
	for (size_t i = 0; i < g->n_values; i++)
		if (g->values[i].name && !strcmp(g->values[i].name, name))
			return true;
	return false;
}

/* Names of all values; those without one get a new one. */
static char **value_names(struct pieces *p, const struct onnx_graph *g)
{
	char **names = piece(p, g->n_values, sizeof(*names));
	size_t fresh = 0;

	for (size_t i = 0; names && i < g->n_values; i++) {
		char *made;

		names[i] = g->values[i].name;
		if (names[i] && *names[i])
			continue;
		made = piece(p, 24, 1);
		if (!made)
			return NULL;
		do
			snprintf(made, 24, "value_%zu", fresh++);
		while (name_taken(g, made));
		names[i] = made;
	}
	return names;
}

static Onnx__GraphProto *graph_proto(struct pieces *p, const struct onnx_graph *g)
{
	Onnx__GraphProto *m = MESSAGE(Onnx__GraphProto, ONNX__GRAPH_PROTO__INIT);
	char **names = value_names(p, g);
	Onnx__NodeProto **node = piece(p, g->n_nodes, sizeof(*node));
	Onnx__TensorProto **init = piece(p, g->n_values, sizeof(*init));
	Onnx__ValueInfoProto **in = piece(p, g->n_inputs, sizeof(*in));
	Onnx__ValueInfoProto **out = piece(p, g->n_outputs, sizeof(*out));

	if (!m || !names || !node || !init || !in || !out)
		return NULL;
	for (size_t i = 0; i < g->n_nodes; i++)
		node[i] = node_proto(p, &g->nodes[i], names);
	for (size_t i = 0; i < g->n_values; i++)
		if (g->values[i].constant)
			init[m->n_initializer++] = tensor_proto(p, &g->values[i], names[i]);
	for (size_t i = 0; i < g->n_inputs; i++)
		in[i] = value_info(p, &g->values[g->inputs[i]], names[g->inputs[i]]);
	for (size_t i = 0; i < g->n_outputs; i++)
		out[i] = value_info(p, &g->values[g->outputs[i]], names[g->outputs[i]]);
	m->name = g->name;
	m->n_node = g->n_nodes;
	m->node = node;
	m->initializer = init;
	m->n_input = g->n_inputs;
	m->input = in;
	m->n_output = g->n_outputs;
	m->output = out;
	return m;
}

int onnx_serialize(const struct onnx_graph *g, uint8_t **out, size_t *len)
{
	static char producer[] = "hailo-inference", version[] = HW_VERSION, domain[] = "";
	struct pieces pieces = {0}, *p = &pieces;
	Onnx__ModelProto m = ONNX__MODEL_PROTO__INIT;
	Onnx__OperatorSetIdProto opset = ONNX__OPERATOR_SET_ID_PROTO__INIT, *opsets = &opset;
	int r = -ENOMEM;

	m.graph = graph_proto(p, g);
	if (p->failed || !m.graph)
		goto out;
	opset.domain = domain;
	opset.has_version = 1;
	opset.version = g->opset;
	m.has_ir_version = 1;
	m.ir_version = IR_VERSION;
	m.producer_name = producer;
	m.producer_version = version;
	m.n_opset_import = 1;
	m.opset_import = &opsets;
	*len = onnx__model_proto__get_packed_size(&m);
	*out = malloc(*len + 1);
	if (!*out)
		goto out;
	onnx__model_proto__pack(&m, *out);
	r = 0;
out:
	pieces_free(p);
	return r;
}
