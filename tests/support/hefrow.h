// SPDX-License-Identifier: MIT
/* Tables of synthetic HEFs and the status with which each must end. */
#ifndef TESTS_SUPPORT_HEFROW_H
#define TESTS_SUPPORT_HEFROW_H

#include "hef/hef.h"
#include "support/hefgen.h"

struct hefrow_field {
	unsigned int number;
	uint64_t value;
};

/* A message of a few numbers as member @kind of a oneof; kind 0: none. */
struct hefrow_member {
	unsigned int kind;
	struct hefrow_field f[6];
};

struct hefrow {
	const char *name;
	enum hef_status status;
	unsigned int omit;
	uint32_t container; /* + 1; 0 leaves 2 */
	uint32_t arch;      /* + 1; 0 leaves 1 */
	struct {
		enum hefgen_at at;
		struct hefrow_field f;
	} set[4];
	struct hefrow_member action;  /* one more action of the context's operation */
	struct hefrow_member trigger; /* one more operation of the context */
	uint32_t mandatory, optional; /* extensions, + 1 */
	void (*more)(struct hefgen *g);
};

/* Parse each row's file; the test fails after all of them, naming those that end otherwise. */
void hefrow_check(const struct hefrow *rows, size_t n);

/* The model of a finished @g, which is used up; the test fails if it is refused. */
struct hef *hefrow_parse(struct hefgen *g);

/*
 * A boundary layer of 1x1x16 NC bytes, as an edge layer of the context metadata @meta.  @pad 0:
 * none; @more: fields behind those of its base.
 */
void hefrow_edge(struct buf *meta, const char *name, bool input, uint32_t sys, uint32_t pad,
		 const struct hefrow_field *more, size_t n_more);

/* 128 bytes, one more than names may have */
extern const char hefrow_long_name[];

#endif
