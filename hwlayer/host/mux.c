// SPDX-License-Identifier: MIT
/*
 * De-multiplexing (hef-format 6.7).  The rounds are the same for every frame, so they are walked
 * once, when a network is loaded; what remains is a list of pieces to copy.
 */
#include "host/mux.h"

#define PIECES_MAX (1u << 20) /* a piece is a row or more; no frame has as many rows */

struct leaf {
	const struct hef_layer *layer;
	size_t size, filled;
	uint64_t round; /* counts as 6.7 says: some rounds of a leaf may be left out */
};

struct walk {
	const struct hef_layer *whole;
	size_t n_leaves;
	struct leaf *leaves;
	uint64_t at; /* in the mux frame */
	struct buf pieces;
	struct hw_error *err;
};

static size_t count_leaves(const struct hef_layer *l)
{
	size_t n = 0;

	if (l->shape != HEF_SHAPE_MUX)
		return 1;
	for (size_t i = 0; i < l->n_sub; i++) /* depth is bounded by the parser */
		n += count_leaves(&l->sub[i]);
	return n;
}

static struct leaf *list_leaves(const struct hef_layer *l, struct leaf *out)
{
	if (l->shape != HEF_SHAPE_MUX) {
		*out = (struct leaf){.layer = l, .size = hef_transfer_bytes(l)};
		return out + 1;
	}
	for (size_t i = 0; i < l->n_sub; i++)
		out = list_leaves(&l->sub[i], out);
	return out;
}

static int refuse(const struct walk *w, const char *name, const char *why)
{
	return hw_fail(w->err, -ENOTSUP, "mux \"%.100s\": \"%.100s\" %s", w->whole->name, name, why);
}

static int append(struct walk *w, uint32_t index, size_t len)
{
	struct leaf *leaf = &w->leaves[index];
	size_t n = w->pieces.len / sizeof(struct host_piece);
	struct host_piece *last = n ? (struct host_piece *)(void *)w->pieces.ptr + n - 1 : NULL;
	const struct host_piece piece = {index, (size_t)w->at, leaf->filled, len};

	if (len > leaf->size - leaf->filled)
		return refuse(w, leaf->layer->name, "would get more bytes than its frame has");
	leaf->filled += len;
	if (last && last->leaf == index && last->from + last->len == piece.from &&
	    last->to + last->len == piece.to) {
		last->len += len;
		return 0;
	}
	if (n >= PIECES_MAX)
		return refuse(w, leaf->layer->name, "comes in too many pieces");
	buf_put(&w->pieces, &piece, sizeof(piece));
	return w->pieces.failed ? hw_fail(w->err, -ENOMEM, "no memory for a mux") : 0;
}

static int take_leaf(struct walk *w, uint32_t index, size_t len)
{
	struct leaf *leaf = &w->leaves[index];
	int r = leaf->round < leaf->layer->hw_height ? append(w, index, len) : 0;

	if (++leaf->round > leaf->layer->hw_height)
		leaf->round = 0;
	w->at += len;
	return r;
}

static uint64_t row_bytes(const struct hef_layer *l)
{
	uint64_t row;

	if (__builtin_mul_overflow((uint64_t)l->hw_width * l->hw_features, l->data_bytes, &row))
		return UINT64_MAX;
	return row;
}

/* @rounds of @mux, whose first leaf is @first, from bytes up to @end */
static int walk_rounds(struct walk *w, const struct hef_layer *mux, uint32_t first, uint64_t rounds,
		       uint64_t end)
{
	int r = 0;

	if (!mux->n_sub || !mux->mux_rounds)
		return refuse(w, mux->name, "combines nothing");
	for (uint64_t round = 0; !r && round < rounds; round++) {
		uint32_t leaf = first;

		for (size_t i = 0; !r && i < mux->n_sub; i++) {
			const struct hef_layer *sub = &mux->sub[i];
			uint64_t len;

			/* Each step takes something, so the frame's size bounds all loops. */
			if (__builtin_mul_overflow(row_bytes(sub), mux->mux_ratios[i], &len) || !len ||
			    len > end - w->at)
				return refuse(w, sub->name, "has rows that do not fit the rounds");
			if (sub->shape != HEF_SHAPE_MUX) {
				r = take_leaf(w, leaf, (size_t)len);
			} else if (round < sub->mux_rounds) {
				uint64_t stop = w->at + len;

				r = walk_rounds(w, sub, leaf, sub->hw_height / mux->mux_rounds, stop);
				if (!r && w->at != stop)
					return refuse(w, sub->name, "does not use the rows that it gets");
			} else {
				w->at += len;
			}
			leaf += (uint32_t)count_leaves(sub);
		}
	}
	return r;
}

static int check_leaves(const struct walk *w)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < w->n_leaves; i++) {
		const struct leaf *leaf = &w->leaves[i];
		const struct hef_layer *l = leaf->layer;

		if (l->has_nms)
			return refuse(w, l->name, "is an NMS, which cannot be part of a mux");
		sum += leaf->size;
	}
	if (sum != hef_transfer_bytes(w->whole))
		return refuse(w, w->whole->name, "has frames of another size than its parts together");
	return 0;
}

static int check_filled(const struct walk *w)
{
	for (size_t i = 0; i < w->n_leaves; i++) {
		const struct hef_layer *l = w->leaves[i].layer;

		if (w->leaves[i].filled < row_bytes(l) * l->hw_height)
			return refuse(w, l->name, "would not get all its rows");
	}
	return 0;
}

int host_mux_init(const struct hef_layer *mux, struct host_mux *out, struct hw_error *err)
{
	struct walk w = {.whole = mux, .n_leaves = count_leaves(mux), .err = err};
	int r;

	*out = (struct host_mux){0};
	w.leaves = calloc(w.n_leaves + 1, sizeof(*w.leaves));
	out->leaves = calloc(w.n_leaves + 1, sizeof(*out->leaves));
	if (!w.leaves || !out->leaves) {
		r = hw_fail(err, -ENOMEM, "no memory for a mux");
		goto out;
	}
	list_leaves(mux, w.leaves);
	r = check_leaves(&w);
	if (!r)
		r = walk_rounds(&w, mux, 0, mux->mux_rounds, hef_transfer_bytes(mux));
	if (!r)
		r = check_filled(&w);
	if (r < 0)
		goto out;
	out->n_leaves = w.n_leaves;
	for (size_t i = 0; i < w.n_leaves; i++)
		out->leaves[i] = w.leaves[i].layer;
	out->n_pieces = w.pieces.len / sizeof(struct host_piece);
	out->pieces = (struct host_piece *)(void *)w.pieces.ptr;
	out->bytes = (size_t)w.at;
	w.pieces = (struct buf){0};
out:
	buf_free(&w.pieces);
	free(w.leaves);
	return r;
}

void host_mux_free(struct host_mux *m)
{
	free(m->leaves);
	free(m->pieces);
	*m = (struct host_mux){0};
}

void host_mux_split(const struct host_mux *m, const void *frame, void *const *leaves)
{
	for (size_t i = 0; i < m->n_pieces; i++) {
		const struct host_piece *p = &m->pieces[i];

		memcpy((uint8_t *)leaves[p->leaf] + p->to, (const uint8_t *)frame + p->from, p->len);
	}
}
