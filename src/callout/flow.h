/* flow: the callouts of one session, as a state machine that never waits itself.
 *
 * The adapter begins a phase, then steps until it is done; where a callout must be called again
 * later, a step says how long to wait, and the caller decides how: libmilter's thread sleeps, an
 * event loop sets a timer. Functions here may be called from any thread, one at a time per session;
 * they take and release the slot's lock themselves. */
#pragma once

#include "callout/engine.h"

enum sl_step {
	SL_STEP_DONE,
	SL_STEP_WAIT,  /* wait that long, then step again */
	SL_STEP_BLOCK, /* a blocking operation is due: sl_flow_block(), then step again */
};

/* Starts the callouts of a phase. What the client said must be in the session already. */
void sl_flow_begin(struct sl_engine *engine, struct sl_session *session, enum sl_phase phase);

/* Runs until the verdict is there (SL_STEP_DONE) or it has to wait (*wait_us_r is for how long). */
enum sl_step sl_flow_step(struct sl_session *session, int64_t *wait_us_r);

/* Runs the blocking operation that the last step asked for, in this thread. `tick` is called every
 * few seconds and may end it by returning false. */
void sl_flow_block(struct sl_session *session, bool (*tick)(void *arg), void *arg);

/* What the session waits for is given up at the next step. */
void sl_flow_client_gone(struct sl_session *session);

/* The verdict of the phase; borrowed until the next sl_flow_begin. */
const struct sl_verdict *sl_flow_verdict(const struct sl_session *session);

/* Who decided: the module that set the reply, or else whose callout ran last; "" when none did. */
const char *sl_flow_decider(const struct sl_session *session);

/* What became of an accepted message when its changes were to be carried out: now it is counted and
 * logged. `ok` false: it is deferred. */
void sl_flow_applied(struct sl_session *session, bool ok);

/* After the last phase: takes back what scripts hold of the session, frees the flow. False when the
 * session's Lua state is held by a callout that cannot be stopped: then the session must not be
 * freed, since the state may still look at it; the process is going to be replaced. */
bool sl_flow_end(struct sl_session *session);

/* Begin and step in this thread, sleeping where a step wants to wait and keeping the MTA patient at
 * the end of a message. For adapters whose thread may block. */
const struct sl_verdict *sl_flow_run(struct sl_engine *engine, struct sl_session *session,
				     enum sl_phase phase);
