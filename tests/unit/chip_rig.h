// SPDX-License-Identifier: MIT
/* A scripted chip and a firmware image to boot it with, for each test anew. */
#ifndef TESTS_UNIT_CHIP_RIG_H
#define TESTS_UNIT_CHIP_RIG_H

#include "support/fakechip.h"
#include "support/support.h"

#include "chip/chip.h"
#include "chip/internal.h"

#define TIMEOUT_MS 30

struct rig {
	struct fake_chip f;
	struct backend_ops ops; /* a copy, to take the reset away or to watch */
	struct chip chip;
	struct chip_boot_options opt;
	struct hw_error err;
	uint8_t *image;
};

static inline void rig_power_on(struct rig *r)
{
	fake_init(&r->f);
	r->ops = *r->f.be.ops;
	r->f.be.ops = &r->ops;
	r->chip = (struct chip){0};
	r->err = (struct hw_error){0};
}

/* Another chip, as it was at first. */
static inline void rig_again(struct rig *r)
{
	fake_done(&r->f);
	rig_power_on(r);
}

static inline int rig_setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	size_t len;

	assert_non_null(r);
	rig_power_on(r);
	r->image = fake_firmware(84, 8, 6, 88, &len);
	r->opt = (struct chip_boot_options){.firmware = {r->image, len}, .boot_timeout_ms = TIMEOUT_MS};
	*state = r;
	return 0;
}

static inline int rig_teardown(void **state)
{
	struct rig *r = *state;

	fake_done(&r->f);
	free(r->image);
	free(r);
	return 0;
}

#endif
