#include "process/child.h"

#include "base/clock.h"
#include "process/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

const char *sl_child_name(const struct sl_child *child)
{
	return child->kind == SL_CHILD_INIT ? "init process" : "worker";
}

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

static bool is_needed(const struct sl_child_env *env, int fd)
{
	return fd == env->fd || fd == env->control_fd || (env->listener && fd == env->listener->fd);
}

static void run_child(const struct sl_child *child, struct sl_child_env *env,
		      const struct sl_child *siblings, const int *close_fds)
{
	/* without this a child would keep its siblings' streams open, and they would not notice
	 * that they are dismissed; those that were started just now are not in the list yet */
	for (; *close_fds >= 0; close_fds++)
		if (!is_needed(env, *close_fds))
			close(*close_fds);
	for (; siblings; siblings = siblings->next)
		if (siblings->fd >= 0 && !is_needed(env, siblings->fd))
			close(siblings->fd);
	become_child();
	sl_supervisor_open_log(env->config, NULL); /* ours, which may be another than before */
	/* what ps and top show, 15 bytes */
	prctl(PR_SET_NAME, child->kind == SL_CHILD_INIT ? "scriptletd:init" : "scriptletd:work");
	atomic_store(&env->row->pid, getpid());
	exit(child->kind == SL_CHILD_INIT ? sl_init_process_main(env) : sl_worker_main(env));
}

int sl_child_start(struct sl_child *child, const struct sl_config *config,
		   struct sl_metrics *metrics, unsigned generation, int control_fd,
		   const struct sl_child *siblings, const int *close_fds, struct sl_err *err)
{
	struct sl_child_env env = { .config = config,
				    .metrics = metrics,
				    .listener = child->listener,
				    .control_fd = child->kind == SL_CHILD_INIT ? control_fd : -1,
				    .fd = -1 };
	int pair[2];
	pid_t pid;

	env.row = sl_metrics_take_row(metrics, generation);
	if (!env.row)
		return sl_fail(err, -EAGAIN, "more than %d processes", SL_METRICS_ROWS);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		sl_metrics_release_row(env.row);
		return sl_fail(err, -errno, "cannot make a socket pair: %s", strerror(errno));
	}
	env.fd = pair[1];
	pid = fork();
	if (pid < 0) {
		close(pair[0]);
		close(pair[1]);
		sl_metrics_release_row(env.row);
		return sl_fail(err, -errno, "cannot fork: %s", strerror(errno));
	}
	if (pid == 0) {
		close(pair[0]);
		run_child(child, &env, siblings, close_fds);
	}
	close(pair[1]);
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	child->row = env.row;
	child->pid = pid;
	child->fd = pair[0];
	child->ready = false;
	child->wants_reload = false;
	free(child->faults);
	child->faults = NULL;
	child->started_us = sl_now_us();
	child->restart_us = 0;
	return 0;
}

void sl_child_dismiss(struct sl_child *child)
{
	if (child->fd >= 0)
		close(child->fd);
	child->fd = -1;
	sl_wire_deinit(&child->wire);
}

void sl_child_report_faults(int fd, const struct sl_faults *faults)
{
	struct sl_buf text = SL_BUF_ZERO;

	for (unsigned i = 0; i < faults->count; i++)
		sl_buf_printf(&text, "%s%s\n", faults->list[i].warning ? "warning: " : "",
			      faults->list[i].text);
	sl_wire_send(fd, SL_WIRE_FAULTS, sl_buf_str(&text));
	sl_buf_deinit(&text);
}
