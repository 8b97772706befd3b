/* The report of a simulated session, for people and for programs. */
#include "simulator/simulator.h"

#include <errno.h>
#include <glib.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_reply(const struct sl_verdict *verdict)
{
	printf("%s", sl_action_name(verdict->action));
	if (verdict->action != SL_CONTINUE && verdict->reply.code)
		printf(" %d%s%s", verdict->reply.code, verdict->reply.xcode[0] ? " " : "",
		       verdict->reply.xcode);
	if (verdict->reply.text && verdict->action != SL_CONTINUE) {
		putchar(' ');
		for (const char *p = verdict->reply.text; *p; p++)
			*p == '\n' ? (void)printf("\n        ") : (void)putchar(*p);
	}
	putchar('\n');
}

static void print_log(const struct sl_sim_report *report, unsigned start, unsigned end)
{
	for (unsigned i = start; i < end; i++)
		printf("    | %s\n", report->log.list[i]);
}

static void print_phase(const struct sl_sim_report *report, const struct sl_sim_phase *phase,
			unsigned log_start)
{
	printf("%-9s %s\n", sl_phase_name(phase->phase), phase->arg);
	for (unsigned i = 0; i < phase->callout_count; i++) {
		const struct sl_sim_callout *callout = &phase->callouts[i];

		printf("    %-20s %-34s %-6s %6lld us\n", callout->module, callout->callout,
		       sl_outcome_name(callout->outcome), (long long)callout->us);
		if (callout->error)
			printf("        %s\n", callout->error);
	}
	print_log(report, log_start, phase->log_end);
	printf("    -> ");
	print_reply(&phase->verdict);
}

void sl_sim_print(const struct sl_sim_report *report)
{
	unsigned log_start = report->init_log_end;

	if (log_start)
		printf("init\n");
	print_log(report, 0, log_start);
	for (unsigned i = 0; i < report->phase_count; i++) {
		print_phase(report, &report->phases[i], log_start);
		log_start = report->phases[i].log_end;
	}
	if (log_start < report->log.count)
		printf("deinit\n");
	print_log(report, log_start, report->log.count);
	if (report->change_count)
		printf("changes\n");
	for (unsigned i = 0; i < report->change_count; i++) {
		const struct sl_sim_change *change = &report->changes[i];

		printf("    %-14s %s", change->op, change->name);
		if (change->index)
			printf(" #%u", change->index);
		printf("%s%s\n", change->name[0] && change->value[0] ? ": " : "", change->value);
	}
	printf("result    ");
	print_reply(&report->result);
}

/* Mail holds any bytes, JSON only UTF-8: what is none becomes U+FFFD. */
static json_object *text(const char *bytes)
{
	char *valid = g_utf8_make_valid(bytes ? bytes : "", -1);
	json_object *string = json_object_new_string(valid);

	g_free(valid);
	return string;
}

static void add_reply(json_object *object, const struct sl_verdict *verdict)
{
	bool shown = verdict->action != SL_CONTINUE;

	json_object_object_add(object, "action", text(sl_action_name(verdict->action)));
	json_object_object_add(object, "code",
			       json_object_new_int(shown ? verdict->reply.code : 0));
	json_object_object_add(object, "xcode", text(shown ? verdict->reply.xcode : ""));
	json_object_object_add(object, "text", text(shown ? verdict->reply.text : ""));
}

static json_object *phase_json(const struct sl_sim_phase *phase)
{
	json_object *object = json_object_new_object();
	json_object *callouts = json_object_new_array();

	json_object_object_add(object, "phase", text(sl_phase_name(phase->phase)));
	json_object_object_add(object, "arg", text(phase->arg));
	add_reply(object, &phase->verdict);
	for (unsigned i = 0; i < phase->callout_count; i++) {
		const struct sl_sim_callout *callout = &phase->callouts[i];
		json_object *row = json_object_new_object();

		json_object_object_add(row, "module", text(callout->module));
		json_object_object_add(row, "callout", text(callout->callout));
		json_object_object_add(row, "return", text(sl_outcome_name(callout->outcome)));
		if (callout->error)
			json_object_object_add(row, "error", text(callout->error));
		json_object_object_add(row, "us", json_object_new_int64(callout->us));
		json_object_array_add(callouts, row);
	}
	json_object_object_add(object, "callouts", callouts);
	return object;
}

static json_object *change_json(const struct sl_sim_change *change)
{
	json_object *object = json_object_new_object();

	json_object_object_add(object, "op", text(change->op));
	if (change->name[0])
		json_object_object_add(object, "name", text(change->name));
	json_object_object_add(object, "value", text(change->value));
	if (change->index)
		json_object_object_add(object, "index", json_object_new_int((int)change->index));
	return object;
}

int sl_sim_print_json(const struct sl_sim_report *report)
{
	json_object *root = json_object_new_object();
	json_object *result = json_object_new_object();
	json_object *phases = json_object_new_array();
	json_object *changes = json_object_new_array();
	json_object *log = json_object_new_array();

	if (!root || !result || !phases || !changes || !log)
		return -ENOMEM; /* the program is about to end: nothing to give back */
	add_reply(result, &report->result);
	json_object_object_add(result, "phase", text(sl_phase_name(report->decided_in)));
	for (unsigned i = 0; i < report->phase_count; i++)
		json_object_array_add(phases, phase_json(&report->phases[i]));
	for (unsigned i = 0; i < report->change_count; i++)
		json_object_array_add(changes, change_json(&report->changes[i]));
	for (unsigned i = 0; i < report->log.count; i++)
		json_object_array_add(log, text(report->log.list[i]));
	json_object_object_add(root, "result", result);
	json_object_object_add(root, "phases", phases);
	json_object_object_add(root, "changes", changes);
	json_object_object_add(root, "log", log);
	printf("%s\n", json_object_to_json_string_ext(root, JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(root);
	return 0;
}
