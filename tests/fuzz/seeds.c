// SPDX-License-Identifier: MIT
/* One small ONNX model for each operator, for fuzz_onnx: give it the folder to write them to. */
#include "../unit/onnx_build.h"

static const struct seed {
	const char *op;
	int opset;
	const char *inputs; /* x: 1x4x6x6; c: 1x4x6x6, constant; w: 4x4x3x3; m: 6x6; v: 4; i, f, p, s, e, z: below */
	const char *attrs;  /* "name=1" an integer, "name#1,2" a list, "name:0.5" a number, "name'text" */
	int outputs;
} seeds[] = {
	{"Add", 13, "x c", "", 1},
	{"AveragePool", 11, "x", "kernel_shape#2,3 pads#1,1,0,1 strides#2,2 ceil_mode=1 count_include_pad=1", 1},
	{"BatchNormalization", 9, "x v v v v", "epsilon:0.001", 1},
	{"Cast", 13, "x", "to=3", 1},
	{"Cast", 13, "c", "to=8", 1},
	{"Clip", 6, "x", "min:-1 max:1", 1},
	{"Clip", 13, "x f f", "", 1},
	{"Concat", 13, "x c x", "axis=1", 1},
	{"Conv", 11, "x w v", "pads#1,1,1,1 strides#2,1 dilations#1,2 kernel_shape#3,3", 1},
	{"Conv", 11, "x w", "auto_pad'SAME_UPPER", 1},
	{"Div", 13, "x c", "", 1},
	{"Elu", 13, "x", "alpha:0.5", 1},
	{"Erf", 13, "x", "", 1},
	{"Exp", 13, "c", "", 1},
	{"Flatten", 13, "x", "axis=2", 1},
	{"Gather", 13, "x i", "axis=1", 1},
	{"Gemm", 13, "m m f", "alpha:0.5 beta:2 transA=1 transB=1", 1},
	{"GlobalAveragePool", 13, "x", "", 1},
	{"Identity", 13, "x", "", 1},
	{"LeakyRelu", 13, "x", "alpha:0.1", 1},
	{"MatMul", 13, "x m", "", 1},
	{"MaxPool", 12, "x", "kernel_shape#3,2 dilations#2,1 storage_order=1 auto_pad'VALID", 2},
	{"Mul", 13, "c c", "", 1},
	{"Pad", 2, "x", "pads#0,0,1,1,0,0,1,1 mode'reflect", 1},
	{"Pad", 13, "x p f", "mode'edge", 1},
	{"Pow", 13, "x c", "", 1},
	{"ReduceMean", 13, "x", "axes#2,3 keepdims=0", 1},
	{"Relu", 13, "x", "", 1},
	{"Reshape", 13, "x s", "", 1},
	{"Resize", 10, "x r", "mode'nearest", 1},
	{"Resize", 13, "x - r", "mode'nearest nearest_mode'floor coordinate_transformation_mode'asymmetric", 1},
	{"Shape", 15, "x", "start=1 end=3", 1},
	{"Sigmoid", 13, "x", "", 1},
	{"Slice", 9, "x", "axes#2,3 starts#0,-3 ends#5,6", 1},
	{"Slice", 13, "x z e z i", "", 1},
	{"Softmax", 13, "x", "axis=1", 1},
	{"Split", 11, "x", "axis=1 split#1,3", 2},
	{"Split", 13, "x", "axis=2", 2},
	{"Sqrt", 13, "x", "", 1},
	{"Squeeze", 11, "x", "axes#0", 1},
	{"Squeeze", 13, "x z", "", 1},
	{"Sub", 13, "x c", "", 1},
	{"Tanh", 13, "x", "", 1},
	{"Transpose", 13, "x", "perm#0,2,3,1", 1},
	{"Unsqueeze", 11, "x", "axes#0,2", 1},
	{"Unsqueeze", 13, "x z", "", 1},
};

static void put_inputs(struct mb *b, const char *inputs)
{
	static const float numbers[144] = {1, -2, 0.5f, 3}, scales[4] = {1, 1, 2, 0.5f};
	const struct {
		char name;
		int count, rank;
		int64_t dim[4];
		const float *values;
	} real[] = {
		{'c', 144, 4, {1, 4, 6, 6}, numbers}, {'w', 144, 4, {4, 4, 3, 3}, numbers},
		{'m', 36, 2, {6, 6}, numbers},	      {'v', 4, 1, {4}, numbers},
		{'f', 1, 0, {0}, numbers},	      {'r', 4, 1, {4}, scales},
	};

	if (strchr(inputs, 'x'))
		mb_input(b, "x", MB_DIMS(1, 4, 6, 6));
	for (size_t i = 0; i < ARRAY_SIZE(real); i++)
		if (strchr(inputs, real[i].name))
			mb_f32(b, (char[]){real[i].name, 0}, real[i].rank, real[i].dim, real[i].values);
	if (strchr(inputs, 'i'))
		mb_i64(b, "i", MB_DIMS(1));
	if (strchr(inputs, 'p'))
		mb_i64(b, "p", MB_DIMS(0, 0, 1, 1, 0, 0, 1, 1));
	if (strchr(inputs, 's'))
		mb_i64(b, "s", MB_DIMS(0, -1, 6));
	if (strchr(inputs, 'e'))
		mb_i64(b, "e", MB_DIMS(5));
	if (strchr(inputs, 'z'))
		mb_i64(b, "z", MB_DIMS(0));
}

static void put_attr(struct mb *b, Onnx__NodeProto *n, char *text)
{
	char *value = strpbrk(text, "=#:'"), kind = *value;
	int64_t v[8];
	int count = 0;

	*value++ = 0;
	switch (kind) {
	case ':':
		mb_attr_f(b, n, text, strtof(value, NULL));
		break;
	case '\'':
		mb_attr_s(b, n, text, value);
		break;
	case '=':
		mb_attr_i(b, n, text, strtoll(value, NULL, 10));
		break;
	default:
		for (; *value; value += *value == ',')
			v[count++] = strtoll(value, &value, 10);
		mb_attr_ints(b, n, text, count, v);
	}
}

int main(int argc, char **argv)
{
	int bad = argc != 2;

	for (size_t i = 0; i < ARRAY_SIZE(seeds) && !bad; i++) {
		const struct seed *s = &seeds[i];
		struct mb *b = mb_new(s->opset);
		char attrs[128], path[512], *save = NULL;
		struct onnx_graph *g = NULL;
		struct hw_error err = {0};
		Onnx__NodeProto *n;
		uint8_t *bytes;
		size_t len;

		put_inputs(b, s->inputs);
		n = mb_node(b, s->op, s->inputs, s->outputs == 2 ? "y y2" : "y");
		snprintf(attrs, sizeof(attrs), "%s", s->attrs);
		for (char *a = strtok_r(attrs, " ", &save); a; a = strtok_r(NULL, " ", &save))
			put_attr(b, n, a);
		mb_output(b, "y");
		b->out[0]->type->tensor_type->elem_type = 0; /* whatever comes out */
		if (mb_parse(b, &g, &err)) {
			fprintf(stderr, "%s (opset %d): %s\n", s->op, s->opset, err.text);
			bad = 1;
		}
		onnx_free(g);
		bytes = mb_pack(b, &len);
		snprintf(path, sizeof(path), "%s/%02zu-%s", argv[1], i, s->op);
		spit(path, bytes, len);
		free(bytes);
		mb_free(b);
	}
	return bad;
}
