// SPDX-License-Identifier: MIT
/* Words and limits of the manifest format that reader and writer share; docs/models.md. */
#ifndef HWLAYER_MANIFEST_FORMAT_H
#define HWLAYER_MANIFEST_FORMAT_H

#define MANIFEST_FORMAT "hailo-inference-model/1"
#define MANIFEST_Z_SCORE "z_score_per_channel"
#define MANIFEST_LATENT "latent_embeddings"
#define MANIFEST_SCORES "motif_scores"

#define MANIFEST_DIM_MAX 16384u
#define MANIFEST_LABELS_MAX 1024u

#endif
