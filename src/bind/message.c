/* msg: the message as a policy sees it: identity, envelope, header, context. */
#include "bind/bind.h"
#include "bind/tables.h"
#include "lua/box.h"
#include "mail/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct sl_view *check(lua_State *L)
{
	struct sl_view *view = sl_handle_check(L, 1, SL_CLASS_MESSAGE, "msg");

	if (view->msg->session != sl_bind_session(L))
		luaL_error(L, "this msg belongs to another connection");
	return view;
}

static unsigned where(lua_State *L)
{
	return sl_state_of(L)->bag.where;
}

static void need_grant(lua_State *L, const struct sl_view *view, unsigned grant, const char *what)
{
	if ((view->msg->session->granted & grant) != grant)
		luaL_error(L, "the MTA did not grant this milter to %s", what);
}

/* What both envelope setters accept; the path is the caller's to keep. */
static void parse_address(lua_State *L, int idx, struct sl_path *path)
{
	struct sl_err err;
	int rc = sl_path_parse(sl_bind_text(L, idx), path, &err);

	if (rc < 0)
		luaL_argerror(L, idx, err.text);
	if (!sl_path_is_clean(path)) {
		sl_path_deinit(path);
		luaL_argerror(L, idx, "not an address");
	}
}

/* msg:mailfrom([address]) -> bare address, "" for the null sender */
static int mailfrom(lua_State *L)
{
	struct sl_view *view = check(L);

	if (!lua_isnoneornil(L, 2)) {
		struct sl_path path;

		if (!(where(L) & (SL_IN_RCPTTO | SL_IN_MESSAGE)))
			return luaL_error(L, "msg:mailfrom: the sender cannot be changed in %s",
					  sl_state_of(L)->bag.callout);
		need_grant(L, view, SL_GRANT_CHANGE_FROM, "change the sender");
		parse_address(L, 2, &path);
		sl_path_deinit(&view->sender);
		view->sender = path;
	}
	lua_pushstring(L, sl_path_addr(&view->sender));
	return 1;
}

/* The recipient a view stands for: its own, while RCPT is decided that one, else the first. */
static const struct sl_path *recipient(lua_State *L, const struct sl_view *view)
{
	const struct sl_message *msg = view->msg;

	if (view->rcpt)
		return &view->to;
	if (msg->rcpt_count == 0)
		return NULL;
	return &msg->rcpts[where(L) & SL_IN_RCPTTO ? msg->rcpt_count - 1 : 0].path;
}

/* msg:rcptto([address]) -> bare address */
static int rcptto(lua_State *L)
{
	struct sl_view *view = check(L);
	const struct sl_path *path;

	if (!lua_isnoneornil(L, 2)) {
		struct sl_path changed;

		if (!view->rcpt || !(where(L) & SL_IN_EACH_RCPT))
			return luaL_error(L, "msg:rcptto: the recipient can be changed in "
					     "validate_data_spool_each_rcpt only");
		need_grant(L, view, SL_GRANT_ADD_RCPT | SL_GRANT_DEL_RCPT, "change recipients");
		parse_address(L, 2, &changed);
		if (!changed.addr)
			return luaL_argerror(L, 2, "a recipient cannot be empty");
		sl_path_deinit(&view->to);
		view->to = changed;
	}
	path = recipient(L, view);
	lua_pushstring(L, path ? sl_path_addr(path) : "");
	return 1;
}

/* RFC 5322, section 2.2: printable ASCII but for the colon. */
static const char *check_header_name(lua_State *L, int idx)
{
	const char *name = sl_bind_text(L, idx);

	for (const char *p = name; *p; p++)
		if (*p < 33 || *p > 126 || *p == ':')
			luaL_argerror(L, idx, "not a header name");
	if (!*name || strlen(name) > 998)
		luaL_argerror(L, idx, "not a header name");
	return name;
}

static int get_header(lua_State *L, const struct sl_view *view, const char *name)
{
	const struct sl_header *header;
	unsigned pos = 0;
	int count = 0;
	void **box = sl_box_push(L);

	lua_newtable(L);
	while ((header = sl_headers_next(view->headers, name, &pos))) {
		*box = sl_text_decode(header->value);
		if (!*box)
			return luaL_error(L, "msg:header: out of memory");
		lua_pushstring(L, *box);
		lua_rawseti(L, -2, ++count);
		sl_box_empty(box);
	}
	return 1;
}

enum header_mode { MODE_REPLACE, MODE_APPEND, MODE_PREPEND };

/* The values were checked: nothing here raises. */
static int add_value(lua_State *L, struct sl_view *view, enum header_mode mode, const char *name,
		     int idx)
{
	char *value = sl_text_encode(sl_bind_text(L, idx));
	int rc = -ENOMEM;

	if (value)
		rc = sl_headers_add(view->headers,
				    mode == MODE_PREPEND ? SL_HEADER_TOP : SL_HEADER_END, name,
				    value);
	free(value);
	return rc;
}

/* Several values keep their order, also at the top, where the last added stands first. */
static int add_values(lua_State *L, struct sl_view *view, enum header_mode mode, const char *name)
{
	int count = lua_istable(L, 3) ? (int)lua_objlen(L, 3) : 0;
	int rc = 0;

	if (!lua_istable(L, 3))
		return add_value(L, view, mode, name, 3);
	for (int i = 1; i <= count && rc == 0; i++) {
		lua_rawgeti(L, 3, mode == MODE_PREPEND ? count + 1 - i : i);
		rc = add_value(L, view, mode, name, lua_gettop(L));
		lua_pop(L, 1);
	}
	return rc;
}

/* All of the change, or nothing of it. */
static int change_header(lua_State *L, struct sl_view *view, enum header_mode mode,
			 const char *name, bool clear)
{
	struct sl_headers *before = sl_headers_ref(view->headers);
	int rc = sl_headers_own(&view->headers);

	if (rc == 0 && (clear || mode == MODE_REPLACE))
		sl_headers_delete(view->headers, name);
	if (rc == 0 && !clear)
		rc = add_values(L, view, mode, name);
	if (rc < 0) {
		sl_headers_unref(&view->headers);
		view->headers = before;
	} else {
		sl_headers_unref(&before);
	}
	return rc;
}

/* Before anything is changed: a table with one bad value changes nothing. */
static void check_values(lua_State *L)
{
	int count = lua_istable(L, 3) ? (int)lua_objlen(L, 3) : 0;

	if (!lua_istable(L, 3))
		sl_bind_text(L, 3);
	for (int i = 1; i <= count; i++) {
		lua_rawgeti(L, 3, i);
		if (!lua_isstring(L, -1) && !lua_isboolean(L, -1))
			luaL_error(L, "msg:header: string expected as value %d, got %s", i,
				   luaL_typename(L, -1));
		sl_bind_text(L, lua_gettop(L));
		lua_pop(L, 1);
	}
}

/* msg:header(name) -> values; msg:header(name, value or values, [mode]) -> true; "" deletes */
static int header(lua_State *L)
{
	static const char *const modes[] = { "replace", "append", "prepend", NULL };
	struct sl_view *view = check(L);
	const char *name = check_header_name(L, 2);
	enum header_mode mode;
	bool clear;
	int rc;

	if (lua_isnoneornil(L, 3))
		return get_header(L, view, name);
	if (!(where(L) & (SL_IN_MESSAGE | SL_IN_FINAL)))
		return luaL_error(L, "msg:header: the header cannot be changed in %s",
				  sl_state_of(L)->bag.callout);
	mode = luaL_checkoption(L, 4, "replace", modes);
	check_values(L);
	clear = !lua_istable(L, 3) && *sl_bind_text(L, 3) == '\0';
	need_grant(L, view, clear ? 0 : SL_GRANT_ADD_HEADER, "add header fields");
	if (clear || mode == MODE_REPLACE) {
		if (sl_headers_count(view->headers, name) > 0)
			need_grant(L, view, SL_GRANT_CHANGE_HEADER, "delete header fields");
	}
	rc = change_header(L, view, mode, name, clear);
	if (rc < 0)
		return luaL_error(L, "msg:header: %s",
				  rc == -E2BIG ? "the header is too big" : "out of memory");
	lua_pushboolean(L, 1);
	return 1;
}

static struct sl_dict *context(lua_State *L)
{
	struct sl_view *view = check(L);

	return sl_bind_dict(L, 2, view->msg->session, view);
}

/* msg:context_get(type, key) -> string, "" when absent */
static int context_get(lua_State *L)
{
	const char *value = sl_dict_get(context(L), luaL_checkstring(L, 3));

	lua_pushstring(L, value ? value : "");
	return 1;
}

/* msg:context_set(type, key, value) -> 1, or 0 when key or value is nil */
static int context_set(lua_State *L)
{
	struct sl_dict *dict = context(L);
	const char *key;
	int rc;

	if (lua_isnoneornil(L, 3) || lua_isnoneornil(L, 4)) {
		lua_pushinteger(L, 0);
		return 1;
	}
	key = sl_bind_text(L, 3);
	rc = sl_dict_set(dict, key, sl_bind_text(L, 4));
	if (rc < 0)
		return luaL_error(L, "msg:context_set: %s",
				  rc == -E2BIG ? "the context is full" : "out of memory");
	lua_pushinteger(L, 1);
	return 1;
}

/* msg:context_exists(type, key) -> 1 or 0 */
static int context_exists(lua_State *L)
{
	const char *value = sl_dict_get(context(L), luaL_checkstring(L, 3));

	lua_pushinteger(L, value != NULL);
	return 1;
}

/* msg:context_exists_and_get(type, key) -> 1, string or 0, nil */
static int context_exists_and_get(lua_State *L)
{
	const char *value = sl_dict_get(context(L), luaL_checkstring(L, 3));

	lua_pushinteger(L, value != NULL);
	lua_pushstring(L, value);
	return 2;
}

/* msg:context_delete(type, key) -> 1 deleted, 0 absent */
static int context_delete(lua_State *L)
{
	bool deleted = sl_dict_delete(context(L), luaL_checkstring(L, 3));

	lua_pushinteger(L, deleted);
	return 1;
}

/* msg.id, msg.batch_id, msg.conn_id; upvalue 1 is the class with the methods. */
static int index_message(lua_State *L)
{
	const char *key = lua_tostring(L, 2);
	struct sl_view *view;

	lua_pushvalue(L, 2);
	lua_rawget(L, lua_upvalueindex(1));
	if (!lua_isnil(L, -1) || !key)
		return 1;
	if (strcmp(key, "id") != 0 && strcmp(key, "batch_id") != 0 && strcmp(key, "conn_id") != 0)
		return 1;
	view = check(L);
	lua_pushstring(L, key[0] == 'i'	  ? view->id
			  : key[0] == 'b' ? view->msg->batch_id
					  : view->msg->session->id);
	return 1;
}

#define MESSAGE_KNOWN                                                                              \
	(SL_IN_RCPTTO | SL_IN_MESSAGE | SL_IN_SET_BINDING | SL_IN_FINAL | SL_IN_ROUTING)
#define MESSAGE_COMPLETE (SL_IN_MESSAGE | SL_IN_SET_BINDING | SL_IN_FINAL | SL_IN_ROUTING)

const struct sl_method sl_message_methods[] = {
	{ "mailfrom", mailfrom, MESSAGE_KNOWN },
	{ "rcptto", rcptto, MESSAGE_KNOWN },
	{ "header", header, MESSAGE_COMPLETE },
	{ "context_get", context_get, MESSAGE_KNOWN },
	{ "context_set", context_set, MESSAGE_KNOWN },
	{ "context_exists", context_exists, MESSAGE_KNOWN },
	{ "context_exists_and_get", context_exists_and_get, MESSAGE_KNOWN },
	{ "context_delete", context_delete, MESSAGE_KNOWN },
	{ NULL, NULL, 0 },
};

void sl_bind_message(lua_State *L)
{
	sl_handle_class(L, SL_CLASS_MESSAGE);
	sl_bind_methods(L, "msg:", sl_message_methods);
	lua_pushvalue(L, -1);
	lua_pushcclosure(L, index_message, 1);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
}
