// SPDX-License-Identifier: MIT
#include "support/fakevfio.h"
#include "support/support.h"
#include "support/sysfs.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend/vfio_abi.h"

struct fake_kernel fake;

enum kind { NOTHING, CONTAINER, GROUP, DEVICE, IOMMU, CDEV, PAGEMAP, HUGE };

#define FDS 1024
static struct {
	enum kind kind;
	size_t huge; /* which one */
} open_fds[FDS];

static struct {
	uint8_t *at;
	size_t huge;
} huge_maps[32]; /* where huge pages are in memory */

static bool group_has_container, iommu_set, device_open, bound, attached;
static struct kernel kernel;

/* Made once for all tests that do not change it; the second has a character device in it. */
static struct {
	char path[200];
	bool made, touched;
} trees[2];
static char proc[256];

#define REGION(index) ((uint64_t)(index) << 40)

static int called(void)
{
	fake.calls++;
	return fake.fail_call && fake.calls == fake.fail_call ? fake.fail_code : 0;
}

static int new_fd(enum kind kind)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	assert_in_range(fd, 0, FDS - 1);
	open_fds[fd].kind = kind;
	fake.fds++;
	return fd;
}

static bool ends(const char *path, const char *with)
{
	size_t n = strlen(path), m = strlen(with);

	return n >= m && strcmp(path + n - m, with) == 0;
}

static int fake_sys_open(const char *path, int flags)
{
	static const struct {
		const char *path;
		enum kind kind;
	} nodes[] = {
		{"/vfio/vfio", CONTAINER}, {"/vfio/7", GROUP}, {"/vfio/noiommu-7", GROUP},
		{"/dev/iommu", IOMMU}, {"/vfio/devices/vfio0", CDEV}, {"/self/pagemap", PAGEMAP},
	};
	int r = called();

	(void)flags;
	if (r < 0)
		return r;
	if (fake.fail_path && ends(path, fake.fail_path))
		return fake.fail_code;
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++)
		if (ends(path, nodes[i].path))
			return new_fd(nodes[i].kind);
	return -ENOENT;
}

static void fake_sys_close(int fd)
{
	assert_in_range(fd, 0, FDS - 1);
	assert_int_not_equal(open_fds[fd].kind, NOTHING);
	if (open_fds[fd].kind == DEVICE || open_fds[fd].kind == CDEV) {
		fake.bus_master_at_close = fake.config[0] != 0xff && (fake.config[4] & 4);
		device_open = bound = attached = false;
	}
	if (open_fds[fd].kind == CONTAINER || open_fds[fd].kind == IOMMU) {
		/* the address space goes with it */
		assert_false(device_open);
		fake.n_maps = fake.pinned = 0;
	}
	if (open_fds[fd].kind == HUGE)
		assert_int_equal(munmap(fake.huge[open_fds[fd].huge], FAKE_HUGE), 0);
	open_fds[fd].kind = NOTHING;
	fake.fds--;
	close(fd);
}

/* --------------------------------------------------------------------------------- DMA */

static int dma_map(uint64_t iova, uint64_t virt, uint64_t size)
{
	bool inside = !fake.n_ranges;

	assert_true(iommu_set || attached);
	if (!size || (iova | virt | size) % fake.granule)
		return -EINVAL;
	for (size_t i = 0; i < fake.n_ranges; i++)
		inside |= fake.ranges[i].start <= iova && iova + size - 1 <= fake.ranges[i].last;
	if (!inside)
		return -EINVAL;
	for (size_t i = 0; i < fake.n_maps; i++)
		if (iova < fake.maps[i].iova + fake.maps[i].size && fake.maps[i].iova < iova + size)
			return -EEXIST;
	if (fake.pinned + size > fake.memlock)
		return -ENOMEM;
	assert_true(fake.n_maps < FAKE_MAPS);
	fake.maps[fake.n_maps++] = (struct fake_map){iova, size, (void *)(uintptr_t)virt};
	fake.pinned += size;
	return 0;
}

static uint64_t dma_unmap(uint64_t iova, uint64_t size)
{
	for (size_t i = 0; i < fake.n_maps; i++) {
		if (fake.maps[i].iova != iova || fake.maps[i].size != size)
			continue;
		fake.maps[i] = fake.maps[--fake.n_maps];
		fake.pinned -= size;
		return size;
	}
	return 0;
}

uint8_t *fake_dma(uint64_t bus)
{
	for (size_t i = 0; i < fake.n_maps; i++)
		if (bus - fake.maps[i].iova < fake.maps[i].size)
			return (uint8_t *)fake.maps[i].virt + (bus - fake.maps[i].iova);
	return NULL;
}

/* -------------------------------------------------------------------------------- ioctl */

static int iommu_info(struct vfio_iommu_type1_info *info)
{
	struct vfio_iommu_type1_info_cap_iova_range *cap = (void *)(info + 1);
	uint32_t need = (uint32_t)(sizeof(*info) +
				   (fake.n_ranges ? sizeof(*cap) + fake.n_ranges * sizeof(struct iova_range)
						  : 0));
	uint32_t room = info->argsz;

	assert_true(room >= sizeof(*info));
	info->flags = VFIO_IOMMU_INFO_PGSIZES;
	info->iova_pgsizes = fake.granule | 1u << 30;
	info->cap_offset = 0;
	info->argsz = need;
	if (!fake.n_ranges)
		return 0;
	info->flags |= VFIO_IOMMU_INFO_CAPS;
	if (room < need)
		return 0;
	info->cap_offset = sizeof(*info);
	*cap = (struct vfio_iommu_type1_info_cap_iova_range){
		.header = {.id = VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, .version = 1},
		.nr_iovas = (uint32_t)fake.n_ranges,
	};
	for (size_t i = 0; i < fake.n_ranges; i++) {
		cap->iova_ranges[i].start = fake.ranges[i].start;
		cap->iova_ranges[i].end = fake.ranges[i].last;
	}
	return 0;
}

static int container_ioctl(unsigned long request, void *arg)
{
	uintptr_t type = (uintptr_t)arg;

	switch (request) {
	case VFIO_GET_API_VERSION:
		return VFIO_API_VERSION;
	case VFIO_CHECK_EXTENSION:
		return type == VFIO_TYPE1_IOMMU || type == VFIO_NOIOMMU_IOMMU ||
		       (type == VFIO_TYPE1v2_IOMMU && fake.type1v2);
	case VFIO_SET_IOMMU:
		assert_true(group_has_container);
		assert_true(type != VFIO_TYPE1v2_IOMMU || fake.type1v2);
		iommu_set = type != VFIO_NOIOMMU_IOMMU;
		return 0;
	case VFIO_IOMMU_GET_INFO:
		assert_true(iommu_set);
		return iommu_info(arg);
	case VFIO_IOMMU_MAP_DMA: {
		struct vfio_iommu_type1_dma_map *m = arg;

		assert_int_equal(m->flags, VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE);
		return dma_map(m->iova, m->vaddr, m->size);
	}
	case VFIO_IOMMU_UNMAP_DMA: {
		struct vfio_iommu_type1_dma_unmap *u = arg;

		u->size = dma_unmap(u->iova, u->size);
		return 0;
	}
	}
	return -ENOTTY;
}

static int group_ioctl(unsigned long request, void *arg)
{
	switch (request) {
	case VFIO_GROUP_GET_STATUS:
		((struct vfio_group_status *)arg)->flags = fake.viable ? VFIO_GROUP_FLAGS_VIABLE : 0;
		return 0;
	case VFIO_GROUP_SET_CONTAINER:
		assert_int_equal(open_fds[*(int *)arg].kind, CONTAINER);
		group_has_container = true;
		return 0;
	case VFIO_GROUP_GET_DEVICE_FD:
		assert_true(group_has_container);
		assert_string_equal(arg, FAKE_BDF);
		device_open = true;
		return new_fd(DEVICE);
	}
	return -ENOTTY;
}

static int set_irqs(const struct vfio_irq_set *set)
{
	int32_t fd = -1, *slot;

	slot = set->index == VFIO_PCI_MSI_IRQ_INDEX   ? &fake.msi_fd
	       : set->index == VFIO_PCI_REQ_IRQ_INDEX ? &fake.request_fd
	       : set->index == VFIO_PCI_ERR_IRQ_INDEX ? &fake.error_fd
						      : NULL;
	assert_non_null(slot);
	assert_true(set->flags & VFIO_IRQ_SET_ACTION_TRIGGER);
	assert_int_equal(set->start, 0);
	if (set->flags & VFIO_IRQ_SET_DATA_EVENTFD) {
		assert_int_equal(set->count, 1);
		assert_int_equal(set->argsz, sizeof(*set) + 4);
		memcpy(&fd, set->data, 4);
		assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	} else {
		assert_int_equal(set->count, 0);
	}
	*slot = fd;
	return 0;
}

static int region_info(struct vfio_region_info *info)
{
	bool bar = info->index < 6 && fake.bar_size[info->index];

	info->offset = REGION(info->index);
	info->size = bar ? fake.bar_size[info->index] : info->index == 7 ? 4096 : 0;
	info->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	if (bar && fake.mappable)
		info->flags |= VFIO_REGION_INFO_FLAG_MMAP;
	if (bar && fake.sparse && info->index == 0) {
		struct vfio_info_cap_header *cap = (void *)(info + 1);
		uint32_t room = info->argsz;

		info->flags |= VFIO_REGION_INFO_FLAG_CAPS;
		info->argsz = sizeof(*info) + 64;
		info->cap_offset = 0;
		if (room >= info->argsz) {
			info->cap_offset = sizeof(*info);
			cap[0] = (struct vfio_info_cap_header){.id = 99, .next = sizeof(*info) + 16};
			cap[2] = (struct vfio_info_cap_header){.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP};
		}
	}
	return 0;
}

static int device_ioctl(unsigned long request, void *arg)
{
	switch (request) {
	case VFIO_DEVICE_GET_INFO: {
		struct vfio_device_info *info = arg;

		info->flags = VFIO_DEVICE_FLAGS_PCI | (fake.reset ? VFIO_DEVICE_FLAGS_RESET : 0);
		info->num_regions = 9;
		info->num_irqs = 5;
		return 0;
	}
	case VFIO_DEVICE_GET_REGION_INFO:
		return region_info(arg);
	case VFIO_DEVICE_GET_IRQ_INFO: {
		struct vfio_irq_info *info = arg;

		info->count = info->index == VFIO_PCI_MSI_IRQ_INDEX ? fake.msi : fake.requests;
		return 0;
	}
	case VFIO_DEVICE_SET_IRQS:
		return set_irqs(arg);
	case VFIO_DEVICE_RESET:
		assert_true(fake.reset);
		fake.resets++;
		return fake.again && fake.again-- ? -EAGAIN : 0;
	case VFIO_DEVICE_GET_PCI_HOT_RESET_INFO:
		((struct vfio_pci_hot_reset_info *)arg)->count = fake.bus_members;
		return fake.bus_members > 1 ? -ENOSPC : fake.bus_members ? 0 : -ENODEV;
	case VFIO_DEVICE_PCI_HOT_RESET:
		fake.hot_resets++;
		fake.hot_groups = ((struct vfio_pci_hot_reset *)arg)->count;
		return 0;
	case ABI_VFIO_BIND_IOMMUFD:
		assert_int_equal(open_fds[((struct abi_bind_iommufd *)arg)->iommufd].kind, IOMMU);
		bound = device_open = true;
		return 0;
	case ABI_VFIO_ATTACH_PT:
		assert_true(bound);
		assert_int_equal(((struct abi_attach_pt *)arg)->pt_id, 5);
		attached = true;
		return 0;
	}
	return -ENOTTY;
}

static int iommufd_ioctl(unsigned long request, void *arg)
{
	switch (request) {
	case ABI_IOAS_ALLOC:
		((struct abi_ioas_alloc *)arg)->out_ioas = 5;
		return 0;
	case ABI_IOAS_RANGES: {
		struct abi_ioas_ranges *q = arg;

		assert_true(attached);
		assert_true(q->count >= fake.n_ranges);
		memcpy((void *)(uintptr_t)q->ranges, fake.ranges, fake.n_ranges * sizeof(fake.ranges[0]));
		q->count = (uint32_t)fake.n_ranges;
		q->out_alignment = fake.granule;
		return 0;
	}
	case ABI_IOAS_MAP: {
		struct abi_ioas_map *m = arg;

		assert_int_equal(m->flags, ABI_MAP_FIXED | ABI_MAP_READ | ABI_MAP_WRITE);
		assert_int_equal(m->ioas, 5);
		return dma_map(m->iova, m->user_va, m->length);
	}
	case ABI_IOAS_UNMAP: {
		struct abi_ioas_unmap *u = arg;

		u->length = dma_unmap(u->iova, u->length);
		return u->length ? 0 : -ENOENT;
	}
	}
	return -ENOTTY;
}

static int fake_sys_ioctl(int fd, unsigned long request, void *arg)
{
	int r = called();

	if (r < 0)
		return r;
	if (request == fake.fail_request)
		return fake.fail_code;
	switch (open_fds[fd].kind) {
	case CONTAINER:
		return container_ioctl(request, arg);
	case GROUP:
		return group_ioctl(request, arg);
	case DEVICE:
	case CDEV:
		return device_ioctl(request, arg);
	case IOMMU:
		return iommufd_ioctl(request, arg);
	default:
		fail_msg("ioctl 0x%lx of a file of kind %d", request, open_fds[fd].kind);
		return -ENOTTY;
	}
}

/* ------------------------------------------------------------------------------- memory */

/* Addresses as a machine with such pages gives them out. */
static void *aligned_hole(size_t size)
{
	size_t spare = kernel.page;
	uint8_t *p = mmap(NULL, size + spare, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *at;

	assert_true(p != MAP_FAILED);
	at = (uint8_t *)(uintptr_t)align_up((uintptr_t)p, kernel.page);
	if (at > p)
		munmap(p, (size_t)(at - p));
	munmap(at + size, (size_t)(p + spare - at));
	return at;
}

static int fake_sys_mmap(void **addr, size_t size, int prot, int flags, int fd, off_t off)
{
	int r = called();
	void *p;

	if (r < 0)
		return r;
	if (fd >= 0 && (open_fds[fd].kind == DEVICE || open_fds[fd].kind == CDEV)) {
		assert_true(flags & MAP_SHARED);
		assert_int_equal(size % kernel.page, 0);
		*addr = fake.bar[off >> 40];
		fake.mapped += size;
		return 0;
	}
	p = flags & MAP_FIXED ? *addr : aligned_hole(size);
	p = mmap(p, size, prot, flags | MAP_FIXED, fd, off);
	if (p == MAP_FAILED)
		return -errno;
	*addr = p;
	if (!(flags & MAP_FIXED))
		fake.mapped += size;
	if (fd >= 0 && open_fds[fd].kind == HUGE) {
		size_t i = 0;

		while (huge_maps[i].at && huge_maps[i].at != p)
			i++;
		assert_true(i + 1 < ARRAY_SIZE(huge_maps));
		huge_maps[i].at = p;
		huge_maps[i].huge = open_fds[fd].huge;
	}
	return 0;
}

static void fake_sys_munmap(void *addr, size_t size)
{
	uint8_t *p = addr;

	assert_true(fake.mapped >= size);
	fake.mapped -= size;
	/* nothing that the chip can still reach goes away */
	for (size_t i = 0; i < fake.n_maps; i++) {
		uint8_t *m = fake.maps[i].virt;

		assert_false(p < m + fake.maps[i].size && m < p + size);
	}
	if (p < fake.bar[0] || p >= fake.bar[0] + sizeof(fake.bar))
		assert_int_equal(munmap(addr, size), 0);
}

static int fake_sys_memfd(const char *name, unsigned int flags, size_t size)
{
	int r = called(), fd;

	if (r < 0)
		return r;
	assert_int_equal(flags & MFD_HUGETLB, MFD_HUGETLB);
	assert_int_equal(size, FAKE_HUGE);
	for (size_t i = 0; i < fake.n_huge; i++) {
		bool taken = false;

		for (int k = 0; k < FDS; k++)
			taken |= open_fds[k].kind == HUGE && open_fds[k].huge == i;
		if (taken)
			continue;
		fd = memfd_create(name, MFD_CLOEXEC);
		assert_in_range(fd, 0, FDS - 1);
		assert_int_equal(ftruncate(fd, (off_t)size), 0);
		fake.huge[i] = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
		assert_true(fake.huge[i] != MAP_FAILED);
		open_fds[fd].kind = HUGE;
		open_fds[fd].huge = i;
		fake.fds++;
		return fd;
	}
	return -ENOMEM;
}

static int pagemap(uint64_t virt, void *buf)
{
	uint64_t entry = 0;

	for (size_t i = 0; i < ARRAY_SIZE(huge_maps); i++) {
		uint64_t off = virt - (uintptr_t)huge_maps[i].at;

		if (!huge_maps[i].at || off >= FAKE_HUGE)
			continue;
		entry = 1ull << 63;
		if (huge_maps[i].huge < fake.pagemap_hides)
			entry |= (fake.huge_phys[huge_maps[i].huge] + off) / kernel.page;
	}
	memcpy(buf, &entry, 8);
	return 0;
}

uint8_t *fake_huge(uint64_t phys)
{
	for (size_t i = 0; i < fake.n_huge; i++)
		if (phys - fake.huge_phys[i] < FAKE_HUGE)
			return fake.huge[i] + (phys - fake.huge_phys[i]);
	return NULL;
}

static uint8_t *region(off_t off, size_t size)
{
	unsigned int index = (unsigned int)(off >> 40);
	uint64_t at = (uint64_t)off & (REGION(1) - 1);

	if (index == 7) {
		assert_true(at + size <= sizeof(fake.config));
		return fake.config + at;
	}
	assert_true(index < 6 && at + size <= fake.bar_size[index]);
	return fake.bar[index] + at;
}

static int fake_sys_pread(int fd, void *buf, size_t size, off_t off)
{
	int r = called();

	if (r < 0)
		return r;
	if (open_fds[fd].kind == PAGEMAP)
		return pagemap((uint64_t)off / 8 * kernel.page, buf);
	assert_true(open_fds[fd].kind == DEVICE || open_fds[fd].kind == CDEV);
	memcpy(buf, region(off, size), size);
	return 0;
}

static int fake_sys_pwrite(int fd, const void *buf, size_t size, off_t off)
{
	int r = called();

	if (r < 0)
		return r;
	assert_true(open_fds[fd].kind == DEVICE || open_fds[fd].kind == CDEV);
	memcpy(region(off, size), buf, size);
	return 0;
}

/* -------------------------------------------------------------------------------- set-up */

/* The machine's sysfs and proc, as it is now. */
static const char *tree(void)
{
	static unsigned int n;
	char name[16], *sys = trees[fake.cdev].path;

	if (!trees[fake.cdev].made) {
		snprintf(name, sizeof(name), "vfio%u", n++);
		sysfs_new(sys, name);
		sysfs_device(sys, "pci0000:00", "0000:00:01.0", "0x060400", "pcieport", FAKE_GROUP);
		sysfs_device(sys, "pci0000:00/0000:00:01.0", FAKE_BDF, "0x0b4000", "vfio-pci", FAKE_GROUP);
		sysfs_put(sys, "bus/pci/devices/" FAKE_BDF "/link/l0s_aspm", "1\n");
		sysfs_put(sys, "proc/meminfo", "MemFree: 12 kB\nHugepagesize:      64 kB\n");
		if (fake.cdev)
			sysfs_put(sys, "bus/pci/devices/" FAKE_BDF "/vfio-dev/vfio0/dev", "511:0\n");
		trees[fake.cdev].made = true;
	}
	return sys;
}

const struct kernel *fake_kernel_now(void)
{
	kernel.sysfs = tree();
	snprintf(proc, sizeof(proc), "%s/proc", kernel.sysfs);
	kernel.proc = proc;
	return &kernel;
}

void fake_kernel_new(size_t page)
{
	for (size_t i = 0; i < ARRAY_SIZE(trees); i++) {
		trees[i].made &= !trees[i].touched;
		trees[i].touched = false;
	}
	memset(open_fds, 0, sizeof(open_fds));
	memset(huge_maps, 0, sizeof(huge_maps));
	group_has_container = iommu_set = device_open = bound = attached = false;
	fake = (struct fake_kernel){
		.type1v2 = true, .viable = true, .reset = true, .msi = true, .requests = true,
		.mappable = true, .bar_size = {0x4000, 0, 0x1000, 0, 0x4000},
		.ranges = {{0, 0xfedfffff}, {0xfef00000, (1ull << 39) - 1}}, .n_ranges = 2,
		.granule = page, .memlock = UINT64_MAX, .pagemap_hides = UINT64_MAX,
		.msi_fd = -1, .request_fd = -1, .error_fd = -1,
	};
	put_le16(fake.config, 0x1e60);
	put_le16(fake.config + 2, 0x2864);
	put_le16(fake.config + 0x2c, 0x1e60);
	fake.config[0x34] = 0x80; /* PCI Express: reads of 512 bytes, link at rest in L0s */
	fake.config[0x80] = 0x10;
	put_le16(fake.config + 0x88, 2u << 12);
	fake.config[0x90] = 1;
	kernel = (struct kernel){
		.open = fake_sys_open, .close = fake_sys_close, .ioctl = fake_sys_ioctl,
		.mmap = fake_sys_mmap, .munmap = fake_sys_munmap, .pread = fake_sys_pread,
		.pwrite = fake_sys_pwrite, .memfd = fake_sys_memfd, .page = page, .dev = "/dev",
		.locks = tmp_dir(),
	};
}

const char *fake_sysfs(void)
{
	trees[fake.cdev].touched = true;
	return tree();
}

void fake_no_group(void)
{
	char path[400];

	snprintf(path, sizeof(path), "%s/bus/pci/devices/" FAKE_BDF "/iommu_group", fake_sysfs());
	assert_int_equal(unlink(path), 0);
}

int fake_open(struct backend **out, struct hw_error *err)
{
	const struct hw_card card = {.bdf = FAKE_BDF, .driver = "vfio-pci", .iommu_group = FAKE_GROUP};
	const struct hw_dev_options opt = {0};

	return vfio_open_with(fake_kernel_now(), &card, &opt, out, err);
}

void fake_assert_clean(void)
{
	assert_int_equal(fake.fds, 0);
	assert_int_equal(fake.mapped, 0);
	assert_int_equal(fake.n_maps, 0);
	assert_int_equal(fake.pinned, 0);
	assert_false(fake.bus_master_at_close);
	assert_int_equal(fake.msi_fd, -1);
	assert_int_equal(fake.request_fd, -1);
	assert_int_equal(fake.error_fd, -1);
}
