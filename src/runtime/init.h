/* init: init() and deinit() of the modules, in the init state. */
#pragma once

#include "callout/callouts.h"

/* Calls init() of every module that has one, in order. A module whose init() fails or does not
 * return a true value is a fault at its stanza; then deinit() of those before it has run. True when
 * all succeeded. */
bool sl_init_run(struct sl_state *state, struct sl_faults *faults);

/* Calls deinit() of every module, the last first. What fails is logged. */
void sl_init_undo(struct sl_state *state);
