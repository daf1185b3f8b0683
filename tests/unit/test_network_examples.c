// SPDX-License-Identifier: MIT
/*
 * The worked examples 8.1 and 8.2 of the protocol: from hand-built networks to the messages on
 * the wire, byte for byte with their MD5, and to the descriptors in memory.
 */
#include "unit/network_nets.h"

/* ---------------------------------------------------------- messages in the document */

struct document {
	char *text, *at;
};

static void open_section(struct document *doc, const char *heading)
{
	doc->text = (char *)slurp(shared_path("spec/firmware-protocol.md"), NULL);
	doc->at = strstr(doc->text, heading);
	assert_non_null(doc->at);
}

/* The next message whose title has @title: its MD5 and bytes. */
static uint8_t *next_message(struct document *doc, const char *title, size_t *len, uint8_t md5[16])
{
	struct buf hex = {0};
	size_t n;
	uint8_t *bytes, *digest;
	char *p, *end;

	doc->at = strstr(doc->at, title);
	assert_non_null(doc->at);
	p = strstr(doc->at, "MD5 ");
	assert_non_null(p);
	p[4 + 32] = 0;
	digest = unhex(p + 4, &n);
	memcpy(md5, digest, 16);
	free(digest);
	p = strstr(p + 4 + 33, "```") + 3;
	end = strstr(p, "```");
	for (; p < end; p++)
		if (*p > ' ')
			buf_u8(&hex, (uint8_t)*p);
	buf_u8(&hex, 0);
	bytes = unhex((char *)hex.ptr, len);
	buf_free(&hex);
	doc->at = end + 3;
	return bytes;
}

static void compare_message(struct document *doc, const char *title, const struct fake_message *got)
{
	uint8_t md5[16], *want;
	size_t len;

	want = next_message(doc, title, &len, md5);
	assert_int_equal(got->doorbell, CHIP_DOORBELL_CORE);
	assert_bytes_equal(got->bytes, got->len, want, len, title);
	assert_memory_equal(got->md5, md5, 16);
	free(want);
}

/* Everything up to the wire, with the addresses that the document invents. */
static void send(struct fake *f, struct network *net)
{
	struct hw_error err = {0};
	struct chip chip;

	assert_ok(network_alloc(net, &f->be, &err), &err);
	net->contexts[NETWORK_PRELIMINARY].configs[0].list.mem.bus = 0x100010000;
	net->contexts[NETWORK_DYNAMIC].configs[0].list.mem.bus = 0x100020000;
	net->inputs[0].list.mem.bus = 0x100030000;
	net->outputs[0].list.mem.bus = 0x100040000;
	if (net->n_internal) {
		net->internal[0].list.mem.bus = 0x100050000;
		net->contexts[NETWORK_DYNAMIC + 1].configs[0].list.mem.bus = 0x100060000;
	}
	assert_ok(network_contexts(net, &err), &err);
	fake_chip(f, &chip);
	assert_ok(network_configure(net, &chip, &err), &err);
}

static void example_1_messages(void **state)
{
	struct fake *f = fake_new();
	struct document doc;
	struct example e;
	struct network *net;

	(void)state;
	open_section(&doc, "\n### 8.1 ");
	example_1(&e);
	net = plan(&e, 0);
	send(f, net);
	assert_int_equal(f->n_messages, 5);
	compare_message(&doc, "**6. SET_NETWORK_GROUP_HEADER", &f->messages[0]);
	compare_message(&doc, "**7. SET_CONTEXT_INFO, activation", &f->messages[1]);
	compare_message(&doc, "**8. SET_CONTEXT_INFO, batch", &f->messages[2]);
	compare_message(&doc, "**9. SET_CONTEXT_INFO, prel", &f->messages[3]);
	compare_message(&doc, "**10. SET_CONTEXT_INFO, dyn", &f->messages[4]);
	free(doc.text);
	network_free(net, &f->be);
	assert_int_equal(f->live, 0);
	fake_free(f);
}

static void example_2_messages(void **state)
{
	struct fake *f = fake_new();
	struct document doc;
	struct example e;
	struct network *net;

	(void)state;
	open_section(&doc, "\n### 8.2 ");
	example_2(&e);
	net = plan(&e, 2);
	send(f, net);
	assert_int_equal(f->n_messages, 6);
	compare_message(&doc, "**1. SET_NETWORK_GROUP_HEADER", &f->messages[0]);
	assert_int_equal(f->messages[1].len, 39 + 63); /* activation: "as before" */
	compare_message(&doc, "**2. SET_CONTEXT_INFO, batch", &f->messages[2]);
	compare_message(&doc, "**3. SET_CONTEXT_INFO, prel", &f->messages[3]);
	compare_message(&doc, "**4. SET_CONTEXT_INFO, dyn", &f->messages[4]);
	compare_message(&doc, "**5. SET_CONTEXT_INFO, dyn", &f->messages[5]);
	free(doc.text);
	/* 9.6 */
	assert_int_equal(net->contexts[2 - 1].actions.len, 73);
	assert_int_equal(net->contexts[NETWORK_PRELIMINARY].actions.len, 41);
	assert_int_equal(net->contexts[NETWORK_DYNAMIC].actions.len, 202);
	assert_int_equal(net->contexts[NETWORK_DYNAMIC + 1].actions.len, 184);
	network_free(net, &f->be);
	assert_int_equal(f->live, 0);
	fake_free(f);
}

/* --------------------------------------------------------------------- the numbers */

static void example_1_derived(void **state)
{
	struct example e;
	struct network *net;
	const struct network_config *pre, *dyn;

	(void)state;
	example_1(&e);
	net = plan(&e, 0);
	pre = &net->contexts[NETWORK_PRELIMINARY].configs[0];
	dyn = &net->contexts[NETWORK_DYNAMIC].configs[0];
	assert_int_equal(net->cfg_channels, 1);
	assert_int_equal(pre->count, 3);
	assert_int_equal(pre->page, 512);
	assert_int_equal(pre->used, 2);
	assert_int_equal(pre->n_pieces, 1);
	assert_int_equal(dyn->count, 3);
	assert_int_equal(net->inputs[0].channel, 1);
	assert_int_equal(net->inputs[0].page, 512);
	assert_int_equal(net->inputs[0].count, 256);
	assert_int_equal(net->inputs[0].queue, 8);
	assert_int_equal(net->inputs[0].periph_bytes, 8192);
	assert_int_equal(net->inputs[0].periph_buffers, 1);
	assert_int_equal(net->outputs[0].channel, 16);
	assert_int_equal(net->outputs[0].transfer, 16);
	assert_int_equal(net->outputs[0].page, 64);
	assert_int_equal(net->outputs[0].count, 32);
	assert_int_equal(net->boundary_channels, 0x10002);
	network_free(net, NULL);
}

static void example_2_derived(void **state)
{
	struct example e;
	struct network *net;

	(void)state;
	example_2(&e);
	net = plan(&e, 2);
	assert_int_equal(net->n_internal, 2);
	assert_int_equal(net->internal[0].channel, 17);
	assert_int_equal(net->internal[1].channel, 2);
	assert_int_equal(net->internal[0].transfer, 3000);
	assert_int_equal(net->internal[0].page, 512);
	assert_int_equal(net->internal[0].count, 13);
	assert_int_equal(net->inputs[0].count, 256);
	assert_int_equal(net->outputs[0].count, 32);
	network_free(net, NULL);
}

/* -------------------------------------------------------------------- descriptors */

static uint32_t word(const struct vdma_list *list, unsigned int i, unsigned int w)
{
	return get_le32((uint8_t *)list->mem.virt + 16 * i + 4 * w);
}

static void expect_desc(const struct vdma_list *list, unsigned int i, uint32_t w0, uint64_t bus)
{
	assert_int_equal(word(list, i, 0), w0);
	assert_int_equal(word(list, i, 1), (uint32_t)bus);
	assert_int_equal(word(list, i, 2), (uint32_t)(bus >> 32));
	assert_int_equal(word(list, i, 3), 0);
}

static void example_1_descriptors(void **state)
{
	struct fake *f = fake_new();
	struct hw_error err = {0};
	struct example e;
	struct network *net;
	const struct network_config *c;

	(void)state;
	example_1(&e);
	net = plan(&e, 0);
	assert_ok(network_alloc(net, &f->be, &err), &err);
	c = &net->contexts[NETWORK_DYNAMIC].configs[0];
	expect_desc(&c->list, 0, 0x00020002, c->buffer.bus);
	expect_desc(&c->list, 1, 0x0001001e, c->buffer.bus + 0x200);
	expect_desc(&c->list, 2, 0x00020002, c->buffer.bus + 0x400);
	assert_memory_equal(c->buffer.virt, net_data + 1024, 768);
	c = &net->contexts[NETWORK_PRELIMINARY].configs[0];
	expect_desc(&c->list, 0, 0x00020002, c->buffer.bus);
	expect_desc(&c->list, 1, 0x0002001e, c->buffer.bus + 0x200);
	expect_desc(&c->list, 2, 0x00020002, c->buffer.bus + 0x400);
	assert_memory_equal(c->buffer.virt, net_data, 1024); /* 600 + 424 back to back */
	/* boundary lists are not bound to anything yet */
	for (unsigned int i = 0; i < net->inputs[0].count; i++)
		assert_int_equal(word(&net->inputs[0].list, i, 0), 0);
	network_free(net, &f->be);
	fake_free(f);
}

static void example_2_descriptors(void **state)
{
	static const uint32_t want[13] = {
		0x00020002, 0x00020002, 0x00020002, 0x00020002, 0x00020002, 0x0001b802, 0x00020002,
		0x00020002, 0x00020002, 0x00020002, 0x00020002, 0x0001b81e, 0x00020002,
	};
	struct fake *f = fake_new();
	struct hw_error err = {0};
	struct example e;
	struct network *net;

	(void)state;
	example_2(&e);
	net = plan(&e, 2);
	assert_ok(network_alloc(net, &f->be, &err), &err);
	assert_false(net->internal[0].list.circular);
	assert_true(net->internal[0].buffer.size >= 6656);
	for (unsigned int i = 0; i < 13; i++)
		expect_desc(&net->internal[0].list, i, want[i],
			    net->internal[0].buffer.bus + 512 * i);
	assert_null(net->internal[1].list.mem.virt); /* the input reads the same list */
	network_free(net, &f->be);
	assert_int_equal(f->live, 0);
	fake_free(f);
}

/* --------------------------------------------------------------------- when it fails */

static void every_allocation_can_fail(void **state)
{
	struct fake *f = fake_new();
	struct hw_error err = {0};
	struct example e;
	struct network *net;
	long total;

	(void)state;
	example_2(&e);
	net = plan(&e, 2);
	assert_ok(network_alloc(net, &f->be, &err), &err);
	total = (long)f->n_allocs;
	assert_int_equal(total, 2 + 2 + 3 * 2); /* boundary; internal; three config streams */
	network_free(net, &f->be);
	assert_int_equal(f->live, 0);
	for (long n = 0; n < total; n++) {
		net = plan(&e, 2);
		f->allocs_left = n;
		err = (struct hw_error){0};
		assert_int_equal(network_alloc(net, &f->be, &err), -ENOMEM);
		assert_true(err.text[0]);
		assert_int_equal(f->live, 0); /* given back at once ... */
		f->allocs_left = -1;
		assert_ok(network_alloc(net, &f->be, &err), &err); /* ... and it can be tried again */
		network_free(net, &f->be);
		assert_int_equal(f->live, 0);
	}
	fake_free(f);
}

static void a_refusal_names_the_context(void **state)
{
	static const char *const where[] = {
		"SET_NETWORK_GROUP_HEADER", "the activation context", "the batch-switching context",
		"the preliminary context", "dynamic context 0", "dynamic context 1",
	};
	struct example e;

	(void)state;
	example_2(&e);
	for (uint32_t n = 0; n < ARRAY_SIZE(where); n++) {
		struct fake *f = fake_new();
		struct network *net = plan(&e, 2);
		struct hw_error err = {0};
		struct chip chip;

		assert_ok(network_alloc(net, &f->be, &err), &err);
		assert_ok(network_contexts(net, &err), &err);
		fake_chip(f, &chip);
		f->refuse_at = n + 1;
		assert_int_equal(network_configure(net, &chip, &err), -EREMOTEIO);
		if (!strstr(err.text, where[n]) || !strstr(err.text, "0x40130016"))
			fail_msg("message %u: %s", n, err.text);
		assert_int_equal(f->n_messages, n + 1); /* nothing is sent after it */
		network_free(net, &f->be);
		fake_free(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(example_1_messages),
		cmocka_unit_test(example_2_messages),
		cmocka_unit_test(example_1_derived),
		cmocka_unit_test(example_2_derived),
		cmocka_unit_test(example_1_descriptors),
		cmocka_unit_test(example_2_descriptors),
		cmocka_unit_test(every_allocation_can_fail),
		cmocka_unit_test(a_refusal_names_the_context),
	};

	return cmocka_run_group_tests(tests, fill_data, NULL);
}
