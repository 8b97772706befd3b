/* scriptletd: the daemon. Options, configuration, privileges; the rest is process/. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "callout/engine.h"
#include "config/config.h"
#include "lua/guard.h"
#include "lua/loader.h"
#include "mail/text.h"
#include "process/listen.h"
#include "process/privileges.h"
#include "process/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

struct options {
	const char *config_file;
	bool foreground;
	bool test;
	bool strict;
	bool verbose;
};

static void usage(FILE *out)
{
	fputs("usage: scriptletd [-c FILE] [-f] [-t [--strict]] [-v] [-V]\n"
	      "\n"
	      "A milter that runs Lua scriptlets on every SMTP phase of Postfix or Sendmail.\n"
	      "\n"
	      "  -c, --config FILE  configuration (default " SL_CONFIG_FILE ")\n"
	      "  -f, --foreground   stay in the foreground, log to standard error\n"
	      "  -t, --test         check configuration and scripts, run nothing\n"
	      "      --strict       with -t: warnings are errors\n"
	      "  -v, --verbose      log at level debug\n"
	      "  -V, --version      show the version\n"
	      "  -h, --help         show this\n"
	      "\n"
	      "Exit status: 0 after an orderly stop, 64 usage, 71 a socket, process or right that\n"
	      "could not be had, 78 a fault in configuration or scripts.\n",
	      out);
}

/* Returns -1 to go on, else the exit status. */
static int parse_options(int argc, char **argv, struct options *options)
{
	static const struct option long_options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "foreground", no_argument, NULL, 'f' },
		{ "test", no_argument, NULL, 't' },
		{ "strict", no_argument, NULL, 's' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int id;

	while ((id = getopt_long(argc, argv, "c:ftvVh", long_options, NULL)) != -1) {
		switch (id) {
		case 'c':
			options->config_file = optarg;
			break;
		case 'f':
			options->foreground = true;
			break;
		case 't':
			options->test = true;
			break;
		case 's':
			options->strict = true;
			break;
		case 'v':
			options->verbose = true;
			break;
		case 'V':
			puts("scriptletd " SL_VERSION);
			return EX_OK;
		case 'h':
			usage(stdout);
			return EX_OK;
		default:
			fputs("try 'scriptletd --help'\n", stderr);
			return EX_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "scriptletd: unexpected argument '%s'\n", argv[optind]);
		return EX_USAGE;
	}
	return -1;
}

static void print_faults(const struct sl_faults *faults)
{
	for (unsigned i = 0; i < faults->count; i++)
		fprintf(stderr, "%s%s\n", faults->list[i].warning ? "warning: " : "",
			faults->list[i].text);
}

/* Everything but running, also behind a fault of the configuration, so that all are seen. What
 * scripts print while they load goes to standard error. */
static int test_configuration(struct sl_config *config, const struct options *options,
			      struct sl_faults *faults)
{
	struct sl_state *state;

	if (options->strict)
		config->scriptlet.strict = true;
	sl_mail_init();
	sl_guard_start(NULL);
	sl_scripts_read(config, faults);
	state = sl_engine_load_state(config, faults);
	print_faults(faults);
	sl_state_free(&state);
	sl_guard_stop();
	return faults->errors ? EX_CONFIG : EX_OK;
}

static int fail(const struct sl_err *err)
{
	fprintf(stderr, "scriptletd: %s\n", err->text);
	return EX_OSERR;
}

/* Leaves the terminal. The process that was started waits until the daemon serves and exits with
 * its status; returns the daemon's end of the pipe, or -1 when it is not the daemon. */
static int daemonize(int *status_r)
{
	int pipe_fds[2];
	unsigned char status = EX_OSERR;
	int null;
	pid_t pid;

	*status_r = EX_OSERR;
	if (pipe(pipe_fds) < 0)
		return -1;
	pid = fork();
	if (pid != 0) {
		close(pipe_fds[1]);
		if (pid > 0 && read(pipe_fds[0], &status, 1) == 1)
			*status_r = status;
		return -1;
	}
	close(pipe_fds[0]);
	fcntl(pipe_fds[1], F_SETFD, FD_CLOEXEC);
	setsid();
	if (chdir("/") < 0)
		return -1;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
	}
	return pipe_fds[1];
}

static void tell_parent(int fd, int status)
{
	unsigned char byte = (unsigned char)status;

	if (write(fd, &byte, 1) < 0)
		sl_log(LOG_WARNING, "process", "cannot tell the starting process: %s",
		       strerror(errno));
}

static void write_pid_file(const char *run_dir)
{
	char path[4096 + 32];
	FILE *file;

	snprintf(path, sizeof(path), "%s/scriptletd.pid", run_dir);
	file = fopen(path, "we");
	if (!file || fprintf(file, "%ld\n", (long)getpid()) < 0)
		sl_log(LOG_WARNING, "process", "cannot write %s: %s", path, strerror(errno));
	if (file)
		fclose(file);
}

static void remove_pid_file(const char *run_dir)
{
	char path[4096 + 32];

	snprintf(path, sizeof(path), "%s/scriptletd.pid", run_dir);
	unlink(path);
}

struct daemon {
	const char *run_dir;
	int pipe_fd;
};

static void daemon_ready(void *arg)
{
	struct daemon *daemon = arg;

	write_pid_file(daemon->run_dir);
	tell_parent(daemon->pipe_fd, EX_OK);
}

/* The daemon itself, once the sockets are open; takes over config and listeners. */
static int supervise(struct sl_config *config, struct sl_listeners *listeners, int control_fd,
		     const char *run_dir, bool foreground)
{
	struct daemon daemon = { .run_dir = run_dir };
	int status;

	if (foreground)
		return sl_supervise(config, listeners, control_fd, NULL, NULL);
	daemon.pipe_fd = daemonize(&status);
	if (daemon.pipe_fd < 0)
		_exit(status); /* the sockets are the daemon's now */
	status = sl_supervise(config, listeners, control_fd, daemon_ready, &daemon);
	if (status)
		tell_parent(daemon.pipe_fd, status);
	remove_pid_file(run_dir);
	return status;
}

static int serve(struct sl_config *config, const struct options *options)
{
	struct sl_listeners *listeners = NULL;
	struct sl_faults faults = { 0 };
	struct sl_err err;
	char run_dir[4096];
	int control_fd = -1;
	int status;

	snprintf(run_dir, sizeof(run_dir), "%s", config->run_dir); /* the configuration may go */
	sl_supervisor_log_options(options->foreground, options->verbose);
	sl_scripts_read(config, &faults);
	if (faults.errors) {
		status = test_configuration(config, options, &faults);
		sl_faults_deinit(&faults);
		sl_config_free(&config);
		return status;
	}
	if (sl_privileges_make_dirs(config, &err) < 0 ||
	    sl_listeners_open(&listeners, config, NULL, &err) < 0 ||
	    (control_fd = sl_control_open(config, &err)) < 0 ||
	    sl_privileges_drop(config, &err) < 0 || sl_privileges_check_dirs(config, &err) < 0 ||
	    sl_supervisor_open_log(config, &err) < 0) {
		if (control_fd >= 0)
			sl_control_remove(run_dir);
		sl_listeners_unref(&listeners);
		sl_config_free(&config);
		return fail(&err);
	}
	status = supervise(config, listeners, control_fd, run_dir, options->foreground);
	close(control_fd);
	sl_control_remove(run_dir);
	sl_log_close();
	return status;
}

/* The daemon leaves this directory, but reads the file again at a reload. */
static struct sl_config *load(const struct options *options, struct sl_faults *faults)
{
	bool leaves = !options->foreground && !options->test;
	char *path = leaves ? realpath(options->config_file, NULL) : NULL;
	struct sl_config *config = sl_config_load(path ? path : options->config_file, faults);

	free(path);
	return config;
}

int main(int argc, char **argv)
{
	struct options options = { .config_file = SL_CONFIG_FILE };
	struct sl_faults faults = { 0 };
	struct sl_config *config;
	int status = parse_options(argc, argv, &options);

	if (status >= 0)
		return status;
	config = load(&options, &faults);
	if (!config) {
		fputs("scriptletd: out of memory\n", stderr);
		return EX_OSERR;
	}
	if (options.test) {
		status = test_configuration(config, &options, &faults);
	} else if (faults.errors) {
		print_faults(&faults);
		status = EX_CONFIG;
	} else {
		sl_faults_deinit(&faults);
		return serve(config, &options);
	}
	sl_faults_deinit(&faults);
	sl_config_free(&config);
	return status;
}
