/* metrics: numbers about the running daemon, in memory that all its processes share.
 *
 * The supervisor makes the segment before it forks; every worker writes to a row of its own, readers
 * add the rows up. Only atomics, no lock: a process may die at any instruction and leaves nothing
 * worse than a count that is one short. Rows are reused, never reset, so totals only grow. */
#pragma once

#include "base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SL_METRICS_ROWS 1024
#define SL_METRICS_MODULES 64
#define SL_METRICS_CALLOUTS 24
#define SL_METRICS_NAME 64
/* Buckets of callout times: less than 2 us, 4 us ... 2^20 us, the last one all above. */
#define SL_METRICS_BUCKETS 21
#define SL_METRICS_PHASES 7
#define SL_METRICS_CODES 600
/* Sessions a worker can show at once; more are served, and counted, but not shown. */
#define SL_METRICS_SESSIONS 1024

typedef _Atomic(uint64_t) sl_counter;

enum sl_error_kind {
	SL_ERROR_SCRIPT, /* raised by the script */
	SL_ERROR_TIME,	 /* time_limit */
	SL_ERROR_MEMORY, /* memory_limit */
	SL_ERROR_WAIT,	 /* callout_timeout, eom_timeout */
	SL_ERROR_LOST,	 /* the Lua state was given up under it */
	SL_ERROR_GONE,	 /* the client left */
	SL_ERROR_RETURN, /* returned nothing usable */
	SL_ERROR_KINDS
};

struct sl_callout_metrics {
	sl_counter calls;
	sl_counter errors;
	sl_counter us;
	sl_counter buckets[SL_METRICS_BUCKETS];
};

#define SL_METRICS_ID 28
#define SL_METRICS_CLIENT 64

/* A session as `scriptlet sessions` shows it. Written by the thread that serves it; `seq` is odd
 * while it is being written, so that a reader can tell a torn copy. */
struct sl_session_entry {
	_Atomic(uint32_t) seq;
	_Atomic(bool) used;
	_Atomic(char) id[SL_METRICS_ID];
	_Atomic(char) client[SL_METRICS_CLIENT];
	_Atomic(int64_t) started; /* epoch s */
	_Atomic(int) phase;	  /* enum sl_phase */
	_Atomic(bool) running; /* inside a callout or waiting in one; else waiting for the client */
};

struct sl_metrics_row {
	_Atomic(int) pid; /* 0: free */
	_Atomic(unsigned) generation;
	_Atomic(int64_t) heartbeat_us;
	_Atomic(int64_t) stuck_us; /* how long a callout that cannot be stopped has been running */
	sl_counter sessions;
	_Atomic(int64_t) sessions_open;
	sl_counter messages;
	sl_counter states_lost;
	sl_counter errors[SL_ERROR_KINDS];
	sl_counter observed; /* decisions of modules in observe mode */
	sl_counter replies[SL_METRICS_PHASES][SL_METRICS_CODES]; /* code 0: accepted so far */
	struct sl_callout_metrics callouts[SL_METRICS_MODULES][SL_METRICS_CALLOUTS];
	struct sl_session_entry session_list[SL_METRICS_SESSIONS];
};

struct sl_metrics {
	int64_t started;	      /* epoch s */
	_Atomic(unsigned) generation; /* the one that serves */
	_Atomic(int) log_level;
	_Atomic(bool) stopping; /* the whole daemon, not a generation only */
	sl_counter reloads_ok;
	sl_counter reloads_failed;
	sl_counter worker_restarts;
	sl_counter init_restarts;
	sl_counter recycled; /* workers that were stuck */
	/* Names of script stanzas, in the order they were first seen; written by the supervisor
	 * only, before those who use them are forked. */
	char modules[SL_METRICS_MODULES][SL_METRICS_NAME];
	struct sl_metrics_row rows[SL_METRICS_ROWS];
};

/* Makes the segment. NULL when there is no memory for it. */
struct sl_metrics *sl_metrics_new(void);

/* A free row for a child, or NULL when there is none. Supervisor only. */
struct sl_metrics_row *sl_metrics_take_row(struct sl_metrics *metrics, unsigned generation);

/* Gives the row back when the child is gone; its counts stay, its open sessions do not. */
void sl_metrics_release_row(struct sl_metrics_row *row);

/* Index of a module name, added if need be; the last index collects what has no room. Supervisor
 * only. */
unsigned sl_metrics_module(struct sl_metrics *metrics, const char *name);

/* The same for those who only look; what is not there counts with the others. */
unsigned sl_metrics_find_module(const struct sl_metrics *metrics, const char *name);

static inline void sl_count(sl_counter *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

void sl_metrics_callout(struct sl_callout_metrics *callout, int64_t us, bool error);

/* A row of the session list, NULL when all are taken. */
struct sl_session_entry *sl_metrics_session_begin(struct sl_metrics_row *row, const char *id,
						  const char *client);
void sl_metrics_session_end(struct sl_session_entry *entry);
/* The name of the client is known only after the first row was taken. */
void sl_metrics_session_client(struct sl_session_entry *entry, const char *client);
