#include "fake_clock.h"
#include "support.h"

#include "base/clock.h"
#include "lua/block.h"
#include "lua/call.h"

#include <stdlib.h>

#define SECOND 1000000

static struct sl_config *config;
static struct sl_state *state;
static lua_State *L;

/* An operation that writes down what is done to it. */
static struct {
	unsigned made;
	unsigned ran;
	unsigned freed;
	int64_t deadline_us;
} seen;

static int64_t takes_us;

static void run(struct sl_blocking_op *op, const struct sl_block_env *env)
{
	(void)op;
	seen.ran++;
	seen.deadline_us = env->deadline_us;
	sl_block_sleep(env, takes_us);
}

static int push_results(lua_State *to, struct sl_blocking_op *op)
{
	(void)op;
	lua_pushliteral(to, "one");
	lua_pushliteral(to, "two");
	return 2;
}

static void free_op(struct sl_blocking_op *op)
{
	seen.freed++;
	free(op);
}

static struct sl_blocking_op *new_op(void)
{
	struct sl_blocking_op *op = calloc(1, sizeof(*op));

	*op = (struct sl_blocking_op){ run, push_results, free_op };
	seen.made++;
	return op;
}

static int wait_binding(lua_State *from)
{
	struct sl_blocking_op **owner = sl_block_owner(from);

	*owner = new_op();
	return sl_block(from, owner);
}

static int no_memory_binding(lua_State *from)
{
	return sl_block(from, sl_block_owner(from));
}

/* It raises between making its operation and handing it over. */
static int raising_binding(lua_State *from)
{
	*sl_block_owner(from) = new_op();
	return luaL_error(from, "changed my mind");
}

static int async_binding(lua_State *from)
{
	lua_pushboolean(from, sl_block_is_async(from));
	return 1;
}

static void begin(void)
{
	config = sl_config_new();
	state = sl_state_new(config);
	cr_assert_not_null(state);
	L = state->L;
	lua_register(L, "wait", wait_binding);
	lua_register(L, "no_memory", no_memory_binding);
	lua_register(L, "raising", raising_binding);
	lua_register(L, "async", async_binding);
}

static void end(void)
{
	sl_state_free(&state);
	sl_config_free(&config);
	cr_assert_eq(seen.freed, seen.made, "%u made, %u freed", seen.made, seen.freed);
}

TestSuite(block, .init = begin, .fini = end);

static lua_State *thread_of(const char *text)
{
	lua_State *thread = lua_newthread(L);

	cr_assert_eq(luaL_loadstring(thread, text), 0, "%s", lua_tostring(thread, -1));
	return thread;
}

Test(block, without_a_coroutine_it_waits_at_once)
{
	cr_assert_eq(luaL_dostring(L, "assert(not async()) return wait()"), 0, "%s",
		     lua_tostring(L, -1));
	sup_assert_str(lua_tostring(L, -2), "one");
	sup_assert_str(lua_tostring(L, -1), "two");
	cr_assert_eq(seen.ran, 1);
	cr_assert_eq(seen.deadline_us, 0);
}

Test(block, in_the_sessions_coroutine_it_yields)
{
	lua_State *thread = thread_of("assert(async()) return wait()");
	struct sl_blocking_op *op;

	state->bag.thread = thread;
	cr_assert_eq(lua_resume(thread, 0), LUA_YIELD);
	cr_assert_eq(lua_gettop(thread), 0);
	op = state->bag.op;
	cr_assert_not_null(op);
	cr_assert_eq(seen.ran, 0);
	/* it is the caller's now: the collector must not touch it */
	lua_gc(L, LUA_GCCOLLECT, 0);
	lua_gc(L, LUA_GCCOLLECT, 0);
	cr_assert_eq(seen.freed, 0);
	op->run(op, &(struct sl_block_env){ 0 });
	cr_assert_eq(lua_resume(thread, op->push_results(thread, op)), 0);
	sup_assert_str(lua_tostring(thread, -1), "two");
	op->free(op);
}

Test(block, in_a_coroutine_of_the_scripts_own_it_waits_at_once)
{
	lua_State *thread = thread_of("return coroutine.wrap(function()\n"
				      "assert(not async()) return wait() end)()");

	state->bag.thread = thread;
	cr_assert_eq(lua_resume(thread, 0), 0, "%s", lua_tostring(thread, -1));
	sup_assert_str(lua_tostring(thread, -1), "two");
	cr_assert_null(state->bag.op);
	cr_assert_eq(seen.ran, 1);
}

Test(block, where_a_c_function_is_between_it_waits_at_once)
{
	lua_State *thread = thread_of("local t = { 2, 1 }\n"
				      "table.sort(t, function(a, b)\n"
				      "wait() return a < b end)\n"
				      "return t[1]");

	state->bag.thread = thread;
	cr_assert_eq(lua_resume(thread, 0), 0, "%s", lua_tostring(thread, -1));
	cr_assert_eq(lua_tointeger(thread, -1), 1);
	cr_assert_gt(seen.ran, 0);
}

Test(block, what_waits_with_the_state_held_ends_at_the_deadline)
{
	takes_us = 10 * SECOND;
	state->bag.deadline_us = sl_now_us() + 3 * SECOND;
	cr_assert_neq(luaL_dostring(L, "return wait()"), 0);
	sup_assert_has(lua_tostring(L, -1), "callout_timeout: ");
	cr_assert_eq(sl_now_us(), state->bag.deadline_us);
	cr_assert_eq(seen.deadline_us, state->bag.deadline_us);
	takes_us = 0;
}

Test(block, without_memory_it_raises)
{
	cr_assert_neq(luaL_dostring(L, "no_memory()"), 0);
	sup_assert_has(lua_tostring(L, -1), "out of memory");
}

Test(block, what_was_made_in_vain_is_freed)
{
	cr_assert_eq(luaL_dostring(L, "for i = 1, 10 do pcall(raising) end"), 0);
	lua_gc(L, LUA_GCCOLLECT, 0);
	lua_gc(L, LUA_GCCOLLECT, 0);
	cr_assert_eq(seen.made, 10);
	cr_assert_eq(seen.freed, 10);
	cr_assert_eq(seen.ran, 0);
}

static unsigned ticks;
static unsigned ticks_allowed;

static bool tick(void *arg)
{
	cr_assert_eq(arg, &ticks);
	return ++ticks < ticks_allowed;
}

static int64_t slept(const struct sl_block_env *env, int64_t us)
{
	int64_t start = sl_now_us();

	ticks = 0;
	sl_block_sleep(env, us);
	return sl_now_us() - start;
}

Test(block, a_sleep_lasts_as_long_as_it_should)
{
	struct sl_block_env env = { .tick = tick, .arg = &ticks };

	ticks_allowed = 1000;
	cr_assert_eq(slept(&(struct sl_block_env){ 0 }, 5 * SECOND), 5 * SECOND);
	cr_assert_eq(slept(&env, 5 * SECOND), 5 * SECOND);
	cr_assert_eq(ticks, 3, "%u ticks", ticks);
	cr_assert_eq(slept(&env, 1), 1);
	cr_assert_eq(slept(&env, 0), 0);
	cr_assert_eq(slept(&env, -5), 0);
	cr_assert_eq(ticks, 0);
}

Test(block, a_sleep_ends_at_the_deadline)
{
	struct sl_block_env env = { .deadline_us = sl_now_us() + 7 * SECOND };

	cr_assert_eq(slept(&env, 60 * SECOND), 7 * SECOND);
	cr_assert_eq(slept(&env, 60 * SECOND), 0);
}

Test(block, a_sleep_ends_when_the_session_is_gone)
{
	struct sl_block_env env = { .tick = tick, .arg = &ticks };

	ticks_allowed = 3;
	cr_assert_eq(slept(&env, 60 * SECOND), 4 * SECOND);
	cr_assert_eq(ticks, 3);
}

Test(block, the_sleeping_operation_sleeps)
{
	struct sl_blocking_op *op = sl_block_new_sleep(9 * SECOND);
	int64_t start = sl_now_us();

	op->run(op, &(struct sl_block_env){ 0 });
	cr_assert_eq(sl_now_us() - start, 9 * SECOND);
	cr_assert_null(op->push_results);
	op->free(op);
}
