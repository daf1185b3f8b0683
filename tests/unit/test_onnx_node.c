// SPDX-License-Identifier: MIT
/*
 * Every case of Debian's libonnx-testdata (the ONNX project's own conformance data) that consists
 * of the operators we claim: found by looking through its folders, and passed unless it is on the
 * list of refused ones below.
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

#define INTERPOLATION "of Resize, only mode nearest is in the subset"

/* The whole list of cases that are refused (with -ENOTSUP), and why; all others must pass. */
static const struct {
	const char *name, *reason;
} refused[] = {
	{"test_resize_downsample_scales_cubic", INTERPOLATION},
	{"test_resize_downsample_scales_cubic_A_n0p5_exclude_outside", INTERPOLATION},
	{"test_resize_downsample_scales_cubic_align_corners", INTERPOLATION},
	{"test_resize_downsample_scales_linear", INTERPOLATION},
	{"test_resize_downsample_scales_linear_align_corners", INTERPOLATION},
	{"test_resize_downsample_sizes_cubic", INTERPOLATION},
	{"test_resize_downsample_sizes_linear_pytorch_half_pixel", INTERPOLATION},
	{"test_resize_tf_crop_and_resize", INTERPOLATION},
	{"test_resize_upsample_scales_cubic", INTERPOLATION},
	{"test_resize_upsample_scales_cubic_A_n0p5_exclude_outside", INTERPOLATION},
	{"test_resize_upsample_scales_cubic_align_corners", INTERPOLATION},
	{"test_resize_upsample_scales_cubic_asymmetric", INTERPOLATION},
	{"test_resize_upsample_scales_linear", INTERPOLATION},
	{"test_resize_upsample_scales_linear_align_corners", INTERPOLATION},
	{"test_resize_upsample_sizes_cubic", INTERPOLATION},
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

/* Why the case is refused; NULL: it is not. */
static const char *refusal(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (!strcmp(name, refused[i].name))
			return refused[i].reason;
	return NULL;
}

static uint8_t *read_data(const char *dir, const char *kind, size_t i, size_t *len)
{
	char path[1024];

	snprintf(path, sizeof(path), "%s/test_data_set_0/%s_%zu.pb", dir, kind, i);
	return slurp(path, len);
}

static Onnx__TensorProto *read_tensor(const char *dir, const char *kind, size_t i)
{
	size_t len;
	uint8_t *bytes = read_data(dir, kind, i, &len);
	Onnx__TensorProto *t = onnx__tensor_proto__unpack(NULL, len, bytes);

	free(bytes);
	if (!t)
		fail_msg("%s: %s %zu is not a tensor", dir, kind, i);
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

static size_t element_size(enum onnx_type type)
{
	switch (type) {
	case ONNX_U8:
	case ONNX_I8:
	case ONNX_BOOL:
		return 1;
	case ONNX_U16:
	case ONNX_I16:
	case ONNX_F16:
	case ONNX_BF16:
		return 2;
	case ONNX_TEXT:
		return ONNX_TEXT_SIZE;
	case ONNX_I32:
	case ONNX_U32:
		return 4;
	default:
		return 8;
	}
}

static void compare(const char *name, const struct onnx_tensor *want, const struct onnx_tensor *got,
		    const void *data)
{
	bool single = want->type == ONNX_F32, real = single || want->type == ONNX_F64;
	size_t size = element_size(want->type);
	/* numpy, which wrote the data, has no bfloat16: it is in the files as uint16. */
	enum onnx_type type = got->type == ONNX_BF16 ? ONNX_U16 : got->type;

	if (type != want->type || got->rank != want->rank ||
	    memcmp(got->dim, want->dim, want->rank * sizeof(*want->dim)))
		fail_msg("%s: type or shape differs", name);
	if (!real) { /* integers, text, narrow floats: to the bit */
		assert_bytes_equal(data, want->elements * size, want->data, want->elements * size,
				   name);
		return;
	}
	for (size_t i = 0; i < want->elements; i++) {
		double w = single ? (double)((const float *)want->data)[i]
				  : ((const double *)want->data)[i];
		double g = single ? (double)((const float *)data)[i] : ((const double *)data)[i];

		if (isnan(w) ? !isnan(g) : !(g == w || fabs(g - w) <= 1e-6 + 1e-4 * fabs(w)))
			fail_msg("%s: element %zu is %.9g, not %.9g", name, i, g, w);
	}
}

/* ------------------------------------------------------------------ sequences */

#define MOST_ITEMS 8

struct list_data {
	struct onnx_list list;
	struct onnx_tensor items[MOST_ITEMS];
	struct onnx_graph *graphs[MOST_ITEMS];
};

/* One field of a message that has lengths below 128 and fields below 16 only. */
static unsigned int field(struct span *in, struct span *body)
{
	struct span head = {0};

	assert_int_equal(span_take(in, 2, &head), 0);
	assert_true(head.ptr[1] < 0x80);
	*body = (struct span){head.ptr + 1, 1};
	if ((head.ptr[0] & 7) == 2)
		assert_int_equal(span_take(in, head.ptr[1], body), 0);
	return head.ptr[0] >> 3;
}

/*
 * SequenceProto (tensor_values is field 3) and OptionalProto (a sequence_value is field 5) are not
 * in onnx.proto, but in onnx-data.proto, which Debian does not ship.
 */
static void read_list(struct span in, struct list_data *l)
{
	while (in.len) {
		struct span body;
		unsigned int f = field(&in, &body);

		if (f == 5) {
			read_list(body, l);
		} else if (f == 3) {
			Onnx__TensorProto *t = onnx__tensor_proto__unpack(NULL, body.len, body.ptr);

			assert_non_null(t);
			assert_true(l->list.n < MOST_ITEMS);
			l->graphs[l->list.n] = tensor_graph(t);
			l->items[l->list.n] = l->graphs[l->list.n]->values[0];
			l->list.n++;
			onnx__tensor_proto__free_unpacked(t, NULL);
		}
	}
	l->list.items = l->items;
}

static struct list_data *list_from(const char *dir, const char *kind, size_t i)
{
	struct list_data *l = calloc(1, sizeof(*l));
	size_t len;
	uint8_t *bytes = read_data(dir, kind, i, &len);

	assert_non_null(l);
	read_list((struct span){bytes, len}, l);
	assert_true(l->list.n > 0);
	free(bytes);
	return l;
}

static void list_free(struct list_data *l)
{
	for (size_t i = 0; l && i < l->list.n; i++)
		onnx_free(l->graphs[i]);
	free(l);
}

static void compare_lists(const char *name, const struct onnx_list *want,
			  const struct onnx_list *got)
{
	assert_int_equal(got->n, want->n);
	for (size_t i = 0; i < want->n; i++)
		compare(name, &want->items[i], &got->items[i], got->items[i].data);
}

/* -------------------------------------------------------------------- one case */

static bool is_list(const struct onnx_graph *g, int value)
{
	return g->values[value].type >= ONNX_SEQUENCE;
}

static bool is_read(const struct onnx_graph *g, int value)
{
	for (size_t i = 0; i < g->n_nodes; i++)
		for (size_t k = 0; k < g->nodes[i].n_in; k++)
			if (g->nodes[i].in[k] == value)
				return true;
	return false;
}

static void check_output(const char *name, const char *dir, const struct onnx_graph *g, size_t i,
			 const void *data)
{
	if (is_list(g, g->outputs[i])) {
		struct list_data *want = list_from(dir, "output", i);

		compare_lists(name, &want->list, data);
		list_free(want);
	} else {
		Onnx__TensorProto *t = read_tensor(dir, "output", i);
		struct onnx_graph *want = tensor_graph(t);

		compare(name, &want->values[0], &g->values[g->outputs[i]], data);
		onnx__tensor_proto__free_unpacked(t, NULL);
		onnx_free(want);
	}
}

static void run_and_compare(const char *name, const char *dir, const struct onnx_graph *g)
{
	struct onnx_graph *in[16] = {0};
	struct list_data *lists[16] = {0};
	struct onnx_session *s;
	struct hw_error err = {0};
	const void *inputs[16];
	void *outputs[16];

	assert_true(g->n_inputs <= 16 && g->n_outputs <= 16);
	for (size_t i = 0; i < g->n_inputs; i++) {
		Onnx__TensorProto *t;

		if (is_list(g, g->inputs[i])) {
			lists[i] = list_from(dir, "input", i);
			inputs[i] = &lists[i]->list;
			continue;
		}
		t = read_tensor(dir, "input", i);
		in[i] = tensor_graph(t);
		onnx__tensor_proto__free_unpacked(t, NULL);
		/* One case has data of another shape for an input that nothing reads. */
		if (is_read(g, g->inputs[i]))
			assert_int_equal(in[i]->values[0].elements,
					 g->values[g->inputs[i]].elements);
		inputs[i] = in[i]->values[0].data;
	}
	for (size_t i = 0; i < g->n_outputs; i++)
		outputs[i] = malloc(g->values[g->outputs[i]].elements * ONNX_TEXT_SIZE + 1);
	if (onnx_session_new(g, n_passed % 2 ? 2 : 1, &s, &err))
		fail_msg("%s: %s", name, err.text);
	if (onnx_run(s, inputs, outputs, &err))
		fail_msg("%s: %s", name, err.text);
	for (size_t i = 0; i < g->n_outputs; i++) {
		check_output(name, dir, g, i, outputs[i]);
		free(outputs[i]);
	}
	onnx_session_free(s);
	for (size_t i = 0; i < g->n_inputs; i++) {
		onnx_free(in[i]);
		list_free(lists[i]);
	}
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
		if (p->input[i]->type->tensor_type->elem_type == ONNX_BF16)
			t->data_type = ONNX_BF16; /* compare() says why it has to be said */
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
	if (refusal(name)) {
		if (r != -ENOTSUP)
			fail_msg("%s: %d, should have been refused: %s (%s)", name, r,
				 refusal(name), err.text);
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
	if (is_list(g, g->inputs[0])) { /* has no constants */
		onnx_free(g);
		goto out;
	}
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
	whole_folder("node", 239);
	/* An entry that no case answers to has no business on the list. */
	assert_int_equal(n_refused, ARRAY_SIZE(refused));
}

static void pytorch_converted_cases(void **state)
{
	(void)state;
	whole_folder("pytorch-converted", 67);
}

static void pytorch_operator_cases(void **state)
{
	(void)state;
	whole_folder("pytorch-operator", 23);
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
