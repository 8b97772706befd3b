#include "process/child.h"

#include "base/buf.h"
#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Longest report taken from a child. */
#define REPORT_MAX (1u << 20)

/* Signals are the supervisor's business: a terminal's ^C must not cut sessions off. */
static void become_child(void)
{
	sigset_t none;

	setpgid(0, 0);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Keeps the one listening socket this child serves, if any. */
static struct sl_listener keep_listener(const struct sl_child *child,
					struct sl_listeners *listeners)
{
	struct sl_listener mine = { .fd = -1 };

	for (unsigned i = 0; i < listeners->count; i++) {
		if (child->kind == SL_CHILD_WORKER && i == child->listener)
			mine = listeners->list[i];
		else
			close(listeners->list[i].fd);
	}
	return mine;
}

/* The supervisor's ends of all pairs: a child that kept one would keep its sibling from being
 * dismissed. */
static void close_siblings(const struct sl_child *all, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (all[i].fd >= 0)
			close(all[i].fd);
}

int sl_child_start(struct sl_child *child, const struct sl_child *all, unsigned count,
		   const struct sl_config *config, struct sl_listeners *listeners,
		   struct sl_err *err)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return sl_fail(err, -errno, "cannot make a socket pair: %s", strerror(errno));
	pid = fork();
	if (pid < 0) {
		close(pair[0]);
		close(pair[1]);
		return sl_fail(err, -errno, "cannot fork: %s", strerror(errno));
	}
	if (pid == 0) {
		struct sl_listener listener = keep_listener(child, listeners);

		close(pair[0]);
		close_siblings(all, count);
		become_child();
		exit(child->kind == SL_CHILD_INIT ? sl_init_process_main(config, pair[1])
						  : sl_worker_main(config, &listener, pair[1]));
	}
	close(pair[1]);
	child->pid = pid;
	child->fd = pair[0];
	child->ready = false;
	child->started_us = sl_now_us();
	child->restart_us = 0;
	return 0;
}

int sl_child_wait_ready(struct sl_child *child)
{
	struct sl_buf report = SL_BUF_ZERO;
	ssize_t n;

	do {
		if (sl_buf_reserve(&report, 4096) < 0)
			break;
		n = read(child->fd, report.data + report.len, 4096);
		if (n > 0)
			report.len += (size_t)n;
		if (report.len > 0 && report.data[0] == 'R')
			child->ready = true;
	} while (!child->ready && (n > 0 || (n < 0 && errno == EINTR)) && report.len < REPORT_MAX);
	if (!child->ready && report.len > 0) {
		report.data[report.len] = '\0';
		free(child->faults);
		child->faults = strdup(report.data + 1);
	}
	sl_buf_deinit(&report);
	return child->ready ? 1 : -ECHILD;
}

void sl_child_dismiss(struct sl_child *child)
{
	if (child->fd >= 0)
		close(child->fd);
	child->fd = -1;
}

static void send_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* the supervisor is gone, and with it the reader */
		data += n;
		len -= (size_t)n;
	}
}

void sl_child_report_ready(int fd)
{
	send_all(fd, "R", 1);
}

void sl_child_report_faults(int fd, const struct sl_faults *faults)
{
	send_all(fd, "F", 1);
	for (unsigned i = 0; i < faults->count; i++) {
		send_all(fd, faults->list[i].text, strlen(faults->list[i].text));
		send_all(fd, "\n", 1);
	}
}

void sl_child_await_dismissal(int fd)
{
	char c;
	ssize_t n;

	do {
		n = read(fd, &c, 1);
	} while (n > 0 || (n < 0 && errno == EINTR));
}
