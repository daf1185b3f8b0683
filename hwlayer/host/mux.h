// SPDX-License-Identifier: MIT
/* A mux stream and the layers in it (hef-format 6.7).  Pure. */
#ifndef HWLAYER_HOST_MUX_H
#define HWLAYER_HOST_MUX_H

#include "hef/hef.h"

/* Bytes that follow each other in the mux frame and in one of its leaves. */
struct host_piece {
	uint32_t leaf;
	size_t from, to, len;
};

struct host_mux {
	size_t n_leaves;
	const struct hef_layer **leaves; /* depth first, as the user sees them */
	size_t n_pieces;
	struct host_piece *pieces;
	size_t bytes;                    /* of a mux frame that are read */
};

/*
 * Walk the rounds of @mux once.  -ENOTSUP: the numbers in the file do not add up, or a leaf is an
 * NMS; -ENOMEM.  Free with host_mux_free(), also after an error.
 */
int host_mux_init(const struct hef_layer *mux, struct host_mux *out, struct hw_error *err);
void host_mux_free(struct host_mux *m);
/* One mux frame into one hardware frame for each leaf (ceil8 of its shape). */
void host_mux_split(const struct host_mux *m, const void *frame, void *const *leaves);

#endif
