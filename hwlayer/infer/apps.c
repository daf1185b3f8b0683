// SPDX-License-Identifier: MIT
/*
 * Applications on the chip (protocol 5.9): the firmware keeps what was configured, numbered from 0,
 * until it is told to forget all of it.  Stopping a network only ends its transfers, and freeing one
 * leaves its application behind: when there is no room for another one, or the firmware's state is
 * in doubt, everything is forgotten and the networks that are still loaded are configured again.
 */
#include "infer/infer.h"

void infer_apps_unknown(struct hw_dev *dev)
{
	dev->apps_known = false;
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
		dev->apps_known = true;
		dev->next_app = 0;
	}
	return r;
}

static int add(struct hw_net *net, struct hw_error *err)
{
	struct hw_dev *dev = net->dev;
	int r;

	net->plan->app = (uint8_t)dev->next_app;
	r = network_configure(net->plan, &dev->chip, err);
	if (r == 0)
		dev->next_app++;
	else
		infer_apps_unknown(dev); /* there is half an application */
	return r;
}

static int forget_all(struct hw_dev *dev, struct hw_error *err)
{
	int r;

	infer_switch_stop(dev); /* nothing is configured while an application is active (9.4) */
	r = infer_chip_usable(dev, err);
	return r < 0 ? r : clear(dev, err);
}

/* One that the firmware does not take any more dies, and the others are tried without it. */
static int renew(struct hw_dev *dev, struct hw_error *err)
{
	struct hw_error why;
	int r = forget_all(dev, err);

	for (struct hw_net *net = dev->nets; r == 0 && net;) {
		int failed = net->dead ? 0 : infer_order_function(net, &why);

		if (!failed && !net->dead)
			failed = add(net, &why);
		if (!failed) {
			net = net->next;
			continue;
		}
		hw_fail_context(&why, failed, "configuring it again");
		infer_net_kill(net, infer_public_code(failed), why.text);
		net = dev->nets;
		r = forget_all(dev, err);
	}
	return r;
}

/* Networks whose application is still needed. */
static unsigned int living(const struct hw_dev *dev)
{
	unsigned int n = 0;

	for (const struct hw_net *net = dev->nets; net; net = net->next)
		n += !net->dead;
	return n;
}

int infer_apps_ready(struct hw_dev *dev, struct hw_error *err)
{
	/* What a user before us left behind goes first (pcie 10.10). */
	return dev->apps_known ? 0 : infer_public_code(renew(dev, err));
}

int infer_apps_room(struct hw_dev *dev, struct hw_error *err)
{
	/* Applications of networks that were freed are forgotten: there are fewer networks than that. */
	if (dev->next_app >= FW_APPS_MAX)
		infer_apps_unknown(dev);
	return infer_apps_ready(dev, err);
}

int infer_apps_configure(struct hw_net *net, struct hw_error *err)
{
	struct hw_dev *dev = net->dev;
	struct hw_error why;
	int r;

	infer_switch_stop(dev);
	r = infer_chip_usable(dev, err);
	if (r == 0)
		r = infer_apps_room(dev, err);
	if (r == 0)
		r = infer_order_function(net, err);
	if (r < 0)
		return r;
	r = add(net, &why);
	/*
	 * The firmware has one memory for the configurations of all applications (protocol 4.2),
	 * and those of networks that were freed are not needed any more.
	 */
	if (r == -EREMOTEIO && net->plan->app > living(dev)) {
		hw_log(HW_LOG_INFO, "%s: %s: trying again without the earlier networks",
		       dev->info.bdf, why.text);
		r = renew(dev, &why);
		if (r == 0)
			r = infer_order_function(net, &why);
		if (r == 0)
			r = add(net, &why);
	}
	if (r < 0 && err)
		*err = why;
	/* The file is understood: -EBADMSG would not speak of it any more. */
	return infer_public_code(r);
}

void infer_apps_close(struct hw_dev *dev)
{
	struct hw_error err;

	if (dev->apps_cleared && dev->chip_ready && !dev->chip.gone && clear(dev, &err) < 0)
		hw_log(HW_LOG_WARNING, "%s: %s", dev->info.bdf, err.text);
	infer_apps_booted(dev);
}
