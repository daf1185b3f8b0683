// SPDX-License-Identifier: MIT
#include "backend/kernel.h"
#include "pci/sysfs.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define RESET_TRIES 10
#define RESET_WAIT_US 20000

static int linux_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static void linux_close(int fd)
{
	close(fd);
}

static int linux_ioctl(int fd, unsigned long request, void *arg)
{
	int r;

	do
		r = ioctl(fd, request, arg);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

static int linux_mmap(void **addr, size_t size, int prot, int flags, int fd, off_t off)
{
	void *p = mmap(*addr, size, prot, flags, fd, off);

	if (p == MAP_FAILED)
		return -errno;
	*addr = p;
	return 0;
}

static void linux_munmap(void *addr, size_t size)
{
	munmap(addr, size);
}

static int whole(ssize_t n, size_t size)
{
	if (n < 0)
		return -errno;
	return (size_t)n == size ? 0 : -EIO;
}

static int linux_pread(int fd, void *buf, size_t size, off_t off)
{
	return whole(pread(fd, buf, size, off), size);
}

static int linux_pwrite(int fd, const void *buf, size_t size, off_t off)
{
	return whole(pwrite(fd, buf, size, off), size);
}

static int linux_memfd(const char *name, unsigned int flags, size_t size)
{
	int fd = memfd_create(name, flags | MFD_CLOEXEC), r;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

const struct kernel kernel_linux = {
	.open = linux_open,
	.close = linux_close,
	.ioctl = linux_ioctl,
	.mmap = linux_mmap,
	.munmap = linux_munmap,
	.pread = linux_pread,
	.pwrite = linux_pwrite,
	.memfd = linux_memfd,
	.sysfs = PCI_SYSFS,
	.dev = "/dev",
	.proc = "/proc",
};

size_t kernel_page(const struct kernel *k)
{
	return k->page ? k->page : (size_t)sysconf(_SC_PAGESIZE);
}

int kernel_reset(const struct kernel *k, int fd, unsigned long request)
{
	int r = -EAGAIN;

	for (int i = 0; r == -EAGAIN && i < RESET_TRIES; i++) {
		if (i)
			usleep(RESET_WAIT_US);
		r = k->ioctl(fd, request, NULL);
	}
	return r;
}
