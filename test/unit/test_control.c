#include "fake_clock.h"
#include "support.h"

#include "metrics/render.h"
#include "runtime/control.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#define SECOND 1000000

static struct sl_metrics *metrics;
static struct sl_metrics_row *row;
static struct sl_control *control;
static struct sockaddr_un addr = { .sun_family = AF_UNIX };
static int listen_fd;
static unsigned reloads;
static struct sl_buf reply;

static void ask_reload(void *arg)
{
	(*(unsigned *)arg)++;
}

static void begin(void)
{
	static const char *const callouts[SL_METRICS_CALLOUTS] = { "first" };
	static const char *const phases[SL_METRICS_PHASES] = { "connect", "ehlo", "mailfrom",
							       "rcptto",  "data", "eom",
							       "close" };

	sl_metrics_callout_names = callouts;
	sl_metrics_phase_names = phases;
	metrics = sl_metrics_new();
	row = sl_metrics_take_row(metrics, 1);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/control.sock", sup_dir());
	listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	cr_assert_eq(bind(listen_fd, (const void *)&addr, sizeof(addr)), 0, "%s", strerror(errno));
	cr_assert_eq(listen(listen_fd, 64), 0);
	control = sl_control_new(listen_fd, metrics, ask_reload, &reloads);
	cr_assert_not_null(control);
	signal(SIGPIPE, SIG_DFL); /* an answer to nobody must not end us */
}

static void end(void)
{
	sl_control_free(&control);
	close(listen_fd);
	munmap(metrics, sizeof(*metrics));
	sl_buf_deinit(&reply);
	sup_remove_dir();
}

TestSuite(control, .init = begin, .fini = end);

static int connect_client(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	cr_assert_eq(connect(fd, (const void *)&addr, sizeof(addr)), 0, "%s", strerror(errno));
	return fd;
}

static void say(int fd, const char *text)
{
	cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* What the process does on every turn; twice, as what is accepted is read on the next. */
static void serve(void)
{
	struct pollfd fds[SL_CONTROL_CLIENTS + 1];

	for (int i = 0; i < 2; i++) {
		unsigned count = sl_control_poll(control, fds);

		cr_assert_leq(count, COUNT(fds));
		poll(fds, count, 0);
		sl_control_serve(control);
	}
}

/* Takes what arrived; true when the connection was closed behind it. */
static bool closed(int fd)
{
	char data[4096];
	ssize_t n;

	while ((n = recv(fd, data, sizeof(data), MSG_DONTWAIT)) > 0)
		sl_buf_add(&reply, data, (size_t)n);
	return n == 0 || errno == ECONNRESET;
}

/* The whole answer, after which the connection must be closed. */
static const char *answer(int fd)
{
	sl_buf_clear(&reply);
	serve();
	cr_assert(closed(fd), "still open after '%s'", sl_buf_str(&reply));
	close(fd);
	return sl_buf_str(&reply);
}

static const char *ask(const char *text)
{
	int fd = connect_client();

	say(fd, text);
	return answer(fd);
}

static void assert_silent(int fd)
{
	sl_buf_clear(&reply);
	serve();
	cr_assert_not(closed(fd));
	sup_assert_str(sl_buf_str(&reply), "");
}

static void assert_json(const char *text, enum json_type type)
{
	json_object *root;

	cr_assert_eq(strncmp(text, "ok\n", 3), 0, "%s", text);
	root = json_tokener_parse(text + 3);
	cr_assert(json_object_is_type(root, type), "%s", text);
	json_object_put(root);
}

Test(control, stats_and_sessions_are_shown_as_text_and_json)
{
	sl_count(&row->messages);
	sup_assert_has(ask("1 stats\n"), "ok\nuptime ");
	sup_assert_has(ask("1 stats text\n"), "; messages 1\n");
	assert_json(ask("1 stats json\n"), json_type_object);
	sup_assert_str(ask("1 sessions\n"), "ok\n");
	sl_metrics_session_begin(row, "THEID", "192.0.2.1");
	sup_assert_has(ask("1 sessions\n"), "ok\nTHEID 192.0.2.1 phase connect age ");
	assert_json(ask("1 sessions json\n"), json_type_array);
}

Test(control, the_level_of_the_log_is_shown_and_set)
{
	static const char *const levels[] = { "emerg",	 "alert",  "crit", "err",
					      "warning", "notice", "info", "debug" };

	sup_assert_str(ask("1 loglevel\n"), "ok\ninfo\n");
	for (unsigned i = 0; i < COUNT(levels); i++) {
		struct sl_buf line = SL_BUF_ZERO;

		sl_buf_printf(&line, "1 loglevel %s\n", levels[i]);
		sup_assert_has(ask(sl_buf_str(&line)), levels[i]);
		cr_assert_eq(atomic_load(&metrics->log_level), i);
		sl_buf_deinit(&line);
	}
	sup_assert_has(ask("1 loglevel loud\n"), "error\nno such level; ");
	sup_assert_str(ask("1 loglevel\n"), "ok\ndebug\n");
}

Test(control, what_is_no_command_is_an_error)
{
	static const char *const rows[][2] = {
		{ "\n", "error\nnot understood: VERSION COMMAND [ARGUMENT]\n" },
		{ "stats\n", "error\nnot understood: VERSION COMMAND [ARGUMENT]\n" },
		{ "1\n", "error\nnot understood: VERSION COMMAND [ARGUMENT]\n" },
		{ "x stats\n", "error\nnot understood: VERSION COMMAND [ARGUMENT]\n" },
		{ "1\nstats\n", "error\nnot understood: VERSION COMMAND [ARGUMENT]\n" },
		{ "0 stats\n", "error\nthis daemon speaks version 1\n" },
		{ "2 stats\n", "error\nthis daemon speaks version 1\n" },
		{ "-1 stats\n", "error\nthis daemon speaks version 1\n" },
		{ "99999999999999999999 stats\n", "error\nthis daemon speaks version 1\n" },
		{ "1 nosuch\n", "error\nno command 'nosuch'\n" },
		{ "1 stat\n", "error\nno command 'stat'\n" },
		{ "1 statss\n", "error\nno command 'statss'\n" },
		{ "1 STATS\n", "error\nno command 'STATS'\n" },
		{ "1 %s%n%d\n", "error\nno command '%s%n%d'\n" },
		{ "1 0123456789012345678901234567890123456789\n",
		  "error\nno command '0123456789012345678901234567890'\n" },
	};

	for (unsigned i = 0; i < COUNT(rows); i++)
		sup_assert_str(ask(rows[i][0]), rows[i][1]);
	cr_assert_eq(reloads, 0);
}

Test(control, a_line_may_be_as_long_as_it_may)
{
	char line[400] = "1 nosuch ";

	memset(line + 9, 'x', sizeof(line) - 10);
	line[254] = '\n';
	line[255] = '\0';
	sup_assert_str(ask(line), "error\nno command 'nosuch'\n");
	line[254] = 'x';
	sup_assert_str(ask(line), "error\nthe line is too long\n");
	line[255] = 'x';
	line[399] = '\0';
	sup_assert_str(ask(line), "error\nthe line is too long\n");
}

Test(control, nul_bytes_are_no_line_end)
{
	char line[255] = "1 loglevel debug";
	int fd = connect_client();

	line[100] = '\n';
	cr_assert_eq(write(fd, line, sizeof(line)), (ssize_t)sizeof(line));
	sup_assert_str(answer(fd), "error\nthe line is too long\n");
	cr_assert_eq(atomic_load(&metrics->log_level), LOG_INFO);
}

Test(control, a_line_may_come_in_pieces)
{
	static const char *const pieces[] = { "1", " log", "level ", "cr", "it" };
	int fd = connect_client();

	for (unsigned i = 0; i < COUNT(pieces); i++) {
		say(fd, pieces[i]);
		assert_silent(fd);
	}
	say(fd, "\n");
	sup_assert_str(answer(fd), "ok\ncrit\n");
}

Test(control, only_the_first_line_counts)
{
	sup_assert_str(ask("1 loglevel\ndebug\n"), "ok\ninfo\n");
	sup_assert_str(ask("1 loglevel\n1 loglevel debug\n"), "ok\ninfo\n");
	sup_assert_str(ask("1 loglevel\r\n"), "ok\ninfo\n");
	cr_assert_eq(atomic_load(&metrics->log_level), LOG_INFO);
}

Test(control, a_client_that_leaves_is_forgotten)
{
	for (int i = 0; i < 3 * SL_CONTROL_CLIENTS; i++) {
		int fd = connect_client();

		if (i % 2)
			say(fd, "1 stat");
		serve();
		close(fd);
		serve();
	}
	sup_assert_str(ask("1 loglevel\n"), "ok\ninfo\n");
}

Test(control, a_client_that_does_not_read_harms_nobody)
{
	for (unsigned i = 0; i < SL_METRICS_SESSIONS; i++)
		sl_metrics_session_begin(row, "0123456789abcdefghijklmnopq", "192.0.2.1");
	for (int i = 0; i < 3; i++) {
		int fd = connect_client();

		say(fd, "1 sessions json\n");
		close(fd);
		serve();
	}
	sup_assert_str(ask("1 loglevel\n"), "ok\ninfo\n");
}

Test(control, a_reload_is_answered_when_it_is_over)
{
	int first = connect_client();
	int second = connect_client();

	say(first, "1 reload\n");
	assert_silent(first);
	cr_assert_eq(reloads, 1);
	/* others are served meanwhile, and another one may wait too */
	sup_assert_str(ask("1 loglevel\n"), "ok\ninfo\n");
	say(second, "1 reload\n");
	assert_silent(second);
	/* it has asked already, and has all the time it needs */
	say(first, "1 loglevel debug\n1 reload\n");
	fake_clock_advance(3600 * (int64_t)SECOND);
	assert_silent(first);
	cr_assert_eq(reloads, 2);
	cr_assert_eq(atomic_load(&metrics->log_level), LOG_INFO);
	sl_control_reloaded(control, true, "");
	sup_assert_str(answer(first), "ok\nreloaded\n");
	sup_assert_str(answer(second), "ok\nreloaded\n");
	sl_control_reloaded(control, true, ""); /* nobody waits */
}

Test(control, a_failed_reload_tells_the_faults)
{
	int fd = connect_client();
	int idle = connect_client();

	say(fd, "1 reload\n");
	assert_silent(fd);
	sl_control_reloaded(control, false, "a.conf:3: one\nb.lua:4: two\n");
	sup_assert_str(answer(fd), "error\na.conf:3: one\nb.lua:4: two\n");
	assert_silent(idle); /* it did not ask */
	close(idle);
}

Test(control, who_waits_for_a_reload_may_leave)
{
	int fd = connect_client();

	say(fd, "1 reload\n");
	serve();
	close(fd);
	serve();
	sl_control_reloaded(control, true, "");
	sup_assert_str(ask("1 loglevel\n"), "ok\ninfo\n");
}

Test(control, a_silent_client_is_dropped_in_the_end)
{
	int silent = connect_client();
	int slow = connect_client();

	serve();
	fake_clock_advance(4 * SECOND);
	say(slow, "1 logl");
	assert_silent(silent);
	assert_silent(slow);
	fake_clock_advance(2 * SECOND);
	sup_assert_str(answer(silent), "");
	/* a word now and then keeps nobody */
	sup_assert_str(answer(slow), "");
}

Test(control, many_silent_clients_keep_others_out_for_a_while_only)
{
	int silent[SL_CONTROL_CLIENTS];
	int fd;

	for (unsigned i = 0; i < COUNT(silent); i++)
		silent[i] = connect_client();
	serve();
	fd = connect_client();
	say(fd, "1 loglevel\n");
	assert_silent(fd);
	fake_clock_advance(6 * SECOND);
	serve();
	sup_assert_str(answer(fd), "ok\ninfo\n");
	for (unsigned i = 0; i < COUNT(silent); i++) {
		cr_assert(closed(silent[i]));
		close(silent[i]);
	}
}

Test(control, many_clients_are_all_answered)
{
	int fds[3 * SL_CONTROL_CLIENTS];

	for (unsigned i = 0; i < COUNT(fds); i++) {
		fds[i] = connect_client();
		say(fds[i], i % 2 ? "1 stats json\n" : "1 nosuch\n");
	}
	for (unsigned i = 0; i < COUNT(fds); i++)
		serve();
	for (unsigned i = 0; i < COUNT(fds); i++)
		sup_assert_has(answer(fds[i]), i % 2 ? "ok\n{" : "error\n");
}

Test(control, who_retires_answers_those_who_wait_and_nobody_else)
{
	int waiting = connect_client();
	int late;

	say(waiting, "1 reload\n");
	serve();
	sl_control_retire(control);
	late = connect_client();
	say(late, "1 stats\n");
	assert_silent(late);
	sl_control_reloaded(control, true, "");
	sup_assert_str(answer(waiting), "ok\nreloaded\n");
	close(late);
}
