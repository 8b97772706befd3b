/* supervisor: owns generations, signals and sockets. It runs no Lua and serves no connection.
 * Single-threaded; nothing in its loop blocks. */
#pragma once

#include "process/generation.h"

/* Runs until told to stop by SIGTERM or SIGINT; SIGHUP, and a request from the control socket,
 * reload. Takes over config and listeners. `ready` is called once when every process serves; it may
 * be NULL. Returns the exit status: 0 after an orderly stop, 78 when the configuration was refused
 * (its faults are logged), 71 when processes could not be started. */
int sl_supervise(struct sl_config *config, struct sl_listeners *listeners, int control_fd,
		 void (*ready)(void *arg), void *arg);

/* How to open the log of a configuration, also of one that is loaded later: options of the command
 * line go before it. */
int sl_supervisor_open_log(const struct sl_config *config, struct sl_err *err);
void sl_supervisor_log_options(bool foreground, bool verbose);
