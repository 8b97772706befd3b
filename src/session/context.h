/* context: the predefined context variables (manual: "Connection and message context variables").
 *
 * Filled from what the client said and what the MTA tells in macros. A variable that does not apply
 * is absent, since scripts test for existence. All return 0 or a negative errno. Private to session/
 * but for tests. */
#pragma once

#include "session/message.h"
#include "session/session.h"

int sl_context_connect(struct sl_session *session);
int sl_context_ehlo(struct sl_session *session, const char *arg);
/* Whether the client's address is one of `relay_networks`. */
bool sl_context_is_relay_client(const struct sl_session *session);
/* TLS and AUTH as the macros of this phase tell; the MTA repeats them, so asking again is right. */
int sl_context_tls(struct sl_session *session);
int sl_context_auth(struct sl_session *session);
int sl_context_mail(struct sl_session *session);
/* rcptto_string, _localpart, _domain. */
int sl_context_rcpt(struct sl_dict *ctx, const struct sl_rcpt *rcpt);
/* What only the complete header tells. */
int sl_context_header(struct sl_session *session);
