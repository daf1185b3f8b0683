// SPDX-License-Identifier: MIT
/*
 * Host layout and quantisation against the formulas of hef-format 6.2 to 6.6, written down here
 * one element at a time.
 */
#include "support/support.h"

#include <math.h>

#include "host/layout.h"

/* Elements of a frame as numbers, whatever their type. */
static double load(const void *p, enum hw_type type, size_t i)
{
	switch (type) {
	case HW_TYPE_U8:
		return ((const uint8_t *)p)[i];
	case HW_TYPE_U16:
		return ((const uint16_t *)p)[i];
	default:
		return (double)((const float *)p)[i];
	}
}

static size_t size_of(enum hw_type type)
{
	return type == HW_TYPE_U8 ? 1 : type == HW_TYPE_U16 ? 2 : 4;
}

/* 6.2 for one value */
static uint32_t quantized(float x, const struct hw_quant *q, uint32_t max)
{
	float v = x;

	if (!(q->scale == 1.0f && q->zero_point == 0.0f)) {
		float c = x >= q->lim_max ? q->lim_max : x <= q->lim_min ? q->lim_min : x;

		v = c / q->scale;
		v = v + q->zero_point;
	}
	v = rintf(v);
	if (!(v > 0))
		return 0;
	return v >= (float)max ? max : (uint32_t)v;
}

/* User index of row @r, column @c, feature @f in the user's own shape */
static size_t user_index(const struct host_layout *l, size_t r, size_t c, size_t f)
{
	size_t h = l->user.height, w = l->user.width, n = l->user.features;

	switch (l->user.order) {
	case HW_ORDER_NHCW:
		return (r * n + f) * w + c;
	case HW_ORDER_NCHW:
		return (f * h + r) * w + c;
	case HW_ORDER_RGB4:
		return r * ((w * n + 3) / 4 * 4) + c * n + f;
	default:
		return (r * w + c) * n + f;
	}
}

/* Hardware index of the same, row and column in the hardware's orientation */
static size_t hw_index(const struct host_layout *l, size_t r, size_t c, size_t f)
{
	size_t q = l->hw_width, n = l->hw_features;

	switch (l->hw_order) {
	case HW_ORDER_NHCW:
		return r * q * n + f * q + c;
	case HW_ORDER_F8CR:
		return r * q * n + 8 * (f / 8) * q + 8 * c + f % 8;
	case HW_ORDER_RGB888:
		return (r * q + c) * 4 + 2 - f;
	case HW_ORDER_NHW:
		return r * q + c;
	case HW_ORDER_NC:
		return f;
	default:
		return r * q * n + c * n + f;
	}
}

struct combination {
	const char *name;
	bool input;
	enum hw_order user, hw;
	uint32_t h, w, c;     /* as stored: before exchanging */
	uint32_t p, q, r;
	uint8_t data_bytes;
	bool transposed;
	int feature_quant;    /* 1: different per feature, 2: all the same */
};

/* name, user order, hardware order, stored shape, hardware shape, data_bytes, transposed, ... */
#define IN(name, user, hw, h, w, c, p, q, r, bytes, turned, by_feature)                            \
	{name, true, HW_ORDER_##user, HW_ORDER_##hw, h, w, c, p, q, r, bytes, turned, by_feature}
#define OUT(name, user, hw, h, w, c, p, q, r, bytes, turned, by_feature)                           \
	{name, false, HW_ORDER_##user, HW_ORDER_##hw, h, w, c, p, q, r, bytes, turned, by_feature}

static const struct combination combinations[] = {
	IN("NHWC to NHCW", NHWC, NHCW, 3, 5, 7, 4, 8, 9, 1, 0, 0),
	IN("NHWC to NHCW, wide", NHWC, NHCW, 2, 100, 9, 2, 100, 9, 1, 0, 0),
	IN("NHWC to NHCW, 16 bit", NHWC, NHCW, 3, 50, 40, 3, 56, 40, 2, 0, 0),
	IN("NHWC to NHCW, turned", NHWC, NHCW, 3, 5, 7, 4, 8, 9, 1, 1, 0),
	IN("NHCW to NHCW", NHCW, NHCW, 3, 5, 7, 4, 8, 9, 1, 0, 0),
	IN("NHCW to NHCW, same", NHCW, NHCW, 3, 8, 7, 3, 8, 7, 1, 0, 0),
	IN("NCHW to NHCW", NCHW, NHCW, 3, 5, 7, 3, 8, 7, 1, 0, 0),
	IN("NHWC to NHWC", NHWC, NHWC, 3, 5, 7, 4, 8, 7, 1, 0, 0),
	IN("NHWC to NHWC, same", NHWC, NHWC, 3, 5, 7, 3, 5, 7, 1, 0, 0),
	IN("NHWC to NHWC, long rows", NHWC, NHWC, 2, 700, 3, 2, 704, 3, 1, 0, 0),
	IN("NHWC to NHWC, turned", NHWC, NHWC, 3, 5, 7, 3, 5, 7, 1, 1, 0),
	IN("NHWC to NHWC, turned, padded", NHWC, NHWC, 3, 5, 7, 4, 8, 7, 1, 1, 0),
	IN("BAYER to BAYER", BAYER_RGB, BAYER_RGB, 3, 5, 1, 4, 8, 1, 1, 0, 0),
	IN("12 bit BAYER", 12_BIT_BAYER_RGB, 12_BIT_BAYER_RGB, 3, 5, 1, 4, 8, 1, 2, 0, 0),
	IN("NC to NC", NC, NC, 1, 1, 13, 1, 1, 16, 1, 0, 0),
	IN("NHWC to FCR", NHWC, FCR, 3, 5, 7, 4, 6, 8, 1, 0, 0),
	IN("FCR to FCR", FCR, FCR, 3, 5, 7, 4, 6, 8, 1, 0, 0),
	IN("FCR to FCR, many", FCR, FCR, 2, 2, 1500, 2, 2, 1504, 1, 0, 0),
	IN("NHWC to F8CR", NHWC, F8CR, 3, 5, 19, 4, 6, 24, 1, 0, 0),
	IN("F8CR to F8CR", F8CR, F8CR, 3, 5, 16, 3, 5, 16, 1, 0, 0),
	IN("F8CR to F8CR, 8", F8CR, F8CR, 3, 5, 8, 3, 5, 8, 1, 0, 0),
	IN("NHWC to F8CR, turned", NHWC, F8CR, 3, 5, 19, 4, 6, 24, 1, 1, 0),
	IN("NHWC to RGB888", NHWC, RGB888, 3, 5, 3, 4, 6, 4, 1, 0, 0),
	IN("NHWC to RGB888, one pixel", NHWC, RGB888, 1, 1, 3, 1, 2, 4, 1, 0, 0),
	IN("RGB4 to NHWC", RGB4, NHWC, 3, 5, 3, 4, 8, 3, 1, 0, 0),
	IN("RGB4 to NHCW", RGB4, NHCW, 3, 5, 3, 4, 8, 3, 1, 0, 0),
	IN("NHWC to NHCW, one pixel", NHWC, NHCW, 1, 1, 5, 1, 8, 5, 1, 0, 0),
	IN("NHCW to NHWC, C = 1", NHCW, NHWC, 3, 5, 1, 3, 5, 1, 1, 0, 0),
	OUT("NHCW to NHWC out", NHWC, NHCW, 3, 5, 7, 4, 8, 9, 1, 0, 0),
	OUT("NHCW to NHWC out, wide", NHWC, NHCW, 3, 500, 7, 3, 504, 7, 2, 0, 0),
	OUT("NHCW to NHWC out, turned", NHWC, NHCW, 3, 5, 7, 4, 8, 9, 1, 1, 0),
	OUT("NHCW to NHWC out, by feature", NHWC, NHCW, 3, 5, 7, 4, 8, 9, 1, 0, 1),
	OUT("NHCW to NCHW out", NCHW, NHCW, 3, 5, 7, 3, 8, 7, 1, 0, 0),
	OUT("NHCW to NCHW out, by feature", NCHW, NHCW, 3, 5, 7, 3, 8, 7, 1, 0, 1),
	OUT("NHCW to NHCW out, same, by feature", NHCW, NHCW, 3, 8, 7, 3, 8, 7, 1, 0, 1),
	OUT("NHWC to NHWC out", NHWC, NHWC, 3, 5, 7, 4, 8, 9, 1, 0, 0),
	OUT("NHWC to NHWC out, same, by feature", NHWC, NHWC, 3, 5, 7, 3, 5, 7, 1, 0, 1),
	OUT("NHWC to NHWC out, alike", NHWC, NHWC, 3, 5, 7, 3, 5, 7, 1, 0, 2),
	OUT("FCR to FCR out", FCR, FCR, 3, 5, 7, 4, 6, 8, 2, 0, 0),
	OUT("FCR to NHWC out", NHWC, FCR, 3, 5, 7, 4, 6, 8, 1, 0, 0),
	OUT("FCR to NHWC out, turned", NHWC, FCR, 3, 5, 7, 4, 6, 8, 1, 1, 0),
	OUT("F8CR to F8CR out", F8CR, F8CR, 3, 5, 19, 4, 6, 24, 1, 0, 0),
	OUT("F8CR to NHWC out, by feature", NHWC, F8CR, 3, 5, 19, 4, 6, 24, 1, 0, 1),
	OUT("NC to NC out", NC, NC, 1, 1, 63, 1, 1, 64, 1, 0, 0),
	OUT("NC to NC out, by feature", NC, NC, 1, 1, 63, 1, 1, 64, 1, 0, 1),
	OUT("NHW to NHW out", NHW, NHW, 3, 5, 1, 4, 8, 1, 1, 0, 0),
	OUT("NHW to NCHW out", NCHW, NHW, 3, 5, 1, 4, 8, 1, 1, 0, 0),
	OUT("BAYER to BAYER out", BAYER_RGB, BAYER_RGB, 3, 5, 1, 4, 8, 1, 1, 0, 0),
};

static struct hw_quant by_feature[2048];

static struct hef_layer layer_of(const struct combination *c)
{
	struct hef_layer l = {
		.kind = HEF_EDGE_BOUNDARY,
		.input = c->input,
		.name = "net/layer",
		.order = c->hw,
		.data_bytes = c->data_bytes,
		.transposed = c->transposed,
		.height = c->transposed ? c->w : c->h,
		.width = c->transposed ? c->h : c->w,
		.features = c->c,
		.hw_height = c->p,
		.hw_width = c->q,
		.hw_features = c->r,
		.quant = {3.0f, 0.37f, -1.0f, 80.0f},
	};

	if (c->feature_quant) {
		for (size_t i = 0; i < c->c; i++)
			by_feature[i] = (struct hw_quant){
				.zero_point = (float)(c->feature_quant == 1 ? i % 5 : 2),
				.scale = c->feature_quant == 1 ? 0.25f + 0.125f * (float)(i % 7)
							       : 0.75f,
			};
		l.quant = (struct hw_quant){0};
		l.feature_quant = by_feature;
		l.n_feature_quant = c->c;
	}
	return l;
}

static void fill(void *p, enum hw_type type, size_t n, uint32_t seed)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t v = (uint32_t)(i * 2654435761u + seed * 40503u) >> 7;

		if (type == HW_TYPE_U8)
			((uint8_t *)p)[i] = (uint8_t)v;
		else if (type == HW_TYPE_U16)
			((uint16_t *)p)[i] = (uint16_t)v;
		else
			((float *)p)[i] = (float)(v % 2000) * 0.0625f - 10.0f;
	}
}

static void check_in(const struct combination *c, const struct host_layout *l)
{
	size_t user_bytes = l->user.frame_bytes;
	size_t n = l->hw_bytes / size_of(l->hw_type), written = 0;
	uint8_t *seen = calloc(n, 1);
	void *user = malloc(user_bytes), *hw = malloc(l->hw_bytes + 8);

	fill(user, l->user.type, user_bytes / size_of(l->user.type), 1);
	memset(hw, 0xa5, l->hw_bytes + 8);
	host_layout_to_hw(l, user, hw);
	for (size_t r = 0; r < l->user.height; r++) {
		for (size_t col = 0; col < l->user.width; col++) {
			for (size_t f = 0; f < l->user.features; f++) {
				size_t u = user_index(l, r, col, f);
				size_t d = c->transposed ? hw_index(l, col, r, f)
							 : hw_index(l, r, col, f);
				double want = load(user, l->user.type, u);

				if (l->user.type == HW_TYPE_F32)
					want = quantized((float)want, &l->user.quant,
							 l->hw_type == HW_TYPE_U8 ? 255 : 65535);
				if (load(hw, l->hw_type, d) != want)
					fail_msg("%s: row %zu, column %zu, feature %zu: %g, not %g",
						 c->name, r, col, f, load(hw, l->hw_type, d), want);
				written += !seen[d];
				seen[d] = 1;
			}
		}
	}
	assert_int_equal(written, l->user.elements);
	for (size_t i = 0; i < n; i++) {
		if (!seen[i] && load(hw, l->hw_type, i) != 0)
			fail_msg("%s: padding at %zu is not zero", c->name, i);
	}
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(((uint8_t *)hw)[l->hw_bytes + i], 0xa5);
	free(seen);
	free(user);
	free(hw);
}

static double dequantized(const struct host_layout *l, const struct hef_layer *layer, double v,
			  size_t f)
{
	const struct hw_quant *q = layer->n_feature_quant ? &by_feature[f] : &layer->quant;
	float x = (float)v;

	if (l->user.type != HW_TYPE_F32 || l->user.order == HW_ORDER_NHW)
		return v;
	x = x - q->zero_point;
	x = x * q->scale;
	return (double)x;
}

static void check_out(const struct combination *c, const struct host_layout *l,
		      const struct hef_layer *layer)
{
	size_t bytes = l->user.frame_bytes;
	uint8_t *user = malloc(bytes + 8);
	void *hw = malloc(l->hw_bytes);

	fill(hw, l->hw_type, l->hw_bytes / size_of(l->hw_type), 2);
	memset(user, 0xa5, bytes + 8);
	host_layout_from_hw(l, hw, user);
	for (size_t r = 0; r < l->user.height; r++) {
		for (size_t col = 0; col < l->user.width; col++) {
			for (size_t f = 0; f < l->user.features; f++) {
				size_t d = c->transposed ? hw_index(l, col, r, f)
							 : hw_index(l, r, col, f);
				double want = dequantized(l, layer, load(hw, l->hw_type, d), f);
				double got = load(user, l->user.type, user_index(l, r, col, f));

				if (got != want)
					fail_msg("%s: row %zu, column %zu, feature %zu: %g, not %g",
						 c->name, r, col, f, got, want);
			}
		}
	}
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(user[bytes + i], 0xa5);
	free(user);
	free(hw);
}

static void every_element_lands_in_its_place(void **state)
{
	static const enum hw_type types[] = {HW_TYPE_U8, HW_TYPE_U16, HW_TYPE_F32};
	size_t done = 0, refused = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(combinations); i++) {
		const struct combination *c = &combinations[i];
		struct hef_layer layer = layer_of(c);

		for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
			struct hw_error err = {0};
			struct host_layout l;
			/* 6.1: 16 bits are not narrowed, in whichever direction */
			bool narrows = c->input ? types[t] == HW_TYPE_U16 && c->data_bytes == 1
						: types[t] == HW_TYPE_U8 && c->data_bytes == 2;

			if (narrows) {
				assert_int_equal(host_layout_init(&layer, types[t], c->user, &l, &err),
						 -ENOTSUP);
				refused++;
				continue;
			}
			if (host_layout_init(&layer, types[t], c->user, &l, &err))
				fail_msg("%s: %s", c->name, err.text);
			assert_int_equal(l.user.type, types[t]);
			assert_int_equal(l.user.order, c->user);
			if (c->input)
				check_in(c, &l);
			else
				check_out(c, &l, &layer);
			done++;
		}
	}
	assert_true(done > 80);
	assert_true(refused > 20);
}

/* 6.4, the packed YUV rows */
static void planar_images(void **state)
{
	static const struct {
		enum hw_order user, hw;
	} rows[] = {
		{HW_ORDER_NV12, HW_ORDER_HAILO_YYUV},
		{HW_ORDER_NV21, HW_ORDER_HAILO_YYVU},
		{HW_ORDER_I420, HW_ORDER_HAILO_YYYYUV},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		/* 8 rows of 6 pixels: a frame of 12 rows, packed as 4 x 6 x 3; padded to 8 wide */
		struct combination c = {"yuv", true, rows[i].user, rows[i].hw, 4, 6, 3,
					4, 8, 3, 1, false, 0};
		struct hef_layer layer = layer_of(&c);
		uint8_t user[72], hw[96], want[96] = {0};
		struct hw_error err;
		struct host_layout l;

		assert_ok(host_layout_init(&layer, HW_TYPE_AUTO, HW_ORDER_AUTO, &l, &err), &err);
		assert_int_equal(l.user.order, rows[i].user);
		assert_int_equal(l.user.frame_bytes, sizeof(user));
		assert_int_equal(l.hw_bytes, sizeof(hw));
		fill(user, HW_TYPE_U8, sizeof(user), 3);
		for (size_t pair = 0; pair < 4; pair++) {
			uint8_t *to = want + pair * 24;

			memcpy(to, user + pair * 12, 6);
			memcpy(to + 8, user + pair * 12 + 6, 6);
			if (rows[i].user == HW_ORDER_I420) {
				memcpy(to + 16, user + 48 + pair * 3, 3);
				memcpy(to + 20, user + 60 + pair * 3, 3);
			} else {
				memcpy(to + 16, user + 48 + pair * 6, 6);
			}
		}
		memset(hw, 0xa5, sizeof(hw));
		host_layout_to_hw(&l, user, hw);
		assert_bytes_equal(hw, sizeof(hw), want, sizeof(want), "packed image");
	}
}

/* 6.4: a row of pixels is copied as it is, also where the chip has more features. */
static void rows_are_copied_as_they_are(void **state)
{
	static const enum hw_order orders[] = {HW_ORDER_NHWC, HW_ORDER_BAYER_RGB, HW_ORDER_12_BIT_BAYER_RGB};
	static const uint8_t user[6] = {1, 2, 3, 4, 5, 6};
	static const uint8_t want[16] = {1, 2, 3, 0, 0, 0, 0, 0, 4, 5, 6};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
		const struct combination c = {"rows", true, orders[i], orders[i], 2, 3, 1, 2, 4, 2, 1, false, 0};
		struct hef_layer layer = layer_of(&c);
		struct host_layout l;
		struct hw_error err;
		uint8_t hw[16];

		assert_ok(host_layout_init(&layer, HW_TYPE_AUTO, HW_ORDER_AUTO, &l, &err), &err);
		host_layout_to_hw(&l, user, hw);
		assert_bytes_equal(hw, sizeof(hw), want, sizeof(want), "rows");
	}
}

static void refused_combinations(void **state)
{
	static const struct combination rows[] = {
		IN("NCHW to NHWC", NCHW, NHWC, 3, 5, 7, 3, 5, 7, 1, 0, 0),
		IN("NHCW to NHWC", NHCW, NHWC, 3, 5, 7, 3, 5, 7, 1, 0, 0),
		IN("NCHW, width not of 8", NCHW, NHCW, 3, 5, 7, 3, 5, 7, 1, 0, 0),
		IN("NCHW, features padded", NCHW, NHCW, 3, 8, 7, 3, 8, 8, 1, 0, 0),
		IN("NCHW turned", NCHW, NHCW, 8, 8, 7, 8, 8, 7, 1, 1, 0),
		IN("NHCW turned", NHCW, NHCW, 8, 8, 7, 8, 8, 7, 1, 1, 0),
		IN("BAYER of 3", BAYER_RGB, BAYER_RGB, 3, 5, 3, 4, 8, 3, 1, 0, 0),
		IN("RGB888 from 4", NHWC, RGB888, 3, 5, 4, 3, 5, 4, 1, 0, 0),
		IN("RGB888 to 3", NHWC, RGB888, 3, 5, 3, 3, 5, 3, 1, 0, 0),
		IN("F8CR, not of 8", NHWC, F8CR, 3, 5, 7, 3, 5, 7, 1, 0, 0),
		IN("smaller hardware", NHWC, NHCW, 3, 5, 7, 2, 5, 7, 1, 0, 0),
		IN("narrower hardware", NHWC, NHWC, 3, 5, 7, 3, 4, 7, 1, 0, 0),
		IN("fewer features", NHWC, FCR, 3, 5, 7, 3, 5, 6, 1, 0, 0),
		IN("NV12, odd width", NV12, HAILO_YYUV, 4, 5, 3, 4, 8, 3, 1, 0, 0),
		IN("NV12, rows not of 3", NV12, HAILO_YYUV, 4, 6, 2, 4, 8, 2, 1, 0, 0),
		OUT("NC to NHWC out", NHWC, NC, 1, 1, 7, 1, 1, 8, 1, 0, 0),
		OUT("FCR to NCHW out", NCHW, FCR, 3, 5, 7, 3, 5, 8, 1, 0, 0),
		OUT("NHCW to NHCW out, padded", NHCW, NHCW, 3, 5, 7, 3, 8, 7, 1, 0, 0),
		OUT("NHW to NCHW out of 2", NCHW, NHW, 3, 5, 2, 3, 5, 2, 1, 0, 0),
		{"unknown order", false, (enum hw_order)99, HW_ORDER_NHWC, 3, 5, 2, 3, 5, 2, 1, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct hef_layer layer = layer_of(&rows[i]);
		struct hw_error err = {0};
		struct host_layout l;

		if (host_layout_init(&layer, HW_TYPE_AUTO, rows[i].user, &l, &err) != -ENOTSUP)
			fail_msg("%s is not refused", rows[i].name);
		assert_non_null(strstr(err.text, "net/layer"));
	}
}

/* A file may speak of any number of rows without elements; walking them all would take for ever. */
static void frames_without_elements(void **state)
{
	static const uint32_t shapes[][3] = {{UINT32_MAX, UINT32_MAX, 0}, {UINT32_MAX, 0, UINT32_MAX},
					     {0, UINT32_MAX, UINT32_MAX}};
	size_t done = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(combinations) * ARRAY_SIZE(shapes); i++) {
		struct combination c = combinations[i / ARRAY_SIZE(shapes)];
		const uint32_t *n = shapes[i % ARRAY_SIZE(shapes)];
		uint8_t hw[8], user[8];
		struct hw_error err = {0};
		struct hef_layer layer;
		struct host_layout l;

		c.h = c.p = n[0];
		c.w = c.q = n[1];
		c.c = c.r = n[2];
		c.data_bytes = 1;
		c.feature_quant = 0;
		layer = layer_of(&c);
		if (host_layout_init(&layer, HW_TYPE_U8, c.user, &l, &err) < 0)
			continue;
		memset(hw, 0x55, sizeof(hw));
		memset(user, 0x66, sizeof(user));
		assert_int_equal(l.hw_bytes | l.user.frame_bytes, 0);
		if (c.input)
			host_layout_to_hw(&l, user, hw);
		else
			host_layout_from_hw(&l, hw, user);
		assert_memory_equal(hw, "UUUUUUUU", 8);
		assert_memory_equal(user, "ffffffff", 8);
		done++;
		/* and what has elements does not come from where there are none */
		layer.height = layer.width = layer.features = 1;
		assert_int_equal(host_layout_init(&layer, HW_TYPE_U8, c.user, &l, &err), -ENOTSUP);
	}
	assert_true(done > 20);
}

static void layers_without_a_plain_layout(void **state)
{
	struct combination c = combinations[0];
	struct hef_layer layer = layer_of(&c);
	struct hw_error err;
	struct host_layout l;

	(void)state;
	layer.quant = (struct hw_quant){0};
	assert_ok(host_layout_init(&layer, HW_TYPE_AUTO, HW_ORDER_AUTO, &l, &err), &err);
	assert_int_equal(host_layout_init(&layer, HW_TYPE_F32, HW_ORDER_AUTO, &l, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "quantisation"));
	layer.shape = HEF_SHAPE_MUX;
	assert_int_equal(host_layout_init(&layer, HW_TYPE_AUTO, HW_ORDER_AUTO, &l, &err), -ENOTSUP);
	layer.shape = HEF_SHAPE_INFO;
	layer.has_nms = true;
	assert_int_equal(host_layout_init(&layer, HW_TYPE_AUTO, HW_ORDER_AUTO, &l, &err), -ENOTSUP);
	layer.has_nms = false;
	assert_int_equal(host_layout_init(&layer, (enum hw_type)9, HW_ORDER_AUTO, &l, &err), -ENOTSUP);
}

/* -------------------------------------------------------------- quantisation */

static void rounding_and_saturation(void **state)
{
	static const struct {
		float in;
		struct hw_quant q;
		uint8_t u8;
		uint16_t u16;
	} rows[] = {
		/* Identity: ties to even, no clipping to the limits, saturation */
		{0.5f, {0, 1, 0, 1}, 0, 0},
		{1.5f, {0, 1, 0, 1}, 2, 2},
		{2.5f, {0, 1, 0, 1}, 2, 2},
		{254.5f, {0, 1, 0, 1}, 254, 254},
		{255.5f, {0, 1, 0, 1}, 255, 256},
		{-0.5f, {0, 1, 0, 1}, 0, 0},
		{-25.0f, {0, 1, 0, 1}, 0, 0},
		{268.75f, {0, 1, 0, 1}, 255, 269},
		{70000.0f, {0, 1, 0, 1}, 255, 65535},
		{65534.5f, {0, 1, 0, 1}, 255, 65534},
		{1e30f, {0, 1, 0, 1}, 255, 65535},
		{-1e30f, {0, 1, 0, 1}, 0, 0},
		{INFINITY, {0, 1, 0, 1}, 255, 65535},
		{-INFINITY, {0, 1, 0, 1}, 0, 0},
		{NAN, {0, 1, 0, 1}, 0, 0},
		/* Affine: clipped first */
		{100.0f, {10, 0.5f, -5, 20}, 50, 50},
		{-100.0f, {10, 0.5f, -5, 20}, 0, 0},
		{20.0f, {10, 0.5f, -5, 20}, 50, 50},
		{3.25f, {10, 0.5f, -5, 20}, 16, 16}, /* 6.5 + 10 is a tie */
		{3.75f, {10, 0.5f, -5, 20}, 18, 18},
		{-INFINITY, {10, 0.5f, -4, 20}, 2, 2},
		{INFINITY, {10, 0.5f, -4, 20}, 50, 50},
		{NAN, {10, 0.5f, -4, 20}, 0, 0},
		{300.0f, {0, 0.5f, 0, 1000}, 255, 600},
		/* A zero point alone is no identity */
		{300.0f, {1, 1, 0, 100}, 101, 101},
	};

	(void)state;
	/* At every place of a block and of what remains behind it */
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (size_t at = 0; at < 21; at++) {
			uint16_t u16[21];
			uint8_t u8[21];
			float in[21] = {0};

			in[at] = rows[i].in;
			host_quantize_u8(in, u8, 21, &rows[i].q);
			host_quantize_u16(in, u16, 21, &rows[i].q);
			if (u8[at] != rows[i].u8 || u16[at] != rows[i].u16)
				fail_msg("%g at %zu: %u, %u instead of %u, %u", (double)rows[i].in,
					 at, u8[at], u16[at], rows[i].u8, rows[i].u16);
		}
	}
}

static void quantisation_equals_the_formula(void **state)
{
	static const struct hw_quant quants[] = {
		{0, 1, 0, 255},		{128, 0.0078125f, -1, 1},  {12, 0.1f, -1.2f, 24.3f},
		{-3.5f, 0.33f, -9, 99}, {0, 0.0357311964f, 0, 9.1f}, {255, 0.02f, -5, 0},
	};
	enum { N = 4099 };
	static uint16_t u16[N];
	static float in[N], back[N];
	static uint8_t u8[N];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(quants); i++) {
		const struct hw_quant *q = &quants[i];

		for (size_t k = 0; k < N; k++) /* eighths of a step, from below to above */
			in[k] = ((float)k - 1000.0f - 8.0f * q->zero_point) * 0.125f * q->scale;
		host_quantize_u8(in, u8, N, q);
		host_quantize_u16(in, u16, N, q);
		for (size_t k = 0; k < N; k++) {
			assert_int_equal(u8[k], quantized(in[k], q, 255));
			assert_int_equal(u16[k], quantized(in[k], q, 65535));
		}
		host_dequantize_u8(u8, back, N, q);
		for (size_t k = 0; k < N; k++) {
			float want = (float)u8[k] - q->zero_point;

			assert_true(back[k] == want * q->scale);
		}
		host_dequantize_u16(u16, back, N, q);
		for (size_t k = 0; k < N; k++) {
			float want = (float)u16[k] - q->zero_point;

			assert_true(back[k] == want * q->scale);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_element_lands_in_its_place),
		cmocka_unit_test(planar_images),
		cmocka_unit_test(rows_are_copied_as_they_are),
		cmocka_unit_test(refused_combinations),
		cmocka_unit_test(frames_without_elements),
		cmocka_unit_test(layers_without_a_plain_layout),
		cmocka_unit_test(rounding_and_saturation),
		cmocka_unit_test(quantisation_equals_the_formula),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
