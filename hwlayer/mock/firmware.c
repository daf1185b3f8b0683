// SPDX-License-Identifier: MIT
/*
 * Doorbells, the mailbox and the controls that need no application (protocol 1, 9.2; pcie 4).
 * Version, board name and constants are those of the captured Hailo-8L (evidence 4).
 */
#include <openssl/evp.h>

#include "mock/sim.h"

#define MD5_LEN 16u
#define MAILBOX_HEADER 20u
#define REQUEST_HEADER 20u
#define RESPONSE_HEADER 28u
#define OPCODE_REJECTED 0xffffffffu /* evidence 9, pitfall 4 */
#define BIST_BLOCKS 0x3cu	    /* bits 2..5 (evidence 8) */

enum cpu { CPU_APP = 1, CPU_CORE = 2 }; /* doorbell bits */

static const uint8_t seen_hw_consts[19] = {0x08, 0, 0,	  0, 0xff, 0xff, 0xff, 0xff, 0, 0xa0,
					   0,	 0, 0x01, 0, 0x01, 0,	 0,    0x01, 0};

void sim_answer_param(struct sim_answer *a, const void *data, size_t len)
{
	put_be32(a->bytes + a->len, (uint32_t)len);
	memcpy(a->bytes + a->len + 4, data, len);
	a->len += 4 + len;
	a->count++;
}

static void answer_be32(struct sim_answer *a, uint32_t v)
{
	uint8_t b[4];

	put_be32(b, v);
	sim_answer_param(a, b, 4);
}

/* ------------------------------------------------------------------------- controls */

static void answer_version(struct sim_answer *a, uint32_t flags)
{
	uint8_t v[12];

	put_le32(v, FW_SUPPORTED_MAJOR);
	put_le32(v + 4, FW_SUPPORTED_MINOR);
	put_le32(v + 8, 0x20000000u | flags); /* as seen: built with the extended buffer */
	sim_answer_param(a, v, sizeof(v));
}

static uint32_t identify(struct mock_chip *chip, const struct sim_request *req,
			 struct sim_answer *a)
{
	static const char board[32] = "Hailo-8";
	static const char nothing[42];

	(void)req;
	answer_be32(a, FW_VERSION);
	answer_version(a, 0);
	answer_be32(a, 0); /* logger version */
	sim_answer_param(a, board, sizeof(board));
	answer_be32(a, chip->opts.arch);
	sim_answer_param(a, nothing, 16); /* serial number */
	sim_answer_param(a, nothing, 16); /* part number */
	sim_answer_param(a, nothing, 42); /* product name */
	return 0;
}

static uint32_t core_identify(struct mock_chip *chip, const struct sim_request *req,
			      struct sim_answer *a)
{
	(void)chip;
	(void)req;
	answer_version(a, FW_REVISION_CORE);
	return 0;
}

static uint32_t device_information(struct mock_chip *chip, const struct sim_request *req,
				   struct sim_answer *a)
{
	static const uint8_t features[8] = {0, 0, 0, 0x04}; /* PCIe */
	static const uint8_t lcs = 3, nothing[32];
	uint32_t clusters = chip->opts.clusters;

	(void)req;
	if (chip->opts.has_device_info) {
		memcpy(a->bytes + a->len, chip->opts.device_info, sizeof(chip->opts.device_info));
		a->len += sizeof(chip->opts.device_info);
		a->count = 9;
		return 0;
	}
	if (!clusters && chip->opts.arch == MOCK_HAILO8L)
		clusters = 0x33;
	answer_be32(a, 400000000);
	sim_answer_param(a, features, sizeof(features));
	answer_be32(a, 1); /* booted over PCIe */
	sim_answer_param(a, &lcs, 1);
	sim_answer_param(a, nothing, 32); /* SoC id */
	sim_answer_param(a, nothing, 6);  /* MAC */
	sim_answer_param(a, nothing, 12); /* fuses */
	sim_answer_param(a, nothing, 24); /* process monitor */
	answer_be32(a, clusters);
	return 0;
}

static uint32_t hw_consts(struct mock_chip *chip, const struct sim_request *req,
			  struct sim_answer *a)
{
	(void)req;
	sim_answer_param(a, chip->opts.has_hw_consts ? chip->opts.hw_consts : seen_hw_consts, 19);
	return 0;
}

static uint32_t temperature(struct mock_chip *chip, const struct sim_request *req,
			    struct sim_answer *a)
{
	/* Floats as in the captured process data: 35.7 and 35.6 degrees; one sample. */
	uint8_t b[10] = {0xcd, 0xcc, 0x0e, 0x42, 0x66, 0x66, 0x0e, 0x42, 0, 1};

	(void)req;
	sim_fault_temperature(chip, b);
	sim_answer_param(a, b, sizeof(b));
	return 0;
}

/* Types 2 and 3 restart the firmware's state and are never answered (protocol 1.7). */
static uint32_t reset(struct mock_chip *chip, const struct sim_request *req, struct sim_answer *a)
{
	uint32_t type;

	if (req->param[0].len != 4)
		return FW_STATUS_NOT_PARSED;
	type = get_be32(req->param[0].ptr);
	if (type < 1 || type > 3)
		return SIM_STATUS_RESET_TYPE;
	sim_quiesce(chip);
	sim_apps_restart(chip);
	a->mute = type != 1;
	return 0;
}

static uint32_t set_header(struct mock_chip *chip, const struct sim_request *req,
			   struct sim_answer *a)
{
	(void)a;
	return sim_set_header(chip, req);
}

static uint32_t set_context(struct mock_chip *chip, const struct sim_request *req,
			    struct sim_answer *a)
{
	(void)a;
	return sim_set_context(chip, req);
}

static uint32_t switch_status(struct mock_chip *chip, const struct sim_request *req,
			      struct sim_answer *a)
{
	(void)a;
	return sim_switch_status(chip, req);
}

static uint32_t clear_apps(struct mock_chip *chip, const struct sim_request *req,
			   struct sim_answer *a)
{
	(void)req;
	(void)a;
	return sim_clear_apps(chip);
}

/* Refusals that a card was seen to give (evidence 8); what it would take was not. */
static uint32_t write_memory(struct mock_chip *chip, const struct sim_request *req,
			     struct sim_answer *a)
{
	(void)chip;
	(void)req;
	(void)a;
	return SIM_STATUS_WRITE_REFUSED;
}

static uint32_t read_memory(struct mock_chip *chip, const struct sim_request *req,
			    struct sim_answer *a)
{
	(void)chip;
	(void)req;
	(void)a;
	return SIM_STATUS_RESTRICTED;
}

static uint32_t config_stream(struct mock_chip *chip, const struct sim_request *req,
			      struct sim_answer *a)
{
	(void)chip;
	(void)req;
	a->minor = SIM_STATUS_NO_STREAMS_MINOR;
	return SIM_STATUS_NO_STREAMS;
}

/* MODEL: a set bit of the top bypass leaves a block out; the rest is tested, and passes. */
static uint32_t bist(struct mock_chip *chip, const struct sim_request *req, struct sim_answer *a)
{
	(void)chip;
	(void)a;
	if (req->param[0].len != 1 || req->param[1].len != 4)
		return FW_STATUS_NOT_PARSED;
	return ~get_be32(req->param[1].ptr) & ~BIST_BLOCKS ? SIM_STATUS_BIST_BLOCK : 0;
}

static const struct control {
	uint32_t opcode;
	enum cpu cpu;
	unsigned int params;
	uint32_t (*run)(struct mock_chip *chip, const struct sim_request *req,
			struct sim_answer *a);
} controls[] = {
    {FW_IDENTIFY, CPU_APP, 0, identify},
    {FW_WRITE_MEMORY, CPU_APP, 2, write_memory},
    {FW_READ_MEMORY, CPU_APP, 2, read_memory},
    {FW_CONFIG_STREAM, CPU_APP, 7, config_stream},
    {FW_RESET, CPU_APP, 1, reset},
    {FW_SET_NETWORK_GROUP_HEADER, CPU_CORE, 1, set_header},
    {FW_SET_CONTEXT_INFO, CPU_CORE, 4, set_context},
    {FW_CHANGE_CONTEXT_SWITCH_STATUS, CPU_CORE, 4, switch_status},
    {FW_CORE_IDENTIFY, CPU_CORE, 0, core_identify},
    {FW_GET_CHIP_TEMPERATURE, CPU_APP, 0, temperature},
    {FW_GET_DEVICE_INFORMATION, CPU_APP, 0, device_information},
    {FW_RUN_BIST_TEST, CPU_APP, 5, bist},
    {FW_CLEAR_CONFIGURED_APPS, CPU_CORE, 0, clear_apps},
    {FW_GET_HW_CONSTS, CPU_CORE, 0, hw_consts},
};

/* -------------------------------------------------------------------------- mailbox */

static bool md5(const uint8_t *data, size_t len, uint8_t *digest)
{
	unsigned int n = MD5_LEN;

	return EVP_Digest(data, len, digest, &n, EVP_md5(), NULL) == 1 && n == MD5_LEN;
}

static uint32_t parse(struct span msg, struct sim_request *req)
{
	struct span head, word;
	uint32_t count;

	if (span_take(&msg, REQUEST_HEADER, &head))
		return FW_STATUS_NOT_PARSED;
	req->sequence = get_be32(head.ptr + 8);
	req->opcode = get_be32(head.ptr + 12);
	count = get_be32(head.ptr + 16);
	if (get_be32(head.ptr) != FW_VERSION)
		return FW_STATUS_BAD_VERSION;
	if (get_be32(head.ptr + 4) & FW_FLAG_ACK)
		return FW_STATUS_ACK_IN_REQUEST;
	if (count > SIM_PARAMS_MAX)
		return FW_STATUS_PARAM_COUNT;
	for (req->count = 0; req->count < count; req->count++) {
		if (span_take(&msg, 4, &word) ||
		    span_take(&msg, get_be32(word.ptr), &req->param[req->count]))
			return FW_STATUS_PARAM_OVERRUN;
	}
	return msg.len ? FW_STATUS_NOT_PARSED : 0;
}

static uint32_t dispatch(struct mock_chip *chip, enum cpu cpu, const struct sim_request *req,
			 struct sim_answer *a)
{
	for (size_t i = 0; i < ARRAY_SIZE(controls); i++) {
		const struct control *c = &controls[i];

		if (c->opcode != req->opcode || c->cpu != cpu)
			continue;
		if (c->params != req->count)
			return FW_STATUS_PARAM_COUNT;
		return c->run(chip, req, a);
	}
	return FW_STATUS_UNSUPPORTED_OPCODE; /* unknown, not modelled, or rung at the wrong CPU */
}

static void respond(struct mock_chip *chip, struct sim_answer *a)
{
	uint8_t *box =
	    sim_mem(chip, CHIP_ADDR_MAILBOX + CHIP_MBOX_RESPONSE, MAILBOX_HEADER + FW_CONTROL_MAX);
	struct sim_order *o;

	if (!md5(a->bytes, a->len, box))
		return;
	o = sim_fault_due(chip, SIM_FAULT_MD5_BAD);
	if (o) {
		sim_fault_strike(chip, o);
		box[0] ^= 1;
	}
	put_le32(box + MD5_LEN, (uint32_t)a->len);
	memcpy(box + MAILBOX_HEADER, a->bytes, a->len);
	sim_irq_firmware(chip, CHIP_IRQ_CONTROL);
}

static void delay(struct mock_chip *chip)
{
	uint64_t until = util_now_ns() + chip->opts.control_delay_us * 1000ull;

	while (chip->opts.control_delay_us && !chip->quit && util_now_ns() < until)
		sim_wait(chip, &chip->fw_cond, until);
}

/* Does an ordered fault take this control?  0: no, else the status of its refusal. */
static uint32_t ordered_refusal(struct mock_chip *chip)
{
	struct sim_order *o = sim_fault_due(chip, SIM_FAULT_CONTROL_ERROR);

	if (!o)
		return 0;
	sim_fault_strike(chip, o);
	return o->arg[1];
}

static bool ordered_silence(struct mock_chip *chip, uint32_t opcode)
{
	struct sim_order *o = sim_fault_due_for(chip, SIM_FAULT_CONTROL_SILENT, opcode);

	if (o)
		sim_fault_strike(chip, o);
	return o;
}

static void serve_control(struct mock_chip *chip, enum cpu cpu)
{
	const uint8_t *box = sim_mem(chip, CHIP_ADDR_MAILBOX, MAILBOX_HEADER + FW_CONTROL_MAX);
	uint8_t msg[FW_CONTROL_MAX], digest[MD5_LEN];
	struct sim_request req = {.opcode = OPCODE_REJECTED};
	struct sim_answer a = {.len = RESPONSE_HEADER};
	uint32_t len = get_le32(box + MD5_LEN), status;
	unsigned int epoch = chip->epoch;

	/* A request that did not arrive whole is not answered (evidence 10 no 11). */
	if (len > FW_CONTROL_MAX)
		return;
	memcpy(msg, box + MAILBOX_HEADER, len);
	if (!md5(msg, len, digest) || memcmp(digest, box, MD5_LEN))
		return;
	sim_fault_control(chip);
	status = parse((struct span){msg, len}, &req);
	if (sim_fault_dead(chip) || ordered_silence(chip, req.opcode))
		return;
	if (!status)
		status = ordered_refusal(chip);
	if (!status)
		status = dispatch(chip, cpu, &req, &a);
	delay(chip);
	if (a.mute || chip->quit || chip->epoch != epoch)
		return;
	chip->stats.controls++;
	if (status) {
		chip->stats.controls_refused++;
		a.len = RESPONSE_HEADER;
		a.count = 0;
		sim_log(chip, cpu == CPU_CORE, "control %u refused: 0x%08x", req.opcode, status);
		hw_log(HW_LOG_DEBUG, "software chip: control %u refused: 0x%08x", req.opcode,
		       status);
	}
	put_be32(a.bytes, FW_VERSION);
	put_be32(a.bytes + 4, FW_FLAG_ACK);
	put_be32(a.bytes + 8, req.sequence);
	put_be32(a.bytes + 12, status ? OPCODE_REJECTED : req.opcode);
	put_be32(a.bytes + 16, status);
	put_be32(a.bytes + 20, status && a.minor ? a.minor : status);
	put_be32(a.bytes + 24, a.count);
	respond(chip, &a);
}

void sim_doorbell(struct mock_chip *chip, uint32_t bell)
{
	if (chip->faults.crashed)
		return; /* nobody reads it */
	if (bell & CHIP_DOORBELL_SOFT_RESET) {
		sim_soft_reset(chip);
		return;
	}
	if (bell & CHIP_DOORBELL_DRIVER_DOWN) {
		unsigned int epoch = chip->epoch;

		sim_quiesce(chip);
		if (chip->epoch != epoch)
			return;
		sim_log(chip, false, "driver down: all channels stopped");
		sim_irq_firmware(chip, CHIP_IRQ_DRIVER_DOWN);
	}
	if (bell & CHIP_DOORBELL_APP)
		serve_control(chip, CPU_APP);
	else if (bell & CHIP_DOORBELL_CORE)
		serve_control(chip, CPU_CORE);
}
