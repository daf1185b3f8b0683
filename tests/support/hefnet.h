// SPDX-License-Identifier: MIT
/* Synthetic HEFs with many kinds of layers and host ops, made with the writer of hefgen.h. */
#ifndef TESTS_SUPPORT_HEFNET_H
#define TESTS_SUPPORT_HEFNET_H

#include "support/hefgen.h"

struct hefnet_tensor {
	const char *name;
	uint32_t h, w, f;          /* user shape */
	uint32_t ph, pw, pf;       /* padded, 0: as the user's */
	uint32_t format;           /* 5.3 */
	uint32_t data_bytes;       /* 0: 1 */
	uint32_t pad;              /* 0: none */
};

/* Message 76 as field @field of @m; @additional: what becomes its additional_info, or NULL. */
void hefnet_base(struct buf *m, unsigned int field, const struct hefnet_tensor *t, uint32_t sys,
		 struct buf *additional);
/* Message 68 */
void hefnet_info(struct buf *info, const struct hefnet_tensor *t, uint32_t sys, struct buf *additional);
/* A boundary layer as an edge layer of the context metadata @meta */
void hefnet_layer(struct buf *meta, const struct hefnet_tensor *t, bool input, uint32_t sys,
		  struct buf *additional);
/* A D2H mux of plain layers (messages 70 to 72), as an edge layer of @g's context */
void hefnet_mux(struct hefgen *g, const struct hefnet_tensor *whole, const struct hefnet_tensor *leaf,
		size_t n, uint32_t rounds, const uint32_t *ratios);
/* The same, on stream index @sys; that of hefnet_mux() is 0. */
void hefnet_mux_at(struct hefgen *g, const struct hefnet_tensor *whole, uint32_t sys,
		   const struct hefnet_tensor *leaf, size_t n, uint32_t rounds, const uint32_t *ratios);
/* An input of planes (message 71); of @whole name and shape count */
void hefnet_planes(struct hefgen *g, const struct hefnet_tensor *whole, uint32_t format,
		   const struct hefnet_tensor *plane, size_t n);
/* NMS on the chip (message 78), boxes of 8 bytes; burst 0: none, else extension 19 is needed */
struct hefnet_chip_nms {
	uint32_t classes, boxes, burst, chunks;
};
/* Message 77 around it; @part_of: 1 + the number of this part of "m/whole", 0: no part */
struct buf hefnet_chip_nms(const struct hefnet_chip_nms *n, uint32_t part_of);
/* Messages 32 and 33: "m/whole" is what the parts were */
void hefnet_fused(struct hefgen *g, const struct hefnet_chip_nms *whole);
/* A network of the given tensors and nothing that is in A.1's beyond what is needed to parse. */
void hefnet_begin(struct hefgen *g, const char *group, const struct hefnet_tensor *in, size_t n_in,
		  const struct hefnet_tensor *out, size_t n_out);
/* The next name of the output order */
void hefnet_sorted(struct hefgen *g, const char *name);
/*
 * Append the op with member @kind of ProtoHEFOp; its inputs are fed by core outputs @first_pad and
 * the @inputs - 1 behind it.
 */
void hefnet_op(struct hefgen *g, unsigned int kind, struct buf *member, uint32_t first_pad,
	       uint32_t inputs, const char *output);
void pb_double(struct buf *m, unsigned int field, double v);
/* Fields 1 to 4 of message 22 */
void hefnet_nms(struct buf *nms, double score, double iou, uint32_t per_class, uint32_t classes);
/* The first example of hef-format 8.5 */
void hefnet_yolov8(struct hefgen *g);

/* The listing of a finished @g, which is used up; free() it. */
char *hefnet_listing(struct hefgen *g, bool streams);

#endif
