// SPDX-License-Identifier: MIT
/*
 * What it costs the CPU to read outputs where the chip put them.  On boards whose PCIe does not see
 * the CPU's caches that memory is not cached, and reading it can be far slower than any inference;
 * --cached-dma is the other way, with a sync for each frame.
 */
#include "hwctl/dma_test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ENOUGH_NS 20000000u /* 20 ms of reading */

/* Microseconds to read one frame of all outputs, from @other instead of where they are if given. */
static double read_frames(const struct hw_net *net, uint8_t *to, const uint8_t *other)
{
	uint64_t began = util_now_ns(), took;
	size_t frames = 0;

	do {
		for (size_t i = 0; i < net->n_outputs; i++) {
			const struct infer_stream *s = &net->outputs[i];
			size_t off = infer_slot_offset(s, frames % infer_stream_slots(net, s));

			if (!other)
				backend_dma_sync(net->dev->be, &s->mem, off, s->stream->transfer, false);
			memcpy(to, other ? other : (const uint8_t *)s->mem.virt + off, s->stream->transfer);
			__asm__ volatile("" : : "r"(to) : "memory"); /* it is read, whatever becomes of it */
		}
		frames++;
		took = util_now_ns() - began;
	} while (took < ENOUGH_NS);
	return (double)took / 1e3 / (double)frames;
}

int dma_memory_measure(const struct hw_net *net, struct dma_memory *out)
{
	size_t largest = 1;
	uint8_t *to, *other;

	for (size_t i = 0; i < net->n_outputs; i++)
		if (net->outputs[i].stream->transfer > largest)
			largest = net->outputs[i].stream->transfer;
	to = calloc(1, largest);
	other = calloc(1, largest);
	if (to && other) {
		out->dma_us = read_frames(net, to, NULL);
		out->ordinary_us = read_frames(net, to, other);
	}
	free(other);
	free(to);
	return to && other ? 0 : -ENOMEM;
}
