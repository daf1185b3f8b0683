// SPDX-License-Identifier: MIT
/*
 * A board whose PCIe does not see the CPU's caches: all DMA memory is there twice, once as the CPU
 * sees it and once as the chip does, and only backend_dma_sync() carries bytes across.  A sync that the
 * driver forgot, or that names too little, gives wrong bytes every time instead of now and then.
 *
 * As with caches, data is carried in whole lines of 64 bytes.
 */
#ifndef TESTS_SUPPORT_NONCOHERENT_H
#define TESTS_SUPPORT_NONCOHERENT_H

#include "backend/backend.h"

/* Which syncs do nothing: so that tests can show that they would be missed. */
enum noncoherent_lame {
	NONCOHERENT_HEALTHY,
	NONCOHERENT_NO_LISTS,	  /* of descriptor lists */
	NONCOHERENT_NO_TO_DEVICE, /* of data */
	NONCOHERENT_NO_FROM_DEVICE,
};

/*
 * Turn a mock backend, which nobody uses yet, into such a board: one at a time.  backend_close()
 * takes it apart again, and the test fails by noncoherent_check().
 */
void noncoherent_make(struct backend *be);
void noncoherent_lame(enum noncoherent_lame which);
/*
 * Since noncoherent_make() no byte that the CPU wrote was still in its cache when the memory was freed or
 * when a sync for the CPU threw it away, the chip wrote to no line that it was not given after the CPU
 * had it, and no sync left its memory.
 */
void noncoherent_check(void);
/* Where the chip sees it. */
uint8_t *noncoherent_chips(const struct backend_dma *mem);
size_t noncoherent_areas(void);

#endif
