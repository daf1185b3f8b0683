// SPDX-License-Identifier: MIT
/* Words of an NMS on the chip, 64 bits each, to boxes (hef-format 6.8, protocol 7). */
#include "host/chip_nms.h"

#define WORD_BYTES 8u
#define WORD_DELIMITER UINT64_MAX	/* ends a class; also what bursts are filled up with */
#define WORD_IMAGE (UINT64_MAX - 1)	/* not sent by a Hailo-8 */
#define WORD_PADDING (UINT64_MAX - 2)	/* likewise */

int host_chip_nms_init(const struct hef_layer *l, struct host_chip_nms *out, struct hw_error *err)
{
	const struct hef_nms *n = &l->nms;
	uint64_t chunks = n->division_factor ? n->division_factor : 1, sections, words;

	*out = (struct host_chip_nms){.classes = n->classes, .max_boxes = n->max_boxes};
	if (n->bbox_size != WORD_BYTES)
		return hw_fail(err, -ENOTSUP,
			       "layer \"%.100s\": boxes of %u bytes; the chip's NMS delivers %u bytes",
			       l->name, n->bbox_size, WORD_BYTES);
	if (l->data_bytes != 2 || l->transposed)
		return hw_fail(err, -ENOTSUP,
			       "layer \"%.100s\": the boxes of the chip's NMS are 16-bit numbers and "
			       "never transposed",
			       l->name);
	if (n->burst && !n->burst_size)
		return hw_fail(err, -ENOTSUP, "layer \"%.100s\": bursts of no boxes", l->name);
	/* A u16 counts the boxes of a class and chunk. */
	if (!n->classes || !n->max_boxes || n->max_boxes > UINT16_MAX)
		return hw_fail(err, -ENOTSUP, "layer \"%.100s\": %u classes of up to %u boxes", l->name,
			       n->classes, n->max_boxes);
	out->burst = n->burst ? n->burst_size : 0;
	if (__builtin_mul_overflow(chunks, n->classes, &sections) ||
	    __builtin_mul_overflow(sections, n->max_boxes, &words) || words > UINT32_MAX / WORD_BYTES)
		return hw_fail(err, -ENOTSUP, "layer \"%.100s\": frames of more than 4 GiB", l->name);
	out->n_sections = (size_t)sections;
	out->sections = calloc(out->n_sections, sizeof(*out->sections));
	out->words = calloc((size_t)words, sizeof(*out->words));
	if (!out->sections || !out->words)
		return hw_fail(err, -ENOMEM, "no memory for the boxes of \"%.100s\"", l->name);
	return 0;
}

void host_chip_nms_free(struct host_chip_nms *s)
{
	free(s->sections);
	free(s->words);
	*s = (struct host_chip_nms){0};
}

void host_chip_nms_begin(struct host_chip_nms *s)
{
	s->section = 0;
	s->n_words = 0;
	s->in_burst = 0;
	s->padding = false;
	s->sections[0] = (struct host_section){0};
}

/* true: the frame is complete */
static bool end_section(struct host_chip_nms *s)
{
	s->section++;
	if (s->section == s->n_sections)
		return true;
	s->sections[s->section] = (struct host_section){.first = s->n_words};
	return false;
}

int host_chip_nms_feed(struct host_chip_nms *s, const void *data, size_t len)
{
	const uint8_t *at = data;

	for (size_t left = len / WORD_BYTES; left; left--, at += WORD_BYTES) {
		uint64_t word = get_le64(at);
		bool skip = s->padding;

		if (s->section == s->n_sections)
			return 1;
		if (s->burst && ++s->in_burst == s->burst) {
			s->in_burst = 0;
			s->padding = false;
		}
		if (skip || word == WORD_IMAGE || word == WORD_PADDING)
			continue;
		if (word == WORD_DELIMITER) {
			/* The next class begins with the next burst. */
			s->padding = s->burst && s->in_burst;
			if (end_section(s))
				return 1;
			continue;
		}
		if (s->sections[s->section].n == s->max_boxes)
			return -EBADMSG;
		s->sections[s->section].n++;
		s->words[s->n_words++] = word;
	}
	return 0;
}

static float field(uint64_t word, unsigned int shift, uint64_t mask, const struct hw_quant *q)
{
	return ((float)(word >> shift & mask) - q->zero_point) * q->scale;
}

static void put_section(const struct host_chip_nms *s, size_t index, uint32_t class,
			const struct hw_quant *q, struct host_boxes *out)
{
	const uint64_t *w = s->words + s->sections[index].first;

	for (uint32_t i = 0; i < s->sections[index].n; i++) {
		const struct host_box box = {
			.score = field(w[i], 48, 0xffff, q),
			.y_min = field(w[i], 36, 0xfff, q),
			.x_min = field(w[i], 24, 0xfff, q),
			.y_max = field(w[i], 12, 0xfff, q),
			.x_max = field(w[i], 0, 0xfff, q),
			.class_id = class,
			.order = out->n,
		};

		host_boxes_put(out, &box);
	}
}

void host_chip_nms_boxes(const struct host_chip_nms *const *parts, size_t n, uint32_t classes,
			 const struct hw_quant *q, struct host_boxes *out)
{
	size_t sections = 0;

	for (size_t i = 0; i < n; i++)
		sections += parts[i]->n_sections;
	/* Section k of the whole is in part k mod n. */
	for (uint32_t class = 0; class < classes; class++) {
		for (size_t k = class; k < sections; k += classes)
			put_section(parts[k % n], k / n, class, q, out);
	}
}
