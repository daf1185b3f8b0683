// SPDX-License-Identifier: MIT
/* Lock files: one owner, named by its PID; the lock ends with its owner, not with the file. */
#include "support/support.h"

#include "backend/lock.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[4096];

static int setup(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "%s/card.lock", tmp_dir());
	return 0;
}

/* A child that holds the lock until it is killed. */
static pid_t holder(void)
{
	int fds[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct lock l;

		if (lock_take(path, "it", &l, NULL) == 0 && write(fds[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &c, 1), 1);
	close(fds[0]);
	return pid;
}

static void kill_and_reap(pid_t pid)
{
	int status;

	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void a_second_owner_is_told_whose_it_is(void **state)
{
	struct hw_error err;
	struct lock l;
	char want[80], name[16];
	pid_t pid = holder();

	(void)state;
	assert_int_equal(lock_take(path, "the card at 0000:01:00.0", &l, &err), -EBUSY);
	assert_int_equal(l.fd, -1);
	lock_process_name(getpid(), name); /* the child has its parent's */
	assert_true(name[0]);
	snprintf(want, sizeof(want), "the card at 0000:01:00.0 is in use by PID %d (%s)", (int)pid, name);
	assert_string_equal(err.text, want);
	kill_and_reap(pid);
	/* the file still names the dead one; the lock is free all the same */
	assert_ok(lock_take(path, "it", &l, &err), &err);
	lock_release(&l);
	lock_release(&l);
}

static void the_file_holds_the_pid_and_is_for_everybody(void **state)
{
	struct hw_error err;
	struct stat st;
	struct lock l;
	uint8_t *text;
	char want[16];
	mode_t old = umask(077);

	(void)state;
	unlink(path);
	spit(path, "123456789012", 12); /* longer than what comes now */
	assert_ok(lock_take(path, "it", &l, &err), &err);
	text = slurp(path, NULL);
	snprintf(want, sizeof(want), "%d\n", (int)getpid());
	assert_string_equal((char *)text, want);
	free(text);
	lock_release(&l);
	unlink(path);
	assert_ok(lock_take(path, "it", &l, &err), &err);
	umask(old);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0666);
	lock_release(&l);
}

/* The owner has locked and not written yet, or the file is not its to write. */
static void an_owner_without_a_number(void **state)
{
	struct hw_error err;
	struct lock l;
	pid_t pid = holder();

	(void)state;
	spit(path, "", 0);
	assert_int_equal(lock_take(path, "it", &l, &err), -EBUSY);
	assert_string_equal(err.text, "it is in use by another process");
	kill_and_reap(pid);
}

static void nowhere_to_write(void **state)
{
	struct hw_error err;
	struct lock l;
	char link[4200];

	(void)state;
	assert_int_equal(lock_take("/nonexistent/x.lock", "it", &l, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/x.lock"));
	/* somebody else's link in a directory that all may write to is not followed */
	snprintf(link, sizeof(link), "%s/link", tmp_dir());
	assert_int_equal(symlink("/etc/passwd", link), 0);
	assert_int_equal(lock_take(link, "it", &l, &err), -ELOOP);
}

static void a_card_has_a_lock_of_its_own(void **state)
{
	const char *dir = access("/run/lock", W_OK) == 0 ? "/run/lock" : "/tmp";
	struct lock a, b, c;
	struct hw_error err;
	char file[80];

	(void)state;
	/* addresses that no machine has */
	assert_ok(lock_take_card("ffff:fe:1e.6", &a, &err), &err);
	assert_int_equal(lock_take_card("ffff:fe:1e.6", &b, &err), -EBUSY);
	assert_non_null(strstr(err.text, "the card at ffff:fe:1e.6 is in use by PID"));
	assert_ok(lock_take_card("ffff:fe:1e.7", &c, &err), &err);
	snprintf(file, sizeof(file), "%s/hailo-ffff:fe:1e.6.lock", dir);
	assert_int_equal(unlink(file), 0);
	snprintf(file, sizeof(file), "%s/hailo-ffff:fe:1e.7.lock", dir);
	assert_int_equal(unlink(file), 0);
	lock_release(&a);
	lock_release(&c);
}

static void names_of_processes(void **state)
{
	char name[16] = "x";

	(void)state;
	lock_process_name(0, name);
	assert_string_equal(name, "");
}

/* Whoever holds a file that is no lock of ours, such as a VFIO group. */
static void holders_of_files(void **state)
{
	char node[300], name[16], want[16];
	pid_t child;
	int fd, status;

	(void)state;
	snprintf(node, sizeof(node), "%s/node", tmp_dir());
	spit(node, "x", 1);
	assert_int_equal(lock_find_holder("/proc", node, name), 0);
	assert_string_equal(name, "");
	fd = open(node, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(lock_find_holder("/proc", node, name), 0); /* that is only us */
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		pause();
		_exit(0);
	}
	assert_int_equal(lock_find_holder("/proc", node, name), child);
	lock_process_name(child, want);
	assert_string_equal(name, want);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	close(fd);
	assert_int_equal(lock_find_holder("/proc", node, name), 0);
	assert_int_equal(lock_find_holder("/nowhere", node, name), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_second_owner_is_told_whose_it_is),
		cmocka_unit_test(the_file_holds_the_pid_and_is_for_everybody),
		cmocka_unit_test(an_owner_without_a_number),
		cmocka_unit_test(nowhere_to_write),
		cmocka_unit_test(a_card_has_a_lock_of_its_own),
		cmocka_unit_test(names_of_processes),
		cmocka_unit_test(holders_of_files),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
