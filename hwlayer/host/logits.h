// SPDX-License-Identifier: MIT
/* Argmax and softmax of the host (hef-format 5.14, 5.15).  Pure. */
#ifndef HWLAYER_HOST_LOGITS_H
#define HWLAYER_HOST_LOGITS_H

#include "host/layout.h"

struct host_argmax {
	struct hw_tensor_info user;
	const struct hef_layer *layer;
	uint16_t *best;   /* of a row */
	uint32_t *index;  /* likewise */
};

/*
 * @type, @order: as the user asks for, AUTO: as the file does.  -ENOTSUP, -ENOMEM.  Free with
 * host_argmax_free(), also after an error.
 */
int host_argmax_init(const struct hef_op *op, enum hw_type type, enum hw_order order,
		     struct host_argmax *out, struct hw_error *err);
void host_argmax_free(struct host_argmax *a);
void host_argmax_run(const struct host_argmax *a, const void *frame, void *user);

/* The layout of the input to float32; host_softmax_run() then works in place. */
int host_softmax_init(const struct hef_op *op, enum hw_type type, enum hw_order order,
		      struct host_layout *out, struct hw_error *err);
void host_softmax_run(const struct host_layout *l, float *user);

#endif
