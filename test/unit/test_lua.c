#include "support.h"

#include "lua/box.h"
#include "lua/call.h"
#include "lua/handle.h"
#include "lua/slot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct sl_config *config;
static struct sl_state *state;
static lua_State *L;

static void begin(void)
{
	config = sl_config_new();
	state = sl_state_new(config);
	cr_assert_not_null(state);
	L = state->L;
}

static void end(void)
{
	sl_state_free(&state);
	sl_config_free(&config);
}

TestSuite(call, .init = begin, .fini = end);
TestSuite(handle, .init = begin, .fini = end);
TestSuite(state, .init = begin, .fini = end);

static void compile(const char *text)
{
	cr_assert_eq(luaL_loadbuffer(L, text, strlen(text), "@test.lua"), 0, "%s",
		     lua_tostring(L, -1));
}

static const struct {
	const char *text;
	const char *first_line;
} errors[] = {
	{ "error('no way')", "test.lua:1: no way" },
	{ "error('no way', 0)", "no way" },
	{ "error({})", "(error object is a table value)" },
	{ "error(nil)", "(error object is a nil value)" },
	{ "error()", "(error object is a nil value)" },
	{ "error(true)", "(error object is a boolean value)" },
	{ "error(print)", "(error object is a function value)" },
	{ "error(42, 0)", "42" },
	{ "local x = nil; x.y = 1", "test.lua:1: attempt to index local 'x' (a nil value)" },
	{ "local function f() return f() + 1 end f()", "test.lua:1: stack overflow" },
};

static void assert_described(const struct sl_err *err, unsigned row)
{
	int len = sl_lua_message_length(err->text);

	cr_assert(strncmp(err->text, errors[row].first_line, strlen(errors[row].first_line)) == 0,
		  "row %u: %.*s", row, len, err->text);
	cr_assert(strncmp(err->text + len, "\nstack traceback:", 17) == 0, "row %u: %s", row,
		  err->text);
}

Test(call, describes_every_error_with_a_traceback)
{
	lua_pushliteral(L, "below");
	for (unsigned i = 0; i < COUNT(errors); i++) {
		struct sl_err err = { 0 };

		compile(errors[i].text);
		lua_pushinteger(L, 1);
		lua_pushinteger(L, 2);
		cr_assert_eq(sl_lua_call(L, 2, 3, &err), -EFAULT, "row %u", i);
		assert_described(&err, i);
		cr_assert_eq(lua_gettop(L), 1, "row %u", i);
	}
}

Test(call, resume_describes_every_error_with_a_traceback)
{
	for (unsigned i = 0; i < COUNT(errors); i++) {
		struct sl_err err = { 0 };
		lua_State *thread = lua_newthread(L);

		compile(errors[i].text);
		lua_xmove(L, thread, 1);
		cr_assert_eq(sl_lua_resume(L, thread, 0, &err), -EFAULT, "row %u", i);
		assert_described(&err, i);
		lua_pop(L, 1);
		cr_assert_eq(lua_gettop(L), 0, "row %u", i);
	}
}

Test(call, traceback_names_the_callers)
{
	struct sl_err err;

	compile("local function inner() error('deep') end\n"
		"function outer()\n  inner()\n  return 1\nend\nouter()\nreturn 1");
	cr_assert_eq(sl_lua_call(L, 0, 0, &err), -EFAULT);
	sup_assert_has(err.text, "test.lua:1: deep");
	sup_assert_has(err.text, "test.lua:3: in function 'outer'");
}

Test(call, gives_results)
{
	struct sl_err err = { 0 };
	lua_State *thread;

	compile("local a, b = ... return a + b, 'x'");
	lua_pushinteger(L, 40);
	lua_pushinteger(L, 2);
	cr_assert_eq(sl_lua_call(L, 2, 1, &err), 0);
	cr_assert_eq(lua_gettop(L), 1);
	cr_assert_eq(lua_tointeger(L, -1), 42);
	lua_settop(L, 0);
	thread = lua_newthread(L);
	compile("coroutine.yield(1) return 7");
	lua_xmove(L, thread, 1);
	cr_assert_eq(sl_lua_resume(L, thread, 0, &err), LUA_YIELD);
	lua_settop(thread, 0);
	cr_assert_eq(sl_lua_resume(L, thread, 0, &err), 0);
	cr_assert_eq(lua_tointeger(thread, -1), 7);
}

static int raise_or_box(lua_State *inner)
{
	void **box = sl_box_push(inner);

	*box = malloc(100);
	if (lua_touserdata(inner, 1))
		return luaL_error(inner, "raised with a box");
	sl_box_empty(box);
	cr_assert_null(*box);
	sl_box_empty(box);
	return 0;
}

/* A leak here is for the sanitizer to find. */
Test(call, a_box_is_freed_when_its_owner_raises)
{
	struct sl_err err;

	cr_assert_eq(sl_lua_enter(L, raise_or_box, NULL, &err), 0);
	cr_assert_eq(sl_lua_enter(L, raise_or_box, &err, &err), -EFAULT);
	sup_assert_has(err.text, "raised with a box");
	lua_gc(L, LUA_GCCOLLECT, 0);
}

static struct sl_handle *handle;

static int check_handle(lua_State *inner)
{
	lua_getglobal(inner, "h");
	cr_assert_eq(sl_handle_check(inner, 2, "class:one", "thing"), handle);
	return 0;
}

Test(handle, dies_with_its_object)
{
	struct sl_err err;

	sl_handle_class(L, "class:one");
	lua_pop(L, 1);
	handle = sl_handle_push(L, "class:one", NULL);
	lua_setglobal(L, "h");
	handle->object = handle;
	cr_assert_eq(sl_lua_enter(L, check_handle, NULL, &err), 0);
	handle->object = NULL;
	cr_assert_eq(sl_lua_enter(L, check_handle, NULL, &err), -EFAULT);
	sup_assert_str(err.text, "this thing is no longer valid: it was kept beyond its life");
}

Test(handle, is_not_mistaken_for_another_class)
{
	static const char *const others[] = { "h = newproxy(true)", "h = 1", "h = nil", "h = {}" };
	static const char *const types[] = { "userdata", "number", "nil", "table" };
	struct sl_err err;

	sl_handle_class(L, "class:two");
	sl_handle_class(L, "class:one");
	sl_handle_push(L, "class:two", L);
	lua_setglobal(L, "h");
	cr_assert_eq(sl_lua_enter(L, check_handle, NULL, &err), -EFAULT);
	sup_assert_str(err.text, "thing expected as argument #2, got userdata");
	for (unsigned i = 0; i < COUNT(others); i++) {
		char text[80];

		compile(others[i]);
		cr_assert_eq(sl_lua_call(L, 0, 0, &err), 0);
		cr_assert_eq(sl_lua_enter(L, check_handle, NULL, &err), -EFAULT);
		snprintf(text, sizeof(text), "thing expected as argument #2, got %s", types[i]);
		sup_assert_str(err.text, text);
	}
}

Test(handle, hides_its_metatable)
{
	struct sl_err err = { 0 };

	sl_handle_class(L, "class:one");
	sl_handle_push(L, "class:one", L);
	lua_setglobal(L, "h");
	compile("assert(getmetatable(h) == 'locked') assert(not pcall(setmetatable, h, {}))\n"
		"assert(not pcall(function() h.x = 1 end)) assert(h.nosuch == nil)");
	cr_assert_eq(sl_lua_call(L, 0, 0, &err), 0, "%s", err.text);
}

Test(state, is_found_from_any_coroutine)
{
	cr_assert_eq(sl_state_of(L), state);
	cr_assert_eq(sl_state_of(lua_newthread(L)), state);
	cr_assert_eq(lua_gettop(L), 1);
}

Test(state, looks_for_modules_where_scripts_are)
{
	lua_getglobal(L, "package");
	lua_getfield(L, -1, "path");
	cr_assert(strncmp(lua_tostring(L, -1),
			  "/etc/scriptletd/scripts/?.lua;/etc/scriptletd/scripts/?/init.lua;",
			  65) == 0,
		  "%s", lua_tostring(L, -1));
}

Test(state, takes_a_module_name_once_and_only_while_loading)
{
	lua_newtable(L);
	cr_assert_eq(sl_state_add_module(state, "a", 1), 0);
	cr_assert_eq(sl_state_add_module(state, "a", 1), -EEXIST);
	cr_assert_eq(sl_state_add_module(state, "b", 1), 0);
	state->sealed = true;
	cr_assert_eq(sl_state_add_module(state, "c", 1), -EPERM);
	cr_assert_eq(state->module_count, 2);
}

Test(state, pool_pins_to_the_least_loaded)
{
	struct sl_state *states[3] = { sl_state_new(config), sl_state_new(config),
				       sl_state_new(config) };
	struct sl_pool *pool = sl_pool_new(states, 3);
	struct sl_slot *slots[6];

	for (unsigned i = 0; i < 6; i++)
		slots[i] = sl_pool_pin(pool);
	for (unsigned i = 0; i < 3; i++)
		cr_assert_eq(pool->slots[i].sessions, 2);
	sl_slot_unpin(slots[4]);
	cr_assert_eq(sl_pool_pin(pool), slots[4]);
	sl_pool_free(&pool);
	cr_assert_null(pool);
}
