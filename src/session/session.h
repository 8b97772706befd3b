/* session: one SMTP connection as scriptletd sees it, from the first milter command to the last.
 *
 * The adapter reports what the client did with the functions below, then has the callouts run, then
 * answers. A session belongs to no thread: libmilter may serve each command in another one, but never
 * two at once, so nothing here is locked. It knows neither Lua nor libmilter. */
#pragma once

#include "base/log.h"
#include "config/config.h"
#include "session/dict.h"
#include "session/message.h"
#include "session/port.h"
#include "session/reply.h"

#include <stdint.h>

/* The MTA's commands that callouts hang on, in the order of a session. */
enum sl_phase {
	SL_PHASE_CONNECT,
	SL_PHASE_EHLO,
	SL_PHASE_MAILFROM,
	SL_PHASE_RCPTTO,
	SL_PHASE_DATA,
	SL_PHASE_EOM,
	SL_PHASE_CLOSE,
};

/* "connect", "ehlo", "mailfrom", "rcptto", "data", "eom", "close". */
const char *sl_phase_name(enum sl_phase phase);

struct sl_flow;

struct sl_session {
	char id[SL_ID_SIZE];
	const struct sl_config *config;
	const struct sl_port *port;
	void *port_ctx;
	unsigned granted; /* enum sl_grant */

	char *client_name;    /* as the MTA resolved it; "" when unknown */
	char client_addr[64]; /* "" when there is none (a local submission) */
	uint16_t client_port;
	bool connected; /* sl_session_connect was called */

	struct sl_dict conn;	/* VCTX_CONN */
	struct sl_dict mess;	/* VCTX_MESS, emptied before each MAIL FROM */
	struct sl_message *msg; /* the open transaction, or NULL */
	unsigned message_count;
	unsigned rcpt_count;
	unsigned unknown_count;

	char *command;	   /* the command of this phase as `str` shows it, with CRLF; owned */
	bool trusted_copy; /* we submitted this mail ourselves: no callout runs */

	/* Once a connection or EHLO is refused, so is what follows; cleared by an accepted EHLO
	 * when an EHLO was refused. */
	struct sl_verdict refusal;
	enum sl_phase refused_in;

	/* What the running callouts decided so far; fresh in each phase and for each recipient. */
	struct sl_reply reply;
	bool reply_touched; /* set whenever a script sets it */
	bool disconnect;    /* close the connection after the reply */
	int64_t tarpit_us;  /* how long the reply is held */

	struct sl_flow *flow; /* callout/'s part of the session; NULL before the first callout */
	/* Called before `msg` is freed, to disarm what scripts hold of it; false: they still may look
	 * at it, so it must stay. NULL: nobody holds anything. */
	bool (*message_ending)(struct sl_session *session);
};

/* NULL: out of memory. */
struct sl_session *sl_session_new(const struct sl_config *config, const struct sl_port *port,
				  void *port_ctx, unsigned granted);
void sl_session_free(struct sl_session **session);

/* Each returns 0, or a negative errno with `err` saying what was wrong with the client's words or
 * that memory ran out; the adapter then answers a temporary failure. */
int sl_session_connect(struct sl_session *session, const char *name, const char *addr,
		       uint16_t port, struct sl_err *err);
int sl_session_ehlo(struct sl_session *session, const char *arg, struct sl_err *err);
/* `argv` as libmilter gives it: the address, then ESMTP parameters, then NULL. */
int sl_session_mail(struct sl_session *session, char *const argv[], struct sl_err *err);
int sl_session_rcpt(struct sl_session *session, char *const argv[], struct sl_err *err);
/* Takes the recipient of the last sl_session_rcpt back, when it was refused. */
void sl_session_rcpt_refused(struct sl_session *session);
int sl_session_data(struct sl_session *session, struct sl_err *err);
void sl_session_header(struct sl_session *session, const char *name, const char *value);
void sl_session_body(struct sl_session *session, const void *data, size_t len);
int sl_session_eom(struct sl_session *session, struct sl_err *err);
void sl_session_unknown(struct sl_session *session);
/* The transaction is over or was given up (RSET, EHLO, a refused DATA). */
void sl_session_end_message(struct sl_session *session);

/* Ids for the log; valid until the message ends. */
struct sl_log_ids sl_session_ids(const struct sl_session *session);

/* EHLO name by which our own submissions are known: a secret per installation. Set once at start,
 * before sessions exist; NULL or "": none. */
void sl_session_set_own_helo(const char *name);
const char *sl_session_own_helo(void);
