#include "callout/callouts.h"

#include "lua/call.h"

#include <errno.h>
#include <stdlib.h>

const struct sl_callout sl_callouts[SL_CALLOUT_COUNT] = {
	[SL_CO_INIT] = { "init", SL_IN_INIT, SL_RETURNS_TRUTH, { SL_P_NONE } },
	[SL_CO_DEINIT] = { "deinit", SL_IN_INIT, SL_RETURNS_TRUTH, { SL_P_NONE } },
	[SL_CO_CONNECT] = { "validate_connect",
			    SL_IN_CONNECT,
			    SL_RETURNS_VALIDATE,
			    { SL_P_ACCEPT, SL_P_VCTX } },
	[SL_CO_EHLO] = { "validate_ehlo",
			 SL_IN_EHLO,
			 SL_RETURNS_VALIDATE,
			 { SL_P_COMMAND, SL_P_ACCEPT, SL_P_VCTX } },
	[SL_CO_MAILFROM] = { "validate_mailfrom",
			     SL_IN_MAILFROM,
			     SL_RETURNS_VALIDATE,
			     { SL_P_COMMAND, SL_P_ACCEPT, SL_P_VCTX } },
	[SL_CO_RCPTTO] = { "validate_rcptto",
			   SL_IN_RCPTTO,
			   SL_RETURNS_VALIDATE,
			   { SL_P_MESSAGE, SL_P_COMMAND, SL_P_ACCEPT, SL_P_VCTX } },
	[SL_CO_RCPTTO_LIST] = { "validate_rcptto_list",
				SL_IN_RCPTTO_LIST,
				SL_RETURNS_VALIDATE,
				{ SL_P_RCPT_LIST, SL_P_VCTX } },
	[SL_CO_RCPTTO_LIST_FINAL] = { "validate_rcptto_list_final",
				      SL_IN_RCPTTO_LIST_FINAL,
				      SL_RETURNS_VALIDATE,
				      { SL_P_RCPT_LIST, SL_P_VCTX } },
	[SL_CO_DATA] = { "validate_data",
			 SL_IN_DATA,
			 SL_RETURNS_VALIDATE,
			 { SL_P_MESSAGE, SL_P_ACCEPT, SL_P_VCTX } },
	[SL_CO_DATA_SPOOL] = { "validate_data_spool",
			       SL_IN_DATA_SPOOL,
			       SL_RETURNS_VALIDATE,
			       { SL_P_MESSAGE, SL_P_ACCEPT, SL_P_VCTX } },
	[SL_CO_EACH_RCPT] = { "validate_data_spool_each_rcpt",
			      SL_IN_EACH_RCPT,
			      SL_RETURNS_VALIDATE,
			      { SL_P_MESSAGE, SL_P_ACCEPT, SL_P_VCTX } },
	[SL_CO_SET_BINDING] = { "validate_set_binding",
				SL_IN_SET_BINDING,
				SL_RETURNS_VALIDATE,
				{ SL_P_MESSAGE } },
	[SL_CO_DEALLOC] = { "validate_dealloc", SL_IN_DEALLOC, SL_RETURNS_NOTHING, { SL_P_NONE } },
	[SL_HOOK_FINAL_VALIDATION2] = { "core_final_validation2",
					SL_IN_FINAL,
					SL_RETURNS_FINAL,
					{ SL_P_MESSAGE, SL_P_ACCEPT, SL_P_VCTX } },
	[SL_HOOK_FINAL_VALIDATION] = { "core_final_validation",
				       SL_IN_FINAL,
				       SL_RETURNS_NOTHING,
				       { SL_P_MESSAGE, SL_P_ACCEPT, SL_P_VCTX } },
	[SL_HOOK_POST_FINAL_VALIDATION] = { "core_post_final_validation",
					    SL_IN_FINAL,
					    SL_RETURNS_NOTHING,
					    { SL_P_MESSAGE, SL_P_ACCEPT, SL_P_VCTX } },
	[SL_HOOK_ROUTING_DOMAIN] = { "core_config_get_message_routing_domain",
				     SL_IN_ROUTING,
				     SL_RETURNS_FIRST,
				     { SL_P_OPAQUE, SL_P_MESSAGE, SL_P_CHARS, SL_P_INT } },
};

/* The functions of one module, as registry references. The arrays were made before: only Lua's own
 * memory is taken here. */
static int resolve_module(lua_State *L)
{
	struct sl_module *module = lua_touserdata(L, 1);

	lua_rawgeti(L, LUA_REGISTRYINDEX, module->table);
	for (int id = 0; id < SL_CALLOUT_COUNT; id++) {
		lua_getfield(L, 2, sl_callouts[id].name);
		if (lua_isfunction(L, -1)) {
			module->functions[id] = luaL_ref(L, LUA_REGISTRYINDEX);
			module->has |= SL_CALLOUT_BIT(id);
		} else {
			lua_pop(L, 1);
		}
	}
	lua_createtable(L, 0, 1);
	lua_pushvalue(L, 2);
	lua_setfield(L, -2, "__index");
	module->self_meta = luaL_ref(L, LUA_REGISTRYINDEX);
	return 0;
}

int sl_callouts_resolve(struct sl_state *state, struct sl_faults *faults, struct sl_err *err)
{
	for (unsigned i = 0; i < state->module_count; i++) {
		struct sl_module *module = &state->modules[i];
		const struct sl_script_conf *script =
			&state->config->scriptlet.scripts[module->script];
		int rc;

		module->functions = calloc(SL_CALLOUT_COUNT, sizeof(int));
		if (!module->functions)
			return sl_fail_nomem(err);
		rc = sl_lua_enter(state->L, resolve_module, module, err);
		if (rc < 0)
			return rc;
		if (!module->has)
			sl_faults_warn(faults, script->file, script->line,
				       "no usable methods found for module %s in registerModule "
				       "call",
				       module->name);
	}
	return 0;
}
