// SPDX-License-Identifier: MIT
/*
 * In a guest with a card (a chip in software) bound to hailo_uio: what docs/kernel-module.md
 * promises, asked of the module itself.  TAP.  Static, so that any initramfs can run it.
 *
 *   abi_check /dev/hailo_uio0 /sys/bus/pci/devices/BDF
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../hwlayer/kmod/hailo_uio.h"

static const char *node, *sys;
static int count, bad;

__attribute__((format(printf, 2, 3))) static void ok(bool good, const char *fmt, ...)
{
	va_list ap;

	bad += !good;
	printf("%sok %d - ", good ? "" : "not ", ++count);
	__builtin_va_start(ap, fmt);
	vprintf(fmt, ap);
	__builtin_va_end(ap);
	printf("\n");
	fflush(stdout);
}

/* Like ok(), for a call that is to give @want (0 or an errno). */
static void gives(int r, int want, const char *what)
{
	int got = r < 0 ? errno : 0;

	ok(got == want, "%s: %s%s%s", what, strerror(got), got == want ? "" : ", expected: ",
	   got == want ? "" : strerror(want));
}

static long attribute(const char *name)
{
	char path[256], text[32] = "";
	int fd;

	snprintf(path, sizeof(path), "%s/misc/%s/%s", sys, strrchr(node, '/') + 1, name);
	fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		return -1;
	close(fd);
	return atol(text);
}

static void say(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		printf("# cannot write '%s' to %s: %s\n", text, path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static bool master(void)
{
	char path[256];
	uint8_t command = 0xff;
	int fd;

	snprintf(path, sizeof(path), "%s/config", sys);
	fd = open(path, O_RDONLY);
	if (fd < 0 || pread(fd, &command, 1, 4) != 1)
		command = 0xff;
	close(fd);
	return command & 4;
}

static int word(int fd, unsigned long request, uint32_t value)
{
	return ioctl(fd, request, &value);
}

static int dma(int fd, uint64_t size, uint32_t flags, struct hailo_uio_dma *q)
{
	*q = (struct hailo_uio_dma){.size = size, .flags = flags};
	return ioctl(fd, HAILO_UIO_DMA_ALLOC, q);
}

static void *map(int fd, size_t size, uint64_t offset)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);

	return p == MAP_FAILED ? NULL : p;
}

static bool all(const uint8_t *p, size_t n, uint8_t value)
{
	while (n && *p == value)
		p++, n--;
	return !n;
}

static void check_open(int fd)
{
	struct hailo_uio_info info;
	struct hailo_uio_config config;
	char copy[16];
	int status = 0;
	pid_t pid;

	gives(ioctl(fd, HAILO_UIO_INFO, &info), 0, "info");
	ok(info.version == HAILO_UIO_VERSION && info.bar_size[0] == 0x4000 &&
		   info.bar_size[2] == 0x1000 && info.bar_size[4] == 0x4000 && !info.bar_size[1],
	   "BARs of 16, 4 and 16 KiB");
	ok(info.dma_limit == 256u << 20 && !info.dma_bytes, "limit 256 MiB, nothing allocated");
	ok(info.flags == HAILO_UIO_RESETTABLE, "interrupts are off, a reset is possible");
	gives(ioctl(fd, HAILO_UIO_CONFIG, &config), 0, "configuration space");
	ok(!memcmp(config.bytes, "\x60\x1e\x64\x28", 4), "it starts with the IDs");
	gives(open(node, O_RDWR), EBUSY, "a second open");
	ok(attribute("owner") == getpid(), "the owner is this process");
	gives(ioctl(fd, _IO(0xb8, 0x7f)), ENOTTY, "an unknown command");
	gives(ioctl(fd, _IOC(_IOC_READ, 0xb8, 0x41, 300), copy), ENOTTY, "a command too long");
	gives(ioctl(fd, HAILO_UIO_INFO, (void *)8), EFAULT, "info to nowhere");

	pid = fork();
	if (!pid) {
		struct hailo_uio_dma q;

		if (dma(fd, 4096, 0, &q))
			_exit(1);
		if (map(fd, 4096, q.offset) || errno != EACCES)
			_exit(2);
		_exit(word(fd, HAILO_UIO_DMA_FREE, q.id) ? 3 : 0);
	}
	waitpid(pid, &status, 0);
	ok(status == 0, "a child may not map (status 0x%x)", status);
}

static void check_memory(int fd, size_t page)
{
	static const struct {
		uint64_t size;
		uint32_t flags;
	} kinds[] = {{1, 0}, {65536, 0}, {192 << 10, 0}, {1 << 20, 0}, {3 << 20, HAILO_UIO_CACHED},
		     {5000, HAILO_UIO_CACHED}};
	struct hailo_uio_sync sync;
	struct hailo_uio_dma q[8], none;
	uint64_t sum = 0;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		uint64_t whole = (kinds[i].size + page - 1) / page * page, align = page;
		uint8_t *p;

		while (align < 65536 && align < whole)
			align *= 2;
		if (dma(fd, kinds[i].size, kinds[i].flags, &q[i])) {
			gives(-1, 0, "DMA memory");
			continue;
		}
		sum += whole;
		p = map(fd, whole, q[i].offset);
		ok(p && q[i].size == whole && q[i].bus % align == 0 && all(p, whole, 0),
		   "%llu bytes%s at bus address 0x%llx: whole pages, aligned to %llu, zeroed",
		   (unsigned long long)kinds[i].size, kinds[i].flags ? " cached" : "",
		   (unsigned long long)q[i].bus, (unsigned long long)align);
		if (p)
			memset(p, 0x5a, whole);
		gives(word(fd, HAILO_UIO_DMA_FREE, q[i].id), p ? EBUSY : 0, "free while mapped");
		if (!p)
			continue;
		if (whole > page) {
			munmap(p, page);
			gives(word(fd, HAILO_UIO_DMA_FREE, q[i].id), EBUSY, "free while half mapped");
			munmap(p + page, whole - page);
		} else {
			munmap(p, whole);
		}
		gives(map(fd, whole + page, q[i].offset) ? 0 : -1, ENXIO, "map more than there is");
		gives(map(fd, page, q[i].offset + page) ? 0 : -1, EINVAL, "map from the middle");
	}
	ok(attribute("dma_bytes") == (long)sum, "%llu bytes are accounted for", (unsigned long long)sum);
	gives(mmap(NULL, page, PROT_READ, MAP_PRIVATE, fd, (off_t)q[0].offset) == MAP_FAILED ? -1 : 0,
	      EINVAL, "a private mapping");
	gives(map(fd, page, HAILO_UIO_REGION(1)) ? 0 : -1, ENXIO, "a BAR that is none");
	gives(map(fd, 0x4000 + page, HAILO_UIO_REGION(0)) ? 0 : -1, EINVAL, "map more than a BAR");

	sync = (struct hailo_uio_sync){q[4].id, HAILO_UIO_FOR_DEVICE, 0, q[4].size};
	gives(ioctl(fd, HAILO_UIO_DMA_SYNC, &sync), 0, "sync for the device");
	sync.direction = HAILO_UIO_FOR_CPU;
	gives(ioctl(fd, HAILO_UIO_DMA_SYNC, &sync), 0, "sync for the CPU");
	sync.direction = 3;
	gives(ioctl(fd, HAILO_UIO_DMA_SYNC, &sync), EINVAL, "sync both ways");
	sync = (struct hailo_uio_sync){q[4].id, HAILO_UIO_FOR_CPU, 1, q[4].size};
	gives(ioctl(fd, HAILO_UIO_DMA_SYNC, &sync), EINVAL, "sync beyond the end");
	sync = (struct hailo_uio_sync){q[4].id, HAILO_UIO_FOR_CPU, UINT64_MAX, 2};
	gives(ioctl(fd, HAILO_UIO_DMA_SYNC, &sync), EINVAL, "sync that overflows");
	sync = (struct hailo_uio_sync){4000, HAILO_UIO_FOR_CPU, 0, 1};
	gives(ioctl(fd, HAILO_UIO_DMA_SYNC, &sync), ENOENT, "sync of no memory");

	gives(dma(fd, 0, 0, &none), EINVAL, "no bytes");
	gives(dma(fd, UINT64_MAX, 0, &none), EDQUOT, "all bytes there are");
	gives(dma(fd, (256u << 20) - sum + 1, 0, &none), EDQUOT, "a byte beyond the limit");
	gives(dma(fd, page, 0x80, &none), EINVAL, "an unknown flag");
	gives(word(fd, HAILO_UIO_DMA_FREE, 0), ENOENT, "free a BAR");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		gives(word(fd, HAILO_UIO_DMA_FREE, q[i].id), 0, "free");
	gives(word(fd, HAILO_UIO_DMA_FREE, q[0].id), ENOENT, "free twice");
	ok(attribute("dma_bytes") == 0, "nothing is left");
}

static void check_interrupts(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};
	struct hailo_uio_info info;
	uint64_t n = 3;

	gives((int)read(fd, &n, 8), EAGAIN, "no interrupt to read");
	ok(poll(&p, 1, 0) == 1 && p.revents == POLLOUT, "poll says so");
	n = 3;
	ok(write(fd, &n, 8) == 8 && write(fd, &n, 8) == 8, "reminders");
	ok(poll(&p, 1, 0) == 1 && p.revents == (POLLIN | POLLOUT), "poll sees them");
	ok(read(fd, &n, 8) == 8 && n == 6, "they add up");
	gives((int)read(fd, &n, 7), EINVAL, "a short read");
	gives((int)write(fd, &n, 7), EINVAL, "a short write");
	gives(word(fd, HAILO_UIO_IRQ, 2), EINVAL, "interrupts half on");
	gives(word(fd, HAILO_UIO_IRQ, 1), 0, "interrupts on");
	gives(word(fd, HAILO_UIO_IRQ, 1), 0, "interrupts on again");
	gives(ioctl(fd, HAILO_UIO_INFO, &info), 0, "info");
	ok(info.flags & (HAILO_UIO_MSI | HAILO_UIO_INTX), "they are %s",
	   info.flags & HAILO_UIO_MSI ? "MSIs" : "on a wire");
	gives(word(fd, HAILO_UIO_IRQ, 0), 0, "interrupts off");
	gives(word(fd, HAILO_UIO_IRQ, 0), 0, "interrupts off again");

	gives(word(fd, HAILO_UIO_BUS_MASTER, 1), 0, "bus mastering on");
	ok(master(), "it is on");
	gives(word(fd, HAILO_UIO_BUS_MASTER, 0), 0, "bus mastering off");
	ok(!master(), "it is off");
	gives(word(fd, HAILO_UIO_BUS_MASTER, 2), EINVAL, "bus mastering half on");
	gives(ioctl(fd, HAILO_UIO_RESET), 0, "function reset");
}

/* The card goes while it is in use: by unbinding, which is what unplugging comes to. */
static void check_revoked(int fd, size_t page)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct hailo_uio_dma q, other;
	volatile uint32_t *bar;
	char path[256];
	uint8_t *mem;
	uint64_t n;
	int again;

	bar = map(fd, 0x4000, HAILO_UIO_REGION(0));
	gives(dma(fd, 1 << 20, HAILO_UIO_CACHED, &other), 0, "memory that stays unmapped");
	gives(dma(fd, 1 << 20, 0, &q), 0, "memory to lose");
	mem = map(fd, 1 << 20, q.offset);
	ok(bar && mem, "mapped");
	if (!bar || !mem)
		return;
	memset(mem, 0xa5, 1 << 20);
	ok((bar[0x98 / 4] & 0xffff) == 0x1e60, "the vendor's ID is in BAR0");
	gives(word(fd, HAILO_UIO_IRQ, 1), 0, "interrupts on");
	gives(word(fd, HAILO_UIO_BUS_MASTER, 1), 0, "bus mastering on");

	snprintf(path, sizeof(path), "%s/driver/unbind", sys);
	say(path, strrchr(sys, '/') + 1);
	ok(!master(), "after unbinding bus mastering is off");
	ok(bar[0x98 / 4] == UINT32_MAX && bar[0x3ffc / 4] == UINT32_MAX, "BARs read as ones");
	ok(all(mem, page, 0) && all(mem + (1 << 20) - page, page, 0), "memory reads as zero");
	bar[0x188 / 4] = 0;
	memset(mem, 0x77, 1 << 20);
	ok(bar[0x98 / 4] == UINT32_MAX, "both can be written");
	gives((int)read(fd, &n, 8), ENODEV, "read");
	n = 1;
	gives((int)write(fd, &n, 8), ENODEV, "write");
	ok(poll(&p, 1, 0) == 1 && p.revents == (POLLIN | POLLERR | POLLHUP), "poll wakes");
	gives(dma(fd, page, 0, &other), ENODEV, "DMA memory");
	gives(word(fd, HAILO_UIO_DMA_FREE, q.id), ENODEV, "free");
	gives(word(fd, HAILO_UIO_BUS_MASTER, 1), ENODEV, "bus mastering");
	gives(ioctl(fd, HAILO_UIO_RESET), ENODEV, "reset");
	gives(map(fd, 0x1000, HAILO_UIO_REGION(2)) ? 0 : -1, ENODEV, "map");

	say("/sys/bus/pci/drivers_probe", strrchr(sys, '/') + 1);
	again = open(node, O_RDWR | O_NONBLOCK);
	gives(again, 0, "bound again, it opens although the old descriptor is there");
	ok(bar[0x98 / 4] == UINT32_MAX, "the old mapping stays dead");
	gives((int)read(fd, &n, 8), ENODEV, "and so does the old descriptor");
	munmap(mem, 1 << 20);
	munmap((void *)(uintptr_t)bar, 0x4000);
	close(fd);
	ok(attribute("owner") == getpid(), "closing the old one leaves the new one alone");
	gives(word(again, HAILO_UIO_BUS_MASTER, 1), 0, "bus mastering on");
	close(again);
	ok(!master() && attribute("owner") == 0, "closing turns bus mastering off, nobody owns it");
}

/* A process that dies with a mapping alone: no descriptor is left to say so. */
static void check_death(size_t page)
{
	int status, pipes[2];
	pid_t pid;
	char c;

	if (pipe(pipes))
		return;
	pid = fork();
	if (!pid) {
		struct hailo_uio_dma q;
		int fd = open(node, O_RDWR);
		uint8_t *mem;

		if (fd < 0 || dma(fd, 4 * page, 0, &q) || word(fd, HAILO_UIO_BUS_MASTER, 1))
			_exit(1);
		mem = map(fd, 4 * page, q.offset);
		close(fd);
		if (!mem || write(pipes[1], mem, 1) != 1)
			_exit(1);
		pause();
	}
	close(pipes[1]);
	ok(read(pipes[0], &c, 1) == 1 && attribute("owner") == pid && master() &&
		   attribute("dma_bytes") == (long)(4 * page),
	   "a mapping keeps the card");
	kill(pid, 9);
	waitpid(pid, &status, 0);
	ok(!master() && attribute("owner") == 0 && attribute("dma_bytes") == 0,
	   "killed: bus mastering off, memory freed");
}

int main(int argc, char **argv)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int fd;

	if (argc != 3)
		return 2;
	node = argv[1];
	sys = argv[2];
	ok(attribute("owner") == 0, "nobody has it open");
	fd = open(node, O_RDWR | O_NONBLOCK);
	gives(fd, 0, "open");
	if (fd < 0)
		return 1;
	check_open(fd);
	check_memory(fd, page);
	check_interrupts(fd);
	check_revoked(fd, page);
	check_death(page);
	printf("1..%d\n", count);
	return bad != 0;
}
