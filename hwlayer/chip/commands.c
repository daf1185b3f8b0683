// SPDX-License-Identifier: MIT
/* The controls of bring-up and configuration (protocol 1.7, 1.8). */
#include "chip/internal.h"

#include <errno.h>

static const struct span state_reset = {(const uint8_t[]){FW_SWITCH_RESET}, 1};
static const struct span state_enabled = {(const uint8_t[]){FW_SWITCH_ENABLED}, 1};
static const struct span app_none = {(const uint8_t[]){FW_APP_NONE}, 1};
static const struct span zero16 = {(const uint8_t[]){0, 0}, 2};

static int ask(struct chip *chip, uint32_t opcode, bool core, struct chip_reply *reply,
	       struct hw_error *err)
{
	return chip_control(chip, &(struct chip_request){.opcode = opcode, .core = core}, reply, err);
}

/* Parameter @i, which must be @len bytes long; NULL after filling @err. */
static const uint8_t *param(const struct chip_reply *reply, uint32_t opcode, size_t i, size_t len,
			    struct hw_error *err)
{
	if (i < reply->n_params && reply->params[i].len == len)
		return reply->params[i].ptr;
	hw_fail(err, -EBADMSG, "the answer to %s lacks parameter %zu of %zu bytes",
		chip_opcode_name(opcode), i, len);
	return NULL;
}

/* A text field, which may be absent, unterminated or full of bytes that nobody wants in a log. */
static void copy_text(const struct chip_reply *reply, size_t i, char *out, size_t size)
{
	size_t n = 0;

	if (i < reply->n_params)
		while (n < reply->params[i].len && n < size - 1 && reply->params[i].ptr[n]) {
			char c = (char)reply->params[i].ptr[n];

			out[n++] = c >= ' ' && c <= '~' ? c : '?';
		}
	out[n] = 0;
}

int chip_identify(struct chip *chip, struct hw_error *err)
{
	struct chip_identity id = {0};
	struct chip_reply reply;
	const uint8_t *protocol, *version, *logger, *arch;
	int r;

	r = ask(chip, FW_IDENTIFY, false, &reply, err);
	if (r < 0)
		return r;
	/* Walked, not at fixed offsets: answers with shorter texts were reported (pcie 11.6). */
	protocol = param(&reply, FW_IDENTIFY, 0, 4, err);
	version = param(&reply, FW_IDENTIFY, 1, 12, err);
	logger = param(&reply, FW_IDENTIFY, 2, 4, err);
	arch = param(&reply, FW_IDENTIFY, 4, 4, err);
	if (!protocol || !version || !logger || !arch)
		return -EBADMSG;
	id.protocol = get_be32(protocol);
	id.fw_major = get_le32(version);
	id.fw_minor = get_le32(version + 4);
	id.fw_revision = get_le32(version + 8);
	id.logger = get_be32(logger);
	id.arch = get_be32(arch);
	copy_text(&reply, 3, id.board_name, sizeof(id.board_name));
	copy_text(&reply, 5, id.serial, sizeof(id.serial));
	copy_text(&reply, 6, id.part_number, sizeof(id.part_number));
	copy_text(&reply, 7, id.product_name, sizeof(id.product_name));
	if (id.fw_revision & FW_REVISION_CORE)
		return hw_fail(err, -EBADMSG, "IDENTIFY was answered by the wrong CPU (revision 0x%08x)",
			       id.fw_revision);
	chip->id = id;
	chip->identified = true;
	return 0;
}

int chip_ping(struct chip *chip, uint32_t timeout_ms)
{
	struct chip_request req = {.opcode = FW_IDENTIFY, .timeout_ms = timeout_ms};

	return chip_control(chip, &req, NULL, NULL);
}

int chip_core_identify(struct chip *chip, struct chip_identity *core, struct hw_error *err)
{
	struct chip_reply reply;
	const uint8_t *version;
	int r;

	r = ask(chip, FW_CORE_IDENTIFY, true, &reply, err);
	if (r < 0)
		return r;
	version = param(&reply, FW_CORE_IDENTIFY, 0, 12, err);
	if (!version)
		return -EBADMSG;
	if (!(get_le32(version + 8) & FW_REVISION_CORE))
		return hw_fail(err, -EBADMSG,
			       "CORE_IDENTIFY was answered by the wrong CPU (revision 0x%08x)",
			       get_le32(version + 8));
	*core = (struct chip_identity){
		.fw_major = get_le32(version),
		.fw_minor = get_le32(version + 4),
		.fw_revision = get_le32(version + 8),
	};
	return 0;
}

int chip_get_device_info(struct chip *chip, struct hw_error *err)
{
	struct chip_reply reply;
	const uint8_t *clock, *features, *source, *lcs, *clusters;
	int r;

	r = ask(chip, FW_GET_DEVICE_INFORMATION, false, &reply, err);
	if (r < 0)
		return r;
	clock = param(&reply, FW_GET_DEVICE_INFORMATION, 0, 4, err);
	features = param(&reply, FW_GET_DEVICE_INFORMATION, 1, 8, err);
	source = param(&reply, FW_GET_DEVICE_INFORMATION, 2, 4, err);
	lcs = param(&reply, FW_GET_DEVICE_INFORMATION, 3, 1, err);
	clusters = param(&reply, FW_GET_DEVICE_INFORMATION, 8, 4, err);
	if (!clock || !features || !source || !lcs || !clusters)
		return -EBADMSG;
	chip->info = (struct chip_device_info){
		.clock_hz = get_be32(clock),
		.boot_source = get_be32(source),
		.lcs = lcs[0],
		.features = features[3], /* the host looks at no other of the eight bytes */
		.clusters = get_be32(clusters),
	};
	return 0;
}

int chip_get_hw_consts(struct chip *chip, struct hw_error *err)
{
	struct chip_reply reply;
	const uint8_t *p;
	int r;

	r = ask(chip, FW_GET_HW_CONSTS, true, &reply, err);
	if (r < 0)
		return r;
	p = param(&reply, FW_GET_HW_CONSTS, 0, 19, err);
	if (!p)
		return -EBADMSG;
	if (!get_le32(p)) /* a divisor of everything that follows */
		return hw_fail(err, -EBADMSG, "GET_HW_CONSTS says that a FIFO word has 0 bytes");
	chip->consts = (struct chip_hw_consts){
		.fifo_word_granularity = get_le32(p),
		.max_periph_buffers_per_frame = get_le16(p + 4),
		.max_periph_bytes_per_buffer = get_le16(p + 6),
		.max_acceptable_bytes_per_buffer = get_le16(p + 8),
		.outbound_data_stream_size = get_le32(p + 10),
		.should_optimize_credits = p[14] != 0,
		.default_initial_credit_size = get_le32(p + 15),
	};
	return 0;
}

static float get_f32(const uint8_t *p)
{
	uint32_t bits = get_le32(p);
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

int chip_get_temperature(struct chip *chip, float *ts0, float *ts1, struct hw_error *err)
{
	struct chip_reply reply;
	const uint8_t *p;
	int r;

	r = ask(chip, FW_GET_CHIP_TEMPERATURE, false, &reply, err);
	if (r < 0)
		return r;
	p = param(&reply, FW_GET_CHIP_TEMPERATURE, 0, 10, err);
	if (!p)
		return -EBADMSG;
	*ts0 = get_f32(p);
	*ts1 = get_f32(p + 4);
	return 0;
}

int chip_reset_apps(struct chip *chip, struct hw_error *err)
{
	struct chip_request req = {
		.opcode = FW_CHANGE_CONTEXT_SWITCH_STATUS,
		.core = true,
		.n_params = 4,
		.params = {state_reset, app_none, zero16, zero16},
	};

	return chip_control(chip, &req, NULL, err);
}

int chip_clear_apps(struct chip *chip, struct hw_error *err)
{
	return ask(chip, FW_CLEAR_CONFIGURED_APPS, true, NULL, err);
}

int chip_enable_app(struct chip *chip, uint8_t app, uint16_t dynamic_batch, struct hw_error *err)
{
	uint8_t batch[2];
	struct chip_request req = {
		.opcode = FW_CHANGE_CONTEXT_SWITCH_STATUS,
		.core = true,
		.n_params = 4,
		/* batch count 0: run until reset */
		.params = {state_enabled, {&app, 1}, {batch, 2}, zero16},
	};

	put_le16(batch, dynamic_batch); /* little-endian, unlike its length word (protocol 1.5) */
	return chip_control(chip, &req, NULL, err);
}

int chip_set_header(struct chip *chip, const uint8_t header[32], struct hw_error *err)
{
	struct chip_request req = {
		.opcode = FW_SET_NETWORK_GROUP_HEADER,
		.core = true,
		.n_params = 1,
		.params = {{header, 32}},
	};

	return chip_control(chip, &req, NULL, err);
}

int chip_set_context(struct chip *chip, bool first, bool last, enum fw_context_type type,
		     struct span actions, struct hw_error *err)
{
	const uint8_t flags[3] = {first, last, (uint8_t)type};
	struct chip_request req = {
		.opcode = FW_SET_CONTEXT_INFO,
		.core = true,
		.n_params = 4,
		.params = {{&flags[0], 1}, {&flags[1], 1}, {&flags[2], 1}, actions},
	};

	if (actions.len > FW_CONTEXT_CHUNK_MAX)
		return hw_fail(err, -EMSGSIZE, "%zu action bytes in one control; at most %u fit",
			       actions.len, FW_CONTEXT_CHUNK_MAX);
	return chip_control(chip, &req, NULL, err);
}
