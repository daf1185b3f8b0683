// SPDX-License-Identifier: MIT
#include "network/actions.h"

#include <stdio.h>

#define HBI                                                                                        \
	{"buffer_type", 1}, {"dma_address", 8}, {"desc_page_size", 2}, {"total_desc_count", 4},    \
	{"bytes_in_pattern", 4}
#define REG                                                                                        \
	{"core_bytes_per_buffer", 2}, {"core_buffers_per_frame", 2},                               \
	{"periph_bytes_per_buffer", 2}, {"periph_buffers_per_frame", 2},                           \
	{"feature_padding_payload", 2}, {"buffer_padding_payload", 4}, {"buffer_padding", 2},      \
	{"is_core_hw_padding_config_in_dfc", 1}
#define CH {"packed_vdma_channel_id", 1}
#define STREAM {"stream_index", 1}
#define NETWORK {"network_index", 1}
#define DIRECTION {"edge_layer_direction", 1}
#define BUFFER_TYPE {"host_buffer_type", 1}
#define LCU {"packed_lcu_id", 1}

#define FIELDS(name, ...) static const struct action_field name[] = {__VA_ARGS__}

FIELDS(f_fetch_cfg, {"descriptors_count", 2}, CH);
FIELDS(f_sequencer, {"cluster_index", 1}, {"initial_l3_cut", 1}, {"initial_l3_offset", 2},
       {"active_apu", 4}, {"active_ia", 4}, {"active_sc", 8}, {"active_l2", 8}, {"l2_offset_0", 8},
       {"l2_offset_1", 8});
FIELDS(f_fetch_data, CH, STREAM, NETWORK, {"frame_periph_size", 4}, {"credit_type", 1},
       BUFFER_TYPE);
FIELDS(f_lcu_default, LCU, NETWORK);
FIELDS(f_lcu_non_default, LCU, NETWORK, {"kernel_done_address", 2}, {"kernel_done_count", 4});
FIELDS(f_lcu, LCU);
FIELDS(f_boundary_input, CH, STREAM, REG, HBI, {"initial_credit_size", 4});
FIELDS(f_output, CH, STREAM, NETWORK, REG, HBI);
FIELDS(f_inter_context_input, CH, STREAM, NETWORK, REG, HBI, {"initial_credit_size", 4});
FIELDS(f_ddr_input, CH, STREAM, REG, HBI, {"initial_credit_size", 4},
       {"connected_d2h_vdma_channel_id", 1});
FIELDS(f_ddr_output, CH, STREAM, REG, HBI, {"buffered_rows_count", 4});
FIELDS(f_deactivate, CH, DIRECTION, {"check_host_empty_num_available", 1}, BUFFER_TYPE,
       {"initial_credit_size", 4});
FIELDS(f_mapping, CH, STREAM, {"is_dummy_stream", 1});
FIELDS(f_ddr_pair, {"h2d_vdma_channel_id", 1}, {"d2h_vdma_channel_id", 1}, NETWORK,
       {"descriptors_per_frame", 4}, {"programmed_descriptors_count", 2});
FIELDS(f_sequencer_done, {"sequencer_index", 1});
FIELDS(f_transfer_done, CH, STREAM, NETWORK, {"is_inter_context", 1}, BUFFER_TYPE);
FIELDS(f_module, {"module_index", 1});
FIELDS(f_activate_cfg, CH, {"config_stream_index", 1}, HBI);
FIELDS(f_deactivate_cfg, CH, {"config_stream_index", 1});
FIELDS(f_dma_idle, CH, STREAM, {"is_inter_context", 1}, BUFFER_TYPE);
FIELDS(f_wait_nms, {"aggregator_index", 1}, {"pred_cluster_ob_index", 1},
       {"pred_cluster_ob_cluster_index", 1}, {"pred_cluster_ob_interface", 1},
       {"succ_prepost_ob_index", 1}, {"succ_prepost_ob_interface", 1});
FIELDS(f_ccw_bursts, {"ccw_bursts", 2}, {"config_stream_index", 1});
FIELDS(f_open_input, CH, HBI, STREAM, NETWORK, {"periph_bytes_per_buffer", 2},
       {"frame_periph_size", 4});
FIELDS(f_open_output, CH, HBI);
FIELDS(f_nms, {"nms_unit_index", 1}, NETWORK, {"number_of_classes", 2}, {"burst_size", 2},
       {"division_factor", 1});
FIELDS(f_write, {"address", 4}, {"data_type", 1}, {"data", 4}, {"shift", 1}, {"mask", 4}, NETWORK);
FIELDS(f_switch_lcu, LCU, NETWORK, {"kernel_done_count", 4});
FIELDS(f_channel, CH);
FIELDS(f_channel_direction, CH, DIRECTION);
FIELDS(f_cache_output, REG, HBI, {"batch_size", 2}, CH, STREAM, NETWORK);
FIELDS(f_sleep, {"sleep_time", 4});

#define ROW(NAME, repeatable, fields)                                                              \
	[FW_ACT_##NAME] = {#NAME, repeatable, ARRAY_SIZE(fields), fields}
#define ROW0(NAME) [FW_ACT_##NAME] = {#NAME, false, 0, NULL}

/* 4.4; a repeatable action may be merged with its neighbours (4.5) */
static const struct action_layout layouts[FW_ACTIONS] = {
	ROW(FETCH_CFG_CHANNEL_DESCRIPTORS, true, f_fetch_cfg),
	ROW(TRIGGER_SEQUENCER, true, f_sequencer),
	ROW(FETCH_DATA_FROM_VDMA_CHANNEL, true, f_fetch_data),
	ROW(ENABLE_LCU_DEFAULT, true, f_lcu_default),
	ROW(ENABLE_LCU_NON_DEFAULT, true, f_lcu_non_default),
	ROW(DISABLE_LCU, true, f_lcu),
	ROW(ACTIVATE_BOUNDARY_INPUT, false, f_boundary_input),
	ROW(ACTIVATE_BOUNDARY_OUTPUT, false, f_output),
	ROW(ACTIVATE_INTER_CONTEXT_INPUT, false, f_inter_context_input),
	ROW(ACTIVATE_INTER_CONTEXT_OUTPUT, false, f_output),
	ROW(ACTIVATE_DDR_BUFFER_INPUT, false, f_ddr_input),
	ROW(ACTIVATE_DDR_BUFFER_OUTPUT, false, f_ddr_output),
	ROW(DEACTIVATE_VDMA_CHANNEL, false, f_deactivate),
	ROW(CHANGE_VDMA_TO_STREAM_MAPPING, true, f_mapping),
	ROW(ADD_DDR_PAIR_INFO, true, f_ddr_pair),
	ROW0(DDR_BUFFERING_START),
	ROW(LCU_INTERRUPT, false, f_lcu),
	ROW(SEQUENCER_DONE_INTERRUPT, false, f_sequencer_done),
	ROW(INPUT_CHANNEL_TRANSFER_DONE, false, f_transfer_done),
	ROW(OUTPUT_CHANNEL_TRANSFER_DONE, false, f_transfer_done),
	ROW(MODULE_CONFIG_DONE_INTERRUPT, false, f_module),
	ROW0(APPLICATION_CHANGE_INTERRUPT),
	ROW(ACTIVATE_CFG_CHANNEL, false, f_activate_cfg),
	ROW(DEACTIVATE_CFG_CHANNEL, false, f_deactivate_cfg),
	ROW(WAIT_FOR_DMA_IDLE, false, f_dma_idle),
	ROW(WAIT_FOR_NMS, false, f_wait_nms),
	ROW(FETCH_CCW_BURSTS, false, f_ccw_bursts),
	ROW(VALIDATE_VDMA_CHANNEL, false, f_deactivate),
	ROW0(BURST_CREDITS_TASK_START),
	ROW0(BURST_CREDITS_TASK_RESET),
	ROW0(DDR_BUFFERING_RESET),
	ROW(OPEN_BOUNDARY_INPUT_CHANNEL, false, f_open_input),
	ROW(OPEN_BOUNDARY_OUTPUT_CHANNEL, false, f_open_output),
	ROW(ENABLE_NMS, true, f_nms),
	ROW(WRITE_DATA_BY_TYPE, false, f_write),
	ROW(SWITCH_LCU_BATCH, true, f_switch_lcu),
	ROW(CHANGE_BOUNDARY_INPUT_BATCH, false, f_channel),
	ROW(PAUSE_VDMA_CHANNEL, false, f_channel_direction),
	ROW(RESUME_VDMA_CHANNEL, false, f_channel_direction),
	ROW(ACTIVATE_CACHE_INPUT, false, f_inter_context_input),
	ROW(ACTIVATE_CACHE_OUTPUT, false, f_cache_output),
	ROW0(WAIT_FOR_CACHE_UPDATED),
	ROW(SLEEP, false, f_sleep),
	ROW0(HALT),
};

const struct action_layout *action_layout(unsigned int type)
{
	return type < FW_ACTIONS && layouts[type].name ? &layouts[type] : NULL;
}

const char *action_name(unsigned int type, char *buf, size_t size)
{
	const struct action_layout *l = action_layout(type);

	if (l)
		return l->name;
	if (type == FW_ACT_REPEATED_ACTION)
		return "REPEATED_ACTION";
	snprintf(buf, size, "action %u", type);
	return buf;
}

size_t action_params_size(const struct action_layout *layout)
{
	size_t n = 0;

	for (unsigned int i = 0; i < layout->n_fields; i++)
		n += layout->fields[i].size;
	return n;
}

static struct action *append(struct action_list *list)
{
	if (list->error)
		return NULL;
	if (list->n == list->cap) {
		size_t cap = list->cap ? list->cap * 2 : 64;
		struct action *v = realloc(list->v, cap * sizeof(*v));

		if (!v) {
			list->error = -ENOMEM;
			return NULL;
		}
		list->v = v;
		list->cap = cap;
	}
	list->v[list->n] = (struct action){.type = ACTION_NONE, .channel = -1};
	return &list->v[list->n++];
}

static void refuse(struct action_list *list, enum fw_action type, const char *field)
{
	if (list->error)
		return;
	list->error = -ERANGE;
	list->error_type = (int)type;
	list->field = field;
}

void action_append(struct action_list *list, enum fw_action type, const uint64_t *values, size_t n)
{
	const struct action_layout *l = action_layout(type);
	struct action *a;
	uint8_t *at;

	if (!l || n != l->n_fields) {
		refuse(list, type, "number of parameters");
		return;
	}
	a = append(list);
	if (!a)
		return;
	a->type = (int)type;
	at = a->params;
	for (size_t i = 0; i < n; i++) {
		unsigned int size = l->fields[i].size;

		if (size < 8 && values[i] >> (8 * size)) {
			refuse(list, type, l->fields[i].name);
			return;
		}
		if (a->channel < 0 && strstr(l->fields[i].name, "vdma_channel_id"))
			a->channel = (int)values[i];
		for (unsigned int b = 0; b < size; b++)
			*at++ = (uint8_t)(values[i] >> (8 * b));
	}
}

void action_append_none(struct action_list *list)
{
	append(list);
}

void action_list_free(struct action_list *list)
{
	free(list->v);
	*list = (struct action_list){0};
}

/* ----------------------------------------------------------------------- to bytes */

struct encoder {
	struct network_context *ctx;
	size_t chunk_start;
	size_t names_cap, cuts_cap;
	int error;
};

static void cut(struct encoder *e)
{
	struct network_context *ctx = e->ctx;

	if (ctx->n_cuts == e->cuts_cap) {
		size_t cap = e->cuts_cap ? e->cuts_cap * 2 : 4;
		size_t *v = realloc(ctx->cuts, cap * sizeof(*v));

		if (!v) {
			e->error = -ENOMEM;
			return;
		}
		ctx->cuts = v;
		e->cuts_cap = cap;
	}
	ctx->cuts[ctx->n_cuts++] = ctx->actions.len;
	e->chunk_start = ctx->actions.len;
}

/* 4.2: pieces are never broken; one that does not fit starts a new chunk. */
static void piece(struct encoder *e, const void *head, size_t head_len, const void *data, size_t len)
{
	struct buf *b = &e->ctx->actions;

	if (b->len - e->chunk_start + head_len + len > FW_CONTEXT_CHUNK_MAX)
		cut(e);
	buf_put(b, head, head_len);
	buf_put(b, data, len);
}

static void name(struct encoder *e, const struct action *a, size_t offset)
{
	struct network_context *ctx = e->ctx;

	if (ctx->n_names == e->names_cap) {
		size_t cap = e->names_cap ? e->names_cap * 2 : 64;
		void *v = realloc(ctx->names, cap * sizeof(*ctx->names));

		if (!v) {
			e->error = -ENOMEM;
			return;
		}
		ctx->names = v;
		e->names_cap = cap;
	}
	ctx->names[ctx->n_names].offset = (uint32_t)offset;
	ctx->names[ctx->n_names].type = (uint8_t)a->type;
	ctx->names[ctx->n_names].channel = a->channel;
	ctx->n_names++;
}

static void put_single(struct encoder *e, const struct action *a)
{
	uint8_t head[ACTION_HEADER_SIZE] = {(uint8_t)a->type};
	size_t len = action_params_size(&layouts[a->type]);

	put_le32(head + 1, ACTION_TIME_STAMP);
	piece(e, head, sizeof(head), a->params, len);
	name(e, a, e->ctx->actions.len - sizeof(head) - len);
}

static void put_repeated(struct encoder *e, const struct action *a, size_t n)
{
	uint8_t head[ACTION_REPEAT_HEADER_SIZE] = {FW_ACT_REPEATED_ACTION};
	size_t len = action_params_size(&layouts[a->type]);

	put_le32(head + 1, ACTION_TIME_STAMP);
	head[5] = (uint8_t)n;
	head[6] = 0; /* last_executed: the firmware's */
	head[7] = (uint8_t)a->type;
	piece(e, head, sizeof(head), NULL, 0);
	for (size_t i = 0; i < n; i++) {
		piece(e, NULL, 0, a[i].params, len);
		name(e, &a[i], e->ctx->actions.len - len);
	}
}

int action_encode(const struct action_list *list, bool merge, struct network_context *ctx,
		  struct hw_error *err)
{
	struct encoder e = {.ctx = ctx};
	char buf[32];

	buf_free(&ctx->actions);
	ctx->n_cuts = 0;
	ctx->n_names = 0;
	free(ctx->cuts);
	ctx->cuts = NULL;
	free(ctx->names);
	ctx->names = NULL;
	if (list->error == -ERANGE)
		return hw_fail(err, -ERANGE, "%s: %s does not fit its field",
			       action_name((unsigned int)list->error_type, buf, sizeof(buf)),
			       list->field);
	if (list->error)
		return hw_fail(err, list->error, "no memory for an action list");
	for (size_t i = 0; i < list->n && !e.error;) {
		const struct action *a = &list->v[i];
		size_t run = 1;

		if (a->type == ACTION_NONE) {
			i++;
			continue;
		}
		if (merge && layouts[a->type].repeatable)
			while (i + run < list->n && run < ACTION_REPEAT_MAX && a[run].type == a->type)
				run++;
		if (run > 1)
			put_repeated(&e, a, run);
		else
			put_single(&e, a);
		i += run;
	}
	if (!e.error && ctx->actions.len > e.chunk_start)
		cut(&e);
	if (e.error || ctx->actions.failed)
		return hw_fail(err, -ENOMEM, "no memory for an action list");
	if (ctx->actions.len > UINT32_MAX)
		return hw_fail(err, -EMSGSIZE, "an action list of %zu bytes", ctx->actions.len);
	return 0;
}
