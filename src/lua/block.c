#include "lua/block.h"

#include "base/clock.h"

#include <stdlib.h>

/* How long nobody is told that we are still there; an MTA waits at least ten times that. */
#define TICK_US 2000000

static const char owner_class[] = "scriptletd:blocking_op";

bool sl_block_is_async(lua_State *L)
{
	return sl_state_of(L)->bag.thread == L && lua_isyieldable(L);
}

static int collect(lua_State *L)
{
	struct sl_blocking_op **op = lua_touserdata(L, 1);

	if (*op)
		(*op)->free(*op);
	*op = NULL;
	return 0;
}

struct sl_blocking_op **sl_block_owner(lua_State *L)
{
	struct sl_blocking_op **owner = lua_newuserdata(L, sizeof(struct sl_blocking_op *));

	*owner = NULL;
	if (luaL_newmetatable(L, owner_class)) {
		lua_pushcfunction(L, collect);
		lua_setfield(L, -2, "__gc");
	}
	lua_setmetatable(L, -2);
	return owner;
}

/* With the state held: only the deadline can end it early, and then the caller has none left. */
static int run_here(lua_State *L, struct sl_blocking_op *op)
{
	struct sl_block_env env = { .deadline_us = sl_state_of(L)->bag.deadline_us };

	op->run(op, &env);
	if (env.deadline_us && sl_now_us() >= env.deadline_us)
		return luaL_error(L, "callout_timeout: the callout waited longer than it may");
	return op->push_results ? op->push_results(L, op) : 0;
}

int sl_block(lua_State *L, struct sl_blocking_op **owner)
{
	if (!*owner)
		return luaL_error(L, "out of memory");
	if (!sl_block_is_async(L))
		return run_here(L, *owner);
	sl_state_of(L)->bag.op = *owner;
	*owner = NULL;
	return lua_yield(L, 0);
}

void sl_block_sleep(const struct sl_block_env *env, int64_t us)
{
	int64_t until = sl_now_us() + us;

	if (env->deadline_us && until > env->deadline_us)
		until = env->deadline_us;
	for (;;) {
		int64_t left = until - sl_now_us();

		if (left <= 0 || (env->tick && !env->tick(env->arg)))
			return;
		sl_sleep_us(left < TICK_US ? left : TICK_US);
	}
}

struct sleep_op {
	struct sl_blocking_op op;
	int64_t us;
};

static void sleep_run(struct sl_blocking_op *op, const struct sl_block_env *env)
{
	sl_block_sleep(env, ((struct sleep_op *)op)->us);
}

static void sleep_free(struct sl_blocking_op *op)
{
	free(op);
}

struct sl_blocking_op *sl_block_new_sleep(int64_t us)
{
	struct sleep_op *op = calloc(1, sizeof(*op));

	if (!op)
		return NULL;
	op->op = (struct sl_blocking_op){ .run = sleep_run, .free = sleep_free };
	op->us = us;
	return &op->op;
}
