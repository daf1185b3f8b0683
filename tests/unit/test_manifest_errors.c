// SPDX-License-Identifier: MIT
/* Manifests that are refused: the text names the place, what belongs there and what was found. */
#include "manifest_texts.h"

#define SCORES_OUT "{\"name\":\"motif_scores\",\"shape\":[1,3]}"
#define LABEL_32 "12345678901234567890123456789012"

struct bad {
	const char *base, *from, *to;
	const char *says; /* part of the text: place, expectation, finding */
};

static const struct bad malformed[] = {
	{own_text, "hailo-inference-model/1", "hailo-inference-model/2",
	 "m.json: format: expected \"hailo-inference-model/1\" (or model_specs instead), "
	 "found \"hailo-inference-model/2\""},
	{own_text, "\"format\"", "\"formats\"", "format: expected \"hailo-inference-model/1\""},
	{own_text, "\"name\": \"little\"", "\"name\": 7",
	 "name: expected a text of 1 to 127 printable bytes, found 7"},
	{own_text, "\"name\": \"little\"", "\"title\": \"little\"",
	 "name: expected a text of 1 to 127 printable bytes, found nothing"},
	{own_text, "little", "", "name: expected a text of 1 to 127 printable bytes, found \"\""},
	{own_text, "little", "lit\\ntle",
	 "name: expected a text of 1 to 127 printable bytes, found a text"},
	{own_text, "little", LABEL_32 LABEL_32 LABEL_32 LABEL_32, "found a text of 128 bytes"},
	{own_text, "\"2.1.0\"", "[]",
	 "version: expected a text of 1 to 63 printable bytes, found a list"},
	{own_text, "\"synthetic\"", "null", "training_data: expected a text of 1 to 63"},
	{own_text, "0.75", "1.5", "accuracy: expected a number of 0 to 1, found 1.5"},
	{own_text, "0.75", "\"75 %\"", "accuracy: expected a finite number, found \"75 %\""},
	{own_text, "00112233", "0011223",
	 "hef_sha256: expected 64 hex digits, found a text of 63 bytes"},
	{own_text, "00112233", "0011223x", "hef_sha256: expected 64 hex digits"},
	{own_text, "\"version\"", "\"onnx_sha256\": \"abc\", \"version\"",
	 "onnx_sha256: expected 64 hex digits, found \"abc\""},
	{own_text, "\"version\"", "\"name\": \"other\", \"version\"", "name: is there twice"},
	{own_text, "\"mean\"", "\"std\"",
	 "normalization.mean: expected a list of 3 numbers, found nothing"},
	{own_text, "\"mean\"", "\"std\": [1, 1, 1], \"mean\"", "normalization.std: is there twice"},

	{own_text, "\"inputs\"", "\"ins\"", "inputs: expected a list of one input, found nothing"},
	{own_text, "[{\"name\": \"window\"", "[{}, {\"name\": \"window\"",
	 "inputs: expected a list of one input, found a list of 2"},
	{own_text, "[1, 2, 3]", "[1, 2]",
	 "inputs[0].shape: expected [1, timesteps, channels], found a list of 2"},
	{own_text, "[1, 2, 3]", "[2, 2, 3]", "inputs[0].shape[0]: expected 1 (the batch)"},
	{own_text, "[1, 2, 3]", "[1, 0, 3]",
	 "inputs[0].shape[1]: expected a whole number of 1 to 16384"},
	{own_text, "[1, 2, 3]", "[1, 2, 3.5]", "inputs[0].shape[2]: expected a whole number"},
	{own_text, "[1, 2, 3]", "[1, 2, 1e9]", "inputs[0].shape[2]: expected a whole number"},
	{own_text, "[1, 2, 3]", "[1, 2, \"3\"]", "inputs[0].shape[2]: expected a whole number"},
	{own_text, "[1, 2, 3]", "123",
	 "inputs[0].shape: expected [1, timesteps, channels], found 123"},
	{own_text, "[1, 2, 3]", "[1, 2, 4]",
	 "inputs[0].channels: expected a list of 4 names, found a list of 3"},
	{own_text, "float32", "uint8", "inputs[0].type: expected \"float32\", found \"uint8\""},
	{own_text, "\"v\"", "\"u\"",
	 "inputs[0].channels[1]: expected a name that is not in the list yet, found \"u\""},

	{own_text, "\"outputs\"", "\"outs\"",
	 "outputs: expected a list of 1 to 64 outputs, found nothing"},
	{own_text, "{\"name\": \"latent_embeddings\", \"shape\": [1, 2]}", "",
	 "outputs: expected a list of 1 to 64 outputs, found a list of 0"},
	{own_text, "{\"name\": \"latent_embeddings\", \"shape\": [1, 2]}", "17",
	 "outputs[0]: expected an object, found 17"},
	{own_text, "{\"name\": \"latent_embeddings\", \"shape\": [1, 2]}", SCORES_OUT,
	 "outputs: expected an output for the latent beside the scores"},
	{own_text, "[1, 2]}", "[1, 2]}, " SCORES_OUT,
	 "motifs.prototypes: expected nothing, for the output motif_scores carries the scores"},
	{own_text, "[1, 2]}", "[1, 2]}, {\"shape\": [1, 1]}", "outputs[1].name: expected a text"},
	{own_text, "[1, 2]}", "[1, 2]}, {\"name\": \"latent_embeddings\", \"shape\": [1, 1]}",
	 "outputs[1].name: expected a name that no other output has"},
	{own_text, "[1, 2]}", "[1, 2]}, {\"name\": \"b\", \"role\": \"latent\", \"shape\": [1, 1]}",
	 "outputs[1]: expected only one output for the latent"},
	{own_text, "[1, 2]}", "[1, 2], \"role\": \"boxes\"}",
	 "outputs[0].role: expected \"latent\" or \"scores\", found \"boxes\""},
	{own_text, "[1, 2]}", "[1, 2, 1]}",
	 "outputs[0].shape: expected [1, latent size], found a list of 3"},
	{own_text, "[1, 2]}", "[1, -2]}", "outputs[0].shape[1]: expected a whole number"},
	{own_text, "\"shape\": [1, 2]}", "\"x\": 0}",
	 "outputs[0].shape: expected [1, latent size], found nothing"},

	{own_text, "\"normalization\"", "\"norm\"",
	 "normalization: expected an object, found nothing"},
	{own_text, "z_score_per_channel", "min_max",
	 "normalization.method: expected \"z_score_per_channel\", found \"min_max\""},
	{own_text, "\"method\"", "\"how\"",
	 "normalization.method: expected \"z_score_per_channel\", found nothing"},
	{own_text, "[1, -2.5, 0]", "[1, -2.5]",
	 "normalization.mean: expected a list of 3 numbers, found a list of 2"},
	{own_text, "[1, -2.5, 0]", "[1, -2.5, 0, 0]",
	 "normalization.mean: expected a list of 3 numbers"},
	{own_text, "[1, -2.5, 0]", "[1, true, 0]",
	 "normalization.mean[1]: expected a finite number, found true"},
	{own_text, "[1, -2.5, 0]", "[1, 1e39, 0]",
	 "normalization.mean[1]: expected a finite number"},
	{own_text, "[1, -2.5, 0]", "[1, 1e999, 0]",
	 "normalization.mean[1]: expected a finite number, found inf"},
	{own_text, "[1, -2.5, 0]", "[1, NaN, 0]", "not JSON: syntax error at line 12, column 32"},
	{own_text, "[2, 0.5, 1e-3]", "[2, 0, 1]",
	 "normalization.std[1]: expected a finite number above 0, found 0"},
	{own_text, "[2, 0.5, 1e-3]", "[2, -0.5, 1]",
	 "normalization.std[1]: expected a finite number above 0, found -0.5"},
	{own_text, "[2, 0.5, 1e-3]", "[2, 1, 1e-60]",
	 "normalization.std[2]: expected a finite number above 0"},
	{own_text, "[2, 0.5, 1e-3]", "[2, 1, 1e60]",
	 "normalization.std[2]: expected a finite number above 0"},
	{own_text, "[2, 0.5, 1e-3]", "{}",
	 "normalization.std: expected a list of 3 numbers, found an object"},

	{own_text, "[0.01, 0.02, 0.04]", "[0.01]",
	 "input_quantization.scale: expected a list of 3 numbers"},
	{own_text, "[0.01, 0.02, 0.04]", "[1, 0, 1]",
	 "input_quantization.scale[1]: expected a finite number above 0, found 0"},
	{own_text, "[128, 0, 255]", "[128, 0]",
	 "input_quantization.zero_point: expected a list of 3 numbers"},
	{own_text, "\"zero_point\"", "\"zero\"",
	 "input_quantization.zero_point: expected a list of 3 numbers, found nothing"},
	{own_text, "\"input_quantization\": {", "\"input_quantization\": 5, \"x\": {",
	 "input_quantization: expected an object, found 5"},

	{own_text, "\"names\"", "\"labels\"",
	 "motifs.names: expected a list of 1 to 1024 names, found nothing"},
	{own_text, "\"stay\"", "\"sit\"",
	 "motifs.names[1]: expected a name that is not in the list yet, found \"sit\""},
	{own_text, "\"stay\"", "\"" LABEL_32 "\"",
	 "motifs.names[1]: expected a text of 1 to 31 printable bytes"},
	{own_text, "\"stay\"", "\"\"",
	 "motifs.names[1]: expected a text of 1 to 31 printable bytes"},
	{own_text, "\"stay\", ", "",
	 "motifs.prototypes: expected a list of 2 prototypes, one for each motif, found a "
	 "list of 3"},
	{own_text, "[1, 0], [0, 3]", "[1, 0], [0]",
	 "motifs.prototypes[2]: expected a list of 2 numbers, found a list of 1"},
	{own_text, "[1, 0], [0, 3]", "[1, 0], [0, \"3\"]",
	 "motifs.prototypes[2][1]: expected a finite number, found \"3\""},
	{own_text, "\"temperature\": 0.5", "\"temperature\": 0",
	 "motifs.temperature: expected a finite number above 0, found 0"},
	{own_text, "\"temperature\"", "\"warmth\"",
	 "motifs.temperature: expected a finite number above 0, found nothing"},
	{own_text, "\"prototypes\"", "\"examples\"",
	 "motifs.prototypes: expected prototypes, or an output that carries the scores, "
	 "found nothing"},

	{exporter_text, "\"input_shape\": [1, 2, 3]", "\"input_shape\": [1, 2, 3, 4]",
	 "model_specs.input_shape: expected [1, timesteps, channels]"},
	{exporter_text, "\"output_shape\"", "\"out\"",
	 "model_specs.output_shape: expected [1, latent size], found nothing"},
	{exporter_text, "\"sequence_length\": 2", "\"sequence_length\": 100",
	 "model_specs.sequence_length: expected 2, as in the shape, found 100"},
	{exporter_text, "\"latent_dimension\": 4", "\"latent_dimension\": \"4\"",
	 "model_specs.latent_dimension: expected 4, as in the shape, found \"4\""},
	{exporter_text, "\"normalization\"", "\"norm\"",
	 "normalization: expected an object, found nothing"},
	{exporter_text, "[1, 2, 4]", "[1, 0, 4]",
	 "normalization.std[1]: expected a finite number above 0"},
	{exporter_text, "[0, 1, 2]", "[0, 1]", "normalization.mean: expected a list of 3 numbers"},
	{exporter_text, "z_score_per_channel", "none", "normalization.method: expected"},
	{exporter_text, "\"c\"", "\"a\"",
	 "normalization.channel_order[2]: expected a name that is not"},
	{exporter_text, "\"3.2\"", "3.2", "export_info.export_version: expected a text"},
	{exporter_text, "\"made/by/others.onnx\"", "null",
	 "files.onnx_model: expected a file name, found null"},
	{exporter_text, "made/by/others.onnx", "made/by/",
	 "files.onnx_model: expected a file name of 1"},
	{exporter_text, "{\"onnx_model\": \"made/by/others.onnx\"}", "[]",
	 "files: expected an object"},
	{exporter_text, "\"model_specs\": {", "\"model_specs\": 0, \"x\": {",
	 "model_specs: expected an object, found 0"},
};

static void malformed_fields_are_named(void **state)
{
	unsigned int wrong = 0;
	struct hw_manifest *const untouched = (void *)&wrong;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(malformed); i++) {
		const struct bad *b = &malformed[i];
		struct hw_manifest *m = untouched;
		struct hw_error err = {0};
		char *text = manifest_edited(b->base, b->from, b->to);
		int r = manifest_parse(text, &m, &err);

		if (r != -EBADMSG || err.code != r || !strstr(err.text, b->says) ||
		    m != untouched) {
			print_error("%s -> %s: %d \"%s\", want \"%s\"\n", b->from, b->to, r,
				    err.text, b->says);
			wrong++;
		}
		free(text);
	}
	assert_int_equal(wrong, 0);
}

static void what_is_not_json(void **state)
{
	static const struct {
		const char *text;
		size_t len; /* 0: strlen */
		const char *says;
	} cases[] = {
	    {"", 0, "m.json: not JSON: it is empty"},
	    {"version https://git-lfs.github.com/spec/v1\n", 0,
	     "not JSON: syntax error at line 1, column 1"},
	    {"{\n \"a\": 1,\n \"b\" 2}", 0, "not JSON: syntax error at line 3, column 6"},
	    {"{\"a\": [1, 2", 0, "not JSON: syntax error at line 1, column 11"},
	    {"{} {}", 0, "not JSON: something behind the end at line 1, column 4"},
	    {"[1]", 0, "the whole file: expected an object, found a list of 1"},
	    {"{\"a\":\n\"\xff\"}", 0, "not JSON: bytes that are not UTF-8 at line 2, column 2"},
	    {"\"\xc0\x80\"", 0, "not UTF-8 at line 1, column 2"},	  /* overlong */
	    {"\"\xed\xa0\x80\"", 0, "not UTF-8 at line 1, column 2"},	  /* surrogate */
	    {"\"\xf4\x90\x80\x80\"", 0, "not UTF-8 at line 1, column 2"}, /* above 10ffff */
	    {"\"\xf8\x88\x80\x80\x80\"", 0, "not UTF-8 at line 1, column 2"},
	    {"\"\x80\"", 0, "not UTF-8 at line 1, column 2"},
	    {"\"\xe2\x82", 0, "not UTF-8 at line 1, column 2"}, /* cut short */
	    {"{}\0", 3, "not UTF-8 at line 1, column 3"},
	    {"\"\\ud800\"", 0, "not JSON: syntax error"},
	};
	struct buf deep = {0};
	struct hw_manifest *m = NULL;
	struct hw_error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len = cases[i].len ? cases[i].len : strlen(cases[i].text);

		assert_int_equal(hw_manifest_parse(cases[i].text, len, "dir/m.json", &m, &err),
				 -EBADMSG);
		if (!strstr(err.text, cases[i].says))
			fail_msg("\"%s\", want \"%s\"", err.text, cases[i].says);
	}
	for (size_t i = 0; i < 200000; i++)
		buf_u8(&deep, '[');
	assert_int_equal(hw_manifest_parse(deep.ptr, deep.len, "dir/m.json", &m, &err), -EBADMSG);
	buf_free(&deep);
	assert_null(m);
}

/* Whatever is cut off, nothing is read behind the end (ASan looks on) and nothing is accepted. */
static void every_cut_is_refused(void **state)
{
	const char *const texts[] = {own_text, exporter_text};

	(void)state;
	for (size_t t = 0; t < ARRAY_SIZE(texts); t++) {
		size_t len = strrchr(texts[t], '}') - texts[t];

		for (size_t n = 0; n <= len; n++) {
			struct hw_manifest *m = NULL;
			uint8_t *exact = malloc(n ? n : 1);

			memcpy(exact, texts[t], n);
			assert_int_equal(hw_manifest_parse(exact, n, "m", &m, NULL), -EBADMSG);
			assert_null(m);
			free(exact);
		}
	}
}

static void files_that_cannot_be_read(void **state)
{
	struct hw_manifest *m = NULL;
	struct hw_error err;
	char path[256];

	(void)state;
	snprintf(path, sizeof(path), "%s/none.json", tmp_dir());
	assert_int_equal(hw_manifest_read(path, &m, &err), -ENOENT);
	assert_non_null(strstr(err.text, "none.json"));
	assert_int_equal(hw_manifest_read(tmp_dir(), &m, &err), -EISDIR);
	assert_null(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(malformed_fields_are_named),
	    cmocka_unit_test(what_is_not_json),
	    cmocka_unit_test(every_cut_is_refused),
	    cmocka_unit_test(files_that_cannot_be_read),
	};

	return cmocka_run_group_tests_name("manifest_errors", tests, NULL, NULL);
}
