// SPDX-License-Identifier: MIT
/* Which part of a file runs on which chip: hef-format 3.4, 3.5, A.2 (hw_arch), B.72. */
#include "support/support.h"

#include "support/hefrow.h"

/* A variant for cluster layout @bitmap with @channels configuration channels */
static void variant(struct hefgen *g, const char *group, uint32_t bitmap, uint32_t channels)
{
	struct buf v = {0}, op = {0}, meta = {0}, layout = {0}, context = {0};

	pb_str(&meta, 1, group);
	pb_uint(&meta, 5, channels);
	pb_msg(&op, 1, &meta);
	pb_msg(&op, 3, &context);
	pb_msg(&v, 1, &op);
	pb_uint(&layout, 1, bitmap);
	pb_msg(&v, 2, &layout);
	pb_msg(&g->at[AT_CORE_OP], 7, &v);
}

/* 3.5: sorted by bitmap, a later one with the same bitmap counts */
static void cluster_variants(void **state)
{
	const struct hef_core_op *op;
	struct hw_error err;
	struct hefgen g;
	struct hef *hef;

	(void)state;
	hefgen_init(&g);
	g.arch = 3;
	variant(&g, "n", 0xcc, 2);
	variant(&g, "n", 0x33, 3);
	variant(&g, "n", 0xcc, 4);
	hef = hefrow_parse(&g);
	assert_int_equal(hef->groups[0].n_core_ops, 2);
	assert_int_equal(hef->groups[0].core_ops[0].layout, 0x33);
	assert_int_equal(hef->groups[0].core_ops[0].cfg_channels, 3);
	assert_int_equal(hef->groups[0].core_ops[1].cfg_channels, 4);
	assert_ok(hef_select(hef, hef->groups, HW_ARCH_HAILO8L, 0xcc, false, &op, NULL, &err), &err);
	assert_int_equal(op->cfg_channels, 4);
	hef_free(hef);

	/* Variants in files for other chips are ignored. */
	hefgen_init(&g);
	variant(&g, "whatever", 0xcc, 2);
	hef = hefrow_parse(&g);
	assert_int_equal(hef->groups[0].n_core_ops, 1);
	assert_int_equal(hef->groups[0].core_ops[0].layout, HEF_LAYOUT_ANY);
	hef_free(hef);
}

/* B.72: another group's variants are not this one's */
static void variants_of_two_groups(void **state)
{
	const struct hef_core_op *op;
	struct buf group = {0}, ops = {0}, meta = {0}, core = {0};
	struct hw_error err;
	struct hefgen g;
	struct hef *hef;

	(void)state;
	hefgen_init(&g);
	g.arch = 3;
	variant(&g, "m", 0x55, 5);
	variant(&g, "m", 0xcc, 6);
	core = g.at[AT_CORE_OP];
	g.at[AT_CORE_OP] = (struct buf){0};
	variant(&g, "n", 0xcc, 2);
	variant(&g, "n", 0x33, 3);
	pb_str(&meta, 1, "m");
	pb_bytes(&group, 1, meta.ptr, meta.len);
	pb_str(&group, 4, "x");
	pb_bytes(&core, 1, meta.ptr, meta.len);
	buf_free(&meta);
	pb_msg(&ops, 4, &core);
	pb_msg(&group, 8, &ops);
	pb_msg(&g.at[AT_HEF], 2, &group);
	hef = hefrow_parse(&g);
	assert_int_equal(hef->n_groups, 2);
	for (size_t i = 0; i < 2; i++) {
		bool m = strcmp(hef->groups[i].name, "m") == 0;

		assert_int_equal(hef->groups[i].n_core_ops, 2);
		assert_int_equal(hef->groups[i].core_ops[0].layout, m ? 0x55 : 0x33);
		assert_int_equal(hef->groups[i].core_ops[0].cfg_channels, m ? 5 : 3);
		assert_int_equal(hef->groups[i].core_ops[1].layout, 0xcc);
		assert_int_equal(hef->groups[i].core_ops[1].cfg_channels, m ? 6 : 2);
		assert_int_equal(hef_select(hef, &hef->groups[i], HW_ARCH_HAILO8L, m ? 0x33 : 0x55, false,
					    &op, NULL, &err),
				 -ENOTSUP);
		assert_ok(hef_select(hef, &hef->groups[i], HW_ARCH_HAILO8L, m ? 0x55 : 0x33, false, &op,
				     NULL, &err), &err);
		assert_int_equal(op->cfg_channels, m ? 5 : 3);
	}
	hef_free(hef);
}

static void which_file_runs_where(void **state)
{
	static const struct {
		uint32_t file;
		enum hw_arch device;
		bool runs;
	} rows[] = {
		{1, HW_ARCH_HAILO8, true},      {2, HW_ARCH_HAILO8, true},
		{0, HW_ARCH_HAILO8, false},     {101, HW_ARCH_HAILO8, false},
		{103, HW_ARCH_HAILO8, false},   {6, HW_ARCH_HAILO8, false},
		{1, HW_ARCH_HAILO8L, false},    {0, HW_ARCH_HAILO8L, false},
		{1, HW_ARCH_HAILO8_A0, false},  {1, HW_ARCH_UNKNOWN, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct hef_core_op *op = NULL;
		enum hef_status status;
		struct hw_error err;
		struct hefgen g;
		struct hef *hef;
		int r;

		hefgen_init(&g);
		g.arch = rows[i].file;
		hef = hefrow_parse(&g);
		r = hef_select(hef, hef->groups, rows[i].device, 0x33, true, &op, &status, &err);
		assert_int_equal(r, rows[i].runs ? 0 : -ENOTSUP);
		assert_int_equal(status, rows[i].runs ? HEF_OK : HEF_NOT_COMPATIBLE_WITH_DEVICE);
		hef_free(hef);
	}
}

static void software_chip_files_stay_off_real_cards(void **state)
{
	const struct hef_core_op *op;
	enum hef_status status;
	struct hw_error err;
	struct hefgen g;
	struct hef *hef;

	(void)state;
	hefgen_init(&g);
	hefgen_extension(&g, false, 1000, "HAILO_INFERENCE_SOFTWARE_CHIP");
	hef = hefrow_parse(&g);
	assert_true(hef->software_chip);
	assert_int_equal(hef_select(hef, hef->groups, HW_ARCH_HAILO8, 0, false, &op, &status, &err),
			 -ENOTSUP);
	assert_non_null(strstr(err.text, "software chip"));
	assert_ok(hef_select(hef, hef->groups, HW_ARCH_HAILO8, 0, true, &op, &status, &err), &err);
	hef_free(hef);
	/* A vendor's file on a software chip is not refused here. */
	hefgen_init(&g);
	hef = hefrow_parse(&g);
	assert_false(hef->software_chip);
	assert_ok(hef_select(hef, hef->groups, HW_ARCH_HAILO8, 0, true, &op, &status, &err), &err);
	hef_free(hef);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cluster_variants),
		cmocka_unit_test(variants_of_two_groups),
		cmocka_unit_test(which_file_runs_where),
		cmocka_unit_test(software_chip_files_stay_off_real_cards),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
