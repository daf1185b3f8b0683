// SPDX-License-Identifier: MIT
/* From measured ranges to scales and zero points.  docs/software-chip-models.md has the why. */
#include <math.h>

#include "build/internal.h"

/*
 * Scales inside of the network: between one per tensor (0) and one per channel (1).  A channel's
 * scale is folded into the weights that read it; with full freedom the spread of those weights
 * costs more than the finer activations gain.
 */
#define EQUALISE 0.5f
/* Outputs go to the user: unseen data may reach a little further than the calibration's. */
#define OUTPUT_ROOM 0.1f
/* Codes beyond a byte are plentiful, so sums get room to grow. */
#define WIDE_ROOM 2.0f

/* Channels that share one scale share one range, that of all of them. */
static void pool_ranges(struct root *root)
{
	float lo = 0, hi = 0;

	for (size_t c = 0; c < root->n; c++) {
		lo = fminf(lo, root->min[c]);
		hi = fmaxf(hi, root->max[c]);
	}
	for (size_t c = 0; c < root->n; c++) {
		root->min[c] = lo;
		root->max[c] = hi;
	}
}

static void set_byte(struct root *root, size_t c, float lo, float hi)
{
	float scale = (hi - lo) / 255, zero;

	if (!(scale > 1e-20f))
		scale = 1;
	zero = roundf(-lo / scale);
	zero = zero < 0 ? 0 : zero > 255 ? 255 : zero;
	root->scale[c] = scale;
	root->zero[c] = (int16_t)zero;
	root->lo[c] = (int16_t)-zero;
	root->hi[c] = (int16_t)(255 - zero);
}

static void scale_bytes(struct root *root, bool output)
{
	float widest = 0;

	for (size_t c = 0; c < root->n; c++)
		widest = fmaxf(widest, root->max[c] - root->min[c]);
	for (size_t c = 0; c < root->n; c++) {
		float lo = root->min[c], hi = root->max[c], span = hi - lo;

		if (!root->input && !root->per_tensor && widest > 0) {
			/* (span / widest) ^ EQUALISE of the widest; silent channels as the widest
			 */
			float f = span > 1e-6f * widest ? powf(span / widest, EQUALISE - 1) : 0;

			lo *= f;
			hi = f > 0 ? hi * f : widest;
		}
		if (output && root->by != STEP_SIGMOID) {
			lo *= 1 + OUTPUT_ROOM;
			hi *= 1 + OUTPUT_ROOM;
		}
		set_byte(root, c, lo, hi);
	}
}

static void scale_wide(struct root *root)
{
	float most = 0;

	pool_ranges(root);
	most = fmaxf(-root->min[0], root->max[0]) * WIDE_ROOM;
	for (size_t c = 0; c < root->n; c++) {
		root->scale[c] = most > 1e-20f ? most / (float)root->span : 1;
		root->lo[c] = (int16_t)(root->min[0] < 0 ? -root->span : 0);
		root->hi[c] = (int16_t)root->span;
	}
}

static bool is_output(const struct plan *p, int root)
{
	for (size_t i = 0; i < p->g->n_outputs; i++)
		if (p->values[p->g->outputs[i]].root == root)
			return true;
	return false;
}

int plan_scale(struct plan *p)
{
	for (size_t i = 0; i < p->n_roots; i++) {
		struct root *root = &p->roots[i];
		const bool dead = isinf(root->min[0]); /* nobody reads it */

		for (size_t c = 0; c < root->n; c++) {
			/* zero is in every range, so that padding is exact */
			root->min[c] = dead ? 0 : fminf(root->min[c], 0);
			root->max[c] = dead ? 0 : fmaxf(root->max[c], 0);
		}
		if (root->by == STEP_SIGMOID)
			for (size_t c = 0; c < root->n; c++)
				root->max[c] = 1;
		if (root->per_tensor)
			pool_ranges(root);
		if (root->span > 255)
			scale_wide(root);
		else
			scale_bytes(root, is_output(p, (int)i));
	}
	return 0;
}
