// SPDX-License-Identifier: MIT
/* Networks: from a HEF to a running, configured chip, and back. */
#include "infer/infer.h"

#include <stdio.h>

#define SLOTS_DEFAULT 8
#define SLOT_ALIGN 4096u /* pcie 7.7: what the chip writes should be page-aligned */
#define STARTED_TIMEOUT_MS 100

struct load {
	struct hw_net *net;
	const struct hef_group *group;
	struct hw_net_options opt;
};

/* ------------------------------------------------------------------------------- stopping */

/*
 * Nothing of the chip's DMA may be under way when memory is given back.  Each step is tried only
 * when the gentler one before it failed; the last one cannot.
 */
static void stop_dma(struct hw_dev *dev)
{
	struct hw_error err;

	if (dev->chip_ready && !dev->chip.gone) {
		if (chip_reset_apps(&dev->chip, &err) == 0) {
			if (chip_clear_apps(&dev->chip, &err) < 0)
				hw_log(HW_LOG_WARNING, "%s: %s", dev->info.bdf, err.text);
			return;
		}
		hw_log(HW_LOG_WARNING, "%s: stopping the network: %s", dev->info.bdf, err.text);
		if (!dev->chip.gone && chip_driver_down(&dev->chip) == 0)
			return;
	}
	dev->chip_ready = false;
	dev->be->ops->set_bus_master(dev->be, false);
	if (!dev->chip.gone && dev->be->ops->reset)
		dev->be->ops->reset(dev->be);
	hw_log(HW_LOG_ERROR, "%s: the chip had to be cut off from memory; open the device again",
	       dev->info.bdf);
}

static void free_streams(struct hw_net *net)
{
	for (size_t i = 0; net->inputs && i < net->n_inputs; i++)
		backend_dma_free(net->dev->be, &net->inputs[i].mem);
	for (size_t i = 0; net->outputs && i < net->n_outputs; i++)
		backend_dma_free(net->dev->be, &net->outputs[i].mem);
}

/* Memory that no device sees. */
static void free_net(struct hw_net *net)
{
	for (size_t i = 0; net->slots && i < net->n_slots; i++)
		free(net->slots[i].outputs);
	free(net->slots);
	free(net->inputs);
	free(net->outputs);
	free(net->input_info);
	free(net->output_info);
	hef_free(net->hef);
	free(net);
}

/* -------------------------------------------------------------------------------- loading */

static int position(const struct hef_group *group, const char *name)
{
	for (size_t i = 0; i < group->n_outputs_order; i++) {
		if (strcmp(group->outputs_order[i], name) == 0)
			return (int)i;
	}
	return (int)group->n_outputs_order;
}

/* Outputs go to the user in the file's sorted order (hef-format 4.5), inputs in the contexts'. */
static void sort_outputs(struct hw_net *net, const struct hef_group *group)
{
	for (size_t i = 1; i < net->n_outputs; i++) {
		for (size_t j = i; j > 0; j--) {
			struct infer_stream *a = &net->outputs[j - 1], *b = &net->outputs[j], t;

			if (position(group, a->stream->layer->name) <=
			    position(group, b->stream->layer->name))
				break;
			t = *a;
			*a = *b;
			*b = t;
		}
	}
}

static int init_stream(struct infer_stream *s, struct network_stream *stream, enum hw_type type,
		       struct hw_tensor_info *info, struct hw_error *err)
{
	int r;

	if (stream->layer->shape != HEF_SHAPE_INFO || stream->layer->has_nms)
		return hw_fail(err, -ENOTSUP,
			       "%s is a %s layer, which this version cannot convert for a user",
			       stream->layer->name,
			       stream->layer->has_nms			   ? "NMS"
			       : stream->layer->shape == HEF_SHAPE_MUX ? "mux"
								       : "multi-planar");
	r = hef_layout_init(stream->layer, type, HW_ORDER_AUTO, &s->layout, err);
	if (r < 0)
		return r;
	s->stream = stream;
	s->stride = align_up(stream->transfer, SLOT_ALIGN);
	*info = s->layout.user;
	return 0;
}

static int init_streams(struct hw_net *net, const struct load *load, struct hw_error *err)
{
	struct network *plan = net->plan;
	int r = 0;

	net->inputs = calloc(plan->n_inputs, sizeof(*net->inputs));
	net->outputs = calloc(plan->n_outputs, sizeof(*net->outputs));
	net->input_info = calloc(plan->n_inputs, sizeof(*net->input_info));
	net->output_info = calloc(plan->n_outputs, sizeof(*net->output_info));
	if (!net->inputs || !net->outputs || !net->input_info || !net->output_info)
		return hw_fail(err, -ENOMEM, "no memory for the network's streams");
	net->n_inputs = plan->n_inputs;
	net->n_outputs = plan->n_outputs;
	for (size_t i = 0; r == 0 && i < net->n_inputs; i++)
		r = init_stream(&net->inputs[i], &plan->inputs[i], load->opt.input_type,
				&net->input_info[i], err);
	for (size_t i = 0; r == 0 && i < net->n_outputs; i++)
		r = init_stream(&net->outputs[i], &plan->outputs[i], load->opt.output_type,
				&net->output_info[i], err);
	if (r < 0)
		return r;
	sort_outputs(net, load->group);
	for (size_t i = 0; i < net->n_outputs; i++)
		net->output_info[i] = net->outputs[i].layout.user;
	return 0;
}

/* As many frames as the user wants and every ring and FIFO can hold (protocol 6.3, 6.5). */
static size_t slot_count(const struct hw_net *net, uint32_t wanted)
{
	size_t n = wanted ? wanted : SLOTS_DEFAULT;

	if (n > VDMA_TRANSFERS_MAX)
		n = VDMA_TRANSFERS_MAX;
	for (size_t i = 0; i < net->n_inputs + net->n_outputs; i++) {
		const struct network_stream *s =
			i < net->n_inputs ? net->inputs[i].stream
					  : net->outputs[i - net->n_inputs].stream;
		size_t room = (s->count - 1) / ceil_div(s->transfer, s->page);

		if (n > room)
			n = room;
	}
	return n;
}

static int alloc_slots(struct hw_net *net, uint32_t wanted, struct hw_error *err)
{
	net->n_slots = slot_count(net, wanted);
	if (!net->n_slots)
		return hw_fail(err, -ENOTSUP, "a frame does not fit the descriptor lists");
	net->slots = calloc(net->n_slots, sizeof(*net->slots));
	if (!net->slots)
		return hw_fail(err, -ENOMEM, "no memory for frame slots");
	for (size_t i = 0; i < net->n_slots; i++) {
		net->slots[i].index = (unsigned int)i;
		net->slots[i].outputs = calloc(net->n_outputs, sizeof(void *));
		if (!net->slots[i].outputs)
			return hw_fail(err, -ENOMEM, "no memory for frame slots");
	}
	for (size_t i = 0; i < net->n_inputs + net->n_outputs; i++) {
		struct infer_stream *s =
			i < net->n_inputs ? &net->inputs[i] : &net->outputs[i - net->n_inputs];
		int r = backend_dma_alloc(net->dev->be, s->stride * net->n_slots, SLOT_ALIGN, &s->mem);

		if (r < 0)
			return hw_fail(err, r, "cannot get %zu bytes of DMA memory for frames of %s",
				       s->stride * net->n_slots, s->stream->layer->name);
	}
	return 0;
}

static int start(struct hw_net *net, struct hw_error *err)
{
	struct hw_dev *dev = net->dev;
	int r;

	r = chip_enable_app(&dev->chip, net->plan->app, 0, err);
	for (size_t i = 0; r == 0 && i < net->n_inputs + net->n_outputs; i++) {
		struct infer_stream *s =
			i < net->n_inputs ? &net->inputs[i] : &net->outputs[i - net->n_inputs];

		vdma_channel_init(&s->channel, dev->be, s->stream->channel, &s->stream->list);
		r = vdma_channel_wait_started(&s->channel, STARTED_TIMEOUT_MS, err);
	}
	return r;
}

/* What the firmware says becomes what the public header promises. */
static int public_code(int r)
{
	return r == -EREMOTEIO ? -EIO : r;
}

static int load_job(struct hw_dev *dev, void *arg, struct hw_error *err)
{
	struct load *load = arg;
	struct hw_net *net = load->net;
	const struct hef_core_op *op;
	struct network_options opt = {
		.batch = load->opt.batch,
		.max_page = dev->chip.max_desc_page,
	};
	int r;

	if (!dev->chip_ready)
		return hw_fail(err, -EIO, "the chip is not booted; open the device again");
	r = hef_select(net->hef, load->group, dev->info.arch, dev->info.clusters,
		       dev->info.software_chip, &op, NULL, err);
	if (r < 0)
		return r;
	/* What a user before us left behind goes first (pcie 10.10). */
	r = chip_reset_apps(&dev->chip, err);
	if (r == 0)
		r = chip_clear_apps(&dev->chip, err);
	if (r == 0)
		r = chip_get_hw_consts(&dev->chip, err);
	if (r < 0)
		return public_code(r);
	r = network_plan(net->hef, load->group, op, &dev->chip.consts, &opt, &net->plan, err);
	if (r < 0)
		return r;
	r = init_streams(net, load, err);
	if (r == 0)
		r = network_alloc(net->plan, dev->be, err);
	if (r == 0)
		r = alloc_slots(net, load->opt.frames_in_flight, err);
	if (r == 0)
		r = network_contexts(net->plan, err);
	if (r < 0)
		goto err_memory;
	r = network_configure(net->plan, &dev->chip, err);
	if (r == 0) {
		/* From here on the chip may raise events about this network. */
		net->irq_base = dev->chip.irq_count;
		dev->net = net;
		r = start(net, err);
	}
	if (r < 0)
		goto err_chip;
	return 0;
err_chip:
	dev->net = NULL;
	stop_dma(dev);
err_memory:
	free_streams(net);
	network_free(net->plan, dev->be);
	net->plan = NULL;
	return public_code(r);
}

static int load_hef(struct hw_dev *dev, struct hef *hef, const struct hw_net_options *opt,
		    struct hw_net **out, struct hw_error *err)
{
	static const struct hw_net_options none;
	struct load load = {.opt = opt ? *opt : none};
	struct hw_net *net;
	bool claimed;
	int r;

	load.group = hef_find_group(hef, load.opt.name);
	if (!load.group) {
		r = hw_fail(err, -ENOENT, "the file has no network group %s",
			    load.opt.name ? load.opt.name : "at all");
		hef_free(hef);
		return r;
	}
	net = calloc(1, sizeof(*net));
	if (!net) {
		hef_free(hef);
		return hw_fail(err, -ENOMEM, "no memory for a network");
	}
	net->hef = hef;
	net->dev = dev;
	net->queue_tail = &net->queue;
	snprintf(net->name, sizeof(net->name), "%s", load.group->name);
	load.net = net;

	pthread_mutex_lock(&dev->lock);
	claimed = !dev->net_claimed;
	dev->net_claimed = true;
	pthread_mutex_unlock(&dev->lock);
	if (!claimed) {
		free_net(net);
		return hw_fail(err, -EBUSY, "another network is loaded on %s; free it first",
			       dev->info.bdf);
	}
	r = infer_call(dev, load_job, &load, err);
	if (r < 0) {
		pthread_mutex_lock(&dev->lock);
		dev->net_claimed = false;
		pthread_mutex_unlock(&dev->lock);
		hw_fail_context(err, r, "loading %s", net->name);
		free_net(net);
		return r;
	}
	hw_log(HW_LOG_INFO, "%s: network %s is running, %zu frames in flight", dev->info.bdf, net->name,
	       net->n_slots);
	*out = net;
	return 0;
}

int hw_net_load(struct hw_dev *dev, const char *path, const struct hw_net_options *opt,
		struct hw_net **out, struct hw_error *err)
{
	struct hef *hef;
	int r = hef_open(path, &hef, NULL, err);

	return r < 0 ? r : load_hef(dev, hef, opt, out, err);
}

int hw_net_load_mem(struct hw_dev *dev, const void *data, size_t len,
		    const struct hw_net_options *opt, struct hw_net **out, struct hw_error *err)
{
	uint8_t *image = malloc(len + 1);
	struct hef *hef;
	int r;

	if (!image)
		return hw_fail(err, -ENOMEM, "no memory for a HEF of %zu bytes", len);
	memcpy(image, data, len);
	r = hef_parse(image, len, &hef, NULL, err);
	return r < 0 ? r : load_hef(dev, hef, opt, out, err);
}

static int free_job(struct hw_dev *dev, void *arg, struct hw_error *err)
{
	struct hw_net *net = arg;
	struct hw_error canceled;

	(void)err;
	stop_dma(dev);
	hw_fail(&canceled, -ECANCELED, "the network was freed");
	infer_net_cancel(net, -ECANCELED, &canceled);
	dev->net = NULL;
	free_streams(net);
	network_free(net->plan, dev->be);
	return 0;
}

void hw_net_free(struct hw_net *net)
{
	struct hw_dev *dev;

	if (!net)
		return;
	dev = net->dev;
	pthread_mutex_lock(&dev->lock);
	net->closing = true;
	pthread_cond_broadcast(&dev->cond);
	pthread_mutex_unlock(&dev->lock);
	infer_call(dev, free_job, net, NULL);
	pthread_mutex_lock(&dev->lock);
	dev->net_claimed = false;
	pthread_mutex_unlock(&dev->lock);
	free_net(net);
}

/* ---------------------------------------------------------------------------------- facts */

const char *hw_net_name(const struct hw_net *net)
{
	return net->name;
}

const struct hw_tensor_info *hw_net_inputs(const struct hw_net *net, size_t *count)
{
	*count = net->n_inputs;
	return net->input_info;
}

const struct hw_tensor_info *hw_net_outputs(const struct hw_net *net, size_t *count)
{
	*count = net->n_outputs;
	return net->output_info;
}

void hw_net_get_stats(struct hw_net *net, struct hw_net_stats *stats)
{
	pthread_mutex_lock(&net->dev->lock);
	*stats = net->stats;
	for (size_t i = 0; i < net->n_slots; i++)
		stats->in_flight += net->slots[i].state == SLOT_ON_CHIP;
	pthread_mutex_unlock(&net->dev->lock);
}

int hw_net_state(struct hw_net *net, struct hw_error *err)
{
	int r;

	pthread_mutex_lock(&net->dev->lock);
	r = net->dead;
	if (r < 0 && err)
		*err = net->dead_err;
	pthread_mutex_unlock(&net->dev->lock);
	return r;
}
