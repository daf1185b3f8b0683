// SPDX-License-Identifier: MIT
/* Small networks for tests, made without files: y = W x + b on 8 numbers. */
#ifndef TESTS_SUPPORT_TINYNET_H
#define TESTS_SUPPORT_TINYNET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hwlayer/tensor.h>

#define TINY_IN 8
#define TINY_OUT 8

/*
 * HEF bytes (free() them) of a network whose weight matrix is @sign times the identity shifted by
 * @shift columns: output o of input x is sign * x[(o + shift) % 8].  Inputs are bytes (u8, input
 * quantisation folded away), outputs bytes.  All tiny networks have the same size.
 */
uint8_t *tiny_hef(const char *name, float sign, unsigned int shift, size_t *len);
/*
 * The byte that output @o must be for the input bytes @in of a network with sign 1: from the input
 * scales that build_hef() reported and the output's own quantisation.  It may be off by one step.
 */
int tiny_want(const uint8_t in[TINY_IN], unsigned int o, unsigned int shift, const struct hw_quant *out);
/* All of @out are, within that step. */
bool tiny_right(const uint8_t in[TINY_IN], const uint8_t out[TINY_OUT], unsigned int shift,
		const struct hw_quant *quant);
/* Input that is different for each @seed. */
void tiny_fill(uint8_t in[TINY_IN], unsigned int seed);

/* Where the CCW block of a version 2 HEF lies; and the digest made right again after a change. */
void hef_ccws(const uint8_t *hef, size_t len, size_t *off, size_t *size);
void hef_fix_digest(uint8_t *hef, size_t len);

#endif
