// SPDX-License-Identifier: MIT
/* The model to serve: HEF bytes, manifest, and which output plays which part. */
#ifndef DAEMON_MODEL_H
#define DAEMON_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include <hwlayer/hwlayer.h>
#include <hwlayer/manifest.h>

#include "config.h"

enum motif_source { MOTIFS_NONE, MOTIFS_HEAD, MOTIFS_PROTOTYPES };

/*
 * Read once at the start and never written again, so that every thread may look at it.  The bytes
 * of the HEF stay in memory: what is loaded again after a fault is what was loaded at the start,
 * whatever happened to the file.
 */
struct model {
	struct hw_manifest *manifest;
	uint8_t *hef;
	size_t hef_len;
	char hef_path[4096];
	char sha256[65];
	char version[64];
	char *name_json; /* the name as a JSON string, with its quotes */
	enum motif_source source;
	uint32_t motifs; /* scores in an answer: NUM_MOTIFS */
};

/**
 * model_read - read HEF and manifest and check that they can serve this contract
 * @error: one line when it cannot
 *
 * Return: 0, or a negative errno.  Free with model_free().
 */
int model_read(const struct config *cfg, struct model **out, char error[CONFIG_ERROR_MAX]);
void model_free(struct model *m);

/* Index of each part among the outputs of the loaded network; -1: the network has no such output.
 */
struct model_outputs {
	int latent, scores;
};

/**
 * model_match - do the streams of the loaded network fit the manifest?
 *
 * Return: 0, -EINVAL with a sentence in @err.
 */
int model_match(const struct model *m, const struct hw_net *net, struct model_outputs *out,
		struct hw_error *err);

/* model_scores - @m->motifs values in 0..1 from the head's output or from the latent */
void model_scores(const struct model *m, const float *latent, const float *head, float *scores);

const char *model_source_name(const struct model *m);

#endif
