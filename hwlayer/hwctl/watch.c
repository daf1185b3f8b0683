// SPDX-License-Identifier: MIT
/* Commands that go on until they are interrupted or their time is over. */
#include "hwctl/hwctl.h"

#include <unistd.h>

#define SLICE_MS 50u /* the signal may have come to another thread, so it does not end the sleep */

uint64_t watch_end(long seconds)
{
	return seconds ? util_now_ns() + (uint64_t)seconds * 1000000000u : UINT64_MAX;
}

bool watch_wait(uint64_t end_ns, unsigned int ms)
{
	uint64_t now = util_now_ns(), until = now + (uint64_t)ms * 1000000u;

	if (until > end_ns)
		until = end_ns;
	while (!interrupted() && (now = util_now_ns()) < until) {
		uint64_t left = (until - now) / 1000000u + 1;

		usleep((useconds_t)(left < SLICE_MS ? left : SLICE_MS) * 1000u);
	}
	return !interrupted() && util_now_ns() < end_ns;
}
