/* What scripts hold: its life, whose it is, and the buffers of hooks. */
#include "fake_port.h"
#include "support.h"

#include "callout/flow.h"
#include "lua/loader.h"
#include "session/apply.h"

#include "mail/text.h"

#include <stdlib.h>
#include <string.h>

static struct fake_mta mta;
static struct sl_config *config;
static struct sl_engine *engine;
static struct sl_session *session;
static struct sl_buf *log_lines;

static void begin(void)
{
	sl_mail_init();
	config = sl_config_new();
	log_lines = sup_capture_log(LOG_ERR);
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
	sup_remove_dir();
}

TestSuite(objects, .init = begin, .fini = end);

static void start(const char *script)
{
	struct sl_faults faults = { 0 };
	char *path = sup_write("a.lua", script);
	char *shown;

	sl_config_add_script(config, "a", path);
	free(path);
	sl_scripts_read(config, &faults);
	engine = sl_engine_new(config, 1, &faults);
	shown = sup_faults(&faults);
	cr_assert_not_null(engine, "%s", shown);
	free(shown);
	sl_faults_deinit(&faults);
	session = fake_session(&mta, config);
	fake_connect(session, "192.0.2.1");
}

/* Runs a phase whose callouts must not have failed. */
static const struct sl_verdict *run(enum sl_phase phase)
{
	const struct sl_verdict *verdict;

	sl_buf_clear(log_lines);
	verdict = sl_flow_run(engine, session, phase);
	sup_assert_str(sl_buf_str(log_lines), "");
	return verdict;
}

Test(objects, a_kept_msg_raises_after_its_message)
{
	start("local kept\n"
	      "msys.registerModule('a', {\n"
	      "  validate_rcptto = function(self, msg) kept = msg\n"
	      "    assert(msg:mailfrom() == 'one@x' and #msg.id == 26) return 0 end,\n"
	      "  validate_mailfrom = function()\n"
	      "    if not kept then return 0 end\n"
	      "    local ok, why = pcall(function() return kept.id end)\n"
	      "    assert(not ok and why:find('this msg is no longer valid', 1, true), why)\n"
	      "    return 0 end })");
	fake_mail(session, "<one@x>");
	run(SL_PHASE_MAILFROM);
	fake_rcpt(session, "<r@x>");
	run(SL_PHASE_RCPTTO);
	fake_mail(session, "<two@x>");
	run(SL_PHASE_MAILFROM);
}

Test(objects, a_kept_vctx_raises_after_its_connection)
{
	start("local kept\n"
	      "msys.registerModule('a', { validate_ehlo = function(self, str, ac, vctx)\n"
	      "  if kept then\n"
	      "    local ok, why = pcall(kept.get, kept, 0, 'x')\n"
	      "    assert(not ok and why:find('this vctx is no longer valid', 1, true), why)\n"
	      "  end kept = vctx return 0 end })");
	fake_ehlo(session, "x");
	run(SL_PHASE_EHLO);
	sl_flow_end(session);
	sl_session_free(&session);
	session = fake_session(&mta, config);
	fake_ehlo(session, "x");
	run(SL_PHASE_EHLO);
}

Test(objects, those_of_a_living_other_connection_raise)
{
	struct sl_session *first;

	start("local kept_vctx, kept_msg\n"
	      "msys.registerModule('a', { validate_rcptto = function(self, msg, str, ac, vctx)\n"
	      "  if kept_msg then\n"
	      "    local ok, why = pcall(kept_msg.mailfrom, kept_msg)\n"
	      "    assert(not ok and why:find('this msg belongs to another connection', 1, true), "
	      "why)\n"
	      "    ok, why = pcall(kept_vctx.set_code, kept_vctx, 550, 'x')\n"
	      "    assert(not ok and why:find('this vctx belongs to another connection', 1, true), "
	      "why)\n"
	      "  end kept_msg, kept_vctx = msg, vctx return 0 end })");
	fake_mail(session, "<one@x>");
	fake_rcpt(session, "<r@x>");
	run(SL_PHASE_RCPTTO);
	first = session;
	session = fake_session(&mta, config);
	fake_mail(session, "<two@x>");
	fake_rcpt(session, "<r@x>");
	cr_assert_eq(run(SL_PHASE_RCPTTO)->action, SL_CONTINUE);
	sl_flow_end(first);
	sl_session_free(&first);
}

Test(objects, the_same_msg_is_the_same_object)
{
	start("msys.registerModule('a', {\n"
	      "  validate_rcptto = function(self, msg) self.msg = msg return 0 end,\n"
	      "  validate_data = function(self, msg) assert(self.msg == msg) return 0 end,\n"
	      "  validate_data_spool_each_rcpt = function(self, msg)\n"
	      "    assert(self.msg ~= msg) return 0 end })");
	fake_mail(session, "<one@x>");
	fake_rcpt(session, "<r@x>");
	run(SL_PHASE_RCPTTO);
	fake_eom(session, "A: 1\n");
	run(SL_PHASE_EOM);
}

#define ROUTING(body)                                                                              \
	"msys.registerModule('a', { core_config_get_message_routing_domain =\n"                    \
	"function(self, opaque, msg, buff, len) " body " end })"

/* A message through the routing hook; its X-Scriptlet-Route comes back in mta.calls. */
static const struct sl_verdict *route(void)
{
	const struct sl_verdict *verdict;
	struct sl_err err;

	fake_mail(session, "<a@x>");
	fake_rcpt(session, "<r@x>");
	fake_eom(session, "A: 1\n");
	verdict = sl_flow_run(engine, session, SL_PHASE_EOM);
	if (verdict->action == SL_CONTINUE)
		cr_assert_eq(sl_session_apply(session, &err), 0);
	return verdict;
}

Test(objects, a_hook_fills_its_buffer)
{
	start(ROUTING("assert(#buff == 0 and len == 256) buff:set('relay.example') return 1"));
	cr_assert_eq(route()->action, SL_CONTINUE);
	sup_assert_str(sl_buf_str(&mta.calls), "add X-Scriptlet-Route: relay.example;");
}

Test(objects, a_buffer_that_nobody_answered_for_is_ignored)
{
	start(ROUTING("buff:set('relay.example') return 0"));
	cr_assert_eq(route()->action, SL_CONTINUE);
	sup_assert_str(sl_buf_str(&mta.calls), "");
}

Test(objects, a_buffer_is_cut_at_its_bound)
{
	start(ROUTING("buff:set(('x'):rep(1000)) assert(#buff == 255)\n"
		      "buff:write('more') assert(#buff == 255) return 1"));
	cr_assert_eq(route()->action, SL_CONTINUE);
	cr_assert_eq(strlen(sl_buf_str(&mta.calls)), strlen("add X-Scriptlet-Route: ;") + 255);
}

Test(objects, what_is_no_routing_domain_defers)
{
	static const char *const values[] = { "",    "two words", "a\\nX-Evil: 1",
					      "a;b", "a\\0b",	  "smtp:[x]/y" };

	for (unsigned i = 0; i < COUNT(values); i++) {
		struct sl_buf script = SL_BUF_ZERO;

		end();
		begin();
		sl_buf_printf(&script, ROUTING("buff:set('%s') return 1"), values[i]);
		start(sl_buf_str(&script));
		if (i == 4) /* a C string ends there */
			cr_assert_eq(route()->action, SL_CONTINUE);
		else
			cr_assert_eq(route()->action, SL_TEMPFAIL, "'%s'", values[i]);
		sl_buf_deinit(&script);
	}
}

Test(objects, marks_from_outside_are_taken_off)
{
	struct sl_err err;

	start(ROUTING("return 0"));
	fake_mail(session, "<a@x>");
	fake_rcpt(session, "<r@x>");
	fake_eom(session, "X-Scriptlet-Route: evil\nA: 1\nx-scriptlet-binding: evil\n"
			  "X-Scriptlet-Route: evil\n");
	cr_assert_eq(run(SL_PHASE_EOM)->action, SL_CONTINUE);
	cr_assert_eq(sl_session_apply(session, &err), 0);
	sup_assert_str(sl_buf_str(&mta.calls), "del X-Scriptlet-Route#2;del x-scriptlet-binding#1;"
					       "del X-Scriptlet-Route#1;");
}

Test(objects, each_recipient_has_its_verdict)
{
	struct sl_err err;

	start("msys.registerModule('a', {\n"
	      "  validate_data_spool_each_rcpt = function(self, msg, ac, vctx)\n"
	      "    if msg:rcptto() == 'bad@x' then vctx:set_code(550, '5.7.1 no') end\n"
	      "    msg:context_set(1, 'seen', msg:rcptto()) return 0 end,\n"
	      "  core_final_validation = function(self, msg)\n"
	      "    assert(msg:context_get(1, 'seen') == msg:rcptto()) msg:header('X-Final', '1') "
	      "end })");
	fake_mail(session, "<a@x>");
	fake_rcpt(session, "<one@x>");
	fake_rcpt(session, "<bad@x>");
	fake_rcpt(session, "<two@x>");
	fake_eom(session, "A: 1\n");
	cr_assert_eq(run(SL_PHASE_EOM)->action, SL_CONTINUE);
	cr_assert_eq(sl_session_apply(session, &err), 0, "%s", err.text);
	sup_assert_str(sl_buf_str(&mta.calls), "rcpt- <bad@x>;add X-Final: 1;submit <> to a@x;");
}
