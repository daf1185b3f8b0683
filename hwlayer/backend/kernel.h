// SPDX-License-Identifier: MIT
/*
 * The system calls with which backends reach cards, so that tests can put a kernel of their own
 * behind them.  All of them return -errno themselves.
 */
#ifndef HWLAYER_BACKEND_KERNEL_H
#define HWLAYER_BACKEND_KERNEL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct kernel {
	int (*open)(const char *path, int flags); /* O_CLOEXEC is added; a descriptor */
	void (*close)(int fd);
	int (*ioctl)(int fd, unsigned long request, void *arg); /* what ioctl() returns, when not < 0 */
	int (*mmap)(void **addr, size_t size, int prot, int flags, int fd, off_t off);
	void (*munmap)(void *addr, size_t size);
	/* All of it, or -errno (-EIO: less). */
	int (*pread)(int fd, void *buf, size_t size, off_t off);
	int (*pwrite)(int fd, const void *buf, size_t size, off_t off);
	int (*memfd)(const char *name, unsigned int flags, size_t size); /* a file without a name */
	size_t page;       /* of this machine; 0: ask it */
	const char *sysfs; /* "/sys" */
	const char *dev;   /* "/dev" */
	const char *proc;  /* "/proc" */
	const char *locks; /* folder for lock files, NULL: the usual */
};

/* Linux, of course. */
extern const struct kernel kernel_linux;

size_t kernel_page(const struct kernel *k);
/* A reset by ioctl, tried again for 200 ms while somebody else is busy with the card: sysfs, hotplug. */
int kernel_reset(const struct kernel *k, int fd, unsigned long request);

#endif
