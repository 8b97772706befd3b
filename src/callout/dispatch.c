/* One callout of one module: the seam between C and a script. */
#include "bind/bind.h"
#include "callout/flow_priv.h"

#include "base/clock.h"
#include "lua/call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Beyond memory_limit, for what we need ourselves to run a callout. */
#define ENTRY_MEMORY SL_MIB

/* What must be free in a state, in parts of memory_limit, for it to be of use to anybody. */
#define ROOM_PARTS 8

/* Keys of the anchor table; selves follow by module, views are keyed by their address. */
enum { ANCHOR_THREAD = 1, ANCHOR_VCTX, ANCHOR_AC, ANCHOR_BUFFER, ANCHOR_SELF };

struct call {
	struct sl_flow *flow;
	unsigned module;
	enum sl_callout_id id;
	struct sl_view *view;
	struct sl_err *err;
	bool resumed;			/* it waited, and goes on */
	int nargs;			/* set by prepare() or push_results() */
	struct sl_blocking_op *next_op; /* what it waits for now */
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

	sl_state_relieve(flow->slot->state);
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

/* Pushes what the operation found onto the waiting coroutine. */
static int push_results(lua_State *L)
{
	struct call *call = lua_touserdata(L, 1);
	struct sl_flow *flow = call->flow;

	call->nargs = flow->op->push_results(L, flow->op);
	if (!lua_checkstack(flow->thread, call->nargs))
		return luaL_error(L, "not enough memory");
	lua_xmove(L, flow->thread, call->nargs);
	return 0;
}

/* Runs under the guard: prepares and runs, or goes on after a wait. Returns what sl_lua_resume does. */
static int enter(void *arg)
{
	struct call *call = arg;
	struct sl_flow *flow = call->flow;
	struct sl_state *state = flow->slot->state;
	lua_State *L = state->L;
	int rc = 0;

	/* a state whose memory is full must still be entered, if only to collect its garbage */
	state->memory_limit += ENTRY_MEMORY;
	if (!call->resumed)
		rc = sl_lua_enter(L, prepare, call, call->err);
	else if (flow->op->push_results)
		rc = sl_lua_enter(L, push_results, call, call->err);
	state->memory_limit -= ENTRY_MEMORY;
	state->bag.thread = flow->thread;
	return rc < 0 ? rc : sl_lua_resume(L, flow->thread, call->nargs, call->err);
}

/* The state is gone with all that lives in it; a new one takes its place from the scripts as they
 * were read at the start. */
static void replace_lost_state(struct sl_flow *flow)
{
	struct sl_faults faults = { 0 };
	struct sl_state *fresh = sl_engine_load_state(flow->engine->config, &faults);

	if (!fresh)
		sl_log(LOG_CRIT, "callout", "cannot replace a lost Lua state: %s",
		       faults.count ? faults.list[0].text : "out of memory");
	sl_faults_deinit(&faults);
	sl_slot_replace(flow->slot, fresh);
}

/* The coroutine is dead; what its stack holds must not stay alive with it. */
static void drop_thread(struct sl_flow *flow)
{
	lua_State *L = flow->slot->state->L;

	if (!flow->thread)
		return; /* none was made: the field below does not exist */
	flow->thread = NULL;
	/* setting a field that exists to nil takes no memory, so this cannot raise */
	lua_rawgeti(L, LUA_REGISTRYINDEX, flow->anchor);
	lua_pushnil(L);
	lua_rawseti(L, -2, ANCHOR_THREAD);
	lua_pop(L, 1);
}

static struct sl_result take_outcome(struct sl_flow *flow, struct call *call, int rc, bool late)
{
	struct sl_state *state = flow->slot->state;
	struct sl_result result = { SL_OUT_ERROR, 0 };

	if (rc == LUA_YIELD && state->bag.op) {
		call->next_op = state->bag.op;
		result.outcome = SL_OUT_WAITING;
	} else if (rc == 0) {
		result = interpret(flow, call->id);
	} else {
		if (rc == LUA_YIELD)
			sl_fail(call->err, -EFAULT, "coroutine.yield called outside a coroutine");
		else if (rc == -ENOMEM)
			sl_fail(call->err, rc,
				"memory_limit: the scripts use more memory than they "
				"may");
		drop_thread(flow);
	}
	if (late && rc < 0)
		call->err->code = flow->slot->guard.overdue ? -ETIMEDOUT : -ETIME;
	if (late && rc == 0) {
		/* it swallowed the error and then came to its end: over the limit all the same */
		sl_fail(call->err, flow->slot->guard.overdue ? -ETIMEDOUT : -ETIME, "%s",
			flow->slot->guard.overdue
				? "callout_timeout: the callout took longer than it may"
				: "time_limit: the callout used more CPU time than it may");
		result.outcome = SL_OUT_ERROR;
	}
	state->bag = (struct sl_bag){ 0 };
	return result;
}

/* What a session keeps in a state is gone when the state is. */
static bool state_is_lost(const struct sl_flow *flow)
{
	return !flow->slot->state || flow->slot_generation != flow->slot->generation;
}

/* What modules kept is missing: they must not go on as if the session were new to them. */
static void forget_lost_state(struct sl_flow *flow)
{
	struct sl_message *msg = flow->session->msg;

	for (unsigned i = 0; i < flow->engine->module_count; i++)
		if (flow->presence[i] == SL_PRESENT)
			flow->presence[i] = SL_BEREFT;

	flow->slot_generation = flow->slot->generation;
	flow->anchor = LUA_NOREF;
	flow->thread = NULL;
	flow->vctx = NULL;
	flow->ac = NULL;
	if (!msg)
		return;
	msg->shared.handle = NULL;
	for (unsigned i = 0; i < msg->view_count; i++)
		msg->views[i].handle = NULL;
}

/* Room enough for the most modest of all limits would be a poor measure: the state is shared. */
static size_t largest_limit(const struct sl_engine *engine)
{
	int limit = 0;

	for (unsigned i = 0; i < engine->module_count; i++)
		if (sl_engine_limits(engine, i)->memory_limit > limit)
			limit = sl_engine_limits(engine, i)->memory_limit;
	return (size_t)limit * SL_MIB;
}

static int collect_all(lua_State *L)
{
	lua_gc(L, LUA_GCCOLLECT, 0);
	return 0;
}

static int enter_collect(void *arg)
{
	struct sl_state *state = arg;

	return sl_lua_enter(state->L, collect_all, state, NULL);
}

/* A callout that went over a limit may leave the state full: of garbage, or of what the script holds
 * on to for good. Either would fail the callouts of others. */
static void make_room(struct sl_flow *flow, const struct sl_script_limits *limits)
{
	struct sl_state *full = flow->slot->state;
	size_t limit = largest_limit(flow->engine);
	bool late;

	if (full->memory_used < limit / 2)
		return;
	flow->slot->guard.deadline_us = 0;
	full->memory_limit = 0; /* finalizers may need some */
	if (sl_guard_run(&flow->slot->guard, full->L, (int64_t)limits->time_limit * 1000,
			 enter_collect, full, &late) == SL_GUARD_LOST) {
		replace_lost_state(flow);
	} else if (full->memory_used > limit - limit / ROOM_PARTS) {
		sl_log(LOG_ERR, "callout",
		       "memory_limit: a Lua state is full of what scripts hold on to, it is "
		       "given up");
		replace_lost_state(flow);
		sl_state_free(&full);
	}
}

/* With the lock held. */
static struct sl_result run(struct sl_flow *flow, struct call *call)
{
	const struct sl_callout *callout = &sl_callouts[call->id];
	const struct sl_script_limits *limits = sl_engine_limits(flow->engine, call->module);
	struct sl_state *state = flow->slot->state;
	struct sl_result result = { SL_OUT_ERROR, 0 };
	int64_t time_left = (int64_t)limits->time_limit * 1000 - flow->cpu_us;
	bool late;
	int rc;

	state->bag = (struct sl_bag){ .session = flow->session,
				      .view = call->view,
				      .where = callout->where,
				      .callout = callout->name,
				      .deadline_us = flow->deadline_us };
	state->memory_limit = (size_t)limits->memory_limit * SL_MIB;
	flow->slot->guard.deadline_us = flow->deadline_us;
	rc = sl_guard_run(&flow->slot->guard, state->L, time_left > 0 ? time_left : 1, enter, call,
			  &late);
	flow->cpu_us += flow->slot->guard.used_us;
	if (rc != SL_GUARD_LOST) {
		result = take_outcome(flow, call, rc, late);
		if (rc < 0)
			make_room(flow, limits);
	} else {
		sl_fail(call->err, flow->slot->guard.overdue ? -ETIMEDOUT : -ETIME,
			"%s: the callout could not be stopped, its Lua state is given up",
			flow->slot->guard.overdue ? "callout_timeout" : "time_limit");
		replace_lost_state(flow);
	}
	if (state_is_lost(flow)) {
		forget_lost_state(flow);
		flow->presence[call->module] = SL_ABSENT; /* it has had its failure */
	}
	return result;
}

int sl_dispatch_pin(struct sl_flow *flow)
{
	struct sl_slot *slot;
	int rc = 0;

	if (flow->slot)
		return 0;
	slot = sl_pool_pin(flow->engine->pool);
	if (!sl_slot_lock_until(slot, flow->deadline_us)) {
		sl_slot_unpin(slot);
		return -ETIMEDOUT;
	}
	flow->slot = slot;
	if (!slot->state)
		replace_lost_state(flow);
	flow->slot_generation = slot->generation;
	flow->presence = slot->state ? calloc(flow->engine->module_count + 1, 1) : NULL;
	sl_slot_unlock(slot);
	if (!flow->presence) {
		sl_slot_unpin(slot);
		flow->slot = NULL;
		rc = -ENOMEM;
	}
	return rc;
}

static void free_op(struct sl_flow *flow)
{
	if (flow->op)
		flow->op->free(flow->op);
	flow->op = NULL;
}

static enum sl_error_kind error_kind(int code)
{
	switch (code) {
	case -ETIME:
		return SL_ERROR_TIME;
	case -ENOMEM:
		return SL_ERROR_MEMORY;
	case -ETIMEDOUT:
		return SL_ERROR_WAIT;
	case -ESTALE:
		return SL_ERROR_LOST;
	case -ECONNRESET:
		return SL_ERROR_GONE;
	default:
		return SL_ERROR_SCRIPT;
	}
}

static void count(const struct sl_engine *engine, const struct call *call, struct sl_result result,
		  int64_t us)
{
	struct sl_metrics_row *row = engine->metrics;
	bool error = result.outcome == SL_OUT_ERROR;

	if (!row)
		return;
	sl_metrics_callout(&row->callouts[engine->modules[call->module].metrics][call->id], us,
			   error);
	if (error)
		sl_count(&row->errors[error_kind(call->err->code)]);
	else if (result.outcome == SL_OUT_NONE &&
		 sl_callouts[call->id].returns == SL_RETURNS_VALIDATE)
		sl_count(&row->errors[SL_ERROR_RETURN]);
}

/* Tells whoever wants to know how a callout ended. */
static void report(struct sl_flow *flow, const struct call *call, struct sl_result result,
		   int64_t us)
{
	const struct sl_engine *engine = flow->engine;
	struct sl_trace_event event = { .module = engine->modules[call->module].name,
					.callout = sl_callouts[call->id].name,
					.outcome = result.outcome,
					.us = us };

	if (result.outcome == SL_OUT_ERROR)
		event.error = call->err->text;
	if (event.error)
		log_failure(flow, event.module, event.callout, event.error);
	else if (result.outcome == SL_OUT_NONE &&
		 sl_callouts[call->id].returns == SL_RETURNS_VALIDATE)
		log_failure(flow, event.module, event.callout, "(null)");
	count(engine, call, result, us);
	if (engine->trace)
		engine->trace(engine->trace_arg, &event);
}

/* Without the lock. */
static struct sl_result give_up(struct sl_flow *flow, struct call *call, int code, const char *why)
{
	struct sl_result result = { SL_OUT_ERROR, 0 };

	free_op(flow);
	flow->thread = NULL;
	sl_fail(call->err, code, "%s", why);
	report(flow, call, result, flow->callout_us);
	return result;
}

static struct sl_result dispatch(struct sl_flow *flow, struct call *call)
{
	struct sl_result result = { SL_OUT_ERROR, 0 };
	int64_t start;

	if (!sl_slot_lock_until(flow->slot, flow->deadline_us))
		return give_up(flow, call, -ETIMEDOUT,
			       "callout_timeout: another callout holds the Lua state of this "
			       "connection");
	start = sl_now_us();
	if (state_is_lost(flow))
		forget_lost_state(flow);
	if (!flow->slot->state)
		replace_lost_state(flow);
	if (flow->presence[call->module] == SL_BEREFT || !flow->slot->state) {
		flow->presence[call->module] = SL_ABSENT;
		sl_fail(call->err, -ESTALE,
			"the Lua state of this connection was given up because of another "
			"callout in it");
	} else {
		flow->presence[call->module] = SL_PRESENT;
		result = run(flow, call);
	}
	flow->callout_us += sl_now_us() - start;
	sl_slot_unlock(flow->slot);

	free_op(flow);
	flow->op = call->next_op;
	if (result.outcome != SL_OUT_WAITING)
		report(flow, call, result, flow->callout_us);
	return result;
}

struct sl_result sl_dispatch(struct sl_flow *flow, unsigned module, enum sl_callout_id id,
			     struct sl_view *view)
{
	struct sl_err err = { 0 };
	struct call call = { .flow = flow, .module = module, .id = id, .view = view, .err = &err };

	flow->callout_us = 0;
	flow->cpu_us = 0;
	return dispatch(flow, &call);
}

struct sl_result sl_dispatch_resume(struct sl_flow *flow, unsigned module, enum sl_callout_id id,
				    struct sl_view *view)
{
	struct sl_err err = { 0 };
	struct call call = {
		.flow = flow, .module = module, .id = id, .view = view, .err = &err, .resumed = true
	};

	return dispatch(flow, &call);
}

struct sl_result sl_dispatch_give_up(struct sl_flow *flow, unsigned module, enum sl_callout_id id,
				     int code, const char *why)
{
	struct sl_err err = { 0 };
	struct call call = { .flow = flow, .module = module, .id = id, .err = &err };

	return give_up(flow, &call, code, why);
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

bool sl_dispatch_forget_view(struct sl_flow *flow, struct sl_view *view)
{
	if (!flow->slot || !view->handle)
		return true;
	if (!sl_slot_lock_unless_stuck(flow->slot))
		return false;
	if (state_is_lost(flow))
		forget_lost_state(flow);
	if (flow->anchor != LUA_NOREF)
		forget_view(flow->slot->state->L, flow->anchor, view);
	sl_slot_unlock(flow->slot);
	return true;
}

bool sl_dispatch_forget_message(struct sl_flow *flow)
{
	struct sl_message *msg = flow->session->msg;

	if (!msg)
		return true;
	if (!sl_dispatch_forget_view(flow, &msg->shared))
		return false;
	for (unsigned i = 0; i < msg->view_count; i++)
		if (!sl_dispatch_forget_view(flow, &msg->views[i]))
			return false;
	return true;
}

bool sl_dispatch_forget_session(struct sl_flow *flow)
{
	free_op(flow);
	if (!flow->slot)
		return true;
	if (!sl_slot_lock_unless_stuck(flow->slot))
		return false;
	if (state_is_lost(flow))
		forget_lost_state(flow);
	if (flow->vctx)
		flow->vctx->object = NULL;
	if (flow->ac)
		flow->ac->object = NULL;
	if (flow->anchor != LUA_NOREF)
		luaL_unref(flow->slot->state->L, LUA_REGISTRYINDEX, flow->anchor);
	sl_slot_unlock(flow->slot);
	sl_slot_unpin(flow->slot);
	free(flow->presence);
	flow->slot = NULL;
	return true;
}
