// SPDX-License-Identifier: MIT
/* hwctl mock serve: a chip in software that goes on when its users die. */
#include "hwctl/hwctl.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "mock/serve.h"

static int parse(int argc, char **argv, struct serve_options *s)
{
	const char *arch = "8";
	const struct own_option known[] = {
		{"--socket", .text = &s->socket},
		{"--log", .text = &s->log},
		{"--arch", .text = &arch},
		{"--uio", .flag = &s->driver_down},
		{0},
	};
	int r = read_options("mock serve", argc, argv, known, NULL);

	if (r != EXIT_OK)
		return r;
	if (strcmp(arch, "8") && strcmp(arch, "8l"))
		return usage_error("--arch is 8 or 8l, not '%s'", arch);
	s->chip.arch = strcmp(arch, "8l") == 0 ? MOCK_HAILO8L : MOCK_HAILO8;
	if (!s->socket)
		return usage_error("mock serve wants --socket PATH");
	if (!strchr(s->socket, '/'))
		return usage_error("--socket: '%s' needs a '/', or --device could not tell it from "
				   "mock:8l; say ./%s",
				   s->socket, s->socket);
	return EXIT_OK;
}

static int stop_fd;

static void on_signal(int number)
{
	int saved = errno;

	(void)number;
	(void)eventfd_write(stop_fd, 1);
	errno = saved;
}

int cmd_mock_serve(const struct options *opt, int argc, char **argv)
{
	struct serve_options so = {0};
	struct hw_error err = {0};
	struct serve *s = NULL;
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	int r = parse(argc, argv, &so);

	if (r != EXIT_OK)
		return r;
	stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (stop_fd < 0) {
		r = hw_fail(&err, -errno, "cannot make an eventfd: %s", strerror(errno));
		return report(opt, r, &err);
	}
	/* Not blocked and read from a signalfd: threads that libraries started would still get them. */
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	r = serve_open(&so, &s, &err);
	if (r == 0 && opt->json) {
		cJSON *o = cJSON_CreateObject();

		cJSON_AddStringToObject(o, "socket", so.socket);
		cJSON_AddNumberToObject(o, "pid", getpid());
		print_json(o);
	} else if (r == 0 && !opt->quiet) {
		printf("a Hailo-8%s in software at %s: --device mock:%s\n",
		       so.chip.arch == MOCK_HAILO8L ? "L" : "", so.socket, so.socket);
	}
	fflush(stdout);
	if (r == 0) {
		r = serve_run(s, stop_fd, &err);
		serve_close(s);
	}
	close(stop_fd);
	return r < 0 ? report(opt, r, &err) : EXIT_OK;
}
