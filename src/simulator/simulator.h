/* simulator: an MTA that is not there. It drives one SMTP session through the same port as a milter
 * would, and writes down what happened. */
#pragma once

#include "callout/engine.h"
#include "simulator/eml.h"

/* The client's side of the session; strings are borrowed. */
struct sl_sim_input {
	const char *client_addr;
	const char *client_name;
	const char *helo;
	const char *from; /* "" is the null sender */
	const char *const *rcpts;
	unsigned rcpt_count;
	const char *const *macros; /* "NAME=VALUE" */
	unsigned macro_count;
	const struct sl_eml *eml;
};

struct sl_sim_callout {
	char *module;
	char *callout;
	enum sl_outcome outcome;
	char *error; /* NULL unless the outcome is an error */
	int64_t us;
};

struct sl_sim_phase {
	enum sl_phase phase;
	char *arg; /* what the client said in it */
	struct sl_verdict verdict;
	struct sl_sim_callout *callouts;
	unsigned callout_count;
	unsigned log_end; /* lines of the log up to the end of this phase */
};

struct sl_sim_change {
	const char *op; /* as in the JSON: "add_header" ... */
	char *name;
	char *value;
	unsigned index; /* 0: has none */
};

struct sl_sim_report {
	struct sl_sim_phase *phases;
	unsigned phase_count;
	struct sl_sim_change *changes;
	unsigned change_count;
	struct sl_strings log; /* what scripts printed, and messages about them */
	unsigned init_log_end; /* lines before the session began */
	struct sl_verdict result;
	enum sl_phase decided_in;
	bool out_of_memory; /* the report is not complete */
};

/* Sends the log of this process into the report, until sl_log_close(). */
void sl_sim_watch_log(struct sl_sim_report *report);

/* Runs the whole session. `report` starts zeroed, but for lines that were logged before. */
void sl_simulate(struct sl_engine *engine, const struct sl_sim_input *input,
		 struct sl_sim_report *report);
void sl_sim_report_deinit(struct sl_sim_report *report);

/* For a person, and for a program (one JSON object); both to standard output. */
void sl_sim_print(const struct sl_sim_report *report);
int sl_sim_print_json(const struct sl_sim_report *report);

/* `scriptlet simulate`: parses its command line; returns the exit status. */
int sl_simulate_command(int argc, char **argv);
