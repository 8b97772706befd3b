#include "bind/bind.h"

#include "lua/call.h"

#include <errno.h>
#include <string.h>

/* Stands before every function of the API: upvalue 1 is the row, upvalue 2 the prefix. */
static int checked_call(lua_State *L)
{
	const struct sl_method *row = lua_touserdata(L, lua_upvalueindex(1));
	const struct sl_bag *bag = &sl_state_of(L)->bag;

	if (row->where != SL_IN_ANY && !(row->where & bag->where))
		return luaL_error(L, "%s%s: not available %s%s",
				  lua_tostring(L, lua_upvalueindex(2)), row->name,
				  bag->callout ? "in " : "outside callouts",
				  bag->callout ? bag->callout : "");
	return row->fn(L);
}

void sl_bind_methods(lua_State *L, const char *prefix, const struct sl_method *rows)
{
	for (const struct sl_method *row = rows; row->name; row++) {
		lua_pushlightuserdata(L, (void *)row);
		lua_pushstring(L, prefix);
		lua_pushcclosure(L, checked_call, 2);
		lua_setfield(L, -2, row->name);
	}
}

void sl_bind_constants(lua_State *L, const struct sl_constant *rows)
{
	for (const struct sl_constant *row = rows; row->name; row++) {
		lua_pushinteger(L, row->value);
		lua_setfield(L, -2, row->name);
	}
}

/* `require "msys.core"` and its like return the table that is there already. */
static void set_loaded(lua_State *L, const char *name, int idx)
{
	lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
	lua_pushvalue(L, idx);
	lua_setfield(L, -2, name);
	lua_pop(L, 1);
}

/* The packages that add methods to a class: here the methods are always there, and requiring the
 * package gives their table. */
static void set_extension(lua_State *L, const char *package, const char *class_name)
{
	luaL_getmetatable(L, class_name);
	set_loaded(L, package, lua_gettop(L));
	lua_getfield(L, -2, "extended");
	lua_insert(L, -2);
	lua_setfield(L, -2, strrchr(package, '.') + 1);
	lua_pop(L, 1);
}

static int bind_all(lua_State *L)
{
	sl_bind_ec_string(L);
	sl_bind_vctx(L);
	sl_bind_accept(L);
	sl_bind_message(L);
	lua_settop(L, 0);

	lua_newtable(L);
	sl_bind_msys(L);
	sl_bind_time(L);
	lua_newtable(L);
	sl_bind_core(L);
	set_loaded(L, "msys.core", 2);
	lua_setfield(L, 1, "core");
	lua_newtable(L);
	lua_setfield(L, 1, "extended");
	set_extension(L, "msys.extended.message", SL_CLASS_MESSAGE);
	set_extension(L, "msys.extended.vctx", SL_CLASS_VCTX);
	set_extension(L, "msys.extended.ac", SL_CLASS_ACCEPT);
	set_loaded(L, "msys", 1);
	lua_setglobal(L, "msys");
	return 0;
}

int sl_bind_api(struct sl_state *state, struct sl_err *err)
{
	return sl_lua_enter(state->L, bind_all, NULL, err);
}

struct sl_session *sl_bind_session(lua_State *L)
{
	struct sl_session *session = sl_state_of(L)->bag.session;

	if (!session)
		luaL_error(L, "there is no connection here");
	return session;
}

struct sl_dict *sl_bind_dict(lua_State *L, int idx, struct sl_session *session,
			     struct sl_view *view)
{
	lua_Integer type = luaL_checkinteger(L, idx);

	if (type == 0)
		return &session->conn;
	if (type != 1)
		luaL_argerror(L, idx, "VCTX_CONN or VCTX_MESS expected");
	return view ? view->ctx : &session->mess;
}

const char *sl_bind_text(lua_State *L, int idx)
{
	const char *text;
	size_t len;

	if (lua_isboolean(L, idx))
		return lua_toboolean(L, idx) ? "true" : "false";
	text = luaL_checklstring(L, idx, &len);
	if (strlen(text) != len)
		luaL_argerror(L, idx, "the string has a NUL byte inside");
	return text;
}
