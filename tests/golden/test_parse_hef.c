// SPDX-License-Identifier: MIT
/*
 * The listing of hwctl hef parse against the vendor's: real files (golden/NAME.parse-hef.txt) and
 * the examples of hef-format 8.5, made with the synthetic writer.
 */
#include "support/support.h"

#include "hef/hef.h"
#include "hef/listing.h"
#include "support/hefnet.h"

/* ------------------------------------------------------------------ real files */

static const char *const files[] = {
	"mnist_cnn.hailo8.v0",       "model_3x640x640.hailo8l.v1", "fsq_m13_imu.hailo8.v2",
	"hand_landmark_lite.hailo8.v2", "scrfd_2.5g.hailo15h.v3",
};

static void real_files_are_listed_as_by_the_vendor(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		enum hef_status status;
		struct buf got = {0};
		struct hw_error err;
		struct hef *hef;
		char rel[128], *golden, *from, *to;
		size_t len;

		snprintf(rel, sizeof(rel), "data/hef/%s.hef", files[i]);
		assert_ok(hef_open(shared_path(rel), &hef, NULL, &err), &err);
		assert_ok(hef_listing(hef, false, true, &got, &status, &err), &err);
		snprintf(rel, sizeof(rel), "golden/%s.parse-hef.txt", files[i]);
		golden = (char *)slurp(shared_path(rel), &len);
		assert_int_equal(strncmp(golden, "exit code: 0\n", 13), 0);
		from = strstr(golden, "--- stdout\n");
		to = strstr(golden, "--- stderr\n");
		assert_true(from && to);
		from += strlen("--- stdout\n");
		assert_bytes_equal(got.ptr, got.len, from, (size_t)(to - from), files[i]);
		free(golden);
		buf_free(&got);
		hef_free(hef);
	}
}

/* ------------------------------------------------------------- synthetic files */

static void expect(struct hefgen *g, bool streams, const char *want)
{
	char *got = hefnet_listing(g, streams);

	assert_string_equal(got, want);
	free(got);
}

/* 8.5 shows a part of these listings. */
static void expect_part(struct hefgen *g, bool streams, const char *want)
{
	char *got = hefnet_listing(g, streams);

	if (!strstr(got, want))
		fail_msg("not found:\n%s\nin:\n%s", want, got);
	free(got);
}

static const struct hefnet_tensor image = {"m/in", 224, 224, 3, .format = 0};

static void smallest_file(void **state)
{
	struct hefgen g;

	(void)state;
	hefgen_init(&g);
	expect(&g, false,
	       "Architecture HEF was compiled for: HAILO8\n"
	       "Network group name: n, Single Context\n"
	       "    Network name: n/n\n"
	       "        VStream infos:\n"
	       "            Input  n/in UINT8, NHWC(8x8x4)\n"
	       "            Output n/out UINT8, NC(16)\n");
}

static void classifier(void **state)
{
	static const struct hefnet_tensor in = {"net/input_layer1", 224, 224, 3, .format = 0};
	static const struct hefnet_tensor out = {"net/fc1", 1, 1, 1000, .format = 2};
	struct hefgen g;

	(void)state;
	hefnet_begin(&g, "net", &in, 1, &out, 1);
	hefnet_sorted(&g, "net/fc1");
	expect(&g, false,
	       "Architecture HEF was compiled for: HAILO8\n"
	       "Network group name: net, Single Context\n"
	       "    Network name: net/net\n"
	       "        VStream infos:\n"
	       "            Input  net/input_layer1 UINT8, NHWC(224x224x3)\n"
	       "            Output net/fc1 UINT8, NC(1000)\n");
}

static void yolov8(void **state)
{
	struct hefgen g;

	(void)state;
	hefnet_yolov8(&g);
	expect(&g, true,
	       "Architecture HEF was compiled for: HAILO8\n"
	       "Network group name: yolov8n, Single Context\n"
	       "    Network name: yolov8n/yolov8n\n"
	       "        Stream infos:\n"
	       "            Input  yolov8n/input_layer1 UINT8, NHWC(640x640x3)\n"
	       "            Output yolov8n/conv41 UINT8, NHCW(80x80x64)\n"
	       "            Output yolov8n/conv42 UINT8, NHCW(80x80x80)\n"
	       "            Output yolov8n/conv43 UINT8, NHCW(40x40x64)\n"
	       "            Output yolov8n/conv44 UINT8, NHCW(40x40x80)\n"
	       "            Output yolov8n/conv45 UINT8, NHCW(20x20x64)\n"
	       "            Output yolov8n/conv46 UINT8, NHCW(20x20x80)\n"
	       "        VStream infos:\n"
	       "            Input  yolov8n/input_layer1 UINT8, NHWC(640x640x3)\n"
	       "            Output yolov8n/yolov8_nms_postprocess FLOAT32, HAILO NMS BY CLASS(number of "
	       "classes: 80, maximum bounding boxes per class: 100, maximum frame size: 160320)\n"
	       "            Operation:\n"
	       "                Op YOLOV8\n"
	       "                Name: YOLOV8-Post-Process\n"
	       "                Score threshold: 0.200\n"
	       "                IoU threshold: 0.70\n"
	       "                Classes: 80\n"
	       "                Max bboxes per class: 100\n"
	       "                Image height: 640\n"
	       "                Image width: 640\n");
}

static void softmax(void **state)
{
	static const struct hefnet_tensor out = {"m/fc", 1, 1, 10, .pf = 16, .format = 2, .pad = 10};
	struct buf logits = {0};
	struct hefgen g;

	(void)state;
	hefnet_begin(&g, "m", &image, 1, &out, 1);
	pb_uint(&logits, 1, 1);
	hefnet_op(&g, 6, &logits, 10, 1, "m/softmax1");
	hefnet_sorted(&g, "m/softmax1");
	expect(&g, true,
	       "Architecture HEF was compiled for: HAILO8\n"
	       "Network group name: m, Single Context\n"
	       "    Network name: m/m\n"
	       "        Stream infos:\n"
	       "            Input  m/in UINT8, NHWC(224x224x3)\n"
	       "            Output m/fc UINT8, NC(16)\n"
	       "        VStream infos:\n"
	       "            Input  m/in UINT8, NHWC(224x224x3)\n"
	       "            Output m/softmax1 FLOAT32, NC(10)\n"
	       "            Operation:\n"
	       "                SOFTMAX Op\n"
	       "                Name: Softmax-Post-Process\n");
}

/* 5.15 and 8.4; the example shows the softmax only */
static void argmax(void **state)
{
	static const struct hefnet_tensor out = {"m/conv", 7, 9, 21, .format = 1, .data_bytes = 2, .pad = 10};
	struct buf logits = {0};
	struct hefgen g;

	(void)state;
	hefnet_begin(&g, "m", &image, 1, &out, 1);
	hefnet_op(&g, 6, &logits, 10, 1, "m/argmax1");
	hefnet_sorted(&g, "m/argmax1");
	expect_part(&g, false,
		    "            Output m/argmax1 UINT16, NHW(7x9)\n"
		    "            Operation:\n"
		    "                ARGMAX Op\n"
		    "                Name: Argmax-Post-Process\n");
}

static void ssd(void **state)
{
	static const struct hefnet_tensor out[] = {
		{"m/reg", 19, 19, 12, .format = 1, .pad = 10},
		{"m/cls", 19, 19, 273, .format = 1, .pad = 11},
	};
	struct buf nms = {0}, op = {0}, dec = {0}, h = {0}, w = {0};
	struct hefgen g;

	(void)state;
	hefnet_begin(&g, "m", &image, 1, out, ARRAY_SIZE(out));
	pb_double(&op, 1, 300);
	pb_double(&op, 2, 300);
	pb_uint(&op, 3, 10);
	pb_uint(&op, 4, 5);
	for (int i = 0; i < 3; i++) {
		buf_le32(&h, 0x3e800000); /* 0.25f */
		buf_le32(&w, 0x3f000000); /* 0.5f */
	}
	pb_msg(&dec, 1, &h);
	pb_msg(&dec, 2, &w);
	pb_uint(&dec, 3, 10);
	pb_uint(&dec, 4, 11);
	pb_msg(&op, 9, &dec);
	hefnet_nms(&nms, 0.2, 0.7, 100, 91);
	pb_uint(&nms, 5, 1);
	pb_msg(&nms, 9, &op);
	hefnet_op(&g, 5, &nms, 10, 2, "m/pp");
	hefnet_sorted(&g, "m/pp");
	expect_part(&g, false,
		    "            Output m/pp FLOAT32, HAILO NMS BY CLASS(number of classes: 90, maximum "
		    "bounding boxes per class: 100, maximum frame size: 180360)\n"
		    "            Operation:\n"
		    "                Op SSD\n"
		    "                Name: SSD-Post-Process\n"
		    "                Score threshold: 0.200\n"
		    "                IoU threshold: 0.70\n"
		    "                Classes: 91\n"
		    "                Max bboxes per class: 100\n"
		    "                Background removal index: 0\n"
		    "                Image height: 300\n"
		    "                Image width: 300\n"
		    "                Centers scales factor: 10\n"
		    "                Bbox dimension scale factor: 5\n"
		    "                Normalize boxes: false\n");
}

/* A YOLOv5 decoder of @anchors square anchors that reads core output @pad_index */
static void yolov5_decoder(struct buf *op, unsigned int field, uint32_t pad_index, uint32_t anchors)
{
	uint32_t size[8] = {10, 16, 33, 30};
	struct buf dec = {0};

	pb_packed_uint(&dec, 2, size, anchors);
	pb_packed_uint(&dec, 3, size, anchors);
	pb_uint(&dec, 4, 8);
	pb_uint(&dec, 5, pad_index);
	pb_msg(op, field, &dec);
}

static void segmentation(void **state)
{
	static const struct hefnet_tensor out[] = {
		{"m/boxes", 80, 80, 351, .format = 1, .pad = 10},
		{"m/proto", 160, 160, 32, .format = 1, .pad = 11},
	};
	struct buf nms = {0}, op = {0}, proto = {0};
	struct hefgen g;

	(void)state;
	hefnet_begin(&g, "m", &image, 1, out, ARRAY_SIZE(out));
	pb_double(&op, 1, 640);
	pb_double(&op, 2, 640);
	yolov5_decoder(&op, 3, 10, 3);
	pb_str(&proto, 3, "m/proto");
	pb_msg(&op, 4, &proto);
	pb_double(&op, 5, 0.5);
	hefnet_nms(&nms, 0.2, 0.7, 100, 80);
	pb_msg(&nms, 11, &op);
	hefnet_op(&g, 5, &nms, 10, 2, "m/pp");
	hefnet_sorted(&g, "m/pp");
	expect_part(&g, false,
		    "            Output m/pp FLOAT32, HAILO NMS WITH BYTE MASK(number of classes: 80, "
		    "maximum bounding boxes total: 8000, maximum frame size: 1123202)\n"
		    "            Operation:\n"
		    "                Op YOLOV5SEG\n"
		    "                Name: YOLOv5Seg-Post-Process\n"
		    "                Score threshold: 0.200\n"
		    "                IoU threshold: 0.70\n"
		    "                Classes: 80\n"
		    "                Max bboxes total: 8000\n"
		    "                Image height: 640\n"
		    "                Image width: 640\n"
		    "                Mask threshold: 0.50\n");
}

/* 5.13: rows are the anchors of all cells of all inputs; image sizes lose their fraction */
static void boxes_without_suppression(void **state)
{
	static const struct hefnet_tensor out[] = {
		{"m/a", 8, 4, 24, .format = 1, .pad = 10},
		{"m/b", 4, 2, 16, .format = 1, .pad = 11},
	};
	struct buf nms = {0}, op = {0};
	struct hefgen g;

	(void)state;
	hefnet_begin(&g, "m", &image, 1, out, ARRAY_SIZE(out));
	pb_double(&op, 1, 64.9);
	pb_double(&op, 2, 32.5);
	yolov5_decoder(&op, 4, 10, 3);
	yolov5_decoder(&op, 4, 11, 2);
	hefnet_nms(&nms, 0.2, 0.7, 100, 3);
	pb_uint(&nms, 13, 1);
	pb_msg(&nms, 7, &op);
	hefnet_op(&g, 5, &nms, 10, 2, "m/boxes");
	hefnet_sorted(&g, "m/boxes");
	/* 8*4*3 + 4*2*2 rows of 5 + 3 numbers */
	expect_part(&g, false,
		    "            Output m/boxes FLOAT32, NHWC(1x112x8)\n"
		    "            Operation:\n"
		    "                Op YOLOV5\n"
		    "                Name: YOLOv5Bbox-Only-Post-Process\n"
		    "                Classes: 3\n"
		    "                Image height: 64\n"
		    "                Image width: 32\n");
}

static void mux(void **state)
{
	static const struct hefnet_tensor whole = {"m/mux1", 4, 24, 2, .format = 1};
	static const struct hefnet_tensor leaf[] = {
		{"m/a", 4, 8, 2, .format = 1},
		{"m/b", 4, 16, 2, .format = 1},
	};
	static const uint32_t ratios[] = {1, 1};
	struct hefgen g;

	(void)state;
	hefnet_begin(&g, "m", &image, 1, NULL, 0);
	hefnet_mux(&g, &whole, leaf, ARRAY_SIZE(leaf), 4, ratios);
	hefnet_sorted(&g, "m/a");
	hefnet_sorted(&g, "m/b");
	expect_part(&g, true,
		    "        Stream infos:\n"
		    "            Input  m/in UINT8, NHWC(224x224x3)\n"
		    "            Output m/mux1 UINT8, NHCW(4x24x2)\n"
		    "        VStream infos:\n"
		    "            Input  m/in UINT8, NHWC(224x224x3)\n"
		    "            Output m/a UINT8, NHWC(4x8x2)\n"
		    "            Output m/b UINT8, NHWC(4x16x2)\n");
}

static void planes(void **state)
{
	static const struct hefnet_tensor plane[] = {{"m/in_y", 4, 8, 1, .format = 0}, {"m/in_uv", 2, 4, 2, .format = 0}};
	static const struct hefnet_tensor whole = {"m/in", 2, 8, 3, .format = 0};
	static const struct hefnet_tensor out = {"m/fc", 1, 1, 8, .format = 2};
	struct hefgen g;

	(void)state;
	hefnet_begin(&g, "m", NULL, 0, &out, 1);
	hefnet_planes(&g, &whole, 0, plane, ARRAY_SIZE(plane));
	hefnet_sorted(&g, "m/fc");
	expect_part(&g, true,
		    "        Stream infos:\n"
		    "            Input  m/in_y UINT8, NHWC(4x8x1)\n"
		    "            Input  m/in_uv UINT8, NHWC(2x4x2)\n"
		    "            Output m/fc UINT8, NC(8)\n"
		    "        VStream infos:\n"
		    "            Input  m/in UINT8, NV12(2x8x3)\n"
		    "            Output m/fc UINT8, NC(8)\n");
}

/* One more dynamic context, without layers of its own. */
static void several_contexts(void **state)
{
	static const struct hefnet_tensor out = {"net/fc", 1, 1, 8, .format = 2};
	static const struct hefnet_tensor in = {"net/in", 8, 8, 8, .format = 0};
	struct buf context = {0};
	struct hefgen g;

	(void)state;
	hefnet_begin(&g, "net", &in, 1, &out, 1);
	pb_msg(&g.at[AT_CORE_OP], 3, &context);
	hefnet_sorted(&g, "net/fc");
	expect_part(&g, false,
		    "Network group name: net, Multi Context - Number of contexts: 2\n");
}

/* 6.8's example */
static const struct hefnet_chip_nms eighty = {.classes = 80, .boxes = 100, .burst = 101};

static void nms_on_the_chip(void **state)
{
	static const struct hefnet_tensor out = {"m/nms1", 1, 1, 8, .format = 6, .data_bytes = 2};
	struct buf nms = hefnet_chip_nms(&eighty, 0);
	struct hefgen g;

	(void)state;
	hefnet_begin(&g, "m", &image, 1, NULL, 0);
	hefnet_layer(&g.at[AT_CONTEXT_META], &out, false, 0, &nms);
	hefgen_extension(&g, false, 19, NULL);
	hefnet_sorted(&g, "m/nms1");
	expect_part(&g, true,
		    "            Output m/nms1 UINT16, HAILO NMS ON CHIP(maximum frame size: 65608)\n"
		    "        VStream infos:\n"
		    "            Input  m/in UINT8, NHWC(224x224x3)\n"
		    "            Output m/nms1 FLOAT32, HAILO NMS BY CLASS(number of classes: 80, maximum "
		    "bounding boxes per class: 100, maximum frame size: 160320)\n");
}

/* 5.9: two parts are one vstream, with the name and the classes of the whole */
static void split_nms(void **state)
{
	static const struct hefnet_tensor part[] = {{"m/part0", 1, 1, 8, .format = 6, .data_bytes = 2},
					     {"m/part1", 1, 1, 8, .format = 6, .data_bytes = 2}};
	static const struct hefnet_chip_nms whole = {.classes = 160, .boxes = 50, .burst = 101};
	struct hefgen g;

	(void)state;
	hefnet_begin(&g, "m", &image, 1, NULL, 0);
	for (uint32_t i = 0; i < 2; i++) {
		struct buf one = hefnet_chip_nms(&eighty, i + 1);

		hefnet_layer(&g.at[AT_CONTEXT_META], &part[i], false, i, &one);
	}
	hefnet_fused(&g, &whole);
	hefgen_extension(&g, false, 19, NULL);
	expect_part(&g, false,
		    "            Input  m/in UINT8, NHWC(224x224x3)\n"
		    "            Output m/whole FLOAT32, HAILO NMS BY CLASS(number of classes: 160, maximum "
		    "bounding boxes per class: 50, maximum frame size: 160640)\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(real_files_are_listed_as_by_the_vendor),
		cmocka_unit_test(smallest_file),
		cmocka_unit_test(classifier),
		cmocka_unit_test(yolov8),
		cmocka_unit_test(softmax),
		cmocka_unit_test(argmax),
		cmocka_unit_test(ssd),
		cmocka_unit_test(segmentation),
		cmocka_unit_test(boxes_without_suppression),
		cmocka_unit_test(mux),
		cmocka_unit_test(planes),
		cmocka_unit_test(several_contexts),
		cmocka_unit_test(nms_on_the_chip),
		cmocka_unit_test(split_nms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
