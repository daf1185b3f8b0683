// SPDX-License-Identifier: MIT
/* Network groups, core ops and their variants, names and output order (hef-format 3.5, 4.1-4.5). */
#include <inttypes.h>
#include <stdio.h>

#include "hef/parse.h"

static const ProtoHEFNetworkGroupMetadata no_meta = PROTO_HEFNETWORK_GROUP_METADATA__INIT;
static const ProtoHEFNetworkGroup no_group = PROTO_HEFNETWORK_GROUP__INIT;
static const ProtoHEFCoreOp no_core_op = PROTO_HEFCORE_OP__INIT;
static const ProtoHEFContext no_context = PROTO_HEFCONTEXT__INIT;
static const ProtoHEFFusedLayersMetadata no_fused = PROTO_HEFFUSED_LAYERS_METADATA__INIT;

static struct core_src from_core_op(const ProtoHEFCoreOp *op)
{
	return (struct core_src){
	    .meta = OR_EMPTY(op->network_group_metadata, &no_meta),
	    .preliminary = op->preliminary_config,
	    .contexts = op->contexts,
	    .n_contexts = op->n_contexts,
	    .fused = OR_EMPTY(op->fused_layers_metadata, &no_fused),
	    .networks = op->networks_names,
	    .n_networks = op->n_networks_names,
	};
}

static struct core_src from_group(const ProtoHEFNetworkGroup *ng)
{
	return (struct core_src){
	    .meta = OR_EMPTY(ng->network_group_metadata, &no_meta),
	    .preliminary = ng->preliminary_config,
	    .contexts = ng->contexts,
	    .n_contexts = ng->n_contexts,
	    .fused = OR_EMPTY(ng->fused_layers_metadata, &no_fused),
	    .networks = ng->networks_names,
	    .n_networks = ng->n_networks_names,
	};
}

/* First per-layout variant of the legacy layout; an empty group when there is none. */
static const ProtoHEFNetworkGroup *first_variant(const ProtoHEFNetworkGroup *ng)
{
	if (!ng->n_partial_network_groups)
		return &no_group;
	return OR_EMPTY(ng->partial_network_groups[0]->network_group, &no_group);
}

/* 4.2: the first op that is one, NULL if none */
static const ProtoHEFCoreOp *find_core_op(const ProtoHEFNetworkGroup *ng)
{
	for (size_t i = 0; i < ng->n_ops; i++) {
		if (ng->ops[i]->op_case == PROTO_HEFOP__OP_CORE_OP)
			return ng->ops[i]->core_op;
	}
	return NULL;
}

/* 3.3: the architectures whose files hold one variant for each cluster layout */
static bool has_variants(const struct hef *hef)
{
	return hef->arch == HEF_ARCH_HAILO8L ||
	       hef->arch == PROTO_HEFHW_ARCH__PROTO__HW_ARCH__HAILO15M;
}

/* Copies, each with "@prefix/" in front unless @prefix is NULL. */
static int copy_names(struct parse *p, const char *prefix, char **names, size_t n, char ***out,
		      size_t *n_out)
{
	*out = parse_alloc(p, n, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		size_t len = (prefix ? strlen(prefix) + 1 : 0) + strlen(names[i]) + 1;
		char *name = parse_alloc(p, len, 1);

		if (!name)
			return -ENOMEM;
		snprintf(name, len, "%s%s%s", prefix ? prefix : "", prefix ? "/" : "", names[i]);
		(*out)[i] = name;
	}
	*n_out = n;
	return 0;
}

/* 4.10 */
static int parse_channels(struct parse *p, const ProtoHEFNetworkGroupMetadata *meta, uint8_t *out)
{
	if (meta->cfg_channels_count > UINT8_MAX)
		return parse_refuse(p, HEF_INVALID_HEF,
				    "%" PRIu32 " configuration channels are more than 255",
				    meta->cfg_channels_count);
	for (size_t i = 0; i < meta->n_cfg_channels_config; i++) {
		/* The engine itself is forced to 0 on PCIe. */
		if (meta->cfg_channels_config[i]->engine_id > UINT8_MAX)
			return parse_refuse(p, HEF_INVALID_HEF,
					    "engine %" PRIu32 " of configuration channel %" PRIu32
					    " does not fit 8 bits",
					    meta->cfg_channels_config[i]->engine_id,
					    meta->cfg_channels_config[i]->cfg_channel_index);
	}
	*out = meta->cfg_channels_count ? (uint8_t)meta->cfg_channels_count : 1;
	return 0;
}

/* 4.11 */
static bool depends_on_batch(const struct hef_context *ctx)
{
	for (size_t i = 0; i < ctx->n_actions; i++) {
		if (ctx->actions[i].kind == HEF_ACT_WRITE_DATA_BY_TYPE &&
		    ctx->actions[i].write.type == PROTO_HEFWRITE_DATA_TYPE__BATCH_SIZE)
			return true;
	}
	return false;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* 4.12: the names of boundary layers are unique over all contexts */
static int check_unique_names(struct parse *p, const struct hef_core_op *op)
{
	struct buf names = {0};
	int r = 0;

	for (size_t c = 0; c < op->n_contexts; c++) {
		for (size_t i = 0; i < op->contexts[c].n_layers; i++) {
			const struct hef_layer *layer = &op->contexts[c].layers[i];
			const char *name = layer->name;

			if (layer->kind == HEF_EDGE_BOUNDARY)
				buf_put(&names, &name, sizeof(name));
		}
	}
	if (names.failed) {
		r = parse_nomem(p);
	} else if (names.len) {
		char **list = (char **)(void *)names.ptr;
		size_t n = names.len / sizeof(*list);

		qsort(list, n, sizeof(*list), compare_names);
		for (size_t i = 1; i < n && !r; i++) {
			if (!strcmp(list[i - 1], list[i]))
				r = parse_refuse(p, HEF_INVALID_HEF,
						 "two boundary layers are named \"%.100s\"",
						 list[i]);
		}
	}
	buf_free(&names);
	return r;
}

static int parse_core_op(struct parse *p, const struct core_src *src, struct hef_core_op *out)
{
	int r;

	p->context = PARSE_NOWHERE;
	if (strcmp(src->meta->network_group_name, p->group))
		return parse_refuse(p, HEF_INVALID_HEF,
				    "the part that runs on the chip is named \"%.100s\" instead",
				    src->meta->network_group_name);
	if (!src->n_contexts)
		return parse_refuse(p, HEF_INVALID_HEF, "there is no context, so nothing to run");
	r = parse_channels(p, src->meta, &out->cfg_channels);
	if (r < 0)
		return r;
	r = copy_names(p, NULL, src->networks, src->n_networks, &out->networks, &out->n_networks);
	if (r < 0)
		return r;

	p->context = PARSE_PRELIMINARY;
	if (src->preliminary) {
		r = parse_operations(p, src->preliminary->operation, src->preliminary->n_operation,
				     &out->preliminary);
		if (r < 0)
			return r;
	}
	out->contexts = parse_alloc(p, src->n_contexts, sizeof(*out->contexts));
	if (!out->contexts)
		return -ENOMEM;
	for (size_t i = 0; i < src->n_contexts; i++) {
		const ProtoHEFContext *ctx = OR_EMPTY(src->contexts[i], &no_context);

		p->context = (int)i;
		r = parse_operations(p, ctx->operations, ctx->n_operations, &out->contexts[i]);
		if (r < 0)
			return r;
		r = parse_edge_layers(p, src, ctx, &out->contexts[i]);
		if (r < 0)
			return r;
		out->n_contexts++;
	}
	p->context = PARSE_NOWHERE;
	out->can_fast_batch_switch =
	    !depends_on_batch(&out->preliminary) && !depends_on_batch(&out->contexts[0]);
	return check_unique_names(p, out);
}

static int compare_layouts(const void *a, const void *b)
{
	uint32_t x = ((const struct hef_core_op *)a)->layout;
	uint32_t y = ((const struct hef_core_op *)b)->layout;

	return (x > y) - (x < y);
}

static int add_variant(struct parse *p, struct hef_group *g, const ProtoHEFPhysicalLayout *layout,
		       const struct core_src *src)
{
	uint32_t bitmap = layout ? layout->partial_clusters_layout_bitmap : 0;
	struct hef_core_op *op = &g->core_ops[g->n_core_ops];

	/* 3.5: a later variant with the same bitmap replaces the earlier one */
	for (size_t i = 0; i < g->n_core_ops; i++) {
		if (g->core_ops[i].layout == bitmap) {
			op = &g->core_ops[i];
			memset(op, 0, sizeof(*op));
		}
	}
	if (op == &g->core_ops[g->n_core_ops])
		g->n_core_ops++;
	op->layout = bitmap;
	return parse_core_op(p, src, op);
}

static int parse_core_ops(struct parse *p, const ProtoHEFNetworkGroup *ng,
			  const ProtoHEFCoreOp *core_op, struct hef_group *g)
{
	size_t n = core_op ? core_op->n_partial_core_ops : ng->n_partial_network_groups;
	int r;

	if (!has_variants(p->hef)) {
		struct core_src src = core_op ? from_core_op(core_op) : from_group(ng);

		g->core_ops = parse_alloc(p, 1, sizeof(*g->core_ops));
		if (!g->core_ops)
			return -ENOMEM;
		g->n_core_ops = 1;
		g->core_ops[0].layout = HEF_LAYOUT_ANY;
		return parse_core_op(p, &src, &g->core_ops[0]);
	}
	if (!n)
		return parse_refuse(p, HEF_INVALID_HEF,
				    "a file for this chip holds a variant for each cluster layout, "
				    "and this one has none");
	g->core_ops = parse_alloc(p, n, sizeof(*g->core_ops));
	if (!g->core_ops)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct core_src src;

		if (core_op) {
			const ProtoHEFPartialCoreOp *v = core_op->partial_core_ops[i];

			src = from_core_op(OR_EMPTY(v->core_op, &no_core_op));
			r = add_variant(p, g, v->layout, &src);
		} else {
			const ProtoHEFPartialNetworkGroup *v = ng->partial_network_groups[i];

			src = from_group(OR_EMPTY(v->network_group, &no_group));
			r = add_variant(p, g, v->layout, &src);
		}
		if (r < 0)
			return r;
	}
	qsort(g->core_ops, g->n_core_ops, sizeof(*g->core_ops), compare_layouts);
	return 0;
}

/* 4.5, in its order of precedence */
static int parse_output_order(struct parse *p, const ProtoHEFNetworkGroup *ng,
			      const struct core_src *outer, struct hef_group *g)
{
	const ProtoHEFNetworkGroup *variant = first_variant(ng);
	char **names = NULL;
	size_t n = 0;

	if (outer->fused->network_has_fused_layers) {
		names = outer->fused->updated_sorted_output_names;
		n = outer->fused->n_updated_sorted_output_names;
	} else if (!p->hef->features.net_flow && variant->n_sorted_outputs_order) {
		names = variant->sorted_outputs_order;
		n = variant->n_sorted_outputs_order;
	} else if (ng->n_sorted_outputs_order) {
		names = ng->sorted_outputs_order;
		n = ng->n_sorted_outputs_order;
	} else if (outer->n_contexts) {
		const ProtoHEFContext *last = outer->contexts[outer->n_contexts - 1];

		if (last->metadata) {
			names = last->metadata->sorted_outputs_order;
			n = last->metadata->n_sorted_outputs_order;
		}
	}
	if (!n)
		return parse_refuse(p, HEF_INVALID_HEF, "the order of the outputs is not given");
	return copy_names(p, NULL, names, n, &g->outputs_order, &g->n_outputs_order);
}

/* 4.4, third item */
static int parse_networks(struct parse *p, const ProtoHEFNetworkGroup *ng,
			  const struct core_src *outer, struct hef_group *g)
{
	char **names = NULL;
	size_t n = 0;

	if (p->hef->features.multi_network) {
		if (ng->n_networks_names) {
			names = outer->networks;
			n = outer->n_networks;
		} else {
			names = first_variant(ng)->networks_names;
			n = first_variant(ng)->n_networks_names;
		}
	}
	if (!n) {
		names = &g->name;
		n = 1;
	}
	return copy_names(p, g->name, names, n, &g->networks, &g->n_networks);
}

static const char *group_name(const ProtoHEFNetworkGroup *ng)
{
	const ProtoHEFNetworkGroupMetadata *meta = ng->network_group_metadata;

	if (ng->n_partial_network_groups)
		meta = first_variant(ng)->network_group_metadata;
	return OR_EMPTY(meta, &no_meta)->network_group_name;
}

static int parse_group(struct parse *p, const ProtoHEFNetworkGroup *ng, struct hef_group *g)
{
	const ProtoHEFCoreOp *core_op = NULL;
	struct core_src outer = from_group(ng);
	int r;

	if (p->hef->features.net_flow) {
		core_op = find_core_op(ng);
		if (!core_op)
			return parse_refuse(p, HEF_INVALID_HEF,
					    "none of its ops is a part that runs on the chip");
		outer = from_core_op(core_op);
	}
	r = parse_core_ops(p, ng, core_op, g);
	if (r < 0)
		return r;
	r = parse_output_order(p, ng, &outer, g);
	if (r < 0)
		return r;
	r = parse_networks(p, ng, &outer, g);
	if (r < 0)
		return r;
	if (!core_op)
		return 0;
	for (size_t i = 0; i < g->n_core_ops; i++) {
		r = parse_host_ops(p, ng, &g->core_ops[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

int parse_groups(struct parse *p, const ProtoHEFHef *msg)
{
	struct hef *hef = p->hef;
	int r;

	hef->groups = parse_alloc(p, msg->n_network_groups, sizeof(*hef->groups));
	if (!hef->groups)
		return -ENOMEM;
	/* From the file's last group to its first: the order in which the reference keeps them. */
	for (size_t i = msg->n_network_groups; i-- > 0;) {
		struct hef_group *g = &hef->groups[hef->n_groups];

		g->name = parse_strdup(p, group_name(msg->network_groups[i]));
		if (!g->name)
			return -ENOMEM;
		for (size_t j = 0; j < hef->n_groups; j++) {
			if (!strcmp(hef->groups[j].name, g->name))
				return parse_refuse(p, HEF_INVALID_OPERATION,
						    "two network groups are named \"%.100s\"",
						    g->name);
		}
		p->group = g->name;
		r = parse_group(p, msg->network_groups[i], g);
		if (r < 0)
			return r;
		p->group = NULL;
		hef->n_groups++;
	}
	return 0;
}
