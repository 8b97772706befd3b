/* msys.core: constants. */
#include "bind/bind.h"

static const struct sl_constant constants[] = {
	{ "VALIDATE_CONT", 0 },
	{ "VALIDATE_DONE", 1 },
	{ "VALIDATE_AGAIN", 2 },
	{ "EC_HOOK_CONT", 0 },
	{ "EC_HOOK_DONE", 1 },
	{ "EC_HOOK_RETRY", 2 },
	/* the manual does not say that the two families are equal, but scripts mix them */
	{ "VCTX_CONN", 0 },
	{ "VCTX_MESS", 1 },
	{ "ECMESS_CTX_CONN", 0 },
	{ "ECMESS_CTX_MESS", 1 },
	{ NULL, 0 },
};

void sl_bind_core(lua_State *L)
{
	sl_bind_constants(L, constants);
}
