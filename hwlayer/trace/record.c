// SPDX-License-Identifier: MIT
/*
 * The recorder: one JSON object a line for each thing that crosses the seam.  What is derived
 * (decoded actions, configuration pieces, contents of lists) comes from the messages and from
 * memory as the chip sees them, not from what the driver planned: it is a second reading.
 */
#include <stdlib.h>

#include "trace/internal.h"

static const struct observer recorder_ops;

void record_fail(struct recorder *r, const char *why)
{
	if (r->file || r->mmio)
		hw_log(HW_LOG_WARNING, "recording to %s ends here: %s", r->path, why);
	if (r->file)
		fclose(r->file);
	if (r->mmio)
		fclose(r->mmio);
	r->file = r->mmio = NULL;
}

cJSON *record_op(const char *op)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "op", op);
	return o;
}

void record_line(struct recorder *r, cJSON *line)
{
	char *text;

	if (!r->file) {
		cJSON_Delete(line);
		return;
	}
	cJSON_AddNumberToObject(line, "t_us", (double)((util_now_ns() - r->start_ns) / 1000));
	text = cJSON_PrintUnformatted(line);
	cJSON_Delete(line);
	/* Flushed line by line: a recording of a crash must have what led to it. */
	if (!text)
		record_fail(r, "no memory");
	else if (fprintf(r->file, "%s\n", text) < 0 || fflush(r->file))
		record_fail(r, strerror(errno));
	free(text);
}

static void add_hex(cJSON *to, const char *name, const uint8_t *data, size_t len)
{
	char *hex = trace_hex(data, len);

	cJSON_AddStringToObject(to, name, hex ? hex : "");
	free(hex);
}

/* ------------------------------------------------------------------------------ contexts */

static struct config *config_of(struct recorder *r, uint8_t channel)
{
	/* Of the context that is being read: it is among the last. */
	for (size_t i = r->n_configs; i-- > 0;) {
		struct config *c = &r->configs[i];

		if (c->app != r->apps - 1 || c->type != r->type ||
		    (c->type == FW_CONTEXT_DYNAMIC && c->index != r->dynamic))
			break;
		if (c->channel == channel)
			return c;
	}
	return NULL;
}

static int new_config(struct recorder *r, const uint8_t *p)
{
	const uint8_t *hbi = p + 2;

	if (r->n_configs == r->configs_cap) {
		size_t cap = r->configs_cap ? 2 * r->configs_cap : 8;
		struct config *v = realloc(r->configs, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		r->configs = v;
		r->configs_cap = cap;
	}
	r->configs[r->n_configs++] = (struct config){
	    .app = r->apps - 1,
	    .type = r->type,
	    .index = r->dynamic,
	    .channel = p[0],
	    .stream = p[1],
	    .list = record_list_id(get_le64(hbi + TRACE_HBI_ADDRESS), r),
	    .pattern = get_le32(hbi + TRACE_HBI_PATTERN),
	};
	return 0;
}

static int new_piece(struct config *c, uint32_t descs)
{
	if (c->n_pieces == c->cap) {
		size_t cap = c->cap ? 2 * c->cap : 16;
		uint32_t *v = realloc(c->pieces, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		c->pieces = v;
		c->cap = cap;
	}
	c->pieces[c->n_pieces++] = descs;
	return 0;
}

static int note_action(const struct trace_action *a, void *user)
{
	struct recorder *r = user;
	const uint8_t *p = r->actions.ptr + a->offset;
	struct config *c;

	if (a->type == FW_ACT_ACTIVATE_CFG_CHANNEL)
		return new_config(r, p);
	if (a->type != FW_ACT_FETCH_CFG_CHANNEL_DESCRIPTORS)
		return 0;
	c = config_of(r, p[2]);
	return c ? new_piece(c, get_le16(p)) : 0;
}

static void context_ended(struct recorder *r)
{
	struct span bytes = {r->actions.ptr, r->actions.len};
	cJSON *line = record_op("context"), *actions = trace_actions(bytes, record_list_id, r);

	cJSON_AddNumberToObject(line, "app", r->apps ? r->apps - 1 : 0);
	cJSON_AddStringToObject(line, "context", trace_context_name(r->type));
	if (r->type == FW_CONTEXT_DYNAMIC)
		cJSON_AddNumberToObject(line, "index", r->dynamic);
	else
		cJSON_AddNullToObject(line, "index");
	cJSON_AddNumberToObject(line, "chunks", r->chunks);
	cJSON_AddNumberToObject(line, "bytes", (double)r->actions.len);
	/* Bytes that make no actions are a finding, too: the request's line has them. */
	cJSON_AddItemToObject(line, "actions", actions ? actions : cJSON_CreateNull());
	record_line(r, line);
	if (actions && trace_walk(bytes, note_action, r) == -ENOMEM)
		record_fail(r, "no memory");
	if (r->type == FW_CONTEXT_DYNAMIC)
		r->dynamic++;
}

/* SET_CONTEXT_INFO: parameters of 1, 1, 1 and n bytes, each behind its length word. */
static bool context_fields(const struct observed_control *c, unsigned int *first,
			   unsigned int *last, unsigned int *type)
{
	if (c->opcode != FW_SET_CONTEXT_INFO || c->req_len < TRACE_SET_CONTEXT_HEAD)
		return false;
	*first = c->req[24];
	*last = c->req[29];
	*type = c->req[34];
	return true;
}

static void take_chunk(struct recorder *r, const struct observed_control *c, unsigned int first,
		       unsigned int last, unsigned int type)
{
	if (first) {
		buf_free(&r->actions);
		r->chunks = 0;
		r->type = type;
	}
	buf_put(&r->actions, c->req + TRACE_SET_CONTEXT_HEAD, c->req_len - TRACE_SET_CONTEXT_HEAD);
	r->chunks++;
	if (last && r->actions.failed)
		record_fail(r, "no memory");
	else if (last)
		context_ended(r);
}

static bool enabled(const struct observed_control *c)
{
	return c->opcode == FW_CHANGE_CONTEXT_SWITCH_STATUS && c->req_len > 24 &&
	       c->req[24] == FW_SWITCH_ENABLED && c->result == 0;
}

/* As the golden recordings have it: without the family's name in front. */
static const char *opcode_name(uint32_t opcode)
{
	const char *name = chip_opcode_name(opcode);
	size_t n = strlen("CONTEXT_SWITCH_");

	return strncmp(name, "CONTEXT_SWITCH_", n) ? name : name + n;
}

static void record_control(void *user, const struct observed_control *c)
{
	unsigned int first, last, type;
	struct recorder *r = user;
	bool context = context_fields(c, &first, &last, &type);
	cJSON *line;

	record_pending(r);
	line = record_op("control");
	cJSON_AddStringToObject(line, "name", opcode_name(c->opcode));
	cJSON_AddNumberToObject(line, "opcode", c->opcode);
	cJSON_AddNumberToObject(line, "cpu", c->core);
	cJSON_AddNumberToObject(line, "timeout_ms", c->timeout_ms);
	add_hex(line, "req", c->req, c->req_len);
	if (c->rsp_len)
		add_hex(line, "rsp", c->rsp, c->rsp_len);
	/* A refusal is an answer; its status is in it. */
	cJSON_AddNumberToObject(line, "ret", c->result == -EREMOTEIO ? 0 : c->result);
	if (context) {
		cJSON_AddStringToObject(line, "context", trace_context_name(type));
		cJSON_AddNumberToObject(line, "first", first);
		cJSON_AddNumberToObject(line, "last", last);
		cJSON_AddNumberToObject(line, "action_bytes",
					(double)(c->req_len - TRACE_SET_CONTEXT_HEAD));
	}
	record_line(r, line);
	if (context)
		take_chunk(r, c, first, last, type);
	else if (c->opcode == FW_SET_NETWORK_GROUP_HEADER) {
		r->apps++;
		r->dynamic = 0;
	} else if (c->opcode == FW_CLEAR_CONFIGURED_APPS) {
		r->apps = 0;
	} else if (enabled(c)) {
		record_states(r);
	}
}

/* --------------------------------------------------------------------------- small lines */

static void record_network(void *user, const struct observed_network *net)
{
	struct recorder *r = user;
	uint8_t digest[32];
	cJSON *line;

	record_pending(r);
	line = record_op("network");
	cJSON_AddStringToObject(line, "name", net->name);
	if (trace_sha256((struct span){net->image, net->image_len}, digest) == 0)
		add_hex(line, "hef_sha256", digest, sizeof(digest));
	cJSON_AddNumberToObject(line, "batch", net->batch);
	record_line(r, line);
}

static void record_interrupt(void *user, uint32_t status, uint32_t channels)
{
	struct recorder *r = user;
	cJSON *line = record_op("interrupt");

	cJSON_AddNumberToObject(line, "status", status);
	cJSON_AddNumberToObject(line, "channels", channels);
	record_line(r, line);
}

static void record_event(void *user, const uint8_t *msg, size_t len)
{
	struct recorder *r = user;
	cJSON *line = record_op("event");

	add_hex(line, "msg", msg, len);
	record_line(r, line);
}

static void record_mmio(void *user, unsigned int bar, uint32_t off, unsigned int width, bool write,
			uint32_t value)
{
	struct recorder *r = user;

	if (!r->mmio)
		return;
	if (fprintf(r->mmio, "%.6f\t%u\t0x%x\t%u\t%c\t0x%0*x\t\n",
		    (double)(util_now_ns() - r->start_ns) / 1e9, bar, off, width, write ? 'W' : 'R',
		    (int)width / 4, value) < 0)
		record_fail(r, strerror(errno));
}

static void record_close(void *user)
{
	struct recorder *r = user;
	cJSON *line;
	size_t mapped = 0;
	bool lost;

	record_channels(r, 0, false, false);
	record_pending(r);
	for (size_t i = 0; i < r->n_areas; i++)
		mapped += !r->areas[i].list;
	line = record_op("close");
	cJSON_AddNumberToObject(line, "open", 1);
	cJSON_AddNumberToObject(line, "buffers_still_mapped", (double)mapped);
	record_line(r, line);
	/* What buffers hold back is lost only now. */
	lost = r->file && fclose(r->file);
	lost |= r->mmio && fclose(r->mmio);
	if (lost)
		hw_log(HW_LOG_WARNING, "the recording %s is incomplete: %s", r->path,
		       strerror(errno));
	r->be->observer = NULL;
	record_free_memory(r);
	buf_free(&r->actions);
	free(r);
}

/* --------------------------------------------------------------------------------- start */

static void first_lines(struct recorder *r)
{
	cJSON *line = record_op("meta");

	cJSON_AddNumberToObject(line, "format", 1);
	cJSON_AddStringToObject(line, "library", "hailo-inference " HW_VERSION);
	cJSON_AddStringToObject(line, "device",
				backend_is_software(r->be) ? "a chip in software" : r->be->name);
	record_line(r, line);
	line = record_op("open");
	cJSON_AddStringToObject(line, "path", r->be->bdf);
	cJSON_AddNumberToObject(line, "open", 1);
	record_line(r, line);
	line = record_op("query_device_properties");
	cJSON_AddNumberToObject(line, "max_read_request", r->be->max_read_request);
	record_line(r, line);
}

static int open_file(const char *path, FILE **file, struct hw_error *err)
{
	if (!path)
		return 0;
	*file = fopen(path, "we");
	if (!*file)
		return hw_fail(err, -errno, "cannot write the recording %s: %s", path,
			       strerror(errno));
	return 0;
}

int trace_record(struct backend *be, const char *path, const char *mmio_path, struct hw_error *err)
{
	struct recorder *r = calloc(1, sizeof(*r));
	int ret;

	if (!r)
		return hw_fail(err, -ENOMEM, "no memory for a recorder");
	r->be = be;
	r->start_ns = util_now_ns();
	snprintf(r->path, sizeof(r->path), "%s", path ? path : mmio_path);
	for (unsigned int i = 0; i < TRACE_CHANNELS; i++)
		r->channels[i].last = &r->channels[i].oldest;
	ret = open_file(path, &r->file, err);
	if (ret == 0)
		ret = open_file(mmio_path, &r->mmio, err);
	if (ret < 0) {
		if (r->file)
			fclose(r->file);
		free(r);
		return ret;
	}
	if (r->mmio)
		fprintf(r->mmio, "time_s\tbar\toffset\twidth\trw\tvalue\tnote\n");
	first_lines(r);
	be->observer_user = r;
	be->observer = &recorder_ops;
	return 0;
}

static const struct observer recorder_ops = {
	.mmio = record_mmio,
	.dma = record_dma,
	.list = record_list,
	.list_release = record_list_release,
	.network = record_network,
	.control = record_control,
	.channels = record_channels,
	.launch = record_launch,
	.finish = record_finish,
	.interrupt = record_interrupt,
	.event = record_event,
	.close = record_close,
};
