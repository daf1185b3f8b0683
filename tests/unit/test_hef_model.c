// SPDX-License-Identifier: MIT
/* What the model says about synthetic files: hef-format 3.1 to 5.9, protocol 5.2. */
#include "support/support.h"

#include "hef/hef.h"
#include "support/hefrow.h"

static const struct hef_core_op *core(const struct hef *hef)
{
	return &hef->groups[0].core_ops[0];
}

/* Append an action with member @kind to the context's operation. */
static void action(struct hefgen *g, unsigned int kind, struct buf *member)
{
	struct buf a = {0};

	pb_msg(&a, kind, member);
	pb_msg(&g->at[AT_OPERATION], 2, &a);
}

static void numbers(struct buf *m, const uint64_t *pairs, size_t n)
{
	for (size_t i = 0; i + 1 < n; i += 2)
		pb_uint(m, (unsigned int)pairs[i], pairs[i + 1]);
}

#define NUMBERS(m, ...)                                                                            \
	numbers(m, (const uint64_t[]){__VA_ARGS__}, ARRAY_SIZE(((const uint64_t[]){__VA_ARGS__})))

static void actions_carry_their_fields(void **state)
{
	const struct hef_action *a;
	struct buf m = {0}, sub = {0};
	struct hefgen g;
	struct hef *hef;

	(void)state;
	hefgen_init(&g);
	pb_str(&g.at[AT_CORE_OP], 6, "net");
	hefgen_extension(&g, true, 8, NULL);
	/* enable_sequencer with the legacy L3 word: cut 5, offset 0x123 * 8 */
	NUMBERS(&m, 1, 7, 2, 0x123 << 7 | 5, 3, 0xffffffff, 4, UINT64_C(1) << 40, 5,
		UINT64_C(1) << 50, 6, 9, 7, 1, 8, 2, 9, 3, 10, 4);
	action(&g, 5, &m);
	/* the same with initial_l3_info */
	NUMBERS(&sub, 1, 200, 2, 65535, 3, 1);
	NUMBERS(&m, 2, 0x7ffff);
	pb_msg(&m, 11, &sub);
	action(&g, 5, &m);
	NUMBERS(&m, 1, 3, 2, 4, 3, 1, 4, 2, 6, 0x102); /* default form */
	action(&g, 8, &m);
	NUMBERS(&m, 1, 3, 2, 4, 3, 1, 4, 3);
	action(&g, 8, &m);
	NUMBERS(&m, 1, 8, 2, 9, 6, 1);
	action(&g, 15, &m);
	NUMBERS(&m, 1, 1, 2, 2, 3, 0x10050, 4, 0x10006, 5, 0);
	action(&g, 13, &m);
	NUMBERS(&m, 1, 0x80000010, 2, 0, 4, 0xff00, 5, 3, 6, 8);
	pb_bytes(&m, 3, "\x11\x22\x33", 3);
	action(&g, 14, &m);
	NUMBERS(&sub, 1, UINT64_C(1) << 33);
	pb_msg(&m, 2, &sub);
	action(&g, 12, &m);
	pb_msg(&m, 3, &sub);
	action(&g, 12, &m);
	action(&g, 9, &m);
	hef = hefrow_parse(&g);

	assert_int_equal(core(hef)->contexts[0].n_actions, 12);
	a = core(hef)->contexts[0].actions + 2; /* behind trigger and allow_input_dataflow */
	assert_int_equal(a->kind, HEF_ACT_ENABLE_SEQUENCER);
	assert_int_equal(a->sequencer.cluster, 7);
	assert_int_equal(a->sequencer.l3_cut, 5);
	assert_int_equal(a->sequencer.l3_offset, 0x123 * 8);
	assert_int_equal(a->sequencer.apu, 0xffffffff);
	assert_int_equal(a->sequencer.sc, UINT64_C(1) << 40);
	assert_int_equal(a->sequencer.l2, UINT64_C(1) << 50);
	assert_int_equal(a->sequencer.ia, 9);
	assert_int_equal(a->sequencer.l2_offset_0, 1 | UINT64_C(2) << 32);
	assert_int_equal(a->sequencer.l2_offset_1, 3 | UINT64_C(4) << 32);
	a++;
	assert_int_equal(a->sequencer.l3_cut, 200);
	assert_int_equal(a->sequencer.l3_offset, 65535);
	a++;
	assert_int_equal(a->kind, HEF_ACT_ENABLE_LCU_DEFAULT);
	assert_int_equal(a->lcu.lcu, 3);
	assert_int_equal(a->lcu.cluster, 4);
	assert_int_equal(a->lcu.network, 2); /* reduced to 8 bits */
	a++;
	assert_int_equal(a->kind, HEF_ACT_ENABLE_LCU_NON_DEFAULT);
	assert_int_equal(a->lcu.done_address, 1);
	assert_int_equal(a->lcu.done_count, 3);
	a++;
	assert_int_equal(a->kind, HEF_ACT_SWITCH_LCU_BATCH);
	assert_int_equal(a->lcu.cluster, 9);
	assert_int_equal(a->lcu.network, 1);
	assert_int_equal(a->lcu.done_count, 0);
	a++;
	assert_int_equal(a->kind, HEF_ACT_ENABLE_NMS);
	assert_int_equal(a->nms.classes, 0x50);
	assert_int_equal(a->nms.burst_size, 6);
	assert_int_equal(a->nms.division_factor, 1);
	assert_int_equal(a->nms.network, 2);
	a++;
	assert_int_equal(a->kind, HEF_ACT_WRITE_DATA_BY_TYPE);
	assert_int_equal(a->write.address, 0x80000010);
	assert_int_equal(a->write.data, 0x332211);
	assert_int_equal(a->write.mask, 0xff00);
	assert_int_equal(a->write.shift, 8);
	assert_int_equal(a->write.network, 3);
	a++;
	assert_int_equal(a->kind, HEF_ACT_SLEEP);
	assert_int_equal(a->sleep_us, UINT32_MAX);
	assert_int_equal(a[1].kind, HEF_ACT_HALT);
	assert_int_equal(a[2].kind, HEF_ACT_NONE);
	assert_true(core(hef)->can_fast_batch_switch);
	hef_free(hef);
}

static void batch_size_writes_end_the_fast_switch(void **state)
{
	struct buf m = {0}, a = {0}, op = {0}, context = {0};
	struct hefgen g;
	struct hef *hef;

	(void)state;
	hefgen_init(&g);
	NUMBERS(&m, 2, 1, 5, 3);
	action(&g, 14, &m);
	hef = hefrow_parse(&g);
	assert_false(core(hef)->can_fast_batch_switch);
	/* Without optional extension 8 network indexes are 0. */
	assert_int_equal(core(hef)->contexts[0].actions[2].write.network, 0);
	hef_free(hef);

	/* A later context does not matter (4.11). */
	hefgen_init(&g);
	NUMBERS(&m, 2, 1);
	pb_msg(&a, 14, &m);
	pb_msg(&m, 3, &op);
	pb_msg(&op, 1, &m);
	pb_msg(&op, 2, &a);
	pb_msg(&context, 2, &op);
	pb_msg(&g.at[AT_CORE_OP], 3, &context);
	hef = hefrow_parse(&g);
	assert_int_equal(core(hef)->n_contexts, 2);
	assert_true(core(hef)->can_fast_batch_switch);
	hef_free(hef);
}

/* A CCW action of either container kind, @n bytes from @at of the block or of @data */
static void ccw(struct hefgen *g, const uint8_t *data, uint32_t at, uint32_t n, uint32_t channel)
{
	struct buf m = {0};

	if (g->container == 0) {
		pb_bytes(&m, 1, data + at, n);
		pb_uint(&m, 2, channel);
		action(g, 3, &m);
	} else {
		NUMBERS(&m, 1, at, 2, n, 3, channel);
		action(g, 16, &m);
	}
}

static void check_ccw(const struct hef_action *a, uint32_t channel, const char *pieces)
{
	char got[64] = "";
	uint64_t bytes = 0;

	assert_int_equal(a->kind, HEF_ACT_WRITE_CCW);
	assert_int_equal(a->ccw.channel, channel);
	for (size_t i = 0; i < a->ccw.n_pieces; i++) {
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%.*s", i ? "|" : "",
			 (int)a->ccw.pieces[i].len, (const char *)a->ccw.pieces[i].ptr);
		bytes += a->ccw.pieces[i].len;
	}
	assert_string_equal(got, pieces);
	assert_int_equal(a->ccw.bytes, bytes);
}

static void runs_of_configuration_words(void **state)
{
	static const uint8_t data[] = "abcdefghijklmnopqrstuvwxyz";

	(void)state;
	for (uint32_t version = 0; version <= 2; version++) {
		const struct hef_context *ctx;
		struct buf none = {0};
		struct hefgen g;
		struct hef *hef;

		hefgen_init(&g);
		g.container = version;
		g.ccws = data;
		g.ccws_len = 26;
		g.omit = OMIT_CCW;
		/* One run: channels 2, 0, 2, 1; then something else; then channels 0, 2 */
		ccw(&g, data, 0, 3, 2);
		ccw(&g, data, 3, 2, 0);
		ccw(&g, data, 5, 4, 2);
		ccw(&g, data, 9, 1, 1);
		action(&g, 9, &none);
		ccw(&g, data, 10, 2, 0);
		ccw(&g, data, 12, 3, 2);
		hef = hefrow_parse(&g);
		ctx = &core(hef)->contexts[0];
		assert_int_equal(ctx->n_actions, 2 + 3 + 1 + 2);
		if (version == 0) { /* ascending */
			check_ccw(&ctx->actions[2], 0, "de");
			check_ccw(&ctx->actions[3], 1, "j");
			check_ccw(&ctx->actions[4], 2, "abc|fghi");
			check_ccw(&ctx->actions[6], 0, "kl");
			check_ccw(&ctx->actions[7], 2, "mno");
			/* one size for each write */
			assert_int_equal(ctx->bursts[2].n, 2);
			assert_int_equal(ctx->bursts[2].sizes[0], 7);
			assert_int_equal(ctx->bursts[2].sizes[1], 3);
		} else { /* reverse of first appearance */
			check_ccw(&ctx->actions[2], 1, "j");
			check_ccw(&ctx->actions[3], 0, "de");
			check_ccw(&ctx->actions[4], 2, "abc|fghi");
			check_ccw(&ctx->actions[6], 2, "mno");
			check_ccw(&ctx->actions[7], 0, "kl");
			/* one size for each piece */
			assert_int_equal(ctx->bursts[2].n, 3);
			assert_int_equal(ctx->bursts[2].sizes[0], 3);
			assert_int_equal(ctx->bursts[2].sizes[1], 4);
			assert_int_equal(ctx->bursts[2].sizes[2], 3);
		}
		assert_int_equal(ctx->actions[5].kind, HEF_ACT_NONE);
		assert_int_equal(ctx->bursts[0].n, 2);
		assert_int_equal(ctx->bursts[1].n, 1);
		assert_int_equal(ctx->bursts[3].n, 0);
		hef_free(hef);
	}
}

/* 4.9: the number of pieces of one write fits 16 bits */
static void pieces_of_one_write(void **state)
{
	(void)state;
	for (uint32_t n = 65535; n <= 65536; n++) {
		enum hef_status status;
		struct hw_error err;
		struct hef *hef;
		struct hefgen g;
		uint8_t *image;
		size_t len;
		int r;

		hefgen_init(&g);
		for (uint32_t i = 0; i < n; i++)
			ccw(&g, NULL, 0, 8, 0);
		image = hefgen_file(&g, &len);
		r = hef_parse(image, len, &hef, &status, &err);
		assert_int_equal(status, n == 65535 ? HEF_OK : HEF_INVALID_HEF);
		if (!r)
			hef_free(hef);
	}
}

static void chip_side_padding(void **state)
{
	(void)state;
	/* 5.4's example: 8x6x4 with rows padded to 8, code 1; then its conditions one by one */
	static const struct {
		const char *name;
		uint32_t base[5][2]; /* further fields of the base */
		bool extension, padded_by_host;
	} rows[] = {
		{"the example", {{0}}, false, false},
		{"optional extension 11", {{0}}, true, true},
		{"other layout", {{7, 0}}, false, true},
		{"other number of core buffers", {{10, 4}}, false, true},
		{"elements of a row not of 8", {{5, 3}, {6, 3}}, false, true},
		{"row longer than the FIFO", {{15, 24}}, false, true},
		{"row just shorter than the FIFO", {{15, 25}}, false, false},
		{"unknown FIFO", {{15, 0}}, false, false},
		{"16-bit elements in that FIFO", {{15, 25}, {12, 2}}, false, true},
		{"row of 65536", {{3, 16384}, {4, 16392}, {15, 0}}, false, true},
		{"row of 65504", {{3, 16376}, {4, 16392}, {15, 0}}, false, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct hef_layer *in;
		struct hefgen g;
		struct hef *hef;

		hefgen_init(&g);
		NUMBERS(&g.at[AT_IN_BASE], 3, 6, 7, 1);
		for (size_t k = 0; k < 5 && rows[i].base[k][0]; k++)
			pb_uint(&g.at[AT_IN_BASE], rows[i].base[k][0], rows[i].base[k][1]);
		if (rows[i].extension)
			hefgen_extension(&g, true, 11, NULL);
		hef = hefrow_parse(&g);
		in = &core(hef)->contexts[0].layers[0];
		if ((in->hw_width == in->padded_width) != rows[i].padded_by_host)
			fail_msg("%s: hardware width %u, padded %u", rows[i].name, in->hw_width,
				 in->padded_width);
		assert_int_equal(in->feature_padding_payload,
				 rows[i].padded_by_host ? 0 : in->raw_width * in->data_bytes);
		if (i == 0)
			assert_int_equal(hef_transfer_bytes(in), 192);
		if (i == 1)
			assert_int_equal(hef_transfer_bytes(in), 256);
		hef_free(hef);
	}
}

static void transposed_shapes(void **state)
{
	(void)state;
	for (int by_group = 0; by_group < 2; by_group++) {
		const struct hef_layer *in, *out;
		struct hefgen g;
		struct hef *hef;

		hefgen_init(&g);
		NUMBERS(&g.at[AT_IN_BASE], 1, 8, 3, 6, 2, 9, 4, 10);
		if (by_group)
			pb_uint(&g.at[AT_CORE_META], 3, 1);
		else
			pb_uint(&g.at[AT_IN_INFO], 6, 1);
		hef = hefrow_parse(&g);
		in = &core(hef)->contexts[0].layers[0];
		out = &core(hef)->contexts[0].layers[1];
		assert_true(in->transposed);
		assert_int_equal(in->height, 6);
		assert_int_equal(in->width, 8);
		assert_int_equal(in->raw_height, 8);
		assert_int_equal(in->hw_height, 9);
		assert_int_equal(in->hw_width, 10);
		assert_false(out->transposed); /* NC */
		hef_free(hef);
	}
}

static void quantisation_per_feature(void **state)
{
	static const double zps[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
	static const double scales[] = {.5, .5, .5, .5, .5, .5, .5, .5,
					.5, .5, .5, .5, .5, .5, .5, .25};
	static const double alike[] = {3, 3, 3, 3};
	const struct hef_layer *in, *out;
	struct hefgen g;
	struct hef *hef;

	(void)state;
	hefgen_init(&g);
	hefgen_extension(&g, false, 25, "OUTPUT_SCALE_PER_FEATURE");
	pb_packed_double(&g.at[AT_IN_NUMERIC], 5, alike, 4);
	pb_packed_double(&g.at[AT_IN_NUMERIC], 6, alike, 4);
	pb_packed_double(&g.at[AT_OUT_NUMERIC], 5, zps, 16);
	pb_packed_double(&g.at[AT_OUT_NUMERIC], 6, scales, 16);
	hef = hefrow_parse(&g);
	in = &core(hef)->contexts[0].layers[0];
	out = &core(hef)->contexts[0].layers[1];
	assert_int_equal(in->n_feature_quant, 4);
	assert_float_equal(in->feature_quant[3].zero_point, 3, 0);
	assert_float_equal(in->quant.scale, 1, 0);
	assert_int_equal(out->n_feature_quant, 16);
	assert_float_equal(out->feature_quant[15].zero_point, 16, 0);
	assert_float_equal(out->feature_quant[15].scale, .25f, 0);
	assert_float_equal(out->feature_quant[15].lim_max, 255, 0);
	assert_float_equal(out->quant.scale, 0, 0);
	assert_float_equal(out->quant.lim_max, 0, 0);
	hef_free(hef);
}

/* 4.3: reverse file order; 4.4: names a network answers to */
static void groups_and_names(void **state)
{
	struct buf group = {0}, meta = {0}, core_op = {0}, op = {0}, context = {0};
	struct hefgen g;
	struct hef *hef;

	(void)state;
	hefgen_init(&g);
	pb_str(&meta, 1, "second");
	pb_bytes(&group, 1, meta.ptr, meta.len);
	pb_str(&group, 4, "x");
	pb_str(&group, 6, "left");
	pb_msg(&core_op, 1, &meta);
	pb_msg(&core_op, 3, &context);
	pb_str(&core_op, 6, "left");
	pb_str(&core_op, 6, "right");
	pb_msg(&op, 4, &core_op);
	pb_msg(&group, 8, &op);
	pb_msg(&g.at[AT_HEF], 2, &group);
	hefgen_extension(&g, true, 8, NULL);
	pb_str(&g.at[AT_CORE_OP], 6, "only");
	hef = hefrow_parse(&g);
	assert_int_equal(hef->n_groups, 2);
	assert_string_equal(hef->groups[0].name, "second");
	assert_string_equal(hef->groups[1].name, "n");
	assert_int_equal(hef->groups[0].n_networks, 2);
	assert_string_equal(hef->groups[0].networks[1], "second/right");
	assert_int_equal(hef->groups[1].n_networks, 1);
	/* the group itself names none, so the default is shown (4.4) */
	assert_string_equal(hef->groups[1].networks[0], "n/n");
	assert_int_equal(core(hef)->n_networks, 2);
	assert_string_equal(core(hef)->networks[1], "right");
	assert_ptr_equal(hef_find_group(hef, NULL), &hef->groups[0]);
	assert_ptr_equal(hef_find_group(hef, ""), &hef->groups[0]);
	assert_ptr_equal(hef_find_group(hef, "n"), &hef->groups[1]);
	assert_ptr_equal(hef_find_group(hef, "n/n"), &hef->groups[1]);
	assert_ptr_equal(hef_find_group(hef, "second/right"), &hef->groups[0]);
	assert_ptr_equal(hef_find_group(hef, "second/second"), &hef->groups[0]);
	assert_null(hef_find_group(hef, "second/"));
	assert_null(hef_find_group(hef, "third"));
	hef_free(hef);
}

/* 4.5: the last context's order when nothing else gives one; fused layers before everything */
static void output_order(void **state)
{
	struct buf fused = {0};
	struct hefgen g;
	struct hef *hef;

	(void)state;
	hefgen_init(&g);
	g.omit = OMIT_SORTED;
	pb_str(&g.at[AT_CONTEXT_META], 5, "from the context");
	hef = hefrow_parse(&g);
	assert_string_equal(hef->groups[0].outputs_order[0], "from the context");
	hef_free(hef);

	hefgen_init(&g);
	pb_uint(&fused, 1, 1);
	pb_str(&fused, 2, "fused");
	pb_msg(&g.at[AT_CORE_OP], 5, &fused);
	hef = hefrow_parse(&g);
	assert_string_equal(hef->groups[0].outputs_order[0], "fused");
	hef_free(hef);

	hefgen_init(&g);
	pb_uint(&fused, 1, 0);
	pb_str(&fused, 2, "fused");
	pb_msg(&g.at[AT_CORE_OP], 5, &fused);
	hef = hefrow_parse(&g);
	assert_string_equal(hef->groups[0].outputs_order[0], "n/out");
	hef_free(hef);
}

/* protocol 5.2 */
static void nms_transfers(void **state)
{
	static const struct {
		struct hef_nms nms;
		uint32_t bytes, transfers;
	} rows[] = {
		{{.classes = 80, .max_boxes = 100, .bbox_size = 8, .burst_size = 1}, 8, 8000},
		{{.classes = 80, .max_boxes = 100, .bbox_size = 8, .burst_size = 1,
		  .division_factor = 2}, 8, 16000},
		{{.classes = 80, .max_boxes = 100, .bbox_size = 8, .burst_size = 16, .burst = true},
		 128, 560},
		{{.classes = 80, .max_boxes = 100, .bbox_size = 8, .burst_size = 100, .burst = true},
		 800, 160},
		{{.classes = 80, .max_boxes = 100, .bbox_size = 8, .burst_size = 101, .burst = true},
		 64640, 80},
	};
	struct hef_layer l = {.has_nms = true};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		l.nms = rows[i].nms;
		assert_int_equal(hef_transfer_bytes(&l), rows[i].bytes);
		assert_int_equal(hef_transfers_per_frame(&l), rows[i].transfers);
	}
	l = (struct hef_layer){.hw_height = 1, .hw_width = 1, .hw_features = 5, .data_bytes = 1};
	assert_int_equal(hef_transfer_bytes(&l), 8);
	assert_int_equal(hef_transfers_per_frame(&l), 1);
}

/* 5.4: the user shape of an NMS layer; the raw division factor, 0 stays 0 */
static void nms_layer(void **state)
{
	(void)state;
	for (uint32_t factor = 0; factor <= 2; factor += 2) {
		struct buf nms = {0}, add = {0};
		const struct hef_layer *out;
		struct hefgen g;
		struct hef *hef;

		hefgen_init(&g);
		NUMBERS(&nms, 2, 80, 3, 100, 4, 8, 7, factor);
		pb_msg(&add, 1, &nms);
		pb_msg(&g.at[AT_OUT_BASE], 11, &add);
		NUMBERS(&g.at[AT_OUT_BASE], 7, 6, 12, 2);
		hef = hefrow_parse(&g);
		out = &core(hef)->contexts[0].layers[1];
		assert_true(out->has_nms);
		assert_int_equal(out->order, HW_ORDER_HAILO_NMS_ON_CHIP);
		assert_int_equal(out->height, 80);
		assert_int_equal(out->width, 5);
		assert_int_equal(out->features, 100 * factor);
		assert_int_equal(out->nms.burst_size, 1);
		assert_int_equal(hef_transfer_bytes(out), 8);
		hef_free(hef);
	}
}

/* The refusal says where: group, context, operation, action */
static void refusals_say_where(void **state)
{
	struct buf m = {0};
	struct hw_error err;
	struct hefgen g;
	struct hef *hef;
	uint8_t *image;
	size_t len;

	(void)state;
	hefgen_init(&g);
	NUMBERS(&m, 1, 256);
	action(&g, 11, &m);
	image = hefgen_file(&g, &len);
	assert_int_equal(hef_parse(image, len, &hef, NULL, &err), -EBADMSG);
	assert_string_equal(err.text, "network group \"n\", context 0, operation 0, action 1: module "
				      "index is 256, it can be at most 255");
	hefgen_init(&g);
	pb_uint(&g.at[AT_OUT_BASE], 7, 9);
	image = hefgen_file(&g, &len);
	assert_int_equal(hef_parse(image, len, &hef, NULL, &err), -EBADMSG);
	assert_string_equal(err.text, "network group \"n\", context 0, layer \"n/out\": layout code 9 "
				      "is not known");
	/* 3.2 step 3: names of what is missing */
	hefgen_init(&g);
	hefgen_extension(&g, false, 500, "FIRST");
	hefgen_extension(&g, false, 5000, "SECOND");
	image = hefgen_file(&g, &len);
	assert_int_equal(hef_parse(image, len, &hef, NULL, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "FIRST (500), SECOND (5000)"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(actions_carry_their_fields),
		cmocka_unit_test(batch_size_writes_end_the_fast_switch),
		cmocka_unit_test(runs_of_configuration_words),
		cmocka_unit_test(pieces_of_one_write),
		cmocka_unit_test(chip_side_padding),
		cmocka_unit_test(transposed_shapes),
		cmocka_unit_test(quantisation_per_feature),
		cmocka_unit_test(groups_and_names),
		cmocka_unit_test(output_order),
		cmocka_unit_test(nms_transfers),
		cmocka_unit_test(nms_layer),
		cmocka_unit_test(refusals_say_where),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
