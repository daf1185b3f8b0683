// SPDX-License-Identifier: MIT
/* hwctl fw info: take a firmware image apart without a card. */
#include "hwctl/hwctl.h"

#include <stdio.h>
#include <stdlib.h>

#include "chip/chip.h"

static void add_part(cJSON *o, const char *name, uint32_t major, uint32_t minor, uint32_t revision,
		     struct span code)
{
	cJSON *p = cJSON_AddObjectToObject(o, name);
	char text[48];

	snprintf(text, sizeof(text), "%u.%u.%u", major, minor, revision & FW_REVISION_NUMBER);
	cJSON_AddStringToObject(p, "version", text);
	cJSON_AddNumberToObject(p, "revision_word", revision);
	cJSON_AddNumberToObject(p, "code_bytes", (double)code.len);
}

static void print_part(const char *name, uint32_t major, uint32_t minor, uint32_t revision,
		       struct span code)
{
	printf("%-12s %u.%u.%u (revision word 0x%08x), %zu bytes of code\n", name, major, minor,
	       revision & FW_REVISION_NUMBER, revision, code.len);
}

int cmd_fw_info(const struct options *opt, int argc, char **argv)
{
	struct chip_firmware fw;
	struct hw_error err = {0};
	uint8_t *image;
	size_t len;
	int r;

	if (argc > 1 && argv[1][0] == '-')
		return usage_error("fw info does not know '%s'", argv[1]);
	if (argc != 2)
		return usage_error("fw info wants one FILE");
	r = util_read_file(argv[1], CHIP_FW_FILE_MAX, &image, &len, &err);
	if (r < 0)
		return report(opt, r, &err);
	r = chip_firmware_parse((struct span){image, len}, &fw, &err);
	if (r < 0) {
		hw_fail_context(&err, r, "%s", argv[1]);
		report(opt, r, &err);
	} else if (opt->json) {
		cJSON *o = cJSON_CreateObject();

		cJSON_AddNumberToObject(o, "bytes", (double)len);
		add_part(o, "app", fw.major, fw.minor, fw.revision, fw.app_code);
		add_part(o, "core", fw.core_major, fw.core_minor, fw.core_revision, fw.core_code);
		cJSON_AddNumberToObject(o, "key_certificate_bytes", (double)fw.key_cert.len);
		cJSON_AddNumberToObject(o, "content_certificate_bytes", (double)fw.content_cert.len);
		cJSON_AddBoolToObject(o, "supported",
				      fw.major == FW_SUPPORTED_MAJOR && fw.minor == FW_SUPPORTED_MINOR);
		print_json(o);
	} else {
		printf("%s: a Hailo-8 firmware image of %zu bytes\n", argv[1], len);
		print_part("app CPU", fw.major, fw.minor, fw.revision, fw.app_code);
		print_part("core CPU", fw.core_major, fw.core_minor, fw.core_revision, fw.core_code);
		printf("%-12s key %zu bytes, content %zu bytes\n", "certificates", fw.key_cert.len,
		       fw.content_cert.len);
		if (fw.major != FW_SUPPORTED_MAJOR || fw.minor != FW_SUPPORTED_MINOR)
			printf("this driver speaks the protocol of %u.%u and will not use it\n",
			       FW_SUPPORTED_MAJOR, FW_SUPPORTED_MINOR);
	}
	free(image);
	return r < 0 ? EXIT_BAD_FILE : EXIT_OK;
}
