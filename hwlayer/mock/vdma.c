// SPDX-License-Identifier: MIT
/*
 * The vDMA engine's host side (pcie 6, 7, 11.7): fetch descriptors, move bytes, count, write
 * status back, interrupt.  Strict where a card would corrupt memory or hang.
 */
#include <stdio.h>

#include "mock/sim.h"

/* ------------------------------------------------------------------- host buffer info */

void sim_host_buffer(const uint8_t *p, struct sim_host_buffer *out)
{
	*out = (struct sim_host_buffer){p[0], get_le64(p + 1), get_le16(p + 9), get_le32(p + 11),
					get_le32(p + 15)};
}

static bool is_pow2(uint32_t v)
{
	return v && !(v & (v - 1));
}

uint32_t sim_host_buffer_check(const struct sim_host_buffer *hbi, bool ring)
{
	if (hbi->type != 0)
		return SIM_STATUS_BUFFER_TYPE;
	if (hbi->list % CHIP_LIST_ALIGN)
		return FW_STATUS_LIST_ALIGN;
	if (!is_pow2(hbi->page) || hbi->page < CHIP_PAGE_MIN || hbi->page > CHIP_PAGE_MAX)
		return FW_STATUS_BAD_PAGE;
	if (hbi->count < 2 || hbi->count > CHIP_LIST_MAX)
		return FW_STATUS_BAD_DEPTH;
	if (!hbi->pattern)
		return SIM_STATUS_PATTERN_ZERO;
	if (!ring)
		return 0;
	if (!is_pow2(hbi->count))
		return SIM_STATUS_NOT_POW2;
	/* A ring holds one descriptor less than it has. */
	if (ceil_div(hbi->pattern, hbi->page) > hbi->count - 1)
		return SIM_STATUS_PATTERN_TOO_LARGE;
	return 0;
}

/* --------------------------------------------------------------------- start and stop */

void sim_chan_open(struct mock_chip *chip, unsigned int ch, const struct sim_host_buffer *hbi,
		   bool ring)
{
	struct sim_chan *c = &chip->chan[ch];
	uint32_t gen = c->gen + 1;
	uint8_t depth = (uint8_t)__builtin_ctzll(pow2_ceil(hbi->count)) & 0xf;

	*c = (struct sim_chan){.gen = gen, .page = hbi->page, .count = hbi->count, .linear = !ring};
	c->host =
	    (struct sim_side){.ctrl = CHIP_VDMA_CTRL_START, .depth = depth, .list = hbi->list};
	/* Data id 4 is the chip's own memory, seen as 0x00002c01 (pcie 6.2). */
	c->dev = (struct sim_side){.ctrl = CHIP_VDMA_CTRL_START, .depth = depth, .data_id = 4};
}

void sim_chan_abort(struct mock_chip *chip, unsigned int ch)
{
	struct sim_chan *c = &chip->chan[ch];

	c->gen++;
	c->pos = c->asked = 0;
	c->host.ctrl = c->dev.ctrl = 0;
	c->host.avail = c->host.proc = c->host.ongoing = 0;
	c->dev.avail = c->dev.proc = c->dev.ongoing = 0;
}

static uint32_t ring_size(const struct sim_chan *c)
{
	return c->host.depth ? 1u << c->host.depth : CHIP_LIST_MAX;
}

void sim_chan_grant(struct mock_chip *chip, unsigned int ch, uint32_t n)
{
	struct sim_chan *c = &chip->chan[ch];
	struct sim_order *o = sim_fault_due_for(chip, SIM_FAULT_CREDITS_WRONG, ch);

	if (o) {
		sim_fault_strike(chip, o);
		sim_fault(chip, "channel %u gets %u of %u credits, as ordered", ch,
			  o->arg[1] < n ? n - o->arg[1] : 0, n);
		n -= o->arg[1] < n ? o->arg[1] : n;
	}
	if (c->linear)
		c->host.avail = (uint16_t)(c->asked += n);
	else
		c->host.avail = (uint16_t)((c->host.avail + n) & (ring_size(c) - 1));
}

/* An error stops the channel where it is; counters stay, so that one can see where. */
static void chan_error(struct sim_chan *c, uint8_t code)
{
	c->host.err |= code;
	c->host.ctrl = 0;
}

uint32_t sim_chan_available(const struct sim_chan *c)
{
	if ((c->host.ctrl & CHIP_VDMA_CTRL_STATE) != CHIP_VDMA_CTRL_START || c->stuck)
		return 0;
	if (c->linear) {
		uint32_t end = c->asked < c->count ? c->asked : c->count;

		return c->starved || c->pos >= end ? 0 : end - c->pos;
	}
	return (c->host.avail - c->pos) & (ring_size(c) - 1);
}

/* What the counter shows instead, after it was at @before. */
static uint32_t lie(const struct sim_chan *c, uint32_t before)
{
	uint32_t ring = ring_size(c);

	/* Far enough from the truth that what the host queues meanwhile cannot make it come true.
	 */
	return (c->lie == SIM_COUNT_AHEAD  ? c->host.avail + ring / 2
		: c->lie == SIM_COUNT_BACK ? before - ring / 4
					   : c->pos - c->behind) &
	       (ring - 1);
}

static void advance(struct sim_chan *c, uint32_t n)
{
	uint32_t before = c->pos;

	if (!n)
		return;
	/* After the last descriptor of a ring the count shows N itself, not 0 (pcie 6.4). */
	c->host.proc = c->host.ongoing = (uint16_t)(c->pos + n);
	c->pos += n;
	if (!c->linear)
		c->pos &= ring_size(c) - 1;
	if (c->lies)
		c->host.proc = c->host.ongoing = (uint16_t)lie(c, before);
}

/* Ordered faults of a channel that was about to move something; true: it does not. */
static bool ordered_stop(struct mock_chip *chip, unsigned int ch)
{
	struct sim_chan *c = &chip->chan[ch];
	struct sim_order *o = sim_fault_due_for(chip, SIM_FAULT_CHANNEL_STUCK, ch);

	if (o) {
		sim_fault_strike(chip, o);
		c->stuck = true;
		sim_fault(chip, "channel %u is stuck, as ordered", ch);
		return true;
	}
	o = c->linear ? NULL : sim_fault_due_for(chip, SIM_FAULT_DESC_ERROR, ch);
	if (!o)
		return false;
	/* No event 12: the error byte and the interrupt are all that the host gets. */
	sim_fault_strike(chip, o);
	chan_error(c, SIM_DMA_ERR_DESC);
	sim_fault(chip, "channel %u: descriptor error, as ordered", ch);
	sim_irq_channel(chip, ch);
	return true;
}

/* Does the counter of output @ch begin to lie, now that @n descriptors are done? */
static void ordered_lie(struct mock_chip *chip, unsigned int ch, uint32_t n)
{
	struct sim_chan *c = &chip->chan[ch];
	struct sim_order *o =
	    ch < CHIP_VDMA_FIRST_D2H || !n ? NULL : sim_fault_due(chip, SIM_FAULT_COMPLETION_WRONG);

	if (!o)
		return;
	sim_fault_strike(chip, o);
	c->lies = true;
	c->lie = (enum sim_count_lie)o->arg[0];
	c->behind = n;
}

/* ------------------------------------------------------- talking to the host, no lock */

/* One stay outside the lock: what it moved and how it failed. */
struct visit {
	struct mock_chip *chip;
	uint64_t list;
	uint32_t limit; /* largest descriptor */
	bool to_host;
	uint64_t rd, wr, faults;
	uint8_t err; /* SIM_DMA_ERR_* */
	bool irq, starved;
	uint8_t last_ctrl;
	char why[160];
};

static int bus_read(struct visit *v, uint64_t bus, void *buf, size_t len)
{
	if (v->chip->host.dma_read(v->chip->host.host, bus, buf, len)) {
		v->faults++;
		return -EFAULT;
	}
	v->rd += len;
	return 0;
}

static int bus_write(struct visit *v, uint64_t bus, const void *buf, size_t len)
{
	if (v->chip->host.dma_write(v->chip->host.host, bus, buf, len)) {
		v->faults++;
		return -EFAULT;
	}
	v->wr += len;
	return 0;
}

/* Bus master off: the function may not touch memory, so nothing moves (pcie 11.1). */
static bool begin(struct mock_chip *chip, struct visit *v, unsigned int ch)
{
	const struct sim_chan *c = &chip->chan[ch];
	uint32_t mrrs = 128u << ((chip->cfg[0x89] >> 4) & 7);

	if (!sim_bus_master(chip) || chip->faults.crashed)
		return false;
	*v = (struct visit){.chip = chip,
			    .list = c->host.list,
			    .limit = c->page,
			    .to_host = ch >= CHIP_VDMA_FIRST_D2H};
	if (mrrs < 512 && mrrs < v->limit)
		v->limit = mrrs; /* pcie 7.6: larger descriptors hit a hardware bug */
	chip->dma_busy = true;
	pthread_mutex_unlock(&chip->lock);
	return true;
}

static void end(struct mock_chip *chip, const struct visit *v)
{
	pthread_mutex_lock(&chip->lock);
	chip->dma_busy = false;
	chip->stats.dma_read_bytes += v->rd;
	chip->stats.dma_write_bytes += v->wr;
	chip->stats.dma_faults += v->faults;
	pthread_cond_broadcast(&chip->idle_cond);
}

static void visit_error(struct visit *v, uint8_t err, const char *what, uint64_t at, uint32_t index)
{
	v->err = err;
	snprintf(v->why, sizeof(v->why), "descriptor %u of list 0x%llx: %s 0x%llx", index,
		 (unsigned long long)v->list, what, (unsigned long long)at);
}

/* What is wrong with the descriptor, NULL: nothing. */
static const char *desc_fault(const struct visit *v, uint32_t size, uint32_t addr_lo, size_t room)
{
	if (addr_lo & 0x3f)
		return "data id or unaligned address in";
	if (!size)
		return "size 0 at";
	if (size > v->limit)
		return "size above the page at";
	if (size > room)
		return "bytes beyond the frame at";
	return NULL;
}

/* Returns the bytes that moved, 0 after an error. */
static uint32_t one(struct visit *v, const uint8_t *desc, uint32_t index, uint8_t *data,
		    size_t room)
{
	uint32_t word = get_le32(desc), size = word >> 8, lo = get_le32(desc + 4), status;
	uint64_t addr = ((uint64_t)get_le32(desc + 8) << 32 | lo) & ~(uint64_t)0x3f;
	const char *fault = desc_fault(v, size, lo, room);
	uint8_t back[4];

	if (fault)
		visit_error(v, SIM_DMA_ERR_DESC, fault, addr | (lo & 0x3f), index);
	else if (v->to_host ? bus_write(v, addr, data, size) : bus_read(v, addr, data, size))
		visit_error(v, SIM_DMA_ERR_DATA, "the bus refused", addr, index);
	status = v->err ? CHIP_DESC_STATUS_ERROR : CHIP_DESC_STATUS_DONE;
	if ((word & CHIP_DESC_STATUS_REQ) || (v->err && (word & CHIP_DESC_BASE))) {
		put_le32(back, status);
		bus_write(v, v->list + (uint64_t)index * CHIP_DESC_SIZE + 12, back, 4);
	}
	if ((word & CHIP_DESC_IRQ_HOST) &&
	    (word & (v->err ? CHIP_DESC_IRQ_ERROR : CHIP_DESC_IRQ_PROCESSED)))
		v->irq = true;
	v->last_ctrl = (uint8_t)word;
	return v->err ? 0 : size;
}

static uint32_t burst(struct visit *v, uint32_t pos, uint32_t n, bool linear, uint8_t *data,
		      size_t room, size_t *moved)
{
	uint8_t raw[SIM_BURST * CHIP_DESC_SIZE];
	uint32_t done = 0;

	if (bus_read(v, v->list + (uint64_t)pos * CHIP_DESC_SIZE, raw, n * CHIP_DESC_SIZE)) {
		visit_error(v, SIM_DMA_ERR_FETCH, "the bus refused its fetch from",
			    v->list + (uint64_t)pos * CHIP_DESC_SIZE, pos);
		return 0;
	}
	while (done < n && *moved < room) {
		const uint8_t *desc = raw + done * CHIP_DESC_SIZE;
		uint32_t size;

		if (linear && !(get_le32(desc) >> 8)) {
			v->starved = true; /* nobody programmed it: the channel waits for ever */
			break;
		}
		size = one(v, desc, pos + done, data + *moved, room - *moved);
		if (v->err)
			break;
		*moved += size;
		done++;
	}
	return done;
}

int sim_chan_move(struct mock_chip *chip, unsigned int ch, uint8_t *data, size_t room, uint32_t max,
		  size_t *moved)
{
	struct sim_chan *c = &chip->chan[ch];
	uint32_t n = sim_chan_available(c), gen = c->gen, done, pos = c->pos;
	bool linear = c->linear;
	struct visit v;

	*moved = 0;
	n = n < max ? n : max;
	n = n < SIM_BURST ? n : SIM_BURST;
	if (!linear && n > ring_size(c) - pos)
		n = ring_size(c) - pos;
	if (!n || !room || ordered_stop(chip, ch) || !begin(chip, &v, ch))
		return 0;
	done = burst(&v, pos, n, linear, data, room, moved);
	end(chip, &v);
	if (c->gen != gen)
		return -ECANCELED;
	c->last_ctrl = v.last_ctrl;
	c->starved |= v.starved;
	ordered_lie(chip, ch, done);
	advance(c, done);
	if (v.err) {
		chan_error(c, v.err);
		sim_fault(chip, "channel %u: %s", ch, v.why);
	}
	if (v.irq)
		sim_irq_channel(chip, ch);
	return v.err ? -EIO : (int)done;
}

/* --------------------------------------------------------------- a frame of an output */

static int room_read(struct visit *v, uint32_t pos, uint32_t n, uint32_t mask, size_t bytes)
{
	uint8_t raw[SIM_BURST * CHIP_DESC_SIZE];
	size_t sum = 0;

	for (uint32_t i = 0, k; i < n && sum < bytes; i += k) {
		uint32_t at = (pos + i) & mask;

		k = n - i < SIM_BURST ? n - i : SIM_BURST;
		k = k < mask + 1 - at ? k : mask + 1 - at;
		if (bus_read(v, v->list + (uint64_t)at * CHIP_DESC_SIZE, raw, k * CHIP_DESC_SIZE)) {
			visit_error(v, SIM_DMA_ERR_FETCH, "the bus refused its fetch from",
				    v->list + (uint64_t)at * CHIP_DESC_SIZE, at);
			return -EIO;
		}
		for (uint32_t d = 0; d < k && sum < bytes; d++)
			sum += get_le32(raw + d * CHIP_DESC_SIZE) >> 8;
	}
	return sum >= bytes;
}

int sim_chan_room(struct mock_chip *chip, unsigned int ch, size_t bytes)
{
	struct sim_chan *c = &chip->chan[ch];
	uint32_t n = sim_chan_available(c), gen = c->gen, pos = c->pos, mask = ring_size(c) - 1;
	struct visit v;
	int r;

	if (n < ceil_div(bytes, c->page) || !begin(chip, &v, ch))
		return 0;
	r = room_read(&v, pos, n, mask, bytes);
	end(chip, &v);
	if (c->gen != gen)
		return -ECANCELED;
	if (r < 0) {
		chan_error(c, v.err);
		sim_fault(chip, "channel %u: %s", ch, v.why);
	}
	return r;
}
