/* Every setting there is, one row each. scriptletd.conf(5) and conf/scriptletd.conf follow this
 * order; a test compares the shipped file with the defaults here. */
#include "config/settings.h"

#include "base/endpoint.h"
#include "config/stanzas.h"

#include <errno.h>
#include <string.h>

#define AT(member) offsetof(struct sl_config, member)

static int check_endpoint(struct sl_config *config, const char *text, struct sl_err *err)
{
	struct sl_endpoint ep;

	(void)config;
	return sl_endpoint_parse(text, &ep, err);
}

static int check_submission(struct sl_config *config, const char *text, struct sl_err *err)
{
	return *text ? check_endpoint(config, text, err) : 0;
}

static int check_network(struct sl_config *config, const char *text, struct sl_err *err)
{
	struct sl_net net;

	(void)config;
	return sl_net_parse(text, &net, err);
}

static int check_log_to(struct sl_config *config, const char *text, struct sl_err *err)
{
	if (strcmp(text, "syslog") == 0)
		config->log.kind = SL_LOG_SYSLOG;
	else if (strcmp(text, "stderr") == 0)
		config->log.kind = SL_LOG_STDERR;
	else if (strncmp(text, "file:/", 6) == 0)
		config->log.kind = SL_LOG_FILE;
	else
		return sl_fail(err, -EINVAL, "'%s' is not a log: syslog, stderr or file:/PATH",
			       text);
	config->log.path = config->log.kind == SL_LOG_FILE ? text + 5 : NULL;
	return 0;
}

static int check_log_level(struct sl_config *config, const char *text, struct sl_err *err)
{
	config->log.level = sl_log_level_by_name(text);
	if (config->log.level < 0)
		return sl_fail(err, -EINVAL,
			       "'%s' is not a level: emerg, alert, crit, err, warning, notice, "
			       "info or debug",
			       text);
	return 0;
}

static int check_directory(struct sl_config *config, const char *text, struct sl_err *err)
{
	(void)config;
	if (text[0] != '/')
		return sl_fail(err, -EINVAL, "'%s' is not an absolute path", text);
	return 0;
}

static const struct sl_setting log_rows[] = {
	{ "to", SL_SET_STRING, AT(log.to), .initial = "syslog", .check = check_log_to },
	{ "level", SL_SET_STRING, AT(log.level_name), .initial = "info", .check = check_log_level },
	{ .name = NULL },
};

static const struct sl_setting scriptlet_rows[] = {
	{ "states", SL_SET_INT, AT(scriptlet.states), .initial = "4", .min = 1, .max = 1024 },
	{ "path", SL_SET_STRINGS, AT(scriptlet.path), .initial = "/etc/scriptletd/scripts",
	  .check = check_directory },
	{ "strict", SL_SET_BOOL, AT(scriptlet.strict), .initial = "false" },
	{ "callout_timeout", SL_SET_INT, AT(scriptlet.callout_timeout), .initial = "25", .min = 1,
	  .max = 3600 },
	{ "script", SL_SET_LIST, .read_item = sl_stanza_script },
	{ .name = NULL },
};

const struct sl_setting sl_settings[] = {
	{ "listen", SL_SET_STRINGS, AT(listen), .initial = "unix:/run/scriptletd/milter.sock",
	  .check = check_endpoint },
	{ "socket_mode", SL_SET_MODE, AT(socket_mode), .initial = "0660" },
	{ "socket_group", SL_SET_STRING, AT(socket_group), .initial = "postfix" },
	{ "user", SL_SET_STRING, AT(user), .initial = "scriptletd" },
	{ "group", SL_SET_STRING, AT(group), .initial = "scriptletd" },
	{ "workers", SL_SET_INT, AT(workers), .initial = "0", .min = 0, .max = 256 },
	{ "drain_timeout", SL_SET_INT, AT(drain_timeout), .initial = "60", .min = 0, .max = 86400 },
	{ "state_dir", SL_SET_STRING, AT(state_dir), .initial = "/var/lib/scriptletd",
	  .check = check_directory },
	{ "run_dir", SL_SET_STRING, AT(run_dir), .initial = "/run/scriptletd",
	  .check = check_directory },
	{ "connect_reply", SL_SET_CHOICE, AT(connect_reply), .initial = "helo",
	  .choices = "helo|connect" },
	{ "pathway", SL_SET_STRING, AT(pathway), .initial = "default" },
	{ "relay_networks", SL_SET_STRINGS, AT(relay_networks), .initial = "127.0.0.0/8 ::1",
	  .check = check_network },
	{ "received_limit", SL_SET_INT, AT(received_limit), .initial = "50", .min = 1,
	  .max = 10000 },
	{ "submission", SL_SET_STRING, AT(submission), .initial = "inet:25@127.0.0.1",
	  .check = check_submission },
	{ "bounce_refused_recipients", SL_SET_BOOL, AT(bounce_refused_recipients),
	  .initial = "true" },
	{ "peer", SL_SET_LIST, .read_item = sl_stanza_peer },
	{ "log", SL_SET_GROUP, .rows = log_rows },
	{ "scriptlet", SL_SET_GROUP, .rows = scriptlet_rows },
	{ .name = NULL },
};
