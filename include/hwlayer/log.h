/* SPDX-License-Identifier: MIT */
/**
 * DOC: logging
 *
 * The library never prints.  It hands single lines, without a newline, to one process-wide
 * callback; with none set it stays silent.
 */
#ifndef HWLAYER_LOG_H
#define HWLAYER_LOG_H

#ifdef __cplusplus
extern "C" {
#endif

/**
 * enum hw_log_level - how serious a line is
 * @HW_LOG_ERROR: something failed that the caller will hear about as well
 * @HW_LOG_WARNING: it works, but an operator should know
 * @HW_LOG_INFO: life-cycle facts: opened, booted, configured
 * @HW_LOG_DEBUG: every control and every transfer
 */
enum hw_log_level {
	HW_LOG_ERROR = 0,
	HW_LOG_WARNING = 1,
	HW_LOG_INFO = 2,
	HW_LOG_DEBUG = 3,
};

/**
 * typedef hw_log_fn - receives one line
 * @level: see &enum hw_log_level
 * @line: text, valid during the call only
 * @user: what was given to hw_log_set()
 *
 * Called from whatever thread has something to say; must not call back into the library.
 */
typedef void (*hw_log_fn)(enum hw_log_level level, const char *line, void *user);

/**
 * hw_log_set - choose where the library's lines go
 * @fn: callback, or NULL for silence
 * @max: lines above this level are not formatted
 * @user: handed to @fn
 *
 * Call it before the first device is opened; it is not meant to change while devices are open.
 */
void hw_log_set(hw_log_fn fn, enum hw_log_level max, void *user);

#ifdef __cplusplus
}
#endif
#endif
