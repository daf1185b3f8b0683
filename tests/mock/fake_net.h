// SPDX-License-Identifier: MIT
/*
 * For tests of networks on the software chip: a double of the neural core, and a network with one
 * input, one output and two config streams that speaks to the chip without any of our driver.
 */
#ifndef TESTS_MOCK_FAKE_NET_H
#define TESTS_MOCK_FAKE_NET_H

#include "mock/payload.h"
#include "unit/mock_host.h"

/* ----------------------------------------------------------------------- a double core */

/*
 * Config stream s must deliver exactly fake_want[s] bytes; a byte 0xee makes the core refuse.
 * Network: out[i] = in[i] + 1 for the first 10 bytes of a 784-byte input.
 */
static size_t fake_want[4] = {600, 100};
static bool fake_never_ready;
static uint8_t fake_in_stream = 1;
static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_cond = PTHREAD_COND_INITIALIZER;
static bool gate_shut;
static unsigned int gate_waiting, cores_alive;

struct core {
	size_t got[4];
};

struct core *core_new(unsigned int threads)
{
	(void)threads;
	__atomic_add_fetch(&cores_alive, 1, __ATOMIC_SEQ_CST);
	return calloc(1, sizeof(struct core));
}

void core_free(struct core *core)
{
	__atomic_sub_fetch(&cores_alive, 1, __ATOMIC_SEQ_CST);
	free(core);
}

int core_feed(struct core *core, unsigned int stream, const uint8_t *data, size_t len)
{
	core->got[stream] += len;
	return memchr(data, 0xee, len) || core->got[stream] > fake_want[stream] ? -EBADMSG : 0;
}

bool core_stream_done(const struct core *core, unsigned int stream)
{
	return core->got[stream] == fake_want[stream];
}

int core_ready(struct core *core)
{
	for (unsigned int s = 0; s < 4; s++) {
		if (!core_stream_done(core, s))
			return -EBADMSG;
	}
	return fake_never_ready ? -EBADMSG : 0;
}

const char *core_error(const struct core *core)
{
	(void)core;
	return "the double says no";
}

const struct core_port *core_ports(const struct core *core, size_t *count)
{
	static struct core_port ports[2] = {{0, true, 10}, {1, false, 784}};

	(void)core;
	ports[1].stream_index = fake_in_stream;
	*count = 2;
	return ports;
}

int core_run(struct core *core, const uint8_t *const *in, uint8_t *const *out)
{
	(void)core;
	pthread_mutex_lock(&gate_lock);
	gate_waiting++;
	while (gate_shut)
		pthread_cond_wait(&gate_cond, &gate_lock);
	gate_waiting--;
	pthread_mutex_unlock(&gate_lock);
	for (int i = 0; i < 10; i++)
		out[0][i] = (uint8_t)(in[0][i] + 1);
	return 0;
}

static inline void gate(bool shut)
{
	pthread_mutex_lock(&gate_lock);
	gate_shut = shut;
	pthread_cond_broadcast(&gate_cond);
	pthread_mutex_unlock(&gate_lock);
}

static inline void wait_in_core(void)
{
	uint64_t end = util_now_ms() + WAIT_MS;
	unsigned int n = 0;

	while (!n && util_now_ms() < end) {
		usleep(200);
		pthread_mutex_lock(&gate_lock);
		n = gate_waiting;
		pthread_mutex_unlock(&gate_lock);
	}
	assert_int_equal(n, 1);
}

/* ------------------------------------------------------------------ a network to send */

#define BASE 0x1000000000ull /* as behind a Raspberry Pi's root complex */
#define CFG_LIST(s) (BASE + 0x10000ull * (s))
#define IN_LIST (BASE + 0x40000)
#define OUT_LIST (BASE + 0x50000)
#define CFG_DATA(s) (BASE + 0x60000 + 0x4000ull * (s))
#define IN_DATA (BASE + 0x80000)
#define OUT_DATA (BASE + 0xc0000)
#define MEM_SIZE 0x100000

/* What a test makes different; 0 is right. */
struct twist {
	uint16_t cfg0_count, cfg0_fetch, pattern0;
	uint8_t cfg0_channel, open_in;
	uint32_t in_pattern;
	bool no_fetch1, no_resume, wait_in_dynamic, slow;
	size_t chunk;
};

struct net {
	struct test_host h;
	uint8_t *mem;
	uint16_t in_head, out_head;
};

/* 600 bytes on stream 0 in two fetches (one page, then 88 bytes), 100 on stream 1. */
static inline void put_config(struct net *n)
{
	desc_put(&n->h, CFG_LIST(0), 0, 512, 0x1e, CFG_DATA(0));
	desc_put(&n->h, CFG_LIST(0), 1, 88, 0x1e, CFG_DATA(0) + 512);
	desc_put(&n->h, CFG_LIST(0), 2, 512, 0x02, CFG_DATA(0) + 1024);
	desc_put(&n->h, CFG_LIST(1), 0, 100, 0x1e, CFG_DATA(1));
	desc_put(&n->h, CFG_LIST(1), 1, 512, 0x02, CFG_DATA(1) + 512);
	for (int i = 0; i < 100; i++)
		n->mem[CFG_DATA(0) - BASE + (size_t)i] = (uint8_t)i;
	/* Or they would pass for microcode, and the core would not be asked. */
	for (int s = 0; s < 2; s++)
		put_le32(n->mem + (CFG_DATA(s) - BASE) + 8, PAYLOAD_MAGIC);
}

static inline void boundary_hbi(struct buf *b, bool out, const struct twist *t)
{
	if (out)
		hbi(b, OUT_LIST, 64, 32, 16);
	else
		hbi(b, IN_LIST, 512, 32, t->in_pattern ? t->in_pattern : 784);
}

static inline void reg_info(struct buf *b)
{
	buf_zero(b, 17);
}

static inline void dataflow(struct buf *b, const struct twist *t)
{
	act(b, FW_ACT_ACTIVATE_BOUNDARY_OUTPUT);
	buf_put(b, "\x10\0\0", 3);
	reg_info(b);
	boundary_hbi(b, true, t);
	act(b, FW_ACT_ACTIVATE_BOUNDARY_INPUT);
	buf_put(b, "\2\1", 2);
	reg_info(b);
	boundary_hbi(b, false, t);
	buf_le32(b, 0x10000);
	if (!t->no_resume) {
		act(b, FW_ACT_RESUME_VDMA_CHANNEL);
		buf_put(b, "\2\1", 2);
	}
	act(b, FW_ACT_FETCH_DATA_FROM_VDMA_CHANNEL);
	buf_put(b, "\2\1\0\x10\3\0\0\1\0", 9);
	act(b, FW_ACT_BURST_CREDITS_TASK_START);
}

static inline void fetch(struct buf *b, uint16_t count, uint8_t ch)
{
	act(b, FW_ACT_FETCH_CFG_CHANNEL_DESCRIPTORS);
	buf_le16(b, count);
	buf_u8(b, ch);
}

static inline struct buf activation(const struct twist *t)
{
	struct buf b = {0};

	act(&b, FW_ACT_BURST_CREDITS_TASK_RESET);
	act(&b, FW_ACT_OPEN_BOUNDARY_OUTPUT_CHANNEL);
	buf_u8(&b, 16);
	boundary_hbi(&b, true, t);
	act(&b, FW_ACT_OPEN_BOUNDARY_INPUT_CHANNEL);
	buf_u8(&b, t->open_in ? t->open_in : 2);
	boundary_hbi(&b, false, t);
	buf_put(&b, "\1\0\x10\3\x10\3\0\0", 8);
	return b;
}

static inline struct buf batch_switching(void)
{
	struct buf b = {0};

	act(&b, FW_ACT_DDR_BUFFERING_RESET);
	act(&b, FW_ACT_CHANGE_BOUNDARY_INPUT_BATCH);
	buf_u8(&b, 2);
	act(&b, FW_ACT_BURST_CREDITS_TASK_START);
	return b;
}

/* Actions 0 and 1 activate, 2 to 4 are LCUs, 5 and 6 fetch on channel 0, 7 on channel 1, 8 waits.
 */
static inline struct buf preliminary(const struct twist *t)
{
	struct buf b = {0};

	act(&b, FW_ACT_ACTIVATE_CFG_CHANNEL);
	buf_u8(&b, t->cfg0_channel);
	buf_u8(&b, 0);
	hbi(&b, CFG_LIST(0), 512, t->cfg0_count ? t->cfg0_count : 3,
	    t->pattern0 ? t->pattern0 : 1024);
	act(&b, FW_ACT_ACTIVATE_CFG_CHANNEL);
	buf_put(&b, "\1\1", 2);
	hbi(&b, CFG_LIST(1), 512, 2, 512);
	act(&b, FW_ACT_REPEATED_ACTION);
	buf_put(&b, "\3\0\5\1\2\3", 6);
	act(&b, FW_ACT_REPEATED_ACTION);
	buf_put(&b, "\2\0\0", 3);
	buf_put(&b, "\1\0\0", 3);
	buf_le16(&b, t->cfg0_fetch ? t->cfg0_fetch : 1);
	buf_u8(&b, 0);
	if (!t->no_fetch1)
		fetch(&b, 1, 1);
	act(&b, FW_ACT_MODULE_CONFIG_DONE_INTERRUPT);
	buf_u8(&b, 0);
	if (t->slow) {
		act(&b, FW_ACT_SLEEP);
		buf_le32(&b, 3000);
	}
	if (!t->wait_in_dynamic)
		dataflow(&b, t);
	act(&b, FW_ACT_DEACTIVATE_CFG_CHANNEL);
	buf_put(&b, "\0\0", 2);
	act(&b, FW_ACT_DEACTIVATE_CFG_CHANNEL);
	buf_put(&b, "\1\1", 2);
	return b;
}

static inline struct buf dynamic(const struct twist *t)
{
	struct buf b = {0};

	dataflow(&b, t);
	act(&b, FW_ACT_APPLICATION_CHANGE_INTERRUPT);
	return b;
}

static inline void send(struct net *n, uint8_t type, struct buf b, size_t chunk)
{
	assert_false(b.failed);
	for (size_t at = 0; at < b.len;) {
		size_t k = chunk && chunk < b.len - at ? chunk : b.len - at;

		assert_int_equal(set_context(&n->h, at == 0, at + k == b.len, type, b.ptr + at, k),
				 0);
		at += k;
	}
	buf_free(&b);
}

static inline void add_app(struct net *n, const struct twist *t, uint8_t fast)
{
	assert_int_equal(set_header(&n->h, 1, fast, 4, 2, 0, 1), 0);
	send(n, FW_CONTEXT_ACTIVATION, activation(t), 0);
	send(n, FW_CONTEXT_BATCH_SWITCHING, batch_switching(), 0);
	send(n, FW_CONTEXT_PRELIMINARY, preliminary(t), t->chunk);
	send(n, FW_CONTEXT_DYNAMIC, dynamic(t), t->chunk);
}

static inline void net_open(struct net *n, const struct twist *t)
{
	static const struct twist none;

	*n = (struct net){0};
	fake_never_ready = false;
	fake_in_stream = 1;
	host_open_running(&n->h, (struct mock_opts){0});
	assert_int_equal(control_hex(&n->h, 2, HEX_CLEAR), 0);
	n->mem = host_map(&n->h, BASE, MEM_SIZE);
	put_config(n);
	add_app(n, t ? t : &none, 1);
}

static inline void net_close(struct net *n)
{
	host_close(&n->h);
	assert_int_equal(cores_alive, 0);
}

/* Queue output @n at num_available of the output channel; 16 bytes each. */
static inline void queue_output(struct net *n, unsigned int frame)
{
	desc_put(&n->h, OUT_LIST, n->out_head, 16, 0x2e, OUT_DATA + 64ull * frame);
	n->out_head = (n->out_head + 1) % 32;
	mock_chip_write(n->h.chip, 2, CHIP_VDMA_HOST(16) + 2, n->out_head, 2);
}

static inline void queue_input(struct net *n, unsigned int frame)
{
	uint8_t bytes[784];
	uint64_t at = IN_DATA + 0x400ull * (frame % 64);

	memset(bytes, (int)frame, sizeof(bytes));
	host_poke(&n->h, at, bytes, sizeof(bytes));
	desc_put(&n->h, IN_LIST, n->in_head, 512, 0x02, at);
	desc_put(&n->h, IN_LIST, (n->in_head + 1u) % 32, 272, 0x2e, at + 512);
	n->in_head = (n->in_head + 2) % 32;
	mock_chip_write(n->h.chip, 2, CHIP_VDMA_HOST(2) + 2, n->in_head, 2);
}

static inline void wait_output(struct net *n, unsigned int count)
{
	wait_reg(&n->h, 2, CHIP_VDMA_HOST(16) + 4, 0xffff, count);
}

static inline void expect_output(struct net *n, unsigned int frame)
{
	static const uint8_t padding[6];
	uint8_t got[16];

	host_peek(&n->h, OUT_DATA + 64ull * frame, got, 16);
	for (int i = 0; i < 10; i++)
		assert_int_equal(got[i], (frame + 1) & 0xff);
	assert_memory_equal(got + 10, padding, 6);
}

static inline void enable(struct net *n)
{
	assert_int_equal(set_status(&n->h, 1, 0, 0), 0);
	n->in_head = n->out_head = 0;
}

static inline void one_frame(struct net *n)
{
	queue_output(n, 7);
	queue_input(n, 7);
	wait_output(n, 1);
	expect_output(n, 7);
}

static inline void expect_event(struct net *n, uint32_t status, uint16_t context, uint16_t action)
{
	uint8_t e[48] = {0};

	wait_reg(&n->h, 4, CHIP_MBOX_EVENT, 0xffffffff, 39 << 16 | 1);
	for (uint32_t i = 0; i < 40; i += 4)
		put_le32(e + i, rd(&n->h, 4, CHIP_MBOX_EVENT + 4 + i));
	assert_int_equal(get_le32(e + 12), 0x13);
	assert_int_equal(get_le32(e + 16), FW_EVENT_RUN_TIME_ERROR);
	assert_int_equal(get_le32(e + 20), 5);
	assert_int_equal(get_le32(e + 24), 11);
	assert_int_equal(get_le32(e + 28), status);
	assert_int_equal(e[32], 0);
	assert_int_equal(get_le16(e + 33), 0);
	assert_int_equal(get_le16(e + 35), context);
	assert_int_equal(get_le16(e + 37), action);
	assert_int_equal(wait_istatus(&n->h, CHIP_IRQ_NOTIFICATION) & CHIP_IRQ_NOTIFICATION,
			 CHIP_IRQ_NOTIFICATION);
	wr(&n->h, 0, CHIP_ISTATUS_HOST, CHIP_IRQ_NOTIFICATION);
	wr(&n->h, 4, CHIP_MBOX_EVENT, 39 << 16);
}

/* A config byte that the double refuses, behind the second fetch of channel 0. */
static inline void spoil_byte(struct net *n)
{
	host_poke(&n->h, CFG_DATA(0) + 520, "\xee", 1);
}

#endif
