// SPDX-License-Identifier: MIT
/* Streams and vstreams of a network (hef-format 4.4, 4.5, 5.10, 5.13, 5.15, 6.8, 6.9). */
#include <stdio.h>

#include "hef/listing.h"

/* 6.9 */
#define BOX_FLOATS 5u        /* y_min, x_min, y_max, x_max, score */
#define SCORED_BOX_BYTES 22u
#define MASKED_BOX_BYTES 38u
#define BATCH_OF_MASKS 2u    /* 5.13: max_accumulated_mask_size = image * 2 */

/* 5.3, last column */
enum hw_order hef_default_order(enum hw_order hw)
{
	switch (hw) {
	case HW_ORDER_NHCW:
	case HW_ORDER_RGB888:
		return HW_ORDER_NHWC;
	case HW_ORDER_HAILO_NMS_ON_CHIP:
		return HW_ORDER_HAILO_NMS_BY_CLASS;
	case HW_ORDER_HAILO_YYUV:
		return HW_ORDER_NV12;
	case HW_ORDER_HAILO_YYVU:
		return HW_ORDER_NV21;
	case HW_ORDER_HAILO_YYYYUV:
		return HW_ORDER_I420;
	default:
		return hw;
	}
}

/* Where the search is: what the helpers below share. */
struct walk {
	const struct hef_group *group;
	const struct hef_core_op *op; /* "the" metadata (3.5) */
	const char *network;
	struct buf list;
};

static uint32_t cap32(uint64_t v)
{
	return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

/* Products of numbers from a file; UINT64_MAX when they do not fit. */
static uint64_t mul(uint64_t a, uint64_t b)
{
	uint64_t n;

	return __builtin_mul_overflow(a, b, &n) ? UINT64_MAX : n;
}

static uint64_t add(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static enum hw_type element_type(uint8_t bytes)
{
	return bytes == 2 ? HW_TYPE_U16 : HW_TYPE_U8;
}

/* 4.4: the default name and no name match every layer */
static bool in_network(const struct walk *w, const struct hef_layer *l)
{
	const char *group = w->group->name, *name = w->network;
	size_t len = strlen(group);

	if (!name || (!strncmp(name, group, len) && name[len] == '/' && !strcmp(name + len + 1, group)))
		return true;
	return l->network < w->op->n_networks && !strncmp(name, group, len) && name[len] == '/' &&
	       !strcmp(name + len + 1, w->op->networks[l->network]);
}

static void put(struct walk *w, const struct hef_tensor *t)
{
	buf_put(&w->list, t, sizeof(*t));
}

/* 5.10: outputs of one name, such as the parts of a split NMS, are one vstream */
static void put_once(struct walk *w, const struct hef_tensor *t)
{
	const struct hef_tensor *v = (const void *)w->list.ptr;

	for (size_t i = 0; !t->input && i < w->list.len / sizeof(*v); i++) {
		if (!v[i].input && !strcmp(v[i].name, t->name))
			return;
	}
	put(w, t);
}

/* ------------------------------------------------------------------ streams */

static uint64_t chunks(const struct hef_nms *n)
{
	return n->division_factor ? n->division_factor : 1;
}

/* 6.8: the host's buffer for one frame of on-chip NMS */
static uint64_t nms_frame_buffer(const struct hef_nms *n)
{
	uint64_t boxes = n->burst_size > n->max_boxes ? n->burst_size : n->max_boxes;
	uint64_t per_class = add(2, mul(n->bbox_size, boxes));

	return add(mul(mul(chunks(n), n->classes), per_class), mul(n->bbox_size, n->burst_size));
}

static void put_stream(struct walk *w, const struct hef_layer *l)
{
	struct hef_tensor t = {
	    .name = l->name,
	    .input = l->input,
	    .type = element_type(l->data_bytes),
	    .order = l->order,
	    .height = l->hw_height,
	    .width = l->hw_width,
	    .features = l->hw_features,
	    .layer = l,
	};

	if (l->has_nms) {
		t.classes = l->nms.classes;
		t.max_frame = cap32(nms_frame_buffer(&l->nms));
	}
	put(w, &t);
}

static void layer_streams(struct walk *w, const struct hef_layer *l)
{
	if (l->shape != HEF_SHAPE_PLANES) {
		put_stream(w, l);
		return;
	}
	for (size_t i = 0; i < l->n_sub; i++)
		put_stream(w, &l->sub[i]);
}

/* ----------------------------------------------------------------- vstreams */

/* 6.9, first row */
static uint64_t by_class_frame(uint32_t classes, uint32_t max_per_class)
{
	return cap32(mul(mul(classes, add(1, mul(BOX_FLOATS, max_per_class))), sizeof(float)));
}

uint64_t hef_by_score_frame(uint64_t max_total)
{
	return cap32(add(2, mul(max_total, SCORED_BOX_BYTES)));
}

void hef_nms_tensor(const struct hef_layer *l, struct hef_tensor *out)
{
	const struct hef_nms *n = l->fused ? &l->fused->nms : &l->nms;

	*out = (struct hef_tensor){
	    .name = l->fused ? l->fused->name : l->name,
	    .input = l->input,
	    .type = HW_TYPE_F32,
	    .order = hef_default_order(l->fused ? l->fused->order : l->order),
	    .classes = n->classes,
	    .max_per_class = cap32(mul(n->max_boxes, chunks(n))),
	    .layer = l,
	};

	out->max_total = cap32(mul(out->classes, out->max_per_class));
	out->max_frame = by_class_frame(out->classes, out->max_per_class);
}

static void put_nms_vstream(struct walk *w, const struct hef_layer *l)
{
	struct hef_tensor t;

	hef_nms_tensor(l, &t);
	put_once(w, &t);
}

static void layer_vstreams(struct walk *w, const struct hef_layer *l)
{
	const struct hef_tensor t = {
	    .name = l->name,
	    .input = l->input,
	    .type = element_type(l->data_bytes),
	    .order = l->shape == HEF_SHAPE_PLANES ? l->planes_order : hef_default_order(l->order),
	    .height = l->height,
	    .width = l->width,
	    .features = l->features,
	    .layer = l,
	};

	if (l->shape == HEF_SHAPE_MUX) {
		/* Depth is bounded by the parser. */
		for (size_t i = 0; i < l->n_sub; i++)
			layer_vstreams(w, &l->sub[i]);
	} else if (l->has_nms) {
		put_nms_vstream(w, l);
	} else {
		put_once(w, &t);
	}
}

static size_t anchors_of(const struct hef_op *op, const struct hef_layer *layer)
{
	for (size_t i = 0; i < op->n_decoders; i++) {
		if (op->decoders[i].boxes == layer)
			return op->decoders[i].n_anchors;
	}
	return 0;
}

/* 5.13: boxes without suppression are a table, one row for each */
static void boxes_only(const struct hef_op *op, struct hef_tensor *t)
{
	bool v8 = op->kind == HEF_OP_YOLOV8;
	uint64_t rows = 0;

	for (size_t i = 0; i < op->n_inputs; i++) {
		const struct hef_layer *l = op->inputs[i];
		uint64_t cells = mul(l->height, l->width);

		rows = add(rows, v8 ? cells : mul(cells, anchors_of(op, l)));
	}
	t->order = HW_ORDER_NHWC;
	t->height = 1;
	t->width = cap32(v8 ? rows / 2 : rows);
	t->features = cap32((v8 ? 4 : 5) + (uint64_t)op->classes);
}

static void nms_op_tensor(const struct hef_op *op, struct hef_tensor *out)
{
	struct hef_tensor t = {
	    .name = op->output,
	    .type = HW_TYPE_F32,
	    .order = HW_ORDER_HAILO_NMS_BY_CLASS,
	    .classes = op->classes - (op->background_removal && op->classes),
	    .max_per_class = op->max_per_class,
	    .max_total = cap32(mul(op->classes, op->max_per_class)),
	};

	t.max_frame = by_class_frame(t.classes, t.max_per_class);
	if (op->boxes_only) {
		boxes_only(op, &t);
	} else if (op->kind == HEF_OP_YOLOV5_SEG) {
		uint64_t masks = mul(mul(hef_pixels(op->image_height), hef_pixels(op->image_width)),
				     BATCH_OF_MASKS);

		t.order = HW_ORDER_HAILO_NMS_WITH_BYTE_MASK;
		t.max_frame = cap32(add(2, add(mul(t.max_total, MASKED_BOX_BYTES), masks)));
	}
	*out = t;
}

/* 5.15 */
static void logits_op_tensor(const struct hef_op *op, struct hef_tensor *out)
{
	const struct hef_layer *l = op->inputs[0];
	enum hw_order order = hef_default_order(l->order);
	struct hef_tensor t = {
	    .name = op->output,
	    .type = HW_TYPE_F32,
	    .height = l->height,
	    .width = l->width,
	    .features = l->features,
	};

	if (op->kind == HEF_OP_ARGMAX) {
		t.type = element_type(l->data_bytes);
		t.features = 1;
		if (order == HW_ORDER_NHWC || order == HW_ORDER_F8CR)
			order = HW_ORDER_NHW;
	}
	t.order = op->out_order ? (enum hw_order)op->out_order : order;
	if (op->out_type)
		t.type = (enum hw_type)op->out_type;
	*out = t;
}

void hef_op_tensor(const struct hef_op *op, struct hef_tensor *out)
{
	if (op->kind == HEF_OP_ARGMAX || op->kind == HEF_OP_SOFTMAX)
		logits_op_tensor(op, out);
	else
		nms_op_tensor(op, out);
}

bool hef_feeds_op(const struct hef_core_op *op, const struct hef_layer *l)
{
	for (size_t i = 0; i < op->n_ops; i++) {
		for (size_t k = 0; k < op->ops[i].n_inputs; k++) {
			if (op->ops[i].inputs[k] == l)
				return true;
		}
	}
	return false;
}

/* ------------------------------------------------------------------- lists */

static int nomem(enum hef_status *status, struct hw_error *err)
{
	*status = HEF_OUT_OF_HOST_MEMORY;
	return hw_fail(err, -ENOMEM, "no memory for a list of tensors");
}

static size_t position(const struct hef_group *g, const char *name)
{
	size_t i = 0;

	while (i < g->n_outputs_order && strcmp(g->outputs_order[i], name))
		i++;
	return i;
}

/* 4.5; a stable insertion sort: outputs are few */
static int sort_outputs(const struct hef_group *g, struct hef_tensor *v, size_t n,
			enum hef_status *status, struct hw_error *err)
{
	/* A single output is compared with nothing, so its name goes unnoticed. */
	for (size_t i = 0; n > 1 && i < n; i++) {
		if (position(g, v[i].name) == g->n_outputs_order) {
			*status = HEF_INTERNAL_FAILURE;
			return hw_fail(err, -EBADMSG,
				       "network group \"%.60s\": the order of the outputs does not "
				       "name \"%.100s\"",
				       g->name, v[i].name);
		}
	}
	for (size_t i = 1; i < n; i++) {
		struct hef_tensor t = v[i];
		size_t k = i;

		for (; k > 0 && position(g, v[k - 1].name) > position(g, t.name); k--)
			v[k] = v[k - 1];
		v[k] = t;
	}
	return 0;
}

/* Inputs or outputs of all contexts; how many layers belong to the network. */
static size_t collect(struct walk *w, bool input, bool vstreams)
{
	size_t found = 0;

	for (size_t c = 0; c < w->op->n_contexts; c++) {
		for (size_t i = 0; i < w->op->contexts[c].n_layers; i++) {
			const struct hef_layer *l = &w->op->contexts[c].layers[i];

			if (l->kind != HEF_EDGE_BOUNDARY || l->input != input || !in_network(w, l))
				continue;
			found++;
			if (!vstreams)
				layer_streams(w, l);
			else if (!hef_feeds_op(w->op, l))
				layer_vstreams(w, l);
		}
	}
	return found;
}

static int no_layers(const struct walk *w, const char *what, enum hef_status *status,
		     struct hw_error *err)
{
	*status = HEF_NOT_FOUND;
	return hw_fail(err, -ENOENT, "network \"%.120s\" has no %s",
		       w->network ? w->network : w->group->name, what);
}

static int list(const struct hef_group *group, const char *network, bool vstreams,
		struct hef_tensors *out, enum hef_status *status, struct hw_error *err)
{
	struct walk w = {.group = group, .op = &group->core_ops[0], .network = network};
	size_t n_in, inputs, outputs;
	int r = 0;

	*status = HEF_OK;
	inputs = collect(&w, true, vstreams);
	n_in = w.list.len / sizeof(struct hef_tensor);
	outputs = collect(&w, false, vstreams);
	for (size_t i = 0; vstreams && i < w.op->n_ops; i++) {
		struct hef_tensor t;

		hef_op_tensor(&w.op->ops[i], &t);
		put(&w, &t);
	}
	*out = (struct hef_tensors){w.list.len / sizeof(*out->v), (void *)w.list.ptr};
	if (w.list.failed)
		r = nomem(status, err);
	else if (!inputs)
		r = no_layers(&w, "inputs", status, err);
	else if (!outputs)
		r = no_layers(&w, "outputs", status, err);
	if (!r && vstreams)
		r = sort_outputs(group, out->v + n_in, out->n - n_in, status, err);
	if (r < 0)
		hef_tensors_free(out);
	return r;
}

int hef_streams(const struct hef_group *group, const char *network, struct hef_tensors *out,
		enum hef_status *status, struct hw_error *err)
{
	return list(group, network, false, out, status, err);
}

int hef_vstreams(const struct hef_group *group, const char *network, struct hef_tensors *out,
		 enum hef_status *status, struct hw_error *err)
{
	return list(group, network, true, out, status, err);
}

void hef_tensors_free(struct hef_tensors *t)
{
	free(t->v);
	*t = (struct hef_tensors){0};
}
