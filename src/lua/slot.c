#include "lua/slot.h"

#include "base/clock.h"

#include <stdlib.h>
#include <time.h>

/* How often a thread that waits for a state looks whether that makes sense. */
#define STUCK_LOOK_US 200000

struct sl_pool *sl_pool_new(struct sl_state **states, unsigned count)
{
	struct sl_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	pool->slots = calloc(count, sizeof(*pool->slots));
	if (!pool->slots) {
		free(pool);
		return NULL;
	}
	pool->count = count;
	for (unsigned i = 0; i < count; i++) {
		pthread_mutex_init(&pool->slots[i].lock, NULL);
		sl_guard_init(&pool->slots[i].guard);
		pool->slots[i].state = states[i];
	}
	return pool;
}

void sl_pool_free(struct sl_pool **pool)
{
	struct sl_pool *p = *pool;

	*pool = NULL;
	if (!p)
		return;
	for (unsigned i = 0; i < p->count; i++) {
		sl_guard_deinit(&p->slots[i].guard);
		sl_state_free(&p->slots[i].state);
		pthread_mutex_destroy(&p->slots[i].lock);
	}
	free(p->slots);
	free(p);
}

static bool is_better(const struct sl_slot *slot, const struct sl_slot *than)
{
	bool stuck = atomic_load_explicit(&slot->guard.stuck, memory_order_relaxed);

	if (stuck != atomic_load_explicit(&than->guard.stuck, memory_order_relaxed))
		return !stuck;
	return atomic_load_explicit(&slot->sessions, memory_order_relaxed) <
	       atomic_load_explicit(&than->sessions, memory_order_relaxed);
}

/* Two threads may see the same count and choose the same slot: uneven by one, never wrong. */
struct sl_slot *sl_pool_pin(struct sl_pool *pool)
{
	struct sl_slot *best = &pool->slots[0];

	for (unsigned i = 1; i < pool->count; i++)
		if (is_better(&pool->slots[i], best))
			best = &pool->slots[i];
	atomic_fetch_add_explicit(&best->sessions, 1, memory_order_relaxed);
	return best;
}

static atomic_uint states_lost;

void sl_slot_replace(struct sl_slot *slot, struct sl_state *fresh)
{
	if (slot->state) {
		slot->generation++;
		atomic_fetch_add(&states_lost, 1);
	}
	slot->state = fresh;
}

unsigned sl_slot_states_lost(void)
{
	return atomic_load(&states_lost);
}

bool sl_slot_lock_until(struct sl_slot *slot, int64_t deadline_us)
{
	struct timespec until;
	int64_t left;

	if (pthread_mutex_trylock(&slot->lock) == 0)
		return true;
	left = deadline_us - sl_now_us();
	if (left <= 0)
		return false;
	clock_gettime(CLOCK_REALTIME, &until);
	left += until.tv_nsec / 1000;
	until.tv_sec += (time_t)(left / 1000000);
	until.tv_nsec = (long)(left % 1000000) * 1000;
	return pthread_mutex_timedlock(&slot->lock, &until) == 0;
}

bool sl_slot_lock_unless_stuck(struct sl_slot *slot)
{
	while (!sl_slot_lock_until(slot, sl_now_us() + STUCK_LOOK_US))
		if (atomic_load(&slot->guard.stuck))
			return false;
	return true;
}

void sl_slot_unpin(struct sl_slot *slot)
{
	atomic_fetch_sub_explicit(&slot->sessions, 1, memory_order_relaxed);
}
