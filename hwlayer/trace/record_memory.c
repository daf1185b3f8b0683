// SPDX-License-Identifier: MIT
/* The recorder's other half: descriptor lists, buffers, and what moves through them. */
#include <openssl/evp.h>
#include <stdlib.h>

#include "trace/internal.h"

/* ------------------------------------------------------------------------------- memory */

static struct area *area_at(struct recorder *r, uint64_t bus, uint64_t len)
{
	for (size_t i = 0; i < r->n_areas; i++) {
		struct area *a = &r->areas[i];

		if (bus >= a->mem.bus && bus - a->mem.bus < a->mem.size &&
		    len <= a->mem.size - (bus - a->mem.bus))
			return a;
	}
	return NULL;
}

void record_dma(void *user, const struct backend_dma *mem, bool mapped)
{
	struct recorder *r = user;

	if (!mapped) {
		for (size_t i = 0; i < r->n_areas; i++) {
			if (r->areas[i].mem.bus != mem->bus)
				continue;
			r->areas[i] = r->areas[--r->n_areas];
			return;
		}
		return;
	}
	if (r->n_areas == r->areas_cap) {
		size_t cap = r->areas_cap ? 2 * r->areas_cap : 32;
		struct area *v = realloc(r->areas, cap * sizeof(*v));

		if (!v) {
			record_fail(r, "no memory");
			return;
		}
		r->areas = v;
		r->areas_cap = cap;
	}
	r->areas[r->n_areas++] = (struct area){.mem = *mem};
}

static void say_buffer(struct recorder *r, struct area *a)
{
	cJSON *line = record_op("buffer_map");

	a->buf = ++r->buffers;
	cJSON_AddNumberToObject(line, "buf", a->buf);
	cJSON_AddNumberToObject(line, "size", (double)a->mem.size);
	cJSON_AddNumberToObject(line, "addr_mod_4096", (double)(a->mem.bus % 4096));
	record_line(r, line);
}

static int by_number(const void *a, const void *b)
{
	unsigned int x = *(const unsigned int *)a, y = *(const unsigned int *)b;

	return x < y ? -1 : x > y;
}

/* Releases that follow one another are one line, sorted as in the golden recordings. */
static void say_released(struct recorder *r)
{
	int n = cJSON_GetArraySize(r->released), i = 0;
	unsigned int *ids = calloc((size_t)n + 1, sizeof(*ids));
	const cJSON *id;
	cJSON *line, *lists;

	if (ids) {
		cJSON_ArrayForEach(id, r->released)
			ids[i++] = (unsigned int)id->valuedouble;
		qsort(ids, (size_t)n, sizeof(*ids), by_number);
		line = record_op("list_release");
		lists = cJSON_AddArrayToObject(line, "lists");
		for (i = 0; i < n; i++)
			cJSON_AddItemToArray(lists, cJSON_CreateNumber(ids[i]));
		record_line(r, line);
	}
	free(ids);
	cJSON_Delete(r->released);
	r->released = NULL;
}

void record_pending(struct recorder *r)
{
	if (r->released)
		say_released(r);
	for (size_t i = 0; i < r->n_areas; i++)
		if (!r->areas[i].list && !r->areas[i].buf)
			say_buffer(r, &r->areas[i]);
}

unsigned int record_list_id(uint64_t bus, const void *user)
{
	const struct recorder *r = user;

	/* The newest: an address may come back. */
	for (size_t i = bus ? r->n_lists : 0; i-- > 0;)
		if (r->lists[i].bus == bus)
			return r->lists[i].id;
	return 0;
}

void record_list(void *user, uint64_t bus, uint32_t count, uint32_t page, bool circular)
{
	struct recorder *r = user;
	struct area *a = area_at(r, bus, 1);
	struct list *l;
	char text[24];
	cJSON *line;

	if (a)
		a->list = true;
	record_pending(r);
	if (r->n_lists == r->lists_cap) {
		size_t cap = r->lists_cap ? 2 * r->lists_cap : 16;
		struct list *v = realloc(r->lists, cap * sizeof(*v));

		if (!v) {
			record_fail(r, "no memory");
			return;
		}
		r->lists = v;
		r->lists_cap = cap;
	}
	l = &r->lists[r->n_lists++];
	*l = (struct list){(unsigned int)r->n_lists, bus, count, page, false};
	line = record_op("list_create");
	cJSON_AddNumberToObject(line, "list", l->id);
	cJSON_AddNumberToObject(line, "count", count);
	cJSON_AddNumberToObject(line, "page", page);
	cJSON_AddBoolToObject(line, "circular", circular);
	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)bus);
	cJSON_AddStringToObject(line, "bus", text);
	record_line(r, line);
}

void record_list_release(void *user, uint64_t bus)
{
	struct recorder *r = user;
	unsigned int id = record_list_id(bus, r);

	if (!id)
		return;
	if (!r->released)
		r->released = cJSON_CreateArray();
	cJSON_AddItemToArray(r->released, cJSON_CreateNumber(id));
	r->lists[id - 1].bus = 0;
	r->lists[id - 1].shown = true;
}

/* ----------------------------------------------------------------------------- contents */

struct desc {
	uint32_t size, ctrl;
	unsigned int buf; /* 0: never written */
	uint64_t off;
	const uint8_t *data;
};

static struct desc read_desc(struct recorder *r, const struct list *l, uint32_t i)
{
	struct area *list = area_at(r, l->bus, (uint64_t)l->count * CHIP_DESC_SIZE), *a;
	struct desc d = {0};
	const uint8_t *p;
	uint64_t bus;

	if (!list)
		return d;
	p = (const uint8_t *)list->mem.virt + (l->bus - list->mem.bus) + (size_t)i * CHIP_DESC_SIZE;
	d.size = get_le32(p) >> 8;
	d.ctrl = get_le32(p) & 0xff;
	bus = get_le64(p + 4) & ~63ull;
	a = bus ? area_at(r, bus, d.size) : NULL;
	if (a) {
		d.buf = a->buf;
		d.off = bus - a->mem.bus;
		d.data = (const uint8_t *)a->mem.virt + d.off;
	}
	return d;
}

static bool goes_on(const struct desc *run, uint32_t n, uint32_t page, const struct desc *d)
{
	return d->size == run->size && d->ctrl == run->ctrl && d->buf == run->buf &&
	       d->off == (run->buf ? run->off + (uint64_t)n * page : 0);
}

static void add_run(cJSON *runs, uint32_t n, const struct desc *d)
{
	double v[5] = {n, d->size, d->ctrl, d->buf, (double)d->off};

	cJSON_AddItemToArray(runs, cJSON_CreateDoubleArray(v, 5));
}

static void say_state(struct recorder *r, struct list *l)
{
	cJSON *line = record_op("list_state"), *runs;
	struct desc run = {0};
	uint32_t n = 0;

	cJSON_AddNumberToObject(line, "list", l->id);
	runs = cJSON_AddArrayToObject(line, "descs");
	for (uint32_t i = 0; i < l->count; i++) {
		struct desc d = read_desc(r, l, i);

		if (n && goes_on(&run, n, l->page, &d)) {
			n++;
			continue;
		}
		if (n)
			add_run(runs, n, &run);
		run = d;
		n = 1;
	}
	if (n)
		add_run(runs, n, &run);
	record_line(r, line);
	l->shown = true;
}

int trace_sha256(struct span data, uint8_t digest[32])
{
	return EVP_Digest(data.ptr, data.len, digest, NULL, EVP_sha256(), NULL) == 1 ? 0 : -EIO;
}

/* What the chip reads: descriptor by descriptor. */
static cJSON *piece(struct recorder *r, const struct list *l, uint32_t first, uint32_t descs,
		    uint64_t *total)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	cJSON *o = cJSON_CreateObject();
	struct desc d = {0};
	uint8_t digest[32];
	uint64_t bytes = 0;
	char *hex;

	if (md)
		EVP_DigestInit_ex(md, EVP_sha256(), NULL);
	for (uint32_t i = 0; i < descs && first + i < l->count; i++) {
		d = read_desc(r, l, first + i);
		if (md && d.data)
			EVP_DigestUpdate(md, d.data, d.size);
		bytes += d.size;
	}
	cJSON_AddNumberToObject(o, "descs", descs);
	cJSON_AddNumberToObject(o, "bytes", (double)bytes);
	cJSON_AddNumberToObject(o, "last_desc_size", d.size);
	cJSON_AddNumberToObject(o, "last_desc_ctrl", d.ctrl);
	if (md && EVP_DigestFinal_ex(md, digest, NULL) == 1) {
		hex = trace_hex(digest, sizeof(digest));
		cJSON_AddStringToObject(o, "sha256", hex ? hex : "");
		free(hex);
	}
	EVP_MD_CTX_free(md);
	*total += bytes;
	return o;
}

static void say_config(struct recorder *r, struct config *c)
{
	const struct list *l = c->list ? &r->lists[c->list - 1] : NULL;
	cJSON *line, *pieces;
	uint64_t bytes = 0;
	uint32_t at = 0;

	c->shown = true;
	if (!l || !l->bus)
		return;
	line = record_op("config_list");
	cJSON_AddNumberToObject(line, "app", c->app);
	cJSON_AddStringToObject(line, "context", trace_context_name(c->type));
	if (c->type == FW_CONTEXT_DYNAMIC)
		cJSON_AddNumberToObject(line, "index", c->index);
	else
		cJSON_AddNullToObject(line, "index");
	cJSON_AddNumberToObject(line, "list", c->list);
	cJSON_AddNumberToObject(line, "ch", c->channel);
	cJSON_AddNumberToObject(line, "config_stream", c->stream);
	cJSON_AddNumberToObject(line, "page", l->page);
	cJSON_AddNumberToObject(line, "descs_total", l->count);
	cJSON_AddNumberToObject(line, "bytes_in_pattern", c->pattern);
	pieces = cJSON_CreateArray();
	for (size_t i = 0; i < c->n_pieces; i++) {
		cJSON_AddItemToArray(pieces, piece(r, l, at, c->pieces[i], &bytes));
		at += c->pieces[i];
	}
	cJSON_AddNumberToObject(line, "descs_fetched", at);
	cJSON_AddNumberToObject(line, "bytes_fetched", (double)bytes);
	cJSON_AddItemToObject(line, "pieces", pieces);
	record_line(r, line);
}

void record_states(struct recorder *r)
{
	for (size_t i = 0; i < r->n_lists; i++)
		if (!r->lists[i].shown)
			say_state(r, &r->lists[i]);
	for (size_t i = 0; i < r->n_configs; i++)
		if (!r->configs[i].shown)
			say_config(r, &r->configs[i]);
}

/* ---------------------------------------------------------------------------- transfers */

static void add_digest(struct recorder *r, struct flight *f)
{
	struct area *a = area_at(r, f->l.bus, f->l.bytes);
	uint8_t digest[32];
	struct span data;
	char *hex;

	if (!a)
		return;
	if (f->l.channel >= CHIP_VDMA_FIRST_D2H)
		backend_dma_sync(r->be, &a->mem, f->l.bus - a->mem.bus, f->l.bytes, false);
	data = (struct span){(const uint8_t *)a->mem.virt + (f->l.bus - a->mem.bus), f->l.bytes};
	if (trace_sha256(data, digest) < 0)
		return;
	hex = trace_hex(digest, sizeof(digest));
	cJSON_AddStringToObject(f->line, "sha256", hex ? hex : "");
	free(hex);
}

/* How many output transfers wait when the first input goes out (golden/README 1). */
static void say_queued(struct recorder *r)
{
	for (unsigned int i = CHIP_VDMA_FIRST_D2H; i < TRACE_CHANNELS; i++) {
		cJSON *line;

		if (!r->channels[i].n)
			continue;
		line = record_op("queued_ahead");
		cJSON_AddNumberToObject(line, "ch", i);
		cJSON_AddNumberToObject(line, "count", r->channels[i].n);
		record_line(r, line);
	}
	r->inputs_began = true;
}

static cJSON *transfer_line(struct recorder *r, const struct observed_launch *l, unsigned int n)
{
	unsigned int id = record_list_id(l->list, r);
	const struct list *list = id ? &r->lists[id - 1] : NULL;
	struct area *a = area_at(r, l->bus, l->bytes);
	cJSON *line = record_op("transfer"), *buffer;
	struct desc first = {0}, last = {0};

	if (list) {
		first = read_desc(r, list, l->start);
		last = read_desc(r, list, (l->start + l->descs - 1) % list->count);
	}
	cJSON_AddNumberToObject(line, "ch", l->channel);
	cJSON_AddNumberToObject(line, "n", n);
	cJSON_AddNumberToObject(line, "list", id);
	cJSON_AddNumberToObject(line, "start", l->start);
	cJSON_AddBoolToObject(line, "bind", true);
	cJSON_AddNumberToObject(line, "first_irq", l->first_irq ? 2 : 0);
	cJSON_AddNumberToObject(line, "last_irq", 2);
	cJSON_AddNumberToObject(line, "debug", 0);
	buffer = cJSON_CreateObject();
	cJSON_AddNumberToObject(buffer, "type", 0);
	cJSON_AddNumberToObject(buffer, "buf", a ? a->buf : 0);
	cJSON_AddNumberToObject(buffer, "off", a ? (double)(l->bus - a->mem.bus) : 0);
	cJSON_AddNumberToObject(buffer, "size", l->bytes);
	cJSON_AddItemToArray(cJSON_AddArrayToObject(line, "buffers"), buffer);
	cJSON_AddNumberToObject(line, "descs", l->descs);
	cJSON_AddNumberToObject(line, "avail", l->avail);
	cJSON_AddNumberToObject(line, "ctrl_first", first.ctrl);
	cJSON_AddNumberToObject(line, "ctrl_last", last.ctrl);
	cJSON_AddNumberToObject(line, "size_last", last.size);
	cJSON_AddNumberToObject(line, "ret", 0);
	return line;
}

void record_launch(void *user, const struct observed_launch *l)
{
	struct recorder *r = user;
	struct flight *f;
	struct channel *ch;

	if (!r->file || l->channel >= TRACE_CHANNELS)
		return;
	f = calloc(1, sizeof(*f));
	if (!f) {
		record_fail(r, "no memory");
		return;
	}
	record_pending(r);
	if (l->channel < CHIP_VDMA_FIRST_D2H && !r->inputs_began)
		say_queued(r);
	ch = &r->channels[l->channel];
	f->l = *l;
	f->n = ch->n++;
	f->line = transfer_line(r, l, f->n);
	if (l->channel < CHIP_VDMA_FIRST_D2H)
		add_digest(r, f);
	*ch->last = f;
	ch->last = &f->next;
}

static struct flight *take(struct channel *ch)
{
	struct flight *f = ch->oldest;

	if (f) {
		ch->oldest = f->next;
		if (!ch->oldest)
			ch->last = &ch->oldest;
	}
	return f;
}

void record_finish(void *user, uint8_t channel)
{
	struct recorder *r = user;
	struct flight *f = channel < TRACE_CHANNELS ? take(&r->channels[channel]) : NULL;

	if (!f)
		return;
	if (channel >= CHIP_VDMA_FIRST_D2H)
		add_digest(r, f);
	record_line(r, f->line);
	free(f);
}

/* What never came back is told apart: of a chip that hangs it is the most telling part. */
static void forget_flights(struct recorder *r)
{
	struct flight *f;

	for (unsigned int i = 0; i < TRACE_CHANNELS; i++) {
		while ((f = take(&r->channels[i]))) {
			cJSON_ReplaceItemInObject(f->line, "op",
						  cJSON_CreateString("transfer_unfinished"));
			record_line(r, f->line);
			free(f);
		}
		r->channels[i].n = 0;
	}
	r->inputs_began = false;
}

void record_channels(void *user, uint32_t map, bool timestamps, bool on)
{
	const double maps[3] = {map, 0, 0};
	struct recorder *r = user;
	cJSON *line;

	forget_flights(r);
	if (!map)
		return;
	record_pending(r);
	line = record_op(on ? "enable_channels" : "disable_channels");
	cJSON_AddItemToObject(line, "map", cJSON_CreateDoubleArray(maps, 3));
	if (on)
		cJSON_AddNumberToObject(line, "timestamps", timestamps);
	record_line(r, line);
}

void record_free_memory(struct recorder *r)
{
	for (size_t i = 0; i < r->n_configs; i++)
		free(r->configs[i].pieces);
	free(r->configs);
	free(r->lists);
	free(r->areas);
	cJSON_Delete(r->released);
}
