/* guard: the CPU time a callout may use in Lua, enforced on code that does not cooperate.
 *
 * One watchdog thread per process looks at what runs every few milliseconds, so that a callout pays
 * for being watched with two uncontended locks and nothing else. A callout over its limit is stopped
 * in two steps. First the watchdog sets a count hook, and the next interpreted instruction raises a
 * Lua error. Machine code that LuaJIT compiled does not look at hooks: if the callout still runs a
 * moment later, its thread gets a signal, and if that finds it in LuaJIT's own text or in compiled
 * code, where nothing is locked and nothing is ours, it jumps out. The Lua state is lost then: it is
 * never touched again, not even closed. Elsewhere (libc, a C module) the signal does nothing and is
 * sent again. */
#pragma once

#include "lua/state.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>

/* One per slot: what runs there now. Between begin and end it belongs to the running thread; the
 * watchdog looks at it under `lock`. */
struct sl_guard {
	pthread_mutex_t lock;
	lua_State *L; /* NULL while nothing runs */
	pthread_t thread;
	int64_t limit_us;
	int64_t deadline_us;	/* when it must be over, on the clock of sl_now_us; 0: never */
	int64_t started_us;	/* wall clock */
	int64_t first_seen_cpu; /* CPU clock of the thread when the watchdog first saw the run */
	int64_t hooked_us;	/* when the hook was set; 0: not */
	bool seen;
	bool overdue;		  /* stopped because of the deadline, not for its CPU time */
	_Atomic(bool) stuck;	  /* it runs on, whatever was tried */
	int64_t used_us;	  /* CPU time of the run that ended last, to some ms */
	volatile int jump_wanted; /* the signal handler may jump */
	sigjmp_buf jump;
	struct sl_guard *next; /* of the watchdog's list */
};

/* Starts the watchdog thread and takes the signal it uses. Once per process, before any guard. */
int sl_guard_start(struct sl_err *err);

/* Ends the thread. For programs that come to an end in order; nothing may run guarded any more. */
void sl_guard_stop(void);

void sl_guard_init(struct sl_guard *guard);
void sl_guard_deinit(struct sl_guard *guard);

/* Runs `fn` guarded. Returns its result, or SL_GUARD_LOST when the thread jumped out of it and the
 * state of L is lost. A hook that was set is taken off again; *late_r tells whether the limit was
 * passed. `limit_us` 0: unguarded; deadline_us of the guard may be set before. */
#define SL_GUARD_LOST (-0x10057)
int sl_guard_run(struct sl_guard *guard, lua_State *L, int64_t limit_us, int (*fn)(void *arg),
		 void *arg, bool *late_r);

/* How long the oldest run has been going on that could not be stopped, in us; 0 when all is well. For
 * those who recycle the process. */
int64_t sl_guard_stuck_us(void);
