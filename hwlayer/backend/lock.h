// SPDX-License-Identifier: MIT
/*
 * One user at a time: a lock file that holds its owner's PID.  The lock is the kernel's (flock), so
 * it ends with its owner however that dies; the file stays, and what it says counts only while it
 * is locked.
 */
#ifndef HWLAYER_BACKEND_LOCK_H
#define HWLAYER_BACKEND_LOCK_H

#include <sys/types.h>

#include <hwlayer/hwlayer.h>

struct lock {
	int fd; /* -1: not held */
};

/*
 * @what: what the sentence is about, such as "the card at 0000:01:00.0".
 * 0; -EBUSY: "WHAT is in use by PID 1234 (name)"; -EACCES, -ENOENT, ... when the file cannot be had.
 */
int lock_take(const char *path, const char *what, struct lock *lock, struct hw_error *err);
/* The lock of a card, in /run/lock or, where that cannot be written, /tmp. */
int lock_take_card(const char *bdf, struct lock *lock, struct hw_error *err);
/* The same in another folder; NULL: as above. */
int lock_take_card_in(const char *dir, const char *bdf, struct lock *lock, struct hw_error *err);
void lock_release(struct lock *lock); /* fine when it is not held */

/* Name of a process, "" when it cannot be found; printable, without quotes. */
void lock_process_name(pid_t pid, char name[16]);

/*
 * Which other process has @node open?  Looks through @proc ("/proc") at the processes that this user may look at.
 * Its number, or 0: none was found.
 */
pid_t lock_find_holder(const char *proc, const char *node, char name[16]);

#endif
