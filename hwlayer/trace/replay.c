// SPDX-License-Identifier: MIT
/*
 * The host's half of a recording, played to a chip in software: lists and buffers of the same
 * shape, the same messages with our addresses in them, the same transfers.  A recording has no
 * contents of buffers, so those are zeros.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "chip/chip.h"
#include "trace/trace.h"

#define BUFFER_MAX (1u << 30)
#define STARTED_MS 100
#define FINISH_MS 2000
#define POLL_US 100

struct memory {
	unsigned int id;
	uint64_t recorded; /* bus address in the recording */
	struct vdma_list list;
	struct memory *next;
};

struct player {
	const cJSON *lines;
	struct chip *chip;
	struct trace_replayed *out;
	struct memory *lists;
	struct backend_dma *buffers; /* by number in the recording */
	size_t n_buffers;
	struct backend_dma frames; /* all transfers move the same bytes */
	struct vdma_channel *channels;
	bool enabled;
	bool window;  /* its channels are enabled */
	double round; /* transfers of each channel that were launched in it */
};

static void differs(struct player *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void differs(struct player *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->out->difference, sizeof(p->out->difference), fmt, ap);
	va_end(ap);
}

/* -------------------------------------------------------------------------------- memory */

static double element(const cJSON *run, int i)
{
	const cJSON *v = cJSON_GetArrayItem(run, i);

	return cJSON_IsNumber(v) && v->valuedouble >= 0 ? v->valuedouble : 0;
}

static const cJSON *state_of(const struct player *p, unsigned int id)
{
	const cJSON *line;

	cJSON_ArrayForEach(line, p->lines) if (trace_is(line, "list_state") &&
					       trace_number(line, "list") == id) return line;
	return NULL;
}

/* A buffer with room for @size bytes; its address, 0 on failure. */
static uint64_t buffer(struct player *p, unsigned int id, uint64_t size, struct hw_error *err)
{
	struct backend_dma *v;

	if (id >= p->n_buffers) {
		if (id > 65536)
			return 0;
		v = realloc(p->buffers, (id + 1) * sizeof(*v));
		if (!v)
			return 0;
		memset(v + p->n_buffers, 0, (id + 1 - p->n_buffers) * sizeof(*v));
		p->buffers = v;
		p->n_buffers = id + 1;
	}
	v = &p->buffers[id];
	if (!v->virt &&
	    (!size || size > BUFFER_MAX || backend_dma_alloc(p->chip->be, size, 4096, v) < 0)) {
		hw_fail(err, -ENOMEM, "no memory for a buffer of %llu bytes",
			(unsigned long long)size);
		return 0;
	}
	return v->bus;
}

/* How much of buffer @id the lists use. */
static uint64_t buffer_size(const struct player *p, double id)
{
	const cJSON *line, *run;
	uint64_t size = 0, end;

	cJSON_ArrayForEach(line, p->lines)
	{
		if (!trace_is(line, "list_state"))
			continue;
		cJSON_ArrayForEach(run, cJSON_GetObjectItem(line, "descs"))
		{
			if (element(run, 3) != id)
				continue;
			/* No descriptor is longer than the largest page. */
			end = trace_to_uint(element(run, 4)) +
			      (uint64_t)trace_to_uint(element(run, 0)) * CHIP_PAGE_MAX;
			size = end > size ? end : size;
		}
	}
	return size;
}

static int fill_list(struct player *p, struct memory *m, const cJSON *state, struct hw_error *err)
{
	struct vdma_desc *d = vdma_list_descs(&m->list);
	const cJSON *run;
	uint32_t at = 0;

	cJSON_ArrayForEach(run, cJSON_GetObjectItem(state, "descs"))
	{
		double id = element(run, 3);
		uint64_t bus = 0;

		if (id) {
			bus = buffer(p, trace_to_uint(id), buffer_size(p, id), err);
			if (!bus)
				return -ENOMEM;
			bus += trace_to_uint(element(run, 4)) & ~63ull;
		}
		for (double n = element(run, 0); n > 0 && at < m->list.count; n--, at++) {
			uint32_t ctrl =
			    trace_to_uint(element(run, 1)) << 8 | (trace_to_uint(element(run, 2)) & 0xff);

			put_le32(&d[at].ctrl, ctrl);
			put_le32(&d[at].addr_lo, (uint32_t)bus);
			put_le32(&d[at].addr_hi, (uint32_t)(bus >> 32));
			if (id)
				bus += m->list.page;
		}
	}
	backend_dma_sync(p->chip->be, &m->list.mem, 0, (size_t)m->list.count * CHIP_DESC_SIZE, true);
	return 0;
}

static int make_list(struct player *p, const cJSON *line, struct hw_error *err)
{
	struct memory *m = calloc(1, sizeof(*m));
	const cJSON *state;
	int r;

	if (!m)
		return hw_fail(err, -ENOMEM, "no memory");
	m->id = trace_uint(line, "list");
	m->recorded = strtoull(trace_text(line, "bus"), NULL, 16);
	r = vdma_list_create(p->chip->be, trace_uint(line, "count"),
			     trace_uint(line, "page"),
			     cJSON_IsTrue(cJSON_GetObjectItem(line, "circular")), &m->list, err);
	m->next = p->lists;
	p->lists = m;
	state = state_of(p, m->id);
	if (r == 0 && state)
		r = fill_list(p, m, state, err);
	return r;
}

static struct memory *list_by_id(const struct player *p, unsigned int id)
{
	struct memory *m = p->lists;

	while (m && m->id != id)
		m = m->next;
	return m;
}

static void free_memory(struct player *p)
{
	struct memory *m;

	while ((m = p->lists)) {
		p->lists = m->next;
		vdma_list_destroy(p->chip->be, &m->list);
		free(m);
	}
	for (size_t i = 0; i < p->n_buffers; i++)
		backend_dma_free(p->chip->be, &p->buffers[i]);
	backend_dma_free(p->chip->be, &p->frames);
	free(p->buffers);
	free(p->channels);
}

/* ------------------------------------------------------------------------------ messages */

/* Our addresses in the place of the recorded ones, wherever they stand. */
static void put_addresses(const struct player *p, struct buf *req)
{
	for (size_t i = 0; i + 8 <= req->len; i++)
		for (const struct memory *m = p->lists; m; m = m->next)
			if (m->recorded && get_le64(req->ptr + i) == m->recorded) {
				put_le64(req->ptr + i, m->list.mem.bus);
				i += 7;
				break;
			}
}

static int take_apart(const struct buf *req, struct chip_request *out)
{
	struct span in = {req->ptr, req->len}, s;
	uint32_t n;

	if (span_take(&in, 20, &s) < 0)
		return -EBADMSG;
	out->opcode = get_be32(s.ptr + 12);
	n = get_be32(s.ptr + 16);
	if (n > ARRAY_SIZE(out->params))
		return -EBADMSG;
	for (; out->n_params < n; out->n_params++)
		if (span_take(&in, 4, &s) < 0 ||
		    span_take(&in, get_be32(s.ptr), &out->params[out->n_params]) < 0)
			return -EBADMSG;
	return in.len ? -EBADMSG : 0;
}

static uint32_t recorded_status(const cJSON *line)
{
	struct buf rsp;
	uint32_t status = 0;

	if (trace_bytes(line, "rsp", &rsp) == 0 && rsp.len >= 24)
		status = get_be32(rsp.ptr + 16);
	buf_free(&rsp);
	return status;
}

static int play_control(struct player *p, const cJSON *line, struct hw_error *err)
{
	struct chip_request req = {.core = trace_number(line, "cpu") != 0};
	struct chip_reply reply = {.major = 0};
	uint32_t status = recorded_status(line);
	struct hw_error why = {0};
	struct buf bytes;
	int r;

	if (trace_bytes(line, "req", &bytes) < 0 || take_apart(&bytes, &req) < 0) {
		buf_free(&bytes);
		return hw_fail(err, -EBADMSG,
			       "the recording has a request that is none, after %u controls",
			       p->out->controls);
	}
	put_addresses(p, &bytes);
	r = chip_control(p->chip, &req, &reply, &why);
	buf_free(&bytes);
	if (r == -ENODEV) {
		if (err)
			*err = why;
		return r;
	}
	if (r < 0 && r != -EREMOTEIO && trace_number(line, "ret") == 0)
		differs(p, "control %u: %s", p->out->controls, why.text);
	else if (r == 0 && trace_number(line, "ret") != 0)
		differs(p, "control %u (%s): an answer, recorded %s", p->out->controls,
			chip_opcode_name(req.opcode),
			strerror((int)trace_to_uint(-trace_number(line, "ret"))));
	else if (reply.major != status)
		differs(p, "control %u (%s): status 0x%x, recorded 0x%x", p->out->controls,
			chip_opcode_name(req.opcode), reply.major, status);
	if (req.opcode == FW_CHANGE_CONTEXT_SWITCH_STATUS && r == 0 && req.n_params &&
	    req.params[0].len == 1)
		p->enabled = trace_number(line, "ret") == 0 &&
			     strlen(trace_text(line, "req")) > 50 &&
			     !strncmp(trace_text(line, "req") + 48, "01", 2);
	p->out->controls++;
	return 0;
}

/* ----------------------------------------------------------------------------- transfers */

static bool in_window(const cJSON *line)
{
	return line && !trace_is(line, "disable_channels") && !trace_is(line, "enable_channels");
}

/* ENABLED for the application that runs announces another batch; what comes behind it is for that. */
static bool is_switch(const cJSON *line)
{
	return trace_is(line, "control") && strlen(trace_text(line, "req")) > 50 &&
	       !strncmp(trace_text(line, "req") + 24, "00000025", 8);
}

static bool in_stretch(const cJSON *line)
{
	return in_window(line) && !is_switch(line);
}

static double transfer_bytes(const cJSON *line)
{
	const cJSON *b;
	double n = 0;

	cJSON_ArrayForEach(b, cJSON_GetObjectItem(line, "buffers")) n += trace_number(b, "size");
	return n;
}

static bool known_channel(const struct player *p, const cJSON *line)
{
	double ch = trace_number(line, "ch");

	return trace_is(line, "transfer") && ch >= 0 && ch < CHIP_VDMA_CHANNELS &&
	       list_by_id(p, trace_uint(line, "list"));
}

/* The channels of this window, as the chip has just started them. */
static void start_channels(struct player *p, const cJSON *from)
{
	struct hw_error err = {0};

	memset(p->channels, 0, CHIP_VDMA_CHANNELS * sizeof(*p->channels));
	for (const cJSON *i = from; in_window(i); i = i->next) {
		unsigned int ch = trace_uint(i, "ch");
		struct memory *m;

		if (!known_channel(p, i) || p->channels[ch].be)
			continue;
		m = list_by_id(p, trace_uint(i, "list"));
		vdma_channel_init(&p->channels[ch], p->chip->be, (uint8_t)ch, &m->list);
		if (vdma_channel_wait_started(&p->channels[ch], STARTED_MS, &err) < 0)
			differs(p, "%s", err.text);
	}
}

static unsigned int in_flight(const struct player *p)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < CHIP_VDMA_CHANNELS; i++)
		n += p->channels[i].fifo_count;
	return n;
}

static void reap(struct player *p)
{
	void *tokens[VDMA_TRANSFERS_MAX];

	for (unsigned int i = 0; i < CHIP_VDMA_CHANNELS; i++) {
		int n;

		if (!p->channels[i].fifo_count)
			continue;
		n = vdma_channel_reap(&p->channels[i], tokens, ARRAY_SIZE(tokens));
		if (n < 0)
			differs(p, "channel %u stopped: %s", i, strerror(-n));
		else
			p->out->transfers += (unsigned int)n;
	}
}

static void too_late(struct player *p)
{
	differs(p, "%u transfers did not finish within %u ms, after %u that did", in_flight(p),
		FINISH_MS, p->out->transfers);
}

static void finish_all(struct player *p)
{
	uint64_t deadline = util_now_ms() + FINISH_MS;

	while (in_flight(p) && !*p->out->difference) {
		reap(p);
		if (util_now_ms() > deadline)
			too_late(p);
		else if (in_flight(p))
			usleep(POLL_US);
	}
}

/* Where there is no room for it, wait until there is. */
static void launch(struct player *p, const cJSON *line)
{
	uint64_t deadline = util_now_ms() + FINISH_MS;
	unsigned int ch = trace_uint(line, "ch");
	int r;

	while ((r = vdma_channel_launch(&p->channels[ch], p->frames.bus,
					trace_to_uint(transfer_bytes(line)), p)) == -EAGAIN) {
		reap(p);
		if (*p->out->difference)
			return;
		if (util_now_ms() > deadline) {
			too_late(p);
			return;
		}
		usleep(POLL_US);
	}
	if (r < 0)
		differs(p, "transfer %.0f on channel %u cannot be launched: %s",
			trace_number(line, "n"), ch, strerror(-r));
}

/* The n-th transfer of every channel, outputs first; false: there is none. */
static bool launch_round(struct player *p, const cJSON *from, double n)
{
	bool any = false;

	for (int input = 0; input < 2; input++) {
		for (const cJSON *i = from; in_stretch(i) && !*p->out->difference; i = i->next) {
			if (!known_channel(p, i) || trace_number(i, "n") != n ||
			    (trace_uint(i, "ch") < CHIP_VDMA_FIRST_D2H) != input)
				continue;
			any = true;
			launch(p, i);
		}
	}
	return any;
}

/* A network of several contexts finishes nothing before a whole batch of frames is there. */
static void play_stretch(struct player *p, const cJSON *from)
{
	while (!*p->out->difference && launch_round(p, from, p->round))
		p->round++;
	finish_all(p);
}

static int play_window(struct player *p, const cJSON *from, struct hw_error *err)
{
	double most = 0;
	int r;

	for (const cJSON *i = from; in_window(i); i = i->next)
		if (known_channel(p, i) && transfer_bytes(i) > most)
			most = transfer_bytes(i);
	if (!most)
		return 0;
	if (most > BUFFER_MAX)
		return hw_fail(err, -EBADMSG, "the recording has a transfer of %.0f bytes", most);
	if (p->frames.size < most) {
		backend_dma_free(p->chip->be, &p->frames);
		r = backend_dma_alloc(p->chip->be, (size_t)most, 4096, &p->frames);
		if (r < 0)
			return hw_fail(err, r, "no memory for a transfer of %.0f bytes", most);
	}
	start_channels(p, from);
	p->window = true;
	p->round = 0;
	play_stretch(p, from);
	return 0;
}

int trace_replay(const cJSON *lines, struct chip *chip, struct trace_replayed *out,
		 struct hw_error *err)
{
	struct player p = {.lines = lines, .chip = chip, .out = out};
	const cJSON *i;
	int r = 0;

	*out = (struct trace_replayed){0};
	p.channels = calloc(CHIP_VDMA_CHANNELS, sizeof(*p.channels));
	if (!p.channels)
		return hw_fail(err, -ENOMEM, "no memory");
	for (i = lines->child; i && r == 0 && !*out->difference; i = i->next) {
		if (trace_is(i, "list_create"))
			r = make_list(&p, i, err);
		else if (trace_is(i, "control"))
			r = play_control(&p, i, err);
		else if (trace_is(i, "enable_channels"))
			r = play_window(&p, i->next, err);
		else if (trace_is(i, "disable_channels"))
			p.window = false;
		if (p.window && is_switch(i) && r == 0)
			play_stretch(&p, i->next);
	}
	/* Whatever the recording ends with, the chip has to leave this memory alone. */
	if (p.enabled && chip_reset_apps(chip, NULL) < 0)
		chip_shutdown(chip);
	free_memory(&p);
	return r;
}
