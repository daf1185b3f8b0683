// SPDX-License-Identifier: MIT
/*
 * HTTP: routes, the cap on bodies, slow clients, suspend and resume, answers.  http.c is the one
 * file that knows libmicrohttpd.
 */
#ifndef DAEMON_HTTP_H
#define DAEMON_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "metrics.h"

struct http;
struct http_req;

enum { HTTP_GET = 1, HTTP_POST = 2 }; /* HEAD comes with GET */

/*
 * struct http_route - one path
 * @handle: called in an HTTP thread once the whole request is there; answers with http_reply() or
 *          calls http_defer().  Must not wait for anything.
 */
struct http_route {
	const char *path;
	unsigned int methods;
	void (*handle)(struct http_req *rq);
};

/**
 * http_start - listen and serve
 * @routes: ended by an entry without a path; their order gives the endpoint index of
 * metrics_http(), the end of the list counts everything else
 * @backend: value of X-Hailo-Backend at this moment
 * @port: the port that was bound
 *
 * Return: 0, or a negative errno with one line in @error.
 */
struct http_setup {
	const struct config *cfg;
	const struct http_route *routes;
	struct metrics *metrics;
	const char *(*backend)(void *app);
	void *app;
};
int http_start(const struct http_setup *setup, struct http **out, uint16_t *port,
	       char error[CONFIG_ERROR_MAX]);

/* http_quiesce - take no new connections, close the present ones after their current request */
void http_quiesce(struct http *h);
/* http_active - requests that were begun and not answered yet */
unsigned int http_active(struct http *h);
/* http_stop - every deferred request must have been woken before; NULL is fine */
void http_stop(struct http *h);

void *http_app(const struct http_req *rq);
/* The body; a NUL follows it. */
const char *http_body(const struct http_req *rq, size_t *len);

/* http_reply - answer with @body, which was malloc()ed and is taken over */
void http_reply(struct http_req *rq, unsigned int status, const char *type, char *body, size_t len);
/* http_reply_detail - answer {"detail": TEXT}; 503 gets a Retry-After */
void http_reply_detail(struct http_req *rq, unsigned int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* http_defer - answer later: after http_wake(), @finish is called in an HTTP thread and replies */
void http_defer(struct http_req *rq, void (*finish)(struct http_req *rq, void *arg), void *arg);
/* http_wake - from any thread, exactly once after http_defer() */
void http_wake(void *rq);

#endif
