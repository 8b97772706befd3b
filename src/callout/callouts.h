/* callouts: what a module may define, one row each: the predefined functions of msys.registerModule
 * and the hooks (manual: "registerModule", "Hook points"). The rows say when each may run, which
 * parameters it gets, and what its result means; everything else follows from them. */
#pragma once

#include "lua/state.h"

enum sl_callout_id {
	SL_CO_INIT,
	SL_CO_DEINIT,
	SL_CO_CONNECT,
	SL_CO_EHLO,
	SL_CO_MAILFROM,
	SL_CO_RCPTTO,
	SL_CO_RCPTTO_LIST,
	SL_CO_RCPTTO_LIST_FINAL,
	SL_CO_DATA,
	SL_CO_DATA_SPOOL,
	SL_CO_EACH_RCPT,
	SL_CO_SET_BINDING,
	SL_CO_DEALLOC,
	SL_HOOK_FINAL_VALIDATION2,
	SL_HOOK_FINAL_VALIDATION,
	SL_HOOK_POST_FINAL_VALIDATION,
	SL_HOOK_ROUTING_DOMAIN,
	SL_CALLOUT_COUNT,
	SL_CALLOUT_NONE = 63, /* a bit that no module has */
};

#define SL_CALLOUT_BIT(id) (1ull << (id))

/* Parameters as the C prototypes of the manual have them, the closure left out. */
enum sl_param {
	SL_P_NONE,    /* ends the list */
	SL_P_COMMAND, /* char **, the command line: an ec_string */
	SL_P_ACCEPT,
	SL_P_VCTX,
	SL_P_MESSAGE,
	SL_P_RCPT_LIST, /* the accepted recipients, an array of addresses */
	SL_P_OPAQUE,	/* a structure that scripts can only pass on */
	SL_P_CHARS,	/* char *; with a SL_P_INT behind it, one bounded ec_string */
	SL_P_INT,
};

enum sl_returns {
	SL_RETURNS_TRUTH,    /* init, deinit: any true value is success */
	SL_RETURNS_VALIDATE, /* VALIDATE_CONT, _DONE, _AGAIN */
	SL_RETURNS_NOTHING,  /* every provider runs, results are ignored */
	SL_RETURNS_FIRST,    /* the first non-zero number ends the chain */
	SL_RETURNS_FINAL,    /* EC_HOOK_CONT, _DONE (reject), _RETRY (tempfail) */
};

#define SL_PARAMS_MAX 6

struct sl_callout {
	const char *name;
	unsigned where; /* the bit of enum sl_where while it runs */
	enum sl_returns returns;
	enum sl_param params[SL_PARAMS_MAX];
};

extern const struct sl_callout sl_callouts[SL_CALLOUT_COUNT];

/* A char buffer that a hook may fill: Lua sees an ec_string of at most size - 1 bytes. */
struct sl_hook_buffer {
	char *data;
	size_t size;
};

/* Finds what each registered module of a loaded state defines. Modules that define nothing known
 * are a warning. Returns 0 or a negative errno. */
int sl_callouts_resolve(struct sl_state *state, struct sl_faults *faults, struct sl_err *err);
