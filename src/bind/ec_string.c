/* ec_string: the string that scripts write into (manual: "ec_string", hooks with buffers).
 *
 * The bytes are a Lua string in the environment table of the userdata: the collector owns them, so
 * nothing leaks when a script raises. */
#include "bind/bind.h"
#include "bind/tables.h"

struct ec_string {
	size_t bound; /* 0: none */
};

/* Replaces the content by the string at the top of the stack, which is popped. `idx` absolute. */
static void store(lua_State *L, int idx)
{
	lua_getfenv(L, idx);
	lua_insert(L, -2);
	lua_rawseti(L, -2, 1);
	lua_pop(L, 1);
}

void sl_ec_string_push(lua_State *L, const char *data, size_t len, size_t bound)
{
	struct ec_string *string = lua_newuserdata(L, sizeof(*string));

	string->bound = bound;
	lua_createtable(L, 1, 0);
	lua_setfenv(L, -2);
	luaL_getmetatable(L, SL_CLASS_EC_STRING);
	lua_setmetatable(L, -2);
	lua_pushlstring(L, data, len);
	store(L, lua_gettop(L) - 1);
}

const char *sl_ec_string_get(lua_State *L, int idx, size_t *len_r)
{
	const char *data;

	if (!luaL_testudata(L, idx, SL_CLASS_EC_STRING))
		return NULL;
	lua_getfenv(L, idx);
	lua_rawgeti(L, -1, 1);
	data = lua_tolstring(L, -1, len_r);
	lua_pop(L, 2);
	return data;
}

static struct ec_string *check(lua_State *L)
{
	return luaL_checkudata(L, 1, SL_CLASS_EC_STRING);
}

/* Pushes the content of the ec_string at 1. */
static void push_content(lua_State *L)
{
	lua_getfenv(L, 1);
	lua_rawgeti(L, -1, 1);
	lua_remove(L, -2);
}

/* str:set(text) */
static int set(lua_State *L)
{
	struct ec_string *string = check(L);
	size_t len;
	const char *text = luaL_checklstring(L, 2, &len);

	if (string->bound && len > string->bound)
		lua_pushlstring(L, text, string->bound);
	else
		lua_pushvalue(L, 2);
	store(L, 1);
	return 0;
}

/* str:write(text, [length]): appends that much of text */
static int write(lua_State *L)
{
	struct ec_string *string = check(L);
	size_t len;
	const char *text = luaL_checklstring(L, 2, &len);
	lua_Integer wanted = luaL_optinteger(L, 3, (lua_Integer)len);
	size_t have;

	luaL_argcheck(L, wanted >= 0 && (size_t)wanted <= len, 3, "longer than the text");
	push_content(L);
	have = lua_objlen(L, -1);
	len = (size_t)wanted;
	if (string->bound && have + len > string->bound)
		len = string->bound - have;
	lua_pushlstring(L, text, len);
	lua_concat(L, 2);
	store(L, 1);
	return 0;
}

static int to_string(lua_State *L)
{
	check(L);
	push_content(L);
	return 1;
}

static int length(lua_State *L)
{
	check(L);
	push_content(L);
	lua_pushinteger(L, (lua_Integer)lua_objlen(L, -1));
	return 1;
}

/* Either side may be the ec_string. */
static int concat(lua_State *L)
{
	for (int i = 1; i <= 2; i++) {
		size_t len;
		const char *data = sl_ec_string_get(L, i, &len);

		if (!data)
			continue;
		lua_pushlstring(L, data, len);
		lua_replace(L, i);
	}
	luaL_checkstring(L, 1);
	luaL_checkstring(L, 2);
	lua_settop(L, 2);
	lua_concat(L, 2);
	return 1;
}

/* str:match(...) and its like: the function of `string` with the content as first argument. */
static int string_method(lua_State *L)
{
	check(L);
	push_content(L);
	lua_replace(L, 1);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
	return lua_gettop(L);
}

/* Upvalue 1 is the class: its methods first, then those of Lua strings. */
static int index_string(lua_State *L)
{
	lua_pushvalue(L, 2);
	lua_rawget(L, lua_upvalueindex(1));
	if (!lua_isnil(L, -1))
		return 1;
	lua_getglobal(L, "string");
	lua_pushvalue(L, 2);
	lua_gettable(L, -2);
	if (lua_isfunction(L, -1))
		lua_pushcclosure(L, string_method, 1);
	return 1;
}

const struct sl_method sl_ec_string_methods[] = {
	{ "set", set, SL_IN_ANY },
	{ "write", write, SL_IN_ANY },
	{ NULL, NULL, 0 },
};

void sl_bind_ec_string(lua_State *L)
{
	sl_handle_class(L, SL_CLASS_EC_STRING);
	sl_bind_methods(L, "ec_string:", sl_ec_string_methods);
	lua_pushvalue(L, -1);
	lua_pushcclosure(L, index_string, 1);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, to_string);
	lua_setfield(L, -2, "__tostring");
	lua_pushcfunction(L, length);
	lua_setfield(L, -2, "__len");
	lua_pushcfunction(L, concat);
	lua_setfield(L, -2, "__concat");
	lua_pop(L, 1);
}
