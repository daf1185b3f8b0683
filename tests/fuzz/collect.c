// SPDX-License-Identifier: MIT
/*
 * Seeds for the fuzzers: linked into the unit tests with the linker's --wrap, it keeps what they give
 * to the readers, as files in FUZZ_SEEDS/{hef,onnx,control}.  Tests make their inputs themselves, and
 * without ../shared nothing else is in them.
 */
#include <stdio.h>

#include <xxhash.h>

#include "chip/chip.h"
#include "hef/hef.h"
#include "onnx/onnx.h"

#define SEED_MAX 16384u

int __real_hef_parse(uint8_t *image, size_t len, struct hef **out, enum hef_status *status,
		     struct hw_error *err);
int __wrap_hef_parse(uint8_t *image, size_t len, struct hef **out, enum hef_status *status,
		     struct hw_error *err);
int __real_onnx_parse(struct span model, struct onnx_graph **out, struct hw_error *err);
int __wrap_onnx_parse(struct span model, struct onnx_graph **out, struct hw_error *err);
int __real_chip_reply_decode(uint32_t opcode, struct chip_reply *reply, struct hw_error *err);
int __wrap_chip_reply_decode(uint32_t opcode, struct chip_reply *reply, struct hw_error *err);
int __real_chip_event_decode(struct span msg, struct chip_event *out);
int __wrap_chip_event_decode(struct span msg, struct chip_event *out);

static void keep(const char *kind, struct span head, struct span bytes)
{
	const char *dir = getenv("FUZZ_SEEDS");
	struct buf all = {0};
	char path[512];
	FILE *f;

	if (!dir || !bytes.ptr || bytes.len > SEED_MAX)
		return;
	buf_put(&all, head.ptr, head.len);
	buf_put(&all, bytes.ptr, bytes.len);
	snprintf(path, sizeof(path), "%s/%s/%016llx", dir, kind,
		 (unsigned long long)XXH3_64bits(all.ptr, all.len));
	f = fopen(path, "wb");
	if (f) {
		fwrite(all.ptr, 1, all.len, f);
		fclose(f);
	}
	buf_free(&all);
}

int __wrap_hef_parse(uint8_t *image, size_t len, struct hef **out, enum hef_status *status,
		     struct hw_error *err)
{
	keep("hef", (struct span){0}, (struct span){image, len});
	return __real_hef_parse(image, len, out, status, err);
}

int __wrap_onnx_parse(struct span model, struct onnx_graph **out, struct hw_error *err)
{
	keep("onnx", (struct span){0}, model);
	return __real_onnx_parse(model, out, err);
}

/* The first byte is the kind of fuzz_control.c. */
int __wrap_chip_reply_decode(uint32_t opcode, struct chip_reply *reply, struct hw_error *err)
{
	uint8_t head[5] = {0};

	put_le32(head + 1, opcode);
	if (reply->len <= sizeof(reply->bytes)) {
		keep("control", (struct span){head, 5}, (struct span){reply->bytes, reply->len});
		keep("control", (struct span){(const uint8_t *)"\1\0\0", 3},
		     (struct span){reply->bytes, reply->len});
	}
	return __real_chip_reply_decode(opcode, reply, err);
}

int __wrap_chip_event_decode(struct span msg, struct chip_event *out)
{
	uint8_t slot[5] = {3, 1, 0};

	put_le16(slot + 3, (uint16_t)msg.len);
	keep("control", (struct span){(const uint8_t *)"\2", 1}, msg);
	keep("control", (struct span){slot, 5}, msg);
	return __real_chip_event_decode(msg, out);
}
