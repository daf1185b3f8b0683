// SPDX-License-Identifier: MIT
/* The application store: headers and contexts as they arrive (protocol 4.1, 4.2, 9.2). */
#include "mock/sim.h"
#include "mock/standin.h"

#define APP_HEADER_LEN 32u
#define NETWORKS_MAX 8u
#define CONTEXTS_MAX 1024u /* with the three service contexts */

static void context_free(struct sim_context *c)
{
	free(c->acts);
	buf_free(&c->bytes);
	*c = (struct sim_context){0};
}

void sim_apps_free(struct mock_chip *chip)
{
	for (unsigned int i = 0; i < chip->napps; i++) {
		struct sim_app *app = chip->apps[i];

		for (size_t k = 0; k < app->nctx; k++)
			context_free(&app->ctx[k]);
		free(app->ctx);
		standin_put(app->standin);
		free(app);
	}
	chip->napps = 0;
}

uint32_t sim_clear_apps(struct mock_chip *chip)
{
	if (sim_active(chip))
		return FW_STATUS_CLEAR_WHILE_ACTIVE;
	sim_apps_free(chip);
	chip->cleared = true;
	return 0;
}

void sim_apps_restart(struct mock_chip *chip)
{
	sim_apps_free(chip);
	chip->cleared = false;
}

/* ----------------------------------------------------------------------------- header */

static uint32_t header_parse(const uint8_t *h, struct sim_app *app)
{
	app->dynamic_contexts = get_le16(h);
	app->fast_batch_switch = h[4];
	app->batch = get_le16(h + 9);
	app->cfg_count = h[27];
	memcpy(app->cfg_channel, h + 28, FW_CFG_CHANNELS_MAX);
	if (!app->dynamic_contexts)
		return SIM_STATUS_CONTEXT_COUNT;
	if (app->dynamic_contexts > CONTEXTS_MAX - 3)
		return FW_STATUS_TOO_MANY_CONTEXTS;
	if (!app->batch || app->batch > FW_BATCH_MAX)
		return FW_STATUS_BAD_BATCH;
	if (app->cfg_count > FW_CFG_CHANNELS_MAX)
		return FW_STATUS_CFG_CHANNEL;
	for (unsigned int i = 0; i < app->cfg_count; i++) {
		if (app->cfg_channel[i] >= CHIP_VDMA_FIRST_D2H)
			return FW_STATUS_CFG_CHANNEL;
	}
	return 0;
}

uint32_t sim_set_header(struct mock_chip *chip, const struct sim_request *req)
{
	struct sim_app parsed = {0}, *app;
	uint32_t status;

	if (req->param[0].len != APP_HEADER_LEN)
		return FW_STATUS_BAD_HEADER_LENGTH;
	if (sim_active(chip))
		return FW_STATUS_CONFIG_WHILE_ACTIVE;
	if (chip->napps == FW_APPS_MAX)
		return FW_STATUS_BAD_APP;
	status = header_parse(req->param[0].ptr, &parsed);
	if (status)
		return status;
	app = malloc(sizeof(*app));
	if (!app)
		return SIM_STATUS_CONTEXT_MEMORY;
	*app = parsed;
	app->standin = standin_get(chip->standin);
	chip->apps[chip->napps++] = app;
	return 0;
}

/* --------------------------------------------------------------------------- contexts */

static size_t memory_used(const struct mock_chip *chip)
{
	size_t n = 0;

	for (unsigned int i = 0; i < chip->napps; i++) {
		n += APP_HEADER_LEN;
		for (size_t k = 0; k < chip->apps[i]->nctx; k++)
			n += chip->apps[i]->ctx[k].bytes.len;
	}
	return n;
}

/* A preliminary context without any action is not sent at all (protocol 4.2). */
static bool in_order(const struct sim_app *app, uint8_t type)
{
	int last = app->nctx ? app->ctx[app->nctx - 1].type : -1;

	switch (type) {
	case FW_CONTEXT_ACTIVATION:
		return last == -1;
	case FW_CONTEXT_BATCH_SWITCHING:
		return last == FW_CONTEXT_ACTIVATION;
	case FW_CONTEXT_PRELIMINARY:
		return last == FW_CONTEXT_BATCH_SWITCHING;
	default:
		return last == FW_CONTEXT_BATCH_SWITCHING || last == FW_CONTEXT_PRELIMINARY ||
		       last == FW_CONTEXT_DYNAMIC;
	}
}

static uint32_t context_begin(struct sim_app *app, uint8_t type)
{
	struct sim_context *more;

	if (!in_order(app, type))
		return FW_STATUS_CONTEXT_ORDER;
	more = realloc(app->ctx, (app->nctx + 1) * sizeof(*more));
	if (!more)
		return SIM_STATUS_CONTEXT_MEMORY;
	app->ctx = more;
	app->ctx[app->nctx++] = (struct sim_context){.type = type};
	app->open = true;
	return 0;
}

static uint32_t context_end(const struct mock_chip *chip, struct sim_app *app, struct sim_context *c)
{
	uint32_t status;

	if (!c->bytes.len)
		return FW_STATUS_EMPTY_CONTEXT;
	status = sim_actions_walk((struct span){c->bytes.ptr, c->bytes.len}, &c->acts, &c->nacts);
	if (status)
		return status;
	/* Evidence 8: a store that nobody has cleared makes the firmware misread what is sent. */
	if (!chip->cleared)
		return FW_STATUS_LIST_WALK;
	app->open = false;
	if (c->type == FW_CONTEXT_DYNAMIC && ++app->dynamic_seen == app->dynamic_contexts)
		app->complete = true;
	return 0;
}

static uint32_t context_chunk(struct mock_chip *chip, struct sim_app *app, bool last,
			      struct span data)
{
	struct sim_context *c = &app->ctx[app->nctx - 1];

	if (memory_used(chip) + data.len > SIM_CONTEXT_MEMORY)
		return SIM_STATUS_CONTEXT_MEMORY;
	buf_put(&c->bytes, data.ptr, data.len);
	if (c->bytes.failed)
		return SIM_STATUS_CONTEXT_MEMORY;
	return last ? context_end(chip, app, c) : 0;
}

static uint32_t lengths(const struct sim_request *req)
{
	if (req->param[0].len != 1)
		return FW_STATUS_BAD_FIRST_LENGTH;
	if (req->param[1].len != 1)
		return FW_STATUS_BAD_LAST_LENGTH;
	if (req->param[2].len != 1)
		return FW_STATUS_BAD_TYPE_LENGTH;
	if (req->param[3].len > FW_CONTEXT_CHUNK_MAX)
		return FW_STATUS_CONTEXT_TOO_LONG;
	return 0;
}

uint32_t sim_set_context(struct mock_chip *chip, const struct sim_request *req)
{
	struct sim_app *app = chip->napps ? chip->apps[chip->napps - 1] : NULL;
	uint32_t status = lengths(req);
	bool first, last;
	uint8_t type;

	if (status)
		return status;
	first = *req->param[0].ptr;
	last = *req->param[1].ptr;
	type = *req->param[2].ptr;
	if (sim_active(chip))
		return FW_STATUS_CONFIG_WHILE_ACTIVE;
	if (!app)
		return FW_STATUS_NO_HEADER;
	if (app->complete)
		return FW_STATUS_TOO_MANY_CONTEXTS;
	if (type > FW_CONTEXT_ACTIVATION)
		return FW_STATUS_CONTEXT_TYPE;
	if (first == app->open || (app->open && type != app->ctx[app->nctx - 1].type))
		return FW_STATUS_CONTEXT_ORDER;
	if (first) {
		status = context_begin(app, type);
		if (status)
			return status;
	}
	status = context_chunk(chip, app, last, req->param[3]);
	if (status) { /* what was begun is forgotten; the context may be sent again */
		context_free(&app->ctx[--app->nctx]);
		app->open = false;
	}
	return status;
}
