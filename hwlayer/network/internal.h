// SPDX-License-Identifier: MIT
/* What the files of network/ share with each other. */
#ifndef HWLAYER_NETWORK_INTERNAL_H
#define HWLAYER_NETWORK_INTERNAL_H

#include "network/network.h"

#define NETWORK_CONFIG_PAGE 512u /* 5.5, 5.6, 5.8: pages start at min(512, host maximum) */
#define NETWORK_DESCS_MAX 65535u /* 5.5, 5.8: beyond it the page is doubled */
#define NETWORK_SERVICE_CONTEXTS 3u
#define NETWORK_CONTEXTS_MAX 1024u /* 1.5, with the service contexts */
#define NETWORK_NETWORKS_MAX 8u
#define NETWORK_DDR_ROW 512u       /* 5.8: DDR rows are a multiple of it */

/* Places in network.contexts; dynamic context k is at NETWORK_DYNAMIC + k. */
enum { NETWORK_ACTIVATION, NETWORK_BATCH_SWITCHING, NETWORK_PRELIMINARY, NETWORK_DYNAMIC };

static inline size_t network_dynamic_count(const struct network *net)
{
	return net->n_contexts - NETWORK_SERVICE_CONTEXTS;
}

static inline uint32_t network_first_page(const struct network *net)
{
	return net->opt.max_page < NETWORK_CONFIG_PAGE ? net->opt.max_page : NETWORK_CONFIG_PAGE;
}

/* 5.7: periph values, paddings and credit of one stream whose transfer and page are known. */
int network_periph(const struct hef_layer *layer, const struct chip_hw_consts *consts,
		   bool hw_padding, struct network_stream *s, struct hw_error *err);

/* The other end of an internal stream (5.8): the output that owns list and buffer; NULL if none. */
struct network_stream *network_internal_source(const struct network *net,
					       const struct network_stream *input);

/* The input of a DDR pair, from its output; every planned network has it. */
struct network_stream *network_ddr_input(const struct network *net,
					 const struct network_stream *out);

/* "the preliminary context", "context 2" ...; @buf holds the latter. */
const char *network_context_name(const struct network *net, size_t i, char *buf, size_t size);

#endif
