#include "session/context.h"

#include "base/buf.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sets a variable unless there is nothing to set it to. */
static int set_if(struct sl_dict *dict, const char *key, const char *value)
{
	return value && *value ? sl_dict_set(dict, key, value) : 0;
}

static const char *macro(struct sl_session *session, const char *name)
{
	const char *value = session->port->macro(session->port_ctx, name);

	return value ? value : "";
}

/* The narrowest network of a peer that holds the address, in bits; -1 when none does. */
static int match_bits(const struct sl_peer_conf *peer, const char *addr)
{
	int best = -1;

	for (unsigned i = 0; i < peer->net_count; i++)
		if (sl_net_contains(&peer->nets[i], addr) && (int)peer->nets[i].bits > best)
			best = (int)peer->nets[i].bits;
	return best;
}

/* Sets what peers say whose narrowest match has so many bits; *next_r is the next more. */
static int set_peers_of(struct sl_session *session, int bits, int *next_r)
{
	const struct sl_config *config = session->config;

	*next_r = INT_MAX;
	for (unsigned p = 0; p < config->peer_count; p++) {
		const struct sl_peer_conf *peer = &config->peers[p];
		int match = match_bits(peer, session->client_addr);

		if (match > bits && match < *next_r)
			*next_r = match;
		for (unsigned i = 0; match >= 0 && match == bits && i < peer->values.count; i++) {
			int rc = sl_dict_set(&session->conn, peer->keys.list[i],
					     peer->values.list[i]);

			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

/* All matching peers contribute, the narrower overriding the wider: so from wide to narrow. */
static int set_peer_context(struct sl_session *session)
{
	int bits = -1;
	int rc = 0;

	while (rc == 0 && bits != INT_MAX)
		rc = set_peers_of(session, bits, &bits);
	return rc;
}

bool sl_context_is_relay_client(const struct sl_session *session)
{
	const struct sl_config *config = session->config;

	for (unsigned i = 0; i < config->relay_networks.count; i++)
		if (sl_net_contains(&config->relay_nets[i], session->client_addr))
			return true;
	return false;
}

int sl_context_connect(struct sl_session *session)
{
	int rc = set_if(&session->conn, "pathway", session->config->pathway);

	if (rc == 0 && sl_context_is_relay_client(session))
		rc = sl_dict_set(&session->conn, "can_relay", "true");
	if (rc == 0 && session->config->peer_count)
		rc = set_peer_context(session);
	return rc;
}

int sl_context_ehlo(struct sl_session *session, const char *arg)
{
	struct sl_buf line = SL_BUF_ZERO;
	int rc = sl_buf_printf(&line, "EHLO %s", arg);

	if (rc == 0)
		rc = sl_dict_set(&session->conn, "ehlo_string", sl_buf_str(&line));
	if (rc == 0)
		rc = sl_dict_set(&session->conn, "ehlo_domain", arg);
	sl_buf_deinit(&line);
	return rc;
}

static int set_certificate(struct sl_session *session)
{
	struct sl_dict *conn = &session->conn;
	const char *subject = macro(session, "{cert_subject}");
	const char *verify;
	int rc = set_if(conn, "tls_client_cert_subject", subject);

	/* Postfix has no cn_* macros: its cert_* ones are the common names */
	if (rc == 0)
		rc = set_if(conn, "tls_client_cert_subject_cn",
			    *macro(session, "{cn_subject}") ? macro(session, "{cn_subject}")
							    : macro(session, "{cert_subject}"));
	if (rc == 0)
		rc = set_if(conn, "tls_client_cert_issuer", macro(session, "{cert_issuer}"));
	if (rc == 0)
		rc = set_if(conn, "tls_client_cert_issuer_cn",
			    *macro(session, "{cn_issuer}") ? macro(session, "{cn_issuer}")
							   : macro(session, "{cert_issuer}"));
	if (rc < 0)
		return rc;
	/* Sendmail says so in {verify}; Postfix tells of trusted certificates only */
	verify = macro(session, "{verify}");
	if (strcmp(verify, "OK") == 0 || (!*verify && *macro(session, "{cert_subject}")))
		return sl_dict_set(conn, "tls_client_verified", "yes");
	return 0;
}

int sl_context_tls(struct sl_session *session)
{
	struct sl_dict *conn = &session->conn;
	int rc;

	if (!*macro(session, "{tls_version}"))
		return 0;
	rc = sl_dict_set(conn, "tls", "on");
	if (rc == 0)
		rc = set_if(conn, "tls_cipher", macro(session, "{cipher}"));
	/* a milter hears one number of bits: those in use */
	if (rc == 0)
		rc = set_if(conn, "tls_cipher_algbits", macro(session, "{cipher_bits}"));
	if (rc == 0)
		rc = set_if(conn, "tls_cipher_usebits", macro(session, "{cipher_bits}"));
	return rc < 0 ? rc : set_certificate(session);
}

int sl_context_auth(struct sl_session *session)
{
	struct sl_dict *conn = &session->conn;
	int rc;

	if (!*macro(session, "{auth_authen}"))
		return 0;
	rc = sl_dict_set(conn, "auth_user", macro(session, "{auth_authen}"));
	if (rc == 0)
		rc = set_if(conn, "auth_name", macro(session, "{auth_type}"));
	if (rc == 0)
		rc = sl_dict_set(conn, "auth_status", "pass");
	if (rc == 0)
		rc = sl_dict_set(conn, "can_relay", "true");
	return rc;
}

/* <prefix>_string, _localpart and _domain of one envelope address. */
static int set_address(struct sl_dict *ctx, const char *prefix, const char *verb,
		       const struct sl_path *path, const char *args)
{
	struct sl_buf text = SL_BUF_ZERO;
	char key[32];
	char *local;
	int rc;

	rc = sl_buf_printf(&text, "%s:<%s>%s%s", verb, sl_path_addr(path), *args ? " " : "", args);
	snprintf(key, sizeof(key), "%s_string", prefix);
	if (rc == 0)
		rc = sl_dict_set(ctx, key, sl_buf_str(&text));
	sl_buf_deinit(&text);
	local = strndup(sl_path_addr(path), path->local_len);
	if (!local)
		return -ENOMEM;
	snprintf(key, sizeof(key), "%s_localpart", prefix);
	if (rc == 0)
		rc = sl_dict_set(ctx, key, local);
	free(local);
	snprintf(key, sizeof(key), "%s_domain", prefix);
	return rc < 0 ? rc : sl_dict_set(ctx, key, sl_path_domain(path));
}

int sl_context_mail(struct sl_session *session)
{
	int rc = sl_dict_set_number(&session->conn, "connection_message_count",
				    session->message_count);

	/* of the connection, but told by the header of one message */
	sl_dict_delete(&session->conn, "mail_loop_header_count");
	if (rc == 0)
		rc = sl_dict_set_number(&session->conn, "message_rcpt_count", 0);
	if (rc == 0)
		rc = set_address(&session->mess, "mailfrom", "MAIL FROM", &session->msg->sender,
				 session->msg->sender_args);
	return rc;
}

int sl_context_rcpt(struct sl_dict *ctx, const struct sl_rcpt *rcpt)
{
	return set_address(ctx, "rcptto", "RCPT TO", &rcpt->path, rcpt->args);
}

int sl_context_header(struct sl_session *session)
{
	const struct sl_headers *headers = session->msg->headers;
	unsigned received = sl_headers_count(headers, "Received");
	int rc = 0;

	if (sl_headers_count(headers, "Date") == 0)
		rc = sl_dict_set(&session->mess, "rfc2822_date_missing", "true");
	if (rc == 0 && received > (unsigned)session->config->received_limit)
		rc = sl_dict_set_number(&session->conn, "mail_loop_header_count", received);
	return rc;
}
