/* The port of a session, on libmilter. */
#include "milter/milter_priv.h"

#include <errno.h>
#include <stdio.h>

/* s for one submission; an MTA waits 5 minutes for the end-of-message answer. */
#define SUBMISSION_TIMEOUT 60
/* More than a header can have fields: an MTA inserts at the end. */
#define BEHIND_ALL (1 << 20)

static int result(int rc)
{
	return rc == MI_SUCCESS ? 0 : -EIO;
}

static SMFICTX *ctx_of(void *conn)
{
	return ((struct sl_conn *)conn)->ctx;
}

/* Values are kept with their leading blank; an MTA that did not grant that adds one itself. */
static char *value_of(void *conn, const char *value)
{
	if (!((struct sl_conn *)conn)->raw_values && *value == ' ')
		value++;
	return (char *)value; /* libmilter's prototypes lack const */
}

static const char *macro(void *conn, const char *name)
{
	return smfi_getsymval(ctx_of(conn), (char *)name);
}

static int keepalive(void *conn)
{
	return result(smfi_progress(ctx_of(conn)));
}

/* Whether the header that is to leave may have another field of that name. */
static bool is_repeated(const struct sl_message *msg, const char *name)
{
	if (sl_headers_count(msg->headers, name) > 0 ||
	    sl_headers_count(msg->shared.headers, name) > 1)
		return true;
	for (unsigned i = 0; i < msg->view_count; i++)
		if (msg->views[i].outgoing && sl_headers_count(msg->views[i].headers, name) > 1)
			return true;
	return false;
}

/* Sendmail puts an added field before the others of its name; one that is inserted behind the last
 * field stays there. */
static int add_header(void *conn, const char *name, const char *value)
{
	if (is_repeated(((struct sl_conn *)conn)->session->msg, name))
		return result(smfi_insheader(ctx_of(conn), BEHIND_ALL, (char *)name,
					     value_of(conn, value)));
	return result(smfi_addheader(ctx_of(conn), (char *)name, value_of(conn, value)));
}

static int insert_header(void *conn, const char *name, const char *value)
{
	return result(smfi_insheader(ctx_of(conn), 0, (char *)name, value_of(conn, value)));
}

static int delete_header(void *conn, const char *name, unsigned index)
{
	return result(smfi_chgheader(ctx_of(conn), (char *)name, (int)index, NULL));
}

static int add_rcpt(void *conn, const char *addr)
{
	char path[SL_PATH_MAX + 3];

	snprintf(path, sizeof(path), "<%s>", addr);
	return result(smfi_addrcpt(ctx_of(conn), path));
}

/* Spelt as the MTA spelt it: it compares text. */
static int del_rcpt(void *conn, const char *addr)
{
	return result(smfi_delrcpt(ctx_of(conn), (char *)addr));
}

static int change_from(void *conn, const char *addr)
{
	char path[SL_PATH_MAX + 3];

	snprintf(path, sizeof(path), "<%s>", addr);
	return result(smfi_chgfrom(ctx_of(conn), path, NULL));
}

static int submit(void *conn, struct sl_submission *mail, struct sl_err *err)
{
	const struct sl_config *config = ((struct sl_conn *)conn)->session->config;

	if (!*config->submission)
		return sl_fail(err, -ENOTCONN,
			       "recipients of one message were judged differently, which needs the "
			       "setting 'submission'");
	smfi_progress(ctx_of(conn));
	mail->to = config->submission;
	mail->helo = sl_session_own_helo();
	mail->timeout = SUBMISSION_TIMEOUT;
	return sl_submit(mail, err);
}

const struct sl_port sl_milter_port = {
	.macro = macro,
	.keepalive = keepalive,
	.add_header = add_header,
	.insert_header = insert_header,
	.delete_header = delete_header,
	.add_rcpt = add_rcpt,
	.del_rcpt = del_rcpt,
	.change_from = change_from,
	.submit = submit,
};
