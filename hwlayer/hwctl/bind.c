// SPDX-License-Identifier: MIT
/* hwctl bind, unbind: which kernel driver has a card. */
#include "hwctl/hwctl.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pci/bind.h"

#define LEAVE_FILE "/etc/hailo-inference/leave-card"

struct session {
	const struct options *opt;
	bool dry;
	cJSON *steps; /* what was, or would be, done: shell lines */
};

static void step(struct session *s, const char *line)
{
	cJSON_AddItemToArray(s->steps, cJSON_CreateString(line));
	if (s->dry && !s->opt->json)
		puts(line);
}

static int do_write(void *user, const char *path, const char *text)
{
	struct session *s = user;
	char line[PATH_MAX + 64];
	int r = s->dry ? 0 : pci_bind_write(path, text);

	snprintf(line, sizeof(line), "echo%s%s > %s", text[0] == '\n' ? "" : " ",
		 text[0] == '\n' ? "" : text, path);
	if (r == 0)
		step(s, line);
	return r;
}

static int do_modprobe(void *user, const char *module, struct hw_error *err)
{
	struct session *s = user;
	char line[64], program[PATH_MAX];
	int r = s->dry ? 0 : pci_bind_modprobe(host_path(program, "/sbin/modprobe"), module, err);

	snprintf(line, sizeof(line), "modprobe %s", module);
	if (r == 0)
		step(s, line);
	return r;
}

static int answer(struct session *s, const struct pci_bind *b, const char *was, const char *now)
{
	bool changed = strcmp(was, now) != 0;
	char leave[PATH_MAX];

	if (s->opt->json) {
		cJSON *o = cJSON_CreateObject();

		cJSON_AddStringToObject(o, "bdf", b->bdf);
		cJSON_AddStringToObject(o, "was", was);
		cJSON_AddStringToObject(o, "driver", now);
		cJSON_AddBoolToObject(o, "changed", changed);
		cJSON_AddBoolToObject(o, "dry_run", s->dry);
		cJSON_AddItemToObject(o, "steps", s->steps);
		print_json(o);
		return EXIT_OK;
	}
	cJSON_Delete(s->steps);
	if (s->dry)
		return EXIT_OK;
	if (!changed && now[0])
		printf("%s: driver %s has it already\n", b->bdf, now);
	else if (now[0])
		printf("%s: bound to %s%s%s\n", b->bdf, now, was[0] ? ", taken from " : "", was);
	else
		printf("%s: no driver%s%s\n", b->bdf, was[0] ? ", taken from " : " had it", was);
	/* What udev does at the next boot is another matter. */
	if (strcmp(now, PCI_DRIVER_VFIO) && strcmp(now, PCI_DRIVER_UIO) &&
	    access(host_path(leave, LEAVE_FILE), F_OK))
		printf("until the next boot; to keep it so: sudo mkdir -p /etc/hailo-inference && sudo touch %s\n",
		       LEAVE_FILE);
	return EXIT_OK;
}

struct arguments {
	const char *bdf, *driver;
	bool force, dry, vendor;
};

static int parse(int argc, char **argv, bool bind, struct arguments *a)
{
	const struct own_option known[] = {
		{"--force", .flag = &a->force},
		{"--dry-run", .flag = &a->dry},
		bind ? (struct own_option){"--driver", .text = &a->driver}
		     : (struct own_option){"--to-vendor", .flag = &a->vendor},
		{0},
	};
	int r = read_options(bind ? "bind" : "unbind", argc, argv, known, &a->bdf);

	if (r != EXIT_OK)
		return r;
	if (a->driver && strcmp(a->driver, PCI_DRIVER_VFIO) && strcmp(a->driver, PCI_DRIVER_UIO) &&
	    strcmp(a->driver, PCI_DRIVER_VENDOR))
		return usage_error("--driver is " PCI_DRIVER_VFIO ", " PCI_DRIVER_UIO " or " PCI_DRIVER_VENDOR
				   ", not '%s'",
				   a->driver);
	return EXIT_OK;
}

static int run(const struct options *opt, int argc, char **argv, bool bind)
{
	struct arguments a = {0};
	struct session s = {.opt = opt};
	struct pci_bind b = {.sysfs = host_sysfs(), .write = do_write, .modprobe = do_modprobe, .user = &s};
	struct hw_error err = {0};
	char bdf[16], was[32];
	const char *driver = "";
	int r = parse(argc, argv, bind, &a);

	if (r != EXIT_OK)
		return r;
	r = host_choose(a.bdf ? a.bdf : opt->device, bdf, &err);
	if (r < 0)
		return r == -EINVAL ? usage_error("%s", err.text) : report(opt, r, &err);
	s.steps = cJSON_CreateArray();
	s.dry = b.dry = a.dry;
	b.bdf = bdf;
	b.force = a.force;
	if (bind)
		driver = a.driver ? a.driver : pci_bind_choice(b.sysfs, bdf);
	else if (a.vendor)
		driver = PCI_DRIVER_VENDOR;
	r = driver[0] ? pci_bind(&b, driver, was, &err) : pci_unbind(&b, was, &err);
	if (r < 0) {
		cJSON_Delete(s.steps);
		if (r == -ENOENT && strcmp(driver, PCI_DRIVER_UIO) == 0)
			hw_fail_context(&err, r, "no IOMMU, so the module hailo_uio is needed (docs/raspberry-pi-5.md)");
		report(opt, r, &err);
		/* It was tried, or it is about the device and whoever has it. */
		return r == -EIO || r == -ENOENT ? EXIT_FAILED : EXIT_NO_DEVICE;
	}
	return answer(&s, &b, was, driver);
}

int cmd_bind(const struct options *opt, int argc, char **argv)
{
	return run(opt, argc, argv, true);
}

int cmd_unbind(const struct options *opt, int argc, char **argv)
{
	return run(opt, argc, argv, false);
}
