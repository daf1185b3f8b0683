// SPDX-License-Identifier: MIT
/* Appendix A.2, and B of hef-format, rows 14 to 43: extensions, groups, names, actions. */
#include "support/support.h"

#include "support/hefrow.h"

/* ---------------------------------------------------- what a table cannot say */

static void second_group(struct hefgen *g, const char *name)
{
	struct buf group = {0}, meta = {0}, core = {0}, op = {0}, context = {0};

	pb_str(&meta, 1, name);
	pb_bytes(&group, 1, meta.ptr, meta.len);
	pb_str(&group, 4, "x");
	pb_msg(&core, 1, &meta);
	pb_msg(&core, 3, &context);
	pb_msg(&op, 4, &core);
	pb_msg(&group, 8, &op);
	pb_msg(&g->at[AT_HEF], 2, &group);
}

static void two_groups_one_name(struct hefgen *g)
{
	second_group(g, "n");
}

static void two_groups(struct hefgen *g)
{
	second_group(g, "m");
}

static void no_group_name(struct hefgen *g)
{
	g->group = "";
	g->core_name = "n";
}

static void no_core_name(struct hefgen *g)
{
	g->core_name = "";
}

static void no_input_name(struct hefgen *g)
{
	pb_str(&g->at[AT_IN_INFO], 1, "");
}

static void no_output_name(struct hefgen *g)
{
	pb_str(&g->at[AT_OUT_INFO], 1, "");
}

/* Fields @from to @to of both layers' bases as if they were not there */
static void zero_base(struct hefgen *g, unsigned int from, unsigned int to)
{
	for (unsigned int f = from; f <= to; f++) {
		pb_uint(&g->at[AT_IN_BASE], f, 0);
		pb_uint(&g->at[AT_OUT_BASE], f, 0);
	}
}

static void no_shapes(struct hefgen *g)
{
	zero_base(g, 1, 6);
}

static void no_core_registers(struct hefgen *g)
{
	zero_base(g, 9, 10);
}

static void no_max_shmifo(struct hefgen *g)
{
	zero_base(g, 15, 15);
}

static void names_differ(struct hefgen *g)
{
	g->core_name = "other";
}

static void group_name_128(struct hefgen *g)
{
	g->group = hefrow_long_name;
}

static void layer_name_128(struct hefgen *g)
{
	pb_str(&g->at[AT_OUT_INFO], 1, hefrow_long_name);
}

static void layer_name_127(struct hefgen *g)
{
	pb_str(&g->at[AT_OUT_INFO], 1, hefrow_long_name + 1);
}

static void same_layer_name(struct hefgen *g)
{
	pb_str(&g->at[AT_OUT_INFO], 1, "n/in");
}

static void same_name_other_context(struct hefgen *g)
{
	struct buf context = {0}, meta = {0};

	hefrow_edge(&meta, "n/out", false, 1, 0, NULL, 0);
	pb_msg(&context, 3, &meta);
	pb_msg(&g->at[AT_CORE_OP], 3, &context);
}

static void output_not_sorted(struct hefgen *g)
{
	hefrow_edge(&g->at[AT_CONTEXT_META], "n/out2", false, 2, 0, NULL, 0);
}

static void multi_network(struct hefgen *g)
{
	pb_str(&g->at[AT_CORE_OP], 6, "a");
	hefgen_extension(g, true, 8, NULL);
}

static void multi_network_beyond(struct hefgen *g)
{
	multi_network(g);
	pb_uint(&g->at[AT_OUT_EDGE], 6, 1);
}

static void sleep_for(struct hefgen *g, uint64_t us)
{
	struct buf s = {0}, d = {0}, a = {0};

	pb_uint(&s, 1, us);
	pb_msg(&d, 2, &s);
	pb_msg(&a, 12, &d);
	pb_msg(&g->at[AT_OPERATION], 2, &a);
}

static void sleep_999(struct hefgen *g)
{
	sleep_for(g, 999);
}

static void sleep_1000(struct hefgen *g)
{
	sleep_for(g, 1000);
}

static void sequencer_l3(struct hefgen *g, unsigned int field, uint32_t v)
{
	struct buf l3 = {0}, s = {0}, a = {0};

	pb_uint(&l3, field, v);
	pb_uint(&l3, 3, 1);
	pb_msg(&s, 11, &l3);
	pb_msg(&a, 5, &s);
	pb_msg(&g->at[AT_OPERATION], 2, &a);
}

static void l3_index_256(struct hefgen *g)
{
	sequencer_l3(g, 1, 256);
}

static void l3_offset_65536(struct hefgen *g)
{
	sequencer_l3(g, 2, 65536);
}

static void empty_action(struct hefgen *g)
{
	struct buf a = {0};

	pb_msg(&g->at[AT_OPERATION], 2, &a);
}

static void write_5_bytes(struct hefgen *g)
{
	struct buf w = {0}, a = {0};

	pb_bytes(&w, 3, "12345", 5);
	pb_msg(&a, 14, &w);
	pb_msg(&g->at[AT_OPERATION], 2, &a);
}

static void second_core_op(struct hefgen *g)
{
	struct buf op = {0}, core = {0};

	pb_msg(&op, 4, &core);
	pb_msg(&g->at[AT_GROUP], 8, &op);
}

static void legacy_layout(struct hefgen *g)
{
	g->legacy = true;
}

/* -------------------------------------------------------------------- table */

static const struct hefrow rows[] = {
	{"A.1", HEF_OK, .omit = 0},
	{"A.2 hw_arch", HEF_OK, .arch = 0 + 1}, /* runs nowhere: test_hef_select.c */
	{"A.2 header", HEF_NOT_SUPPORTED, .omit = OMIT_HEADER},
	{"A.2 extension 13", HEF_INVALID_HEF, .omit = OMIT_NET_FLOW},
	{"A.2 group name", HEF_INVALID_HEF, .more = no_group_name},
	{"A.2 core op name", HEF_INVALID_HEF, .more = no_core_name},
	{"A.2 shapes", HEF_OK, .more = no_shapes},
	{"A.2 core register values", HEF_OK, .more = no_core_registers},
	{"A.2 max_shmifo_size", HEF_OK, .more = no_max_shmifo},
	{"A.2 numeric_info", HEF_OK, .omit = OMIT_NUMERIC},
	{"A.2 input's name", HEF_OK, .more = no_input_name},
	{"A.2 output's name", HEF_OK, .more = no_output_name},
	{"A.2 preliminary_config", HEF_OK, .omit = OMIT_PRELIMINARY},
	{"A.2 allow_input_dataflow", HEF_OK, .omit = OMIT_FLOW},
	{"B.14 header.version 0", HEF_NOT_SUPPORTED, .omit = OMIT_HEADER_VERSION},
	{"B.15 extension 26 missing", HEF_NOT_SUPPORTED, .omit = OMIT_PERIPH},
	{"B.16 mandatory 7", HEF_NOT_SUPPORTED, .mandatory = 7 + 1},
	{"B.16 mandatory 8", HEF_NOT_SUPPORTED, .mandatory = 8 + 1},
	{"B.16 mandatory 500", HEF_NOT_SUPPORTED, .mandatory = 500 + 1},
	{"B.16 mandatory 5000", HEF_NOT_SUPPORTED, .mandatory = 5000 + 1},
	{"B.16 mandatory 65535", HEF_NOT_SUPPORTED, .mandatory = 65535 + 1},
	{"mandatory 33, unknown to 4.23.0", HEF_NOT_SUPPORTED, .mandatory = 33 + 1},
	{"mandatory 999", HEF_NOT_SUPPORTED, .mandatory = 999 + 1},
	{"mandatory 1001", HEF_NOT_SUPPORTED, .mandatory = 1001 + 1},
	{"the software chip's mandatory 1000", HEF_OK, .mandatory = 1000 + 1},
	{"3.2: structure before extensions", HEF_INVALID_HEF, .mandatory = 7 + 1,
	 .omit = OMIT_SORTED},
	{"B.17 optional 5000", HEF_OK, .optional = 5000 + 1},
	{"B.18 extension 32, container 0", HEF_OK, .mandatory = 32 + 1, .container = 0 + 1},
	{"B.18 extension 32, container 1", HEF_NOT_SUPPORTED, .mandatory = 32 + 1,
	 .container = 1 + 1},
	{"B.18 extension 32, container 2", HEF_NOT_SUPPORTED, .mandatory = 32 + 1},
	{"B.18 extension 32, container 3", HEF_OK, .mandatory = 32 + 1, .container = 3 + 1},
	{"B.19 hw_arch 7", HEF_INVALID_ARGUMENT, .arch = 7 + 1},
	{"B.19 hw_arch 99", HEF_INVALID_ARGUMENT, .arch = 99 + 1},
	{"3.3 hw_arch 102", HEF_OK, .arch = 102 + 1},
	{"3.3 hw_arch 108", HEF_OK, .arch = 108 + 1},
	{"3.3 hw_arch 107", HEF_INVALID_ARGUMENT, .arch = 107 + 1},
	{"B.20 hw_arch 3 without variants", HEF_INVALID_HEF, .arch = 3 + 1},
	{"B.20 hw_arch 4 without variants", HEF_INVALID_HEF, .arch = 4 + 1},
	{"B.21 no core op", HEF_INVALID_HEF, .omit = OMIT_CORE_OP},
	{"B.21 no context", HEF_INVALID_HEF, .omit = OMIT_CONTEXT},
	{"4.2 a second core op is ignored", HEF_OK, .more = second_core_op},
	{"4.2 legacy layout", HEF_OK, .more = legacy_layout},
	{"B.22 names differ", HEF_INVALID_HEF, .more = names_differ},
	{"B.23 two groups of one name", HEF_INVALID_OPERATION, .more = two_groups_one_name},
	{"two groups", HEF_OK, .more = two_groups},
	{"B.24 group name of 128 bytes", HEF_OK, .more = group_name_128},
	{"B.25 layer name of 128 bytes", HEF_INTERNAL_FAILURE, .more = layer_name_128},
	{"B.25 layer name of 127 bytes", HEF_OK, .more = layer_name_127},
	{"B.26 one name twice", HEF_INVALID_HEF, .more = same_layer_name},
	{"B.26 one name in two contexts", HEF_INVALID_HEF, .more = same_name_other_context},
	{"B.27 no output order", HEF_INVALID_HEF, .omit = OMIT_SORTED},
	{"B.28 an output not in the order", HEF_OK, .more = output_not_sorted},
	{"B.29 no input", HEF_OK, .omit = OMIT_INPUT},
	{"B.29 no output", HEF_OK, .omit = OMIT_OUTPUT},
	{"B.30 256 config channels", HEF_INVALID_HEF, .set = {{AT_CORE_META, {5, 256}}}},
	{"255 config channels", HEF_OK, .set = {{AT_CORE_META, {5, 255}}}},
	{"B.31 extension 8 without names", HEF_INVALID_ARGUMENT, .optional = 8 + 1},
	{"B.31 network index beyond", HEF_INVALID_ARGUMENT, .more = multi_network_beyond},
	{"extension 8 with a name", HEF_OK, .more = multi_network},
	{"B.32 no trigger", HEF_INVALID_HEF, .omit = OMIT_TRIGGER},
	{"B.33 all data received", HEF_NOT_IMPLEMENTED, .trigger = {5, {{0}}}},
	{"B.34 LCU trigger, cluster", HEF_INVALID_HEF, .trigger = {2, {{1, 256}}}},
	{"B.34 LCU trigger, lcu", HEF_INVALID_HEF, .trigger = {2, {{2, 256}}}},
	{"LCU trigger 255, 255", HEF_OK, .trigger = {2, {{1, 255}, {2, 255}}}},
	{"B.34 output done", HEF_INVALID_HEF, .trigger = {4, {{1, 256}}}},
	{"B.34 DMA idle", HEF_INVALID_HEF, .trigger = {7, {{1, 256}}}},
	{"B.34 NMS 1", HEF_INVALID_HEF, .trigger = {6, {{1, 256}}}},
	{"B.34 NMS 2", HEF_INVALID_HEF, .trigger = {6, {{2, 256}}}},
	{"B.34 NMS 3", HEF_INVALID_HEF, .trigger = {6, {{3, 256}}}},
	{"B.34 NMS 4", HEF_INVALID_HEF, .trigger = {6, {{4, 256}}}},
	{"B.34 NMS 5", HEF_INVALID_HEF, .trigger = {6, {{5, 256}}}},
	{"B.34 NMS 6", HEF_INVALID_HEF, .trigger = {6, {{6, 256}}}},
	{"NMS trigger", HEF_OK, .trigger = {6, {{1, 255}, {2, 255}, {6, 255}}}},
	{"B.35 empty action", HEF_INTERNAL_FAILURE, .more = empty_action},
	{"B.35 write_data", HEF_INTERNAL_FAILURE, .action = {2, {{1, 4}}}},
	{"B.35 write_compressed_data", HEF_INTERNAL_FAILURE, .action = {4, {{1, 4}}}},
	{"B.36 embedded CCW in container 1", HEF_INVALID_HEF, .container = 1 + 1,
	 .action = {3, {{2, 0}}}},
	{"B.36 embedded CCW in container 2", HEF_INVALID_HEF, .action = {3, {{2, 0}}}},
	{"B.36 embedded CCW in container 3", HEF_INVALID_HEF, .container = 3 + 1,
	 .action = {3, {{2, 0}}}},
	{"B.36 CCW pointer in container 0", HEF_INVALID_HEF, .container = 0 + 1,
	 .action = {16, {{2, 0}}}},
	{"container 0", HEF_OK, .container = 0 + 1, .action = {3, {{2, 3}}}},
	{"B.37 channel 256", HEF_INVALID_HEF, .action = {16, {{3, 256}}}},
	{"B.37 channel 256, container 0", HEF_INVALID_HEF, .container = 0 + 1,
	 .action = {3, {{2, 256}}}},
	{"B.38 CCW one byte too long", HEF_FILE_CORRUPTED, .action = {16, {{1, 0}, {2, 9}}}},
	{"B.38 CCW behind the end", HEF_FILE_CORRUPTED, .action = {16, {{1, 9}, {2, 0}}}},
	{"B.38 CCW offset wraps", HEF_FILE_CORRUPTED,
	 .action = {16, {{1, UINT64_MAX - 7}, {2, 16}}}},
	{"CCW at the very end", HEF_OK, .action = {16, {{1, 8}, {2, 0}}}},
	{"B.39 sequencer cluster", HEF_INVALID_HEF, .action = {5, {{1, 256}}}},
	{"B.39 L3 index", HEF_INVALID_HEF, .more = l3_index_256},
	{"B.39 L3 offset", HEF_INVALID_HEF, .more = l3_offset_65536},
	{"B.40 done address", HEF_INVALID_HEF, .action = {8, {{3, 65536}}}},
	{"done address 65535", HEF_OK, .action = {8, {{3, 65535}}}},
	{"B.40 enable_lcu cluster", HEF_INVALID_HEF, .action = {8, {{2, 256}}}},
	{"B.40 disable_lcu lcu", HEF_INVALID_HEF, .action = {7, {{1, 256}}}},
	{"B.40 disable_lcu cluster", HEF_INVALID_HEF, .action = {7, {{2, 256}}}},
	{"B.40 switch_lcu_batch lcu", HEF_INVALID_HEF, .action = {15, {{1, 256}}}},
	{"B.40 switch_lcu_batch cluster", HEF_INVALID_HEF, .action = {15, {{2, 256}}}},
	{"B.40 wait for sequencer", HEF_INVALID_HEF, .action = {6, {{1, 256}}}},
	{"B.40 module", HEF_INVALID_HEF, .action = {11, {{1, 256}}}},
	{"B.40 allow_input_dataflow", HEF_INVALID_HEF, .action = {10, {{1, 256}}}},
	{"B.41 debug without a member", HEF_INVALID_HEF, .action = {12, {{1, 0}}}},
	{"B.41 sleep 999", HEF_INVALID_HEF, .more = sleep_999},
	{"B.41 sleep 1000", HEF_OK, .more = sleep_1000},
	{"B.42 no classes", HEF_INVALID_HEF, .action = {13, {{4, 1}}}},
	{"B.42 no burst", HEF_INVALID_HEF, .action = {13, {{3, 1}}}},
	{"B.42 unit 256", HEF_INVALID_HEF, .action = {13, {{1, 256}, {3, 1}, {4, 1}}}},
	{"B.42 division factor 256", HEF_INVALID_HEF, .action = {13, {{3, 1}, {4, 1}, {5, 256}}}},
	{"enable_nms", HEF_OK, .action = {13, {{3, 80}, {4, 1}}}},
	{"B.43 address 6", HEF_INVALID_HEF, .action = {14, {{1, 6}}}},
	{"B.43 address 2^32", HEF_INVALID_HEF, .action = {14, {{1, UINT64_C(1) << 32}}}},
	{"B.43 type 2", HEF_INVALID_HEF, .action = {14, {{2, 2}}}},
	{"B.43 5 bytes", HEF_INVALID_HEF, .more = write_5_bytes},
	{"B.43 shift 256", HEF_INVALID_HEF, .action = {14, {{6, 256}}}},
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
