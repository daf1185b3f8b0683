// SPDX-License-Identifier: MIT
/* A chip behind a socket: the same as one in this process, and safe from its users. */
#include "support/support.h"

#include "backend/backend.h"
#include "chip/chip.h"
#include "chip/internal.h"
#include "mock/serve.h"
#include "mock/wire.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct rig {
	char path[80], device[90], log[80];
	struct serve *server;
	int stop_fd;
	pthread_t thread;
};

static void *serve_thread(void *arg)
{
	struct rig *r = arg;
	struct hw_error err;

	assert_int_equal(serve_run(r->server, r->stop_fd, &err), 0);
	return NULL;
}

static int start(void **state, bool driver_down)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct hw_error err;
	struct serve_options o = {.driver_down = driver_down};
	static int n;

	assert_non_null(r);
	snprintf(r->path, sizeof(r->path), "%s/%d.sock", tmp_dir(), ++n);
	snprintf(r->device, sizeof(r->device), "mock:%s", r->path);
	snprintf(r->log, sizeof(r->log), "%s/%d.jsonl", tmp_dir(), n);
	o.socket = r->path;
	o.log = r->log;
	assert_ok(serve_open(&o, &r->server, &err), &err);
	r->stop_fd = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(pthread_create(&r->thread, NULL, serve_thread, r), 0);
	*state = r;
	return 0;
}

static int setup(void **state)
{
	return start(state, false);
}

static int setup_uio(void **state)
{
	return start(state, true);
}

static void stop_server(struct rig *r)
{
	if (!r->server)
		return;
	assert_int_equal(eventfd_write(r->stop_fd, 1), 0);
	pthread_join(r->thread, NULL);
	serve_close(r->server);
	r->server = NULL;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	stop_server(r);
	close(r->stop_fd);
	assert_int_equal(access(r->path, F_OK), -1);
	free(r);
	return 0;
}

static struct backend *open_remote(struct rig *r)
{
	struct hw_dev_options o = {.device = r->device};
	struct hw_error err;
	struct backend *be = NULL;

	assert_ok(backend_open(&o, &be, &err), &err);
	return be;
}

/* Facts of one kind in the server's log so far. */
static int count_facts(const struct rig *r, const char *fact)
{
	cJSON *all = read_jsonl(r->log), *item;
	int n = 0;

	cJSON_ArrayForEach(item, all)
		n += strcmp(cJSON_GetStringValue(cJSON_GetObjectItem(item, "fact")), fact) == 0;
	cJSON_Delete(all);
	return n;
}

/* A user without a driver, to do what a driver would not. */
static int connect_raw(const struct rig *r, struct wire_hello *hello, int *irq)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	memcpy(addr.sun_path, r->path, strlen(r->path));
	assert_int_equal(connect(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(wire_recv(fd, hello, sizeof(*hello), irq, 0), 0);
	return fd;
}

static struct wire_reply ask(int sock, struct wire_request q, int fd)
{
	struct wire_reply a;
	int passed;

	assert_int_equal(wire_send(sock, &q, sizeof(q), fd, 0), 0);
	assert_int_equal(wire_recv(sock, &a, sizeof(a), &passed, 0), 0);
	assert_int_equal(passed, -1);
	return a;
}

static int memory(size_t size, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	if (seals)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static bool ended(int sock)
{
	struct pollfd p = {.fd = sock, .events = POLLIN};
	char c[300];

	assert_int_equal(poll(&p, 1, 20000), 1);
	return recv(sock, c, sizeof(c), 0) <= 0;
}

/* -------------------------------------------------------------------------------------- same */

static void boots_like_one_in_this_process(void **state)
{
	struct rig *r = *state;
	struct backend *local, *be = open_remote(r);
	struct chip chip = {0};
	struct hw_error err;

	assert_ok(backend_mock_open(NULL, &local, &err), &err);
	assert_int_equal(be->vendor, local->vendor);
	assert_int_equal(be->device, local->device);
	assert_int_equal(be->subsys_vendor, local->subsys_vendor);
	assert_int_equal(be->subsys_device, local->subsys_device);
	assert_int_equal(be->max_read_request, local->max_read_request);
	assert_int_equal(be->max_read_request, 512);
	assert_memory_equal(be->bar_len, local->bar_len, sizeof(be->bar_len));
	assert_string_equal(be->name, local->name);
	backend_close(local);
	for (int i = 0; i < 3; i++) {
		assert_ok(chip_init(&chip, be, NULL, &err), &err);
		assert_int_equal(chip.id.arch, 1);
		assert_ok(chip_get_hw_consts(&chip, &err), &err);
		assert_int_equal(chip_shutdown(&chip), 0);
	}
	/* a function reset ends the firmware */
	assert_ok(chip_init(&chip, be, NULL, &err), &err);
	assert_int_equal(be->ops->reset(be), 0);
	assert_false(chip_firmware_runs(&chip));
	assert_int_equal(chip_shutdown(&chip), -ETIMEDOUT);
	backend_close(be);
}

static void bytes_and_halves_are_accesses_too(void **state)
{
	struct rig *r = *state;
	struct backend *be = open_remote(r);
	uint32_t v;

	/* the base address of a channel's list can be written in parts; its counter half, too */
	backend_write32(be, 2, 0x0c, 0x11223344);
	assert_int_equal(backend_read32(be, 2, 0x0c), 0x11223344);
	backend_write16(be, 2, 0x0e, 0xabcd);
	assert_int_equal(backend_read32(be, 2, 0x0c), 0xabcd3344);
	v = mock_chip_read(serve_chip(r->server), 2, 0x0d, 1);
	assert_int_equal(v, 0x33);
	backend_close(be);
}

static void memory_is_shared_while_it_is_mapped(void **state)
{
	struct rig *r = *state;
	struct backend *be = open_remote(r);
	struct backend_dma a, b;

	assert_int_equal(backend_dma_alloc(be, 100000, 65536, &a), 0);
	assert_int_equal(backend_dma_alloc(be, 64, 1 << 20, &b), 0);
	assert_int_equal(a.bus % 65536, 0);
	assert_int_equal(b.bus % (1 << 20), 0);
	assert_true(b.bus >= a.bus + a.size);
	for (size_t i = 0; i < a.size; i++)
		assert_int_equal(((uint8_t *)a.virt)[i], 0);
	memset(a.virt, 1, a.size);
	backend_dma_free(be, &a);
	/* addresses are not given out twice */
	assert_int_equal(backend_dma_alloc(be, 100, 65536, &a), 0);
	assert_true(a.bus > b.bus);
	backend_dma_free(be, &a);
	backend_dma_free(be, &b);
	backend_close(be);
	stop_server(r);
	assert_int_equal(count_facts(r, "map"), 3);
	assert_int_equal(count_facts(r, "unmap"), 3);
}

/* ------------------------------------------------------------------------------------- users */

static void one_user_at_a_time(void **state)
{
	struct rig *r = *state;
	struct backend *be = open_remote(r), *second = NULL;
	struct hw_dev_options o = {.device = r->device};
	struct hw_error err;
	char want[160];

	assert_int_equal(backend_open(&o, &second, &err), -EBUSY);
	snprintf(want, sizeof(want), "%s is in use by PID %d (", r->device, (int)getpid());
	assert_int_equal(strncmp(err.text, want, strlen(want)), 0);
	/* and the first one is not disturbed by that */
	assert_int_equal(backend_read32(be, 0, 0x98), 0x28641e60);
	backend_close(be);
	backend_close(open_remote(r));
}

/* A user that died with requests in the queue is gone before the next one is judged. */
static void the_dead_do_not_hold_it(void **state)
{
	struct rig *r = *state;

	for (int i = 0; i < 50; i++) {
		struct wire_hello hello;
		struct wire_request q = {.op = WIRE_WRITE, .bar = 0, .off = 0x188, .width = 4};
		int irq, sock = connect_raw(r, &hello, &irq);

		assert_int_equal(hello.result, 0);
		for (int k = 0; k < 100; k++)
			assert_int_equal(wire_send(sock, &q, sizeof(q), -1, 0), 0);
		close(irq);
		close(sock);
	}
	backend_close(open_remote(r));
}

static void what_a_death_leaves(struct rig *r, uint32_t *host_ctrl)
{
	struct mock_chip *chip = serve_chip(r->server);
	struct backend *be = open_remote(r);
	struct chip c = {0};
	struct hw_error err;
	struct wire_hello hello;
	int irq, sock;

	assert_ok(chip_init(&c, be, NULL, &err), &err);
	/* a channel that runs, as far as registers go */
	backend_write32(be, 2, 0x20, 0x00000001);
	assert_int_equal(mock_chip_config_read(chip, 0x04, 2) & 4, 4);
	assert_int_equal(mock_chip_config_read(chip, 0xe2, 2) & 1, 1);
	backend_close(be); /* without chip_shutdown(): what a kill looks like from the other side */
	sock = connect_raw(r, &hello, &irq);
	assert_int_equal(hello.result, 0);
	assert_int_equal(mock_chip_config_read(chip, 0x04, 2) & 4, 0);
	assert_int_equal(mock_chip_config_read(chip, 0xe2, 2) & 1, 0);
	/* the firmware runs on */
	assert_int_equal(mock_chip_read(chip, 0, 0x708, 4), 0x60000000);
	*host_ctrl = mock_chip_read(chip, 2, 0x20, 4);
	close(irq);
	close(sock);
}

static void a_death_leaves_a_chip_that_is_cut_off(void **state)
{
	struct rig *r = *state;
	uint32_t ctrl;

	what_a_death_leaves(r, &ctrl);
	assert_int_equal(ctrl & 1, 1); /* nobody told it */
	stop_server(r);
	assert_int_equal(count_facts(r, "driver_down_for_dead"), 0);
}

static void with_uio_it_is_told(void **state)
{
	struct rig *r = *state;
	uint32_t ctrl;

	what_a_death_leaves(r, &ctrl);
	assert_int_equal(ctrl & 1, 0);
	stop_server(r);
	assert_int_equal(count_facts(r, "driver_down_for_dead"), 2); /* for the raw user as well */
}

static void a_server_that_ends_is_a_card_that_is_gone(void **state)
{
	struct rig *r = *state;
	struct backend *be = open_remote(r);
	struct backend_dma mem, more;
	struct chip chip = {0};
	struct hw_error err;

	assert_ok(chip_init(&chip, be, NULL, &err), &err);
	assert_int_equal(backend_dma_alloc(be, 4096, 4096, &mem), 0);
	stop_server(r);
	assert_int_equal(backend_read32(be, 0, 0x98), 0xffffffff);
	assert_int_equal(chip_identify(&chip, &err), -ENODEV);
	assert_int_equal(backend_dma_alloc(be, 4096, 4096, &more), -ENODEV);
	backend_write32(be, 0, 0x188, 0);
	assert_int_equal(chip_shutdown(&chip), -ENODEV);
	backend_dma_free(be, &mem);
	backend_close(be);
}

/* ------------------------------------------------------------------------------- bad manners */

static void memory_that_could_hurt_is_refused(void **state)
{
	struct rig *r = *state;
	struct wire_hello hello;
	int irq, sock = connect_raw(r, &hello, &irq);
	int good = memory(8192, F_SEAL_SHRINK), loose = memory(8192, 0), small = memory(100, F_SEAL_SHRINK);
	int pipes[2];
	const struct {
		struct wire_request q;
		int fd, want;
	} cases[] = {
		{{.op = WIRE_MAP, .size = 8192, .align = 4096}, -1, -EINVAL},
		{{.op = WIRE_MAP, .size = 8192, .align = 4096}, loose, -EPERM},
		{{.op = WIRE_MAP, .size = 8192, .align = 4096}, small, -EINVAL},
		{{.op = WIRE_MAP, .size = 8193, .align = 4096}, good, -EINVAL},
		{{.op = WIRE_MAP, .size = 0, .align = 4096}, good, -EINVAL},
		{{.op = WIRE_MAP, .size = 1ull << 60, .align = 4096}, good, -EINVAL},
		{{.op = WIRE_MAP, .size = 8192, .align = 0}, good, -EINVAL},
		{{.op = WIRE_MAP, .size = 8192, .align = 4097}, good, -EINVAL},
		{{.op = WIRE_MAP, .size = 8192, .align = 1ull << 63}, good, -EINVAL},
		{{.op = WIRE_UNMAP, .bus = 0x1000000000}, -1, -ENOENT},
		{{.op = 99}, -1, -ENOSYS},
		{{.op = 99}, good, -ENOSYS},
	};
	struct wire_reply a;

	assert_int_equal(pipe(pipes), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(ask(sock, cases[i].q, cases[i].fd).result, cases[i].want);
	assert_int_equal(ask(sock, cases[0].q, pipes[0]).result, -EPERM);
	a = ask(sock, cases[0].q, good);
	assert_int_equal(a.result, 0);
	assert_int_equal(ask(sock, (struct wire_request){.op = WIRE_UNMAP, .bus = a.bus + 4096}, -1).result,
			 -ENOENT);
	assert_int_equal(ask(sock, (struct wire_request){.op = WIRE_UNMAP, .bus = a.bus}, -1).result, 0);
	/* accesses beyond the BARs are answered as on a bus */
	assert_int_equal(ask(sock, (struct wire_request){.op = WIRE_READ, .bar = 4, .off = 0x4000, .width = 4},
			     -1).value, 0xffffffff);
	assert_int_equal(ask(sock, (struct wire_request){.op = WIRE_READ, .bar = 77, .width = 4}, -1).value,
			 0xffffffff);
	assert_int_equal(ask(sock, (struct wire_request){.op = WIRE_READ, .bar = 0, .off = 0x98, .width = 2},
			     -1).value, 0x1e60);
	assert_int_equal(ask(sock, (struct wire_request){.op = WIRE_READ, .bar = 0, .off = 0x9b, .width = 1},
			     -1).value, 0x28);
	close(good);
	close(loose);
	close(small);
	close(pipes[0]);
	close(pipes[1]);
	close(irq);
	close(sock);
}

static void nonsense_ends_the_conversation(void **state)
{
	struct rig *r = *state;
	static const size_t lengths[] = {1, sizeof(struct wire_request) - 1, sizeof(struct wire_request) + 1};

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		uint8_t junk[sizeof(struct wire_request) + 1] = {1};
		struct wire_hello hello;
		int irq, sock = connect_raw(r, &hello, &irq);

		assert_int_equal(send(sock, junk, lengths[i], 0), lengths[i]);
		assert_true(ended(sock));
		close(irq);
		close(sock);
	}
	backend_close(open_remote(r));
}

static void names_that_lead_nowhere(void **state)
{
	struct rig *r = *state;
	char path[300] = "mock:/";
	struct hw_dev_options o = {.device = path};
	struct serve_options so = {.socket = r->path};
	struct serve *second = NULL;
	struct backend *be = NULL;
	struct hw_error err;

	memset(path + 6, 'x', 200);
	assert_int_equal(backend_open(&o, &be, &err), -EINVAL);
	so.socket = path + 5;
	assert_int_equal(serve_open(&so, &second, &err), -ENAMETOOLONG);
	o.device = "mock:/nonexistent/chip.sock";
	assert_int_equal(backend_open(&o, &be, &err), -ENODEV);
	assert_non_null(strstr(err.text, "hwctl mock serve --socket /nonexistent/chip.sock"));
	o.device = "mock:chip";
	assert_int_equal(backend_open(&o, &be, &err), -EINVAL);
	so.socket = "/nonexistent/chip.sock";
	assert_int_equal(serve_open(&so, &second, &err), -ENOENT);
	/* somebody serves there already */
	so.socket = r->path;
	assert_int_equal(serve_open(&so, &second, &err), -EBUSY);
	assert_non_null(strstr(err.text, "is in use by PID"));
	backend_close(open_remote(r));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(boots_like_one_in_this_process),
		T(bytes_and_halves_are_accesses_too),
		T(memory_is_shared_while_it_is_mapped),
		T(one_user_at_a_time),
		T(the_dead_do_not_hold_it),
		T(a_death_leaves_a_chip_that_is_cut_off),
		cmocka_unit_test_setup_teardown(with_uio_it_is_told, setup_uio, teardown),
		T(a_server_that_ends_is_a_card_that_is_gone),
		T(memory_that_could_hurt_is_refused),
		T(nonsense_ends_the_conversation),
		T(names_that_lead_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
