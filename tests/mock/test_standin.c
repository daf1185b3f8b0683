// SPDX-License-Identifier: MIT
/*
 * What stands in for microcode: an ONNX model by order, and the rule that tells microcode from a
 * software chip's own network.  The HEFs are synthetic, with configuration bytes that look like a
 * compiler's.
 */
#include <hwlayer/hwlayer.h>
#include <math.h>

#include "host/layout.h"
#include "infer/infer.h"
#include "mock/payload.h"
#include "mock/standin.h"
#include "support/hefgen.h"
#include "support/support.h"
#include "support/tamper.h"
#include "support/tinynet.h"
#include "unit/onnx_build.h"

#define FRAME_MS 60000

enum { H = 4, W = 6, C = 3, O = 5 };

/* A record of four words as compilers write them, for each of two channels. */
static const uint8_t microcode[48] = {
	3, 0, 0, 0, 0x00, 0x10, 0x85, 0x00, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
	3, 0, 0, 0, 0x20, 0x10, 0x85, 0x00, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36,
};

struct wire {
	const char *name;
	unsigned int format;       /* hef-format 5.3 */
	uint32_t width, features;  /* with padding */
	unsigned int bytes;
	bool transposed;
};

/* ------------------------------------------------------------------------------ the network */

static void set_layer(struct hefgen *g, bool input, const struct wire *w, float scale, float zero)
{
	struct buf *base = &g->at[input ? AT_IN_BASE : AT_OUT_BASE];
	struct buf *numeric = &g->at[input ? AT_IN_NUMERIC : AT_OUT_NUMERIC];
	/* As stored: a transposed layer's rows are the user's columns. */
	uint32_t h = w->transposed ? W : H, cols = w->transposed ? H : W;

	pb_uint(base, 1, h);
	pb_uint(base, 2, h);
	pb_uint(base, 3, cols);
	pb_uint(base, 4, w->width ? w->width : cols);
	pb_uint(base, 5, input ? C : O);
	pb_uint(base, 6, w->features);
	pb_uint(base, 7, w->format);
	pb_uint(base, 9, align_up((uint64_t)(w->width ? w->width : cols) * w->features * w->bytes, 8));
	pb_uint(base, 10, h);
	pb_uint(base, 12, w->bytes);
	if (w->transposed)
		pb_uint(&g->at[input ? AT_IN_INFO : AT_OUT_INFO], 6, 1);
	pb_float(numeric, 1, zero);
	pb_float(numeric, 2, scale);
	pb_float(numeric, 3, -1e6f);
	pb_float(numeric, 4, 1e6f);
}

static void config_write(struct hefgen *g, uint64_t offset, uint32_t size, uint32_t channel)
{
	struct buf ccw = {0}, action = {0};

	pb_uint(&ccw, 1, offset);
	pb_uint(&ccw, 2, size);
	pb_uint(&ccw, 3, channel);
	pb_msg(&action, 16, &ccw);
	pb_msg(&g->at[AT_PRE_OPERATION], 2, &action);
}

static const float in_scale = 0.03f, in_zero = 100, out_scale = 0.02f, out_zero = 90;

static void start_hef(struct hefgen *g, const uint8_t *config)
{
	hefgen_init(g);
	g->omit |= OMIT_CCW;
	g->ccws = config;
	g->ccws_len = sizeof(microcode);
	pb_uint(&g->at[AT_CORE_META], 5, 2);
	config_write(g, 0, 24, 0);
	config_write(g, 24, 24, 1);
}

static uint8_t *make_hef(const struct wire *in, const struct wire *out, size_t *len)
{
	struct hefgen g;

	start_hef(&g, microcode);
	set_layer(&g, true, in, in_scale, in_zero);
	set_layer(&g, false, out, out_scale, out_zero);
	return hefgen_file(&g, len);
}

/* ------------------------------------------------------------------------------- the model */

static float weight[O * C], bias[O];

static void make_weights(void)
{
	uint32_t seed = 7;

	for (size_t i = 0; i < O * C; i++)
		weight[i] = mb_noise(&seed);
	for (size_t i = 0; i < O; i++)
		bias[i] = mb_noise(&seed);
}

/* A 1x1 convolution and a curve, on [1,C,H,W], or on [1,H,W,C] with a Transpose on either side. */
static const char *make_onnx(const char *name, bool features_last)
{
	struct mb *b = mb_new(13);

	if (features_last)
		mb_input(b, "x", MB_DIMS(1, H, W, C));
	else
		mb_input(b, "x", MB_DIMS(1, C, H, W));
	mb_f32(b, "w", MB_DIMS(O, C, 1, 1), weight);
	mb_f32(b, "b", MB_DIMS(O), bias);
	if (features_last)
		mb_attr_ints(b, mb_node(b, "Transpose", "x", "x1"), "perm", 4,
			     (const int64_t[]){0, 3, 1, 2});
	mb_node(b, "Conv", features_last ? "x1 w b" : "x w b", "c");
	mb_node(b, "Tanh", "c", features_last ? "y1" : "y");
	if (features_last)
		mb_attr_ints(b, mb_node(b, "Transpose", "y1", "y"), "perm", 4,
			     (const int64_t[]){0, 2, 3, 1});
	mb_output(b, "y");
	return mb_save(b, name);
}

/*
 * What must come back: the user's stored values made real, the model run by the executor on a plain
 * [1,C,H,W] tensor, the result quantised by the host's rules.
 */
static void expect(const uint16_t *stored, unsigned int out_bytes, uint16_t *want)
{
	static float x[C][H][W], y[O][H][W], flat[H * W * O];
	const struct hw_quant in = {in_zero, in_scale, -1e6f, 1e6f}, out = {out_zero, out_scale, -1e6f, 1e6f};
	const void *inputs[] = {x};
	void *outputs[] = {y};
	struct onnx_session *s;
	struct onnx_graph *g;
	struct hw_error err = {0};
	uint8_t narrow[H * W * O];

	for (size_t h = 0; h < H; h++)
		for (size_t w = 0; w < W; w++)
			for (size_t c = 0; c < C; c++)
				host_dequantize_u16(&stored[(h * W + w) * C + c], &x[c][h][w], 1, &in);
	assert_ok(onnx_open(make_onnx("reference", false), &g, &err), &err);
	assert_ok(onnx_session_new(g, 1, &s, &err), &err);
	assert_ok(onnx_run(s, inputs, outputs, &err), &err);
	onnx_session_free(s);
	onnx_free(g);
	for (size_t h = 0; h < H; h++)
		for (size_t w = 0; w < W; w++)
			for (size_t o = 0; o < O; o++)
				flat[(h * W + w) * O + o] = y[o][h][w];
	if (out_bytes == 2) {
		host_quantize_u16(flat, want, H * W * O, &out);
		return;
	}
	host_quantize_u8(flat, narrow, H * W * O, &out);
	for (size_t i = 0; i < H * W * O; i++)
		want[i] = narrow[i];
}

/* --------------------------------------------------------------------------------- running */

static struct hw_dev *open_with(const char *onnx)
{
	struct hw_dev_options o = {.device = "mock", .mock_onnx = onnx};
	struct hw_dev *dev = NULL;
	struct hw_error err = {0};

	assert_ok(hw_dev_open(&o, &dev, &err), &err);
	return dev;
}

static void check_frames(struct hw_net *net, const struct wire *in, const struct wire *out)
{
	for (unsigned int k = 0; k < 3; k++) {
		uint16_t stored[H * W * C], want[H * W * O];
		uint8_t user_in[H * W * C * 2], user_out[H * W * O * 2];
		const void *ins[] = {user_in};
		void *outs[] = {user_out};
		struct hw_error err = {0};
		bool varied = false;

		for (size_t i = 0; i < H * W * C; i++) {
			stored[i] = (uint16_t)((i * 37 + k * 71) & 0xff);
			if (in->bytes == 2)
				put_le16(user_in + 2 * i, stored[i]);
			else
				user_in[i] = (uint8_t)stored[i];
		}
		expect(stored, out->bytes, want);
		assert_ok(hw_net_run(net, ins, outs, FRAME_MS, &err), &err);
		for (size_t i = 0; i < H * W * O; i++) {
			unsigned int got = out->bytes == 2 ? get_le16(user_out + 2 * i) : user_out[i];

			if (got != want[i])
				fail_msg("%s to %s, frame %u: element %zu is %u, not %u", in->name,
					 out->name, k, i, got, want[i]);
			varied |= want[i] != want[0];
		}
		assert_true(varied);
	}
}

static void run_model(const struct wire *in, const struct wire *out, bool features_last)
{
	struct hw_dev *dev = open_with(make_onnx("standin", features_last));
	struct hw_error err = {0};
	struct hw_net *net;
	char want[300];
	size_t len;
	uint8_t *hef = make_hef(in, out, &len);

	if (hw_net_load_mem(dev, hef, len, NULL, &net, &err))
		fail_msg("%s to %s: %s", in->name, out->name, err.text);
	snprintf(want, sizeof(want), "onnx:%s/standin.onnx", tmp_dir());
	assert_string_equal(hw_net_function(net), want);
	check_frames(net, in, out);
	hw_net_free(net);
	hw_dev_close(dev);
	free(hef);
}

static void a_model_answers_on_every_layout(void **state)
{
	static const struct wire ins[] = {
		{"NHWC", 0, 0, C, 1, false},	       {"NHWC, features padded", 0, 0, 4, 1, false},
		{"NHCW", 1, 0, C, 1, false},	       {"NHCW, all padded", 1, 8, 8, 1, false},
		{"NHWC transposed", 0, 0, C, 1, true}, {"FCR", 3, 0, 8, 1, false},
		{"NHCW 16 bit", 1, 8, C, 2, false},
	};
	static const struct wire outs[] = {
		{"NHWC", 0, 0, O, 1, false},	       {"NHCW", 1, 8, O, 1, false},
		{"FCR", 3, 0, 8, 1, false},	       {"FCR 16 bit", 3, 0, 8, 2, false},
		{"NHWC transposed", 0, 0, 8, 1, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ins); i++)
		run_model(&ins[i], &outs[i % ARRAY_SIZE(outs)], i & 1);
	for (size_t i = 0; i < ARRAY_SIZE(outs); i++)
		run_model(&ins[0], &outs[i], !(i & 1));
}

static const struct wire plain_in = {"NHWC", 0, 0, C, 1, false};
static const struct wire plain_out = {"NHWC", 0, 0, O, 1, false};

/* The same model behind two networks whose frames look different; the order is each application's own. */
static void several_networks_have_a_model_each(void **state)
{
	static const struct wire wide_out = {"NHWC", 0, 0, O, 2, false};
	struct hw_dev *dev = open_with(make_onnx("both", false));
	struct hw_error err = {0};
	struct hw_net *narrow, *wide;
	size_t len;
	uint8_t *hef;

	(void)state;
	hef = make_hef(&plain_in, &plain_out, &len);
	assert_ok(hw_net_load_mem(dev, hef, len, NULL, &narrow, &err), &err);
	free(hef);
	hef = make_hef(&plain_in, &wide_out, &len);
	assert_ok(hw_net_load_mem(dev, hef, len, NULL, &wide, &err), &err);
	free(hef);
	for (int round = 0; round < 2; round++) {
		check_frames(narrow, &plain_in, &plain_out);
		check_frames(wide, &plain_in, &wide_out);
	}
	hw_net_free(narrow);
	hw_net_free(wide);
	hw_dev_close(dev);
}

/* The chip keeps a copy: the file is read while loading and not needed any more. */
static void the_model_is_not_needed_after_loading(void **state)
{
	const char *path = make_onnx("gone", false);
	struct hw_dev *dev = open_with(path);
	struct hw_error err = {0};
	struct hw_net *net;
	size_t len;
	uint8_t *hef = make_hef(&plain_in, &plain_out, &len);

	(void)state;
	assert_ok(hw_net_load_mem(dev, hef, len, NULL, &net, &err), &err);
	spit(path, "gone", 4);
	check_frames(net, &plain_in, &plain_out);
	hw_net_free(net);
	/* and a broken one is noticed at the next load, in words */
	assert_int_equal(hw_net_load_mem(dev, hef, len, NULL, &net, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "as stand-in"));
	hw_dev_close(dev);
	free(hef);
}

static void own_networks_are_computed_whatever_was_ordered(void **state)
{
	static const uint8_t in[TINY_IN] = {0, 36, 72, 108, 144, 180, 216, 252};
	struct hw_dev *dev = open_with(make_onnx("unused", false));
	struct hw_error err = {0};
	struct hw_net *net;
	uint8_t out[TINY_OUT];
	const void *ins[] = {in};
	void *outs[] = {out};
	size_t len, n;
	uint8_t *hef = tiny_hef("tiny", 1.0f, 3, &len);

	(void)state;
	assert_ok(hw_net_load_mem(dev, hef, len, NULL, &net, &err), &err);
	assert_string_equal(hw_net_function(net), "core");
	assert_ok(hw_net_run(net, ins, outs, FRAME_MS, &err), &err);
	assert_true(tiny_right(in, out, 3, &hw_net_outputs(net, &n)->quant));
	hw_net_free(net);
	hw_dev_close(dev);
	free(hef);
}

/* -------------------------------------------------------------------------------- refusals */

static void refuse_open(const char *device, const char *onnx, int code, const char *words)
{
	struct hw_dev_options o = {.device = device, .mock_onnx = onnx};
	struct hw_dev *dev = NULL;
	struct hw_error err = {0};

	assert_int_equal(hw_dev_open(&o, &dev, &err), code);
	assert_null(dev);
	if (!strstr(err.text, words))
		fail_msg("%s with %s: %s", device, onnx, err.text);
}

static void orders_that_cannot_be_followed_are_refused_at_open(void **state)
{
	const char *path = make_onnx("fine", false);
	char text_file[256];

	(void)state;
	refuse_open("auto", path, -EINVAL, "on a chip in this process only");
	refuse_open(NULL, path, -EINVAL, "on a chip in this process only");
	refuse_open("mock:/run/chip.sock", path, -EINVAL, "on a chip in this process only");
	refuse_open("0000:01:00.0", path, -EINVAL, "on a chip in this process only");
	refuse_open("mock", "/nowhere/model.onnx", -ENOENT, "/nowhere/model.onnx");
	snprintf(text_file, sizeof(text_file), "%s/text.onnx", tmp_dir());
	spit(text_file, "no model", 8);
	refuse_open("mock:8l", text_file, -EBADMSG, "text.onnx");
}

static void refuse_model(struct mb *b, int code, const char *words)
{
	struct hw_error err = {0};
	struct hw_dev *dev = open_with(mb_save(b, "misfit"));
	struct hw_net *net = NULL;
	size_t len;
	uint8_t *hef = make_hef(&plain_in, &plain_out, &len);

	assert_int_equal(hw_net_load_mem(dev, hef, len, NULL, &net, &err), code);
	assert_null(net);
	assert_words(err.text, words);
	hw_dev_close(dev);
	free(hef);
}

static void models_that_do_not_fit_are_refused_at_load(void **state)
{
	struct mb *b = mb_new(13);

	(void)state;
	mb_input(b, "x", MB_DIMS(1, C, W, H)); /* as many numbers, turned */
	mb_f32(b, "w", MB_DIMS(O, C, 1, 1), weight);
	mb_node(b, "Conv", "x w", "y");
	mb_output(b, "y");
	refuse_model(b, -EINVAL, "4x6x3");

	b = mb_new(13);
	mb_input(b, "x", MB_DIMS(1, C, H, W));
	mb_node(b, "Relu", "x", "y");
	mb_output(b, "y");
	refuse_model(b, -EINVAL, "4x6x5");

	b = mb_new(13);
	mb_input(b, "x", MB_DIMS(1, C, H, W));
	mb_f32(b, "w", MB_DIMS(O, C, 1, 1), weight);
	mb_node(b, "Conv", "x w", "y");
	mb_node(b, "Relu", "y", "z");
	mb_output(b, "y");
	mb_output(b, "z");
	refuse_model(b, -EINVAL, "2 outputs");
}

/* -------------------------------------------------- which tensor is which stream, and which way */

static const float one = 1, none = 0;

static struct mock_stream_format flat(const char *name, uint8_t index, bool output, uint32_t n)
{
	return (struct mock_stream_format){
		.name = name, .stream_index = index, .output = output, .element_bytes = 1,
		.height = 1, .width = 1, .features = n, .row = n, .column = n, .feature = 1,
		.n_quant = 1, .scale = &one, .zero_point = &none,
	};
}

/* Inputs a and b; outputs sum = a + b and product = a * b. */
static const char *two_by_two(const char *a, const char *b, const char *sum, const char *product)
{
	char both[64];
	struct mb *m = mb_new(13);

	snprintf(both, sizeof(both), "%s %s", a, b);
	mb_input(m, a, MB_DIMS(1, 2));
	mb_input(m, b, MB_DIMS(1, 2));
	mb_node(m, "Add", both, sum);
	mb_node(m, "Mul", both, product);
	mb_output(m, sum);
	mb_output(m, product);
	return mb_save(m, "two");
}

/* The stream indices of the ports, in the model's order. */
static void ports_of(const char *path, uint8_t got[4])
{
	const struct mock_stream_format f[] = {
		flat("net/first", 5, false, 2), flat("net/second", 3, false, 2),
		flat("net/left", 7, true, 2), flat("net/right", 1, true, 2),
	};
	uint8_t in[2][2] = {{2, 3}, {5, 7}}, out[2][2];
	const uint8_t *ins[] = {in[0], in[1]};
	uint8_t *outs[] = {out[0], out[1]};
	const struct core_port *ports;
	struct hw_error err = {0};
	struct standin *s;
	size_t n;

	assert_ok(standin_new(path, 1, f, ARRAY_SIZE(f), &s, &err), &err);
	ports = standin_ports(s, &n);
	assert_int_equal(n, 4);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(ports[i].output, i >= 2);
		assert_int_equal(ports[i].bytes, 2);
		got[i] = ports[i].stream_index;
	}
	assert_int_equal(standin_run(s, ins, outs), 0);
	assert_memory_equal(out[0], ((uint8_t[]){7, 10}), 2);
	assert_memory_equal(out[1], ((uint8_t[]){10, 21}), 2);
	standin_put(s);
}

static void tensors_find_their_streams_by_name_or_in_order(void **state)
{
	uint8_t got[4];

	(void)state;
	ports_of(two_by_two("x", "y", "s", "p"), got); /* no name is known */
	assert_memory_equal(got, ((uint8_t[]){5, 3, 7, 1}), 4);
	ports_of(two_by_two("second", "first", "right", "left"), got);
	assert_memory_equal(got, ((uint8_t[]){3, 5, 1, 7}), 4);
	ports_of(two_by_two("second", "x", "net/right", "left"), got); /* one is not enough */
	assert_memory_equal(got, ((uint8_t[]){5, 3, 1, 7}), 4);
}

/* Model @m stands in for a network of one input and one output, and answers @out to @in. */
static void answer_of(struct mb *m, const struct mock_stream_format f[2], const uint8_t *in, uint8_t *out)
{
	struct hw_error err = {0};
	struct standin *s;

	assert_ok(standin_new(mb_save(m, "model"), 1, f, 2, &s, &err), &err);
	assert_int_equal(standin_run(s, &in, &out), 0);
	standin_put(s);
}

/* Shapes that fit both ways: as images have it with four dimensions, as they stand with three. */
static void a_cube_is_taken_features_first(void **state)
{
	for (int rank = 4; rank >= 3; rank--) {
		const float shift[] = {10, 20};
		const int64_t dim[] = {2, 1, 1};
		struct mock_stream_format f[] = {flat("n/in", 0, false, 2), flat("n/out", 1, true, 2)};
		uint8_t in[8] = {0, 1, 2, 3, 4, 5, 6, 7}, out[8];
		struct mb *m = mb_new(13);

		(void)state;
		for (size_t i = 0; i < 2; i++) {
			f[i].height = f[i].width = f[i].features = 2;
			f[i].row = 4;
			f[i].column = 2;
		}
		/* The first of the three real dimensions gets 10 or 20 added. */
		mb_input(m, "x", rank, (const int64_t[]){rank == 4 ? 1 : 2, 2, 2, 2});
		mb_f32(m, "c", 3, dim, shift);
		mb_node(m, "Add", "x c", "y");
		mb_output(m, "y");
		answer_of(m, f, in, out);
		for (uint8_t i = 0; i < 8; i++)
			assert_int_equal(out[i], i + ((rank == 4 ? i % 2 : i / 4) ? 20 : 10));
	}
}

/* Saturated, halves to even, and what is no number is 0. */
static void results_are_rounded_as_the_host_rounds(void **state)
{
	const float by[] = {0.5f, 0.5f, 100, -1, 0, 1.5f};
	struct mock_stream_format f[] = {flat("n/in", 0, false, 6), flat("n/out", 1, true, 6)};
	const uint8_t in[] = {1, 3, 9, 9, 0, 1}, want[] = {0, 2, 255, 0, 0, 2};
	struct mb *m = mb_new(13);
	uint8_t out[6];

	(void)state;
	mb_input(m, "x", MB_DIMS(1, 6));
	mb_f32(m, "by", MB_DIMS(6), by);
	mb_node(m, "Mul", "x by", "m");
	mb_f32(m, "at", MB_DIMS(6), (const float[]){1, 1, 1, 1, 0, 1});
	mb_node(m, "Div", "m at", "y"); /* 0 / 0 */
	mb_output(m, "y");
	answer_of(m, f, in, out);
	assert_memory_equal(out, want, sizeof(want));
}

/* --------------------------------------------------------------- microcode, or one of ours? */

static void the_first_bytes_decide(void **state)
{
	uint8_t head[PAYLOAD_HEAD] = {0};

	(void)state;
	assert_false(payload_is_ours(head, 0));
	assert_false(payload_is_ours(head, PAYLOAD_HEAD));
	for (unsigned int s = 0; s < PAYLOAD_STREAMS_MAX; s++) {
		put_le32(head, 13);
		put_le32(head + 4, PAYLOAD_STREAM_BASE(s));
		put_le32(head + 8, PAYLOAD_MAGIC);
		/* Neither mark alone can be lost to a flipped byte and take the payload with it. */
		for (unsigned int i = 0; i < PAYLOAD_HEAD; i++) {
			for (unsigned int flip = 1; flip < 256; flip++) {
				head[i] ^= (uint8_t)flip;
				assert_true(payload_is_ours(head, PAYLOAD_HEAD));
				head[i] ^= (uint8_t)flip;
			}
		}
		head[7] ^= 0x80;
		head[11] ^= 0x01;
		assert_false(payload_is_ours(head, PAYLOAD_HEAD));
	}
}

/* Both marks of one channel destroyed: not microcode, since the other channel says otherwise. */
static void a_mixture_is_refused(void **state)
{
	struct hw_dev_options o = {.device = "mock"};
	struct hw_dev *dev;
	struct hw_error err = {0};
	size_t len, off, size, marks = 0;
	uint8_t *hef = tiny_hef("tiny", 1.0f, 3, &len), in[TINY_IN] = {0}, out[TINY_OUT];
	const void *ins[] = {in};
	void *outs[] = {out};

	(void)state;
	assert_ok(hw_dev_open(&o, &dev, &err), &err);
	hef_ccws(hef, len, &off, &size);
	for (size_t i = off; i + PAYLOAD_HEAD <= off + size; i += 4) {
		struct hw_net *net;
		int r;

		if (get_le32(hef + i + 8) != PAYLOAD_MAGIC)
			continue;
		marks++;
		hef[i + 7] ^= 0x80;
		hef[i + 11] ^= 0x01;
		hef_fix_digest(hef, len);
		r = hw_net_load_mem(dev, hef, len, NULL, &net, &err);
		if (r == 0) {
			assert_string_equal(hw_net_function(net), "core");
			r = hw_net_run(net, ins, outs, 2000, &err);
			hw_net_free(net);
		}
		assert_int_not_equal(r, 0);
		assert_non_null(strstr(err.text, "config channel"));
		hef[i + 7] ^= 0x80;
		hef[i + 11] ^= 0x01;
	}
	assert_int_equal(marks, 2);
	hw_dev_close(dev);
	free(hef);
}

/* Fewer bytes than the marks need: whatever it is, it is none of ours. */
static void short_microcode_is_microcode(void **state)
{
	struct mock_opts opts = {0};
	struct chip_boot_options boot = {0};
	struct hw_error err = {0};
	struct backend *be;
	struct hw_dev *dev;
	struct hw_net *net;
	struct mock_stats st;
	struct hefgen g;
	uint8_t in[256] = {0}, out[16], *hef;
	const void *ins[] = {in};
	void *outs[] = {out};
	size_t len;

	(void)state;
	assert_ok(backend_mock_open(&opts, &be, &err), &err);
	assert_ok(infer_dev_open(be, &boot, false, &dev, &err), &err);
	hefgen_init(&g); /* configuration of 8 bytes, one no-op */
	hef = hefgen_file(&g, &len);
	assert_ok(hw_net_load_mem(dev, hef, len, NULL, &net, &err), &err);
	assert_string_equal(hw_net_function(net), "pattern");
	assert_ok(hw_net_run(net, ins, outs, FRAME_MS, &err), &err);
	for (uint32_t i = 0; i < sizeof(out); i++)
		assert_int_equal(out[i], (i * 167 + 16 * 17 + 5) & 255);
	mock_chip_stats(backend_mock_chip(be), &st);
	assert_int_equal(st.standin_frames, 1);
	hw_net_free(net);
	hw_dev_close(dev);
	free(hef);
}

/* k of the pattern counts from ENABLED: a network loaded anew begins with frame 0. */
static void frames_are_counted_from_enabled(void **state)
{
	struct hw_dev *dev = open_with(NULL);
	struct hw_error err = {0};
	size_t len;
	uint8_t *hef = make_hef(&plain_in, &plain_out, &len);

	(void)state;
	for (int load = 0; load < 2; load++) {
		uint8_t in[H * W * C] = {0}, out[H * W * O];
		const void *ins[] = {in};
		void *outs[] = {out};
		struct hw_net *net;

		assert_ok(hw_net_load_mem(dev, hef, len, NULL, &net, &err), &err);
		for (uint32_t k = 0; k < 300; k++) {
			assert_ok(hw_net_run(net, ins, outs, FRAME_MS, &err), &err);
			assert_int_equal(out[7], (7 * 167 + k * 31 + 16 * 17 + 5) & 255);
		}
		hw_net_free(net);
	}
	hw_dev_close(dev);
	free(hef);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_model_answers_on_every_layout),
		cmocka_unit_test(several_networks_have_a_model_each),
		cmocka_unit_test(the_model_is_not_needed_after_loading),
		cmocka_unit_test(own_networks_are_computed_whatever_was_ordered),
		cmocka_unit_test(orders_that_cannot_be_followed_are_refused_at_open),
		cmocka_unit_test(models_that_do_not_fit_are_refused_at_load),
		cmocka_unit_test(tensors_find_their_streams_by_name_or_in_order),
		cmocka_unit_test(a_cube_is_taken_features_first),
		cmocka_unit_test(results_are_rounded_as_the_host_rounds),
		cmocka_unit_test(the_first_bytes_decide),
		cmocka_unit_test(a_mixture_is_refused),
		cmocka_unit_test(short_microcode_is_microcode),
		cmocka_unit_test(frames_are_counted_from_enabled),
	};

	make_weights();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
