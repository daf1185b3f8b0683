// SPDX-License-Identifier: MIT
/* Microseconds for the host's half of a frame: layouts of common shapes, decoders of common detectors. */
#include "host/net.h"
#include "support/detref.h"
#include "support/hefnet.h"
#include "support/support.h"

static void report(const char *what, uint64_t start_ns, unsigned int n, size_t bytes)
{
	double us = (double)(util_now_ns() - start_ns) / 1e3 / n;

	print_message("host: %-42s %8.1f us  %6.0f MB/s\n", what, us, (double)bytes / us);
}

static void bench_layout(const char *what, enum hw_order order, bool input, enum hw_type type, uint32_t h,
			 uint32_t w, uint32_t f)
{
	struct hef_layer l = detref_layer("net/l", h, w, f, w, 1, (struct hw_quant){10, 0.02f, -1, 5});
	const unsigned int n = 50;
	struct host_layout layout;
	struct hw_error err;
	uint8_t *hw, *user;
	uint64_t start;

	l.order = order;
	l.input = input;
	assert_ok(host_layout_init(&l, type, HW_ORDER_AUTO, &layout, &err), &err);
	hw = calloc(1, layout.hw_bytes);
	user = calloc(1, layout.user.frame_bytes);
	assert_non_null(hw);
	assert_non_null(user);
	start = util_now_ns();
	for (unsigned int i = 0; i < n; i++) {
		if (input)
			host_layout_to_hw(&layout, user, hw);
		else
			host_layout_from_hw(&layout, hw, user);
	}
	report(what, start, n, layout.user.frame_bytes);
	free(hw);
	free(user);
}

static void layouts(void **state)
{
	(void)state;
	bench_layout("640x640x3 u8 NHWC to NHWC", HW_ORDER_NHWC, true, HW_TYPE_U8, 640, 640, 3);
	bench_layout("640x640x3 f32 NHWC to NHWC", HW_ORDER_NHWC, true, HW_TYPE_F32, 640, 640, 3);
	bench_layout("224x224x3 u8 NHWC to NHCW", HW_ORDER_NHCW, true, HW_TYPE_U8, 224, 224, 3);
	bench_layout("80x80x64 NHCW to u8 NHWC", HW_ORDER_NHCW, false, HW_TYPE_U8, 80, 80, 64);
	bench_layout("80x80x64 NHCW to f32 NHWC", HW_ORDER_NHCW, false, HW_TYPE_F32, 80, 80, 64);
	bench_layout("80x80x64 F8CR to f32 NHWC", HW_ORDER_F8CR, false, HW_TYPE_F32, 80, 80, 64);
}

/* YOLOv8n at 640 x 640; @hits: how many of the 672000 scores reach the threshold */
static void bench_yolov8(unsigned int hits)
{
	const struct host_options none = {0};
	const unsigned int n = 20;
	uint8_t *streams[6], *frame;
	struct host_net *net;
	struct hw_error err;
	struct hefgen g;
	struct hef *hef;
	uint64_t start;
	uint32_t seed = 1;
	size_t len, bytes = 0;
	char what[64];
	uint8_t *file;

	hefnet_yolov8(&g);
	file = hefgen_file(&g, &len);
	assert_ok(hef_parse(file, len, &hef, NULL, &err), &err);
	assert_ok(host_net_new(&hef->groups[0], &hef->groups[0].core_ops[0], &none, &net, &err), &err);
	for (size_t i = 0; i < 6; i++) {
		const struct hef_layer *l = net->out_streams[i];

		streams[i] = detref_frame(l, 5, i % 2 ? 1 : 8);
		bytes += hef_transfer_bytes(l);
	}
	for (unsigned int i = 0; i < hits; i++)
		detref_set(net->out_streams[1], streams[1], detref_random(&seed) % 80, detref_random(&seed) % 80,
			   detref_random(&seed) % 80, 1 + i % 255);
	frame = malloc(net->outputs[0].info.frame_bytes);
	assert_non_null(frame);
	start = util_now_ns();
	for (unsigned int i = 0; i < n; i++) {
		void *user[] = {frame};

		assert_ok(host_net_collect(net, (const void *const *)streams, user, &err), &err);
	}
	snprintf(what, sizeof(what), "YOLOv8n, 80 classes, %u candidates", hits);
	report(what, start, n, bytes);
	for (size_t i = 0; i < 6; i++)
		free(streams[i]);
	free(frame);
	host_net_free(net);
	hef_free(hef);
}

static void detectors(void **state)
{
	(void)state;
	bench_yolov8(0);
	bench_yolov8(100);
	bench_yolov8(5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layouts),
		cmocka_unit_test(detectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
