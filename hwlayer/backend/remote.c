// SPDX-License-Identifier: MIT
/*
 * A software chip that lives in another process ("hwctl mock serve"), so that it goes on when this
 * one dies.  A server that is gone looks like a card that was pulled out: all ones.
 */
#include "backend/backend.h"
#include "backend/config_space.h"
#include "chip/regs.h"
#include "mock/wire.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define REPLY_TIMEOUT_S 30 /* a server this slow is none */

struct remote {
	struct backend be;
	pthread_mutex_t lock;
	int sock;
	bool gone;
	size_t areas;
};

static struct remote *to_remote(struct backend *be)
{
	return container_of(be, struct remote, be);
}

/* One exchange; -ENODEV when the server is gone. */
static int ask(struct remote *m, const struct wire_request *q, int fd, struct wire_reply *a)
{
	int passed = -1, r = -ENODEV;

	pthread_mutex_lock(&m->lock);
	if (!m->gone) {
		r = wire_send(m->sock, q, sizeof(*q), fd, 0);
		if (r == 0 && a)
			r = wire_recv(m->sock, a, sizeof(*a), &passed, 0);
		if (r < 0) {
			hw_log(HW_LOG_ERROR, "%s: the server of the chip in software is gone: %s",
			       m->be.bdf, strerror(-r));
			m->gone = true;
			r = -ENODEV;
		}
	}
	pthread_mutex_unlock(&m->lock);
	if (passed >= 0)
		close(passed);
	return r;
}

static int command(struct remote *m, enum wire_op op, uint32_t value)
{
	struct wire_request q = {.op = op, .value = value};
	struct wire_reply a;
	int r = ask(m, &q, -1, &a);

	return r < 0 ? r : a.result;
}

static uint32_t remote_read32(struct backend *be, unsigned int bar, uint32_t off)
{
	struct wire_request q = {.op = WIRE_READ, .bar = bar, .off = off, .width = 4};
	struct wire_reply a;

	return ask(to_remote(be), &q, -1, &a) < 0 ? UINT32_MAX : a.value;
}

static void remote_write(struct backend *be, unsigned int bar, uint32_t off, uint32_t value,
			 uint32_t width)
{
	struct wire_request q = {.op = WIRE_WRITE, .bar = bar, .off = off, .width = width, .value = value};

	/* The one whose server is gone is noticed at the next read, as with a card. */
	(void)ask(to_remote(be), &q, -1, NULL);
}

static void remote_write32(struct backend *be, unsigned int bar, uint32_t off, uint32_t value)
{
	remote_write(be, bar, off, value, 4);
}

static void remote_write16(struct backend *be, unsigned int bar, uint32_t off, uint16_t value)
{
	remote_write(be, bar, off, value, 2);
}

static int remote_irq_enable(struct backend *be)
{
	return command(to_remote(be), WIRE_MSI, 1);
}

static void remote_irq_disable(struct backend *be)
{
	(void)command(to_remote(be), WIRE_MSI, 0);
}

static int remote_reset(struct backend *be)
{
	return command(to_remote(be), WIRE_RESET, 0);
}

static void remote_set_bus_master(struct backend *be, bool on)
{
	(void)command(to_remote(be), WIRE_MASTER, on);
}

/* Memory that outlives the mapping of whoever dies first: a file without a name. */
static int make_memory(size_t size, void **virt)
{
	int fd = memfd_create("hailo-dma", MFD_CLOEXEC | MFD_ALLOW_SEALING), r;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		goto err;
	*virt = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (*virt == MAP_FAILED)
		goto err;
	return fd;
err:
	r = -errno;
	close(fd);
	return r;
}

static int remote_dma_alloc(struct backend *be, size_t size, size_t align, struct backend_dma *out)
{
	struct remote *m = to_remote(be);
	struct wire_request q = {.op = WIRE_MAP, .size = size, .align = align};
	struct wire_reply a;
	void *virt;
	int fd = make_memory(size, &virt), r;

	if (fd < 0)
		return fd;
	r = ask(m, &q, fd, &a);
	close(fd);
	if (r == 0)
		r = a.result;
	if (r < 0) {
		munmap(virt, size);
		return r;
	}
	*out = (struct backend_dma){.virt = virt, .bus = a.bus, .size = size};
	m->areas++;
	return 0;
}

static void remote_dma_free(struct backend *be, struct backend_dma *mem)
{
	struct remote *m = to_remote(be);
	struct wire_request q = {.op = WIRE_UNMAP, .bus = mem->bus};
	struct wire_reply a;

	if (ask(m, &q, -1, &a) == 0 && a.result < 0) {
		hw_log(HW_LOG_ERROR, "internal error: no DMA memory at 0x%llx to free",
		       (unsigned long long)mem->bus);
		return;
	}
	munmap(mem->virt, mem->size);
	m->areas--;
}

static void remote_close(struct backend *be)
{
	struct remote *m = to_remote(be);

	if (m->areas)
		hw_log(HW_LOG_ERROR, "internal error: DMA memory in %zu areas not freed", m->areas);
	close(m->sock);
	close(be->irq_fd);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static const struct backend_ops remote_ops = {
	.close = remote_close,
	.read32 = remote_read32,
	.write32 = remote_write32,
	.write16 = remote_write16,
	.irq_enable = remote_irq_enable,
	.irq_disable = remote_irq_disable,
	.dma_alloc = remote_dma_alloc,
	.dma_free = remote_dma_free,
	.reset = remote_reset,
	.set_bus_master = remote_set_bus_master,
};

static int connect_to(const char *path, struct hw_error *err)
{
	struct timeval limit = {.tv_sec = REPLY_TIMEOUT_S};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd, r;

	if (strlen(path) >= sizeof(addr.sun_path))
		return hw_fail(err, -EINVAL, "%s: a socket's path has less than %zu characters", path,
			       sizeof(addr.sun_path));
	memcpy(addr.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return hw_fail(err, -errno, "cannot make a socket: %s", strerror(errno));
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0)
		return fd;
	r = -errno;
	close(fd);
	if (r == -ENOENT || r == -ECONNREFUSED)
		return hw_fail(err, -ENODEV,
			       "no chip in software is served at %s; start one: hwctl mock serve "
			       "--socket %s",
			       path, path);
	return hw_fail(err, r, "cannot connect to %s: %s", path, strerror(-r));
}

int backend_remote_open(const char *path, struct backend **out, struct hw_error *err)
{
	struct wire_hello hello = {0};
	struct remote *m;
	int r, irq = -1, sock = connect_to(path, err);

	if (sock < 0)
		return sock;
	r = wire_recv(sock, &hello, sizeof(hello), &irq, 0);
	if (r < 0) {
		hw_fail(err, r == -EPIPE || r == -EAGAIN ? -ENODEV : -EPROTO,
			"mock:%s: the server does not greet: %s", path, strerror(-r));
		r = r == -EPIPE || r == -EAGAIN ? -ENODEV : -EPROTO;
		goto err;
	}
	if (hello.magic != WIRE_MAGIC || (hello.result == 0) != (irq >= 0)) {
		r = hw_fail(err, -EPROTO, "mock:%s: whoever serves there is of another version", path);
		goto err;
	}
	if (hello.result < 0) {
		hello.owner_name[sizeof(hello.owner_name) - 1] = 0;
		r = hw_fail(err, hello.result, "mock:%s is in use by PID %d (%s)", path, hello.owner_pid,
			    hello.owner_name);
		goto err;
	}
	m = calloc(1, sizeof(*m));
	if (!m) {
		r = hw_fail(err, -ENOMEM, "no memory for a device");
		goto err;
	}
	m->sock = sock;
	pthread_mutex_init(&m->lock, NULL);
	m->be = (struct backend){.ops = &remote_ops, .irq_fd = irq, .name = "mock", .bdf = "mock:socket"};
	m->be.bar_len[CHIP_BAR_CONFIG] = CHIP_BAR_CONFIG_SIZE;
	m->be.bar_len[CHIP_BAR_VDMA] = CHIP_BAR_VDMA_SIZE;
	m->be.bar_len[CHIP_BAR_FW] = CHIP_BAR_FW_SIZE;
	config_space_facts(hello.config, &m->be);
	*out = &m->be;
	return 0;
err:
	if (irq >= 0)
		close(irq);
	close(sock);
	return r;
}
