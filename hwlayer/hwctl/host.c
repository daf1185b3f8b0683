// SPDX-License-Identifier: MIT
/* Where this machine's files are: under $HW_ROOT in tests, which make a machine of their own. */
#include "hwctl/hwctl.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pci/card.h"

#define MODEL "models/imu-motion.hef"

static const char *root(void)
{
	const char *r = getenv("HW_ROOT");

	return r ? r : "";
}

const char *host_path(char path[PATH_MAX], const char *name)
{
	snprintf(path, PATH_MAX, "%s%s", root(), name);
	return path;
}

const char *host_sysfs(void)
{
	static char path[PATH_MAX];

	return host_path(path, "/sys");
}

const char *host_default_model(char path[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
	char *slash;

	path[n > 0 ? n : 0] = 0;
	slash = strrchr(path, '/');
	if (slash) {
		snprintf(slash, (size_t)(path + PATH_MAX - slash), "/" MODEL);
		if (access(path, R_OK) == 0)
			return path;
	}
	snprintf(path, PATH_MAX, "/usr/share/hailo-inference/" MODEL);
	return path;
}

int host_cards(struct hw_card **cards, size_t *count, struct hw_error *err)
{
	char bus[PATH_MAX];

	return pci_card_list_at(host_path(bus, "/sys/bus/pci"), cards, count, err);
}

int host_choose(const char *name, char bdf[16], struct hw_error *err)
{
	struct hw_card *cards;
	size_t n;
	int r;

	if (name && *name && strcmp(name, "auto") != 0 && strcmp(name, "0") != 0) {
		if (pci_parse_bdf(name, bdf) < 0)
			return hw_fail(err, -EINVAL, "'%.64s' is no PCI address such as 0000:01:00.0", name);
		return 0;
	}
	r = host_cards(&cards, &n, err);
	if (r < 0)
		return r;
	if (n == 1)
		memcpy(bdf, cards[0].bdf, 16);
	else if (!n)
		r = hw_fail(err, -ENODEV, "no Hailo-8 found on PCI (hwctl doctor says where to look)");
	else
		r = hw_fail(err, -EINVAL, "there are %zu cards: name one by its PCI address, %s or %s%s", n,
			    cards[0].bdf, cards[1].bdf, n > 2 ? ", ..." : "");
	free(cards);
	return r;
}
