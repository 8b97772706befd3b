#include "lua/call.h"

#include <errno.h>
#include <string.h>

/* Turns the error value at index 1 into text with a traceback of the thread at index 2 (nil: this
 * one). Anything may be thrown; what is no string is named by its type, as the stand-alone
 * interpreter does. */
static int describe(lua_State *L)
{
	lua_State *thread = lua_isthread(L, 2) ? lua_tothread(L, 2) : L;
	const char *message = lua_tostring(L, 1);

	if (!message)
		message = lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
	luaL_traceback(L, thread, message, thread == L ? 1 : 0);
	return 1;
}

/* Address of this is the registry key of the handler. */
static const char describe_key;

void sl_lua_call_setup(lua_State *L)
{
	lua_pushlightuserdata(L, (void *)&describe_key);
	lua_pushcfunction(L, describe);
	lua_rawset(L, LUA_REGISTRYINDEX);
}

/* Copies the text at the top of the stack, which may be anything after a failed handler. */
static int take_error(lua_State *L, int status, struct sl_err *err)
{
	const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
	int code = status == LUA_ERRMEM ? -ENOMEM : -EFAULT;

	sl_fail(err, code, "%s",
		status == LUA_ERRMEM ? "not enough memory (memory_limit)"
		: text		     ? text
				     : "error without a text");
	lua_pop(L, 1);
	return code;
}

int sl_lua_call(lua_State *L, int nargs, int nresults, struct sl_err *err)
{
	int base = lua_gettop(L) - nargs;
	int status;

	lua_pushlightuserdata(L, (void *)&describe_key);
	lua_rawget(L, LUA_REGISTRYINDEX);
	lua_insert(L, base);
	status = lua_pcall(L, nargs, nresults, base);
	lua_remove(L, base);
	return status == 0 ? 0 : take_error(L, status, err);
}

int sl_lua_enter(lua_State *L, lua_CFunction fn, void *arg, struct sl_err *err)
{
	int status = lua_cpcall(L, fn, arg);

	return status == 0 ? 0 : take_error(L, status, err);
}

struct failed_thread {
	lua_State *thread;
	struct sl_err *err;
};

/* The value thrown lies on top of the dead thread's stack. */
static int describe_thread(lua_State *L)
{
	struct failed_thread *failed = lua_touserdata(L, 1);

	lua_settop(L, 0);
	lua_pushcfunction(L, describe);
	lua_xmove(failed->thread, L, 1);
	lua_pushthread(failed->thread);
	lua_xmove(failed->thread, L, 1);
	lua_call(L, 2, 1);
	sl_fail(failed->err, -EFAULT, "%s", lua_tostring(L, -1));
	return 0;
}

int sl_lua_resume(lua_State *L, lua_State *thread, int nargs, struct sl_err *err)
{
	struct failed_thread failed = { thread, err };
	int status = lua_resume(thread, nargs);

	if (status == 0 || status == LUA_YIELD)
		return status;
	if (status == LUA_ERRMEM)
		return sl_fail(err, -ENOMEM, "not enough memory");
	if (sl_lua_enter(L, describe_thread, &failed, NULL) < 0)
		sl_fail(err, -EFAULT, "error whose text could not be made");
	return -EFAULT;
}

int sl_lua_message_length(const char *text)
{
	return (int)strcspn(text, "\n");
}
