// SPDX-License-Identifier: MIT
/* Labelled IMU windows from tests/data/imu-heldout.bin; deploy/models/README.md has the layout. */
#ifndef TESTS_SUPPORT_IMU_WINDOWS_H
#define TESTS_SUPPORT_IMU_WINDOWS_H

#include <stddef.h>
#include <stdint.h>

struct imu_windows {
	uint32_t count, steps, channels, motifs;
	uint8_t *label; /* motif number of each window */
	float *x;	/* count x steps x channels, m/s2, rad/s, uT */
};

/* The test fails if the file cannot be read or is not one of ours.  imu_windows_free() it. */
void imu_windows_load(const char *path, struct imu_windows *w);
void imu_windows_free(struct imu_windows *w);

static inline const float *imu_window(const struct imu_windows *w, size_t i)
{
	return w->x + i * w->steps * w->channels;
}

#endif
