// SPDX-License-Identifier: MIT
/*
 * What the chip of a virtual machine writes down on the host: every register access in the format of
 * --record-mmio, the facts of its life one JSON object a line, and which bus addresses it touched.
 * All functions may be called from any thread; a file that was not asked for is not written.
 */
#ifndef TESTS_VM_JOURNAL_H
#define TESTS_VM_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct journal;

/* @facts, @mmio: paths or NULL.  NULL with errno set when one of them cannot be written. */
struct journal *journal_open(const char *facts, const char *mmio);
void journal_close(struct journal *j); /* NULL is fine */

/* @fmt: the members after "fact", each with a comma in front. */
void journal_fact(struct journal *j, const char *fact, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void journal_mmio(struct journal *j, unsigned int bar, uint64_t off, unsigned int bytes, bool write,
		  uint64_t value);
/* The host took, or gave, these bytes. */
void journal_dma(struct journal *j, uint64_t bus, size_t len, bool write);
/* Facts "dma_range": what journal_dma() saw since the last call, neighbours joined. */
void journal_dma_ranges(struct journal *j);

#endif
