/* msys: registration, macros, and the global print. */
#include "bind/bind.h"
#include "bind/tables.h"

#include <errno.h>
#include <string.h>

/* msys.registerModule(name, table) */
static int register_module(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	int rc;

	luaL_checktype(L, 2, LUA_TTABLE);
	rc = sl_state_add_module(sl_state_of(L), name, 2);
	if (rc == -EEXIST)
		return luaL_error(L, "msys.registerModule: the module name '%s' is taken", name);
	if (rc == -EPERM)
		return luaL_error(L, "msys.registerModule: modules are registered while scripts "
				     "are loaded, not later");
	return rc < 0 ? luaL_error(L, "msys.registerModule: out of memory") : 0;
}

/* Value of the macro namespace:key, NULL when unknown. */
static const char *macro_value(const struct sl_bag *bag, const char *space, size_t space_len,
			       const char *key)
{
	struct sl_session *session = bag->session;

	if (!session)
		return NULL;
	if (space_len == 9 && memcmp(space, "vctx_conn", 9) == 0)
		return sl_dict_get(&session->conn, key);
	if (space_len == 9 && memcmp(space, "vctx_mess", 9) == 0)
		return sl_dict_get(bag->view ? bag->view->ctx : &session->mess, key);
	return NULL;
}

/* msys.expandMacro(text): every %{namespace:key} replaced by its value, unknown ones by nothing. */
static int expand_macro(lua_State *L)
{
	size_t len;
	const char *text = luaL_checklstring(L, 1, &len);
	const char *end = text + len;
	const struct sl_bag *bag = &sl_state_of(L)->bag;
	luaL_Buffer out;

	luaL_buffinit(L, &out);
	while (text < end) {
		const char *start = memchr(text, '%', (size_t)(end - text));
		const char *close;
		const char *colon;
		char key[256];

		if (!start) {
			luaL_addlstring(&out, text, (size_t)(end - text));
			break;
		}
		luaL_addlstring(&out, text, (size_t)(start - text));
		close = start + 1 < end && start[1] == '{'
				? memchr(start, '}', (size_t)(end - start))
				: NULL;
		if (!close) {
			luaL_addchar(&out, '%');
			text = start + 1;
			continue;
		}
		colon = memchr(start, ':', (size_t)(close - start));
		if (colon && (size_t)(close - colon) <= sizeof(key)) {
			const char *value;

			memcpy(key, colon + 1, (size_t)(close - colon - 1));
			key[close - colon - 1] = '\0';
			value = macro_value(bag, start + 2, (size_t)(colon - start - 2), key);
			if (value)
				luaL_addstring(&out, value);
		}
		text = close + 1;
	}
	luaL_pushresult(&out);
	return 1;
}

/* print(...): one line of the log, arguments separated by tabs as the stock print does. */
static int print(lua_State *L)
{
	const struct sl_session *session = sl_state_of(L)->bag.session;
	struct sl_log_ids ids = session ? sl_session_ids(session)
					: (struct sl_log_ids){ NULL, NULL };
	int count = lua_gettop(L);
	const char *line;
	size_t len;

	luaL_checkstack(L, 2 * count + 3, "too many arguments");
	lua_getglobal(L, "tostring");
	for (int i = 1; i <= count; i++) {
		if (i > 1)
			lua_pushliteral(L, "\t");
		lua_pushvalue(L, count + 1);
		lua_pushvalue(L, i);
		lua_call(L, 1, 1);
		if (!lua_isstring(L, -1))
			return luaL_error(L, "'tostring' must return a string to 'print'");
	}
	lua_concat(L, count ? 2 * count - 1 : 0);
	line = lua_tolstring(L, -1, &len);
	sl_log_print(&ids, "scriptlet", line, len);
	return 0;
}

const struct sl_method sl_msys_methods[] = {
	{ "registerModule", register_module, SL_IN_ANY },
	{ "expandMacro", expand_macro, SL_IN_ANY },
	{ NULL, NULL, 0 },
};

const struct sl_method sl_global_methods[] = {
	{ "print", print, SL_IN_ANY },
	{ NULL, NULL, 0 },
};

void sl_bind_msys(lua_State *L)
{
	sl_bind_methods(L, "msys.", sl_msys_methods);
	lua_pushvalue(L, LUA_GLOBALSINDEX);
	sl_bind_methods(L, "", sl_global_methods);
	lua_pop(L, 1);
}
