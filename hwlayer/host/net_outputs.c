// SPDX-License-Identifier: MIT
/* Outputs of a network: each is a stream, a part of one, several of them, or made by an op (5.10). */
#include "host/net_internal.h"

#include <inttypes.h>
#include <stdio.h>

#include "hef/listing.h"

static struct host_output *add_output(struct host_setup *s, enum host_output_kind kind)
{
	struct host_output *o = &s->net->outputs[s->net->n_outputs++];

	o->kind = kind;
	return o;
}

static int refuse(const struct host_setup *s, const char *name, const char *why)
{
	return hw_fail(s->err, -ENOTSUP, "output \"%.100s\" %s", name, why);
}

/* ------------------------------------------------------------ streams and parts */

static int add_tensor(struct host_setup *s, const struct hef_layer *l, size_t frame)
{
	struct host_output *o = add_output(s, HOST_TENSOR);
	int r = host_layout_init(l, s->opt->output_type, s->opt->output_order, &o->layout, s->err);

	o->frame = frame;
	o->info = o->layout.user;
	return r;
}

static int add_mux(struct host_setup *s, const struct hef_layer *l, size_t stream)
{
	struct host_net *net = s->net;
	struct host_mux *mux = &net->muxes[stream];
	int r = host_mux_init(l, mux, s->err);

	for (size_t i = 0; r == 0 && i < mux->n_leaves; i++) {
		size_t frame = net->n_frames++, leaf = frame - net->n_out_streams;

		net->out_streams[frame] = mux->leaves[i];
		/* What the layout code reads beyond the rows is the padding at the end. */
		net->leaf_frames[leaf] = calloc(1, hef_transfer_bytes(mux->leaves[i]) + 1u);
		if (!net->leaf_frames[leaf])
			return hw_fail(s->err, -ENOMEM, "no memory for the frames of a mux");
		r = add_tensor(s, mux->leaves[i], frame);
	}
	return r;
}

/* ------------------------------------------------------------------ detections */

/* 6.8, 6.9, 5.13: element type and order that the user may ask for */
static int take_format(const struct host_setup *s, const struct hef_tensor *t, bool may_sort,
		       struct hw_tensor_info *out)
{
	enum hw_order order = s->opt->nms_order;
	bool by_class = t->order == HW_ORDER_HAILO_NMS_BY_CLASS;

	if (s->opt->output_type != HW_TYPE_AUTO && s->opt->output_type != HW_TYPE_F32)
		return refuse(s, t->name, "has detections, which come as float32");
	if (order != HW_ORDER_AUTO && order != HW_ORDER_HAILO_NMS_BY_CLASS &&
	    order != HW_ORDER_HAILO_NMS_BY_SCORE)
		return refuse(s, t->name, "has detections, which come by class or by score");
	if (order == HW_ORDER_HAILO_NMS_BY_SCORE && !may_sort)
		return refuse(s, t->name, "comes from an NMS on the chip, by class and not by score");
	if (order == HW_ORDER_AUTO || !by_class)
		order = t->order;
	*out = (struct hw_tensor_info){
		.height = t->height,
		.width = t->width,
		.features = t->features,
		.type = HW_TYPE_F32,
		.order = order,
		.quant = {.scale = 1.0f},
		.frame_bytes = (size_t)t->max_frame,
		.classes = t->classes,
		.max_per_class = t->max_per_class,
		.max_total = t->max_total,
	};
	if (order == HW_ORDER_HAILO_NMS_BY_SCORE) {
		/* A u16 counts them. */
		if (out->max_total > UINT16_MAX)
			out->max_total = UINT16_MAX;
		out->frame_bytes = (size_t)hef_by_score_frame(t->max_total);
	} else if (order == HW_ORDER_HAILO_NMS_BY_CLASS) {
		out->elements = out->frame_bytes / sizeof(float);
	}
	snprintf(out->name, sizeof(out->name), "%s", t->name);
	return 0;
}

static struct host_chip_nms *nms_of(const struct host_setup *s, const struct hef_layer *l)
{
	for (size_t i = 0; i < s->net->n_out_streams; i++) {
		if (s->net->out_streams[i] == l)
			return &s->net->nms[i];
	}
	return NULL;
}

static uint64_t sections_of(const struct hef_nms *n)
{
	return (uint64_t)n->classes * (n->division_factor ? n->division_factor : 1);
}

/* 5.9, 6.8: all streams that are parts of what @l is a part of, by their group numbers */
static int take_parts(const struct host_setup *s, const struct hef_layer *l, struct host_output *o)
{
	uint64_t sections = 0;

	for (size_t i = 0; i < s->net->n_out_streams; i++) {
		const struct hef_layer *part = s->net->out_streams[i];

		if (!part->fused || strcmp(part->fused->name, l->fused->name))
			continue;
		if (part->nms.class_group >= HOST_PARTS_MAX || o->parts[part->nms.class_group])
			return refuse(s, l->fused->name, "has two parts of one number");
		o->parts[part->nms.class_group] = &s->net->nms[i];
		sections += s->net->nms[i].n_sections;
		o->n_parts++;
	}
	for (size_t i = 0; i < o->n_parts; i++) {
		/* Classes are dealt out in turn. */
		if (!o->parts[i] || o->parts[i]->n_sections != (sections + o->n_parts - 1 - i) / o->n_parts)
			return refuse(s, l->fused->name, "is split into parts that do not fit together");
	}
	if (sections != sections_of(&l->fused->nms))
		return refuse(s, l->fused->name, "has another number of classes than its parts");
	return 0;
}

static bool listed_before(const struct host_setup *s, const char *name)
{
	for (size_t i = 0; i < s->net->n_outputs; i++) {
		if (!strcmp(s->net->outputs[i].info.name, name))
			return true;
	}
	return false;
}

/* 6.8: coordinates and scores have the same record, the first */
static int take_quant(const struct host_setup *s, const struct hef_layer *l, struct host_output *o)
{
	o->quant = l->n_feature_quant ? l->feature_quant[0] : l->quant;
	return host_no_quant(&o->quant) ? refuse(s, o->info.name,
						 "has no quantisation data to make boxes with")
					: 0;
}

static int add_chip_nms(struct host_setup *s, const struct hef_layer *l)
{
	struct host_output *o;
	struct hef_tensor t;
	int r;

	if (l->fused && listed_before(s, l->fused->name))
		return 0;
	hef_nms_tensor(l, &t);
	o = add_output(s, HOST_CHIP_NMS);
	r = take_format(s, &t, false, &o->info);
	if (r == 0)
		r = take_quant(s, l, o);
	if (r == 0 && l->fused)
		return take_parts(s, l, o);
	o->parts[0] = nms_of(s, l);
	o->n_parts = 1;
	return r;
}

static int add_iou(struct host_setup *s, const struct hef_op *op, struct host_output *o)
{
	const struct hef_layer *l = op->inputs[0];

	o->kind = HOST_CHIP_IOU;
	if (!l->has_nms || l->fused)
		return refuse(s, op->output, "needs the boxes of one NMS on the chip");
	o->parts[0] = nms_of(s, l);
	o->n_parts = 1;
	return o->parts[0] ? take_quant(s, l, o)
			   : refuse(s, op->output, "needs a stream that is not there");
}

static int add_detections(struct host_setup *s, const struct hef_op *op)
{
	const struct host_streams streams = {s->net->n_out_streams, s->net->out_streams};
	struct host_output *o = add_output(s, op->boxes_only ? HOST_TABLE : HOST_DETECTED);
	struct hef_tensor t;
	int r;

	o->op = op;
	hef_op_tensor(op, &t);
	r = take_format(s, &t, true, &o->info);
	if (r < 0 || op->kind == HEF_OP_IOU)
		return r < 0 ? r : add_iou(s, op, o);
	r = host_detector_init(op, &streams, &o->detector, s->err);
	if (r < 0)
		return r;
	if (op->kind == HEF_OP_YOLOV5_SEG) {
		o->info.image_height = hef_pixels(op->image_height);
		o->info.image_width = hef_pixels(op->image_width);
	}
	if (!op->boxes_only)
		return 0;
	if (o->detector.rows != o->info.width)
		return refuse(s, op->output, "has box decoders that share layers");
	o->info.elements = (size_t)o->info.width * o->info.features;
	o->info.frame_bytes = o->info.elements * sizeof(float);
	return 0;
}

/* ------------------------------------------------------------------------ ops */

static int find_frame(const struct host_setup *s, const struct hef_op *op, struct host_output *o)
{
	for (o->frame = 0; o->frame < s->net->n_out_streams; o->frame++) {
		if (s->net->out_streams[o->frame] == op->inputs[0])
			return 0;
	}
	return refuse(s, op->output, "needs a stream that is not there");
}

static int add_logits(struct host_setup *s, const struct hef_op *op)
{
	bool argmax = op->kind == HEF_OP_ARGMAX;
	struct host_output *o = add_output(s, argmax ? HOST_ARGMAX : HOST_SOFTMAX);
	int r = find_frame(s, op, o);

	o->op = op;
	if (r < 0)
		return r;
	if (argmax) {
		r = host_argmax_init(op, s->opt->output_type, s->opt->output_order, &o->argmax, s->err);
		o->info = o->argmax.user;
	} else {
		r = host_softmax_init(op, s->opt->output_type, s->opt->output_order, &o->layout, s->err);
		o->info = o->layout.user;
	}
	return r;
}

static int add_stream(struct host_setup *s, size_t stream)
{
	const struct hef_layer *l = s->net->out_streams[stream];

	if (l->shape == HEF_SHAPE_PLANES)
		return refuse(s, l->name, "comes in planes, which only inputs do");
	if (l->shape == HEF_SHAPE_MUX)
		return add_mux(s, l, stream);
	return l->has_nms ? add_chip_nms(s, l) : add_tensor(s, l, stream);
}

int host_make_outputs(struct host_setup *s)
{
	struct host_net *net = s->net;
	int r = 0;

	/* All NMS streams first: parts of a split one refer to each other. */
	for (size_t i = 0; r == 0 && i < net->n_out_streams; i++) {
		if (net->out_streams[i]->has_nms)
			r = host_chip_nms_init(net->out_streams[i], &net->nms[i], s->err);
		if (r == 0 && net->out_streams[i]->has_nms)
			host_chip_nms_begin(&net->nms[i]);
	}
	for (size_t i = 0; r == 0 && i < net->n_out_streams; i++) {
		if (s->opt->raw_outputs || !hef_feeds_op(s->op, net->out_streams[i]))
			r = add_stream(s, i);
	}
	for (size_t i = 0; r == 0 && !s->opt->raw_outputs && i < s->op->n_ops; i++) {
		const struct hef_op *op = &s->op->ops[i];

		if (op->kind == HEF_OP_ARGMAX || op->kind == HEF_OP_SOFTMAX)
			r = add_logits(s, op);
		else
			r = add_detections(s, op);
	}
	return r;
}

/* -------------------------------------------------------------------- running */

/* The boxes in net->boxes, in the format and with the limits of @o */
static int write_boxes(struct host_net *net, const struct host_output *o, void *user)
{
	if (o->info.order == HW_ORDER_HAILO_NMS_BY_CLASS)
		return host_write_by_class(&net->boxes, o->info.classes, o->info.max_per_class, user,
					   o->info.frame_bytes);
	host_write_by_score(&net->boxes, o->info.max_total, user, o->info.frame_bytes);
	return 0;
}

static int suppress(struct host_net *net, const struct host_output *o)
{
	bool by_class = o->info.order == HW_ORDER_HAILO_NMS_BY_CLASS;
	const struct host_limits limits = {
		.per_class = by_class ? o->info.max_per_class : SIZE_MAX,
		.total = by_class ? SIZE_MAX : o->info.max_total,
	};

	return host_boxes_suppress(&net->boxes, o->info.classes, o->op->iou_threshold, &limits);
}

static int write_chip_nms(struct host_net *net, const struct host_output *o, void *user)
{
	uint32_t classes = o->kind == HOST_CHIP_IOU ? o->parts[0]->classes : o->info.classes;
	int r;

	host_chip_nms_boxes((const struct host_chip_nms *const *)o->parts, o->n_parts, classes, &o->quant,
			    &net->boxes);
	r = o->kind == HOST_CHIP_IOU ? suppress(net, o) : 0;
	return r < 0 ? r : write_boxes(net, o, user);
}

static int write_detections(struct host_net *net, const struct host_output *o, void *user)
{
	int r;

	host_detector_run(&o->detector, net->frames, &net->boxes);
	r = suppress(net, o);
	if (r < 0)
		return r;
	if (o->info.order != HW_ORDER_HAILO_NMS_WITH_BYTE_MASK)
		return write_boxes(net, o, user);
	host_masks_write(&o->detector, net->frames, &net->boxes, o->info.max_total, user,
			 o->info.frame_bytes);
	return 0;
}

static int write_output(struct host_net *net, const struct host_output *o, void *user)
{
	net->boxes.n = 0;
	net->boxes.failed = false;
	switch (o->kind) {
	case HOST_TENSOR:
		host_layout_from_hw(&o->layout, net->frames[o->frame], user);
		return 0;
	case HOST_SOFTMAX:
		host_layout_from_hw(&o->layout, net->frames[o->frame], user);
		host_softmax_run(&o->layout, user);
		return 0;
	case HOST_ARGMAX:
		host_argmax_run(&o->argmax, net->frames[o->frame], user);
		return 0;
	case HOST_TABLE:
		host_detector_table(&o->detector, net->frames, user);
		return 0;
	case HOST_DETECTED:
		return write_detections(net, o, user);
	default:
		return write_chip_nms(net, o, user);
	}
}

int host_net_feed(struct host_net *net, size_t stream, const void *data, size_t len)
{
	return host_chip_nms_feed(&net->nms[stream], data, len);
}

/* What comes in one frame is taken apart before anything is made of it. */
static int take_frames(struct host_net *net, const void *const *streams, struct hw_error *err)
{
	size_t leaf = 0;
	int r;

	for (size_t i = 0; i < net->n_out_streams; i++) {
		const struct hef_layer *l = net->out_streams[i];
		struct host_mux *mux = &net->muxes[i];

		net->frames[i] = streams[i];
		if (l->has_nms && streams[i]) {
			host_chip_nms_begin(&net->nms[i]);
			r = host_chip_nms_feed(&net->nms[i], streams[i], hef_transfer_bytes(l));
			if (r != 1)
				return hw_fail(err, -EBADMSG,
					       "the chip's NMS \"%.100s\" delivered %s", l->name,
					       r < 0 ? "more boxes of a class than there can be"
						     : "a frame that does not end");
		}
		if (!mux->n_leaves)
			continue;
		host_mux_split(mux, streams[i], (void *const *)(net->leaf_frames + leaf));
		for (size_t k = 0; k < mux->n_leaves; k++, leaf++)
			net->frames[net->n_out_streams + leaf] = net->leaf_frames[leaf];
	}
	return 0;
}

void host_net_forget(struct host_net *net)
{
	for (size_t i = 0; i < net->n_out_streams; i++) {
		if (net->out_streams[i]->has_nms)
			host_chip_nms_begin(&net->nms[i]);
	}
}

int host_net_collect(struct host_net *net, const void *const *streams, void *const *user,
		     struct hw_error *err)
{
	int r = take_frames(net, streams, err);

	for (size_t i = 0; r == 0 && i < net->n_outputs; i++) {
		r = write_output(net, &net->outputs[i], user[i]);
		if (r < 0)
			hw_fail(err, r, "no memory for the detections of \"%.100s\"",
				net->outputs[i].info.name);
	}
	host_net_forget(net);
	return r;
}
