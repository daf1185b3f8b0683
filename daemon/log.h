// SPDX-License-Identifier: MIT
/* One line per event on stderr: "<N>text" for the journal, "time level text" for people. */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

#include <hwlayer/log.h>

/* Choose the highest level that is written and take over the library's lines as well. */
void log_init(enum hw_log_level max);

void log_msg(enum hw_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_msg(HW_LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_msg(HW_LOG_WARNING, __VA_ARGS__)
#define log_info(...) log_msg(HW_LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_msg(HW_LOG_DEBUG, __VA_ARGS__)

#endif
