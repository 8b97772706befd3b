#include "support.h"

#include "milter/milter_priv.h"

#include <string.h>

#define BIT(id) SL_CALLOUT_BIT(id)
#define ALL_ACTIONS 0x1fful
#define ALL_STEPS 0x1ffffful

#define NO_STEPS                                                                                   \
	(SMFIP_NOCONNECT | SMFIP_NOHELO | SMFIP_NOMAIL | SMFIP_NORCPT | SMFIP_NODATA |             \
	 SMFIP_NOHDRS | SMFIP_NOEOH | SMFIP_NOBODY | SMFIP_NOUNKNOWN)
#define NO_REPLIES                                                                                 \
	(SMFIP_NR_CONN | SMFIP_NR_HELO | SMFIP_NR_MAIL | SMFIP_NR_RCPT | SMFIP_NR_DATA |           \
	 SMFIP_NR_HDR | SMFIP_NR_UNKN | SMFIP_NR_EOH)
#define ALWAYS (SMFIP_HDR_LEADSPC | SMFIP_SKIP)

static const struct sl_offer everything = { ALL_ACTIONS, ALL_STEPS };

/* `steps` and `replies` are those that must be left to happen. */
static const struct {
	const char *name;
	unsigned long long callouts;
	enum sl_connect_reply reply;
	unsigned long steps;
	unsigned long replies;
	unsigned long actions;
} rows[] = {
	{ "none", 0, SL_REPLY_AT_HELO, 0, 0, 0 },
	{ "connect at helo", BIT(SL_CO_CONNECT), SL_REPLY_AT_HELO,
	  SMFIP_NOCONNECT | SMFIP_NOHELO | SMFIP_NOMAIL | SMFIP_NOUNKNOWN,
	  SMFIP_NR_HELO | SMFIP_NR_MAIL, 0 },
	{ "connect at connect", BIT(SL_CO_CONNECT), SL_REPLY_AT_CONNECT,
	  SMFIP_NOCONNECT | SMFIP_NOUNKNOWN, SMFIP_NR_CONN, 0 },
	{ "ehlo", BIT(SL_CO_EHLO), SL_REPLY_AT_HELO,
	  SMFIP_NOCONNECT | SMFIP_NOHELO | SMFIP_NOUNKNOWN, SMFIP_NR_HELO, 0 },
	{ "mailfrom", BIT(SL_CO_MAILFROM), SL_REPLY_AT_HELO,
	  SMFIP_NOCONNECT | SMFIP_NOHELO | SMFIP_NOMAIL | SMFIP_NOUNKNOWN, SMFIP_NR_MAIL, 0 },
	{ "rcptto", BIT(SL_CO_RCPTTO), SL_REPLY_AT_HELO,
	  SMFIP_NOCONNECT | SMFIP_NOHELO | SMFIP_NOMAIL | SMFIP_NORCPT | SMFIP_NOUNKNOWN,
	  SMFIP_NR_RCPT, SMFIF_CHGFROM },
	{ "rcptto_list", BIT(SL_CO_RCPTTO_LIST), SL_REPLY_AT_HELO,
	  SMFIP_NOCONNECT | SMFIP_NOHELO | SMFIP_NOMAIL | SMFIP_NORCPT | SMFIP_NOUNKNOWN,
	  SMFIP_NR_RCPT, 0 },
	{ "rcptto_list_final", BIT(SL_CO_RCPTTO_LIST_FINAL), SL_REPLY_AT_HELO,
	  SMFIP_NOCONNECT | SMFIP_NOHELO | SMFIP_NOMAIL | SMFIP_NORCPT | SMFIP_NODATA |
		  SMFIP_NOUNKNOWN,
	  SMFIP_NR_DATA, 0 },
	{ "data", BIT(SL_CO_DATA), SL_REPLY_AT_HELO,
	  NO_STEPS & ~(SMFIP_NODATA | SMFIP_NOEOH | SMFIP_NOBODY), 0,
	  SMFIF_ADDHDRS | SMFIF_CHGHDRS | SMFIF_CHGFROM },
	{ "each_rcpt", BIT(SL_CO_EACH_RCPT), SL_REPLY_AT_HELO,
	  NO_STEPS & ~(SMFIP_NODATA | SMFIP_NOEOH), 0,
	  SMFIF_ADDHDRS | SMFIF_CHGHDRS | SMFIF_CHGFROM | SMFIF_ADDRCPT | SMFIF_DELRCPT },
	{ "set_binding", BIT(SL_CO_SET_BINDING), SL_REPLY_AT_HELO,
	  NO_STEPS & ~(SMFIP_NODATA | SMFIP_NOEOH), 0,
	  SMFIF_ADDHDRS | SMFIF_CHGHDRS | SMFIF_ADDRCPT | SMFIF_DELRCPT },
	{ "routing", BIT(SL_HOOK_ROUTING_DOMAIN), SL_REPLY_AT_HELO,
	  NO_STEPS & ~(SMFIP_NODATA | SMFIP_NOEOH), 0,
	  SMFIF_ADDHDRS | SMFIF_CHGHDRS | SMFIF_ADDRCPT | SMFIF_DELRCPT },
	{ "init, deinit, dealloc", BIT(SL_CO_INIT) | BIT(SL_CO_DEINIT) | BIT(SL_CO_DEALLOC),
	  SL_REPLY_AT_HELO, 0, 0, 0 },
};

Test(negotiate, asks_for_what_callouts_need)
{
	for (unsigned i = 0; i < COUNT(rows); i++) {
		struct sl_offer ours = sl_milter_negotiate(rows[i].callouts, rows[i].reply,
							   everything);
		unsigned long steps = (NO_STEPS & ~rows[i].steps) |
				      (NO_REPLIES & ~rows[i].replies) | ALWAYS;

		cr_assert_eq(ours.steps, steps, "%s: steps %lx, wanted %lx", rows[i].name,
			     ours.steps, steps);
		cr_assert_eq(ours.actions, rows[i].actions | SMFIF_SETSYMLIST, "%s: %lx",
			     rows[i].name, ours.actions);
	}
}

Test(negotiate, takes_no_more_than_is_offered)
{
	for (unsigned i = 0; i < COUNT(rows); i++) {
		struct sl_offer none = { 0, 0 };
		struct sl_offer some = { SMFIF_ADDHDRS, SMFIP_NOBODY | SMFIP_NR_HDR };
		struct sl_offer ours = sl_milter_negotiate(rows[i].callouts, rows[i].reply, none);

		cr_assert_eq(ours.actions, 0, "%s", rows[i].name);
		cr_assert_eq(ours.steps, 0, "%s", rows[i].name);
		ours = sl_milter_negotiate(rows[i].callouts, rows[i].reply, some);
		cr_assert_eq(ours.actions & ~some.actions, 0, "%s", rows[i].name);
		cr_assert_eq(ours.steps & ~some.steps, 0, "%s", rows[i].name);
	}
}

Test(negotiate, body_is_skipped_or_not_answered)
{
	struct sl_offer mta = { ALL_ACTIONS, ALL_STEPS };
	struct sl_offer ours = sl_milter_negotiate(BIT(SL_CO_EACH_RCPT), SL_REPLY_AT_HELO, mta);

	cr_assert_eq(ours.steps & (SMFIP_SKIP | SMFIP_NR_BODY), SMFIP_SKIP);
	mta.steps &= ~(unsigned long)SMFIP_SKIP;
	ours = sl_milter_negotiate(BIT(SL_CO_EACH_RCPT), SL_REPLY_AT_HELO, mta);
	cr_assert_eq(ours.steps & (SMFIP_SKIP | SMFIP_NR_BODY), SMFIP_NR_BODY);
}

Test(negotiate, asks_for_the_macros_that_context_needs)
{
	static const struct {
		int stage;
		const char *macro;
	} wanted[] = { { SMFIM_HELO, "{tls_version}" },	    { SMFIM_HELO, "{verify}" },
		       { SMFIM_ENVFROM, "{auth_authen}" },  { SMFIM_ENVFROM, "{auth_type}" },
		       { SMFIM_ENVFROM, "{cert_subject}" }, { SMFIM_ENVFROM, "{cert_issuer}" } };

	for (unsigned i = 0; i < COUNT(wanted); i++)
		sup_assert_has(sl_milter_macros(0, wanted[i].stage), wanted[i].macro);
	sup_assert_str(sl_milter_macros(BIT(SL_CO_DATA), SMFIM_CONNECT), "");
	sup_assert_str(sl_milter_macros(BIT(SL_CO_EACH_RCPT), SMFIM_CONNECT), "j");
	sup_assert_str(sl_milter_macros(0, SMFIM_EOH), "");
	sup_assert_str(sl_milter_macros(0, SMFIM_EOM), "i");
}

Test(negotiate, grants_follow_actions)
{
	cr_assert_eq(sl_milter_grants(0), 0);
	cr_assert_eq(sl_milter_grants(SMFIF_ADDHDRS), SL_GRANT_ADD_HEADER);
	cr_assert_eq(sl_milter_grants(SMFIF_CHGHDRS), SL_GRANT_CHANGE_HEADER);
	cr_assert_eq(sl_milter_grants(SMFIF_ADDRCPT), SL_GRANT_ADD_RCPT);
	cr_assert_eq(sl_milter_grants(SMFIF_DELRCPT), SL_GRANT_DEL_RCPT);
	cr_assert_eq(sl_milter_grants(SMFIF_CHGFROM), SL_GRANT_CHANGE_FROM);
	cr_assert_eq(sl_milter_grants(SMFIF_CHGBODY | SMFIF_QUARANTINE), 0);
	cr_assert_eq(sl_milter_grants(ALL_ACTIONS), SL_GRANT_ALL);
}
