// SPDX-License-Identifier: MIT
/* hwctl list, info, boot, reset: is there a card, what is it, and does it start? */
#include "hwctl/hwctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static cJSON *card_json(const struct hw_card *c)
{
	cJSON *o = cJSON_CreateObject();
	char ids[16];

	cJSON_AddStringToObject(o, "bdf", c->bdf);
	snprintf(ids, sizeof(ids), "%04x:%04x", c->vendor, c->device);
	cJSON_AddStringToObject(o, "id", ids);
	snprintf(ids, sizeof(ids), "%04x:%04x", c->subsys_vendor, c->subsys_device);
	cJSON_AddStringToObject(o, "subsystem", ids);
	cJSON_AddStringToObject(o, "driver", c->driver);
	if (c->iommu_group >= 0)
		cJSON_AddNumberToObject(o, "iommu_group", c->iommu_group);
	else
		cJSON_AddNullToObject(o, "iommu_group");
	return o;
}

int cmd_list(const struct options *opt, int argc, char **argv)
{
	struct hw_card *cards = NULL;
	struct hw_error err = {0};
	size_t n = 0;
	int r;

	if (argc > 1)
		return usage_error("list takes no argument '%s'", argv[1]);
	r = hw_card_list(&cards, &n, &err);
	if (r < 0)
		return report(opt, r, &err);
	if (opt->json) {
		cJSON *o = cJSON_CreateObject(), *a = cJSON_AddArrayToObject(o, "cards");
		cJSON *soft = cJSON_AddArrayToObject(o, "software");

		for (size_t i = 0; i < n; i++)
			cJSON_AddItemToArray(a, card_json(&cards[i]));
		cJSON_AddItemToArray(soft, cJSON_CreateString("mock:8"));
		cJSON_AddItemToArray(soft, cJSON_CreateString("mock:8l"));
		print_json(o);
	} else {
		for (size_t i = 0; i < n; i++) {
			char group[16] = "none";

			if (cards[i].iommu_group >= 0)
				snprintf(group, sizeof(group), "%d", cards[i].iommu_group);
			printf("%s  Hailo-8 family [%04x:%04x]  driver %s  IOMMU group %s\n",
			       cards[i].bdf, cards[i].vendor, cards[i].device,
			       cards[i].driver[0] ? cards[i].driver : "none", group);
		}
		if (!n)
			puts("no Hailo-8 family card on PCI");
		puts("mock:8        a Hailo-8 in software (also \"mock\")");
		puts("mock:8l       a Hailo-8L in software");
	}
	free(cards);
	return EXIT_OK;
}

cJSON *device_json(const struct hw_dev_info *info)
{
	cJSON *o = cJSON_CreateObject();
	char fw[48];

	cJSON_AddStringToObject(o, "backend", info->backend);
	if (info->iommu[0])
		cJSON_AddStringToObject(o, "iommu", info->iommu);
	cJSON_AddStringToObject(o, "bdf", info->bdf);
	cJSON_AddBoolToObject(o, "software_chip", info->software_chip);
	cJSON_AddBoolToObject(o, "booted", info->booted);
	cJSON_AddNumberToObject(o, "max_desc_page", info->max_desc_page);
	if (!info->booted)
		return o;
	cJSON_AddStringToObject(o, "arch", info->arch_name);
	snprintf(fw, sizeof(fw), "%u.%u.%u", info->fw_major, info->fw_minor, info->fw_revision);
	cJSON_AddStringToObject(o, "firmware", fw);
	cJSON_AddStringToObject(o, "board_name", info->board_name);
	cJSON_AddStringToObject(o, "serial", info->serial);
	cJSON_AddStringToObject(o, "part_number", info->part_number);
	cJSON_AddStringToObject(o, "product_name", info->product_name);
	cJSON_AddNumberToObject(o, "clock_hz", info->clock_hz);
	cJSON_AddNumberToObject(o, "clusters", info->clusters);
	return o;
}

static void print_text(const char *label, const char *value)
{
	printf("%-16s %s\n", label, value[0] ? value : "(empty)");
}

static void print_device(const struct hw_dev_info *info)
{
	char text[64];

	snprintf(text, sizeof(text), "%s (%s%s)", info->bdf, info->backend,
		 info->software_chip ? ", a chip in software" : "");
	print_text("device", text);
	if (info->iommu[0])
		print_text("IOMMU", strcmp(info->iommu, "none") ? info->iommu
							       : "none: nothing bounds the chip's DMA");
	snprintf(text, sizeof(text), "%u bytes", info->max_desc_page);
	print_text("largest page", text);
	if (!info->booted) {
		print_text("state", "answers; not booted (--no-boot)");
		return;
	}
	print_text("architecture", info->arch_name);
	snprintf(text, sizeof(text), "%u.%u.%u", info->fw_major, info->fw_minor, info->fw_revision);
	print_text("firmware", text);
	print_text("board", info->board_name);
	print_text("serial", info->serial);
	print_text("part number", info->part_number);
	print_text("product", info->product_name);
	snprintf(text, sizeof(text), "%.0f MHz", info->clock_hz / 1e6);
	print_text("core clock", text);
	if (info->clusters) {
		snprintf(text, sizeof(text), "0x%02x", info->clusters);
		print_text("clusters", text);
	}
}

static int open_and_print(const struct options *opt, bool no_boot, bool timed)
{
	uint64_t start = util_now_ns();
	struct hw_dev_info info;
	struct hw_error err = {0};
	int status = EXIT_FAILED, r = 0;
	struct hw_dev *dev = open_device(opt, no_boot, &status);
	double ms;

	if (!dev)
		return status;
	ms = (double)(util_now_ns() - start) / 1e6;
	hw_dev_get_info(dev, &info);
	if (!no_boot)
		r = hw_dev_query_info(dev, &info, &err);
	if (r < 0) {
		status = report(opt, r, &err);
		hw_dev_close(dev);
		return status;
	}
	if (opt->json) {
		cJSON *o = device_json(&info);

		if (timed)
			cJSON_AddNumberToObject(o, "boot_ms", ms);
		print_json(o);
	} else if (timed) {
		printf("%s: booted in %.0f ms, firmware %u.%u.%u on %s\n", info.bdf, ms, info.fw_major,
		       info.fw_minor, info.fw_revision, info.arch_name);
	} else {
		print_device(&info);
	}
	hw_dev_close(dev);
	return EXIT_OK;
}

int cmd_info(const struct options *opt, int argc, char **argv)
{
	bool no_boot = argc > 1 && strcmp(argv[1], "--no-boot") == 0;

	if (argc > 1 + no_boot)
		return usage_error("info takes no argument '%s'", argv[1 + no_boot]);
	return open_and_print(opt, no_boot, false);
}

int cmd_boot(const struct options *opt, int argc, char **argv)
{
	if (argc > 1)
		return usage_error("boot takes no argument '%s'", argv[1]);
	return open_and_print(opt, false, true);
}

int cmd_reset(const struct options *opt, int argc, char **argv)
{
	struct hw_error err = {0};
	struct hw_dev_info info;
	int status = EXIT_FAILED, r;
	struct ticker *t;
	struct hw_dev *dev;
	uint64_t start;
	double ms;

	if (argc > 1)
		return usage_error("reset takes no argument '%s'", argv[1]);
	dev = open_device(opt, false, &status);
	if (!dev)
		return status;
	start = util_now_ns();
	t = ticker_start(opt, "resetting");
	r = hw_dev_reset(dev, &err);
	ticker_stop(t);
	ms = (double)(util_now_ns() - start) / 1e6;
	if (r == 0)
		r = hw_dev_query_info(dev, &info, &err);
	if (r < 0) {
		status = report(opt, r, &err);
	} else if (opt->json) {
		cJSON *o = device_json(&info);

		cJSON_AddNumberToObject(o, "reset_ms", ms);
		print_json(o);
		status = EXIT_OK;
	} else {
		printf("%s: reset and booted in %.0f ms, firmware %u.%u.%u on %s\n", info.bdf, ms,
		       info.fw_major, info.fw_minor, info.fw_revision, info.arch_name);
		status = EXIT_OK;
	}
	hw_dev_close(dev);
	return status;
}
