// SPDX-License-Identifier: MIT
/* Images and config streams of the neural core, written by hand from mock/payload.h. */
#ifndef TESTS_SUPPORT_COREIMAGE_H
#define TESTS_SUPPORT_COREIMAGE_H

#include "mock/core.h"
#include "support/support.h"

extern uint32_t core_seed; /* of the numbers below */
uint32_t core_rnd(void);
int32_t core_between(int32_t lo, int32_t hi);

/* The documented result of a layer, from libm's rounding instead of the kernel's trick. */
int16_t core_expect(int64_t sum, float mult, float bias, int16_t lo, int16_t hi);
/* A convolution with random weights and factors around @mult. */
void core_put_conv(struct buf *b, uint32_t out, uint32_t in, const struct payload_conv *c,
		   float mult, int16_t lo, int16_t hi);

#define NET_C 3u
#define NET_T 10u
#define NET_O 5u

/*
 * One input of NET_T x NET_C bytes, turned, convolved, run through a table and added to itself,
 * pooled, and multiplied: every kind of layer once.
 */
void core_make_network(struct buf *image);
/* Records of @step words for words [first, last) of the image, with the leading record. */
void core_make_stream(struct buf *s, const struct buf *image, uint32_t stream, uint32_t streams,
		      size_t first, size_t last, size_t step);

#endif
