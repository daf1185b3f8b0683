// SPDX-License-Identifier: MIT
/* The library's log, kept for a test to look at. */
#ifndef TESTS_SUPPORT_JOURNAL_H
#define TESTS_SUPPORT_JOURNAL_H

#include <hwlayer/log.h>

/* Empty, and from now on with all lines up to @level. */
void journal_begin(enum hw_log_level level);
/* No more lines come; those that came can be asked for. */
void journal_end(void);
/* How many lines contain @words. */
unsigned int logged(const char *words);
/* For cmocka: a test begins with a journal of what an operator sees. */
int fresh_journal(void **state);

#endif
