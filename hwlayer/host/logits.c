// SPDX-License-Identifier: MIT
/* Argmax on stored values, softmax on real ones (hef-format 5.14, 5.15). */
#include "host/logits.h"

#include "hef/listing.h"
#include "host/detect.h"

static int refuse(const struct hef_op *op, struct hw_error *err, const char *why)
{
	return hw_fail(err, -ENOTSUP, "%s \"%.60s\" cannot be computed: %s", hef_op_name(op), op->name,
		       why);
}

/* AUTO is what the file asks for, and its AUTO what suits the input. */
static enum hw_order choose_order(const struct hef_op *op, enum hw_order asked, enum hw_order natural)
{
	if (asked != HW_ORDER_AUTO)
		return asked;
	return op->out_order ? (enum hw_order)op->out_order : natural;
}

static enum hw_type choose_type(const struct hef_op *op, enum hw_type asked, enum hw_type natural)
{
	if (asked != HW_TYPE_AUTO)
		return asked;
	return op->out_type ? (enum hw_type)op->out_type : natural;
}

int host_argmax_init(const struct hef_op *op, enum hw_type type, enum hw_order order,
		     struct host_argmax *out, struct hw_error *err)
{
	const struct hef_layer *l = op->inputs[0];
	enum hw_order natural = l->order == HW_ORDER_NC ? HW_ORDER_NC : HW_ORDER_NHW;
	enum hw_type stored = l->data_bytes == 2 ? HW_TYPE_U16 : HW_TYPE_U8;
	uint32_t most;

	*out = (struct host_argmax){.layer = l};
	if (l->shape != HEF_SHAPE_INFO || l->has_nms || l->transposed ||
	    (l->order != HW_ORDER_NHCW && l->order != HW_ORDER_NHWC && l->order != HW_ORDER_F8CR &&
	     l->order != HW_ORDER_NC))
		return refuse(op, err, "its input is no plain NHCW, NHWC, F8CR or NC output of the chip");
	if (l->height > l->hw_height || l->width > l->hw_width || l->features > l->hw_features ||
	    !l->features || (l->order == HW_ORDER_F8CR && l->hw_features % 8) ||
	    (l->order == HW_ORDER_NC && (l->height != 1 || l->width != 1)))
		return refuse(op, err, "the shape of its input makes no sense");
	out->user.order = choose_order(op, order, natural);
	out->user.type = choose_type(op, type, stored);
	if (out->user.type != HW_TYPE_U8 && out->user.type != HW_TYPE_U16 && out->user.type != HW_TYPE_F32)
		return refuse(op, err, "the element type of its result is not known");
	if (out->user.order != natural)
		return refuse(op, err, "its result comes in NHW order, or NC where its input does");
	most = out->user.type == HW_TYPE_U8    ? UINT8_MAX
	       : out->user.type == HW_TYPE_U16 ? UINT16_MAX
					       : 1u << 24; /* floats count on their own so far */
	if (l->features > most)
		return refuse(op, err, "an index does not fit the element type of its result");
	memcpy(out->user.name, op->output, sizeof(out->user.name));
	out->user.height = l->height;
	out->user.width = l->width;
	out->user.features = 1;
	out->user.quant = l->quant;
	out->user.elements = (size_t)l->height * l->width;
	out->user.frame_bytes = out->user.elements * host_type_bytes(out->user.type);
	out->best = calloc(l->width, sizeof(*out->best));
	out->index = calloc(l->width, sizeof(*out->index));
	return out->best && out->index ? 0 : hw_fail(err, -ENOMEM, "no memory for an argmax");
}

void host_argmax_free(struct host_argmax *a)
{
	free(a->best);
	free(a->index);
	*a = (struct host_argmax){0};
}

/*
 * One feature of a row against the best so far; the first of equals stays.  @step: between columns.
 * Bytes are widened before anything is compared, so that all of it is vector code.
 */
#define DEFINE_CHALLENGE(type, suffix)                                                             \
	static void challenge_##suffix(const type *restrict row, size_t step, uint32_t feature,    \
				       uint16_t *restrict best, uint32_t *restrict index,          \
				       size_t width)                                               \
	{                                                                                          \
		for (size_t c = 0; c < width; c++) {                                               \
			uint16_t v = row[c * step];                                                \
			bool better = v > best[c];                                                 \
                                                                                                   \
			index[c] = better ? feature : index[c];                                    \
			best[c] = better ? v : best[c];                                            \
		}                                                                                  \
	}

DEFINE_CHALLENGE(uint8_t, u8)
DEFINE_CHALLENGE(uint16_t, u16)

/* Element of row @r, column 0, feature @k, and the step to the next column */
static size_t element(const struct hef_layer *l, size_t r, size_t k, size_t *step)
{
	size_t q = l->hw_width, n = l->hw_features;

	switch (l->order) {
	case HW_ORDER_NHCW:
		*step = 1;
		return (r * n + k) * q;
	case HW_ORDER_F8CR:
		*step = 8;
		return r * q * n + k / 8 * 8 * q + k % 8;
	default:
		*step = n;
		return r * q * n + k;
	}
}

static void store(const struct host_argmax *a, void *user, size_t at)
{
	for (size_t c = 0; c < a->layer->width; c++, at++) {
		if (a->user.type == HW_TYPE_U8)
			((uint8_t *)user)[at] = (uint8_t)a->index[c];
		else if (a->user.type == HW_TYPE_U16)
			((uint16_t *)user)[at] = (uint16_t)a->index[c];
		else
			((float *)user)[at] = (float)a->index[c];
	}
}

void host_argmax_run(const struct host_argmax *a, const void *frame, void *user)
{
	const struct hef_layer *l = a->layer;

	for (size_t r = 0; r < l->height; r++) {
		/* Nothing is below 0, the index of the first feature stands for that. */
		memset(a->best, 0, l->width * sizeof(*a->best));
		memset(a->index, 0, l->width * sizeof(*a->index));
		for (uint32_t k = 0; k < l->features; k++) {
			size_t step, at = element(l, r, k, &step);

			if (l->data_bytes == 2)
				challenge_u16((const uint16_t *)frame + at, step, k, a->best,
					      a->index, l->width);
			else
				challenge_u8((const uint8_t *)frame + at, step, k, a->best,
					     a->index, l->width);
		}
		store(a, user, r * l->width);
	}
}

int host_softmax_init(const struct hef_op *op, enum hw_type type, enum hw_order order,
		      struct host_layout *out, struct hw_error *err)
{
	const struct hef_layer *l = op->inputs[0];
	enum hw_order result = choose_order(op, order, hef_default_order(l->order));
	int r;

	if (l->shape != HEF_SHAPE_INFO || l->has_nms)
		return refuse(op, err, "its input is no plain output of the chip");
	/* 5.15: it works on the input as a user would get it, whatever the chip's own order is. */
	if ((result != HW_ORDER_NHWC && result != HW_ORDER_NC) ||
	    choose_type(op, type, HW_TYPE_F32) != HW_TYPE_F32)
		return refuse(op, err, "its result comes as float32, in NHWC or NC order");
	r = host_layout_init(l, HW_TYPE_F32, result, out, err);
	if (r == 0)
		memcpy(out->user.name, op->output, sizeof(out->user.name));
	return r;
}

void host_softmax_run(const struct host_layout *l, float *user)
{
	size_t n = l->user.order == HW_ORDER_NC ? l->user.elements : l->user.features;

	for (size_t i = 0; n && i + n <= l->user.elements; i += n)
		host_softmax(user + i, n);
}
