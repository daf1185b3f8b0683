// SPDX-License-Identifier: MIT
#ifndef HWLAYER_BACKEND_CONFIG_SPACE_H
#define HWLAYER_BACKEND_CONFIG_SPACE_H

#include "backend/backend.h"

#define CONFIG_SPACE_SIZE 256

/* Fill in IDs, max_read_request and l0s of @be.  Pure. */
void config_space_facts(const uint8_t cfg[CONFIG_SPACE_SIZE], struct backend *be);

#endif
