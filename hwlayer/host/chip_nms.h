// SPDX-License-Identifier: MIT
/* What an NMS on the chip delivers (hef-format 6.8).  Pure. */
#ifndef HWLAYER_HOST_CHIP_NMS_H
#define HWLAYER_HOST_CHIP_NMS_H

#include "hef/hef.h"
#include "host/boxes.h"

/* The boxes of one class in one chunk, in chip_nms.words */
struct host_section {
	size_t first;
	uint32_t n;
};

/* One NMS stream: what it is, and the frame that is being put together from its transfers. */
struct host_chip_nms {
	uint32_t classes, max_boxes;
	uint32_t burst;          /* words that go together; 0: no bursts */
	size_t n_sections;       /* classes times chunks: a delimiter ends each */
	struct host_section *sections;
	uint64_t *words;         /* boxes */
	size_t section, n_words; /* so far */
	uint32_t in_burst;       /* words of the burst seen */
	bool padding;            /* until the burst ends */
};

/* -ENOTSUP with the reason, -ENOMEM.  Free with host_chip_nms_free(), also after an error. */
int host_chip_nms_init(const struct hef_layer *l, struct host_chip_nms *out, struct hw_error *err);
void host_chip_nms_free(struct host_chip_nms *s);
/* Forget the frame under way. */
void host_chip_nms_begin(struct host_chip_nms *s);
/*
 * The next transfer, @len bytes.  1: the frame is complete, what follows belongs to the next one; 0:
 * more is to come; -EBADMSG: more boxes in a class than there can be, and where a frame ends is not
 * known any more.
 */
int host_chip_nms_feed(struct host_chip_nms *s, const void *data, size_t len);

/*
 * A complete frame, or those of the @n parts of a split NMS in the order of their groups (5.9), as
 * boxes ordered by class and, within a class, by chunk.  @classes: of the whole.
 */
void host_chip_nms_boxes(const struct host_chip_nms *const *parts, size_t n, uint32_t classes,
			 const struct hw_quant *q, struct host_boxes *out);

#endif
