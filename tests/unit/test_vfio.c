// SPDX-License-Identifier: MIT
/* The VFIO backend on a kernel of our own. */
#include "support/fakevfio.h"
#include "support/journal.h"
#include "support/support.h"
#include "support/sysfs.h"

#include <dirent.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/vfio_abi.h"
#include "pci/sysfs.h"

static unsigned int own_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static struct backend *open_healthy(void)
{
	struct backend *be = NULL;
	struct hw_error err;

	assert_ok(fake_open(&be, &err), &err);
	return be;
}

static void by_group_and_by_character_device(void **state)
{
	(void)state;
	for (int cdev = 0; cdev < 2; cdev++) {
		struct backend *be;
		char text[8];

		fake_kernel_new(4096);
		fake.cdev = cdev;
		be = open_healthy();
		assert_string_equal(be->name, "vfio");
		assert_string_equal(be->iommu, cdev ? "iommufd" : "type1v2");
		assert_string_equal(be->bdf, FAKE_BDF);
		assert_int_equal(be->max_read_request, 512);
		assert_false(backend_is_software(be));
		/* the link's L0s was on, and root may turn it off */
		assert_int_equal(pci_attribute(fake_sysfs(), FAKE_BDF, "link/l0s_aspm", text, sizeof(text)), 0);
		assert_string_equal(text, "0");

		assert_int_equal(fake.config[4] & 2, 2); /* memory on, bus mastering not yet */
		assert_int_equal(fake.config[4] & 4, 0);
		be->ops->set_bus_master(be, true);
		assert_int_equal(fake.config[4] & 6, 6);
		assert_int_equal(fake.msi_fd, -1);
		assert_int_equal(be->ops->irq_enable(be), 0);
		assert_int_equal(fake.msi_fd, be->irq_fd);
		be->ops->irq_disable(be);
		assert_int_equal(fake.msi_fd, -1);
		assert_int_equal(be->ops->irq_enable(be), 0);

		for (unsigned int bar = 0; bar < 6; bar += 2) {
			assert_int_equal(be->bar_len[bar], fake.bar_size[bar]);
			backend_write32(be, bar, 0x10, 0x11223344 + bar);
			assert_int_equal(get_le32(fake.bar[bar] + 0x10), 0x11223344 + bar);
			assert_int_equal(backend_read32(be, bar, 0x10), 0x11223344 + bar);
		}
		backend_close(be);
		fake_assert_clean();
	}
}

static void older_and_forbidden_ways(void **state)
{
	static const struct {
		const char *path;
		int code;
	} no_cdev[] = {{"/dev/iommu", -EACCES}, {"/dev/iommu", -ENOENT}, {"/vfio0", -EACCES}};
	struct backend *be;

	(void)state;
	fake_kernel_new(4096);
	fake.type1v2 = false;
	be = open_healthy();
	assert_string_equal(be->iommu, "type1");
	backend_close(be);
	fake_assert_clean();
	for (size_t i = 0; i < ARRAY_SIZE(no_cdev); i++) {
		fake_kernel_new(4096);
		fake.cdev = true;
		fake.fail_path = no_cdev[i].path;
		fake.fail_code = no_cdev[i].code;
		be = open_healthy();
		assert_string_equal(be->iommu, "type1v2");
		backend_close(be);
		fake_assert_clean();
	}
}

/* --------------------------------------------------------------------------- refusals */

static void refused(int code, const char *words)
{
	struct backend *be = (void *)1;
	struct hw_error err = {0};
	unsigned int before = own_fds();
	int r = fake_open(&be, &err);

	if (r != code || !strstr(err.text, words))
		fail_msg("%d instead of %d, '%s' in '%s'", r, code, words, err.text);
	assert_int_equal(err.code, code);
	assert_ptr_equal(be, (void *)1);
	fake_assert_clean();
	assert_int_equal(own_fds(), before);
}

static void errors_say_what_to_do(void **state)
{
	static const struct {
		const char *path;
		unsigned long request;
		int code, result;
		const char *words;
	} cases[] = {
		{"/vfio/vfio", 0, -ENOENT, -ENODEV, "modprobe vfio-pci"},
		{"/vfio/7", 0, -EACCES, -EACCES, "/dev/vfio/7: it should belong to the group hailo"},
		{"/vfio/7", 0, -EBUSY, -EBUSY, FAKE_BDF " is in use by another process"},
		{"/vfio/7", 0, -EIO, -EIO, "cannot open /dev/vfio/7"},
		{NULL, VFIO_SET_IOMMU, -EPERM, -EPERM, "interrupt remapping"},
		{NULL, VFIO_SET_IOMMU, -ENODEV, -ENODEV, "IOMMU cannot be set up"},
		{NULL, VFIO_GET_API_VERSION, 1, -ENOTSUP, "version 1"},
		{NULL, VFIO_CHECK_EXTENSION, 0, -ENOTSUP, "vfio_iommu_type1 loaded"},
		{NULL, VFIO_GROUP_GET_DEVICE_FD, -EBUSY, -EBUSY, "in use"},
		{NULL, VFIO_GROUP_GET_DEVICE_FD, -ENODEV, -ENODEV, "being unbound or was removed"},
		{NULL, VFIO_IOMMU_GET_INFO, -EIO, -EIO, "about the IOMMU"},
		{NULL, VFIO_DEVICE_GET_INFO, -EIO, -EIO, "about the card"},
		{NULL, VFIO_DEVICE_GET_REGION_INFO, -EIO, -EIO, "region 7"},
		{NULL, VFIO_DEVICE_GET_IRQ_INFO, -EIO, -EIO, "MSI"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fake_kernel_new(4096);
		fake.fail_path = cases[i].path;
		fake.fail_request = cases[i].request;
		fake.fail_code = cases[i].code;
		refused(cases[i].result, cases[i].words);
	}
	fake_kernel_new(4096);
	fake.viable = false;
	refused(-EBUSY, "in use by another driver");
	fake_kernel_new(4096);
	fake.msi = false;
	refused(-ENOTSUP, "no MSI");
	fake_kernel_new(4096);
	fake.bar_size[4] = 0x2000;
	refused(-ENODEV, "BAR 4 has 8192 bytes");
	fake_kernel_new(4096);
	memset(fake.config, 0xff, sizeof(fake.config));
	refused(-ENODEV, "all ones");
	fake_kernel_new(4096);
	put_le16(fake.config + 2, 0x45c4);
	refused(-ENODEV, "1e60:45c4");
	/* a character device that somebody else has bound */
	fake_kernel_new(4096);
	fake.cdev = true;
	fake.fail_request = ABI_VFIO_BIND_IOMMUFD;
	fake.fail_code = -EINVAL;
	refused(-EBUSY, "is in use by another process");
	/* iommufd is all that the kernel has, and may not be opened */
	fake_kernel_new(4096);
	fake.cdev = true;
	fake.fail_path = "/dev/iommu";
	fake.fail_request = VFIO_CHECK_EXTENSION;
	fake.fail_code = -EACCES;
	refused(-EACCES, "/dev/iommu: it should belong to the group hailo");
	fake_kernel_new(4096);
	fake.ranges[0] = (struct iova_range){0, 4095};
	fake.n_ranges = 1;
	refused(-ENOSPC, "no addresses");
}

static void shared_groups_are_refused(void **state)
{
	(void)state;
	fake_kernel_new(4096);
	sysfs_device(fake_sysfs(), "pci0000:00/0000:00:01.0", "fffe:01:00.1", "0x040300", "snd_hda_intel",
		     FAKE_GROUP);
	sysfs_device(fake_sysfs(), "pci0000:00/0000:00:01.0", "fffe:02:00.0", "0x020000", NULL, FAKE_GROUP);
	refused(-ENOTSUP, "IOMMU group 7 with fffe:01:00.1 (snd_hda_intel), fffe:02:00.0 (no driver)");
	assert_int_equal(fake.calls, 0); /* nothing was opened for it */
}

/* The kernel fails each call once, wherever it is: an error comes out, and nothing stays. */
static void every_call_fails_in_turn(void **state)
{
	(void)state;
	for (int cdev = 0; cdev < 2; cdev++) {
		unsigned int failed = 0, survived = 0, before, call;

		for (call = 1;; call++) {
			struct backend *be = NULL;
			struct hw_error err = {0};
			int r;

			fake_kernel_new(4096);
			fake.cdev = cdev;
			fake.fail_call = call;
			fake.fail_code = -EIO;
			before = own_fds();
			r = fake_open(&be, &err);
			if (fake.calls < call) {
				assert_ok(r, &err);
				backend_close(be);
				break;
			}
			if (r < 0) {
				failed++;
				assert_true(r == -EIO || r == -ENOTSUP);
				assert_int_equal(err.code, r);
				assert_true(strlen(err.text) > 10);
				assert_null(be);
			} else {
				survived++;
				backend_close(be);
			}
			fake.config[4] = 0;
			assert_int_equal(fake.fds, 0);
			assert_int_equal(fake.mapped, 0);
			assert_int_equal(own_fds(), before);
		}
		/* BARs that cannot be mapped, request and error interrupts are not worth failing for. */
		assert_in_range(survived, 3, 9);
		assert_in_range(failed, 12, 30);
	}
}

/* A virtual machine, say, which has the card by group where we come by iommufd, or the other way round. */
static void others_are_found_by_either_way(void **state)
{
	static const char *const nodes[] = {"/dev/vfio/7", "/dev/vfio/devices/vfio0"};
	char link[400];

	(void)state;
	for (int cdev = 0; cdev < 2; cdev++) {
		for (size_t i = 0; i < 1u + (unsigned int)cdev; i++) {
			fake_kernel_new(4096);
			fake.cdev = cdev;
			fake.fail_request = cdev ? ABI_VFIO_BIND_IOMMUFD : VFIO_GROUP_GET_DEVICE_FD;
			fake.fail_code = -EBUSY;
			sysfs_put(fake_sysfs(), "proc/99999999/fd/README", "");
			snprintf(link, sizeof(link), "%s/proc/99999999/fd/5", fake_sysfs());
			assert_int_equal(symlink(nodes[i], link), 0);
			refused(-EBUSY, "the card at " FAKE_BDF " is in use by PID 99999999 (gone)");
			assert_int_equal(unlink(link), 0);
		}
	}
}

static void one_user_at_a_time(void **state)
{
	struct backend *be;
	char me[32];

	(void)state;
	fake_kernel_new(4096);
	be = open_healthy();
	snprintf(me, sizeof(me), "in use by PID %ld", (long)getpid());
	{
		struct backend *second = NULL;
		struct hw_error err;

		assert_int_equal(fake_open(&second, &err), -EBUSY);
		assert_non_null(strstr(err.text, me));
		assert_null(second);
	}
	backend_close(be);
	backend_close(open_healthy());
	fake_assert_clean();
}

/* -------------------------------------------------------------------------------- BARs */

static void bars_that_cannot_be_mapped(void **state)
{
	(void)state;
	for (int sparse = 0; sparse < 2; sparse++) {
		struct backend *be;

		fake_kernel_new(4096);
		fake.mappable = sparse;
		fake.sparse = sparse;
		be = open_healthy();
		assert_null(be->bar[0]);
		assert_int_equal(be->bar[2] != NULL, sparse);
		backend_write32(be, 0, 0x188, 0xaabbccdd);
		assert_int_equal(get_le32(fake.bar[0] + 0x188), 0xaabbccdd);
		assert_int_equal(backend_read32(be, 0, 0x188), 0xaabbccdd);
		backend_write16(be, 0, 0x18a, 0x1122);
		assert_int_equal(get_le32(fake.bar[0] + 0x188), 0x1122ccdd);
		fake.fail_call = fake.calls + 1;
		fake.fail_code = -EIO;
		assert_int_equal(backend_read32(be, 0, 0x188), UINT32_MAX);
		backend_close(be);
		fake_assert_clean();
	}
}

/* --------------------------------------------------------------------------------- DMA */

static void memory_at_the_right_addresses(void **state)
{
	static const size_t pages[] = {4096, 16384, 65536};

	(void)state;
	for (int i = 0; i < 6; i++) {
		struct backend_dma mem[20] = {0}, list;
		size_t page = pages[i % 3];
		struct backend *be;

		fake_kernel_new(page);
		fake.cdev = i >= 3;
		be = open_healthy();
		for (size_t k = 0; k < 20; k++) {
			assert_int_equal(backend_dma_alloc(be, 100 + k * 9000, 64, &mem[k]), 0);
			assert_int_equal(mem[k].bus % page, 0);
			assert_true(mem[k].bus && mem[k].size >= 100 + k * 9000);
			assert_ptr_equal(fake_dma(mem[k].bus), mem[k].virt);
			assert_ptr_equal(fake_dma(mem[k].bus + mem[k].size - 1),
					 (uint8_t *)mem[k].virt + mem[k].size - 1);
			assert_null(fake_dma(mem[k].bus + mem[k].size)); /* who overruns it faults */
			assert_int_equal(((uint8_t *)mem[k].virt)[mem[k].size - 1], 0);
			memset(mem[k].virt, 0x5a, mem[k].size);
		}
		assert_int_equal(backend_dma_alloc(be, 65536, 65536, &list), 0);
		assert_int_equal(list.bus % 65536, 0);
		backend_dma_free(be, &list);
		for (size_t k = 0; k < 20; k++)
			backend_dma_free(be, &mem[k]);
		assert_int_equal(fake.n_maps, 0);
		backend_close(be);
		fake_assert_clean();
	}
}

/* The IOMMU maps in larger steps than the machine's pages: memory is aligned to them. */
static void granules_above_the_page(void **state)
{
	struct backend_dma mem[3];
	struct backend *be;

	(void)state;
	fake_kernel_new(4096);
	fake.granule = 65536;
	be = open_healthy();
	for (int i = 0; i < 3; i++)
		assert_int_equal(backend_dma_alloc(be, 5000, 64, &mem[i]), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal((uintptr_t)mem[i].virt % 65536, 0);
		backend_dma_free(be, &mem[i]);
	}
	backend_close(be);
	fake_assert_clean();
}

/* A 32-bit IOMMU with the hole where interrupts go: everything lies beside it. */
static void narrow_iommus(void **state)
{
	struct backend_dma mem[8];
	struct backend *be;

	(void)state;
	fake_kernel_new(4096);
	fake.ranges[0] = (struct iova_range){0, 0xfedfffff};
	fake.ranges[1] = (struct iova_range){0xfef00000, 0xffffffff};
	be = open_healthy();
	for (int i = 0; i < 8; i++) /* the fake refuses what lies in no range */
		assert_int_equal(backend_dma_alloc(be, 17u << 20, 1u << 20, &mem[i]), 0);
	for (int i = 0; i < 8; i++)
		backend_dma_free(be, &mem[i]);
	backend_close(be);
	fake_assert_clean();

	/* a kernel that does not tell: clear of interrupts, above 4 GiB */
	fake_kernel_new(4096);
	fake.n_ranges = 0;
	be = open_healthy();
	assert_int_equal(backend_dma_alloc(be, 4096, 64, &mem[0]), 0);
	assert_in_range(mem[0].bus, 1ull << 32, (1ull << 39) - 4096);
	backend_dma_free(be, &mem[0]);
	backend_close(be);
	fake_assert_clean();
}

static void not_enough_locked_memory(void **state)
{
	struct rlimit old, low = {.rlim_cur = 256 << 10};
	struct backend_dma mem = {0}, more = {0};
	struct backend *be;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &old), 0);
	low.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &low), 0);
	fake_kernel_new(4096);
	fake.memlock = 256 << 10;
	be = open_healthy();
	assert_int_equal(backend_dma_alloc(be, 200 << 10, 64, &mem), 0);
	assert_int_equal(backend_dma_alloc(be, 100 << 10, 64, &more), -ENOMEM);
	assert_null(more.virt);
	assert_non_null(strstr(backend_dma_why(be, -ENOMEM), "300 KiB of locked memory"));
	assert_non_null(strstr(backend_dma_why(be, -ENOMEM), "allows 256;"));
	assert_non_null(strstr(backend_dma_why(be, -ENOMEM), "LimitMEMLOCK"));
	assert_non_null(strstr(backend_dma_why(be, -ENOMEM), "limits.d"));
	assert_int_equal(fake.n_maps, 1);
	/* what is left can be had, and that clears the text */
	assert_int_equal(backend_dma_alloc(be, 56 << 10, 64, &more), 0);
	assert_string_equal(backend_dma_why(be, -EIO), strerror(EIO));
	backend_dma_free(be, &more);
	backend_dma_free(be, &mem);
	backend_close(be);
	fake_assert_clean();
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &old), 0);
}

static void mapping_fails(void **state)
{
	static const unsigned long requests[] = {VFIO_IOMMU_MAP_DMA, ABI_IOAS_MAP};

	(void)state;
	for (int cdev = 0; cdev < 2; cdev++) {
		struct backend_dma mem = {0}, kept, next;
		struct backend *be;
		size_t mapped;
		uint64_t left;

		fake_kernel_new(4096);
		fake.cdev = cdev;
		be = open_healthy();
		left = iova_left(&to_vfio(be)->iova);
		mapped = fake.mapped;
		fake.fail_request = requests[cdev];
		fake.fail_code = -EFAULT;
		assert_int_equal(backend_dma_alloc(be, 4096, 64, &mem), -EFAULT);
		assert_non_null(strstr(backend_dma_why(be, -EFAULT), "IOMMU does not take it"));
		assert_int_equal(fake.mapped, mapped);
		assert_int_equal(iova_left(&to_vfio(be)->iova), left);
		/* no memory at all */
		fake.fail_request = 0;
		fake.fail_call = fake.calls + 1;
		fake.fail_code = -ENOMEM;
		assert_int_equal(backend_dma_alloc(be, 4096, 64, &mem), -ENOMEM);
		assert_int_equal(iova_left(&to_vfio(be)->iova), left);
		assert_int_equal(backend_dma_alloc(be, SIZE_MAX - 5, 64, &mem), -ENOMEM);

		/* What cannot be unmapped stays where it is, and its address is nobody else's. */
		assert_int_equal(backend_dma_alloc(be, 4096, 64, &mem), 0);
		kept = mem;
		fake.fail_request = cdev ? ABI_IOAS_UNMAP : VFIO_IOMMU_UNMAP_DMA;
		fake.fail_code = -EIO;
		backend_dma_free(be, &mem);
		fake.fail_request = 0;
		assert_ptr_equal(fake_dma(kept.bus), kept.virt);
		memset(kept.virt, 1, kept.size);
		to_vfio(be)->iova.next = 0;
		assert_int_equal(backend_dma_alloc(be, 4096, 64, &next), 0);
		assert_true(next.bus != kept.bus);
		backend_dma_free(be, &next);
		backend_close(be);
		assert_int_equal(fake.fds, 0);
		assert_int_equal(fake.mapped, kept.size);
		munmap(kept.virt, kept.size);
	}
}

/* Whoever may not turn L0s off, or cannot, is told how; the card is opened all the same. */
static void who_turns_l0s_off(void **state)
{
	char path[300];

	(void)state;
	for (int i = 0; i < 2; i++) {
		fake_kernel_new(4096);
		snprintf(path, sizeof(path), "%s/bus/pci/devices/" FAKE_BDF "/link/l0s_aspm", fake_sysfs());
		assert_int_equal(unlink(path), 0);
		/* something that nobody can write */
		if (i)
			assert_int_equal(mkdir(path, 0755), 0);
		journal_begin(HW_LOG_WARNING);
		backend_close(open_healthy());
		journal_end();
		assert_int_equal(logged(i ? "/" FAKE_BDF "/link/l0s_aspm, or boot with pcie_aspm=off"
					  : "setpci -s " FAKE_BDF " CAP_EXP+10.w=0:1"), 1);
	}
}

static void leaks_are_reported(void **state)
{
	struct backend_dma mem;
	struct backend *be;

	(void)state;
	fake_kernel_new(4096);
	be = open_healthy();
	assert_int_equal(backend_dma_alloc(be, 4096, 64, &mem), 0);
	journal_begin(HW_LOG_ERROR);
	backend_close(be);
	journal_end();
	assert_int_equal(logged("4096 bytes of DMA memory in 1 areas not freed"), 1);
	((uint8_t *)mem.virt)[0] = 1; /* still there for whoever forgot it */
	munmap(mem.virt, mem.size);
	assert_int_equal(fake.fds, 0);
}

/* ---------------------------------------------------------------- resets, being thrown out */

static void resets(void **state)
{
	struct backend *be;

	(void)state;
	fake_kernel_new(4096);
	be = open_healthy();
	fake.again = 3;
	assert_int_equal(be->ops->reset(be), 0);
	assert_int_equal(fake.resets, 4);
	fake.again = 1000;
	assert_int_equal(be->ops->reset(be), -EAGAIN);
	backend_close(be);

	for (int cdev = 0; cdev < 2; cdev++) {
		fake_kernel_new(4096);
		fake.reset = false;
		fake.cdev = cdev;
		fake.bus_members = 1;
		be = open_healthy();
		assert_int_equal(be->ops->reset(be), 0);
		assert_int_equal(fake.hot_resets, 1);
		assert_int_equal(fake.hot_groups, !cdev);
		backend_close(be);
		fake_assert_clean();
	}
	for (unsigned int members = 0; members < 3; members += 2) {
		fake_kernel_new(4096);
		fake.reset = false;
		fake.bus_members = members;
		be = open_healthy();
		assert_null(be->ops->reset);
		backend_close(be);
	}
}

static void the_kernel_wants_the_card_back(void **state)
{
	(void)state;
	for (int error = 0; error < 2; error++) {
		struct pollfd rung;
		struct backend *be;

		fake_kernel_new(4096);
		journal_begin(HW_LOG_WARNING); /* before there is a thread that logs */
		be = open_healthy();
		be->ops->set_bus_master(be, true);
		put_le32(fake.bar[0] + 0x98, 0x28641e60);
		assert_int_equal(backend_read32(be, 0, 0x98), 0x28641e60);
		rung = (struct pollfd){.fd = be->irq_fd, .events = POLLIN};
		assert_int_equal(eventfd_write(error ? fake.error_fd : fake.request_fd, 1), 0);
		/* whoever waits for an interrupt is woken, finds all ones, and memory is out of reach */
		assert_int_equal(poll(&rung, 1, 10000), 1);
		assert_int_equal(backend_read32(be, 0, 0x98), UINT32_MAX);
		backend_write32(be, 0, 0x98, 1);
		backend_write16(be, 0, 0x98, 1);
		assert_int_equal(get_le32(fake.bar[0] + 0x98), 0x28641e60);
		be->ops->set_bus_master(be, true);
		assert_int_equal(fake.config[4] & 4, 0);
		backend_close(be);
		journal_end();
		assert_int_equal(logged(error ? "PCIe reported" : "wants the card back"), 1);
		fake_assert_clean();
	}
	/* a kernel without these interrupts */
	fake_kernel_new(4096);
	fake.requests = false;
	backend_close(open_healthy());
	fake_assert_clean();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_group_and_by_character_device),
		cmocka_unit_test(older_and_forbidden_ways),
		cmocka_unit_test(errors_say_what_to_do),
		cmocka_unit_test(shared_groups_are_refused),
		cmocka_unit_test(every_call_fails_in_turn),
		cmocka_unit_test(others_are_found_by_either_way),
		cmocka_unit_test(one_user_at_a_time),
		cmocka_unit_test(bars_that_cannot_be_mapped),
		cmocka_unit_test(memory_at_the_right_addresses),
		cmocka_unit_test(granules_above_the_page),
		cmocka_unit_test(narrow_iommus),
		cmocka_unit_test(who_turns_l0s_off),
		cmocka_unit_test(not_enough_locked_memory),
		cmocka_unit_test(mapping_fails),
		cmocka_unit_test(leaks_are_reported),
		cmocka_unit_test(resets),
		cmocka_unit_test(the_kernel_wants_the_card_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
