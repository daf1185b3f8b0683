// SPDX-License-Identifier: MIT
/* Detections: suppression (hef-format 5.14) and the user's formats (6.9). */
#include "host/boxes.h"

#include <math.h>

#define NONE UINT32_MAX

void host_boxes_free(struct host_boxes *b)
{
	free(b->v);
	free(b->chains);
	*b = (struct host_boxes){0};
}

void host_boxes_put(struct host_boxes *b, const struct host_box *box)
{
	if (b->n == b->cap) {
		size_t cap = b->cap ? b->cap * 2 : 256;
		struct host_box *v = b->failed ? NULL : realloc(b->v, cap * sizeof(*v));

		if (!v) {
			b->failed = true;
			return;
		}
		b->v = v;
		b->cap = cap;
	}
	b->v[b->n++] = *box;
}

/* ------------------------------------------------------------- suppression */

static float area(const struct host_box *b)
{
	return (b->y_max - b->y_min) * (b->x_max - b->x_min);
}

float host_boxes_iou(const struct host_box *a, const struct host_box *b)
{
	float top = a->y_min > b->y_min ? a->y_min : b->y_min;
	float left = a->x_min > b->x_min ? a->x_min : b->x_min;
	float bottom = a->y_max < b->y_max ? a->y_max : b->y_max;
	float right = a->x_max < b->x_max ? a->x_max : b->x_max;
	float height = bottom - top, width = right - left, both;

	/* Also where something is NaN */
	if (!(height > 0.0f && width > 0.0f))
		return 0.0f;
	both = height * width;
	return both / (area(a) + area(b) - both);
}

static int by_score(const void *a, const void *b)
{
	const struct host_box *x = a, *y = b;

	if (x->score != y->score)
		return x->score > y->score ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static int chains(struct host_boxes *b, size_t n)
{
	uint32_t *grown;

	if (b->n_chains >= n)
		return 0;
	grown = realloc(b->chains, n * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	b->chains = grown;
	b->n_chains = n;
	return 0;
}

/*
 * Boxes that stay are moved to the front.  Those of a class are chained, best last: after @classes
 * heads and @classes counts comes, for each box that stays, the one of its class before it.
 */
int host_boxes_suppress(struct host_boxes *b, uint32_t classes, double iou,
			const struct host_limits *limits)
{
	uint32_t *head, *count, *before;
	size_t kept = 0;

	if (b->failed || b->n >= NONE || chains(b, 2 * (size_t)classes + b->n))
		return -ENOMEM;
	head = b->chains;
	count = head + classes;
	before = count + classes;
	memset(head, 0xff, classes * sizeof(*head));
	memset(count, 0, classes * sizeof(*count));
	if (b->n)
		qsort(b->v, b->n, sizeof(*b->v), by_score);
	for (size_t i = 0; i < b->n && kept < limits->total; i++) {
		const struct host_box *box = &b->v[i];
		uint32_t class = box->class_id, k;

		/* A score of 0 is how the reference marks what it left out (5.14). */
		if (class >= classes || count[class] >= limits->per_class || box->score == 0.0f)
			continue;
		for (k = head[class]; k != NONE; k = before[k]) {
			if ((double)host_boxes_iou(&b->v[k], box) >= iou)
				break;
		}
		if (k != NONE)
			continue;
		b->v[kept] = *box;
		before[kept] = head[class];
		head[class] = (uint32_t)kept++;
		count[class]++;
	}
	b->n = kept;
	return 0;
}

/* ----------------------------------------------------------------- formats */

uint32_t host_mask_extent(float low, float high, uint32_t pixels)
{
	float n = ceilf((high - low) * (float)pixels);

	return n >= 1.0f ? (n < 0x1p31f ? (uint32_t)n : 1u << 31) : 0;
}


#define BOX_BYTES 20u	 /* five floats */
#define BY_SCORE_BYTES 22u /* and a class */

/* Both formats have these five first. */
static void put_box(uint8_t *at, const struct host_box *b)
{
	const float v[5] = {b->y_min, b->x_min, b->y_max, b->x_max, b->score};

	memcpy(at, v, sizeof(v));
}

int host_write_by_class(struct host_boxes *b, uint32_t classes, size_t max_per_class, void *frame,
			size_t size)
{
	uint8_t *at = frame, *end = at + size;
	uint32_t *head, *next;

	if (b->failed || b->n >= NONE || chains(b, (size_t)classes + b->n))
		return -ENOMEM;
	head = b->chains;
	next = head + classes;
	memset(head, 0xff, classes * sizeof(*head));
	for (size_t i = b->n; i-- > 0;) { /* from behind, so that each chain has the list's order */
		uint32_t class = b->v[i].class_id;

		if (class >= classes)
			continue;
		next[i] = head[class];
		head[class] = (uint32_t)i;
	}
	for (uint32_t class = 0; class < classes && (size_t)(end - at) >= sizeof(float); class++) {
		uint8_t *counter = at;
		size_t n = 0;
		float f;

		at += sizeof(float);
		for (uint32_t i = head[class]; i != NONE && n < max_per_class &&
					       (size_t)(end - at) >= BOX_BYTES;
		     i = next[i], n++) {
			put_box(at, &b->v[i]);
			at += BOX_BYTES;
		}
		f = (float)n;
		memcpy(counter, &f, sizeof(f));
	}
	memset(at, 0, (size_t)(end - at));
	return 0;
}

void host_write_by_score(const struct host_boxes *b, size_t max_total, void *frame, size_t size)
{
	uint8_t *at = frame;
	size_t room = size < 2 ? 0 : (size - 2) / BY_SCORE_BYTES;
	size_t n = b->n < max_total ? b->n : max_total;
	uint16_t count;

	n = n < room ? n : room;
	count = (uint16_t)(n < UINT16_MAX ? n : UINT16_MAX);
	if (size < sizeof(count))
		return;
	memcpy(at, &count, sizeof(count));
	at += sizeof(count);
	for (size_t i = 0; i < count; i++, at += BY_SCORE_BYTES) {
		uint16_t class = (uint16_t)b->v[i].class_id;

		put_box(at, &b->v[i]);
		memcpy(at + BOX_BYTES, &class, sizeof(class));
	}
	memset(at, 0, (size_t)((uint8_t *)frame + size - at));
}
