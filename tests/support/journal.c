// SPDX-License-Identifier: MIT
#include "support/journal.h"

#include <pthread.h>

#include "support/support.h"

static struct {
	pthread_mutex_t lock;
	char text[65536];
	size_t len;
} journal = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void take_line(enum hw_log_level level, const char *line, void *user)
{
	size_t len = strlen(line);

	(void)level;
	(void)user;
	pthread_mutex_lock(&journal.lock);
	if (journal.len + len + 2 < sizeof(journal.text)) {
		memcpy(journal.text + journal.len, line, len);
		journal.len += len;
		journal.text[journal.len++] = '\n';
		journal.text[journal.len] = 0;
	}
	pthread_mutex_unlock(&journal.lock);
}

void journal_begin(enum hw_log_level level)
{
	pthread_mutex_lock(&journal.lock);
	journal.len = 0;
	journal.text[0] = 0;
	pthread_mutex_unlock(&journal.lock);
	hw_log_set(take_line, level, NULL);
}

void journal_end(void)
{
	hw_log_set(NULL, HW_LOG_ERROR, NULL);
}

unsigned int logged(const char *words)
{
	unsigned int n = 0;
	const char *end;

	pthread_mutex_lock(&journal.lock);
	for (const char *line = journal.text; *line; line = end + 1) {
		end = strchr(line, '\n');
		n += memmem(line, (size_t)(end - line), words, strlen(words)) != NULL;
	}
	pthread_mutex_unlock(&journal.lock);
	return n;
}

int fresh_journal(void **state)
{
	(void)state;
	journal_begin(HW_LOG_INFO);
	return 0;
}
