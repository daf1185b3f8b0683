// SPDX-License-Identifier: MIT
/*
 * SIGINT and SIGTERM while a device is open: the command ends early but in order, so that the chip
 * has stopped its DMA before the memory goes.  A second signal ends it at once.
 */
#include "hwctl/hwctl.h"

#include <signal.h>

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
	caught = number;
}

void interrupt_catch(void)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_RESETHAND};

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
}

int interrupted(void)
{
	return caught;
}
