/* block: operations that wait, without holding a Lua state while they do.
 *
 * A binding fills a blocking operation and returns sl_block(). Where the session's coroutine runs, it
 * yields; the slot is unlocked, run() is called in the session's thread, the slot is locked again,
 * push_results() makes the return values, the coroutine goes on. Elsewhere (init, a coroutine of the
 * script's own, a sort comparator) run() is called at once, with the slot held. */
#pragma once

#include "lua/state.h"

/* What an operation may rely on while it waits. */
struct sl_block_env {
	int64_t deadline_us; /* on the clock of sl_now_us; 0: none */
	/* To be called every few seconds; false when the session is gone, and with it the reason to
	 * wait. NULL: nothing to call. */
	bool (*tick)(void *arg);
	void *arg;
};

struct sl_blocking_op {
	/* Waits; returns at the deadline at the latest. May be called in any thread, never twice.
	 * Must not touch Lua. */
	void (*run)(struct sl_blocking_op *op, const struct sl_block_env *env);
	/* Pushes the results and returns how many; may raise. NULL: there are none. */
	int (*push_results)(lua_State *L, struct sl_blocking_op *op);
	/* Frees it, whether it ran or not. */
	void (*free)(struct sl_blocking_op *op);
};

/* Pushes an owner for an operation that is to be made; the collector frees what is left in it. A
 * binding does: `owner = sl_block_owner(L); *owner = new_op(...); return sl_block(L, owner);`. May
 * raise, and owns nothing then. */
struct sl_blocking_op **sl_block_owner(lua_State *L);

/* Takes the operation out of its owner; to be returned by the binding. Raises when there is none. */
int sl_block(lua_State *L, struct sl_blocking_op **owner);

/* True where sl_block() would not hold the state. */
bool sl_block_is_async(lua_State *L);

/* Sleeps for that long, until the deadline, or until the session is gone. For run(). */
void sl_block_sleep(const struct sl_block_env *env, int64_t us);

/* An operation that just sleeps; NULL when out of memory. */
struct sl_blocking_op *sl_block_new_sleep(int64_t us);
