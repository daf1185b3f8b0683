// SPDX-License-Identifier: MIT
/* What the driver wants to know from configuration space. */
#include "backend/config_space.h"
#include "util/bytes.h"

/* Offset of the PCI Express capability with all of its first 20 bytes, or 0. */
static uint32_t find_express(const uint8_t *cfg)
{
	uint32_t cap = cfg[0x34] & 0xfcu;

	/* 48 capabilities fill configuration space: a longer chain is a loop. */
	for (int i = 0; cap >= 0x40 && i < 48; i++) {
		if (cfg[cap] == 0x10)
			return cap <= CONFIG_SPACE_SIZE - 20 ? cap : 0;
		cap = cfg[cap + 1] & 0xfcu;
	}
	return 0;
}

void config_space_facts(const uint8_t cfg[CONFIG_SPACE_SIZE], struct backend *be)
{
	uint32_t express = find_express(cfg);

	be->vendor = get_le16(cfg);
	be->device = get_le16(cfg + 0x02);
	be->subsys_vendor = get_le16(cfg + 0x2c);
	be->subsys_device = get_le16(cfg + 0x2e);
	/* Device Control bits 14:12; a function without the PCIe capability counts as 128 (pcie 11.1). */
	be->max_read_request = express ? 128u << (get_le16(cfg + express + 8) >> 12 & 7) : 128;
	be->l0s = express && (get_le16(cfg + express + 0x10) & 1); /* Link Control, ASPM Control */
}
