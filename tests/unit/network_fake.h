// SPDX-License-Identifier: MIT
/*
 * What the tests of network/ share: a PCI function that only records (mailbox messages, DMA
 * memory) and fails to order.  It answers every control with success.
 */
#ifndef TESTS_UNIT_NETWORK_FAKE_H
#define TESTS_UNIT_NETWORK_FAKE_H

#include "support/support.h"

#include <openssl/evp.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "network/internal.h"

#define FAKE_MESSAGES_MAX 64

struct fake_message {
	uint32_t doorbell; /* 1 app CPU, 2 core CPU */
	uint8_t md5[16];
	size_t len;
	uint8_t bytes[FW_CONTROL_MAX];
};

struct fake {
	struct backend be;
	uint8_t mailbox[CHIP_BAR_FW_SIZE];
	uint32_t vdma[CHIP_BAR_VDMA_SIZE / 4];
	uint32_t istatus;
	bool gone;               /* every read is all ones */
	uint32_t refuse_at;      /* refuse the n-th message, counted from 1 */
	size_t n_messages;
	struct fake_message messages[FAKE_MESSAGES_MAX];
	long allocs_left;        /* fail the allocation after so many; -1: never */
	size_t n_allocs, live;   /* made, not given back */
	uint64_t next_bus;
};

static inline struct fake *fake_of(struct backend *be)
{
	return container_of(be, struct fake, be);
}

static inline uint32_t fake_read32(struct backend *be, unsigned int bar, uint32_t off)
{
	struct fake *f = fake_of(be);

	if (f->gone)
		return UINT32_MAX;
	if (bar == CHIP_BAR_FW)
		return get_le32(f->mailbox + off);
	if (bar == CHIP_BAR_VDMA)
		return f->vdma[off / 4];
	if (off == CHIP_PCI_ID)
		return (uint32_t)CHIP_PCI_DEVICE << 16 | CHIP_PCI_VENDOR;
	if (off == CHIP_ATR(0) + CHIP_ATR_TRSL_LO)
		return CHIP_ADDR_MAILBOX;
	return off == CHIP_ISTATUS_HOST ? f->istatus : 0;
}

static inline void fake_answer(struct fake *f)
{
	uint8_t *area = f->mailbox + CHIP_MBOX_RESPONSE;
	uint8_t *r = area + 20;
	unsigned int n = 0;

	memset(r, 0, 28);
	put_be32(r, FW_VERSION);
	put_be32(r + 4, FW_FLAG_ACK);
	memcpy(r + 12, f->messages[f->n_messages - 1].bytes + 12, 4);
	if (f->refuse_at == f->n_messages)
		put_be32(r + 16, FW_STATUS_LIST_WALK);
	EVP_Digest(r, 28, area, &n, EVP_md5(), NULL);
	put_le32(area + 16, 28);
	f->istatus |= CHIP_IRQ_CONTROL;
	eventfd_write(f->be.irq_fd, 1);
}

static inline void fake_write32(struct backend *be, unsigned int bar, uint32_t off, uint32_t v)
{
	struct fake *f = fake_of(be);

	if (bar == CHIP_BAR_FW && off == CHIP_DOORBELL) {
		struct fake_message *m;

		assert_true(f->n_messages < FAKE_MESSAGES_MAX);
		m = &f->messages[f->n_messages++];
		m->doorbell = v;
		memcpy(m->md5, f->mailbox, 16);
		m->len = get_le32(f->mailbox + 16);
		assert_true(m->len <= sizeof(m->bytes));
		memcpy(m->bytes, f->mailbox + 20, m->len);
		fake_answer(f);
	} else if (bar == CHIP_BAR_FW) {
		put_le32(f->mailbox + off, v);
	} else if (bar == CHIP_BAR_CONFIG && off == CHIP_ISTATUS_HOST) {
		f->istatus &= ~v;
	}
}

static inline int fake_dma_alloc(struct backend *be, size_t size, size_t align,
				 struct backend_dma *out)
{
	struct fake *f = fake_of(be);

	if (f->allocs_left == 0)
		return -ENOMEM;
	if (f->allocs_left > 0)
		f->allocs_left--;
	out->virt = aligned_alloc(64, align_up(size, 64));
	assert_non_null(out->virt);
	memset(out->virt, 0, size);
	out->size = size;
	f->next_bus = align_up(f->next_bus, align);
	out->bus = f->next_bus;
	f->next_bus += size;
	f->n_allocs++;
	f->live++;
	return 0;
}

static inline void fake_dma_free(struct backend *be, struct backend_dma *mem)
{
	free(mem->virt);
	fake_of(be)->live--;
}

static inline void fake_dma_sync(struct backend *be, const struct backend_dma *mem, size_t off,
				 size_t len, bool to_device)
{
	(void)be;
	assert_true(to_device);
	assert_true(off <= mem->size && len <= mem->size - off);
}

static inline struct fake *fake_new(void)
{
	static const struct backend_ops ops = {
		.read32 = fake_read32,
		.write32 = fake_write32,
		.dma_alloc = fake_dma_alloc,
		.dma_free = fake_dma_free,
		.dma_sync = fake_dma_sync,
	};
	struct fake *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->be.ops = &ops;
	f->be.bar_len[CHIP_BAR_CONFIG] = CHIP_BAR_CONFIG_SIZE;
	f->be.bar_len[CHIP_BAR_VDMA] = CHIP_BAR_VDMA_SIZE;
	f->be.bar_len[CHIP_BAR_FW] = CHIP_BAR_FW_SIZE;
	f->be.irq_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	assert_true(f->be.irq_fd >= 0);
	f->allocs_left = -1;
	f->next_bus = 0x200000000;
	return f;
}

static inline void fake_free(struct fake *f)
{
	close(f->be.irq_fd);
	free(f);
}

static inline void fake_chip(struct fake *f, struct chip *chip)
{
	memset(chip, 0, sizeof(*chip));
	chip->be = &f->be;
	chip->firmware_loaded = true;
}

/* What the one captured Hailo-8L answers to GET_HW_CONSTS (protocol 1.7). */
static inline struct chip_hw_consts fake_consts(void)
{
	return (struct chip_hw_consts){
		.fifo_word_granularity = 8,
		.max_periph_buffers_per_frame = 0xffff,
		.max_periph_bytes_per_buffer = 0xffff,
		.max_acceptable_bytes_per_buffer = 0xa000,
		.outbound_data_stream_size = 0x10000,
		.should_optimize_credits = true,
		.default_initial_credit_size = 0x10000,
	};
}

#endif
