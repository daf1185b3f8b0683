// SPDX-License-Identifier: MIT
#include "api.h"

const struct http_route api_routes[] = {
    {"/infer", HTTP_POST, api_infer},
    {"/infer/infer", HTTP_POST, api_infer}, /* EdgeInfer's own health check posts there */
    {"/healthz", HTTP_GET, api_healthz},
    {"/metrics", HTTP_GET, api_metrics},
    {"/", HTTP_GET, api_root},
    {NULL, 0, NULL},
};

#define N_ENDPOINTS (sizeof(api_routes) / sizeof(api_routes[0]))

const char *const *api_endpoints(size_t *n)
{
	static const char *names[N_ENDPOINTS];

	for (size_t i = 0; i < N_ENDPOINTS; i++)
		names[i] = api_routes[i].path ? api_routes[i].path : "other";
	*n = N_ENDPOINTS;
	return names;
}
