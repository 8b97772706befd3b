#include "fake_port.h"
#include "support.h"

#include "callout/flow.h"
#include "lua/loader.h"

#include "mail/text.h"

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
