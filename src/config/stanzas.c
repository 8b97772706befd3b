#include "config/stanzas.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int sl_strings_add(struct sl_strings *strings, const char *text)
{
	char **list = realloc(strings->list, (strings->count + 1) * sizeof(*list));

	if (!list)
		return -ENOMEM;
	strings->list = list;
	list[strings->count] = strdup(text);
	if (!list[strings->count])
		return -ENOMEM;
	strings->count++;
	return 0;
}

void sl_strings_deinit(struct sl_strings *strings)
{
	for (unsigned i = 0; i < strings->count; i++)
		free(strings->list[i]);
	free(strings->list);
	*strings = (struct sl_strings){ 0 };
}

void sl_strings_read(struct sl_strings *strings, config_setting_t *setting,
		     struct sl_faults *faults)
{
	const char *name = config_setting_name(setting);
	int type = config_setting_type(setting);

	if (type == CONFIG_TYPE_STRING) {
		if (sl_strings_add(strings, config_setting_get_string(setting)) < 0)
			SL_FAULT_AT(faults, setting, "out of memory");
		return;
	}
	if (type != CONFIG_TYPE_LIST && type != CONFIG_TYPE_ARRAY) {
		SL_FAULT_AT(faults, setting, "'%s' must be a string or a list of strings", name);
		return;
	}
	for (int i = 0; i < config_setting_length(setting); i++) {
		config_setting_t *item = config_setting_get_elem(setting, (unsigned)i);

		if (config_setting_type(item) != CONFIG_TYPE_STRING)
			SL_FAULT_AT(faults, item, "'%s' must be a list of strings only", name);
		else if (sl_strings_add(strings, config_setting_get_string(item)) < 0)
			SL_FAULT_AT(faults, item, "out of memory");
	}
}

static bool is_known(const char *name, const char *const *known)
{
	for (; *known; known++)
		if (strcmp(name, *known) == 0)
			return true;
	return false;
}

/* Checks that `item` is a group with no other members than those. */
static bool check_members(config_setting_t *item, const char *stanza, const char *const *known,
			  struct sl_faults *faults)
{
	if (!config_setting_is_group(item)) {
		SL_FAULT_AT(faults, item, "each '%s' is a group: { ... }", stanza);
		return false;
	}
	for (int i = 0; i < config_setting_length(item); i++) {
		config_setting_t *member = config_setting_get_elem(item, (unsigned)i);

		if (!is_known(config_setting_name(member), known))
			SL_FAULT_AT(faults, member, "unknown setting '%s' in a '%s' stanza",
				    config_setting_name(member), stanza);
	}
	return true;
}

static const char *required_string(config_setting_t *item, const char *stanza, const char *name,
				   struct sl_faults *faults)
{
	config_setting_t *member = config_setting_get_member(item, name);

	if (!member) {
		SL_FAULT_AT(faults, item, "a '%s' stanza needs '%s'", stanza, name);
		return NULL;
	}
	if (config_setting_type(member) != CONFIG_TYPE_STRING ||
	    !*config_setting_get_string(member)) {
		SL_FAULT_AT(faults, member, "'%s' must be a non-empty string", name);
		return NULL;
	}
	return config_setting_get_string(member);
}

static int add_script(struct sl_config *config, const char *name, const char *source,
		      const char *file, unsigned line)
{
	struct sl_script_conf script = { strdup(name), strdup(source), strdup(file), line };
	struct sl_script_conf *list = NULL;

	if (script.name && script.source && script.file)
		list = realloc(config->scriptlet.scripts,
			       (config->scriptlet.script_count + 1) * sizeof(*list));
	if (!list) {
		free(script.name);
		free(script.source);
		free(script.file);
		return -ENOMEM;
	}
	config->scriptlet.scripts = list;
	list[config->scriptlet.script_count++] = script;
	return 0;
}

int sl_config_add_script(struct sl_config *config, const char *name, const char *source)
{
	return add_script(config, name, source, "command line", 0);
}

void sl_stanza_script(struct sl_config *config, config_setting_t *item, struct sl_faults *faults)
{
	static const char *const known[] = { "name", "source", NULL };
	const char *name;
	const char *source;

	if (!check_members(item, "script", known, faults))
		return;
	name = required_string(item, "script", "name", faults);
	source = required_string(item, "script", "source", faults);
	if (!name || !source)
		return;
	for (unsigned i = 0; i < config->scriptlet.script_count; i++) {
		const struct sl_script_conf *other = &config->scriptlet.scripts[i];

		if (strcmp(other->name, name) == 0) {
			SL_FAULT_AT(faults, item,
				    "the script name '%s' is taken by the stanza in line %u", name,
				    other->line);
			return;
		}
	}
	if (add_script(config, name, source, config_setting_source_file(item),
		       config_setting_source_line(item)) < 0)
		SL_FAULT_AT(faults, item, "out of memory");
}

static void read_networks(struct sl_peer_conf *peer, config_setting_t *setting,
			  struct sl_faults *faults)
{
	struct sl_strings texts = { 0 };

	sl_strings_read(&texts, setting, faults);
	peer->nets = calloc(texts.count + 1, sizeof(*peer->nets));
	for (unsigned i = 0; peer->nets && i < texts.count; i++) {
		struct sl_err err;

		if (sl_net_parse(texts.list[i], &peer->nets[peer->net_count], &err) < 0)
			SL_FAULT_AT(faults, setting, "%s", err.text);
		else
			peer->net_count++;
	}
	sl_strings_deinit(&texts);
}

static void read_context(struct sl_peer_conf *peer, config_setting_t *setting,
			 struct sl_faults *faults)
{
	if (!config_setting_is_group(setting)) {
		SL_FAULT_AT(faults, setting, "'context' must be a group: { key = \"value\"; }");
		return;
	}
	for (int i = 0; i < config_setting_length(setting); i++) {
		config_setting_t *pair = config_setting_get_elem(setting, (unsigned)i);

		if (config_setting_type(pair) != CONFIG_TYPE_STRING)
			SL_FAULT_AT(faults, pair, "the context value of '%s' must be a string",
				    config_setting_name(pair));
		else if (sl_strings_add(&peer->keys, config_setting_name(pair)) < 0 ||
			 sl_strings_add(&peer->values, config_setting_get_string(pair)) < 0)
			SL_FAULT_AT(faults, pair, "out of memory");
	}
}

void sl_stanza_peer(struct sl_config *config, config_setting_t *item, struct sl_faults *faults)
{
	static const char *const known[] = { "network", "context", NULL };
	struct sl_peer_conf *list;
	struct sl_peer_conf *peer;
	config_setting_t *network;
	config_setting_t *context;

	if (!check_members(item, "peer", known, faults))
		return;
	network = config_setting_get_member(item, "network");
	context = config_setting_get_member(item, "context");
	if (!network || !context) {
		SL_FAULT_AT(faults, item, "a 'peer' stanza needs 'network' and 'context'");
		return;
	}
	list = realloc(config->peers, (config->peer_count + 1) * sizeof(*list));
	if (!list) {
		SL_FAULT_AT(faults, item, "out of memory");
		return;
	}
	config->peers = list;
	peer = &list[config->peer_count++];
	*peer = (struct sl_peer_conf){ 0 };
	read_networks(peer, network, faults);
	read_context(peer, context, faults);
}
