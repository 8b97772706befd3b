#include "lua/state.h"

#include "lua/call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Address of this is the registry key of the state. */
static const char state_key;

struct sl_state *sl_state_of(lua_State *L)
{
	struct sl_state *state;

	lua_pushlightuserdata(L, (void *)&state_key);
	lua_rawget(L, LUA_REGISTRYINDEX);
	state = lua_touserdata(L, -1);
	lua_pop(L, 1);
	return state;
}

/* Counts for the limit; a shrinking block is never refused. */
static void *counting_alloc(void *arg, void *block, size_t old, size_t wanted)
{
	struct sl_state *state = arg;
	void *result;

	if (wanted > old && state->memory_limit &&
	    (wanted - old > state->memory_limit ||
	     state->memory_used > state->memory_limit - (wanted - old)))
		return NULL;
	result = state->alloc(state->alloc_arg, block, old, wanted);
	if (result || wanted == 0)
		state->memory_used += wanted - old;
	return result;
}

/* LuaJIT's own: a collection starts when memory has grown to so many percent of what lived after the
 * last, and does so many percent of work for what is allocated meanwhile. */
#define GC_PAUSE 200
#define GC_STEPMUL 200
#define GC_STEPMUL_NEAR 800

void sl_state_relieve(struct sl_state *state)
{
	size_t live = state->memory_live;
	size_t left = state->memory_limit > live ? state->memory_limit - live : 0;
	int pause;

	if (!state->memory_limit || state->memory_used < state->memory_limit / 2 ||
	    state->memory_used < live + left / 3)
		return;
	lua_gc(state->L, LUA_GCCOLLECT, 0);
	live = state->memory_live = state->memory_used;
	left = state->memory_limit > live ? state->memory_limit - live : 0;
	pause = (int)((live + left / 3) / (live / 100 + 1));
	lua_gc(state->L, LUA_GCSETPAUSE, pause < GC_PAUSE ? pause : GC_PAUSE);
	lua_gc(state->L, LUA_GCSETSTEPMUL, pause < GC_PAUSE ? GC_STEPMUL_NEAR : GC_STEPMUL);
}

static void count_memory(struct sl_state *state)
{
	lua_State *L = state->L;

	state->memory_used = (size_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024 +
			     (size_t)lua_gc(L, LUA_GCCOUNTB, 0);
	state->alloc = lua_getallocf(L, &state->alloc_arg);
	lua_setallocf(L, counting_alloc, state);
}

/* Site modules are found where scripts are, before Debian's. */
static void set_package_path(lua_State *L, const struct sl_strings *path)
{
	luaL_Buffer list;

	luaL_buffinit(L, &list);
	for (unsigned i = 0; i < path->count; i++) {
		luaL_addstring(&list, path->list[i]);
		luaL_addstring(&list, "/?.lua;");
		luaL_addstring(&list, path->list[i]);
		luaL_addstring(&list, "/?/init.lua;");
	}
	lua_getglobal(L, "package");
	lua_getfield(L, -1, "path");
	lua_insert(L, -2);
	lua_pop(L, 1);
	luaL_addvalue(&list);
	luaL_pushresult(&list);
	lua_getglobal(L, "package");
	lua_insert(L, -2);
	lua_setfield(L, -2, "path");
	lua_pop(L, 1);
}

static int open_state(lua_State *L)
{
	struct sl_state *state = lua_touserdata(L, 1);

	lua_pushlightuserdata(L, (void *)&state_key);
	lua_pushlightuserdata(L, state);
	lua_rawset(L, LUA_REGISTRYINDEX);
	sl_lua_call_setup(L);
	luaL_openlibs(L);
	set_package_path(L, &state->config->scriptlet.path);
	return 0;
}

struct sl_state *sl_state_new(const struct sl_config *config)
{
	struct sl_state *state = calloc(1, sizeof(*state));
	struct sl_err err;

	if (!state)
		return NULL;
	state->config = config;
	state->memory_limit = (size_t)config->scriptlet.limits.memory_limit * SL_MIB;
	state->L = luaL_newstate();
	if (state->L)
		count_memory(state);
	if (!state->L || sl_lua_enter(state->L, open_state, state, &err) < 0)
		sl_state_free(&state);
	return state;
}

void sl_state_free(struct sl_state **state)
{
	struct sl_state *s = *state;

	*state = NULL;
	if (!s)
		return;
	if (s->lost)
		return; /* leaked on purpose: its memory is in no known shape */
	if (s->L)
		lua_close(s->L);
	for (unsigned i = 0; i < s->module_count; i++) {
		free(s->modules[i].name);
		free(s->modules[i].functions);
	}
	free(s->modules);
	free(s);
}

int sl_state_add_module(struct sl_state *state, const char *name, int idx)
{
	lua_State *L = state->L;
	struct sl_module *list;
	char *copy;
	int table;

	if (state->sealed)
		return -EPERM;
	for (unsigned i = 0; i < state->module_count; i++)
		if (strcmp(state->modules[i].name, name) == 0)
			return -EEXIST;
	lua_pushvalue(L, idx);
	table = luaL_ref(L, LUA_REGISTRYINDEX); /* the last thing here that can raise */
	list = realloc(state->modules, (state->module_count + 1) * sizeof(*list));
	if (list)
		state->modules = list;
	copy = list ? strdup(name) : NULL;
	if (!copy)
		return -ENOMEM;
	list[state->module_count++] = (struct sl_module){ .name = copy,
							  .script = state->loading,
							  .table = table };
	return 0;
}
