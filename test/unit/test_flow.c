#include "fake_port.h"
#include "support.h"

#include "callout/flow.h"
#include "lua/loader.h"

#include "mail/text.h"
#include "session/apply.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct fake_mta mta;
static struct sl_config *config;
static struct sl_engine *engine;
static struct sl_session *session;
static struct sl_buf trace;

static void watch(void *arg, const struct sl_trace_event *event)
{
	sl_buf_printf(arg, "%s.%s=%s;", event->module, event->callout,
		      sl_outcome_name(event->outcome));
}

static void begin(void)
{
	sl_mail_init();
	config = sl_config_new();
	sup_capture_log(LOG_ERR);
}

static void end(void)
{
	if (session) {
		sl_flow_end(session);
		sl_session_free(&session);
	}
	sl_engine_free(&engine);
	sl_config_free(&config);
	fake_deinit(&mta);
	sl_buf_deinit(&trace);
	sup_remove_dir();
}

TestSuite(flow, .init = begin, .fini = end);

/* Adds a module of that name whose table has the given text between its braces. */
static void add_module(const char *name, const char *functions)
{
	struct sl_buf text = SL_BUF_ZERO;
	struct sl_buf file = SL_BUF_ZERO;
	char *path;

	sl_buf_printf(&file, "%s.lua", name);
	sl_buf_printf(&text,
		      "local C = msys.core\n"
		      "msys.registerModule('%s', { %s })",
		      name, functions);
	path = sup_write(sl_buf_str(&file), sl_buf_str(&text));
	cr_assert_eq(sl_config_add_script(config, name, path), 0);
	free(path);
	sl_buf_deinit(&text);
	sl_buf_deinit(&file);
}

static void start(void)
{
	struct sl_faults faults = { 0 };
	char *shown;

	sl_scripts_read(config, &faults);
	engine = sl_engine_new(config, 1, &faults);
	shown = sup_faults(&faults);
	cr_assert_not_null(engine, "%s", shown);
	free(shown);
	sl_faults_deinit(&faults);
	engine->trace = watch;
	engine->trace_arg = &trace;
	session = fake_session(&mta, config);
	fake_connect(session, "192.0.2.1");
}

static const struct sl_verdict *run(enum sl_phase phase)
{
	sl_buf_clear(&trace);
	return sl_flow_run(engine, session, phase);
}

static void assert_run(enum sl_phase phase, enum sl_action action, int code, const char *calls)
{
	const struct sl_verdict *verdict = run(phase);

	sup_assert_str(sl_buf_str(&trace), calls);
	cr_assert_eq(verdict->action, action, "%s", sl_action_name(verdict->action));
	cr_assert_eq(verdict->reply.code, code, "%d", verdict->reply.code);
}

Test(flow, cont_asks_the_next_done_does_not)
{
	add_module("a", "validate_connect = function() return C.VALIDATE_CONT end,"
			"validate_ehlo = function() return C.VALIDATE_DONE end");
	add_module("b", "validate_connect = function() return C.VALIDATE_CONT end,"
			"validate_ehlo = function() return C.VALIDATE_CONT end");
	start();
	assert_run(SL_PHASE_CONNECT, SL_CONTINUE, 0,
		   "a.validate_connect=CONT;b.validate_connect=CONT;");
	sup_assert_str(sl_flow_decider(session), "b");
	fake_ehlo(session, "x");
	assert_run(SL_PHASE_EHLO, SL_CONTINUE, 0, "a.validate_ehlo=DONE;");
	fake_mail(session, "<a@b>");
	assert_run(SL_PHASE_MAILFROM, SL_CONTINUE, 0, "");
	sup_assert_str(sl_flow_decider(session), "");
}

Test(flow, the_last_code_decides)
{
	add_module("a", "validate_mailfrom = function(self, str, ac, vctx)\n"
			"vctx:set_code(550, '5.7.1 first') return C.VALIDATE_CONT end");
	add_module("b", "validate_mailfrom = function(self, str, ac, vctx)\n"
			"vctx:set_code(451, '4.7.1 second') return C.VALIDATE_CONT end");
	add_module("c", "validate_mailfrom = function() return C.VALIDATE_DONE end");
	start();
	fake_mail(session, "<a@b>");
	assert_run(SL_PHASE_MAILFROM, SL_TEMPFAIL, 451,
		   "a.validate_mailfrom=CONT;b.validate_mailfrom=CONT;c.validate_mailfrom=DONE;");
	sup_assert_str(sl_flow_verdict(session)->reply.xcode, "4.7.1");
	sup_assert_str(sl_flow_verdict(session)->reply.text, "second");
}

Test(flow, a_code_is_fresh_in_each_phase_and_for_each_recipient)
{
	add_module("a", "validate_rcptto = function(self, msg, str, ac, vctx)\n"
			"if msg:rcptto():find('bad') then vctx:set_code(550, 'no') end\n"
			"return C.VALIDATE_CONT end");
	start();
	fake_mail(session, "<a@b>");
	fake_rcpt(session, "<bad@x>");
	assert_run(SL_PHASE_RCPTTO, SL_REJECT, 550, "a.validate_rcptto=CONT;");
	sl_session_rcpt_refused(session);
	fake_rcpt(session, "<good@x>");
	assert_run(SL_PHASE_RCPTTO, SL_CONTINUE, 0, "a.validate_rcptto=CONT;");
	fake_data(session);
	assert_run(SL_PHASE_DATA, SL_CONTINUE, 0, "");
}

Test(flow, again_calls_the_same_function_again)
{
	add_module("a", "validate_ehlo = function(self) self.n = (self.n or 0) + 1\n"
			"return self.n < 3 and C.VALIDATE_AGAIN or C.VALIDATE_CONT end");
	add_module("b", "validate_ehlo = function() return C.VALIDATE_CONT end");
	start();
	fake_ehlo(session, "x");
	assert_run(SL_PHASE_EHLO, SL_CONTINUE, 0,
		   "a.validate_ehlo=AGAIN;a.validate_ehlo=AGAIN;a.validate_ehlo=CONT;"
		   "b.validate_ehlo=CONT;");
}

Test(flow, again_ends_with_callout_timeout)
{
	config->scriptlet.limits.callout_timeout = 1;
	add_module("a", "validate_mailfrom = function() return C.VALIDATE_AGAIN end");
	start();
	fake_mail(session, "<a@b>");
	cr_assert_eq(run(SL_PHASE_MAILFROM)->action, SL_TEMPFAIL);
	cr_assert_eq(sl_flow_verdict(session)->reply.code, 451);
	sup_assert_str(sl_flow_verdict(session)->reply.xcode, "4.3.0");
	sup_assert_has(sl_buf_str(&trace), "a.validate_mailfrom=AGAIN;a.validate_mailfrom=AGAIN;");
}

Test(flow, what_is_no_return_value_counts_as_cont)
{
	static const char *const returns[] = {
		"",	     "return nil", "return 'x'", "return true", "return 3",
		"return -1", "return 0.5", "return '0'", "return {}"
	};
	struct sl_buf *log;

	for (unsigned i = 0; i < COUNT(returns); i++) {
		struct sl_buf text = SL_BUF_ZERO;

		end();
		begin();
		log = sup_capture_log(LOG_ERR);
		sl_buf_printf(&text, "validate_ehlo = function() %s end", returns[i]);
		add_module("a", sl_buf_str(&text));
		add_module("b", "validate_ehlo = function() return C.VALIDATE_CONT end");
		start();
		fake_ehlo(session, "x");
		assert_run(SL_PHASE_EHLO, SL_CONTINUE, 0,
			   "a.validate_ehlo=none;b.validate_ehlo=CONT;");
		sup_assert_str(sl_buf_str(log), "3 scriptlet-00147: validate_ehlo error: (null)\n"
						"3 scriptlet-00239: a error: (null)\n");
		sl_buf_deinit(&text);
	}
}

Test(flow, a_code_stands_when_nothing_is_returned)
{
	add_module("a",
		   "validate_ehlo = function(self, str, ac, vctx) vctx:set_code(550, 'x') end");
	start();
	fake_ehlo(session, "x");
	assert_run(SL_PHASE_EHLO, SL_REJECT, 550, "a.validate_ehlo=none;");
}

Test(flow, an_error_ends_the_phase_with_451)
{
	struct sl_buf *log;

	add_module("a", "validate_mailfrom = function(self, str, ac, vctx)\n"
			"vctx:set_code(550, 'x') error('oops') end");
	add_module("b", "validate_mailfrom = function() return C.VALIDATE_CONT end,"
			"validate_rcptto = function() return C.VALIDATE_CONT end");
	start();
	log = sup_capture_log(LOG_ERR);
	fake_mail(session, "<a@b>");
	assert_run(SL_PHASE_MAILFROM, SL_TEMPFAIL, 451, "a.validate_mailfrom=error;");
	sup_assert_str(sl_flow_verdict(session)->reply.text,
		       "temporary issue, please retry your message later");
	sup_assert_has(sl_buf_str(log), "scriptlet-00147: validate_mailfrom error: ");
	sup_assert_has(sl_buf_str(log), "a.lua:3: oops\n3 scriptlet-00239: a error: ");
	fake_rcpt(session, "<a@b>");
	assert_run(SL_PHASE_RCPTTO, SL_CONTINUE, 0, "b.validate_rcptto=CONT;");
}

Test(flow, yield_outside_a_coroutine_is_an_error)
{
	add_module("a", "validate_ehlo = function() coroutine.yield(0) end,"
			"validate_mailfrom = function() return C.VALIDATE_CONT end");
	start();
	fake_ehlo(session, "x");
	assert_run(SL_PHASE_EHLO, SL_TEMPFAIL, 451, "a.validate_ehlo=error;");
	fake_ehlo(session, "x");
	assert_run(SL_PHASE_EHLO, SL_TEMPFAIL, 451, "a.validate_ehlo=error;");
}

Test(flow, a_refused_connection_stays_refused)
{
	add_module("a", "validate_connect = function(self, ac, vctx)\n"
			"vctx:set_code(554, '5.7.1 no') return C.VALIDATE_DONE end,"
			"validate_ehlo = function() return C.VALIDATE_CONT end");
	start();
	assert_run(SL_PHASE_CONNECT, SL_REJECT, 554, "a.validate_connect=DONE;");
	for (int i = 0; i < 2; i++) {
		fake_ehlo(session, "x");
		assert_run(SL_PHASE_EHLO, SL_REJECT, 554, "");
		sup_assert_str(sl_flow_verdict(session)->reply.text, "no");
	}
	fake_mail(session, "<a@b>");
	assert_run(SL_PHASE_MAILFROM, SL_REJECT, 554, "");
}

Test(flow, a_refused_ehlo_is_lifted_by_the_next)
{
	add_module("a", "validate_ehlo = function(self, str, ac, vctx)\n"
			"if tostring(str):find('bad') then vctx:set_code(550, 'no') end\n"
			"return C.VALIDATE_CONT end");
	start();
	fake_ehlo(session, "bad");
	assert_run(SL_PHASE_EHLO, SL_REJECT, 550, "a.validate_ehlo=CONT;");
	fake_mail(session, "<a@b>");
	assert_run(SL_PHASE_MAILFROM, SL_REJECT, 550, "");
	fake_ehlo(session, "good");
	assert_run(SL_PHASE_EHLO, SL_CONTINUE, 0, "a.validate_ehlo=CONT;");
	fake_mail(session, "<a@b>");
	assert_run(SL_PHASE_MAILFROM, SL_CONTINUE, 0, "");
}

Test(flow, disconnect_refuses_all_that_follows)
{
	add_module("a", "validate_rcptto = function(self, msg, str, ac, vctx)\n"
			"vctx:disconnect(550, '5.7.1 bye') return C.VALIDATE_CONT end");
	start();
	fake_mail(session, "<a@b>");
	fake_rcpt(session, "<a@b>");
	assert_run(SL_PHASE_RCPTTO, SL_TEMPFAIL, 421, "a.validate_rcptto=CONT;");
	sup_assert_str(sl_flow_verdict(session)->reply.xcode, "4.7.1");
	fake_ehlo(session, "x");
	assert_run(SL_PHASE_EHLO, SL_TEMPFAIL, 421, "");
}

Test(flow, dealloc_runs_where_something_ran_with_the_same_self)
{
	add_module("a",
		   "validate_ehlo = function(self) self.x = 'kept' return C.VALIDATE_DONE end,"
		   "validate_dealloc = function(self) assert(self.x == 'kept') error('e') end");
	add_module("b", "validate_ehlo = function() return C.VALIDATE_CONT end,"
			"validate_dealloc = function() end");
	add_module("c", "validate_connect = function(self) self.x = 1 return C.VALIDATE_CONT end,"
			"validate_dealloc = function(self) assert(self.x == 1) end");
	start();
	run(SL_PHASE_CONNECT);
	fake_ehlo(session, "x");
	run(SL_PHASE_EHLO);
	assert_run(SL_PHASE_CLOSE, SL_CONTINUE, 0,
		   "a.validate_dealloc=error;c.validate_dealloc=none;");
}

Test(flow, dealloc_does_not_run_where_nothing_ran)
{
	add_module("a", "validate_ehlo = function() return C.VALIDATE_CONT end,"
			"validate_dealloc = function() end");
	start();
	assert_run(SL_PHASE_CLOSE, SL_CONTINUE, 0, "");
}

Test(flow, self_lasts_for_the_connection_only)
{
	struct sl_session *first;

	add_module("a", "shared = 'module', validate_ehlo = function(self)\n"
			"assert(self.shared == 'module') self.n = (self.n or 0) + 1\n"
			"self.shared2 = true return self.n == 2 and C.VALIDATE_DONE or "
			"C.VALIDATE_CONT end");
	start();
	fake_ehlo(session, "x");
	assert_run(SL_PHASE_EHLO, SL_CONTINUE, 0, "a.validate_ehlo=CONT;");
	first = session;
	session = fake_session(&mta, config);
	fake_ehlo(session, "x");
	assert_run(SL_PHASE_EHLO, SL_CONTINUE, 0, "a.validate_ehlo=CONT;");
	sl_flow_end(session);
	sl_session_free(&session);
	session = first;
	fake_ehlo(session, "x");
	assert_run(SL_PHASE_EHLO, SL_CONTINUE, 0, "a.validate_ehlo=DONE;");
}

Test(flow, a_header_that_is_too_big_is_refused)
{
	char *big = malloc(SL_HEADERS_MAX + 1);

	memset(big, 'x', SL_HEADERS_MAX);
	big[SL_HEADERS_MAX] = '\0';
	add_module("a", "validate_data = function() return C.VALIDATE_CONT end");
	start();
	fake_mail(session, "<a@b>");
	fake_rcpt(session, "<a@b>");
	sl_session_header(session, "X", big);
	free(big);
	fake_eom(session, "");
	assert_run(SL_PHASE_EOM, SL_REJECT, 552, "");
	fake_mail(session, "<a@b>");
	fake_rcpt(session, "<a@b>");
	fake_eom(session, "");
	session->msg->incomplete = true;
	assert_run(SL_PHASE_EOM, SL_TEMPFAIL, 451, "");
}

/* The script of the module that was added last. */
static struct sl_script_limits *limits(void)
{
	return &config->scriptlet.scripts[config->scriptlet.script_count - 1].limits;
}

static void set_error_reply(struct sl_script_limits *of, const char *reply)
{
	free(of->error_reply);
	of->error_reply = strdup(reply);
}

static void assert_reply(const char *xcode, const char *text)
{
	const struct sl_reply *reply = &sl_flow_verdict(session)->reply;

	sup_assert_str(reply->xcode, xcode);
	sup_assert_str(reply->text, text);
}

#define FAILS "= function(self, ...) error('oops') end,"

Test(flow, on_error_accept_goes_on_as_if_it_had_not_been_called)
{
	add_module("a", "validate_mailfrom = function(self, str, ac, vctx)\n"
			"if str:find('bad') then vctx:set_code(550, '5.7.1 by a') end\n"
			"return C.VALIDATE_CONT end");
	add_module("b", "validate_mailfrom = function(self, str, ac, vctx)\n"
			"vctx:disconnect(450, '4.7.1 by b') vctx:tarpit(3600) error('oops') end");
	limits()->on_error = SL_ON_ERROR_ACCEPT;
	add_module("c", "validate_mailfrom = function() return C.VALIDATE_CONT end");
	start();
	fake_mail(session, "<good@b>");
	assert_run(SL_PHASE_MAILFROM, SL_CONTINUE, 0,
		   "a.validate_mailfrom=CONT;b.validate_mailfrom=error;"
		   "c.validate_mailfrom=CONT;");
	fake_mail(session, "<bad@b>");
	assert_run(SL_PHASE_MAILFROM, SL_REJECT, 550,
		   "a.validate_mailfrom=CONT;b.validate_mailfrom=error;"
		   "c.validate_mailfrom=CONT;");
	assert_reply("5.7.1", "by a");
	sup_assert_str(sl_flow_decider(session), "a");
}

Test(flow, on_error_accept_accepts_where_nobody_decides)
{
	add_module("a", "validate_connect " FAILS "validate_ehlo " FAILS);
	limits()->on_error = SL_ON_ERROR_ACCEPT;
	start();
	assert_run(SL_PHASE_CONNECT, SL_CONTINUE, 0, "a.validate_connect=error;");
	fake_ehlo(session, "x");
	assert_run(SL_PHASE_EHLO, SL_CONTINUE, 0, "a.validate_ehlo=error;");
	fake_mail(session, "<a@b>");
	assert_run(SL_PHASE_MAILFROM, SL_CONTINUE, 0, "");
}

Test(flow, on_error_reject_refuses)
{
	add_module("a", "validate_ehlo " FAILS "validate_rcptto " FAILS);
	limits()->on_error = SL_ON_ERROR_REJECT;
	add_module("b", "validate_rcptto = function() return C.VALIDATE_CONT end");
	start();
	fake_ehlo(session, "x");
	assert_run(SL_PHASE_EHLO, SL_REJECT, 550, "a.validate_ehlo=error;");
	assert_reply("5.7.1", "message refused by policy");
	fake_mail(session, "<a@b>");
	assert_run(SL_PHASE_MAILFROM, SL_REJECT, 550, "");
}

Test(flow, on_error_is_that_of_the_script_that_failed)
{
	add_module("accepts", "validate_rcptto " FAILS);
	limits()->on_error = SL_ON_ERROR_ACCEPT;
	add_module("rejects", "validate_rcptto = function(self, msg)\n"
			      "if msg:rcptto():find('r') then error('oops') end\n"
			      "return C.VALIDATE_CONT end");
	limits()->on_error = SL_ON_ERROR_REJECT;
	add_module("defers", "validate_rcptto " FAILS);
	start();
	fake_mail(session, "<a@b>");
	fake_rcpt(session, "<r@b>");
	assert_run(SL_PHASE_RCPTTO, SL_REJECT, 550,
		   "accepts.validate_rcptto=error;rejects.validate_rcptto=error;");
	sl_session_rcpt_refused(session);
	fake_rcpt(session, "<d@b>");
	assert_run(SL_PHASE_RCPTTO, SL_TEMPFAIL, 451,
		   "accepts.validate_rcptto=error;rejects.validate_rcptto=CONT;"
		   "defers.validate_rcptto=error;");
}

Test(flow, error_reply_is_what_a_deferring_error_answers)
{
	add_module("a", "validate_ehlo " FAILS);
	set_error_reply(limits(), "421 4.3.2 come again later");
	add_module("b", "validate_mailfrom " FAILS);
	start();
	fake_ehlo(session, "x");
	assert_run(SL_PHASE_EHLO, SL_TEMPFAIL, 421, "a.validate_ehlo=error;");
	assert_reply("4.3.2", "come again later");
	end();
	begin();
	add_module("b", "validate_mailfrom " FAILS);
	set_error_reply(limits(), "450 no enhanced code");
	start();
	fake_mail(session, "<a@b>");
	assert_run(SL_PHASE_MAILFROM, SL_TEMPFAIL, 450, "b.validate_mailfrom=error;");
	assert_reply("", "no enhanced code");
}

Test(flow, an_error_at_dealloc_changes_nothing)
{
	add_module("a", "validate_connect = function() return C.VALIDATE_CONT end,"
			"validate_dealloc " FAILS);
	limits()->on_error = SL_ON_ERROR_REJECT;
	add_module("b", "validate_connect = function() return C.VALIDATE_CONT end,"
			"validate_dealloc = function() end");
	start();
	run(SL_PHASE_CONNECT);
	assert_run(SL_PHASE_CLOSE, SL_CONTINUE, 0,
		   "a.validate_dealloc=error;b.validate_dealloc=none;");
}

/* Observe mode. */

Test(flow, who_observes_decides_nothing)
{
	struct sl_buf *log;

	add_module("a", "validate_ehlo = function(self, str, ac, vctx)\n"
			"vctx:disconnect(550, '5.7.1 never') return C.VALIDATE_DONE end,"
			"validate_mailfrom = function(self, str, ac, vctx)\n"
			"vctx:set_code(550, '5.7.1 not you') return C.VALIDATE_DONE end,"
			"validate_rcptto " FAILS);
	limits()->mode = SL_MODE_OBSERVE;
	add_module("b", "validate_ehlo = function() return C.VALIDATE_CONT end,"
			"validate_mailfrom = function() return C.VALIDATE_CONT end,"
			"validate_rcptto = function() return C.VALIDATE_CONT end");
	start();
	engine->metrics = calloc(1, sizeof(*engine->metrics));
	log = sup_capture_log(LOG_INFO);
	fake_ehlo(session, "x");
	assert_run(SL_PHASE_EHLO, SL_CONTINUE, 0, "a.validate_ehlo=DONE;b.validate_ehlo=CONT;");
	cr_assert_not(session->disconnect);
	sup_assert_has(sl_buf_str(log), "observe: ehlo: module a would answer 421 4.7.1 never\n");
	cr_assert_eq(atomic_load(&engine->metrics->observed), 1);
	fake_mail(session, "<a@b>");
	assert_run(SL_PHASE_MAILFROM, SL_CONTINUE, 0,
		   "a.validate_mailfrom=DONE;b.validate_mailfrom=CONT;");
	sup_assert_has(sl_buf_str(log),
		       "observe: mailfrom: module a would answer 550 5.7.1 not you\n");
	fake_rcpt(session, "<a@b>");
	assert_run(SL_PHASE_RCPTTO, SL_CONTINUE, 0,
		   "a.validate_rcptto=error;b.validate_rcptto=CONT;");
	cr_assert_eq(atomic_load(&engine->metrics->observed), 2);
	free(engine->metrics);
	engine->metrics = NULL;
}

Test(flow, who_observes_leaves_the_decisions_of_others)
{
	add_module("a", "validate_mailfrom = function(self, str, ac, vctx)\n"
			"vctx:set_code(550, '5.7.1 by a') return C.VALIDATE_CONT end");
	add_module("b", "validate_mailfrom = function(self, str, ac, vctx)\n"
			"vctx:set_code(250, 'fine') return C.VALIDATE_CONT end");
	limits()->mode = SL_MODE_OBSERVE;
	start();
	fake_mail(session, "<a@b>");
	assert_run(SL_PHASE_MAILFROM, SL_REJECT, 550,
		   "a.validate_mailfrom=CONT;b.validate_mailfrom=CONT;");
	assert_reply("5.7.1", "by a");
	sup_assert_str(sl_flow_decider(session), "a");
}

Test(flow, who_observes_changes_nothing)
{
	struct sl_buf *log;
	struct sl_err err;

	add_module("a",
		   "validate_data_spool = function(self, msg, ac, vctx)\n"
		   "msg:header('X-A', '1') msg:header('Subject', '') msg:mailfrom('x@y')\n"
		   "return C.VALIDATE_CONT end,"
		   "validate_data_spool_each_rcpt = function(self, msg, ac, vctx)\n"
		   "msg:rcptto('other@b') vctx:set_code(550, 'no')\n"
		   "return C.VALIDATE_CONT end,"
		   "core_final_validation2 = function() return 1 end,"
		   "core_config_get_message_routing_domain = function(self, scope, msg, buff)\n"
		   "buff:set('elsewhere.example') return #buff end");
	limits()->mode = SL_MODE_OBSERVE;
	add_module("b",
		   "validate_data_spool = function(self, msg)\n"
		   "assert(msg:header('Subject')[1] == 's' and #msg:header('X-A') == 0)\n"
		   "assert(msg:mailfrom() == 'a@b') msg:header('X-B', '1')\n"
		   "return C.VALIDATE_CONT end,"
		   "core_config_get_message_routing_domain = function(self, scope, msg, buff)\n"
		   "assert(#buff == 0) return 0 end");
	start();
	log = sup_capture_log(LOG_INFO);
	fake_mail(session, "<a@b>");
	fake_rcpt(session, "<one@b>");
	fake_rcpt(session, "<two@b>");
	fake_eom(session, "Subject: s");
	cr_assert_eq(run(SL_PHASE_EOM)->action, SL_CONTINUE, "%s", sl_buf_str(log));
	cr_assert_eq(sl_session_apply(session, &err), 0, "%s", err.text);
	sup_assert_str(sl_buf_str(&mta.calls), "add X-B: 1;");
	sup_assert_has(sl_buf_str(log), "module a would add the header field X-A: 1\n");
	sup_assert_has(sl_buf_str(log), "module a would delete the header field Subject:\n");
	sup_assert_has(sl_buf_str(log), "module a would change the sender to <x@y>\n");
	sup_assert_has(sl_buf_str(log), "module a would change the recipient to <other@b>\n");
	sup_assert_has(sl_buf_str(log), "eom: module a would answer 550 no\n");
	sup_assert_has(sl_buf_str(log), "core_final_validation2: module a would return 1\n");
	sup_assert_has(sl_buf_str(log), "core_config_get_message_routing_domain: module a would "
					"return 17: elsewhere.example\n");
	sup_assert_has_not(sl_buf_str(log), "assertion failed");
}

Test(flow, who_observes_is_called_again_too)
{
	add_module("a", "validate_ehlo = function(self, str, ac, vctx)\n"
			"self.n = (self.n or 0) + 1 vctx:set_code(550, 'no')\n"
			"return self.n < 3 and C.VALIDATE_AGAIN or C.VALIDATE_CONT end");
	limits()->mode = SL_MODE_OBSERVE;
	start();
	fake_ehlo(session, "x");
	assert_run(SL_PHASE_EHLO, SL_CONTINUE, 0,
		   "a.validate_ehlo=AGAIN;a.validate_ehlo=AGAIN;a.validate_ehlo=CONT;");
}

/* A tarpit: what a step asks to wait, without waiting. */

static enum sl_step step(int64_t *wait_us)
{
	*wait_us = 0;
	return sl_flow_step(session, wait_us);
}

Test(flow, a_tarpit_holds_the_answer)
{
	int64_t wait_us;

	add_module("a", "validate_ehlo = function(self, str, ac, vctx)\n"
			"vctx:tarpit(1.5) vctx:tarpit(2) return C.VALIDATE_CONT end");
	add_module("b", "validate_ehlo = function(self, str, ac, vctx)\n"
			"vctx:tarpit(0.5) vctx:set_code(550, 'no') return C.VALIDATE_CONT end,"
			"validate_mailfrom = function() return C.VALIDATE_CONT end");
	start();
	fake_ehlo(session, "x");
	sl_flow_begin(engine, session, SL_PHASE_EHLO);
	cr_assert_eq(step(&wait_us), SL_STEP_WAIT);
	cr_assert_eq(wait_us, 4000000);
	sup_assert_str(sl_buf_str(&trace), "a.validate_ehlo=CONT;b.validate_ehlo=CONT;");
	cr_assert_eq(step(&wait_us), SL_STEP_DONE);
	cr_assert_eq(sl_flow_verdict(session)->reply.code, 550);
	fake_ehlo(session, "x");
	fake_mail(session, "<a@b>");
	sl_flow_begin(engine, session, SL_PHASE_MAILFROM);
	cr_assert_eq(step(&wait_us), SL_STEP_DONE);
}

Test(flow, a_tarpit_ends_with_the_time_of_the_phase)
{
	int64_t wait_us;

	config->scriptlet.limits.callout_timeout = 20;
	add_module("a", "validate_ehlo = function(self, str, ac, vctx)\n"
			"vctx:tarpit(3600) return C.VALIDATE_CONT end");
	start();
	fake_ehlo(session, "x");
	sl_flow_begin(engine, session, SL_PHASE_EHLO);
	cr_assert_eq(step(&wait_us), SL_STEP_WAIT);
	cr_assert_gt(wait_us, 0);
	cr_assert_leq(wait_us, 20000000);
}

Test(flow, who_observes_holds_no_answer)
{
	int64_t wait_us;

	add_module("a", "validate_ehlo = function(self, str, ac, vctx)\n"
			"vctx:tarpit(60) return C.VALIDATE_CONT end");
	limits()->mode = SL_MODE_OBSERVE;
	start();
	fake_ehlo(session, "x");
	sl_flow_begin(engine, session, SL_PHASE_EHLO);
	cr_assert_eq(step(&wait_us), SL_STEP_DONE);
}

Test(flow, sleep_asks_for_a_blocking_wait)
{
	int64_t wait_us;

	add_module("a", "validate_ehlo = function(self, str, ac, vctx) local x = 7\n"
			"msys.sleep(0.001) vctx:set_code(550, 'x' .. x)\n"
			"return C.VALIDATE_CONT end");
	start();
	fake_ehlo(session, "x");
	sl_flow_begin(engine, session, SL_PHASE_EHLO);
	cr_assert_eq(step(&wait_us), SL_STEP_BLOCK);
	sup_assert_str(sl_buf_str(&trace), "");
	sl_flow_block(session, NULL, NULL);
	cr_assert_eq(step(&wait_us), SL_STEP_DONE);
	sup_assert_str(sl_buf_str(&trace), "a.validate_ehlo=CONT;");
	sup_assert_str(sl_flow_verdict(session)->reply.text, "x7");
}

Test(flow, a_client_that_leaves_ends_what_it_waits_for)
{
	int64_t wait_us;

	add_module("a", "validate_ehlo = function(self) self.n = 1 msys.sleep(3600)\n"
			"self.n = 2 return C.VALIDATE_CONT end,"
			"validate_dealloc = function(self) assert(self.n == 1) end");
	start();
	fake_ehlo(session, "x");
	sl_flow_begin(engine, session, SL_PHASE_EHLO);
	cr_assert_eq(step(&wait_us), SL_STEP_BLOCK);
	sl_flow_client_gone(session);
	cr_assert_eq(step(&wait_us), SL_STEP_DONE);
	sup_assert_str(sl_buf_str(&trace), "a.validate_ehlo=error;");
	assert_run(SL_PHASE_CLOSE, SL_CONTINUE, 0, "a.validate_dealloc=none;");
}

Test(flow, a_session_may_end_in_the_middle_of_a_wait)
{
	int64_t wait_us;

	add_module("a", "validate_ehlo = function() msys.sleep(3600) end");
	start();
	fake_ehlo(session, "x");
	sl_flow_begin(engine, session, SL_PHASE_EHLO);
	cr_assert_eq(step(&wait_us), SL_STEP_BLOCK);
}
