// SPDX-License-Identifier: MIT
/* Host post-processing in net-flow files: what is to be done, and its checks (5.12, 5.13, 5.15). */
#include <inttypes.h>

#include "hef/parse.h"

/* One op that runs on the host, and what it can refer to. */
struct host_op {
	struct parse *p;
	const ProtoHEFNetworkGroup *ng;
	const struct hef_core_op *core_op;
	const ProtoHEFOp *op;
	struct hef_op *out;
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
	for (size_t i = 0; i < h->out->n_inputs; i++) {
		if (h->out->inputs[i] == layer)
			return true;
	}
	return false;
}

static int parse_pads(const struct host_op *h)
{
	struct hef_op *out = h->out;

	out->name = parse_strdup(h->p, h->op->name);
	out->inputs = parse_alloc(h->p, h->op->n_input_pads, sizeof(*out->inputs));
	if (!out->name || !out->inputs)
		return -ENOMEM;
	for (size_t i = 0; i < h->op->n_input_pads; i++) {
		out->inputs[i] = find_source(h, h->op->input_pads[i]);
		if (!out->inputs[i])
			return parse_refuse(h->p, HEF_INVALID_HEF,
					    "op \"%.60s\": input pad %" PRIu32
					    " is not fed by an output of the chip",
					    h->op->name, h->op->input_pads[i]->index);
		out->n_inputs++;
	}
	if (!h->op->n_output_pads)
		return parse_refuse(h->p, HEF_INVALID_HEF, "op \"%.60s\" has no output",
				    h->op->name);
	if (strlen(h->op->output_pads[0]->name) >= HW_NAME_MAX)
		return parse_refuse(h->p, HEF_INVALID_HEF,
				    "op \"%.60s\": the name of its output is longer than %d bytes",
				    h->op->name, HW_NAME_MAX - 1);
	strcpy(out->output, h->op->output_pads[0]->name);
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

/* A decoder with separate layers for boxes and classes, of one grid; @format: of one format, too. */
static int find_boxes_and_classes(const struct host_op *h, uint32_t boxes, uint32_t classes,
				  bool format, struct hef_decoder *d)
{
	int r = find_decoder_input(h, boxes, true, &d->boxes);

	if (!r)
		r = find_decoder_input(h, classes, true, &d->classes);
	return r ? r : check_same(h, d->boxes, d->classes, format);
}

static int alloc_decoders(const struct host_op *h, size_t n)
{
	h->out->decoders = parse_alloc(h->p, n, sizeof(*h->out->decoders));
	h->out->n_decoders = n;
	return h->out->decoders ? 0 : -ENOMEM;
}

static int alloc_anchors(const struct host_op *h, size_t heights, size_t widths,
			 struct hef_decoder *out)
{
	if (heights != widths)
		return parse_refuse(h->p, HEF_INVALID_HEF,
				    "op \"%.60s\": %zu anchor heights and %zu anchor widths",
				    h->op->name, heights, widths);
	out->anchor_heights = parse_alloc(h->p, heights, sizeof(float));
	out->anchor_widths = parse_alloc(h->p, widths, sizeof(float));
	if (!out->anchor_heights || !out->anchor_widths)
		return -ENOMEM;
	out->n_anchors = heights;
	return 0;
}

static int parse_yolov5(const struct host_op *h, ProtoHEFYoloBboxDecoder **dec, size_t n,
			bool boxes_only)
{
	int r = alloc_decoders(h, n);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		struct hef_decoder *d = &h->out->decoders[i];

		r = alloc_anchors(h, dec[i]->n_h, dec[i]->n_w, d);
		if (!r)
			r = find_decoder_input(h, dec[i]->pad_index, false, &d->boxes);
		if (r < 0)
			return r;
		d->stride = dec[i]->stride;
		for (size_t k = 0; k < d->n_anchors; k++) {
			d->anchor_heights[k] = (float)dec[i]->h[k];
			d->anchor_widths[k] = (float)dec[i]->w[k];
		}
	}
	for (size_t i = 0; boxes_only && i < h->out->n_inputs; i++) {
		const struct hef_layer *layer = h->out->inputs[i];
		bool found = false;

		for (size_t j = 0; j < n; j++)
			found = found || h->out->decoders[j].boxes == layer;
		if (!found)
			return parse_refuse(h->p, HEF_INVALID_HEF,
					    "op \"%.60s\": input \"%.60s\" has no box decoder",
					    h->op->name, layer->name);
	}
	return 0;
}

static int parse_yolox(const struct host_op *h, const ProtoHEFYoloxNmsOp *op)
{
	int r = alloc_decoders(h, op->n_bbox_decoders);

	for (size_t i = 0; !r && i < op->n_bbox_decoders; i++) {
		const ProtoHEFYoloxBboxDecoder *from = op->bbox_decoders[i];
		struct hef_decoder *d = &h->out->decoders[i];

		d->stride = from->stride;
		r = find_boxes_and_classes(h, from->reg_pad_index, from->cls_pad_index, true, d);
		if (!r)
			r = find_decoder_input(h, from->obj_pad_index, true, &d->objectness);
		if (!r)
			r = check_same(h, d->boxes, d->objectness, true);
	}
	return r;
}

static int parse_ssd(const struct host_op *h, const ProtoHEFSSDNmsOp *op)
{
	struct hef_op *out = h->out;
	int r = alloc_decoders(h, op->n_bbox_decoders);

	for (size_t i = 0; !r && i < op->n_bbox_decoders; i++) {
		const ProtoHEFSSDBboxDecoder *from = op->bbox_decoders[i];
		struct hef_decoder *d = &out->decoders[i];

		r = alloc_anchors(h, from->n_h, from->n_w, d);
		if (!r)
			r = find_boxes_and_classes(h, from->reg_pad_index, from->cls_pad_index,
						   false, d);
		for (size_t k = 0; !r && k < d->n_anchors; k++) {
			d->anchor_heights[k] = from->h[k];
			d->anchor_widths[k] = from->w[k];
		}
	}
	if (r < 0)
		return r;
	out->centers_scale = op->centers_scale_factor;
	out->boxes_scale = op->bbox_dimensions_scale_factor;
	out->ty = op->ty;
	out->tx = op->tx;
	out->th = op->th;
	out->tw = op->tw;
	/* 5.13: all zero means the default order */
	if (!(op->ty | op->tx | op->th | op->tw)) {
		out->tx = 1;
		out->th = 2;
		out->tw = 3;
	}
	return 0;
}

static int parse_yolov8(const struct host_op *h, const ProtoHEFYolov8NmsOp *op)
{
	int r = alloc_decoders(h, op->n_bbox_decoders);

	for (size_t i = 0; !r && i < op->n_bbox_decoders; i++) {
		const ProtoHEFYolov8BboxDecoder *from = op->bbox_decoders[i];
		struct hef_decoder *d = &h->out->decoders[i];

		d->stride = from->stride;
		r = find_boxes_and_classes(h, from->reg_pad_index, from->cls_pad_index, true, d);
		if (!r && d->boxes->features % 4)
			r = parse_refuse(h->p, HEF_INVALID_ARGUMENT,
					 "op \"%.60s\": \"%.60s\" has %" PRIu32
					 " features, not a multiple of 4",
					 h->op->name, d->boxes->name, d->boxes->features);
	}
	return r;
}

static int parse_segmentation(const struct host_op *h, const ProtoHEFYoloSegNmsOp *op)
{
	const char *proto = op->proto_info ? op->proto_info->proto_layer : "";
	struct hef_op *out = h->out;

	for (size_t i = 0; i < out->n_inputs && !out->prototypes; i++) {
		if (!strcmp(out->inputs[i]->name, proto))
			out->prototypes = out->inputs[i];
	}
	if (!out->prototypes)
		return parse_refuse(h->p, HEF_INVALID_HEF,
				    "op \"%.60s\": the prototype layer \"%.60s\" is not an input",
				    h->op->name, proto);
	out->mask_threshold = op->mask_threshold;
	return parse_yolov5(h, op->bbox_decoders, op->n_bbox_decoders, false);
}

static int take_image(const struct host_op *h, enum hef_op_kind kind, double height, double width)
{
	h->out->kind = kind;
	h->out->image_height = height;
	h->out->image_width = width;
	if (h->out->boxes_only && kind != HEF_OP_YOLOV5 && kind != HEF_OP_YOLOV8)
		return refuse_bbox_only(h);
	return 0;
}

static int parse_nms_kind(const struct host_op *h, const ProtoHEFNmsOp *op)
{
	int r;

	switch (op->nms_op_case) {
	case PROTO_HEFNMS_OP__NMS_OP_YOLO_NMS_OP:
		r = take_image(h, HEF_OP_YOLOV5, op->yolo_nms_op->image_height,
			       op->yolo_nms_op->image_width);
		if (!r)
			r = parse_yolov5(h, op->yolo_nms_op->bbox_decoders,
					 op->yolo_nms_op->n_bbox_decoders, h->out->boxes_only);
		return r;
	case PROTO_HEFNMS_OP__NMS_OP_YOLOX_NMS_OP:
		r = take_image(h, HEF_OP_YOLOX, op->yolox_nms_op->image_height,
			       op->yolox_nms_op->image_width);
		if (!r)
			r = parse_yolox(h, op->yolox_nms_op);
		return r;
	case PROTO_HEFNMS_OP__NMS_OP_SSD_NMS_OP:
		r = take_image(h, HEF_OP_SSD, op->ssd_nms_op->image_height,
			       op->ssd_nms_op->image_width);
		if (!r)
			r = parse_ssd(h, op->ssd_nms_op);
		return r;
	case PROTO_HEFNMS_OP__NMS_OP_IOU_OP:
		h->out->kind = HEF_OP_IOU;
		h->out->boxes_only = false; /* 5.13, 8.4: it has boxes already, nothing to leave out */
		if (h->out->n_inputs != 1)
			return parse_refuse(h->p, HEF_INVALID_HEF,
					    "op \"%.60s\" takes one input, not %zu", h->op->name,
					    h->out->n_inputs);
		return 0;
	case PROTO_HEFNMS_OP__NMS_OP_YOLO_SEG_OP:
		r = take_image(h, HEF_OP_YOLOV5_SEG, op->yolo_seg_op->image_height,
			       op->yolo_seg_op->image_width);
		if (!r)
			r = parse_segmentation(h, op->yolo_seg_op);
		return r;
	case PROTO_HEFNMS_OP__NMS_OP_YOLOV8_NMS_OP:
		r = take_image(h, HEF_OP_YOLOV8, op->yolov8_nms_op->image_height,
			       op->yolov8_nms_op->image_width);
		if (!r)
			r = parse_yolov8(h, op->yolov8_nms_op);
		return r;
	default:
		return parse_refuse(h->p, HEF_INTERNAL_FAILURE,
				    "op \"%.60s\" is an NMS of no known kind", h->op->name);
	}
}

static int parse_nms_op(const struct host_op *h, const ProtoHEFNmsOp *op)
{
	struct hef_op *out = h->out;

	out->boxes_only = op->bbox_decoding_only;
	out->score_threshold = (double)(float)op->nms_score_th;
	out->iou_threshold = (double)(float)op->nms_iou_th;
	out->max_per_class = op->max_proposals_per_class;
	out->classes = op->classes;
	out->background_removal = op->background_removal;
	out->background_index = op->background_removal_index;
	return parse_nms_kind(h, op);
}

static int parse_logits(const struct host_op *h, const ProtoHEFLogitsOp *op)
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
	h->out->kind = op->logits_type == PROTO_HEFLOGITS_TYPE__PROTO_HEF_ARGMAX_TYPE
			   ? HEF_OP_ARGMAX
			   : HEF_OP_SOFTMAX;
	h->out->out_order = (uint32_t)h->op->output_pads[0]->format_order;
	h->out->out_type = (uint32_t)h->op->output_pads[0]->format_type;
	return 0;
}

int parse_host_ops(struct parse *p, const ProtoHEFNetworkGroup *ng, struct hef_core_op *op)
{
	op->ops = parse_alloc(p, ng->n_ops, sizeof(*op->ops));
	if (!op->ops)
		return -ENOMEM;
	for (size_t i = 0; i < ng->n_ops; i++) {
		const struct host_op h = {.p = p,
					  .ng = ng,
					  .core_op = op,
					  .op = ng->ops[i],
					  .out = &op->ops[op->n_ops]};
		int r;

		if (h.op->op_case == PROTO_HEFOP__OP_CORE_OP)
			continue;
		if (h.op->op_case != PROTO_HEFOP__OP_NMS_OP &&
		    h.op->op_case != PROTO_HEFOP__OP_LOGITS_OP)
			return parse_refuse(p, HEF_INTERNAL_FAILURE,
					    "op \"%.60s\" is of no known kind", h.op->name);
		r = parse_pads(&h);
		if (!r && h.op->op_case == PROTO_HEFOP__OP_NMS_OP)
			r = parse_nms_op(&h, h.op->nms_op);
		else if (!r)
			r = parse_logits(&h, h.op->logits_op);
		if (r < 0)
			return r;
		op->n_ops++;
	}
	return 0;
}
