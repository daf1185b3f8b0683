// SPDX-License-Identifier: MIT
/*
 * hwctl regs: the registers that the host may look at without consequences, decoded.  Only those
 * that chip/regs.h names, and never the doorbell.  Source: spec hailo8-pcie 2 and 6.
 */
#include "hwctl/hwctl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "infer/infer.h"

#define SECONDS_MAX 86400L
#define WATCH_MS 20u
#define ATRS 4 /* 2.2: k = 0..3 */
#define TEXT 160

struct channel_regs {
	uint32_t ctrl, proc, err, addr_hi;
};

struct atr_regs {
	uint32_t param, src_hi, lo, hi, trsl_param;
};

struct snapshot {
	uint32_t id, imask, istatus, src_irq, dst_irq;
	struct atr_regs atr[ATRS];
	struct channel_regs ch[CHIP_VDMA_CHANNELS];
};

/* ------------------------------------------------------------------------------------- read */

static void read_channels(struct backend *be, struct channel_regs *ch)
{
	for (uint32_t i = 0; i < CHIP_VDMA_CHANNELS; i++) {
		uint32_t base = CHIP_VDMA_HOST(i);

		ch[i] = (struct channel_regs){
			backend_read32(be, CHIP_BAR_VDMA, base + CHIP_VDMA_CTRL),
			backend_read32(be, CHIP_BAR_VDMA, base + CHIP_VDMA_PROC),
			backend_read32(be, CHIP_BAR_VDMA, base + CHIP_VDMA_ERR),
			backend_read32(be, CHIP_BAR_VDMA, base + CHIP_VDMA_ADDR_HI),
		};
	}
}

/* All on the device's own thread: nobody else may touch a register. */
static int read_all(struct hw_dev *dev, void *arg, struct hw_error *err)
{
	struct backend *be = dev->be;
	struct snapshot *s = arg;

	s->id = backend_read32(be, CHIP_BAR_CONFIG, CHIP_PCI_ID);
	if (s->id == UINT32_MAX)
		return hw_fail(err, -ENODEV, "%s", INFER_GONE);
	s->imask = backend_read32(be, CHIP_BAR_CONFIG, CHIP_IMASK_HOST);
	s->istatus = backend_read32(be, CHIP_BAR_CONFIG, CHIP_ISTATUS_HOST);
	s->src_irq = backend_read32(be, CHIP_BAR_CONFIG, CHIP_SRC_IRQ);
	s->dst_irq = backend_read32(be, CHIP_BAR_CONFIG, CHIP_DST_IRQ);
	for (uint32_t k = 0; k < ATRS; k++) {
		s->atr[k] = (struct atr_regs){
			backend_read32(be, CHIP_BAR_CONFIG, CHIP_ATR(k) + CHIP_ATR_PARAM),
			backend_read32(be, CHIP_BAR_CONFIG, CHIP_ATR(k) + CHIP_ATR_SRC_HI),
			backend_read32(be, CHIP_BAR_CONFIG, CHIP_ATR(k) + CHIP_ATR_TRSL_LO),
			backend_read32(be, CHIP_BAR_CONFIG, CHIP_ATR(k) + CHIP_ATR_TRSL_HI),
			backend_read32(be, CHIP_BAR_CONFIG, CHIP_ATR(k) + CHIP_ATR_TRSL_PARAM),
		};
	}
	read_channels(be, s->ch);
	return 0;
}

/* ----------------------------------------------------------------------------------- decode */

static void irq_text(uint32_t v, char *out, size_t size)
{
	static const struct {
		uint32_t mask;
		const char *name;
	} bits[] = {
		{CHIP_IRQ_SRC_GROUPS, "host-to-device channels"},
		{CHIP_IRQ_DST_GROUPS, "device-to-host channels"},
		{CHIP_IRQ_SOFT_RESET, "soft reset"},
		{CHIP_IRQ_NOTIFICATION, "firmware booted or event"},
		{CHIP_IRQ_CONTROL, "control answered"},
		{CHIP_IRQ_DRIVER_DOWN, "driver down"},
	};
	size_t n = 0;

	out[0] = 0;
	for (size_t i = 0; i < ARRAY_SIZE(bits) && n < size; i++) {
		if (v & bits[i].mask)
			n += (size_t)snprintf(out + n, size - n, "%s%s", n ? ", " : "", bits[i].name);
	}
	if (!out[0])
		snprintf(out, size, "none");
}

static uint64_t atr_target(const struct atr_regs *a)
{
	return (uint64_t)a->hi << 32 | a->lo;
}

/* 2.5: bit 0 enabled, 6:1 size code, 31:12 offset in BAR4 */
static void atr_text(const struct atr_regs *a, char *out, size_t size)
{
	const char *shows = "";

	if (!(a->param & 1)) {
		snprintf(out, size, "off");
		return;
	}
	if (a->lo == CHIP_ADDR_MAILBOX && !a->hi)
		shows = ", the mailbox: firmware runs";
	snprintf(out, size, "BAR4 0x%" PRIx32 ", %" PRIu64 " bytes at chip address 0x%08" PRIx64 "%s",
		 a->param & 0xfffff000u, UINT64_C(2) << ((a->param >> 1) & 0x3f), atr_target(a), shows);
}

static const char *state_name(uint32_t ctrl)
{
	switch (ctrl & CHIP_VDMA_CTRL_STATE) {
	case CHIP_VDMA_CTRL_START:
		return "started";
	case CHIP_VDMA_CTRL_START | CHIP_VDMA_CTRL_PAUSE:
		return "paused";
	default:
		return "stopped";
	}
}

/* 6.2: log2 of the ring's length, 0 means 65536 where a list is set at all */
static uint32_t ring_length(const struct channel_regs *c)
{
	uint32_t depth = FIELD_GET(CHIP_VDMA_CTRL_DEPTH, c->ctrl);

	return depth ? 1u << depth : CHIP_LIST_MAX;
}

static uint64_t list_address(const struct channel_regs *c)
{
	return (uint64_t)c->addr_hi << 32 | (c->err & CHIP_VDMA_ERR_ADDR_LO);
}

static bool is_idle(const struct channel_regs *c)
{
	return !(c->ctrl | c->proc | c->err | c->addr_hi);
}

static void channel_text(uint32_t index, const struct channel_regs *c, char *out, size_t size)
{
	snprintf(out, size,
		 "channel %2u %s  %s, %u available, %u processed, %u ongoing of %u, list 0x%" PRIx64
		 ", error %u",
		 index, index < CHIP_VDMA_FIRST_D2H ? "host to device" : "device to host",
		 state_name(c->ctrl), FIELD_GET(CHIP_VDMA_CTRL_AVAIL, c->ctrl),
		 FIELD_GET(CHIP_VDMA_PROC_PROCESSED, c->proc), FIELD_GET(CHIP_VDMA_PROC_ONGOING, c->proc),
		 ring_length(c), list_address(c), FIELD_GET(CHIP_VDMA_ERR_CODE, c->err));
}

/* ------------------------------------------------------------------------------------ print */

static void print_irq(const char *name, uint32_t offset, uint32_t v)
{
	char text[TEXT];

	irq_text(v, text, sizeof(text));
	printf("BAR0 0x%03x  %-10s 0x%08" PRIx32 "  %s\n", offset, name, v, text);
}

static void print_text(const struct snapshot *s)
{
	unsigned int idle = 0;
	char text[TEXT];

	printf("BAR0 0x%03x  %-10s 0x%08" PRIx32 "  vendor %04x, device %04x\n", CHIP_PCI_ID, "ID", s->id,
	       s->id & 0xffff, s->id >> 16);
	print_irq("IMASK", CHIP_IMASK_HOST, s->imask);
	print_irq("ISTATUS", CHIP_ISTATUS_HOST, s->istatus);
	printf("BAR0 0x%03x  %-10s 0x%08" PRIx32 "  channels 0 to 15\n", CHIP_SRC_IRQ, "SRC_IRQ",
	       s->src_irq);
	printf("BAR0 0x%03x  %-10s 0x%08" PRIx32 "  channels 16 to 31\n", CHIP_DST_IRQ, "DST_IRQ",
	       s->dst_irq);
	for (unsigned int k = 0; k < ATRS; k++) {
		const struct atr_regs *a = &s->atr[k];

		atr_text(a, text, sizeof(text));
		printf("BAR0 0x%03x  ATR %u      0x%08" PRIx32 " 0x%08" PRIx32 " 0x%08" PRIx32 " 0x%08" PRIx32
		       " 0x%08" PRIx32 "  %s\n",
		       CHIP_ATR(k), k, a->param, a->src_hi, a->lo, a->hi, a->trsl_param, text);
	}
	for (uint32_t i = 0; i < CHIP_VDMA_CHANNELS; i++) {
		const struct channel_regs *c = &s->ch[i];

		if (is_idle(c)) {
			idle++;
			continue;
		}
		channel_text(i, c, text, sizeof(text));
		printf("BAR2 0x%03x  %s  (0x%08" PRIx32 " 0x%08" PRIx32 " 0x%08" PRIx32 " 0x%08" PRIx32 ")\n",
		       CHIP_VDMA_HOST(i), text, c->ctrl, c->proc, c->err, c->addr_hi);
	}
	printf("%u channels have all registers 0\n", idle);
}

static void add_hex(cJSON *o, const char *name, uint64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%08" PRIx64, v);
	cJSON_AddStringToObject(o, name, text);
}

static void add_register(cJSON *a, const char *name, uint32_t offset, uint32_t v, const char *meaning)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "name", name);
	cJSON_AddNumberToObject(o, "bar", CHIP_BAR_CONFIG);
	add_hex(o, "offset", offset);
	add_hex(o, "value", v);
	if (meaning)
		cJSON_AddStringToObject(o, "meaning", meaning);
	cJSON_AddItemToArray(a, o);
}

static cJSON *channel_json(uint32_t index, const struct channel_regs *c)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddNumberToObject(o, "channel", index);
	cJSON_AddStringToObject(o, "direction",
				index < CHIP_VDMA_FIRST_D2H ? "host_to_device" : "device_to_host");
	cJSON_AddStringToObject(o, "state", state_name(c->ctrl));
	cJSON_AddNumberToObject(o, "available", FIELD_GET(CHIP_VDMA_CTRL_AVAIL, c->ctrl));
	cJSON_AddNumberToObject(o, "processed", FIELD_GET(CHIP_VDMA_PROC_PROCESSED, c->proc));
	cJSON_AddNumberToObject(o, "ongoing", FIELD_GET(CHIP_VDMA_PROC_ONGOING, c->proc));
	cJSON_AddNumberToObject(o, "ring", ring_length(c));
	cJSON_AddNumberToObject(o, "error", FIELD_GET(CHIP_VDMA_ERR_CODE, c->err));
	add_hex(o, "list", list_address(c));
	add_hex(o, "ctrl", c->ctrl);
	add_hex(o, "proc", c->proc);
	add_hex(o, "err", c->err);
	return o;
}

static cJSON *snapshot_json(const struct snapshot *s)
{
	cJSON *o = cJSON_CreateObject(), *a = cJSON_AddArrayToObject(o, "registers"), *w;
	char text[TEXT];

	add_register(a, "ID", CHIP_PCI_ID, s->id, NULL);
	irq_text(s->imask, text, sizeof(text));
	add_register(a, "IMASK", CHIP_IMASK_HOST, s->imask, text);
	irq_text(s->istatus, text, sizeof(text));
	add_register(a, "ISTATUS", CHIP_ISTATUS_HOST, s->istatus, text);
	add_register(a, "SRC_IRQ", CHIP_SRC_IRQ, s->src_irq, NULL);
	add_register(a, "DST_IRQ", CHIP_DST_IRQ, s->dst_irq, NULL);
	w = cJSON_AddArrayToObject(o, "windows");
	for (unsigned int k = 0; k < ATRS; k++) {
		cJSON *atr = cJSON_CreateObject();

		cJSON_AddNumberToObject(atr, "window", k);
		cJSON_AddBoolToObject(atr, "enabled", s->atr[k].param & 1);
		add_hex(atr, "param", s->atr[k].param);
		add_hex(atr, "chip_address", atr_target(&s->atr[k]));
		add_hex(atr, "trsl_param", s->atr[k].trsl_param);
		atr_text(&s->atr[k], text, sizeof(text));
		cJSON_AddStringToObject(atr, "meaning", text);
		cJSON_AddItemToArray(w, atr);
	}
	a = cJSON_AddArrayToObject(o, "channels");
	for (uint32_t i = 0; i < CHIP_VDMA_CHANNELS; i++)
		cJSON_AddItemToArray(a, channel_json(i, &s->ch[i]));
	return o;
}

/* ------------------------------------------------------------------------------------ watch */

static void print_change(const struct options *opt, uint32_t i, const struct channel_regs *c, double s)
{
	char text[TEXT];

	if (opt->json) {
		cJSON *o = channel_json(i, c);

		cJSON_AddNumberToObject(o, "seconds", s);
		print_json_line(o);
		return;
	}
	channel_text(i, c, text, sizeof(text));
	printf("%8.3f s  %s\n", s, text);
	fflush(stdout);
}

static int watch(const struct options *opt, struct hw_dev *dev, struct snapshot *old, long seconds,
		 struct hw_error *err)
{
	uint64_t start = util_now_ns(), end = watch_end(seconds);

	while (watch_wait(end, WATCH_MS)) {
		struct snapshot now;
		int r = infer_call(dev, read_all, &now, err);

		if (r < 0)
			return r;
		for (uint32_t i = 0; i < CHIP_VDMA_CHANNELS; i++) {
			if (memcmp(&now.ch[i], &old->ch[i], sizeof(now.ch[i])))
				print_change(opt, i, &now.ch[i], (double)(util_now_ns() - start) / 1e9);
		}
		*old = now;
	}
	return 0;
}

int cmd_regs(const struct options *opt, int argc, char **argv)
{
	int status = EXIT_FAILED;
	struct hw_error err = {0};
	bool watch_channels = false;
	long seconds = 0;
	const struct own_option known[] = {
		{"--watch-channels", .flag = &watch_channels},
		{"--seconds", .number = &seconds, .min = 1, .max = SECONDS_MAX},
		{0},
	};
	struct snapshot s;
	struct hw_dev *dev;
	int r;

	r = read_options("regs", argc, argv, known, NULL);
	if (r != EXIT_OK)
		return r;
	if (seconds && !watch_channels)
		return usage_error("--seconds goes with --watch-channels");
	dev = open_device(opt, true, &status);
	if (!dev)
		return status;
	r = infer_call(dev, read_all, &s, &err);
	if (r == 0 && opt->json && watch_channels)
		print_json_line(snapshot_json(&s));
	else if (r == 0 && opt->json)
		print_json(snapshot_json(&s));
	else if (r == 0)
		print_text(&s);
	if (r == 0 && watch_channels)
		r = watch(opt, dev, &s, seconds, &err);
	status = r < 0 ? report(opt, r, &err) : EXIT_OK;
	hw_dev_close(dev);
	return status;
}
