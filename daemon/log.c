// SPDX-License-Identifier: MIT
#include "log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024

/* Both are written once by log_init(), before the first thread is started. */
static enum hw_log_level log_max = HW_LOG_INFO;
static bool to_journal;

static const struct {
	const char *name;
	char priority; /* syslog's, which the journal reads from a "<N>" prefix: sd-daemon(3) */
} levels[] = {
    [HW_LOG_ERROR] = {"error", '3'},
    [HW_LOG_WARNING] = {"warning", '4'},
    [HW_LOG_INFO] = {"info", '6'},
    [HW_LOG_DEBUG] = {"debug", '7'},
};

static void write_line(enum hw_log_level level, const char *text)
{
	char line[LINE_MAX_BYTES + 64];
	size_t used = 0;
	int n;

	if (to_journal) {
		n = snprintf(line, sizeof(line), "<%c>%s", levels[level].priority, text);
	} else {
		struct timespec now;
		struct tm tm;

		clock_gettime(CLOCK_REALTIME, &now);
		gmtime_r(&now.tv_sec, &tm);
		used = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
		n = snprintf(line + used, sizeof(line) - used, ".%03ldZ %s %s",
			     now.tv_nsec / 1000000, levels[level].name, text);
	}
	used += (size_t)n;
	if (used > sizeof(line) - 2)
		used = sizeof(line) - 2;
	/* A text from outside must not be able to start a line of its own. */
	for (size_t i = 0; i < used; i++)
		if ((unsigned char)line[i] < 0x20)
			line[i] = ' ';
	line[used++] = '\n';
	/* One write: lines of several threads do not mix. */
	if (write(STDERR_FILENO, line, used) < 0)
		return; /* nowhere left to complain */
}

void log_msg(enum hw_log_level level, const char *fmt, ...)
{
	char text[LINE_MAX_BYTES];
	va_list ap;

	if (level > log_max)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	write_line(level, text);
}

static void from_library(enum hw_log_level level, const char *line, void *user)
{
	(void)user;
	if (level <= log_max)
		write_line(level, line);
}

void log_init(enum hw_log_level max)
{
	log_max = max;
	to_journal = getenv("JOURNAL_STREAM") != NULL;
	hw_log_set(from_library, max, NULL);
}
