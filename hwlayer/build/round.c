// SPDX-License-Identifier: MIT
/*
 * Weights to integers.  Rounding each by itself ignores that inputs go together: what one weight
 * loses, another on a similar input can make up for.  With the Cholesky factor R of the inputs'
 * Gram matrix the error of a sum is |R (w - q)|, and going backwards through R each weight is
 * rounded after the errors of those before it are carried over (successive rounding, the idea
 * known from GPTQ).
 */
#include <math.h>

#include "build/internal.h"

#define DAMPING 0.01 /* of the mean diagonal: inputs that calibration never moved stay in place */

/* Upper triangle @a to its Cholesky factor R (a = R' R), row by row.  False: not positive. */
static bool cholesky(double *a, size_t n)
{
	for (size_t j = 0; j < n; j++) {
		double *row = a + j * n, d = row[j];

		if (!(d > 0))
			return false;
		d = sqrt(d);
		for (size_t i = j; i < n; i++)
			row[i] /= d;
		for (size_t i = j + 1; i < n; i++) {
			double f = row[i], *to = a + i * n;

			if (f != 0)
				for (size_t c = i; c < n; c++)
					to[c] -= f * row[c];
		}
	}
	return true;
}

static int16_t clamp_round(double x, int16_t limit)
{
	x = nearbyint(x);
	return (int16_t)(x < -limit ? -limit : x > limit ? limit : x);
}

static void round_row(const double *w, size_t k, const double *r, double *err, int16_t limit,
		      int16_t *out)
{
	for (size_t j = k; j-- > 0;) {
		const double *row = r + j * k;
		double carried = 0;

		for (size_t c = j + 1; c < k; c++)
			carried += row[c] * err[c];
		out[j] = clamp_round(w[j] + carried / row[j], limit);
		err[j] = w[j] - out[j];
	}
}

struct input {
	double power;
	uint32_t at;
};

static int by_power(const void *a, const void *b)
{
	const struct input *x = a, *y = b;

	if (x->power != y->power)
		return x->power < y->power ? -1 : 1;
	return x->at < y->at ? -1 : 1; /* qsort is not stable; the result shall be */
}

/*
 * The order in which inputs are rounded: strongest last in the matrix, so first, while there are
 * most others left to make up for it.  Returns the factor of @gram in that order (free() it), NULL
 * if it is of no use.
 */
static double *factorise(const double *gram, size_t k, struct input *order)
{
	double *sorted = malloc(k * k * sizeof(*sorted)), mean = 0;

	if (!sorted)
		return NULL;
	for (size_t i = 0; i < k; i++) {
		order[i] = (struct input){gram[i * k + i], (uint32_t)i};
		mean += gram[i * k + i] / (double)k;
	}
	qsort(order, k, sizeof(*order), by_power);
	for (size_t i = 0; i < k; i++) {
		for (size_t j = i; j < k; j++) {
			size_t a = order[i].at, b = order[j].at;

			sorted[i * k + j] = a < b ? gram[a * k + b] : gram[b * k + a];
		}
		sorted[i * k + i] += DAMPING * mean;
	}
	if (mean > 0 && cholesky(sorted, k))
		return sorted;
	free(sorted);
	return NULL;
}

int round_weights(const float *w, size_t o, size_t k, const double *gram, int16_t limit,
		  int16_t *out, float *scale)
{
	double *row = malloc(k * sizeof(*row)), *err = malloc(k * sizeof(*err)), *factor = NULL;
	struct input *order = malloc(k * sizeof(*order));
	int16_t *codes = malloc(k * sizeof(*codes));
	int r = -ENOMEM;

	if (!row || !err || !order || !codes)
		goto out;
	if (gram)
		factor = factorise(gram, k, order);
	for (size_t i = 0; i < o; i++) {
		float most = 0;

		for (size_t j = 0; j < k; j++)
			most = fmaxf(most, fabsf(w[i * k + j]));
		scale[i] = most > 1e-30f ? most / limit : 1;
		for (size_t j = 0; j < k; j++) {
			size_t from = factor ? order[j].at : j;

			row[j] = (double)w[i * k + from] / scale[i];
			codes[j] = clamp_round(row[j], limit);
		}
		if (factor)
			round_row(row, k, factor, err, limit, codes);
		for (size_t j = 0; j < k; j++)
			out[i * k + (factor ? order[j].at : j)] = codes[j];
	}
	r = 0;
out:
	free(row);
	free(err);
	free(order);
	free(codes);
	free(factor);
	return r;
}
