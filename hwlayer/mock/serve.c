// SPDX-License-Identifier: MIT
#include "mock/serve.h"
#include "backend/busmap.h"
#include "backend/lock.h"
#include "chip/regs.h"
#include "mock/wire.h"
#include "util/bytes.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define DRIVER_DOWN_MS 100
#define REQUESTS_PER_TURN 64
#define QUEUE_MAX 4096	    /* more than a socket's queue holds */
#define FAULTS_LOGGED 16    /* of each user */
#define MAP_MAX (1ull << 32)

struct mapping {
	uint64_t bus;
	void *virt;
	size_t size;
	struct mapping *next;
};

struct serve {
	struct serve_options opt;
	struct sockaddr_un addr;
	struct lock lock;
	struct mock_host host;
	struct mock_chip *chip;
	int listen_fd, client_fd; /* -1: nobody */
	pid_t client_pid;
	struct busmap map;
	struct mapping *mappings;

	pthread_mutex_t lock_facts; /* what the chip's threads see too */
	int irq_fd;		    /* the user's eventfd, -1 */
	uint64_t first_bus;	    /* addresses below were some earlier user's */
	uint64_t late_tries;	    /* DMA tried for users who are gone */
	unsigned int faults_logged;
	FILE *log;
	uint64_t start_ns;

	struct mock_stats at_connect, at_death;
};

/* -------------------------------------------------------------------------------- facts */

/* One line; under lock_facts. */
static void fact_locked(struct serve *s, const char *what, const char *fmt, va_list ap)
{
	if (!s->log)
		return;
	fprintf(s->log, "{\"ms\":%.3f,\"fact\":\"%s\"", (double)(util_now_ns() - s->start_ns) / 1e6, what);
	vfprintf(s->log, fmt, ap);
	fputs("}\n", s->log);
	fflush(s->log);
}

__attribute__((format(printf, 3, 4))) static void fact(struct serve *s, const char *what,
						      const char *fmt, ...)
{
	va_list ap;

	pthread_mutex_lock(&s->lock_facts);
	va_start(ap, fmt);
	fact_locked(s, what, fmt, ap);
	va_end(ap);
	pthread_mutex_unlock(&s->lock_facts);
}

static uint64_t moved(const struct mock_stats *st)
{
	return st->dma_read_bytes + st->dma_write_bytes;
}

/* ------------------------------------------------------------- the chip's view of its host */

__attribute__((format(printf, 3, 4))) static void fault_locked(struct serve *s, const char *what,
							      const char *fmt, ...)
{
	va_list ap;

	if (s->faults_logged++ >= FAULTS_LOGGED)
		return;
	va_start(ap, fmt);
	fact_locked(s, what, fmt, ap);
	va_end(ap);
}

static int refused(struct serve *s, uint64_t bus, size_t len, bool write)
{
	bool late;

	pthread_mutex_lock(&s->lock_facts);
	/* Addresses are given out once: an old one can only be meant for somebody who is gone. */
	late = s->irq_fd < 0 || bus < s->first_bus;
	s->late_tries += late;
	fault_locked(s, late ? "dma_after_death" : "dma_fault",
		     ",\"bus\":\"0x%llx\",\"len\":%zu,\"write\":%s", (unsigned long long)bus, len,
		     write ? "true" : "false");
	pthread_mutex_unlock(&s->lock_facts);
	return -EFAULT;
}

static int host_dma_read(void *host, uint64_t bus, void *buf, size_t len)
{
	struct serve *s = host;

	return busmap_read(&s->map, bus, buf, len) < 0 ? refused(s, bus, len, false) : 0;
}

static int host_dma_write(void *host, uint64_t bus, const void *buf, size_t len)
{
	struct serve *s = host;

	return busmap_write(&s->map, bus, buf, len) < 0 ? refused(s, bus, len, true) : 0;
}

static void host_irq(void *host)
{
	struct serve *s = host;

	pthread_mutex_lock(&s->lock_facts);
	if (s->irq_fd >= 0)
		(void)eventfd_write(s->irq_fd, 1);
	pthread_mutex_unlock(&s->lock_facts);
}

/* --------------------------------------------------------------------------------- memory */

/* A file that could shrink would let its owner crash us (SIGBUS). */
static int check_memory(int fd, uint64_t size)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		return -EPERM;
	if (fstat(fd, &st) < 0)
		return -errno;
	return (uint64_t)st.st_size >= size ? 0 : -EINVAL;
}

static int map(struct serve *s, const struct wire_request *q, int fd, uint64_t *bus)
{
	struct mapping *m;
	int r;

	if (fd < 0 || !q->size || q->size > MAP_MAX || !q->align || (q->align & (q->align - 1)) ||
	    q->align > MAP_MAX)
		return -EINVAL;
	r = check_memory(fd, q->size);
	if (r < 0)
		return r;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->size = (size_t)q->size;
	m->virt = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (m->virt == MAP_FAILED) {
		r = -errno;
		goto err_free;
	}
	r = busmap_add(&s->map, m->virt, m->size, (size_t)q->align, &m->bus);
	if (r < 0)
		goto err_map;
	m->next = s->mappings;
	s->mappings = m;
	*bus = m->bus;
	fact(s, "map", ",\"bus\":\"0x%llx\",\"size\":%zu", (unsigned long long)m->bus, m->size);
	return 0;
err_map:
	munmap(m->virt, m->size);
err_free:
	free(m);
	return r;
}

/* No DMA reaches it once this returned: busmap_remove() waits for a copy that is under way. */
static int unmap(struct serve *s, uint64_t bus)
{
	struct mapping **at = &s->mappings, *m;

	while (*at && (*at)->bus != bus)
		at = &(*at)->next;
	m = *at;
	if (!m || busmap_remove(&s->map, bus) < 0)
		return -ENOENT;
	fact(s, "unmap", ",\"bus\":\"0x%llx\",\"size\":%zu", (unsigned long long)bus, m->size);
	*at = m->next;
	munmap(m->virt, m->size);
	free(m);
	return 0;
}

/* ---------------------------------------------------------------------- users come and go */

static bool firmware_runs(struct serve *s)
{
	return mock_chip_read(s->chip, CHIP_BAR_CONFIG, CHIP_ATR(0) + CHIP_ATR_TRSL_LO, 4) ==
	       CHIP_ADDR_MAILBOX;
}

/* What a kernel module can do for a process that died, before any of its memory is freed. */
static void driver_down(struct serve *s)
{
	uint64_t deadline = util_now_ms() + DRIVER_DOWN_MS;
	uint32_t mask = mock_chip_read(s->chip, CHIP_BAR_CONFIG, CHIP_IMASK_HOST, 4);
	bool done = false;

	if (!firmware_runs(s))
		return;
	mock_chip_write(s->chip, CHIP_BAR_CONFIG, CHIP_IMASK_HOST, mask | CHIP_IMASK_ENABLE, 4);
	mock_chip_write(s->chip, CHIP_BAR_CONFIG, CHIP_ISTATUS_HOST, CHIP_IRQ_DRIVER_DOWN, 4);
	mock_chip_write(s->chip, CHIP_BAR_FW, CHIP_DOORBELL, CHIP_DOORBELL_DRIVER_DOWN, 4);
	while (!done && util_now_ms() < deadline) {
		done = mock_chip_read(s->chip, CHIP_BAR_CONFIG, CHIP_ISTATUS_HOST, 4) &
		       CHIP_IRQ_DRIVER_DOWN;
		usleep(100);
	}
	fact(s, "driver_down_for_dead", ",\"acknowledged\":%s", done ? "true" : "false");
}

/*
 * What Linux does when the last descriptor of a VFIO device goes: bus mastering off, then the
 * mappings, and MSI.  The firmware runs on and does not know.
 */
static void disconnect(struct serve *s)
{
	struct mock_stats *st = &s->at_death;
	size_t areas, bytes = busmap_bytes(&s->map, &areas);

	if (s->opt.driver_down)
		driver_down(s);
	mock_chip_set_bus_master(s->chip, false);
	mock_chip_set_msi(s->chip, false);
	mock_chip_stats(s->chip, st);
	fact(s, "disconnect",
	     ",\"pid\":%ld,\"mapped_bytes\":%zu,\"areas\":%zu,\"firmware_runs\":%s,\"frames\":%llu,"
	     "\"dma_bytes\":%llu",
	     (long)s->client_pid, bytes, areas, firmware_runs(s) ? "true" : "false",
	     (unsigned long long)(st->frames - s->at_connect.frames),
	     (unsigned long long)(moved(st) - moved(&s->at_connect)));
	while (s->mappings)
		unmap(s, s->mappings->bus);
	pthread_mutex_lock(&s->lock_facts);
	close(s->irq_fd);
	s->irq_fd = -1;
	pthread_mutex_unlock(&s->lock_facts);
	close(s->client_fd);
	s->client_fd = -1;
}

/* What the chip moved since its last user went; 0 or the model is wrong. */
static void report_late(struct serve *s)
{
	struct mock_stats now;
	uint64_t tries;

	mock_chip_stats(s->chip, &now);
	pthread_mutex_lock(&s->lock_facts);
	tries = s->late_tries;
	pthread_mutex_unlock(&s->lock_facts);
	fact(s, "since_death", ",\"dma_bytes\":%llu,\"dma_tries\":%llu",
	     (unsigned long long)(moved(&now) - moved(&s->at_death)), (unsigned long long)tries);
}

static void refuse(struct serve *s, int fd, pid_t pid)
{
	struct wire_hello hello = {
		.magic = WIRE_MAGIC, .result = -EBUSY, .owner_pid = (int32_t)s->client_pid};

	lock_process_name(s->client_pid, hello.owner_name);
	fact(s, "refused", ",\"pid\":%ld,\"owner\":%ld", (long)pid, (long)s->client_pid);
	(void)wire_send(fd, &hello, sizeof(hello), -1, MSG_DONTWAIT);
	close(fd);
}

static void welcome(struct serve *s, int fd, pid_t pid)
{
	struct wire_hello hello = {.magic = WIRE_MAGIC};
	char name[16];
	int irq = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	if (irq < 0) {
		hw_log(HW_LOG_ERROR, "software chip: no eventfd for PID %ld: %s", (long)pid,
		       strerror(errno));
		close(fd);
		return;
	}
	for (uint32_t i = 0; i < sizeof(hello.config); i++)
		hello.config[i] = (uint8_t)mock_chip_config_read(s->chip, i, 1);
	report_late(s);
	mock_chip_stats(s->chip, &s->at_connect);
	lock_process_name(pid, name);
	s->client_fd = fd;
	s->client_pid = pid;
	pthread_mutex_lock(&s->lock_facts);
	s->irq_fd = irq;
	s->first_bus = s->map.next;
	s->faults_logged = 0;
	pthread_mutex_unlock(&s->lock_facts);
	fact(s, "connect", ",\"pid\":%ld,\"name\":\"%s\",\"firmware_runs\":%s", (long)pid, name,
	     firmware_runs(s) ? "true" : "false");
	if (wire_send(fd, &hello, sizeof(hello), irq, MSG_DONTWAIT) < 0)
		disconnect(s);
}

/* ------------------------------------------------------------------------------- requests */

/* What a write means for somebody's life; the chip has not seen it yet. */
static void note_write(struct serve *s, const struct wire_request *q)
{
	uint32_t opcode, data;

	if (q->bar != CHIP_BAR_FW)
		return;
	if (q->off == (CHIP_ADDR_BOOT_TRIGGER & (CHIP_WINDOW_SIZE - 1)) && q->value == 1 &&
	    mock_chip_read(s->chip, CHIP_BAR_CONFIG, CHIP_ATR(0) + CHIP_ATR_TRSL_LO, 4) ==
		    (CHIP_ADDR_BOOT_TRIGGER & ~(CHIP_WINDOW_SIZE - 1)))
		fact(s, "boot_trigger", "%s", "");
	if (q->off != CHIP_DOORBELL)
		return;
	if (q->value & CHIP_DOORBELL_DRIVER_DOWN)
		fact(s, "driver_down", "%s", "");
	if (q->value & CHIP_DOORBELL_SOFT_RESET)
		fact(s, "soft_reset", "%s", "");
	if (q->value & (CHIP_DOORBELL_APP | CHIP_DOORBELL_CORE)) {
		/* protocol 1.2: opcode at 12 behind MD5 and length; 1.7: the first parameter at 24 */
		opcode = __builtin_bswap32(mock_chip_peek(s->chip, CHIP_ADDR_MAILBOX + 20 + 12));
		data = mock_chip_peek(s->chip, CHIP_ADDR_MAILBOX + 20 + 24) & 0xff;
		fact(s, "control", ",\"cpu\":\"%s\",\"opcode\":%u,\"first_byte\":%u",
		     q->value & CHIP_DOORBELL_CORE ? "core" : "app", opcode, data);
	}
}

static struct wire_reply serve_one(struct serve *s, const struct wire_request *q, int fd)
{
	struct wire_reply a = {0};

	switch (q->op) {
	case WIRE_READ:
		a.value = mock_chip_read(s->chip, q->bar, q->off, q->width);
		break;
	case WIRE_WRITE:
		note_write(s, q);
		mock_chip_write(s->chip, q->bar, q->off, q->value, q->width);
		break;
	case WIRE_MSI:
		mock_chip_set_msi(s->chip, q->value);
		break;
	case WIRE_MASTER:
		fact(s, "bus_master", ",\"on\":%s", q->value ? "true" : "false");
		mock_chip_set_bus_master(s->chip, q->value);
		break;
	case WIRE_RESET:
		fact(s, "function_reset", "%s", "");
		mock_chip_reset(s->chip);
		break;
	case WIRE_MAP:
		a.result = map(s, q, fd, &a.bus);
		break;
	case WIRE_UNMAP:
		a.result = unmap(s, q->bus);
		break;
	default:
		a.result = -ENOSYS;
	}
	return a;
}

/* Up to @max requests; false when the user is gone, and then disconnected. */
static bool serve_client(struct serve *s, unsigned int max)
{
	for (unsigned int i = 0; i < max; i++) {
		struct wire_request q;
		struct wire_reply a;
		int fd, r = wire_recv(s->client_fd, &q, sizeof(q), &fd, MSG_DONTWAIT);

		if (r == -EAGAIN)
			return true;
		if (r == 0) {
			a = serve_one(s, &q, fd);
			if (q.op != WIRE_WRITE)
				r = wire_send(s->client_fd, &a, sizeof(a), -1, MSG_DONTWAIT);
			if (fd >= 0)
				close(fd);
		}
		if (r < 0) {
			disconnect(s);
			return false;
		}
	}
	return true;
}

static void accept_client(struct serve *s)
{
	int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (fd < 0)
		return; /* it went away again */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0) {
		close(fd);
		return;
	}
	/* The user we think we have may be dead, with its last writes still in the queue. */
	if (s->client_fd >= 0 && serve_client(s, QUEUE_MAX))
		refuse(s, fd, cred.pid);
	else
		welcome(s, fd, cred.pid);
}

int serve_run(struct serve *s, int stop_fd, struct hw_error *err)
{
	for (;;) {
		struct pollfd fds[] = {
			{.fd = stop_fd, .events = POLLIN},
			{.fd = s->listen_fd, .events = POLLIN},
			{.fd = s->client_fd, .events = POLLIN}, /* -1 is passed over */
		};

		if (poll(fds, ARRAY_SIZE(fds), -1) < 0) {
			if (errno == EINTR)
				continue;
			return hw_fail(err, -errno, "poll: %s", strerror(errno));
		}
		if (fds[0].revents)
			return 0;
		if (fds[2].revents)
			serve_client(s, REQUESTS_PER_TURN);
		if (fds[1].revents)
			accept_client(s);
	}
}

/* ---------------------------------------------------------------------------- open, close */

static int listen_on(struct serve *s, struct hw_error *err)
{
	char what[sizeof(s->addr.sun_path) + 16], path[sizeof(s->addr.sun_path) + 8];
	int r;

	snprintf(path, sizeof(path), "%s.lock", s->addr.sun_path);
	snprintf(what, sizeof(what), "the socket %s", s->addr.sun_path);
	r = lock_take(path, what, &s->lock, err);
	if (r < 0)
		return r;
	/* It is ours, so whoever made a socket there is gone. */
	unlink(s->addr.sun_path);
	s->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->listen_fd < 0 ||
	    bind(s->listen_fd, (const struct sockaddr *)&s->addr, sizeof(s->addr)) < 0 ||
	    listen(s->listen_fd, 16) < 0)
		return hw_fail(err, -errno, "cannot listen on %s: %s", s->addr.sun_path, strerror(errno));
	return 0;
}

int serve_open(const struct serve_options *opt, struct serve **out, struct hw_error *err)
{
	struct serve *s;
	int r;

	if (strlen(opt->socket) >= sizeof(s->addr.sun_path))
		return hw_fail(err, -ENAMETOOLONG, "%s: a socket's path has less than %zu characters",
			       opt->socket, sizeof(s->addr.sun_path));
	s = calloc(1, sizeof(*s));
	if (!s)
		return hw_fail(err, -ENOMEM, "no memory for a server");
	s->opt = *opt;
	s->addr.sun_family = AF_UNIX;
	memcpy(s->addr.sun_path, opt->socket, strlen(opt->socket) + 1);
	s->lock.fd = s->listen_fd = s->client_fd = s->irq_fd = -1;
	s->start_ns = util_now_ns();
	pthread_mutex_init(&s->lock_facts, NULL);
	busmap_init(&s->map);
	s->host = (struct mock_host){
		.dma_read = host_dma_read, .dma_write = host_dma_write, .irq = host_irq, .host = s};
	r = listen_on(s, err);
	if (r < 0)
		goto err;
	if (opt->log) {
		s->log = fopen(opt->log, "we");
		if (!s->log) {
			r = hw_fail(err, -errno, "cannot write %s: %s", opt->log, strerror(errno));
			goto err;
		}
	}
	s->chip = mock_chip_new(&opt->chip, &s->host);
	if (!s->chip) {
		r = hw_fail(err, -ENOMEM, "cannot start the chip in software");
		goto err;
	}
	*out = s;
	return 0;
err:
	serve_close(s);
	return r;
}

void serve_close(struct serve *s)
{
	if (s->client_fd >= 0)
		disconnect(s);
	if (s->chip) {
		report_late(s);
		mock_chip_free(s->chip);
	}
	if (s->log)
		fclose(s->log);
	if (s->listen_fd >= 0) {
		close(s->listen_fd);
		unlink(s->addr.sun_path);
	}
	lock_release(&s->lock);
	busmap_destroy(&s->map);
	pthread_mutex_destroy(&s->lock_facts);
	free(s);
}

struct mock_chip *serve_chip(struct serve *s)
{
	return s->chip;
}
