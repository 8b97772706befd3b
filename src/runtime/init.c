#include "runtime/init.h"

#include "lua/call.h"

#include <string.h>

/* Runs one of the two; true when it returned a true value. */
static bool call(struct sl_state *state, const struct sl_module *module, enum sl_callout_id id,
		 struct sl_err *err)
{
	lua_State *L = state->L;
	bool ok;
	int rc;

	state->bag = (struct sl_bag){ .where = SL_IN_INIT, .callout = sl_callouts[id].name };
	lua_rawgeti(L, LUA_REGISTRYINDEX, module->functions[id]);
	lua_rawgeti(L, LUA_REGISTRYINDEX, module->table);
	rc = sl_lua_call(L, 1, 1, err);
	state->bag = (struct sl_bag){ 0 };
	if (rc < 0)
		return false;
	ok = lua_toboolean(L, -1);
	if (!ok)
		sl_fail(err, -1, "returned %s, not true", luaL_typename(L, -1));
	lua_pop(L, 1);
	return ok;
}

static void undo_from(struct sl_state *state, unsigned count)
{
	for (unsigned i = count; i-- > 0;) {
		const struct sl_module *module = &state->modules[i];
		struct sl_err err;

		if ((module->has & SL_CALLOUT_BIT(SL_CO_DEINIT)) &&
		    !call(state, module, SL_CO_DEINIT, &err))
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
		    call(state, module, SL_CO_INIT, &err))
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
