// SPDX-License-Identifier: MIT
/*
 * What computes a network's frames?  On a card the chip.  A chip in software computes networks in its
 * own format and cannot execute the microcode of others; whoever gets the answers must know.  This
 * is the one file of the driver that cares which it is.
 */
#include "infer/infer.h"

#include <stdio.h>

#include "mock/mock.h"
#include "mock/payload.h"

struct head {
	uint8_t bytes[PAYLOAD_HEAD];
	size_t have;
};

static void collect(struct head *h, const struct network_config *c)
{
	for (size_t i = 0; i < c->n_pieces; i++) {
		const struct hef_ccw *ccw = c->pieces[i].ccw;

		for (size_t k = 0; k < ccw->n_pieces && h->have < sizeof(h->bytes); k++) {
			size_t n = sizeof(h->bytes) - h->have;

			n = n < ccw->pieces[k].len ? n : ccw->pieces[k].len;
			memcpy(h->bytes + h->have, ccw->pieces[k].ptr, n);
			h->have += n;
		}
	}
}

/* The chip's own question, put to the bytes that will be sent: they decide, not what the file says. */
static bool sends_payload(const struct network *plan)
{
	struct head heads[PAYLOAD_STREAMS_MAX] = {0};
	bool ours = false;

	for (size_t i = 0; i < plan->n_contexts; i++) {
		for (size_t k = 0; k < plan->contexts[i].n_configs; k++) {
			const struct network_config *c = &plan->contexts[i].configs[k];

			if (c->stream < ARRAY_SIZE(heads))
				collect(&heads[c->stream], c);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++)
		ours = ours || payload_is_ours(heads[i].bytes, heads[i].have);
	return ours;
}

/* Quantisation of one stream, as two tables. */
struct tables {
	float *scale, *zero;
};

static int fill_format(const struct infer_stream *s, struct mock_stream_format *f, struct tables *t,
		       struct hw_error *err)
{
	const struct hef_layer *l = s->stream->layer;
	uint32_t q = l->hw_width, r = l->hw_features;
	size_t n = l->n_feature_quant ? l->n_feature_quant : 1;

	*f = (struct mock_stream_format){
		.name = l->name,
		.stream_index = l->stream,
		.output = !l->input,
		.element_bytes = l->data_bytes,
		.height = l->height,
		.width = l->width,
		.features = l->features,
		.row = q * r,
		.column = r,
		.feature = 1,
	};
	switch (l->order) {
	case HW_ORDER_NHWC:
	case HW_ORDER_BAYER_RGB:
		/* On the way in the pixels of a row are copied as they are (hef-format 6.4). */
		f->column = l->input ? l->features : r;
		break;
	case HW_ORDER_FCR:
	case HW_ORDER_NC:
		break;
	case HW_ORDER_NHCW:
		f->column = 1;
		f->feature = q;
		break;
	case HW_ORDER_NHW:
		f->row = q;
		f->column = 1;
		break;
	default:
		return hw_fail(err, -ENOTSUP, "an ONNX model cannot stand in for %s: its order is %d",
			       l->name, l->order);
	}
	if (l->transposed) {
		uint32_t row = f->row;

		f->row = f->column;
		f->column = row;
	}
	t->scale = calloc(n, sizeof(float));
	t->zero = calloc(n, sizeof(float));
	if (!t->scale || !t->zero)
		return hw_fail(err, -ENOMEM, "no memory for scales");
	for (size_t i = 0; i < n; i++) {
		const struct hw_quant *from = l->n_feature_quant ? &l->feature_quant[i] : &l->quant;

		t->scale[i] = from->scale;
		t->zero[i] = from->zero_point;
		if (!(from->scale > 0))
			return hw_fail(err, -ENOTSUP,
				       "an ONNX model cannot stand in for %s: it has no scale", l->name);
	}
	f->n_quant = n;
	f->scale = t->scale;
	f->zero_point = t->zero;
	return 0;
}

static int order_onnx(struct hw_dev *dev, struct hw_net *net, struct hw_error *err)
{
	size_t n = net->n_inputs + net->n_outputs;
	struct mock_stream_format *f = calloc(n, sizeof(*f));
	struct tables *t = calloc(n, sizeof(*t));
	int r = f && t ? 0 : hw_fail(err, -ENOMEM, "no memory for scales");

	for (size_t i = 0; r == 0 && i < n; i++)
		r = fill_format(i < net->n_inputs ? &net->inputs[i] : &net->outputs[i - net->n_inputs],
				&f[i], &t[i], err);
	if (r == 0)
		r = mock_chip_set_function(backend_mock_chip(dev->be), dev->mock_onnx, f, n, err);
	for (size_t i = 0; t && i < n; i++) {
		free(t[i].scale);
		free(t[i].zero);
	}
	free(t);
	free(f);
	return r;
}

int infer_choose_function(struct hw_dev *dev, struct hw_net *net, struct hw_error *err)
{
	char text[4096 + 8];

	if (!dev->info.software_chip) {
		snprintf(text, sizeof(text), "chip");
	} else if (sends_payload(net->plan)) {
		snprintf(text, sizeof(text), "core");
		if (dev->mock_onnx)
			hw_log(HW_LOG_WARNING, "%s: network %s runs on the chip in software; %s is not used",
			       dev->info.bdf, net->name, dev->mock_onnx);
	} else if (dev->mock_onnx) {
		snprintf(text, sizeof(text), "onnx:%s", dev->mock_onnx);
	} else {
		snprintf(text, sizeof(text), "pattern");
	}
	net->function = strdup(text);
	return net->function ? 0 : hw_fail(err, -ENOMEM, "no memory for a network");
}

int infer_order_function(struct hw_net *net, struct hw_error *err)
{
	return strncmp(net->function, "onnx:", 5) ? 0 : order_onnx(net->dev, net, err);
}

void infer_warn_function(const struct hw_net *net)
{
	if (!strcmp(net->function, "pattern"))
		hw_log(HW_LOG_WARNING,
		       "%s: network %s: answers are a test pattern, not inference: a chip in software "
		       "cannot execute microcode",
		       net->dev->info.bdf, net->name);
	else if (!strncmp(net->function, "onnx:", 5))
		hw_log(HW_LOG_WARNING,
		       "%s: network %s: answers are computed from %s, not by the network",
		       net->dev->info.bdf, net->name, net->function + 5);
}
