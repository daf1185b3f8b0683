// SPDX-License-Identifier: MIT
/*
 * Real compiler-made files: the listing of the vendor's parse-hef (hef-format 8), figures that the
 * specification states, and the same files with bits flipped.
 */
#include "support/support.h"

#include "hef/hef.h"
#include "support/hefgen.h"

static const char *const files[] = {
	"mnist_cnn.hailo8.v0",       "model_3x640x640.hailo8l.v1", "fsq_m13_imu.hailo8.v2",
	"hand_landmark_lite.hailo8.v2", "scrfd_2.5g.hailo15h.v3",
};

static struct hef *open_real(const char *name)
{
	struct hw_error err;
	struct hef *hef;
	char rel[128];

	snprintf(rel, sizeof(rel), "data/hef/%s.hef", name);
	assert_ok(hef_open(shared_path(rel), &hef, NULL, &err), &err);
	return hef;
}

static const struct hef_layer *output_named(const struct hef_core_op *op, const char *name)
{
	for (size_t i = 0; i < op->contexts[0].n_layers; i++) {
		const struct hef_layer *l = &op->contexts[0].layers[i];

		if (!l->input && !strcmp(l->name, name))
			return l;
	}
	fail_msg("no output %s", name);
	return NULL;
}

static void list_layer(char *to, size_t size, const struct hef_layer *l)
{
	size_t n = strlen(to);

	n += (size_t)snprintf(to + n, size - n, "            %s %s UINT8, ",
			      l->input ? "Input " : "Output", l->name);
	if (l->order == HW_ORDER_NC)
		snprintf(to + n, size - n, "NC(%u)\n", l->features);
	else
		snprintf(to + n, size - n, "%s(%ux%ux%u)\n",
			 l->order == HW_ORDER_FCR ? "FCR" : "NHWC", l->height, l->width,
			 l->features);
}

/* 8.2 for single-context, 8-bit files without host ops, which all five are */
static void listing_equals_parse_hef(void **state)
{
	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(files); f++) {
		struct hef *hef = open_real(files[f]);
		const struct hef_group *g = &hef->groups[0];
		const struct hef_core_op *op = &g->core_ops[0];
		char got[4096], rel[128];
		char *golden, *from, *to;
		size_t len;

		snprintf(got, sizeof(got),
			 "Architecture HEF was compiled for: %s\n"
			 "Network group name: %s, Single Context\n"
			 "    Network name: %s\n"
			 "        VStream infos:\n",
			 hef->arch == HEF_ARCH_HAILO8L ? "HAILO8L"
			 : hef->arch == 103	       ? "HAILO15H"
						       : "HAILO8",
			 g->name, g->networks[0]);
		for (size_t i = 0; i < op->contexts[0].n_layers; i++) {
			if (op->contexts[0].layers[i].input)
				list_layer(got, sizeof(got), &op->contexts[0].layers[i]);
		}
		for (size_t i = 0; i < g->n_outputs_order; i++)
			list_layer(got, sizeof(got), output_named(op, g->outputs_order[i]));

		snprintf(rel, sizeof(rel), "golden/%s.parse-hef.txt", files[f]);
		golden = (char *)slurp(shared_path(rel), &len);
		from = strstr(golden, "--- stdout\n") + strlen("--- stdout\n");
		to = strstr(from, "--- stderr");
		*to = 0;
		assert_string_equal(got, from);
		free(golden);
		assert_int_equal(hef->n_groups, 1);
		assert_int_equal(op->n_contexts, 1);
		assert_true(hef->features.run_asap);
		assert_true(hef->features.multi_network);
		assert_true(hef->features.hw_padding);
		assert_false(hef->features.net_flow);
		hef_free(hef);
	}
}

static uint64_t listed(const struct hef_context *ctx, int channel)
{
	uint64_t n = 1;

	for (size_t i = 0; i < ctx->bursts[channel].n; i++)
		n += ceil_div(ctx->bursts[channel].sizes[i], 512);
	return n;
}

static uint64_t used(const struct hef_context *ctx, int channel)
{
	uint64_t n = 0;

	for (size_t i = 0; i < ctx->n_actions; i++) {
		if (ctx->actions[i].kind == HEF_ACT_WRITE_CCW &&
		    ctx->actions[i].ccw.channel == channel)
			n += ceil_div(ctx->actions[i].ccw.bytes, 512);
	}
	return n;
}

/* hef-format 7.2: descriptors of 512 bytes, listed and used, by channel */
static void configuration_sizes(void **state)
{
	struct hef *hef = open_real("fsq_m13_imu.hailo8.v2");
	const struct hef_context *pre = &hef->groups[0].core_ops[0].preliminary;

	(void)state;
	assert_int_equal(hef->groups[0].core_ops[0].cfg_channels, 2);
	assert_int_equal(listed(pre, 0), 386);
	assert_int_equal(listed(pre, 1), 579);
	assert_int_equal(used(pre, 0), 370);
	assert_int_equal(used(pre, 1), 563);
	hef_free(hef);

	hef = open_real("mnist_cnn.hailo8.v0");
	pre = &hef->groups[0].core_ops[0].preliminary;
	assert_int_equal(listed(pre, 0), 20);
	assert_int_equal(listed(pre, 1), 62);
	assert_int_equal(used(pre, 0), 19);
	assert_int_equal(used(pre, 1), 61);
	hef_free(hef);
}

static bool starts_with_flow(const struct hef_context *ctx)
{
	return ctx->n_actions == 2 && ctx->actions[0].kind == HEF_ACT_NONE &&
	       ctx->actions[1].kind == HEF_ACT_ALLOW_INPUT_DATAFLOW;
}

/* protocol 5.3: fsq group 1 holds channels 1, 0 and fetches 0, 1; group 2 the other way round */
static void emission_order_of_channels(void **state)
{
	struct hef *hef = open_real("fsq_m13_imu.hailo8.v2");
	const struct hef_core_op *op = &hef->groups[0].core_ops[0];
	uint8_t order[4];
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < op->preliminary.n_actions && n < 4; i++) {
		const struct hef_action *a = &op->preliminary.actions[i];

		if (a->kind == HEF_ACT_WRITE_CCW)
			order[n++] = a->ccw.channel;
	}
	assert_int_equal(n, 4);
	assert_int_equal(order[0], 0);
	assert_int_equal(order[1], 1);
	assert_int_equal(order[2], 1);
	assert_int_equal(order[3], 0);
	assert_true(starts_with_flow(&op->contexts[0]));
	hef_free(hef);
}

/* hef-format 3.5: the real 8L file has 0x33 and 0xCC; a bitmap it lacks ends in status 26 */
static void cluster_layouts(void **state)
{
	struct hef *hef = open_real("model_3x640x640.hailo8l.v1");
	const struct hef_group *g = hef_find_group(hef, NULL);
	const struct hef_core_op *op = NULL;
	enum hef_status status;
	struct hw_error err;

	(void)state;
	assert_int_equal(g->n_core_ops, 2);
	assert_int_equal(g->core_ops[0].layout, 0x33);
	assert_int_equal(g->core_ops[1].layout, 0xcc);
	assert_ok(hef_select(hef, g, HW_ARCH_HAILO8L, 0xcc, false, &op, NULL, &err), &err);
	assert_ptr_equal(op, &g->core_ops[1]);
	assert_ok(hef_select(hef, g, HW_ARCH_HAILO8L, 0x33, false, &op, NULL, &err), &err);
	assert_ptr_equal(op, &g->core_ops[0]);
	assert_ok(hef_select(hef, g, HW_ARCH_HAILO8, 0, true, &op, &status, &err), &err);
	assert_ptr_equal(op, &g->core_ops[0]);
	assert_int_equal(status, HEF_OK);
	assert_int_equal(hef_select(hef, g, HW_ARCH_HAILO8L, 1, false, &op, &status, &err),
			 -ENOTSUP);
	assert_int_equal(status, HEF_INVALID_HEF);
	assert_non_null(strstr(err.text, "0xcc"));
	hef_free(hef);
}

static void files_for_other_chips(void **state)
{
	struct hef *h8 = open_real("mnist_cnn.hailo8.v0");
	struct hef *h15 = open_real("scrfd_2.5g.hailo15h.v3");
	const struct hef_core_op *op;
	enum hef_status status;
	struct hw_error err;

	(void)state;
	assert_ok(hef_select(h8, h8->groups, HW_ARCH_HAILO8, 0, false, &op, NULL, &err), &err);
	assert_int_equal(hef_select(h8, h8->groups, HW_ARCH_HAILO8L, 0x33, false, &op, &status, &err),
			 -ENOTSUP);
	assert_int_equal(status, HEF_NOT_COMPATIBLE_WITH_DEVICE);
	assert_int_equal(hef_select(h15, h15->groups, HW_ARCH_HAILO8, 0, false, &op, &status, &err),
			 -ENOTSUP);
	assert_int_equal(status, HEF_NOT_COMPATIBLE_WITH_DEVICE);
	assert_non_null(strstr(err.text, "HAILO15H"));
	hef_free(h8);
	hef_free(h15);
}

/* -------------------------------------------------------------------- fuzz */

static uint32_t random_state = 1;

static uint32_t random32(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state;
}

/*
 * One to four bytes of the message changed, digest made right again: whatever comes out is a
 * refusal with a status and a text, or a model that can be walked and freed.
 */
static void mutate(const uint8_t *file, size_t len, size_t header, size_t message, int rounds,
		   size_t *refused)
{
	for (int i = 0; i < rounds; i++) {
		uint8_t *image = malloc(len);
		enum hef_status status;
		struct hw_error err = {0};
		struct hef *hef;
		int r;

		memcpy(image, file, len);
		for (uint32_t n = random32() % 4 + 1; n; n--) {
			uint8_t *at = image + header + random32() % message;

			switch (random32() % 3) {
			case 0:
				*at ^= (uint8_t)(1u << random32() % 8);
				break;
			case 1:
				*at = (uint8_t)random32();
				break;
			default:
				*at = 0xff;
			}
		}
		hefgen_fix_digest(image, len);
		r = hef_parse(image, len, &hef, &status, &err);
		if (r < 0) {
			assert_int_not_equal(status, HEF_OK);
			assert_true(err.text[0]);
			(*refused)++;
			continue;
		}
		for (size_t g = 0; g < hef->n_groups; g++) {
			const struct hef_core_op *op = &hef->groups[g].core_ops[0];

			for (size_t l = 0; l < op->contexts[0].n_layers; l++) {
				hef_transfer_bytes(&op->contexts[0].layers[l]);
				hef_transfers_per_frame(&op->contexts[0].layers[l]);
			}
		}
		hef_free(hef);
	}
}

/* What decides about the parser is the structure: the files' mapping field is left out. */
static uint8_t *without_mapping(const char *name, size_t *len)
{
	size_t n, file_len;
	uint8_t *file, *out;
	struct hefgen g;
	struct buf msg = {0};
	struct span in;
	char rel[128];

	snprintf(rel, sizeof(rel), "data/hef/%s.hef", name);
	file = slurp(shared_path(rel), &file_len);
	hefgen_init(&g);
	g.container = get_be32(file + 4);
	n = g.container == 0 ? 32 : g.container == 1 ? 28 : 44;
	in = (struct span){file + n, get_be32(file + 8)};
	g.ccws = file + n + in.len;
	g.ccws_len = file_len - n - in.len;
	while (in.len) { /* all fields of the root message are length-delimited */
		const uint8_t *start = in.ptr;
		uint64_t size = 0;
		struct span byte;
		int shift = 0;

		assert_int_equal(span_take(&in, 1, &byte), 0);
		do {
			assert_int_equal(span_take(&in, 1, &byte), 0);
			size |= (uint64_t)(byte.ptr[0] & 0x7f) << shift;
			shift += 7;
		} while (byte.ptr[0] & 0x80);
		assert_int_equal(span_take(&in, size, &byte), 0);
		if (start[0] >> 3 != 3)
			buf_put(&msg, start, (size_t)(in.ptr - start));
	}
	out = hefgen_wrap(&g, msg.ptr, msg.len, len);
	buf_free(&msg);
	free(file);
	return out;
}

static void mutations_do_no_harm(void **state)
{
	static const struct {
		const char *name;
		int rounds;
	} rows[] = {
		{"mnist_cnn.hailo8.v0", 4000},
		{"model_3x640x640.hailo8l.v1", 3000},
		{"fsq_m13_imu.hailo8.v2", 1000},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t len, refused = 0;
		uint8_t *file = without_mapping(rows[i].name, &len);
		uint32_t version = get_be32(file + 4);
		size_t header = version == 0 ? 32 : version == 1 ? 28 : 44;
		struct hw_error err;
		struct hef *hef;
		uint8_t *copy = malloc(len);

		memcpy(copy, file, len);
		assert_ok(hef_parse(copy, len, &hef, NULL, &err), &err);
		hef_free(hef);
		mutate(file, len, header, get_be32(file + 8), rows[i].rounds, &refused);
		assert_true(refused > (size_t)rows[i].rounds / 20);
		free(file);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(listing_equals_parse_hef),
		cmocka_unit_test(configuration_sizes),
		cmocka_unit_test(emission_order_of_channels),
		cmocka_unit_test(cluster_layouts),
		cmocka_unit_test(files_for_other_chips),
		cmocka_unit_test(mutations_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
