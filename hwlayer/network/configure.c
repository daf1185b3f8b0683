// SPDX-License-Identifier: MIT
/* The controls that hand a network to the firmware.  Source: spec firmware-protocol 4.2, 5.9. */
#include "network/internal.h"

static int send_context(struct chip *chip, const struct network_context *ctx, struct hw_error *err)
{
	size_t from = 0;
	int r = 0;

	/* A context without any action produces no message (only a preliminary one can be empty). */
	for (size_t i = 0; !r && i < ctx->n_cuts; i++) {
		r = chip_set_context(chip, i == 0, i + 1 == ctx->n_cuts, ctx->type,
				     (struct span){ctx->actions.ptr + from, ctx->cuts[i] - from}, err);
		from = ctx->cuts[i];
	}
	return r;
}

int network_configure(struct network *net, struct chip *chip, struct hw_error *err)
{
	char name[32];
	int r = chip_set_header(chip, net->header, err);

	if (r)
		return r;
	for (size_t i = 0; i < net->n_contexts; i++) {
		r = send_context(chip, &net->contexts[i], err);
		if (r)
			return hw_fail_context(err, r, "configuring %s",
					       network_context_name(net, i, name, sizeof(name)));
	}
	return 0;
}
