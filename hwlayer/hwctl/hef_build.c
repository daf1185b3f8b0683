// SPDX-License-Identifier: MIT
/* hwctl hef build: ONNX and calibration windows in, HEF for software chips and manifest out. */
#include "hwctl/hwctl.h"

#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build/build.h"

struct arguments {
	const char *model, *out, *manifest, *name;
	long contexts;
	char **calibrate;
	int n_calibrate;
};

static int parse(int argc, char **argv, struct arguments *a)
{
	const struct own_option known[] = {
		{"-o", .text = &a->out},
		{"--manifest", .text = &a->manifest},
		{"--name", .text = &a->name},
		{"--contexts", .number = &a->contexts, .min = 1, .max = BUILD_CONTEXTS_MAX},
		{"--calibrate", .words = &a->calibrate, .n_words = &a->n_calibrate},
		{0},
	};
	int r = read_options("hef build", argc, argv, known, &a->model);

	if (r != EXIT_OK)
		return r;
	if (!a->model || !a->out)
		return usage_error("hef build wants MODEL.onnx and -o MODEL.hef");
	if (!a->manifest)
		return usage_error("hef build wants --manifest: without the normalisation the numbers "
				   "mean nothing");
	if (!a->n_calibrate)
		return usage_error("hef build wants --calibrate with at least one window: the 8-bit "
				   "scales are taken from it");
	return EXIT_OK;
}

/* Writing the new manifest must not destroy the one it was made from. */
static bool same_file(const char *a, const char *b)
{
	char ra[PATH_MAX], rb[PATH_MAX];

	return realpath(a, ra) && realpath(b, rb) && strcmp(ra, rb) == 0;
}

static int sha256_hex(const void *data, size_t len, char out[65])
{
	unsigned char md[32];

	if (!EVP_Digest(data, len, md, NULL, EVP_sha256(), NULL))
		return -EIO;
	for (int i = 0; i < 32; i++)
		sprintf(out + 2 * i, "%02x", md[i]);
	return 0;
}

struct show {
	struct progress progress;
};

static bool show(size_t done, size_t total, void *user)
{
	struct show *s = user;

	progress_show(&s->progress, "calibrating", done, total);
	return true;
}

static int check_shapes(const struct onnx_graph *g, const struct hw_manifest *m, struct hw_error *err)
{
	size_t want = (size_t)m->timesteps * m->channels;

	if (g->n_inputs != 1)
		return hw_fail(err, -ENOTSUP, "the model has %zu inputs; a manifest describes one",
			       g->n_inputs);
	if (g->values[g->inputs[0]].elements != want)
		return hw_fail(err, -EBADMSG,
			       "the model's input %s has %zu numbers, the manifest's windows have %zu",
			       g->values[g->inputs[0]].name, g->values[g->inputs[0]].elements, want);
	return 0;
}

static int calibration(const struct arguments *a, const struct hw_manifest *m, struct windows *w,
		       const float ***samples, struct hw_error *err)
{
	size_t elements = (size_t)m->timesteps * m->channels;

	for (int i = 0; i < a->n_calibrate; i++) {
		int r = windows_read(a->calibrate[i], elements, w, err);

		if (r < 0)
			return r;
	}
	*samples = calloc(w->n, sizeof(**samples));
	if (!*samples)
		return hw_fail(err, -ENOMEM, "no memory for %zu windows", w->n);
	for (size_t i = 0; i < w->n; i++) {
		float *x = w->values + i * elements;

		hw_manifest_input(m, x, x);
		(*samples)[i] = x;
	}
	return 0;
}

static int set_input_quantisation(struct hw_manifest *m, const struct build_result *built,
				  struct hw_error *err)
{
	size_t bytes = (size_t)m->channels * sizeof(float);

	if (built->channels != m->channels)
		return hw_fail(err, -EBADMSG,
			       "the model's input has %u channels, the manifest's windows have %u",
			       built->channels, m->channels);
	m->in_scale = malloc(bytes);
	m->in_zero = malloc(bytes);
	if (!m->in_scale || !m->in_zero)
		return hw_fail(err, -ENOMEM, "no memory for the manifest");
	memcpy(m->in_scale, built->in_scale, bytes);
	memcpy(m->in_zero, built->in_zero, bytes);
	return 0;
}

static int build(const struct options *opt, const struct arguments *a, const char *manifest_out,
		 struct hw_error *err)
{
	struct onnx_graph *graph = NULL;
	struct hw_manifest *m = NULL;
	struct build_result built = {0};
	struct windows w = {0};
	const float **samples = NULL;
	struct show s;
	struct build_options bo = {.progress = show, .user = &s};
	int r;

	progress_start(&s.progress, opt);
	r = onnx_open(a->model, &graph, err);
	if (r == 0)
		r = hw_manifest_read(a->manifest, &m, err);
	if (r == 0)
		r = check_shapes(graph, m, err);
	if (r == 0 && m->in_scale)
		r = hw_fail(err, -EINVAL,
			    "%s already has an input quantisation: it belongs to a HEF, give the "
			    "manifest of the ONNX model",
			    a->manifest);
	if (r == 0)
		r = calibration(a, m, &w, &samples, err);
	if (r == 0) {
		bo.name = a->name ? a->name : m->name;
		bo.n_samples = w.n;
		bo.samples = samples;
		bo.contexts = (size_t)a->contexts;
		r = build_hef(graph, &bo, &built, err);
	}
	progress_end(&s.progress);
	if (r == 0)
		r = set_input_quantisation(m, &built, err);
	if (r == 0 && sha256_hex(built.hef, built.hef_len, m->sha256) < 0)
		r = hw_fail(err, -EIO, "cannot compute a SHA-256");
	/* The manifest first: a HEF without one, or with an older one, could not be used anyway. */
	if (r == 0)
		r = hw_manifest_write(m, manifest_out, err);
	if (r == 0)
		r = util_write_file(a->out, built.hef, built.hef_len, err);
	if (r == 0 && opt->json) {
		cJSON *o = cJSON_CreateObject();

		cJSON_AddStringToObject(o, "hef", a->out);
		cJSON_AddStringToObject(o, "manifest", manifest_out);
		cJSON_AddNumberToObject(o, "bytes", (double)built.hef_len);
		cJSON_AddStringToObject(o, "sha256", m->sha256);
		cJSON_AddNumberToObject(o, "macs", (double)built.macs);
		cJSON_AddNumberToObject(o, "calibration_windows", (double)w.n);
		print_json(o);
	} else if (r == 0) {
		printf("%s: %zu bytes, %.1f million multiply-accumulates a frame, calibrated with %zu "
		       "windows\n%s: manifest\nThis HEF runs on software chips only (docs/"
		       "software-chip-models.md).\n",
		       a->out, built.hef_len, (double)built.macs / 1e6, w.n, manifest_out);
	}
	build_result_free(&built);
	free(samples);
	windows_free(&w);
	hw_manifest_free(m);
	onnx_free(graph);
	return r;
}

int cmd_hef_build(const struct options *opt, int argc, char **argv)
{
	struct arguments a = {0};
	struct hw_error err = {0};
	char manifest_out[PATH_MAX];
	int r = parse(argc, argv, &a);

	if (r != EXIT_OK)
		return r;
	if (hw_manifest_path(a.out, manifest_out, sizeof(manifest_out)) < 0)
		return usage_error("the path %s is too long", a.out);
	if (same_file(manifest_out, a.manifest))
		return usage_error("the manifest of %s would overwrite %s; choose another folder or name",
				   a.out, a.manifest);
	r = build(opt, &a, manifest_out, &err);
	return r < 0 ? report(opt, r, &err) : EXIT_OK;
}
