// SPDX-License-Identifier: MIT
/*
 * A small scripted chip behind struct backend, for tests of the driver alone: it answers at once,
 * on the caller's thread, records every access and fails where it is told to.  It is no model of
 * the chip (that is hwlayer/mock/); it knows just enough to be booted and spoken to.
 */
#ifndef TESTS_SUPPORT_FAKECHIP_H
#define TESTS_SUPPORT_FAKECHIP_H

#include "backend/backend.h"
#include "chip/chip.h"

struct fake_access {
	uint8_t bar;
	uint8_t width; /* 2 or 4 */
	bool write;
	uint32_t off, value;
};

enum { FAKE_BOOTLOADER, FAKE_RUNNING };

struct fake_chip {
	struct backend be;
	int state;                 /* FAKE_* */
	bool bus_master, msi;
	uint32_t atr[5];           /* entry 0 */
	uint32_t imask, istatus, src, dst;
	uint32_t boot_status;
	uint32_t bar2[0x400];
	uint8_t *ram;              /* chip addresses 0x60000 to 0xfffff */
	uint8_t mailbox[0x2000];   /* chip address 0x60000000 */
	uint8_t logs[0x2000];      /* BAR4 from 0x2000 on: the app CPU's, the core CPU's */
	uint32_t doorbells[16];    /* the last values written to 0x1684 */
	unsigned int n_doorbells;

	/* every access, in order */
	struct fake_access *log;
	size_t n_log, cap_log;

	/* DMA memory */
	size_t dma_bytes;
	unsigned int dma_allocs;   /* attempts so far */
	unsigned int fail_alloc;   /* attempt (1..) that fails, 0: none */
	bool misalign;             /* bus addresses miss their alignment by 4096 */
	uint64_t next_bus;
	unsigned int syncs;
	size_t sync_off[4], sync_len[4];
	unsigned int resets, closes;

	/* faults */
	size_t gone_at;            /* access number (1..) from which nobody answers, 0: never */
	size_t flip_at;            /* access number (1..) whose read value has bit 4 flipped */
	bool dead_boot;            /* the trigger leads to boot status 0x1234 and no further */
	int reset_result;          /* of the function reset */
	bool boot_without_mailbox; /* boots, but window 0 keeps its address */
	bool deaf_soft_reset;      /* doorbell 8 is ignored */
	bool never_ready;          /* soft reset done, boot status stays 2 */
	bool silent;               /* controls are not answered */
	bool deaf_driver_down;     /* doorbell 4 is ignored */
	bool lose_irq;             /* status bits latch, the MSI does not arrive */
	bool storm;                /* ISTATUS bit 23 never clears */
	int irq_enable_result;

	/* scripted values, used before the registers' own while there are some */
	const uint32_t *script_istatus, *script_src, *script_dst;
	size_t n_istatus, n_src, n_dst;

	/*
	 * Answer to a control.  @msg: request, @reply: FW_CONTROL_MAX bytes to fill.  Returns the length
	 * of the reply.  NULL: fake_answer().
	 */
	size_t (*answer)(struct fake_chip *f, const uint8_t *msg, size_t len, bool core, uint8_t *reply);
	void *user;
	uint32_t bad_md5_controls; /* that many answers get a wrong digest */
	uint32_t force_length;     /* length word of the answer, when not 0 */
	unsigned int controls;
};

void fake_init(struct fake_chip *f);
/* With firmware that runs, and @chip ready to speak to it; nothing is in the log. */
void fake_start(struct fake_chip *f, struct chip *chip);
void fake_done(struct fake_chip *f); /* checks nothing, frees the log and memory */
/* Post an interrupt cause: latch the bits and send the MSI. */
void fake_raise(struct fake_chip *f, uint32_t istatus);
/* Put a reply into the response area with its digest, without raising anything. */
void fake_put_reply(struct fake_chip *f, const uint8_t *reply, size_t len);
/* Event into the slot; raises bit 25. */
void fake_post_event(struct fake_chip *f, const void *msg, size_t len);
/* IDENTIFY as a Hailo-8 with 4.23.0, device information, hw consts; all else: success, empty. */
size_t fake_answer(struct fake_chip *f, const uint8_t *msg, size_t len, bool core, uint8_t *reply);
/* A 28-byte answer. */
size_t fake_status_reply(uint8_t *reply, uint32_t opcode, uint32_t major, uint32_t minor);
/* An image with the given sizes; free() it. */
uint8_t *fake_firmware(uint32_t app, uint32_t key, uint32_t content, uint32_t core, size_t *len);

#endif
