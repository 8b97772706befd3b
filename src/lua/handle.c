#include "lua/handle.h"

/* `obj.name` of a class is looked up in the class alone: no field of the object is visible unless a
 * class has an __index of its own. */
void sl_handle_class(lua_State *L, const char *name)
{
	luaL_newmetatable(L, name);
	lua_pushvalue(L, -1);
	lua_setfield(L, -2, "__index");
	lua_pushstring(L, name);
	lua_setfield(L, -2, "__name");
	lua_pushliteral(L, "locked");
	lua_setfield(L, -2, "__metatable");
}

struct sl_handle *sl_handle_push(lua_State *L, const char *class_name, void *object)
{
	struct sl_handle *handle = lua_newuserdata(L, sizeof(*handle));

	handle->object = object;
	luaL_getmetatable(L, class_name);
	lua_setmetatable(L, -2);
	return handle;
}

void *sl_handle_check(lua_State *L, int idx, const char *class_name, const char *word)
{
	struct sl_handle *handle = luaL_testudata(L, idx, class_name);

	if (!handle)
		luaL_error(L, "%s expected as argument #%d, got %s", word, idx,
			   luaL_typename(L, idx));
	else if (!handle->object)
		luaL_error(L, "this %s is no longer valid: it was kept beyond its life", word);
	return handle ? handle->object : NULL;
}
