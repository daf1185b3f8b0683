// SPDX-License-Identifier: MIT
/*
 * HEF files: container, protobuf message, and the model that the rest of the driver works with.
 * Pure: bytes in, structures out; no device, no clock, no globals.  Source: spec hef-format.
 *
 * The model keeps everything in file order and in the file's own numbers.  What the driver
 * computes from it (channels, pages, periph values, action bytes) is network/'s business; host
 * layout and quantisation are host/layout.h.
 */
#ifndef HWLAYER_HEF_HEF_H
#define HWLAYER_HEF_HEF_H

#include "util/bytes.h"
#include "util/util.h"

#define HEF_MAGIC 0x01484546u

/* hef-format 0.3: the vendor's status for the same refusal, kept beside our errno. */
enum hef_status {
	HEF_OK = 0,
	HEF_INVALID_ARGUMENT = 2,
	HEF_OUT_OF_HOST_MEMORY = 3,
	HEF_INVALID_OPERATION = 6,
	HEF_NOT_IMPLEMENTED = 7,
	HEF_INTERNAL_FAILURE = 8,
	HEF_OPEN_FILE_FAILURE = 13,
	HEF_FILE_OPERATION_FAILURE = 14,
	HEF_INVALID_HEF = 26,
	HEF_NOT_FOUND = 61,
	HEF_CANT_MEET_BUFFER_REQUIREMENTS = 84,
	HEF_FILE_CORRUPTED = 91,
	HEF_NOT_SUPPORTED = 92,
	HEF_NOT_COMPATIBLE_WITH_DEVICE = 93,
};

/* ProtoHEFHwArch (2.3), the values of the Hailo-8 family */
enum hef_arch {
	HEF_ARCH_HAILO8 = 0, /* also a missing field; accepted by no device */
	HEF_ARCH_HAILO8P = 1,
	HEF_ARCH_HAILO8R = 2,
	HEF_ARCH_HAILO8L = 3,
};

#define HEF_LAYOUT_ANY 0xffffffffu /* cluster bitmap of files without per-layout variants */

/*
 * Actions and triggers after flattening (4.6 to 4.9), the "host's kinds" of protocol 4.5.
 * HEF_ACT_NONE stays in the list: it separates groups although it produces no bytes.
 */
enum hef_action_kind {
	HEF_ACT_NONE,
	HEF_ACT_WRITE_CCW, /* one per (group, channel), in emission order */
	HEF_ACT_ENABLE_SEQUENCER,
	HEF_ACT_WAIT_FOR_SEQUENCER,
	HEF_ACT_ENABLE_LCU_DEFAULT,
	HEF_ACT_ENABLE_LCU_NON_DEFAULT,
	HEF_ACT_DISABLE_LCU,
	HEF_ACT_SWITCH_LCU_BATCH,
	HEF_ACT_ALLOW_INPUT_DATAFLOW,
	HEF_ACT_WAIT_FOR_MODULE_CONFIG_DONE,
	HEF_ACT_ENABLE_NMS,
	HEF_ACT_WRITE_DATA_BY_TYPE,
	HEF_ACT_SLEEP,
	HEF_ACT_HALT,
	HEF_ACT_WAIT_LCU,             /* trigger_lcu */
	HEF_ACT_WAIT_OUTPUT_DONE,     /* trigger_all_data_was_sent */
	HEF_ACT_WAIT_DMA_IDLE,        /* trigger_dma_idle */
	HEF_ACT_WAIT_NMS,             /* trigger_nms */
};

/* Configuration bytes of one write: pieces in file order, contiguous on the wire. */
struct hef_ccw {
	uint8_t channel;          /* cfg_channel_index */
	size_t n_pieces;
	struct span *pieces;      /* into memory that the hef owns */
	uint64_t bytes;           /* their sum */
};

struct hef_action {
	enum hef_action_kind kind;
	union {
		struct hef_ccw ccw;
		struct {
			uint8_t cluster, l3_cut;
			uint16_t l3_offset;
			uint32_t apu, ia;
			uint64_t sc, l2, l2_offset_0, l2_offset_1;
		} sequencer;      /* cluster alone for the wait */
		struct {
			uint8_t cluster, lcu, network;
			uint16_t done_address;
			uint32_t done_count;
		} lcu;            /* also the wait and the batch switch */
		struct {
			uint8_t stream;
		} flow;           /* allow_input_dataflow, output-done, dma-idle */
		struct {
			uint8_t index;
		} module;
		struct {
			uint8_t unit, network, division_factor;
			uint16_t classes, burst_size;
		} nms;
		struct {
			uint8_t aggregator, pred_ob, pred_cluster, pred_interface, succ_ob, succ_interface;
		} nms_wait;
		struct {
			uint32_t address, data, mask;
			uint8_t type, shift, network;
		} write;
		uint32_t sleep_us;
	};
};

enum hef_edge_kind { HEF_EDGE_BOUNDARY, HEF_EDGE_INTER_CONTEXT, HEF_EDGE_DDR, HEF_EDGE_CACHE };
enum hef_edge_shape { HEF_SHAPE_INFO, HEF_SHAPE_MUX, HEF_SHAPE_PLANES };

struct hef_nms {
	uint32_t classes, bbox_size, max_boxes, division_factor; /* raw; 0 stays 0 */
	uint32_t burst_size;
	uint8_t burst_type;
	bool burst;               /* extension 19 */
	bool defused;
	uint32_t class_group;
	char original_name[HW_NAME_MAX];
};

/* The layer that an on-chip NMS was before it was split into parts (5.9): what the user sees. */
struct hef_fused {
	char name[HW_NAME_MAX];
	enum hw_order order;
	uint8_t data_bytes;
	struct hef_nms nms;
};

/*
 * One edge layer.  For MUX, @sub are the predecessors (leaves or muxes); for PLANES, the planes.
 * Each plane is a boundary stream of its own.
 */
struct hef_layer {
	enum hef_edge_kind kind;
	enum hef_edge_shape shape;
	bool input;                       /* H2D */
	char name[HW_NAME_MAX];
	uint8_t network;                  /* network index, 0 without optional extension 8 */
	uint8_t stream;                   /* sys_index */
	uint8_t engine;
	enum hw_order order;              /* hardware order (5.3) */
	uint8_t format;                   /* raw code, 13 and 0 are both NHWC */
	uint8_t data_bytes;               /* 1 or 2 */
	bool transposed;
	uint32_t height, width, features; /* user shape, exchanged when transposed (5.4) */
	uint32_t raw_height, raw_width;   /* as stored */
	uint32_t hw_height, hw_width, hw_features; /* what crosses PCIe (5.4) */
	uint32_t padded_height, padded_width, padded_features;
	uint16_t feature_padding_payload;
	uint16_t core_bytes_per_buffer, core_buffers_per_frame;
	uint32_t max_shmifo_size;         /* as stored, 0 = unknown */
	struct hw_quant quant;
	size_t n_feature_quant;           /* extension 25: one per feature */
	struct hw_quant *feature_quant;
	bool has_nms;
	struct hef_nms nms;
	const struct hef_fused *fused;    /* a part of a split NMS: the whole; NULL otherwise */
	bool has_pad;
	uint32_t pad;
	/* inter-context, DDR: the other end */
	uint16_t peer_context;
	uint8_t peer_stream;
	uint16_t ddr_rows;                /* rows to keep buffered */
	int32_t cache_id;
	/* mux, planes */
	uint32_t mux_rounds;              /* height_gcd */
	uint32_t *mux_ratios;             /* one per predecessor */
	enum hw_order planes_order;       /* NV12, NV21, I420: the vstream's order */
	size_t n_sub;
	struct hef_layer *sub;
};

struct hef_context {
	size_t n_actions;
	struct hef_action *actions;
	size_t n_layers;                  /* none in the preliminary context */
	struct hef_layer *layers;         /* file order */
	/* 4.9: burst sizes per config channel, for the size of the descriptor list (7.2) */
	struct {
		size_t n;
		uint32_t *sizes;
	} bursts[256];
};

/*
 * Work left to the host on outputs of the chip (5.12 to 5.15); net-flow files only.  Layers point
 * into the core op that the op belongs to.
 */
enum hef_op_kind {
	HEF_OP_YOLOV5,
	HEF_OP_YOLOX,
	HEF_OP_SSD,
	HEF_OP_IOU,
	HEF_OP_YOLOV5_SEG,
	HEF_OP_YOLOV8,
	HEF_OP_ARGMAX,
	HEF_OP_SOFTMAX,
};

/* Boxes of one scale: where their features are and what they are relative to. */
struct hef_decoder {
	const struct hef_layer *boxes;    /* YOLOv5, segmentation: all features are in here */
	const struct hef_layer *classes, *objectness; /* NULL where the kind has none */
	uint32_t stride;
	size_t n_anchors;
	float *anchor_heights, *anchor_widths; /* pixels; SSD: fractions of the image */
};

struct hef_op {
	enum hef_op_kind kind;
	char *name;                       /* for error texts */
	char output[HW_NAME_MAX];         /* name of its vstream */
	size_t n_inputs;
	const struct hef_layer **inputs;
	/* argmax, softmax: what the output pad asks for; 0: automatic (5.15) */
	uint32_t out_order, out_type;     /* numbered as enum hw_order, enum hw_type */
	/* all kinds of NMS */
	bool boxes_only;
	double score_threshold, iou_threshold; /* rounded to f32 (5.13) */
	uint32_t max_per_class, classes;
	bool background_removal;
	uint32_t background_index;
	double image_height, image_width; /* not of IOU */
	uint32_t centers_scale, boxes_scale;   /* SSD */
	uint32_t ty, tx, th, tw;          /* SSD: where the four box values are */
	double mask_threshold;            /* segmentation */
	const struct hef_layer *prototypes;
	size_t n_decoders;
	struct hef_decoder *decoders;
};

struct hef_core_op {
	uint32_t layout;                  /* cluster bitmap or HEF_LAYOUT_ANY */
	uint8_t cfg_channels;             /* 1.. */
	struct hef_context preliminary;
	size_t n_contexts;                /* dynamic */
	struct hef_context *contexts;
	size_t n_networks;                /* networks_names, or 0 */
	char **networks;
	bool can_fast_batch_switch;       /* 4.11 */
	size_t n_ops;
	struct hef_op *ops;               /* file order */
};

struct hef_group {
	char *name;
	size_t n_core_ops;                /* variants, ascending by layout; [0] is "the" metadata */
	struct hef_core_op *core_ops;
	size_t n_outputs_order;
	char **outputs_order;             /* sorted_output_names (4.5) */
	size_t n_networks;                /* networks shown to the user (4.4), "group/network" */
	char **networks;
};

/* Which switches a file sets (3.1). */
struct hef_features {
	bool padded_ddr, multi_network, hw_padding, run_asap, net_flow, nms_burst;
	bool dual_direction, output_scale_by_feature, periph_in_host, batch_register, shared_config;
};

struct hef {
	uint8_t *image;                   /* the file; owned */
	size_t image_len;
	uint32_t version;                 /* container */
	uint32_t arch;                    /* ProtoHEFHwArch */
	struct hef_features features;
	bool software_chip;               /* mandatory extension 1000: see mock/payload.h */
	char sdk_version[64];
	char digest[33];                  /* 1.8, lowercase hex */
	size_t n_groups;
	struct hef_group *groups;         /* reverse file order (4.3): [0] is the default */
	struct hef_memory *memory;        /* everything above; hef_free() gives it back at once */
	void *message;                    /* container 0: the decoded message, which pieces point into */
};

/**
 * hef_parse - read and check a whole file (1.5, with the stricter checks of 1.7 and Appendix C)
 * @image: malloc()ed bytes; the hef owns them afterwards, also on error (it frees them)
 * @status: may be NULL; the vendor's status code for the refusal
 *
 * The mandatory extension numbers accepted are those of 3.1 and, setting @software_chip, 1000 (PAYLOAD_HEF_EXTENSION).
 * Files that are no HEF at all (JSON mock, text, Git LFS pointer, cut short) are named as such.
 *
 * Return: 0; -EBADMSG (statuses 14, 91, 26, 2, 6, 8 ...: not a HEF, corrupted, inconsistent),
 * -ENOTSUP (92: valid, but not for this reader), -ENOMEM.
 */
int hef_parse(uint8_t *image, size_t len, struct hef **out, enum hef_status *status,
	      struct hw_error *err);
/* Read the file, then hef_parse(). -ENOENT etc. */
int hef_open(const char *path, struct hef **out, enum hef_status *status, struct hw_error *err);
void hef_free(struct hef *hef);

/* By group name, "" or NULL for the default; NULL if there is none. */
const struct hef_group *hef_find_group(const struct hef *hef, const char *name);

/**
 * hef_select - the variant of @group for a device (3.4, 3.5)
 * @arch: what IDENTIFY said; @clusters: the 8L's layout bitmap; @software_chip: the card is one
 *
 * Return: 0; -ENOTSUP with a text that names file and device (93 not compatible, 26 layout
 * missing, or a software-chip file on a real card).
 */
int hef_select(const struct hef *hef, const struct hef_group *group, enum hw_arch arch,
	       uint32_t clusters, bool software_chip, const struct hef_core_op **out,
	       enum hef_status *status, struct hw_error *err);

/* What a user gets or hands in for a hardware order unless he asks for another (5.3). */
enum hw_order hef_default_order(enum hw_order hw);

/* Bytes of one transfer (protocol 5.2): frame aligned to 8; NMS as described there. */
uint32_t hef_transfer_bytes(const struct hef_layer *layer);
/* NMS on the chip whose frames take several transfers, as many as there are boxes or bursts */
bool hef_nms_in_pieces(const struct hef_layer *layer);
/* Transfers that make one frame (protocol 5.2): 1 except for on-chip NMS. */
uint32_t hef_transfers_per_frame(const struct hef_layer *layer);

#endif
