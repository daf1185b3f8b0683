// SPDX-License-Identifier: MIT
/* The container and what is not one: hef-format 1, A.1, B.1 to B.13, impostors, real files. */
#include "support/support.h"

#include "hef/hef.h"
#include "support/hefrow.h"

/* A.1, byte for byte from the specification */
static const char smallest[] =
	"01484546 00000002 000000b0 181389ce3ff840b2 0000000000000008 0000000000000000"
	"0000000000000000"
	"0a0408012001"
	"129f01 0a030a016e 22056e2f6f7574"
	"  429001 228d01"
	"    0a030a016e"
	"    120d 0a0b 0a021a00 1205 8201021008"
	"    1a77"
	"      1208 0a021a00 12025200"
	"      1a6b"
	"        1230 1a2c 0a046e2f696e 1218 08081008180820082804300448205008 6001 6a00 78808001"
	"                  1a0a 150000803f 2500007f43 2a00"
	"        1237 0801 1a31 0a056e2f6f7574 121c 0801100118012001281030103802400148105001 6001"
	"                  6a00 78808001"
	"                  1a0a 150000803f 2500007f43 2a00"
	"2a02080d 2a02081a"
	"0000000000000000";

static uint8_t *bytes_of(const char *text, size_t *len)
{
	char *packed = malloc(strlen(text) + 1);
	size_t n = 0;
	uint8_t *out;

	for (const char *c = text; *c; c++) {
		if (*c != ' ')
			packed[n++] = *c;
	}
	packed[n] = 0;
	out = unhex(packed, len);
	free(packed);
	return out;
}

static uint8_t *copy_of(const void *data, size_t len)
{
	uint8_t *p = malloc(len + 1);

	memcpy(p, data, len);
	return p;
}

/* Parse @image (owned) and expect @status and @code; the model is freed. */
static void expect(uint8_t *image, size_t len, enum hef_status status, int code, const char *what)
{
	enum hef_status got = 9999;
	struct hw_error err = {0};
	struct hef *hef = NULL;
	int r = hef_parse(image, len, &hef, &got, &err);

	if (r != code || got != status)
		fail_msg("%s: %d, status %d (%s); expected %d, status %d", what, r, got, err.text,
			 code, status);
	if (code && !err.text[0])
		fail_msg("%s: refused without a reason", what);
	if (!r)
		hef_free(hef);
}

static void smallest_file_is_accepted(void **state)
{
	struct hw_error err = {0};
	struct hefgen g;
	struct hef *hef;
	size_t len, gen_len;
	uint8_t *image = bytes_of(smallest, &len), *gen;
	const struct hef_core_op *op;
	const struct hef_layer *in, *out;

	(void)state;
	assert_int_equal(len, 228);
	hefgen_init(&g);
	gen = hefgen_file(&g, &gen_len);
	assert_bytes_equal(gen, gen_len, image, len, "the generator's smallest file");
	free(gen);

	assert_ok(hef_parse(image, len, &hef, NULL, &err), &err);
	assert_int_equal(hef->version, 2);
	assert_int_equal(hef->arch, HEF_ARCH_HAILO8P);
	assert_string_equal(hef->digest, "b240f83fce891318"); /* 1.8 */
	assert_true(hef->features.net_flow);
	assert_true(hef->features.periph_in_host);
	assert_false(hef->software_chip);
	assert_int_equal(hef->n_groups, 1);
	assert_string_equal(hef->groups[0].name, "n");
	assert_int_equal(hef->groups[0].n_networks, 1);
	assert_string_equal(hef->groups[0].networks[0], "n/n");
	assert_int_equal(hef->groups[0].n_outputs_order, 1);
	assert_string_equal(hef->groups[0].outputs_order[0], "n/out");
	assert_int_equal(hef->groups[0].n_core_ops, 1);
	op = &hef->groups[0].core_ops[0];
	assert_int_equal(op->layout, HEF_LAYOUT_ANY);
	assert_int_equal(op->cfg_channels, 1);
	assert_true(op->can_fast_batch_switch);
	assert_int_equal(op->preliminary.n_actions, 2);
	assert_int_equal(op->preliminary.actions[0].kind, HEF_ACT_NONE);
	assert_int_equal(op->preliminary.actions[1].kind, HEF_ACT_WRITE_CCW);
	assert_int_equal(op->preliminary.actions[1].ccw.bytes, 8);
	assert_ptr_equal(op->preliminary.actions[1].ccw.pieces[0].ptr, hef->image + 44 + 176);
	assert_int_equal(op->preliminary.bursts[0].n, 1);
	assert_int_equal(op->preliminary.bursts[0].sizes[0], 8);
	assert_int_equal(op->n_contexts, 1);
	assert_int_equal(op->contexts[0].n_actions, 2);
	assert_int_equal(op->contexts[0].actions[1].kind, HEF_ACT_ALLOW_INPUT_DATAFLOW);
	assert_int_equal(op->contexts[0].n_layers, 2);
	in = &op->contexts[0].layers[0];
	out = &op->contexts[0].layers[1];
	assert_string_equal(in->name, "n/in");
	assert_true(in->input);
	assert_int_equal(in->order, HW_ORDER_NHWC);
	assert_int_equal(in->hw_height * in->hw_width * in->hw_features, 256);
	assert_int_equal(in->core_bytes_per_buffer, 32);
	assert_int_equal(in->core_buffers_per_frame, 8);
	assert_int_equal(in->max_shmifo_size, 0x4000);
	assert_float_equal(in->quant.scale, 1.0f, 0);
	assert_float_equal(in->quant.lim_max, 255.0f, 0);
	assert_false(in->has_pad);
	assert_string_equal(out->name, "n/out");
	assert_false(out->input);
	assert_int_equal(out->order, HW_ORDER_NC);
	assert_int_equal(out->features, 16);
	assert_int_equal(out->stream, 1);
	assert_int_equal(hef_transfer_bytes(out), 16);
	hef_free(hef);
}

static void empty_messages_get_past_the_container(void **state)
{
	static const char *const vectors[] = {
		"01484546 00000000 00000000 00000000 d41d8cd98f00b204e9800998ecf8427e",
		"01484546 00000001 00000000 00000000 0000000000000000 00000000",
		"01484546 00000002 00000000 2d06800538d394c2 0000000000000000 0000000000000000"
		"0000000000000000",
		"01484546 00000003 00000000 2d06800538d394c2 0000000000000000 00000000"
		"0000000000000000 0000000000000000 0000000000000000",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		size_t len;
		uint8_t *image = bytes_of(vectors[i], &len);

		expect(image, len, HEF_NOT_SUPPORTED, -ENOTSUP, "1.4 vector (B.11)");
		/* The digest of nothing is looked at, too. */
		image = bytes_of(vectors[i], &len);
		image[i == 0 ? 31 : 12] ^= 1;
		expect(image, len, HEF_FILE_CORRUPTED, -EBADMSG, "1.4 vector, digest altered");
	}
}

static void container_rules(void **state)
{
	uint8_t *image;
	struct hefgen g;
	size_t len;

	(void)state;
	for (uint32_t version = 0; version <= 3; version++) {
		size_t header, cut;
		uint8_t *bad;

		hefgen_init(&g);
		g.container = version;
		g.padding = version == 3 ? 4096 - 56 - 176 : 0;
		image = hefgen_file(&g, &len);
		header = version == 0 ? 32 : version == 1 ? 28 : version == 2 ? 44 : 56;
		expect(copy_of(image, len), len, HEF_OK, 0, "every container version");

		for (cut = 0; cut < len; cut++)
			expect(copy_of(image, cut), cut,
			       cut < header ? HEF_FILE_OPERATION_FAILURE : HEF_FILE_CORRUPTED,
			       -EBADMSG, "B.2, B.3: cut short");
		bad = copy_of(image, len);
		bad[len] = 0;
		expect(bad, len + 1, HEF_FILE_CORRUPTED, -EBADMSG, "B.3: one byte more");
		for (size_t i = 0; i < 4; i++) {
			bad = copy_of(image, len);
			bad[i] ^= 0x80;
			expect(bad, len, HEF_NOT_SUPPORTED, -EBADMSG, "B.4: magic");
		}
		bad = copy_of(image, len);
		memcpy(bad, "FEH\x01", 4);
		expect(bad, len, HEF_NOT_SUPPORTED, -EBADMSG, "B.4: little-endian magic");
		for (cut = 12; cut <= header; cut++) {
			bad = copy_of(image, cut);
			bad[0] = 0;
			expect(bad, cut,
			       cut < header ? HEF_FILE_OPERATION_FAILURE : HEF_NOT_SUPPORTED,
			       -EBADMSG, "1.5: the magic comes after the header's length");
		}
		bad = copy_of(image, len);
		bad[7] = 4;
		expect(bad, len, HEF_NOT_SUPPORTED, -ENOTSUP, "B.5: version 4");
		bad = copy_of(image, len);
		bad[0] = 0;
		bad[7] = 4;
		expect(bad, len, HEF_NOT_SUPPORTED, -EBADMSG, "B.5: version 4 of something else");
		bad = copy_of(image, len);
		bad[version == 0 ? 16 : 12] ^= 1;
		expect(bad, len, HEF_FILE_CORRUPTED, -EBADMSG, "B.6: digest");
		for (size_t i = header; i < len; i += 7) {
			bad = copy_of(image, len);
			bad[i] ^= 0x10;
			expect(bad, len, HEF_FILE_CORRUPTED, -EBADMSG, "B.6: body");
		}
		bad = copy_of(image, len);
		put_be32(bad + 8, get_be32(bad + 8) + 1);
		expect(bad, len, HEF_FILE_CORRUPTED, -EBADMSG, "B.7: proto_size + 1");
		if (version == 1 || version == 2) {
			size_t at = version == 1 ? 16 : 20;

			bad = copy_of(image, len);
			put_be32(bad + 8, get_be32(bad + 8) - 1);
			put_be64(bad + at, get_be64(bad + at) + 1);
			expect(bad, len, HEF_FILE_CORRUPTED, -EBADMSG, "B.8: proto_size - 1");
			/* 1.7: a sum that wraps around to the right size */
			bad = copy_of(image, len);
			put_be32(bad + 8, get_be32(bad + 8) + 16);
			put_be64(bad + at, get_be64(bad + at) - 16);
			expect(bad, len, HEF_FILE_CORRUPTED, -EBADMSG, "1.7: overflow");
		}
		free(image);
	}
}

static void version_3_padding(void **state)
{
	struct hefgen g;
	uint8_t *image;
	size_t len;

	(void)state;
	hefgen_init(&g);
	g.container = 3;
	image = hefgen_file(&g, &len);
	expect(copy_of(image, len), len, HEF_OK, 0, "B.10: padding 0");
	put_be32(image + 28, 9); /* more than the 8 bytes of CCWs and padding */
	expect(image, len, HEF_FILE_CORRUPTED, -EBADMSG, "B.9: padding beyond its block");

	hefgen_init(&g);
	g.container = 3;
	g.additional = 4;
	image = hefgen_file(&g, &len);
	expect(copy_of(image, len), len, HEF_OK, 0, "B.10: additional info");
	put_be64(image + 32, UINT64_MAX - 3);
	put_be64(image + 20, get_be64(image + 20) + 8);
	expect(image, len, HEF_FILE_CORRUPTED, -EBADMSG, "1.7: overflow");
}

static void broken_messages(void **state)
{
	static const struct {
		const char *what, *hex;
		enum hef_status status;
		int code;
	} rows[] = {
		{"B.12: all ones", "ffffffffffffffffffffffffffffffff", HEF_FILE_CORRUPTED, -EBADMSG},
		{"field number 0", "0001", HEF_FILE_CORRUPTED, -EBADMSG},
		{"length beyond the end", "0a7f0801", HEF_FILE_CORRUPTED, -EBADMSG},
		{"length of ten bytes", "0affffffffffffffffff01", HEF_FILE_CORRUPTED, -EBADMSG},
		{"group wire type", "0b0c", HEF_FILE_CORRUPTED, -EBADMSG},
		{"varint without an end", "0a02ffff", HEF_FILE_CORRUPTED, -EBADMSG},
		{"B.13: stray continuation", "0a031a0180", HEF_FILE_CORRUPTED, -EBADMSG},
		{"B.13: overlong", "0a041a02c0af", HEF_FILE_CORRUPTED, -EBADMSG},
		{"B.13: overlong, 3 bytes", "0a051a03e080af", HEF_FILE_CORRUPTED, -EBADMSG},
		{"B.13: surrogate", "0a051a03eda080", HEF_FILE_CORRUPTED, -EBADMSG},
		{"B.13: beyond Unicode", "0a061a04f4908080", HEF_FILE_CORRUPTED, -EBADMSG},
		{"B.13: cut short", "0a041a02e282", HEF_FILE_CORRUPTED, -EBADMSG},
		{"NUL in a name", "0a041a026100", HEF_FILE_CORRUPTED, -EBADMSG},
		{"good UTF-8, then version 0", "0a0b1a09c3a9e282acf09f9880", HEF_NOT_SUPPORTED,
		 -ENOTSUP},
		{"the header in two parts", "0a0208010a0220012a02081a", HEF_OK, 0},
		{"the header in two parts, no version", "0a0208010a0220002a02081a", HEF_NOT_SUPPORTED,
		 -ENOTSUP},
		{"unknown fields are skipped", "0a04080120012a02081af8ff0705fdff0701020304",
		 HEF_OK, 0},
		{"B.69: no network group", "0a04080120012a02081a", HEF_OK, 0},
		{"unknown enum values are kept", "0a0508cf1820012a02081a", HEF_OK, 0},
	};
	struct hefgen g;

	(void)state;
	hefgen_init(&g);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t n, len;
		uint8_t *msg = bytes_of(rows[i].hex, &n);
		uint8_t *image = hefgen_wrap(&g, msg, n, &len);

		free(msg);
		expect(image, len, rows[i].status, rows[i].code, rows[i].what);
	}
}

/* 2.1: of a singular message in several parts all fields count, the last of each; lists go on. */
static void messages_in_parts_are_merged(void **state)
{
	struct buf part = {0}, sub = {0}, base = {0};
	const struct hef_core_op *op;
	const struct hef_layer *l;
	struct hefgen g;
	struct hef *hef;

	(void)state;
	hefgen_init(&g);
	pb_uint(&base, 8, 3);
	pb_msg(&g.at[AT_OUT_INFO], 2, &base); /* the base's second part, within the info's first */
	pb_uint(&base, 9, 24);
	pb_msg(&sub, 2, &base);
	pb_str(&sub, 1, "n/renamed");
	pb_msg(&g.at[AT_OUT_EDGE], 3, &sub); /* its third, within the info's second */
	/* One more preliminary operation in a part of its own: field 2 of the core op */
	pb_msg(&sub, 3, &part);
	pb_msg(&part, 1, &sub);
	pb_msg(&sub, 1, &part);
	pb_msg(&g.at[AT_CORE_OP], 2, &sub);
	hef = hefrow_parse(&g);
	op = &hef->groups[0].core_ops[0];
	assert_int_equal(op->preliminary.n_actions, 3); /* none, write; none */
	assert_int_equal(op->preliminary.actions[1].kind, HEF_ACT_WRITE_CCW);
	assert_int_equal(op->contexts[0].n_layers, 2);
	l = &op->contexts[0].layers[1];
	assert_string_equal(l->name, "n/renamed");
	assert_int_equal(l->stream, 3);
	assert_int_equal(l->core_bytes_per_buffer, 24);
	assert_int_equal(l->features, 16);
	assert_int_equal(l->order, HW_ORDER_NC);
	assert_float_equal(l->quant.scale, 1.0f, 0);
	hef_free(hef);
}

/* 2.1: the last member of a oneof wins; what another member held before is not merged into it. */
static void last_member_wins(void **state)
{
	struct buf empty = {0}, info = {0};
	struct hefgen g;
	struct hef *hef;
	uint8_t *image;
	size_t len;

	(void)state;
	hefgen_init(&g);
	pb_msg(&g.at[AT_OUT_EDGE], 4, &empty); /* a mux instead of the info */
	pb_uint(&g.at[AT_OUT_EDGE], 2, 1);
	image = hefgen_file(&g, &len);
	expect(image, len, HEF_INVALID_ARGUMENT, -EBADMSG, "a mux of nothing");

	hefgen_init(&g);
	pb_msg(&g.at[AT_OUT_EDGE], 4, &empty);
	pb_str(&info, 1, "n/out"); /* an info again, but the first one's shapes are gone */
	pb_msg(&g.at[AT_OUT_EDGE], 3, &info);
	image = hefgen_file(&g, &len);
	expect(image, len, HEF_INVALID_ARGUMENT, -EBADMSG, "elements of 0 bytes");

	hefgen_init(&g);
	pb_msg(&g.at[AT_OUT_EDGE], 3, &empty); /* the same member again, empty: nothing changes */
	hef = hefrow_parse(&g);
	assert_int_equal(hef->groups[0].core_ops[0].contexts[0].layers[1].features, 16);
	hef_free(hef);
}

/* Two bytes of a file make some hundred in memory: that has an end. */
static void number_of_messages_is_bounded(void **state)
{
	const size_t n = (4u << 20) + 1;
	struct hefgen g;
	size_t len;
	uint8_t *msg = malloc(2 * n), *image;

	(void)state;
	assert_non_null(msg);
	for (size_t i = 0; i < n; i++)
		memcpy(msg + 2 * i, "\x12", 2); /* an empty network group */
	hefgen_init(&g);
	image = hefgen_wrap(&g, msg, 2 * n, &len);
	free(msg);
	expect(image, len, HEF_FILE_CORRUPTED, -EBADMSG, "too many parts");
}

/* A mux in a mux in a mux ...: the decoder must not recurse as deep as a file asks for. */
static void deep_nesting_is_refused(void **state)
{
	struct hefgen g;
	size_t len;

	(void)state;
	for (size_t depth = 10; depth <= 100000; depth *= 100) {
		struct buf inner = {0}, edge = {0};
		size_t size = 0;
		uint8_t *msg, *image;

		/* Built from the outside in would need lengths first: build it backwards. */
		msg = malloc(depth * 16);
		for (size_t i = 0; i < depth; i++) {
			uint8_t head[16];
			struct buf h = {0};

			/* alternating ProtoHefEdge.layer_mux [2], EdgeLayerMux.predecessors [5] */
			buf_u8(&h, i % 2 ? 0x2a : 0x12);
			for (size_t v = size;; v >>= 7) {
				buf_u8(&h, (uint8_t)(v & 0x7f) | (v >= 0x80 ? 0x80 : 0));
				if (v < 0x80)
					break;
			}
			memcpy(head, h.ptr, h.len);
			memcpy(msg + depth * 16 - size - h.len, head, h.len);
			size += h.len;
			buf_free(&h);
		}
		buf_put(&inner, msg + depth * 16 - size, size);
		free(msg);
		hefgen_init(&g);
		pb_uint(&edge, 2, 1);
		pb_msg(&edge, 4, &inner);
		pb_msg(&g.at[AT_CONTEXT_META], 2, &edge);
		image = hefgen_file(&g, &len);
		if (depth == 10) /* shallow enough to be looked at: a mux without anything */
			expect(image, len, HEF_INVALID_ARGUMENT, -EBADMSG, "shallow mux");
		else
			expect(image, len, HEF_FILE_CORRUPTED, -EBADMSG, "deep mux");
	}
}

static void impostors_are_named(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{"{\"mock_hef\": true, \"name\": \"tcn\"}\n", "mock_hef"},
		{"{\"name\": \"x\"}\n", "JSON"},
		{"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
		 "Git LFS pointer"},
		{"dummy\n", "dummy text"},
		{"This is a dummy HEF file for testing\n", "dummy text"},
		{"<!DOCTYPE html><html><body>404</body></html>", "HTML"},
		{"", "empty"},
		{"\x01HEF", "cut short"},
		{"\x7f"
		 "ELF\x02\x01\x01 and so on",
		 "does not start with"},
	};
	char path[4096];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct hw_error err = {0};
		struct hef *hef;

		snprintf(path, sizeof(path), "%s/m.hef", tmp_dir());
		spit(path, rows[i].text, strlen(rows[i].text));
		assert_int_equal(hef_open(path, &hef, NULL, &err), -EBADMSG);
		if (!strstr(err.text, rows[i].says) || !strstr(err.text, path))
			fail_msg("\"%s\" does not say \"%s\"", err.text, rows[i].says);
	}
}

static void missing_file(void **state)
{
	enum hef_status status;
	struct hw_error err;
	struct hef *hef;

	(void)state;
	assert_int_equal(hef_open("/nonexistent/x.hef", &hef, &status, &err), -ENOENT); /* B.1 */
	assert_int_equal(status, HEF_OPEN_FILE_FAILURE);
}

static void real_file_cut_short(void **state)
{
	enum hef_status status;
	struct hw_error err;
	struct hef *hef;
	const char *path = shared_path("data/hef/truncated.hef");

	(void)state;
	assert_int_equal(hef_open(path, &hef, &status, &err), -EBADMSG);
	assert_int_equal(status, HEF_FILE_CORRUPTED);
	assert_non_null(strstr(err.text, "cut short"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(smallest_file_is_accepted),
		cmocka_unit_test(empty_messages_get_past_the_container),
		cmocka_unit_test(container_rules),
		cmocka_unit_test(version_3_padding),
		cmocka_unit_test(broken_messages),
		cmocka_unit_test(messages_in_parts_are_merged),
		cmocka_unit_test(last_member_wins),
		cmocka_unit_test(number_of_messages_is_bounded),
		cmocka_unit_test(deep_nesting_is_refused),
		cmocka_unit_test(impostors_are_named),
		cmocka_unit_test(missing_file),
		cmocka_unit_test(real_file_cut_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
