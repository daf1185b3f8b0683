// SPDX-License-Identifier: MIT
/* Devices: open, the owner thread, jobs, close. */
#include "infer/infer.h"
#include "trace/trace.h"

#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define FIRMWARE_FILE "/lib/firmware/hailo/hailo8_fw.bin"
#define IRQ_GRACE_MS 2
#define BOARD_CFG_FILE "/lib/firmware/hailo/hailo8_board_cfg.bin"
#define FW_CFG_FILE "/lib/firmware/hailo/hailo8_fw_cfg.bin"

void infer_wake(struct hw_dev *dev)
{
	uint64_t one = 1;

	/* The counter cannot overflow in practice, and a full one wakes as well. */
	if (write(dev->wake_fd, &one, sizeof(one)) < 0)
		return;
}

static void drain(int fd)
{
	uint64_t n;

	if (read(fd, &n, sizeof(n)) < 0)
		return; /* nothing was pending */
}

static int call(struct hw_dev *dev, struct infer_job *job)
{
	struct infer_job **at;

	pthread_mutex_lock(&dev->lock);
	for (at = &dev->jobs; *at; at = &(*at)->next)
		;
	*at = job;
	infer_wake(dev);
	while (!job->done)
		pthread_cond_wait(&dev->cond, &dev->lock);
	pthread_mutex_unlock(&dev->lock);
	if (job->result < 0 && job->err)
		job->err->code = job->result; /* as infer_public_code() may have changed it */
	return job->result;
}

int infer_call(struct hw_dev *dev, int (*fn)(struct hw_dev *, void *, struct hw_error *), void *arg,
	       struct hw_error *err)
{
	return call(dev, &(struct infer_job){.fn = fn, .arg = arg, .err = err});
}

int infer_call_idle(struct hw_dev *dev, int (*fn)(struct hw_dev *, void *, struct hw_error *),
		    void *arg, struct hw_error *err)
{
	return call(dev, &(struct infer_job){.fn = fn, .arg = arg, .err = err, .idle = true});
}

/* The first that can be done now.  Under the lock. */
static struct infer_job *take_job(struct hw_dev *dev)
{
	struct infer_job **at = &dev->jobs, *job;

	while (*at && (*at)->idle && infer_switch_busy(dev))
		at = &(*at)->next;
	job = *at;
	if (job)
		*at = job->next;
	return job;
}

static void run_jobs(struct hw_dev *dev)
{
	struct infer_job *job;

	pthread_mutex_lock(&dev->lock);
	while ((job = take_job(dev))) {
		pthread_mutex_unlock(&dev->lock);
		job->result = job->fn(dev, job->arg, job->err);
		pthread_mutex_lock(&dev->lock);
		job->done = true;
		pthread_cond_broadcast(&dev->cond);
	}
	pthread_mutex_unlock(&dev->lock);
}

static bool should_stop(struct hw_dev *dev)
{
	bool stop;

	pthread_mutex_lock(&dev->lock);
	stop = dev->stop && !dev->jobs;
	pthread_mutex_unlock(&dev->lock);
	return stop;
}

/*
 * The registers had something to say and no interrupt said so.  That it is just on its way is rare
 * but possible, so it gets another moment before it counts as lost.
 */
static void interrupt_missed(struct hw_dev *dev)
{
	struct pollfd fd = {.fd = dev->be->irq_fd, .events = POLLIN};
	uint64_t n;

	if (poll(&fd, 1, IRQ_GRACE_MS) > 0)
		return;
	n = ++dev->chip.irq_missed;
	if ((n & (n - 1)) == 0) /* the 1st, 2nd, 4th...: a log is not to be filled with it */
		hw_log(HW_LOG_WARNING,
		       "%s: an interrupt was lost or is late, the work was found by looking (%llu so far); "
		       "frames take up to 50 ms longer then",
		       dev->info.bdf, (unsigned long long)n);
}

/*
 * The owner: everything that happens to the chip happens here.  An interrupt only says "look";
 * the counters are the truth, so a lost one costs time (the poll limit), not a frame.
 */
static void *owner(void *arg)
{
	struct hw_dev *dev = arg;

	while (!should_stop(dev)) {
		struct pollfd fds[] = {
			{.fd = dev->wake_fd, .events = POLLIN},
			{.fd = dev->be->irq_fd, .events = POLLIN},
		};
		int timeout = infer_switch_timeout_ms(dev), n;

		/* A dead device would keep its interrupt fd readable for ever. */
		n = poll(fds, dev->chip_ready && !dev->chip.gone ? 2 : 1, timeout);
		drain(dev->wake_fd);
		if (dev->chip_ready && !dev->chip.gone) {
			uint64_t before = dev->chip.irq_count;

			if (chip_irq_service(&dev->chip) == 0 && n == 0 && dev->chip.irq_count != before)
				interrupt_missed(dev);
		}
		run_jobs(dev);
		if (dev->chip.gone)
			infer_switch_kill_all(dev, -ENODEV, INFER_GONE);
		infer_switch_service(dev);
	}
	return NULL;
}

static const char *arch_name(enum hw_arch arch)
{
	switch (arch) {
	case HW_ARCH_HAILO8_A0:
		return "hailo8-a0";
	case HW_ARCH_HAILO8:
		return "hailo8";
	case HW_ARCH_HAILO8L:
		return "hailo8l";
	default:
		return "unknown";
	}
}

static void fill_info(struct hw_dev *dev)
{
	struct hw_dev_info *info = &dev->info;
	const struct chip *chip = &dev->chip;

	snprintf(info->backend, sizeof(info->backend), "%s", dev->be->name);
	snprintf(info->iommu, sizeof(info->iommu), "%s", dev->be->iommu);
	snprintf(info->bdf, sizeof(info->bdf), "%s", dev->be->bdf);
	info->software_chip = backend_is_software(dev->be);
	info->booted = dev->chip_ready;
	info->max_desc_page = chip->max_desc_page;
	info->arch = HW_ARCH_UNKNOWN;
	if (dev->chip_ready) {
		info->arch = chip->id.arch <= HW_ARCH_HAILO8L ? (enum hw_arch)chip->id.arch
							      : HW_ARCH_UNKNOWN;
		info->fw_major = chip->id.fw_major;
		info->fw_minor = chip->id.fw_minor;
		info->fw_revision = chip->id.fw_revision & FW_REVISION_NUMBER;
		memcpy(info->board_name, chip->id.board_name, sizeof(info->board_name));
		memcpy(info->serial, chip->id.serial, sizeof(info->serial));
		memcpy(info->part_number, chip->id.part_number, sizeof(info->part_number));
		memcpy(info->product_name, chip->id.product_name, sizeof(info->product_name));
	}
	snprintf(info->arch_name, sizeof(info->arch_name), "%s", arch_name(info->arch));
}

static int keep(struct span *to, struct span from)
{
	uint8_t *copy;

	if (!from.len)
		return 0;
	copy = malloc(from.len);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, from.ptr, from.len);
	*to = (struct span){copy, from.len};
	return 0;
}

/* The device is booted again after a reset and after a suspend, when the caller's bytes are gone. */
static int keep_boot_files(struct hw_dev *dev, const struct chip_boot_options *boot)
{
	int r = keep(&dev->boot.firmware, boot->firmware);

	dev->boot.boot_timeout_ms = boot->boot_timeout_ms;
	if (r == 0)
		r = keep(&dev->boot.board_cfg, boot->board_cfg);
	if (r == 0)
		r = keep(&dev->boot.fw_cfg, boot->fw_cfg);
	return r;
}

static void drop_boot_files(struct hw_dev *dev)
{
	free((void *)(uintptr_t)dev->boot.firmware.ptr);
	free((void *)(uintptr_t)dev->boot.board_cfg.ptr);
	free((void *)(uintptr_t)dev->boot.fw_cfg.ptr);
}

int infer_dev_open(struct backend *be, const struct chip_boot_options *boot, bool no_boot,
		   struct hw_dev **out, struct hw_error *err)
{
	struct hw_dev *dev = calloc(1, sizeof(*dev));
	int r;

	if (!dev) {
		r = hw_fail(err, -ENOMEM, "no memory for a device");
		goto err_backend;
	}
	dev->be = be;
	pthread_mutex_init(&dev->lock, NULL);
	pthread_cond_init(&dev->cond, NULL);
	snprintf(dev->info.bdf, sizeof(dev->info.bdf), "%s", be->bdf);
	dev->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (dev->wake_fd < 0) {
		r = hw_fail(err, -errno, "cannot make an eventfd: %s", strerror(errno));
		goto err_dev;
	}
	r = keep_boot_files(dev, boot);
	if (r < 0) {
		hw_fail(err, r, "no memory for the firmware");
		goto err_fd;
	}
	dev->no_boot = no_boot;
	dev->chip.on_event = infer_event;
	dev->chip.on_event_user = dev;
	r = no_boot ? chip_probe(&dev->chip, be, err) : chip_init(&dev->chip, be, &dev->boot, err);
	if (r < 0) {
		r = infer_public_code(r);
		if (err)
			err->code = r;
		goto err_fd;
	}
	dev->chip_ready = !no_boot;
	infer_apps_booted(dev);
	fill_info(dev);
	r = -pthread_create(&dev->thread, NULL, owner, dev);
	if (r < 0) {
		hw_fail(err, r, "cannot start a thread: %s", strerror(-r));
		goto err_chip;
	}
	dev->running = true;
	hw_log(HW_LOG_INFO, "%s: %s, %s, firmware %u.%u.%u", dev->info.bdf, dev->info.backend,
	       dev->info.arch_name, dev->info.fw_major, dev->info.fw_minor, dev->info.fw_revision);
	*out = dev;
	return 0;
err_chip:
	if (dev->chip_ready)
		chip_shutdown(&dev->chip);
err_fd:
	drop_boot_files(dev);
	close(dev->wake_fd);
err_dev:
	pthread_cond_destroy(&dev->cond);
	pthread_mutex_destroy(&dev->lock);
	free(dev);
err_backend:
	backend_close(be);
	return r;
}

/* The image to boot, by the order in the public header; *@image stays NULL for the synthetic one. */
static int find_firmware(const char *wanted, bool software, uint8_t **image, size_t *len,
			 struct hw_error *err)
{
	const char *env = getenv("HAILO_FIRMWARE");
	int r;

	if (!wanted && env && *env)
		wanted = env;
	if (wanted) {
		r = util_read_file(wanted, CHIP_FW_FILE_MAX, image, len, err);
		return r < 0 ? hw_fail_context(err, r, "firmware") : 0;
	}
	r = util_read_file(FIRMWARE_FILE, CHIP_FW_FILE_MAX, image, len, err);
	if (r == -ENOENT && software)
		return 0;
	if (r == -ENOENT)
		return hw_fail(err, r,
			       "no firmware: %s does not exist; get the vendor's firmware 4.23 for "
			       "Hailo-8, or name a file with --firmware or HAILO_FIRMWARE",
			       FIRMWARE_FILE);
	return r;
}

static struct span optional_file(const char *path, uint8_t **data)
{
	struct span s = {0};
	size_t len;

	/* Both files are optional, and a broken one is passed over (pcie 3.1). */
	if (util_read_file(path, CHIP_FW_CFG_MAX, data, &len, NULL) == 0)
		s = (struct span){*data, len};
	return s;
}

int hw_dev_open(const struct hw_dev_options *opt, struct hw_dev **out, struct hw_error *err)
{
	static const struct hw_dev_options none;
	struct chip_boot_options boot = {0};
	uint8_t *image = NULL, *board = NULL, *cfg = NULL;
	char *onnx = NULL;
	struct hw_dev *dev;
	struct backend *be;
	size_t len = 0;
	int r;

	if (!opt)
		opt = &none;
	if (opt->mock_onnx) {
		onnx = strdup(opt->mock_onnx);
		if (!onnx)
			return hw_fail(err, -ENOMEM, "no memory for a device");
	}
	r = backend_open(opt, &be, err);
	if (r < 0)
		goto out;
	if (opt->record || opt->record_mmio) {
		r = trace_record(be, opt->record, opt->record_mmio, err);
		if (r < 0) {
			backend_close(be);
			goto out;
		}
	}
	if (!opt->no_boot) {
		r = find_firmware(opt->firmware, backend_is_software(be), &image, &len, err);
		if (r < 0) {
			backend_close(be);
			goto out;
		}
		boot.firmware = (struct span){image, len};
		if (!backend_is_software(be)) {
			boot.board_cfg = optional_file(BOARD_CFG_FILE, &board);
			boot.fw_cfg = optional_file(FW_CFG_FILE, &cfg);
		}
	}
	r = infer_dev_open(be, &boot, opt->no_boot, &dev, err);
	if (r == 0) {
		dev->mock_onnx = onnx;
		onnx = NULL;
		*out = dev;
	}
out:
	free(onnx);
	free(image);
	free(board);
	free(cfg);
	return r;
}

void hw_dev_close(struct hw_dev *dev)
{
	if (!dev)
		return;
	/* Only reached with networks when their owner forgot them; nobody else can be in them any more. */
	while (dev->nets)
		hw_net_free(dev->nets);
	pthread_mutex_lock(&dev->lock);
	dev->stop = true;
	pthread_mutex_unlock(&dev->lock);
	infer_wake(dev);
	pthread_join(dev->thread, NULL);
	infer_apps_close(dev);
	if (dev->chip_ready && chip_shutdown(&dev->chip) < 0 && !dev->chip.gone)
		hw_log(HW_LOG_WARNING, "%s: the chip did not acknowledge that it stopped",
		       dev->info.bdf);
	backend_close(dev->be);
	drop_boot_files(dev);
	free(dev->mock_onnx);
	close(dev->wake_fd);
	pthread_cond_destroy(&dev->cond);
	pthread_mutex_destroy(&dev->lock);
	free(dev);
}

void hw_dev_get_info(const struct hw_dev *dev, struct hw_dev_info *info)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&dev->lock;

	pthread_mutex_lock(lock);
	*info = dev->info;
	pthread_mutex_unlock(lock);
}

static int temperature_job(struct hw_dev *dev, void *arg, struct hw_error *err)
{
	float *ts = arg;

	int r = infer_chip_usable(dev, err);

	if (r < 0)
		return r;
	return chip_get_temperature(&dev->chip, &ts[0], &ts[1], err);
}

int hw_dev_temperature(struct hw_dev *dev, float *ts0, float *ts1, struct hw_error *err)
{
	float ts[2];
	int r = infer_call(dev, temperature_job, ts, err);

	if (r < 0)
		return infer_public_code(r);
	*ts0 = ts[0];
	*ts1 = ts[1];
	return 0;
}
