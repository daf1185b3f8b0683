// SPDX-License-Identifier: MIT
/*
 * The backend on hailo_uio, with a kernel of the test's own: what it asks, what it makes of refusals,
 * and that nothing is left behind by any of them.  The module itself is asked in a virtual machine
 * (tests/kmod/abi_check.c).
 */
#include "support/support.h"
#include "support/sysfs.h"

#include "backend/config_space.h"
#include "backend/lock.h"
#include "backend/uio.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kmod/hailo_uio.h"

#define BDF "0000:01:00.0"
#define FD 77
#define BUS 0x1000000000ull
#define AREAS 8

struct area {
	uint64_t size, bus;
	uint32_t flags;
	bool used;
};

static char sysfs[200];

/* The module, as far as this side of it can tell. */
static struct fake {
	struct kernel k;
	struct hailo_uio_info info;
	uint8_t config[256];
	struct area area[AREAS];
	uint64_t next_bus;
	int open, maps;
	bool master, irq, intx;
	unsigned int resets, busy_resets, syncs;
	struct hailo_uio_sync last_sync;
	/* The call number @fail_at, counted from 1, fails with @fail_with. */
	unsigned int calls, fail_at;
	int fail_with;
	bool gone, incoherent;
} f;

static bool fails(void)
{
	return ++f.calls == f.fail_at;
}

static int fake_open(const char *path, int flags)
{
	if (fails())
		return f.fail_with;
	assert_string_equal(path, "/fake/hailo_uio3");
	assert_int_equal(flags, O_RDWR | O_NONBLOCK);
	f.open++;
	return FD;
}

static void fake_close(int fd)
{
	assert_int_equal(fd, FD);
	f.open--;
}

static uint32_t fake_alloc(struct hailo_uio_dma *q)
{
	uint64_t align = 4096;
	uint32_t id = 0;

	while (f.area[id].used)
		id++;
	assert_true(id < AREAS);
	q->size = align_up(q->size, 4096);
	while (align < 65536 && align < q->size)
		align *= 2;
	f.next_bus = align_up(f.next_bus, align);
	f.area[id] = (struct area){q->size, f.next_bus, q->flags, true};
	f.next_bus += q->size;
	f.info.dma_bytes += q->size;
	q->bus = f.area[id].bus;
	q->id = id + 8;
	q->offset = HAILO_UIO_REGION(q->id);
	if (f.incoherent)
		q->flags |= q->flags & HAILO_UIO_CACHED ? HAILO_UIO_NEEDS_SYNC : HAILO_UIO_UNCACHED;
	return id;
}

static int fake_ioctl(int fd, unsigned long request, void *arg)
{
	assert_int_equal(fd, FD);
	if (fails())
		return f.fail_with;
	if (f.gone)
		return -ENODEV;
	switch (request) {
	case HAILO_UIO_INFO:
		f.info.flags = (f.info.flags & HAILO_UIO_RESETTABLE) |
			       (f.irq ? f.intx ? HAILO_UIO_INTX : HAILO_UIO_MSI : 0);
		*(struct hailo_uio_info *)arg = f.info;
		return 0;
	case HAILO_UIO_CONFIG:
		memcpy(((struct hailo_uio_config *)arg)->bytes, f.config, 256);
		return 0;
	case HAILO_UIO_DMA_ALLOC:
		if (f.info.dma_bytes + ((struct hailo_uio_dma *)arg)->size > f.info.dma_limit)
			return -EDQUOT;
		fake_alloc(arg);
		return 0;
	case HAILO_UIO_DMA_FREE: {
		struct area *a = &f.area[*(uint32_t *)arg - 8];

		assert_true(a->used);
		a->used = false;
		f.info.dma_bytes -= a->size;
		return 0;
	}
	case HAILO_UIO_DMA_SYNC:
		f.last_sync = *(struct hailo_uio_sync *)arg;
		f.syncs++;
		return 0;
	case HAILO_UIO_IRQ:
		f.irq = *(uint32_t *)arg;
		return 0;
	case HAILO_UIO_BUS_MASTER:
		f.master = *(uint32_t *)arg;
		return 0;
	case HAILO_UIO_RESET:
		f.resets++;
		return f.busy_resets && f.busy_resets-- ? -EAGAIN : 0;
	}
	fail_msg("unknown request 0x%lx", request);
	return -ENOTTY;
}

static int fake_mmap(void **addr, size_t size, int prot, int flags, int fd, off_t off)
{
	uint64_t region = (uint64_t)off >> 32;

	assert_int_equal(fd, FD);
	assert_int_equal(prot, PROT_READ | PROT_WRITE);
	assert_int_equal(flags, MAP_SHARED);
	assert_int_equal(size % f.k.page, 0);
	assert_int_equal(off & UINT32_MAX, 0);
	if (fails())
		return f.fail_with;
	if (region >= 8)
		assert_int_equal(size, f.area[region - 8].size);
	else
		assert_int_equal(size, align_up(f.info.bar_size[region], f.k.page));
	*addr = aligned_alloc(4096, size);
	assert_non_null(*addr);
	memset(*addr, 0, size);
	f.maps++;
	return 0;
}

static void fake_munmap(void *addr, size_t size)
{
	(void)size;
	free(addr);
	f.maps--;
}

static int setup(void **state)
{
	struct fake fresh = {
		.k = {.open = fake_open, .close = fake_close, .ioctl = fake_ioctl, .mmap = fake_mmap,
		      .munmap = fake_munmap, .page = 4096, .dev = "/fake", .proc = "/proc"},
		.info = {.version = HAILO_UIO_VERSION, .flags = HAILO_UIO_RESETTABLE,
			 .bar_size = {0x4000, 0, 0x1000, 0, 0x4000}, .dma_limit = 1 << 20},
		.next_bus = BUS,
	};

	(void)state;
	f = fresh;
	if (!sysfs[0])
		sysfs_new(sysfs, "uio");
	f.k.sysfs = sysfs;
	/* a PCI Express capability at 0x80, Max_Read_Request_Size 512 */
	put_le16(f.config, 0x1e60);
	put_le16(f.config + 2, 0x2864);
	put_le16(f.config + 0x2c, 0x1e60);
	put_le16(f.config + 0x2e, 0x2864);
	f.config[0x34] = 0x80;
	f.config[0x80] = 0x10;
	put_le16(f.config + 0x88, 2 << 12);
	sysfs_put(sysfs, "bus/pci/devices/" BDF "/misc/hailo_uio3/owner", "0\n");
	return 0;
}

static int open_it(struct backend **be, bool cached, struct hw_error *err)
{
	const struct hw_card card = {.bdf = BDF, .driver = "hailo_uio"};
	const struct hw_dev_options opt = {.cached_dma = cached};

	*be = NULL;
	return uio_open_with(&f.k, &card, &opt, be, err);
}

static struct backend *opened(bool cached)
{
	struct hw_error err = {0};
	struct backend *be;

	assert_ok(open_it(&be, cached, &err), &err);
	return be;
}

static void nothing_is_left(void)
{
	assert_int_equal(f.open, 0);
	assert_int_equal(f.maps, 0);
	assert_int_equal(f.info.dma_bytes, 0);
}

static void it_opens_and_closes(void **state)
{
	struct backend *be = opened(false);

	(void)state;
	assert_string_equal(be->name, "uio");
	assert_string_equal(be->iommu, "none");
	assert_string_equal(be->bdf, BDF);
	assert_int_equal(be->vendor, 0x1e60);
	assert_int_equal(be->subsys_device, 0x2864);
	assert_int_equal(be->max_read_request, 512);
	assert_int_equal(be->irq_fd, FD);
	assert_int_equal(be->bar_len[0], 0x4000);
	assert_int_equal(be->bar_len[2], 0x1000);
	assert_int_equal(be->bar_len[4], 0x4000);
	assert_null(be->bar[1]);
	backend_write32(be, 4, 0x1684, 0x12345678);
	assert_int_equal(get_le32((const uint8_t *)(uintptr_t)be->bar[4] + 0x1684), 0x12345678);
	backend_close(be);
	nothing_is_left();
}

/* 16 KiB pages: BAR2 is smaller than one. */
static void a_bar_smaller_than_a_page_is_mapped_whole(void **state)
{
	struct backend *be;

	(void)state;
	f.k.page = 16384;
	be = opened(false);
	assert_int_equal(be->bar_len[2], 0x1000);
	assert_int_equal(backend_read32(be, 2, 0x1000), UINT32_MAX); /* refused, not read */
	backend_close(be);
	nothing_is_left();
}

static void every_call_that_fails_is_told_and_cleaned_up(void **state)
{
	/* open, info, config, three BARs */
	static const char *const words[] = {"cannot open /fake/hailo_uio3", "tells nothing about the card",
					    "tells nothing about the card", "cannot map BAR0",
					    "cannot map BAR2", "cannot map BAR4"};
	struct hw_error err;
	struct backend *be;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(words); i++) {
		setup(NULL);
		f.fail_at = i + 1;
		f.fail_with = -EIO;
		assert_int_equal(open_it(&be, false, &err), -EIO);
		assert_null(be);
		assert_non_null(strstr(err.text, words[i]));
		nothing_is_left();
	}
	setup(NULL);
	f.fail_at = ARRAY_SIZE(words) + 1;
	backend_close(opened(false)); /* there is no seventh */
	nothing_is_left();
}

static void refusals_say_what_to_do(void **state)
{
	static const struct {
		int with, code;
		const char *words;
	} cases[] = {
		{-EACCES, -EACCES, "group hailo"},
		{-EPERM, -EPERM, "group hailo"},
		{-ENOENT, -ENODEV, "container"},
		{-ENODEV, -ENODEV, "being removed"},
		{-ENXIO, -ENODEV, "being removed"},
		{-EMFILE, -EMFILE, "Too many open files"},
		{-EBUSY, -EBUSY, "in use by another process"},
	};
	struct hw_error err;
	struct backend *be;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(NULL);
		f.fail_at = 1;
		f.fail_with = cases[i].with;
		assert_int_equal(open_it(&be, false, &err), cases[i].code);
		assert_non_null(strstr(err.text, cases[i].words));
		nothing_is_left();
	}
}

static void an_owner_is_named(void **state)
{
	struct hw_error err;
	struct backend *be;
	char text[16], want[80], name[16];

	(void)state;
	snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	sysfs_put(sysfs, "bus/pci/devices/" BDF "/misc/hailo_uio3/owner", text);
	f.fail_at = 1;
	f.fail_with = -EBUSY;
	assert_int_equal(open_it(&be, false, &err), -EBUSY);
	lock_process_name(getpid(), name);
	snprintf(want, sizeof(want), "the card at " BDF " is in use by PID %ld (%s)", (long)getpid(), name);
	assert_string_equal(err.text, want);
}

static void without_the_module_it_says_so(void **state)
{
	struct hw_error err;
	struct backend *be;

	(void)state;
	f.k.sysfs = "/nowhere";
	assert_int_equal(open_it(&be, false, &err), -ENODEV);
	assert_non_null(strstr(err.text, "modprobe hailo_uio"));
	assert_int_equal(f.calls, 0);
}

static void what_makes_no_sense_is_refused(void **state)
{
	struct hw_error err;
	struct backend *be;

	(void)state;
	f.info.version = HAILO_UIO_VERSION + 1;
	assert_int_equal(open_it(&be, false, &err), -EPROTO);
	assert_non_null(strstr(err.text, "another version"));
	nothing_is_left();

	setup(NULL);
	f.fail_at = 2;
	f.fail_with = -ENOTTY;
	assert_int_equal(open_it(&be, false, &err), -EPROTO);
	nothing_is_left();

	for (int bar = 0; bar <= 4; bar += 2) {
		setup(NULL);
		f.info.bar_size[bar] /= 2;
		assert_int_equal(open_it(&be, false, &err), -ENODEV);
		assert_non_null(strstr(err.text, "is no Hailo-8: BAR"));
		nothing_is_left();
	}
	setup(NULL);
	f.info.bar_size[0] = 1ull << 32;
	assert_int_equal(open_it(&be, false, &err), -ENODEV);
	nothing_is_left();

	setup(NULL);
	memset(f.config, 0xff, sizeof(f.config));
	assert_int_equal(open_it(&be, false, &err), -ENODEV);
	assert_non_null(strstr(err.text, "does not answer"));
	nothing_is_left();
}

static void memory_is_aligned_as_asked(void **state)
{
	static const struct {
		size_t size, align, want;
	} cases[] = {{100, 64, 4096}, {4096, 4096, 4096}, {0x30000, 0x10000, 0x30000}, {16, 0x10000, 0x10000}};
	struct backend *be = opened(false);
	struct backend_dma mem;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(backend_dma_alloc(be, cases[i].size, cases[i].align, &mem), 0);
		assert_int_equal(mem.bus % cases[i].align, 0);
		assert_true(mem.bus >= BUS);
		assert_int_equal(mem.size, cases[i].want);
		memset(mem.virt, 0xff, mem.size);
		backend_dma_free(be, &mem);
		assert_null(mem.virt);
	}
	/* more than the module promises: by luck or not at all */
	f.next_bus = BUS + 0x10000;
	assert_int_equal(backend_dma_alloc(be, 64, 1 << 18, &mem), -ENOMEM);
	assert_non_null(strstr(backend_dma_why(be, -ENOMEM), "no multiple of 262144"));
	assert_int_equal(backend_dma_alloc(be, SIZE_MAX - 5, 0x10000, &mem), -EINVAL);
	backend_close(be);
	nothing_is_left();
}

static void memory_that_cannot_be_had_is_explained(void **state)
{
	struct backend *be = opened(false);
	struct backend_dma mem;

	(void)state;
	assert_int_equal(backend_dma_alloc(be, 0x110000, 4096, &mem), -ENOMEM);
	assert_string_equal(backend_dma_why(be, -ENOMEM),
			    "1114112 bytes more than the 0 in use would pass the module's limit of 1 MiB: "
			    "raise it with: echo 3 | sudo tee /sys/module/hailo_uio/parameters/dma_limit");
	f.fail_at = f.calls + 1;
	f.fail_with = -ENOMEM;
	assert_int_equal(backend_dma_alloc(be, 4096, 4096, &mem), -ENOMEM);
	assert_non_null(strstr(backend_dma_why(be, -ENOMEM), "cma=256M"));
	f.fail_at = f.calls + 1;
	f.fail_with = -EIO;
	assert_int_equal(backend_dma_alloc(be, 4096, 4096, &mem), -EIO);
	/* the mapping fails: what was allocated goes back */
	f.fail_at = f.calls + 2;
	f.fail_with = -ENXIO;
	assert_int_equal(backend_dma_alloc(be, 4096, 4096, &mem), -ENXIO);
	assert_int_equal(f.info.dma_bytes, 0);
	backend_close(be);
	nothing_is_left();
}

static void lists_are_never_cached_and_data_on_request(void **state)
{
	struct backend_dma list, data;
	struct backend *be;

	(void)state;
	f.incoherent = true;
	be = opened(false);
	assert_int_equal(backend_dma_alloc(be, 4096, 4096, &data), 0);
	assert_int_equal(f.area[0].flags, 0);
	backend_dma_sync(be, &data, 0, 4096, true);
	assert_int_equal(f.syncs, 0);
	backend_dma_free(be, &data);
	backend_close(be);

	be = opened(true);
	assert_int_equal(backend_dma_alloc(be, 65536, 65536, &list), 0);
	assert_int_equal(backend_dma_alloc(be, 8192, 4096, &data), 0);
	assert_int_equal(f.area[0].flags, 0);
	assert_int_equal(f.area[1].flags, HAILO_UIO_CACHED);
	backend_dma_sync(be, &list, 0, 65536, true);
	assert_int_equal(f.syncs, 0);
	backend_dma_sync(be, &data, 100, 200, true);
	assert_int_equal(f.syncs, 1);
	assert_int_equal(f.last_sync.id, 9);
	assert_int_equal(f.last_sync.direction, HAILO_UIO_FOR_DEVICE);
	assert_int_equal(f.last_sync.offset, 100);
	assert_int_equal(f.last_sync.size, 200);
	backend_dma_sync(be, &data, 0, 8192, false);
	assert_int_equal(f.last_sync.direction, HAILO_UIO_FOR_CPU);
	backend_dma_free(be, &data);
	backend_dma_free(be, &list);
	backend_close(be);
	nothing_is_left();

	/* a board that snoops: cached memory costs nothing, and no calls */
	setup(NULL);
	be = opened(true);
	assert_int_equal(backend_dma_alloc(be, 8192, 4096, &data), 0);
	backend_dma_sync(be, &data, 0, 8192, true);
	assert_int_equal(f.syncs, 0);
	backend_dma_free(be, &data);
	backend_close(be);
	nothing_is_left();
}

static void interrupts_and_bus_mastering(void **state)
{
	struct backend *be = opened(false);

	(void)state;
	assert_int_equal(be->ops->irq_enable(be), 0);
	assert_true(f.irq);
	be->ops->irq_disable(be);
	assert_false(f.irq);
	f.intx = true;
	assert_int_equal(be->ops->irq_enable(be), 0);
	f.fail_at = f.calls + 1;
	f.fail_with = -ENOSPC;
	assert_int_equal(be->ops->irq_enable(be), -ENOSPC);
	be->ops->set_bus_master(be, true);
	assert_true(f.master);
	be->ops->set_bus_master(be, false);
	assert_false(f.master);
	backend_close(be);
	nothing_is_left();
}

static void a_reset_waits_for_whoever_is_busy_with_the_card(void **state)
{
	struct backend *be = opened(false);

	(void)state;
	f.busy_resets = 2;
	assert_int_equal(be->ops->reset(be), 0);
	assert_int_equal(f.resets, 3);
	f.busy_resets = 1000;
	assert_int_equal(be->ops->reset(be), -EAGAIN);
	backend_close(be);

	setup(NULL);
	f.info.flags = 0;
	be = opened(false);
	assert_null(be->ops->reset);
	backend_close(be);
	nothing_is_left();
}

/* The module takes everything back by itself when the card goes. */
static void a_card_that_goes_leaves_nothing(void **state)
{
	struct backend *be = opened(true);
	struct backend_dma mem;

	(void)state;
	f.incoherent = true;
	assert_int_equal(backend_dma_alloc(be, 4096, 4096, &mem), 0);
	f.gone = true;
	backend_dma_sync(be, &mem, 0, 4096, false);
	assert_int_equal(be->ops->reset(be), -ENODEV);
	assert_int_equal(be->ops->irq_enable(be), -ENODEV);
	be->ops->irq_disable(be);
	be->ops->set_bus_master(be, true);
	backend_dma_free(be, &mem);
	assert_int_equal(backend_dma_alloc(be, 4096, 4096, &mem), -ENODEV);
	backend_close(be);
	assert_int_equal(f.open, 0);
	assert_int_equal(f.maps, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(it_opens_and_closes, setup),
		cmocka_unit_test_setup(a_bar_smaller_than_a_page_is_mapped_whole, setup),
		cmocka_unit_test_setup(every_call_that_fails_is_told_and_cleaned_up, setup),
		cmocka_unit_test_setup(refusals_say_what_to_do, setup),
		cmocka_unit_test_setup(an_owner_is_named, setup),
		cmocka_unit_test_setup(without_the_module_it_says_so, setup),
		cmocka_unit_test_setup(what_makes_no_sense_is_refused, setup),
		cmocka_unit_test_setup(memory_is_aligned_as_asked, setup),
		cmocka_unit_test_setup(memory_that_cannot_be_had_is_explained, setup),
		cmocka_unit_test_setup(lists_are_never_cached_and_data_on_request, setup),
		cmocka_unit_test_setup(interrupts_and_bus_mastering, setup),
		cmocka_unit_test_setup(a_reset_waits_for_whoever_is_busy_with_the_card, setup),
		cmocka_unit_test_setup(a_card_that_goes_leaves_nothing, setup),
	};

	return cmocka_run_group_tests_name("uio", tests, NULL, NULL);
}
