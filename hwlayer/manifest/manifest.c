// SPDX-License-Identifier: MIT
/* What is done with a manifest once it is read: paths, normalisation, scores. */
#include <hwlayer/manifest.h>

#include <math.h>
#include <string.h>

#include "util/bytes.h"
#include "util/util.h"

int hw_manifest_path(const char *model, char *out, size_t size)
{
	static const char *const extensions[] = {".hef", ".onnx"};
	const char *base = strrchr(model, '/');
	size_t len = strlen(model);
	size_t base_len = base ? len - (size_t)(base + 1 - model) : len;

	for (size_t i = 0; i < ARRAY_SIZE(extensions); i++) {
		size_t ext = strlen(extensions[i]);

		/* ".hef" alone is a hidden file's name, not an extension. */
		if (base_len > ext && strcmp(model + len - ext, extensions[i]) == 0) {
			len -= ext;
			break;
		}
	}
	if (len + sizeof(".json") > size)
		return -ENAMETOOLONG;
	memmove(out, model, len);
	memcpy(out + len, ".json", sizeof(".json"));
	return 0;
}

void hw_manifest_free(struct hw_manifest *m)
{
	if (!m)
		return;
	free(m->channel_names);
	free(m->mean);
	free(m->std);
	free(m->in_scale);
	free(m->in_zero);
	free(m->motif_names);
	free(m->prototypes);
	free(m);
}

void hw_manifest_input(const struct hw_manifest *m, const float *raw, float *out)
{
	/* Divisions, not multiplications by a reciprocal: the reference latents of the encoders
	 * were made with (x - mean) / std in float, and equal bits are cheap here. */
	for (size_t t = 0; t < m->timesteps; t++, raw += m->channels, out += m->channels) {
		for (size_t c = 0; c < m->channels; c++)
			out[c] = (raw[c] - m->mean[c]) / m->std[c];
		for (size_t c = 0; m->in_scale && c < m->channels; c++)
			out[c] = out[c] / m->in_scale[c] + m->in_zero[c];
	}
}

static double distance(const float *a, const float *b, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++) {
		double d = (double)a[i] - (double)b[i];

		sum += d * d;
	}
	return sum;
}

void hw_manifest_scores(const struct hw_manifest *m, const float *latent, float *scores)
{
	double nearest = INFINITY, sum = 0;

	/* The distances are computed twice rather than kept: no memory, and the second time in
	 * double again, which a float in @scores would lose. */
	for (size_t i = 0; i < m->motifs; i++)
		nearest = fmin(
		    nearest, distance(latent, m->prototypes + i * m->latent_size, m->latent_size));
	/* Counted from the nearest, so the largest term is exp(0) and nothing overflows. */
	for (size_t i = 0; i < m->motifs; i++) {
		double d = distance(latent, m->prototypes + i * m->latent_size, m->latent_size);
		double e = exp((nearest - d) / (double)m->temperature);

		scores[i] = (float)e;
		sum += e;
	}
	for (size_t i = 0; i < m->motifs; i++)
		scores[i] = (float)((double)scores[i] / sum);
}
