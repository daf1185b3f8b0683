// SPDX-License-Identifier: MIT
/* The table of operators, and what happens to every node whatever its operator. */
#include "onnx/internal.h"

#define OP(fn) onnx_##fn##_shape, onnx_##fn##_run
#define WINDOW "auto_pad:s kernel_shape:I pads:I strides:I "

static const struct onnx_op ops[] = {
	{"Add", 6, 17, 2, 2, 1, "axis:i broadcast:i", false, OP(binary)},
	{"AveragePool", 1, 17, 1, 1, 1, WINDOW "ceil_mode:i count_include_pad:i", false,
	 OP(window_pool)},
	{"BatchNormalization", 6, 17, 5, 5, 5,
	 "consumed_inputs:I epsilon:f is_test:i momentum:f spatial:i training_mode:i", false,
	 OP(batch_norm)},
	{"Cast", 6, 17, 1, 1, 1, "to:i", false, OP(cast)},
	{"Clip", 6, 10, 1, 1, 1, "max:f min:f", false, OP(clip)},
	{"Clip", 11, 17, 1, 3, 1, "", false, OP(clip)},
	{"Concat", 4, 17, 0, 0, 1, "axis:i", false, OP(concat)},
	{"Conv", 1, 17, 2, 3, 1, WINDOW "dilations:I group:i", false, OP(conv)},
	{"Div", 6, 17, 2, 2, 1, "axis:i broadcast:i", false, OP(binary)},
	{"Elu", 6, 17, 1, 1, 1, "alpha:f", false, OP(unary)},
	{"Erf", 9, 17, 1, 1, 1, "", false, OP(unary)},
	{"Exp", 6, 17, 1, 1, 1, "", false, OP(unary)},
	{"Flatten", 1, 17, 1, 1, 1, "axis:i", false, OP(flatten)},
	{"Gather", 1, 17, 2, 2, 1, "axis:i", false, OP(gather)},
	{"Gemm", 6, 17, 2, 3, 1, "alpha:f beta:f broadcast:i transA:i transB:i", false, OP(gemm)},
	{"GlobalAveragePool", 1, 17, 1, 1, 1, "", false, OP(global_pool)},
	{"Identity", 1, 17, 1, 1, 1, "", false, OP(identity)},
	{"LeakyRelu", 6, 17, 1, 1, 1, "alpha:f", false, OP(unary)},
	{"MatMul", 1, 17, 2, 2, 1, "", false, OP(matmul)},
	{"MaxPool", 1, 17, 1, 1, 2, WINDOW "ceil_mode:i dilations:I storage_order:i", false,
	 OP(window_pool)},
	{"Mul", 6, 17, 2, 2, 1, "axis:i broadcast:i", false, OP(binary)},
	{"Pad", 2, 10, 1, 1, 1, "mode:s pads:I value:f", false, OP(pad)},
	{"Pad", 11, 17, 2, 3, 1, "mode:s", false, OP(pad)},
	{"Pow", 1, 17, 2, 2, 1, "axis:i broadcast:i", false, OP(binary)},
	{"ReduceMean", 1, 17, 1, 1, 1, "axes:I keepdims:i", false, OP(reduce_mean)},
	{"Relu", 6, 17, 1, 1, 1, "", false, OP(unary)},
	{"Reshape", 5, 17, 2, 2, 1, "allowzero:i", false, OP(reshape)},
	{"Resize", 10, 10, 2, 2, 1, "mode:s", false, OP(resize)},
	{"Resize", 11, 17, 1, 4, 1,
	 "coordinate_transformation_mode:s cubic_coeff_a:f exclude_outside:i "
	 "extrapolation_value:f mode:s nearest_mode:s", false, OP(resize)},
	{"Shape", 1, 14, 1, 1, 1, "", true, OP(shape)},
	{"Shape", 15, 17, 1, 1, 1, "end:i start:i", true, OP(shape)},
	{"Sigmoid", 6, 17, 1, 1, 1, "", false, OP(unary)},
	{"Slice", 1, 9, 1, 1, 1, "axes:I ends:I starts:I", false, OP(slice)},
	{"Slice", 10, 17, 3, 5, 1, "", false, OP(slice)},
	{"Softmax", 1, 17, 1, 1, 1, "axis:i", false, OP(softmax)},
	{"Split", 2, 12, 1, 1, ONNX_MAX_OUT, "axis:i split:I", false, OP(split)},
	{"Split", 13, 17, 1, 2, ONNX_MAX_OUT, "axis:i", false, OP(split)},
	{"Sqrt", 6, 17, 1, 1, 1, "", false, OP(unary)},
	{"Squeeze", 1, 12, 1, 1, 1, "axes:I", false, OP(squeeze)},
	{"Squeeze", 13, 17, 1, 2, 1, "", false, OP(squeeze)},
	{"Sub", 6, 17, 2, 2, 1, "axis:i broadcast:i", false, OP(binary)},
	{"Tanh", 6, 17, 1, 1, 1, "", false, OP(unary)},
	{"Transpose", 1, 17, 1, 1, 1, "perm:I", false, OP(transpose)},
	{"Unsqueeze", 1, 12, 1, 1, 1, "axes:I", false, OP(unsqueeze)},
	{"Unsqueeze", 13, 17, 2, 2, 1, "", false, OP(unsqueeze)},
};

const struct onnx_attr *onnx_attr(const struct onnx_node *node, const char *name)
{
	for (size_t i = 0; i < node->n_attr; i++)
		if (!strcmp(node->attr[i].name, name))
			return &node->attr[i];
	return NULL;
}

/* 0: unknown to the operator */
static int attr_kind(const struct onnx_op *op, const char *name)
{
	static const char letters[] = "?fist?FI"; /* by AttributeProto.AttributeType */
	size_t len = strlen(name);

	for (const char *p = op->attrs; len && (p = strstr(p, name)); p += len)
		if ((p == op->attrs || p[-1] == ' ') && p[len] == ':')
			return (int)(strchr(letters, p[len + 1]) - letters);
	return 0;
}

const struct onnx_op *onnx_find_op(const struct onnx_node *node, int64_t opset,
				   struct hw_error *err)
{
	const struct onnx_op *op = NULL;
	bool known = false;

	for (size_t i = 0; i < ARRAY_SIZE(ops) && !op; i++) {
		if (strcmp(ops[i].name, node->op))
			continue;
		known = true;
		if (opset >= ops[i].min_opset && opset <= ops[i].max_opset)
			op = &ops[i];
	}
	if (!op) {
		hw_fail(err, -ENOTSUP, known ? "operator %s of opset %lld is not supported" :
					       "operator %s is not supported (opset %lld)",
			node->op, (long long)opset);
		return NULL;
	}
	if (node->n_in < op->min_in || (op->max_in && node->n_in > op->max_in) || !node->n_in ||
	    !node->n_out || node->n_out > op->max_out) {
		hw_fail(err, -EBADMSG, "operator %s with %zu inputs and %zu outputs", node->op,
			node->n_in, node->n_out);
		return NULL;
	}
	for (size_t i = 0; i < node->n_in; i++)
		if (node->in[i] < 0 && (i < op->min_in || !op->max_in)) {
			hw_fail(err, -EBADMSG, "operator %s without its input %zu", node->op, i);
			return NULL;
		}
	for (size_t i = 0; i < node->n_attr; i++) {
		const struct onnx_attr *a = &node->attr[i];
		int kind = attr_kind(op, a->name);

		if (kind == a->kind)
			continue;
		if (kind)
			hw_fail(err, -EBADMSG, "operator %s: attribute %s is of the wrong type",
				node->op, a->name);
		else
			hw_fail(err, -ENOTSUP,
				"operator %s: attribute %s is not supported (opset %lld)",
				node->op, a->name, (long long)opset);
		return NULL;
	}
	return op;
}

int onnx_ctx_init(struct onnx_ctx *c, const struct onnx_node *node, struct onnx_tensor *values,
		  int64_t opset, struct hw_error *err)
{
	*c = (struct onnx_ctx){.node = node, .opset = opset, .n_in = node->n_in,
			       .n_out = node->n_out, .workers = 1, .err = err};
	c->in = calloc(node->n_in + node->n_out, sizeof(*c->in));
	if (!c->in)
		return hw_fail(err, -ENOMEM, "no memory");
	c->out = c->in + node->n_in;
	for (size_t i = 0; i < node->n_in; i++)
		c->in[i] = node->in[i] < 0 ? NULL : &values[node->in[i]];
	for (size_t i = 0; i < node->n_out; i++)
		c->out[i] = &values[node->out[i]];
	return 0;
}

void onnx_ctx_free(struct onnx_ctx *c)
{
	free(c->in);
	c->in = c->out = NULL;
}

int onnx_infer(const struct onnx_op *op, struct onnx_ctx *c)
{
	int r = 0;

	for (size_t i = 0; i < c->n_in && !r; i++)
		if (c->in[i] && onnx_is_list(c->in[i]) && op->shape != onnx_identity_shape)
			r = hw_fail(c->err, -ENOTSUP, "input %zu is of type %s", i,
				    onnx_type_name(c->in[i]->type));
	if (!r)
		r = op->shape(c);
	if (r < 0)
		hw_fail_context(c->err, r, "node \"%.100s\" (%s)", c->node->name, op->name);
	return r;
}

int onnx_op_run(const struct onnx_op *op, struct onnx_ctx *c)
{
	/* Rows without elements are not walked: a file may speak of 2^62 of them. */
	for (size_t i = 0; i < c->n_out; i++) {
		if (onnx_is_list(c->out[i]) || c->out[i]->elements)
			return op->run(c);
	}
	return 0;
}
