/* SPDX-License-Identifier: MIT */
/**
 * DOC: model manifests
 *
 * A model is a HEF and, beside it, MODEL.json: what the numbers mean.  The chip sees bytes; the
 * manifest says how raw sensor values become input bytes and what the outputs are called.
 * docs/models.md describes the JSON.
 */
#ifndef HWLAYER_MANIFEST_H
#define HWLAYER_MANIFEST_H

#include <hwlayer/hwlayer.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HW_MANIFEST_LABEL_MAX 32 /* bytes of a motif's or channel's name, with its NUL */

/**
 * struct hw_manifest - a manifest, read and checked; free with hw_manifest_free()
 * @name: model name
 * @version: model version, "" if none
 * @training_data: where the training data come from, free text, "" if none
 * @sha256: of the HEF it belongs to, 64 lower-case hex digits, "" if the manifest names none
 * @onnx_sha256: likewise, of the ONNX file that the HEF was made from
 * @accuracy: share of held-out windows whose right motif is on top, 0..1; negative: not stated
 * @input_name: the network's input, "" = the only one
 * @timesteps: rows of the input window (input_shape[1])
 * @channels: columns of the input window (input_shape[2])
 * @channel_names: what the columns are called, or NULL
 * @mean: per channel, subtracted from raw values
 * @std: per channel divisor, always above 0
 * @in_scale: per channel input quantisation: stored = normalised / scale + zero point, NULL when
 *            the HEF's own (scalar) quantisation is to be used
 * @in_zero: see @in_scale; both are set or none is
 * @latent_name: output that carries the embedding ("latent_embeddings"), "" = the first output
 * @latent_size: its length
 * @scores_name: output that carries motif scores, "" when the network has no motif head
 * @motifs: number of motifs, 0 when the manifest names none
 * @motif_names: their names, NULL when there are none
 * @prototypes: motifs x latent_size, row by row, or NULL.  Score of motif m for latent z:
 *              softmax over m of -|z - prototype_m|^2 / @temperature
 * @temperature: > 0 when @prototypes is not NULL
 *
 * All pointers are malloc()ed; a caller may replace them (hwctl fills @in_scale and @in_zero).
 */
struct hw_manifest {
	char name[128], version[64], training_data[64];
	char sha256[65], onnx_sha256[65];
	float accuracy;
	char input_name[HW_NAME_MAX];
	uint32_t timesteps, channels;
	char (*channel_names)[HW_MANIFEST_LABEL_MAX];
	float *mean, *std;
	float *in_scale, *in_zero;
	char latent_name[HW_NAME_MAX];
	uint32_t latent_size;
	char scores_name[HW_NAME_MAX];
	uint32_t motifs;
	char (*motif_names)[HW_MANIFEST_LABEL_MAX];
	float *prototypes;
	float temperature;
};

/**
 * hw_manifest_read - read MODEL.json
 * @path: the JSON file
 * @out: the manifest, released with hw_manifest_free(); untouched on error
 * @err: why it failed; may be NULL
 *
 * Takes our own format and the one TCN exporters ship (model_specs, normalization).
 * Return: 0, or -ENOENT, -EACCES (or what else opening a file gives), -EBADMSG (text names the
 * field and what was expected there), -ENOMEM.
 */
int hw_manifest_read(const char *path, struct hw_manifest **out, struct hw_error *err);

/**
 * hw_manifest_parse - as hw_manifest_read(), from bytes in memory
 * @text: the JSON text; needs no NUL
 * @len: its bytes
 * @label: what error texts call the text, and the name of a model whose manifest gives it none:
 *         "dir/tcn.json" makes it "tcn"
 * @out: the manifest, released with hw_manifest_free(); untouched on error
 * @err: why it failed; may be NULL
 *
 * Return: 0, or -EBADMSG, -ENOMEM.
 */
int hw_manifest_parse(const void *text, size_t len, const char *label, struct hw_manifest **out,
		      struct hw_error *err);

/**
 * hw_manifest_write - write MODEL.json in our own format
 * @m: the manifest
 * @path: replaced in one step: a reader sees the old file or the new one
 * @err: why it failed; may be NULL
 *
 * What is written was read back first, so a manifest that hw_manifest_read() would refuse is
 * refused here and nothing is written.
 * Return: 0, or -EINVAL (text names the field), -ENOMEM, or why the file could not be written.
 */
int hw_manifest_write(const struct hw_manifest *m, const char *path, struct hw_error *err);

/**
 * hw_manifest_path - where the manifest of a model is: beside it
 * @model: "x/model.hef", "x/model.onnx"; any other name gets ".json" appended
 * @out: "x/model.json"; may be @model
 * @size: bytes of @out
 *
 * Return: 0, or -ENAMETOOLONG.
 */
int hw_manifest_path(const char *model, char *out, size_t size);

/**
 * hw_manifest_free - free a manifest and all that it points to
 * @m: the manifest; NULL is fine
 */
void hw_manifest_free(struct hw_manifest *m);

/**
 * hw_manifest_input - raw sensor values to what hw_net_submit() takes as HW_TYPE_F32 input
 * @m: the manifest
 * @raw: timesteps x channels
 * @out: as many, may be @raw; (raw - mean) / std, then, if in_scale is set, / in_scale + in_zero
 */
void hw_manifest_input(const struct hw_manifest *m, const float *raw, float *out);

/**
 * hw_manifest_scores - motif scores from prototypes
 * @m: a manifest that has prototypes
 * @latent: latent_size values
 * @scores: motifs values in 0..1 that sum to 1
 */
void hw_manifest_scores(const struct hw_manifest *m, const float *latent, float *scores);

#ifdef __cplusplus
}
#endif
#endif
