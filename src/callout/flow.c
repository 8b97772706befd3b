/* The order of callouts within a phase and the verdict that comes of them. */
#include "callout/flow_priv.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AGAIN_PAUSE_FIRST 10000 /* us */
#define AGAIN_PAUSE_MAX 1000000 /* us */

static const char *who(const struct sl_flow *flow)
{
	const char *name = sl_flow_decider(flow->session);

	return *name ? name : "none";
}

void sl_flow_decide_reply(struct sl_flow *flow, enum sl_action action, const struct sl_reply *reply)
{
	struct sl_log_ids ids = sl_session_ids(flow->session);

	flow->done = true;
	flow->verdict.action = action;
	/* without memory for the words, the code alone is still the right answer */
	if (sl_reply_copy(reply, &flow->verdict.reply) < 0)
		flow->verdict.reply = (struct sl_reply){ .code = reply->code };
	sl_log_for(&ids, LOG_INFO, "policy", "%s: %s %d %s%s%s (module %s)",
		   sl_phase_name(flow->phase), sl_action_name(action), reply->code, reply->xcode,
		   reply->xcode[0] ? " " : "", reply->text ? reply->text : "", who(flow));
}

void sl_flow_decide(struct sl_flow *flow, int code, const char *text)
{
	struct sl_reply reply = SL_REPLY_ZERO;

	if (sl_reply_set(&reply, code, text, NULL) < 0)
		reply.code = code;
	sl_flow_decide_reply(flow, sl_reply_action(&reply), &reply);
	sl_reply_deinit(&reply);
}

void sl_flow_fail(struct sl_flow *flow)
{
	const char *reply = flow->engine->config->scriptlet.limits.error_reply;

	sl_flow_decide(flow, atoi(reply), reply + 4);
}

static bool message_ending(struct sl_session *session)
{
	return sl_dispatch_forget_message(session->flow);
}

static struct sl_flow *flow_of(struct sl_engine *engine, struct sl_session *session)
{
	struct sl_flow *flow = session->flow;

	if (flow)
		return flow;
	flow = calloc(1, sizeof(*flow));
	if (!flow)
		return NULL;
	flow->engine = engine;
	flow->session = session;
	flow->anchor = LUA_NOREF;
	session->flow = flow;
	session->message_ending = message_ending;
	return flow;
}

static void fresh_reply(struct sl_flow *flow)
{
	flow->blamed = NULL;
	sl_reply_deinit(&flow->session->reply);
	flow->session->disconnect = false;
}

/* What is settled before any callout runs. */
static void check_preconditions(struct sl_flow *flow)
{
	struct sl_session *session = flow->session;

	if (flow->phase == SL_PHASE_CLOSE || session->trusted_copy)
		return;
	if (session->refusal.action != SL_CONTINUE) {
		flow->done = true;
		flow->verdict.action = session->refusal.action;
		if (sl_reply_copy(&session->refusal.reply, &flow->verdict.reply) < 0)
			flow->verdict.reply.code = session->refusal.reply.code;
	} else if (flow->phase == SL_PHASE_EOM && session->msg->too_big) {
		sl_flow_decide(flow, 552, "5.3.4 the message header is too big");
	} else if (flow->phase == SL_PHASE_EOM && session->msg->incomplete) {
		sl_flow_fail(flow); /* why was logged when it happened */
	}
}

static void enter_stage(struct sl_flow *flow)
{
	flow->unit = 0;
	flow->module = 0;
	flow->again_pause = 0;
	fresh_reply(flow);
	if (flow->stages->before)
		flow->stages->before(flow);
}

/* One milter command has one time limit, however many modules share it: the MTA's is one, too. The
 * most patient script counts. */
static int64_t phase_timeout(const struct sl_engine *engine, enum sl_phase phase)
{
	int timeout = 0;

	for (unsigned i = 0; i < engine->module_count; i++) {
		const struct sl_script_limits *limits = sl_engine_limits(engine, i);
		int seconds = phase == SL_PHASE_EOM ? limits->eom_timeout : limits->callout_timeout;

		if (seconds > timeout)
			timeout = seconds;
	}
	return (int64_t)timeout * 1000000;
}

void sl_flow_begin(struct sl_engine *engine, struct sl_session *session, enum sl_phase phase)
{
	struct sl_flow *flow = flow_of(engine, session);

	if (!flow)
		return;
	sl_reply_deinit(&flow->verdict.reply);
	flow->verdict = SL_VERDICT_CONTINUE;
	flow->phase = phase;
	flow->done = false;
	flow->gone = false;
	flow->recorded = false;
	flow->session->tarpit_us = 0;
	flow->deadline_us = sl_now_us() + phase_timeout(engine, phase);
	flow->decider = NULL;
	flow->stages = sl_stages_of(phase, session->trusted_copy);
	check_preconditions(flow);
	if (flow->stages->id == SL_CALLOUT_COUNT)
		flow->done = true;
	if (!flow->done)
		enter_stage(flow);
}

/* A refused connection or EHLO stays refused whatever the client sends next. */
static void remember_refusal(struct sl_flow *flow)
{
	struct sl_session *session = flow->session;
	bool whole = session->disconnect || flow->phase == SL_PHASE_CONNECT;

	if (!whole && flow->phase != SL_PHASE_EHLO)
		return;
	session->refusal.action = flow->verdict.action;
	session->refused_in = whole ? SL_PHASE_CONNECT : SL_PHASE_EHLO;
	if (sl_reply_copy(&flow->verdict.reply, &session->refusal.reply) < 0)
		session->refusal.reply.code = flow->verdict.reply.code;
}

/* A refusal concerns the recipient whose view was looked at, or everybody; a connection that is to
 * be closed takes everybody with it. */
static void judge_unit(struct sl_flow *flow)
{
	struct sl_session *session = flow->session;
	enum sl_action action = sl_reply_action(&session->reply);
	struct sl_log_ids ids = sl_session_ids(session);

	if (action == SL_CONTINUE) {
		if (session->reply.code)
			sl_log_for(&ids, LOG_DEBUG, "policy",
				   "%s: a milter cannot send the reply %d %s, taken as accepted",
				   sl_phase_name(flow->phase), session->reply.code,
				   session->reply.text ? session->reply.text : "");
		return;
	}
	if (flow->stages->over >= SL_OVER_RCPTS && session->msg->view_count &&
	    !session->disconnect) {
		struct sl_message *msg = session->msg;

		for (unsigned i = 0; i < msg->view_count; i++) {
			struct sl_view *view = &msg->views[i];
			bool concerned = i == flow->unit ||
					 (flow->stages->over == SL_OVER_OUTGOING &&
					  view->verdict.action == SL_CONTINUE &&
					  view->group == flow->unit);

			if (!concerned)
				continue;
			view->verdict.action = action;
			if (sl_reply_copy(&session->reply, &view->verdict.reply) < 0)
				view->verdict.reply.code = session->reply.code;
		}
		return;
	}
	sl_flow_decide_reply(flow, action, &session->reply);
	remember_refusal(flow);
}

static void next_unit(struct sl_flow *flow)
{
	judge_unit(flow);
	flow->module = 0;
	flow->unit++;
	if (!flow->done)
		fresh_reply(flow);
}

static void next_stage(struct sl_flow *flow)
{
	if (flow->stages->after)
		flow->stages->after(flow);
	if (flow->done)
		return;
	flow->stages++;
	if (flow->stages->id == SL_CALLOUT_COUNT)
		flow->done = true;
	else
		enter_stage(flow);
}

/* The pending reply of a hook that refuses by its return value. */
static void refuse_by_number(struct sl_flow *flow, long number)
{
	struct sl_session *session = flow->session;
	int class = number == 1 ? 5 : 4;

	if (session->reply.code / 100 == class)
		return;
	if (sl_reply_set(&session->reply, class == 5 ? 550 : 451,
			 class == 5 ? "5.7.1 message refused by policy"
				    : "4.7.1 message deferred by policy",
			 NULL) < 0)
		session->reply.code = class == 5 ? 550 : 451;
}

static void take_route(struct sl_flow *flow, struct sl_view *view)
{
	struct sl_log_ids ids = sl_session_ids(flow->session);
	struct sl_err err;

	if (sl_stage_take_route(flow, view, &err) < 0) {
		sl_log_for(&ids, LOG_ERR, "scriptlet", "%s: module %s: %s",
			   sl_callouts[SL_HOOK_ROUTING_DOMAIN].name, flow->decider, err.text);
		sl_flow_fail(flow);
	}
}

static void set_reply(struct sl_flow *flow, int code, const char *text)
{
	struct sl_session *session = flow->session;

	if (sl_reply_set(&session->reply, code, text, NULL) < 0) {
		sl_reply_deinit(&session->reply);
		session->reply.code = code;
	}
}

/* What the failure of a callout means is its script's to say; a refusal concerns the recipient whose
 * view was looked at, or everybody, like any other. */
static void apply_error_policy(struct sl_flow *flow)
{
	const struct sl_script_limits *limits = sl_engine_limits(flow->engine, flow->module);

	if (flow->stages->id == SL_CO_DEALLOC || limits->on_error == SL_ON_ERROR_ACCEPT) {
		flow->module++;
		return;
	}
	flow->blamed = flow->decider;
	if (limits->on_error == SL_ON_ERROR_REJECT) {
		set_reply(flow, 550, "5.7.1 message refused by policy");
		flow->module = flow->engine->module_count; /* the chain ends; the reply is judged */
		return;
	}
	/* one 4xx defers the message: there is nothing left to ask for other recipients */
	sl_flow_decide(flow, atoi(limits->error_reply), limits->error_reply + 4);
	remember_refusal(flow);
}

/* Moves the cursor by what a callout returned. */
static void advance(struct sl_flow *flow, const struct sl_result *result, struct sl_view *view)
{
	const struct sl_callout *callout = &sl_callouts[flow->stages->id];

	flow->again_pause = 0;
	if (result->outcome == SL_OUT_ERROR) {
		apply_error_policy(flow);
		return;
	}
	if (callout->returns == SL_RETURNS_FINAL && result->number)
		refuse_by_number(flow, result->number);
	if (flow->stages->id == SL_HOOK_ROUTING_DOMAIN && result->number)
		take_route(flow, view);
	flow->module++;
	if (result->outcome == SL_OUT_DONE)
		flow->module = flow->engine->module_count;
}

/* The phase has used up its time, or the client has gone. */
static bool give_up_waiting(struct sl_flow *flow, struct sl_view *view, const char *what)
{
	struct sl_result result;
	char why[128];

	if (!flow->gone && sl_now_us() < flow->deadline_us)
		return false;
	snprintf(why, sizeof(why),
		 flow->gone ? "the client left while the callout waited" : "%s: %s",
		 flow->phase == SL_PHASE_EOM ? "eom_timeout" : "callout_timeout", what);
	result = sl_dispatch_give_up(flow, flow->module, flow->stages->id,
				     flow->gone ? -ECONNRESET : -ETIMEDOUT, why);
	sl_observe_end(flow, view, &result);
	advance(flow, &result, view);
	return true;
}

static int64_t again_pause(struct sl_flow *flow)
{
	int64_t left = flow->deadline_us - sl_now_us();

	flow->again_pause = flow->again_pause ? flow->again_pause * 2 : AGAIN_PAUSE_FIRST;
	if (flow->again_pause > AGAIN_PAUSE_MAX)
		flow->again_pause = AGAIN_PAUSE_MAX;
	return flow->again_pause < left ? flow->again_pause : left;
}

static bool has_callout(const struct sl_flow *flow)
{
	enum sl_callout_id id = flow->stages->id;

	return (flow->engine->modules[flow->module].has & SL_CALLOUT_BIT(id)) &&
	       (id != SL_CO_DEALLOC || flow->presence[flow->module] == SL_PRESENT);
}

/* Runs the module under the cursor, or goes on with it after a wait. */
static enum sl_step run_module(struct sl_flow *flow, int64_t *wait_us_r)
{
	enum sl_callout_id id = flow->stages->id;
	const struct sl_script_limits *limits = sl_engine_limits(flow->engine, flow->module);
	struct sl_view *view = sl_stage_view(flow, flow->stages, flow->unit);
	struct sl_result result;

	if (flow->op) {
		if (give_up_waiting(flow, view, "the callout waited longer than it may"))
			return SL_STEP_DONE;
		result = sl_dispatch_resume(flow, flow->module, id, view);
	} else {
		if (flow->again_pause &&
		    give_up_waiting(flow, view,
				    "the callout returned VALIDATE_AGAIN until the end"))
			return SL_STEP_DONE;
		flow->decider = flow->engine->modules[flow->module].name;
		flow->session->reply_touched = false;
		flow->buffer_data[0] = '\0';
		if (limits->mode == SL_MODE_OBSERVE || limits->on_error == SL_ON_ERROR_ACCEPT)
			sl_observe_begin(flow, view);
		result = sl_dispatch(flow, flow->module, id, view);
	}
	if (result.outcome == SL_OUT_WAITING)
		return SL_STEP_BLOCK;
	sl_observe_end(flow, view, &result);
	if (flow->session->reply_touched)
		flow->blamed = flow->decider;
	if (result.outcome == SL_OUT_AGAIN) {
		*wait_us_r = again_pause(flow);
		return SL_STEP_WAIT;
	}
	advance(flow, &result, view);
	return SL_STEP_DONE;
}

/* A tarpit holds the answer, not the script; never beyond what the MTA puts up with. */
static enum sl_step hold_answer(struct sl_flow *flow, int64_t *wait_us_r)
{
	int64_t left = flow->deadline_us - sl_now_us();
	int64_t wait = flow->session->tarpit_us < left ? flow->session->tarpit_us : left;

	flow->session->tarpit_us = 0;
	if (wait <= 0)
		return SL_STEP_DONE;
	*wait_us_r = wait;
	return SL_STEP_WAIT;
}

/* The verdict is there: it is counted, and one line says what became of a message. */
static void record(struct sl_flow *flow)
{
	struct sl_metrics_row *row = flow->engine->metrics;
	struct sl_session *session = flow->session;
	struct sl_log_ids ids = sl_session_ids(session);
	int code = flow->verdict.action == SL_CONTINUE ? 0 : flow->verdict.reply.code;

	flow->recorded = true;
	if (row && code < SL_METRICS_CODES)
		sl_count(&row->replies[flow->phase][code]);
	if (flow->phase != SL_PHASE_EOM)
		return;
	if (row)
		sl_count(&row->messages);
	sl_log_for(&ids, LOG_INFO, "message", "from=<%s> nrcpt=%u verdict=%s%s%s",
		   sl_path_addr(&session->msg->sender), session->msg->rcpt_count,
		   flow->verdict.action == SL_CONTINUE ? "accept"
						       : sl_action_name(flow->verdict.action),
		   flow->verdict.action == SL_CONTINUE ? "" : " module=",
		   flow->verdict.action == SL_CONTINUE ? "" : who(flow));
}

/* Whether an accepted message leaves is not known before its changes were carried out. */
static enum sl_step finish(struct sl_flow *flow, int64_t *wait_us_r)
{
	bool to_be_applied = flow->phase == SL_PHASE_EOM && flow->verdict.action == SL_CONTINUE;

	if (!flow->recorded && !to_be_applied)
		record(flow);
	return hold_answer(flow, wait_us_r);
}

void sl_flow_applied(struct sl_session *session, bool ok)
{
	struct sl_flow *flow = session->flow;

	if (!flow)
		return;
	if (!ok) {
		flow->verdict.action = SL_TEMPFAIL;
		flow->verdict.reply.code = 451;
		flow->blamed = NULL;
		flow->decider = NULL; /* no script's doing */
	}
	record(flow);
}

enum sl_step sl_flow_step(struct sl_session *session, int64_t *wait_us_r)
{
	struct sl_flow *flow = session->flow;

	if (!flow)
		return SL_STEP_DONE;
	while (!flow->done) {
		const struct sl_stage *stage = flow->stages;
		bool nobody = !(flow->engine->has & SL_CALLOUT_BIT(stage->id)) ||
			      (stage->id == SL_CO_DEALLOC && !flow->slot);
		enum sl_step step = SL_STEP_DONE;

		if (nobody || flow->unit >= sl_stage_units(flow, stage))
			next_stage(flow);
		else if (sl_dispatch_pin(flow) < 0)
			sl_flow_fail(flow);
		else if (flow->module >= flow->engine->module_count ||
			 sl_stage_skips(flow, stage, flow->unit))
			next_unit(flow);
		else if (!has_callout(flow))
			flow->module++;
		else
			step = run_module(flow, wait_us_r);
		if (step != SL_STEP_DONE)
			return step;
	}
	return finish(flow, wait_us_r);
}

void sl_flow_block(struct sl_session *session, bool (*tick)(void *arg), void *arg)
{
	struct sl_flow *flow = session->flow;
	struct sl_block_env env = { .deadline_us = flow->deadline_us, .tick = tick, .arg = arg };

	flow->op->run(flow->op, &env);
}

void sl_flow_client_gone(struct sl_session *session)
{
	if (session->flow)
		session->flow->gone = true;
}

const struct sl_verdict *sl_flow_verdict(const struct sl_session *session)
{
	static const struct sl_verdict no_memory = { SL_TEMPFAIL, { 451, "4.3.0", NULL } };

	return session->flow ? &session->flow->verdict : &no_memory;
}

const char *sl_flow_decider(const struct sl_session *session)
{
	const struct sl_flow *flow = session->flow;

	if (flow && flow->blamed)
		return flow->blamed;
	return flow && flow->decider ? flow->decider : "";
}

bool sl_flow_end(struct sl_session *session)
{
	struct sl_flow *flow = session->flow;

	if (!flow)
		return true;
	sl_session_end_message(session);
	if (!sl_dispatch_forget_session(flow))
		return false;
	sl_reply_deinit(&flow->verdict.reply);
	free(flow);
	session->flow = NULL;
	session->message_ending = NULL;
	return true;
}

/* Keeps the MTA patient where it can be; false when it has gone. */
static bool tick(void *arg)
{
	struct sl_session *session = arg;

	if (session->flow->phase != SL_PHASE_EOM ||
	    session->port->keepalive(session->port_ctx) == 0)
		return true;
	sl_flow_client_gone(session);
	return false;
}

const struct sl_verdict *sl_flow_run(struct sl_engine *engine, struct sl_session *session,
				     enum sl_phase phase)
{
	enum sl_step step;
	int64_t wait_us;

	sl_flow_begin(engine, session, phase);
	while ((step = sl_flow_step(session, &wait_us)) != SL_STEP_DONE) {
		struct sl_block_env env = { .tick = tick, .arg = session };

		if (step == SL_STEP_BLOCK)
			sl_flow_block(session, tick, session);
		else
			sl_block_sleep(&env, wait_us);
	}
	return sl_flow_verdict(session);
}
