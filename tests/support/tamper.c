// SPDX-License-Identifier: MIT
#include "support/tamper.h"

#include "chip/regs.h"
#include "support/support.h"

static struct tamper *of(struct backend *be)
{
	return (struct tamper *)(void *)be;
}

static uint32_t t_read32(struct backend *be, unsigned int bar, uint32_t off)
{
	struct tamper *t = of(be);
	uint32_t v;

	if (t->gone)
		return UINT32_MAX;
	v = backend_read32(t->below, bar, off);
	if (bar == CHIP_BAR_FW && off >= CHIP_MBOX_RESPONSE && off + 4 <= sizeof(t->mbox)) {
		put_le32(t->mbox + off, v);
		if (t->n_controls) {
			struct tamper_control *c = &t->controls[t->n_controls - 1];

			c->rsp_len = get_le32(t->mbox + CHIP_MBOX_RESPONSE + 16);
			if (c->rsp_len <= sizeof(c->rsp))
				memcpy(c->rsp, t->mbox + CHIP_MBOX_RESPONSE + 20, c->rsp_len);
		}
	}
	return v;
}

static void ring(struct tamper *t, uint32_t value)
{
	size_t len = get_le32(t->mbox + 16);

	if (!(value & (CHIP_DOORBELL_APP | CHIP_DOORBELL_CORE)) || len > 1500)
		return;
	if (t->n_controls < TAMPER_CONTROLS) {
		struct tamper_control *c = &t->controls[t->n_controls++];

		c->cpu = value;
		c->req_len = len;
		c->rsp_len = 0;
		memcpy(c->req, t->mbox + 20, len);
	}
	if (t->on_control)
		t->on_control(t, t->mbox + 20, len, t->user);
}

static void t_write32(struct backend *be, unsigned int bar, uint32_t off, uint32_t value)
{
	struct tamper *t = of(be);

	if (t->gone)
		return;
	if (bar == CHIP_BAR_FW && off + 4 <= CHIP_MBOX_RESPONSE)
		put_le32(t->mbox + off, value);
	if (bar == CHIP_BAR_FW && off == CHIP_DOORBELL)
		ring(t, value);
	backend_write32(t->below, bar, off, value);
}

static void t_write16(struct backend *be, unsigned int bar, uint32_t off, uint16_t value)
{
	struct tamper *t = of(be);

	if (!t->gone)
		backend_write16(t->below, bar, off, value);
}

static int t_irq_enable(struct backend *be)
{
	return of(be)->below->ops->irq_enable(of(be)->below);
}

static void t_irq_disable(struct backend *be)
{
	of(be)->below->ops->irq_disable(of(be)->below);
}

static int t_dma_alloc(struct backend *be, size_t size, size_t align, struct backend_dma *out)
{
	struct tamper *t = of(be);
	int r;

	if (t->allocs++ == t->alloc_fails_after)
		return -ENOMEM;
	r = backend_dma_alloc(t->below, size, align, out);
	if (r == 0) {
		assert_true(t->n_areas < TAMPER_AREAS);
		t->areas[t->n_areas++] = *out;
	}
	return r;
}

static void t_dma_free(struct backend *be, struct backend_dma *mem)
{
	struct tamper *t = of(be);

	for (size_t i = 0; i < t->n_areas; i++) {
		if (t->areas[i].bus == mem->bus) {
			t->areas[i] = t->areas[--t->n_areas];
			break;
		}
	}
	backend_dma_free(t->below, mem);
}

static int t_reset(struct backend *be)
{
	return of(be)->below->ops->reset(of(be)->below);
}

static void t_set_bus_master(struct backend *be, bool on)
{
	of(be)->below->ops->set_bus_master(of(be)->below, on);
}

static void t_close(struct backend *be)
{
	struct tamper *t = of(be);

	backend_close(t->below);
	free(t);
}

static const struct backend_ops tamper_ops = {
	.close = t_close,
	.read32 = t_read32,
	.write32 = t_write32,
	.write16 = t_write16,
	.irq_enable = t_irq_enable,
	.irq_disable = t_irq_disable,
	.dma_alloc = t_dma_alloc,
	.dma_free = t_dma_free,
	.reset = t_reset,
	.set_bus_master = t_set_bus_master,
};

struct tamper *tamper_new(const struct mock_opts *opts)
{
	struct tamper *t = calloc(1, sizeof(*t));
	struct hw_error err = {0};

	assert_non_null(t);
	assert_ok(backend_mock_open(opts, &t->below, &err), &err);
	t->be = *t->below;
	t->be.ops = &tamper_ops;
	t->alloc_fails_after = -1;
	return t;
}

void *tamper_at(struct tamper *t, uint64_t bus, size_t len)
{
	for (size_t i = 0; i < t->n_areas; i++) {
		if (bus >= t->areas[i].bus && bus + len <= t->areas[i].bus + t->areas[i].size)
			return (uint8_t *)t->areas[i].virt + (bus - t->areas[i].bus);
	}
	return NULL;
}
