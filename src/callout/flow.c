/* The order of callouts within a phase and the verdict that comes of them. */
#include "callout/flow_priv.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define AGAIN_PAUSE_FIRST 10000	 /* us */
#define AGAIN_PAUSE_MAX 1000000	 /* us */
#define KEEPALIVE_EVERY 10000000 /* us; Postfix gives a milter 300 s at the end of a message */

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
		   reply->xcode[0] ? " " : "", reply->text ? reply->text : "",
		   flow->decider ? flow->decider : "none");
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
	sl_flow_decide(flow, 451, "4.3.0 temporary issue, please retry your message later");
}

static void message_ending(struct sl_session *session)
{
	sl_dispatch_forget_message(session->flow);
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
		sl_flow_decide(flow, 452, "4.3.1 insufficient storage, please retry later");
	}
}

static void enter_stage(struct sl_flow *flow)
{
	flow->unit = 0;
	flow->module = 0;
	flow->again_until = 0;
	fresh_reply(flow);
	if (flow->stages->before)
		flow->stages->before(flow);
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

/* Moves the cursor by what a callout returned; true when the caller has to wait first. */
static bool advance(struct sl_flow *flow, const struct sl_result *result, struct sl_view *view)
{
	const struct sl_callout *callout = &sl_callouts[flow->stages->id];
	bool chain_over = result->outcome == SL_OUT_DONE;

	if (result->outcome == SL_OUT_AGAIN)
		return true;
	flow->again_until = 0;
	if (result->outcome == SL_OUT_ERROR) {
		if (callout->where == SL_IN_DEALLOC) {
			flow->module++; /* nothing is left to decide: the others clean up too */
			return false;
		}
		sl_flow_fail(flow);
		remember_refusal(flow);
		return false;
	}
	if (callout->returns == SL_RETURNS_FINAL && result->number)
		refuse_by_number(flow, result->number);
	if (flow->stages->id == SL_HOOK_ROUTING_DOMAIN && result->number)
		take_route(flow, view);
	flow->module++;
	if (chain_over)
		flow->module = flow->slot->state->module_count;
	return false;
}

static enum sl_step wait_again(struct sl_flow *flow, int64_t *wait_us_r)
{
	struct sl_log_ids ids = sl_session_ids(flow->session);
	int64_t now = sl_now_us();
	int timeout = flow->engine->config->scriptlet.callout_timeout;

	if (!flow->again_until) {
		flow->again_until = now + (int64_t)timeout * 1000000;
		flow->again_pause = AGAIN_PAUSE_FIRST;
	}
	if (now >= flow->again_until) {
		sl_log_for(&ids, LOG_ERR, "scriptlet",
			   "%s: module %s returned VALIDATE_AGAIN for longer than callout_timeout "
			   "(%d s)",
			   sl_callouts[flow->stages->id].name, flow->decider, timeout);
		sl_flow_fail(flow);
		remember_refusal(flow);
		return SL_STEP_DONE;
	}
	*wait_us_r = flow->again_pause;
	if (*wait_us_r > flow->again_until - now)
		*wait_us_r = flow->again_until - now;
	flow->again_pause *= 2;
	if (flow->again_pause > AGAIN_PAUSE_MAX)
		flow->again_pause = AGAIN_PAUSE_MAX;
	return SL_STEP_WAIT;
}

/* Runs the module under the cursor if it has the callout; true when the caller has to wait. */
static bool run_module(struct sl_flow *flow)
{
	const struct sl_stage *stage = flow->stages;
	const struct sl_module *module = &flow->slot->state->modules[flow->module];
	struct sl_view *view = sl_stage_view(flow, stage, flow->unit);
	struct sl_result result;

	if (!(module->has & SL_CALLOUT_BIT(stage->id)) ||
	    (stage->id == SL_CO_DEALLOC && !flow->ran[flow->module])) {
		flow->module++;
		return false;
	}
	flow->decider = module->name;
	flow->buffer_data[0] = '\0';
	result = sl_dispatch(flow, flow->module, stage->id, view);
	return advance(flow, &result, view);
}

enum sl_step sl_flow_step(struct sl_session *session, int64_t *wait_us_r)
{
	struct sl_flow *flow = session->flow;

	while (flow && !flow->done) {
		const struct sl_stage *stage = flow->stages;
		bool nobody = !(flow->engine->has & SL_CALLOUT_BIT(stage->id)) ||
			      (stage->id == SL_CO_DEALLOC && !flow->slot);

		if (nobody || flow->unit >= sl_stage_units(flow, stage)) {
			next_stage(flow);
		} else if (sl_dispatch_pin(flow) < 0) {
			sl_flow_fail(flow);
		} else if (flow->module >= flow->slot->state->module_count ||
			   sl_stage_skips(flow, stage, flow->unit)) {
			next_unit(flow);
		} else if (run_module(flow)) {
			enum sl_step step = wait_again(flow, wait_us_r);

			if (step == SL_STEP_WAIT)
				return step;
		}
	}
	return SL_STEP_DONE;
}

const struct sl_verdict *sl_flow_verdict(const struct sl_session *session)
{
	static const struct sl_verdict no_memory = { SL_TEMPFAIL, { 451, "4.3.0", NULL } };

	return session->flow ? &session->flow->verdict : &no_memory;
}

const char *sl_flow_decider(const struct sl_session *session)
{
	return session->flow && session->flow->decider ? session->flow->decider : "";
}

void sl_flow_end(struct sl_session *session)
{
	struct sl_flow *flow = session->flow;

	if (!flow)
		return;
	sl_session_end_message(session);
	sl_dispatch_forget_session(flow);
	sl_reply_deinit(&flow->verdict.reply);
	free(flow);
	session->flow = NULL;
	session->message_ending = NULL;
}

const struct sl_verdict *sl_flow_run(struct sl_engine *engine, struct sl_session *session,
				     enum sl_phase phase)
{
	int64_t last_keepalive = sl_now_us();
	int64_t wait_us;

	sl_flow_begin(engine, session, phase);
	while (sl_flow_step(session, &wait_us) == SL_STEP_WAIT) {
		sl_sleep_us(wait_us);
		if (phase == SL_PHASE_EOM && sl_now_us() - last_keepalive > KEEPALIVE_EVERY) {
			session->port->keepalive(session->port_ctx);
			last_keepalive = sl_now_us();
		}
	}
	return sl_flow_verdict(session);
}
