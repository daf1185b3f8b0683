// SPDX-License-Identifier: MIT
/* Small helpers that every layer uses: bit fields, rounding, clocks, error texts, logging. */
#ifndef HWLAYER_UTIL_UTIL_H
#define HWLAYER_UTIL_UTIL_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hwlayer/hwlayer.h>
#include <hwlayer/log.h>

#define BIT(n) (1u << (n))
#define GENMASK(h, l) (((~0u) << (l)) & (~0u >> (31 - (h))))
/* The shift is derived from the mask, so a field is written down once. */
#define FIELD_SHIFT(mask) ((unsigned int)__builtin_ctz(mask))
#define FIELD_PREP(mask, v) (((uint32_t)(v) << FIELD_SHIFT(mask)) & (mask))
#define FIELD_GET(mask, reg) (((uint32_t)(reg) & (mask)) >> FIELD_SHIFT(mask))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline uint64_t ceil_div(uint64_t a, uint64_t b)
{
	return a / b + (a % b != 0);
}

static inline uint64_t align_up(uint64_t x, uint64_t n)
{
	return ceil_div(x, n) * n;
}

/* Smallest power of two >= x; pow2_ceil(0) is 1. */
static inline uint64_t pow2_ceil(uint64_t x)
{
	uint64_t p = 1;

	while (p < x)
		p <<= 1;
	return p;
}

/* Monotonic clock. */
uint64_t util_now_ns(void);
static inline uint64_t util_now_ms(void)
{
	return util_now_ns() / 1000000;
}

/**
 * hw_fail - put a sentence into @err and return @code
 * @err: may be NULL
 * @code: negative errno, returned as it is
 *
 * The sentence says what is wrong and, where the caller can do something, what to do.
 */
int hw_fail(struct hw_error *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Prefix the text that a lower layer left in @err ("loading x.hef: " ...); returns @code. */
int hw_fail_context(struct hw_error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Hand one line to the application's log callback (include/hwlayer/log.h); cheap when nobody listens. */
void hw_log(enum hw_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Read a whole regular file of at most @max bytes.  *@out is malloc()ed (free() it).
 * Errors: -ENOENT, -EACCES, -EFBIG, -EISDIR, -EIO, -ENOMEM; the text names the file.
 */
int util_read_file(const char *path, size_t max, uint8_t **out, size_t *len, struct hw_error *err);

/* Write to PATH.tmp-XXXXXX beside it, fsync, rename: the old file stays whole until the new one is. */
int util_write_file(const char *path, const void *data, size_t len, struct hw_error *err);

#endif
