#include "lua/box.h"

#include <stdlib.h>

static const char box_class[] = "scriptletd:box";

void sl_box_empty(void **box)
{
	free(*box);
	*box = NULL;
}

static int collect(lua_State *L)
{
	sl_box_empty(lua_touserdata(L, 1));
	return 0;
}

void **sl_box_push(lua_State *L)
{
	void **box = lua_newuserdata(L, sizeof(*box));

	*box = NULL;
	if (luaL_newmetatable(L, box_class)) {
		lua_pushcfunction(L, collect);
		lua_setfield(L, -2, "__gc");
	}
	lua_setmetatable(L, -2);
	return box;
}
