// SPDX-License-Identifier: MIT
#ifndef HWLAYER_BACKEND_UIO_H
#define HWLAYER_BACKEND_UIO_H

#include "backend/backend.h"
#include "backend/kernel.h"

/* backend_uio_open() with another kernel; for tests. */
int uio_open_with(const struct kernel *k, const struct hw_card *card,
		  const struct hw_dev_options *opt, struct backend **out, struct hw_error *err);

#endif
