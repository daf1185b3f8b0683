// SPDX-License-Identifier: MIT
/* DMA memory of a network: lists, configuration data, internal buffers.  Source: 5.5, 5.6, 5.8. */
#include "network/internal.h"

#define BUFFER_ALIGN 4096u /* of data buffers; at least a descriptor page (9.4) */

static void sync_list(struct backend *be, const struct vdma_list *list)
{
	backend_dma_sync(be, &list->mem, 0, (size_t)list->count * CHIP_DESC_SIZE, true);
}

/* Descriptor i covers page i of the buffer; nobody is told when it is done. */
static int bind_linear(struct vdma_list *list, const struct backend_dma *buffer)
{
	return vdma_desc_program(vdma_list_descs(list), list->count, list->circular, list->page, 0,
				 buffer->bus, (uint64_t)list->count * list->page, CHIP_DESC_BASE);
}

static int list_with_buffer(struct backend *be, uint32_t count, uint32_t page, bool circular,
			    struct vdma_list *list, struct backend_dma *buffer, struct hw_error *err)
{
	int r = vdma_list_create(be, count, page, circular, list, err);

	if (r)
		return r;
	r = backend_dma_alloc(be, (size_t)count * page, BUFFER_ALIGN, buffer);
	if (r)
		return hw_fail(err, r, "no DMA memory for a buffer of %zu bytes: %s",
			       (size_t)count * page, backend_dma_why(be, r));
	r = bind_linear(list, buffer);
	return r < 0 ? hw_fail(err, r, "a descriptor list does not fit its buffer") : 0;
}

/* 5.5 step 4: data, and the piece's last descriptor, short and with the device's interrupt. */
static int put_piece(struct network_config *c, const struct network_piece *p)
{
	size_t off = (size_t)p->first_desc * c->page;
	uint8_t *at = (uint8_t *)c->buffer.virt + off;
	int r;

	for (size_t i = 0; i < p->ccw->n_pieces; i++) {
		const struct span *piece = &p->ccw->pieces[i];

		if (piece->len) /* an empty one may be nowhere */
			memcpy(at, piece->ptr, piece->len);
		at += piece->len;
	}
	r = vdma_desc_program(vdma_list_descs(&c->list), c->count, false, c->page, p->first_desc,
			      c->buffer.bus + off, p->bytes, CHIP_DESC_LAST_DEVICE);
	return r < 0 ? r : r == (int)p->descs ? 0 : -EINVAL;
}

/*
 * What the chip will fetch on one channel in one context, counted from the pieces, must be what
 * the list holds and what ACTIVATE_CFG_CHANNEL announces: a shortage of a single descriptor makes
 * a real chip wait for ever (hardware-evidence 9.1).
 */
static int check_pieces(const struct network_config *c, struct hw_error *err)
{
	uint64_t fetched = 0;

	for (size_t i = 0; i < c->n_pieces; i++) {
		const struct network_piece *p = &c->pieces[i];
		uint64_t sum = 0;

		for (size_t k = 0; k < p->ccw->n_pieces; k++)
			sum += p->ccw->pieces[k].len;
		if (sum != p->bytes || p->first_desc != fetched)
			return hw_fail(err, -EBADMSG, "configuration channel %u: piece %zu is %llu bytes "
				       "instead of %u", c->stream, i, (unsigned long long)sum, p->bytes);
		fetched += p->descs;
	}
	if (fetched != c->used || fetched > c->count)
		return hw_fail(err, -EBADMSG, "configuration channel %u: %llu descriptors would be "
			       "fetched, %u are there", c->stream, (unsigned long long)fetched, c->used);
	return 0;
}

static int alloc_config(struct backend *be, struct network_config *c, struct hw_error *err)
{
	int r = check_pieces(c, err);

	if (r)
		return r;
	r = list_with_buffer(be, c->count, c->page, false, &c->list, &c->buffer, err);
	if (r)
		return r;
	for (size_t i = 0; i < c->n_pieces; i++) {
		r = put_piece(c, &c->pieces[i]);
		if (r)
			return hw_fail(err, r, "configuration channel %u: piece %zu does not fit its "
				       "list", c->stream, i);
	}
	backend_dma_sync(be, &c->buffer, 0, (size_t)c->count * c->page, true);
	sync_list(be, &c->list);
	return 0;
}

/* One frame after the other; only the last of the batch interrupts, and only the chip. */
static int bind_inter_context(struct network_stream *s, uint32_t batch)
{
	uint32_t n = (uint32_t)ceil_div(s->transfer, s->page);
	int r = 0;

	for (uint32_t b = 0; r >= 0 && b < batch; b++)
		r = vdma_desc_program(vdma_list_descs(&s->list), s->count, false, s->page, b * n,
				      s->buffer.bus + (uint64_t)b * n * s->page, s->transfer,
				      b + 1 == batch ? CHIP_DESC_LAST_DEVICE : CHIP_DESC_BASE);
	return r < 0 ? r : 0;
}

static int alloc_internal(const struct network *net, struct backend *be, struct network_stream *s,
			  struct hw_error *err)
{
	bool ddr = s->layer->kind == HEF_EDGE_DDR;
	int r;

	if (s->input)
		return 0; /* shares its output's */
	r = list_with_buffer(be, s->count, s->page, ddr, &s->list, &s->buffer, err);
	if (!r && !ddr) {
		r = bind_inter_context(s, net->opt.batch);
		if (r)
			r = hw_fail(err, r, "layer %s does not fit its list", s->layer->name);
	}
	if (!r)
		sync_list(be, &s->list);
	return r;
}

static int alloc_boundary(struct backend *be, struct network_stream *v, size_t n,
			  struct hw_error *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < n; i++)
		r = vdma_list_create(be, v[i].count, v[i].page, true, &v[i].list, err);
	return r;
}

static void give_back_stream(struct backend *be, struct network_stream *s)
{
	backend_dma_free(be, &s->buffer);
	vdma_list_destroy(be, &s->list);
}

static void give_back(struct network *net, struct backend *be)
{
	for (size_t i = net->n_contexts; i-- > 0;)
		for (size_t k = net->contexts[i].n_configs; k-- > 0;) {
			backend_dma_free(be, &net->contexts[i].configs[k].buffer);
			vdma_list_destroy(be, &net->contexts[i].configs[k].list);
		}
	for (size_t i = net->n_internal; i-- > 0;)
		give_back_stream(be, &net->internal[i]);
	for (size_t i = net->n_outputs; i-- > 0;)
		give_back_stream(be, &net->outputs[i]);
	for (size_t i = net->n_inputs; i-- > 0;)
		give_back_stream(be, &net->inputs[i]);
}

int network_alloc(struct network *net, struct backend *be, struct hw_error *err)
{
	int r = alloc_boundary(be, net->inputs, net->n_inputs, err);

	if (!r)
		r = alloc_boundary(be, net->outputs, net->n_outputs, err);
	for (size_t i = 0; !r && i < net->n_internal; i++)
		r = alloc_internal(net, be, &net->internal[i], err);
	for (size_t i = 0; !r && i < net->n_contexts; i++)
		for (size_t k = 0; !r && k < net->contexts[i].n_configs; k++)
			r = alloc_config(be, &net->contexts[i].configs[k], err);
	if (r)
		give_back(net, be);
	return r;
}

void network_free(struct network *net, struct backend *be)
{
	if (!net)
		return;
	if (be)
		give_back(net, be);
	for (size_t i = 0; i < net->n_contexts; i++) {
		struct network_context *ctx = &net->contexts[i];

		for (size_t k = 0; k < ctx->n_configs; k++)
			free(ctx->configs[k].pieces);
		free(ctx->configs);
		buf_free(&ctx->actions);
		free(ctx->cuts);
		free(ctx->names);
	}
	free(net->contexts);
	free(net->internal);
	free(net->outputs);
	free(net->inputs);
	free(net);
}
