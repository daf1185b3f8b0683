// SPDX-License-Identifier: MIT
/* struct hw_manifest to MODEL.json in our own format. */
#include <hwlayer/manifest.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "manifest/format.h"
#include "util/bytes.h"
#include "util/util.h"

/* The first thing that cannot be had is remembered, so the builder checks once, at its end. */
struct writer {
	bool failed;
};

static void put(struct writer *w, cJSON *object, const char *key, cJSON *value)
{
	if (cJSON_AddItemToObject(object, key, value))
		return;
	cJSON_Delete(value);
	w->failed = true;
}

static void append(struct writer *w, cJSON *list, cJSON *value)
{
	if (cJSON_AddItemToArray(list, value))
		return;
	cJSON_Delete(value);
	w->failed = true;
}

static void put_text(struct writer *w, cJSON *object, const char *key, const char *text)
{
	if (text[0])
		put(w, object, key, cJSON_CreateString(text));
}

/* Nine significant digits are what a float needs to come back as itself. */
static cJSON *number(double v)
{
	char text[32];

	/* JSON has no word for infinity; the reader will refuse the null by its place. */
	if (!isfinite(v))
		return cJSON_CreateNull();
	snprintf(text, sizeof(text), "%.9g", v);
	return cJSON_CreateRaw(text);
}

static cJSON *floats(struct writer *w, const float *v, size_t n)
{
	cJSON *list = cJSON_CreateArray();

	for (size_t i = 0; i < n; i++)
		append(w, list, number(v[i]));
	return list;
}

static cJSON *labels(struct writer *w, char (*const v)[HW_MANIFEST_LABEL_MAX], size_t n)
{
	cJSON *list = cJSON_CreateArray();

	for (size_t i = 0; i < n; i++)
		append(w, list, cJSON_CreateString(v[i]));
	return list;
}

static cJSON *shape(struct writer *w, uint32_t a, uint32_t b)
{
	cJSON *list = cJSON_CreateArray();

	append(w, list, number(1));
	append(w, list, number(a));
	if (b)
		append(w, list, number(b));
	return list;
}

static cJSON *output(struct writer *w, const char *name, const char *usual, const char *role,
		     uint32_t size)
{
	cJSON *o = cJSON_CreateObject();

	put_text(w, o, "name", name);
	if (strcmp(name, usual) != 0)
		put_text(w, o, "role", role);
	put(w, o, "shape", shape(w, size, 0));
	return o;
}

static cJSON *input(struct writer *w, const struct hw_manifest *m)
{
	cJSON *in = cJSON_CreateObject();

	put_text(w, in, "name", m->input_name);
	put(w, in, "shape", shape(w, m->timesteps, m->channels));
	put_text(w, in, "type", "float32");
	if (m->channel_names)
		put(w, in, "channels", labels(w, m->channel_names, m->channels));
	return in;
}

static cJSON *motifs(struct writer *w, const struct hw_manifest *m)
{
	cJSON *o = cJSON_CreateObject(), *list;

	put(w, o, "names", labels(w, m->motif_names, m->motifs));
	if (m->prototypes) {
		list = cJSON_CreateArray();
		for (size_t i = 0; i < m->motifs; i++)
			append(w, list,
			       floats(w, m->prototypes + i * m->latent_size, m->latent_size));
		put(w, o, "prototypes", list);
		put(w, o, "temperature", number(m->temperature));
	}
	return o;
}

static cJSON *manifest(struct writer *w, const struct hw_manifest *m)
{
	cJSON *root = cJSON_CreateObject(), *o;

	put_text(w, root, "format", MANIFEST_FORMAT);
	put_text(w, root, "name", m->name);
	put_text(w, root, "version", m->version);
	put_text(w, root, "training_data", m->training_data);
	if (!(m->accuracy < 0))
		put(w, root, "accuracy", number(m->accuracy));
	put_text(w, root, "hef_sha256", m->sha256);
	put_text(w, root, "onnx_sha256", m->onnx_sha256);
	o = cJSON_CreateArray();
	append(w, o, input(w, m));
	put(w, root, "inputs", o);
	o = cJSON_CreateArray();
	append(w, o, output(w, m->latent_name, MANIFEST_LATENT, "latent", m->latent_size));
	if (m->scores_name[0])
		append(w, o, output(w, m->scores_name, MANIFEST_SCORES, "scores", m->motifs));
	put(w, root, "outputs", o);
	o = cJSON_CreateObject();
	put_text(w, o, "method", MANIFEST_Z_SCORE);
	put(w, o, "mean", floats(w, m->mean, m->channels));
	put(w, o, "std", floats(w, m->std, m->channels));
	put(w, root, "normalization", o);
	if (m->in_scale) {
		o = cJSON_CreateObject();
		put(w, o, "scale", floats(w, m->in_scale, m->channels));
		put(w, o, "zero_point", floats(w, m->in_zero, m->channels));
		put(w, root, "input_quantization", o);
	}
	if (m->motifs)
		put(w, root, "motifs", motifs(w, m));
	return root;
}

int hw_manifest_write(const struct hw_manifest *m, const char *path, struct hw_error *err)
{
	struct hw_manifest *back = NULL;
	struct writer w = {0};
	char *text = NULL;
	cJSON *root;
	size_t len;
	int ret;

	if (!m->mean || !m->std || !m->in_scale != !m->in_zero || (m->motifs && !m->motif_names))
		return hw_fail(err, -EINVAL, "%s: the manifest to write is incomplete", path);
	root = manifest(&w, m);
	if (root && !w.failed)
		text = cJSON_Print(root);
	cJSON_Delete(root);
	if (!text)
		return hw_fail(err, -ENOMEM, "%s: no memory to write the manifest", path);
	len = strlen(text);
	ret = hw_manifest_parse(text, len, path, &back, err);
	if (ret == -EBADMSG) {
		ret = -EINVAL;
		if (err)
			err->code = ret;
	}
	if (ret == 0) {
		text[len] = '\n'; /* in the place of the NUL: the file is bytes, not a string */
		ret = util_write_file(path, text, len + 1, err);
	}
	hw_manifest_free(back);
	cJSON_free(text);
	return ret;
}
