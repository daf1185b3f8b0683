// SPDX-License-Identifier: MIT
/*
 * The application header and the action list of every context.  Pure, given bus addresses.
 * Source: spec firmware-protocol 4.1, 4.6, 5.3.
 */
#include "network/actions.h"
#include "network/internal.h"

#include <stdio.h>

/* 4.3; the bytes of one repeating unit are the transfer's for every kind of stream */
#define STREAM_HBI(s)                                                                              \
	ACTION_BUFFER_DESCRIPTOR_LIST, (s)->list.mem.bus, (s)->page, (s)->count, (s)->transfer
#define STREAM_REG(net, s)                                                                         \
	(s)->layer->core_bytes_per_buffer, (s)->layer->core_buffers_per_frame, (s)->periph_bytes,  \
		(s)->periph_buffers, (s)->feature_padding_payload, (s)->buffer_padding_payload,    \
		(s)->buffer_padding, (net)->hef->features.hw_padding

static uint32_t frame_periph_size(const struct network_stream *s)
{
	return (uint32_t)s->periph_bytes * s->periph_buffers;
}

static uint64_t direction(const struct network_stream *s)
{
	return s->input ? ACTION_H2D : ACTION_D2H;
}

static uint64_t packed_lcu(const struct hef_action *a)
{
	return (a->lcu.lcu & 0xfu) | (a->lcu.cluster & 0x7u) << 4;
}

/* ----------------------------------------------------- edge layers of one context */

/*
 * The order in which the vendor's library walks a context's edge layers (4.6.4 step 2).  Caches,
 * which would come last in each half, are refused when the network is planned.
 */
static const struct {
	enum hef_edge_kind kind;
	bool input;
} edge_order[] = {
	{HEF_EDGE_DDR, false},	       {HEF_EDGE_BOUNDARY, false}, {HEF_EDGE_INTER_CONTEXT, false},
	{HEF_EDGE_DDR, true},	       {HEF_EDGE_BOUNDARY, true},  {HEF_EDGE_INTER_CONTEXT, true},
};

struct edge_walk {
	const struct network *net;
	uint16_t context;
	size_t row, at;
};

static const struct network_stream *next_edge(struct edge_walk *w)
{
	for (; w->row < ARRAY_SIZE(edge_order); w->row++, w->at = 0) {
		bool input = edge_order[w->row].input;
		bool boundary = edge_order[w->row].kind == HEF_EDGE_BOUNDARY;
		const struct network_stream *v = !boundary ? w->net->internal
						 : input   ? w->net->inputs
							   : w->net->outputs;
		size_t n = !boundary ? w->net->n_internal
			   : input   ? w->net->n_inputs
				     : w->net->n_outputs;

		while (w->at < n) {
			const struct network_stream *s = &v[w->at++];

			if (s->context == w->context && s->input == input &&
			    (boundary || s->layer->kind == edge_order[w->row].kind))
				return s;
		}
	}
	return NULL;
}

#define for_each_edge(s, w, network, ctx)                                                          \
	for (w = (struct edge_walk){.net = (network), .context = (ctx)};                           \
	     ((s) = next_edge(&(w))) != NULL;)

static bool is_boundary(const struct network_stream *s)
{
	return s->layer->kind == HEF_EDGE_BOUNDARY; /* a plane says so, too */
}

static const struct network_stream *find_stream(const struct network *net, uint16_t context,
						uint8_t stream, bool input)
{
	const struct network_stream *s;
	struct edge_walk w;

	for_each_edge(s, w, net, context)
		if (s->input == input && s->layer->stream == stream)
			return s;
	return NULL;
}

/* The list that carries this stream: an internal input reads its output's. */
static const struct network_stream *list_owner(const struct network *net,
					       const struct network_stream *s)
{
	return is_boundary(s) || !s->input ? s : network_internal_source(net, s);
}

static void activate(struct action_list *l, const struct network *net, const struct network_stream *s)
{
	const struct network_stream *o = list_owner(net, s);

	if (is_boundary(s)) {
		if (s->input)
			ACTION(l, FW_ACT_ACTIVATE_BOUNDARY_INPUT, s->channel, s->layer->stream,
			       STREAM_REG(net, s), STREAM_HBI(s), s->initial_credit);
		else
			ACTION(l, FW_ACT_ACTIVATE_BOUNDARY_OUTPUT, s->channel, s->layer->stream,
			       s->layer->network, STREAM_REG(net, s), STREAM_HBI(s));
	} else if (s->layer->kind == HEF_EDGE_INTER_CONTEXT) {
		if (s->input) /* its network index stays 0 (4.4) */
			ACTION(l, FW_ACT_ACTIVATE_INTER_CONTEXT_INPUT, s->channel,
			       s->layer->stream, 0, STREAM_REG(net, s), STREAM_HBI(o),
			       s->initial_credit);
		else
			ACTION(l, FW_ACT_ACTIVATE_INTER_CONTEXT_OUTPUT, s->channel,
			       s->layer->stream, s->layer->network, STREAM_REG(net, s),
			       STREAM_HBI(s));
	} else if (s->input) {
		ACTION(l, FW_ACT_ACTIVATE_DDR_BUFFER_INPUT, s->channel, s->layer->stream,
		       STREAM_REG(net, s), STREAM_HBI(o), s->initial_credit, o->channel);
	} else {
		ACTION(l, FW_ACT_ACTIVATE_DDR_BUFFER_OUTPUT, s->channel, s->layer->stream,
		       STREAM_REG(net, s), STREAM_HBI(s), s->layer->ddr_rows);
	}
}

static void deactivate(struct action_list *l, const struct network_stream *s, bool check_empty)
{
	ACTION(l, FW_ACT_DEACTIVATE_VDMA_CHANNEL, s->channel, direction(s),
	       check_empty && s->layer->kind == HEF_EDGE_INTER_CONTEXT,
	       ACTION_BUFFER_DESCRIPTOR_LIST, s->initial_credit);
}

/*
 * ADD_DDR_PAIR_INFO for each pair of the context, then the start.  4.6 does not say in which order;
 * 5.4 goes by the outputs, and so do we.
 */
static void start_ddr(struct action_list *l, const struct network *net, uint16_t context)
{
	const struct network_stream *in, *out;
	struct edge_walk w;
	bool any = false;

	for_each_edge(out, w, net, context) {
		if (is_boundary(out) || out->layer->kind != HEF_EDGE_DDR || out->input)
			continue;
		in = network_ddr_input(net, out);
		ACTION(l, FW_ACT_ADD_DDR_PAIR_INFO, in->channel, out->channel, out->layer->network,
		       out->transfer / out->page * out->layer->core_buffers_per_frame, out->count);
		any = true;
	}
	if (any)
		ACTION0(l, FW_ACT_DDR_BUFFERING_START);
}

/* ------------------------------------------------------------ HEF operations (5.3) */

struct translation {
	const struct network *net;
	const struct hef_context *hc;
	struct network_context *ctx;
	struct action_list *list;
	uint16_t layers_of;  /* dynamic context whose streams are meant */
	bool expand;         /* put the edge layers' activation before the input dataflow */
	size_t config_at[FW_CFG_CHANNELS_MAX]; /* next piece of each config channel */
	unsigned int flows;  /* runs of allow_input_dataflow seen */
};

/* 4.6.4 step 2.2: every boundary stream of the network, real or as a stand-in. */
static int map_boundary(struct translation *t, const struct network_stream *v, size_t n,
			struct hw_error *err)
{
	for (size_t i = 0; i < n; i++) {
		const struct network_stream *s;
		struct edge_walk w;

		if (v[i].context == t->layers_of) {
			ACTION(t->list, FW_ACT_CHANGE_VDMA_TO_STREAM_MAPPING, v[i].channel,
			       v[i].layer->stream, 0);
			continue;
		}
		for_each_edge(s, w, t->net, t->layers_of)
			if (s->input != v[i].input)
				break;
		if (!s)
			return hw_fail(err, -EBADMSG, "context %u has no %s that could stand in for "
				       "layer %s", t->layers_of, v[i].input ? "output" : "input",
				       v[i].layer->name);
		ACTION(t->list, FW_ACT_CHANGE_VDMA_TO_STREAM_MAPPING, v[i].channel,
		       s->layer->stream, 1);
	}
	return 0;
}

static int before_flow(struct translation *t, struct hw_error *err)
{
	const struct network *net = t->net;
	const struct network_stream *s;
	struct edge_walk w;
	int r;

	for_each_edge(s, w, net, t->layers_of)
		activate(t->list, net, s);
	if (network_dynamic_count(net) > 1) {
		r = map_boundary(t, net->inputs, net->n_inputs, err);
		if (!r)
			r = map_boundary(t, net->outputs, net->n_outputs, err);
		if (r)
			return r;
	}
	start_ddr(t->list, net, t->layers_of);
	for_each_edge(s, w, net, t->layers_of)
		if (is_boundary(s) && s->input)
			ACTION(t->list, FW_ACT_RESUME_VDMA_CHANNEL, s->channel, ACTION_H2D);
	return 0;
}

static void after_flow(struct translation *t)
{
	for (size_t i = 0; i < t->net->n_inputs; i++)
		if (t->net->inputs[i].context == t->layers_of) {
			ACTION0(t->list, FW_ACT_BURST_CREDITS_TASK_START);
			return;
		}
}

static int fetch_config(struct translation *t, const struct hef_action *a, struct hw_error *err)
{
	const struct network_config *c;
	const struct network_piece *p;

	if (a->ccw.channel >= t->ctx->n_configs)
		return hw_fail(err, -EBADMSG, "configuration channel %u was not planned",
			       a->ccw.channel);
	c = &t->ctx->configs[a->ccw.channel];
	if (t->config_at[a->ccw.channel] >= c->n_pieces)
		return hw_fail(err, -EBADMSG, "configuration channel %u has no further piece",
			       a->ccw.channel);
	p = &c->pieces[t->config_at[a->ccw.channel]++];
	ACTION(t->list, FW_ACT_FETCH_CFG_CHANNEL_DESCRIPTORS, p->descs, c->channel);
	return 0;
}

static int fetch_data(struct translation *t, const struct hef_action *a, struct hw_error *err)
{
	const struct network_stream *s = find_stream(t->net, t->layers_of, a->flow.stream, true);

	if (!s)
		return hw_fail(err, -EBADMSG, "data flow is allowed for input stream %u, which context "
			       "%u does not have", a->flow.stream, t->layers_of);
	if (is_boundary(s))
		ACTION(t->list, FW_ACT_FETCH_DATA_FROM_VDMA_CHANNEL, s->channel, s->layer->stream,
		       s->layer->network, frame_periph_size(s), ACTION_CREDIT_BYTES,
		       ACTION_BUFFER_DESCRIPTOR_LIST);
	else if (s->layer->kind == HEF_EDGE_INTER_CONTEXT)
		ACTION(t->list, FW_ACT_FETCH_DATA_FROM_VDMA_CHANNEL, s->channel, s->layer->stream,
		       s->layer->network, ceil_div(s->transfer, s->page),
		       ACTION_CREDIT_DESCRIPTORS, ACTION_BUFFER_DESCRIPTOR_LIST);
	else
		return hw_fail(err, -EBADMSG, "data flow is allowed for layer %s, which is buffered in "
			       "host memory", s->layer->name);
	return 0;
}

static int wait_output(struct translation *t, const struct hef_action *a, struct hw_error *err)
{
	const struct network_stream *s = find_stream(t->net, t->layers_of, a->flow.stream, false);
	bool inter;

	if (!s)
		return hw_fail(err, -EBADMSG, "a trigger waits for output stream %u, which context %u "
			       "does not have", a->flow.stream, t->layers_of);
	inter = !is_boundary(s) && s->layer->kind == HEF_EDGE_INTER_CONTEXT;
	if (a->kind == HEF_ACT_WAIT_OUTPUT_DONE)
		ACTION(t->list, FW_ACT_OUTPUT_CHANNEL_TRANSFER_DONE, s->channel, s->layer->stream,
		       s->layer->network, inter, ACTION_BUFFER_DESCRIPTOR_LIST);
	else
		ACTION(t->list, FW_ACT_WAIT_FOR_DMA_IDLE, s->channel, s->layer->stream, inter,
		       ACTION_BUFFER_DESCRIPTOR_LIST);
	return 0;
}

static int translate_one(struct translation *t, const struct hef_action *a, struct hw_error *err)
{
	struct action_list *l = t->list;

	switch (a->kind) {
	case HEF_ACT_NONE:
		action_append_none(l);
		return 0;
	case HEF_ACT_WRITE_CCW:
		return fetch_config(t, a, err);
	case HEF_ACT_ENABLE_SEQUENCER:
		ACTION(l, FW_ACT_TRIGGER_SEQUENCER, a->sequencer.cluster, a->sequencer.l3_cut,
		       a->sequencer.l3_offset, a->sequencer.apu, a->sequencer.ia, a->sequencer.sc,
		       a->sequencer.l2, a->sequencer.l2_offset_0, a->sequencer.l2_offset_1);
		return 0;
	case HEF_ACT_WAIT_FOR_SEQUENCER:
		ACTION(l, FW_ACT_SEQUENCER_DONE_INTERRUPT, a->sequencer.cluster);
		return 0;
	case HEF_ACT_ENABLE_LCU_DEFAULT:
		ACTION(l, FW_ACT_ENABLE_LCU_DEFAULT, packed_lcu(a), a->lcu.network);
		return 0;
	case HEF_ACT_ENABLE_LCU_NON_DEFAULT:
		ACTION(l, FW_ACT_ENABLE_LCU_NON_DEFAULT, packed_lcu(a), a->lcu.network,
		       a->lcu.done_address, a->lcu.done_count);
		return 0;
	case HEF_ACT_DISABLE_LCU:
		ACTION(l, FW_ACT_DISABLE_LCU, packed_lcu(a));
		return 0;
	case HEF_ACT_SWITCH_LCU_BATCH:
		ACTION(l, FW_ACT_SWITCH_LCU_BATCH, packed_lcu(a), a->lcu.network, 0);
		return 0;
	case HEF_ACT_ALLOW_INPUT_DATAFLOW:
		return fetch_data(t, a, err);
	case HEF_ACT_WAIT_FOR_MODULE_CONFIG_DONE:
		ACTION(l, FW_ACT_MODULE_CONFIG_DONE_INTERRUPT, a->module.index);
		return 0;
	case HEF_ACT_ENABLE_NMS:
		ACTION(l, FW_ACT_ENABLE_NMS, a->nms.unit, a->nms.network, a->nms.classes,
		       a->nms.burst_size, a->nms.division_factor ? a->nms.division_factor : 1u);
		return 0;
	case HEF_ACT_WRITE_DATA_BY_TYPE:
		ACTION(l, FW_ACT_WRITE_DATA_BY_TYPE, a->write.address, a->write.type, a->write.data,
		       a->write.shift, a->write.mask, a->write.network);
		return 0;
	case HEF_ACT_SLEEP:
		ACTION(l, FW_ACT_SLEEP, a->sleep_us);
		return 0;
	case HEF_ACT_HALT:
		ACTION0(l, FW_ACT_HALT);
		return 0;
	case HEF_ACT_WAIT_LCU:
		ACTION(l, FW_ACT_LCU_INTERRUPT, packed_lcu(a));
		return 0;
	case HEF_ACT_WAIT_OUTPUT_DONE:
	case HEF_ACT_WAIT_DMA_IDLE:
		return wait_output(t, a, err);
	case HEF_ACT_WAIT_NMS:
		ACTION(l, FW_ACT_WAIT_FOR_NMS, a->nms_wait.aggregator, a->nms_wait.pred_ob,
		       a->nms_wait.pred_cluster, a->nms_wait.pred_interface, a->nms_wait.succ_ob,
		       a->nms_wait.succ_interface);
		return 0;
	}
	return hw_fail(err, -EBADMSG, "unknown HEF action %d", (int)a->kind);
}

static int translate(struct translation *t, struct hw_error *err)
{
	bool inside = false;
	int r;

	for (size_t i = 0; i < t->hc->n_actions; i++) {
		const struct hef_action *a = &t->hc->actions[i];
		bool flow = a->kind == HEF_ACT_ALLOW_INPUT_DATAFLOW;

		if (t->expand && flow && !inside) {
			t->flows++;
			r = before_flow(t, err);
			if (r)
				return r;
		}
		if (t->expand && !flow && inside)
			after_flow(t);
		inside = flow;
		r = translate_one(t, a, err);
		if (r)
			return r;
	}
	if (t->expand && inside)
		after_flow(t);
	if (t->expand && t->flows != 1)
		return hw_fail(err, -EBADMSG, "a context lets its input flow %u times instead of once",
			       t->flows);
	return 0;
}

/* ----------------------------------------------------------------- the contexts (4.6) */

static void activate_configs(struct action_list *l, const struct network_context *ctx)
{
	for (size_t i = 0; i < ctx->n_configs; i++) {
		const struct network_config *c = &ctx->configs[i];

		ACTION(l, FW_ACT_ACTIVATE_CFG_CHANNEL, c->channel, c->stream,
		       ACTION_BUFFER_DESCRIPTOR_LIST, c->list.mem.bus, c->page, c->count,
		       (uint64_t)c->used * c->page);
	}
}

static void deactivate_configs(struct action_list *l, const struct network_context *ctx)
{
	for (size_t i = 0; i < ctx->n_configs; i++)
		ACTION(l, FW_ACT_DEACTIVATE_CFG_CHANNEL, ctx->configs[i].channel,
		       ctx->configs[i].stream);
}

static void build_activation(const struct network *net, struct action_list *l)
{
	ACTION0(l, FW_ACT_BURST_CREDITS_TASK_RESET);
	for (size_t i = 0; i < net->n_outputs; i++) {
		const struct network_stream *s = &net->outputs[i];

		ACTION(l, FW_ACT_OPEN_BOUNDARY_OUTPUT_CHANNEL, s->channel, STREAM_HBI(s));
	}
	for (size_t i = 0; i < net->n_inputs; i++) {
		const struct network_stream *s = &net->inputs[i];

		ACTION(l, FW_ACT_OPEN_BOUNDARY_INPUT_CHANNEL, s->channel, STREAM_HBI(s),
		       s->layer->stream, s->layer->network, s->periph_bytes, frame_periph_size(s));
	}
}

static void build_batch_switching(const struct network *net, struct action_list *l)
{
	const struct hef_context *pre = &net->op->preliminary;
	const struct network_stream *s;
	struct edge_walk w;

	for (size_t i = 0; i < pre->n_actions; i++) {
		const struct hef_action *a = &pre->actions[i];
		uint32_t count;

		if (a->kind == HEF_ACT_ENABLE_LCU_DEFAULT)
			count = 2; /* what the short form stands for */
		else if (a->kind == HEF_ACT_ENABLE_LCU_NON_DEFAULT)
			count = a->lcu.done_count;
		else if (a->kind == HEF_ACT_SWITCH_LCU_BATCH)
			count = 0;
		else
			continue;
		ACTION(l, FW_ACT_SWITCH_LCU_BATCH, packed_lcu(a), a->lcu.network, count);
	}
	for_each_edge(s, w, net, 0)
		if (!is_boundary(s))
			deactivate(l, s, false);
	ACTION0(l, FW_ACT_DDR_BUFFERING_RESET);
	for_each_edge(s, w, net, 0)
		if (!is_boundary(s))
			activate(l, net, s);
	start_ddr(l, net, 0);
	for (size_t i = 0; i < net->n_inputs; i++)
		ACTION(l, FW_ACT_CHANGE_BOUNDARY_INPUT_BATCH, net->inputs[i].channel);
	ACTION0(l, FW_ACT_BURST_CREDITS_TASK_START);
}

static int build_preliminary(const struct network *net, struct network_context *ctx,
			     struct action_list *l, struct hw_error *err)
{
	struct translation t = {
		.net = net,
		.hc = &net->op->preliminary,
		.ctx = ctx,
		.list = l,
		.expand = net->hef->features.run_asap,
	};
	int r;

	activate_configs(l, ctx);
	r = translate(&t, err);
	deactivate_configs(l, ctx);
	return r;
}

static int build_dynamic(const struct network *net, struct network_context *ctx,
			 struct action_list *l, struct hw_error *err)
{
	struct translation t = {
		.net = net,
		.hc = &net->op->contexts[ctx->index],
		.ctx = ctx,
		.list = l,
		.layers_of = ctx->index,
		.expand = true,
	};
	const struct network_stream *s;
	struct edge_walk w;
	int r;

	activate_configs(l, ctx);
	r = translate(&t, err);
	if (r)
		return r;
	deactivate_configs(l, ctx);
	if (network_dynamic_count(net) == 1) {
		ACTION0(l, FW_ACT_APPLICATION_CHANGE_INTERRUPT);
		return 0;
	}
	for_each_edge(s, w, net, ctx->index)
		if (!is_boundary(s))
			deactivate(l, s, true);
	for_each_edge(s, w, net, ctx->index)
		if (is_boundary(s) && s->input)
			ACTION(l, FW_ACT_PAUSE_VDMA_CHANNEL, s->channel, ACTION_H2D);
	return 0;
}

static void build_header(struct network *net)
{
	const struct hef_features *f = &net->hef->features;
	uint8_t *h = net->header;

	memset(h, 0, sizeof(net->header));
	put_le16(h, (uint16_t)network_dynamic_count(net));
	h[2] = f->run_asap;
	h[3] = f->batch_register;
	h[4] = net->op->can_fast_batch_switch;
	h[6] = f->multi_network && net->op->n_networks ? (uint8_t)net->op->n_networks : 1;
	put_le16(h + 7, (uint16_t)network_first_page(net));
	put_le16(h + 9, (uint16_t)net->opt.batch);
	h[27] = net->cfg_channels;
	for (unsigned int i = 0; i < net->cfg_channels; i++)
		h[28 + i] = (uint8_t)i; /* config streams own the lowest H2D channels (5.4) */
}

static int build_context(struct network *net, struct network_context *ctx, struct hw_error *err)
{
	struct action_list l = {0};
	int r = 0;

	switch (ctx->type) {
	case FW_CONTEXT_ACTIVATION:
		build_activation(net, &l);
		break;
	case FW_CONTEXT_BATCH_SWITCHING:
		build_batch_switching(net, &l);
		break;
	case FW_CONTEXT_PRELIMINARY:
		r = build_preliminary(net, ctx, &l, err);
		break;
	case FW_CONTEXT_DYNAMIC:
		r = build_dynamic(net, ctx, &l, err);
		break;
	}
	if (!r) /* the activation list is sent as it is (4.5) */
		r = action_encode(&l, ctx->type != FW_CONTEXT_ACTIVATION, ctx, err);
	action_list_free(&l);
	return r;
}

int network_contexts(struct network *net, struct hw_error *err)
{
	char name[32];
	int r;

	build_header(net);
	for (size_t i = 0; i < net->n_contexts; i++) {
		r = build_context(net, &net->contexts[i], err);
		if (r)
			return hw_fail_context(err, r, "building %s",
					       network_context_name(net, i, name, sizeof(name)));
	}
	return 0;
}
