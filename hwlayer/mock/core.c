// SPDX-License-Identifier: MIT
/*
 * The neural core as its config channels see it (mock/payload.h): records come in byte by byte,
 * fill the core's memory, and only when every byte is accounted for there is a network.
 */
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "mock/core.h"
#include "mock/mock.h"

#define INFO_BYTES sizeof(struct payload_stream)

/* Where in a record the next byte belongs. */
enum feed_state { FEED_HEADER, FEED_DATA, FEED_PADDING };

struct stream {
	struct payload_stream info; /* valid once has_info */
	bool has_info, done;
	enum feed_state state;
	uint8_t part[INFO_BYTES]; /* header, padding or info so far */
	size_t filled;
	uint64_t left;	/* data bytes of the record still to come */
	uint64_t at;	/* where in the image the next of them goes */
	bool odd;	/* the record ends with a padding word */
	uint64_t taken; /* bytes behind the info record */
	XXH3_state_t *hash;
};

struct core {
	struct stream streams[PAYLOAD_STREAMS_MAX];
	uint8_t *image;
	uint64_t image_bytes, image_xxh3;
	uint32_t n_streams;
	uint8_t *seen; /* one bit per word of the image */
	uint64_t words_left;
	struct hw_error err;
	bool failed;

	struct core_graph *graph;
	struct core_port *ports;
	int16_t **tensors;
	int16_t *scratch;
	struct core_pool *pool;
};

struct core *core_new(unsigned int threads)
{
	struct core *core = calloc(1, sizeof(*core));

	if (!core)
		return NULL;
	core->pool = core_pool_new(threads);
	if (!core->pool)
		goto err;
	for (size_t i = 0; i < PAYLOAD_STREAMS_MAX; i++) {
		core->streams[i].hash = XXH3_createState();
		if (!core->streams[i].hash)
			goto err;
		XXH3_64bits_reset(core->streams[i].hash);
	}
	return core;
err:
	core_free(core);
	return NULL;
}

void core_free(struct core *core)
{
	if (!core)
		return;
	for (size_t i = 0; i < PAYLOAD_STREAMS_MAX; i++)
		XXH3_freeState(core->streams[i].hash);
	if (core->tensors)
		for (size_t i = 0; i < core->graph->n_tensors; i++)
			free(core->tensors[i]);
	free(core->tensors);
	free(core->scratch);
	free(core->ports);
	core_graph_free(core->graph);
	core_pool_free(core->pool);
	free(core->image);
	free(core->seen);
	free(core);
}

const char *core_error(const struct core *core)
{
	return core->err.text;
}

/* Once refused, always refused: what came before cannot be trusted either. */
#define refuse(core, ...) ((core)->failed = true, hw_fail(&(core)->err, -EBADMSG, __VA_ARGS__))

static int accept_info(struct core *core, unsigned int stream)
{
	struct stream *s = &core->streams[stream];
	struct payload_stream *i = &s->info;
	const uint8_t *p = s->part;

	*i = (struct payload_stream){
	    .magic = get_le32(p),
	    .version = get_le32(p + 4),
	    .stream = get_le32(p + 8),
	    .streams = get_le32(p + 12),
	    .bytes = get_le64(p + 16),
	    .xxh3 = get_le64(p + 24),
	    .image_bytes = get_le64(p + 32),
	    .image_xxh3 = get_le64(p + 40),
	    .self_xxh3 = get_le64(p + 48),
	};
	if (i->magic != PAYLOAD_MAGIC)
		return refuse(core, "channel %u does not carry a software chip's network", stream);
	if (i->version != PAYLOAD_VERSION ||
	    i->self_xxh3 != XXH3_64bits(p, offsetof(struct payload_stream, self_xxh3)))
		return refuse(core, "channel %u: first record damaged or of another version",
			      stream);
	if (i->stream != stream || i->streams > PAYLOAD_STREAMS_MAX || stream >= i->streams)
		return refuse(core, "bytes of channel %u of %u arrived on channel %u", i->stream,
			      i->streams, stream);
	if (i->bytes % 8 || i->image_bytes < sizeof(struct payload_image) || i->image_bytes % 4 ||
	    i->image_bytes > PAYLOAD_IMAGE_MAX)
		return refuse(core, "channel %u announces impossible sizes", stream);
	if (!core->image) {
		core->n_streams = i->streams;
		core->image_bytes = i->image_bytes;
		core->image_xxh3 = i->image_xxh3;
		core->words_left = i->image_bytes / 4;
		core->image = calloc(1, i->image_bytes);
		core->seen = calloc(1, ceil_div(core->words_left, 8));
		if (!core->image || !core->seen)
			return refuse(core, "no memory for an image of %llu bytes",
				      (unsigned long long)i->image_bytes);
	} else if (core->n_streams != i->streams || core->image_bytes != i->image_bytes ||
		   core->image_xxh3 != i->image_xxh3) {
		return refuse(core, "channel %u belongs to another network", stream);
	}
	s->has_info = true;
	return 0;
}

static int accept_header(struct core *core, unsigned int stream)
{
	struct stream *s = &core->streams[stream];
	uint64_t words = (uint64_t)get_le32(s->part) + 1;
	uint32_t address = get_le32(s->part + 4);

	s->left = words * 4;
	s->odd = words & 1;
	s->state = FEED_DATA;
	s->filled = 0;
	if (!s->has_info) {
		if (address != PAYLOAD_STREAM_BASE(stream) || s->left != INFO_BYTES)
			return refuse(core, "channel %u does not begin with its own first record",
				      stream);
		return 0;
	}
	if (address % 4 || s->left > core->image_bytes || address > core->image_bytes - s->left)
		return refuse(core, "channel %u: %llu bytes at 0x%x do not fit the core's memory",
			      stream, (unsigned long long)s->left, address);
	s->at = address;
	for (uint64_t w = address / 4; w < address / 4 + words; w++) {
		if (core->seen[w / 8] & 1u << w % 8)
			return refuse(core, "channel %u writes 0x%llx a second time", stream,
				      (unsigned long long)w * 4);
		core->seen[w / 8] |= (uint8_t)(1u << w % 8);
	}
	core->words_left -= words;
	return 0;
}

/* The bytes of one record are complete. */
static int end_record(struct core *core, unsigned int stream)
{
	struct stream *s = &core->streams[stream];

	s->state = FEED_HEADER;
	s->filled = 0;
	return s->has_info ? 0 : accept_info(core, stream);
}

/* Take some bytes of the current part of a record; how many, or an error. */
static int feed_some(struct core *core, unsigned int stream, const uint8_t *data, size_t len,
		     size_t *took)
{
	struct stream *s = &core->streams[stream];
	size_t n;

	switch (s->state) {
	case FEED_HEADER:
		n = 8 - s->filled < len ? 8 - s->filled : len;
		memcpy(s->part + s->filled, data, n);
		s->filled += n;
		*took = n;
		return s->filled == 8 ? accept_header(core, stream) : 0;
	case FEED_DATA:
		n = s->left < len ? (size_t)s->left : len;
		if (s->has_info) {
			memcpy(core->image + s->at, data, n);
			s->at += n;
		} else {
			memcpy(s->part + s->filled, data, n);
			s->filled += n;
		}
		s->left -= n;
		*took = n;
		if (s->left)
			return 0;
		if (!s->odd)
			return end_record(core, stream);
		s->state = FEED_PADDING;
		s->filled = 0;
		return 0;
	default: /* FEED_PADDING */
		n = 4 - s->filled < len ? 4 - s->filled : len;
		for (size_t i = 0; i < n; i++)
			if (data[i])
				return refuse(core, "channel %u: padding is not zero", stream);
		s->filled += n;
		*took = n;
		return s->filled == 4 ? end_record(core, stream) : 0;
	}
}

int core_feed(struct core *core, unsigned int stream, const uint8_t *data, size_t len)
{
	struct stream *s;

	if (core->failed)
		return -EBADMSG;
	if (stream >= PAYLOAD_STREAMS_MAX)
		return refuse(core, "channel %u does not exist", stream);
	s = &core->streams[stream];
	while (len) {
		bool counted = s->has_info;
		size_t took = 0;
		int r;

		if (counted && len > s->info.bytes - s->taken)
			return refuse(core, "channel %u brought more bytes than announced", stream);
		r = feed_some(core, stream, data, len, &took);
		if (r)
			return r;
		if (counted) {
			XXH3_64bits_update(s->hash, data, took);
			s->taken += took;
		}
		data += took;
		len -= took;
	}
	if (s->has_info && !s->done && s->taken == s->info.bytes) {
		if (s->state != FEED_HEADER || s->filled)
			return refuse(core, "channel %u ends inside a record", stream);
		if (XXH3_64bits_digest(s->hash) != s->info.xxh3)
			return refuse(core, "channel %u: checksum differs", stream);
		s->done = true;
	}
	return 0;
}

bool core_stream_done(const struct core *core, unsigned int stream)
{
	return stream < PAYLOAD_STREAMS_MAX && core->streams[stream].done;
}

static int make_ports(struct core *core)
{
	const struct core_graph *g = core->graph;

	core->ports = calloc(g->n_ports, sizeof(*core->ports));
	core->tensors = calloc(g->n_tensors, sizeof(*core->tensors));
	core->scratch = aligned_alloc(64, align_up(g->scratch * 2 + 64, 64));
	if (!core->ports || !core->tensors || !core->scratch)
		return refuse(core, "no memory for the network");
	for (size_t i = 0; i < g->n_ports; i++)
		core->ports[i] = (struct core_port){
		    .stream_index = g->ports[i].stream_index,
		    .output = g->ports[i].output,
		    .bytes = g->tensors[g->ports[i].tensor].elements,
		};
	for (size_t i = 0; i < g->n_tensors; i++) {
		core->tensors[i] =
		    aligned_alloc(64, align_up((size_t)g->tensors[i].elements * 2, 64));
		if (!core->tensors[i])
			return refuse(core, "no memory for the network");
	}
	return 0;
}

int core_ready(struct core *core)
{
	int r;

	if (core->failed)
		return -EBADMSG;
	if (core->graph)
		return 0;
	if (!core->image)
		return refuse(core, "no configuration arrived");
	for (unsigned int i = 0; i < core->n_streams; i++)
		if (!core->streams[i].done)
			return refuse(core, "channel %u is not complete: %llu of %llu bytes", i,
				      (unsigned long long)core->streams[i].taken,
				      (unsigned long long)core->streams[i].info.bytes);
	for (unsigned int i = core->n_streams; i < PAYLOAD_STREAMS_MAX; i++)
		if (core->streams[i].filled || core->streams[i].left)
			return refuse(core, "channel %u carries bytes of no network", i);
	if (core->words_left)
		return refuse(core, "%llu bytes of the image were never written",
			      (unsigned long long)core->words_left * 4);
	if (XXH3_64bits(core->image, core->image_bytes) != core->image_xxh3)
		return refuse(core, "the image's checksum differs");
	r = core_graph_parse((struct span){core->image, core->image_bytes}, &core->graph,
			     &core->err);
	if (r == -ENOMEM)
		return refuse(core, "no memory for the network");
	if (r) {
		core->failed = true;
		return -EBADMSG;
	}
	free(core->image);
	core->image = NULL;
	return make_ports(core);
}

const struct core_port *core_ports(const struct core *core, size_t *count)
{
	*count = core->graph ? core->graph->n_ports : 0;
	return core->ports;
}

int core_run(struct core *core, const uint8_t *const *in, uint8_t *const *out)
{
	const struct core_graph *g = core->graph;

	if (core->failed || !g)
		return -EBADMSG;
	for (size_t i = 0; i < g->n_ports; i++) {
		const struct core_io *io = &g->ports[i];
		int16_t *t = core->tensors[io->tensor];
		size_t n = g->tensors[io->tensor].elements;

		if (io->output)
			continue;
		for (size_t e = 0; e < n; e += io->inner)
			for (size_t j = 0; j < io->inner; j++)
				t[e + j] =
				    (int16_t)((*in)[e + j] - io->zero[e / io->inner % io->n]);
		in++;
	}
	for (size_t i = 0; i < g->n_layers; i++)
		core_layer_run(core->pool, &g->layers[i], g->tensors, core->tensors, core->scratch);
	for (size_t i = 0; i < g->n_ports; i++) {
		const struct core_io *io = &g->ports[i];
		const int16_t *t = core->tensors[io->tensor];
		size_t n = g->tensors[io->tensor].elements;

		if (!io->output)
			continue;
		for (size_t e = 0; e < n; e++) {
			int v = t[e] + io->zero[e / io->inner % io->n];

			(*out)[e] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
		}
		out++;
	}
	return 0;
}
