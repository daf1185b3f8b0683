// SPDX-License-Identifier: MIT
/* Matrix products: Gemm and MatMul, by OpenBLAS. */
#include "onnx/internal.h"

static int need_f32(const struct onnx_ctx *c)
{
	int r = 0;

	for (size_t i = 0; i < c->n_in && !r; i++)
		r = onnx_need_type(c, i, ONNX_F32);
	return r;
}

int onnx_gemm_shape(struct onnx_ctx *c)
{
	const struct onnx_tensor *a = c->in[0], *b = c->in[1], *add = onnx_in(c, 2);
	bool ta = onnx_attr_i(c, "transA", 0) != 0, tb = onnx_attr_i(c, "transB", 0) != 0;
	int64_t dim[2], kb;
	int r = need_f32(c);

	if (!r && (a->rank != 2 || b->rank != 2))
		r = hw_fail(c->err, -EBADMSG, "the factors have %u and %u dimensions, not 2",
			    a->rank, b->rank);
	if (r < 0)
		return r;
	dim[0] = a->dim[ta];
	dim[1] = b->dim[!tb];
	kb = b->dim[tb];
	if (a->dim[!ta] != kb)
		return hw_fail(c->err, -EBADMSG, "inner dimensions %lld and %lld differ",
			       (long long)a->dim[!ta], (long long)kb);
	r = onnx_out_shape(c, 0, ONNX_F32, 2, dim);
	if (r < 0)
		return r;
	for (unsigned int i = 0; add && i < add->rank; i++) {
		int64_t have = add->dim[add->rank - 1 - i];

		if (i > 1 || (have != 1 && have != dim[1 - i]))
			return hw_fail(c->err, -EBADMSG,
				       "the addend does not broadcast to %lld x %lld",
				       (long long)dim[0], (long long)dim[1]);
	}
	c->p.gemm.trans_a = ta;
	c->p.gemm.trans_b = tb;
	c->p.gemm.alpha = onnx_attr_f(c, "alpha", 1);
	c->p.gemm.beta = onnx_attr_f(c, "beta", 1);
	c->p.gemm.m = dim[0];
	c->p.gemm.n = dim[1];
	c->p.gemm.k = kb;
	return 0;
}

int onnx_gemm_run(struct onnx_ctx *c)
{
	const struct onnx_tensor *a = c->in[0], *b = c->in[1], *add = onnx_in(c, 2);
	int64_t m = c->p.gemm.m, n = c->p.gemm.n, k = c->p.gemm.k, stride[2] = {0};
	bool ta = c->p.gemm.trans_a, tb = c->p.gemm.trans_b;
	float *o = c->out[0]->data;

	if (add)
		onnx_broadcast_strides(add, 2, stride);
	for (int64_t i = 0; i < m; i++)
		for (int64_t j = 0; j < n; j++)
			o[i * n + j] = add ? c->p.gemm.beta * ((const float *)add->data)
						[i * stride[0] + j * stride[1]] : 0.0f;
	if (m && n && k)
		onnx_sgemm(&(struct onnx_product){
			.trans_a = ta, .trans_b = tb, .m = m, .n = n, .k = k,
			.alpha = c->p.gemm.alpha, .beta = 1, .a = a->data, .lda = a->dim[1],
			.b = b->data, .ldb = b->dim[1], .c = o, .ldc = n,
		});
	return 0;
}

/*
 * MatMul: leading dimensions broadcast.  @a and @b are copies of the inputs in which a vector was
 * made a matrix, and the last two dimensions cut off.
 */
struct factors {
	struct onnx_tensor a, b;
};

static void split_factors(const struct onnx_ctx *c, struct factors *f, int64_t *m, int64_t *ka,
			  int64_t *kb, int64_t *n)
{
	const struct onnx_tensor *a = c->in[0], *b = c->in[1];

	f->a = *a;
	f->b = *b;
	*m = a->rank > 1 ? a->dim[a->rank - 2] : 1;
	*ka = a->dim[a->rank - 1];
	*kb = b->dim[b->rank > 1 ? b->rank - 2 : 0];
	*n = b->rank > 1 ? b->dim[b->rank - 1] : 1;
	f->a.rank = a->rank > 2 ? a->rank - 2 : 0;
	f->b.rank = b->rank > 2 ? b->rank - 2 : 0;
}

int onnx_matmul_shape(struct onnx_ctx *c)
{
	int64_t dim[ONNX_RANK_MAX + 2], m, ka, kb, n;
	struct factors f;
	unsigned int rank;
	int r = need_f32(c);

	if (!r && (!c->in[0]->rank || !c->in[1]->rank))
		r = hw_fail(c->err, -EBADMSG, "a factor without dimensions");
	if (r < 0)
		return r;
	split_factors(c, &f, &m, &ka, &kb, &n);
	if (ka != kb)
		return hw_fail(c->err, -EBADMSG, "inner dimensions %lld and %lld differ",
			       (long long)ka, (long long)kb);
	r = onnx_broadcast(c, &f.a, &f.b, &rank, dim);
	if (r < 0)
		return r;
	c->p.gemm.m = m;
	c->p.gemm.n = n;
	c->p.gemm.k = ka;
	if (c->in[0]->rank > 1)
		dim[rank++] = m;
	if (c->in[1]->rank > 1)
		dim[rank++] = n;
	return onnx_out_shape(c, 0, ONNX_F32, rank, dim);
}

int onnx_matmul_run(struct onnx_ctx *c)
{
	int64_t m = c->p.gemm.m, n = c->p.gemm.n, k = c->p.gemm.k, sa[ONNX_RANK_MAX];
	int64_t sb[ONNX_RANK_MAX], ma, ka, kb, nb;
	struct onnx_tensor *o = c->out[0];
	size_t batches = m && n ? o->elements / (size_t)(m * n) : 0;
	struct factors f;
	unsigned int rank;

	split_factors(c, &f, &ma, &ka, &kb, &nb);
	rank = f.a.rank > f.b.rank ? f.a.rank : f.b.rank;
	onnx_broadcast_strides(&f.a, rank, sa);
	onnx_broadcast_strides(&f.b, rank, sb);
	memset(o->data, 0, onnx_tensor_bytes(o));
	for (size_t i = 0; i < batches && k; i++) {
		int64_t at_a = 0, at_b = 0;
		size_t rest = i;

		for (unsigned int d = rank; d-- > 0;) {
			int64_t pos = (int64_t)(rest % (size_t)o->dim[d]);

			at_a += pos * sa[d];
			at_b += pos * sb[d];
			rest /= (size_t)o->dim[d];
		}
		onnx_sgemm(&(struct onnx_product){
			.m = m, .n = n, .k = k, .alpha = 1, .beta = 0,
			.a = (const float *)c->in[0]->data + at_a * m * k, .lda = k,
			.b = (const float *)c->in[1]->data + at_b * k * n, .ldb = n,
			.c = (float *)o->data + (int64_t)i * m * n, .ldc = n,
		});
	}
	return 0;
}
