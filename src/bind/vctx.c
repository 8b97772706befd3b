/* vctx: the validation context, the connection as a policy sees it, and the pending reply. */
#include "bind/bind.h"
#include "bind/tables.h"

#include <errno.h>

/* A vctx of another session may still be alive, but that session may be running elsewhere. */
static struct sl_session *check(lua_State *L)
{
	struct sl_session *session = sl_handle_check(L, 1, SL_CLASS_VCTX, "vctx");

	if (session != sl_bind_session(L))
		luaL_error(L, "this vctx belongs to another connection");
	return session;
}

/* vctx:get(type, key) -> string, "" when absent */
static int get(lua_State *L)
{
	struct sl_session *session = check(L);
	struct sl_dict *dict = sl_bind_dict(L, 2, session, sl_state_of(L)->bag.view);
	const char *value = sl_dict_get(dict, luaL_checkstring(L, 3));

	lua_pushstring(L, value ? value : "");
	return 1;
}

/* vctx:set(type, key, value); a nil key or value is logged and ignored, as in Momentum */
static int set(lua_State *L)
{
	struct sl_session *session = check(L);
	struct sl_dict *dict = sl_bind_dict(L, 2, session, sl_state_of(L)->bag.view);
	struct sl_log_ids ids = sl_session_ids(session);
	const char *key;
	int rc;

	if (lua_isnoneornil(L, 3) || lua_isnoneornil(L, 4)) {
		luaL_where(L, 1);
		sl_log_for(&ids, LOG_WARNING, "scriptlet",
			   "%svctx:set: attempt to set a nil key or value, ignored",
			   lua_tostring(L, -1));
		return 0;
	}
	key = sl_bind_text(L, 3);
	rc = sl_dict_set(dict, key, sl_bind_text(L, 4));
	if (rc < 0)
		return luaL_error(L, "vctx:set: %s",
				  rc == -E2BIG ? "the context is full" : "out of memory");
	return 0;
}

/* Sets the pending reply; returns false when memory ran out. */
static bool set_reply(lua_State *L, struct sl_session *session, long code, const char *text)
{
	struct sl_log_ids ids = sl_session_ids(session);
	struct sl_err note;

	if (sl_reply_set(&session->reply, code, text, &note) < 0)
		return false;
	session->reply_touched = true;
	if (note.code)
		sl_log_for(&ids, LOG_WARNING, "scriptlet", "%s: %s", sl_state_of(L)->bag.callout,
			   note.text);
	return true;
}

/* vctx:set_code(code, text); the code may be a numeric string */
static int set_code(lua_State *L)
{
	struct sl_session *session = check(L);
	lua_Number code = luaL_checknumber(L, 2);
	const char *text = lua_isnoneornil(L, 3) ? NULL : luaL_checkstring(L, 3);

	luaL_argcheck(L, code >= 0 && code <= 999999, 2, "not an SMTP reply code");
	if (!set_reply(L, session, (long)code, text))
		return luaL_error(L, "vctx:set_code: out of memory");
	return 0;
}

/* vctx:disconnect([code], [text]): the reply of this phase, after which the connection is closed.
 * An MTA closes after a 421, so other codes become that. */
static int disconnect(lua_State *L)
{
	struct sl_session *session = check(L);
	lua_Number code = luaL_optnumber(L, 2, 421);
	const char *text = lua_isnoneornil(L, 3) ? NULL : luaL_checkstring(L, 3);
	struct sl_log_ids ids = sl_session_ids(session);

	luaL_argcheck(L, code >= 0 && code <= 999999, 2, "not an SMTP reply code");
	if (!set_reply(L, session, (long)code, text))
		return luaL_error(L, "vctx:disconnect: out of memory");
	if (sl_reply_make_disconnect(&session->reply))
		sl_log_for(&ids, LOG_NOTICE, "scriptlet",
			   "%s: vctx:disconnect(%ld): an MTA closes after 421 only, using that",
			   sl_state_of(L)->bag.callout, (long)code);
	session->disconnect = true;
	return 0;
}

/* vctx:tarpit(seconds): holds the reply of this command; the script goes on. Several add up. */
static int tarpit(lua_State *L)
{
	struct sl_session *session = check(L);
	lua_Number seconds = luaL_checknumber(L, 2);

	luaL_argcheck(L, seconds >= 0 && seconds <= 86400, 2, "seconds from 0 to 86400");
	session->tarpit_us += (int64_t)(seconds * 1e6);
	return 0;
}

#define REPLY_POSSIBLE (SL_IN_SESSION & ~(SL_IN_SET_BINDING | SL_IN_ROUTING | SL_IN_DEALLOC))

const struct sl_method sl_vctx_methods[] = {
	{ "get", get, SL_IN_SESSION },
	{ "set", set, SL_IN_SESSION },
	{ "set_code", set_code, REPLY_POSSIBLE },
	{ "disconnect", disconnect, REPLY_POSSIBLE },
	{ "tarpit", tarpit, REPLY_POSSIBLE },
	{ NULL, NULL, 0 },
};

void sl_bind_vctx(lua_State *L)
{
	sl_handle_class(L, SL_CLASS_VCTX);
	sl_bind_methods(L, "vctx:", sl_vctx_methods);
	lua_pop(L, 1);
}
