#include "runtime/init.h"

#include "lua/call.h"
#include "lua/guard.h"

#include <errno.h>
#include <string.h>

struct call {
	struct sl_state *state;
	const struct sl_module *module;
	enum sl_callout_id id;
	struct sl_err *err;
};

static int enter(void *arg)
{
	const struct call *call = arg;
	lua_State *L = call->state->L;

	lua_rawgeti(L, LUA_REGISTRYINDEX, call->module->functions[call->id]);
	lua_rawgeti(L, LUA_REGISTRYINDEX, call->module->table);
	return sl_lua_call(L, 1, 1, call->err);
}

/* Runs one of the two; true when it returned a true value. */
static bool call_module(struct sl_state *state, const struct sl_module *module,
			enum sl_callout_id id, struct sl_err *err)
{
	struct call call = { state, module, id, err };
	const struct sl_script_limits *limits =
		&state->config->scriptlet.scripts[module->script].limits;
	struct sl_guard guard;
	bool late;
	bool ok;
	int rc;

	if (state->lost) {
		sl_fail(err, -ESTALE, "cannot run: the init state was given up");
		return false;
	}
	state->bag = (struct sl_bag){ .where = SL_IN_INIT, .callout = sl_callouts[id].name };
	state->memory_limit = (size_t)limits->memory_limit * SL_MIB;
	sl_guard_init(&guard);
	rc = sl_guard_run(&guard, state->L, (int64_t)limits->time_limit * 1000, enter, &call,
			  &late);
	sl_guard_deinit(&guard);
	if (rc == SL_GUARD_LOST) {
		state->lost = true;
		sl_fail(err, -ETIME, "used more CPU time than time_limit and could not be stopped");
		return false;
	}
	state->bag = (struct sl_bag){ 0 };
	if (rc < 0)
		return false;
	ok = lua_toboolean(state->L, -1) && !late;
	if (!ok)
		sl_fail(err, -1,
			late ? "used more CPU time than time_limit%s" : "returned %s, not true",
			late ? "" : luaL_typename(state->L, -1));
	lua_pop(state->L, 1);
	return ok;
}

static void undo_from(struct sl_state *state, unsigned count)
{
	for (unsigned i = count; i-- > 0;) {
		const struct sl_module *module = &state->modules[i];
		struct sl_err err;

		if ((module->has & SL_CALLOUT_BIT(SL_CO_DEINIT)) &&
		    !call_module(state, module, SL_CO_DEINIT, &err))
			sl_log(LOG_ERR, "scriptlet", "module %s: deinit() %.*s", module->name,
			       sl_lua_message_length(err.text), err.text);
	}
}

bool sl_init_run(struct sl_state *state, struct sl_faults *faults)
{
	for (unsigned i = 0; i < state->module_count; i++) {
		const struct sl_module *module = &state->modules[i];
		const struct sl_script_conf *script =
			&state->config->scriptlet.scripts[module->script];
		struct sl_err err;

		if (!(module->has & SL_CALLOUT_BIT(SL_CO_INIT)) ||
		    call_module(state, module, SL_CO_INIT, &err))
			continue;
		sl_faults_add(faults, script->file, script->line, "module %s: init() %.*s",
			      module->name, sl_lua_message_length(err.text), err.text);
		undo_from(state, i);
		return false;
	}
	return true;
}

void sl_init_undo(struct sl_state *state)
{
	undo_from(state, state->module_count);
}
