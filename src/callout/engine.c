#include "callout/engine.h"

#include "bind/bind.h"
#include "lua/loader.h"

#include <stdlib.h>

struct sl_state *sl_engine_load_state(const struct sl_config *config, bool init,
				      struct sl_faults *faults)
{
	struct sl_state *state = sl_state_new(config, init);
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

		states[i] = sl_engine_load_state(config, false, i == 0 ? faults : &again);
		sl_faults_deinit(&again);
		if (!states[i])
			goto fail;
		engine->has |= sl_callouts_of(states[i]);
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
	free(engine);
	return NULL;
}

void sl_engine_free(struct sl_engine **engine)
{
	if (!*engine)
		return;
	sl_pool_free(&(*engine)->pool);
	free(*engine);
	*engine = NULL;
}

const char *sl_outcome_name(enum sl_outcome outcome)
{
	static const char *const names[] = { "CONT", "DONE", "AGAIN", "none", "error" };

	return names[outcome];
}
