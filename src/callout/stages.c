/* What runs in each phase, over which views, and what follows from it (architecture: "Phases"). */
#include "callout/flow_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROUTE_HEADER "X-Scriptlet-Route"
#define BINDING_HEADER "X-Scriptlet-Binding"

static struct sl_message *message(const struct sl_flow *flow)
{
	return flow->session->msg;
}

static void fail(struct sl_flow *flow, int rc, const char *what)
{
	struct sl_log_ids ids = sl_session_ids(flow->session);

	sl_log_for(&ids, LOG_ERR, "callout", "%s: %s", what, strerror(-rc));
	sl_flow_fail(flow);
}

/* Only our own headers may steer the MTA: what came from outside is taken off. A copy we submitted
 * carries ours, which the MTA must see a milter add. */
static void take_off_marks(struct sl_flow *flow)
{
	static const char *const names[] = { ROUTE_HEADER, BINDING_HEADER };
	struct sl_session *session = flow->session;
	struct sl_view *view = &message(flow)->shared;

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		unsigned pos = 0;
		const struct sl_header *mark = sl_headers_next(view->headers, names[i], &pos);
		int rc;

		if (!mark || !(session->granted & SL_GRANT_CHANGE_HEADER))
			continue;
		rc = sl_headers_own(&view->headers);
		if (rc == 0 && session->trusted_copy)
			rc = sl_headers_add(view->headers, SL_HEADER_END, names[i], mark->value);
		if (rc < 0) {
			fail(flow, rc, "cannot take off the marks");
			return;
		}
		sl_headers_delete_received(view->headers, names[i]);
	}
}

/* A recipient's view costs little, but nothing is cheaper where nobody looks at it. */
static void split_views(struct sl_flow *flow)
{
	unsigned long long per_rcpt = SL_CALLOUT_BIT(SL_CO_EACH_RCPT) |
				      SL_CALLOUT_BIT(SL_CO_SET_BINDING) |
				      SL_CALLOUT_BIT(SL_HOOK_ROUTING_DOMAIN);
	int rc;

	if (!(flow->engine->has & per_rcpt))
		return;
	sl_dispatch_forget_view(flow, &message(flow)->shared); /* nobody looks at it any more */
	rc = sl_message_split(message(flow));
	if (rc < 0)
		fail(flow, rc, "cannot make a view for each recipient");
}

/* One transaction has one answer: any 4xx defers it, it is refused when every recipient is. */
static void settle(struct sl_flow *flow)
{
	struct sl_message *msg = message(flow);
	const struct sl_reply *refusal = NULL;
	unsigned refused = 0;

	for (unsigned i = 0; i < msg->view_count; i++) {
		const struct sl_verdict *verdict = &msg->views[i].verdict;

		if (verdict->action == SL_TEMPFAIL) {
			sl_flow_decide_reply(flow, SL_TEMPFAIL, &verdict->reply);
			return;
		}
		if (verdict->action == SL_REJECT) {
			refused++;
			refusal = &verdict->reply;
		}
	}
	if (refused && refused == msg->view_count)
		sl_flow_decide_reply(flow, SL_REJECT, refusal);
}

/* Views that are still equal leave as one message: each goes to the first one it equals. Quadratic
 * in the number of different views only. */
static void group_views(struct sl_flow *flow)
{
	struct sl_message *msg = message(flow);

	for (unsigned i = 0; i < msg->view_count; i++) {
		struct sl_view *view = &msg->views[i];

		if (view->verdict.action == SL_REJECT)
			continue;
		view->outgoing = true;
		view->group = i;
		for (unsigned j = 0; j < i; j++) {
			if (msg->views[j].outgoing && sl_view_same_content(&msg->views[j], view)) {
				view->outgoing = false;
				view->group = j;
				break;
			}
		}
	}
}

static void give_buffer(struct sl_flow *flow)
{
	flow->buffer = (struct sl_hook_buffer){ flow->buffer_data, sizeof(flow->buffer_data) };
}

/* The route was put on each view as its provider answered (sl_stage_take_route): what leaves by
 * different ways cannot leave as one. */
static void take_buffer_and_group(struct sl_flow *flow)
{
	flow->buffer = (struct sl_hook_buffer){ NULL, 0 };
	group_views(flow);
}

/* It becomes part of a header and of a transport's next hop: host names, address literals, ports. */
static bool is_route(const char *text)
{
	return *text && strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "0123456789.-_:[]") == strlen(text);
}

int sl_stage_take_route(struct sl_flow *flow, struct sl_view *view, struct sl_err *err)
{
	char value[sizeof(flow->buffer_data) + 1];
	int rc;

	if (!is_route(flow->buffer_data))
		return sl_fail(err, -EINVAL, "'%s' is not a routing domain", flow->buffer_data);
	if (!(flow->session->granted & SL_GRANT_ADD_HEADER))
		return sl_fail(err, -EPERM,
			       "the MTA did not grant this milter to add header fields, which a "
			       "routing domain needs");
	value[0] = ' ';
	strcpy(value + 1, flow->buffer_data);
	rc = sl_headers_own(&view->headers);
	if (rc == 0)
		rc = sl_headers_add(view->headers, SL_HEADER_END, ROUTE_HEADER, value);
	return rc < 0 ? sl_fail_nomem(err) : 0;
}

#define STAGES_END                                                                                 \
	{                                                                                          \
		.id = SL_CALLOUT_COUNT                                                             \
	}

static const struct sl_stage connect_stages[] = { { .id = SL_CO_CONNECT }, STAGES_END };
static const struct sl_stage ehlo_stages[] = { { .id = SL_CO_EHLO }, STAGES_END };
static const struct sl_stage mailfrom_stages[] = { { .id = SL_CO_MAILFROM, SL_OVER_SHARED },
						   STAGES_END };
static const struct sl_stage rcptto_stages[] = { { .id = SL_CO_RCPTTO, SL_OVER_SHARED },
						 { .id = SL_CO_RCPTTO_LIST, SL_OVER_SHARED },
						 STAGES_END };
static const struct sl_stage data_stages[] = { { .id = SL_CO_RCPTTO_LIST_FINAL, SL_OVER_SHARED },
					       STAGES_END };
static const struct sl_stage eom_stages[] = {
	{ .id = SL_CO_DATA, SL_OVER_SHARED, .before = take_off_marks },
	{ .id = SL_CO_DATA_SPOOL, SL_OVER_SHARED },
	{ .id = SL_CO_EACH_RCPT, SL_OVER_RCPTS, .before = split_views, .after = settle },
	{ .id = SL_CO_SET_BINDING, SL_OVER_RCPTS, .after = settle },
	{ .id = SL_HOOK_ROUTING_DOMAIN,
	  SL_OVER_RCPTS,
	  .before = give_buffer,
	  .after = take_buffer_and_group },
	{ .id = SL_HOOK_FINAL_VALIDATION2, SL_OVER_OUTGOING, .after = settle },
	{ .id = SL_HOOK_FINAL_VALIDATION, SL_OVER_OUTGOING, .after = settle },
	{ .id = SL_HOOK_POST_FINAL_VALIDATION, SL_OVER_OUTGOING, .after = settle },
	STAGES_END,
};
static const struct sl_stage copy_eom_stages[] = {
	{ .id = SL_CALLOUT_NONE, SL_OVER_SHARED, .before = take_off_marks }, STAGES_END
};
static const struct sl_stage no_stages[] = { STAGES_END };
static const struct sl_stage close_stages[] = { { .id = SL_CO_DEALLOC }, STAGES_END };

/* No policy runs on a copy we submitted ourselves: it was judged before. */
const struct sl_stage *sl_stages_of(enum sl_phase phase, bool own_copy)
{
	static const struct sl_stage *const stages[] = {
		[SL_PHASE_CONNECT] = connect_stages,   [SL_PHASE_EHLO] = ehlo_stages,
		[SL_PHASE_MAILFROM] = mailfrom_stages, [SL_PHASE_RCPTTO] = rcptto_stages,
		[SL_PHASE_DATA] = data_stages,	       [SL_PHASE_EOM] = eom_stages,
		[SL_PHASE_CLOSE] = close_stages,
	};

	if (own_copy)
		return phase == SL_PHASE_EOM ? copy_eom_stages : no_stages;
	return stages[phase];
}

unsigned sl_stage_units(const struct sl_flow *flow, const struct sl_stage *stage)
{
	const struct sl_message *msg = message(flow);

	if (stage->over == SL_OVER_RCPTS)
		return msg->view_count;
	if (stage->over == SL_OVER_OUTGOING && msg->view_count)
		return msg->view_count;
	return 1;
}

struct sl_view *sl_stage_view(const struct sl_flow *flow, const struct sl_stage *stage,
			      unsigned unit)
{
	struct sl_message *msg = message(flow);

	if (stage->over == SL_OVER_SESSION || !msg)
		return NULL;
	if (stage->over == SL_OVER_SHARED || !msg->view_count)
		return &msg->shared;
	return &msg->views[unit];
}

bool sl_stage_skips(const struct sl_flow *flow, const struct sl_stage *stage, unsigned unit)
{
	const struct sl_message *msg = message(flow);

	if (stage->over < SL_OVER_RCPTS || !msg->view_count)
		return false;
	if (stage->over == SL_OVER_OUTGOING && !msg->views[unit].outgoing)
		return true;
	return msg->views[unit].verdict.action == SL_REJECT;
}
