/* Every setting there is, one row each. scriptletd.conf(5) and conf/scriptletd.conf follow this
 * order; a test compares the shipped file with the defaults here. */
#include "config/settings.h"

#include "base/endpoint.h"
#include "config/stanzas.h"

#include <errno.h>
#include <string.h>

#define AT(member) offsetof(struct sl_config, member)
#define AT_SCRIPTLET(member) offsetof(struct sl_config, scriptlet.member)
#define AT_SCRIPT(member) offsetof(struct sl_script_conf, member)

static int check_endpoint(void *base, const char *text, struct sl_err *err)
{
	struct sl_endpoint ep;

	(void)base;
	return sl_endpoint_parse(text, &ep, err);
}

static int check_submission(void *base, const char *text, struct sl_err *err)
{
	return *text ? check_endpoint(base, text, err) : 0;
}

static int check_network(void *base, const char *text, struct sl_err *err)
{
	struct sl_net net;

	(void)base;
	return sl_net_parse(text, &net, err);
}

static int check_log_to(void *base, const char *text, struct sl_err *err)
{
	struct sl_config *config = base;

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

static int check_log_level(void *base, const char *text, struct sl_err *err)
{
	struct sl_config *config = base;

	config->log.level = sl_log_level_by_name(text);
	if (config->log.level < 0)
		return sl_fail(err, -EINVAL,
			       "'%s' is not a level: emerg, alert, crit, err, warning, notice, "
			       "info or debug",
			       text);
	return 0;
}

static int check_directory(void *base, const char *text, struct sl_err *err)
{
	(void)base;
	if (text[0] != '/')
		return sl_fail(err, -EINVAL, "'%s' is not an absolute path", text);
	return 0;
}

/* Only a failure that defers has words that can be chosen. */
static int check_error_reply(void *base, const char *text, struct sl_err *err)
{
	(void)base;
	if (text[0] == '4' && text[1] >= '0' && text[1] <= '5' && text[2] >= '0' &&
	    text[2] <= '9' && text[3] == ' ' && text[4])
		return 0;
	return sl_fail(err, -EINVAL, "'%s' is not a reply such as \"451 4.3.0 later, please\"",
		       text);
}

/* The same rows for the stanza and for each script, where they start unset. */
/* clang-format off */
#define LIMIT_ROWS(at) \
	{ "time_limit", SL_SET_INT, at(limits.time_limit), .initial = "1000", \
	  .min = 1, .max = 600000 }, \
	{ "callout_timeout", SL_SET_INT, at(limits.callout_timeout), .initial = "25", \
	  .min = 1, .max = 3600 }, \
	{ "eom_timeout", SL_SET_INT, at(limits.eom_timeout), .initial = "240", \
	  .min = 1, .max = 3600 }, \
	{ "memory_limit", SL_SET_INT, at(limits.memory_limit), .initial = "64", \
	  .min = 4, .max = 4096 }, \
	{ "on_error", SL_SET_CHOICE, at(limits.on_error), .initial = "tempfail", \
	  .choices = "tempfail|accept|reject" }, \
	{ "error_reply", SL_SET_STRING, at(limits.error_reply), \
	  .initial = "451 4.3.0 temporary issue, please retry your message later", \
	  .check = check_error_reply }, \
	{ "mode", SL_SET_CHOICE, at(limits.mode), .initial = "enforce", \
	  .choices = "enforce|observe" }
/* clang-format on */

static const struct sl_setting log_rows[] = {
	{ "to", SL_SET_STRING, AT(log.to), .initial = "syslog", .check = check_log_to },
	{ "level", SL_SET_STRING, AT(log.level_name), .initial = "info", .check = check_log_level },
	{ "format", SL_SET_CHOICE, AT(log.format), .initial = "text", .choices = "text|json" },
	{ .name = NULL },
};

static const struct sl_setting scriptlet_rows[] = {
	{ "states", SL_SET_INT, AT(scriptlet.states), .initial = "4", .min = 1, .max = 1024 },
	{ "path", SL_SET_STRINGS, AT(scriptlet.path), .initial = "/etc/scriptletd/scripts",
	  .check = check_directory },
	{ "strict", SL_SET_BOOL, AT(scriptlet.strict), .initial = "false" },
	LIMIT_ROWS(AT_SCRIPTLET),
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
	{ "workers", SL_SET_INT, AT(workers), .initial = "0", .min = 0, .max = 128 },
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

const struct sl_setting sl_script_settings[] = {
	{ "name", SL_SET_STRING, AT_SCRIPT(name), .initial = NULL },
	{ "source", SL_SET_STRING, AT_SCRIPT(source), .initial = NULL },
	LIMIT_ROWS(AT_SCRIPT),
	{ .name = NULL },
};

struct sl_script_limits sl_limits_unset(void)
{
	return (struct sl_script_limits){ -1, -1, -1, -1, -1, NULL, -1 };
}

static void inherit(int *value, int from)
{
	if (*value < 0)
		*value = from;
}

int sl_limits_inherit(struct sl_script_limits *limits, const struct sl_script_limits *from)
{
	inherit(&limits->time_limit, from->time_limit);
	inherit(&limits->callout_timeout, from->callout_timeout);
	inherit(&limits->eom_timeout, from->eom_timeout);
	inherit(&limits->memory_limit, from->memory_limit);
	inherit(&limits->on_error, from->on_error);
	inherit(&limits->mode, from->mode);
	if (!limits->error_reply)
		limits->error_reply = strdup(from->error_reply);
	return limits->error_reply ? 0 : -ENOMEM;
}
