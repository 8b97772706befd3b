#include "mail/bounce.h"

#include "mail/copy.h"

#include <errno.h>
#include <gmime/gmime.h>
#include <string.h>

static int write_head(struct sl_buf *out, const struct sl_bounce *bounce)
{
	GDateTime *now = g_date_time_new_now_local();
	char *date = g_mime_utils_header_format_date(now);
	int rc = sl_buf_printf(out,
			       "From: MAILER-DAEMON@%s (Mail Delivery System)\r\n"
			       "To: %s\r\n"
			       "Subject: Undelivered Mail Returned to Sender\r\n"
			       "Date: %s\r\n"
			       "Message-ID: <%s@%s>\r\n"
			       "Auto-Submitted: auto-replied\r\n"
			       "MIME-Version: 1.0\r\n"
			       "Content-Type: multipart/report; report-type=delivery-status;\r\n"
			       "\tboundary=\"%s\"\r\n"
			       "\r\n",
			       bounce->host, bounce->sender, date, bounce->id, bounce->host,
			       bounce->id);

	g_free(date);
	g_date_time_unref(now);
	return rc;
}

/* Reply texts have lines; here each is one. */
static int write_reply(struct sl_buf *out, const struct sl_bounce_rcpt *rcpt)
{
	int rc = sl_buf_printf(out, "%d %s%s", rcpt->code, rcpt->status, *rcpt->status ? " " : "");

	for (const char *p = rcpt->text; rc == 0 && *p; p++)
		rc = sl_buf_putc(out, *p == '\n' ? ' ' : *p);
	return rc;
}

static int write_text(struct sl_buf *out, const struct sl_bounce *bounce)
{
	int rc = sl_buf_printf(
		out,
		"--%s\r\n"
		"Content-Type: text/plain; charset=utf-8\r\n"
		"Content-Transfer-Encoding: 8bit\r\n"
		"\r\n"
		"Your message was refused for these recipients by the policy of %s.\r\n"
		"Other recipients are not affected.\r\n\r\n",
		bounce->id, bounce->host);

	for (unsigned i = 0; rc == 0 && i < bounce->rcpt_count; i++) {
		rc = sl_buf_printf(out, "<%s>: ", bounce->rcpts[i].addr);
		if (rc == 0)
			rc = write_reply(out, &bounce->rcpts[i]);
		if (rc == 0)
			rc = sl_buf_puts(out, "\r\n");
	}
	return rc;
}

static int write_status(struct sl_buf *out, const struct sl_bounce *bounce)
{
	int rc = sl_buf_printf(out,
			       "\r\n--%s\r\n"
			       "Content-Type: message/delivery-status\r\n"
			       "\r\n"
			       "Reporting-MTA: dns; %s\r\n",
			       bounce->id, bounce->host);

	for (unsigned i = 0; rc == 0 && i < bounce->rcpt_count; i++) {
		const struct sl_bounce_rcpt *rcpt = &bounce->rcpts[i];

		rc = sl_buf_printf(out,
				   "\r\n"
				   "Final-Recipient: rfc822; %s\r\n"
				   "Action: failed\r\n"
				   "Status: %s\r\n"
				   "Diagnostic-Code: smtp; ",
				   rcpt->addr, *rcpt->status ? rcpt->status : "5.0.0");
		if (rc == 0)
			rc = write_reply(out, rcpt);
		if (rc == 0)
			rc = sl_buf_puts(out, "\r\n");
	}
	return rc;
}

int sl_bounce_write(struct sl_buf *out, const struct sl_bounce *bounce)
{
	int rc = write_head(out, bounce);

	if (rc == 0)
		rc = write_text(out, bounce);
	if (rc == 0)
		rc = write_status(out, bounce);
	if (rc == 0)
		rc = sl_buf_printf(out, "\r\n--%s\r\nContent-Type: text/rfc822-headers\r\n\r\n",
				   bounce->id);
	if (rc == 0)
		rc = sl_copy_header(out, bounce->headers);
	if (rc == 0)
		rc = sl_buf_printf(out, "\r\n--%s--\r\n", bounce->id);
	return rc;
}
