/* loader: from a `source` of the configuration to a script that has run its file level. */
#pragma once

#include "lua/state.h"

/* Finds the file of `source`: an absolute path is taken as it is; otherwise '.' and '/' separate
 * folders, ".lua" is added, and the directories of `scriptlet.path` are tried in order. The path is
 * the caller's to free. -ENOENT with every path that was tried, and why it did not do. */
int sl_script_find(const struct sl_config *config, const char *source, char **path_r,
		   struct sl_err *err);

/* Reads every script of the configuration into it, once: all Lua states are made from the same text,
 * also the one that takes the place of another much later. What cannot be read is a fault. */
void sl_scripts_read(struct sl_config *config, struct sl_faults *faults);

/* Loads every script that was read into `state`, in order, then seals it. Faults: one that does not
 * compile, fails at its file level or uses more than it may; a warning for a script that registers
 * no module of its stanza's name. */
void sl_scripts_load(struct sl_state *state, struct sl_faults *faults);
