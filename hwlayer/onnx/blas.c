// SPDX-License-Identifier: MIT
/*
 * The one place that calls OpenBLAS when a graph runs.  The library gives every thread that is
 * inside a call a work buffer from a fixed table (twice its MAX_THREADS, 64 in Debian; then 512
 * more, with a warning; then it ends the process), and keeps the buffers for good.  Many sessions
 * with many threads each would get there.  More callers than CPUs gain nothing, so that is as many
 * as get in.
 */
#include <cblas.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#include "onnx/internal.h"

#define MOST_CALLERS 64

static sem_t callers;

static void setup(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	cpus = cpus < 1 ? 1 : cpus > MOST_CALLERS ? MOST_CALLERS : cpus;
	sem_init(&callers, 0, (unsigned int)cpus);
	/* One setting for the whole process; threads are pool.c's business. */
	openblas_set_num_threads(1);
}

void onnx_sgemm(const struct onnx_product *p)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, setup);
	while (sem_wait(&callers) < 0 && errno == EINTR)
		;
	cblas_sgemm(CblasRowMajor, p->trans_a ? CblasTrans : CblasNoTrans,
		    p->trans_b ? CblasTrans : CblasNoTrans, (int)p->m, (int)p->n, (int)p->k,
		    p->alpha, p->a, (int)p->lda, p->b, (int)p->ldb, p->beta, p->c, (int)p->ldc);
	sem_post(&callers);
}
