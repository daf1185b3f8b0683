// SPDX-License-Identifier: MIT
#include "mock/pattern.h"

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "util/bytes.h"

void pattern_fixed(uint8_t *out, size_t bytes, uint32_t frame, unsigned int ch)
{
	uint32_t first = frame * 31 + ch * 17 + 5, at = 0;

	/* In 256s, of which each byte is its neighbour's plus a constant: large frames want it
	 * fast. */
	for (; bytes - at >= 256; at += 256, first += 59) {
		for (uint32_t i = 0; i < 256; i++)
			out[at + i] = (uint8_t)(i * 167 + first);
	}
	for (uint32_t i = 0; at + i < bytes; i++)
		out[at + i] = (uint8_t)(i * 167 + first);
}

static void sort(struct pattern_input *in, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		for (size_t k = i; k > 0 && in[k - 1].stream > in[k].stream; k--) {
			struct pattern_input t = in[k];

			in[k] = in[k - 1];
			in[k - 1] = t;
		}
	}
}

uint64_t pattern_digest(const struct pattern_config *config, struct pattern_input *in, size_t n)
{
	uint8_t numbers[(1 + 2 * 32) * 8];
	size_t at = 0;

	for (unsigned int s = 0; s < 4; s++) {
		put_le64(numbers + 16 * s, config->preliminary[s]);
		put_le64(numbers + 16 * s + 8, config->context[s]);
	}
	put_le64(numbers, XXH3_64bits(numbers, 64));
	at = 8;
	sort(in, n);
	for (size_t i = 0; i < n && i < 32; i++, at += 16) {
		put_le64(numbers + at, in[i].stream);
		put_le64(numbers + at + 8, XXH3_64bits(in[i].bytes, in[i].len));
	}
	return XXH3_64bits(numbers, at);
}

/* The finaliser of SplitMix64: every bit of the result depends on every bit of @z. */
static uint64_t mix(uint64_t z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

void pattern_chained(uint8_t *out, size_t bytes, uint64_t digest, uint8_t stream)
{
	uint8_t word[8];

	for (size_t at = 0; at < bytes; at += 8) {
		put_le64(word, mix(digest + 256 * (at / 8) + stream));
		memcpy(out + at, word, bytes - at < 8 ? bytes - at : 8);
	}
}
