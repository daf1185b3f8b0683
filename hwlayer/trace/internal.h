// SPDX-License-Identifier: MIT
/* What the two halves of the recorder share: the messages and the memory. */
#ifndef HWLAYER_TRACE_INTERNAL_H
#define HWLAYER_TRACE_INTERNAL_H

#include <stdio.h>

#include "trace/trace.h"

#define TRACE_CHANNELS 32u

struct area {
	struct backend_dma mem;
	unsigned int buf; /* its number in the recording; 0: not said yet, or a list's */
	bool list;
};

struct list {
	unsigned int id;
	uint64_t bus;
	uint32_t count, page;
	bool shown; /* its list_state is written */
};

/* A configuration channel in a context, from the actions alone. */
struct config {
	unsigned int app, type, index;
	uint8_t channel, stream;
	unsigned int list;
	uint32_t pattern;
	size_t n_pieces, cap;
	uint32_t *pieces; /* descriptors of each FETCH */
	bool shown;
};

/* Published and not back yet. */
struct flight {
	struct observed_launch l;
	unsigned int n;
	cJSON *line;
	struct flight *next;
};

struct channel {
	unsigned int n; /* since the channels were enabled */
	struct flight *oldest, **last;
};

struct recorder {
	struct backend *be;
	char path[256];
	FILE *file, *mmio;
	uint64_t start_ns;
	size_t n_areas, areas_cap, n_lists, lists_cap, n_configs, configs_cap;
	struct area *areas;
	struct list *lists; /* never shortened: an id is a place + 1 */
	struct config *configs;
	unsigned int buffers; /* numbers given out */
	cJSON *released;      /* list_release under way */
	struct channel channels[TRACE_CHANNELS];
	bool inputs_began;
	/* the context whose chunks come in */
	unsigned int apps, dynamic, chunks, type;
	struct buf actions;
};

/* record.c: write a line and free it */
void record_line(struct recorder *r, cJSON *line);
cJSON *record_op(const char *op);
/* Stop for good. */
void record_fail(struct recorder *r, const char *why);

/* record_memory.c */
void record_dma(void *user, const struct backend_dma *mem, bool mapped);
void record_list(void *user, uint64_t bus, uint32_t count, uint32_t page, bool circular);
void record_list_release(void *user, uint64_t bus);
unsigned int record_list_id(uint64_t bus, const void *user);
void record_launch(void *user, const struct observed_launch *l);
void record_finish(void *user, uint8_t channel);
void record_channels(void *user, uint32_t map, bool timestamps, bool on);
/* Lines that wait for what follows them: buffers that may become lists, releases. */
void record_pending(struct recorder *r);
/* list_state and config_list of everything that was not shown yet. */
void record_states(struct recorder *r);
void record_free_memory(struct recorder *r);

#endif
