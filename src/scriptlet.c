/* scriptlet: the tool of those who write and run policies. One verb, one room. */
#include "simulator/simulator.h"
#include "tool/client.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static const struct verb {
	const char *name;
	int (*run)(int argc, char **argv); /* argv[0] is the verb; returns the exit status */
	const char *summary;
} verbs[] = {
	{ "simulate", sl_simulate_command, "run one SMTP session through scripts, without an MTA" },
	{ "reload", sl_tool_reload, "load configuration and scripts anew" },
	{ "stats", sl_tool_stats, "show what the daemon has counted" },
	{ "sessions", sl_tool_sessions, "show the sessions of this moment" },
	{ "loglevel", sl_tool_loglevel, "show or set the level of the log" },
};

#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

static void usage(FILE *out)
{
	fputs("usage: scriptlet VERB [OPTION ...]\n\n", out);
	for (unsigned i = 0; i < VERB_COUNT; i++)
		fprintf(out, "  %-10s %s\n", verbs[i].name, verbs[i].summary);
	fputs("\n'scriptlet VERB --help' tells the options of a verb; -V the version.\n", out);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		usage(stderr);
		return EX_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		usage(stdout);
		return EX_OK;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		printf("scriptlet %s\n", SL_VERSION);
		return EX_OK;
	}
	for (unsigned i = 0; i < VERB_COUNT; i++)
		if (strcmp(argv[1], verbs[i].name) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	fprintf(stderr, "scriptlet: no verb '%s'\n", argv[1]);
	usage(stderr);
	return EX_USAGE;
}
