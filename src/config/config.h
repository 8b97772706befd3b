/* config: the configuration file, read and checked into plain structures.
 *
 * The only room that knows libconfig. Settings are rows of the tables in settings.c; scriptletd.conf(5)
 * describes each. A configuration is immutable once loaded and may be read from any thread. */
#pragma once

#include "base/faults.h"
#include "base/log.h"
#include "base/net.h"

#include <stdbool.h>
#include <sys/types.h>

/* A list of strings; values are never NULL. */
struct sl_strings {
	char **list;
	unsigned count;
};

/* Appends a copy of `text`; 0 or -ENOMEM. */
int sl_strings_add(struct sl_strings *strings, const char *text);
void sl_strings_deinit(struct sl_strings *strings);

enum sl_on_error { SL_ON_ERROR_TEMPFAIL, SL_ON_ERROR_ACCEPT, SL_ON_ERROR_REJECT };

enum sl_mode { SL_MODE_ENFORCE, SL_MODE_OBSERVE };

/* What a script may use, and what its failure means; a script that does not say has what the
 * scriptlet stanza says. */
struct sl_script_limits {
	int time_limit;	     /* ms of CPU time in Lua, for one callout */
	int callout_timeout; /* s of wall time for one milter command, waiting included */
	int eom_timeout;     /* the same for the end of a message */
	int memory_limit;    /* MiB for the Lua state */
	int on_error;	     /* enum sl_on_error */
	char *error_reply;   /* "CODE text" of a failure that defers */
	int mode;	     /* enum sl_mode */
};

/* One `script` of the scriptlet stanza, in the order of the file: the order modules run in. */
struct sl_script_conf {
	char *name;    /* the module the script should register */
	char *source;  /* as written */
	char *file;    /* the configuration file and line that name it, for messages */
	unsigned line; /* 0 when it came from a command line */
	struct sl_script_limits limits;
	/* Filled by sl_scripts_read: what every Lua state of this configuration is made from. */
	char *path; /* of the script */
	char *text; /* NULL: not read */
	size_t text_len;
};

/* One `peer`: connection context that clients of these networks start with. */
struct sl_peer_conf {
	struct sl_net *nets;
	unsigned net_count;
	struct sl_strings keys;
	struct sl_strings values; /* as many as keys */
};

enum sl_connect_reply { SL_REPLY_AT_HELO, SL_REPLY_AT_CONNECT };

struct sl_config {
	char *file;

	struct sl_strings listen;
	mode_t socket_mode;
	char *socket_group;
	char *user;
	char *group;
	int workers;	   /* per listening address; 0: one per core */
	int drain_timeout; /* s */
	char *state_dir;
	char *run_dir;

	int connect_reply; /* enum sl_connect_reply */
	char *pathway;
	struct sl_strings relay_networks;
	struct sl_net *relay_nets; /* the same, parsed */
	int received_limit;
	char *submission;
	bool bounce_refused_recipients;
	struct sl_peer_conf *peers;
	unsigned peer_count;

	struct {
		char *to;
		char *level_name;
		enum sl_log_to kind; /* `to`, parsed */
		const char *path;    /* points into `to` */
		int level;
		int format; /* enum sl_log_format */
	} log;

	struct {
		int states; /* per worker */
		struct sl_strings path;
		bool strict;
		struct sl_script_limits limits;
		struct sl_script_conf *scripts;
		unsigned script_count;
	} scriptlet;
};

/* A configuration with every default and no script. NULL when out of memory. */
struct sl_config *sl_config_new(void);

/* Reads `file` over the defaults. All faults are collected; the result is usable only when
 * `faults->errors` is 0. NULL only when out of memory. */
struct sl_config *sl_config_load(const char *file, struct sl_faults *faults);

/* Adds a script as if the stanza had named it (for `scriptlet simulate --script`). */
int sl_config_add_script(struct sl_config *config, const char *name, const char *source);

void sl_config_free(struct sl_config **config);
