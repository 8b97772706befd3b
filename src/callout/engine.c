#include "callout/engine.h"

#include "bind/bind.h"
#include "lua/loader.h"

#include <stdlib.h>
#include <string.h>

struct sl_state *sl_engine_load_state(const struct sl_config *config, struct sl_faults *faults)
{
	struct sl_state *state = sl_state_new(config);
	struct sl_err err;

	if (!state) {
		sl_faults_add(faults, NULL, 0, "out of memory for a Lua state");
		return NULL;
	}
	if (sl_bind_api(state, &err) < 0) {
		sl_faults_add(faults, NULL, 0, "cannot set up the Lua API: %s", err.text);
	} else {
		sl_scripts_load(state, faults);
		if (faults->errors == 0 && sl_callouts_resolve(state, faults, &err) < 0)
			sl_faults_add(faults, NULL, 0, "cannot resolve the callouts: %s", err.text);
		if (config->scriptlet.strict)
			sl_faults_make_strict(faults);
	}
	if (faults->errors)
		sl_state_free(&state);
	return state;
}

static void free_modules(struct sl_engine *engine)
{
	for (unsigned i = 0; i < engine->module_count; i++)
		free(engine->modules[i].name);
	free(engine->modules);
}

static bool take_modules(struct sl_engine *engine, const struct sl_state *state)
{
	engine->modules = calloc(state->module_count + 1, sizeof(*engine->modules));
	for (unsigned i = 0; engine->modules && i < state->module_count; i++) {
		const struct sl_module *module = &state->modules[i];

		engine->modules[i] = (struct sl_module_info){ .name = strdup(module->name),
							      .script = module->script,
							      .has = module->has };
		if (!engine->modules[i].name)
			return false;
		engine->module_count = i + 1;
		engine->has |= module->has;
	}
	return engine->modules != NULL;
}

/* Sessions are pinned to any state: a script that registers by chance cannot be served. */
static bool same_modules(const struct sl_engine *engine, const struct sl_state *state,
			 struct sl_faults *faults)
{
	bool same = engine->module_count == state->module_count;

	for (unsigned i = 0; same && i < state->module_count; i++)
		same = strcmp(engine->modules[i].name, state->modules[i].name) == 0 &&
		       engine->modules[i].has == state->modules[i].has;
	if (!same)
		sl_faults_add(faults, NULL, 0,
			      "the scripts do not register the same modules in every Lua state");
	return same;
}

struct sl_engine *sl_engine_new(const struct sl_config *config, unsigned count,
				struct sl_faults *faults)
{
	struct sl_state **states = calloc(count, sizeof(struct sl_state *));
	struct sl_engine *engine = calloc(1, sizeof(*engine));

	if (!states || !engine)
		goto fail;
	engine->config = config;
	for (unsigned i = 0; i < count; i++) {
		struct sl_faults again = { 0 };

		states[i] = sl_engine_load_state(config, i == 0 ? faults : &again);
		sl_faults_deinit(&again);
		if (!states[i])
			goto fail;
		if (i == 0 ? !take_modules(engine, states[0])
			   : !same_modules(engine, states[i], faults))
			goto fail;
	}
	engine->pool = sl_pool_new(states, count);
	if (!engine->pool)
		goto fail;
	free(states);
	return engine;
fail:
	if (!faults->errors)
		sl_faults_add(faults, NULL, 0, "cannot load the scripts into %u Lua states", count);
	for (unsigned i = 0; states && i < count; i++)
		sl_state_free(&states[i]);
	free(states);
	if (engine)
		free_modules(engine);
	free(engine);
	return NULL;
}

void sl_engine_free(struct sl_engine **engine)
{
	if (!*engine)
		return;
	sl_pool_free(&(*engine)->pool);
	free_modules(*engine);
	free(*engine);
	*engine = NULL;
}

const struct sl_script_limits *sl_engine_limits(const struct sl_engine *engine, unsigned module)
{
	return &engine->config->scriptlet.scripts[engine->modules[module].script].limits;
}

const char *sl_outcome_name(enum sl_outcome outcome)
{
	static const char *const names[] = { "CONT", "DONE", "AGAIN", "none", "error", "waiting" };

	return names[outcome];
}
