#include "tool/client.h"

#include "config/config.h"
#include "runtime/control.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

struct verb {
	const char *name;
	const char *argument; /* "" or what the usage shows */
	bool json;
	const char *summary;
};

static void usage(FILE *out, const struct verb *verb)
{
	fprintf(out,
		"usage: scriptlet %s [-c FILE | --socket PATH]%s%s%s\n"
		"\n"
		"%s\n"
		"\n"
		"  -c, --config FILE  whose run_dir has the control socket\n"
		"                     (default " SL_CONFIG_FILE ")\n"
		"  --socket PATH      the control socket itself\n"
		"%s"
		"\n"
		"Exit status: 0 done, 1 refused by the daemon, 64 usage, 69 no daemon answers,\n"
		"78 configuration.\n",
		verb->name, verb->json ? " [--json]" : "", *verb->argument ? " " : "",
		verb->argument, verb->summary,
		verb->json ? "  --json             one JSON document instead of text\n" : "");
}

struct request {
	const char *config_file;
	const char *socket;
	bool json;
	const char *argument;
};

/* -1 to go on, else the exit status. */
static int parse(const struct verb *verb, int argc, char **argv, struct request *request)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "socket", required_argument, NULL, 's' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int id;

	while ((id = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		if (id == 'h') {
			usage(stdout, verb);
			return EX_OK;
		}
		if (id == 'c') {
			request->config_file = optarg;
		} else if (id == 's') {
			request->socket = optarg;
		} else if (id == 'j' && verb->json) {
			request->json = true;
		} else {
			usage(stderr, verb);
			return EX_USAGE;
		}
	}
	if (optind < argc && *verb->argument)
		request->argument = argv[optind++];
	if (optind < argc) {
		usage(stderr, verb);
		return EX_USAGE;
	}
	return -1;
}

static int find_socket(const struct request *request, struct sockaddr_un *addr)
{
	struct sl_faults faults = { 0 };
	struct sl_config *config;
	int status = EX_OK;

	if (request->socket) {
		snprintf(addr->sun_path, sizeof(addr->sun_path), "%s", request->socket);
		return EX_OK;
	}
	config = sl_config_load(request->config_file, &faults);
	for (unsigned i = 0; i < faults.count; i++)
		fprintf(stderr, "%s\n", faults.list[i].text);
	/* a fault elsewhere does not hide where the daemon is, and may be why one asks */
	if (!config || !config->run_dir)
		status = EX_CONFIG;
	else
		snprintf(addr->sun_path, sizeof(addr->sun_path), "%s/control.sock",
			 config->run_dir);
	sl_faults_deinit(&faults);
	sl_config_free(&config);
	return status;
}

/* The first line says how it went, the rest is for whoever asked. */
static int show_answer(FILE *in)
{
	char line[4096];
	bool ok;

	if (!fgets(line, sizeof(line), in)) {
		fputs("scriptlet: the daemon closed the connection without an answer\n", stderr);
		return EX_UNAVAILABLE;
	}
	ok = strcmp(line, "ok\n") == 0;
	while (fgets(line, sizeof(line), in))
		fputs(line, ok ? stdout : stderr);
	return ok ? EX_OK : 1;
}

static int ask(const struct verb *verb, int argc, char **argv)
{
	struct request request = { .config_file = SL_CONFIG_FILE, .argument = "" };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int status = parse(verb, argc, argv, &request);
	FILE *stream;
	int fd;

	if (status >= 0)
		return status;
	status = find_socket(&request, &addr);
	if (status)
		return status;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const void *)&addr, sizeof(addr)) < 0) {
		fprintf(stderr, "scriptlet: no daemon answers at %s: %s\n", addr.sun_path,
			strerror(errno));
		if (fd >= 0)
			close(fd);
		return EX_UNAVAILABLE;
	}
	stream = fdopen(fd, "r+");
	if (!stream) {
		close(fd);
		return EX_OSERR;
	}
	fprintf(stream, "%d %s %s\n", SL_CONTROL_VERSION, verb->name,
		request.json ? "json" : request.argument);
	fflush(stream);
	status = show_answer(stream);
	fclose(stream);
	return status;
}

int sl_tool_reload(int argc, char **argv)
{
	static const struct verb verb = {
		"reload", "", false,
		"Loads configuration and scripts anew; waits until they serve, or shows why not."
	};

	return ask(&verb, argc, argv);
}

int sl_tool_stats(int argc, char **argv)
{
	static const struct verb verb = { "stats", "", true, "Shows what the daemon has counted." };

	return ask(&verb, argc, argv);
}

int sl_tool_sessions(int argc, char **argv)
{
	static const struct verb verb = { "sessions", "", true,
					  "Shows the sessions of this moment." };

	return ask(&verb, argc, argv);
}

int sl_tool_loglevel(int argc, char **argv)
{
	static const struct verb verb = { "loglevel", "[LEVEL]", false,
					  "Shows the level of the log, or sets it until the next "
					  "reload." };

	return ask(&verb, argc, argv);
}
