// SPDX-License-Identifier: MIT
/*
 * Networks on the software chip, register by register and without any of our driver: configuration
 * over DMA, frames, starvation, errors, stops and switches (protocol 9.2, 9.3; evidence 9).  The
 * neural core is a double defined here.
 */
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

static void gate(bool shut)
{
	pthread_mutex_lock(&gate_lock);
	gate_shut = shut;
	pthread_cond_broadcast(&gate_cond);
	pthread_mutex_unlock(&gate_lock);
}

static void wait_in_core(void)
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
static void put_config(struct net *n)
{
	desc_put(&n->h, CFG_LIST(0), 0, 512, 0x1e, CFG_DATA(0));
	desc_put(&n->h, CFG_LIST(0), 1, 88, 0x1e, CFG_DATA(0) + 512);
	desc_put(&n->h, CFG_LIST(0), 2, 512, 0x02, CFG_DATA(0) + 1024);
	desc_put(&n->h, CFG_LIST(1), 0, 100, 0x1e, CFG_DATA(1));
	desc_put(&n->h, CFG_LIST(1), 1, 512, 0x02, CFG_DATA(1) + 512);
	for (int i = 0; i < 100; i++)
		n->mem[CFG_DATA(0) - BASE + (size_t)i] = (uint8_t)i;
}

static void boundary_hbi(struct buf *b, bool out, const struct twist *t)
{
	if (out)
		hbi(b, OUT_LIST, 64, 32, 16);
	else
		hbi(b, IN_LIST, 512, 32, t->in_pattern ? t->in_pattern : 784);
}

static void reg_info(struct buf *b)
{
	buf_zero(b, 17);
}

static void dataflow(struct buf *b, const struct twist *t)
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

static void fetch(struct buf *b, uint16_t count, uint8_t ch)
{
	act(b, FW_ACT_FETCH_CFG_CHANNEL_DESCRIPTORS);
	buf_le16(b, count);
	buf_u8(b, ch);
}

static struct buf activation(const struct twist *t)
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

static struct buf batch_switching(void)
{
	struct buf b = {0};

	act(&b, FW_ACT_DDR_BUFFERING_RESET);
	act(&b, FW_ACT_CHANGE_BOUNDARY_INPUT_BATCH);
	buf_u8(&b, 2);
	act(&b, FW_ACT_BURST_CREDITS_TASK_START);
	return b;
}

/* Actions 0 and 1 activate, 2 to 4 are LCUs, 5 and 6 fetch on channel 0, 7 on channel 1, 8 waits. */
static struct buf preliminary(const struct twist *t)
{
	struct buf b = {0};

	act(&b, FW_ACT_ACTIVATE_CFG_CHANNEL);
	buf_u8(&b, t->cfg0_channel);
	buf_u8(&b, 0);
	hbi(&b, CFG_LIST(0), 512, t->cfg0_count ? t->cfg0_count : 3, t->pattern0 ? t->pattern0 : 1024);
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

static struct buf dynamic(const struct twist *t)
{
	struct buf b = {0};

	dataflow(&b, t);
	act(&b, FW_ACT_APPLICATION_CHANGE_INTERRUPT);
	return b;
}

static void send(struct net *n, uint8_t type, struct buf b, size_t chunk)
{
	assert_false(b.failed);
	for (size_t at = 0; at < b.len;) {
		size_t k = chunk && chunk < b.len - at ? chunk : b.len - at;

		assert_int_equal(set_context(&n->h, at == 0, at + k == b.len, type, b.ptr + at, k), 0);
		at += k;
	}
	buf_free(&b);
}

static void add_app(struct net *n, const struct twist *t, uint8_t fast)
{
	assert_int_equal(set_header(&n->h, 1, fast, 4, 2, 0, 1), 0);
	send(n, FW_CONTEXT_ACTIVATION, activation(t), 0);
	send(n, FW_CONTEXT_BATCH_SWITCHING, batch_switching(), 0);
	send(n, FW_CONTEXT_PRELIMINARY, preliminary(t), t->chunk);
	send(n, FW_CONTEXT_DYNAMIC, dynamic(t), t->chunk);
}

static void net_open(struct net *n, const struct twist *t)
{
	static const struct twist none;

	*n = (struct net){0};
	fake_never_ready = false;
	fake_in_stream = 1;
	host_open_running(&n->h, (struct mock_opts){0});
	n->mem = host_map(&n->h, BASE, MEM_SIZE);
	put_config(n);
	add_app(n, t ? t : &none, 1);
}

static void net_close(struct net *n)
{
	host_close(&n->h);
	assert_int_equal(cores_alive, 0);
}

/* Queue output @n at num_available of the output channel; 16 bytes each. */
static void queue_output(struct net *n, unsigned int frame)
{
	desc_put(&n->h, OUT_LIST, n->out_head, 16, 0x2e, OUT_DATA + 64ull * frame);
	n->out_head = (n->out_head + 1) % 32;
	mock_chip_write(n->h.chip, 2, CHIP_VDMA_HOST(16) + 2, n->out_head, 2);
}

static void queue_input(struct net *n, unsigned int frame)
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

static void wait_output(struct net *n, unsigned int count)
{
	wait_reg(&n->h, 2, CHIP_VDMA_HOST(16) + 4, 0xffff, count);
}

static void expect_output(struct net *n, unsigned int frame)
{
	static const uint8_t padding[6];
	uint8_t got[16];

	host_peek(&n->h, OUT_DATA + 64ull * frame, got, 16);
	for (int i = 0; i < 10; i++)
		assert_int_equal(got[i], (frame + 1) & 0xff);
	assert_memory_equal(got + 10, padding, 6);
}

static void enable(struct net *n)
{
	assert_int_equal(set_status(&n->h, 1, 0, 0), 0);
	n->in_head = n->out_head = 0;
}

static void one_frame(struct net *n)
{
	queue_output(n, 7);
	queue_input(n, 7);
	wait_output(n, 1);
	expect_output(n, 7);
}

static void expect_event(struct net *n, uint32_t status, uint16_t context, uint16_t action)
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

/* -------------------------------------------------------------------------------- tests */

static void frames_flow(void **state)
{
	struct mock_stats stats;
	struct net n;

	(void)state;
	net_open(&n, NULL);
	enable(&n);
	/* Right after the answer (evidence 7): control 1, depth, num_available 0. */
	assert_int_equal(rd(&n.h, 2, 0x40), 0x00002801);
	assert_int_equal(rd(&n.h, 2, CHIP_VDMA_HOST(16)), 0x00002801);
	for (unsigned int f = 0; f < 8; f++)
		queue_output(&n, f);
	for (unsigned int f = 0; f < 8; f++)
		queue_input(&n, f);
	wait_output(&n, 8);
	for (unsigned int f = 0; f < 8; f++)
		expect_output(&n, f);
	assert_int_equal(rd(&n.h, 2, 0x44), 0x00100010);
	assert_int_equal(rd(&n.h, 0, CHIP_SRC_IRQ), 0x4);
	assert_int_equal(rd(&n.h, 0, CHIP_DST_IRQ), 0x10000);
	assert_int_equal(rd(&n.h, 0, CHIP_ISTATUS_HOST) & 0xffff, 0x1001);
	for (unsigned int f = 8; f < 200; f++) { /* around both rings, several times */
		queue_output(&n, f);
		queue_input(&n, f);
		wait_output(&n, f % 32 + 1);
		expect_output(&n, f);
	}
	mock_chip_stats(n.h.chip, &stats);
	assert_int_equal(stats.frames, 200);
	assert_int_equal(stats.events, 0);
	assert_int_equal(stats.cfg_fetched[0], 2);
	assert_int_equal(stats.cfg_fetched[1], 1);
	assert_int_equal(stats.cfg_bytes[0], 600);
	assert_int_equal(stats.cfg_bytes[1], 100);
	assert_true(stats.irqs > 0);
	net_close(&n);
}

/* A frame that began to wait for its output delays nobody: the next input is taken meanwhile. */
static void outputs_may_come_late(void **state)
{
	struct net n;

	(void)state;
	net_open(&n, NULL);
	enable(&n);
	queue_input(&n, 1);
	queue_input(&n, 2);
	wait_reg(&n.h, 2, 0x44, 0xffff, 4); /* both inputs were taken */
	assert_int_equal(rd(&n.h, 2, CHIP_VDMA_HOST(16) + 4), 0);
	queue_output(&n, 1);
	wait_output(&n, 1);
	expect_output(&n, 1);
	queue_output(&n, 2);
	wait_output(&n, 2);
	expect_output(&n, 2);
	net_close(&n);
}

/* Lists cut into pieces of any size, also inside a repeated action (protocol 4.2). */
static void chunks_are_joined(void **state)
{
	(void)state;
	for (size_t chunk = 7; chunk < 60; chunk += 13) {
		struct twist t = {.chunk = chunk};
		struct net n;

		net_open(&n, &t);
		enable(&n);
		one_frame(&n);
		net_close(&n);
	}
}

static void activate_cfg(struct buf *b, uint8_t stream, uint64_t list, uint32_t pattern)
{
	act(b, FW_ACT_ACTIVATE_CFG_CHANNEL);
	buf_u8(b, stream);
	buf_u8(b, stream);
	hbi(b, list, 512, 3, pattern);
}

static void deactivate_cfg(struct buf *b, uint8_t stream)
{
	act(b, FW_ACT_DEACTIVATE_CFG_CHANNEL);
	buf_u8(b, stream);
	buf_u8(b, stream);
}

/* Without KO_RUN_ASAP one stream's bytes come in both contexts, as in protocol 8.1. */
static void configuration_over_two_contexts(void **state)
{
	const struct twist none = {0};
	struct buf pre = {0}, dyn = {0};
	struct net n;

	(void)state;
	net_open(&n, NULL);
	assert_int_equal(control_hex(&n.h, 2, HEX_CLEAR), 0);
	desc_put(&n.h, CFG_LIST(2), 0, 88, 0x1e, CFG_DATA(0) + 512);
	activate_cfg(&pre, 0, CFG_LIST(0), 512);
	fetch(&pre, 1, 0);
	deactivate_cfg(&pre, 0);
	activate_cfg(&dyn, 0, CFG_LIST(2), 512);
	activate_cfg(&dyn, 1, CFG_LIST(1), 512);
	fetch(&dyn, 1, 0);
	fetch(&dyn, 1, 1);
	dataflow(&dyn, &none);
	deactivate_cfg(&dyn, 0);
	deactivate_cfg(&dyn, 1);
	act(&dyn, FW_ACT_APPLICATION_CHANGE_INTERRUPT);
	assert_int_equal(set_header(&n.h, 1, 1, 1, 2, 0, 1), 0);
	send(&n, FW_CONTEXT_ACTIVATION, activation(&none), 0);
	send(&n, FW_CONTEXT_BATCH_SWITCHING, batch_switching(), 0);
	send(&n, FW_CONTEXT_PRELIMINARY, pre, 0);
	send(&n, FW_CONTEXT_DYNAMIC, dyn, 0);
	enable(&n);
	one_frame(&n);
	net_close(&n);
}

static void streams_only_once_the_list_says_so(void **state)
{
	struct twist late = {.wait_in_dynamic = true, .slow = true}, never = {.no_resume = true};
	struct net n;

	(void)state;
	net_open(&n, &late);
	enable(&n);
	one_frame(&n);
	net_close(&n);

	net_open(&n, &never);
	enable(&n);
	queue_output(&n, 1);
	queue_input(&n, 1);
	usleep(5000);
	assert_int_equal(rd(&n.h, 2, 0x44), 0);
	net_close(&n);
}

/*
 * Evidence 9 no 1: the list is one short of what the fetches ask for, or a descriptor was never
 * programmed.  No event; the registers say which channel and how far; the next load works.
 */
static void config_channel_starves(void **state)
{
	static const struct {
		struct twist t;
		uint32_t clear, avail, done;
	} cases[] = {
		{{.cfg0_count = 2, .cfg0_fetch = 2, .pattern0 = 1536}, 9, 3, 2},
		{{0}, 1, 2, 1},
		{{0}, 0, 1, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mock_stats stats;
		struct net n;

		net_open(&n, &cases[i].t);
		if (cases[i].clear < 3)
			desc_put(&n.h, CFG_LIST(0), cases[i].clear, 0, 0, 0);
		enable(&n);
		queue_output(&n, 1);
		queue_input(&n, 1);
		wait_fault(&n.h, "config channel 0 starves");
		assert_int_equal(rd(&n.h, 2, 0x0) >> 16, cases[i].avail);
		assert_int_equal(rd(&n.h, 2, 0x4) & 0xffff, cases[i].done);
		assert_int_equal(rd(&n.h, 2, 0x24), 0);
		assert_int_equal(rd(&n.h, 2, 0x44), 0);
		assert_int_equal(rd(&n.h, 4, CHIP_MBOX_EVENT), 0);
		mock_chip_stats(n.h.chip, &stats);
		assert_int_equal(stats.cfg_fetched[0], cases[i].done);
		assert_int_equal(stats.frames, 0);
		assert_int_equal(set_status(&n.h, 0, 255, 0), 0);
		assert_int_equal(control_hex(&n.h, 2, HEX_CLEAR), 0);
		put_config(&n);
		add_app(&n, &(struct twist){0}, 1);
		enable(&n);
		one_frame(&n);
		net_close(&n);
	}
}

static void stopped_with(const struct twist *t, void (*spoil)(struct net *n), uint32_t status,
			 uint16_t context, uint16_t action)
{
	char fault[256];
	struct net n;

	net_open(&n, t);
	if (spoil)
		spoil(&n);
	enable(&n);
	expect_event(&n, status, context, action);
	mock_chip_last_fault(n.h.chip, fault, sizeof(fault));
	assert_non_null(strstr(fault, "stopped"));
	/* It stays dead until RESET, also for a new batch. */
	queue_output(&n, 1);
	queue_input(&n, 1);
	assert_int_equal(set_status(&n.h, 1, 0, 1), 0x4013003e);
	assert_int_equal(rd(&n.h, 2, CHIP_VDMA_HOST(16) + 4), 0);
	assert_int_equal(set_status(&n.h, 0, 255, 0), 0);
	assert_int_equal(rd(&n.h, 2, 0x40) & 3, 0);
	net_close(&n);
}

static void spoil_byte(struct net *n)
{
	host_poke(&n->h, CFG_DATA(0) + 520, "\xee", 1);
}

static void spoil_short(struct net *n)
{
	desc_put(&n->h, CFG_LIST(1), 0, 99, 0x1e, CFG_DATA(1));
}

static void spoil_device_irq(struct net *n)
{
	desc_put(&n->h, CFG_LIST(0), 1, 88, 0x02, CFG_DATA(0) + 512);
}

static void spoil_address(struct net *n)
{
	desc_put(&n->h, CFG_LIST(0), 1, 88, 0x1e, 0x1234000);
}

static void spoil_page(struct net *n)
{
	desc_put(&n->h, CFG_LIST(0), 0, 513, 0x1e, CFG_DATA(0));
}

static void spoil_ready(struct net *n)
{
	(void)n;
	fake_never_ready = true;
}

static void spoil_port(struct net *n)
{
	(void)n;
	fake_in_stream = 9;
}

/* Contexts: activation 0, batch switching 1, preliminary 2, dynamic 3; actions are unrolled. */
static void faults_stop_the_network_with_event_12(void **state)
{
	const struct twist none = {0}, pattern = {.pattern0 = 1536}, stream = {.cfg0_channel = 1},
			   missing = {.no_fetch1 = true, .wait_in_dynamic = true};

	(void)state;
	stopped_with(&none, spoil_byte, FW_STATUS_CONFIG_DONE_TIMEOUT, 2, 6);
	stopped_with(&none, spoil_short, FW_STATUS_CONFIG_DONE_TIMEOUT, 2, 12); /* at FETCH_DATA */
	stopped_with(&none, spoil_device_irq, 0x40130020, 2, 6);
	stopped_with(&none, spoil_address, 0x402d000f, 2, 6);
	stopped_with(&none, spoil_page, 0x402d000f, 2, 5);
	stopped_with(&none, spoil_ready, FW_STATUS_CONFIG_DONE_TIMEOUT, 2, 12);
	stopped_with(&none, spoil_port, FW_STATUS_CONFIG_DONE_TIMEOUT, 3, 5);
	stopped_with(&pattern, NULL, FW_STATUS_DESC_COUNT, 2, 14);
	stopped_with(&stream, NULL, FW_STATUS_CFG_CHANNEL, 2, 0);
	stopped_with(&missing, NULL, FW_STATUS_CONFIG_UNFINISHED, 2, 9);
}

static void bad_activation_is_refused(void **state)
{
	const struct {
		struct twist t;
		uint32_t status;
	} bad[] = {
		{{.in_pattern = 512 * 32}, 0x402d001a},
		{{.open_in = 17}, FW_STATUS_BAD_DIRECTION},
		{{.open_in = 0x22}, FW_STATUS_BAD_CHANNEL}, /* engine 1 */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct net n;

		net_open(&n, &bad[i].t);
		assert_int_equal(set_status(&n.h, 1, 0, 0), bad[i].status);
		assert_int_equal(rd(&n.h, 2, CHIP_VDMA_HOST(16)) & 3, 0);
		assert_int_equal(control_hex(&n.h, 2, HEX_CLEAR), 0); /* nothing is active */
		net_close(&n);
	}
}

static void boundary_fault_stops_channel_and_network(void **state)
{
	struct net n;

	(void)state;
	net_open(&n, NULL);
	enable(&n);
	one_frame(&n);
	queue_output(&n, 1);
	desc_put(&n.h, IN_LIST, 2, 512, 0x02, 0x99000000);
	wr(&n.h, 2, 0x40, 0x00042801);
	expect_event(&n, 0x402d000f, 3, 5);
	wait_fault(&n.h, "refused 0x99000000");
	assert_int_equal(rd(&n.h, 2, 0x48) & 0xff, 2);
	assert_int_equal(rd(&n.h, 2, 0x40) & 3, 0);
	assert_int_equal(rd(&n.h, 2, 0x44), 0x00020002);
	net_close(&n);
}

static void output_descriptors_must_add_up(void **state)
{
	struct net n;

	(void)state;
	net_open(&n, NULL);
	enable(&n);
	desc_put(&n.h, OUT_LIST, 0, 64, 0x2e, OUT_DATA);
	wr(&n.h, 2, CHIP_VDMA_HOST(16), 0x00012801);
	queue_input(&n, 1);
	expect_event(&n, 0x402d000f, 3, 5);
	wait_fault(&n.h, "beyond the frame");
	net_close(&n);
}

/* ------------------------------------------------------------------- stopping and switching */

static void refused_while_active(void **state)
{
	struct net n;

	(void)state;
	net_open(&n, NULL);
	enable(&n);
	assert_int_equal(control_hex(&n.h, 2, HEX_CLEAR), FW_STATUS_CLEAR_WHILE_ACTIVE);
	assert_int_equal(set_header(&n.h, 1, 1, 1, 1, 0, 0), FW_STATUS_CONFIG_WHILE_ACTIVE);
	assert_int_equal(set_context(&n.h, 1, 1, 3, "\x1e\xff\xff\xff\xff", 5),
			 FW_STATUS_CONFIG_WHILE_ACTIVE);
	assert_int_equal(set_status(&n.h, 1, 0, 5), FW_STATUS_BAD_BATCH);
	one_frame(&n);
	net_close(&n);
}

/* No DMA may follow the acknowledgement, whatever stops a chip that is in the middle of a frame. */
static void stop_in_the_middle(void (*stop)(struct net *n))
{
	unsigned int reads, writes;
	struct net n;

	net_open(&n, NULL);
	enable(&n);
	one_frame(&n);
	gate(true);
	queue_output(&n, 1);
	queue_input(&n, 1);
	wait_in_core();
	stop(&n);
	assert_int_equal(rd(&n.h, 2, 0x40) & 0xffff0003, 0);
	assert_int_equal(rd(&n.h, 2, 0x44), 0);
	reads = host_count(&n.h, &n.h.reads);
	writes = host_count(&n.h, &n.h.writes);
	gate(false);
	usleep(3000);
	assert_int_equal(host_count(&n.h, &n.h.reads), reads);
	assert_int_equal(host_count(&n.h, &n.h.writes), writes);
	if (rd(&n.h, 0, 0x708) == CHIP_ADDR_MAILBOX) {
		put_config(&n);
		enable(&n);
		one_frame(&n);
	}
	net_close(&n);
}

static void by_reset_state(struct net *n)
{
	assert_int_equal(set_status(&n->h, 0, 255, 0), 0);
}

static void by_driver_down(struct net *n)
{
	wr(&n->h, 4, CHIP_DOORBELL, CHIP_DOORBELL_DRIVER_DOWN);
	wait_istatus(&n->h, CHIP_IRQ_DRIVER_DOWN);
}

static void by_soft_reset(struct net *n)
{
	wr(&n->h, 4, CHIP_DOORBELL, CHIP_DOORBELL_SOFT_RESET);
	wait_istatus(&n->h, CHIP_IRQ_SOFT_RESET);
}

static void by_function_reset(struct net *n)
{
	mock_chip_reset(n->h.chip);
}

static void stops_during_an_inference(void **state)
{
	(void)state;
	stop_in_the_middle(by_reset_state);
	stop_in_the_middle(by_driver_down);
	stop_in_the_middle(by_soft_reset);
	stop_in_the_middle(by_function_reset);
}

static void *free_later(void *arg)
{
	(void)arg;
	usleep(5000);
	gate(false);
	return NULL;
}

static void freed_during_an_inference(void **state)
{
	pthread_t opener;
	struct net n;

	(void)state;
	net_open(&n, NULL);
	enable(&n);
	gate(true);
	queue_output(&n, 1);
	queue_input(&n, 1);
	wait_in_core();
	assert_int_equal(pthread_create(&opener, NULL, free_later, NULL), 0);
	net_close(&n);
	pthread_join(opener, NULL);
}

static void bus_master_off_stops_the_flow(void **state)
{
	unsigned int reads;
	struct net n;

	(void)state;
	net_open(&n, NULL);
	enable(&n);
	one_frame(&n);
	mock_chip_set_bus_master(n.h.chip, false);
	reads = host_count(&n.h, &n.h.reads);
	mock_chip_write(n.h.chip, 2, 0x42, 4, 2);
	usleep(3000);
	assert_int_equal(host_count(&n.h, &n.h.reads), reads);
	mock_chip_write(n.h.chip, 2, 0x42, 2, 2);
	mock_chip_set_bus_master(n.h.chip, true);
	queue_output(&n, 3);
	queue_input(&n, 3);
	wait_output(&n, 2);
	expect_output(&n, 3);
	net_close(&n);
}

/* pcie 11.8: the same application with fast batch switch keeps its counters, otherwise they go. */
static void enabled_again_and_switched(void **state)
{
	struct net n;

	(void)state;
	net_open(&n, NULL);
	add_app(&n, &(struct twist){0}, 0);
	enable(&n);
	one_frame(&n);
	assert_int_equal(set_status(&n.h, 1, 0, 2), 0);
	assert_int_equal(rd(&n.h, 2, 0x44), 0x00020002);
	queue_output(&n, 2);
	queue_input(&n, 2);
	wait_output(&n, 2);
	expect_output(&n, 2);
	for (int i = 0; i < 2; i++) { /* another application; then itself without fast switch */
		assert_int_equal(set_status(&n.h, 1, 1, 0), 0);
		assert_int_equal(rd(&n.h, 2, 0x40), 0x00002801);
		assert_int_equal(rd(&n.h, 2, 0x44), 0);
		n.in_head = n.out_head = 0;
		one_frame(&n);
	}
	net_close(&n);
}

/* The second event waits until the host has taken the first out of the slot. */
static void events_wait_for_the_slot(void **state)
{
	struct mock_stats stats;
	struct net n;

	(void)state;
	net_open(&n, NULL);
	spoil_byte(&n);
	for (int i = 0; i < 3; i++) {
		enable(&n);
		while (set_status(&n.h, 1, 0, 1) != 0x4013003e) /* until it has failed */
			usleep(200);
		assert_int_equal(set_status(&n.h, 0, 255, 0), 0);
	}
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(rd(&n.h, 4, CHIP_MBOX_EVENT + 4 + 4), i); /* sequence */
		expect_event(&n, FW_STATUS_CONFIG_DONE_TIMEOUT, 2, 6);
	}
	mock_chip_stats(n.h.chip, &stats);
	assert_int_equal(stats.events, 3);
	net_close(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_flow),
		cmocka_unit_test(outputs_may_come_late),
		cmocka_unit_test(chunks_are_joined),
		cmocka_unit_test(configuration_over_two_contexts),
		cmocka_unit_test(streams_only_once_the_list_says_so),
		cmocka_unit_test(config_channel_starves),
		cmocka_unit_test(faults_stop_the_network_with_event_12),
		cmocka_unit_test(bad_activation_is_refused),
		cmocka_unit_test(boundary_fault_stops_channel_and_network),
		cmocka_unit_test(output_descriptors_must_add_up),
		cmocka_unit_test(refused_while_active),
		cmocka_unit_test(stops_during_an_inference),
		cmocka_unit_test(freed_during_an_inference),
		cmocka_unit_test(bus_master_off_stops_the_flow),
		cmocka_unit_test(enabled_again_and_switched),
		cmocka_unit_test(events_wait_for_the_slot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
