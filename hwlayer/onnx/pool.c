// SPDX-License-Identifier: MIT
/* Threads that share out the items of one operator at a time.  Worker 0 is the caller. */
#include <pthread.h>
#include <stdatomic.h>

#include "onnx/internal.h"

/* Elements below which a piece of work is not worth waking up a thread for. */
#define WORK_MIN 16384

struct worker {
	struct onnx_pool *pool;
	unsigned int index;
	pthread_t thread;
};

struct onnx_pool {
	pthread_mutex_t lock;
	pthread_cond_t go, done;
	unsigned int threads, busy; /* without the caller */
	uint64_t round;
	bool stop;
	void (*fn)(void *arg, size_t item, unsigned int worker);
	void *arg;
	size_t items;
	atomic_size_t next;
	struct worker workers[];
};

static void work(struct onnx_pool *p, unsigned int index)
{
	size_t item;

	while ((item = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed)) < p->items)
		p->fn(p->arg, item, index);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct onnx_pool *p = w->pool;
	uint64_t seen = 0;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (!p->stop && p->round == seen)
			pthread_cond_wait(&p->go, &p->lock);
		if (p->stop)
			break;
		seen = p->round;
		pthread_mutex_unlock(&p->lock);
		work(p, w->index);
		pthread_mutex_lock(&p->lock);
		if (--p->busy == 0)
			pthread_cond_signal(&p->done);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

struct onnx_pool *onnx_pool_new(unsigned int threads)
{
	struct onnx_pool *p = calloc(1, sizeof(*p) + threads * sizeof(p->workers[0]));

	if (!p)
		return NULL;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->go, NULL);
	pthread_cond_init(&p->done, NULL);
	for (unsigned int i = 1; i < threads; i++) {
		struct worker *w = &p->workers[p->threads];

		*w = (struct worker){.pool = p, .index = i};
		if (pthread_create(&w->thread, NULL, worker_main, w)) {
			onnx_pool_free(p);
			return NULL;
		}
		p->threads++;
	}
	return p;
}

void onnx_pool_free(struct onnx_pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->go);
	pthread_mutex_unlock(&p->lock);
	for (unsigned int i = 0; i < p->threads; i++)
		pthread_join(p->workers[i].thread, NULL);
	pthread_cond_destroy(&p->done);
	pthread_cond_destroy(&p->go);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

void onnx_pool_run(struct onnx_pool *p, void (*fn)(void *arg, size_t item, unsigned int worker),
		   void *arg, size_t items)
{
	if (!p || items < 2) {
		for (size_t i = 0; i < items; i++)
			fn(arg, i, 0);
		return;
	}
	pthread_mutex_lock(&p->lock);
	p->fn = fn;
	p->arg = arg;
	p->items = items;
	atomic_store_explicit(&p->next, 0, memory_order_relaxed);
	p->busy = p->threads;
	p->round++;
	pthread_cond_broadcast(&p->go);
	pthread_mutex_unlock(&p->lock);
	work(p, 0);
	pthread_mutex_lock(&p->lock);
	while (p->busy)
		pthread_cond_wait(&p->done, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

struct ranges {
	struct onnx_ctx *c;
	void (*fn)(struct onnx_ctx *c, size_t from, size_t to);
	size_t n, chunk;
};

static void range_item(void *arg, size_t item, unsigned int worker)
{
	const struct ranges *r = arg;
	size_t from = item * r->chunk, to = from + r->chunk;

	(void)worker;
	r->fn(r->c, from, to < r->n ? to : r->n);
}

void onnx_ranges(struct onnx_ctx *c, size_t n, size_t work,
		 void (*fn)(struct onnx_ctx *c, size_t from, size_t to))
{
	size_t pieces = c->workers > 1 ? work / WORK_MIN : 1;
	struct ranges r = {.c = c, .fn = fn, .n = n};

	pieces = pieces < 1 ? 1 : pieces > 4 * c->workers ? 4 * c->workers : pieces;
	r.chunk = (size_t)ceil_div(n, pieces);
	if (n)
		onnx_pool_run(c->pool, range_item, &r, (size_t)ceil_div(n, r.chunk));
}
