/* client: the verbs of scriptlet(1) that talk to a running daemon over its control socket. */
#pragma once

/* Each parses its own command line (argv[0] is the verb) and returns the exit status. */
int sl_tool_reload(int argc, char **argv);
int sl_tool_stats(int argc, char **argv);
int sl_tool_sessions(int argc, char **argv);
int sl_tool_loglevel(int argc, char **argv);
