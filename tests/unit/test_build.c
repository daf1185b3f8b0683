// SPDX-License-Identifier: MIT
/* From ONNX to a software-chip HEF: what it computes, and what it looks like. */
#include "support/chipnet.h"

#include <math.h>

#include "hef/hef.h"
#include "mock/payload.h"

/* ---------------------------------------------- ONNX models, written byte by byte */

static void put_varint(struct buf *b, uint64_t v)
{
	for (; v > 127; v >>= 7)
		buf_u8(b, (uint8_t)(v | 0x80));
	buf_u8(b, (uint8_t)v);
}

static void put_int(struct buf *b, unsigned int field, int64_t v)
{
	put_varint(b, field << 3);
	put_varint(b, (uint64_t)v);
}

static void put_bytes(struct buf *b, unsigned int field, const void *data, size_t len)
{
	put_varint(b, field << 3 | 2);
	put_varint(b, len);
	buf_put(b, data, len);
}

static void put_text(struct buf *b, unsigned int field, const char *s)
{
	put_bytes(b, field, s, strlen(s));
}

/* Move what @inner holds into @b as a message and empty @inner. */
static void put_message(struct buf *b, unsigned int field, struct buf *inner)
{
	put_bytes(b, field, inner->ptr, inner->len);
	buf_free(inner);
}

/* "name:1,100,9" */
static void put_value(struct buf *graph, unsigned int field, const char *spec)
{
	struct buf shape = {0}, tensor = {0}, type = {0}, value = {0};
	const char *p = strchr(spec, ':');

	put_bytes(&value, 1, spec, (size_t)(p - spec));
	while (*p) {
		struct buf dim = {0};
		char *end;

		put_int(&dim, 1, strtoll(p + 1, &end, 10));
		put_message(&shape, 1, &dim);
		p = end;
	}
	put_int(&tensor, 1, 1);
	put_message(&tensor, 2, &shape);
	put_message(&type, 1, &tensor);
	put_message(&value, 2, &type);
	put_message(graph, field, &value);
}

/* "Conv x,w,b y pads=2,2 dilations=2": a node with integer-list attributes ("axis:1" for one int)
 */
static void put_node(struct buf *graph, const char *spec)
{
	struct buf node = {0};
	char text[256], *save, *tok, *part;

	snprintf(text, sizeof(text), "%s", spec);
	tok = strtok_r(text, " ", &save);
	put_text(&node, 4, tok);
	put_text(&node, 3, tok);
	tok = strtok_r(NULL, " ", &save);
	for (char *in = tok; (part = strsep(&in, ","));)
		put_text(&node, 1, part);
	put_text(&node, 2, strtok_r(NULL, " ", &save));
	while ((tok = strtok_r(NULL, " ", &save))) {
		struct buf attr = {0};
		char *list = strpbrk(tok, "=:");
		const bool one = *list == ':';

		*list++ = 0;
		put_text(&attr, 1, tok);
		while ((part = strsep(&list, ",")))
			put_int(&attr, one ? 3 : 8, strtoll(part, NULL, 10));
		put_int(&attr, 20, one ? 2 : 7);
		put_message(&node, 5, &attr);
	}
	put_message(graph, 1, &node);
}

static uint32_t seed;

static float noise(void)
{
	seed = seed * 1664525u + 1013904223u;
	return (float)(seed >> 8) / (1u << 23) - 1;
}

/* "w:64,9,3": random weights, or @ints for an i64 list */
static void put_const(struct buf *graph, const char *spec, const int64_t *ints, size_t n_ints)
{
	struct buf t = {0}, raw = {0};
	const char *p = strchr(spec, ':'), *name_end = p;
	size_t n = 1;

	while (*p) {
		char *end;
		long long d = strtoll(p + 1, &end, 10);

		put_int(&t, 1, d);
		n *= (size_t)d;
		p = end;
	}
	if (ints) {
		assert_int_equal(n, n_ints);
		for (size_t i = 0; i < n; i++)
			buf_le64(&raw, (uint64_t)ints[i]);
	} else {
		for (size_t i = 0; i < n; i++) {
			float f = noise();
			uint32_t u;

			memcpy(&u, &f, 4);
			buf_le32(&raw, u);
		}
	}
	put_int(&t, 2, ints ? 7 : 1);
	put_bytes(&t, 8, spec, (size_t)(name_end - spec));
	put_message(&t, 9, &raw);
	put_message(graph, 5, &t);
}

/* Closes @graph into a model and parses it. */
static struct onnx_graph *parse_model(struct buf *graph)
{
	struct buf model = {0}, opset = {0};
	struct hw_error err = {0};
	struct onnx_graph *g;

	put_text(graph, 2, "test graph");
	put_int(&model, 1, 8);
	put_message(&model, 7, graph);
	put_int(&opset, 2, 11);
	put_message(&model, 8, &opset);
	assert_false(model.failed);
	assert_ok(onnx_parse((struct span){model.ptr, model.len}, &g, &err), &err);
	buf_free(&model);
	return g;
}

/* ------------------------------------------------------------------- comparison */

struct samples {
	size_t n;
	float **x; /* [sample * inputs + input] */
};

static struct samples make_samples(const struct onnx_graph *g, size_t n)
{
	struct samples s = {n, calloc(n * g->n_inputs, sizeof(float *))};

	for (size_t i = 0; i < n * g->n_inputs; i++) {
		size_t e = g->values[g->inputs[i % g->n_inputs]].elements;
		const struct onnx_tensor *t = &g->values[g->inputs[i % g->n_inputs]];

		s.x[i] = malloc(e * sizeof(float));
		/* channels of the last axis differ in size, as sensors do */
		for (size_t j = 0; j < e; j++)
			s.x[i][j] = noise() * (float)(1 + j % (size_t)t->dim[t->rank - 1]);
	}
	return s;
}

static void free_samples(const struct onnx_graph *g, struct samples *s)
{
	for (size_t i = 0; i < s->n * g->n_inputs; i++)
		free(s->x[i]);
	free(s->x);
}

static void build(const struct onnx_graph *g, const struct samples *s, struct build_result *b)
{
	struct hw_error err = {0};
	const struct build_options opt = {
	    .n_samples = s->n, .samples = (const float *const *)s->x, .name = "t"};

	assert_ok(build_hef(g, &opt, b, &err), &err);
}

static struct hef *parse_hef(const struct build_result *b)
{
	struct hw_error err = {0};
	uint8_t *copy = malloc(b->hef_len);
	struct hef *hef;

	memcpy(copy, b->hef, b->hef_len);
	assert_ok(hef_parse(copy, b->hef_len, &hef, NULL, &err), &err);
	return hef;
}

/* The layer of stream @index. */
static const struct hef_layer *layer_of(const struct hef *hef, uint8_t index)
{
	const struct hef_context *c = &hef->groups[0].core_ops[0].contexts[0];

	for (size_t i = 0; i < c->n_layers; i++)
		if (c->layers[i].stream == index)
			return &c->layers[i];
	fail_msg("no layer for stream %u", index);
	return NULL;
}

static uint8_t to_byte(float v)
{
	v = nearbyintf(v);
	return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/*
 * Build @graph on random data and run it in 8 bits on the same data, through what the HEF says
 * about its streams; every output must be within @tolerance of its range of the f32 result.
 */
static void check_network(struct buf *graph, double tolerance)
{
	struct onnx_graph *g = parse_model(graph);
	struct samples s = make_samples(g, 4);
	struct build_result b;
	struct hw_error err = {0};
	struct onnx_session *session;
	struct core *core;
	struct hef *hef;
	uint8_t *in[4], *got[4];
	float *want[4];
	size_t n_ports;
	const struct core_port *ports;

	build(g, &s, &b);
	hef = parse_hef(&b);
	core = core_from_hef(b.hef, b.hef_len, 1);
	ports = core_ports(core, &n_ports);
	assert_int_equal(n_ports, g->n_inputs + g->n_outputs);
	for (size_t i = 0; i < n_ports; i++) {
		const bool output = i >= g->n_inputs;
		const struct onnx_tensor *t =
		    &g->values[output ? g->outputs[i - g->n_inputs] : g->inputs[i]];
		const struct hef_layer *l = layer_of(hef, ports[i].stream_index);

		assert_int_equal(ports[i].output, output);
		assert_int_equal(l->input, !output);
		assert_int_equal(ports[i].bytes, t->elements);
		assert_int_equal((size_t)l->hw_height * l->hw_width * l->hw_features, t->elements);
	}
	assert_ok(onnx_session_new(g, 1, &session, &err), &err);
	for (size_t i = 0; i < g->n_inputs; i++)
		in[i] = malloc(g->values[g->inputs[i]].elements);
	for (size_t i = 0; i < g->n_outputs; i++) {
		got[i] = malloc(g->values[g->outputs[i]].elements);
		want[i] = malloc(g->values[g->outputs[i]].elements * sizeof(float));
	}
	for (size_t k = 0; k < s.n; k++) {
		for (size_t i = 0; i < g->n_inputs; i++) {
			const struct hef_layer *l = layer_of(hef, ports[i].stream_index);
			const float *x = s.x[k * g->n_inputs + i];

			for (size_t j = 0; j < g->values[g->inputs[i]].elements; j++)
				in[i][j] = i ? to_byte(x[j] / l->quant.scale + l->quant.zero_point)
					     : to_byte(x[j] / b.in_scale[j % b.channels] +
						       b.in_zero[j % b.channels]);
		}
		assert_int_equal(core_run(core, (const uint8_t *const *)in, got), 0);
		assert_ok(onnx_run(session, (const void *const *)(s.x + k * g->n_inputs),
				   (void *const *)want, &err),
			  &err);
		for (size_t i = 0; i < g->n_outputs; i++) {
			const struct hef_layer *l =
			    layer_of(hef, ports[g->n_inputs + i].stream_index);
			const size_t n = g->values[g->outputs[i]].elements;
			float low = 0, high = 0;

			for (size_t j = 0; j < n; j++) {
				low = fminf(low, want[i][j]);
				high = fmaxf(high, want[i][j]);
			}
			assert_true(high > low);
			for (size_t j = 0; j < n; j++) {
				float v = ((float)got[i][j] - l->quant.zero_point) * l->quant.scale;

				if (fabs((double)v - want[i][j]) > tolerance * (high - low))
					fail_msg("output %zu[%zu]: %g, not %g (range %g)", i, j,
						 (double)v, (double)want[i][j],
						 (double)(high - low));
			}
		}
	}
	for (size_t i = 0; i < g->n_inputs; i++)
		free(in[i]);
	for (size_t i = 0; i < g->n_outputs; i++) {
		free(got[i]);
		free(want[i]);
	}
	onnx_session_free(session);
	core_free(core);
	hef_free(hef);
	build_result_free(&b);
	free_samples(g, &s);
	onnx_free(g);
}

/* ------------------------------------------------------------------------ tests */

static void gemm_with_bias(void **state)
{
	struct buf g = {0};

	(void)state;
	put_value(&g, 11, "x:1,24");
	put_value(&g, 12, "y:1,10");
	put_const(&g, "w:10,24", NULL, 0);
	put_const(&g, "b:10", NULL, 0);
	put_node(&g, "Gemm x,w,b y transB:1");
	check_network(&g, 0.02);
}

static void causal_block(void **state)
{
	struct buf g = {0};

	(void)state;
	put_value(&g, 11, "x:1,20,5");
	put_value(&g, 12, "y:1,6");
	put_const(&g, "w1:8,5,3", NULL, 0);
	put_const(&g, "b1:8", NULL, 0);
	put_const(&g, "w2:8,5,1", NULL, 0);
	put_const(&g, "w3:6,8", NULL, 0);
	put_const(&g, "start:1", (const int64_t[]){0}, 1);
	put_const(&g, "end:1", (const int64_t[]){-4}, 1);
	put_const(&g, "axis:1", (const int64_t[]){2}, 1);
	put_node(&g, "Transpose x t perm=0,2,1");
	put_node(&g, "Conv t,w1,b1 c pads=4,4 dilations=2");
	put_node(&g, "Slice c,start,end,axis s");
	put_node(&g, "Relu s r");
	put_node(&g, "Conv t,w2 d");
	put_node(&g, "Add r,d a");
	put_node(&g, "Relu a h");
	put_node(&g, "GlobalAveragePool h p");
	put_node(&g, "Squeeze p q axes=2");
	put_node(&g, "Gemm q,w3 y transB:1");
	check_network(&g, 0.04);
}

static void images_groups_and_strides(void **state)
{
	struct buf g = {0};

	(void)state;
	put_value(&g, 11, "x:1,4,9,7");
	put_value(&g, 12, "y:1,6,5,3");
	put_const(&g, "w1:8,2,3,3", NULL, 0);
	put_const(&g, "w2:6,8,1,1", NULL, 0);
	put_const(&g, "b2:6", NULL, 0);
	put_node(&g, "Conv x,w1 c pads=1,1,1,0 strides=2,2 group:2");
	put_node(&g, "Relu c r");
	put_node(&g, "Conv r,w2,b2 y");
	check_network(&g, 0.03);
}

static void two_inputs_two_outputs(void **state)
{
	struct buf g = {0};

	(void)state;
	put_value(&g, 11, "a:1,6,4");
	put_value(&g, 11, "b:1,6,4");
	put_value(&g, 12, "sum:1,6,4");
	put_value(&g, 12, "gate:1,24");
	put_const(&g, "shape:2", (const int64_t[]){1, 24}, 2);
	put_node(&g, "Add a,b sum");
	put_node(&g, "Sigmoid b s");
	put_node(&g, "Reshape s,shape gate");
	check_network(&g, 0.02);
}

static void reorderings_keep_channels(void **state)
{
	struct buf g = {0};

	(void)state;
	put_value(&g, 11, "x:1,6,4");
	put_value(&g, 12, "y:1,4,3");
	put_value(&g, 12, "z:1,6,4");
	put_const(&g, "w:4,4,1", NULL, 0);
	put_const(&g, "start:2", (const int64_t[]){5, 0}, 2);
	put_const(&g, "end:2", (const int64_t[]){-7, 4}, 2);
	put_const(&g, "axis:2", (const int64_t[]){2, 1}, 2);
	put_const(&g, "step:2", (const int64_t[]){-2, 1}, 2);
	put_node(&g, "Transpose x t perm=0,2,1");
	put_node(&g, "Conv t,w c");
	put_node(&g, "Slice c,start,end,axis,step y");
	put_node(&g, "Transpose c u perm=0,2,1");
	put_node(&g, "Relu u z"); /* not the only reader: a layer of its own */
	check_network(&g, 0.03);
}

static void foreign_operators_are_named(void **state)
{
	static const char *const nodes[] = {"Tanh x y", "Softmax x y axis:1", "Mul x,x y"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		struct hw_error err = {0};
		struct build_result b;
		struct onnx_graph *g;
		struct samples s;
		struct buf m = {0};
		char op[16];

		put_value(&m, 11, "x:1,8");
		put_value(&m, 12, "y:1,8");
		put_node(&m, nodes[i]);
		g = parse_model(&m);
		s = make_samples(g, 1);
		assert_int_equal(
		    build_hef(g,
			      &(struct build_options){.n_samples = 1,
						      .samples = (const float *const *)s.x},
			      &b, &err),
		    -ENOTSUP);
		sscanf(nodes[i], "%15s", op);
		assert_non_null(strstr(err.text, op));
		assert_null(b.hef);
		free_samples(g, &s);
		onnx_free(g);
	}
}

static struct onnx_graph *small_gemm(void)
{
	struct buf m = {0};

	put_value(&m, 11, "x:1,8");
	put_value(&m, 12, "y:1,4");
	put_const(&m, "w:8,4", NULL, 0);
	put_node(&m, "Gemm x,w y");
	return parse_model(&m);
}

static void bad_calibration_is_refused(void **state)
{
	struct onnx_graph *g = small_gemm();
	struct hw_error err = {0};
	struct build_result b;
	float x[8] = {1, 2, NAN};
	const float *const samples[] = {x};

	(void)state;
	assert_int_equal(build_hef(g, &(struct build_options){0}, &b, &err), -EINVAL);
	assert_non_null(strstr(err.text, "calibration"));
	assert_int_equal(
	    build_hef(g, &(struct build_options){.n_samples = 1, .samples = samples}, &b, &err),
	    -EINVAL);
	assert_non_null(strstr(err.text, "not finite"));
	onnx_free(g);
}

static bool stop_at_two(size_t done, size_t total, void *user)
{
	size_t *calls = user;

	++*calls;
	assert_int_equal(done, *calls);
	assert_true(done <= total);
	return done < 2;
}

static void progress_can_stop_it(void **state)
{
	struct onnx_graph *g = small_gemm();
	struct samples s = make_samples(g, 5);
	struct hw_error err = {0};
	struct build_result b;
	size_t calls = 0;

	(void)state;
	assert_int_equal(build_hef(g,
				   &(struct build_options){.n_samples = 5,
							   .samples = (const float *const *)s.x,
							   .progress = stop_at_two,
							   .user = &calls},
				   &b, &err),
			 -ECANCELED);
	assert_int_equal(calls, 2);
	free_samples(g, &s);
	onnx_free(g);
}

/* The whole structure that hef-format A.3 and 4.9 describe for the compiler's own files. */
static void file_looks_like_the_compilers(void **state)
{
	struct onnx_graph *g = small_gemm();
	struct samples s = make_samples(g, 2);
	struct build_result b;
	const struct hef_core_op *op;
	const struct hef_layer *in, *out;
	static const enum hef_action_kind kinds[] = {
	    HEF_ACT_NONE,
	    HEF_ACT_DISABLE_LCU,
	    HEF_ACT_WRITE_CCW,
	    HEF_ACT_WRITE_CCW,
	    HEF_ACT_DISABLE_LCU,
	    HEF_ACT_WRITE_CCW,
	    HEF_ACT_WRITE_CCW,
	    HEF_ACT_WAIT_FOR_MODULE_CONFIG_DONE,
	    HEF_ACT_WAIT_FOR_MODULE_CONFIG_DONE,
	    HEF_ACT_ALLOW_INPUT_DATAFLOW,
	    HEF_ACT_ENABLE_LCU_DEFAULT,
	    HEF_ACT_ENABLE_LCU_DEFAULT,
	};
	struct hef *hef;
	size_t size[2], total = 0;
	uint8_t *stream[2];

	(void)state;
	build(g, &s, &b);
	hef = parse_hef(&b);
	assert_int_equal(hef->version, 2);
	assert_int_equal(hef->arch, HEF_ARCH_HAILO8L);
	assert_true(hef->software_chip);
	assert_true(hef->features.run_asap && hef->features.hw_padding &&
		    hef->features.padded_ddr && hef->features.periph_in_host &&
		    hef->features.multi_network);
	assert_false(hef->features.net_flow);
	assert_int_equal(hef->n_groups, 1);
	assert_string_equal(hef->groups[0].name, "t");
	assert_string_equal(hef->groups[0].outputs_order[0], "t/y");
	assert_int_equal(hef->groups[0].n_core_ops, 2);
	assert_int_equal(hef->groups[0].core_ops[0].layout, 0x33);
	assert_int_equal(hef->groups[0].core_ops[1].layout, 0xcc);
	op = &hef->groups[0].core_ops[0];
	assert_int_equal(op->cfg_channels, 2);
	assert_int_equal(op->n_contexts, 1);
	assert_int_equal(op->preliminary.n_actions, ARRAY_SIZE(kinds));
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct hef_action *a = &op->preliminary.actions[i];

		assert_int_equal(a->kind, kinds[i]);
		if (a->kind == HEF_ACT_WRITE_CCW) {
			assert_true(a->ccw.n_pieces > 1);
			total += a->ccw.bytes;
		}
	}
	assert_int_equal(op->contexts[0].n_actions, 2);
	assert_int_equal(op->contexts[0].actions[1].kind, HEF_ACT_ALLOW_INPUT_DATAFLOW);
	chipnet_streams(b.hef, b.hef_len, stream, size);
	assert_int_equal(total, size[0] + size[1]);
	in = layer_of(hef, 0);
	out = layer_of(hef, 1);
	assert_string_equal(in->name, "t/x");
	assert_int_equal(in->order, HW_ORDER_NC);
	assert_int_equal(in->hw_features, 8);
	assert_int_equal(in->max_shmifo_size, 65536);
	assert_true(in->quant.scale == 1 && in->quant.zero_point == 0);
	assert_true(in->quant.lim_min == 0 && in->quant.lim_max == 255);
	assert_int_equal(out->core_bytes_per_buffer, 8);
	assert_int_equal(out->core_buffers_per_frame, 1);
	assert_true(out->quant.scale > 0);
	for (int i = 0; i < 2; i++)
		free(stream[i]);
	hef_free(hef);
	build_result_free(&b);
	free_samples(g, &s);
	onnx_free(g);
}

/* The same model and data give the same bytes. */
static void builds_are_reproducible(void **state)
{
	struct onnx_graph *g = small_gemm();
	struct samples s = make_samples(g, 3);
	struct build_result a, b;

	(void)state;
	build(g, &s, &a);
	build(g, &s, &b);
	assert_bytes_equal(a.hef, a.hef_len, b.hef, b.hef_len, "second build");
	build_result_free(&a);
	build_result_free(&b);
	free_samples(g, &s);
	onnx_free(g);
}

/* The figure that counts: the TCN in 8 bits against its float reference. */
static void tcn_is_accurate(void **state)
{
	struct tcn_data d;
	struct build_result b;
	struct core *core, *many;
	struct hef *hef;
	const struct hef_layer *in, *out;

	(void)state;
	tcn_load(&d);
	tcn_build(&d, &b);
	assert_int_equal(b.channels, TCN_CHANNELS);
	hef = parse_hef(&b);
	in = layer_of(hef, 0);
	out = layer_of(hef, 1);
	assert_int_equal(in->order, HW_ORDER_NHWC);
	assert_int_equal(in->hw_height, 1);
	assert_int_equal(in->hw_width, TCN_STEPS);
	assert_int_equal(in->hw_features, TCN_CHANNELS);
	assert_int_equal(out->order, HW_ORDER_NC);
	assert_int_equal(out->hw_features, TCN_LATENTS);
	core = core_from_hef(b.hef, b.hef_len, 1);
	many = core_from_hef(b.hef, b.hef_len, 4);
	assert_int_equal(d.n_cases, 5);
	for (size_t i = 0; i < d.n_cases; i++) {
		uint8_t codes[TCN_LATENTS], again[TCN_LATENTS];
		float got[TCN_LATENTS];
		double c;

		core_run_f32(core, &b, d.window[i], TCN_STEPS * TCN_CHANNELS, codes);
		core_run_f32(many, &b, d.window[i], TCN_STEPS * TCN_CHANNELS, again);
		assert_memory_equal(codes, again, TCN_LATENTS);
		for (size_t j = 0; j < TCN_LATENTS; j++)
			got[j] = ((float)codes[j] - out->quant.zero_point) * out->quant.scale;
		c = cosine(got, d.latent[i], TCN_LATENTS);
		print_message("# %-10s cosine %.5f\n", d.name[i], c);
		assert_true(c >= 0.99);
	}
	core_free(core);
	core_free(many);
	hef_free(hef);
	build_result_free(&b);
	tcn_free(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(gemm_with_bias),
	    cmocka_unit_test(causal_block),
	    cmocka_unit_test(images_groups_and_strides),
	    cmocka_unit_test(two_inputs_two_outputs),
	    cmocka_unit_test(reorderings_keep_channels),
	    cmocka_unit_test(foreign_operators_are_named),
	    cmocka_unit_test(bad_calibration_is_refused),
	    cmocka_unit_test(progress_can_stop_it),
	    cmocka_unit_test(file_looks_like_the_compilers),
	    cmocka_unit_test(builds_are_reproducible),
	    cmocka_unit_test(tcn_is_accurate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
