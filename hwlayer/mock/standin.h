// SPDX-License-Identifier: MIT
/*
 * An ONNX model in the place of a network whose microcode cannot be executed.  Shared by the chip,
 * which keeps the one that was ordered, and the run that uses it.
 */
#ifndef HWLAYER_MOCK_STANDIN_H
#define HWLAYER_MOCK_STANDIN_H

#include "mock/mock.h"

struct hw_error;
struct standin;

/* As mock_chip_set_function(); @out has one reference. */
int standin_new(const char *path, unsigned int threads, const struct mock_stream_format *formats,
		size_t n, struct standin **out, struct hw_error *err);
struct standin *standin_get(struct standin *s); /* NULL is fine, also for the others */
void standin_put(struct standin *s);
/* Inputs, then outputs, in the model's order. */
const struct core_port *standin_ports(const struct standin *s, size_t *count);
/* As core_run(), one thread at a time; -EIO if the model fails. */
int standin_run(struct standin *s, const uint8_t *const *in, uint8_t *const *out);

#endif
