/* supervisor: starts the init process and the workers, starts them again when they die, and ends
 * them in order. It runs no Lua and serves no connection. Single-threaded. */
#pragma once

#include "config/config.h"
#include "process/listen.h"

/* Runs until told to stop by SIGTERM or SIGINT. `ready` is called once when every process serves;
 * it may be NULL. Returns the exit status: 0 after an orderly stop, 78 when a script refused (the
 * faults are logged), 71 when processes could not be started. */
int sl_supervise(const struct sl_config *config, struct sl_listeners *listeners,
		 void (*ready)(void *arg), void *arg);
