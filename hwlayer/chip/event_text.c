// SPDX-License-Identifier: MIT
/* One sentence for an event (protocol 2). */
#include "chip/internal.h"

#include <stdio.h>

static double f32(const uint8_t *p)
{
	uint32_t bits = get_le32(p);
	float f;

	memcpy(&f, &bits, sizeof(f));
	return (double)f;
}

static const char *zone(uint32_t z)
{
	return z == 0 ? "green" : z == 1 ? "orange" : "red";
}

void chip_event_text(const struct chip_event *ev, char *buf, size_t size)
{
	const uint8_t *p = ev->payload;

	switch (ev->id) {
	case FW_EVENT_ETHERNET_RX_ERROR:
		snprintf(buf, size, "Ethernet receive error %u on queue %u, %u so far", get_le32(p),
			 get_le32(p + 4), get_le32(p + 8));
		break;
	case FW_EVENT_HOST_INFO:
		snprintf(buf, size, "the host connection is now in state %u (%s)", get_le32(p),
			 get_le32(p + 4) ? "vDMA" : "UDP");
		break;
	case FW_EVENT_TEMPERATURE_ALARM:
		snprintf(buf, size, "the chip's temperature entered the %s zone: sensors at %.1f and %.1f "
				    "degrees",
			 zone(get_le32(p)), f32(p + 8), f32(p + 12));
		break;
	case FW_EVENT_STREAMS_CLOSED:
		snprintf(buf, size, "the chip closed all streams because it is too hot: sensors at %.1f and "
				    "%.1f degrees; let it cool down",
			 f32(p), f32(p + 4));
		break;
	case FW_EVENT_OVERCURRENT:
		snprintf(buf, size, "the chip's current is in the %s zone (threshold %.0f mA%s)",
			 get_le32(p) ? "red" : "green", f32(p + 4), p[8] ? ", last violation" : "");
		break;
	case FW_EVENT_LCU_ECC_CORRECTABLE:
	case FW_EVENT_LCU_ECC_UNCORRECTABLE:
		snprintf(buf, size, "a memory error in the neural core that the chip %s (clusters 0x%04x)",
			 ev->id == FW_EVENT_LCU_ECC_CORRECTABLE ? "corrected" : "cannot correct",
			 get_le16(p));
		break;
	case FW_EVENT_CPU_ECC_ERROR:
	case FW_EVENT_CPU_ECC_FATAL:
		snprintf(buf, size, "a memory error of the chip's processors%s (memories 0x%08x)",
			 ev->id == FW_EVENT_CPU_ECC_FATAL ? " that cannot be corrected" : "",
			 get_le32(p));
		break;
	case FW_EVENT_BREAKPOINT:
		snprintf(buf, size, "application %u stands at a breakpoint: batch %u, context %u, action %u",
			 p[0], get_le16(p + 1), get_le16(p + 3), get_le16(p + 5));
		break;
	case FW_EVENT_CLOCK_CHANGED:
		snprintf(buf, size, "the neural core's clock changed from %.0f to %.0f MHz",
			 get_le32(p) / 1e6, get_le32(p + 4) / 1e6);
		break;
	case FW_EVENT_HW_INFER_DONE:
		snprintf(buf, size, "hardware inference took %u cycles", get_le32(p));
		break;
	case FW_EVENT_RUN_TIME_ERROR:
		snprintf(buf, size, "application %u stopped in context %u at action %u: %s (0x%08x)",
			 ev->app, ev->context, ev->action, chip_status_text(ev->status), ev->status);
		break;
	case FW_EVENT_CACHE_OFFSET:
		snprintf(buf, size, "the firmware begins to update cache offsets (caches 0x%llx)",
			 (unsigned long long)get_le64(p));
		break;
	default:
		snprintf(buf, size, "event %u", ev->id);
	}
}
