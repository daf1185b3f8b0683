// SPDX-License-Identifier: MIT
/* The binary container (hef-format 1): header, lengths, digests; and naming what is no HEF. */
#include <inttypes.h>
#include <stdio.h>

#include <openssl/evp.h>
#include <xxhash.h>
#include <zlib.h>

#include "hef/parse.h"

#define HEADER_PREFIX 12u
#define MESSAGE_MAX 0x7fffffffu /* protobuf libraries' own limit (1.7) */

static const uint8_t header_bytes[] = {32, 28, 44, 56}; /* by version (1.1) */

static bool starts_with(const uint8_t *image, size_t len, const char *text)
{
	return len >= strlen(text) && !memcmp(image, text, strlen(text));
}

static bool is_printable(const uint8_t *image, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if ((image[i] < 0x20 && !memchr("\t\n\r\f", image[i], 4)) || image[i] == 0x7f)
			return false;
	}
	return len > 0;
}

/*
 * Files called .hef that are something else: placeholders of mocks, dummies, Git LFS pointers,
 * error pages saved by a downloader.  NULL when nothing better than "not a HEF" can be said.
 */
static const char *name_impostor(const uint8_t *image, size_t len)
{
	size_t head = len < 65536 ? len : 65536;
	size_t i = 0;

	if (starts_with(image, len, "version https://git-lfs"))
		return "this is a Git LFS pointer, not the file it stands for; fetch the file "
		       "itself with \"git lfs pull\" in the repository it comes from";
	if (!is_printable(image, head))
		return NULL;
	while (i < head && strchr(" \t\r\n\f", image[i]))
		i++;
	if (i < head && (image[i] == '{' || image[i] == '[')) {
		if (memmem(image, head, "mock_hef", strlen("mock_hef")))
			return "this is a JSON text with mock_hef, a placeholder for a mock "
			       "service, not a compiled network";
		return "this is a JSON text, not a compiled network";
	}
	if (i < head && image[i] == '<')
		return "this is an HTML or XML page, probably the error page of a download";
	if (head < 4096)
		return "this is a short dummy text, not a compiled network";
	return "this is a text file, not a compiled network";
}

static void hex(char *out, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

/* 1.8: the words of versions 1 to 3 in the byte order of a little-endian host's memory */
static void hex_reversed(char *out, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[n - 1 - i]);
}

static int check_digest(struct parse *p, uint32_t version, const uint8_t *header, struct span body,
			char digest[33])
{
	bool good;

	if (version == 0) {
		uint8_t md5[EVP_MAX_MD_SIZE];
		unsigned int n = 0;

		if (!EVP_Digest(body.ptr, body.len, md5, &n, EVP_md5(), NULL) || n != 16)
			return parse_refuse(p, HEF_INTERNAL_FAILURE,
					    "MD5 is not available from libcrypto here, so the "
					    "file's digest cannot be checked");
		hex(digest, header + 16, 16);
		good = !memcmp(md5, header + 16, 16);
	} else if (version == 1) {
		hex_reversed(digest, header + 12, 4);
		good = crc32_z(crc32_z(0, NULL, 0), body.ptr, body.len) == get_be32(header + 12);
	} else {
		hex_reversed(digest, header + 12, 8);
		good = XXH3_64bits(body.ptr, body.len) == get_be64(header + 12);
	}
	if (!good)
		return parse_refuse(p, HEF_FILE_CORRUPTED,
				    "the file is corrupted: its contents do not match the digest "
				    "in its header; copy or download it again");
	return 0;
}

/* The sum that must be the file size (1.3); UINT64_MAX when it overflows (1.7). */
static uint64_t add(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/* Not a HEF in the first place: never -ENOTSUP, whatever the vendor's status. */
static int refuse_impostor(struct parse *p, enum hef_status status, const char *what)
{
	p->status = status;
	return hw_fail(p->err, -EBADMSG, "not a HEF: %s", what);
}

int container_open(struct parse *p, const uint8_t *image, size_t len, struct container *out)
{
	const char *impostor =
	    len >= 4 && get_be32(image) == HEF_MAGIC ? NULL : name_impostor(image, len);
	uint64_t ccws = 0, padding = 0, extra = 0, want;
	struct span body = {image, len}, header, skip;
	uint32_t version, message;
	int r;

	if (len == 0)
		return parse_refuse(p, HEF_FILE_OPERATION_FAILURE, "the file is empty");
	if (len < HEADER_PREFIX) {
		if (impostor)
			return refuse_impostor(p, HEF_FILE_OPERATION_FAILURE, impostor);
		return parse_refuse(p, HEF_FILE_OPERATION_FAILURE,
				    "%zu bytes are too few for a HEF: the file was cut short", len);
	}
	version = get_be32(image + 4);
	message = get_be32(image + 8);
	/* 1.5: the version's whole header has to be there before anything looks at the magic. */
	if (get_be32(image) != HEF_MAGIC)
		return refuse_impostor(p,
				       version < ARRAY_SIZE(header_bytes) && len < header_bytes[version]
					   ? HEF_FILE_OPERATION_FAILURE
					   : HEF_NOT_SUPPORTED,
				       impostor ? impostor
						: "it does not start with the bytes 01 48 45 46");
	if (version >= ARRAY_SIZE(header_bytes))
		return parse_refuse(p, HEF_NOT_SUPPORTED,
				    "container version %" PRIu32 " is not known here (0 to 3 are)",
				    version);
	if (span_take(&body, header_bytes[version], &header))
		return parse_refuse(p, HEF_FILE_OPERATION_FAILURE,
				    "the file was cut short: %zu bytes do not even hold the header "
				    "of %u bytes",
				    len, header_bytes[version]);
	if (version == 1)
		ccws = get_be64(image + 16);
	if (version >= 2)
		ccws = get_be64(image + 20);
	if (version == 3) {
		padding = get_be32(image + 28);
		extra = get_be64(image + 32);
	}
	want = add(add(header_bytes[version], message), add(ccws, extra));
	if (want > len)
		return parse_refuse(p, HEF_FILE_CORRUPTED,
				    "the file was cut short: its header promises %" PRIu64
				    " bytes, there are %zu; copy or download it again",
				    want, len);
	if (want < len)
		return parse_refuse(p, HEF_FILE_CORRUPTED,
				    "the file is corrupted: its header promises %" PRIu64
				    " bytes, there are %zu",
				    want, len);
	if (message > MESSAGE_MAX)
		return parse_refuse(p, HEF_FILE_CORRUPTED,
				    "a message of %" PRIu32 " bytes is beyond what protobuf allows",
				    message);
	/* The file path of the reference lets this pass (1.6). */
	if (padding > ccws)
		return parse_refuse(p, HEF_FILE_CORRUPTED,
				    "the file is corrupted: %" PRIu64
				    " bytes of padding in %" PRIu64 " bytes of configuration data",
				    padding, ccws);
	r = check_digest(p, version, header.ptr, body, out->digest);
	if (r < 0)
		return r;
	out->version = version;
	/* The equation above makes these fit. */
	if (span_take(&body, message, &out->message) || span_take(&body, padding, &skip) ||
	    span_take(&body, ccws - padding, &out->ccws))
		return parse_refuse(p, HEF_FILE_CORRUPTED, "the file is corrupted");
	return 0;
}
