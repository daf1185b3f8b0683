// SPDX-License-Identifier: MIT
/* Appendix B of hef-format, rows 44 to 73: edge layers and host post-processing. */
#include "support/support.h"

#include "support/hefrow.h"

static void connected(struct hefgen *g, enum hefgen_at at, uint32_t index, uint32_t sys)
{
	struct buf c = {0};

	pb_uint(&c, 1, index);
	pb_uint(&c, 3, sys);
	pb_msg(&g->at[at], 8, &c);
}

static void inter_context(struct hefgen *g, uint32_t index, uint32_t sys)
{
	pb_uint(&g->at[AT_OUT_SWITCH], 3, 1);
	connected(g, AT_OUT_SWITCH, index, sys);
}

static void inter_context_fine(struct hefgen *g)
{
	inter_context(g, 65535, 255);
}

static void inter_context_index(struct hefgen *g)
{
	inter_context(g, 65536, 0);
}

static void inter_context_sys(struct hefgen *g)
{
	inter_context(g, 0, 256);
}

static void inter_context_mux(struct hefgen *g)
{
	inter_context(g, 0, 0);
	pb_uint(&g->at[AT_OUT_EDGE], 2, 1);
}

/* Both edges become a DDR pair; the base fields must agree. */
static void ddr_pair(struct hefgen *g)
{
	pb_uint(&g->at[AT_OUT_SWITCH], 3, 2);
	pb_uint(&g->at[AT_IN_SWITCH], 3, 2);
	connected(g, AT_OUT_SWITCH, 0, 0);
	connected(g, AT_IN_SWITCH, 0, 1);
	pb_uint(&g->at[AT_IN_BASE], 9, 512);
	pb_uint(&g->at[AT_OUT_BASE], 9, 512);
	pb_uint(&g->at[AT_IN_BASE], 10, 4);
	pb_uint(&g->at[AT_OUT_BASE], 10, 4);
	pb_uint(&g->at[AT_OUT_SWITCH], 6, 65535);
}

static void ddr_without_input(struct hefgen *g)
{
	pb_uint(&g->at[AT_OUT_SWITCH], 3, 2);
	connected(g, AT_OUT_SWITCH, 0, 0);
}

static void ddr_no_match(struct hefgen *g)
{
	ddr_pair(g);
	pb_uint(&g->at[AT_IN_BASE], 8, 5);
}

static void ddr_bytes_differ(struct hefgen *g)
{
	ddr_pair(g);
	pb_uint(&g->at[AT_IN_BASE], 9, 1024);
}

static void ddr_buffers_differ(struct hefgen *g)
{
	ddr_pair(g);
	pb_uint(&g->at[AT_IN_BASE], 10, 5);
}

static void ddr_other_context(struct hefgen *g)
{
	pb_uint(&g->at[AT_OUT_SWITCH], 3, 2);
	connected(g, AT_OUT_SWITCH, 1, 0);
}

static void ddr_two_contexts(struct hefgen *g)
{
	ddr_pair(g);
	connected(g, AT_OUT_SWITCH, 0, 0);
}

static void ddr_rows_65536(struct hefgen *g)
{
	ddr_pair(g);
	pb_uint(&g->at[AT_OUT_SWITCH], 6, 65536);
}

static void feature_quant(struct hefgen *g, enum hefgen_at at, size_t n, double last)
{
	double zps[16] = {0}, scales[16];

	for (size_t i = 0; i < 16; i++)
		scales[i] = 0.5;
	scales[n - 1] = last;
	pb_packed_double(&g->at[at], 5, zps, n);
	pb_packed_double(&g->at[at], 6, scales, n);
}

static void ext25_fine(struct hefgen *g)
{
	feature_quant(g, AT_IN_NUMERIC, 4, 0.5);
	feature_quant(g, AT_OUT_NUMERIC, 16, 0.25);
}

static void ext25_short_output(struct hefgen *g)
{
	feature_quant(g, AT_IN_NUMERIC, 4, 0.5);
	feature_quant(g, AT_OUT_NUMERIC, 15, 0.5);
}

static void ext25_input_differs(struct hefgen *g)
{
	feature_quant(g, AT_IN_NUMERIC, 4, 0.25);
	feature_quant(g, AT_OUT_NUMERIC, 16, 0.5);
}

static void ext25_input_missing(struct hefgen *g)
{
	feature_quant(g, AT_OUT_NUMERIC, 16, 0.5);
}

static void nms_layer(struct hefgen *g, const struct hefrow_field *f, size_t n, const char *whole)
{
	struct buf nms = {0}, add = {0}, defuse = {0};

	pb_uint(&nms, 2, 80);
	pb_uint(&nms, 3, 100);
	pb_uint(&nms, 4, 8);
	for (size_t i = 0; i < n; i++) {
		if (f[i].number < 100)
			pb_uint(&nms, f[i].number, f[i].value);
		else /* class_group_index */
			pb_uint(&defuse, 1, f[i].value);
	}
	if (whole)
		pb_str(&defuse, 3, whole);
	pb_msg(&nms, 6, &defuse);
	pb_msg(&add, 1, &nms);
	pb_msg(&g->at[AT_OUT_BASE], 11, &add);
	pb_uint(&g->at[AT_OUT_BASE], 7, 6);
	pb_uint(&g->at[AT_OUT_BASE], 12, 2);
}

#define NMS_ROW(name, whole, ...)                                                                  \
	static void name(struct hefgen *g)                                                         \
	{                                                                                          \
		static const struct hefrow_field f[] = {__VA_ARGS__};                                     \
                                                                                                   \
		nms_layer(g, f, ARRAY_SIZE(f), whole);                                             \
	}

NMS_ROW(nms_plain, NULL, {5, 0})
NMS_ROW(nms_burst_type_0, NULL, {8, 1}, {9, 0})
NMS_ROW(nms_burst_type_1, NULL, {8, 1}, {9, 1})
NMS_ROW(nms_burst_type_2, NULL, {8, 1}, {9, 2})
NMS_ROW(nms_burst_65536, NULL, {8, 8192}, {9, 1})
NMS_ROW(nms_burst_65544, NULL, {8, 8193}, {9, 1})
NMS_ROW(nms_burst_wraps, NULL, {8, 0x20000001}, {9, 1})
NMS_ROW(nms_group_9, NULL, {100, 9})
NMS_ROW(nms_group_8, NULL, {100, 8})
NMS_ROW(nms_part, "whole", {5, 1})
NMS_ROW(nms_long_whole, hefrow_long_name, {5, 0})

static void fused(struct hefgen *g, const char *name)
{
	struct buf f = {0}, layer = {0}, info = {0}, base = {0}, nms = {0};

	pb_uint(&base, 7, 6);
	pb_uint(&base, 12, 2);
	pb_str(&info, 1, name);
	pb_msg(&info, 2, &base);
	pb_msg(&layer, 1, &info);
	pb_msg(&layer, 3, &nms);
	pb_uint(&f, 1, 1);
	pb_str(&f, 2, "n/out");
	pb_msg(&f, 3, &layer);
	pb_msg(&g->at[AT_CORE_OP], 5, &f);
}

static void nms_part_unlisted(struct hefgen *g)
{
	nms_part(g);
	fused(g, "another");
}

static void nms_part_listed(struct hefgen *g)
{
	nms_part(g);
	fused(g, "whole");
}

/* A planes edge of @n planes (leaf @i has 1 + i * @differ data bytes), or of one mux. */
static void planes(struct hefgen *g, uint32_t format, size_t n, uint32_t differ, bool mux)
{
	struct buf e = {0}, p = {0};

	pb_str(&p, 1, "n/yuv");
	pb_uint(&p, 2, format);
	for (size_t i = 0; i < n; i++) {
		struct buf plane = {0}, info = {0}, base = {0};
		char name[16];

		snprintf(name, sizeof(name), "n/p%zu", i);
		pb_uint(&base, 12, 1 + i * differ);
		pb_uint(&base, 8, 10 + i);
		pb_str(&info, 1, name);
		pb_msg(&info, 2, &base);
		pb_msg(&plane, mux ? 2 : 1, &info);
		pb_msg(&p, 3, &plane);
	}
	pb_uint(&e, 2, 2);
	pb_msg(&e, 8, &p);
	pb_msg(&g->at[AT_CONTEXT_META], 2, &e);
}

static void planes_fine(struct hefgen *g)
{
	planes(g, 2, 3, 0, false);
}

static void planes_format_3(struct hefgen *g)
{
	planes(g, 3, 2, 0, false);
}

static void planes_differ(struct hefgen *g)
{
	planes(g, 0, 2, 1, false);
}

static void planes_mux(struct hefgen *g)
{
	planes(g, 0, 1, 0, true);
}

static void planes_none(struct hefgen *g)
{
	planes(g, 0, 0, 0, false);
}

/* A mux of @said predecessors of which @n are there, with @ratios ratios. */
static void mux(struct hefgen *g, uint32_t said, size_t n, size_t ratios, unsigned int member)
{
	static const uint32_t list[] = {1, 2, 3};
	struct buf e = {0}, m = {0}, base = {0}, data = {0};

	pb_uint(&base, 7, 1);
	pb_uint(&base, 12, 1);
	pb_str(&m, 1, "n/mux");
	pb_msg(&m, 2, &base);
	pb_uint(&data, 1, said);
	pb_uint(&data, 2, 4);
	pb_packed_uint(&data, 4, list, ratios);
	pb_msg(&m, 3, &data);
	for (size_t i = 0; i < n; i++) {
		struct buf pred = {0}, info = {0}, leaf = {0};

		pb_uint(&leaf, 7, 1);
		pb_uint(&leaf, 12, 1);
		pb_str(&info, 1, i ? "n/b" : "n/a");
		if (member != 3) /* in a planes message, field 2 is a number */
			pb_msg(&info, 2, &leaf);
		if (member)
			pb_msg(&pred, member, &info);
		buf_free(&leaf);
		buf_free(&info);
		pb_msg(&m, 5, &pred);
	}
	pb_uint(&e, 1, 1);
	pb_uint(&e, 2, 1);
	pb_msg(&e, 4, &m);
	pb_msg(&g->at[AT_CONTEXT_META], 2, &e);
}

static void mux_fine(struct hefgen *g)
{
	mux(g, 2, 2, 2, 1);
}

static void mux_too_few(struct hefgen *g)
{
	mux(g, 2, 1, 2, 1);
}

static void mux_few_ratios(struct hefgen *g)
{
	mux(g, 2, 2, 1, 1);
}

static void mux_of_planes(struct hefgen *g)
{
	mux(g, 1, 1, 1, 3);
}

static void mux_of_nothing(struct hefgen *g)
{
	mux(g, 1, 1, 1, 0);
}

/* ------------------------------------------------------------------- host ops */

static void pad(struct buf *op, unsigned int field, uint32_t index, const char *name)
{
	struct buf p = {0};

	pb_uint(&p, 1, index);
	pb_str(&p, 2, name);
	pb_msg(op, field, &p);
}

static void pad_edge(struct hefgen *g, uint32_t src, uint32_t dst)
{
	struct buf e = {0};

	pb_uint(&e, 1, src);
	pb_uint(&e, 2, dst);
	pb_msg(&g->at[AT_GROUP], 9, &e);
}

/* Outputs with the pads 10, 11, 12; edges to the op's input pads 20, 21, 22. */
static void three_outputs(struct hefgen *g, const struct hefrow_field *last, size_t n_last)
{
	static const struct hefrow_field features64[] = {{5, 64}};

	hefrow_edge(&g->at[AT_CONTEXT_META], "n/reg", false, 2, 10, features64, 1);
	hefrow_edge(&g->at[AT_CONTEXT_META], "n/cls", false, 3, 11, last, n_last);
	hefrow_edge(&g->at[AT_CONTEXT_META], "n/obj", false, 4, 12, NULL, 0);
	for (uint32_t i = 0; i < 3; i++)
		pad_edge(g, 10 + i, 20 + i);
}

enum {
	IN_NONE = 1, OUT_NONE = 2, IN_TWO = 4, BBOX_ONLY = 8, NO_OUTPUTS = 16, IN_ONE = 32,
};

/* An op with member @kind of ProtoHEFOp (5 NMS, 6 logits, 0 none) holding @inner. */
static void host_op(struct hefgen *g, unsigned int kind, struct buf *inner, unsigned int flags)
{
	struct buf op = {0};
	uint32_t inputs = flags & IN_NONE ? 0 : flags & IN_ONE ? 1 : flags & IN_TWO ? 2 : 3;

	if (!(flags & NO_OUTPUTS))
		three_outputs(g, NULL, 0);
	pb_str(&op, 1, "post");
	for (uint32_t i = 0; i < inputs; i++)
		pad(&op, 2, 20 + i, "in");
	if (!(flags & OUT_NONE))
		pad(&op, 3, 30, "n/post");
	if (flags & BBOX_ONLY)
		pb_uint(inner, 13, 1);
	if (kind)
		pb_msg(&op, kind, inner);
	buf_free(inner);
	pb_msg(&g->at[AT_GROUP], 8, &op);
}

/* NmsOp.@member with one decoder: @fields into the decoder, which is field @at of the member */
static void nms_op(struct hefgen *g, unsigned int member, unsigned int at,
		   const struct hefrow_field *fields, size_t n, unsigned int flags)
{
	struct buf nms = {0}, op = {0}, dec = {0};

	for (size_t i = 0; i < n; i++)
		pb_uint(&dec, fields[i].number, fields[i].value);
	if (n)
		pb_msg(&op, at, &dec);
	if (member)
		pb_msg(&nms, member, &op);
	buf_free(&op);
	host_op(g, 5, &nms, flags);
}

#define NMS_OP(name, member, at, flags, ...)                                                       \
	static void name(struct hefgen *g)                                                         \
	{                                                                                          \
		static const struct hefrow_field f[] = {__VA_ARGS__};                                     \
                                                                                                   \
		nms_op(g, member, at, f, ARRAY_SIZE(f), flags);                                    \
	}

NMS_OP(yolov5_fine, 7, 4, IN_ONE, {2, 10}, {3, 20}, {5, 10})
NMS_OP(yolov5_anchors, 7, 4, IN_ONE, {2, 10}, {2, 11}, {3, 20}, {5, 10})
NMS_OP(yolov5_unknown_pad, 7, 4, IN_ONE, {5, 77})
NMS_OP(yolov5_bbox_fine, 7, 4, IN_ONE | BBOX_ONLY, {5, 10})
NMS_OP(yolov5_bbox_no_decoder, 7, 4, IN_TWO | BBOX_ONLY, {5, 10})
NMS_OP(yolov8_fine, 12, 4, IN_TWO, {2, 10}, {3, 11})
NMS_OP(yolov8_not_connected, 12, 4, IN_ONE, {2, 10}, {3, 11})
NMS_OP(yolox_fine, 8, 3, 0, {2, 10}, {3, 11}, {4, 12})
NMS_OP(yolox_bbox, 8, 3, BBOX_ONLY, {2, 10}, {3, 11}, {4, 12})
NMS_OP(yolox_not_connected, 8, 3, IN_TWO, {2, 10}, {3, 11}, {4, 12})
NMS_OP(ssd_fine, 9, 9, IN_TWO, {3, 10}, {4, 11})
NMS_OP(ssd_bbox, 9, 9, IN_TWO | BBOX_ONLY, {3, 10}, {4, 11})
NMS_OP(ssd_not_connected, 9, 9, IN_ONE, {3, 10}, {4, 11})
NMS_OP(seg_unknown_proto, 11, 3, IN_ONE, {5, 10})
NMS_OP(seg_bbox, 11, 3, IN_ONE | BBOX_ONLY, {5, 10})
NMS_OP(iou_fine, 10, 1, IN_ONE, {1, 0})
NMS_OP(iou_two, 10, 1, IN_TWO, {1, 0})
NMS_OP(nms_without_member, 0, 0, IN_ONE, {1, 0})
NMS_OP(op_without_edges, 10, 1, IN_ONE | NO_OUTPUTS, {1, 0})

static void yolov8_layers(struct hefgen *g, const struct hefrow_field *cls, size_t n, uint32_t features)
{
	struct buf nms = {0}, op = {0}, dec = {0};
	struct hefrow_field reg[] = {{5, features}};

	hefrow_edge(&g->at[AT_CONTEXT_META], "n/reg", false, 2, 10, reg, 1);
	hefrow_edge(&g->at[AT_CONTEXT_META], "n/cls", false, 3, 11, cls, n);
	pad_edge(g, 10, 20);
	pad_edge(g, 11, 21);
	pb_uint(&dec, 2, 10);
	pb_uint(&dec, 3, 11);
	pb_msg(&op, 4, &dec);
	pb_msg(&nms, 12, &op);
	host_op(g, 5, &nms, IN_TWO | NO_OUTPUTS);
}

static void yolov8_height(struct hefgen *g)
{
	yolov8_layers(g, &(struct hefrow_field){1, 2}, 1, 64);
}

static void yolov8_63(struct hefgen *g)
{
	yolov8_layers(g, NULL, 0, 63);
}

static void edge_from_nowhere(struct hefgen *g)
{
	struct buf nms = {0}, iou = {0};

	pad_edge(g, 99, 20);
	pb_msg(&nms, 10, &iou);
	host_op(g, 5, &nms, IN_ONE | NO_OUTPUTS);
}

static void logits(struct hefgen *g, uint32_t type, unsigned int flags)
{
	struct buf l = {0};

	pb_uint(&l, 1, type);
	host_op(g, 6, &l, flags);
}

static void logits_fine(struct hefgen *g)
{
	logits(g, 1, IN_ONE);
}

static void logits_type_2(struct hefgen *g)
{
	logits(g, 2, IN_ONE);
}

static void logits_two_inputs(struct hefgen *g)
{
	logits(g, 0, IN_TWO);
}

static void logits_no_output(struct hefgen *g)
{
	logits(g, 0, IN_ONE | OUT_NONE);
}

static void op_without_member(struct hefgen *g)
{
	struct buf none = {0};

	host_op(g, 0, &none, IN_ONE);
}

/* -------------------------------------------------------------------- table */

static const struct hefrow rows[] = {
	{"B.44 format 9", HEF_INTERNAL_FAILURE, .set = {{AT_OUT_BASE, {7, 9}}}},
	{"B.44 format 10", HEF_INTERNAL_FAILURE, .set = {{AT_OUT_BASE, {7, 10}}}},
	{"B.44 format 12", HEF_INTERNAL_FAILURE, .set = {{AT_OUT_BASE, {7, 12}}}},
	{"B.44 format 17", HEF_INTERNAL_FAILURE, .set = {{AT_OUT_BASE, {7, 17}}}},
	{"B.44 format 2^32-1", HEF_INTERNAL_FAILURE, .set = {{AT_OUT_BASE, {7, UINT32_MAX}}}},
	{"B.45 no data_bytes", HEF_INVALID_ARGUMENT, .omit = OMIT_DATA_BYTES},
	{"B.45 data_bytes 3", HEF_INVALID_ARGUMENT, .set = {{AT_OUT_BASE, {12, 3}}}},
	{"B.46 sys_index", HEF_INVALID_HEF, .set = {{AT_OUT_BASE, {8, 256}}}},
	{"B.46 engine_id", HEF_INVALID_HEF, .set = {{AT_OUT_BASE, {16, 256}}}},
	{"B.46 core_bytes", HEF_INVALID_HEF, .set = {{AT_OUT_BASE, {9, 65536}}}},
	{"B.46 core_buffers", HEF_INVALID_HEF, .set = {{AT_OUT_BASE, {10, 65536}}}},
	{"B.47 host_argmax", HEF_NOT_SUPPORTED, .set = {{AT_OUT_BASE, {14, 1}}}},
	{"B.48 edge_layer_type 3", HEF_INTERNAL_FAILURE, .set = {{AT_OUT_EDGE, {2, 3}}}},
	{"5.1 type MUX, member INFO", HEF_INVALID_ARGUMENT, .set = {{AT_OUT_EDGE, {2, 1}}}},
	{"5.1 type PLANES, member INFO", HEF_INVALID_HEF, .set = {{AT_OUT_EDGE, {2, 2}}}},
	{"B.49 connection type 4", HEF_INVALID_HEF, .set = {{AT_OUT_SWITCH, {3, 4}}}},
	{"B.50 no connected context", HEF_INVALID_HEF, .set = {{AT_OUT_SWITCH, {3, 1}}}},
	{"B.50 inter-context MUX", HEF_INVALID_HEF, .more = inter_context_mux},
	{"B.50 connected index 65536", HEF_INVALID_HEF, .more = inter_context_index},
	{"B.50 connected sys_index 256", HEF_INVALID_HEF, .more = inter_context_sys},
	{"inter-context", HEF_OK, .more = inter_context_fine},
	{"B.51 DDR output without input", HEF_INVALID_HEF, .more = ddr_without_input},
	{"B.51 DDR indexes do not match", HEF_INVALID_HEF, .more = ddr_no_match},
	{"B.51 DDR bytes differ", HEF_INVALID_HEF, .more = ddr_bytes_differ},
	{"B.51 DDR buffers differ", HEF_INVALID_HEF, .more = ddr_buffers_differ},
	{"B.51 DDR to another context", HEF_INVALID_HEF, .more = ddr_other_context},
	{"B.51 DDR to two contexts", HEF_INVALID_HEF, .more = ddr_two_contexts},
	{"B.51 DDR rows 65536", HEF_INVALID_HEF, .more = ddr_rows_65536},
	{"DDR pair", HEF_OK, .more = ddr_pair},
	{"B.52 cache_id -1", HEF_INVALID_HEF,
	 .set = {{AT_OUT_SWITCH, {3, 3}}, {AT_OUT_SWITCH, {9, UINT64_MAX}}}},
	{"cache", HEF_OK, .set = {{AT_OUT_SWITCH, {3, 3}}, {AT_OUT_SWITCH, {9, 7}}}},
	{"5.2 boundary with cache_id -1 and buffers 2^32-1", HEF_OK,
	 .set = {{AT_OUT_SWITCH, {9, UINT64_MAX}}, {AT_OUT_SWITCH, {6, UINT32_MAX}}}},
	{"extension 25", HEF_OK, .mandatory = 25 + 1, .more = ext25_fine},
	{"B.53 output vectors too short", HEF_INVALID_HEF, .mandatory = 25 + 1,
	 .more = ext25_short_output},
	{"B.53 input records differ", HEF_INVALID_HEF, .mandatory = 25 + 1,
	 .more = ext25_input_differs},
	{"B.54 input vectors missing", HEF_INVALID_HEF, .mandatory = 25 + 1,
	 .more = ext25_input_missing},
	{"5.5 vectors without extension 25 are ignored", HEF_OK, .more = ext25_input_differs},
	{"B.55 no buffer_indices", HEF_OK, .omit = OMIT_BUFFER_INDICES},
	{"NMS", HEF_OK, .more = nms_plain},
	{"NMS bursts", HEF_OK, .mandatory = 19 + 1, .more = nms_burst_type_1},
	{"B.56 extension 19, burst type 0", HEF_INVALID_HEF, .mandatory = 19 + 1,
	 .more = nms_burst_type_0},
	{"B.56 extension 19, burst type 2", HEF_INVALID_HEF, .mandatory = 19 + 1,
	 .more = nms_burst_type_2},
	{"5.6 burst type 2 on a Hailo-15", HEF_OK, .arch = 103 + 1, .mandatory = 19 + 1,
	 .more = nms_burst_type_2},
	{"5.6 burst type 1 on a Hailo-15", HEF_INVALID_HEF, .arch = 103 + 1, .mandatory = 19 + 1,
	 .more = nms_burst_type_1},
	{"B.56 burst type 1 without extension", HEF_INVALID_HEF, .more = nms_burst_type_1},
	{"B.56 burst of 65536 bytes", HEF_OK, .mandatory = 19 + 1, .more = nms_burst_65536},
	{"B.56 burst of 65544 bytes", HEF_INVALID_HEF, .mandatory = 19 + 1,
	 .more = nms_burst_65544},
	{"burst bytes beyond 32 bits", HEF_INVALID_HEF, .mandatory = 19 + 1,
	 .more = nms_burst_wraps},
	{"B.57 NMS, hw_arch 100", HEF_INTERNAL_FAILURE, .arch = 100 + 1, .more = nms_plain},
	{"B.57 NMS, hw_arch 102", HEF_INTERNAL_FAILURE, .arch = 102 + 1, .more = nms_plain},
	{"B.58 class group 9", HEF_INVALID_HEF, .more = nms_group_9},
	{"class group 8", HEF_OK, .more = nms_group_8},
	{"5.6 original name of 128 bytes", HEF_INTERNAL_FAILURE, .more = nms_long_whole},
	{"B.59 fused layer not listed", HEF_NOT_FOUND, .more = nms_part_unlisted},
	{"B.73 fused layer without buffer_indices", HEF_OK, .more = nms_part_listed},
	{"defused without the switch", HEF_OK, .more = nms_part},
	{"planes", HEF_OK, .more = planes_fine},
	{"B.60 planes_format 3", HEF_INVALID_HEF, .more = planes_format_3},
	{"B.60 planes of different types", HEF_INVALID_HEF, .more = planes_differ},
	{"B.61 a mux inside planes", HEF_INTERNAL_FAILURE, .more = planes_mux},
	{"5.8 no planes", HEF_INVALID_HEF, .more = planes_none},
	{"mux", HEF_OK, .more = mux_fine},
	{"5.7 predecessors missing", HEF_INVALID_HEF, .more = mux_too_few},
	{"5.7 ratios missing", HEF_INVALID_HEF, .more = mux_few_ratios},
	{"5.7 planes inside a mux", HEF_INTERNAL_FAILURE, .more = mux_of_planes},
	{"5.7 an empty predecessor", HEF_INTERNAL_FAILURE, .more = mux_of_nothing},
	{"B.62 op without a member", HEF_INTERNAL_FAILURE, .more = op_without_member},
	{"B.62 NMS op without a member", HEF_INTERNAL_FAILURE, .more = nms_without_member},
	{"B.62 logits_type 2", HEF_INTERNAL_FAILURE, .more = logits_type_2},
	{"B.63 input pad without an edge", HEF_INVALID_HEF, .more = op_without_edges},
	{"B.63 edge from elsewhere", HEF_INVALID_HEF, .more = edge_from_nowhere},
	{"B.64 logits with two inputs", HEF_INVALID_HEF, .more = logits_two_inputs},
	{"B.64 logits without output", HEF_INVALID_HEF, .more = logits_no_output},
	{"logits", HEF_OK, .more = logits_fine},
	{"B.65 anchors", HEF_INVALID_HEF, .more = yolov5_anchors},
	{"YOLOv5", HEF_OK, .more = yolov5_fine},
	{"B.66 heights differ", HEF_INVALID_ARGUMENT, .more = yolov8_height},
	{"B.66 63 features", HEF_INVALID_ARGUMENT, .more = yolov8_63},
	{"YOLOv8", HEF_OK, .more = yolov8_fine},
	{"B.67 YOLOX boxes only", HEF_INVALID_ARGUMENT, .more = yolox_bbox},
	{"B.67 SSD boxes only", HEF_INVALID_ARGUMENT, .more = ssd_bbox},
	{"B.67 segmentation boxes only", HEF_INVALID_ARGUMENT, .more = seg_bbox},
	{"SSD", HEF_OK, .more = ssd_fine},
	{"IoU", HEF_OK, .more = iou_fine},
	{"5.13 IoU with two inputs", HEF_INVALID_HEF, .more = iou_two},
	{"B.68 prototype layer unknown", HEF_INVALID_HEF, .more = seg_unknown_proto},
	{"B.69 no group", HEF_OK, .omit = OMIT_GROUP},
	{"B.70 decoder pad unknown", HEF_INVALID_HEF, .more = yolov5_unknown_pad},
	{"B.70 boxes only, input without decoder", HEF_INVALID_HEF,
	 .more = yolov5_bbox_no_decoder},
	{"YOLOv5 boxes only", HEF_OK, .more = yolov5_bbox_fine},
	{"B.71 YOLOX not connected", HEF_INVALID_ARGUMENT, .more = yolox_not_connected},
	{"B.71 SSD not connected", HEF_INVALID_ARGUMENT, .more = ssd_not_connected},
	{"B.71 YOLOv8 not connected", HEF_INVALID_ARGUMENT, .more = yolov8_not_connected},
	{"YOLOX", HEF_OK, .more = yolox_fine},
	{"a frame of 2^96 bytes", HEF_INVALID_HEF,
	 .set = {{AT_OUT_BASE, {2, UINT32_MAX}}, {AT_OUT_BASE, {4, UINT32_MAX}},
		 {AT_OUT_BASE, {6, UINT32_MAX}}}},
	{"a user frame beyond 4 GiB", HEF_INVALID_HEF,
	 .set = {{AT_OUT_BASE, {1, 65536}}, {AT_OUT_BASE, {3, 65536}}}},
};

static void rows_end_as_listed(void **state)
{
	(void)state;
	hefrow_check(rows, ARRAY_SIZE(rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_end_as_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
