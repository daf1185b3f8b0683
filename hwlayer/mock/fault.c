// SPDX-License-Identifier: MIT
/* The table of faults to order, their grammar, and when they strike (fault.h, docs/mock.md). */
#include <stdio.h>

#include "mock/sim.h"

#define MS 1000000ull
#define SPEC_MAX 80u
#define NO_LIMIT 0u

enum args { ARGS_NONE, ARGS_OPTIONAL, ARGS_REQUIRED };

static const char *const count_lies[] = {
    [SIM_COUNT_AHEAD] = "ahead", [SIM_COUNT_BACK] = "back", [SIM_COUNT_FEW] = "few", NULL};

/* clang-format off */
static const struct fault {
	const char *name, *args, *help;
	enum args kind;            /* of the first argument; a second one is always optional */
	const char *const *words;  /* the argument is one of these instead of a number */
	unsigned int max_args;
	uint32_t min[2], max[2], preset[2];
	int count_arg;             /* argument that says how often it strikes, -1: @strikes does */
	uint32_t strikes;
	bool no_moment;            /* the argument is the moment already */
} faults[SIM_FAULT_IDS] = {
	[SIM_FAULT_BOOT_DEAD] = {"boot-dead", "[=N]",
		"the firmware does not start: the next N boots (default: every one)",
		ARGS_OPTIONAL, NULL, 1, {1}, {1000}, {NO_LIMIT}, 0, 0, false},
	[SIM_FAULT_BOOT_SLOW] = {"boot-slow", "=MS",
		"the firmware takes MS milliseconds to start",
		ARGS_REQUIRED, NULL, 1, {1}, {600000}, {0}, -1, NO_LIMIT, false},
	[SIM_FAULT_IRQ_LATE] = {"irq-late", "=MS",
		"every interrupt comes MS milliseconds late",
		ARGS_REQUIRED, NULL, 1, {1}, {60000}, {0}, -1, NO_LIMIT, false},
	[SIM_FAULT_IRQ_LOST] = {"irq-lost", "[=N]",
		"one interrupt in N does not arrive (default: only the next one)",
		ARGS_OPTIONAL, NULL, 1, {1}, {1000000}, {1}, -1, 1, false},
	[SIM_FAULT_IRQ_DOUBLED] = {"irq-doubled", "",
		"every interrupt comes twice",
		ARGS_NONE, NULL, 0, {0}, {0}, {0}, -1, NO_LIMIT, false},
	[SIM_FAULT_MD5_BAD] = {"md5-bad", "[=N]",
		"the next N answers of the firmware carry a wrong MD5 (default 1)",
		ARGS_OPTIONAL, NULL, 1, {1}, {1000}, {1}, 0, 0, false},
	[SIM_FAULT_CONTROL_SILENT] = {"control-silent", "[=OPCODE[:N]]",
		"the next N controls of that opcode (default: one, of any) are neither done nor answered",
		ARGS_OPTIONAL, NULL, 2, {0, 1}, {FW_OPCODES - 1, 1000}, {0, 1}, 1, 0, false},
	[SIM_FAULT_CONTROL_ERROR] = {"control-error", "=N[:STATUS]",
		"the Nth control from now is refused (default status 0x4003005d)",
		ARGS_REQUIRED, NULL, 2, {1, 1}, {1000000, UINT32_MAX}, {0, 0x4003005du}, -1, 1, true},
	[SIM_FAULT_DESC_ERROR] = {"desc-error", "[=CH]",
		"the next transfer of boundary channel CH (default: of any) ends in a channel error",
		ARGS_OPTIONAL, NULL, 1, {0}, {CHIP_VDMA_CHANNELS - 1}, {0}, -1, 1, false},
	[SIM_FAULT_CHANNEL_STUCK] = {"channel-stuck", "=CH",
		"channel CH moves nothing any more until a network opens it again",
		ARGS_REQUIRED, NULL, 1, {0}, {CHIP_VDMA_CHANNELS - 1}, {0}, -1, 1, false},
	[SIM_FAULT_COMPLETION_WRONG] = {"completion-wrong", "[=ahead|back|few]",
		"an output's processed counter is far ahead (default), far back, or one transfer too few",
		ARGS_OPTIONAL, count_lies, 1, {0}, {0}, {SIM_COUNT_AHEAD}, -1, 1, false},
	[SIM_FAULT_CTX_ERROR] = {"ctx-error", "[=STATUS[:CONTEXT]]",
		"the firmware stops the network during a frame: event 12 (default status 0x4013007c); "
		"in dynamic context CONTEXT (default: any)",
		ARGS_OPTIONAL, NULL, 2, {1, 0}, {UINT32_MAX, 1020}, {0x4013007cu}, -1, 1, false},
	[SIM_FAULT_REMOVED] = {"removed", "",
		"the card is pulled out: all reads give ones, from then on",
		ARGS_NONE, NULL, 0, {0}, {0}, {0}, -1, 1, false},
	[SIM_FAULT_OVERHEAT] = {"overheat", "[=STEP_MS[:COOL_MS]]",
		"orange alarm, red alarm, streams closed (a step each, default 20 ms), cool after COOL_MS (200)",
		ARGS_OPTIONAL, NULL, 2, {1, 1}, {60000, 600000}, {20, 200}, -1, 1, false},
	[SIM_FAULT_FW_CRASH] = {"fw-crash", "",
		"the firmware stops: no answers, no transfers, until a function reset",
		ARGS_NONE, NULL, 0, {0}, {0}, {0}, -1, 1, false},
	[SIM_FAULT_FW_REBOOT] = {"fw-reboot", "[=MS]",
		"the firmware stops and MS later (default 50) the chip is in its boot loader",
		ARGS_OPTIONAL, NULL, 1, {1}, {60000}, {50}, -1, 1, false},
	[SIM_FAULT_EVENT_STORM] = {"event-storm", "[=N]",
		"N events as fast as the host takes them (default 500)",
		ARGS_OPTIONAL, NULL, 1, {1}, {1000000}, {500}, -1, 1, false},
	[SIM_FAULT_ECC] = {"ecc", "[=BITMAP]",
		"a corrected memory error of the processors (default 0x1000), at boot unless told otherwise",
		ARGS_OPTIONAL, NULL, 1, {1}, {UINT32_MAX}, {0x1000}, -1, 1, false},
	[SIM_FAULT_ECC_FATAL] = {"ecc-fatal", "[=BITMAP]",
		"a memory error of the processors that cannot be corrected (default 0x1000)",
		ARGS_OPTIONAL, NULL, 1, {1}, {UINT32_MAX}, {0x1000}, -1, 1, false},
	[SIM_FAULT_CREDITS_WRONG] = {"credits-wrong", "=CH[:N]",
		"the firmware makes N descriptors (default 1) too few available on internal channel CH",
		ARGS_REQUIRED, NULL, 2, {0, 1}, {CHIP_VDMA_CHANNELS - 1, 65535}, {0, 1}, -1, 1, false},
	[SIM_FAULT_CFG_CORRUPT] = {"cfg-corrupt", "[=CONTEXT]",
		"a byte of what dynamic context CONTEXT (default: any) fetches as configuration is damaged",
		ARGS_OPTIONAL, NULL, 1, {0}, {1020}, {0}, -1, 1, false},
};
/* clang-format on */

static const char *const moments[] = {
    [SIM_AT_FRAME] = "frame",
    [SIM_AT_CONTROL] = "control",
    [SIM_AT_MMIO] = "mmio",
    [SIM_AT_MS] = "ms",
};

/* --------------------------------------------------------------------------- grammar */

bool mock_fault_help(size_t i, struct mock_fault_help *out)
{
	if (i >= SIM_FAULT_IDS)
		return false;
	*out = (struct mock_fault_help){faults[i].name, faults[i].args, faults[i].help};
	return true;
}

static int bad(char *why, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int bad(char *why, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, size, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static bool number(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*out = strtoull(text, &end, 0);
	return !errno && !*end && *out >= min && *out <= max;
}

static int parse_arg(const struct fault *f, struct sim_order *o, unsigned int i, const char *text,
		     char *why, size_t size)
{
	uint64_t v = 0;

	if (i >= f->max_args)
		return bad(why, size, "fault %s takes %s", f->name,
			   f->max_args ? "fewer arguments" : "no argument");
	if (f->words) {
		while (f->words[v] && strcmp(f->words[v], text) != 0)
			v++;
		if (!f->words[v])
			return bad(why, size, "fault %s%s: not '%s'", f->name, f->args, text);
	} else if (!number(text, f->min[i], f->max[i], &v)) {
		return bad(why, size, "fault %s%s: '%s' is not a number from %u to %u", f->name,
			   f->args, text, f->min[i], f->max[i]);
	}
	o->arg[i] = (uint32_t)v;
	o->given[i] = true;
	return 0;
}

static int parse_moment(const struct fault *f, struct sim_order *o, char *text, char *why,
			size_t size)
{
	char *value = strchr(text, '=');

	if (f->no_moment)
		return bad(why, size, "fault %s%s says when by itself", f->name, f->args);
	if (value)
		*value++ = 0;
	for (unsigned int m = SIM_AT_FRAME; m < ARRAY_SIZE(moments); m++) {
		if (strcmp(text, moments[m]) == 0)
			o->moment = (enum sim_moment)m;
	}
	if (o->moment == SIM_AT_ONCE || !value || !number(value, 1, UINT32_MAX, &o->at))
		return bad(why, size,
			   "fault %s: a moment is @frame=N, @control=N, @mmio=N or @ms=T", f->name);
	return 0;
}

static int parse_one(char *spec, struct sim_order *o, char *why, size_t size)
{
	char *moment = strchr(spec, '@'), *args, *next;
	const struct fault *f = faults;
	int r = 0;

	if (moment)
		*moment++ = 0;
	args = strchr(spec, '=');
	if (args)
		*args++ = 0;
	while (f < faults + SIM_FAULT_IDS && strcmp(f->name, spec) != 0)
		f++;
	if (f == faults + SIM_FAULT_IDS)
		return bad(why, size, "there is no fault '%s'", spec);
	*o = (struct sim_order){.id = (enum sim_fault_id)(f - faults)};
	o->arg[0] = f->preset[0];
	o->arg[1] = f->preset[1];
	if (!args && f->kind == ARGS_REQUIRED)
		return bad(why, size, "fault %s%s: the argument is missing", f->name, f->args);
	for (unsigned int i = 0; args && r == 0; i++, args = next) {
		next = strchr(args, ':');
		if (next)
			*next++ = 0;
		r = parse_arg(f, o, i, args, why, size);
	}
	if (r == 0 && moment)
		r = parse_moment(f, o, moment, why, size);
	if (r < 0)
		return r;
	o->left = f->count_arg >= 0 ? o->arg[f->count_arg] : f->strikes;
	if (o->id == SIM_FAULT_IRQ_LOST && o->given[0])
		o->left = NO_LIMIT;
	if (o->id == SIM_FAULT_CONTROL_ERROR) {
		o->moment = SIM_AT_CONTROL;
		o->at = o->arg[0];
	}
	return 0;
}

static int parse(const char *specs, struct sim_order *out, unsigned int room, unsigned int *count,
		 char *why, size_t size)
{
	unsigned int n = 0;
	int r;

	for (const char *at = specs; *at; n++) {
		size_t len = strcspn(at, ",");
		char spec[SPEC_MAX];

		if (n == room)
			return bad(why, size, "at most %u faults can be ordered at a time",
				   SIM_ORDERS_MAX);
		if (len >= sizeof(spec))
			return bad(why, size, "there is no fault '%.40s...'", at);
		memcpy(spec, at, len);
		spec[len] = 0;
		r = parse_one(spec, &out[n], why, size);
		if (r < 0)
			return r;
		at += len + (at[len] == ',');
	}
	*count = n;
	return 0;
}

int mock_fault_check(const char *specs, char *why, size_t size)
{
	struct sim_order order[SIM_ORDERS_MAX];
	unsigned int n;

	return parse(specs, order, SIM_ORDERS_MAX, &n, why, size);
}

/* ---------------------------------------------------------------------------- orders */

static uint64_t counter(const struct mock_chip *chip, enum sim_moment moment)
{
	const struct sim_faults *f = &chip->faults;

	return moment == SIM_AT_FRAME	  ? f->frames
	       : moment == SIM_AT_CONTROL ? f->controls
	       : moment == SIM_AT_MMIO	  ? f->mmio
					  : 0;
}

int sim_fault_order(struct mock_chip *chip, const char *specs, char *why, size_t size)
{
	struct sim_faults *f = &chip->faults;
	unsigned int n, keep = 0;
	int r;

	for (unsigned int i = 0; i < f->n; i++) { /* what is over makes room */
		if (!f->order[i].over)
			f->order[keep++] = f->order[i];
	}
	f->n = keep;
	r = parse(specs, f->order + f->n, SIM_ORDERS_MAX - f->n, &n, why, size);
	if (r < 0)
		return r;
	for (unsigned int i = f->n; i < f->n + n; i++) {
		struct sim_order *o = &f->order[i];

		if (o->moment == SIM_AT_MS)
			o->at = util_now_ns() + o->at * MS;
		else
			o->at += counter(chip, o->moment);
	}
	f->n += n;
	return 0;
}

int mock_chip_set_fault(struct mock_chip *chip, const char *specs, char *why, size_t size)
{
	int r;

	pthread_mutex_lock(&chip->lock);
	r = sim_fault_order(chip, specs, why, size);
	pthread_cond_signal(&chip->fw_cond); /* it looks at once, and sets its timer */
	pthread_mutex_unlock(&chip->lock);
	return r;
}

void mock_chip_clear_fault(struct mock_chip *chip, const char *name)
{
	struct sim_faults *f = &chip->faults;
	bool back = false;

	pthread_mutex_lock(&chip->lock);
	for (unsigned int i = 0; i < f->n; i++) {
		struct sim_order *o = &f->order[i];

		if (name && strcmp(faults[o->id].name, name) != 0)
			continue;
		o->over = true;
		back |= o->id == SIM_FAULT_REMOVED && f->removed;
	}
	if (back) { /* put in again: a fresh card */
		f->removed = false;
		sim_quiesce(chip);
		sim_config_reset(chip);
		sim_power_on(chip, false);
	}
	pthread_mutex_unlock(&chip->lock);
}

uint64_t mock_chip_fault_count(struct mock_chip *chip, const char *name)
{
	uint64_t n = 0;

	pthread_mutex_lock(&chip->lock);
	for (size_t i = 0; i < SIM_FAULT_IDS; i++) {
		if (strcmp(faults[i].name, name) == 0)
			n = chip->faults.struck[i];
	}
	pthread_mutex_unlock(&chip->lock);
	return n;
}

static bool due(const struct mock_chip *chip, const struct sim_order *o)
{
	if (o->over)
		return false;
	if (o->moment == SIM_AT_MS)
		return util_now_ns() >= o->at;
	return counter(chip, o->moment) >= o->at;
}

/* The latest order comes first: who orders again wants what he said last. */
static struct sim_order *find(struct mock_chip *chip, enum sim_fault_id id, bool any,
			      uint32_t value)
{
	for (unsigned int i = chip->faults.n; i > 0; i--) {
		struct sim_order *o = &chip->faults.order[i - 1];

		if (o->id == id && (any || !o->given[0] || o->arg[0] == value) && due(chip, o))
			return o;
	}
	return NULL;
}

struct sim_order *sim_fault_due(struct mock_chip *chip, enum sim_fault_id id)
{
	return find(chip, id, true, 0);
}

struct sim_order *sim_fault_due_for(struct mock_chip *chip, enum sim_fault_id id, uint32_t value)
{
	return find(chip, id, false, value);
}

void sim_fault_strike(struct mock_chip *chip, struct sim_order *o)
{
	chip->faults.struck[o->id]++;
	if (o->left && !--o->left)
		o->over = true;
	hw_log(HW_LOG_DEBUG, "software chip: fault %s strikes", faults[o->id].name);
}

/* --------------------------------------------------------------------------- moments */

void sim_fault_frame(struct mock_chip *chip)
{
	chip->faults.frames++;
	sim_fault_poll(chip);
}

void sim_fault_control(struct mock_chip *chip)
{
	chip->faults.controls++;
	sim_fault_poll(chip);
}

void sim_fault_mmio(struct mock_chip *chip)
{
	chip->faults.mmio++;
	sim_fault_poll(chip);
}
