// SPDX-License-Identifier: MIT
/* Without an IOMMU: only on request, and at the physical addresses that memory really has. */
#include "support/fakevfio.h"
#include "support/support.h"
#include "support/sysfs.h"

#include <limits.h>

#include "backend/busaddr.h"
#include "backend/hugepages.h"

/* Seven huge pages of 64 KiB, taken in this order; 2, 0, 4, 1 lie beside each other. */
static const uint64_t scattered[] = {0x120010000, 0x120030000, 0x120000000, 0x40000000,
				     0x120020000, 0x60000000, 0x120050000};

static void noiommu_machine(void)
{
	fake_kernel_new(4096);
	sysfs_put(fake_sysfs(), "kernel/iommu_groups/7/name", "vfio-noiommu\n");
	fake.n_huge = ARRAY_SIZE(scattered);
	memcpy(fake.huge_phys, scattered, sizeof(scattered));
}

static int open_it(bool unsafe, struct backend **be, struct hw_error *err)
{
	const struct hw_card card = {.bdf = FAKE_BDF, .driver = "vfio-pci", .iommu_group = FAKE_GROUP};
	const struct hw_dev_options opt = {.unsafe_no_iommu = unsafe};

	return vfio_open_with(fake_kernel_now(), &card, &opt, be, err);
}

static void refused(bool unsafe, int code, const char *words)
{
	struct backend *be = NULL;
	struct hw_error err = {0};
	int r = open_it(unsafe, &be, &err);

	if (r != code || !strstr(err.text, words))
		fail_msg("%d instead of %d, '%s' in '%s'", r, code, words, err.text);
	assert_null(be);
	assert_int_equal(fake.fds, 0);
	assert_int_equal(fake.mapped, 0);
}

static void only_on_request(void **state)
{
	struct backend *be;
	struct hw_error err;

	(void)state;
	noiommu_machine();
	refused(false, -EPERM, "--unsafe-no-iommu");
	refused(false, -EPERM, "overwrite all of the machine's memory");
	assert_int_equal(fake.calls, 0);
#if BUSADDR_PC
	assert_ok(open_it(true, &be, &err), &err);
	assert_string_equal(be->iommu, "none");
	backend_close(be);
	fake_assert_clean();
#endif
	/* asked for where there is an IOMMU: the IOMMU is used */
	fake_kernel_new(4096);
	assert_ok(open_it(true, &be, &err), &err);
	assert_string_equal(be->iommu, "type1v2");
	backend_close(be);
	/* no group at all: VFIO cannot take it */
	fake_kernel_new(4096);
	fake_no_group();
	refused(true, -ENOTSUP, "no IOMMU stands between");
	refused(true, -ENOTSUP, "intel_iommu=on");
}

#if BUSADDR_PC
static void errors(void **state)
{
	(void)state;
	noiommu_machine();
	fake.n_huge = 0;
	refused(true, -ENOMEM, "nr_hugepages");
	noiommu_machine();
	fake.pagemap_hides = 0;
	refused(true, -EPERM, "CAP_SYS_ADMIN");
	noiommu_machine();
	fake.fail_path = "/vfio/noiommu-7";
	fake.fail_code = -EPERM;
	refused(true, -EPERM, "CAP_SYS_RAWIO");
	noiommu_machine();
	sysfs_put(fake_sysfs(), "proc/meminfo", "MemFree: 12 kB\n");
	refused(true, -ENOTSUP, "no huge pages");
	noiommu_machine();
	sysfs_put(fake_sysfs(), "hypervisor/type", "xen\n");
	refused(true, -ENOTSUP, "Xen");
	fake.calls = UINT_MAX;
	for (unsigned int call = 1; fake.calls >= call; call++) {
		struct backend *be = NULL;
		struct hw_error err;

		noiommu_machine();
		fake.fail_call = call;
		fake.fail_code = -EIO;
		if (open_it(true, &be, &err) == 0)
			backend_close(be);
		assert_int_equal(fake.fds, 0);
		assert_int_equal(fake.mapped, 0);
	}
}
#endif

/* What the CPU wrote is where the chip will look: in the file of the page with that address. */
static void assert_lies_at(const struct backend_dma *mem, size_t off, uint8_t value)
{
	uint8_t *p = fake_huge(mem->bus + off);

	assert_non_null(p);
	assert_int_equal(*p, value);
}

static void contiguous_in_physical_memory(void **state)
{
	struct backend_dma list, big, small = {0}, none = {0};
	struct hugepages *h;
	struct hw_error err;
	char why[256] = "";

	(void)state;
	noiommu_machine();
	assert_ok(hugepages_open(fake_kernel_now(), &h, &err), &err);
	assert_int_equal(hugepages_alloc(h, 5000, 64, &small, why, sizeof(why)), 0);
	assert_int_equal(small.bus % 4096, 0);
	assert_int_equal(small.size, 8192);
	/* 150000 bytes are three pages, which do not come in order */
	assert_int_equal(hugepages_alloc(h, 150000, 4096, &big, why, sizeof(why)), 0);
	assert_true(big.bus >= 0x120000000 && big.bus + big.size <= 0x120040000);
	assert_true(big.bus + big.size <= small.bus || big.bus >= small.bus + small.size);
	for (size_t i = 0; i < big.size; i++)
		assert_int_equal(((uint8_t *)big.virt)[i], 0);
	for (size_t i = 0; i < big.size; i++)
		((uint8_t *)big.virt)[i] = (uint8_t)(i / 4096 + i);
	memset(small.virt, 0xee, small.size);
	for (size_t i = 0; i < big.size; i += 1000)
		assert_lies_at(&big, i, (uint8_t)(i / 4096 + i));
	assert_lies_at(&small, 4999, 0xee);

	assert_int_equal(hugepages_alloc(h, 0x10000, 0x10000, &list, why, sizeof(why)), -ENOMEM);
	assert_non_null(strstr(why, "hugepages=64"));
	hugepages_free(h, &big);
	assert_int_equal(hugepages_alloc(h, 0x10000, 0x10000, &list, why, sizeof(why)), 0);
	assert_int_equal(list.bus % 0x10000, 0);
	((uint8_t *)list.virt)[0xffff] = 0x77;
	assert_lies_at(&list, 0xffff, 0x77);
	assert_int_equal(hugepages_alloc(h, SIZE_MAX - 1, 64, &none, why, sizeof(why)), -ENOMEM);
	assert_null(none.virt);
	/* a mapping that fails gives its addresses back */
	fake.fail_call = fake.calls + 2;
	fake.fail_code = -ENOMEM;
	assert_int_equal(hugepages_alloc(h, 4096, 64, &none, why, sizeof(why)), -ENOMEM);
	assert_int_equal(hugepages_alloc(h, 4096, 64, &none, why, sizeof(why)), 0);
	hugepages_free(h, &none);
	hugepages_free(h, &list);
	hugepages_free(h, &small);
	hugepages_close(h);
	assert_int_equal(fake.fds, 0);
	assert_int_equal(fake.mapped, 0);
	hugepages_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_on_request),
#if BUSADDR_PC
		cmocka_unit_test(errors),
#endif
		cmocka_unit_test(contiguous_in_physical_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
