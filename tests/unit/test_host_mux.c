// SPDX-License-Identifier: MIT
/* host/mux.h against 6.7 written down as it stands there, nested ones too, and what does not add up. */
#include "support/support.h"

#include "host/mux.h"

#define LEAVES 8

static struct hef_layer leaf(uint32_t h, uint32_t w, uint32_t f, uint8_t bytes)
{
	struct hef_layer l = {
		.name = "net/leaf", .data_bytes = bytes, .hw_height = h, .hw_width = w, .hw_features = f,
	};

	return l;
}

static struct hef_layer mux(uint32_t h, uint32_t w, uint32_t f, uint8_t bytes, uint32_t rounds, size_t n,
			    struct hef_layer *sub, uint32_t *ratios)
{
	struct hef_layer l = leaf(h, w, f, bytes);

	l.shape = HEF_SHAPE_MUX;
	strcpy(l.name, "net/mux");
	l.mux_rounds = rounds;
	l.n_sub = n;
	l.sub = sub;
	l.mux_ratios = ratios;
	return l;
}

/* What the reference does with a frame: a cursor, and each leaf's bytes as they come. */
struct ref {
	const uint8_t *frame;
	size_t at, n;
	struct {
		const struct hef_layer *layer;
		uint8_t data[4096];
		size_t len, rounds;
	} leaf[LEAVES];
};

static void ref_leaves(struct ref *r, const struct hef_layer *l)
{
	for (size_t i = 0; i < l->n_sub; i++) {
		if (l->sub[i].shape == HEF_SHAPE_MUX)
			ref_leaves(r, &l->sub[i]);
		else
			r->leaf[r->n++].layer = &l->sub[i];
	}
}

static void ref_rounds(struct ref *r, const struct hef_layer *l, size_t rounds)
{
	for (size_t round = 0; round < rounds; round++) {
		for (size_t i = 0; i < l->n_sub; i++) {
			const struct hef_layer *s = &l->sub[i];
			size_t len = (size_t)l->mux_ratios[i] * s->hw_width * s->hw_features * s->data_bytes;

			if (s->shape == HEF_SHAPE_MUX) {
				if (round < s->mux_rounds)
					ref_rounds(r, s, s->hw_height / l->mux_rounds);
				else
					r->at += len;
				continue;
			}
			for (size_t k = 0; k < r->n; k++) {
				if (r->leaf[k].layer != s)
					continue;
				if (r->leaf[k].rounds < s->hw_height) {
					memcpy(r->leaf[k].data + r->leaf[k].len, r->frame + r->at, len);
					r->leaf[k].len += len;
				}
				if (r->leaf[k].rounds++ == s->hw_height)
					r->leaf[k].rounds = 0;
			}
			r->at += len;
		}
	}
}

static void check(const struct hef_layer *m)
{
	size_t bytes = hef_transfer_bytes(m);
	struct ref *ref = calloc(1, sizeof(*ref));
	uint8_t *frame = malloc(bytes), *out[LEAVES];
	struct host_mux split;
	struct hw_error err;

	assert_non_null(ref);
	assert_non_null(frame);
	for (size_t i = 0; i < bytes; i++)
		frame[i] = (uint8_t)(i * 167 + (i >> 8) * 59);
	ref->frame = frame;
	ref_leaves(ref, m);
	ref_rounds(ref, m, m->mux_rounds);
	assert_ok(host_mux_init(m, &split, &err), &err);
	assert_int_equal(split.n_leaves, ref->n);
	assert_int_equal(split.bytes, ref->at);
	for (size_t i = 0; i < ref->n; i++) {
		assert_ptr_equal(split.leaves[i], ref->leaf[i].layer);
		out[i] = malloc(hef_transfer_bytes(split.leaves[i])); /* ASan watches its end */
		assert_non_null(out[i]);
	}
	host_mux_split(&split, frame, (void *const *)out);
	for (size_t i = 0; i < ref->n; i++) {
		assert_true(ref->leaf[i].len > 0);
		assert_bytes_equal(out[i], ref->leaf[i].len, ref->leaf[i].data, ref->leaf[i].len, "leaf");
		free(out[i]);
	}
	host_mux_free(&split);
	free(frame);
	free(ref);
}

/* The three that the spec's authors ran: equal heights, 2:1, and one nested mux; then two more. */
static void rounds_are_dealt_out(void **state)
{
	uint32_t one[3] = {1, 1, 1}, two[2] = {2, 1}, three[3] = {4, 2, 1};
	struct hef_layer flat[2] = {leaf(4, 8, 2, 1), leaf(4, 16, 2, 1)};
	struct hef_layer high[2] = {leaf(4, 8, 2, 1), leaf(2, 16, 3, 1)};
	struct hef_layer wide[3] = {leaf(8, 4, 1, 2), leaf(4, 8, 2, 2), leaf(2, 2, 2, 2)};
	struct hef_layer inner[2] = {leaf(4, 8, 1, 1), leaf(4, 16, 1, 1)};
	struct hef_layer nested[2], deep[2], m;

	(void)state;
	m = mux(4, 24, 2, 1, 4, 2, flat, one); /* 8.5 */
	check(&m);
	m = mux(4, 40, 1, 1, 2, 2, high, two);
	check(&m);
	m = mux(2, 52, 1, 2, 2, 3, wide, three);
	check(&m);
	/* a mux of four rows beside a leaf of two: two inner rounds for each outer one */
	nested[0] = mux(4, 24, 1, 1, 4, 2, inner, one);
	nested[1] = leaf(2, 8, 4, 1);
	m = mux(2, 80, 1, 1, 2, 2, nested, two);
	check(&m);
	/* and that once more inside */
	deep[0] = m;
	deep[1] = leaf(2, 8, 1, 1);
	m = mux(2, 88, 1, 1, 2, 2, deep, one);
	check(&m);
}

static void what_does_not_add_up(void **state)
{
	uint32_t one[2] = {1, 1}, none[2] = {0, 1}, huge[2] = {UINT32_MAX, UINT32_MAX}, two[2] = {2, 1};
	struct hef_layer flat[2] = {leaf(4, 8, 2, 1), leaf(4, 16, 2, 1)};
	struct hef_layer nms[2] = {leaf(4, 8, 2, 1), leaf(4, 16, 2, 1)};
	struct hef_layer inner[2] = {leaf(4, 8, 2, 1), leaf(4, 8, 2, 1)}, nested[2];
	struct hef_layer rows[8];

	(void)state;
	nms[1].has_nms = true;
	nested[0] = mux(4, 24, 2, 1, 4, 2, inner, one); /* 24 said, 16 used */
	nested[1] = leaf(4, 8, 2, 1);
	rows[0] = mux(4, 24, 3, 1, 4, 2, flat, one);  /* its frame is larger than the parts */
	rows[1] = mux(4, 24, 2, 1, 3, 2, flat, one);  /* a round short */
	rows[2] = mux(4, 24, 2, 1, 5, 2, flat, one);  /* a round more than there are bytes */
	rows[3] = mux(4, 24, 2, 1, 4, 2, flat, none);
	rows[4] = mux(4, 24, 2, 1, 4, 2, flat, huge);
	rows[5] = mux(4, 24, 2, 1, 4, 2, nms, one);
	rows[6] = mux(4, 24, 2, 1, 4, 2, nested, one);
	rows[7] = mux(4, 24, 2, 1, 4, 2, flat, two);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct host_mux m;
		struct hw_error err = {0};

		if (host_mux_init(&rows[i], &m, &err) != -ENOTSUP)
			fail_msg("row %zu is not refused", i);
		assert_non_null(strstr(err.text, "net/mux"));
		host_mux_free(&m);
	}
	rows[0] = mux(0, 0, 0, 1, UINT32_MAX, 0, NULL, NULL);
	{
		struct host_mux m;
		struct hw_error err;

		assert_int_equal(host_mux_init(&rows[0], &m, &err), -ENOTSUP);
		host_mux_free(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rounds_are_dealt_out),
		cmocka_unit_test(what_does_not_add_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
