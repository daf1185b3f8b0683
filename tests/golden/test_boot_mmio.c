// SPDX-License-Identifier: MIT
/*
 * The registers of a boot, as --record-mmio writes them for the software chip, against the capture
 * from a real one: from the last word of the core code to IMASK = 0, every access, in order.
 */
#include "support/fakechip.h"
#include "support/support.h"

#define CORE_CODE_BYTES 0xe98c /* of the captured image */

struct access {
	unsigned int bar, off, width, value;
	char rw;
};

static bool next_access(char **save, struct access *a)
{
	char *line;
	double time;

	/* The heading, log lines and the extractor's remarks have no fields; 0x98 is a matter of
	 * taste. */
	while ((line = strtok_r(NULL, "\n", save)))
		if (sscanf(line, "%lf\t%u\t%x\t%u\t%c\t%x", &time, &a->bar, &a->off, &a->width,
			   &a->rw, &a->value) == 6 &&
		    (a->bar != 0 || a->off != 0x98))
			return true;
	return false;
}

/* To the write of the last code word, through the window at 0xce000. */
static bool last_code_word(char **save, struct access *a)
{
	bool page = false;

	while (next_access(save, a)) {
		if (a->rw == 'W' && a->bar == 0 && a->off == 0x708)
			page = a->value == 0xce000;
		if (page && a->rw == 'W' && a->bar == 4 && a->off == 0x988)
			return true;
	}
	return false;
}

static char *record_boot(void)
{
	char firmware[300], record[300];
	struct hw_error err = {0};
	struct hw_dev *dev;
	size_t len;
	uint8_t *image = fake_firmware(4096, 64, 64, CORE_CODE_BYTES, &len);
	struct hw_dev_options o = {
	    .device = "mock:8l", .firmware = firmware, .record_mmio = record};

	snprintf(firmware, sizeof(firmware), "%s/fw.bin", tmp_dir());
	snprintf(record, sizeof(record), "%s/boot.tsv", tmp_dir());
	spit(firmware, image, len);
	free(image);
	assert_ok(hw_dev_open(&o, &dev, &err), &err);
	hw_dev_close(dev);
	return (char *)slurp(record, NULL);
}

static void boot(void **state)
{
	char *captured = (char *)slurp(shared_path("traces/boot-mmio.tsv"), NULL);
	char *ours = record_boot(), *save_ours, *save_captured;
	struct access a, want;
	unsigned int n = 0;

	(void)state;
	strtok_r(ours, "\n", &save_ours);
	strtok_r(captured, "\n", &save_captured);
	assert_true(last_code_word(&save_ours, &a));
	assert_true(last_code_word(&save_captured, &want));
	do {
		/* the code is not ours */
		bool code = want.bar == 4 && want.off == 0x988;

		if (a.bar != want.bar || a.off != want.off || a.width != want.width ||
		    a.rw != want.rw || (!code && a.value != want.value))
			fail_msg(
			    "access %u: %c BAR%u 0x%x = 0x%08x, captured %c BAR%u 0x%x = 0x%08x", n,
			    a.rw, a.bar, a.off, a.value, want.rw, want.bar, want.off, want.value);
		n++;
	} while ((want.off != 0x188 || want.bar != 0) && next_access(&save_captured, &want) &&
		 next_access(&save_ours, &a));
	assert_true(want.bar == 0 && want.off == 0x188 && want.rw == 'W' && want.value == 0);
	assert_int_equal(n, 80);
	free(ours);
	free(captured);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(boot)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
