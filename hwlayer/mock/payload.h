// SPDX-License-Identifier: MIT
/*
 * What travels over the config channels of a software chip's network.  Shared by the builder
 * (build/) and the core (mock/core.c).
 *
 * A config channel carries CCW records (hef-format 4.9): u32 LE words-1, u32 LE address, words,
 * and one zero word where the number of words is odd.  The core has a memory of its own; the
 * address of a record is a byte offset into it.  The channel's first record goes to
 * PAYLOAD_STREAM_BASE(stream) and holds struct payload_stream: how many bytes of records follow
 * on this channel and their XXH3-64.  All records of all channels together write each byte of the
 * image exactly once; nothing may be left out, written twice or lie outside.
 *
 * The image: struct payload_image, then the quantisation table, then the graph.
 *
 * Activations are int16 "codes": value = code * scale, zero is always code 0, so padding with
 * zeros is exact.  An 8-bit activation spans at most 256 codes; sums that only feed an addition
 * or a Gemm behind a pool may use more.  A port translates: byte = code + zero point.
 *
 * Quantisation table:
 *   u32 elements[tensors]
 *   per port: struct payload_port, f32 scale[n], u8 zero[n], zero bytes up to a multiple of 4
 *     element i of a port uses entry (i / inner) % n
 *
 * Graph: per layer, in execution order, struct payload_layer and a body, zero bytes up to a
 * multiple of 4.  Every tensor is written once, by an input port or by one layer, before it is
 * read.  Bodies ("channel" c of element i is (i / inner) % n):
 *   CONV   struct payload_conv, f32 mult[o], f32 bias[o], i16 lo[o], i16 hi[o],
 *          weights[o][c / groups][kh][kw], i8 or i16
 *   ADD    u32 in2, u32 n, u32 inner, f32 mult[n], f32 mult2[n], f32 bias[n], i16 lo[n], i16 hi[n]
 *   SCALE  u32 n, u32 inner, f32 mult[n], f32 bias[n], i16 lo[n], i16 hi[n]
 *   POOL   as SCALE; the sum of each run of @inner elements, of n channels
 *   TABLE  i32 first, u32 count, i16 out[count]: out[code - first]
 *   MOVE   u32 rank, u32 offset, per axis u32 dim, i32 stride: gather, last axis fastest
 * Layer results: code = clamp(round-half-even(sum * mult + bias), lo, hi), where the sum is an
 * exact int32 and the rest f32 without fused multiply-add (ADD: a * mult + b * mult2 + bias).
 */
#ifndef HWLAYER_MOCK_PAYLOAD_H
#define HWLAYER_MOCK_PAYLOAD_H

#include <stdint.h>

#include "util/bytes.h"

#define PAYLOAD_MAGIC 0x4e534948u /* "HISN" */
#define PAYLOAD_VERSION 1u
/* The mandatory HEF extension that keeps such a file away from real chips and the vendor's library.
 */
#define PAYLOAD_HEF_EXTENSION 1000u
#define PAYLOAD_HEF_EXTENSION_NAME "HAILO_INFERENCE_SOFTWARE_CHIP"
#define PAYLOAD_STREAM_BASE(s) (0xf0000000u + (uint32_t)(s)*0x100u)
#define PAYLOAD_IMAGE_MAX (256u << 20)

/* All little-endian, no padding. */
struct payload_stream {
	uint32_t magic; /* PAYLOAD_MAGIC */
	uint32_t version;
	uint32_t stream;      /* the channel it must arrive on */
	uint32_t streams;     /* how many channels the network uses */
	uint64_t bytes;	      /* of the records that follow on this channel, headers included */
	uint64_t xxh3;	      /* of those bytes */
	uint64_t image_bytes; /* size of the image, the same on all channels */
	uint64_t image_xxh3;  /* of the whole image, the same on all channels */
	uint64_t self_xxh3;   /* of the bytes before this field */
};
_Static_assert(sizeof(struct payload_stream) == 56, "packed by construction");
#define PAYLOAD_STREAMS_MAX 4u /* hef-format 0.4: configuration channels in the firmware header */

/*
 * Is what a config channel carries a payload, or a real network's microcode?  Its first bytes tell.
 * The address and the magic number count alike, so that damage in one place never makes a payload
 * pass for microcode.
 */
#define PAYLOAD_HEAD 12u
static inline bool payload_is_ours(const uint8_t *head, size_t len)
{
	return (len >= 8 && get_le32(head + 4) - PAYLOAD_STREAM_BASE(0) <
				    PAYLOAD_STREAM_BASE(PAYLOAD_STREAMS_MAX) - PAYLOAD_STREAM_BASE(0)) ||
	       (len >= 12 && get_le32(head + 8) == PAYLOAD_MAGIC);
}

#define PAYLOAD_IMAGE_MAGIC 0x47534948u /* "HISG" */
#define PAYLOAD_TENSORS_MAX 65536u
#define PAYLOAD_LAYERS_MAX 65536u
#define PAYLOAD_PORTS_MAX 64u
#define PAYLOAD_ELEMENTS_MAX (64u << 20) /* of one tensor */
#define PAYLOAD_RANK_MAX 8u

struct payload_image {
	uint32_t magic;	  /* PAYLOAD_IMAGE_MAGIC */
	uint32_t version; /* PAYLOAD_VERSION */
	uint32_t tensors, ports, layers;
	uint32_t quant_bytes; /* of the quantisation table; multiple of 4 */
	uint32_t graph_bytes; /* of the graph; the image ends with it */
	uint32_t zero;
};
_Static_assert(sizeof(struct payload_image) == 32, "packed by construction");

struct payload_port {
	uint32_t tensor;
	uint8_t stream_index; /* sys_index of its edge layer */
	uint8_t output;	      /* 0 or 1 */
	uint16_t zero;
	uint32_t n, inner;
};
_Static_assert(sizeof(struct payload_port) == 16, "packed by construction");

enum payload_op {
	PAYLOAD_CONV = 1,
	PAYLOAD_ADD = 2,
	PAYLOAD_SCALE = 3,
	PAYLOAD_POOL = 4,
	PAYLOAD_TABLE = 5,
	PAYLOAD_MOVE = 6,
};

struct payload_layer {
	uint32_t op;	  /* enum payload_op */
	uint32_t bytes;	  /* with this header; multiple of 4 */
	uint32_t out, in; /* tensors */
};
_Static_assert(sizeof(struct payload_layer) == 16, "packed by construction");

/* Input c x h x w, output o x oh x ow; positions outside the input read as 0. */
struct payload_conv {
	uint32_t groups, c, h, w, o, kh, kw;
	uint32_t sh, sw, dh, dw;
	int32_t pt, pl; /* rows above and columns left of the input; negative: skipped */
	uint32_t oh, ow;
	uint32_t weight_bytes; /* 1, or 2 where scales of the host's channels are folded in */
};
_Static_assert(sizeof(struct payload_conv) == 64, "packed by construction");

#endif
