// SPDX-License-Identifier: MIT
#include "support/hefrow.h"

#include "support/support.h"

const char hefrow_long_name[] = "0123456789012345678901234567890123456789012345678901234567890123"
				"0123456789012345678901234567890123456789012345678901234567890123";

static void put_member(struct buf *m, const struct hefrow_member *x)
{
	struct buf sub = {0};

	for (size_t i = 0; i < ARRAY_SIZE(x->f) && x->f[i].number; i++)
		pb_uint(&sub, x->f[i].number, x->f[i].value);
	pb_msg(m, x->kind, &sub);
}

static void apply(struct hefgen *g, const struct hefrow *row)
{
	struct buf m = {0}, op = {0};

	hefgen_init(g);
	g->omit = row->omit;
	if (row->container)
		g->container = row->container - 1;
	if (row->arch)
		g->arch = row->arch - 1;
	for (size_t i = 0; i < ARRAY_SIZE(row->set) && row->set[i].f.number; i++)
		pb_uint(&g->at[row->set[i].at], row->set[i].f.number, row->set[i].f.value);
	if (row->action.kind) {
		put_member(&m, &row->action);
		pb_msg(&g->at[AT_OPERATION], 2, &m);
	}
	if (row->trigger.kind) {
		put_member(&m, &row->trigger);
		pb_msg(&op, 1, &m);
		pb_msg(&g->at[AT_CONTEXT], 2, &op);
	}
	if (row->mandatory)
		hefgen_extension(g, false, row->mandatory - 1, "SOMETHING");
	if (row->optional)
		hefgen_extension(g, true, row->optional - 1, NULL);
	if (row->more)
		row->more(g);
}

void hefrow_edge(struct buf *meta, const char *name, bool input, uint32_t sys, uint32_t pad,
		 const struct hefrow_field *more, size_t n_more)
{
	struct buf e = {0}, info = {0}, base = {0};

	pb_uint(&base, 1, 1);
	pb_uint(&base, 2, 1);
	pb_uint(&base, 3, 1);
	pb_uint(&base, 4, 1);
	pb_uint(&base, 5, 16);
	pb_uint(&base, 6, 16);
	pb_uint(&base, 7, 2);
	pb_uint(&base, 8, sys);
	pb_uint(&base, 12, 1);
	for (size_t i = 0; i < n_more; i++)
		pb_uint(&base, more[i].number, more[i].value);
	pb_str(&info, 1, name);
	pb_msg(&info, 2, &base);
	if (!input)
		pb_uint(&e, 1, 1);
	pb_msg(&e, 3, &info);
	if (pad)
		pb_uint(&e, 7, pad);
	pb_msg(meta, 2, &e);
}

struct hef *hefrow_parse(struct hefgen *g)
{
	struct hw_error err = {0};
	struct hef *hef = NULL;
	size_t len;
	uint8_t *image = hefgen_file(g, &len);

	assert_ok(hef_parse(image, len, &hef, NULL, &err), &err);
	return hef;
}

void hefrow_check(const struct hefrow *rows, size_t n)
{
	int bad = 0;

	for (size_t i = 0; i < n; i++) {
		enum hef_status status = 9999;
		struct hw_error err = {0};
		struct hef *hef = NULL;
		struct hefgen g;
		uint8_t *image;
		size_t len;
		int r, want;

		apply(&g, &rows[i]);
		image = hefgen_file(&g, &len);
		r = hef_parse(image, len, &hef, &status, &err);
		want =
		    rows[i].status == HEF_OK ? 0
		    : rows[i].status == HEF_NOT_SUPPORTED || rows[i].status == HEF_NOT_IMPLEMENTED
			? -ENOTSUP
			: -EBADMSG;
		if (status != rows[i].status || r != want || (r && strlen(err.text) < 10)) {
			print_error("%s: status %d, %d (%s); expected status %d\n", rows[i].name,
				    status, r, err.text, rows[i].status);
			bad++;
		}
		if (!r)
			hef_free(hef);
	}
	assert_int_equal(bad, 0);
}
