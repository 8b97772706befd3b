/* A worker: libmilter and a pool of Lua states, serving one address. */
#include "process/child.h"

#include "base/clock.h"
#include "callout/engine.h"
#include "lua/guard.h"
#include "mail/text.h"
#include "milter/milter.h"
#include "service/submission.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#define HEARTBEAT_MS 500
#define POLL_US 20000
/* A connection that libmilter has accepted is counted from its first command on. */
#define GRACE_US 200000
/* Longer than libmilter polls its listening socket at a time. */
#define LIBMILTER_POLL_US 6000000

/* exit() runs while libmilter's threads wait: what they hold stays reachable from here. */
static struct {
	const struct sl_child_env *env;
	struct sl_engine *engine;
	pid_t supervisor;
} worker;

static void beat(void)
{
	struct sl_metrics_row *row = worker.env->row;

	atomic_store(&row->heartbeat_us, sl_now_us());
	atomic_store(&row->stuck_us, sl_guard_stuck_us());
	atomic_store(&row->states_lost, sl_slot_states_lost());
}

/* When the daemon stops, or without its supervisor, all workers drain, and who connects must be
 * refused rather than left waiting. libmilter takes the end of a TCP socket that it still polls for a
 * reason to give up altogether, so that one has to wait until the poll is over; with a unix socket it
 * does not. A process that dies closes its files before it is no longer our parent. */
static bool may_kill_socket(int64_t draining_us)
{
	bool nobody_accepts = getppid() != worker.supervisor ||
			      atomic_load(&worker.env->metrics->stopping);

	return nobody_accepts &&
	       (worker.env->listener->ep.kind == SL_EP_UNIX || draining_us > LIBMILTER_POLL_US);
}

/* True when the last session has ended, false when drain_timeout passed first. */
static bool drained(const struct sl_config *config)
{
	int64_t began = sl_now_us();
	int64_t until = began + (int64_t)config->drain_timeout * 1000000;
	int64_t idle_since = 0;

	for (;;) {
		int64_t now = sl_now_us();

		beat();
		if (may_kill_socket(now - began))
			sl_milter_kill_socket();
		if (sl_milter_connections() > 0)
			idle_since = 0;
		else if (!idle_since)
			idle_since = now;
		else if (now - idle_since >= GRACE_US)
			return true;
		if (now >= until)
			return sl_milter_connections() == 0;
		sl_sleep_us(POLL_US);
	}
}

/* Nothing is ever said to a worker: when its stream can be read, it was closed. */
static void await_dismissal(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	do {
		beat();
	} while (poll(&pfd, 1, HEARTBEAT_MS) <= 0);
}

/* Waits to be dismissed, then lets sessions finish. libmilter's own stop would cut them off, so the
 * process ends from this thread, while libmilter still waits for connections that cannot come. */
static void *control_thread(void *arg)
{
	const struct sl_config *config = worker.env->config;
	struct sl_err err;

	(void)arg;
	await_dismissal(worker.env->fd);
	if (sl_milter_stop_accepting(&err) < 0)
		sl_log(LOG_ERR, "process", "%s", err.text);
	if (drained(config)) {
		sl_engine_free(&worker.engine);
		exit(EX_OK);
	}
	sl_log(LOG_WARNING, "process", "drain_timeout (%d s) passed, %u connections are cut off",
	       config->drain_timeout, sl_milter_connections());
	_exit(EX_OK); /* sessions still run: nothing may be freed under them */
}

static int fail(int fd, const char *text)
{
	struct sl_faults faults = { 0 };

	sl_faults_add(&faults, NULL, 0, "%s", text);
	sl_child_report_faults(fd, &faults);
	sl_faults_deinit(&faults);
	return EX_OSERR;
}

/* Where the callouts of each module are counted. */
static void name_modules(struct sl_engine *engine, struct sl_metrics *metrics)
{
	for (unsigned i = 0; i < engine->module_count; i++) {
		const struct sl_script_conf *script =
			&engine->config->scriptlet.scripts[engine->modules[i].script];

		engine->modules[i].metrics = sl_metrics_find_module(metrics, script->name);
	}
}

int sl_worker_main(const struct sl_child_env *env)
{
	struct sl_faults faults = { 0 };
	pthread_t thread;
	struct sl_err err;

	worker.env = env;
	worker.supervisor = getppid();
	sl_mail_init();
	if (sl_submission_init() < 0)
		return fail(env->fd, "cannot initialise libcurl");
	if (sl_guard_start(&err) < 0)
		return fail(env->fd, err.text);
	worker.engine = sl_engine_new(env->config, (unsigned)env->config->scriptlet.states,
				      &faults);
	if (!worker.engine) {
		sl_child_report_faults(env->fd, &faults);
		sl_faults_deinit(&faults);
		return EX_CONFIG;
	}
	sl_faults_deinit(&faults); /* warnings were logged by the init process */
	worker.engine->metrics = env->row;
	name_modules(worker.engine, env->metrics);
	if (sl_milter_setup(worker.engine, env->listener->ep.kind, env->listener->fd, &err) < 0)
		return fail(env->fd, err.text);
	if (pthread_create(&thread, NULL, control_thread, NULL) != 0)
		return fail(env->fd, "cannot start a thread");
	sl_wire_send(env->fd, SL_WIRE_READY, "");
	sl_milter_serve();
	sl_log(LOG_ERR, "process", "libmilter gave up");
	_exit(EX_SOFTWARE);
}
