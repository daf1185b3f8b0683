// SPDX-License-Identifier: MIT
/*
 * Host post-processing in net-flow files: the checks of hef-format 5.12, 5.13 and 5.15.  The ops
 * themselves are not decoded yet, only counted.
 */
#include <inttypes.h>

#include "hef/parse.h"

/* One op that runs on the host, and what it can refer to. */
struct host_op {
	struct parse *p;
	const ProtoHEFNetworkGroup *ng;
	const struct hef_core_op *core_op;
	const ProtoHEFOp *op;
};

/* 5.12, map 1: core output pad to layer, first occurrence */
static const struct hef_layer *find_output(const struct hef_core_op *op, uint32_t pad)
{
	for (size_t c = 0; c < op->n_contexts; c++) {
		for (size_t i = 0; i < op->contexts[c].n_layers; i++) {
			const struct hef_layer *l = &op->contexts[c].layers[i];

			if (l->kind == HEF_EDGE_BOUNDARY && !l->input && l->has_pad &&
			    l->pad == pad)
				return l;
		}
	}
	return NULL;
}

/* 5.12, map 2 and rule 3: the core output that feeds an input pad of the op */
static const struct hef_layer *find_source(const struct host_op *h, const ProtoHEFPad *pad)
{
	for (size_t i = 0; i < h->ng->n_pad_edges; i++) {
		if (h->ng->pad_edges[i]->dst == pad->index)
			return find_output(h->core_op, h->ng->pad_edges[i]->src);
	}
	return NULL;
}

static bool is_connected(const struct host_op *h, const struct hef_layer *layer)
{
	for (size_t i = 0; i < h->op->n_input_pads; i++) {
		if (find_source(h, h->op->input_pads[i]) == layer)
			return true;
	}
	return false;
}

static int check_pads(const struct host_op *h)
{
	for (size_t i = 0; i < h->op->n_input_pads; i++) {
		if (!find_source(h, h->op->input_pads[i]))
			return parse_refuse(h->p, HEF_INVALID_HEF,
					    "op \"%.60s\": input pad %" PRIu32
					    " is not fed by an output of the chip",
					    h->op->name, h->op->input_pads[i]->index);
	}
	if (!h->op->n_output_pads)
		return parse_refuse(h->p, HEF_INVALID_HEF, "op \"%.60s\" has no output",
				    h->op->name);
	if (strlen(h->op->output_pads[0]->name) >= HW_NAME_MAX)
		return parse_refuse(h->p, HEF_INVALID_HEF,
				    "op \"%.60s\": the name of its output is longer than %d bytes",
				    h->op->name, HW_NAME_MAX - 1);
	return 0;
}

/* Rule 4: decoders name core output pads.  @connected: one of the op's inputs, too (5.13). */
static int find_decoder_input(const struct host_op *h, uint32_t pad, bool connected,
			      const struct hef_layer **out)
{
	*out = find_output(h->core_op, pad);
	if (!*out)
		return parse_refuse(h->p, HEF_INVALID_HEF,
				    "op \"%.60s\": a box decoder reads pad %" PRIu32
				    ", which is no output of the chip",
				    h->op->name, pad);
	if (connected && !is_connected(h, *out))
		return parse_refuse(h->p, HEF_INVALID_ARGUMENT,
				    "op \"%.60s\": a box decoder reads \"%.60s\", which is not "
				    "connected to the op",
				    h->op->name, (*out)->name);
	return 0;
}

static int refuse_bbox_only(const struct host_op *h)
{
	return parse_refuse(h->p, HEF_INVALID_ARGUMENT,
			    "op \"%.60s\": this kind of NMS cannot leave out the suppression",
			    h->op->name);
}

static int check_same(const struct host_op *h, const struct hef_layer *a, const struct hef_layer *b,
		      bool format)
{
	bool same = a->height == b->height && a->width == b->width;

	if (format)
		same = same && a->data_bytes == b->data_bytes && a->order == b->order &&
		       a->transposed == b->transposed;
	if (!same)
		return parse_refuse(h->p, HEF_INVALID_ARGUMENT,
				    "op \"%.60s\": the layers \"%.60s\" and \"%.60s\" of one box "
				    "decoder differ in shape or format",
				    h->op->name, a->name, b->name);
	return 0;
}

static int check_anchors(const struct host_op *h, size_t heights, size_t widths)
{
	if (heights != widths)
		return parse_refuse(h->p, HEF_INVALID_HEF,
				    "op \"%.60s\": %zu anchor heights and %zu anchor widths",
				    h->op->name, heights, widths);
	return 0;
}

static int check_yolov5(const struct host_op *h, ProtoHEFYoloBboxDecoder **dec, size_t n,
			bool bbox_only)
{
	const struct hef_layer *layer;

	for (size_t i = 0; i < n; i++) {
		int r = check_anchors(h, dec[i]->n_h, dec[i]->n_w);

		if (!r)
			r = find_decoder_input(h, dec[i]->pad_index, false, &layer);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; bbox_only && i < h->op->n_input_pads; i++) {
		bool found = false;

		layer = find_source(h, h->op->input_pads[i]);
		for (size_t j = 0; j < n; j++)
			found = found || find_output(h->core_op, dec[j]->pad_index) == layer;
		if (!found)
			return parse_refuse(h->p, HEF_INVALID_HEF,
					    "op \"%.60s\": input \"%.60s\" has no box decoder",
					    h->op->name, layer->name);
	}
	return 0;
}

static int check_yolox(const struct host_op *h, const ProtoHEFYoloxNmsOp *op)
{
	for (size_t i = 0; i < op->n_bbox_decoders; i++) {
		const ProtoHEFYoloxBboxDecoder *d = op->bbox_decoders[i];
		const struct hef_layer *reg, *cls, *obj;
		int r = find_decoder_input(h, d->reg_pad_index, true, &reg);

		if (!r)
			r = find_decoder_input(h, d->cls_pad_index, true, &cls);
		if (!r)
			r = find_decoder_input(h, d->obj_pad_index, true, &obj);
		if (!r)
			r = check_same(h, reg, cls, true);
		if (!r)
			r = check_same(h, reg, obj, true);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_ssd(const struct host_op *h, const ProtoHEFSSDNmsOp *op)
{
	for (size_t i = 0; i < op->n_bbox_decoders; i++) {
		const ProtoHEFSSDBboxDecoder *d = op->bbox_decoders[i];
		const struct hef_layer *reg, *cls;
		int r = check_anchors(h, d->n_h, d->n_w);

		if (!r)
			r = find_decoder_input(h, d->reg_pad_index, true, &reg);
		if (!r)
			r = find_decoder_input(h, d->cls_pad_index, true, &cls);
		if (!r)
			r = check_same(h, reg, cls, false);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_yolov8(const struct host_op *h, const ProtoHEFYolov8NmsOp *op)
{
	for (size_t i = 0; i < op->n_bbox_decoders; i++) {
		const ProtoHEFYolov8BboxDecoder *d = op->bbox_decoders[i];
		const struct hef_layer *reg, *cls;
		int r = find_decoder_input(h, d->reg_pad_index, true, &reg);

		if (!r)
			r = find_decoder_input(h, d->cls_pad_index, true, &cls);
		if (!r)
			r = check_same(h, reg, cls, true);
		if (r < 0)
			return r;
		if (reg->features % 4)
			return parse_refuse(h->p, HEF_INVALID_ARGUMENT,
					    "op \"%.60s\": \"%.60s\" has %" PRIu32
					    " features, not a multiple of 4",
					    h->op->name, reg->name, reg->features);
	}
	return 0;
}

static int check_segmentation(const struct host_op *h, const ProtoHEFYoloSegNmsOp *op)
{
	const char *proto = op->proto_info ? op->proto_info->proto_layer : "";
	bool found = false;

	for (size_t i = 0; i < h->op->n_input_pads; i++)
		found = found || !strcmp(find_source(h, h->op->input_pads[i])->name, proto);
	if (!found)
		return parse_refuse(h->p, HEF_INVALID_HEF,
				    "op \"%.60s\": the prototype layer \"%.60s\" is not an input",
				    h->op->name, proto);
	return check_yolov5(h, op->bbox_decoders, op->n_bbox_decoders, false);
}

static int check_nms(const struct host_op *h, const ProtoHEFNmsOp *op)
{
	bool bbox_only = op->bbox_decoding_only;

	switch (op->nms_op_case) {
	case PROTO_HEFNMS_OP__NMS_OP_YOLO_NMS_OP:
		return check_yolov5(h, op->yolo_nms_op->bbox_decoders,
				    op->yolo_nms_op->n_bbox_decoders, bbox_only);
	case PROTO_HEFNMS_OP__NMS_OP_YOLOX_NMS_OP:
		return bbox_only ? refuse_bbox_only(h) : check_yolox(h, op->yolox_nms_op);
	case PROTO_HEFNMS_OP__NMS_OP_SSD_NMS_OP:
		return bbox_only ? refuse_bbox_only(h) : check_ssd(h, op->ssd_nms_op);
	case PROTO_HEFNMS_OP__NMS_OP_IOU_OP:
		if (h->op->n_input_pads != 1)
			return parse_refuse(h->p, HEF_INVALID_HEF,
					    "op \"%.60s\" takes one input, not %zu", h->op->name,
					    h->op->n_input_pads);
		return 0;
	case PROTO_HEFNMS_OP__NMS_OP_YOLO_SEG_OP:
		return bbox_only ? refuse_bbox_only(h) : check_segmentation(h, op->yolo_seg_op);
	case PROTO_HEFNMS_OP__NMS_OP_YOLOV8_NMS_OP:
		return check_yolov8(h, op->yolov8_nms_op);
	default:
		return parse_refuse(h->p, HEF_INTERNAL_FAILURE,
				    "op \"%.60s\" is an NMS of no known kind", h->op->name);
	}
}

static int check_logits(const struct host_op *h, const ProtoHEFLogitsOp *op)
{
	if (h->op->n_input_pads != 1 || h->op->n_output_pads != 1)
		return parse_refuse(
		    h->p, HEF_INVALID_HEF,
		    "op \"%.60s\" has %zu inputs and %zu outputs instead of one each", h->op->name,
		    h->op->n_input_pads, h->op->n_output_pads);
	if (op->logits_type != PROTO_HEFLOGITS_TYPE__PROTO_HEF_ARGMAX_TYPE &&
	    op->logits_type != PROTO_HEFLOGITS_TYPE__PROTO_HEF_SOFTMAX_TYPE)
		return parse_refuse(h->p, HEF_INTERNAL_FAILURE,
				    "op \"%.60s\" is neither argmax nor softmax (%d)", h->op->name,
				    (int)op->logits_type);
	return 0;
}

int parse_host_ops(struct parse *p, const ProtoHEFNetworkGroup *ng, const struct hef_core_op *op,
		   size_t *n_host_ops)
{
	size_t n = 0;

	for (size_t i = 0; i < ng->n_ops; i++) {
		const struct host_op h = {.p = p, .ng = ng, .core_op = op, .op = ng->ops[i]};
		int r;

		if (h.op->op_case == PROTO_HEFOP__OP_CORE_OP)
			continue;
		if (h.op->op_case != PROTO_HEFOP__OP_NMS_OP &&
		    h.op->op_case != PROTO_HEFOP__OP_LOGITS_OP)
			return parse_refuse(p, HEF_INTERNAL_FAILURE,
					    "op \"%.60s\" is of no known kind", h.op->name);
		r = check_pads(&h);
		if (!r && h.op->op_case == PROTO_HEFOP__OP_NMS_OP)
			r = check_nms(&h, h.op->nms_op);
		else if (!r)
			r = check_logits(&h, h.op->logits_op);
		if (r < 0)
			return r;
		n++;
	}
	*n_host_ops = n;
	return 0;
}
