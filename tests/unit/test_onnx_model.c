// SPDX-License-Identifier: MIT
/* The real TCN encoder against ONNX Runtime's latents; sessions, hook, serialising. */
#include <math.h>
#include <pthread.h>

#include "onnx/onnx.h"
#include "support/support.h"

#define FRAMES 100
#define CHANNELS 9
#define LATENTS 64
#define CASES_MAX 8
/* The issue asks for 1e-4; f32 sums in another order stay far below. */
#define TOLERANCE 1e-5

struct tcn {
	struct onnx_graph *g;
	size_t n;
	float x[CASES_MAX][FRAMES * CHANNELS];
	float latent[CASES_MAX][LATENTS];
};

static cJSON *read_json(const char *rel)
{
	char *s = (char *)slurp(shared_path(rel), NULL);
	cJSON *v = cJSON_Parse(s);

	assert_non_null(v);
	free(s);
	return v;
}

static float number(const cJSON *list, int i)
{
	return (float)cJSON_GetArrayItem(list, i)->valuedouble;
}

static void load_cases(struct tcn *t)
{
	cJSON *config = read_json("data/tcn_model_config.json");
	cJSON *vectors = read_json("data/tcn_reference_vectors.json"), *c;
	const cJSON *norm = cJSON_GetObjectItem(config, "normalization");
	const cJSON *mean = cJSON_GetObjectItem(norm, "mean");
	const cJSON *std = cJSON_GetObjectItem(norm, "std");

	t->n = 0;
	cJSON_ArrayForEach(c, cJSON_GetObjectItem(vectors, "cases")) {
		const cJSON *x = cJSON_GetObjectItem(c, "x"), *row;
		const cJSON *latent = cJSON_GetObjectItem(c, "latent");
		size_t at = 0;

		assert_true(t->n < CASES_MAX);
		assert_int_equal(cJSON_GetArraySize(latent), LATENTS);
		cJSON_ArrayForEach(row, x) {
			for (int i = 0; i < CHANNELS; i++, at++)
				t->x[t->n][at] = (number(row, i) - number(mean, i)) /
						 number(std, i);
		}
		assert_int_equal(at, FRAMES * CHANNELS);
		for (int i = 0; i < LATENTS; i++)
			t->latent[t->n][i] = number(latent, i);
		t->n++;
	}
	assert_int_equal(t->n, 5);
	cJSON_Delete(config);
	cJSON_Delete(vectors);
}

static struct tcn *load(void)
{
	const char *path = shared_path("data/tcn_encoder_for_edgeinfer.onnx");
	struct tcn *t = calloc(1, sizeof(*t));
	struct hw_error err = {0};

	assert_non_null(t);
	load_cases(t);
	assert_ok(onnx_open(path, &t->g, &err), &err);
	return t;
}

static void unload(struct tcn *t)
{
	onnx_free(t->g);
	free(t);
}

static void assert_latents(const struct tcn *t, size_t i, const float *got)
{
	for (size_t k = 0; k < LATENTS; k++)
		if (!(fabsf(got[k] - t->latent[i][k]) <= (float)TOLERANCE))
			fail_msg("case %zu, latent %zu: %.8g, not %.8g", i, k, (double)got[k],
				 (double)t->latent[i][k]);
}

static void assert_session_right(const struct tcn *t, struct onnx_session *s)
{
	struct hw_error err = {0};

	for (size_t i = 0; i < t->n; i++) {
		float out[LATENTS] = {0};
		const void *in[] = {t->x[i]};
		void *outs[] = {out};

		assert_ok(onnx_run(s, in, outs, &err), &err);
		assert_latents(t, i, out);
	}
}

static void graph_is_static_and_folded(void **state)
{
	struct tcn *t = load();
	const struct onnx_graph *g = t->g;

	(void)state;
	assert_int_equal(g->opset, 11);
	assert_int_equal(g->n_inputs, 1);
	assert_int_equal(g->n_outputs, 1);
	assert_string_equal(g->values[g->inputs[0]].name, "imu_window");
	assert_string_equal(g->values[g->outputs[0]].name, "latent_embeddings");
	assert_int_equal(g->values[g->inputs[0]].elements, FRAMES * CHANNELS);
	assert_int_equal(g->values[g->outputs[0]].elements, LATENTS);
	for (size_t i = 0; i < g->n_nodes; i++) {
		assert_string_not_equal(g->nodes[i].op, "Constant");
		for (size_t k = 0; k < g->nodes[i].n_out; k++) {
			assert_true(g->values[g->nodes[i].out[k]].elements > 0);
			assert_false(g->values[g->nodes[i].out[k]].constant);
		}
	}
	for (size_t i = 0; i < g->n_values; i++)
		assert_int_equal(g->values[i].constant, g->values[i].data != NULL);
	unload(t);
}

static void latents_match_the_reference(void **state)
{
	struct tcn *t = load();
	struct hw_error err = {0};

	(void)state;
	for (unsigned int threads = 0; threads <= 3; threads++) {
		struct onnx_session *s;

		assert_ok(onnx_session_new(t->g, threads, &s, &err), &err);
		assert_session_right(t, s);
		onnx_session_free(s);
	}
	unload(t);
}

struct runner {
	const struct tcn *t;
	struct onnx_session *s;
	bool ok;
};

static void *run_many(void *arg)
{
	struct runner *r = arg;

	r->ok = true;
	for (size_t i = 0; i < 4 * r->t->n && r->ok; i++) {
		float out[LATENTS] = {0};
		const void *in[] = {r->t->x[i % r->t->n]};
		void *outs[] = {out};

		r->ok = onnx_run(r->s, in, outs, NULL) == 0;
		for (size_t k = 0; k < LATENTS; k++)
			r->ok &= fabsf(out[k] - r->t->latent[i % r->t->n][k]) <= (float)TOLERANCE;
	}
	return NULL;
}

static void sessions_run_side_by_side(void **state)
{
	struct tcn *t = load();
	struct runner r[4];
	pthread_t thread[4];
	struct hw_error err = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(r); i++) {
		r[i] = (struct runner){.t = t};
		assert_ok(onnx_session_new(t->g, 1, &r[i].s, &err), &err);
	}
	for (size_t i = 0; i < ARRAY_SIZE(r); i++)
		assert_int_equal(pthread_create(&thread[i], NULL, run_many, &r[i]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(r); i++) {
		pthread_join(thread[i], NULL);
		assert_true(r[i].ok);
		onnx_session_free(r[i].s);
	}
	unload(t);
}

/* --------------------------------------------------------------------- hook */

struct seen {
	size_t n, relu, transpose_at;
	const float *input;
	float out[LATENTS];
	bool in_order, transposed, not_negative;
	float scale_last;
};

static void look(const struct onnx_graph *g, size_t node, float *const *out, void *user)
{
	const struct onnx_node *n = &g->nodes[node];
	const struct onnx_tensor *y = &g->values[n->out[0]];
	struct seen *s = user;

	s->in_order &= node == s->n++;
	if (!strcmp(n->op, "Relu")) {
		s->relu++;
		for (size_t i = 0; i < y->elements; i++)
			s->not_negative &= out[0][i] >= 0;
	}
	if (!strcmp(n->op, "Transpose"))
		for (size_t i = 0; i < FRAMES; i++)
			for (size_t c = 0; c < CHANNELS; c++)
				s->transposed &=
					out[0][c * FRAMES + i] == s->input[i * CHANNELS + c];
	if (n->out[0] == g->outputs[0]) {
		memcpy(s->out, out[0], sizeof(s->out));
		for (size_t i = 0; i < LATENTS; i++)
			out[0][i] *= s->scale_last;
	}
}

static void hook_sees_every_node_and_may_change_its_output(void **state)
{
	struct tcn *t = load();
	struct onnx_session *s;
	struct hw_error err = {0};
	struct seen seen = {.in_order = true, .transposed = true, .not_negative = true,
			    .input = t->x[1], .scale_last = 2};
	float out[LATENTS];
	const void *in[] = {t->x[1]};
	void *outs[] = {out};

	(void)state;
	assert_ok(onnx_session_new(t->g, 1, &s, &err), &err);
	onnx_session_set_hook(s, look, &seen);
	assert_ok(onnx_run(s, in, outs, &err), &err);
	assert_int_equal(seen.n, t->g->n_nodes);
	assert_true(seen.in_order);
	assert_true(seen.transposed);
	assert_true(seen.not_negative);
	assert_int_equal(seen.relu, 9);
	assert_latents(t, 1, seen.out);
	for (size_t i = 0; i < LATENTS; i++)
		assert_true(out[i] == 2 * seen.out[i]);
	onnx_session_set_hook(s, NULL, NULL);
	assert_session_right(t, s);
	assert_int_equal(seen.n, t->g->n_nodes);
	onnx_session_free(s);
	unload(t);
}

/* -------------------------------------------------------------- serialising */

static void assert_same_graph(const struct onnx_graph *a, const struct onnx_graph *b)
{
	assert_string_equal(a->name, b->name);
	assert_int_equal(a->opset, b->opset);
	assert_int_equal(a->n_nodes, b->n_nodes);
	assert_int_equal(a->n_values, b->n_values);
	for (size_t i = 0; i < a->n_nodes; i++) {
		const struct onnx_node *x = &a->nodes[i], *y = &b->nodes[i];

		assert_string_equal(x->op, y->op);
		assert_string_equal(x->name, y->name);
		assert_int_equal(x->n_in, y->n_in);
		assert_int_equal(x->n_out, y->n_out);
		assert_int_equal(x->n_attr, y->n_attr);
		for (size_t k = 0; k < x->n_attr; k++) {
			assert_string_equal(x->attr[k].name, y->attr[k].name);
			assert_int_equal(x->attr[k].kind, y->attr[k].kind);
			assert_int_equal(x->attr[k].i, y->attr[k].i);
			assert_true(x->attr[k].f == y->attr[k].f);
			assert_int_equal(x->attr[k].n, y->attr[k].n);
			if (x->attr[k].kind == 7)
				assert_memory_equal(x->attr[k].ints, y->attr[k].ints,
						    x->attr[k].n * sizeof(int64_t));
		}
		for (size_t k = 0; k < x->n_in; k++) {
			const struct onnx_tensor *u = &a->values[x->in[k]];
			const struct onnx_tensor *v = &b->values[y->in[k]];

			assert_string_equal(u->name, v->name);
			assert_int_equal(u->type, v->type);
			assert_int_equal(u->rank, v->rank);
			assert_memory_equal(u->dim, v->dim, sizeof(u->dim));
			assert_int_equal(u->constant, v->constant);
			if (u->constant && u->type == ONNX_F32)
				assert_memory_equal(u->data, v->data, u->elements * 4);
		}
	}
}

static void serialised_graph_is_the_same(void **state)
{
	struct tcn *t = load();
	struct onnx_graph *again, *thrice;
	struct onnx_session *s;
	struct hw_error err = {0};
	uint8_t *bytes, *more;
	size_t len, more_len;

	(void)state;
	assert_int_equal(onnx_serialize(t->g, &bytes, &len), 0);
	assert_ok(onnx_parse((struct span){bytes, len}, &again, &err), &err);
	assert_same_graph(t->g, again);
	assert_ok(onnx_session_new(again, 1, &s, &err), &err);
	assert_session_right(t, s);
	onnx_session_free(s);
	/* The order of values may differ from the original's once; after that nothing moves. */
	assert_int_equal(onnx_serialize(again, &more, &more_len), 0);
	assert_ok(onnx_parse((struct span){more, more_len}, &thrice, &err), &err);
	assert_same_graph(again, thrice);
	assert_int_equal(more_len, len);
	onnx_free(again);
	onnx_free(thrice);
	free(more);
	free(bytes);
	unload(t);
}

static void nameless_values_get_names(void **state)
{
	struct tcn *t = load();
	struct onnx_graph *again;
	struct onnx_session *s;
	struct hw_error err = {0};
	uint8_t *bytes;
	size_t len;

	(void)state;
	for (size_t i = 0; i < t->g->n_values; i++)
		if ((int)i != t->g->inputs[0] && (int)i != t->g->outputs[0])
			t->g->values[i].name[0] = 0;
	/* One that a made-up name could collide with. */
	free(t->g->values[t->g->nodes[3].out[0]].name);
	t->g->values[t->g->nodes[3].out[0]].name = strdup("value_0");
	assert_int_equal(onnx_serialize(t->g, &bytes, &len), 0);
	assert_ok(onnx_parse((struct span){bytes, len}, &again, &err), &err);
	assert_int_equal(again->n_values, t->g->n_values);
	assert_ok(onnx_session_new(again, 1, &s, &err), &err);
	assert_session_right(t, s);
	onnx_session_free(s);
	onnx_free(again);
	free(bytes);
	unload(t);
}

static void missing_file_is_named(void **state)
{
	struct onnx_graph *g = NULL;
	struct hw_error err = {0};

	(void)state;
	assert_int_equal(onnx_open("/nowhere/model.onnx", &g, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nowhere/model.onnx"));
	assert_null(g);
	onnx_free(NULL);
	onnx_session_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(graph_is_static_and_folded),
		cmocka_unit_test(latents_match_the_reference),
		cmocka_unit_test(sessions_run_side_by_side),
		cmocka_unit_test(hook_sees_every_node_and_may_change_its_output),
		cmocka_unit_test(serialised_graph_is_the_same),
		cmocka_unit_test(nameless_values_get_names),
		cmocka_unit_test(missing_file_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
