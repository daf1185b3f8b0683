// SPDX-License-Identifier: MIT
/*
 * A chip in software that outlives its users: one mock_chip behind a Unix socket, as a card outlives
 * the processes that drive it.  One user at a time; whoever dies leaves the chip as the kernel would
 * leave a card (docs/safety.md).
 */
#ifndef HWLAYER_MOCK_SERVE_H
#define HWLAYER_MOCK_SERVE_H

#include "mock/mock.h"
#include "util/util.h"

/*
 * @socket: its path
 * @chip: what kind of chip
 * @log: file for the life-cycle facts, one JSON object on each line; NULL: none
 * @driver_down: ring "driver down" for a user who is gone, as a kernel module of ours can, before bus
 *               mastering goes off; else bus mastering just goes off, as with VFIO
 */
struct serve_options {
	const char *socket;
	struct mock_opts chip;
	const char *log;
	bool driver_down;
};

struct serve;

/* Power the chip on and listen.  0; -EBUSY: another server has @socket; -errno of the socket. */
int serve_open(const struct serve_options *opt, struct serve **out, struct hw_error *err);
/* Serve until @stop_fd becomes readable. */
int serve_run(struct serve *s, int stop_fd, struct hw_error *err);
/* Whoever is connected sees a card that was pulled out. */
void serve_close(struct serve *s);
struct mock_chip *serve_chip(struct serve *s); /* for tests */

#endif
