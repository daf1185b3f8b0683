// SPDX-License-Identifier: MIT
/*
 * JSON bodies to windows and answers to JSON: the hot path.  Pure: bytes in, values out; no I/O,
 * no clock, no globals.  The process must stay in the C locale for LC_NUMERIC.
 */
#ifndef DAEMON_CODEC_H
#define DAEMON_CODEC_H

#include <stddef.h>
#include <stdint.h>

#define IMU_STEPS 100
#define IMU_CHANNELS 9
#define IMU_VALUES (IMU_STEPS * IMU_CHANNELS)
#define IMU_LATENT 64
#define IMU_LATENT_CLIP 10.0f

/**
 * codec_imu_parse - body {"x": [[9 numbers] x 100]} to a window
 * @body: @len bytes, which a NUL must follow
 * @window: filled row by row on success
 * @reply: on -EINVAL the whole body of the 422 answer, which the caller free()s
 *
 * The document is judged in this order: JSON at all, fields and types, shape, finite, ranges; the
 * first finding of the first of these is reported.
 *
 * Return: 0, -EINVAL (@reply is set), -ENOMEM.
 */
int codec_imu_parse(const char *body, size_t len, float window[IMU_VALUES], char **reply,
		    size_t *reply_len);

/**
 * codec_imu_answer - the 200 answer of /infer
 * @latent: IMU_LATENT values, already clipped
 * @scores: @motifs values
 * @source: "head", "prototypes" or "none"
 * @model: the model's name as a JSON string, with its quotes
 * @out: text, which the caller free()s
 *
 * Numbers are written so that they read back as the same float.
 * Return: 0, -ENOMEM.
 */
int codec_imu_answer(const float *latent, const float *scores, size_t motifs, const char *source,
		     const char *model, char **out, size_t *len);

#endif
