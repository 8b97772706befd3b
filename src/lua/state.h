/* state: one Lua interpreter and what C keeps beside it.
 *
 * Ownership: a state belongs to whoever holds its slot's lock (lua/slot.h), or to the one thread of
 * the init process or the simulator. Lua errors leave C by a long jump: every entry from C goes
 * through sl_lua_call or sl_lua_resume, and no code that may raise owns memory or a lock. */
#pragma once

#include "base/err.h"
#include "base/faults.h"
#include "config/config.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdint.h>

#ifndef LUAJIT_VERSION_NUM
#include <luajit.h>
#endif

struct sl_session;
struct sl_view;
struct sl_blocking_op;

/* Where a script is running, one bit each: a method row names the places it may be used in. */
enum sl_where {
	SL_IN_LOAD = 1 << 0, /* file level, while scripts are loaded */
	SL_IN_INIT = 1 << 1, /* init() and deinit() */
	SL_IN_CONNECT = 1 << 2,
	SL_IN_EHLO = 1 << 3,
	SL_IN_MAILFROM = 1 << 4,
	SL_IN_RCPTTO = 1 << 5,
	SL_IN_RCPTTO_LIST = 1 << 6,
	SL_IN_RCPTTO_LIST_FINAL = 1 << 7,
	SL_IN_DATA = 1 << 8,
	SL_IN_DATA_SPOOL = 1 << 9,
	SL_IN_EACH_RCPT = 1 << 10,
	SL_IN_SET_BINDING = 1 << 11,
	SL_IN_FINAL = 1 << 12, /* core_final_validation and its neighbours */
	SL_IN_ROUTING = 1 << 13,
	SL_IN_DEALLOC = 1 << 14,

	SL_IN_ANY = (1 << 15) - 1,
	SL_IN_SESSION = SL_IN_ANY & ~(SL_IN_LOAD | SL_IN_INIT),
	SL_IN_MESSAGE = SL_IN_DATA | SL_IN_DATA_SPOOL | SL_IN_EACH_RCPT,
};

/* What the running callout works on; functions whose msg, vctx or ac argument may be left out take
 * it from here. All zero outside callouts. */
struct sl_bag {
	struct sl_session *session;
	struct sl_view *view;	   /* NULL before there is a message */
	unsigned where;		   /* one of enum sl_where */
	const char *callout;	   /* its name */
	int64_t deadline_us;	   /* on the clock of sl_now_us; 0: none */
	lua_State *thread;	   /* the session's coroutine, which may wait; NULL: nothing may */
	struct sl_blocking_op *op; /* what the coroutine yielded to wait for */
};

/* A module that a script registered. */
struct sl_module {
	char *name;
	unsigned script; /* index of the stanza whose script registered it */
	int table;	 /* registry reference of the module table */
	int self_meta;	 /* registry reference: metatable of `self`, whose __index is that table */
	int *functions;	 /* registry references by callout id; belongs to callout/ */
	unsigned long long has; /* bit per callout id */
};

struct sl_state {
	lua_State *L;
	struct sl_bag bag;
	struct sl_module *modules; /* in the order of the stanzas */
	unsigned module_count;
	unsigned loading; /* index of the script being loaded; registration is possible meanwhile */
	bool lost;	  /* a thread jumped out of it: never to be touched again */
	bool sealed;	  /* loading is over */
	lua_Alloc alloc;  /* Lua's own allocator, which ours counts for */
	void *alloc_arg;
	size_t memory_used;  /* bytes */
	size_t memory_limit; /* bytes; 0: none */
	size_t memory_live;  /* bytes in use after the last collection that sl_state_relieve made */
	const struct sl_config *config; /* borrowed, outlives the state */
};

/* Bytes in a MiB, the unit of memory_limit in the configuration. */
#define SL_MIB ((size_t)1 << 20)

/* A new state with Lua's libraries and, in `package.path`, the directories of `scriptlet.path`.
 * NULL when out of memory. bind/ adds the API. */
struct sl_state *sl_state_new(const struct sl_config *config);
void sl_state_free(struct sl_state **state);

/* Collects garbage when the limit comes near, and has Lua collect more often the less room is left: by
 * itself it would let garbage grow to as much as what lives, and fail with the memory full of it. To
 * be called between callouts; may raise. */
void sl_state_relieve(struct sl_state *state);

/* The state that a lua_State (or any coroutine of it) belongs to. Never raises. */
struct sl_state *sl_state_of(lua_State *L);

/* Registers `name` with the module table at stack index `idx`. -EEXIST when the name is taken,
 * -EPERM when loading is over, -ENOMEM. May raise when Lua is out of memory. */
int sl_state_add_module(struct sl_state *state, const char *name, int idx);
