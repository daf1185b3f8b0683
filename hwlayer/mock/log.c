// SPDX-License-Identifier: MIT
/*
 * The two firmware logs (pcie 5.4).  What real firmware writes there is not known; here it is lines
 * of text.  MODEL: a line that does not fit before the host's offset is dropped whole.
 */
#include <stdarg.h>
#include <stdio.h>

#include "mock/sim.h"

#define RING 4088u

void sim_log(struct mock_chip *chip, bool core, const char *fmt, ...)
{
	uint8_t *log = sim_mem(chip, core ? SIM_LOG_CORE : SIM_LOG_APP, 8 + RING);
	uint32_t host = get_le32(log), end = get_le32(log + 4), room;
	char line[160];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (n < 0 || host >= RING || end >= RING)
		return; /* the host wrote nonsense where only an offset may stand */
	if ((size_t)n > sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	/* One byte stays free, or a full log would look like an empty one. */
	room = (host + RING - end - 1) % RING;
	if ((uint32_t)n > room)
		return;
	for (int i = 0; i < n; i++)
		log[8 + (end + (uint32_t)i) % RING] = (uint8_t)line[i];
	put_le32(log + 4, (end + (uint32_t)n) % RING);
}
