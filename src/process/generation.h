/* generation: one loaded configuration with its init process and workers.
 *
 * Life: it starts its init process; when all init() succeeded, its workers; when all are ready it
 * serves, and dead children are started again; told to retire it drains: workers finish their
 * sessions, then the init process runs deinit(). Nothing here blocks; the supervisor's loop calls in
 * when something happened. */
#pragma once

#include "process/child.h"

enum sl_generation_state {
	SL_GEN_INITIALISING, /* the init process runs init() */
	SL_GEN_STARTING,     /* workers are loading the scripts */
	SL_GEN_SERVING,
	SL_GEN_DRAINING, /* workers finish */
	SL_GEN_UNDOING,	 /* the init process runs deinit() */
	SL_GEN_FAILED,	 /* could not start; its children are ending */
	SL_GEN_DEAD,	 /* no child is left */
};

struct sl_generation {
	struct sl_generation *next;
	unsigned number;
	enum sl_generation_state state;
	struct sl_config *config; /* owned */
	struct sl_listeners
		*listeners;	   /* owned; the sockets may be shared with other generations */
	struct sl_child *children; /* the first is the init process */
	struct sl_metrics *metrics;
	int control_fd;
	int64_t deadline_us;  /* for the state it is in; 0: none */
	struct sl_buf faults; /* why it failed, a line each */
	const int *close_fds; /* what no child may keep; the supervisor keeps the list current */
};

/* Takes over config and listeners. NULL: out of memory (they stay the caller's). */
struct sl_generation *sl_generation_new(unsigned number, struct sl_config *config,
					struct sl_listeners *listeners, struct sl_metrics *metrics,
					int control_fd);

/* Only when dead. */
void sl_generation_free(struct sl_generation **generation);

/* Starts the init process. */
void sl_generation_start(struct sl_generation *generation);

/* Something may have happened: takes what children say, moves on, restarts, recycles, kills what is
 * overdue. Called on every turn of the loop. */
void sl_generation_tick(struct sl_generation *generation);

/* A child process ended; true when it was one of this generation's. */
bool sl_generation_bury(struct sl_generation *generation, pid_t pid, int status);

/* Let it end: sessions may finish within drain_timeout. */
void sl_generation_retire(struct sl_generation *generation);

/* When the loop must call again at the latest, on the clock of sl_now_us; 0: no matter when. */
int64_t sl_generation_due(const struct sl_generation *generation);

/* The init process, or NULL when it is not running. */
struct sl_child *sl_generation_init_process(struct sl_generation *generation);

unsigned sl_generation_workers(const struct sl_generation *generation);
