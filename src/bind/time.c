/* msys: time: waiting, and how much of it is left. */
#include "bind/bind.h"
#include "bind/tables.h"

#include "base/clock.h"
#include "lua/block.h"

/* Longest wait that is taken for meant. */
#define SECONDS_MAX 86400

static int64_t check_seconds(lua_State *L, int idx)
{
	lua_Number seconds = luaL_checknumber(L, idx);

	luaL_argcheck(L, seconds >= 0 && seconds <= SECONDS_MAX, idx, "seconds from 0 to 86400");
	return (int64_t)(seconds * 1e6);
}

/* msys.sleep(seconds) */
static int sleep_seconds(lua_State *L)
{
	int64_t us = check_seconds(L, 1);
	struct sl_blocking_op **owner = sl_block_owner(L);

	*owner = sl_block_new_sleep(us);
	return sl_block(L, owner);
}

/* msys.asyncOk() -> true where waiting holds up nobody else */
static int async_ok(lua_State *L)
{
	lua_pushboolean(L, sl_block_is_async(L));
	return 1;
}

/* msys.deadline() -> seconds left for this milter command, nil where there is no limit */
static int deadline(lua_State *L)
{
	int64_t until = sl_state_of(L)->bag.deadline_us;
	int64_t left = until - sl_now_us();

	if (until == 0)
		lua_pushnil(L);
	else
		lua_pushnumber(L, left > 0 ? (lua_Number)left / 1e6 : 0);
	return 1;
}

const struct sl_method sl_time_methods[] = {
	{ "sleep", sleep_seconds, SL_IN_ANY },
	{ "asyncOk", async_ok, SL_IN_ANY },
	{ "deadline", deadline, SL_IN_ANY },
	{ NULL, NULL, 0 },
};

void sl_bind_time(lua_State *L)
{
	sl_bind_methods(L, "msys.", sl_time_methods);
}
