// SPDX-License-Identifier: MIT
#include "support/imu_windows.h"
#include "support/support.h"

static struct span part(const char *path, struct span *file, size_t len)
{
	struct span s = {0};

	if (span_take(file, len, &s) < 0)
		fail_msg("%s: cut short", path);
	return s;
}

void imu_windows_load(const char *path, struct imu_windows *w)
{
	struct span file, head, scale, label, data;
	size_t len, values;
	uint8_t *bytes = slurp(path, &len);

	file = (struct span){bytes, len};
	head = part(path, &file, 32);
	if (memcmp(head.ptr, "IMUWIN1", 8) != 0 || get_le32(head.ptr + 8) != 1)
		fail_msg("%s: not a file of IMU windows", path);
	w->count = get_le32(head.ptr + 12);
	w->steps = get_le32(head.ptr + 16);
	w->channels = get_le32(head.ptr + 20);
	w->motifs = get_le32(head.ptr + 24);
	values = (size_t)w->count * w->steps * w->channels;
	scale = part(path, &file, 4 * (size_t)w->channels);
	label = part(path, &file, w->count);
	data = part(path, &file, 2 * values);
	if (file.len)
		fail_msg("%s: %zu bytes too many", path, file.len);
	w->label = malloc(w->count);
	w->x = malloc(values * sizeof(*w->x));
	assert_non_null(w->label);
	assert_non_null(w->x);
	memcpy(w->label, label.ptr, w->count);
	for (size_t i = 0; i < values; i++) {
		uint32_t bits = get_le32(scale.ptr + 4 * (i % w->channels));
		float step;

		memcpy(&step, &bits, sizeof(step));
		w->x[i] = (float)(int16_t)get_le16(data.ptr + 2 * i) * step;
	}
	free(bytes);
}

void imu_windows_free(struct imu_windows *w)
{
	free(w->label);
	free(w->x);
	*w = (struct imu_windows){0};
}
