/* bind: the Lua API. One file per class or msys table, each ending in its method table.
 *
 * Legality is data: every row says where it may be used, and the check before the call refuses with
 * the row's name and the callout's. A body then follows one order: arguments, act, push results; it
 * raises only while it owns nothing that is not Lua's. */
#pragma once

#include "lua/handle.h"
#include "lua/state.h"
#include "session/session.h"

/* A function or method as scripts see it. */
struct sl_method {
	const char *name;
	lua_CFunction fn;
	unsigned where; /* enum sl_where, or'ed */
};

struct sl_constant {
	const char *name;
	int value;
};

/* Names of the classes, as msys.type shows them. */
#define SL_CLASS_EC_STRING "msys.core:_ec_string"
#define SL_CLASS_MESSAGE "msys.core:_ec_message"
#define SL_CLASS_VCTX "msys.core:_validate_context"
#define SL_CLASS_ACCEPT "msys.core:_accept_construct"

/* Puts the whole API into a state. 0 or a negative errno. */
int sl_bind_api(struct sl_state *state, struct sl_err *err);

/* Adds rows to the table at the top of the stack; `prefix` ("msg:", "msys.") goes before the name in
 * messages. Ends at a NULL name. Raises when out of memory. */
void sl_bind_methods(lua_State *L, const char *prefix, const struct sl_method *rows);
void sl_bind_constants(lua_State *L, const struct sl_constant *rows);

/* Each makes its class or fills the msys table at the top of the stack. May raise. */
void sl_bind_msys(lua_State *L);
void sl_bind_time(lua_State *L);
void sl_bind_core(lua_State *L);
void sl_bind_ec_string(lua_State *L);
void sl_bind_vctx(lua_State *L);
void sl_bind_accept(lua_State *L);
void sl_bind_message(lua_State *L);

/* All tables of methods, for the test that compares them with the annotations in lua/meta. */
struct sl_method_table {
	const char *prefix;
	const struct sl_method *rows;
};
extern const struct sl_method_table sl_method_tables[];

/* What the running callout works on; raises when there is none. */
struct sl_session *sl_bind_session(lua_State *L);

/* The dictionary that a VCTX_* or ECMESS_CTX_* constant at `idx` names, for a view (NULL: the session
 * as such). Raises for anything else. */
struct sl_dict *sl_bind_dict(lua_State *L, int idx, struct sl_session *session,
			     struct sl_view *view);

/* Argument `idx` as the text a dictionary stores: strings, numbers, booleans. Raises otherwise, and
 * for a string with a NUL inside. */
const char *sl_bind_text(lua_State *L, int idx);

/* ec_string: a writable string. `bound` 0: it grows; otherwise what is set is cut at so many bytes.
 * Pushes it; raises when out of memory. */
void sl_ec_string_push(lua_State *L, const char *data, size_t len, size_t bound);
/* Content of the ec_string at `idx`; borrowed until it changes. NULL when it is none. Never raises. */
const char *sl_ec_string_get(lua_State *L, int idx, size_t *len_r);
