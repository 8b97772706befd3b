#include "process/supervisor.h"

#include "base/clock.h"
#include "base/id.h"
#include "process/child.h"
#include "session/session.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

/* A child that lived shorter than this is not started again at once. */
#define SHORT_LIFE_US 1000000
#define RESTART_PAUSE_US 1000000
/* Beyond drain_timeout, for a child to end by itself. */
#define STOP_GRACE_US 5000000

struct supervisor {
	const struct sl_config *config;
	struct sl_listeners *listeners;
	struct sl_child *children; /* the first is the init process */
	unsigned count;
	int signals; /* signalfd */
	bool stopping;
};

static const char *kind_name(const struct sl_child *child)
{
	return child->kind == SL_CHILD_INIT ? "init process" : "worker";
}

static void log_faults(const char *faults)
{
	while (faults && *faults) {
		size_t len = strcspn(faults, "\n");

		sl_log(LOG_ERR, "config", "%.*s", (int)len, faults);
		faults += len + (faults[len] == '\n');
	}
}

static bool make_children(struct supervisor *sup)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned workers = sup->config->workers ? (unsigned)sup->config->workers
			   : cores > 0		? (unsigned)cores
						: 1;

	sup->count = 1 + workers * sup->listeners->count;
	sup->children = calloc(sup->count, sizeof(*sup->children));
	if (!sup->children)
		return false;
	for (unsigned i = 0; i < sup->count; i++) {
		sup->children[i].fd = -1;
		sup->children[i].kind = i == 0 ? SL_CHILD_INIT : SL_CHILD_WORKER;
		sup->children[i].listener = i ? (i - 1) % sup->listeners->count : 0;
	}
	return true;
}

/* Starts one child and waits until it serves; 0 or an exit status, with everything logged. */
static int start(struct supervisor *sup, struct sl_child *child)
{
	struct sl_err err;

	if (sl_child_start(child, sup->children, sup->count, sup->config, sup->listeners, &err) <
	    0) {
		sl_log(LOG_ERR, "process", "%s: %s", kind_name(child), err.text);
		return EX_OSERR;
	}
	if (sl_child_wait_ready(child) > 0)
		return 0;
	log_faults(child->faults);
	sl_log(LOG_ERR, "process", "the %s %ld could not start", kind_name(child),
	       (long)child->pid);
	sl_child_dismiss(child);
	return child->faults ? EX_CONFIG : EX_OSERR;
}

static struct sl_child *child_by_pid(struct supervisor *sup, pid_t pid)
{
	for (unsigned i = 0; i < sup->count; i++)
		if (sup->children[i].pid == pid)
			return &sup->children[i];
	return NULL;
}

/* A child that ended; while not stopping, it is to be started again. */
static void bury(struct supervisor *sup, struct sl_child *child, int status)
{
	int64_t now = sl_now_us();

	sl_child_dismiss(child);
	if (!sup->stopping) {
		if (WIFSIGNALED(status))
			sl_log(LOG_ERR, "process", "the %s %ld was ended by signal %d (%s)",
			       kind_name(child), (long)child->pid, WTERMSIG(status),
			       strsignal(WTERMSIG(status)));
		else
			sl_log(LOG_ERR, "process", "the %s %ld exited with status %d",
			       kind_name(child), (long)child->pid, WEXITSTATUS(status));
		child->restart_us = now - child->started_us < SHORT_LIFE_US ? now + RESTART_PAUSE_US
									    : now;
	}
	child->pid = 0;
}

static void reap(struct supervisor *sup)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct sl_child *child = child_by_pid(sup, pid);

		if (child)
			bury(sup, child, status);
	}
}

static void restart_due(struct supervisor *sup)
{
	for (unsigned i = 0; i < sup->count; i++) {
		struct sl_child *child = &sup->children[i];

		if (child->pid || !child->restart_us || sl_now_us() < child->restart_us)
			continue;
		if (start(sup, child) == 0)
			sl_log(LOG_NOTICE, "process", "the %s %ld takes over", kind_name(child),
			       (long)child->pid);
		else if (!child->pid)
			child->restart_us = sl_now_us() + RESTART_PAUSE_US;
	}
}

/* Time until something is due, as poll(2) takes it. */
static int poll_timeout(const struct supervisor *sup)
{
	int64_t next = -1;
	int64_t now = sl_now_us();

	for (unsigned i = 0; i < sup->count; i++) {
		const struct sl_child *child = &sup->children[i];

		if (!child->pid && child->restart_us && (next < 0 || child->restart_us < next))
			next = child->restart_us;
	}
	if (next < 0)
		return -1;
	return next <= now ? 0 : (int)((next - now) / 1000 + 1);
}

/* Takes the signals that are there; waits up to `timeout` ms for the first. */
static void take_signals(struct supervisor *sup, int timeout)
{
	struct pollfd pfd = { .fd = sup->signals, .events = POLLIN };
	struct signalfd_siginfo info;

	if (poll(&pfd, 1, timeout) <= 0)
		return;
	while (read(sup->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGTERM:
		case SIGINT:
			sup->stopping = true;
			break;
		case SIGHUP:
			sl_log(LOG_NOTICE, "process",
			       "SIGHUP: a changed configuration is read when scriptletd is "
			       "restarted");
			break;
		default:
			reap(sup);
		}
	}
}

static unsigned running(const struct supervisor *sup, unsigned from)
{
	unsigned count = 0;

	for (unsigned i = from; i < sup->count; i++)
		count += sup->children[i].pid != 0;
	return count;
}

/* Waits for the children from index `from` on, then kills what is left. */
static void wait_for(struct supervisor *sup, unsigned from, int64_t us)
{
	int64_t until = sl_now_us() + us;

	reap(sup);
	while (running(sup, from) && sl_now_us() < until)
		take_signals(sup, (int)((until - sl_now_us()) / 1000 + 1));
	for (unsigned i = from; i < sup->count; i++) {
		if (!sup->children[i].pid)
			continue;
		sl_log(LOG_ERR, "process", "the %s %ld does not end, killing it",
		       kind_name(&sup->children[i]), (long)sup->children[i].pid);
		kill(sup->children[i].pid, SIGKILL);
		waitpid(sup->children[i].pid, NULL, 0);
		sup->children[i].pid = 0;
	}
}

/* Workers first, so that deinit() finds no session any more. */
static void stop(struct supervisor *sup)
{
	int64_t drain_us = (int64_t)sup->config->drain_timeout * 1000000;

	sup->stopping = true;
	for (unsigned i = 1; i < sup->count; i++)
		sl_child_dismiss(&sup->children[i]);
	wait_for(sup, 1, drain_us + STOP_GRACE_US);
	sl_child_dismiss(&sup->children[0]);
	wait_for(sup, 0, STOP_GRACE_US);
}

static int block_signals(sigset_t *old)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, old);
	return signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int start_all(struct supervisor *sup)
{
	for (unsigned i = 0; i < sup->count; i++) {
		int status = start(sup, &sup->children[i]);

		if (status)
			return status;
	}
	return 0;
}

/* The EHLO name of what we submit ourselves, by which the milter knows it again. */
static void draw_own_helo(void)
{
	char id[SL_ID_SIZE];
	char name[64];

	sl_id_new(id);
	snprintf(name, sizeof(name), "scriptletd-%s.invalid", id);
	sl_session_set_own_helo(name);
}

int sl_supervise(const struct sl_config *config, struct sl_listeners *listeners,
		 void (*ready)(void *arg), void *arg)
{
	struct supervisor sup = { .config = config, .listeners = listeners };
	sigset_t old;
	int status;

	draw_own_helo();
	sup.signals = block_signals(&old);
	if (sup.signals < 0 || !make_children(&sup)) {
		sl_log(LOG_ERR, "process", "cannot start: %s", strerror(errno));
		return EX_OSERR;
	}
	status = start_all(&sup);
	if (status == 0) {
		sl_log(LOG_NOTICE, "process", "ready: workers %u, addresses %u, scripts %u",
		       sup.count - 1, listeners->count, config->scriptlet.script_count);
		if (ready)
			ready(arg);
		while (!sup.stopping) {
			take_signals(&sup, poll_timeout(&sup));
			restart_due(&sup);
		}
		sl_log(LOG_NOTICE, "process", "stopping");
	}
	stop(&sup);
	for (unsigned i = 0; i < sup.count; i++)
		free(sup.children[i].faults);
	free(sup.children);
	close(sup.signals);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return status;
}
