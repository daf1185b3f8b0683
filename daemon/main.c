// SPDX-License-Identifier: MIT
/* hailo-inferenced: start and stop order, signals. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "api/api.h"
#include "log.h"

#define EXIT_CONFIG 2
#define DRAIN_MS 5000 /* what is in flight may take this long after SIGTERM */
#define LAST_ANSWERS_MS 1000
#define STEP_MS 5

static void usage(FILE *out)
{
	fprintf(
	    out,
	    "usage: hailo-inferenced [--help | --version | --check-config] [--mock-fault SPEC]...\n"
	    "\n"
	    "Serves inference over HTTP on a Hailo-8 or Hailo-8L, or on the chip in software.\n"
	    "\n"
	    "  --check-config  read settings and model, print the settings, open nothing\n"
	    "  --mock-fault SPEC\n"
	    "                  for tests: a fault of the chip in software, until it is opened anew\n"
	    "                  (hwctl --fault help lists them)\n"
	    "  --version       print the version\n"
	    "  --help          print this\n"
	    "\n"
	    "Settings are environment variables:\n"
	    "\n");
	config_help(out);
	fprintf(
	    out,
	    "\n"
	    "Exit status: 0 after SIGTERM or SIGINT, 1 when it cannot serve, 2 when a setting or "
	    "the model\nis wrong.\n");
}

/* What the keeper wants main() to know. */
struct verdict {
	int fd;
	pthread_mutex_t lock;
	char why[480];
};

static void model_is_unfit(const char *why, void *arg)
{
	struct verdict *v = arg;
	uint64_t one = 1;

	pthread_mutex_lock(&v->lock);
	snprintf(v->why, sizeof(v->why), "%s", why);
	pthread_mutex_unlock(&v->lock);
	if (write(v->fd, &one, sizeof(one)) < 0)
		log_error("eventfd: %s", strerror(errno));
}

static const char *current_backend(void *arg)
{
	const struct app *app = arg;

	return engine_backend(app->engine);
}

/*
 * Signals go through a handler and an eventfd.  Blocking them for a signalfd would not do: a
 * library's threads that are older than main() (OpenBLAS starts some when it is loaded) do not
 * inherit the mask, and the signal would end the process there.
 */
static int signal_fd = -1;

static void on_signal(int sig)
{
	static unsigned int taken;
	uint64_t n = (uint64_t)sig;
	int before = errno;

	/* The second one does not wait for anything. */
	if (__atomic_fetch_add(&taken, 1, __ATOMIC_RELAXED))
		_exit(EXIT_FAILURE);
	if (write(signal_fd, &n, sizeof(n)) < 0)
		_exit(EXIT_FAILURE);
	errno = before;
}

static int take_signals(void)
{
	struct sigaction act = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	signal_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (signal_fd < 0)
		return -errno;
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&act.sa_mask);
	sigaddset(&act.sa_mask, SIGTERM);
	sigaddset(&act.sa_mask, SIGINT);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGINT, &act, NULL);
	return 0;
}

/* Until a signal or the keeper's verdict; the exit status. */
static int wait_for_the_end(struct verdict *v)
{
	struct pollfd fds[] = {{.fd = signal_fd, .events = POLLIN},
			       {.fd = v->fd, .events = POLLIN}};
	uint64_t sig;

	while (poll(fds, 2, -1) < 0 && errno == EINTR)
		;
	if (fds[1].revents) {
		pthread_mutex_lock(&v->lock);
		log_error("cannot serve this model: %s", v->why);
		pthread_mutex_unlock(&v->lock);
		return EXIT_FAILURE;
	}
	if (read(signal_fd, &sig, sizeof(sig)) == (ssize_t)sizeof(sig))
		log_info("stopping (signal %u)", (unsigned int)sig);
	return 0;
}

static void wait_until_answered(struct http *http, int ms)
{
	struct timespec step = {0, STEP_MS * 1000000l};

	for (int waited = 0; http_active(http) && waited < ms; waited += STEP_MS)
		nanosleep(&step, NULL);
}

static int serve(struct app *app)
{
	struct verdict verdict = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct http_setup setup = {
	    .cfg = app->cfg,
	    .routes = api_routes,
	    .backend = current_backend,
	    .app = app,
	};
	char error[CONFIG_ERROR_MAX] = "";
	struct http *http = NULL;
	uint16_t port = 0;
	int status = EXIT_FAILURE, r;
	const char *const *endpoints;
	size_t n;

	verdict.fd = eventfd(0, EFD_CLOEXEC);
	endpoints = api_endpoints(&n);
	app->metrics = metrics_new(endpoints, n);
	if (verdict.fd < 0 || !app->metrics) {
		log_error("cannot start: %s", strerror(errno));
		goto out;
	}
	setup.metrics = app->metrics;
	r = engine_start(app->cfg, app->model, model_is_unfit, &verdict, &app->engine);
	if (r) {
		log_error("cannot start: %s", strerror(-r));
		goto out;
	}
	r = http_start(&setup, &http, &port, error);
	if (r) {
		log_error("%s", error);
		status = r == -EINVAL ? EXIT_CONFIG : EXIT_FAILURE;
		engine_stop(app->engine);
		goto out;
	}
	/* On stdout whatever the log level is: with SIDECAR_PORT=0 somebody waits for it. */
	printf("listening on %s port %u\n", app->cfg->host, port);
	fflush(stdout);
	status = wait_for_the_end(&verdict);
	http_quiesce(http);
	wait_until_answered(http, DRAIN_MS);
	engine_stop(app->engine);
	wait_until_answered(http, LAST_ANSWERS_MS);
	http_stop(http);
	log_info("stopped");
out:
	engine_free(app->engine);
	metrics_free(app->metrics);
	if (verdict.fd >= 0)
		close(verdict.fd);
	return status;
}

/* Nothing but any number of --mock-fault SPEC? */
static bool options_make_sense(int argc, char **argv)
{
	for (int i = 1; i < argc; i += 2) {
		if (strcmp(argv[i], "--mock-fault") != 0 || i + 1 == argc)
			return false;
	}
	return true;
}

static int order_faults(struct config *cfg, int argc, char **argv, char *error)
{
	int r = 0;

	for (int i = 1; i < argc && !r; i += 2)
		r = config_mock_fault(cfg, argv[i + 1], error);
	return r;
}

int main(int argc, char **argv)
{
	char error[CONFIG_ERROR_MAX] = "";
	struct config cfg;
	struct app app = {.cfg = &cfg};
	struct timespec now;
	bool check_only = false;
	int r, status;

	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		usage(stdout);
		return 0;
	}
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("hailo-inferenced %s\n", hw_version());
		return 0;
	}
	check_only = argc > 1 && strcmp(argv[1], "--check-config") == 0;
	if (!options_make_sense(argc - check_only, argv + check_only)) {
		usage(stderr);
		return EXIT_CONFIG;
	}
	if (config_read(&cfg, getenv, error) ||
	    order_faults(&cfg, argc - check_only, argv + check_only, error) ||
	    model_read(&cfg, &app.model, error)) {
		fprintf(stderr, "hailo-inferenced: %s\n", error);
		return EXIT_CONFIG;
	}
	if (check_only) {
		config_print(&cfg, stdout);
		printf("config_version=%s\n", cfg.version);
		model_free(app.model);
		return 0;
	}
	log_init(cfg.log_level);
	clock_gettime(CLOCK_REALTIME, &now);
	app.start_time = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
	app.start_ns = engine_now_ns();
	r = take_signals();
	if (r) {
		log_error("eventfd: %s", strerror(-r));
		model_free(app.model);
		return EXIT_FAILURE;
	}
	status = serve(&app);
	model_free(app.model);
	return status;
}
