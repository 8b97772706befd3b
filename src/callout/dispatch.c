/* One callout of one module: the seam between C and a script. */
#include "bind/bind.h"
#include "callout/flow_priv.h"

#include "base/clock.h"
#include "lua/call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Keys of the anchor table; selves follow by module, views are keyed by their address. */
enum { ANCHOR_THREAD = 1, ANCHOR_VCTX, ANCHOR_AC, ANCHOR_BUFFER, ANCHOR_SELF };

struct call {
	struct sl_flow *flow;
	unsigned module;
	enum sl_callout_id id;
	struct sl_view *view;
	int nargs; /* set by prepare() */
};

/* Stack of prepare(): 1 the call, 2 the anchor table, then what goes to the thread. */
#define ANCHOR_IDX 2

static struct sl_handle *push_handle(lua_State *L, struct sl_handle *known, int key,
				     const char *class_name, void *object)
{
	if (known) {
		lua_rawgeti(L, ANCHOR_IDX, key);
		return known;
	}
	known = sl_handle_push(L, class_name, object);
	lua_pushvalue(L, -1);
	lua_rawseti(L, ANCHOR_IDX, key);
	return known;
}

static void push_message(lua_State *L, struct sl_view *view)
{
	struct sl_handle *handle;

	if (!view) {
		lua_pushnil(L);
		return;
	}
	lua_pushlightuserdata(L, view);
	if (view->handle) {
		lua_rawget(L, ANCHOR_IDX);
		return;
	}
	handle = sl_handle_push(L, SL_CLASS_MESSAGE, view);
	lua_pushvalue(L, -1);
	lua_insert(L, -3);
	lua_rawset(L, ANCHOR_IDX);
	view->handle = handle; /* not before it is anchored: storing may have raised */
}

/* The accepted recipients, 1-based; while one RCPT is decided, with that one. */
static void push_rcpts(lua_State *L, const struct sl_message *msg)
{
	lua_createtable(L, msg ? (int)msg->rcpt_count : 0, 0);
	for (unsigned i = 0; msg && i < msg->rcpt_count; i++) {
		lua_pushstring(L, sl_path_addr(&msg->rcpts[i].path));
		lua_rawseti(L, -2, (int)i + 1);
	}
}

/* A buffer and the int behind it are one ec_string that cannot hold more than the buffer; kept, so
 * that what the script wrote can be copied back. */
static void push_buffer(lua_State *L, const struct sl_hook_buffer *buffer)
{
	sl_ec_string_push(L, buffer->data, strlen(buffer->data), buffer->size - 1);
	lua_pushvalue(L, -1);
	lua_rawseti(L, ANCHOR_IDX, ANCHOR_BUFFER);
}

/* Published hooks are written with and without the length; it is passed where it comes last, so
 * that both work. Returns how many parameters were used up. */
static int push_chars(lua_State *L, const struct sl_flow *flow, const enum sl_param *param)
{
	push_buffer(L, &flow->buffer);
	if (param[1] != SL_P_INT)
		return 1;
	if (param[2] == SL_P_NONE)
		lua_pushinteger(L, (lua_Integer)flow->buffer.size);
	return 2;
}

static void push_param(lua_State *L, struct call *call, enum sl_param param)
{
	struct sl_flow *flow = call->flow;
	struct sl_session *session = flow->session;

	switch (param) {
	case SL_P_COMMAND:
		sl_ec_string_push(L, session->command ? session->command : "",
				  session->command ? strlen(session->command) : 0, 0);
		break;
	case SL_P_ACCEPT:
		flow->ac = push_handle(L, flow->ac, ANCHOR_AC, SL_CLASS_ACCEPT, session);
		break;
	case SL_P_VCTX:
		flow->vctx = push_handle(L, flow->vctx, ANCHOR_VCTX, SL_CLASS_VCTX, session);
		break;
	case SL_P_MESSAGE:
		push_message(L, call->view);
		break;
	case SL_P_RCPT_LIST:
		push_rcpts(L, session->msg);
		break;
	default:
		lua_pushlightuserdata(L, flow);
	}
}

static bool has_vctx(const struct sl_callout *callout)
{
	for (const enum sl_param *param = callout->params; *param != SL_P_NONE; param++)
		if (*param == SL_P_VCTX)
			return true;
	return false;
}

/* `self`: a table of this module and connection where there is a connection to speak of, the module
 * itself otherwise. validate_dealloc has no vctx, but gets what the callouts before it had. */
static void push_self(lua_State *L, struct call *call)
{
	struct sl_module *module = &call->flow->slot->state->modules[call->module];
	int key = ANCHOR_SELF + (int)call->module;

	if (!has_vctx(&sl_callouts[call->id]) && call->id != SL_CO_DEALLOC) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, module->table);
		return;
	}
	lua_rawgeti(L, ANCHOR_IDX, key);
	if (!lua_isnil(L, -1))
		return;
	lua_pop(L, 1);
	lua_newtable(L);
	lua_rawgeti(L, LUA_REGISTRYINDEX, module->self_meta);
	lua_setmetatable(L, -2);
	lua_pushvalue(L, -1);
	lua_rawseti(L, ANCHOR_IDX, key);
}

static void push_anchor(lua_State *L, struct sl_flow *flow)
{
	if (flow->anchor == LUA_NOREF) {
		lua_newtable(L);
		flow->anchor = luaL_ref(L, LUA_REGISTRYINDEX);
	}
	lua_rawgeti(L, LUA_REGISTRYINDEX, flow->anchor);
}

/* Makes everything the callout needs and moves it to the session's thread. Runs protected: any of
 * this may fail for lack of memory. */
static int prepare(lua_State *L)
{
	struct call *call = lua_touserdata(L, 1);
	struct sl_flow *flow = call->flow;
	const struct sl_callout *callout = &sl_callouts[call->id];
	const struct sl_module *module = &flow->slot->state->modules[call->module];

	luaL_checkstack(L, SL_PARAMS_MAX + 8, NULL);
	push_anchor(L, flow);
	if (!flow->thread) {
		lua_State *thread = lua_newthread(L);

		lua_rawseti(L, ANCHOR_IDX, ANCHOR_THREAD);
		flow->thread = thread;
	}
	lua_rawgeti(L, LUA_REGISTRYINDEX, module->functions[call->id]);
	push_self(L, call);
	for (const enum sl_param *param = callout->params; *param != SL_P_NONE;) {
		if (*param == SL_P_CHARS)
			param += push_chars(L, flow, param);
		else
			push_param(L, call, *param++);
	}
	call->nargs = lua_gettop(L) - ANCHOR_IDX - 1;
	if (!lua_checkstack(flow->thread, call->nargs + 1))
		return luaL_error(L, "not enough memory");
	lua_xmove(L, flow->thread, call->nargs + 1);
	return 0;
}

/* What a hook wrote, back into the caller's buffer; the ec_string was bounded by it. */
static void copy_buffer_back(struct sl_flow *flow)
{
	lua_State *L = flow->slot->state->L;
	const char *data;
	size_t len;

	lua_rawgeti(L, LUA_REGISTRYINDEX, flow->anchor);
	lua_rawgeti(L, -1, ANCHOR_BUFFER);
	data = sl_ec_string_get(L, -1, &len);
	if (data && len < flow->buffer.size) {
		memcpy(flow->buffer.data, data, len);
		flow->buffer.data[len] = '\0';
	}
	lua_pop(L, 2);
}

/* The return value lies on the thread. */
static struct sl_result interpret(struct sl_flow *flow, enum sl_callout_id id)
{
	enum sl_returns returns = sl_callouts[id].returns;
	lua_State *thread = flow->thread;
	bool is_number = lua_gettop(thread) > 0 && lua_type(thread, 1) == LUA_TNUMBER;
	lua_Number number = is_number ? lua_tonumber(thread, 1) : 0;
	struct sl_result result = { SL_OUT_NONE, 0 };

	lua_settop(thread, 0);
	if (flow->buffer.data)
		copy_buffer_back(flow);
	if (is_number && number >= -1e9 && number <= 1e9)
		result.number = (long)number;
	if (returns == SL_RETURNS_NOTHING)
		return result;
	if (returns == SL_RETURNS_VALIDATE) {
		if (is_number && (number == 0 || number == 1 || number == 2))
			result.outcome = (enum sl_outcome)number;
		return result;
	}
	/* a hook that returns nothing says 0 */
	result.outcome = result.number ? SL_OUT_DONE : SL_OUT_CONT;
	return result;
}

/* The manual's two lines for a failed callout. */
static void log_failure(const struct sl_flow *flow, const char *module, const char *callout,
			const char *text)
{
	struct sl_log_ids ids = sl_session_ids(flow->session);
	int len = sl_lua_message_length(text);

	sl_log_for(&ids, LOG_ERR, "scriptlet-00147", "%s error: %.*s", callout, len, text);
	sl_log_for(&ids, LOG_ERR, "scriptlet-00239", "%s error: %.*s", module, len, text);
	if (text[len])
		sl_log_for(&ids, LOG_INFO, "scriptlet", "%s", text + len + 1);
}

/* With the lock held. */
static struct sl_result run(struct sl_flow *flow, struct call *call, struct sl_err *err)
{
	struct sl_state *state = flow->slot->state;
	struct sl_result result = { SL_OUT_ERROR, 0 };
	int rc;

	state->bag = (struct sl_bag){ flow->session, call->view, sl_callouts[call->id].where,
				      sl_callouts[call->id].name };
	rc = sl_lua_enter(state->L, prepare, call, err);
	if (rc == 0) {
		rc = sl_lua_resume(state->L, flow->thread, call->nargs, err);
		if (rc == LUA_YIELD)
			sl_fail(err, -EFAULT, "coroutine.yield called outside a coroutine");
	}
	if (rc == 0)
		result = interpret(flow, call->id);
	else
		flow->thread = NULL; /* dead; the next callout gets a new one in its place */
	state->bag = (struct sl_bag){ 0 };
	return result;
}

int sl_dispatch_pin(struct sl_flow *flow)
{
	struct sl_slot *slot;

	if (flow->slot)
		return 0;
	slot = sl_pool_pin(flow->engine->pool);
	flow->ran = calloc(slot->state->module_count + 1, sizeof(bool));
	if (!flow->ran) {
		sl_slot_unpin(slot);
		return -ENOMEM;
	}
	flow->slot = slot;
	return 0;
}

struct sl_result sl_dispatch(struct sl_flow *flow, unsigned module, enum sl_callout_id id,
			     struct sl_view *view)
{
	struct sl_engine *engine = flow->engine;
	struct call call = { flow, module, id, view, 0 };
	const char *name = flow->slot->state->modules[module].name;
	struct sl_err err = { 0 };
	struct sl_result result;
	int64_t start;
	int64_t us;

	sl_slot_lock(flow->slot);
	start = sl_now_us();
	flow->ran[module] = true;
	result = run(flow, &call, &err);
	us = sl_now_us() - start;
	sl_slot_unlock(flow->slot);

	if (result.outcome == SL_OUT_ERROR)
		log_failure(flow, name, sl_callouts[id].name, err.text);
	else if (result.outcome == SL_OUT_NONE && sl_callouts[id].returns == SL_RETURNS_VALIDATE)
		log_failure(flow, name, sl_callouts[id].name, "(null)");
	if (engine->trace) {
		struct sl_trace_event event = { name, sl_callouts[id].name, result.outcome,
						result.outcome == SL_OUT_ERROR ? err.text : NULL,
						us };

		engine->trace(engine->trace_arg, &event);
	}
	return result;
}

/* Setting a field that exists to nil takes no memory, so this cannot raise. */
static void forget_view(lua_State *L, int anchor, struct sl_view *view)
{
	struct sl_handle *handle = view->handle;

	if (!handle)
		return;
	handle->object = NULL;
	view->handle = NULL;
	lua_rawgeti(L, LUA_REGISTRYINDEX, anchor);
	lua_pushlightuserdata(L, view);
	lua_pushnil(L);
	lua_rawset(L, -3);
	lua_pop(L, 1);
}

void sl_dispatch_forget_message(struct sl_flow *flow)
{
	struct sl_message *msg = flow->session->msg;

	if (!flow->slot || !msg)
		return;
	sl_slot_lock(flow->slot);
	forget_view(flow->slot->state->L, flow->anchor, &msg->shared);
	for (unsigned i = 0; i < msg->view_count; i++)
		forget_view(flow->slot->state->L, flow->anchor, &msg->views[i]);
	sl_slot_unlock(flow->slot);
}

void sl_dispatch_forget_session(struct sl_flow *flow)
{
	if (!flow->slot)
		return;
	sl_slot_lock(flow->slot);
	if (flow->vctx)
		flow->vctx->object = NULL;
	if (flow->ac)
		flow->ac->object = NULL;
	luaL_unref(flow->slot->state->L, LUA_REGISTRYINDEX, flow->anchor);
	sl_slot_unlock(flow->slot);
	sl_slot_unpin(flow->slot);
	free(flow->ran);
	flow->slot = NULL;
}
