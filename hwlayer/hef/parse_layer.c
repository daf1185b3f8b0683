// SPDX-License-Identifier: MIT
/* Edge layers: what enters and leaves a context (hef-format 5.1 to 5.9). */
#include <inttypes.h>
#include <stdio.h>

#include "hef/parse.h"

#define NETWORK_NAME_MAX 257 /* with its NUL (0.4) */
/* Largest stream frame that padding by the chip allows (5.4) */
#define CORE_PADDING_MAX_H8 0x10000u
#define CORE_PADDING_MAX_H15 0x2000u

static const ProtoHEFEdgeLayerInfo no_info = PROTO_HEFEDGE_LAYER_INFO__INIT;
static const ProtoHEFEdgeLayerMux no_mux = PROTO_HEFEDGE_LAYER_MUX__INIT;
static const ProtoHEFEdgeLayerMuxData no_mux_data = PROTO_HEFEDGE_LAYER_MUX_DATA__INIT;
static const ProtoHEFEdgeLayerPlanes no_planes = PROTO_HEFEDGE_LAYER_PLANES__INIT;
static const ProtoHEFEdgeLayerBase no_base = PROTO_HEFEDGE_LAYER_BASE__INIT;
static const ProtoHEFEdgeLayerNumericInfo no_numeric = PROTO_HEFEDGE_LAYER_NUMERIC_INFO__INIT;
static const ProtoHEFContextSwitchInformation no_switch = PROTO_HEFCONTEXT_SWITCH_INFORMATION__INIT;
static const ProtoHEFNmsInfo no_nms = PROTO_HEFNMS_INFO__INIT;

/* One edge layer while it is read: what its parts need from the message around it. */
struct edge {
	struct parse *p;
	const struct core_src *src;
	const ProtoHEFEdgeLayer *msg;
	bool in_mux;
};

/* ------------------------------------------------------------------ shapes */

/* height * width * features * bytes, or UINT64_MAX */
static uint64_t frame_bytes(uint64_t h, uint64_t w, uint64_t f, uint64_t bytes)
{
	uint64_t n;

	if (__builtin_mul_overflow(h * w, f, &n) || __builtin_mul_overflow(n, bytes, &n))
		return UINT64_MAX;
	return n;
}

static bool chip_pads(const struct edge *e, const struct hef_layer *l)
{
	uint32_t max =
	    arch_family(e->p->hef->arch) == FAMILY_H15 ? CORE_PADDING_MAX_H15 : CORE_PADDING_MAX_H8;

	if (l->max_shmifo_size && l->max_shmifo_size < max)
		max = l->max_shmifo_size;
	return l->kind == HEF_EDGE_BOUNDARY && l->shape == HEF_SHAPE_INFO && !e->in_mux &&
	       !e->p->hef->features.hw_padding && l->order == HW_ORDER_NHCW &&
	       l->core_buffers_per_frame == l->raw_height &&
	       (uint64_t)l->raw_width * l->features % 8 == 0 &&
	       frame_bytes(1, l->raw_width, l->features, l->data_bytes) <= max - 1;
}

/* 5.4; @transposed says that the layer or the group is */
static int parse_shape(struct edge *e, const ProtoHEFEdgeLayerBase *base, bool transposed,
		       struct hef_layer *l)
{
	l->raw_height = base->height;
	l->raw_width = base->width;
	l->features = base->features;
	l->padded_height = base->padded_height;
	l->padded_width = base->padded_width;
	l->padded_features = base->padded_features;
	l->transposed = transposed && l->order != HW_ORDER_NC;
	l->height = l->transposed ? base->width : base->height;
	l->width = l->transposed ? base->height : base->width;
	l->hw_height = base->padded_height;
	l->hw_width = base->padded_width;
	l->hw_features = base->padded_features;
	if (chip_pads(e, l)) {
		int r = parse_fits(e->p, "the width in bytes of a row that the chip pads",
				   frame_bytes(1, l->raw_width, 1, l->data_bytes), UINT16_MAX);

		if (r < 0)
			return r;
		l->hw_height = l->raw_height;
		l->hw_width = l->raw_width;
		l->hw_features = l->features;
		l->feature_padding_payload = (uint16_t)(l->raw_width * l->data_bytes);
	}
	/* Frames beyond 4 GiB: no such file exists, and all later sizes stay within 64 bits. */
	if (frame_bytes(l->height, l->width, l->features, sizeof(float)) > UINT32_MAX ||
	    frame_bytes(l->hw_height, l->hw_width, l->hw_features, l->data_bytes) > UINT32_MAX - 7)
		return parse_refuse(e->p, HEF_INVALID_HEF,
				    "a frame of %" PRIu32 "x%" PRIu32 "x%" PRIu32 " (%" PRIu32
				    "x%" PRIu32 "x%" PRIu32 " with padding) is too large",
				    l->height, l->width, l->features, l->hw_height, l->hw_width,
				    l->hw_features);
	return 0;
}

/* 5.4: an NMS layer's user shape comes from its NMS data */
static int parse_nms_shape(struct parse *p, struct hef_layer *l)
{
	uint64_t chunks = l->nms.division_factor ? l->nms.division_factor : 1;
	uint64_t boxes = frame_bytes(1, l->nms.max_boxes, chunks, 1);

	/* One class with all its boxes as the user gets it (6.9), times the classes. */
	if (boxes > UINT32_MAX ||
	    frame_bytes(l->nms.classes, 1, 1 + 5 * boxes, sizeof(float)) > UINT32_MAX)
		return parse_refuse(p, HEF_INVALID_HEF,
				    "NMS with %" PRIu32 " classes of %" PRIu32 " x %" PRIu64
				    " boxes is too large",
				    l->nms.classes, l->nms.max_boxes, chunks);
	l->height = l->nms.classes;
	l->width = 5;
	l->features = l->nms.max_boxes * l->nms.division_factor;
	return 0;
}

/* --------------------------------------------------------- kinds of layers */

/* 4.4, 5.2: the index into networks_names, and the label that it makes with the group's name */
static int parse_network(struct edge *e, struct hef_layer *out)
{
	struct parse *p = e->p;
	uint8_t index = (uint8_t)e->msg->network_index;

	/*
	 * Without the extension the label is the group's name twice.  A group name too long for
	 * that is accepted here (B.24).
	 */
	if (!p->hef->features.multi_network)
		return 0;
	if (index >= e->src->n_networks)
		return parse_refuse(p, HEF_INVALID_ARGUMENT,
				    "it belongs to network %u, the file names %zu of them", index,
				    e->src->n_networks);
	out->network = index;
	return 0;
}

static int check_network_label(struct edge *e, const struct hef_layer *l)
{
	size_t len;

	if (!e->p->hef->features.multi_network)
		return 0;
	len = strlen(e->p->group) + 1 + strlen(e->src->networks[l->network]);
	if (len >= NETWORK_NAME_MAX)
		return parse_refuse(e->p, HEF_INTERNAL_FAILURE,
				    "the name of its network has %zu bytes, more than %d", len,
				    NETWORK_NAME_MAX - 1);
	return 0;
}

/* 5.2, in the order of its last paragraph; what all kinds have in common */
static int parse_base(struct edge *e, const ProtoHEFEdgeLayerBase *base, bool transposed,
		      struct hef_layer *out)
{
	struct parse *p = e->p;
	int r;

	r = parse_format(p, base, &out->order);
	if (r < 0)
		return r;
	out->format = (uint8_t)base->format;
	if (base->host_argmax)
		return parse_refuse(p, HEF_NOT_SUPPORTED,
				    "it leaves the argmax to the host in a way that is no longer "
				    "supported");
	r = parse_data_bytes(p, base, &out->data_bytes);
	if (r < 0)
		return r;
	if (out->kind == HEF_EDGE_BOUNDARY && arch_family(p->hef->arch) == FAMILY_UNKNOWN)
		return parse_refuse(p, HEF_INVALID_ARGUMENT,
				    "the file is for an unknown chip (%" PRIu32 ")", p->hef->arch);
	r = parse_fits(p, "core_bytes_per_buffer", base->core_bytes_per_buffer, UINT16_MAX);
	if (!r)
		r = parse_fits(p, "core_buffers_per_frame", base->core_buffers_per_frame,
			       UINT16_MAX);
	if (!r)
		r = parse_fits(p, "sys_index", base->sys_index, UINT8_MAX);
	if (!r)
		r = parse_fits(p, "engine_id", base->engine_id, UINT8_MAX);
	if (r < 0)
		return r;
	out->core_bytes_per_buffer = (uint16_t)base->core_bytes_per_buffer;
	out->core_buffers_per_frame = (uint16_t)base->core_buffers_per_frame;
	out->stream = (uint8_t)base->sys_index;
	out->engine = (uint8_t)base->engine_id;
	out->max_shmifo_size = base->max_shmifo_size;
	return parse_shape(e, base, transposed, out);
}

static int parse_info(struct edge *e, const ProtoHEFEdgeLayerInfo *info, struct hef_layer *out)
{
	const ProtoHEFEdgeLayerBase *base = OR_EMPTY(info->edge_layer_base, &no_base);
	const ProtoHEFNmsInfo *nms = base->additional_info ? base->additional_info->nms_info : NULL;
	const char *outer = e->p->layer;
	int r;

	e->p->layer = info->name;
	out->shape = HEF_SHAPE_INFO;
	r = parse_network(e, out);
	if (!r)
		r = parse_name(e->p, "its name", out->name, info->name);
	if (!r)
		r = check_network_label(e, out);
	if (!r)
		r = parse_base(e, base, info->transposed || e->src->meta->transposed_net, out);
	if (r < 0)
		return r;
	if (out->order == HW_ORDER_HAILO_NMS_ON_CHIP) {
		out->has_nms = true;
		r = parse_nms(e->p, OR_EMPTY(nms, &no_nms), &out->nms);
		if (!r)
			r = parse_nms_shape(e->p, out);
		if (r < 0)
			return r;
	}
	r = parse_quant(e->p, OR_EMPTY(info->numeric_info, &no_numeric), out);
	if (r < 0)
		return r;
	if (out->has_nms && out->nms.defused && e->src->fused->network_has_fused_layers)
		r = parse_fused(e->p, e->src->fused, &out->nms, &out->fused);
	e->p->layer = outer;
	return r;
}

static struct hef_layer sub_layer(const struct hef_layer *whole)
{
	return (struct hef_layer){.kind = whole->kind, .input = whole->input};
}

/* 5.7; depth is bounded by wire_check() */
static int parse_mux(struct edge *e, const ProtoHEFEdgeLayerMux *mux, struct hef_layer *out)
{
	const ProtoHEFEdgeLayerMuxData *data = OR_EMPTY(mux->mux_data, &no_mux_data);
	const char *outer = e->p->layer;
	size_t n = data->number_of_predecessors;
	int r;

	e->p->layer = mux->name;
	e->in_mux = true;
	out->shape = HEF_SHAPE_MUX;
	r = parse_network(e, out);
	if (!r)
		r = parse_name(e->p, "its name", out->name, mux->name);
	if (!r)
		r = check_network_label(e, out);
	if (!r)
		r = parse_base(e, OR_EMPTY(mux->edge_layer_base, &no_base),
			       e->src->meta->transposed_net, out);
	if (r < 0)
		return r;
	if (n > mux->n_predecessors || n > data->n_height_ratios_list)
		return parse_refuse(
		    e->p, HEF_INVALID_HEF,
		    "it combines %zu layers, but describes %zu and gives ratios for "
		    "%zu",
		    n, mux->n_predecessors, data->n_height_ratios_list);
	out->mux_rounds = data->height_gcd;
	out->mux_ratios = parse_alloc(e->p, n, sizeof(*out->mux_ratios));
	out->sub = parse_alloc(e->p, n, sizeof(*out->sub));
	if (!out->mux_ratios || !out->sub)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++, out->n_sub++) {
		const ProtoHefEdge *edge = mux->predecessors[i];

		out->mux_ratios[i] = data->height_ratios_list[i];
		out->sub[i] = sub_layer(out);
		if (edge->edge_case == PROTO_HEF_EDGE__EDGE_LAYER_INFO)
			r = parse_info(e, edge->layer_info, &out->sub[i]);
		else if (edge->edge_case == PROTO_HEF_EDGE__EDGE_LAYER_MUX)
			r = parse_mux(e, edge->layer_mux, &out->sub[i]);
		else
			r = parse_refuse(e->p, HEF_INTERNAL_FAILURE,
					 "predecessor %zu is neither a layer nor a mux", i);
		if (r < 0)
			return r;
	}
	e->p->layer = outer;
	return 0;
}

/* 5.8 */
static int parse_planes(struct edge *e, const ProtoHEFEdgeLayerPlanes *planes,
			struct hef_layer *out)
{
	static const enum hw_order orders[] = {
	    [PROTO_HEFEPLANES_FORMAT__PROTO__PLANES__FORMAT__NV12] = HW_ORDER_NV12,
	    [PROTO_HEFEPLANES_FORMAT__PROTO__PLANES__FORMAT__NV21] = HW_ORDER_NV21,
	    [PROTO_HEFEPLANES_FORMAT__PROTO__PLANES__FORMAT__I420] = HW_ORDER_I420,
	};
	int r;

	e->p->layer = planes->name;
	out->shape = HEF_SHAPE_PLANES;
	r = parse_network(e, out);
	if (!r)
		r = parse_name(e->p, "its name", out->name, planes->name);
	if (!r)
		r = check_network_label(e, out);
	if (r < 0)
		return r;
	if ((uint32_t)planes->planes_format >= ARRAY_SIZE(orders))
		return parse_refuse(e->p, HEF_INVALID_HEF, "planes of unknown format %d",
				    (int)planes->planes_format);
	out->planes_order = orders[planes->planes_format];
	out->order = out->planes_order;
	out->height = out->raw_height = planes->height;
	out->width = out->raw_width = planes->width;
	out->features = planes->features;
	if (frame_bytes(out->height, out->width, out->features, sizeof(float)) > UINT32_MAX)
		return parse_refuse(e->p, HEF_INVALID_HEF, "its frame is too large");
	if (!planes->n_planes)
		return parse_refuse(e->p, HEF_INVALID_HEF, "it has no planes");
	out->sub = parse_alloc(e->p, planes->n_planes, sizeof(*out->sub));
	if (!out->sub)
		return -ENOMEM;
	for (size_t i = 0; i < planes->n_planes; i++, out->n_sub++) {
		const ProtoHefEdge *edge = planes->planes[i];

		if (edge->edge_case != PROTO_HEF_EDGE__EDGE_LAYER_INFO)
			return parse_refuse(e->p, HEF_INTERNAL_FAILURE,
					    "plane %zu is not a plain layer", i);
		out->sub[i] = sub_layer(out);
		r = parse_info(e, edge->layer_info, &out->sub[i]);
		if (r < 0)
			return r;
		if (out->sub[i].data_bytes != out->sub[0].data_bytes)
			return parse_refuse(e->p, HEF_INVALID_HEF,
					    "plane %zu has other elements than plane 0", i);
	}
	out->data_bytes = out->sub[0].data_bytes;
	return 0;
}

static int parse_boundary(struct edge *e, struct hef_layer *out)
{
	const ProtoHEFEdgeLayer *msg = e->msg;

	out->has_pad = msg->pad_case == PROTO_HEFEDGE_LAYER__PAD_PAD_INDEX;
	if (out->has_pad)
		out->pad = msg->pad_index;
	/* The type decides; when the oneof holds something else, an empty message is read. */
	switch (msg->edge_layer_type) {
	case PROTO_HEFEDGE_LAYER_TYPE__PROTO__EDGE_LAYER_TYPE__INFO:
		return parse_info(e,
				  msg->edge_case == PROTO_HEFEDGE_LAYER__EDGE_LAYER_INFO
				      ? msg->layer_info
				      : &no_info,
				  out);
	case PROTO_HEFEDGE_LAYER_TYPE__PROTO__EDGE_LAYER_TYPE__MUX:
		return parse_mux(e,
				 msg->edge_case == PROTO_HEFEDGE_LAYER__EDGE_LAYER_MUX
				     ? msg->layer_mux
				     : &no_mux,
				 out);
	case PROTO_HEFEDGE_LAYER_TYPE__PROTO__EDGE_LAYER_TYPE__PLANES:
		return parse_planes(e,
				    msg->edge_case == PROTO_HEFEDGE_LAYER__EDGE_LAYER_PLANES
					? msg->layer_planes
					: &no_planes,
				    out);
	default:
		return parse_refuse(e->p, HEF_INTERNAL_FAILURE, "an edge layer of unknown type %d",
				    (int)msg->edge_layer_type);
	}
}

/* 5.2: layers between contexts, DDR pairs, caches */
static int parse_internal(struct edge *e, const ProtoHEFContextSwitchInformation *cs,
			  struct hef_layer *out)
{
	const ProtoHEFEdgeLayerInfo *info = &no_info;
	struct parse *p = e->p;
	int r;

	if (e->msg->edge_layer_type != PROTO_HEFEDGE_LAYER_TYPE__PROTO__EDGE_LAYER_TYPE__INFO)
		return parse_refuse(p, HEF_INVALID_HEF,
				    "a layer inside the network must be a plain one, not type %d",
				    (int)e->msg->edge_layer_type);
	if (e->msg->edge_case == PROTO_HEFEDGE_LAYER__EDGE_LAYER_INFO)
		info = e->msg->layer_info;
	p->layer = info->name;
	out->shape = HEF_SHAPE_INFO;
	r = parse_network(e, out);
	if (r < 0)
		return r;
	/* Any length is allowed; the stream index tells such layers apart, the name is for people.
	 */
	memcpy(out->name, info->name, strnlen(info->name, sizeof(out->name) - 1));
	r = parse_base(e, OR_EMPTY(info->edge_layer_base, &no_base), false, out);
	if (r < 0)
		return r;
	if (out->kind == HEF_EDGE_CACHE) {
		if (cs->cache_id < 0)
			return parse_refuse(p, HEF_INVALID_HEF, "cache_id is %" PRId32,
					    cs->cache_id);
		out->cache_id = cs->cache_id;
		return 0;
	}
	if (!cs->n_connected_contexts)
		return parse_refuse(p, HEF_INVALID_HEF, "its other end is not given");
	r = parse_fits(p, "the context of its other end", cs->connected_contexts[0]->index,
		       UINT16_MAX);
	if (!r)
		r = parse_fits(p, "the stream of its other end",
			       cs->connected_contexts[0]->sys_index, UINT8_MAX);
	if (!r)
		r = parse_fits(p, "the engine of its other end",
			       cs->connected_contexts[0]->engine_id, UINT8_MAX);
	if (r < 0)
		return r;
	out->peer_context = (uint16_t)cs->connected_contexts[0]->index;
	out->peer_stream = (uint8_t)cs->connected_contexts[0]->sys_index;
	if (out->kind != HEF_EDGE_DDR)
		return 0;
	if (cs->n_connected_contexts != 1 || out->peer_context != p->context)
		return parse_refuse(p, HEF_INVALID_HEF,
				    "a DDR layer has exactly one other end, in the same context");
	r = parse_fits(p, "the number of buffered rows", cs->buffers, UINT16_MAX);
	out->ddr_rows = (uint16_t)cs->buffers;
	return r;
}

static int parse_edge(struct edge *e, struct hef_layer *out)
{
	const ProtoHEFContextSwitchInformation *cs =
	    OR_EMPTY(e->msg->context_switch_info, &no_switch);

	out->input = e->msg->direction !=
		     PROTO_HEFEDGE_LAYER_DIRECTION__PROTO__EDGE_LAYER_DIRECTION__DEVICE_TO_HOST;
	switch (cs->edge_connection_type) {
	case PROTO_HEFEDGE_CONNECTION_TYPE__PROTO__EDGE_CONNECTION_TYPE__BOUNDARY:
		out->kind = HEF_EDGE_BOUNDARY;
		return parse_boundary(e, out);
	case PROTO_HEFEDGE_CONNECTION_TYPE__PROTO__EDGE_CONNECTION_TYPE__INTERMEDIATE:
		out->kind = HEF_EDGE_INTER_CONTEXT;
		return parse_internal(e, cs, out);
	case PROTO_HEFEDGE_CONNECTION_TYPE__PROTO__EDGE_CONNECTION_TYPE__DDR:
		out->kind = HEF_EDGE_DDR;
		return parse_internal(e, cs, out);
	case PROTO_HEFEDGE_CONNECTION_TYPE__PROTO__EDGE_CONNECTION_TYPE__CACHE:
		out->kind = HEF_EDGE_CACHE;
		return parse_internal(e, cs, out);
	default:
		return parse_refuse(e->p, HEF_INVALID_HEF, "an edge layer of unknown kind %d",
				    (int)cs->edge_connection_type);
	}
}

/* 5.2: as many DDR inputs as outputs, and each output finds exactly one input */
static int check_ddr(struct parse *p, const struct hef_context *ctx)
{
	size_t in = 0, out = 0;

	for (size_t i = 0; i < ctx->n_layers; i++) {
		const struct hef_layer *l = &ctx->layers[i];
		size_t matches = 0;

		if (l->kind != HEF_EDGE_DDR)
			continue;
		p->layer = l->name;
		if (l->input) {
			in++;
			continue;
		}
		out++;
		for (size_t j = 0; j < ctx->n_layers; j++) {
			const struct hef_layer *m = &ctx->layers[j];

			if (m->kind != HEF_EDGE_DDR || !m->input || m->stream != l->peer_stream)
				continue;
			matches++;
			if (m->core_bytes_per_buffer != l->core_bytes_per_buffer ||
			    m->core_buffers_per_frame != l->core_buffers_per_frame)
				return parse_refuse(p, HEF_INVALID_HEF,
						    "its other end has buffers of another size or "
						    "number");
		}
		if (matches != 1)
			return parse_refuse(p, HEF_INVALID_HEF,
					    "a DDR output needs one DDR input, it has %zu",
					    matches);
	}
	p->layer = NULL;
	if (in != out)
		return parse_refuse(p, HEF_INVALID_HEF, "%zu DDR inputs and %zu DDR outputs", in,
				    out);
	return 0;
}

int parse_edge_layers(struct parse *p, const struct core_src *src, const ProtoHEFContext *ctx,
		      struct hef_context *out)
{
	const ProtoHEFContextMetadata *meta = ctx->metadata;
	size_t n = meta ? meta->n_edge_layers : 0;
	int r;

	out->layers = parse_alloc(p, n, sizeof(*out->layers));
	if (!out->layers)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++, out->n_layers++) {
		struct edge e = {.p = p, .src = src, .msg = meta->edge_layers[i]};

		p->layer = NULL;
		r = parse_edge(&e, &out->layers[i]);
		if (r < 0)
			return r;
	}
	r = check_ddr(p, out);
	p->layer = NULL;
	return r;
}
