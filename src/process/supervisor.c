#include "process/supervisor.h"

#include "base/clock.h"
#include "base/id.h"
#include "lua/loader.h"
#include "process/notify.h"
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

#define FDS_MAX 1024

struct supervisor {
	char *config_file;
	struct sl_metrics *metrics;
	struct sl_generation *generations; /* all that are not dead; the newest first */
	struct sl_generation *current;	   /* the one that serves; NULL before the first does */
	struct sl_generation *next;	   /* the one that is starting, if any */
	unsigned last_number;
	int signals; /* signalfd */
	int control_fd;
	bool stopping;
	bool reload_wanted;    /* a signal came while a reload was under way */
	bool asked_by_control; /* the current generation's init process waits for the outcome */
	int64_t alive_us;      /* when systemd is to be told again */
	int fds[FDS_MAX];      /* of ours, for children to close; ended by -1 */
	int status;
};

static struct {
	bool foreground;
	bool verbose;
} log_options;

void sl_supervisor_log_options(bool foreground, bool verbose)
{
	log_options.foreground = foreground;
	log_options.verbose = verbose;
}

int sl_supervisor_open_log(const struct sl_config *config, struct sl_err *err)
{
	sl_log_set_format(config->log.format);
	return sl_log_open(log_options.foreground ? SL_LOG_STDERR : config->log.kind,
			   config->log.path, log_options.verbose ? LOG_DEBUG : config->log.level,
			   err);
}

static void log_lines(int level, const char *tag, const char *lines)
{
	while (*lines) {
		size_t len = strcspn(lines, "\n");

		sl_log(level, tag, "%.*s", (int)len, lines);
		lines += len + (lines[len] == '\n');
	}
}

static void add_fd(struct supervisor *sup, unsigned *count, int fd)
{
	if (fd >= 0 && *count < FDS_MAX - 1)
		sup->fds[(*count)++] = fd;
}

/* What a child forked now would inherit and must close. */
static void list_fds(struct supervisor *sup)
{
	unsigned count = 0;

	add_fd(sup, &count, sup->signals);
	add_fd(sup, &count, sup->control_fd);
	for (struct sl_generation *gen = sup->generations; gen; gen = gen->next) {
		for (struct sl_child *child = gen->children; child; child = child->next)
			add_fd(sup, &count, child->fd);
		for (unsigned i = 0; gen->listeners && i < gen->listeners->count; i++)
			add_fd(sup, &count, gen->listeners->list[i]->fd);
	}
	sup->fds[count] = -1;
}

static void log_warnings(const struct sl_faults *faults)
{
	for (unsigned i = 0; i < faults->count; i++)
		if (faults->list[i].warning)
			sl_log(LOG_WARNING, "config", "%s", faults->list[i].text);
}

static void add_generation(struct supervisor *sup, struct sl_config *config,
			   struct sl_listeners *listeners)
{
	struct sl_generation *gen = sl_generation_new(++sup->last_number, config, listeners,
						      sup->metrics, sup->control_fd);

	if (!gen) {
		sl_log(LOG_ERR, "process", "out of memory for a generation");
		sl_listeners_unref(&listeners);
		sl_config_free(&config);
		return;
	}
	for (unsigned i = 0; i < config->scriptlet.script_count; i++)
		sl_metrics_module(sup->metrics, config->scriptlet.scripts[i].name);
	gen->close_fds = sup->fds;
	gen->next = sup->generations;
	sup->generations = gen;
	sup->next = gen;
	list_fds(sup);
	sl_generation_start(gen);
}

static void tell_requester(struct supervisor *sup, char type, const char *text)
{
	struct sl_child *init = sup->current ? sl_generation_init_process(sup->current) : NULL;

	if (sup->asked_by_control && init) {
		sl_wire_send(init->fd, type, text);
		init->wants_reload = false;
	}
	sup->asked_by_control = false;
}

static void reload_failed(struct supervisor *sup, const char *faults)
{
	sl_count(&sup->metrics->reloads_failed);
	sl_log(LOG_ERR, "process", "reload failed, the running configuration stays:");
	log_lines(LOG_ERR, "config", faults);
	tell_requester(sup, SL_WIRE_FAILED, faults);
	sl_notify_ready();
}

static char *faults_text(const struct sl_faults *faults)
{
	struct sl_buf text = SL_BUF_ZERO;

	for (unsigned i = 0; i < faults->count; i++)
		if (!faults->list[i].warning)
			sl_buf_printf(&text, "%s\n", faults->list[i].text);
	return sl_buf_steal(&text);
}

static void reload(struct supervisor *sup)
{
	struct sl_faults faults = { 0 };
	struct sl_listeners *listeners = NULL;
	struct sl_config *config;
	struct sl_err err;

	sup->reload_wanted = false;
	sl_log(LOG_NOTICE, "process", "reloading %s", sup->config_file);
	sl_notify_reloading();
	config = sl_config_load(sup->config_file, &faults);
	if (config)
		sl_scripts_read(config, &faults);
	if (!config)
		sl_faults_add(&faults, NULL, 0, "out of memory");
	else if (!faults.errors &&
		 sl_listeners_open(&listeners, config, sup->current->listeners, &err) < 0)
		sl_faults_add(&faults, NULL, 0, "%s", err.text);
	if (faults.errors) {
		char *text = faults_text(&faults);

		reload_failed(sup, text ? text : "out of memory\n");
		free(text);
		sl_config_free(&config);
	} else {
		log_warnings(&faults);
		add_generation(sup, config, listeners);
	}
	sl_faults_deinit(&faults);
}

/* The new generation serves: the old one finishes what it has. */
static void switch_over(struct supervisor *sup)
{
	struct sl_generation *old = sup->current;
	struct sl_generation *gen = sup->next;
	struct sl_err err;

	if (old) {
		if (sl_supervisor_open_log(gen->config, &err) < 0)
			sl_log(LOG_ERR, "process", "%s", err.text);
		sl_count(&sup->metrics->reloads_ok);
		tell_requester(sup, SL_WIRE_DONE, "");
		sl_generation_retire(old);
	}
	sup->current = gen;
	sup->next = NULL;
	atomic_store(&sup->metrics->generation, gen->number);
	atomic_store(&sup->metrics->log_level,
		     log_options.verbose ? LOG_DEBUG : gen->config->log.level);
	sl_log(LOG_NOTICE, "process", "ready: generation %u, workers %u, addresses %u, scripts %u",
	       gen->number, sl_generation_workers(gen), gen->listeners->count,
	       gen->config->scriptlet.script_count);
	sl_notify_ready();
}

/* Before anything serves, a failure ends the daemon; later it is a failed reload. */
static void start_failed(struct supervisor *sup)
{
	const char *faults = sl_buf_str(&sup->next->faults);

	if (sup->current) {
		reload_failed(sup, faults);
	} else {
		log_lines(LOG_ERR, "config", faults);
		sup->status = EX_CONFIG;
		sup->stopping = true;
	}
	sup->next = NULL;
}

static void bury_dead(struct supervisor *sup)
{
	struct sl_generation **link = &sup->generations;

	while (*link) {
		struct sl_generation *gen = *link;

		if (gen->state != SL_GEN_DEAD) {
			link = &gen->next;
			continue;
		}
		*link = gen->next;
		if (gen == sup->current)
			sup->current = NULL;
		sl_generation_free(&gen);
	}
}

static void reap(struct supervisor *sup)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (struct sl_generation *gen = sup->generations; gen; gen = gen->next)
			if (sl_generation_bury(gen, pid, status))
				break;
}

static void take_signals(struct supervisor *sup)
{
	struct signalfd_siginfo info;

	while (read(sup->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
			sup->stopping = true;
		else if (info.ssi_signo == SIGHUP)
			sup->reload_wanted = true;
	}
	reap(sup);
}

static int poll_timeout(struct supervisor *sup)
{
	int64_t due = sup->alive_us;
	int64_t now = sl_now_us();

	for (struct sl_generation *gen = sup->generations; gen; gen = gen->next) {
		int64_t other = sl_generation_due(gen);

		if (other && (!due || other < due))
			due = other;
	}
	if (!due)
		return -1;
	return due <= now ? 0 : (int)((due - now) / 1000 + 1);
}

static void wait_for_events(struct supervisor *sup)
{
	struct pollfd fds[FDS_MAX];
	unsigned count = 1;

	fds[0] = (struct pollfd){ .fd = sup->signals, .events = POLLIN };
	for (struct sl_generation *gen = sup->generations; gen; gen = gen->next)
		for (struct sl_child *child = gen->children; child; child = child->next)
			if (child->fd >= 0 && !child->wants_reload && count < FDS_MAX)
				fds[count++] = (struct pollfd){ .fd = child->fd, .events = POLLIN };
	poll(fds, count, poll_timeout(sup));
}

static void stay_alive(struct supervisor *sup)
{
	if (!sup->alive_us || sl_now_us() < sup->alive_us)
		return;
	sl_notify_alive();
	sup->alive_us = sl_now_us() + sl_notify_interval_us();
}

static void consider_reload(struct supervisor *sup)
{
	struct sl_child *init = sup->current ? sl_generation_init_process(sup->current) : NULL;

	if (sup->next || !sup->current || sup->current->state != SL_GEN_SERVING)
		return;
	if (init && init->wants_reload)
		sup->asked_by_control = true;
	if (sup->asked_by_control || sup->reload_wanted)
		reload(sup);
}

static void turn(struct supervisor *sup)
{
	list_fds(sup);
	wait_for_events(sup);
	take_signals(sup);
	for (struct sl_generation *gen = sup->generations; gen; gen = gen->next) {
		list_fds(sup);
		sl_generation_tick(gen);
	}
	if (sup->next && sup->next->state == SL_GEN_SERVING)
		switch_over(sup);
	else if (sup->next && sup->next->state >= SL_GEN_FAILED)
		start_failed(sup);
	bury_dead(sup);
	stay_alive(sup);
}

static void run(struct supervisor *sup, void (*ready)(void *arg), void *arg)
{
	while (!sup->stopping) {
		bool first = !sup->current;

		turn(sup);
		if (first && sup->current && ready)
			ready(arg);
		if (!sup->stopping)
			consider_reload(sup);
	}
	sl_notify_stopping();
	if (sup->current)
		sl_log(LOG_NOTICE, "process", "stopping");
	atomic_store(&sup->metrics->stopping, true);
	/* the listening sockets go first: whoever comes now is refused at once, not left waiting */
	for (struct sl_generation *gen = sup->generations; gen; gen = gen->next) {
		sl_listeners_unref(&gen->listeners);
		sl_generation_retire(gen);
	}
	sup->next = NULL;
	while (sup->generations)
		turn(sup);
}

static int block_signals(void)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	return signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
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

int sl_supervise(struct sl_config *config, struct sl_listeners *listeners, int control_fd,
		 void (*ready)(void *arg), void *arg)
{
	struct supervisor sup = { .control_fd = control_fd, .signals = -1, .fds = { -1 } };

	draw_own_helo();
	sup.config_file = strdup(config->file);
	sup.metrics = sl_metrics_new();
	sup.signals = block_signals();
	if (!sup.config_file || !sup.metrics || sup.signals < 0) {
		sl_log(LOG_ERR, "process", "cannot start: %s", strerror(errno));
		return EX_OSERR;
	}
	atomic_store(&sup.metrics->log_level, log_options.verbose ? LOG_DEBUG : config->log.level);
	sl_log_share_level(&sup.metrics->log_level);
	if (sl_notify_interval_us())
		sup.alive_us = sl_now_us();
	add_generation(&sup, config, listeners);
	if (sup.generations)
		run(&sup, ready, arg);
	else
		sup.status = EX_OSERR;
	free(sup.config_file);
	close(sup.signals);
	return sup.status;
}
