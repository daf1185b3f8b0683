// SPDX-License-Identifier: MIT
/* Running the layers of a parsed network, with the work of one layer spread over threads. */
#include <pthread.h>

#include "mock/core.h"

/* ------------------------------------------------------------------ threads */

struct core_pool {
	unsigned int threads; /* with the caller's */
	pthread_t *workers;
	pthread_mutex_t lock;
	pthread_cond_t work, idle;
	void (*fn)(void *arg, size_t i);
	void *arg;
	size_t next, n, busy;
	bool stop;
};

/* Called with the lock held; takes items until none are left. */
static void pool_drain(struct core_pool *pool)
{
	while (pool->next < pool->n) {
		void (*fn)(void *, size_t) = pool->fn;
		void *arg = pool->arg;
		size_t i = pool->next++;

		pool->busy++;
		pthread_mutex_unlock(&pool->lock);
		fn(arg, i);
		pthread_mutex_lock(&pool->lock);
		pool->busy--;
	}
}

static void *pool_worker(void *user)
{
	struct core_pool *pool = user;

	pthread_mutex_lock(&pool->lock);
	while (!pool->stop) {
		pool_drain(pool);
		if (!pool->busy)
			pthread_cond_signal(&pool->idle);
		if (!pool->stop)
			pthread_cond_wait(&pool->work, &pool->lock);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

struct core_pool *core_pool_new(unsigned int threads)
{
	struct core_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_cond_init(&pool->idle, NULL);
	pool->threads = 1;
	if (threads > 64)
		threads = 64;
	pool->workers = calloc(threads + 1, sizeof(*pool->workers));
	if (!pool->workers) {
		core_pool_free(pool);
		return NULL;
	}
	/* with fewer threads than asked for the results are the same */
	while (pool->threads < threads &&
	       !pthread_create(&pool->workers[pool->threads - 1], NULL, pool_worker, pool))
		pool->threads++;
	return pool;
}

void core_pool_free(struct core_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stop = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned int i = 0; i + 1 < pool->threads; i++)
		pthread_join(pool->workers[i], NULL);
	pthread_cond_destroy(&pool->idle);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool->workers);
	free(pool);
}

unsigned int core_pool_threads(const struct core_pool *pool)
{
	return pool ? pool->threads : 1;
}

void core_pool_run(struct core_pool *pool, void (*fn)(void *arg, size_t i), void *arg, size_t n)
{
	if (core_pool_threads(pool) == 1 || n == 1) {
		for (size_t i = 0; i < n; i++)
			fn(arg, i);
		return;
	}
	pthread_mutex_lock(&pool->lock);
	pool->fn = fn;
	pool->arg = arg;
	pool->next = 0;
	pool->n = n;
	pthread_cond_broadcast(&pool->work);
	pool_drain(pool);
	while (pool->busy)
		pthread_cond_wait(&pool->idle, &pool->lock);
	pool->n = 0;
	pthread_mutex_unlock(&pool->lock);
}

/* ------------------------------------------------------------------- layers */

void core_gather(const struct core_layer *l, const int16_t *in, uint32_t group, int16_t *rows)
{
	const struct payload_conv *c = &l->conv;
	const uint32_t per_group = c->c / c->groups;
	size_t at = 0;

	for (size_t p = 0; p < (size_t)c->oh * c->ow; p++)
		memset(rows + p * l->k_padded + l->k, 0, (l->k_padded - l->k) * 2);
	for (uint32_t ch = 0; ch < per_group; ch++) {
		const int16_t *plane = in + (size_t)(group * per_group + ch) * c->h * c->w;

		for (uint32_t ky = 0; ky < c->kh; ky++) {
			for (uint32_t kx = 0; kx < c->kw; kx++, at++) {
				int16_t *to = rows + at;
				int64_t y = (int64_t)ky * c->dh - c->pt;

				for (uint32_t oy = 0; oy < c->oh; oy++, y += c->sh) {
					int64_t x = (int64_t)kx * c->dw - c->pl;
					const int16_t *row =
					    y >= 0 && y < c->h ? plane + y * c->w : NULL;

					for (uint32_t ox = 0; ox < c->ow; ox++, x += c->sw) {
						*to = row && x >= 0 && x < c->w ? row[x] : 0;
						to += l->k_padded;
					}
				}
			}
		}
	}
}

struct conv_job {
	const struct core_layer *l;
	const int16_t *rows;
	int16_t *out;
	size_t first, last, step; /* output channels, and how many one item takes */
};

static void conv_item(void *arg, size_t i)
{
	const struct conv_job *j = arg;
	const struct core_layer *l = j->l;
	const size_t positions = (size_t)l->conv.oh * l->conv.ow;
	size_t o0 = j->first + i * j->step, o1 = o0 + j->step;

	core_gemm(j->rows, positions, l->weights, o0, o1 < j->last ? o1 : j->last, l->k_padded,
		  &l->rq, j->out, positions);
}

static void run_conv(struct core_pool *pool, const struct core_layer *l, const int16_t *in,
		     int16_t *out, int16_t *scratch)
{
	const uint32_t per_group = l->conv.o / l->conv.groups;

	for (uint32_t g = 0; g < l->conv.groups; g++) {
		struct conv_job job = {
		    .l = l,
		    .rows = scratch,
		    .out = out,
		    .first = (size_t)g * per_group,
		    .last = (size_t)(g + 1) * per_group,
		};

		core_gather(l, in, g, scratch);
		/* two items per thread, in whole tiles of the kernel */
		job.step = align_up(ceil_div(per_group, core_pool_threads(pool) * 2), 4);
		core_pool_run(pool, conv_item, &job, ceil_div(per_group, job.step));
	}
}

static void run_elementwise(const struct core_layer *l, const int16_t *a, const int16_t *b,
			    size_t elements, int16_t *out)
{
	const struct core_requant *rq = &l->rq;

	for (size_t i = 0, c = 0; i < elements; i += rq->inner, c = c + 1 == rq->n ? 0 : c + 1) {
		if (b)
			core_add(a + i, b + i, rq->inner, rq->mult[c], rq->mult2[c], rq->bias[c],
				 rq->lo[c], rq->hi[c], out + i);
		else
			core_scale(a + i, rq->inner, rq->mult[c], rq->bias[c], rq->lo[c], rq->hi[c],
				   out + i);
	}
}

static void run_pool(const struct core_layer *l, const int16_t *in, int16_t *out)
{
	const struct core_requant *rq = &l->rq;

	for (size_t c = 0; c < rq->n; c++) {
		int32_t sum = 0;

		for (size_t i = 0; i < rq->inner; i++)
			sum += in[c * rq->inner + i];
		out[c] = core_requant_one(sum, rq->mult[c], rq->bias[c], rq->lo[c], rq->hi[c]);
	}
}

static void run_move(const struct core_layer *l, const int16_t *in, size_t elements, int16_t *out)
{
	const struct core_axis *last = &l->axis[l->rank - 1];
	uint32_t at[PAYLOAD_RANK_MAX] = {0};
	int64_t from = l->offset;

	for (size_t i = 0; i < elements; i += last->dim) {
		for (uint32_t x = 0; x < last->dim; x++)
			out[i + x] = in[from + (int64_t)x * last->stride];
		for (uint32_t d = l->rank - 1; d-- > 0;) {
			from += l->axis[d].stride;
			if (++at[d] < l->axis[d].dim)
				break;
			from -= (int64_t)l->axis[d].stride * l->axis[d].dim;
			at[d] = 0;
		}
	}
}

void core_layer_run(struct core_pool *pool, const struct core_layer *l, const struct core_tensor *t,
		    int16_t *const *tensors, int16_t *scratch)
{
	const int16_t *in = tensors[l->in];
	const size_t elements = t[l->out].elements;
	int16_t *out = tensors[l->out];

	switch (l->op) {
	case PAYLOAD_CONV:
		run_conv(pool, l, in, out, scratch);
		break;
	case PAYLOAD_ADD:
		run_elementwise(l, in, tensors[l->in2], elements, out);
		break;
	case PAYLOAD_SCALE:
		run_elementwise(l, in, NULL, elements, out);
		break;
	case PAYLOAD_POOL:
		run_pool(l, in, out);
		break;
	case PAYLOAD_TABLE:
		for (size_t i = 0; i < elements; i++)
			out[i] = l->table[in[i] - l->first];
		break;
	case PAYLOAD_MOVE:
		run_move(l, in, elements, out);
		break;
	}
}
