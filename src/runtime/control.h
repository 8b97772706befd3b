/* control: the control socket, served by the init process.
 *
 * A client sends one line, `VERSION COMMAND [ARGUMENT]`, and gets one line, `ok` or `error`, then text
 * until the connection closes. Nothing that a client sends can stop the process. Single-threaded. */
#pragma once

#include "metrics/metrics.h"

#include <poll.h>

/* Changes with the meaning of any command. */
#define SL_CONTROL_VERSION 1

#define SL_CONTROL_CLIENTS 16

struct sl_control;

/* `listen_fd` is borrowed; `ask_reload` is called when a client wants a reload, whose outcome goes to
 * sl_control_reloaded. NULL: out of memory. */
struct sl_control *sl_control_new(int listen_fd, struct sl_metrics *metrics,
				  void (*ask_reload)(void *arg), void *arg);
void sl_control_free(struct sl_control **control);

/* Adds what to poll for; returns how many (at most SL_CONTROL_CLIENTS + 1). */
unsigned sl_control_poll(struct sl_control *control, struct pollfd *fds);

/* After polling: accepts, reads, answers. Never blocks. */
void sl_control_serve(struct sl_control *control);

/* The reload that was asked for succeeded, or failed with these faults, a line each. */
void sl_control_reloaded(struct sl_control *control, bool ok, const char *faults);

/* Accepts nobody any more; who is waiting is still answered. */
void sl_control_retire(struct sl_control *control);
