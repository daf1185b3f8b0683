// SPDX-License-Identifier: MIT
#ifndef HWLAYER_HWCTL_HEF_CHECK_H
#define HWLAYER_HWCTL_HEF_CHECK_H

#include "util/util.h"

/* DMA memory that the network in @path needs on the chip it was made for; no device is asked. */
int hef_check_memory(const char *path, uint64_t *bytes, struct hw_error *err);

#endif
