#include "simulator/simulator.h"

#include "base/buf.h"
#include "callout/flow.h"
#include "session/apply.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct simulation {
	struct sl_engine *engine;
	const struct sl_sim_input *input;
	struct sl_sim_report *report;
	struct sl_session *session;
};

/* Grows an array by one zeroed element; NULL (and a note in the report) without memory. */
static void *grow(struct sl_sim_report *report, void **list, unsigned *count, size_t size)
{
	char *longer = realloc(*list, (*count + 1) * size);

	if (!longer) {
		report->out_of_memory = true;
		return NULL;
	}
	*list = longer;
	memset(longer + *count * size, 0, size);
	return longer + (*count)++ * size;
}

/* What failed callouts log is in their rows already. */
static void take_log(void *arg, int level, const char *tag, const char *text)
{
	struct sl_sim_report *report = arg;

	(void)level;
	if (strcmp(tag, "scriptlet") == 0 && sl_strings_add(&report->log, text) < 0)
		report->out_of_memory = true;
}

void sl_sim_watch_log(struct sl_sim_report *report)
{
	sl_log_open_callback(take_log, report, LOG_WARNING);
}

static void take_trace(void *arg, const struct sl_trace_event *event)
{
	struct sl_sim_report *report = arg;
	struct sl_sim_phase *phase = &report->phases[report->phase_count - 1];
	struct sl_sim_callout *callout = grow(report, (void **)&phase->callouts,
					      &phase->callout_count, sizeof(*callout));

	if (!callout)
		return;
	callout->module = strdup(event->module);
	callout->callout = strdup(event->callout);
	callout->outcome = event->outcome;
	callout->us = event->us;
	if (event->error)
		callout->error = strndup(event->error, strcspn(event->error, "\n"));
}

static const char *port_macro(void *ctx, const char *name)
{
	static const struct {
		const char *name;
		const char *value;
	} defaults[] = { { "i", "SIMULATED" }, { "j", "localhost" } };
	const struct sl_sim_input *input = ((struct simulation *)ctx)->input;
	size_t len = strlen(name);

	/* {name} and name are the same macro, on either side */
	if (name[0] == '{' && len > 2) {
		name++;
		len -= 2;
	}
	for (unsigned i = 0; i < input->macro_count; i++) {
		const char *given = input->macros[i];
		const char *value = strchr(given, '=');
		size_t given_len = (size_t)(value - given);

		if (given[0] == '{' && given_len > 2) {
			given++;
			given_len -= 2;
		}
		if (given_len == len && strncmp(given, name, len) == 0)
			return value + 1;
	}
	for (unsigned i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
		if (strlen(defaults[i].name) == len && strncmp(defaults[i].name, name, len) == 0)
			return defaults[i].value;
	return NULL;
}

static int change(void *ctx, const char *op, const char *name, const char *value, unsigned index)
{
	struct sl_sim_report *report = ((struct simulation *)ctx)->report;
	struct sl_sim_change *entry = grow(report, (void **)&report->changes, &report->change_count,
					   sizeof(*entry));

	if (!entry)
		return -ENOMEM;
	*entry = (struct sl_sim_change){ op, strdup(name), strdup(value), index };
	return 0;
}

static int port_keepalive(void *ctx)
{
	(void)ctx;
	return 0;
}

static int port_add_header(void *ctx, const char *name, const char *value)
{
	return change(ctx, "add_header", name, value + (*value == ' '), 0);
}

static int port_insert_header(void *ctx, const char *name, const char *value)
{
	return change(ctx, "insert_header", name, value + (*value == ' '), 0);
}

static int port_delete_header(void *ctx, const char *name, unsigned index)
{
	return change(ctx, "delete_header", name, "", index);
}

static int port_add_rcpt(void *ctx, const char *addr)
{
	return change(ctx, "add_rcpt", "", addr, 0);
}

/* The address comes as the client spelt it, in angle brackets. */
static int port_del_rcpt(void *ctx, const char *addr)
{
	struct sl_path path;
	int rc = sl_path_parse(addr, &path, NULL);

	if (rc == 0)
		rc = change(ctx, "del_rcpt", "", sl_path_addr(&path), 0);
	if (rc == 0)
		sl_path_deinit(&path);
	return rc;
}

static int port_change_from(void *ctx, const char *addr)
{
	return change(ctx, "change_from", "", addr, 0);
}

/* Nothing is sent: the report says what would have been. */
static int port_submit(void *ctx, struct sl_submission *mail, struct sl_err *err)
{
	struct sl_buf rcpts = SL_BUF_ZERO;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < mail->rcpt_count; i++)
		rc = sl_buf_printf(&rcpts, "%s%s", i ? ", " : "", mail->rcpts[i]);
	if (rc == 0)
		rc = change(ctx, *mail->sender ? "submit_copy" : "submit_bounce", "",
			    sl_buf_str(&rcpts), 0);
	sl_buf_deinit(&rcpts);
	return rc < 0 ? sl_fail_nomem(err) : 0;
}

static const struct sl_port port = {
	.macro = port_macro,
	.keepalive = port_keepalive,
	.add_header = port_add_header,
	.insert_header = port_insert_header,
	.delete_header = port_delete_header,
	.add_rcpt = port_add_rcpt,
	.del_rcpt = port_del_rcpt,
	.change_from = port_change_from,
	.submit = port_submit,
};

static void keep_verdict(struct sl_sim_report *report, struct sl_verdict *to,
			 const struct sl_verdict *from)
{
	to->action = from->action;
	if (sl_reply_copy(&from->reply, &to->reply) < 0)
		report->out_of_memory = true;
}

/* The client's command was understood as far as `rc` tells; runs the callouts of the phase. Returns
 * what the MTA would do. */
static enum sl_action run_phase(struct simulation *sim, enum sl_phase id, const char *arg, int rc,
				const struct sl_err *err)
{
	struct sl_sim_report *report = sim->report;
	struct sl_sim_phase *phase = grow(report, (void **)&report->phases, &report->phase_count,
					  sizeof(*phase));
	const struct sl_verdict *verdict;
	struct sl_verdict failed = { SL_TEMPFAIL, { 451, "4.3.0", (char *)err->text } };

	if (!phase)
		return SL_TEMPFAIL;
	phase->phase = id;
	phase->arg = strdup(arg);
	verdict = rc < 0 ? &failed : sl_flow_run(sim->engine, sim->session, id);
	phase = &report->phases[report->phase_count - 1];
	keep_verdict(report, &phase->verdict, verdict);
	phase->log_end = report->log.count;
	if (verdict->action != SL_CONTINUE) {
		report->decided_in = id;
		keep_verdict(report, &report->result, verdict);
	}
	return verdict->action;
}

static char *angle(const char *addr)
{
	struct sl_buf path = SL_BUF_ZERO;

	sl_buf_printf(&path, *addr == '<' ? "%s" : "<%s>", addr);
	return sl_buf_steal(&path);
}

static bool do_mail(struct simulation *sim)
{
	char *path = angle(sim->input->from);
	char *argv[] = { path, NULL };
	struct sl_err err = { 0 };
	enum sl_action action = run_phase(
		sim, SL_PHASE_MAILFROM, path ? path : "",
		path ? sl_session_mail(sim->session, argv, &err) : sl_fail_nomem(&err), &err);

	free(path);
	return action == SL_CONTINUE;
}

/* True when somebody is left to send to. When nobody is, one 4xx among the answers means that a
 * client would try again. */
static bool do_rcpts(struct simulation *sim)
{
	struct sl_verdict worst = SL_VERDICT_CONTINUE;
	unsigned accepted = 0;

	for (unsigned i = 0; i < sim->input->rcpt_count; i++) {
		char *path = angle(sim->input->rcpts[i]);
		char *argv[] = { path, NULL };
		struct sl_err err = { 0 };
		enum sl_action action = run_phase(sim, SL_PHASE_RCPTTO, path ? path : "",
						  path ? sl_session_rcpt(sim->session, argv, &err)
						       : sl_fail_nomem(&err),
						  &err);

		free(path);
		if (action == SL_CONTINUE) {
			accepted++;
			continue;
		}
		sl_session_rcpt_refused(sim->session);
		if (worst.action != SL_TEMPFAIL)
			keep_verdict(sim->report, &worst, &sim->report->result);
		if (sim->session->refusal.action != SL_CONTINUE)
			break; /* the connection is closed */
	}
	if (accepted == 0)
		keep_verdict(sim->report, &sim->report->result, &worst);
	sl_reply_deinit(&worst.reply);
	return accepted > 0 && sim->session->refusal.action == SL_CONTINUE;
}

static void do_message(struct simulation *sim)
{
	const struct sl_eml *eml = sim->input->eml;
	struct sl_session *session = sim->session;
	struct sl_err err = { 0 };
	int rc;

	if (run_phase(sim, SL_PHASE_DATA, "", sl_session_data(session, &err), &err) != SL_CONTINUE)
		return;
	for (unsigned i = 0; i < eml->header_count; i++)
		sl_session_header(session, eml->headers[i].name, eml->headers[i].value);
	sl_session_body(session, sl_buf_str(&eml->body), eml->body.len);
	rc = sl_session_eom(session, &err);
	if (run_phase(sim, SL_PHASE_EOM, "", rc, &err) != SL_CONTINUE)
		return;
	sim->report->decided_in = SL_PHASE_EOM;
	rc = sl_session_apply(session, &err);
	sl_flow_applied(session, rc == 0);
	if (rc < 0)
		keep_verdict(sim->report, &sim->report->result,
			     &(struct sl_verdict){ SL_TEMPFAIL, { 451, "4.3.0", err.text } });
	else
		keep_verdict(sim->report, &sim->report->result,
			     &(struct sl_verdict){ SL_ACCEPT, { 250, "", NULL } });
	keep_verdict(sim->report, &sim->report->phases[sim->report->phase_count - 1].verdict,
		     &sim->report->result);
}

static void do_session(struct simulation *sim)
{
	const struct sl_sim_input *input = sim->input;
	struct sl_session *session = sim->session;
	struct sl_err err = { 0 };
	struct sl_buf client = SL_BUF_ZERO;
	enum sl_action action;
	int rc;

	sl_buf_printf(&client, "%s [%s]", input->client_name, input->client_addr);
	rc = sl_session_connect(session, input->client_name, input->client_addr, 0, &err);
	action = run_phase(sim, SL_PHASE_CONNECT, sl_buf_str(&client), rc, &err);
	sl_buf_deinit(&client);
	if (action != SL_CONTINUE)
		return;
	rc = sl_session_ehlo(session, input->helo, &err);
	if (run_phase(sim, SL_PHASE_EHLO, input->helo, rc, &err) != SL_CONTINUE)
		return;
	if (do_mail(sim) && do_rcpts(sim))
		do_message(sim);
}

/* What validate_dealloc does decides nothing any more. */
static void close_session(struct simulation *sim)
{
	enum sl_phase decided_in = sim->report->decided_in;

	run_phase(sim, SL_PHASE_CLOSE, "", 0, &(struct sl_err){ 0 });
	sim->report->decided_in = decided_in;
	sl_flow_end(sim->session);
}

void sl_simulate(struct sl_engine *engine, const struct sl_sim_input *input,
		 struct sl_sim_report *report)
{
	struct simulation sim = { engine, input, report, NULL };

	sim.session = sl_session_new(engine->config, &port, &sim, SL_GRANT_ALL);
	if (!sim.session) {
		report->out_of_memory = true;
		return;
	}
	engine->trace = take_trace;
	engine->trace_arg = report;
	report->init_log_end = report->log.count;
	do_session(&sim);
	close_session(&sim);
	sl_session_free(&sim.session);
	engine->trace = NULL;
}

void sl_sim_report_deinit(struct sl_sim_report *report)
{
	for (unsigned p = 0; p < report->phase_count; p++) {
		struct sl_sim_phase *phase = &report->phases[p];

		for (unsigned i = 0; i < phase->callout_count; i++) {
			free(phase->callouts[i].module);
			free(phase->callouts[i].callout);
			free(phase->callouts[i].error);
		}
		free(phase->callouts);
		free(phase->arg);
		sl_reply_deinit(&phase->verdict.reply);
	}
	for (unsigned i = 0; i < report->change_count; i++) {
		free(report->changes[i].name);
		free(report->changes[i].value);
	}
	free(report->phases);
	free(report->changes);
	sl_strings_deinit(&report->log);
	sl_reply_deinit(&report->result.reply);
	*report = (struct sl_sim_report){ 0 };
}
