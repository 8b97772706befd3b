/* `scriptlet simulate`: the command line of the simulator. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "simulator/simulator.h"

#include "lua/guard.h"
#include "lua/loader.h"
#include "mail/text.h"
#include "runtime/init.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct options {
	const char *config_file;
	struct sl_strings scripts; /* NAME=FILE */
	struct sl_strings rcpts;
	struct sl_strings macros;
	const char *client_addr;
	const char *client_name;
	const char *helo;
	const char *from;
	const char *eml;
	bool json;
};

enum option_id {
	OPT_SCRIPT = 256,
	OPT_CLIENT_ADDR,
	OPT_CLIENT_NAME,
	OPT_HELO,
	OPT_FROM,
	OPT_RCPT,
	OPT_MACRO,
	OPT_EML,
	OPT_JSON,
};

static const struct option long_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "script", required_argument, NULL, OPT_SCRIPT },
	{ "client-addr", required_argument, NULL, OPT_CLIENT_ADDR },
	{ "client-name", required_argument, NULL, OPT_CLIENT_NAME },
	{ "helo", required_argument, NULL, OPT_HELO },
	{ "from", required_argument, NULL, OPT_FROM },
	{ "rcpt", required_argument, NULL, OPT_RCPT },
	{ "macro", required_argument, NULL, OPT_MACRO },
	{ "eml", required_argument, NULL, OPT_EML },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static void usage(FILE *out)
{
	fputs("usage: scriptlet simulate [-c FILE | --script NAME=FILE.lua ...]\n"
	      "           [--client-addr A] [--client-name N] [--helo H] [--from A]\n"
	      "           [--rcpt A ...] [--macro NAME=VALUE ...] [--eml FILE|-] [--json]\n"
	      "\n"
	      "Runs one SMTP session through the scripts, without an MTA, and shows what every\n"
	      "callout did. What is not given has an example value.\n"
	      "\n"
	      "  -c, --config FILE     scripts of this configuration\n"
	      "                        (default " SL_CONFIG_FILE ")\n"
	      "  --script NAME=FILE    this script instead, as if a stanza named it; repeatable\n"
	      "  --client-addr A       address of the client (127.0.0.1)\n"
	      "  --client-name N       its name (localhost, or [A] for another address)\n"
	      "  --helo H              its EHLO argument (localhost)\n"
	      "  --from A              envelope sender, \"\" for the null sender\n"
	      "  --rcpt A              envelope recipient; repeatable\n"
	      "  --macro NAME=VALUE    an MTA macro, such as {auth_authen}=alice; repeatable\n"
	      "  --eml FILE|-          the message; - reads standard input\n"
	      "  --json                one JSON object instead of text\n"
	      "\n"
	      "Exit status: 0 accepted, 1 rejected, 2 deferred, 3 discarded, 64 usage,\n"
	      "66 no such message file, 78 configuration or script.\n",
	      out);
}

static int complain(const char *fmt, const char *what)
{
	fputs("scriptlet simulate: ", stderr);
	fprintf(stderr, fmt, what);
	fputs("\ntry 'scriptlet simulate --help'\n", stderr);
	return EX_USAGE;
}

static int add(struct sl_strings *list, const char *text)
{
	if (sl_strings_add(list, text) == 0)
		return 0;
	fputs("scriptlet simulate: out of memory\n", stderr);
	return EX_OSERR;
}

/* Takes one option; 0, or an exit status. */
static int take_option(struct options *options, int id)
{
	switch (id) {
	case 'c':
		options->config_file = optarg;
		return 0;
	case OPT_SCRIPT:
		if (!strchr(optarg, '=') || optarg[0] == '=' || !strchr(optarg, '=')[1])
			return complain("--script takes NAME=FILE, not '%s'", optarg);
		return add(&options->scripts, optarg);
	case OPT_CLIENT_ADDR:
		options->client_addr = optarg;
		return 0;
	case OPT_CLIENT_NAME:
		options->client_name = optarg;
		return 0;
	case OPT_HELO:
		options->helo = optarg;
		return 0;
	case OPT_FROM:
		options->from = optarg;
		return 0;
	case OPT_RCPT:
		return add(&options->rcpts, optarg);
	case OPT_MACRO:
		if (!strchr(optarg, '=') || optarg[0] == '=')
			return complain("--macro takes NAME=VALUE, not '%s'", optarg);
		return add(&options->macros, optarg);
	case OPT_EML:
		options->eml = optarg;
		return 0;
	case OPT_JSON:
		options->json = true;
		return 0;
	default:
		fputs("try 'scriptlet simulate --help'\n", stderr);
		return EX_USAGE;
	}
}

static int parse_options(int argc, char **argv, struct options *options)
{
	int id;

	while ((id = getopt_long(argc, argv, "c:h", long_options, NULL)) != -1) {
		int status;

		if (id == 'h') {
			usage(stdout);
			return -1;
		}
		status = take_option(options, id);
		if (status)
			return status;
	}
	if (optind < argc)
		return complain("unexpected argument '%s'", argv[optind]);
	if (options->config_file && options->scripts.count)
		return complain("%s", "-c and --script exclude each other");
	return 0;
}

static void print_faults(const struct sl_faults *faults)
{
	for (unsigned i = 0; i < faults->count; i++)
		fprintf(stderr, "%s%s\n", faults->list[i].warning ? "warning: " : "",
			faults->list[i].text);
}

/* A configuration of the scripts on the command line; relative names are of this directory. */
static struct sl_config *config_of_scripts(const struct options *options)
{
	struct sl_config *config = sl_config_new();

	for (unsigned i = 0; config && i < options->scripts.count; i++) {
		const char *given = options->scripts.list[i];
		const char *file = strchr(given, '=') + 1;
		char *name = strndup(given, (size_t)(file - 1 - given));
		char *path = realpath(file, NULL);
		int rc = !name ? -ENOMEM : sl_config_add_script(config, name, path ? path : file);

		free(name);
		free(path);
		if (rc < 0)
			sl_config_free(&config);
	}
	return config;
}

static const char *default_name(const char *addr, char *buf, size_t size)
{
	if (strcmp(addr, "127.0.0.1") == 0 || strcmp(addr, "::1") == 0)
		return "localhost";
	snprintf(buf, size, "[%s]", addr);
	return buf;
}

static int exit_status(const struct sl_sim_report *report)
{
	static const int statuses[] = {
		[SL_CONTINUE] = 0, [SL_ACCEPT] = 0,  [SL_REJECT] = 1,
		[SL_TEMPFAIL] = 2, [SL_DISCARD] = 3,
	};

	return statuses[report->result.action];
}

static void simulate(const struct options *options, struct sl_engine *engine,
		     const struct sl_eml *eml, struct sl_sim_report *report)
{
	static const char *const example_rcpt[] = { "recipient@example.org" };
	char name[128];
	struct sl_sim_input input = {
		.client_addr = options->client_addr,
		.client_name = options->client_name
				       ? options->client_name
				       : default_name(options->client_addr, name, sizeof(name)),
		.helo = options->helo,
		.from = options->from,
		.rcpts = options->rcpts.count ? (const char *const *)options->rcpts.list
					      : example_rcpt,
		.rcpt_count = options->rcpts.count ? options->rcpts.count : 1,
		.macros = (const char *const *)options->macros.list,
		.macro_count = options->macros.count,
		.eml = eml,
	};

	sl_simulate(engine, &input, report);
}

static int show(const struct options *options, const struct sl_sim_report *report)
{
	if (report->out_of_memory || (options->json && sl_sim_print_json(report) < 0)) {
		fputs("scriptlet simulate: out of memory\n", stderr);
		return EX_OSERR;
	}
	if (!options->json)
		sl_sim_print(report);
	return exit_status(report);
}

/* init() runs as in the daemon: in a state of its own, and a failure refuses the configuration. */
static int run(const struct options *options, struct sl_config *config, const struct sl_eml *eml,
	       struct sl_faults *faults)
{
	struct sl_sim_report report = { 0 };
	struct sl_faults again = { 0 }; /* warnings were given for the first state */
	struct sl_engine *engine = NULL;
	struct sl_state *init;
	int status = EX_CONFIG;

	sl_sim_watch_log(&report);
	sl_guard_start(NULL);
	sl_scripts_read(config, faults);
	init = sl_engine_load_state(config, faults);
	print_faults(faults);
	if (init && sl_init_run(init, &again)) {
		engine = sl_engine_new(config, 1, &again);
		if (engine) {
			simulate(options, engine, eml, &report);
			status = EX_OK;
		}
		sl_engine_free(&engine);
		sl_init_undo(init);
	}
	if (again.errors)
		print_faults(&again);
	sl_faults_deinit(&again);
	sl_state_free(&init);
	sl_guard_stop();
	sl_log_close();
	if (status == EX_OK)
		status = show(options, &report);
	sl_sim_report_deinit(&report);
	return status;
}

static int with_config(const struct options *options, const struct sl_eml *eml)
{
	struct sl_faults faults = { 0 };
	struct sl_config *config = options->scripts.count
					   ? config_of_scripts(options)
					   : sl_config_load(options->config_file
								    ? options->config_file
								    : SL_CONFIG_FILE,
							    &faults);
	int status = EX_CONFIG;

	if (!config) {
		fputs("scriptlet simulate: out of memory\n", stderr);
		return EX_OSERR;
	}
	if (faults.errors)
		print_faults(&faults);
	else
		status = run(options, config, eml, &faults);
	sl_faults_deinit(&faults);
	sl_config_free(&config);
	return status;
}

int sl_simulate_command(int argc, char **argv)
{
	struct options options = { .client_addr = "127.0.0.1",
				   .helo = "localhost",
				   .from = "sender@example.org" };
	struct sl_eml eml = { 0 };
	struct sl_err err;
	int status = parse_options(argc, argv, &options);

	if (status == 0) {
		sl_mail_init();
		if (sl_eml_read(&eml, options.eml, &err) < 0) {
			fprintf(stderr, "scriptlet simulate: %s\n", err.text);
			status = EX_NOINPUT;
		} else {
			status = with_config(&options, &eml);
		}
	}
	sl_eml_deinit(&eml);
	sl_strings_deinit(&options.scripts);
	sl_strings_deinit(&options.rcpts);
	sl_strings_deinit(&options.macros);
	return status < 0 ? 0 : status;
}
