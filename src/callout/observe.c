/* What a callout decided and changed, taken back: because its script is in observe mode (ruling 10),
 * where it is logged and not applied, or because it failed and its script's on_error is to go on as if
 * it had not run. Context variables stay: they are what the script keeps from phase to phase. */
#include "callout/flow_priv.h"

#include <string.h>

void sl_observe_begin(struct sl_flow *flow, struct sl_view *view)
{
	struct sl_session *session = flow->session;
	struct sl_snapshot *before = &flow->before;

	*before = (struct sl_snapshot){ .taken = true,
					.disconnect = session->disconnect,
					.tarpit_us = session->tarpit_us };
	if (sl_reply_copy(&session->reply, &before->reply) < 0)
		before->reply.code = session->reply.code;
	if (!view)
		return;
	before->headers = sl_headers_ref(view->headers);
	if (sl_path_copy(&view->sender, &before->sender) < 0 ||
	    sl_path_copy(&view->to, &before->to) < 0)
		before->no_memory = true;
}

static int log_header_edit(void *arg, const struct sl_header_edit *edit)
{
	static const char *const ops[] = { "delete", "insert", "add" };
	struct sl_flow *flow = arg;
	struct sl_log_ids ids = sl_session_ids(flow->session);

	sl_log_for(&ids, LOG_INFO, "observe", "module %s would %s the header field %s:%s",
		   flow->decider, ops[edit->op], edit->header->name,
		   edit->op == SL_EDIT_DELETE ? "" : edit->header->value);
	return 0;
}

static void log_address(struct sl_flow *flow, const char *what, const struct sl_path *from,
			const struct sl_path *to)
{
	struct sl_log_ids ids = sl_session_ids(flow->session);

	if (!sl_path_same(from, to))
		sl_log_for(&ids, LOG_INFO, "observe", "module %s would change the %s to <%s>",
			   flow->decider, what, sl_path_addr(to));
}

static void restore_path(struct sl_path *path, struct sl_path *before)
{
	sl_path_deinit(path);
	*path = *before;
	*before = SL_PATH_ZERO;
}

static void log_changes(struct sl_flow *flow, const struct sl_view *view)
{
	struct sl_snapshot *before = &flow->before;

	sl_headers_diff(before->headers, view->headers, log_header_edit, flow);
	log_address(flow, "sender", &before->sender, &view->sender);
	log_address(flow, "recipient", &before->to, &view->to);
}

/* What observe mode is for: the decisions, as log lines and a count. */
static void log_decisions(struct sl_flow *flow, const struct sl_result *result)
{
	struct sl_log_ids ids = sl_session_ids(flow->session);
	const struct sl_reply *before = &flow->before.reply;
	const struct sl_reply *now = &flow->session->reply;
	bool answers = now->code != before->code || (now->text && !before->text) ||
		       (now->text && strcmp(now->text, before->text) != 0);

	if (answers)
		sl_log_for(&ids, LOG_INFO, "observe", "%s: module %s would answer %d %s%s%s",
			   sl_phase_name(flow->phase), flow->decider, now->code, now->xcode,
			   now->xcode[0] ? " " : "", now->text ? now->text : "");
	if (result->number)
		sl_log_for(&ids, LOG_INFO, "observe", "%s: module %s would return %ld%s%s",
			   sl_callouts[flow->stages->id].name, flow->decider, result->number,
			   flow->buffer_data[0] ? ": " : "", flow->buffer_data);
	if (flow->engine->metrics && (answers || result->number || result->outcome == SL_OUT_DONE))
		sl_count(&flow->engine->metrics->observed);
}

static void forget(struct sl_snapshot *before)
{
	sl_reply_deinit(&before->reply);
	sl_headers_unref(&before->headers);
	sl_path_deinit(&before->sender);
	sl_path_deinit(&before->to);
	before->taken = false;
}

static void take_back(struct sl_flow *flow, struct sl_view *view, bool log)
{
	struct sl_session *session = flow->session;
	struct sl_snapshot *before = &flow->before;

	sl_reply_deinit(&session->reply);
	session->reply = before->reply;
	before->reply = SL_REPLY_ZERO;
	session->disconnect = before->disconnect;
	session->tarpit_us = before->tarpit_us;
	session->reply_touched = false;
	if (!view)
		return;
	if (log)
		log_changes(flow, view);
	sl_headers_unref(&view->headers);
	view->headers = before->headers;
	before->headers = NULL;
	if (before->no_memory) {
		sl_flow_fail(flow); /* what the addresses were is not known any more */
		return;
	}
	restore_path(&view->sender, &before->sender);
	restore_path(&view->to, &before->to);
}

void sl_observe_end(struct sl_flow *flow, struct sl_view *view, struct sl_result *result)
{
	bool observing = sl_engine_limits(flow->engine, flow->module)->mode == SL_MODE_OBSERVE;

	if (!flow->before.taken)
		return;
	if (observing)
		log_decisions(flow, result);
	if (observing || result->outcome == SL_OUT_ERROR)
		take_back(flow, view, observing);
	forget(&flow->before);
	if (!observing)
		return;
	result->number = 0;
	if (result->outcome != SL_OUT_AGAIN)
		result->outcome = SL_OUT_CONT;
}
