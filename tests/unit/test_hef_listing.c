// SPDX-License-Identifier: MIT
/* hef/listing.h beyond the vendor's examples: order, names, what cannot be listed, broken files. */
#include "support/support.h"

#include "hef/hef.h"
#include "hef/listing.h"
#include "support/hefnet.h"

static const struct hefnet_tensor image = {"m/in", 224, 224, 3, .format = 0};

/* The network group (field 2, behind the header) of another file, as one more of @to */
static void add_group(struct hefgen *to, struct hefgen *from)
{
	struct buf m = {0};
	size_t at, len = 0, shift = 0;

	hefgen_message(from, &m);
	assert_false(m.failed);
	at = 2u + m.ptr[1];
	assert_int_equal(m.ptr[at++], 2 << 3 | 2);
	do
		len |= (size_t)(m.ptr[at] & 0x7f) << shift, shift += 7;
	while (m.ptr[at++] & 0x80);
	pb_bytes(&to->at[AT_HEF], 2, m.ptr + at, len);
	buf_free(&m);
}

/* 4.3: kept in reverse file order, listed in the order of their names; 4.4: names of networks */
static void groups_and_networks(void **state)
{
	static const char *const names[] = {"beta", "alpha", "Zulu"};
	struct hefgen g[3];
	struct buf out = {0};
	struct hw_error err;
	struct hef *hef;
	uint8_t *file;
	size_t len;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		hefgen_init(&g[i]);
		g[i].group = names[i];
		pb_str(&g[i].at[AT_GROUP], 6, "one");
		pb_str(&g[i].at[AT_CORE_OP], 6, "one");
		if (i)
			add_group(&g[0], &g[i]);
	}
	hefgen_extension(&g[0], true, 8, NULL);
	file = hefgen_file(&g[0], &len);
	assert_ok(hef_parse(file, len, &hef, NULL, &err), &err);
	assert_ok(hef_listing(hef, false, false, &out, NULL, &err), &err);
	buf_u8(&out, 0);
	assert_string_equal((char *)out.ptr, "Architecture HEF was compiled for: HAILO8\n"
					     "Network group name: Zulu, Single Context\n"
					     "    Network name: Zulu/one\n"
					     "Network group name: alpha, Single Context\n"
					     "    Network name: alpha/one\n"
					     "Network group name: beta, Single Context\n"
					     "    Network name: beta/one\n");
	buf_free(&out);
	hef_free(hef);
}

static void expect_part(struct hefgen *g, const char *want)
{
	char *got = hefnet_listing(g, false);

	if (!strstr(got, want))
		fail_msg("not found:\n%s\nin:\n%s", want, got);
	free(got);
}

/* The status that listing ends with; the file itself is fine. */
static enum hef_status refusal(struct hefgen *g)
{
	enum hef_status status;
	struct buf out = {0};
	struct hw_error err = {0};
	struct hef *hef;
	uint8_t *file;
	size_t len;

	file = hefgen_file(g, &len);
	assert_ok(hef_parse(file, len, &hef, NULL, &err), &err);
	assert_true(hef_listing(hef, false, true, &out, &status, &err) < 0);
	assert_true(err.text[0]);
	buf_free(&out);
	hef_free(hef);
	return status;
}

static void what_cannot_be_listed(void **state)
{
	static const struct hefnet_tensor out[] = {{"m/a", 1, 1, 8, .format = 2}, {"m/b", 1, 1, 8, .format = 2}};
	char name[129];
	struct hefgen g;

	(void)state;
	/* 4.5: only where outputs are compared does a missing name matter */
	hefnet_begin(&g, "m", &image, 1, out, 2);
	hefnet_sorted(&g, "m/a");
	assert_int_equal(refusal(&g), HEF_INTERNAL_FAILURE);
	hefnet_begin(&g, "m", &image, 1, out, 1);
	hefnet_sorted(&g, "m/other");
	expect_part(&g, "            Output m/a UINT8, NC(8)\n");
	/* 4.4 */
	hefnet_begin(&g, "m", NULL, 0, out, 1);
	hefnet_sorted(&g, "m/a");
	assert_int_equal(refusal(&g), HEF_NOT_FOUND);
	hefnet_begin(&g, "m", &image, 1, NULL, 0);
	hefnet_sorted(&g, "m/a");
	assert_int_equal(refusal(&g), HEF_NOT_FOUND);
	/* 4.3 no 5 */
	memset(name, 'g', 128);
	name[128] = 0;
	hefnet_begin(&g, name, &image, 1, out, 1);
	hefnet_sorted(&g, "m/a");
	assert_int_equal(refusal(&g), HEF_INTERNAL_FAILURE);
	name[127] = 0;
	hefnet_begin(&g, name, &image, 1, out, 1);
	hefnet_sorted(&g, "m/a");
	expect_part(&g, name);
}

/* 8.4: an IoU op is one of overlaps, of which there are none without suppression (5.13). */
static void overlaps_of_chip_nms(void **state)
{
	static const struct hefnet_chip_nms chip = {80, 100, 0, 1};
	static const struct hefnet_tensor boxes = {"m/nms", 1, 1, 8, .format = 6, .data_bytes = 2, .pad = 5};
	struct hefgen g;

	(void)state;
	for (uint32_t boxes_only = 0; boxes_only < 2; boxes_only++) {
		struct buf nms = {0}, op = {0}, info = hefnet_chip_nms(&chip, 0);

		hefnet_begin(&g, "m", &image, 1, NULL, 0);
		hefnet_layer(&g.at[AT_CONTEXT_META], &boxes, false, 0, &info);
		hefnet_nms(&nms, 0.25, 0.6, 100, 80);
		pb_msg(&nms, 10, &op);
		pb_uint(&nms, 13, boxes_only);
		hefnet_op(&g, 5, &nms, 5, 1, "m/iou");
		hefnet_sorted(&g, "m/iou");
		expect_part(&g, "            Output m/iou FLOAT32, HAILO NMS BY CLASS(number of classes: 80, "
				"maximum bounding boxes per class: 100, maximum frame size: 160320)\n"
				"            Operation:\n"
				"                Op IOU\n"
				"                Name: IoU-Post-Process\n"
				"                Score threshold: 0.250\n"
				"                IoU threshold: 0.60\n"
				"                Classes: 80\n"
				"                Max bboxes per class: 100\n");
	}
}

/* Whatever a file says that was let in: the listing ends, one way or the other. */
static void flipped_bits_do_no_harm(void **state)
{
	unsigned int listed = 0, refused = 0;
	struct hefgen g;
	uint8_t *file;
	size_t len;

	(void)state;
	hefnet_yolov8(&g);
	file = hefgen_file(&g, &len);
	for (size_t i = 44 * 8; i < len * 8; i += 3) {
		uint8_t *copy = malloc(len);
		struct hw_error err = {0};
		struct buf out = {0};
		struct hef *hef;

		assert_non_null(copy);
		memcpy(copy, file, len);
		copy[i / 8] ^= (uint8_t)(1u << i % 8);
		hefgen_fix_digest(copy, len);
		if (hef_parse(copy, len, &hef, NULL, &err) < 0)
			continue;
		if (hef_listing(hef, true, true, &out, NULL, &err) < 0) {
			assert_true(err.text[0]);
			refused++;
		} else {
			assert_true(out.len && out.ptr[out.len - 1] == '\n');
			listed++;
		}
		buf_free(&out);
		hef_free(hef);
	}
	free(file);
	assert_true(listed > 100);
	assert_true(refused > 0);
}

/* 3.3 */
static void architectures(void **state)
{
	static const struct {
		uint32_t arch;
		const char *text;
	} rows[] = {
		{0, "HAILO8"},    {1, "HAILO8"},      {2, "HAILO8"},    {3, "HAILO8L"},
		{4, "HAILO15M"},  {5, "HAILO10H"},    {6, "HAILO15L"},  {100, "HAILO8_A0"},
		{101, "HAILO8"},  {102, "HAILO8"},    {103, "HAILO15H"}, {104, "HAILO15H"},
		{105, "HAILO15H"}, {106, "HAILO15L"}, {108, "MARS"},    {107, "UNKNOWN ARCHITECTURE"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(hef_arch_text(rows[i].arch), rows[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(groups_and_networks),
		cmocka_unit_test(what_cannot_be_listed),
		cmocka_unit_test(overlaps_of_chip_nms),
		cmocka_unit_test(flipped_bits_do_no_harm),
		cmocka_unit_test(architectures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
