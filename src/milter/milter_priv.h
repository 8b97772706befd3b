/* Inside milter/. */
#pragma once

#include "milter/milter.h"

#include <libmilter/mfapi.h>

/* What hangs off smfi_getpriv(). */
struct sl_conn {
	SMFICTX *ctx;
	struct sl_session *session;
	bool raw_values; /* header values arrive with their leading blank (SMFIP_HDR_LEADSPC) */
	bool can_skip;	 /* the MTA understands SMFIS_SKIP */
	struct sl_session_entry *entry; /* as `scriptlet sessions` shows it; may be NULL */
	unsigned long no_reply;		/* steps that were negotiated to have none: SMFIP_NR_* */
};

/* What is asked of the MTA, given the callouts there are and what it offers. Pure. */
struct sl_offer {
	unsigned long actions; /* SMFIF_* */
	unsigned long steps;   /* SMFIP_* */
};
struct sl_offer sl_milter_negotiate(unsigned long long callouts, enum sl_connect_reply reply,
				    struct sl_offer mta);

/* The macros to ask for at a stage (SMFIM_*): names separated by blanks, "" for none. */
const char *sl_milter_macros(unsigned long long callouts, int stage);

/* SMFIF_* as sl_grant. */
unsigned sl_milter_grants(unsigned long actions);

/* Sets the reply of a verdict and returns what the callback returns. */
sfsistat sl_milter_reply(struct sl_conn *conn, const struct sl_verdict *verdict);
/* The same without words of ours. */
sfsistat sl_milter_plain_reply(const struct sl_verdict *verdict);

/* The port of the session; its context is the sl_conn. */
extern const struct sl_port sl_milter_port;

/* The callbacks, for smfi_register(). `engine` is what they serve. */
extern struct smfiDesc sl_milter_callbacks;
void sl_milter_set_engine(struct sl_engine *engine);
