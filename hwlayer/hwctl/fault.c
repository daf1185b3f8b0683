// SPDX-License-Identifier: MIT
/* --fault: the chip in software shall misbehave (docs/mock.md). */
#include "hwctl/hwctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mock/mock.h"

static void print_faults(void)
{
	struct mock_fault_help f;

	puts("Faults that a chip in software can have: --fault NAME[=ARG][@MOMENT]\n");
	for (size_t i = 0; mock_fault_help(i, &f); i++) {
		char name[48];

		snprintf(name, sizeof(name), "%s%s", f.name, f.args);
		printf("  %-34s %s\n", name, f.help);
	}
	puts("\nMoments, counted from when the chip is powered on:\n\n"
	     "  @frame=N    the Nth inference is about to be computed\n"
	     "  @control=N  the Nth control arrives (IDENTIFY is the first)\n"
	     "  @mmio=N     the Nth register access\n"
	     "  @ms=T       T milliseconds\n\n"
	     "Without one a fault strikes at the first occasion.  --fault may be given several "
	     "times, and\n"
	     "only with --device mock, mock:8 or mock:8l.");
}

int fault_option(struct options *opt, const char *spec)
{
	size_t len = strlen(opt->faults);
	char why[160];

	if (strcmp(spec, "help") == 0) {
		print_faults();
		exit(EXIT_OK);
	}
	if (mock_fault_check(spec, why, sizeof(why)) < 0)
		return usage_error("--fault: %s (--fault help lists them)", why);
	if (len + strlen(spec) + 2 > sizeof(opt->faults))
		return usage_error("--fault: too many faults");
	snprintf(opt->faults + len, sizeof(opt->faults) - len, "%s%s", len ? "," : "", spec);
	if (mock_fault_check(opt->faults, why, sizeof(why)) < 0)
		return usage_error("--fault: %s", why);
	return EXIT_OK;
}

int fault_device(const struct options *opt)
{
	static const char *const names[] = {"mock", "mock:8", "mock:8l"};

	for (size_t i = 0; opt->device && i < ARRAY_SIZE(names); i++) {
		if (strcmp(opt->device, names[i]) == 0)
			return EXIT_OK;
	}
	return opt->faults[0] ? usage_error("--fault is for --device mock, mock:8 and mock:8l")
			      : EXIT_OK;
}
