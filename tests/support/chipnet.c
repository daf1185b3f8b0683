// SPDX-License-Identifier: MIT
#include "support/chipnet.h"

#include <math.h>

static cJSON *read_json(const char *path)
{
	size_t len;
	char *text = (char *)slurp(path, &len);
	cJSON *j = cJSON_Parse(text);

	free(text);
	assert_non_null(j);
	return j;
}

static float *read_window(const cJSON *x, const struct tcn_data *d)
{
	float *w = malloc(TCN_STEPS * TCN_CHANNELS * sizeof(*w));
	int t = 0;
	const cJSON *row;

	assert_non_null(w);
	assert_int_equal(cJSON_GetArraySize(x), TCN_STEPS);
	cJSON_ArrayForEach(row, x)
	{
		assert_int_equal(cJSON_GetArraySize(row), TCN_CHANNELS);
		for (int c = 0; c < TCN_CHANNELS; c++) {
			float v = (float)cJSON_GetArrayItem(row, c)->valuedouble;

			w[t * TCN_CHANNELS + c] = (v - d->mean[c]) / d->std[c];
		}
		t++;
	}
	return w;
}

void tcn_load(struct tcn_data *d)
{
	static const char *const files[] = {"random", "realistic", "static", "walking"};
	cJSON *config = read_json(shared_path("data/tcn_model_config.json"));
	cJSON *norm = cJSON_GetObjectItem(config, "normalization"), *ref, *c;

	memset(d, 0, sizeof(*d));
	for (int i = 0; i < TCN_CHANNELS; i++) {
		d->mean[i] =
		    (float)cJSON_GetArrayItem(cJSON_GetObjectItem(norm, "mean"), i)->valuedouble;
		d->std[i] =
		    (float)cJSON_GetArrayItem(cJSON_GetObjectItem(norm, "std"), i)->valuedouble;
	}
	cJSON_Delete(config);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char rel[64];
		cJSON *j;

		snprintf(rel, sizeof(rel), "data/imu/%s_imu_sample.json", files[i]);
		j = read_json(shared_path(rel));
		d->calib[d->n_calib++] = read_window(cJSON_GetObjectItem(j, "x"), d);
		cJSON_Delete(j);
	}
	ref = read_json(shared_path("data/tcn_reference_vectors.json"));
	cJSON_ArrayForEach(c, cJSON_GetObjectItem(ref, "cases"))
	{
		size_t i = d->n_cases++;

		assert_true(i < 8);
		snprintf(d->name[i], sizeof(d->name[i]), "%s", c->string);
		d->window[i] = read_window(cJSON_GetObjectItem(c, "x"), d);
		for (int j = 0; j < TCN_LATENTS; j++)
			d->latent[i][j] =
			    (float)cJSON_GetArrayItem(cJSON_GetObjectItem(c, "latent"), j)
				->valuedouble;
	}
	cJSON_Delete(ref);
}

void tcn_free(struct tcn_data *d)
{
	for (size_t i = 0; i < d->n_calib; i++)
		free(d->calib[i]);
	for (size_t i = 0; i < d->n_cases; i++)
		free(d->window[i]);
}

void tcn_build(const struct tcn_data *d, struct build_result *out)
{
	struct hw_error err = {0};
	struct onnx_graph *g;
	const float *samples[8];

	for (size_t i = 0; i < d->n_calib; i++)
		samples[i] = d->calib[i];
	assert_ok(onnx_open(shared_path("data/tcn_encoder_for_edgeinfer.onnx"), &g, &err), &err);
	assert_ok(build_hef(g, &(struct build_options){.n_samples = d->n_calib, .samples = samples},
			    out, &err),
		  &err);
	onnx_free(g);
}

/* ------------------------------------------------ just enough protobuf to find the CCWs */

struct field {
	uint32_t number;
	uint64_t value;	   /* wire type 0 */
	struct span bytes; /* wire type 2 */
};

static uint64_t varint(struct span *s)
{
	uint64_t v = 0;
	struct span b = {0};

	for (unsigned int shift = 0; shift < 64; shift += 7) {
		assert_int_equal(span_take(s, 1, &b), 0);
		v |= (uint64_t)(b.ptr[0] & 0x7f) << shift;
		if (!(b.ptr[0] & 0x80))
			return v;
	}
	fail_msg("varint too long");
	return 0;
}

static bool next_field(struct span *s, struct field *f)
{
	uint64_t tag;

	if (!s->len)
		return false;
	tag = varint(s);
	*f = (struct field){.number = (uint32_t)(tag >> 3)};
	switch (tag & 7) {
	case 0:
		f->value = varint(s);
		break;
	case 1:
		assert_int_equal(span_take(s, 8, &f->bytes), 0);
		break;
	case 2:
		assert_int_equal(span_take(s, varint(s), &f->bytes), 0);
		break;
	case 5:
		assert_int_equal(span_take(s, 4, &f->bytes), 0);
		break;
	default:
		fail_msg("wire type %u", (unsigned int)(tag & 7));
	}
	return true;
}

/* hef-format messages 1, 29, 64, 35, 43, 44: walk down to every write_data_ccw_ptr. */
static void walk(struct span s, unsigned int depth, struct span zero, struct buf out[2])
{
	static const uint32_t path[] = {2, 7, 1, 2, 1, 2, 16};
	struct field f;
	uint64_t offset = 0, size = 0, channel = 0;

	while (next_field(&s, &f)) {
		if (depth < ARRAY_SIZE(path)) {
			if (f.number == path[depth] && f.bytes.ptr)
				walk(f.bytes, depth + 1, zero, out);
			/* the variants for several cluster layouts share their data: the first will
			 * do */
			if (f.number == 7 && depth == 1)
				return;
			continue;
		}
		if (f.number == 1)
			offset = f.value;
		else if (f.number == 2)
			size = f.value;
		else if (f.number == 3)
			channel = f.value;
	}
	if (depth < ARRAY_SIZE(path))
		return;
	assert_true(channel < 2 && size % 8 == 0 && offset + size <= zero.len);
	buf_put(&out[channel], zero.ptr + offset, size);
}

void chipnet_streams(const uint8_t *hef, size_t len, uint8_t *stream[2], size_t size[2])
{
	struct buf out[2] = {{0}, {0}};
	uint32_t proto;

	assert_true(len > 44);
	assert_int_equal(get_be32(hef), 0x01484546);
	assert_int_equal(get_be32(hef + 4), 2);
	proto = get_be32(hef + 8);
	assert_int_equal(len, 44 + proto + get_be64(hef + 20));
	walk((struct span){hef + 44, proto}, 0, (struct span){hef + 44 + proto, len - 44 - proto},
	     out);
	assert_int_equal(out[0].len + out[1].len, len - 44 - proto);
	for (int i = 0; i < 2; i++) {
		stream[i] = out[i].ptr;
		size[i] = out[i].len;
		assert_true(size[i] > 0);
	}
}

struct core *core_from_hef(const uint8_t *hef, size_t len, unsigned int threads)
{
	struct core *core = core_new(threads);
	uint8_t *stream[2];
	size_t size[2];

	assert_non_null(core);
	chipnet_streams(hef, len, stream, size);
	for (unsigned int i = 0; i < 2; i++) {
		if (core_feed(core, i, stream[i], size[i]))
			fail_msg("core_feed: %s", core_error(core));
		assert_true(core_stream_done(core, i));
		free(stream[i]);
	}
	if (core_ready(core))
		fail_msg("core_ready: %s", core_error(core));
	return core;
}

void core_run_f32(struct core *core, const struct build_result *b, const float *in, size_t n,
		  uint8_t *out)
{
	uint8_t *codes = malloc(n);

	assert_non_null(codes);
	for (size_t i = 0; i < n; i++) {
		float v =
		    nearbyintf(in[i] / b->in_scale[i % b->channels] + b->in_zero[i % b->channels]);

		codes[i] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
	}
	assert_int_equal(core_run(core, (const uint8_t *const[]){codes}, (uint8_t *const[]){out}),
			 0);
	free(codes);
}

double cosine(const float *a, const float *b, size_t n)
{
	double ab = 0, aa = 0, bb = 0;

	for (size_t i = 0; i < n; i++) {
		ab += (double)a[i] * b[i];
		aa += (double)a[i] * a[i];
		bb += (double)b[i] * b[i];
	}
	return ab / sqrt(aa * bb);
}
