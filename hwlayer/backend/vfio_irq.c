// SPDX-License-Identifier: MIT
/*
 * Interrupts of a VFIO device: the chip's MSI, and two of the kernel's own.  "Request" is rung while
 * somebody unbinds or removes the card and waits for us to let go of it; "error" when PCIe
 * reported that a transfer went wrong for good.  Either way the card is not ours any more: a thread
 * waits for them, so that neither depends on what the owner's thread does just then.
 */
#include "backend/vfio.h"

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <linux/vfio.h>

static int irq_count(struct vfio *v, uint32_t index)
{
	struct vfio_irq_info info = {.argsz = sizeof(info), .index = index};
	int r = v->k->ioctl(v->device, VFIO_DEVICE_GET_IRQ_INFO, &info);

	return r < 0 ? r : (int)info.count;
}

/* @fd: -1: off */
static int set_irq(struct vfio *v, uint32_t index, int32_t fd)
{
	union {
		struct vfio_irq_set set;
		uint8_t bytes[sizeof(struct vfio_irq_set) + sizeof(fd)];
	} irq = {.set = {
			 .argsz = (uint32_t)(sizeof(irq.set) + (fd >= 0 ? sizeof(fd) : 0)),
			 .flags = VFIO_IRQ_SET_ACTION_TRIGGER |
				  (fd >= 0 ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE),
			 .index = index,
			 .count = fd >= 0,
		 }};

	memcpy(irq.set.data, &fd, sizeof(fd));
	return v->k->ioctl(v->device, VFIO_DEVICE_SET_IRQS, &irq);
}

int vfio_irq_enable(struct backend *be)
{
	struct vfio *v = to_vfio(be);
	int r = set_irq(v, VFIO_PCI_MSI_IRQ_INDEX, be->irq_fd);

	if (r == 0)
		v->msi = true;
	else if (r == -ENOSPC)
		hw_log(HW_LOG_ERROR,
		       "%s: this machine has no MSI vector left for the card; some PCIe switches on a "
		       "Raspberry Pi 5 are known for it",
		       be->bdf);
	return r;
}

void vfio_irq_disable(struct backend *be)
{
	struct vfio *v = to_vfio(be);

	if (v->msi)
		(void)set_irq(v, VFIO_PCI_MSI_IRQ_INDEX, -1);
	v->msi = false;
}

static void *watch(void *arg)
{
	struct vfio *v = arg;
	struct pollfd fds[] = {
		{.fd = v->stop_fd, .events = POLLIN},
		{.fd = v->request_fd, .events = POLLIN},
		{.fd = v->error_fd, .events = POLLIN},
	};

	while (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno == EINTR)
		;
	if (fds[0].revents)
		return NULL;
	hw_log(HW_LOG_ERROR, "%s: %s", v->be.bdf,
	       fds[1].revents ? "the kernel wants the card back (it is being unbound or removed): letting "
				"go of it"
			      : "PCIe reported an error that cannot be corrected: the card is not used any "
				"more");
	vfio_lose(v);
	(void)eventfd_write(v->be.irq_fd, 1); /* for whoever waits for an interrupt */
	return NULL;
}

static void close_event(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Kernels without them work as well, but an unbind has to wait for us then. */
static void listen_to(struct vfio *v, uint32_t index, int *fd)
{
	if (irq_count(v, index) < 1)
		return;
	*fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (*fd >= 0 && set_irq(v, index, *fd) < 0)
		close_event(fd);
}

int vfio_irq_open(struct vfio *v, struct hw_error *err)
{
	int r = irq_count(v, VFIO_PCI_MSI_IRQ_INDEX);

	if (r < 1)
		return hw_fail(err, r < 0 ? r : -ENOTSUP, "%s: the card has no MSI: %s", v->be.bdf,
			       r < 0 ? strerror(-r) : "VFIO counts none");
	listen_to(v, VFIO_PCI_REQ_IRQ_INDEX, &v->request_fd);
	listen_to(v, VFIO_PCI_ERR_IRQ_INDEX, &v->error_fd);
	v->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (v->stop_fd < 0) {
		r = hw_fail(err, -errno, "cannot make an eventfd: %s", strerror(errno));
		goto err;
	}
	r = -pthread_create(&v->watcher, NULL, watch, v);
	if (r < 0) {
		hw_fail(err, r, "cannot start a thread: %s", strerror(-r));
		goto err;
	}
	v->watching = true;
	return 0;
err:
	vfio_irq_close(v);
	return r;
}

void vfio_irq_close(struct vfio *v)
{
	if (v->watching) {
		(void)eventfd_write(v->stop_fd, 1);
		pthread_join(v->watcher, NULL);
	}
	v->watching = false;
	vfio_irq_disable(&v->be);
	if (v->request_fd >= 0)
		(void)set_irq(v, VFIO_PCI_REQ_IRQ_INDEX, -1);
	if (v->error_fd >= 0)
		(void)set_irq(v, VFIO_PCI_ERR_IRQ_INDEX, -1);
	close_event(&v->request_fd);
	close_event(&v->error_fd);
	close_event(&v->stop_fd);
}
