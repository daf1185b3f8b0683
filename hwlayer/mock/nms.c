// SPDX-License-Identifier: MIT
/*
 * What an NMS on the chip sends where nothing computes it: for each class of each chunk a few boxes and
 * a delimiter, filled up to whole bursts (protocol 7).
 *
 * MODEL: ENABLE_NMS does not name its stream; it is the one whose transfer is one burst, or all bursts
 * of a frame.  Of several units the last one counts.
 */
#include "mock/pattern.h"
#include "mock/sim.h"

#define WORD_BYTES 8u

uint32_t pattern_boxes(uint32_t frame, uint32_t section, uint32_t burst)
{
	uint32_t n = (frame + section) % 3;

	return burst > 1 && n > burst - 1 ? burst - 1 : n;
}

uint64_t pattern_box(uint32_t frame, uint32_t section, uint32_t i)
{
	return (uint64_t)(1000 - 10 * i + section) << 48 | (uint64_t)(frame % 100) << 36 |
	       (uint64_t)(20 + i) << 24 | (uint64_t)(frame % 100 + 50) << 12 | (uint64_t)(60 + i);
}

int sim_nms_answer(const struct sim_run *run, struct sim_stream *s, uint32_t frame)
{
	uint32_t sections = (uint32_t)run->nms.classes * (run->nms.chunks ? run->nms.chunks : 1);
	uint32_t burst = run->nms.burst ? run->nms.burst : 1;
	size_t most = (size_t)sections * (burst > 2 ? burst : 3 * burst) * WORD_BYTES, at = 0;
	uint8_t *grown;

	s->total = 0;
	/* A burst that holds all boxes of a class has room for one box and the delimiter at least. */
	if (!sections || (s->pattern != burst * WORD_BYTES &&
			  (burst == 1 || s->pattern != (uint64_t)sections * burst * WORD_BYTES)))
		return 0;
	grown = realloc(s->frame, most > s->bytes ? most : s->bytes);
	if (!grown)
		return -ENOMEM;
	s->frame = grown;
	memset(s->frame, 0xff, most);
	for (uint32_t section = 0; section < sections; section++) {
		uint32_t n = pattern_boxes(frame, section, burst);

		for (uint32_t i = 0; i < n; i++)
			put_le64(s->frame + at + i * WORD_BYTES, pattern_box(frame, section, i));
		/* and the delimiter, which padding looks like */
		at += ceil_div(n + 1, burst) * burst * WORD_BYTES;
	}
	s->total = at;
	return 0;
}
