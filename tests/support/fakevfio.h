// SPDX-License-Identifier: MIT
/*
 * A kernel with VFIO and one card in it, for the backend's tests.  It keeps to the kernel's rules
 * (what may be called when, what may be mapped where) and fails the test when the backend does not.
 */
#ifndef TESTS_SUPPORT_FAKEVFIO_H
#define TESTS_SUPPORT_FAKEVFIO_H

#include "backend/kernel.h"
#include "backend/vfio.h"

#define FAKE_BDF "fffe:01:00.0"
#define FAKE_GROUP 7
#define FAKE_MAPS 64
#define FAKE_HUGE (64u << 10)

struct fake_map {
	uint64_t iova, size;
	void *virt;
};

struct fake_kernel {
	/* what kind of machine it is; fake_kernel_new() makes a healthy one with type1 version 2 */
	bool type1v2, cdev, viable, reset, msi, requests, sparse, mappable;
	unsigned int bus_members;       /* what a bus reset would hit */
	uint64_t bar_size[6];
	uint8_t config[256];
	struct iova_range ranges[4];    /* the IOMMU's; none: the kernel does not tell */
	size_t n_ranges;
	uint64_t granule;
	uint64_t memlock;               /* bytes that may be pinned */
	uint64_t huge_phys[8];          /* where huge pages lie, in the order in which they are taken */
	size_t n_huge;
	uint64_t pagemap_hides;         /* pages from this one on have no address (no CAP_SYS_ADMIN) */

	/* faults */
	unsigned long fail_request;     /* this ioctl() ... */
	const char *fail_path;          /* or open() of what ends so, ... */
	int fail_code;                  /* fails with this */
	unsigned int fail_call;         /* the so many-th call of any kind fails with fail_code */
	unsigned int again;             /* so many resets say EAGAIN */

	/* what happened */
	unsigned int calls;
	int fds;
	size_t mapped;                  /* bytes of memory and BARs that are mapped */
	struct fake_map maps[FAKE_MAPS];
	size_t n_maps, pinned;
	int msi_fd, request_fd, error_fd; /* -1 */
	unsigned int resets, hot_resets, hot_groups;
	bool bus_master_at_close;
	uint8_t *huge[8];               /* the pages themselves */
	uint8_t bar[6][0x10000];
};

extern struct fake_kernel fake;

/* Start over; @page: of the machine.  The card is in IOMMU group 7. */
void fake_kernel_new(size_t page);
/* It, for the backend. */
const struct kernel *fake_kernel_now(void);
/* The card is in no IOMMU group. */
void fake_no_group(void);
/* Its sysfs, to add to (after fake.cdev is settled). */
const char *fake_sysfs(void);
int fake_open(struct backend **out, struct hw_error *err);
/* Nothing is open, mapped or pinned any more. */
void fake_assert_clean(void);
/* The byte at a bus address, or NULL: the IOMMU stops the chip. */
uint8_t *fake_dma(uint64_t bus);
/* The byte at a physical address, of a huge page that is taken. */
uint8_t *fake_huge(uint64_t phys);

#endif
