// SPDX-License-Identifier: MIT
/* Firmware images (pcie 3.2).  Pure: bytes in, spans out. */
#include "chip/chip.h"

#include <errno.h>

static int take(struct span *in, size_t len, struct span *out, const char *what,
		struct hw_error *err)
{
	if (span_take(in, len, out) < 0)
		return hw_fail(err, -EINVAL,
			       "not a Hailo-8 firmware image: it ends inside the %s (%zu bytes wanted, "
			       "%zu left)",
			       what, len, in->len);
	return 0;
}

/* Header and code of one CPU. */
static int take_part(struct span *in, const char *cpu, uint32_t code_max, struct span *header,
		     struct span *code, struct hw_error *err)
{
	uint32_t size;
	int r;

	r = take(in, CHIP_FW_HEADER_SIZE, header, cpu, err);
	if (r < 0)
		return r;
	if (get_le32(header->ptr) != CHIP_FW_MAGIC)
		return hw_fail(err, -EINVAL,
			       "not a Hailo-8 firmware image: the %s magic is 0x%08x instead of 0x%08x",
			       cpu, get_le32(header->ptr), CHIP_FW_MAGIC);
	if (get_le32(header->ptr + 4) != 0)
		return hw_fail(err, -EINVAL, "the firmware's %s header has version %u instead of 0",
			       cpu, get_le32(header->ptr + 4));
	size = get_le32(header->ptr + 20);
	if (size < CHIP_FW_CODE_MIN || size > code_max)
		return hw_fail(err, -EINVAL,
			       "the firmware's %s code is %u bytes long; %u to %u are possible", cpu,
			       size, CHIP_FW_CODE_MIN, code_max);
	return take(in, size, code, cpu, err);
}

int chip_firmware_parse(struct span image, struct chip_firmware *out, struct hw_error *err)
{
	struct chip_firmware fw = {0};
	struct span in = image, certs = {0};
	uint32_t key, content;
	int r;

	if (image.len > CHIP_FW_FILE_MAX)
		return hw_fail(err, -EINVAL, "the firmware image is %zu bytes long; at most %u fit",
			       image.len, CHIP_FW_FILE_MAX);
	r = take_part(&in, "application CPU", CHIP_FW_APP_MAX, &fw.app_header, &fw.app_code, err);
	if (r < 0)
		return r;
	r = take(&in, 8, &certs, "certificate header", err);
	if (r < 0)
		return r;
	key = get_le32(certs.ptr);
	content = get_le32(certs.ptr + 4);
	/* The vendor accepts 0x1000 each; more than these run into the next load address (2.7). */
	if (key > CHIP_FW_KEY_CERT_MAX || content > CHIP_FW_CONTENT_CERT_MAX)
		return hw_fail(err, -EINVAL,
			       "the firmware's certificates are %u and %u bytes long; at most %u and %u "
			       "fit",
			       key, content, CHIP_FW_KEY_CERT_MAX, CHIP_FW_CONTENT_CERT_MAX);
	r = take(&in, key, &fw.key_cert, "key certificate", err);
	if (r < 0)
		return r;
	r = take(&in, content, &fw.content_cert, "content certificate", err);
	if (r < 0)
		return r;
	r = take_part(&in, "core CPU", CHIP_FW_CORE_MAX, &fw.core_header, &fw.core_code, err);
	if (r < 0)
		return r;
	if (in.len)
		return hw_fail(err, -EINVAL, "the firmware image has %zu bytes behind its end", in.len);
	fw.major = get_le32(fw.app_header.ptr + 8);
	fw.minor = get_le32(fw.app_header.ptr + 12);
	fw.revision = get_le32(fw.app_header.ptr + 16);
	fw.core_major = get_le32(fw.core_header.ptr + 8);
	fw.core_minor = get_le32(fw.core_header.ptr + 12);
	fw.core_revision = get_le32(fw.core_header.ptr + 16);
	*out = fw;
	return 0;
}

#define SYNTHETIC_CODE 256u
#define SYNTHETIC_CERT 64u

static void put_part(struct buf *b, uint32_t revision)
{
	buf_le32(b, CHIP_FW_MAGIC);
	buf_le32(b, 0);
	buf_le32(b, FW_SUPPORTED_MAJOR);
	buf_le32(b, FW_SUPPORTED_MINOR);
	buf_le32(b, revision);
	buf_le32(b, SYNTHETIC_CODE);
	for (uint32_t i = 0; i < SYNTHETIC_CODE; i++)
		buf_u8(b, (uint8_t)i);
}

int chip_firmware_synthetic(uint8_t **out, size_t *len)
{
	struct buf b = {0};

	/* Revision words as a real 4.23.0 has them: extended buffer, and CORE for the second. */
	put_part(&b, 0x20000000);
	buf_le32(&b, SYNTHETIC_CERT);
	buf_le32(&b, SYNTHETIC_CERT);
	buf_zero(&b, SYNTHETIC_CERT);
	buf_zero(&b, SYNTHETIC_CERT);
	put_part(&b, 0x20000000 | FW_REVISION_CORE);
	if (b.failed) {
		buf_free(&b);
		return -ENOMEM;
	}
	*out = b.ptr;
	*len = b.len;
	return 0;
}
