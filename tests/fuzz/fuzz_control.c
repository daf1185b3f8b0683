// SPDX-License-Identifier: MIT
/*
 * What comes from a chip's firmware: answers to controls, notifications, logs.  The first byte says
 * which of them the rest is; the exchanges run against the scripted chip of tests/support.
 */
#include "chip/chip.h"
#include "chip/internal.h"
#include "support/fakechip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DECODE_REPLY, COMMANDS, DECODE_EVENT, EVENT_SLOT, LOG, KINDS };

static struct fake_chip fake;
static struct span answer; /* to all controls */

static size_t give_answer(struct fake_chip *f, const uint8_t *msg, size_t len, bool core, uint8_t *reply)
{
	size_t n = answer.len < FW_CONTROL_MAX ? answer.len : FW_CONTROL_MAX;

	(void)f;
	(void)core;
	(void)len;
	if (n)
		memcpy(reply, answer.ptr, n);
	/* Most answers repeat the opcode; otherwise all readers but one would end there. */
	if (n >= 16 && reply[0] == 0)
		memcpy(reply + 12, msg + 12, 4);
	return n;
}

static struct chip start(void)
{
	struct chip chip = {.be = &fake.be};

	fake.n_log = 0;
	fake.state = FAKE_RUNNING;
	fake.atr[2] = 0x60000000;
	fake.bus_master = true;
	fake.answer = give_answer;
	fake.istatus = fake.src = fake.dst = 0;
	fake.force_length = 0;
	fake.be.ops->irq_enable(&fake.be);
	chip_irq_unmask(&chip);
	return chip;
}

static void must_explain(int r, const struct hw_error *err)
{
	if (r < 0 && !err->text[0])
		abort();
}

static void decode_reply(struct span in)
{
	struct chip_reply reply = {0};
	struct hw_error err = {0};
	struct span opcode;
	int r;

	if (span_take(&in, 4, &opcode) || in.len > sizeof(reply.bytes))
		return;
	/* Behind the last byte is the sanitizer's only where the array ends. */
	memcpy(reply.bytes, in.ptr, in.len);
	reply.len = in.len;
	r = chip_reply_decode(get_le32(opcode.ptr), &reply, &err);
	must_explain(r, &err);
	for (size_t i = 0; r == 0 && i < reply.n_params; i++)
		if (reply.params[i].ptr < reply.bytes ||
		    reply.params[i].ptr + reply.params[i].len > reply.bytes + reply.len)
			abort();
}

static void commands(struct span in)
{
	struct chip chip = start();
	struct chip_identity core;
	struct hw_error err = {0};
	struct span length;
	float a, b;

	/* The length word of the answer may be a lie. */
	if (span_take(&in, 2, &length))
		return;
	if (get_le16(length.ptr) & 0x8000)
		fake.force_length = get_le16(length.ptr) & 0x7fff;
	answer = in;
	must_explain(chip_identify(&chip, &err), &err);
	chip.identified = false; /* of another version most commands would not be sent */
	must_explain(chip_core_identify(&chip, &core, &err), &err);
	must_explain(chip_get_device_info(&chip, &err), &err);
	must_explain(chip_get_hw_consts(&chip, &err), &err);
	must_explain(chip_get_temperature(&chip, &a, &b, &err), &err);
	must_explain(chip_clear_apps(&chip, &err), &err);
}

static void tell(const struct chip_event *ev, void *user)
{
	char text[320];

	(void)user;
	chip_event_text(ev, text, sizeof(text));
	if (!text[0] || !chip_event_name(ev->id)[0] || ev->payload_len > sizeof(ev->payload))
		abort();
}

static void event_slot(struct span in)
{
	struct chip chip = start();
	size_t room = sizeof(fake.mailbox) - CHIP_MBOX_EVENT;

	chip.on_event = tell;
	memset(fake.mailbox + CHIP_MBOX_EVENT, 0, room);
	if (in.len)
		memcpy(fake.mailbox + CHIP_MBOX_EVENT, in.ptr, in.len < room ? in.len : room);
	chip_event_service(&chip);
}

static void read_log(struct span in)
{
	struct chip chip = start();
	struct hw_error err = {0};
	struct span head;
	uint8_t *to;
	size_t size;
	bool core;
	int r;

	if (span_take(&in, 3, &head))
		return;
	core = head.ptr[0] & 1;
	size = get_le16(head.ptr + 1);
	memset(fake.logs, 0xaa, sizeof(fake.logs));
	memcpy(fake.logs + (core ? sizeof(fake.logs) / 2 : 0), in.ptr,
	       in.len < sizeof(fake.logs) / 2 ? in.len : sizeof(fake.logs) / 2);
	to = malloc(size ? size : 1);
	if (!to)
		return;
	/* Twice: the second time from where the first one ended */
	for (int i = 0; i < 2; i++) {
		r = chip_read_log(&chip, core, to, size, &err);
		must_explain(r, &err);
		if (r > (int)size)
			abort();
	}
	free(to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = {data, size}, kind;
	struct chip_event ev;

	if (!fake.ram) {
		fake_init(&fake);
		hw_log_set(NULL, HW_LOG_ERROR, NULL);
	}
	if (span_take(&in, 1, &kind))
		return 0;
	switch (*kind.ptr % KINDS) {
	case DECODE_REPLY:
		decode_reply(in);
		break;
	case COMMANDS:
		commands(in);
		break;
	case DECODE_EVENT:
		if (chip_event_decode(in, &ev) == 0)
			tell(&ev, NULL);
		break;
	case EVENT_SLOT:
		event_slot(in);
		break;
	case LOG:
		read_log(in);
		break;
	}
	return 0;
}
