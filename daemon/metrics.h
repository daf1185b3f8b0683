// SPDX-License-Identifier: MIT
/* Counters and histograms, and their Prometheus text (exposition format 0.0.4). */
#ifndef DAEMON_METRICS_H
#define DAEMON_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct metrics;

/* How a request for an inference ended. */
enum outcome { OUTCOME_SUCCESS, OUTCOME_INVALID, OUTCOME_ERROR, OUTCOMES };

/* Why it did not succeed. */
enum error_type {
	ERROR_VALIDATION,
	ERROR_QUEUE_FULL,
	ERROR_TIMEOUT,
	ERROR_UNAVAILABLE,
	ERROR_DEVICE,
	ERROR_INTERNAL,
	ERROR_TYPES
};

enum http_method { METHOD_GET, METHOD_HEAD, METHOD_POST, METHOD_OTHER, METHODS };

/**
 * metrics_new - all zero
 * @endpoints: label values of HTTP requests, @n of them, that outlive the metrics; a request is
 *             counted under its index here
 */
struct metrics *metrics_new(const char *const *endpoints, size_t n);
void metrics_free(struct metrics *m);

void metrics_inference(struct metrics *m, enum outcome outcome, double seconds);
void metrics_error(struct metrics *m, enum error_type type);
void metrics_health(struct metrics *m, bool healthy);
void metrics_http(struct metrics *m, size_t endpoint, enum http_method method, unsigned int status,
		  double seconds);

/* Seconds that the last successful inference took, 0 before the first. */
double metrics_last_inference(struct metrics *m);

/* What is known at the time of the scrape rather than counted. */
struct metrics_now {
	const char *model, *version, *hef_path, *hef_sha, *config, *service_version;
	const char *device, *backend, *function, *device_id;
	bool loaded, software_chip, has_device, has_temperature;
	unsigned int motifs_expected, motifs_actual;
	double temperature, utilization, start_time;
	unsigned int queued, in_flight;
	uint64_t recoveries;
};

void metrics_print(struct metrics *m, const struct metrics_now *now, FILE *out);

#endif
