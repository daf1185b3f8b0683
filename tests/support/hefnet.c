// SPDX-License-Identifier: MIT
#include "support/hefnet.h"

#include "hef/hef.h"
#include "hef/listing.h"
#include "support/support.h"

void hefnet_base(struct buf *m, unsigned int field, const struct hefnet_tensor *t, uint32_t sys,
		 struct buf *additional)
{
	struct buf base = {0}, empty = {0};

	pb_uint(&base, 1, t->h);
	pb_uint(&base, 2, t->ph ? t->ph : t->h);
	pb_uint(&base, 3, t->w);
	pb_uint(&base, 4, t->pw ? t->pw : t->w);
	pb_uint(&base, 5, t->f);
	pb_uint(&base, 6, t->pf ? t->pf : t->f);
	pb_uint(&base, 7, t->format);
	pb_uint(&base, 8, sys);
	pb_uint(&base, 9, 8);
	/* One buffer for each row: the chip pads rows itself where 5.4 allows it. */
	pb_uint(&base, 10, t->h);
	if (additional)
		pb_msg(&base, 11, additional);
	pb_uint(&base, 12, t->data_bytes ? t->data_bytes : 1);
	pb_msg(&base, 13, &empty);
	pb_uint(&base, 15, 0x10000);
	pb_msg(m, field, &base);
}

void hefnet_info(struct buf *info, const struct hefnet_tensor *t, uint32_t sys, struct buf *additional)
{
	struct buf numeric = {0};

	pb_float(&numeric, 2, 1.0f);
	pb_float(&numeric, 4, 255.0f);
	pb_str(info, 1, t->name);
	hefnet_base(info, 2, t, sys, additional);
	pb_msg(info, 3, &numeric);
}

void hefnet_layer(struct buf *meta, const struct hefnet_tensor *t, bool input, uint32_t sys,
		  struct buf *additional)
{
	struct buf edge = {0}, info = {0}, conn = {0};

	hefnet_info(&info, t, sys, additional);
	if (!input)
		pb_uint(&edge, 1, 1);
	pb_msg(&edge, 3, &info);
	pb_msg(&edge, 5, &conn);
	if (t->pad)
		pb_uint(&edge, 7, t->pad);
	pb_msg(meta, 2, &edge);
}

void hefnet_mux(struct hefgen *g, const struct hefnet_tensor *whole, const struct hefnet_tensor *leaf,
		size_t n, uint32_t rounds, const uint32_t *ratios)
{
	hefnet_mux_at(g, whole, 0, leaf, n, rounds, ratios);
}

void hefnet_mux_at(struct hefgen *g, const struct hefnet_tensor *whole, uint32_t sys,
		   const struct hefnet_tensor *leaf, size_t n, uint32_t rounds, const uint32_t *ratios)
{
	struct buf edge = {0}, message = {0}, data = {0}, conn = {0};

	pb_str(&message, 1, whole->name);
	hefnet_base(&message, 2, whole, sys, NULL);
	pb_uint(&data, 1, n);
	pb_uint(&data, 2, rounds);
	pb_packed_uint(&data, 4, ratios, n);
	pb_msg(&message, 3, &data);
	for (size_t i = 0; i < n; i++) {
		struct buf pred = {0}, info = {0};

		hefnet_info(&info, &leaf[i], 0, NULL);
		pb_msg(&pred, 1, &info);
		pb_msg(&message, 5, &pred);
	}
	pb_uint(&edge, 1, 1);
	pb_uint(&edge, 2, 1);
	pb_msg(&edge, 4, &message);
	pb_msg(&edge, 5, &conn);
	pb_msg(&g->at[AT_CONTEXT_META], 2, &edge);
}

void hefnet_planes(struct hefgen *g, const struct hefnet_tensor *whole, uint32_t format,
		   const struct hefnet_tensor *plane, size_t n)
{
	struct buf edge = {0}, message = {0}, conn = {0};

	pb_str(&message, 1, whole->name);
	pb_uint(&message, 2, format);
	for (size_t i = 0; i < n; i++) {
		struct buf one = {0}, info = {0};

		hefnet_info(&info, &plane[i], (uint32_t)i, NULL);
		pb_msg(&one, 1, &info);
		pb_msg(&message, 3, &one);
	}
	pb_uint(&message, 4, whole->h);
	pb_uint(&message, 5, whole->w);
	pb_uint(&message, 6, whole->f);
	pb_uint(&edge, 2, 2);
	pb_msg(&edge, 8, &message);
	pb_msg(&edge, 5, &conn);
	pb_msg(&g->at[AT_CONTEXT_META], 2, &edge);
}

static void put_nms_info(struct buf *nms, const struct hefnet_chip_nms *n)
{
	pb_uint(nms, 2, n->classes);
	pb_uint(nms, 3, n->boxes);
	pb_uint(nms, 4, 8);
	pb_uint(nms, 7, n->chunks);
	if (n->burst) {
		pb_uint(nms, 8, n->burst);
		pb_uint(nms, 9, 1);
	}
}

struct buf hefnet_chip_nms(const struct hefnet_chip_nms *n, uint32_t part_of)
{
	struct buf nms = {0}, additional = {0}, defuse = {0};

	put_nms_info(&nms, n);
	if (part_of) {
		pb_uint(&nms, 5, 1);
		pb_uint(&defuse, 1, part_of - 1);
		pb_str(&defuse, 3, "m/whole");
		pb_msg(&nms, 6, &defuse);
	}
	pb_msg(&additional, 1, &nms);
	return additional;
}

void hefnet_fused(struct hefgen *g, const struct hefnet_chip_nms *whole)
{
	static const struct hefnet_tensor t = {"m/whole", 1, 1, 8, .format = 6, .data_bytes = 2};
	struct buf fused = {0}, layer = {0}, info = {0}, nms = {0};

	hefnet_info(&info, &t, 0, NULL);
	put_nms_info(&nms, whole);
	pb_msg(&layer, 1, &info);
	pb_msg(&layer, 3, &nms);
	pb_uint(&fused, 1, 1);
	pb_msg(&fused, 3, &layer);
	pb_str(&fused, 2, t.name);
	pb_msg(&g->at[AT_CORE_OP], 5, &fused);
}

void hefnet_begin(struct hefgen *g, const char *group, const struct hefnet_tensor *in, size_t n_in,
		  const struct hefnet_tensor *out, size_t n_out)
{
	hefgen_init(g);
	g->group = group;
	g->omit = OMIT_INPUT | OMIT_OUTPUT | OMIT_SORTED;
	for (size_t i = 0; i < n_in; i++)
		hefnet_layer(&g->at[AT_CONTEXT_META], &in[i], true, (uint32_t)i, NULL);
	for (size_t i = 0; i < n_out; i++)
		hefnet_layer(&g->at[AT_CONTEXT_META], &out[i], false, (uint32_t)i, NULL);
}

void hefnet_sorted(struct hefgen *g, const char *name)
{
	pb_str(&g->at[AT_GROUP], 4, name);
}

static void pad(struct buf *op, unsigned int field, uint32_t index, const char *name)
{
	struct buf p = {0};

	pb_uint(&p, 1, index);
	pb_str(&p, 2, name);
	pb_msg(op, field, &p);
}

void hefnet_op(struct hefgen *g, unsigned int kind, struct buf *member, uint32_t first_pad,
	       uint32_t inputs, const char *output)
{
	struct buf op = {0};

	pb_str(&op, 1, "host-op");
	for (uint32_t i = 0; i < inputs; i++) {
		struct buf edge = {0};

		pb_uint(&edge, 1, first_pad + i);
		pb_uint(&edge, 2, 1000 + first_pad + i);
		pb_msg(&g->at[AT_GROUP], 9, &edge);
		pad(&op, 2, 1000 + first_pad + i, "in");
	}
	pad(&op, 3, 2000 + first_pad, output);
	pb_msg(&op, kind, member);
	pb_msg(&g->at[AT_GROUP], 8, &op);
}

void pb_double(struct buf *m, unsigned int field, double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof(bits));
	buf_u8(m, (uint8_t)(field << 3 | 1));
	buf_le64(m, bits);
}

void hefnet_nms(struct buf *nms, double score, double iou, uint32_t per_class, uint32_t classes)
{
	pb_double(nms, 1, score);
	pb_double(nms, 2, iou);
	pb_uint(nms, 3, per_class);
	pb_uint(nms, 4, classes);
}

char *hefnet_listing(struct hefgen *g, bool streams)
{
	struct buf out = {0};
	struct hw_error err;
	struct hef *hef;
	uint8_t *file;
	size_t len;

	file = hefgen_file(g, &len);
	assert_ok(hef_parse(file, len, &hef, NULL, &err), &err);
	assert_ok(hef_listing(hef, streams, true, &out, NULL, &err), &err);
	buf_u8(&out, 0);
	assert_false(out.failed);
	hef_free(hef);
	return (char *)out.ptr;
}

void hefnet_yolov8(struct hefgen *g)
{
	static const struct hefnet_tensor in = {"yolov8n/input_layer1", 640, 640, 3, .format = 0};
	static const struct hefnet_tensor out[] = {
		{"yolov8n/conv41", 80, 80, 64, .format = 1, .pad = 10},
		{"yolov8n/conv42", 80, 80, 80, .format = 1, .pad = 11},
		{"yolov8n/conv43", 40, 40, 64, .format = 1, .pad = 12},
		{"yolov8n/conv44", 40, 40, 80, .format = 1, .pad = 13},
		{"yolov8n/conv45", 20, 20, 64, .pw = 24, .format = 1, .pad = 14},
		{"yolov8n/conv46", 20, 20, 80, .pw = 24, .format = 1, .pad = 15},
	};
	struct buf nms = {0}, op = {0};

	hefnet_begin(g, "yolov8n", &in, 1, out, ARRAY_SIZE(out));
	pb_double(&op, 1, 640);
	pb_double(&op, 2, 640);
	for (uint32_t i = 0; i < 3; i++) {
		struct buf dec = {0};

		pb_uint(&dec, 1, 8u << i);
		pb_uint(&dec, 2, 10 + 2 * i);
		pb_uint(&dec, 3, 11 + 2 * i);
		pb_msg(&op, 4, &dec);
	}
	hefnet_nms(&nms, 0.2, 0.7, 100, 80);
	pb_msg(&nms, 12, &op);
	hefnet_op(g, 5, &nms, 10, 6, "yolov8n/yolov8_nms_postprocess");
	hefnet_sorted(g, "yolov8n/yolov8_nms_postprocess");
}
