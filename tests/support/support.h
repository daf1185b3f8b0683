// SPDX-License-Identifier: MIT
/* What several tests need: cmocka, files from ../shared, hex. */
#ifndef TESTS_SUPPORT_SUPPORT_H
#define TESTS_SUPPORT_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <cjson/cJSON.h>

#include "util/bytes.h"
#include "util/util.h"

/* "../shared/REL"; when it is not there the running test is skipped (a failure when CI=true). */
const char *shared_path(const char *rel);
/* A path in the build's output folder ("hwctl", "models/imu-motion.hef"), static storage. */
const char *out_path(const char *rel);
/* A path in the source tree, static storage. */
const char *top_path(const char *rel);
/* A new empty directory, removed at exit; static storage. */
const char *tmp_dir(void);
/* Whole file, NUL added behind it; the test fails if it cannot be read.  free() it. */
uint8_t *slurp(const char *path, size_t *len);
void spit(const char *path, const void *data, size_t len);
/* Hex text to bytes; free() it. */
uint8_t *unhex(const char *hex, size_t *len);
/* One JSON value per line; cJSON array of them, free with cJSON_Delete(). */
cJSON *read_jsonl(const char *path);
/* Fail with the first differing offset and both surroundings in hex. */
void assert_bytes_equal(const void *got, size_t got_len, const void *want, size_t want_len,
			const char *what);
/* Fail with both unless @words are in @text. */
void assert_words(const char *text, const char *words);
/* 0 or fail with the error's text. */
#define assert_ok(call, err)                                                                       \
	do {                                                                                       \
		int assert_ok_r = (call);                                                          \
		if (assert_ok_r)                                                                   \
			fail_msg("%s: %d: %s", #call, assert_ok_r, (err)->text);                   \
	} while (0)

#endif
