// SPDX-License-Identifier: MIT
/*
 * A card that is bound to our kernel module hailo_uio: for boards whose PCIe has no IOMMU
 * (docs/kernel-module.md).  The module's device is also the interrupt descriptor: it reads, writes
 * and polls as an eventfd does.
 */
#include "backend/uio.h"
#include "backend/config_space.h"
#include "backend/lock.h"
#include "chip/regs.h"
#include "pci/sysfs.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kmod/hailo_uio.h"

struct uio {
	struct backend be;
	struct backend_ops ops; /* without what this card or board cannot do or does not need */
	const struct kernel *k;
	int fd;
	bool cached; /* data in cached memory, where the board's other memory is slow to read */
	bool uncached_told;
	size_t page;
	size_t bar_mapped[6];
	size_t dma_bytes, dma_areas;
};

/* backend_dma.handle: what dma_sync() has to know without a look-up */
#define HANDLE_NEEDS_SYNC ((uintptr_t)1 << 31)
#define HANDLE_ID(h) ((uint32_t)((h) & ~HANDLE_NEEDS_SYNC))

static struct uio *to_uio(struct backend *be)
{
	return container_of(be, struct uio, be);
}

static int tell(struct uio *u, unsigned long request, uint32_t value)
{
	return u->k->ioctl(u->fd, request, &value);
}

static int uio_irq_enable(struct backend *be)
{
	struct uio *u = to_uio(be);
	struct hailo_uio_info info = {0};
	int r = tell(u, HAILO_UIO_IRQ, 1);

	if (r < 0) {
		hw_log(HW_LOG_ERROR,
		       "%s: this machine has neither an MSI vector nor an interrupt line for the card: %s",
		       be->bdf, strerror(-r));
		return r;
	}
	if (u->k->ioctl(u->fd, HAILO_UIO_INFO, &info) == 0 && (info.flags & HAILO_UIO_INTX))
		hw_log(HW_LOG_INFO, "%s: no MSI: interrupts come by wire, which is slower", be->bdf);
	return 0;
}

static void uio_irq_disable(struct backend *be)
{
	(void)tell(to_uio(be), HAILO_UIO_IRQ, 0); /* it fails when the card is gone, and they with it */
}

static void uio_set_bus_master(struct backend *be, bool on)
{
	int r = tell(to_uio(be), HAILO_UIO_BUS_MASTER, on);

	if (r < 0 && on)
		hw_log(HW_LOG_ERROR, "%s: cannot turn bus mastering on: %s", be->bdf, strerror(-r));
}

static int uio_reset(struct backend *be)
{
	struct uio *u = to_uio(be);

	return kernel_reset(u->k, u->fd, HAILO_UIO_RESET);
}

static int dma_refused(struct uio *u, int code, uint64_t size)
{
	struct hailo_uio_info info = {0};

	if (code == -EDQUOT && u->k->ioctl(u->fd, HAILO_UIO_INFO, &info) == 0) {
		snprintf(u->be.dma_why, sizeof(u->be.dma_why),
			 "%" PRIu64 " bytes more than the %" PRIu64 " in use would pass the module's limit of "
			 "%" PRIu64 " MiB: raise it with: echo %" PRIu64
			 " | sudo tee /sys/module/hailo_uio/parameters/dma_limit",
			 size, (uint64_t)info.dma_bytes, (uint64_t)info.dma_limit >> 20,
			 (uint64_t)(info.dma_limit + size + (1 << 20)) >> 20);
		return -ENOMEM;
	}
	if (code == -ENOMEM)
		snprintf(u->be.dma_why, sizeof(u->be.dma_why),
			 "the kernel has no %" PRIu64 " contiguous bytes: boot with more memory set aside for "
			 "that (cma=256M on the kernel's command line), or use fewer frames in flight",
			 size);
	return code;
}

static int uio_dma_alloc(struct backend *be, size_t size, size_t align, struct backend_dma *out)
{
	struct uio *u = to_uio(be);
	/*
	 * Descriptor lists, which alone ask for so much, are written by both sides at any time: no
	 * caches there.
	 */
	bool cached = u->cached && align < CHIP_LIST_ALIGN;
	struct hailo_uio_dma q = {
		/* The module aligns to the size. */
		.size = align > u->page ? align_up(size, align) : size,
		.flags = cached ? HAILO_UIO_CACHED : 0,
	};
	void *virt = NULL;
	int r;

	if (q.size < size)
		return -EINVAL;
	r = u->k->ioctl(u->fd, HAILO_UIO_DMA_ALLOC, &q);
	if (r < 0)
		return dma_refused(u, r, q.size);
	if (q.bus % align) {
		snprintf(be->dma_why, sizeof(be->dma_why), "bus address 0x%" PRIx64 " is no multiple of %zu",
			 (uint64_t)q.bus, align);
		r = -ENOMEM;
		goto err_free;
	}
	r = u->k->mmap(&virt, q.size, PROT_READ | PROT_WRITE, MAP_SHARED, u->fd, (off_t)q.offset);
	if (r < 0)
		goto err_free;
	if ((q.flags & HAILO_UIO_UNCACHED) && !u->uncached_told) {
		u->uncached_told = true;
		hw_log(HW_LOG_DEBUG, "%s: the card does not see the CPU's caches: uncached DMA memory",
		       be->bdf);
	}
	*out = (struct backend_dma){
		.virt = virt,
		.bus = q.bus,
		.size = q.size,
		.handle = q.id | (q.flags & HAILO_UIO_NEEDS_SYNC ? HANDLE_NEEDS_SYNC : 0),
	};
	u->dma_bytes += q.size;
	u->dma_areas++;
	return 0;
err_free:
	(void)tell(u, HAILO_UIO_DMA_FREE, q.id);
	return r;
}

static void uio_dma_free(struct backend *be, struct backend_dma *mem)
{
	struct uio *u = to_uio(be);
	int r;

	u->k->munmap(mem->virt, mem->size);
	r = tell(u, HAILO_UIO_DMA_FREE, HANDLE_ID(mem->handle));
	/* The module has taken it back already when the card was taken away. */
	if (r < 0 && r != -ENODEV)
		hw_log(HW_LOG_ERROR, "internal error: freeing DMA memory at 0x%llx: %s",
		       (unsigned long long)mem->bus, strerror(-r));
	u->dma_bytes -= mem->size;
	u->dma_areas--;
}

static void uio_dma_sync(struct backend *be, const struct backend_dma *mem, size_t off, size_t len,
			 bool to_device)
{
	struct uio *u = to_uio(be);
	struct hailo_uio_sync q = {
		.id = HANDLE_ID(mem->handle),
		.direction = to_device ? HAILO_UIO_FOR_DEVICE : HAILO_UIO_FOR_CPU,
		.offset = off,
		.size = len,
	};
	int r;

	if (!(mem->handle & HANDLE_NEEDS_SYNC))
		return;
	r = u->k->ioctl(u->fd, HAILO_UIO_DMA_SYNC, &q);
	if (r < 0 && r != -ENODEV)
		hw_log(HW_LOG_ERROR, "internal error: syncing %zu bytes at 0x%llx + %zu: %s", len,
		       (unsigned long long)mem->bus, off, strerror(-r));
}

static void unmap_bars(struct uio *u)
{
	for (size_t i = 0; i < ARRAY_SIZE(u->bar_mapped); i++)
		if (u->bar_mapped[i])
			u->k->munmap((void *)(uintptr_t)u->be.bar[i], u->bar_mapped[i]);
}

static void uio_close(struct backend *be)
{
	struct uio *u = to_uio(be);

	unmap_bars(u);
	/* The module stops the chip if nobody has, and frees what is left once nothing maps it. */
	u->k->close(u->fd);
	if (u->dma_areas)
		hw_log(HW_LOG_ERROR, "internal error: %zu bytes of DMA memory in %zu areas not freed",
		       u->dma_bytes, u->dma_areas);
	free(u);
}

static const struct backend_ops uio_ops = {
	.close = uio_close,
	.irq_enable = uio_irq_enable,
	.irq_disable = uio_irq_disable,
	.dma_alloc = uio_dma_alloc,
	.dma_free = uio_dma_free,
	.dma_sync = uio_dma_sync,
	.reset = uio_reset,
	.set_bus_master = uio_set_bus_master,
};

/* The module calls its nodes hailo_uio0, hailo_uio1, ...; sysfs knows which is this card's. */
static int find_node(struct uio *u, char *name, size_t size, struct hw_error *err)
{
	char path[PATH_MAX];
	struct dirent *e;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/misc", u->k->sysfs, u->be.bdf);
	dir = opendir(path);
	while (dir && !found && (e = readdir(dir)))
		if (strncmp(e->d_name, "hailo_uio", 9) == 0 && strlen(e->d_name) < size) {
			snprintf(name, size, "%s", e->d_name);
			found = true;
		}
	if (dir)
		closedir(dir);
	if (found)
		return 0;
	return hw_fail(err, -ENODEV,
		       "the module hailo_uio offers no device for the card at %s: is it loaded (sudo modprobe "
		       "hailo_uio), and what does the kernel say (sudo dmesg | grep hailo_uio)?",
		       u->be.bdf);
}

static int in_use(struct uio *u, const char *name, struct hw_error *err)
{
	char attribute[64], text[16], who[16];
	long pid = 0;

	snprintf(attribute, sizeof(attribute), "misc/%s/owner", name);
	if (pci_attribute(u->k->sysfs, u->be.bdf, attribute, text, sizeof(text)) == 0)
		pid = strtol(text, NULL, 10);
	if (pid <= 0)
		return hw_fail(err, -EBUSY, "the card at %s is in use by another process", u->be.bdf);
	lock_process_name((pid_t)pid, who);
	return hw_fail(err, -EBUSY, "the card at %s is in use by PID %ld (%s)", u->be.bdf, pid,
		       who[0] ? who : "gone");
}

static int open_node(struct uio *u, struct hw_error *err)
{
	char name[32], node[PATH_MAX];
	int r = find_node(u, name, sizeof(name), err);

	if (r < 0)
		return r;
	snprintf(node, sizeof(node), "%s/%s", u->k->dev, name);
	r = u->k->open(node, O_RDWR | O_NONBLOCK);
	switch (r) {
	case -EBUSY:
		return in_use(u, name, err);
	case -EACCES:
	case -EPERM:
		return hw_fail(err, r,
			       "no permission to open %s: it should belong to the group hailo (the udev rule "
			       "sees to that) and you to that group: sudo usermod -aG hailo $USER, then log in "
			       "again",
			       node);
	case -ENOENT:
		return hw_fail(err, -ENODEV, "%s does not exist here: was it passed to the container?", node);
	case -ENODEV:
	case -ENXIO:
		return hw_fail(err, -ENODEV, "the card at %s is being removed", u->be.bdf);
	}
	if (r < 0)
		return hw_fail(err, r, "cannot open %s: %s", node, strerror(-r));
	u->fd = u->be.irq_fd = r;
	return 0;
}

static int map_bar(struct uio *u, unsigned int bar, uint64_t size, uint32_t needed,
		   struct hw_error *err)
{
	void *virt = NULL;
	size_t mapped;
	int r;

	if (size < needed || size > UINT32_MAX)
		return hw_fail(err, -ENODEV, "the card at %s is no Hailo-8: BAR%u has %" PRIu64 " bytes",
			       u->be.bdf, bar, size);
	mapped = align_up(size, u->page);
	r = u->k->mmap(&virt, mapped, PROT_READ | PROT_WRITE, MAP_SHARED, u->fd,
		       (off_t)HAILO_UIO_REGION(bar));
	if (r < 0)
		return hw_fail(err, r, "cannot map BAR%u of the card at %s: %s", bar, u->be.bdf,
			       strerror(-r));
	u->be.bar[bar] = virt;
	u->be.bar_len[bar] = (uint32_t)size;
	u->bar_mapped[bar] = mapped;
	return 0;
}

static int look_at_card(struct uio *u, struct hw_error *err)
{
	static const struct {
		unsigned int bar;
		uint32_t size;
	} bars[] = {
		{CHIP_BAR_CONFIG, CHIP_BAR_CONFIG_SIZE},
		{CHIP_BAR_VDMA, CHIP_BAR_VDMA_SIZE},
		{CHIP_BAR_FW, CHIP_BAR_FW_SIZE},
	};
	struct hailo_uio_config config;
	struct hailo_uio_info info;
	int r = u->k->ioctl(u->fd, HAILO_UIO_INFO, &info);

	if (r == -ENOTTY || (r == 0 && info.version != HAILO_UIO_VERSION))
		return hw_fail(err, -EPROTO,
			       "the module hailo_uio that is loaded is of another version than this program: "
			       "install both from the same release, then: sudo modprobe -r hailo_uio; sudo "
			       "modprobe hailo_uio");
	if (r == 0)
		r = u->k->ioctl(u->fd, HAILO_UIO_CONFIG, &config);
	if (r < 0)
		return hw_fail(err, r, "%s: hailo_uio tells nothing about the card: %s", u->be.bdf,
			       strerror(-r));
	static_assert(sizeof(config.bytes) == CONFIG_SPACE_SIZE, "what config_space_facts() reads");
	config_space_facts(config.bytes, &u->be);
	if (u->be.vendor == 0xffff)
		return hw_fail(err, -ENODEV, "the card at %s does not answer: its configuration space reads "
					     "all ones",
			       u->be.bdf);
	for (size_t i = 0; i < ARRAY_SIZE(bars); i++) {
		r = map_bar(u, bars[i].bar, info.bar_size[bars[i].bar], bars[i].size, err);
		if (r < 0)
			return r;
	}
	if (!(info.flags & HAILO_UIO_RESETTABLE)) {
		u->ops.reset = NULL;
		hw_log(HW_LOG_WARNING,
		       "%s: the function cannot be reset: a chip that hangs needs the machine to be switched off",
		       u->be.bdf);
	}
	return 0;
}

int uio_open_with(const struct kernel *k, const struct hw_card *card,
		  const struct hw_dev_options *opt, struct backend **out, struct hw_error *err)
{
	struct uio *u = calloc(1, sizeof(*u));
	int r;

	if (!u)
		return hw_fail(err, -ENOMEM, "no memory for a device");
	u->k = k;
	u->ops = uio_ops;
	u->page = kernel_page(k);
	u->cached = opt->cached_dma;
	u->be = (struct backend){.ops = &u->ops, .name = "uio", .iommu = "none", .irq_fd = -1};
	memcpy(u->be.bdf, card->bdf, sizeof(u->be.bdf));
	r = open_node(u, err);
	if (r < 0)
		goto err_free;
	r = look_at_card(u, err);
	if (r < 0)
		goto err_close;
	hw_log(HW_LOG_INFO, "%s: opened through hailo_uio", u->be.bdf);
	*out = &u->be;
	return 0;
err_close:
	unmap_bars(u);
	k->close(u->fd);
err_free:
	free(u);
	return r;
}

int backend_uio_open(const struct hw_card *card, const struct hw_dev_options *opt,
		     struct backend **out, struct hw_error *err)
{
	return uio_open_with(&kernel_linux, card, opt, out, err);
}
