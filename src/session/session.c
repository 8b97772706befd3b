#include "session/session.h"

#include "base/buf.h"
#include "session/context.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static char own_helo[128];

const char *sl_phase_name(enum sl_phase phase)
{
	static const char *const names[] = { "connect", "ehlo", "mailfrom", "rcptto",
					     "data",	"eom",	"close" };

	return names[phase];
}

void sl_session_set_own_helo(const char *name)
{
	size_t len = name ? strlen(name) : 0;

	if (len >= sizeof(own_helo))
		len = 0;
	memcpy(own_helo, name ? name : "", len);
	own_helo[len] = '\0';
}

const char *sl_session_own_helo(void)
{
	return own_helo;
}

struct sl_session *sl_session_new(const struct sl_config *config, const struct sl_port *port,
				  void *port_ctx, unsigned granted)
{
	struct sl_session *session = calloc(1, sizeof(*session));

	if (!session)
		return NULL;
	session->client_name = strdup("");
	if (!session->client_name) {
		free(session);
		return NULL;
	}
	sl_id_new(session->id);
	session->config = config;
	session->port = port;
	session->port_ctx = port_ctx;
	session->granted = granted;
	session->refusal = SL_VERDICT_CONTINUE;
	return session;
}

void sl_session_free(struct sl_session **session)
{
	struct sl_session *s = *session;

	*session = NULL;
	if (!s)
		return;
	sl_message_free(&s->msg);
	sl_dict_clear(&s->conn);
	sl_dict_clear(&s->mess);
	sl_reply_deinit(&s->refusal.reply);
	sl_reply_deinit(&s->reply);
	free(s->client_name);
	free(s->command);
	free(s);
}

static int fail_context(struct sl_err *err, int rc)
{
	return rc == -E2BIG ? sl_fail(err, rc, "the context is full") : sl_fail_nomem(err);
}

/* What `str` shows: the line that a context variable holds, with its CRLF. */
static int set_command(struct sl_session *session, const struct sl_dict *dict, const char *key)
{
	struct sl_buf line = SL_BUF_ZERO;

	if (sl_buf_printf(&line, "%s\r\n", sl_dict_get(dict, key)) < 0)
		return -ENOMEM;
	free(session->command);
	session->command = sl_buf_steal(&line);
	return 0;
}

int sl_session_connect(struct sl_session *session, const char *name, const char *addr,
		       uint16_t port, struct sl_err *err)
{
	char *copy = strdup(name ? name : "");
	int rc;

	if (!copy)
		return sl_fail_nomem(err);
	free(session->client_name);
	session->client_name = copy;
	session->client_addr[0] = '\0';
	if (addr && strlen(addr) < sizeof(session->client_addr))
		strcpy(session->client_addr, addr);
	session->client_port = port;
	session->connected = true;
	rc = sl_context_connect(session);
	return rc < 0 ? fail_context(err, rc) : 0;
}

int sl_session_ehlo(struct sl_session *session, const char *arg, struct sl_err *err)
{
	int rc;

	sl_session_end_message(session); /* RFC 5321, section 4.1.4: EHLO is also a RSET */
	if (session->refusal.action != SL_CONTINUE && session->refused_in == SL_PHASE_EHLO) {
		sl_reply_deinit(&session->refusal.reply);
		session->refusal = SL_VERDICT_CONTINUE;
	}
	/* the name stands in the Received field of every copy, so it is no secret for long: what
	 * comes from outside is judged whatever name it gives */
	session->trusted_copy = *own_helo && strcmp(arg, own_helo) == 0 && session->connected &&
				(!session->client_addr[0] || sl_context_is_relay_client(session));
	rc = sl_context_ehlo(session, arg);
	if (rc == 0)
		rc = set_command(session, &session->conn, "ehlo_string");
	if (rc == 0)
		rc = sl_context_tls(session);
	return rc < 0 ? fail_context(err, rc) : 0;
}

static char *join_args(char *const argv[])
{
	struct sl_buf args = SL_BUF_ZERO;

	if (sl_buf_puts(&args, "") < 0)
		return NULL;
	for (unsigned i = 0; argv[i]; i++) {
		if (sl_buf_printf(&args, "%s%s", i ? " " : "", argv[i]) < 0) {
			sl_buf_deinit(&args);
			return NULL;
		}
	}
	return sl_buf_steal(&args);
}

static void learn_queue_id(struct sl_session *session)
{
	const char *id;

	if (!session->msg || session->msg->queue_id[0])
		return;
	id = session->port->macro(session->port_ctx, "i");
	if (id && strlen(id) < sizeof(session->msg->queue_id))
		strcpy(session->msg->queue_id, id);
}

/* A milter attached in mid-session may see RCPT or DATA first: then the sender is unknown. */
static int need_message(struct sl_session *session, struct sl_err *err)
{
	if (session->msg)
		return 0;
	sl_dict_clear(&session->mess);
	session->msg = sl_message_new(session, &session->mess);
	if (!session->msg)
		return sl_fail_nomem(err);
	session->message_count++;
	return 0;
}

static int begin_mail(struct sl_session *session, char *const argv[], const char *args,
		      struct sl_err *err)
{
	int rc = need_message(session, err);

	if (rc == 0)
		rc = sl_message_set_sender(session->msg, argv[0] ? argv[0] : "<>", args, err);
	if (rc < 0)
		return rc;
	rc = sl_context_tls(session);
	if (rc == 0)
		rc = sl_context_auth(session);
	if (rc == 0)
		rc = sl_context_mail(session);
	if (rc == 0)
		rc = set_command(session, &session->mess, "mailfrom_string");
	return rc < 0 ? fail_context(err, rc) : 0;
}

int sl_session_mail(struct sl_session *session, char *const argv[], struct sl_err *err)
{
	char *args;
	int rc;

	sl_session_end_message(session);
	args = join_args(argv[0] ? argv + 1 : argv);
	if (!args)
		return sl_fail_nomem(err);
	rc = begin_mail(session, argv, args, err);
	free(args);
	learn_queue_id(session);
	return rc;
}

int sl_session_rcpt(struct sl_session *session, char *const argv[], struct sl_err *err)
{
	const struct sl_rcpt *rcpt;
	char *args;
	int rc = need_message(session, err);

	if (rc < 0)
		return rc;
	session->msg->deciding_rcpt = false;
	args = join_args(argv[0] ? argv + 1 : argv);
	if (!args)
		return sl_fail_nomem(err);
	rc = sl_message_add_rcpt(session->msg, argv[0] ? argv[0] : "", args, err);
	free(args);
	learn_queue_id(session);
	if (rc < 0)
		return rc;
	session->msg->deciding_rcpt = true;
	rcpt = &session->msg->rcpts[session->msg->rcpt_count - 1];
	session->rcpt_count++;
	rc = sl_context_rcpt(&session->mess, rcpt);
	if (rc == 0)
		rc = sl_dict_set_number(&session->conn, "connection_rcpt_count",
					session->rcpt_count);
	if (rc == 0)
		rc = sl_dict_set_number(&session->conn, "message_rcpt_count",
					++session->msg->rcpt_commands);
	if (rc == 0)
		rc = set_command(session, &session->mess, "rcptto_string");
	return rc < 0 ? fail_context(err, rc) : 0;
}

void sl_session_rcpt_refused(struct sl_session *session)
{
	/* a command that was not understood added none: the recipients before it stay */
	if (!session->msg || !session->msg->deciding_rcpt)
		return;
	session->msg->deciding_rcpt = false;
	sl_message_drop_rcpt(session->msg);
}

int sl_session_data(struct sl_session *session, struct sl_err *err)
{
	int rc = need_message(session, err);

	if (rc == 0)
		learn_queue_id(session);
	return rc;
}

void sl_session_header(struct sl_session *session, const char *name, const char *value)
{
	int rc;

	if (need_message(session, NULL) < 0)
		return;
	rc = sl_headers_receive(session->msg->headers, name, value);
	if (rc == -E2BIG)
		session->msg->too_big = true;
	else if (rc < 0)
		session->msg->incomplete = true;
}

void sl_session_body(struct sl_session *session, const void *data, size_t len)
{
	struct sl_log_ids ids = sl_session_ids(session);
	struct sl_err err;

	if (need_message(session, NULL) < 0 || session->msg->incomplete)
		return;
	if (sl_body_add(&session->msg->body, session->config->state_dir, data, len, &err) < 0) {
		session->msg->incomplete = true;
		sl_log_for(&ids, LOG_ERR, "session", "%s: the message will be deferred", err.text);
	}
}

int sl_session_eom(struct sl_session *session, struct sl_err *err)
{
	int rc = need_message(session, err);

	if (rc < 0)
		return rc;
	learn_queue_id(session);
	/* until now nobody could edit: the wanted header is the received one */
	sl_headers_unref(&session->msg->shared.headers);
	session->msg->shared.headers = sl_headers_ref(session->msg->headers);
	rc = sl_context_header(session);
	return rc < 0 ? fail_context(err, rc) : 0;
}

void sl_session_unknown(struct sl_session *session)
{
	sl_dict_set_number(&session->conn, "conntrol_unrecognized_commands",
			   ++session->unknown_count);
}

void sl_session_end_message(struct sl_session *session)
{
	if (session->msg && session->message_ending && !session->message_ending(session))
		session->msg = NULL; /* left to whoever may still look at it */
	sl_message_free(&session->msg);
}

struct sl_log_ids sl_session_ids(const struct sl_session *session)
{
	return (struct sl_log_ids){ session->id, session->msg ? session->msg->queue_id : NULL };
}
