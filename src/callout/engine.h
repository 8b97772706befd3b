/* engine: the scripts of a configuration, loaded and ready to run, for one process. */
#pragma once

#include "callout/callouts.h"
#include "lua/slot.h"
#include "metrics/metrics.h"
#include "session/session.h"

/* How a callout ended, for those who watch. */
enum sl_outcome {
	SL_OUT_CONT,
	SL_OUT_DONE,
	SL_OUT_AGAIN,
	SL_OUT_NONE,
	SL_OUT_ERROR,
	SL_OUT_WAITING, /* it has yielded for a blocking operation: not ended at all */
};

struct sl_trace_event {
	const char *module;
	const char *callout;
	enum sl_outcome outcome;
	const char *error; /* first line is the message; NULL but for SL_OUT_ERROR */
	int64_t us;	   /* wall time inside the callout */
};

/* A module as every state of the engine has it. */
struct sl_module_info {
	char *name;
	unsigned script;
	unsigned long long has;
	unsigned metrics; /* its index there */
};

struct sl_engine {
	const struct sl_config *config;
	struct sl_pool *pool;
	struct sl_module_info *modules; /* in the order they run */
	unsigned module_count;
	unsigned long long has;		/* callouts that some module defines */
	struct sl_metrics_row *metrics; /* where this process counts; NULL: nowhere */
	/* Called after every callout in the thread that ran it; NULL: nobody watches. */
	void (*trace)(void *arg, const struct sl_trace_event *event);
	void *trace_arg;
};

/* Loads every script into `states` fresh states. Faults are those of the first state, the others
 * load the same texts and must come out the same. NULL when there are errors among them. `config`
 * is borrowed. */
struct sl_engine *sl_engine_new(const struct sl_config *config, unsigned states,
				struct sl_faults *faults);

/* Only when no session is left. */
void sl_engine_free(struct sl_engine **engine);

/* One loaded state, for the init process. NULL when there are errors. */
struct sl_state *sl_engine_load_state(const struct sl_config *config, struct sl_faults *faults);

/* What the script of a module may use. */
const struct sl_script_limits *sl_engine_limits(const struct sl_engine *engine, unsigned module);

/* "CONT", "DONE", "AGAIN", "none", "error". */
const char *sl_outcome_name(enum sl_outcome outcome);
