// SPDX-License-Identifier: MIT
#include "model.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <openssl/evp.h>

#include "codec.h"

#define HEF_MAX_BYTES (1l << 30)

__attribute__((format(printf, 3, 4))) static int bad(char *error, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(error, CONFIG_ERROR_MAX, fmt, ap);
	va_end(ap);
	return code;
}

static int read_hef(struct model *m, char *error)
{
	struct stat st;
	size_t done = 0;
	int fd = open(m->hef_path, O_RDONLY | O_CLOEXEC), r = 0;

	if (fd < 0)
		return bad(error, -errno, "HEF_PATH: %.300s: %s", m->hef_path, strerror(errno));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size <= 0 ||
	    st.st_size > HEF_MAX_BYTES) {
		r = bad(error, -EINVAL, "HEF_PATH: %.300s is not a file of 1 byte to 1 GiB",
			m->hef_path);
		goto out;
	}
	m->hef_len = (size_t)st.st_size;
	m->hef = malloc(m->hef_len);
	if (!m->hef) {
		r = bad(error, -ENOMEM, "no memory for the model");
		goto out;
	}
	while (done < m->hef_len) {
		ssize_t n = read(fd, m->hef + done, m->hef_len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			r = bad(error, -EIO, "HEF_PATH: %.300s: %s", m->hef_path,
				n ? strerror(errno) : "it shrinks while it is read");
			goto out;
		}
		done += (size_t)n;
	}
out:
	close(fd);
	return r;
}

/* A deployment's "current_model.hef" is a link; its manifest then lies beside the link's target. */
static int read_manifest(struct model *m, char *error)
{
	char beside[PATH_MAX], real[PATH_MAX];
	struct hw_error err = {0};
	int r = hw_manifest_path(m->hef_path, beside, sizeof(beside));

	if (!r && access(beside, F_OK) && realpath(m->hef_path, real))
		r = hw_manifest_path(real, beside, sizeof(beside));
	if (r)
		return bad(error, r, "HEF_PATH: %.300s: %s", m->hef_path, strerror(-r));
	r = hw_manifest_read(beside, &m->manifest, &err);
	if (r)
		return bad(error, r, "manifest %.200s: %.250s", beside, err.text);
	return 0;
}

static int hash_hef(struct model *m, char *error)
{
	unsigned char sum[EVP_MAX_MD_SIZE];

	if (!EVP_Digest(m->hef, m->hef_len, sum, NULL, EVP_sha256(), NULL))
		return bad(error, -EIO, "libcrypto has no SHA-256");
	for (size_t i = 0; i < 32; i++)
		snprintf(m->sha256 + 2 * i, 3, "%02x", sum[i]);
	if (m->manifest->sha256[0] && strcasecmp(m->manifest->sha256, m->sha256) != 0)
		return bad(
		    error, -EINVAL,
		    "%.300s does not belong to its manifest: sha256 is %.16s..., the manifest "
		    "says %.16s...",
		    m->hef_path, m->sha256, m->manifest->sha256);
	return 0;
}

static int check_motifs(struct model *m, const struct config *cfg, char *error)
{
	const struct hw_manifest *mf = m->manifest;

	m->motifs = cfg->num_motifs;
	m->source = mf->scores_name[0] ? MOTIFS_HEAD
		    : mf->prototypes   ? MOTIFS_PROTOTYPES
				       : MOTIFS_NONE;
	if (m->source == MOTIFS_NONE && !cfg->allow_no_motifs)
		return bad(error, -EINVAL,
			   "model %s has neither a motif head nor motif prototypes; "
			   "ALLOW_NO_MOTIFS=1 serves it with %u zeros as scores",
			   mf->name, cfg->num_motifs);
	if (m->source != MOTIFS_NONE && mf->motifs && mf->motifs != cfg->num_motifs)
		return bad(error, -EINVAL,
			   "NUM_MOTIFS=%u contradicts model %s, which has %u motifs",
			   cfg->num_motifs, mf->name, mf->motifs);
	return 0;
}

static int check_shape(const struct model *m, char *error)
{
	const struct hw_manifest *mf = m->manifest;

	if (mf->timesteps != IMU_STEPS || mf->channels != IMU_CHANNELS)
		return bad(error, -EINVAL, "model %s takes %u x %u values, /infer needs %d x %d",
			   mf->name, mf->timesteps, mf->channels, IMU_STEPS, IMU_CHANNELS);
	if (mf->latent_size != IMU_LATENT)
		return bad(error, -EINVAL, "model %s has %u latents, /infer needs %d", mf->name,
			   mf->latent_size, IMU_LATENT);
	return 0;
}

static char *quote(const char *text)
{
	cJSON *v = cJSON_CreateString(text);
	char *out = v ? cJSON_PrintUnformatted(v) : NULL;

	cJSON_Delete(v);
	return out;
}

int model_read(const struct config *cfg, struct model **out, char error[CONFIG_ERROR_MAX])
{
	struct model *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return bad(error, -ENOMEM, "no memory for the model");
	memcpy(m->hef_path, cfg->hef_path, sizeof(m->hef_path));
	r = read_hef(m, error);
	if (!r)
		r = read_manifest(m, error);
	if (!r)
		r = hash_hef(m, error);
	if (!r)
		r = check_shape(m, error);
	if (!r)
		r = check_motifs(m, cfg, error);
	if (r)
		goto err_free;
	snprintf(m->version, sizeof(m->version), "%s",
		 cfg->model_version[0] ? cfg->model_version : m->manifest->version);
	m->name_json = quote(m->manifest->name);
	if (!m->name_json) {
		r = bad(error, -ENOMEM, "no memory for the model");
		goto err_free;
	}
	*out = m;
	return 0;

err_free:
	model_free(m);
	return r;
}

void model_free(struct model *m)
{
	if (!m)
		return;
	hw_manifest_free(m->manifest);
	free(m->hef);
	free(m->name_json);
	free(m);
}

/* HEF files name vstreams "GROUP/NAME": the manifest's NAME matches the last component. */
static int find_output(const struct hw_tensor_info *outputs, size_t count, const char *name)
{
	size_t want = strlen(name);

	for (size_t i = 0; i < count; i++) {
		size_t have = strlen(outputs[i].name);

		if (have < want || strcmp(outputs[i].name + have - want, name) != 0)
			continue;
		if (have == want || outputs[i].name[have - want - 1] == '/')
			return (int)i;
	}
	return -1;
}

static int unfit(struct hw_error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int unfit(struct hw_error *err, const char *fmt, ...)
{
	va_list ap;

	err->code = -EINVAL;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return -EINVAL;
}

int model_match(const struct model *m, const struct hw_net *net, struct model_outputs *out,
		struct hw_error *err)
{
	const struct hw_manifest *mf = m->manifest;
	size_t n_in, n_out;
	const struct hw_tensor_info *in = hw_net_inputs(net, &n_in);
	const struct hw_tensor_info *o = hw_net_outputs(net, &n_out);

	if (n_in != 1 || in[0].elements != IMU_VALUES)
		return unfit(err, "the network does not have one input of %d values", IMU_VALUES);
	if (n_out == 0)
		return unfit(err, "the network has no output");
	out->latent = mf->latent_name[0] ? find_output(o, n_out, mf->latent_name) : 0;
	/* A compiler may have renamed the only output; then there is nothing to mix up. */
	if (out->latent < 0 && n_out == 1 && m->source != MOTIFS_HEAD)
		out->latent = 0;
	if (out->latent < 0)
		return unfit(err, "the network has no output %s, which its manifest names",
			     mf->latent_name);
	if (o[out->latent].elements != IMU_LATENT)
		return unfit(err, "output %s has %zu values, /infer needs %d", o[out->latent].name,
			     o[out->latent].elements, IMU_LATENT);
	out->scores = -1;
	if (m->source != MOTIFS_HEAD)
		return 0;
	out->scores = find_output(o, n_out, mf->scores_name);
	if (out->scores < 0)
		return unfit(err, "the network has no output %s, which its manifest names",
			     mf->scores_name);
	if (o[out->scores].elements != m->motifs)
		return unfit(err, "NUM_MOTIFS=%u contradicts output %s, which has %zu values",
			     m->motifs, o[out->scores].name, o[out->scores].elements);
	return 0;
}

void model_scores(const struct model *m, const float *latent, const float *head, float *scores)
{
	switch (m->source) {
	case MOTIFS_HEAD:
		/* The step of 8-bit quantisation can reach past both ends of a sigmoid. */
		for (uint32_t i = 0; i < m->motifs; i++)
			scores[i] = head[i] < 0.0f ? 0.0f : head[i] > 1.0f ? 1.0f : head[i];
		break;
	case MOTIFS_PROTOTYPES:
		hw_manifest_scores(m->manifest, latent, scores);
		break;
	case MOTIFS_NONE:
		for (uint32_t i = 0; i < m->motifs; i++)
			scores[i] = 0.0f;
		break;
	}
}

const char *model_source_name(const struct model *m)
{
	static const char *const names[] = {
	    [MOTIFS_NONE] = "none", [MOTIFS_HEAD] = "head", [MOTIFS_PROTOTYPES] = "prototypes"};

	return names[m->source];
}
