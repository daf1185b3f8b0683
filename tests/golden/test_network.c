// SPDX-License-Identifier: MIT
/*
 * From real HEFs to what the vendor's library sends for them: every SET_NETWORK_GROUP_HEADER and
 * SET_CONTEXT_INFO byte for byte, config channels piece by piece, lists and channels.  Bus
 * addresses are those of golden: each of our lists gets the address of the list that has its role
 * there.  Nothing else is masked: with queue scale 32 even boundary counts are equal.
 */
#include "unit/network_fake.h"

#include "network/actions.h"

#define BUS_OF_LIST(id) (0x1000000000ull + 0x100000ull * (id)) /* golden/README 2 */
#define QUEUE_SCALE 32 /* of the recorded build (golden/README 3, point 1) */
#define APPS_MAX 2

static const char *str(const cJSON *line, const char *key)
{
	const cJSON *v = cJSON_GetObjectItem(line, key);

	return cJSON_IsString(v) ? v->valuestring : "";
}

static uint32_t num(const cJSON *line, const char *key)
{
	const cJSON *v = cJSON_GetObjectItem(line, key);

	if (!cJSON_IsNumber(v))
		fail_msg("no number %s in %s", key, str(line, "op"));
	return (uint32_t)v->valuedouble;
}

static bool is_op(const cJSON *line, const char *op)
{
	return strcmp(str(line, "op"), op) == 0;
}

static bool is_control(const cJSON *line, uint32_t opcode)
{
	return is_op(line, "control") && num(line, "opcode") == opcode;
}

/* -------------------------------------------------------------------- a recording */

struct recording {
	cJSON *lines;
	const cJSON *meta;
	enum hw_arch arch;
	uint32_t clusters, max_page, batch;
	struct chip_hw_consts consts;
	size_t n_apps;
	char hef_name[APPS_MAX][64];
};

static const uint8_t *reply_param(const cJSON *line, size_t len, uint8_t **bytes)
{
	size_t n;

	*bytes = unhex(str(line, "rsp"), &n);
	assert_true(n >= 28 + len);
	return *bytes + 28;
}

static void take_consts(struct recording *rec, const cJSON *line)
{
	uint8_t *bytes;
	const uint8_t *p = reply_param(line, 4 + 19, &bytes) + 4;

	rec->consts = (struct chip_hw_consts){
		.fifo_word_granularity = get_le32(p),
		.max_periph_buffers_per_frame = get_le16(p + 4),
		.max_periph_bytes_per_buffer = get_le16(p + 6),
		.max_acceptable_bytes_per_buffer = get_le16(p + 8),
		.outbound_data_stream_size = get_le32(p + 10),
		.should_optimize_credits = p[14],
		.default_initial_credit_size = get_le32(p + 15),
	};
	free(bytes);
}

static void take_clusters(struct recording *rec, const cJSON *line)
{
	uint8_t *bytes;

	rec->clusters = get_be32(reply_param(line, 131, &bytes) + 127);
	free(bytes);
}

/* A recording is called NAME.RUN. */
static void take_names(struct recording *rec, const char *name)
{
	const char *run = strrchr(name, '.'), *plus = strchr(name, '+');

	rec->n_apps = plus ? 2 : 1;
	if (!plus) {
		snprintf(rec->hef_name[0], sizeof(rec->hef_name[0]), "data/hef/%.*s.hef",
			 (int)(run - name), name);
		return;
	}
	/* the command names the files of the recording with two networks */
	snprintf(rec->hef_name[0], sizeof(rec->hef_name[0]), "data/hef/mnist_cnn.hailo8.v0.hef");
	snprintf(rec->hef_name[1], sizeof(rec->hef_name[1]), "data/hef/fsq_m13_imu.hailo8.v2.hef");
}

static void open_recording(const char *name, struct recording *rec)
{
	char path[160];
	const char *command, *option;
	const cJSON *line;
	unsigned int frames;

	memset(rec, 0, sizeof(*rec));
	snprintf(path, sizeof(path), "golden/%s.jsonl", name);
	rec->lines = read_jsonl(shared_path(path));
	rec->meta = cJSON_GetArrayItem(rec->lines, 0);
	rec->arch = strcmp(str(rec->meta, "architecture"), "HAILO8L") ? HW_ARCH_HAILO8
								     : HW_ARCH_HAILO8L;
	command = str(rec->meta, "command");
	option = strstr(command, "--batch-size ");
	rec->batch = 1;
	if (option)
		rec->batch = (uint32_t)atoi(option + strlen("--batch-size "));
	else
		sscanf(command, "ainfer %u %u", &frames, &rec->batch);
	take_names(rec, name);
	cJSON_ArrayForEach(line, rec->lines)
	{
		if (is_op(line, "query_device_properties"))
			rec->max_page = num(line, "max_page");
		else if (is_control(line, FW_GET_HW_CONSTS))
			take_consts(rec, line);
		else if (is_control(line, FW_GET_DEVICE_INFORMATION))
			take_clusters(rec, line);
	}
}

/* ------------------------------------------------------- our side of one application */

struct ours {
	struct hef *hef;
	struct network *net;
	struct fake *f;
};

static int try_plan(const struct recording *rec, size_t app, struct ours *o, enum hef_status *status,
		    struct hw_error *err)
{
	struct network_options opt = {
		.batch = rec->batch,
		.max_page = rec->max_page,
		.queue_scale = QUEUE_SCALE,
	};
	const struct hef_core_op *op = NULL;
	int r;

	memset(o, 0, sizeof(*o));
	r = hef_open(shared_path(rec->hef_name[app]), &o->hef, status, err);
	if (r)
		return r;
	r = hef_select(o->hef, &o->hef->groups[0], rec->arch, rec->clusters, false, &op, status, err);
	if (r)
		return r;
	return network_plan(o->hef, &o->hef->groups[0], op, &rec->consts, &opt, &o->net, err);
}

static void close_ours(struct ours *o)
{
	if (o->f) {
		network_free(o->net, &o->f->be);
		assert_int_equal(o->f->live, 0);
		fake_free(o->f);
	}
	hef_free(o->hef);
}

/* The list that golden created for this role, which must have our geometry. */
static void adopt(const struct recording *rec, struct vdma_list *list, uint32_t id)
{
	const cJSON *line;

	cJSON_ArrayForEach(line, rec->lines)
	{
		if (!is_op(line, "list_create") || num(line, "list") != id)
			continue;
		assert_int_equal(list->count, num(line, "count"));
		assert_int_equal(list->page, num(line, "page"));
		assert_int_equal(list->circular,
				 cJSON_IsTrue(cJSON_GetObjectItem(line, "circular")));
		list->mem.bus = BUS_OF_LIST(id);
		return;
	}
	fail_msg("golden has no list %u", id);
}

static struct vdma_list *list_on(struct network *net, struct network_context *ctx, uint32_t ch)
{
	for (size_t i = 0; i < net->n_inputs; i++)
		if (net->inputs[i].channel == ch)
			return &net->inputs[i].list;
	for (size_t i = 0; i < net->n_outputs; i++)
		if (net->outputs[i].channel == ch)
			return &net->outputs[i].list;
	for (size_t i = 0; i < ctx->n_configs; i++)
		if (ctx->configs[i].channel == ch)
			return &ctx->configs[i].list;
	fail_msg("golden uses channel %u, we do not", ch);
	return NULL;
}

static struct network_context *context_of(struct network *net, const cJSON *line)
{
	const char *name = str(line, "context");

	if (strcmp(name, "activation") == 0)
		return &net->contexts[NETWORK_ACTIVATION];
	if (strcmp(name, "batch_switching") == 0)
		return &net->contexts[NETWORK_BATCH_SWITCHING];
	if (strcmp(name, "preliminary") == 0)
		return &net->contexts[NETWORK_PRELIMINARY];
	assert_string_equal(name, "dynamic");
	return &net->contexts[NETWORK_DYNAMIC + num(line, "index")];
}

/* Golden's decoded actions say which list serves which channel. */
static size_t adopt_lists(const struct recording *rec, size_t app, struct network *net)
{
	const cJSON *line, *action;
	size_t n = 0;

	cJSON_ArrayForEach(line, rec->lines)
	{
		if (!is_op(line, "context") || num(line, "app") != app)
			continue;
		cJSON_ArrayForEach(action, cJSON_GetObjectItem(line, "actions"))
		{
			const char *a = str(action, "a");

			if (strncmp(a, "open_boundary", 13) && strcmp(a, "activate_cfg_channel"))
				continue;
			adopt(rec, list_on(net, context_of(net, line), num(action, "ch")),
			      num(cJSON_GetObjectItem(action, "hbi"), "list"));
			n++;
		}
	}
	return n;
}

/* ------------------------------------------------------------------ telling differences */

static uint64_t le(const uint8_t *p, unsigned int size)
{
	uint64_t v = 0;

	for (unsigned int i = 0; i < size; i++)
		v |= (uint64_t)p[i] << 8 * i;
	return v;
}

/* One action's parameters: the first field that differs. */
static void compare_params(unsigned int type, const uint8_t *got, const uint8_t *want,
			   const char *where, size_t index)
{
	const struct action_layout *l = action_layout(type);
	size_t at = 0;

	for (unsigned int i = 0; i < l->n_fields; i++) {
		uint64_t g = le(got + at, l->fields[i].size), w = le(want + at, l->fields[i].size);

		if (g != w)
			fail_msg("%s, action %zu, %s.%s: 0x%llx, golden has 0x%llx", where, index,
				 l->name, l->fields[i].name, (unsigned long long)g,
				 (unsigned long long)w);
		at += l->fields[i].size;
	}
}

/* Fails with the first differing action and field; returns when the lists are equal. */
static void compare_actions(const struct buf *got, const struct buf *want, const char *where)
{
	size_t at = 0, index = 0;
	char a[32], b[32];

	while (at + 5 <= got->len && at + 5 <= want->len) {
		const uint8_t *g = got->ptr + at, *w = want->ptr + at;
		size_t head = g[0] == FW_ACT_REPEATED_ACTION ? 8 : 5;
		unsigned int type = head == 8 ? g[7] : g[0], count = head == 8 ? g[5] : 1;
		size_t size;

		if (g[0] != w[0])
			fail_msg("%s, action %zu: %s, golden has %s", where, index,
				 action_name(g[0], a, sizeof(a)), action_name(w[0], b, sizeof(b)));
		if (head == 8 && memcmp(g + 5, w + 5, 3))
			fail_msg("%s, action %zu: %u x %s, golden has %u x %s", where, index, g[5],
				 action_name(g[7], a, sizeof(a)), w[5],
				 action_name(w[7], b, sizeof(b)));
		size = action_params_size(action_layout(type));
		if (at + head + count * size > got->len || at + head + count * size > want->len)
			break;
		for (unsigned int i = 0; i < count; i++, index++)
			compare_params(type, g + head + i * size, w + head + i * size, where, index);
		at += head + count * size;
	}
	assert_bytes_equal(got->ptr, got->len, want->ptr, want->len, where);
}

/* ------------------------------------------------------------------------ messages */

static void compare_contexts(const struct recording *rec, size_t app, const struct network *net)
{
	struct buf want[8] = {{0}};
	const cJSON *line;
	size_t seen = 0, current = 0;

	/* Chunks joined per context, first: a difference there can be told in words. */
	cJSON_ArrayForEach(line, rec->lines)
	{
		size_t len;
		uint8_t *req;

		seen += is_control(line, FW_SET_NETWORK_GROUP_HEADER);
		if (!is_control(line, FW_SET_CONTEXT_INFO) || seen != app + 1)
			continue;
		req = unhex(str(line, "req"), &len);
		assert_true(len > 39 && current < ARRAY_SIZE(want));
		buf_put(&want[current], req + 39, len - 39);
		current += num(line, "last");
		free(req);
	}
	assert_int_equal(current, net->n_contexts);
	for (size_t i = 0; i < current; i++) {
		char name[32];

		compare_actions(&net->contexts[i].actions, &want[i],
				network_context_name(net, i, name, sizeof(name)));
		buf_free(&want[i]);
	}
}

static void compare_messages(const struct recording *rec, size_t app, const struct fake *f)
{
	const cJSON *line;
	size_t seen = 0, n = 0;

	cJSON_ArrayForEach(line, rec->lines)
	{
		const struct fake_message *m = &f->messages[n];
		char what[64];
		size_t len;
		uint8_t *req;

		if (is_control(line, FW_SET_NETWORK_GROUP_HEADER))
			seen++;
		else if (!is_control(line, FW_SET_CONTEXT_INFO))
			continue;
		if (seen != app + 1)
			continue;
		assert_true(n < f->n_messages);
		snprintf(what, sizeof(what), "message %zu, %s", n, str(line, "name"));
		req = unhex(str(line, "req"), &len);
		assert_bytes_equal(m->bytes, m->len, req, len, what);
		assert_int_equal(m->doorbell, num(line, "cpu") + 1);
		free(req);
		n++;
	}
	assert_int_equal(n, f->n_messages);
}

/* ----------------------------------------------------- configuration data and lists */

struct desc {
	uint32_t size, ctrl;
	uint64_t bus;
};

static struct desc read_desc(const struct vdma_list *list, uint32_t i)
{
	const uint8_t *p = (const uint8_t *)list->mem.virt + 16 * (size_t)i;

	assert_true(i < list->count);
	return (struct desc){get_le32(p) >> 8, get_le32(p) & 0xff, get_le64(p + 4)};
}

/* The bytes that the chip would read, by following descriptors into the buffer. */
static void compare_piece(const struct network_config *c, uint32_t first, const cJSON *want)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t digest[32];
	char hex[65];
	uint64_t bytes = 0;
	struct desc d = {0};

	assert_non_null(ctx);
	EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
	for (uint32_t i = 0; i < num(want, "descs"); i++) {
		d = read_desc(&c->list, first + i);
		assert_true(d.bus >= c->buffer.bus && d.size <= c->page &&
			    d.bus - c->buffer.bus + d.size <= c->buffer.size);
		EVP_DigestUpdate(ctx, (uint8_t *)c->buffer.virt + (d.bus - c->buffer.bus), d.size);
		bytes += d.size;
	}
	EVP_DigestFinal_ex(ctx, digest, NULL);
	EVP_MD_CTX_free(ctx);
	for (unsigned int i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	assert_int_equal(bytes, num(want, "bytes"));
	assert_int_equal(d.size, num(want, "last_desc_size"));
	assert_int_equal(d.ctrl, num(want, "last_desc_ctrl"));
	assert_string_equal(hex, str(want, "sha256"));
}

static void compare_config(struct network *net, const cJSON *line)
{
	const struct network_context *ctx = context_of(net, line);
	const struct network_config *c = NULL;
	const cJSON *piece;
	size_t n = 0;

	for (size_t i = 0; i < ctx->n_configs; i++)
		if (ctx->configs[i].channel == num(line, "ch"))
			c = &ctx->configs[i];
	assert_non_null(c);
	assert_int_equal(c->stream, num(line, "config_stream"));
	assert_int_equal(c->page, num(line, "page"));
	assert_int_equal(c->count, num(line, "descs_total"));
	assert_int_equal(c->used, num(line, "descs_fetched"));
	assert_int_equal(c->used * c->page, num(line, "bytes_in_pattern"));
	cJSON_ArrayForEach(piece, cJSON_GetObjectItem(line, "pieces"))
	{
		assert_true(n < c->n_pieces);
		assert_int_equal(c->pieces[n].descs, num(piece, "descs"));
		assert_int_equal(c->pieces[n].bytes, num(piece, "bytes"));
		compare_piece(c, c->pieces[n].first_desc, piece);
		n++;
	}
	assert_int_equal(n, c->n_pieces);
}

/* Runs [n, size, control, buffer, offset]; offsets are those in our buffer. */
static void compare_list_state(const struct network_config *c, const cJSON *line)
{
	const cJSON *run;
	uint32_t i = 0;

	cJSON_ArrayForEach(run, cJSON_GetObjectItem(line, "descs"))
	{
		uint32_t v[5];

		for (int k = 0; k < 5; k++)
			v[k] = (uint32_t)cJSON_GetArrayItem(run, k)->valuedouble;
		for (uint32_t k = 0; k < v[0]; k++, i++) {
			struct desc d = read_desc(&c->list, i);

			assert_int_equal(d.size, v[1]);
			assert_int_equal(d.ctrl, v[2]);
			assert_int_equal(d.bus - c->buffer.bus, v[4] + (uint64_t)k * c->page);
		}
	}
	assert_int_equal(i, c->count);
}

static void compare_lists(const struct recording *rec, size_t app, struct network *net)
{
	const cJSON *line;
	size_t configs = 0, states = 0, want = 0;

	for (size_t i = 0; i < net->n_contexts; i++)
		want += net->contexts[i].n_configs;
	cJSON_ArrayForEach(line, rec->lines)
	{
		if (is_op(line, "config_list") && num(line, "app") == app) {
			compare_config(net, line);
			configs++;
		}
		if (!is_op(line, "list_state"))
			continue;
		for (size_t i = 0; i < net->n_contexts; i++)
			for (size_t k = 0; k < net->contexts[i].n_configs; k++) {
				const struct network_config *c = &net->contexts[i].configs[k];

				if (c->list.mem.bus != BUS_OF_LIST(num(line, "list")))
					continue;
				compare_list_state(c, line);
				states++;
			}
	}
	assert_true(want > 0);
	/* Taking turns, a network's lists are shown each time it is enabled. */
	assert_true(configs >= want && states >= want);
}

static void compare_channels(const struct recording *rec, const struct network *net)
{
	const cJSON *line;
	size_t n = 0;

	cJSON_ArrayForEach(line, rec->lines)
		if (is_op(line, "enable_channels")) {
			const cJSON *map = cJSON_GetObjectItem(line, "map");

			assert_int_equal(net->boundary_channels,
					 (uint32_t)cJSON_GetArrayItem(map, 0)->valuedouble);
			n++;
		}
	assert_true(n > 0);
}

/* A fetch, alone with its header or as a member of a repeated action. */
static uint32_t fetch_count(const uint8_t *p)
{
	return get_le16(p[0] == 0 && get_le32(p + 1) == 0xffffffff ? p + 5 : p);
}

/* 9.1 pitfall, 10.6: what is fetched, what is announced and what is programmed agree. */
static void check_invariant(const struct network *net)
{
	for (size_t i = 0; i < net->n_contexts; i++)
		for (size_t k = 0; k < net->contexts[i].n_configs; k++) {
			const struct network_config *c = &net->contexts[i].configs[k];
			const struct network_context *ctx = &net->contexts[i];
			uint64_t fetched = 0, pattern = 0;

			for (size_t n = 0; n < ctx->n_names; n++) {
				const uint8_t *p = ctx->actions.ptr + ctx->names[n].offset;

				if (ctx->names[n].channel != c->channel)
					continue;
				if (ctx->names[n].type == FW_ACT_ACTIVATE_CFG_CHANNEL)
					pattern = get_le32(p + 5 + 2 + 15);
				if (ctx->names[n].type == FW_ACT_FETCH_CFG_CHANNEL_DESCRIPTORS)
					fetched += fetch_count(p);
			}
			assert_true(fetched > 0);
			assert_int_equal(fetched * c->page, pattern);
		}
}

/* -------------------------------------------------------------------------- tests */

static void recording(void **state)
{
	struct hw_error err = {0};
	struct recording rec;

	open_recording(*state, &rec);
	for (size_t app = 0; app < rec.n_apps; app++) {
		struct chip chip;
		struct ours o;

		assert_ok(try_plan(&rec, app, &o, NULL, &err), &err);
		o.net->app = (uint8_t)app;
		o.f = fake_new();
		assert_ok(network_alloc(o.net, &o.f->be, &err), &err);
		assert_true(adopt_lists(&rec, app, o.net) >= 3);
		assert_ok(network_contexts(o.net, &err), &err);
		compare_contexts(&rec, app, o.net);
		fake_chip(o.f, &chip);
		assert_ok(network_configure(o.net, &chip, &err), &err);
		compare_messages(&rec, app, o.f);
		compare_lists(&rec, app, o.net);
		compare_channels(&rec, o.net);
		check_invariant(o.net);
		close_ours(&o);
	}
	cJSON_Delete(rec.lines);
}

struct refusal {
	const char *name;
	int code;                 /* ours */
	enum hef_status status;   /* golden's exit code, where the refusal is hef/'s */
};

static const struct refusal refusals[] = {
	{"mnist_cnn.hailo8.v0.on8l", -ENOTSUP, HEF_NOT_COMPATIBLE_WITH_DEVICE},
	{"fsq_m13_imu.hailo8.v2.on8l", -ENOTSUP, HEF_NOT_COMPATIBLE_WITH_DEVICE},
	{"hand_landmark_lite.hailo8.v2.on8l", -ENOTSUP, HEF_NOT_COMPATIBLE_WITH_DEVICE},
	{"scrfd_2.5g.hailo15h.v3.refused", -ENOTSUP, HEF_NOT_COMPATIBLE_WITH_DEVICE},
	{"model_3x640x640.hailo8l.v1.layout1", -ENOTSUP, HEF_INVALID_HEF},
	{"mnist_cnn.hailo8.v0.page16384", -EINVAL, HEF_OK},
};

static void refused(void **state)
{
	const struct refusal *want = *state;
	enum hef_status status = HEF_OK;
	struct hw_error err = {0};
	struct recording rec;
	struct ours o;
	int r;

	open_recording(want->name, &rec);
	r = try_plan(&rec, 0, &o, &status, &err);
	if (r != want->code || status != want->status || !err.text[0])
		fail_msg("%d, status %d: %s", r, (int)status, err.text);
	if (status)
		assert_int_equal(status, num(rec.meta, "exit_code"));
	close_ours(&o);
	cJSON_Delete(rec.lines);
}

/* The recording's name is the test's. */
#define RUN(name, run)                                                                             \
	{                                                                                          \
		name "." run, recording, NULL, NULL, (void *)(uintptr_t)(name "." run)             \
	}
#define RUNS(name)                                                                                 \
	RUN(name, "batch1"), RUN(name, "batch8"), RUN(name, "async1"), RUN(name, "async8"),        \
		RUN(name, "page128"), RUN(name, "page256"), RUN(name, "hwconsts-a"),               \
		RUN(name, "hwconsts-b"), RUN(name, "latency")
#define REFUSED(i)                                                                                 \
	{                                                                                          \
		"refused " #i, refused, NULL, NULL, (void *)(uintptr_t)&refusals[i]                \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUNS("mnist_cnn.hailo8.v0"),
		RUNS("fsq_m13_imu.hailo8.v2"),
		RUNS("hand_landmark_lite.hailo8.v2"),
		RUNS("model_3x640x640.hailo8l.v1"),
		RUN("model_3x640x640.hailo8l.v1", "on8"),
		RUN("mnist_cnn+fsq_m13_imu", "async1"),
		RUN("mnist_cnn+fsq_m13_imu", "async4"),
		REFUSED(0), REFUSED(1), REFUSED(2), REFUSED(3), REFUSED(4), REFUSED(5),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
