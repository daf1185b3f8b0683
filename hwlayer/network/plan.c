// SPDX-License-Identifier: MIT
/*
 * What can be decided without a device: which stream gets which channel, how its list looks, what
 * goes through the config channels.  Pure.  Source: spec firmware-protocol 5.2 to 5.8.
 */
#include "network/internal.h"

#include <stdio.h>

/* ------------------------------------------------------------------------ options */

static int check_options(struct network *net, struct hw_error *err)
{
	struct network_options *o = &net->opt;

	if (!o->batch)
		o->batch = 1;
	if (!o->queue_scale)
		o->queue_scale = 8;
	if (o->batch > FW_BATCH_MAX)
		return hw_fail(err, -EINVAL, "batch %u: the firmware takes at most %u", o->batch,
			       FW_BATCH_MAX);
	/* The vendor's library fails on hosts that report more, too (golden run page16384). */
	if (o->max_page < CHIP_PAGE_MIN || o->max_page > CHIP_PAGE_MAX ||
	    (o->max_page & (o->max_page - 1)))
		return hw_fail(err, -EINVAL, "descriptor page %u: a power of two of %u to %u is needed",
			       o->max_page, CHIP_PAGE_MIN, CHIP_PAGE_MAX);
	return 0;
}

static int check_core_op(const struct network *net, struct hw_error *err)
{
	const struct hef_core_op *op = net->op;

	if (!op->n_contexts)
		return hw_fail(err, -EBADMSG, "the network has no context");
	if (op->n_contexts + NETWORK_SERVICE_CONTEXTS > NETWORK_CONTEXTS_MAX)
		return hw_fail(err, -ENOTSUP, "%zu contexts: the firmware takes at most %u",
			       op->n_contexts, NETWORK_CONTEXTS_MAX - NETWORK_SERVICE_CONTEXTS);
	if (op->cfg_channels > FW_CFG_CHANNELS_MAX)
		return hw_fail(err, -ENOTSUP, "%u configuration channels: the firmware takes %u",
			       op->cfg_channels, FW_CFG_CHANNELS_MAX);
	if (net->hef->features.multi_network && op->n_networks > NETWORK_NETWORKS_MAX)
		return hw_fail(err, -ENOTSUP, "%zu networks in one group: the firmware takes %u",
			       op->n_networks, NETWORK_NETWORKS_MAX);
	return 0;
}

/* ------------------------------------------------------------------------ streams */

static int add_stream(struct network_stream **v, size_t *n, const struct hef_layer *layer,
		      uint16_t context)
{
	struct network_stream *grown = realloc(*v, (*n + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	*v = grown;
	grown[(*n)++] = (struct network_stream){
		.layer = layer,
		.context = context,
		.input = layer->input,
	};
	return 0;
}

static int add_boundary(struct network *net, const struct hef_layer *layer, uint16_t context)
{
	return layer->input ? add_stream(&net->inputs, &net->n_inputs, layer, context)
			    : add_stream(&net->outputs, &net->n_outputs, layer, context);
}

static int add_layer(struct network *net, const struct hef_layer *layer, uint16_t context,
		     struct hw_error *err)
{
	int r = 0;

	switch (layer->kind) {
	case HEF_EDGE_BOUNDARY:
		if (layer->shape != HEF_SHAPE_PLANES)
			return add_boundary(net, layer, context);
		for (size_t i = 0; !r && i < layer->n_sub; i++)
			r = add_boundary(net, &layer->sub[i], context);
		return r;
	case HEF_EDGE_DDR:
		if (!net->hef->features.padded_ddr)
			return hw_fail(err, -ENOTSUP,
				       "layer %s is buffered in host memory, but the file lacks the "
				       "extension for padded rows", layer->name);
		return add_stream(&net->internal, &net->n_internal, layer, context);
	case HEF_EDGE_INTER_CONTEXT:
		return add_stream(&net->internal, &net->n_internal, layer, context);
	case HEF_EDGE_CACHE:
		break;
	}
	/* 5.8 describes their list too loosely to build one, and no Hailo-8 file has them. */
	return hw_fail(err, -ENOTSUP, "layer %s is a cache, which Hailo-8 files do not have",
		       layer->name);
}

/* hef-format 4.12: a stream index names one layer of a context, or one per direction. */
static int check_stream_index(const struct network *net, const struct network_stream *a,
			      const struct network_stream *v, size_t n, struct hw_error *err)
{
	for (size_t i = 0; i < n; i++) {
		if (&v[i] == a || v[i].context != a->context ||
		    v[i].layer->stream != a->layer->stream)
			continue;
		if (net->hef->features.dual_direction && v[i].input != a->input)
			continue;
		return hw_fail(err, -EBADMSG, "layers %s and %s of context %u share stream index %u",
			       a->layer->name, v[i].layer->name, a->context, a->layer->stream);
	}
	return 0;
}

static int collect_streams(struct network *net, struct hw_error *err)
{
	struct {
		struct network_stream **v;
		size_t *n;
	} all[] = {
		{&net->inputs, &net->n_inputs},
		{&net->outputs, &net->n_outputs},
		{&net->internal, &net->n_internal},
	};
	int r;

	for (size_t k = 0; k < net->op->n_contexts; k++)
		for (size_t i = 0; i < net->op->contexts[k].n_layers; i++) {
			r = add_layer(net, &net->op->contexts[k].layers[i], (uint16_t)k, err);
			if (r == -ENOMEM)
				return hw_fail(err, r, "no memory for the network's streams");
			if (r)
				return r;
		}
	if (!net->n_inputs || !net->n_outputs)
		return hw_fail(err, -EBADMSG, "the network has no %s",
			       net->n_inputs ? "output" : "input");
	for (size_t a = 0; a < ARRAY_SIZE(all); a++)
		for (size_t i = 0; i < *all[a].n; i++)
			for (size_t b = 0; b < ARRAY_SIZE(all); b++) {
				r = check_stream_index(net, &(*all[a].v)[i], *all[b].v, *all[b].n, err);
				if (r)
					return r;
			}
	return 0;
}

/* ----------------------------------------------------------------------- channels */

static int take_channel(uint32_t *used, bool input, uint8_t *out)
{
	unsigned int from = input ? 0 : CHIP_VDMA_FIRST_D2H;
	unsigned int to = input ? CHIP_VDMA_FIRST_D2H : CHIP_VDMA_CHANNELS;

	for (unsigned int ch = from; ch < to; ch++)
		if (!(*used & BIT(ch))) {
			*used |= BIT(ch);
			*out = (uint8_t)ch;
			return 0;
		}
	return -ENOSPC;
}

struct network_stream *network_ddr_input(const struct network *net,
					 const struct network_stream *out)
{
	for (size_t i = 0; i < net->n_internal; i++) {
		struct network_stream *s = &net->internal[i];

		if (s->layer->kind == HEF_EDGE_DDR && s->input && s->context == out->context &&
		    s->layer->stream == out->layer->peer_stream)
			return s;
	}
	return NULL;
}

struct network_stream *network_internal_source(const struct network *net,
					       const struct network_stream *input)
{
	for (size_t i = 0; i < net->n_internal; i++) {
		struct network_stream *s = &net->internal[i];

		if (s->input || s->layer->kind != input->layer->kind)
			continue;
		if (s->layer->kind == HEF_EDGE_DDR ? network_ddr_input(net, s) == input
						   : s->context == input->layer->peer_context &&
							     s->layer->stream == input->layer->peer_stream)
			return s;
	}
	return NULL;
}

/*
 * Internal layers of one context, in the order in which the vendor's library asks for them (5.4
 * point 3).  Its batch-switching context asks first, for those of dynamic context 0 and in the
 * same order, so its numbers come out the same.
 */
static int internal_channels(struct network *net, uint16_t context, uint32_t used)
{
	int r;

	for (size_t i = 0; i < net->n_internal; i++) {
		struct network_stream *s = &net->internal[i], *in;

		if (s->context != context || s->layer->kind != HEF_EDGE_DDR || s->input)
			continue;
		in = network_ddr_input(net, s);
		if (!in)
			return -EBADMSG;
		r = take_channel(&used, true, &in->channel);
		if (!r)
			r = take_channel(&used, false, &s->channel);
		if (r)
			return r;
	}
	for (int input = 0; input <= 1; input++)
		for (size_t i = 0; i < net->n_internal; i++) {
			struct network_stream *s = &net->internal[i];

			if (s->context != context || s->input != input ||
			    s->layer->kind != HEF_EDGE_INTER_CONTEXT)
				continue;
			r = take_channel(&used, s->input, &s->channel);
			if (r)
				return r;
		}
	return 0;
}

static int allocate_channels(struct network *net, struct hw_error *err)
{
	uint32_t used = 0;
	uint8_t ch;
	int r = 0;

	net->cfg_channels = net->op->cfg_channels ? net->op->cfg_channels : 1;
	for (unsigned int i = 0; i < net->cfg_channels; i++)
		take_channel(&used, true, &ch);
	for (size_t i = 0; !r && i < net->n_inputs; i++) {
		r = take_channel(&used, true, &net->inputs[i].channel);
		net->boundary_channels |= BIT(net->inputs[i].channel);
	}
	for (size_t i = 0; !r && i < net->n_outputs; i++) {
		r = take_channel(&used, false, &net->outputs[i].channel);
		net->boundary_channels |= BIT(net->outputs[i].channel);
	}
	for (size_t k = 0; !r && k < net->op->n_contexts; k++)
		r = internal_channels(net, (uint16_t)k, used);
	if (r == -EBADMSG)
		return hw_fail(err, r, "a layer buffered in host memory has no counterpart");
	if (r)
		return hw_fail(err, -ENOTSUP, "the network needs more vDMA channels than the chip has");
	return 0;
}

/* --------------------------------------------------------------------- descriptors */

static int boundary_list(const struct network *net, struct network_stream *s, struct hw_error *err)
{
	s->transfer = hef_transfer_bytes(s->layer);
	if (vdma_boundary_geometry(s->transfer, hef_transfers_per_frame(s->layer), net->opt.batch,
				   net->opt.queue_scale, s->layer->max_shmifo_size,
				   net->opt.max_page, &s->page, &s->count, &s->queue))
		return hw_fail(err, -ENOTSUP, "layer %s: no descriptor list can carry transfers of %u "
			       "bytes", s->layer->name, s->transfer);
	return 0;
}

/* 5.8: the page of an internal list, doubled while @need(page) descriptors are too many. */
static int internal_page(const struct network *net, uint32_t transfer, uint64_t extra, uint64_t times,
			 uint32_t *page)
{
	uint32_t p = network_first_page(net);

	if (transfer < p)
		p = (uint32_t)pow2_ceil(transfer < CHIP_PAGE_MIN ? CHIP_PAGE_MIN : transfer);
	while ((ceil_div(transfer, p) + extra) * times > NETWORK_DESCS_MAX) {
		p *= 2;
		if (p > net->opt.max_page)
			return -ENOTSUP;
	}
	*page = p;
	return 0;
}

static int inter_context_list(const struct network *net, struct network_stream *s,
			      struct hw_error *err)
{
	uint64_t count;

	s->transfer = hef_transfer_bytes(s->layer);
	if (!s->transfer)
		return hw_fail(err, -EBADMSG, "layer %s is empty", s->layer->name);
	if (internal_page(net, s->transfer, 1, net->opt.batch, &s->page))
		return hw_fail(err, -ENOTSUP, "layer %s: no descriptor list can hold %u times %u bytes",
			       s->layer->name, net->opt.batch, s->transfer);
	count = ceil_div(s->transfer, s->page) * net->opt.batch + 1;
	s->count = (uint32_t)(count < CHIP_LIST_MAX ? count : CHIP_LIST_MAX);
	s->queue = net->opt.batch;
	return 0;
}

static int ddr_list(const struct network *net, struct network_stream *s, uint16_t rows,
		    struct hw_error *err)
{
	uint64_t count;

	s->transfer = s->layer->core_bytes_per_buffer;
	if (!s->transfer || s->transfer % NETWORK_DDR_ROW || !rows)
		return hw_fail(err, -EBADMSG, "layer %s: %u rows of %u bytes cannot be buffered in host "
			       "memory", s->layer->name, rows, s->transfer);
	if (internal_page(net, s->transfer, 0, rows, &s->page))
		return hw_fail(err, -ENOTSUP, "layer %s: no descriptor list can hold %u rows of %u bytes",
			       s->layer->name, rows, s->transfer);
	count = ceil_div(s->transfer, s->page) * rows + 1;
	s->count = (uint32_t)pow2_ceil(count < CHIP_LIST_MAX ? count : CHIP_LIST_MAX);
	s->queue = rows;
	/* ADD_DDR_PAIR_INFO has 16 bits for it. */
	if (s->count > NETWORK_DESCS_MAX)
		return hw_fail(err, -ENOTSUP, "layer %s: %u descriptors are too many", s->layer->name,
			       s->count);
	return 0;
}

static int internal_list(const struct network *net, struct network_stream *s, struct hw_error *err)
{
	const struct network_stream *source;

	if (!s->input)
		return s->layer->kind == HEF_EDGE_DDR ? ddr_list(net, s, s->layer->ddr_rows, err)
						      : inter_context_list(net, s, err);
	/* An input reads the list of the output that fills it; sizes must agree. */
	source = network_internal_source(net, s);
	if (!source)
		return hw_fail(err, -EBADMSG, "layer %s reads stream %u of context %u, which does not "
			       "exist", s->layer->name, s->layer->peer_stream, s->layer->peer_context);
	if (s->layer->kind == HEF_EDGE_DDR)
		return ddr_list(net, s, source->layer->ddr_rows, err);
	if (source->context >= s->context)
		return hw_fail(err, -EBADMSG, "layer %s of context %u reads from context %u",
			       s->layer->name, s->context, source->context);
	if (hef_transfer_bytes(s->layer) != hef_transfer_bytes(source->layer))
		return hw_fail(err, -EBADMSG, "layers %s and %s are two ends of one stream but differ in "
			       "size", source->layer->name, s->layer->name);
	return inter_context_list(net, s, err);
}

static int plan_streams(struct network *net, struct hw_error *err)
{
	struct {
		struct network_stream *v;
		size_t n;
		int (*list)(const struct network *net, struct network_stream *s,
			    struct hw_error *err);
	} kinds[] = {
		{net->inputs, net->n_inputs, boundary_list},
		{net->outputs, net->n_outputs, boundary_list},
		{net->internal, net->n_internal, internal_list},
	};
	int r;

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		for (size_t i = 0; i < kinds[k].n; i++) {
			struct network_stream *s = &kinds[k].v[i];

			r = kinds[k].list(net, s, err);
			if (!r)
				r = network_periph(s->layer, &net->consts,
						   net->hef->features.hw_padding, s, err);
			if (r)
				return r;
		}
	return 0;
}

/* ------------------------------------------------------------------ configuration data */

/* 5.5 steps 1 and 2 */
static int config_list(const struct network *net, const struct hef_context *hc,
		       struct network_config *c, struct hw_error *err)
{
	uint64_t count;

	for (c->page = network_first_page(net);; c->page *= 2) {
		if (c->page > net->opt.max_page)
			return hw_fail(err, -ENOTSUP, "configuration channel %u needs more descriptors "
				       "than a list can have", c->stream);
		count = 1;
		for (size_t i = 0; i < hc->bursts[c->stream].n; i++)
			count += ceil_div(hc->bursts[c->stream].sizes[i], c->page);
		if (count <= NETWORK_DESCS_MAX)
			break;
	}
	c->count = (uint32_t)count;
	return 0;
}

/* 5.5 step 4, as far as it needs no memory: each piece starts on a page of its own. */
static int config_pieces(const struct hef_context *hc, struct network_config *c, struct hw_error *err)
{
	size_t n = 0;

	for (size_t i = 0; i < hc->n_actions; i++)
		n += hc->actions[i].kind == HEF_ACT_WRITE_CCW &&
		     hc->actions[i].ccw.channel == c->stream;
	c->pieces = calloc(n, sizeof(*c->pieces));
	if (!c->pieces)
		return hw_fail(err, -ENOMEM, "no memory for the configuration's pieces");
	for (size_t i = 0; i < hc->n_actions; i++) {
		const struct hef_ccw *ccw = &hc->actions[i].ccw;
		struct network_piece *p = &c->pieces[c->n_pieces];
		uint64_t descs;

		if (hc->actions[i].kind != HEF_ACT_WRITE_CCW || ccw->channel != c->stream)
			continue;
		descs = ceil_div(ccw->bytes, c->page);
		if (!descs || c->used + descs > c->count)
			return hw_fail(err, -EBADMSG, "%llu bytes for configuration channel %u do not "
				       "fit its list of %u descriptors",
				       (unsigned long long)ccw->bytes, c->stream, c->count);
		*p = (struct network_piece){
			.first_desc = c->used,
			.descs = (uint32_t)descs,
			.bytes = (uint32_t)ccw->bytes,
			.ccw = ccw,
		};
		c->used += p->descs;
		c->n_pieces++;
	}
	return 0;
}

static int plan_configs(struct network *net, const struct hef_context *hc, struct network_context *ctx,
			struct hw_error *err)
{
	bool used[256] = {false};
	size_t n = 0;
	int r;

	for (size_t i = 0; i < hc->n_actions; i++)
		if (hc->actions[i].kind == HEF_ACT_WRITE_CCW)
			used[hc->actions[i].ccw.channel] = true;
	for (size_t i = 0; i < ARRAY_SIZE(used); i++)
		n += used[i];
	if (!n)
		return 0;
	/* The firmware numbers a context's config streams 0..n-1 (4.6.3). */
	for (size_t i = 0; i < ARRAY_SIZE(used); i++)
		if (used[i] != (i < n) || (used[i] && i >= net->cfg_channels))
			return hw_fail(err, -EBADMSG, "a context uses configuration channel %zu out of "
				       "turn or beyond the %u that the file has", i, net->cfg_channels);
	ctx->configs = calloc(n, sizeof(*ctx->configs));
	if (!ctx->configs)
		return hw_fail(err, -ENOMEM, "no memory for the configuration channels");
	ctx->n_configs = n;
	for (size_t i = 0; i < n; i++) {
		struct network_config *c = &ctx->configs[i];

		c->channel = (uint8_t)i;
		c->stream = (uint8_t)i;
		r = config_list(net, hc, c, err);
		if (!r)
			r = config_pieces(hc, c, err);
		if (r)
			return r;
	}
	return 0;
}

static int plan_contexts(struct network *net, struct hw_error *err)
{
	size_t n = NETWORK_SERVICE_CONTEXTS + net->op->n_contexts;
	int r;

	net->contexts = calloc(n, sizeof(*net->contexts));
	if (!net->contexts)
		return hw_fail(err, -ENOMEM, "no memory for %zu contexts", n);
	net->n_contexts = n;
	net->contexts[NETWORK_ACTIVATION].type = FW_CONTEXT_ACTIVATION;
	net->contexts[NETWORK_BATCH_SWITCHING].type = FW_CONTEXT_BATCH_SWITCHING;
	net->contexts[NETWORK_PRELIMINARY].type = FW_CONTEXT_PRELIMINARY;
	r = plan_configs(net, &net->op->preliminary, &net->contexts[NETWORK_PRELIMINARY], err);
	for (size_t k = 0; !r && k < net->op->n_contexts; k++) {
		struct network_context *ctx = &net->contexts[NETWORK_DYNAMIC + k];

		ctx->type = FW_CONTEXT_DYNAMIC;
		ctx->index = (uint16_t)k;
		r = plan_configs(net, &net->op->contexts[k], ctx, err);
	}
	return r;
}

int network_plan(const struct hef *hef, const struct hef_group *group, const struct hef_core_op *op,
		 const struct chip_hw_consts *consts, const struct network_options *opt,
		 struct network **out, struct hw_error *err)
{
	struct network *net = calloc(1, sizeof(*net));
	int r;

	if (!net)
		return hw_fail(err, -ENOMEM, "no memory for a network");
	net->hef = hef;
	net->group = group;
	net->op = op;
	net->opt = *opt;
	net->consts = *consts;
	net->clusters = op->layout;
	r = check_options(net, err);
	if (!r)
		r = check_core_op(net, err);
	if (!r)
		r = collect_streams(net, err);
	if (!r)
		r = allocate_channels(net, err);
	if (!r)
		r = plan_streams(net, err);
	if (!r)
		r = plan_contexts(net, err);
	if (r) {
		network_free(net, NULL);
		return r;
	}
	*out = net;
	return 0;
}
