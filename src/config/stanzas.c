#include "config/stanzas.h"

#include "config/settings.h"

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

static void free_script(struct sl_script_conf *script)
{
	free(script->name);
	free(script->source);
	free(script->file);
	free(script->limits.error_reply);
}

/* Takes over what the script holds, also on failure. */
static int add_script(struct sl_config *config, struct sl_script_conf *script)
{
	struct sl_script_conf *list = NULL;

	if (script->name && script->source && script->file)
		list = realloc(config->scriptlet.scripts,
			       (config->scriptlet.script_count + 1) * sizeof(*list));
	if (!list) {
		free_script(script);
		return -ENOMEM;
	}
	config->scriptlet.scripts = list;
	list[config->scriptlet.script_count++] = *script;
	return 0;
}

int sl_config_add_script(struct sl_config *config, const char *name, const char *source)
{
	struct sl_script_conf script = { .name = strdup(name),
					 .source = strdup(source),
					 .file = strdup("command line"),
					 .limits = sl_limits_unset() };

	if (sl_limits_inherit(&script.limits, &config->scriptlet.limits) < 0) {
		free_script(&script);
		return -ENOMEM;
	}
	return add_script(config, &script);
}

static bool check_script(const struct sl_config *config, const struct sl_script_conf *script,
			 config_setting_t *item, struct sl_faults *faults)
{
	if (!script->name || !*script->name || !script->source || !*script->source) {
		SL_FAULT_AT(faults, item, "a 'script' stanza needs '%s', a non-empty string",
			    !script->name || !*script->name ? "name" : "source");
		return false;
	}
	for (unsigned i = 0; i < config->scriptlet.script_count; i++) {
		const struct sl_script_conf *other = &config->scriptlet.scripts[i];

		if (strcmp(other->name, script->name) == 0) {
			SL_FAULT_AT(faults, item,
				    "the script name '%s' is taken by the stanza in line %u",
				    script->name, other->line);
			return false;
		}
	}
	return true;
}

void sl_stanza_script(struct sl_config *config, config_setting_t *item, struct sl_faults *faults)
{
	struct sl_script_conf script = { .line = config_setting_source_line(item),
					 .limits = sl_limits_unset() };

	if (!config_setting_is_group(item)) {
		SL_FAULT_AT(faults, item, "each 'script' is a group: { ... }");
		return;
	}
	script.file = strdup(config_setting_source_file(item));
	sl_settings_read(&script, sl_script_settings, item, "script", faults);
	if (!check_script(config, &script, item, faults))
		free_script(&script);
	else if (add_script(config, &script) < 0)
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
