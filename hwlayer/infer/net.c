// SPDX-License-Identifier: MIT
/* Networks: from a HEF to a running, configured chip, and back. */
#include "infer/infer.h"

#include <stdio.h>

#define SLOTS_DEFAULT 8
#define SLOT_ALIGN 4096u /* pcie 7.7: what the chip writes should be page-aligned */

struct load {
	struct hw_net *net;
	const struct hef_group *group;
	struct hw_net_options opt;
};

/* --------------------------------------------------------------------------------- memory */

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
	host_net_free(net->host);
	free(net->function);
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

/*
 * Outputs go to the user in the file's sorted order (hef-format 4.5), inputs in the contexts'.  Where
 * each is a stream of its own the streams have the same order, so that people find them.
 */
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

static void init_stream(struct infer_stream *s, struct network_stream *stream, size_t index,
			size_t guard)
{
	s->stream = stream;
	s->index = index;
	s->guard = guard;
	s->stride = infer_slot_bytes(stream) + guard;
	s->pieces = hef_nms_in_pieces(stream->layer) ? infer_piece_count(stream) : 0;
}

/* What its user hands in and gets; both sides list streams in the same order. */
static int init_host(struct hw_net *net, const struct load *load, struct hw_error *err)
{
	const struct hw_net_options *o = &load->opt;
	const struct host_options opt = {
		.input_type = o->input_type,
		.output_type = o->output_type,
		.input_order = o->input_order,
		.output_order = o->output_order,
		.nms_order = o->nms_order,
		.raw_outputs = o->raw_outputs,
	};
	int r = host_net_new(load->group, net->plan->op, &opt, &net->host, err);

	if (r < 0)
		return r;
	net->input_info = calloc(net->host->n_inputs, sizeof(*net->input_info));
	net->output_info = calloc(net->host->n_outputs, sizeof(*net->output_info));
	if (!net->input_info || !net->output_info)
		return hw_fail(err, -ENOMEM, "no memory for the network's tensors");
	for (size_t i = 0; i < net->host->n_inputs; i++)
		net->input_info[i] = net->host->inputs[i].info;
	for (size_t i = 0; i < net->host->n_outputs; i++)
		net->output_info[i] = net->host->outputs[i].info;
	return infer_check_streams(net->host, net->plan, err);
}

int infer_check_streams(const struct host_net *host, const struct network *plan, struct hw_error *err)
{
	bool same = host->n_in_streams == plan->n_inputs && host->n_out_streams == plan->n_outputs;

	for (size_t i = 0; same && i < plan->n_inputs; i++)
		same = host->in_streams[i] == plan->inputs[i].layer;
	for (size_t i = 0; same && i < plan->n_outputs; i++)
		same = host->out_streams[i] == plan->outputs[i].layer;
	return same ? 0 : hw_fail(err, -ENOTSUP, "the network has streams that no user could fill");
}

static int init_streams(struct hw_net *net, const struct load *load, struct hw_error *err)
{
	struct network *plan = net->plan;

	net->inputs = calloc(plan->n_inputs, sizeof(*net->inputs));
	net->outputs = calloc(plan->n_outputs, sizeof(*net->outputs));
	if (!net->inputs || !net->outputs)
		return hw_fail(err, -ENOMEM, "no memory for the network's streams");
	net->n_inputs = plan->n_inputs;
	net->n_outputs = plan->n_outputs;
	for (size_t i = 0; i < net->n_inputs; i++)
		init_stream(&net->inputs[i], &plan->inputs[i], i, net->dev->frame_guard);
	for (size_t i = 0; i < net->n_outputs; i++)
		init_stream(&net->outputs[i], &plan->outputs[i], i, net->dev->frame_guard);
	sort_outputs(net, load->group);
	return init_host(net, load, err);
}

size_t infer_slot_bytes(const struct network_stream *s)
{
	return align_up(s->transfer, SLOT_ALIGN);
}

size_t infer_slot_count(const struct network *plan, uint32_t wanted)
{
	size_t n = wanted ? wanted : SLOTS_DEFAULT;

	if (n > VDMA_TRANSFERS_MAX)
		n = VDMA_TRANSFERS_MAX;
	for (size_t i = 0; i < plan->n_inputs + plan->n_outputs; i++) {
		const struct network_stream *s =
			i < plan->n_inputs ? &plan->inputs[i] : &plan->outputs[i - plan->n_inputs];
		size_t room = (s->count - 1) / ceil_div(s->transfer, s->page);

		if (n > room && !hef_nms_in_pieces(s->layer))
			n = room;
	}
	/* Several contexts pass a batch on as a whole (protocol 6.5), and what has no room waits. */
	if (plan->op->n_contexts > 1 && n < plan->opt.batch)
		n = plan->opt.batch;
	return n;
}

static int alloc_slots(struct hw_net *net, uint32_t wanted, struct hw_error *err)
{
	net->n_slots = infer_slot_count(net->plan, wanted);
	if (net->measure_latency && net->n_slots > VDMA_TRANSFERS_LATENCY)
		net->n_slots = VDMA_TRANSFERS_LATENCY;
	if (!net->n_slots)
		return hw_fail(err, -ENOTSUP, "a frame does not fit the descriptor lists");
	net->slots = calloc(net->n_slots, sizeof(*net->slots));
	if (!net->slots)
		return hw_fail(err, -ENOMEM, "no memory for frame slots");
	for (size_t i = 0; i < net->n_slots; i++) {
		net->slots[i].index = (unsigned int)i;
		net->slots[i].outputs = calloc(net->host->n_outputs, sizeof(void *));
		if (!net->slots[i].outputs)
			return hw_fail(err, -ENOMEM, "no memory for frame slots");
	}
	for (size_t i = 0; i < net->n_inputs + net->n_outputs; i++) {
		struct infer_stream *s =
			i < net->n_inputs ? &net->inputs[i] : &net->outputs[i - net->n_inputs];
		size_t size = infer_slot_offset(s, infer_stream_slots(net, s));
		int r = backend_dma_alloc(net->dev->be, size, SLOT_ALIGN, &s->mem);

		if (r < 0)
			return hw_fail(err, r, "cannot get %zu bytes of DMA memory for frames of %s: %s", size,
				       s->stream->layer->name, backend_dma_why(net->dev->be, r));
	}
	return 0;
}

/*
 * The vendor's order (protocol 5.9 steps 1 to 6): a file for another chip is refused before anything
 * is asked or cleared, one for other clusters afterwards.
 */
static int select_variant(struct hw_dev *dev, const struct load *load,
			  const struct hef_core_op **op, struct hw_error *err)
{
	const struct hef *hef = load->net->hef;
	enum hef_status status;
	int r;

	r = hef_select(hef, load->group, dev->info.arch, 0, dev->info.software_chip, op, &status, err);
	if (r < 0 && status != HEF_INVALID_HEF)
		return r;
	r = infer_query_info(dev, err);
	if (r == 0)
		r = infer_apps_room(dev, err);
	if (r < 0)
		return r;
	return hef_select(hef, load->group, dev->info.arch, dev->info.clusters,
			  dev->info.software_chip, op, NULL, err);
}

static void tell_network(struct hw_dev *dev, const struct load *load)
{
	const struct observed_network told = {
		.name = load->net->name,
		.image = load->net->hef->image,
		.image_len = load->net->hef->image_len,
		.batch = load->opt.batch ? load->opt.batch : 1,
	};

	observe(dev->be, network, &told);
}

/* Behind the others. */
static void link_net(struct hw_net *net)
{
	struct hw_net **at = &net->dev->nets;

	while (*at)
		at = &(*at)->next;
	*at = net;
}

static void unlink_net(struct hw_net *net)
{
	struct hw_net **at = &net->dev->nets;

	while (*at != net)
		at = &(*at)->next;
	*at = net->next;
}

static unsigned int count_nets(const struct hw_dev *dev)
{
	unsigned int n = 0;

	for (const struct hw_net *net = dev->nets; net; net = net->next)
		n++;
	return n;
}

/*
 * On the owner thread, where networks die: one that an event killed while it was started was called
 * dead already, and what is said here comes before any later end of it.
 */
static void tell_loaded(const struct hw_net *net)
{
	if (!net->dead)
		hw_log(HW_LOG_INFO, "%s: network %s is %s, %zu frames in flight", net->dev->info.bdf,
		       net->name, net->take_turns ? "ready" : "running", net->n_slots);
	infer_warn_function(net);
}

static int load_job(struct hw_dev *dev, void *arg, struct hw_error *err)
{
	struct load *load = arg;
	struct hw_net *net = load->net;
	const struct hef_core_op *op;
	struct network_options opt = {
		.batch = load->opt.batch,
		.max_page = dev->chip.max_desc_page,
		.queue_scale = load->opt.queue_depth,
	};
	int r;

	if (load->opt.queue_depth > VDMA_TRANSFERS_MAX)
		return hw_fail(err, -EINVAL, "a queue depth of %u; at most %u make sense",
			       load->opt.queue_depth, VDMA_TRANSFERS_MAX);
	if (load->opt.dynamic_batch > (load->opt.batch ? load->opt.batch : 1))
		return hw_fail(err, -EINVAL, "a dynamic batch of %u in a batch of %u",
			       load->opt.dynamic_batch, load->opt.batch ? load->opt.batch : 1);
	r = infer_chip_usable(dev, err);
	if (r < 0)
		return r;
	if (count_nets(dev) == FW_APPS_MAX)
		return hw_fail(err, -EBUSY, "%u networks are loaded on %s, more it cannot hold; free one first",
			       FW_APPS_MAX, dev->info.bdf);
	tell_network(dev, load);
	r = select_variant(dev, load, &op, err);
	if (r == 0)
		r = infer_public_code(chip_get_hw_consts(&dev->chip, err));
	if (r < 0)
		return r;
	r = network_plan(net->hef, load->group, op, &dev->chip.consts, &opt, &net->plan, err);
	if (r < 0)
		return r;
	if (op->n_contexts > 1)
		net->gather = load->opt.whole_batches && !net->dynamic_batch ? net->plan->opt.batch
									     : net->dynamic_batch;
	r = init_streams(net, load, err);
	if (r == 0)
		r = network_alloc(net->plan, dev->be, err);
	if (r == 0)
		r = alloc_slots(net, load->opt.frames_in_flight, err);
	if (r == 0)
		r = network_contexts(net->plan, err);
	if (r == 0)
		r = infer_choose_function(dev, net, err);
	if (r < 0)
		goto err_memory;
	r = infer_apps_configure(net, err);
	if (r < 0)
		goto err_memory; /* nothing moves before ENABLED */
	link_net(net);
	if (!net->take_turns)
		r = infer_switch_start(net, err);
	if (r == 0) {
		tell_loaded(net);
		return 0;
	}
	unlink_net(net);
err_memory:
	free_streams(net);
	network_free(net->plan, dev->be);
	net->plan = NULL;
	return r;
}

static int no_group(const struct hef *hef, const char *name, struct hw_error *err)
{
	char names[300] = "";
	size_t n = 0;

	for (size_t i = 0; i < hef->n_groups && n < sizeof(names); i++)
		n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s", i ? ", " : "",
				      hef->groups[i].name);
	return hw_fail(err, -ENOENT, "the file has no network group %s%s%s", name ? name : "at all",
		       n ? ", only " : "", names);
}

static int load_hef(struct hw_dev *dev, struct hef *hef, const struct hw_net_options *opt,
		    struct hw_net **out, struct hw_error *err)
{
	static const struct hw_net_options none;
	struct load load = {.opt = opt ? *opt : none};
	struct hw_net *net;
	int r;

	load.group = hef_find_group(hef, load.opt.name);
	if (!load.group) {
		r = no_group(hef, load.opt.name, err);
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
	net->measure_latency = load.opt.measure_latency;
	net->dynamic_batch = load.opt.dynamic_batch;
	net->take_turns = load.opt.take_turns;
	net->queue_tail = &net->queue;
	snprintf(net->name, sizeof(net->name), "%s", load.group->name);
	load.net = net;

	r = infer_call_idle(dev, load_job, &load, err);
	if (r < 0) {
		hw_fail_context(err, r, "loading %s", net->name);
		free_net(net);
		return r;
	}
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
	/* Of one that does not have the chip nothing moves: its frames were out when it lost it. */
	if (dev->active == net)
		infer_switch_stop(dev);
	hw_fail(&canceled, -ECANCELED, "the network was freed");
	infer_net_cancel(net, -ECANCELED, &canceled);
	unlink_net(net);
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
	/* Nobody may write into a slot, or wait for one, when they go. */
	while (net->callers)
		pthread_cond_wait(&dev->cond, &dev->lock);
	pthread_mutex_unlock(&dev->lock);
	infer_call(dev, free_job, net, NULL);
	free_net(net);
}

/* ---------------------------------------------------------------------------------- facts */

const char *hw_net_name(const struct hw_net *net)
{
	return net->name;
}

const char *hw_net_function(const struct hw_net *net)
{
	return net->function;
}

const struct hw_tensor_info *hw_net_inputs(const struct hw_net *net, size_t *count)
{
	*count = net->host->n_inputs;
	return net->input_info;
}

const struct hw_tensor_info *hw_net_outputs(const struct hw_net *net, size_t *count)
{
	*count = net->host->n_outputs;
	return net->output_info;
}

void hw_net_get_stats(struct hw_net *net, struct hw_net_stats *stats)
{
	pthread_mutex_lock(&net->dev->lock);
	*stats = net->stats;
	if (net->busy_since_ns)
		stats->busy_ns += util_now_ns() - net->busy_since_ns;
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
