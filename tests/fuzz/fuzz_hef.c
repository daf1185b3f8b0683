// SPDX-License-Identifier: MIT
/*
 * The HEF reader and everything that is computed from a file before a chip sees it: the listing and
 * the JSON, the choice of the variant, host layouts, the plan, descriptor lists and action bytes.
 */
#include <stdlib.h>

#include "fuzz/pbmutate.h"
#include "hef.pb-c.h"
#include "hef/listing.h"
#include "host/layout.h"
#include "hwctl/hwctl.h"
#include "network/network.h"
#include "support/hefgen.h"

#define FRAME_BYTES ((size_t)1 << 13) /* frames up to this size are converted */
#define PLAN_BYTES ((uint64_t)4 << 20) /* plans up to this size get their memory */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len,
				 uint8_t *out, size_t max, unsigned int seed);

/* A refusal says why, in the vendor's terms too. */
static void must_explain(int r, enum hef_status status, const struct hw_error *err)
{
	if (r < 0 && (!err->text[0] || (status == HEF_OK && r != -ENOMEM)))
		abort();
}

/* ------------------------------------------------------------------------------ DMA memory */

static int dma_alloc(struct backend *be, size_t size, size_t align, struct backend_dma *out)
{
	static uint64_t next = 0x100000000;

	(void)be;
	*out = (struct backend_dma){.virt = calloc(1, size), .size = size, .bus = align_up(next, align)};
	next = out->bus + size;
	return out->virt ? 0 : -ENOMEM;
}

static void dma_free(struct backend *be, struct backend_dma *mem)
{
	(void)be;
	free(mem->virt);
}

static const struct backend_ops ops = {.dma_alloc = dma_alloc, .dma_free = dma_free};
static struct backend memory = {.ops = &ops, .irq_fd = -1};

static uint64_t streams_bytes(const struct network_stream *s, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (uint64_t)s[i].count * (s[i].page + CHIP_DESC_SIZE);
	return sum;
}

static uint64_t plan_bytes(const struct network *net)
{
	uint64_t sum = streams_bytes(net->inputs, net->n_inputs) +
		       streams_bytes(net->outputs, net->n_outputs) +
		       streams_bytes(net->internal, net->n_internal);

	for (size_t i = 0; i < net->n_contexts; i++)
		for (size_t k = 0; k < net->contexts[i].n_configs; k++) {
			const struct network_config *c = &net->contexts[i].configs[k];

			sum += (uint64_t)c->count * (c->page + CHIP_DESC_SIZE);
		}
	return sum;
}

/* ------------------------------------------------------------------------------- one network */

static void convert(const struct host_layout *l)
{
	size_t user_bytes = l->user.frame_bytes;
	uint8_t *user, *hw;

	if (user_bytes > FRAME_BYTES || l->hw_bytes > FRAME_BYTES)
		return;
	/* Of exactly the size that they must have */
	user = calloc(1, user_bytes ? user_bytes : 1);
	hw = calloc(1, l->hw_bytes ? l->hw_bytes : 1);
	if (user && hw && l->input)
		host_layout_to_hw(l, user, hw);
	else if (user && hw)
		host_layout_from_hw(l, hw, user);
	free(user);
	free(hw);
}

static void try_layouts(const struct hef_layer *layer)
{
	static const enum hw_type types[] = {HW_TYPE_AUTO, HW_TYPE_U8, HW_TYPE_U16, HW_TYPE_F32};
	struct host_layout l;
	struct hw_error err;

	for (size_t i = 0; i < layer->n_sub; i++)
		try_layouts(&layer->sub[i]);
	hef_transfer_bytes(layer);
	hef_transfers_per_frame(layer);
	if (layer->shape != HEF_SHAPE_INFO || layer->kind != HEF_EDGE_BOUNDARY)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		for (int order = HW_ORDER_AUTO; order <= HW_ORDER_HAILO_NMS_BY_SCORE; order++) {
			err.text[0] = 0;
			if (host_layout_init(layer, types[i], (enum hw_order)order, &l, &err) == 0)
				convert(&l);
			else if (!err.text[0])
				abort();
		}
}

static void try_plan(const struct hef *hef, const struct hef_group *group, const struct hef_core_op *op,
		     uint32_t batch, uint32_t max_page)
{
	/* As a Hailo-8L was seen to answer (protocol 1.7) */
	const struct chip_hw_consts consts = {
		.fifo_word_granularity = 8,
		.max_periph_buffers_per_frame = 0xffff,
		.max_periph_bytes_per_buffer = 0xffff,
		.max_acceptable_bytes_per_buffer = 0xa000,
		.outbound_data_stream_size = 0x10000,
		.should_optimize_credits = true,
		.default_initial_credit_size = 0x10000,
	};
	const struct network_options opt = {.batch = batch, .max_page = max_page};
	struct network *net = NULL;
	struct hw_error err = {0};
	char text[320];
	int r = network_plan(hef, group, op, &consts, &opt, &net, &err);

	if (r < 0) {
		if (!err.text[0])
			abort();
		return;
	}
	if (plan_bytes(net) <= PLAN_BYTES && network_alloc(net, &memory, &err) == 0 &&
	    network_contexts(net, &err) == 0)
		for (size_t i = 0; i < net->n_contexts; i++)
			for (uint16_t k = 0; k <= net->contexts[i].n_names; k++)
				network_describe_action(net, (uint16_t)i, k, text, sizeof(text));
	network_free(net, &memory);
}

static void try_group(const struct hef *hef, const struct hef_group *g)
{
	static const struct {
		enum hw_arch arch;
		uint32_t clusters;
	} chips[] = {{HW_ARCH_HAILO8, 0}, {HW_ARCH_HAILO8L, 0x1d}, {HW_ARCH_HAILO8L, 0x0f}};
	const struct hef_core_op *op;
	struct hw_error err;

	for (size_t i = 0; i < g->n_core_ops; i++)
		for (size_t k = 0; k < g->core_ops[i].n_contexts; k++)
			for (size_t m = 0; m < g->core_ops[i].contexts[k].n_layers; m++)
				try_layouts(&g->core_ops[i].contexts[k].layers[m]);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(chips); i++) {
		enum hef_status status = HEF_OK;
		bool software = i >= ARRAY_SIZE(chips);
		int r;

		err.text[0] = 0;
		r = hef_select(hef, g, chips[i % ARRAY_SIZE(chips)].arch,
			       chips[i % ARRAY_SIZE(chips)].clusters, software, &op, &status, &err);
		must_explain(r, status, &err);
		if (r == 0) {
			try_plan(hef, g, op, 1, 4096);
			try_plan(hef, g, op, 8, 128);
		}
	}
}

static void show(const struct hef *hef)
{
	enum hef_status status = HEF_OK;
	struct hw_error err = {0};
	struct buf text = {0};
	cJSON *json;
	int number = 0;

	must_explain(hef_listing(hef, true, true, &text, &status, &err), status, &err);
	json = hef_json(hef, true, &number, &err);
	if (json)
		cJSON_free(cJSON_PrintUnformatted(json));
	cJSON_Delete(json);
	buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum hef_status status = HEF_OK;
	struct hw_error err = {0};
	struct hef *hef = NULL;
	uint8_t *image = malloc(size ? size : 1);
	int r;

	if (!image)
		return 0;
	if (size)
		memcpy(image, data, size);
	r = hef_parse(image, size, &hef, &status, &err);
	must_explain(r, status, &err);
	if (r < 0)
		return 0;
	show(hef);
	for (size_t i = 0; i < hef->n_groups; i++)
		try_group(hef, &hef->groups[i]);
	hef_free(hef);
	return 0;
}

/* ----------------------------------------------------------------------------------- changes */

/* Head, message and the rest of a file with right lengths (hef-format 1.1, 1.3); false: none */
static bool split(struct span file, struct span *head, struct span *msg)
{
	static const uint8_t sizes[] = {32, 28, 44, 56};

	return file.len >= 12 && get_be32(file.ptr) == 0x01484546 &&
	       get_be32(file.ptr + 4) < ARRAY_SIZE(sizes) &&
	       !span_take(&file, sizes[get_be32(file.ptr + 4)], head) &&
	       !span_take(&file, get_be32(head->ptr + 8), msg);
}

/* @a with its message changed, and digest and length made right; 0: not done */
static size_t mutate(struct span a, struct span b, uint8_t *out, size_t max, unsigned int seed)
{
	struct span head, msg, donor_head, donor;
	struct buf file = {0};
	size_t n = 0, tail;

	if (!split(a, &head, &msg))
		return 0;
	if (!split(b, &donor_head, &donor))
		donor = msg;
	tail = a.len - head.len - msg.len;
	buf_put(&file, head.ptr, head.len);
	pbmutate(&proto_hefhef__descriptor, msg, donor, seed, &file);
	if (!file.failed)
		put_be32(file.ptr + 8, (uint32_t)(file.len - head.len));
	buf_put(&file, msg.ptr + msg.len, tail);
	if (!file.failed && file.len <= max) {
		hefgen_fix_digest(file.ptr, file.len);
		n = file.len;
		memcpy(out, file.ptr, n);
	}
	buf_free(&file);
	return n;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	const struct span whole = {data, size};
	struct span head, msg;
	size_t n = seed % 10 ? mutate(whole, whole, data, max, seed) : 0;

	if (n)
		return n;
	n = LLVMFuzzerMutate(data, size, max);
	/* Now and then the digest is what is wrong. */
	if (seed % 3 && split((struct span){data, n}, &head, &msg))
		hefgen_fix_digest(data, n);
	return n;
}

size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len,
				 uint8_t *out, size_t max, unsigned int seed)
{
	return mutate((struct span){a, a_len}, (struct span){b, b_len}, out, max, seed);
}
