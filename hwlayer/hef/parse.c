// SPDX-License-Identifier: MIT
/* hef_parse(): from bytes to the model, in the order of hef-format 1.5. */
#include <inttypes.h>
#include <stdio.h>

#include "hef/parse.h"

/* A HEF of the largest networks known has a few hundred MB. */
#define HEF_FILE_MAX (UINT64_C(1) << 30)

#define EXTENSION_RESERVED 1000 /* 0.4: the vendor's index space ends below */
/* PAYLOAD_HEF_EXTENSION of mock/payload.h; spelled out because hef/ knows nothing of the mock */
#define EXTENSION_SOFTWARE_CHIP 1000

/* ---------------------------------------------------------------- memory */

/* Chunks of zeroed memory that are only ever freed together. */
struct hef_memory {
	struct hef_memory *next;
	size_t used, size;
	_Alignas(max_align_t) uint8_t bytes[];
};

#define CHUNK_MIN ((size_t)64 << 10)

int parse_nomem(struct parse *p)
{
	p->status = HEF_OUT_OF_HOST_MEMORY;
	return hw_fail(p->err, -ENOMEM, "no memory for the model of this file");
}

void *parse_alloc(struct parse *p, size_t n, size_t size)
{
	struct hef_memory *m = p->hef->memory;
	size_t bytes;
	void *at;

	if (__builtin_mul_overflow(n ? n : 1, size, &bytes) || bytes > SIZE_MAX / 2)
		goto fail;
	bytes = align_up(bytes, _Alignof(max_align_t));
	if (!m || m->size - m->used < bytes) {
		size_t want = bytes > CHUNK_MIN ? bytes : CHUNK_MIN;

		m = calloc(1, sizeof(*m) + want);
		if (!m)
			goto fail;
		m->size = want;
		m->next = p->hef->memory;
		p->hef->memory = m;
	}
	at = m->bytes + m->used;
	m->used += bytes;
	return at;
fail:
	parse_nomem(p);
	return NULL;
}

char *parse_strdup(struct parse *p, const char *s)
{
	char *copy = parse_alloc(p, strlen(s) + 1, 1);

	return copy ? strcpy(copy, s) : NULL;
}

int parse_keep(struct parse *p, struct buf *b, void *at)
{
	void *copy = b->failed ? NULL : parse_alloc(p, b->len, 1);

	if (copy && b->len)
		memcpy(copy, b->ptr, b->len);
	memcpy(at, &copy, sizeof(copy));
	buf_free(b);
	return copy ? 0 : parse_nomem(p);
}

void hef_free(struct hef *hef)
{
	struct hef_memory *m;

	if (!hef)
		return;
	while ((m = hef->memory)) {
		hef->memory = m->next;
		free(m);
	}
	if (hef->message)
		proto_hefhef__free_unpacked(hef->message, NULL);
	free(hef->image);
	free(hef);
}

/* --------------------------------------------------------------- refusals */

static int status_errno(enum hef_status status)
{
	switch (status) {
	case HEF_NOT_SUPPORTED:
	case HEF_NOT_IMPLEMENTED:
	case HEF_NOT_COMPATIBLE_WITH_DEVICE:
		return -ENOTSUP;
	case HEF_OUT_OF_HOST_MEMORY:
		return -ENOMEM;
	default:
		return -EBADMSG;
	}
}

int parse_refuse(struct parse *p, enum hef_status status, const char *fmt, ...)
{
	char where[300], text[300];
	size_t n = 0;
	va_list ap;

	p->status = status;
	if (!p->err)
		return status_errno(status);
	where[0] = 0;
#define WHERE(...)                                                                                 \
	do {                                                                                       \
		int w = snprintf(where + n, sizeof(where) - n, __VA_ARGS__);                       \
		n = w < 0 || (size_t)w >= sizeof(where) - n ? sizeof(where) - 1 : n + (size_t)w;   \
	} while (0)
	if (p->group)
		WHERE("network group \"%.60s\", ", p->group);
	if (p->context >= 0)
		WHERE("context %d, ", p->context);
	if (p->context == PARSE_PRELIMINARY)
		WHERE("preliminary configuration, ");
	if (p->operation >= 0)
		WHERE("operation %ld, ", p->operation);
	if (p->operation >= 0 && p->action >= 0)
		WHERE("action %ld, ", p->action);
	if (p->operation >= 0 && p->action < 0)
		WHERE("trigger, ");
	if (p->layer)
		WHERE("layer \"%.100s\", ", p->layer);
#undef WHERE
	if (n >= 2)
		memcpy(where + n - 2, ": ", 2);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return hw_fail(p->err, status_errno(status), "%s%s", where, text);
}

int parse_fits(struct parse *p, const char *what, uint64_t value, uint64_t max)
{
	if (value > max)
		return parse_refuse(p, HEF_INVALID_HEF,
				    "%s is %" PRIu64 ", it can be at most %" PRIu64, what, value,
				    max);
	return 0;
}

/* ------------------------------------------------------------- extensions */

static bool has_mandatory(const ProtoHEFHef *msg, uint32_t number)
{
	for (size_t i = 0; i < msg->n_extensions; i++) {
		if (msg->extensions[i]->type_index == number)
			return true;
	}
	return false;
}

static bool has_optional(const ProtoHEFHef *msg, uint32_t number)
{
	for (size_t i = 0; i < msg->n_optional_extensions; i++) {
		if (msg->optional_extensions[i]->type_index == number)
			return true;
	}
	return false;
}

/* 3.1, column "Mand. ok" */
static bool extension_known(uint32_t number)
{
	return number <= PROTO_HEFEXTENSION_TYPE__SHARED_CONFIG &&
	       number != PROTO_HEFEXTENSION_TYPE__TEST_ONE &&
	       number != PROTO_HEFEXTENSION_TYPE__MULTI_NETWORK_VARIABLE_BATCH_SIZE;
}

static void take_features(const ProtoHEFHef *msg, struct hef_features *f)
{
	f->padded_ddr = has_mandatory(msg, PROTO_HEFEXTENSION_TYPE__PADDED_DDR_BUFFERS);
	f->multi_network =
	    has_optional(msg, PROTO_HEFEXTENSION_TYPE__MULTI_NETWORK_VARIABLE_BATCH_SIZE);
	f->hw_padding = has_optional(msg, PROTO_HEFEXTENSION_TYPE__HW_PADDING);
	f->run_asap = has_mandatory(msg, PROTO_HEFEXTENSION_TYPE__KO_RUN_ASAP);
	f->net_flow = has_mandatory(msg, PROTO_HEFEXTENSION_TYPE__HAILO_NET_FLOW);
	f->nms_burst = has_mandatory(msg, PROTO_HEFEXTENSION_TYPE__NMS_OUTPUT_BURST);
	f->dual_direction =
	    has_mandatory(msg, PROTO_HEFEXTENSION_TYPE__DUAL_DIRECTION_STREAM_INDEX);
	f->output_scale_by_feature =
	    has_mandatory(msg, PROTO_HEFEXTENSION_TYPE__OUTPUT_SCALE_PER_FEATURE);
	f->periph_in_host =
	    has_mandatory(msg, PROTO_HEFEXTENSION_TYPE__PERIPH_CALCULATION_IN_HAILORT);
	f->batch_register = has_mandatory(msg, PROTO_HEFEXTENSION_TYPE__BATCH_REGISTER_CONFIG);
	f->shared_config = has_mandatory(msg, PROTO_HEFEXTENSION_TYPE__SHARED_CONFIG);
}

/* 3.2 steps 3 and 4, after everything else: structural errors are reported first */
static int check_extensions(struct parse *p, const ProtoHEFHef *msg)
{
	char names[200];
	size_t n = 0;

	names[0] = 0;
	for (size_t i = 0; i < msg->n_extensions; i++) {
		const ProtoHEFExtension *e = msg->extensions[i];
		int w;

		if (e->type_index == EXTENSION_SOFTWARE_CHIP) {
			p->hef->software_chip = true;
			continue;
		}
		if (e->type_index < EXTENSION_RESERVED && extension_known(e->type_index))
			continue;
		w = snprintf(names + n, sizeof(names) - n, "%s%.60s (%" PRIu32 ")", n ? ", " : "",
			     e->name, e->type_index);
		n = w < 0 || (size_t)w >= sizeof(names) - n ? sizeof(names) - 1 : n + (size_t)w;
	}
	if (n)
		return parse_refuse(p, HEF_NOT_SUPPORTED,
				    "the file needs features that this reader does not have: %s",
				    names);
	if (!p->hef->features.periph_in_host)
		return parse_refuse(p, HEF_NOT_SUPPORTED,
				    "the file lacks extension 26 (PERIPH_CALCULATION_IN_HAILORT): "
				    "it was made by a compiler too old; compile the model again");
	return 0;
}

/* ------------------------------------------------------------------ parse */

static int parse_message(struct parse *p, const ProtoHEFHef *msg)
{
	struct hef *hef = p->hef;
	int r;

	/* 3.2 step 2: the reference goes on and reads a layout that is not there */
	if (!msg->header || msg->header->version == 0)
		return parse_refuse(p, HEF_NOT_SUPPORTED,
				    "header.version is 0: the file predates the extension lists; "
				    "compile the model again");
	hef->arch = (uint32_t)msg->header->hw_arch;
	snprintf(hef->sdk_version, sizeof(hef->sdk_version), "%s", msg->header->sdk_version);
	take_features(msg, &hef->features);
	r = parse_groups(p, msg);
	if (r < 0)
		return r;
	p->group = NULL;
	p->context = PARSE_NOWHERE;
	p->layer = NULL;
	return check_extensions(p, msg);
}

static int parse_image(struct parse *p)
{
	struct hef *hef = p->hef;
	struct container box;
	struct buf joined = {0};
	ProtoHEFHef *msg;
	struct wire w;
	int r;

	r = container_open(p, hef->image, hef->image_len, &box);
	if (r < 0)
		return r;
	hef->version = box.version;
	memcpy(hef->digest, box.digest, sizeof(hef->digest));
	p->ccws = box.ccws;
	r = wire_check(&proto_hefhef__descriptor, box.message, &w);
	if (r < 0)
		return parse_refuse(p, HEF_FILE_CORRUPTED, "the message inside cannot be read: %s", w.why);
	if (w.split) {
		wire_join(&proto_hefhef__descriptor, box.message, &joined);
		if (joined.failed) {
			buf_free(&joined);
			return parse_nomem(p);
		}
		box.message = (struct span){joined.ptr, joined.len};
	}
	msg = proto_hefhef__unpack(NULL, box.message.len, box.message.ptr);
	buf_free(&joined);
	if (!msg)
		return parse_refuse(p, HEF_FILE_CORRUPTED,
				    "the message inside cannot be decoded (or memory ran out)");
	r = parse_message(p, msg);
	if (hef->version == 0)
		hef->message = msg; /* configuration bytes live in it */
	else
		proto_hefhef__free_unpacked(msg, NULL);
	return r;
}

int hef_parse(uint8_t *image, size_t len, struct hef **out, enum hef_status *status,
	      struct hw_error *err)
{
	struct parse p = {.err = err, .context = PARSE_NOWHERE, .operation = -1};
	int r;

	p.hef = calloc(1, sizeof(*p.hef));
	if (!p.hef) {
		free(image);
		r = parse_nomem(&p);
		goto out;
	}
	p.hef->image = image;
	p.hef->image_len = len;
	r = parse_image(&p);
	if (r < 0)
		hef_free(p.hef);
	else
		*out = p.hef;
out:
	if (status)
		*status = p.status;
	return r;
}

int hef_open(const char *path, struct hef **out, enum hef_status *status, struct hw_error *err)
{
	uint8_t *image;
	size_t len;
	int r;

	r = util_read_file(path, HEF_FILE_MAX, &image, &len, err);
	if (r < 0) {
		if (status)
			*status = r == -ENOMEM ? HEF_OUT_OF_HOST_MEMORY : HEF_OPEN_FILE_FAILURE;
		return r;
	}
	r = hef_parse(image, len, out, status, err);
	if (r < 0)
		return hw_fail_context(err, r, "%s", path);
	return 0;
}
