// SPDX-License-Identifier: MIT
/*
 * From a HEF's core op to a configured chip.  Sources: spec firmware-protocol 4 and 5.
 *
 * network_plan() decides everything that can be decided without a device (pure); network_alloc()
 * gives lists and buffers their bus addresses; network_contexts() writes the action bytes (pure);
 * network_configure() sends them.  What was sent is kept as a map from (context, action index)
 * to words, so that a run-time error of the firmware can be told in the user's terms.
 */
#ifndef HWLAYER_NETWORK_NETWORK_H
#define HWLAYER_NETWORK_NETWORK_H

#include "chip/chip.h"
#include "hef/hef.h"
#include "vdma/vdma.h"

struct network_options {
	uint32_t batch;        /* 0 means 1 */
	uint32_t max_page;     /* the host's largest descriptor page: chip->max_desc_page */
	uint32_t queue_scale;  /* s of protocol 5.6: 8 (released packages) or 32; 0 means 8 */
};

/* One write to a config channel: n descriptors, then one FETCH. */
struct network_piece {
	uint32_t first_desc, descs;
	uint32_t bytes;
	const struct hef_ccw *ccw;
};

/* One config channel in one context (5.5). */
struct network_config {
	uint8_t channel;           /* vDMA channel = config stream index (H2D 0..) */
	uint8_t stream;
	uint32_t page, count;      /* of its list */
	uint32_t used;             /* descriptors fetched in this context */
	size_t n_pieces;
	struct network_piece *pieces;
	struct vdma_list list;     /* from network_alloc() on */
	struct backend_dma buffer;
};

/* One stream: a boundary input or output, a plane, or an internal layer (5.6 to 5.8). */
struct network_stream {
	const struct hef_layer *layer;
	uint16_t context;          /* dynamic context it belongs to */
	bool input;
	uint8_t channel;
	uint32_t transfer;         /* T, bytes */
	uint32_t page, count, queue;
	/* stream register info and credits (4.3, 5.7) */
	uint16_t periph_bytes, periph_buffers;
	uint16_t feature_padding_payload, buffer_padding;
	uint32_t buffer_padding_payload;
	uint32_t initial_credit;
	struct vdma_list list;
	struct backend_dma buffer; /* internal layers only */
};

struct network_context {
	enum fw_context_type type;
	uint16_t index;            /* of a dynamic context */
	size_t n_configs;
	struct network_config *configs;
	struct buf actions;        /* after network_contexts() */
	size_t n_cuts;             /* chunk ends, offsets into actions (4.2) */
	size_t *cuts;
	size_t n_names;            /* actions, members of a repeated one counted singly: for error texts */
	struct {
		uint32_t offset;   /* into actions; of a member: its parameters */
		uint8_t type;      /* enum fw_action, never FW_ACT_REPEATED_ACTION */
		int channel;       /* vDMA channel it is about, -1 if none */
	} *names;
};

struct network {
	const struct hef *hef;                 /* must outlive the network: names in error texts are its */
	const struct hef_group *group;
	const struct hef_core_op *op;
	struct network_options opt;
	struct chip_hw_consts consts;
	uint32_t clusters;
	uint8_t app;                           /* application index */
	uint8_t cfg_channels;
	uint8_t header[32];
#define NETWORK_HEADER_FAST_BATCH 4            /* can_fast_batch_switch (protocol 4.1) */
	size_t n_inputs, n_outputs;            /* boundary, in the order of the contexts' edge layers */
	struct network_stream *inputs, *outputs;
	size_t n_internal;
	struct network_stream *internal;
	size_t n_contexts;                     /* activation, batch switching, preliminary, dynamic... */
	struct network_context *contexts;
	uint32_t boundary_channels;            /* bitmap */
};

/* Decide.  -ENOTSUP / -EINVAL / -EBADMSG with the reason, -ENOMEM. */
int network_plan(const struct hef *hef, const struct hef_group *group, const struct hef_core_op *op,
		 const struct chip_hw_consts *consts, const struct network_options *opt,
		 struct network **out, struct hw_error *err);
/* Lists and buffers; config data is copied and bound. */
int network_alloc(struct network *net, struct backend *be, struct hw_error *err);
/* header[] and the action bytes of every context; needs bus addresses. */
int network_contexts(struct network *net, struct hw_error *err);
/* SET_NETWORK_GROUP_HEADER and SET_CONTEXT_INFO for application net->app. */
int network_configure(struct network *net, struct chip *chip, struct hw_error *err);
/* Give DMA memory back; the chip must not use it any more.  NULL is fine. */
void network_free(struct network *net, struct backend *be);

/*
 * Words for a run-time error: the action, its context and its channel.
 * "FETCH_CFG_CHANNEL_DESCRIPTORS on config channel 1 (vDMA channel 1) in the preliminary context".
 * event->context counts as the firmware does; unknown combinations are described as numbers.
 */
void network_describe_action(const struct network *net, uint16_t context, uint16_t action, char *buf,
			     size_t size);
/*
 * Nothing moves: look at every channel's registers and say which one starves.  Config channels
 * are compared with the descriptors that were to be fetched (hardware-evidence 9.1, check 15).
 */
void network_describe_stall(const struct network *net, struct backend *be, char *buf, size_t size);

#endif
