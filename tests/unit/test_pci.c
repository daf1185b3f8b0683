// SPDX-License-Identifier: MIT
#include "support/support.h"

#include <sys/stat.h>
#include <unistd.h>

#include "pci/card.h"

static void addresses(void **state)
{
	static const struct {
		const char *text, *bdf; /* NULL: refused */
	} cases[] = {
		{"0000:01:00.0", "0000:01:00.0"}, {"01:00.0", "0000:01:00.0"},
		{"0001:0a:1f.7", "0001:0a:1f.7"}, {"AB:CD.0", NULL},
		{"ab:1c.3", "0000:ab:1c.3"},	  {"AB:1C.3", "0000:ab:1c.3"},
		{"", NULL},			  {"0", NULL},
		{"auto", NULL},			  {"mock", NULL},
		{"01:00", NULL},		  {"01:00.8", NULL},
		{"01:20.0", NULL},		  {"01:00.0x", NULL},
		{"01:00.0 ", NULL},		  {" 01:00.0", NULL},
		{"00001:01:00.0", NULL},	  {"-1:00.0", NULL},
		{"0000:01:00.0:1", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char bdf[16] = "untouched";
		int r = pci_parse_bdf(cases[i].text, bdf);

		if (r != (cases[i].bdf ? 0 : -EINVAL) ||
		    strcmp(bdf, cases[i].bdf ? cases[i].bdf : "untouched") != 0)
			fail_msg("'%s': %d, %s", cases[i].text, r, bdf);
	}
}

static void put_text(const char *dir, const char *name, const char *value)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	spit(path, value, strlen(value));
}

/* DIR/NAME leads to BUS/FOLDER/TARGET, which is made. */
static void put_link(const char *bus, const char *dir, const char *name, const char *folder,
		     const char *target)
{
	char path[512], link[128];

	snprintf(path, sizeof(path), "%s/%s", bus, folder);
	(void)mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/%s/%s", bus, folder, target);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(link, sizeof(link), "../../%s/%s", folder, target);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(symlink(link, path), 0);
}

/* A device as the kernel's sysfs shows one. */
static void add_device(const char *bus, const char *bdf, unsigned int device, unsigned int subvendor,
		       unsigned int subdevice, const char *driver, const char *group)
{
	char dir[400], line[64], path[512];
	uint8_t config[64] = {0};

	snprintf(dir, sizeof(dir), "%s/devices/%s", bus, bdf);
	assert_int_equal(mkdir(dir, 0755), 0);
	put_text(dir, "vendor", "0x1e60\n");
	snprintf(line, sizeof(line), "0x%04x\n", device);
	put_text(dir, "device", line);
	put_text(dir, "class", "0x0b4000\n");
	put_text(dir, "irq", "0\n");
	put_text(dir, "resource", "0x0 0x0 0x0\n");
	put_le16(config, 0x1e60);
	put_le16(config + 2, (uint16_t)device);
	put_le16(config + 0x2c, (uint16_t)subvendor);
	put_le16(config + 0x2e, (uint16_t)subdevice);
	snprintf(path, sizeof(path), "%s/config", dir);
	spit(path, config, sizeof(config));
	if (driver)
		put_link(bus, dir, "driver", "drivers", driver);
	if (group)
		put_link(bus, dir, "iommu_group", "iommu_groups", group);
}

static void finds_cards(void **state)
{
	struct hw_card *cards;
	struct hw_error err;
	char bus[200], path[256];
	size_t count;

	(void)state;
	snprintf(bus, sizeof(bus), "%s/pci", tmp_dir());
	assert_int_equal(mkdir(bus, 0755), 0);
	/* no PCI at all is no error */
	assert_ok(pci_card_list_at(bus, &cards, &count, &err), &err);
	assert_null(cards);
	assert_int_equal(count, 0);
	snprintf(path, sizeof(path), "%s/devices", bus);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_ok(pci_card_list_at(bus, &cards, &count, &err), &err);
	assert_null(cards);

	add_device(bus, "0001:01:00.0", 0x2864, 0x1af4, 0x1100, NULL, NULL);
	add_device(bus, "0000:02:00.0", 0x45c4, 0x1e60, 0x45c4, NULL, NULL); /* a Hailo-10H */
	add_device(bus, "0000:0a:00.0", 0x2864, 0x1e60, 0x2864, "hailo", "17");
	assert_ok(pci_card_list_at(bus, &cards, &count, &err), &err);
	assert_int_equal(count, 2);
	assert_string_equal(cards[0].bdf, "0000:0a:00.0");
	assert_int_equal(cards[0].vendor, 0x1e60);
	assert_int_equal(cards[0].device, 0x2864);
	assert_int_equal(cards[0].subsys_vendor, 0x1e60);
	assert_string_equal(cards[0].driver, "hailo");
	assert_int_equal(cards[0].iommu_group, 17);
	assert_string_equal(cards[1].bdf, "0001:01:00.0");
	assert_int_equal(cards[1].subsys_vendor, 0x1af4);
	assert_int_equal(cards[1].subsys_device, 0x1100);
	assert_string_equal(cards[1].driver, "");
	assert_int_equal(cards[1].iommu_group, -1);
	free(cards);
}

/* libpci would end the process here: the library turns it into an error. */
static void an_unreadable_bus_is_an_error(void **state)
{
	struct hw_card *cards = (void *)1;
	struct hw_error err;
	char bus[200], path[256];
	size_t count = 9;

	(void)state;
	snprintf(bus, sizeof(bus), "%s/broken", tmp_dir());
	assert_int_equal(mkdir(bus, 0755), 0);
	put_text(bus, "devices", "not a directory");
	assert_int_equal(pci_card_list_at(bus, &cards, &count, &err), -EIO);
	assert_null(cards);
	assert_int_equal(count, 0);
	assert_non_null(strstr(err.text, bus));

	snprintf(path, sizeof(path), "%s/devices", bus);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/devices/0000:01:00.0", bus);
	assert_int_equal(mkdir(path, 0755), 0); /* a device without any of its files */
	assert_int_equal(pci_card_list_at(bus, &cards, &count, &err), -EIO);
	assert_true(err.text[0]);
}

static void this_machine(void **state)
{
	struct hw_card *cards;
	struct hw_error err;
	size_t count;

	(void)state;
	assert_ok(hw_card_list(&cards, &count, &err), &err);
	assert_int_equal(cards != NULL, count != 0);
	free(cards);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),
		cmocka_unit_test(finds_cards),
		cmocka_unit_test(an_unreadable_bus_is_an_error),
		cmocka_unit_test(this_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
