// SPDX-License-Identifier: MIT
/* User frames in ordinary memory. */
#include "hwctl/hwctl.h"

#include <stdlib.h>

void frames_free(uint8_t **frames)
{
	for (size_t i = 0; frames && frames[i]; i++)
		free(frames[i]);
	free(frames);
}

int frames_alloc(size_t n, const struct hw_tensor_info *info, size_t n_info, uint8_t ***out,
		 struct hw_error *err)
{
	uint8_t **frames = calloc(n * n_info + 1, sizeof(*frames));

	for (size_t i = 0; frames && i < n * n_info; i++) {
		frames[i] = calloc(1, info[i % n_info].frame_bytes);
		if (!frames[i]) {
			frames_free(frames);
			frames = NULL;
		}
	}
	*out = frames;
	return frames ? 0 : hw_fail(err, -ENOMEM, "no memory for %zu frames", n);
}

void frames_fill(uint8_t *const *frames, const struct hw_tensor_info *info, size_t n_info)
{
	for (size_t k = 0; frames[k]; k++) {
		for (size_t i = 0; i < info[k % n_info].frame_bytes; i++)
			frames[k][i] = (uint8_t)(i * 167 + (i >> 8) * 59 + k * 31 + 7);
	}
}
