/* milter: the libmilter adapter. The only room that knows libmilter.
 *
 * Callbacks run in libmilter's pool threads, any thread for any command of a session, never two at
 * once for one session. Everything of a session hangs off smfi_getpriv(). */
#pragma once

#include "base/endpoint.h"
#include "callout/engine.h"

/* Makes libmilter ready to serve connections that arrive at `listen_fd`, a listening socket of that
 * kind that was inherited. libmilter can only open sockets itself: it opens a private one, which is
 * then replaced. The engine is borrowed until the process ends. */
int sl_milter_setup(struct sl_engine *engine, enum sl_endpoint_kind kind, int listen_fd,
		    struct sl_err *err);

/* Serves until the process ends; returns only when libmilter gave up (negative errno). */
int sl_milter_serve(void);

/* From now on nothing new is accepted: the listening socket of this process is replaced by one that
 * nobody can reach, while sessions go on. Other processes keep accepting on theirs. */
int sl_milter_stop_accepting(struct sl_err *err);

/* After that, when the other processes do not accept any more either: makes the listening socket
 * refuse whoever comes, so that its address can be taken again. */
void sl_milter_kill_socket(void);

/* Connections that are open right now. */
unsigned sl_milter_connections(void);
