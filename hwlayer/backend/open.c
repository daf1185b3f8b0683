// SPDX-License-Identifier: MIT
/* From the name that a user gave to an opened device. */
#include "backend/backend.h"
#include "mock/mock.h"
#include "pci/card.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int open_card(const char *bdf, struct hw_error *err)
{
	struct hw_card *cards;
	size_t count, i = 0;
	char found[16];
	int r;

	r = hw_card_list(&cards, &count, err);
	if (r < 0)
		return r;
	if (bdf)
		while (i < count && strcmp(cards[i].bdf, bdf) != 0)
			i++;
	if (i < count)
		memcpy(found, cards[i].bdf, sizeof(found));
	free(cards);
	if (i < count)
		return hw_fail(err, -ENOTSUP,
			       "there is a Hailo-8 at %s, but this build has no backend that can open a "
			       "card; use --device mock for the chip in software",
			       found);
	if (bdf)
		return hw_fail(err, -ENODEV,
			       "no Hailo-8 at PCI address %s; use --device mock for the chip in software",
			       bdf);
	return hw_fail(err, -ENODEV,
		       "no Hailo-8 found on PCI; use --device mock for the chip in software");
}

int backend_open(const char *device, struct backend **out, struct hw_error *err)
{
	char bdf[16];

	/* The chip in software is opened only by its name, never in place of a missing card. */
	if (!device || !*device || strcmp(device, "auto") == 0 || strcmp(device, "0") == 0)
		return open_card(NULL, err);
	if (strcmp(device, "mock") == 0 || strcmp(device, "mock:8") == 0)
		return backend_mock_open(&(struct mock_opts){.arch = MOCK_HAILO8}, out, err);
	if (strcmp(device, "mock:8l") == 0)
		return backend_mock_open(&(struct mock_opts){.arch = MOCK_HAILO8L}, out, err);
	if (pci_parse_bdf(device, bdf) == 0)
		return open_card(bdf, err);
	return hw_fail(err, -EINVAL,
		       "'%.64s' names no device: use auto, a PCI address such as 0000:01:00.0, mock, "
		       "mock:8 or mock:8l",
		       device);
}
