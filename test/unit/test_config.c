#include "support.h"

#include "config/config.h"
#include "config/settings.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct sl_faults faults;
static struct sl_config *config;
static char *file;

/* Loads a file of that text; returns the faults without the name of the file. */
static char *load(const char *text)
{
	struct sl_buf shown = SL_BUF_ZERO;

	file = sup_write("test.conf", text);
	config = sl_config_load(file, &faults);
	cr_assert_not_null(config);
	sl_buf_puts(&shown, "");
	for (unsigned i = 0; i < faults.count; i++) {
		const char *fault = faults.list[i].text;

		if (strncmp(fault, file, strlen(file)) == 0)
			fault += strlen(file) + 1;
		sl_buf_printf(&shown, "%s\n", fault);
	}
	return sl_buf_steal(&shown);
}

static void unload(char *shown)
{
	free(shown);
	free(file);
	sl_config_free(&config);
	sl_faults_deinit(&faults);
}

static void *field(struct sl_config *of, const struct sl_setting *row)
{
	return (char *)of + row->offset;
}

static void assert_same_strings(const char *name, const struct sl_strings *a,
				const struct sl_strings *b)
{
	cr_assert_eq(a->count, b->count, "%s", name);
	for (unsigned i = 0; i < a->count; i++)
		cr_assert_str_eq(a->list[i], b->list[i], "%s", name);
}

static void assert_same(struct sl_config *a, struct sl_config *b, const struct sl_setting *rows)
{
	for (const struct sl_setting *row = rows; row->name; row++) {
		switch (row->type) {
		case SL_SET_INT:
		case SL_SET_CHOICE:
			cr_assert_eq(*(int *)field(a, row), *(int *)field(b, row), "%s", row->name);
			break;
		case SL_SET_BOOL:
			cr_assert_eq(*(bool *)field(a, row), *(bool *)field(b, row), "%s",
				     row->name);
			break;
		case SL_SET_MODE:
			cr_assert_eq(*(mode_t *)field(a, row), *(mode_t *)field(b, row), "%s",
				     row->name);
			break;
		case SL_SET_STRING:
			cr_assert_str_eq(*(char **)field(a, row), *(char **)field(b, row), "%s",
					 row->name);
			break;
		case SL_SET_STRINGS:
			assert_same_strings(row->name, field(a, row), field(b, row));
			break;
		case SL_SET_GROUP:
			assert_same(a, b, row->rows);
			break;
		case SL_SET_LIST:
			break;
		}
	}
}

/* Every row but the lists stands in the shipped file as `name = ...`, not only as a comment. */
static void assert_written(const char *text, const struct sl_setting *rows)
{
	for (const struct sl_setting *row = rows; row->name; row++) {
		const char *at = text;
		bool found = row->type == SL_SET_LIST;

		while (!found && (at = strstr(at, row->name))) {
			const char *line = at;

			at += strlen(row->name);
			while (line > text && (line[-1] == ' ' || line[-1] == '\t'))
				line--;
			found = (line == text || line[-1] == '\n') && strchr(" \t=:", *at);
		}
		cr_assert(found, "'%s' is not in conf/scriptletd.conf", row->name);
		if (row->type == SL_SET_GROUP)
			assert_written(text, row->rows);
	}
}

TestSuite(config, .fini = sup_remove_dir);

Test(config, shipped_file_shows_every_default)
{
	const char *source = getenv("SCRIPTLETD_SOURCE");
	struct sl_config *defaults = sl_config_new();
	struct sl_buf path = SL_BUF_ZERO;
	char *text;

	cr_assert_not_null(source);
	sl_buf_printf(&path, "%s/conf/scriptletd.conf", source);
	if (access(sl_buf_str(&path), R_OK) < 0)
		cr_skip_test("no conf/scriptletd.conf");
	config = sl_config_load(sl_buf_str(&path), &faults);
	text = sup_faults(&faults);
	sup_assert_str(text, "");
	assert_same(config, defaults, sl_settings);
	cr_assert_eq(config->scriptlet.script_count, 0);
	cr_assert_eq(config->peer_count, 0);
	free(text);
	text = sup_read(sl_buf_str(&path));
	assert_written(text, sl_settings);
	sl_config_free(&defaults);
	sl_buf_deinit(&path);
	file = NULL;
	unload(text);
}

Test(config, defaults)
{
	config = sl_config_new();
	cr_assert_eq(config->listen.count, 1);
	sup_assert_str(config->listen.list[0], "unix:/run/scriptletd/milter.sock");
	cr_assert_eq(config->socket_mode, 0660);
	sup_assert_str(config->socket_group, "postfix");
	cr_assert_eq(config->workers, 0);
	cr_assert_eq(config->drain_timeout, 60);
	cr_assert_eq(config->connect_reply, SL_REPLY_AT_HELO);
	cr_assert_eq(config->relay_networks.count, 2);
	cr_assert(sl_net_contains(&config->relay_nets[0], "127.1.2.3"));
	cr_assert(sl_net_contains(&config->relay_nets[1], "::1"));
	cr_assert(config->bounce_refused_recipients);
	cr_assert_eq(config->log.kind, SL_LOG_SYSLOG);
	cr_assert_eq(config->log.level, LOG_INFO);
	cr_assert_eq(config->scriptlet.states, 4);
	cr_assert_eq(config->scriptlet.limits.callout_timeout, 25);
	cr_assert(!config->scriptlet.strict);
	sl_config_free(&config);
	cr_assert_null(config);
	sl_config_free(&config);
}

Test(config, an_empty_file_is_all_defaults)
{
	struct sl_config *defaults = sl_config_new();
	char *shown = load("");

	sup_assert_str(shown, "");
	assert_same(config, defaults, sl_settings);
	sl_config_free(&defaults);
	unload(shown);
}

Test(config, takes_every_setting)
{
	char *shown = load(
		"listen = [ \"inet:1@127.0.0.1\", \"unix:/x\" ];\n"
		"socket_mode = \"0600\"; socket_group = \"\"; user = \"u\"; group = \"g\";\n"
		"workers = 128; drain_timeout = 0;\n"
		"state_dir = \"/s\"; run_dir = \"/r\"; connect_reply = \"connect\";\n"
		"pathway = \"p\"; relay_networks = ( \"192.0.2.0/24\" );\n"
		"received_limit = 1; submission = \"\"; bounce_refused_recipients = false;\n"
		"peer = ( { network = \"192.0.2.0/24\"; context = { a = \"1\"; b = \"\"; }; },\n"
		"         { network = [ \"::1\", \"10.0.0.0/8\" ]; context = { }; } );\n"
		"log = { to = \"file:/var/log/x\"; level = \"debug\"; };\n"
		"scriptlet = { states = 1024; path = \"/one\"; strict = true;\n"
		"  callout_timeout = 3600;\n"
		"  script = ( { name = \"a\"; source = \"x.a\"; },\n"
		"             { name = \"b\"; source = \"/b.lua\"; } ); };\n");

	sup_assert_str(shown, "");
	cr_assert_eq(config->listen.count, 2);
	sup_assert_str(config->listen.list[1], "unix:/x");
	cr_assert_eq(config->socket_mode, 0600);
	sup_assert_str(config->socket_group, "");
	cr_assert_eq(config->workers, 128);
	cr_assert_eq(config->drain_timeout, 0);
	cr_assert_eq(config->connect_reply, SL_REPLY_AT_CONNECT);
	cr_assert_eq(config->relay_networks.count, 1);
	cr_assert(sl_net_contains(&config->relay_nets[0], "192.0.2.9"));
	sup_assert_str(config->submission, "");
	cr_assert(!config->bounce_refused_recipients);
	cr_assert_eq(config->peer_count, 2);
	cr_assert_eq(config->peers[0].keys.count, 2);
	sup_assert_str(config->peers[0].keys.list[1], "b");
	sup_assert_str(config->peers[0].values.list[0], "1");
	cr_assert_eq(config->peers[1].net_count, 2);
	cr_assert_eq(config->log.kind, SL_LOG_FILE);
	sup_assert_str(config->log.path, "/var/log/x");
	cr_assert_eq(config->log.level, LOG_DEBUG);
	cr_assert_eq(config->scriptlet.states, 1024);
	sup_assert_str(config->scriptlet.path.list[0], "/one");
	cr_assert(config->scriptlet.strict);
	cr_assert_eq(config->scriptlet.script_count, 2);
	sup_assert_str(config->scriptlet.scripts[1].name, "b");
	sup_assert_str(config->scriptlet.scripts[1].source, "/b.lua");
	sup_assert_str(config->scriptlet.scripts[1].file, file);
	cr_assert_eq(config->scriptlet.scripts[1].line, 13);
	unload(shown);
}

Test(config, points_at_each_fault)
{
	static const struct {
		const char *text;
		const char *fault; /* all of it, or its start when it ends in "..." */
	} rows[] = {
		{ "\nlistne = 1;", "2: unknown setting 'listne'\n" },
		{ "log = {\n lvl = \"x\";\n};", "2: unknown setting 'log.lvl'\n" },
		{ "scriptlet = { x = 1; };", "1: unknown setting 'scriptlet.x'\n" },
		{ "listen = 25;", "1: 'listen' must be a string or a list of strings\n..." },
		{ "listen = ( \"unix:/a\", 7 );", "1: 'listen' must be a list of strings only\n" },
		{ "listen = [ ];", " 'listen' names no address\n" },
		{ "listen = \"nowhere\";", "1: 'listen': 'nowhere' is not an address..." },
		{ "socket_mode = 660;", "1: 'socket_mode' must be a string\n" },
		{ "socket_mode = \"0999\";", "1: 'socket_mode': '0999' is not an octal mode..." },
		{ "socket_mode = \"01777\";", "1: 'socket_mode': '01777' is not an octal..." },
		{ "socket_mode = \"\";", "1: 'socket_mode': '' is not an octal mode..." },
		{ "socket_mode = \"-0\";", "1: 'socket_mode': '-0' is not an octal mode..." },
		{ "socket_group = 7;", "1: 'socket_group' must be a string\n" },
		{ "user = [ \"a\" ];", "1: 'user' must be a string\n" },
		{ "group = true;", "1: 'group' must be a string\n" },
		{ "workers = \"2\";", "1: 'workers' must be a whole number\n" },
		{ "workers = 2.5;", "1: 'workers' must be a whole number\n" },
		{ "workers = 99999999999L;", "1: 'workers' must be a whole number\n" },
		{ "workers = 129;", "1: 'workers' must be from 0 to 128, not 129\n" },
		{ "workers = -1;", "1: 'workers' must be from 0 to 128, not -1\n" },
		{ "drain_timeout = 86401;", "1: 'drain_timeout' must be from 0 to 86400..." },
		{ "state_dir = \"rel\";", "1: 'state_dir': 'rel' is not an absolute path\n" },
		{ "run_dir = \"\";", "1: 'run_dir': '' is not an absolute path\n" },
		{ "connect_reply = \"hel\";",
		  "1: 'connect_reply': 'hel' is not one of helo|con..." },
		{ "connect_reply = \"\";", "1: 'connect_reply': '' is not one of helo|connect\n" },
		{ "pathway = 1;", "1: 'pathway' must be a string\n" },
		{ "relay_networks = \"10/8\";", "1: 'relay_networks': '10/8' is not a network..." },
		{ "received_limit = 0;", "1: 'received_limit' must be from 1 to 10000, not 0\n" },
		{ "submission = \"smtp\";", "1: 'submission': 'smtp' is not an address..." },
		{ "bounce_refused_recipients = 1;",
		  "1: 'bounce_refused_recipients' must be true or false\n" },
		{ "peer = { };", "1: 'peer' must be a list of groups..." },
		{ "peer = ( 1 );", "1: each 'peer' is a group: { ... }\n" },
		{ "peer = ( { network = \"::1\"; } );",
		  "1: a 'peer' stanza needs 'network' and 'context'\n" },
		{ "peer = ( { network = \"x\"; context = { }; } );", "1: 'x' is not a network..." },
		{ "peer = ( { network = \"::1\"; context = { a = 1; }; } );",
		  "1: the context value of 'a' must be a string\n" },
		{ "peer = ( { network = \"::1\"; context = 1; } );",
		  "1: 'context' must be a group..." },
		{ "peer = ( { network = \"::1\"; context = { }; x = 1; } );",
		  "1: unknown setting 'x' in a 'peer' stanza\n" },
		{ "log = 1;", "1: 'log' must be a group: { ... }\n" },
		{ "log = { to = \"file:x\"; };", "1: 'to': 'file:x' is not a log..." },
		{ "log = { level = \"loud\"; };", "1: 'level': 'loud' is not a level..." },
		{ "scriptlet = ( );", "1: 'scriptlet' must be a group: { ... }\n" },
		{ "scriptlet = { states = 0; };", "1: 'states' must be from 1 to 1024, not 0\n" },
		{ "scriptlet = { path = \"rel\"; };",
		  "1: 'path': 'rel' is not an absolute path\n" },
		{ "scriptlet = { strict = \"true\"; };", "1: 'strict' must be true or false\n" },
		{ "scriptlet = { callout_timeout = 3601; };",
		  "1: 'callout_timeout' must be from 1 to 3600, not 3601\n" },
		{ "scriptlet = { script = { }; };", "1: 'script' must be a list of groups..." },
		{ "scriptlet = { script = (\n\"x\" ); };", "2: each 'script' is a group..." },
		{ "scriptlet = { script = (\n{ name = \"x\"; } ); };",
		  "2: a 'script' stanza needs 'source', a non-empty string\n" },
		{ "scriptlet = { script = ( { name = \"\";\n source = 7; } ); };",
		  "2: 'source' must be a string\n"
		  "1: a 'script' stanza needs 'name', a non-empty string\n" },
		{ "scriptlet = { script = ( { name = \"a\"; source = \"a\"; },\n"
		  "{ name = \"a\"; source = \"b\"; } ); };",
		  "2: the script name 'a' is taken by the stanza in line 1\n" },
		{ "user = \"a\";\nuser = \"b\";", "2: duplicate setting name\n" },
		{ "user = \"a\"\n;;", "2: syntax error\n" },
		{ "user = ", "1: syntax error\n" },
	};

	for (unsigned i = 0; i < COUNT(rows); i++) {
		size_t len = strlen(rows[i].fault);
		bool start = len > 3 && strcmp(rows[i].fault + len - 3, "...") == 0;
		char *shown = load(rows[i].text);

		cr_assert_gt(faults.errors, 0, "%s", rows[i].text);
		if (start)
			cr_assert(strncmp(shown, rows[i].fault, len - 3) == 0, "%s\n-> %s",
				  rows[i].text, shown);
		else
			cr_assert_str_eq(shown, rows[i].fault, "%s\n-> %s", rows[i].text, shown);
		unload(shown);
	}
}

Test(config, collects_all_faults)
{
	char *shown = load("workers = 999;\nnope = 1;\nuser = 5;\nlog = { level = \"x\"; };\n");

	cr_assert_eq(faults.errors, 4, "%s", shown);
	sup_assert_has(shown, "1: 'workers'");
	sup_assert_has(shown, "2: unknown setting 'nope'");
	sup_assert_has(shown, "3: 'user'");
	sup_assert_has(shown, "4: 'level'");
	unload(shown);
}

Test(config, names_a_missing_file)
{
	config = sl_config_load("/nonexistent/x.conf", &faults);
	cr_assert_eq(faults.errors, 1);
	sup_assert_str(faults.list[0].text,
		       "/nonexistent/x.conf: cannot read: No such file or directory");
	unload(NULL);
}

Test(config, faults_of_an_included_file_name_that_file)
{
	char *part = sup_write("part.inc", "workers = 3;\nnope = 1;\n");
	struct sl_buf text = SL_BUF_ZERO;
	struct sl_buf fault = SL_BUF_ZERO;
	char *shown;

	sl_buf_printf(&text, "user = \"a\";\n@include \"%s\"\nalso = 1;\n", part);
	sl_buf_printf(&fault, "%s:2: unknown setting 'nope'\n3: unknown setting 'also'\n", part);
	shown = load(sl_buf_str(&text));
	cr_assert_eq(config->workers, 3, "%s", shown);
	sup_assert_str(shown, sl_buf_str(&fault));
	sl_buf_deinit(&text);
	sl_buf_deinit(&fault);
	free(part);
	unload(shown);
}

Test(config, a_missing_include_has_its_place)
{
	char *shown = load("user = \"a\";\n@include \"missing.inc\"\n");

	cr_assert_eq(faults.errors, 1);
	sup_assert_str(shown, "2: cannot open include file\n");
	unload(shown);
}

Test(config, adds_scripts_of_a_command_line)
{
	config = sl_config_new();
	cr_assert_eq(sl_config_add_script(config, "a", "/a.lua"), 0);
	cr_assert_eq(config->scriptlet.script_count, 1);
	sup_assert_str(config->scriptlet.scripts[0].file, "command line");
	cr_assert_eq(config->scriptlet.scripts[0].line, 0);
	sl_config_free(&config);
}
