// SPDX-License-Identifier: MIT
#include "support/fakechip.h"
#include "support/support.h"

#include "chip/chip.h"

/* 24 + 100 + 8 + 40 + 20 + 24 + 84 */
static uint8_t *image(size_t *len)
{
	return fake_firmware(100, 40, 20, 84, len);
}

static void takes_an_image_apart(void **state)
{
	struct chip_firmware fw;
	struct hw_error err;
	size_t len;
	uint8_t *b = image(&len);

	(void)state;
	assert_int_equal(len, 300);
	assert_ok(chip_firmware_parse((struct span){b, len}, &fw, &err), &err);
	assert_int_equal(fw.major, 4);
	assert_int_equal(fw.minor, 23);
	assert_int_equal(fw.revision, 0x20000000);
	assert_int_equal(fw.core_major, 4);
	assert_int_equal(fw.core_minor, 23);
	assert_int_equal(fw.core_revision, 0x28000000);
	assert_ptr_equal(fw.app_header.ptr, b);
	assert_int_equal(fw.app_header.len, 24);
	assert_ptr_equal(fw.app_code.ptr, b + 24);
	assert_int_equal(fw.app_code.len, 100);
	assert_ptr_equal(fw.key_cert.ptr, b + 132);
	assert_int_equal(fw.key_cert.len, 40);
	assert_ptr_equal(fw.content_cert.ptr, b + 172);
	assert_int_equal(fw.content_cert.len, 20);
	assert_ptr_equal(fw.core_header.ptr, b + 192);
	assert_int_equal(fw.core_header.len, 24);
	assert_ptr_equal(fw.core_code.ptr, b + 216);
	assert_int_equal(fw.core_code.len, 84);
	free(b);
}

static void refuses_every_other_length(void **state)
{
	struct chip_firmware fw;
	size_t len;
	uint8_t *b = image(&len);

	(void)state;
	b = realloc(b, len + 1);
	assert_non_null(b);
	b[len] = 0;
	for (size_t n = 0; n <= len + 1; n++) {
		/* A copy of the exact size, so that a read behind it is seen by ASan. */
		uint8_t *cut = malloc(n ? n : 1);

		memcpy(cut, b, n);
		assert_int_equal(chip_firmware_parse((struct span){cut, n}, &fw, NULL),
				 n == len ? 0 : -EINVAL);
		free(cut);
	}
	free(b);
}

static void refuses_bad_fields(void **state)
{
	static const struct {
		size_t off;
		uint32_t value;
		int result;
		const char *words;
	} cases[] = {
		{0, 0xe905daab, -EINVAL, "magic"}, /* a Hailo-15's */
		{4, 1, -EINVAL, "version 1"},
		{20, 79, -EINVAL, "79 bytes"},
		{20, 0x40001, -EINVAL, "262145 bytes"},
		{20, 0xffffffff, -EINVAL, "4294967295"},
		{124, 0x349, -EINVAL, "841"},
		{128, 0x5f1, -EINVAL, "1521"},
		{124, 0xffffffff, -EINVAL, "4294967295"},
		{192, 0, -EINVAL, "core CPU magic"},
		{196, 2, -EINVAL, "core CPU header has version 2"},
		{212, 0x20001, -EINVAL, "core CPU code is 131073"},
		{8, 5, 0, ""}, /* versions are for the caller to judge */
	};
	struct chip_firmware fw;
	struct hw_error err = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len;
		uint8_t *b = image(&len);

		put_le32(b + cases[i].off, cases[i].value);
		assert_int_equal(chip_firmware_parse((struct span){b, len}, &fw, &err), cases[i].result);
		if (cases[i].result && !strstr(err.text, cases[i].words))
			fail_msg("case %zu: \"%s\" does not say \"%s\"", i, err.text, cases[i].words);
		free(b);
	}
}

static void takes_the_largest_sizes(void **state)
{
	static const struct {
		uint32_t app, key, content, core;
		int result;
	} cases[] = {
		{80, 0, 0, 80, 0},
		{0x2f000, 0x348, 0x5f0, 0x20000, 0},
		{0x40000, 0, 0, 80, 0},
		{0x40000, 0, 0, 0x10000, -EINVAL}, /* the parts are fine, the file is over 0x50000 */
	};
	struct chip_firmware fw;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len;
		uint8_t *b = fake_firmware(cases[i].app, cases[i].key, cases[i].content, cases[i].core,
					   &len);

		assert_int_equal(chip_firmware_parse((struct span){b, len}, &fw, NULL), cases[i].result);
		free(b);
	}
}

static void the_synthetic_image_is_well_formed(void **state)
{
	struct chip_firmware fw;
	struct hw_error err;
	uint8_t *b;
	size_t len;

	(void)state;
	assert_int_equal(chip_firmware_synthetic(&b, &len), 0);
	assert_ok(chip_firmware_parse((struct span){b, len}, &fw, &err), &err);
	assert_int_equal(fw.major, 4);
	assert_int_equal(fw.minor, 23);
	/* bit 27 tells APP from CORE (pcie 3.2) */
	assert_int_equal(fw.revision & 0x08000000, 0);
	assert_int_equal(fw.core_revision & 0x08000000, 0x08000000);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_an_image_apart),
		cmocka_unit_test(refuses_every_other_length),
		cmocka_unit_test(refuses_bad_fields),
		cmocka_unit_test(takes_the_largest_sizes),
		cmocka_unit_test(the_synthetic_image_is_well_formed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
