// SPDX-License-Identifier: MIT
/*
 * What went wrong, in the user's terms.
 *
 * Event 12 names a context and an action by number.  How a real chip counts is unknown; we read
 * the numbers as the software chip means them: contexts in the order in which they were sent
 * (activation 0, batch switching 1, preliminary 2, dynamic 3...), actions of one context from 0
 * with the members of a repeated action counted one by one.
 */
#include "network/actions.h"
#include "network/internal.h"

#include <stdio.h>

const char *network_context_name(const struct network *net, size_t i, char *buf, size_t size)
{
	static const char *const service[] = {
		[NETWORK_ACTIVATION] = "the activation context",
		[NETWORK_BATCH_SWITCHING] = "the batch-switching context",
		[NETWORK_PRELIMINARY] = "the preliminary context",
	};

	if (i < ARRAY_SIZE(service))
		return service[i];
	snprintf(buf, size, i < net->n_contexts ? "dynamic context %zu" : "unknown context %zu",
		 i - NETWORK_DYNAMIC);
	return buf;
}

/* Who uses @channel in dynamic context @context. */
static const struct network_stream *stream_on(const struct network *net, int channel,
					      size_t context)
{
	for (size_t i = 0; i < net->n_inputs; i++)
		if (net->inputs[i].channel == channel)
			return &net->inputs[i];
	for (size_t i = 0; i < net->n_outputs; i++)
		if (net->outputs[i].channel == channel)
			return &net->outputs[i];
	for (size_t i = 0; i < net->n_internal; i++)
		if (net->internal[i].channel == channel && net->internal[i].context == context)
			return &net->internal[i];
	return NULL;
}

static const char *kind_of(const struct network_stream *s)
{
	switch (s->layer->kind) {
	case HEF_EDGE_INTER_CONTEXT:
		return "stream between contexts";
	case HEF_EDGE_DDR:
		return "rows in host memory";
	default:
		return s->input ? "input" : "output";
	}
}

static void describe_channel(const struct network *net, size_t context, int channel, char *buf,
			     size_t size)
{
	/* The service contexts deal with the channels of dynamic context 0. */
	const struct network_stream *s = stream_on(
		net, channel, context < NETWORK_DYNAMIC ? 0 : context - NETWORK_DYNAMIC);

	if (channel < 0)
		buf[0] = 0;
	else if (channel < net->cfg_channels)
		snprintf(buf, size, " on config channel %d (vDMA channel %d)", channel, channel);
	else if (s)
		snprintf(buf, size, " on %s %s (vDMA channel %d)", kind_of(s), s->layer->name,
			 channel);
	else
		snprintf(buf, size, " on vDMA channel %d", channel);
}

void network_describe_action(const struct network *net, uint16_t context, uint16_t action, char *buf,
			     size_t size)
{
	const struct network_context *ctx;
	char where[48], what[32], channel[HW_NAME_MAX + 64];

	if (context >= net->n_contexts || action >= net->contexts[context].n_names) {
		snprintf(buf, size, "action %u of context %u", action, context);
		return;
	}
	ctx = &net->contexts[context];
	describe_channel(net, context, ctx->names[action].channel, channel, sizeof(channel));
	snprintf(buf, size, "%s%s in %s",
		 action_name(ctx->names[action].type, what, sizeof(what)), channel,
		 network_context_name(net, context, where, sizeof(where)));
}

/* --------------------------------------------------------------------------- stall */

struct text {
	char *buf;
	size_t size, len;
};

static void add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (t->len >= t->size)
		return;
	va_start(ap, fmt);
	n = vsnprintf(t->buf + t->len, t->size - t->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		t->len += (size_t)n;
}

static const struct network_config *config_of(const struct network_context *ctx, unsigned int stream)
{
	for (size_t i = 0; i < ctx->n_configs; i++)
		if (ctx->configs[i].stream == stream)
			return &ctx->configs[i];
	return NULL;
}

/*
 * A config channel's counters belong to the context that used it last, which the host cannot
 * see; it is at rest when it stands where any context leaves it.
 */
static bool describe_config(const struct network *net, unsigned int stream, uint32_t avail,
			    uint32_t processed, struct text *t)
{
	const struct network_config *in = NULL; /* best guess at the context that is stuck */

	for (size_t i = 0; i < net->n_contexts; i++) {
		const struct network_config *c = config_of(&net->contexts[i], stream);
		uint32_t ring;

		if (!c)
			continue;
		if (!in || (in->used != avail && c->used == avail))
			in = c;
		/* The engine's ring is rounded up to a power of two (pcie 7.2). */
		ring = (uint32_t)pow2_ceil(c->count);
		if (processed % ring == c->used % ring && avail % ring == c->used % ring)
			return false;
	}
	if (!in)
		return false;
	add(t, "%sconfig channel %u (vDMA channel %u) stopped at descriptor %u of %u",
	    t->len ? "; " : "", stream, in->channel, processed, in->used);
	if (avail != processed)
		add(t, ", %u made available", avail);
	return true;
}

/*
 * The firmware gives channels inside the network to one stream after the other; the list that a
 * channel works on tells whose it is now.
 */
static void describe_internal(const struct network *net, struct backend *be,
			      const struct network_stream *s, struct text *t)
{
	const struct network_stream *owner = s->input ? network_internal_source(net, s) : s;
	uint32_t host = CHIP_VDMA_HOST(s->channel);
	uint32_t ctrl = backend_read32(be, CHIP_BAR_VDMA, host + CHIP_VDMA_CTRL);
	uint32_t proc = backend_read32(be, CHIP_BAR_VDMA, host + CHIP_VDMA_PROC);
	uint32_t lo = backend_read32(be, CHIP_BAR_VDMA, host + CHIP_VDMA_ERR);
	uint32_t hi = backend_read32(be, CHIP_BAR_VDMA, host + CHIP_VDMA_ADDR_HI);
	uint64_t bus = owner->list.mem.bus;

	if (!(ctrl & CHIP_VDMA_CTRL_START) || hi != bus >> 32 ||
	    FIELD_GET(CHIP_VDMA_ERR_ADDR_LO, lo) != FIELD_GET(CHIP_VDMA_ERR_ADDR_LO, (uint32_t)bus))
		return;
	add(t, "%s%s %s of context %u (vDMA channel %u): %u of %u descriptors %s, %u to a %s",
	    t->len ? "; " : "", kind_of(s), s->layer->name, s->context, s->channel,
	    FIELD_GET(CHIP_VDMA_PROC_PROCESSED, proc), FIELD_GET(CHIP_VDMA_CTRL_AVAIL, ctrl),
	    s->input ? "read" : "written", (uint32_t)ceil_div(s->transfer, s->page),
	    s->layer->kind == HEF_EDGE_DDR ? "row" : "frame");
}

void network_describe_stall(const struct network *net, struct backend *be, char *buf, size_t size)
{
	struct text t = {.buf = buf, .size = size};
	char channel[160];

	if (size)
		buf[0] = 0;
	if (backend_read32(be, CHIP_BAR_CONFIG, CHIP_PCI_ID) == UINT32_MAX) {
		add(&t, "the chip does not answer any more");
		return;
	}
	for (unsigned int i = 0; i < net->cfg_channels; i++) {
		uint32_t host = CHIP_VDMA_HOST(i);
		uint32_t ctrl = backend_read32(be, CHIP_BAR_VDMA, host + CHIP_VDMA_CTRL);
		uint32_t proc = backend_read32(be, CHIP_BAR_VDMA, host + CHIP_VDMA_PROC);

		/* Closed again, or not opened yet: it is not what the chip waits for. */
		if (!(ctrl & CHIP_VDMA_CTRL_START) && !FIELD_GET(CHIP_VDMA_CTRL_AVAIL, ctrl) && !proc)
			continue;
		describe_config(net, i, FIELD_GET(CHIP_VDMA_CTRL_AVAIL, ctrl),
				FIELD_GET(CHIP_VDMA_PROC_PROCESSED, proc), &t);
	}
	/* Inputs first: what an output lacks may be theirs. */
	for (int input = 1; input >= 0; input--)
		for (size_t i = 0; i < net->n_internal; i++)
			if (net->internal[i].input == input)
				describe_internal(net, be, &net->internal[i], &t);
	for (unsigned int i = 0; i < CHIP_VDMA_CHANNELS; i++) {
		if (!(net->boundary_channels & BIT(i)))
			continue;
		vdma_channel_describe(be, i, channel, sizeof(channel));
		add(&t, "%s%s", t.len ? "; " : "boundary channels: ", channel);
	}
}
