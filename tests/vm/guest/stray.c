// SPDX-License-Identifier: MIT
/*
 * A driver that gives its card wrong bus addresses: whatever the chip does with them has to end at
 * the IOMMU, be said in words, and leave a card that works.  stray BDF MODEL.hef
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "infer/infer.h"

#define ASTRAY 0x4000000000ull /* where no mapping of ours ever is */

static const struct backend_ops *real;
static bool astray;

static int misleading_alloc(struct backend *be, size_t size, size_t align, struct backend_dma *out)
{
	int r = real->dma_alloc(be, size, align, out);

	if (r == 0 && astray)
		out->bus += ASTRAY;
	return r;
}

static void misleading_free(struct backend *be, struct backend_dma *mem)
{
	if (mem->bus >= ASTRAY)
		mem->bus -= ASTRAY;
	real->dma_free(be, mem);
}

static void print_log(enum hw_log_level level, const char *line, void *user)
{
	(void)level;
	(void)user;
	printf("log: %s\n", line);
}

static int one_frame(struct hw_net *net, struct hw_error *err)
{
	size_t n_in, n_out;
	const struct hw_tensor_info *in = hw_net_inputs(net, &n_in), *out = hw_net_outputs(net, &n_out);
	void *buffers[16] = {NULL};
	int r = -ENOMEM;

	if (n_in + n_out > ARRAY_SIZE(buffers))
		return hw_fail(err, -E2BIG, "a model with fewer tensors is wanted");
	for (size_t i = 0; i < n_in + n_out; i++) {
		buffers[i] = calloc(1, i < n_in ? in[i].frame_bytes : out[i - n_in].frame_bytes);
		if (!buffers[i])
			goto out;
	}
	r = hw_net_run(net, (const void *const *)buffers, buffers + n_in, 10000, err);
out:
	for (size_t i = 0; i < n_in + n_out; i++)
		free(buffers[i]);
	return r;
}

/* Load the network and run a frame: 0 or the first error. */
static int try_it(const char *bdf, const char *model, struct hw_error *err)
{
	struct hw_dev_options opt = {.device = bdf};
	struct chip_boot_options boot = {0};
	struct backend_ops ops;
	struct backend *be;
	struct hw_dev *dev;
	struct hw_net *net;
	int r = backend_open(&opt, &be, err);

	if (r < 0)
		return r;
	real = be->ops;
	ops = *real;
	ops.dma_alloc = misleading_alloc;
	ops.dma_free = misleading_free;
	be->ops = &ops;
	r = infer_dev_open(be, &boot, false, &dev, err);
	if (r < 0)
		return r;
	r = hw_net_load(dev, model, NULL, &net, err);
	if (r == 0) {
		r = one_frame(net, err);
		hw_net_free(net);
	}
	hw_dev_close(dev);
	return r;
}

int main(int argc, char **argv)
{
	struct hw_error err = {0};
	int r;

	if (argc != 3)
		return 2;
	hw_log_set(print_log, HW_LOG_INFO, NULL);
	astray = true;
	r = try_it(argv[1], argv[2], &err);
	printf("astray: %d %s\n", r, err.text);
	if (r == 0)
		return 1;
	astray = false;
	r = try_it(argv[1], argv[2], &err);
	printf("afterwards: %d %s\n", r, r ? err.text : "");
	return r ? 1 : 0;
}
