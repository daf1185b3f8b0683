// SPDX-License-Identifier: MIT
/* Walking an action list (protocol 4.4, 4.5).  Pure: bytes in, table out. */
#include "mock/sim.h"

#define HEADER 5u
#define REPEATED_HEADER 3u
#define ONCE 0x00
#define REP 0x80 /* may stand inside a repeated action */

/* Parameter bytes of each type; 24 has its own rule. */
static const uint8_t layout[FW_ACTIONS] = {
    [0] = REP | 3, [1] = REP | 44, [2] = REP | 9, [3] = REP | 2,  [4] = REP | 8,
    [5] = REP | 1, [6] = 42,	   [7] = 39,	  [8] = 43,	  [9] = 39,
    [10] = 43,	   [11] = 42,	   [12] = 8,	  [13] = REP | 3, [14] = REP | 9,
    [15] = 0,	   [16] = 1,	   [17] = 1,	  [18] = 5,	  [19] = 5,
    [20] = 1,	   [21] = 0,	   [22] = 21,	  [23] = 2,	  [24] = REPEATED_HEADER,
    [25] = 4,	   [26] = 6,	   [27] = 3,	  [28] = 8,	  [29] = 0,
    [30] = 0,	   [31] = 0,	   [32] = 28,	  [33] = 20,	  [34] = REP | 7,
    [35] = 15,	   [36] = REP | 6, [37] = 1,	  [38] = 2,	  [39] = 2,
    [40] = 43,	   [41] = 41,	   [42] = 0,	  [43] = 4,	  [44] = 0,
};

static size_t params(uint8_t type)
{
	return layout[type] & ~REP;
}

static uint32_t take_repeated(struct span *in, struct buf *out)
{
	struct span head, one;
	uint8_t count, type;

	if (span_take(in, REPEATED_HEADER, &head))
		return FW_STATUS_REPEATED_HEADER;
	count = head.ptr[0];
	type = head.ptr[2];
	if (type >= FW_ACTIONS || !(layout[type] & REP))
		return FW_STATUS_REPEATED_TYPE;
	if (!count)
		return FW_STATUS_REPEATED_COUNT;
	while (count--) {
		if (span_take(in, params(type), &one))
			return FW_STATUS_LIST_WALK;
		buf_put(out, &(struct sim_act){type, one.ptr}, sizeof(struct sim_act));
	}
	return 0;
}

static uint32_t take_action(struct span *in, struct buf *out)
{
	struct span head, one;
	uint8_t type;

	if (span_take(in, HEADER, &head))
		return FW_STATUS_LIST_WALK;
	type = head.ptr[0];
	if (type >= FW_ACTIONS)
		return FW_STATUS_LIST_ACTION;
	if (type == FW_ACT_FETCH_CCW_BURSTS)
		return FW_STATUS_CCW_BURSTS; /* evidence 8: not on this chip */
	if (type == FW_ACT_REPEATED_ACTION)
		return take_repeated(in, out);
	if (span_take(in, params(type), &one))
		return FW_STATUS_LIST_WALK;
	buf_put(out, &(struct sim_act){type, one.ptr}, sizeof(struct sim_act));
	return 0;
}

uint32_t sim_actions_walk(struct span list, struct sim_act **acts, size_t *count)
{
	struct buf out = {0};
	uint32_t status = 0;

	while (list.len && !status)
		status = take_action(&list, &out);
	if (!status && out.failed)
		status = SIM_STATUS_CONTEXT_MEMORY;
	if (status) {
		buf_free(&out);
		return status;
	}
	*acts = (struct sim_act *)(void *)out.ptr;
	*count = out.len / sizeof(struct sim_act);
	return 0;
}
