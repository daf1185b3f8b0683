// SPDX-License-Identifier: MIT
/*
 * What Debian 12's kernel headers (6.1) do not have yet of Linux' interfaces: VFIO character
 * devices (since 6.6) and iommufd (since 6.2).  Names of our own, so that newer headers do not clash.
 */
#ifndef HWLAYER_BACKEND_VFIO_ABI_H
#define HWLAYER_BACKEND_VFIO_ABI_H

#include <assert.h>
#include <stdint.h>

#include <linux/vfio.h>

#define ABI_VFIO_BIND_IOMMUFD _IO(VFIO_TYPE, VFIO_BASE + 18)
struct abi_bind_iommufd {
	uint32_t argsz, flags;
	int32_t iommufd;
	uint32_t out_devid;
};
static_assert(sizeof(struct abi_bind_iommufd) == 16, "as the kernel has it");

#define ABI_VFIO_ATTACH_PT _IO(VFIO_TYPE, VFIO_BASE + 19)
struct abi_attach_pt {
	uint32_t argsz, flags;
	uint32_t pt_id;
};
static_assert(sizeof(struct abi_attach_pt) == 12, "as the kernel has it");

#define ABI_IOMMUFD_TYPE ';'

#define ABI_IOAS_ALLOC _IO(ABI_IOMMUFD_TYPE, 0x81)
struct abi_ioas_alloc {
	uint32_t size, flags;
	uint32_t out_ioas;
};
static_assert(sizeof(struct abi_ioas_alloc) == 12, "as the kernel has it");

#define ABI_IOAS_RANGES _IO(ABI_IOMMUFD_TYPE, 0x84)
struct abi_range {
	uint64_t start, last;
};
struct abi_ioas_ranges {
	uint32_t size, ioas;
	uint32_t count, reserved; /* room in, how many out */
	uint64_t ranges;          /* pointer to struct abi_range */
	uint64_t out_alignment;
};
static_assert(sizeof(struct abi_ioas_ranges) == 32, "as the kernel has it");

#define ABI_IOAS_MAP _IO(ABI_IOMMUFD_TYPE, 0x85)
#define ABI_MAP_FIXED (1u << 0)
#define ABI_MAP_WRITE (1u << 1)
#define ABI_MAP_READ (1u << 2)
struct abi_ioas_map {
	uint32_t size, flags;
	uint32_t ioas, reserved;
	uint64_t user_va, length, iova;
};
static_assert(sizeof(struct abi_ioas_map) == 40, "as the kernel has it");

#define ABI_IOAS_UNMAP _IO(ABI_IOMMUFD_TYPE, 0x86)
struct abi_ioas_unmap {
	uint32_t size, ioas;
	uint64_t iova, length;
};
static_assert(sizeof(struct abi_ioas_unmap) == 24, "as the kernel has it");

#endif
