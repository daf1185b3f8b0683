// SPDX-License-Identifier: MIT
/* The control mailbox: messages (protocol 1, pure) and the exchange of one (pcie 4.4). */
#include "chip/internal.h"

#include <errno.h>
#include <openssl/evp.h>

#define MD5_SIZE 16u
#define AREA_HEADER (MD5_SIZE + 4u) /* digest and length in front of a message */
#define REQUEST_HEADER 20u
#define REPLY_HEADER 24u /* without the parameter count, which may be absent */
/* How long an answer that missed its deadline is waited for before the next request. */
#define LATE_REPLY_MS 100

static int md5(struct span data, uint8_t digest[MD5_SIZE])
{
	unsigned int n = 0;

	if (EVP_Digest(data.ptr, data.len, digest, &n, EVP_md5(), NULL) != 1 || n != MD5_SIZE)
		return -EIO;
	return 0;
}

int chip_request_encode(const struct chip_request *req, uint8_t *out, size_t *len)
{
	size_t n = REQUEST_HEADER;

	if (req->n_params > ARRAY_SIZE(req->params))
		return -EINVAL;
	put_be32(out, FW_VERSION);
	put_be32(out + 4, 0);
	put_be32(out + 8, 0); /* the firmware takes equal non-zero numbers for retransmissions */
	put_be32(out + 12, req->opcode);
	put_be32(out + 16, (uint32_t)req->n_params);
	for (size_t i = 0; i < req->n_params; i++) {
		struct span p = req->params[i];

		if (p.len > FW_CONTROL_MAX || n + 4 + p.len > FW_CONTROL_MAX)
			return -EMSGSIZE;
		put_be32(out + n, (uint32_t)p.len);
		if (p.len)
			memcpy(out + n + 4, p.ptr, p.len);
		n += 4 + p.len;
	}
	*len = n;
	return 0;
}

/* The parameters must end exactly where the message ends (protocol 1.3). */
static int walk_params(struct span in, struct chip_reply *reply)
{
	struct span word;
	uint32_t count;

	reply->n_params = 0;
	if (!in.len)
		return 0;
	if (span_take(&in, 4, &word) < 0)
		return -EBADMSG;
	count = get_be32(word.ptr);
	if (count > ARRAY_SIZE(reply->params))
		return -EBADMSG;
	for (uint32_t i = 0; i < count; i++)
		if (span_take(&in, 4, &word) < 0 ||
		    span_take(&in, get_be32(word.ptr), &reply->params[i]) < 0)
			return -EBADMSG;
	if (in.len)
		return -EBADMSG;
	reply->n_params = count;
	return 0;
}

int chip_reply_decode(uint32_t opcode, struct chip_reply *reply, struct hw_error *err)
{
	struct span in = {reply->bytes, reply->len}, header;
	const char *name = chip_opcode_name(opcode);

	reply->major = 0;
	reply->minor = 0;
	reply->n_params = 0;
	if (reply->len > sizeof(reply->bytes) || span_take(&in, REPLY_HEADER, &header) < 0)
		return hw_fail(err, -EBADMSG, "the answer to %s is %zu bytes long", name, reply->len);
	/* This order is the vendor library's (protocol 1.4). */
	if (get_be32(header.ptr) != FW_VERSION)
		return hw_fail(err, -EBADMSG, "the answer to %s has protocol version %u instead of %u",
			       name, get_be32(header.ptr), FW_VERSION);
	if (!(get_be32(header.ptr + 4) & FW_FLAG_ACK))
		return hw_fail(err, -EBADMSG, "the answer to %s is not marked as an answer", name);
	if (walk_params(in, reply) < 0)
		return hw_fail(err, -EBADMSG, "the parameters in the answer to %s do not fit its %zu bytes",
			       name, reply->len);
	reply->major = get_be32(header.ptr + 16);
	reply->minor = get_be32(header.ptr + 20);
	/* Before the opcode: a refusal may echo 0xffffffff instead of it (hardware-evidence 9.4). */
	if (reply->major)
		return hw_fail(err, -EREMOTEIO,
			       "the firmware refused %s: %s (status 0x%08x, minor 0x%08x: %s)", name,
			       chip_status_text(reply->major), reply->major, reply->minor,
			       chip_status_text(reply->minor));
	if (get_be32(header.ptr + 12) != opcode)
		return hw_fail(err, -EBADMSG, "the answer to %s is for opcode %u (%s)", name,
			       get_be32(header.ptr + 12), chip_opcode_name(get_be32(header.ptr + 12)));
	return 0;
}

/* What lies in the response area: digest, length, message. */
static int read_reply(struct chip *chip, const char *name, struct chip_reply *reply,
		      struct hw_error *err)
{
	uint8_t want[MD5_SIZE], got[MD5_SIZE];
	uint32_t len;

	for (uint32_t i = 0; i < MD5_SIZE; i += 4)
		put_le32(want + i, backend_read32(chip->be, CHIP_BAR_FW, CHIP_MBOX_RESPONSE + i));
	len = backend_read32(chip->be, CHIP_BAR_FW, CHIP_MBOX_RESPONSE + MD5_SIZE);
	if (len > FW_CONTROL_MAX) {
		if (chip_check_alive(chip) < 0)
			return chip_fail(chip, err, -ENODEV, name);
		return hw_fail(err, -EBADMSG, "the answer to %s claims to be %u bytes long", name, len);
	}
	for (uint32_t i = 0; i < len; i += 4) {
		uint8_t word[4];

		put_le32(word, backend_read32(chip->be, CHIP_BAR_FW,
					      CHIP_MBOX_RESPONSE + AREA_HEADER + i));
		memcpy(reply->bytes + i, word, len - i < 4 ? len - i : 4);
	}
	reply->len = len;
	if (md5((struct span){reply->bytes, len}, got) < 0)
		return hw_fail(err, -EIO, "this system's libcrypto computes no MD5");
	if (memcmp(want, got, MD5_SIZE) != 0) {
		if (chip_check_alive(chip) < 0)
			return chip_fail(chip, err, -ENODEV, name);
		return hw_fail(err, -EBADMSG,
			       "the MD5 of the answer to %s does not match its %u bytes: it was damaged on "
			       "its way; try again",
			       name, len);
	}
	return 0;
}

/* A successful answer to another request: the one that came too late. */
static bool is_stray(uint32_t opcode, const struct chip_reply *reply)
{
	return reply->len >= REPLY_HEADER && get_be32(reply->bytes + 16) == 0 &&
	       get_be32(reply->bytes + 12) != opcode;
}

/*
 * After a timeout the answer may still arrive, and would then pass for the answer to the next
 * request (protocol 9.5.17).  Sequence numbers cannot tell them apart: they are always 0.
 */
static int drain_late_reply(struct chip *chip)
{
	int r = chip_wait(chip, &chip->irq_control, LATE_REPLY_MS);

	if (r == 0)
		chip->reply_late = false;
	return r == -ETIMEDOUT ? 0 : r;
}

static int await_reply(struct chip *chip, const struct chip_request *req, struct chip_reply *reply,
		       struct hw_error *err)
{
	const char *name = chip_opcode_name(req->opcode);
	uint32_t timeout = req->timeout_ms ? req->timeout_ms : CHIP_CONTROL_TIMEOUT_MS;
	uint64_t deadline = util_now_ms() + timeout;
	int r;

	for (;;) {
		uint64_t now = util_now_ms();

		r = chip_wait(chip, &chip->irq_control,
			      now < deadline ? (uint32_t)(deadline - now) : 0);
		if (r == -ETIMEDOUT) {
			chip->reply_late = true;
			return hw_fail(err, r,
				       "the firmware did not answer %s within %u ms; if it stays silent it "
				       "has crashed: reset the device",
				       name, timeout);
		}
		if (r < 0)
			return chip_fail(chip, err, r, name);
		r = read_reply(chip, name, reply, err);
		if (r < 0)
			return r;
		if (!chip->reply_late || !is_stray(req->opcode, reply))
			break;
		hw_log(HW_LOG_WARNING, "dropped a late answer that came during %s", name);
		chip->reply_late = false;
		chip->irq_control = false;
	}
	return chip_reply_decode(req->opcode, reply, err);
}

int chip_control(struct chip *chip, const struct chip_request *req, struct chip_reply *reply,
		 struct hw_error *err)
{
	const char *name = chip_opcode_name(req->opcode);
	uint8_t area[(AREA_HEADER + FW_CONTROL_MAX + 3) & ~3u] = {0};
	struct observed_control told;
	struct chip_reply local;
	size_t len;
	int r;

	if (chip->gone)
		return chip_fail(chip, err, -ENODEV, name);
	if (chip->identified && !chip_opcode_critical(req->opcode) &&
	    (chip->id.fw_major != FW_SUPPORTED_MAJOR || chip->id.fw_minor != FW_SUPPORTED_MINOR))
		return hw_fail(err, -ENOTSUP,
			       "the card runs firmware %u.%u.%u; this driver needs %u.%u, whose messages "
			       "it speaks",
			       chip->id.fw_major, chip->id.fw_minor,
			       chip->id.fw_revision & FW_REVISION_NUMBER, FW_SUPPORTED_MAJOR,
			       FW_SUPPORTED_MINOR);
	r = chip_request_encode(req, area + AREA_HEADER, &len);
	if (r < 0)
		return hw_fail(err, r, "the parameters of %s do not fit into one control", name);
	if (md5((struct span){area + AREA_HEADER, len}, area) < 0)
		return hw_fail(err, -EIO, "this system's libcrypto computes no MD5");
	put_le32(area + MD5_SIZE, (uint32_t)len);

	if (chip->reply_late) {
		r = drain_late_reply(chip);
		if (r < 0)
			return chip_fail(chip, err, r, name);
	}
	chip->irq_control = false;
	if (!chip_firmware_runs(chip))
		return chip_fail(chip, err, -ENODEV, name);
	r = chip_write_verified(chip, CHIP_MBOX_REQUEST,
				(struct span){area, align_up(AREA_HEADER + len, 4)}, err);
	if (r < 0)
		return hw_fail_context(err, r, "sending %s", name);
	backend_write32(chip->be, CHIP_BAR_FW, CHIP_DOORBELL,
			req->core ? CHIP_DOORBELL_CORE : CHIP_DOORBELL_APP);
	if (!reply)
		reply = &local;
	reply->len = 0;
	r = await_reply(chip, req, reply, err);
	told = (struct observed_control){
		.opcode = req->opcode,
		.core = req->core,
		.timeout_ms = req->timeout_ms ? req->timeout_ms : CHIP_CONTROL_TIMEOUT_MS,
		.req = area + AREA_HEADER,
		.req_len = len,
		.rsp = reply->bytes,
		.rsp_len = reply->len,
		.result = r,
	};
	observe(chip->be, control, &told);
	hw_log(HW_LOG_DEBUG, "control %s, %zu bytes: %d", name, len, r);
	return r;
}
