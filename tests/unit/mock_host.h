// SPDX-License-Identifier: MIT
/* A tiny host for tests of the software chip: a bus with mapped ranges, an interrupt count,
 * mailbox. */
#ifndef TESTS_UNIT_MOCK_HOST_H
#define TESTS_UNIT_MOCK_HOST_H

#include <openssl/evp.h>
#include <pthread.h>
#include <unistd.h>

#include "chip/protocol.h"
#include "chip/regs.h"
#include "mock/mock.h"
#include "support/support.h"

#define WAIT_MS 20000 /* how long a test waits before it gives up; nothing is measured */

struct mapping {
	uint64_t bus;
	size_t len;
	uint8_t *mem;
};

struct test_host {
	pthread_mutex_t lock;
	struct mapping map[16];
	unsigned int nmaps;
	unsigned int irqs, reads, writes;
	struct mock_chip *chip;
};

static int bus_access(struct test_host *h, uint64_t bus, void *buf, size_t len, bool write)
{
	int r = -EFAULT;

	pthread_mutex_lock(&h->lock);
	*(write ? &h->writes : &h->reads) += 1;
	for (unsigned int i = 0; i < h->nmaps && r; i++) {
		struct mapping *m = &h->map[i];

		if (bus < m->bus || bus - m->bus + len > m->len)
			continue;
		if (write)
			memcpy(m->mem + (bus - m->bus), buf, len);
		else
			memcpy(buf, m->mem + (bus - m->bus), len);
		r = 0;
	}
	pthread_mutex_unlock(&h->lock);
	return r;
}

static int bus_dma_read(void *host, uint64_t bus, void *buf, size_t len)
{
	return bus_access(host, bus, buf, len, false);
}

static int bus_dma_write(void *host, uint64_t bus, const void *buf, size_t len)
{
	return bus_access(host, bus, (void *)(uintptr_t)buf, len, true);
}

static void bus_irq(void *host)
{
	struct test_host *h = host;

	pthread_mutex_lock(&h->lock);
	h->irqs++;
	pthread_mutex_unlock(&h->lock);
}

static inline unsigned int host_count(struct test_host *h, const unsigned int *what)
{
	unsigned int v;

	pthread_mutex_lock(&h->lock);
	v = *what;
	pthread_mutex_unlock(&h->lock);
	return v;
}

static inline uint8_t *host_map(struct test_host *h, uint64_t bus, size_t len)
{
	uint8_t *mem = calloc(1, len);

	assert_non_null(mem);
	pthread_mutex_lock(&h->lock);
	h->map[h->nmaps++] = (struct mapping){bus, len, mem};
	pthread_mutex_unlock(&h->lock);
	return mem;
}

/* Change or look at bus memory while the chip may be using it. */
static inline void host_poke(struct test_host *h, uint64_t bus, const void *data, size_t len)
{
	assert_int_equal(bus_access(h, bus, (void *)(uintptr_t)data, len, true), 0);
}

static inline void host_peek(struct test_host *h, uint64_t bus, void *data, size_t len)
{
	assert_int_equal(bus_access(h, bus, data, len, false), 0);
}

static inline uint32_t rd(struct test_host *h, unsigned int bar, uint32_t off)
{
	return mock_chip_read(h->chip, bar, off, 4);
}

static inline void wr(struct test_host *h, unsigned int bar, uint32_t off, uint32_t v)
{
	mock_chip_write(h->chip, bar, off, v, 4);
}

static inline void host_open(struct test_host *h, const struct mock_opts *opts)
{
	struct mock_host cb = {bus_dma_read, bus_dma_write, bus_irq, h};

	memset(h, 0, sizeof(*h));
	pthread_mutex_init(&h->lock, NULL);
	h->chip = mock_chip_new(opts, &cb);
	assert_non_null(h->chip);
	mock_chip_set_bus_master(h->chip, true);
	mock_chip_set_msi(h->chip, true);
	wr(h, 0, CHIP_IMASK_HOST, CHIP_IMASK_ENABLE);
}

/* A chip whose firmware runs already. */
static inline void host_open_running(struct test_host *h, struct mock_opts opts)
{
	opts.already_running = true;
	host_open(h, &opts);
}

static inline void host_close(struct test_host *h)
{
	mock_chip_free(h->chip);
	for (unsigned int i = 0; i < h->nmaps; i++)
		free(h->map[i].mem);
	pthread_mutex_destroy(&h->lock);
}

/* Poll until (register & mask) == want; returns the last value. */
static inline uint32_t wait_reg(struct test_host *h, unsigned int bar, uint32_t off, uint32_t mask,
				uint32_t want)
{
	uint64_t end = util_now_ms() + WAIT_MS;
	uint32_t v;

	do {
		v = rd(h, bar, off);
		if ((v & mask) == want)
			return v;
		usleep(200);
	} while (util_now_ms() < end);
	fail_msg("BAR%u 0x%x is 0x%08x, want 0x%08x under mask 0x%08x", bar, off, v, want, mask);
	return v;
}

static inline uint32_t wait_istatus(struct test_host *h, uint32_t bit)
{
	return wait_reg(h, 0, CHIP_ISTATUS_HOST, bit, bit);
}

static inline void wait_fault(struct test_host *h, const char *text)
{
	uint64_t end = util_now_ms() + WAIT_MS;
	char fault[256];

	do {
		mock_chip_last_fault(h->chip, fault, sizeof(fault));
		if (strstr(fault, text))
			return;
		usleep(200);
	} while (util_now_ms() < end);
	fail_msg("last fault is \"%s\", want \"%s\"", fault, text);
}

static inline void bar_put(struct test_host *h, uint32_t off, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i += 4) {
		uint8_t word[4] = {0};

		memcpy(word, p + i, len - i < 4 ? len - i : 4);
		wr(h, 4, off + (uint32_t)i, get_le32(word));
		assert_int_equal(rd(h, 4, off + (uint32_t)i), get_le32(word));
	}
}

/* Window 0 to a 4 KiB page of the chip, as pcie 2.5 wants it. */
static inline void window(struct test_host *h, uint32_t addr)
{
	static const uint32_t word[5] = {0x17, 0, 0, 0, 6};

	for (uint32_t i = 0; i < 5; i++) {
		uint32_t v = i == 2 ? addr : word[i];

		wr(h, 0, CHIP_ATR(0) + 4 * i, v);
		assert_int_equal(rd(h, 0, CHIP_ATR(0) + 4 * i), v);
	}
}

static inline void chip_put(struct test_host *h, uint32_t addr, const void *data, size_t len)
{
	window(h, addr & ~0xfffu);
	bar_put(h, addr & 0xfff, data, len);
	window(h, 0);
}

/* Put a request into the mailbox and ring; @doorbell 1 app, 2 core. */
static inline void control_send(struct test_host *h, uint32_t doorbell, const uint8_t *msg,
				size_t len)
{
	uint8_t head[20];
	unsigned int n = 16;

	assert_int_equal(EVP_Digest(msg, len, head, &n, EVP_md5(), NULL), 1);
	put_le32(head + 16, (uint32_t)len);
	bar_put(h, CHIP_MBOX_REQUEST, head, sizeof(head));
	bar_put(h, CHIP_MBOX_REQUEST + 20, msg, len);
	wr(h, 4, CHIP_DOORBELL, doorbell);
}

static inline size_t control_receive(struct test_host *h, uint8_t *rsp, uint8_t *md5)
{
	uint8_t head[20], sum[16];
	unsigned int n = 16;
	size_t len;

	wait_istatus(h, CHIP_IRQ_CONTROL);
	wr(h, 0, CHIP_ISTATUS_HOST, CHIP_IRQ_CONTROL | 0x00800000);
	for (uint32_t i = 0; i < 20; i += 4)
		put_le32(head + i, rd(h, 4, CHIP_MBOX_RESPONSE + i));
	len = get_le32(head + 16);
	assert_in_range(len, 24, FW_CONTROL_MAX);
	for (uint32_t i = 0; i < len; i++)
		rsp[i] = (uint8_t)mock_chip_read(h->chip, 4, CHIP_MBOX_RESPONSE + 20 + i, 1);
	assert_int_equal(EVP_Digest(rsp, len, sum, &n, EVP_md5(), NULL), 1);
	assert_memory_equal(sum, head, 16);
	if (md5)
		memcpy(md5, head, 16);
	return len;
}

/* One control; returns major_status. */
static inline uint32_t control(struct test_host *h, uint32_t doorbell, const uint8_t *msg,
			       size_t len, uint8_t *rsp, size_t *rsp_len)
{
	uint8_t local[FW_CONTROL_MAX];
	uint8_t *out = rsp ? rsp : local;
	size_t n;

	control_send(h, doorbell, msg, len);
	n = control_receive(h, out, NULL);
	if (rsp_len)
		*rsp_len = n;
	return get_be32(out + 16);
}

static inline uint32_t control_hex(struct test_host *h, uint32_t doorbell, const char *hex)
{
	size_t len;
	uint8_t *msg = unhex(hex, &len);
	uint32_t status = control(h, doorbell, msg, len, NULL, NULL);

	free(msg);
	return status;
}

#define HEX_HEAD "000000020000000000000000000000"
#define HEX_RESET_STATE                                                                            \
	HEX_HEAD "25000000040000000100"                                                            \
		 "00000001ff"                                                                      \
		 "000000020000000000020000"
#define HEX_ENABLED                                                                                \
	HEX_HEAD "25000000040000000101"                                                            \
		 "0000000100"                                                                      \
		 "000000020000000000020000"
#define HEX_CLEAR HEX_HEAD "4700000000"

/* A request built from parameters; free ->ptr with buf_free(). */
static inline struct buf request(uint32_t opcode, uint32_t params)
{
	struct buf b = {0};

	buf_be32(&b, 2);
	buf_be32(&b, 0);
	buf_be32(&b, 0);
	buf_be32(&b, opcode);
	buf_be32(&b, params);
	return b;
}

static inline void request_param(struct buf *b, const void *data, size_t len)
{
	buf_be32(b, (uint32_t)len);
	buf_put(b, data, len);
}

static inline uint32_t request_send(struct test_host *h, uint32_t doorbell, struct buf *b)
{
	uint32_t status = control(h, doorbell, b->ptr, b->len, NULL, NULL);

	buf_free(b);
	return status;
}

static inline uint32_t set_context(struct test_host *h, uint8_t first, uint8_t last, uint8_t type,
				   const void *bytes, size_t len)
{
	struct buf b = request(FW_SET_CONTEXT_INFO, 4);

	request_param(&b, &first, 1);
	request_param(&b, &last, 1);
	request_param(&b, &type, 1);
	request_param(&b, bytes, len);
	return request_send(h, 2, &b);
}

/* The 32 bytes of protocol 4.1. */
static inline uint32_t set_header(struct test_host *h, uint16_t contexts, uint8_t fast,
				  uint16_t batch, uint8_t cfg_count, uint8_t cfg0, uint8_t cfg1)
{
	uint8_t head[32] = {0};
	struct buf b = request(FW_SET_NETWORK_GROUP_HEADER, 1);

	put_le16(head, contexts);
	head[4] = fast;
	head[6] = 1;
	put_le16(head + 7, 512);
	put_le16(head + 9, batch);
	head[27] = cfg_count;
	head[28] = cfg0;
	head[29] = cfg1;
	request_param(&b, head, 32);
	return request_send(h, 2, &b);
}

static inline uint32_t set_status(struct test_host *h, uint8_t state, uint8_t app, uint16_t batch)
{
	uint8_t le[2], zero[2] = {0};
	struct buf b = request(FW_CHANGE_CONTEXT_SWITCH_STATUS, 4);

	put_le16(le, batch);
	request_param(&b, &state, 1);
	request_param(&b, &app, 1);
	request_param(&b, le, 2);
	request_param(&b, zero, 2);
	return request_send(h, 2, &b);
}

/* ------------------------------------------------------------------- action lists */

static inline void act(struct buf *b, uint8_t type)
{
	buf_u8(b, type);
	buf_le32(b, 0xffffffff);
}

static inline void hbi(struct buf *b, uint64_t list, uint16_t page, uint32_t count,
		       uint32_t pattern)
{
	buf_u8(b, 0);
	buf_le64(b, list);
	buf_le16(b, page);
	buf_le32(b, count);
	buf_le32(b, pattern);
}

static inline void desc_put(struct test_host *h, uint64_t list, uint32_t index, uint32_t size,
			    uint8_t ctrl, uint64_t addr)
{
	uint8_t d[16] = {0};

	put_le32(d, size << 8 | ctrl);
	put_le64(d + 4, addr);
	host_poke(h, list + 16 * (uint64_t)index, d, 16);
}

#endif
