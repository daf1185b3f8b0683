// SPDX-License-Identifier: MIT
/* Small ONNX models for tests, put together with protobuf-c: right ones and wrong ones. */
#ifndef TESTS_UNIT_ONNX_BUILD_H
#define TESTS_UNIT_ONNX_BUILD_H

#include "onnx.pb-c.h"
#include "onnx/onnx.h"
#include "support/support.h"

#define MB_MAX 64

struct mb {
	Onnx__ModelProto model;
	Onnx__GraphProto graph;
	Onnx__OperatorSetIdProto opset, *opsets[1];
	Onnx__NodeProto *node[MB_MAX];
	Onnx__TensorProto *init[MB_MAX];
	Onnx__ValueInfoProto *in[MB_MAX], *out[MB_MAX];
	void *mem[4096];
	size_t n_mem;
};

static inline void *mb_mem(struct mb *b, size_t n)
{
	void *m = calloc(1, n + 1);

	assert_non_null(m);
	assert_true(b->n_mem < ARRAY_SIZE(b->mem));
	return b->mem[b->n_mem++] = m;
}

static inline char *mb_text(struct mb *b, const char *s)
{
	return strcpy(mb_mem(b, strlen(s)), s);
}

#define MB_NEW(b, type, init_macro)                                                                \
	((type *)memcpy(mb_mem(b, sizeof(type)), &(type)init_macro, sizeof(type)))

static inline struct mb *mb_new(int64_t opset)
{
	struct mb *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	onnx__model_proto__init(&b->model);
	onnx__graph_proto__init(&b->graph);
	onnx__operator_set_id_proto__init(&b->opset);
	b->opset.domain = mb_text(b, "");
	b->opset.has_version = 1;
	b->opset.version = opset;
	b->opsets[0] = &b->opset;
	b->model.has_ir_version = 1;
	b->model.ir_version = 8;
	b->model.n_opset_import = 1;
	b->model.opset_import = b->opsets;
	b->model.graph = &b->graph;
	b->graph.name = mb_text(b, "test");
	b->graph.node = b->node;
	b->graph.initializer = b->init;
	b->graph.input = b->in;
	b->graph.output = b->out;
	return b;
}

static inline void mb_free(struct mb *b)
{
	for (size_t i = 0; i < b->n_mem; i++)
		free(b->mem[i]);
	free(b);
}

/* @dim -1: a symbolic dimension; @rank -1: no shape at all */
static inline Onnx__ValueInfoProto *mb_value(struct mb *b, const char *name, int type, int rank,
					     const int64_t *dim)
{
	Onnx__ValueInfoProto *v = MB_NEW(b, Onnx__ValueInfoProto, ONNX__VALUE_INFO_PROTO__INIT);
	Onnx__TypeProto *t = MB_NEW(b, Onnx__TypeProto, ONNX__TYPE_PROTO__INIT);
	Onnx__TypeProto__Tensor *x = MB_NEW(b, Onnx__TypeProto__Tensor,
					    ONNX__TYPE_PROTO__TENSOR__INIT);

	v->name = mb_text(b, name);
	v->type = t;
	t->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
	t->tensor_type = x;
	x->has_elem_type = 1;
	x->elem_type = type;
	if (rank < 0)
		return v;
	x->shape = MB_NEW(b, Onnx__TensorShapeProto, ONNX__TENSOR_SHAPE_PROTO__INIT);
	x->shape->n_dim = (size_t)rank;
	x->shape->dim = mb_mem(b, (size_t)rank * sizeof(void *));
	for (int i = 0; i < rank; i++) {
		Onnx__TensorShapeProto__Dimension *d =
			MB_NEW(b, Onnx__TensorShapeProto__Dimension,
			       ONNX__TENSOR_SHAPE_PROTO__DIMENSION__INIT);

		x->shape->dim[i] = d;
		d->value_case = dim[i] == -1 ? ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM
					     : ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
		if (dim[i] == -1)
			d->dim_param = mb_text(b, "N");
		else
			d->dim_value = dim[i];
	}
	return v;
}

#define MB_DIMS(...) \
	(int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]){__VA_ARGS__}

static inline void mb_input(struct mb *b, const char *name, int rank, const int64_t *dim)
{
	b->in[b->graph.n_input++] = mb_value(b, name, ONNX_F32, rank, dim);
}

static inline void mb_output(struct mb *b, const char *name)
{
	b->out[b->graph.n_output++] = mb_value(b, name, ONNX_F32, -1, NULL);
}

static inline Onnx__TensorProto *mb_tensor(struct mb *b, const char *name, int type, int rank,
					   const int64_t *dim, const void *data, size_t bytes)
{
	Onnx__TensorProto *t = MB_NEW(b, Onnx__TensorProto, ONNX__TENSOR_PROTO__INIT);

	t->name = mb_text(b, name);
	t->has_data_type = 1;
	t->data_type = type;
	t->n_dims = (size_t)rank;
	t->dims = memcpy(mb_mem(b, (size_t)rank * 8), dim, (size_t)rank * 8);
	t->has_raw_data = 1;
	t->raw_data.len = bytes;
	t->raw_data.data = mb_mem(b, bytes);
	if (bytes)
		memcpy(t->raw_data.data, data, bytes);
	return t;
}

static inline Onnx__TensorProto *mb_f32(struct mb *b, const char *name, int rank,
					const int64_t *dim, const float *data)
{
	size_t n = 1;

	for (int i = 0; i < rank; i++)
		n *= (size_t)dim[i];
	return b->init[b->graph.n_initializer++] =
		       mb_tensor(b, name, ONNX_F32, rank, dim, data, n * sizeof(float));
}

static inline Onnx__TensorProto *mb_i64(struct mb *b, const char *name, int n, const int64_t *v)
{
	const int64_t dim = n;

	return b->init[b->graph.n_initializer++] =
		       mb_tensor(b, name, ONNX_I64, 1, &dim, v, (size_t)n * 8);
}

/* Blank-separated names; "-" is an absent one. */
static inline char **mb_names(struct mb *b, const char *list, size_t *n)
{
	char *copy = mb_text(b, list), *save = NULL, **v = mb_mem(b, 16 * sizeof(*v));

	*n = 0;
	for (char *s = strtok_r(copy, " ", &save); s; s = strtok_r(NULL, " ", &save)) {
		assert_true(*n < 16);
		v[(*n)++] = strcmp(s, "-") ? s : mb_text(b, "");
	}
	return v;
}

static inline Onnx__NodeProto *mb_node(struct mb *b, const char *op, const char *in,
				       const char *out)
{
	Onnx__NodeProto *n = MB_NEW(b, Onnx__NodeProto, ONNX__NODE_PROTO__INIT);

	n->op_type = mb_text(b, op);
	n->name = mb_text(b, op);
	n->input = mb_names(b, in, &n->n_input);
	n->output = mb_names(b, out, &n->n_output);
	n->attribute = mb_mem(b, 16 * sizeof(*n->attribute));
	assert_true(b->graph.n_node < MB_MAX);
	return b->node[b->graph.n_node++] = n;
}

static inline Onnx__AttributeProto *mb_attr(struct mb *b, Onnx__NodeProto *n, const char *name,
					    int type)
{
	Onnx__AttributeProto *a = MB_NEW(b, Onnx__AttributeProto, ONNX__ATTRIBUTE_PROTO__INIT);

	a->name = mb_text(b, name);
	a->has_type = 1;
	a->type = (Onnx__AttributeProto__AttributeType)type;
	assert_true(n->n_attribute < 16);
	return n->attribute[n->n_attribute++] = a;
}

static inline void mb_attr_i(struct mb *b, Onnx__NodeProto *n, const char *name, int64_t v)
{
	Onnx__AttributeProto *a = mb_attr(b, n, name, 2);

	a->has_i = 1;
	a->i = v;
}

static inline void mb_attr_f(struct mb *b, Onnx__NodeProto *n, const char *name, float v)
{
	Onnx__AttributeProto *a = mb_attr(b, n, name, 1);

	a->has_f = 1;
	a->f = v;
}

static inline void mb_attr_s(struct mb *b, Onnx__NodeProto *n, const char *name, const char *v)
{
	Onnx__AttributeProto *a = mb_attr(b, n, name, 3);

	a->has_s = 1;
	a->s.data = (uint8_t *)mb_text(b, v);
	a->s.len = strlen(v);
}

static inline void mb_attr_ints(struct mb *b, Onnx__NodeProto *n, const char *name, int count,
				const int64_t *v)
{
	Onnx__AttributeProto *a = mb_attr(b, n, name, 7);

	a->n_ints = (size_t)count;
	a->ints = memcpy(mb_mem(b, (size_t)count * 8), v, (size_t)count * 8);
}

/* free() it */
static inline uint8_t *mb_pack(struct mb *b, size_t *len)
{
	uint8_t *p;

	*len = onnx__model_proto__get_packed_size(&b->model);
	p = malloc(*len + 1);
	assert_non_null(p);
	onnx__model_proto__pack(&b->model, p);
	return p;
}

/* The model as NAME.onnx in a folder of this test; the model is gone then.  Static storage. */
static inline const char *mb_save(struct mb *b, const char *name)
{
	static char path[300];
	size_t len;
	uint8_t *p = mb_pack(b, &len);

	snprintf(path, sizeof(path), "%s/%s.onnx", tmp_dir(), name);
	spit(path, p, len);
	free(p);
	mb_free(b);
	return path;
}

static inline int mb_parse(struct mb *b, struct onnx_graph **g, struct hw_error *err)
{
	size_t len;
	uint8_t *p = mb_pack(b, &len);
	int r;

	*g = NULL;
	err->text[0] = 0;
	r = onnx_parse((struct span){p, len}, g, err);
	free(p);
	return r;
}

/* Parse, run once with one input and one output; onnx_free() the result. */
static inline struct onnx_graph *mb_run(struct mb *b, unsigned int threads, const float *in,
					float *out)
{
	struct onnx_graph *g;
	struct onnx_session *s;
	struct hw_error err = {0};
	const void *inputs[] = {in};
	void *outputs[] = {out};

	assert_ok(mb_parse(b, &g, &err), &err);
	assert_ok(onnx_session_new(g, threads, &s, &err), &err);
	assert_ok(onnx_run(s, inputs, outputs, &err), &err);
	onnx_session_free(s);
	return g;
}

/* Reproducible numbers in [-1, 1). */
static inline float mb_noise(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (float)(int32_t)(*seed & 0xffffff00u) / 2147483648.0f;
}

#endif
