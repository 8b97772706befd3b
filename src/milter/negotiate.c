/* What we ask of the MTA: only what the loaded modules need. A step is asked for because a callout
 * hangs on it, or because a later callout sees what it tells; a reply only where a callout may
 * refuse, so that a round trip is paid only where a script speaks. */
#include "milter/milter_priv.h"

#define BIT(id) SL_CALLOUT_BIT(id)

#define AT_RCPT (BIT(SL_CO_RCPTTO) | BIT(SL_CO_RCPTTO_LIST))
#define AT_DATA BIT(SL_CO_RCPTTO_LIST_FINAL)
#define PER_RCPT (BIT(SL_CO_EACH_RCPT) | BIT(SL_CO_SET_BINDING) | BIT(SL_HOOK_ROUTING_DOMAIN))
#define AT_EOM                                                                                     \
	(BIT(SL_CO_DATA) | BIT(SL_CO_DATA_SPOOL) | PER_RCPT | BIT(SL_HOOK_FINAL_VALIDATION2) |     \
	 BIT(SL_HOOK_FINAL_VALIDATION) | BIT(SL_HOOK_POST_FINAL_VALIDATION) |                      \
	 BIT(SL_HOOK_ROUTING_DOMAIN))

/* Steps nobody needs. The body is only there to be copied where recipients may part. */
static unsigned long unneeded_steps(unsigned long long has, bool connect_speaks_later)
{
	unsigned long long from_rcpt = has & (AT_RCPT | AT_DATA | AT_EOM);
	unsigned long long from_mail = from_rcpt | (has & BIT(SL_CO_MAILFROM));
	unsigned long long from_helo = from_mail | (has & BIT(SL_CO_EHLO));
	/* libmilter gets from DATA to the body by way of the header only: a message without a field
	 * would not be answered if the end of the header were left out, too */
	unsigned long no = has & AT_DATA && has & AT_EOM ? 0 : SMFIP_NOEOH;

	if (!(from_helo | (has & BIT(SL_CO_CONNECT))))
		no |= SMFIP_NOCONNECT | SMFIP_NOUNKNOWN;
	if (!from_helo && !connect_speaks_later)
		no |= SMFIP_NOHELO;
	if (!from_mail && !connect_speaks_later)
		no |= SMFIP_NOMAIL;
	if (!from_rcpt)
		no |= SMFIP_NORCPT;
	if (!(has & AT_DATA))
		no |= SMFIP_NODATA;
	if (!(has & AT_EOM))
		no |= SMFIP_NOHDRS;
	if (!(has & PER_RCPT))
		no |= SMFIP_NOBODY;
	return no;
}

static unsigned long unneeded_replies(unsigned long long has, bool connect_speaks_later)
{
	unsigned long no = SMFIP_NR_HDR | SMFIP_NR_UNKN | SMFIP_NR_EOH;

	if (!(has & BIT(SL_CO_CONNECT)) || connect_speaks_later)
		no |= SMFIP_NR_CONN;
	if (!(has & BIT(SL_CO_EHLO)) && !connect_speaks_later)
		no |= SMFIP_NR_HELO;
	/* a client may skip HELO: MAIL is the next chance to say what connect decided */
	if (!(has & BIT(SL_CO_MAILFROM)) && !connect_speaks_later)
		no |= SMFIP_NR_MAIL;
	if (!(has & AT_RCPT))
		no |= SMFIP_NR_RCPT;
	if (!(has & AT_DATA))
		no |= SMFIP_NR_DATA;
	return no;
}

static unsigned long wanted_actions(unsigned long long has)
{
	unsigned long actions = SMFIF_SETSYMLIST;

	if (has & AT_EOM)
		actions |= SMFIF_ADDHDRS | SMFIF_CHGHDRS;
	if (has &
	    (BIT(SL_CO_RCPTTO) | BIT(SL_CO_DATA) | BIT(SL_CO_DATA_SPOOL) | BIT(SL_CO_EACH_RCPT)))
		actions |= SMFIF_CHGFROM;
	if (has & PER_RCPT)
		actions |= SMFIF_ADDRCPT | SMFIF_DELRCPT;
	return actions;
}

struct sl_offer sl_milter_negotiate(unsigned long long callouts, enum sl_connect_reply reply,
				    struct sl_offer mta)
{
	bool later = (callouts & BIT(SL_CO_CONNECT)) && reply == SL_REPLY_AT_HELO;
	struct sl_offer ours = {
		.actions = wanted_actions(callouts) & mta.actions,
		.steps = unneeded_steps(callouts, later) | unneeded_replies(callouts, later) |
			 SMFIP_HDR_LEADSPC | SMFIP_SKIP,
	};

	/* one recipient needs no copy of the body: skipping it beats not answering each chunk */
	if (!(mta.steps & SMFIP_SKIP))
		ours.steps |= SMFIP_NR_BODY;
	ours.steps &= mta.steps;
	return ours;
}

const char *sl_milter_macros(unsigned long long callouts, int stage)
{
#define TLS_MACROS                                                                                 \
	"{tls_version} {cipher} {cipher_bits} {verify} {cert_subject} {cert_issuer} {cn_subject} " \
	"{cn_issuer}"

	switch (stage) {
	case SMFIM_CONNECT:
		return callouts & PER_RCPT ? "j" : ""; /* who a bounce is from */
	case SMFIM_HELO:
		return TLS_MACROS;
	case SMFIM_ENVFROM:
		return "i {auth_type} {auth_authen} " TLS_MACROS;
	case SMFIM_ENVRCPT:
	case SMFIM_DATA:
	case SMFIM_EOM:
		return "i";
	default:
		return "";
	}
}

unsigned sl_milter_grants(unsigned long actions)
{
	return (actions & SMFIF_ADDHDRS ? SL_GRANT_ADD_HEADER : 0u) |
	       (actions & SMFIF_CHGHDRS ? SL_GRANT_CHANGE_HEADER : 0u) |
	       (actions & SMFIF_ADDRCPT ? SL_GRANT_ADD_RCPT : 0u) |
	       (actions & SMFIF_DELRCPT ? SL_GRANT_DEL_RCPT : 0u) |
	       (actions & SMFIF_CHGFROM ? SL_GRANT_CHANGE_FROM : 0u);
}
