// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The software chip (hwlayer/mock) as "-device hailo8" of Debian's own QEMU 7.2: a shared object for
 * LD_PRELOAD that adds a device type to the unmodified binary.  Only this file includes QEMU's
 * headers, hence its licence.  It serves x86-64 and arm64 alike.
 *
 * Threads.  QEMU calls us with its big lock held; the chip calls us from its own threads.  A chip
 * thread never takes that lock: it queues its transfer and waits until somebody who has the lock
 * serves the queue, which is the main loop (a bottom half), or a caller of the chip who has to wait
 * for the chip's threads meanwhile (patiently()).
 */
#include "qemu/osdep.h"
#include "qemu/module.h"
#include "qemu/main-loop.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "hw/pci/pci.h"
#include "hw/pci/pcie.h"
#include "hw/pci/msi.h"

#include <dlfcn.h>

#include "journal.h"
#include "mock/mock.h"

#define TYPE_HAILO8 "hailo8"

/* pcie 1: the capabilities' places are the model's (hwlayer/mock/config.c) */
#define CAP_PCIE 0x80
#define CAP_MSI 0xe0

struct transfer {
	struct transfer *next;
	uint64_t bus;
	void *buf;
	size_t len;
	bool write, done;
	int result;
};

struct hailo8;

struct window {
	struct hailo8 *dev;
	unsigned int bar;
};

struct hailo8 {
	PCIDevice pci;
	MemoryRegion bar[3];
	struct window window[3];
	struct mock_chip *chip;
	struct journal *journal;
	QEMUBH *bh;

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t done, work;
	struct transfer *head, **tail;
	unsigned int msi; /* to be sent */

	uint64_t refused;    /* transfers that did not reach the guest's memory */
	uint64_t uninvited;  /* transfers while bus mastering was off: a bug of the model */
	bool master, msi_on; /* as last journalled */

	char *arch, *faults, *facts, *mmio;
};

/* ------------------------------------------------------------------ the chip's view of its host */

static int queue_transfer(struct hailo8 *h, uint64_t bus, void *buf, size_t len, bool write)
{
	struct transfer t = {.bus = bus, .buf = buf, .len = len, .write = write};

	pthread_mutex_lock(&h->lock);
	*h->tail = &t;
	h->tail = &t.next;
	pthread_cond_signal(&h->work);
	qemu_bh_schedule(h->bh);
	while (!t.done)
		pthread_cond_wait(&h->done, &h->lock);
	pthread_mutex_unlock(&h->lock);
	return t.result;
}

static int host_dma_read(void *host, uint64_t bus, void *buf, size_t len)
{
	return queue_transfer(host, bus, buf, len, false);
}

static int host_dma_write(void *host, uint64_t bus, const void *buf, size_t len)
{
	/* pci_dma_rw() wants it without const and only reads it. */
	return queue_transfer(host, bus, (void *)(uintptr_t)buf, len, true);
}

static void host_irq(void *host)
{
	struct hailo8 *h = host;

	pthread_mutex_lock(&h->lock);
	h->msi++;
	pthread_mutex_unlock(&h->lock);
	qemu_bh_schedule(h->bh);
}

/* ------------------------------------------------------------------------ with the big lock held */

static int transfer_now(struct hailo8 *h, const struct transfer *t)
{
	MemTxResult r;

	if (!(pci_get_word(h->pci.config + PCI_COMMAND) & PCI_COMMAND_MASTER)) {
		h->uninvited++;
		journal_fact(h->journal, "dma_without_master", ",\"bus\":\"0x%" PRIx64 "\",\"len\":%zu",
			     t->bus, t->len);
	}
	/* Through the guest's IOMMU where there is one: what it does not map is refused here. */
	r = pci_dma_rw(&h->pci, t->bus, t->buf, t->len,
		       t->write ? DMA_DIRECTION_FROM_DEVICE : DMA_DIRECTION_TO_DEVICE,
		       MEMTXATTRS_UNSPECIFIED);
	if (r == MEMTX_OK) {
		journal_dma(h->journal, t->bus, t->len, t->write);
		return 0;
	}
	h->refused++;
	journal_fact(h->journal, "dma_fault",
		     ",\"bus\":\"0x%" PRIx64 "\",\"len\":%zu,\"write\":%s", t->bus, t->len,
		     t->write ? "true" : "false");
	return -EFAULT;
}

/* Under h->lock, which is dropped meanwhile. */
static void serve_transfers(struct hailo8 *h)
{
	struct transfer *t;

	while ((t = h->head)) {
		h->head = t->next;
		if (!h->head)
			h->tail = &h->head;
		pthread_mutex_unlock(&h->lock);
		t->result = transfer_now(h, t);
		pthread_mutex_lock(&h->lock);
		t->done = true;
		pthread_cond_broadcast(&h->done);
	}
}

static void main_loop_turn(void *opaque)
{
	struct hailo8 *h = opaque;
	unsigned int msi;

	pthread_mutex_lock(&h->lock);
	serve_transfers(h);
	msi = h->msi;
	h->msi = 0;
	pthread_mutex_unlock(&h->lock);
	while (msi--)
		if (msi_enabled(&h->pci))
			msi_notify(&h->pci, 0);
}

/* A call into the chip that returns only when its threads have come to rest. */
struct patient_call {
	struct hailo8 *dev;
	void (*fn)(struct patient_call *call);
	uint32_t off, value;
	unsigned int width;
	bool over;
};

static void *patient_main(void *arg)
{
	struct patient_call *call = arg;

	call->fn(call);
	pthread_mutex_lock(&call->dev->lock);
	call->over = true;
	pthread_cond_signal(&call->dev->work);
	pthread_mutex_unlock(&call->dev->lock);
	return NULL;
}

/* The chip's threads may wait for a transfer that needs the big lock, which we have: serve them. */
static void patiently(struct patient_call *call)
{
	struct hailo8 *h = call->dev;
	QemuThread thread;

	qemu_thread_create(&thread, "hailo8-wait", patient_main, call, QEMU_THREAD_JOINABLE);
	pthread_mutex_lock(&h->lock);
	while (!call->over) {
		serve_transfers(h);
		if (!call->over && !h->head)
			pthread_cond_wait(&h->work, &h->lock);
	}
	pthread_mutex_unlock(&h->lock);
	qemu_thread_join(&thread);
}

/* ----------------------------------------------------------------------------------- registers */

static uint64_t bar_read(void *opaque, hwaddr off, unsigned int width)
{
	struct window *w = opaque;
	uint32_t v = mock_chip_read(w->dev->chip, w->bar, off, width);

	journal_mmio(w->dev->journal, w->bar, off, width, false, v);
	return v;
}

static void bar_write(void *opaque, hwaddr off, uint64_t value, unsigned int width)
{
	struct window *w = opaque;

	journal_mmio(w->dev->journal, w->bar, off, width, true, value);
	mock_chip_write(w->dev->chip, w->bar, off, value, width);
}

static const MemoryRegionOps bar_ops = {
	.read = bar_read,
	.write = bar_write,
	.endianness = DEVICE_LITTLE_ENDIAN,
	.valid = {.min_access_size = 1, .max_access_size = 8},
	.impl = {.min_access_size = 1, .max_access_size = 4},
};

/* ------------------------------------------------------------------------- configuration space */

static uint32_t config_read(PCIDevice *pci, uint32_t off, int width)
{
	struct hailo8 *h = container_of(pci, struct hailo8, pci);

	/* What the guest sees is the model's; QEMU's copy is what QEMU itself goes by. */
	if (off + width > 256)
		return pci_default_read_config(pci, off, width);
	return mock_chip_config_read(h->chip, off, width);
}

static void chip_config_write(struct patient_call *call)
{
	mock_chip_config_write(call->dev->chip, call->off, call->value, call->width);
}

static void journal_switches(struct hailo8 *h)
{
	bool master = mock_chip_config_read(h->chip, PCI_COMMAND, 2) & PCI_COMMAND_MASTER;
	bool msi = mock_chip_config_read(h->chip, CAP_MSI + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_ENABLE;
	struct mock_stats st;

	if (master != h->master) {
		mock_chip_stats(h->chip, &st);
		if (!master)
			journal_dma_ranges(h->journal);
		journal_fact(h->journal, "bus_master",
			     ",\"on\":%s,\"dma_bytes\":%" PRIu64 ",\"frames\":%" PRIu64,
			     master ? "true" : "false", st.dma_read_bytes + st.dma_write_bytes, st.frames);
	}
	if (msi != h->msi_on)
		journal_fact(h->journal, "msi", ",\"on\":%s", msi ? "true" : "false");
	h->master = master;
	h->msi_on = msi;
}

static void config_write(PCIDevice *pci, uint32_t off, uint32_t value, int width)
{
	struct hailo8 *h = container_of(pci, struct hailo8, pci);
	struct patient_call call = {
		.dev = h, .fn = chip_config_write, .off = off, .value = value, .width = width};

	/* The chip first: with bus mastering off nothing is on its way any more when this returns. */
	if (off + width <= 256)
		patiently(&call);
	pci_default_write_config(pci, off, value, width);
	pcie_cap_flr_write_config(pci, off, value, width);
	journal_switches(h);
}

/* --------------------------------------------------------------------------------------- life */

static void chip_reset(struct patient_call *call)
{
	mock_chip_reset(call->dev->chip);
}

static void device_reset(DeviceState *qdev)
{
	struct hailo8 *h = container_of(PCI_DEVICE(qdev), struct hailo8, pci);
	struct patient_call call = {.dev = h, .fn = chip_reset};

	patiently(&call);
	journal_fact(h->journal, "function_reset", "%s", "");
	journal_switches(h);
}

static bool check_options(struct hailo8 *h, struct mock_opts *opts, Error **errp)
{
	char why[160];

	if (!h->arch || !strcmp(h->arch, "8")) {
		opts->arch = MOCK_HAILO8;
	} else if (!strcmp(h->arch, "8l")) {
		opts->arch = MOCK_HAILO8L;
	} else {
		error_setg(errp, "arch is 8 or 8l, not %s", h->arch);
		return false;
	}
	if (h->faults && mock_fault_check(h->faults, why, sizeof(why)) < 0) {
		error_setg(errp, "faults: %s", why);
		return false;
	}
	opts->faults = h->faults;
	return true;
}

/* Speed and width as the model says, so that the port above shows the same link. */
static void copy_link(struct hailo8 *h)
{
	for (unsigned int off = CAP_PCIE + PCI_EXP_LNKCAP; off < CAP_PCIE + PCI_EXP_SLTCAP; off++)
		h->pci.config[off] = mock_chip_config_read(h->chip, off, 1);
}

static void realize(PCIDevice *pci, Error **errp)
{
	static const char *const names[] = {"hailo8-config", "hailo8-vdma", "hailo8-firmware"};
	static const uint32_t sizes[] = {0x4000, 0x1000, 0x4000};
	struct hailo8 *h = container_of(pci, struct hailo8, pci);
	struct mock_opts opts = {0};
	struct mock_host host = {
		.dma_read = host_dma_read, .dma_write = host_dma_write, .irq = host_irq, .host = h};

	if (!check_options(h, &opts, errp))
		return;
	if (pcie_endpoint_cap_init(pci, CAP_PCIE) < 0) {
		error_setg(errp, "no PCI Express capability: put the device behind a pcie-root-port");
		return;
	}
	pcie_cap_flr_init(pci);
	if (msi_init(pci, CAP_MSI, 1, true, false, errp))
		goto err_pcie;
	h->journal = journal_open(h->facts, h->mmio);
	if (!h->journal) {
		error_setg_errno(errp, errno, "cannot write %s or %s", h->facts, h->mmio);
		goto err_msi;
	}
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->done, NULL);
	pthread_cond_init(&h->work, NULL);
	h->tail = &h->head;
	h->bh = qemu_bh_new(main_loop_turn, h);
	h->chip = mock_chip_new(&opts, &host);
	if (!h->chip) {
		error_setg(errp, "cannot start the chip in software");
		goto err_journal;
	}
	copy_link(h);
	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		h->window[i] = (struct window){h, 2 * i};
		memory_region_init_io(&h->bar[i], OBJECT(h), &bar_ops, &h->window[i], names[i], sizes[i]);
		pci_register_bar(pci, 2 * i,
				 PCI_BASE_ADDRESS_SPACE_MEMORY | PCI_BASE_ADDRESS_MEM_TYPE_64 |
					 PCI_BASE_ADDRESS_MEM_PREFETCH,
				 &h->bar[i]);
	}
	return;
err_journal:
	qemu_bh_delete(h->bh);
	journal_close(h->journal);
err_msi:
	msi_uninit(pci);
err_pcie:
	pcie_cap_exit(pci);
}

static void chip_free(struct patient_call *call)
{
	mock_chip_free(call->dev->chip);
}

static void unrealize(PCIDevice *pci)
{
	struct hailo8 *h = container_of(pci, struct hailo8, pci);
	struct patient_call call = {.dev = h, .fn = chip_free};

	patiently(&call);
	h->chip = NULL;
	journal_dma_ranges(h->journal);
	journal_fact(h->journal, "unplugged", "%s", "");
	qemu_bh_delete(h->bh);
	journal_close(h->journal);
	pthread_cond_destroy(&h->work);
	pthread_cond_destroy(&h->done);
	pthread_mutex_destroy(&h->lock);
	msi_uninit(pci);
	pcie_cap_exit(pci);
}

/* ---------------------------------------------------------------------- properties, also by QMP */

#define STRING_PROPERTY(field)                                                                     \
	static char *get_##field(Object *obj, Error **errp)                                        \
	{                                                                                          \
		return g_strdup(container_of(PCI_DEVICE(obj), struct hailo8, pci)->field);         \
	}                                                                                          \
	static void set_##field(Object *obj, const char *value, Error **errp)                      \
	{                                                                                          \
		struct hailo8 *h = container_of(PCI_DEVICE(obj), struct hailo8, pci);              \
                                                                                                   \
		g_free(h->field);                                                                  \
		h->field = g_strdup(value);                                                        \
	}

STRING_PROPERTY(arch)
STRING_PROPERTY(facts)
STRING_PROPERTY(mmio)

static char *get_faults(Object *obj, Error **errp)
{
	return g_strdup(container_of(PCI_DEVICE(obj), struct hailo8, pci)->faults);
}

/* Before the device is there: faults from power-on; later: further ones, "" takes all back. */
static void set_faults(Object *obj, const char *value, Error **errp)
{
	struct hailo8 *h = container_of(PCI_DEVICE(obj), struct hailo8, pci);
	char why[160];

	if (h->chip && !*value)
		mock_chip_clear_fault(h->chip, NULL);
	else if (h->chip && mock_chip_set_fault(h->chip, value, why, sizeof(why)) < 0)
		error_setg(errp, "%s", why);
	g_free(h->faults);
	h->faults = *value ? g_strdup(value) : NULL;
}

static char *get_stats(Object *obj, Error **errp)
{
	struct hailo8 *h = container_of(PCI_DEVICE(obj), struct hailo8, pci);
	struct mock_stats st = {0};

	if (h->chip)
		mock_chip_stats(h->chip, &st);
	return g_strdup_printf(
		"{\"dma_bytes\":%" PRIu64 ",\"dma_faults\":%" PRIu64 ",\"dma_refused\":%" PRIu64
		",\"dma_without_master\":%" PRIu64 ",\"frames\":%" PRIu64 ",\"irqs\":%" PRIu64
		",\"controls\":%" PRIu64 ",\"master\":%s}",
		st.dma_read_bytes + st.dma_write_bytes, st.dma_faults, h->refused, h->uninvited,
		st.frames, st.irqs, st.controls, h->master ? "true" : "false");
}

static void class_init(ObjectClass *klass, void *data)
{
	DeviceClass *dev = DEVICE_CLASS(klass);
	PCIDeviceClass *pci = PCI_DEVICE_CLASS(klass);

	pci->realize = realize;
	pci->exit = unrealize;
	pci->config_read = config_read;
	pci->config_write = config_write;
	pci->vendor_id = 0x1e60;
	pci->device_id = 0x2864;
	pci->revision = 1;
	pci->class_id = 0x0b40;
	pci->subsystem_vendor_id = PCI_SUBVENDOR_ID_REDHAT_QUMRANET; /* a chip in software */
	pci->subsystem_id = PCI_SUBDEVICE_ID_QEMU;
	dev->reset = device_reset;
	dev->desc = "Hailo-8 in software";
	set_bit(DEVICE_CATEGORY_MISC, dev->categories);
	object_class_property_add_str(klass, "arch", get_arch, set_arch);
	object_class_property_add_str(klass, "facts", get_facts, set_facts);
	object_class_property_add_str(klass, "mmio", get_mmio, set_mmio);
	object_class_property_add_str(klass, "faults", get_faults, set_faults);
	object_class_property_add_str(klass, "stats", get_stats, NULL);
}

static void register_device(void)
{
	static InterfaceInfo interfaces[] = {{INTERFACE_PCIE_DEVICE}, {}};
	static const TypeInfo info = {
		.name = TYPE_HAILO8,
		.parent = TYPE_PCI_DEVICE,
		.instance_size = sizeof(struct hailo8),
		.class_init = class_init,
		.interfaces = interfaces,
	};

	type_register_static(&info);
}

/* Other programs that inherit LD_PRELOAD have no such function, and get no device. */
static void __attribute__((constructor)) preload(void)
{
	void (*add)(void (*fn)(void), module_init_type type);

	add = (void (*)(void (*)(void), module_init_type))dlsym(RTLD_DEFAULT, "register_module_init");
	if (add)
		add(register_device, MODULE_INIT_QOM);
}
