/* A worker: libmilter and a pool of Lua states, serving one address. */
#include "process/child.h"

#include "base/clock.h"
#include "callout/engine.h"
#include "mail/text.h"
#include "milter/milter.h"
#include "service/submission.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

struct worker {
	const struct sl_config *config;
	struct sl_engine *engine;
	int fd; /* to the supervisor */
};

#define POLL_US 20000
/* A connection that libmilter has accepted is counted from its first command on. */
#define GRACE_US 200000

/* True when the last session has ended, false when drain_timeout passed first. */
static bool drained(const struct sl_config *config)
{
	int64_t until = sl_now_us() + (int64_t)config->drain_timeout * 1000000;
	int64_t idle_since = 0;

	for (;;) {
		int64_t now = sl_now_us();

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

/* Waits to be dismissed, then lets sessions finish. libmilter's own stop would cut them off, so the
 * process ends from this thread, while libmilter still waits for connections that cannot come. */
static void *drain_thread(void *arg)
{
	struct worker *worker = arg;
	struct sl_err err;

	sl_child_await_dismissal(worker->fd);
	if (sl_milter_stop_accepting(&err) < 0)
		sl_log(LOG_ERR, "process", "%s", err.text);
	if (drained(worker->config)) {
		sl_engine_free(&worker->engine);
		exit(EX_OK);
	}
	sl_log(LOG_WARNING, "process", "drain_timeout (%d s) passed, %u connections are cut off",
	       worker->config->drain_timeout, sl_milter_connections());
	_exit(EX_OK); /* sessions still run: nothing may be freed under them */
}

/* exit() runs while libmilter's threads wait: what they hold stays reachable from here. */
static struct worker worker;

static int fail(int fd, const char *text)
{
	struct sl_faults faults = { 0 };

	sl_faults_add(&faults, NULL, 0, "%s", text);
	sl_child_report_faults(fd, &faults);
	sl_faults_deinit(&faults);
	return EX_OSERR;
}

int sl_worker_main(const struct sl_config *config, struct sl_listener *listener, int fd)
{
	struct sl_faults faults = { 0 };
	pthread_t thread;
	struct sl_err err;

	sl_mail_init();
	if (sl_submission_init() < 0)
		return fail(fd, "cannot initialise libcurl");
	worker = (struct worker){ config, NULL, fd };
	worker.engine = sl_engine_new(config, (unsigned)config->scriptlet.states, &faults);
	if (!worker.engine) {
		sl_child_report_faults(fd, &faults);
		sl_faults_deinit(&faults);
		return EX_CONFIG;
	}
	sl_faults_deinit(&faults); /* warnings were logged by the init process */
	if (sl_milter_setup(worker.engine, listener->ep.kind, listener->fd, &err) < 0)
		return fail(fd, err.text);
	if (pthread_create(&thread, NULL, drain_thread, &worker) != 0)
		return fail(fd, "cannot start a thread");
	sl_child_report_ready(fd);
	sl_milter_serve();
	sl_log(LOG_ERR, "process", "libmilter gave up");
	_exit(EX_SOFTWARE);
}
