// SPDX-License-Identifier: MIT
/* Two whole manifests that the manifest tests read as they are or bend out of shape. */
#ifndef TESTS_UNIT_MANIFEST_TEXTS_H
#define TESTS_UNIT_MANIFEST_TEXTS_H

#include <hwlayer/manifest.h>

#include "support/support.h"

/* Small, whole, and with everything in it. */
static const char own_text[] =
	"{\n"
	" \"format\": \"hailo-inference-model/1\",\n"
	" \"name\": \"little\",\n"
	" \"version\": \"2.1.0\",\n"
	" \"training_data\": \"synthetic\",\n"
	" \"accuracy\": 0.75,\n"
	" \"hef_sha256\": \"00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff\",\n"
	" \"inputs\": [{\"name\": \"window\", \"shape\": [1, 2, 3], \"type\": \"float32\",\n"
	"             \"channels\": [\"u\", \"v\", \"w\"]}],\n"
	" \"outputs\": [{\"name\": \"latent_embeddings\", \"shape\": [1, 2]}],\n"
	" \"normalization\": {\"method\": \"z_score_per_channel\",\n"
	"                   \"mean\": [1, -2.5, 0], \"std\": [2, 0.5, 1e-3]},\n"
	" \"input_quantization\": {\"scale\": [0.01, 0.02, 0.04], \"zero_point\": [128, 0, 255]},\n"
	" \"motifs\": {\"names\": [\"sit\", \"stay\", \"sch\\u00f6n\"], \"temperature\": 0.5,\n"
	"            \"prototypes\": [[0, 0], [1, 0], [0, 3]]},\n"
	" \"note\": \"fields that nobody asked for are left alone\"\n"
	"}\n";

/* As the exporter of TCN encoders writes it, our own numbers. */
static const char exporter_text[] =
	"{\"export_info\": {\"export_version\": \"3.2\"},\n"
	" \"model_specs\": {\"input_shape\": [1, 2, 3], \"output_shape\": [1, 4],\n"
	"                 \"sequence_length\": 2, \"latent_dimension\": 4},\n"
	" \"normalization\": {\"method\": \"z_score_per_channel\", \"mean\": [0, 1, 2],\n"
	"                   \"std\": [1, 2, 4], \"channel_order\": [\"a\", \"b\", \"c\"]},\n"
	" \"files\": {\"onnx_model\": \"made/by/others.onnx\"}}\n";

static inline int manifest_parse(const char *text, struct hw_manifest **out, struct hw_error *err)
{
	return hw_manifest_parse(text, strlen(text), "dir/m.json", out, err);
}

/* @text with the first @from replaced by @to; free() it. */
static inline char *manifest_edited(const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);
	struct buf b = {0};

	if (!at)
		fail_msg("the text to edit has no %s", from);
	buf_put(&b, text, (size_t)(at - text));
	buf_put(&b, to, strlen(to));
	buf_put(&b, at + strlen(from), strlen(at + strlen(from)) + 1);
	assert_false(b.failed);
	return (char *)b.ptr;
}

#endif
