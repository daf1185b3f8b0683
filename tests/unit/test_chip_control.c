// SPDX-License-Identifier: MIT
#include "support/fakechip.h"
#include "support/support.h"

#include "chip/chip.h"
#include "chip/internal.h"

static void encodes_parameters(void **state)
{
	static const uint8_t want[] = {0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x21, 0, 0, 0, 2,
				       0, 0, 0, 1, 7, 0, 0, 0, 0};
	static const uint8_t seven = 7;
	struct chip_request req = {.opcode = 33, .n_params = 2, .params = {{&seven, 1}, {NULL, 0}}};
	static uint8_t big[1500];
	uint8_t out[1500];
	size_t len;

	(void)state;
	assert_int_equal(chip_request_encode(&req, out, &len), 0);
	assert_bytes_equal(out, len, want, sizeof(want), "request");
	/* 1480 bytes of parameters are the most, with their length words */
	req = (struct chip_request){.n_params = 1, .params = {{big, 1476}}};
	assert_int_equal(chip_request_encode(&req, out, &len), 0);
	assert_int_equal(len, 1500);
	req.params[0].len = 1477;
	assert_int_equal(chip_request_encode(&req, out, &len), -EMSGSIZE);
	req.params[0].len = SIZE_MAX;
	assert_int_equal(chip_request_encode(&req, out, &len), -EMSGSIZE);
	req.n_params = 9;
	assert_int_equal(chip_request_encode(&req, out, &len), -EINVAL);
}

static void exchange_touches_what_the_spec_says(void **state)
{
	struct fake_chip f;
	struct chip chip;
	struct hw_error err;
	size_t i = 0;

	(void)state;
	fake_start(&f, &chip);
	assert_ok(chip_clear_apps(&chip, &err), &err);
	/* pcie 11.4: R 708; WV of 40 bytes; doorbell; handler; 5 + 7 dwords of reply */
	assert_int_equal(f.log[i].off, 0x708);
	assert_false(f.log[i++].write);
	for (uint32_t off = 0; off < 40; off += 4) {
		assert_true(f.log[i].bar == 4 && f.log[i].write && f.log[i].off == off);
		i++;
		assert_true(f.log[i].bar == 4 && !f.log[i].write && f.log[i].off == off);
		i++;
	}
	assert_true(f.log[i].bar == 4 && f.log[i].write && f.log[i].off == 0x1684);
	assert_int_equal(f.log[i++].value, 2);
	for (; f.log[i].bar == 0; i++)
		;
	for (uint32_t off = 0x640; off < 0x640 + 48; off += 4, i++)
		assert_true(f.log[i].bar == 4 && !f.log[i].write && f.log[i].off == off);
	assert_int_equal(i, f.n_log);
	fake_done(&f);
}

/* How the next answer is spoilt, and what has to come of it. */
struct spoil {
	const char *name;
	size_t len;       /* 0: as it is */
	size_t at;
	uint32_t word;    /* written big-endian at @at */
	int result;
	const char *words;
};

static const struct spoil spoils[] = {
	{"version", 0, 0, 3, -EBADMSG, "version 3"},
	{"no ack", 0, 4, 0, -EBADMSG, "not marked"},
	{"other flags do not matter", 0, 4, 0x80000001, 0, ""},
	{"sequence does not matter", 0, 8, 99, 0, ""},
	{"opcode", 0, 12, 0, -EBADMSG, "opcode 0 (IDENTIFY)"},
	{"minor alone does not matter", 0, 20, 0x40030003, 0, ""},
	{"status", 0, 16, 0x4013006c, -EREMOTEIO, "clearing while an application is active"},
	{"count without parameters", 0, 24, 1, -EBADMSG, "parameters"},
	{"count beyond all", 0, 24, 0xffffffff, -EBADMSG, "parameters"},
	{"no count at all", 24, 0, 2, 0, ""},
	{"half a count", 26, 0, 2, -EBADMSG, "parameters"},
	{"half a header", 23, 0, 2, -EBADMSG, "23 bytes"},
	{"nothing", 0xffffffff, 0, 2, -EBADMSG, "0 bytes"},
	{"bytes behind the end", 29, 0, 2, -EBADMSG, "parameters"},
};

static size_t spoilt(struct fake_chip *f, const uint8_t *msg, size_t len, bool core, uint8_t *reply)
{
	const struct spoil *s = f->user;
	size_t n = fake_answer(f, msg, len, core, reply);

	reply[28] = 0;
	put_be32(reply + s->at, s->word);
	if (s->len == 0xffffffff)
		return 0;
	return s->len ? s->len : n;
}

static void judges_answers(void **state)
{
	struct hw_error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(spoils); i++) {
		const struct spoil *s = &spoils[i];
		struct fake_chip f;
		struct chip chip;
		int r;

		fake_start(&f, &chip);
		f.answer = spoilt;
		f.user = (void *)(uintptr_t)s;
		err = (struct hw_error){0};
		r = chip_clear_apps(&chip, &err);
		if (r != s->result || (r && !strstr(err.text, s->words)))
			fail_msg("%s: %d, \"%s\"", s->name, r, err.text);
		if (r)
			assert_int_equal(err.code, r);
		/* the mailbox works on after all of them */
		f.answer = NULL;
		assert_ok(chip_clear_apps(&chip, &err), &err);
		fake_done(&f);
	}
}

/* Real firmware echoes 0xffffffff as the opcode of some refusals: the status is what counts. */
static size_t refuse(struct fake_chip *f, const uint8_t *msg, size_t len, bool core, uint8_t *reply)
{
	(void)f;
	(void)msg;
	(void)len;
	(void)core;
	return fake_status_reply(reply, 0xffffffff, 0x40030050, 0x40030005);
}

static void reports_a_refusal(void **state)
{
	struct fake_chip f;
	struct chip chip;
	struct chip_request req = {.opcode = 3};
	struct chip_reply reply;
	struct hw_error err;

	(void)state;
	fake_start(&f, &chip);
	f.answer = refuse;
	assert_int_equal(chip_control(&chip, &req, &reply, &err), -EREMOTEIO);
	assert_int_equal(reply.major, 0x40030050);
	assert_int_equal(reply.minor, 0x40030005);
	assert_non_null(strstr(err.text, "CONFIG_STREAM"));
	assert_non_null(strstr(err.text, "0x40030050"));
	fake_done(&f);
}

static void bad_digest_and_length(void **state)
{
	static const uint32_t lengths[] = {1501, 0x10000, 0xffffffff};
	struct fake_chip f;
	struct chip chip;
	struct hw_error err;

	(void)state;
	fake_start(&f, &chip);
	f.bad_md5_controls = 1;
	assert_int_equal(chip_identify(&chip, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "MD5"));
	assert_false(chip.identified);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		f.force_length = lengths[i];
		f.n_log = 0;
		assert_int_equal(chip_identify(&chip, &err), -EBADMSG);
		assert_non_null(strstr(err.text, "claims to be"));
	}
	f.force_length = 189; /* one byte short: the digest is over 190 */
	assert_int_equal(chip_identify(&chip, &err), -EBADMSG);
	f.force_length = 0;
	assert_ok(chip_identify(&chip, &err), &err);
	fake_done(&f);
}

static void read_back_must_match(void **state)
{
	struct fake_chip f;
	struct chip chip;
	struct hw_error err;

	(void)state;
	fake_start(&f, &chip);
	f.flip_at = 3; /* R 708, W 0, R 0 */
	assert_int_equal(chip_identify(&chip, &err), -EIO);
	assert_non_null(strstr(err.text, "sending IDENTIFY"));
	assert_int_equal(f.n_doorbells, 0);
	fake_done(&f);
}

static void needs_running_firmware(void **state)
{
	struct fake_chip f;
	struct chip chip;
	struct hw_error err;

	(void)state;
	fake_start(&f, &chip);
	f.atr[2] = 0;
	assert_int_equal(chip_identify(&chip, &err), -ENODEV);
	assert_non_null(strstr(err.text, "no firmware"));
	assert_false(chip.gone);
	assert_int_equal(f.n_log, 1);
	f.atr[2] = 0x60000000;
	f.gone_at = 2;
	assert_int_equal(chip_identify(&chip, &err), -ENODEV);
	assert_true(chip.gone);
	assert_non_null(strstr(err.text, "fell off the bus"));
	fake_done(&f);
}

/* The answer to a control that timed out arrives while the next one is prepared. */
static void drains_a_late_answer(void **state)
{
	struct fake_chip f;
	struct chip chip;
	struct hw_error err;
	uint8_t reply[1500];

	(void)state;
	fake_start(&f, &chip);
	f.silent = true;
	assert_int_equal(chip_identify(&chip, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.text, "IDENTIFY within 1000 ms"));
	assert_true(chip.reply_late);
	f.silent = false;
	fake_put_reply(&f, reply, fake_status_reply(reply, 0, 0, 0));
	fake_raise(&f, 0x04800000);
	f.n_log = 0;
	assert_ok(chip_get_hw_consts(&chip, &err), &err);
	assert_false(chip.reply_late);
	/* its interrupt was taken before the next doorbell */
	for (size_t i = 0, seen = 0; i < f.n_log; i++) {
		seen |= f.log[i].write && f.log[i].bar == 0 && f.log[i].off == 0x18c;
		if (f.log[i].bar == 4 && f.log[i].off == 0x1684)
			assert_true(seen);
	}
	fake_done(&f);
}

/* ... or even later, in place of the answer to the next one. */
static size_t late_first(struct fake_chip *f, const uint8_t *msg, size_t len, bool core,
			 uint8_t *reply)
{
	(void)msg;
	(void)len;
	(void)core;
	f->answer = NULL;
	return fake_status_reply(reply, 0, 0, 0); /* an IDENTIFY's */
}

static void drops_a_later_answer(void **state)
{
	struct fake_chip f;
	struct chip chip;
	struct hw_error err;

	(void)state;
	fake_start(&f, &chip);
	chip.reply_late = true;
	f.answer = late_first;
	/* nothing real follows, so the wait goes on to its end instead of taking the stray */
	assert_int_equal(chip_clear_apps(&chip, &err), -ETIMEDOUT);
	assert_true(chip.reply_late);

	/* without a timeout before it, the same is a plain error */
	chip.reply_late = false;
	f.answer = late_first;
	assert_int_equal(chip_clear_apps(&chip, &err), -EBADMSG);
	fake_done(&f);
}

static size_t old_firmware(struct fake_chip *f, const uint8_t *msg, size_t len, bool core,
			   uint8_t *reply)
{
	size_t n = fake_answer(f, msg, len, core, reply);

	if (get_be32(msg + 12) == 0)
		put_le32(reply + 28 + 12 + 4, 20);
	return n;
}

static void speaks_4_23_only(void **state)
{
	struct fake_chip f;
	struct chip chip;
	struct chip_identity core;
	struct hw_error err;

	(void)state;
	fake_start(&f, &chip);
	f.answer = old_firmware;
	assert_ok(chip_identify(&chip, &err), &err);
	assert_int_equal(chip.id.fw_minor, 20);
	assert_int_equal(chip_get_device_info(&chip, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "4.20.0"));
	assert_int_equal(f.controls, 1);
	/* critical opcodes go to any version (protocol 1.6) */
	assert_ok(chip_core_identify(&chip, &core, &err), &err);
	fake_done(&f);
}

static size_t wrong_cpu(struct fake_chip *f, const uint8_t *msg, size_t len, bool core, uint8_t *reply)
{
	size_t n = fake_answer(f, msg, len, core, reply);

	if (get_be32(msg + 12) == 0)
		put_le32(reply + 28 + 12 + 8, 0x28000000);
	else
		put_le32(reply + 28 + 4 + 8, 0x20000000);
	return n;
}

static void revision_tells_the_cpu(void **state)
{
	struct fake_chip f;
	struct chip chip;
	struct chip_identity core;
	struct hw_error err;

	(void)state;
	fake_start(&f, &chip);
	assert_ok(chip_core_identify(&chip, &core, &err), &err);
	assert_int_equal(core.fw_revision, 0x28000000);
	f.answer = wrong_cpu;
	assert_int_equal(chip_identify(&chip, &err), -EBADMSG);
	assert_int_equal(chip_core_identify(&chip, &core, &err), -EBADMSG);
	fake_done(&f);
}

/* Any answer cut anywhere, in a buffer of its exact size: an error, and never a read behind it. */
static void truncated_answers(void **state)
{
	static const uint32_t opcodes[] = {0, 42, 46, 51, 72};
	struct fake_chip f;

	(void)state;
	fake_init(&f);
	for (size_t i = 0; i < ARRAY_SIZE(opcodes); i++) {
		struct chip_reply full = {0}, cut = {0};
		uint8_t msg[20] = {0};

		put_be32(msg + 12, opcodes[i]);
		full.len = fake_answer(&f, msg, 20, opcodes[i] == 42 || opcodes[i] == 72, full.bytes);
		assert_int_equal(chip_reply_decode(opcodes[i], &full, NULL), 0);
		assert_true(full.n_params > 0);
		for (size_t n = 0; n < full.len; n++) {
			memcpy(cut.bytes, full.bytes, n);
			memset(cut.bytes + n, 0xff, sizeof(cut.bytes) - n);
			cut.len = n;
			/* 24 bytes are a valid answer without parameters */
			assert_int_equal(chip_reply_decode(opcodes[i], &cut, NULL),
					 n == 24 ? 0 : -EBADMSG);
			assert_int_equal(cut.n_params, 0);
		}
	}
	fake_done(&f);
}

static size_t without_params(struct fake_chip *f, const uint8_t *msg, size_t len, bool core,
			     uint8_t *reply)
{
	(void)f;
	(void)len;
	(void)core;
	return fake_status_reply(reply, get_be32(msg + 12), 0, 0);
}

static void missing_parameters(void **state)
{
	struct fake_chip f;
	struct chip chip;
	struct chip_identity core;
	struct hw_error err;
	float a, b;

	(void)state;
	fake_start(&f, &chip);
	f.answer = without_params;
	assert_int_equal(chip_identify(&chip, &err), -EBADMSG);
	assert_int_equal(chip_core_identify(&chip, &core, &err), -EBADMSG);
	assert_int_equal(chip_get_device_info(&chip, &err), -EBADMSG);
	assert_int_equal(chip_get_hw_consts(&chip, &err), -EBADMSG);
	assert_int_equal(chip_get_temperature(&chip, &a, &b, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "GET_CHIP_TEMPERATURE"));
	fake_done(&f);
}

static void temperature(void **state)
{
	struct fake_chip f;
	struct chip chip;
	struct hw_error err;
	float ts0 = 0, ts1 = 0;

	(void)state;
	fake_start(&f, &chip);
	assert_ok(chip_get_temperature(&chip, &ts0, &ts1, &err), &err);
	assert_true(ts0 == 35.5f && ts1 == 36.0f);
	fake_done(&f);
}

static void too_much_context_is_not_sent(void **state)
{
	static const uint8_t big[1462];
	struct fake_chip f;
	struct chip chip;
	struct hw_error err;

	(void)state;
	fake_start(&f, &chip);
	assert_int_equal(chip_set_context(&chip, true, true, FW_CONTEXT_DYNAMIC,
					  (struct span){big, 1462}, &err),
			 -EMSGSIZE);
	assert_int_equal(f.n_log, 0);
	assert_ok(chip_set_context(&chip, true, true, FW_CONTEXT_DYNAMIC, (struct span){big, 1461}, &err),
		  &err);
	assert_int_equal(get_le32(f.mailbox + 16), 1500);
	fake_done(&f);
}

static void words_for_numbers(void **state)
{
	/* protocol 3 and evidence 8; those that were seen on hardware have their own words */
	static const uint32_t listed[] = {0x40030060, 0x4013006e, 0x40130004, 0x40130016, 0x40130018,
					  0x402a0001, 0x402d001b, 0x40000058, 0x40030098, 0x40030050,
					  0x400300b2, 0x4003000f, 0x400300b4, 0x400b0004, 0x4013006c,
					  0x4013007a, 0x402d001f};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(listed); i++) {
		assert_null(strstr(chip_status_text(listed[i]), "an error of"));
		assert_null(strstr(chip_status_text(listed[i]), "unknown"));
	}
	assert_string_equal(chip_status_text(0x4003000f), "unsupported opcode");
	assert_string_equal(chip_status_text(0), "success");
	assert_string_equal(chip_status_text(0x4013ffff), "an error of the context switch");
	assert_string_equal(chip_status_text(0x40390001), "an unknown status");
	assert_string_equal(chip_status_text(0xffffffff), "an unknown status");
	assert_string_equal(chip_opcode_name(0), "IDENTIFY");
	assert_string_equal(chip_opcode_name(79), "CONTEXT_SWITCH_SIGNAL_CACHE_UPDATED");
	assert_string_equal(chip_opcode_name(80), "an unknown opcode");
	for (uint32_t i = 0; i < 80; i++)
		assert_non_null(chip_opcode_name(i));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encodes_parameters),
		cmocka_unit_test(exchange_touches_what_the_spec_says),
		cmocka_unit_test(judges_answers),
		cmocka_unit_test(reports_a_refusal),
		cmocka_unit_test(bad_digest_and_length),
		cmocka_unit_test(read_back_must_match),
		cmocka_unit_test(needs_running_firmware),
		cmocka_unit_test(drains_a_late_answer),
		cmocka_unit_test(drops_a_later_answer),
		cmocka_unit_test(speaks_4_23_only),
		cmocka_unit_test(revision_tells_the_cpu),
		cmocka_unit_test(truncated_answers),
		cmocka_unit_test(missing_parameters),
		cmocka_unit_test(temperature),
		cmocka_unit_test(too_much_context_is_not_sent),
		cmocka_unit_test(words_for_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
