// SPDX-License-Identifier: MIT
/*
 * What the parts of the layout code share.
 *
 * Every listed combination is one to three boxes ("passes") of elements, or one for each eight
 * features: three nested counts with strides on both sides, the innermost one contiguous on the
 * user's side.  Transposition exchanges two strides and costs nothing more.
 */
#ifndef HWLAYER_HOST_LAYOUT_INTERNAL_H
#define HWLAYER_HOST_LAYOUT_INTERNAL_H

#include "host/layout.h"

struct host_pass {
	size_t user, hw; /* first element on either side */
	size_t n[3];
	size_t u[2];	 /* user strides of the outer two */
	ptrdiff_t d[3];	 /* hardware strides */
	int feature_dim; /* which of the three runs over features */
	size_t feature;	 /* the one it starts with */
};

/* The user's shape in the hardware's orientation */
static inline uint32_t host_turned_height(const struct host_layout *l)
{
	return l->transpose ? l->user.width : l->user.height;
}

static inline uint32_t host_turned_width(const struct host_layout *l)
{
	return l->transpose ? l->user.height : l->user.width;
}

/* The @index-th box of elements to move; false when there are no more. */
bool host_layout_pass(const struct host_layout *l, unsigned int index, struct host_pass *out);

#endif
