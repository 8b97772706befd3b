#define _GNU_SOURCE /* accept4 */
#include "runtime/control.h"

#include "base/clock.h"
#include "base/log.h"
#include "metrics/render.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A client that says nothing for so long is dropped; one that waits for a reload is not. */
#define CLIENT_TIMEOUT_US 5000000
#define LINE_MAX_BYTES 256

struct client {
	int fd; /* -1: free */
	char line[LINE_MAX_BYTES];
	size_t len;
	int64_t until_us;
	bool waits_for_reload;
};

struct sl_control {
	int listen_fd; /* -1: retired */
	struct sl_metrics *metrics;
	void (*ask_reload)(void *arg);
	void *arg;
	struct client clients[SL_CONTROL_CLIENTS];
};

struct sl_control *sl_control_new(int listen_fd, struct sl_metrics *metrics,
				  void (*ask_reload)(void *arg), void *arg)
{
	struct sl_control *control = calloc(1, sizeof(*control));

	if (!control)
		return NULL;
	control->listen_fd = listen_fd;
	control->metrics = metrics;
	control->ask_reload = ask_reload;
	control->arg = arg;
	for (unsigned i = 0; i < SL_CONTROL_CLIENTS; i++)
		control->clients[i].fd = -1;
	return control;
}

static void drop(struct client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	*client = (struct client){ .fd = -1 };
}

void sl_control_free(struct sl_control **control)
{
	if (!*control)
		return;
	for (unsigned i = 0; i < SL_CONTROL_CLIENTS; i++)
		drop(&(*control)->clients[i]);
	free(*control);
	*control = NULL;
}

/* Answers fit into the socket's buffer but for huge session lists, which get a moment each. */
static void send_text(int fd, const char *data, size_t len)
{
	int64_t until = sl_now_us() + 1000000;

	while (len > 0 && sl_now_us() < until) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		struct pollfd pfd = { .fd = fd, .events = POLLOUT };

		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			poll(&pfd, 1, 100);
			continue;
		}
		if (n <= 0)
			return;
		data += n;
		len -= (size_t)n;
	}
}

static void answer(struct client *client, bool ok, const char *text)
{
	send_text(client->fd, ok ? "ok\n" : "error\n", ok ? 3 : 6);
	send_text(client->fd, text, strlen(text));
	drop(client);
}

static void do_reload(struct sl_control *control, struct client *client, const char *arg)
{
	(void)arg;
	client->waits_for_reload = true;
	control->ask_reload(control->arg);
}

static void render(struct sl_control *control, struct client *client, const char *arg,
		   int (*fn)(const struct sl_metrics *metrics, bool json, struct sl_buf *out))
{
	struct sl_buf out = SL_BUF_ZERO;

	if (fn(control->metrics, strcmp(arg, "json") == 0, &out) < 0)
		answer(client, false, "out of memory\n");
	else
		answer(client, true, sl_buf_str(&out));
	sl_buf_deinit(&out);
}

static void do_stats(struct sl_control *control, struct client *client, const char *arg)
{
	render(control, client, arg, sl_metrics_stats);
}

static void do_sessions(struct sl_control *control, struct client *client, const char *arg)
{
	render(control, client, arg, sl_metrics_sessions);
}

static void do_loglevel(struct sl_control *control, struct client *client, const char *arg)
{
	char text[64];
	int level = *arg ? sl_log_level_by_name(arg) : atomic_load(&control->metrics->log_level);

	if (level < 0) {
		answer(client, false,
		       "no such level; emerg, alert, crit, err, warning, notice, "
		       "info or debug\n");
		return;
	}
	atomic_store(&control->metrics->log_level, level);
	snprintf(text, sizeof(text), "%s\n", sl_log_level_name(level));
	answer(client, true, text);
}

static const struct command {
	const char *name;
	void (*run)(struct sl_control *control, struct client *client, const char *arg);
} commands[] = {
	{ "reload", do_reload },
	{ "stats", do_stats },
	{ "sessions", do_sessions },
	{ "loglevel", do_loglevel },
};

static void run_line(struct sl_control *control, struct client *client)
{
	char name[32] = "";
	char arg[64] = "";
	char text[64];
	int version = 0;

	if (sscanf(client->line, "%d %31s %63s", &version, name, arg) < 2) {
		answer(client, false, "not understood: VERSION COMMAND [ARGUMENT]\n");
		return;
	}
	if (version != SL_CONTROL_VERSION) {
		snprintf(text, sizeof(text), "this daemon speaks version %d\n", SL_CONTROL_VERSION);
		answer(client, false, text);
		return;
	}
	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, name) == 0) {
			commands[i].run(control, client, arg);
			return;
		}
	}
	snprintf(text, sizeof(text), "no command '%s'\n", name);
	answer(client, false, text);
}

static void read_client(struct sl_control *control, struct client *client)
{
	ssize_t n = recv(client->fd, client->line + client->len,
			 sizeof(client->line) - 1 - client->len, MSG_DONTWAIT);
	char *line_end;

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		if (!client->waits_for_reload && sl_now_us() > client->until_us)
			drop(client);
		return;
	}
	if (n <= 0) {
		drop(client);
		return;
	}
	client->len += (size_t)n;
	client->line[client->len] = '\0';
	line_end = strchr(client->line, '\n');
	if (client->waits_for_reload) {
		client->len = 0; /* whatever it says, it has asked already */
	} else if (line_end) {
		*line_end = '\0';
		run_line(control, client);
	} else if (client->len == sizeof(client->line) - 1) {
		answer(client, false, "the line is too long\n");
	}
}

static void accept_clients(struct sl_control *control)
{
	for (unsigned i = 0; i < SL_CONTROL_CLIENTS && control->listen_fd >= 0; i++) {
		struct client *client = &control->clients[i];

		if (client->fd >= 0)
			continue;
		client->fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (client->fd < 0)
			return;
		client->until_us = sl_now_us() + CLIENT_TIMEOUT_US;
	}
}

unsigned sl_control_poll(struct sl_control *control, struct pollfd *fds)
{
	unsigned count = 0;
	bool room = false;

	for (unsigned i = 0; i < SL_CONTROL_CLIENTS; i++) {
		if (control->clients[i].fd < 0)
			room = true;
		else
			fds[count++] = (struct pollfd){ .fd = control->clients[i].fd,
							.events = POLLIN };
	}
	if (room && control->listen_fd >= 0)
		fds[count++] = (struct pollfd){ .fd = control->listen_fd, .events = POLLIN };
	return count;
}

void sl_control_serve(struct sl_control *control)
{
	accept_clients(control);
	for (unsigned i = 0; i < SL_CONTROL_CLIENTS; i++)
		if (control->clients[i].fd >= 0)
			read_client(control, &control->clients[i]);
}

void sl_control_reloaded(struct sl_control *control, bool ok, const char *faults)
{
	for (unsigned i = 0; i < SL_CONTROL_CLIENTS; i++)
		if (control->clients[i].fd >= 0 && control->clients[i].waits_for_reload)
			answer(&control->clients[i], ok, ok ? "reloaded\n" : faults);
}

void sl_control_retire(struct sl_control *control)
{
	control->listen_fd = -1;
}
