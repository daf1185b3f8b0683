// SPDX-License-Identifier: MIT
/* Windows of numbers from JSON files. */
#include "hwctl/hwctl.h"

#include <stdlib.h>
#include <string.h>

#define INPUT_MAX (256u << 20)
#define DEPTH_MAX 8

/* All numbers below @v in order; at most @room are stored, the full count is returned. */
static size_t flatten(const cJSON *v, float *out, size_t room, int depth, bool *bad)
{
	const cJSON *item;
	size_t n = 0;

	if (cJSON_IsNumber(v)) {
		if (room)
			*out = (float)v->valuedouble;
		return 1;
	}
	if (!cJSON_IsArray(v) || depth == DEPTH_MAX) {
		*bad = true;
		return 0;
	}
	cJSON_ArrayForEach(item, v)
		n += flatten(item, out + (n < room ? n : 0), n < room ? room - n : 0, depth + 1, bad);
	return n;
}

static int take_window(struct windows *w, const cJSON *v, const char *path, struct hw_error *err)
{
	float *p = realloc(w->values, (w->n + 1) * w->elements * sizeof(float));
	bool bad = false;
	size_t n;

	if (!p)
		return hw_fail(err, -ENOMEM, "no memory for the windows of %s", path);
	w->values = p;
	n = flatten(v, p + w->n * w->elements, w->elements, 0, &bad);
	if (bad)
		return hw_fail(err, -EBADMSG, "%s: window %zu holds something that is no number", path,
			       w->n);
	if (n != w->elements)
		return hw_fail(err, -EBADMSG, "%s: window %zu has %zu numbers, the model wants %zu", path,
			       w->n, n, w->elements);
	w->n++;
	return 0;
}

/* Appends to @w, so several files make one set. */
int windows_read(const char *path, size_t elements, struct windows *w, struct hw_error *err)
{
	const cJSON *many, *item;
	uint8_t *text;
	cJSON *root;
	size_t len;
	int r;

	w->elements = elements;
	r = util_read_file(path, INPUT_MAX, &text, &len, err);
	if (r < 0)
		return r;
	root = cJSON_ParseWithLength((const char *)text, len);
	free(text);
	if (!root)
		return hw_fail(err, -EBADMSG, "%s is not JSON", path);
	many = cJSON_GetObjectItemCaseSensitive(root, "windows");
	item = cJSON_GetObjectItemCaseSensitive(root, "x");
	if (cJSON_IsArray(many)) {
		cJSON_ArrayForEach(item, many) {
			r = take_window(w, item, path, err);
			if (r < 0)
				break;
		}
	} else if (item) {
		r = take_window(w, item, path, err);
	} else {
		r = hw_fail(err, -EBADMSG, "%s has neither \"x\" nor \"windows\"", path);
	}
	cJSON_Delete(root);
	return r;
}

void windows_free(struct windows *w)
{
	free(w->values);
	*w = (struct windows){0};
}
