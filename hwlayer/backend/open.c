// SPDX-License-Identifier: MIT
/* From the name that a user gave to an opened device. */
#include "backend/backend.h"
#include "mock/mock.h"
#include "pci/card.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Kernel drivers through which a card can be reached, and by whom here. */
static const struct {
	const char *driver;
	int (*open)(const struct hw_card *card, const struct hw_dev_options *opt, struct backend **out,
		    struct hw_error *err);
} drivers[] = {
	{"vfio-pci", backend_vfio_open},
	{"hailo_uio", backend_uio_open},
};

static int open_found(const struct hw_card *card, const struct hw_dev_options *opt,
		      struct backend **out, struct hw_error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
		if (strcmp(card->driver, drivers[i].driver) == 0)
			return drivers[i].open(card, opt, out, err);
	if (card->driver[0])
		return hw_fail(err, -ENOTSUP,
			       "the card at %s belongs to the kernel's driver %s, through which this program "
			       "cannot reach it; hand it over with: sudo hwctl bind %s",
			       card->bdf, card->driver, card->bdf);
	return hw_fail(err, -ENOTSUP,
		       "the card at %s has no driver bound to it; bind one with: sudo hwctl bind %s",
		       card->bdf, card->bdf);
}

static int open_card(const char *bdf, const struct hw_dev_options *opt, struct backend **out,
		     struct hw_error *err)
{
	struct hw_card *cards, found;
	size_t count, i = 0;
	int r;

	r = hw_card_list(&cards, &count, err);
	if (r < 0)
		return r;
	if (bdf)
		while (i < count && strcmp(cards[i].bdf, bdf) != 0)
			i++;
	if (i < count)
		found = cards[i];
	free(cards);
	if (i < count)
		return open_found(&found, opt, out, err);
	if (bdf)
		return hw_fail(err, -ENODEV,
			       "no Hailo-8 at PCI address %s (the device \"mock\" is the chip in software)",
			       bdf);
	return hw_fail(err, -ENODEV,
		       "no Hailo-8 found on PCI (the device \"mock\" is the chip in software)");
}

static bool take_consts(const char *hex, struct mock_opts *opts)
{
	size_t n = 0;

	for (; n < sizeof(opts->hw_consts); n++)
		if (!isxdigit((unsigned char)hex[2 * n]) || !isxdigit((unsigned char)hex[2 * n + 1]) ||
		    sscanf(hex + 2 * n, "%2hhx", &opts->hw_consts[n]) != 1)
			return false;
	opts->has_hw_consts = true;
	return !hex[2 * n];
}

static int open_mock(const char *device, enum mock_arch arch, const struct hw_dev_options *dev,
		     struct backend **out, struct hw_error *err)
{
	struct mock_opts opts = {
		.arch = arch,
		.faults = dev->mock_faults,
		.clusters = dev->mock_layout,
		.max_read_request = dev->mock_max_page,
	};
	char why[160];

	if (dev->mock_max_page && dev->mock_max_page != 128 && dev->mock_max_page != 256 &&
	    dev->mock_max_page != 4096)
		return hw_fail(err, -EINVAL,
			       "%s: the largest descriptor page is 128, 256 or 4096, not %u", device,
			       dev->mock_max_page);
	if (dev->mock_hw_consts && !take_consts(dev->mock_hw_consts, &opts))
		return hw_fail(err, -EINVAL, "%s: hardware constants are %zu bytes in hex", device,
			       sizeof(opts.hw_consts));

	if (dev->mock_faults && mock_fault_check(dev->mock_faults, why, sizeof(why)) < 0)
		return hw_fail(err, -EINVAL, "%s: %s", device, why);
	if (dev->mock_onnx) {
		int r = mock_onnx_check(dev->mock_onnx, err);

		if (r < 0)
			return hw_fail_context(err, r, "%s as stand-in", dev->mock_onnx);
	}
	return backend_mock_open(&opts, out, err);
}

int backend_open(const struct hw_dev_options *opt, struct backend **out, struct hw_error *err)
{
	const char *device = opt->device;
	char bdf[16];

	if (device && (strcmp(device, "mock") == 0 || strcmp(device, "mock:8") == 0))
		return open_mock(device, MOCK_HAILO8, opt, out, err);
	if (device && strcmp(device, "mock:8l") == 0)
		return open_mock(device, MOCK_HAILO8L, opt, out, err);
	if (opt->mock_faults && *opt->mock_faults)
		return hw_fail(err, -EINVAL,
			       "faults can be ordered of the chip in this process only (mock, mock:8, "
			       "mock:8l), not of '%.64s'",
			       device && *device ? device : "auto");
	if (opt->mock_onnx)
		return hw_fail(err, -EINVAL,
			       "an ONNX model can stand in on a chip in this process only (mock, mock:8, "
			       "mock:8l), not on '%.64s'",
			       device && *device ? device : "auto");
	if (device && strncmp(device, "mock:", 5) == 0 && strchr(device, '/'))
		return backend_remote_open(device + 5, out, err);
	if (opt->mock_hw_consts || opt->mock_layout || opt->mock_max_page)
		return hw_fail(err, -EINVAL,
			       "hardware constants, clusters and page limit can be chosen of a chip in this "
			       "process only (mock, mock:8, mock:8l), not of '%.64s'",
			       device && *device ? device : "auto");
	/* The chip in software is opened only by its name, never in place of a missing card. */
	if (!device || !*device || strcmp(device, "auto") == 0 || strcmp(device, "0") == 0)
		return open_card(NULL, opt, out, err);
	if (pci_parse_bdf(device, bdf) == 0)
		return open_card(bdf, opt, out, err);
	return hw_fail(err, -EINVAL,
		       "'%.64s' names no device: use auto, a PCI address such as 0000:01:00.0, mock, "
		       "mock:8, mock:8l or mock:/PATH/OF/A/SOCKET",
		       device);
}
