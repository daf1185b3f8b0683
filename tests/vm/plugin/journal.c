// SPDX-License-Identifier: MIT
#include "journal.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct range {
	uint64_t start, end;
};

/* Sorted, disjoint and not touching. */
struct ranges {
	struct range *at;
	size_t n, cap;
};

struct journal {
	pthread_mutex_t lock;
	FILE *facts, *mmio;
	struct timespec start;
	struct ranges dma[2]; /* read by the chip, written by it */
};

static double seconds(const struct journal *j)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - j->start.tv_sec) +
	       (double)(now.tv_nsec - j->start.tv_nsec) / 1e9;
}

static bool open_file(const char *path, FILE **out)
{
	if (!path)
		return true;
	*out = fopen(path, "we");
	/* Line by line: whoever reads along, or after a crash, sees all of it. */
	if (*out)
		setvbuf(*out, NULL, _IOLBF, 0);
	return *out;
}

struct journal *journal_open(const char *facts, const char *mmio)
{
	struct journal *j = calloc(1, sizeof(*j));
	int err;

	if (!j)
		return NULL;
	pthread_mutex_init(&j->lock, NULL);
	clock_gettime(CLOCK_MONOTONIC, &j->start);
	if (open_file(facts, &j->facts) && open_file(mmio, &j->mmio)) {
		if (j->mmio)
			fputs("time_s\tbar\toffset\twidth\trw\tvalue\tnote\n", j->mmio);
		return j;
	}
	err = errno;
	journal_close(j);
	errno = err;
	return NULL;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	if (j->facts)
		fclose(j->facts);
	if (j->mmio)
		fclose(j->mmio);
	free(j->dma[0].at);
	free(j->dma[1].at);
	pthread_mutex_destroy(&j->lock);
	free(j);
}

static void put_fact(struct journal *j, const char *fact, const char *fmt, va_list ap)
{
	fprintf(j->facts, "{\"ms\":%.3f,\"fact\":\"%s\"", seconds(j) * 1e3, fact);
	vfprintf(j->facts, fmt, ap);
	fputs("}\n", j->facts);
}

void journal_fact(struct journal *j, const char *fact, const char *fmt, ...)
{
	va_list ap;

	if (!j->facts)
		return;
	va_start(ap, fmt);
	pthread_mutex_lock(&j->lock);
	put_fact(j, fact, fmt, ap);
	pthread_mutex_unlock(&j->lock);
	va_end(ap);
}

void journal_mmio(struct journal *j, unsigned int bar, uint64_t off, unsigned int bytes, bool write,
		  uint64_t value)
{
	if (!j->mmio)
		return;
	pthread_mutex_lock(&j->lock);
	fprintf(j->mmio, "%.6f\t%u\t0x%llx\t%u\t%c\t0x%0*llx\t\n", seconds(j), bar,
		(unsigned long long)off, 8 * bytes, write ? 'W' : 'R', (int)(2 * bytes),
		(unsigned long long)value);
	pthread_mutex_unlock(&j->lock);
}

/* Without memory a range is lost; the runner then misses the whole of it, not a part. */
static void add(struct ranges *r, struct range new)
{
	size_t first = 0, last; /* [first, last) are joined */

	while (first < r->n && r->at[first].end < new.start)
		first++;
	for (last = first; last < r->n && r->at[last].start <= new.end; last++) {
		if (r->at[last].start < new.start)
			new.start = r->at[last].start;
		if (r->at[last].end > new.end)
			new.end = r->at[last].end;
	}
	if (first == last && r->n == r->cap) {
		size_t cap = r->cap ? 2 * r->cap : 64;
		struct range *at = realloc(r->at, cap * sizeof(*at));

		if (!at)
			return;
		r->at = at;
		r->cap = cap;
	}
	memmove(r->at + first + 1, r->at + last, (r->n - last) * sizeof(*r->at));
	r->n = r->n + 1 - (last - first);
	r->at[first] = new;
}

void journal_dma(struct journal *j, uint64_t bus, size_t len, bool write)
{
	if (!j->facts)
		return;
	pthread_mutex_lock(&j->lock);
	add(&j->dma[write], (struct range){bus, bus + len});
	pthread_mutex_unlock(&j->lock);
}

void journal_dma_ranges(struct journal *j)
{
	if (!j->facts)
		return;
	pthread_mutex_lock(&j->lock);
	for (unsigned int w = 0; w < 2; w++) {
		for (size_t i = 0; i < j->dma[w].n; i++)
			fprintf(j->facts,
				"{\"ms\":%.3f,\"fact\":\"dma_range\",\"bus\":\"0x%llx\",\"len\":%llu,"
				"\"write\":%s}\n",
				seconds(j) * 1e3, (unsigned long long)j->dma[w].at[i].start,
				(unsigned long long)(j->dma[w].at[i].end - j->dma[w].at[i].start),
				w ? "true" : "false");
		j->dma[w].n = 0;
	}
	pthread_mutex_unlock(&j->lock);
}
