#include "fake_port.h"
#include "support.h"

#include "session/context.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct fake_mta mta;
static struct sl_config *config;
static struct sl_session *session;

static void begin(void)
{
	config = sl_config_new();
	session = fake_session(&mta, config);
}

static void end(void)
{
	sl_session_free(&session);
	cr_assert_null(session);
	sl_config_free(&config);
	fake_deinit(&mta);
	sup_remove_dir();
}

TestSuite(session, .init = begin, .fini = end);

#define assert_conn(key, value) assert_var(&session->conn, key, value)
#define assert_mess(key, value) assert_var(&session->mess, key, value)

/* `value` NULL: absent. */
static void assert_var(const struct sl_dict *dict, const char *key, const char *value)
{
	const char *got = sl_dict_get(dict, key);

	if (!value)
		cr_assert_null(got, "%s is %s", key, got);
	else
		cr_assert_str_eq(got ? got : "(absent)", value, "%s is %s", key, got);
}

Test(session, knows_its_client)
{
	fake_connect(session, "192.0.2.1");
	sup_assert_str(session->client_name, "client.example");
	sup_assert_str(session->client_addr, "192.0.2.1");
	cr_assert_eq(session->client_port, 4242);
	assert_conn("pathway", "default");
	assert_conn("can_relay", NULL);
	cr_assert_eq(sl_session_connect(session, NULL, NULL, 0, NULL), 0);
	sup_assert_str(session->client_name, "");
	sup_assert_str(session->client_addr, "");
}

Test(session, relay_networks_may_relay)
{
	fake_connect(session, "127.0.0.1");
	assert_conn("can_relay", "true");
}

Test(session, peers_give_context_the_narrower_wins)
{
	char *file = sup_write(
		"peers.conf",
		"peer = (\n"
		"{ network = \"192.0.2.7\"; context = { who = \"host\"; }; },\n"
		"{ network = \"0.0.0.0/0\"; context = { who = \"any\"; all = \"1\"; }; },\n"
		"{ network = \"192.0.2.0/24\"; context = { who = \"net\"; net = \"1\"; }; },\n"
		"{ network = \"198.51.100.0/24\"; context = { other = \"1\"; }; } );");
	struct sl_faults faults = { 0 };
	struct sl_config *peers = sl_config_load(file, &faults);

	cr_assert_eq(faults.count, 0);
	session->config = peers;
	fake_connect(session, "192.0.2.7");
	assert_conn("who", "host");
	assert_conn("all", "1");
	assert_conn("net", "1");
	assert_conn("other", NULL);
	fake_connect(session, "2001:db8::1");
	session->config = config;
	sl_config_free(&peers);
	free(file);
}

Test(session, ehlo_is_known_as_line_and_domain)
{
	fake_ehlo(session, "client.example.org");
	assert_conn("ehlo_string", "EHLO client.example.org");
	assert_conn("ehlo_domain", "client.example.org");
	sup_assert_str(session->command, "EHLO client.example.org\r\n");
	assert_conn("tls", NULL);
}

Test(session, tls_of_sendmail)
{
	fake_macro(&mta, "{tls_version}", "TLSv1.3");
	fake_macro(&mta, "{cipher}", "AES");
	fake_macro(&mta, "{cipher_bits}", "256");
	fake_macro(&mta, "{verify}", "OK");
	fake_macro(&mta, "{cert_subject}", "/CN=client");
	fake_macro(&mta, "{cert_issuer}", "/CN=ca");
	fake_macro(&mta, "{cn_subject}", "client");
	fake_macro(&mta, "{cn_issuer}", "ca");
	fake_ehlo(session, "x");
	assert_conn("tls", "on");
	assert_conn("tls_cipher", "AES");
	assert_conn("tls_cipher_algbits", "256");
	assert_conn("tls_cipher_usebits", "256");
	assert_conn("tls_client_cert_subject", "/CN=client");
	assert_conn("tls_client_cert_subject_cn", "client");
	assert_conn("tls_client_cert_issuer", "/CN=ca");
	assert_conn("tls_client_cert_issuer_cn", "ca");
	assert_conn("tls_client_verified", "yes");
}

Test(session, tls_of_sendmail_with_a_bad_certificate)
{
	fake_macro(&mta, "{tls_version}", "TLSv1.3");
	fake_macro(&mta, "{verify}", "FAIL");
	fake_macro(&mta, "{cert_subject}", "/CN=client");
	fake_ehlo(session, "x");
	assert_conn("tls", "on");
	assert_conn("tls_client_verified", NULL);
}

Test(session, tls_of_postfix_at_mail)
{
	fake_ehlo(session, "x");
	assert_conn("tls", NULL);
	fake_macro(&mta, "{tls_version}", "TLSv1.3");
	fake_macro(&mta, "{cert_subject}", "client");
	fake_mail(session, "<a@b>");
	assert_conn("tls", "on");
	assert_conn("tls_client_cert_subject_cn", "client");
	assert_conn("tls_client_verified", "yes");
	assert_conn("tls_client_cert_issuer", NULL);
}

Test(session, auth_is_told_at_mail)
{
	fake_connect(session, "192.0.2.1");
	fake_macro(&mta, "{auth_authen}", "alice");
	fake_macro(&mta, "{auth_type}", "PLAIN");
	fake_mail(session, "<a@b>");
	assert_conn("auth_user", "alice");
	assert_conn("auth_name", "PLAIN");
	assert_conn("auth_status", "pass");
	assert_conn("can_relay", "true");
}

Test(session, mail_and_rcpt_fill_the_message_context)
{
	fake_macro(&mta, "i", "QUEUEID");
	fake_mail(session, "<Alice@Example.org> SIZE=10 BODY=8BITMIME");
	assert_mess("mailfrom_string", "MAIL FROM:<Alice@Example.org> SIZE=10 BODY=8BITMIME");
	assert_mess("mailfrom_localpart", "Alice");
	assert_mess("mailfrom_domain", "Example.org");
	sup_assert_str(session->command, "MAIL FROM:<Alice@Example.org> SIZE=10 BODY=8BITMIME\r\n");
	sup_assert_str(session->msg->sender_args, "SIZE=10 BODY=8BITMIME");
	assert_conn("connection_message_count", "1");
	assert_conn("message_rcpt_count", "0");
	sup_assert_str(sl_session_ids(session).queue, "QUEUEID");
	fake_rcpt(session, "<\"b c\"@x.example> NOTIFY=NEVER");
	sl_session_rcpt_refused(session);
	fake_rcpt(session, "<bob@example.net>");
	assert_mess("rcptto_string", "RCPT TO:<bob@example.net>");
	assert_mess("rcptto_localpart", "bob");
	assert_mess("rcptto_domain", "example.net");
	assert_conn("message_rcpt_count", "2");
	assert_conn("connection_rcpt_count", "2");
	cr_assert_eq(session->msg->rcpt_count, 1);
	sup_assert_str(session->msg->rcpts[0].wire, "<bob@example.net>");
}

Test(session, null_sender)
{
	fake_mail(session, "<>");
	assert_mess("mailfrom_string", "MAIL FROM:<>");
	assert_mess("mailfrom_localpart", "");
	assert_mess("mailfrom_domain", "");
}

Test(session, header_tells_of_date_and_loops)
{
	config->received_limit = 2;
	fake_mail(session, "<a@b>");
	fake_eom(session, "Received: 1\nreceived: 2\nReceived: 3\n");
	assert_mess("rfc2822_date_missing", "true");
	assert_conn("mail_loop_header_count", "3");
	fake_mail(session, "<a@b>");
	fake_eom(session, "Received: 1\nReceived: 2\nDate: now\n");
	assert_mess("rfc2822_date_missing", NULL);
}

Test(session, unknown_commands_are_counted)
{
	sl_session_unknown(session);
	sl_session_unknown(session);
	assert_conn("conntrol_unrecognized_commands", "2");
}

Test(session, message_state_never_outlives_the_message)
{
	fake_connect(session, "192.0.2.1");
	fake_macro(&mta, "i", "FIRST");
	fake_mail(session, "<one@a>");
	fake_rcpt(session, "<r1@a>");
	sl_dict_set(&session->mess, "own", "1");
	sl_dict_set(&session->conn, "own", "1");
	sl_session_header(session, "X", " 1");
	sl_session_body(session, "body", 4);
	fake_macro(&mta, "i", NULL);
	fake_mail(session, "<two@a>");
	assert_mess("own", NULL);
	assert_mess("rcptto_string", NULL);
	assert_mess("mailfrom_localpart", "two");
	assert_conn("own", "1");
	assert_conn("connection_message_count", "2");
	cr_assert_eq(session->msg->rcpt_count, 0);
	cr_assert_eq(session->msg->headers->count, 0);
	cr_assert_eq(session->msg->body.size, 0);
	sup_assert_str(session->msg->queue_id, "");
	fake_rcpt(session, "<r2@a>");
	fake_ehlo(session, "again");
	cr_assert_null(session->msg, "EHLO gives the message up");
}

static unsigned endings;

static bool count_endings(struct sl_session *ending)
{
	cr_assert_not_null(ending->msg);
	endings++;
	return true;
}

Test(session, tells_when_a_message_ends)
{
	session->message_ending = count_endings;
	sl_session_end_message(session);
	cr_assert_eq(endings, 0, "there was none");
	fake_mail(session, "<a@b>");
	fake_mail(session, "<a@b>");
	cr_assert_eq(endings, 1);
	sl_session_end_message(session);
	sl_session_end_message(session);
	cr_assert_eq(endings, 2);
}

Test(session, a_rcpt_that_is_not_understood_costs_no_other)
{
	char bad[] = "<b\001@c>";
	char *argv[] = { bad, NULL };
	struct sl_err err;

	fake_mail(session, "<a@b>");
	fake_rcpt(session, "<good@c>");
	cr_assert_eq(sl_session_rcpt(session, argv, &err), -EINVAL);
	sl_session_rcpt_refused(session);
	cr_assert_eq(session->msg->rcpt_count, 1);
	sup_assert_str(session->msg->rcpts[0].wire, "<good@c>");
	fake_rcpt(session, "<other@c>");
	sl_session_rcpt_refused(session);
	sl_session_rcpt_refused(session);
	cr_assert_eq(session->msg->rcpt_count, 1);
}

Test(session, starts_at_any_command)
{
	fake_rcpt(session, "<r@a>");
	cr_assert_eq(session->msg->rcpt_count, 1);
	sup_assert_str(sl_path_addr(&session->msg->sender), "");
	sl_session_end_message(session);
	fake_eom(session, "A: 1\n");
	cr_assert_eq(session->msg->headers->count, 1);
	cr_assert_eq(session->msg->rcpt_count, 0);
	sl_session_end_message(session);
	fake_data(session);
	cr_assert_not_null(session->msg);
}

Test(session, remembers_what_it_could_not_keep)
{
	char *big = malloc(SL_HEADERS_MAX + 1);

	memset(big, 'x', SL_HEADERS_MAX);
	big[SL_HEADERS_MAX] = '\0';
	fake_mail(session, "<a@b>");
	sl_session_header(session, "X", big);
	cr_assert(session->msg->too_big);
	sup_capture_log(LOG_ERR);
	free(config->state_dir);
	config->state_dir = strdup("/nonexistent/dir");
	sl_session_body(session, big, SL_BODY_IN_MEMORY);
	cr_assert(!session->msg->incomplete);
	sl_session_body(session, big, 1);
	cr_assert(session->msg->incomplete);
	free(big);
}

Test(session, an_accepted_ehlo_lifts_what_an_ehlo_refused)
{
	session->refused_in = SL_PHASE_EHLO;
	session->refusal.action = SL_REJECT;
	fake_ehlo(session, "x");
	cr_assert_eq(session->refusal.action, SL_CONTINUE);
	session->refused_in = SL_PHASE_CONNECT;
	session->refusal.action = SL_REJECT;
	fake_ehlo(session, "x");
	cr_assert_eq(session->refusal.action, SL_REJECT);
}

Test(session, trusts_only_who_knows_the_secret_and_comes_from_here)
{
	fake_ehlo(session, "");
	cr_assert(!session->trusted_copy, "no secret, no trust");
	sl_session_set_own_helo("secret.invalid");
	fake_ehlo(session, "secret.invalid");
	cr_assert(!session->trusted_copy, "nothing is known about the client");
	sl_session_connect(session, "evil", "192.0.2.1", 25, NULL);
	fake_ehlo(session, "secret.invalid");
	cr_assert(!session->trusted_copy, "not one of relay_networks");
	sl_session_connect(session, "localhost", "127.0.0.1", 25, NULL);
	fake_ehlo(session, "secret.invalid");
	cr_assert(session->trusted_copy);
	fake_ehlo(session, "secret.invalid2");
	cr_assert(!session->trusted_copy);
	sl_session_set_own_helo(NULL);
	sup_assert_str(sl_session_own_helo(), "");
}
