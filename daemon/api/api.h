// SPDX-License-Identifier: MIT
/* What the contracts share: the parts of the running service, and the list of paths. */
#ifndef DAEMON_API_API_H
#define DAEMON_API_API_H

#include <stdint.h>

#include "../config.h"
#include "../engine.h"
#include "../http.h"
#include "../metrics.h"
#include "../model.h"

struct app {
	const struct config *cfg;
	struct model *model;
	struct engine *engine;
	struct metrics *metrics;
	double start_time; /* Unix time */
	uint64_t start_ns; /* monotonic */
};

/* routes.c: ended by an entry without a path */
extern const struct http_route api_routes[];
/* Label values for the metrics: the paths, then "other"; *@n of them. */
const char *const *api_endpoints(size_t *n);

void api_infer(struct http_req *rq);
void api_root(struct http_req *rq);
void api_healthz(struct http_req *rq);
void api_metrics(struct http_req *rq);

#endif
