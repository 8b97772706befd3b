/* Observe mode (ruling 10): the callouts of a script run, what they decide and change is logged and
 * not applied. */
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

static void restore_view(struct sl_flow *flow, struct sl_view *view)
{
	struct sl_snapshot *before = &flow->before;

	sl_headers_diff(before->headers, view->headers, log_header_edit, flow);
	log_address(flow, "sender", &before->sender, &view->sender);
	log_address(flow, "recipient", &before->to, &view->to);
	sl_headers_unref(&view->headers);
	view->headers = before->headers;
	before->headers = NULL;
	if (before->no_memory) {
		sl_flow_fail(flow); /* what the sender was is not known any more */
		return;
	}
	restore_path(&view->sender, &before->sender);
	restore_path(&view->to, &before->to);
}

void sl_observe_end(struct sl_flow *flow, struct sl_view *view, struct sl_result *result)
{
	struct sl_session *session = flow->session;
	struct sl_log_ids ids = sl_session_ids(session);
	struct sl_snapshot *before = &flow->before;
	const struct sl_reply *now = &session->reply;

	if (!before->taken)
		return;
	before->taken = false;
	if (flow->engine->metrics &&
	    (now->code != before->reply.code || result->number || result->outcome == SL_OUT_DONE))
		sl_count(&flow->engine->metrics->observed);
	if (now->code != before->reply.code || (now->text && !before->reply.text) ||
	    (now->text && strcmp(now->text, before->reply.text) != 0))
		sl_log_for(&ids, LOG_INFO, "observe", "%s: module %s would answer %d %s%s%s",
			   sl_phase_name(flow->phase), flow->decider, now->code, now->xcode,
			   now->xcode[0] ? " " : "", now->text ? now->text : "");
	if (result->number)
		sl_log_for(&ids, LOG_INFO, "observe", "%s: module %s would return %ld%s%s",
			   sl_callouts[flow->stages->id].name, flow->decider, result->number,
			   flow->buffer_data[0] ? ": " : "", flow->buffer_data);
	sl_reply_deinit(&session->reply);
	session->reply = before->reply;
	session->disconnect = before->disconnect;
	session->reply_touched = false;
	session->tarpit_us = before->tarpit_us;
	before->reply = SL_REPLY_ZERO;
	if (view)
		restore_view(flow, view);
	result->number = 0;
	if (result->outcome != SL_OUT_AGAIN)
		result->outcome = SL_OUT_CONT;
}
