// SPDX-License-Identifier: MIT
/* What the parts of the HEF reader share with each other, and with nobody else. */
#ifndef HWLAYER_HEF_PARSE_H
#define HWLAYER_HEF_PARSE_H

#include "hef/hef.h"

#include "hef.pb-c.h"

#define PARSE_NOWHERE (-2)
#define PARSE_PRELIMINARY (-1)

/* State of one hef_parse(): where the parser is, for the sentence in case it refuses. */
struct parse {
	struct hef *hef;
	struct span ccws; /* the bytes behind the CCW zero point (1.3) */
	enum hef_status status;
	struct hw_error *err;
	const char *group;	/* NULL: none yet */
	int context;		/* PARSE_NOWHERE, PARSE_PRELIMINARY, or the index */
	long operation, action; /* -1: not in one; an operation's trigger is action -1 */
	const char *layer;
};

/* A core op in either file layout (4.2). */
struct core_src {
	const ProtoHEFNetworkGroupMetadata *meta;
	const ProtoHEFPreliminaryConfig *preliminary;
	ProtoHEFContext **contexts;
	size_t n_contexts;
	const ProtoHEFFusedLayersMetadata *fused;
	char **networks;
	size_t n_networks;
};

/* Refuse the file: note the vendor's status, say where and why, return the errno for it. */
int parse_refuse(struct parse *p, enum hef_status status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Refuse (26) unless @value is at most @max; @what names it. */
int parse_fits(struct parse *p, const char *what, uint64_t value, uint64_t max);

/* Zeroed memory that lives as long as the hef; NULL after noting the failure.  0 bytes are fine. */
void *parse_alloc(struct parse *p, size_t n, size_t size);
char *parse_strdup(struct parse *p, const char *s);
/* @at's bytes moved into the hef's memory, @b emptied; the errno when memory ran out. */
int parse_keep(struct parse *p, struct buf *b, void *at);
int parse_nomem(struct parse *p);

/* container.c: 1.1 to 1.8 up to the message */
struct container {
	uint32_t version;
	struct span message, ccws;
	char digest[33];
};

int container_open(struct parse *p, const uint8_t *image, size_t len, struct container *out);

/* wire.c: what protobuf-c does not check, and valid encodings that it would get wrong */
struct wire {
	const char *why; /* of a refusal */
	size_t messages;
	bool split;      /* a singular sub-message comes in several parts: wire_join() */
};

int wire_check(const ProtobufCMessageDescriptor *desc, struct span in, struct wire *w);
/* Append checked @in with all such parts joined; @out->failed when memory runs out. */
void wire_join(const ProtobufCMessageDescriptor *desc, struct span in, struct buf *out);

/* parse_group.c */
int parse_groups(struct parse *p, const ProtoHEFHef *msg);

/* parse_context.c: 4.6 to 4.9 */
int parse_operations(struct parse *p, ProtoHEFOperation **ops, size_t n, struct hef_context *out);

/* parse_layer.c: section 5; the context's position is p->context */
int parse_edge_layers(struct parse *p, const struct core_src *src, const ProtoHEFContext *ctx,
		      struct hef_context *out);

/* parse_numeric.c: 3.3, 5.3, 5.5, 5.6, 5.9 */
enum arch_family { FAMILY_UNKNOWN, FAMILY_H8, FAMILY_H15, FAMILY_NO_NMS };

enum arch_family arch_family(uint32_t arch);
int parse_format(struct parse *p, const ProtoHEFEdgeLayerBase *base, enum hw_order *order);
int parse_data_bytes(struct parse *p, const ProtoHEFEdgeLayerBase *base, uint8_t *out);
int parse_name(struct parse *p, const char *what, char to[HW_NAME_MAX], const char *from);
int parse_nms(struct parse *p, const ProtoHEFNmsInfo *nms, struct hef_nms *out);
int parse_fused(struct parse *p, const ProtoHEFFusedLayersMetadata *fused,
		const struct hef_nms *part, const struct hef_fused **out);
int parse_quant(struct parse *p, const ProtoHEFEdgeLayerNumericInfo *num, struct hef_layer *out);

/* net_flow.c: 5.12, 5.13, 5.15; fills @op's ops */
int parse_host_ops(struct parse *p, const ProtoHEFNetworkGroup *ng, struct hef_core_op *op);

/* Absent sub-messages read as empty ones; this spells that out at each place. */
#define OR_EMPTY(ptr, empty) ((ptr) ? (ptr) : (empty))

#endif
