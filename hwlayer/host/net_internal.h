// SPDX-License-Identifier: MIT
/* What net.c and net_outputs.c share. */
#ifndef HWLAYER_HOST_NET_INTERNAL_H
#define HWLAYER_HOST_NET_INTERNAL_H

#include "host/net.h"

struct host_setup {
	const struct hef_core_op *op;
	const struct host_options *opt;
	struct host_net *net;
	struct hw_error *err;
};

/* Streams are listed; now what the user gets of them, in the order of contexts, then of ops. */
int host_make_outputs(struct host_setup *s);

#endif
