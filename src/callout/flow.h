/* flow: the callouts of one session, as a state machine that never waits itself.
 *
 * The adapter begins a phase, then steps until it is done; where a callout must be called again
 * later, a step says how long to wait, and the caller decides how: libmilter's thread sleeps, an
 * event loop sets a timer. Functions here may be called from any thread, one at a time per session;
 * they take and release the slot's lock themselves. */
#pragma once

#include "callout/engine.h"

enum sl_step { SL_STEP_DONE, SL_STEP_WAIT };

/* Starts the callouts of a phase. What the client said must be in the session already. */
void sl_flow_begin(struct sl_engine *engine, struct sl_session *session, enum sl_phase phase);

/* Runs until the verdict is there (SL_STEP_DONE) or it has to wait (*wait_us_r is for how long). */
enum sl_step sl_flow_step(struct sl_session *session, int64_t *wait_us_r);

/* The verdict of the phase; borrowed until the next sl_flow_begin. */
const struct sl_verdict *sl_flow_verdict(const struct sl_session *session);

/* Who decided: the module of the last callout, "" when no callout ran in this phase. */
const char *sl_flow_decider(const struct sl_session *session);

/* After the last phase: takes back what scripts hold of the session, frees the flow. */
void sl_flow_end(struct sl_session *session);

/* Begin and step in this thread, sleeping where a step wants to wait and keeping the MTA patient at
 * the end of a message. For adapters whose thread may block. */
const struct sl_verdict *sl_flow_run(struct sl_engine *engine, struct sl_session *session,
				     enum sl_phase phase);
