/* child: the processes below the supervisor, and what they and it say to each other.
 *
 * Each child has a stream socket to the supervisor. The child sends one report: "R" when it is
 * ready, or "F" and the faults, a line each, before it exits. The supervisor says one thing, by
 * closing its end: finish what you have and exit. A child whose supervisor dies notices the same
 * way. */
#pragma once

#include "config/config.h"
#include "process/listen.h"

#include <sys/types.h>

enum sl_child_kind { SL_CHILD_INIT, SL_CHILD_WORKER };

struct sl_child {
	enum sl_child_kind kind;
	unsigned listener; /* a worker's: which address it serves */
	pid_t pid;	   /* 0: not running */
	int fd;		   /* the supervisor's end, -1 once closed */
	bool ready;
	int64_t started_us;
	int64_t restart_us; /* when to start it again; 0: not due */
	char *faults;	    /* what it reported before it gave up; owned */
};

/* Forks; the child never returns from here. `all` are the supervisor's children, this one among
 * them. Negative errno on failure. */
int sl_child_start(struct sl_child *child, const struct sl_child *all, unsigned count,
		   const struct sl_config *config, struct sl_listeners *listeners,
		   struct sl_err *err);

/* Reads the child's report: 1 when it is ready, 0 when it said so far nothing that counts, a
 * negative errno when it gave up (child->faults) or is gone. Blocks. */
int sl_child_wait_ready(struct sl_child *child);

/* Tells it to finish. */
void sl_child_dismiss(struct sl_child *child);

/* In the child: the two mains. They return the exit status. `fd` is the child's end. */
int sl_init_process_main(const struct sl_config *config, int fd);
int sl_worker_main(const struct sl_config *config, struct sl_listener *listener, int fd);

/* In the child: sends the report. */
void sl_child_report_ready(int fd);
void sl_child_report_faults(int fd, const struct sl_faults *faults);

/* In the child: blocks until the supervisor dismisses it or is gone. */
void sl_child_await_dismissal(int fd);
