// SPDX-License-Identifier: MIT
/*
 * The driver against what was captured from the vendor's software on a real Hailo-8L
 * (../shared/traces; hardware-evidence 10).
 */
#include "support/fakechip.h"
#include "support/support.h"

#include "chip/chip.h"
#include "chip/internal.h"
#include "vdma/vdma.h"

#include <openssl/evp.h>

static const char *text(const cJSON *line, const char *key)
{
	const char *s = cJSON_GetStringValue(cJSON_GetObjectItem(line, key));

	return s ? s : "";
}

static uint32_t number(const cJSON *line, const char *key)
{
	const cJSON *v = cJSON_GetObjectItem(line, key);

	if (cJSON_IsString(v))
		return (uint32_t)strtoul(v->valuestring, NULL, 0);
	return (uint32_t)cJSON_GetNumberValue(v);
}

static void md5_hex(const uint8_t *p, size_t len, char out[33])
{
	uint8_t digest[16];
	unsigned int n;

	assert_int_equal(EVP_Digest(p, len, digest, &n, EVP_md5(), NULL), 1);
	for (int i = 0; i < 16; i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

/* ---------------------------------------------------------------- controls */

struct line {
	uint8_t *request, *response;
	size_t request_len, response_len;
	bool core;
	const char *md5, *where;
};

static size_t replay(struct fake_chip *f, const uint8_t *msg, size_t len, bool core, uint8_t *reply)
{
	const struct line *l = f->user;
	char md5[33];

	assert_bytes_equal(msg, len, l->request, l->request_len, l->where);
	assert_int_equal(core, l->core);
	md5_hex(msg, len, md5);
	assert_string_equal(md5, l->md5);
	if (!l->response)
		return fake_status_reply(reply, get_be32(msg + 12), 0, 0);
	memcpy(reply, l->response, l->response_len);
	return l->response_len;
}

/* Parameter @i of a captured request, cut out here without the driver's help. */
static struct span captured_param(const struct line *l, unsigned int i)
{
	struct span in = {l->request + 20, l->request_len - 20}, word = {0}, value = {0};

	for (unsigned int k = 0; k <= i; k++) {
		assert_int_equal(span_take(&in, 4, &word), 0);
		assert_int_equal(span_take(&in, get_be32(word.ptr), &value), 0);
	}
	return value;
}

/* Make the call that ought to send this request. */
static int send(struct chip *chip, const struct line *l, struct hw_error *err)
{
	switch (get_be32(l->request + 12)) {
	case 0:
		return chip_identify(chip, err);
	case 51:
		return chip_get_device_info(chip, err);
	case 72:
		return chip_get_hw_consts(chip, err);
	case 71:
		return chip_clear_apps(chip, err);
	case 37:
		if (captured_param(l, 0).ptr[0] == 0)
			return chip_reset_apps(chip, err);
		return chip_enable_app(chip, captured_param(l, 1).ptr[0],
				       get_le16(captured_param(l, 2).ptr), err);
	case 32:
		assert_int_equal(captured_param(l, 0).len, 32);
		return chip_set_header(chip, captured_param(l, 0).ptr, err);
	case 33:
		return chip_set_context(chip, captured_param(l, 0).ptr[0], captured_param(l, 1).ptr[0],
					(enum fw_context_type)captured_param(l, 2).ptr[0],
					captured_param(l, 3), err);
	}
	fail_msg("unexpected opcode in the capture");
	return 0;
}

static unsigned int replay_controls(const char *file, struct chip *chip, struct fake_chip *f)
{
	cJSON *all = read_jsonl(shared_path(file)), *item;
	unsigned int n = 0;

	cJSON_ArrayForEach(item, all) {
		struct hw_error err;
		char where[128];
		struct line l = {.core = number(item, "cpu") == 1, .md5 = text(item, "request_md5")};

		l.request = unhex(text(item, "request"), &l.request_len);
		if (get_be32(l.request + 12) == 33 && captured_param(&l, 0).len != 1)
			fail_msg("%s: not a context", file);
		if (cJSON_GetStringValue(cJSON_GetObjectItem(item, "response")))
			l.response = unhex(text(item, "response"), &l.response_len);
		snprintf(where, sizeof(where), "%s, control %u (%s)", file, n, text(item, "name"));
		l.where = where;
		f->user = &l;
		/* without a captured answer only those that need no parameters can be told apart */
		if (l.response || (get_be32(l.request + 12) != 0 && get_be32(l.request + 12) != 51 &&
				   get_be32(l.request + 12) != 72)) {
			assert_ok(send(chip, &l, &err), &err);
		} else {
			assert_int_equal(send(chip, &l, &err), -EBADMSG);
		}
		n++;
		free(l.request);
		free(l.response);
	}
	cJSON_Delete(all);
	return n;
}

static void mnist_controls(void **state)
{
	struct fake_chip f;
	struct chip chip;

	(void)state;
	fake_start(&f, &chip);
	f.answer = replay;
	assert_int_equal(replay_controls("traces/mnist-controls.jsonl", &chip, &f), 27);
	/* check 13: what the answers mean */
	assert_int_equal(chip.id.protocol, 2);
	assert_int_equal(chip.id.fw_major, 4);
	assert_int_equal(chip.id.fw_minor, 23);
	assert_int_equal(chip.id.fw_revision, 0x20000000);
	assert_int_equal(chip.id.logger, 0);
	assert_int_equal(chip.id.arch, 2);
	assert_string_equal(chip.id.board_name, "Hailo-8");
	assert_string_equal(chip.id.serial, "");
	assert_string_equal(chip.id.product_name, "");
	assert_int_equal(chip.info.clock_hz, 400000000);
	assert_int_equal(chip.info.boot_source, 1);
	assert_int_equal(chip.info.lcs, 3);
	assert_int_equal(chip.info.features, 4);
	assert_int_equal(chip.info.clusters, 0x33);
	assert_int_equal(chip.consts.fifo_word_granularity, 8);
	assert_int_equal(chip.consts.max_periph_buffers_per_frame, 0xffff);
	assert_int_equal(chip.consts.max_periph_bytes_per_buffer, 0xffff);
	assert_int_equal(chip.consts.max_acceptable_bytes_per_buffer, 0xa000);
	assert_int_equal(chip.consts.outbound_data_stream_size, 0x10000);
	assert_true(chip.consts.should_optimize_credits);
	assert_int_equal(chip.consts.default_initial_credit_size, 0x10000);
	fake_done(&f);
}

static void mobilenet_controls(void **state)
{
	struct fake_chip f;
	struct chip chip;

	(void)state;
	fake_start(&f, &chip);
	f.answer = replay;
	assert_int_equal(replay_controls("traces/mobilenet-controls.jsonl", &chip, &f), 27);
	fake_done(&f);
}

/* The capture has 10 of 27; its cut BATCH_SWITCHING request cannot be one that anybody sends. */
static void yolov6n_controls(void **state)
{
	cJSON *all = read_jsonl(shared_path("traces/yolov6n-controls.jsonl")), *item;
	struct fake_chip f;
	struct chip chip;
	struct hw_error err;
	unsigned int n = 0;

	(void)state;
	fake_start(&f, &chip);
	f.answer = replay;
	cJSON_ArrayForEach(item, all) {
		struct line l = {.core = number(item, "cpu") == 1, .md5 = text(item, "request_md5"),
				 .where = text(item, "name")};

		l.request = unhex(text(item, "request"), &l.request_len);
		if (cJSON_GetStringValue(cJSON_GetObjectItem(item, "response")))
			l.response = unhex(text(item, "response"), &l.response_len);
		f.user = &l;
		if (l.request_len != 308 && l.response) {
			assert_ok(send(&chip, &l, &err), &err);
			n++;
		}
		free(l.request);
		free(l.response);
	}
	cJSON_Delete(all);
	assert_true(n >= 8);
	assert_int_equal(chip.info.clusters, 0x33);
	fake_done(&f);
}

/* checks 1 and 3: digests and bytes that the evidence lists in its own words */
static size_t keep_request(struct fake_chip *f, const uint8_t *msg, size_t len, bool core,
			   uint8_t *reply)
{
	struct buf *b = f->user;

	b->len = 0;
	buf_put(b, msg, len);
	return fake_answer(f, msg, len, core, reply);
}

static void requests_of_the_evidence(void **state)
{
	struct buf sent = {0};
	struct fake_chip f;
	struct chip chip;
	struct hw_error err;
	char md5[33];
	uint8_t *want;
	size_t len;

	(void)state;
	fake_start(&f, &chip);
	f.answer = keep_request;
	f.user = &sent;
	assert_ok(chip_identify(&chip, &err), &err);
	md5_hex(sent.ptr, sent.len, md5);
	assert_string_equal(md5, "6a3d1c7fe84cfe2f184d69c2376dcc43");
	assert_ok(chip_get_device_info(&chip, &err), &err);
	md5_hex(sent.ptr, sent.len, md5);
	assert_string_equal(md5, "805c6653e07cf1b7bda24ea40625d6ae");
	assert_ok(chip_clear_apps(&chip, &err), &err);
	md5_hex(sent.ptr, sent.len, md5);
	assert_string_equal(md5, "71950c777b1d527b57c533f449440bc1");
	assert_ok(chip_reset_apps(&chip, &err), &err);
	md5_hex(sent.ptr, sent.len, md5);
	assert_string_equal(md5, "98028494c35f17674c42ddb20ec4436d");
	want = unhex("0000000200000000000000000000002500000004000000010000000001ff"
		     "000000020000000000020000",
		     &len);
	assert_int_equal(len, 42);
	assert_bytes_equal(sent.ptr, sent.len, want, len, "RESET");
	free(want);
	assert_ok(chip_enable_app(&chip, 0, 0, &err), &err);
	md5_hex(sent.ptr, sent.len, md5);
	assert_string_equal(md5, "24ef63b9fd68476a3abf4100de62dd09");
	buf_free(&sent);
	fake_done(&f);
}

/* check 2 */
static void replies_of_the_evidence(void **state)
{
	static const struct {
		uint32_t opcode;
		const char *md5;
	} rows[] = {
		{33, "92842a94a5a15f54c91b6595a7585885"},
		{32, "b601abfeadea7af3687c9345e2e478af"},
		{37, "08b1c937a60f424a443f666f1d130d30"},
		{71, "631652864a05a7afb301d2d2f4eee3e2"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct chip_reply reply = {.len = 28};
		char md5[33];

		put_be32(reply.bytes, 2);
		put_be32(reply.bytes + 4, 1);
		put_be32(reply.bytes + 12, rows[i].opcode);
		md5_hex(reply.bytes, 28, md5);
		assert_string_equal(md5, rows[i].md5);
		assert_int_equal(chip_reply_decode(rows[i].opcode, &reply, NULL), 0);
		assert_int_equal(reply.n_params, 0);
	}
}

/* -------------------------------------------------------------------- boot */

/*
 * From the last code word (chip address 0xce988) to IMASK = 0: every access of the vendor's driver,
 * in order, and no other; reads of 0x98 are not in the capture, the code word's value is not ours.
 */
static void boot_accesses(void **state)
{
	char *file = (char *)slurp(shared_path("traces/boot-mmio.tsv"), NULL), *save = NULL;
	struct fake_chip f;
	struct chip chip = {0};
	struct chip_boot_options opt = {0};
	struct hw_error err;
	uint8_t *image;
	size_t len, at = 0;
	bool begun = false, ended = false;
	unsigned int n = 0;

	(void)state;
	fake_init(&f);
	image = fake_firmware(4096, 64, 64, 0xe98c, &len);
	opt.firmware = (struct span){image, len};
	assert_ok(chip_init(&chip, &f.be, &opt, &err), &err);

	/* our own last code word: the write through the window at the page 0xce000 */
	for (bool page = false; at < f.n_log; at++) {
		const struct fake_access *a = &f.log[at];

		if (a->write && a->bar == 0 && a->off == 0x708)
			page = a->value == 0xce000;
		if (page && a->write && a->bar == 4 && a->off == 0x988)
			break;
	}
	assert_true(at < f.n_log);

	for (char *l = strtok_r(file, "\n", &save); l && !ended; l = strtok_r(NULL, "\n", &save)) {
		unsigned int bar, off, width, value;
		double time;
		char rw;

		if (sscanf(l, "%lf\t%u\t%x\t%u\t%c\t%x", &time, &bar, &off, &width, &rw, &value) != 6)
			continue; /* the heading, log lines and the extractor's remarks */
		begun |= bar == 4 && off == 0x988;
		if (!begun)
			continue;
		while (at < f.n_log && f.log[at].bar == 0 && f.log[at].off == 0x98)
			at++;
		assert_true(at < f.n_log);
		if (f.log[at].bar != bar || f.log[at].off != off || f.log[at].write != (rw == 'W') ||
		    f.log[at].width * 8 != width || (off != 0x988 && f.log[at].value != value))
			fail_msg("access %zu is %c BAR%u 0x%x = 0x%08x; captured: %s", at,
				 f.log[at].write ? 'W' : 'R', f.log[at].bar, f.log[at].off,
				 f.log[at].value, l);
		at++;
		n++;
		ended = bar == 0 && off == 0x188;
	}
	assert_true(ended);
	assert_int_equal(n, 80);
	chip_shutdown(&chip);
	free(file);
	free(image);
	fake_done(&f);
}

/* -------------------------------------------------------------------- vDMA */

/*
 * checks 8 and 9: each captured launch, made with our channel code on registers as they were then,
 * leaves the register as the vendor's driver left it.
 */
static void yolov6n_launches(void **state)
{
	cJSON *all = read_jsonl(shared_path("traces/yolov6n-vdma.jsonl")), *item, *next;
	struct vdma_list lists[32] = {0};
	struct vdma_channel chans[32] = {0};
	struct fake_chip f;
	struct hw_error err;
	unsigned int n = 0;

	(void)state;
	fake_init(&f);
	cJSON_ArrayForEach(item, all) {
		uint32_t c, first, count, before = 0, after = 0;
		bool have = false;
		int token;

		if (strcmp(text(item, "event"), "launch_transfer") != 0)
			continue;
		c = number(item, "channel");
		first = number(item, "starting_desc");
		count = number(item, "desc_count");
		for (next = item->next; next && !have; next = next->next) {
			if (strcmp(text(next, "event"), "launch_transfer") == 0 &&
			    number(next, "channel") == c)
				break;
			if (strncmp(text(next, "event"), "bar2", 4) != 0 || number(next, "channel") != c ||
			    (number(next, "reg") & 0xf) != 0)
				continue;
			if (strcmp(text(next, "event"), "bar2_write") == 0) {
				after = number(next, "value");
				have = true;
			} else {
				before = number(next, "value");
			}
		}
		if (!have)
			continue; /* the capture elides the register accesses of this one */
		if (!lists[c].mem.virt) {
			assert_ok(vdma_list_create(&f.be, count, 512, true, &lists[c], &err), &err);
			vdma_channel_init(&chans[c], &f.be, (uint8_t)c, &lists[c]);
			f.bar2[number(item, "channel") * 8 + (c >= 16 ? 4 : 0)] = before & 0xffff;
			assert_ok(vdma_channel_wait_started(&chans[c], 0, &err), &err);
		}
		/* launches in between that the excerpt leaves out, all completed */
		if (chans[c].head != first) {
			chans[c].head = chans[c].tail = first;
			chans[c].fifo_count = 0;
		}
		f.bar2[c * 8 + (c >= 16 ? 4 : 0)] = before;
		chans[c].tail = first;
		assert_int_equal(vdma_channel_launch(&chans[c], 0x1000000000,
						     (((after >> 16) - first) & (count - 1)) * 512,
						     &token),
				 0);
		if (f.bar2[c * 8 + (c >= 16 ? 4 : 0)] != after)
			fail_msg("channel %u, descriptor %u: 0x%08x, captured 0x%08x", c, first,
				 f.bar2[c * 8 + (c >= 16 ? 4 : 0)], after);
		assert_int_equal(f.log[f.n_log - 1].off, c * 0x20 + (c >= 16 ? 0x12 : 2));
		n++;
	}
	assert_true(n >= 27);
	for (int c = 0; c < 32; c++)
		vdma_list_destroy(&f.be, &lists[c]);
	assert_int_equal(f.dma_bytes, 0);
	cJSON_Delete(all);
	fake_done(&f);
}

/* MNIST: geometry, control words and registers of every captured launch. */
static void mnist_launches(void **state)
{
	cJSON *all = read_jsonl(shared_path("traces/mnist-vdma.jsonl")), *item;
	struct vdma_list lists[32] = {0};
	struct vdma_channel chans[32] = {0};
	uint32_t bytes[32] = {0};
	struct fake_chip f;
	struct hw_error err;
	unsigned int n = 0;

	(void)state;
	fake_init(&f);
	cJSON_ArrayForEach(item, all) {
		uint32_t c = number(item, "channel"), page, count, queue;
		const struct vdma_desc *d;
		int token;

		if (strcmp(text(item, "event"), "desc_list") == 0 && strstr(text(item, "role"), "boundary")) {
			bytes[c] = number(item, "bytes_in_pattern");
			assert_int_equal(vdma_boundary_geometry(bytes[c], 1, 1, 8, 65536, 4096, &page,
								&count, &queue),
					 0);
			assert_int_equal(page, number(item, "desc_page_size"));
			assert_int_equal(count, number(item, "desc_count"));
			assert_ok(vdma_list_create(&f.be, count, page, true, &lists[c], &err), &err);
			vdma_channel_init(&chans[c], &f.be, (uint8_t)c, &lists[c]);
		}
		if (strcmp(text(item, "event"), "launch") != 0)
			continue;
		f.bar2[c * 8 + (c >= 16 ? 4 : 0)] = number(item, "base_dword_before");
		assert_int_equal(chans[c].head, number(item, "starting_desc"));
		assert_int_equal(vdma_channel_launch(&chans[c], 0x1000000000, bytes[c], &token), 0);
		d = vdma_list_descs(&lists[c]);
		assert_int_equal(d[number(item, "first_desc")].ctrl, number(item, "first_ctrl"));
		assert_int_equal(d[number(item, "last_desc")].ctrl, number(item, "last_ctrl"));
		assert_int_equal(f.bar2[c * 8 + (c >= 16 ? 4 : 0)], number(item, "base_dword_after"));
		n++;
	}
	assert_true(n >= 10);
	for (int c = 0; c < 32; c++)
		vdma_list_destroy(&f.be, &lists[c]);
	cJSON_Delete(all);
	fake_done(&f);
}

/* check 10: the captured status values through our handler */
static void yolov6n_interrupts(void **state)
{
	static const uint32_t want[] = {1u << 2,  1u << 16, 1u << 17 | 1u << 18 | 1u << 21 | 1u << 22,
					1u << 24, 1u << 20 | 1u << 23, 1u << 19};
	cJSON *all = read_jsonl(shared_path("traces/yolov6n-vdma.jsonl")), *item;
	uint32_t status[256], src[64], dst[64], writes[256], all_channels = 0;
	size_t n_status = 0, n_src = 0, n_dst = 0, n_writes = 0, w = 0, calls = 0, seen = 0;
	struct fake_chip f;
	struct chip chip;

	(void)state;
	cJSON_ArrayForEach(item, all) {
		uint32_t off = number(item, "offset"), value = number(item, "value");
		const char *event = text(item, "event");

		if (strcmp(event, "bar0_write") == 0 && off != 0x188)
			writes[n_writes++] = value;
		if (strcmp(event, "bar0_read") != 0)
			continue;
		assert_true(n_status < 256 && n_src < 64 && n_dst < 64 && n_writes < 256);
		if (off == 0x18c)
			status[n_status++] = value;
		if (off == 0x400)
			src[n_src++] = value;
		if (off == 0x500)
			dst[n_dst++] = value;
	}
	cJSON_Delete(all);
	assert_true(n_status > 15 && n_src >= 1 && n_dst >= 6);

	fake_start(&f, &chip);
	f.script_istatus = status;
	f.n_istatus = n_status;
	f.script_src = src;
	f.n_src = n_src;
	f.script_dst = dst;
	f.n_dst = n_dst;
	while (f.n_istatus) {
		assert_int_equal(chip_irq_service(&chip), 0);
		assert_true(++calls < 100);
		all_channels |= chip.irq_channels;
		if (chip.irq_channels) {
			assert_true(seen < ARRAY_SIZE(want));
			if (chip.irq_channels != want[seen])
				fail_msg("interrupt %zu: channels 0x%08x, want 0x%08x", seen,
					 chip.irq_channels, want[seen]);
			seen++;
		}
		chip.irq_channels = 0;
	}
	/* channels 2, 16, 17, 18, 22, 21, 24, 20, 23, 19, each once, and the driver-down at the end */
	assert_int_equal(seen, ARRAY_SIZE(want));
	assert_int_equal(all_channels, 0x01ff0004);
	assert_int_equal(f.n_src, 0);
	assert_int_equal(f.n_dst, 0);
	assert_true(chip.irq_driver_down);
	/* what was cleared, in order, is what the vendor's driver cleared */
	for (size_t i = 0; i < f.n_log; i++)
		if (f.log[i].write)
			assert_int_equal(f.log[i].value, w < n_writes ? writes[w++] : 0);
	assert_int_equal(w, n_writes);
	fake_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mnist_controls),
		cmocka_unit_test(mobilenet_controls),
		cmocka_unit_test(yolov6n_controls),
		cmocka_unit_test(requests_of_the_evidence),
		cmocka_unit_test(replies_of_the_evidence),
		cmocka_unit_test(boot_accesses),
		cmocka_unit_test(yolov6n_launches),
		cmocka_unit_test(mnist_launches),
		cmocka_unit_test(yolov6n_interrupts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
