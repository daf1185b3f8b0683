// SPDX-License-Identifier: MIT
/*
 * Frames that come in pieces: an NMS on the chip sends a transfer for each box or burst, as many as it
 * has (protocol 7, hef-format 6.8).  Nobody knows how many before the last one, so such a stream
 * is not launched frame by frame: a ring of small buffers is queued all the time, and what
 * comes back is put together for the oldest frame on the chip.
 */
#include "infer/infer.h"

size_t infer_piece_count(const struct network_stream *s)
{
	size_t room = (s->count - 1) / ceil_div(s->transfer, s->page);

	return room < VDMA_TRANSFERS_MAX ? room : VDMA_TRANSFERS_MAX;
}

int infer_pieces_launch(struct infer_stream *s)
{
	int r = 0;

	while (r == 0 && s->channel.fifo_count < s->pieces) {
		unsigned int piece = (s->first_piece + s->channel.fifo_count) % (unsigned int)s->pieces;
		size_t off = infer_slot_offset(s, piece);

		backend_dma_sync(s->channel.be, &s->mem, off, s->stream->transfer, true);
		r = vdma_channel_launch(&s->channel, s->mem.bus + off, s->stream->transfer, s);
	}
	return r;
}

int infer_pieces_reap(struct hw_net *net, struct infer_stream *s)
{
	unsigned int n = 0;

	/* What belongs to the frame after the oldest stays in the ring until that is its turn. */
	while (!s->whole && net->order_count && s->channel.fifo_count) {
		size_t off = infer_slot_offset(s, s->first_piece);
		void *token;
		int r = vdma_channel_reap(&s->channel, &token, 1);

		if (r <= 0)
			return r < 0 ? r : (int)n;
		s->first_piece = (s->first_piece + 1) % (unsigned int)s->pieces;
		n++;
		backend_dma_sync(net->dev->be, &s->mem, off, s->stream->transfer, false);
		r = host_net_feed(net->host, s->index, (const uint8_t *)s->mem.virt + off,
				  s->stream->transfer);
		if (r < 0)
			return r;
		s->whole = r;
		r = infer_pieces_launch(s);
		if (r < 0)
			return r;
	}
	return (int)n;
}
