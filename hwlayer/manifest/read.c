// SPDX-License-Identifier: MIT
/*
 * MODEL.json to struct hw_manifest.  Pure apart from hw_manifest_read(): bytes in, a checked
 * manifest or a sentence out that names the field, what belongs there and what was found.
 */
#include <hwlayer/manifest.h>

#include <string.h>

#include "manifest/format.h"
#include "manifest/json.h"
#include "util/bytes.h"
#include "util/util.h"

#define MANIFEST_BYTES_MAX (16u << 20)
#define OUTPUTS_MAX 64
#define INPUT_FORM "[1, timesteps, channels]"
#define LATENT_FORM "[1, latent size]"
#define SCORES_FORM "[1, motifs]"

/* [1, a] or [1, a, b], each at most MANIFEST_DIM_MAX */
static int read_shape(const struct json_reader *r, const struct json_node *n, const char *form,
		      uint32_t *a, uint32_t *b)
{
	size_t rank = b ? 3 : 2, i = 0;
	uint32_t dim[3];

	if (json_list_size(n->json) != rank)
		return json_expected(r, n, "%s", form);
	for (const cJSON *j = n->json->child; j; j = j->next, i++) {
		struct json_node e;

		json_element(n, j, i, &e);
		if (!json_whole_number(j, MANIFEST_DIM_MAX, &dim[i]) || (i == 0 && dim[0] != 1))
			return i == 0 ? json_expected(r, &e, "1 (the batch), as in %s", form)
				      : json_expected(r, &e, "a whole number of 1 to %u, as in %s",
						      MANIFEST_DIM_MAX, form);
	}
	*a = dim[1];
	if (b)
		*b = dim[2];
	return 0;
}

/* A list of different names; @count 0 takes any number of them. */
static int read_labels(const struct json_reader *r, const struct json_node *list, uint32_t *count,
		       char (**out)[HW_MANIFEST_LABEL_MAX])
{
	size_t n = json_list_size(list->json);
	char(*label)[HW_MANIFEST_LABEL_MAX];
	size_t i = 0;
	int ret;

	if (*count && n != *count)
		return json_expected(r, list, "a list of %u names", *count);
	if (!n || n > MANIFEST_LABELS_MAX)
		return json_expected(r, list, "a list of 1 to %u names", MANIFEST_LABELS_MAX);
	label = calloc(n, sizeof(*label));
	if (!label)
		return json_no_memory(r);
	*out = label;
	*count = (uint32_t)n;
	for (const cJSON *j = list->json->child; j; j = j->next, i++) {
		struct json_node e;

		json_element(list, j, i, &e);
		ret = json_text(r, &e, label[i], sizeof(label[i]));
		if (ret < 0)
			return ret;
		for (size_t k = 0; k < i; k++)
			if (strcmp(label[k], label[i]) == 0)
				return json_expected(r, &e, "a name that is not in the list yet");
	}
	return 0;
}

/* ------------------------------------------------------------- parts of a file */

static int read_normalization(const struct json_reader *r, const struct json_node *root,
			      bool method_needed, struct hw_manifest *m, struct json_node *out)
{
	struct json_node method;
	int ret;

	ret = json_member(r, root, "normalization", out);
	if (ret < 0)
		return ret;
	ret = json_member(r, out, "method", &method);
	if (ret < 0)
		return ret;
	if ((method.json || method_needed) && !json_is(&method, MANIFEST_Z_SCORE))
		return json_expected(r, &method, "\"" MANIFEST_Z_SCORE "\"");
	ret = json_floats(r, out, "mean", m->channels, false, &m->mean);
	if (ret < 0)
		return ret;
	return json_floats(r, out, "std", m->channels, true, &m->std);
}

static int read_input(const struct json_reader *r, const struct json_node *root,
		      struct hw_manifest *m)
{
	struct json_node list, in, n;
	int ret;

	ret = json_member(r, root, "inputs", &list);
	if (ret < 0)
		return ret;
	if (json_list_size(list.json) != 1)
		return json_expected(r, &list, "a list of one input");
	json_element(&list, list.json->child, 0, &in);
	ret = json_optional_text(r, &in, "name", m->input_name, sizeof(m->input_name));
	if (ret < 0)
		return ret;
	ret = json_member(r, &in, "shape", &n);
	if (ret < 0)
		return ret;
	ret = read_shape(r, &n, INPUT_FORM, &m->timesteps, &m->channels);
	if (ret < 0)
		return ret;
	ret = json_member(r, &in, "type", &n);
	if (ret < 0)
		return ret;
	if (n.json && !json_is(&n, "float32"))
		return json_expected(r, &n, "\"float32\"");
	ret = json_member(r, &in, "channels", &n);
	if (ret < 0 || !n.json)
		return ret;
	return read_labels(r, &n, &m->channels, &m->channel_names);
}

enum role { ROLE_NONE, ROLE_LATENT, ROLE_SCORES };

static int read_role(const struct json_reader *r, const struct json_node *output, const char *name,
		     enum role *out)
{
	static const char *const names[] = {[ROLE_LATENT] = "latent", [ROLE_SCORES] = "scores"};
	struct json_node n;
	int ret = json_member(r, output, "role", &n);

	if (ret < 0)
		return ret;
	*out = ROLE_NONE;
	if (!n.json) {
		if (strcmp(name, MANIFEST_LATENT) == 0)
			*out = ROLE_LATENT;
		else if (strcmp(name, MANIFEST_SCORES) == 0)
			*out = ROLE_SCORES;
		return 0;
	}
	for (enum role k = ROLE_LATENT; k <= ROLE_SCORES; k++)
		if (json_is(&n, names[k]))
			*out = k;
	return *out ? 0 : json_expected(r, &n, "\"latent\" or \"scores\"");
}

static int read_outputs(const struct json_reader *r, const struct json_node *root,
			struct hw_manifest *m, uint32_t *scores_size)
{
	char names[OUTPUTS_MAX][HW_NAME_MAX];
	struct json_node shape[OUTPUTS_MAX], list, out;
	size_t count, i = 0, latent = OUTPUTS_MAX, scores = OUTPUTS_MAX;
	int ret;

	ret = json_member(r, root, "outputs", &list);
	if (ret < 0)
		return ret;
	count = json_list_size(list.json);
	if (!count || count > OUTPUTS_MAX)
		return json_expected(r, &list, "a list of 1 to %d outputs", OUTPUTS_MAX);
	for (const cJSON *j = list.json->child; j; j = j->next, i++) {
		enum role role;
		struct json_node n;

		json_element(&list, j, i, &out);
		names[i][0] = 0;
		ret = json_member(r, &out, "name", &n);
		if (ret < 0)
			return ret;
		/* Only an output without company is known without its name. */
		if (n.json || count > 1) {
			ret = json_text(r, &n, names[i], sizeof(names[i]));
			if (ret < 0)
				return ret;
		}
		for (size_t k = 0; k < i; k++)
			if (strcmp(names[k], names[i]) == 0)
				return json_expected(r, &n, "a name that no other output has");
		ret = json_member(r, &out, "shape", &shape[i]);
		if (ret < 0)
			return ret;
		ret = read_role(r, &out, names[i], &role);
		if (ret < 0)
			return ret;
		if ((role == ROLE_LATENT && latent < count) ||
		    (role == ROLE_SCORES && scores < count))
			return json_expected(r, &out, "only one output for the %s",
					     role == ROLE_LATENT ? "latent" : "scores");
		if (role == ROLE_LATENT)
			latent = i;
		else if (role == ROLE_SCORES)
			scores = i;
	}
	for (i = 0; i < count && latent == OUTPUTS_MAX; i++)
		if (i != scores)
			latent = i;
	if (latent == OUTPUTS_MAX)
		return json_expected(r, &list, "an output for the latent beside the scores");
	memcpy(m->latent_name, names[latent], sizeof(m->latent_name));
	ret = read_shape(r, &shape[latent], LATENT_FORM, &m->latent_size, NULL);
	if (ret < 0 || scores == OUTPUTS_MAX)
		return ret;
	memcpy(m->scores_name, names[scores], sizeof(m->scores_name));
	return read_shape(r, &shape[scores], SCORES_FORM, scores_size, NULL);
}

static int read_prototypes(const struct json_reader *r, const struct json_node *motifs,
			   const struct json_node *list, struct hw_manifest *m)
{
	struct json_node e, n;
	size_t i = 0;
	int ret;

	if (json_list_size(list->json) != m->motifs)
		return json_expected(r, list, "a list of %u prototypes, one for each motif",
				     m->motifs);
	m->prototypes = calloc((size_t)m->motifs * m->latent_size, sizeof(*m->prototypes));
	if (!m->prototypes)
		return json_no_memory(r);
	for (const cJSON *j = list->json->child; j; j = j->next, i++) {
		json_element(list, j, i, &e);
		ret = json_fill_floats(r, &e, m->latent_size, false,
				       m->prototypes + i * m->latent_size);
		if (ret < 0)
			return ret;
	}
	ret = json_member(r, motifs, "temperature", &n);
	if (ret < 0)
		return ret;
	return json_float(r, &n, true, &m->temperature);
}

static int read_motifs(const struct json_reader *r, const struct json_node *root,
		       uint32_t scores_size, struct hw_manifest *m)
{
	struct json_node motifs, n;
	int ret;

	ret = json_member(r, root, "motifs", &motifs);
	if (ret < 0)
		return ret;
	if (!motifs.json && !scores_size)
		return 0;
	ret = json_member(r, &motifs, "names", &n);
	if (ret < 0)
		return ret;
	m->motifs = scores_size;
	ret = read_labels(r, &n, &m->motifs, &m->motif_names);
	if (ret < 0)
		return ret;
	ret = json_member(r, &motifs, "prototypes", &n);
	if (ret < 0)
		return ret;
	/* Scores have one source: the network's own head or the prototypes.  Names without either
	 * would have to be scored by invention. */
	if (n.json && scores_size)
		return json_expected(r, &n, "nothing, for the output %s carries the scores",
				     m->scores_name);
	if (!n.json && !scores_size)
		return json_expected(r, &n, "prototypes, or an output that carries the scores");
	return n.json ? read_prototypes(r, &motifs, &n, m) : 0;
}

static int read_quantization(const struct json_reader *r, const struct json_node *root,
			     struct hw_manifest *m)
{
	struct json_node n;
	int ret = json_member(r, root, "input_quantization", &n);

	if (ret < 0 || !n.json)
		return ret;
	ret = json_floats(r, &n, "scale", m->channels, true, &m->in_scale);
	if (ret < 0)
		return ret;
	return json_floats(r, &n, "zero_point", m->channels, false, &m->in_zero);
}

/* ---------------------------------------------------------------- the two formats */

static int read_own(const struct json_reader *r, const struct json_node *root,
		    struct hw_manifest *m)
{
	uint32_t scores_size = 0;
	struct json_node n;
	int ret;

	ret = json_member(r, root, "name", &n);
	if (ret < 0)
		return ret;
	if ((ret = json_text(r, &n, m->name, sizeof(m->name))) < 0 ||
	    (ret = json_optional_text(r, root, "version", m->version, sizeof(m->version))) < 0 ||
	    (ret = json_optional_text(r, root, "training_data", m->training_data,
				      sizeof(m->training_data))) < 0 ||
	    (ret = json_optional_sha256(r, root, "hef_sha256", m->sha256)) < 0 ||
	    (ret = json_optional_sha256(r, root, "onnx_sha256", m->onnx_sha256)) < 0 ||
	    (ret = json_member(r, root, "accuracy", &n)) < 0)
		return ret;
	if (n.json) {
		ret = json_float(r, &n, false, &m->accuracy);
		if (ret < 0)
			return ret;
		if (m->accuracy < 0 || m->accuracy > 1)
			return json_expected(r, &n, "a number of 0 to 1");
	}
	if ((ret = read_input(r, root, m)) < 0 ||
	    (ret = read_outputs(r, root, m, &scores_size)) < 0 ||
	    (ret = read_normalization(r, root, true, m, &n)) < 0 ||
	    (ret = read_quantization(r, root, m)) < 0)
		return ret;
	return read_motifs(r, root, scores_size, m);
}

/* "tcn" of "models/tcn.json" */
static int name_from_path(const struct json_reader *r, const struct json_node *n, const char *path,
			  const char *extension, struct hw_manifest *m)
{
	const char *base = strrchr(path, '/');
	size_t len, ext = strlen(extension);

	base = base ? base + 1 : path;
	len = strlen(base);
	if (len > ext && strcmp(base + len - ext, extension) == 0)
		len -= ext;
	if (!len || len >= sizeof(m->name) || !json_printable(base))
		return json_expected(r, n, "a file name of 1 to %zu printable bytes",
				     sizeof(m->name) - 1);
	memcpy(m->name, base, len);
	m->name[len] = 0;
	return 0;
}

/* An optional statement of a size that the shapes have given already. */
static int agrees(const struct json_reader *r, const struct json_node *specs, const char *key,
		  uint32_t size)
{
	struct json_node n;
	int ret = json_member(r, specs, key, &n);

	if (ret < 0 || !n.json || (cJSON_IsNumber(n.json) && n.json->valuedouble == size))
		return ret;
	return json_expected(r, &n, "%u, as in the shape", size);
}

/*
 * What the exporter of TCN encoders ships: sizes under model_specs, no motifs, and no output
 * names that could be relied on.
 */
static int read_exporter(const struct json_reader *r, const struct json_node *root,
			 struct hw_manifest *m)
{
	struct json_node specs, n, file;
	int ret;

	if ((ret = json_member(r, root, "model_specs", &specs)) < 0 ||
	    (ret = json_member(r, &specs, "input_shape", &n)) < 0 ||
	    (ret = read_shape(r, &n, INPUT_FORM, &m->timesteps, &m->channels)) < 0 ||
	    (ret = json_member(r, &specs, "output_shape", &n)) < 0 ||
	    (ret = read_shape(r, &n, LATENT_FORM, &m->latent_size, NULL)) < 0 ||
	    (ret = agrees(r, &specs, "sequence_length", m->timesteps)) < 0 ||
	    (ret = agrees(r, &specs, "latent_dimension", m->latent_size)) < 0 ||
	    (ret = read_normalization(r, root, false, m, &n)) < 0 ||
	    (ret = json_member(r, &n, "channel_order", &file)) < 0)
		return ret;
	if (file.json && (ret = read_labels(r, &file, &m->channels, &m->channel_names)) < 0)
		return ret;
	ret = json_member(r, root, "export_info", &n);
	if (ret < 0)
		return ret;
	if (n.json &&
	    (ret = json_optional_text(r, &n, "export_version", m->version, sizeof(m->version))) < 0)
		return ret;
	ret = json_member(r, root, "files", &n);
	if (ret < 0)
		return ret;
	file.json = NULL;
	if (n.json && (ret = json_member(r, &n, "onnx_model", &file)) < 0)
		return ret;
	if (!file.json)
		return name_from_path(r, &n, r->label, ".json", m);
	if (!cJSON_IsString(file.json))
		return json_expected(r, &file, "a file name");
	return name_from_path(r, &file, file.json->valuestring, ".onnx", m);
}

int hw_manifest_parse(const void *text, size_t len, const char *label, struct hw_manifest **out,
		      struct hw_error *err)
{
	const struct json_reader r = {label, err};
	struct json_node root = {0}, format, specs;
	struct hw_manifest *m = NULL;
	cJSON *json;
	int ret;

	ret = json_parse(&r, text, len, &json);
	if (ret < 0)
		return ret;
	root.json = json;
	m = calloc(1, sizeof(*m));
	if (!m) {
		ret = json_no_memory(&r);
		goto out;
	}
	m->accuracy = -1;
	if ((ret = json_member(&r, &root, "format", &format)) < 0 ||
	    (ret = json_member(&r, &root, "model_specs", &specs)) < 0)
		goto out;
	if (!format.json && specs.json)
		ret = read_exporter(&r, &root, m);
	else if (json_is(&format, MANIFEST_FORMAT))
		ret = read_own(&r, &root, m);
	else
		ret =
		    json_expected(&r, &format, "\"%s\" (or model_specs instead)", MANIFEST_FORMAT);
	if (ret == 0) {
		*out = m;
		m = NULL;
	}
out:
	hw_manifest_free(m);
	cJSON_Delete(json);
	return ret;
}

int hw_manifest_read(const char *path, struct hw_manifest **out, struct hw_error *err)
{
	uint8_t *text;
	size_t len;
	int ret;

	ret = util_read_file(path, MANIFEST_BYTES_MAX, &text, &len, err);
	if (ret < 0)
		return ret;
	ret = hw_manifest_parse(text, len, path, out, err);
	free(text);
	return ret;
}
