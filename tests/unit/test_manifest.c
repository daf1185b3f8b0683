// SPDX-License-Identifier: MIT
/* Manifests: what is read and written, and the arithmetic behind it. */
#include "manifest_texts.h"

#include <math.h>
#include <openssl/sha.h>
#include <unistd.h>

#include "support/imu_windows.h"

static void assert_floats(const float *got, const float *want, size_t n)
{
	assert_non_null(got);
	assert_memory_equal(got, want, n * sizeof(*got));
}

static void our_format_is_read(void **state)
{
	struct hw_manifest *m = NULL;
	struct hw_error err;

	(void)state;
	assert_ok(manifest_parse(own_text, &m, &err), &err);
	assert_string_equal(m->name, "little");
	assert_string_equal(m->version, "2.1.0");
	assert_string_equal(m->training_data, "synthetic");
	assert_string_equal(m->sha256,
			    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
	assert_string_equal(m->onnx_sha256, "");
	assert_float_equal(m->accuracy, 0.75, 0);
	assert_string_equal(m->input_name, "window");
	assert_int_equal(m->timesteps, 2);
	assert_int_equal(m->channels, 3);
	assert_string_equal(m->channel_names[2], "w");
	assert_floats(m->mean, (const float[]){1, -2.5f, 0}, 3);
	assert_floats(m->std, (const float[]){2, 0.5f, 1e-3f}, 3);
	assert_floats(m->in_scale, (const float[]){0.01f, 0.02f, 0.04f}, 3);
	assert_floats(m->in_zero, (const float[]){128, 0, 255}, 3);
	assert_string_equal(m->latent_name, "latent_embeddings");
	assert_int_equal(m->latent_size, 2);
	assert_string_equal(m->scores_name, "");
	assert_int_equal(m->motifs, 3);
	assert_string_equal(m->motif_names[1], "stay");
	assert_string_equal(m->motif_names[2], "sch\xc3\xb6n");
	assert_floats(m->prototypes, (const float[]){0, 0, 1, 0, 0, 3}, 6);
	assert_float_equal(m->temperature, 0.5, 0);
	hw_manifest_free(m);
	hw_manifest_free(NULL);
}

static void only_the_needed_fields(void **state)
{
	struct hw_manifest *m = NULL;
	struct hw_error err;

	(void)state;
	/* A byte order mark in front is what some editors leave behind. */
	assert_ok(
	    manifest_parse("\xef\xbb\xbf{\"format\":\"hailo-inference-model/1\",\"name\":\"n\","
			   "\"inputs\":[{\"shape\":[1,1,1]}],\"outputs\":[{\"shape\":[1,1]}],"
			   "\"version\":\"\",\"hef_sha256\":\"\","
			   "\"normalization\":{\"method\":\"z_score_per_channel\",\"mean\":[0],"
			   "\"std\":[1]}} \r\n",
			   &m, &err),
	    &err);
	assert_string_equal(m->version, "");
	assert_string_equal(m->sha256, "");
	assert_string_equal(m->input_name, "");
	assert_string_equal(m->latent_name, "");
	assert_true(m->accuracy < 0);
	assert_null(m->channel_names);
	assert_null(m->in_scale);
	assert_null(m->in_zero);
	assert_int_equal(m->motifs, 0);
	assert_null(m->prototypes);
	hw_manifest_free(m);
}

/* Which output is which: by role, else by the usual names, else the first is the latent. */
static void outputs_find_their_roles(void **state)
{
	static const struct {
		const char *outputs, *latent, *scores;
		uint32_t latent_size;
	} cases[] = {
	    {"{\"name\":\"motif_scores\",\"shape\":[1,3]},"
	     "{\"name\":\"latent_embeddings\",\"shape\":[1,8]}",
	     "latent_embeddings", "motif_scores", 8},
	    {"{\"name\":\"a\",\"shape\":[1,5]},{\"name\":\"motif_scores\",\"shape\":[1,3]}", "a",
	     "motif_scores", 5},
	    {"{\"name\":\"motif_scores\",\"shape\":[1,3]},{\"name\":\"b\",\"shape\":[1,5]}", "b",
	     "motif_scores", 5},
	    {"{\"name\":\"mask\",\"shape\":[7,7,1]},"
	     "{\"name\":\"p\",\"shape\":[1,3],\"role\":\"scores\"},"
	     "{\"name\":\"z\",\"shape\":[1,6],\"role\":\"latent\"}",
	     "z", "p", 6},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct hw_manifest *m = NULL;
		struct hw_error err;
		char *bare = manifest_edited(own_text, "\"prototypes\": [[0, 0], [1, 0], [0, 3]]",
					     "\"x\": 0");
		char *text = manifest_edited(
		    bare, "{\"name\": \"latent_embeddings\", \"shape\": [1, 2]}", cases[i].outputs);

		assert_ok(manifest_parse(text, &m, &err), &err);
		assert_string_equal(m->latent_name, cases[i].latent);
		assert_int_equal(m->latent_size, cases[i].latent_size);
		assert_string_equal(m->scores_name, cases[i].scores);
		assert_int_equal(m->motifs, 3);
		assert_null(m->prototypes);
		hw_manifest_free(m);
		free(text);
		free(bare);
	}
}

static void exporter_format_is_read(void **state)
{
	struct hw_manifest *m = NULL;
	struct hw_error err;
	char *text;

	(void)state;
	assert_ok(manifest_parse(exporter_text, &m, &err), &err);
	assert_string_equal(m->name, "others");
	assert_string_equal(m->version, "3.2");
	assert_int_equal(m->timesteps, 2);
	assert_int_equal(m->channels, 3);
	assert_int_equal(m->latent_size, 4);
	assert_string_equal(m->channel_names[1], "b");
	assert_floats(m->mean, (const float[]){0, 1, 2}, 3);
	assert_floats(m->std, (const float[]){1, 2, 4}, 3);
	assert_int_equal(m->motifs, 0);
	assert_null(m->in_scale);
	hw_manifest_free(m);

	text = manifest_edited(exporter_text, "onnx_model", "something");
	assert_ok(manifest_parse(text, &m, &err), &err);
	assert_string_equal(m->name, "m");
	hw_manifest_free(m);
	free(text);
}

static void exporter_file_as_it_ships(void **state)
{
	const char *path = shared_path("data/tcn_model_config.json");
	struct hw_manifest *m = NULL;
	struct hw_error err;

	(void)state;
	assert_ok(hw_manifest_read(path, &m, &err), &err);
	assert_string_equal(m->name, "tcn_encoder_for_edgeinfer");
	assert_string_equal(m->version, "1.0.0");
	assert_string_equal(m->sha256, "");
	assert_int_equal(m->timesteps, 100);
	assert_int_equal(m->channels, 9);
	assert_int_equal(m->latent_size, 64);
	assert_string_equal(m->latent_name, "");
	assert_int_equal(m->motifs, 0);
	assert_null(m->in_scale);
	/* contracts.md, section 1 */
	assert_floats(
	    m->mean,
	    (const float[]){0.12f, -0.08f, 9.78f, 0.002f, -0.001f, 0.003f, 22.4f, -8.7f, 43.2f}, 9);
	assert_floats(
	    m->std, (const float[]){3.92f, 3.87f, 2.45f, 1.24f, 1.31f, 0.98f, 28.5f, 31.2f, 24.8f},
	    9);
	hw_manifest_free(m);
}

static void assert_same_manifest(const struct hw_manifest *a, const struct hw_manifest *b)
{
	assert_string_equal(a->name, b->name);
	assert_string_equal(a->version, b->version);
	assert_string_equal(a->training_data, b->training_data);
	assert_string_equal(a->sha256, b->sha256);
	assert_string_equal(a->onnx_sha256, b->onnx_sha256);
	assert_memory_equal(&a->accuracy, &b->accuracy, sizeof(a->accuracy));
	assert_string_equal(a->input_name, b->input_name);
	assert_int_equal(a->timesteps, b->timesteps);
	assert_int_equal(a->channels, b->channels);
	assert_floats(a->mean, b->mean, b->channels);
	assert_floats(a->std, b->std, b->channels);
	assert_int_equal(!a->channel_names, !b->channel_names);
	for (size_t i = 0; b->channel_names && i < b->channels; i++)
		assert_string_equal(a->channel_names[i], b->channel_names[i]);
	assert_int_equal(!a->in_scale, !b->in_scale);
	if (b->in_scale) {
		assert_floats(a->in_scale, b->in_scale, b->channels);
		assert_floats(a->in_zero, b->in_zero, b->channels);
	}
	assert_string_equal(a->latent_name, b->latent_name);
	assert_int_equal(a->latent_size, b->latent_size);
	assert_string_equal(a->scores_name, b->scores_name);
	assert_int_equal(a->motifs, b->motifs);
	for (size_t i = 0; i < b->motifs; i++)
		assert_string_equal(a->motif_names[i], b->motif_names[i]);
	assert_int_equal(!a->prototypes, !b->prototypes);
	if (b->prototypes) {
		assert_floats(a->prototypes, b->prototypes, (size_t)b->motifs * b->latent_size);
		assert_memory_equal(&a->temperature, &b->temperature, sizeof(a->temperature));
	}
}

static void assert_round_trip(const struct hw_manifest *m)
{
	struct hw_manifest *back = NULL;
	struct hw_error err;
	char path[256];

	snprintf(path, sizeof(path), "%s/out.json", tmp_dir());
	assert_ok(hw_manifest_write(m, path, &err), &err);
	assert_ok(hw_manifest_read(path, &back, &err), &err);
	assert_same_manifest(back, m);
	hw_manifest_free(back);
}

static void what_is_written_reads_back(void **state)
{
	char *roles =
	    manifest_edited(own_text, "\"latent_embeddings\"", "\"z\", \"role\": \"latent\"");
	const char *const texts[] = {own_text, exporter_text, roles};
	struct hw_error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct hw_manifest *m = NULL;

		assert_ok(manifest_parse(texts[i], &m, &err), &err);
		assert_round_trip(m);
		/* As `hwctl hef build` does it: quantisation and the HEF's sum come on top. */
		free(m->in_scale);
		free(m->in_zero);
		m->in_scale = malloc(m->channels * sizeof(float));
		m->in_zero = malloc(m->channels * sizeof(float));
		for (size_t c = 0; c < m->channels; c++) {
			m->in_scale[c] = (float)(c + 1) / 3.0f;
			m->in_zero[c] = nextafterf(100.0f + (float)c, 1000.0f);
		}
		memset(m->sha256, 'f', 64);
		m->mean[0] = -1.17549435e-38f;
		m->mean[1] = 3.40282347e38f;
		m->mean[2] = -0.0f;
		m->accuracy = 0.1f;
		assert_round_trip(m);
		hw_manifest_free(m);
	}
	free(roles);
}

static void a_manifest_that_would_not_read_is_not_written(void **state)
{
	struct hw_manifest *m = NULL;
	struct hw_error err;
	char path[256];
	uint8_t *now;

	(void)state;
	snprintf(path, sizeof(path), "%s/kept.json", tmp_dir());
	spit(path, "old", 3);
	assert_ok(manifest_parse(own_text, &m, &err), &err);
	m->std[1] = INFINITY;
	assert_int_equal(hw_manifest_write(m, path, &err), -EINVAL);
	assert_int_equal(err.code, -EINVAL);
	assert_non_null(strstr(err.text, "normalization.std[1]: expected a finite number above 0"));
	m->std[1] = 1;
	m->name[0] = 0;
	assert_int_equal(hw_manifest_write(m, path, &err), -EINVAL);
	assert_non_null(strstr(err.text, "name: expected a text"));
	strcpy(m->name, "n");
	free(m->in_zero);
	m->in_zero = NULL;
	assert_int_equal(hw_manifest_write(m, path, &err), -EINVAL);
	now = slurp(path, NULL);
	assert_string_equal((char *)now, "old");
	free(now);
	hw_manifest_free(m);
}

static void writing_says_why_it_failed(void **state)
{
	struct hw_manifest *m = NULL;
	struct hw_error err;
	char path[256];

	(void)state;
	assert_ok(manifest_parse(own_text, &m, &err), &err);
	snprintf(path, sizeof(path), "%s/no/folder/m.json", tmp_dir());
	assert_int_equal(hw_manifest_write(m, path, &err), -ENOENT);
	assert_non_null(strstr(err.text, "no/folder"));
	hw_manifest_free(m);
}

static size_t mallocs_left;

static void *scarce_malloc(size_t n)
{
	return mallocs_left && mallocs_left-- ? malloc(n) : NULL;
}

/* Out of memory at each allocation of the JSON tree: an error, no file, and (ASan) no leak. */
static void writing_without_memory(void **state)
{
	struct hw_manifest *m = NULL;
	struct hw_error err;
	char path[256];
	size_t n = 0;
	int r;

	(void)state;
	snprintf(path, sizeof(path), "%s/scarce.json", tmp_dir());
	assert_ok(manifest_parse(own_text, &m, &err), &err);
	do {
		cJSON_Hooks scarce = {scarce_malloc, free};

		mallocs_left = n++;
		cJSON_InitHooks(&scarce);
		r = hw_manifest_write(m, path, &err);
		cJSON_InitHooks(NULL);
		if (r == 0)
			break;
		assert_true(r == -ENOMEM || r == -EINVAL);
		assert_int_equal(access(path, F_OK), -1);
	} while (n < 10000);
	assert_int_equal(r, 0);
	assert_true(n > 50);
	hw_manifest_free(m);
}

static void paths(void **state)
{
	static const struct {
		const char *model, *manifest;
	} cases[] = {
	    {"x/model.hef", "x/model.json"},	 {"x/model.onnx", "x/model.json"},
	    {"model.hef", "model.json"},	 {"a.hef/model", "a.hef/model.json"},
	    {"a.b/m.v2.hef", "a.b/m.v2.json"},	 {"model", "model.json"},
	    {"model.hefty", "model.hefty.json"}, {"d/.hef", "d/.hef.json"},
	    {"m.hef.onnx", "m.hef.json"},
	};
	char out[64], small[11];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(hw_manifest_path(cases[i].model, out, sizeof(out)), 0);
		assert_string_equal(out, cases[i].manifest);
	}
	assert_int_equal(hw_manifest_path("model.hef", small, 11), 0);
	assert_string_equal(small, "model.json");
	assert_int_equal(hw_manifest_path("model.hef", small, 10), -ENAMETOOLONG);
	assert_int_equal(hw_manifest_path("models.onnx", small, 11), -ENAMETOOLONG);
}

static void input_is_normalised_and_quantised(void **state)
{
	struct hw_manifest *m = NULL;
	struct hw_error err;
	float raw[6] = {1, -2.5f, 0, 7.25f, 0.1f, -0.0015f}, out[6];
	/* by hand: (x - mean) / std / scale + zero point */
	static const double want[6] = {
	    128, 0, 255, 128 + 3.125 / 0.01, 5.2 / 0.02, 255 - 1.5 / 0.04};

	(void)state;
	assert_ok(manifest_parse(own_text, &m, &err), &err);
	hw_manifest_input(m, raw, out);
	for (size_t i = 0; i < 6; i++)
		assert_float_equal(out[i], want[i], 1e-4);
	/* Bit for bit what floats give, so that latents compare with references made that way. */
	free(m->in_scale);
	m->in_scale = NULL;
	hw_manifest_input(m, raw, out);
	for (size_t i = 0; i < 6; i++) {
		float difference = raw[i] - m->mean[i % 3];

		assert_true(out[i] == difference / m->std[i % 3]);
	}
	hw_manifest_input(m, raw, raw);
	assert_memory_equal(raw, out, sizeof(raw));
	hw_manifest_free(m);
}

static void scores_are_a_softmax_of_distances(void **state)
{
	static const float latent[][2] = {{0, 0}, {1, 0}, {0.5f, 1}, {1e4f, -1e4f}, {1e30f, 1e30f}};
	struct hw_manifest *m = NULL;
	struct hw_error err;
	float s[3];

	(void)state;
	assert_ok(manifest_parse(own_text, &m, &err), &err);
	/* z = (0,0): squared distances 0, 1, 9 over 0.5 */
	hw_manifest_scores(m, latent[0], s);
	assert_float_equal(s[0], 0.880797068, 1e-6);
	assert_float_equal(s[1], 0.119202919, 1e-6);
	assert_float_equal(s[2], 1.34147e-8, 1e-12);
	/* z = (1,0): 1, 0, 10 */
	hw_manifest_scores(m, latent[1], s);
	assert_float_equal(s[1], 0.880797076, 1e-6);
	/* Between two prototypes, and so far away that exp() alone would be 0 for all of them. */
	hw_manifest_scores(m, latent[2], s);
	assert_float_equal(s[0], s[1], 1e-7);
	hw_manifest_scores(m, latent[3], s);
	assert_float_equal(s[1], 1, 1e-6);
	for (size_t i = 0; i < ARRAY_SIZE(latent); i++) {
		float sum = 0;

		hw_manifest_scores(m, latent[i], s);
		for (size_t k = 0; k < 3; k++) {
			assert_in_range((intmax_t)(s[k] * 1e6f), 0, 1000000);
			sum += s[k];
		}
		assert_float_equal(sum, 1, 1e-6);
	}
	hw_manifest_free(m);
}

static void default_model_has_a_sound_manifest(void **state)
{
	static const char *const motifs[] = {"sit",  "stay", "heel", "come",  "down", "shake",
					     "spin", "jump", "bark", "sniff", "walk", "play"};
	struct hw_manifest *m = NULL;
	uint8_t sum[SHA256_DIGEST_LENGTH], *onnx;
	struct hw_error err;
	char hex[65];
	size_t len;

	(void)state;
	assert_ok(hw_manifest_read(top_path("deploy/models/imu-motion.json"), &m, &err), &err);
	assert_string_equal(m->name, "imu-motion");
	assert_string_equal(m->training_data, "synthetic");
	assert_string_equal(m->latent_name, "latent_embeddings");
	assert_string_equal(m->scores_name, "motif_scores");
	assert_int_equal(m->timesteps, 100);
	assert_int_equal(m->channels, 9);
	assert_int_equal(m->latent_size, 64);
	assert_int_equal(m->motifs, ARRAY_SIZE(motifs));
	for (size_t i = 0; i < ARRAY_SIZE(motifs); i++)
		assert_string_equal(m->motif_names[i], motifs[i]);
	assert_true(m->accuracy >= 0.97f);
	onnx = slurp(top_path("deploy/models/imu-motion.onnx"), &len);
	SHA256(onnx, len, sum);
	for (size_t i = 0; i < sizeof(sum); i++)
		snprintf(hex + 2 * i, 3, "%02x", sum[i]);
	assert_string_equal(m->onnx_sha256, hex);
	assert_round_trip(m);
	free(onnx);
	hw_manifest_free(m);
}

/* The data of the accuracy test: twenty windows of each motif, within what /infer accepts. */
static void held_out_windows_are_sound(void **state)
{
	static const float limit[] = {500, 500, 500, 35, 35, 35, 2000, 2000, 2000};
	struct imu_windows w;
	unsigned int of[12] = {0};

	(void)state;
	imu_windows_load(top_path("tests/data/imu-heldout.bin"), &w);
	assert_int_equal(w.count, 240);
	assert_int_equal(w.steps, 100);
	assert_int_equal(w.channels, 9);
	assert_int_equal(w.motifs, 12);
	for (size_t i = 0; i < w.count; i++) {
		double gravity = 0;

		assert_true(w.label[i] < 12);
		of[w.label[i]]++;
		for (size_t k = 0; k < 900; k++)
			assert_true(fabsf(imu_window(&w, i)[k]) <= limit[k % 9]);
		for (size_t t = 0; t < 100; t++)
			gravity +=
			    hypot(hypot(imu_window(&w, i)[9 * t], imu_window(&w, i)[9 * t + 1]),
				  imu_window(&w, i)[9 * t + 2]) /
			    100;
		assert_true(gravity > 7 && gravity < 20);
	}
	for (size_t i = 0; i < 12; i++)
		assert_int_equal(of[i], 20);
	imu_windows_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(our_format_is_read),
	    cmocka_unit_test(only_the_needed_fields),
	    cmocka_unit_test(outputs_find_their_roles),
	    cmocka_unit_test(exporter_format_is_read),
	    cmocka_unit_test(exporter_file_as_it_ships),
	    cmocka_unit_test(what_is_written_reads_back),
	    cmocka_unit_test(a_manifest_that_would_not_read_is_not_written),
	    cmocka_unit_test(writing_says_why_it_failed),
	    cmocka_unit_test(writing_without_memory),
	    cmocka_unit_test(paths),
	    cmocka_unit_test(input_is_normalised_and_quantised),
	    cmocka_unit_test(scores_are_a_softmax_of_distances),
	    cmocka_unit_test(default_model_has_a_sound_manifest),
	    cmocka_unit_test(held_out_windows_are_sound),
	};

	return cmocka_run_group_tests_name("manifest", tests, NULL, NULL);
}
