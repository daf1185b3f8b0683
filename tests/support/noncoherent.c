// SPDX-License-Identifier: MIT
#include "support/noncoherent.h"

#include <pthread.h>

#include "chip/regs.h"
#include "support/support.h"

#define LINE 64u
#define AREAS 256u

/* backend_dma.handle is the area's number, and 1 more. */
struct area {
	struct backend_dma below; /* as the mock gave it: what the chip sees */
	uint8_t *cpu;		  /* what the driver has */
	uint8_t *told;		  /* @cpu as it was when it was carried across last */
	bool *cached;		  /* of each line: the CPU looked at it, and the chip was not given it since */
	bool list;
};

static struct {
	pthread_mutex_t lock;
	const struct backend_ops *below;
	struct backend_ops ops;
	struct area areas[AREAS];
	size_t n;
	enum noncoherent_lame lame;
	size_t lost, never_told, ungiven; /* bytes, bytes, lines */
	size_t outside;			  /* syncs */
} board = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint8_t *copy_of_nothing(size_t size)
{
	void *p;

	if (posix_memalign(&p, 4096, size))
		abort();
	memset(p, 0, size);
	return p;
}

static int two_alloc(struct backend *be, size_t size, size_t align, struct backend_dma *out)
{
	int r = board.below->dma_alloc(be, size, align, out);
	size_t i = 0;

	if (r < 0)
		return r;
	pthread_mutex_lock(&board.lock);
	while (board.areas[i].cpu)
		if (++i == AREAS)
			abort();
	board.areas[i] = (struct area){
		.below = *out,
		.cpu = copy_of_nothing(out->size),
		.told = copy_of_nothing(out->size),
		.cached = (bool *)copy_of_nothing(ceil_div(out->size, LINE) * sizeof(bool)),
		.list = align >= CHIP_LIST_ALIGN,
	};
	out->virt = board.areas[i].cpu;
	out->handle = i + 1;
	board.n++;
	pthread_mutex_unlock(&board.lock);
	return 0;
}

static size_t differing(const uint8_t *a, const uint8_t *b, size_t n)
{
	size_t count = 0;

	if (memcmp(a, b, n) == 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		count += a[i] != b[i];
	return count;
}

static void two_free(struct backend *be, struct backend_dma *mem)
{
	struct area a;

	pthread_mutex_lock(&board.lock);
	a = board.areas[mem->handle - 1];
	board.areas[mem->handle - 1] = (struct area){0};
	board.n--;
	board.never_told += differing(a.cpu, a.told, a.below.size);
	pthread_mutex_unlock(&board.lock);
	free(a.cpu);
	free(a.told);
	free(a.cached);
	board.below->dma_free(be, &a.below);
}

/* Lines that the chip wrote while the CPU had them; from here on it has all of these, or none. */
static void hand_over(struct area *a, size_t off, size_t end, bool to_device)
{
	const uint8_t *chips = a->below.virt;

	for (; off < end; off += LINE) {
		size_t n = end - off < LINE ? end - off : LINE;

		if (!to_device)
			board.ungiven += a->cached[off / LINE] && memcmp(chips + off, a->told + off, n) != 0;
		a->cached[off / LINE] = !to_device;
	}
}

static bool is_lame(const struct area *a, bool to_device)
{
	switch (board.lame) {
	case NONCOHERENT_NO_LISTS:
		return a->list;
	case NONCOHERENT_NO_TO_DEVICE:
		return !a->list && to_device;
	case NONCOHERENT_NO_FROM_DEVICE:
		return !a->list && !to_device;
	default:
		return false;
	}
}

static void two_sync(struct backend *be, const struct backend_dma *mem, size_t off, size_t len,
		     bool to_device)
{
	struct area *a;
	size_t end;

	(void)be;
	pthread_mutex_lock(&board.lock);
	a = &board.areas[mem->handle - 1];
	if (off > mem->size || len > mem->size - off) {
		board.outside++;
		goto out;
	}
	if (is_lame(a, to_device))
		goto out;
	end = off + len;
	/* The chip reads other descriptors of a list meanwhile; their lines hold nothing else. */
	if (!a->list) {
		off &= ~(size_t)(LINE - 1);
		end = align_up(end, LINE);
		end = end < mem->size ? end : mem->size;
		hand_over(a, off, end, to_device);
	}
	if (to_device) {
		memcpy((uint8_t *)a->below.virt + off, a->cpu + off, end - off);
	} else {
		board.lost += differing(a->cpu + off, a->told + off, end - off);
		memcpy(a->cpu + off, (uint8_t *)a->below.virt + off, end - off);
	}
	memcpy(a->told + off, a->cpu + off, end - off);
out:
	pthread_mutex_unlock(&board.lock);
}

static void two_close(struct backend *be)
{
	be->ops = board.below;
	backend_close(be);
}

void noncoherent_make(struct backend *be)
{
	assert_non_null(backend_mock_chip(be));
	assert_int_equal(board.n, 0);
	board.below = be->ops;
	board.ops = *be->ops;
	board.ops.dma_alloc = two_alloc;
	board.ops.dma_free = two_free;
	board.ops.dma_sync = two_sync;
	board.ops.close = two_close;
	board.lame = NONCOHERENT_HEALTHY;
	board.lost = board.never_told = board.ungiven = board.outside = 0;
	be->ops = &board.ops;
}

void noncoherent_lame(enum noncoherent_lame which)
{
	pthread_mutex_lock(&board.lock);
	board.lame = which;
	pthread_mutex_unlock(&board.lock);
}

void noncoherent_check(void)
{
	if (board.lost)
		fail_msg("%zu bytes that the CPU wrote were thrown away by a sync for the CPU", board.lost);
	if (board.never_told)
		fail_msg("%zu bytes that the CPU wrote never reached the chip", board.never_told);
	if (board.ungiven)
		fail_msg("the chip wrote %zu cache lines that it had not been given again", board.ungiven);
	assert_int_equal(board.outside, 0);
}

uint8_t *noncoherent_chips(const struct backend_dma *mem)
{
	return board.areas[mem->handle - 1].below.virt;
}

size_t noncoherent_areas(void)
{
	return board.n;
}
