/* Inside callout/: what flow.c (order and verdicts), stages.c (what runs when) and dispatch.c (one
 * callout) share. */
#pragma once

#include "callout/flow.h"
#include "lua/block.h"
#include "lua/handle.h"

struct sl_flow;

/* What the dispatcher found. */
struct sl_result {
	enum sl_outcome outcome;
	long number; /* of hooks that return one */
};

/* What a callout may change, as it was before. */
struct sl_snapshot {
	bool taken;
	bool no_memory;
	bool disconnect;
	int64_t tarpit_us;
	struct sl_reply reply;
	struct sl_headers *headers;
	struct sl_path sender;
	struct sl_path to;
};

/* What a stage is run over. */
enum sl_over { SL_OVER_SESSION, SL_OVER_SHARED, SL_OVER_RCPTS, SL_OVER_OUTGOING };

/* One link of a phase: a callout on every module, over one or several views. */
struct sl_stage {
	enum sl_callout_id id;
	enum sl_over over;
	/* Before the stage and after it, whether or not a callout runs; either may be NULL, `after`
	 * may set the verdict. */
	void (*before)(struct sl_flow *flow);
	void (*after)(struct sl_flow *flow);
};

/* What a session has in its Lua state of a module. */
enum sl_presence {
	SL_ABSENT,  /* no callout of it ran yet */
	SL_PRESENT, /* one ran, so its dealloc is due */
	SL_BEREFT,  /* what it kept went with a lost state: its next callout fails */
};

struct sl_flow {
	struct sl_engine *engine;
	struct sl_session *session;

	/* Lua side, under the slot's lock; slot NULL until the first callout. */
	struct sl_slot *slot;
	unsigned slot_generation; /* that of the state all below belongs to */
	int anchor;		  /* registry reference of a table that keeps all below alive */
	lua_State *thread;	  /* the session's coroutine; NULL: a new one is due */
	struct sl_handle *vctx;
	struct sl_handle *ac;
	unsigned char *presence; /* by module, enum sl_presence */

	/* The cursor. */
	const struct sl_stage *stages; /* of the phase; the last has id SL_CALLOUT_COUNT */
	enum sl_phase phase;
	unsigned unit;	 /* which view of the stage */
	unsigned module; /* next module to run */
	bool done;
	bool recorded; /* the verdict was counted and logged */
	struct sl_verdict verdict;
	const char *decider;	   /* whose callout runs, or ran last */
	const char *blamed;	   /* who set the reply; NULL: nobody yet */
	int64_t deadline_us;	   /* of the phase */
	int64_t again_pause;	   /* us; 0 while the module has not returned AGAIN */
	int64_t callout_us;	   /* inside the callout under the cursor, waits not counted */
	int64_t cpu_us;		   /* CPU time of it, which counts for time_limit */
	struct sl_blocking_op *op; /* what the callout under the cursor waits for; owned */
	bool gone;		   /* the client left while it waited */

	struct sl_snapshot before;    /* the callout under the cursor */
	struct sl_hook_buffer buffer; /* of a hook that fills one; data NULL otherwise */
	char buffer_data[256];	      /* a domain name, RFC 1035, section 2.3.4 */
};

/* The stages of a phase. `own_copy`: of a mail that we submitted ourselves. */
const struct sl_stage *sl_stages_of(enum sl_phase phase, bool own_copy);

/* Records the routing domain in the hook's buffer on the view. Negative errno with a text when it is
 * none, or cannot be handed to the MTA. */
int sl_stage_take_route(struct sl_flow *flow, struct sl_view *view, struct sl_err *err);

/* Ends the phase with that reply. */
void sl_flow_decide_reply(struct sl_flow *flow, enum sl_action action,
			  const struct sl_reply *reply);
void sl_flow_decide(struct sl_flow *flow, int code, const char *text);

/* What a failure of ours answers: error_reply, by default `451 4.3.0 temporary issue, ...`. */
void sl_flow_fail(struct sl_flow *flow);

/* Views of the stage: how many there are, and the n-th (NULL: none, as before MAIL). */
unsigned sl_stage_units(const struct sl_flow *flow, const struct sl_stage *stage);
struct sl_view *sl_stage_view(const struct sl_flow *flow, const struct sl_stage *stage,
			      unsigned unit);
/* Whether the n-th view takes part at all. */
bool sl_stage_skips(const struct sl_flow *flow, const struct sl_stage *stage, unsigned unit);

/* Runs one callout of one module: takes the slot's lock, prepares arguments, runs, interprets the
 * return, logs errors, tells the trace. The module must define the callout. */
struct sl_result sl_dispatch(struct sl_flow *flow, unsigned module, enum sl_callout_id id,
			     struct sl_view *view);

/* Goes on with a callout that waited: flow->op has run. */
struct sl_result sl_dispatch_resume(struct sl_flow *flow, unsigned module, enum sl_callout_id id,
				    struct sl_view *view);

/* Gives up a callout that waits; code and `why` are its error. */
struct sl_result sl_dispatch_give_up(struct sl_flow *flow, unsigned module, enum sl_callout_id id,
				     int code, const char *why);

/* Around a callout whose effect may have to be taken back. In observe mode `end` logs what it did,
 * undoes it, and makes the result one that decides nothing; otherwise it undoes only what a callout
 * did before it failed. Does nothing where `begin` was not called. */
void sl_observe_begin(struct sl_flow *flow, struct sl_view *view);
void sl_observe_end(struct sl_flow *flow, struct sl_view *view, struct sl_result *result);

/* Pins the session to a slot. 0 or -ENOMEM. */
int sl_dispatch_pin(struct sl_flow *flow);

/* Disarms what scripts hold of a view. Like the two that follow, false when the state is stuck: then
 * the C object must stay, since the state may still look at it. */
bool sl_dispatch_forget_view(struct sl_flow *flow, struct sl_view *view);

/* Disarms what scripts hold of the message, or of the session as a whole. */
bool sl_dispatch_forget_message(struct sl_flow *flow);
bool sl_dispatch_forget_session(struct sl_flow *flow);
