// SPDX-License-Identifier: MIT
/* What a network answered, for people and as JSON: numbers, or the objects that a detector found. */
#include "hwctl/hwctl.h"

#include <stdio.h>
#include <stdlib.h>

#define NUMBERS_SHOWN 6u
#define DETECTIONS_SHOWN 10u

/* Objects of a frame, free() them; NULL without memory */
static struct hw_detection *detections(const struct hw_tensor_info *t, const void *frame, size_t *n)
{
	struct hw_detection *d;

	*n = hw_detections_read(t, frame, NULL, 0);
	d = calloc(*n + 1, sizeof(*d));
	if (d)
		hw_detections_read(t, frame, d, *n);
	return d;
}

static void print_detections(const struct hw_tensor_info *t, const void *frame)
{
	size_t n;
	struct hw_detection *d = detections(t, frame, &n);

	printf(" %zu detection%s\n", n, n == 1 ? "" : "s");
	for (size_t i = 0; d && i < n && i < DETECTIONS_SHOWN; i++) {
		printf("  class %u, score %.4f, y %.4f to %.4f, x %.4f to %.4f", d[i].class_id,
		       (double)d[i].score, (double)d[i].y_min, (double)d[i].y_max, (double)d[i].x_min,
		       (double)d[i].x_max);
		if (d[i].mask)
			printf(", mask of %ux%u", d[i].mask_height, d[i].mask_width);
		putchar('\n');
	}
	if (n > DETECTIONS_SHOWN)
		puts("  ...");
	free(d);
}

void output_print(const struct hw_tensor_info *t, const void *frame)
{
	const float *v = frame;
	size_t n = t->elements < NUMBERS_SHOWN ? t->elements : NUMBERS_SHOWN;

	if (t->classes) {
		print_detections(t, frame);
		return;
	}
	for (size_t i = 0; i < n; i++)
		printf(" %.4f", (double)v[i]);
	puts(n < t->elements ? " ..." : "");
}

/* Pixels of the object in the mask; the mask itself would be most of the text. */
static size_t mask_pixels(const struct hw_detection *d)
{
	size_t n = 0;

	for (size_t i = 0; d->mask && i < (size_t)d->mask_height * d->mask_width; i++)
		n += d->mask[i];
	return n;
}

cJSON *output_json(const struct hw_tensor_info *t, const void *frame)
{
	struct hw_detection *d;
	cJSON *all;
	size_t n;

	if (!t->classes)
		return cJSON_CreateFloatArray(frame, (int)t->elements);
	all = cJSON_CreateArray();
	d = detections(t, frame, &n);
	for (size_t i = 0; d && i < n; i++) {
		cJSON *o = cJSON_CreateObject();

		cJSON_AddNumberToObject(o, "class", d[i].class_id);
		cJSON_AddNumberToObject(o, "score", (double)d[i].score);
		cJSON_AddNumberToObject(o, "y_min", (double)d[i].y_min);
		cJSON_AddNumberToObject(o, "x_min", (double)d[i].x_min);
		cJSON_AddNumberToObject(o, "y_max", (double)d[i].y_max);
		cJSON_AddNumberToObject(o, "x_max", (double)d[i].x_max);
		if (d[i].mask) {
			cJSON_AddNumberToObject(o, "mask_height", d[i].mask_height);
			cJSON_AddNumberToObject(o, "mask_width", d[i].mask_width);
			cJSON_AddNumberToObject(o, "mask_pixels", (double)mask_pixels(&d[i]));
		}
		cJSON_AddItemToArray(all, o);
	}
	free(d);
	return all;
}
