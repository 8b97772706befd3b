/* child: the processes below the supervisor.
 *
 * Each child has a stream socket to the supervisor (process/wire.h). It reports once that it is ready,
 * or its faults before it exits. Closing the supervisor's end dismisses it: it finishes what it has
 * and exits. A child whose supervisor dies notices the same way. */
#pragma once

#include "config/config.h"
#include "metrics/metrics.h"
#include "process/listen.h"
#include "process/wire.h"

#include <sys/types.h>

enum sl_child_kind { SL_CHILD_INIT, SL_CHILD_WORKER };

/* What a child needs beside its configuration; inherited through fork. */
struct sl_child_env {
	const struct sl_config *config;
	struct sl_metrics *metrics;
	struct sl_metrics_row *row;
	struct sl_listener *listener; /* a worker's; NULL for the init process */
	int control_fd;		      /* the init process's listening socket, or -1 */
	int fd;			      /* its end of the stream */
};

struct sl_child {
	struct sl_child *next;
	enum sl_child_kind kind;
	struct sl_listener *listener; /* a worker's address */
	struct sl_metrics_row *row;
	pid_t pid; /* 0: not running */
	int fd;	   /* the supervisor's end, -1 once closed */
	struct sl_wire wire;
	bool ready;
	bool wants_reload; /* the init process asked for it */
	bool recycled;	   /* another has taken its place: it only drains */
	int64_t started_us;
	int64_t restart_us;  /* when to start it again; 0: not due */
	unsigned quick_ends; /* how often in a row it did not last */
	char *faults;	     /* what it reported before it gave up; owned; may be NULL */
};

/* Forks; the child never returns from here. `close_fds` are descriptors of the supervisor that no
 * child may keep, ended by -1; `siblings` the children of its generation, whose streams it may not
 * keep either. Negative errno on failure. */
int sl_child_start(struct sl_child *child, const struct sl_config *config,
		   struct sl_metrics *metrics, unsigned generation, int control_fd,
		   const struct sl_child *siblings, const int *close_fds, struct sl_err *err);

/* Tells it to finish. */
void sl_child_dismiss(struct sl_child *child);

/* In the child: the two mains. They return the exit status. */
int sl_init_process_main(const struct sl_child_env *env);
int sl_worker_main(const struct sl_child_env *env);

/* In the child: sends the faults, a line each. */
void sl_child_report_faults(int fd, const struct sl_faults *faults);

const char *sl_child_name(const struct sl_child *child);
