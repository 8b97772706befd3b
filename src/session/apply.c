#include "session/apply.h"

#include "mail/bounce.h"
#include "mail/copy.h"
#include "service/submission.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool leaves(const struct sl_view *view)
{
	return view->verdict.action != SL_REJECT;
}

/* The group that stays in this transaction: the one with most recipients. */
static unsigned choose_group(const struct sl_message *msg)
{
	unsigned best = 0;
	unsigned best_size = 0;

	for (unsigned i = 0; i < msg->view_count; i++) {
		unsigned size = 0;

		if (!msg->views[i].outgoing || !leaves(&msg->views[i]))
			continue;
		for (unsigned j = i; j < msg->view_count; j++)
			size += leaves(&msg->views[j]) && msg->views[j].group == i;
		if (size > best_size) {
			best = i;
			best_size = size;
		}
	}
	return best;
}

static int apply_header_edit(void *arg, const struct sl_header_edit *edit)
{
	struct sl_session *session = arg;
	const struct sl_port *port = session->port;
	const struct sl_header *header = edit->header;

	switch (edit->op) {
	case SL_EDIT_DELETE:
		return port->delete_header(session->port_ctx, header->name, header->occurrence);
	case SL_EDIT_INSERT_TOP:
		return port->insert_header(session->port_ctx, header->name, header->value);
	default:
		return port->add_header(session->port_ctx, header->name, header->value);
	}
}

static int not_taken(struct sl_err *err, int rc)
{
	return rc < 0 ? sl_fail(err, rc, "the MTA did not take a change: %s", strerror(-rc)) : 0;
}

static int apply_rcpts(struct sl_session *session, unsigned group, struct sl_err *err)
{
	struct sl_message *msg = session->msg;
	const struct sl_port *port = session->port;

	for (unsigned i = 0; i < msg->view_count; i++) {
		struct sl_view *view = &msg->views[i];
		bool here = leaves(view) && view->group == group;
		int rc;

		if (here && sl_path_same(&view->to, &view->rcpt->path))
			continue;
		if (!(session->granted & SL_GRANT_DEL_RCPT))
			return sl_fail(err, -EPERM,
				       "the MTA did not grant this milter to remove "
				       "recipients");
		rc = port->del_rcpt(session->port_ctx, view->rcpt->wire);
		if (rc == 0 && here)
			rc = port->add_rcpt(session->port_ctx, sl_path_addr(&view->to));
		if (rc < 0)
			return not_taken(err, rc);
	}
	return 0;
}

static int apply_view(struct sl_session *session, const struct sl_view *view)
{
	struct sl_message *msg = session->msg;
	int rc = sl_headers_diff(msg->headers, view->headers, apply_header_edit, session);

	if (rc == 0 && !sl_path_same(&view->sender, &msg->sender))
		rc = session->port->change_from(session->port_ctx, sl_path_addr(&view->sender));
	return rc;
}

static int submit_copy(struct sl_session *session, unsigned group, struct sl_err *err)
{
	struct sl_message *msg = session->msg;
	const struct sl_view *leader = &msg->views[group];
	const char **rcpts = calloc(msg->view_count, sizeof(*rcpts));
	struct sl_submission mail = { .sender = sl_path_addr(&leader->sender), .rcpts = rcpts };
	struct sl_copy copy;
	int rc;

	if (!rcpts)
		return sl_fail_nomem(err);
	for (unsigned i = group; i < msg->view_count; i++)
		if (leaves(&msg->views[i]) && msg->views[i].group == group)
			rcpts[mail.rcpt_count++] = sl_path_addr(&msg->views[i].to);
	rc = sl_copy_init(&copy, leader->headers, &msg->body);
	if (rc < 0) {
		free(rcpts);
		return sl_fail_nomem(err);
	}
	mail.read = sl_copy_read;
	mail.arg = &copy;
	rc = session->port->submit(session->port_ctx, &mail, err);
	sl_copy_deinit(&copy);
	free(rcpts);
	return rc;
}

static unsigned collect_refused(const struct sl_message *msg, struct sl_bounce_rcpt *rcpts)
{
	unsigned count = 0;

	for (unsigned i = 0; i < msg->view_count; i++) {
		const struct sl_view *view = &msg->views[i];
		const struct sl_reply *reply = &view->verdict.reply;

		if (!leaves(view))
			rcpts[count++] = (struct sl_bounce_rcpt){ sl_path_addr(&view->rcpt->path),
								  reply->code, reply->xcode,
								  reply->text ? reply->text : "" };
	}
	return count;
}

static int write_bounce(struct sl_session *session, const struct sl_bounce_rcpt *rcpts,
			unsigned count, struct sl_buf *out)
{
	const char *host = session->port->macro(session->port_ctx, "j");
	char own[256] = "localhost";
	char id[SL_ID_SIZE];
	struct sl_bounce bounce = { .id = id, .rcpts = rcpts, .rcpt_count = count };

	if (!host || !*host) {
		gethostname(own, sizeof(own) - 1);
		host = own;
	}
	sl_id_new(id);
	bounce.host = host;
	bounce.sender = sl_path_addr(&session->msg->sender);
	bounce.headers = session->msg->headers;
	return sl_bounce_write(out, &bounce);
}

/* The null sender gets no bounce (RFC 5321, section 6.1): its refused recipients end here. */
static int submit_bounce(struct sl_session *session, struct sl_err *err)
{
	struct sl_message *msg = session->msg;
	struct sl_bounce_rcpt *rcpts;
	const char *to = sl_path_addr(&msg->sender);
	struct sl_submission mail = { .sender = "", .rcpts = &to, .rcpt_count = 1 };
	struct sl_copy copy = { SL_BUF_ZERO, NULL, 0 };
	unsigned count;
	int rc = 0;

	if (!session->config->bounce_refused_recipients || !*to || !msg->view_count)
		return 0;
	rcpts = calloc(msg->view_count, sizeof(*rcpts));
	if (!rcpts)
		return sl_fail_nomem(err);
	count = collect_refused(msg, rcpts);
	if (count) {
		rc = write_bounce(session, rcpts, count, &copy.head);
		mail.read = sl_copy_read;
		mail.arg = &copy;
		rc = rc < 0 ? sl_fail_nomem(err)
			    : session->port->submit(session->port_ctx, &mail, err);
	}
	sl_copy_deinit(&copy);
	free(rcpts);
	return rc;
}

int sl_session_apply(struct sl_session *session, struct sl_err *err)
{
	struct sl_message *msg = session->msg;
	unsigned group = choose_group(msg);
	int rc = apply_rcpts(session, group, err);

	if (rc == 0)
		rc = not_taken(err, apply_view(session, msg->view_count ? &msg->views[group]
									: &msg->shared));
	for (unsigned i = 0; rc == 0 && i < msg->view_count; i++)
		if (i != group && msg->views[i].outgoing && leaves(&msg->views[i]))
			rc = submit_copy(session, i, err);
	if (rc == 0)
		rc = submit_bounce(session, err);
	return rc;
}
