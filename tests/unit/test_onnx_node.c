// SPDX-License-Identifier: MIT
/*
 * Every case of Debian's libonnx-testdata (the ONNX project's own conformance data) that consists
 * of the operators we claim, except what is refused by name below.
 */
#include <dirent.h>
#include <math.h>
#include <unistd.h>

#include "onnx.pb-c.h"
#include "onnx/onnx.h"
#include "support/support.h"

#define DATA "/usr/share/libonnx-testdata/data"

static const char *const claimed[] = {
	"Add", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Constant", "Conv",
	"Div", "Elu", "Erf", "Exp", "Flatten", "Gather", "Gemm", "GlobalAveragePool", "Identity",
	"LeakyRelu", "MatMul", "MaxPool", "Mul", "Pad", "Pow", "ReduceMean", "Relu", "Reshape",
	"Resize", "Shape", "Sigmoid", "Slice", "Softmax", "Split", "Sqrt", "Squeeze", "Sub", "Tanh",
	"Transpose", "Unsqueeze",
};

/* Refused with -ENOTSUP, and why. */
static const struct {
	const char *name, *reason;
} refused[] = {
	{"FLOAT16", "element type"},
	{"to_STRING", "element type"},
	{"STRING_to", "element type"},
	{"float32_uint32", "element type"},
	{"float32_uint64", "element type"},
	{"identity_opt", "not a tensor"},
	{"identity_sequence", "not a tensor"},
	{"training_mode", "training"},
	{"cubic", "interpolation"},
	{"linear", "interpolation"},
	{"crop_and_resize", "coordinates from an input"},
};

static unsigned int n_passed, n_refused, n_folded;

static bool is_claimed(const Onnx__GraphProto *g)
{
	for (size_t i = 0; i < g->n_node; i++) {
		size_t k = 0;

		while (k < ARRAY_SIZE(claimed) && strcmp(claimed[k], g->node[i]->op_type))
			k++;
		if (k == ARRAY_SIZE(claimed))
			return false;
	}
	return g->n_node > 0;
}

static bool is_refused(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (strstr(name, refused[i].name))
			return true;
	return false;
}

static Onnx__TensorProto *read_tensor(const char *dir, const char *kind, size_t i)
{
	char path[1024];
	Onnx__TensorProto *t;
	uint8_t *bytes;
	size_t len;

	snprintf(path, sizeof(path), "%s/test_data_set_0/%s_%zu.pb", dir, kind, i);
	bytes = slurp(path, &len);
	t = onnx__tensor_proto__unpack(NULL, len, bytes);
	free(bytes);
	if (!t)
		fail_msg("%s is not a tensor", path);
	return t;
}

/* The data of a TensorProto, by way of a model in which it is the only thing. */
static struct onnx_graph *tensor_graph(Onnx__TensorProto *t)
{
	static char name[] = "t", empty[] = "";
	Onnx__ModelProto m = ONNX__MODEL_PROTO__INIT;
	Onnx__GraphProto g = ONNX__GRAPH_PROTO__INIT;
	Onnx__OperatorSetIdProto opset = ONNX__OPERATOR_SET_ID_PROTO__INIT, *opsets = &opset;
	Onnx__ValueInfoProto out = ONNX__VALUE_INFO_PROTO__INIT, *outs = &out;
	Onnx__TypeProto type = ONNX__TYPE_PROTO__INIT;
	Onnx__TypeProto__Tensor tensor = ONNX__TYPE_PROTO__TENSOR__INIT;
	struct hw_error err = {0};
	struct onnx_graph *graph;
	char *old = t->name;
	uint8_t *bytes;
	size_t len;

	t->name = name;
	opset.domain = empty;
	opset.has_version = 1;
	opset.version = 13;
	m.n_opset_import = 1;
	m.opset_import = &opsets;
	m.graph = &g;
	type.value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
	type.tensor_type = &tensor;
	out.name = name;
	out.type = &type;
	g.n_output = 1;
	g.output = &outs;
	g.n_initializer = 1;
	g.initializer = &t;
	len = onnx__model_proto__get_packed_size(&m);
	bytes = malloc(len);
	assert_non_null(bytes);
	onnx__model_proto__pack(&m, bytes);
	assert_ok(onnx_parse((struct span){bytes, len}, &graph, &err), &err);
	free(bytes);
	t->name = old;
	return graph;
}

static double element(const struct onnx_tensor *t, const void *data, size_t i)
{
	switch (t->type) {
	case ONNX_F32:
		return (double)((const float *)data)[i];
	case ONNX_F64:
		return ((const double *)data)[i];
	case ONNX_I32:
		return ((const int32_t *)data)[i];
	case ONNX_I64:
		return (double)((const int64_t *)data)[i];
	case ONNX_I8:
		return ((const int8_t *)data)[i];
	default:
		return ((const uint8_t *)data)[i];
	}
}

static void compare(const char *name, const struct onnx_tensor *want, const struct onnx_tensor *got,
		    const void *data)
{
	if (got->type != want->type || got->rank != want->rank ||
	    memcmp(got->dim, want->dim, want->rank * sizeof(*want->dim)))
		fail_msg("%s: type or shape differs", name);
	for (size_t i = 0; i < want->elements; i++) {
		double w = element(want, want->data, i), g = element(got, data, i);

		if (isnan(w) ? !isnan(g) : !(g == w || fabs(g - w) <= 1e-6 + 1e-4 * fabs(w)))
			fail_msg("%s: element %zu is %.9g, not %.9g", name, i, g, w);
	}
}

static void run_and_compare(const char *name, const char *dir, const struct onnx_graph *g)
{
	struct onnx_graph *in[16] = {0};
	struct onnx_session *s;
	struct hw_error err = {0};
	const void *inputs[16];
	void *outputs[16];

	assert_true(g->n_inputs <= 16 && g->n_outputs <= 16);
	for (size_t i = 0; i < g->n_inputs; i++) {
		Onnx__TensorProto *t = read_tensor(dir, "input", i);

		in[i] = tensor_graph(t);
		onnx__tensor_proto__free_unpacked(t, NULL);
		assert_int_equal(in[i]->values[0].elements, g->values[g->inputs[i]].elements);
		inputs[i] = in[i]->values[0].data;
	}
	for (size_t i = 0; i < g->n_outputs; i++)
		outputs[i] = malloc(g->values[g->outputs[i]].elements * 8 + 1);
	if (onnx_session_new(g, n_passed % 2 ? 2 : 1, &s, &err))
		fail_msg("%s: %s", name, err.text);
	if (onnx_run(s, inputs, outputs, &err))
		fail_msg("%s: %s", name, err.text);
	for (size_t i = 0; i < g->n_outputs; i++) {
		Onnx__TensorProto *t = read_tensor(dir, "output", i);
		struct onnx_graph *want = tensor_graph(t);

		compare(name, &want->values[0], &g->values[g->outputs[i]], outputs[i]);
		onnx__tensor_proto__free_unpacked(t, NULL);
		onnx_free(want);
		free(outputs[i]);
	}
	onnx_session_free(s);
	for (size_t i = 0; i < g->n_inputs; i++)
		onnx_free(in[i]);
}

static bool has_initializer(const Onnx__GraphProto *p, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(p->initializer[i]->name, name))
			return true;
	return false;
}

/* The model with graph inputs @from and later made constants of this case's data. */
static int parse_with_constants(Onnx__ModelProto *m, const char *dir, size_t from,
				struct onnx_graph **g, struct hw_error *err)
{
	Onnx__GraphProto *p = m->graph;
	size_t n = p->n_initializer, old_inputs = p->n_input, len;
	Onnx__TensorProto **old = p->initializer;
	Onnx__TensorProto **grown = calloc(n + p->n_input + 1, sizeof(*grown));
	uint8_t *bytes;
	int r;

	assert_non_null(grown);
	if (n)
		memcpy(grown, old, n * sizeof(*old));
	for (size_t i = from; i < old_inputs; i++) {
		Onnx__TensorProto *t;

		if (has_initializer(p, n, p->input[i]->name))
			continue; /* listed as an input too, as old models do */
		t = read_tensor(dir, "input", i);
		if (t->name && *t->name)
			free(t->name);
		t->name = strdup(p->input[i]->name);
		grown[p->n_initializer++] = t;
	}
	p->initializer = grown;
	p->n_input = from < old_inputs ? from : old_inputs;
	len = onnx__model_proto__get_packed_size(m);
	bytes = malloc(len + 1);
	assert_non_null(bytes);
	onnx__model_proto__pack(m, bytes);
	r = onnx_parse((struct span){bytes, len}, g, err);
	free(bytes);
	for (size_t i = n; i < p->n_initializer; i++)
		onnx__tensor_proto__free_unpacked(grown[i], NULL);
	free(grown);
	p->initializer = old;
	p->n_initializer = n;
	p->n_input = old_inputs;
	return r;
}

static void one_case(const char *name, const char *dir)
{
	struct onnx_graph *g = NULL;
	struct hw_error err = {0};
	char path[1024];
	Onnx__ModelProto *m;
	uint8_t *bytes;
	size_t len;
	int r;

	snprintf(path, sizeof(path), "%s/model.onnx", dir);
	bytes = slurp(path, &len);
	m = onnx__model_proto__unpack(NULL, len, bytes);
	assert_non_null(m);
	if (!is_claimed(m->graph))
		goto out;
	r = onnx_parse((struct span){bytes, len}, &g, &err);
	if (is_refused(name)) {
		if (r != -ENOTSUP)
			fail_msg("%s: %d, should have been refused (%s)", name, r, err.text);
		assert_true(strlen(err.text) > 0);
		n_refused++;
		goto out;
	}
	/* Shapes, axes and the like often come in by an input here, as they never do in models. */
	if (r == -ENOTSUP)
		r = parse_with_constants(m, dir, 1, &g, &err);
	if (r)
		fail_msg("%s: %d: %s", name, r, err.text);
	run_and_compare(name, dir, g);
	n_passed++;
	onnx_free(g);
	/* And once more with everything constant: the folding path. */
	r = parse_with_constants(m, dir, 0, &g, &err);
	if (r)
		fail_msg("%s folded: %d: %s", name, r, err.text);
	assert_int_equal(g->n_nodes, 0);
	assert_int_equal(g->n_inputs, 0);
	run_and_compare(name, dir, g);
	n_folded++;
	onnx_free(g);
out:
	onnx__model_proto__free_unpacked(m, NULL);
	free(bytes);
}

static void whole_folder(const char *folder, unsigned int at_least)
{
	char path[512];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s", DATA, folder);
	n_passed = n_refused = n_folded = 0;
	d = opendir(path);
	if (!d) {
		if (getenv("CI") && !strcmp(getenv("CI"), "true"))
			fail_msg("%s is missing (package libonnx-testdata), and this is CI", path);
		print_message("skipped: %s is not here (package libonnx-testdata)\n", path);
		skip();
	}
	while ((e = readdir(d))) {
		if (strncmp(e->d_name, "test_", 5))
			continue;
		snprintf(path, sizeof(path), "%s/%s/%s", DATA, folder, e->d_name);
		one_case(e->d_name, path);
	}
	closedir(d);
	print_message("# %s: %u passed, %u also folded, %u refused as they should\n", folder,
		      n_passed, n_folded, n_refused);
	/* What is there must not silently become nothing. */
	assert_true(n_passed >= at_least);
}

static void node_cases(void **state)
{
	(void)state;
	whole_folder("node", 180);
}

static void pytorch_converted_cases(void **state)
{
	(void)state;
	whole_folder("pytorch-converted", 50);
}

static void pytorch_operator_cases(void **state)
{
	(void)state;
	whole_folder("pytorch-operator", 10);
}

static void simple_cases(void **state)
{
	(void)state;
	whole_folder("simple", 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(node_cases),
		cmocka_unit_test(pytorch_converted_cases),
		cmocka_unit_test(pytorch_operator_cases),
		cmocka_unit_test(simple_cases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
