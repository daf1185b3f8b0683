// SPDX-License-Identifier: MIT
/* What comes out where microcode was configured and nothing stands in (docs/mock.md).  Pure. */
#ifndef HWLAYER_MOCK_PATTERN_H
#define HWLAYER_MOCK_PATTERN_H

#include <stddef.h>
#include <stdint.h>

/*
 * A network of one context: byte i of frame k on channel c is (167 i + 59 (i >> 8) + 31 k + 17 c +
 * 5) mod 256, the generator of the golden recordings.
 */
void pattern_fixed(uint8_t *out, size_t bytes, uint32_t frame, unsigned int ch);

/*
 * A network with streams inside: each output of a context depends on every byte that went into the
 * context, so that a wrong buffer, order or credit ends in wrong bytes.
 *
 * Digests are XXH3-64 of 64-bit little-endian numbers in a row.  That of a context's
 * configuration is made of the digests of what its config channels carried in the preliminary
 * context and in its own, channel by channel (0 to 3, empty ones too).  That of a frame is made of
 * the configuration's and of each input's: its stream index, then the digest of its bytes, by
 * ascending stream index.  Rows buffered in host memory are answered from the other inputs,
 * everything else from all of them.
 */
struct pattern_config {
	uint64_t preliminary[4], context[4];
};
struct pattern_input {
	uint8_t stream;
	const uint8_t *bytes;
	size_t len;
};
/* @in is sorted by this. */
uint64_t pattern_digest(const struct pattern_config *config, struct pattern_input *in, size_t n);
/* Byte i of stream s: byte i % 8 of mix(digest + 256 (i / 8) + s), see pattern.c. */
void pattern_chained(uint8_t *out, size_t bytes, uint64_t digest, uint8_t stream);

/*
 * NMS: how many boxes section @section (a class of a chunk) of frame @frame has, and the @i-th of them.
 * At most two, and one less than @burst where that is more than one.
 */
uint32_t pattern_boxes(uint32_t frame, uint32_t section, uint32_t burst);
uint64_t pattern_box(uint32_t frame, uint32_t section, uint32_t i);

#endif
