// SPDX-License-Identifier: MIT
/* Action bytes: the spec's sizes, captured hardware, merging (4.5) and cutting (4.2). */
#include "support/support.h"

#include "network/actions.h"

/* Protocol 4.4, column "Params"; -1: no fixed size. */
static const int sizes[FW_ACTIONS] = {
	3,  44, 9,  2,  8,  1,	42, 39, 43, 39, 43, 42, 8, 3,  9,  0, 1, 1, 5,	5, 1, 0,  21,
	2,  -1, 4,  6,	3,  8,	0,  0,	0,  28, 20, 7,	15, 6, 1,  2,  2, 43, 41, 0, 4, 0,
};
/* and column "Rep" */
static const int repeatable[] = {0, 1, 2, 3, 4, 5, 13, 14, 34, 36};

static void sizes_are_the_specs(void **state)
{
	size_t n = 0;

	(void)state;
	for (unsigned int t = 0; t < FW_ACTIONS; t++) {
		const struct action_layout *l = action_layout(t);

		if (sizes[t] < 0) {
			assert_null(l);
			continue;
		}
		assert_non_null(l);
		if ((int)action_params_size(l) != sizes[t])
			fail_msg("%s: %zu bytes", l->name, action_params_size(l));
		n += l->repeatable;
	}
	assert_int_equal(n, ARRAY_SIZE(repeatable));
	for (size_t i = 0; i < ARRAY_SIZE(repeatable); i++)
		assert_true(action_layout((unsigned int)repeatable[i])->repeatable);
	assert_null(action_layout(FW_ACTIONS));
}

static void names(void **state)
{
	char buf[32];

	(void)state;
	assert_string_equal(action_name(24, buf, sizeof(buf)), "REPEATED_ACTION");
	assert_string_equal(action_name(0, buf, sizeof(buf)), "FETCH_CFG_CHANNEL_DESCRIPTORS");
	assert_string_equal(action_name(77, buf, sizeof(buf)), "action 77");
}

static void encode(const struct action_list *l, bool merge, struct network_context *ctx)
{
	struct hw_error err = {0};

	memset(ctx, 0, sizeof(*ctx));
	assert_ok(action_encode(l, merge, ctx, &err), &err);
}

static void drop(struct action_list *l, struct network_context *ctx)
{
	action_list_free(l);
	buf_free(&ctx->actions);
	free(ctx->cuts);
	free(ctx->names);
	memset(ctx, 0, sizeof(*ctx));
}

/* ------------------------------------------------------------- captured hardware */

static uint64_t number(const cJSON *v)
{
	assert_non_null(v);
	return cJSON_IsString(v) ? strtoull(v->valuestring, NULL, 0) : (uint64_t)v->valuedouble;
}

/* Every named field in the layout's order; none may be left over ("lcu" repeats packed_lcu_id). */
static void append_from(struct action_list *l, unsigned int type, const cJSON *fields)
{
	const struct action_layout *layout = action_layout(type);
	uint64_t v[24];
	int left = cJSON_GetArraySize(fields) - cJSON_HasObjectItem(fields, "lcu");

	assert_non_null(layout);
	assert_int_equal(left, layout->n_fields);
	for (unsigned int i = 0; i < layout->n_fields; i++)
		v[i] = number(cJSON_GetObjectItem(fields, layout->fields[i].name));
	action_append(l, (enum fw_action)type, v, layout->n_fields);
}

static void encode_captured(const cJSON *line)
{
	const cJSON *type = cJSON_GetObjectItem(line, "type"), *sub;
	const cJSON *complete = cJSON_GetObjectItem(line, "complete");
	const char *raw = cJSON_GetObjectItem(line, "raw")->valuestring;
	struct action_list l = {0};
	struct network_context ctx;
	size_t want_len, len;
	uint8_t *want = unhex(raw, &want_len);

	if (type->valueint == FW_ACT_REPEATED_ACTION) {
		unsigned int sub_type =
			(unsigned int)cJSON_GetObjectItem(line, "sub_type")->valueint;

		cJSON_ArrayForEach(sub, cJSON_GetObjectItem(line, "subs"))
			append_from(&l, sub_type, sub);
		if (complete && !cJSON_IsTrue(complete)) {
			/* the capture stops inside this action: only whole members are known */
			want_len = ACTION_REPEAT_HEADER_SIZE + l.n * (size_t)sizes[sub_type];
			assert_true(l.n > 1 && want_len <= strlen(raw) / 2);
			want[5] = (uint8_t)l.n;
		}
	} else {
		append_from(&l, (unsigned int)type->valueint, cJSON_GetObjectItem(line, "fields"));
	}
	encode(&l, true, &ctx);
	len = ctx.actions.len;
	assert_bytes_equal(ctx.actions.ptr, len, want, want_len,
			   cJSON_GetObjectItem(line, "name")->valuestring);
	free(want);
	drop(&l, &ctx);
}

static void captured(const char *file, size_t at_least)
{
	cJSON *all = read_jsonl(shared_path(file)), *line;
	size_t n = 0;

	cJSON_ArrayForEach(line, all)
	{
		encode_captured(line);
		n++;
	}
	assert_true(n >= at_least);
	cJSON_Delete(all);
}

static void captured_mnist(void **state)
{
	(void)state;
	captured("traces/mnist-actions.jsonl", 40);
}

static void captured_mobilenet(void **state)
{
	(void)state;
	captured("traces/mobilenet-actions.jsonl", 40);
}

static void captured_yolov6n(void **state)
{
	(void)state;
	captured("traces/yolov6n-actions.jsonl", 11);
}

/* ------------------------------------------------------------------ merging, cutting */

static void runs_are_merged(void **state)
{
	/* 2 x disable; none; disable alone; default and non-default are different kinds;
	 * waits are not repeatable */
	static const char want_hex[] = "18ffffffff0200050102"
				       "05ffffffff03"
				       "18ffffffff02000304000500"
				       "04ffffffff0600070008000000"
				       "14ffffffff09"
				       "14ffffffff09";
	struct action_list l = {0};
	struct network_context ctx;
	size_t want_len;
	uint8_t *want = unhex(want_hex, &want_len);

	(void)state;
	ACTION(&l, FW_ACT_DISABLE_LCU, 1);
	ACTION(&l, FW_ACT_DISABLE_LCU, 2);
	action_append_none(&l);
	ACTION(&l, FW_ACT_DISABLE_LCU, 3);
	ACTION(&l, FW_ACT_ENABLE_LCU_DEFAULT, 4, 0);
	ACTION(&l, FW_ACT_ENABLE_LCU_DEFAULT, 5, 0);
	ACTION(&l, FW_ACT_ENABLE_LCU_NON_DEFAULT, 6, 0, 7, 8);
	ACTION(&l, FW_ACT_MODULE_CONFIG_DONE_INTERRUPT, 9);
	ACTION(&l, FW_ACT_MODULE_CONFIG_DONE_INTERRUPT, 9);
	encode(&l, true, &ctx);
	assert_bytes_equal(ctx.actions.ptr, ctx.actions.len, want, want_len, "merged");
	/* unrolled: members have indices of their own */
	assert_int_equal(ctx.n_names, 8);
	assert_int_equal(ctx.names[1].type, FW_ACT_DISABLE_LCU);
	assert_int_equal(ctx.names[1].offset, 9);
	assert_int_equal(ctx.names[2].offset, 10);
	assert_int_equal(ctx.n_cuts, 1);
	assert_int_equal(ctx.cuts[0], want_len);
	drop(&l, &ctx);
	free(want);
}

static void activation_is_not_merged(void **state)
{
	struct action_list l = {0};
	struct network_context ctx;

	(void)state;
	ACTION(&l, FW_ACT_DISABLE_LCU, 1);
	ACTION(&l, FW_ACT_DISABLE_LCU, 2);
	encode(&l, false, &ctx);
	assert_bytes_equal(ctx.actions.ptr, ctx.actions.len,
			   "\x05\xff\xff\xff\xff\x01\x05\xff\xff\xff\xff\x02", 12, "plain");
	drop(&l, &ctx);
}

/* 256 members: 255 and a plain one; 257: 255 and 2; 512: 255, 255 and 2 */
static void long_runs(void **state)
{
	static const struct {
		unsigned int n;
		size_t bytes;
	} cases[] = {
		{255, 8 + 255}, {256, 8 + 255 + 6}, {257, 8 + 255 + 8 + 2},
		{512, 8 + 255 + 8 + 255 + 8 + 2},
	};

	(void)state;
	for (size_t c = 0; c < ARRAY_SIZE(cases); c++) {
		struct action_list l = {0};
		struct network_context ctx;

		for (unsigned int i = 0; i < cases[c].n; i++)
			ACTION(&l, FW_ACT_DISABLE_LCU, i & 0x7f);
		encode(&l, true, &ctx);
		assert_int_equal(ctx.actions.len, cases[c].bytes);
		assert_int_equal(ctx.actions.ptr[5], 255);
		assert_int_equal(ctx.n_names, cases[c].n);
		if (cases[c].n == 256) /* the left-over has a header of its own */
			assert_int_equal(ctx.actions.ptr[8 + 255], FW_ACT_DISABLE_LCU);
		if (cases[c].n == 257)
			assert_int_equal(ctx.actions.ptr[8 + 255 + 5], 2);
		drop(&l, &ctx);
	}
}

/* Independent reading of 4.2: walk the bytes, list the unbreakable pieces, pack them greedily. */
static size_t pack(const uint8_t *p, size_t len, size_t *cuts)
{
	size_t at = 0, start = 0, n = 0;
	size_t piece[2048], pieces = 0;

	while (at < len) {
		if (p[at] == 24) {
			unsigned int count = p[at + 5], sub = p[at + 7];

			piece[pieces++] = 8;
			at += 8;
			for (unsigned int i = 0; i < count; i++) {
				piece[pieces++] = (size_t)sizes[sub];
				at += (size_t)sizes[sub];
			}
		} else {
			piece[pieces++] = 5 + (size_t)sizes[p[at]];
			at += piece[pieces - 1];
		}
	}
	assert_int_equal(at, len);
	at = 0;
	for (size_t i = 0; i < pieces; i++) {
		if (at - start + piece[i] > 1461) {
			cuts[n++] = at;
			start = at;
		}
		at += piece[i];
	}
	cuts[n++] = at;
	return n;
}

static void chunks_break_between_pieces(void **state)
{
	struct action_list l = {0};
	struct network_context ctx;
	size_t want[16], n;

	(void)state;
	for (unsigned int i = 0; i < 200; i++) /* a long repeated action: 44-byte members */
		ACTION(&l, FW_ACT_TRIGGER_SEQUENCER, i, 0, 0, 0, 0, 0, 0, 0, 0);
	for (unsigned int i = 0; i < 300; i++) { /* and singles that cannot merge */
		ACTION(&l, FW_ACT_MODULE_CONFIG_DONE_INTERRUPT, i & 0xff);
		ACTION(&l, FW_ACT_DISABLE_LCU, 1);
	}
	encode(&l, true, &ctx);
	n = pack(ctx.actions.ptr, ctx.actions.len, want);
	assert_true(n > 5);
	assert_int_equal(ctx.n_cuts, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(ctx.cuts[i], want[i]);
	/* the first chunk: repeat header and 33 whole members, 1460 of 1461 bytes */
	assert_int_equal(ctx.cuts[0], 8 + 33 * 44);
	drop(&l, &ctx);
}

/* Exactly 1461 bytes still fit into one chunk; one more action makes a second. */
static void a_full_chunk(void **state)
{
	for (int extra = 0; extra <= 1; extra++) {
		struct action_list l = {0};
		struct network_context ctx;

		for (unsigned int i = 0; i < 243; i++) /* 6 bytes each */
			ACTION(&l, FW_ACT_MODULE_CONFIG_DONE_INTERRUPT, 0);
		encode(&l, true, &ctx);
		assert_int_equal(ctx.actions.len, 1458);
		drop(&l, &ctx);
		for (unsigned int i = 0; i < 242; i++)
			ACTION(&l, FW_ACT_MODULE_CONFIG_DONE_INTERRUPT, 0);
		ACTION(&l, FW_ACT_SLEEP, 1000); /* 1452 + 9 */
		if (extra)
			ACTION0(&l, FW_ACT_HALT);
		encode(&l, true, &ctx);
		assert_int_equal(ctx.n_cuts, 1 + (size_t)extra);
		assert_int_equal(ctx.cuts[0], 1461);
		drop(&l, &ctx);
	}
	(void)state;
}

static void values_must_fit(void **state)
{
	struct action_list l = {0};
	struct network_context ctx = {0};
	struct hw_error err = {0};

	(void)state;
	ACTION(&l, FW_ACT_FETCH_CFG_CHANNEL_DESCRIPTORS, 0x10000, 0);
	ACTION(&l, FW_ACT_DISABLE_LCU, 1);
	assert_int_equal(action_encode(&l, true, &ctx, &err), -ERANGE);
	assert_non_null(strstr(err.text, "FETCH_CFG_CHANNEL_DESCRIPTORS: descriptors_count"));
	drop(&l, &ctx);
	ACTION(&l, FW_ACT_DISABLE_LCU, 1, 2); /* one value too many */
	assert_int_equal(action_encode(&l, true, &ctx, &err), -ERANGE);
	drop(&l, &ctx);
}

static void channels_are_remembered(void **state)
{
	struct action_list l = {0};
	struct network_context ctx;

	(void)state;
	ACTION(&l, FW_ACT_FETCH_CFG_CHANNEL_DESCRIPTORS, 5, 1);
	ACTION(&l, FW_ACT_DISABLE_LCU, 7);
	ACTION(&l, FW_ACT_RESUME_VDMA_CHANNEL, 2, 1);
	encode(&l, true, &ctx);
	assert_int_equal(ctx.names[0].channel, 1);
	assert_int_equal(ctx.names[1].channel, -1);
	assert_int_equal(ctx.names[2].channel, 2);
	drop(&l, &ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_the_specs),
		cmocka_unit_test(names),
		cmocka_unit_test(captured_mnist),
		cmocka_unit_test(captured_mobilenet),
		cmocka_unit_test(captured_yolov6n),
		cmocka_unit_test(runs_are_merged),
		cmocka_unit_test(activation_is_not_merged),
		cmocka_unit_test(long_runs),
		cmocka_unit_test(chunks_break_between_pieces),
		cmocka_unit_test(a_full_chunk),
		cmocka_unit_test(values_must_fit),
		cmocka_unit_test(channels_are_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
