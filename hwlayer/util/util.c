// SPDX-License-Identifier: MIT
#include "util/util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

const char *hw_version(void)
{
	return HW_VERSION;
}

uint64_t util_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int hw_fail(struct hw_error *err, int code, const char *fmt, ...)
{
	if (err) {
		va_list ap;

		err->code = code;
		va_start(ap, fmt);
		vsnprintf(err->text, sizeof(err->text), fmt, ap);
		va_end(ap);
	}
	return code;
}

int hw_fail_context(struct hw_error *err, int code, const char *fmt, ...)
{
	if (err) {
		char below[sizeof(err->text)];
		va_list ap;
		int n;

		memcpy(below, err->text, sizeof(below));
		below[sizeof(below) - 1] = 0;
		err->code = code;
		va_start(ap, fmt);
		n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
		va_end(ap);
		if (n >= 0 && (size_t)n < sizeof(err->text))
			snprintf(err->text + n, sizeof(err->text) - (size_t)n, ": %s", below);
	}
	return code;
}

static struct {
	hw_log_fn fn;
	enum hw_log_level max;
	void *user;
} sink;

void hw_log_set(hw_log_fn fn, enum hw_log_level max, void *user)
{
	sink.fn = fn;
	sink.max = max;
	sink.user = user;
}

void hw_log(enum hw_log_level level, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	if (!sink.fn || level > sink.max)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	sink.fn(level, line, sink.user);
}

int util_read_file(const char *path, size_t max, uint8_t **out, size_t *len, struct hw_error *err)
{
	struct stat st;
	uint8_t *data = NULL;
	size_t got = 0;
	int fd, r;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return hw_fail(err, -errno, "cannot open %s: %s", path, strerror(errno));
	if (fstat(fd, &st) < 0) {
		r = hw_fail(err, -errno, "cannot read %s: %s", path, strerror(errno));
		goto out_fd;
	}
	if (!S_ISREG(st.st_mode)) {
		r = hw_fail(err, S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL, "%s is not a regular file",
			    path);
		goto out_fd;
	}
	if ((uint64_t)st.st_size > max) {
		r = hw_fail(err, -EFBIG, "%s has %lld bytes, more than the %zu allowed here", path,
			    (long long)st.st_size, max);
		goto out_fd;
	}
	data = malloc((size_t)st.st_size + 1);
	if (!data) {
		r = hw_fail(err, -ENOMEM, "no memory for the %lld bytes of %s",
			    (long long)st.st_size, path);
		goto out_fd;
	}
	while (got < (size_t)st.st_size) {
		ssize_t n = read(fd, data + got, (size_t)st.st_size - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			r = hw_fail(err, -errno, "cannot read %s: %s", path, strerror(errno));
			goto out_fd;
		}
		if (n == 0)
			break;
		got += (size_t)n;
	}
	data[got] = 0; /* so that text parsers may use it as a string */
	*out = data;
	*len = got;
	data = NULL;
	r = 0;
out_fd:
	free(data);
	close(fd);
	return r;
}

int util_write_file(const char *path, const void *data, size_t len, struct hw_error *err)
{
	const uint8_t *p = data;
	char tmp[4096];
	int fd, r;

	if (snprintf(tmp, sizeof(tmp), "%s.tmp-XXXXXX", path) >= (int)sizeof(tmp))
		return hw_fail(err, -ENAMETOOLONG, "the path %s is too long", path);
	fd = mkostemp(tmp, O_CLOEXEC);
	if (fd < 0)
		return hw_fail(err, -errno, "cannot write beside %s: %s", path, strerror(errno));
	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			goto err_write;
		p += n;
		len -= (size_t)n;
	}
	if (fchmod(fd, 0644) < 0 || fsync(fd) < 0)
		goto err_write;
	close(fd);
	if (rename(tmp, path) < 0) {
		r = hw_fail(err, -errno, "cannot put %s in place: %s", path, strerror(errno));
		unlink(tmp);
		return r;
	}
	return 0;
err_write:
	r = hw_fail(err, errno ? -errno : -EIO, "cannot write %s: %s", path, strerror(errno));
	close(fd);
	unlink(tmp);
	return r;
}

#ifdef __SANITIZE_THREAD__
/*
 * TSan keeps signals that come between two calls of a thread, and makes the place for them in the
 * thread's first blocking call, unprotected: one that comes in just then is lost (seen with gcc 12,
 * SIGTERM and the daemon's first poll()).  So the main thread has it before anybody sends one.
 */
static void __attribute__((constructor)) make_place_for_signals(void)
{
	poll(NULL, 0, 0);
}
#endif
