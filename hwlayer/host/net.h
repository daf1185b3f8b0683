// SPDX-License-Identifier: MIT
/*
 * The host's half of a network: what its user hands in and gets (vstreams), and how that becomes the
 * frames of the chip's streams and is made of them (hef-format 5.10 to 5.15, 6).  Pure: memory in,
 * memory out.
 */
#ifndef HWLAYER_HOST_NET_H
#define HWLAYER_HOST_NET_H

#include "host/boxes.h"
#include "host/chip_nms.h"
#include "host/detect.h"
#include "host/layout.h"
#include "host/logits.h"
#include "host/mux.h"

struct host_options {
	enum hw_type input_type, output_type;
	enum hw_order input_order, output_order; /* of tensors; AUTO: the defaults of 5.3 */
	enum hw_order nms_order;                 /* of detections: AUTO, BY_CLASS, BY_SCORE */
	bool raw_outputs;                        /* leave the ops to the user */
};

/* One input: a stream, or several planes that follow each other in the user's frame (6.11). */
struct host_input {
	struct hw_tensor_info info;
	size_t first_stream, n_layouts;
	struct host_layout *layouts;
};

enum host_output_kind {
	HOST_TENSOR,
	HOST_SOFTMAX,
	HOST_ARGMAX,
	HOST_TABLE,    /* decoded boxes without suppression */
	HOST_DETECTED, /* by a detector on the host */
	HOST_CHIP_NMS, /* by the chip */
	HOST_CHIP_IOU, /* by the chip, with the host's suppression */
};

#define HOST_PARTS_MAX 9u /* of a split NMS (5.6) */

struct host_output {
	enum host_output_kind kind;
	struct hw_tensor_info info;
	const struct hef_op *op; /* NULL: the chip's own */
	size_t frame;            /* index into host_net.frames, where it is one */
	struct host_layout layout;
	struct host_argmax argmax;
	struct host_detector detector;
	size_t n_parts;
	struct host_chip_nms *parts[HOST_PARTS_MAX];
	struct hw_quant quant;   /* of the chip's boxes */
};

struct host_net {
	size_t n_inputs, n_outputs;       /* as the user sees them */
	struct host_input *inputs;
	struct host_output *outputs;
	size_t n_in_streams, n_out_streams;
	const struct hef_layer **in_streams;  /* in the order of contexts and edge layers, planes in */
	const struct hef_layer **out_streams; /* theirs; then the leaves of all muxes: n_frames */
	size_t n_frames;
	const void **frames;              /* one for each of those, while outputs are made */
	uint8_t **leaf_frames;            /* of the leaves */
	struct host_mux *muxes;           /* one for each output stream, empty if it is none */
	struct host_chip_nms *nms;        /* likewise */
	struct host_boxes boxes;          /* used again for each frame */
};

/**
 * host_net_new - what has to be done for the streams of @op
 * @group: it belongs to: knows the order of the outputs
 * @op: must outlive the host_net
 *
 * Return: 0; -ENOTSUP (a layer, op or combination that is out of reach, by name), -ENOMEM.
 */
int host_net_new(const struct hef_group *group, const struct hef_core_op *op,
		 const struct host_options *opt, struct host_net **out, struct hw_error *err);
void host_net_free(struct host_net *net);

/* User frames of all inputs into the frames of all input streams.  Several threads may do so at once. */
void host_net_fill(const struct host_net *net, const void *const *user, void *const *streams);

/*
 * Frames of an NMS stream may come in several transfers (hef_nms_in_pieces()).  Those streams are fed
 * one transfer after the other, and their frames are NULL in host_net_collect(), which begins the next.
 * As host_chip_nms_feed().
 */
int host_net_feed(struct host_net *net, size_t stream, const void *data, size_t len);
/*
 * Frames of all output streams into user frames.  One thread at a time.  -EBADMSG: the boxes of an NMS
 * on the chip are no boxes; -ENOMEM.
 */
int host_net_collect(struct host_net *net, const void *const *streams, void *const *user,
		     struct hw_error *err);

/* As if a frame had been collected: what was fed of it is dropped. */
void host_net_forget(struct host_net *net);

#endif
