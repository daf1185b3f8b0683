// SPDX-License-Identifier: MIT
/* Making and running the host's half of a network: inputs, and all outputs in the end. */
#include "host/net_internal.h"

#include <stdio.h>

#include "hef/listing.h"

/* ------------------------------------------------------------------- inputs */

static int add_input(struct host_setup *s, const struct hef_layer *l)
{
	struct host_input *in = &s->net->inputs[s->net->n_inputs++];
	size_t n = l->shape == HEF_SHAPE_PLANES ? l->n_sub : 1;

	in->first_stream = s->net->n_in_streams;
	in->layouts = calloc(n, sizeof(*in->layouts));
	if (!in->layouts)
		return hw_fail(s->err, -ENOMEM, "no memory for an input");
	in->n_layouts = n;
	for (size_t i = 0; i < n; i++)
		s->net->in_streams[s->net->n_in_streams++] = n > 1 || l->n_sub ? &l->sub[i] : l;
	return 0;
}

/* 6.11: each plane is taken as its stream has it, and they must be the parts that the format says. */
static int init_planes(const struct host_setup *s, const struct hef_layer *l, struct host_input *in)
{
	size_t elements = (size_t)l->height * l->width * l->features;
	bool i420 = l->planes_order == HW_ORDER_I420;
	size_t unit = i420 ? 6 : 3;

	if (s->opt->input_order != HW_ORDER_AUTO && s->opt->input_order != l->planes_order)
		return hw_fail(s->err, -ENOTSUP, "input \"%.100s\" is taken as %s and in no other order",
			       l->name, hef_order_text(l->planes_order));
	if (in->n_layouts != (i420 ? 3 : 2) || elements % unit)
		return hw_fail(s->err, -ENOTSUP,
			       "input \"%.100s\": %zu planes and a frame of %zu elements are no %s image",
			       l->name, in->n_layouts, elements, hef_order_text(l->planes_order));
	for (size_t i = 0; i < in->n_layouts; i++) {
		const struct hef_layer *plane = &l->sub[i];
		int r = host_layout_init(plane, s->opt->input_type, plane->order, &in->layouts[i], s->err);

		if (r < 0)
			return r;
		if (in->layouts[i].user.elements != elements / unit * (i ? 1 : unit / 3 * 2))
			return hw_fail(s->err, -ENOTSUP,
				       "input \"%.100s\": plane %zu has %zu elements, which is not its "
				       "share of %zu",
				       l->name, i, in->layouts[i].user.elements, elements);
	}
	in->info = (struct hw_tensor_info){
		.height = l->height,
		.width = l->width,
		.features = l->features,
		.type = in->layouts[0].user.type,
		.order = l->planes_order,
		.quant = l->sub[0].quant,
		.elements = elements,
		.frame_bytes = elements * host_type_bytes(in->layouts[0].user.type),
	};
	memcpy(in->info.name, l->name, sizeof(in->info.name));
	return 0;
}

static int init_input(const struct host_setup *s, const struct hef_layer *l, struct host_input *in)
{
	int r;

	if (l->shape == HEF_SHAPE_PLANES)
		return init_planes(s, l, in);
	r = host_layout_init(l, s->opt->input_type, s->opt->input_order, in->layouts, s->err);
	in->info = in->layouts[0].user;
	return r;
}

void host_net_fill(const struct host_net *net, const void *const *user, void *const *streams)
{
	for (size_t i = 0; i < net->n_inputs; i++) {
		const struct host_input *in = &net->inputs[i];
		const uint8_t *from = user[i];

		for (size_t k = 0; k < in->n_layouts; k++) {
			host_layout_to_hw(&in->layouts[k], from, streams[in->first_stream + k]);
			from += in->layouts[k].user.frame_bytes;
		}
	}
}

/* ------------------------------------------------------------------- making */

static size_t count_outputs(const struct hef_layer *l)
{
	size_t n = 0;

	if (l->shape != HEF_SHAPE_MUX)
		return 1;
	for (size_t i = 0; i < l->n_sub; i++)
		n += count_outputs(&l->sub[i]);
	return n;
}

struct counts {
	size_t inputs, in_streams, outputs, out_streams;
};

static struct counts count(const struct hef_core_op *op)
{
	struct counts n = {.outputs = op->n_ops};

	for (size_t c = 0; c < op->n_contexts; c++) {
		for (size_t i = 0; i < op->contexts[c].n_layers; i++) {
			const struct hef_layer *l = &op->contexts[c].layers[i];

			if (l->kind != HEF_EDGE_BOUNDARY)
				continue;
			if (l->input) {
				n.inputs++;
				n.in_streams += l->shape == HEF_SHAPE_PLANES ? l->n_sub : 1;
			} else {
				n.outputs += count_outputs(l);
				n.out_streams++;
			}
		}
	}
	return n;
}

static int alloc_all(struct host_net *net, const struct counts *n)
{
	/* Leaves of muxes are frames, too, and each of those is an output. */
	size_t frames = n->out_streams + n->outputs;

	net->inputs = calloc(n->inputs + 1, sizeof(*net->inputs));
	net->outputs = calloc(n->outputs + 1, sizeof(*net->outputs));
	net->in_streams = calloc(n->in_streams + 1, sizeof(*net->in_streams));
	net->out_streams = calloc(frames + 1, sizeof(*net->out_streams));
	net->frames = calloc(frames + 1, sizeof(*net->frames));
	net->leaf_frames = calloc(n->outputs + 1, sizeof(*net->leaf_frames));
	net->muxes = calloc(n->out_streams + 1, sizeof(*net->muxes));
	net->nms = calloc(n->out_streams + 1, sizeof(*net->nms));
	return net->inputs && net->outputs && net->in_streams && net->out_streams && net->frames &&
			       net->leaf_frames && net->muxes && net->nms
		       ? 0
		       : -ENOMEM;
}

/* What crosses PCIe, before what is made of it: ops look for their layers there. */
static int list_streams(struct host_setup *s)
{
	struct host_net *net = s->net;
	int r = 0;

	for (size_t c = 0; c < s->op->n_contexts; c++) {
		for (size_t i = 0; r == 0 && i < s->op->contexts[c].n_layers; i++) {
			const struct hef_layer *l = &s->op->contexts[c].layers[i];

			if (l->kind != HEF_EDGE_BOUNDARY)
				continue;
			if (!l->input) {
				net->out_streams[net->n_out_streams++] = l;
				continue;
			}
			r = add_input(s, l);
			if (r == 0)
				r = init_input(s, l, &net->inputs[net->n_inputs - 1]);
		}
	}
	net->n_frames = net->n_out_streams;
	return r;
}

static size_t position(const struct hef_group *group, const char *name)
{
	size_t i = 0;

	while (i < group->n_outputs_order && strcmp(group->outputs_order[i], name))
		i++;
	return i;
}

/* Outputs go to the user in the file's order (4.5). */
static void sort_outputs(struct host_net *net, const struct hef_group *group)
{
	for (size_t i = 1; i < net->n_outputs; i++) {
		struct host_output t = net->outputs[i];
		size_t k = i, at = position(group, t.info.name);

		for (; k > 0 && position(group, net->outputs[k - 1].info.name) > at; k--)
			net->outputs[k] = net->outputs[k - 1];
		net->outputs[k] = t;
	}
}

int host_net_new(const struct hef_group *group, const struct hef_core_op *op,
		 const struct host_options *opt, struct host_net **out, struct hw_error *err)
{
	struct host_net *net = calloc(1, sizeof(*net));
	struct host_setup s = {.op = op, .opt = opt, .net = net, .err = err};
	const struct counts n = count(op);
	int r;

	if (!net || alloc_all(net, &n) < 0) {
		host_net_free(net);
		return hw_fail(err, -ENOMEM, "no memory for the network's tensors");
	}
	r = list_streams(&s);
	if (r == 0)
		r = host_make_outputs(&s);
	if (r < 0) {
		host_net_free(net);
		return r;
	}
	sort_outputs(net, group);
	*out = net;
	return 0;
}

void host_net_free(struct host_net *net)
{
	if (!net)
		return;
	for (size_t i = 0; net->inputs && i < net->n_inputs; i++)
		free(net->inputs[i].layouts);
	for (size_t i = 0; net->outputs && i < net->n_outputs; i++) {
		host_argmax_free(&net->outputs[i].argmax);
		host_detector_free(&net->outputs[i].detector);
	}
	for (size_t i = 0; net->leaf_frames && i < net->n_frames - net->n_out_streams; i++)
		free(net->leaf_frames[i]);
	for (size_t i = 0; net->muxes && i < net->n_out_streams; i++)
		host_mux_free(&net->muxes[i]);
	for (size_t i = 0; net->nms && i < net->n_out_streams; i++)
		host_chip_nms_free(&net->nms[i]);
	free(net->inputs);
	free(net->outputs);
	free(net->in_streams);
	free(net->out_streams);
	free(net->frames);
	free(net->leaf_frames);
	free(net->muxes);
	free(net->nms);
	host_boxes_free(&net->boxes);
	free(net);
}
