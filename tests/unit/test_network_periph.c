// SPDX-License-Identifier: MIT
/* Periph values (protocol 5.7): what captures and golden recordings show, and the refusals. */
#include "unit/network_fake.h"

struct numbers {
	uint32_t height, width, features;
	bool input, hw_padding;
	uint16_t bytes, buffers;
	uint32_t payload;
	uint16_t padding;
};

static struct hef_layer layer_of(uint32_t h, uint32_t w, uint32_t f, bool input)
{
	return (struct hef_layer){
		.kind = HEF_EDGE_BOUNDARY, .input = input, .name = "l", .order = HW_ORDER_NHWC,
		.data_bytes = 1, .hw_height = h, .hw_width = w, .hw_features = f,
		.max_shmifo_size = 0x10000,
	};
}

static struct network_stream stream_of(const struct hef_layer *l, uint32_t page)
{
	return (struct network_stream){.layer = l, .page = page, .transfer = 64};
}

static void check(const struct numbers *n, const struct chip_hw_consts *c, uint32_t page)
{
	struct hef_layer l = layer_of(n->height, n->width, n->features, n->input);
	struct network_stream s = stream_of(&l, page);
	struct hw_error err = {0};

	assert_ok(network_periph(&l, c, n->hw_padding, &s, &err), &err);
	if (s.periph_bytes != n->bytes || s.periph_buffers != n->buffers)
		fail_msg("%ux%ux%u: %u x %u, want %u x %u", n->height, n->width, n->features,
			 s.periph_bytes, s.periph_buffers, n->bytes, n->buffers);
	assert_int_equal(s.buffer_padding_payload, n->payload);
	assert_int_equal(s.buffer_padding, n->padding);
	assert_int_equal(s.initial_credit, 0x10000);
}

static void seen_on_hardware(void **state)
{
	static const struct numbers seen[] = {
		{28, 28, 1, true, true, 784, 1, 0, 0},
		{224, 224, 3, true, true, 37632, 4, 0, 0},
		{640, 640, 3, true, true, 40960, 30, 0, 0},
		{1, 1, 10, false, true, 16, 1, 10, 6},
		{1, 1, 1001, false, true, 1008, 1, 1001, 7},
	};
	struct chip_hw_consts c = fake_consts();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(seen); i++)
		check(&seen[i], &c, 64);
}

/* golden runs hwconsts-a and -b */
static void other_constants(void **state)
{
	static const struct numbers plain = {224, 224, 3, true, true, 672, 224, 0, 0};
	static const struct numbers small = {224, 224, 3, true, true, 3584, 42, 0, 0};
	struct chip_hw_consts c = fake_consts();

	(void)state;
	c.should_optimize_credits = false;
	check(&plain, &c, 512);
	c = fake_consts();
	c.max_acceptable_bytes_per_buffer = 0x1000;
	check(&small, &c, 512);
}

/* Step 6 without a fitting divisor: one byte per buffer, or as it was. */
static void no_divisor_fits(void **state)
{
	static const struct numbers bytes = {1, 1, 16, true, true, 1, 16, 0, 0};
	static const struct numbers same = {1, 1, 16, true, true, 16, 1, 0, 0};
	struct chip_hw_consts c = fake_consts();

	(void)state;
	c.max_periph_bytes_per_buffer = 0; /* nothing is small enough */
	check(&bytes, &c, 64);
	c.max_periph_buffers_per_frame = 15; /* fewer than the frame has bytes */
	check(&same, &c, 64);
}

/* The number of buffers stays below the chip's limit. */
static void few_buffers_allowed(void **state)
{
	static const struct numbers four = {224, 224, 3, true, true, 37632, 4, 0, 0};
	static const struct numbers plain = {224, 224, 3, true, true, 672, 224, 0, 0};
	struct chip_hw_consts c = fake_consts();

	(void)state;
	c.max_periph_buffers_per_frame = 5;
	check(&four, &c, 512);
	c.max_periph_buffers_per_frame = 4;
	check(&plain, &c, 512);
}

/* A buffer must leave room for a page in the stream's FIFO: 784 would fit 1024, but not 512. */
static void small_fifo(void **state)
{
	struct hef_layer l = layer_of(28, 28, 1, true);
	struct network_stream s = stream_of(&l, 512);
	struct chip_hw_consts c = fake_consts();
	struct hw_error err = {0};

	(void)state;
	l.hw_height = 1;
	l.hw_width = 784;
	l.max_shmifo_size = 1024;
	c.should_optimize_credits = false;
	assert_ok(network_periph(&l, &c, true, &s, &err), &err);
	assert_int_equal(s.periph_bytes, 392);
	assert_int_equal(s.periph_buffers, 2);
}

static void missing_fifo_size(void **state)
{
	struct hef_layer l = layer_of(28, 28, 1, true);
	struct network_stream s = stream_of(&l, 512);
	struct chip_hw_consts c = fake_consts();
	struct hw_error err = {0};

	(void)state;
	l.max_shmifo_size = 0;
	c.default_initial_credit_size = 0x8000;
	assert_ok(network_periph(&l, &c, true, &s, &err), &err);
	assert_int_equal(s.initial_credit, 0x8000);
}

static void nms_on_chip(void **state)
{
	struct hef_layer l = layer_of(1, 1, 1, false);
	struct network_stream s = stream_of(&l, 512);
	struct chip_hw_consts c = fake_consts();
	struct hw_error err = {0};

	(void)state;
	l.order = HW_ORDER_HAILO_NMS_ON_CHIP;
	l.nms = (struct hef_nms){.bbox_size = 8, .burst_size = 4, .burst = true};
	s.transfer = 320;
	c.should_optimize_credits = false;
	assert_ok(network_periph(&l, &c, true, &s, &err), &err);
	assert_int_equal(s.periph_bytes, 32);
	assert_int_equal(s.periph_buffers, 10);
	l.nms.burst = false; /* bbox mode: the burst size means nothing */
	s.transfer = 8;
	assert_ok(network_periph(&l, &c, true, &s, &err), &err);
	assert_int_equal(s.periph_bytes, 8);
	assert_int_equal(s.periph_buffers, 1);
}

/* Rows of 512 bytes, a divisor of the core's buffer, never optimised. */
static void host_buffered_rows(void **state)
{
	static const struct {
		uint16_t core_bytes, bytes, buffers;
	} cases[] = {{2048, 2048, 64}, {3072, 1536, 128}, {512, 512, 64}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct hef_layer l = layer_of(64, 640, 3, false);
		struct network_stream s = stream_of(&l, 512);
		struct chip_hw_consts c = fake_consts();
		struct hw_error err = {0};

		l.kind = HEF_EDGE_DDR;
		l.core_bytes_per_buffer = cases[i].core_bytes;
		l.core_buffers_per_frame = 64;
		assert_ok(network_periph(&l, &c, false, &s, &err), &err);
		assert_int_equal(s.periph_bytes, cases[i].bytes);
		assert_int_equal(s.periph_buffers, cases[i].buffers);
	}
}

static int result(struct hef_layer l, struct chip_hw_consts c, bool hw_padding, uint32_t page)
{
	struct network_stream s = stream_of(&l, page);
	struct hw_error err = {0};
	int r = network_periph(&l, &c, hw_padding, &s, &err);

	assert_true((r != 0) == (err.text[0] != 0));
	return r;
}

static void refusals(void **state)
{
	struct chip_hw_consts c = fake_consts();
	struct hef_layer l = layer_of(28, 28, 1, true), odd = layer_of(1, 1, 5, false);
	struct hef_layer big_odd = layer_of(1, 1, 0xffff, true);

	(void)state;
	assert_int_equal(result(l, c, true, 512), 0);
	l.max_shmifo_size = 512;
	assert_int_equal(result(l, c, true, 512), -EBADMSG); /* page >= FIFO */
	assert_int_equal(result(odd, c, true, 64), 0);
	assert_int_equal(result(odd, c, false, 64), -EBADMSG); /* 5 bytes, nobody pads */
	assert_int_equal(result(big_odd, c, true, 512), -EBADMSG);
	l = layer_of(28, 28, 1, false);
	c.outbound_data_stream_size = 784 + 8 + 512; /* just enough */
	assert_int_equal(result(l, c, true, 512), 0);
	c.outbound_data_stream_size--;
	assert_int_equal(result(l, c, true, 512), -EBADMSG);
	l.input = true; /* not checked for inputs */
	assert_int_equal(result(l, c, true, 512), 0);
	c.fifo_word_granularity = 64;
	assert_int_equal(result(l, c, true, 512), -EBADMSG);
	c.fifo_word_granularity = 0;
	assert_int_equal(result(l, c, true, 512), -EINVAL);
	l = layer_of(0, 28, 1, true);
	assert_int_equal(result(l, fake_consts(), true, 512), -EBADMSG);
	l = layer_of(UINT32_MAX, UINT32_MAX, UINT32_MAX, true); /* must not wrap into something small */
	assert_int_equal(result(l, fake_consts(), true, 512), -EBADMSG);
	l = layer_of(1, 1, 1, false);
	l.order = HW_ORDER_HAILO_NMS_ON_CHIP;
	assert_int_equal(result(l, fake_consts(), true, 512), -EBADMSG); /* empty boxes */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(seen_on_hardware),  cmocka_unit_test(other_constants),
		cmocka_unit_test(no_divisor_fits),   cmocka_unit_test(missing_fifo_size),
		cmocka_unit_test(few_buffers_allowed), cmocka_unit_test(small_fifo),
		cmocka_unit_test(nms_on_chip),	     cmocka_unit_test(host_buffered_rows),
		cmocka_unit_test(refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
