// SPDX-License-Identifier: MIT
/* Layout codes, element sizes, NMS data and quantisation of edge layers (hef-format 5.3 to 5.9). */
#include <inttypes.h>

#include "hef/parse.h"

#define CLASS_GROUPS 9		   /* parts of a defused NMS (0.4) */
#define NMS_BURST_BYTES_MAX 65536u /* at parse time (0.4) */

static const ProtoHEFEdgeLayerInfo no_info = PROTO_HEFEDGE_LAYER_INFO__INIT;
static const ProtoHEFEdgeLayerBase no_base = PROTO_HEFEDGE_LAYER_BASE__INIT;
static const ProtoHEFNmsInfo no_nms = PROTO_HEFNMS_INFO__INIT;
static const ProtoHEFNmsDefuseInfo no_defuse = PROTO_HEFNMS_DEFUSE_INFO__INIT;

int parse_name(struct parse *p, const char *what, char to[HW_NAME_MAX], const char *from)
{
	size_t len = strlen(from);

	if (len >= HW_NAME_MAX)
		return parse_refuse(p, HEF_INTERNAL_FAILURE,
				    "%s has %zu bytes, more than the %d that names may have", what,
				    len, HW_NAME_MAX - 1);
	memcpy(to, from, len + 1);
	return 0;
}

/* 5.3 */
static const enum hw_order order_of_format[] = {
    [0] = HW_ORDER_NHWC,
    [1] = HW_ORDER_NHCW,
    [2] = HW_ORDER_NC,
    [3] = HW_ORDER_FCR,
    [4] = HW_ORDER_BAYER_RGB,
    [5] = HW_ORDER_NHW,
    [6] = HW_ORDER_HAILO_NMS_ON_CHIP,
    [7] = HW_ORDER_F8CR,
    [8] = HW_ORDER_RGB888,
    [11] = HW_ORDER_YUY2,
    [13] = HW_ORDER_NHWC,
    [14] = HW_ORDER_HAILO_YYUV,
    [15] = HW_ORDER_HAILO_YYVU,
    [16] = HW_ORDER_HAILO_YYYYUV,
};

int parse_format(struct parse *p, const ProtoHEFEdgeLayerBase *base, enum hw_order *order)
{
	if (base->format >= ARRAY_SIZE(order_of_format) || !order_of_format[base->format])
		return parse_refuse(p, HEF_INTERNAL_FAILURE, "layout code %" PRIu32 " is not known",
				    base->format);
	*order = order_of_format[base->format];
	return 0;
}

int parse_data_bytes(struct parse *p, const ProtoHEFEdgeLayerBase *base, uint8_t *out)
{
	if (base->data_bytes != 1 && base->data_bytes != 2)
		return parse_refuse(p, HEF_INVALID_ARGUMENT,
				    "elements of %" PRIu32 " bytes; only 1 and 2 exist",
				    base->data_bytes);
	*out = (uint8_t)base->data_bytes;
	return 0;
}

/* 3.3 */
enum arch_family arch_family(uint32_t arch)
{
	switch (arch) {
	case PROTO_HEFHW_ARCH__PROTO__HW_ARCH__HAILO8:
	case PROTO_HEFHW_ARCH__PROTO__HW_ARCH__HAILO8P:
	case PROTO_HEFHW_ARCH__PROTO__HW_ARCH__HAILO8R:
	case PROTO_HEFHW_ARCH__PROTO__HW_ARCH__HAILO8L:
	case PROTO_HEFHW_ARCH__PROTO__HW_ARCH__SAGE_B0:
		return FAMILY_H8;
	case PROTO_HEFHW_ARCH__PROTO__HW_ARCH__HAILO15M:
	case PROTO_HEFHW_ARCH__PROTO__HW_ARCH__HAILO10H:
	case PROTO_HEFHW_ARCH__PROTO__HW_ARCH__HAILO15L:
	case PROTO_HEFHW_ARCH__PROTO__HW_ARCH__HAILO15H:
	case PROTO_HEFHW_ARCH__PROTO__HW_ARCH__GINGER:
	case PROTO_HEFHW_ARCH__PROTO__HW_ARCH__LAVENDER:
	case PROTO_HEFHW_ARCH__PROTO__HW_ARCH__PLUTO:
		return FAMILY_H15;
	case PROTO_HEFHW_ARCH__PROTO__HW_ARCH__SAGE_A0:
	case PROTO_HEFHW_ARCH__PROTO__HW_ARCH__PAPRIKA_B0:
	case 108: /* not in the schema, known to the library (2.3) */
		return FAMILY_NO_NMS;
	default:
		return FAMILY_UNKNOWN;
	}
}

/* --------------------------------------------------------------------- NMS */

int parse_nms(struct parse *p, const ProtoHEFNmsInfo *nms, struct hef_nms *out)
{
	const ProtoHEFNmsDefuseInfo *defuse = OR_EMPTY(nms->defuse_info, &no_defuse);
	enum arch_family family = arch_family(p->hef->arch);
	bool burst = p->hef->features.nms_burst;
	int type = (int)nms->burst_type;

	if (family != FAMILY_H8 && family != FAMILY_H15)
		return parse_refuse(p, HEF_INTERNAL_FAILURE,
				    "chips of architecture %" PRIu32 " have no NMS", p->hef->arch);
	if (!burst && type != PROTO_HEFNMS_BURST_TYPE__PROTO__NMS_BURST_TYPE__NO_BURST)
		return parse_refuse(p, HEF_INVALID_HEF,
				    "NMS bursts of type %d without extension 19", type);
	if (burst &&
	    !(family == FAMILY_H8
		  ? type == PROTO_HEFNMS_BURST_TYPE__PROTO__NMS_BURST_TYPE__H8_PER_CLASS
		  : type == PROTO_HEFNMS_BURST_TYPE__PROTO__NMS_BURST_TYPE__H15_PER_CLASS ||
			type == PROTO_HEFNMS_BURST_TYPE__PROTO__NMS_BURST_TYPE__H15_PER_FRAME))
		return parse_refuse(p, HEF_INVALID_HEF,
				    "NMS bursts of type %d are not for this chip", type);
	out->classes = (uint32_t)nms->number_of_classes;
	out->bbox_size = (uint32_t)nms->bbox_size;
	out->max_boxes = (uint32_t)nms->max_output_size;
	out->division_factor = (uint32_t)nms->input_division_factor;
	out->burst = burst;
	out->burst_size = burst ? nms->burst_size : 1;
	out->burst_type = (uint8_t)type;
	if (burst && (uint64_t)out->burst_size * out->bbox_size > NMS_BURST_BYTES_MAX)
		return parse_refuse(p, HEF_INVALID_HEF,
				    "an NMS burst of %" PRIu32 " boxes of %" PRIu32
				    " bytes is more than 65536 bytes",
				    out->burst_size, out->bbox_size);
	out->defused = nms->is_defused;
	if (defuse->class_group_index >= CLASS_GROUPS)
		return parse_refuse(p, HEF_INVALID_HEF,
				    "class group %" PRIu64 " of a split NMS; there are at most 9",
				    defuse->class_group_index);
	out->class_group = (uint32_t)defuse->class_group_index;
	return parse_name(p, "the name of the layer that the NMS was split from",
			  out->original_name, defuse->original_name);
}

/* 5.9: a part must name a whole that is described */
int parse_fused(struct parse *p, const ProtoHEFFusedLayersMetadata *fused,
		const struct hef_nms *part, const struct hef_fused **out)
{
	for (size_t i = 0; i < fused->n_fused_layers; i++) {
		const ProtoHEFEdgeLayerFused *f = fused->fused_layers[i];
		const ProtoHEFEdgeLayerInfo *info = OR_EMPTY(f->layer_info, &no_info);
		const ProtoHEFEdgeLayerBase *base = OR_EMPTY(info->edge_layer_base, &no_base);
		struct hef_fused *whole;
		int r;

		if (strcmp(info->name, part->original_name))
			continue;
		whole = parse_alloc(p, 1, sizeof(*whole));
		if (!whole)
			return -ENOMEM;
		r = parse_name(p, "the name of the whole NMS layer", whole->name, info->name);
		if (!r)
			r = parse_format(p, base, &whole->order);
		if (!r)
			r = parse_data_bytes(p, base, &whole->data_bytes);
		if (!r)
			r = parse_nms(p, OR_EMPTY(f->nms_info, &no_nms), &whole->nms);
		*out = whole;
		return r;
	}
	return parse_refuse(p, HEF_NOT_FOUND,
			    "it is a part of the NMS layer \"%.100s\", which is not described",
			    part->original_name);
}

/* ------------------------------------------------------------ quantisation */

/* 5.5, vector path */
static int parse_feature_quant(struct parse *p, const ProtoHEFEdgeLayerNumericInfo *num,
			       struct hef_layer *out)
{
	size_t n = out->has_nms ? 2 : out->features;
	struct hw_quant *q;

	if (out->input ? num->n_qp_zps < n || num->n_qp_scales < n
		       : num->n_qp_zps != n || num->n_qp_scales != n)
		return parse_refuse(p, HEF_INVALID_HEF,
				    "%zu zero points and %zu scales for %zu features",
				    num->n_qp_zps, num->n_qp_scales, n);
	q = parse_alloc(p, n, sizeof(*q));
	if (!q)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		q[i].zero_point = (float)num->qp_zps[i];
		q[i].scale = (float)num->qp_scales[i];
		q[i].lim_min = num->limvals_min;
		q[i].lim_max = num->limvals_max;
		if (out->input && memcmp(&q[i], &q[0], sizeof(q[i])))
			return parse_refuse(p, HEF_INVALID_HEF,
					    "an input whose features are quantised differently "
					    "(0 and %zu)",
					    i);
	}
	out->feature_quant = q;
	out->n_feature_quant = n;
	/* An output's single record becomes the one that counts as invalid. */
	if (!out->input)
		out->quant = (struct hw_quant){0};
	return 0;
}

int parse_quant(struct parse *p, const ProtoHEFEdgeLayerNumericInfo *num, struct hef_layer *out)
{
	out->quant =
	    (struct hw_quant){num->qp_zp, num->qp_scale, num->limvals_min, num->limvals_max};
	return p->hef->features.output_scale_by_feature ? parse_feature_quant(p, num, out) : 0;
}
