// SPDX-License-Identifier: MIT
#include "backend/lock.h"
#include "util/util.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

void lock_process_name(pid_t pid, char name[16])
{
	char path[64], *c;
	FILE *f;

	name[0] = 0;
	snprintf(path, sizeof(path), "/proc/%ld/comm", (long)pid);
	f = fopen(path, "re");
	if (!f)
		return;
	if (!fgets(name, 16, f))
		name[0] = 0;
	fclose(f);
	name[strcspn(name, "\n")] = 0;
	for (c = name; *c; c++)
		if (*c < ' ' || *c > '~' || *c == '"' || *c == '\\')
			*c = '?';
}

/*
 * Existing files are opened without O_CREAT: in a sticky directory the kernel refuses that for the
 * files of others (fs.protected_regular).  Reading is enough to lock and to learn the PID.
 */
static int open_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 && errno == EACCES)
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT) {
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
		/* Whoever comes next may be another user; the umask is not to decide that. */
		if (fd >= 0 && fchmod(fd, 0666) < 0)
			hw_log(HW_LOG_DEBUG, "%s: %s", path, strerror(errno));
	}
	return fd < 0 ? -errno : fd;
}

static int in_use(int fd, const char *what, struct hw_error *err)
{
	char text[16] = "", name[16];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	long pid = n > 0 ? strtol(text, NULL, 10) : 0;

	/* The owner has the lock before it has written its number. */
	if (pid <= 0)
		return hw_fail(err, -EBUSY, "%s is in use by another process", what);
	lock_process_name((pid_t)pid, name);
	return hw_fail(err, -EBUSY, "%s is in use by PID %ld (%s)", what, pid, name[0] ? name : "gone");
}

int lock_take(const char *path, const char *what, struct lock *lock, struct hw_error *err)
{
	char text[16];
	int fd = open_file(path), n, r;

	lock->fd = -1;
	if (fd < 0)
		return hw_fail(err, fd, "cannot open the lock file %s: %s", path, strerror(-fd));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		r = errno == EWOULDBLOCK
			    ? in_use(fd, what, err)
			    : hw_fail(err, -errno, "cannot lock %s: %s", path, strerror(errno));
		close(fd);
		return r;
	}
	/* A file that is not ours to write locks all the same; it just does not tell by whom. */
	n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n)
		hw_log(HW_LOG_DEBUG, "%s: cannot note the PID: %s", path, strerror(errno));
	lock->fd = fd;
	return 0;
}

int lock_take_card_in(const char *dir, const char *bdf, struct lock *lock, struct hw_error *err)
{
	char path[PATH_MAX], what[64];

	if (!dir)
		dir = access("/run/lock", W_OK) == 0 ? "/run/lock" : "/tmp";
	snprintf(path, sizeof(path), "%s/hailo-%s.lock", dir, bdf);
	snprintf(what, sizeof(what), "the card at %s", bdf);
	return lock_take(path, what, lock, err);
}

int lock_take_card(const char *bdf, struct lock *lock, struct hw_error *err)
{
	return lock_take_card_in(NULL, bdf, lock, err);
}

void lock_release(struct lock *lock)
{
	if (lock->fd >= 0)
		close(lock->fd);
	lock->fd = -1;
}

static bool has_open(const char *proc, const char *pid, const char *node)
{
	char path[PATH_MAX], target[PATH_MAX];
	struct dirent *e;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/%s/fd", proc, pid);
	dir = opendir(path);
	while (dir && !found && (e = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), e->d_name, target, sizeof(target) - 1);

		found = n > 0 && (size_t)n == strlen(node) && memcmp(target, node, (size_t)n) == 0;
	}
	if (dir)
		closedir(dir);
	return found;
}

pid_t lock_find_holder(const char *proc, const char *node, char name[16])
{
	DIR *dir = opendir(proc);
	struct dirent *e;
	pid_t pid = 0;

	name[0] = 0;
	while (dir && !pid && (e = readdir(dir)))
		if (isdigit((unsigned char)e->d_name[0]) && strtol(e->d_name, NULL, 10) != getpid() &&
		    has_open(proc, e->d_name, node))
			pid = (pid_t)strtol(e->d_name, NULL, 10);
	if (dir)
		closedir(dir);
	if (pid)
		lock_process_name(pid, name);
	return pid;
}
