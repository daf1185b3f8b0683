// SPDX-License-Identifier: MIT
#include "http.h"

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <microhttpd.h>

#include "log.h"

#define MAX_HEADER_BYTES (16u << 10)
/* Twice what libmicrohttpd needs for the largest headers, and room to read a window in one go.
 * Beyond it libmicrohttpd answers 431 by itself. */
#define CONNECTION_MEMORY (64u << 10)
#define MAX_CONNECTIONS 1000
#define IDLE_SECONDS 75
#define FIRST_BODY_BYTES (32u << 10)
#define BODIES_BYTES (128ul << 20) /* all bodies that are being received together */
#define NS_PER_S 1000000000ull

struct http_req {
	struct http *http;
	struct MHD_Connection *conn;
	int fd;
	uint64_t start_ns;
	const struct http_route *route; /* NULL: no such path */
	enum http_method method;

	/* under http->lock */
	struct http_req *next, *prev; /* requests that are being received, oldest first */
	bool receiving, timed_out;

	bool begun, complete, answered;
	unsigned int error; /* status to answer once the rest of the request was read and dropped */
	const char *error_text;

	char *body;
	size_t len, cap;
	uint64_t dropped;

	void (*finish)(struct http_req *rq, void *arg);
	void *finish_arg;

	unsigned int status;
	struct MHD_Response *response;
};

struct http {
	struct http_setup setup;
	size_t n_routes;
	struct MHD_Daemon *daemon;
	MHD_socket quiesced; /* the listening socket once it is ours again */
	unsigned int active; /* atomic */
	bool closing;	     /* atomic */
	uint64_t body_bytes; /* atomic */
	uint64_t body_budget;

	pthread_t watcher;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct http_req *oldest, *newest;
	bool stop, watcher_idle;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static const char *backend(const struct http *h)
{
	return h->setup.backend(h->setup.app);
}

static void count(struct http_req *rq, unsigned int status)
{
	struct http *h = rq->http;
	size_t endpoint = rq->route ? (size_t)(rq->route - h->setup.routes) : h->n_routes;

	metrics_http(h->setup.metrics, endpoint, rq->method, status,
		     (double)(now_ns() - rq->start_ns) / 1e9);
}

/* ------------------------------------------------------------ slow clients */

/*
 * libmicrohttpd cannot answer before a request is complete, it could only hang up.  So the answer
 * to a request that does not come to its end goes to the socket directly.  Nothing else writes to
 * it at this time: the request is still being received.
 */
static void raw_answer(struct http_req *rq, unsigned int status, const char *reason,
		       const char *detail)
{
	char text[512], body[128];
	int n = snprintf(body, sizeof(body), "{\"detail\":\"%s\"}", detail);

	n = snprintf(text, sizeof(text),
		     "HTTP/1.1 %u %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
		     "X-Hailo-Backend: %s\r\nConnection: close\r\n\r\n%s",
		     status, reason, n, backend(rq->http), body);
	if (send(rq->fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("answering %u: %s", status, strerror(errno));
	shutdown(rq->fd, SHUT_RDWR); /* libmicrohttpd sees the end and lets go */
}

/* Under the lock. */
static void unlink_receiving(struct http_req *rq)
{
	struct http *h = rq->http;

	if (rq->prev)
		rq->prev->next = rq->next;
	else
		h->oldest = rq->next;
	if (rq->next)
		rq->next->prev = rq->prev;
	else
		h->newest = rq->prev;
	rq->receiving = false;
}

static void start_receiving(struct http_req *rq)
{
	struct http *h = rq->http;

	pthread_mutex_lock(&h->lock);
	rq->receiving = true;
	rq->prev = h->newest;
	if (h->newest)
		h->newest->next = rq;
	else
		h->oldest = rq;
	h->newest = rq;
	if (h->watcher_idle)
		pthread_cond_signal(&h->cond);
	pthread_mutex_unlock(&h->lock);
}

/* False: it was answered 408 in the meantime and the connection must go. */
static bool stop_receiving(struct http_req *rq)
{
	bool in_time;

	pthread_mutex_lock(&rq->http->lock);
	if (rq->receiving)
		unlink_receiving(rq);
	in_time = !rq->timed_out;
	pthread_mutex_unlock(&rq->http->lock);
	return in_time;
}

static void *watcher_thread(void *arg)
{
	struct http *h = arg;
	uint64_t allowed = h->setup.cfg->request_timeout_ms * 1000000ull;

	pthread_mutex_lock(&h->lock);
	while (!h->stop) {
		struct http_req *rq;
		uint64_t now = now_ns(), due;
		struct timespec at;

		while ((rq = h->oldest) && rq->start_ns + allowed <= now) {
			unlink_receiving(rq);
			rq->timed_out = true;
			raw_answer(rq, 408, "Request Timeout", "Request Timeout");
		}
		if (rq) {
			due = rq->start_ns + allowed;
			at.tv_sec = (time_t)(due / NS_PER_S);
			at.tv_nsec = (long)(due % NS_PER_S);
			pthread_cond_timedwait(&h->cond, &h->lock, &at);
		} else {
			h->watcher_idle = true;
			pthread_cond_wait(&h->cond, &h->lock);
			h->watcher_idle = false;
		}
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

/* ----------------------------------------------------------------- answers */

void *http_app(const struct http_req *rq)
{
	return rq->http->setup.app;
}

const char *http_body(const struct http_req *rq, size_t *len)
{
	*len = rq->len;
	return rq->body ? rq->body : "";
}

static void list_methods(const struct http_route *route, char *out, size_t size)
{
	snprintf(out, size, "%s%s%s", route->methods & HTTP_GET ? "GET, HEAD" : "",
		 route->methods == (HTTP_GET | HTTP_POST) ? ", " : "",
		 route->methods & HTTP_POST ? "POST" : "");
}

void http_reply(struct http_req *rq, unsigned int status, const char *type, char *body, size_t len)
{
	struct http *h = rq->http;
	struct MHD_Response *r = MHD_create_response_from_buffer(len, body, MHD_RESPMEM_MUST_FREE);
	char methods[32];

	if (!r) {
		free(body);
		return; /* no memory: the connection is closed */
	}
	MHD_add_response_header(r, "Content-Type", type);
	MHD_add_response_header(r, "X-Hailo-Backend", backend(h));
	if (status == 503)
		MHD_add_response_header(r, "Retry-After", "1");
	if (status == 405 && rq->route) {
		list_methods(rq->route, methods, sizeof(methods));
		MHD_add_response_header(r, "Allow", methods);
	}
	if (__atomic_load_n(&h->closing, __ATOMIC_RELAXED))
		MHD_add_response_header(r, "Connection", "close");
	if (rq->response)
		MHD_destroy_response(rq->response);
	rq->status = status;
	rq->response = r;
}

void http_reply_detail(struct http_req *rq, unsigned int status, const char *fmt, ...)
{
	cJSON *o = cJSON_CreateObject();
	char text[1024], *body;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cJSON_AddStringToObject(o, "detail", text);
	body = cJSON_PrintUnformatted(o);
	cJSON_Delete(o);
	if (body)
		http_reply(rq, status, "application/json", body, strlen(body));
}

static enum MHD_Result send_response(struct http_req *rq)
{
	enum MHD_Result r;

	if (!rq->response)
		http_reply_detail(rq, 500, "Internal Server Error");
	if (!rq->response)
		return MHD_NO;
	rq->answered = true;
	count(rq, rq->status);
	r = MHD_queue_response(rq->conn, rq->status, rq->response);
	MHD_destroy_response(rq->response);
	rq->response = NULL;
	return r;
}

void http_defer(struct http_req *rq, void (*finish)(struct http_req *rq, void *arg), void *arg)
{
	rq->finish = finish;
	rq->finish_arg = arg;
	MHD_suspend_connection(rq->conn);
}

void http_wake(void *arg)
{
	struct http_req *rq = arg;

	MHD_resume_connection(rq->conn);
}

/* ---------------------------------------------------------------- requests */

static const char *header(const struct http_req *rq, const char *name)
{
	return MHD_lookup_connection_value(rq->conn, MHD_HEADER_KIND, name);
}

/* application/json or application/NAME+json, with or without parameters; none counts as JSON. */
static bool is_json(const char *type)
{
	size_t n;

	if (!type)
		return true;
	n = strcspn(type, "; \t");
	if (n < strlen("application/json") || strncasecmp(type, "application/", 12) != 0)
		return false;
	return strncasecmp(type + n - 4, "json", 4) == 0 &&
	       (type[n - 5] == '/' || type[n - 5] == '+');
}

static void refuse(struct http_req *rq, unsigned int status, const char *text)
{
	if (rq->error)
		return;
	rq->error = status;
	rq->error_text = text;
}

static enum http_method method_of(const char *method)
{
	return strcmp(method, "GET") == 0    ? METHOD_GET
	       : strcmp(method, "HEAD") == 0 ? METHOD_HEAD
	       : strcmp(method, "POST") == 0 ? METHOD_POST
					     : METHOD_OTHER;
}

/* What can be said from the headers alone. */
static void judge_headers(struct http_req *rq, const char *url, const char *method)
{
	static const unsigned int needs[METHODS] = {
	    [METHOD_GET] = HTTP_GET, [METHOD_HEAD] = HTTP_GET, [METHOD_POST] = HTTP_POST};
	struct http *h = rq->http;
	const union MHD_ConnectionInfo *info;
	const char *text;

	rq->method = method_of(method);
	for (const struct http_route *r = h->setup.routes; r->path; r++)
		if (strcmp(r->path, url) == 0)
			rq->route = r;
	info = MHD_get_connection_info(rq->conn, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	if (info && info->header_size > MAX_HEADER_BYTES)
		refuse(rq, 431, "Request Header Fields Too Large");
	text = header(rq, "Content-Length");
	if (text && strtoull(text, NULL, 10) > h->setup.cfg->max_body)
		refuse(rq, 413, "Request body too large");
	if (!rq->route)
		refuse(rq, 404, "Not Found");
	else if (!(rq->route->methods & needs[rq->method]))
		refuse(rq, 405, "Method Not Allowed");
	text = header(rq, "Content-Encoding");
	if (rq->method == METHOD_POST &&
	    (!is_json(header(rq, "Content-Type")) || (text && strcasecmp(text, "identity") != 0)))
		refuse(rq, 415, "Unsupported Media Type: application/json is expected");
}

/*
 * First call for a request.  A refusal is sent at once where the client waits for leave to send
 * its body or the body is too large to be worth reading; otherwise the body is read and dropped
 * first, so that the client sees the answer and the connection can be used again.
 */
static enum MHD_Result begin(struct http_req *rq, const char *url, const char *method)
{
	const char *expect;

	rq->begun = true;
	judge_headers(rq, url, method);
	expect = header(rq, "Expect");
	if (rq->error != 413 && !(rq->error && expect))
		return MHD_YES;
	if (!stop_receiving(rq))
		return MHD_NO;
	http_reply_detail(rq, rq->error, "%s", rq->error_text);
	return send_response(rq);
}

static void drop_body(struct http_req *rq)
{
	__atomic_sub_fetch(&rq->http->body_bytes, rq->cap, __ATOMIC_RELAXED);
	free(rq->body);
	rq->body = NULL;
	rq->len = rq->cap = 0;
}

/* Room for @size more bytes and a NUL. */
static bool grow_body(struct http_req *rq, size_t size)
{
	struct http *h = rq->http;
	size_t cap = rq->cap ? rq->cap : FIRST_BODY_BYTES;
	char *p;

	while (cap < rq->len + size + 1)
		cap *= 2;
	if (cap == rq->cap)
		return true;
	if (__atomic_add_fetch(&h->body_bytes, cap - rq->cap, __ATOMIC_RELAXED) > h->body_budget) {
		__atomic_sub_fetch(&h->body_bytes, cap - rq->cap, __ATOMIC_RELAXED);
		return false;
	}
	p = realloc(rq->body, cap);
	if (!p) {
		__atomic_sub_fetch(&h->body_bytes, cap - rq->cap, __ATOMIC_RELAXED);
		return false;
	}
	rq->body = p;
	rq->cap = cap;
	return true;
}

static enum MHD_Result receive(struct http_req *rq, const char *data, size_t size)
{
	size_t max = rq->http->setup.cfg->max_body;

	if (!rq->error && size > max - rq->len)
		refuse(rq, 413, "Request body too large");
	if (!rq->error && !grow_body(rq, size))
		refuse(rq, 503, "Too many large requests at once");
	if (!rq->error) {
		memcpy(rq->body + rq->len, data, size);
		rq->len += size;
		rq->body[rq->len] = 0;
		return MHD_YES;
	}
	drop_body(rq);
	rq->dropped += size;
	if (rq->dropped <= 2 * (uint64_t)max)
		return MHD_YES;
	/* Chunked and without an end. */
	if (stop_receiving(rq)) {
		raw_answer(rq, 413, "Content Too Large", "Request body too large");
		count(rq, 413);
	}
	return MHD_NO;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *size, void **con_cls)
{
	struct http_req *rq = *con_cls;

	(void)cls;
	(void)conn;
	(void)version;
	if (!rq)
		return MHD_NO; /* on_uri() had no memory */
	if (!rq->begun)
		return begin(rq, url, method);
	if (*size) {
		size_t n = *size;

		*size = 0;
		return receive(rq, data, n);
	}
	if (!rq->complete) {
		rq->complete = true;
		if (!stop_receiving(rq))
			return MHD_NO;
		if (rq->error)
			http_reply_detail(rq, rq->error, "%s", rq->error_text);
		else
			rq->route->handle(rq);
		if (rq->finish)
			return MHD_YES; /* suspended */
	} else if (rq->finish) {
		void (*finish)(struct http_req *, void *) = rq->finish;

		rq->finish = NULL;
		finish(rq, rq->finish_arg);
	}
	return send_response(rq);
}

/* The request line is there: from now on the client's time runs. */
static void *on_uri(void *cls, const char *uri, struct MHD_Connection *conn)
{
	struct http *h = cls;
	struct http_req *rq = calloc(1, sizeof(*rq));
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);

	(void)uri;
	if (!rq || !info) {
		free(rq);
		return NULL;
	}
	rq->http = h;
	rq->conn = conn;
	rq->fd = info->connect_fd;
	rq->start_ns = now_ns();
	rq->method = METHOD_OTHER;
	__atomic_add_fetch(&h->active, 1, __ATOMIC_RELAXED);
	start_receiving(rq);
	return rq;
}

static void on_completed(void *cls, struct MHD_Connection *conn, void **con_cls,
			 enum MHD_RequestTerminationCode why)
{
	struct http_req *rq = *con_cls;
	struct http *h = cls;

	(void)conn;
	if (!rq)
		return;
	*con_cls = NULL;
	if (!stop_receiving(rq))
		count(rq, 408); /* here, for route and method are this thread's */
	else if (why != MHD_REQUEST_TERMINATED_COMPLETED_OK)
		log_debug("a client went away before its answer");
	if (rq->response)
		MHD_destroy_response(rq->response);
	drop_body(rq);
	free(rq);
	__atomic_sub_fetch(&h->active, 1, __ATOMIC_RELAXED);
}

/* -------------------------------------------------------------- start, stop */

static int listen_on(const struct config *cfg, uint16_t *port, char *error)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC,
				 .ai_socktype = SOCK_STREAM,
				 .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *ai = NULL;
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	char service[8];
	int fd = -1, one = 1, r;

	snprintf(service, sizeof(service), "%u", cfg->port);
	r = getaddrinfo(cfg->host, service, &hints, &ai);
	if (r) {
		snprintf(error, CONFIG_ERROR_MAX, "SIDECAR_HOST=%s: %s", cfg->host,
			 gai_strerror(r));
		return -EINVAL;
	}
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) || listen(fd, 1024) ||
	    getsockname(fd, (struct sockaddr *)&ss, &len)) {
		r = -errno;
		snprintf(error, CONFIG_ERROR_MAX, "cannot listen on %s port %u: %s", cfg->host,
			 cfg->port, strerror(-r));
		if (fd >= 0)
			close(fd);
		freeaddrinfo(ai);
		return r;
	}
	freeaddrinfo(ai);
	*port = ntohs(ss.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&ss)->sin6_port
					       : ((struct sockaddr_in *)&ss)->sin_port);
	return fd;
}

static void on_log(void *cls, const char *fmt, va_list ap)
{
	char text[512];

	(void)cls;
	vsnprintf(text, sizeof(text), fmt, ap);
	log_debug("http: %s", text);
}

static struct MHD_Daemon *start_daemon(struct http *h, int fd)
{
	const struct config *cfg = h->setup.cfg;
	unsigned int idle = cfg->request_timeout_ms / 1000 + 5;
	struct MHD_OptionItem pool[] = {
	    /* libmicrohttpd knows one thread only as "no pool" */
	    {cfg->workers > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END,
	     (intptr_t)cfg->workers, NULL},
	    {MHD_OPTION_END, 0, NULL},
	};

	return MHD_start_daemon(
	    MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL,
	    NULL, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET,
	    fd, MHD_OPTION_URI_LOG_CALLBACK, on_uri, h, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
	    h, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
	    MHD_OPTION_CONNECTION_LIMIT, (unsigned int)MAX_CONNECTIONS,
	    MHD_OPTION_CONNECTION_TIMEOUT, idle > IDLE_SECONDS ? idle : IDLE_SECONDS,
	    MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY, pool, MHD_OPTION_END);
}

int http_start(const struct http_setup *setup, struct http **out, uint16_t *port,
	       char error[CONFIG_ERROR_MAX])
{
	struct http *h = calloc(1, sizeof(*h));
	pthread_condattr_t monotonic;
	int fd, r;

	if (!h)
		return -ENOMEM;
	h->setup = *setup;
	h->quiesced = MHD_INVALID_SOCKET;
	while (setup->routes[h->n_routes].path)
		h->n_routes++;
	h->body_budget =
	    BODIES_BYTES > 2ull * setup->cfg->max_body ? BODIES_BYTES : 2ull * setup->cfg->max_body;
	pthread_mutex_init(&h->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&h->cond, &monotonic);
	pthread_condattr_destroy(&monotonic);
	fd = listen_on(setup->cfg, port, error);
	if (fd < 0) {
		r = fd;
		goto err_free;
	}
	r = -pthread_create(&h->watcher, NULL, watcher_thread, h);
	if (r) {
		snprintf(error, CONFIG_ERROR_MAX, "cannot start a thread: %s", strerror(-r));
		goto err_close;
	}
	h->daemon = start_daemon(h, fd);
	if (!h->daemon) {
		snprintf(error, CONFIG_ERROR_MAX, "libmicrohttpd cannot start %u threads",
			 setup->cfg->workers);
		r = -EAGAIN;
		goto err_watcher;
	}
	*out = h;
	return 0;

err_watcher:
	pthread_mutex_lock(&h->lock);
	h->stop = true;
	pthread_cond_signal(&h->cond);
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->watcher, NULL);
err_close:
	close(fd);
err_free:
	pthread_cond_destroy(&h->cond);
	pthread_mutex_destroy(&h->lock);
	free(h);
	return r;
}

void http_quiesce(struct http *h)
{
	__atomic_store_n(&h->closing, true, __ATOMIC_RELAXED);
	h->quiesced = MHD_quiesce_daemon(h->daemon);
	/* A thread may still be in accept(): the number stays taken until all of them have ended. */
	if (h->quiesced != MHD_INVALID_SOCKET)
		shutdown(h->quiesced, SHUT_RDWR);
}

unsigned int http_active(struct http *h)
{
	return __atomic_load_n(&h->active, __ATOMIC_RELAXED);
}

void http_stop(struct http *h)
{
	if (!h)
		return;
	MHD_stop_daemon(h->daemon);
	if (h->quiesced != MHD_INVALID_SOCKET)
		close(h->quiesced);
	pthread_mutex_lock(&h->lock);
	h->stop = true;
	pthread_cond_signal(&h->cond);
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->watcher, NULL);
	pthread_cond_destroy(&h->cond);
	pthread_mutex_destroy(&h->lock);
	free(h);
}
