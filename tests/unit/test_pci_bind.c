// SPDX-License-Identifier: MIT
/* bind and unbind against a kernel of our own: sysfs files, and what the real one does when they are written. */
#include "support/support.h"
#include "support/sysfs.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "pci/bind.h"
#include "pci/nodes.h"
#include "pci/sysfs.h"

#define CARD "0000:01:00.0"
#define PORT "pci0000:00/0000:00:01.0"

struct kernel {
	char sys[200];
	char log[16][128];     /* writes as "FILE<TEXT", modules as "+MODULE" */
	size_t n;
	const char *installed; /* modules that there are, separated by spaces */
	const char *refuses;   /* a driver whose probe fails */
	bool read_only;
};

static void note(struct kernel *k, const char *fmt, const char *a, const char *b)
{
	char text[256];

	assert_true(k->n < ARRAY_SIZE(k->log));
	snprintf(text, sizeof(text), fmt, a, b);
	snprintf(k->log[k->n++], sizeof(k->log[0]), "%s", text);
}

static void attribute(struct kernel *k, const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "devices/" PORT "/" CARD "/%s", name);
	sysfs_put(k->sys, path, text);
}

/* "" as the real one shows it: (null) */
static void overridden(struct kernel *k, char out[32])
{
	assert_int_equal(pci_attribute(k->sys, CARD, "driver_override", out, 32), 0);
	if (strcmp(out, "(null)") == 0)
		out[0] = 0;
}

static bool driver_there(struct kernel *k, const char *driver)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/bus/pci/drivers/%s", k->sys, driver);
	return access(path, F_OK) == 0;
}

static void take(struct kernel *k, const char *driver)
{
	char path[300], target[300];

	snprintf(path, sizeof(path), "%s/devices/" PORT "/" CARD "/driver", k->sys);
	snprintf(target, sizeof(target), "%s/bus/pci/drivers/%s", k->sys, driver);
	assert_int_equal(symlink(target, path), 0);
}

/* Who gets a free card: driver_override alone, else whoever knows the ID. */
static void probe(struct kernel *k)
{
	static const char *const by_id[] = {"hailo", "hailo_uio"};
	char now[32], wanted[32];

	overridden(k, wanted);
	if (pci_driver(k->sys, CARD, now, sizeof(now)) == 0)
		return;
	if (wanted[0] && driver_there(k, wanted) && (!k->refuses || strcmp(k->refuses, wanted)))
		take(k, wanted);
	for (size_t i = 0; !wanted[0] && i < ARRAY_SIZE(by_id); i++) {
		if (driver_there(k, by_id[i])) {
			take(k, by_id[i]);
			return;
		}
	}
}

static void load_driver(struct kernel *k, const char *driver)
{
	char path[128];

	snprintf(path, sizeof(path), "bus/pci/drivers/%s/bind", driver);
	sysfs_put(k->sys, path, "");
	probe(k);
}

static int kernel_write(void *user, const char *path, const char *text)
{
	struct kernel *k = user;
	const char *file = strrchr(path, '/') + 1;
	char link[300];

	if (k->read_only)
		return -EACCES;
	assert_memory_equal(path, k->sys, strlen(k->sys));
	note(k, "%s<%s", file, text[0] == '\n' ? "" : text);
	if (strcmp(file, "driver_override") == 0) {
		attribute(k, "driver_override", text[0] == '\n' ? "(null)\n" : text);
	} else if (strcmp(file, "unbind") == 0) {
		assert_string_equal(text, CARD);
		snprintf(link, sizeof(link), "%s/devices/" PORT "/" CARD "/driver", k->sys);
		assert_int_equal(unlink(link), 0);
	} else {
		assert_string_equal(file, "drivers_probe");
		assert_string_equal(text, CARD);
		probe(k);
	}
	return 0;
}

static int kernel_modprobe(void *user, const char *module, struct hw_error *err)
{
	struct kernel *k = user;

	note(k, "+%s%s", module, "");
	if (!strstr(k->installed, module))
		return hw_fail(err, -ENOENT, "modprobe %s failed", module);
	load_driver(k, strcmp(module, "hailo_pci") == 0 ? "hailo" : module);
	return 0;
}

static struct pci_bind means(struct kernel *k)
{
	return (struct pci_bind){.sysfs = k->sys, .bdf = CARD, .write = kernel_write, .modprobe = kernel_modprobe,
				 .user = k};
}

/* @driver: loaded, and has the card; NULL: none */
static void boot(struct kernel *k, const char *name, const char *driver, int group)
{
	*k = (struct kernel){.installed = "vfio-pci hailo_uio hailo_pci"};
	sysfs_new(k->sys, name);
	sysfs_device(k->sys, PORT, CARD, "0x0b4000", NULL, group);
	attribute(k, "vendor", "0x1e60\n");
	attribute(k, "device", "0x2864\n");
	attribute(k, "driver_override", "(null)\n");
	sysfs_put(k->sys, "bus/pci/drivers_probe", "");
	if (!driver)
		return;
	load_driver(k, driver);
	if (strcmp(driver, "vfio-pci") == 0)
		take(k, driver); /* which does not know the ID */
}

static void expect(struct kernel *k, const char *driver, const char *override, const char *const *log, size_t n)
{
	char now[32], over[32];

	(void)pci_driver(k->sys, CARD, now, sizeof(now));
	overridden(k, over);
	assert_string_equal(now, driver);
	assert_string_equal(over, override);
	for (size_t i = 0; i < k->n && i < n; i++)
		assert_string_equal(k->log[i], log[i]);
	assert_int_equal(k->n, n);
}

#define EXPECT(k, driver, over, ...)                                                               \
	do {                                                                                       \
		static const char *const log_[] = {__VA_ARGS__};                                   \
		expect(k, driver, over, log_, ARRAY_SIZE(log_));                                   \
	} while (0)

static void chooses_by_iommu(void **state)
{
	struct kernel k;

	(void)state;
	boot(&k, "with", NULL, 7);
	assert_string_equal(pci_bind_choice(k.sys, CARD), "vfio-pci");
	sysfs_put(k.sys, "kernel/iommu_groups/7/name", "vfio-noiommu\n");
	assert_string_equal(pci_bind_choice(k.sys, CARD), "hailo_uio");
	boot(&k, "without", NULL, -1);
	assert_string_equal(pci_bind_choice(k.sys, CARD), "hailo_uio");
	/* a port without a group says nothing, one with a group that there is an IOMMU */
	sysfs_device(k.sys, "pci0000:00", "0000:00:01.0", "0x060400", "pcieport", -1);
	assert_string_equal(pci_bind_choice(k.sys, CARD), "hailo_uio");
	boot(&k, "device tree", NULL, -1);
	sysfs_device(k.sys, "pci0000:00", "0000:00:01.0", "0x060400", "pcieport", 3);
	assert_string_equal(pci_bind_choice(k.sys, CARD), "vfio-pci");
}

static void a_free_card(void **state)
{
	struct hw_error err;
	struct kernel k;
	struct pci_bind b;
	char was[32];

	(void)state;
	boot(&k, "free", NULL, 7);
	b = means(&k);
	assert_ok(pci_bind(&b, "vfio-pci", was, &err), &err);
	assert_string_equal(was, "");
	EXPECT(&k, "vfio-pci", "vfio-pci", "+vfio-pci", "driver_override<vfio-pci", "drivers_probe<" CARD);

	/* Nothing to do. */
	k.n = 0;
	assert_ok(pci_bind(&b, "vfio-pci", was, &err), &err);
	assert_string_equal(was, "vfio-pci");
	assert_int_equal(k.n, 0);
}

/* It knows the ID, so the card is its own as soon as it is loaded. */
static void a_driver_that_helps_itself(void **state)
{
	struct hw_error err;
	struct kernel k;
	struct pci_bind b;
	char was[32];

	(void)state;
	boot(&k, "uio", NULL, -1);
	b = means(&k);
	assert_ok(pci_bind(&b, "hailo_uio", was, &err), &err);
	EXPECT(&k, "hailo_uio", "hailo_uio", "+hailo_uio", "driver_override<hailo_uio");
}

static void from_the_vendors_driver_and_back(void **state)
{
	struct hw_error err;
	struct kernel k;
	struct pci_bind b;
	char was[32];

	(void)state;
	boot(&k, "vendor", "hailo", 7);
	b = means(&k);
	assert_ok(pci_bind(&b, "vfio-pci", was, &err), &err);
	assert_string_equal(was, "hailo");
	EXPECT(&k, "vfio-pci", "vfio-pci", "+vfio-pci", "driver_override<vfio-pci", "unbind<" CARD,
	       "drivers_probe<" CARD);

	k.n = 0;
	assert_ok(pci_bind(&b, "hailo", was, &err), &err);
	assert_string_equal(was, "vfio-pci");
	EXPECT(&k, "hailo", "hailo", "driver_override<hailo", "unbind<" CARD, "drivers_probe<" CARD);

	/* Bound without an override: that is put there, so that nobody else may have it. */
	boot(&k, "vendor2", "hailo", 7);
	b = means(&k);
	assert_ok(pci_bind(&b, "hailo", was, &err), &err);
	EXPECT(&k, "hailo", "hailo", "driver_override<hailo");
}

static void lets_go(void **state)
{
	struct hw_error err;
	struct kernel k;
	struct pci_bind b;
	char was[32];

	(void)state;
	boot(&k, "letgo", "hailo", -1);
	b = means(&k);
	assert_ok(pci_unbind(&b, was, &err), &err);
	assert_string_equal(was, "hailo");
	EXPECT(&k, "", "", "driver_override<", "unbind<" CARD);
	k.n = 0;
	assert_ok(pci_unbind(&b, was, &err), &err);
	assert_string_equal(was, "");
	EXPECT(&k, "", "", "driver_override<");
}

static void refuses_other_devices(void **state)
{
	struct hw_error err;
	struct kernel k;
	struct pci_bind b;
	char was[32];

	(void)state;
	boot(&k, "other", NULL, -1);
	b = means(&k);
	attribute(&k, "device", "0x45c4\n"); /* a Hailo-10H */
	assert_int_equal(pci_bind(&b, "vfio-pci", was, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "1e60:45c4"));
	assert_int_equal(pci_unbind(&b, was, &err), -ENOTSUP);
	attribute(&k, "device", "0x2864\n");
	attribute(&k, "vendor", "0x8086\n");
	assert_int_equal(pci_bind(&b, "vfio-pci", was, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "8086:2864"));
	b.bdf = "0000:02:00.0";
	assert_int_equal(pci_bind(&b, "vfio-pci", was, &err), -ENODEV);
	assert_int_equal(k.n, 0);
}

static void failures_leave_it_as_it_was(void **state)
{
	struct hw_error err;
	struct kernel k;
	struct pci_bind b;
	char was[32];

	(void)state;
	boot(&k, "module", "hailo", -1);
	b = means(&k);
	k.installed = "hailo_pci";
	assert_int_equal(pci_bind(&b, "hailo_uio", was, &err), -ENOENT);
	EXPECT(&k, "hailo", "", "+hailo_uio");

	boot(&k, "refuses", "hailo", 7);
	b = means(&k);
	k.refuses = "vfio-pci";
	assert_int_equal(pci_bind(&b, "vfio-pci", was, &err), -EIO);
	assert_non_null(strstr(err.text, "dmesg"));
	EXPECT(&k, "hailo", "", "+vfio-pci", "driver_override<vfio-pci", "unbind<" CARD, "drivers_probe<" CARD,
	       "driver_override<", "drivers_probe<" CARD);

	boot(&k, "user", "hailo", 7);
	b = means(&k);
	k.read_only = true;
	assert_int_equal(pci_bind(&b, "vfio-pci", was, &err), -EACCES);
	assert_non_null(strstr(err.text, "root"));
	EXPECT(&k, "hailo", "", "+vfio-pci");
}

static void put_node(struct kernel *k, const char *dir, const char *name, dev_t number)
{
	char path[200], text[64];

	snprintf(path, sizeof(path), "%s/dev", dir);
	snprintf(text, sizeof(text), "%u:%u\n", major(number), minor(number));
	sysfs_put(k->sys, path, text);
	snprintf(path, sizeof(path), "%s/uevent", dir);
	snprintf(text, sizeof(text), "MAJOR=1\nDEVNAME=%s\n", name);
	sysfs_put(k->sys, path, text);
}

static void finds_nodes(void **state)
{
	struct pci_node nodes[PCI_NODES_MAX];
	struct kernel k;

	(void)state;
	boot(&k, "nodes", "vfio-pci", 7);
	assert_int_equal(pci_nodes(k.sys, CARD, nodes), 0);
	put_node(&k, "class/vfio/7", "vfio/7", makedev(240, 3));
	put_node(&k, "devices/" PORT "/" CARD "/vfio-dev/vfio0", "vfio/devices/vfio0", makedev(511, 0));
	assert_int_equal(pci_nodes(k.sys, CARD, nodes), 2);
	assert_string_equal(nodes[0].path, "/dev/vfio/7");
	assert_int_equal(nodes[0].number, makedev(240, 3));
	assert_string_equal(nodes[1].path, "/dev/vfio/devices/vfio0");
	assert_int_equal(nodes[1].number, makedev(511, 0));

	/* The group's node is the card's only while vfio-pci has the card. */
	boot(&k, "nodes2", "hailo_uio", 7);
	put_node(&k, "class/vfio/7", "vfio/7", makedev(240, 3));
	put_node(&k, "devices/" PORT "/" CARD "/uio/uio0", "uio0", makedev(241, 0));
	assert_int_equal(pci_nodes(k.sys, CARD, nodes), 1);
	assert_string_equal(nodes[0].path, "/dev/uio0");

	boot(&k, "nodes3", "vfio-pci", 3);
	put_node(&k, "class/vfio/noiommu-3", "vfio/noiommu-3", makedev(240, 4));
	assert_int_equal(pci_nodes(k.sys, CARD, nodes), 1);
	assert_string_equal(nodes[0].path, "/dev/vfio/noiommu-3");
}

/* A terminal that only this process has open stands for the card's node. */
static void a_card_in_use_stays(void **state)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY);
	struct hw_error err;
	struct pci_bind b;
	char was[32], pid[32];
	struct kernel k;
	struct stat st;
	int slave;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(grantpt(fd), 0);
	assert_int_equal(unlockpt(fd), 0);
	slave = open(ptsname(fd), O_RDWR | O_NOCTTY);
	assert_true(slave >= 0);
	assert_int_equal(fstat(slave, &st), 0);
	boot(&k, "used", "hailo", 7);
	put_node(&k, "devices/" PORT "/" CARD "/chardev/hailo0", "hailo0", st.st_rdev);
	b = means(&k);
	assert_int_equal(pci_bind(&b, "vfio-pci", was, &err), -EBUSY);
	snprintf(pid, sizeof(pid), "PID %d (test_pci_bind)", getpid());
	assert_non_null(strstr(err.text, pid));
	assert_non_null(strstr(err.text, "/dev/hailo0"));
	assert_int_equal(pci_unbind(&b, was, &err), -EBUSY);
	assert_int_equal(k.n, 0);
	b.force = true;
	assert_ok(pci_bind(&b, "vfio-pci", was, &err), &err);
	close(slave);
	close(fd);

	boot(&k, "unused", "hailo", 7);
	put_node(&k, "devices/" PORT "/" CARD "/chardev/hailo0", "hailo0", st.st_rdev);
	b = means(&k);
	assert_ok(pci_bind(&b, "vfio-pci", was, &err), &err);
}

static void dry_run_waits_for_nothing(void **state)
{
	struct hw_error err;
	struct pci_bind b;
	struct kernel k;
	char was[32];

	(void)state;
	boot(&k, "dry", "hailo", 7);
	b = means(&k);
	b.dry = true;
	k.refuses = "vfio-pci"; /* as if nothing had been written */
	assert_ok(pci_bind(&b, "vfio-pci", was, &err), &err);
	assert_int_equal(k.n, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chooses_by_iommu),
		cmocka_unit_test(a_free_card),
		cmocka_unit_test(a_driver_that_helps_itself),
		cmocka_unit_test(from_the_vendors_driver_and_back),
		cmocka_unit_test(lets_go),
		cmocka_unit_test(refuses_other_devices),
		cmocka_unit_test(failures_leave_it_as_it_was),
		cmocka_unit_test(finds_nodes),
		cmocka_unit_test(a_card_in_use_stays),
		cmocka_unit_test(dry_run_waits_for_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
