/* call: the only ways from C into Lua. The text of an error always reaches the caller, whole. */
#pragma once

#include "lua/state.h"

/* Puts the traceback handler into a new state; raises when out of memory. */
void sl_lua_call_setup(lua_State *L);

/* Calls the function below `nargs` arguments, as lua_pcall does, with a traceback handler. On error
 * the stack is as if function and arguments had been popped, and err->text says what happened:
 * first line the message, then the traceback. Takes no memory itself, so that it may stand outside
 * protected code. Returns 0 or -EFAULT (script), -ENOMEM. */
int sl_lua_call(lua_State *L, int nargs, int nresults, struct sl_err *err);

/* Runs a C function that may raise, with `arg` as its only argument (light userdata). */
int sl_lua_enter(lua_State *L, lua_CFunction fn, void *arg, struct sl_err *err);

/* Resumes `thread` with `nargs` arguments on it. Returns 0 when the function returned (results are
 * on the thread), LUA_YIELD when it yielded, -EFAULT on an error (err filled; the thread is dead
 * and may only be dropped). */
int sl_lua_resume(lua_State *L, lua_State *thread, int nargs, struct sl_err *err);

/* The message without its traceback: length of the first line of an error text. */
int sl_lua_message_length(const char *text);
