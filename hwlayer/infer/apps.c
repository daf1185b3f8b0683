// SPDX-License-Identifier: MIT
/*
 * Applications on the chip (protocol 5.9): the firmware keeps what was configured, numbered from 0,
 * until it is told to forget all of it.  Stopping a network only ends its transfers.
 */
#include "infer/infer.h"

void infer_apps_unknown(struct hw_dev *dev)
{
	dev->next_app = FW_APPS_MAX;
}

void infer_apps_booted(struct hw_dev *dev)
{
	dev->apps_cleared = false;
	infer_apps_unknown(dev);
}

static int clear(struct hw_dev *dev, struct hw_error *err)
{
	int r = chip_reset_apps(&dev->chip, err);

	if (r == 0)
		r = chip_clear_apps(&dev->chip, err);
	if (r == 0) {
		dev->apps_cleared = true;
		dev->next_app = 0;
	}
	return r;
}

int infer_apps_room(struct hw_dev *dev, struct hw_error *err)
{
	/* What a user before us left behind goes first (pcie 10.10), and so do 32 of our own. */
	return dev->next_app < FW_APPS_MAX ? 0 : clear(dev, err);
}

int infer_apps_configure(struct hw_dev *dev, struct network *net, struct hw_error *err)
{
	struct hw_error why;
	int r;

	net->app = (uint8_t)dev->next_app;
	r = network_configure(net, &dev->chip, &why);
	/*
	 * The firmware has one memory for the configurations of all applications (protocol 4.2),
	 * and those before this one are not needed any more.
	 */
	if (r == -EREMOTEIO && net->app > 0) {
		hw_log(HW_LOG_INFO, "%s: %s: trying again without the earlier networks",
		       dev->info.bdf, why.text);
		r = clear(dev, &why);
		net->app = 0;
		if (r == 0)
			r = network_configure(net, &dev->chip, &why);
	}
	if (r < 0 && err)
		*err = why;
	/* After a failure there is half an application. */
	dev->next_app = r == 0 ? net->app + 1u : FW_APPS_MAX;
	return r;
}

void infer_apps_close(struct hw_dev *dev)
{
	struct hw_error err;

	if (dev->apps_cleared && dev->chip_ready && !dev->chip.gone && clear(dev, &err) < 0)
		hw_log(HW_LOG_WARNING, "%s: %s", dev->info.bdf, err.text);
	infer_apps_booted(dev);
}
