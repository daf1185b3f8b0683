// SPDX-License-Identifier: MIT
/* What a detector needs of the file, and which ones are out of reach (hef-format 5.13, 5.14). */
#include "host/detect.h"

#include "hef/listing.h"

#define MASK_COEFFICIENTS 32u /* 5.14: fixed */

struct setup {
	const struct hef_op *op;
	const struct host_streams *streams;
	struct host_detector *d;
	struct hw_error *err;
};

static int refuse(const struct setup *s, const char *why)
{
	return hw_fail(s->err, -ENOTSUP, "%s \"%.60s\" cannot be computed: %s", hef_op_name(s->op),
		       s->op->name, why);
}

static int take_grid(const struct setup *s, const struct hef_layer *l, uint64_t features,
		     struct host_grid *out)
{
	return host_grid_init(s->op, l, features, s->streams, out, s->err);
}

/* Of decoders that name the same layer the first one counts (5.13). */
static const struct hef_decoder *decoder_of(const struct hef_op *op, const struct hef_layer *l)
{
	for (size_t i = 0; i < op->n_decoders; i++) {
		if (op->decoders[i].boxes == l)
			return &op->decoders[i];
	}
	return NULL;
}

static int add_yolov5(const struct setup *s, const struct hef_layer *l)
{
	bool masks = s->op->kind == HEF_OP_YOLOV5_SEG;
	struct host_scale *scale = &s->d->scales[s->d->n_scales];
	uint64_t entry = 5 + (uint64_t)s->op->classes + (masks ? MASK_COEFFICIENTS : 0);
	uint64_t cells, anchors;
	int r;

	scale->decoder = decoder_of(s->op, l);
	if (!scale->decoder || !scale->decoder->n_anchors)
		return hw_fail(s->err, -ENOTSUP,
			       "%s \"%.60s\" cannot be computed: it has no anchors for \"%.100s\"",
			       hef_op_name(s->op), s->op->name, l->name);
	anchors = scale->decoder->n_anchors;
	r = take_grid(s, l, anchors * entry, &scale->boxes);
	if (r < 0)
		return r;
	if (!s->op->boxes_only)
		host_grid_look_for(&scale->boxes, s->op->score_threshold, masks);
	/* At most 2^32 bytes of features: no product here can wrap. */
	cells = (uint64_t)scale->boxes.height * scale->boxes.width * anchors;
	s->d->rows += (size_t)cells;
	s->d->n_scales++;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct host_scale *x = a, *y = b;

	return strcmp(x->boxes.layer->name, y->boxes.layer->name);
}

/* Inputs are visited in the order of their names' bytes (5.14 says so of boxes only). */
static void order_scales(struct host_detector *d)
{
	size_t cells = 0;

	if (d->n_scales)
		qsort(d->scales, d->n_scales, sizeof(*d->scales), by_name);
	for (size_t i = 0; i < d->n_scales; i++) {
		const struct host_grid *g = &d->scales[i].boxes;

		d->scales[i].first_origin = (uint32_t)cells;
		cells += (size_t)g->height * g->width * d->scales[i].decoder->n_anchors;
	}
}

static size_t decoded_layers(const struct hef_op *op)
{
	size_t n = 0;

	for (size_t i = 0; i < op->n_decoders; i++)
		n += decoder_of(op, op->decoders[i].boxes) == &op->decoders[i];
	return n;
}

static int init_yolov5(const struct setup *s)
{
	const struct hef_op *op = s->op;
	size_t wanted = op->n_inputs - (op->kind == HEF_OP_YOLOV5_SEG && op->n_inputs);
	int r = 0;

	if (decoded_layers(op) != wanted)
		return refuse(s, "it has not one box decoder for each input");
	for (size_t i = 0; !r && i < op->n_inputs; i++) {
		if (op->inputs[i] != op->prototypes && s->d->n_scales < wanted)
			r = add_yolov5(s, op->inputs[i]);
	}
	if (r < 0)
		return r;
	order_scales(s->d);
	return op->kind == HEF_OP_YOLOV5_SEG ? host_masks_init(s->d, s->streams, s->err) : 0;
}

static int add_yolov8(const struct setup *s, const struct hef_decoder *dec, struct host_scale *out)
{
	int r = take_grid(s, dec->boxes, dec->boxes->features, &out->boxes);

	if (r == 0)
		r = take_grid(s, dec->classes, s->op->classes, &out->classes);
	if (r < 0)
		return r;
	if (!out->boxes.features || out->boxes.features % 4)
		return refuse(s, "its boxes are not four distributions");
	host_grid_look_for(&out->classes, s->op->score_threshold, false);
	if (out->boxes.features / 4 > s->d->bins)
		s->d->bins = out->boxes.features / 4;
	s->d->rows += (size_t)out->boxes.height * out->boxes.width;
	return 0;
}

static int add_yolox(const struct setup *s, const struct hef_decoder *dec, struct host_scale *out)
{
	int r = take_grid(s, dec->boxes, 4, &out->boxes);

	if (r == 0)
		r = take_grid(s, dec->classes, s->op->classes, &out->classes);
	if (r == 0)
		r = take_grid(s, dec->objectness, 1, &out->objectness);
	if (r == 0)
		host_grid_look_for(&out->objectness, s->op->score_threshold, false);
	return r;
}

static int add_ssd(const struct setup *s, const struct hef_decoder *dec, struct host_scale *out)
{
	uint64_t anchors;
	int r;

	out->decoder = decoder_of(s->op, dec->boxes);
	anchors = out->decoder->n_anchors;
	r = take_grid(s, dec->boxes, 4 * anchors, &out->boxes);
	if (r == 0)
		r = take_grid(s, dec->classes, anchors * s->op->classes, &out->classes);
	if (r == 0)
		host_grid_look_for(&out->classes, s->op->score_threshold, false);
	return r;
}

static int check_ssd(const struct setup *s)
{
	const struct hef_op *op = s->op;

	if (op->tx > 3 || op->ty > 3 || op->tw > 3 || op->th > 3)
		return refuse(s, "it looks for coordinates outside of a box's four numbers");
	if (!op->centers_scale || !op->boxes_scale)
		return refuse(s, "it divides by 0");
	/* Only these two leave the other classes in one row (5.14). */
	if (op->background_removal && op->background_index &&
	    (uint64_t)op->background_index + 1 != op->classes)
		return refuse(s, "its background is neither the first nor the last class");
	return 0;
}

static int init_pairs(const struct setup *s)
{
	const struct hef_op *op = s->op;
	int r = op->kind == HEF_OP_SSD ? check_ssd(s) : 0;

	for (size_t i = 0; !r && i < op->n_decoders; i++) {
		struct host_scale *scale = &s->d->scales[s->d->n_scales++];

		scale->decoder = &op->decoders[i];
		r = op->kind == HEF_OP_YOLOV8  ? add_yolov8(s, &op->decoders[i], scale)
		    : op->kind == HEF_OP_YOLOX ? add_yolox(s, &op->decoders[i], scale)
					       : add_ssd(s, &op->decoders[i], scale);
	}
	return r;
}

static bool is_size(double v)
{
	return v >= 1 && v <= UINT32_MAX;
}

static int alloc_scratch(const struct setup *s)
{
	struct host_detector *d = s->d;
	uint64_t order = 0;
	uint32_t width = 0;

	for (size_t i = 0; i < d->n_scales; i++) {
		struct host_scale *scale = &d->scales[i];
		/* Scores are among these features. */
		uint64_t features = (uint64_t)scale->boxes.features + scale->classes.features;

		scale->first_order = order;
		order += features * scale->boxes.height * scale->boxes.width;
		width = scale->boxes.width > width ? scale->boxes.width : width;
		width = scale->classes.width > width ? scale->classes.width : width;
	}
	d->columns = calloc((size_t)width + 1, sizeof(*d->columns));
	d->bin = calloc((size_t)d->bins + 1, sizeof(*d->bin));
	return d->columns && d->bin ? 0 : hw_fail(s->err, -ENOMEM, "no memory for a detector");
}

/* 5.13: all inputs are of one type; those of a segmentation need not be. */
static int check_types(const struct setup *s)
{
	const struct hef_op *op = s->op;

	for (size_t i = 1; op->kind != HEF_OP_YOLOV5_SEG && i < op->n_inputs; i++) {
		if (op->inputs[i]->data_bytes != op->inputs[0]->data_bytes)
			return refuse(s, "some of its inputs have 8 bits and some 16");
	}
	return 0;
}

int host_detector_init(const struct hef_op *op, const struct host_streams *streams,
		       struct host_detector *out, struct hw_error *err)
{
	const struct setup s = {op, streams, out, err};
	size_t most = op->n_decoders > op->n_inputs ? op->n_decoders : op->n_inputs;
	bool yolov5 = op->kind == HEF_OP_YOLOV5 || op->kind == HEF_OP_YOLOV5_SEG;
	int r;

	*out = (struct host_detector){
		.op = op,
		.classes = op->classes - (op->background_removal && op->classes),
	};
	if (!op->n_decoders || !op->classes)
		return refuse(&s, "it has no classes, or nothing to decode them from");
	if ((yolov5 || op->kind == HEF_OP_YOLOV8) &&
	    (!is_size(op->image_height) || !is_size(op->image_width)))
		return refuse(&s, "the size of its image makes no sense");
	r = check_types(&s);
	if (r < 0)
		return r;
	out->scales = calloc(most, sizeof(*out->scales));
	if (!out->scales)
		return hw_fail(err, -ENOMEM, "no memory for a detector");
	r = yolov5 ? init_yolov5(&s) : init_pairs(&s);
	return r < 0 ? r : alloc_scratch(&s);
}

void host_detector_free(struct host_detector *d)
{
	host_masks_free(d->masks);
	free(d->scales);
	free(d->columns);
	free(d->bin);
	*d = (struct host_detector){0};
}
