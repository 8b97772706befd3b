/* ac: the accept construct, what a callout gets as its connection. */
#include "bind/bind.h"

void sl_bind_accept(lua_State *L)
{
	sl_handle_class(L, SL_CLASS_ACCEPT);
	lua_pop(L, 1);
}
