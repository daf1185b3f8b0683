// SPDX-License-Identifier: MIT
#include "support/fakechip.h"
#include "support/support.h"

#include "chip/internal.h"

#include <openssl/evp.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Facts from the device side of the spec (pcie 11), written down here a second time on purpose. */
#define RAM_BASE 0x60000u
#define RAM_END 0x100000u

static struct fake_chip *to_fake(struct backend *be)
{
	return container_of(be, struct fake_chip, be);
}

void fake_raise(struct fake_chip *f, uint32_t istatus)
{
	f->istatus |= istatus;
	if (f->lose_irq || !f->msi || !f->bus_master || !(f->istatus & f->imask))
		return;
	assert_int_equal(eventfd_write(f->be.irq_fd, 1), 0);
}

static void reset_channels(struct fake_chip *f)
{
	memset(f->bar2, 0, sizeof(f->bar2));
}

static void boot(struct fake_chip *f)
{
	f->state = FAKE_RUNNING;
	if (!f->boot_without_mailbox) {
		const uint32_t mailbox[5] = {0x17, 0, 0x60000000, 0, 6};

		memcpy(f->atr, mailbox, sizeof(mailbox));
	}
	memset(f->mailbox + 0xc80, 0, 4);
	fake_raise(f, 0x06800000); /* as captured: bits 25, 26 and 23 */
}

void fake_put_reply(struct fake_chip *f, const uint8_t *reply, size_t len)
{
	unsigned int n;

	assert_int_equal(EVP_Digest(reply, len, f->mailbox + 0x640, &n, EVP_md5(), NULL), 1);
	put_le32(f->mailbox + 0x650, (uint32_t)len);
	memcpy(f->mailbox + 0x654, reply, len);
	if (f->bad_md5_controls) {
		f->bad_md5_controls--;
		f->mailbox[0x640] ^= 1;
	}
	if (f->force_length)
		put_le32(f->mailbox + 0x650, f->force_length);
}

static void control(struct fake_chip *f, bool core)
{
	uint8_t reply[1500], digest[16];
	uint32_t len = get_le32(f->mailbox + 16);
	unsigned int n;
	size_t got;

	assert_true(len >= 20 && len <= 1500);
	assert_int_equal(EVP_Digest(f->mailbox + 20, len, digest, &n, EVP_md5(), NULL), 1);
	assert_memory_equal(f->mailbox, digest, 16);
	for (uint32_t i = 20 + len; i % 4; i++)
		assert_int_equal(f->mailbox[i], 0);
	f->controls++;
	if (f->silent)
		return;
	got = (f->answer ? f->answer : fake_answer)(f, f->mailbox + 20, len, core, reply);
	fake_put_reply(f, reply, got);
	fake_raise(f, 0x04800000);
}

static void doorbell(struct fake_chip *f, uint32_t value)
{
	memmove(f->doorbells + 1, f->doorbells, sizeof(f->doorbells) - sizeof(f->doorbells[0]));
	f->doorbells[0] = value;
	f->n_doorbells++;
	if (f->state != FAKE_RUNNING)
		return;
	if (value == 1 || value == 2)
		control(f, value == 2);
	if (value == 4 && !f->deaf_driver_down) {
		reset_channels(f);
		fake_raise(f, 0x08800000);
	}
	if (value == 8 && !f->deaf_soft_reset) {
		reset_channels(f);
		f->state = FAKE_BOOTLOADER;
		f->boot_status = f->never_ready ? 2 : 1;
		f->atr[2] = 0;
		fake_raise(f, 0x01800000);
	}
}

/* Where a BAR4 offset of window 0 leads; NULL: nowhere. */
static uint8_t *window(struct fake_chip *f, uint32_t off)
{
	uint32_t addr;

	if (off >= 0x2000 && off < 0x4000)
		return f->logs + (off - 0x2000);
	if (off >= 0x1000)
		return NULL;
	addr = f->atr[2] + off;
	if (addr >= RAM_BASE && addr + 4 <= RAM_END)
		return f->ram + (addr - RAM_BASE);
	if (addr >= 0x60000000 && addr + 4 <= 0x60000000 + sizeof(f->mailbox))
		return f->mailbox + (addr - 0x60000000);
	return NULL;
}

static uint32_t scripted(const uint32_t **script, size_t *n, uint32_t own)
{
	if (!*n)
		return own;
	(*n)--;
	return *(*script)++;
}

static uint32_t reg_read(struct fake_chip *f, unsigned int bar, uint32_t off)
{
	uint8_t *p;

	if (bar == 2)
		return f->bar2[off / 4];
	if (bar == 4) {
		if (off < 0x1000 && f->atr[2] + off == 0xe0000)
			return f->boot_status;
		p = window(f, off);
		return p ? get_le32(p) : 0xffffffff;
	}
	switch (off) {
	case 0x98:
		return 0x28641e60;
	case 0x188:
		return f->imask;
	case 0x18c:
		if (f->storm)
			return 0x00800000;
		return scripted(&f->script_istatus, &f->n_istatus, f->istatus);
	case 0x400:
		return scripted(&f->script_src, &f->n_src, f->src);
	case 0x500:
		return scripted(&f->script_dst, &f->n_dst, f->dst);
	}
	if (off >= 0x700 && off <= 0x710)
		return f->atr[(off - 0x700) / 4];
	fail_msg("read of BAR%u 0x%x", bar, off);
	return 0;
}

static void reg_write(struct fake_chip *f, unsigned int bar, uint32_t off, uint32_t v)
{
	uint8_t *p;

	if (bar == 2) {
		f->bar2[off / 4] = v;
		return;
	}
	if (bar == 4) {
		if (off == 0x1684) {
			doorbell(f, v);
			return;
		}
		p = window(f, off);
		if (p)
			put_le32(p, v);
		return;
	}
	switch (off) {
	case 0x188:
		f->imask = v;
		return;
	case 0x18c:
		f->istatus &= ~v;
		return;
	case 0x400:
		f->src &= ~v;
		return;
	case 0x500:
		f->dst &= ~v;
		return;
	}
	if (off < 0x700 || off > 0x710)
		fail_msg("write of BAR%u 0x%x", bar, off);
	f->atr[(off - 0x700) / 4] = v;
	if (off == 0x710 && f->ram[0xe0980 - RAM_BASE] == 1 && f->dead_boot)
		f->boot_status = 0x1234;
	/* The window's restore after the trigger must not destroy what the firmware sets up (11.3). */
	if (off == 0x710 && f->state == FAKE_BOOTLOADER && !f->dead_boot &&
	    f->ram[0xe0980 - RAM_BASE] == 1 && f->atr[2] != 0xe0000) {
		f->ram[0xe0980 - RAM_BASE] = 0;
		boot(f);
	}
}

static size_t note(struct fake_chip *f, unsigned int bar, uint32_t off, uint8_t width, bool write,
		   uint32_t value)
{
	if (f->n_log == f->cap_log) {
		f->cap_log = f->cap_log ? f->cap_log * 2 : 1024;
		f->log = realloc(f->log, f->cap_log * sizeof(*f->log));
		assert_non_null(f->log);
	}
	f->log[f->n_log++] = (struct fake_access){(uint8_t)bar, width, write, off, value};
	return f->n_log;
}

static uint32_t fake_read32(struct backend *be, unsigned int bar, uint32_t off)
{
	struct fake_chip *f = to_fake(be);
	uint32_t v;
	size_t n;

	if (f->gone_at && f->n_log + 1 >= f->gone_at) {
		note(f, bar, off, 4, false, 0xffffffff);
		return 0xffffffff;
	}
	v = reg_read(f, bar, off);
	n = note(f, bar, off, 4, false, v);
	return f->flip_at == n ? v ^ 0x10 : v;
}

static void fake_write32(struct backend *be, unsigned int bar, uint32_t off, uint32_t value)
{
	struct fake_chip *f = to_fake(be);
	size_t n = note(f, bar, off, 4, true, value);

	if (!f->gone_at || n < f->gone_at)
		reg_write(f, bar, off, value);
}

static void fake_write16(struct backend *be, unsigned int bar, uint32_t off, uint16_t value)
{
	struct fake_chip *f = to_fake(be);
	size_t n = note(f, bar, off, 2, true, value);
	uint32_t *word = &f->bar2[off / 4];

	assert_int_equal(bar, 2);
	if (f->gone_at && n >= f->gone_at)
		return;
	if (off & 2)
		*word = (*word & 0xffff) | (uint32_t)value << 16;
	else
		*word = (*word & 0xffff0000) | value;
}

static int fake_irq_enable(struct backend *be)
{
	struct fake_chip *f = to_fake(be);

	f->msi = f->irq_enable_result == 0;
	return f->irq_enable_result;
}

static void fake_irq_disable(struct backend *be)
{
	to_fake(be)->msi = false;
}

static int fake_dma_alloc(struct backend *be, size_t size, size_t align, struct backend_dma *out)
{
	struct fake_chip *f = to_fake(be);

	if (++f->dma_allocs == f->fail_alloc)
		return -ENOMEM;
	out->virt = calloc(1, size);
	assert_non_null(out->virt);
	out->size = size;
	out->bus = align_up(f->next_bus, align) + (f->misalign ? 4096 : 0);
	f->next_bus = out->bus + size;
	f->dma_bytes += size;
	return 0;
}

static void fake_dma_free(struct backend *be, struct backend_dma *mem)
{
	to_fake(be)->dma_bytes -= mem->size;
	free(mem->virt);
}

static void fake_dma_sync(struct backend *be, const struct backend_dma *mem, size_t off, size_t len,
			  bool to_device)
{
	struct fake_chip *f = to_fake(be);

	assert_true(to_device);
	assert_true(len && off + len <= mem->size);
	if (f->syncs < ARRAY_SIZE(f->sync_off)) {
		f->sync_off[f->syncs] = off;
		f->sync_len[f->syncs] = len;
	}
	f->syncs++;
}

static int fake_reset(struct backend *be)
{
	struct fake_chip *f = to_fake(be);

	f->resets++;
	if (f->reset_result < 0)
		return f->reset_result;
	f->state = FAKE_BOOTLOADER;
	f->atr[2] = 0;
	f->boot_status = f->never_ready ? 2 : 1;
	f->imask = f->istatus = 0;
	f->msi = f->bus_master = false;
	f->ram[0xe0980 - RAM_BASE] = 0;
	reset_channels(f);
	return 0;
}

static void fake_set_bus_master(struct backend *be, bool on)
{
	to_fake(be)->bus_master = on;
}

static void fake_close(struct backend *be)
{
	to_fake(be)->closes++;
}

static const struct backend_ops fake_ops = {
	.close = fake_close,
	.read32 = fake_read32,
	.write32 = fake_write32,
	.write16 = fake_write16,
	.irq_enable = fake_irq_enable,
	.irq_disable = fake_irq_disable,
	.dma_alloc = fake_dma_alloc,
	.dma_free = fake_dma_free,
	.dma_sync = fake_dma_sync,
	.reset = fake_reset,
	.set_bus_master = fake_set_bus_master,
};

void fake_init(struct fake_chip *f)
{
	*f = (struct fake_chip){.state = FAKE_BOOTLOADER, .boot_status = 1};
	f->be = (struct backend){
		.ops = &fake_ops,
		.bar_len = {0x4000, 0, 0x1000, 0, 0x4000, 0},
		.irq_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
		.name = "fake",
		.bdf = "0000:01:00.0",
		.vendor = 0x1e60,
		.device = 0x2864,
		.subsys_vendor = 0x1af4,
		.subsys_device = 0x1100,
		.max_read_request = 512,
	};
	assert_true(f->be.irq_fd >= 0);
	f->atr[0] = 0x17; /* before boot the captured entry is 0x17, 0, 0, 0, 6 */
	f->atr[4] = 6;
	f->next_bus = 0x1000000000;
	f->ram = calloc(1, RAM_END - RAM_BASE);
	assert_non_null(f->ram);
}

void fake_start(struct fake_chip *f, struct chip *chip)
{
	fake_init(f);
	f->state = FAKE_RUNNING;
	f->atr[2] = 0x60000000;
	f->bus_master = true;
	*chip = (struct chip){.be = &f->be};
	assert_int_equal(f->be.ops->irq_enable(&f->be), 0);
	chip_irq_unmask(chip);
	f->n_log = 0;
}

void fake_done(struct fake_chip *f)
{
	close(f->be.irq_fd);
	free(f->log);
	free(f->ram);
}

void fake_post_event(struct fake_chip *f, const void *msg, size_t len)
{
	put_le16(f->mailbox + 0xc80, 1);
	put_le16(f->mailbox + 0xc82, (uint16_t)len);
	memcpy(f->mailbox + 0xc84, msg, len);
	fake_raise(f, 0x02000000);
}

size_t fake_status_reply(uint8_t *reply, uint32_t opcode, uint32_t major, uint32_t minor)
{
	memset(reply, 0, 28);
	put_be32(reply, 2);
	put_be32(reply + 4, 1);
	put_be32(reply + 12, opcode);
	put_be32(reply + 16, major);
	put_be32(reply + 20, minor);
	return 28;
}

static size_t put_param(uint8_t *reply, size_t at, const void *data, uint32_t len)
{
	put_be32(reply + at, len);
	memcpy(reply + at + 4, data, len);
	put_be32(reply + 24, get_be32(reply + 24) + 1);
	return at + 4 + len;
}

static size_t put_word(uint8_t *reply, size_t at, uint32_t v)
{
	uint8_t be[4];

	put_be32(be, v);
	return put_param(reply, at, be, 4);
}

size_t fake_answer(struct fake_chip *f, const uint8_t *msg, size_t len, bool core, uint8_t *reply)
{
	static const uint8_t app_version[12] = {4, 0, 0, 0, 23, 0, 0, 0, 0, 0, 0, 0x20};
	static const uint8_t core_version[12] = {4, 0, 0, 0, 23, 0, 0, 0, 0, 0, 0, 0x28};
	static const uint8_t consts[19] = {8,    0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x00, 0xa0,
					   0x00, 0, 1, 0, 1,    0x00, 0x00, 1,    0};
	static const char board[32] = "Hailo-8", zero[48] = "";
	uint32_t opcode = get_be32(msg + 12);
	size_t n = fake_status_reply(reply, opcode, 0, 0);

	(void)f;
	(void)len;
	switch (opcode) {
	case 0:
		assert_false(core);
		n = put_word(reply, n, 2);
		n = put_param(reply, n, app_version, 12);
		n = put_word(reply, n, 0);
		n = put_param(reply, n, board, 32);
		n = put_word(reply, n, 1);
		n = put_param(reply, n, zero, 16);
		n = put_param(reply, n, zero, 16);
		n = put_param(reply, n, zero, 42);
		break;
	case 42:
		assert_true(core);
		n = put_param(reply, n, core_version, 12);
		break;
	case 46: {
		static const uint8_t temp[10] = {0, 0, 0x0e, 0x42, 0, 0, 0x10, 0x42, 0, 1};

		n = put_param(reply, n, temp, 10);
		break;
	}
	case 51:
		assert_false(core);
		n = put_word(reply, n, 400000000);
		n = put_param(reply, n, "\0\0\0\4\0\0\0", 8);
		n = put_word(reply, n, 1);
		n = put_param(reply, n, "\3", 1);
		n = put_param(reply, n, zero, 32);
		n = put_param(reply, n, zero, 6);
		n = put_param(reply, n, zero, 12);
		n = put_param(reply, n, zero, 24);
		n = put_word(reply, n, 0);
		break;
	case 72:
		assert_true(core);
		n = put_param(reply, n, consts, 19);
		break;
	}
	return n;
}

static void put_part(struct buf *b, uint32_t revision, uint32_t size)
{
	buf_le32(b, 0x1dd89de0);
	buf_le32(b, 0);
	buf_le32(b, 4);
	buf_le32(b, 23);
	buf_le32(b, revision);
	buf_le32(b, size);
	for (uint32_t i = 0; i < size; i++)
		buf_u8(b, (uint8_t)(i * 7 + size));
}

uint8_t *fake_firmware(uint32_t app, uint32_t key, uint32_t content, uint32_t core, size_t *len)
{
	struct buf b = {0};

	put_part(&b, 0x20000000, app);
	buf_le32(&b, key);
	buf_le32(&b, content);
	for (uint32_t i = 0; i < key + content; i++)
		buf_u8(&b, (uint8_t)(0xc0 + i));
	put_part(&b, 0x28000000, core);
	assert_false(b.failed);
	*len = b.len;
	return b.ptr;
}
