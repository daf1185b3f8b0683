/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * What the kernel module hailo_uio and its users agree on (docs/kernel-module.md).
 *
 * One character device for each card, /dev/hailo_uioN, opened by one user at a time.
 *
 * read(): eight bytes, the number of interrupts since the last read; write(): eight bytes, added to
 * that number; poll(): readable when it is not zero.  That is how an eventfd behaves.
 *
 * mmap(): a BAR at the offset HAILO_UIO_REGION(0, 2 or 4), DMA memory at the offset that
 * HAILO_UIO_DMA_ALLOC returned; always from the start of the region.
 *
 * Once the card is gone, given back or asleep, everything fails with ENODEV, poll() reports POLLIN,
 * POLLERR and POLLHUP, BARs read as ones, and what was DMA memory is plain memory.
 */
#ifndef HAILO_UIO_H
#define HAILO_UIO_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define HAILO_UIO_VERSION 1

#define HAILO_UIO_REGION(n) ((__u64)(n) << 32)

/* struct hailo_uio_info.flags */
#define HAILO_UIO_MSI 0x1	/* interrupts are on, and they are MSIs */
#define HAILO_UIO_INTX 0x2	/* interrupts are on, on a wire */
#define HAILO_UIO_RESETTABLE 0x4	/* HAILO_UIO_RESET has a way to work */

struct hailo_uio_info {
	__u32 version;
	__u32 flags;
	__u64 bar_size[6]; /* 0: none to map */
	__u64 dma_limit;   /* bytes that one user may have allocated */
	__u64 dma_bytes;   /* bytes that are allocated */
};

/* The first part of configuration space, which sysfs shows to root alone. */
struct hailo_uio_config {
	__u8 bytes[256];
};

/* struct hailo_uio_dma.flags, in */
#define HAILO_UIO_CACHED 0x1 /* ordinary cached memory; HAILO_UIO_DMA_SYNC may be needed */
/* struct hailo_uio_dma.flags, out */
#define HAILO_UIO_NEEDS_SYNC 0x2 /* cached, and the card does not see the CPU's caches */
#define HAILO_UIO_UNCACHED 0x4	 /* not cached, because the card does not see the CPU's caches */

/*
 * Zeroed, contiguous on the bus, and aligned there to @size rounded up to a power of two, up to
 * 64 KiB at least.
 */
struct hailo_uio_dma {
	__u64 size;   /* in; out: rounded up to pages */
	__u32 flags;  /* in, out */
	__u32 id;     /* out: for HAILO_UIO_DMA_FREE and HAILO_UIO_DMA_SYNC */
	__u64 bus;    /* out: where the card sees it */
	__u64 offset; /* out: for mmap() */
};

#define HAILO_UIO_FOR_DEVICE 0x1 /* before the card reads or writes it */
#define HAILO_UIO_FOR_CPU 0x2	 /* after the card wrote it */

struct hailo_uio_sync {
	__u32 id;
	__u32 direction; /* one of the two above */
	__u64 offset;
	__u64 size;
};

#define HAILO_UIO_INFO _IOR(0xb8, 0x40, struct hailo_uio_info)
#define HAILO_UIO_CONFIG _IOR(0xb8, 0x41, struct hailo_uio_config)
#define HAILO_UIO_DMA_ALLOC _IOWR(0xb8, 0x42, struct hailo_uio_dma)
#define HAILO_UIO_DMA_FREE _IOW(0xb8, 0x43, __u32) /* EBUSY while it is mapped */
#define HAILO_UIO_DMA_SYNC _IOW(0xb8, 0x44, struct hailo_uio_sync)
#define HAILO_UIO_IRQ _IOW(0xb8, 0x45, __u32)	     /* 1 on, 0 off */
#define HAILO_UIO_BUS_MASTER _IOW(0xb8, 0x46, __u32) /* 1 on, 0 off; off when opened */
#define HAILO_UIO_RESET _IO(0xb8, 0x47)		     /* function reset */

#endif
