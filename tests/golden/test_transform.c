// SPDX-License-Identifier: MIT
/*
 * Host transforms against the vendor's library: golden/README section 4.  Inputs come from its
 * generators (their digests are checked, too), so large frames are compared whole.
 */
#include "support/support.h"

#include <dirent.h>
#include <math.h>

#include <openssl/evp.h>

#include "host/layout.h"

static const char *const networks[] = {
    "mnist_cnn.hailo8.v0",
    "fsq_m13_imu.hailo8.v2",
    "hand_landmark_lite.hailo8.v2",
    "model_3x640x640.hailo8l.v1",
};

static const cJSON *get(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	if (!v)
		fail_msg("the recording has no \"%s\"", key);
	return v;
}

static int number(const cJSON *o, const char *key)
{
	return get(o, key)->valueint;
}

static const char *text(const cJSON *o, const char *key)
{
	return get(o, key)->valuestring;
}

static const cJSON *named(const cJSON *list, const char *key, const char *name)
{
	const cJSON *x;

	cJSON_ArrayForEach(x, list)
	{
		if (!strcmp(text(x, key), name))
			return x;
	}
	fail_msg("nothing is called %s", name);
	return NULL;
}

static enum hw_type type_of(const char *s)
{
	return s[0] == 'f' ? HW_TYPE_F32 : !strcmp(s, "u16") ? HW_TYPE_U16 : HW_TYPE_U8;
}

static enum hw_order order_of(const char *s)
{
	return !strcmp(s, "nhwc")   ? HW_ORDER_NHWC
	       : !strcmp(s, "nchw") ? HW_ORDER_NCHW
	       : !strcmp(s, "nhcw") ? HW_ORDER_NHCW
				    : HW_ORDER_AUTO;
}

static void check_sha(const void *data, size_t len, const cJSON *want, const char *what)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned int n;
	char hex[65];

	assert_int_equal(len, number(want, "bytes"));
	assert_true(EVP_Digest(data, len, md, &n, EVP_sha256(), NULL));
	for (unsigned int i = 0; i < n; i++)
		snprintf(hex + 2 * i, 3, "%02x", md[i]);
	if (strcmp(hex, text(want, "sha256")))
		fail_msg("%s: %zu bytes differ from the recording", what, len);
}

/* 4.1 */
static void generate_input(void *out, const struct host_layout *l, bool no_saturation, uint32_t k)
{
	float step = l->user.quant.scale * 0.125f;
	int32_t shift = 8 * (int32_t)roundf(l->user.quant.zero_point);

	for (uint32_t i = 0; i < l->user.elements; i++) {
		uint32_t h = i * 2654435761u + k * 2246822519u;
		int32_t q;

		if (l->user.type == HW_TYPE_U8) {
			((uint8_t *)out)[i] = (uint8_t)(i * 167 + (i >> 8) * 59 + k * 31 + 7);
			continue;
		}
		h ^= h >> 15;
		h *= 2246822519u;
		h ^= h >> 13;
		q = no_saturation ? (int32_t)(h % 2041) - shift : (int32_t)(h % 2401) - 200 - shift;
		((float *)out)[i] = (float)q * step;
	}
}

static void generate_output(uint8_t *out, size_t n, uint32_t channel, uint32_t k)
{
	for (uint32_t i = 0; i < n; i++)
		out[i] = (uint8_t)(i * 167 + (i >> 8) * 59 + k * 31 + channel * 17 + 5);
}

/*
 * Identity quantisation: the recording wraps around where we saturate (4.2).  What is in range
 * must be equal, the rest must be at the end of the range; only the recorded head is known.
 */
static void check_saturated(const char *dir, const struct host_layout *l, const float *in,
			    const uint8_t *hw, const cJSON *want)
{
	const cJSON *file = cJSON_GetObjectItem(want, "file");
	size_t len, outside = 0;
	char path[1024];
	uint8_t *golden;

	assert_true(l->user.order == HW_ORDER_NHWC || l->user.features == 1);
	snprintf(path, sizeof(path), "%s/%s", dir,
		 file ? file->valuestring : text(want, "file_head"));
	golden = slurp(path, &len);
	for (size_t i = 0; i < len && i < l->user.elements; i++) {
		if (in[i] < -0.5f || in[i] >= 255.5f) { /* which rounds to 256 */
			assert_int_equal(hw[i], in[i] < 0 ? 0 : 255);
			outside++;
		} else {
			assert_int_equal(hw[i], golden[i]);
		}
	}
	assert_true(outside > 0); /* or this detour would not be needed */
	free(golden);
}

static const struct hef_layer *find_layer(const struct hef_core_op *op, const char *name)
{
	for (size_t i = 0; i < op->contexts[0].n_layers; i++) {
		if (!strcmp(op->contexts[0].layers[i].name, name))
			return &op->contexts[0].layers[i];
	}
	fail_msg("the file has no layer %s", name);
	return NULL;
}

static void check_stream(const struct host_layout *l, const struct hef_layer *layer,
			 const cJSON *stream, const cJSON *user)
{
	const cJSON *shape = get(stream, "hw_shape");

	assert_int_equal(l->hw_height, cJSON_GetArrayItem(shape, 0)->valueint);
	assert_int_equal(l->hw_width, cJSON_GetArrayItem(shape, 1)->valueint);
	assert_int_equal(l->hw_features, cJSON_GetArrayItem(shape, 2)->valueint);
	assert_int_equal(l->hw_order, number(stream, "hw_order"));
	assert_int_equal(l->hw_type, number(stream, "hw_type"));
	assert_int_equal(l->hw_bytes, number(stream, "hw_frame_bytes"));
	assert_int_equal(hef_transfer_bytes(layer), number(stream, "hw_frame_bytes"));
	assert_int_equal(layer->stream, number(stream, "index"));
	assert_float_equal(layer->quant.zero_point, get(stream, "qp_zp")->valuedouble, 0);
	assert_float_equal(layer->quant.scale, strtod(text(stream, "qp_scale_hex"), NULL), 0);
	shape = get(user, "shape");
	assert_int_equal(l->user.height, cJSON_GetArrayItem(shape, 0)->valueint);
	assert_int_equal(l->user.width, cJSON_GetArrayItem(shape, 1)->valueint);
	assert_int_equal(l->user.features, cJSON_GetArrayItem(shape, 2)->valueint);
	assert_int_equal(l->user.order, number(user, "user_order"));
	assert_int_equal(l->user.type, number(user, "user_type"));
	assert_int_equal(l->user.frame_bytes, number(user, "frame_bytes"));
	assert_float_equal(layer->quant.lim_max, (float)get(user, "lim_max")->valuedouble, 1e-6);
}

static void check_input(const struct hef_core_op *op, const cJSON *run, const char *dir,
			const cJSON *user)
{
	const char *name = text(user, "name");
	const cJSON *request = get(run, "request"), *frame;
	const struct hef_layer *layer = find_layer(op, name);
	const cJSON *stream = named(get(run, "streams"), "name", name);
	bool no_saturation = !strcmp(text(request, "in_type"), "f32r");
	struct hw_error err;
	struct host_layout l;
	uint32_t k = 0;
	void *in, *hw;

	assert_ok(host_layout_init(layer, type_of(text(request, "in_type")),
				  order_of(text(request, "in_order")), &l, &err),
		  &err);
	check_stream(&l, layer, stream, user);
	in = malloc(l.user.frame_bytes);
	hw = malloc(l.hw_bytes);
	cJSON_ArrayForEach(frame, get(run, "frames"))
	{
		const cJSON *h2d = named(get(frame, "h2d"), "stream", name);
		bool identity = l.user.type == HW_TYPE_F32 && layer->quant.scale == 1.0f &&
				layer->quant.zero_point == 0.0f;

		generate_input(in, &l, no_saturation, k++);
		check_sha(in, l.user.frame_bytes, named(get(frame, "user_in"), "vstream", name),
			  "generated input");
		memset(hw, 0xa5, l.hw_bytes);
		host_layout_to_hw(&l, in, hw);
		if (identity && !no_saturation)
			check_saturated(dir, &l, in, hw, h2d);
		else
			check_sha(hw, l.hw_bytes, h2d, dir);
	}
	free(in);
	free(hw);
}

static void check_output(const struct hef_core_op *op, const cJSON *run, const char *dir,
			 const cJSON *user)
{
	const char *name = text(user, "name");
	const cJSON *request = get(run, "request"), *frame;
	const struct hef_layer *layer = find_layer(op, name);
	const cJSON *stream = named(get(run, "streams"), "name", name);
	struct hw_error err;
	struct host_layout l;
	uint32_t k = 0;
	void *out, *hw;

	assert_ok(host_layout_init(layer, type_of(text(request, "out_type")),
				  order_of(text(request, "out_order")), &l, &err),
		  &err);
	check_stream(&l, layer, stream, user);
	out = malloc(l.user.frame_bytes);
	hw = malloc(l.hw_bytes);
	cJSON_ArrayForEach(frame, get(run, "frames"))
	{
		generate_output(hw, l.hw_bytes, (uint32_t)number(stream, "channel"), k++);
		check_sha(hw, l.hw_bytes, named(get(frame, "d2h"), "stream", name),
			  "generated output");
		memset(out, 0xa5, l.user.frame_bytes);
		host_layout_from_hw(&l, hw, out);
		check_sha(out, l.user.frame_bytes, named(get(frame, "user_out"), "vstream", name),
			  dir);
	}
	free(out);
	free(hw);
}

/* At least one layer refuses, as the vendor's library does. */
static void check_refused(const struct hef_core_op *op, const cJSON *run, const char *path)
{
	const cJSON *request = get(run, "request");
	size_t refused = 0;

	for (size_t i = 0; i < op->contexts[0].n_layers; i++) {
		const struct hef_layer *layer = &op->contexts[0].layers[i];
		const char *type = text(request, layer->input ? "in_type" : "out_type");
		const char *order = text(request, layer->input ? "in_order" : "out_order");
		struct hw_error err = {0};
		struct host_layout l;

		if (host_layout_init(layer, type_of(type), order_of(order), &l, &err) < 0) {
			assert_int_equal(err.code, -ENOTSUP);
			assert_non_null(strstr(err.text, layer->name));
			refused++;
		}
	}
	if (!refused)
		fail_msg("%s: the vendor refuses this, we do not", path);
}

static void check_run(const struct hef_core_op *op, const char *path, size_t *accepted,
		      size_t *refused)
{
	const cJSON *user;
	char dir[512];
	uint8_t *raw;
	size_t len;
	cJSON *run;

	raw = slurp(path, &len);
	run = cJSON_Parse((const char *)raw);
	assert_non_null(run);
	free(raw);
	snprintf(dir, sizeof(dir), "%.*s", (int)(strlen(path) - strlen(".json")), path);
	if (number(run, "exit_code")) {
		check_refused(op, run, path);
		(*refused)++;
	} else {
		cJSON_ArrayForEach(user, get(run, "inputs")) check_input(op, run, dir, user);
		cJSON_ArrayForEach(user, get(run, "outputs")) check_output(op, run, dir, user);
		(*accepted)++;
	}
	cJSON_Delete(run);
}

static void transforms_equal_the_recordings(void **state)
{
	size_t accepted = 0, refused = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(networks); i++) {
		struct hw_error err;
		struct hef *hef;
		struct dirent *e;
		char path[1024];
		char dir[300];
		DIR *d;

		snprintf(path, sizeof(path), "data/hef/%s.hef", networks[i]);
		assert_ok(hef_open(shared_path(path), &hef, NULL, &err), &err);
		snprintf(path, sizeof(path), "golden/transform/%s", networks[i]);
		snprintf(dir, sizeof(dir), "%s", shared_path(path));
		d = opendir(dir);
		assert_non_null(d);
		while ((e = readdir(d))) {
			if (!strstr(e->d_name, ".json"))
				continue;
			snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
			check_run(&hef->groups[0].core_ops[0], path, &accepted, &refused);
		}
		closedir(d);
		hef_free(hef);
	}
	/* The recordings at hand; fewer would mean that some were not found. */
	assert_true(accepted >= 26);
	assert_true(refused >= 30);
	print_message("%zu combinations equal, %zu refused alike\n", accepted, refused);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(transforms_equal_the_recordings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
