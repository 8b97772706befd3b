/* libmilter's callbacks: what the client did goes to the session, the callouts run, their verdict
 * goes back. */
#include "milter/milter_priv.h"

#include "callout/flow.h"
#include "session/apply.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static struct sl_engine *engine; /* set before libmilter starts */
static atomic_uint connections;

/* Sendmail may carry several SMTP sessions over one milter connection, of which only the first is
 * negotiated: the others are served on the terms of the last negotiation. */
static _Atomic(unsigned long) last_actions;
static _Atomic(unsigned long) last_steps;

void sl_milter_set_engine(struct sl_engine *served)
{
	engine = served;
}

unsigned sl_milter_connections(void)
{
	return atomic_load(&connections);
}

static struct sl_conn *new_conn(SMFICTX *ctx, unsigned long actions, unsigned long steps)
{
	struct sl_conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return NULL;
	conn->ctx = ctx;
	conn->raw_values = steps & SMFIP_HDR_LEADSPC;
	conn->can_skip = steps & SMFIP_SKIP;
	conn->no_reply = steps;
	conn->session = sl_session_new(engine->config, &sl_milter_port, conn,
				       sl_milter_grants(actions));
	if (!conn->session || smfi_setpriv(ctx, conn) != MI_SUCCESS) {
		sl_session_free(&conn->session);
		free(conn);
		return NULL;
	}
	atomic_fetch_add(&connections, 1);
	if (engine->metrics) {
		sl_count(&engine->metrics->sessions);
		atomic_fetch_add(&engine->metrics->sessions_open, 1);
		conn->entry = sl_metrics_session_begin(engine->metrics, conn->session->id, "");
	}
	return conn;
}

/* The connection of a callback; made at the first one, whichever it is (ruling 17). */
static struct sl_conn *conn_of(SMFICTX *ctx)
{
	struct sl_conn *conn = smfi_getpriv(ctx);

	return conn ? conn : new_conn(ctx, atomic_load(&last_actions), atomic_load(&last_steps));
}

/* Without memory for a session nothing can be said but this. */
#define NO_MEMORY SMFIS_TEMPFAIL

static sfsistat on_negotiate(SMFICTX *ctx, unsigned long mta_actions, unsigned long mta_steps,
			     unsigned long f2, unsigned long f3, unsigned long *actions,
			     unsigned long *steps, unsigned long *of2, unsigned long *of3)
{
	struct sl_offer mta = { mta_actions, mta_steps };
	struct sl_offer ours = sl_milter_negotiate(
		engine->has, (enum sl_connect_reply)engine->config->connect_reply, mta);

	(void)f2;
	(void)f3;
	if (ours.actions & SMFIF_SETSYMLIST)
		for (int stage = SMFIM_FIRST; stage <= SMFIM_LAST; stage++)
			smfi_setsymlist(ctx, stage, (char *)sl_milter_macros(engine->has, stage));
	atomic_store(&last_actions, ours.actions);
	atomic_store(&last_steps, ours.steps);
	*actions = ours.actions;
	*steps = ours.steps;
	*of2 = 0;
	*of3 = 0;
	return new_conn(ctx, ours.actions, ours.steps) ? SMFIS_CONTINUE : SMFIS_REJECT;
}

static const struct sl_verdict *run_flow(struct sl_conn *conn, enum sl_phase phase)
{
	const struct sl_verdict *verdict;

	if (conn->entry) {
		atomic_store(&conn->entry->phase, phase);
		atomic_store(&conn->entry->running, true);
	}
	verdict = sl_flow_run(engine, conn->session, phase);
	if (conn->entry)
		atomic_store(&conn->entry->running, false);
	return verdict;
}

/* Runs the callouts of a phase after the session took in what the client said; `rc` tells how that
 * went. Where no reply can be given, a failure is remembered until one can. */
static sfsistat serve(struct sl_conn *conn, enum sl_phase phase, unsigned long no_reply_bit, int rc,
		      const struct sl_err *err)
{
	struct sl_session *session = conn->session;
	struct sl_verdict failed = { SL_TEMPFAIL, { 451, "4.3.0", (char *)err->text } };
	struct sl_log_ids ids = sl_session_ids(session);
	const struct sl_verdict *verdict = &failed;
	bool silent = conn->no_reply & no_reply_bit;

	if (rc == 0)
		verdict = run_flow(conn, phase);
	else
		sl_log_for(&ids, LOG_WARNING, "milter", "%s: %s", sl_phase_name(phase), err->text);
	if (phase == SL_PHASE_RCPTTO && verdict->action != SL_CONTINUE && !silent)
		sl_session_rcpt_refused(session);
	/* at connect libmilter forbids a text, and Sendmail would make a 4xx with one permanent */
	if (!silent && phase == SL_PHASE_CONNECT)
		return sl_milter_plain_reply(verdict);
	if (!silent)
		return sl_milter_reply(conn, verdict);
	if (rc < 0 && session->msg) {
		session->msg->incomplete = true;
	} else if (rc < 0) {
		session->refusal = (struct sl_verdict){ SL_TEMPFAIL, { 451, "4.3.0", NULL } };
		session->refused_in = phase;
	}
	return SMFIS_NOREPLY;
}

static void client_address(const _SOCK_ADDR *addr, char *text, size_t size, uint16_t *port_r)
{
	const void *raw = NULL;

	text[0] = '\0';
	*port_r = 0;
	if (!addr)
		return;
	if (addr->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)addr;

		raw = &in->sin_addr;
		*port_r = ntohs(in->sin_port);
	} else if (addr->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)addr;

		raw = &in6->sin6_addr;
		*port_r = ntohs(in6->sin6_port);
	}
	if (raw && !inet_ntop(addr->sa_family, raw, text, (socklen_t)size))
		text[0] = '\0';
}

static sfsistat on_connect(SMFICTX *ctx, char *name, _SOCK_ADDR *address)
{
	struct sl_conn *conn = conn_of(ctx);
	char addr[INET6_ADDRSTRLEN];
	struct sl_err err = { 0 };
	uint16_t port;
	int rc;

	if (!conn)
		return NO_MEMORY;
	client_address(address, addr, sizeof(addr), &port);
	rc = sl_session_connect(conn->session, name, addr, port, &err);
	sl_metrics_session_client(conn->entry, addr);
	if (rc == 0 && engine->config->connect_reply == SL_REPLY_AT_HELO) {
		/* libmilter lets no text be sent here: the session keeps the verdict, and the
		 * next command gets it */
		run_flow(conn, SL_PHASE_CONNECT);
		return conn->no_reply & SMFIP_NR_CONN ? SMFIS_NOREPLY : SMFIS_CONTINUE;
	}
	return serve(conn, SL_PHASE_CONNECT, SMFIP_NR_CONN, rc, &err);
}

static sfsistat on_helo(SMFICTX *ctx, char *arg)
{
	struct sl_conn *conn = conn_of(ctx);
	struct sl_err err = { 0 };

	if (!conn)
		return NO_MEMORY;
	return serve(conn, SL_PHASE_EHLO, SMFIP_NR_HELO,
		     sl_session_ehlo(conn->session, arg ? arg : "", &err), &err);
}

static sfsistat on_mail(SMFICTX *ctx, char **argv)
{
	struct sl_conn *conn = conn_of(ctx);
	struct sl_err err = { 0 };

	if (!conn)
		return NO_MEMORY;
	return serve(conn, SL_PHASE_MAILFROM, SMFIP_NR_MAIL,
		     sl_session_mail(conn->session, argv, &err), &err);
}

static sfsistat on_rcpt(SMFICTX *ctx, char **argv)
{
	struct sl_conn *conn = conn_of(ctx);
	struct sl_err err = { 0 };

	if (!conn)
		return NO_MEMORY;
	return serve(conn, SL_PHASE_RCPTTO, SMFIP_NR_RCPT,
		     sl_session_rcpt(conn->session, argv, &err), &err);
}

static sfsistat on_data(SMFICTX *ctx)
{
	struct sl_conn *conn = conn_of(ctx);
	struct sl_err err = { 0 };

	if (!conn)
		return NO_MEMORY;
	return serve(conn, SL_PHASE_DATA, SMFIP_NR_DATA, sl_session_data(conn->session, &err),
		     &err);
}

static sfsistat on_unknown(SMFICTX *ctx, const char *command)
{
	struct sl_conn *conn = conn_of(ctx);

	(void)command;
	if (conn)
		sl_session_unknown(conn->session);
	return (conn ? conn->no_reply : atomic_load(&last_steps)) & SMFIP_NR_UNKN ? SMFIS_NOREPLY
										  : SMFIS_CONTINUE;
}

static sfsistat on_header(SMFICTX *ctx, char *name, char *value)
{
	struct sl_conn *conn = conn_of(ctx);

	if (!conn)
		return NO_MEMORY;
	if (conn->raw_values) {
		sl_session_header(conn->session, name, value);
	} else {
		struct sl_buf full = SL_BUF_ZERO;

		if (sl_buf_printf(&full, " %s", value) == 0)
			sl_session_header(conn->session, name, sl_buf_str(&full));
		else if (conn->session->msg)
			conn->session->msg->incomplete = true;
		sl_buf_deinit(&full);
	}
	return conn->no_reply & SMFIP_NR_HDR ? SMFIS_NOREPLY : SMFIS_CONTINUE;
}

/* Asked for only so that libmilter knows where it is. */
static sfsistat on_eoh(SMFICTX *ctx)
{
	struct sl_conn *conn = conn_of(ctx);

	return conn && conn->no_reply & SMFIP_NR_EOH ? SMFIS_NOREPLY : SMFIS_CONTINUE;
}

/* The body serves copies for recipients that part: one recipient alone needs none. */
static sfsistat on_body(SMFICTX *ctx, unsigned char *data, size_t len)
{
	struct sl_conn *conn = conn_of(ctx);

	if (!conn)
		return NO_MEMORY;
	if (conn->can_skip && conn->session->msg && conn->session->msg->rcpt_count < 2)
		return SMFIS_SKIP;
	sl_session_body(conn->session, data, len);
	return conn->no_reply & SMFIP_NR_BODY ? SMFIS_NOREPLY : SMFIS_CONTINUE;
}

static sfsistat finish_message(struct sl_conn *conn)
{
	static char sorry[] = "temporary issue, please retry your message later";
	struct sl_session *session = conn->session;
	struct sl_log_ids ids = sl_session_ids(session);
	struct sl_err err = { 0 };
	int rc = sl_session_eom(session, &err);
	const struct sl_verdict *verdict = NULL;

	if (rc == 0) {
		verdict = run_flow(conn, SL_PHASE_EOM);
		if (verdict->action != SL_CONTINUE)
			return sl_milter_reply(conn, verdict);
		rc = sl_session_apply(session, &err);
		sl_flow_applied(session, rc == 0);
		if (rc == 0)
			return SMFIS_ACCEPT;
	}
	sl_log_for(&ids, LOG_ERR, "milter", "the message is deferred: %s", err.text);
	return sl_milter_reply(conn, &(struct sl_verdict){ SL_TEMPFAIL, { 451, "4.3.0", sorry } });
}

static sfsistat on_eom(SMFICTX *ctx)
{
	struct sl_conn *conn = conn_of(ctx);
	sfsistat status;

	if (!conn)
		return NO_MEMORY;
	status = finish_message(conn);
	sl_session_end_message(conn->session);
	return status;
}

static sfsistat on_abort(SMFICTX *ctx)
{
	struct sl_conn *conn = smfi_getpriv(ctx);

	if (conn)
		sl_session_end_message(conn->session);
	return SMFIS_CONTINUE;
}

static sfsistat on_close(SMFICTX *ctx)
{
	struct sl_conn *conn = smfi_getpriv(ctx);

	if (!conn)
		return SMFIS_CONTINUE;
	run_flow(conn, SL_PHASE_CLOSE);
	if (!sl_flow_end(conn->session))
		conn->session = NULL; /* left to the callout that cannot be stopped */
	sl_metrics_session_end(conn->entry);
	if (engine->metrics)
		atomic_fetch_sub(&engine->metrics->sessions_open, 1);
	sl_session_free(&conn->session);
	smfi_setpriv(ctx, NULL);
	free(conn);
	atomic_fetch_sub(&connections, 1);
	return SMFIS_CONTINUE;
}

struct smfiDesc sl_milter_callbacks = {
	.xxfi_name = (char[]){ "scriptletd" },
	.xxfi_version = SMFI_VERSION,
	.xxfi_flags = 0, /* negotiated */
	.xxfi_connect = on_connect,
	.xxfi_helo = on_helo,
	.xxfi_envfrom = on_mail,
	.xxfi_envrcpt = on_rcpt,
	.xxfi_header = on_header,
	.xxfi_eoh = on_eoh,
	.xxfi_body = on_body,
	.xxfi_eom = on_eom,
	.xxfi_abort = on_abort,
	.xxfi_close = on_close,
	.xxfi_unknown = on_unknown,
	.xxfi_data = on_data,
	.xxfi_negotiate = on_negotiate,
};
