#include "process/generation.h"

#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Bounds on what children take; init() has its own limit far below. */
#define START_TIMEOUT_US 120000000
#define STOP_GRACE_US 5000000
#define UNDO_TIMEOUT_US 30000000

/* A child that lived shorter is not started again at once. */
#define SHORT_LIFE_US 10000000
#define PAUSE_FIRST_US 100000
#define PAUSE_MAX_US 30000000
#define CRASH_LOOP 5

/* A worker that cannot stop a callout for so long is replaced; one whose heart stands still for so
 * long is killed. */
#define STUCK_US 5000000
#define NO_HEARTBEAT_US 30000000

static void fault(struct sl_generation *gen, const char *text)
{
	sl_buf_printf(&gen->faults, "%s%s", text,
		      *text && text[strlen(text) - 1] == '\n' ? "" : "\n");
}

static struct sl_child *add_child(struct sl_generation *gen, enum sl_child_kind kind,
				  struct sl_listener *listener)
{
	struct sl_child *child = calloc(1, sizeof(*child));
	struct sl_child **link = &gen->children;

	if (!child)
		return NULL;
	child->kind = kind;
	child->listener = listener;
	child->fd = -1;
	while (*link)
		link = &(*link)->next;
	*link = child;
	return child;
}

struct sl_generation *sl_generation_new(unsigned number, struct sl_config *config,
					struct sl_listeners *listeners, struct sl_metrics *metrics,
					int control_fd)
{
	struct sl_generation *gen = calloc(1, sizeof(*gen));

	if (!gen || !add_child(gen, SL_CHILD_INIT, NULL)) {
		free(gen);
		return NULL;
	}
	gen->number = number;
	gen->config = config;
	gen->listeners = listeners;
	gen->metrics = metrics;
	gen->control_fd = control_fd;
	return gen;
}

void sl_generation_free(struct sl_generation **generation)
{
	struct sl_generation *gen = *generation;

	*generation = NULL;
	while (gen->children) {
		struct sl_child *child = gen->children;

		gen->children = child->next;
		sl_child_dismiss(child);
		free(child->faults);
		free(child);
	}
	sl_buf_deinit(&gen->faults);
	sl_listeners_unref(&gen->listeners);
	sl_config_free(&gen->config);
	free(gen);
}

struct sl_child *sl_generation_init_process(struct sl_generation *gen)
{
	return gen->children->pid ? gen->children : NULL;
}

unsigned sl_generation_workers(const struct sl_generation *gen)
{
	unsigned count = 0;

	for (const struct sl_child *child = gen->children->next; child; child = child->next)
		count += child->pid != 0;
	return count;
}

/* Ends what has begun; the generation is dead when the last child is. */
static void fail(struct sl_generation *gen)
{
	gen->state = SL_GEN_FAILED;
	gen->deadline_us = sl_now_us() + STOP_GRACE_US;
	for (struct sl_child *child = gen->children; child; child = child->next) {
		sl_child_dismiss(child);
		child->restart_us = 0;
	}
}

static bool start_child(struct sl_generation *gen, struct sl_child *child)
{
	struct sl_err err;

	if (sl_child_start(child, gen->config, gen->metrics, gen->number, gen->control_fd,
			   gen->children, gen->close_fds, &err) == 0)
		return true;
	sl_log(LOG_ERR, "process", "cannot start the %s: %s", sl_child_name(child), err.text);
	fault(gen, err.text);
	return false;
}

void sl_generation_start(struct sl_generation *gen)
{
	gen->state = SL_GEN_INITIALISING;
	gen->deadline_us = sl_now_us() + START_TIMEOUT_US;
	if (!start_child(gen, gen->children))
		fail(gen);
}

static void start_workers(struct sl_generation *gen)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned workers = gen->config->workers ? (unsigned)gen->config->workers
			   : cores > 0		? (unsigned)cores
						: 1;

	gen->state = SL_GEN_STARTING;
	for (unsigned i = 0; i < workers * gen->listeners->count; i++) {
		struct sl_child *child = add_child(gen, SL_CHILD_WORKER,
						   gen->listeners->list[i % gen->listeners->count]);

		if (!child || !start_child(gen, child)) {
			fail(gen);
			return;
		}
	}
}

static bool all_ready(const struct sl_generation *gen)
{
	for (const struct sl_child *child = gen->children; child; child = child->next)
		if (!child->ready && !child->recycled)
			return false;
	return true;
}

static void on_ready(struct sl_generation *gen, struct sl_child *child)
{
	child->ready = true;
	if (gen->state == SL_GEN_INITIALISING)
		start_workers(gen);
	else if (gen->state == SL_GEN_SERVING)
		sl_log(LOG_NOTICE, "process", "the %s %ld takes over", sl_child_name(child),
		       (long)child->pid);
	if (gen->state == SL_GEN_STARTING && all_ready(gen)) {
		gen->state = SL_GEN_SERVING;
		gen->deadline_us = 0;
	}
}

/* Reads what a child says. A reload request is left for the supervisor to find. */
static void listen_to(struct sl_generation *gen, struct sl_child *child)
{
	char type;
	char *text;

	while (child->fd >= 0 && !child->wants_reload) {
		int rc = sl_wire_receive(&child->wire, child->fd, &type, &text);

		if (rc == 0)
			return;
		if (rc < 0) {
			sl_child_dismiss(child);
			return;
		}
		if (type == SL_WIRE_READY) {
			on_ready(gen, child);
		} else if (type == SL_WIRE_FAULTS) {
			free(child->faults);
			child->faults = text;
			continue;
		} else if (type == SL_WIRE_RELOAD && child->kind == SL_CHILD_INIT) {
			child->wants_reload = true;
		}
		free(text);
	}
}

static void log_end(const struct sl_child *child, int status)
{
	if (WIFSIGNALED(status))
		sl_log(LOG_ERR, "process", "the %s %ld was ended by signal %d (%s)",
		       sl_child_name(child), (long)child->pid, WTERMSIG(status),
		       strsignal(WTERMSIG(status)));
	else
		sl_log(LOG_ERR, "process", "the %s %ld exited with status %d", sl_child_name(child),
		       (long)child->pid, WEXITSTATUS(status));
}

/* At once the first time, then after longer and longer pauses. */
static void plan_restart(struct sl_generation *gen, struct sl_child *child)
{
	int64_t now = sl_now_us();
	int64_t pause = PAUSE_FIRST_US;

	sl_count(child->kind == SL_CHILD_INIT ? &gen->metrics->init_restarts
					      : &gen->metrics->worker_restarts);
	child->quick_ends = now - child->started_us < SHORT_LIFE_US ? child->quick_ends + 1 : 0;
	for (unsigned i = 1; i < child->quick_ends && pause < PAUSE_MAX_US; i++)
		pause *= 2;
	if (pause > PAUSE_MAX_US)
		pause = PAUSE_MAX_US;
	if (child->quick_ends <= 1)
		pause = 1;
	child->restart_us = now + pause;
	if (child->quick_ends >= CRASH_LOOP)
		sl_log(LOG_CRIT, "process",
		       "crash loop: the %s has ended %u times in a row, next start in %lld s",
		       sl_child_name(child), child->quick_ends, (long long)(pause / 1000000));
}

bool sl_generation_bury(struct sl_generation *gen, pid_t pid, int status)
{
	struct sl_child *child = gen->children;

	while (child && child->pid != pid)
		child = child->next;
	if (!child)
		return false;
	listen_to(gen, child); /* its last words */
	sl_child_dismiss(child);
	sl_metrics_release_row(child->row);
	switch (gen->state) {
	case SL_GEN_INITIALISING:
	case SL_GEN_STARTING:
		if (!child->faults)
			log_end(child, status);
		fault(gen, child->faults ? child->faults : "a process ended while it started");
		child->pid = 0;
		fail(gen);
		break;
	case SL_GEN_SERVING:
		if (!child->recycled) {
			log_end(child, status);
			if (child->faults)
				sl_log(LOG_ERR, "process", "%s", child->faults);
			plan_restart(gen, child);
		}
		break;
	default:
		if (WIFSIGNALED(status))
			log_end(child, status);
	}
	child->pid = 0;
	return true;
}

static void kill_overdue(struct sl_generation *gen)
{
	for (struct sl_child *child = gen->children; child; child = child->next) {
		if (!child->pid || (gen->state == SL_GEN_DRAINING && child->kind == SL_CHILD_INIT))
			continue;
		sl_log(LOG_ERR, "process", "the %s %ld does not come to an end, killing it",
		       sl_child_name(child), (long)child->pid);
		kill(child->pid, SIGKILL);
	}
	gen->deadline_us = 0;
}

/* Another worker takes over, this one only finishes what it can. */
static void recycle(struct sl_generation *gen, struct sl_child *child)
{
	struct sl_child *fresh = add_child(gen, SL_CHILD_WORKER, child->listener);

	sl_log(LOG_CRIT, "process",
	       "worker %ld: a callout cannot be stopped, replacing the worker; its other sessions "
	       "may finish",
	       (long)child->pid);
	sl_count(&gen->metrics->recycled);
	child->recycled = true;
	sl_child_dismiss(child);
	if (fresh && !start_child(gen, fresh))
		plan_restart(gen, fresh);
}

static void check_hearts(struct sl_generation *gen)
{
	int64_t now = sl_now_us();

	for (struct sl_child *child = gen->children; child; child = child->next) {
		if (!child->pid || !child->ready || child->kind != SL_CHILD_WORKER)
			continue;
		if (!child->recycled && atomic_load(&child->row->stuck_us) > STUCK_US) {
			recycle(gen, child);
		} else if (now - atomic_load(&child->row->heartbeat_us) > NO_HEARTBEAT_US) {
			sl_log(LOG_CRIT, "process", "worker %ld shows no sign of life, killing it",
			       (long)child->pid);
			kill(child->pid, SIGKILL);
			atomic_store(&child->row->heartbeat_us, now);
		}
	}
}

static void restart_due(struct sl_generation *gen)
{
	for (struct sl_child *child = gen->children; child; child = child->next)
		if (!child->pid && child->restart_us && sl_now_us() >= child->restart_us &&
		    !start_child(gen, child))
			plan_restart(gen, child);
}

static bool running(const struct sl_generation *gen, bool workers_only)
{
	for (const struct sl_child *child = gen->children; child; child = child->next)
		if (child->pid && (!workers_only || child->kind == SL_CHILD_WORKER))
			return true;
	return false;
}

void sl_generation_tick(struct sl_generation *gen)
{
	for (struct sl_child *child = gen->children; child; child = child->next)
		listen_to(gen, child);
	if (gen->deadline_us && sl_now_us() >= gen->deadline_us) {
		if (gen->state < SL_GEN_SERVING) {
			fault(gen, "the processes took too long to start");
			fail(gen);
		}
		kill_overdue(gen);
	}
	if (gen->state == SL_GEN_SERVING) {
		restart_due(gen);
		check_hearts(gen);
	}
	if (gen->state == SL_GEN_DRAINING && !running(gen, true)) {
		gen->state = SL_GEN_UNDOING;
		gen->deadline_us = sl_now_us() + UNDO_TIMEOUT_US;
		sl_child_dismiss(gen->children);
	}
	if ((gen->state == SL_GEN_UNDOING || gen->state == SL_GEN_FAILED) && !running(gen, false))
		gen->state = SL_GEN_DEAD;
}

void sl_generation_retire(struct sl_generation *gen)
{
	if (gen->state < SL_GEN_SERVING) {
		fail(gen);
		return;
	}
	if (gen->state != SL_GEN_SERVING)
		return;
	gen->state = SL_GEN_DRAINING;
	gen->deadline_us = sl_now_us() + (int64_t)gen->config->drain_timeout * 1000000 +
			   STOP_GRACE_US;
	sl_wire_send(gen->children->fd, SL_WIRE_RETIRE, "");
	for (struct sl_child *child = gen->children; child; child = child->next) {
		child->restart_us = 0;
		if (child->kind == SL_CHILD_WORKER)
			sl_child_dismiss(child);
	}
}

static int64_t earlier(int64_t a, int64_t b)
{
	return !a || (b && b < a) ? b : a;
}

int64_t sl_generation_due(const struct sl_generation *gen)
{
	int64_t due = gen->deadline_us;

	for (const struct sl_child *child = gen->children; child; child = child->next)
		due = earlier(due, child->restart_us);
	if (gen->state == SL_GEN_SERVING)
		due = earlier(due, sl_now_us() + 1000000); /* hearts */
	return due;
}
