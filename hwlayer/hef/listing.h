// SPDX-License-Identifier: MIT
/*
 * What a file offers to a user: streams and vstreams of its networks (hef-format 5.10), and the
 * listing that the vendor's parse-hef prints of them (8).  Pure.
 */
#ifndef HWLAYER_HEF_LISTING_H
#define HWLAYER_HEF_LISTING_H

#include "hef/hef.h"

/* A tensor of a network: what crosses PCIe (stream) or what the user sees (vstream). */
struct hef_tensor {
	const char *name;               /* lives as long as the hef */
	bool input;
	enum hw_type type;
	enum hw_order order;
	uint32_t height, width, features; /* not of NMS */
	/* NMS in any form */
	uint32_t classes, max_per_class, max_total;
	uint64_t max_frame;             /* bytes */
	const struct hef_layer *layer;  /* NULL: made by the host (struct hef_op) */
};

struct hef_tensors {
	size_t n;
	struct hef_tensor *v;
};

/*
 * Inputs first, in the order of contexts and edge layers; outputs of vstreams as 4.5 sorts them.
 * @network: a label of group->networks, or NULL for all.  Free with hef_tensors_free().
 * Return: 0; -ENOENT (61: it has no input or no output), -EBADMSG (8: an output that the file's
 * order does not name), -ENOMEM.
 */
int hef_streams(const struct hef_group *group, const char *network, struct hef_tensors *out,
		enum hef_status *status, struct hw_error *err);
int hef_vstreams(const struct hef_group *group, const char *network, struct hef_tensors *out,
		 enum hef_status *status, struct hw_error *err);
void hef_tensors_free(struct hef_tensors *t);

/* What an op makes; what the user gets of an NMS on the chip, of which @l may be a part (5.9). */
void hef_op_tensor(const struct hef_op *op, struct hef_tensor *out);
void hef_nms_tensor(const struct hef_layer *l, struct hef_tensor *out);
/* Bytes of a user's frame of detections by score (6.9), capped as there. */
uint64_t hef_by_score_frame(uint64_t max_total);
/* Is @l read by an op of the host, and so no output of its own? */
bool hef_feeds_op(const struct hef_core_op *op, const struct hef_layer *l);

/* "UINT8, NHWC(224x224x3)" (8.3) */
void hef_tensor_text(const struct hef_tensor *t, char *buf, size_t size);
/* Texts of 3.3 and 8.3; never NULL. */
const char *hef_arch_text(uint32_t arch);
const char *hef_order_text(enum hw_order order);
const char *hef_type_text(enum hw_type type);
const char *hef_op_name(const struct hef_op *op); /* "YOLOv5-Post-Process" (5.13) */
/* Image sizes are stored as doubles; truncated, and 0 for what is no size. */
uint32_t hef_pixels(double v);
/* One line of an op's description after the other (8.4), each ended by '\n'. */
void hef_op_text(const struct hef_op *op, struct buf *out);

/* Append the listing of 8.2.  Errors as above; nothing useful is in @out then. */
int hef_listing(const struct hef *hef, bool streams, bool vstreams, struct buf *out,
		enum hef_status *status, struct hw_error *err);

#endif
