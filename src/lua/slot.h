/* slot: a Lua state that sessions share, and the pool of them in a worker.
 *
 * A session is pinned to one slot at its first callout and stays there. Whoever runs Lua, or touches
 * anything that belongs to the state, holds the slot's lock; nobody holds it while waiting for
 * anything but the CPU. A thread never holds two. */
#pragma once

#include "lua/guard.h"
#include "lua/state.h"

#include <pthread.h>
#include <stdatomic.h>

struct sl_slot {
	pthread_mutex_t lock;
	struct sl_state *state; /* NULL only while a lost one could not be replaced */
	unsigned generation;	/* counts the states that were lost here */
	struct sl_guard guard;
	atomic_uint sessions; /* pinned here */
};

struct sl_pool {
	struct sl_slot *slots;
	unsigned count;
};

/* Takes over `states` (an array the caller frees, of states the pool frees). NULL: out of memory,
 * the states stay the caller's. */
struct sl_pool *sl_pool_new(struct sl_state **states, unsigned count);

/* Only when no session is pinned any more. */
void sl_pool_free(struct sl_pool **pool);

/* The least loaded slot that is not stuck, with one session more; give it back with sl_slot_unpin. */
struct sl_slot *sl_pool_pin(struct sl_pool *pool);
void sl_slot_unpin(struct sl_slot *slot);

/* With the lock: gives up a state that was lost, which is not freed, and puts another in its place
 * (NULL: none could be made; the next session tries again). */
void sl_slot_replace(struct sl_slot *slot, struct sl_state *fresh);

/* How many states this process has given up. */
unsigned sl_slot_states_lost(void);

/* Locks, unless a callout holds the state until then (on the clock of sl_now_us): one that cannot be
 * stopped must not hold up others for ever. */
bool sl_slot_lock_until(struct sl_slot *slot, int64_t deadline_us);

/* Locks, unless what holds the state cannot be stopped: then it is not known when the state is free
 * again, if ever, and what it may still look at must be left alone. */
bool sl_slot_lock_unless_stuck(struct sl_slot *slot);

static inline void sl_slot_unlock(struct sl_slot *slot)
{
	pthread_mutex_unlock(&slot->lock);
}
