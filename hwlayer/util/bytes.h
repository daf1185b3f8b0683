// SPDX-License-Identifier: MIT
/*
 * Bytes from and for the outside: fixed-order integers, a read cursor that cannot run over its
 * end, and a growing buffer.  Nothing here does I/O.
 */
#ifndef HWLAYER_UTIL_BYTES_H
#define HWLAYER_UTIL_BYTES_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline uint16_t get_le16(const void *p)
{
	const uint8_t *b = p;

	return (uint16_t)(b[0] | b[1] << 8);
}

static inline uint32_t get_le32(const void *p)
{
	const uint8_t *b = p;

	return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static inline uint64_t get_le64(const void *p)
{
	return get_le32(p) | (uint64_t)get_le32((const uint8_t *)p + 4) << 32;
}

static inline uint16_t get_be16(const void *p)
{
	const uint8_t *b = p;

	return (uint16_t)(b[0] << 8 | b[1]);
}

static inline uint32_t get_be32(const void *p)
{
	const uint8_t *b = p;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | (uint32_t)b[3];
}

static inline uint64_t get_be64(const void *p)
{
	return (uint64_t)get_be32(p) << 32 | get_be32((const uint8_t *)p + 4);
}

static inline void put_le16(void *p, uint16_t v)
{
	uint8_t *b = p;

	b[0] = (uint8_t)v;
	b[1] = (uint8_t)(v >> 8);
}

static inline void put_le32(void *p, uint32_t v)
{
	put_le16(p, (uint16_t)v);
	put_le16((uint8_t *)p + 2, (uint16_t)(v >> 16));
}

static inline void put_le64(void *p, uint64_t v)
{
	put_le32(p, (uint32_t)v);
	put_le32((uint8_t *)p + 4, (uint32_t)(v >> 32));
}

static inline void put_be16(void *p, uint16_t v)
{
	uint8_t *b = p;

	b[0] = (uint8_t)(v >> 8);
	b[1] = (uint8_t)v;
}

static inline void put_be32(void *p, uint32_t v)
{
	put_be16(p, (uint16_t)(v >> 16));
	put_be16((uint8_t *)p + 2, (uint16_t)v);
}

static inline void put_be64(void *p, uint64_t v)
{
	put_be32(p, (uint32_t)(v >> 32));
	put_be32((uint8_t *)p + 4, (uint32_t)v);
}

/* A view of bytes that somebody else owns. */
struct span {
	const uint8_t *ptr;
	size_t len;
};

/* Cut @len bytes off the front of @in into @out: the one place where a parser's cursor moves. */
static inline int span_take(struct span *in, size_t len, struct span *out)
{
	if (len > in->len)
		return -EBADMSG;
	*out = (struct span){in->ptr, len};
	*in = (struct span){in->ptr + len, in->len - len};
	return 0;
}

/*
 * A growing byte buffer.  The first failed allocation is remembered in @failed and all later
 * appends do nothing, so a builder checks once, at its end.  Free with buf_free().
 */
struct buf {
	uint8_t *ptr;
	size_t len, cap;
	bool failed;
};

static inline uint8_t *buf_grow(struct buf *b, size_t n)
{
	uint8_t *at;

	if (b->failed || n > SIZE_MAX / 2 - b->len) {
		b->failed = true;
		return NULL;
	}
	if (!n)
		return b->ptr;
	if (b->len + n > b->cap) {
		size_t cap = b->cap ? b->cap * 2 : 256;
		uint8_t *p;

		while (cap < b->len + n)
			cap *= 2;
		p = realloc(b->ptr, cap);
		if (!p) {
			b->failed = true;
			return NULL;
		}
		b->ptr = p;
		b->cap = cap;
	}
	at = b->ptr + b->len;
	b->len += n;
	return at;
}

static inline void buf_put(struct buf *b, const void *data, size_t n)
{
	uint8_t *at = buf_grow(b, n);

	if (at && n)
		memcpy(at, data, n);
}

static inline void buf_zero(struct buf *b, size_t n)
{
	uint8_t *at = buf_grow(b, n);

	if (at && n)
		memset(at, 0, n);
}

static inline void buf_u8(struct buf *b, uint8_t v)
{
	buf_put(b, &v, 1);
}

static inline void buf_le16(struct buf *b, uint16_t v)
{
	uint8_t *at = buf_grow(b, 2);

	if (at)
		put_le16(at, v);
}

static inline void buf_le32(struct buf *b, uint32_t v)
{
	uint8_t *at = buf_grow(b, 4);

	if (at)
		put_le32(at, v);
}

static inline void buf_le64(struct buf *b, uint64_t v)
{
	uint8_t *at = buf_grow(b, 8);

	if (at)
		put_le64(at, v);
}

static inline void buf_be16(struct buf *b, uint16_t v)
{
	uint8_t *at = buf_grow(b, 2);

	if (at)
		put_be16(at, v);
}

static inline void buf_be32(struct buf *b, uint32_t v)
{
	uint8_t *at = buf_grow(b, 4);

	if (at)
		put_be32(at, v);
}

static inline void buf_be64(struct buf *b, uint64_t v)
{
	uint8_t *at = buf_grow(b, 8);

	if (at)
		put_be64(at, v);
}

static inline void buf_free(struct buf *b)
{
	free(b->ptr);
	*b = (struct buf){0};
}

#endif
