// SPDX-License-Identifier: MIT
/*
 * A booted chip: firmware load, interrupts, the control mailbox, events.  One thread owns a
 * struct chip.  Sources: spec hailo8-pcie 2 to 5 and 8, firmware-protocol 1 to 3.
 */
#ifndef HWLAYER_CHIP_CHIP_H
#define HWLAYER_CHIP_CHIP_H

#include "backend/backend.h"
#include "chip/protocol.h"
#include "chip/regs.h"
#include "util/bytes.h"

/* ------------------------------------------------------------- firmware.c (pure) */

/* A firmware image taken apart (pcie 3.2); spans point into the caller's bytes. */
struct chip_firmware {
	uint32_t major, minor, revision;      /* of the APP header, raw */
	uint32_t core_major, core_minor, core_revision;
	struct span app_header, app_code, key_cert, content_cert, core_header, core_code;
};
/* The vendor's checks plus the certificate limits of 2.7.  -EINVAL with the reason. */
int chip_firmware_parse(struct span image, struct chip_firmware *out, struct hw_error *err);
/* A well-formed image without real code, for software chips and tests; free() it. -ENOMEM */
int chip_firmware_synthetic(uint8_t **out, size_t *len);

/* ------------------------------------------------------------------ chip.c, irq.c */

struct chip_identity {
	uint32_t protocol, fw_major, fw_minor, fw_revision, logger; /* revision raw */
	uint32_t arch;                        /* 0 A0, 1 Hailo-8, 2 Hailo-8L */
	char board_name[33], serial[17], part_number[17], product_name[43];
};
struct chip_device_info {
	uint32_t clock_hz, boot_source, lcs, features, clusters;
};
struct chip_hw_consts {
	uint32_t fifo_word_granularity;
	uint16_t max_periph_buffers_per_frame, max_periph_bytes_per_buffer;
	uint16_t max_acceptable_bytes_per_buffer;
	uint32_t outbound_data_stream_size;
	bool should_optimize_credits;
	uint32_t default_initial_credit_size;
};

/* One event out of the slot (pcie 5.3), checked and decoded. */
struct chip_event {
	uint32_t priority, module, id, sequence;
	uint8_t payload[20];
	uint32_t payload_len;
	/* FW_EVENT_RUN_TIME_ERROR */
	uint32_t status;
	uint8_t app;
	uint16_t batch, context, action;
};

struct chip {
	struct backend *be;
	bool booting;              /* bit 25 has two meanings; this decides (pcie 2.3) */
	bool firmware_loaded;      /* we saw it boot */
	/* latched by chip_irq_service(), cleared by whoever waits */
	bool irq_soft_reset, irq_booted, irq_control, irq_driver_down;
	uint32_t irq_channels;     /* channels that interrupted and were not looked at yet */
	uint64_t irq_count;
	uint64_t irq_missed;       /* causes found by looking, whose interrupt did not come (in time) */
	uint64_t irq_spurious;     /* interrupts without a cause; some are normal, causes merge */
	bool gone;                 /* all ones were read: no more MMIO */
	bool reply_late;           /* a control timed out: its answer may still come */
	bool identified;           /* @id is valid */
	struct chip_identity id;
	struct chip_device_info info;
	struct chip_hw_consts consts;
	uint32_t max_desc_page;    /* 7.6 */
	void (*on_event)(const struct chip_event *ev, void *user); /* may be NULL */
	void *on_event_user;
};

#define CHIP_BOOT_TIMEOUT_MS 5000

struct chip_boot_options {
	struct span firmware;      /* empty: software chips get the synthetic image, cards -ENOENT */
	struct span board_cfg, fw_cfg; /* optional files, empty if absent */
	uint32_t boot_timeout_ms;  /* for a soft reset, a start, a start found under way; 0: the above */
};

/*
 * @chip is zeroed by the caller, who may have set on_event and its user.
 * Take a chip from whatever state it is in to "identified" (pcie 13.1): check 0x98, end what an
 * earlier user left behind, interrupts, soft reset if firmware runs, load, boot, event slot,
 * IDENTIFY.
 * On failure the chip is stopped and masked again.
 */
int chip_init(struct chip *chip, struct backend *be, const struct chip_boot_options *options,
	      struct hw_error *err);
/* Only check that it answers (hwctl list/info without boot). */
int chip_probe(struct chip *chip, struct backend *be, struct hw_error *err);
/*
 * Driver down, interrupts masked, MSI and bus mastering off: no DMA happens after it, whatever it
 * returns.  0; -ETIMEDOUT: the chip did not acknowledge, so it was reset where that is possible;
 * -ENODEV: it is gone.
 */
int chip_shutdown(struct chip *chip);

/* The handler loop of pcie 8.2; -ENODEV when the device is gone. Never blocks. */
int chip_irq_service(struct chip *chip);
/*
 * Wait on the interrupt eventfd and service until *@flag is set.  -ETIMEDOUT, -ENODEV.
 * Channel interrupts that arrive meanwhile are kept in irq_channels.
 */
int chip_wait(struct chip *chip, const bool *flag, uint32_t timeout_ms);
/* "driver down": 0 once the chip acknowledged; it has stopped all DMA. */
int chip_driver_down(struct chip *chip);

/* -------------------------------------------------------------------- control.c */

#define CHIP_CONTROL_TIMEOUT_MS 1000

struct chip_request {
	uint32_t opcode;
	bool core;                /* CPU1 */
	size_t n_params;
	struct span params[8];
	uint32_t timeout_ms;      /* 0: CHIP_CONTROL_TIMEOUT_MS */
};
/* A reply: parameters point into @bytes. */
struct chip_reply {
	uint8_t bytes[FW_CONTROL_MAX];
	size_t len;
	uint32_t major, minor;    /* status words */
	size_t n_params;
	struct span params[16];
};

/* Pure: message bytes (without MD5 and length) and back; @out holds FW_CONTROL_MAX. */
int chip_request_encode(const struct chip_request *req, uint8_t *out, size_t *len);
int chip_reply_decode(uint32_t opcode, struct chip_reply *reply, struct hw_error *err);

/*
 * One exchange (pcie 4.4).  @reply may be NULL.
 * 0; -EREMOTEIO: the firmware refused, reply->major/minor and the text have its status;
 * -EBADMSG: the answer makes no sense (MD5, length, opcode); -EIO: read-back differs;
 * -ETIMEDOUT; -ENODEV.
 */
int chip_control(struct chip *chip, const struct chip_request *req, struct chip_reply *reply,
		 struct hw_error *err);
/* Name of an opcode ("IDENTIFY"), words for a status ("unsupported opcode"); never NULL. */
const char *chip_opcode_name(uint32_t opcode);
const char *chip_status_text(uint32_t status);
const char *chip_event_name(uint32_t id);

int chip_identify(struct chip *chip, struct hw_error *err);          /* fills chip->id */
/* Does the firmware still answer?  0, -ETIMEDOUT: it hangs, -ENODEV: none runs or the card is gone */
int chip_ping(struct chip *chip, uint32_t timeout_ms);
int chip_core_identify(struct chip *chip, struct chip_identity *core, struct hw_error *err);
int chip_get_device_info(struct chip *chip, struct hw_error *err);   /* fills chip->info */
int chip_get_hw_consts(struct chip *chip, struct hw_error *err);     /* fills chip->consts */
int chip_get_temperature(struct chip *chip, float *ts0, float *ts1, struct hw_error *err);
int chip_reset_apps(struct chip *chip, struct hw_error *err);        /* 37 RESET */
int chip_clear_apps(struct chip *chip, struct hw_error *err);        /* 71 */
int chip_enable_app(struct chip *chip, uint8_t app, uint16_t dynamic_batch, struct hw_error *err);
int chip_set_header(struct chip *chip, const uint8_t header[32], struct hw_error *err);
int chip_set_context(struct chip *chip, bool first, bool last, enum fw_context_type type,
		     struct span actions, struct hw_error *err);

/* event.c, pure: -EBADMSG for a message that breaks the rules of protocol 2 */
int chip_event_decode(struct span msg, struct chip_event *out);
/* event_text.c, pure: one sentence with the event's figures */
void chip_event_text(const struct chip_event *ev, char *buf, size_t size);

/*
 * log.c: take up to @size bytes out of one CPU's log (pcie 5.4).  How many, or -EBADMSG when the
 * log's offsets make no sense, -ENODEV.
 */
int chip_read_log(struct chip *chip, bool core, void *buf, size_t size, struct hw_error *err);

#endif
