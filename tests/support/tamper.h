// SPDX-License-Identifier: MIT
/*
 * A backend between the driver and the software chip: sees every control, may change DMA memory
 * just before a control is rung, counts and refuses.
 */
#ifndef TESTS_SUPPORT_TAMPER_H
#define TESTS_SUPPORT_TAMPER_H

#include "backend/backend.h"
#include "mock/mock.h"
#include "util/bytes.h"

#define TAMPER_AREAS 64
#define TAMPER_CONTROLS 256

struct tamper_control {
	uint32_t cpu; /* doorbell value: 1 app, 2 core */
	uint8_t req[1500], rsp[1500];
	size_t req_len, rsp_len;
};

struct tamper {
	struct backend be;          /* what the driver gets */
	struct backend *below;      /* the mock's */
	struct backend_dma areas[TAMPER_AREAS];
	size_t n_areas;
	/* called before each doorbell of a control, with its request message */
	void (*on_control)(struct tamper *t, const uint8_t *req, size_t len, void *user);
	void *user;
	size_t n_controls;
	struct tamper_control controls[TAMPER_CONTROLS];
	uint8_t mbox[0xc80];        /* what was last written to, or read from, the mailbox */
	long alloc_fails_after;     /* dma_alloc number that fails, -1: none */
	long allocs;
	bool gone;                  /* reads give all ones, writes vanish */
};

/* The tamper is freed by backend_close(&t->be). */
struct tamper *tamper_new(const struct mock_opts *opts);
static inline struct mock_chip *tamper_chip(struct tamper *t)
{
	return backend_mock_chip(t->below);
}
/* Opcode of a request message. */
static inline uint32_t tamper_opcode(const uint8_t *req)
{
	return get_be32(req + 12);
}
/* CPU address of a bus address inside one area, NULL if there is none. */
void *tamper_at(struct tamper *t, uint64_t bus, size_t len);

#endif
