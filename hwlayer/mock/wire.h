// SPDX-License-Identifier: MIT
/*
 * Between a process and a chip in software that another process runs (mock/serve.c): what the
 * packets on a Unix SOCK_SEQPACKET socket look like.  Both ends are on one machine, so numbers are
 * in its own byte order.
 *
 * The server speaks first: a hello.  Then each request gets one reply, except WIRE_WRITE, which is
 * posted as on PCIe: a read that follows sees its effect.
 */
#ifndef HWLAYER_MOCK_WIRE_H
#define HWLAYER_MOCK_WIRE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_MAGIC 0x48384d31u /* "H8M1": changes with anything in this file */

enum wire_op {
	WIRE_READ = 1, /* bar, off, width -> value */
	WIRE_WRITE,    /* bar, off, width, value; no reply */
	WIRE_MSI,      /* value: on */
	WIRE_MASTER,   /* value: bus master on; when off is answered no DMA is under way */
	WIRE_RESET,    /* function reset */
	WIRE_MAP,      /* size, align, and a memfd sealed against shrinking -> bus */
	WIRE_UNMAP,    /* bus: gone for the chip when answered */
};

struct wire_request {
	uint32_t op, bar, off, width, value, zero;
	uint64_t bus, size, align;
};
static_assert(sizeof(struct wire_request) == 48, "no hidden padding on the wire");

struct wire_reply {
	int32_t result; /* 0 or -errno */
	uint32_t value;
	uint64_t bus;
};
static_assert(sizeof(struct wire_reply) == 16, "no hidden padding on the wire");

/* Carries the interrupt's eventfd when result is 0. */
struct wire_hello {
	uint32_t magic;
	int32_t result; /* 0, or -EBUSY and whose it is */
	int32_t owner_pid;
	char owner_name[16];
	uint8_t config[256]; /* configuration space */
};
static_assert(sizeof(struct wire_hello) == 284, "no hidden padding on the wire");

/* One packet, with a file descriptor when @fd >= 0.  0 or -errno (-EPIPE: the other end is gone). */
int wire_send(int sock, const void *data, size_t len, int fd, int flags);
/*
 * One packet of exactly @len bytes; *@fd: the descriptor that came with it (the caller's), or -1.
 * 0; -EAGAIN; -EPIPE: the other end is gone; -EBADMSG: another length.
 */
int wire_recv(int sock, void *data, size_t len, int *fd, int flags);

#endif
