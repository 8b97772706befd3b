/* privileges: from root to the user the daemon works as. */
#pragma once

#include "config/config.h"

/* Makes run_dir and state_dir where they are missing, owned by user and group of the configuration.
 * Only for root; others must find them. */
int sl_privileges_make_dirs(const struct sl_config *config, struct sl_err *err);

/* After the rights were dropped: both directories can be written to, or an error says which cannot. */
int sl_privileges_check_dirs(const struct sl_config *config, struct sl_err *err);

/* Gives up root for good: group, supplementary groups, user. Nothing to do for other users, or with
 * an empty `user`. */
int sl_privileges_drop(const struct sl_config *config, struct sl_err *err);
