// SPDX-License-Identifier: MIT
/* A parsed HEF as JSON: what hwctl hef parse --json and --verbose show (docs/hwctl.md). */
#include "hwctl/hwctl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hef/listing.h"

static void number(cJSON *o, const char *name, double v)
{
	cJSON_AddNumberToObject(o, name, v);
}

static void text(cJSON *o, const char *name, const char *v)
{
	cJSON_AddStringToObject(o, name, v);
}

static void shape(cJSON *o, const char *name, uint32_t h, uint32_t w, uint32_t f)
{
	double v[3] = {h, w, f};

	cJSON_AddItemToObject(o, name, cJSON_CreateDoubleArray(v, 3));
}

static cJSON *strings(char *const *v, size_t n)
{
	cJSON *a = cJSON_CreateArray();

	for (size_t i = 0; i < n; i++)
		cJSON_AddItemToArray(a, cJSON_CreateString(v[i]));
	return a;
}

/* ---------------------------------------------------------------------------------- actions */

#define FIELD(f) number(o, #f, (double)a->FIELDS.f)

/* JSON numbers are doubles, which do not hold every 64-bit value. */
static void hex(cJSON *o, const char *name, uint64_t v)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "0x%" PRIx64, v);
	text(o, name, digits);
}

static void sequencer_json(cJSON *o, const struct hef_action *a)
{
#define FIELDS sequencer
	FIELD(cluster);
	FIELD(l3_cut);
	FIELD(l3_offset);
	FIELD(apu);
	FIELD(ia);
#undef FIELDS
	hex(o, "sc", a->sequencer.sc);
	hex(o, "l2", a->sequencer.l2);
	hex(o, "l2_offset_0", a->sequencer.l2_offset_0);
	hex(o, "l2_offset_1", a->sequencer.l2_offset_1);
}

static void nms_wait_json(cJSON *o, const struct hef_action *a)
{
#define FIELDS nms_wait
	FIELD(aggregator);
	FIELD(pred_ob);
	FIELD(pred_cluster);
	FIELD(pred_interface);
	FIELD(succ_ob);
	FIELD(succ_interface);
#undef FIELDS
}

static void enable_nms_json(cJSON *o, const struct hef_action *a)
{
#define FIELDS nms
	FIELD(unit);
	FIELD(network);
	FIELD(division_factor);
	FIELD(classes);
	FIELD(burst_size);
#undef FIELDS
}

static void write_json(cJSON *o, const struct hef_action *a)
{
#define FIELDS write
	FIELD(address);
	FIELD(data);
	FIELD(mask);
	FIELD(type);
	FIELD(shift);
	FIELD(network);
#undef FIELDS
}

static void lcu_json(cJSON *o, const struct hef_action *a)
{
#define FIELDS lcu
	FIELD(cluster);
	FIELD(lcu);
	if (a->kind == HEF_ACT_ENABLE_LCU_DEFAULT || a->kind == HEF_ACT_ENABLE_LCU_NON_DEFAULT ||
	    a->kind == HEF_ACT_SWITCH_LCU_BATCH)
		FIELD(network);
	if (a->kind == HEF_ACT_ENABLE_LCU_NON_DEFAULT) {
		FIELD(done_address);
		FIELD(done_count);
	}
#undef FIELDS
}

static cJSON *action_json(const struct hef_action *a)
{
	static const char *const names[] = {
		[HEF_ACT_NONE] = "none",
		[HEF_ACT_WRITE_CCW] = "write_ccw",
		[HEF_ACT_ENABLE_SEQUENCER] = "enable_sequencer",
		[HEF_ACT_WAIT_FOR_SEQUENCER] = "wait_for_sequencer",
		[HEF_ACT_ENABLE_LCU_DEFAULT] = "enable_lcu_default",
		[HEF_ACT_ENABLE_LCU_NON_DEFAULT] = "enable_lcu",
		[HEF_ACT_DISABLE_LCU] = "disable_lcu",
		[HEF_ACT_SWITCH_LCU_BATCH] = "switch_lcu_batch",
		[HEF_ACT_ALLOW_INPUT_DATAFLOW] = "allow_input_dataflow",
		[HEF_ACT_WAIT_FOR_MODULE_CONFIG_DONE] = "wait_for_module_config_done",
		[HEF_ACT_ENABLE_NMS] = "enable_nms",
		[HEF_ACT_WRITE_DATA_BY_TYPE] = "write_data_by_type",
		[HEF_ACT_SLEEP] = "sleep",
		[HEF_ACT_HALT] = "halt",
		[HEF_ACT_WAIT_LCU] = "wait_lcu",
		[HEF_ACT_WAIT_OUTPUT_DONE] = "wait_output_done",
		[HEF_ACT_WAIT_DMA_IDLE] = "wait_dma_idle",
		[HEF_ACT_WAIT_NMS] = "wait_nms",
	};
	cJSON *o = cJSON_CreateObject();

	text(o, "action", names[a->kind]);
	switch (a->kind) {
	case HEF_ACT_WRITE_CCW:
		number(o, "channel", a->ccw.channel);
		number(o, "pieces", (double)a->ccw.n_pieces);
		number(o, "bytes", (double)a->ccw.bytes);
		break;
	case HEF_ACT_ENABLE_SEQUENCER:
		sequencer_json(o, a);
		break;
	case HEF_ACT_WAIT_FOR_SEQUENCER:
		number(o, "cluster", a->sequencer.cluster);
		break;
	case HEF_ACT_ENABLE_LCU_DEFAULT:
	case HEF_ACT_ENABLE_LCU_NON_DEFAULT:
	case HEF_ACT_DISABLE_LCU:
	case HEF_ACT_SWITCH_LCU_BATCH:
	case HEF_ACT_WAIT_LCU:
		lcu_json(o, a);
		break;
	case HEF_ACT_ALLOW_INPUT_DATAFLOW:
	case HEF_ACT_WAIT_OUTPUT_DONE:
	case HEF_ACT_WAIT_DMA_IDLE:
		number(o, "stream", a->flow.stream);
		break;
	case HEF_ACT_WAIT_FOR_MODULE_CONFIG_DONE:
		number(o, "module", a->module.index);
		break;
	case HEF_ACT_ENABLE_NMS:
		enable_nms_json(o, a);
		break;
	case HEF_ACT_WRITE_DATA_BY_TYPE:
		write_json(o, a);
		break;
	case HEF_ACT_WAIT_NMS:
		nms_wait_json(o, a);
		break;
	case HEF_ACT_SLEEP:
		number(o, "microseconds", a->sleep_us);
		break;
	case HEF_ACT_NONE:
	case HEF_ACT_HALT:
		break;
	}
	return o;
}

/* ----------------------------------------------------------------------------------- layers */

static cJSON *layer_json(const struct hef_layer *l);

static void sub_layers_json(cJSON *o, const struct hef_layer *l)
{
	cJSON *a = cJSON_AddArrayToObject(o, l->shape == HEF_SHAPE_MUX ? "muxed" : "planes");

	/* Depth is bounded by the parser. */
	for (size_t i = 0; i < l->n_sub; i++) {
		cJSON *sub = layer_json(&l->sub[i]);

		if (l->shape == HEF_SHAPE_MUX)
			number(sub, "rows_per_round", l->mux_ratios[i]);
		cJSON_AddItemToArray(a, sub);
	}
}

static void nms_json(cJSON *o, const struct hef_nms *n)
{
	cJSON *nms = cJSON_AddObjectToObject(o, "nms");

	number(nms, "classes", n->classes);
	number(nms, "max_boxes", n->max_boxes);
	number(nms, "box_bytes", n->bbox_size);
	number(nms, "division_factor", n->division_factor);
	number(nms, "burst_size", n->burst_size);
	if (n->defused) {
		text(nms, "part_of", n->original_name);
		number(nms, "class_group", n->class_group);
	}
}

/* What the chip's side of a stream is made of; planes as a whole have none. */
static void buffers_json(cJSON *o, const struct hef_layer *l)
{
	number(o, "stream", l->stream);
	text(o, "hw_order", hef_order_text(l->order));
	shape(o, "hw_shape", l->hw_height, l->hw_width, l->hw_features);
	number(o, "transfer_bytes", hef_transfer_bytes(l));
	number(o, "transfers_per_frame", hef_transfers_per_frame(l));
	number(o, "core_bytes_per_buffer", l->core_bytes_per_buffer);
	number(o, "core_buffers_per_frame", l->core_buffers_per_frame);
	number(o, "max_shmifo_size", l->max_shmifo_size);
	if (l->feature_padding_payload)
		number(o, "feature_padding_payload", l->feature_padding_payload);
}

static cJSON *layer_json(const struct hef_layer *l)
{
	static const char *const kinds[] = {
		[HEF_EDGE_BOUNDARY] = "boundary",
		[HEF_EDGE_INTER_CONTEXT] = "inter_context",
		[HEF_EDGE_DDR] = "ddr",
		[HEF_EDGE_CACHE] = "cache",
	};
	cJSON *o = cJSON_CreateObject(), *q;

	text(o, "name", l->name);
	text(o, "kind", kinds[l->kind]);
	text(o, "direction", l->input ? "host_to_device" : "device_to_host");
	number(o, "element_bytes", l->data_bytes);
	shape(o, "shape", l->height, l->width, l->features);
	if (l->transposed)
		cJSON_AddTrueToObject(o, "transposed");
	if (l->shape != HEF_SHAPE_PLANES)
		buffers_json(o, l);
	if (l->kind == HEF_EDGE_BOUNDARY && l->shape == HEF_SHAPE_INFO) {
		q = cJSON_AddObjectToObject(o, "quantization");
		number(q, "zero_point", (double)l->quant.zero_point);
		number(q, "scale", (double)l->quant.scale);
		number(q, "min", (double)l->quant.lim_min);
		number(q, "max", (double)l->quant.lim_max);
		if (l->n_feature_quant)
			number(q, "per_feature", (double)l->n_feature_quant);
	}
	if (l->has_nms)
		nms_json(o, &l->nms);
	if (l->kind == HEF_EDGE_INTER_CONTEXT || l->kind == HEF_EDGE_DDR) {
		number(o, "peer_context", l->peer_context);
		number(o, "peer_stream", l->peer_stream);
	}
	if (l->kind == HEF_EDGE_DDR)
		number(o, "buffered_rows", l->ddr_rows);
	if (l->kind == HEF_EDGE_CACHE)
		number(o, "cache_id", l->cache_id);
	if (l->n_sub)
		sub_layers_json(o, l);
	return o;
}

/* --------------------------------------------------------------------------------- contexts */

static cJSON *config_json(const struct hef_context *c)
{
	cJSON *a = cJSON_CreateArray();

	for (unsigned int ch = 0; ch < ARRAY_SIZE(c->bursts); ch++) {
		size_t writes = 0;
		uint64_t bytes = 0;
		cJSON *o;

		for (size_t i = 0; i < c->n_actions; i++) {
			const struct hef_action *act = &c->actions[i];

			if (act->kind != HEF_ACT_WRITE_CCW || act->ccw.channel != ch)
				continue;
			writes++;
			bytes += act->ccw.bytes;
		}
		if (!writes)
			continue;
		o = cJSON_CreateObject();
		number(o, "channel", ch);
		number(o, "writes", (double)writes);
		number(o, "bursts", (double)c->bursts[ch].n);
		number(o, "bytes", (double)bytes);
		cJSON_AddItemToArray(a, o);
	}
	return a;
}

static cJSON *context_json(const struct hef_context *c, bool actions)
{
	cJSON *o = cJSON_CreateObject(), *a;

	cJSON_AddItemToObject(o, "config", config_json(c));
	a = cJSON_AddArrayToObject(o, "layers");
	for (size_t i = 0; i < c->n_layers; i++)
		cJSON_AddItemToArray(a, layer_json(&c->layers[i]));
	number(o, "n_actions", (double)c->n_actions);
	if (!actions)
		return o;
	a = cJSON_AddArrayToObject(o, "actions");
	for (size_t i = 0; i < c->n_actions; i++)
		cJSON_AddItemToArray(a, action_json(&c->actions[i]));
	return o;
}

static cJSON *variant_json(const struct hef_core_op *op, bool actions)
{
	cJSON *o = cJSON_CreateObject(), *a;

	if (op->layout == HEF_LAYOUT_ANY)
		cJSON_AddNullToObject(o, "clusters");
	else
		number(o, "clusters", op->layout);
	number(o, "config_channels", op->cfg_channels);
	cJSON_AddItemToObject(o, "preliminary", context_json(&op->preliminary, actions));
	a = cJSON_AddArrayToObject(o, "contexts");
	for (size_t i = 0; i < op->n_contexts; i++)
		cJSON_AddItemToArray(a, context_json(&op->contexts[i], actions));
	return o;
}

/* ----------------------------------------------------------------------------------- groups */

static cJSON *tensor_json(const struct hef_tensor *t)
{
	cJSON *o = cJSON_CreateObject();
	char line[256];

	text(o, "name", t->name);
	text(o, "direction", t->input ? "input" : "output");
	text(o, "type", hef_type_text(t->type));
	text(o, "order", hef_order_text(t->order));
	switch (t->order) {
	case HW_ORDER_HAILO_NMS_BY_CLASS:
	case HW_ORDER_HAILO_NMS_BY_SCORE:
	case HW_ORDER_HAILO_NMS_WITH_BYTE_MASK:
		number(o, "classes", t->classes);
		number(o, "max_boxes_per_class", t->max_per_class);
		number(o, "max_boxes_total", t->max_total);
		number(o, "max_frame_bytes", (double)t->max_frame);
		break;
	case HW_ORDER_HAILO_NMS_ON_CHIP:
		number(o, "max_frame_bytes", (double)t->max_frame);
		break;
	default:
		shape(o, "shape", t->height, t->width, t->features);
	}
	hef_tensor_text(t, line, sizeof(line));
	text(o, "text", line);
	return o;
}

static cJSON *tensors_json(const struct hef_tensors *t)
{
	cJSON *a = cJSON_CreateArray();

	for (size_t i = 0; i < t->n; i++)
		cJSON_AddItemToArray(a, tensor_json(&t->v[i]));
	return a;
}

static int network_json(const struct hef_group *g, const char *network, cJSON *to,
			enum hef_status *status, struct hw_error *err)
{
	struct hef_tensors streams, vstreams;
	cJSON *o;
	int r = hef_streams(g, network, &streams, status, err);

	if (r < 0)
		return r;
	r = hef_vstreams(g, network, &vstreams, status, err);
	if (r == 0) {
		o = cJSON_CreateObject();
		text(o, "name", network);
		cJSON_AddItemToObject(o, "streams", tensors_json(&streams));
		cJSON_AddItemToObject(o, "vstreams", tensors_json(&vstreams));
		cJSON_AddItemToArray(to, o);
		hef_tensors_free(&vstreams);
	}
	hef_tensors_free(&streams);
	return r;
}

static cJSON *op_json(const struct hef_op *op)
{
	cJSON *o = cJSON_CreateObject(), *a = cJSON_AddArrayToObject(o, "inputs");
	struct buf lines = {0};

	for (size_t i = 0; i < op->n_inputs; i++)
		cJSON_AddItemToArray(a, cJSON_CreateString(op->inputs[i]->name));
	text(o, "output", op->output);
	a = cJSON_AddArrayToObject(o, "description");
	hef_op_text(op, &lines);
	buf_u8(&lines, 0);
	for (char *at = (char *)lines.ptr, *line; !lines.failed && (line = strsep(&at, "\n"));) {
		if (*line)
			cJSON_AddItemToArray(a, cJSON_CreateString(line));
	}
	buf_free(&lines);
	return o;
}

static int group_json(const struct hef_group *g, bool first, bool actions, cJSON *to,
		      enum hef_status *status, struct hw_error *err)
{
	cJSON *o = cJSON_CreateObject(), *a;
	const struct hef_core_op *op = &g->core_ops[0];
	int r = 0;

	cJSON_AddItemToArray(to, o);
	text(o, "name", g->name);
	cJSON_AddBoolToObject(o, "default", first);
	number(o, "n_contexts", (double)op->n_contexts);
	a = cJSON_AddArrayToObject(o, "networks");
	for (size_t i = 0; !r && i < g->n_networks; i++)
		r = network_json(g, g->networks[i], a, status, err);
	cJSON_AddItemToObject(o, "outputs_order", strings(g->outputs_order, g->n_outputs_order));
	a = cJSON_AddArrayToObject(o, "host_ops");
	for (size_t i = 0; i < op->n_ops; i++)
		cJSON_AddItemToArray(a, op_json(&op->ops[i]));
	a = cJSON_AddArrayToObject(o, "variants");
	for (size_t i = 0; i < g->n_core_ops; i++)
		cJSON_AddItemToArray(a, variant_json(&g->core_ops[i], actions));
	return r;
}

cJSON *hef_json(const struct hef *hef, bool actions, int *hef_status, struct hw_error *err)
{
	enum hef_status status = HEF_OK;
	cJSON *o = cJSON_CreateObject(), *a;
	int r = 0;

	text(o, "architecture", hef_arch_text(hef->arch));
	number(o, "architecture_number", hef->arch);
	cJSON_AddBoolToObject(o, "software_chip", hef->software_chip);
	number(o, "container_version", hef->version);
	text(o, "digest", hef->digest);
	text(o, "compiler", hef->sdk_version);
	number(o, "bytes", (double)hef->image_len);
	a = cJSON_AddArrayToObject(o, "groups");
	for (size_t i = 0; !r && i < hef->n_groups; i++)
		r = group_json(&hef->groups[i], i == 0, actions, a, &status, err);
	*hef_status = (int)status;
	if (r < 0) {
		cJSON_Delete(o);
		return NULL;
	}
	return o;
}
