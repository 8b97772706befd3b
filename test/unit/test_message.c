#include "fake_port.h"
#include "support.h"

#include "session/apply.h"

#include "mail/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct fake_mta mta;
static struct sl_config *config;
static struct sl_session *session;

static void begin(void)
{
	sl_mail_init();
	config = sl_config_new();
	session = fake_session(&mta, config);
}

static void end(void)
{
	sl_session_free(&session);
	sl_config_free(&config);
	fake_deinit(&mta);
}

TestSuite(message, .init = begin, .fini = end);

/* A message for that many recipients r1@x, r2@x ..., with body "text\r\n", at its end. */
static struct sl_message *receive(unsigned rcpts, const char *headers)
{
	fake_mail(session, "<from@x>");
	for (unsigned i = 1; i <= rcpts; i++) {
		char arg[32];

		snprintf(arg, sizeof(arg), "<r%u@x>", i);
		fake_rcpt(session, arg);
	}
	sl_session_body(session, "text\r\n", 6);
	fake_eom(session, headers);
	return session->msg;
}

/* What callout/ does with views: each goes to the first it equals. */
static void group(struct sl_message *msg)
{
	for (unsigned i = 0; i < msg->view_count; i++) {
		unsigned j = 0;

		if (msg->views[i].verdict.action == SL_REJECT)
			continue;
		while (j < i && !(msg->views[j].outgoing &&
				  sl_view_same_content(&msg->views[j], &msg->views[i])))
			j++;
		msg->views[i].outgoing = i == j;
		msg->views[i].group = j;
	}
}

static void add_header(struct sl_view *view, const char *name, const char *value)
{
	cr_assert_eq(sl_headers_own(&view->headers), 0);
	cr_assert_eq(sl_headers_add(view->headers, SL_HEADER_END, name, value), 0);
}

static void refuse(struct sl_view *view, const char *text)
{
	view->verdict.action = SL_REJECT;
	sl_reply_set(&view->verdict.reply, 550, text, NULL);
}

static void assert_applied(const char *calls)
{
	struct sl_err err;

	cr_assert_eq(sl_session_apply(session, &err), 0, "%s", err.text);
	sup_assert_str(sl_buf_str(&mta.calls), calls);
}

Test(message, views_are_equal_but_for_id_and_recipient)
{
	struct sl_message *msg = receive(2, "A: 1\n");

	sl_dict_set(msg->shared.ctx, "own", "1");
	cr_assert_eq(sl_message_split(msg), 0);
	cr_assert_eq(msg->view_count, 2);
	cr_assert_str_neq(msg->views[0].id, msg->views[1].id);
	cr_assert_str_neq(msg->views[0].id, msg->shared.id);
	cr_assert_eq(msg->views[0].headers, msg->views[1].headers, "shared until changed");
	for (unsigned i = 0; i < 2; i++) {
		sup_assert_str(sl_dict_get(msg->views[i].ctx, "own"), "1");
		sup_assert_str(sl_path_addr(&msg->views[i].sender), "from@x");
		cr_assert_eq(msg->views[i].rcpt, &msg->rcpts[i]);
	}
	sup_assert_str(sl_dict_get(msg->views[0].ctx, "rcptto_localpart"), "r1");
	sup_assert_str(sl_dict_get(msg->views[1].ctx, "rcptto_string"), "RCPT TO:<r2@x>");
	cr_assert(sl_view_same_content(&msg->views[0], &msg->views[1]));
	sl_dict_set(msg->views[0].ctx, "own", "2");
	sup_assert_str(sl_dict_get(msg->views[1].ctx, "own"), "1");
	sup_assert_str(sl_dict_get(msg->shared.ctx, "own"), "1");
	add_header(&msg->views[0], "X", " 1");
	cr_assert(!sl_view_same_content(&msg->views[0], &msg->views[1]));
	cr_assert_eq(msg->shared.headers->count, 1);
}

Test(message, nothing_wanted_nothing_done)
{
	receive(2, "A: 1\n");
	assert_applied("");
}

Test(message, deletes_from_the_last_to_the_first_then_adds)
{
	struct sl_view *view = &receive(1, "A: 1\nB: 2\nA: 3\n")->shared;

	sl_headers_own(&view->headers);
	sl_headers_delete(view->headers, "A");
	sl_headers_add(view->headers, SL_HEADER_TOP, "X", " top");
	sl_headers_add(view->headers, SL_HEADER_END, "A", " new");
	sl_path_deinit(&view->sender);
	sl_path_parse("<other@y>", &view->sender, NULL);
	assert_applied("del A#2;del A#1;ins X: top;add A: new;from other@y;");
}

Test(message, sender_may_become_null)
{
	sl_path_deinit(&receive(1, "")->shared.sender);
	assert_applied("from ;");
}

Test(message, views_that_stay_equal_leave_as_one)
{
	struct sl_message *msg = receive(3, "");

	sl_message_split(msg);
	for (unsigned i = 0; i < 3; i++)
		add_header(&msg->views[i], "X", " same");
	group(msg);
	assert_applied("add X: same;");
}

Test(message, views_that_differ_are_submitted)
{
	struct sl_message *msg = receive(3, "A: 1\n");

	sl_message_split(msg);
	add_header(&msg->views[0], "X", " alone");
	group(msg);
	assert_applied("rcpt- <r1@x>;submit <from@x> to r1@x;");
	sup_assert_str(sl_buf_str(&mta.mail), "A: 1\r\nX: alone\r\n\r\ntext\r\n");
}

Test(message, recipient_may_change)
{
	struct sl_message *msg = receive(2, "");

	sl_message_split(msg);
	sl_path_deinit(&msg->views[1].to);
	sl_path_parse("<new@y>", &msg->views[1].to, NULL);
	group(msg);
	assert_applied("rcpt- <r2@x>;rcpt+ new@y;");
}

Test(message, refused_recipients_are_deleted_and_bounced)
{
	struct sl_message *msg = receive(3, "Subject: s\n");

	fake_macro(&mta, "j", "mx.example");
	sl_message_split(msg);
	refuse(&msg->views[0], "5.7.1 not you");
	group(msg);
	assert_applied("rcpt- <r1@x>;submit <> to from@x;");
	sup_assert_has(sl_buf_str(&mta.mail), "Final-Recipient: rfc822; r1@x\r\n");
	sup_assert_has(sl_buf_str(&mta.mail), "Status: 5.7.1\r\n");
	sup_assert_has(sl_buf_str(&mta.mail), "MAILER-DAEMON@mx.example");
	sup_assert_has_not(sl_buf_str(&mta.mail), "r2@x");
}

Test(message, bounces_can_be_turned_off)
{
	struct sl_message *msg = receive(2, "");

	config->bounce_refused_recipients = false;
	sl_message_split(msg);
	refuse(&msg->views[0], "no");
	group(msg);
	assert_applied("rcpt- <r1@x>;");
}

Test(message, the_null_sender_gets_no_bounce)
{
	struct sl_message *msg;

	fake_mail(session, "<>");
	fake_rcpt(session, "<r1@x>");
	fake_rcpt(session, "<r2@x>");
	fake_eom(session, "");
	msg = session->msg;
	sl_message_split(msg);
	refuse(&msg->views[1], "no");
	group(msg);
	assert_applied("rcpt- <r2@x>;");
}

Test(message, failures_defer_with_a_text)
{
	static const struct {
		const char *failing;
		const char *text;
	} rows[] = { { "add", "the MTA did not take a change" },
		     { "from", "the MTA did not take a change" },
		     { "rcpt-", "the MTA did not take a change" },
		     { "submit", "nobody listens" } };

	for (unsigned i = 0; i < COUNT(rows); i++) {
		struct sl_message *msg = receive(3, "");
		struct sl_err err;

		sl_message_split(msg);
		for (unsigned v = 0; v < 3; v++) {
			sl_path_deinit(&msg->views[v].sender);
			add_header(&msg->views[v], "X", v < 2 ? " a" : " b");
		}
		group(msg);
		mta.failing = rows[i].failing;
		cr_assert_eq(sl_session_apply(session, &err), -EIO, "%s", rows[i].failing);
		sup_assert_has(err.text, rows[i].text);
	}
}

Test(message, recipients_cannot_go_without_the_grant)
{
	struct sl_message *msg = receive(2, "");
	struct sl_err err;

	session->granted = SL_GRANT_ADD_HEADER;
	sl_message_split(msg);
	refuse(&msg->views[0], "no");
	group(msg);
	cr_assert_eq(sl_session_apply(session, &err), -EPERM);
	sup_assert_has(err.text, "did not grant");
	sup_assert_str(sl_buf_str(&mta.calls), "");
}
